"""A small table of what was done and measured, and what is wrong in it."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.torture.verdict import Verdict


@dataclass(slots=True)
class Report:
    """A small table, and what is wrong in it."""

    rows: list[tuple[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)
    """Figures that were promised and not reached: another try may, where the machine had other things to do."""

    def row(self, what: str, figure: str) -> None:
        self.rows.append((what, figure))

    def promise(self, what: str, value: float, limit: float, unit: str) -> None:
        """A figure that is held to a limit."""
        kept = value <= limit
        self.row(what, f"{value:.3g} {unit} (promised {limit:g} {unit}{'' if kept else ': BROKEN'})")
        if not kept:
            self.slow.append(f"{what}: {value:.3g} {unit}, promised {limit:g}")

    def verdict(self, verdict: Verdict) -> None:
        self.row("events committed", str(verdict.committed))
        self.row("events received", f"{verdict.received}, and {verdict.again} of them again")
        for name, count in (
            ("lost", len(verdict.lost)),
            ("out of order", len(verdict.late)),
            ("two bodies", len(verdict.two_bodies)),
        ):
            self.row(name, str(count))
        for word, keys in verdict.faults.items():
            self.faults.append(f"{word}: {len(keys)}, such as {', '.join(map(str, keys[:3]))}")

    @property
    def text(self) -> str:
        wide = max(len(what) for what, _ in self.rows)
        lines = [f"  {what:<{wide}}  {figure}" for what, figure in self.rows]
        return "\n".join([*lines, *(f"  FAULT  {fault}" for fault in [*self.faults, *self.slow])])

    @property
    def kept(self) -> bool:
        """Whether everything was as promised."""
        return not self.faults and not self.slow
