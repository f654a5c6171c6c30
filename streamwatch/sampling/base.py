"""The contract of sampling: when to look at a stream. Pure: time comes in as an argument."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

from streamwatch.domain.streams import SamplingSpec
from streamwatch.sampling.capacity import Plan
from streamwatch.sampling.schedule import Wish


class Due(NamedTuple):
    """When the next look falls due, in monotonic arrival seconds; minus infinity: at the next key."""

    key_at: float
    """A key that arrives then or later is looked at, since the one after it would come too late."""
    look_at: float
    """The end of the gap aimed at, less the margin."""
    any_at: float
    """Before then no packet between keys is looked at."""
    rare_at: float = math.inf
    """If no key comes before then, keys are too rare, and every packet counts."""

    def later(self, look_at: float) -> Due:
        """The same with its end not before `look_at`, the rest as far from it as it was."""
        if look_at <= self.look_at:
            return self
        if self.look_at == -math.inf:
            return Due(look_at, look_at, look_at, self.rare_at)
        by = look_at - self.look_at
        return Due(self.key_at + by, look_at, self.any_at + by, self.rare_at)


class Pace(NamedTuple):
    """How often a stream wants to be looked at: seconds between looks; where keys decide, whole intervals of them."""

    promise_s: float
    """To keep the promise and no more."""
    wish_s: float
    """With all that is wished for beside suspicion."""
    aim_s: float
    """With suspicion."""
    suspicious: bool
    key_interval_s: float
    weight: float
    hints_per_s: float = 0.0
    """Signs of novelty a second, lately, whether or not there was room to follow them."""


class Sampler(Protocol):
    """Decides for one stream which packets are looked at. Times are monotonic arrival seconds; one caller at a time."""

    # More members than the house's five: a stream's rate has many reasons, and to split them would hide how they meet.

    # -- how often

    @property
    def gap_s(self) -> float:
        """The gap aimed at now, between the stream's `min_gap` and `max_gap`."""
        ...

    @property
    def pace(self) -> Pace:
        """How often it wants to be looked at, for the plan of the whole watcher."""
        ...

    @property
    def promise_until(self) -> float:
        """Until then the promise holds without another look; minus infinity before the first."""
        ...

    def wish(self, arrival: float) -> Wish:
        """The look at a packet that arrived then, as it stands among all streams' looks."""
        ...

    def press(self, plan: Plan) -> None:
        """The watcher's plan from now on: what gives way."""
        ...

    def suspect(self, suspicion: float, now: float) -> None:
        """Evidence demands more looks: 0 calm … 1 as often as allowed. Rises at once, decays slowly."""
        ...

    def demand(self, suspicion: float, *, until: float, now: float) -> None:
        """Somebody outside asks for at least this suspicion until then, in the place of what was asked before."""
        ...

    # -- when

    @property
    def due(self) -> Due:
        """When the next look falls due, as far as is known now; a packet may still change it."""
        ...

    def packet(
        self,
        *,
        arrival: float,
        key: bool,
        size: int,
        media_s: float | None = None,
        burst_s: float = 0.0,
        anchor: bool = True,
    ) -> bool:
        """Note a packet's arrival and answer whether to look at it now.

        `media_s`: its time on the stream's own scale; `burst_s`: the transport delivers so much at once; `anchor`: it
        is shown after all that came before it, so other pictures may be predicted from it.

        For a key packet, True means: waiting for the next key would break the gap aimed at. For any other packet it
        means that the look cannot wait for a key (suspicion, or keys too far apart), which needs contiguous decoding.
        """
        ...

    def passed(self, size: int) -> bool:
        """An anchor of so many bytes passed by between keys while nothing is due; in a microsecond.

        False: it is a sign of novelty, which `novel` is to be told. `packet` does both by itself.
        """
        ...

    def novel(self, arrival: float) -> None:
        """Something new is shown: bring the next look forward, if there is room for it."""
        ...

    def sampled(self, arrival: float, *, up_to: float | None = None) -> None:
        """A frame that arrived then was scored.

        `up_to`: arrival of the newest packet that was decoded for it, since decoders hold pictures back.
        """
        ...

    def tried(self, arrival: float) -> None:
        """A look at what arrived then showed nothing: broken, damaged or no picture. The next one can wait a little.

        It waits longer each time, up to half the promise: or broken pictures would be looked at as often as they come.
        """
        ...

    def between_keys(self) -> bool:
        """Whether the gap aimed at is shorter than the stream's key interval, so that keys alone cannot keep it."""
        ...

    # -- changes

    def restart(self) -> None:
        """A new session begins: look at its first key, and learn its key interval anew."""
        ...

    def tune(self, spec: SamplingSpec, *, weight: float) -> None:
        """Go on with other settings; what was learnt and suspected stays."""
        ...
