"""Pixels in memory: overwritten when a look is done, whoever frees them, and left out of every dump.

Two nets. What we hold ourselves is overwritten by `wipe` before it is let go. What libraries free behind our back
(FFmpeg's closed decoders, scaling and inference scratch) is overwritten by the allocator itself, see `wipe_freed`.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_LIBC.madvise.restype = ctypes.c_int
_M_PERTURB = -6
_FREED = 0xFF
"""What freed memory is filled with; fresh memory is then filled with its complement, zeros."""
_MADV_DONTDUMP = 16
_REMEMBERED = 4096


def wipe_freed() -> bool:
    """From now on, have every block of more than a kilobyte overwritten when it is freed; whether that can be had.

    The C library does it (glibc's M_PERTURB); blocks of its small cache keep their content, and so does what the
    kernel gets back at once, which nobody can read again. Call it once, before pictures are decoded.
    """
    _State.wanted = True
    return _perturb(_FREED)


@contextmanager
def not_wiping() -> Iterator[None]:
    """Meanwhile freed memory stays as it is: for the loading of models.

    onnxruntime asks for a gigabyte then that it hardly touches; filled by the allocator, it would be in memory.
    """
    _perturb(0)
    try:
        yield
    finally:
        if _State.wanted:
            _perturb(_FREED)


class _State:
    wanted = False


def _perturb(value: int) -> bool:
    try:
        return bool(_LIBC.mallopt(_M_PERTURB, value))
    except AttributeError:  # another C library
        return False


def wipe(address: int, size: int) -> None:
    """Overwrite memory with zeros. The caller vouches that it is writable and nobody needs what is in it."""
    if address and size > 0:
        ctypes.memset(address, 0, size)


class Shroud:
    """Keeps buffers out of dumps: whole pages of each, once for each place. Not for several threads at a time."""

    def __init__(self) -> None:
        self._done: dict[tuple[int, int], None] = {}

    def cover(self, address: int, size: int) -> None:
        """Leave this buffer's pages out of dumps; where the kernel will not, it is left at that: dumps are off."""
        if (address, size) in self._done or not sys.platform.startswith("linux"):
            return
        if len(self._done) >= _REMEMBERED:
            self._done.clear()
        self._done[address, size] = None
        begin = -(-address // mmap.PAGESIZE) * mmap.PAGESIZE
        end = (address + size) // mmap.PAGESIZE * mmap.PAGESIZE
        if end > begin:
            _LIBC.madvise(begin, end - begin, _MADV_DONTDUMP)
