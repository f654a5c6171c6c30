"""The contract of discovery: who is live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from streamwatch.domain.streams import StreamSpec


class Origin(Protocol):
    """An ingest server, or the configuration, that tells which streams shall be watched."""

    @property
    def name(self) -> str:
        """Unique in a configuration; `static` for the configuration's own list."""
        ...

    async def streams(self) -> Sequence[StreamSpec]:
        """The streams that exist now. Raises OutsideError where the origin does not answer: then nothing changed."""
        ...
