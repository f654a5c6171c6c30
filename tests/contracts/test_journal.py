"""What writers of the audit log rely on, of the log on disk and of the one in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from streamwatch.audit.chain import Tip, read
from streamwatch.audit.log import AuditError, AuditLog, Fact, Journal
from streamwatch.audit.segments import Reading
from streamwatch.audit.verification import verify
from tests.audit.book import AT
from tests.fakes.journal import FakeJournal


class OnDisk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self) -> Journal:
        return AuditLog(self.folder)

    def lines(self) -> list[bytes]:
        return list(Reading(self.folder).lines())

    def spoil(self, journal: Journal) -> None:
        journal.close()
        self.folder.rename(self.folder.with_name("away"))

    def mend(self, journal: Journal) -> None:
        self.folder.with_name("away").rename(self.folder)


class InMemory:
    def __init__(self, _: Path) -> None:
        self.journal = FakeJournal()

    def open(self) -> Journal:
        self.journal = FakeJournal(*self.journal.lines)
        return self.journal

    def lines(self) -> list[bytes]:
        return self.journal.lines

    def spoil(self, journal: Journal) -> None:
        self.journal.full = True

    def mend(self, journal: Journal) -> None:
        self.journal.full = False


Kind = Callable[[Path], OnDisk | InMemory]


@pytest.fixture(params=[OnDisk, InMemory])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> OnDisk | InMemory:
    kind: Kind = request.param
    (tmp_path / "state").mkdir()
    return kind(tmp_path / "state")


def fact(number: int) -> Fact:
    return Fact(AT, "a.kind", {"number": number})


def test_a_new_one_is_empty_and_has_no_last_line(place):
    journal = place.open()
    journal.open()
    assert (journal.tip, journal.last) == (Tip(), None)
    journal.close()
    assert place.lines() == []


def test_lines_stand_in_order_and_the_next_run_goes_on_behind_them(place):
    journal = place.open()
    journal.append(fact(1), fact(2))
    journal.append(fact(3))
    tip = journal.tip
    journal.close()
    journal = place.open()
    journal.open()
    assert (journal.tip, journal.last.n, journal.last.facts) == (tip, 3, {"number": 3})
    journal.append(fact(4))
    assert (journal.tip.n, journal.last.n) == (4, 3)
    journal.close()
    journal.close()
    assert [read(data).facts["number"] for data in place.lines()] == [1, 2, 3, 4]
    assert verify(place.lines()).damages == []


def test_what_is_refused_is_not_written_and_can_be_written_later(place):
    journal = place.open()
    journal.append(fact(1))
    place.spoil(journal)
    for call in (journal.open, lambda: journal.append(fact(2))):
        with pytest.raises(AuditError):
            call()
    assert journal.tip.n == 1
    place.mend(journal)
    journal.append(fact(2))
    journal.close()
    assert [read(data).facts["number"] for data in place.lines()] == [1, 2]


def test_nothing_that_is_young_goes(place):
    journal = place.open()
    journal.append(fact(1))
    assert journal.age(at=AT, delete="2020-01-01T00:00:00.000Z", close="2020-01-01T00:00:00.000Z") == 0
    journal.close()
    assert len(place.lines()) == 1
