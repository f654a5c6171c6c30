"""Published documents are small, whatever is in them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.coverage.documents import (
    MAX_BYTES,
    CoverageDocument,
    LayerEntry,
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
