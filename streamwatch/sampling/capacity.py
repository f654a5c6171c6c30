"""What looks cost, how many the machine can take, and what gives way when it cannot take all. Pure.

Costs are predicted from what is known before decoding: the bytes of the pictures (decoding time follows them closely,
since it is mostly entropy decoding), the time that scaling and inference took lately, and how much longer than its
processor time a look takes on this machine now. All of it is measured while looks are taken, never configured.

When there is too little: first go the looks that nobody was promised (early ones, inner ones, those for weight and
age), then suspicion stretches beyond its share, and at last the promise itself, for every stream by the same factor
but for its weight. Each step is declared (`Plan`), and taken back as soon as there is room.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple


class Claim(StrEnum):
    """For what a look is taken, and so from which share it is paid."""

    FLOOR = "floor"
    """The promise."""
    SUSPICION = "suspicion"


RESERVED = {Claim.FLOOR: 0.6, Claim.SUSPICION: 0.4}
"""Shares of the workers' time while both want more than there is. The floor is the promise, so it has the larger."""

COMFORT = 0.85
"""Share of the workers that may be planned for: beyond it queues grow long, since looks do not come evenly."""

WISHES = 0.75
"""Share of the workers up to which more is looked at than was promised. Signs of novelty come in bursts, and looks
between keys are long: what they would delay is the promise."""

_MEMORY = 0.05
"""Weight of the newest look in a running mean: some twenty looks are remembered."""
_SLOW_MEMORY = 0.2
"""The same for a second of looks: how busy the machine is changes within seconds."""
_SLOWEST = 20.0

_FIRST_S_PER_BYTE = 0.13e-6
"""Key pictures of H.264 with CABAC on one core of 2020s servers, before the first one was decoded."""
_REAL = 8.0
"""Real streams cost so many times more or less for each byte: dark and still ones more, detailed ones less."""
_FIRST_SCORE_S = 2e-3
_ROUNDING = 0.999
_TINY = 1e-6
_MOST_STRETCH = 1000.0
_STEPS = 24


class Load(NamedTuple):
    """What one stream asks of the workers. Seconds of processor time."""

    look_s: float
    """One look at a key picture."""
    score_s: float
    """The part of it that is scaling and inference."""
    between_s: float
    """Decoding everything, for each second of media."""
    key_interval_s: float
    promise_s: float
    """Seconds between two looks that keep the promise and no more."""
    wish_s: float
    """Seconds between two looks with all that is wished for beside suspicion (weight, age, early and inner looks)."""
    aim_s: float
    """Seconds between two looks that suspicion asks for; as `wish_s` where there is none."""
    suspicious: bool
    weight: float = 1.0
    extra_s: float = 0.0
    """What looks inside groups of pictures add to one of `wish_s`, on average."""
    hints_per_s: float = 0.0
    """Looks that follow from signs of novelty, lately."""

    @property
    def wished(self) -> float:
        """Share of a worker that all that is wished for takes."""
        return self.rate(self.wish_s) + self.extra_s / self.wish_s + self.hints_per_s * (self.look_s + self.extra_s)

    def rate(self, gap_s: float) -> float:
        """Share of a worker that looks `gap_s` apart take.

        Keys alone are planned with from a whole interval on, though a little less does for the sampler: a plan that
        lies on the very edge would be thrown over by every key that comes a little late.
        """
        if self.between(gap_s):
            return self.between_s + self.score_s / gap_s
        return self.look_s / gap_s

    def between(self, gap_s: float) -> bool:
        """Whether looks so far apart need everything between keys to be decoded."""
        return gap_s < self.key_interval_s * _ROUNDING


BETWEEN_KEYS = 1.1
"""Keys alone suffice while their interval is at most this multiple of the gap: 2.03 s keys do keep a 2 s gap."""


class Plan(NamedTuple):
    """What holds until the next one. All factors are 1 and thrift 0 while there is room for everything."""

    load: float = 0.0
    """What the promise alone asks for, as a share of what the workers can do; over 1 it cannot be kept."""
    thrift: float = 0.0
    """0: whatever is wished for; 1: nothing beside the promise and suspicion."""
    suspicion_stretch: float = 1.0
    """Suspicious streams are looked at so many times more seldom than they should be."""
    floor_stretch: float = 1.0
    """So many times `max_gap` pass between looks at a stream of weight 1; under 1, only lighter ones give way."""

    def floor(self, weight: float) -> float:
        """The factor for a stream of some weight: the lighter ones give way first, the heavier ones last."""
        return 1.0 if self.floor_stretch == 1.0 else max(1.0, self.floor_stretch / weight)


CALM = Plan()


