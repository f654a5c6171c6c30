"""From av's packets to ours: times with their unit inside, and a codec configuration that follows the stream."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from streamwatch.domain.errors import CodecUnsupported, StreamError
from streamwatch.domain.media import CodecConfig, MediaTime, Packet
from streamwatch.sources.annexb import parameter_sets
from streamwatch.sources.codecs import refuse_unknown
from streamwatch.sources.decoder import PyavDecoder

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

_MEASURE_EVERY_S = 1.0
"""A broadcaster who changes format all the time makes us decode no more than one picture a second for its size."""


def video_stream(container: InputContainer) -> VideoStream | None:
    """The video track to read: the first that is no cover picture; all other tracks are discarded in the demuxer."""
    import av.stream  # noqa: PLC0415 - only where av is at hand anyway

    chosen: VideoStream | None = None
    for stream in container.streams:
        cover = bool(stream.disposition & av.stream.Disposition.attached_pic)
        if chosen is None and stream.type == "video" and not cover:
            chosen = stream  # type: ignore[assignment]
        else:
            stream.discard = av.stream.Discard.all
    return chosen


def config_of(stream: VideoStream) -> CodecConfig:
    """The configuration as the container announces it. Raises CodecUnsupported where there is no decoder."""
    context: Any = stream.codec_context  # None where FFmpeg knows no decoder, whatever the stubs say
    if context is None:
        raise CodecUnsupported("a video codec that FFmpeg cannot decode")
    codec = str(context.codec.canonical_name)
    refuse_unknown(codec)
    return CodecConfig(
        codec=codec,
        extradata=context.extradata or b"",
        width=context.width,
        height=context.height,
    )


class PacketConverter:
    """Turns the packets of one video track into ours. `changed` says that the last one brought a new configuration."""

    def __init__(self, stream: VideoStream, *, max_pixels: int) -> None:
        self._time_base = stream.time_base or Fraction(1, 1000)
        self._max_pixels = max_pixels
        self._in_band = b""
        self._measured_at = float("-inf")
        self.config = config_of(stream)
        self.changed = False

    def convert(self, packet: av.Packet[VideoStream], arrival: float) -> Packet:
        """Copy the payload out and follow changes of format."""
        data = bytes(packet)
        self.changed = self._follow(packet, data, arrival)
        return Packet(
            config=self.config,
            data=data,
            pts=self._time(packet.pts),
            dts=self._time(packet.dts),
            key=packet.is_keyframe,
            arrival=arrival,
        )

    def media_s(self, packet: av.Packet[VideoStream]) -> float | None:
        """The packet's time in seconds on the stream's own scale, the decoding time where it is known."""
        ticks = packet.dts if packet.dts is not None else packet.pts
        return None if ticks is None else float(ticks * self._time_base)

    def _time(self, ticks: int | None) -> MediaTime | None:
        return None if ticks is None else MediaTime.of(ticks, self._time_base)

    def _follow(self, packet: av.Packet[VideoStream], data: bytes, arrival: float) -> bool:
        """A change comes once, beside a packet (FLV, RTMP), or inside every key packet (MPEG-TS, RTSP)."""
        extradata = b""
        if packet.has_sidedata("new_extradata"):
            extradata = bytes(packet.get_sidedata("new_extradata"))
            if extradata == self.config.extradata:
                extradata = b""
        elif packet.is_keyframe:
            extradata = self._changed_in_band(data)
        if not extradata:
            return False
        width, height = self._measure(extradata, packet, data, arrival)
        self.config = CodecConfig(self.config.codec, extradata, width, height)
        return True

    def _changed_in_band(self, data: bytes) -> bytes:
        found = parameter_sets(self.config.codec, data)
        before, self._in_band = self._in_band, found or self._in_band
        return found if before and found and found != before else b""

    def _measure(
        self, extradata: bytes, packet: av.Packet[VideoStream], data: bytes, arrival: float
    ) -> tuple[int, int]:
        """The size of pictures under a new configuration, from one decoded picture; (0, 0) where it stays unknown."""
        if not packet.is_keyframe or arrival - self._measured_at < _MEASURE_EVERY_S:
            return 0, 0
        self._measured_at = arrival
        config = CodecConfig(self.config.codec, extradata)
        try:
            picture = PyavDecoder(config, max_pixels=self._max_pixels).key(
                Packet(config=config, data=data, pts=None, dts=None, key=True, arrival=arrival)
            )
        except StreamError:
            return 0, 0  # the decode worker will meet the same packet and say what is wrong with it
        return picture.size if picture else (0, 0)
