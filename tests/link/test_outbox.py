"""What waits for a slow reader: the newest levels, every alarm, a bounded number of samples."""

from __future__ import annotations

import pytest

from streamwatch.domain.decisions import Level
from streamwatch.domain.errors import LinkStalled
from streamwatch.link.messages import Demand, Failed, Message, Release, Restand
from streamwatch.link.outbox import Outbox
from tests.link.examples import assign, beat, rule_level, sampled, stream_level


def taken(outbox: Outbox) -> list[Message]:
    messages = []
    while (message := outbox.pop()) is not None:
        messages.append(message)
    return messages


def filled(*messages: Message, **bounds: int) -> Outbox:
    outbox = Outbox(**bounds)
    for message in messages:
        outbox.put(message)
    return outbox


def test_messages_leave_in_the_order_in_which_they_came():
    messages = [stream_level("a"), sampled("a"), rule_level(stream="a"), beat(), Failed(what="bug", detail="")]
    assert taken(filled(*messages)) == messages


def test_a_newer_level_takes_the_place_of_the_older_one():
    newer = stream_level("a", live=False)
    outbox = filled(stream_level("a"), stream_level("b"), newer)
    assert outbox.statistics().coalesced == 1
    assert taken(outbox) == [newer, stream_level("b")]


def test_a_level_that_changes_all_the_time_still_gets_its_turn():
    outbox = filled(stream_level("a"), *(sampled(str(n)) for n in range(5)))
    outbox.put(stream_level("a", live=False))
    assert outbox.pop() == stream_level("a", live=False)


def test_an_alarm_is_not_replaced_by_the_calm_after_it():
    alarm, calm = rule_level(Level.ALARM, score=0.9), rule_level(Level.CALM)
    assert taken(filled(alarm, rule_level(Level.SUSPECTED), calm)) == [alarm, calm]


def test_the_newest_word_stays_last_when_an_alarm_follows_a_calm():
    older, newer = rule_level(Level.ALARM, score=0.8), rule_level(Level.ALARM, score=0.9)
    assert taken(filled(older, rule_level(Level.CALM), newer)) == [newer]


def test_an_alarm_of_the_next_session_does_not_hide_the_one_of_the_last():
    first, second = rule_level(Level.ALARM, session="s1"), rule_level(Level.ALARM, session="s2")
    assert taken(filled(first, rule_level(Level.CALM, session="s2"), second)) == [first, second]


def test_levels_of_different_rules_and_streams_are_different_things():
    messages = [rule_level(rule="x"), rule_level(rule="y"), rule_level(rule="x", stream="b")]
    assert taken(filled(*messages)) == messages


def test_the_oldest_samples_are_dropped_and_counted():
    outbox = filled(*(sampled(str(n)) for n in range(10)), max_samples=4)
    assert outbox.statistics().dropped == 6
    assert [message.stream for message in taken(outbox) if hasattr(message, "stream")] == ["6", "7", "8", "9"]


def test_a_sample_once_sent_no_longer_counts():
    outbox = Outbox(max_samples=2)
    for n in range(10):
        outbox.put(sampled(str(n)))
        outbox.pop()
    assert outbox.statistics().dropped == 0


def test_a_release_makes_everything_before_it_worthless():
    release = Release(stream="a")
    outbox = filled(
        assign("a"), Restand(stream="a", standing=()), Demand(stream="a", suspicion=1), assign("b"), release
    )
    assert taken(outbox) == [assign("b"), release]


def test_a_stream_assigned_again_is_first_released():
    release, again = Release(stream="a"), assign("a", epoch=2)
    assert taken(filled(release, again)) == [release, again]
    restand = Restand(stream="a", standing=())
    assert taken(filled(assign("a"), restand, again, restand)) == [again, restand]


def test_an_outbox_that_nobody_empties_gives_up():
    outbox = filled(*(stream_level(str(n)) for n in range(5)), max_waiting=5)
    outbox.put(stream_level("4", live=False))
    with pytest.raises(LinkStalled):
        outbox.put(stream_level("5"))
