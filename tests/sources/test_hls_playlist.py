"""Playlists from text to values."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.sources.hls_playlist import MAX_TARGET_S, NotAPlaylist, Rendition, lowest, parse

BASE = "https://live.example.com/a/main.m3u8?token=1"


def test_a_live_media_playlist():
    playlist = parse(
        b"#EXTM3U\r\n#EXT-X-TARGETDURATION:4\r\n#EXT-X-MEDIA-SEQUENCE:17\r\n"
        b"#EXTINF:4.0,\r\ns17.ts\r\n#EXT-X-DISCONTINUITY\r\n#EXTINF:3.5,title\r\n/b/s18.ts\r\n",
        BASE,
    )
    assert [s.url for s in playlist.segments] == [
        "https://live.example.com/a/s17.ts",
        "https://live.example.com/b/s18.ts",
    ]
    assert [s.number for s in playlist.segments] == [17, 18]
    assert [s.discontinuity for s in playlist.segments] == [False, True]
    assert (playlist.target_s, playlist.next_number, playlist.ended) == (4.0, 19, False)


def test_maps_byte_ranges_keys_and_gaps():
    playlist = parse(
        b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-PLAYLIST-TYPE:VOD\n"
        b'#EXT-X-MAP:URI="i.mp4",BYTERANGE="700@0"\n#EXT-X-BYTERANGE:100@700\n#EXTINF:4,\nf.mp4\n'
        b"#EXT-X-BYTERANGE:50\n#EXTINF:4,\nf.mp4\n"
        b'#EXT-X-KEY:METHOD=AES-128,URI="k"\n#EXT-X-GAP\n#EXTINF:4,\nf.mp4\n#EXT-X-ENDLIST\n',
        BASE,
    )
    one, two, three = playlist.segments
    assert one.map_url.endswith("/a/i.mp4")
    assert (one.map_span, one.span, two.span) == ((0, 700), (700, 100), (800, 50))
    assert not one.encrypted
    assert three.encrypted
    assert three.url == ""
    assert playlist.ended
    assert playlist.recorded


def test_the_smallest_rendition_that_shows_something_is_chosen():
    playlist = parse(
        b"#EXTM3U\n"
        b'#EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS="mp4a.40.2"\naudio.m3u8\n'
        b"#EXT-X-STREAM-INF:BANDWIDTH=150000,RESOLUTION=256x144\n144.m3u8\n"
        b"#EXT-X-STREAM-INF:BANDWIDTH=900000,RESOLUTION=640x360\n360.m3u8\n"
        b"#EXT-X-STREAM-INF:BANDWIDTH=5000000,RESOLUTION=1920x1080\n1080.m3u8\n",
        BASE,
    )
    assert lowest(playlist.renditions).url == "https://live.example.com/a/360.m3u8"


@pytest.mark.parametrize(
    ("renditions", "chosen"),
    [
        ((Rendition("a", 1, 256, 144), Rendition("b", 2, 320, 180)), "b"),
        ((Rendition("a", 9), Rendition("b", 2)), "b"),
        ((Rendition("a", 1, codecs="mp4a.40.2"), Rendition("b", 2, codecs="avc1,mp4a")), "b"),
        ((Rendition("a", 1, codecs="mp4a.40.2"),), "a"),
    ],
)
def test_choosing_where_sizes_are_small_or_unknown(renditions, chosen):
    assert lowest(renditions).url == chosen


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00\x01", b"<html>", b"#EXTM3U\n#EXT-X-TARGETDURATION:x\n", b"#EXTM3U\n#EXT-X-TARGETDURATION:nan\n",
     b"#EXTM3U\n#EXT-X-BYTERANGE:-5@9\n", b"#EXTM3U\n#EXTINF:x,\ns.ts\n"],
)  # fmt: skip
def test_what_is_no_playlist(data):
    with pytest.raises(NotAPlaylist):
        parse(data, BASE)


def test_an_absurd_target_duration_is_not_believed():
    assert parse(b"#EXTM3U\n#EXT-X-TARGETDURATION:99999999\n", BASE).target_s == MAX_TARGET_S
    assert parse(b"#EXTM3U\n#EXT-X-TARGETDURATION:0\n#EXTINF:inf,\ns.ts\n", BASE).target_s == MAX_TARGET_S


@given(st.binary(max_size=300))
def test_any_bytes_give_a_playlist_or_a_refusal(data):
    with contextlib.suppress(NotAPlaylist):
        parse(b"#EXTM3U\n" + data, BASE)
