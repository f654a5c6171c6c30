"""What the node says of itself: coverage before all else, nothing stale, no storm where it is refused."""

import asyncio

from streamwatch.bus.base import Incoming
from streamwatch.daemon.herald import COVERAGE_EVERY_S, RETRY_S, STATES_AT_ONCE, Herald
from streamwatch.domain.errors import BusRefused
from streamwatch.domain.streams import State, StreamId, StreamState
from tests.daemon.stage import ROOT, Stage, running, setup_of, spec
from tests.fakes.clock import settle


def cut(stage: Stage) -> None:
    """The network goes; a broker that stays up keeps what was retained."""
    kept = dict(stage.broker.retained)
    stage.broker.stop()
    stage.broker.retained = kept


async def test_a_stream_that_ended_while_the_broker_was_away_is_not_retained() -> None:
    stage = Stage(setup_of(spec("lobby"), spec("hall")))
    async with running(stage):
        await stage.covered("lobby")
        await stage.covered("hall")
        cut(stage)
        await stage.pass_time(1)
        await stage.level("lobby", live=False, ended=True)
        await stage.pass_time(2)
        stage.broker.start()
        await stage.pass_time(2)
        assert stage.kept("streams/lobby/state") is None
        assert stage.kept("streams/hall/state") is not None


async def test_a_stream_that_was_removed_while_the_broker_was_away_is_not_retained() -> None:
    stage = Stage(setup_of(spec("lobby"), spec("hall")))
    async with running(stage):
        await stage.covered("hall")
        cut(stage)
        await stage.service.reload(lambda: setup_of(spec("lobby")))
        await stage.pass_time(2)
        stage.broker.start()
        await stage.pass_time(2)
        assert stage.kept("streams/hall/state") is None


async def test_what_another_left_behind_is_cleared_at_every_connection() -> None:
    stage = Stage(setup_of(spec("lobby")))
    async with running(stage):
        left = stage.broker.retained[f"{ROOT}/streams/lobby/state"]
        cut(stage)
        stage.broker.retained[f"{ROOT}/streams/stranger/state"] = left.__class__(
            f"{ROOT}/streams/stranger/state", left.payload, retain=True
        )
        stage.broker.start()
        await stage.pass_time(2)
        assert stage.kept("streams/stranger/state") is None
        assert stage.kept("streams/lobby/state") is not None


async def test_a_state_that_is_refused_hinders_no_other_and_is_tried_again_rarely() -> None:
    stage = Stage(setup_of(spec("a"), spec("b"), spec("c")))
    stage.broker.refuses.add(f"{ROOT}/streams/a/state")
    tries: list[str] = []
    taken = stage.broker.take

    def take(message):
        tries.append(message.topic.removeprefix(f"{ROOT}/"))
        taken(message)

    stage.broker.take = take
    async with running(stage):
        for name in "abc":
            await stage.level(name)
        await stage.pass_time(3 * RETRY_S - 5)
        assert len(stage.said("streams/b/state")) <= 3
        assert tries.count("streams/a/state") <= 4
        assert tries.count("status") <= 4
        assert [r.partition(":")[0] for r in stage.kept("status")["reasons"]] == ["mqtt-rights"]
        stage.broker.refuses.clear()
        await stage.pass_time(RETRY_S + 1)
        assert stage.kept("streams/a/state")["state"] == stage.books.state(StreamId("a"))[0].state
        assert stage.kept("status")["state"] == "online"


async def test_a_refused_status_is_tried_again_rarely_and_said_once_it_may() -> None:
    stage = Stage(setup_of(spec("a")))
    async with running(stage):
        stage.broker.refuses.add(f"{ROOT}/status")
        stage.health.degrade("x", "something is wrong")
        await stage.pass_time(RETRY_S - 1)
        assert stage.kept("status")["state"] == "online"
        stage.broker.refuses.clear()
        await stage.pass_time(2)
        assert stage.kept("status")["reasons"] == ["x: something is wrong"]


async def test_a_refused_stream_that_is_gone_is_forgotten() -> None:
    stage = Stage(setup_of(spec("a"), spec("b")))
    stage.broker.refuses.add(f"{ROOT}/streams/a/state")
    async with running(stage):
        await stage.service.reload(lambda: setup_of(spec("b")))
        await stage.pass_time(2 * RETRY_S)
        assert stage.kept("status")["state"] == "online"


class Alone:
    """A herald over the stage's books, spoken to by the test, with a broker that is slow or refuses."""

    def __init__(self, names: int = 1) -> None:
        self.stage = Stage(setup_of(spec("lobby")))
        self.said: list[str] = []
        self.slow_s = 0.0
        self.recalls = 0
        self.deaf = False
        self.states = [
            (StreamId(f"s{n}"), StreamState(State.COVERED, None, 1000.0, "x", 1.0), "") for n in range(names)
        ]
        stage = self.stage

        async def publish(message):
            await asyncio.sleep(0)
            stage.clock.advance(self.slow_s)
            self.said.append(message.topic.removeprefix(f"{ROOT}/"))

        async def recall(topic_filter: str) -> list[Incoming]:
            self.recalls += 1
            if self.deaf:
                raise BusRefused("not allowed to listen", code=135)
            return []

        self.herald = Herald(
            publish=publish, recall=recall, topics=stage.topics, books=stage.books, health=stage.health,
            setup=lambda: stage.service.setup, clock=stage.clock, boot_id="boot", version="0",
        )  # fmt: skip


async def test_coverage_does_not_wait_for_hundreds_of_states() -> None:
    alone = Alone(500)
    alone.slow_s = 0.5
    began = alone.stage.clock.monotonic()
    await alone.herald.speak(alone.states, ())
    assert alone.said[0] == "coverage"
    assert len(alone.said) <= STATES_AT_ONCE + 10
    spent = alone.stage.clock.monotonic() - began
    assert alone.said.count("coverage") >= spent // (COVERAGE_EVERY_S + 1)
    for _ in range(5):
        await alone.herald.speak((), ())
    assert len({topic for topic in alone.said if topic.startswith("streams/")}) == 500
    assert len([topic for topic in alone.said if topic.startswith("streams/")]) == 500


async def test_reading_back_that_is_refused_is_said_and_tried_again() -> None:
    alone = Alone()
    alone.deaf = True
    health, clock = alone.stage.health, alone.stage.clock
    await alone.herald.clear_stale()
    assert "not allowed to listen" in health.reasons[0]
    await alone.herald.speak((), ())
    assert alone.recalls == 1
    clock.advance(RETRY_S)
    alone.deaf = False
    await alone.herald.speak((), ())
    await alone.herald.speak((), ())
    assert (alone.recalls, health.reasons) == (2, ())
    await settle()


async def test_whatever_layers_a_watcher_reports_the_status_can_be_said() -> None:
    alone = Alone()
    alone.herald.sandbox("watcher", [("x" * 128, False, "ж" * 300)] * 40)
    alone.herald.sandbox("daemon", [("landlock", True, "")])
    assert len(alone.herald.layers) == 32
    for message in (alone.herald.birth(), alone.herald.testament()):
        assert len(message.payload) <= 4096
