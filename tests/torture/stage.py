"""Everything around one tortured daemon: a real broker, the proxy before it, a subscriber with a persistent session."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import yaml

from tests.fakes.mosquitto import Mosquitto
from tests.integration.process import Child, finish
from tests.torture import cast, ledger
from tests.torture.proxy import Proxy
from tests.torture.verdict import Committed, Receipt, Verdict, digest, reach

ROOT = Path(__file__).resolve().parents[2]
PERSISTENT = ("allow_anonymous true", "max_queued_messages 0")
"""As the README's recipe, and no bound on what waits for a subscriber (mosquitto drops beyond 1000 otherwise)."""
CAREFUL = (*PERSISTENT, "autosave_interval 1", "autosave_on_changes true")
"""Every change is saved at once: what a kill forgets is what was acknowledged in the last moment."""
_WORDS = 4000


class Broker(Mosquitto):
    """A broker that can be told to write what it holds to its disk; its signal kills one that only begins."""

    up = False

    async def start(self) -> None:
        await super().start()
        self.up = True

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        self.up = False
        await super().stop(how)

    def save(self) -> None:
        if self.up and self._process is not None:
            self._process.send_signal(signal.SIGUSR1)


class Listener(Child):
    """`mosquitto_sub` with a persistent session, and every alert that it gets."""

    def __init__(self, port: int) -> None:
        command = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-i", "listener", "-c", "-q", "1",
                   "-V", "mqttv5", "-t", "streamwatch/v1/+/streams/+/alerts", "-F", "%U %p"]  # fmt: skip
        self._register = [*command, "-E"]
        super().__init__("subscriber", command)
        self.receipts: list[Receipt] = []
        self.keys: set[tuple[str, int]] = set()
        self.others: list[str] = []
        """What came on the topics of alerts and is none, such as the proof of the daemon's rights."""

    async def start(self) -> None:
        await finish(self._register)  # from here on the broker keeps everything for this session
        await super().start()

    def on_out(self, line: str) -> None:
        at, _, payload = line.partition(" ")
        document = json.loads(payload)
        if "alert_id" not in document:
            self.others.append(payload)
            return
        receipt = Receipt(document["alert_id"], document["seq"], digest(payload), float(at))
        self.receipts.append(receipt)
        self.keys.add(receipt.key)


class Victim(Child):
    """The process to be killed; each life begins where the ledger of the last one ends."""

    def __init__(self, folder: Path, broker: str, seed: int) -> None:
        self.state = folder / "state"
        path = folder / "streamwatch.yaml"
        path.write_text(yaml.safe_dump(cast.config(self.state, broker), sort_keys=False))
        self._words = [sys.executable, "-m", "tests.torture.victim", str(path)]
        self._seed = seed
        self.lives = 0
        self.offset_s = 0.0
        self.facts: dict[str, Any] = {}
        self.said: list[str] = []
        self._before: Counter[str] = Counter()
        """Counts of earlier lives, as last reported."""
        self.rate = self.solo_rate = 0.0
        self._log = folder / "daemon.log"
        self._told = 0
        self._news = asyncio.Event()
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(folder),
        }
        super().__init__("daemon", (), env=env, cwd=ROOT, feed=True)

    async def start(self) -> None:
        self.lives += 1
        self._command = (*self._words, str(self._seed + self.lives), str(self.offset_s))
        self._told = 0
        await super().start()
        await self.tell(f"sing {self.rate}")
        await self.tell(f"solo {self.solo_rate}")

    async def tell(self, command: str) -> None:
        """A line to its standard input; one that is just being killed does not hear it."""
        pipe = self.process.stdin
        assert pipe is not None
        self._told += 1
        with contextlib.suppress(ConnectionError):
            pipe.write(f"{command}\n".encode())
            await pipe.drain()

    async def obeyed(self, *, limit: float) -> None:
        """Wait until it has done all it was told in this life."""
        await self.until("obeyed", lambda count: count >= self._told, limit=limit)

    async def sing(self, rate: float, solo_rate: float | None = None) -> None:
        """Events a second, in this life and those to come."""
        self.rate = rate
        self.solo_rate = self.solo_rate if solo_rate is None else solo_rate
        await self.tell(f"solo {self.solo_rate}")
        await self.tell(f"sing {rate}")

    async def jump(self, seconds: float) -> None:
        """Set its wall clock forth, or back, in this life and those to come."""
        self.offset_s += seconds
        await self.tell(f"jump {seconds}")

    def on_out(self, line: str) -> None:
        self.facts = json.loads(line)
        self._news.set()

    def on_err(self, line: str) -> None:
        if len(self.said) >= _WORDS:
            del self.said[: _WORDS // 2]
        self.said.append(line)

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int | None:
        """SIGTERM asks through its own input: it has a chorus to end."""
        if how is signal.SIGTERM and self.running:
            await self.tell("stop")
            with contextlib.suppress(TimeoutError):
                await self.wait(self._stop_s)
        status = await super().stop(how)
        self._before += self.counts()
        self.facts = {}
        with self._log.open("a", encoding="utf-8") as log:
            log.writelines(f"{line}\n" for line in self.said)
        self.said.clear()
        return status

    def counts(self) -> Counter[str]:
        """What was counted in this life: levels spoken, silent and refused, alarms held back by reason."""
        return Counter(self.facts.get("counts", {}))

    @property
    def counted(self) -> Counter[str]:
        """The same, of all lives."""
        return self._before + self.counts()

    async def until(self, key: str, wanted: Any, *, limit: float) -> float:
        """Seconds until a fact is as wanted. A daemon that ends meanwhile is an error, and so is the limit's end."""
        begun = time.monotonic()
        while key not in self.facts or not wanted(self.facts[key]):
            left = limit - (time.monotonic() - begun)
            if left <= 0 or not self.running:
                tail = "\n  ".join(self.said[-15:])
                why = "in time" if self.running else "before the daemon ended by itself"
                raise AssertionError(f"{key} was not as wanted {why}: {self.facts}\n  {tail}")
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), min(left, 0.5))
        return time.monotonic() - begun


