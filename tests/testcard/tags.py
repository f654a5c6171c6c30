"""Short streams made at once, without a clock."""

from __future__ import annotations

from streamwatch.testcard.encode import Encoder, Encoding
from streamwatch.testcard.flv import FlvSplitter, FlvTag
from streamwatch.testcard.scene import scene
from streamwatch.testcard.ts import Segment, TsSegmenter

SMALL = Encoding(width=160, height=96, fps=10, key_interval_s=0.5)


def flv_tags(seconds: float = 3.0, encoding: Encoding = SMALL) -> list[FlvTag]:
    splitter = FlvSplitter()
    return [tag for data in muxed("flv", seconds, encoding) for tag in splitter.feed(data)]


def ts_segments(seconds: float = 8.0, encoding: Encoding = SMALL, target_s: float = 1.0) -> list[Segment]:
    segmenter = TsSegmenter(target_s)
    return [one for data in muxed("mpegts", seconds, encoding) for one in segmenter.feed(data)]


def muxed(container, seconds, encoding):
    encoder = Encoder(encoding, container)
    for index in range(round(seconds * encoding.fps)):
        yield encoder.encode(scene("test", index / encoding.fps, encoding.width, encoding.height), index)
    yield encoder.close()
