import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.testcard.scene import SCENE_S, CardSwitch, Script, card_frame, picture, scene, scene_kind
from tests.testcard.player import shows_card


@pytest.mark.parametrize("size", [(640, 360), (160, 96), (90, 160), (1280, 720)])
def test_the_same_seed_and_time_give_the_same_frame(size):
    for t in np.arange(0, 40, 3.1):
        one, two = scene("lobby", float(t), *size), scene("lobby", float(t), *size)
        assert one.shape == (size[1], size[0], 3)
        assert one.dtype == np.uint8
        assert np.array_equal(one, two)
    assert not np.array_equal(scene("lobby", 1.0, *size), scene("hall", 1.0, *size))


def test_programmes_show_every_kind_of_scene_and_cut_between_them():
    kinds = [scene_kind("lobby", n * SCENE_S + 0.1) for n in range(60)]
    assert set(kinds) == {"balls", "clock", "stripes", "snow", "boxes", "still"}
    before, after = (scene("lobby", t, 160, 96).astype(int) for t in (SCENE_S - 0.01, SCENE_S + 0.01))
    assert np.abs(before - after).mean() > 10


def test_pictures_move():
    for n in range(12):
        one, two = (scene("lobby", n * SCENE_S + t, 320, 180) for t in (0.5, 1.7))
        assert not np.array_equal(one, two), scene_kind("lobby", n * SCENE_S)


def test_no_scene_resembles_the_card():
    card = card_frame(160, 96).astype(float)
    card -= card.mean((0, 1))
    for n in range(60):
        frame = scene("hall", n * SCENE_S + 2.0, 160, 96)
        assert not shows_card(frame)
        other = frame - frame.mean((0, 1))
        likeness = (card * other).sum() / np.sqrt((card**2).sum() * (other**2).sum())
        assert abs(likeness) < 0.3


def test_the_script_shows_the_card_first_and_then_again():
    script = Script(first_s=4, length_s=6, every_s=30)
    shown = [t for t in range(70) if script(t)]
    assert shown == [*range(4, 10), *range(34, 40), *range(64, 70)]
    assert not Script(first_s=float("inf"))(1e9)


@given(st.floats(0, 1e6), st.floats(0, 100), st.floats(0.1, 50))
def test_the_card_is_on_for_its_length_and_no_longer(t, first_s, length_s):
    script = Script(first_s=first_s, length_s=length_s, every_s=60)
    assert script(first_s)
    assert not script(first_s + length_s + 0.001)
    assert script(t) <= (t >= first_s)


@pytest.mark.parametrize("wrong", [{"first_s": -1}, {"length_s": 0}, {"length_s": 31}])
def test_a_script_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="script"):
        Script(**wrong)


def test_a_switch_overrules_the_script_until_it_is_let_go():
    switch = CardSwitch(Script(first_s=10))
    assert [switch(0), switch(10)] == [False, True]
    switch.set(True)
    assert [switch(0), switch(10)] == [True, True]
    switch.set(False)
    assert [switch(0), switch(10)] == [False, False]
    switch.set(None)
    assert [switch(0), switch(10)] == [False, True]
    assert not CardSwitch()(10)


def test_the_card_is_drawn_once_and_cannot_be_spoilt():
    one = picture(seed="x", t=0, width=320, height=180, card=True)
    assert one is picture(seed="y", t=9, width=320, height=180, card=True)
    with pytest.raises(ValueError, match="read-only"):
        one[0] = 0
