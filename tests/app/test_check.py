"""What `check --connect` says of streams: in order, a few at once, priced at each stream's own promise."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamwatch.app import check, settings
from streamwatch.app.price import cost
from streamwatch.domain.errors import OutsideError
from streamwatch.domain.urls import SafeUrl
from streamwatch.link.messages import Found

STREAMS = 9


def found(**changes: Any) -> Found:
    seen = {"transport": "rtmp", "codec": "h264", "width": 640, "height": 360, "fps": 30.0, "key_interval_s": 2.0,
            "key_bytes": 9000, "bitrate": 1e6, "decode_key_s": 0.01, "renditions": (), "reason": None}  # fmt: skip
    return Found.model_validate(seen | changes)


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[settings.Settings]:
    """Nine streams, each with a promise of its own, and a broker that is not there."""
    streams = "".join(
        f"  - {{id: s{n}, url: 'rtmp://127.0.0.1/live/s{n}', sampling: {{max_gap: {n + 2}s}}}}\n"
        for n in range(STREAMS)
    )
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        path = tmp_path / "c.yaml"
        path.write_text(f"node: n\nmqtt:\n  url: mqtt://127.0.0.1:{port}\nstreams:\n{streams}", encoding="utf-8")
        yield settings.read(path)


async def test_streams_are_tried_a_few_at_once_and_told_in_their_order(
    configured: settings.Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work, most = 0, 0
    crowd = asyncio.Event()

    async def probe(url: SafeUrl, **_: Any) -> Found:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        if at_work == check.AT_ONCE:
            crowd.set()
        await asyncio.wait_for(crowd.wait(), 10)
        if url.path.endswith("s0"):  # the first is the last to answer
            for _turn in range(50):
                await asyncio.sleep(0)
        at_work -= 1
        if url.path.endswith("s3"):
            raise OutsideError("nobody there")
        return found()

    monkeypatch.setattr(check, "probe", probe)
    monkeypatch.setattr(check, "BROKER_S", 0.2)
    broker, *streams = await check.connect(configured)
    assert most == check.AT_ONCE
    assert not broker.good
    assert [one.what.split()[1] for one in streams] == [f"s{n}" for n in range(STREAMS)]
    assert [one.good for one in streams] == [n != 3 for n in range(STREAMS)]
    assert "at a gap of 2 s about 30 looks" in streams[0].said
    assert "at a gap of 7 s about 10 looks, 0.1 s of decoding a minute" in streams[5].said


@pytest.mark.parametrize(
    ("gap_s", "key_interval_s", "looks"),
    [(10, 2, 60 / 9), (10, None, 6), (2, 4, 15), (0.5, None, 120), (4, 0.1, 60 / 3.95)],
)
def test_looks_are_counted_at_the_gap_that_is_asked_for(
    gap_s: float, key_interval_s: float | None, looks: float
) -> None:
    price = cost(found(key_interval_s=key_interval_s), gap_s)
    assert price["gap_s"] == gap_s
    assert price["looks_per_min"] == pytest.approx(looks, abs=0.01)
