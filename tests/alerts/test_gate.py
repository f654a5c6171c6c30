from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.alerts import commands
from streamwatch.alerts.base import Answer, Result
from streamwatch.alerts.commands import COMMANDS, Reply, VerdictCommand
from streamwatch.alerts.gate import (
    BURST,
    MAX_SENDERS,
    MAX_SOURCES,
    PER_S,
    SIGNALS_PER_S,
    Accepted,
    Answered,
    CommandGate,
    Refusal,
)
from streamwatch.domain.clock import rfc3339
from streamwatch.domain.errors import LedgerError
from tests.fakes.clock import FakeClock
from tests.fakes.ledger import FakeLedger

ALERT = "01KAJ5V8Z0AAAAAAAAAAAAAAAA"


class Door:
    """A gate with its clock and memory."""

    def __init__(self, *, identify: bool = True) -> None:
        self.clock = FakeClock()
        self.ledger = FakeLedger(self.clock)
        self.gate = CommandGate(seen=self.ledger, clock=self.clock, identify=identify)
        self.executed: list[Accepted] = []

    def payload(self, **fields: Any) -> bytes:
        return json.dumps({"request_id": "r1", "at": rfc3339(self.clock.now()), **fields}).encode()

    def knock_raw(self, verb, who, request_id):
        return self.gate.judge(verb=verb, who=who, payload=self.payload(request_id=request_id), retained=False)

    def knock(self, verb="ping", who=None, *, retained=False, payload=None, late=0.0, **fields: Any):
        if payload is None:
            body = {"request_id": "r1", "at": rfc3339(self.clock.now() - timedelta(seconds=late)), **fields}
            payload = json.dumps(body).encode()
        judged = self.gate.judge(verb=verb, who=who, payload=payload, retained=retained)
        if isinstance(judged, Answered):
            return json.loads(judged.reply), judged.refusal
        self.executed.append(judged)
        return json.loads(self.gate.answer(judged, Reply.to(judged.command, verb, Answer(Result.DONE)))), None


@pytest.fixture
def door():
    return Door()


SAMPLES = {
    "verdict": {"alert_id": ALERT, "verdict": "confirm",
                "viewed": [{"from": "2026-11-21T10:00:00Z", "to": "2026-11-21T10:00:05Z"}]},
    "boost": {"stream": "lobby"},
    "look": {"stream": "lobby"},
    "mute": {"stream": "lobby", "for_s": 60},
    "resync": {},
    "ping": {},
    "preserve_ack": {"alert_id": ALERT},
    "on_duty": {"for_s": 3600},
}  # fmt: skip


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_verb_is_accepted_once_and_answered_under_its_id(door, verb):
    reply, refusal = door.knock(verb, "ann", **SAMPLES[verb])
    assert (reply, refusal) == ({"request_id": "r1", "verb": verb, "result": "done"}, None)
    assert door.executed[0].who == "ann"


def test_the_same_command_again_gets_the_same_answer_and_is_not_executed_again(door):
    first = door.knock(at=rfc3339(door.clock.now()))
    at = rfc3339(door.clock.now())
    door.clock.advance(30)
    again = door.knock(at=at)
    assert again == first
    assert len(door.executed) == 1


def test_the_same_command_written_differently_is_the_same_command(door):
    at = rfc3339(door.clock.now())
    door.knock(payload=f'{{"request_id": "r1", "at": "{at}"}}'.encode())
    door.knock(payload=f'{{"at":"{at}","request_id":"r1"}}'.encode())
    assert len(door.executed) == 1


def test_the_same_answer_comes_even_when_the_command_is_stale_by_now(door):
    at = rfc3339(door.clock.now())
    door.knock(at=at)
    door.clock.advance(400)
    _, refusal = door.knock(at=at)
    assert refusal is None


@pytest.mark.parametrize(("verb", "who"), [("resync", "ann"), ("ping", "eve"), ("ping", None)])
def test_nobody_can_use_up_another_ones_request_id(door, verb, who):
    door.knock(verb, who)
    assert door.knock("ping", "ann")[1] is None
    assert len(door.executed) == 2


def test_the_same_id_for_another_body_is_refused(door):
    at = rfc3339(door.clock.now())
    door.knock("ping", "ann", at=at)
    reply, refusal = door.knock("ping", "ann", at=at, note="more")
    assert refusal is Refusal.REPLAYED
    assert (reply["request_id"], reply["result"]) == ("r1", "refused")
    assert len(door.executed) == 1


@pytest.mark.parametrize(("late", "fresh"), [(299, True), (301, False), (-299, True), (-301, False)])
def test_a_command_may_be_five_minutes_old_or_early(door, late, fresh):
    _, refusal = door.knock(late=late)
    assert refusal is (None if fresh else Refusal.STALE)


