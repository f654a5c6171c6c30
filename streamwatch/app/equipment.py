"""Detectors and rules in the forms that the processes pass on: checked here, by the daemon, loaded by the watchers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import streamwatch
from streamwatch.alerts.base import DeskRule, DetectorFacts
from streamwatch.detectors import registry
from streamwatch.detectors.folder import Verified, verify
from streamwatch.domain.decisions import Mode, RuleSpec
from streamwatch.domain.evasion import DETECTOR as EVASION
from streamwatch.link.messages import DetectorSettings, RuleSettings


@dataclass(frozen=True, slots=True)
class Equipped:
    """One detector whose folder was checked."""

    settings: DetectorSettings
    verified: Verified


def equip(
    *, name: str, kind: str, folder: Path, mode: Mode, every_s: float = 0.0, where: str = "", key: str = "kind"
) -> Equipped:
    """Check a detector's kind and folder. Raises ModelError with every problem; `where` names the setting."""
    registry.check_kind(kind, where=where, key=key)
    verified = verify(folder)
    settings = DetectorSettings(
        name=name,
        kind=kind,
        folder=str(folder.resolve()),
        sha256=verified.sha256,
        labels=verified.labels,
        mode=mode,
        every_s=every_s,
    )
    return Equipped(settings, verified)


def rule_settings(rule: RuleSpec) -> RuleSettings:
    """A rule as watchers are told it."""
    return RuleSettings(
        name=rule.name,
        detector=rule.detector,
        label=rule.label,
        severity=rule.severity,
        kind=rule.kind,
        open_score=rule.open.score,
        open_hits=rule.open.hits,
        open_within_s=rule.open.within_s,
        open_spacing_s=rule.open.spacing_s,
        close_score=rule.close.score,
        close_for_s=rule.close.for_s,
        cooldown_s=rule.cooldown_s,
    )


def desk_rules(rules: Iterable[RuleSpec], equipped: Mapping[str, Equipped]) -> tuple[DeskRule, ...]:
    """Rules as the alert desk wants them: with the model that judges, or with us where the sign is of evasion."""
    return tuple(DeskRule(spec=rule, detector=_facts(rule.detector, equipped)) for rule in rules)


def _facts(name: str, equipped: Mapping[str, Equipped]) -> DetectorFacts:
    if name == EVASION:
        return DetectorFacts(name=EVASION, version=streamwatch.__version__)
    verified = equipped[name].verified
    return DetectorFacts(name=name, version=verified.manifest.version, sha256=verified.sha256)
