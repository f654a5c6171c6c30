"""What probe finds out."""

from __future__ import annotations

from functools import partial

import pytest

from streamwatch.domain.clock import SystemClock
from streamwatch.domain.errors import CodecUnsupported, NotPublished
from streamwatch.domain.media import MediaInfo
from streamwatch.domain.streams import Reason
from streamwatch.sources.address import AddressPolicy
from streamwatch.sources.decoder import make_decoder
from streamwatch.sources.fallback.reader import PyavReader
from streamwatch.sources.probe import ProbeStats, probe
from tests.fakes.clock import FakeClock
from tests.fakes.reader import FakeReader
from tests.sources import media

DECODER = partial(make_decoder, max_pixels=1 << 20)


def test_figures_come_from_the_packets():
    stats = ProbeStats()
    packets = media.packets(media.encode("flv", frames=100))
    stats.opened(MediaInfo(packets[0].config, "rtmp", fps=30, renditions=((640, 360),)))
    for packet in packets:
        stats.put(packet)
    report = stats.report()
    assert (report.transport, report.codec, report.width, report.height) == ("rtmp", "h264", 160, 120)
    assert report.fps == pytest.approx(25)
    assert report.key_interval_s == pytest.approx(1)
    assert report.key_bytes == pytest.approx(sum(p.size for p in packets if p.key) / 4, abs=1)
    assert report.bitrate == pytest.approx(sum(p.size for p in packets) * 8 / 4, rel=0.02)
    assert report.renditions == ((640, 360),)


def test_little_or_nothing_gives_no_invented_figures():
    stats = ProbeStats()
    assert stats.report().fps is None
    packet = media.packets(media.encode("flv", frames=1))[0]
    stats.opened(MediaInfo(packet.config, "rtmp", fps=30))
    stats.put(packet)
    report = stats.report()
    assert (report.fps, report.key_interval_s, report.bitrate) == (30, None, 0)


def test_a_jump_back_in_time_begins_the_measurement_anew():
    stats = ProbeStats()
    packets = media.packets(media.encode("flv", frames=50))
    for packet in packets * 2:
        stats.put(packet)
    report = stats.report()
    assert report.packets == 50
    assert report.fps == pytest.approx(25)
    assert report.key_interval_s == pytest.approx(1)


async def test_a_file_is_probed_with_the_price_of_its_key_pictures(tmp_path):
    spec = media.spec(media.write(tmp_path, "a.ts", media.encode("mpegts")), fast=True)
    reader = PyavReader(spec, policy=AddressPolicy(spec.url), clock=SystemClock())
    found = await probe(reader, DECODER, seconds=10, clock=SystemClock())
    assert (found.transport, found.codec, found.width, found.height) == ("file", "h264", 160, 120)
    assert found.decode_key_s is not None
    assert found.decode_key_s > 0
    assert found.reason is None


@pytest.mark.parametrize(
    ("error", "reason"), [(NotPublished("nobody"), Reason.CONNECTING), (CodecUnsupported("odd"), Reason.CODEC)]
)
async def test_a_stream_that_cannot_be_read_is_reported_with_its_reason(error, reason):
    found = await probe(FakeReader([error]), DECODER, seconds=1, clock=FakeClock())
    assert found.reason is reason
    assert found.detail == str(error)


async def test_nothing_within_the_time_is_connecting():
    found = await probe(FakeReader([]), DECODER, seconds=1, clock=FakeClock())
    assert found.reason is Reason.CONNECTING
