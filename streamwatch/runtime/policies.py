"""The policies of one stream, judging together. Pure but for what the policies are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streamwatch.domain.decisions import Decision, Level, Standing
from streamwatch.domain.media import Sample
from streamwatch.evidence.base import Policy
from streamwatch.runtime.lookback import Missing


class Policies:
    """Event loop only."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._policies = tuple(policies)

    def judge(self, sample: Sample, decided: Callable[[Decision], None]) -> float:
        """Let every policy take the sample and tell its decision; returns the strongest suspicion."""
        suspicion = 0.0
        for policy in self._policies:
            decision = policy.observe(sample)
            suspicion = max(suspicion, decision.suspicion)
            decided(decision)
        return suspicion

    def doubts(self) -> dict[str, Missing]:
        """By rule: what is missing to confirm what it suspects; empty where nothing is suspected."""
        suspected = (d for d in self.decisions() if d.level is Level.SUSPECTED)
        return {d.rule: Missing(d.missing, d.spacing_s) for d in suspected}

    def restore(self, standing: Sequence[Standing]) -> None:
        """Begin, or go on, where the daemon says the rules stand; rules it does not name stay as they are."""
        by_rule = {state.rule: state for state in standing}
        for policy in self._policies:
            state = by_rule.get(policy.decision.rule)
            if state is not None:
                policy.restore(state)

    def reset(self) -> None:
        """A new session: nothing stands."""
        for policy in self._policies:
            policy.reset()

    def replace(self, policies: Sequence[Policy]) -> None:
        """Other rules from now on; those that stay keep their standing."""
        standing = tuple(Standing(rule=d.rule, open=d.level is Level.ALARM) for d in self.decisions())
        self._policies = tuple(policies)
        self.restore(standing)

    def decisions(self) -> tuple[Decision, ...]:
        """Where every rule stands."""
        return tuple(policy.decision for policy in self._policies)
