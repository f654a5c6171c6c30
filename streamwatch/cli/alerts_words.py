"""An alert explained from its own trace, in plain sentences. Pure.

Documents are read leniently: an older version wrote fewer words, and a newer one more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from streamwatch.domain.urls import printable
from streamwatch.ledger.reading import AlertRow, StepRow

_LOOKS = {
    "key": "in a key picture",
    "inner": "between key pictures, at a moment that nobody can foresee",
    "between": "between key pictures, since all pictures were decoded",
    "back": "by the look-back, in what had been received before",
}
_CONFIRMED = {
    "looks": "It was confirmed by looks alone.",
    "look-back": "It was confirmed by the look-back: at least one frame came from what was already received.",
}
_CLOSED = {
    "quiet": "no frame scored high enough any more",
    "ended": "the broadcast ended",
    "verdict": "a person dismissed it",
    "restart": "its stream was gone after a restart of the daemon",
}
_SAID = {
    "acknowledge": "acknowledged it",
    "confirm": "confirmed it",
    "escalate": "escalated it",
    "proposed_dismissal": "proposed to dismiss it, which takes a second person",
    "dismiss": "dismissed it",
    "reopen": "opened it again",
}
_KEPT = {
    "asked": ", and has not answered yet",
    "kept": ", and says that it did",
    "failed": ", and says that it could NOT",
    "overdue": ", and did NOT answer in time",
}
_MINUTE_S, _TEXT = 60.0, 500


def explain(alert: AlertRow, steps: Sequence[StepRow]) -> list[tuple[str, list[str]]]:
    """Headings, and the sentences under each; headings that nothing is to be said under are left out."""
    document = body_of(alert.document)
    parts = [
        ("what it is", list(_what(alert, document))),
        ("why it opened", list(_why(document))),
        ("who judged", list(_detector(document, steps))),
        ("what happened, and whether the broker has it", [_step(step) for step in steps] or [_NO_STEPS]),
        ("what people said", list(_people(steps, document)) or ["Nobody has said anything yet."]),
    ]
    return [(heading, sentences) for heading, sentences in parts if sentences]


_NO_STEPS = "Its steps are no longer kept."


def body_of(text: str) -> dict[str, Any]:
    """A document, empty where it is none."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _what(alert: AlertRow, document: dict[str, Any]) -> Iterator[str]:
    stands = "open" if alert.open else "closed"
    why = _CLOSED.get(str(document.get("close_reason")))
    heard = "somebody acknowledged it" if alert.acknowledged else "nobody has acknowledged it"
    yield f"Alert {alert.id} is {stands}{f': {why}' if why and not alert.open else ''}; {heard}."
    stream = _part(document, "stream")
    name = _text(stream.get("name"))
    shown = printable(alert.stream, _TEXT)
    called = f" ({name})" if name and name != shown else ""
    session = f", session {_text(stream['session'])}" if stream.get("session") else ""
    yield f"It is about stream {shown}{called} from {_text(stream.get('origin')) or 'an unknown origin'}{session}."
    if stream.get("watch_url"):
        yield f"Watch it at {_text(stream['watch_url'])}."
    yield f"Its severity is {alert.severity}; what it reports is of kind {alert.kind}."
    keep = _part(document, "preserve")
    if keep:
        answered = _KEPT.get(str(keep.get("state")), "")
        yield f"Whoever records is asked to keep {_text(keep.get('from'))} to {_text(keep.get('to'))}{answered}."
    raised = _part(document, "raised")
    if raised:
        because = "its score rose" if raised.get("because") == "score" else "it went on for so long"
        before, at = _text(raised.get("from")), _text(raised.get("at"))
        yield f"It was of severity {before} until {at}, and is graver since, because {because}."
    if document.get("escalated"):
        yield f"It is escalated since {_text(document['escalated'])}."
    hold = _part(document, "discovery_hold")
    if hold:
        yield f"Directories are asked not to promote the stream until {_text(hold.get('until'))}."
    summary = _part(document, "summary")
    if summary:
        yield f"It speaks of many streams: {_text(summary.get('says'))}"
    if _part(document, "trace").get("informational"):
        yield "It is for information only: tests do not count on this stream."


