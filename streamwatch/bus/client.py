"""One connection to a broker, used once. The one file that imports aiomqtt, and paho beneath it.

What the libraries leave open is settled here (aiomqtt 2.5.1, paho 2.2):

- the reason code of a PUBACK is read: a publish that the broker denied is a `BusRefused`, not a success;
- every connection has a client of its own, so that nothing lingers inside paho and is sent behind our back later;
- a broker that hangs up instead of answering CONNECT is noticed at once;
- a broker that answers pings but acknowledges nothing is left;
- of a huge payload only the beginning is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from typing import Any, Literal

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.client import MQTT_ERR_SUCCESS, MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from streamwatch.bus.base import MAX_PAYLOAD, Incoming, Outgoing
from streamwatch.bus.options import BrokerOptions
from streamwatch.domain.errors import BusRefused, BusUnavailable
from streamwatch.domain.urls import printable

Version = Literal["5", "3.1.1"]

KEEPALIVE_S = 15
"""A broker that vanished without a word is noticed within twice that; the same holds for our Last Will."""
CONNECT_S = 3.0
"""For the TCP (and TLS) connection. It blocks a thread that cannot be cancelled, so it is short."""
ANSWER_S = 5.0
"""For CONNACK, SUBACK and UNSUBACK."""
LEAVE_S = 2.0
MAX_KEPT = 8192
"""Bytes kept of an incoming payload. Commands have at most 4 KiB; one byte too many is enough to refuse the rest."""
_MAX_PACKET = 65_536
"""What an MQTT 5 broker may send us at once."""
_UNSUPPORTED_PROTOCOL = (1, 132)
"""CONNACK codes of MQTT 3.1.1 and 5 for a protocol version that the broker does not speak."""
_FAILURE = 0x80
"""MQTT 5, 2.4: reason codes from here on are failures; MQTT 3.1.1 refuses subscriptions with this very value."""
_TOPIC_INVALID = 0x90
_TOO_LARGE = 0x95
_PROTOCOLS = {"5": aiomqtt.ProtocolVersion.V5, "3.1.1": aiomqtt.ProtocolVersion.V311}

_paho_log = logging.getLogger("streamwatch.bus.paho")
_paho_log.setLevel(logging.ERROR)


class CannotConnect(BusUnavailable):
    """No connection came about. `older_may_work`: the broker may speak an older protocol only."""

    def __init__(self, message: str, *, older_may_work: bool) -> None:
        super().__init__(message)
        self.older_may_work = older_may_work


class Connection:
    """One connection by one protocol version: open, use, leave, cut."""

    def __init__(
        self,
        options: BrokerOptions,
        version: Version,
        *,
        will: Outgoing | None,
        tls: ssl.SSLContext | None,
        arrived: Callable[[Incoming], None],
    ) -> None:
        """`arrived` is called on the event loop for every message. Nothing is connected before `open`.

        With `will` None this is a question only: a CONNECT so plain that a broker which does not know the version reads
        it to its end and says so, instead of waiting for bytes that it believes are missing (amqtt does).
        """
        self.version = version
        modern = version == "5"
        limits = modern and will is not None
        self._client = _Client(
            arrived,
            hostname=options.url.host,
            port=options.url.port,
            username=options.username,
            password=options.password,
            identifier=options.client_id,
            protocol=_PROTOCOLS[version],
            will=aiomqtt.Will(will.topic, will.payload, qos=1, retain=will.retain) if will else None,
            clean_session=None if modern else True,
            properties=_properties(PacketTypes.CONNECT, MaximumPacketSize=_MAX_PACKET) if limits else None,
            transport="websockets" if options.websocket_path else "tcp",
            websocket_path=options.websocket_path,
            tls_context=tls,
        )

    async def open(self) -> None:
        """Connect. A cancelled call still waits for the connecting thread, else its socket would outlive us.

        Raises CannotConnect.
        """
        opening = asyncio.create_task(self._client.__aenter__(), name="mqtt connect")
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._client.thread_over.wait(), CONNECT_S + 1)
            opening.cancel()
            await asyncio.wait((opening,), timeout=1)
            if opening.done() and not opening.cancelled():
                opening.exception()  # taken note of; the cancellation matters more
            raise
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            raise CannotConnect(printable(str(error)), older_may_work=self._older_may_work(error)) from error

    async def say(self, message: Outgoing, *, limit_s: float) -> None:
        """Publish with QoS 1 and wait for the broker's answer; without one the connection is cut.

        Raises BusUnavailable, BusRefused.
        """
        await self._client.say(message, self._publish_properties(message), limit_s=limit_s)

    async def subscribe(self, topic: str) -> str:
        """Subscribe with QoS 1; returns what the broker refused, empty when it agreed. Raises BusUnavailable."""
        # retain as published: also a retained command sent while we listen is seen to be one, and refused
        modern = self.version == "5"
        options = SubscribeOptions(qos=1, retainAsPublished=True) if modern else None
        try:
            codes = await self._client.subscribe(topic, 0 if modern else 1, options)  # paho wants one or the other
        except aiomqtt.MqttError as error:
            raise BusUnavailable(f"subscription not answered: {error}") from error
        values = [code.value if isinstance(code, ReasonCode) else int(code) for code in codes]
        return f"the broker refused the subscription to {printable(topic)}" if max(values) >= _FAILURE else ""

    async def unsubscribe(self, topic: str) -> None:
        """Best effort: a lost connection has no subscriptions."""
        if self.alive:
            with contextlib.suppress(aiomqtt.MqttError):
                await self._client.unsubscribe(topic)

    async def lost(self) -> str:
        """Wait until the connection is gone; returns why."""
        return await self._client.lost()

    @property
    def alive(self) -> bool:
        """Connected, as far as anyone knows."""
        return self._client.alive

    async def leave(self) -> None:
        """Disconnect in order, within a limit: the broker keeps our Last Will to itself."""
        with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
            async with asyncio.timeout(LEAVE_S):
                await self._client.__aexit__(None, None, None)

    def cut(self) -> None:
        """Make sure that nothing is left of the connection. Idempotent."""
        self._client.cut()

    def _older_may_work(self, error: Exception) -> bool:
        """The broker said that it does not speak this version, or hung up on our first word."""
        if isinstance(error, MqttConnectError):
            code = error.rc.value if isinstance(error.rc, ReasonCode) else error.rc
            return code in _UNSUPPORTED_PROTOCOL
        return self._client.reached

    def _publish_properties(self, message: Outgoing) -> Properties | None:
        if self.version != "5":
            return None
        values: dict[str, Any] = {}
        if message.payload:
            values.update(ContentType="application/json", PayloadFormatIndicator=1)
        if message.expiry_s is not None:
            values.update(MessageExpiryInterval=message.expiry_s)
        if message.correlation is not None:
            values.update(CorrelationData=message.correlation)
        if message.response_topic is not None:
            values.update(ResponseTopic=message.response_topic)
        return _properties(PacketTypes.PUBLISH, **values)


class _Client(aiomqtt.Client):
    """What aiomqtt and paho are taught."""

    def __init__(self, arrived: Callable[[Incoming], None], **arguments: Any) -> None:
        super().__init__(timeout=ANSWER_S, keepalive=KEEPALIVE_S, logger=_paho_log, **arguments)
        self._client.connect_timeout = CONNECT_S
        self._arrived = arrived
        self._answers: dict[int, asyncio.Future[int]] = {}
        self.thread_over = asyncio.Event()
        """The thread that connects has come back, with a socket or without."""
        self.reached = False
        """Something accepted the TCP connection."""

    async def say(self, message: Outgoing, properties: Properties | None, *, limit_s: float) -> None:
        """Publish with QoS 1 and wait for the broker's answer; without one the connection is cut.

        Raises BusUnavailable, BusRefused.
        """
        if len(message.payload) > MAX_PAYLOAD:
            why = f"{len(message.payload)} bytes are more than the {MAX_PAYLOAD} that we publish"
            raise BusRefused(f"cannot be published: {why}", code=_TOO_LARGE)
        try:
            info = self._client.publish(message.topic, message.payload, 1, message.retain, properties)
        except ValueError as error:
            raise BusRefused(f"cannot be published: {error}", code=_TOPIC_INVALID) from error
        if info.rc != MQTT_ERR_SUCCESS:
            raise BusUnavailable("no connection to the broker")
        answer: asyncio.Future[int] = self._loop.create_future()
        self._answers[info.mid] = answer
        try:
            await asyncio.wait((answer, self._disconnected), timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._answers.pop(info.mid, None)
        if not answer.done():
            if self._disconnected.done():
                raise BusUnavailable("the connection broke")
            why = f"no acknowledgement within {limit_s:g} s"
            self._give_up(why)
            raise BusUnavailable(why)
        if answer.result() >= _FAILURE:
            name = _reason(PacketTypes.PUBACK, answer.result())
            raise BusRefused(f"the broker refused {printable(message.topic)}: {name}", code=answer.result())

    def _give_up(self, why: str) -> None:
        """Call the connection lost: whoever waits for that connects again."""
        self._disconnected.set_exception(aiomqtt.MqttError(why))
        self.cut()

    async def lost(self) -> str:
        """Wait until the connection is gone; returns why."""
        await asyncio.wait((self._disconnected,))
        error = self._disconnected.exception()
        return str(error) if error else "disconnected"

    @property
    def alive(self) -> bool:
        """Connected, as far as anyone knows."""
        return _settled(self._connected) and not self._disconnected.done()

    def cut(self) -> None:
        """Make sure that nothing is left of the connection: socket, callbacks, the task that pings. Idempotent."""
        self._client._sock_close()  # noqa: SLF001 - paho has no public way to drop a connection without a word
        if self._misc_task is not None:
            self._misc_task.cancel()
        for future in (self._connected, self._disconnected):
            if future.done() and not future.cancelled():
                future.exception()  # retrieved, or asyncio complains when it is collected

    def _client_connect(self) -> None:
        try:
            super()._client_connect()
            self.reached = True
        finally:
            self._loop.call_soon_threadsafe(self.thread_over.set)

    def _on_publish(
        self, client: Any, userdata: Any, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        answer = self._answers.get(mid)
        if answer is not None and not answer.done():
            answer.set_result(reason_code.value)
        super()._on_publish(client, userdata, mid, reason_code, properties)

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None) -> None:
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError("the broker hung up before it answered"))
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _on_message(self, client: Any, userdata: Any, message: MQTTMessage) -> None:  # noqa: ARG002 - paho's signature
        properties = message.properties
        self._arrived(
            Incoming(
                topic=message.topic,
                payload=bytes(message.payload[: MAX_KEPT + 1]),
                retain=bool(message.retain),
                response_topic=getattr(properties, "ResponseTopic", None),
                correlation=getattr(properties, "CorrelationData", None),
            )
        )


def _properties(packet: int, **values: Any) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call] # paho leaves it untyped
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


def _settled(future: asyncio.Future[None]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _reason(packet: int, value: int) -> str:
    try:
        return str(ReasonCode(packet, identifier=value))
    except KeyError:
        return f"code {value}"
