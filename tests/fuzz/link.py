"""What a watcher that was taken over may write to the daemon, and what a broken daemon may write to a watcher."""

from __future__ import annotations

import contextlib
import json
import os
import struct

import structlog
from pydantic import TypeAdapter

from streamwatch.domain.errors import LinkViolation
from streamwatch.fleet import plausible
from streamwatch.fleet.output import MAX_LINE, Lines, entry
from streamwatch.link import blackbox
from streamwatch.link.frames import HEADER, FrameParser, decode, encode
from streamwatch.link.messages import FROM_WATCHER, MAX_FRAME, MAX_REPORT, TO_WATCHER, RuleLevel, Sampled, StreamLevel
from streamwatch.sandbox.grant import Grant
from tests.fuzz.engine import Target

_LIMIT = 4000
_LOG = structlog.wrap_logger(
    structlog.ReturnLogger(), [structlog.processors.JSONRenderer()], structlog.make_filtering_bound_logger(0)
)
"""Takes words as the daemon's does."""
_BEAT = {
    "type": "beat", "busy_s": 0, "rss_bytes": 9, "cpu": {"decode": 1.5}, "looks_dropped": 0, "packets_dropped": 0,
    "received": {"rtmp": 12},
}  # fmt: skip
_OF = {"epoch": 1, "stream": "a", "session": "s"}
_HIT = {"at": "2026-01-01T00:00:00Z", "arrival": 9.5, "media_s": 3, "score": 0.9}
_SAMPLED = _OF | {
    "type": "sampled", "at": "2026-01-01T00:00:00Z", "arrival": 9.5, "media_s": 3, "gap_s": None, "key": True,
    "corrupt": False, "decode_s": 0.1,
    "scores": [{"detector": "d", "values": [["x", 0.5], ["y", 1]], "infer_s": 0.1}],
}  # fmt: skip
_RULE_LEVEL = _OF | {
    "type": "rule", "rule": "r", "level": "alarm", "suspicion": 1, "score": 0.9, "hits": [_HIT], "first_seen": _HIT,
    "last_seen": None,
}  # fmt: skip
_FOUND = {
    "type": "found", "transport": "rtmp", "codec": "h264", "width": 64, "height": 64, "fps": 25, "key_interval_s": 2,
    "key_bytes": 9, "bitrate": 1000, "decode_key_s": 0.01, "renditions": [[64, 64]], "reason": None,
}  # fmt: skip
_READY = {
    "type": "ready", "pid": 1, "sandbox": [{"name": "landlock", "in_force": True}],
    "detectors": [{"name": "d", "version": "1", "sha256": "ab", "labels": ["x"]}],
}  # fmt: skip
_RULE = {
    "name": "r", "detector": "d", "label": "x", "severity": "urgent", "kind": "classifier", "open_score": 0.8,
    "open_hits": 2, "open_within_s": 10, "open_spacing_s": 0.5, "close_score": 0.5, "close_for_s": 60,
    "cooldown_s": 300,
}  # fmt: skip
_CONFIGURE = {
    "type": "configure", "max_pixels": 9, "allow_hosts": ["a"], "decode_workers": 2, "rules": [_RULE],
    "detectors": [{"name": "d", "kind": "onnx", "folder": "/m", "sha256": "ab", "mode": "active"}],
}  # fmt: skip
_ASSIGN = {
    "type": "assign", "epoch": 1, "stream": "a", "name": "A", "url": "rtmp://h/a/b", "origin": "static", "weight": 1,
    "max_gap_s": 10, "min_gap_s": 0.5, "lookback_s": 4, "novelty": True, "jitter": 0, "inner": 0, "fallback": True,
    "end_after_s": None, "tests": False, "audience": "broadcast", "fast": False,
}  # fmt: skip
UPWARDS = [json.dumps(one).encode() for one in (
    {"type": "failed", "what": "bug", "detail": "why"}, _BEAT,
    _OF | {"type": "stream", "live": True, "ended": False, "reason": None, "width": 64},
    _SAMPLED, _RULE_LEVEL, _FOUND, _READY,
)]  # fmt: skip
DOWNWARDS = [json.dumps(one).encode() for one in (
    _CONFIGURE, _ASSIGN, {"type": "release", "stream": "a"}, {"type": "demand", "stream": "a", "suspicion": 0.5},
    {"type": "inspect", "url": "rtmp://h/a", "seconds": 3}, {"type": "stop"},
    {"type": "restand", "stream": "a", "standing": [{"rule": "r", "open": True, "cooldown_until": 5}]},
)]  # fmt: skip


def _frames(bodies: list[bytes]) -> bytes:
    return b"".join(len(body).to_bytes(HEADER, "big") + body for body in bodies)


def check_frames(data: bytes) -> None:
    whole, broken = _parsed([data])
    step = 1 + sum(data[-8:]) // 3
    again, broken_too = _parsed([data[at : at + step] for at in range(0, len(data), step)])
    assert broken == broken_too
    if not broken:
        assert whole == again
        assert data.startswith(_frames(whole)), "frames read differ from the bytes written"
    for body in again:
        assert 0 < len(body) <= _LIMIT


