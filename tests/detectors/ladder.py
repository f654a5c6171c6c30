"""The test card as viewers get it: drawn, altered, encoded with x264 and decoded as a watcher decodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from streamwatch.testcard import variants
from streamwatch.testcard.pattern import STANDARD_SEED, test_card

Picture = NDArray[np.uint8]

HEIGHTS = (240, 360, 480, 720, 1080)
CRFS = (23, 28, 35, 40)
BARS = (0.02, 0.04, 0.06, 0.08, 0.10, 0.12)
WIDTHS = {240: 426, 360: 640, 480: 854, 720: 1280, 1080: 1920}
SIDE = 64


def _plain(picture: Picture) -> Picture:
    return picture


ALTERED: dict[str, Callable[[Picture], Picture]] = {
    "plain": _plain,
    "corner logo": variants.corner_logo,
    "lower third": variants.lower_third,
    **{f"letterbox {round(bar * 100)} %": partial(variants.letterboxed, share=bar) for bar in BARS},
    **{f"pillarbox {round(bar * 100)} %": partial(variants.pillarboxed, share=bar) for bar in BARS},
    "mirrored": variants.mirrored,
    "turned 90°": variants.turned,
    "turned 270°": partial(variants.turned, quarters=3),
    "9:16": _plain,
    "grey": variants.grey,
}


@dataclass(frozen=True)
class Rung:
    """One way to show the card."""

    variant: str
    height: int
    """Pixels of the shorter side before a turn."""
    crf: int

    def picture(self, seed: str = STANDARD_SEED) -> Picture:
        size = (WIDTHS[self.height], self.height)
        width, height = size[::-1] if self.variant == "9:16" else size
        return ALTERED[self.variant](test_card(width, height, seed=seed))

    def frames(self) -> Iterator[tuple[bool, Picture]]:
        """Yield (key, picture as the detector gets it) of the card: from a key picture on, and cut to inside a GOP."""
        card = self.picture()
        other = np.ascontiguousarray(np.broadcast_to(card.mean(axis=(0, 1)).astype(np.uint8), card.shape))
        shown = [True, True, True, False, True, True, True]
        decoded = through_x264((card if on else other for on in shown), crf=self.crf)
        yield from (frame for frame, on in zip(decoded, shown, strict=True) if on)


def ladder() -> list[Rung]:
    return [Rung(variant, height, crf) for variant in ALTERED for height in HEIGHTS for crf in CRFS]


def through_x264(
    pictures: Iterable[Picture], *, crf: int, gop: int = 250, side: int = SIDE
) -> list[tuple[bool, Picture]]:
    """Encode pictures of one size and decode them, squashed to `side x side` by area averaging: (key, picture)."""
    encoder = None
    packets = []
    for n, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        frame.pts = n
        if encoder is None:
            encoder = av.CodecContext.create("libx264", "w")
            encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "yuv420p"
            encoder.framerate, encoder.gop_size, encoder.thread_count = 25, gop, 1
            encoder.options = {"preset": "veryfast", "crf": str(crf), "sc_threshold": "0"}
        packets += encoder.encode(frame)
    if encoder is None:
        return []
    packets += encoder.encode(None)
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    scale = VideoReformatter()
    out = []
    for packet in [*packets, None]:
        for frame in decoder.decode(packet):
            small = scale.reformat(frame, width=side, height=side, format="rgb24", interpolation=Interpolation.AREA)
            out.append((bool(frame.key_frame), np.ascontiguousarray(small.to_ndarray())))
    return out
