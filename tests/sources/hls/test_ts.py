"""MPEG-TS as muxers other than FFmpeg's write it; what FFmpeg's writes, the reader's own tests compare."""

from __future__ import annotations

import io
import itertools
from fractions import Fraction

import av
import numpy as np
import pytest

from streamwatch.sources.hls.demux import Demuxer
from streamwatch.sources.hls.ts import PACKET, TsClock, TsDemuxer
from streamwatch.sources.hls.units import NotMedia, NoVideo, Unit, is_key
from tests.sources import media

PMT_PID, VIDEO_PID = 0x1000, 0x100
AUD = b"\x00\x00\x00\x01\x09\xf0"
SETS = b"\x00\x00\x00\x01\x67\x42\xc0\x0b\xda\x0b\x13\x94\x04\x04\x0f\x08\x84\x6a\x00\x00\x00\x01\x68\xce\x0f\xc8"
KEY = AUD + SETS + b"\x00\x00\x00\x01\x65\x88\x84" + b"k" * 300
OTHER = AUD + b"\x00\x00\x00\x01\x41\x9a\x24" + b"o" * 300


def ts(pid: int, payload: bytes, *, starts: bool = True) -> bytes:
    """As many packets as the payload takes, the last one stuffed."""
    made = b""
    while True:
        piece, payload = payload[:184], payload[184:]
        head = bytes([0x47, (0x40 if starts else 0) | pid >> 8, pid & 0xFF])
        starts = False
        if len(piece) == 184:
            made += head + b"\x10" + piece
        else:
            space = 183 - len(piece)
            field = bytes([space]) + (b"\x00" + b"\xff" * (space - 1) if space else b"")
            made += head + b"\x30" + field + piece
        if not payload:
            return made


def section(table: int, body: bytes, *, filler: int = 0) -> bytes:
    body = b"\x00\x01\xc1\x00\x00" + body + b"\xff" * filler + b"crc!"
    return b"\x00" + bytes([table, 0xB0 | len(body) >> 8, len(body) & 0xFF]) + body


def tables(*tracks: tuple[int, int], before: bytes = b"") -> bytes:
    """PAT and PMT of tracks (stream type, PID); `before`: descriptors of the program."""
    pat = section(0, b"\x00\x01" + (0xE000 | PMT_PID).to_bytes(2))
    listed = b"".join(bytes([kind]) + (0xE000 | pid).to_bytes(2) + b"\xf0\x00" for kind, pid in tracks)
    pmt = section(2, (0xE000 | VIDEO_PID).to_bytes(2) + (0xF000 | len(before)).to_bytes(2) + before + listed)
    return ts(0, pat) + ts(PMT_PID, pmt)


def stamp(mark: int, ticks: int) -> bytes:
    return bytes([mark << 4 | ticks >> 29 & 14 | 1, ticks >> 22 & 255, ticks >> 14 & 254 | 1, ticks >> 7 & 255,
                  ticks << 1 & 254 | 1])  # fmt: skip


def pes(data: bytes, pts: int, dts: int | None = None) -> bytes:
    times = stamp(2, pts) if dts is None else stamp(3, pts) + stamp(1, dts)
    flags = 0x80 if dts is None else 0xC0
    return ts(VIDEO_PID, b"\x00\x00\x01\xe0\x00\x00\x80" + bytes([flags, len(times)]) + times + data)


VIDEO = tables((0x1B, VIDEO_PID))


def demux(data: bytes, clock: TsClock | None = None) -> list[Unit]:
    demuxer = TsDemuxer(clock or TsClock())
    return demuxer.feed(data) + demuxer.finish()


def test_a_segment_of_more_pictures_than_anybody_could_mean_is_given_up():
    data = VIDEO + pes(KEY, 0) + pes(AUD + b"\x00\x00\x00\x01\x41\x9a\x24", 9) * 25_000
    given: list[Unit] = []
    with pytest.raises(NotMedia):
        given.extend(itertools.chain.from_iterable(Demuxer().units(data, None)))
    assert 20_000 < len(given) < 25_000


def test_times_and_keys_of_plain_pictures():
    units = demux(VIDEO + pes(KEY, 7200, 3600) + pes(OTHER, 10800))
    assert [(unit.data, unit.pts.ticks, unit.dts.ticks, unit.key) for unit in units] == [
        (KEY, 7200, 3600, True),
        (OTHER, 10800, 10800, False),
    ]
    assert units[0].config.codec == "h264"


def test_several_pictures_in_one_packet_of_the_stream_are_cut_apart():
    units = demux(VIDEO + pes(KEY + OTHER + OTHER, 3600) + pes(OTHER, 14400))
    assert [unit.data for unit in units] == [KEY, OTHER, OTHER, OTHER]
    assert [unit.pts and unit.pts.ticks for unit in units] == [3600, None, None, 14400]


def test_one_picture_in_several_packets_of_the_stream_is_put_together():
    units = demux(VIDEO + pes(KEY[:200], 3600) + pes(KEY[200:], 3600) + pes(OTHER, 7200))
    assert [unit.data for unit in units] == [KEY, OTHER]


