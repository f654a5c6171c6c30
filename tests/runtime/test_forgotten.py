"""When a look is done its picture is nowhere in memory: another process reads all of ours and searches for it."""

from __future__ import annotations

import io
import json
import os
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from streamwatch.detectors.onnx import OnnxClassifier
from streamwatch.sources.decoder import PyavDecoder
from tests.sources import media

LOOKER = Path(__file__).parent / "looker.py"
MODEL = Path(__file__).parents[2] / "models" / "test-card"
PIECE = 64
FRAMES = 6
STEP = 16 * 1024 * 1024

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc overwrites what is freed")


def marker(size: tuple[int, int]) -> bytes:
    """A clip of noise, which no other memory looks like."""
    out = io.BytesIO()
    noise = np.random.default_rng(7)
    with av.open(out, "w", format="flv") as made:
        video = made.add_stream("libx264", rate=25, options={"preset": "ultrafast", "bf": "0", "qp": "12", "g": "50"})
        video.width, video.height = size
        video.pix_fmt = "yuv420p"
        video.codec_context.thread_count = 1
        for index in range(FRAMES):
            coarse = noise.integers(30, 226, (size[1] // 10, size[0] // 10, 3), np.uint8)  # what scaling leaves …
            fine = noise.integers(0, 30, (size[1], size[0], 3), np.uint8)  # … and what it does not
            frame = av.VideoFrame.from_ndarray(coarse.repeat(10, 0).repeat(10, 1) + fine, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            made.mux(video.encode(frame))
        made.mux(video.encode(None))
    return out.getvalue()


def pieces(kind: str, rows: np.ndarray) -> dict[bytes, str]:
    """One piece from the middle of each row: 64 bytes of noise do not come by chance."""
    found = {}
    for row in rows.reshape(rows.shape[0], -1):
        data = row.tobytes()
        piece = data[len(data) // 2 : len(data) // 2 + PIECE]
        if len(piece) == PIECE and len(set(piece)) > PIECE // 4:
            found[piece] = kind
    return found


def needles(packets: list[Any], detector: OnnxClassifier) -> dict[bytes, str]:
    """Pieces of every picture in every form that it takes on its way."""
    found: dict[bytes, str] = {}
    decoder = PyavDecoder(packets[0].config, max_pixels=10_000_000)
    for picture in decoder.pictures(packets, {packet.pts for packet in packets}):
        for plane, kind in zip(picture.frame.planes, ("Y", "U", "V"), strict=True):
            rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:, : plane.width]
            found |= pieces(kind, rows)
        pixels = picture.rgb(detector.info.width, detector.info.height)
        found |= pieces("scaled", pixels)  # and the tensor: this model takes it as it is
    return found


def search(pid: int, wanted: dict[bytes, str]) -> Counter[str]:
    """How many pieces of each kind are in the private, writable memory of a process.

    Only words at multiples of eight are looked at: any piece holds one, at one of eight distances from its beginning.
    """
    heads: dict[int, list[tuple[bytes, int]]] = {}
    for piece in wanted:
        for shift in range(8):
            heads.setdefault(int.from_bytes(piece[shift : shift + 8], "little"), []).append((piece, shift))
    maybe = np.zeros(1 << 24, np.bool_)
    maybe[[head & 0xFFFFFF for head in heads]] = True
    found: Counter[str] = Counter()
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in maps:
            span, rights, *_ = line.split()
            if not rights.startswith("rw") or rights[3] != "p":
                continue
            begin, end = (int(one, 16) for one in span.split("-"))
            for at in range(begin, end, STEP):
                data = b"".join(iter_read(memory.fileno(), at, min(at + STEP + PIECE, end)))
                words = np.frombuffer(data, np.uint64, len(data) // 8)
                for place in np.flatnonzero(maybe[words & np.uint64(0xFFFFFF)] & (words != 0)):
                    for piece, shift in heads.get(int(words[place]), ()):
                        where = int(place) * 8 - shift
                        if where >= 0 and data[where : where + PIECE] == piece:
                            found[wanted[piece]] += 1
    return found


def iter_read(descriptor: int, begin: int, end: int) -> Iterator[bytes]:
    while begin < end:
        try:
            data = os.pread(descriptor, end - begin, begin)
        except OSError:
            return  # guard pages and the like
        if not data:
            return
        yield data
        begin += len(data)


@pytest.fixture(scope="module")
def detector() -> OnnxClassifier:
    return OnnxClassifier(name="card", folder=MODEL)


def look(folder: Path, detector: OnnxClassifier, *, size: tuple[int, int], way: str, leak: str = "") -> Counter[str]:
    packets = media.packets(marker(size))
    config = packets[0].config
    packets = [packet._replace(pts=packet.pts) for packet in packets]
    told = {
        "codec": config.codec,
        "extradata": config.extradata.hex(),
        "width": config.width,
        "height": config.height,
        "packets": [packet.data.hex() for packet in packets],
    }
    file = folder / "packets.json"
    file.write_text(json.dumps(told))
    wanted = needles(packets, detector)
    assert set(wanted.values()) >= {"Y", "U", "V", "scaled"}
    with subprocess.Popen(
        [sys.executable, str(LOOKER), str(file), str(MODEL), way, leak],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert "looked\n" in process.stdout
        found = search(process.pid, wanted)
        process.communicate("\n", timeout=30)
    return found


@pytest.mark.parametrize("size", [(640, 360), (1920, 1080)])
@pytest.mark.parametrize("way", ["key", "contiguous", "back"])
def test_when_a_look_is_done_its_picture_is_nowhere(
    tmp_path: Path, detector: OnnxClassifier, way: str, size: tuple[int, int]
):
    assert look(tmp_path, detector, size=size, way=way) == {}


@pytest.mark.parametrize(
    ("leak", "way", "kinds"),
    [("planes", "key", {"Y", "U", "V"}), ("tensor", "key", {"scaled"}), ("freed", "contiguous", {"Y"})],
)
def test_the_search_finds_what_is_not_overwritten(
    tmp_path: Path, detector: OnnxClassifier, leak: str, way: str, kinds: set[str]
):
    assert set(look(tmp_path, detector, size=(640, 360), way=way, leak=leak)) >= kinds
