import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.wire import amf0
from streamwatch.wire import rtmp as wire
from streamwatch.wire.chunks import ChunkParser

names = st.text(max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | names,
    lambda inner: st.dictionaries(names.filter(bool), inner, max_size=4) | st.lists(inner, max_size=4),
    max_leaves=8,
)


@given(st.lists(values, max_size=6))
def test_amf0_reads_what_it_wrote(several):
    assert amf0.decode(amf0.encode(*several)) == several


@given(st.binary(max_size=200))
def test_amf0_never_fails_otherwise_than_with_its_own_error(data):
    with contextlib.suppress(amf0.Amf0Error):
        amf0.decode(data)


def test_amf0_writes_long_strings_and_reads_arrays_with_a_count():
    text = "x" * 70_000
    assert amf0.decode(amf0.encode(text)) == [text]
    array = b"\x08" + struct.pack(">I", 1) + b"\x00\x03fps\x00" + struct.pack(">d", 25) + b"\x00\x00\x09"
    assert amf0.decode(array) == [{"fps": 25.0}]


@pytest.mark.parametrize(
    "data",
    [b"\x03\x00\x01a" * 20, b"\x0a\xff\xff\xff\xff", b"\x0c\xff\xff\xff\xffabc", b"\x07", b"\x05" * 300,
     b"\x0a\x00\x00\x00\xff" + (b"\x0a\x00\x00\x00\xff" + b"\x05" * 255) * 255,
     b"\x03" + b"\x00\x00\x05" * 3000 + b"\x00\x00\x09"],
    ids=["too deep", "too many items", "longer than the message", "unknown type", "too many values",
         "too many values inside", "one name for many values"],
)  # fmt: skip
def test_amf0_is_bounded(data):
    with pytest.raises(amf0.Amf0Error):
        amf0.decode(data)


messages = st.builds(
    wire.Message,
    kind=st.sampled_from([wire.AUDIO, wire.VIDEO, wire.DATA, wire.COMMAND, wire.USER_CONTROL]),
    payload=st.binary(max_size=700),
    timestamp=st.integers(0, 0xFFFFFFFF),
    stream_id=st.integers(0, 3),
)


@given(st.lists(messages, max_size=5), st.sampled_from([1, 64, 128, 4096]), st.data())
def test_messages_survive_chunking_however_the_bytes_arrive(sent, size, data):
    stream = wire.chunks(wire.number(wire.SET_CHUNK_SIZE, size), wire.DEFAULT_CHUNK)
    stream += b"".join(wire.chunks(message, size) for message in sent)
    reader, received, at = ChunkParser(), [], 0
    while at < len(stream):
        step = data.draw(st.integers(1, 400))
        received += reader.feed(stream[at : at + step])
        at += step
    assert received == sent


def _basic(form: int, csid: int) -> bytes:
    return bytes((form << 6 | csid,))


def test_compressed_headers_carry_on_time_type_and_length():
    reader = ChunkParser()
    first = _basic(0, 5) + (1000).to_bytes(3) + (2).to_bytes(3) + b"\x09" + (1).to_bytes(4, "little") + b"aa"
    delta = _basic(1, 5) + (40).to_bytes(3) + (3).to_bytes(3) + b"\x08" + b"bbb"
    time_only = _basic(2, 5) + (20).to_bytes(3) + b"ccc"
    nothing = _basic(3, 5) + b"ddd"
    got = reader.feed(first + delta + time_only + nothing)
    assert [(m.kind, m.timestamp, m.payload, m.stream_id) for m in got] == [
        (9, 1000, b"aa", 1),
        (8, 1040, b"bbb", 1),
        (8, 1060, b"ccc", 1),
        (8, 1080, b"ddd", 1),
    ]


def test_messages_of_two_chunk_streams_may_interleave():
    audio = wire.chunks(wire.Message(wire.AUDIO, b"a" * 200), 128)
    video = bytearray(wire.chunks(wire.Message(wire.VIDEO, b"v" * 200), 128))
    video[0] = 7
    video[12 + 128] = 0xC0 | 7
    cut = 12 + 128
    mixed = audio[:cut] + bytes(video[:cut]) + audio[cut:] + bytes(video[cut:])
    assert [m.payload[:1] for m in ChunkParser().feed(mixed)] == [b"a", b"v"]


def test_chunk_stream_ids_of_two_and_three_bytes_are_understood():
    body = (0).to_bytes(3) + (1).to_bytes(3) + b"\x09" + bytes(4) + b"x"
    got = ChunkParser().feed(b"\x00\x10" + body + b"\x01\x10\x01" + body)
    assert [m.payload for m in got] == [b"x", b"x"]


def test_an_abort_forgets_the_message_begun():
    reader = ChunkParser()
    whole = wire.chunks(wire.Message(wire.AUDIO, b"a" * 300), 128)
    assert reader.feed(whole[: 12 + 128]) == []
    assert reader.feed(wire.chunks(wire.Message(wire.ABORT, (6).to_bytes(4)), 128)) == []
    assert [m.payload for m in reader.feed(whole)] == [b"a" * 300]


@pytest.mark.parametrize(
    "data",
    [
        _basic(0, 5) + bytes(3) + b"\xff\xff\xff" + b"\x09" + bytes(4),
        wire.chunks(wire.number(wire.SET_CHUNK_SIZE, 0), 128),
        b"".join(bytes((0, n)) + bytes(3) + (9).to_bytes(3) + b"\x09" + bytes(4) + bytes(9) for n in range(65)),
    ],
    ids=["message too long", "chunk size zero", "too many chunk streams"],
)
def test_the_wire_is_bounded(data):
    with pytest.raises(wire.WireError):
        ChunkParser().feed(data)


@given(st.binary(max_size=400))
def test_noise_is_refused_or_waited_for(data):
    with contextlib.suppress(wire.WireError):
        ChunkParser().feed(data)
