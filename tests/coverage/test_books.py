import pytest

from streamwatch.coverage.account import PATIENCE_S
from streamwatch.coverage.books import Books
from streamwatch.coverage.tally import SETTLE_S
from streamwatch.domain.streams import Reason, State, StreamId

A, B = StreamId("a"), StreamId("b")


def live(books: Books, stream: StreamId, now: float, reason: Reason | None = None) -> None:
    books.level(stream, session="s", live=True, ended=False, reason=reason, now=now)


def states(books: Books, now: float) -> dict[str, tuple[State, Reason | None]]:
    return {stream: (state.state, state.reason) for stream, state, _ in books.judge(now)}


def test_before_its_first_packet_a_stream_is_connecting_and_not_live_time() -> None:
    books = Books()
    books.watch(A, max_gap_s=10, now=0)
    books.judge(100)
    assert books.summary(100).live == 0
    assert books.summary(100).connecting == 1
    assert books.state(A)[0].state is State.CONNECTING
    assert sum(books.uncovered_total.values()) == 0


def test_samples_in_time_keep_it_covered_second_for_second() -> None:
    books = Books()
    books.watch(A, max_gap_s=10, now=0)
    live(books, A, 0)
    for second in range(0, 61, 10):
        books.sampled(A, arrival=second, gap_s=10.0, now=second + 0.2)
        books.judge(second + 0.3)
    summary = books.summary(60.5)
    assert (summary.live, summary.covered, summary.ratio_1m) == (1, 1, 1.0)


def test_only_the_seconds_beyond_the_promise_are_uncovered() -> None:
    books = Books()
    books.watch(A, max_gap_s=10, now=0)
    live(books, A, 0)
    books.sampled(A, arrival=0, gap_s=None, now=0)
    for tenth in range(1, 250):
        books.judge(tenth / 10)
    books.sampled(A, arrival=24.9, gap_s=24.9, now=25.0)
    books.judge(40 + SETTLE_S)
    assert sum(books.uncovered_total.values()) == pytest.approx(14.9 + 5.1)
    assert books.uncovered_total[Reason.OVERLOAD] == pytest.approx(20)


def test_a_frame_that_arrived_in_time_and_is_reported_late_is_no_breach() -> None:
    books = Books()
    books.watch(A, max_gap_s=10, now=0)
    live(books, A, 0)
    books.sampled(A, arrival=0, gap_s=None, now=0)
    books.judge(10 + PATIENCE_S * 0.9)
    books.sampled(A, arrival=9.99, gap_s=9.99, now=10 + PATIENCE_S * 0.95)
    books.judge(15 + SETTLE_S)
    assert sum(books.uncovered_total.values()) == 0


def test_a_stall_shows_at_once_and_costs_coverage_only_beyond_the_promise() -> None:
    books = Books()
    books.watch(A, max_gap_s=10, now=0)
    live(books, A, 0)
    books.sampled(A, arrival=0, gap_s=None, now=0)
    assert states(books, 0.1)[A] == (State.COVERED, None)
    live(books, A, 5.5, Reason.STALLED)
    assert states(books, 5.6)[A] == (State.UNCOVERED, Reason.STALLED)
    books.judge(20 + SETTLE_S)
    assert books.uncovered_total[Reason.STALLED] == pytest.approx(10)


def test_a_new_watcher_that_still_connects_does_not_make_a_live_stream_unknown() -> None:
    books = Books()
    books.watch(A, max_gap_s=10, now=0)
    live(books, A, 0)
    books.sampled(A, arrival=0, gap_s=None, now=0)
    books.hindered([A], Reason.WATCHER, 2)
    books.level(A, session="", live=False, ended=False, reason=Reason.CONNECTING, now=5)
    assert states(books, 5)[A] == (State.UNCOVERED, Reason.CONNECTING)
    live(books, A, 22)
    books.sampled(A, arrival=23, gap_s=None, now=23)
    books.judge(30 + SETTLE_S)
    assert sum(books.uncovered_total.values()) == pytest.approx(13)


def test_an_ended_stream_stays_ended_when_its_watcher_dies() -> None:
    books = Books()
    books.watch(A, max_gap_s=10, now=0)
    live(books, A, 0)
    books.level(A, session="s", live=False, ended=True, reason=None, now=1)
    books.judge(1)
    books.hindered([A], Reason.WATCHER, 2)
    assert states(books, 2) == {}


def test_a_watcher_cannot_see_into_the_future() -> None:
    books = Books()
    books.watch(A, max_gap_s=10, now=0)
    live(books, A, 0)
    books.sampled(A, arrival=1e15, gap_s=None, now=1)
    assert states(books, 30)[A][0] is State.UNCOVERED


def test_a_dead_watcher_is_a_reason() -> None:
    books = Books()
    books.watch(A, max_gap_s=10, now=0)
    live(books, A, 0)
    books.sampled(A, arrival=0, gap_s=None, now=0)
    books.judge(1)
    books.hindered([A], Reason.WATCHER, 2)
    assert states(books, 2)[A] == (State.UNCOVERED, Reason.WATCHER)


def test_a_short_time_before_the_first_sample_is_connecting_a_long_one_is_uncovered() -> None:
    books = Books()
    books.watch(A, max_gap_s=10, now=0)
    live(books, A, 0)
    books.judge(5)
    assert books.state(A)[0].state is State.CONNECTING
    assert states(books, 12)[A][0] is State.UNCOVERED


def test_states_are_told_once_per_change() -> None:
    books = Books()
    books.watch(A, max_gap_s=10, now=0)
    live(books, A, 0)
    books.sampled(A, arrival=0, gap_s=None, now=0)
    assert len(books.judge(1)) == 1
    assert books.judge(2) == ()


def test_an_ended_stream_is_no_longer_live() -> None:
    books = Books()
    books.watch(A, max_gap_s=10, now=0)
    live(books, A, 0)
    books.level(A, session="s", live=False, ended=True, reason=None, now=5)
    assert states(books, 5)[A] == (State.ENDED, None)
    assert books.summary(100).live == 0


def test_the_minute_ratio_and_the_worst_gap_speak_of_all_streams() -> None:
    books = Books()
    for stream in (A, B):
        books.watch(stream, max_gap_s=10, now=0)
        live(books, stream, 0)
        books.sampled(stream, arrival=0, gap_s=None, now=0)
    for second in range(1, 62):
        books.sampled(A, arrival=second, gap_s=1, now=second)
        books.judge(second)
    summary = books.summary(61)
    assert summary.ratio_1m == pytest.approx((60 + 10) / 120, abs=0.02)
    assert summary.worst_gap_s == 61
    assert [entry.stream for entry in summary.uncovered] == [B]


def test_words_about_unknown_streams_are_ignored() -> None:
    books = Books()
    live(books, A, 0)
    books.sampled(A, arrival=0, gap_s=None, now=0)
    books.forget(A, 0)
    assert books.streams() == ()
