"""A watcher without streams: a real process that speaks the link and does on demand what watchers must not.

Started as `python watcher_process.py --link-fd N`. What it does wrong is told by what it is asked to do:
an address `test:crash`, `test:exit`, `test:hang`, `test:leak`, `test:silence`, `test:garbage`, `test:flood`,
`test:volume`, `test:chatter`, `test:token`, `test:label`, `test:twice`,
`test:future`, `test:hit-in-future` or `test:detector` (`test:look-…`: while it looks at that stream); a `max_pixels` of
`REFUSE_DETECTORS`, `REFUSE_SANDBOX`, `END`, `NEVER_READY`; `--deaf` ignores `Stop` and SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime

from streamwatch.domain.decisions import Level
from streamwatch.domain.errors import LinkError
from streamwatch.link.blackbox import BlackBox
from streamwatch.link.frames import encode
from streamwatch.link.messages import (
    MAX_REPORT,
    Assign,
    Beat,
    Configure,
    Demand,
    Failed,
    HitSeen,
    Layer,
    LoadedDetector,
    Ready,
    Release,
    Restand,
    RuleLevel,
    Sampled,
    ScoreLine,
    Stop,
    StreamLevel,
    ToWatcher,
)
from streamwatch.link.transport import Link
from streamwatch.sandbox.enter import enter

REFUSE_DETECTORS = 13
REFUSE_SANDBOX = 14
END = 15
NEVER_READY = 16
BEAT_S = 0.1


def say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


class FakeWatcher:
    def __init__(self, link: Link[ToWatcher], *, deaf: bool) -> None:
        self._link = link
        self._deaf = deaf
        self._busy_s = 0.0
        self._rss_bytes = os.getpid()
        self._silent = False
        self._epochs: dict[str, int] = {}
        self._looks = ExitStack()

    async def run(self) -> None:
        beating = asyncio.create_task(self._beat(), name="beat")
        try:
            async for message in self._link:
                if isinstance(message, Stop) and not self._deaf:
                    return
                self._do(message)
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating

    async def _beat(self) -> None:
        with suppress(LinkError):
            while True:
                if not self._silent:
                    self._link.post(
                        Beat(
                            busy_s=self._busy_s,
                            rss_bytes=self._rss_bytes,
                            cpu={},
                            looks_dropped=0,
                            packets_dropped=0,
                            received={},
                        )
                    )
                await asyncio.sleep(BEAT_S)

    def _do(self, message: ToWatcher) -> None:
        match message:
            case Configure():
                self._configure(message)
            case Assign():
                self._epochs[message.stream] = message.epoch
                self._misbehave(message)
                self._link.post(self._level(message.stream))
                self._link.post(self._sampled(message.stream))
                for standing in message.standing:
                    self._rule(message.stream, standing.rule, open_=standing.open)
            case Restand():
                for standing in message.standing:
                    self._rule(message.stream, standing.rule, open_=standing.open)
            case Demand():
                self._rule(message.stream, "demand", open_=message.suspicion > 0)
            case Release():
                self._link.post(self._level(message.stream, ended=True))
                del self._epochs[message.stream]
            case _:
                pass

    def _configure(self, message: Configure) -> None:
        wrong = message.max_pixels
        if wrong == REFUSE_DETECTORS:
            self._link.post(Failed(what="detectors", detail="the hash of model.onnx differs"))
        elif wrong == REFUSE_SANDBOX:
            self._link.post(Failed(what="sandbox", detail="no Landlock; privacy.sandbox: preferred"))
        elif wrong == END:
            say("ImportError: nothing works")
            os._exit(1)
        elif wrong != NEVER_READY:
            label = LoadedDetector(name="pixels", version=str(wrong), sha256="", labels=())
            self._link.post(Ready(pid=os.getpid(), sandbox=(Layer(name="fake", in_force=True),), detectors=(label,)))

    def _misbehave(self, message: Assign) -> None:  # noqa: C901, PLR0912 - one case a misdeed
        match message.url:
            case "test:crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "test:exit":
                os._exit(3)
            case "test:hang":
                self._busy_s = 100.0
            case "test:leak":
                self._rss_bytes = 2**40
            case "test:silence":
                self._silent = True
            case "test:garbage":
                os.write(LINK_FD, b"\x00\x00\x00\x02{}")
            case "test:flood":
                os.write(LINK_FD, b"\xff\xff\xff\xff")
            case "test:volume":  # well-formed, allowed one by one, and no end to it
                self._insist(self._level(message.stream).model_copy(update={"detail": "so many words. " * 20}))
            case "test:chatter":
                self._insist(self._level(message.stream))
            case "test:token":
                body = self._level(message.stream).model_dump_json().replace('"session":"s"', '"session":"QUJD/+=="')
                os.write(LINK_FD, len(body).to_bytes(4, "big") + body.encode())
            case "test:stale":
                self._epochs[message.stream] -= 1
            case "test:forge":
                self._link.post(
                    StreamLevel(epoch=1, stream="of-another", session="", live=True, ended=False, reason=None)
                )
            case "test:future" | "test:detector" | "test:hit-in-future" | "test:label" | "test:twice":
                self._post_lie(message.stream, message.url)
            case "test:look-crash" | "test:look-exit":
                with BOX.looking(message.epoch):
                    self._misbehave(message.model_copy(update={"url": message.url.replace("look-", "")}))
            case "test:look-hang":
                self._busy_s = 100.0
                self._looks.enter_context(BOX.looking(message.epoch))
            case _:
                pass

    def _insist(self, message: StreamLevel) -> None:
        """Say it for ever, past everything that would hold us back."""
        alive = Beat(busy_s=0, rss_bytes=1, cpu={}, looks_dropped=0, packets_dropped=0, received={})
        frames = encode(message, MAX_REPORT) * 100 + encode(alive, MAX_REPORT)
        os.set_blocking(LINK_FD, True)
        while True:
            os.write(LINK_FD, frames)

    def _post_lie(self, stream: str, url: str) -> None:
        """What is valid and cannot be true."""
        sample, soon = self._sampled(stream), time.monotonic() + 60
        match url:
            case "test:future":
                self._link.post(sample.model_copy(update={"arrival": soon}))
            case "test:label" | "test:twice":
                labels = ("made-up",) if url == "test:label" else ("test_card", "test_card")
                line = ScoreLine(detector="card", values=tuple((label, 0.5) for label in labels), infer_s=0)
                self._link.post(sample.model_copy(update={"scores": (line,)}))
            case "test:detector":
                line = ScoreLine(detector="made-up", values=(("label", 0.5),), infer_s=0)
                self._link.post(sample.model_copy(update={"scores": (line,)}))
            case _:
                self._rule(stream, "r", open_=True, hit=HitSeen(at=sample.at, arrival=soon, media_s=0, score=1))

    def _level(self, stream: str, *, ended: bool = False) -> StreamLevel:
        return StreamLevel(
            epoch=self._epochs[stream], stream=stream, session="s", live=not ended, ended=ended, reason=None
        )

    def _sampled(self, stream: str) -> Sampled:
        return Sampled(
            epoch=self._epochs[stream],
            stream=stream,
            session="s",
            at=datetime.now(UTC),
            arrival=0,
            media_s=0,
            gap_s=None,
            key=True,
            corrupt=False,
            decode_s=0,
            scores=(),
        )

    def _rule(self, stream: str, rule: str, *, open_: bool, hit: HitSeen | None = None) -> None:
        self._link.post(
            RuleLevel(
                epoch=self._epochs[stream],
                stream=stream,
                session="s",
                rule=rule,
                level=Level.ALARM if open_ else Level.CALM,
                suspicion=0,
                score=0,
                last_seen=hit,
            )
        )


async def main(fd: int, *, deaf: bool) -> None:
    link = await Link.to_daemon(fd)
    with suppress(LinkError):
        await FakeWatcher(link, deaf=deaf).run()
    if deaf:
        await asyncio.Event().wait()
    await link.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--link-fd", type=int, required=True)
    parser.add_argument("--sandbox", default="off")
    parser.add_argument("--deaf", action="store_true")
    parser.add_argument("--say", default="")
    parser.add_argument("--import", dest="imports", default="")
    arguments = parser.parse_args()
    LINK_FD = arguments.link_fd
    BOX = BlackBox.inherited()
    enter(arguments.sandbox, keep_fds=(LINK_FD,))
    if arguments.deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for name in filter(None, arguments.imports.split(",")):
        __import__(name)
    if arguments.say == "environment":
        say(json.dumps({"env": dict(os.environ), "sid": os.getsid(0), "pid": os.getpid()}))
    elif arguments.say:
        say(arguments.say)
    asyncio.run(main(LINK_FD, deaf=arguments.deaf))
