"""One question to a daemon by MQTT, from somebody who is no daemon: connect, ask, hear the answer, leave."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from streamwatch.bus.base import Incoming, Outgoing
from streamwatch.bus.client import CannotConnect, Connection, Version
from streamwatch.bus.options import BrokerOptions
from streamwatch.domain.errors import BusRefused, BusUnavailable

PUBACK_S = 10.0


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and where."""

    topic: str
    payload: bytes
    answered_on: str
    """Where answers come: asked for as the response topic on MQTT 5, and where they come anyway on 3.1.1."""
    is_answer: Callable[[bytes], bool]
    """Whether a payload that arrives there answers this question."""


async def ask(options: BrokerOptions, question: Question, *, limit_s: float) -> bytes:
    """The answer.

    Raises:
        BusUnavailable: no broker, or the connection broke.
        BusRefused: the broker refused to let us hear or ask.
        TimeoutError: the broker took the question, and nobody answered it within `limit_s`.
        OutsideError: TLS files cannot be used.

    """
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def arrived(message: Incoming) -> None:
        if not message.retain and not heard.done() and question.is_answer(message.payload):
            heard.set_result(message.payload)

    async with _connected(options, arrived) as connection:
        refused = await connection.subscribe(question.answered_on)
        if refused:
            raise BusRefused(refused)
        message = Outgoing(
            question.topic,
            question.payload,
            expiry_s=round(limit_s) + 1,  # nobody waits for the answer any longer
            response_topic=question.answered_on,
            correlation=secrets.token_bytes(8),
        )
        await connection.say(message, limit_s=PUBACK_S)
        lost = asyncio.ensure_future(connection.lost())
        try:
            await asyncio.wait((heard, lost), timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost.cancel()
        if heard.done():
            return heard.result()
        if not connection.alive:
            raise BusUnavailable("the connection broke before an answer came")
        raise TimeoutError


@asynccontextmanager
async def _connected(options: BrokerOptions, arrived: Callable[[Incoming], None]) -> AsyncIterator[Connection]:
    """A connection under a name of its own, by the newest protocol that the broker speaks. Raises CannotConnect."""
    visitor = replace(options, node=f"visitor-{secrets.token_hex(6)}")
    tls = options.tls()
    versions: tuple[Version, ...] = ("5", "3.1.1") if options.protocol == "auto" else (options.protocol,)
    for version in versions:
        connection = Connection(visitor, version, will=None, tls=tls, arrived=arrived)
        try:
            try:
                await connection.open()
            except CannotConnect as error:
                if version != versions[-1] and error.older_may_work:
                    continue
                raise
            try:
                yield connection
            finally:
                await connection.leave()
            return
        finally:
            connection.cut()
