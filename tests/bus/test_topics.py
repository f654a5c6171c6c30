from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.bus.topics import CommandTopic, SignalTopic, StateTopic, Topics, matches
from streamwatch.domain.streams import topic_sid

TOPICS = Topics("streamwatch/v1", "edge-1")
P = "streamwatch/v1/edge-1"


def test_every_topic_of_the_interface():
    assert TOPICS.status == f"{P}/status"
    assert TOPICS.coverage == f"{P}/coverage"
    assert TOPICS.state("lobby") == f"{P}/streams/lobby/state"
    assert TOPICS.alerts("lobby") == f"{P}/streams/lobby/alerts"
    assert TOPICS.tests("lobby") == f"{P}/streams/lobby/tests"
    assert TOPICS.breaches("lobby") == f"{P}/streams/lobby/breaches"
    assert TOPICS.reply("ping") == f"{P}/replies/ping"
    assert TOPICS.escalations == f"{P}/escalations"
    assert TOPICS.audit == f"{P}/audit"


@pytest.mark.parametrize(
    ("topic", "meaning"),
    [
        (f"{P}/commands/verdict", CommandTopic("verdict", None)),
        (f"{P}/commands/verdict/mod-7", CommandTopic("verdict", "mod-7")),
        (f"{P}/commands/verdict/Jo Å@x", CommandTopic("verdict", "Jo Å@x")),
        (f"{P}/commands/no_such", CommandTopic("no_such", None)),
        (f"{P}/signals/chat-filter", SignalTopic("chat-filter")),
        (f"{P}/streams/a%20b/state", StateTopic("a%20b")),
    ],
)
def test_what_is_ours_is_understood(topic, meaning):
    assert TOPICS.parse(topic) == meaning


@pytest.mark.parametrize(
    "topic",
    [
        "", "streamwatch/v1/edge-2/commands/ping", "streamwatch/v1/edge-10/commands/ping", f"{P}", f"{P}/commands",
        f"{P}/commands/", f"{P}/commands/ping/", f"{P}/commands/ping/a/b", f"{P}/commands/pi ng", f"{P}/commands/+",
        f"{P}/commands/{'x' * 65}", f"{P}/commands/ping/{'x' * 129}", f"{P}/commands/ping/a\nb",
        f"{P}/signals/", f"{P}/streams//state", f"{P}/streams/a b/state", f"{P}/status",
    ],
)  # fmt: skip
def test_what_is_not_ours_or_malformed_is_nothing(topic):
    assert TOPICS.parse(topic) is None


@pytest.mark.parametrize(
    ("prefix", "node"),
    [("", "n"), ("a//b", "n"), ("/a", "n"), ("a/", "n"), ("a/+", "n"), ("a/#", "n"), ("$SYS", "n"), ("a\x00", "n"),
     ("a", ""), ("a", "b/c"), ("a", "x" * 65), ("a", "ä")],
)  # fmt: skip
def test_a_prefix_or_node_that_would_break_topics_is_refused(prefix, node):
    with pytest.raises(ValueError, match="not a"):
        Topics(prefix, node)


@given(st.text(min_size=1))
def test_any_stream_has_topics_that_lead_back_to_it(name):
    sid = topic_sid(name)
    assert TOPICS.parse(TOPICS.state(sid)) == StateTopic(sid)


def test_a_sid_that_was_not_made_for_topics_is_refused():
    with pytest.raises(ValueError, match="topic id"):
        TOPICS.alerts("a/b")


@pytest.mark.parametrize(
    ("topic", "may"),
    [
        ("tool/7/answers", True), (f"{P}/replies/ping", True), ("", False), ("tool/#", False), ("tool/+", False),
        ("$SYS/x", False), (f"{P}/streams/lobby/alerts", False), (f"{P}/status", False),
        ("streamwatch/v1/edge-2/commands/verdict", False), ("x" * 1025, False),
    ],
)  # fmt: skip
def test_nobody_can_make_us_speak_on_our_own_topics(topic, may):
    assert TOPICS.may_answer(topic) is may


@pytest.mark.parametrize(
    ("topic_filter", "topic", "does"),
    [
        ("a/b", "a/b", True), ("a/+", "a/b", True), ("a/+", "a/b/c", False), ("a/#", "a/b/c", True), ("a/#", "a", True),
        ("#", "a/b", True), ("+/b", "a/b", True), ("+", "a/b", False), ("#", "$SYS/x", False), ("a/b", "a/bc", False),
        ("$SYS/#", "$SYS/x", True), ("a/+/c", "a//c", True),
    ],
)  # fmt: skip
def test_filters_match_as_in_mqtt(topic_filter, topic, does):
    assert matches(topic_filter, topic) is does
