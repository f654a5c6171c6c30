"""nginx-rtmp and mosquitto, each with a configuration, a folder and ports of its own."""

from __future__ import annotations

import getpass
from pathlib import Path

from tests.integration.process import Child, listening
from tests.ports import free_port

_NGINX = """
load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
daemon off;
user {user};
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 512; }}
rtmp {{
    access_log off;
    server {{
        listen 127.0.0.1:{rtmp};
        application live {{       # as the README's recipe says
            live on;
            publish_notify on;
            idle_streams off;
        }}
        application plain {{      # nginx-rtmp's defaults
            live on;
        }}
        application hls {{
            live on;
            hls on;
            hls_path {folder}/hls;
            hls_fragment 2s;
            hls_playlist_length 8s;
        }}
    }}
}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; }}
    server {{
        listen 127.0.0.1:{http};
        location /hls {{ root {folder}; add_header Cache-Control no-cache; }}
    }}
}}
"""
HLS_TARGET_S = 2.0


class Nginx(Child):
    """RTMP in; RTMP (`live`, `plain`) and HLS (`hls`) out."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        (folder / "hls").mkdir()
        self.rtmp_port, self.http_port = free_port(), free_port()
        config = folder / "nginx.conf"
        text = _NGINX.format(user=getpass.getuser(), folder=folder, rtmp=self.rtmp_port, http=self.http_port)
        config.write_text(text)
        command = ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(config)]
        super().__init__("nginx", command)

    async def start(self) -> None:
        await super().start()
        await listening(self.rtmp_port, self)
        await listening(self.http_port, self)

    def forget(self, name: str) -> None:
        """Take a playlist away at once, as its cleaner does some time after the end of the publication."""
        (self._folder / "hls" / f"{name}.m3u8").unlink()

    def publish_url(self, app: str, name: str) -> str:
        return f"rtmp://127.0.0.1:{self.rtmp_port}/{app}/{name}"

    def play_url(self, app: str, name: str) -> str:
        if app == "hls":
            return f"http://127.0.0.1:{self.http_port}/hls/{name}.m3u8"
        return self.publish_url(app, name)


class Mosquitto(Child):
    """A broker that keeps what it owes when it is stopped in an orderly way."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.port = free_port()
        config = folder / "mosquitto.conf"
        config.write_text(
            f"user {getpass.getuser()}\n"
            f"persistence true\npersistence_location {folder}/\n"
            f"log_dest stderr\nlog_type error\nlog_type warning\n"
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\n"
        )
        super().__init__("mosquitto", ["mosquitto", "-c", str(config)])

    async def start(self) -> None:
        await super().start()
        await listening(self.port, self)

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"
