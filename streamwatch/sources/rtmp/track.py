"""The video track of one connection: from messages to packets with their configuration and times. Pure."""

from __future__ import annotations

from fractions import Fraction

from streamwatch.domain.errors import CodecUnsupported
from streamwatch.domain.media import CodecConfig, MediaInfo, MediaTime, Packet
from streamwatch.sources import sps
from streamwatch.sources.codecs import refuse_unknown
from streamwatch.sources.rtmp.video import Video, What, read
from streamwatch.wire import amf0
from streamwatch.wire.rtmp import DATA_AMF3, VIDEO, Message

_MILLISECOND = Fraction(1, 1000)
_MAX_HEADER = 64 << 10
_SIDES = range(16, 16385)
_MAX_FPS = 240
_NEEDS_HEADER = frozenset({"h264", "hevc"})
"""Their pictures cannot be read without."""
_AVC_HEAD, _AVC_BETWEEN = 5, 0x27
"""Length of the head of AVC's legacy form, and its first byte for a picture between keys."""
_make = tuple.__new__
_HALF, _2_TO_32 = 1 << 31, 0xFFFFFFFF


class Track:
    """Follows the configuration and the clock of a track. Begins with a key picture."""

    def __init__(self) -> None:
        self._config = CodecConfig("")
        self._codec = ""
        self._size = (0, 0)
        self._fps: float | None = None
        self._begun = False
        """A key picture of this configuration came."""
        self._stamp = 0
        self._time_ms = 0
        self.news: MediaInfo | None = None
        """A format that nobody was told of yet; whoever tells takes it out."""

    def take(self, message: Message, arrival: float) -> Packet | None:
        """Take the next video or data message; return the picture it brings. Check `news` first.

        Raises CodecUnsupported.
        """
        if message.kind != VIDEO:
            self._words(message)
            return None
        payload, stamp = message.payload, message.timestamp
        if (
            len(payload) > _AVC_HEAD
            and payload[0] == _AVC_BETWEEN
            and payload[1] == 1
            and self._begun
            and self._codec == "h264"
        ):  # nearly all of them, when all are wanted
            key, composition_ms, data = False, int.from_bytes(payload[2:_AVC_HEAD], signed=True), payload[_AVC_HEAD:]
        else:
            video = self._picture(payload)
            if video is None:
                return None
            _, _, key, composition_ms, data = video
        self._time_ms += (stamp - self._stamp + _HALF & _2_TO_32) - _HALF  # 32 bits last for 49 days
        self._stamp = stamp
        # As the named tuples' own constructors do, at half the price: it is paid for every packet.
        dts = pts = _make(MediaTime, (self._time_ms, _MILLISECOND))
        if composition_ms:
            pts = _make(MediaTime, (self._time_ms + composition_ms, _MILLISECOND))
        return _make(Packet, (self._config, data, pts, dts, key, arrival))

    def _picture(self, payload: bytes) -> Video | None:
        """Read a message; None where it holds no picture that a decoder could use."""
        video = read(payload)
        if video is None or video.what is What.END:
            return None
        if video.what is What.HEADER:
            self._configure(video.codec, video.data)
            return None
        if video.codec != self._codec:
            if video.codec in _NEEDS_HEADER or not video.key:
                refuse_unknown(video.codec)
                return None
            self._configure(video.codec, b"")
        if not (video.key or self._begun) or not video.data:
            return None
        self._begun = True
        return video

    def _configure(self, codec: str, header: bytes) -> None:
        refuse_unknown(codec)
        if len(header) > _MAX_HEADER:  # what comes after it would be read by the configuration before
            raise CodecUnsupported(f"a configuration of {len(header)} bytes")
        if codec in _NEEDS_HEADER and not header:
            return
        told = sps.size(codec, header)
        config = CodecConfig(codec, header, *(told if all(told) else self._size))
        if config == self._config:
            return
        self._config, self._codec = config, codec
        self._begun = False
        self.news = MediaInfo(config, "rtmp", fps=self._fps)

    def _words(self, message: Message) -> None:
        try:
            values = amf0.decode(message.payload[message.kind == DATA_AMF3 :])
        except amf0.Amf0Error:
            return  # words about the stream: we can do without
        if "onMetaData" not in values[:2]:
            return
        said = next((value for value in values if isinstance(value, dict)), {})
        width, height, fps = (_number(said.get(key)) for key in ("width", "height", "framerate"))
        self._size = (int(width), int(height)) if int(width) in _SIDES and int(height) in _SIDES else (0, 0)
        self._fps = fps if 0 < fps <= _MAX_FPS else None


def _number(value: amf0.Value) -> float:
    return value if isinstance(value, float) and abs(value) < _HALF else 0.0
