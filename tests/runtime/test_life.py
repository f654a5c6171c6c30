import math

from streamwatch.domain.errors import Dropped, NotPublished, PolicyRefused, Refused, Unreachable
from streamwatch.domain.streams import Reason
from streamwatch.runtime.life import Life, Phase


def phase(life: Life, now: float) -> tuple[Phase, Reason | None]:
    standing = life.standing(now)
    return standing.phase, standing.reason


def test_never_live_is_connecting_with_the_reason_of_the_last_attempt() -> None:
    life = Life(end_after_s=300)
    assert phase(life, 0) == (Phase.CONNECTING, Reason.CONNECTING)
    life.failed(Unreachable("closed"), 1)
    assert phase(life, 1) == (Phase.CONNECTING, Reason.UNREACHABLE)
    life.failed(PolicyRefused("no"), 2)
    assert phase(life, 2) == (Phase.CONNECTING, Reason.POLICY)
    life.failed(NotPublished("nobody"), 1000)
    assert phase(life, 1000) == (Phase.CONNECTING, Reason.CONNECTING)


def test_the_first_packet_makes_it_live_and_begins_a_session() -> None:
    life = Life(end_after_s=300)
    assert life.media(1)
    assert not life.media(2)
    assert phase(life, 2) == (Phase.LIVE, None)
    assert life.standing(2).session == 1


def test_silence_is_a_stall_judged_by_packet_age_until_media_comes_again() -> None:
    life = Life(end_after_s=300)
    life.media(0)
    assert phase(life, 5) == (Phase.LIVE, None)
    assert phase(life, 5.1) == (Phase.LIVE, Reason.STALLED)
    life.failed(Dropped("time-out"), 10)
    life.failed(NotPublished("nothing comes"), 20)
    assert phase(life, 20) == (Phase.LIVE, Reason.STALLED)
    assert not life.media(30)
    assert phase(life, 30) == (Phase.LIVE, None)


def test_segmented_transports_may_be_silent_for_a_burst_longer() -> None:
    life = Life(end_after_s=300)
    life.opened(4.0)
    life.media(0)
    assert phase(life, 9) == (Phase.LIVE, None)
    assert phase(life, 9.1) == (Phase.LIVE, Reason.STALLED)


def test_the_servers_word_ends_it_and_the_next_packet_is_a_new_session() -> None:
    life = Life(end_after_s=300)
    life.media(0)
    life.finished()
    assert phase(life, 1) == (Phase.ENDED, None)
    assert life.media(2)
    assert life.standing(2).session == 2


def test_the_servers_word_before_any_media_ends_nothing() -> None:
    life = Life(end_after_s=300)
    life.finished()
    assert phase(life, 0)[0] is Phase.CONNECTING


def test_closed_and_refused_again_is_an_end() -> None:
    life = Life(end_after_s=300)
    life.media(0)
    life.failed(Dropped("broken"), 1)
    assert phase(life, 1)[0] is Phase.LIVE
    life.failed(Refused("no such stream"), 2)
    assert phase(life, 2)[0] is Phase.ENDED


def test_a_refusal_with_grace_must_persist() -> None:
    life = Life(end_after_s=300)
    life.media(0)
    life.failed(Refused("404", grace_s=6), 1)
    assert phase(life, 1) == (Phase.LIVE, Reason.REFUSED)
    life.failed(Refused("404", grace_s=6), 6.9)
    assert phase(life, 6.9)[0] is Phase.LIVE
    life.failed(Refused("404", grace_s=6), 7)
    assert phase(life, 7)[0] is Phase.ENDED


def test_the_streams_own_measure_of_grace_outlives_the_connection_that_knew_it() -> None:
    life = Life(end_after_s=300)
    life.media(0)
    life.failed(Refused("404", grace_s=6), 1)
    life.failed(Refused("503", grace_s=math.inf), 3)
    life.failed(Refused("404, and nothing is known of it", grace_s=18), 7)
    assert phase(life, 7)[0] is Phase.ENDED


def test_another_answer_in_between_starts_the_grace_anew() -> None:
    life = Life(end_after_s=300)
    life.media(0)
    life.failed(Refused("404", grace_s=6), 1)
    life.failed(Dropped("broken"), 5)
    life.failed(Refused("404", grace_s=6), 8)
    assert phase(life, 8)[0] is Phase.LIVE


def test_an_unreachable_server_is_never_an_end_unless_its_port_stays_closed() -> None:
    life = Life(end_after_s=None)
    life.media(0)
    life.failed(Unreachable("no answer"), 1)
    life.failed(Unreachable("no answer"), 10_000)
    assert phase(life, 10_000) == (Phase.LIVE, Reason.UNREACHABLE)
    life.failed(Unreachable("port closed", grace_s=10), 10_001)
    life.failed(Unreachable("port closed", grace_s=10), 10_011)
    assert phase(life, 10_011)[0] is Phase.ENDED


def test_a_static_stream_silent_for_too_long_is_ended_and_says_so() -> None:
    life = Life(end_after_s=300)
    life.media(0)
    assert phase(life, 299) == (Phase.LIVE, Reason.STALLED)
    assert phase(life, 300) == (Phase.ENDED, Reason.SILENT)


def test_a_stream_of_an_origin_is_never_ended_by_silence() -> None:
    life = Life(end_after_s=None)
    life.media(0)
    assert phase(life, 100_000) == (Phase.LIVE, Reason.STALLED)
