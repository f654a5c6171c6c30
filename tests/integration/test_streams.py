"""What can become of a publication, told apart as the interface says."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable

from tests.integration.clips import Clips
from tests.integration.conftest import Site
from tests.integration.daemon import MAX_GAP_S
from tests.integration.servers import HLS_TARGET_S

STALLED_WITHIN_S = 15.0
ENDED_WITHIN_S = 3.0


async def test_frozen_publisher_is_stalled_and_covered_again_when_it_goes_on(site: Site) -> None:
    publisher = await site.broadcast("live", "lobby")
    daemon = await site.daemon("live/lobby")
    covered = await site.desk.state("lobby", "covered", limit=20)

    mark = len(site.desk.messages.entries)
    frozen = publisher.freeze()
    stalled = await site.desk.state("lobby", "uncovered", reason="stalled", limit=20, since=mark)
    site.within("frozen publisher is stalled", stalled.at - frozen, STALLED_WITHIN_S)

    mark = len(site.desk.messages.entries)
    thawed = publisher.thaw()
    again = await site.desk.state("lobby", "covered", limit=20, since=mark)
    site.within("covered again", again.at - thawed, MAX_GAP_S + 2)
    assert again.what.document["session"] == covered.what.document["session"]
    # counted for ever 10 to 15 s later
    await daemon.measured("streamwatch_uncovered_seconds_total{reason=stalled}", lambda value: value > 0, limit=25)


async def test_publisher_that_vanishes_from_a_server_with_defaults_has_ended(site: Site) -> None:
    publisher = await site.broadcast("plain", "lobby")
    await site.daemon("plain/lobby")
    await site.desk.state("lobby", "covered", limit=20)

    vanished = time.monotonic()
    await publisher.stop(signal.SIGKILL)

    # It sends no status then, but an end of the stream: a word of RTMP that FFmpeg passes over.
    ended = await site.desk.state("lobby", "ended", limit=20)
    site.within("vanished publisher has ended", ended.at - vanished, ENDED_WITHIN_S)
    assert not site.desk.messages.all(lambda m: m.last == "state" and '"uncovered"' in m.payload)


async def test_hls_that_is_not_found_for_three_target_durations_has_ended(site: Site) -> None:
    publisher = await site.broadcast("hls", "hall")
    await site.daemon("hls/hall")
    await site.desk.state("hall", "covered", limit=30)

    await publisher.stop()
    site.nginx.forget("hall")
    gone = time.monotonic()
    ended = await site.desk.state("hall", "ended", limit=30)
    assert ended.what.document["detail"] == "HTTP 404"
    assert ended.at - gone >= 2 * HLS_TARGET_S
    site.within("HLS that is gone has ended", ended.at - gone, 3 * HLS_TARGET_S + 8)  # between two attempts: 5 s


async def test_server_killed_and_restarted_is_found_again(site: Site) -> None:
    publishers = [await site.broadcast("live", "lobby"), await site.broadcast("hls", "hall")]
    await site.daemon("live/lobby", "hls/hall")
    await asyncio.gather(*(site.desk.state(sid, "covered", limit=30) for sid in ("lobby", "hall")))

    mark = len(site.desk.messages.entries)
    await site.nginx.stop(signal.SIGKILL)
    for publisher in publishers:
        await publisher.stop()
    await asyncio.gather(
        *(
            site.desk.messages.until(
                lambda m, sid=sid: m.topic.endswith(f"/{sid}/state") and '"covered"' not in m.payload,
                limit=20,
                what=f"{sid} is no longer covered",
                since=mark,
            )
            for sid in ("lobby", "hall")
        )
    )
    mark = len(site.desk.messages.entries)
    await site.nginx.start()
    for publisher in publishers:
        await publisher.start()
    back = time.monotonic()
    for publisher in publishers:
        publisher.show("card")  # what is on air now is seen, not a playlist that the dead server left behind
    for sid in ("lobby", "hall"):
        await site.desk.state(sid, "covered", limit=30, since=mark)
        opened = await site.desk.event(sid, "opened", limit=30)
        site.within(f"{sid} seen after the restart", opened.at - back, 30)


async def test_change_of_picture_size_goes_on_in_the_same_session(
    site: Site, make_clips: Callable[[int, int], Awaitable[Clips]]
) -> None:
    publisher = await site.broadcast("live", "lobby")
    daemon = await site.daemon("live/lobby")
    covered = await site.desk.state("lobby", "covered", limit=20)
    smaller = await make_clips(426, 240)

    publisher.show("card", smaller)
    opened = await site.desk.event("lobby", "opened", limit=20)  # the new pictures are read rightly

    publisher.show("calm", site.clips)
    await site.desk.event("lobby", "closed", limit=20)
    assert opened.what.document["stream"]["session"] == covered.what.document["session"]
    states = site.desk.messages.all(lambda m: m.topic.endswith("/lobby/state"))
    said = [m.document["state"] for m in states]
    assert said[said.index("covered") :] == ["covered"]
    assert (await daemon.streams())["lobby"]["state"] == "covered"
