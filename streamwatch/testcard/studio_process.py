"""The studio as a process of its own: addresses on standard output, orders on standard input."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import stat
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import cv2
import structlog

from streamwatch.testcard.encode import Encoding
from streamwatch.testcard.scene import Script
from streamwatch.testcard.studio import HALL, LOBBY, StreamPlan, Studio

_MAX_LINE: Final = 1024


def main(argv: Sequence[str] | None = None) -> None:
    """Run the studio until SIGTERM, SIGINT or the end of standard input."""
    arguments = _parser().parse_args(argv)
    cv2.setNumThreads(1)  # its pool would wake for every small picture, at twice the price
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(_run(_plans(arguments), rtmp_port=arguments.rtmp_port, http_port=arguments.http_port,
                     as_json=arguments.json))  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    encoding, script = Encoding(), Script()
    parser = argparse.ArgumentParser(
        prog="python -m streamwatch.testcard.studio",
        description="Two harmless live streams on loopback that show the test card from time to time.",
        epilog="orders on standard input: card NAME on|off|auto, begin|end|vanish|freeze|resume NAME",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line on standard output")
    parser.add_argument("--width", type=int, default=encoding.width, help="pixels (%(default)s)")
    parser.add_argument("--height", type=int, default=encoding.height, help="pixels (%(default)s)")
    parser.add_argument("--fps", type=int, default=encoding.fps, help="frames a second (%(default)s)")
    parser.add_argument("--rtmp-port", type=int, default=0, help="0: a free one")
    parser.add_argument("--http-port", type=int, default=0, help="0: a free one")
    parser.add_argument("--card", choices=("script", "off"), default="script", help="show the test card by itself")
    parser.add_argument("--every", type=float, default=script.every_s, help="seconds between two shows (%(default)s)")
    parser.add_argument("--length", type=float, default=script.length_s, help="seconds of a show (%(default)s)")
    return parser


def _plans(arguments: argparse.Namespace) -> tuple[StreamPlan, ...]:
    encoding = Encoding(width=arguments.width, height=arguments.height, fps=arguments.fps)
    never = float("inf")

    def plan(base: StreamPlan) -> StreamPlan:
        first_s = base.card.first_s if arguments.card == "script" else never
        script = Script(first_s=first_s, length_s=arguments.length, every_s=arguments.every)
        return replace(base, encoding=encoding, card=script)

    return plan(LOBBY), plan(HALL)


async def _run(plans: Sequence[StreamPlan], *, rtmp_port: int, http_port: int, as_json: bool) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Studio(plans, rtmp_port=rtmp_port, http_port=http_port) as studio, asyncio.TaskGroup() as group:
        await studio.ready()
        _tell({"type": "ready", "streams": studio.urls}, as_json=as_json)
        orders = group.create_task(_obey(studio, stop, as_json=as_json), name="studio orders")
        await stop.wait()
        orders.cancel()


async def _obey(studio: Studio, stop: asyncio.Event, *, as_json: bool) -> None:
    """Obey lines of standard input; its end stops us. Where nobody can write to it (a file, /dev/null), do nothing."""
    mode = os.fstat(sys.stdin.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or sys.stdin.isatty()):
        return
    reader = asyncio.StreamReader(limit=_MAX_LINE)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        while True:
            try:
                line = await reader.readline()
            except ValueError:
                continue  # longer than any order; the reader dropped it
            if not line:
                return
            order = line.decode(errors="replace").strip()
            try:
                studio.control(order)
            except ValueError as error:
                _tell({"type": "error", "order": order, "error": str(error)}, as_json=as_json)
            else:
                _tell({"type": "done", "order": order}, as_json=as_json)
    except BrokenPipeError:
        return  # nobody reads our answers any more: whoever started us is gone
    finally:
        transport.close()
        stop.set()


def _tell(what: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        text = json.dumps(what)
    elif what["type"] == "ready":
        streams = what["streams"]
        text = "\n".join(f"{name}: {url}" for name, url in streams.items()) if isinstance(streams, dict) else ""
    else:
        text = f"{what['type']}: {what.get('error') or what['order']}"
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
