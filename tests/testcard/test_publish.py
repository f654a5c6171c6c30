import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from streamwatch.domain.errors import Dropped, Refused, Stalled, Unreachable
from streamwatch.domain.urls import SafeUrl
from streamwatch.testcard import rtmp_publish
from streamwatch.testcard.flv import FlvTag
from streamwatch.testcard.rtmp_publish import publish, publish_card, target
from streamwatch.testcard.rtmp_server import RtmpServer
from streamwatch.wire import amf0
from streamwatch.wire import rtmp as wire
from streamwatch.wire.chunks import ChunkParser
from tests.testcard.player import playing
from tests.testcard.tags import flv_tags


async def given(tags) -> AsyncIterator[FlvTag]:
    for tag in tags:
        yield tag


async def when_played(server, name, tags) -> AsyncIterator[FlvTag]:
    """The tags, once somebody plays them."""
    await server.until_played(name)
    for tag in tags:
        yield tag


async def without_end() -> AsyncIterator[FlvTag]:
    for tag in flv_tags(1.0):
        yield tag
    await asyncio.Event().wait()


async def test_what_is_published_is_played_by_another_player():
    states = []
    async with RtmpServer() as server, asyncio.TaskGroup() as group:
        player = group.create_task(playing(server.url("live/x")))
        await publish(
            SafeUrl(server.url("live/x")), when_played(server, "live/x", flv_tags(3.0)), on_state=states.append
        )
        played = await player
    assert played.error == ""
    assert len(played.times) == 30
    assert states == ["connecting", "publishing", "ended"]


async def test_the_test_card_is_published_in_real_time():
    async with RtmpServer() as server, asyncio.TaskGroup() as group:
        player = group.create_task(playing(server.url("live/card")))
        await server.until_played("live/card")
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await publish_card(SafeUrl(server.url("live/card")), width=320, height=180, fps=10, seconds=2.0)
        took = loop.time() - begun
        played = await player
    assert 1.8 < took < 6
    assert played.size == (320, 180)
    assert len(played.cards) > 10
    assert all(played.cards)


async def test_a_second_publisher_is_told_the_servers_words():
    async with RtmpServer() as server:
        server.publish("live/x")
        with pytest.raises(Refused, match=r"NetStream\.Publish\.BadName: live/x is already published"):
            await publish(SafeUrl(server.url("live/x")), given([]))


async def test_the_servers_words_are_made_printable():
    async with RtmpServer(refuse=lambda _: "no\x1b[31m\u202eway") as server:
        with pytest.raises(Refused) as refused:
            await publish(SafeUrl(server.url("live/x")), given([]))
    assert "way" in str(refused.value)
    assert "\x1b" not in str(refused.value)
    assert "\u202e" not in str(refused.value)


async def test_the_query_reaches_the_server_and_no_message():
    seen = []
    async with RtmpServer(refuse=lambda name: seen.append(name) or "wrong password") as server:
        url = SafeUrl(f"rtmp://me:geheim@127.0.0.1:{server.port}/live/x?user=u&pass=secret/1")
        with pytest.raises(Refused) as refused:
            await publish(url, given([]))
    assert seen == ["live/x?user=u&pass=secret/1"]
    assert "secret" not in str(refused.value)
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rtmp://h/live/x", ("live", "x", "rtmp://h/live")),
        ("rtmp://h:1935/live/a/x?k=1", ("live/a", "x?k=1", "rtmp://h:1935/live/a")),
        ("rtmp://u:p@h/live/x", ("live", "x", "rtmp://u:p@h/live")),
        ("rtmp://h/only", ("only", "", "rtmp://h/only")),
    ],
)
def test_addresses_are_split_as_encoders_split_them(url, expected):
    assert target(SafeUrl(url)) == expected


async def test_a_closed_port_is_unreachable():
    async with RtmpServer() as server:
        port = server.port
    with pytest.raises(Unreachable):
        await publish(SafeUrl(f"rtmp://127.0.0.1:{port}/live/x"), given([]))


async def test_an_address_that_is_not_rtmp_is_refused():
    with pytest.raises(Refused, match="rtmp://host/app/name"):
        await publish(SafeUrl("http://127.0.0.1/x"), given([]))


