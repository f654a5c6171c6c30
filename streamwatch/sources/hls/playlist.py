"""HLS playlists from text to values. Pure; what it does not know it skips, what it cannot trust it bounds.

A playlist is read while the interpreter is held, so whoever writes it could hold up every other stream: its size, its
lines and each line are bounded, no step costs more than the length of what it reads, and addresses are joined with
their base only when somebody follows them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from urllib.parse import urljoin

from streamwatch.sources.hls.listed import Part, Segment
from streamwatch.sources.hls.tags import Span, attributes, seconds, size, span, whole

MAX_BYTES = 512 << 10
MAX_LINES = 5_000
MAX_LINE = 8_192
"""Characters. The longest honest lines are signed addresses, about 2,000."""
MAX_TARGET_S = 120.0
"""A target duration beyond this is not believed: it would stretch every limit that is built on it."""

_MAX_RENDITIONS = 200
_VIDEO_CODECS = ("avc", "hvc", "hev", "av01", "vp09", "vp8", "dvh", "mp4v")
WORTH_LOOKING_AT = 200
"""Lines of height under which a rendition is passed over when there is a larger one: detectors look at 224 x 224."""


class NotAPlaylist(ValueError):
    """The bytes are not an HLS playlist."""


@dataclass(frozen=True, slots=True)
class Rendition:
    """One variant of a main playlist. `uri` as written there, to be followed from `base`."""

    uri: str
    bandwidth: int
    width: int = 0
    height: int = 0
    codecs: str = ""
    base: str = ""

    @property
    def url(self) -> str:
        """The whole address. Raises ValueError where it is none."""
        return urljoin(self.base, self.uri)

    @property
    def audio_only(self) -> bool:
        """It names codecs, and none of them is video."""
        return not self.width and bool(self.codecs) and not any(c in self.codecs.lower() for c in _VIDEO_CODECS)


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
    pictures: tuple[Rendition, ...] = ()
    """In a main playlist: playlists that list key pictures alone (EXT-X-I-FRAME-STREAM-INF)."""
    part: Part | None = None
    """The newest part of a segment that can be decoded on its own, where parts are listed (low latency)."""
    pictures_only: bool = False
    """Each segment is one key picture (EXT-X-I-FRAMES-ONLY)."""

    @property
    def next_number(self) -> int:
        """The number of the first segment that is not listed yet."""
        return self.first + len(self.segments)


def parse(data: bytes, base: str) -> Playlist:
    """Read a playlist fetched from `base`. Raises NotAPlaylist."""
    if len(data) > MAX_BYTES:
        raise NotAPlaylist(f"more than {MAX_BYTES} bytes")
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    if not text.lstrip().startswith("#EXTM3U"):
        raise NotAPlaylist("no #EXTM3U in the first line")
    written = text.splitlines()
    if len(written) > MAX_LINES:
        raise NotAPlaylist(f"more than {MAX_LINES} lines")
    if max(map(len, written)) > MAX_LINE:
        raise NotAPlaylist(f"a line of more than {MAX_LINE} characters")
    lines = [line.strip() for line in written]
    try:
        renditions = _renditions(lines, base)
        if renditions:
            return Playlist(renditions=renditions, pictures=_pictures(lines, base))
        return _media(lines, base)
    except (ValueError, OverflowError) as e:
        raise NotAPlaylist("a playlist that cannot be read") from e


def lowest(renditions: tuple[Rendition, ...], min_height: int = WORTH_LOOKING_AT) -> Rendition:
    """The cheapest rendition that still shows something: the smallest of at least `min_height` lines, or the largest.

    Some rendition must be there.
    """
    video = [r for r in renditions if not r.audio_only] or list(renditions)
    sized = [r for r in video if r.height >= min_height]
    if sized:
        return min(sized, key=lambda r: (r.width * r.height, r.bandwidth))
    measured = [r for r in video if r.height]
    if measured:
        return max(measured, key=lambda r: (r.width * r.height, r.bandwidth))
    return min(video, key=lambda r: r.bandwidth)


def _renditions(lines: list[str], base: str) -> tuple[Rendition, ...]:
    found: list[Rendition] = []
    pending: str | None = None
    for line in lines:
        if line.startswith("#EXT-X-STREAM-INF:"):
            pending = line.partition(":")[2]
        elif line and not line.startswith("#") and pending is not None:
            found.append(_rendition(line, attributes(pending), base))
            pending = None
            if len(found) >= _MAX_RENDITIONS:
                break
    return tuple(found)


def _pictures(lines: list[str], base: str) -> tuple[Rendition, ...]:
    tags = (line.partition(":")[2] for line in lines if line.startswith("#EXT-X-I-FRAME-STREAM-INF:"))
    listed = (attributes(tag) for tag in islice(tags, _MAX_RENDITIONS))
    return tuple(_rendition(tag["URI"], tag, base) for tag in listed if tag.get("URI"))


def _rendition(uri: str, tag: dict[str, str], base: str) -> Rendition:
    width, height = size(tag.get("RESOLUTION", ""))
    return Rendition(
        uri=uri,
        bandwidth=whole(tag.get("BANDWIDTH", "0")),
        width=width,
        height=height,
        codecs=tag.get("CODECS", ""),
        base=base,
    )


class _Media:
    """A media playlist while it is read, tag by tag: what was said of it, and what applies to the next segment."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.segments: list[Segment] = []
        self.target = 0.0
        self.first = 0
        self.ended = self.vod = self.pictures_only = False
        self.newest_part: tuple[str, int, int, str, str] | None = None
        self._seconds = 0.0
        self._discontinuity = self._gap = False
        self._span: Span | None = None
        self._span_end = 0
        self._head = self._key = ""
        self._parts = 0

    def segment(self, uri: str) -> None:
        number = self.first + len(self.segments)
        self.segments.append(
            Segment(
                number,
                self._seconds,
                self._discontinuity,
                "" if self._gap else uri,
                self.base,
                self._span,
                self._head,
                self._key,
            )
        )
        self._seconds, self._discontinuity, self._span, self._gap = 0.0, False, None, False
        self._parts = 0

    def part(self) -> Part | None:
        """The newest one a decoder can begin with. Only now are its attributes read: of thousands, one matters."""
        if self.newest_part is None:
            return None
        value, number, place, head, key = self.newest_part
        tag = attributes(value)
        where = tag.get("BYTERANGE")
        if not tag.get("URI") or (where is not None and "@" not in where):
            return None
        inside = None if where is None else span(where, 0)
        lasts = seconds(tag.get("DURATION", "0"))
        return Part(
            Segment(
                number, lasts, discontinuity=False, uri=tag["URI"], base=self.base, span=inside, head=head, key=key
            ),
            place,
        )

    def see_target(self, value: str) -> None:
        self.target = seconds(value)

    def see_first(self, value: str) -> None:
        if self.segments:
            raise ValueError("segments before their number")
        self.first = whole(value)

    def see_skip(self, value: str) -> None:
        if self.segments:
            raise ValueError("segments before those that are left out")
        self.first += whole(attributes(value).get("SKIPPED-SEGMENTS", "0"))

    def see_end(self, _: str) -> None:
        self.ended = True

    def see_kind(self, value: str) -> None:
        self.vod = value == "VOD"

    def see_pictures_only(self, _: str) -> None:
        self.pictures_only = True

    def see_duration(self, value: str) -> None:
        self._seconds = max(0.0, seconds(value.partition(",")[0] or "0"))

    def see_discontinuity(self, _: str) -> None:
        self._discontinuity = True

    def see_gap(self, _: str) -> None:
        self._gap = True

    def see_span(self, value: str) -> None:
        self._span = span(value, self._span_end)
        self._span_end = sum(self._span)

    def see_head(self, value: str) -> None:
        self._head = value

    def see_key(self, value: str) -> None:
        # The same segments may be offered to several rights managers beside a plain key: the plain one is ours.
        if not self._key or "KEYFORMAT=" not in value or 'KEYFORMAT="identity"' in value:
            self._key = value

    def see_part(self, value: str) -> None:
        if "INDEPENDENT=YES" in value and "GAP=YES" not in value:
            number = self.first + len(self.segments)
            self.newest_part = (value, number, self._parts, self._head, self._key)
        self._parts += 1


