"""Each sign told as a story: what happens to a stream, and what the built-in rules say of it, when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamwatch.domain.decisions import CloseWhen, Level, OpenWhen, Severity, Standing
from streamwatch.domain.evasion import Glance, Sign
from streamwatch.domain.streams import Reason
from streamwatch.evasion.rules import builtin, rule_name
from streamwatch.evasion.sessions import Sessions
from streamwatch.evasion.signs import StreamSigns
from tests.evasion.play import ALL, BLACK, BLUE, DARK_SCENE, NEARLY_BLACK, Play, opened, scene

SCENES = [scene(number) for number in range(200)]


# --- black, solid ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("picture", [BLACK, NEARLY_BLACK])
def test_black_for_twenty_seconds_is_told_and_is_over_a_minute_after_the_last(picture: Glance) -> None:
    play = Play()
    play.looks([*SCENES[:3], *[picture] * 4, *SCENES[3:12]])
    (told, closed) = play.told
    assert told == (51, "evasion-black", Level.ALARM)  # first at 30, then 40 and 50
    assert closed[1:] == ("evasion-black", Level.CALM)
    assert 60 <= closed[0] - 70 <= 77


def test_a_fade_to_black_or_a_cut_between_scenes_is_nothing() -> None:
    play = Play()
    play.looks([SCENES[0], BLACK, SCENES[1], BLACK, BLACK, SCENES[2], BLUE, BLUE, SCENES[3]])
    assert play.told == []


def test_many_looks_at_a_short_blackness_do_not_make_it_long() -> None:
    play = Play()
    play.looks([BLACK] * 15, every=1)
    assert play.told == []


def test_two_looks_far_apart_do_not_show_what_was_between_them() -> None:
    play = Play()
    play.looks([BLACK, BLACK], every=59)
    assert play.told == []


def test_one_colour_has_a_name_of_its_own_and_takes_longer() -> None:
    play = Play()
    play.looks([BLUE] * 5)
    assert opened(play) == [(31, "solid")]


def test_a_dark_scene_is_no_blackness() -> None:
    play = Play()
    play.looks([replace(DARK_SCENE, hash=number * 7) for number in range(30)])
    assert play.told == []


def test_blackness_goes_on_while_nobody_looks() -> None:
    play = Play()
    play.looks([BLACK] * 3)
    play.run(600)
    assert [level for _, _, level in play.told] == [Level.ALARM]


# --- frozen ----------------------------------------------------------------------------------------------------------


def test_the_same_picture_for_a_minute_is_frozen_until_it_moves() -> None:
    play = Play()
    play.looks([*[SCENES[0]] * 9, *SCENES[1:11]])
    assert opened(play) == [(61, "frozen")]
    assert play.told[-1][2] is Level.CALM


def test_what_re_encoding_does_to_a_picture_is_no_movement() -> None:
    still = SCENES[0]
    turned = replace(still, hash=still.hash ^ 1, luma=still.luma + 1.7, spread=still.spread - 1.7)
    play = Play()
    play.looks([still, turned] * 5)
    assert opened(play) == [(61, "frozen")]


@pytest.mark.parametrize("change", [{"hash": SCENES[0].hash ^ 0b11}, {"luma": SCENES[0].luma + 4}, {"spread": 54}])
def test_a_little_movement_in_every_other_look_is_not_frozen(change: dict[str, float]) -> None:
    moved = replace(SCENES[0], **change)
    play = Play()
    play.looks([SCENES[0], moved] * 20)
    assert play.told == []


def test_slow_movement_adds_up() -> None:
    play = Play()
    play.looks([replace(SCENES[0], luma=100 + number) for number in range(40)])
    assert play.told == []


def test_places_that_are_not_clear_are_not_compared() -> None:
    play = Play()
    play.looks([replace(scene(number), luma=100, spread=50, sure=0b1111) for number in range(12)])
    assert play.told == []  # four clear places tell nothing, neither movement nor stillness


def test_a_picture_of_one_colour_is_not_called_frozen_too() -> None:
    play = Play()
    play.looks([BLUE] * 12)
    assert opened(play) == [(31, "solid")]


# --- dimensions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(48, 48), (16, 16), (2048, 60), (9000, 5000), (2000, 400), (300, 1300)])
def test_a_size_that_serves_no_viewer_is_told_after_ten_seconds(size: tuple[int, int]) -> None:
    play = Play()
    play.size = size
    play.run(30)
    assert opened(play) == [(11, "dimensions")]


@pytest.mark.parametrize("size", [(0, 0), (64, 64), (256, 144), (144, 256), (3840, 1080), (1080, 2520), (8192, 4320)])
def test_a_size_that_some_viewer_has_is_nothing(size: tuple[int, int]) -> None:
    play = Play()
    play.size = size
    play.run(60)
    assert play.told == []


def test_a_server_that_changes_its_renditions_is_nothing() -> None:
    play = Play()
    play.looks([scene(0)])
    play.size = (32, 18)
    play.run(5)
    play.size = (640, 360)
    play.run(60)
    assert play.told == []


# --- what keeps it from being seen -----------------------------------------------------------------------------------

OBSTACLES = [(Reason.NO_KEYS, "rare-keys", 30), (Reason.DECODE, "undecodable", 30), (Reason.CODEC, "unknown-codec", 10)]


@pytest.mark.parametrize(("reason", "name", "needed"), OBSTACLES)
def test_an_obstacle_that_lasts_is_told_and_is_over_when_it_ends(reason: Reason, name: str, needed: float) -> None:
    play = Play()
    play.run(20)
    play.reason = reason
    play.run(100)
    play.reason = None
    play.run(200)
    (told, closed) = play.told
    assert told == (pytest.approx(21 + needed, abs=1), f"evasion-{name}", Level.ALARM)
    assert closed[1:] == (f"evasion-{name}", Level.CALM)
    assert closed[0] <= 120 + needed / 2 + 60 + 17


@pytest.mark.parametrize(("reason", "name", "needed"), OBSTACLES)
def test_an_obstacle_that_passes_is_nothing(reason: Reason, name: str, needed: float) -> None:
    play = Play()
    for _ in range(20):
        play.reason = reason
        play.run(needed / 3)
        play.reason = None
        play.run(needed / 2)
    assert play.told == []


def test_keys_that_come_now_and_then_do_not_hide_that_they_are_rare() -> None:
    play = Play()
    for _ in range(4):  # a key every 40 s: seen for 10, not seen for 30
        play.reason = None
        play.run(10)
        play.reason = Reason.NO_KEYS
        play.run(30)
    assert [name for _, name in opened(play)] == ["rare-keys"]


@pytest.mark.parametrize("reason", [Reason.STALLED, Reason.OVERLOAD, Reason.REFUSED, Reason.BLIND, Reason.CONNECTING])
def test_what_is_our_doing_or_a_bad_line_is_no_evasion(reason: Reason) -> None:
    play = Play()
    play.reason = reason
    play.run(600)
    assert play.told == []


def test_an_unknown_codec_is_told_of_a_stream_that_was_never_live() -> None:
    play = Play()
    play.live, play.reason = False, Reason.CODEC
    play.run(30)
    assert opened(play) == [(11, "unknown-codec")]
    play.reason = Reason.CONNECTING
    play.run(100)
    assert play.told[-1][1:] == ("evasion-unknown-codec", Level.CALM)


def test_an_unknown_codec_is_told_even_if_every_attempt_is_a_session() -> None:
    play = Play()
    play.reason = Reason.CODEC
    for _ in range(3):
        play.run(8)
        play.begins()
    assert [name for _, name in opened(play)] == ["unknown-codec", "unknown-codec"]


# --- who publishes ---------------------------------------------------------------------------------------------------


def test_media_time_and_format_that_begin_anew_are_another_publisher() -> None:
    play = Play()
    play.run(60)
    play.wariness.turns(play.now, jumped=True, reformatted=True)
    play.run(200)
    (told, closed) = play.told
    assert told == (61, "evasion-swapped", Level.ALARM)
    assert closed[2] is Level.CALM


def test_they_may_come_in_two_messages() -> None:
    play = Play()
    play.wariness.turns(10, jumped=False, reformatted=True)
    play.wariness.turns(12, jumped=True, reformatted=False)
    play.now = 12
    play.run(1)
    assert opened(play) == [(13, "swapped")]


def test_an_encoder_that_restarts_or_a_change_of_rendition_is_no_other_publisher() -> None:
    play = Play()
    for _ in range(5):
        play.run(60)
        play.wariness.turns(play.now, jumped=True, reformatted=False)
        play.run(60)
        play.wariness.turns(play.now, jumped=False, reformatted=True)
    assert play.told == []


def test_a_format_that_begins_with_a_session_is_no_swap() -> None:
    play = Play()
    play.run(60)
    play.wariness.turns(play.now, jumped=True, reformatted=False)
    play.begins()
    play.wariness.turns(play.now, jumped=False, reformatted=True)
    play.run(30)
    assert play.told == []


def sessions(play: Play, *lasted: float, pause: float = 5.0) -> None:
    for seconds in lasted:
        play.run(seconds)
        play.live = False
        play.now += pause
        play.begins()


def test_four_sessions_that_never_stay_to_be_confirmed_are_a_pattern_told_in_the_next() -> None:
    play = Play()
    sessions(play, 12, 15, 18, 12)
    assert play.told == []
    play.run(10)
    assert [name for _, name in opened(play)] == ["reconnects"]


def test_it_is_over_when_a_session_outlives_the_window_and_counted_anew() -> None:
    play = Play()
    sessions(play, 12, 12, 12, 12)
    play.run(150)
    assert [level for _, _, level in play.told] == [Level.ALARM, Level.CALM]
    sessions(play, 1, 12, 12, 12)
    play.run(10)
    assert len(opened(play)) == 1


def test_every_four_sessions_are_told_once() -> None:
    play = Play()
    sessions(play, *[12] * 12)
    assert len(opened(play)) == 2


@pytest.mark.parametrize("lasted", [[12, 12, 12, 600] * 4, [25] * 10, [12, 12, 12]])
def test_a_bad_line_is_no_pattern(lasted: list[float]) -> None:
    play = Play()
    sessions(play, *lasted)
    play.run(10)
    assert play.told == []


def test_a_session_that_stays_just_long_enough_does_not_clear_the_count() -> None:
    play = Play()
    sessions(play, *[12, 12, 12, 21] * 5)
    assert [name for _, name in opened(play)] == ["reconnects"] * 3, "fifteen short ones"


def test_short_sessions_are_forgotten_in_a_long_one() -> None:
    told = Sessions(20.0)
    for began in (0.0, 17.0, 34.0, 51.0):
        told.begins(began, began - 5)
    assert [told.reconnects(now) for now in (60.0, 620.0, 700.0)] == [0.6, 0.4, 0.0]


def test_short_sessions_over_a_long_time_are_no_pattern() -> None:
    play = Play()
    sessions(play, *[12] * 8, pause=250)
    assert play.told == []


def test_the_window_is_what_confirming_takes() -> None:
    play = Play(window_s=60)
    sessions(play, 50, 50, 50, 50)
    play.run(3)
    assert [name for _, name in opened(play)] == ["reconnects"]


# --- slate -----------------------------------------------------------------------------------------------------------


def test_a_rate_that_drops_to_a_tenth_and_stays_there_is_a_slate() -> None:
    play = Play()
    play.run(120)
    play.rate = 8_000
    play.run(120)
    play.rate = 90_000
    play.run(120)
    (told, closed) = play.told
    assert told[1:] == ("evasion-slate", Level.ALARM)
    assert 150 <= told[0] <= 165
    assert closed[2] is Level.CALM


def test_a_calm_scene_or_a_short_pause_is_none() -> None:
    play = Play()
    play.run(120)
    for rate, seconds in ((25_000, 120), (100_000, 60), (5_000, 15), (100_000, 60)):
        play.rate = rate
        play.run(seconds)
    assert play.told == []


def test_a_rate_that_ebbs_away_is_none() -> None:
    play = Play()
    for _ in range(60):
        play.run(10)
        play.rate *= 0.93
    assert play.told == []


def test_silence_is_no_slate() -> None:
    play = Play()
    play.run(120)
    play.flows = False
    play.run(120)
    play.flows = True
    play.run(120)
    assert play.told == []


def test_without_a_minute_of_the_usual_nothing_is_low() -> None:
    play = Play()
    play.run(40)
    play.rate = 1_000
    play.run(600)
    assert play.told == []


def test_what_comes_in_bursts_or_only_when_asked_for_has_no_rate() -> None:
    play = Play()
    play.steady = False
    play.run(120)
    play.rate = 1_000
    play.run(120)
    assert play.told == []


def test_in_the_end_the_low_rate_is_the_usual_one() -> None:
    play = Play()
    play.run(120)
    play.rate = 5_000
    play.run(900)
    assert [level for _, _, level in play.told] == [Level.ALARM, Level.CALM]


# --- rules -----------------------------------------------------------------------------------------------------------


def test_every_sign_has_a_rule_of_low_severity_unless_it_is_left_out() -> None:
    rules = builtin(Severity.LOW)
    assert [rule.label for rule in rules] == [sign.value for sign in Sign]
    assert {rule.name for rule in rules} == {rule_name(sign) for sign in Sign}
    assert all(rule.severity is Severity.LOW and rule.kind.value == "evasion" for rule in rules)
    assert "black" not in [rule.label for rule in builtin(Severity.HIGH, but={"black"})]


def test_a_rule_with_the_defaults_of_the_configuration_works_on_signs_too() -> None:
    black = next(rule for rule in builtin(Severity.LOW) if rule.label == "black")
    usual = replace(black, open=OpenWhen(0.8, 2, 10, 0.4), close=CloseWhen(0.5, 30))
    play = Play(rules=[usual])
    play.looks([BLACK] * 4)
    assert [level for _, _, level in play.told] == [Level.SUSPECTED, Level.ALARM]


def test_a_rule_may_ask_for_longer_by_spaced_hits() -> None:
    black = next(rule for rule in builtin(Severity.LOW) if rule.label == "black")
    play = Play(rules=[replace(black, open=OpenWhen(1.0, 3, 200, 60))])
    play.looks([BLACK] * 20)
    assert play.told[-1][2] is Level.ALARM
    assert 140 <= play.told[-1][0] <= 160


def test_an_alarm_that_stands_is_judged_once_a_minute_and_a_calm_stream_not_at_all() -> None:
    calm, black = Play(), Play()
    calm.looks(SCENES[:60])
    black.looks([BLACK] * 60)
    assert calm.judged <= 3
    assert 10 <= black.judged <= 10 + 5


def test_calm_after_an_alarm_is_told_again_for_a_while_should_the_first_word_be_lost() -> None:
    play = Play()
    play.looks([*[BLACK] * 4, *SCENES[:15]])
    closed, judged = play.told[-1], play.judged
    assert closed[2] is Level.CALM
    play.looks(SCENES[15:45])
    again = play.judged - judged
    play.looks(SCENES[45:75])
    assert 2 <= again <= 6
    assert play.judged == judged + again


def test_a_restart_of_the_watcher_is_no_end_of_what_goes_on() -> None:
    for picture, sign in ((BLACK, Sign.BLACK), (BLUE, Sign.SOLID), (SCENES[0], Sign.FROZEN)):
        play = Play()
        play.wariness.restore([Standing(rule=rule_name(sign), open=True)])
        play.run(4)
        play.looks([picture] * 20)
        assert play.wariness.decisions()[list(Sign).index(sign)].level is Level.ALARM


def test_a_verdict_or_another_rule_hears_what_stands_at_once() -> None:
    play = Play()
    play.looks([BLACK] * 4)
    play.wariness.restore([Standing(rule="evasion-black", open=False)])
    assert play.wariness.decisions()[0].level is Level.CALM
    play.run(2)
    assert play.wariness.decisions()[0].level is Level.ALARM


def test_blind_is_what_shows_nothing_and_says_why() -> None:
    play = Play()
    assert play.look(BLACK) == "the picture is black"
    assert play.look(BLUE) == "the picture is of one colour"
    assert "too small" in play.look(scene(1), size=(24, 640))
    assert play.look(scene(1), size=(640, 360)) == ""
    assert play.look(DARK_SCENE) == ""


def test_what_could_not_be_judged_is_left_out() -> None:
    play = Play()
    play.run(1)
    (first,) = [scores for scores in [play.wariness._scores] if scores]
    assert {label for label, _ in first} == {
        "unknown_codec", "rare_keys", "undecodable", "dimensions", "swapped", "reconnects"
    }  # fmt: skip
    assert isinstance(play.signs, StreamSigns)
    assert ALL.bit_length() == 256
