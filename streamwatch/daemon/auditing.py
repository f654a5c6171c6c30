"""What the audit log is told, one method for each kind of fact. Nothing here ever raises or waits for more than a disk.

Kept is what was decided, by whom and with what: ids, names of rules and people, versions, hashes. Not kept are notes,
addresses, names and ids of streams, and anything else that a person wrote in free words.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import islice
from typing import Any

import structlog

from streamwatch.alerts.base import DeskRule
from streamwatch.alerts.commands import Command, VerdictCommand
from streamwatch.audit.chain import Tip
from streamwatch.audit.log import AuditError, Fact, Journal
from streamwatch.daemon.setup import Model, Setup
from streamwatch.domain.alerts import AlertEvent, Event
from streamwatch.domain.clock import Clock, rfc3339
from streamwatch.domain.errors import UserError
from streamwatch.domain.streams import StreamId
from streamwatch.telemetry.health import Health

log = structlog.get_logger(__name__)

STARTED, STOPPED = "daemon.started", "daemon.stopped"

WAITING = 1000
"""Lines kept in memory while the disk takes none; more are counted."""
AT_ONCE = 100
"""Of them written at once, when it takes some again."""
LINES, MINUTE_S = 60, 60.0
"""Lines a minute about commands that are refused, or change nothing that lasts; further ones are summed up in one."""
AGE_EVERY_S = 3600.0
SPANS = 10
"""A segment spans at most so much of the time for which lines are kept, or a day: what is old goes by segments."""
_DAY_S = 86400.0
_BATCH_BYTES = 5000
"""Of what is listed in one line."""
_LISTED = 20
_OFTEN = frozenset({"ping", "look", "boost", "resync"})
_TOLD = ("alert_id", "verdict", "rule", "for_s", "kept")
"""Of a command; what else it says is a person's own words, or names a stream."""


