"""The promise behind decoding on demand: what a look sees are the very pixels of a full decode, whichever way the
packets came; and the picture that a detector gets is the one that careful scaling would give it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from dataclasses import replace
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from streamwatch.domain.clock import SystemClock
from streamwatch.domain.media import Packet
from streamwatch.sources.address import AddressPolicy
from streamwatch.sources.decoder import PyavDecoder
from streamwatch.sources.hls.reader import HlsReader
from streamwatch.sources.rtmp.reader import RtmpReader
from streamwatch.testcard.flv import FlvSplitter
from streamwatch.testcard.rtmp_server import RtmpServer
from tests.fakes.sink import CollectingSink
from tests.sources import media
from tests.sources.hls_origin import HlsOrigin

FRAMES = 80
H264_B = {"options": media.X264_B}
H264_OPEN = {"options": media.X264_OPEN}
HEVC = {"codec": "libx265", "options": media.X265}
HEVC_B = {
    "codec": "libx265",
    "options": {"preset": "medium", "x265-params": media.X265["x265-params"] + ":min-keyint=25:scenecut=0:bframes=3"},
}
MIN_DB = 41.0
"""Of a scaled picture against the exact one: what the scaler's shortcuts may cost."""


async def over_rtmp(arguments: dict) -> tuple[bytes, list[Packet]]:
    data = media.encode("flv", frames=FRAMES, **arguments)
    sink = CollectingSink()
    async with RtmpServer() as server:
        feed = server.publish("live/a")
        spec = media.spec(server.url("live/a"))
        reader = RtmpReader(spec, policy=AddressPolicy(spec.url), clock=SystemClock())
        task = asyncio.create_task(reader.run(sink), name="reader")
        while not server.players("live/a"):  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)
        for tag in FlvSplitter().feed(data):
            feed.send(tag)
        await sink.reached(FRAMES)
        feed.end()
        await task
    return data, sink.packets


async def over_hls(data: bytes, origin: HlsOrigin) -> list[Packet]:
    origin.ended = True
    sink = CollectingSink()
    spec = replace(media.spec(origin.url("live.m3u8")), fast=True)
    await HlsReader(spec, policy=AddressPolicy(spec.url), clock=SystemClock()).run(sink)
    return sink.packets


async def over_hls_in_ts(arguments: dict) -> tuple[bytes, list[Packet]]:
    data = media.encode("mpegts", frames=FRAMES, **arguments)
    async with HlsOrigin() as origin:
        origin.segments = [data]
        return data, await over_hls(data, origin)


async def over_hls_in_fmp4(arguments: dict) -> tuple[bytes, list[Packet]]:
    data = fragmented(media.encode("matroska", frames=FRAMES, **arguments))
    cut = data.index(b"moof") - 4
    async with HlsOrigin() as origin:
        origin.segments = [data[cut:]]
        origin.extra[0] = '#EXT-X-MAP:URI="init.mp4"'
        origin.answers["init.mp4"] = (200, {}, data[:cut])
        return data, await over_hls(data, origin)


def fragmented(data: bytes) -> bytes:
    """The same packets as fragmented MP4."""
    out = io.BytesIO()
    flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    with av.open(io.BytesIO(data)) as source, av.open(out, "w", format="mp4", options=flags) as made:
        track = made.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = track
                made.mux(packet)
    return out.getvalue()


Way = Callable[[dict], Awaitable[tuple[bytes, list[Packet]]]]
CASES = {
    "rtmp, h264 with B pictures": (over_rtmp, H264_B),
    "rtmp, h264 open groups": (over_rtmp, H264_OPEN),
    "rtmp, hevc": (over_rtmp, HEVC),
    "rtmp, hevc with B pictures": (over_rtmp, HEVC_B),
    "hls in ts, h264 with B pictures": (over_hls_in_ts, H264_B),
    "hls in ts, h264 open groups": (over_hls_in_ts, H264_OPEN),
    "hls in ts, hevc": (over_hls_in_ts, HEVC_B),
    "hls in fmp4, h264 with B pictures": (over_hls_in_fmp4, H264_B),
    "hls in fmp4, h264 open groups": (over_hls_in_fmp4, H264_OPEN),
    "hls in fmp4, hevc": (over_hls_in_fmp4, HEVC_B),
}


