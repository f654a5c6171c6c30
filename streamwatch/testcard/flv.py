"""FLV tags: what RTMP carries. A splitter turns the bytes of a muxer into tags; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

_FILE_HEADER = 9
_TAG_HEADER = 11
_BACK_POINTER = 4
_KEY_FRAME = 1
_AVC = 7
_AAC = 10
_ENHANCED = 0x80
"""Enhanced RTMP: the codec is named by four letters, the low four bits are the packet type (0: sequence start)."""
_ENHANCED_FRAMES = (1, 3)


class TagKind(IntEnum):
    """The three kinds of FLV tags; RTMP's message types have the same numbers."""

    AUDIO = 8
    VIDEO = 9
    DATA = 18


@dataclass(frozen=True, slots=True)
class FlvTag:
    """One tag without its framing."""

    kind: TagKind
    timestamp_ms: int
    payload: bytes = field(repr=False)

    @property
    def is_header(self) -> bool:
        """Whether it configures a decoder (AVC or AAC sequence header): a late player needs it first."""
        head = self.payload[:2]
        if self.kind is TagKind.VIDEO and head:
            if head[0] & _ENHANCED:
                return head[0] & 0x0F == 0
            return head[0] & 0x0F == _AVC and head[1:] == b"\x00"
        return self.kind is TagKind.AUDIO and len(head) == 2 and head[0] >> 4 == _AAC and head[1] == 0  # noqa: PLR2004

    @property
    def is_key(self) -> bool:
        """Whether a decoder that has the headers can begin here."""
        head = self.payload[:2]
        if self.kind is not TagKind.VIDEO or len(head) < 2 or head[0] >> 4 & 0x7 != _KEY_FRAME:  # noqa: PLR2004
            return False
        if head[0] & _ENHANCED:
            return head[0] & 0x0F in _ENHANCED_FRAMES
        return head[0] & 0x0F != _AVC or head[1] == 1  # 0 is the header, 2 the end of the sequence


class FlvSplitter:
    """Cuts a growing FLV file into tags. Trusts its muxer: it is our own."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._begun = False

    def feed(self, data: bytes) -> list[FlvTag]:
        """Take the next bytes; return the tags that are now complete."""
        self._rest += data
        tags: list[FlvTag] = []
        if not self._begun:
            if len(self._rest) < _FILE_HEADER + _BACK_POINTER:
                return tags
            del self._rest[: _FILE_HEADER + _BACK_POINTER]
            self._begun = True
        while len(self._rest) >= _TAG_HEADER:
            size = int.from_bytes(self._rest[1:4])
            end = _TAG_HEADER + size
            if len(self._rest) < end + _BACK_POINTER:
                break
            timestamp_ms = self._rest[7] << 24 | int.from_bytes(self._rest[4:7])  # the top byte comes last
            tags.append(FlvTag(TagKind(self._rest[0] & 0x1F), timestamp_ms, bytes(self._rest[_TAG_HEADER:end])))
            del self._rest[: end + _BACK_POINTER]
        return tags
