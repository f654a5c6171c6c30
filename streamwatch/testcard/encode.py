"""Pictures in, muxed bytes out, at the pace of a live encoder. Everything stays in memory.

PyAV muxes into a Python object and never opens an output of its own: an output address that does not answer holds the
interpreter's lock, and every other thread with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Literal

import av
import cv2
import numpy as np
from av.video.frame import PictureType

from streamwatch.domain.clock import Clock

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

    Frame = NDArray[np.uint8]

Container = Literal["flv", "mpegts"]

_AUDIO_RATE: Final = 44100
_AUDIO_BLOCK: Final = 1024
_MAX_LATE_S: Final = 0.5
"""Later than this, frames are left out instead of sent in a burst: the stream stays live, its media time jumps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How a stream is encoded. Defaults suit a demo on a laptop: about 7 % of one core."""

    width: int = 640
    height: int = 360
    """Pixels; even numbers."""
    fps: int = 12
    key_interval_s: float = 2.0
    """Seconds between key pictures, exactly: no key is placed at a cut."""
    b_frames: int = 0
    """0: zero latency. Otherwise so many B pictures between anchors, as broadcasters' encoders do."""
    bitrate: int = 500_000
    """Upper bound, bits a second."""
    audio: bool = True
    """Add a silent AAC track: real streams have one, and readers must cope."""

    def __post_init__(self) -> None:
        if self.width % 2 or self.height % 2 or min(self.width, self.height) < 32:  # noqa: PLR2004
            raise ValueError("width and height must be even and at least 32")
        if not 1 <= self.fps <= 60 or self.key_interval_s * self.fps < 1 or not 0 <= self.b_frames <= 4:  # noqa: PLR2004
            raise ValueError("fps must be 1..60, the key interval at least one frame, b_frames 0..4")


class _Collector:
    """The file that the muxer believes to write."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


class Encoder:
    """Encodes one stream. Used by one thread at a time; holds native memory until `close`."""

    def __init__(self, encoding: Encoding, container: Container) -> None:
        self._encoding = encoding
        self._file = _Collector()
        options = (
            {"flvflags": "no_duration_filesize"}
            if container == "flv"
            # tables before every picture, so that a segment can begin at any key picture
            else {"mpegts_flags": "pat_pmt_at_frames", "mpegts_start_pid": "256"}
        )
        self._muxer = av.open(self._file, "w", format=container, options={**options, "flush_packets": "1"})
        self._video = self._add_video()
        self._audio = self._add_audio() if encoding.audio else None
        self._samples = 0
        self._closed = False

    def _add_video(self) -> VideoStream:
        encoding = self._encoding
        keys = round(encoding.fps * encoding.key_interval_s)
        latency = {"bf": str(encoding.b_frames)} if encoding.b_frames else {"tune": "zerolatency"}
        options = {"preset": "ultrafast", "crf": "26", "sc_threshold": "0", "forced-idr": "1", **latency}
        stream = self._muxer.add_stream("libx264", rate=encoding.fps, options=options)
        stream.width, stream.height, stream.pix_fmt = encoding.width, encoding.height, "yuv420p"
        context = stream.codec_context
        context.gop_size = keys
        context.thread_count = 1
        context.time_base = Fraction(1, encoding.fps)
        options |= {"maxrate": str(encoding.bitrate), "bufsize": str(encoding.bitrate), "keyint_min": str(keys)}
        context.options = options
        return stream

    def _add_audio(self) -> AudioStream:
        stream = self._muxer.add_stream("aac", rate=_AUDIO_RATE)
        stream.codec_context.layout = "mono"
        stream.codec_context.bit_rate = 32_000
        return stream

    def encode(self, picture: Frame, index: int, *, key: bool = False) -> bytes:
        """Encode H x W x 3 RGB as frame number `index` (media time index / fps; may leave numbers out).

        `key` makes it a key picture besides the regular ones.
        Returns what the muxer wrote meanwhile; empty while B pictures or interleaving hold it back.
        """
        # a third of what libswscale needs for the same conversion, which would be most of our work
        planes = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420), np.uint8)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = index
        frame.time_base = Fraction(1, self._encoding.fps)
        if key:
            frame.pict_type = PictureType.I
        self._muxer.mux(self._video.encode(frame))
        if self._audio is not None:
            self._silence(self._audio, round((index + 1) * _AUDIO_RATE / self._encoding.fps))
        return self._file.take()

    def _silence(self, stream: AudioStream, until: int) -> None:
        if until - self._samples > _AUDIO_RATE:  # frames were left out: so is their sound
            self._samples = until - _AUDIO_BLOCK
        while self._samples + _AUDIO_BLOCK <= until:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, _AUDIO_BLOCK), np.float32), format="fltp", layout="mono")
            frame.sample_rate = _AUDIO_RATE
            frame.pts = self._samples
            frame.time_base = Fraction(1, _AUDIO_RATE)
            self._samples += _AUDIO_BLOCK
            self._muxer.mux(stream.encode(frame))

    def close(self) -> bytes:
        """Finish: returns the last bytes and frees the encoder. A second call does nothing."""
        if self._closed:
            return b""
        self._closed = True
        self._muxer.mux(self._video.encode(None))
        if self._audio is not None:
            self._muxer.mux(self._audio.encode(None))
        self._muxer.close()
        return self._file.take()


class Pause:
    """Holds a live encoder still, as a stopped process would, until it is let go."""

    def __init__(self) -> None:
        self._running = asyncio.Event()
        self._running.set()

    def hold(self) -> None:
        """No more frames from now on."""
        self._running.clear()

    def release(self) -> None:
        """Frames again; the time held is left out of the stream."""
        self._running.set()

    async def passed(self) -> None:
        """Return once the encoder may go on."""
        await self._running.wait()


async def live(
    encoding: Encoding,
    container: Container,
    pictures: Callable[[float], Frame],
    *,
    clock: Clock,
    name: str,
    seconds: float | None = None,
    ahead_s: float = 0.0,
    pause: Pause | None = None,
) -> AsyncGenerator[bytes, None]:
    """Encode `pictures(t)` in real time: yields muxed bytes as they come, for `seconds` or until it is closed.

    `ahead_s` seconds of the stream come at once, as if it had begun so much earlier. Close the generator (`aclosing`).
    Drawing and encoding run in a thread of their own, named after the stream; the event loop only waits. A frame whose
    time passed by more than half a second is left out.
    """
    loop = asyncio.get_running_loop()
    last = None if seconds is None else round(seconds * encoding.fps)
    with ThreadPoolExecutor(1, thread_name_prefix=f"encode {name}") as pool:
        encoder = await loop.run_in_executor(pool, Encoder, encoding, container)
        try:
            start, index = clock.monotonic() - ahead_s, 0
            while last is None or index < last:
                await clock.sleep(start + index / encoding.fps - clock.monotonic())
                if pause is not None:
                    await pause.passed()
                late = clock.monotonic() - start - index / encoding.fps
                jump = late > _MAX_LATE_S and index >= ahead_s * encoding.fps
                if jump:
                    index += int(late * encoding.fps)
                data = await loop.run_in_executor(pool, _draw, encoder, pictures, index, encoding.fps, jump)
                index += 1
                if data:
                    yield data
            yield await loop.run_in_executor(pool, encoder.close)
        except BaseException:
            pool.submit(encoder.close)  # its own thread frees it; the pool waits for that
            raise


def _draw(encoder: Encoder, pictures: Callable[[float], Frame], index: int, fps: int, key: bool) -> bytes:  # noqa: FBT001
    return encoder.encode(pictures(index / fps), index, key=key)
