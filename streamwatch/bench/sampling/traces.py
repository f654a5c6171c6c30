"""Packets of long programmes as an encoder made them: when each came, its size, key or anchor. Recorded once, kept.

Nothing else is needed of a stream to simulate when it is looked at, so that a trace of ten minutes takes 60 kB.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
import json
import os
import subprocess
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, NamedTuple

from streamwatch.bench import scenes
from streamwatch.bench.clip import FPS
from streamwatch.bench.sampling import programme
from streamwatch.bench.sampling.programme import Event, Plot
from streamwatch.domain.errors import OutsideError
from streamwatch.testcard.flv import FlvSplitter, TagKind

RECORDED: Final = Path(__file__).parent / "recorded"
"""Traces that need no encoder: for a quick run, and for tests."""
RECORDED_CUTS: Final = (2, 18)

WIDTH, HEIGHT, KILOBITS = 640, 360, 590
_SHORT_GOP, _LONG_GOP = 2 * FPS, 4 * FPS
_LEAD_S: Final = 8.0
"""Encoded before the programme, so that rate control has settled; not part of the trace."""
_ENCODE_S: Final = 600.0
_ZERO: Final = ord("m")
"""In a file, of pictures that are shown as they come; each letter further is a frame later."""
_PICTURE: Final = b"\x01"
"""Second byte of a tag that holds coded pictures; its presentation time follows."""


@dataclass(frozen=True, slots=True)
class TraceSpec:
    """What is drawn and encoded."""

    cuts_per_minute: int
    """Other cuts."""
    seconds: int
    seed: int = 1

    @property
    def name(self) -> str:
        """Of its file: changes with everything that the sizes depend on."""
        sources = (inspect.getsource(part) for part in (scenes, programme, _command))
        facts = repr(sorted(asdict(self).items())) + "".join(sources)
        return f"trace-{self.cuts_per_minute}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"


@dataclass(frozen=True, slots=True)
class Trace:
    """Packets in the order in which they come, and what was shown."""

    scenecut: bool
    cuts_per_minute: int
    plot: Plot
    arrivals: tuple[float, ...]
    """Seconds from the beginning."""
    sizes: tuple[int, ...]
    """Bytes."""
    keys: tuple[bool, ...]
    anchors: tuple[bool, ...]
    shown: tuple[float, ...]
    """Seconds of the programme that each packet's picture shows: as it was drawn, so cuts are on the same clock."""

    def dump(self) -> bytes:
        """As bytes, compressed."""
        stamps = [0, *(round(1000 * at) for at in self.arrivals)]
        kinds = ("k" if key else "a" if anchor else "-" for key, anchor in zip(self.keys, self.anchors, strict=True))
        document = {
            "scenecut": self.scenecut,
            "cuts_per_minute": self.cuts_per_minute,
            "seconds": self.plot.seconds,
            "events": self.plot.events,
            "cuts": self.plot.cuts,
            "ms": [after - before for before, after in itertools.pairwise(stamps)],
            "sizes": self.sizes,
            "kinds": "".join(kinds),
            "ahead": "".join(
                chr(_ZERO + round(FPS * (shown - at))) for at, shown in zip(self.arrivals, self.shown, strict=True)
            ),
        }
        return zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 9)

    @classmethod
    def read(cls, data: bytes) -> Trace:
        """From what `dump` made."""
        document = json.loads(zlib.decompress(data))
        at, arrivals = 0, []
        for step in document["ms"]:
            at += step
            arrivals.append(at / 1000)
        kinds = document["kinds"]
        events = tuple(Event(*event) for event in document["events"])
        return cls(
            document["scenecut"],
            document["cuts_per_minute"],
            Plot(document["seconds"], events, tuple(document["cuts"])),
            tuple(arrivals),
            tuple(document["sizes"]),
            tuple(kind == "k" for kind in kinds),
            tuple(kind != "-" for kind in kinds),
            tuple(
                round(at + (ord(ahead) - _ZERO) / FPS, 3) for at, ahead in zip(arrivals, document["ahead"], strict=True)
            ),
        )


def recorded(cuts_per_minute: int) -> tuple[Trace, Trace]:
    """Without and with scenecut, from what is part of the package: the first programme of so many cuts."""
    off, on = (Trace.read((RECORDED / f"{cuts_per_minute}-{kind}.trace").read_bytes()) for kind in ("off", "on"))
    return off, on


