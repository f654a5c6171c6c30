"""A line has one form, and says what it holds."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.audit.chain import GENESIS, MAX_LINE, Tip, Unreadable, line, read, tidy
from tests.audit.book import AT, tip_of, written

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=300),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=80), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=80), VALUES, max_size=6), st.integers(0, 10**9))
def test_what_is_written_is_read_whatever_it_holds(facts, n):
    data, tip = line(Tip(n, "a" * 64), at=AT, kind="a.kind", facts=facts)
    entry = read(data)
    assert (entry.n, entry.prev, entry.hash) == (n + 1, "a" * 64, tip.hash)
    assert len(data) <= MAX_LINE
    assert data.isascii()
    assert data.count(b"\n") == 1
    assert entry.facts == tidy(facts) or "left_out_sha256" in entry.facts


def test_the_hash_is_that_of_the_line_without_it():
    [data] = written(1)
    body, _, rest = data.partition(b',"hash":"')
    assert hashlib.sha256(body + b"}").hexdigest() == rest[:64].decode()
    assert list(json.loads(data)) == ["n", "at", "kind", "facts", "prev", "hash"]
    assert json.loads(data)["prev"] == GENESIS


def test_what_is_too_long_is_left_out_and_its_digest_kept():
    data, _ = line(Tip(), at=AT, kind="a", facts={str(number): "x" * 200 for number in range(200)})
    assert read(data).facts["left_out_bytes"] > MAX_LINE


def test_text_is_made_safe_to_show():
    data, _ = line(Tip(), at=AT, kind="a", facts={"who": "a\x1b[31m\u202eb\ud800", "far": float("inf"), "big": 10**40})
    assert read(data).facts == {"who": "a�[31m�b�", "far": None, "big": None}


def forged(body: bytes) -> bytes:
    return body[:-1] + b',"hash":"' + hashlib.sha256(body).hexdigest().encode() + b'"}\n'


SOUND = b'{"n":1,"at":"2026-11-21T10:00:00.000Z","kind":"a","facts":{"a":1,"b":[1.5]},"prev":"' + b"0" * 64 + b'"}'


def test_the_forged_line_of_these_tests_is_sound_to_begin_with():
    assert read(forged(SOUND)).facts == {"a": 1, "b": [1.5]}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"n":1', b'"n":1.0'),
        (b'"n":1', b'"n":01'),
        (b'"n":1', b'"n":0'),
        (b'"n":1', b'"n":true'),
        (b'"n":1', b'"n": 1'),
        (b'{"n":1,', b'{"n":1,"n":1,'),
        (b'"a":1,"b"', b'"b":1,"a"'),
        (b"1.5", b"1.50"),
        (b"1.5", b"NaN"),
        (b"1.5", b"1e999"),
        (b"1.5", b"[" * 3000 + b"]" * 3000),
        (b"[1.5]", b"null,"),
        (b"10:00:00.000Z", b"10:00:00Z"),
        (b'"kind":"a"', b'"kind":"A"'),
        (b'"kind":"a"', b'"kind":1'),
        (b'"kind":"a"', b'"kind":"\\u0061"'),
        (b"0" * 64, b"0" * 63),
        (b'"facts":{"a":1,"b":[1.5]}', b'"facts":[]'),
        (b'"facts":{"a":1,"b":[1.5]},', b""),
        (b'"kind"', b'"more":1,"kind"'),
    ],
)
def test_any_other_form_is_no_line_even_with_a_hash_that_fits(old, new):
    with pytest.raises(Unreadable, match="no line of an audit log"):
        read(forged(SOUND.replace(old, new)))


@pytest.mark.parametrize("data", [b"", b"\n", b"{}\n", b"x" * 10_000 + b"\n", SOUND + b"\n", b"\xff\n"])
def test_what_has_no_hash_is_no_line(data):
    with pytest.raises(Unreadable):
        read(data)


def test_a_line_without_its_end_is_none():
    with pytest.raises(Unreadable, match="no end"):
        read(written(1)[0][:-1])


def test_the_tip_of_these_tests_is_right():
    assert written(1, after=tip_of(written(3)))[0].startswith(b'{"n":4,')