class Auditor:
    """Event loop only."""

    def __init__(
        self,
        *,
        journal: Journal,
        health: Health,
        clock: Clock,
        node: str,
        boot_id: str,
        version: str,
        keep_s: float,
        identify: bool,
        layers: Sequence[tuple[str, bool]],
        digest: Callable[[], str],
    ) -> None:
        """`keep_s`: how long lines are kept; `layers`: the daemon's sandbox; `digest`: of the configuration's file."""
        self._journal = journal
        self._health = health
        self._clock = clock
        self._node = node
        self._boot_id = boot_id
        self._version = version
        self._keep_s = keep_s
        self._identify = identify
        self._layers = dict(layers)
        self._digest = digest
        self._waiting: deque[Fact] = deque()
        self._lost = 0
        self._sandboxes: dict[str, dict[str, bool]] = {}
        self._quarantined: set[StreamId] = set()
        self._lines = LINES
        """Left of this minute's."""
        self._sums: Counter[str] = Counter()
        self._minute_at = clock.monotonic()
        self._age_at = float("-inf")

    @property
    def tip(self) -> Tip:
        """The newest line."""
        return self._journal.tip

    @property
    def found(self) -> int:
        """Number of the newest line of before this run; 0 where there was none."""
        return self._journal.last.n if self._journal.last is not None else 0

    def close(self) -> None:
        """Let go of the log."""
        self._journal.close()

    # --- the daemon and what it works by -------------------------------------------------------------------------

    def started(self, setup: Setup) -> None:
        """The daemon begins its work."""
        with suppress(AuditError):  # the first line will say it
            self._journal.open()
        last = self._journal.last
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
        self._write((STARTED, facts), *models, *rules)

    def stopped(self) -> None:
        """The daemon ends in good order."""
        self._sum_up()
        self._write((STOPPED, {"boot_id": self._boot_id}))

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
        lines: list[tuple[str, Mapping[str, Any]]] = [("config.taken", facts)]
        had, has = ({model.name: model for model in setup.written.models} for setup in (before, after))
        for name in sorted(had.keys() | has.keys()):
            if had.get(name) != has.get(name):
                was, now = had.get(name), has.get(name)
                change = {"before": was and _model(was), "after": now and _model(now)}
                lines.append(("models.changed", {"name": name, **change}))
        if before.desk_rules != after.desk_rules:
            lines += self._listed("rules.in_force", map(_rule, after.desk_rules))
        self._write(*lines)

    def refused(self, error: UserError) -> None:
        """A configuration was not taken over. Kept is where it is wrong, not what stands there."""
        keys = [problem.key or problem.where for problem in error.problems[:_LISTED]]
        self._write(("config.refused", {"sha256": self._digest(), "problems": len(error.problems), "keys": keys}))

    def sandbox(self, of: str, layers: Iterable[tuple[str, bool]]) -> None:
        """What holds a kind of process now; written where it changed."""
        stands = dict(layers)
        if stands != self._sandboxes.get(of):
            self._sandboxes[of] = stands
            self._write(("sandbox.state", {"of": of, "layers": stands}))

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
            self._write((kind, facts))
        else:
            self._sums[f"accepted {verb}"] += 1

    def rejected(self, verb: str, who: str, refusal: str, request_id: str | None) -> None:
        """The gate refused a command."""
        if self._room():
            request = None if request_id is None else digest_of(request_id)
            self._write(("command.refused", {"verb": verb, "who": who, "refusal": refusal, "request": request}))
        else:
            self._sums[f"refused {refusal}"] += 1

    # --- alerts, watchers, the ledger ----------------------------------------------------------------------------

    def alert(self, event: AlertEvent) -> None:
        """A step in an alert's life; opened and closed are written."""
        if event.event not in (Event.OPENED, Event.CLOSED):
            return
        body = json.loads(event.body)
        facts = {"alert_id": event.alert_id, "seq": event.seq, "severity": event.severity.value}
        facts |= {name: body.get(name) for name in ("rule", "kind", "detector")}
        if event.event is Event.CLOSED:
            facts["close_reason"] = body.get("close_reason")
        self._write((f"alert.{event.event.value}", facts))

    def watcher_lost(self, slot: int, reason: str) -> None:
        """A watcher ended, was killed or replaced."""
        self._write(("watcher.lost", {"watcher": slot, "reason": reason}))

    def quarantined(self, stream: StreamId, *, held: bool) -> None:
        """A stream is left alone because it seems to break watchers, or no longer. Said again, it is not written."""
        if held == (stream in self._quarantined):
            return
        (self._quarantined.add if held else self._quarantined.discard)(stream)
        self._write(("stream.quarantined" if held else "stream.released", {"stream": digest_of(stream)}))

    def evicted(self, words: str) -> None:
        """The ledger was too large, and something had to go."""
        self._write(("ledger.evicted", {"gone": words}))

    # --- clock-work ----------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Write what waits, sum up what was too much for lines, let go of what is old. Called every second or so."""
        now = self._clock.monotonic()
        if now - self._minute_at >= MINUTE_S:
            self._minute_at, self._lines = now, LINES
            self._sum_up()
        self._flush()
        if now >= self._age_at:
            self._age_at = now + self._age()

    def _age(self) -> float:
        """Let go of a segment that is old; in how many seconds to look for another one."""
        now = self._clock.now()
        span_s = max(self._keep_s / SPANS, _DAY_S)
        try:
            gone = self._journal.age(
                at=rfc3339(now),
                delete=rfc3339(now - timedelta(seconds=self._keep_s)),
                close=rfc3339(now - timedelta(seconds=span_s)),
            )
        except AuditError as error:
            self._health.degrade("audit", str(error))
            return MINUTE_S
        if not self._waiting:
            self._health.mend("audit")
        return 1.0 if gone else AGE_EVERY_S

    def _room(self) -> bool:
        if not self._lines:
            return False
        self._lines -= 1
        return True

    def _sum_up(self) -> None:
        if self._sums:
            sums, self._sums = self._sums, Counter()
            self._write(("command.sums", {"within_s": MINUTE_S, **dict(sorted(sums.items())[:_LISTED])}))

    def _listed(self, kind: str, items: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
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

    def _write(self, *lines: tuple[str, Mapping[str, Any]]) -> None:
        at, stuck = rfc3339(self._clock.now()), bool(self._waiting)
        self._waiting.extend(Fact(at, kind, facts) for kind, facts in lines)
        while len(self._waiting) > WAITING:
            self._waiting.popleft()
            self._lost += 1
        if not stuck:  # else `tick` tries again: a full disk must not cost every alert an attempt
            self._flush()

    def _flush(self) -> None:
        """Write what waits; where the disk refuses, it goes on waiting, and alerts do not."""
        while self._waiting:
            facts = list(islice(self._waiting, AT_ONCE))
            lost = [Fact(facts[0].at, "audit.lost", {"lines": self._lost})] if self._lost else []
            try:
                self._journal.append(*lost, *facts)
            except AuditError as error:
                self._health.degrade("audit", str(error))
                return
            self._lost = 0
            for _ in facts:
                self._waiting.popleft()
            self._health.mend("audit")


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
