"""What `streamwatch check --connect` tries: the broker and our rights there, and every stream."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from dataclasses import dataclass, replace

from streamwatch.app.examine import Options, probe
from streamwatch.app.price import cost
from streamwatch.app.settings import Settings
from streamwatch.bus.base import Outgoing
from streamwatch.bus.mqtt import MqttBus
from streamwatch.bus.topics import Topics
from streamwatch.daemon.rights import SID
from streamwatch.domain.clock import SystemClock
from streamwatch.domain.errors import BusError, OutsideError
from streamwatch.domain.streams import StreamSpec
from streamwatch.sandbox.enter import probe as probe_sandbox
from streamwatch.sandbox.enter import watcher_layers
from streamwatch.sandbox.report import LayerState

BROKER_S = 6.0
STREAM_S = 8.0
AT_ONCE = 4
"""Streams tried at the same time, each in a watcher of its own."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing outside, tried."""

    what: str
    good: bool
    said: str


def sandbox(ready: Settings) -> tuple[LayerState, ...]:
    """What this kernel would give a watcher of this configuration."""
    return probe_sandbox(watcher_layers((), ready.setup.grant))


async def connect(ready: Settings) -> list[Finding]:
    """Try everything outside, streams in the configuration's order; never raises for what is found there."""
    tried = asyncio.Semaphore(AT_ONCE)

    async def try_stream(spec: StreamSpec) -> Finding:
        async with tried:
            return await _stream(spec, ready)

    async with asyncio.TaskGroup() as tasks:
        broker = tasks.create_task(_broker(ready), name="check-broker")
        streams = [tasks.create_task(try_stream(s), name=f"check:{s.name}") for s in ready.setup.streams]
    return [*broker.result(), *(task.result() for task in streams)]


class _Silent:
    """A visitor: it announces nothing that a subscriber could take for the daemon."""

    def __init__(self, topics: Topics) -> None:
        self._topic = topics.reply("check")

    def birth(self) -> Outgoing:
        return Outgoing(self._topic, b'{"check":"began"}')

    def testament(self) -> Outgoing:
        return Outgoing(self._topic, b'{"check":"ended"}')


async def _broker(ready: Settings) -> list[Finding]:
    config = ready.config
    topics = Topics(config.mqtt.prefix, config.node)
    name = f"broker {ready.broker.url}"
    try:
        visitor = replace(ready.broker, node=f"check-{secrets.token_hex(4)}")
        bus = MqttBus(visitor, herald=_Silent(topics), subscriptions=topics.subscriptions, clock=SystemClock())
    except OutsideError as error:
        return [Finding(name, good=False, said=str(error))]
    running = asyncio.create_task(bus.run(), name="check-bus")
    try:
        async with asyncio.timeout(BROKER_S):
            await bus.wait_connected()
        found = [Finding(name, good=True, said=f"connected, MQTT {bus.protocol}")]
        wrong = await bus.prove_rights(topics.reply("check"), topics.alerts(SID), topics.tests(SID))
        for topic, why in wrong.items():
            found.append(Finding(f"right to publish and hear {topic}", good=False, said=why))
        found.extend(Finding("right to hear commands", good=False, said=refusal) for refusal in bus.refusals)
        if not wrong and not bus.refusals:
            tried = f"may say and hear alerts and replies below {topics.root}, and hear commands"
            found.append(Finding("rights", good=True, said=tried))
    except (TimeoutError, BusError) as error:
        return [Finding(name, good=False, said=str(error) or bus.trouble or "no connection in time")]
    else:
        return found
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def _stream(spec: StreamSpec, ready: Settings) -> Finding:
    name = f"stream {spec.name} at {spec.url}"
    options = Options(sandbox=ready.config.privacy.sandbox.value, log_level="error")
    try:
        found = await probe(spec.url, seconds=STREAM_S, options=options, allow_hosts=ready.config.limits.allow_hosts)
    except OutsideError as error:
        return Finding(name, good=False, said=str(error))
    if not found.codec:
        reason = found.reason.value if found.reason else "silent"
        return Finding(name, good=False, said=f"{reason}{': ' + found.detail if found.detail else ''}")
    interval = "unknown" if found.key_interval_s is None else f"{found.key_interval_s:.1f} s"
    price = cost(found, spec.sampling.max_gap_s)
    spent = "" if price["decode_s_per_min"] is None else f", {price['decode_s_per_min']:.2g} s of decoding a minute"
    said = (
        f"{found.codec} {found.width}x{found.height}, key interval {interval}; "
        f"at a gap of {price['gap_s']:g} s about {price['looks_per_min']:g} looks{spent}"
    )
    return Finding(name, good=True, said=said)
