"""Fragmented MP4: the track from the initialisation segment, the samples from the fragments. Pure and bounded."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from streamwatch.domain.media import CodecConfig, MediaTime
from streamwatch.sources import sps
from streamwatch.sources.hls.units import MAX_UNIT, NotMedia, NoVideo, Unit

_MAX_BOXES, _MAX_TRACKS = 4096, 64
"""Boxes beside each other, and in a fragment, which has one for each track."""
_MAX_SAMPLES = 20_000
"""In one segment; ten seconds at 120 pictures a second are 1,200."""
_MAX_DESCRIPTION = 1 << 20
"""Bytes of an initialisation segment's `moov`, and of all `moof` of a segment: what is in there is read many times."""
_MAX_EXTRADATA = 64 << 10
_HEAD, _LONG_HEAD = 8, 16
_ENTRY = 78
"""Bytes of a visual sample entry before the boxes inside it."""
_CODECS = {
    b"avc1": ("h264", b"avcC"), b"avc3": ("h264", b"avcC"),
    b"hvc1": ("hevc", b"hvcC"), b"hev1": ("hevc", b"hvcC"), b"dvh1": ("hevc", b"hvcC"), b"dvhe": ("hevc", b"hvcC"),
    b"av01": ("av1", b"av1C"), b"vp09": ("vp9", b""), b"vp08": ("vp8", b""),
}  # fmt: skip
_NOT_SYNC, _DEPENDS = 0x10000, 0x1000000
_TFHD_BASE, _TFHD_ENTRY, _TFHD_DURATION, _TFHD_SIZE, _TFHD_FLAGS = 0x1, 0x2, 0x8, 0x10, 0x20
_TRUN_OFFSET, _TRUN_FIRST, _TRUN_DURATION, _TRUN_SIZE, _TRUN_FLAGS, _TRUN_SHIFT = 0x1, 0x4, 0x100, 0x200, 0x400, 0x800


class Box(NamedTuple):
    """A box: its kind, where its body begins and where it ends, which may lie behind the bytes at hand."""

    kind: bytes
    body: int
    end: int


class Track(NamedTuple):
    """The first video track."""

    number: int
    time_base: Fraction
    config: CodecConfig
    defaults: tuple[int, int, int]
    """Duration, size and flags of samples that name none."""


class Sample(NamedTuple):
    """Where a sample lies, counted from the first byte of what was searched, and what it is."""

    offset: int
    size: int
    dts: int
    shift: int
    """Ticks from decoding to showing."""
    key: bool


class Need(NamedTuple):
    """What must be fetched before the search can go on."""

    offset: int
    size: int
    """0 where that is not known."""


def boxes(data: bytes, at: int, end: int, most: int = _MAX_BOXES) -> Iterator[Box]:
    """The boxes between `at` and `end`; the last may reach further. Raises NotMedia."""
    for _ in range(most):
        if at + _HEAD > end:
            return
        size, kind, body = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8], at + _HEAD
        if size == 1:
            size, body = int.from_bytes(data[at + 8 : at + 16]), at + _LONG_HEAD
            if body > end:
                return
        elif size == 0:
            size = max(end - at, body - at)
        if size < body - at:
            raise NotMedia("a box smaller than its head")
        yield Box(kind, body, at + size)
        at += size
    raise NotMedia("too many boxes")


def _child(data: bytes, parent: Box, *path: bytes) -> Box | None:
    for kind in path:
        end = min(parent.end, len(data))
        found = next((box for box in boxes(data, parent.body, end) if box.kind == kind and box.end <= end), None)
        if found is None:
            return None
        parent = found
    return parent


def read_track(data: bytes) -> Track | None:
    """The video track of an initialisation segment, None where it holds none at all (no `moov`).

    Raises:
        NotMedia: damaged.
        NoVideo: no video track, or none that is decoded here.

    """
    moov = _child(data, Box(b"", 0, len(data)), b"moov")
    if moov is None:
        return None
    if moov.end - moov.body > _MAX_DESCRIPTION:
        raise NotMedia("more description than anybody could mean")
    encrypted = False
    for box in boxes(data, moov.body, moov.end):
        if box.kind != b"trak" or box.end > moov.end:
            continue
        handler = _child(data, box, b"mdia", b"hdlr")
        if handler is None or data[handler.body + 8 : handler.body + 12] != b"vide":
            continue
        track, protected = _track(data, moov, box)
        if track is not None:
            return track
        encrypted = encrypted or protected
    raise NoVideo(
        "the segments are encrypted for a rights manager" if encrypted
        else "no video in this stream that is decoded here"
    )  # fmt: skip


