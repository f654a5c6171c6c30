"""Who plays: the streams and rules of the tortured daemon, and its configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streamwatch.domain.streams import StreamId
from tests.torture.chorus import Part

SINGERS, SOLOISTS = 40, 150
RULES = ("urgent", "high", "low")


def config(state: Path, broker: str) -> dict[str, Any]:
    """What an operator would write: real rules of every severity on streams that nobody watches here."""
    names = [f"live/{n}" for n in range(SINGERS)] + [f"solo/{n}" for n in range(SOLOISTS)]
    rule = {"detector": "test-card", "label": "test_card", "cooldown": "0s", "open": {"score": 0.5},
            "close": {"score": 0.3}}  # fmt: skip
    rules = {severity: {**rule, "name": severity, "severity": severity} for severity in RULES}
    rules["low"]["raise"] = {"to": "urgent", "score": 0.7}  # in mid-life: its later events overtake others, not its own
    return {
        "node": "torture",
        "mqtt": {"url": broker},
        "streams": [{"id": name, "url": f"rtmp://127.0.0.1/{name}"} for name in names],
        "detectors": [{"name": "test-card", "kind": "onnx", "model": "models/test-card"}],
        "rules": list(rules.values()),
        "alerts": {"flood": {"streams": 0}},  # forty streams that open one rule would be summed up
        "evasion": {"enabled": False},
        "limits": {"watchers": 1},
        "state": str(state),
        "http": {"listen": "127.0.0.1:0"},
    }


def parts(streams: Sequence[StreamId]) -> tuple[list[Part], list[Part]]:
    """Singers: every rule on the first streams, urgent on a few. Soloists: an urgent alert on each other stream."""
    live, solo = streams[:SINGERS], streams[SINGERS:]
    singers = [Part(stream, rule) for stream in live for rule in RULES if rule != "urgent" or live.index(stream) < 10]
    return singers, [Part(stream, "urgent") for stream in solo]
