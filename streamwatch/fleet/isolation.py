"""Which stream breaks the watchers of a slot, when nothing says so: half of the suspects held back, and so on. Pure.

The black box knows what was being decoded. It does not know what was being opened or parsed, what leaks, and what holds
the interpreter's lock: watchers then die one after the other, and whoever was being looked at is innocent. So the
streams themselves are the test: a life in which only half of the suspects take part either ends soon, and it was one
of these, or it does not, and they are acquitted. Of n streams the bad one is found in about log2(n) lives. What is
neither on trial nor acquitted is held back, so that a death proves something even where several streams are bad.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streamwatch.domain.streams import StreamId

LOSSES = 3
"""In a row, none of which was explained: from then on it is searched."""
SHORT_S = 60.0
"""A watcher that lived longer was not broken by what it was given: its loss counts from one again."""
TRIAL_S = (10.0, 120.0)
"""Bounds of how long a trial lasts: twice the longest of the short lives that led to it."""

_EXPLAINED = 0.5
_NO_LIFE = frozenset({"start", "failed"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a loss has shown."""

    culprit: StreamId | None = None
    searching: bool = False
    """The next life is a trial: the sooner it begins, the better."""


class Isolation:
    """The search of one slot. Time is monotonic seconds, given by the caller."""

    def __init__(self, *, trial_s: tuple[float, float] = TRIAL_S) -> None:
        self._bounds = trial_s
        self._strikes = 0.0
        self._longest = 0.0
        self._suspects: tuple[StreamId, ...] = ()
        """One of them did it."""
        self._trial: tuple[StreamId, ...] = ()
        """Those of the suspects who are being looked at."""
        self._waiting: tuple[StreamId, ...] = ()
        """Neither accused by the last death nor acquitted: held back until the search is over."""
        self._until: float | None = None
        """When the trial is passed; None while no watcher is ready for it."""
        self._searching = False
        self._spoiled = False
        """One on trial was released in this life: its death may be the deed of that one."""

    @property
    def searching(self) -> bool:
        """Whether streams are held back, or the last suspect is on trial."""
        return self._searching

    @property
    def held(self) -> frozenset[StreamId]:
        """The streams not to be looked at for now."""
        return frozenset((*self._suspects, *self._waiting)).difference(self._trial)

    @property
    def trial_s(self) -> float:
        """How long a trial lasts."""
        least, most = self._bounds
        return min(max(2 * self._longest, least), most)

    def ready(self, now: float) -> None:
        """A watcher was given the streams that are not held."""
        self._spoiled = False
        if self._suspects:
            self._until = now + self.trial_s

    def lost(self, given: Sequence[StreamId], *, reason: str, lived_s: float, explained: bool) -> Verdict:
        """A watcher with these streams was lost. `explained`: the black box named one that is quarantined now."""
        if reason in _NO_LIFE or self._spoiled or not given:
            self._until = None
            return Verdict(searching=self._searching)
        if self._suspects and not (explained and not self._searching):
            return self._narrow(given)
        self._end()  # of a probation
        if lived_s > SHORT_S:
            self._strikes = self._longest = 0.0
        self._strikes += _EXPLAINED if explained else 1.0
        self._longest = max(self._longest, lived_s if lived_s <= SHORT_S else 0.0)
        if self._strikes < LOSSES:
            return Verdict()
        self._suspects = self._trial = tuple(dict.fromkeys(given))
        return self._narrow(given)

    def passed(self, now: float) -> bool:
        """Whether a trial is over and nobody died; then other streams are held than before."""
        if self._until is None or now < self._until:
            return False
        self._suspects = tuple(stream for stream in self._suspects if stream not in self._trial)
        if not self._suspects:  # whatever it was, it does not happen again
            self._end()
            self._strikes = self._longest = 0.0
            return True
        self._trial = self._half()
        self._until = now + self.trial_s
        return True

    def probation(self, stream: StreamId, now: float) -> None:
        """A stream is tried again after its quarantine: if the watcher dies soon, it was this one."""
        if self._searching:
            self._waiting += (stream,)
            return
        self._suspects = self._trial = (*(one for one in self._suspects if one != stream), stream)
        self._until = now + self.trial_s

    def forget(self, stream: StreamId) -> None:
        """A stream is no longer watched."""
        self._spoiled |= stream in self._trial
        self._suspects, self._trial, self._waiting = (
            tuple(one for one in streams if one != stream) for streams in (self._suspects, self._trial, self._waiting)
        )
        if not self._suspects:
            self._end()
        elif not self._trial:
            self._trial = self._half()  # if a watcher is at work, they are given to it when this trial's time is over

    def _narrow(self, given: Sequence[StreamId]) -> Verdict:
        """It was one of those on trial."""
        guilty = tuple(stream for stream in self._trial if stream in given)
        self._until = None
        if not guilty:  # it died before they were given to it
            return Verdict(searching=self._searching)
        if len(guilty) == 1:
            self._end()
            self._strikes = LOSSES - 1.0  # if there is another one, the search begins at its next deed
            return Verdict(culprit=guilty[0], searching=True)
        self._searching = True
        self._waiting += tuple(stream for stream in self._suspects if stream not in guilty)
        self._suspects = guilty
        self._trial = self._half()
        return Verdict(searching=True)

    def _half(self) -> tuple[StreamId, ...]:
        return self._suspects[: (len(self._suspects) + 1) // 2]

    def _end(self) -> None:
        self._suspects = self._trial = self._waiting = ()
        self._until = None
        self._searching = False
