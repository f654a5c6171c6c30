"""Whatever hands do to a log is found, by line, and named."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamwatch.audit.chain import GENESIS, Tip, line
from streamwatch.audit.verification import MAX_RUNS, RETENTION, What, verify
from tests.audit.book import AT, tip_of, written

LOG = written(12)


def found(lines: list[bytes]) -> list[tuple[int, str]]:
    return [(damage.line, damage.what.value) for damage in verify(lines).damages]


def test_a_sound_log_is_sound():
    verified = verify(LOG, wanted=(3, 99))
    assert verified.damages == []
    assert (verified.lines, verified.first, verified.tip, verified.at) == (12, 1, tip_of(LOG), AT)
    assert verified.seen == {3: (3, tip_of(LOG[:3]).hash)}
    assert verify([]).damages == []


def altered(index: int, old: bytes, new: bytes) -> list[bytes]:
    return [data.replace(old, new) if place == index else data for place, data in enumerate(LOG)]


def rehashed(index: int) -> list[bytes]:
    """One line written anew with other facts, and a hash that fits."""
    [other] = written(1, after=tip_of(LOG[:index]) if index else None, verb="mute")
    return [*LOG[:index], other, *LOG[index + 1 :]]


@pytest.mark.parametrize(
    ("lines", "damages"),
    [
        (LOG[:4] + LOG[5:], [(5, "deletion")]),
        (LOG[1:], [(1, "deletion")]),
        (LOG[:3] + LOG[8:], [(4, "deletion")]),
        ([*LOG[:4], LOG[5], LOG[4], *LOG[6:]], [(6, "reorder")]),
        ([*LOG[:10], LOG[11], LOG[10]], [(12, "reorder")]),
        ([LOG[1], LOG[0], *LOG[2:]], [(2, "reorder")]),
        ([*LOG[:4], *LOG[5:], LOG[4]], [(12, "reorder")]),
        ([LOG[8], *LOG[:8], *LOG[9:]], [(1, "reorder")]),
        ([*LOG[:4], LOG[9], *LOG[5:9], LOG[4], *LOG[10:]], [(5, "reorder"), (10, "reorder")]),
        ([*LOG[:6], LOG[2], *LOG[6:]], [(7, "insertion")]),
        ([*LOG[:6], LOG[9], *LOG[6:]], [(7, "insertion")]),
        ([*LOG[:6], LOG[5], *LOG[6:]], [(6, "insertion")]),
        ([*LOG, LOG[3]], [(13, "insertion")]),
        ([*LOG, LOG[11]], [(13, "insertion")]),
        ([*LOG[:6], b"{}\n", *LOG[6:]], [(7, "insertion")]),
        ([b"hello\n", *LOG], [(1, "insertion")]),
        (altered(4, b"verdict", b"ping---"), [(5, "change")]),
        (altered(0, b"verdict", b"ping---"), [(1, "change")]),
        (altered(11, b"verdict", b"ping---"), [(12, "change")]),
        (altered(4, b'"n":5', b'"n":6'), [(5, "change")]),
        (rehashed(4), [(5, "change")]),
        (rehashed(0), [(1, "change")]),
        ([*LOG[:4], b"\n", *LOG[6:]], [(5, "change"), (6, "deletion")]),
        ([*LOG[:11], LOG[11][:-1]], [(12, "torn")]),
        ([*LOG[:11], LOG[11][:30]], [(12, "torn")]),
        ([b"x\n"], [(1, "change")]),
    ],
)
def test_what_was_done_is_named_at_its_line(lines, damages):
    assert found(lines) == damages


def test_a_forged_line_between_two_is_an_insertion():
    [forged] = written(1, after=tip_of(LOG[:6]), verb="mute")
    assert found([*LOG[:6], forged, *LOG[6:]]) == [(7, "insertion")]


def test_words_say_which_lines():
    [damage] = verify(LOG[:3] + LOG[8:]).damages
    assert str(damage) == "deletion: n=4 to n=8 should stand before this line and are missing"
    [damage] = verify([*LOG[:6], LOG[2], *LOG[6:]]).damages
    assert str(damage) == "insertion: n=3 stands here, and again at line 3"
    [damage] = verify(LOG[1:]).damages
    assert "no later line tells that it was deleted for its age" in damage.text


class Log:
    """A log, and one edit of it."""

    def __init__(self, count: int, facts: list[dict[str, object]]) -> None:
        tip, self.lines = Tip(), []
        for number in range(count):
            one, tip = line(tip, at=AT, kind="a.kind", facts=facts[number % len(facts)] if facts else {})
            self.lines.append(one)


LOGS = st.builds(
    Log, st.integers(2, 15), st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2), max_size=3)
)


@settings(max_examples=300)
@given(LOGS, st.data())
def test_a_deleted_line_is_found(log, data):
    place = data.draw(st.integers(0, len(log.lines) - 2))  # of the tail checkpoints tell
    [damage] = verify(log.lines[:place] + log.lines[place + 1 :]).damages
    assert (damage.line, damage.what) == (place + 1, What.DELETION)
    assert f"n={place + 1} " in damage.text


@settings(max_examples=300)
@given(LOGS, st.data())
def test_two_lines_that_changed_places_are_found(log, data):
    one, other = sorted(data.draw(st.sets(st.integers(0, len(log.lines) - 1), min_size=2, max_size=2)))
    lines = list(log.lines)
    lines[one], lines[other] = lines[other], lines[one]
    damages = verify(lines).damages
    assert {damage.what for damage in damages} == {What.REORDER}
    assert all(one + 1 <= damage.line <= other + 1 for damage in damages)


@settings(max_examples=500)
@given(LOGS, st.data())
def test_a_changed_byte_is_found(log, data):
    place = data.draw(st.integers(0, len(log.lines) - 1))
    whole = b"".join(log.lines)
    start = sum(map(len, log.lines[:place]))
    at = data.draw(st.integers(start, start + len(log.lines[place]) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != whole[at]))
    changed = whole[:at] + bytes([byte]) + whole[at + 1 :]
    damages = verify(_split(changed)).damages
    assert damages
    assert damages[0].line == place + 1
    assert {damage.what for damage in damages} <= {What.CHANGE, What.TORN, What.INSERTION, What.DELETION}


def _split(data: bytes) -> list[bytes]:
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


@settings(max_examples=300)
@given(LOGS, st.data())
def test_an_inserted_copy_is_found(log, data):
    source = data.draw(st.integers(0, len(log.lines) - 1))
    place = data.draw(st.integers(0, len(log.lines)))
    lines = [*log.lines[:place], log.lines[source], *log.lines[place:]]
    [damage] = verify(lines).damages
    assert damage.what is What.INSERTION
    assert lines[damage.line - 1] == log.lines[source]


@settings(max_examples=300)
@given(LOGS, st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=6))
def test_many_edits_are_never_taken_for_a_sound_log(log, edits):
    lines = list(log.lines)
    for how, *places in edits:
        one, other = (place % len(lines) for place in places)
        match how:
            case 0 if len(lines) > 1:
                del lines[one]
            case 1:
                lines[one], lines[other] = lines[other], lines[one]
            case 2:
                lines.insert(one, lines[other])
            case _:
                lines[one] = lines[one].replace(b"kind", b"king")
    sound = lines == log.lines[: len(lines)]
    assert bool(verify(lines).damages) is not sound


def test_lines_deleted_for_their_age_are_no_damage_if_a_line_tells_of_it():
    old = written(5)
    [told] = written(1, after=tip_of(old), kind=RETENTION, n=3, hash=tip_of(old[:3]).hash)
    rest = written(3, after=tip_of([told]))
    log = [*old, told, *rest]
    assert found(log) == []  # a crash came between the word and the deed
    assert found(log[3:]) == []
    assert verify(log[3:]).first == 4
    assert found(log[4:]) == [(1, "deletion")]
    assert found(log[2:]) == [(1, "deletion")]
    assert found([log[4], log[3], *log[5:]]) == [(2, "reorder")]


def test_a_wrong_word_about_the_first_line_is_found():
    old = written(5)
    [told] = written(1, after=tip_of(old), kind=RETENTION, n=3, hash="f" * 64)
    assert found([*old[3:], told]) == [(1, "change")]


def test_a_log_in_shreds_ends_in_a_verdict():
    lines = written(4000)
    shreds = [lines[index ^ 1] for index in range(len(lines))]
    damages = verify(shreds).damages
    assert len(damages) >= MAX_RUNS // 3
    assert "so much damage" in damages[-1].text
    assert GENESIS == "0" * 64
