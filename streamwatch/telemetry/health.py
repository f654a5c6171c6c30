"""Is this daemon doing its work? Facts in, one answer out; said in `P/status`, `/healthz` and `/readyz`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import structlog

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Health:
    """Reasons for being degraded, by key. Set and cleared by whoever knows; logged on the edges."""

    _reasons: dict[str, str] = field(default_factory=dict)
    changed: bool = True
    """Something changed since the status was last published."""

    def degrade(self, key: str, reason: str) -> None:
        """Something is wrong; `key` names it for `mend`."""
        if self._reasons.get(key) != reason:
            if key not in self._reasons:
                log.error("degraded", what=key, reason=reason)
            self._reasons[key] = reason
            self.changed = True

    def mend(self, key: str) -> None:
        """It is right again."""
        if self._reasons.pop(key, None) is not None:
            log.info("mended", what=key)
            self.changed = True

    def is_degraded(self, key: str) -> bool:
        """Whether this is wrong now."""
        return key in self._reasons

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why this daemon is degraded, worded for people; empty when all is well."""
        return tuple(f"{key}: {reason}" for key, reason in sorted(self._reasons.items()))

    @property
    def state(self) -> Literal["online", "degraded"]:
        """`online` or `degraded`."""
        return "degraded" if self._reasons else "online"