def test_a_retained_command_is_refused(door):
    _, refusal = door.knock(retained=True)
    assert refusal is Refusal.RETAINED


def test_an_oversized_command_is_refused_unread(door):
    reply, refusal = door.knock(payload=b'{"request_id": "r1"' + b" " * 4096)
    assert refusal is Refusal.OVERSIZED
    assert reply["request_id"] is None


def test_an_unknown_verb_is_told_which_are_known(door):
    reply, refusal = door.knock("self_destruct")
    assert refusal is Refusal.UNKNOWN_VERB
    assert "verdict" in reply["why"]


@pytest.mark.parametrize(
    ("payload", "request_id"),
    [
        (b"", None), (b"\xff\xfe", None), (b"[]", None), (b"null", None), (b"{", None), (b'{"request_id": NaN}', None),
        (b"[" * 4000, None), (b'{"request_id": "r9"}', "r9"),
        (b'{"request_id": 7, "at": "2026-11-21T10:00:00Z"}', None),
        (b'{"request_id": "", "at": "2026-11-21T10:00:00Z"}', ""), (b'{"request_id": "r9", "at": "yesterday"}', "r9"),
        (b'{"request_id": "r9", "at": "2026-11-21T10:00:00"}', "r9"), (b'{"request_id": "r9", "at": 1795255200}', "r9"),
        (b'{"request_id": "a\\nb", "at": "2026-11-21T10:00:00Z"}', None),
    ],
)  # fmt: skip
def test_a_malformed_command_is_refused_and_named_if_it_can_be(door, payload, request_id):
    reply, refusal = door.knock(payload=payload)
    assert refusal is Refusal.MALFORMED
    assert reply["request_id"] == request_id
    assert reply["why"]


@pytest.mark.parametrize(
    ("verb", "fields", "word"),
    [
        ("verdict", {"alert_id": "nope", "verdict": "confirm"}, "alert_id"),
        ("verdict", {"alert_id": ALERT, "verdict": "delete"}, "verdict"),
        ("verdict", {"alert_id": ALERT, "verdict": "confirm", "note": "x" * 501}, "note"),
        ("verdict", {"alert_id": ALERT, "verdict": "confirm", "viewed": [
            {"from": "2026-11-21T10:00:05Z", "to": "2026-11-21T10:00:00Z"}]}, "before"),
        ("boost", {"stream": "lobby", "suspicion": 2}, "suspicion"),
        ("boost", {"stream": "lobby", "for_s": 601}, "for_s"),
        ("boost", {"stream": ""}, "stream"),
        ("mute", {"stream": "lobby", "for_s": "60"}, "for_s"),
        ("mute", {"stream": "lobby", "for_s": 3601}, "for_s"),
        ("on_duty", {"for_s": 13 * 3600}, "for_s"),
    ],
)  # fmt: skip
def test_what_is_out_of_bounds_is_refused_by_name(door, verb, fields, word):
    reply, refusal = door.knock(verb, "ann", **fields)
    assert refusal is Refusal.MALFORMED
    assert word in reply["why"]


@pytest.mark.parametrize("verb", ["verdict", "mute", "on_duty"])
def test_what_needs_identity_is_refused_where_the_topic_names_nobody(door, verb):
    reply, refusal = door.knock(verb, None, moderator="ann", **SAMPLES[verb])
    assert refusal is Refusal.NO_IDENTITY
    assert f"commands/{verb}/{{who}}" in reply["why"]


def test_without_identification_the_payload_names_the_moderator():
    door = Door(identify=False)
    door.knock("verdict", None, moderator="ann", **SAMPLES["verdict"])
    assert door.executed[0].who == "ann"


@pytest.mark.parametrize("identify", [True, False])
def test_the_name_in_the_topic_wins_over_the_one_in_the_payload(identify):
    door = Door(identify=identify)
    door.knock("verdict", "ann", moderator="bob", **SAMPLES["verdict"])
    assert door.executed[0].who == "ann"


def test_fields_we_do_not_know_are_ignored(door):
    assert door.knock("look", stream="lobby", urgency="very")[1] is None


def test_refusals_are_counted_by_reason(door):
    door.knock(retained=True)
    door.knock(retained=True)
    door.knock("nothing")
    assert door.gate.refused == {Refusal.RETAINED: 2, Refusal.UNKNOWN_VERB: 1}


@pytest.mark.parametrize(("verb", "who"), [("ping", None), ("ping", "eve"), ("verdict", None), ("nonsense", None)])
def test_of_a_flood_only_so_many_are_answered_and_the_rest_counted(door, verb, who):
    for number in range(10 * BURST):
        door.knock_raw(verb, who, f"r{number}")
    assert door.gate.refused[Refusal.TOO_MANY] == 9 * BURST
    door.clock.advance(1)
    for number in range(BURST):
        door.knock_raw(verb, who, f"s{number}")
    assert door.gate.refused[Refusal.TOO_MANY] == 10 * BURST - PER_S


