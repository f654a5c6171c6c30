"""HLS playlists from text to values. Pure; what it does not know it skips, what it cannot trust it bounds.

A playlist is read while the interpreter is held, so whoever writes it could hold up every other stream: its size, its
lines and each line are bounded, no step costs more than the length of what it reads, and addresses are joined with
their base only when somebody follows them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple
from urllib.parse import urljoin

MAX_BYTES = 512 << 10
MAX_LINES = 5_000
MAX_LINE = 8_192
"""Characters. The longest honest lines are signed addresses, about 2,000."""
MAX_TARGET_S = 120.0
"""A target duration beyond this is not believed: it would stretch every limit that is built on it."""

# Each step takes a run whole, so that a long one is read once. Steps are counted, the ones between attributes too.
_STEP = re.compile(r'([A-Z0-9-]++)(?:=("[^"]*+"|[^",]*+))?|[^A-Z0-9-]++')
_MAX_STEPS = 120
_MAX_RENDITIONS = 200
_VIDEO_CODECS = ("avc", "hvc", "hev", "av01", "vp09", "vp8", "dvh", "mp4v")
_MAX_DIGITS = 32
_MAX_SIDE = 1 << 16
_BLOCK_BITS = 128
WORTH_LOOKING_AT = 200
"""Lines of height under which a rendition is passed over when there is a larger one: detectors look at 224 x 224."""


class NotAPlaylist(ValueError):
    """The bytes are not an HLS playlist."""


class Protected(ValueError):
    """Encrypted in a way for which nobody will give us a key."""


class Cipher(NamedTuple):
    """How a segment is encrypted: AES-128, CBC, padded."""

    url: str
    """Where its key is."""
    iv: bytes


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


class Segment(NamedTuple):
    """One media segment, as listed: what its tags say is read when it is about to be fetched.

    A named tuple because it is made by the thousand, under the interpreter's lock.
    """

    number: int
    seconds: float
    discontinuity: bool
    uri: str
    """As written, to be followed from `base`; empty where there is nothing to fetch."""
    base: str
    span: tuple[int, int] | None = None
    """Offset and length inside the file, where it is only a part of one."""
    head: str = ""
    """The attributes of the EXT-X-MAP in force: equal ones name the same initialisation part."""
    key: str = ""
    """The attributes of the EXT-X-KEY in force."""

    @property
    def url(self) -> str:
        """The whole address, empty where there is none. Raises ValueError where it cannot be read."""
        return urljoin(self.base, self.uri) if self.uri else ""

    @property
    def map_url(self) -> str:
        """The whole address of the initialisation part, empty where there is none. Raises as `url`."""
        uri = _attributes(self.head).get("URI", "")
        return urljoin(self.base, uri) if uri else ""

    @property
    def map_span(self) -> tuple[int, int] | None:
        """Offset and length of the initialisation part, where it is only a part of a file. Raises ValueError."""
        span = _attributes(self.head).get("BYTERANGE")
        return None if span is None else _span(span, 0)

    @property
    def encrypted(self) -> bool:
        """Its bytes need a key."""
        return bool(self.key) and _attributes(self.key).get("METHOD", "NONE") != "NONE"

    @property
    def cipher(self) -> Cipher | None:
        """How to decrypt it, None where it is in the clear.

        Raises Protected where only a rights manager could, ValueError where the tag cannot be read.
        """
        if not self.encrypted:
            return None
        tag = _attributes(self.key)
        if tag["METHOD"] != "AES-128" or tag.get("KEYFORMAT", "identity") != "identity":
            raise Protected("the segments are encrypted for a rights manager")
        if not tag.get("URI"):
            raise ValueError("a key without an address")
        return Cipher(urljoin(self.base, tag["URI"]), _iv(tag.get("IV"), self.number))


class Part(NamedTuple):
    """A part of a segment, listed before the segment itself is whole."""

    segment: Segment
    """The part as something to fetch; its number is that of the segment it belongs to."""
    place: int
    """In its segment, from 0."""


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


def _attributes(text: str) -> dict[str, str]:
    steps = islice(_STEP.finditer(text), _MAX_STEPS)
    return {step[1]: step[2].strip('"') for step in steps if step[2] is not None}


def _renditions(lines: list[str], base: str) -> tuple[Rendition, ...]:
    found: list[Rendition] = []
    pending: str | None = None
    for line in lines:
        if line.startswith("#EXT-X-STREAM-INF:"):
            pending = line.partition(":")[2]
        elif line and not line.startswith("#") and pending is not None:
            found.append(_rendition(line, _attributes(pending), base))
            pending = None
            if len(found) >= _MAX_RENDITIONS:
                break
    return tuple(found)


def _pictures(lines: list[str], base: str) -> tuple[Rendition, ...]:
    tags = (line.partition(":")[2] for line in lines if line.startswith("#EXT-X-I-FRAME-STREAM-INF:"))
    listed = (_attributes(tag) for tag in islice(tags, _MAX_RENDITIONS))
    return tuple(_rendition(tag["URI"], tag, base) for tag in listed if tag.get("URI"))


def _rendition(uri: str, attributes: dict[str, str], base: str) -> Rendition:
    width, height = _size(attributes.get("RESOLUTION", ""))
    return Rendition(
        uri=uri,
        bandwidth=_whole(attributes.get("BANDWIDTH", "0")),
        width=width,
        height=height,
        codecs=attributes.get("CODECS", ""),
        base=base,
    )


def _iv(text: str | None, number: int) -> bytes:
    """The initialisation vector: as written, else the segment's number."""
    if text is None:
        return (number % (1 << _BLOCK_BITS)).to_bytes(16)
    digits = text[2:]
    if text[:2].lower() != "0x" or not digits or len(digits) > _BLOCK_BITS // 4:
        raise ValueError("an initialisation vector that cannot be read")
    return int(digits, 16).to_bytes(16)


