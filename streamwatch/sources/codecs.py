"""Which video codecs are decoded here. Needs no decoder to be loaded."""

from __future__ import annotations

from streamwatch.domain.errors import CodecUnsupported
from streamwatch.domain.urls import printable

_LIVE = frozenset({
    "h264", "hevc", "av1", "vp8", "vp9", "mpeg4", "mpeg2video", "mpeg1video", "h263", "flv1", "mjpeg",
})  # fmt: skip
"""What live streams are made of. FFmpeg has hundreds of decoders more, old, odd and written for other surroundings:
a stranger's bytes do not choose among them."""


def refuse_unknown(codec: str) -> None:
    """Raise CodecUnsupported for anything but a video codec of live streams, by FFmpeg's canonical name."""
    if codec not in _LIVE:
        raise CodecUnsupported(f"{printable(codec, 40) or 'a codec without a name'} is not decoded here")
