"""What anyone who may write to the broker can say: topics, commands, verdicts, signals; and notes of them read back."""

from __future__ import annotations

import json
from datetime import datetime

from streamwatch.alerts.base import Answer, Result
from streamwatch.alerts.commands import MAX_BYTES, SIGNAL, Reply, SignalCommand
from streamwatch.alerts.document import AlertDocument, opened
from streamwatch.alerts.gate import STALE_AFTER, Accepted, CommandGate
from streamwatch.alerts.quiet import MAX_MUTES, QuietSpells
from streamwatch.bus.topics import CommandTopic, SignalTopic, StateTopic, Topics, matches
from streamwatch.daemon.demand import LIMIT_S, DemandKind, line_of, read
from streamwatch.domain.clock import rfc3339
from streamwatch.domain.decisions import Decision, Hit, Level
from streamwatch.domain.urls import without_addresses
from tests.fakes.clock import FakeClock
from tests.fakes.desk import FACTS, rule
from tests.fakes.ledger import FakeLedger
from tests.fuzz.engine import Target

TOPICS = Topics("streamwatch/v1", "node-1")
CLOCK = FakeClock()
AT = rfc3339(CLOCK.now())
ALERT = "01KAJ5V8Z0AAAAAAAAAAAAAAAA"
_REPEATED = "a"
_VERBS = ("verdict", "boost", "look", "mute", "resync", "ping", "preserve_ack", "on_duty", SIGNAL)
_BODIES = (
    {"alert_id": ALERT, "verdict": "dismiss", "moderator": "ann", "note": "n", "viewed": [{"from": AT, "to": AT}]},
    {"stream": "a", "suspicion": 0.5, "for_s": 60, "moderator": "ann"},
    {"stream": "a"},
    {"stream": "a", "rule": "r", "for_s": 60.0, "moderator": "ann", "note": ""},
    {}, {},
    {"alert_id": ALERT, "kept": True, "reference": "x"},
    {"for_s": 60, "moderator": "ann"},
    {"stream": "a", "strength": 0.5, "for_s": 60.0, "because": "reported by many", "age_band": "minor"},
)  # fmt: skip


def commands() -> list[bytes]:
    """A byte for the verb, then the body."""
    return [
        bytes([number]) + json.dumps({"request_id": f"r{number}", "at": AT} | body).encode()
        for number, body in enumerate(_BODIES)
    ]


def check_command(data: bytes) -> None:
    verb = _VERBS[data[0] % len(_VERBS)] if data else "ping"
    payload, ledger = data[1:], FakeLedger(CLOCK)
    gate = CommandGate(seen=ledger, clock=CLOCK, identify=bool(data[:1] and data[0] & 0x40))
    first = _judged(gate, verb, payload)
    if not isinstance(first, Accepted):
        assert first.refusal is not None
        assert len(first.reply) <= MAX_BYTES
        assert json.loads(first.reply)["result"] == "refused"
        assert sum(gate.refused.values()) == 1
        return
    assert len(payload) <= MAX_BYTES
    assert abs(CLOCK.now() - first.command.at) <= STALE_AFTER
    if isinstance(first.command, SignalCommand):
        clean = without_addresses(first.command.because)
        assert clean == without_addresses(clean), "what is left out must stay out"
    answer = gate.answer(first, Reply.to(first.command, verb, Answer(Result.DONE, first.command.request_id * 3)))
    assert len(answer) <= MAX_BYTES
    again = _judged(gate, verb, payload)
    assert not isinstance(again, Accepted), "the same command was executed twice"
    assert again.refusal is None
    assert again.reply == answer


def _judged(gate: CommandGate, verb: str, payload: bytes) -> object:
    if verb == SIGNAL:
        return gate.judge_signal(source="s", payload=payload, retained=False)
    return gate.judge(verb=verb, who="ann", payload=payload, retained=False)


