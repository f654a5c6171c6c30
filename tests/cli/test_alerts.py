"""`streamwatch alerts`: what a person reads of the ledger while a daemon holds it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from streamwatch.alerts import ulid
from streamwatch.alerts.base import RiskSignal
from streamwatch.cli.alerts import wilson
from streamwatch.cli.alerts_words import explain, moment, span
from streamwatch.cli.main import app
from streamwatch.domain.errors import OutsideError, UserError
from streamwatch.domain.streams import StreamId, topic_sid
from streamwatch.ledger.reading import AlertRow, StepRow
from tests.fakes.desk import other
from tests.fakes.kept import Kept, config


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    """A daemon that holds its ledger open all the while."""
    story = Kept(tmp_path)
    yield story
    story.ledger.close()


def call(*words: str, width: int = 200) -> Result:
    return CliRunner().invoke(app, ["alerts", *words], env={"COLUMNS": str(width)})


def lines(*words: str) -> list[dict]:
    done = call(*words, "--json")
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_alerts_are_listed_while_the_daemon_runs(kept: Kept, tmp_path: Path) -> None:
    path = str(config(tmp_path))
    assert "no such alert is kept" in call("list", path).stdout
    first = kept.at(1).opens()
    second = kept.at(5).opens("urgent", score=0.97, facts=other(id=StreamId("hall")))
    kept.delivered()
    kept.says("confirm", who="anna", alert_id=first)

    shown = call("list", path)
    assert shown.exit_code == 0
    rows = shown.stdout.splitlines()
    assert [row.split()[0] for row in rows] == ["id", first, second]
    assert "confirm (anna)" in rows[1]
    assert "1 owed" in rows[1]
    assert "nobody yet" in rows[2]
    assert "has it" in rows[2]
    assert [line["alert_id"] for line in lines("list", path)] == [first, second]
    (only,) = lines("list", path, "--severity", "urgent")
    assert (only["rule"], only["stream"], only["document"]["score"]) == ("urgent", "hall", 0.97)


@pytest.mark.parametrize("name", ["x[/b]", "[conceal]hidden", "[link=https://h/]here[/link]", ":smile: \x1b[31m"])
def test_a_stream_is_shown_as_it_is_called_whatever_a_terminal_would_make_of_it(
    kept: Kept, tmp_path: Path, name: str
) -> None:
    kept.at(1).opens(facts=other(id=StreamId(name)))
    done = call("list", str(config(tmp_path)))
    assert (done.exit_code, "\x1b" in done.stdout) == (0, False)
    assert name.partition("\x1b")[0] in done.stdout


@pytest.mark.parametrize("width", [40, 80, 100, 120, 160])
def test_on_a_narrow_terminal_the_id_stays_whole(kept: Kept, tmp_path: Path, width: int) -> None:
    name = kept.at(1).opens(facts=other(id=StreamId("a stream with a long name")))
    head, row = call("list", str(config(tmp_path)), width=width).stdout.splitlines()
    assert row.split()[0] == name
    assert max(len(head), len(row)) <= max(width, len(name))
    assert ("people" in head) is (width >= 160)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ((), [0, 1, 2]),
        (("--open",), [1, 2]),
        (("--since", "1h"), [1, 2]),
        (("--rule", "nudity"), [0, 1]),
        (("--stream", "hall"), [2]),
        (("--severity", "urgent", "--stream", "lobby"), []),
        (("--limit", "1"), [2]),
    ],
)
def test_only_what_is_wanted_is_listed(tmp_path: Path, words: tuple[str, ...], found: list[int]) -> None:
    story = Kept(tmp_path, ago_s=2 * 3600)
    story.opens()
    story.calm()
    story.clock.advance(1.5 * 3600)
    story.opens()
    story.opens("urgent", facts=other(id=StreamId("hall")))
    try:
        listed = [line["alert_id"] for line in lines("list", str(config(tmp_path)), *words)]
    finally:
        story.ledger.close()
    assert listed == [story.ids[number] for number in found]


def test_under_keyed_ids_a_stream_is_found_by_the_name_it_has_in_the_configuration(tmp_path: Path) -> None:
    story = Kept(tmp_path)
    sid = topic_sid("lobby", b"0123456789abcdef")
    story.opens(facts=other(id=StreamId(sid)))
    story.ledger.close()
    path = config(tmp_path, more="privacy:\n  stream_ids: keyed\n  key: 0123456789abcdef\n")
    assert len(lines("list", str(path), "--stream", "lobby")) == 1
    assert len(lines("list", str(path), "--stream", sid)) == 1


def test_an_alert_is_explained_in_sentences(kept: Kept, tmp_path: Path) -> None:
    path = str(config(tmp_path))
    signal = RiskSignal("chat", 0.7, "three reports within a minute", kept.clock.now())
    name = kept.at(1).opens(facts=other(signals=(signal,)))
    kept.delivered()
    kept.at(2).says("acknowledge", who="anna", alert_id=name)
    kept.at(3).says("escalate", who="ben", alert_id=name, note="call the police desk")
    done = call("show", name[:12], path)
    assert done.exit_code == 0, done.output
    for said in (
        f"Alert {name} is open; somebody acknowledged it.",
        "It is about stream lobby (Lobby) from static, session s1.",
        "Rule nudity asked for 2 frames within 10 s that score 0.80 or more for label nsfw.",
        "score 0.90, seen in a key picture",
        "It was confirmed by looks alone.",
        "Signal of chat, strength 0.70",
        "Detector det, version 1.2, SHA-256 abab",
        "it took 640 ms",
        "1: opened; the broker had it 12 ms later",
        "2: updated; the broker does NOT have it yet",
        "anna acknowledged it",
        "ben escalated it: call the police desk",
    ):
        assert said in done.stdout, said
    (shown,) = lines("show", name.lower(), path)
    assert [step["seq"] for step in shown["steps"]] == [1, 2, 3]
    assert shown["steps"][0]["document"]["latency_ms"] == 640


def row(document: object) -> AlertRow:
    return AlertRow(
        id="A", stream="s", rule="r", severity="high", kind="classifier", seq=1, open=False,
        document=json.dumps(document), acknowledged=False, changed_at=0.0, fate="unconfirmed", owed=0,
    )  # fmt: skip


def test_a_look_back_is_said_where_it_confirmed() -> None:
    trace = {"open_score": 0.8, "hits": 1, "within_s": 10, "confirmed_by": "look-back"}
    evidence = [{"at": "x", "media_s": 1.0, "score": 0.9, "look": "back"}]
    alert = row({"trace": trace, "evidence": evidence, "close_reason": "quiet"})
    text = "\n".join(sentence for _, sentences in explain(alert, []) for sentence in sentences)
    assert "is closed: no frame scored high enough any more; nobody has acknowledged it" in text
    assert "asked for one frame that score" in text
    assert "seen by the look-back" in text
    assert "at least one frame came from what was already received" in text
    assert "Its steps are no longer kept." in text
    assert "Nobody has said anything yet." in text


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["trace", "evidence", "stream", "human", "signals", "preserve", "detector",
                                         "last_seen", "score", "at", "hits", "within_s", "viewed", "media_s"]),
                        inner, max_size=6)))  # fmt: skip
def test_whatever_a_document_holds_something_is_said(body: object) -> None:
    step = StepRow(1, "opened", 1e300, None, None, escalated=False, body=json.dumps(body))
    assert explain(row(body), [step])


def test_what_is_no_id_or_no_alert_is_the_users_mistake(kept: Kept, tmp_path: Path) -> None:
    path = str(config(tmp_path))
    first = kept.opens()
    kept.opens("urgent")
    for words, said in ((("x/y",), "no alert's id"), (("7ZZ",), "no alert is kept"), ((first[:2],), "several alerts")):
        result = call("show", *words, path)
        assert isinstance(result.exception, UserError)
        assert said in str(result.exception)


def test_where_no_daemon_ran_it_says_so(tmp_path: Path) -> None:
    for words in (("list",), ("stats",), ("show", "01")):
        result = call(*words, str(config(tmp_path)))
        assert isinstance(result.exception, OutsideError)
        assert "has a daemon run" in str(result.exception)


def test_each_rule_is_counted_with_its_precision_and_tests_apart(tmp_path: Path) -> None:
    story = Kept(tmp_path, ago_s=100 * 3600)
    for hours, rule, verdict in ((0, "nudity", "confirm"), (90, "nudity", "confirm"), (90, "nudity", "dismiss"),
                                 (90, "nudity", None), (90, "urgent", None), (90, "card", "confirm")):  # fmt: skip
        while story.second < hours * 3600:
            story.clock.advance(3600)
        facts = other(id=StreamId(f"s{len(story.ids)}"))
        name = story.opens(rule, facts=facts)
        if verdict:
            story.says(verdict, alert_id=name)
    story.ledger.close()
    path = str(config(tmp_path))
    counted = {(line["rule"], line["test"]): line for line in lines("stats", path)}
    assert list(counted) == [("nudity", False), ("urgent", False), ("card", True)]
    nudity = counted["nudity", False]
    assert [nudity[key] for key in ("alerts", "confirmed", "dismissed", "undecided")] == [4, 2, 1, 1]
    # what was dismissed is kept for 72 h: of older alerts only the confirmed ones are left, and those do not count
    assert (nudity["precision"], nudity["precision_of"]) == (0.5, 2)
    assert nudity["precision_low"] < 0.5 < nudity["precision_high"]
    assert counted["urgent", False]["precision"] is None
    shown = call("stats", path)
    assert "50 % of 2" in shown.stdout
    assert "tests" in shown.stdout
    assert "precision is of the last 3 d only" in shown.stderr
    longer = config(tmp_path, dismissed="365d", more="    basis: audit 7\n")
    assert lines("stats", str(longer))[0]["precision_of"] == 3
    assert lines("stats", path, "--since", "1h") == []


@given(st.integers(1, 500).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_the_interval_holds_the_share(case: tuple[int, int]) -> None:
    hits, of = case
    low, high = wilson(hits, of)
    assert 0 <= low <= hits / of + 1e-12
    assert hits / of - 1e-12 <= high <= 1


def test_wilsons_interval_is_as_published() -> None:
    assert wilson(9, 10) == pytest.approx((0.5958, 0.9821), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.floats(1, 2**48 / 1000 - 1))
def test_names_tell_when_they_were_made_and_sort_by_it(at: float) -> None:
    name = ulid.earliest(at)
    assert ulid.seconds(name) == pytest.approx(at, abs=0.0011)
    assert name <= ulid.earliest(at + 0.001)


def test_times_are_words() -> None:
    assert [span(s) for s in (0.012, 12.3, 240, 3 * 3600, 2 * 86400)] == ["12 ms", "12.3 s", "4 min", "3 h", "2 d"]
    assert moment(0) == "1970-01-01 00:00:00.000Z"
    assert moment(float("inf")) == "-"