def test_a_flood_of_one_verb_hinders_no_other_and_never_a_person(door):
    for number in range(2 * BURST):
        door.knock_raw("ping", None, f"r{number}")
        door.knock_raw("verdict", None, f"r{number}")
    assert door.knock("look", stream="lobby")[1] is None
    for number in range(2 * BURST):
        assert door.knock("verdict", "ann", **{**SAMPLES["verdict"], "request_id": f"v{number}"})[1] is None


def test_a_named_sender_is_answered_while_others_or_nobody_in_particular_flood(door):
    for number in range(2 * BURST):
        door.knock_raw("boost", None, f"r{number}")
        door.knock_raw("boost", "eve", f"r{number}")
    assert door.knock("boost", "alice", stream="lobby")[1] is None
    assert door.knock_raw("boost", "eve", "r").refusal is Refusal.TOO_MANY


def test_a_name_that_nobody_vouches_for_has_no_pace_of_its_own():
    door = Door(identify=False)
    for number in range(2 * BURST):
        door.knock_raw("boost", f"eve{number}", f"r{number}")
    assert door.gate.refused[Refusal.TOO_MANY] == BURST


def test_named_senders_without_number_share_one_pace_and_those_that_rest_are_forgotten(door):
    for number in range((MAX_SENDERS + 20) * 2 * BURST):
        door.knock_raw("ping", f"w{number % (MAX_SENDERS + 20)}", f"r{number}")
    assert door.gate.refused[Refusal.TOO_MANY] == (2 * (MAX_SENDERS + 20) - MAX_SENDERS - 1) * BURST
    door.clock.advance(BURST / PER_S)
    assert door.knock("ping", "alice")[1] is None
    assert len(door.gate._senders) == 1


def test_what_people_said_is_remembered_longer_than_what_nobody_said(door):
    assert (
        door.gate.judge(verb="verdict", who="ann", payload=door.payload(**SAMPLES["verdict"]), retained=False).keep_s
        > door.gate.judge(verb="ping", who=None, payload=door.payload(), retained=False).keep_s
    )


def test_answers_are_remembered_over_a_restart_of_the_daemon(door):
    at = rfc3339(door.clock.now())
    first = door.knock(at=at)
    door.gate = CommandGate(seen=door.ledger, clock=door.clock, identify=True)
    assert door.knock(at=at) == first
    assert len(door.executed) == 1


REPORTED = {"stream": "lobby", "strength": 0.7, "because": "three reports within a minute"}


def send(door, source="chat", *, retained=False, payload=None, late=0.0, **fields: Any):
    at = rfc3339(door.clock.now() - timedelta(seconds=late))
    body = {"request_id": "r1", "at": at, **REPORTED, **fields}
    payload = payload if payload is not None else json.dumps(body).encode()
    judged = door.gate.judge_signal(source=source, payload=payload, retained=retained)
    if isinstance(judged, Answered):
        return (json.loads(judged.reply) if judged.reply else None), judged.refusal
    door.executed.append(judged)
    return json.loads(door.gate.answer(judged, Reply.to(judged.command, "signal", Answer(Result.DONE)))), None


def test_a_signal_is_taken_once_and_answered_under_its_id_with_its_source_as_sender(door):
    at = rfc3339(door.clock.now())
    first = send(door, at=at)
    assert first == ({"request_id": "r1", "verb": "signal", "result": "done"}, None)
    assert send(door, at=at) == first
    (accepted,) = door.executed
    assert (accepted.who, accepted.command.strength, accepted.command.for_s) == ("chat", 0.7, 600.0)


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"strength": 1.1}, Refusal.MALFORMED), ({"strength": -0.1}, Refusal.MALFORMED),
        ({"strength": True}, Refusal.MALFORMED), ({"strength": "0.5"}, Refusal.MALFORMED),
        ({"strength": None}, Refusal.MALFORMED), ({"for_s": 0}, Refusal.MALFORMED),
        ({"for_s": 86401}, Refusal.MALFORMED), ({"because": ""}, Refusal.MALFORMED),
        ({"because": "  "}, Refusal.MALFORMED), ({"because": "x" * 201}, Refusal.MALFORMED),
        ({"because": None}, Refusal.MALFORMED), ({"stream": ""}, Refusal.MALFORMED),
        ({"age_band": "14"}, Refusal.MALFORMED), ({"urgent": True}, Refusal.MALFORMED),
        ({"moderator": "ann"}, Refusal.MALFORMED), ({"late": 301}, Refusal.STALE), ({"late": -301}, Refusal.STALE),
        ({"retained": True}, Refusal.RETAINED), ({"because": "x" * 5000}, Refusal.OVERSIZED),
        ({"payload": b"{not json"}, Refusal.MALFORMED), ({"payload": b'{"strength": NaN}'}, Refusal.MALFORMED),
    ],
)  # fmt: skip
def test_a_signal_that_is_not_sound_is_refused_and_told_why(door, fields, refusal):
    reply, why = send(door, **fields)
    assert why is refusal
    assert (reply["result"], reply["verb"]) == ("refused", "signal")
    assert reply["why"]
    assert door.executed == []


