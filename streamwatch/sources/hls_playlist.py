"""HLS playlists from text to values. Pure; what it does not know it skips, what it cannot trust it bounds."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from urllib.parse import urljoin

MAX_LINES = 50_000
MAX_TARGET_S = 120.0
"""A target duration beyond this is not believed: it would stretch every limit that is built on it."""

_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^",]*)')
_VIDEO_CODECS = ("avc", "hvc", "hev", "av01", "vp09", "vp8", "dvh", "mp4v")
_WORTH_LOOKING_AT = 200
"""Lines of height under which a rendition is passed over when there is a larger one: detectors look at 224 x 224."""


class NotAPlaylist(ValueError):
    """The bytes are not an HLS playlist."""


@dataclass(frozen=True, slots=True)
class Rendition:
    """One variant of a main playlist."""

    url: str
    bandwidth: int
    width: int = 0
    height: int = 0
    codecs: str = ""

    @property
    def audio_only(self) -> bool:
        """It names codecs, and none of them is video."""
        return not self.width and bool(self.codecs) and not any(c in self.codecs.lower() for c in _VIDEO_CODECS)


@dataclass(frozen=True, slots=True)
class Segment:
    """One media segment. `span` is offset and length inside the file, where it is only a part of one."""

    url: str
    number: int
    seconds: float
    discontinuity: bool = False
    span: tuple[int, int] | None = None
    map_url: str = ""
    map_span: tuple[int, int] | None = None
    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class Playlist:
    """A playlist as it stood at one moment: `renditions` in a main playlist, `segments` in a media playlist."""

    renditions: tuple[Rendition, ...] = ()
    segments: tuple[Segment, ...] = ()
    target_s: float = 6.0
    first: int = 0
    ended: bool = False
    recorded: bool = False
    """EXT-X-PLAYLIST-TYPE:VOD: it never was live."""

    @property
    def next_number(self) -> int:
        """The number of the first segment that is not listed yet."""
        return self.first + len(self.segments)


def parse(data: bytes, base: str) -> Playlist:
    """Read a playlist fetched from `base`. Raises NotAPlaylist."""
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = [line.strip() for line in text.splitlines()[:MAX_LINES]]
    if not lines or not lines[0].startswith("#EXTM3U"):
        raise NotAPlaylist("no #EXTM3U in the first line")
    try:
        renditions = _renditions(lines, base)
        return Playlist(renditions=renditions) if renditions else _media(lines, base)
    except (ValueError, OverflowError) as e:
        raise NotAPlaylist("a playlist that cannot be read") from e


def lowest(renditions: tuple[Rendition, ...]) -> Rendition:
    """The cheapest rendition that still shows something: the smallest of at least 200 lines, else the largest."""
    video = [r for r in renditions if not r.audio_only] or list(renditions)
    sized = [r for r in video if r.height >= _WORTH_LOOKING_AT]
    if sized:
        return min(sized, key=lambda r: (r.width * r.height, r.bandwidth))
    measured = [r for r in video if r.height]
    if measured:
        return max(measured, key=lambda r: (r.width * r.height, r.bandwidth))
    return min(video, key=lambda r: r.bandwidth)


def _attributes(text: str) -> dict[str, str]:
    return {name: value.strip('"') for name, value in _ATTRIBUTE.findall(text)}


def _renditions(lines: list[str], base: str) -> tuple[Rendition, ...]:
    found: list[Rendition] = []
    pending: dict[str, str] | None = None
    for line in lines:
        if line.startswith("#EXT-X-STREAM-INF:"):
            pending = _attributes(line.partition(":")[2])
        elif line and not line.startswith("#") and pending is not None:
            width, _, height = pending.get("RESOLUTION", "0x0").partition("x")
            found.append(
                Rendition(
                    url=urljoin(base, line),
                    bandwidth=int(pending.get("BANDWIDTH", "0")),
                    width=int(width),
                    height=int(height or 0),
                    codecs=pending.get("CODECS", ""),
                )
            )
            pending = None
    return tuple(found)


def _span(text: str, after: int) -> tuple[int, int]:
    length, _, offset = text.partition("@")
    start, size = int(offset) if offset else after, int(length)
    if start < 0 or size <= 0:
        raise ValueError("a byte range outside the file")
    return start, size


class _Media:
    """The tags that apply to the next segment."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.seconds = 0.0
        self.discontinuity = False
        self.span: tuple[int, int] | None = None
        self.span_end = 0
        self.map_url = ""
        self.map_span: tuple[int, int] | None = None
        self.encrypted = False
        self.gap = False

    def tag(self, name: str, value: str) -> None:
        if name == "#EXTINF":
            self.seconds = max(0.0, float(value.partition(",")[0] or 0))
        elif name == "#EXT-X-DISCONTINUITY":
            self.discontinuity = True
        elif name == "#EXT-X-BYTERANGE":
            self.span = _span(value, self.span_end)
            self.span_end = sum(self.span)
        elif name == "#EXT-X-MAP":
            attributes = _attributes(value)
            self.map_url = urljoin(self.base, attributes.get("URI", ""))
            self.map_span = _span(attributes["BYTERANGE"], 0) if "BYTERANGE" in attributes else None
        elif name == "#EXT-X-KEY":
            self.encrypted = _attributes(value).get("METHOD", "NONE") != "NONE"
        elif name == "#EXT-X-GAP":
            self.gap = True

    def segment(self, uri: str, number: int) -> Segment:
        made = Segment(
            url="" if self.gap else urljoin(self.base, uri),
            number=number,
            seconds=self.seconds,
            discontinuity=self.discontinuity,
            span=self.span,
            map_url=self.map_url,
            map_span=self.map_span,
            encrypted=self.encrypted,
        )
        self.seconds, self.discontinuity, self.span, self.gap = 0.0, False, None, False
        return made


def _media(lines: list[str], base: str) -> Playlist:
    state = _Media(base)
    segments: list[Segment] = []
    target, first, ended, recorded = 0.0, 0, False, False
    for line in lines:
        name, _, value = line.partition(":")
        if name == "#EXT-X-TARGETDURATION":
            target = float(value)
        elif name == "#EXT-X-MEDIA-SEQUENCE":
            first = int(value)
        elif name == "#EXT-X-ENDLIST":
            ended = True
        elif name == "#EXT-X-PLAYLIST-TYPE":
            recorded = value == "VOD"
        elif name.startswith("#"):
            state.tag(name, value)
        elif line:
            segments.append(state.segment(line, first + len(segments)))
    longest = max((s.seconds for s in segments), default=0.0)
    if not math.isfinite(target):
        raise ValueError("a target duration that is no number")
    target = min(max(target or longest or 6.0, 0.5), MAX_TARGET_S)
    return Playlist(segments=tuple(segments), target_s=target, first=first, ended=ended, recorded=recorded and ended)