def check_topic(data: bytes) -> None:
    topic = data.decode("utf-8", "replace")
    known = TOPICS.parse(topic)
    match known:
        case CommandTopic(verb, who):
            assert topic == f"{TOPICS.root}/commands/{verb}" + (f"/{who}" if who is not None else "")
            assert any(matches(one, topic) for one in TOPICS.subscriptions), "read what is not listened to"
            assert TOPICS.reply(verb).startswith(f"{TOPICS.root}/replies/")
        case SignalTopic(source):
            assert topic == f"{TOPICS.root}/signals/{source}"
            assert any(matches(one, topic) for one in TOPICS.subscriptions)
        case StateTopic(sid):
            assert TOPICS.state(sid) == topic
            assert matches(TOPICS.states, topic)
    if TOPICS.may_answer(topic):
        assert known is None, "a stranger may have us speak in our own name"
        assert not {"+", "#", "\0"} & set(topic)
        assert TOPICS.reply("ping").startswith(f"{TOPICS.root}/replies/")
    assert TOPICS.reply(topic).count("/") == TOPICS.root.count("/") + 2


def check_demands(data: bytes) -> None:
    note, now, wall = data.decode("utf-8", "replace"), CLOCK.monotonic(), CLOCK.now()
    demands = list(read(note, now=now, wall=wall))
    assert len(demands) <= len(data) // 8
    for one in demands:
        assert 0 <= one.strength <= 1
        assert now < one.until <= now + LIMIT_S
        assert one.kind in DemandKind
        assert one.at.tzinfo is not None, "an instant without a zone breaks whoever compares it"
        [again] = read(json.dumps([line_of(one, now=now, wall=wall)]), now=now, wall=wall)
        assert abs(again.until - one.until) < 1e-3
        assert (again.stream, again.source, again.strength, again.at) == (one.stream, one.source, one.strength, one.at)


def check_mutes(data: bytes) -> None:
    ledger = FakeLedger(CLOCK)
    ledger.remember("mutes", data.decode("utf-8", "replace"))
    quiet = QuietSpells(notes=ledger)
    quiet.restore(now=CLOCK.monotonic(), wall=CLOCK.now())
    assert len(quiet._mutes) <= MAX_MUTES
    quiet.tick(now=CLOCK.monotonic())


def check_document(data: bytes) -> None:
    try:
        document = AlertDocument.decode(data.decode("utf-8", "replace"))
    except ValueError:
        return
    text = document.encode()
    assert len(text.encode()) <= MAX_BYTES
    assert isinstance(document.last_seen_at, datetime)
    AlertDocument.decode(text)


def _documents() -> list[bytes]:
    hit = Hit(at=CLOCK.now(), arrival=5.0, media_s=812.4, score=0.95)
    said = Decision("nudity", Level.ALARM, 0.5, 0.97, hits=(hit,), first_seen=hit, last_seen=hit)
    one = opened(alert_id=ALERT, node="n", boot_id="b", rule=rule(), facts=FACTS, decision=said,
                 at=CLOCK.now())  # fmt: skip
    return [one.encode().encode()]


_DEMANDS = [
    ["a", "signal", "s", 0.5, CLOCK.now().isoformat(), "2099-01-01T00:00:00+00:00", "because", "minor"],
    ["a", "boost", "ann", 1.0, CLOCK.now().isoformat(), "2099-01-01T00:00:00+00:00", "", "unknown"],
]
_MUTES = [["a", "r", "2099-01-01T00:00:00+00:00"], ["b", "", "2020-01-01T00:00:00+00:00"]]

TARGETS = (
    Target("commands", check_command, commands, ("alerts.gate", "alerts.commands", "daemon.outside", "daemon.orders"),
           brief=1500),
    Target("topics", check_topic, lambda: [text.encode() for text in (
        f"{TOPICS.root}/commands/ping", f"{TOPICS.root}/commands/verdict/ann", f"{TOPICS.root}/signals/s",
        f"{TOPICS.root}/streams/abc/state", f"{TOPICS.root}/replies/ping", "elsewhere/replies", "$SYS/x", "a/+/#")],
        ("bus.topics",)),
    Target("demands", check_demands, lambda: [json.dumps(_DEMANDS).encode()], ("daemon.demand",), brief=2000),
    Target("mutes", check_mutes, lambda: [json.dumps(_MUTES).encode()], ("alerts.quiet",), brief=2000),
    Target("documents", check_document, _documents, ("alerts.document",), brief=1000),
)  # fmt: skip
