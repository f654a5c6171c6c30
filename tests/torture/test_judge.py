"""The judge itself, without any system: what it must find, and what it must not."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator

import pytest

from tests.torture.proxy import Mood, Proxy
from tests.torture.verdict import Committed, Receipt, digest, reach


def event(alert: str, seq: int, what: str = "updated", **body: object) -> Committed:
    text = json.dumps({"alert_id": alert, "seq": seq, "event": what, **body})
    return Committed(alert, seq, what, "high", text, 10.0 + seq, 10.0 + seq)


def came(*events: Committed) -> list[Receipt]:
    return [Receipt(one.alert_id, one.seq, digest(one.body), 20.0) for one in events]


A = [event("a", 1, "opened"), event("a", 2), event("a", 3, "closed", close_reason="quiet")]
B = [event("b", 1, "opened"), event("b", 2)]


def test_what_came_once_or_more_often_in_any_mixture_is_in_order() -> None:
    verdict = reach([*A, *B], came(A[0], B[0], A[1], A[0], B[0], B[1], A[2], A[1]))
    assert not verdict.faults
    assert (verdict.committed, verdict.received, verdict.again) == (5, 5, 3)


def test_what_never_came_is_lost() -> None:
    assert reach([*A, *B], came(*A, B[1])).faults == {"lost": (("b", 1),)}


def test_an_event_that_first_came_after_a_later_one_is_out_of_order() -> None:
    assert reach(A, came(A[0], A[2], A[1])).faults == {"out of order": (("a", 2),)}


def test_two_bodies_are_found_whether_both_came_or_one_stands_in_the_ledger() -> None:
    other = dataclasses.replace(A[1], body=A[1].body.replace("updated", "opened"))
    assert reach(A, came(*A, other)).faults == {"two bodies under one key": (("a", 2),)}
    assert reach(A, came(A[0], other, A[2])).faults == {"two bodies under one key": (("a", 2),)}


def test_what_the_ledger_does_not_know_was_forgotten_by_it() -> None:
    assert reach(A, came(*A, *B)).faults == {"not in the ledger": (("b", 1), ("b", 2))}
    assert reach([A[0], A[2]], came(A[0], A[2])).faults == {"holes in the ledger": ("a",)}


def test_a_close_that_nobody_asked_for_is_found() -> None:
    restart = event("a", 3, "closed", close_reason="restart")
    assert reach([*A[:2], restart], came(*A[:2], restart)).faults == {"closed without a reason": (("a", 3),)}


# --- the line between daemon and broker ------------------------------------------------------------------------------


class Echo:
    """A far side that answers, and one line to it."""

    def __init__(
        self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: list[bytes]
    ) -> None:
        self.proxy, self.reader, self.writer, self.heard = proxy, reader, writer, heard

    async def ask(self, word: bytes) -> bytes:
        self.writer.write(word)
        return await asyncio.wait_for(self.reader.read(100), 5)


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(100):
                heard.append(data)
                writer.write(data)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with Proxy(server.sockets[0].getsockname()[1]) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        try:
            yield Echo(proxy, reader, writer, heard)
        finally:
            writer.close()
    server.close()


async def test_an_open_line_passes_both_ways(echo: Echo) -> None:
    assert await echo.ask(b"one") == b"one"
    echo.proxy.mood(Mood.SLOW)
    assert await echo.ask(b"two") == b"two"


async def test_a_stalled_line_goes_on_where_it_stopped(echo: Echo) -> None:
    assert await echo.ask(b"one") == b"one"
    echo.proxy.mood(Mood.STALL)
    answer = asyncio.create_task(echo.ask(b"two"))
    await asyncio.wait((answer,), timeout=0.05)
    assert not answer.done()
    assert echo.heard == [b"one"]
    echo.proxy.mood(Mood.OPEN)
    assert await answer == b"two"


async def test_a_deaf_line_brings_words_and_no_answers(echo: Echo) -> None:
    echo.proxy.mood(Mood.DEAF)
    answer = asyncio.create_task(echo.ask(b"one"))
    await asyncio.wait((answer,), timeout=0.05)
    assert not answer.done()
    assert echo.heard == [b"one"]
    echo.proxy.cut()
    with contextlib.suppress(ConnectionError):
        assert await answer == b""


async def test_half_open_says_nothing_and_new_lines_work(echo: Echo) -> None:
    assert await echo.ask(b"one") == b"one"
    echo.proxy.vanish()
    answer = asyncio.create_task(echo.ask(b"two"))
    await asyncio.wait((answer,), timeout=0.05)
    assert not answer.done()
    reader, writer = await asyncio.open_connection("127.0.0.1", echo.proxy.port)
    assert await Echo(echo.proxy, reader, writer, echo.heard).ask(b"three") == b"three"
    writer.close()
    answer.cancel()
    await asyncio.wait((answer,))
    assert echo.heard == [b"one", b"three"]


async def test_whoever_is_refused_is_sent_away(echo: Echo) -> None:
    echo.proxy.mood(Mood.REFUSE)
    reader, writer = await asyncio.open_connection("127.0.0.1", echo.proxy.port)
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
