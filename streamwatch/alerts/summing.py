"""One alert in place of many: what a flood of openings says, and what people answer to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import structlog

from streamwatch.alerts import document as documents
from streamwatch.alerts.base import DeskRule, StreamFacts
from streamwatch.alerts.book import Book
from streamwatch.alerts.cadence import UPDATE_EVERY_S
from streamwatch.alerts.floods import Flood, Floods
from streamwatch.alerts.parts import MAX_EXAMPLES
from streamwatch.alerts.policy import LifePolicy
from streamwatch.alerts.ulid import Ulids
from streamwatch.alerts.voice import Entry, Voice
from streamwatch.domain.alerts import CloseReason, Event, Verdict
from streamwatch.domain.clock import Clock
from streamwatch.domain.decisions import Severity
from streamwatch.domain.streams import NODE, StreamId

_log = structlog.get_logger(__name__)


class Summing:
    """Owns the summary alerts, which stand on `NODE`. One caller at a time; raises LedgerError where the store does."""

    def __init__(
        self,
        *,
        book: Book,
        voice: Voice,
        ulids: Ulids,
        clock: Clock,
        node: str,
        boot_id: str,
        rules: Mapping[str, DeskRule],
        policy: Callable[[], LifePolicy],
    ) -> None:
        self._book = book
        self._voice = voice
        self._ulids = ulids
        self._clock = clock
        self._node = node
        self._boot_id = boot_id
        self._rules = rules
        self._policy = policy
        self._floods = Floods()

    def restore(self) -> None:
        """Go on with floods whose summaries are open; a person's word on them stands."""
        now = self._clock.monotonic()
        for entry in self._book.entries:
            summary = entry.document.summary
            if entry.alert.stream == NODE and summary is not None:
                human = entry.document.human.verdict if entry.document.human else None
                flood = Flood(
                    since=datetime.fromisoformat(summary.since),
                    newest=now,
                    told=True,
                    before=summary.streams,
                    released=human in ("confirm", "escalate"),
                    settled_at=now if human == "acknowledge" else None,
                )
                self._floods.resume(entry.alert.rule, flood)

    def speaks_for(self, rule: DeskRule, facts: StreamFacts, severity: Severity, *, alone: bool) -> bool:
        """Whether a summary speaks for this opening. `alone`: it opens an alert of its own whatever happens."""
        policy = self._policy()
        if severity is Severity.TEST:
            return False
        flood = self._floods.opens(
            rule.spec.name,
            facts.id,
            shown=facts.shown or facts.id,
            now=self._clock.monotonic(),
            wall=self._clock.now(),
            limit=policy.flood_streams,
            within_s=policy.flood_within_s,
        )
        if flood is None:
            return False
        self._sum_up(rule, flood)
        held = not flood.released and not alone
        if held and facts.id not in flood.held:
            flood.held.add(facts.id)
            shown = facts.shown or facts.id
            _log.warning("alarm is part of a flood and opens no alert of its own", stream=shown, rule=rule.spec.name)
        return held

    def heed(self, entry: Entry, verdict: Verdict) -> None:
        """A word about a summary is a word about all its streams."""
        flood = self._floods.of(entry.alert.rule) if entry.alert.stream == NODE else None
        if flood is None:
            return
        if verdict in (Verdict.CONFIRM, Verdict.ESCALATE):
            flood.released = True
        elif verdict is Verdict.DISMISS:
            flood.released = False
        if verdict in (Verdict.DISMISS, Verdict.ACKNOWLEDGE) and flood.settled_at is None:
            flood.settled_at = self._clock.monotonic()

    def ended(self, stream: StreamId) -> None:
        """The stream is over: nothing of it is held back any more."""
        self._floods.ended(stream)

    def tick(self) -> None:
        """Close what is over, and say what was added. Call it about once a second."""
        now, within_s = self._clock.monotonic(), self._policy().flood_within_s
        self._floods.over(now=now, within_s=within_s)
        for entry in self._book.entries:
            if entry.alert.stream != NODE:
                continue
            over = self._floods.of(entry.alert.rule) is None
            if over and not (entry.reopened and now - entry.spoken_at < within_s):
                self._book.close(entry, CloseReason.QUIET, still_live=True)
            elif entry.unspoken and now - entry.spoken_at >= UPDATE_EVERY_S:
                self._voice.speak(entry, Event.UPDATED)

    @property
    def trouble(self) -> str:
        """Rules at which alarms are held back, in words; empty where none is."""
        held = sorted(rule for rule, flood in self._floods.all() if flood.held and not flood.released)
        if not held:
            return ""
        return f"one summary stands for the alerts of many streams, by rule {', '.join(held[:5])}"

    def _sum_up(self, rule: DeskRule, flood: Flood) -> None:
        newest = list(flood.streams.values())[-MAX_EXAMPLES:]
        count, entry = max(len(flood.streams), flood.before), self._book.at((NODE, rule.spec.name))
        if entry is not None:
            entry.reopened = False  # from here on it closes with the flood
            if entry.document.summary is None or entry.document.summary.streams != count:
                entry.unspoken["summary"] = documents.summary_part(rule, newest, count, flood.since)
        elif not flood.told:
            opened = documents.summary(
                alert_id=self._ulids.new(),
                node=self._node,
                boot_id=self._boot_id,
                rule=rule,
                shown=newest,
                streams=count,
                since=flood.since,
            )
            self._book.add(self._voice.open(opened, rule.spec, NODE, triggered=None))
        flood.told = True
