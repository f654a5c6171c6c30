"""The HLS reader against servers that grow, stall, refuse, encrypt, lead astray and change their mind."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from base64 import b64encode
from collections.abc import AsyncIterator

import numpy as np
import pytest

from streamwatch.domain.errors import (
    CodecUnsupported,
    Dropped,
    PolicyRefused,
    Refused,
    Stalled,
    Unreachable,
)
from streamwatch.domain.media import Packet
from streamwatch.sources.decoder import make_decoder
from streamwatch.sources.hls.reader import HlsReader
from tests.fakes.sink import CollectingSink
from tests.sources import media
from tests.sources.hls.origin import (
    LookingSink,
    Origin,
    QuickClock,
    cut_fragments,
    encrypt,
    fragmented,
    make_reader,
    outcome,
    ts_segments,
)

WAYS = [True, False]
"""Whole segments, heads alone."""
KEY = bytes(range(16))


@contextlib.asynccontextmanager
async def reading(origin: Origin, sink: CollectingSink, made: HlsReader | None = None) -> AsyncIterator[None]:
    """A reader at work until the block ends; then the stream ends, and the reader must say so."""
    task = asyncio.create_task(outcome(made or make_reader(origin.url("live.m3u8")), sink), name="reader")
    try:
        yield
        origin.ended = True
        assert await task is None
    finally:
        task.cancel()
        await asyncio.wait({task})


def same(found: list[Packet], wanted: list[Packet]) -> bool:
    return [(p.data, p.pts, p.dts, p.key) for p in found] == [(p.data, p.pts, p.dts, p.key) for p in wanted]


# --- whole segments --------------------------------------------------------------------------------------------------


async def test_it_follows_the_live_edge_until_the_end():
    segments = ts_segments(4)
    sink = CollectingSink()
    async with Origin() as origin:
        origin.segments = segments[:2]
        async with reading(origin, sink):
            await sink.reached(25)
            origin.segments = segments[:3]
            await sink.reached(50)
            origin.segments = segments
        assert "seg0.bin" not in origin.asked  # older than the live edge
    assert same(sink.packets, [packet for data in segments[1:] for packet in media.packets(data)])
    assert sink.threads == {threading.current_thread().name}
    (info,) = sink.infos
    assert (info.transport, info.burst_s, info.on_demand) == ("hls", 1, False)
    assert (info.config.width, info.config.height) == (160, 120)


@pytest.mark.parametrize("kind", ["b-frames", "open groups", "hevc", "mpeg-2"])
@pytest.mark.parametrize("container", ["ts", "fmp4"])
async def test_packets_are_those_of_ffmpeg(kind, container):
    how = {
        "b-frames": {"options": media.X264_B},
        "open groups": {"options": media.X264_OPEN},
        "hevc": {"codec": "libx265", "options": media.X265},
        "mpeg-2": {"codec": "mpeg2video", "options": {"bf": "2", "g": "25"}},
    }[kind]
    if (kind, container) == ("mpeg-2", "fmp4"):
        pytest.skip("nobody sends it")
    data = media.encode("mpegts", frames=75, **how)
    if container == "fmp4":
        data = fragmented(data)
    async with Origin() as origin:
        if container == "ts":
            origin.segments = [data]
        else:
            init, *origin.segments = cut_fragments(data)
            origin.answers["init.mp4"] = (200, {}, init)
            origin.extra[0] = '#EXT-X-MAP:URI="init.mp4"'
        origin.ended, origin.window = True, 9
        sink = CollectingSink()
        assert await outcome(make_reader(origin.url("live.m3u8"), fast=True), sink) is None
    wanted = media.packets(data)
    assert len(wanted) == 75
    assert same(sink.packets, wanted)
    if container == "fmp4":
        assert sink.packets[0].config == wanted[0].config
    whole = media.full_decode(data)
    for key in sink.keys:
        picture = make_decoder(key.config, max_pixels=1 << 20).key(key)
        assert picture is not None
        assert np.array_equal(picture.frame.to_ndarray(format="rgb24"), whole[key.pts.seconds_exact])


async def test_a_reader_that_falls_behind_goes_on_near_the_edge():
    segments = ts_segments(8)
    sink = CollectingSink()
    async with Origin() as origin:
        origin.segments, origin.window = segments[:1], 8
        async with reading(origin, sink):
            await sink.reached(25)
            origin.segments = segments
            await sink.reached(100)
        assert [name for name in origin.asked if name.startswith("seg")] == [f"seg{i}.bin" for i in (0, 5, 6, 7)]


# --- heads -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ranges", [True, False])
async def test_of_each_segment_no_more_than_the_first_key_picture_is_shown(ranges):
    segments = ts_segments(4, size=(640, 360))
    sink = CollectingSink(wants=False)
    async with Origin(ranges=ranges) as origin:
        origin.segments = segments[:1]
        async with reading(origin, sink):
            for count in range(1, 5):
                origin.segments = segments[:count]
                await sink.reached(count)
    assert same(sink.packets, [media.packets(data)[0] for data in segments])
    assert all(info.on_demand and info.burst_s == 11 for info in sink.infos)
    assert sink.skipped_bytes


async def test_what_is_asked_for_follows_the_size_of_key_pictures():
    segments = ts_segments(6, size=(1280, 720), options=media.X264 | {"qp": "12"})
    key = len(media.packets(segments[0])[0].data)
    assert 20_000 < key < 0.5 * len(segments[0])
    sink = CollectingSink(wants=False)
    async with Origin() as origin:
        origin.segments = segments[:1]
        async with reading(origin, sink):
            for count in range(1, 7):
                origin.segments = segments[:count]
                await sink.reached(count)
        assert origin.asked.count("seg5.bin") == 1
        wanted = next(headers["Range"] for name, headers in origin.requests if name == "seg5.bin")
    size = int(wanted.partition("-")[2]) + 1
    assert key < size < 1.4 * key


async def test_heads_of_fragmented_mp4_are_exact():
    init, *fragments = cut_fragments(fragmented(media.encode("mpegts", frames=125, options=media.X264_B)))
    sink = CollectingSink(wants=False)
    async with Origin() as origin:
        origin.answers["init.mp4"] = (200, {}, init)
        origin.extra = dict.fromkeys(range(9), '#EXT-X-MAP:URI="init.mp4"')
        origin.segments = fragments[:1]
        async with reading(origin, sink):
            for count in range(1, 6):
                origin.segments = fragments[:count]
                await sink.reached(count)
        assert origin.asked.count("init.mp4") == 1
    wanted = [packet for packet in media.packets(init + b"".join(fragments)) if packet.key]
    assert same(sink.packets, wanted)
    assert sink.packets[0].config == wanted[0].config


async def test_looks_keep_the_gap_and_other_segments_are_left_alone():
    segments = ts_segments(24)
    clock = QuickClock()
    sink = LookingSink(clock, gap=5)
    async with Origin() as origin:
        origin.segments = segments[:1]
        async with reading(origin, sink):
            for count in range(1, 25):
                origin.segments = segments[:count]
                await clock.sleep(1)
    arrivals = [packet.arrival for packet in sink.packets]
    gaps = [after - before for before, after in itertools.pairwise(arrivals)]
    assert 4 <= len(arrivals) <= 7
    assert all(3 < gap < 7 for gap in gaps[:-1])  # the last one is shown because it is the last
    assert len({name for name in origin.asked if name.startswith("seg")}) == len(arrivals)


async def test_suspicion_brings_the_rest_of_the_very_segment_first_and_calm_brings_heads_again():
    segments = ts_segments(12)
    clock = QuickClock()
    sink = LookingSink(clock, gap=30)
    async with Origin() as origin:
        origin.segments = segments[:2]
        async with reading(origin, sink):
            await sink.reached(1)
            sink.want(everything=True)
            await sink.reached(25)
            assert origin.asked[-2:] == ["seg1.bin", "seg1.bin"]
            assert len({packet.arrival for packet in sink.packets}) == 1  # when it could be had
            origin.segments = segments[:3]
            await sink.reached(50)
            sink.want(everything=False)
            origin.segments = segments[:8]
            await clock.sleep(10)
            sink.look_at = clock.monotonic()
            await sink.reached(51)
    wanted = [packet for data in segments[1:3] for packet in media.packets(data)]
    assert same(sink.packets[:50], wanted)
    assert same(sink.packets[50:51], media.packets(segments[7])[:1])
    assert [info.on_demand for info in sink.infos] == [True, False, True]


async def test_gaps_shorter_than_a_segment_need_whole_segments():
    segments = ts_segments(6)
    sink = LookingSink(QuickClock(), gap=0.4)
    async with Origin() as origin:
        origin.segments = segments[:2]
        async with reading(origin, sink):
            await sink.reached(1)
            origin.segments = segments[:3]
            await sink.reached(2)
        assert [info.on_demand for info in sink.infos] == [True, False]
    assert all(packet.key for packet in sink.packets)
    assert sink.skipped_bytes > len(segments[2]) / 2


async def test_segments_that_do_not_begin_with_a_key_are_read_whole():
    long = media.encode("mpegts", frames=100, options=media.X264 | {"g": "100", "keyint_min": "100"})
    cuts = list(range(0, len(long), len(long) // 4 // 188 * 188))[:4]
    parts = [long[a:b] for a, b in itertools.pairwise([*cuts, len(long)])]
    sink = CollectingSink(wants=False)
    async with Origin() as origin:
        origin.segments = [*parts[1:], *ts_segments(2, first=4)]
        origin.segments, later = origin.segments[:3], origin.segments
        async with reading(origin, sink):
            await origin.until("live.m3u8", 3)
            for count in (4, 5):
                origin.segments = later[:count]
                await origin.until(f"seg{count - 1}.bin")
            await sink.reached(1)
    assert all(packet.key for packet in sink.packets)


async def test_a_list_of_key_pictures_is_used_for_looks_alone():
    segments = ts_segments(3)
    master = (
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=300000,RESOLUTION=160x120\nlive.m3u8\n"
        '#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=30000,RESOLUTION=160x120,URI="keys.m3u8"\n'
    )
    pictures = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-I-FRAMES-ONLY\n" + "".join(
        f"#EXTINF:1,\n#EXT-X-BYTERANGE:{_head(data)}@0\nseg{i}.bin\n" for i, data in enumerate(segments)
    )
    sink = LookingSink(QuickClock(), gap=3)
    async with Origin() as origin:
        origin.segments = segments[:2]
        origin.answers["main.m3u8"] = (200, {}, master.encode())
        origin.answers["keys.m3u8"] = (200, {}, pictures.encode())
        origin.answers["seg2.bin"] = (200, {}, segments[2])  # listed there, and in the other list a little later
        task = asyncio.create_task(outcome(make_reader(origin.url("main.m3u8")), sink), name="reader")
        await sink.reached(1)
        assert same(sink.packets, media.packets(segments[2])[:1])
        wanted = next(headers["Range"] for name, headers in origin.requests if name == "seg2.bin")
        assert wanted == f"bytes=0-{_head(segments[2]) - 1}"
        sink.want(everything=True)  # on to whole segments, and on behind the picture that was shown
        origin.segments, origin.ended = segments, True
        assert await task is None
    assert same(sink.packets, media.packets(segments[2]))


def _head(data: bytes) -> int:
    """Bytes of MPEG-TS up to the second picture."""
    starts = [at for at in range(0, len(data), 188) if data[at + 1] & 0x41 == 0x41 and data[at + 2] == 0]
    return starts[1]


@pytest.mark.parametrize("answer", [(404, {}, b""), (200, {}, b"rubbish"), (200, {}, b"#EXTM3U\n#EXTINF:1,\nx.ts\n")])
async def test_a_list_of_key_pictures_that_does_not_serve_is_done_without(answer):
    master = (
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=300000,RESOLUTION=160x120\nlive.m3u8\n"
        '#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=30000,RESOLUTION=160x120,URI="keys.m3u8"\n'
    )
    sink = CollectingSink(wants=False)
    async with Origin() as origin:
        origin.segments = ts_segments(1)
        origin.answers["main.m3u8"] = (200, {}, master.encode())
        origin.answers["keys.m3u8"] = answer
        async with reading(origin, sink, make_reader(origin.url("main.m3u8"))):
            await sink.reached(1)


async def test_the_newest_part_that_stands_alone_is_newer_than_any_head():
    segments, part = ts_segments(2), media.encode("mpegts", frames=5, first=50)
    sink = CollectingSink(wants=False)
    lines = (
        '#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-PART-INF:PART-TARGET=0.2\n'
        '#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.6\n#EXT-X-MEDIA-SEQUENCE:0\n'
        '#EXTINF:1,\nseg0.bin\n#EXTINF:1,\nseg1.bin\n'
        '#EXT-X-PART:DURATION=0.2,URI="none.bin",INDEPENDENT=YES\n'
        f'#EXT-X-PART:DURATION=0.2,URI="part.bin",INDEPENDENT=YES,BYTERANGE="{len(part)}@7"\n'
        '#EXT-X-PART:DURATION=0.2,URI="none.bin"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI="next.bin"\n'
    )  # fmt: skip
    async with Origin() as origin:
        origin.segments = segments
        origin.answers["ll.m3u8"] = (200, {}, lines.encode())
        origin.answers["part.bin"] = (200, {}, b"before " + part + b" after")
        async with reading(origin, sink, make_reader(origin.url("ll.m3u8"))):
            await sink.reached(1)
            origin.answers["ll.m3u8"] = (200, {}, lines.encode() + b"#EXT-X-ENDLIST\n")
    assert same(sink.packets, media.packets(part)[:1])


# --- what both ways share --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", WAYS)
async def test_the_lowest_rendition_of_a_main_playlist_is_read(whole):
    main = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=9000000,RESOLUTION=1920x1080\nhigh.m3u8\n"
    main += "#EXT-X-STREAM-INF:BANDWIDTH=300000,RESOLUTION=320x240\nlive.m3u8\n"
    sink = CollectingSink(wants=whole)
    async with Origin() as origin:
        origin.segments = ts_segments(1, size=(320, 240))
        origin.answers["main.m3u8"] = (200, {}, main.encode())
        async with reading(origin, sink, make_reader(origin.url("main.m3u8"))):
            await sink.reached(1)
        assert "high.m3u8" not in origin.asked
    assert sink.infos[0].renditions == ((1920, 1080), (320, 240))
    assert (sink.infos[0].config.width, sink.infos[0].config.height) == (320, 240)


@pytest.mark.parametrize("whole", WAYS)
async def test_a_discontinuity_with_another_size_is_announced(whole):
    segments = ts_segments(1) + ts_segments(1, size=(320, 240))
    sink = CollectingSink(wants=whole)
    async with Origin() as origin:
        origin.segments = segments[:1]
        async with reading(origin, sink):
            await sink.reached(1)
            origin.extra[1] = "#EXT-X-DISCONTINUITY"
            origin.segments = segments
    assert [(info.config.width, info.config.height) for info in sink.infos] == [(160, 120), (320, 240)]
    picture = make_decoder(sink.keys[-1].config, max_pixels=1 << 20).key(sink.keys[-1])
    assert picture is not None
    assert picture.size == (320, 240)


@pytest.mark.parametrize("whole", WAYS)
async def test_what_did_not_change_is_not_sent_again(whole):
    segments = ts_segments(2)
    sink = CollectingSink(wants=whole)
    async with Origin(validators=True) as origin:
        origin.segments = segments[:1]
        async with reading(origin, sink):
            await sink.reached(1)
            await origin.until("live.m3u8", 3)
            origin.segments = segments
            await sink.reached(26 if whole else 2)
        assert ("live.m3u8", 304) in origin.statuses


@pytest.mark.parametrize("whole", WAYS)
@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("container", ["ts", "fmp4"])
async def test_aes_128_is_decrypted(whole, explicit, container):
    if container == "ts":
        init, segments = b"", ts_segments(3, size=(640, 360))
    else:
        init, *segments = cut_fragments(fragmented(media.encode("mpegts", frames=75, size=(640, 360))))
    vector = f",IV=0x{bytes(range(1, 17)).hex()}" if explicit else ""
    ciphers = [bytes(range(1, 17)) if explicit else number.to_bytes(16) for number in range(3)]
    sink = CollectingSink(wants=whole)
    async with Origin() as origin:
        origin.segments = [encrypt(data, KEY, iv) for data, iv in zip(segments, ciphers, strict=True)]
        origin.extra = dict.fromkeys(range(3), f'#EXT-X-KEY:METHOD=AES-128,URI="key"{vector}')
        if init:
            origin.extra[0] = '#EXT-X-MAP:URI="init.mp4"\n' + origin.extra[0]
            origin.extra[1] = origin.extra[2] = origin.extra[0]
        origin.answers |= {"key": (200, {}, KEY), "init.mp4": (200, {}, init)}
        origin.segments, later = origin.segments[:2], origin.segments
        async with reading(origin, sink):
            await sink.reached(1)
            origin.segments = later
            await sink.reached(50 if whole else 2)
        assert origin.asked.count("key") == 1
    wanted = [packets for data in segments[1:] for packets in [media.packets(init + data)]]
    assert same(sink.packets, [p for packets in wanted for p in (packets if whole else packets[:1])])


@pytest.mark.parametrize(
    ("tag", "key", "kind"),
    [
        ('METHOD=SAMPLE-AES,URI="key"', KEY, CodecUnsupported),
        ('METHOD=AES-128,URI="key",KEYFORMAT="com.example"', KEY, CodecUnsupported),
        ("METHOD=AES-128", KEY, CodecUnsupported),
        ('METHOD=AES-128,URI="key",IV=0xnothing', KEY, CodecUnsupported),
        ('METHOD=AES-128,URI="key"', KEY[:15], CodecUnsupported),
        ('METHOD=AES-128,URI="none"', KEY, Refused),
        ('METHOD=AES-128,URI="http://169.254.169.254/key"', KEY, PolicyRefused),
    ],
)  # fmt: skip
@pytest.mark.parametrize("whole", WAYS)
async def test_encryption_that_cannot_be_undone_is_said_to_be_so(tag, key, kind, whole):
    async with Origin() as origin:
        origin.segments = [encrypt(ts_segments(1)[0], KEY, bytes(16))]
        origin.extra[0] = f"#EXT-X-KEY:{tag}"
        origin.answers["key"] = (200, {}, key)
        failure = await outcome(make_reader(origin.url("live.m3u8")), CollectingSink(wants=whole))
    assert isinstance(failure, kind)
    if kind is not PolicyRefused:
        assert "encrypted" in str(failure)


@pytest.mark.parametrize("whole", WAYS)
async def test_a_wrong_key_gives_an_error_and_no_packets(whole):
    segments = [encrypt(data, KEY, bytes(16)) for data in ts_segments(4)]
    sink = CollectingSink(wants=whole)
    async with Origin() as origin:
        origin.segments, origin.window = segments[:1], 9
        origin.extra[0] = '#EXT-X-KEY:METHOD=AES-128,URI="key"'
        origin.answers["key"] = (200, {}, bytes(16))
        task = asyncio.create_task(outcome(make_reader(origin.url("live.m3u8")), sink), name="reader")
        await origin.until("seg0.bin")
        origin.segments = segments
        assert isinstance(await task, Dropped | CodecUnsupported)
    assert not sink.packets


async def test_byte_ranges_of_one_file():
    segments = ts_segments(3)
    spans = [(sum(map(len, segments[:i])), len(segments[i])) for i in range(3)]
    lines = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n" + "".join(
        f"#EXT-X-BYTERANGE:{size}@{start}\n#EXTINF:1,\nall.ts\n" for start, size in spans
    )
    for ranges in (True, False):
        for whole in WAYS:
            sink = CollectingSink(wants=whole)
            async with Origin(ranges=ranges) as origin:
                origin.answers["ranges.m3u8"] = (200, {}, lines.encode())
                origin.answers["all.ts"] = (200, {}, b"".join(segments))
                async with reading(origin, sink, make_reader(origin.url("ranges.m3u8"))):
                    await sink.reached(25 if whole else 1)
                    origin.answers["ranges.m3u8"] = (200, {}, lines.encode() + b"#EXT-X-ENDLIST\n")
            assert same(sink.packets, media.packets(segments[2])[: None if whole else 1])


async def test_a_stream_that_was_over_before_we_came_delivers_nothing():
    async with Origin() as origin:
        origin.segments, origin.ended = ts_segments(2), True
        sink = CollectingSink()
        assert await outcome(make_reader(origin.url("live.m3u8")), sink) is None
        assert not sink.packets
        assert await outcome(make_reader(origin.url("live.m3u8"), fast=True), sink) is None
        assert len(sink.packets) == 50  # asked for fast, it is a recording
        assert sink.packets[-1].arrival - sink.packets[0].arrival == pytest.approx(49 / 25)


async def test_a_recording_plays_at_its_own_pace():
    async with Origin() as origin:
        origin.segments, origin.ended = ts_segments(2), True
        body = origin.playlist().replace("#EXT-X-VERSION:6", "#EXT-X-PLAYLIST-TYPE:VOD")
        origin.answers["vod.m3u8"] = (200, {}, body.encode())
        sink = CollectingSink()
        assert await outcome(make_reader(origin.url("vod.m3u8")), sink) is None
    assert len(sink.packets) == 50
    assert (
        sink.packets[-1].arrival - sink.packets[0].arrival >= 1.5
    )  # two seconds of film, of which a busy machine may see the first late


@pytest.mark.parametrize("whole", WAYS)
async def test_a_playlist_that_does_not_grow_is_silence_not_an_end(whole):
    async with Origin() as origin:
        origin.segments = ts_segments(1)
        sink = CollectingSink(wants=whole)
        task = asyncio.create_task(make_reader(origin.url("live.m3u8")).run(sink), name="reader")
        await sink.reached(1)
        await origin.until("live.m3u8", times=6)
        assert not task.done()
        task.cancel()
        await asyncio.wait({task}, timeout=5)
        assert task.cancelled()


async def test_an_old_copy_of_a_playlist_is_passed_over_and_a_new_count_is_not():
    segments = ts_segments(4)
    sink = CollectingSink()
    async with Origin() as origin:
        origin.segments, origin.window = segments[:3], 9
        task = asyncio.create_task(outcome(make_reader(origin.url("live.m3u8")), sink), name="reader")
        await sink.reached(25)
        origin.segments = segments[:1]
        await origin.until("live.m3u8", origin.asked.count("live.m3u8") + 1)
        origin.segments = segments
        await sink.reached(50)
        origin.segments = segments[:1]
        await origin.until("live.m3u8", origin.asked.count("live.m3u8") + 1)
        origin.segments = segments[:2]
        assert isinstance(await task, Dropped)


@pytest.mark.parametrize("whole", WAYS)
@pytest.mark.parametrize("status", [404, 410])
async def test_a_playlist_that_is_gone_is_refused_with_three_target_durations_of_grace(status, whole):
    async with Origin() as origin:
        origin.segments, origin.target_s = ts_segments(1), 2
        sink = CollectingSink(wants=whole)
        task = asyncio.create_task(outcome(make_reader(origin.url("live.m3u8")), sink), name="reader")
        await sink.reached(1)
        origin.answers["live.m3u8"] = (status, {}, b"")
        failure = await task
    assert isinstance(failure, Refused)
    assert failure.grace_s == 6


@pytest.mark.parametrize("whole", WAYS)
@pytest.mark.parametrize("body", [b"", b"<html>try again</html>"])
async def test_a_playlist_that_is_none_for_once_breaks_off_and_is_tried_again_soon(body, whole):
    async with Origin() as origin:
        origin.segments = ts_segments(1)
        sink = CollectingSink(wants=whole)
        task = asyncio.create_task(outcome(make_reader(origin.url("live.m3u8")), sink), name="reader")
        await sink.reached(1)
        origin.answers["live.m3u8"] = (200, {}, body)
        failure = await task
    assert isinstance(failure, Dropped)
    assert failure.retryable


@pytest.mark.parametrize("status", [401, 403, 500, 503, 304, 206])
async def test_other_answers_never_mean_the_end(status):
    async with Origin() as origin:
        origin.answers["live.m3u8"] = (status, {}, b"")
        failure = await outcome(make_reader(origin.url("live.m3u8")))
    assert isinstance(failure, Refused) or (status == 206 and isinstance(failure, CodecUnsupported))
    assert getattr(failure, "grace_s", float("inf")) == float("inf")


@pytest.mark.parametrize("whole", WAYS)
async def test_a_lost_segment_is_passed_over_and_many_are_an_error(whole):
    segments = ts_segments(6)
    sink = CollectingSink(wants=whole)
    async with Origin() as origin:
        origin.segments = segments[:1]
        origin.window = 6
        task = asyncio.create_task(outcome(make_reader(origin.url("live.m3u8")), sink), name="reader")
        await sink.reached(1)
        origin.gone = {1, 3, 4, 5}
        for count in (2, 3):
            origin.segments = segments[:count]
            await origin.until(f"seg{count - 1}.bin")
        await sink.reached(26 if whole else 2)
        for count in (4, 5, 6):
            origin.segments = segments[:count]
            await origin.until(f"seg{count - 1}.bin")
        assert isinstance(await task, Dropped)


async def test_gaps_in_a_playlist_are_passed_over():
    segments = ts_segments(3)
    for whole in WAYS:
        sink = CollectingSink(wants=whole)
        async with Origin() as origin:
            origin.segments, origin.window, origin.extra[1] = segments[:2], 9, "#EXT-X-GAP"
            async with reading(origin, sink):
                await origin.until("live.m3u8", 2)
                origin.segments = segments
                await sink.reached(1)
            assert "seg1.bin" not in origin.asked


async def test_a_server_that_says_nothing_has_stalled_and_one_that_drips_too():
    gone = asyncio.Event()

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(b"HTTP/1.1 200 OK\r\n")
            while True:
                writer.write(b"X: y\r\n")
                await writer.drain()
                await asyncio.sleep(0.02)
        writer.transport.abort()
        gone.set()

    async with Origin() as origin:
        origin.segments, origin.silent = ts_segments(1), {"live.m3u8"}
        assert isinstance(await outcome(make_reader(origin.url("live.m3u8"), rw_timeout_s=0.1)), Stalled)
        origin.silent = {"seg0.bin"}
        assert isinstance(await outcome(make_reader(origin.url("live.m3u8"), rw_timeout_s=0.1)), Stalled)
    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        began = asyncio.get_running_loop().time()
        assert isinstance(await outcome(make_reader(f"http://127.0.0.1:{port}/a.m3u8", rw_timeout_s=0.2)), Stalled)
        assert asyncio.get_running_loop().time() - began < 1
        await asyncio.wait_for(gone.wait(), 5)


async def test_a_closed_port_is_unreachable_and_a_server_that_leaves_broke_off():
    async with Origin() as origin:
        origin.segments = ts_segments(1)
        sink = CollectingSink(wants=False)
        task = asyncio.create_task(outcome(make_reader(origin.url("live.m3u8")), sink), name="reader")
        await sink.reached(1)
        port = origin.port
        await origin.stop()
        assert isinstance(await task, Dropped)
    failure = await outcome(make_reader(f"http://127.0.0.1:{port}/live.m3u8"))
    assert isinstance(failure, Unreachable)
    assert failure.grace_s


async def test_a_playlist_without_segments_is_not_waited_for_for_ever():
    async with Origin() as origin:
        for whole in WAYS:
            made = make_reader(origin.url("live.m3u8"), open_limit_s=5)
            assert isinstance(await outcome(made, CollectingSink(wants=whole)), Stalled)


@pytest.mark.parametrize("body", [b"", b"<html>", bytes(range(256)), b"#EXTM3U\n#EXT-X-TARGETDURATION:x\n"])
async def test_what_is_no_playlist_is_unsupported(body):
    async with Origin() as origin:
        origin.answers["live.m3u8"] = (200, {}, body)
        failure = await outcome(make_reader(origin.url("live.m3u8")))
    assert isinstance(failure, CodecUnsupported)
    assert "not an HLS playlist" in str(failure)


@pytest.mark.parametrize(
    "body", [b"\x47" + bytes(5000), b"\x00\x00\x00\x08moof" + bytes(100), b"<html>nothing here</html>", b"", b"\x47"]
)
@pytest.mark.parametrize("whole", WAYS)
async def test_garbage_segments_are_an_error_of_ours(body, whole):
    async with Origin() as origin:
        origin.segments = [body]
        sink = CollectingSink(wants=whole)
        task = asyncio.create_task(outcome(make_reader(origin.url("live.m3u8")), sink), name="reader")
        await origin.until("seg0.bin")
        origin.segments = [body, body]
        origin.ended = True
        assert isinstance(await task, CodecUnsupported | Refused | Dropped)
    assert not sink.packets


async def test_sound_alone_is_no_stream_to_watch():
    with_sound = media.encode("mpegts", frames=25, audio=True)
    async with Origin() as origin:
        origin.segments = [_without_video(with_sound)]
        failure = await outcome(make_reader(origin.url("live.m3u8")))
    assert isinstance(failure, CodecUnsupported)
    assert "no video" in str(failure)


def _without_video(data: bytes) -> bytes:
    """The table of tracks calls the video something private."""
    return data.replace(b"\x1b\xe1\x00\xf0\x00", b"\x06\xe1\x00\xf0\x00")


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    ["http://127.0.0.1:{other}/seg0.bin", "file:///etc/passwd", "http://localhost:{other}/seg0.bin",
     "concat:file:///etc/passwd", "http://169.254.169.254/latest/meta-data", "data:text/plain,x", "http://[::1",
     "http://127.0.0.1:{other}\\@127.0.0.1/x", "//127.0.0.1:{other}/x"],
)  # fmt: skip
@pytest.mark.parametrize("where", ["segment", "head", "map", "key", "child", "pictures", "redirect", "later redirect"])
async def test_nothing_leads_to_an_address_that_is_not_allowed(uri, where):
    async with Origin() as origin, Origin() as other:
        other.segments = ts_segments(1)
        target = uri.format(other=other.port)
        origin.segments = ts_segments(1)
        if where in ("segment", "head"):
            origin.uris[0] = target
        elif where == "map":
            origin.extra[0] = f'#EXT-X-MAP:URI="{target}"'
        elif where == "key":
            origin.extra[0] = f'#EXT-X-KEY:METHOD=AES-128,URI="{target}"'
        elif where in ("child", "pictures"):
            child = "none.m3u8" if where == "pictures" else target
            body = f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=9x9\n{child}\n"
            body += f'#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,RESOLUTION=9x9,URI="{target}"\n'
            origin.answers["live.m3u8"] = (200, {}, body.encode())
        elif where == "redirect":
            origin.answers["live.m3u8"] = (302, {"Location": target}, b"")
        else:
            origin.answers["seg0.bin"] = (307, {"Location": target}, b"")
        sink = CollectingSink(wants=where != "head")
        failure = await outcome(make_reader(origin.url("live.m3u8")), sink)
        assert isinstance(failure, PolicyRefused | Refused | CodecUnsupported), failure
        assert not sink.packets
        assert not other.asked
        if target.startswith("http://127.0.0.1") and "\\" not in target and where != "pictures":
            assert f"'127.0.0.1:{other.port}'" in str(failure)


async def test_an_entry_opens_the_way_and_the_password_stays_at_home():
    async with Origin() as origin, Origin() as other:
        other.segments = origin.segments = ts_segments(1)
        origin.uris[0] = other.url("seg0.bin")
        sink = CollectingSink()
        url = origin.url("live.m3u8").replace("//", "//us%40er:word@")
        async with reading(origin, sink, make_reader(url, allow=(f"127.0.0.1:{other.port}",))):
            await sink.reached(25)
        assert other.asked == ["seg0.bin"]
    assert all(h["Authorization"] == f"Basic {b64encode(b'us@er:word').decode()}" for _, h in origin.requests)
    assert all("Authorization" not in headers and "Cookie" not in headers for _, headers in other.requests)
    assert all(headers["Accept-Encoding"] == "identity" for _, headers in origin.requests)


async def test_redirects_on_the_same_host_are_followed_and_loops_are_not():
    async with Origin() as origin:
        origin.segments = ts_segments(1)
        origin.answers["a.m3u8"] = (302, {"Location": "/live.m3u8"}, b"")
        origin.answers["loop.m3u8"] = (302, {"Location": "/loop.m3u8"}, b"")
        sink = CollectingSink()
        async with reading(origin, sink, make_reader(origin.url("a.m3u8"))):
            await sink.reached(25)
        assert isinstance(await outcome(make_reader(origin.url("loop.m3u8"))), Refused)
        assert origin.asked.count("loop.m3u8") == 6


async def test_no_error_tells_an_address_or_a_password():
    async with Origin() as origin:
        origin.answers["secret-key.m3u8"] = (403, {}, b"")
        for path in ("secret-key.m3u8", "none/secret-key.m3u8?secret=1"):
            url = origin.url(path).replace("//", "//me:secret@")
            failure = await outcome(make_reader(url))
            assert failure is not None
            assert "secret" not in str(failure)


# --- keeping house ---------------------------------------------------------------------------------------------------


async def cycles(count: int) -> None:
    async with Origin() as origin:
        origin.segments = ts_segments(1)
        for _ in range(count):
            sink = CollectingSink(wants=False)
            task = asyncio.create_task(make_reader(origin.url("live.m3u8")).run(sink), name="reader")
            while not sink.packets:  # noqa: ASYNC110 - a sink for threads has no event for this loop
                await asyncio.sleep(0.001)
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()
            origin.requests.clear()
            origin.asked.clear()
            origin.statuses.clear()


def resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123
        return int(statm.read().split()[1]) * 4096


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.slow)])
async def test_opening_and_closing_leaves_nothing_behind(count):
    await cycles(50)
    before, tasks = resident(), len(asyncio.all_tasks())
    await cycles(count)
    assert resident() - before < 5 << 20
    assert len(asyncio.all_tasks()) == tasks


async def test_cancelling_ends_a_request_at_once():
    async with Origin() as origin:
        origin.silent = {"live.m3u8"}
        task = asyncio.create_task(
            make_reader(origin.url("live.m3u8"), rw_timeout_s=30).run(CollectingSink()), name="r"
        )
        await origin.until("live.m3u8")
        began = asyncio.get_running_loop().time()
        task.cancel()
        await asyncio.wait({task}, timeout=10)
        assert task.cancelled()
        assert asyncio.get_running_loop().time() - began < 0.5
