"""What a ledger written with plain ids or names still tells, taken out once they are to be hidden.

Ids and names are hidden where the configuration is read, so nothing new holds them. What was written before is
rewritten here, once, at the first start after the change: open alerts go on under their pseudonyms.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from streamwatch.domain.streams import NODE
from streamwatch.ledger.keeping import Database

NOTE = "hiding"
Pseudonym = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Hiding:
    """What a configuration hides."""

    pseudonym: Pseudonym | None = None
    """From a plain id to the one in its place; None where ids are plain."""
    names: bool = False

    @property
    def word(self) -> str:
        """As the ledger remembers it."""
        return f"ids={'keyed' if self.pseudonym else 'plain'} names={'hidden' if self.names else 'shown'}"

    def exceeds(self, word: str | None) -> bool:
        """Whether it hides what a ledger, last used under `word`, may still tell. A new key hides no more."""
        known = word or Hiding().word
        return ("ids=plain" in known and self.pseudonym is not None) or ("names=shown" in known and self.names)


def rewrite(db: Database, hiding: Hiding, before: str | None) -> int:
    """Hide in every row what `hiding` hides and `before` did not; returns how many there were. In a transaction.

    Mutes and demands, which stand for minutes, are dropped: they name streams too. So are scores of single frames:
    they may be many millions.
    """
    pseudonym = hiding.pseudonym if "ids=plain" in (before or Hiding().word) else None
    rows = db.execute("SELECT id, stream, document FROM alerts").fetchall()
    for alert_id, stream, document in rows:
        db.execute(
            "UPDATE alerts SET stream = ?, document = ? WHERE id = ?",
            (_id(stream, pseudonym), _document(document, hiding, pseudonym), alert_id),
        )
    for position, body in db.execute("SELECT position, body FROM events").fetchall():
        db.execute("UPDATE events SET body = ? WHERE position = ?", (_document(body, hiding, pseudonym), position))
    pages: list[Any] = []
    if pseudonym is not None:
        pages += db.execute("SELECT number, name FROM coverage_pages WHERE kind = 'stream'").fetchall()
        for number, name in pages:
            db.execute("UPDATE OR REPLACE coverage_pages SET name = ? WHERE number = ?", (_id(name, pseudonym), number))
        db.execute("DELETE FROM samples")
        db.execute("DELETE FROM notes WHERE key NOT IN ('opened', 'written', 'on_duty', 'preserve_answers')")
    return len(rows) + len(pages)


def _id(blob: bytes, pseudonym: Pseudonym | None) -> bytes:
    if pseudonym is None or bytes(blob) == NODE.encode():
        return bytes(blob)
    return pseudonym(bytes(blob).decode("utf-8", "surrogatepass")).encode("utf-8", "surrogatepass")


def _document(text: str, hiding: Hiding, pseudonym: Pseudonym | None) -> str:
    """A document with its stream hidden; what is no document of ours tells nothing that may stay."""
    try:
        data: dict[str, Any] = json.loads(text)
        stream = data["stream"]
        plain = stream["id"]
        if pseudonym is not None:
            stream["id"] = plain if plain == NODE else pseudonym(plain)
            if data.get("summary"):
                data["summary"]["examples"] = [pseudonym(one) for one in data["summary"]["examples"]]
        if hiding.names:
            stream["name"], stream["watch_url"] = "", None
    except (ValueError, TypeError, KeyError, AttributeError):
        return "{}"
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
