from __future__ import annotations

import pytest

from streamwatch.domain.errors import Dropped, NotPublished, Refused, Stalled, StreamError
from streamwatch.domain.urls import SafeUrl
from streamwatch.sources.rtmp.place import Place, place
from streamwatch.sources.rtmp.session import Session, Stage
from streamwatch.wire import amf0
from streamwatch.wire import rtmp as wire
from streamwatch.wire.chunks import ChunkParser
from tests.sources.rtmp.bytes import control, key, message, opening, result, server_says, status

HELLO = wire.VERSION + bytes(2 * wire.HANDSHAKE_SIZE)


def begun(name: str = "lobby") -> Session:
    session = Session(Place("live", name, "rtmp://server:1935/live", "", ""))
    give(session, HELLO)
    del session.outbox[: 1 + 2 * wire.HANDSHAKE_SIZE]
    return session


def give(session: Session, data: bytes) -> list[wire.Message]:
    return session.receive(data, len(data), everything=True)


def said(session: Session) -> list[wire.Message]:
    out, session.outbox = bytes(session.outbox), bytearray()
    return ChunkParser().feed(out)


def commands(session: Session) -> list[list[amf0.Value]]:
    return [amf0.decode(m.payload) for m in said(session) if m.kind == wire.COMMAND]


def playing() -> Session:
    session = begun()
    give(session, opening())
    said(session)
    return session


def test_it_connects_creates_a_stream_and_plays_live_only() -> None:
    session = begun("lobby?token=secret")
    [connect] = commands(session)
    assert connect[:2] == ["connect", 1.0]
    assert isinstance(connect[2], dict)
    assert (connect[2]["app"], connect[2]["tcUrl"]) == ("live", "rtmp://server:1935/live")
    assert "hvc1" in connect[2]["fourCcList"]
    give(session, message(20, result(1, {}, {"code": "NetConnection.Connect.Success"}), csid=3))
    assert commands(session) == [["createStream", 2.0, None]]
    give(session, message(20, result(2, None, 5.0), csid=3))
    spoken = said(session)
    play = next(m for m in spoken if m.kind == wire.COMMAND)
    assert amf0.decode(play.payload) == ["play", 0.0, None, "lobby?token=secret", -1000.0]
    assert play.stream_id == 5
    assert [m.payload for m in spoken if m.kind == wire.USER_CONTROL] == [control(3, 5) + (3000).to_bytes(4)]
    assert session.stage is Stage.PLAYING


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_the_handshake_may_come_in_pieces(step: int) -> None:
    session = Session(Place("live", "a", "rtmp://h/live", "", ""))
    data = HELLO + opening()
    for at in range(0, len(data), step):
        give(session, data[at : at + step])
    assert session.stage is Stage.PLAYING


def test_pings_are_answered_and_windows_acknowledged() -> None:
    session = playing()
    give(session, message(4, control(wire.PING, 99), csid=2))
    assert [m.payload for m in said(session)] == [control(wire.PONG, 99)]
    give(session, message(5, (20_000).to_bytes(4), csid=2))
    give(session, message(9, bytes(30_000), csid=7))
    assert wire.ACKNOWLEDGEMENT in [m.kind for m in said(session)]


@pytest.mark.parametrize("code", ["UnpublishNotify", "Stop", "Complete"])
def test_the_server_s_word_is_the_end(code: str) -> None:
    session = playing()
    give(session, message(9, key(), csid=7))
    later = give(session, message(20, status(f"NetStream.Play.{code}"), csid=5) + message(9, key(), csid=7))
    assert session.stage is Stage.ENDED
    assert later == []


def test_stream_eof_is_the_end() -> None:
    session = playing()
    give(session, message(9, key(), csid=7) + message(4, control(wire.STREAM_EOF, 1), csid=2))
    assert session.stage is Stage.ENDED


