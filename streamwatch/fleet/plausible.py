"""What no sound watcher says, however well formed it is. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from streamwatch.domain.errors import LinkViolation
from streamwatch.link.messages import Configure, Ready, RuleLevel, Sampled, ScoreLine, StreamLevel

FUTURE_S = 5.0
"""More than any rounding."""

Known = Mapping[str, frozenset[str]]
"""Names of detectors, and the labels of each; none where the daemon did not read them."""

OfStream = StreamLevel | Sampled | RuleLevel


def detectors_of(*configured: Configure) -> Known:
    """The names and labels that samples may bear."""
    known: dict[str, frozenset[str]] = {}
    for configure in configured:
        for detector in configure.detectors:
            known[detector.name] = known.get(detector.name, frozenset()).union(detector.labels)
    return known


def check_ready(ready: Ready, told: Configure) -> None:
    """Raise LinkViolation where a watcher has loaded other models than it was told, or says so."""
    wanted = {detector.name: detector for detector in told.detectors if detector.labels}
    for detector in ready.detectors:
        one = wanted.get(detector.name)
        if one is not None and (detector.sha256, detector.labels) != (one.sha256, one.labels):
            raise LinkViolation("a detector that is loaded is not the one that was checked")


def admitted(
    message: StreamLevel | Sampled | RuleLevel, *, detectors: Known, now: float
) -> StreamLevel | Sampled | RuleLevel:
    """The message in its one canonical form. Raises LinkViolation for what is not configured or seen later than `now`.

    Watcher and daemon read the same clock (monotonic seconds), so nothing is seen before it arrives: a stream with
    samples from the future would read covered with nobody looking. Pass infinity for fast streams, which are stamped by
    their own time. Names become labels of metrics, so they must be as few as the configured ones; their order says
    nothing, so that nothing can be said by it.
    """
    match message:
        case Sampled():
            lines = tuple(sorted((_line(line, detectors) for line in message.scores), key=lambda line: line.detector))
            if len({line.detector for line in lines}) < len(lines):
                raise LinkViolation("a sample with two lines of one detector")
            message = message.model_copy(update={"scores": lines})
            newest = message.arrival
        case RuleLevel():
            seen = (*message.hits, message.first_seen, message.last_seen)
            newest = max((hit.arrival for hit in seen if hit is not None), default=now)
        case _:
            return message
    if newest > now + FUTURE_S:
        raise LinkViolation("a look in the future")
    return message


def _line(line: ScoreLine, detectors: Known) -> ScoreLine:
    labels = detectors.get(line.detector)
    if labels is None:
        raise LinkViolation("a sample of a detector that is not configured")
    said = [label for label, _ in line.values]
    if len(set(said)) < len(said) or (labels and not labels.issuperset(said)):
        raise LinkViolation("a score of a label that its detector does not have, or twice of one")
    ordered = tuple(sorted(line.values, key=lambda value: (-value[1], value[0])))
    return line if ordered == line.values else line.model_copy(update={"values": ordered})


class Wording:
    """Which explanations one watcher may give: those said lately, and a new one now and then.

    A thousand streams fail in a handful of ways. What is over it is left out, and can be said when it is repeated.
    """

    NEW_PER_S = 0.5
    BURST = 256
    REMEMBERED = 1024

    def __init__(self) -> None:
        self._known: OrderedDict[str, None] = OrderedDict()
        self._tokens = float(self.BURST)
        self._at: float | None = None
        self.left_out = 0
        """Texts that were too many."""

    def admitted(self, text: str, now: float) -> str:
        """The text, or nothing."""
        if not text:
            return text
        if text in self._known:
            self._known.move_to_end(text)
            return text
        if self._at is not None:
            self._tokens = min(self.BURST, self._tokens + max(now - self._at, 0.0) * self.NEW_PER_S)
        self._at = now
        if self._tokens < 1:
            self.left_out += 1
            return ""
        self._tokens -= 1
        self._known[text] = None
        if len(self._known) > self.REMEMBERED:
            self._known.popitem(last=False)
        return text
