"""What reaches the broker, when, and what never waits for what."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from streamwatch.bus.base import Outgoing
from streamwatch.daemon.delivery import BATCH, BURST, RATE_PER_S, REOFFER_S, RETRIES, RETRY_S, WINDOW, Delivery
from streamwatch.domain.alerts import Alert, AlertEvent, Event
from streamwatch.domain.decisions import Kind, Severity
from streamwatch.domain.streams import StreamId
from streamwatch.telemetry.health import Health
from streamwatch.telemetry.metrics import Metrics
from tests.fakes.bus import FakeBroker, FakeBus
from tests.fakes.clock import FakeClock, settle
from tests.fakes.ledger import FakeLedger


class Post:
    """A ledger, a broker, and the task between them."""

    def __init__(self, ledger: FakeLedger | None = None) -> None:
        self.clock, self.broker, self.health = FakeClock(), FakeBroker(), Health()
        self.ledger = ledger or FakeLedger(self.clock)
        self.bus = FakeBus(self.broker)
        self.delivery = Delivery(
            outbox=self.ledger,
            bus=self.bus,
            topics_of=lambda event: [f"{event.severity}/{event.alert_id}"],
            expiry_s=None,
            metrics=Metrics(),
            health=self.health,
            clock=self.clock,
        )

    def owe(self, name: str, severity: Severity = Severity.HIGH, seq: int = 1) -> None:
        """Commit an event, as the desk does."""
        stream = StreamId("lobby")
        alert = Alert(name, stream, "r", severity, Kind.CLASSIFIER, seq, open=True, document="{}")
        self.ledger.commit(alert, AlertEvent(name, seq, Event.UPDATED, severity, stream, f"{seq}"))
        self.delivery.call()

    @property
    def arrived(self) -> list[str]:
        return [f"{m.topic.partition('/')[2]}{m.payload.decode()}" for m in self.broker.published]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self.bus.run()), asyncio.create_task(self.delivery.run())]
        await settle()
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


def closing(name: str) -> tuple[Alert, AlertEvent]:
    stream = StreamId("lobby")
    alert = Alert(name, stream, "r", Severity.HIGH, Kind.CLASSIFIER, 2, open=False, document="{}")
    return alert, AlertEvent(name, 2, Event.CLOSED, Severity.HIGH, stream, "2")


@pytest.fixture
def post() -> Post:
    return Post()


async def test_the_most_severe_goes_first_and_each_alert_in_its_order(post: Post) -> None:
    for severity in (Severity.TEST, Severity.LOW, Severity.HIGH, Severity.URGENT):
        post.owe(severity.value[0], severity)
        post.owe(severity.value[0], severity, seq=2)
    async with post.open():
        assert post.arrived == ["u1", "h1", "l1", "t1", "u2", "h2", "l2", "t2"], "of each alert one at a time"


async def test_hundreds_of_refused_tests_delay_no_alert(post: Post) -> None:
    post.broker.refuses.add("test/+")
    for number in range(250):
        post.owe(f"t{number}-", Severity.TEST)
    async with post.open():
        post.owe("a", Severity.LOW)
        await settle()
        assert post.arrived == ["a1"]


async def test_a_refused_alert_delays_none_of_its_own_severity(post: Post) -> None:
    post.broker.refuses.add("high/bad")
    for seq in range(1, BATCH + 50):
        post.owe("bad", seq=seq)
    async with post.open():
        post.owe("good")
        await settle()
        assert post.arrived == ["good1"]
        await post.clock.run(RETRY_S[0] - post.clock.monotonic() % 1 - 0.5)
        post.owe("better")
        await settle()
        assert post.arrived == ["good1", "better1"]
        await post.clock.run(1.0)  # the refused one is tried again, and fills the whole batch
        post.owe("best")
        await settle()
        assert post.arrived == ["good1", "better1", "best1"]


async def test_what_becomes_urgent_overtakes_a_backlog(post: Post) -> None:
    for number in range(50):
        post.owe(f"low{number}-", Severity.LOW)
    taken = post.broker.take

    def take(message):
        taken(message)
        if len(post.broker.published) == 30:
            post.owe("u", Severity.URGENT)

    post.broker.take = take
    async with post.open():
        await settle()
        await post.clock.run(1)
        assert post.arrived.index("u1") == 2 * WINDOW, "behind what was under way, before all else"
        assert len(post.arrived) == 51


async def test_a_large_backlog_does_not_wait_between_its_parts(post: Post) -> None:
    post.broker.refuses.add("high/bad")
    post.owe("bad")
    for number in range(3 * BATCH):
        post.owe(f"n{number}-")
    began = post.clock.monotonic()
    async with post.open():
        while len(post.arrived) < 3 * BATCH:
            await settle()
        assert post.clock.monotonic() == began


async def test_no_more_is_under_way_than_the_broker_allows_and_of_each_alert_one(post: Post) -> None:
    under_way: list[str] = []
    most = 0
    told = asyncio.Event()
    publish = post.bus.publish

    async def slow(message: Outgoing) -> None:
        nonlocal most
        under_way.append(message.topic)
        most = max(most, len(under_way))
        assert len(set(under_way)) == len(under_way)
        await told.wait()
        under_way.remove(message.topic)
        await publish(message)

    post.bus.publish = slow
    for number in range(3 * WINDOW):
        for seq in (1, 2):
            post.owe(f"n{number}-", seq=seq)
    async with post.open():
        assert len(under_way) == WINDOW
        told.set()
        while len(post.arrived) < 6 * WINDOW:
            await settle()
    assert most == WINDOW


async def test_a_backlog_comes_at_a_bounded_rate_and_what_is_urgent_at_once(post: Post) -> None:
    for number in range(BURST + 1000):
        post.owe(f"n{number}-", Severity.LOW)
    async with post.open():
        while len(post.arrived) < BURST:
            await settle()
        before = len(post.arrived)
        for _ in range(100):
            await post.clock.run(0.01)
            await settle()
        assert RATE_PER_S * 0.8 <= len(post.arrived) - before <= RATE_PER_S * 1.2
        post.owe("u", Severity.URGENT)
        await post.clock.run(0.2)
        assert "u1" in post.arrived


async def test_what_was_taken_lately_is_offered_again_however_the_wall_clock_was_set(post: Post) -> None:
    async with post.open():
        post.owe("open")
        post.owe("a")
        await settle()
        post.ledger.commit(*closing("a"))
        post.delivery.call()
        await settle()
        post.clock.set_s = 3600.0
        post.broker.stop()
        await settle()
        post.broker.start()
        post.delivery.call()
        await settle()
        assert post.arrived == ["open1", "a1", "a2", "open1", "a1", "a2"]
        post.broker.stop()
        await post.clock.run(2 * REOFFER_S)
        post.broker.start()
        post.delivery.call()
        await settle()
        assert post.arrived[6:] == ["open1", "a1", "a2"], "however long the broker was away"
        await post.clock.run(REOFFER_S + 1)
        post.owe("b")
        await settle()
        post.broker.stop()
        await settle()
        post.broker.start()
        post.delivery.call()
        await settle()
        assert post.arrived[9:] == ["b1", "open1", "b1"], "of open alerts always the last word"


async def test_a_new_process_offers_again_what_the_one_before_had_delivered_lately(post: Post) -> None:
    async with post.open():
        post.owe("a")
        await settle()
    again = Post(ledger=post.ledger)
    async with again.open():
        assert again.arrived == ["a1"]


async def test_a_refused_alert_is_tried_ever_more_rarely_and_comes_in_order_once_it_may(post: Post) -> None:
    refused: list[float] = []
    taken = post.broker.take

    def take(message):
        try:
            taken(message)
        except Exception:
            refused.append(post.clock.monotonic() - 1000)
            raise

    post.broker.take = take
    post.broker.refuses.add("high/a")
    async with post.open():
        post.owe("a")
        post.owe("a", seq=2)
        await settle()
        await post.clock.run(100)
        assert [round(at) for at in refused] == [0, 10, 30, 70]
        assert "refuses alerts" in post.health.reasons[0]
        post.broker.refuses.clear()
        await post.clock.run(300)
        assert post.arrived == ["a1", "a2"]
        assert post.health.reasons == ()


async def test_a_broker_that_refuses_everything_is_not_stormed(post: Post) -> None:
    tries = 0
    taken = post.broker.take

    def take(message):
        nonlocal tries
        tries += 1
        taken(message)

    post.broker.take = take
    post.broker.refuses.add("#")
    for number in range(200):
        post.owe(f"a{number}-")
    async with post.open():
        while tries < 200:
            await settle()
        await post.clock.run(1)
        assert tries == 200
        await post.clock.run(60)
        assert tries <= 200 + 61 * RETRIES
        post.broker.refuses.clear()
        await post.clock.run(300)
        async with asyncio.timeout(10):
            while len(post.arrived) < 200:
                await settle()


async def test_after_a_reconnect_what_was_refused_is_tried_at_once(post: Post) -> None:
    post.broker.refuses.add("high/a")
    async with post.open():
        post.owe("a")
        await post.clock.run(100)
        post.broker.stop()
        post.broker.refuses.clear()
        await settle()
        post.broker.start()
        post.delivery.call()
        await settle()
        assert post.arrived == ["a1"]


async def test_refused_escalations_are_said_and_keep_no_alert_from_its_own_topic(post: Post) -> None:
    post.delivery._topics_of = lambda event: [f"high/{event.alert_id}", "escalations"]
    post.broker.refuses.add("escalations")
    async with post.open():
        post.owe("a")
        post.owe("a", seq=2)
        await settle()
        assert post.arrived == ["a1", "a2"]
        assert "refuses escalations" in post.health.reasons[0]
        post.broker.refuses.clear()
        post.owe("a", seq=3)
        await settle()
        assert post.health.reasons == ()


async def test_refused_alerts_that_are_owed_no_more_are_in_nobodys_way(post: Post) -> None:
    post.broker.refuses.add("high/+")
    for number in range(RETRIES + 1):
        post.owe(f"a{number:02}")
    async with post.open():
        await settle()
        gone = [event for event in post.ledger.events if event.alert_id != f"a{RETRIES:02}"]
        post.ledger.acknowledged(gone, at=1.0)  # evicted, say
        post.broker.refuses.clear()
        await post.clock.run(RETRY_S[0] + 10)
        assert post.arrived == [f"a{RETRIES:02}1"]
        assert post.health.reasons == ()


async def test_it_can_be_stopped_at_any_moment(post: Post) -> None:
    for turns in range(40):
        bus, delivery = asyncio.create_task(post.bus.run()), asyncio.create_task(post.delivery.run())
        await settle()
        post.delivery.call()
        for _ in range(turns % 10):
            await asyncio.sleep(0)
        delivery.cancel()
        done, _ = await asyncio.wait((delivery,), timeout=1)
        assert done == {delivery}
        bus.cancel()
        await asyncio.wait((bus,))


async def test_a_disk_that_is_full_is_not_mended_by_reading(post: Post) -> None:
    async with post.open():
        post.owe("a")
        post.ledger.unwritable = True
        await settle()
        for _ in range(20):
            await post.clock.run(1)
            post.delivery.call()
            assert post.health.reasons == ("deliveries: the disk refuses",)
        post.ledger.unwritable = False
        await post.clock.run(10)
        assert post.arrived == ["a1"]
        assert post.health.reasons == ()


async def test_a_ledger_that_could_not_be_read_is_mended_by_reading(post: Post) -> None:
    async with post.open():
        post.ledger.broken = True
        await post.clock.run(6)
        assert post.health.reasons == ("deliveries: the disk refuses",)
        post.ledger.broken = False
        await post.clock.run(10)
        assert post.health.reasons == ()


async def test_what_others_know_of_the_ledger_is_left_alone(post: Post) -> None:
    post.health.degrade("ledger", "a commit failed")
    async with post.open():
        post.owe("a")
        await settle()
        assert post.arrived == ["a1"]
        assert post.health.reasons == ("ledger: a commit failed",)
