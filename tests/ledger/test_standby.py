"""A disk that refuses, and what becomes of alerts meanwhile and afterwards."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streamwatch.domain.alerts import Alert, AlertEvent, Event
from streamwatch.domain.decisions import Kind, Severity
from streamwatch.domain.errors import LedgerError, OutsideError
from streamwatch.domain.streams import StreamId
from streamwatch.ledger.database import FILE
from streamwatch.ledger.sqlite import SKIPPED, SqliteLedger
from streamwatch.ledger.standby import BRING, RETRY_S, StandbyLedger
from tests.fakes.clock import FakeClock

LOBBY = StreamId("lobby")


class Disk:
    """A ledger on a real file that another program can hold, as an administrator's shell does."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        self.folder, self.clock = folder, clock
        self.sqlite = SqliteLedger(folder, clock=clock)
        self.ledger = StandbyLedger(self.sqlite, clock=clock)
        self._shell = sqlite3.connect(folder / FILE, isolation_level=None)

    def refuse(self) -> None:
        self._shell.execute("BEGIN IMMEDIATE")

    def take(self) -> None:
        """It takes again, and the time to try has come."""
        self._shell.execute("ROLLBACK")
        self.clock.advance(RETRY_S)

    def restarted(self) -> SqliteLedger:
        """What a new process finds."""
        self.sqlite.close()
        self.sqlite = SqliteLedger(self.folder, clock=self.clock)
        return self.sqlite

    def close(self) -> None:
        self._shell.close()
        self.sqlite.close()


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    monkeypatch.setattr("streamwatch.ledger.database._BUSY_S", 0.001)
    made = Disk(tmp_path / "state", FakeClock())
    yield made
    made.close()


def step(name: str, seq: int, severity: Severity = Severity.HIGH, **more: object) -> tuple[Alert, AlertEvent]:
    alert = Alert(name, LOBBY, "r", severity, Kind.CLASSIFIER, seq, open=True, document=f"doc {seq}")
    return alert, AlertEvent(name, seq, Event.UPDATED, severity, LOBBY, f"body {seq}", **more)


def put(ledger: StandbyLedger, name: str, seq: int = 1, *, severity: Severity = Severity.HIGH, **more: object) -> None:
    ledger.commit(*step(name, seq, severity, **more))


def keys(ledger: StandbyLedger | SqliteLedger) -> list[tuple[str, int]]:
    return [event.key for event in ledger.pending(10_000)]


def test_alerts_go_on_and_are_on_the_disk_once_it_takes_them(disk: Disk) -> None:
    put(disk.ledger, "a")
    disk.refuse()
    put(disk.ledger, "a", 2)
    put(disk.ledger, "b")
    disk.ledger.remember("mutes", "[]")
    disk.ledger.answered("r", "digest", b"answer", keep_s=60)
    assert disk.ledger.tend().startswith("the ledger cannot be written: database is locked; alerts go on in memory")
    assert keys(disk.ledger) == [("a", 1), ("b", 1)], "what the disk holds of an alert comes first"
    assert disk.ledger.backlog().pending == 3
    disk.take()
    assert disk.ledger.tend() == ""
    found = disk.restarted()
    assert keys(found) == [("a", 1), ("a", 2), ("b", 1)]
    assert [(alert.id, alert.seq, alert.document) for alert in found.alerts()] == [("a", 2, "doc 2"), ("b", 1, "doc 1")]
    assert (found.recall("mutes"), found.seen("r")) == ("[]", ("digest", b"answer"))


def test_what_people_have_meanwhile_is_not_owed_to_them_again(disk: Disk) -> None:
    put(disk.ledger, "a")
    disk.refuse()
    put(disk.ledger, "a", 2)
    [first] = disk.ledger.pending()
    disk.ledger.acknowledged(disk.ledger.offer([first]), at=5.0)
    [second] = disk.ledger.pending()
    assert second.key == ("a", 2)
    disk.ledger.acknowledged(disk.ledger.offer([second]), at=5.0)
    assert keys(disk.ledger) == []
    assert disk.ledger.backlog().pending == 0
    disk.take()
    assert disk.ledger.tend() == ""
    assert keys(disk.restarted()) == []


