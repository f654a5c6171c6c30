"""The conversation with an RTMP server, from the first byte to its goodbye. Pure: bytes in, bytes and messages out."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from streamwatch.domain.errors import Dropped, NotPublished, Refused, Stalled, StreamError
from streamwatch.domain.urls import printable
from streamwatch.sources.rtmp.place import Place
from streamwatch.wire import amf0
from streamwatch.wire import rtmp as wire
from streamwatch.wire.chunks import ChunkParser
from streamwatch.wire.rtmp import Message, WireError

FOREVER = float("inf")
_CONNECT, _CREATE = 1.0, 2.0
"""Transactions."""
_LIVE_ONLY = -1000.0
"""Where to begin, in FFmpeg's reading of the specification: live, or wait for it."""
_BUFFER_MS = 3000
_HANDSHAKE = 1 + 2 * wire.HANDSHAKE_SIZE

_ENDS = frozenset({"NetStream.Play.UnpublishNotify", "NetStream.Play.Stop", "NetStream.Play.Complete"})
_HANGS_UP = frozenset({"NetConnection.Connect.Closed", "NetConnection.Connect.AppShutdown"})
_REFUSES = frozenset({
    "NetStream.Play.StreamNotFound", "NetStream.Play.Failed", "NetStream.Failed", "NetStream.Play.FileStructureInvalid",
    "NetStream.Play.NoSupportedTrackFound", "NetConnection.Connect.Rejected", "NetConnection.Connect.Failed",
    "NetConnection.Connect.InvalidApp",
})  # fmt: skip


class Stage(Enum):
    """How far the conversation has come."""

    HANDSHAKE = "handshake"
    CONNECTING = "connecting"
    CREATING = "creating"
    PLAYING = "playing"
    ENDED = "ended"
    """The server said that the stream ended."""


