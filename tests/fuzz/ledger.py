"""A ledger file that a failing disk damaged: opened, set aside or refused, and read without a surprise."""

from __future__ import annotations

import contextlib
import functools
import shutil
import struct
import tempfile
from pathlib import Path

import structlog

from streamwatch.cli.alerts_words import explain
from streamwatch.coverage import recall
from streamwatch.coverage.tally import Tally
from streamwatch.domain.alerts import Alert, AlertEvent, Event
from streamwatch.domain.coverage import BooksRecord, Bucket, Page
from streamwatch.domain.decisions import Kind, Severity
from streamwatch.domain.errors import LedgerError, OutsideError
from streamwatch.domain.streams import StreamId
from streamwatch.ledger.database import FILE
from streamwatch.ledger.reading import Wanted, reading
from streamwatch.ledger.retention import Due
from streamwatch.ledger.samples import scored
from streamwatch.ledger.sqlite import SqliteLedger
from tests.fakes.clock import FakeClock
from tests.fuzz.engine import Target

_PATCH = struct.Struct(">IBB")
_MARK = b"nudity-rule"
_STREAM = (
    b'{"told":1,"live":true,"session":"s","seen":true,"settled":1,"base":null,"arrivals":[1],"marks":[{"at":1,'
    b'"live_since":1,"fault":null,"max_gap_s":10}],"live_s":5,"uncovered_s":{},"uncovered_until":null,'
    b'"uncovered_since":null,"breach":null}'
)

_SCORES = b'{"s":"s1","a":12.345,"m":0.5,"l":"back","c":1,"x":1,"d":{"det":{"nsfw":0.97,"calm":0.03}}}'


@functools.cache
def _sound() -> bytes:
    """A small ledger, closed in order: all of it is in the one file."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = SqliteLedger(Path(folder), clock=FakeClock())
        for number in range(4):
            name, stream = f"alert-{number}", StreamId(f"stream-{number}")
            alert = Alert(name, stream, _MARK.decode(), Severity.HIGH, Kind.CLASSIFIER, 1, number < 2, "{}",
                          changed_at=1.0)  # fmt: skip
            ledger.commit(alert, AlertEvent(name, 1, Event.OPENED, Severity.HIGH, stream, "{}"))
        ledger.remember("mutes", '[["a","r","2099-01-01T00:00:00+00:00"]]')
        ledger.answered("r", "d", b"x", keep_s=100)
        page = Page("stream", "a", _STREAM.decode(), (Bucket(60, 1, 5.0, 1.0, 0),))
        ledger.save_books(BooksRecord(1.0, 1.0, 1.0, "boot", (page,)))
        ledger.close()
        return (Path(folder) / FILE).read_bytes()


def check_ledger(data: bytes) -> None:
    """Patches to the file: where, what is put there, and of how many bytes."""
    damaged = bytearray(_sound())
    for at, value, count in _PATCH.iter_unpack(data[: len(data) // _PATCH.size * _PATCH.size][: 50 * _PATCH.size]):
        place = at % len(damaged)
        damaged[place : place + count] = bytes([value]) * min(count, len(damaged) - place)
    folder = Path(tempfile.mkdtemp(prefix="streamwatch-fuzz-"))
    with structlog.testing.capture_logs():
        try:
            (folder / FILE).write_bytes(damaged)
            _read(folder)
        finally:
            shutil.rmtree(folder)


def _read(folder: Path) -> None:
    try:
        ledger = SqliteLedger(folder, clock=FakeClock())
    except OutsideError:
        return
    try:
        for ask in (
            ledger.alerts,
            ledger.pending,
            ledger.backlog,
            lambda: ledger.closed_since(0.0),
            lambda: ledger.find("alert-1"),
            lambda: ledger.recall("mutes"),
            lambda: ledger.seen("r"),
            lambda: _told(folder),
            lambda: ledger.prune(Due(confirmed=0.0, dismissed=0.0, unconfirmed=0.0)),
        ):
            with contextlib.suppress(LedgerError):
                ask()
        with contextlib.suppress(LedgerError):
            record = ledger.load_books()
            if record is not None:
                recall.load(record, Tally(0.0))
    finally:
        ledger.close()


def _told(folder: Path) -> None:
    """What a person's command reads of it."""
    with contextlib.suppress(OutsideError), reading(folder) as told:
        for alert in told.alerts(Wanted(), limit=10):
            explain(alert, told.steps(alert.id))
        told.find("alert-1")
        told.tally(from_id="")


def check_coverage(data: bytes) -> None:
    """The facts of a stream in the books."""
    facts = data.decode("utf-8", "replace")
    pages = (Page("stream", "a", facts, (Bucket(60, 1, 5.0, 1.0, 0),)), Page("node", "", facts))
    kept = recall.load(BooksRecord(1.0, 1.0, 1.0, "boot", pages), Tally(0.0))
    for one in kept.values():
        account = recall.revive(one, origin="o", max_gap_s=10.0, now=100.0, offset=5.0, new_session=lambda: "n")
        account.mark(101.0)


def check_samples(data: bytes) -> None:
    """A line of scores: no value, or one that is written as it was read."""
    found = scored((1.0, b"lobby", data.decode("utf-8", "replace")))
    if found is None:
        return
    row = found.row()
    again = scored(row)
    assert again is not None
    assert again.row() == row


def _patches() -> list[bytes]:
    sound = _sound()
    places = [sound.find(word) for word in (_MARK, b"high", b"classifier", b"opened", b"stream-1", b"boot", b"told")]
    return [_PATCH.pack(place, 0x41, 1) for place in places if place >= 0] + [_PATCH.pack(100, 0, 255), b""]


TARGETS = (
    Target("ledger", check_ledger, _patches, ("ledger.sqlite", "ledger.coverage", "ledger.folder"), brief=40),
    Target("coverage-books", check_coverage, lambda: [_STREAM], ("coverage.recall",), brief=1500),
    Target("samples", check_samples, lambda: [_SCORES], ("ledger.samples",), brief=1500),
)
