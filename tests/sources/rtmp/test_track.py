from __future__ import annotations

import itertools
from fractions import Fraction

import pytest

from streamwatch.domain.errors import CodecUnsupported
from streamwatch.domain.media import Packet
from streamwatch.sources import sps
from streamwatch.sources.rtmp.track import Track
from streamwatch.sources.rtmp.video import What, read
from streamwatch.wire import amf0
from streamwatch.wire.rtmp import DATA, DATA_AMF3, VIDEO, Message
from tests.sources import media
from tests.sources.rtmp.bytes import AVCC, HVCC, SEQUENCE, between, key, metadata


def take(track: Track, *bodies: bytes, at: int = 0, step: int = 40) -> list[Packet]:
    taken = [track.take(Message(VIDEO, body, (at + i * step) % (1 << 32)), 5.0) for i, body in enumerate(bodies)]
    return [packet for packet in taken if packet is not None]


def test_a_header_opens_and_pictures_follow_from_the_first_key_on() -> None:
    track = Track()
    packets = take(track, between(), SEQUENCE, between(), key(50), between(20))
    assert track.news is not None
    config = track.news.config
    assert (config.codec, config.extradata, config.width, config.height) == ("h264", AVCC, 640, 360)
    assert [(p.key, p.data) for p in packets] == [(True, key(50)[5:]), (False, between(20)[5:])]
    assert packets[0].dts is not None
    assert packets[0].pts is not None
    assert packets[0].dts.seconds_exact == Fraction(120, 1000)
    assert packets[0].pts.seconds_exact == Fraction(160, 1000)
    assert packets[1].pts == packets[1].dts
    assert {p.arrival for p in packets} == {5.0}


def test_a_header_that_is_too_long_is_not_passed_over_in_silence() -> None:
    track = Track()
    take(track, SEQUENCE, key())
    with pytest.raises(CodecUnsupported):
        take(track, SEQUENCE + bytes(70_000))


def test_composition_times_may_be_negative() -> None:
    body = b"\x27\x01\xff\xff\xd8" + bytes(9)
    packets = take(Track(), SEQUENCE, key(), body)
    assert packets[1].pts is not None
    assert packets[1].pts.seconds_exact == Fraction(40, 1000)


def test_time_goes_on_beyond_32_bits_and_back_to_zero_with_a_new_publisher() -> None:
    track = Track()
    take(track, SEQUENCE)
    stamps = [0xFFFFFFD8, 0, 40, 0xFFFFFFF0, 0]
    times = [p.dts.ticks for s in stamps if (p := track.take(Message(VIDEO, key(), s), 0.0)) and p.dts]
    assert [b - a for a, b in itertools.pairwise(times)] == [40, 40, -56, 16]


def test_a_changed_header_is_news_and_waits_for_its_own_key() -> None:
    track = Track()
    take(track, SEQUENCE, key())
    track.news = None
    assert take(track, SEQUENCE, between())
    assert track.news is None
    other = SEQUENCE[:-1] + b"\x01"
    assert take(track, other, between()) == []
    assert track.news is not None
    assert take(track, key())[0].config.extradata == other[5:]


def test_metadata_tells_the_rate_and_where_nothing_better_is_known_the_size() -> None:
    track = Track()
    assert track.take(Message(DATA, metadata()), 0.0) is None
    take(track, b"\x90hvc1" + HVCC)
    assert track.news is not None
    assert track.news.fps == 30.0
    assert (track.news.config.codec, track.news.config.width, track.news.config.extradata) == ("hevc", 640, HVCC)


@pytest.mark.parametrize(
    "said",
    [
        {"width": 1e300, "height": float("nan"), "framerate": float("inf")},
        {"width": "640", "height": None, "framerate": -5.0},
        {"width": 8.0, "height": 70000.0, "framerate": 1000.0},
        {},
    ],
)
def test_metadata_that_cannot_be_true_is_not_believed(said: amf0.Value) -> None:
    track = Track()
    track.take(Message(DATA, amf0.encode("@setDataFrame", "onMetaData", said)), 0.0)
    track.take(Message(DATA_AMF3, b"\x00" + amf0.encode("onMetaData", said)), 0.0)
    track.take(Message(DATA, b"\x07\x07"), 0.0)
    take(track, b"\x90hvc1" + HVCC)
    assert track.news is not None
    assert (track.news.fps, track.news.config.width, track.news.config.height) == (None, 0, 0)


