"""Nothing is decoded while a stream is opened: what a picture would cost is judged first."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import av
import pytest

from streamwatch.sources.fallback import inputs
from streamwatch.sources.fallback.packets import config_of, video_stream
from tests.sources import media

REPOSITORY = Path(__file__).parents[3]
FORMS = {
    "h264 flv with sound": ("flv", {"audio": True}),
    "h264 ts with sound": ("mpegts", {"audio": True}),
    "h264 ts with B-frames": ("mpegts", {"options": media.X264_B}),
    "h264 mp4": ("mp4", {}),
    "hevc ts": ("mpegts", {"codec": "libx265", "options": media.X265}),
    "hevc flv": ("flv", {"codec": "libx265", "options": media.X265}),
    "vp8": ("matroska", {"codec": "libvpx", "options": {"deadline": "realtime", "cpu-used": "8"}}),
    "vp9": ("matroska", {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}}),
    "av1": ("matroska", {"codec": "libsvtav1", "options": {"preset": "12", "svtav1-params": "lp=1"}}),
    "mpeg4 ts": ("mpegts", {"codec": "mpeg4", "options": {}}),
    "mpeg2 ts": ("mpegts", {"codec": "mpeg2video", "options": {}}),
    "mjpeg": ("avi", {"codec": "mjpeg", "options": {}, "pixels": "yuvj420p"}),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_format_is_known_and_no_decoder_ran(form):
    container_name, arguments = FORMS[form]
    data = media.encode(container_name, frames=30, **arguments)
    ways = [inputs.file()]
    if container_name in ("flv", "mpegts", "mp4"):
        ways.append(inputs.segments(container_name))
    if container_name == "flv":
        ways += [inputs.Opening(a.format, a.options) for a in inputs.network("rtmp", rw_timeout_s=1).attempts]
    for way in ways:
        with av.open(io.BytesIO(data), format=way.format, options=_offline(way.options)) as container:
            video = video_stream(container)
            if video is None:
                assert "1" in way.options["analyzeduration"]  # the quick attempt met the sound first
                continue
            config = config_of(video)
            assert (config.width, config.height) == (160, 120)
            assert video.codec_context.pix_fmt is None  # only a decoder knows it
            assert sum(1 for packet in container.demux(video) if packet.size) == 30


def _offline(options: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in options.items() if name not in ("rw_timeout", "rtmp_live")}


BOMB = """
import asyncio, io, struct, sys, zlib
from fractions import Fraction
import av
from streamwatch.domain.clock import SystemClock
from streamwatch.domain.errors import StreamError
from streamwatch.sources.address import AddressPolicy
from streamwatch.sources.fallback.reader import PyavReader
from tests.fakes.sink import CollectingSink
from tests.sources import media

def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

def png(width, height):
    packer = zlib.compressobj(9)
    rows = [packer.compress(bytes(1 + 8 * width)) for _ in range(height)] + [packer.flush()]
    head = struct.pack(">IIBBBBB", width, height, 16, 6, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", b"".join(rows)), chunk(b"IEND", b""))
    return bytes.fromhex("89504e470d0a1a0a") + b"".join(parts)

def mib():
    status = open("/proc/self/status").read()
    return int(status.partition("VmHWM:")[2].split()[0]) >> 10

bomb = png(8000, 6000)  # 366 MiB as a picture
with av.open(PATH, "w", format="mp4", options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}) as made:
    video = made.add_stream("png", rate=1)
    video.width, video.height, video.pix_fmt = 64, 64, "rgb24"
    for index in range(3):
        packet = av.Packet(bomb)
        packet.pts = packet.dts = index
        packet.time_base, packet.stream, packet.is_keyframe = Fraction(1), video, True
        made.mux(packet)
before = mib()
spec = media.spec(PATH, fast=True)
try:
    asyncio.run(PyavReader(spec, policy=AddressPolicy(spec.url), clock=SystemClock()).run(CollectingSink()))
except StreamError as error:
    print(type(error).__name__)
print(mib() - before)
"""


def test_a_huge_picture_behind_a_small_header_costs_no_memory(tmp_path: Path):
    script = f"PATH = {str(tmp_path / 'bomb.mp4')!r}\n" + textwrap.dedent(BOMB)
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)},
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    failure, grown = done.stdout.split()
    assert failure == "CodecUnsupported"
    assert int(grown) < 100
