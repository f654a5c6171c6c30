"""What a server answers beside media: heads of HTTP, redirects, an RTSP server's first words, a refusal of RTMP."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import SimpleNamespace
from typing import Any, cast

from streamwatch.domain.errors import PolicyRefused, StreamError
from streamwatch.domain.urls import SafeUrl
from streamwatch.sources.fallback import rtsp_check
from streamwatch.sources.hls import http
from streamwatch.sources.rtmp import riddle
from streamwatch.sources.rtmp.place import place
from tests.fuzz.engine import Target

SECRET = "hunter2hunter2"  # noqa: S105
_URL = SafeUrl(f"http://u:{SECRET}@origin.example:8080/a/live.m3u8?key={SECRET}")
_RTSP = SafeUrl(f"rtsp://u:{SECRET}@camera.example/a")
_SPAN = (700, 100)
_LONGEST = 900


def check_heads(data: bytes) -> None:
    """Lines: Content-Range, ETag, Last-Modified, Location."""
    lines = [*data.decode("latin-1").split("\n"), "", "", "", ""]
    names = ("Content-Range", "ETag", "Last-Modified", "Location")
    headers = dict(zip(names, lines, strict=False))
    response = cast("Any", SimpleNamespace(status=206, headers=headers, content_length=None))
    with contextlib.suppress(ValueError):
        start, total = http._place(response, _SPAN)
        assert start == 0
        assert total is None or 0 <= total < 10**15
    for sent in http._validators(response):
        assert "\r" not in sent
        assert "\n" not in sent, "a header of our next request could be written by the server"
    with contextlib.suppress(PolicyRefused):
        url = http._redirected(_URL, headers["Location"])
        if url.host != "origin.example":
            assert SECRET not in url.reveal(), "credentials go to another host"


def check_rtsp(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data[:60_000])
        theirs.shutdown(socket.SHUT_WR)
        try:
            rtsp_check.refuse_redirect(ours, _RTSP, stop=threading.Event(), total_s=5.0)
        except StreamError as error:
            assert len(str(error)) < _LONGEST
            assert str(error).isprintable()
            assert SECRET not in str(error)
        theirs.setblocking(False)  # noqa: FBT003 - a name it does not have
        with contextlib.suppress(BlockingIOError):
            assert SECRET.encode() not in theirs.recv(4096), "the password is sent before it is asked for"


def check_refusal(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    asked = place(SafeUrl(f"rtmp://u:{SECRET}@h/live/a"))
    again = riddle.answered(asked, text)
    if again is not None:
        assert again.app.startswith(f"{asked.app}?authmod=adobe&user=")
        assert SECRET not in again.app + again.tc_url, "the password itself is sent"
        assert len(again.app) < _LONGEST
        assert again.app.isprintable()


def check_place(data: bytes) -> None:
    url = SafeUrl("rtmp://" + data.decode("utf-8", "replace"))
    if not url.host:  # the policy refuses it before
        return
    found = place(url)
    assert "@" not in found.tc_url.partition("://")[2].partition("/")[0], "credentials in the application's address"


_ADOBE = (
    "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=u&salt=ab12&challenge=cd34&opaque=ef56",
    "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ",
)
_HEADS = (
    'bytes 700-799/5000\n"tag"\nSat, 21 Nov 2026 10:00:00 GMT\nhttps://cdn.example/x',
    'bytes 700-799/*\nW/"t"\n\n//other/a?b#c',
)
_SAID = (
    "RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\nRTSP/1.0 302 Moved\r\nCSeq: 2\r\nLocation: rtsp://10.0.0.1/x\r\n\r\n",
    "RTSP/1.0 301 Moved\r\nLocation: rtsp://u:p@h/a\r\n\r\n",
)

TARGETS = (
    Target("http-heads", check_heads, lambda: [one.encode() for one in _HEADS], ("sources.hls.http",)),
    Target("rtsp-answers", check_rtsp, lambda: [one.encode() for one in _SAID], ("sources.fallback.rtsp_check",), 400),
    Target("rtmp-refusal", check_refusal, lambda: [one.encode() for one in _ADOBE], ("sources.rtmp.riddle",)),
    Target("rtmp-place", check_place, lambda: [b"u:p@h:1935/live/inst/a?k=v", b"[::1]/live/mp4:a/b"],
           ("sources.rtmp.place",)),
)  # fmt: skip
