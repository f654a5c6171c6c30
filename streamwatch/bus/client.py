"""One connection to a broker, used once. The one file that imports aiomqtt, and paho beneath it.

What the libraries leave open is settled here (aiomqtt 2.5.1, paho 2.2):

- the reason code of a PUBACK is read: a publish that the broker denied is a `BusRefused`, not a success;
- every connection has a client of its own, so that nothing lingers inside paho and is sent behind our back later;
- a broker that hangs up instead of answering CONNECT is noticed at once;
- a broker that answers pings but acknowledges nothing is left;
- what a broker grants (CONNACK) is kept to, and its reasons are handed on in words;
- a PUBACK whose reason code the standard does not give to PUBACK is a refusal too (mosquitto: packet too large), where
  paho breaks off the connection;
- of a huge payload only the beginning is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.client import MQTT_ERR_SUCCESS, MQTT_LOG_ERR, MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from streamwatch.bus import packets, reasons
from streamwatch.bus.base import MAX_PAYLOAD, Incoming, Outgoing
from streamwatch.bus.options import BrokerOptions
from streamwatch.bus.reasons import FAILURE
from streamwatch.bus.terms import Terms, packet_size
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
_UNSUPPORTED_PROTOCOL = (1, reasons.UNSUPPORTED_PROTOCOL)
"""CONNACK codes of MQTT 3.1.1 and 5 for a protocol version that the broker does not speak."""
_UNSPECIFIED = 0x80
"""What the library calls a connection that broke."""
_PROTOCOLS = {"5": aiomqtt.ProtocolVersion.V5, "3.1.1": aiomqtt.ProtocolVersion.V311}

_paho_log = logging.getLogger("streamwatch.bus.paho")
_paho_log.setLevel(logging.ERROR)


class CannotConnect(BusUnavailable):
    """No connection came about.

    `older_may_work`: the broker may speak an older protocol only. `code`: with which reason code it refused us, 0 where
    it did not get so far.
    """

    def __init__(self, message: str, *, older_may_work: bool, code: int = 0) -> None:
        super().__init__(message)
        self.older_may_work = older_may_work
        self.code = code


@dataclass(frozen=True, slots=True)
class Ending:
    """How a connection ended."""

    why: str
    code: int = 0
    """The broker's reason code, where it gave one."""
    wordless: bool = False
    """It was cut from outside, without a reason, and while the broker owed us no answer."""


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
            properties=packets.properties(PacketTypes.CONNECT, MaximumPacketSize=_MAX_PACKET) if limits else None,
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
            code = _connack_code(error)
            why = self._client.refusal(code) if code else reasons.no_connection(str(error))
            raise CannotConnect(why, older_may_work=self._older_may_work(error), code=code) from error
        if not self.terms.acknowledges:
            name = packets.reason(PacketTypes.CONNACK, reasons.NO_QOS)
            why = reasons.refused_connection(reasons.NO_QOS, name)
            raise CannotConnect(why, older_may_work=False, code=reasons.NO_QOS)

    async def say(self, message: Outgoing, *, limit_s: float) -> None:
        """Publish with QoS 1 and wait for the broker's answer; without one the connection is cut.

        What the broker's terms forbid is not sent to it. Raises BusUnavailable, BusRefused.
        """
        if message.retain and not self.terms.retain:
            if not message.payload:
                return  # nothing is retained there that could be cleared
            message = replace(message, retain=False)
        await self._client.say(
            message, packets.publish_properties(message) if self.version == "5" else None, limit_s=limit_s
        )

    async def subscribe(self, topic: str) -> str:
        """Subscribe with QoS 1; returns what the broker refused, empty when it agreed. Raises BusUnavailable."""
        # retain as published: also a retained command sent while we listen is seen to be one, and refused
        modern = self.version == "5"
        options = SubscribeOptions(qos=1, retainAsPublished=True) if modern else None
        try:
            codes = await self._client.subscribe(topic, 0 if modern else 1, options)  # paho wants one or the other
        except aiomqtt.MqttError as error:
            raise BusUnavailable(f"subscription not answered: {error}") from error
        worst = max(code.value if isinstance(code, ReasonCode) else int(code) for code in codes)
        return (
            reasons.refused_subscription(topic, worst, packets.reason(PacketTypes.SUBACK, worst))
            if worst >= FAILURE
            else ""
        )

    async def unsubscribe(self, topic: str) -> None:
        """Best effort: a lost connection has no subscriptions."""
        if self.alive:
            with contextlib.suppress(aiomqtt.MqttError):
                await self._client.unsubscribe(topic)

    async def lost(self) -> Ending:
        """Wait until the connection is gone; returns why."""
        return await self._client.lost()

    @property
    def terms(self) -> Terms:
        """What the broker grants; known once `open` returned."""
        return self._client.terms

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
            return _connack_code(error) in _UNSUPPORTED_PROTOCOL
        return self._client.reached and not self._client.alert


