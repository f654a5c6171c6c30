"""Packets in, pictures out: the only place where compressed bytes turn into pixels. Runs in a decode worker."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import av
import av.error
from av.codec import Codec, CodecContext
from av.packet import PacketSideData, packet_sidedata_type_from_literal
from av.video.reformatter import Interpolation, VideoReformatter

from streamwatch.domain.errors import CodecUnsupported, DecodeFailed
from streamwatch.domain.media import CodecConfig, MediaTime, Packet
from streamwatch.sandbox.memory import Shroud, wipe, wipe_freed
from streamwatch.sources.annexb import is_annexb, parameter_sets
from streamwatch.sources.codecs import refuse_unknown
from streamwatch.sources.step import native

if TYPE_CHECKING:
    import numpy as np
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from numpy.typing import NDArray

_RESTORABLE = frozenset({"h264", "hevc"})
"""Codecs whose decoder takes its parameter sets anew with every key packet; others get a fresh context for each."""
_DECODERS = {"av1": "libdav1d"}
"""Where FFmpeg's first choice is a decoder that needs hardware."""
_NEW_EXTRADATA = packet_sidedata_type_from_literal("new_extradata")
_PADDING = 64
"""Zero bytes that FFmpeg's bit readers may touch beyond the end (AV_INPUT_BUFFER_PADDING_SIZE)."""
_SCALING = Interpolation.AREA | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
"""By area, since the cheap filters alias, with a colour for each pixel: without that it is 38 dB from the exact picture
instead of 43, for 0.1 ms less."""
_MAX_PENDING = 512
"""Presentation times remembered for pictures that have not come out yet."""


def _padded(data: bytes) -> av.Packet:  # type: ignore[type-arg]
    """Return a packet in FFmpeg's own padded memory; `av.Packet(bytes)` would lend it ours, which has no padding."""
    made = av.Packet(len(data))
    if data:
        made.update(data)
    return made


def _overwrite(frame: VideoFrame) -> None:
    """Its pixels are gone, in the decoder's store of buffers as well."""
    for plane in frame.planes:
        wipe(plane.buffer_ptr, plane.buffer_size)


@dataclass(frozen=True, slots=True, eq=False)
class PyavPicture:
    """A decoded frame. Scaled by the decoder's own reformatter, so it stays with the thread that decoded it."""

    frame: VideoFrame
    pts: MediaTime | None
    _reformatter: VideoReformatter
    _alone: bool = False
    """No other picture is built on it, and the decoder is done with it."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as decoded."""
        return self.frame.width, self.frame.height

    @property
    def corrupt(self) -> bool:
        """The decoder concealed an error or was told of one."""
        return self.frame.is_corrupt

    def rgb(self, width: int, height: int) -> NDArray[np.uint8]:
        """`height x width x 3` uint8, C-contiguous, own memory.

        Raises DecodeFailed where the pixel format cannot be converted.
        """
        import numpy as np  # noqa: PLC0415 - a watcher that only reads needs no numpy

        try:
            with native:
                small = self._reformatter.reformat(
                    self.frame, width, height, "rgb24", interpolation=_SCALING, threads=1
                )
            pixels = np.array(small.to_ndarray(), np.uint8, order="C")  # copied: it may be the frame's own memory
        except (av.error.FFmpegError, ValueError) as e:
            raise DecodeFailed(f"pixel format {self.frame.format.name} cannot be converted") from e
        if small is not self.frame:
            _overwrite(small)
        return pixels

    def forget(self) -> None:
        """See `Picture.forget`."""
        if self._alone:
            _overwrite(self.frame)