def _track(data: bytes, moov: Box, trak: Box) -> tuple[Track | None, bool]:
    head, media = _child(data, trak, b"tkhd"), _child(data, trak, b"mdia", b"mdhd")
    table = _child(data, trak, b"mdia", b"minf", b"stbl", b"stsd")
    if head is None or media is None or table is None:
        raise NotMedia("a track without its description")
    number = _number(data, head.body + (20 if data[head.body : head.body + 1] == b"\x01" else 12))
    scale = _number(data, media.body + (20 if data[media.body : media.body + 1] == b"\x01" else 12))
    if not scale:
        raise NotMedia("a track without a time scale")
    for entry in boxes(data, table.body + 8, table.end):
        if entry.kind in (b"encv", b"drmi"):
            return None, True
        if entry.kind in _CODECS and entry.end <= table.end:
            config = _config(data, entry)
            return Track(number, Fraction(1, scale), config, _defaults(data, moov, number)), False
    return None, False


def _config(data: bytes, entry: Box) -> CodecConfig:
    codec, wanted = _CODECS[entry.kind]
    inside = Box(entry.kind, entry.body + _ENTRY, entry.end)
    found = _child(data, inside, wanted) if wanted else None
    extradata = data[found.body : found.end] if found else b""
    if len(extradata) > _MAX_EXTRADATA:
        raise NotMedia("a codec configuration that is too long")
    width, height = sps.size(codec, extradata) if codec in ("h264", "hevc") and extradata else (0, 0)
    if not width:
        width = int.from_bytes(data[entry.body + 24 : entry.body + 26])
        height = int.from_bytes(data[entry.body + 26 : entry.body + 28])
    return CodecConfig(codec, extradata, width, height)


def _defaults(data: bytes, moov: Box, number: int) -> tuple[int, int, int]:
    extends = _child(data, moov, b"mvex")
    for box in boxes(data, extends.body, extends.end) if extends else ():
        if box.kind == b"trex" and _number(data, box.body + 4) == number:
            return _number(data, box.body + 12), _number(data, box.body + 16), _number(data, box.body + 20)
    return 0, 0, 0


def _number(data: bytes, at: int, size: int = 4) -> int:
    if at + size > len(data):
        raise NotMedia("a box that ends too early")
    return int.from_bytes(data[at : at + size])


def samples(data: bytes, track: Track, moof: Box, found: list[Sample]) -> list[Sample]:
    """The samples of `track` that this fragment lists; they are added to those `found` before. Raises NotMedia."""
    before = len(found)
    origin = moof.body - _HEAD
    for box in boxes(data, moof.body, moof.end, _MAX_TRACKS):
        if box.kind == b"traf" and box.end <= moof.end:
            _fragment(data, track, box, origin, found)
    return found[before:]


def _fragment(data: bytes, track: Track, traf: Box, origin: int, found: list[Sample]) -> None:
    head = _child(data, traf, b"tfhd")
    if head is None or _number(data, head.body + 4) != track.number:
        return
    flags = _number(data, head.body) & 0xFFFFFF
    at = head.body + 8
    if flags & _TFHD_BASE:
        # Counted from the beginning of the file, which for a file of its own is that of the segment.
        origin, at = _number(data, at, 8), at + 8
    at += 4 if flags & _TFHD_ENTRY else 0
    duration, size, kind = track.defaults
    if flags & _TFHD_DURATION:
        duration, at = _number(data, at), at + 4
    if flags & _TFHD_SIZE:
        size, at = _number(data, at), at + 4
    if flags & _TFHD_FLAGS:
        kind = _number(data, at)
    time = _child(data, traf, b"tfdt")
    long = time is not None and data[time.body : time.body + 1] == b"\x01"
    dts = _number(data, time.body + 4, 8 if long else 4) if time else 0
    offset = origin
    for box in boxes(data, traf.body, traf.end):
        if box.kind == b"trun" and box.end <= traf.end:
            offset, dts = _run(data, box, origin, place=(offset, dts), defaults=(duration, size, kind), found=found)


