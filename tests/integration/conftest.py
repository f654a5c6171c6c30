"""A site for each test: nginx-rtmp, mosquitto, a subscriber, publishers and the daemon, all on loopback."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.integration.clips import Clips, make
from tests.integration.daemon import Daemon, config
from tests.integration.people import Message, Subscriber, publish, retained
from tests.integration.process import Child
from tests.integration.publish import Broadcast, looping
from tests.integration.servers import Mosquitto, Nginx

_NEEDED = ("nginx", "ffmpeg", "mosquitto", "mosquitto_sub", "mosquitto_pub")
_missing = [program for program in _NEEDED if shutil.which(program) is None]

AnyChild = TypeVar("AnyChild", bound=Child)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.integration)
            if _missing:
                item.add_marker(pytest.mark.skip(reason=f"not installed: {', '.join(_missing)}"))


_log = logging.getLogger("figures")


class Site:
    """Everything around one daemon. What it starts, it stops."""

    def __init__(self, folder: Path, clips: Clips, stack: contextlib.AsyncExitStack) -> None:
        self.folder = folder
        self.clips = clips
        self._stack = stack
        self.nginx = Nginx(folder / "nginx")
        self.broker = Mosquitto(folder / "mosquitto")
        self.desk = Subscriber(self.broker.port)

    async def run(self, child: AnyChild) -> AnyChild:
        return await self._stack.enter_async_context(child)

    async def broadcast(self, app: str, name: str) -> Broadcast:
        return await self.run(Broadcast(self.nginx.publish_url(app, name), self.clips))

    async def loop(self, app: str, name: str, file: Path) -> Child:
        return await self.run(looping(self.nginx.publish_url(app, name), file))

    def settings(self, *streams: str, **more: Any) -> dict[str, Any]:
        """A configuration for streams written as `app/name`, or for the addresses in `more["urls"]`."""
        urls: dict[str, str] = more.pop("urls", {})
        for stream in streams:
            app, _, name = stream.partition("/")
            urls[name] = self.nginx.play_url(app, name)
        return config(self.folder, broker=self.broker.url, streams=urls, **more)

    async def daemon(self, *streams: str, **more: Any) -> Daemon:
        return await self.run(Daemon(self.folder, self.settings(*streams, **more)))

    def within(self, what: str, seconds: float, limit: float) -> None:
        """A figure that is promised; measured ones are seen with `--log-cli-level=INFO`."""
        _log.info("%s: %.2f s (at most %g s)", what, seconds, limit)
        assert seconds <= limit, f"{what}: {seconds:.2f} s, promised {limit:g} s"

    async def retained(self, ending: str = "") -> list[Message]:
        return await retained(self.broker.port, ending)

    async def say(self, topic: str, payload: str | bytes, *more: str) -> None:
        await publish(self.broker.port, topic, payload, *more)


@pytest.fixture(scope="session")
def make_clips(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], Awaitable[Clips]]:
    made: dict[tuple[int, int], Clips] = {}

    async def clips(width: int, height: int) -> Clips:
        if (width, height) not in made:
            made[width, height] = await make(tmp_path_factory.mktemp("clips"), width=width, height=height)
        return made[width, height]

    return clips


@pytest.fixture
async def site(tmp_path: Path, make_clips: Callable[[int, int], Awaitable[Clips]]) -> AsyncIterator[Site]:
    async with contextlib.AsyncExitStack() as stack:
        site = Site(tmp_path, await make_clips(640, 360), stack)
        await site.run(site.nginx)
        await site.run(site.broker)
        await site.run(site.desk)
        yield site