class _Client(aiomqtt.Client):
    """What aiomqtt and paho are taught."""

    def __init__(self, arrived: Callable[[Incoming], None], **arguments: Any) -> None:
        super().__init__(
            timeout=ANSWER_S,
            keepalive=KEEPALIVE_S,
            logger=_paho_log,
            # several small packets at once would wait for each other's acknowledgement, up to 40 ms
            socket_options=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),),
            **arguments,
        )
        self._client.connect_timeout = CONNECT_S
        self._puback = self._client._handle_pubackcomp  # noqa: SLF001 - there is no public way to an unknown code
        self._client._handle_pubackcomp = self._read_puback  # type: ignore[method-assign, assignment]  # noqa: SLF001
        self._odd_codes: dict[int, int] = {}
        self._arrived = arrived
        self._answers: dict[int, asyncio.Future[tuple[int, str]]] = {}
        self._client.on_log = self._on_log
        self.alert = ""
        """What TLS said when the other side ended it; the library keeps that to its log."""
        self._ending: Ending | None = None
        self._said = ""
        self.thread_over = asyncio.Event()
        """The thread that connects has come back, with a socket or without."""
        self.reached = False
        """Something accepted the TCP connection."""
        self.terms = Terms()
        """What the broker grants."""
        self._turns = asyncio.Semaphore(self.terms.window)

    async def say(self, message: Outgoing, properties: Properties | None, *, limit_s: float) -> None:
        """Publish with QoS 1 and wait for the broker's answer; without one the connection is cut.

        Raises BusUnavailable, BusRefused.
        """
        if len(message.payload) > MAX_PAYLOAD:
            why = f"{len(message.payload)} bytes are more than the {MAX_PAYLOAD} that we publish"
            raise BusRefused(f"cannot be published: {why}", code=reasons.TOO_LARGE)
        most = self.terms.max_packet
        if most is not None and properties is not None and packet_size(message, packets.size(properties)) > most:
            why = f"{printable(message.topic)}: the packet is larger than the {most} bytes that the broker takes"
            raise BusRefused(f"cannot be published: {why}", code=reasons.TOO_LARGE)
        async with self._turns:
            await self._say(message, properties, limit_s)

    async def _say(self, message: Outgoing, properties: Properties | None, limit_s: float) -> None:
        try:
            info = self._client.publish(message.topic, message.payload, 1, message.retain, properties)
        except ValueError as error:
            raise BusRefused(f"cannot be published: {error}", code=reasons.TOPIC_INVALID) from error
        if info.rc != MQTT_ERR_SUCCESS:
            raise BusUnavailable("no connection to the broker")
        answer: asyncio.Future[tuple[int, str]] = self._loop.create_future()
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
        code, said = answer.result()
        if code >= FAILURE:
            name = packets.reason(PacketTypes.PUBACK, code)
            raise BusRefused(reasons.refused_publish(message.topic, code, name, said), code=code)

    def _give_up(self, why: str) -> None:
        """Call the connection lost: whoever waits for that connects again."""
        self._disconnected.set_exception(aiomqtt.MqttError(why))
        self.cut()

    async def lost(self) -> Ending:
        """Wait until the connection is gone; returns why."""
        await asyncio.wait((self._disconnected,))
        if self._ending is not None:
            return self._ending
        error = self._disconnected.exception()
        return Ending(printable(str(error)) if error else "disconnected")

    def refusal(self, code: int) -> str:
        """Why CONNECT was refused, in words."""
        return reasons.refused_connection(code, packets.reason(PacketTypes.CONNACK, code), self._said)

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

    def _read_puback(self, kind: Literal["PUBACK", "PUBCOMP"]) -> Any:
        packet = self._client._in_packet["packet"]  # noqa: SLF001 - see above
        if kind == "PUBACK" and len(packet) > 2 and not packets.is_known(PacketTypes.PUBACK, packet[2]):  # noqa: PLR2004
            self._odd_codes[int.from_bytes(packet[:2], "big")] = packet[2]
            packet[2] = _UNSPECIFIED
        return self._puback(kind)

    def _on_publish(
        self, client: Any, userdata: Any, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        code = self._odd_codes.pop(mid, reason_code.value)
        answer = self._answers.get(mid)
        if answer is not None and not answer.done():
            answer.set_result((code, packets.words(properties)))
        super()._on_publish(client, userdata, mid, reason_code, properties)

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None) -> None:
        self._said = packets.words(properties)
        self.terms = packets.terms(properties)
        self._turns = asyncio.Semaphore(self.terms.window)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None) -> None:
        if self._ending is None and self.alive:
            self._ending = self._ended(
                by_broker=flags.is_disconnect_packet_from_server, reason=reason_code, properties=properties
            )
        if not self._connected.done():
            why = reasons.tls_alert(self.alert) if self.alert else "the broker hung up before it answered"
            self._connected.set_exception(aiomqtt.MqttError(why))
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _on_log(self, client: Any, userdata: Any, level: int, text: str) -> None:  # noqa: ARG002 - paho's signature
        if level == MQTT_LOG_ERR and "[SSL: " in text:
            self.alert = text

    def _ended(self, *, by_broker: bool, reason: ReasonCode, properties: Any) -> Ending:
        if by_broker:
            return Ending(reasons.ended(reason.value, str(reason), packets.words(properties)), code=reason.value)
        if reason.value != _UNSPECIFIED:
            return Ending(str(reason))
        if self._answers:
            return Ending("the connection was cut where an answer to a publish was due")
        return Ending("the connection was cut without a word", wordless=True)

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


def _settled(future: asyncio.Future[None]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _connack_code(error: Exception) -> int:
    """With which reason code a broker refused CONNECT; 0: it did not say."""
    if not isinstance(error, MqttConnectError):
        return 0
    return error.rc.value if isinstance(error.rc, ReasonCode) else int(error.rc or 0)