def _parsed(pieces: list[bytes]) -> tuple[list[bytes], bool]:
    parser, bodies = FrameParser(_LIMIT), []
    for piece in pieces:
        try:
            bodies += parser.feed(piece)
        except LinkViolation:
            return bodies, True
        assert parser.pending < HEADER + _LIMIT
    return bodies, False


def _message(adapter: TypeAdapter[object], data: bytes, limit: int) -> object | None:
    try:
        message = decode(adapter, data)
    except LinkViolation as error:
        text = str(error)
        assert len(text) < 300, "an error that grows with what was sent"
        assert text.isprintable()
        return None
    try:
        frame = encode(message, limit)  # type: ignore[arg-type]
    except LinkViolation:
        return message
    assert len(frame) <= HEADER + limit
    if len(data) <= limit // 8:  # or it may have been trimmed to fit
        again = decode(adapter, frame[HEADER:])
        assert again == message, "a message read back differs"
        assert encode(again, limit) == frame  # type: ignore[arg-type]
    return message


def check_upwards(data: bytes) -> None:
    message = _message(FROM_WATCHER, data, MAX_REPORT)
    if isinstance(message, StreamLevel | Sampled | RuleLevel):
        with contextlib.suppress(LinkViolation):
            taken = plausible.admitted(message, detectors={"d": frozenset({"x", "y"})}, now=10.0)
            if isinstance(taken, Sampled):
                assert taken.arrival <= 10.0 + plausible.FUTURE_S
                assert {line.detector for line in taken.scores} <= {"d"}
                assert {label for line in taken.scores for label, _ in line.values} <= {"x", "y"}


def check_downwards(data: bytes) -> None:
    _message(TO_WATCHER, data, MAX_FRAME)


def check_output(data: bytes) -> None:
    step = 1 + sum(data[-8:]) * 2
    lines, said, now = Lines(), [], 0.0
    for at in range(0, len(data), step):
        said += lines.feed(data[at : at + step], now)
        assert len(lines._partial) <= MAX_LINE * 4
        now += 0.001
    said.append(lines.rest())
    assert len(said) <= 103 + now * 20, "more lines than the rate allows"
    for line in said:
        assert len(line) <= MAX_LINE + 1
        assert line.isprintable()
        read = entry(line)
        assert len(read.fields) <= 16
        assert all(isinstance(value, str | int | float | bool) for value in read.fields.values())
        assert all(name.isprintable() for name in read.fields), "a name that moves a terminal's cursor"
        assert str(read.fields.get("exception", "")).replace("\n", "").isprintable()
        getattr(_LOG, read.level)(read.event, watcher="w", **read.fields)


def check_black_box(data: bytes) -> None:
    page = data[: blackbox.SIZE].ljust(blackbox.SIZE, b"\0")
    box = blackbox.BlackBoxReader()
    try:
        os.pwrite(box.descriptor, page, 0)
        cells = box.read()
    finally:
        box.close()
    assert len(cells) <= blackbox.CELLS
    assert cells == tuple(cell for (cell,) in struct.iter_unpack("<Q", page) if cell)


def check_grant(data: bytes) -> None:
    try:
        grant = Grant.decode(data.decode("utf-8", "replace"))
    except ValueError as error:
        assert len(str(error)) < 200
        return
    assert Grant.decode(grant.encode()) == grant
    assert all(path.startswith("/") for path in grant.read)
    assert grant.memory > 0


TARGETS = (
    Target("link-frames", check_frames, lambda: [_frames(UPWARDS), _frames([b"{}"] * 20), _frames(DOWNWARDS)],
           ("link.frames",)),
    Target("link-upwards", check_upwards, lambda: UPWARDS,
           ("link.frames", "link.messages", "link.words", "fleet.plausible")),
    Target("link-downwards", check_downwards, lambda: DOWNWARDS, ("link.frames", "link.messages")),
    Target("link-output", check_output, lambda: [
        b'{"event":"said","level":"info","a":1,"b":"x"}\nplain words\n', b"x" * 9000 + b"\n", b"a\n" * 150,
        b'{"event":"\xff\x1b[31m","level":"error","n":1e999,"self":1,"exc_info":true,"exception":"a\\nb\\u001b[2J"}\n',
        b'{"event":"e","level":"info","\\u001b[2J":1,"stack_info":"x"}\n'], ("fleet.output",), brief=1500),
    Target("link-black-box", check_black_box, lambda: [bytes(range(256)) * 2, b"\1"], ("link.blackbox",), brief=500),
    Target("link-grant", check_grant, lambda: [
        Grant(read=("/m", "/n"), ports=(1935, 80), udp=True).encode().encode(), Grant(ports=None).encode().encode()],
        ("sandbox.grant",)),
)  # fmt: skip
