"""Sizes read from parameter sets, against what FFmpeg says."""

from __future__ import annotations

import io

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.sources import sps
from streamwatch.sources.annexb import parameter_sets, units
from tests.sources import media


def packets_of(data: bytes) -> list[bytes]:
    with av.open(io.BytesIO(data)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


SIZES = [(160, 120), (162, 90), (640, 360), (1920, 1080), (130, 98)]
H264 = {
    "baseline": media.X264,
    "high": media.X264_B,
    "interlaced": media.X264 | {"x264-params": "interlaced=1"},
    "scaling": media.X264 | {"x264-params": "cqm=jvt", "profile": "high", "8x8dct": "1"},
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", H264)
def test_h264_in_the_packets_and_beside_them(size, kind):
    if kind == "interlaced" and size[1] % 4:
        size = (size[0], size[1] + 4 - size[1] % 4)
    data = media.encode("mpegts", size=size, frames=8, options=H264[kind])
    assert sps.size("h264", parameter_sets("h264", packets_of(data)[0])) == size
    beside = media.packets(media.encode("flv", size=size, frames=8, options=H264[kind]))[0].config
    assert beside.extradata[0] == 1
    assert sps.size("h264", beside.extradata) == size


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p"])
def test_h264_with_other_chroma(pixels):
    data = media.encode("mpegts", size=(166, 94), frames=8, pixels=pixels)
    assert sps.size("h264", parameter_sets("h264", packets_of(data)[0])) == (166, 94)


@pytest.mark.parametrize("size", [(160, 120), (166, 94), (640, 360)])
def test_hevc_in_the_packets_and_beside_them(size):
    data = media.encode("mpegts", codec="libx265", size=size, frames=8, options=media.X265)
    assert sps.size("hevc", parameter_sets("hevc", packets_of(data)[0])) == size
    beside = media.packets(media.encode("mp4", codec="libx265", size=size, frames=8, options=media.X265))[0].config
    assert sps.size("hevc", beside.extradata) == size


def test_a_configuration_of_thousands_of_sets_is_not_searched():
    data = media.encode("mpegts", codec="libx265", frames=2, options=media.X265)
    sets = parameter_sets("hevc", packets_of(data)[0])
    found = next(unit for unit in units(sets) if unit[0] >> 1 == 33)
    array = b"\x21\x00\x01" + len(found).to_bytes(2) + found
    assert sps.size("hevc", bytes(22) + b"\x01" + array) != (0, 0)
    many = b"\x20" + (20_000).to_bytes(2) + b"\x00\x01\x40" * 20_000
    assert sps.size("hevc", bytes(22) + b"\x02" + many + array) == (0, 0)
    assert sps.size("hevc", b"\x00\x00\x01\x40\x01" * 10_000 + sets) == (0, 0)


@given(st.sampled_from(["h264", "hevc", "vp9"]), st.binary(max_size=200), st.booleans())
def test_any_bytes_have_a_size_or_none(codec, data, marked):
    head = b"\x00\x00\x00\x01" + (b"\x67" if codec == "h264" else b"\x42\x01") if marked else b""
    width, height = sps.size(codec, head + data)
    assert 0 <= width < 1 << 16
    assert 0 <= height < 1 << 16
