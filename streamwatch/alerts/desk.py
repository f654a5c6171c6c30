"""The alert desk: levels in, events out. It owns open and closed, and remembers nothing that the ledger does not.

Every change is committed before it counts here: when the store refuses (LedgerError), the desk stands where it stood,
and the next level or tick tries again. One caller at a time; calls take as long as the store's commit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from functools import partial
from typing import Any

import structlog

from streamwatch.alerts import document as documents
from streamwatch.alerts.base import Answer, DeskRule, Notes, Result, Store, StreamFacts
from streamwatch.alerts.book import Book
from streamwatch.alerts.cadence import SCORE_STEP, UPDATE_EVERY_S, graver, opening_severity
from streamwatch.alerts.judging import Judging
from streamwatch.alerts.parts import Raised
from streamwatch.alerts.policy import LifePolicy
from streamwatch.alerts.preservation import Preservation
from streamwatch.alerts.quiet import INFORMATIONAL_EVERY_S, MUTE_LIMIT_S, Held, Key, QuietSpells
from streamwatch.alerts.summing import Summing
from streamwatch.alerts.ulid import Ulids
from streamwatch.alerts.unseen import Unseen, unseen
from streamwatch.alerts.verdicts import needs_two, shown_name, standing
from streamwatch.alerts.voice import Entry, Listener, Voice
from streamwatch.domain.alerts import Alert, CloseReason, Event, Verdict
from streamwatch.domain.clock import Clock, rfc3339
from streamwatch.domain.decisions import Decision, Kind, Level, Severity, Standing
from streamwatch.domain.errors import LedgerError
from streamwatch.domain.streams import NODE, StreamId

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
        self._policy = LifePolicy()
        self._voice = Voice(store=store, clock=clock, boot_id=boot_id, listener=listener, policy=lambda: self._policy)
        self._quiet = QuietSpells(notes)
        self._rules: dict[str, DeskRule] = {}
        self._unseen = Unseen()
        self._book = Book(
            store=store,
            quiet=self._quiet,
            voice=self._voice,
            unseen=self._unseen,
            clock=clock,
            rules=self._rules,
        )
        self._summing = Summing(
            book=self._book,
            voice=self._voice,
            ulids=self._ulids,
            clock=clock,
            node=node,
            boot_id=boot_id,
            rules=self._rules,
            policy=lambda: self._policy,
        )
        self._preservation = Preservation(notes)
        self._judging = Judging(
            book=self._book, voice=self._voice, summing=self._summing, preservation=self._preservation, clock=clock
        )
        self._held_back: set[Key] = set()
        """Rules at alarm whose alert a cool-down, mute or flood holds back."""
        self.held: Counter[Held] = Counter()
        """Alarms that opened no alert, by reason; counted per observation."""

    # --- what the rules are, and what stood before ---------------------------------------------------------------

    def configure(self, rules: Iterable[DeskRule], policy: LifePolicy | None = None) -> None:
        """Use these rules from now on. Open alerts of a rule that is gone stay until their stream ends or a verdict."""
        self._policy = policy or self._policy
        self._rules.clear()
        self._rules.update((rule.spec.name, rule) for rule in rules)

    def restore(self, known_streams: Collection[StreamId] | None) -> None:
        """Take up what the ledger holds, after `configure`. None: which streams exist is not known yet.

        Open alerts of streams that no longer exist close with reason `restart`; all others stay open.
        """
        self._quiet.restore(now=self._clock.monotonic(), wall=self._clock.now())
        self._preservation.restore()
        self._book.restore()
        for entry in (*self._book.entries, *self._book.closed_lately):
            self._await_answer(entry)
        self._book.closed_lately.clear()
        self._summing.restore()
        if known_streams is not None:
            self.close_unknown(known_streams)

    def close_unknown(self, known_streams: Collection[StreamId]) -> None:
        """Close open alerts of streams that do not exist any more, with reason `restart`. Raises LedgerError."""
        known = {*known_streams, NODE}
        self._book.close_all(lambda stream: stream not in known, CloseReason.RESTART)

    # --- what watchers and origins report ------------------------------------------------------------------------

    def observe(self, facts: StreamFacts, decision: Decision) -> None:
        """Take one rule's standing decision on one stream. Idempotent. Raises LedgerError: report again."""
        rule = self._rules.get(decision.rule)
        if rule is None:
            return
        self._book.close_due((facts.id, decision.rule))
        key = (facts.id, decision.rule)
        entry = self._book.at(key)
        if decision.level is Level.CALM:
            self._held_back.discard(key)
        match decision.level:
            case Level.ALARM if entry is None:
                self._consider(rule, facts, decision)
            case Level.ALARM if entry is not None:
                self._go_on(rule, entry, facts, decision)
            case Level.CALM if entry is not None and not entry.reopened:
                self._book.close(entry, CloseReason.QUIET, still_live=facts.still_live)
            case _:
                pass

    def ended(self, stream: StreamId) -> None:
        """The stream's publication is over. Raises LedgerError; `tick` tries again."""
        signs = {name for name, rule in self._rules.items() if rule.spec.kind is Kind.EVASION}
        self._quiet.lift_cooldowns(stream, but=signs)
        self._held_back = {key for key in self._held_back if key[0] != stream}
        self._summing.ended(stream)
        self._book.close_all(lambda one: one == stream, CloseReason.ENDED)

    def gone(self, stream: StreamId) -> None:
        """The stream is no longer watched (origin or configuration dropped it): for its alerts, the end."""
        self.ended(stream)

    def tick(self) -> None:
        """Let time work: reminders, escalations, missed answers, floods, closes that the store refused before.

        Call it about once a second. What the store refuses of one alert holds up no other: LedgerError comes last.
        """
        now = self._clock.monotonic()
        steps: list[Callable[[], object]] = [self._book.close_due, partial(self._quiet.tick, now=now)]
        steps += [partial(self._tick_entry, entry, now) for entry in self._book.entries]
        steps += [partial(self._call_others, alert_id) for alert_id in self._unseen.due(now)]
        missing = self._preservation.due(now=now, expect=self._policy.preserve_answer)
        steps += [partial(self._miss_answer, alert_id, now) for alert_id in missing]
        _each([*steps, self._summing.tick])

    def _tick_entry(self, entry: Entry, now: float) -> None:
        if entry.escalate_at is not None and now >= entry.escalate_at:
            self._remind(entry, escalated=rfc3339(self._clock.now()))
        elif entry.remind_at is not None and now >= entry.remind_at:
            self._remind(entry)

    def _call_others(self, alert_id: str) -> None:
        """A closed alert that nobody acknowledged in time."""
        closed = self._book.find(alert_id)
        if closed is not None and not closed.alert.open and unseen(closed):
            self._voice.speak(closed, Event.UPDATED, open_=False, escalated=rfc3339(self._clock.now()))
        self._unseen.over(alert_id)

    def _miss_answer(self, alert_id: str, now: float) -> None:
        """Nobody said in time that an alert's span is kept."""
        entry = self._book.find(alert_id)
        if entry is not None:
            self._judging.tell_preservation(entry, "overdue")
        self._preservation.missed(alert_id, now=now)

    def resync(self) -> int:
        """Say every open alert again, as `updated` with a new number. Returns how many."""
        for entry in self._book.entries:
            self._voice.speak(entry, Event.UPDATED)
        return len(self._book.entries)

    # --- what people say -----------------------------------------------------------------------------------------

    def verdict(
        self, *, alert_id: str, verdict: Verdict, moderator: str = "", note: str = "", viewed_s: float | None = None
    ) -> Answer:
        """Apply a person's verdict to an alert, open or closed. Raises LedgerError: nothing happened.

        `viewed_s`: seconds of the stream that they looked at before, where they say so.
        """
        return self._judging.verdict(alert_id, verdict, moderator=moderator, note=note, viewed_s=viewed_s)

    def preserve_ack(self, *, alert_id: str, kept: bool) -> Answer:
        """Whoever records has kept the span of an alert, or could not. Raises LedgerError: nothing happened."""
        return self._judging.preserve_ack(alert_id, kept=kept)

    @property
    def unpreserved(self) -> str:
        """Spans of which nobody confirmed that they are kept, in words; empty where all is well."""
        return self._preservation.trouble(now=self._clock.monotonic())

    @property
    def flooded(self) -> str:
        """Rules at which a summary stands for many alerts, in words; empty where none does."""
        return self._summing.trouble

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
        if not self._quiet.mute(stream, rule, for_s=for_s, now=self._clock.monotonic(), wall=self._clock.now()):
            return Answer(Result.REFUSED, "too many mutes stand already")
        self._book.restanding.add(stream)
        _log.info("stream muted", rule=rule or "all", seconds=for_s, by=shown_name(moderator))
        return Answer(Result.DONE)

    # --- what watchers are told ----------------------------------------------------------------------------------

    def standing_of(self, stream: StreamId) -> tuple[Standing, ...]:
        """Where the stream's rules stand; rules not named stand closed with no cool-down."""
        now = self._clock.monotonic()
        standing = []
        for name, rule in self._rules.items():
            key = (stream, name)
            until = self._quiet.until(key, now=now, mutable=_mutable(rule))
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
        severity = opening_severity(rule.spec, decision.score)
        grave = needs_two(severity, rule.spec.kind)
        held = self._quiet.holds(key, decision, now=now, mutable=not grave, raised=severity is not rule.spec.severity)
        if held is None and informational and not self._quiet.inform(facts.id, now=now):
            held = Held.INFORMATIONAL
        if held is not None:
            self.held[held] += 1
            self._held_back.add(key)
            return
        if self._summing.speaks_for(rule, facts, severity, alone=grave):
            self.held[Held.FLOOD] += 1
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
            severity=severity,
            preserve_within_s=self._policy.preserve_within_s,
        )
        entry = self._voice.open(opened, rule.spec, facts.id, triggered=self._trigger(key, decision))
        entry.arrival = decision.last_seen.arrival if decision.last_seen else None
        entry.began = decision.first_seen.arrival if decision.first_seen else now
        self._book.add(entry)
        self._await_answer(entry)
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

    def _go_on(self, rule: DeskRule, entry: Entry, facts: StreamFacts, decision: Decision) -> None:
        entry.reopened = False
        told = entry.document
        if told.trace.informational:
            return
        seen = documents.seen_again(told, decision, after=entry.arrival)
        if decision.last_seen is not None:
            entry.arrival = max(entry.arrival or 0.0, decision.last_seen.arrival)
        stream = documents.stream_part(facts)
        trace = entry.unspoken.get("trace", told.trace)
        trace = trace.model_copy(update={"signals": documents.merged(trace.signals, facts.signals)})
        entry.unspoken = {**seen, "stream": stream, "still_live": facts.still_live, "trace": trace}
        if (
            told.human is not None
            and told.human.verdict == "proposed_dismissal"
            and stream.session != told.stream.session
        ):
            entry.unspoken["human"] = None  # whoever proposed it has not seen this session
        lasted_s = (entry.arrival or entry.began) - entry.began
        raised = graver(rule.spec, entry.alert, score=seen["score"], lasted_s=lasted_s)
        if raised is not None:
            self._raise(entry, *raised)
            return
        hits_go_on = seen["last_seen"] != told.last_seen
        due = self._clock.monotonic() - entry.spoken_at >= UPDATE_EVERY_S
        if (
            stream.session != told.stream.session
            or facts.still_live != told.still_live
            or seen["score"] - told.score >= SCORE_STEP - 1e-9
            or (hits_go_on and due)
        ):
            self._voice.speak(entry, Event.UPDATED)

    def _raise(self, entry: Entry, to: Severity, because: str) -> None:
        """An open alert became graver: somebody shall look again, also where somebody has."""
        raised = Raised.model_validate(
            {"from": entry.alert.severity, "at": rfc3339(self._clock.now()), "because": because}
        )
        human = standing(entry.document.human)  # a dismissal was proposed of something less grave
        self._voice.speak(entry, Event.UPDATED, severity=to, raised=raised, acknowledged=False, human=human)
        entry.reminders = 0
        entry.waits_since = self._clock.monotonic()
        self._voice.schedule(entry)

    def _remind(self, entry: Entry, **changes: Any) -> None:
        self._voice.speak(entry, Event.REMINDER, **changes)
        entry.reminders += 1
        self._voice.schedule(entry)

    def _await_answer(self, entry: Entry) -> None:
        """Whoever records shall answer until the deadline that the alert names."""
        asked = entry.document.preserve
        if asked.deadline is None:
            return
        left = (datetime.fromisoformat(asked.deadline) - self._clock.now()).total_seconds()
        now = self._clock.monotonic()
        if asked.state in ("failed", "overdue"):
            self._preservation.missed(entry.alert.id, now=now)
        elif asked.state == "asked" and (left > 0 or entry.alert.open):
            self._preservation.asked(entry.alert.id, deadline=now + max(left, 0.0))


def _mutable(rule: DeskRule) -> bool:
    return not needs_two(rule.spec.severity, rule.spec.kind)


def _each(steps: Iterable[Callable[[], object]]) -> None:
    """Do every step; the first failure is raised when all were tried."""
    failure: LedgerError | None = None
    for step in steps:
        try:
            step()
        except LedgerError as error:
            failure = failure or error
    if failure is not None:
        raise failure
