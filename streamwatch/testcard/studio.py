"""The studio: live streams that need nobody else, for the demo and for tests of the whole system.

Two streams by default: RTMP `live/lobby` and HLS `hall/index.m3u8`, harmless programmes that show the test card from
time to time. As its own process (`python -m streamwatch.testcard.studio --json`) it lives as long as its standard input
is open, so that it never outlives whoever started it, and obeys the lines of `Studio.control`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Protocol

from streamwatch.domain.clock import Clock, SystemClock
from streamwatch.testcard.encode import Container, Encoding, Pause, live
from streamwatch.testcard.flv import FlvSplitter
from streamwatch.testcard.hls_server import HlsServer
from streamwatch.testcard.rtmp_server import RtmpServer
from streamwatch.testcard.scene import CardSwitch, Script, picture
from streamwatch.testcard.ts import TsSegmenter

if TYPE_CHECKING:
    from typing import Self

    from streamwatch.testcard.scene import Frame

_SEGMENT_S: Final = 2.0
_READY_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """One stream of the studio."""

    name: str
    kind: Literal["rtmp", "hls"]
    path: str
    """RTMP: `app/name`. HLS: the folder of `index.m3u8`."""
    encoding: Encoding = field(default_factory=Encoding)
    card: Script = field(default_factory=Script)
    """Seconds count from the beginning of the publication."""


LOBBY: Final = StreamPlan(name="lobby", kind="rtmp", path="live/lobby")
HALL: Final = StreamPlan(name="hall", kind="hls", path="hall", card=Script(first_s=6.0))


class _Outlet(Protocol):
    """Where the muxed bytes of one publication go, and how it misbehaves on demand."""

    def send(self, data: bytes) -> None: ...

    def ready(self) -> bool: ...

    def end(self) -> None: ...

    def vanish(self) -> None: ...

    def freeze(self) -> None: ...

    def resume(self) -> None: ...


class _RtmpOutlet:
    """Freezing stops the encoder, as a stopped publisher process would."""

    def __init__(self, server: RtmpServer, path: str, pause: Pause) -> None:
        self._server = server
        self._path = path
        self._pause = pause
        self._splitter = FlvSplitter()
        self._feed = server.publish(path)
        self._begun = False

    def send(self, data: bytes) -> None:
        for tag in self._splitter.feed(data):
            self._begun |= tag.is_key
            self._feed.send(tag)

    def ready(self) -> bool:
        return self._begun

    def end(self) -> None:
        self._feed.end()

    def vanish(self) -> None:
        self._server.cut(self._path)

    def freeze(self) -> None:
        self._pause.hold()

    def resume(self) -> None:
        self._pause.release()


class _HlsOutlet:
    """Freezing stops the playlist; the encoder goes on."""

    def __init__(self, server: HlsServer, path: str) -> None:
        self._segmenter = TsSegmenter(_SEGMENT_S)
        self._playlist = server.publish(path, target_s=_SEGMENT_S)

    def send(self, data: bytes) -> None:
        for segment in self._segmenter.feed(data):
            self._playlist.send(segment)

    def ready(self) -> bool:
        return self._playlist.ready

    def end(self) -> None:
        self._playlist.end()

    def vanish(self) -> None:
        self._playlist.vanish()

    def freeze(self) -> None:
        self._playlist.freeze()

    def resume(self) -> None:
        self._playlist.resume()


@dataclass(slots=True)
class _OnAir:
    """A stream that is on."""

    outlet: _Outlet
    task: asyncio.Task[None]
    ready: asyncio.Event


class Studio:
    """An async context manager: its streams are live inside, gone outside."""

    def __init__(
        self,
        plans: Sequence[StreamPlan] = (LOBBY, HALL),
        *,
        host: str = "127.0.0.1",
        rtmp_port: int = 0,
        http_port: int = 0,
        clock: Clock | None = None,
    ) -> None:
        self._plans = {plan.name: plan for plan in plans}
        self._clock = clock or SystemClock()
        self.rtmp = RtmpServer(host=host, port=rtmp_port)
        self.hls = HlsServer(host=host, port=http_port, clock=self._clock)
        self._cards = {plan.name: CardSwitch(plan.card) for plan in plans}
        self._on: dict[str, _OnAir] = {}
        self._group = asyncio.TaskGroup()
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.rtmp)
            await stack.enter_async_context(self.hls)
            await stack.enter_async_context(self._group)
            stack.callback(self._stop)
            for name in self._plans:
                self.begin(name)
            self._exit = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exit.__aexit__(kind, error, trace)

    @property
    def urls(self) -> dict[str, str]:
        """Address by stream name."""
        return {
            plan.name: self.rtmp.url(plan.path) if plan.kind == "rtmp" else self.hls.url(f"{plan.path}/index.m3u8")
            for plan in self._plans.values()
        }

    async def ready(self) -> None:
        """Return once every stream that is on can be played. Raises TimeoutError after 30 s."""
        async with asyncio.timeout(_READY_S):
            for publication in tuple(self._on.values()):
                await publication.ready.wait()

    def begin(self, name: str) -> None:
        """Publish a stream (again). Raises ValueError when it is on or unknown."""
        plan = self._plan(name)
        if name in self._on:
            raise ValueError(f"{name} is on already")
        pause, ready = Pause(), asyncio.Event()
        rtmp = plan.kind == "rtmp"
        outlet: _Outlet = _RtmpOutlet(self.rtmp, plan.path, pause) if rtmp else _HlsOutlet(self.hls, plan.path)
        task = self._group.create_task(self._broadcast(plan, outlet, pause, ready), name=f"studio {name}")
        self._on[name] = _OnAir(outlet, task, ready)

    def end(self, name: str) -> None:
        """End a stream the orderly way: unpublished, or ENDLIST."""
        publication = self._take(name)
        publication.outlet.end()
        publication.task.cancel()

    def vanish(self, name: str) -> None:
        """End a stream without a word: players cut off, or 404."""
        publication = self._take(name)
        publication.outlet.vanish()
        publication.outlet.end()
        publication.task.cancel()

    def freeze(self, name: str) -> None:
        """Deliver nothing more, with every connection standing."""
        self._publication(name).outlet.freeze()

    def resume(self, name: str) -> None:
        """Deliver again."""
        self._publication(name).outlet.resume()

    def card(self, name: str, on: bool | None) -> None:  # noqa: FBT001 - as CardSwitch.set
        """Show the test card, never show it, or (None) follow the script."""
        self._plan(name)
        self._cards[name].set(on)

    def control(self, line: str) -> None:
        """Obey `card NAME on|off|auto`, `begin|end|vanish|freeze|resume NAME`.

        Raises:
            ValueError: no such order or stream, or the stream is not in a state for it.

        """
        orders: dict[str, Callable[[str], None]] = {
            "begin": self.begin, "end": self.end, "vanish": self.vanish, "freeze": self.freeze, "resume": self.resume,
        }  # fmt: skip
        match line.split():
            case ["card", name, "on" | "off" | "auto" as what]:
                self.card(name, {"on": True, "off": False, "auto": None}[what])
            case [order, name] if order in orders:
                orders[order](name)
            case _:
                raise ValueError("orders: card NAME on|off|auto, begin|end|vanish|freeze|resume NAME")

    async def _broadcast(self, plan: StreamPlan, outlet: _Outlet, pause: Pause, ready: asyncio.Event) -> None:
        container: Container = "flv" if plan.kind == "rtmp" else "mpegts"
        # a playlist that begins with a full window can be played at once
        ahead_s = 3 * _SEGMENT_S + 0.5 if plan.kind == "hls" else 0.0
        draw = partial(_draw, plan, self._cards[plan.name], ahead_s)
        encoded = live(plan.encoding, container, draw, clock=self._clock, name=plan.name, ahead_s=ahead_s, pause=pause)
        try:
            async with aclosing(encoded):
                async for data in encoded:
                    outlet.send(data)
                    if not ready.is_set() and outlet.ready():
                        ready.set()
        finally:
            outlet.end()

    def _plan(self, name: str) -> StreamPlan:
        if name not in self._plans:
            raise ValueError(f"no stream {name!r}; there are {', '.join(self._plans)}")
        return self._plans[name]

    def _publication(self, name: str) -> _OnAir:
        self._plan(name)
        if name not in self._on:
            raise ValueError(f"{name} is off")
        return self._on[name]

    def _take(self, name: str) -> _OnAir:
        publication = self._publication(name)
        del self._on[name]
        return publication

    def _stop(self) -> None:
        for name in tuple(self._on):
            self.end(name)


def _draw(plan: StreamPlan, card: CardSwitch, ahead_s: float, t: float) -> Frame:
    width, height = plan.encoding.width, plan.encoding.height
    return picture(seed=plan.name, t=t, width=width, height=height, card=card(t - ahead_s))


if __name__ == "__main__":
    from streamwatch.testcard.studio_process import main

    main()
