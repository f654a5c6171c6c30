"""Stories: levels in, events out."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.alerts.base import DetectorFacts, RiskSignal
from streamwatch.alerts.document import AlertDocument
from streamwatch.domain.decisions import Decision, Kind, Level, Severity, Standing
from streamwatch.domain.errors import LedgerError
from streamwatch.domain.streams import StreamId
from tests.fakes.desk import FACTS, LOBBY, RULES, Story, other, rule


@pytest.fixture
def story() -> Story:
    return Story()


def test_suspicion_alone_is_heard_by_nobody(story):
    assert story.at(1).suspected().at(2).calm().heard == []


def test_an_alarm_opens_once_however_often_it_is_repeated(story):
    story.at(1).alarm().still().at(2).still()
    assert story.heard == ["opened"]
    assert [(event.alert_id, event.seq) for event in story.ledger.pending()] == [(story.last["alert_id"], 1)]


def test_calm_closes_quietly_and_is_idempotent(story):
    story.at(1).alarm().at(5).calm().calm().at(6).calm()
    assert story.heard == ["opened", "closed:quiet"]
    assert story.ledger.alerts() == []


def test_a_suspicion_does_not_close(story):
    assert story.at(1).alarm().at(2).suspected().heard == ["opened"]


def test_the_opened_event_knows_when_its_first_frame_arrived(story):
    story.at(1).alarm()
    assert story.ledger.events[0].triggered == story.start + 1
    story.at(30).alarm()
    assert story.ledger.events[1].triggered is None


def test_hits_that_go_on_are_said_every_ten_seconds(story):
    story.at(0)
    for second in range(1, 32):
        story.at(second).alarm()
    assert story.heard == ["opened", "updated", "updated", "updated"]
    assert [document["last_seen"]["at"][17:19] for document in story.documents] == ["01", "11", "21", "31"]


def test_an_alarm_without_new_hits_is_not_said_again(story):
    story.at(1).alarm()
    for second in range(2, 60):
        story.at(second).still()
    assert story.heard == ["opened"]


def test_a_score_that_rises_visibly_is_said_at_once(story):
    story.at(1).alarm(score=0.9).at(2).alarm(score=0.94).at(3).alarm(score=0.95).at(4).alarm(score=0.93)
    assert story.heard == ["opened", "updated"]
    assert [document["score"] for document in story.documents] == [0.9, 0.95]


def test_a_new_session_is_said_at_once_and_the_alert_stays_the_same(story):
    story.at(1).alarm().at(2).alarm(facts=other(session="s2"))
    assert story.heard == ["opened", "updated"]
    assert story.last["stream"]["session"] == "s2"
    assert len({document["alert_id"] for document in story.documents}) == 1


def test_a_stream_that_is_no_longer_live_is_said_at_once(story):
    story.at(1).alarm().at(2).still(facts=other(still_live=False))
    assert story.heard == ["opened", "updated"]
    assert story.last["still_live"] is False


def test_what_was_seen_and_not_yet_said_goes_out_with_the_close(story):
    story.at(1).alarm(score=0.9).at(4).alarm(score=0.92).at(8).calm()
    assert story.last["last_seen"]["at"].endswith(":04.000Z")
    assert story.last["score"] == 0.92
    assert story.last["preserve"] == {
        "from": "2026-11-21T09:59:31.000Z",
        "to": "2026-11-21T10:00:14.000Z",
        "from_media_s": 0.0,
        "to_media_s": 14.0,
        "pre_roll_s": 30.0,
        "deadline": "2026-11-21T10:05:01.000Z",
        "state": "asked",
    }


def test_numbers_grow_by_one_and_bodies_are_within_four_kilobytes(story):
    for second in range(1, 200):
        story.at(second).alarm()
    story.calm()
    assert [document["seq"] for document in story.documents] == list(range(1, len(story.documents) + 1))
    assert max(len(event.body.encode()) for event in story.ledger.events) <= 4096


def test_the_end_of_the_stream_closes_everything_on_it(story):
    story.at(1).alarm().alarm("urgent").alarm(facts=other(id=StreamId("bar")))
    story.at(2)
    story.desk.ended(LOBBY)
    assert story.heard == ["opened"] * 3 + ["closed:ended"] * 2
    assert story.last["still_live"] is False
    assert [alert.stream for alert in story.desk.open_alerts] == ["bar"]


def test_a_stream_that_is_gone_closes_like_one_that_ended(story):
    story.at(1).alarm()
    story.desk.gone(LOBBY)
    assert story.heard == ["opened", "closed:ended"]


def test_rules_and_streams_never_merge(story):
    bar = other(id=StreamId("bar"))
    story.at(1).alarm().alarm("urgent").alarm(facts=bar).at(2).calm()
    assert story.heard == ["opened", "opened", "opened", "closed:quiet"]
    assert len({document["alert_id"] for document in story.documents}) == 3


# --- reminders -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("urgent", [30, 60, 180, 420, 660]),
        ("nudity", [120, 360, 600, 1560]),
        ("low", [600, 1800]),
        ("card", []),
    ],
)
def test_reminders_come_until_somebody_acknowledges_and_ever_less_often(story, name, seconds):
    story.at(0).alarm(name)
    came = []
    for second in range(1, 2000):
        before = len(story.heard)
        story.at(second)
        if len(story.heard) > before:
            assert story.last["event"] == "reminder"
            came.append(second)
    assert came[: len(seconds)] == seconds
    assert all(later - earlier >= seconds[0] for earlier, later in itertools.pairwise(came))
    if name == "urgent":
        assert came[-1] - came[-2] == 240, "bounded: it goes on"


@pytest.mark.parametrize("verdict", ["acknowledge", "confirm", "escalate"])
def test_once_acknowledged_there_are_no_reminders(story, verdict):
    story.at(0).alarm("urgent").at(10).says(verdict)
    story.at(500)
    assert story.heard == ["opened", "updated"]
    assert story.last["human"] == {"verdict": verdict, "moderator": "ann", "at": "2026-11-21T10:00:10.000Z", "note": ""}


# --- cool-down -------------------------------------------------------------------------------------------------------


def test_after_a_quiet_close_the_rule_cools_down(story):
    story.at(1).alarm().at(5).calm().at(20).alarm().at(64).alarm()
    assert story.heard == ["opened", "closed:quiet"]
    assert story.desk.held == {"cooldown": 2}
    story.at(65).alarm()
    assert story.heard == ["opened", "closed:quiet", "opened"], "it has lasted: the end of the cool-down is enough"


def test_the_wait_of_a_cool_down_is_no_latency(story):
    story.at(1).alarm().at(5).calm().at(20).alarm().at(65).alarm()
    assert story.ledger.events[-1].triggered == story.start + 65
    story.at(70).calm().at(80).alarm().at(85).calm().at(140).alarm()
    assert story.ledger.events[-1].triggered == story.start + 140, "what calmed down in between waits no more"


def test_urgent_never_cools_down(story):
    story.at(1).alarm("urgent").at(5).calm("urgent").at(6).alarm("urgent")
    assert story.heard == ["opened", "closed:quiet", "opened"]


def test_a_stream_that_ended_and_came_back_has_no_cool_down(story):
    story.at(1).alarm().at(5).calm().at(6)
    story.desk.ended(LOBBY)
    story.fresh().at(7).alarm(facts=other(session="s2"))
    assert story.heard == ["opened", "closed:quiet", "opened"]


def dark() -> Story:
    return Story(rule("dark", Severity.LOW, Kind.EVASION, cooldown_s=600.0))


def test_a_sign_of_evasion_cools_down_over_ends_so_that_reconnecting_repeats_nothing():
    story = dark()
    for second in range(0, 700, 25):
        story.fresh("dark").at(second).alarm("dark").at(second + 5)
        story.desk.ended(LOBBY)
    assert story.heard == ["opened", "closed:ended"] * 2, "and again after ten minutes"
    story = dark()
    story.at(1).alarm("dark").at(5).calm("dark").at(20)
    story.desk.ended(LOBBY)
    story.fresh("dark").at(30).alarm("dark")
    assert story.heard == ["opened", "closed:quiet"]
    assert story.desk.held == {"cooldown": 1}


def test_the_cool_down_of_a_sign_that_ended_with_its_stream_goes_on_after_a_restart():
    story = dark()
    story.at(1).alarm("dark").at(5)
    story.desk.ended(LOBBY)
    story.at(30).restart().at(40).alarm("dark").at(604).alarm("dark")
    assert story.heard == ["opened", "closed:ended"]
    story.at(605).alarm("dark")
    assert story.heard[-1] == "opened"


def test_watchers_are_told_where_rules_stand(story):
    assert story.desk.standing_of(LOBBY) == ()
    story.at(1).alarm()
    assert story.desk.take_restanding() == {LOBBY}
    assert story.desk.take_restanding() == frozenset()
    assert story.desk.standing_of(LOBBY) == (Standing("nudity", open=True),)
    story.at(5).calm()
    assert story.desk.take_restanding() == {LOBBY}
    assert story.desk.standing_of(LOBBY) == (Standing("nudity", open=False, cooldown_until=story.start + 65),)
    story.at(100)
    assert story.desk.standing_of(LOBBY) == (Standing("nudity", open=False),)


# --- verdicts --------------------------------------------------------------------------------------------------------


def test_a_dismissal_closes_and_cools_down(story):
    story.at(1).alarm().at(3)
    assert story.says("dismiss", note="a painting").result == "done"
    assert story.heard == ["opened", "closed:verdict"]
    assert story.last["human"]["note"] == "a painting"
    story.at(4).still().fresh().at(30).alarm()
    assert story.heard == ["opened", "closed:verdict"]
    story.at(64).alarm()
    assert story.heard == ["opened", "closed:verdict", "opened"]


@pytest.mark.parametrize("name", ["urgent", "known"])
def test_the_gravest_take_two_people_to_dismiss(story, name):
    story.at(1).alarm(name).at(2)
    first = story.says("dismiss", "ann")
    assert (first.result, first.seq) == ("proposed_dismissal", 2)
    assert story.last["human"]["verdict"] == "proposed_dismissal"
    again = story.says("dismiss", "ann")
    assert again.result == "refused"
    assert "different person" in again.why
    assert story.says("dismiss", "  ANN ").result == "refused", "a doubt must not dismiss"
    assert story.heard == ["opened", "updated"]
    second = story.says("dismiss", "bob")
    assert (second.result, second.seq) == ("done", 3)
    assert story.heard == ["opened", "updated", "closed:verdict"]


def test_without_a_name_nobody_is_a_second_person(story):
    story.at(1).alarm("urgent")
    assert story.says("dismiss", "").result == "refused"
    story.says("dismiss", "ann")
    assert story.says("dismiss", "").result == "refused"


def test_reminders_go_on_while_a_dismissal_waits_for_the_second_person(story):
    story.at(0).alarm("urgent").at(10).says("acknowledge")
    story.at(100).says("dismiss", "ann")
    assert story.heard == ["opened", "updated", "updated"]
    assert story.at(130).heard[-1] == "reminder"


def test_a_proposal_survives_a_restart(story):
    story.at(0).alarm("urgent").at(10).says("dismiss", "ann")
    story.restart()
    assert story.says("dismiss", "ann").result == "refused"
    assert story.says("dismiss", "bob").result == "done"


def test_a_confirmation_ends_a_proposal(story):
    story.at(0).alarm("urgent").at(10).says("dismiss", "ann")
    story.says("confirm", "bob")
    assert story.says("dismiss", "cid").result == "proposed_dismissal"


def test_an_acknowledgement_does_not_wipe_out_a_weightier_word(story):
    story.at(0).alarm("urgent").says("escalate", "ann")
    assert story.says("acknowledge", "bob").result == "done"
    assert story.last["human"]["verdict"] == "escalate"


def test_what_people_dismissed_together_does_not_come_back_by_a_late_report(story):
    story.at(1).alarm("urgent").at(2).says("dismiss", "ann")
    story.says("dismiss", "bob")
    story.still("urgent").at(3).still("urgent")
    assert story.heard[-1] == "closed:verdict"
    assert story.desk.held == {"judged": 2}
    story.fresh("urgent").at(4).alarm("urgent")
    assert story.heard[-1] == "opened", "new evidence is a new alert, at once"


def test_evidence_that_goes_on_long_after_a_close_opens_even_if_its_first_hits_are_old(story):
    """A watcher that never heard of the close must not mean silence for ever."""
    story.at(1).alarm("urgent").at(2).says("dismiss", "ann")
    story.says("dismiss", "bob")
    story.at(8).alarm("urgent")
    assert story.heard[-1] == "closed:verdict"
    story.at(13).alarm("urgent")
    assert story.heard[-1] == "opened"


def test_a_closed_alert_can_be_reopened_and_closes_only_after_it_alarmed_again(story):
    story.at(1).alarm().at(3).says("dismiss")
    answer = story.says("reopen", "bob")
    assert (answer.result, answer.seq) == ("done", 3)
    assert story.heard == ["opened", "closed:verdict", "updated"]
    assert "close_reason" not in story.last
    assert story.desk.standing_of(LOBBY) == (Standing("nudity", open=True),)
    assert story.at(4).calm().heard[-1] == "updated", "a late word from before"
    assert story.at(5).alarm().at(40).calm().heard[-1] == "closed:quiet"


def test_reopening_beside_an_open_alert_is_refused(story):
    story.at(1).alarm().at(3).says("dismiss")
    old = story.last["alert_id"]
    story.fresh().at(70).alarm()
    answer = story.says("reopen", alert_id=old)
    assert answer.result == "refused"
    assert "another alert" in answer.why


def test_a_closed_alert_can_still_be_confirmed(story):
    story.at(1).alarm().at(3).calm()
    assert story.says("confirm").result == "done"
    assert story.heard == ["opened", "closed:quiet", "updated"]
    assert story.last["close_reason"] == "quiet"
    assert story.desk.open_alerts == ()
    assert story.ledger.alerts() == []


def test_dismissing_what_closed_quietly_begins_a_cool_down(story):
    story.at(1).alarm().at(3).calm().at(100).says("dismiss")
    assert story.last["event"] == "updated"
    story.at(101).alarm()
    assert story.desk.held == {"cooldown": 1}


def test_what_is_dismissed_is_dismissed(story):
    story.at(1).alarm().says("dismiss")
    assert story.says("dismiss", "bob").why == "already dismissed"


def test_a_verdict_on_nothing_is_refused(story):
    answer = story.says("confirm", alert_id="0" * 26)
    assert (answer.result, answer.why) == ("refused", "no such alert")


# --- tests are tests -------------------------------------------------------------------------------------------------


def test_a_test_hit_beside_a_real_one_hides_and_delays_nothing(story):
    story.at(1).alarm("card").alarm().at(2).calm("card")
    assert story.heard == ["opened", "opened", "closed:quiet"]
    assert [event.severity for event in story.ledger.events] == ["test", "high", "test"]
    assert story.documents[1]["kind"] == "classifier"


def test_where_tests_do_not_count_one_word_in_ten_minutes_informs(story):
    silent = other(tests=False)
    story.at(1).alarm("card", facts=silent)
    assert story.last["trace"]["informational"] is True
    for second in range(2, 100):
        story.at(second).alarm("card", facts=silent)
    story.calm("card", facts=silent)
    assert story.heard == ["opened", "closed:quiet"]
    story.fresh("card").at(590).alarm("card", facts=silent)
    assert story.heard == ["opened", "closed:quiet"]
    assert story.desk.held["informational"] == 1
    story.at(602).alarm("card", facts=silent)
    assert story.heard == ["opened", "closed:quiet", "opened"]


def test_the_informational_limit_outlives_a_restart(story):
    silent = other(tests=False)
    story.at(1).alarm("card", facts=silent).at(5).calm("card", facts=silent)
    story.restart().at(100).alarm("card", facts=silent)
    assert story.heard == ["opened", "closed:quiet"]


def test_where_tests_count_a_test_alert_says_nothing_special(story):
    story.at(1).alarm("card")
    assert "informational" not in story.last["trace"]


# --- a wall clock that somebody sets ---------------------------------------------------------------------------------

HOUR_S = 3600.0


@pytest.mark.parametrize("set_s", [HOUR_S, -HOUR_S])
def test_a_clock_that_is_set_holds_no_new_alarm_back(story, set_s):
    story.at(1).alarm("urgent").at(2).calm("urgent")
    story.clock.set_s = set_s
    assert story.at(3).alarm("urgent").heard == ["opened", "closed:quiet", "opened"]


@pytest.mark.parametrize("set_s", [HOUR_S, -HOUR_S])
def test_nor_one_after_a_restart(story, set_s):
    story.at(1).alarm("urgent").at(2).calm("urgent")
    story.says("acknowledge")
    story.clock.set_s = set_s
    assert story.restart().at(3).alarm("urgent").heard == ["opened", "closed:quiet", "updated", "opened"]


@pytest.mark.parametrize("set_s", [HOUR_S, -HOUR_S])
def test_what_was_judged_stays_judged_although_the_clock_was_set(story, set_s):
    story.at(1).alarm("urgent").at(2).calm("urgent")
    story.clock.set_s = set_s
    story.at(3).still("urgent", ago=2.5)
    assert story.heard == ["opened", "closed:quiet"]
    assert story.desk.held == {"judged": 1}


@pytest.mark.parametrize("set_s", [HOUR_S, -HOUR_S])
def test_hits_go_on_being_said_although_the_clock_was_set(story, set_s):
    story.at(1).alarm()
    story.clock.set_s = set_s
    story.at(12).alarm()
    assert story.heard == ["opened", "updated"]
    assert story.last["last_seen"]["media_s"] == 12.0


@pytest.mark.parametrize("set_s", [HOUR_S, -HOUR_S])
def test_a_mute_lasts_as_long_as_it_was_given_although_the_clock_was_set(story, set_s):
    story.desk.mute(stream=LOBBY, rule="nudity", for_s=100)
    story.clock.set_s = set_s
    assert story.at(99).alarm().heard == []
    assert story.at(101).alarm().heard == ["opened"]


def test_a_restart_before_the_clock_was_set_back_makes_no_mute_longer_than_an_hour(story):
    story.desk.mute(stream=LOBBY, rule="nudity", for_s=HOUR_S)
    story.clock.set_s = -HOUR_S
    story.restart()
    assert story.at(HOUR_S - 1).alarm().heard == []
    assert story.at(HOUR_S + 1).alarm().heard == ["opened"]


# --- mutes -----------------------------------------------------------------------------------------------------------


def test_a_mute_keeps_new_alerts_closed_until_it_ends(story):
    assert story.desk.mute(stream=LOBBY, rule="nudity", for_s=100, moderator="ann").result == "done"
    assert story.desk.take_restanding() == {LOBBY}
    assert story.desk.standing_of(LOBBY) == (Standing("nudity", open=False, cooldown_until=story.start + 100),)
    story.at(50).alarm()
    story.at(99).alarm()
    assert story.heard == []
    assert story.desk.held == {"muted": 2}
    assert story.at(101).alarm().heard == ["opened"]


def test_a_mute_of_a_whole_stream_leaves_urgent_and_known_content_alone(story):
    story.desk.mute(stream=LOBBY, for_s=100)
    story.at(1).alarm().alarm("low").alarm("urgent").alarm("known")
    assert story.heard == ["opened", "opened"]


@pytest.mark.parametrize(
    ("name", "for_s", "why"),
    [("urgent", 10, "cannot be muted"), ("known", 10, "cannot be muted"), ("none", 10, "no such rule"),
     ("nudity", 3601, "at most"), ("nudity", 0, "at most")],
)  # fmt: skip
def test_mutes_have_bounds(story, name, for_s, why):
    answer = story.desk.mute(stream=LOBBY, rule=name, for_s=for_s)
    assert answer.result == "refused"
    assert why in answer.why


def test_a_mute_survives_a_restart_and_its_end_is_kept(story):
    story.desk.mute(stream=LOBBY, rule="nudity", for_s=100)
    story.at(10).restart().at(50).alarm()
    assert story.heard == []
    assert story.at(101).alarm().heard == ["opened"]


def test_a_mute_does_not_touch_an_open_alert(story):
    story.at(1).alarm()
    story.desk.mute(stream=LOBBY, for_s=1000)
    story.at(12).alarm().at(20).calm()
    assert story.heard == ["opened", "updated", "closed:quiet"]


# --- restart and refusing disks --------------------------------------------------------------------------------------


def test_an_open_alert_is_the_same_alert_after_a_restart(story):
    story.at(1).alarm(score=0.9).at(5).restart()
    assert story.heard == ["opened"]
    assert story.desk.standing_of(LOBBY) == (Standing("nudity", open=True),)
    story.at(20).alarm(score=0.85)
    assert story.heard == ["opened", "updated"]
    assert [document["seq"] for document in story.documents] == [1, 2]
    assert story.last["boot_id"] == "boot-2"
    assert story.last["score"] == 0.9
    assert story.last["first_seen"] == story.documents[0]["first_seen"]
    assert story.last["alert_id"] == story.documents[0]["alert_id"]


def test_a_restored_watcher_that_has_seen_nothing_yet_changes_nothing(story):
    story.at(1).alarm().at(5).restart()
    story.desk.observe(FACTS, Decision("nudity", Level.ALARM, 0.5, 0.0))
    assert story.heard == ["opened"]


def test_alerts_of_streams_that_are_gone_close_at_the_restart(story):
    story.at(1).alarm().alarm(facts=other(id=StreamId("bar"))).at(5).restart({LOBBY})
    assert story.heard == ["opened", "opened", "closed:restart"]
    assert story.last["stream"]["id"] == "bar"


def test_where_streams_are_not_known_yet_nothing_closes_until_they_are(story):
    story.at(1).alarm().restart(None)
    assert story.heard == ["opened"]
    story.desk.close_unknown({StreamId("bar")})
    assert story.heard == ["opened", "closed:restart"]


def test_a_cool_down_goes_on_after_a_restart(story):
    story.at(1).alarm().at(5).calm().at(30).restart()
    assert story.desk.standing_of(LOBBY)[0].cooldown_until == pytest.approx(story.start + 65)
    story.at(40).alarm()
    assert story.heard == ["opened", "closed:quiet"]


def test_what_was_confirmed_is_told_again_when_it_returns_after_a_restart(story):
    story.at(1).alarm().at(5).calm()
    story.says("confirm")
    story.at(30).restart().at(40).alarm()
    assert story.heard[-1] == "opened"


def test_acknowledgements_survive_a_restart(story):
    story.at(0).alarm("urgent").at(1).says("acknowledge")
    story.restart().at(500)
    assert "reminder" not in story.heard


def test_reminders_go_on_after_a_restart(story):
    story.at(0).alarm("urgent").at(10).restart().at(40)
    assert story.heard == ["opened", "reminder"]


def test_resync_says_every_open_alert_again_with_a_new_number(story):
    story.at(1).alarm().alarm("urgent").at(2)
    assert story.desk.resync() == 2
    assert story.heard == ["opened", "opened", "updated", "updated"]
    assert [document["seq"] for document in story.documents] == [1, 1, 2, 2]


def test_a_disk_that_refuses_opens_nothing_and_the_next_report_does(story):
    story.at(1)
    story.ledger.broken = True
    with pytest.raises(LedgerError):
        story.alarm()
    assert story.desk.open_alerts == ()
    story.ledger.broken = False
    assert story.still().heard == ["opened"]


def test_a_disk_that_refuses_a_close_is_tried_again_by_the_clock(story):
    story.at(1).alarm().alarm("urgent")
    story.ledger.broken = True
    with pytest.raises(LedgerError):
        story.desk.ended(LOBBY)
    assert len(story.desk.open_alerts) == 2
    story.ledger.broken = False
    story.at(2)
    assert story.heard == ["opened", "opened", "closed:ended", "closed:ended"]
    assert [document["seq"] for document in story.documents] == [1, 1, 2, 2]


def test_a_disk_that_refuses_a_mute_leaves_no_mute(story):
    story.ledger.broken = True
    with pytest.raises(LedgerError):
        story.desk.mute(stream=LOBBY, for_s=100)
    story.ledger.broken = False
    assert story.at(1).alarm().heard == ["opened"]


def test_an_unreadable_document_in_the_ledger_stops_nothing(story):
    story.at(1).alarm().alarm("urgent")
    [spoiled, *_] = story.ledger._alerts.values()
    object.__setattr__(spoiled, "document", "{}")
    story.restart()
    assert len(story.desk.open_alerts) == 1


# --- rules that change -----------------------------------------------------------------------------------------------


def test_levels_of_unknown_rules_are_ignored(story):
    assert story.at(1).alarm("nobody").heard == []


def test_an_open_alert_outlives_its_rule_until_the_stream_ends(story):
    story.at(1).alarm()
    story.desk.configure([one for one in RULES if one.spec.name != "nudity"])
    story.at(2).alarm().calm()
    assert story.heard == ["opened"]
    story.desk.ended(LOBBY)
    assert story.heard == ["opened", "closed:ended"]


def test_the_document_names_rule_model_and_stream(story):
    story.at(1).alarm()
    document = AlertDocument.decode(story.ledger.events[0].body)
    assert document.detector.model_dump() == {"name": "det", "version": "1.2", "sha256": "ab" * 32}
    assert document.stream.watch_url == "https://v/lobby"
    assert document.trace.model_dump(exclude_defaults=True) == {
        "open_score": 0.8, "hits": 2, "within_s": 10.0, "confirmed_by": "looks",
    }  # fmt: skip
    assert document.kind is Kind.CLASSIFIER
    assert document.severity is Severity.HIGH
    assert document.latency_ms is None
    assert document.human is None


def test_a_signal_that_comes_while_an_alert_is_open_stands_in_its_next_event_and_stays_when_it_is_withdrawn(story):
    said = RiskSignal("chat", 0.6, "words that groomers use", story.clock.now())
    story.at(1).alarm().at(2).alarm(facts=other(signals=(said,)))
    assert story.heard == ["opened"], "a signal is no event"
    story.at(3).alarm().says("acknowledge")
    assert [one["source"] for one in story.last["trace"]["signals"]] == ["chat"]
    assert "signals" not in story.documents[0]["trace"]


def test_a_signal_opens_nothing(story):
    story.at(1).calm(facts=other(signals=(RiskSignal("chat", 1.0, "reported", story.clock.now()),)))
    assert story.heard == []


def test_a_rule_with_no_cool_down_reopens_at_once():
    story = Story(rule(cooldown_s=0.0))
    story.at(1).alarm().at(2).calm().at(3).alarm()
    assert story.heard == ["opened", "closed:quiet", "opened"]
    assert RULES[0].detector == DetectorFacts("det", "1.2", "ab" * 32)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("alarm"), st.sampled_from(["nudity", "urgent", "card"])),
        st.tuples(st.just("still"), st.sampled_from(["nudity", "urgent", "card"])),
        st.tuples(st.just("calm"), st.sampled_from(["nudity", "urgent", "card"])),
        st.tuples(st.just("says"), st.sampled_from(["acknowledge", "confirm", "dismiss", "reopen", "escalate"])),
        st.tuples(st.just("ended"), st.none()),
        st.tuples(st.just("restart"), st.none()),
        st.tuples(st.just("refuse"), st.none()),
        st.tuples(st.just("wait"), st.sampled_from([1, 9, 40, 200])),
    ),
    max_size=40,
)


@given(STEPS)
@settings(max_examples=150, deadline=None)
def test_whatever_happens_the_ledger_tells_a_whole_story(steps):
    story = Story()
    for what, which in steps:
        second = story.second + (which if what == "wait" else 0.3)
        story.ledger.broken = False
        story.at(second)
        story.ledger.broken = what == "refuse"
        try:
            take(story, what, which)
        except LedgerError:
            assert what == "refuse"
    story.ledger.broken = False
    by_alert: dict[str, list[dict]] = {}
    for document in story.documents:
        by_alert.setdefault(document["alert_id"], []).append(document)
    for documents in by_alert.values():
        assert [document["seq"] for document in documents] == list(range(1, len(documents) + 1))
        assert documents[0]["event"] == "opened"
        assert all(document["event"] != "opened" for document in documents[1:])
        scores = [document["score"] for document in documents]
        assert scores == sorted(scores)
    keys = [(alert.stream, alert.rule) for alert in story.ledger.alerts()]
    assert len(keys) == len(set(keys)), "one open alert per stream and rule"
    assert {alert.id for alert in story.desk.open_alerts} == {alert.id for alert in story.ledger.alerts()}


def take(story: Story, what: str, which: str | None) -> None:
    match what:
        case "alarm":
            story.alarm(which)
        case "still":
            story.still(which)
        case "calm":
            story.calm(which)
        case "refuse":
            story.alarm("nudity", score=0.99)
        case "says" if story.ledger.events:
            story.says(which, who=f"person-{len(story.ledger.events)}")
        case "ended":
            story.desk.ended(LOBBY)
        case "restart":
            story.restart()
