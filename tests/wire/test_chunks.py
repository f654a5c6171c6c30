"""The chunk parser against bytes written by hand from the specification."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.wire import rtmp as wire
from streamwatch.wire.chunks import MAX_BATCH, MAX_HELD, MAX_MEDIA, MAX_STREAMS, ChunkParser
from streamwatch.wire.rtmp import Message, WireError
from tests.sources.rtmp.bytes import SEQUENCE, aggregate, between, header, key, message, server_says


def feed(data: bytes, *, everything: bool = True, audio: bool = True) -> list[Message]:
    return ChunkParser(audio=audio).feed(data, everything=everything)


@pytest.mark.parametrize("csid", [2, 63, 64, 319, 320, 65599])
@pytest.mark.parametrize("size", [0, 1, 127, 128, 129, 1000])
def test_every_chunk_stream_id_carries_messages_of_every_size(csid: int, size: int) -> None:
    body = bytes(i % 256 for i in range(size))
    [got] = feed(message(18, body, csid=csid, stamp=7))
    assert got == Message(18, body, 7, 1)


@pytest.mark.parametrize("repeat", [True, False], ids=["repeated in every chunk", "once"])
@pytest.mark.parametrize("form", [0, 1])
def test_extended_times_are_read_whether_or_not_they_are_repeated(*, repeat: bool, form: int) -> None:
    begin = message(9, key(10), csid=7, stamp=0)
    got = feed(begin + message(9, key(300), csid=7, stamp=0x1000000, form=form, repeat=repeat))
    assert [m.timestamp for m in got] == [0, 0x1000000]
    assert got[1].payload == key(300)


def test_a_time_of_exactly_three_full_bytes_is_extended() -> None:
    assert feed(message(9, key(300), stamp=0xFFFFFF))[0].timestamp == 0xFFFFFF


def test_times_wrap_at_32_bits() -> None:
    data = message(9, key(), csid=7, stamp=0xFFFFFFF0) + message(9, between(), csid=7, stamp=40, form=1)
    assert [m.timestamp for m in feed(data)] == [0xFFFFFFF0, 24]


def test_a_header_left_out_means_the_same_kind_length_and_step_again() -> None:
    first = message(9, key(20), csid=7, stamp=100)
    step = header(1, 7, stamp=33, length=25, kind=9) + between(20)
    again = header(3, 7) + between(20)
    time_only = header(2, 7, stamp=40) + between(20)
    got = feed(first + step + again + time_only)
    assert [m.timestamp for m in got] == [100, 133, 166, 206]
    assert [m.payload for m in got[1:]] == [between(20)] * 3


def test_messages_of_several_chunk_streams_are_woven() -> None:
    sound = message(8, b"\xaf\x01" + bytes(298), csid=6)
    video = message(9, key(395), csid=7)
    cuts = [(0, 140, 269, len(sound)), (0, 140, 269, 398, len(video))]
    parts = [[whole[a:b] for a, b in itertools.pairwise(cut)] for whole, cut in
             zip((sound, video), cuts, strict=True)]  # fmt: skip
    woven = parts[0][0] + parts[1][0] + parts[1][1] + parts[0][1] + parts[1][2] + parts[0][2] + parts[1][3]
    assert [(m.kind, len(m.payload)) for m in feed(woven)] == [(8, 300), (9, 400)]


def test_the_chunk_size_changes_in_the_middle() -> None:
    data = message(9, key(500), csid=7) + message(1, (4096).to_bytes(4), csid=2)
    data += message(9, key(5000), csid=7, chunk=4096) + message(1, (200).to_bytes(4), csid=2)
    data += message(9, key(500), csid=7, chunk=200)
    assert [len(m.payload) for m in feed(data)] == [505, 5005, 505]


def test_a_message_that_another_one_interrupts_on_its_own_chunk_stream_is_dropped() -> None:
    begun = message(9, key(300), csid=7)[: 12 + 128]
    assert [m.payload for m in feed(begun + message(9, key(50), csid=7))] == [key(50)]


def test_an_aggregate_is_unfolded_at_its_own_time() -> None:
    got = [m for m in feed(aggregate()) if m.kind in (8, 9)]
    assert [(m.kind, m.timestamp) for m in got] == [(9, 9000), (9, 9000), (8, 9010), (9, 9040)]
    kept = [m for m in feed(aggregate(), everything=False, audio=False) if m.kind in (8, 9)]
    assert [m.payload for m in kept] == [SEQUENCE, key(60)]


def test_only_keys_and_headers_come_where_nothing_else_is_wanted() -> None:
    parser = ChunkParser(audio=False)
    got = [m for m in parser.feed(server_says(), everything=False) if m.kind in (8, 9)]
    assert [m.payload for m in got] == [SEQUENCE, key()]
    assert parser.passed == sum(len(between(80 + i)) for i in range(6))
    assert parser.taken == len(SEQUENCE) + len(key()) + 6 * 32


def test_after_a_picture_was_passed_by_the_next_one_is_a_key() -> None:
    parser = ChunkParser(audio=False)

    def put(*bodies: bytes, everything: bool) -> list[bytes]:
        return [m.payload for m in parser.feed(b"".join(message(9, b) for b in bodies), everything=everything)]

    assert put(key(), between(), everything=False) == [key()]
    assert put(between(), SEQUENCE, between(), everything=True) == [SEQUENCE]
    assert put(between(), key(), between(), everything=True) == [key(), between()]
    assert put(between(), everything=False) == []
    assert put(between(), everything=True) == []


def test_after_a_picture_that_was_never_completed_the_next_one_is_a_key() -> None:
    begun = message(9, between(300), csid=7)[: 12 + 128]
    data = message(9, key(), csid=7) + begun + message(9, between(), csid=7) + message(9, key(9), csid=7)
    assert [m.payload for m in feed(data)] == [key(), key(9)]


def test_what_only_claims_to_be_a_key_does_not_make_up_for_a_picture_passed_by() -> None:
    parser = ChunkParser(audio=False)
    parser.feed(message(9, key()) + message(9, between()), everything=False)
    end, meta = b"\x92hvc1", b"\x94hvc1" + bytes(9)
    got = parser.feed(message(9, end) + message(9, meta) + message(9, between()), everything=True)
    assert [m.payload for m in got] == [end, meta]


@pytest.mark.parametrize("wrap", [lambda body: message(9, body), lambda body: message(22, _tag(body))])
@pytest.mark.parametrize("csid", [4, 100])
def test_sequence_headers_are_never_passed_by_whatever_frame_type_they_claim(
    csid: int, wrap: Callable[[bytes], bytes]
) -> None:
    hidden = b"\x27" + SEQUENCE[1:]
    parser = ChunkParser(audio=False)
    parser.feed(message(9, key(), csid=csid) + message(9, between(), csid=csid), everything=False)
    data = wrap(hidden) + message(9, hidden, csid=csid) + message(9, between(), csid=csid)
    assert [m.payload for m in parser.feed(data + message(9, key()), everything=False)] == [hidden, hidden, key()]


@pytest.mark.parametrize("wrap", [lambda body: message(9, body), lambda body: message(22, _tag(body))])
@pytest.mark.parametrize("parser_step", [10_000, 50])
def test_what_wraps_a_sequence_header_is_never_passed_by(parser_step: int, wrap: Callable[[bytes], bytes]) -> None:
    modified, tracks = b"\xa7\x01xx\x00hvc1" + bytes(200), b"\xa6\x00hvc1\x00" + bytes(200)
    both = b"\xa7\xff\x01\x00" + bytes(257) + b"\x06\x00hvc1\x00" + bytes(20)
    pictures = [b"\xa7\x01xx\x01hvc1" + bytes(200), b"\xa6\x01hvc1\x00" + bytes(200), b"\xa7\x40a", b"\xa6"]
    parser = ChunkParser(audio=False)
    data = b"".join(wrap(body) for body in (key(), between(), modified, *pictures, tracks, both, between()))
    got = [
        m for at in range(0, len(data), parser_step) for m in parser.feed(data[at : at + parser_step], everything=False)
    ]
    assert [m.payload for m in got] == [key(), modified, tracks, both]
    assert parser.passed == 2 * len(between()) + sum(map(len, pictures))
    assert [m.payload for m in feed(b"".join(message(9, body) for body in (key(), *pictures)))] == [key(), *pictures]


def _tag(body: bytes) -> bytes:
    return b"\x09" + len(body).to_bytes(3) + bytes(7) + body + bytes(4)


def test_enhanced_sequence_headers_are_never_passed_by() -> None:
    start = b"\xa0hvc1" + bytes(20)
    assert [m.payload for m in feed(message(9, start) + message(9, b"\xa1hvc1" + bytes(9)), everything=False)] == [
        start
    ]


@given(
    steps=st.lists(st.integers(1, 400), min_size=1),
    everything=st.booleans(),
    chunk_size=st.sampled_from([64, 128, 4096]),
    extended=st.booleans(),
)
def test_any_cut_of_the_bytes_gives_the_same_messages(
    *, steps: list[int], everything: bool, chunk_size: int, extended: bool
) -> None:
    data = server_says(chunk_size=chunk_size, extended=extended) + aggregate()
    whole, cut = ChunkParser(audio=False), ChunkParser(audio=False)
    expected = whole.feed(data, everything=everything)
    got, at, index = [], 0, 0
    shared = bytearray(500)
    while at < len(data):
        piece = data[at : at + steps[index % len(steps)]]
        shared[: len(piece)] = piece
        got += cut.feed(shared, len(piece), everything=everything)
        shared[:] = bytes(500)  # what was kept must not lie in the buffer
        at += len(piece)
        index += 1
    assert got == expected
    assert (cut.passed, cut.taken, cut.chunks) == (whole.passed, whole.taken, whole.chunks)


@pytest.mark.parametrize(
    "data",
    [
        header(0, 7, length=MAX_MEDIA + 1, kind=9),
        header(0, 7, length=MAX_MEDIA + 1, kind=22),
        header(0, 3, length=(64 << 10) + 1, kind=20),
        header(0, 2, length=0xFFFFFF, kind=4),
        header(3, 9) + b"x",
        header(2, 9, stamp=4) + b"x",
        b"".join(header(0, n, length=9, kind=9) + bytes(9) for n in range(64, 65 + MAX_STREAMS)),
        message(1, bytes(4), csid=2),
        message(22, b"\x09\x00\x00\xff" + bytes(20), csid=8),
        header(0, 4, kind=6) + b"\xc4" * MAX_BATCH * 2,
        message(22, (b"\x12" + bytes(14)) * MAX_BATCH * 2, csid=8),
    ],
    ids=["video", "aggregate", "command", "control", "continues nothing", "no length", "chunk streams", "chunk size 0",
         "aggregate cut short", "empty chunks", "empty tags"],
)  # fmt: skip
def test_what_is_beyond_bounds_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        feed(data)


def test_messages_that_are_never_completed_cannot_fill_memory() -> None:
    parser = ChunkParser()
    parser.feed(message(1, (1 << 20).to_bytes(4), csid=2))
    size = 1 << 20
    begun = [header(0, 10 + n, length=2 * size, kind=9) + b"\x17\x01" + bytes(size - 2) for n in range(20)]
    with pytest.raises(WireError):
        parser.feed(b"".join(begun))
    assert parser._held <= MAX_HELD + size


def test_words_too_long_to_matter_are_passed_by() -> None:
    long = message(18, bytes(100_000), csid=5)
    assert [m.kind for m in feed(long + message(18, b"\x02", csid=5))] == [wire.DATA]
