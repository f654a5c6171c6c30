from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from streamwatch.domain.alerts import Alert, AlertEvent, Event
from streamwatch.domain.clock import SystemClock
from streamwatch.domain.decisions import Kind, Severity
from streamwatch.domain.errors import LedgerError, OutsideError
from streamwatch.domain.streams import StreamId
from streamwatch.ledger.database import FILE
from streamwatch.ledger.migrations import MIGRATIONS
from streamwatch.ledger.sqlite import SqliteLedger
from tests.fakes.clock import FakeClock

LOBBY = StreamId("lobby")


@pytest.fixture
def opened(tmp_path: Path):
    made: list[SqliteLedger] = []

    def open_ledger() -> SqliteLedger:
        made.append(SqliteLedger(tmp_path / "state", clock=FakeClock()))
        return made[-1]

    yield open_ledger
    for ledger in made:
        ledger.close()


def put(ledger: SqliteLedger, name: str, seq: int = 1) -> None:
    alert = Alert(name, LOBBY, "nudity", Severity.HIGH, Kind.CLASSIFIER, seq, open=True, document="{}", changed_at=1.0)
    ledger.commit(alert, AlertEvent(name, seq, Event.OPENED, Severity.HIGH, LOBBY, "{}"))


def event(name: str, *, body: str) -> AlertEvent:
    return AlertEvent(name, 1, Event.OPENED, Severity.HIGH, LOBBY, body)


def test_everything_is_there_after_a_restart(opened):
    ledger = opened()
    put(ledger, "a")
    ledger.offer([event("a", body="fixed")])
    ledger.remember("k", "v")
    ledger.answered("r", "d", b"x", keep_s=100)
    ledger.close()
    again = opened()
    assert [alert.id for alert in again.alerts()] == ["a"]
    assert [event.body for event in again.pending()] == ["fixed"]
    assert again.recall("k") == "v"
    assert again.seen("r") == ("d", b"x")
    assert again.set_aside is None


def test_the_trigger_is_forgotten_by_a_restart_because_its_clock_may_be_another(opened):
    ledger = opened()
    alert = Alert("a", LOBBY, "r", Severity.HIGH, Kind.CLASSIFIER, 1, open=True, document="{}")
    ledger.commit(alert, AlertEvent("a", 1, Event.OPENED, Severity.HIGH, LOBBY, "{}", triggered=7.0))
    assert ledger.pending()[0].triggered == 7.0
    ledger.close()
    assert opened().pending()[0].triggered is None


def test_folder_and_file_belong_to_their_owner_alone(opened, tmp_path):
    put(opened(), "a")
    folder = tmp_path / "state"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for file in folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_a_second_daemon_on_the_same_folder_is_refused_by_name(opened):
    opened()
    with pytest.raises(OutsideError, match=rf"in use by another streamwatch \(process {os.getpid()}\)"):
        opened()


def test_the_folder_is_free_again_after_close(opened):
    opened().close()
    opened()


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutsideError, match="cannot be used"):
        SqliteLedger(tmp_path / "file" / "state", clock=FakeClock())


def test_commits_are_on_the_disk_before_they_return(opened):
    ledger = opened()
    assert ledger._file._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert ledger._file._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_every_table_is_strict(opened):
    tables = dict(opened()._file._db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall())
    del tables["sqlite_sequence"]
    assert all(sql.rstrip().endswith("STRICT") for sql in tables.values())
    assert set(tables) == {
        "alerts",
        "events",
        "commands",
        "notes",
        "migrations",
        "coverage_books",
        "coverage_pages",
        "coverage_buckets",
        "samples",
    }


def test_a_text_too_large_for_a_document_is_refused_by_the_table_itself(opened):
    ledger = opened()
    alert = Alert("a", LOBBY, "r", Severity.HIGH, Kind.CLASSIFIER, 1, open=True, document="{}")
    with pytest.raises(LedgerError, match="CHECK"):
        ledger.commit(alert, AlertEvent("a", 1, Event.OPENED, Severity.HIGH, LOBBY, "A" * 4097))
    assert ledger.alerts() == []


