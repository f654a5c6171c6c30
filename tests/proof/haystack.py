"""What is searched: bytes with the name of their place, and what may be wrapped up in them. Pure.

Beside the marker's own forms it is searched for any picture at all, by the first bytes that picture and video files
have, where only we write and nothing of the kind has a reason to be.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.proof.finder import Finder

_DEEP = 2
"""Wrappings inside wrappings that are opened: a compressed picture in base64."""
_LARGEST = 16 << 20
"""Bytes of what is unwrapped; a bomb is no leak."""
_WRAPS = 400
"""Runs of each kind that are opened in one blob."""
_UNWRAPPED = 8 << 20
"""Bytes of a blob in which wrappings are sought. In a larger one, a core say, the forms are found that lie open there,
base64 and hex among them."""

_SIGNATURES = {
    "a JPEG picture": re.compile(rb"\xff\xd8\xff(?:[\xe0-\xef]..[JEAPHI\x00]|\xdb\x00\x43|\xfe\x00)", re.DOTALL),
    "a PNG picture": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "a GIF picture": re.compile(rb"GIF8[79]a...?[\x00\x01\x02\x03]", re.DOTALL),
    "a WebP picture": re.compile(rb"RIFF....WEBPVP8", re.DOTALL),
    "a BMP picture": re.compile(rb"BM....\0\0\0\0..\0\0[\x28\x6c\x7c]\0\0\0", re.DOTALL),
    "an AVIF, HEIF or MP4 file": re.compile(rb"\0\0..ftyp[a-zA-Z0-9]{4}", re.DOTALL),
    "a Matroska or WebM file": re.compile(rb"\x1a\x45\xdf\xa3[\x01-\xff].*?\x42\x82", re.DOTALL),
    "an FLV file": re.compile(rb"FLV\x01[\x01\x04\x05]\0\0\0\x09"),
    "an MPEG transport stream": re.compile(rb"(?:\x47.{187}){4}\x47", re.DOTALL),
    "a PPM picture": re.compile(rb"P[56]\s\d{1,5}\s\d{1,5}\s255\s"),
    "a TIFF picture": re.compile(rb"(?:II\x2a\0\x08\0\0\0|MM\0\x2a\0\0\0\x08)"),
    "a NumPy array": re.compile(rb"\x93NUMPY[\x01-\x03]\0"),
    "a picture in an address": re.compile(rb"data:image/[a-z+.-]+;base64,"),
}

_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{32,}(?:\s{1,3}[A-Za-z0-9+/_-]{20,})*")
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2}){32,}")
_ESCAPED = re.compile(rb"\\x([0-9a-fA-F]{2})|\\u00([0-9a-fA-F]{2})|%([0-9A-F]{2})|\\([abfnrtv0'\"\\/])")
_SHORT = dict(zip(b"abfnrtv0", b"\a\b\f\n\r\t\v\0", strict=True))
_DEFLATED = re.compile(rb"\x78[\x01\x5e\x9c\xda]")
_GZIPPED = re.compile(rb"\x1f\x8b\x08")


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes from one place."""

    place: str
    data: bytes
    ours: bool = True
    """Only we write here: no picture at all may be in it. Elsewhere only the marker is looked for."""


@dataclass(frozen=True, slots=True)
class Found:
    """Something that should not be there."""

    place: str
    what: str
    pieces: int
    """How many pieces of it; a picture's first bytes count as one."""


def search(blob: Blob, finder: Finder) -> list[Found]:
    """What of the marker, and in our own places what pictures at all, this blob holds, openly or wrapped up."""
    found = _searched(blob.data, finder, any_picture=blob.ours)
    if blob.ours and len(blob.data) <= _UNWRAPPED:
        for way, inner in unwrapped(blob.data):
            found += [(f"{what}, in {way}", count) for what, count in _searched(inner, finder, any_picture=True)]
    return [Found(blob.place, what, count) for what, count in dict(reversed(found)).items()]


def _searched(data: bytes, finder: Finder, *, any_picture: bool) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for hit in finder.hits(data):
        counts[hit.form] = counts.get(hit.form, 0) + 1
    found = [(f"the marker ({form})", count) for form, count in counts.items()]
    if any_picture:
        found += [(kind, 1) for kind, signature in _SIGNATURES.items() if signature.search(data)]
    return found


def unwrapped(data: bytes, deep: int = _DEEP) -> Iterator[tuple[str, bytes]]:
    """What base64, hex, escapes and deflate in `data` hold, each with the name of its wrapping."""
    if deep == 0:
        return
    for way, inner in _opened(data):
        if len(inner) >= 16:
            yield way, inner
            for deeper, innermost in unwrapped(inner, deep - 1):
                yield f"{deeper} in {way}", innermost


def _opened(data: bytes) -> Iterator[tuple[str, bytes]]:
    for run in _some(_BASE64.finditer(data)):
        text = re.sub(rb"\s", b"", run.group()).translate(bytes.maketrans(b"-_", b"+/"))
        for shift in range(4):
            part = text[shift:]
            with_end = part[: len(part) // 4 * 4]
            try:
                yield "base64", base64.b64decode(with_end)
            except binascii.Error:
                continue
    for run in _some(_HEX.finditer(data)):
        yield "hex", bytes.fromhex(run.group().decode())
        yield "hex", bytes.fromhex(run.group()[1:-1].decode())
    if len(_ESCAPED.findall(data[:_LARGEST])) >= 8:
        yield "escapes", _ESCAPED.sub(_unescaped, data)
    for start in _some(_DEFLATED.finditer(data)):
        yield from _inflated(data[start.start() :], 15)
    for start in _some(_GZIPPED.finditer(data)):
        yield from _inflated(data[start.start() :], 31)


def _unescaped(match: re.Match[bytes]) -> bytes:
    text = match.group(match.lastindex or 0)
    return bytes([int(text, 16)]) if match.lastindex != 4 else bytes([_SHORT.get(text[0], text[0])])


def _some(matches: Iterable[re.Match[bytes]]) -> Iterator[re.Match[bytes]]:
    for _, match in zip(range(_WRAPS), matches, strict=False):
        yield match


def _inflated(data: bytes, window: int) -> Iterator[tuple[str, bytes]]:
    try:
        inner = zlib.decompressobj(window).decompress(data, _LARGEST)
    except zlib.error:
        return
    yield "deflate" if window == 15 else gzip.__name__, inner
