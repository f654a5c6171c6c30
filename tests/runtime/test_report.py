"""What a stream says to the daemon, and how often."""

from datetime import UTC, datetime

import pytest

from streamwatch.domain.decisions import Decision, Hit, Level
from streamwatch.domain.streams import Reason, StreamId
from streamwatch.link.messages import RuleLevel, StreamLevel
from streamwatch.runtime.report import REPEAT_S, REPEAT_STREAM_S, STRESS_S, Report, Reporter
from tests.fakes.clock import FakeClock

HIT = Hit(at=datetime(2026, 11, 21, tzinfo=UTC), arrival=1.0, media_s=1.0, score=0.9)
CALM = Decision(rule="card", level=Level.CALM, suspicion=0.0, score=0.1)
ALARM = Decision(rule="card", level=Level.ALARM, suspicion=0.5, score=0.9, hits=(HIT,), first_seen=HIT, last_seen=HIT)


class Desk:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.said: list = []
        self.reporter = self.new()

    def new(self) -> Reporter:
        return Reporter(stream=StreamId("lobby"), epoch=1, emit=self.said.append, clock=self.clock)

    @property
    def levels(self) -> list[Level]:
        return [message.level for message in self.said if isinstance(message, RuleLevel)]

    def look(self, decision: Decision, *, after: float = 1.0, times: int = 1) -> None:
        for _ in range(times):
            self.clock.advance(after)
            self.reporter.decided(decision)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def report(reason: Reason | None = None) -> Report:
    return Report("s", live=True, ended=False, reason=reason, detail="d", codec="h264", width=1, height=1, gap_aim_s=10)


def test_a_calm_rule_that_never_stirred_says_nothing(desk: Desk) -> None:
    desk.look(CALM, times=100)
    assert desk.said == []


def test_an_alarm_is_said_at_once_and_repeated_while_it_lasts(desk: Desk) -> None:
    desk.look(ALARM, after=1.0, times=int(3 * REPEAT_S))
    assert desk.levels == [Level.ALARM] * 3


def test_the_calm_after_it_is_repeated_for_a_while_in_case_it_was_lost(desk: Desk) -> None:
    desk.look(ALARM)
    desk.look(CALM, after=10.0, times=200)
    repeated = desk.levels.count(Level.CALM)
    assert repeated == STRESS_S // 10
    assert desk.levels[0] is Level.ALARM


def test_a_rule_that_the_daemon_holds_open_says_its_calm_even_if_it_never_stirred_here(desk: Desk) -> None:
    desk.reporter.expect(["card"])
    desk.look(CALM)
    assert desk.levels == [Level.CALM]


def test_a_reporter_that_takes_over_owes_what_the_other_owed(desk: Desk) -> None:
    desk.look(ALARM)
    fresh = desk.new()
    fresh.take_over(desk.reporter)
    desk.reporter = fresh
    desk.look(CALM)
    assert desk.levels == [Level.ALARM, Level.CALM]


def test_levels_are_said_on_change_and_repeated(desk: Desk) -> None:
    for _ in range(int(2 * REPEAT_STREAM_S)):
        desk.reporter.level(report())
        desk.clock.advance(1.0)
    desk.reporter.level(report(Reason.STALLED))
    reasons = [message.reason for message in desk.said if isinstance(message, StreamLevel)]
    assert reasons == [None, None, Reason.STALLED]
