"""Which way of reading an address gets."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from streamwatch.app.workbench import Workbench
from streamwatch.link.blackbox import BlackBox
from streamwatch.sources.base import Reader
from streamwatch.sources.fallback.reader import PyavReader
from streamwatch.sources.hls.reader import HlsReader
from streamwatch.sources.rtmp.reader import RtmpReader
from tests.fakes.clock import FakeClock
from tests.sources import media


async def reader_of(url: str, *, fallback: bool) -> Reader:
    bench = Workbench(emit=lambda _: None, black_box=BlackBox.inherited(), clock=FakeClock(), rng=random.Random(1))
    return bench._reader(replace(media.spec(url), fallback=fallback))


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("rtmp://127.0.0.1/live/a", RtmpReader),
        ("rtmps://127.0.0.1/live/a", RtmpReader),
        ("http://127.0.0.1/a.m3u8", HlsReader),
        ("https://127.0.0.1/a.m3u8", HlsReader),
        ("rtsp://127.0.0.1/a", PyavReader),
        ("srt://127.0.0.1:9000", PyavReader),
        ("/media/a.ts", PyavReader),
    ],
)
async def test_each_address_is_read_its_own_way_and_by_the_fallback_where_that_is_asked_for(
    url: str, kind: type[Reader]
) -> None:
    assert type(await reader_of(url, fallback=False)) is kind
    assert type(await reader_of(url, fallback=True)) is PyavReader
