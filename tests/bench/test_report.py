import io
import json

import pytest
from rich.console import Console

from streamwatch import __version__
from streamwatch.bench import picture, report
from streamwatch.bench.scenarios import Goal
from streamwatch.cli import bench_view
from tests.bench.document import document


def shown() -> list[str]:
    console = Console(file=io.StringIO(), width=80, highlight=False, markup=False)
    bench_view.show(document(), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def line(*words: str) -> list[str]:
    (found,) = (one for one in shown() if all(word in one for word in words))
    return found.split()


def test_the_document_is_json_and_says_what_it_was_measured_with() -> None:
    made = json.loads(json.dumps(document()))
    assert made["schema"] == "streamwatch.bench/1"
    assert made["version"] == __version__
    assert made["machine"]["cores"] >= 1
    assert made["versions"]["av"]
    assert [one["name"] for one in made["scenarios"]] == ["360p-10s", "360p-2s", "limit"]


def test_goals_stand_beside_the_figures() -> None:
    assert report.goal(Goal("cpu", 0.06), 0.09) == {
        "figure": "cpu", "limit": 0.06, "at_least": False, "says": "", "value": 0.09, "met": False, "missed_by": 0.5,
    }  # fmt: skip
    missing = report.goal(Goal("cpu", 0.06), None)
    assert (missing["value"], missing["met"], missing["missed_by"]) == (None, None, None)


def test_figures_keep_four_digits() -> None:
    assert report.goal(Goal("cpu", 1.0), 0.123456)["value"] == 0.1235


def test_tables_are_not_cut_where_the_terminal_is_narrow() -> None:
    assert "CPU-s/stream-min" in "\n".join(shown())
    assert line("360p-10s", "0.0580")[:3] == ["360p-10s", "200", "0.0580"]
    assert line("opencv", "1.600") == ["opencv", "360p", "1.600", "20.0", "27.6", "8.0"]


def test_the_verdict_on_each_goal_is_shown() -> None:
    assert line("360p-10s", "<= 0.06")[-1] == "met"
    assert line("360p-2s", "lower bound")[-4:] == ["missed", "by", "16", "%"]
    assert line("limit", "800")[-2:] == ["not", "measured"]


def test_what_could_not_be_measured_says_why() -> None:
    assert line("too few hands") == ["limit:", "not", "measured:", "too", "few", "hands"]


def test_figures_taken_on_a_crowded_core_are_not_shown_without_a_word() -> None:
    assert line("360p-2s", "somebody else")[-9:] == ["%", "of", "this", "core:", "its", "figures", "are", "too", "high"]
    assert not [one for one in shown() if "360p-10s" in one and "somebody" in one]


@pytest.mark.parametrize(
    ("value", "digits", "text"), [(None, 2, "-"), (0.1234, 2, "0.12"), (0.57, -1, "57"), (0.0314, -2, "31")]
)
def test_numbers_as_text(value: float | None, digits: int, text: str) -> None:
    assert bench_view.number(value, digits) == text


def test_the_picture_has_a_bar_for_each_way() -> None:
    bars = picture.costs(document(), "360p")
    assert [bar.ours for bar in bars] == [False, False, False, False, True, True]
    assert [bar.value for bar in picture.memories(document(), "360p")][-1] == 0.07
    assert picture.costs(document(), "1080p") == []


def test_the_picture_is_small_text_and_always_the_same() -> None:
    drawn = picture.draw(document())
    assert drawn == picture.draw(document())
    assert len(drawn) < 200_000
    assert b"streamwatch, every 10 s" in drawn
