"""What a sequence parameter set says about pictures: their size. H.264 and HEVC; pure, and bounded in what it reads."""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from streamwatch.sources.annexb import is_annexb, units

_READ = 512
"""Bytes of a parameter set that are read; sizes stand near its beginning."""
_MAX_SIDE = 1 << 16
_MAX_SETS = 64
"""Sets of a configuration that are looked at; the first ones tell the size."""
_MAX_ZEROS = 31
_HIGH = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
"""H.264 profiles whose parameter sets tell the chroma format."""
_FULL_CHROMA = 3
_H264_SPS, _HEVC_SPS = 7, 33
_AVCC_SETS, _HVCC_ARRAYS = 5, 22
"""Where the counts of sets (avcC) and of arrays (hvcC) stand."""


class H264Sps(NamedTuple):
    """What we ask of an H.264 sequence parameter set."""

    width: int
    height: int
    max_refs: int
    """Pictures that others may refer to, at most."""


class Bits:
    """Reads bits from a payload. Reading past the end raises ValueError."""

    def __init__(self, payload: bytes) -> None:
        """`payload` is a NAL unit without its header; at most its first 512 bytes are read."""
        raw = payload[:_READ].replace(b"\x00\x00\x03", b"\x00\x00")
        self._value = int.from_bytes(raw)
        self._left = 8 * len(raw)

    def read(self, count: int) -> int:
        """The next `count` bits as a number."""
        self._left -= count
        if self._left < 0:
            raise ValueError("a parameter set that ends too early")
        return self._value >> self._left & ((1 << count) - 1)

    def unsigned(self) -> int:
        """An Exp-Golomb number."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > _MAX_ZEROS:
                raise ValueError("a number that is too long")
        return (1 << zeros) - 1 + self.read(zeros)

    def signed(self) -> int:
        """An Exp-Golomb number with a sign."""
        code = self.unsigned()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def size(codec: str, extradata: bytes) -> tuple[int, int]:
    """Width and height under this configuration: Annex B sets, avcC or hvcC. (0, 0) where they are not told."""
    try:
        for unit in _sets(codec, extradata):
            if codec == "h264" and unit[0] & 0x1F == _H264_SPS:
                return h264(unit)[:2]
            if codec == "hevc" and unit[0] >> 1 & 0x3F == _HEVC_SPS:
                return _hevc(unit)
    except (ValueError, IndexError):
        pass
    return 0, 0


def _sets(codec: str, extradata: bytes) -> list[bytes]:
    if is_annexb(extradata):
        return list(islice(units(extradata), _MAX_SETS))
    if codec == "h264":
        return _lengthed(extradata, _AVCC_SETS + 1, extradata[_AVCC_SETS] & 0x1F)
    found: list[bytes] = []
    at = _HVCC_ARRAYS + 1
    for _ in range(extradata[_HVCC_ARRAYS]):
        count = int.from_bytes(extradata[at + 1 : at + 3])
        sets = _lengthed(extradata, at + 3, count)
        at += 3 + sum(2 + len(one) for one in sets)
        found += sets
    return found


def _lengthed(data: bytes, at: int, count: int) -> list[bytes]:
    found: list[bytes] = []
    if count > _MAX_SETS:
        raise ValueError("more sets than a configuration has")
    for _ in range(count):
        length = int.from_bytes(data[at : at + 2])
        unit = data[at + 2 : at + 2 + length]
        if not unit:
            raise ValueError("a configuration that ends too early")
        found.append(unit)
        at += 2 + length
    return found


@lru_cache(maxsize=64)
def h264(unit: bytes) -> H264Sps:
    """Read a whole NAL unit of type 7. Raises ValueError."""
    bits = Bits(unit[1:])
    profile = bits.read(8)
    bits.read(16)
    bits.unsigned()
    chroma, separate = 1, 0
    if profile in _HIGH:
        chroma = bits.unsigned()
        if chroma == _FULL_CHROMA:
            separate = bits.read(1)
        bits.unsigned()
        bits.unsigned()
        bits.read(1)
        if bits.read(1):
            _skip_scaling(bits, 12 if chroma == _FULL_CHROMA else 8)
    bits.unsigned()
    _skip_order(bits)
    max_refs = bits.unsigned()
    bits.read(1)
    columns, rows = bits.unsigned() + 1, bits.unsigned() + 1
    frames_only = bits.read(1)
    if not frames_only:
        bits.read(1)
    bits.read(1)
    across = 2 if chroma in (1, 2) and not separate else 1
    down = (2 if chroma == 1 and not separate else 1) * (2 - frames_only)
    left, right, top, bottom = [bits.unsigned() for _ in range(4)] if bits.read(1) else [0, 0, 0, 0]
    width = 16 * columns - across * (left + right)
    height = 16 * rows * (2 - frames_only) - down * (top + bottom)
    return H264Sps(*_believed(width, height), max_refs)


def _skip_scaling(bits: Bits, lists: int) -> None:
    for number in range(lists):
        if not bits.read(1):
            continue
        last = following = 8
        for _ in range(16 if number < 6 else 64):  # noqa: PLR2004 - six lists of 4 x 4, then those of 8 x 8
            if following:
                following = (last + bits.signed()) % 256
            last = following or last


def _skip_order(bits: Bits) -> None:
    kind = bits.unsigned()
    if kind == 0:
        bits.unsigned()
    elif kind == 1:
        bits.read(1)
        bits.signed()
        bits.signed()
        for _ in range(min(bits.unsigned(), 255)):
            bits.signed()


def _hevc(unit: bytes) -> tuple[int, int]:
    bits = Bits(unit[2:])
    bits.read(4)
    layers = bits.read(3)
    bits.read(1)
    bits.read(96)
    present = [(bits.read(1), bits.read(1)) for _ in range(layers)]
    if layers:
        bits.read(2 * (8 - layers))
    for profile, level in present:
        bits.read(88 * profile + 8 * level)
    bits.unsigned()
    chroma = bits.unsigned()
    if chroma == _FULL_CHROMA:
        bits.read(1)
    width, height = bits.unsigned(), bits.unsigned()
    if bits.read(1):
        left, right, top, bottom = [bits.unsigned() for _ in range(4)]
        width -= (2 if chroma in (1, 2) else 1) * (left + right)
        height -= (2 if chroma == 1 else 1) * (top + bottom)
    return _believed(width, height)


def _believed(width: int, height: int) -> tuple[int, int]:
    if not (0 < width < _MAX_SIDE and 0 < height < _MAX_SIDE):
        raise ValueError("a size that nobody could mean")
    return width, height
