"""Playlists from text to values."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.sources.hls.listed import Protected
from streamwatch.sources.hls.playlist import MAX_BYTES, MAX_LINES, MAX_TARGET_S, NotAPlaylist, Rendition, lowest, parse

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


def test_key_pictures_alone_are_listed_beside_the_renditions():
    playlist = parse(
        b"#EXTM3U\n"
        b'#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=90000,RESOLUTION=640x360,CODECS="avc1.4d401e",URI="keys.m3u8"\n'
        b"#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=90000\n"
        b"#EXT-X-STREAM-INF:BANDWIDTH=900000,RESOLUTION=640x360\n360.m3u8\n",
        BASE,
    )
    assert [r.uri for r in playlist.renditions] == ["360.m3u8"]
    (one,) = playlist.pictures
    assert (one.url, one.width, one.height) == ("https://live.example.com/a/keys.m3u8", 640, 360)
    keys = parse(b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-I-FRAMES-ONLY\n#EXTINF:2,\n#EXT-X-BYTERANGE:9@8\nx\n", BASE)
    assert keys.pictures_only
    assert keys.segments[0].span == (8, 9)


LOW_LATENCY = (
    b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-VERSION:9\n#EXT-X-PART-INF:PART-TARGET=0.33334\n"
    b"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.0\n#EXT-X-MEDIA-SEQUENCE:266\n"
    b'#EXT-X-MAP:URI="i.mp4"\n#EXT-X-PROGRAM-DATE-TIME:2026-02-14T02:13:36.106Z\n#EXTINF:4.00008,\ns266.mp4\n'
    b'#EXT-X-PART:DURATION=0.33334,URI="p267.0.mp4",INDEPENDENT=YES\n#EXT-X-PART:DURATION=0.33334,URI="p267.1.mp4"\n'
    b'#EXT-X-PART:DURATION=0.33334,URI="p267.2.mp4",INDEPENDENT=YES,BYTERANGE="200@100"\n'
    b'#EXT-X-PART:DURATION=0.33334,URI="p267.3.mp4",INDEPENDENT=YES,GAP=YES\n'
    b'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p267.4.mp4"\n'
)


def test_the_newest_part_that_stands_alone():
    part = parse(LOW_LATENCY, BASE).part
    assert part is not None
    assert (part.segment.number, part.place) == (267, 2)
    assert part.segment.url == "https://live.example.com/a/p267.2.mp4"
    assert part.segment.span == (100, 200)
    assert part.segment.map_url == "https://live.example.com/a/i.mp4"
    assert parse(LOW_LATENCY.replace(b"INDEPENDENT=YES", b"X=1"), BASE).part is None
    assert parse(LOW_LATENCY.replace(b"200@100", b"200"), BASE).part is None


def test_segments_that_are_left_out_are_counted():
    playlist = parse(b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:10\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXTINF:4,\ns.ts\n", BASE)
    assert [segment.number for segment in playlist.segments] == [13]


@pytest.mark.parametrize(
    ("tags", "iv"),
    [
        ('METHOD=AES-128,URI="k"', (7).to_bytes(16)),
        ('METHOD=AES-128,URI="k",IV=0x0A', (10).to_bytes(16)),
        ('METHOD=AES-128,URI="k",IV=0X' + "ff" * 16 + ',KEYFORMAT="identity"', b"\xff" * 16),
        ('METHOD=AES-128,URI="k"\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI="other",KEYFORMAT="com.example"', (7).to_bytes(16)),
    ],
)
def test_how_segments_are_encrypted(tags, iv):
    text = f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-KEY:{tags}\n#EXTINF:4,\ns.ts\n#EXT-X-KEY:METHOD=NONE\nt.ts\n"
    one, two = parse(text.encode(), BASE).segments
    assert one.cipher == ("https://live.example.com/a/k", iv)
    assert two.cipher is None


@pytest.mark.parametrize("tag", ['METHOD=SAMPLE-AES,URI="k"', 'METHOD=AES-128,URI="k",KEYFORMAT="com.example"'])
def test_what_a_rights_manager_protects(tag):
    (one,) = parse(f"#EXTM3U\n#EXT-X-KEY:{tag}\n#EXTINF:4,\ns.ts\n".encode(), BASE).segments
    assert one.encrypted
    with pytest.raises(Protected):
        _ = one.cipher


@pytest.mark.parametrize("iv", ["0x-1", "0x", "0x1_0", "1234", "0x" + "f" * 33])
def test_a_vector_that_is_none_is_refused(iv):
    (one,) = parse(f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="k",IV={iv}\n#EXTINF:4,\ns.ts\n'.encode(), BASE).segments
    with pytest.raises(ValueError, match="vector"):
        _ = one.cipher


@given(st.binary(max_size=300))
def test_any_bytes_give_a_playlist_or_a_refusal(data):
    with contextlib.suppress(NotAPlaylist):
        parse(b"#EXTM3U\n" + data, BASE)


HEAD = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n"
BURDEN_S = 0.05
"""Processor seconds for the worst legal playlist: 10 ms measured, and a machine may be busy."""


def filled(line: bytes) -> bytes:
    """The largest legal playlist of such lines."""
    return HEAD + b"\n".join([line] * min(MAX_LINES - 10, (MAX_BYTES - 100) // (len(line) + 1)))


WORST = {
    "segments": HEAD + b"".join(b"#EXTINF:1,\n%0190d.ts\n" % i for i in range(2490)),
    "a long name without a value": filled(b"#EXT-X-STREAM-INF:" + b"A" * 8000 + b"\nx"),
    "names without values": filled(b"#EXT-X-STREAM-INF:" + b"A," * 45 + b"\nx"),
    "many attributes": filled(b"#EXT-X-STREAM-INF:" + b"A=," * 2000 + b"\nx"),
    "attributes of segments": filled(b"#EXT-X-MAP:" + b"A=," * 60 + b"\nx"),
    "open quotes": filled(b"#EXT-X-STREAM-INF:" + b'A="' * 2000 + b"\nx"),
    "commas": filled(b"#EXT-X-STREAM-INF:" + b"," * 8000 + b"\nx"),
    "digits": filled(b"#EXT-X-BYTERANGE:" + b"9" * 4000),
    "fractions": filled(b"#EXTINF:" + b"1" * 90),
    "no text": HEAD + b"\n".join([b"\xff" * 8000] * 60),
    "many lines": b"#EXTM3U" + b"\n" * 500_000,
    "steps back": filled(b"../" * 30),
    "parts": filled(b'#EXT-X-PART:DURATION=0.2,URI="a.mp4",INDEPENDENT=YES,BYTERANGE="9@9"'),
    "keys": filled(b'#EXT-X-KEY:METHOD=AES-128,URI="a",IV=0x1'),
    "key pictures": HEAD + b"#EXT-X-STREAM-INF:A=B\nx\n" + b'#EXT-X-I-FRAME-STREAM-INF:URI="k",A=1\n' * 4900,
}


@pytest.mark.parametrize("name", WORST)
def test_no_playlist_costs_more_than_a_moment(name):
    """The base is as hostile: addresses are joined only when they are followed."""
    spent = []
    for _ in range(3):
        began = time.thread_time()
        with contextlib.suppress(NotAPlaylist):
            parse(WORST[name], "http://127.0.0.1/" + "a/" * 30_000)
        spent.append(time.thread_time() - began)
    assert min(spent) < BURDEN_S


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (HEAD + b"#" + b"x" * MAX_BYTES, "bytes"),
        (HEAD + b"#\n" * MAX_LINES, "lines"),
        (HEAD + b"#" + b"x" * 9000, "characters"),
    ],
)
def test_what_is_too_large_is_refused_in_clear_words(data, words):
    with pytest.raises(NotAPlaylist, match=f"more than [0-9]+ {words}"):
        parse(data, BASE)


def test_numbers_that_come_after_their_segments_are_refused():
    with pytest.raises(NotAPlaylist):
        parse(HEAD + b"#EXT-X-GAP\ns.ts\n#EXT-X-MEDIA-SEQUENCE:1000\n", BASE)


def test_sizes_that_nobody_could_mean_are_unknown():
    (one,) = parse(b"#EXTM3U\n#EXT-X-STREAM-INF:RESOLUTION=99999999999x-3\nx.m3u8\n", BASE).renditions
    assert (one.width, one.height) == (0, 0)


@given(st.text(alphabet='A=",-9 #\n', max_size=400), st.integers(1, 40))
def test_attributes_of_any_form_and_length_cost_little(text, times):
    data = b"#EXTM3U\n" + b"".join(b"#EXT-X-STREAM-INF:" + text.encode() * times + b"\nx\n" for _ in range(20))
    took = []
    for _ in range(3):  # the first may meet a machine that is busy, or an interpreter that is cold
        began = time.thread_time()
        with contextlib.suppress(NotAPlaylist):
            for rendition in parse(data, BASE).renditions:
                lowest((rendition,))
        took.append(time.thread_time() - began)
    assert min(took) < BURDEN_S
