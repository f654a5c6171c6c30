"""How each kind of address is opened with FFmpeg: options, formats to be recognised, protocols that may be used."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import IO

from streamwatch.domain.errors import PolicyRefused, Unreachable
from streamwatch.domain.urls import SafeUrl
from streamwatch.sources.fallback.rtsp_check import USER_AGENT

FILE_FORMATS = "mov,flv,mpegts,matroska,avi,mpeg,ivf,ogg,h264,hevc,obu,mxf,asf,m4v"
"""Formats that hold the media themselves: nothing here opens a second address (no hls, concat, sdp, image2)."""


@dataclass(frozen=True, slots=True)
class Opening:
    """Arguments for one attempt at `av.open`."""

    format: str | None
    options: dict[str, str]


@dataclass(frozen=True, slots=True)
class Kind:
    """One transport: its metric label and the attempts to open it, the cheapest first."""

    transport: str
    attempts: tuple[Opening, ...]


_PROTOCOLS = {
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,rtmp,tls,tcp",
    "rtsp": "rtsp,rtp,tcp",
    "srt": "srt,udp",
}

# FFmpeg decodes pictures while it probes, with no limit to their size, before anyone can judge them. It is given no
# decoder: its parsers find sizes and parameter sets without one, and the decode worker has its own.
_NO_DECODER = {"codec_whitelist": "none"}

# FFmpeg cannot skip probing, so it is bounded by time, in microseconds; 0 would mean its own default of seconds, and
# the frame rate is not worth waiting for. The first attempt is over with the first packet, which finds the video of a
# stream without audio at once; where audio comes first, the second one ends as soon as both tracks are known.
_QUICK = {"probesize": "32768", "analyzeduration": "1", "fpsprobesize": "0"}
_PATIENT = {"probesize": "5000000", "analyzeduration": "10000000", "fpsprobesize": "0"}


def network(scheme: str, *, rw_timeout_s: float, mark: int = 0) -> Kind:
    """How to open rtmp, rtmps, rtsp or srt. Every wait of FFmpeg's ends after `rw_timeout_s`.

    `mark` as `sockets.new_mark` gives it; RTSP and SRT have no place for it.
    """
    microseconds = str(int(rw_timeout_s * 1e6))
    common = {"protocol_whitelist": _PROTOCOLS[scheme], **_NO_DECODER}
    if scheme == "rtsp":
        # RTSP has the same limit under another name. TCP, because every address was checked and UDP invites strangers.
        # FFmpeg follows an RTSP redirect by itself: see rtsp_check.py.
        common |= {"timeout": microseconds, "rtsp_transport": "tcp", "allowed_media_types": "video"}
        common |= {"user_agent": USER_AGENT}
        return Kind("rtsp", (Opening("rtsp", common | _PATIENT),))
    common |= {"rw_timeout": microseconds}
    if scheme == "srt":
        return Kind("srt", (Opening("mpegts", common | _PATIENT),))
    common |= {"rtmp_live": "live"} | ({"send_buffer_size": str(mark)} if mark else {})
    return Kind("rtmp", (Opening("flv", common | _QUICK), Opening("flv", common | _PATIENT)))


def segments(container: str) -> Opening:
    """How to open the bytes of HLS segments."""
    probing = {"probesize": "5000000", "analyzeduration": "1000000"}
    return Opening(container, {"protocol_whitelist": "none", **_NO_DECODER, **probing})


def file() -> Opening:
    """How to open a regular file that is already an open Python file."""
    # Probed no further than needed: what lies behind a change of format would else be taken for the beginning.
    probing = {"probesize": "5000000", "analyzeduration": "500000", "fpsprobesize": "0"}
    return Opening(None, {"protocol_whitelist": "none", "format_whitelist": FILE_FORMATS, **_NO_DECODER, **probing})


def open_file(url: SafeUrl) -> IO[bytes]:
    """Open a configured file: a regular one only, no link, device or pipe, so that nothing blocks or leads elsewhere.

    Raises:
        PolicyRefused: it is no regular file.
        Unreachable: it cannot be opened.

    """
    try:
        descriptor = os.open(url.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as e:
        if os.path.islink(url.path):  # noqa: PTH114 - a path may be anything the configuration says
            raise PolicyRefused("a symbolic link is not opened: name the file itself") from e
        raise Unreachable(f"the file cannot be opened ({e.strerror})") from e
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise PolicyRefused("only regular files are opened")
    return os.fdopen(descriptor, "rb")
