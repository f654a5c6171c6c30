import asyncio
import contextlib
import socket

import pytest

from streamwatch.testcard.flv import FlvTag, TagKind
from streamwatch.testcard.rtmp_server import RtmpServer
from streamwatch.wire import rtmp as wire
from tests.testcard.player import playing
from tests.testcard.tags import SMALL, flv_tags


async def send_all(server, feed, tags, *, players=1):
    await server.until_played(feed.name, players=players)
    for tag in tags:
        feed.send(tag)
    feed.end()


async def test_another_player_plays_a_whole_publication_and_sees_its_end():
    async with RtmpServer() as server, asyncio.TaskGroup() as group:
        feed = server.publish("live/x")
        player = group.create_task(playing(server.url("live/x")))
        await send_all(server, feed, flv_tags(3.0))
        played = await player
    assert played.error == ""
    assert played.size == (SMALL.width, SMALL.height)
    assert sorted(played.kinds) == ["audio", "video"]
    assert len(played.times) == 30


async def test_a_late_player_begins_at_the_next_key_picture():
    tags = flv_tags(4.0)
    second_key = [i for i, tag in enumerate(tags) if tag.is_key][1]
    async with RtmpServer() as server, asyncio.TaskGroup() as group:
        feed = server.publish("live/x")
        for tag in tags[: second_key - 3]:
            feed.send(tag)
        player = group.create_task(playing(server.url("live/x")))
        await send_all(server, feed, tags[second_key - 3 :])
        played = await player
    assert played.times[0] == played.keys[0] == pytest.approx(tags[second_key].timestamp_ms / 1000, abs=0.002)


async def test_with_the_cache_a_late_player_begins_at_the_last_key_picture():
    tags = flv_tags(4.0)
    second_key = [i for i, tag in enumerate(tags) if tag.is_key][1]
    async with RtmpServer(gop_cache=True) as server, asyncio.TaskGroup() as group:
        feed = server.publish("live/x")
        for tag in tags[: second_key + 4]:
            feed.send(tag)
        player = group.create_task(playing(server.url("live/x")))
        await send_all(server, feed, tags[second_key + 4 :])
        played = await player
    assert played.times[0] == pytest.approx(tags[second_key].timestamp_ms / 1000, abs=0.002)


async def test_a_player_of_a_name_nobody_publishes_yet_waits_for_it():
    async with RtmpServer() as server, asyncio.TaskGroup() as group:
        player = group.create_task(playing(server.url("live/later")))
        await server.until_played("live/later")
        await send_all(server, server.publish("live/later"), flv_tags(2.0))
        played = await player
    assert len(played.times) == 20


async def test_an_unknown_name_can_be_refused():
    async with RtmpServer(unknown_waits=False) as server:
        played = await playing(server.url("live/nobody"))
        assert played.error
        assert server.counters.refused == 1


async def test_a_request_is_refused_by_its_query():
    refuse = lambda name: None if name.endswith("?token=good") else "no"  # noqa: E731
    async with RtmpServer(refuse=refuse) as server, asyncio.TaskGroup() as group:
        feed = server.publish("live/x")
        assert (await playing(server.url("live/x?token=bad"))).error
        player = group.create_task(playing(server.url("live/x?token=good")))
        await send_all(server, feed, flv_tags(2.0))
        assert len((await player).times) == 20
    assert server.counters.refused == 1


async def test_many_players_get_the_same():
    async with RtmpServer() as server, asyncio.TaskGroup() as group:
        feed = server.publish("live/x")
        players = [group.create_task(playing(server.url("live/x"))) for _ in range(4)]
        await send_all(server, feed, flv_tags(2.0), players=4)
        assert {len((await player).times) for player in players} == {20}
        assert server.counters.players == 4


@contextlib.asynccontextmanager
async def connected(server):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=4096)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def raw_player(server, name):
    """A connection that asks to play and then reads only when it is told to."""
    async with connected(server) as (reader, writer):
        await ask_to_play(server, name, reader, writer)
        yield reader, writer


async def ask_to_play(server, name, reader, writer):
    writer.write(wire.VERSION + wire.hello())
    await reader.readexactly(1 + 2 * wire.HANDSHAKE_SIZE)
    writer.write(wire.hello())
    app, _, leaf = name.partition("/")
    for message in (
        wire.command("connect", 1, {"app": app}),
        wire.command("createStream", 2, None),
        wire.command("play", 3, None, leaf, stream_id=1),
    ):
        writer.write(wire.chunks(message, wire.DEFAULT_CHUNK))
    await server.until_played(name, players=server.players(name) + 1)


async def closed(reader):
    """Wait until the other side hangs up, in order or not."""
    with contextlib.suppress(ConnectionResetError):
        async with asyncio.timeout(5):
            while await reader.read(4096):
                pass


async def test_a_player_that_does_not_read_is_cut_off_and_the_others_go_on():
    block = FlvTag(TagKind.VIDEO, 0, b"\x17\x01\x00\x00\x00" + bytes(500_000))
    async with (
        RtmpServer() as server,
        raw_player(server, "live/x"),
        raw_player(server, "live/x") as (fast, _),
        asyncio.timeout(20),
    ):
        feed = server.publish("live/x")
        sent = 0
        while server.counters.slow_players == 0:
            feed.send(block)
            sent += 1
            got = 0
            while got < 500_000:
                got += len(await fast.read(1 << 20))
        assert sent < 100
        assert feed.players == 1


async def test_what_is_not_rtmp_is_counted_and_closed():
    async with RtmpServer() as server, connected(server) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n" + bytes(3000))
        await closed(reader)
        assert server.counters.broken == 1


async def test_a_name_has_one_publication_at_a_time_and_can_be_published_again():
    async with RtmpServer() as server:
        first = server.publish("live/x")
        with pytest.raises(ValueError, match="already"):
            server.publish("live/x")
        first.end()
        second = server.publish("live/x")
        first.send(FlvTag(TagKind.VIDEO, 0, b"\x17\x01"))
        first.end()
        assert second.live


async def test_outside_its_block_the_server_listens_no_more_and_players_are_gone():
    async with contextlib.AsyncExitStack() as stack:
        async with RtmpServer() as server:
            server.publish("live/x")
            reader, _ = await stack.enter_async_context(raw_player(server, "live/x"))
            port = server.port
        await closed(reader)
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
        assert server.players("live/x") == 0
