"""Every target for a moment; `scripts/fuzz` runs them for long."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.alerts.gate import Accepted, CommandGate
from streamwatch.config import loader
from streamwatch.link.frames import decode
from streamwatch.link.messages import FROM_WATCHER, TO_WATCHER
from tests.fakes.ledger import FakeLedger
from tests.fuzz import link, orders, settings, watch
from tests.fuzz.engine import CORPUS, Broken, Drawn, Fuzzed, Target, targets
from tests.fuzz.rtmp import check_amf0


@pytest.mark.parametrize("target", targets().values(), ids=lambda target: target.name)
def test_no_damage_breaks_it(target: Fuzzed) -> None:
    target.briefly()


def test_the_corpus_is_small_and_belongs_to_targets() -> None:
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} <= targets().keys()
    assert sum(path.stat().st_size for path in files) < 400_000
    assert max(path.stat().st_size for path in files) <= 4096


def test_good_inputs_are_good() -> None:
    for data in link.UPWARDS:
        decode(FROM_WATCHER, data)
    for data in link.DOWNWARDS:
        decode(TO_WATCHER, data)
    for data in orders.commands():
        verb = orders._VERBS[data[0]]
        gate = CommandGate(seen=FakeLedger(orders.CLOCK), clock=orders.CLOCK, identify=False)
        assert isinstance(orders._judged(gate, verb, data[1:]), Accepted), verb
    for text in settings._CONFIGS[:2]:
        loader.parse(text.decode(), path=settings._FOLDER / "c.yaml", environ={"PASS": settings.SECRET})


def test_what_is_endless_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "ENDLESS_S", 0.2)

    def check(data: bytes) -> None:
        while data == b"round":
            pass

    with pytest.raises(Broken) as caught:
        Target("endless", check, lambda: [b"a", b"round"]).briefly()
    assert caught.value.data == b"round"


def test_memory_that_is_not_given_back_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_WARM", 500)
    kept: list[bytes] = []

    def check(data: bytes) -> None:
        kept.append(bytes(200_000 + len(data)))

    with pytest.raises(Broken, match="memory grew"):
        Target("leak", check, lambda: [b"a"]).until(time.monotonic() + 60, 1, most=5000, more=(), guided=False)


def test_an_input_that_goes_somewhere_new_is_kept() -> None:
    target = Target("amf0", check_amf0, lambda: [b"\x05"], ("wire.amf0",))
    done = target.until(time.monotonic() + 60, 1, most=3000, more=(), guided=True)
    assert done.inputs == 3000
    assert done.kept
    assert done.corpus == 1 + len(target.corpus()) + len(done.kept)
    assert done.lines > 10


def test_a_target_that_breaks_is_found() -> None:
    def check(data: bytes) -> None:
        assert b"\xff\xff\xff\xff" not in data

    with pytest.raises(Broken) as caught:
        Target("broken", check, lambda: [bytes(20)]).briefly()
    assert b"\xff\xff\xff\xff" in caught.value.data


def test_a_drawn_target_that_breaks_is_found() -> None:
    @given(st.binary())
    def check(data: bytes) -> None:
        assert len(data) < 2

    with pytest.raises(AssertionError):
        Drawn("broken", check).briefly()
