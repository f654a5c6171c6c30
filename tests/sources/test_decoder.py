"""The real decoder: exact, bounded, and none the worse for what it saw before."""

from __future__ import annotations

import gc
import random
import weakref
from fractions import Fraction

import av
import numpy as np
import pytest

from streamwatch.domain.errors import CodecUnsupported, DecodeFailed
from streamwatch.domain.media import CodecConfig, Packet
from streamwatch.sources.annexb import is_annexb, parameter_sets
from streamwatch.sources.decoder import PyavDecoder
from tests.sources import media

LIMIT = 1 << 22
FORMS = {
    "h264 flv": ("flv", {}),
    "h264 flv with B-frames": ("flv", {"options": media.X264_B}),
    "h264 ts with B-frames": ("mpegts", {"options": media.X264_B}),
    "h264 ts open gop": ("mpegts", {"options": media.X264_OPEN}),
    "h264 flv open gop": ("flv", {"options": media.X264_OPEN}),
    "hevc flv": ("flv", {"codec": "libx265", "options": media.X265}),
    "hevc ts": ("mpegts", {"codec": "libx265", "options": media.X265}),
    "vp9": ("matroska", {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8", "g": "25"}}),
    "av1": ("matroska", {"codec": "libsvtav1", "options": {"preset": "12", "g": "25", "svtav1-params": "lp=1"}}),
    "mpeg4": ("matroska", {"codec": "mpeg4", "options": {"g": "25", "bf": "2"}}),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_lone_key_packet_decodes_to_the_very_pixels_of_the_whole_stream(form):
    container, arguments = FORMS[form]
    data = media.encode(container, frames=80, **arguments)
    whole = media.full_decode(data)
    packets = media.packets(data)
    keys = [packet for packet in packets if packet.key]
    assert len(keys) >= 3
    decoder = PyavDecoder(packets[0].config, max_pixels=LIMIT)
    for key in (*keys, *reversed(keys)):
        picture = decoder.key(key)
        assert picture is not None
        assert picture.pts == key.pts
        assert not picture.corrupt
        assert np.array_equal(picture.frame.to_ndarray(format="rgb24"), whole[_at(key)])


@pytest.mark.parametrize("form", FORMS)
def test_contiguous_decoding_gives_the_same_pixels_and_times(form):
    container, arguments = FORMS[form]
    data = media.encode(container, frames=60, **arguments)
    whole = media.full_decode(data)
    packets = media.packets(data)
    decoder = PyavDecoder(packets[0].config, max_pixels=LIMIT)
    seen = 0
    for start in range(0, len(packets), 10):
        picture = decoder.feed(packets[start : start + 10])
        if picture is not None:
            assert picture.pts is not None
            seen += 1
            assert np.array_equal(picture.frame.to_ndarray(format="rgb24"), whole[picture.pts.seconds_exact])
    assert seen >= 4


@pytest.mark.parametrize("form", FORMS)
def test_pictures_asked_for_by_time_are_those_of_a_full_decode(form):
    container, arguments = FORMS[form]
    data = media.encode(container, frames=60, **arguments)
    whole = media.full_decode(data)
    packets = media.packets(data)
    wanted = {packet.pts for packet in packets[7:50:9]}
    decoder = PyavDecoder(packets[0].config, max_pixels=LIMIT)
    found = {picture.pts: picture for picture in decoder.pictures(packets, wanted)}
    assert found.keys() == wanted
    for time, picture in found.items():
        assert np.array_equal(picture.frame.to_ndarray(format="rgb24"), whole[time.seconds_exact])


def _at(packet: Packet) -> Fraction:
    assert packet.pts is not None
    return packet.pts.seconds_exact


def test_a_key_between_contiguous_packets_disturbs_neither():
    data = media.encode("flv", frames=60, options=media.X264_B)
    whole = media.full_decode(data)
    packets = media.packets(data)
    decoder = PyavDecoder(packets[0].config, max_pixels=LIMIT)
    for start in range(0, 60, 5):
        picture = decoder.feed(packets[start : start + 5])
        lone = decoder.key(packets[0])
        assert lone is not None
        assert np.array_equal(lone.frame.to_ndarray(format="rgb24"), whole[_at(packets[0])])
        if picture is not None and picture.pts is not None:
            assert np.array_equal(picture.frame.to_ndarray(format="rgb24"), whole[picture.pts.seconds_exact])


def _in_band(config: CodecConfig, data: bytes) -> bytes:
    """A key packet of length-prefixed units with the parameter sets of `config` put before its picture."""
    extradata, out, at = config.extradata, b"", 6
    for _ in range(extradata[5] & 0x1F):
        size = int.from_bytes(extradata[at : at + 2], "big")
        out += size.to_bytes(4, "big") + extradata[at + 2 : at + 2 + size]
        at += 2 + size
    at += 1
    size = int.from_bytes(extradata[at : at + 2], "big")
    return out + size.to_bytes(4, "big") + extradata[at + 2 : at + 2 + size] + data


def test_parameter_sets_inside_one_streams_packets_do_not_spoil_another_stream():
    honest_data = media.encode("flv")
    honest = media.packets(honest_data)[0]
    other = media.packets(media.encode("flv", size=(320, 240), options=media.X264_B))[0]
    poison = Packet(honest.config, _in_band(other.config, other.data), None, None, key=True, arrival=0)
    decoder = PyavDecoder(honest.config, max_pixels=LIMIT)
    poisoned = decoder.key(poison)
    assert poisoned is not None
    assert poisoned.size == (320, 240)  # it did take effect, in its own picture
    picture = decoder.key(honest)
    assert picture is not None
    assert np.array_equal(picture.frame.to_ndarray(format="rgb24"), media.full_decode(honest_data)[_at(honest)])


def test_the_same_for_annex_b_where_the_sets_are_only_in_the_extradata():
    data = media.encode("mpegts")
    key = media.packets(data)[0]
    sets = parameter_sets("h264", key.data)
    assert sets
    assert is_annexb(key.data)
    bare = Packet(
        CodecConfig("h264", sets, 160, 120), key.data[key.data.find(b"\x00\x00\x01\x65") :], key.pts, None, key=True,
        arrival=0,
    )  # fmt: skip
    other = media.packets(media.encode("mpegts", size=(320, 240), options=media.X264_B))[0]
    decoder = PyavDecoder(bare.config, max_pixels=LIMIT)
    decoder.key(Packet(bare.config, other.data, None, None, key=True, arrival=0))
    picture = decoder.key(bare)
    assert picture is not None
    assert np.array_equal(picture.frame.to_ndarray(format="rgb24"), media.full_decode(data)[_at(key)])


def test_pictures_larger_than_allowed_are_refused_by_name_before_decoding():
    packets = media.packets(media.encode("flv", frames=2, size=(640, 480)))
    decoder = PyavDecoder(packets[0].config, max_pixels=640 * 480 - 1)
    with pytest.raises(DecodeFailed, match=r"limits\.max_pixels"):
        decoder.key(packets[0])
    with pytest.raises(DecodeFailed, match=r"limits\.max_pixels"):
        decoder.feed(packets)


def test_pictures_larger_than_announced_are_refused_too():
    big = media.packets(media.encode("mpegts", frames=2, size=(640, 480)))[0]
    lying = CodecConfig("h264", b"", 160, 120)
    decoder = PyavDecoder(lying, max_pixels=200 * 200)
    with pytest.raises(DecodeFailed):
        decoder.key(Packet(lying, big.data, None, None, key=True, arrival=0))


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "gray", "yuvj420p", "nv12"])
@pytest.mark.parametrize("size", [(160, 120), (162, 122), (64, 360)])
def test_every_pixel_format_and_size_becomes_rgb(pixels, size):
    data = media.encode("matroska", frames=1, size=size, pixels=pixels)
    packet = media.packets(data)[0]
    picture = PyavDecoder(packet.config, max_pixels=LIMIT).key(packet)
    assert picture is not None
    rgb = picture.rgb(224, 224)
    assert rgb.shape == (224, 224, 3)
    assert rgb.dtype == np.uint8
    assert rgb.flags.c_contiguous
    assert rgb.flags.owndata or rgb.base is not None
    if pixels == "gray":
        assert np.ptp(rgb.astype(int), axis=2).max() <= 2
    else:
        assert abs(float(rgb[:, :, 2].mean()) - 60) < 25  # the gradient's blue is 60 all over


def test_odd_sizes_come_out_whole():
    packet = media.packets(media.encode("matroska", frames=1, size=(161, 121), pixels="yuv444p"))[0]
    picture = PyavDecoder(packet.config, max_pixels=LIMIT).key(packet)
    assert picture is not None
    assert picture.size == (161, 121)
    assert picture.rgb(33, 17).shape == (17, 33, 3)


def test_the_full_range_of_brightness_survives():
    for pixels in ("yuv420p", "yuvj420p"):
        frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 255, np.uint8), format="rgb24")
        context = av.CodecContext.create("mjpeg" if pixels == "yuvj420p" else "libx264", "w")
        context.width = context.height = 64
        context.pix_fmt, context.framerate = pixels, Fraction(25)
        context.options = {} if pixels == "yuvj420p" else {"preset": "ultrafast"}
        made = context.encode(frame) + context.encode(None)
        config = CodecConfig("mjpeg" if pixels == "yuvj420p" else "h264", context.extradata or b"")
        packet = Packet(config, bytes(made[0]), None, None, key=True, arrival=0)
        picture = PyavDecoder(config, max_pixels=LIMIT).key(packet)
        assert picture is not None
        assert picture.rgb(8, 8).min() >= 250


