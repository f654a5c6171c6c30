import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st

from streamwatch.domain.streams import topic_sid


def test_unreserved_characters_stand_and_all_others_are_escaped() -> None:
    assert topic_sid("live/lobby-1_a.b~c") == "live%2Flobby-1_a.b~c"
    assert topic_sid("a+b#c d") == "a%2Bb%23c%20d"
    assert topic_sid("é") == "%C3%A9"


def test_long_names_become_a_hash() -> None:
    name = "x" * 129
    assert topic_sid(name) == "~" + hashlib.sha256(name.encode()).hexdigest()[:32]
    assert topic_sid("x" * 128) == "x" * 128


def test_with_a_key_it_is_a_pseudonym() -> None:
    assert topic_sid("lobby", b"key") == hmac.new(b"key", b"lobby", hashlib.sha256).hexdigest()[:32]


@given(st.text(min_size=1))
def test_every_name_fits_a_topic_level(name: str) -> None:
    sid = topic_sid(name)
    assert 0 < len(sid) <= 128
    assert not set(sid) & set("/+# \x00")


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_different_names_have_different_ids(one: str, other: str) -> None:
    assert (topic_sid(one) == topic_sid(other)) == (one == other)
