"""How far apart a stream's key pictures are, and whether one comes before its time. Pure."""

from __future__ import annotations

import math
from collections import deque

from streamwatch.sampling.novelty import EARLY

UNKNOWN_KEY_INTERVAL_S = 2.0
"""Assumed until two key pictures were seen: what streaming services ask broadcasters to send."""

_LONGEST_KEY_INTERVAL_S = 60.0
_REMEMBERED_INTERVALS = 8

_TOGETHER_S = 0.01
"""Keys that arrive within this came in one read: where every picture is a key, a dozen do."""

_CLOCKS_AGREE = 2.0
"""Media time may run so much faster or slower than arrivals over the remembered keys: a lag of seconds does that."""


class Keys:
    """Of one session. Monotonic seconds of arrival; one caller at a time."""

    def __init__(self) -> None:
        self.last: float | None = None
        """Arrival of the newest key, of the first one where several came at once."""
        self.usual_s = UNKNOWN_KEY_INTERVAL_S
        """The longest recent interval."""
        self._last_media: float | None = None
        self._intervals: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED_INTERVALS)
        """Of arrival and of media time; the latter is infinite where it is not known."""

    def interval_s(self, now: float) -> float:
        """Longest recent time between keys, as far as it is the stream's; bursts have a period that counts."""
        since = now - self.last if self.last is not None else 0.0
        return min(max(self.usual_s, since, _TOGETHER_S), _LONGEST_KEY_INTERVAL_S)

    @property
    def expected(self) -> float:
        """When the next key comes, if it comes as they do; infinite before the first."""
        return math.inf if self.last is None else self.last + self.usual_s

    def is_early(self, arrival: float, media_s: float | None) -> bool:
        """Whether a key comes before its time: by the encoder's own clock where it is known, since arrivals bunch."""
        if self.last is None or len(self._intervals) < 2:  # noqa: PLR2004 - two intervals make something usual
            return False
        since = arrival - self.last
        if since < _TOGETHER_S:
            return False
        if media_s is not None and self._last_media is not None:
            since = max(since, media_s - self._last_media)
        return since < EARLY * self.usual_s

    def note(self, arrival: float, media_s: float | None, burst_s: float) -> None:
        """Learn how far apart keys are.

        A machine that lags reads keys late and several at once. Taken for the stream's own pace, that would make every
        key due and the lag worse; so arrivals count for no more than the media between them, while both clocks run at
        about the same speed. Where they do not, somebody writes media times as he likes, and arrivals count alone.
        """
        if self.last is not None and arrival - self.last < _TOGETHER_S:
            return  # read at once: how far apart they are is told by the first of each read
        if self.last is not None:
            known = media_s is not None and self._last_media is not None
            media = media_s - self._last_media if known else math.inf  # type: ignore[operator]
            self._intervals.append((arrival - self.last, media + burst_s))
            arrived, shown = (sum(parts) for parts in zip(*self._intervals, strict=True))
            honest = arrived / _CLOCKS_AGREE <= shown <= arrived * _CLOCKS_AGREE + len(self._intervals) * burst_s
            self.usual_s = max(min(pair) if honest else pair[0] for pair in self._intervals)
        self.last, self._last_media = arrival, media_s
