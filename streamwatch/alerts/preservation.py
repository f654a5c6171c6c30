"""Whether whoever records has said that an alert's span is kept: the monitor keeps nothing itself.

Whether answers are expected at all is remembered: from the first one on their absence means something.
"""

from __future__ import annotations

from streamwatch.alerts.base import Notes
from streamwatch.domain.alerts import Expect

MISSED_S = 24 * 3600.0
"""A missing answer is an alarm for so long; then it is history, which the audit log keeps."""
MAX_MISSED = 1000
_NOTE = "preserve_answers"


class Preservation:
    """Deadlines by alert. Times: monotonic seconds."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._asked: dict[str, float] = {}
        self._missed: dict[str, float] = {}
        self._ever = False

    def restore(self) -> None:
        """Whether anybody ever answered. Raises LedgerError."""
        self._ever = self._notes.recall(_NOTE) is not None

    def asked(self, alert_id: str, *, deadline: float) -> None:
        """An answer is awaited until then."""
        self._asked[alert_id] = deadline

    def answered(self, alert_id: str, *, kept: bool, now: float) -> None:
        """Somebody answered. That it could not be kept is an alarm as if nobody had. Raises LedgerError."""
        if not self._ever:
            self._notes.remember(_NOTE, "yes")
            self._ever = True
        self._asked.pop(alert_id, None)
        if kept:
            self._missed.pop(alert_id, None)
        else:
            self._missed[alert_id] = now

    def dismissed(self, alert_id: str) -> None:
        """People found nothing in it: nobody is called about its recording."""
        self._asked.pop(alert_id, None)
        self._missed.pop(alert_id, None)

    def due(self, *, now: float, expect: Expect) -> list[str]:
        """Alerts whose deadline has passed without an answer, where one is expected. Call `missed` for each."""
        wanted = expect is Expect.EXPECTED or (expect is Expect.AUTO and self._ever)
        due = [alert_id for alert_id, deadline in self._asked.items() if now >= deadline]
        if not wanted:
            for alert_id in due:
                del self._asked[alert_id]
            return []
        return due

    def missed(self, alert_id: str, *, now: float) -> None:
        """Nobody answered in time, and that was said."""
        self._asked.pop(alert_id, None)
        self._missed[alert_id] = now
        while len(self._missed) > MAX_MISSED:
            del self._missed[next(iter(self._missed))]

    def trouble(self, *, now: float) -> str:
        """What is not known to be kept, in words; empty where all is well."""
        self._missed = {one: at for one, at in self._missed.items() if now - at < MISSED_S}
        if not self._missed:
            return ""
        newest = next(reversed(self._missed))
        what = f"nobody confirmed that the spans of {len(self._missed)} alerts are kept, the newest {newest}"
        return f"{what}: answer with preserve_ack, or dismiss them; it is forgotten after a day"
