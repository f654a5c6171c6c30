"""Fragmented MP4 as packagers other than FFmpeg's write it; what FFmpeg's writes, the reader's own tests compare."""

from __future__ import annotations

import contextlib
import io
import time

import av
import pytest

from streamwatch.sources.hls import fmp4
from streamwatch.sources.hls.fmp4 import Need, Sample, Track
from streamwatch.sources.hls.units import NotMedia, NoVideo
from tests.sources import media
from tests.sources.hls.origin import cut_fragments, fragmented

FLAGS = "frag_keyframe+empty_moov+default_base_moof"


def box(kind: bytes, *inside: bytes) -> bytes:
    body = b"".join(inside)
    return (8 + len(body)).to_bytes(4) + kind + body


def full(kind: bytes, flags: int, *inside: bytes, version: int = 0) -> bytes:
    return box(kind, bytes([version]) + flags.to_bytes(3), *inside)


def word(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(4) for number in numbers)


def track_of(source: bytes) -> Track:
    found = fmp4.read_track(source)
    assert found is not None
    return found


@pytest.mark.parametrize("flags", [FLAGS, "frag_keyframe+empty_moov", f"{FLAGS}+omit_tfhd_offset+cmaf"])
def test_the_ways_ffmpeg_writes_them(flags):
    data = fragmented(media.encode("mpegts", frames=60, options=media.X264_B), flags=flags)
    wanted = media.packets(data)
    found = list(fmp4.units(data, track_of(data)))
    assert [unit.data for unit in found] == [packet.data for packet in wanted]
    assert [unit.key for unit in found] == [packet.key for packet in wanted]
    steps = {unit.pts.seconds_exact - packet.pts.seconds_exact for unit, packet in zip(found, wanted, strict=True)}
    assert len(steps) == 1  # an edit list may move all of them


@pytest.mark.parametrize(
    ("encoder", "codec", "options"),
    [("libvpx-vp9", "vp9", {"deadline": "realtime", "cpu-used": "8", "g": "10"}),
     ("libsvtav1", "av1", {"preset": "13", "g": "10", "svtav1-params": "lp=1"})],
)  # fmt: skip
def test_other_codecs(encoder, codec, options):
    out = io.BytesIO()
    with av.open(out, "w", format="mp4", options={"movflags": FLAGS}) as made:
        video = made.add_stream(encoder, rate=25, options=options)
        video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
        for index in range(20):
            frame = av.VideoFrame.from_ndarray(media.picture(index, 160, 120), format="rgb24")
            frame.pts = index
            made.mux(video.encode(frame))
        made.mux(video.encode(None))
    wanted = media.packets(out.getvalue())
    track = track_of(out.getvalue())
    found = list(fmp4.units(out.getvalue(), track))
    assert [(unit.data, unit.key) for unit in found] == [(packet.data, packet.key) for packet in wanted]
    assert track.config.codec == codec
    assert track.config.extradata == wanted[0].config.extradata
    assert (track.config.width, track.config.height) == (160, 120)


def test_sound_beside_the_video_is_passed_over():
    data = _with_sound()
    track = track_of(data)
    found = list(fmp4.units(data, track))
    wanted = media.packets(data)
    assert [unit.data for unit in found] == [packet.data for packet in wanted]
    _, first, *_ = cut_fragments(data)
    key = fmp4.first_key(first, track)
    assert isinstance(key, Sample)
    assert first[key.offset : key.offset + key.size] == wanted[0].data