def test_without_delimiters_each_packet_of_the_stream_is_a_picture():
    key, other = KEY[len(AUD) :], OTHER[len(AUD) :]
    assert [unit.data for unit in demux(VIDEO + pes(key, 0) + pes(other, 3600))] == [key, other]


def test_pictures_before_the_first_key_are_left_out_while_no_format_is_known():
    assert [unit.key for unit in demux(VIDEO + pes(OTHER, 0) + pes(KEY, 3600) + pes(OTHER, 7200))] == [True, False]


def test_a_table_that_spans_packets_and_a_track_behind_others():
    data = tables((0x0F, 0x101), (0x15, 0x102), (0x1B, VIDEO_PID), before=b"\x25" * 300)
    assert len(data) > 2 * PACKET
    assert [unit.data for unit in demux(data + pes(KEY, 0))] == [KEY]


def test_tables_may_be_known_from_before():
    first = TsDemuxer(TsClock())
    first.feed(VIDEO + pes(KEY, 0))
    first.finish()
    second = TsDemuxer(TsClock(), first)
    assert [unit.data for unit in second.feed(pes(OTHER, 3600)) + second.finish()] == [OTHER]


@pytest.mark.parametrize("step", [1, 100, 188, 189, 1000])
def test_bytes_may_come_in_any_portions(step):
    data = VIDEO + pes(KEY, 0) + pes(OTHER, 3600) + pes(KEY, 7200)
    demuxer = TsDemuxer(TsClock())
    units = [unit for at in range(0, len(data), step) for unit in demuxer.feed(data[at : at + step])]
    assert [unit.data for unit in units + demuxer.finish()] == [KEY, OTHER, KEY]


def test_reading_stops_behind_the_first_key_picture_where_that_is_asked_for():
    head = VIDEO + pes(KEY, 0)
    demuxer = TsDemuxer(TsClock())
    units = demuxer.feed(head + pes(OTHER, 3600) + pes(KEY, 7200), until_key=True)
    assert [unit.data for unit in units] == [KEY]
    assert demuxer.complete_at == len(head) + PACKET


def test_the_counter_of_times_wraps():
    clock = TsClock()
    last = (1 << 33) - 3600
    first = demux(VIDEO + pes(KEY, last), clock)
    second = demux(VIDEO + pes(KEY, 0), clock)
    assert second[0].pts.ticks - first[0].pts.ticks == 3600
    third = demux(VIDEO + pes(KEY, last), clock)  # and an old copy is where it was
    assert third[0].pts == first[0].pts


def test_bytes_between_packets_are_passed_over_and_too_many_are_no_mpeg_ts():
    assert [unit.data for unit in demux(VIDEO + b"junk" * 20 + pes(KEY, 0) + pes(OTHER, 1))] == [KEY, OTHER]
    with pytest.raises(NotMedia):
        demux(VIDEO + b"junk" * 9000)
    with pytest.raises(NotMedia):
        demux(pes(KEY, 0))


@pytest.mark.parametrize(("tracks", "words"), [([(0x0F, 0x101)], "no video"), ([(0xDB, 0x101)], "encrypted")])
def test_what_has_no_video_says_so(tracks, words):
    with pytest.raises(NoVideo, match=words):
        demux(tables(*tracks) + pes(KEY, 0))


def test_a_change_of_format_inside_a_segment_is_followed():
    data = media.encode("mpegts", frames=10) + media.encode("mpegts", frames=10, size=(320, 240))
    units = demux(data)
    assert [size for size, _ in itertools.groupby(unit.config.width for unit in units)] == [160, 320]


@pytest.mark.parametrize("refs", [1, 3])
def test_intra_pictures_that_nothing_marks_are_keys_where_ffmpeg_calls_them_so(refs):
    rng = np.random.default_rng(1)
    cuts = [rng.integers(0, 255, (120, 160, 3), dtype=np.uint8) for _ in range(4)]
    out = io.BytesIO()
    with av.open(out, "w", format="mpegts") as made:
        params = f"keyint=100:min-keyint=50:scenecut=40:rc-lookahead=10:ref={refs}"
        video = made.add_stream("libx264", rate=25, options={"bf": "0", "threads": "1", "x264-params": params})
        video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
        for index in range(60):
            frame = av.VideoFrame.from_ndarray(cuts[index // 20], format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            made.mux(video.encode(frame))
        made.mux(video.encode(None))
    wanted = [packet.key for packet in media.packets(out.getvalue())]
    assert sum(wanted) == (3 if refs == 1 else 1)
    assert [unit.key for unit in demux(out.getvalue())] == wanted


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (AUD + b"\x00\x00\x01\x06\x06\x01\xc4\x80\x00\x00\x01\x41\x9a\x24", True),  # a recovery point
        (AUD + b"\x00\x00\x01\x06\x05\x01\xc4\x80\x00\x00\x01\x41\x9a\x24", False),  # some other message
        (AUD + b"\x00\x00\x01\x06\x05\x02\xc4\x80\x06\x01\xc4\x80\x00\x00\x01\x41\x9a\x24", True),  # the second one
        (AUD + SETS + b"\x00\x00\x01\x41\x9a\x24", False),
        (b"", False),
        (AUD, False),
    ],
)
def test_what_counts_as_a_key_picture_in_h264(data, key):
    assert is_key("h264", data) is key