def test_an_end_before_the_beginning_is_a_refusal() -> None:
    with pytest.raises(Refused):
        give(playing(), message(20, status("NetStream.Play.UnpublishNotify"), csid=5))


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (status("NetStream.Play.StreamNotFound", "error"), Refused),
        (status("NetStream.Play.Failed", "error"), Refused),
        (status("NetStream.Play.Something", "error"), Refused),
        (status("NetConnection.Connect.Closed"), Refused),
        (amf0.encode("_error", 1.0, None, {"code": "NetConnection.Connect.Rejected", "description": "[key lobby]"}),
         Refused),
        (amf0.encode("close", 0.0, None), Refused),
        (b"\x07", Refused),
        (amf0.encode("onStatus", 0.0, None, {"code": ["NetStream.Play.Stop"], "level": "error"}), Refused),
    ],
    ids=["not found", "failed", "unknown error", "closed", "rejected", "close", "not AMF0", "a list for a code"],
)  # fmt: skip
def test_refusals_are_told_apart_and_name_no_stream(body: bytes, error: type[StreamError]) -> None:
    with pytest.raises(error) as caught:
        give(playing(), message(20, body, csid=3))
    assert "lobby" not in str(caught.value)


def test_a_server_that_goes_after_it_delivered_broke_off() -> None:
    session = playing()
    give(session, message(9, key(), csid=7))
    assert isinstance(session.hung_up(), Dropped)
    with pytest.raises(Dropped):
        give(session, message(20, status("NetConnection.Connect.Closed"), csid=3))


def test_silence_means_what_came_before_it() -> None:
    fresh = Session(Place("live", "a", "rtmp://h/live", "", ""))
    assert isinstance(fresh.silence(5), Stalled)
    session = playing()
    assert isinstance(session.silence(5), NotPublished)
    give(session, message(9, key(), csid=7))
    assert isinstance(session.silence(5), Stalled)


@pytest.mark.parametrize("first", [b"H", b"\x06", b"\x00"])
def test_what_is_no_rtmp_server_is_refused_and_never_an_end(first: bytes) -> None:
    session = Session(Place("live", "a", "rtmp://h/live", "", ""))
    with pytest.raises(Refused) as caught:
        give(session, first + b"TTP/1.1 400")
    assert caught.value.grace_s == float("inf")


def test_what_a_server_says_is_passed_on_in_order() -> None:
    kinds = [m.kind for m in give(begun(), server_says())]
    assert kinds == [wire.DATA] + [wire.VIDEO] * 8


@pytest.mark.parametrize(
    ("url", "app", "name", "tc_url"),
    [
        ("rtmp://h/live/lobby", "live", "lobby", "rtmp://h:1935/live"),
        ("rtmp://h:1936/live/lobby?a=b&c=/d", "live", "lobby?a=b&c=/d", "rtmp://h:1936/live"),
        ("rtmp://h/app/instance/name", "app/instance", "name", "rtmp://h:1935/app/instance"),
        ("rtmp://h/app/instance/a/b", "app/instance", "a/b", "rtmp://h:1935/app/instance"),
        ("rtmp://h/vod/mp4:a/b", "vod", "mp4:a/b", "rtmp://h:1935/vod"),
        ("rtmps://h/live/lobby", "live", "lobby", "rtmps://h:443/live"),
        ("rtmp://[::1]:1935/live/a", "live", "a", "rtmp://[::1]:1935/live"),
        ("rtmp://h/live?x=1", "live?x=1", "", "rtmp://h:1935/live?x=1"),
    ],
)
def test_addresses_are_split_as_players_do(url: str, app: str, name: str, tc_url: str) -> None:
    found = place(SafeUrl(url))
    assert (found.app, found.name, found.tc_url) == (app, name, tc_url)


def test_user_and_password_stand_apart_and_show_nowhere() -> None:
    found = place(SafeUrl("rtmp://u%40x:p%3A@h/live/key"))
    assert (found.user, found.password) == ("u@x", "p:")
    assert "u" not in found.tc_url
    assert "key" not in repr(found)
