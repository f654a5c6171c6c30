"""`streamwatch replay`: changed rules over the scores in a real ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from streamwatch.cli.main import app
from streamwatch.config.loader import load_rules
from streamwatch.domain.errors import ConfigError, OutsideError, UserError
from streamwatch.domain.media import Aim, Scores
from streamwatch.ledger.samples import Scored
from tests.fakes.desk import LOBBY
from tests.fakes.kept import Kept, config

RULES = """\
rules:
  - name: nudity
    detector: det
    label: nsfw
    severity: high
    open: {{score: {score}}}
    cooldown: 0s
"""


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    story = Kept(tmp_path, ago_s=1800)
    yield story
    story.ledger.close()


def rules(folder: Path, text: str) -> str:
    path = folder / "new.yaml"
    path.write_text(text)
    return str(path)


def call(*words: str) -> Result:
    return CliRunner().invoke(app, ["replay", *words], env={"COLUMNS": "200"})


def scene(story: Kept, score: float, *, alert: bool) -> str | None:
    """Three frames of that score, then half a minute of quiet; with an alert where the daemon opened one."""
    found: str | None = None
    for number in range(10):
        story.clock.advance(1 if number < 3 else 5)
        value = score if number < 3 else 0.1
        frame = Scored(
            story.clock.now().timestamp(), LOBBY, "s1", story.clock.monotonic(), story.second, Aim.KEY,
            (Scores("det", (("nsfw", value),)),),
        )  # fmt: skip
        story.ledger.keep_samples([frame.row()], before=0.0, limit_bytes=2**30)
        if alert and number == 2:
            found = story.opens(score=score)
    if alert:
        story.calm()
        story.clock.advance(100)
    return found


def test_it_says_what_would_have_opened_what_did_and_what_would_not_have(kept: Kept, tmp_path: Path) -> None:
    path = str(config(tmp_path, more="    samples: 7d\n"))
    high = scene(kept, 0.95, alert=True)
    middle = scene(kept, 0.85, alert=True)
    kept.says("confirm", alert_id=middle)
    scene(kept, 0.7, alert=False)

    stricter = call(path, "--rules", rules(tmp_path, RULES.format(score=0.9)), "--json")
    assert stricter.exit_code == 0, stricter.output
    *events, summary = map(json.loads, stricter.stdout.splitlines())
    assert [(one["type"], one.get("did"), one.get("would")) for one in events] == [
        ("would_open", True, None), ("did_open", None, True), ("did_open", None, False)]  # fmt: skip
    assert events[0]["alert_ids"] == [high]
    assert (events[2]["alert_id"], events[2]["fate"]) == (middle, "confirmed")
    assert {key: summary[key] for key in ("frames", "streams", "would_open", "did_open", "new", "gone")} == {
        "frames": 30, "streams": 1, "would_open": 1, "did_open": 2, "new": 0, "gone": 1}  # fmt: skip
    assert any("suspects sooner" in remark for remark in summary["remarks"])

    looser = call(path, "--rules", rules(tmp_path, RULES.format(score=0.6)))
    assert looser.exit_code == 0, looser.output
    assert "would have opened, and did not: 1" in looser.stdout
    assert "nudity on lobby: score 0.70" in looser.stdout
    shown = call(path, "--rules", rules(tmp_path, RULES.format(score=0.9)))
    assert f"{middle}, confirmed" in shown.stdout
    assert "suspects sooner" in shown.stderr


def test_a_whole_configuration_is_taken_for_its_rules(kept: Kept, tmp_path: Path) -> None:
    scene(kept, 0.95, alert=True)
    path = config(tmp_path, more="    samples: 7d\n")
    done = call(str(path), "--rules", str(path), "--json")
    assert json.loads(done.stdout.splitlines()[-1])["new"] == 0


def test_rules_that_nothing_is_known_about_are_named(kept: Kept, tmp_path: Path) -> None:
    scene(kept, 0.95, alert=True)
    path = str(config(tmp_path, more="    samples: 7d\n"))
    text = RULES.format(score=0.9).replace("label: nsfw", "label: smoke")
    evasion = "  - {name: dark, detector: evasion, label: black, severity: low}\n"
    done = call(path, "--rules", rules(tmp_path, text + evasion), "--since", "8h")
    assert done.exit_code == 0, done.output
    assert "rule nudity: no score of detector det, label smoke is kept" in done.stderr
    assert "rules about evasion are not replayed" in done.stderr


def test_where_nothing_is_kept_it_says_how_to_begin(kept: Kept, tmp_path: Path) -> None:
    new = rules(tmp_path, RULES.format(score=0.9))
    result = call(str(config(tmp_path)), "--rules", new)
    assert isinstance(result.exception, UserError)
    assert "state.retention.samples: scores of single frames are not kept" in str(result.exception)
    result = call(str(config(tmp_path, more="    samples: 7d\n")), "--rules", new)
    assert isinstance(result.exception, OutsideError)
    assert "holds no scores of the last 7d" in str(result.exception)


def test_where_no_daemon_ran_it_says_so(tmp_path: Path) -> None:
    result = call(str(config(tmp_path)), "--rules", rules(tmp_path, RULES.format(score=0.9)))
    assert isinstance(result.exception, OutsideError)
    assert "there is no ledger" in str(result.exception)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules: []\n", "holds no rules"),
        ("rules:\n", "holds no rules"),
        ("", "node"),
        ("- a\n", "not made of keys"),
        (
            "rules:\n  - name: a\n    detector: nobody\n    label: x\n    severity: high\n",
            "new.yaml:3: rules.0.detector",
        ),
        ("rules:\n  - name: a\n    detector: det\n    label: x\n    severity: hgih\n", "new.yaml:5: rules.0.severity"),
        ("rules:\n  - name: a\n   detector: det\n", "new.yaml:"),
    ],
)
def test_mistakes_in_the_new_rules_are_named_with_their_lines(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_rules(Path(rules(tmp_path, text)), base=config(tmp_path), environ={})
    assert said in str(caught.value)


def test_only_rules_need_be_written(tmp_path: Path) -> None:
    loaded = load_rules(Path(rules(tmp_path, RULES.format(score=0.66))), base=config(tmp_path), environ={})
    assert [rule.open.score for rule in loaded.config.rules] == [0.66]
    assert loaded.config.node == "edge-1"
    with pytest.raises(ConfigError, match="does not exist"):
        load_rules(tmp_path / "none.yaml", base=config(tmp_path), environ={})
