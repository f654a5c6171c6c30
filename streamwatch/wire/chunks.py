"""RTMP chunks to messages, incrementally. Pure: no socket, no clock.

This is the loop that runs for every byte of every stream, so it is one function, and what nobody wants is passed by
without a copy: the payload of sound where none is asked for, and of pictures between keys while they are not wanted.
The first two bytes of a video message decide.
"""

from __future__ import annotations

import struct
from typing import Final

from streamwatch.wire.rtmp import (
    ABORT,
    AGGREGATE,
    AUDIO,
    DATA,
    DATA_AMF3,
    DEFAULT_CHUNK,
    SET_CHUNK_SIZE,
    VIDEO,
    Message,
    WireError,
)

MAX_MEDIA: Final = 8 << 20
"""Bytes of a video or aggregate message: a key picture at 4K and 60 Mbit/s has a tenth of it."""
MAX_OTHER: Final = 64 << 10
"""Bytes of a command, control or data message."""
MAX_HELD: Final = MAX_MEDIA + MAX_OTHER
"""Bytes of incomplete messages that one connection may make us hold."""
MAX_STREAMS: Final = 64
"""Chunk streams; servers use three to ten."""
MAX_BATCH: Final = 8192
"""Chunks that are taken at once, and tags of an aggregate: so many of the smallest usual chunks are 1 MB. A chunk may
have one byte, and costs as much as a large one."""

_TWO_WORDS = struct.Struct(">II").unpack_from
_STREAM_ID = struct.Struct("<I").unpack_from
_EXTENDED = 0xFFFFFF
_MAX_CHUNK = 0xFFFFFF
_KEY, _FRAME_TYPE = 0x10, 0x70
_ENHANCED, _PACKET_TYPE = 0x80, 0x0F
_WITH_HEADERS = (7, 12, 13)
"""Codec ids of FLV whose second byte tells a picture (1) from a sequence header (0): AVC, and HEVC and AV1 alike."""
_WITH_PICTURES = (1, 3, 6, 7)
"""Packet types of enhanced RTMP that bring a picture, or may: 6 and 7 wrap another type."""
_SEQUENCE_START, _MULTITRACK, _MODIFIER = 0, 6, 7
_BETWEEN = bytes(
    first & _FRAME_TYPE != _KEY
    and not (first & _ENHANCED and first & _PACKET_TYPE in (_SEQUENCE_START, _MULTITRACK, _MODIFIER))
    for first in range(256)
)
"""By the first byte of a video message: 1 where it is nothing but a picture between keys. Enhanced RTMP's sequence
headers are told by their packet type, 0, whatever frame type they claim; what wraps another type is looked into."""
_TAG, _BACK_POINTER = 11, 4
_LONGEST_PLAIN = 13
"""Bytes of a header without extended time, and the byte after it."""
_TWO_BYTES = 2 << 8
_2_TO_32 = 0xFFFFFFFF


class _ChunkStream:
    """What a chunk stream remembers between chunks."""

    __slots__ = ("body", "delta", "keep", "left", "plain", "stamp", "stream_id", "timestamp", "what")

    def __init__(self) -> None:
        self.timestamp = 0
        self.delta = 0
        self.stamp: bytes | None = None
        """The extended timestamp as it was written, None where there was none."""
        self.what = 0
        """Length and kind, as a header has them: length << 8 | kind."""
        self.stream_id = 0
        self.left = 0
        """Bytes of the message in progress that have not come yet."""
        self.keep = False
        self.plain = True
        """No message is in progress, and no extended time to be repeated."""
        self.body: bytearray | None = None

    @property
    def kind(self) -> int:
        """The kind of its newest message."""
        return self.what & 0xFF


