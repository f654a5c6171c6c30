"""What people and recorders answer to an alert, open or closed, and what that does to it."""

from __future__ import annotations

from typing import Any

from streamwatch.alerts.base import Answer, Result
from streamwatch.alerts.book import Book
from streamwatch.alerts.parts import MAX_NOTE, Human
from streamwatch.alerts.preservation import Preservation
from streamwatch.alerts.summing import Summing
from streamwatch.alerts.verdicts import Weighed, needs_two, shown_name, weigh
from streamwatch.alerts.voice import Entry, Voice
from streamwatch.domain.alerts import CloseReason, Event, Verdict
from streamwatch.domain.clock import Clock, rfc3339
from streamwatch.domain.streams import NODE
from streamwatch.domain.urls import printable


class Judging:
    """Applies answers one at a time. Raises LedgerError, and then nothing happened."""

    def __init__(self, *, book: Book, voice: Voice, summing: Summing, preservation: Preservation, clock: Clock) -> None:
        self._book = book
        self._voice = voice
        self._summing = summing
        self._preservation = preservation
        self._clock = clock

    def verdict(self, alert_id: str, verdict: Verdict, *, moderator: str, note: str, viewed_s: float | None) -> Answer:
        """A person's word. `viewed_s`: seconds of the stream that they looked at before, where they say so."""
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
            note = printable(note, MAX_NOTE)
            changes["human"] = Human(verdict=weighed.says, moderator=name, at=at, note=note, viewed_s=viewed_s)
            if verdict is Verdict.ESCALATE and entry.document.escalated is None:
                changes["escalated"] = at
        before = entry.document.human
        self._apply(entry, weighed, changes)
        if weighed.result is Result.DONE:
            self._summing.heed(entry, verdict)
        if weighed.dismissed:
            self._preservation.dismissed(alert_id)
        stream = None if entry.alert.stream == NODE else entry.alert.stream
        news = weighed.says is not None and (before is None or before.verdict != weighed.says)
        rule = entry.alert.rule if news else ""
        return Answer(weighed.result, "", alert_id, entry.alert.seq, stream=stream, rule=rule)

    def preserve_ack(self, alert_id: str, *, kept: bool) -> Answer:
        """Whoever records has kept the span of an alert, or could not."""
        entry = self._book.find(alert_id)
        if entry is None:
            return Answer(Result.REFUSED, "no such alert", alert_id)
        told = entry.document.preserve
        if told.deadline is None:
            return Answer(Result.REFUSED, "this alert asks nobody to keep anything", alert_id)
        state = "kept" if kept else "failed"
        if told.state != state:
            self.tell_preservation(entry, state)
            self._preservation.answered(alert_id, kept=kept, now=self._clock.monotonic())
        return Answer(Result.DONE, "", alert_id, entry.alert.seq)

    def tell_preservation(self, entry: Entry, state: str) -> None:
        """Say what became of the span; that it is not known to be kept goes to `P/escalations` too."""
        told = entry.unspoken.get("preserve", entry.document.preserve)
        changes: dict[str, Any] = {"preserve": told.model_copy(update={"state": state})}
        if state != "kept" and entry.document.escalated is None:
            changes["escalated"] = rfc3339(self._clock.now())
        self._voice.speak(entry, Event.UPDATED, open_=entry.alert.open, **changes)

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
            if not was_open:
                entry.waits_since = self._clock.monotonic()
            self._voice.schedule(entry)
