"""The daemon's HTTP side: metrics, health, the streams at a glance. Read-only; loopback unless configured otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from aiohttp import web

from streamwatch.domain.errors import OutsideError
from streamwatch.telemetry.metrics import CONTENT_TYPE

log = structlog.get_logger(__name__)

STREAMS_LISTED = 1000


def application(
    *,
    metrics: Callable[[], bytes],
    health: Callable[[], dict[str, Any]],
    ready: Callable[[], tuple[str, ...]],
    streams: Callable[[], list[dict[str, Any]]],
    coverage: Callable[[], dict[str, Any]],
) -> web.Application:
    """Routes over functions that answer at once, on the event loop.

    `health`: facts for `/healthz`; `ready`: what is missing for `/readyz`, empty when nothing is; `streams`: one object
    per stream for `/streams`, at most `STREAMS_LISTED` of them; `coverage`: the answer of `/coverage`.
    """

    async def get_metrics(_: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": CONTENT_TYPE})

    async def get_health(_: web.Request) -> web.Response:
        return web.json_response(health())

    async def get_ready(_: web.Request) -> web.Response:
        missing = ready()
        return web.json_response({"ready": not missing, "missing": missing}, status=503 if missing else 200)

    async def get_streams(_: web.Request) -> web.Response:
        listed = streams()
        return web.json_response({"streams": listed[:STREAMS_LISTED], "total": len(listed)})

    async def get_coverage(_: web.Request) -> web.Response:
        return web.json_response(coverage())

    async def get_index(_: web.Request) -> web.Response:
        return web.Response(text="streamwatch\n\n/metrics\n/healthz\n/readyz\n/streams\n/coverage\n")

    async def unnamed(_: web.Request, response: web.StreamResponse) -> None:
        response.headers["Server"] = "streamwatch"  # whose version is nobody's business

    app = web.Application(client_max_size=64 * 1024)
    app.on_response_prepare.append(unnamed)
    app.router.add_get("/", get_index)
    app.router.add_get("/metrics", get_metrics)
    app.router.add_get("/healthz", get_health)
    app.router.add_get("/readyz", get_ready)
    app.router.add_get("/streams", get_streams)
    app.router.add_get("/coverage", get_coverage)
    return app


@asynccontextmanager
async def listening(app: web.Application, *, host: str, port: int) -> AsyncIterator[int]:
    """Serve while the context lasts; yields the port. Raises OutsideError where it cannot be opened."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, shutdown_timeout=1.0)
        try:
            await site.start()
        except OSError as error:
            raise OutsideError(
                f"http.listen: cannot open {host}:{port}: {error.strerror or error}; choose a free port",
            ) from error
        opened = runner.addresses[0][1]
        log.info("listening", host=host, port=opened)
        yield opened
    finally:
        await runner.cleanup()
