"""How loudly the daemon's log speaks of alerts."""

import pytest

from streamwatch.app.daemon import wants_eyes
from streamwatch.domain.alerts import AlertEvent, Event
from streamwatch.domain.decisions import Severity
from streamwatch.domain.streams import StreamId


@pytest.mark.parametrize(
    ("severity", "warned"),
    [
        (Severity.URGENT, {Event.OPENED, Event.REMINDER, Event.CLOSED}),
        (Severity.HIGH, {Event.OPENED, Event.REMINDER, Event.CLOSED}),
        (Severity.LOW, set()),
        (Severity.TEST, set()),
    ],
)
def test_only_what_asks_people_to_look_or_to_stop_looking_is_a_warning(severity: Severity, warned: set[Event]) -> None:
    steps = {event: AlertEvent("a", 1, event, severity, StreamId("lobby"), "{}") for event in Event}
    assert {event for event, step in steps.items() if wants_eyes(step)} == warned
