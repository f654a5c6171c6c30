"""The publisher against an ingest server that is not ours."""

import asyncio
import contextlib
import os
import shutil
import socket
from pathlib import Path

import pytest

from streamwatch.domain.errors import Dropped, Refused
from streamwatch.domain.urls import SafeUrl
from streamwatch.testcard.rtmp_publish import publish_card
from tests.testcard.player import playing

MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not (shutil.which("nginx") and MODULE.exists()), reason="nginx with its RTMP module is missing"),
]

CONFIG = """
load_module {module};
daemon off; master_process off; pid {folder}/pid; error_log {folder}/errors info;
events {{}}
rtmp {{
  access_log off;
  server {{
    listen 127.0.0.1:{port}; ping 1s; ack_window 20000; chunk_size 4000;
    application live {{ live on; publish_notify on; }}
  }}
}}
"""


@pytest.fixture
async def nginx(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = tmp_path / "nginx.conf"
    config.write_text(CONFIG.format(module=MODULE, folder=tmp_path, port=port))
    process = await asyncio.create_subprocess_exec(
        "nginx", "-p", str(tmp_path), "-c", str(config), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(ConnectionRefusedError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    break
                await asyncio.sleep(0.02)  # a server in another process can only be asked
        writer.close()
        await writer.wait_closed()
        yield f"rtmp://127.0.0.1:{port}", process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, 9)
        await process.wait()


async def test_nginx_takes_our_stream_and_another_player_gets_the_card(nginx):
    base, _ = nginx
    states: asyncio.Queue[str] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        url = SafeUrl(f"{base}/live/card?key=1")
        publishing = group.create_task(
            publish_card(url, width=320, height=180, fps=10, seconds=6, on_state=states.put_nowait)
        )
        async with asyncio.timeout(10):
            while await states.get() != "publishing":
                pass
        played = await playing(f"{base}/live/card")
        await publishing
    assert played.error == ""
    assert played.size == (320, 180)
    assert len(played.cards) >= 20
    assert all(played.cards)
    assert states.get_nowait() == "ended"


async def test_nginx_refuses_a_second_publisher_in_its_own_words_and_its_death_is_noticed(nginx):
    base, process = nginx
    url = SafeUrl(f"{base}/live/one")
    states: asyncio.Queue[str] = asyncio.Queue()

    async def first():
        with pytest.raises(Dropped):
            await publish_card(url, width=320, height=180, fps=10, on_state=states.put_nowait)

    async with asyncio.TaskGroup() as group:
        group.create_task(first())
        async with asyncio.timeout(10):
            while await states.get() != "publishing":
                pass
        with pytest.raises(Refused, match="Already publishing"):
            await publish_card(url, width=320, height=180, fps=10)
        process.kill()
