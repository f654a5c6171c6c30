"""Synthetic media made on the spot: a moving gradient, small and quickly encoded."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from streamwatch.domain.media import CodecConfig, MediaTime, Packet
from streamwatch.domain.streams import SamplingSpec, StreamId, StreamSpec
from streamwatch.domain.urls import SafeUrl

FPS = 25
X264 = {"preset": "ultrafast", "bf": "0", "g": "25", "keyint_min": "25", "sc_threshold": "0", "threads": "1"}
X264_B = {"preset": "veryfast", "bf": "3", "g": "25", "sc_threshold": "0", "threads": "1"}
X264_OPEN = {
    "preset": "veryfast", "bf": "3", "g": "25", "threads": "1", "x264-params": "open-gop=1:scenecut=0:keyint=25"
}  # fmt: skip
X265 = {"preset": "ultrafast", "x265-params": "keyint=25:log-level=none:pools=1:frame-threads=1"}
SAMPLING = SamplingSpec(max_gap_s=10, min_gap_s=0.5, lookback_s=4, novelty=True, jitter=0, inner=0)


def picture(index: int, width: int, height: int) -> NDArray[np.uint8]:
    image = np.empty((height, width, 3), np.uint8)
    image[:, :, 0] = (np.arange(width)[None, :] + 3 * index) % 256
    image[:, :, 1] = (2 * np.arange(height)[:, None] + index) % 256
    image[:, :, 2] = 60
    left = (4 * index) % max(1, width - 30)
    image[height // 4 : height // 4 + 30, left : left + 30] = 240
    return image


def encode(
    container: str,
    *,
    codec: str = "libx264",
    size: tuple[int, int] = (160, 120),
    frames: int = 50,
    options: dict[str, str] | None = None,
    pixels: str = "yuv420p",
    first: int = 0,
    audio: bool = False,
) -> bytes:
    """A whole file. `first`: number of the first frame, so that segments continue one another in time."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as made:
        video = made.add_stream(codec, rate=FPS, options=X264 if options is None else options)
        video.width, video.height = size
        video.pix_fmt = pixels
        video.codec_context.thread_count = 1
        sound = made.add_stream("aac", rate=8000, layout="mono") if audio else None
        for index in range(first, first + frames):
            frame = av.VideoFrame.from_ndarray(picture(index, *size), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            made.mux(video.encode(frame))
            if sound is not None:
                noise = av.AudioFrame.from_ndarray(np.zeros((1, 320), np.float32), format="fltp", layout="mono")
                noise.sample_rate, noise.pts, noise.time_base = 8000, index * 320, Fraction(1, 8000)
                made.mux(sound.encode(noise))
        made.mux(video.encode(None))
        if sound is not None:
            made.mux(sound.encode(None))
    return out.getvalue()


def join_flv(*files: bytes) -> bytes:
    """One FLV after the other, as a server passes on a second publisher: a new sequence header, time begins anew."""
    return files[0] + b"".join(data[13:] for data in files[1:])


def write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def packets(data: bytes) -> list[Packet]:
    """The video packets of a file, read without the reader under test."""
    found: list[Packet] = []
    with av.open(io.BytesIO(data)) as container:
        video = container.streams.video[0]
        context = video.codec_context
        config = CodecConfig(context.codec.canonical_name, context.extradata or b"", context.width, context.height)
        for index, packet in enumerate(container.demux(video)):
            if packet.size:
                found.append(
                    Packet(
                        config=config,
                        data=bytes(packet),
                        pts=None if packet.pts is None else MediaTime.of(packet.pts, packet.time_base),
                        dts=None if packet.dts is None else MediaTime.of(packet.dts, packet.time_base),
                        key=packet.is_keyframe,
                        arrival=100 + index / FPS,
                    )
                )
    return found


def full_decode(data: bytes) -> dict[Fraction, NDArray[np.uint8]]:
    """Every picture by presentation time, decoded in the ordinary way."""
    with av.open(io.BytesIO(data)) as container:
        return {frame.pts * frame.time_base: frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)}


def spec(url: str | Path, *, fast: bool = False) -> StreamSpec:
    return StreamSpec(id=StreamId("lobby"), url=SafeUrl(str(url)), sampling=SAMPLING, name="lobby", fast=fast)
