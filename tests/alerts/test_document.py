from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streamwatch.alerts import document as documents
from streamwatch.alerts.base import RiskSignal
from streamwatch.alerts.document import AlertDocument, with_latency
from streamwatch.alerts.parts import Human
from streamwatch.alerts.ulid import PATTERN, Ulids
from streamwatch.domain.decisions import Decision, Hit, Level
from streamwatch.domain.media import Aim
from tests.fakes.clock import FakeClock
from tests.fakes.desk import FACTS, other, rule

AT = datetime(2026, 11, 21, 10, 0, 0, 120_000, tzinfo=UTC)
HIT = Hit(at=AT, arrival=5.0, media_s=812.4, score=0.95)
DECISION = Decision("nudity", Level.ALARM, 0.5, 0.97, hits=(HIT,), first_seen=HIT, last_seen=HIT)


def opened(facts=FACTS, decision=DECISION, a_rule=None) -> AlertDocument:
    return documents.opened(
        alert_id="01KAJ5V8Z0AAAAAAAAAAAAAAAA", node="edge-1", boot_id="b", rule=a_rule or rule(), facts=facts,
        decision=decision, at=AT,
    )  # fmt: skip


def test_the_document_is_the_one_of_the_interface():
    assert json.loads(opened().encode()) == {
        "schema": "streamwatch.alert/1",
        "alert_id": "01KAJ5V8Z0AAAAAAAAAAAAAAAA",
        "event": "opened",
        "seq": 1,
        "boot_id": "b",
        "node": "edge-1",
        "severity": "high",
        "rule": "nudity",
        "label": "nsfw",
        "kind": "classifier",
        "stream": {
            "id": "lobby",
            "name": "Lobby",
            "origin": "static",
            "session": "s1",
            "watch_url": "https://v/lobby",
        },
        "still_live": True,
        "first_seen": {"at": "2026-11-21T10:00:00.120Z", "media_s": 812.4},
        "last_seen": {"at": "2026-11-21T10:00:00.120Z", "media_s": 812.4},
        "score": 0.97,
        "evidence": [{"at": "2026-11-21T10:00:00.120Z", "media_s": 812.4, "score": 0.95, "look": "key"}],
        "trace": {"open_score": 0.8, "hits": 2, "within_s": 10.0, "confirmed_by": "looks"},
        "detector": {"name": "det", "version": "1.2", "sha256": "ab" * 32},
        "preserve": {
            "from": "2026-11-21T09:59:30.120Z",
            "to": "2026-11-21T10:00:10.120Z",
            "from_media_s": 782.4,
            "to_media_s": 822.4,
            "pre_roll_s": 30.0,
            "deadline": "2026-11-21T10:05:00.120Z",
            "state": "asked",
        },
        "latency_ms": None,
        "human": None,
    }


def test_the_trace_says_whether_the_look_back_confirmed_it_and_each_line_how_it_was_seen():
    back = replace(HIT, look=Aim.BACK, media_s=811.0)
    document = json.loads(opened(decision=replace(DECISION, hits=(HIT, back))).encode())
    assert document["trace"]["confirmed_by"] == "look-back"
    assert [line["look"] for line in document["evidence"]] == ["key", "back"]
    inner = replace(HIT, look=Aim.INNER)
    assert opened(decision=replace(DECISION, hits=(HIT, inner))).trace.confirmed_by == "looks"
    assert "confirmed_by" not in json.loads(opened(decision=replace(DECISION, hits=())).encode())["trace"]


def test_a_document_of_an_earlier_version_can_be_read():
    data = json.loads(opened().encode())
    del data["trace"]["confirmed_by"], data["evidence"][0]["look"]
    again = AlertDocument.decode(json.dumps(data))
    assert json.loads(again.encode()) == data


def signal(source="chat", strength=0.5, because="words that groomers use", ago=0.0) -> RiskSignal:
    return RiskSignal(source, strength, because, AT - timedelta(seconds=ago))


def test_the_trace_names_the_strongest_signals_that_stood():
    signals = tuple(signal(f"s{n}", n / 10) for n in range(9))
    document = json.loads(opened(other(signals=signals)).encode())
    assert [(one["source"], one["strength"]) for one in document["trace"]["signals"]] == [
        ("s8", 0.8), ("s7", 0.7), ("s6", 0.6), ("s5", 0.5),
    ]  # fmt: skip
    assert document["trace"]["signals"][0]["because"] == "words that groomers use"
    assert document["trace"]["signals"][0]["at"] == "2026-11-21T10:00:00.120Z"


def test_signals_told_stay_and_are_told_in_their_newest_form():
    told = documents.merged((), [signal("chat", 0.9, ago=60), signal("report", 0.2)])
    later = documents.merged(told, [signal("chat", 0.4, "calmer")])
    assert [(one.source, one.strength, one.because[:6]) for one in later] == [
        ("chat", 0.4, "calmer"), ("report", 0.2, "words "),
    ]  # fmt: skip
    assert documents.merged(later, []) == later


def test_what_is_encoded_can_be_read_back():
    document = opened(other(signals=(signal(),)))
    assert AlertDocument.decode(document.encode()) == document


