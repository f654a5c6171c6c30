"""The gate for commands and signals: what may be executed, what is answered from memory, what is refused and why."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Protocol

from pydantic import ValidationError
from pydantic_core import from_json

from streamwatch.alerts.base import Result
from streamwatch.alerts.commands import COMMANDS, MAX_BYTES, NEEDS_IDENTITY, SIGNAL, Command, Reply, SignalCommand
from streamwatch.domain.clock import Clock
from streamwatch.domain.urls import printable

STALE_AFTER = timedelta(minutes=5)
"""An older command (or one from so far in the future) is refused: it may be a recording."""
REMEMBER_S = 900.0
"""Answers are kept for longer than a command can stay fresh: from 5 minutes early to 5 minutes late, and a reserve."""
REMEMBER_PEOPLE_S = 3600.0
"""People's longer: where memory is short, what is to be forgotten first goes, and a flood never forgets theirs."""
REMEMBER_SIGNALS_S = 660.0
"""Those of signals for less, but still for longer than one can stay fresh: no flood of them forgets a command's."""
BURST = 60
"""Commands of a verb at once: of one sender for whom the broker vouches, or of all others together."""
PER_S = 20.0
"""And from then on: as many boosts a second as hundreds of streams need."""
MAX_SENDERS = 256
"""Verbs of senders with a pace of their own: more than people and tools send at the same time."""

SIGNALS_PER_S = 5.0
"""Signals of one source: a thousand streams, each again every few minutes. A burst is as large as that of a verb."""
MAX_SOURCES = 32
"""Sources with a pace of their own; those that come on top of so many busy ones share one."""


class Refusal(StrEnum):
    """Why a command was refused; a closed list, for a counter."""

    RETAINED = "retained"
    OVERSIZED = "oversized"
    UNKNOWN_VERB = "unknown_verb"
    MALFORMED = "malformed"
    STALE = "stale"
    REPLAYED = "replayed"
    NO_IDENTITY = "no_identity"
    TOO_MANY = "too_many"


class SeenCommands(Protocol):
    """Where answers are remembered; durable, a ledger satisfies it. Raises LedgerError."""

    def seen(self, request_id: str) -> tuple[str, bytes] | None:
        """Digest and answer of a command answered not long ago."""
        ...

    def answered(self, request_id: str, digest: str, answer: bytes, *, keep_s: float) -> None:
        """Remember an answer for `keep_s` seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Accepted:
    """A command to execute once; its reply goes through `CommandGate.answer`."""

    verb: str
    command: Command
    who: str
    """The sender: the topic's word, else the payload's; empty where nobody said."""
    digest: str
    key: str
    """Under which the answer is remembered: nobody's request_id is in another's way."""
    keep_s: float


@dataclass(frozen=True, slots=True)
class Answered:
    """Nothing to execute: this is the reply."""

    reply: bytes
    """Empty: there were too many to answer them all."""
    refusal: Refusal | None
    """None: the same command was answered before, and gets the same answer."""


class CommandGate:
    """Judges commands as they arrive, one at a time."""

    def __init__(self, *, seen: SeenCommands, clock: Clock, identify: bool) -> None:
        self._seen = seen
        self._clock = clock
        self._identify = identify
        """`mqtt.identify: topic`: what needs a known sender is accepted only from a topic that names one."""
        self._paces: dict[str, _Pace] = {}
        self._senders = _Paces(MAX_SENDERS, PER_S)
        self._sources = _Paces(MAX_SOURCES, SIGNALS_PER_S)
        self.refused: Counter[Refusal] = Counter()

    def judge(self, *, verb: str, who: str | None, payload: bytes, retained: bool) -> Accepted | Answered:
        """Judge one message from `P/commands/{verb}[/{who}]`. Raises LedgerError: then nothing is executed."""
        vouched = verb in NEEDS_IDENTITY and (bool(who) or not self._identify)
        if not vouched and not self._pace(verb, who):
            self.refused[Refusal.TOO_MANY] += 1
            return Answered(b"", Refusal.TOO_MANY)
        keep_s = REMEMBER_PEOPLE_S if vouched else REMEMBER_S
        return self._judge(verb, who, payload, retained=retained, kinds=COMMANDS, keep_s=keep_s)

    def judge_signal(self, *, source: str, payload: bytes, retained: bool) -> Accepted | Answered:
        """Judge one message from `P/signals/{source}`; the source is the sender. Raises LedgerError as `judge`."""
        if not self._sources.step(source, self._clock.monotonic()):
            self.refused[Refusal.TOO_MANY] += 1
            return Answered(b"", Refusal.TOO_MANY)
        return self._judge(SIGNAL, source, payload, retained=retained, kinds=_SIGNALS, keep_s=REMEMBER_SIGNALS_S)

    def _judge(
        self,
        verb: str,
        who: str | None,
        payload: bytes,
        *,
        retained: bool,
        kinds: Mapping[str, type[Command]],
        keep_s: float,
    ) -> Accepted | Answered:
        try:
            kind = _kind(verb, payload, retained=retained, kinds=kinds)
            command, raw = _read(kind, payload)
            digest = _digest(verb, who, raw)
            key = f"{verb}/{who or ''}/{command.request_id}"  # neither verb nor sender, levels of a topic, holds a /
            known = self._seen.seen(key)
            if known is not None and known[0] == digest:
                return Answered(known[1], None)
            self._check(verb, who, command, seen=known is not None)
        except _Refused as refused:
            return self._refuse(refused, verb)
        sender = who or str(getattr(command, "moderator", ""))
        return Accepted(verb, command, sender, digest, key, keep_s)

    def answer(self, accepted: Accepted, reply: Reply) -> bytes:
        """Remember the reply to an executed command and return it encoded. Raises LedgerError."""
        encoded = reply.encode()
        self._seen.answered(accepted.key, accepted.digest, encoded, keep_s=accepted.keep_s)
        return encoded

    def _pace(self, verb: str, who: str | None) -> bool:
        """Whether one more of this verb is answered now. Verbs that we do not know share one pace.

        A sender for whom the broker vouches has a pace apart from what nobody in particular sends.
        """
        name, now = verb if verb in COMMANDS else "", self._clock.monotonic()
        if who and self._identify:
            return self._senders.step(f"{name}/{who}", now)
        return self._paces.setdefault(name, _Pace(PER_S)).step(now)

    def _check(self, verb: str, who: str | None, command: Command, *, seen: bool) -> None:
        if seen:
            raise _Refused(Refusal.REPLAYED, "this request_id was used with another body", command.request_id)
        if self._identify and verb in NEEDS_IDENTITY and not who:
            why = f"send it to commands/{verb}/{{who}}, where the broker vouches for the sender"
            raise _Refused(Refusal.NO_IDENTITY, why, command.request_id)
        if abs(self._clock.now() - command.at) > STALE_AFTER:
            raise _Refused(Refusal.STALE, "`at` is more than 5 minutes from now", command.request_id)

    def _refuse(self, refused: _Refused, verb: str) -> Answered:
        self.refused[refused.refusal] += 1
        why = printable(refused.why, 300)
        reply = Reply(request_id=refused.request_id, verb=printable(verb, 64), result=Result.REFUSED, why=why)
        return Answered(reply.encode(), refused.refusal)


_SIGNALS = {SIGNAL: SignalCommand}


class _Pace:
    """A bucket of `BURST` that fills again by so many a second."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._left = float(BURST)
        self._at = float("-inf")

    def step(self, now: float) -> bool:
        """Take one, if one is left. `now`: monotonic seconds."""
        self._left, self._at = self._filled(now), now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def full(self, now: float) -> bool:
        """Whether it is as good as new."""
        return self._filled(now) >= BURST

    def _filled(self, now: float) -> float:
        return min(self._left + (now - self._at) * self._per_s, BURST)


