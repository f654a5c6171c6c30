"""One message of every type, small and as large as its type allows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

from streamwatch.domain.decisions import Kind, Level, Severity
from streamwatch.domain.streams import Audience, Reason
from streamwatch.link.messages import (
    Assign,
    Beat,
    Configure,
    Demand,
    Failed,
    Found,
    FromWatcher,
    HitSeen,
    Inspect,
    Layer,
    LoadedDetector,
    Message,
    Ready,
    Release,
    Restand,
    RuleLevel,
    RuleSettings,
    Sampled,
    ScoreLine,
    StandingState,
    Stop,
    StreamLevel,
    ToWatcher,
)

AT = datetime(2026, 11, 21, 10, 0, 0, 123_456, tzinfo=UTC)
LONG = 0.1234
FAR = -999_999_999.999
"""Numbers whose text is as long as it gets: more digits are rounded away."""


def members(union: Any) -> tuple[type[Message], ...]:
    """The message types of `ToWatcher` or `FromWatcher`."""
    return get_args(get_args(union)[0])


UP = members(FromWatcher)
DOWN = members(ToWatcher)


def hit(arrival: float = 1000.0) -> HitSeen:
    return HitSeen(at=AT, arrival=arrival, media_s=2.0, score=0.9)


def stream_level(stream: str = "lobby", **changes: Any) -> StreamLevel:
    fields: dict[str, Any] = {"epoch": 1, "session": "s1", "live": True, "ended": False, "reason": None, **changes}
    return StreamLevel(stream=stream, **fields)


def rule_level(
    level: Level = Level.CALM, *, stream: str = "lobby", rule: str = "test-card", **changes: Any
) -> RuleLevel:
    fields: dict[str, Any] = {"epoch": 1, "session": "s1", "suspicion": 0.0, "score": 0.1, **changes}
    return RuleLevel(stream=stream, rule=rule, level=level, **fields)


def sampled(stream: str = "lobby", **changes: Any) -> Sampled:
    fields: dict[str, Any] = {
        "epoch": 1,
        "session": "s1",
        "at": AT,
        "arrival": 1000.0,
        "media_s": 2.0,
        "gap_s": 1.0,
        "key": True,
        "corrupt": False,
        "decode_s": 0.01,
        "scores": (ScoreLine(detector="test-card", values=(("test_card", 0.1),), infer_s=0.002),),
        **changes,
    }
    return Sampled(stream=stream, **fields)


def assign(stream: str = "lobby", **changes: Any) -> Assign:
    fields: dict[str, Any] = {
        "epoch": 1,
        "name": stream,
        "url": "rtmp://127.0.0.1/live/lobby",
        "origin": "static",
        "weight": 1.0,
        "max_gap_s": 10.0,
        "min_gap_s": 0.5,
        "lookback_s": 4.0,
        "novelty": True,
        "jitter": 0.1,
        "inner": 0.05,
        "fallback": False,
        "end_after_s": 300.0,
        "tests": True,
        "audience": Audience.BROADCAST,
        "fast": False,
        "standing": (),
        **changes,
    }
    return Assign(stream=stream, **fields)


def beat(**changes: Any) -> Beat:
    fields: dict[str, Any] = {
        "busy_s": 0.0,
        "rss_bytes": 1,
        "cpu": {"decode": 0.0},
        "looks_dropped": 0,
        "packets_dropped": 0,
        "received": {"rtmp": 1},
        **changes,
    }
    return Beat(**fields)


RULE = RuleSettings(
    name="test-card",
    detector="test-card",
    label="test_card",
    severity=Severity.TEST,
    kind=Kind.TEST,
    open_score=0.8,
    open_hits=2,
    open_within_s=10,
    open_spacing_s=0.4,
    close_score=0.5,
    close_for_s=30,
    cooldown_s=60,
)
CONFIGURE = Configure(detectors=(), rules=(RULE,), max_pixels=10_000_000, allow_hosts=(), decode_workers=1)

SMALL: tuple[Message, ...] = (
    CONFIGURE,
    assign(),
    Restand(stream="lobby", standing=(StandingState(rule="test-card", open=True),)),
    Release(stream="lobby"),
    Demand(stream="lobby", suspicion=1.0),
    Inspect(url="rtmp://127.0.0.1/live/lobby", seconds=5),
    Stop(),
    Ready(pid=1, sandbox=(Layer(name="landlock", in_force=True),), detectors=()),
    Failed(what="detectors", detail="hash"),
    beat(),
    stream_level(),
    sampled(),
    rule_level(),
    Found(
        transport="rtmp",
        codec="h264",
        width=640,
        height=360,
        fps=25.0,
        key_interval_s=2.0,
        key_bytes=20_000,
        bitrate=800_000.0,
        decode_key_s=0.003,
        renditions=((640, 360),),
        reason=None,
    ),
)

NAME = "\x00" * 128
"""A name of the largest size on the wire: six bytes a character."""
TEXT = "\x00" * 300
STREAM = "\N{GRINNING FACE}" * 128
"""A stream's name as the fleet lets it through: at most 512 bytes."""

LARGEST: tuple[Message, ...] = (
    Ready(
        pid=2**63 - 1,
        sandbox=tuple(Layer(name="n" * 128, in_force=False, detail="d" * 300) for _ in range(32)),
        detectors=tuple(
            LoadedDetector(name="n" * 128, version="v" * 300, sha256="f" * 64, labels=("l" * 20,) * 100)
            for _ in range(64)
        ),
    ),
    Failed(what="detectors", detail=TEXT),
    beat(
        busy_s=LONG,
        rss_bytes=2**63 - 1,
        cpu=dict.fromkeys(("receive", "decode", "scale", "infer"), LONG),
        looks_dropped=2**63 - 1,
        packets_dropped=2**63 - 1,
        received=dict.fromkeys(("rtmp", "hls", "rtsp", "srt", "file"), 2**63 - 1),
    ),
    stream_level(
        STREAM,
        session="z" * 16,
        detail=TEXT,
        codec="\x00" * 40,
        width=2**63 - 1,
        height=2**63 - 1,
        gap_aim_s=LONG,
        reason=Reason.QUARANTINED,
    ),
    sampled(
        STREAM,
        session="z" * 16,
        scores=(ScoreLine(detector=NAME, values=((NAME, LONG),) * 100, infer_s=LONG),) * 64,
    ),
    rule_level(
        Level.ALARM,
        stream=STREAM,
        rule=NAME,
        session="z" * 16,
        hits=(HitSeen(at=AT, arrival=FAR, media_s=FAR, score=LONG),) * 100,
        first_seen=hit(),
        last_seen=hit(),
    ),
    Found(
        transport=NAME,
        codec="\x00" * 40,
        width=2**63 - 1,
        height=2**63 - 1,
        fps=LONG,
        key_interval_s=LONG,
        key_bytes=2**63 - 1,
        bitrate=LONG,
        decode_key_s=LONG,
        renditions=((2**63 - 1, 2**63 - 1),) * 100,
        reason=Reason.QUARANTINED,
        detail=TEXT,
    ),
)