def test_a_member_that_nobody_knows_is_refused():
    data = {**json.loads(opened().encode()), "thumbnail": "…"}
    with pytest.raises(ValidationError, match="thumbnail"):
        AlertDocument.decode(json.dumps(data))


def test_the_schema_closes_every_object():
    schema = documents.schema()
    parts = [schema, *schema["$defs"].values()]
    assert all(part["additionalProperties"] is False for part in parts if part["type"] == "object")
    assert "close_reason" not in schema["required"]
    assert {"signals", "confirmed_by"}.isdisjoint(schema["$defs"]["Trace"]["required"])
    assert {"schema", "alert_id", "event", "seq", "preserve", "latency_ms", "human"} <= set(schema["required"])


def test_the_words_are_neutral():
    words = json.dumps(documents.schema()).lower() + opened().encode().lower()
    assert not re.search(r"\b(offender|suspect|victim|minor|child|age)\b", words)


def test_latency_is_set_once_and_for_ever():
    body = opened().encode()
    first = with_latency(body, 640)
    assert json.loads(first)["latency_ms"] == 640
    assert with_latency(first, 9999) == first
    assert {**json.loads(first), "latency_ms": None} == json.loads(body)


@pytest.mark.parametrize(("given_ms", "said"), [(-5, 0), (0, 0), (10**15, 10**12)])
def test_an_impossible_latency_stays_a_sensible_number(given_ms, said):
    assert json.loads(with_latency(opened().encode(), given_ms))["latency_ms"] == said


def test_a_long_link_is_left_out_rather_than_cut():
    assert opened(other(watch_url="https://v/" + "x" * 600)).stream.watch_url is None
    assert opened(other(watch_url="https://v/\u202eevil")).stream.watch_url is None
    assert opened(other(watch_url="")).stream.watch_url is None


def test_a_hidden_id_is_shown_in_its_keyed_form():
    assert opened(other(shown="0a1b")).stream.id == "0a1b"


def test_evidence_is_bounded_and_the_first_hits_stay():
    hits = tuple(Hit(AT + timedelta(seconds=n), 5.0 + n, float(n), 0.9) for n in range(50))
    document = opened(decision=Decision("nudity", Level.ALARM, 0.5, 0.97, hits, hits[0], hits[-1]))
    assert [line.media_s for line in document.evidence] == [float(n) for n in range(8)]
    assert document.last_seen.media_s == 49.0


def test_what_no_look_has_found_claims_none():
    hit = Hit(AT, 5.0, 5.0, 1.0, look=None)
    body = json.loads(opened(decision=Decision("nudity", Level.ALARM, 0.0, 1.0, (hit,), hit, hit)).encode())
    assert "look" not in body["evidence"][0]
    assert "confirmed_by" not in body["trace"]


def test_a_decision_without_frames_still_makes_a_document():
    document = opened(decision=Decision("nudity", Level.ALARM, 0.5, 0.9))
    assert document.first_seen == document.last_seen
    assert document.evidence == ()


NASTY = st.text(alphabet=st.sampled_from('a"\\\u202e\x00🎥\ud800é\n'), min_size=1, max_size=400)


@given(NASTY, NASTY, NASTY, st.integers(0, 20), NASTY)
def test_no_document_is_ever_larger_than_four_kilobytes_nor_holds_a_control_character(name, url, label, hits, note):
    shots = tuple(Hit(AT, 5.0, 123456.789, 0.123456) for _ in range(hits))
    a_rule = rule(label[:128])
    document = documents.opened(
        alert_id="01KAJ5V8Z0AAAAAAAAAAAAAAAA", node="n" * 64, boot_id=label, rule=a_rule,
        facts=other(id=name * 5, name=name * 5, origin=label, session=name, watch_url=url,
                    signals=tuple(signal(name[:n] + label[:20], n / 4, note * 3) for n in range(6))),
        decision=Decision("nudity", Level.ALARM, 0.5, 1.0000001, shots), at=AT,
    )  # fmt: skip
    human = Human(
        verdict="proposed_dismissal",
        moderator=documents.printable(name, 128),
        at="2026-11-21T10:00:00.120Z",
        note=documents.printable(note * 3, 500),
    )
    body = with_latency(document.revised(human=human, seq=10**9, close_reason="verdict").encode(), 10**12)
    assert len(body.encode()) <= 4096
    again = AlertDocument.decode(body)
    assert again.human is not None
    assert again.human.moderator == human.moderator, "the name decides who the second person is"
    assert not re.search(r"[\x00-\x1f\u202a-\u202e\ud800-\udfff]", again.stream.name + again.human.note)


def test_names_of_alerts_grow_whatever_the_clock_does():
    clock = FakeClock()
    ulids = Ulids(clock, randomness=lambda size: b"\xff" * size)
    names = [ulids.new() for _ in range(3)]
    clock.advance(-60)
    names.append(ulids.new())
    clock.advance(120)
    names.append(ulids.new())
    assert names == sorted(set(names))
    assert all(re.fullmatch(PATTERN, name) for name in names)


def test_the_name_of_an_alert_tells_when_it_was_made():
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    clock = FakeClock()
    millis = 0
    for char in Ulids(clock).new()[:10]:
        millis = millis * 32 + alphabet.index(char)
    assert millis == int(clock.now().timestamp() * 1000)
