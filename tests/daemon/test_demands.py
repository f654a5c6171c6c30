"""Stories of demands: who wants what at which second, and what the watchers are told."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.daemon.demand import BASE, LIMIT_S, Demand, DemandKind
from streamwatch.daemon.demands import HOLD_S, RENEW_S, Demands, Placed, Room
from streamwatch.domain.errors import LedgerError
from streamwatch.domain.streams import AgeBand, StreamId
from tests.fakes.clock import FakeClock
from tests.fakes.ledger import FakeLedger

SMALL = {DemandKind.BOOST: Room(2, 3, 4), DemandKind.SIGNAL: Room(2, 3, 6)}


class Story:
    """One place of demands, told second by second, with a tick every second."""

    def __init__(self, **changes: object) -> None:
        self.clock = FakeClock()
        self.start = self.clock.monotonic()
        self.ledger = FakeLedger(self.clock)
        self.changes = changes
        self.demands = Demands(notes=self.ledger, clock=self.clock, **changes)
        self.told: list[tuple[float, str, float]] = []
        """Changes of what a watcher is told: second, stream, suspicion."""
        self.renewed = 0

    def at(self, second: float) -> Story:
        while (now := self.clock.monotonic() - self.start) < second:
            self.clock.advance(min(1.0, second - now))
            self.tick()
        return self

    def tick(self) -> Story:
        last = {stream: suspicion for _, stream, suspicion in self.told}
        for stream, suspicion, for_s in self.demands.due():
            assert for_s == HOLD_S
            self.renewed += 1
            if last.get(stream) != suspicion:
                self.told.append((self.clock.monotonic() - self.start, stream, suspicion))
        with suppress(LedgerError):
            self.demands.tidy()
        return self

    def watch(self, *streams: str) -> Story:
        for stream in streams:
            self.demands.watch(StreamId(stream))
        return self

    def says(
        self,
        source: str,
        strength: float,
        stream: str = "lobby",
        *,
        for_s: float = 60.0,
        kind: DemandKind = DemandKind.SIGNAL,
        band: AgeBand = AgeBand.UNKNOWN,
    ) -> Placed:
        demand = Demand(
            stream=StreamId(stream),
            kind=kind,
            source=source,
            strength=strength,
            at=self.clock.now(),
            until=self.clock.monotonic() + for_s,
            because=f"{source} says so",
            band=band,
        )
        placed = self.demands.place(demand)
        self.tick()
        return placed

    def restart(self, *streams: str, away_s: float = 0.0) -> Story:
        self.clock.advance(away_s)
        self.demands = Demands(notes=self.ledger, clock=self.clock, **self.changes)
        self.demands.restore()
        self.told.clear()
        return self.watch(*streams).tick()

    def standing(self, stream: str = "lobby") -> list[tuple[str, float]]:
        return [(one.source, one.strength) for one in self.demands.signals(StreamId(stream))]


@pytest.fixture
def story() -> Story:
    return Story().watch("lobby")


def test_the_strongest_counts_until_it_expires_and_then_the_next(story):
    story.says("chat", 0.9, for_s=10)
    story.says("reports", 0.4, for_s=30)
    story.at(60)
    assert story.told == [(0, "lobby", 0.9), (10, "lobby", 0.4), (30, "lobby", 0.0)]


def test_the_newest_of_a_source_takes_the_place_of_its_last(story):
    story.says("chat", 0.9, for_s=600)
    story.at(5).says("chat", 0.3, for_s=10)
    story.at(60)
    assert story.told == [(0, "lobby", 0.9), (5, "lobby", 0.3), (15, "lobby", 0.0)]


def test_what_stands_is_told_again_every_few_seconds_and_nothing_is_said_where_nothing_stands(story):
    story.watch("hall", "yard").says("chat", 0.9, for_s=600)
    story.at(100)
    assert story.renewed == pytest.approx(100 / RENEW_S, abs=1)
    assert RENEW_S < HOLD_S


def test_a_stream_with_a_new_watcher_is_told_at_the_next_tick(story):
    story.says("chat", 0.9)
    story.at(1)
    before = story.renewed
    story.demands.renew([StreamId("lobby"), StreamId("unknown")])
    story.at(2)
    assert story.renewed == before + 1


def test_a_demand_can_be_taken_back_by_its_source_alone(story):
    story.says("chat", 0.9)
    assert not story.demands.withdraw(StreamId("lobby"), DemandKind.SIGNAL, "reports")
    assert not story.demands.withdraw(StreamId("lobby"), DemandKind.BOOST, "chat")
    assert story.demands.withdraw(StreamId("lobby"), DemandKind.SIGNAL, "chat")
    story.at(1)
    assert story.told[-1] == (1, "lobby", 0.0)


def test_signals_are_named_the_strongest_first_and_boosts_are_not(story):
    story.says("chat", 0.2)
    story.says("reports", 0.8)
    story.says("ann", 1.0, kind=DemandKind.BOOST)
    (first, second) = story.demands.signals(StreamId("lobby"))
    assert (first.source, first.strength, first.because) == ("reports", 0.8, "reports says so")
    assert second.source == "chat"


# --- bounds ----------------------------------------------------------------------------------------------------------


def test_a_full_stream_makes_room_for_a_stronger_demand_only(story):
    story = Story(rooms=SMALL).watch("lobby")
    assert [story.says(name, strength) for name, strength in [("a", 0.5), ("b", 0.3), ("c", 0.3), ("d", 0.4)]] == [
        Placed.TAKEN, Placed.TAKEN, Placed.STREAM_FULL, Placed.TAKEN,
    ]  # fmt: skip
    assert story.standing() == [("a", 0.5), ("d", 0.4)]
    assert story.says("ann", 0.1, kind=DemandKind.BOOST) is Placed.TAKEN, "a person's place is nobody else's"


def test_a_source_has_room_for_so_many_and_may_renew_those(story):
    story = Story(rooms=SMALL)
    assert [story.says("flood", 1.0, f"s{n}") for n in range(5)] == [Placed.TAKEN] * 3 + [Placed.SOURCE_FULL] * 2
    assert story.says("flood", 0.5, "s0") is Placed.TAKEN
    assert story.says("chat", 0.1, "s9") is Placed.TAKEN


def test_where_there_is_no_room_left_the_greediest_source_makes_it(story):
    story = Story(rooms=SMALL)
    for source in "ab":
        for n in range(3):
            story.says(source, 0.9 - n / 10, f"{source}{n}")
    assert story.says("chat", 0.1, "hall") is Placed.TAKEN
    assert story.says("chat", 0.1, "yard") is Placed.TAKEN
    assert story.says("chat", 0.1, "roof") is Placed.FULL, "now all hold the same"
    held = {source: sum(bool(story.standing(f"{source}{n}")) for n in range(3)) for source in "ab"}
    assert held == {"a": 2, "b": 2}
    assert story.standing("a0"), "what goes is the weakest"


def test_what_expired_takes_no_room(story):
    story = Story(rooms=SMALL)
    for n in range(3):
        story.says("chat", 0.5, f"s{n}", for_s=10)
    story.at(11)
    assert story.says("chat", 0.5, "s9") is Placed.TAKEN


# --- what outlives what ----------------------------------------------------------------------------------------------


def test_demands_outlive_the_daemon_until_they_expire(story):
    story.says("chat", 0.9, for_s=100)
    story.says("ann", 0.4, for_s=300, kind=DemandKind.BOOST)
    story.at(20).restart("lobby", away_s=30)
    assert story.told == [(50, "lobby", 0.9)]
    assert story.standing() == [("chat", 0.9)]
    story.at(400)
    assert story.told == [(50, "lobby", 0.9), (100, "lobby", 0.4), (300, "lobby", 0.0)]


def test_a_demand_for_a_stream_that_is_found_later_waits_for_it(story):
    story.says("chat", 0.9, for_s=100)
    story.restart().at(10)
    assert story.told == []
    assert story.watch("lobby").tick().told == [(10, "lobby", 0.9)]


def test_a_demand_is_forgotten_with_its_stream_for_good(story):
    story.says("chat", 0.9)
    story.demands.forget(StreamId("lobby"))
    story.at(1).restart("lobby")
    assert story.told == []


def test_what_was_taken_back_does_not_return_with_the_daemon(story):
    story.says("chat", 0.9)
    story.demands.withdraw(StreamId("lobby"), DemandKind.SIGNAL, "chat")
    assert story.restart("lobby").told == []


def test_what_is_not_durable_does_not_stand(story):
    story.says("chat", 0.4)
    story.ledger.unwritable = True
    with pytest.raises(LedgerError):
        story.says("chat", 0.9)
    with pytest.raises(LedgerError):
        story.says("reports", 0.9)
    with pytest.raises(LedgerError):
        story.demands.withdraw(StreamId("lobby"), DemandKind.SIGNAL, "chat")
    assert story.standing() == [("chat", 0.4)]


def test_one_that_gave_way_stands_again_where_the_other_could_not_be_written():
    story = Story(rooms=SMALL).watch("lobby")
    story.says("a", 0.5)
    story.says("b", 0.3)
    story.ledger.unwritable = True
    with pytest.raises(LedgerError):
        story.says("c", 0.9)
    assert story.standing() == [("a", 0.5), ("b", 0.3)]


def test_no_clock_makes_a_demand_stand_longer_than_a_day(story):
    story.says("chat", 0.9, for_s=60)
    real = story.clock.now
    story.clock.now = lambda: real().replace(year=2020)  # the machine comes back with an old clock
    story.restart("lobby")
    story.clock.advance(LIMIT_S)
    assert story.tick().told[-1][2] == 0.0


@pytest.mark.parametrize("note", ["{", "7", "[[1]]", '["x"]', '[["lobby","signal","chat","a","b","c","d","e"]]'])
def test_a_note_that_cannot_be_read_is_no_demand(story, note):
    for shelf in range(64):
        story.ledger.remember(f"demands/{shelf}", note)
    assert story.restart("lobby").told == []


def test_notes_of_demands_that_are_over_are_cleared(story):
    for n in range(20):
        story.says("chat", 0.9, f"s{n}", for_s=10)
    story.at(100)
    assert not any(story.ledger.recall(f"demands/{shelf}") for shelf in range(64))


# --- age bands -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("band", list(AgeBand))
def test_an_age_band_only_ever_raises_what_a_signal_asks_for(story, band):
    story.says("chat", 0.9, for_s=10, band=band)
    story.says("reports", 0.01, for_s=20, band=band)
    assert [suspicion for _, _, suspicion in story.at(60).told] == [0.9, max(BASE[band], 0.01), 0.0]


def test_a_signals_age_band_holds_as_long_as_the_signal_and_is_not_its_strength(story):
    story.says("chat", 0.1, for_s=10, band=AgeBand.MINOR)
    assert story.standing() == [("chat", 0.1)]
    assert story.at(30).told == [(0, "lobby", BASE[AgeBand.MINOR]), (10, "lobby", 0.0)]


def test_the_bands_are_in_order():
    assert BASE[AgeBand.UNKNOWN] == BASE[AgeBand.ADULT] == 0 < BASE[AgeBand.MIXED] < BASE[AgeBand.MINOR] < 0.5


SOURCES = st.tuples(st.sampled_from(["a", "b", "c", "d"]), st.sampled_from(list(DemandKind)))
STREAMS = st.sampled_from(["s1", "s2", "s3", "s4"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("place"), SOURCES, STREAMS, st.sampled_from([0.1, 0.5, 1.0])),
        st.tuples(st.just("withdraw"), SOURCES, STREAMS, st.none()),
        st.tuples(st.just("forget"), st.none(), STREAMS, st.none()),
        st.tuples(st.just("wait"), st.none(), st.none(), st.sampled_from([1, 7, 40])),
        st.tuples(st.just("restart"), st.none(), st.none(), st.none()),
        st.tuples(st.just("refuse"), st.none(), st.none(), st.none()),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_happens_bounds_hold_and_the_strongest_is_told(steps):
    story = Story(rooms=SMALL).watch("s1", "s2", "s3")
    for what, source, stream, more in steps:
        match what:
            case "place":
                with suppress(LedgerError):
                    story.says(source[0], more, stream, for_s=20, kind=source[1])
            case "withdraw":
                with suppress(LedgerError):
                    story.demands.withdraw(StreamId(stream), source[1], source[0])
            case "forget":
                story.demands.forget(StreamId(stream))
            case "wait":
                story.ledger.unwritable = False
                story.at(story.clock.monotonic() - story.start + more)
            case "restart":
                story.ledger.unwritable = False
                story.restart("s1", "s2", "s3")
            case "refuse":
                story.ledger.unwritable = True
        check(story)


def check(story):
    held = [one for standing in story.demands._standing.values() for one in standing.values()]
    assert story.demands._held == Counter((one.kind, one.source) for one in held)
    for kind, room in SMALL.items():
        of_kind = [one for one in held if one.kind is kind]
        assert len(of_kind) <= room.overall
        assert max(Counter(one.stream for one in of_kind).values(), default=0) <= room.per_stream
        assert max(Counter(one.source for one in of_kind).values(), default=0) <= room.per_source
    for stream, suspicion, _ in story.demands.due():
        wanted = [one.strength for one in held if one.stream == stream and one.until > story.clock.monotonic()]
        assert suspicion == max(wanted, default=0.0)