def plan(loads: Sequence[Load], workers: float) -> Plan:
    """Say what gives way so that all loads fit. `workers`: seconds of looks' processor time that fit into a second."""
    able = max(workers, 1e-6) * COMFORT
    calm = [load for load in loads if not load.suspicious]
    suspicious = [load for load in loads if load.suspicious]
    promise = sum(load.rate(load.promise_s) for load in calm)
    kept = sum(load.rate(load.promise_s) for load in suspicious)
    asked = sum(load.rate(load.aim_s) for load in suspicious)
    wished = sum(load.wished for load in calm)
    whole = (promise + kept) / able
    roomy = max(workers, 1e-6) * WISHES
    if wished + asked <= roomy:
        return Plan(load=whole)
    left = roomy - promise - asked
    thrift = 1.0 if wished <= promise else min(max(1.0 - left / (wished - promise), 0.0), 1.0)
    if promise + asked <= able:
        return Plan(load=whole, thrift=thrift)
    # The floor may have what suspicion does not need and the other way round, each its reserved share at least.
    for_suspicion = max(able - promise, able * RESERVED[Claim.SUSPICION])
    for_suspicion = min(for_suspicion, asked)
    suspicion_stretch = _stretch(suspicious, for_suspicion)
    spent = sum(load.rate(min(load.aim_s * suspicion_stretch, load.promise_s)) for load in suspicious)
    floor_stretch = _floor_stretch(calm, promise, max(able - spent, able * RESERVED[Claim.FLOOR]))
    if spent > for_suspicion:  # even the promise is too much for the suspicious ones: all are in the same boat
        floor_stretch = max(_floor_stretch(loads, promise + kept, able), floor_stretch)
    return Plan(whole, thrift, suspicion_stretch, floor_stretch)


def _stretch(suspicious: Sequence[Load], able: float) -> float:
    """By how much suspicious streams must be looked at more seldom, so that they take no more than `able`."""

    def taken(factor: float) -> float:
        return sum(load.rate(min(load.aim_s * factor, load.promise_s)) for load in suspicious)

    if taken(1.0) <= able:
        return 1.0
    low, high = 1.0, max((load.promise_s / load.aim_s for load in suspicious), default=1.0)
    if taken(high) >= able:
        return high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if taken(middle) > able else (low, middle)
    return high


def _floor_stretch(loads: Sequence[Load], promise: float, able: float) -> float:
    """By how much the promise must be stretched for weight 1, so that the streams take no more than `able`.

    What decodes everything because keys are rare does so whatever the distance of its looks, until keys alone suffice.
    """
    if promise <= able:
        return 1.0
    rare = [load for load in loads if load.between(load.promise_s)]
    by_weight: dict[float, float] = {}
    for load in loads:
        if not load.between(load.promise_s):
            by_weight[load.weight] = by_weight.get(load.weight, 0.0) + load.rate(load.promise_s)

    def taken(factor: float) -> float:
        dense = sum(rate / max(1.0, factor / weight) for weight, rate in by_weight.items())
        return dense + sum(load.rate(load.promise_s * max(1.0, factor / load.weight)) for load in rare)

    weights = {load.weight for load in loads}
    low, high = min(weights), _MOST_STRETCH * max(weights)
    for _ in range(2 * _STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if taken(middle) > able else (low, middle)
    return high if abs(high - 1.0) > _TINY else 1.0 + _TINY  # 1 itself means that nothing gives way


class Prices:
    """What looks cost lately, on average over all streams, and how many fit. Written by one thread, read by any.

    A stream is priced by what its own looks took; these are for streams that were never looked at. No stream can make
    others dear: rates are held within what real ones have.
    """

    def __init__(self) -> None:
        self._key: dict[str, float] = {}
        """By codec: decode seconds for each byte of key pictures."""
        self._between: dict[str, float] = {}
        """The same for pictures decoded one after another."""
        self._score_s = _FIRST_SCORE_S
        self._slow = 1.0
        """Seconds that pass for a second of a look's processor time."""

    @property
    def score_s(self) -> float:
        """Scaling and inference of one look."""
        return self._score_s

    def key_s(self, codec: str, size: float) -> float:
        """Decoding a key picture of so many bytes, seconds of processor time."""
        return self._key.get(codec, _FIRST_S_PER_BYTE) * size

    def between_s(self, codec: str, size: float) -> float:
        """Decoding so many bytes of pictures one after another."""
        return self._between.get(codec, self._key.get(codec, _FIRST_S_PER_BYTE) * 2) * size

    def workers(self, count: int) -> float:
        """Seconds of looks' processor time that fit into a second of so many workers."""
        return count / self._slow

    def decoded(self, codec: str, size: int, seconds: float, *, key: bool) -> None:
        """A decoder took so long for so many bytes, and a picture came of it."""
        if size > 0 and seconds > 0:
            rates = self._key if key else self._between
            newest = min(max(seconds / size, _FIRST_S_PER_BYTE / _REAL), _FIRST_S_PER_BYTE * _REAL)
            before = rates.get(codec)
            rates[codec] = newest if before is None else before + _MEMORY * (newest - before)

    def scored(self, seconds: float) -> None:
        """Scaling and inference of a look took so long."""
        self._score_s += _MEMORY * (seconds - self._score_s)

    def took(self, processor_s: float, wall_s: float) -> None:
        """The looks of a second or so used so much of the processor, and took so long."""
        if processor_s > 0:
            ratio = min(max(wall_s / processor_s, 1.0), _SLOWEST)
            self._slow += _SLOW_MEMORY * (ratio - self._slow)