class Stage:
    """Broker, subscriber and daemon, with a proxy before each of the latter; where no trouble is wanted, no proxy.

    `forget_s`: the broker saves what it holds so often and no sooner, so that a kill forgets the acknowledged events of
    so many seconds. None: it saves every change at once.
    """

    def __init__(self, folder: Path, *, seed: int, forget_s: float | None = None, troubles: bool = True) -> None:
        self.folder = folder
        self._forget_s = forget_s
        careful = CAREFUL if troubles and forget_s is None else PERSISTENT
        self.broker = Broker(folder / "mosquitto", *careful)
        self.proxy, self.aside = Proxy(self.broker.port), Proxy(self.broker.port)
        self.listener = Listener(self.aside.port if troubles else self.broker.port)
        self.victim = Victim(folder, self.proxy.url if troubles else self.broker.url, seed)

    @contextlib.asynccontextmanager
    async def set(self) -> AsyncIterator[None]:
        """The broker and its subscriber are there; the daemon is the scenario's."""
        async with contextlib.AsyncExitStack() as stack:
            await self.broker.start()
            stack.push_async_callback(self.broker.stop)
            await stack.enter_async_context(self.proxy)
            await stack.enter_async_context(self.aside)
            await stack.enter_async_context(self.listener)
            stack.push_async_callback(self.victim.stop, signal.SIGKILL)
            saving = asyncio.create_task(self._saving(), name="saving")
            try:
                yield
            finally:
                saving.cancel()
                await asyncio.wait((saving,))

    async def _saving(self) -> None:
        while self._forget_s is not None:
            self.broker.save()
            await asyncio.sleep(self._forget_s)

    async def settle(self, *, limit: float) -> float:
        """Silence but for one last word, then wait until nothing is pending; returns the seconds.

        Once the last word is through, the line is known to stand, whatever the daemon believed of it.
        """
        await self.victim.sing(0.0, 0.0)
        await self.victim.tell("fill 1")
        await self.victim.obeyed(limit=limit)
        return await self.victim.until("pending", lambda pending: pending == 0, limit=limit)

    async def judge(self, *, patience_s: float = 15.0) -> tuple[list[Committed], Verdict]:
        """End the daemon in order, read its ledger, wait for what the broker still holds, and compare."""
        await self.victim.stop()
        assert self.listener.running, "the subscriber ended by itself"
        assert not any(reader.done() for reader in self.listener._readers), "what the subscriber says cannot be read"
        committed = await asyncio.to_thread(ledger.events, self.victim.state)
        owed = {event.key for event in committed}
        last, since = -1, time.monotonic()
        while not owed <= self.listener.keys and time.monotonic() - since < patience_s:
            if len(self.listener.receipts) != last:
                last, since = len(self.listener.receipts), time.monotonic()
            await asyncio.sleep(0.1)
        return committed, reach(committed, self.listener.receipts)
