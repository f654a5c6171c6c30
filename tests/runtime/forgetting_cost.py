"""What forgetting costs: `python -m tests.runtime.forgetting_cost`. A look as it is, against one that overwrites
nothing, in turns; medians of processor time. No test: its figures are for people."""

from __future__ import annotations

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import ctypes
import functools
import io
import itertools
import statistics
import sys
import time
from pathlib import Path

import av
import cv2
import skimage.data

from streamwatch.detectors.onnx import OnnxClassifier, _Feed
from streamwatch.domain.media import Packet
from streamwatch.runtime import look
from streamwatch.sandbox import memory
from streamwatch.sources import decoder as module
from tests.sources import media

MODEL = Path(__file__).parents[2] / "models" / "test-card"
ROUNDS = 40
LOOKS = {(640, 360): 40, (1920, 1080): 8}


def photograph(size: tuple[int, int]) -> Packet:
    """A key picture as cameras make them, at an ordinary quality."""
    out = io.BytesIO()
    pixels = cv2.resize(skimage.data.astronaut(), size, interpolation=cv2.INTER_CUBIC)
    with av.open(out, "w", format="flv") as made:
        video = made.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "21"})
        video.width, video.height = size
        video.pix_fmt = "yuv420p"
        made.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        made.mux(video.encode(None))
    return media.packets(out.getvalue())[0]


def same(decoder: module.PyavDecoder) -> module.PyavDecoder:
    return decoder


def main() -> None:
    card = OnnxClassifier(name="card", folder=MODEL)
    libc = ctypes.CDLL(None)
    real_wipe, real_forget = module.wipe, _Feed.forget
    for freed, (size, looks) in itertools.product((True, False), LOOKS.items()):
        packet = photograph(size)
        decoder = module.PyavDecoder(packet.config, max_pixels=10_000_000)
        times: dict[bool, list[float]] = {True: [], False: []}
        for turn in range(2 * ROUNDS):
            forgets = turn % 2 == 0
            libc.mallopt(memory._M_PERTURB, memory._FREED if forgets and freed else 0)
            module.wipe = real_wipe if forgets else lambda *_: None
            _Feed.forget = real_forget if forgets else lambda _: None  # type: ignore[method-assign]
            began = time.thread_time()
            for _ in range(looks):
                look.at_key(functools.partial(same, decoder), packet, [card])
            times[forgets].append((time.thread_time() - began) / looks)
        with_, without = (statistics.median(times[way]) for way in (True, False))
        ratio = statistics.median(a / b for a, b in zip(times[True], times[False], strict=True))
        what = f"{size}, {'with' if freed else 'without'} what is freed"
        sys.stdout.write(f"{what}: {with_ * 1e3:.3f} ms a look, {without * 1e3:.3f} without; ratio {ratio:.4f}\n")


if __name__ == "__main__":
    main()