def _why(document: dict[str, Any]) -> Iterator[str]:
    trace = _part(document, "trace")
    if not trace:
        yield "Its document cannot be read."
        return
    hits, within = trace.get("hits"), trace.get("within_s")
    frames = (
        "one frame" if hits == 1 else f"{hits} frames within {within:g} s" if _is_number(within) else f"{hits} frames"
    )
    yield (
        f"Rule {_text(document.get('rule'))} asked for {frames} that score {_score(trace.get('open_score'))} or more "
        f"for label {_text(document.get('label'))}."
    )
    lines = [line for line in _list(document, "evidence") if isinstance(line, dict)]
    if lines:
        yield "These counted:" if len(lines) > 1 else "This one counted:"
    for line in lines:
        how = _LOOKS.get(str(line.get("look")))
        yield (
            f"  {_text(line.get('at'))}, {_media(line.get('media_s'))}: score {_score(line.get('score'))}"
            f"{f', seen {how}' if how else ''}"
        )
    if isinstance(document.get("summary"), dict):
        yield f"It stands for many alerts: {_text(document['summary'].get('says'))}"
    elif not lines:
        yield "Which frames counted is not known: its watcher began anew while it was open."
    confirmed = _CONFIRMED.get(str(trace.get("confirmed_by")))
    if confirmed:
        yield confirmed
    last = _part(document, "last_seen")
    yield f"The highest score was {_score(document.get('score'))}; it was last seen at {_text(last.get('at'))}."
    for signal in _list(trace, "signals"):
        if isinstance(signal, dict):
            yield (
                f"Signal of {_text(signal.get('source'))}, strength {_score(signal.get('strength'))}, at "
                f"{_text(signal.get('at'))}: {_text(signal.get('because'))} (a reason to look, and no evidence)."
            )


def _detector(document: dict[str, Any], steps: Sequence[StepRow]) -> Iterator[str]:
    detector = _part(document, "detector")
    if detector:
        version, digest = _text(detector.get("version")), _text(detector.get("sha256"))
        yield (
            f"Detector {_text(detector.get('name'))}{f', version {version}' if version else ''}"
            f"{f', SHA-256 {digest}' if digest else ', built in'}."
        )
    latency = next((ms for step in steps if _is_number(ms := body_of(step.body).get("latency_ms"))), None)
    if latency is not None:
        yield f"From the arrival of the first frame that counted to the hand-over to the broker it took {latency} ms."


def _step(step: StepRow) -> str:
    words = f"{moment(step.committed_at)}  {step.seq}: {step.event}"
    if step.escalated:
        words += ", escalated because nobody acknowledged it in time"
    if step.acknowledged_at is not None:
        return f"{words}; the broker had it {_after(step.acknowledged_at - step.committed_at)}"
    if step.offered_at is not None:
        return f"{words}; offered to the broker, which does NOT have it yet as far as is known"
    return f"{words}; the broker does NOT have it yet"


def _people(steps: Sequence[StepRow], document: dict[str, Any]) -> Iterator[str]:
    """Every word of a person in the steps that are kept, and the newest one wherever it stands."""
    known: set[str] = set()
    for body in (*(body_of(step.body) for step in steps), document):
        human = _part(body, "human")
        mark = json.dumps(human, sort_keys=True)
        if not human or mark in known:
            continue
        known.add(mark)
        who = _text(human.get("moderator")) or "Somebody without a name"
        word = str(human.get("verdict"))
        note = f": {_text(human['note'])}" if human.get("note") else ""
        viewed = _viewed(human)
        yield f"{_text(human.get('at'))}  {who} {_SAID.get(word, f'said {_text(word)}')}{note}{viewed}"


def _viewed(human: dict[str, Any]) -> str:
    viewed = human.get("viewed_s")
    return f" (after looking at {viewed:.0f} s of it)" if isinstance(viewed, int | float) else ""


def moment(at: float) -> str:
    """An instant in UTC, in milliseconds; a dash for what is none."""
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError, TypeError):
        return "-"


def span(seconds: float) -> str:
    """A length of time for people: `640 ms`, `12.3 s`, `4 min`, `3 h`, `2 d`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    for size, unit in ((86400, "d"), (3600, "h")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / _MINUTE_S:.0f} min"


def _after(seconds: float) -> str:
    return f"{span(seconds)} later" if seconds >= 0 else "then (the clock was set back in between)"


def _media(value: object) -> str:
    return f"media {value:.1f} s" if isinstance(value, int | float) else "media time unknown"


def _score(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, int | float) else "?"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: object) -> str:
    return "" if value is None else printable(str(value), _TEXT)


def _part(document: dict[str, Any], name: str) -> dict[str, Any]:
    part = document.get(name)
    return part if isinstance(part, dict) else {}


def _list(document: dict[str, Any], name: str) -> list[Any]:
    part = document.get(name)
    return part if isinstance(part, list) else []