def record(spec: TraceSpec, folder: Path) -> tuple[Trace, Trace]:
    """Without and with scenecut, from the cache or drawn and encoded. Raises OutsideError where ffmpeg fails."""
    kept = folder / f"{spec.name}.off", folder / f"{spec.name}.on"
    if not all(path.is_file() for path in kept):
        for path, trace in zip(kept, _encode(spec, folder), strict=True):
            new = path.with_suffix(f".{os.getpid()}")
            new.write_bytes(trace.dump())
            new.replace(path)
    off, on = (Trace.read(path.read_bytes()) for path in kept)
    return off, on


def _encode(spec: TraceSpec, folder: Path) -> tuple[Trace, Trace]:
    plotted = programme.plot(spec.seconds, spec.cuts_per_minute, spec.seed)
    shown = programme.Programme(WIDTH, HEIGHT, plotted, seed=spec.seed)
    off, on = outputs = folder / f"{spec.name}.{os.getpid()}.off.flv", folder / f"{spec.name}.{os.getpid()}.on.flv"
    try:
        with subprocess.Popen(  # noqa: S603 - our own words
            _command(outputs), stdin=subprocess.PIPE, stderr=subprocess.PIPE
        ) as encoder:
            assert encoder.stdin is not None  # noqa: S101 - as asked for
            try:
                for number in range(round(_LEAD_S * FPS)):
                    encoder.stdin.write(shown.picture(number % FPS / FPS).tobytes())
                for number in range(spec.seconds * FPS):
                    encoder.stdin.write(shown.picture(number / FPS).tobytes())
                _, said = encoder.communicate(timeout=_ENCODE_S)
            except BrokenPipeError:
                _, said = encoder.communicate(timeout=_ENCODE_S)
            finally:
                encoder.kill()
        if encoder.returncode:
            raise OutsideError(f"ffmpeg cannot encode: {said.decode(errors='replace')[-500:].strip()}")
        kinds = ((off, False), (on, True))
        without, with_cuts = (
            Trace(scenecut, spec.cuts_per_minute, plotted, *packets(path, begin_s=_LEAD_S)) for path, scenecut in kinds
        )
    finally:
        for path in outputs:
            path.unlink(missing_ok=True)
    return without, with_cuts


class Columns(NamedTuple):
    """Of a trace."""

    arrivals: tuple[float, ...]
    sizes: tuple[int, ...]
    keys: tuple[bool, ...]
    anchors: tuple[bool, ...]
    shown: tuple[float, ...]


def packets(path: Path, *, begin_s: float, end_s: float = float("inf")) -> Columns:
    """The pictures of an encoded file between two instants, counted from the first."""
    rows: list[tuple[float, int, bool, bool, float]] = []
    latest = first = -1
    for tag in FlvSplitter().feed(path.read_bytes()):
        if tag.kind is not TagKind.VIDEO or tag.is_header or tag.payload[1:2] != _PICTURE:
            continue
        ms = tag.timestamp_ms + int.from_bytes(tag.payload[2:5], signed=True)
        first = ms if first < 0 else first
        anchor, latest = ms > latest, max(latest, ms)
        # The encoder's delay is the same for all: on the clock of the pictures a key comes as it is shown.
        arrival, shown = ((at - lead) / 1000 - begin_s for at, lead in ((tag.timestamp_ms, 0), (ms, first)))
        if 0 <= arrival < end_s - begin_s:
            rows.append((round(arrival, 3), len(tag.payload), tag.is_key, anchor, round(shown, 3)))
    return Columns(*(tuple(column) for column in zip(*rows, strict=True)))


def _command(outputs: tuple[Path, Path]) -> list[str]:
    """As encoders of live streams are set, twice: keys at fixed intervals alone, and at cuts, too."""
    rate = f"{KILOBITS}k"
    common = [
        "-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", "-bf", "3", "-b-pyramid", "normal",
        "-threads", "1", "-b:v", rate, "-maxrate", rate, "-bufsize", f"{2 * KILOBITS}k",
    ]  # fmt: skip
    return [
        "ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-y",
        "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(FPS), "-i", "pipe:0",
        *common, "-g", str(_SHORT_GOP), "-keyint_min", str(_SHORT_GOP), "-sc_threshold", "0", "-f", "flv",
        str(outputs[0]),
        *common, "-g", str(_LONG_GOP), "-f", "flv", str(outputs[1]),
    ]  # fmt: skip
