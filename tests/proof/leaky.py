"""Deliberate leaks, for the proof to find. Plug-ins of the real system, for tests only; nothing else imports this.

Each leak is a method of its own that runs once; the test knows by what each must be found.
"""

from __future__ import annotations

import base64
import contextlib
import mmap
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamwatch.detectors.onnx import OnnxClassifier
from streamwatch.domain.media import Scores

_HOARD = 160 << 20
_AT_LOADING = 4
"""Scores made when the model is loaded: of a blank picture and of the manifest's golden ones."""

Rgb = NDArray[np.uint8]


class Glutton(OnnxClassifier):
    """Keeps every picture, many times over, until it is too large: a leak of memory, not of footage."""

    def score(self, picture: Rgb) -> Scores:
        """Score, and keep."""
        if _looks(self) > _AT_LOADING:
            self.__dict__.setdefault("_hoard", []).append(np.tile(picture.ravel(), _HOARD // picture.size))
        return super().score(picture)


class Leaky(OnnxClassifier):
    """Lets pictures out in every way that it can."""

    def score(self, picture: Rgb) -> Scores:
        """Score, and leak."""
        if _looks(self) == _AT_LOADING + 1:
            for leak in LEAKS:
                with contextlib.suppress(OSError):
                    leak(picture)
        return super().score(picture)


def _looks(detector: OnnxClassifier) -> int:
    """How often it was asked, this time included."""
    count: int = detector.__dict__.get("_looks", 0) + 1
    detector.__dict__["_looks"] = count
    return count


def file(picture: Rgb) -> None:
    Path(f"leak-file-{os.getpid()}.raw").write_bytes(picture.tobytes())


def gone(picture: Rgb) -> None:
    """Written and taken away at once: no search of files can find it."""
    path = Path(f"leak-gone-{os.getpid()}.png")
    path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    path.unlink()


def attribute(picture: Rgb) -> None:
    path = Path(f"leak-attribute-{os.getpid()}")
    path.touch()
    os.setxattr(path, "user.note", picture[:5].tobytes())


def shared(picture: Rgb) -> None:
    """A part only: one row of the picture."""
    Path(f"/dev/shm/leak-shared-{os.getpid()}").write_bytes(picture[1].tobytes())  # noqa: S108


def mapped(picture: Rgb) -> None:
    """Through memory, with no call that carries a byte."""
    descriptor = os.open(f"leak-mapped-{os.getpid()}", os.O_RDWR | os.O_CREAT, 0o600)
    os.ftruncate(descriptor, 16384)
    with mmap.mmap(descriptor, 16384) as memory:
        memory[: picture.size] = picture.astype(np.uint8).tobytes()
    os.close(descriptor)


def memory(picture: Rgb) -> None:
    """A file that has no name anywhere."""
    os.write(os.memfd_create("leak"), picture.tobytes())


def log(picture: Rgb) -> None:
    """A few hundred bytes in a line of the log."""
    sys.stderr.write(f"seen {base64.b64encode(picture[1].tobytes()).decode()}\n")
    sys.stderr.flush()


def jpeg(picture: Rgb) -> None:
    """Another picture than any that is searched for: found for being a picture."""
    small = cv2.imencode(".jpg", cv2.resize(picture[:, ::-1], (40, 40)), [cv2.IMWRITE_JPEG_QUALITY, 33])[1]
    Path(f"leak-jpeg-{os.getpid()}").write_bytes(small.tobytes())


def thick(picture: Rgb) -> None:
    """So changed that nobody knows it: found for its size."""
    os.write(1, bytes(np.tile(picture.ravel() ^ 0x5A, 3)[:20_000]))


LEAKS: tuple[Callable[[Rgb], Any], ...] = (file, gone, attribute, shared, mapped, memory, log, jpeg, thick)


def record(url: str, state: Path) -> None:
    """What a daemon would do that records: the stream as it came, into the one folder where it may write."""
    import urllib.request  # noqa: PLC0415

    def fetch(address: str) -> bytes:
        with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310
            data: bytes = answer.read()
            return data

    listed = [line for line in fetch(url).decode().splitlines() if line and not line.startswith("#")]
    recorded = fetch(url.rpartition("/")[0] + "/" + listed[-1])
    (state / "cache.bin").write_bytes(recorded)
    Path("leak-daemon").write_bytes(b"nothing of the stream")
    sys.stdout.write(recorded[20_000:20_180].hex() + "\n")
    sys.stdout.flush()


def main() -> None:
    """`python -m tests.proof.leaky run CONFIG`: the daemon, with a thread that records."""
    import yaml  # noqa: PLC0415

    from streamwatch.cli.main import main as streamwatch  # noqa: PLC0415

    settings = yaml.safe_load(Path(sys.argv[2]).read_text())
    url = next(stream["url"] for stream in settings["streams"] if stream["url"].startswith("http"))
    timer = threading.Timer(8.0, record, (url, Path(settings["state"])))
    timer.daemon = True
    timer.start()
    streamwatch()


if __name__ == "__main__":
    main()
