"""The look-back buffer."""

from __future__ import annotations

import threading
from fractions import Fraction

from streamwatch.domain.media import CodecConfig, MediaTime, Packet
from streamwatch.sources.base import PacketBuffer
from streamwatch.sources.gop import GopBuffer

CONFIG = CodecConfig("h264")


def packet(at: float, *, key: bool = False, size: int = 10, media: float | None = None) -> Packet:
    stamp = None if media is None else MediaTime.of(round(media * 1000), Fraction(1, 1000))
    return Packet(CONFIG, bytes(size), stamp, stamp, key=key, arrival=at)


def fill(buffer: GopBuffer, seconds: float, *, every: float, step: float = 0.1, size: int = 10) -> list[Packet]:
    made = []
    for index in range(round(seconds / step)):
        made.append(packet(index * step, key=index % round(every / step) == 0, size=size))
        buffer.put(made[-1])
    return made


def test_the_tail_begins_at_the_newest_key():
    buffer: PacketBuffer = GopBuffer(max_seconds=4, max_bytes=10_000)
    made = [packet(0, key=True), packet(1), packet(2, key=True), packet(3)]
    for one in made:
        buffer.put(one)
    assert buffer.tail() == tuple(made[2:])


def test_it_keeps_whole_groups_within_its_seconds():
    buffer = GopBuffer(max_seconds=4, max_bytes=10_000)
    fill(buffer, 20, every=1)
    assert 300 <= buffer.size <= 410  # ten packets of ten bytes a second
    assert buffer.dropped == 0  # growing old is what the buffer is for


def test_a_group_that_outgrows_the_bytes_is_emptied_until_the_next_key():
    buffer = GopBuffer(max_seconds=100, max_bytes=95)
    for index in range(9):
        buffer.put(packet(index, key=index == 0))
    assert len(buffer.tail()) == 9
    buffer.put(packet(9))
    assert buffer.tail() == ()
    assert buffer.size == 0
    buffer.put(packet(10))
    assert buffer.tail() == ()
    assert buffer.dropped == 11
    fresh = packet(11, key=True)
    buffer.put(fresh)
    assert buffer.tail() == (fresh,)


def test_a_group_that_outgrows_the_seconds_is_emptied():
    buffer = GopBuffer(max_seconds=2, max_bytes=10_000)
    fill(buffer, 3, every=10)
    assert buffer.tail() == ()


def test_a_leap_of_the_broadcasters_clock_empties_nothing():
    buffer = GopBuffer(max_seconds=4, max_bytes=10_000)
    buffer.put(packet(7.0, key=True, media=0.0))
    buffer.put(packet(7.1, key=False, media=61.0))
    assert len(buffer.tail()) == 2


def test_a_burst_counts_by_its_media_time():
    buffer = GopBuffer(max_seconds=4, max_bytes=10_000, bursts=True)
    for index in range(12):
        buffer.put(packet(7.0, key=index % 2 == 0, media=float(index)))
    assert [one.dts.seconds for one in buffer.tail() if one.dts] == [10, 11]
    assert buffer.size == 4 * 10


def test_it_never_holds_more_packets_than_its_limit():
    buffer = GopBuffer(max_seconds=100, max_bytes=10_000, max_packets=5)
    for index in range(6):
        buffer.put(packet(index, key=index == 0))
    assert buffer.limit == 5
    assert buffer.tail() == ()


def test_a_key_larger_than_the_buffer_is_not_kept():
    buffer = GopBuffer(max_seconds=4, max_bytes=50)
    buffer.put(packet(0, key=True, size=60))
    assert buffer.tail() == ()
    assert buffer.dropped == 1


def test_clear_forgets():
    buffer = GopBuffer(max_seconds=4, max_bytes=1000)
    buffer.put(packet(0, key=True))
    buffer.clear()
    assert buffer.tail() == ()
    assert buffer.size == 0


def test_readers_see_whole_groups_while_packets_come():
    buffer = GopBuffer(max_seconds=1, max_bytes=1000)
    done = threading.Event()

    def put() -> None:
        fill(buffer, 300, every=1)
        done.set()

    thread = threading.Thread(target=put, name="put")
    thread.start()
    while not done.is_set():
        tail = buffer.tail()
        assert not tail or tail[0].key
        assert buffer.size <= 1000
    thread.join()


def test_what_is_held_begins_at_the_oldest_whole_group():
    buffer = GopBuffer(max_seconds=4, max_bytes=1 << 20)
    for number in range(100):
        buffer.put(packet(number * 0.1, key=number % 20 == 0))
    held = buffer.held()
    assert held[0].key
    assert sum(one.key for one in held) == 2
    assert held[-1].arrival - held[0].arrival <= 4
    assert buffer.tail() == held[20:]
