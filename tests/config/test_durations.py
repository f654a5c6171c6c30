import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.config import durations


@pytest.mark.parametrize(
    ("text", "expected"),
    [("500ms", 0.5), ("100ms", 0.1), ("10s", 10.0), ("1.5s", 1.5), ("5m", 300.0), ("2h", 7200.0), ("7d", 604800.0)],
)
def test_a_duration_is_a_number_and_its_unit(text, expected):
    assert durations.seconds(text) == expected


@pytest.mark.parametrize(
    "text", ["", "10", "s", "10 s", "-1s", "1e3s", "10S", "1h30m", "10s\n", "٣s", "1000000000s", ".5s", "nan", "infs"]
)
def test_anything_else_is_no_duration(text):
    with pytest.raises(ValueError, match="not a duration"):
        durations.seconds(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1GiB", 2**30), ("64MiB", 2**26), ("1.5KiB", 1536), ("1kB", 1000), ("1GB", 10**9), ("3B", 3)],
)
def test_a_size_is_a_number_and_its_unit(text, expected):
    assert durations.size(text) == expected


@pytest.mark.parametrize("text", ["", "1", "1G", "1gib", "1 GiB", "-1MiB", "1GiB\n"])
def test_anything_else_is_no_size(text):
    with pytest.raises(ValueError, match="not a size"):
        durations.size(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.5, "500ms"), (90.0, "90s"), (3600.0, "1h"), (86400.0 * 7, "7d"), (0.0625, "62.5ms")],
)
def test_seconds_are_shown_in_the_largest_whole_unit(seconds, text):
    assert durations.duration(seconds) == text


@given(st.integers(0, 10**9))
def test_whole_milliseconds_survive_being_shown_and_read(milliseconds):
    value = milliseconds / 1000
    assert durations.seconds(durations.duration(value)) == pytest.approx(value, rel=1e-12)


@given(st.integers(0, 2**40))
def test_bytes_survive_being_shown_and_read(size):
    text = durations.size_text(size)
    if len(text) <= 10:
        assert durations.size(text) == size


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0B"), (2**30, "1GiB"), (2**20 * 3, "3MiB"), (1536, "1536B"), (2048, "2KiB")]
)
def test_bytes_are_shown_in_the_largest_whole_unit(size, text):
    assert durations.size_text(size) == text
