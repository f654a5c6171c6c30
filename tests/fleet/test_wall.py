"""What is left for a watcher that was taken over: computed, and held."""

from __future__ import annotations

import base64
import json
import os

import pytest

from streamwatch.domain.errors import LinkViolation
from streamwatch.fleet.covert import capacity
from streamwatch.fleet.output import MAX_LINE, Lines, entry
from streamwatch.fleet.plausible import Wording, admitted, check_ready, detectors_of
from streamwatch.link.allowance import HEARD
from streamwatch.link.messages import LoadedDetector, Ready, Sampled, ScoreLine
from tests.fleet.fleets import CARD, configure
from tests.link.examples import sampled


def lines_of(*labels: str) -> tuple[ScoreLine, ...]:
    values = tuple((label, 0.1 + number / 10) for number, label in enumerate(labels))
    return (ScoreLine(detector="card", values=values, infer_s=0),)


def loaded(**changes: object) -> Ready:
    one = LoadedDetector(name="card", version="1", sha256=CARD.sha256, labels=CARD.labels)
    return Ready(pid=1, sandbox=(), detectors=(one.model_copy(update=changes),))


def test_labels_are_those_that_the_daemon_read_and_in_one_order():
    two = CARD.model_copy(update={"labels": ("a", "b")})
    known = detectors_of(configure().model_copy(update={"detectors": (two,)}))
    for order in (("a", "b"), ("b", "a")):
        taken = admitted(sampled(scores=lines_of(*order)), detectors=known, now=2000)
        assert isinstance(taken, Sampled)
        assert [score for _, score in taken.scores[0].values] == [0.2, 0.1]
    for wrong in (("a", "c"), ("a", "a")):
        with pytest.raises(LinkViolation, match="label"):
            admitted(sampled(scores=lines_of(*wrong)), detectors=known, now=2000)
    with pytest.raises(LinkViolation, match="two lines"):
        admitted(sampled(scores=lines_of("a") * 2), detectors=known, now=2000)


def test_labels_stay_known_while_detectors_change():
    before, after = (configure().model_copy(update={"detectors": (CARD.model_copy(update={"labels": labels}),)})
                     for labels in (("old",), ("new",)))  # fmt: skip
    assert detectors_of(before, after) == {"card": {"old", "new"}}


def test_what_the_daemon_knows_of_labels_is_not_sent():
    assert "test_card" not in configure().model_dump_json()


@pytest.mark.parametrize("changes", [{"labels": ("pixels",)}, {"sha256": "0" * 64}])
def test_a_model_that_is_not_the_checked_one_is_a_violation(changes: dict):
    check_ready(loaded(), configure())
    with pytest.raises(LinkViolation, match="not the one"):
        check_ready(loaded(**changes), configure())


def test_explanations_that_are_always_new_are_left_out_and_known_ones_are_not():
    wording = Wording()
    passed = [wording.admitted(f"row {number}", 0.0) for number in range(2000)]
    assert sum(map(bool, passed)) == Wording.BURST
    assert wording.left_out == 2000 - Wording.BURST
    assert wording.admitted("row 7", 0.0) == "row 7"
    assert [bool(wording.admitted(f"later {number}", 20.0)) for number in range(12)].count(True) == 10


def test_a_process_prints_a_few_sentences_a_second_and_no_picture():
    lines, said = Lines(), 0
    for second in range(300):
        said += sum(map(len, lines.feed(b"words and more words. " * 80 + b"\n", float(second))))
    assert said < 24_000 + 300 * 300 + MAX_LINE
    assert said > 24_000


def test_coded_bytes_are_not_logged():
    coded = base64.b64encode(os.urandom(900)).decode()
    assert len(str(entry(coded).fields)) < 300
    said = entry(json.dumps({"event": coded, "level": "info", "n": 10**40, "x": 0.12345678901234567, coded: coded}))
    assert len(said.event) < 300
    assert said.fields["n"] == 0
    assert said.fields["x"] == 0.123457
    assert len(str(said)) < 800


def test_what_is_left_is_known():
    """The figures of the threat model: whoever widens a bound changes them knowingly."""
    left = capacity()
    assert left.link < HEARD.bytes_per_s * 8
    assert round(left.link / 1e6, 1) == 3.4
    assert left.explanations < 1000
    assert left.printed < 4000
