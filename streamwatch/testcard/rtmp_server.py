"""A small RTMP server of our own, for the demo, tests and the bench: one process, loopback, nothing kept.

It behaves like nginx-rtmp where a reader can tell: no group of pictures is cached unless asked for, `play` of a name
that nobody publishes waits (or is refused), the end is announced by `NetStream.Play.UnpublishNotify` and StreamEOF
while the connection stays open. A player that does not keep up is cut off and counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final

import structlog

from streamwatch.testcard.flv import FlvTag, TagKind
from streamwatch.testcard.rtmp_publication import Counters, Name, Player, Publication, join, plain
from streamwatch.wire import amf0
from streamwatch.wire import rtmp as wire
from streamwatch.wire.chunks import ChunkParser

if TYPE_CHECKING:
    from typing import Self

_log = structlog.get_logger(__name__)

_OPENING_S: Final = 10.0
"""From accepting a connection to its play or publish."""
_MAX_CONNECTIONS: Final = 512

Refusal = Callable[[str], str | None]
"""Given `app/name` with its query, says why playing or publishing it is refused, or None."""


class RtmpServer:
    """An async context manager: listening inside, everything closed outside."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        gop_cache: bool = False,
        unknown_waits: bool = True,
        refuse: Refusal = lambda _: None,
    ) -> None:
        """`unknown_waits`: `play` of an unknown name waits for a publisher; False answers StreamNotFound."""
        self._host = host
        self._port = port
        self._gop_cache = gop_cache
        self._unknown_waits = unknown_waits
        self._refuse = refuse
        self._names: dict[str, Name] = {}
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._attached = asyncio.Event()
        self.counters = Counters()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections, timeout=_OPENING_S)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._port

    def url(self, name: str) -> str:
        """The address of `app/name`."""
        return f"rtmp://{self._host}:{self._port}/{name}"

    def publish(self, name: str) -> Publication:
        """Begin a publication of `app/name` from inside this process.

        Raises:
            ValueError: somebody publishes it already.

        """
        state = self._names.setdefault(name, Name())
        if state.publication is not None:
            raise ValueError(f"{name} is already published")
        state.publication = Publication(name, state, self.counters, gop_cache=self._gop_cache)
        begin = join(
            wire.user_control(wire.STREAM_BEGIN, 1),
            wire.status("NetStream.Play.PublishNotify", f"{name} is now published."),
        )
        for player in tuple(state.players):
            player.write(begin)
        return state.publication

    def players(self, name: str) -> int:
        """How many connections play `app/name` now, published or not."""
        state = self._names.get(name)
        return len(state.players) if state else 0

    async def until_played(self, name: str, *, players: int = 1) -> None:
        """Return once at least so many connections play `app/name`. Raises TimeoutError after 10 s."""
        async with asyncio.timeout(_OPENING_S):
            while self.players(name) < players:
                self._attached.clear()
                await self._attached.wait()

    def cut(self, name: str) -> None:
        """Break every player's connection without a word, as a server that dies."""
        for player in tuple(self._names.get(name, Name()).players):
            player.writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection; the task is the one that `start_server` makes."""
        task = asyncio.current_task()
        if task is None or len(self._connections) >= _MAX_CONNECTIONS:
            writer.transport.abort()
            return
        task.set_name(f"rtmp connection {writer.get_extra_info('peername')}")
        self._connections.add(task)
        connection = _Connection(self, reader, writer)
        try:
            await connection.serve()
        except (wire.WireError, amf0.Amf0Error, TimeoutError) as error:
            self.counters.broken += 1
            _log.warning("connection refused", reason=type(error).__name__)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the peer left, as players do at any time, or the server stops: there is nobody to tell
        finally:
            self._connections.discard(task)
            connection.leave()
            writer.transport.abort()

    def attach(self, player: Player, name: str) -> None:
        """Let a connection play `name`, now or when it is published."""
        state = self._names.setdefault(name, Name())
        state.players.add(player)
        self.counters.players += 1
        self._attached.set()
        if state.publication is not None:
            state.publication.welcome(player)

    def detach(self, player: Player, name: str) -> None:
        """Forget a player, and the name with its last one."""
        state = self._names.get(name)
        if state is None:
            return
        state.players.discard(player)
        if not state.players and state.publication is None:
            del self._names[name]

    def objection(self, name: str, *, playing: bool) -> tuple[str, str] | None:
        """(status code, words) why a request for `name` (query included) is refused, or None."""
        side = "Play" if playing else "Publish"
        reason = self._refuse(name)
        if reason is not None:
            return (f"NetStream.{side}.Failed" if playing else "NetStream.Publish.Denied", reason)
        state = self._names.get(plain(name))
        published = state is not None and state.publication is not None
        if playing and not published and not self._unknown_waits:
            return "NetStream.Play.StreamNotFound", f"{plain(name)} not found."
        if not playing and published:
            return "NetStream.Publish.BadName", f"{plain(name)} is already published."
        return None


class _Connection:
    """One peer: handshake, commands, then play or publish."""

    def __init__(self, server: RtmpServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._chunks = ChunkParser()
        self._app = ""
        self._playing: tuple[Player, str] | None = None
        self._publication: Publication | None = None

    async def serve(self) -> None:
        """Handshake, then take messages until the peer leaves.

        Raises:
            WireError, Amf0Error, TimeoutError: it does not speak RTMP or not in time.
            OSError, IncompleteReadError: it left.

        """
        async with asyncio.timeout(_OPENING_S):
            await self._handshake()
            while self._playing is None and self._publication is None:
                await self._take()
        while True:
            await self._take()  # a player may be silent for as long as it plays; its backlog is what bounds it

    def leave(self) -> None:
        """Undo what the connection holds on the server."""
        if self._playing is not None:
            self._server.detach(*self._playing)
            self._playing = None
        if self._publication is not None:
            self._publication.end()
            self._publication = None

    async def _handshake(self) -> None:
        if await self._reader.readexactly(1) != wire.VERSION:
            raise wire.WireError("not RTMP")
        theirs = await self._reader.readexactly(wire.HANDSHAKE_SIZE)
        self._writer.write(wire.VERSION + wire.hello() + theirs)
        await self._reader.readexactly(wire.HANDSHAKE_SIZE)

    async def _take(self) -> None:
        data = await self._reader.read(65536)
        if not data:
            raise ConnectionResetError
        for message in self._chunks.feed(data):
            self._handle(message)

    def _handle(self, message: wire.Message) -> None:
        if message.kind in (wire.COMMAND, wire.COMMAND_AMF3):
            self._command(amf0.decode(message.payload[message.kind == wire.COMMAND_AMF3 :]))
        elif message.kind in (wire.AUDIO, wire.VIDEO) and self._publication is not None and message.payload:
            self._publication.send(FlvTag(TagKind(message.kind), message.timestamp, message.payload))
        elif message.kind == wire.DATA and self._publication is not None:
            values = amf0.decode(message.payload)
            if values[:1] == ["@setDataFrame"]:
                self._publication.send(FlvTag(TagKind.DATA, message.timestamp, amf0.encode(*values[1:])))
        elif message.kind == wire.USER_CONTROL and message.payload[:2] == wire.PING.to_bytes(2):
            self._say(wire.user_control(wire.PONG, int.from_bytes(message.payload[2:6])))

    def _command(self, values: list[amf0.Value]) -> None:
        name = values[0] if values else None
        number = values[1] if len(values) > 1 and isinstance(values[1], float) else 0.0
        arguments = values[2:]
        match name:
            case "connect":
                self._connect(number, arguments[0] if arguments else None)
            case "createStream":
                self._say(wire.command("_result", number, None, 1.0))
            case "play":
                self._play(_text(arguments, 1))
            case "publish":
                self._publish(_text(arguments, 1))
            case "releaseStream" | "FCPublish":
                self._say(wire.command("_result", number, None, None))
            case "deleteStream" | "closeStream" | "FCUnpublish":
                self.leave()

    def _connect(self, transaction: float, properties: amf0.Value) -> None:
        app = properties.get("app") if isinstance(properties, dict) else None
        self._app = app.strip("/") if isinstance(app, str) else ""
        info: amf0.Value = {"level": "status", "code": "NetConnection.Connect.Success", "description": "Connected."}
        self._say(
            wire.number(wire.WINDOW_SIZE, wire.WINDOW),
            wire.number(wire.PEER_BANDWIDTH, wire.WINDOW),
            wire.number(wire.SET_CHUNK_SIZE, wire.OUR_CHUNK),
            wire.command("_result", transaction, {"fmsVer": "FMS/3,0,1,123", "capabilities": 31.0}, info),
        )

    def _play(self, name: str) -> None:
        full = f"{self._app}/{name}"
        if self._refused(full, playing=True) or self._playing is not None:
            return
        self._say(
            wire.user_control(wire.STREAM_BEGIN, 1),
            wire.status("NetStream.Play.Start", f"Playing {plain(full)}."),
        )
        self._playing = (Player(self._writer), plain(full))
        self._server.attach(*self._playing)

    def _publish(self, name: str) -> None:
        full = f"{self._app}/{name}"
        if self._refused(full, playing=False) or self._publication is not None:
            return
        self._publication = self._server.publish(plain(full))
        self._server.counters.publishers += 1
        self._say(wire.status("NetStream.Publish.Start", f"Publishing {plain(full)}."))

    def _refused(self, full: str, *, playing: bool) -> bool:
        objection = self._server.objection(full, playing=playing)
        if objection is None:
            return False
        self._server.counters.refused += 1
        code, words = objection
        self._say(wire.status(code, words, level="error"))
        return True

    def _say(self, *messages: wire.Message) -> None:
        """Answer. The reply that sets our chunk size fits into the default size, so one size serves all of them."""
        self._writer.write(join(*messages))


def _text(arguments: list[amf0.Value], index: int) -> str:
    value = arguments[index] if index < len(arguments) else None
    return value if isinstance(value, str) else ""