class _Flow:
    """One contiguous decoding, from a key packet on: packets in, frames out some packets later, with their times."""

    def __init__(self, context: VideoCodecContext) -> None:
        self._context = context
        self._times: OrderedDict[int, MediaTime | None] = OrderedDict()
        self._tick = 0

    @property
    def begun(self) -> bool:
        """Whether the packet to begin with was decoded."""
        return self._tick > 0

    def decode(self, packet: Packet, made: av.Packet, *, whole: bool) -> list[VideoFrame]:  # type: ignore[type-arg]
        """Decode the next packet, `made` for the decoder; not `whole`: pass it over if no other picture depends on it.

        Raises as PyAV.
        """
        self._tick += 1
        made.pts = self._tick
        self._times[self._tick] = packet.pts
        if len(self._times) > _MAX_PENDING:
            self._times.popitem(last=False)
        # NONREF and no more: what a P picture refers to is not ours to guess, and BIDIR would leave some of it out.
        self._context.skip_frame = "DEFAULT" if whole else "NONREF"
        with native:
            return self._context.decode(made)

    def drain(self) -> list[VideoFrame]:
        """The frames held back; the end of this flow. Raises as PyAV."""
        with native:
            return self._context.decode(None)

    def time_of(self, frame: VideoFrame) -> MediaTime | None:
        """The presentation time of the packet that carried this frame."""
        return self._times.get(frame.pts) if frame.pts is not None else None