@pytest.mark.parametrize("damage", [b"this is no database" * 400, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(opened, tmp_path, damage):
    file = tmp_path / "state" / FILE
    opened().close()
    file.write_bytes(damage)
    ledger = opened()
    assert ledger.set_aside is not None
    assert ledger.set_aside.name.startswith(f"{FILE}.corrupt-20")
    assert ledger.set_aside.read_bytes() == damage
    put(ledger, "a")
    assert len(ledger.pending()) == 1


def test_a_page_of_rubbish_in_the_middle_is_found_at_start(opened, tmp_path):
    ledger = opened()
    for number in range(200):
        put(ledger, f"a{number:03}")
    ledger.close()
    file = tmp_path / "state" / FILE
    raw = bytearray(file.read_bytes())
    raw[8192 : 8192 + 4096 * 3] = b"\xa5" * 4096 * 3
    file.write_bytes(raw)
    assert opened().set_aside is not None


def test_a_ledger_of_a_newer_streamwatch_is_left_alone(opened, tmp_path):
    opened().close()
    file = tmp_path / "state" / FILE
    db = sqlite3.connect(file)
    db.execute("INSERT INTO migrations VALUES (?, 0)", (len(MIGRATIONS) + 1,))
    db.commit()
    db.close()
    with pytest.raises(OutsideError, match="newer streamwatch"):
        opened()
    assert file.exists()


def test_a_held_file_is_a_ledger_error_and_the_next_commit_works(opened, tmp_path, monkeypatch):
    monkeypatch.setattr("streamwatch.ledger.database._BUSY_S", 0.01)
    ledger = opened()
    shell = sqlite3.connect(tmp_path / "state" / FILE, isolation_level=None)
    shell.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerError, match="locked"):
        put(ledger, "a")
    shell.execute("ROLLBACK")
    shell.close()
    put(ledger, "a")
    assert len(ledger.pending()) == 1


def test_calls_may_come_from_several_threads(opened):
    ledger = opened()
    threads = [
        threading.Thread(target=lambda name=name: [put(ledger, f"{name}{n}") for n in range(20)], name=f"writer {name}")
        for name in "abcd"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(ledger.pending(limit=1000)) == 80


CHILD = """
import sys
from pathlib import Path
from streamwatch.domain.alerts import Alert, AlertEvent, Event
from streamwatch.domain.clock import SystemClock
from streamwatch.domain.decisions import Kind, Severity
from streamwatch.ledger.sqlite import SqliteLedger

ledger = SqliteLedger(Path(sys.argv[1]), clock=SystemClock())
number = 0
while True:
    number += 1
    name = f"{number:06}"
    alert = Alert(name, "s", "r", Severity.HIGH, Kind.CLASSIFIER, 1, True, "{}", changed_at=1.0)
    ledger.commit(alert, AlertEvent(name, 1, Event.OPENED, Severity.HIGH, "s", "{}"))
    print(number, flush=True)
"""


def test_nothing_committed_is_lost_by_kill_9(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path / "state")], stdout=subprocess.PIPE, text=True)
    try:
        said = 0
        while said < 50:
            said = int(child.stdout.readline())
    finally:
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().split("\n")
        child.stdout.close()
        child.wait(timeout=10)
    said = max([said] + [int(line) for line in rest[:-1]])
    ledger = SqliteLedger(tmp_path / "state", clock=SystemClock())
    kept = ledger.pending(limit=1_000_000)
    ledger.close()
    assert [event.alert_id for event in kept[:said]] == [f"{n:06}" for n in range(1, said + 1)]
    assert len(kept) in (said, said + 1), "at most the one commit whose answer was not read"


def test_events_of_an_older_file_keep_their_severity(opened, tmp_path):
    (tmp_path / "state").mkdir()
    db = sqlite3.connect(tmp_path / "state" / FILE)
    for statement in MIGRATIONS[0]:
        db.execute(statement)
    db.execute("CREATE TABLE migrations (version INTEGER PRIMARY KEY, taken_at REAL NOT NULL) STRICT")
    db.execute("INSERT INTO migrations VALUES (1, 0)")
    for name in ("test", "low", "high", "urgent"):
        db.execute("INSERT INTO alerts VALUES (?, x'61', 'r', ?, 'classifier', 1, 1, '{}', 0, 1.0)", (name, name))
        db.execute(
            "INSERT INTO events (alert_id, seq, event, body, committed_at) VALUES (?, 1, 'opened', '', 1)", [name]
        )
    db.commit()
    db.close()
    assert [event.alert_id for event in opened().pending()] == ["urgent", "high", "low", "test"]


def test_what_is_asked_every_second_reads_no_events_however_many_are_owed(opened):
    ledger = opened()
    asked: list[str] = []
    ledger._file.trace(asked.append)
    ledger.pending(without={"a"})
    ledger.backlog()
    ledger._file.trace(None)
    assert len(asked) == 4
    for query in asked:
        if "json_each('[]')" in query:  # the events that are owed: none
            continue
        plan = [row[3] for row in ledger._file._db.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()]
        assert any("COVERING INDEX events_" in step for step in plan), plan
        assert not any(step.startswith("SCAN e") and "COVERING" not in step for step in plan), plan


NO_SPACE = """
import resource, signal, sys
from pathlib import Path
from streamwatch.domain.clock import SystemClock
from streamwatch.domain.errors import OutsideError
from streamwatch.ledger.sqlite import SqliteLedger

folder, limit, known = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "known"
if known:
    SqliteLedger(folder, clock=SystemClock()).close()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # no file takes more, as on a full disk
try:
    SqliteLedger(folder, clock=SystemClock())
except OutsideError as error:
    print(error)
"""


@pytest.mark.parametrize("known", ["new", "known"])
@pytest.mark.parametrize(("limit", "words"), [(0, "cannot be written: "), (64, "is the disk full, or read-only?")])
def test_a_disk_that_takes_nothing_more_is_said_at_start(tmp_path, limit, words, known):
    command = [sys.executable, "-c", NO_SPACE, str(tmp_path / "state"), str(limit), known]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (words in done.stdout, done.stderr) == (True, "")