def _whole(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError("a number of too many digits")
    return int(text)


def _seconds(text: str) -> float:
    if len(text) > _MAX_DIGITS:
        raise ValueError("a number of too many digits")
    return float(text)


def _size(text: str) -> tuple[int, int]:
    """Width and height, (0, 0) where none is written or nobody could mean it."""
    width, _, height = text.partition("x")
    size = _whole(width or "0"), _whole(height or "0")
    return size if all(0 < side < _MAX_SIDE for side in size) else (0, 0)


def _span(text: str, after: int) -> tuple[int, int]:
    length, _, offset = text.partition("@")
    start, size = _whole(offset) if offset else after, _whole(length)
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
        self.head = ""
        self.key = ""
        self.gap = False
        self.part: Part | None = None
        self.parts = 0

    def tag(self, name: str, value: str) -> None:
        if name == "#EXTINF":
            self.seconds = max(0.0, _seconds(value.partition(",")[0] or "0"))
        elif name == "#EXT-X-DISCONTINUITY":
            self.discontinuity = True
        elif name == "#EXT-X-BYTERANGE":
            self.span = _span(value, self.span_end)
            self.span_end = sum(self.span)
        elif name == "#EXT-X-MAP":
            self.head = value
        elif name == "#EXT-X-KEY":
            # The same segments may be offered to several rights managers beside a plain key: the plain one is ours.
            if not self.key or "KEYFORMAT=" not in value or 'KEYFORMAT="identity"' in value:
                self.key = value
        elif name == "#EXT-X-GAP":
            self.gap = True

    def see_part(self, value: str, number: int) -> None:
        """Keep it where a decoder can begin with it: of thousands, one is ever fetched."""
        self.parts += 1
        if "INDEPENDENT=YES" not in value or "GAP=YES" in value:
            return
        tag = _attributes(value)
        span = tag.get("BYTERANGE")
        if not tag.get("URI") or (span is not None and "@" not in span):
            return
        place = None if span is None else _span(span, 0)
        seconds = _seconds(tag.get("DURATION", "0"))
        made = Segment(number, seconds, self.discontinuity, tag["URI"], self.base, place, self.head, self.key)
        self.part = Part(made, self.parts - 1)

    def segment(self, uri: str, number: int) -> Segment:
        uri = "" if self.gap else uri
        made = Segment(number, self.seconds, self.discontinuity, uri, self.base, self.span, self.head, self.key)
        self.seconds, self.discontinuity, self.span, self.gap = 0.0, False, None, False
        self.parts = 0
        return made


def _media(lines: list[str], base: str) -> Playlist:
    state = _Media(base)
    segments: list[Segment] = []
    target, first, ended, recorded, pictures_only = 0.0, 0, False, False, False
    for line in lines:
        if not line:
            continue
        if not line.startswith("#"):
            segments.append(state.segment(line, first + len(segments)))
            continue
        name, _, value = line.partition(":")
        if name == "#EXT-X-TARGETDURATION":
            target = _seconds(value)
        elif name == "#EXT-X-MEDIA-SEQUENCE":
            if segments:
                raise ValueError("segments before their number")
            first = _whole(value)
        elif name == "#EXT-X-ENDLIST":
            ended = True
        elif name == "#EXT-X-PLAYLIST-TYPE":
            recorded = value == "VOD"
        elif name == "#EXT-X-I-FRAMES-ONLY":
            pictures_only = True
        elif name == "#EXT-X-PART":
            state.see_part(value, first + len(segments))
        elif name == "#EXT-X-SKIP":
            if segments:
                raise ValueError("segments before those that are left out")
            first += _whole(_attributes(value).get("SKIPPED-SEGMENTS", "0"))
        else:
            state.tag(name, value)
    longest = max((s.seconds for s in segments), default=0.0)
    if not math.isfinite(target):
        raise ValueError("a target duration that is no number")
    target = min(max(target or longest or 6.0, 0.5), MAX_TARGET_S)
    return Playlist(
        segments=tuple(segments),
        target_s=target,
        first=first,
        ended=ended,
        recorded=recorded and ended,
        part=state.part,
        pictures_only=pictures_only,
    )
