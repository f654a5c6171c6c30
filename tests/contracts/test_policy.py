"""What every policy must keep. A new one joins the list."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.domain.decisions import Level, Standing
from streamwatch.evidence.base import Policy
from streamwatch.evidence.kofn import KOfN
from tests.evidence.test_kofn import RULE, sample

POLICIES: list[Callable[[], Policy]] = [lambda: KOfN(RULE)]


@pytest.fixture(params=POLICIES, ids=["k-of-n"])
def policy(request: pytest.FixtureRequest) -> Policy:
    made: Policy = request.param()
    return made


def test_it_begins_calm(policy: Policy) -> None:
    assert policy.decision.level is Level.CALM
    assert policy.decision.suspicion == 0


def test_the_standing_decision_is_what_was_last_answered(policy: Policy) -> None:
    answered = policy.observe(sample(1.0, 0.9))
    assert policy.decision == answered


def test_a_corrupt_frame_changes_nothing(policy: Policy) -> None:
    before = policy.observe(sample(1.0, 0.9))
    assert policy.observe(sample(2.0, 1.0, corrupt=True)) == before


def test_an_open_standing_is_an_alarm_and_a_closed_one_calm(policy: Policy) -> None:
    policy.restore(Standing(rule=RULE.name, open=True))
    assert policy.decision.level is Level.ALARM
    policy.restore(Standing(rule=RULE.name, open=False))
    assert policy.decision.level is Level.CALM


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 20), st.floats(0, 1), st.booleans()), max_size=60))
def test_whatever_is_seen_levels_and_demands_stay_sane(steps: list[tuple[float, float, bool]]) -> None:
    for make in POLICIES:
        policy, now = make(), 0.0
        for step, score, corrupt in steps:
            now += step
            decision = policy.observe(sample(now, score, corrupt=corrupt))
            assert 0 <= decision.suspicion <= 1
            assert len(decision.hits) <= RULE.open.hits
            assert decision.level is not Level.ALARM or decision.first_seen is not None
            assert all(hit.score >= RULE.open.score for hit in decision.hits)
