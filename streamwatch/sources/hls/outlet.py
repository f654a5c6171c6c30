"""Where access units leave for the sink: what was said of the format, and where the timeline goes on."""

from __future__ import annotations

from streamwatch.domain.media import CodecConfig, MediaInfo, MediaTime
from streamwatch.sources.base import PacketSink
from streamwatch.sources.hls.units import Unit

_SAME_TIMELINE_S = 60.0


class Outlet:
    """Says `opened` whenever what was said no longer holds, begins with a key, and shows no picture twice."""

    def __init__(self, sink: PacketSink, renditions: tuple[tuple[int, int], ...] = ()) -> None:
        self.sink = sink
        self.renditions = renditions
        self.media = False
        """Something was shown."""
        self.key_at = float("-inf")
        """Arrival of the newest key picture."""
        self.shown: MediaTime | None = None
        """Decoding time of the newest key picture while nothing that follows it was shown."""
        self.passed = 0
        """Bytes of media that were received and not shown, not told yet."""
        self._said: tuple[CodecConfig, bool, float] | None = None
        self._resuming = False
        self._begun = False
        self._rest = False
        """What comes now was published with the key picture that was shown alone: it came when that did."""

    def alone(self, unit: Unit, arrival: float, *, burst_s: float) -> None:
        """Show one key picture of which the rest was not fetched."""
        self._say(unit.config, on_demand=True, burst_s=burst_s)
        self.shown = unit.dts
        self._begun = False
        self._put(unit, arrival)

    def resume(self) -> None:
        """What comes next continues the key picture that was shown alone, if it is found there."""
        self._resuming = self.shown is not None
        self._begun = False

    def flow(self, unit: Unit, arrival: float, *, burst_s: float, everything: bool) -> None:
        """Show one of a run of units, or let it pass by; after a gap nothing is shown before the next key."""
        if not self._begun and not self._begins(unit):
            self.passed += len(unit.data)
            return
        self._say(unit.config, on_demand=False, burst_s=burst_s)
        if unit.key or everything:
            self._put(unit, self.key_at if self._rest else arrival)
        else:
            self.passed += len(unit.data)
            self._begun = self._resuming = False

    def settle(self) -> None:
        """A fetch is over: tell the sink what passed by."""
        self._rest = False
        if self.passed and self.media:
            self.sink.skipped(self.passed)
        self.passed = 0

    def _begins(self, unit: Unit) -> bool:
        """Whether the run can be shown from this unit on."""
        if self._resuming and self.shown is not None and unit.dts is not None:
            ahead = unit.dts.seconds - self.shown.seconds
            if unit.dts == self.shown and unit.key:
                self._begun = self._rest = True  # it was shown; the next one follows it
                return False
            if -_SAME_TIMELINE_S < ahead < 0:
                return False
        self._begun = unit.key
        return self._begun

    def _say(self, config: CodecConfig, *, on_demand: bool, burst_s: float) -> None:
        now = (config, on_demand, burst_s)
        if now != self._said:
            self._said = now
            self.sink.opened(MediaInfo(config, "hls", burst_s=burst_s, renditions=self.renditions, on_demand=on_demand))

    def _put(self, unit: Unit, arrival: float) -> None:
        self.media = True
        if unit.key:
            self.key_at = arrival
        self.sink.put(unit.packet(arrival))
