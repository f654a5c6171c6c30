"""Playlists of any form are read at little cost, or refused; what they list can be asked for without surprises."""

from __future__ import annotations

import contextlib

from streamwatch.sources.hls.playlist import NotAPlaylist, lowest, parse
from tests.fuzz.engine import Target

READS = ("sources.hls.playlist", "sources.hls.tags", "sources.hls.listed")
PLAYLISTS = [
    (b"#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:9\n#EXT-X-DISCONTINUITY-SEQUENCE:2\n"
    b'#EXT-X-MAP:URI="i.mp4",BYTERANGE="720@0"\n#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0x0102,KEYFORMAT="identity"\n'
    b"#EXT-X-PROGRAM-DATE-TIME:2026-11-22T10:00:00.000Z\n#EXTINF:4.0,\n#EXT-X-BYTERANGE:100@720\nf.mp4\n"
    b"#EXT-X-DISCONTINUITY\n#EXT-X-GAP\n#EXTINF:3.9,title\ns.mp4\n#EXT-X-ENDLIST\n"),
    (b'#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.0\n'
    b"#EXT-X-PART-INF:PART-TARGET=0.33\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXTINF:2,\ns4.mp4\n"
    b'#EXT-X-PART:DURATION=0.33,URI="p5.0.mp4",INDEPENDENT=YES\n#EXT-X-PART:DURATION=0.33,URI="p5.1.mp4",GAP=YES\n'
    b'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p5.2.mp4"\n#EXT-X-RENDITION-REPORT:URI="../1M/w.m3u8",LAST-MSN=5\n'),
    (b'#EXTM3U\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x",URI="a.m3u8"\n'
    b'#EXT-X-STREAM-INF:BANDWIDTH=800000,RESOLUTION=640x360,CODECS="avc1.4d401e,mp4a.40.2"\n360.m3u8\n'
    b'#EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS="mp4a.40.2"\nsound.m3u8\n'
    b'#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=80000,RESOLUTION=640x360,URI="keys.m3u8"\n'),
    b"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-I-FRAMES-ONLY\n#EXTINF:2,\n#EXT-X-BYTERANGE:9000@376\ns.ts\n",
]  # fmt: skip


def check_playlist(data: bytes) -> None:
    try:
        playlist = parse(data if data.startswith(b"#EXTM3U") else b"#EXTM3U\n" + data, "http://example.com/a/b.m3u8")
    except NotAPlaylist:
        return
    assert 0.5 <= playlist.target_s <= 120
    assert playlist.next_number - playlist.first == len(playlist.segments)
    listed = list(playlist.segments) + ([playlist.part.segment] if playlist.part else [])
    for segment in listed:
        for ask in ("url", "map_url", "map_span", "encrypted", "cipher"):
            with contextlib.suppress(ValueError):
                getattr(segment, ask)
        assert segment.span is None or segment.span[1] > 0
    if playlist.renditions:
        assert lowest(playlist.renditions) in playlist.renditions
    for rendition in (*playlist.renditions, *playlist.pictures):
        with contextlib.suppress(ValueError):
            assert rendition.url


TARGETS = (Target("playlist", check_playlist, lambda: PLAYLISTS, READS, brief=2000),)