_TAGS: dict[str, Callable[[_Media, str], None]] = {
    "#EXT-X-TARGETDURATION": _Media.see_target,
    "#EXT-X-MEDIA-SEQUENCE": _Media.see_first,
    "#EXT-X-SKIP": _Media.see_skip,
    "#EXT-X-ENDLIST": _Media.see_end,
    "#EXT-X-PLAYLIST-TYPE": _Media.see_kind,
    "#EXT-X-I-FRAMES-ONLY": _Media.see_pictures_only,
    "#EXTINF": _Media.see_duration,
    "#EXT-X-DISCONTINUITY": _Media.see_discontinuity,
    "#EXT-X-GAP": _Media.see_gap,
    "#EXT-X-BYTERANGE": _Media.see_span,
    "#EXT-X-MAP": _Media.see_head,
    "#EXT-X-KEY": _Media.see_key,
    "#EXT-X-PART": _Media.see_part,
}
"""What else a playlist may say (dates, hints, server control) changes nothing of what we fetch."""


def _media(lines: list[str], base: str) -> Playlist:
    media = _Media(base)
    for line in lines:
        if not line:
            continue
        if not line.startswith("#"):
            media.segment(line)
            continue
        name, _, value = line.partition(":")
        see = _TAGS.get(name)
        if see is not None:
            see(media, value)
    longest = max((s.seconds for s in media.segments), default=0.0)
    if not math.isfinite(media.target):
        raise ValueError("a target duration that is no number")
    return Playlist(
        segments=tuple(media.segments),
        target_s=min(max(media.target or longest or 6.0, 0.5), MAX_TARGET_S),
        first=media.first,
        ended=media.ended,
        recorded=media.vod and media.ended,
        part=media.part(),
        pictures_only=media.pictures_only,
    )
