"""Looks at the packets of a file, says `looked` and waits: for somebody who searches its memory meanwhile.

Started as `python looker.py PACKETS MODEL WAY LEAK`. `LEAK`: what of the overwriting is taken out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streamwatch.sandbox import memory


def nothing(*_: object) -> None:
    pass


def main(packets_file: str, model: str, way: str, leak: str) -> None:
    if leak != "freed":
        assert memory.wipe_freed()
    if leak == "planes":
        memory.wipe = nothing
    from streamwatch.detectors import onnx  # noqa: PLC0415
    from streamwatch.domain.media import CodecConfig, MediaTime, Packet  # noqa: PLC0415
    from streamwatch.runtime import look  # noqa: PLC0415
    from streamwatch.sources.decoder import PyavDecoder  # noqa: PLC0415

    if leak == "tensor":
        onnx._Feed.forget = nothing  # type: ignore[method-assign,assignment]
    said = json.loads(Path(packets_file).read_bytes())
    from fractions import Fraction  # noqa: PLC0415

    config = CodecConfig(said["codec"], bytes.fromhex(said["extradata"]), said["width"], said["height"])
    packets = [
        Packet(config, bytes.fromhex(data), MediaTime.of(n, Fraction(1, 25)), None, n == 0, 100 + n / 25)
        for n, data in enumerate(said["packets"])
    ]
    detectors: Sequence[Any] = [onnx.OnnxClassifier(name="card", folder=Path(model))]
    decoder = PyavDecoder(config, max_pixels=10_000_000)
    match way:
        case "key":
            for _ in range(3):
                assert look.at_key(lambda: decoder, packets[0], detectors).scores
        case "contiguous":
            seen = look.contiguous(lambda: decoder, packets, detectors, recent=packets, score=True)
            assert seen.scores
            decoder.reset()
        case "back":
            wanted = {packet.pts for packet in packets if packet.pts is not None}
            assert len(look.back(lambda: decoder, packets, wanted, detectors)) == len(packets)
        case _:
            raise ValueError(way)
    sys.stdout.write("looked\n")
    sys.stdout.flush()
    sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:])
