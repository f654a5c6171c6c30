"""Who waits where, and what is dropped because of whom."""

from __future__ import annotations

from streamwatch.bus.base import Incoming
from streamwatch.bus.inbox import MAX_KIN, MAX_LANES, Inbox


def put(inbox: Inbox, *topics: str) -> None:
    for topic in topics:
        inbox.put(Incoming(topic, b"", retain=False))


async def take(inbox: Inbox, count: int) -> list[str]:
    arriving = inbox.messages()
    return [(await anext(arriving)).topic for _ in range(count)]


def first_level(topic: str) -> str:
    return topic.partition("/")[0]


async def test_messages_of_one_lane_come_in_order_and_the_oldest_makes_room():
    inbox = Inbox(3)
    put(inbox, *"abcde")
    assert await take(inbox, 3) == ["c", "d", "e"]
    assert inbox.dropped == 2


async def test_a_flood_in_one_lane_drops_and_delays_nothing_in_another():
    inbox = Inbox(3, lane=first_level)
    put(inbox, "a/1", *(f"b/{n}" for n in range(1000)), "a/2")
    assert await take(inbox, 5) == ["a/1", "b/997", "a/2", "b/998", "b/999"]
    assert inbox.dropped == 997


async def test_of_one_kind_there_are_only_so_many_lanes_and_the_others_keep_theirs():
    inbox = Inbox(3, lane=lambda topic: topic.rpartition("#")[0])
    put(inbox, *(f"signals/{n}#{m}" for m in range(5) for n in range(100)))
    put(inbox, "/anna#1", "ping#1", "signals/0#5")
    assert {"/anna#1", "ping#1"} <= set(await take(inbox, MAX_KIN + 3))
    put(inbox, *(f"signals/{n}#6" for n in range(100)), "/ben#1")
    assert "/ben#1" in await take(inbox, MAX_KIN + 2)


async def test_there_are_only_so_many_lanes():
    inbox = Inbox(2, lane=first_level)
    put(inbox, *(f"{n}/" for n in range(1000)))
    assert inbox.dropped == 1000 - MAX_LANES - 2
    assert len(await take(inbox, MAX_LANES + 2)) == MAX_LANES + 2
    put(inbox, "new/1")
    assert await take(inbox, 1) == ["new/1"]
