"""Closed alerts that nobody has acknowledged yet: that a scene was short does not mean that somebody saw it."""

from __future__ import annotations

from streamwatch.alerts.voice import Entry

MAX_UNSEEN = 10_000
"""Those that would be due last make room."""
_SETTLED = frozenset({"acknowledge", "confirm", "escalate", "dismiss"})


def unseen(entry: Entry) -> bool:
    """Whether nobody has settled the alert, and nobody else was called."""
    human = entry.document.human
    settled = entry.alert.acknowledged or (human is not None and human.verdict in _SETTLED)
    return not settled and entry.document.escalated is None


class Unseen:
    """When to call others, by alert. Times: monotonic seconds."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}

    def closed(self, entry: Entry) -> None:
        """An alert closed; where it would have been escalated, it still will be."""
        if entry.escalate_at is None or not unseen(entry):
            return
        self._due[entry.alert.id] = entry.escalate_at
        if len(self._due) > MAX_UNSEEN:
            del self._due[max(self._due, key=lambda one: self._due[one])]

    def due(self, now: float) -> list[str]:
        """Alerts whose time has come. Call `over` for each."""
        return [alert_id for alert_id, at in self._due.items() if now >= at]

    def over(self, alert_id: str) -> None:
        """It was said, or somebody saw it."""
        self._due.pop(alert_id, None)