class ChunkParser:
    """Assembles messages from the bytes of one direction of a connection. After an error it is of no further use."""

    __slots__ = (
        "_audio",
        "_chunk_left",
        "_chunk_of",
        "_chunk_size",
        "_held",
        "_rest",
        "_streams",
        "_whole",
        "chunks",
        "passed",
        "taken",
    )

    def __init__(self, *, audio: bool = True) -> None:
        """`audio`: whether sound is wanted at all."""
        self._audio = audio
        self._streams: dict[int, _ChunkStream] = {}
        self._chunk_size = DEFAULT_CHUNK
        self._chunk_of: _ChunkStream | None = None
        self._chunk_left = 0
        self._rest = b""
        self._held = 0
        self._whole = True
        self.chunks = 0
        """Chunks begun so far: what the peer makes us work."""
        self.passed = 0
        """Bytes of video passed by unread so far."""
        self.taken = 0
        """Bytes of all other video and sound so far."""

    def feed(  # noqa: C901, PLR0912, PLR0915 - the hot loop: a call costs as much as the rest of a chunk
        self, data: bytes | bytearray, end: int | None = None, *, everything: bool = True
    ) -> list[Message]:
        """Take `data[:end]`; return the messages that are now complete. `data` may be used again afterwards.

        `everything`: video between keys is wanted. Where some of it was passed by, the next that is returned is a key.
        Changes of the chunk size and aborts are applied, aggregates are unfolded; none of them is returned.

        Raises:
            WireError: not RTMP, or beyond our bounds.

        """
        if end is None:
            end = len(data)
        if self._rest:
            data = self._rest + data[:end]
            end = len(data)
            self._rest = b""
        view, two_words, new = memoryview(data), _TWO_WORDS, tuple.__new__
        messages: list[Message] = []
        streams, chunk_size, audio = self._streams, self._chunk_size, self._audio
        whole = self._whole and everything
        passed = taken = count = at = 0

        if self._chunk_left:
            self._whole = whole
            at = self._go_on(view, end, messages, everything=everything)
            whole, chunk_size = self._whole, self._chunk_size

        longest = chunk_size << 8 | 0xFF
        between, unheard = _BETWEEN, -1 if audio else AUDIO
        safe = end - _LONGEST_PLAIN
        while at < end:
            first = data[at]

            # The quick way, which nine of ten messages go: a header with length and kind, the message in this one
            # chunk and the chunk in this batch, and nothing to be done but to pass it by, or to take it as it lies.
            if first < 0x80 and at < safe:  # noqa: PLR2004 - forms 0 and 1
                stream = streams.get(first & 0x3F)
                if stream is not None and stream.plain:
                    delta, what = two_words(data, at)
                    delta &= 0xFFFFFF
                    body = at + 8 if first & 0x40 else at + 12
                    stop = body + (what >> 8)
                    if _TWO_BYTES <= what <= longest and stop <= end and delta != _EXTENDED:
                        kind = what & 0xFF
                        if kind == VIDEO and between[data[body]] and data[body + 1]:
                            if whole:
                                time = stream.timestamp + delta & _2_TO_32
                                if first < 0x40:  # noqa: PLR2004 - form 0
                                    time, stream.stream_id = delta, _STREAM_ID(data, at + 8)[0]
                                messages.append(new(Message, (VIDEO, bytes(view[body:stop]), time, stream.stream_id)))
                                taken += what >> 8
                            else:
                                passed += what >> 8
                        elif kind == unheard:
                            taken += what >> 8
                        else:
                            kind = 0
                        if kind:
                            stream.timestamp = stream.timestamp + delta & _2_TO_32 if first & 0x40 else delta
                            stream.delta, stream.what = delta, what
                            at = stop
                            count += 1
                            continue

            if count > MAX_BATCH:
                raise WireError("more chunks than a live stream has")
            form, csid = first >> 6, first & 0x3F
            head = at + 1
            if csid < 2:  # noqa: PLR2004 - 0 and 1 announce one or two more bytes, the low one first
                head += csid + 1
                if head > end:
                    break
                csid = 64 + int.from_bytes(data[at + 1 : head], "little")
            stream = streams.get(csid)
            if stream is None:
                stream = self._new_stream(csid, form)

            if form == 3:  # noqa: PLR2004 - no header: more of the same message, or one just like the last
                body = head
                if stream.stamp is not None:
                    body += 4
                    if body > end:
                        break
                    if data[head:body] != stream.stamp:
                        body = head  # this peer does not repeat it
                left, keep = stream.left, stream.keep
                what, delta, stamp = stream.what, stream.delta, stream.stamp
            else:
                if form == 2:  # noqa: PLR2004 - the time alone
                    body = head + 3
                    if body > end:
                        break
                    delta, what = int.from_bytes(data[head:body]), stream.what
                else:
                    body = head + 7 if form else head + 11
                    if body > end:
                        break
                    delta, what = two_words(data, head - 1)
                    delta &= 0xFFFFFF
                stamp = None
                if delta == _EXTENDED:
                    body += 4
                    if body > end:
                        break
                    stamp = bytes(data[body - 4 : body])
                    delta = int.from_bytes(stamp)
                left = 0

            length, kind = what >> 8, what & 0xFF
            if not left:  # a message begins
                if stream.left and stream.kind == VIDEO:
                    whole = False  # the one before is dropped below
                if kind == VIDEO:
                    keep = whole
                    if length > 1:
                        if length > MAX_MEDIA:
                            raise WireError(f"a video message of {length} bytes")
                        if body + 2 > end:
                            break
                        if not _is_between(data[body], data[body + 1]):
                            keep = True
                            if _is_key(data[body], data[body + 1]):
                                whole = everything
                elif kind == AUDIO:
                    keep = audio and length <= MAX_OTHER
                else:
                    keep = _wanted(kind, length)
                if stream.left:
                    self._drop(stream)
                if form:
                    stream.timestamp = stream.timestamp + delta & _2_TO_32
                else:
                    stream.timestamp = delta
                    stream.stream_id = _STREAM_ID(data, head + 7)[0]
                stream.delta = delta  # after form 0 too: so the specification has it, and FFmpeg writes it
                stream.stamp = stamp
                stream.what, stream.keep = what, keep
                left = length

            count += 1
            size = min(chunk_size, left)
            at = body + size
            if at > end:
                size = end - body
                self._chunk_of, self._chunk_left = stream, at - end
                at = end
            stream.left = left = left - size
            stream.plain = not left and stream.stamp is None
            if not keep:
                if kind == VIDEO:
                    passed += size
                elif kind == AUDIO:
                    taken += size
                continue
            if kind in (VIDEO, AUDIO):
                taken += size
            if size == length:
                payload = bytes(view[body:at])
            else:
                self._hold(stream, view[body : body + size])
                if left:
                    continue
                payload = self._release(stream)
            if kind == VIDEO and not whole and _wraps_between(payload):
                taken, passed = taken - length, passed + length
            elif kind in (VIDEO, AUDIO):
                messages.append(Message(kind, payload, stream.timestamp, stream.stream_id))
            else:
                self._whole = whole
                self._other(stream, payload, messages, everything=everything)
                whole, chunk_size = self._whole, self._chunk_size
                longest = chunk_size << 8 | 0xFF

        self._whole = whole
        self.passed += passed
        self.taken += taken
        self.chunks += count
        if at < end:
            self._rest = bytes(view[at:end])
        return messages

    def _go_on(self, view: memoryview, end: int, messages: list[Message], *, everything: bool) -> int:
        """Take the rest of the chunk that the last batch ended in; return where the next one begins."""
        stream = self._chunk_of
        if stream is None:
            return 0
        size = min(self._chunk_left, end)
        self._chunk_left -= size
        stream.left -= size
        stream.plain = not stream.left and stream.stamp is None
        if stream.kind == AUDIO or (stream.kind == VIDEO and stream.keep):
            self.taken += size
        if stream.keep:
            self._hold(stream, view[:size])
            if not stream.left:
                payload = self._release(stream)
                if stream.kind == VIDEO and not self._whole and _wraps_between(payload):
                    self.taken -= len(payload)
                    self.passed += len(payload)
                elif stream.kind in (VIDEO, AUDIO):
                    messages.append(Message(stream.kind, payload, stream.timestamp, stream.stream_id))
                else:
                    self._other(stream, payload, messages, everything=everything)
        elif stream.kind == VIDEO:
            self.passed += size
        return size

    def _new_stream(self, csid: int, form: int) -> _ChunkStream:
        if form > 1:
            raise WireError("a chunk that continues nothing")
        if len(self._streams) >= MAX_STREAMS:
            raise WireError("too many chunk streams")
        stream = self._streams[csid] = _ChunkStream()
        return stream

    def _hold(self, stream: _ChunkStream, piece: memoryview) -> None:
        self._held += len(piece)
        if self._held > MAX_HELD:
            raise WireError("too much of incomplete messages")
        if stream.body is None:
            stream.body = bytearray(piece)
        else:
            stream.body += piece

    def _release(self, stream: _ChunkStream) -> bytes:
        body, stream.body = stream.body or b"", None
        self._held -= len(body)
        return bytes(body)

    def _drop(self, stream: _ChunkStream) -> None:
        """A message is never completed: its sender aborts it, or begins another one on its chunk stream."""
        self._release(stream)
        stream.left = 0
        stream.plain = stream.stamp is None
        if stream.kind == VIDEO:
            self._whole = False

    def _other(self, stream: _ChunkStream, payload: bytes, messages: list[Message], *, everything: bool) -> None:
        """What is neither picture nor sound."""
        if stream.kind == SET_CHUNK_SIZE:
            size = int.from_bytes(payload[:4])
            if not 1 <= size <= _MAX_CHUNK:
                raise WireError(f"chunk size {size}")
            self._chunk_size = size
        elif stream.kind == ABORT:
            aborted = self._streams.get(int.from_bytes(payload[:4]))
            if aborted is not None:
                self._drop(aborted)
        elif stream.kind == AGGREGATE:
            self._unfold(payload, stream.timestamp, stream.stream_id, messages, everything=everything)
        else:
            messages.append(Message(stream.kind, payload, stream.timestamp, stream.stream_id))

    def _unfold(
        self, body: bytes, timestamp: int, stream_id: int, messages: list[Message], *, everything: bool
    ) -> None:
        """FLV tags with their headers; the first one's time is the aggregate's."""
        at, tags, shift = 0, 0, None
        while at + _TAG <= len(body):
            self.chunks += 1
            tags += 1
            if tags > MAX_BATCH:
                raise WireError("more tags in an aggregate than a live stream has")
            kind, size = body[at], int.from_bytes(body[at + 1 : at + 4])
            time = body[at + 7] << 24 | int.from_bytes(body[at + 4 : at + 7])  # the top byte comes last
            shift = timestamp - time if shift is None else shift
            begin = at + _TAG
            at = begin + size + _BACK_POINTER
            payload = body[begin : begin + size]
            if len(payload) < size:
                raise WireError("an aggregate that is cut short")
            keep = self._audio
            if kind == VIDEO:
                keep = self._keeps(payload, everything=everything)
            elif kind != AUDIO:
                keep = kind in (DATA, DATA_AMF3)
            if kind == VIDEO and not keep:
                self.passed += size
            elif kind in (VIDEO, AUDIO):
                self.taken += size
            if keep:
                messages.append(Message(kind, payload, (time + shift) & _2_TO_32, stream_id))

    def _keeps(self, payload: bytes, *, everything: bool) -> bool:
        """Judge a video message as the loop does."""
        if len(payload) < 2:  # noqa: PLR2004
            return self._whole
        if _is_between(payload[0], payload[1]) or _wraps_between(payload):
            return self._whole
        if _is_key(payload[0], payload[1]):
            self._whole = everything
        return True


