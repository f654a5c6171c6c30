"""The video track of one connection: from messages to packets with their configuration and times. Pure."""

from __future__ import annotations

from fractions import Fraction

from streamwatch.domain.media import CodecConfig, MediaInfo, MediaTime, Packet
from streamwatch.sources.codecs import refuse_unknown
from streamwatch.sources.rtmp.sps import avc_size
from streamwatch.sources.rtmp.video import Video, What, read
from streamwatch.wire import amf0
from streamwatch.wire.rtmp import DATA_AMF3, VIDEO, Message

_MILLISECOND = Fraction(1, 1000)
_MAX_HEADER = 64 << 10
_SIDES = range(16, 16385)
_MAX_FPS = 240
_NEEDS_HEADER = frozenset({"h264", "hevc"})
"""Their pictures cannot be read without."""
_HALF = 1 << 31


class Track:
    """Follows the configuration and the clock of a track. Begins with a key picture."""

    def __init__(self) -> None:
        self._config: CodecConfig | None = None
        self._codec = ""
        self._size = (0, 0)
        self._fps: float | None = None
        self._begun = False
        self._stamp = 0
        self._time_ms: int | None = None
        self.news: MediaInfo | None = None
        """A format that nobody was told of yet; whoever tells takes it out."""

    @property
    def begun(self) -> bool:
        """A key picture came."""
        return self._begun

    def take(self, message: Message, arrival: float) -> Packet | None:
        """Take the next video or data message; return the picture it brings. Check `news` first.

        Raises CodecUnsupported.
        """
        if message.kind != VIDEO:
            self._words(message)
            return None
        video = read(message.payload)
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
        if self._config is None or not (video.key or self._begun) or not video.data:
            return None
        self._begun = True
        return self._packet(self._config, video, message.timestamp, arrival)

    def _packet(self, config: CodecConfig, video: Video, stamp: int, arrival: float) -> Packet:
        if self._time_ms is None:
            self._time_ms = stamp
        else:  # 32 bits last for 49 days
            self._time_ms += (stamp - self._stamp + _HALF) % (2 * _HALF) - _HALF
        self._stamp = stamp
        dts = MediaTime(self._time_ms, _MILLISECOND)
        pts = MediaTime(self._time_ms + video.composition_ms, _MILLISECOND) if video.composition_ms else dts
        return Packet(config, video.data, pts, dts, video.key, arrival)

    def _configure(self, codec: str, header: bytes) -> None:
        refuse_unknown(codec)
        if len(header) > _MAX_HEADER or (codec in _NEEDS_HEADER and not header):
            return
        size = (avc_size(header) if codec == "h264" else None) or self._size
        config = CodecConfig(codec, header, *size)
        if config == self._config:
            return
        self._config, self._codec = config, codec
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
