"""Rules about evasion, from the file to watcher and desk: built in, replaced, left out, switched off."""

from pathlib import Path

import pytest

import streamwatch
from streamwatch.app import settings
from streamwatch.app.settings import Settings
from streamwatch.domain.decisions import Kind, RuleSpec, Severity
from streamwatch.domain.errors import ConfigError
from streamwatch.domain.evasion import Sign

MINIMAL = (Path(__file__).parents[2] / "config/minimal.yaml").read_text(encoding="utf-8")
OWN = """\
  - name: dark
    detector: evasion
    label: black
    severity: high
    open: {score: 0.5}
"""


def read(tmp_path: Path, more: str = "") -> Settings:
    path = tmp_path / "c.yaml"
    path.write_text(MINIMAL.rstrip("\n") + "\n" + more, encoding="utf-8")
    return settings.read(path)


def about_evasion(ready: Settings) -> dict[str, RuleSpec]:
    return {rule.spec.name: rule.spec for rule in ready.setup.desk_rules if rule.spec.kind is Kind.EVASION}


def test_every_sign_has_a_rule_by_itself_and_watchers_know_it(tmp_path: Path) -> None:
    ready = read(tmp_path)
    rules = about_evasion(ready)
    assert {rule.label for rule in rules.values()} == {sign.value for sign in Sign}
    assert {rule.severity for rule in rules.values()} == {Severity.LOW}
    assert rules.keys() <= {rule.name for rule in ready.setup.configure.rules}
    assert [detector.name for detector in ready.setup.configure.detectors] == ["test-card"]
    facts = next(rule.detector for rule in ready.setup.desk_rules if rule.spec.name == "evasion-black")
    assert (facts.name, facts.version) == ("evasion", streamwatch.__version__)


def test_a_rule_of_ones_own_takes_the_place_of_the_built_in_one(tmp_path: Path) -> None:
    rules = about_evasion(read(tmp_path, OWN))
    assert "evasion-black" not in rules
    assert (rules["dark"].kind, rules["dark"].severity, rules["dark"].open.score) == (Kind.EVASION, Severity.HIGH, 0.5)
    assert len(rules) == len(Sign)


def test_signs_can_be_left_out_made_more_urgent_and_switched_off(tmp_path: Path) -> None:
    rules = about_evasion(read(tmp_path, "evasion:\n  severity: high\n  without: [frozen, slate]\n"))
    assert len(rules) == len(Sign) - 2
    assert {rule.severity for rule in rules.values()} == {Severity.HIGH}
    assert about_evasion(read(tmp_path, "evasion:\n  enabled: false\n")) == {}


def test_a_name_that_a_built_in_rule_has_is_refused_at_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, OWN.replace("name: dark", "name: evasion-solid"))
    (problem,) = refused.value.problems
    assert str(problem).endswith(
        ":17: rules.1.name: evasion-solid is the built-in rule about solid (another name, or evasion.without: [solid])"
    )


def test_the_name_of_the_rule_that_it_replaces_is_free(tmp_path: Path) -> None:
    assert "evasion-black" in about_evasion(read(tmp_path, OWN.replace("name: dark", "name: evasion-black")))


def test_a_file_full_of_rules_has_room_for_the_built_in_ones(tmp_path: Path) -> None:
    many = "".join(
        f"  - {{name: r{number}, detector: test-card, label: test_card, severity: test}}\n" for number in range(511)
    )
    assert len(read(tmp_path, many).setup.configure.rules) == 512 + len(Sign)