@contextlib.asynccontextmanager
async def serving(handler):
    """A server that behaves as `handler` does; yields its address."""
    done = asyncio.Event()

    async def serve(reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await handler(reader, writer)
        writer.transport.abort()
        done.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield SafeUrl(f"rtmp://127.0.0.1:{server.sockets[0].getsockname()[1]}/live/x?key=secret")
    finally:
        server.close()
        async with asyncio.timeout(5):
            await done.wait()


async def test_a_silent_server_is_a_stall_and_not_a_wait_for_ever(monkeypatch):
    monkeypatch.setattr(rtmp_publish, "_ANSWER_S", 0.2)
    async with serving(lambda reader, _: reader.read(-1)) as url:
        with pytest.raises(Stalled, match="handshake"):
            await publish(url, given([]))


async def test_a_server_of_another_protocol_is_refused():
    async def http(_reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with serving(http) as url:
        with pytest.raises(Refused, match="no RTMP server"):
            await publish(url, given([]))


async def some(reader):
    data = await reader.read(65536)
    if not data:
        raise ConnectionResetError
    return data


async def accept(reader, writer, chunks):
    """The server's side of everything up to publishing; returns the commands received."""
    await reader.readexactly(1 + wire.HANDSHAKE_SIZE)
    writer.write(wire.VERSION + bytes(2 * wire.HANDSHAKE_SIZE))
    await reader.readexactly(wire.HANDSHAKE_SIZE)
    commands = []
    while not any(values[0] == "publish" for values in commands):
        for message in chunks.feed(await some(reader)):
            if message.kind != wire.COMMAND:
                continue
            values = amf0.decode(message.payload)
            commands.append(values)
            if values[0] in {"connect", "createStream"}:
                writer.write(wire.chunks(wire.command("_result", values[1], None, 7.0), 128))
            if values[0] == "publish":
                writer.write(wire.chunks(wire.status("NetStream.Publish.Start", "go", stream_id=7), 128))
    return commands


async def test_pings_are_answered_windows_acknowledged_and_the_stream_number_used():
    got = {}

    async def server(reader, writer):
        chunks = ChunkParser()
        got["commands"] = await accept(reader, writer, chunks)
        writer.write(wire.chunks(wire.number(wire.WINDOW_SIZE, 1000), 128))
        writer.write(wire.chunks(wire.user_control(wire.PING, 77), 128))
        writer.write(wire.chunks(wire.Message(wire.USER_CONTROL, bytes(2000)), 128))
        kinds = set()
        while not kinds >= {wire.USER_CONTROL, wire.ACKNOWLEDGEMENT, wire.VIDEO}:
            for message in chunks.feed(await some(reader)):
                kinds.add(message.kind)
                got[message.kind] = message

    async with serving(server) as url:
        with pytest.raises(Dropped):
            await publish(url, without_end())
    names = [values[0] for values in got["commands"]]
    assert names == ["connect", "releaseStream", "FCPublish", "createStream", "publish"]
    assert got["commands"][-1][3] == "x?key=secret"
    assert got[wire.USER_CONTROL].payload == wire.PONG.to_bytes(2) + (77).to_bytes(4)
    assert int.from_bytes(got[wire.ACKNOWLEDGEMENT].payload) >= 1000
    assert got[wire.VIDEO].stream_id == 7


async def test_a_server_that_says_no_while_we_publish_ends_it_with_its_words():
    async def server(reader, writer):
        await accept(reader, writer, ChunkParser())
        writer.write(wire.chunks(wire.status("NetStream.Publish.Denied", "quota used up", level="error"), 128))
        await writer.drain()
        await reader.read(-1)

    async with serving(server) as url:
        with pytest.raises(Refused, match="quota used up"):
            await publish(url, without_end())


async def test_a_server_that_takes_no_more_bytes_is_a_stall(monkeypatch):
    monkeypatch.setattr(rtmp_publish, "_SEND_S", 0.3)
    block = flv_tags(1.0)[4]
    release = asyncio.Event()

    async def flood() -> AsyncIterator[FlvTag]:
        while True:
            yield FlvTag(block.kind, block.timestamp_ms, block.payload[:5] + bytes(1_000_000))

    async def server(reader, writer):
        await accept(reader, writer, ChunkParser())
        await release.wait()

    async with serving(server) as url:
        with pytest.raises(Stalled, match="took no bytes"):
            await publish(url, flood())
        release.set()


async def test_a_mistake_in_the_tags_is_not_taken_for_the_servers():
    async def broken() -> AsyncIterator[FlvTag]:
        yield flv_tags(0.5)[0]
        raise ZeroDivisionError

    async with RtmpServer() as server:
        with pytest.raises(ExceptionGroup) as group:
            await publish(SafeUrl(server.url("live/x")), broken())
        assert group.group_contains(ZeroDivisionError)


async def test_cancelling_ends_the_publication():
    async with RtmpServer() as server, asyncio.TaskGroup() as group:
        publishing = asyncio.Event()
        states = {"publishing": publishing.set}
        task = group.create_task(
            publish(SafeUrl(server.url("live/x")), without_end(), on_state=lambda s: states.get(s, bool)())
        )
        async with asyncio.timeout(10):
            await publishing.wait()
        task.cancel()
        player = group.create_task(playing(server.url("live/x")))
        await server.until_played("live/x")
        async with asyncio.timeout(10):
            await publish(SafeUrl(server.url("live/x")), given(flv_tags(2.0)))
        assert len((await player).times) > 0