@pytest.mark.parametrize("body", [b"\x14\x01\x00", b"\x1f\x00\x00", b"\x90zzzz\x00", b"\x90vvc1" + bytes(9)])
def test_codecs_that_are_not_decoded_are_named(body: bytes) -> None:
    with pytest.raises(CodecUnsupported):
        take(Track(), body)


@pytest.mark.parametrize(
    ("body", "what", "codec", "is_key", "composition", "data"),
    [
        (b"\x17\x01\x00\x00\x28abc", What.PICTURE, "h264", True, 40, b"abc"),
        (b"\x17\x02\x00\x00\x00", What.END, "h264", True, 0, b""),
        (b"\x1c\x00\x00\x00\x00abc", What.HEADER, "hevc", True, 0, b"abc"),
        (b"\x12abc", What.PICTURE, "flv1", True, 0, b"abc"),
        (b"\x90hvc1abc", What.HEADER, "hevc", True, 0, b"abc"),
        (b"\x91hvc1\x00\x00\x28abc", What.PICTURE, "hevc", True, 40, b"abc"),
        (b"\xa3hvc1abc", What.PICTURE, "hevc", False, 0, b"abc"),
        (b"\x91avc1\x00\x00\x28abc", What.PICTURE, "h264", True, 40, b"abc"),
        (b"\x91av01abc", What.PICTURE, "av1", True, 0, b"abc"),
        (b"\x91vp09abc", What.PICTURE, "vp9", True, 0, b"abc"),
        (b"\x92hvc1", What.END, "hevc", True, 0, b""),
        (b"\x97\x02nnn\x01hvc1\x00\x00\x01abc", What.PICTURE, "hevc", True, 1, b"abc"),
        (b"\x97\xff\x01\x00" + bytes(257) + b"\x03hvc1abc", What.PICTURE, "hevc", True, 0, b"abc"),
        (b"\x96\x01hvc1\x00\x00\x00\x28abc", What.PICTURE, "hevc", True, 40, b"abc"),
        (b"\x96\x13hvc1\x01\x00\x00\x02xx\x00\x00\x00\x03abc", What.PICTURE, "hevc", True, 0, b"abc"),
        (b"\x96\x23av01\x01\x00\x00\x02xxhvc1\x00\x00\x00\x03abc", What.PICTURE, "hevc", True, 0, b"abc"),
    ],
)
def test_video_messages_of_every_form(
    *, body: bytes, what: What, codec: str, is_key: bool, composition: int, data: bytes
) -> None:
    assert read(body) == (what, codec, is_key, composition, data)


@pytest.mark.parametrize(
    "body",
    [b"", b"\x17", b"\x17\x01\x00", b"\x57\x01\x00\x00\x00a", b"\x94hvc1meta", b"\xd3hvc1a", b"\x97\x40a", b"\x96",
     b"\x96\x13hvc1\x01\x00\x00\x02xx", b"\x96\x13hvc1\x00\x00\x00\xffab", b"\x17\x03\x00\x00\x00a"],
)  # fmt: skip
def test_what_brings_no_picture_is_nothing(body: bytes) -> None:
    assert read(body) is None


@pytest.mark.parametrize(
    ("size", "pixels", "options"),
    [
        ((1920, 1080), "yuv420p", media.X264),
        ((854, 478), "yuv422p", media.X264),
        ((642, 362), "yuv444p", media.X264),
        ((640, 360), "yuv420p", media.X264_B),
        ((640, 480), "yuv420p", media.X264 | {"x264-params": "interlaced=1"}),
        ((320, 240), "yuv420p", media.X264 | {"preset": "medium", "x264-params": "cqm=jvt"}),
    ],
)
def test_the_size_stands_in_the_header(size: tuple[int, int], pixels: str, options: dict[str, str]) -> None:
    made = media.packets(media.encode("flv", size=size, frames=2, pixels=pixels, options=options))
    assert sps.size("h264", made[0].config.extradata) == size


@pytest.mark.parametrize("length", range(len(AVCC)))
def test_a_header_cut_short_has_no_size_or_the_right_one(length: int) -> None:
    assert sps.size("h264", AVCC[:length]) in ((0, 0), (640, 360))