class PyavDecoder:
    """Decodes packets of one codec configuration. One thread at a time.

    Sharing one decoder between the streams of equal `CodecConfig.digest` is safe: `key` leaves nothing behind that
    the next `key` reads. The decoder is flushed, and the one thing a flush keeps, the parameter sets, is written anew
    before every key packet (from the configuration's extradata, or from the packet itself), so that a broadcaster who
    sends parameter sets of his own inside his packets spoils nobody else's pictures. `feed` keeps a context of its
    own, made fresh after `reset`: whoever shares calls `reset` before the first `feed` of another stream.
    """

    def __init__(self, config: CodecConfig, *, max_pixels: int) -> None:
        """Raise CodecUnsupported where there is no decoder. `max_pixels` is judged when a packet comes."""
        self._config = config
        self._max_pixels = max_pixels
        refuse_unknown(config.codec)
        try:
            self._codec = Codec(_DECODERS.get(config.codec, config.codec), "r")
        except ValueError as e:
            raise CodecUnsupported(f"no decoder for {config.codec}") from e
        self._reformatter = VideoReformatter()
        self._shroud = Shroud()
        self._single: VideoCodecContext | None = None
        self._flow: _Flow | None = None

    def key(self, packet: Packet) -> PyavPicture | None:
        """See `Decoder.key`: one packet, drained and flushed, is pixel-exact for any codec with true key pictures."""
        if self._single is None or self._config.codec not in _RESTORABLE:
            self._single = self._context()
        context = self._single
        try:
            with native:
                frames = context.decode(self._restoring(packet)) + context.decode(None)
        except (av.error.FFmpegError, ValueError) as e:
            self._single = None  # a decoder that failed is not asked again: what state it is in is anyone's guess
            raise _failed(e) from e
        context.flush_buffers()
        for frame in frames:
            for plane in frame.planes:
                self._shroud.cover(plane.buffer_ptr, plane.buffer_size)
        for frame in frames[:-1]:
            _overwrite(frame)
        if not frames:
            return None
        try:
            return self._picture(frames[-1], packet.pts, alone=True)
        except DecodeFailed:
            _overwrite(frames[-1])
            raise

    def feed(self, packets: Sequence[Packet]) -> PyavPicture | None:
        """See `Decoder.feed`. A damaged packet among good ones is passed over; DecodeFailed when all of them failed."""
        flow = self._flow
        if flow is None:
            flow = self._flow = _Flow(self._context())
        newest: VideoFrame | None = None
        failure: Exception | None = None
        came = False
        for packet in packets:
            try:
                frames = flow.decode(packet, self._next(flow, packet), whole=False)
            except (av.error.FFmpegError, ValueError) as e:
                failure = e
                continue
            came = True
            newest = frames[-1] if frames else newest
        if failure is not None and not came:
            raise _failed(failure) from failure
        return None if newest is None else self._picture(newest, flow.time_of(newest))

    def pictures(self, packets: Sequence[Packet], wanted: Collection[MediaTime]) -> Iterator[PyavPicture]:
        """See `Decoder.pictures`. A damaged packet among good ones is passed over."""
        last = max((i for i, packet in enumerate(packets) if packet.pts in wanted), default=-1)
        if last < 0:
            return
        flow = _Flow(self._context())
        for packet in packets[: last + 1]:
            try:
                frames = flow.decode(packet, self._next(flow, packet), whole=packet.pts in wanted)
            except (av.error.FFmpegError, ValueError):
                continue
            yield from self._wanted(flow, frames, wanted)
        try:
            frames = flow.drain()
        except (av.error.FFmpegError, ValueError) as e:
            raise _failed(e) from e
        yield from self._wanted(flow, frames, wanted)

    def _wanted(
        self, flow: _Flow, frames: Sequence[VideoFrame], wanted: Collection[MediaTime]
    ) -> Iterator[PyavPicture]:
        for frame in frames:
            time = flow.time_of(frame)
            if time is not None and time in wanted:
                yield self._picture(frame, time)

    def reset(self) -> None:
        """See `Decoder.reset`."""
        self._flow = None

    def _context(self) -> VideoCodecContext:
        self._check_size(self._config.width, self._config.height)
        context = cast("VideoCodecContext", CodecContext.create(self._codec, "r"))
        context.thread_count = 1
        context.options = {"max_pixels": str(self._max_pixels)}  # FFmpeg refuses before it allocates
        if self._config.extradata:
            context.extradata = self._config.extradata
        if self._config.width and self._config.height:
            context.width, context.height = self._config.width, self._config.height
        try:
            with native:
                context.open()
        except (av.error.PatchWelcomeError, av.error.NotImplementedError) as e:
            # Said before any packet came, so it is true of the whole configuration.
            raise CodecUnsupported(f"a kind of {self._config.codec} that FFmpeg does not know") from e
        except (av.error.FFmpegError, ValueError) as e:
            raise _failed(e) from e
        return context

    def _next(self, flow: _Flow, packet: Packet) -> av.Packet:  # type: ignore[type-arg]
        return _padded(packet.data) if flow.begun else self._restoring(packet)

    def _restoring(self, packet: Packet) -> av.Packet:  # type: ignore[type-arg]
        """Return the packet with everything it needs beside it: its parameter sets."""
        extradata, data = self._config.extradata, packet.data
        if self._config.codec not in _RESTORABLE or not extradata:
            return _padded(data)
        if is_annexb(extradata):
            return _padded(data if parameter_sets(self._config.codec, data) else extradata + data)
        made = _padded(data)
        side = PacketSideData(_NEW_EXTRADATA, len(extradata) + _PADDING)  # type: ignore[call-arg]
        side.update(extradata + bytes(_PADDING))
        side.to_packet(made, move=True)
        return made

    def _picture(self, frame: VideoFrame, pts: MediaTime | None, *, alone: bool = False) -> PyavPicture:
        self._check_size(frame.width, frame.height)
        return PyavPicture(frame, pts, self._reformatter, alone)

    def _check_size(self, width: int, height: int) -> None:
        if width * height > self._max_pixels:
            raise DecodeFailed(f"{width} x {height} pictures are larger than limits.max_pixels ({self._max_pixels})")


def _failed(error: BaseException) -> DecodeFailed:
    """Whatever one packet met, PatchWelcome too, says nothing of the next one: the broadcaster writes each anew."""
    return DecodeFailed(f"no picture in these bytes ({type(error).__name__})")


def make_decoder(config: CodecConfig, *, max_pixels: int) -> PyavDecoder:
    """Return a decoder; bound to `max_pixels` with functools.partial this is the runtime's `DecoderFactory`.

    From the first one on, freed memory is overwritten.
    """
    wipe_freed()
    return PyavDecoder(config, max_pixels=max_pixels)
