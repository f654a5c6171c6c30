"""The threat model is read against the code at least twice a year."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"
DAYS = 180


def test_the_threat_model_was_reviewed_lately():
    _, found, section = CONTRIBUTING.read_text("utf-8").partition("\n## Security: threat model\n")
    assert found, "CONTRIBUTING.md has lost its section on security"
    dates = re.findall(r"^reviewed_on: (\d{4}-\d\d-\d\d)$", section.partition("\n## ")[0], re.MULTILINE)
    assert len(dates) == 1, "one line `reviewed_on: YYYY-MM-DD` belongs there"
    age = dt.datetime.now(dt.UTC).date() - dt.date.fromisoformat(dates[0])
    assert age >= dt.timedelta(days=-1), "reviewed in the future"
    assert age <= dt.timedelta(days=DAYS), (
        f"reviewed {age.days} days ago: read the section against the code, mend either, set the date anew"
    )
