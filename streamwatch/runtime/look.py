"""One look: packets in, scores out. The only place where a picture and the detectors meet."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from streamwatch.detectors.base import Detector
from streamwatch.domain.errors import CodecUnsupported, DecodeFailed, ScoreFailed
from streamwatch.domain.media import MediaTime, Packet, Scores
from streamwatch.sources.base import Decoder, Picture


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
    """Per detector, in the order of `scores`."""
    width: int = 0
    height: int = 0
    corrupt: bool = False
    decode_s: float = 0.0
    detail: str = ""


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


def _score(picture: Picture | None, packet: Packet, detectors: Sequence[Detector], decode_s: float) -> Seen:
    if picture is None:
        return Seen(Outcome.EMPTY, decode_s=decode_s)
    width, height = picture.size
    scores: list[Scores] = []
    spent: list[float] = []
    failures: list[str] = []
    for detector in detectors:
        started = time.thread_time()
        try:
            scores.append(detector.score(picture.rgb(detector.info.width, detector.info.height)))
        except DecodeFailed as error:  # its shape cannot be turned into what a detector takes
            return Seen(Outcome.FAILED, detail=str(error), decode_s=decode_s)
        except ScoreFailed as error:  # one detector that fails must not blind the others
            failures.append(f"{detector.info.name}: {error}")
        else:
            spent.append(time.thread_time() - started)
    if failures and not scores:
        return Seen(Outcome.FAILED, detail="; ".join(failures), decode_s=decode_s)
    return Seen(
        Outcome.SCORED,
        packet=packet,
        media=picture.pts or packet.pts,
        scores=tuple(scores),
        infer_s=tuple(spent),
        width=width,
        height=height,
        corrupt=picture.corrupt,
        decode_s=decode_s,
        detail="; ".join(failures),
    )


def _origin_of(picture: Picture, packets: Sequence[Packet]) -> Packet:
    """The packet that carried this picture; a decoder holds back a few frames, so it may be an earlier one."""
    wanted: MediaTime | None = picture.pts
    return next((packet for packet in reversed(packets) if packet.pts == wanted), packets[-1])
