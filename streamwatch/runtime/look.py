"""One look: packets in, scores out. The only place where a picture and the detectors meet."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from streamwatch.detectors.base import Detector
from streamwatch.detectors.glance import glance
from streamwatch.domain.errors import CodecUnsupported, DecodeFailed, ScoreFailed
from streamwatch.domain.evasion import Glance
from streamwatch.domain.media import MediaTime, Packet, Scores
from streamwatch.sources.base import Decoder, Picture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Outcome(StrEnum):
    """How a look ended."""

    SCORED = "scored"
    EMPTY = "empty"
    """The decoder gave no picture."""
    FAILED = "failed"
    """The bytes were no picture."""
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class Seen:
    """What remains of a look: no pixels."""

    outcome: Outcome
    packet: Packet | None = None
    """The packet whose picture was scored, or one received a few frames later."""
    media: MediaTime | None = None
    """Presentation time of the picture."""
    scores: tuple[Scores, ...] = ()
    infer_s: tuple[float, ...] = ()
    """Per detector, in the order of `scores`. All seconds here are processor time of the worker's thread."""
    width: int = 0
    height: int = 0
    corrupt: bool = False
    glance: Glance | None = None
    decode_s: float = 0.0
    scale_s: float = 0.0
    detail: str = ""
    unscored: bool = False
    """Failed, for there was a picture and no detector had a score for it: our trouble, not the stream's."""


class Spent(NamedTuple):
    """Processor seconds of the workers' threads, by what they were spent on."""

    decode_s: float = 0.0
    scale_s: float = 0.0
    infer_s: float = 0.0
    inner_s: float = 0.0
    """Decoding for looks inside groups of pictures: what it costs that broadcasters choose the keys."""

    def plus(self, seen: Seen, *, inner: bool) -> Spent:
        """With a look more."""
        decode_s, inner_s = (0.0, seen.decode_s) if inner else (seen.decode_s, 0.0)
        return Spent(
            self.decode_s + decode_s,
            self.scale_s + seen.scale_s,
            self.infer_s + sum(seen.infer_s),
            self.inner_s + inner_s,
        )

    def and_also(self, other: Spent) -> Spent:
        """Both together."""
        return Spent(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


GetDecoder = Callable[[], Decoder]
"""Finds or makes the decoder, in the worker's thread. May raise CodecUnsupported."""


def at_key(decoder: GetDecoder, packet: Packet, detectors: Sequence[Detector]) -> Seen:
    """Decode one key packet alone and score it. Runs in a decode worker."""
    started = time.thread_time()
    try:
        picture = decoder().key(packet)
    except DecodeFailed as error:
        return Seen(Outcome.FAILED, detail=str(error), decode_s=time.thread_time() - started)
    except CodecUnsupported as error:
        return Seen(Outcome.UNSUPPORTED, detail=str(error))
    return _score(picture, packet, detectors, time.thread_time() - started)


def contiguous(
    decoder: GetDecoder,
    packets: Sequence[Packet],
    detectors: Sequence[Detector],
    *,
    recent: Sequence[Packet],
    score: bool,
) -> Seen:
    """Decode packets that follow what this decoder saw before; score the newest picture if asked to.

    `recent`: these packets and those before them whose pictures may come out only now.
    """
    started = time.thread_time()
    try:
        picture = decoder().feed(packets)
    except DecodeFailed as error:
        return Seen(Outcome.FAILED, detail=str(error), decode_s=time.thread_time() - started)
    except CodecUnsupported as error:
        return Seen(Outcome.UNSUPPORTED, detail=str(error))
    spent = time.thread_time() - started
    if not score or picture is None:
        return Seen(Outcome.EMPTY, decode_s=spent)
    return _score(picture, _origin_of(picture, recent or packets), detectors, spent)


def back(
    decoder: GetDecoder, packets: Sequence[Packet], wanted: Collection[MediaTime], detectors: Sequence[Detector]
) -> list[Seen]:
    """Score the pictures shown at `wanted` among packets already received, in order of decoding."""
    by_time = {packet.pts: packet for packet in packets}
    found: list[Seen] = []
    started = time.thread_time()
    try:
        for picture in decoder().pictures(packets, wanted):
            spent = time.thread_time() - started
            found.append(_score(picture, by_time.get(picture.pts, packets[-1]), detectors, spent))
            started = time.thread_time()
    except (DecodeFailed, CodecUnsupported):
        pass  # the look that raised the suspicion stands; what lies around it stays unknown
    return found


def _score(picture: Picture | None, packet: Packet, detectors: Sequence[Detector], decode_s: float) -> Seen:
    """The pixels end here: however a look ends, its pictures are overwritten."""
    if picture is None:
        return Seen(Outcome.EMPTY, decode_s=decode_s)
    scaled: dict[tuple[int, int], NDArray[np.uint8]] = {}
    try:
        return _scored(picture, packet, detectors, decode_s, scaled)
    finally:
        picture.forget()
        for pixels in scaled.values():
            pixels.fill(0)


def _scored(
    picture: Picture,
    packet: Packet,
    detectors: Sequence[Detector],
    decode_s: float,
    scaled: dict[tuple[int, int], NDArray[np.uint8]],
) -> Seen:
    width, height = picture.size
    scores: list[Scores] = []
    spent: list[float] = []
    failures: list[str] = []
    scale_s = 0.0
    for detector in detectors:
        started = time.thread_time()
        size = detector.info.width, detector.info.height
        pixels = scaled.get(size)
        if pixels is None:
            try:
                pixels = scaled[size] = picture.rgb(*size)
            except DecodeFailed as error:  # its shape cannot be turned into what a detector takes
                return Seen(Outcome.FAILED, detail=str(error), decode_s=decode_s)
        ready = time.thread_time()
        scale_s += ready - started
        try:
            scores.append(detector.score(pixels))
        except ScoreFailed as error:  # one detector that fails must not blind the others
            failures.append(f"{detector.info.name}: {error}")
        else:
            spent.append(time.thread_time() - ready)
    if failures and not scores:
        said = "; ".join(failures)
        return Seen(Outcome.FAILED, detail=said, decode_s=decode_s, scale_s=scale_s, unscored=True)
    return Seen(
        Outcome.SCORED,
        packet=packet,
        media=picture.pts or packet.pts,
        scores=tuple(scores),
        infer_s=tuple(spent),
        width=width,
        height=height,
        corrupt=picture.corrupt,
        glance=_glance(scaled),
        decode_s=decode_s,
        scale_s=scale_s,
        detail="; ".join(failures),
    )


def _glance(scaled: Mapping[tuple[int, int], NDArray[np.uint8]]) -> Glance | None:
    """Of the largest of the pictures that were scaled for the detectors: it shows most."""
    return glance(scaled[max(scaled)]) if scaled else None


def _origin_of(picture: Picture, packets: Sequence[Packet]) -> Packet:
    """The packet that carried this picture; a decoder holds back a few frames, so it may be an earlier one."""
    wanted: MediaTime | None = picture.pts
    return next((packet for packet in reversed(packets) if packet.pts == wanted), packets[-1])