@pytest.mark.parametrize("case", CASES)
async def test_every_key_picture_alone_is_the_picture_of_a_full_decode(case: str) -> None:
    way, arguments = CASES[case]
    data, packets = await way(arguments)
    whole = from_zero(media.full_decode(data))
    keys = [packet for packet in packets if packet.key]
    zero = min(packet.pts.seconds_exact for packet in packets)
    assert len(keys) == 4
    decoder = PyavDecoder(keys[0].config, max_pixels=1 << 20)
    for key in (*keys, *reversed(keys)):
        picture = decoder.key(key)
        assert picture is not None
        assert not picture.corrupt
        assert np.array_equal(picture.frame.to_ndarray(format="rgb24"), at(whole, key.pts.seconds_exact - zero))


@pytest.mark.parametrize("case", CASES)
async def test_every_picture_of_a_look_back_is_the_picture_of_a_full_decode(case: str) -> None:
    way, arguments = CASES[case]
    data, packets = await way(arguments)
    whole = from_zero(media.full_decode(data))
    zero = min(packet.pts.seconds_exact for packet in packets)
    wanted = {packet.pts for packet in packets[3 : FRAMES - 3 : 5]}
    found = list(PyavDecoder(packets[0].config, max_pixels=1 << 20).pictures(packets, wanted))
    assert {picture.pts for picture in found} == wanted
    for picture in found:
        assert np.array_equal(picture.frame.to_ndarray(format="rgb24"), at(whole, picture.pts.seconds_exact - zero))


def from_zero(whole: dict[Fraction, NDArray[np.uint8]]) -> dict[Fraction, NDArray[np.uint8]]:
    """Times as seconds after the first picture: containers begin where they like."""
    zero = min(whole)
    return {time - zero: picture for time, picture in whole.items()}


def at(whole: dict[Fraction, NDArray[np.uint8]], time: Fraction) -> NDArray[np.uint8]:
    nearest = min(whole, key=lambda other: abs(other - time))
    assert abs(nearest - time) < Fraction(1, 2 * media.FPS)
    return whole[nearest]


@pytest.mark.parametrize("size", [(640, 360), (1280, 720), (1920, 1080)])
@pytest.mark.parametrize("side", [224, 320])
@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
def test_a_scaled_picture_is_that_of_scaling_the_whole_in_rgb(
    name: str, size: tuple[int, int], side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    natural = cv2.resize(getattr(skimage.data, name)(), size, interpolation=cv2.INTER_CUBIC)
    monkeypatch.setattr(media, "picture", lambda *_: natural)
    data = media.encode("mpegts", size=size, frames=2, options=media.X264)
    exact = next(iter(media.full_decode(data).values()))
    packets = media.packets(data)
    picture = PyavDecoder(packets[0].config, max_pixels=1 << 23).key(packets[0])
    assert picture is not None
    reference = cv2.resize(exact, (side, side), interpolation=cv2.INTER_AREA)
    assert decibels(picture.rgb(side, side), reference) >= MIN_DB


def decibels(picture: NDArray[np.uint8], reference: NDArray[np.uint8]) -> float:
    error = np.mean((picture.astype(np.float64) - reference) ** 2)
    return float(10 * np.log10(255**2 / error))


def test_the_measure_would_show_a_careless_scaler() -> None:
    exact = np.stack([media.picture(0, 1920, 1080)[:, :, channel] for channel in range(3)], axis=2)
    noisy = exact ^ (np.indices(exact.shape[:2]).sum(0) % 2 * 64).astype(np.uint8)[:, :, None]
    careless = cv2.resize(noisy, (224, 224), interpolation=cv2.INTER_NEAREST)
    assert decibels(careless, cv2.resize(noisy, (224, 224), interpolation=cv2.INTER_AREA)) < MIN_DB
