"""Published documents are small, whatever is in them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.coverage.documents import (
    MAX_BYTES,
    UNCOVERED_KEPT,
    BreachDocument,
    CoverageDocument,
    LayerEntry,
    OriginEntry,
    StateDocument,
    StatusDocument,
    UncoveredEntry,
)
from streamwatch.domain.streams import Reason, State

AT = "2026-11-21T10:00:00.000000Z"


def status(reasons=(), sandbox=()) -> StatusDocument:
    return StatusDocument(
        state="degraded", boot_id="b" * 64, version="1" * 64, since=AT, reasons=reasons, sandbox=sandbox
    )


def test_a_coverage_too_long_loses_the_newest_of_its_list_and_keeps_the_counts():
    entries = tuple(UncoveredEntry(sid=f"{n:02}" + "s" * 126, reason=Reason.UNREACHABLE, since=AT) for n in range(20))
    document = CoverageDocument(
        at=AT, streams_live=1000, streams_covered=0, coverage_1m=0.1234, worst_gap_s=86400.123, uncovered=entries,
        uncovered_total=1000,
    )  # fmt: skip
    encoded = document.payload()
    assert len(encoded) <= MAX_BYTES
    said = json.loads(encoded)
    assert said["uncovered_total"] == 1000
    assert [entry["sid"][:2] for entry in said["uncovered"]] == [f"{n:02}" for n in range(len(said["uncovered"]))]
    assert len(said["uncovered"]) >= 15


def test_origins_give_way_to_some_of_what_is_uncovered_and_not_to_all_of_it():
    entries = tuple(UncoveredEntry(sid=f"{n:02}" + "s" * 126, reason=Reason.UNREACHABLE, since=AT) for n in range(20))
    origins = tuple(OriginEntry(name="ж" * 64, live=1000, covered=10, coverage_1h=0.1234) for _ in range(10))
    document = CoverageDocument(
        at=AT, streams_live=1000, streams_covered=0, coverage_1m=0.1234, worst_gap_s=86400.123, uncovered=entries,
        uncovered_total=1000, origins=origins, origins_total=100,
    )  # fmt: skip
    encoded = document.payload()
    assert len(encoded) <= MAX_BYTES
    said = json.loads(encoded)
    assert UNCOVERED_KEPT <= len(said["uncovered"]) < 20
    assert (len(said["origins"]), said["origins_total"]) == (10, 100)


def test_a_breach_of_a_stream_with_a_long_name_can_be_told():
    document = BreachDocument(
        event="ended", stream="🎥" * 500, session="s" * 100, reason=Reason.QUARANTINED, from_=AT, to=AT,
        ended_by="promise", uncovered_s=1e9, max_gap_s=3600, worst_gap_s=1e9,
    )  # fmt: skip
    said = json.loads(document.payload())
    assert len(document.payload()) <= MAX_BYTES
    assert set(said) == {
        "schema", "event", "stream", "session", "reason", "from", "to", "ended_by", "uncovered_s", "max_gap_s",
        "worst_gap_s",
    }  # fmt: skip
    assert said["schema"] == "streamwatch.breach/1"


@pytest.mark.parametrize("letter", ["x", "ж", "漢", "🎥", '"'])
def test_a_status_too_long_is_shortened(letter):
    layers = tuple(LayerEntry(name=letter * 128, in_force=n > 2, detail=letter * 200) for n in range(32))
    encoded = status(tuple(letter * 200 for _ in range(10)), layers).payload()
    assert len(encoded) <= MAX_BYTES
    said = json.loads(encoded)
    assert len(said["reasons"]) >= 5
    assert [layer["in_force"] for layer in said["sandbox"][:4]] == [False, False, False, True]


def test_a_status_that_fits_is_said_as_it_is():
    layers = (LayerEntry(name="seccomp", in_force=True, detail="bpf"), LayerEntry(name="net", in_force=False))
    said = json.loads(status(("ledger: disk full",), layers).payload())
    assert said["reasons"] == ["ledger: disk full"]
    assert [(layer["name"], layer["detail"]) for layer in said["sandbox"]] == [("seccomp", "bpf"), ("net", "")]


@given(
    st.lists(st.text(max_size=400), max_size=20),
    st.lists(st.tuples(st.text(min_size=1, max_size=200), st.booleans(), st.text(max_size=400)), max_size=40),
)
def test_nothing_raises_and_everything_fits(reasons, layers):
    entries = tuple(LayerEntry(name=name, in_force=force, detail=detail) for name, force, detail in layers)
    assert len(status(tuple(reasons), entries).payload()) <= MAX_BYTES


def test_a_stream_with_a_long_name_has_a_state():
    document = StateDocument(
        stream="漢" * 500, state=State.COVERED, reason=None, since=AT, gap_s=1.0, session="s" * 100, detail="🎥" * 500
    )
    assert len(document.payload()) <= MAX_BYTES
