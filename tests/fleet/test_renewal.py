"""Watchers replaced because they are to be granted more: one after the other, and nobody is to blame."""

from __future__ import annotations

from streamwatch.link.messages import Sampled
from tests.fleet.fleets import fake, running, spec


async def test_every_watcher_is_replaced_with_its_streams_and_no_stream_is_accused():
    async with running(slots=2, first=[spec("a"), spec("b")]) as (fleet, notes):
        await notes.until(lambda: notes.of(Sampled, "a") and notes.of(Sampled, "b"))
        before = [one.pid for one in fleet.slots()]
        since = len(notes.heard)
        await fleet.renew(fake("--sandbox", "off"))
        assert all(one.ready for one in fleet.slots())
        assert not {one.pid for one in fleet.slots()} & set(before)
        await notes.until(lambda: notes.of(Sampled, "a", since) and notes.of(Sampled, "b", since))
        assert [dict(one.restarts) for one in fleet.slots()] == [{"renewed": 1}, {"renewed": 1}]
        assert notes.away() == set()


async def test_one_slot_waits_for_the_other():
    async with running(slots=2) as (fleet, notes):
        since = len(notes.heard)
        await fleet.renew(fake())
        order = [what if isinstance(what, str) else type(what).__name__ for _, what in notes.heard[since:]]
        assert [word for word in order if word in ("renewed", "Ready")] == ["renewed", "Ready", "renewed", "Ready"]


async def test_the_spare_is_made_anew_too():
    async with running(spare=True) as (fleet, notes):
        await notes.until(lambda: fleet.spare_pid)
        spare, before = fleet.spare_pid, fleet.slots()[0].pid
        await fleet.renew(fake("--sandbox", "off"))
        assert fleet.slots()[0].pid not in (spare, before)
