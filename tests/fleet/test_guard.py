"""What a beat tells of a watcher that runs and does not work."""

from __future__ import annotations

import pytest

from streamwatch.fleet.base import FleetLimits
from streamwatch.fleet.guard import Guard
from streamwatch.link.messages import Beat


def beat(**said: float) -> Beat:
    return Beat.model_validate({
        "busy_s": 0, "rss_bytes": 1, "cpu": {}, "looks_dropped": 0, "packets_dropped": 0, "received": {}, **said,
    })  # fmt: skip


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({}, None),
        ({"busy_s": 5}, None),  # a large model, a long stretch
        ({"busy_s": 11}, "hung"),
        ({"decoding_s": 1.5}, None),
        ({"decoding_s": 2.5}, "hung"),
        ({"stuck_readers": 8}, "hung"),
        ({"rss_bytes": 2**30 + 1}, "memory"),
    ],
)
def test_what_is_judged_by_the_newest_beat(said: dict[str, float], reason: str | None):
    judged = Guard(FleetLimits(), 0.0).judge(
        0.5, handling=False, told=False, heard=True, beat=beat(**said), stalled_s=0.0
    )
    assert judged == reason
