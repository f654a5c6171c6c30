"""The alert desk: levels in, events out. It owns open and closed, and remembers nothing that the ledger does not.

Every change is committed before it counts here: when the store refuses (LedgerError), the desk stands where it stood,
and the next level or tick tries again. One caller at a time; calls take as long as the store's commit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Any

import structlog

from streamwatch.alerts import document as documents
from streamwatch.alerts.base import Answer, DeskRule, Notes, Result, Store, StreamFacts
from streamwatch.alerts.book import Book
from streamwatch.alerts.cadence import SCORE_STEP, UPDATE_EVERY_S
from streamwatch.alerts.document import Human
from streamwatch.alerts.quiet import INFORMATIONAL_EVERY_S, MUTE_LIMIT_S, Held, Key, QuietSpells
from streamwatch.alerts.ulid import Ulids
from streamwatch.alerts.verdicts import Weighed, needs_two, shown_name, weigh
from streamwatch.alerts.voice import Entry, Listener, Voice
from streamwatch.domain.alerts import Alert, CloseReason, Event, Verdict
from streamwatch.domain.clock import Clock, rfc3339
from streamwatch.domain.decisions import Decision, Kind, Level, Severity, Standing
from streamwatch.domain.streams import StreamId
from streamwatch.domain.urls import printable

_log = structlog.get_logger(__name__)


class AlertDesk:
    """Turns standing decisions into alerts: one open alert per stream and rule."""

    def __init__(
        self,
        *,
        store: Store,
        notes: Notes,
        clock: Clock,
        node: str,
        boot_id: str,
        ulids: Ulids | None = None,
        listener: Listener = lambda _event: None,
    ) -> None:
        self._clock = clock
        self._node = node
        self._boot_id = boot_id
        self._ulids = ulids or Ulids(clock)
        self._voice = Voice(store=store, clock=clock, boot_id=boot_id, listener=listener)
        self._quiet = QuietSpells(notes)
        self._rules: dict[str, DeskRule] = {}
        self._book = Book(store=store, quiet=self._quiet, voice=self._voice, clock=clock, rules=self._rules)
        self._held_back: set[Key] = set()
        """Rules at alarm whose alert a cool-down or mute holds back."""
        self.held: Counter[Held] = Counter()
        """Alarms that opened no alert, by reason; counted per observation."""

    # --- what the rules are, and what stood before ---------------------------------------------------------------

    def configure(self, rules: Iterable[DeskRule]) -> None:
        """Use these rules from now on. Open alerts of a rule that is gone stay until their stream ends or a verdict."""
        self._rules.clear()
        self._rules.update((rule.spec.name, rule) for rule in rules)

    def restore(self, known_streams: Collection[StreamId] | None) -> None:
        """Take up what the ledger holds, after `configure`. None: which streams exist is not known yet.

        Open alerts of streams that no longer exist close with reason `restart`; all others stay open.
        """
        self._quiet.restore()
        self._book.restore()
        if known_streams is not None:
            self.close_unknown(known_streams)

    def close_unknown(self, known_streams: Collection[StreamId]) -> None:
        """Close open alerts of streams that do not exist any more, with reason `restart`. Raises LedgerError."""
        self._book.close_all(lambda stream: stream not in known_streams, CloseReason.RESTART)

    # --- what watchers and origins report ------------------------------------------------------------------------

    def observe(self, facts: StreamFacts, decision: Decision) -> None:
        """Take one rule's standing decision on one stream. Idempotent. Raises LedgerError: report again."""
        self._book.close_due()
        rule = self._rules.get(decision.rule)
        if rule is None:
            return
        key = (facts.id, decision.rule)
        entry = self._book.at(key)
        if decision.level is Level.CALM:
            self._held_back.discard(key)
        match decision.level:
            case Level.ALARM if entry is None:
                self._consider(rule, facts, decision)
            case Level.ALARM if entry is not None:
                self._go_on(entry, facts, decision)
            case Level.CALM if entry is not None and not entry.reopened:
                self._book.close(entry, CloseReason.QUIET, still_live=facts.still_live)
            case _:
                pass

    def ended(self, stream: StreamId) -> None:
        """The stream's publication is over. Raises LedgerError; `tick` tries again."""
        signs = {name for name, rule in self._rules.items() if rule.spec.kind is Kind.EVASION}
        self._quiet.lift_cooldowns(stream, but=signs)
        self._held_back = {key for key in self._held_back if key[0] != stream}
        self._book.close_all(lambda one: one == stream, CloseReason.ENDED)

    def gone(self, stream: StreamId) -> None:
        """The stream is no longer watched (origin or configuration dropped it): for its alerts, the end."""
        self.ended(stream)

    def tick(self) -> None:
        """Let time work: reminders, closes that the store refused before. Call it about once a second."""
        now = self._clock.monotonic()
        self._book.close_due()
        self._quiet.tick(now=now, wall=self._clock.now())
        for entry in self._book.entries:
            if entry.remind_at is not None and now >= entry.remind_at:
                self._voice.speak(entry, Event.REMINDER)
                entry.reminders += 1
                self._voice.schedule_reminder(entry)

    def resync(self) -> int:
        """Say every open alert again, as `updated` with a new number. Returns how many."""
        for entry in self._book.entries:
            self._voice.speak(entry, Event.UPDATED)
        return len(self._book.entries)

    # --- what people say -----------------------------------------------------------------------------------------

    def verdict(self, *, alert_id: str, verdict: Verdict, moderator: str = "", note: str = "") -> Answer:
        """Apply a person's verdict to an alert, open or closed. Raises LedgerError: nothing happened."""
        entry = self._book.find(alert_id)
        if entry is None:
            return Answer(Result.REFUSED, "no such alert", alert_id)
        name = shown_name(moderator)
        weighed = weigh(
            verdict,
            moderator=name,
            human=entry.document.human,
            four_eyes=needs_two(entry.alert.severity, entry.alert.kind),
        )
        if weighed.result is Result.REFUSED:
            return Answer(Result.REFUSED, weighed.why, alert_id)
        if weighed.reopened and (self._book.at(entry.key) or entry).alert.id != alert_id:
            return Answer(Result.REFUSED, "another alert of this stream and rule is open", alert_id)
        changes: dict[str, Any] = {}
        if weighed.says is not None:
            at = rfc3339(self._clock.now())
            note = printable(note, documents.MAX_NOTE)
            changes["human"] = Human(verdict=weighed.says, moderator=name, at=at, note=note)
        self._apply(entry, weighed, changes)
        return Answer(weighed.result, "", alert_id, entry.alert.seq)

    def mute(self, *, stream: StreamId, rule: str | None = None, for_s: float, moderator: str = "") -> Answer:
        """Open no new alert of a rule (None: of any that may be muted) on a stream for a while, at most an hour.

        Urgent rules and known content cannot be muted; open alerts are not touched. Raises LedgerError.
        """
        if rule is not None:
            known = self._rules.get(rule)
            if known is None:
                return Answer(Result.REFUSED, "no such rule")
            if not _mutable(known):
                return Answer(Result.REFUSED, "this rule cannot be muted")
        if not 0 < for_s <= MUTE_LIMIT_S:
            return Answer(Result.REFUSED, f"a mute lasts at most {MUTE_LIMIT_S:.0f} seconds")
        if not self._quiet.mute(stream, rule, until=self._clock.now() + timedelta(seconds=for_s)):
            return Answer(Result.REFUSED, "too many mutes stand already")
        self._book.restanding.add(stream)
        _log.info("stream muted", rule=rule or "all", seconds=for_s, by=shown_name(moderator))
        return Answer(Result.DONE)

    # --- what watchers are told ----------------------------------------------------------------------------------

    def standing_of(self, stream: StreamId) -> tuple[Standing, ...]:
        """Where the stream's rules stand; rules not named stand closed with no cool-down."""
        now, wall = self._clock.monotonic(), self._clock.now()
        standing = []
        for name, rule in self._rules.items():
            key = (stream, name)
            until = self._quiet.until(key, now=now, wall=wall, mutable=_mutable(rule))
            if self._book.at(key) is not None:
                standing.append(Standing(rule=name, open=True))
            elif until is not None or self._quiet.closed_lately(key):
                standing.append(Standing(rule=name, open=False, cooldown_until=until))
        return tuple(standing)

    def take_restanding(self) -> frozenset[StreamId]:
        """Streams whose standing changed since the last call: their watchers want `standing_of` again."""
        taken = frozenset(self._book.restanding)
        self._book.restanding.clear()
        return taken

    @property
    def open_alerts(self) -> tuple[Alert, ...]:
        """The open alerts, oldest first."""
        return tuple(sorted((entry.alert for entry in self._book.entries), key=lambda alert: alert.id))

    # --- the steps of an alert's life ----------------------------------------------------------------------------

    def _consider(self, rule: DeskRule, facts: StreamFacts, decision: Decision) -> None:
        key = (facts.id, rule.spec.name)
        now = self._clock.monotonic()
        informational = rule.spec.severity is Severity.TEST and not facts.tests
        held = self._quiet.holds(key, decision, now=now, wall=self._clock.now(), mutable=_mutable(rule))
        if held is None and informational and not self._quiet.inform(facts.id, now=now):
            held = Held.INFORMATIONAL
        if held is not None:
            self.held[held] += 1
            self._held_back.add(key)
            return
        opened = documents.opened(
            alert_id=self._ulids.new(),
            node=self._node,
            boot_id=self._boot_id,
            rule=rule,
            facts=facts,
            decision=decision,
            at=self._clock.now(),
        )
        trigger = self._trigger(key, decision)
        self._book.add(self._voice.open(opened, rule.spec, facts.id, triggered=trigger))
        self._held_back.discard(key)
        if informational:
            self._quiet.informed(facts.id, until=now + INFORMATIONAL_EVERY_S)

    def _trigger(self, key: Key, decision: Decision) -> float | None:
        """Arrival of the frame from which the alert's latency counts.

        That is the first that counted; after a cool-down or mute held the alert back, the newest: a wait that people
        asked for is no latency.
        """
        if key in self._held_back:
            return decision.last_seen.arrival if decision.last_seen else None
        first = decision.hits[0] if decision.hits else decision.first_seen
        return first.arrival if first else None

    def _go_on(self, entry: Entry, facts: StreamFacts, decision: Decision) -> None:
        entry.reopened = False
        told = entry.document
        if told.trace.informational:
            return
        seen = documents.seen_again(told, decision)
        stream = documents.stream_part(facts)
        trace = entry.unspoken.get("trace", told.trace)
        trace = trace.model_copy(update={"signals": documents.merged(trace.signals, facts.signals)})
        entry.unspoken = {**seen, "stream": stream, "still_live": facts.still_live, "trace": trace}
        hits_go_on = seen["last_seen"] != told.last_seen
        due = self._clock.monotonic() - entry.spoken_at >= UPDATE_EVERY_S
        if (
            stream.session != told.stream.session
            or facts.still_live != told.still_live
            or seen["score"] - told.score >= SCORE_STEP - 1e-9
            or (hits_go_on and due)
        ):
            self._voice.speak(entry, Event.UPDATED)

    def _apply(self, entry: Entry, weighed: Weighed, changes: dict[str, Any]) -> None:
        was_open = entry.alert.open
        if weighed.dismissed:
            if was_open:
                self._book.close(entry, CloseReason.VERDICT, still_live=entry.document.still_live, **changes)
            else:
                self._voice.speak(entry, Event.UPDATED, open_=False, **changes)
                if self._book.at(entry.key) is None:
                    self._book.cool_down(entry, CloseReason.VERDICT)
            return
        open_ = was_open or weighed.reopened
        if weighed.reopened and not was_open:
            changes["close_reason"] = None
        self._voice.speak(entry, Event.UPDATED, open_=open_, acknowledged=weighed.acknowledged, **changes)
        if weighed.reopened and not was_open:
            entry.reopened = True
            self._book.add(entry)
        if open_:
            entry.reminders = 0
            self._voice.schedule_reminder(entry)


def _mutable(rule: DeskRule) -> bool:
    return not needs_two(rule.spec.severity, rule.spec.kind)
