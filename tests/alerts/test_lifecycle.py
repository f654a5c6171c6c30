"""Stories of what an alert does while it waits for people, and of many at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from streamwatch.alerts.base import Result
from streamwatch.alerts.duty import GRACE_S, Duty
from streamwatch.alerts.policy import LifePolicy
from streamwatch.alerts.quiet import Held
from streamwatch.domain.alerts import Expect, Verdict
from streamwatch.domain.decisions import Kind, RaiseWhen, Severity
from streamwatch.domain.errors import LedgerError
from streamwatch.domain.streams import NODE, StreamId
from tests.fakes.clock import FakeClock
from tests.fakes.desk import LOBBY, Story, other, rule
from tests.fakes.ledger import FakeLedger


@pytest.fixture
def story() -> Story:
    return Story()


def escalated(story: Story) -> list[tuple[int, str]]:
    """Number and event of everything that is owed on `P/escalations`."""
    return [(event.seq, str(event.event)) for event in story.ledger.events if event.escalated]


# --- escalation ------------------------------------------------------------------------------------------------------


def test_what_nobody_acknowledges_in_time_is_said_to_others_too(story: Story) -> None:
    story.at(0).alarm("urgent").at(59)
    assert escalated(story) == []
    story.at(60.5)
    assert story.last["escalated"] == "2026-11-21T10:01:00.000Z"
    assert escalated(story) == [(3, "reminder")]


def test_once_escalated_they_hear_everything_to_the_end(story: Story) -> None:
    story.at(0).alarm("urgent").at(70)
    story.says("acknowledge")
    story.calm("urgent")
    assert escalated(story) == [(3, "reminder"), (4, "updated"), (5, "closed")]


@pytest.mark.parametrize("word", ["acknowledge", "confirm"])
def test_what_was_acknowledged_in_time_is_not_escalated(story: Story, word: str) -> None:
    story.at(0).alarm("urgent").at(30)
    story.says(word)
    story.at(1000)
    assert escalated(story) == []


def test_a_person_escalates_at_once_and_alone(story: Story) -> None:
    story.at(0).alarm().at(5)
    assert story.says("escalate").result is Result.DONE
    assert escalated(story) == [(2, "updated")]
    assert story.last["human"]["verdict"] == "escalate"


@pytest.mark.parametrize("name", ["low", "card"])
def test_low_ones_and_tests_are_never_escalated_unasked(story: Story, name: str) -> None:
    story.at(0).alarm(name).at(4000)
    assert escalated(story) == []


def test_a_restart_neither_forgets_nor_delays_an_escalation(story: Story) -> None:
    story.at(0).alarm("urgent").at(50).restart().at(61)
    assert [event for _, event in escalated(story)] == ["reminder"]
    story.restart().at(200)
    assert sum("escalated" in document for document in story.documents) == len(escalated(story))


@pytest.mark.parametrize("again", [False, True], ids=["", "over a restart"])
def test_a_short_scene_that_nobody_saw_is_escalated_although_it_is_over(story: Story, *, again: bool) -> None:
    story.at(0).alarm("urgent").at(20).calm("urgent")
    if again:
        story.restart()
    story.at(59)
    assert escalated(story) == []
    story.at(61)
    assert escalated(story) == [(3, "updated")]
    assert (story.last["close_reason"], story.ledger.alerts()) == ("quiet", [])
    story.at(4000)
    assert len(story.heard) == 3


@pytest.mark.parametrize("word", ["acknowledge", "dismiss", "confirm"])
def test_a_short_scene_that_somebody_judged_is_not_escalated(story: Story, word: str) -> None:
    story.at(0).alarm("nudity").at(20).calm("nudity").at(30)
    story.says(word)
    story.at(2000)
    assert escalated(story) == []


def test_a_dismissal_that_waits_for_the_second_person_is_escalated(story: Story) -> None:
    story.at(0).alarm("urgent").at(20).calm("urgent").at(30)
    story.says("dismiss", "ann")
    story.at(61)
    assert escalated(story) == [(4, "updated")]


@pytest.mark.parametrize("set_s", [3600.0, -3600.0])
def test_a_clock_that_is_set_escalates_and_reminds_nothing_too_early_or_too_late(story: Story, set_s: float) -> None:
    story.at(0).alarm("urgent").at(10)
    story.clock.set_s = set_s
    story.at(29)
    assert story.heard == ["opened"]
    story.at(61)
    assert story.heard == ["opened", "reminder", "reminder"]
    assert len(escalated(story)) == 1


# --- severity --------------------------------------------------------------------------------------------------------


def test_a_score_makes_an_open_alert_graver_and_somebody_looks_again() -> None:
    story = Story(rule(raise_=RaiseWhen(Severity.URGENT, score=0.98, after_s=None)))
    story.at(0).alarm(score=0.9).at(1)
    story.says("acknowledge")
    story.at(2).alarm(score=0.99)
    assert story.last["severity"] == "urgent"
    assert story.last["raised"] == {"from": "high", "at": "2026-11-21T10:00:02.000Z", "because": "score"}
    assert story.ledger.alerts()[0].acknowledged is False
    story.at(33)
    assert story.heard[-1] == "reminder"
    assert story.says("dismiss").result is Result.PROPOSED_DISMISSAL, "two people, since it is urgent now"


def test_what_lasts_becomes_graver_once_and_never_less_grave() -> None:
    story = Story(rule(severity=Severity.LOW, raise_=RaiseWhen(Severity.HIGH, score=None, after_s=60)))
    story.at(0).alarm(score=0.9)
    for second in range(1, 120, 3):
        story.at(second).alarm()
    severities = [document["severity"] for document in story.documents]
    assert severities == sorted(severities, reverse=True)
    assert severities[-1] == "high"
    assert story.last["raised"]["because"] == "duration"
    assert sum(document.get("raised") != story.last["raised"] for document in story.documents) > 0


GRAVE = rule(raise_=RaiseWhen(Severity.URGENT, score=0.98, after_s=None))


def test_what_a_score_makes_urgent_opens_so_at_once_whatever_is_muted_or_cools_down() -> None:
    story = Story(GRAVE)
    story.at(0).alarm(score=0.99)
    assert (story.last["severity"], "raised" in story.last) == ("urgent", False)
    story.at(1)
    story.says("acknowledge")
    story.calm()
    story.desk.mute(stream=LOBBY, for_s=600, moderator="ann")
    story.at(5).fresh().alarm(score=0.9)
    assert story.heard[-1] == "closed:quiet", "muted"
    story.at(6).fresh().alarm(score=0.985)
    assert (story.heard[-1], story.last["severity"]) == ("opened", "urgent")


def test_a_proposal_to_dismiss_does_not_outlive_what_it_was_about() -> None:
    story = Story(rule(severity=Severity.HIGH, kind=Kind.KNOWN_CONTENT, raise_=GRAVE.spec.raise_))
    story.at(0).alarm(score=0.9).at(1)
    assert story.says("dismiss", "ann").result is Result.PROPOSED_DISMISSAL
    story.at(2).alarm(score=0.99)
    assert story.last["human"] is None
    assert story.says("dismiss", "bob").result is Result.PROPOSED_DISMISSAL
    story.at(3).alarm(facts=other(session="s2"))
    assert story.says("dismiss", "ann").result is Result.PROPOSED_DISMISSAL
    assert story.says("dismiss", "bob").result is Result.DONE


@pytest.mark.parametrize("set_s", [3600.0, -3600.0])
def test_a_clock_that_is_set_raises_nothing(set_s: float) -> None:
    story = Story(rule(raise_=RaiseWhen(Severity.URGENT, score=None, after_s=60)))
    story.at(0).alarm()
    story.clock.set_s = set_s
    story.at(30).alarm()
    assert story.ledger.alerts()[0].severity is Severity.HIGH
    story.at(61).alarm()
    assert story.ledger.alerts()[0].severity is Severity.URGENT


# --- what whoever records answers ------------------------------------------------------------------------------------


def ack(story: Story, *, kept: bool = True, alert_id: str | None = None) -> Result:
    return story.desk.preserve_ack(alert_id=alert_id or story.last["alert_id"], kept=kept).result


def test_the_span_is_asked_for_at_once_and_its_keeping_is_said(story: Story) -> None:
    story.at(0).alarm()
    assert story.last["preserve"]["state"] == "asked"
    assert story.last["preserve"]["deadline"] == "2026-11-21T10:05:00.000Z"
    story.at(1)
    assert ack(story) is Result.DONE
    assert story.last["preserve"]["state"] == "kept"
    story.at(20).alarm()
    assert story.last["preserve"]["state"] == "kept", "later hits do not undo it"
    story.at(400)
    assert story.desk.unpreserved == ""


def test_a_missing_answer_is_an_alarm_once_there_ever_was_one(story: Story) -> None:
    story.at(0).alarm("low").at(400)
    assert (story.desk.unpreserved, escalated(story)) == ("", []), "nobody ever answers here"
    ack(story)
    story.alarm("nudity").at(701)
    assert story.last["preserve"]["state"] == "overdue"
    assert escalated(story)
    assert "spans of 1 alerts" in story.desk.unpreserved
    ack(story)
    assert story.desk.unpreserved == ""


def test_what_is_expected_is_missed_from_the_first_alert_on_also_after_close_and_restart() -> None:
    story = Story(policy=LifePolicy(preserve_answer=Expect.EXPECTED))
    story.at(0).alarm().at(5).restart().at(6).calm().at(7).restart().at(301)
    assert story.last["preserve"]["state"] == "overdue"
    assert story.ledger.alerts() == [], "it stays closed"
    assert story.desk.unpreserved


def test_that_it_could_not_be_kept_is_an_alarm_at_once(story: Story) -> None:
    story.at(0).alarm()
    assert ack(story, kept=False) is Result.DONE
    assert story.last["preserve"]["state"] == "failed"
    assert escalated(story) == [(2, "updated")]
    assert story.desk.unpreserved


def test_of_tests_nobody_is_asked_to_keep_anything(story: Story) -> None:
    story.at(0).alarm("card")
    assert set(story.last["preserve"]) == {"from", "to", "from_media_s", "to_media_s", "pre_roll_s"}
    assert ack(story) is Result.REFUSED
    assert ack(story, alert_id="01KAJ5V8Z0AAAAAAAAAAAAAAAA") is Result.REFUSED


def test_after_a_new_session_media_time_is_not_claimed(story: Story) -> None:
    story.at(100).alarm().at(111)
    story.start += 110  # media time begins anew
    story.alarm(facts=other(session="s2"))
    assert "from_media_s" not in story.last["preserve"]
    assert story.last["preserve"]["state"] == "asked"


def test_who_kept_it_first_and_lost_it_then_is_heard(story: Story) -> None:
    story.at(0).alarm()
    ack(story)
    ack(story, kept=False)
    assert story.last["preserve"]["state"] == "failed"
    assert story.desk.unpreserved


def test_the_same_bad_news_is_said_once(story: Story) -> None:
    story.at(0).alarm()
    for _ in range(5):
        assert ack(story, kept=False) is Result.DONE
    assert story.heard == ["opened", "updated"]


def test_nobody_is_called_about_the_recording_of_what_was_dismissed() -> None:
    story = Story(policy=LifePolicy(preserve_answer=Expect.EXPECTED))
    story.at(0).alarm().at(5)
    story.says("dismiss")
    story.at(400)
    assert (story.heard, story.desk.unpreserved) == (["opened", "closed:verdict"], "")


def test_a_missed_answer_is_still_missed_after_a_restart() -> None:
    story = Story(policy=LifePolicy(preserve_answer=Expect.EXPECTED))
    story.at(0).alarm().at(301).restart()
    assert story.desk.unpreserved


def test_an_answer_that_the_disk_refuses_is_none(story: Story) -> None:
    story.at(0).alarm()
    story.ledger.unwritable = True
    with pytest.raises(LedgerError):
        ack(story)
    story.ledger.unwritable = False
    assert ack(story) is Result.DONE


# --- directories -----------------------------------------------------------------------------------------------------


def test_directories_are_asked_not_to_promote_it_until_it_is_dismissed(story: Story) -> None:
    story.at(0).alarm()
    assert story.last["discovery_hold"] == {"until": "2026-11-21T10:30:00.000Z"}
    story.at(60)
    story.says("dismiss")
    assert "discovery_hold" not in story.last


def test_a_hold_runs_out_by_itself_unless_people_confirm(story: Story) -> None:
    story.at(0).alarm().at(60).calm()
    assert story.last["discovery_hold"] == {"until": "2026-11-21T10:30:00.000Z"}
    story.says("confirm")
    assert story.last["discovery_hold"] == {"until": "2026-11-21T10:31:00.000Z"}


@pytest.mark.parametrize("name", ["low", "card"])
def test_low_ones_and_tests_hold_nothing(story: Story, name: str) -> None:
    assert "discovery_hold" not in story.at(0).alarm(name).last


# --- verdicts --------------------------------------------------------------------------------------------------------


def test_what_was_viewed_stands_beside_the_word(story: Story) -> None:
    story.at(0).alarm()
    answer = story.says("confirm", viewed_s=12.5)
    assert story.last["human"]["viewed_s"] == 12.5
    assert (answer.stream, answer.rule) == (LOBBY, "nudity")


def test_what_people_confirmed_cools_down_for_nobody(story: Story) -> None:
    story.at(0).alarm()
    story.says("confirm")
    story.at(40).calm().at(41).fresh().alarm()
    assert story.heard == ["opened", "updated", "closed:quiet", "opened"]


def test_an_acknowledgement_does_not_wipe_out_a_dismissal(story: Story) -> None:
    story.at(0).alarm().at(1)
    story.says("dismiss")
    story.says("acknowledge", "bob")
    assert (story.last["human"]["verdict"], story.last["close_reason"]) == ("dismiss", "verdict")


def test_what_two_people_dismissed_rests_although_it_had_been_raised() -> None:
    story = Story(rule(cooldown_s=30, raise_=RaiseWhen(Severity.URGENT, score=None, after_s=10)))
    story.at(0).alarm().at(11).alarm()
    assert story.last["severity"] == "urgent"
    story.says("dismiss", "ann")
    assert story.says("dismiss", "bob").result is Result.DONE
    story.at(20).fresh().alarm()
    assert story.heard[-1] == "closed:verdict"
    story.at(45).fresh().alarm()
    assert story.heard[-1] == "opened"


# --- many at once ----------------------------------------------------------------------------------------------------

FLOOD = LifePolicy(flood_streams=3, flood_within_s=60)


def crowd(story: Story, names: Iterable[str], rule_name: str = "nudity") -> None:
    for name in names:
        story.alarm(rule_name, facts=other(id=StreamId(name), name=name))


def by_stream(story: Story) -> list[tuple[str, str]]:
    return [(document["stream"]["id"], document["event"]) for document in story.documents]


def test_a_flood_is_one_word_with_a_question() -> None:
    story = Story(policy=FLOOD)
    crowd(story.at(1), "abcdef")
    assert by_stream(story) == [*((name, "opened") for name in "abc"), (NODE, "opened")]
    assert story.last["summary"] == {
        "streams": 4,
        "since": "2026-11-21T10:00:01.000Z",
        "examples": ["a", "b", "c", "d"],
        "says": "4 streams opened rule nudity since 10:00 UTC: model or configuration fault?",
    }
    story.at(12)
    assert story.last["event"] == "updated"
    assert (story.last["summary"]["streams"], story.last["summary"]["examples"]) == (6, list("abcdef"))
    assert story.desk.held[Held.FLOOD] == 3


def test_what_is_urgent_or_known_opens_all_the_same_beside_the_summary() -> None:
    story = Story(policy=FLOOD)
    crowd(story.at(1), "abcdef", "urgent")
    crowd(story.at(2), "abcdef", "known")
    for name in ("urgent", "known"):
        opened = [d["stream"]["id"] for d in story.documents if d["rule"] == name and d["event"] == "opened"]
        assert sorted(opened) == sorted([*"abcdef", NODE])


def test_tests_on_all_streams_are_no_flood() -> None:
    story = Story(policy=FLOOD)
    crowd(story.at(1), "abcdef", "card")
    assert by_stream(story) == [(name, "opened") for name in "abcdef"]


def test_a_few_streams_now_and_then_are_no_flood() -> None:
    story = Story(policy=FLOOD)
    for second, name in zip(range(0, 240, 30), "abcdefgh", strict=True):
        crowd(story.at(second), name)
    assert NODE not in {stream for stream, _ in by_stream(story)}


def test_where_people_say_that_it_is_real_every_stream_opens_its_own() -> None:
    story = Story(policy=FLOOD)
    crowd(story.at(1), "abcd")
    story.says("confirm")
    crowd(story.at(2), "def")
    assert [stream for stream, event in by_stream(story) if event == "opened"] == ["a", "b", "c", NODE, "d", "e", "f"]


def test_a_dismissed_flood_is_not_said_again_while_it_lasts() -> None:
    story = Story(policy=FLOOD)
    crowd(story.at(1), "abcd")
    assert story.says("dismiss").result is Result.DONE
    crowd(story.at(5), "efg")
    assert by_stream(story)[-1] == (NODE, "closed")


def test_after_a_flood_what_is_still_at_alarm_opens_after_all() -> None:
    story = Story(policy=FLOOD)
    crowd(story.at(1), "abcde")
    story.at(62.5)
    assert story.heard[-1] == "closed:quiet"
    crowd(story, "de")
    assert by_stream(story)[-2:] == [("d", "opened"), ("e", "opened")]


def test_a_flood_and_what_people_said_of_it_go_on_over_a_restart() -> None:
    story = Story(policy=FLOOD)
    crowd(story.at(1), "abcd")
    story.restart({StreamId(name) for name in "abcd"})
    crowd(story.at(2), "e")
    assert story.heard == ["opened"] * 4, "it is part of the flood still"
    story.says("confirm", alert_id=story.last["alert_id"])
    story.restart({StreamId(name) for name in "abcde"})
    crowd(story.at(3), "f")
    assert by_stream(story)[-1] == ("f", "opened")
    story.at(70)
    assert (NODE, "closed") in by_stream(story)
    assert story.desk.take_restanding() == {"f"}


def test_who_keeps_feeding_a_flood_that_people_settled_buys_no_silence() -> None:
    story = Story(policy=FLOOD)
    crowd(story.at(1), "abcd")
    story.says("dismiss")
    names = (f"s{number}" for number in range(1000))
    for second in range(10, 400, 30):
        crowd(story.at(second), [next(names)])
    assert len([stream for stream, _ in by_stream(story) if stream.startswith("s")]) >= 6


def test_an_acknowledgement_takes_no_confirmation_back() -> None:
    story = Story(policy=FLOOD)
    crowd(story.at(1), "abcd")
    summary = story.last["alert_id"]
    story.says("confirm", alert_id=summary)
    story.says("acknowledge", "bob", alert_id=summary)
    crowd(story.at(2), "e")
    assert by_stream(story)[-1] == ("e", "opened")


def test_that_alarms_are_held_back_is_said_until_they_are_not() -> None:
    story = Story(policy=FLOOD)
    crowd(story.at(1), "abcde")
    assert "by rule nudity" in story.desk.flooded
    for name in "de":
        story.desk.ended(StreamId(name))
    assert story.desk.flooded == ""


def test_a_disk_that_refuses_the_summary_is_asked_again() -> None:
    story = Story(policy=FLOOD)
    crowd(story.at(1), "abc")
    story.ledger.broken = True
    with pytest.raises(LedgerError):
        crowd(story, "d")
    story.ledger.broken = False
    crowd(story, "d")
    assert by_stream(story)[-1] == (NODE, "opened")


# --- who is there ----------------------------------------------------------------------------------------------------


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def duty(clock: FakeClock) -> Duty:
    return Duty(notes=FakeLedger(clock), clock=clock)


def test_nobody_is_missed_who_never_was_there(duty: Duty, clock: FakeClock) -> None:
    clock.advance(3600)
    assert duty.trouble(live=5, expect=Expect.AUTO) == ""
    assert duty.trouble(live=5, expect=Expect.OFF) == ""


def test_streams_that_nobody_watches_over_are_an_alarm_after_a_moment(duty: Duty, clock: FakeClock) -> None:
    duty.set("ann", 600)
    assert duty.people == ("ann",)
    clock.advance(599)
    assert duty.trouble(live=5, expect=Expect.AUTO) == ""
    clock.advance(2)
    assert duty.trouble(live=5, expect=Expect.AUTO) == ""
    clock.advance(GRACE_S)
    assert duty.trouble(live=5, expect=Expect.AUTO) == "nobody is on duty while 5 streams are live"
    assert duty.trouble(live=0, expect=Expect.AUTO) == ""
    duty.set("bob", 600)
    assert duty.trouble(live=5, expect=Expect.AUTO) == ""


def test_who_leaves_is_gone_and_who_has_no_name_never_came(duty: Duty) -> None:
    duty.set("ann", 600)
    duty.set("bob", 600)
    assert duty.set("ann", 0).result is Result.DONE
    assert duty.people == ("bob",)
    assert duty.set(" ", 600).result is Result.REFUSED


def test_a_shift_goes_on_over_a_restart_and_over_a_clock_that_is_set(clock: FakeClock) -> None:
    notes = FakeLedger(clock)
    Duty(notes=notes, clock=clock).set("ann", 600)
    clock.advance(100)
    again = Duty(notes=notes, clock=clock)
    again.restore()
    assert again.people == ("ann",)
    clock.set_s = 3600
    assert again.people == ("ann",)
    clock.advance(501)
    assert again.people == ()


@pytest.mark.parametrize("kept", ["[]", "{", '{"ann": 5}', '{"ann": "soon"}'])
def test_what_cannot_be_read_of_a_shift_is_nobody(clock: FakeClock, kept: str) -> None:
    notes = FakeLedger(clock)
    notes.remember("on_duty", kept)
    duty = Duty(notes=notes, clock=clock)
    duty.restore()
    assert duty.people == ()


def test_the_policy_can_be_changed_while_alerts_are_open(story: Story) -> None:
    story.at(0).alarm("urgent")
    story.desk.configure(story.rules, replace(LifePolicy(), escalate_s={Severity.URGENT: 5.0}))
    story.desk.verdict(alert_id=story.last["alert_id"], verdict=Verdict.REOPEN, moderator="ann")
    story.at(6)
    assert escalated(story)
