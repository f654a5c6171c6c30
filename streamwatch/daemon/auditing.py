"""What the audit log is told, one method for each kind of fact. Nothing here ever raises.

Kept is what was decided, by whom and with what: ids, names of rules and people, versions, hashes. Not kept are notes,
addresses, names and ids of streams, and anything else that a person wrote in free words.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from streamwatch.alerts.base import DeskRule
from streamwatch.alerts.commands import Command, VerdictCommand
from streamwatch.daemon.scribe import Line, Scribe
from streamwatch.daemon.setup import Model, Setup
from streamwatch.domain.alerts import AlertEvent, Event
from streamwatch.domain.clock import Clock
from streamwatch.domain.errors import UserError
from streamwatch.domain.streams import StreamId

STARTED, STOPPED = "daemon.started", "daemon.stopped"

LINES, MINUTE_S = 60, 60.0
"""Lines a minute about commands that are refused, or change nothing that lasts; further ones are summed up in one."""
_BATCH_BYTES = 5000
"""Of what is listed in one line."""
_LISTED = 20
REMEMBERED = 10_000
"""Alerts of which it is known what was told; of an older one the same may be told again."""
_OFTEN = frozenset({"ping", "look", "boost", "resync"})
_TOLD = ("alert_id", "verdict", "rule", "for_s", "kept")
"""Of a command; what else it says is a person's own words, or names a stream."""