def _run(  # noqa: C901 - eight optional fields
    data: bytes, trun: Box, origin: int, *, place: tuple[int, int], defaults: tuple[int, int, int], found: list[Sample]
) -> tuple[int, int]:
    """Read one run; returns where the next one goes on: offset and decoding time."""
    flags, count = _number(data, trun.body) & 0xFFFFFF, _number(data, trun.body + 4)
    signed = data[trun.body] > 0
    at = trun.body + 8
    offset, dts = place
    if flags & _TRUN_OFFSET:
        offset = origin + _number(data, at) - (1 << 32 if data[at] & 0x80 else 0)
        at += 4
    first: int | None = None
    if flags & _TRUN_FIRST:
        first, at = _number(data, at), at + 4
    fields = flags & (_TRUN_DURATION | _TRUN_SIZE | _TRUN_FLAGS | _TRUN_SHIFT)
    step = 4 * fields.bit_count()
    if count > _MAX_SAMPLES - len(found) or at + count * step > trun.end:
        raise NotMedia("more samples than anybody could mean")
    for index in range(count):
        duration, size, kind = defaults
        if fields & _TRUN_DURATION:
            duration, at = int.from_bytes(data[at : at + 4]), at + 4
        if fields & _TRUN_SIZE:
            size, at = int.from_bytes(data[at : at + 4]), at + 4
        if fields & _TRUN_FLAGS:
            kind, at = int.from_bytes(data[at : at + 4]), at + 4
        if index == 0 and first is not None:
            kind = first
        shift = 0
        if fields & _TRUN_SHIFT:
            shift = int.from_bytes(data[at : at + 4], signed=signed)
            at += 4
        if offset < 0:
            raise NotMedia("a sample before its file")
        found.append(Sample(offset, size, dts, shift, not kind & (_NOT_SYNC | _DEPENDS)))
        offset += size
        dts += duration
    return offset, dts


def unit(track: Track, sample: Sample, payload: bytes) -> Unit:
    """The access unit of a sample whose bytes are at hand."""
    return Unit(
        track.config,
        payload,
        MediaTime.of(sample.dts + sample.shift, track.time_base),
        MediaTime.of(sample.dts, track.time_base),
        sample.key,
    )


def _fragments(data: bytes) -> Iterator[Box]:
    """The boxes of a segment. Raises NotMedia, also where its fragments are described at a length nobody could mean."""
    described = 0
    for box in boxes(data, 0, len(data)):
        if box.kind == b"moof":
            described += box.end - box.body
            if described > _MAX_DESCRIPTION:
                raise NotMedia("more description than anybody could mean")
        yield box


def units(data: bytes, track: Track) -> Iterator[Unit]:
    """All access units of a segment that is there as a whole. Raises NotMedia."""
    found: list[Sample] = []
    given = 0
    for box in _fragments(data):
        if box.kind != b"moof" or box.end > len(data):
            continue
        for sample in samples(data, track, box, found):
            end = sample.offset + sample.size
            if 0 < sample.size <= MAX_UNIT and end <= len(data):
                given += sample.size
                if given > len(data):
                    raise NotMedia("samples that lie upon each other")
                yield unit(track, sample, data[sample.offset : end])


def first_key(data: bytes, track: Track) -> Sample | Need:
    """Where the first key picture lies, from the beginning of a segment; or what is needed to say so.

    Raises NotMedia.
    """
    at = 0
    found: list[Sample] = []
    for box in _fragments(data):
        if box.kind == b"moof":
            if box.end > len(data):
                return Need(box.body - _HEAD, box.end - box.body + _HEAD)
            for sample in samples(data, track, box, found):
                if sample.key and 0 < sample.size <= MAX_UNIT:
                    return sample
        at = box.end
    return Need(at, 0)
