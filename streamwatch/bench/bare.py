"""The libraries used bare, as a person without us would: what we compare with, and what no one can go under.

`python -m streamwatch.bench.bare bound SIZE FILE MODEL` prints the processor milliseconds of one look, part by part;
`... opencv URL GAP` and `... pyav URL GAP` watch a stream by decoding all of it until they are stopped, and scale one
picture every GAP seconds to the side of a detector's input. Each runs as a process of its own.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from streamwatch.bench import clip
from streamwatch.testcard.flv import TagKind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIDE: Final = 224
_WARM_LOOKS: Final = 15
_LOOKS: Final = 150
_AVC_HEAD: Final = 5
"""Bytes of an FLV video tag before the picture."""


def bound(size: str, file: Path, model: Path) -> dict[str, float]:
    """Mean processor milliseconds a look: one key picture decoded alone, scaled by area, scored; everything warm."""
    import av  # noqa: PLC0415 - each way loads only what it needs, as its memory is measured too
    from av.video.reformatter import Interpolation, VideoReformatter  # noqa: PLC0415

    from streamwatch.detectors.onnx import OnnxClassifier  # noqa: PLC0415

    made = clip.load(file, clip.SIZES[size])
    keys = [key.payload[_AVC_HEAD:] for key in made.key_pictures()]
    context = av.CodecContext.create("h264", "r")
    context.thread_count = 1
    context.extradata = next(tag for tag in made.headers if tag.kind is TagKind.VIDEO).payload[_AVC_HEAD:]
    scaler, detector = VideoReformatter(), OnnxClassifier(name="bound", folder=model)
    side = detector.info.width
    spent = [0.0, 0.0, 0.0]
    for number, key in enumerate(itertools.islice(itertools.cycle(keys), _WARM_LOOKS + _LOOKS)):
        begun = time.thread_time()
        frame = (context.decode(av.Packet(key)) + context.decode(None))[-1]
        context.flush_buffers()
        decoded = time.thread_time()
        small = scaler.reformat(frame, side, side, "rgb24", interpolation=Interpolation.AREA, threads=1).to_ndarray()
        scaled = time.thread_time()
        detector.score(cast("NDArray[np.uint8]", small))
        scored = time.thread_time()
        if number >= _WARM_LOOKS:
            for part, seconds in enumerate((decoded - begun, scaled - decoded, scored - scaled)):
                spent[part] += seconds
    return dict(zip(("decode_ms", "scale_ms", "infer_ms"), (1000 * part / _LOOKS for part in spent), strict=True))


def opencv(url: str, gap_s: float) -> None:
    """`VideoCapture.read()`, as tutorials do."""
    import cv2  # noqa: PLC0415 - as above

    capture = cv2.VideoCapture(url)
    due = 0.0
    while True:
        good, picture = capture.read()
        if not good:
            sys.exit("the stream ended")
        if time.monotonic() >= due:
            cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            due = time.monotonic() + gap_s


def pyav(url: str, gap_s: float) -> None:
    """`container.decode()`, one picture in GAP seconds turned into an array."""
    import av  # noqa: PLC0415 - as above

    due = 0.0
    with av.open(url) as container:
        for frame in container.decode(video=0):
            if time.monotonic() >= due:
                frame.reformat(SIDE, SIDE, "rgb24", interpolation="AREA").to_ndarray()
                due = time.monotonic() + gap_s
    sys.exit("the stream ended")


def main() -> None:
    """Do what the arguments say."""
    match sys.argv[1:]:
        case ["bound", size, file, model]:
            print(json.dumps(bound(size, Path(file), Path(model))))  # noqa: T201 - whoever started us reads it
        case ["opencv", url, gap]:
            opencv(url, float(gap))
        case ["pyav", url, gap]:
            pyav(url, float(gap))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
