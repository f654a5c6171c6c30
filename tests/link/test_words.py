"""What is left of text and numbers on their way out: sense, and no room for a picture."""

from __future__ import annotations

import base64
import json
import os
import re

import pytest

from streamwatch.link.frames import decode, encode
from streamwatch.link.messages import FROM_WATCHER, MAX_FRAME, Message
from streamwatch.link.words import token, words
from tests.link.examples import LARGEST, SMALL, UP, hit, rule_level, sampled, stream_level

HONEST = (
    "the server at rtmp://***@media.example.org/live/lobby answers 404",
    "no picture in these bytes (InvalidDataError)",
    '  File "/usr/lib/python3.11/site-packages/streamwatch/runtime/pipeline.py", line 512, in _look',
    "12000 x 9000 pictures are larger than limits.max_pixels (10000000)",
)


@pytest.mark.parametrize("text", HONEST)
def test_what_a_watcher_has_to_say_stays_as_it_is(text: str):
    assert words(text) == re.sub(r"\s{2,}", " ", text)


@pytest.mark.parametrize("size", [300, 6912])
def test_coded_bytes_do_not_pass(size: int):
    data = os.urandom(size)
    for coded in (base64.b64encode(data).decode(), data.hex(), base64.urlsafe_b64encode(data).decode()):
        assert len(words(f"it failed: {coded}", 10_000)) < 16 + len(coded) // 4
        assert len(stream_level(detail=coded[:300]).detail) < 80


def test_a_codec_is_a_short_name():
    assert [token(name) for name in ("", "h264", "mpeg2video", "QUJDRA==", "x" * 21)] == [
        "", "h264", "mpeg2video", "other", "other",
    ]  # fmt: skip


def test_numbers_are_as_exact_as_people_need_and_arrive_as_they_were_said():
    exact = sampled(arrival=1234.56789, media_s=1.00049, decode_s=0.00123456, gap_s=0.1 + 0.2)
    assert (exact.arrival, exact.media_s, exact.decode_s, exact.gap_s) == (1234.568, 1.0, 0.0012, 0.3)
    assert exact.at.microsecond % 1000 == 0
    assert rule_level(score=0.123456789, suspicion=1 / 3, last_seen=hit(1 / 3)).model_dump()["score"] == 0.1235
    assert decode(FROM_WATCHER, encode(exact, MAX_FRAME)[4:]) == exact


def test_a_picture_claims_no_more_than_a_codec_can_say():
    assert stream_level(width=2**60, height=70_000).width == 65_535


@pytest.mark.parametrize(
    "message", [m for m in (*SMALL, *LARGEST) if isinstance(m, UP)], ids=lambda m: type(m).__name__
)
def test_no_number_on_the_wire_has_digits_to_hide_in(message: Message):
    def numbers(value: object) -> list[float]:
        if isinstance(value, dict):
            return [n for one in value.values() for n in numbers(one)]
        if isinstance(value, list):
            return [n for one in value for n in numbers(one)]
        return [value] if isinstance(value, float) else []

    found = numbers(json.loads(encode(message, MAX_FRAME)[4:]))
    assert all(round(number, 4) == number and abs(number) <= 1e12 for number in found)