def test_damage_is_seen_or_said_and_never_worse():
    rng = random.Random(7)
    packets = media.packets(media.encode("flv", frames=60, size=(320, 240)))
    decoder = PyavDecoder(packets[0].config, max_pixels=LIMIT)
    marked = failed = 0
    for _ in range(60):
        data = bytearray(packets[0].data)
        for _ in range(max(1, len(data) // 400)):
            data[rng.randrange(40, len(data))] ^= 1 << rng.randrange(8)
        try:
            picture = decoder.key(Packet(packets[0].config, bytes(data), None, None, key=True, arrival=0))
        except DecodeFailed:
            failed += 1
        else:
            marked += picture is None or picture.corrupt
    assert marked + failed > 40
    whole = decoder.key(packets[0])
    assert whole is not None
    assert not whole.corrupt


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "mpeg4", "av1"])
def test_random_bytes_never_do_worse_than_decode_failed(codec):
    rng = random.Random(3)
    decoder = PyavDecoder(CodecConfig(codec), max_pixels=LIMIT)
    for _ in range(40):
        packet = Packet(decoder._config, rng.randbytes(rng.randrange(0, 400)), None, None, key=True, arrival=0)
        try:
            decoder.key(packet)
            decoder.feed([packet])
        except DecodeFailed:
            pass


