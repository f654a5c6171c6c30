"""Policies told as stories: a list of (second, score) in, a list of (second, level) out."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from streamwatch.domain.decisions import CloseWhen, Kind, Level, OpenWhen, RuleSpec, Severity, Standing
from streamwatch.domain.media import Aim, FrameRef, Sample, Scores
from streamwatch.domain.streams import StreamId
from streamwatch.evidence.kofn import KOfN

RULE = RuleSpec(
    name="card",
    detector="cards",
    label="test_card",
    severity=Severity.TEST,
    kind=Kind.TEST,
    open=OpenWhen(score=0.8, hits=2, within_s=10, spacing_s=0.4),
    close=CloseWhen(score=0.5, for_s=30),
    cooldown_s=60,
)
EPOCH = datetime(2026, 11, 21, tzinfo=UTC)


def sample(second: float, score: float, *, media_s: float | None = None, timeline: int = 0, corrupt: bool = False,
           detector: str = "cards") -> Sample:  # fmt: skip
    frame = FrameRef(
        stream=StreamId("lobby"),
        session="s",
        timeline=timeline,
        media_s=second if media_s is None else media_s,
        arrival=second,
        at=EPOCH + timedelta(seconds=second),
        key=True,
        width=1,
        height=1,
        corrupt=corrupt,
    )
    return Sample(frame=frame, scores=(Scores(detector, (("test_card", score),)),), gap_s=None, decode_s=0, infer_s=0)


def story(*samples: Sample, policy: KOfN | None = None) -> list[tuple[float, Level]]:
    subject = policy or KOfN(RULE)
    told: list[tuple[float, Level]] = []
    level = subject.decision.level
    for one in samples:
        decision = subject.observe(one)
        if decision.level is not level:
            level = decision.level
            told.append((one.frame.arrival, level))
    return told


def scores(*pairs: tuple[float, float]) -> list[Sample]:
    return [sample(second, score) for second, score in pairs]


def test_one_hit_is_a_suspicion_two_are_an_alarm_quiet_ends_it() -> None:
    told = story(*scores((0, 0.1), (10, 0.9), (10.5, 0.95), (20, 0.2), (40, 0.2), (50, 0.2)))
    assert told == [(10, Level.SUSPECTED), (10.5, Level.ALARM), (50, Level.CALM)]


def test_one_hit_alone_is_forgotten_after_the_window() -> None:
    assert story(*scores((0, 0.9), (5, 0.1), (10.1, 0.1))) == [(0, Level.SUSPECTED), (10.1, Level.CALM)]


def test_hits_too_far_apart_never_meet() -> None:
    assert story(*scores((0, 0.9), (11, 0.9), (22, 0.9))) == [(0, Level.SUSPECTED)]


def test_neighbouring_frames_are_one_observation() -> None:
    assert story(*scores((0, 0.9), (0.1, 0.9), (0.3, 0.9))) == [(0, Level.SUSPECTED)]
    assert story(*scores((0, 0.9), (0.3, 0.9), (0.4, 0.9)))[-1] == (0.4, Level.ALARM)


def test_spacing_is_media_time_where_media_time_compares() -> None:
    burst = [sample(5.0, 0.9, media_s=100.0), sample(5.0, 0.9, media_s=102.0)]
    assert story(*burst)[-1] == (5.0, Level.ALARM)


def test_a_broadcaster_whose_clock_crawls_is_judged_by_arrival() -> None:
    crawling = [sample(float(second), 1.0, media_s=second / 1000) for second in range(5)]
    assert story(*crawling)[-1] == (1.0, Level.ALARM)


def test_on_another_timeline_spacing_is_arrival_time() -> None:
    jump = [sample(5.0, 0.9, media_s=100.0), sample(5.1, 0.9, media_s=0.0, timeline=1)]
    assert story(*jump) == [(5.0, Level.SUSPECTED)]
    assert story(*jump, sample(5.5, 0.9, media_s=0.4, timeline=1))[-1] == (5.5, Level.ALARM)


def test_a_wavering_score_is_one_incident() -> None:
    told = story(
        *scores((0, 0.9), (1, 0.9), (10, 0.4), (20, 0.6), (30, 0.4), (49, 0.55), (60, 0.4), (80, 0.4), (90, 0.4))
    )
    assert told == [(0, Level.SUSPECTED), (1, Level.ALARM), (90, Level.CALM)]


def test_corrupt_frames_neither_open_nor_close() -> None:
    assert story(*(sample(s, 0.99, corrupt=True) for s in (0, 1, 2, 3))) == []
    policy = KOfN(RULE)
    story(*scores((0, 0.9), (1, 0.9)), policy=policy)
    assert story(*(sample(s, 0.0, corrupt=True) for s in (10, 60)), policy=policy) == []


def test_another_detectors_scores_are_not_this_rules_business() -> None:
    assert story(*(sample(s, 0.99, detector="other") for s in (0, 1, 2))) == []


def test_the_alarm_names_the_frames_that_confirmed_it() -> None:
    policy = KOfN(RULE)
    story(*scores((0, 0.85), (1, 0.95), (2, 0.99)), policy=policy)
    decision = policy.decision
    assert [hit.score for hit in decision.hits] == [0.85, 0.95]
    assert decision.score == 0.99
    assert decision.first_seen is not None
    assert decision.first_seen.arrival == 0
    assert decision.last_seen is not None
    assert decision.last_seen.arrival == 2


def test_demand_is_full_while_unconfirmed_middling_in_alarm_and_partial_for_a_near_miss() -> None:
    policy = KOfN(RULE)
    assert policy.observe(sample(0, 0.5)).suspicion == 0
    assert policy.observe(sample(1, 0.65)).suspicion == pytest.approx(0.25)
    assert policy.observe(sample(2, 0.9)).suspicion == 1
    assert policy.observe(sample(3, 0.9)).suspicion == 0.5


def test_an_open_alert_given_by_the_daemon_goes_on_until_it_is_quiet() -> None:
    policy = KOfN(RULE)
    policy.restore(Standing(rule="card", open=True))
    assert policy.decision.level is Level.ALARM
    assert story(*scores((0, 0.1), (15, 0.1), (29, 0.1), (30, 0.1)), policy=policy) == [(30, Level.CALM)]


def test_a_closed_alert_given_by_the_daemon_needs_new_hits() -> None:
    policy = KOfN(RULE)
    story(*scores((0, 0.9), (1, 0.9)), policy=policy)
    policy.restore(Standing(rule="card", open=False))
    assert story(*scores((2, 0.9), (3, 0.9)), policy=policy) == [(2, Level.SUSPECTED), (3, Level.ALARM)]


def test_restoring_what_is_already_so_keeps_the_evidence() -> None:
    policy = KOfN(RULE)
    story(*scores((0, 0.9)), policy=policy)
    policy.restore(Standing(rule="card", open=False))
    assert story(*scores((1, 0.9)), policy=policy) == [(1, Level.ALARM)]


def test_a_look_back_confirms_with_an_older_picture_and_the_story_begins_there() -> None:
    policy = KOfN(RULE)
    first = policy.observe(sample(10, 0.9))
    assert (first.level, first.missing, first.spacing_s) == (Level.SUSPECTED, 1, 0.4)
    assert policy.observe(sample(9.8, 0.9)).level is Level.SUSPECTED  # too near to count
    older = sample(9.5, 0.95)
    alarm = policy.observe(replace(older, frame=replace(older.frame, aim=Aim.BACK)))
    assert alarm.level is Level.ALARM
    assert [(hit.arrival, hit.look) for hit in alarm.hits] == [(10, Aim.KEY), (9.5, Aim.BACK)]
    assert alarm.first_seen is not None
    assert alarm.last_seen is not None
    assert (alarm.first_seen.arrival, alarm.last_seen.arrival) == (9.5, 10)


def test_a_look_back_further_than_the_window_does_not_count() -> None:
    policy = KOfN(RULE)
    policy.observe(sample(20, 0.9))
    assert policy.observe(sample(9, 0.9)).level is not Level.ALARM


def test_a_look_back_never_takes_the_end_of_the_story_back() -> None:
    policy = KOfN(RULE)
    story(*scores((10, 0.9), (7, 0.9)), policy=policy)
    decision = policy.observe(sample(8, 0.95))
    assert decision.last_seen is not None
    assert (decision.level, decision.score, decision.last_seen.arrival) == (Level.ALARM, 0.95, 10)


def test_quiet_begins_after_the_newest_hit_not_with_an_older_picture_that_a_look_back_found_clean() -> None:
    policy = KOfN(RULE)
    assert story(*scores((10, 0.9), (7, 0.9), (8, 0.1), (39, 0.1), (40, 0.1)), policy=policy)[-1] == (40, Level.CALM)


def test_in_a_burst_the_story_begins_and_ends_by_media_time() -> None:
    policy = KOfN(RULE)
    policy.observe(sample(10, 0.9, media_s=104))
    late = replace(sample(10, 0.9, media_s=102).frame, at=EPOCH + timedelta(seconds=10, microseconds=7))
    alarm = policy.observe(replace(sample(10, 0.9), frame=late))
    assert alarm.first_seen is not None
    assert alarm.last_seen is not None
    assert (alarm.first_seen.media_s, alarm.last_seen.media_s) == (102, 104)


def test_another_publisher_begins_with_nothing_seen() -> None:
    policy = KOfN(RULE)
    story(*scores((0, 0.9)), policy=policy)
    policy.reset()
    assert policy.decision.level is Level.CALM
    assert story(*scores((1, 0.9)), policy=policy) == [(1, Level.SUSPECTED)]


def test_a_picture_in_which_there_is_nothing_to_see_is_no_quiet() -> None:
    def blind(second: float, score: float) -> Sample:
        seen = sample(second, score)
        return replace(seen, frame=replace(seen.frame, blind=True))

    black = [blind(second, 0.0) for second in range(10, 100, 10)]
    told = story(*scores((0, 0.9), (0.5, 0.9)), *black, *scores((100, 0.1), (120, 0.1), (130, 0.1)))
    assert told == [(0, Level.SUSPECTED), (0.5, Level.ALARM), (130, Level.CALM)]


def test_a_hit_counts_in_such_a_picture_too() -> None:
    seen = [replace(one, frame=replace(one.frame, blind=True)) for one in scores((0, 0.9), (0.5, 0.9))]
    assert story(*seen)[-1] == (0.5, Level.ALARM)