def test_a_body_that_the_disk_cannot_fix_is_the_one_of_its_commit_also_after_a_crash(disk: Disk) -> None:
    put(disk.ledger, "a", triggered=1.0)
    disk.refuse()
    [event] = disk.ledger.pending()
    [published] = disk.ledger.offer([replace(event, body="with latency")])
    assert published.body == "body 1"
    assert disk.ledger.pending()[0].triggered is None, "nobody computes another body for it"
    disk.take()
    assert disk.restarted().pending()[0].body == "body 1"


def test_a_body_fixed_in_memory_reaches_the_disk(disk: Disk) -> None:
    disk.refuse()
    put(disk.ledger, "a", triggered=1.0)
    [event] = disk.ledger.pending()
    disk.ledger.offer([replace(event, body="with latency")])
    disk.take()
    disk.ledger.tend()
    found = disk.restarted()
    assert found.pending()[0].body == "with latency"
    with pytest.raises(LedgerError):
        found.offer([replace(event, body="other")])


def test_a_disk_that_refuses_is_not_asked_for_every_alert(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.refuse()
    put(disk.ledger, "a")
    asked = []
    monkeypatch.setattr(disk.sqlite, "commit", lambda *_, **__: asked.append(1))
    for number in range(5):
        put(disk.ledger, f"b{number}")
    assert asked == []


def test_where_too_much_waits_what_people_have_and_the_least_severe_make_room(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamwatch.ledger.standby.MAX_STEPS", 4)
    disk.refuse()
    for seq in (1, 2, 3):
        put(disk.ledger, "t", seq, severity=Severity.TEST)
    put(disk.ledger, "h")
    disk.ledger.acknowledged([event for event in disk.ledger.pending() if event.key == ("h", 1)], at=1.0)
    put(disk.ledger, "u", severity=Severity.URGENT)
    put(disk.ledger, "u2", severity=Severity.URGENT)
    assert disk.ledger.given_up == 2
    assert keys(disk.ledger) == [("u2", 1), ("u", 1), ("t", 3)]
    assert "some made room" in disk.ledger.tend()
    disk.take()
    assert disk.ledger.tend() == ""
    found = disk.restarted()
    assert (found.find("t").seq, found.find("h").seq) == (3, 1)


def test_an_open_alert_goes_on_after_a_long_refusal(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamwatch.ledger.standby.MAX_STEPS", 10)
    put(disk.ledger, "a")
    disk.refuse()
    put(disk.ledger, "a", 2)
    disk.ledger.acknowledged(disk.ledger.pending(), at=1.0)
    for number in range(9):
        put(disk.ledger, f"b{number}", severity=Severity.URGENT)
    with pytest.raises(LedgerError, match="no room"):
        put(disk.ledger, "one more", severity=Severity.LOW)
    put(disk.ledger, "a grave one", severity=Severity.URGENT)
    disk.take()
    put(disk.ledger, "a", 3)
    assert disk.restarted().find("a").seq == 3


def test_a_disk_that_takes_again_in_the_middle_of_a_delivery(disk: Disk) -> None:
    put(disk.ledger, "a")
    disk.refuse()
    put(disk.ledger, "b")
    events = disk.ledger.pending()
    disk.take()
    assert [event.key for event in disk.ledger.offer(events)] == [("a", 1), ("b", 1)]
    disk.ledger.acknowledged(events, at=1.0)
    assert keys(disk.restarted()) == []


def test_much_that_waits_is_brought_in_parts_and_alerts_go_on_meanwhile(disk: Disk) -> None:
    disk.refuse()
    for number in range(3 * BRING):
        put(disk.ledger, f"{number:04}")
    disk.take()
    assert disk.ledger.tend() != ""
    put(disk.ledger, "new")
    for _ in range(5):
        disk.ledger.tend()
    assert disk.ledger.tend() == ""
    assert len(keys(disk.restarted())) == 3 * BRING + 1


def test_what_is_owed_again_while_the_disk_refuses_is_so_afterwards(disk: Disk) -> None:
    put(disk.ledger, "a")
    disk.ledger.acknowledged(disk.ledger.pending(), at=1.0)
    disk.refuse()
    put(disk.ledger, "b")
    disk.ledger.owe_again([("a", 1)])
    disk.take()
    disk.ledger.tend()
    assert keys(disk.ledger) == [("a", 1), ("b", 1)]


def test_after_a_crash_while_the_disk_refused_no_number_is_used_twice(disk: Disk) -> None:
    put(disk.ledger, "a")
    disk.refuse()
    put(disk.ledger, "a", 2)
    disk._shell.execute("ROLLBACK")  # and the process dies before it tries again
    found = disk.restarted()
    assert found.find("a").seq == 1 + SKIPPED
    found.commit(*step("a", 2 + SKIPPED))
    assert [event.key for event in found.pending()] == [("a", 1), ("a", 2 + SKIPPED)]
    assert disk.restarted().find("a").seq == 2 + SKIPPED, "once"


def test_what_a_crash_left_unsure_is_so_until_numbers_were_skipped(disk: Disk) -> None:
    put(disk.ledger, "a")
    disk.refuse()
    put(disk.ledger, "a", 2)
    disk.sqlite.close()
    with pytest.raises(OutsideError):
        SqliteLedger(disk.folder, clock=disk.clock)  # the disk is still full, say
    disk._shell.execute("ROLLBACK")
    disk.sqlite = SqliteLedger(disk.folder, clock=disk.clock)
    assert disk.sqlite.find("a").seq == 1 + SKIPPED


def test_of_a_closed_alert_that_the_disk_knows_no_number_is_given_up(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamwatch.ledger.standby.MAX_STEPS", 3)
    put(disk.ledger, "b")
    disk.refuse()
    alert, event = step("b", 2)
    disk.ledger.commit(replace(alert, open=False), event)
    for number in range(4):
        put(disk.ledger, f"u{number}", severity=Severity.URGENT)
    assert disk.ledger.find("b").seq == 2


def test_an_orderly_end_brings_to_the_disk_what_waits(disk: Disk) -> None:
    disk.refuse()
    put(disk.ledger, "a")
    disk.take()
    disk.ledger.close()
    disk.sqlite = SqliteLedger(disk.folder, clock=disk.clock)
    assert keys(disk.sqlite) == [("a", 1)]


def test_a_broker_that_forgot_us_is_told_again_of_what_waits_for_the_disk(disk: Disk) -> None:
    disk.refuse()
    put(disk.ledger, "a")
    disk.ledger.acknowledged(disk.ledger.pending(), at=1.0)
    assert keys(disk.ledger) == []
    assert disk.ledger.owe_again() == 1
    assert keys(disk.ledger) == [("a", 1)]


FULL = """
import resource, signal, sys
from pathlib import Path
from streamwatch.domain.alerts import Alert, AlertEvent, Event
from streamwatch.domain.clock import SystemClock
from streamwatch.domain.decisions import Kind, Severity
from streamwatch.ledger import standby
from streamwatch.ledger.sqlite import SqliteLedger

standby.RETRY_S = 0.0
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
clock = SystemClock()
disk = SqliteLedger(Path(sys.argv[1]), clock=clock)
ledger = standby.StandbyLedger(disk, clock=clock)


def put(name):
    alert = Alert(name, "s", "r", Severity.HIGH, Kind.CLASSIFIER, 1, True, "d" * 2000)
    ledger.commit(alert, AlertEvent(name, 1, Event.OPENED, Severity.HIGH, "s", "b" * 2000))


put("before")
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (16384, hard))  # no file grows, as on a full disk
for number in range(50):
    put(f"full{number:02}")
print(len(ledger.pending(1000)), "disk" in ledger.tend())
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
print(repr(ledger.tend()))
ledger.close()
again = SqliteLedger(Path(sys.argv[1]), clock=clock)
print(len(again.pending(1000)), again.set_aside)
"""


def test_a_disk_that_is_really_full_stops_no_alert_and_loses_none_once_there_is_room(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL, str(tmp_path / "state")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    lines = [line for line in done.stdout.splitlines() if not line.startswith("20")]  # ours log on stdout here
    assert (lines, done.stderr) == (["51 True", "''", "51 None"], "")