def test_one_odd_packet_says_nothing_of_the_next():
    """Sampling factors that FFmpeg calls 'not yet implemented': whoever writes them would else blind us for good."""
    good = media.packets(media.encode("avi", codec="mjpeg", frames=1, options={}, pixels="yuvj420p"))[0]
    odd = bytearray(good.data)
    odd[odd.find(b"\xff\xc0") + 11] = 0x44
    decoder = PyavDecoder(good.config, max_pixels=LIMIT)
    packet = Packet(good.config, bytes(odd), None, None, key=True, arrival=0)
    with pytest.raises(DecodeFailed, match="PatchWelcome"):
        decoder.key(packet)
    with pytest.raises(DecodeFailed, match="PatchWelcome"):
        decoder.feed([packet])
    assert decoder.key(good) is not None


@pytest.mark.parametrize("codec", ["no-such", "aac", "", "libx264", "png", "exr", "prores", "gif", "x\x1b[2J"])
def test_what_is_no_video_decoder_is_unsupported(codec):
    with pytest.raises(CodecUnsupported):
        PyavDecoder(CodecConfig(codec), max_pixels=LIMIT)


def test_a_decoder_goes_with_its_last_user_and_waits_for_no_collector():
    packets = media.packets(media.encode("flv", options=media.X264_B))
    gc.collect()
    gc.disable()
    try:
        decoder = PyavDecoder(packets[0].config, max_pixels=LIMIT)
        decoder.feed(packets[:20])
        list(decoder.pictures(packets, {packets[10].pts}))
        decoder.key(packets[0])
        gone = weakref.ref(decoder)
        del decoder
        assert gone() is None  # it holds megabytes
    finally:
        gc.enable()
