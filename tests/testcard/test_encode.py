import asyncio
import threading
from contextlib import aclosing
from dataclasses import replace
from itertools import pairwise

import pytest

from streamwatch.testcard.encode import Encoding, Pause, live
from streamwatch.testcard.flv import FlvSplitter, TagKind
from streamwatch.testcard.scene import scene
from tests.fakes.clock import FakeClock
from tests.testcard.tags import SMALL, flv_tags


class Hurried(FakeClock):
    """Time passes when somebody sleeps, and only then."""

    async def sleep(self, seconds):
        await asyncio.sleep(0)
        self.advance(max(seconds, 0))


def draw(t):
    return scene("x", t, SMALL.width, SMALL.height)


async def video(encoded):
    """(milliseconds, key) of every picture."""
    splitter = FlvSplitter()
    async with aclosing(encoded):
        tags = [tag async for data in encoded for tag in splitter.feed(data)]
    return [(t.timestamp_ms, t.is_key) for t in tags if t.kind is TagKind.VIDEO and t.payload[1] == 1]


@pytest.mark.parametrize("b_frames", [0, 2])
def test_keys_come_at_the_interval_exactly_whatever_the_picture_does(b_frames):
    tags = flv_tags(12.0, replace(SMALL, key_interval_s=1.0, b_frames=b_frames))
    keys = [tag.timestamp_ms for tag in tags if tag.is_key]
    assert [b - a for a, b in pairwise(keys)] == [1000] * 11


def test_decoder_headers_come_before_the_pictures_and_are_told_apart():
    tags = flv_tags(1.0)
    kinds = [(tag.kind.name, tag.is_header, tag.is_key) for tag in tags]
    assert kinds[:3] == [("DATA", False, False), ("VIDEO", True, False), ("AUDIO", True, False)]
    assert next(k for k in kinds[3:] if k[0] == "VIDEO") == ("VIDEO", False, True)


def test_sound_can_be_left_out():
    assert {tag.kind.name for tag in flv_tags(1.0, replace(SMALL, audio=False))} == {"DATA", "VIDEO"}


def test_the_same_pictures_give_the_same_stream():
    assert flv_tags(2.0) == flv_tags(2.0)


@pytest.mark.parametrize(
    "wrong", [{"width": 161}, {"height": 2}, {"fps": 0}, {"key_interval_s": 0.01}, {"b_frames": 9}]
)
def test_what_cannot_be_encoded_is_refused_at_once(wrong):
    with pytest.raises(ValueError, match="must be"):
        Encoding(**wrong)


async def test_a_live_encoder_keeps_to_the_clock():
    clock = Hurried()
    pictures = await video(live(SMALL, "flv", draw, clock=clock, name="x", seconds=3.0))
    assert len(pictures) == 30
    assert clock.monotonic() == pytest.approx(1000 + 2.9)


async def test_what_comes_ahead_is_not_waited_for():
    clock = Hurried()
    pictures = await video(live(SMALL, "flv", draw, clock=clock, name="x", seconds=3.0, ahead_s=2.0))
    assert len(pictures) == 30
    assert clock.monotonic() == pytest.approx(1000 + 0.9)


async def test_frames_that_come_too_late_are_left_out_and_the_next_is_a_key():
    clock = Hurried()

    def slow_once(t):
        if t == pytest.approx(1.2):
            clock.advance(1.0)
        return draw(t)

    pictures = await video(live(SMALL, "flv", slow_once, clock=clock, name="x", seconds=3.0))
    steps = [(b[0] - a[0], b[1]) for a, b in pairwise(pictures)]
    jumps = [step for step in steps if step[0] > 150]
    assert len(jumps) == 1
    assert jumps[0][0] == pytest.approx(1000, abs=150)
    assert jumps[0][1]


async def test_a_pause_leaves_its_time_out_of_the_stream():
    clock, pause = Hurried(), Pause()
    held = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold_once(t):
        if t == pytest.approx(1.0):
            pause_now.set()
        return draw(t)

    pause_now = threading.Event()

    async def hold():
        await asyncio.to_thread(pause_now.wait, 10)
        pause.hold()
        clock.advance(5.0)
        held.set()
        loop.call_soon(pause.release)

    async with asyncio.TaskGroup() as group:
        group.create_task(hold(), name="hold")
        pictures = await video(live(SMALL, "flv", hold_once, clock=clock, name="x", seconds=9.0, pause=pause))
    assert held.is_set()
    steps = [b[0] - a[0] for a, b in pairwise(pictures)]
    assert max(steps) == pytest.approx(5000, abs=300)


async def test_drawing_and_encoding_run_in_a_thread_of_their_own_that_ends_with_the_stream():
    names = set()

    def note(t):
        names.add(threading.current_thread().name)
        return draw(t)

    await video(live(SMALL, "flv", note, clock=Hurried(), name="lobby", seconds=0.5))
    assert names == {"encode lobby_0"}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("encode lobby")]


async def test_a_stream_can_be_broken_off_at_any_time():
    encoded = live(SMALL, "flv", draw, clock=Hurried(), name="lobby")
    async with aclosing(encoded):
        async for _ in encoded:
            break
    task = asyncio.ensure_future(video(live(SMALL, "flv", draw, clock=FakeClock(), name="lobby")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("encode lobby")]