class Auditor:
    """Event loop only."""

    def __init__(
        self,
        *,
        scribe: Scribe,
        clock: Clock,
        node: str,
        boot_id: str,
        version: str,
        identify: bool,
        layers: Sequence[tuple[str, bool]],
        digest: Callable[[], str],
    ) -> None:
        """`layers`: the daemon's sandbox; `digest`: of the configuration's file as it is now."""
        self._scribe = scribe
        self._clock = clock
        self._node = node
        self._boot_id = boot_id
        self._version = version
        self._identify = identify
        self._layers = dict(layers)
        self._digest = digest
        self._sandboxes: dict[str, dict[str, bool]] = {}
        self._quarantined: set[StreamId] = set()
        self._steps: dict[str, dict[str, Any]] = {}
        """Of alerts that became graver, or were escalated: what was told of it; the alert that spoke last is last."""
        self._lines = LINES
        """Left of this minute's."""
        self._sums: Counter[str] = Counter()
        self._minute_at = clock.monotonic()

    # --- the daemon and what it works by -------------------------------------------------------------------------

    def started(self, setup: Setup) -> None:
        """The daemon begins its work."""
        self._scribe.open()
        last = self._scribe.last
        facts = {
            "node": self._node,
            "boot_id": self._boot_id,
            "after": "nothing" if last is None else "stop" if last.kind == STOPPED else "crash",
            "version": self._version,
            "config_sha256": setup.written.sha256,
            "streams": len(setup.streams),
            "models": len(setup.written.models),
            "rules": len(setup.desk_rules),
            "identify": "topic" if self._identify else "none",
            "sandbox": self._layers,
        }
        self._sandboxes["daemon"] = self._layers
        models = self._listed("models.in_force", map(_model, setup.written.models))
        rules = self._listed("rules.in_force", map(_rule, setup.desk_rules))
        self._scribe.write((STARTED, facts), *models, *rules)

    def stopped(self) -> None:
        """The daemon ends in good order."""
        self._sum_up()
        self._scribe.write((STOPPED, {"boot_id": self._boot_id}))

    def taken_over(self, before: Setup, after: Setup) -> None:
        """Another configuration is in force."""
        old, new = dict(before.written.sections), dict(after.written.sections)
        facts = {
            "sha256": after.written.sha256,
            "before_sha256": before.written.sha256,
            "sections": sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name)),
            "streams": len(after.streams),
            "models_kept": len(after.kept),
        }
        lines: list[Line] = [("config.taken", facts)]
        had, has = ({model.name: model for model in setup.written.models} for setup in (before, after))
        for name in sorted(had.keys() | has.keys()):
            if had.get(name) != has.get(name):
                was, now = had.get(name), has.get(name)
                change = {"before": was and _model(was), "after": now and _model(now)}
                lines.append(("models.changed", {"name": name, **change}))
        if before.desk_rules != after.desk_rules:
            lines += self._listed("rules.in_force", map(_rule, after.desk_rules))
        self._scribe.write(*lines)

    def refused(self, error: UserError) -> None:
        """A configuration was not taken over. Kept is where it is wrong, not what stands there."""
        keys = [problem.key or problem.where for problem in error.problems[:_LISTED]]
        self._scribe.write(
            ("config.refused", {"sha256": self._digest(), "problems": len(error.problems), "keys": keys})
        )

    def sandbox(self, of: str, layers: Iterable[tuple[str, bool]]) -> None:
        """What holds a kind of process now; written where it changed."""
        stands = dict(layers)
        if stands != self._sandboxes.get(of):
            self._sandboxes[of] = stands
            self._scribe.write(("sandbox.state", {"of": of, "layers": stands}))

    # --- what people and systems asked for -----------------------------------------------------------------------

    def accepted(self, verb: str, command: Command, who: str, answer: Mapping[str, Any]) -> None:
        """A command was executed, or refused by who executes it. `answer`: our reply."""
        facts: dict[str, Any] = {"verb": verb, "who": who, "request": digest_of(command.request_id)}
        facts |= {name: answer[name] for name in ("result", "why", "alert_id", "seq") if answer.get(name) is not None}
        facts |= {name: getattr(command, name) for name in _TOLD if getattr(command, name, None) is not None}
        kind = "command.accepted"
        if isinstance(command, VerdictCommand):
            viewed_s = sum((one.to - one.from_).total_seconds() for one in command.viewed)
            kind, facts["viewed_s"] = "verdict.given", round(viewed_s, 1)
        if verb not in _OFTEN or self._room():
            self._scribe.write((kind, facts))
        else:
            self._sums[f"accepted {verb}"] += 1

    def rejected(self, verb: str, who: str, refusal: str, request_id: str | None) -> None:
        """The gate refused a command."""
        if self._room():
            request = None if request_id is None else digest_of(request_id)
            self._scribe.write(("command.refused", {"verb": verb, "who": who, "refusal": refusal, "request": request}))
        else:
            self._sums[f"refused {refusal}"] += 1

    # --- alerts, watchers, the ledger ----------------------------------------------------------------------------

    def alert(self, event: AlertEvent) -> None:
        """A step in an alert's life. Written are opened and closed, and when it became graver or nobody looked."""
        body = json.loads(event.body)
        facts = {"alert_id": event.alert_id, "seq": event.seq, "severity": event.severity.value}
        if event.event in (Event.OPENED, Event.CLOSED):
            said = {name: body[name] for name in ("rule", "kind", "detector", "close_reason") if name in body}
            self._scribe.write((f"alert.{event.event.value}", facts | said))
        known = self._steps.pop(event.alert_id, {})
        steps = {name: body[name] for name in ("raised", "escalated") if body.get(name) is not None}
        for name, told in steps.items():
            if known.get(name) != told:
                self._scribe.write((f"alert.{name}", facts | {name: told}))
        if steps:
            self._steps[event.alert_id] = steps
            if len(self._steps) > REMEMBERED:
                del self._steps[next(iter(self._steps))]

    def watcher_lost(self, slot: int, reason: str) -> None:
        """A watcher ended, was killed or replaced."""
        self._scribe.write(("watcher.lost", {"watcher": slot, "reason": reason}))

    def quarantined(self, stream: StreamId, *, held: bool) -> None:
        """A stream is left alone because it seems to break watchers, or no longer. Said again, it is not written."""
        if held == (stream in self._quarantined):
            return
        (self._quarantined.add if held else self._quarantined.discard)(stream)
        self._scribe.write(("stream.quarantined" if held else "stream.released", {"stream": digest_of(stream)}))

    def evicted(self, words: str) -> None:
        """The ledger was too large, and something had to go."""
        self._scribe.write(("ledger.evicted", {"gone": words}))

    # --- clock-work ----------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Write what waits, sum up what was too much for lines, let go of what is old. Called every second or so."""
        now = self._clock.monotonic()
        if now - self._minute_at >= MINUTE_S:
            self._minute_at, self._lines = now, LINES
            self._sum_up()
        self._scribe.tick()

    def _room(self) -> bool:
        if not self._lines:
            return False
        self._lines -= 1
        return True

    def _sum_up(self) -> None:
        if self._sums:
            sums, self._sums = self._sums, Counter()
            self._scribe.write(("command.sums", {"within_s": MINUTE_S, **dict(sorted(sums.items())[:_LISTED])}))

    def _listed(self, kind: str, items: Iterable[Mapping[str, Any]]) -> Iterator[Line]:
        """As many lines as a list takes."""
        batch: list[Mapping[str, Any]] = []
        size = 0
        for item in items:
            more = len(json.dumps(item))
            if batch and size + more > _BATCH_BYTES:
                yield kind, {"listed": batch}
                batch, size = [], 0
            batch.append(item)
            size += more
        if batch:
            yield kind, {"listed": batch}


def digest_of(word: str) -> str:
    """Tells whether two words are the same, and not what they are."""
    return hashlib.sha256(word.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _model(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "kind": model.kind,
        "version": model.version,
        "sha256": model.sha256,
        "mode": model.mode,
    }


def _rule(rule: DeskRule) -> dict[str, Any]:
    spec = rule.spec
    return {
        "name": spec.name,
        "detector": spec.detector,
        "label": spec.label,
        "severity": spec.severity.value,
        "open": [spec.open.score, spec.open.hits, spec.open.within_s, spec.open.spacing_s],
        "close": [spec.close.score, spec.close.for_s],
        "raise": None if spec.raise_ is None else [spec.raise_.to.value, spec.raise_.score, spec.raise_.after_s],
        "cooldown_s": spec.cooldown_s,
    }
