"""The threat model is read again before it is old: the date of the last time stands in it, and this test holds it."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"
HEADING = "## Security: threat model"
REVIEWED = re.compile(r"^reviewed_on:\s*(\S+)\s*$", re.MULTILINE)
LONGEST = timedelta(days=180)
SLACK = timedelta(days=1)
"""Where the reviewer lives it may be tomorrow already."""


def trouble(text: str, today: date) -> str:
    """What is wrong with the review of the threat model in this text; empty when nothing is."""
    how = f"CONTRIBUTING.md, section {HEADING!r}: read it against the code, mend what changed, and date it"
    _, found, section = text.partition(f"{HEADING}\n")
    section = re.split(r"^## ", section, maxsplit=1, flags=re.MULTILINE)[0]
    dates = REVIEWED.findall(section)
    if not found or len(dates) != 1:
        return f"{how}: `reviewed_on: {today}`, once"
    try:
        reviewed = date.fromisoformat(dates[0])
    except ValueError:
        return f"{how}: {dates[0]!r} is no date, `reviewed_on: {today}` would be one"
    if reviewed > today + SLACK:
        return f"{how}: {reviewed} is still to come; `reviewed_on` is the day on which it was read"
    if today - reviewed > LONGEST:
        return f"{how}: {reviewed} is {(today - reviewed).days} days ago, at most {LONGEST.days} are allowed"
    return ""


def test_the_threat_model_was_reviewed_in_the_last_180_days() -> None:
    found = trouble(CONTRIBUTING.read_text(encoding="utf-8"), datetime.now(UTC).date())
    assert not found, found


@pytest.mark.parametrize(
    ("line", "fine"),
    [
        ("reviewed_on: 2026-11-25", True),
        ("reviewed_on: 2026-11-26", True),
        ("reviewed_on: 2026-05-29", True),
        ("reviewed_on: 2026-05-28", False),
        ("reviewed_on: 2026-11-27", False),
        ("reviewed_on: yesterday", False),
        ("reviewed_on: 2026-11-31", False),
        ("reviewed_on: 2026-11-25\nreviewed_on: 2026-11-25", False),
        ("", False),
    ],
)
def test_a_date_that_is_missing_wrong_old_or_to_come_is_found(line: str, *, fine: bool) -> None:
    text = f"# How\n\n{HEADING}\n\n{line}\n\n## Next\n\nreviewed_on: 2001-01-01\n"
    assert (trouble(text, date(2026, 11, 25)) == "") is fine


def test_a_date_elsewhere_does_not_count() -> None:
    assert trouble("# How\n\nreviewed_on: 2026-11-25\n", date(2026, 11, 25))
