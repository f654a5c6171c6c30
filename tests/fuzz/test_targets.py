"""Every target for a moment; `scripts/fuzz` runs them for long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.engine import Broken, Drawn, Fuzzed, Target, targets


@pytest.mark.parametrize("target", targets().values(), ids=lambda target: target.name)
def test_no_damage_breaks_it(target: Fuzzed) -> None:
    target.briefly()


def test_a_target_that_breaks_is_found() -> None:
    def check(data: bytes) -> None:
        assert b"\xff\xff\xff\xff" not in data

    with pytest.raises(Broken) as caught:
        Target("broken", check, lambda: [bytes(20)]).briefly()
    assert b"\xff\xff\xff\xff" in caught.value.data


def test_a_drawn_target_that_breaks_is_found() -> None:
    @given(st.binary())
    def check(data: bytes) -> None:
        assert len(data) < 2

    with pytest.raises(AssertionError):
        Drawn("broken", check).briefly()
