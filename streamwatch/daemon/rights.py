"""Whether the broker lets us do our work: what the bus complains of, and our rights, proved by hearing ourselves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import structlog

from streamwatch.bus.topics import Topics
from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import BusUnavailable
from streamwatch.telemetry.health import Health

log = structlog.get_logger(__name__)

AGAIN_S = 60.0
"""A missing right is tried again so often: access rules change without a new connection."""

INTERRUPTED = 2
"""Proofs that a lost connection ended, in a row, after which it is taken for the broker's answer to them."""

SID = "~rights"
"""Stands where a stream's id would, in topics on which nobody but us has anything to say."""

COMPLAINTS = ("identifier", "broker", "subscriptions")
"""What a bus may complain of, and the key of each in our health."""


class Rights:
    """Proves after each connection that alerts can be said, also where a broker denies without a word (MQTT 3.1.1)."""

    def __init__(
        self,
        *,
        prove: Callable[..., Awaitable[Mapping[str, str]]],
        complaints: Callable[[], Mapping[str, str]],
        topics: Topics,
        health: Health,
        clock: Clock,
        has_account: bool = True,
    ) -> None:
        """`prove` publishes to topics, hears itself there, and returns what is wrong by topic.

        `has_account`: whether the broker knows us from others. Where it does not, it has no rules about us, and whoever
        listens for alerts is spared our words on their topics.
        """
        self._prove = prove
        self._complaints = complaints
        self._health = health
        self._clock = clock
        self._rules = {
            topics.reply("rights"): f"readwrite {topics.root}/replies/#",
        }
        if has_account:
            self._rules |= {
                topics.alerts(SID): f"write {topics.root}/streams/+/alerts, read {topics.root}/streams/{SID}/+",
                topics.tests(SID): f"write {topics.root}/streams/+/tests, read {topics.root}/streams/{SID}/+",
            }
        self._due = float("inf")
        self._interrupted = 0

    def renew(self) -> None:
        """A connection began: our rights may be others now. After proofs that ended connections work comes first."""
        self._due = self._clock.monotonic() + (AGAIN_S if self._interrupted >= INTERRUPTED else 0)

    async def check(self) -> None:
        """Prove our rights where it is time, and say what is missing. Never raises for what the broker does."""
        if self._clock.monotonic() < self._due:
            return
        self._due = float("inf")
        try:
            wrong = await self._prove(*self._rules)
        except BusUnavailable as error:  # the next connection begins anew
            self._interrupted += 1
            if self._interrupted >= INTERRUPTED:
                self._health.degrade("rights", f"the broker seems to hang up where its access rules lack one: {error}")
            return
        self._interrupted = 0
        if wrong or "subscriptions" in self._complaints():
            self._due = self._clock.monotonic() + AGAIN_S
        if not wrong:
            self._health.mend("rights")
            return
        said = "; ".join(f"{topic}: {why}" for topic, why in wrong.items())
        if not self._health.is_degraded("rights"):
            log.error("the broker's access rules lack", rules=[self._rules[topic] for topic in wrong], said=said)
        topic, why = next(iter(wrong.items()))
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        self._health.degrade("rights", f"the broker's access rules lack `topic {self._rules[topic]}`{more}: {why}")

    def look(self) -> None:
        """Take over what the bus complains of."""
        found = self._complaints()
        for key in COMPLAINTS:
            if key in found:
                self._health.degrade(key, found[key])
            else:
                self._health.mend(key)