class _Paces:
    """One for each, as long as there are not too many: those that come on top of so many busy ones share one."""

    def __init__(self, limit: int, per_s: float) -> None:
        self._limit = limit
        self._per_s = per_s
        self._own: dict[str, _Pace] = {}
        self._shared = _Pace(per_s)

    def __len__(self) -> int:
        """How many have one of their own."""
        return len(self._own)

    def step(self, name: str, now: float) -> bool:
        """Take one of this name's, if one is left. `now`: monotonic seconds."""
        if name not in self._own and len(self._own) >= self._limit:
            # those that rest are forgotten, which changes nothing
            self._own = {other: pace for other, pace in self._own.items() if not pace.full(now)}
            if len(self._own) >= self._limit:
                return self._shared.step(now)
        return self._own.setdefault(name, _Pace(self._per_s)).step(now)


class _Refused(Exception):
    """Carries a refusal out of the steps of `judge`."""

    def __init__(self, refusal: Refusal, why: str, request_id: str | None = None) -> None:
        super().__init__(why)
        self.refusal = refusal
        self.why = why
        self.request_id = request_id


def _kind(verb: str, payload: bytes, *, retained: bool, kinds: Mapping[str, type[Command]]) -> type[Command]:
    what = "signal" if kinds is _SIGNALS else "command"
    if retained:
        raise _Refused(Refusal.RETAINED, f"{what}s must not be retained")
    if len(payload) > MAX_BYTES:
        raise _Refused(Refusal.OVERSIZED, f"a {what} has at most {MAX_BYTES} bytes")
    if verb not in kinds:
        raise _Refused(Refusal.UNKNOWN_VERB, f"known verbs: {', '.join(COMMANDS)}")
    return kinds[verb]


def _read(kind: type[Command], payload: bytes) -> tuple[Command, Any]:
    """The command, and its JSON as it came."""
    try:
        raw = from_json(payload, allow_inf_nan=False)
    except ValueError as error:
        raise _Refused(Refusal.MALFORMED, "not JSON in UTF-8") from error
    try:
        return kind.model_validate_json(payload), raw
    except ValidationError as error:
        raise _Refused(Refusal.MALFORMED, _problem(error), _request_id(raw)) from error


def _request_id(raw: Any) -> str | None:
    """The id to answer under, where the command holds one that can be repeated safely."""
    value = raw.get("request_id") if isinstance(raw, dict) else None
    return value if isinstance(value, str) and value == printable(value, 128) else None


def _digest(verb: str, who: str | None, raw: Any) -> str:
    """Identity of a command: its sender and its meaning, whatever the order and spacing of its JSON."""
    canonical = json.dumps([verb, who or "", raw], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _problem(error: ValidationError) -> str:
    """The first problems in words, without the input."""
    lines = [
        f"{'.'.join(str(part) for part in item['loc']) or 'command'}: {item['msg']}"
        for item in error.errors(include_url=False, include_input=False, include_context=False)[:3]
    ]
    return printable("; ".join(lines), 300)
