"""What an RTMP server passes on: one publication of a name, and those who play it."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Final

import structlog

from streamwatch.testcard.flv import FlvTag, TagKind
from streamwatch.wire import rtmp as wire

_log = structlog.get_logger(__name__)

_MAX_BACKLOG: Final = 4 << 20
"""Bytes that a slow player may leave unread (some 60 s of a demo stream), then it is cut off."""
_MAX_CACHED_TAGS: Final = 4096


@dataclass(slots=True)
class Counters:
    """What happened since the start; read it at any time."""

    players: int = 0
    """Accepted `play` commands."""
    publishers: int = 0
    """Accepted `publish` commands, not counting streams sent by this process itself."""
    refused: int = 0
    slow_players: int = 0
    """Players cut off with more than 4 MiB unread."""
    broken: int = 0
    """Connections that did not speak RTMP."""


class Player:
    """One connection that plays."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.waits_for_key = True

    def write(self, data: bytes) -> bool:
        """Hand bytes to the transport; False when too many are unread."""
        self.writer.write(data)
        return self.writer.transport.get_write_buffer_size() <= _MAX_BACKLOG


@dataclass(slots=True)
class Name:
    """What the server knows about one `app/name`."""

    publication: Publication | None = None
    players: set[Player] = field(default_factory=set)


class Publication:
    """One publication of a name. Made by `RtmpServer.publish`; used on the event loop; never waits."""

    def __init__(self, name: str, state: Name, counters: Counters, *, gop_cache: bool) -> None:
        self.name = name
        self._state = state
        self._counters = counters
        self._headers: dict[TagKind, FlvTag] = {}
        self._gop: deque[FlvTag] | None = deque(maxlen=_MAX_CACHED_TAGS) if gop_cache else None
        self._has_video = False

    @property
    def live(self) -> bool:
        """Whether this publication still owns its name."""
        return self._state.publication is self

    @property
    def players(self) -> int:
        """How many connections play the name now."""
        return len(self._state.players)

    def send(self, tag: FlvTag) -> None:
        """Pass a tag to every player. Tags after `end` are dropped."""
        if not self.live:
            return
        self._has_video |= tag.kind is TagKind.VIDEO
        header = tag.kind is TagKind.DATA or tag.is_header
        if header:
            self._headers[tag.kind] = tag
        else:
            self._remember(tag)
        data = _chunked(tag)
        for player in tuple(self._state.players):
            if player.waits_for_key and not header:
                if not self._begins(tag):
                    continue
                player.waits_for_key = False
            self._write(player, data)

    def end(self) -> None:
        """Say that the stream ended. Players stay connected, as with nginx-rtmp; a second call does nothing."""
        if not self.live:
            return
        self._state.publication = None
        farewell = join(
            wire.status("NetStream.Play.UnpublishNotify", f"{self.name} is now unpublished."),
            wire.user_control(wire.STREAM_EOF, 1),
        )
        for player in tuple(self._state.players):
            player.waits_for_key = True
            self._write(player, farewell)

    def welcome(self, player: Player) -> None:
        """Give a new player what it needs before the next key picture: the headers, and the cached pictures if kept."""
        for kind in (TagKind.DATA, TagKind.VIDEO, TagKind.AUDIO):
            if kind in self._headers:
                self._write(player, _chunked(self._headers[kind]))
        if self._gop:
            player.waits_for_key = False
            for tag in self._gop:
                self._write(player, _chunked(tag))

    def _begins(self, tag: FlvTag) -> bool:
        """Whether a player that waits may begin here; with sound only where no picture exists."""
        return tag.is_key or (tag.kind is TagKind.AUDIO and not self._has_video)

    def _remember(self, tag: FlvTag) -> None:
        if self._gop is not None:
            if tag.is_key:
                self._gop.clear()
            if self._gop or tag.is_key:
                self._gop.append(tag)

    def _write(self, player: Player, data: bytes) -> None:
        if player.writer.is_closing() or player.write(data):
            return
        self._counters.slow_players += 1
        self._state.players.discard(player)
        player.writer.transport.abort()
        _log.warning("player cut off", stream=self.name, reason="slow")


def plain(name: str) -> str:
    """`app/name` without its query."""
    return name.partition("?")[0].strip("/")


def join(*messages: wire.Message) -> bytes:
    """Messages as the chunks that all our connections share."""
    return b"".join(wire.chunks(message, wire.OUR_CHUNK) for message in messages)


def _chunked(tag: FlvTag) -> bytes:
    message = wire.Message(int(tag.kind), tag.payload, tag.timestamp_ms, stream_id=1)
    return wire.chunks(message, wire.OUR_CHUNK)
