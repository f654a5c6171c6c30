"""Rules over scores of before: what would have opened is what the daemon's own desk would have opened."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.app.replay import Happened, Opening, Replayed, compare, replay
from streamwatch.domain.decisions import CloseWhen, Kind, OpenWhen, RuleSpec, Severity
from streamwatch.domain.media import Aim, FrameRef, Sample, Scores
from streamwatch.domain.streams import StreamId
from streamwatch.evidence.kofn import KOfN
from streamwatch.ledger.samples import Scored
from tests.fakes.clock import EPOCH
from tests.fakes.desk import FACTS, LOBBY, Story, rule

T0 = EPOCH.timestamp()
RULE = RuleSpec(
    name="nudity", detector="det", label="nsfw", severity=Severity.HIGH, kind=Kind.CLASSIFIER,
    open=OpenWhen(0.8, 2, 10, 0.4), close=CloseWhen(0.5, 30), cooldown_s=60,
)  # fmt: skip


def frame(second: float, score: float = 0.9, **changes: object) -> Scored:
    made = Scored(T0 + second, LOBBY, "s1", 1000 + second, second, Aim.KEY, (Scores("det", (("nsfw", score),)),))
    return replace(made, **changes)


def opened(*frames: Scored | None, rules: tuple[RuleSpec, ...] = (RULE,)) -> list[float]:
    """At which seconds alerts would have opened: of the first frame that counted."""
    return [round(one.first - T0, 3) for one in replay(frames, rules).openings]


def test_two_hits_open_and_one_does_not() -> None:
    assert opened(frame(1)) == []
    assert opened(frame(1), frame(2, 0.1), frame(3)) == [1]
    assert opened(frame(1), frame(20)) == []
    (one,) = replay([frame(1), frame(2, 0.99), frame(9, 0.6)], [RULE]).openings
    assert (one.score, one.hits, round(one.last - T0)) == (0.99, 2, 9)


def test_a_changed_rule_opens_where_the_old_one_did_not() -> None:
    frames = [frame(second, 0.7) for second in range(5)]
    assert opened(*frames) == []
    assert opened(*frames, rules=(replace(RULE, open=OpenWhen(0.6, 2, 10, 0.4)),)) == [0]


def test_quiet_closes_and_a_cool_down_holds_back() -> None:
    def scene(begin: float) -> list[Scored]:
        return [*(frame(begin + second) for second in range(3)), *(frame(begin + 3 + s, 0.1) for s in range(0, 40, 5))]

    assert opened(*scene(0), *scene(50)) == [0], "within the cool-down"
    assert opened(*scene(0), *scene(120)) == [0, 120]
    urgent = replace(RULE, severity=Severity.URGENT)
    assert opened(*scene(0), *scene(50), rules=(urgent,)) == [0, 50]


def test_another_publication_begins_anew_and_has_no_cool_down() -> None:
    first = [frame(1), frame(2)]
    assert opened(*first, frame(3, session="s2"), frame(4, session="s2")) == [1, 3]
    assert opened(frame(1), frame(2, session="s2")) == [], "hits of two publications are not one observation"


def test_a_look_back_counts_and_does_not_turn_the_time_line() -> None:
    assert opened(frame(5), frame(5.1, media_s=2, look=Aim.BACK)) == [5], "apart in media time"
    again = frame(5.1, media_s=5.1)
    assert opened(frame(5), again) == []
    jumped = frame(5.1, media_s=900)
    assert opened(frame(5), jumped) == [], "media times before and after a jump do not compare"


def test_frames_that_are_damaged_or_unreadable_change_nothing() -> None:
    frames = [frame(1), None, frame(2, corrupt=True), frame(3, 0.1)]
    result = replay(frames, [RULE])
    assert (result.openings, result.frames, result.unreadable) == ([], 3, 1)


def test_after_a_restart_of_the_machine_time_goes_on() -> None:
    later = [frame(40 + second, arrival=5 + second) for second in range(3)]
    assert opened(frame(1), *later) == [40]
    quiet = [frame(40 + second, 0.1, arrival=5 + second) for second in range(0, 40, 5)]
    result = replay([frame(1), frame(2), *quiet, *(frame(200 + s, arrival=165 + s) for s in range(3))], [RULE])
    assert [round(one.first - T0) for one in result.openings] == [1, 200]


def test_labels_that_were_left_out_were_low() -> None:
    other = (Scores("det", (("calm", 0.99),)),)
    low = [frame(3 + second, scores=other, trimmed=True) for second in range(0, 40, 5)]
    again = [frame(200), frame(201)]
    assert opened(frame(1), frame(2), *low, *again) == [1, 200]
    silent = [replace(one, trimmed=False) for one in low]
    assert opened(frame(1), frame(2), *silent, *again) == [1], "not scored is not calm"
    assert replay(silent, [RULE]).seen == {("det", "calm")}


FRAMES = st.lists(
    st.tuples(
        st.sampled_from([0.5, 1.0, 4.0, 15.0]), st.sampled_from([0.1, 0.1, 0.55, 0.85, 0.99]), st.integers(1, 6),
        st.sampled_from([False, False, False, True]),
    ),
    max_size=20,
)  # fmt: skip
"""Scenes: the pause before each frame, its score, how many frames, and whether they are damaged."""


@settings(max_examples=200)
@given(FRAMES, st.sampled_from([Severity.HIGH, Severity.URGENT]))
def test_it_opens_what_the_daemon_would_have_opened(
    scenes: list[tuple[float, float, int, bool]], severity: Severity
) -> None:
    spec = replace(rule().spec, severity=severity)
    story = Story(replace(rule(), spec=spec))
    policy, kept = KOfN(spec), []
    frames = [(pause, score, corrupt) for pause, score, count, corrupt in scenes for _ in range(count)]
    for pause, score, corrupt in frames:
        story.clock.advance(pause)
        story.desk.tick()
        second = story.second
        one = frame(second, score, arrival=story.clock.monotonic(), at=story.clock.now().timestamp(), corrupt=corrupt)
        kept.append(one)
        reference = FrameRef(LOBBY, "s1", 0, second, one.arrival, story.clock.now(), key=True, width=0, height=0,
                             corrupt=corrupt)  # fmt: skip
        story.desk.observe(FACTS, policy.observe(Sample(reference, one.scores, None, 0, 0)))
    there = [document["first_seen"]["at"] for document in story.documents if document["event"] == "opened"]
    here = [
        datetime.fromtimestamp(one.first, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for one in replay(kept, [spec]).openings
    ]
    assert here == there


def test_both_are_held_against_each_other() -> None:
    def opening(first: float, name: str = "nudity") -> Opening:
        return Opening(name, LOBBY, first, first + 5, 0.9, 2)

    def alert(name: str, first: float, *, stream: str = "lobby", rule_name: str = "nudity") -> Happened:
        return Happened(name, rule_name, stream, first, first + 5, "unconfirmed")

    replayed = Replayed(openings=[opening(100), opening(500), opening(1000)], spans={LOBBY: (90.0, 1100.0)})
    happened = [alert("A", 110), alert("B", 700), alert("C", 720, rule_name="gone"), alert("D", 50),
                alert("E", 500, stream="hall")]  # fmt: skip
    woulds, dids = compare(replayed, happened, {"nudity": RULE}, known_since=600)
    assert [(one.did, one.alerts) for one in woulds] == [(True, ("A",)), (None, ()), (False, ())]
    assert [(one.alert.alert_id, one.would) for one in dids] == [
        ("A", True), ("B", False), ("C", False), ("D", None), ("E", None)]  # fmt: skip


def test_a_thousand_streams_are_kept_apart() -> None:
    frames = [frame(second, stream=StreamId(f"s{number}")) for second in range(2) for number in range(1000)]
    result = replay(frames, [RULE])
    assert len({one.stream for one in result.openings}) == 1000