def _is_between(first: int, second: int) -> bool:
    """Whether a message holds nothing but a picture between keys: a sequence header may claim any frame type."""
    return _BETWEEN[first] != 0 and (second != 0 or first & _ENHANCED != 0 or first & 0x0F not in _WITH_HEADERS)


def _wraps_between(payload: bytes) -> bool:
    """Whether a whole message wraps a picture between keys, and no sequence header."""
    first = payload[0] if payload else 0
    kind, at = first & _PACKET_TYPE, 1
    if not first & _ENHANCED or first & _FRAME_TYPE == _KEY or kind not in (_MULTITRACK, _MODIFIER):
        return False
    while kind == _MODIFIER:  # so many bytes of it, and then the type that it modifies
        size = 1 + int.from_bytes(payload[at : at + 1])
        at += 1
        if size == 256:  # noqa: PLR2004 - the escape to a longer form
            size = 1 + int.from_bytes(payload[at : at + 2])
            at += 2
        at += size + 1
        if at > len(payload):
            return True
        kind = payload[at - 1] & _PACKET_TYPE
    if kind == _MULTITRACK:
        kind = payload[at] & _PACKET_TYPE if at < len(payload) else _MULTITRACK
    return kind != _SEQUENCE_START


def _is_key(first: int, second: int) -> bool:
    """Whether a message that is read in any case holds a key picture: not the header or the end of a sequence."""
    if first & _FRAME_TYPE != _KEY:
        return False
    if first & _ENHANCED:
        return first & _PACKET_TYPE in _WITH_PICTURES
    return first & 0x0F not in _WITH_HEADERS or second == 1


def _wanted(kind: int, length: int) -> bool:
    """Whether a message that is no picture and no sound is read. Raises WireError where it is too long to be true."""
    if kind == AGGREGATE:
        if length > MAX_MEDIA:
            raise WireError(f"an aggregate of {length} bytes")
        return True
    if length > MAX_OTHER:
        if kind in (DATA, DATA_AMF3):
            return False  # words about the stream: we can do without
        raise WireError(f"a message of {length} bytes")
    return True
