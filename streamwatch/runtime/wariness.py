"""One stream's signs of evasion and the rules about them, apart from everything that looks at pictures.

What is found here asks for no look, no look-back and no hurry: whoever could raise our rate by showing nothing would
have a lever against all other streams. It only speaks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from streamwatch.domain.decisions import Decision, Level, Standing
from streamwatch.domain.evasion import DETECTOR
from streamwatch.domain.media import FrameRef, MediaInfo, Sample, Scores
from streamwatch.domain.streams import StreamId
from streamwatch.evasion.base import Facts, Shown, Signs
from streamwatch.evidence.base import Policy
from streamwatch.runtime.look import Seen
from streamwatch.runtime.policies import Policies
from streamwatch.runtime.report import STRESS_S, Report

EVERY_S = 1.0
"""Facts are weighed so often; the shortest sign lasts ten times as long."""

AGAIN_S = 60.0
"""Scores that stay are judged again after so long while a rule is not calm, and for a while after: people hear that it
goes on, a rule that waits for quiet sees it, a word that was lost is said again. Streams that stand still for hours, by
the hundred, must not bury what else is said."""


class Wariness:
    """One stream's. `shown`, `begins`, `turns` and `weigh` under the pipeline's lock; the rest on the event loop."""

    def __init__(self, signs: Signs | None = None, policies: Sequence[Policy] = ()) -> None:
        """Without signs nothing is ever found, a blind picture included: for tests of other things."""
        self._signs = signs
        self._policies = Policies(policies)
        self._weighed_at = -math.inf
        self._judged_at = -math.inf
        self._scores: tuple[tuple[str, float], ...] = ()
        self._patience_s = AGAIN_S
        """Seconds after which scores that did not change are judged again …"""
        self._restless_until = -math.inf
        """… until then."""

    def shown(self, seen: Seen) -> str:
        """Take a look's result. Returns why there is nothing to see in its picture; nothing where there is."""
        if self._signs is None or seen.packet is None or seen.glance is None or seen.corrupt:
            return ""
        return self._signs.shown(Shown(seen.packet.arrival, seen.glance, seen.width, seen.height))

    def begins(self, now: float) -> None:
        """A new session begins."""
        if self._signs is not None:
            self._signs.begins(now)

    def turns(self, now: float, *, jumped: bool, reformatted: bool) -> None:
        """Inside a session media time jumped, or another format began."""
        if self._signs is not None:
            self._signs.turns(now, jumped=jumped, reformatted=reformatted)

    def due(self, now: float) -> bool:
        """Whether it is time to weigh the facts again."""
        return self._signs is not None and now - self._weighed_at >= EVERY_S

    def weigh(self, facts: Facts) -> Scores | None:
        """Weigh the facts. The scores, where a rule should hear them: they changed, or it is not calm and waits."""
        if self._signs is None:
            return None
        now = self._weighed_at = facts.now
        scores = self._signs.scores(facts)
        if scores == self._scores and (now >= self._restless_until or now - self._judged_at < self._patience_s):
            return None
        self._scores, self._judged_at = scores, now
        return Scores(DETECTOR, scores)

    def judge(self, sample: Sample, decided: Callable[[Decision], None]) -> None:
        """Let the rules take the scores. What they suspect is not passed on: nobody shall look harder for it."""
        self._policies.judge(sample, lambda decision: decided(replace(decision, suspicion=0.0)))
        decisions = self._policies.decisions()
        waits = [decision.spacing_s / 2 for decision in decisions if decision.level is Level.SUSPECTED]
        self._patience_s = min((max(wait, EVERY_S) for wait in waits), default=AGAIN_S)
        calm = all(decision.level is Level.CALM for decision in decisions)
        if not calm or math.isinf(self._restless_until):
            self._restless_until = sample.frame.arrival + (0.0 if calm else STRESS_S)

    def reset(self) -> None:
        """A new session: nothing stands."""
        self._policies.reset()
        self._tell_anew()

    def restore(self, standing: Sequence[Standing]) -> None:
        """Begin, or go on, where the daemon says the rules stand."""
        self._policies.restore(standing)
        self._tell_anew()

    def replace(self, policies: Sequence[Policy]) -> None:
        """Other rules from now on; those that stay keep their standing."""
        self._policies.replace(policies)
        self._tell_anew()

    def decisions(self) -> tuple[Decision, ...]:
        """Where every rule stands."""
        return self._policies.decisions()

    def _tell_anew(self) -> None:
        """Rules that begin, or go on elsewhere, have not heard the scores as they are."""
        self._judged_at, self._restless_until = -math.inf, math.inf


def steady(info: MediaInfo | None) -> bool:
    """Whether bytes come as they are made: neither in bursts, nor only as far as we ask for them."""
    return info is not None and not info.burst_s and not info.on_demand


def facts_of(
    stands: Report, info: MediaInfo | None, *, now: float, media_at: float, received: int, steady: bool
) -> Facts:
    """What `Signs` want to know of how a stream stands; its size as its format says, where no picture has told."""
    width, height = stands.width, stands.height
    if not width and info is not None:
        width, height = info.config.width, info.config.height
    return Facts(
        now=now,
        live=stands.live,
        reason=stands.reason,
        media_at=media_at,
        received=received,
        steady=steady,
        width=width,
        height=height,
    )


def sample_of(
    scores: Scores, facts: Facts, *, stream: StreamId, session: str, timeline: int, at: datetime, media_s: float
) -> Sample:
    """Scores as a sample of no picture: its time is the moment at which the facts were weighed."""
    frame = FrameRef(
        stream=stream,
        session=session,
        timeline=timeline,
        media_s=round(media_s, 6),
        arrival=facts.now,
        at=at,
        key=False,
        width=facts.width,
        height=facts.height,
        aim=None,
    )
    return Sample(frame=frame, scores=(scores,), gap_s=None, decode_s=0.0, infer_s=0.0)