class Session:
    """One connection. `outbox` holds what shall be sent; whoever sends it takes it out."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.parser = ChunkParser(audio=False)
        """Its counters tell what came."""
        self._hello = bytearray()
        self._received = 0
        self._acknowledged = 0
        self._window = wire.WINDOW
        self._stream_id = 1
        self.words = 0
        """Messages other than pictures and sound so far."""
        self.stage = Stage.HANDSHAKE
        self.media = False
        """A video message came, or was passed by."""
        self.riddle = ""
        """What was said when `connect` was refused."""
        self.outbox = bytearray(wire.VERSION + wire.hello())

    def receive(self, data: bytes | bytearray, end: int, *, everything: bool) -> list[Message]:
        """Take `data[:end]`; return video and data messages, answer the rest.

        Raises:
            StreamError: the server refused, hung up, or does not speak RTMP.

        """
        self._received += end
        if self.stage is Stage.HANDSHAKE:
            data = self._shake_hands(data[:end])
            end = len(data)
        try:
            messages = self.parser.feed(data, end, everything=everything)
        except WireError as e:
            raise Refused(f"no RTMP that can be read: {e}", grace_s=FOREVER) from e
        if self._received - self._acknowledged >= self._window >> 1:
            self._acknowledged = self._received
            self._say(wire.number(wire.ACKNOWLEDGEMENT, self._received & 0xFFFFFFFF))
        if messages and any(message.kind != wire.VIDEO for message in messages):
            messages = list(self._sorted(messages))
        if not self.media:
            self.media = self.parser.passed > 0 or any(message.kind == wire.VIDEO for message in messages)
        return messages

    def silence(self, seconds: float) -> StreamError:
        """What it means that nothing came for so long."""
        if self.media:
            return Stalled(f"nothing came for {seconds:.0f} s")
        if self.stage is Stage.HANDSHAKE:
            return Stalled("the server accepts connections and says nothing")
        return NotPublished("the server accepts us and sends nothing")

    def too_much(self) -> StreamError:
        """The server makes us work as no live stream does."""
        return Refused("the server sends more messages than a live stream has", grace_s=FOREVER)

    def hung_up(self) -> StreamError:
        """What it means that the connection is gone."""
        return Dropped("the connection broke") if self.media else Refused("the server closed the connection at once")

    # --- the other side's words --------------------------------------------------------------------------------------

    def _shake_hands(self, data: bytes | bytearray) -> bytes:
        self._hello += data
        if self._hello and self._hello[0] != wire.VERSION[0]:
            raise Refused("no RTMP server there", grace_s=FOREVER)
        if len(self._hello) < _HANDSHAKE:
            return b""
        theirs, rest = self._hello[1 : 1 + wire.HANDSHAKE_SIZE], bytes(self._hello[_HANDSHAKE:])
        self._hello = bytearray()
        self.outbox += theirs
        self.stage = Stage.CONNECTING
        self._say(wire.command("connect", _CONNECT, self._properties()))
        return rest

    def _properties(self) -> amf0.Value:
        return {
            "app": self._place.app,
            "flashVer": "LNX 9,0,124,2",
            "tcUrl": self._place.tc_url,
            "fpad": False,
            "capabilities": 15.0,
            "audioCodecs": 4071.0,
            "videoCodecs": 252.0,
            "videoFunction": 1.0,
            "fourCcList": ["hvc1", "av01", "vp09", "avc1"],
        }

    def _sorted(self, messages: list[Message]) -> Iterator[Message]:
        for message in messages:
            if self.stage is Stage.ENDED:
                return
            if message.kind == wire.VIDEO:
                self.media = True
                yield message
                continue
            self.words += 1
            match message.kind:
                case wire.DATA | wire.DATA_AMF3:
                    yield message
                case wire.COMMAND:
                    self._command(message.payload)
                case wire.COMMAND_AMF3:
                    self._command(message.payload[1:])
                case wire.USER_CONTROL:
                    self._control(message.payload)
                case wire.WINDOW_SIZE:
                    self._window = max(int.from_bytes(message.payload[:4]), 1 << 14)
                case wire.PEER_BANDWIDTH:
                    self._say(wire.number(wire.WINDOW_SIZE, max(int.from_bytes(message.payload[:4]), 1 << 14)))

    def _control(self, payload: bytes) -> None:
        event, value = int.from_bytes(payload[:2]), int.from_bytes(payload[2:6])
        if event == wire.PING:
            self._say(wire.user_control(wire.PONG, value))
        elif event == wire.STREAM_EOF and self.stage is Stage.PLAYING:
            self._end("StreamEOF")

    def _command(self, payload: bytes) -> None:
        try:
            values = amf0.decode(payload)
        except amf0.Amf0Error as e:
            raise Refused("no RTMP command that can be read", grace_s=FOREVER) from e
        name = values[0] if values else None
        transaction = values[1] if len(values) > 1 else None
        info = next((value for value in reversed(values[2:]) if isinstance(value, dict)), {})
        if name == "onStatus":
            self._status(info)
        elif name == "_error":
            if transaction in (_CONNECT, _CREATE):
                said = info.get("description")
                self.riddle = said if isinstance(said, str) else ""
                raise self._refusal(info)
        elif name == "_result" and transaction == _CONNECT and self.stage is Stage.CONNECTING:
            self.stage = Stage.CREATING
            self._say(wire.number(wire.WINDOW_SIZE, wire.WINDOW), wire.command("createStream", _CREATE, None))
        elif name == "_result" and transaction == _CREATE and self.stage is Stage.CREATING:
            self._play(values[-1])
        elif name == "close":
            raise self.hung_up()

    def _play(self, number: amf0.Value) -> None:
        self._stream_id = int(number) if isinstance(number, float) and 0 <= number < 1 << 32 else 1
        self.stage = Stage.PLAYING
        play = wire.command("play", 0, None, self._place.name, _LIVE_ONLY, stream_id=self._stream_id)
        self._say(play, wire.set_buffer_length(self._stream_id, _BUFFER_MS))

    def _status(self, info: dict[str, amf0.Value]) -> None:
        said = info.get("code")
        code = said if isinstance(said, str) else ""
        if code in _ENDS:
            self._end(code)
        elif code in _HANGS_UP:
            raise self.hung_up()
        elif code in _REFUSES or info.get("level") == "error":
            raise self._refusal(info)

    def _end(self, word: str) -> None:
        if not self.media:
            raise Refused(f"the server ended the stream before it began ({word})")
        self.stage = Stage.ENDED

    def _refusal(self, info: dict[str, amf0.Value]) -> Refused:
        """The code alone: descriptions repeat stream names, and those are keys."""
        code = info.get("code")
        return Refused(f"the server refused: {printable(code, 60) if isinstance(code, str) else 'it does not say why'}")

    def _say(self, *messages: Message) -> None:
        for message in messages:
            self.outbox += wire.chunks(message, wire.DEFAULT_CHUNK)
