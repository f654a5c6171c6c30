"""What an RTMP server may send us."""

from __future__ import annotations

import contextlib
import random

from streamwatch.domain.errors import StreamError
from streamwatch.domain.media import Packet
from streamwatch.sources import sps
from streamwatch.sources.rtmp.place import Place
from streamwatch.sources.rtmp.session import Session
from streamwatch.sources.rtmp.track import Track
from streamwatch.sources.rtmp.video import read
from streamwatch.wire import amf0
from streamwatch.wire import rtmp as wire
from streamwatch.wire.chunks import MAX_HELD, ChunkParser
from streamwatch.wire.rtmp import Message, WireError
from tests.fuzz.engine import Target
from tests.sources.rtmp.bytes import AVCC, HVCC, aggregate, metadata, server_says

PLACE = Place("live", "lobby", "rtmp://server/live", "", "")


def _pieces(data: bytes) -> list[bytes]:
    """The same bytes as the network might cut them; the cuts follow from the bytes."""
    rng = random.Random(data[:64])
    found, at = [], 0
    while at < len(data):
        step = rng.choice((1, 2, 7, 30, 500, 5000))
        found.append(data[at : at + step])
        at += step
    return found


def _parsed(pieces: list[bytes], *, everything: bool) -> tuple[list[Message], bool, int, int]:
    parser, messages, broken = ChunkParser(audio=False), [], False
    try:
        for piece in pieces:
            messages += parser.feed(bytearray(piece), everything=everything)
            assert parser._held <= MAX_HELD
            assert sum(len(stream.body or b"") for stream in parser._streams.values()) == parser._held
            assert len(parser._rest) < 32
    except WireError:
        broken = True
    return messages, broken, parser.passed, parser.taken


def check_chunks(data: bytes) -> None:
    everything = bool(sum(data[-4:]) & 1)
    whole, broken, passed, taken = _parsed([data], everything=everything)
    cut, broken_too, *counts = _parsed(_pieces(data), everything=everything)
    assert broken == broken_too
    if not broken:  # what came before the damage is lost with the batch that it was in
        assert whole == cut
        assert counts == [passed, taken]


def check_session(data: bytes) -> None:
    session, track = Session(PLACE), Track()
    with contextlib.suppress(StreamError):
        for piece in _pieces(wire.VERSION + bytes(2 * wire.HANDSHAKE_SIZE) + data):
            for message in session.receive(piece, len(piece), everything=True):
                packet = track.take(message, 0.0)
                assert packet is None or (isinstance(packet, Packet) and packet.data and packet.config.codec)
            assert len(session.outbox) < 4000 + 20 * len(data)


def check_video(data: bytes) -> None:
    with contextlib.suppress(StreamError):
        video = read(data)
        assert video is None or len(video.data) < len(data)


def check_sps(data: bytes) -> None:
    for codec in ("h264", "hevc"):
        size = sps.size(codec, data)
        assert size == (0, 0) or min(size) > 0


def check_amf0(data: bytes) -> None:
    with contextlib.suppress(amf0.Amf0Error):
        amf0.decode(data)


def _chunk_seeds() -> list[bytes]:
    return [server_says(), server_says(chunk_size=64), server_says(extended=True), aggregate()]


def _video_seeds() -> list[bytes]:
    return [
        b"\x17\x00\x00\x00\x00" + AVCC, b"\x27\x01\x00\x00\x28" + bytes(40), b"\x1c\x00\x00\x00\x00" + HVCC,
        b"\x90hvc1" + HVCC, b"\x91hvc1\x00\x00\x28" + bytes(40), b"\x93av01" + bytes(40),
        b"\x97\x03abcd\x01avc1\x00\x00\x00" + bytes(20), b"\x96\x11hvc1\x00\x00\x00\x04abcd\x01\x00\x00\x02ef",
        b"\x96\x21hvc1\x00\x00\x00\x04abcdav01\x01\x00\x00\x02ef",
    ]  # fmt: skip


_SESSION = ("sources.rtmp.session", "sources.rtmp.track", "sources.rtmp.video")

TARGETS = (
    Target("rtmp-chunks", check_chunks, _chunk_seeds, ("wire.chunks", "wire.rtmp")),
    Target("rtmp-session", check_session, _chunk_seeds, (*_SESSION, "wire.chunks", "wire.amf0")),
    Target("rtmp-video", check_video, _video_seeds, _SESSION[2:]),
    Target("rtmp-sps", check_sps, lambda: [AVCC, HVCC], ("sources.sps",)),
    Target(
        "rtmp-amf0",
        check_amf0,
        lambda: [metadata(), amf0.encode("a", 1.0, None, {"b": [True, {"c": "d"}]})],
        ("wire.amf0",),
    ),
)
