"""The picture size inside an AVC configuration record (its sequence parameter set). Pure; hostile bytes give None."""

from __future__ import annotations

_MAX_SPS = 1024
_MAX_ZEROS = 31
_MAX_SIDE = 16384
_MACROBLOCK = 16
_HIGH = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
"""Profiles that say more about colours."""
_MAX_CYCLE = 255


class _Bits:
    """Reads bits from the front; IndexError at the end."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data)
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        """Return the next bits as a number."""
        self._left -= count
        if self._left < 0:
            raise IndexError("no more bits")
        return self._value >> self._left & (1 << count) - 1

    def golomb(self) -> int:
        """Return the next unsigned Exp-Golomb number."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > _MAX_ZEROS:
                raise IndexError("no number")
        return (1 << zeros) - 1 + self.take(zeros)


def avc_size(record: bytes) -> tuple[int, int] | None:
    """(width, height) of the pictures that an `avcC` record announces."""
    if len(record) < 8 or not record[5] & 0x1F:  # noqa: PLR2004
        return None
    length = int.from_bytes(record[6:8])
    sps = record[8 : 8 + length]
    if len(sps) < length or length > _MAX_SPS:
        return None
    try:
        width, height = _size(_Bits(sps[1:].replace(b"\0\0\3", b"\0\0")))
    except IndexError:
        return None
    if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE):
        return None
    return width, height


def _size(bits: _Bits) -> tuple[int, int]:
    profile = bits.take(8)
    bits.take(16)  # constraints and level
    bits.golomb()
    chroma = 1
    if profile in _HIGH:
        chroma = bits.golomb()
        if chroma == 3 and bits.take(1):  # noqa: PLR2004 - three planes, coded apart
            chroma = 0
        bits.golomb()
        bits.golomb()
        bits.take(1)
        if bits.take(1):
            _pass_scaling(bits, 8 if chroma != 3 else 12)  # noqa: PLR2004
    bits.golomb()
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.take(1)
        bits.golomb()
        bits.golomb()
        for _ in range(min(bits.golomb(), _MAX_CYCLE)):
            bits.golomb()
    bits.golomb()
    bits.take(1)
    across, down = bits.golomb() + 1, bits.golomb() + 1
    frames_only = bits.take(1)
    if not frames_only:
        bits.take(1)
    bits.take(1)
    width, height = across * _MACROBLOCK, down * _MACROBLOCK * (2 - frames_only)
    if bits.take(1):
        left, right, top, bottom = bits.golomb(), bits.golomb(), bits.golomb(), bits.golomb()
        width -= (left + right) * (2 if chroma in (1, 2) else 1)
        height -= (top + bottom) * (2 if chroma == 1 else 1) * (2 - frames_only)
    return width, height


def _pass_scaling(bits: _Bits, lists: int) -> None:
    for index in range(lists):
        if not bits.take(1):
            continue
        last = scale = 8
        for _ in range(16 if index < 6 else 64):  # noqa: PLR2004 - 4 x 4, then 8 x 8
            if scale:
                code = bits.golomb()
                scale = (last + (-(code // 2) if code % 2 == 0 else (code + 1) // 2)) % 256
            last = scale or last