def test_samples_do_not_lie_upon_each_other():
    data = fragment(full(b"trun", 0x1, word(1, 0)) * 3)
    with pytest.raises(NotMedia):
        list(fmp4.units(data, TRACK._replace(defaults=(1, len(data) // 2, 0))))


def _with_sound() -> bytes:
    out, source = io.BytesIO(), media.encode("mp4", frames=50, audio=True)
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    with av.open(out, "w", format="mp4", options=options) as made, av.open(io.BytesIO(source)) as opened:
        tracks = {stream.index: made.add_stream_from_template(stream) for stream in reversed(opened.streams)}
        for packet in opened.demux():
            if packet.size and packet.pts is not None:
                packet.stream = tracks[packet.stream.index]
                made.mux(packet)
    return out.getvalue()


def fragment(run: bytes, *, head: bytes = b"", flags: int = 0x20000, when: int = 90) -> bytes:
    """A fragment of track 1, whose sample data begin with its mdat."""
    return box(b"moof", box(b"traf", full(b"tfhd", flags, word(1), head), full(b"tfdt", 0, word(when)), run))


TRACK = track_of(fragmented(media.encode("mpegts", frames=10)))._replace(number=1, defaults=(3, 5, 0x10000))


def test_what_a_sample_does_not_say_its_track_does():
    run = full(b"trun", 0x5, word(2, 0, 0))
    made = fragment(full(b"trun", 0x5, word(2, len(fragment(run)) + 8, 0))) + box(b"mdat", b"AAAAABBBBB")
    units = list(fmp4.units(made, TRACK))
    assert [(unit.data, unit.dts.ticks, unit.key) for unit in units] == [(b"AAAAA", 90, True), (b"BBBBB", 93, False)]


def test_what_the_fragment_says_comes_before_what_the_track_says():
    def made(offset: int) -> bytes:
        run = full(b"trun", 0x801, word(2, offset, 7), (-7 & 0xFFFFFFFF).to_bytes(4), version=1)
        return fragment(run, head=word(40, 2, 0), flags=0x20038)

    data = made(len(made(0)) + 8) + box(b"mdat", b"AABB")
    units = list(fmp4.units(data, TRACK))
    assert [(unit.data, unit.pts.ticks, unit.dts.ticks, unit.key) for unit in units] == [
        (b"AA", 97, 90, True),
        (b"BB", 123, 130, True),
    ]


def test_the_first_key_is_found_from_the_head_of_a_segment_alone():
    init, segment, *_ = cut_fragments(fragmented(media.encode("mpegts", frames=50)))
    track = track_of(init)
    needed = fmp4.first_key(segment[:100], track)
    assert isinstance(needed, Need)
    assert 100 < needed.offset + needed.size < 2000
    found = fmp4.first_key(segment[: needed.offset + needed.size], track)
    assert isinstance(found, Sample)
    assert segment[found.offset : found.offset + found.size] == media.packets(init + segment)[0].data


def test_protected_tracks_and_tracks_of_sound_are_named():
    data = fragmented(media.encode("mpegts", frames=10))
    with pytest.raises(NoVideo, match="encrypted"):
        fmp4.read_track(data.replace(b"avc1\x00", b"encv\x00"))
    with pytest.raises(NoVideo, match="no video"):
        fmp4.read_track(data.replace(b"vide", b"soun"))
    assert fmp4.read_track(b"") is None


@pytest.mark.parametrize(
    "data",
    [
        word(4) + b"moof" + bytes(20),
        fragment(full(b"trun", 0x100, word(0xFFFFFFFF))),
        fragment(full(b"trun", 0, word(0xFFFFFFF))),
        fragment(full(b"trun", 0x1, word(1, 0x80000000))),
        fragment(b"", flags=0x39),
        b"\x00\x00\x00\x08free" * 5000,
        word(1) + b"moof" + b"\xff" * 8 + bytes(50),
        word(0) + b"moof" + box(b"traf"),
        box(b"moof", box(b"traf", full(b"tfhd", 0, word(1)), box(b"tfdt"))),
        box(b"moof", box(b"traf", full(b"tfhd", 0x10, word(1, 0)), full(b"trun", 0, word(10_000)))) * 40,
        box(b"moof", box(b"traf") * 4000) * 4,
    ],
)
def test_numbers_that_nobody_could_mean_are_refused_or_passed_over_at_little_cost(data):
    began = time.thread_time()
    with contextlib.suppress(NotMedia):
        assert list(fmp4.units(data, TRACK)) == []
    assert time.thread_time() - began < 0.5  # not quadratic: that would be minutes
