"""What a bench is doing, for a person who waits."""

from __future__ import annotations

from rich.console import Console
from rich.status import Status

from streamwatch.bench.measure import Told


def teller(console: Console, status: Status) -> Told:
    """Says what is being done: on one line that changes, or where there is no terminal as few lines as tell it."""
    said = ""

    def told(text: str) -> None:
        nonlocal said
        if console.is_terminal:
            status.update(text)
            return
        kind = "".join(char for char in text if not char.isdigit())
        if kind != said:
            said = kind
            console.print(text)

    return told
