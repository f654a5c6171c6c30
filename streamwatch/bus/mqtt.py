"""The bus over MQTT: a connection that comes back by itself, announced and subscribed anew each time.

A clean DISCONNECT suppresses the Last Will, so an orderly exit says `offline` itself, before it disconnects. On MQTT
3.1.1 a broker cannot say no to a publish: `prove_rights` finds out by listening to our own words.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

import structlog

from streamwatch.bus import reasons
from streamwatch.bus.base import Incoming, Outgoing
from streamwatch.bus.client import CannotConnect, Connection, Version
from streamwatch.bus.inbox import Inbox, one_lane
from streamwatch.bus.options import BrokerOptions, Herald
from streamwatch.bus.terms import Terms
from streamwatch.bus.topics import matches
from streamwatch.bus.witness import Witness
from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import BusError, BusRefused, BusUnavailable
from streamwatch.domain.urls import printable

_log = structlog.get_logger(__name__)

PUBACK_S = 10.0
FAREWELL_S = 2.0
"""For the last word of an orderly exit."""
BACKOFF_S = (0.5, 10.0)
"""First and longest pause between attempts; each is shortened at random by up to half, so that a fleet spreads out."""
INBOX_LIMIT = 250
"""Messages in one lane, each of at most 8 KiB."""
_RETAINED_QUIET_S = 0.3
"""A broker sends what it retained right after it accepted the subscription; a pause this long means that was all."""


@dataclass(slots=True, eq=False)
class _Collector:
    """Retained messages on a filter, while somebody reads them back."""

    topic_filter: str
    found: list[Incoming] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)


class MqttBus:
    """A connection to one broker that comes back by itself. For one event loop."""

    def __init__(
        self,
        options: BrokerOptions,
        *,
        herald: Herald,
        subscriptions: Sequence[str],
        clock: Clock,
        jitter: Callable[[], float] = random.random,
        lane: Callable[[str], str] = one_lane,
    ) -> None:
        """Nothing is connected before `run`. Raises OutsideError where TLS files cannot be used.

        `lane` names the lane of an incoming topic: messages are dropped only because of others in theirs.
        """
        self._options = options
        self._herald = herald
        self._subscriptions = tuple(subscriptions)
        self._clock = clock
        self._jitter = jitter
        self._tls = options.tls()
        self._live: Connection | None = None
        self._terms = Terms()
        self._will_retained = True
        self._witness = Witness(options, self._tls, clock)
        self._up = asyncio.Event()
        self._number = 0
        self._version: Version | None = None if options.protocol == "auto" else options.protocol
        self._last_said: str | None = None
        self._inbox = Inbox(INBOX_LIMIT, lane=lane)
        self._probe_mark = f'{{"probe":"{secrets.token_hex(8)}'.encode()
        self._probes: dict[bytes, asyncio.Future[None]] = {}
        self._collectors: list[_Collector] = []
        self.refusals: tuple[str, ...] = ()
        """What the broker refused when this connection began: subscriptions, our birth message."""

    # --- the contract --------------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether the broker accepts messages now."""
        return self._live is not None and self._live.alive

    @property
    def protocol(self) -> Version | None:
        """`5` or `3.1.1`, once known."""
        return self._version

    @property
    def trouble(self) -> str:
        """Why there is no connection, as last said; empty while there is one."""
        return "" if self.connected else self._last_said or ""

    @property
    def window(self) -> int:
        """How many QoS 1 publishes may be in flight at once: what the broker allows, at most 20."""
        return self._terms.window

    def complaints(self) -> dict[str, str]:
        """What is wrong with this broker though it may be connected, by what it is about; empty when nothing is."""
        found = {}
        if self._witness.rivalled:
            found["identifier"] = (
                f"another client uses our identifier {self._options.client_id}: each ends the other's connection; "
                "stop the other, or give each its own node name"
            )
        if lacking := self._terms.lacking():
            found["broker"] = "; ".join(lacking)
        if self.refusals:
            found["subscriptions"] = "; ".join(self.refusals)
        return found

    @property
    def dropped(self) -> int:
        """Incoming messages dropped because nobody took them."""
        return self._inbox.dropped

    async def run(self) -> None:
        """Hold the connection until cancelled; an orderly end leaves our `offline` behind."""
        first, longest = BACKOFF_S
        pause = first
        while True:
            began = self._clock.monotonic()
            try:
                why = await self._session()
            except CannotConnect as error:
                why = str(error)
                self._witness.not_answered()
                if reasons.be_patient(error.code):
                    pause = longest
            except BusError as error:
                why = printable(str(error))
            if self._clock.monotonic() - began > longest:
                pause = first
            self._say_once(why)
            await self._clock.sleep(pause * (1 - self._jitter() / 2))
            pause = min(pause * 2, longest)

    async def publish(self, message: Outgoing) -> None:
        """Publish with QoS 1. Raises BusUnavailable, BusRefused; nothing of a failed message is kept here."""
        await self._live_connection().say(message, limit_s=PUBACK_S)

    def incoming(self) -> AsyncIterator[Incoming]:
        """Messages in order of arrival within a lane; bounded, the oldest dropped and counted."""
        return self._inbox.messages()

    async def wait_connected(self) -> int:
        """Wait until connected; returns the number of the connection, 1 for the first."""
        while not self.connected:
            await self._up.wait()
            await asyncio.sleep(0)  # a connection that just died clears the event in the next step of `run`
        return self._number

    # --- asking the broker ---------------------------------------------------------------------------------------

    async def prove_rights(self, *topics: str, limit_s: float = 3.0) -> dict[str, str]:
        """Publish to each topic and listen for it; returns what is wrong by topic, empty when we have every right.

        What was refused when the connection began is tried again first: `refusals` says how that went.

        The words are `{"probe": "…"}`: choose topics whose readers do not mind. `limit_s`: to hear one
        topic's word come back. Raises BusUnavailable.
        """
        connection = self._live_connection()
        if self.refusals:
            await self._announce(connection)
        wrong: dict[str, str] = {}
        for topic in topics:
            payload = self._probe_mark + f'{secrets.token_hex(8)}"}}'.encode()
            heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._probes[payload] = heard
            try:
                refused = await connection.subscribe(topic)
                if refused:
                    wrong[topic] = refused
                    continue
                await connection.say(Outgoing(topic, payload, expiry_s=10), limit_s=PUBACK_S)
                await asyncio.wait_for(heard, limit_s)
            except BusRefused as error:
                wrong[topic] = str(error)
            except BusUnavailable as error:
                raise BusUnavailable(f"{error} while the right to {topic} was tried") from error
            except TimeoutError:
                if not connection.alive:
                    raise BusUnavailable(f"the connection broke while the right to {topic} was tried") from None
                wrong[topic] = "published, and never came back: the right to publish or to subscribe is missing"
            finally:
                del self._probes[payload]
                await self._unsubscribe(connection, topic)
        return wrong

    async def read_retained(self, topic_filter: str, *, limit_s: float = 5.0) -> Sequence[Incoming]:
        """What the broker holds retained on a filter that is not one of our subscriptions. Raises BusUnavailable."""
        connection = self._live_connection()
        collector = _Collector(topic_filter)
        self._collectors.append(collector)
        try:
            refused = await connection.subscribe(topic_filter)
            if refused:
                raise BusRefused(refused)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit_s):
                    while True:
                        collector.arrived.clear()
                        await asyncio.wait_for(collector.arrived.wait(), _RETAINED_QUIET_S)
        finally:
            await self._unsubscribe(connection, topic_filter)
            self._collectors.remove(collector)
        if not connection.alive:
            raise BusUnavailable("the connection broke")
        return tuple(collector.found)

    # --- one connection ------------------------------------------------------------------------------------------

    async def _session(self) -> str:
        """Connect, announce, hold; returns why it ended. Raises BusUnavailable."""
        async with self._witness.beside(self._version) as witness:
            connection = await self._connect()
            began = self._clock.monotonic()
            try:
                try:
                    await self._announce(connection)
                    self._came_up(connection)
                except BusUnavailable:
                    if connection.alive:
                        raise
                ending = await self._witness.ended(connection, witness)
            finally:
                self._live = None
                self._up.clear()
                if connection.alive:
                    await self._farewell(connection)
                connection.cut()
            await self._witness.judge(ending, self._clock.monotonic() - began, witness)
            return ending.why

    async def _connect(self) -> Connection:
        """A connection with our Last Will. Raises CannotConnect."""
        if self._version is None:
            self._version = await self._ask_version()
        try:
            return await self._open(self._version)
        except CannotConnect as error:
            if error.code != reasons.NO_RETAIN or not self._will_retained:
                raise
            self._will_retained = False  # a will that is not kept is better than none
            return await self._open(self._version)

    async def _open(self, version: Version) -> Connection:
        connection = self._connection(version, replace(self._herald.testament(), retain=self._will_retained))
        try:
            await connection.open()
        except BaseException as error:
            connection.cut()
            if isinstance(error, CannotConnect) and error.older_may_work and self._options.protocol == "auto":
                self._version = None  # another broker may answer there now: ask again
            raise
        return connection

    async def _ask_version(self) -> Version:
        """Whether the broker speaks MQTT 5, found out once. Raises CannotConnect where nobody answers at all."""
        question = self._connection("5", None)
        try:
            await question.open()
            await question.leave()
        except CannotConnect as error:
            if not error.older_may_work:
                raise
            return "3.1.1"
        finally:
            question.cut()
        return "5"

    def _connection(self, version: Version, will: Outgoing | None) -> Connection:
        return Connection(self._options, version, will=will, tls=self._tls, arrived=self._arrived)

    async def _announce(self, connection: Connection) -> None:
        """Subscribe and say that we are here. A refusal is kept and said loudly; the rest still works."""
        refusals = [await connection.subscribe(topic) for topic in self._subscriptions]
        try:
            await connection.say(self._herald.birth(), limit_s=PUBACK_S)
        except BusRefused as error:
            refusals.append(str(error))
        before, self.refusals = self.refusals, tuple(filter(None, refusals))
        if self.refusals and self.refusals != before:
            _log.error("broker refused what we need", refusals=self.refusals)

    async def _farewell(self, connection: Connection) -> None:
        """The last word of an orderly exit: the Last Will is for sudden death only."""
        with contextlib.suppress(BusError):
            await connection.say(self._herald.testament(), limit_s=FAREWELL_S)
        await connection.leave()

    async def _unsubscribe(self, connection: Connection, topic: str) -> None:
        if topic not in self._subscriptions:
            await connection.unsubscribe(topic)

    # --- small things --------------------------------------------------------------------------------------------

    def _came_up(self, connection: Connection) -> None:
        self._live, self._terms = connection, connection.terms
        self._will_retained = self._terms.retain
        self._number += 1
        self._up.set()
        self._last_said = None
        _log.info("broker connected", url=str(self._options.url), protocol=self.protocol, connection=self._number)

    def _say_once(self, why: str) -> None:
        if why != self._last_said:
            self._last_said = why
            _log.warning("broker away", url=str(self._options.url), why=why)

    def _live_connection(self) -> Connection:
        if self._live is None or not self._live.alive:
            raise BusUnavailable("no connection to the broker")
        return self._live

    def _arrived(self, message: Incoming) -> None:
        if message.payload.startswith(self._probe_mark):
            heard = self._probes.get(message.payload)
            if heard is not None and not heard.done():
                heard.set_result(None)
            return
        for collector in self._collectors:
            if matches(collector.topic_filter, message.topic):
                if message.retain:
                    collector.found.append(message)
                    collector.arrived.set()
                return
        self._inbox.put(message)