def test_a_signal_under_a_used_id_with_another_body_is_refused_but_another_source_has_ids_of_its_own(door):
    at = rfc3339(door.clock.now())
    send(door, at=at)
    assert send(door, at=at, strength=0.1)[1] is Refusal.REPLAYED
    assert send(door, "reports", at=at)[1] is None


def test_a_signal_is_no_command(door):
    assert door.knock("signal", "chat", **REPORTED)[1] is Refusal.UNKNOWN_VERB


def test_a_source_that_floods_is_not_answered_and_holds_up_no_other_source_and_no_person(door):
    results = [send(door, "flood", request_id=f"r{n}")[1] for n in range(500)]
    assert results.count(None) == BURST
    assert set(results[BURST:]) == {Refusal.TOO_MANY}
    assert send(door, "chat")[1] is None
    assert door.knock("boost", "ann", stream="lobby")[1] is None
    door.clock.advance(1)
    again = [send(door, "flood", request_id=f"s{n}")[1] for n in range(100)]
    assert again.count(None) == SIGNALS_PER_S


def test_sources_without_number_share_one_pace_and_those_that_rest_are_forgotten(door):
    taken = sum(send(door, f"s{n % 100}", request_id=f"r{n}")[1] is None for n in range(70 * 100))
    assert taken == (MAX_SOURCES + 1) * BURST
    door.clock.advance(BURST / SIGNALS_PER_S)
    assert send(door, "chat")[1] is None
    assert len(door.gate._sources) == 1


@given(st.binary(max_size=600))
def test_no_signal_brings_the_gate_down(payload):
    reply, refusal = send(Door(), payload=payload)
    assert refusal is not None
    assert reply["result"] == "refused"


def test_why_a_signal_was_sent_is_kept_printable_and_without_addresses(door):
    send(door, because=" posted https://a.example/u?k=1 \u202e and mails x@y.example in chat")
    assert door.executed[0].command.because == (
        "posted [address] \N{REPLACEMENT CHARACTER} and mails [address] in chat"
    )


def test_the_schema_of_a_signal_names_what_other_systems_must_send():
    schema = commands.schema(commands.SignalCommand)
    assert set(schema["required"]) == {"request_id", "at", "stream", "strength", "because"}
    assert schema["additionalProperties"] is False


def test_a_memory_that_fails_executes_nothing(door):
    door.ledger.broken = True
    with pytest.raises(LedgerError):
        door.knock()
    assert door.executed == []


@given(st.binary(max_size=600), st.text(max_size=80), st.one_of(st.none(), st.text(max_size=80)))
def test_no_message_brings_the_gate_down_and_every_reply_is_small_json(payload, verb, who):
    door = Door()
    judged = door.gate.judge(verb=verb, who=who, payload=payload, retained=False)
    assert isinstance(judged, Answered)
    assert len(judged.reply) <= 4096
    assert json.loads(judged.reply)["result"] == "refused"


def test_a_reply_leaves_out_details_that_do_not_fit(door):
    _, _ = door.knock()
    command = door.executed[0].command
    small = Reply.to(command, "ping", Answer(Result.DONE), version="1.0", connected=True)
    assert json.loads(small.encode())["detail"] == {"version": "1.0", "connected": True}
    large = Reply.to(command, "ping", Answer(Result.DONE), text="x" * 5000)
    assert "detail" not in json.loads(large.encode())


def test_a_reply_carries_the_desks_answer(door):
    door.knock()
    reply = Reply.to(door.executed[0].command, "verdict", Answer(Result.PROPOSED_DISMISSAL, "", ALERT, 4))
    assert json.loads(reply.encode()) == {
        "request_id": "r1", "verb": "verdict", "result": "proposed_dismissal", "alert_id": ALERT, "seq": 4,
    }  # fmt: skip


def test_the_schema_of_a_verdict_names_what_tools_must_send():
    schema = commands.schema()
    assert set(schema["required"]) == {"request_id", "at", "alert_id", "verdict"}
    assert schema["properties"]["viewed"]["maxItems"] == 20
    assert VerdictCommand.model_validate_json(
        json.dumps({"request_id": "r", "at": "2026-11-21T10:00:00+02:00", **SAMPLES["verdict"]})
    ).at.utcoffset() == timedelta(hours=2)
