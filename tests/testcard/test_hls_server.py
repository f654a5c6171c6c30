import aiohttp
import pytest

from streamwatch.testcard.hls_server import HlsServer, Rendition
from streamwatch.testcard.ts import PACKET, Segment
from tests.fakes.clock import FakeClock
from tests.testcard.player import playing
from tests.testcard.tags import SMALL, ts_segments


def segment(n: int, duration_s: float = 2.0) -> Segment:
    return Segment(bytes((n,)) * PACKET, duration_s)


@pytest.fixture
async def server():
    async with HlsServer(clock=FakeClock()) as server:
        yield server


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


def names(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


async def test_the_playlist_is_a_sliding_window_and_older_segments_linger(server, http):
    playlist = server.publish("hall")
    for n in range(10):
        playlist.send(segment(n))
    async with http.get(server.url("hall/index.m3u8")) as answer:
        text = await answer.text()
        assert answer.content_type == "application/vnd.apple.mpegurl"
    assert "#EXT-X-MEDIA-SEQUENCE:5\n" in text
    assert "#EXT-X-TARGETDURATION:2\n" in text
    assert names(text) == ["5.ts", "6.ts", "7.ts", "8.ts", "9.ts"]
    for n, status in ((1, 404), (2, 200), (9, 200), (10, 404)):
        async with http.get(server.url(f"hall/{n}.ts")) as answer:
            assert answer.status == status


async def test_nothing_is_served_before_the_first_segment(server, http):
    server.publish("hall")
    for path in ("hall/index.m3u8", "hall/0.ts", "hall/x.ts", "hall/-1.ts", "other/index.m3u8", ""):
        async with http.get(server.url(path)) as answer:
            assert answer.status == 404


async def test_a_part_of_a_segment_can_be_fetched(server, http):
    server.publish("hall").send(Segment(bytes(range(188)), 2.0))
    for asked, status, expected in (
        ("bytes=0-9", 206, bytes(range(10))),
        ("bytes=180-400", 206, bytes(range(180, 188))),
        ("bytes=-8", 206, bytes(range(180, 188))),
        ("bytes=188-", 416, b""),
        ("bytes=9-2", 416, b""),
        ("bytes=a", 416, b""),
    ):
        async with http.get(server.url("hall/0.ts"), headers={"Range": asked}) as answer:
            assert answer.status == status, asked
            if status == 206:
                assert await answer.read() == expected
    async with http.get(server.url("hall/0.ts"), headers={"Range": "bytes=2-3"}) as answer:
        assert answer.headers["Content-Range"] == "bytes 2-3/188"


async def test_a_frozen_playlist_does_not_grow_and_marks_the_gap_afterwards(server):
    playlist = server.publish("hall", window=3)
    playlist.send(segment(0))
    playlist.freeze()
    frozen = playlist.text()
    playlist.send(segment(1))
    assert playlist.text() == frozen
    playlist.resume()
    playlist.send(segment(2))
    text = playlist.text()
    assert names(text) == ["0.ts", "1.ts"]
    assert text.index("#EXT-X-DISCONTINUITY\n") > text.index("0.ts")
    for n in range(3, 6):
        playlist.send(segment(n))
    assert "#EXT-X-DISCONTINUITY\n" not in playlist.text()
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:1\n" in playlist.text()


async def test_an_ended_playlist_says_so_and_takes_nothing_more(server):
    playlist = server.publish("hall")
    playlist.send(segment(0))
    playlist.end()
    playlist.send(segment(1))
    assert playlist.text().endswith("0.ts\n#EXT-X-ENDLIST\n")


async def test_a_vanished_name_answers_not_found(server, http):
    playlist = server.publish("hall")
    playlist.send(segment(0))
    playlist.vanish()
    for path in ("hall/index.m3u8", "hall/0.ts"):
        async with http.get(server.url(path)) as answer:
            assert answer.status == 404
    server.publish("hall").send(segment(0))
    async with http.get(server.url("hall/index.m3u8")) as answer:
        assert answer.status == 200


async def test_wall_times_can_be_shown(server):
    playlist = server.publish("hall", program_date_time=True)
    playlist.send(segment(0))
    assert "#EXT-X-PROGRAM-DATE-TIME:2026-11-21T09:59:58.000Z\n" in playlist.text()


async def test_masters_redirects_and_segments_elsewhere(server, http):
    playlist = server.publish("hall")
    playlist.segment_base = "http://127.0.0.2:1/"
    playlist.send(segment(0))
    server.master("show/master.m3u8", [Rendition(uri="../hall/index.m3u8", bandwidth=9, width=160, height=96)])
    server.redirect("moved.m3u8", server.url("hall/index.m3u8"))
    async with http.get(server.url("show/master.m3u8")) as answer:
        text = await answer.text()
    assert names(text) == ["../hall/index.m3u8"]
    assert "BANDWIDTH=9,RESOLUTION=160x96" in text
    async with http.get(server.url("moved.m3u8"), allow_redirects=False) as answer:
        assert answer.status == 302
    async with http.get(server.url("moved.m3u8")) as answer:
        assert names(await answer.text()) == ["http://127.0.0.2:1/0.ts"]
    server.redirect("moved.m3u8", None)
    async with http.get(server.url("moved.m3u8")) as answer:
        assert answer.status == 404


def test_segments_begin_with_tables_and_a_key_picture_and_last_as_long_as_asked():
    segments = ts_segments(6.0, target_s=1.0)
    assert len(segments) == 5
    assert [one.duration_s for one in segments] == pytest.approx([1.0] * 5, abs=0.001)
    for one in segments:
        assert len(one.data) % PACKET == 0
        assert one.data[0] == 0x47
        assert int.from_bytes(one.data[1:3]) & 0x1FFF == 0


@pytest.mark.parametrize("through_master", [False, True])
async def test_another_player_plays_it_to_its_end(server, through_master):
    playlist = server.publish("hall", target_s=1.0)
    server.master("m.m3u8", [Rendition(uri="hall/index.m3u8", bandwidth=300_000, width=160, height=96)])
    for one in ts_segments(6.0):
        playlist.send(one)
    playlist.end()
    played = await playing(server.url("m.m3u8" if through_master else "hall/index.m3u8"))
    assert played.error == ""
    assert played.size == (SMALL.width, SMALL.height)
    assert sorted(played.kinds) == ["audio", "video"]
    assert len(played.times) == 50
