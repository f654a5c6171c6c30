"""The programme as an encoder makes it: one FLV file, kept in a folder of temporary files for the next run.

`python -m streamwatch.bench.clip KIND FILE` draws and encodes; the bench starts it, because drawing takes seconds.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Final, NamedTuple

from streamwatch.bench import scenes
from streamwatch.domain.errors import OutsideError
from streamwatch.testcard.flv import FlvSplitter, FlvTag, TagKind

FPS: Final = 25
KEY_INTERVAL_S: Final = 2.0
_GOP: Final = round(FPS * KEY_INTERVAL_S)
_ENCODE_S: Final = 240.0
_END: Final = b"\x17\x02"
"""The last tag of a file: the end of the sequence, which here never comes."""


@dataclass(frozen=True, slots=True)
class ClipSpec:
    """What is encoded, and how."""

    width: int
    height: int
    kilobits: int
    """Of the video, a second; also its cap."""
    seconds: int = 30
    """Length; it is shown over and over. A multiple of the key interval."""
    seed: int = 1

    @property
    def name(self) -> str:
        """Of its file: changes with everything that the bytes depend on."""
        facts = repr(sorted(asdict(self).items())) + inspect.getsource(scenes) + inspect.getsource(_command)
        return f"{self.height}p-{hashlib.sha256(facts.encode()).hexdigest()[:12]}.flv"


SIZES: Final = {
    "180p": ClipSpec(320, 180, 250, seconds=8),
    "360p": ClipSpec(640, 360, 590),
    "720p": ClipSpec(1280, 720, 2360),
    "1080p": ClipSpec(1920, 1080, 3500),
}
"""Bit rates as services ask for them; 180p is for trying the bench itself."""


class Gop(NamedTuple):
    """One closed group of pictures with its sound: tags at milliseconds from its beginning."""

    tags: tuple[FlvTag, ...]


@dataclass(frozen=True, slots=True)
class Clip:
    """An encoded programme, cut where it can be joined again."""

    spec: ClipSpec
    headers: tuple[FlvTag, ...]
    programme: tuple[Gop, ...]
    marker: Gop
    """One group that shows the marker, to be shown in the place of another."""

    @property
    def key_bytes(self) -> float:
        """Mean size of a key picture of the programme."""
        return mean(len(key.payload) for key in self.key_pictures())

    def key_pictures(self) -> tuple[FlvTag, ...]:
        """The key pictures of the programme."""
        return tuple(next(tag for tag in gop.tags if tag.is_key) for gop in self.programme)

    @property
    def bits_per_s(self) -> float:
        """Of picture and sound."""
        return 8 * sum(len(tag.payload) for gop in self.programme for tag in gop.tags) / self.spec.seconds


def cache_folder() -> Path:
    """Where encoded programmes and models wait for the next run: temporary files of this user."""
    folder = Path(tempfile.gettempdir()) / f"streamwatch-bench-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.stat()
    if facts.st_uid != os.getuid() or facts.st_mode & 0o022:
        raise OutsideError(f"{folder} belongs to somebody else, or others may write there: remove it")
    return folder


def load(path: Path, spec: ClipSpec) -> Clip:
    """Read an encoded programme. Raises OutsideError where it is not what `encode` writes."""
    tags = FlvSplitter().feed(path.read_bytes())
    headers = tuple(tag for tag in tags if tag.is_header or tag.kind is TagKind.DATA)
    media = [tag for tag in tags if not tag.is_header and tag.kind is not TagKind.DATA and tag.payload[:2] != _END]
    keys = [tag.timestamp_ms for tag in media if tag.is_key]
    span = round(1000 * KEY_INTERVAL_S)
    if len(keys) != spec.seconds // KEY_INTERVAL_S + 2 or any(b - a != span for a, b in itertools.pairwise(keys)):
        raise OutsideError(f"{path} is no programme of this bench: remove it")
    gops = tuple(
        Gop(
            tuple(
                FlvTag(tag.kind, tag.timestamp_ms - begin, tag.payload)
                for tag in media
                if begin <= tag.timestamp_ms < begin + span
            )
        )
        for begin in keys
    )
    return Clip(spec, headers, gops[1:-1], gops[-1])


def encode(spec: ClipSpec, path: Path) -> None:
    """Draw and encode. Raises OutsideError where ffmpeg fails.

    One group before the programme lets the encoder find its rate, and is not shown; one after it shows the marker.
    """
    programme = scenes.Programme(spec.width, spec.height, seconds=spec.seconds, seed=spec.seed)
    new = path.with_suffix(f".{os.getpid()}.flv")
    with subprocess.Popen(  # noqa: S603 - our own words
        _command(spec, str(new)), stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as encoder:
        assert encoder.stdin is not None  # noqa: S101 - as asked for
        try:
            for number in range(-_GOP, spec.seconds * FPS):
                encoder.stdin.write(programme.picture(number / FPS % spec.seconds).tobytes())
            for number in range(_GOP):
                encoder.stdin.write(programme.marker(number / FPS).tobytes())
            _, said = encoder.communicate(timeout=_ENCODE_S)
        except BrokenPipeError:
            _, said = encoder.communicate(timeout=_ENCODE_S)
        finally:
            encoder.kill()
    if encoder.returncode:
        new.unlink(missing_ok=True)
        raise OutsideError(f"ffmpeg cannot encode: {said.decode(errors='replace')[-500:].strip()}")
    new.replace(path)


def _command(spec: ClipSpec, path: str) -> list[str]:
    """As encoders of live streams are set: B pictures, regular keys, a capped rate; sound that takes its bits."""
    rate = f"{spec.kilobits}k"
    seconds = spec.seconds + 2 * KEY_INTERVAL_S
    return [
        "ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-y",
        "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{spec.width}x{spec.height}", "-r", str(FPS), "-i", "pipe:0",
        "-f", "lavfi", "-t", f"{seconds:g}", "-i", f"anoisesrc=color=pink:amplitude=0.2:seed={spec.seed}",
        "-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", "-bf", "3", "-b-pyramid", "normal",
        "-g", str(_GOP), "-keyint_min", str(_GOP), "-sc_threshold", "0",
        "-b:v", rate, "-maxrate", rate, "-bufsize", f"{2 * spec.kilobits}k",
        "-c:a", "aac", "-b:a", "128k", "-ar", "48000", "-ac", "2",
        "-f", "flv", "-flvflags", "no_duration_filesize", path,
    ]  # fmt: skip


def main() -> None:
    """Encode the programme that the arguments name."""
    kind, path = sys.argv[1:]
    encode(SIZES[kind], Path(path))


if __name__ == "__main__":
    main()
