"""What single values cannot know: whether the parts of a configuration fit together.

Every check takes a configuration by its attribute names alone, so that the same code judges a finished `Config` and
one of which parts are missing or wrong (there an attribute is None, and what needs it is left to the next run). That is
why it is typed `Any`.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from itertools import chain
from typing import Any

from streamwatch.config.addresses import PLAIN_SCHEMES, SID, is_loopback
from streamwatch.config.choices import Names
from streamwatch.config.durations import duration
from streamwatch.config.findings import VALUE, Finding, Path, dotted
from streamwatch.domain.decisions import Mode, Severity
from streamwatch.domain.evasion import DETECTOR, Sign
from streamwatch.domain.streams import NODE, Audience

RESERVED_ORIGIN = "static"
LONGEST_S = {"alerts": 366 * 86400.0, "unconfirmed": 72 * 3600.0, "dismissed": 72 * 3600.0, "audit": 731 * 86400.0,
             "samples": 7 * 86400.0}  # fmt: skip
"""Longest time each kind of record is kept without a ground: a year may be a leap year."""
_LISTED = 20
"""So many choices are still worth reading."""
_COMPARED = 100
"""With so many a mistyped word is compared: likeness is slow to compute, and a hostile file has many words."""


def findings(config: Any) -> Iterator[Finding]:
    """Everything that does not fit together, lazily."""
    return chain(
        _mqtt(config),
        _streams(config),
        _origins(config),
        _detectors(config),
        _rules(config),
        _evasion(config),
        _privacy(config),
        _retention(config),
    )


def remarks(config: Any) -> Iterator[Finding]:
    """What is allowed and probably not meant: said by `check`, never in the way of a start."""
    yield from _unencrypted(config.mqtt)
    if not config.streams and not config.origins:
        yield Finding((), "nothing to watch", "an entry in streams or origins")
    if not config.detectors:
        yield Finding((), "no detector: every stream stays uncovered, because no frame is scored", "one in detectors")
    for index, stream in enumerate(config.streams):
        if stream.url is not None and stream.url.scheme == "srt":
            yield Finding(
                ("streams", index, "url"),
                "srt is read only where FFmpeg was built with it, which PyAV's own packages are not: expect `codec`",
                "rtmp, rtsp or HLS from the same server",
            )
        if stream.watch_url and config.privacy.names is Names.HIDDEN and SID not in stream.watch_url:
            yield Finding(
                ("streams", index, "watch_url"),
                "is not published while privacy.names is hidden: it would tell the name",
                f"an address with {SID}, which becomes the stream's id in topics",
            )
    yield from _without_lookback(config)
    yield from _without_link(config)
    judged = {rule.detector for rule in config.rules}
    for index, detector in enumerate(config.detectors):
        if detector.mode is Mode.ACTIVE and detector.name not in judged:
            yield Finding(
                ("detectors", index, "name"),
                f"{VALUE} is judged by no rule: it never alerts",
                "a rule, or mode: shadow",
            )
    shadows = {detector.name for detector in config.detectors if detector.mode is Mode.SHADOW}
    for index, rule in enumerate(config.rules):
        if rule.detector in shadows:
            yield Finding(("rules", index, "detector"), f"{VALUE} is a shadow: this rule never alerts", "mode: active")


def _without_link(config: Any) -> Iterator[Finding]:
    """Where it can be seen is the first that a moderator asks of an alert."""
    bare = [index for index, stream in enumerate(config.streams) if stream.url is not None and not stream.watch_url]
    if bare:
        which = "this stream has" if len(bare) == 1 else f"this stream, and {len(bare) - 1} others, have"
        yield Finding(
            ("streams", bare[0]),
            f"{which} no watch_url: whoever gets an alert is not told where to see it",
            "watch_url: the page or player on which your moderators watch the stream",
        )


def _without_lookback(config: Any) -> Iterator[Finding]:
    """Looks between key pictures that somebody asked for in so many words, where what they need is not kept."""
    shared = config.sampling
    asked = "inner" in shared.model_fields_set
    if shared.lookback == 0 and asked and shared.inner > 0:
        yield _no_inner_looks(("sampling", "inner"))
    for index, stream in enumerate(config.streams):
        own = stream.sampling
        lookback = shared.lookback if own.lookback is None else own.lookback
        if lookback > 0:
            continue
        if own.inner:
            yield _no_inner_looks(("streams", index, "sampling", "inner"))
        elif own.inner is None and own.lookback is not None and asked and shared.inner > 0:
            yield _no_inner_looks(("streams", index, "sampling", "lookback"))


def _no_inner_looks(path: Path) -> Finding:
    wrong = "inner looks need a look-back, and with lookback: 0s there are none"
    return Finding(path, wrong, "a lookback of some seconds, or inner: 0")


def baseless(config: Any) -> tuple[str, ...]:
    """Names of the private streams without a legal basis: they must not be watched, not even as before."""
    return tuple(stream.id for stream in config.streams if stream.id is not None and _is_baseless(stream))


def _is_baseless(stream: Any) -> bool:
    return stream.audience is Audience.PRIVATE and stream.legal_basis is None


def summary(finding: Finding) -> str:
    """A finding in one line, without the value."""
    return f"{dotted(finding.path)}: {finding.wrong.replace(VALUE, 'the value')}"


def nearest(word: str, known: list[str]) -> str:
    """The known word that is most like a mistyped one, or all of them where none is and there are few."""
    close = get_close_matches(word[:100], known[:_COMPARED], n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"one of {', '.join(known)}" if 0 < len(known) <= _LISTED else ""


def _unique(section: str, key: str, items: Any) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for index, item in enumerate(items):
        name = getattr(item, key)
        if name is None:
            continue
        if name in seen:
            yield Finding(
                (section, index, key), f"{VALUE} is already the {key} of {section}.{seen[name]}", f"another {key}"
            )
        else:
            seen[name] = index


def _unencrypted(mqtt: Any) -> Iterator[Finding]:
    if mqtt.url is not None and mqtt.url.scheme in PLAIN_SCHEMES and not is_loopback(mqtt.url.host):
        yield Finding(
            ("mqtt", "allow_plaintext"),
            "alerts and password go unencrypted to another machine: anybody between can read them, and forge commands",
            "mqtts:// or wss:// in mqtt.url",
        )


def _mqtt(config: Any) -> Iterator[Finding]:
    mqtt = config.mqtt
    plain = mqtt.url is not None and mqtt.url.scheme in PLAIN_SCHEMES
    if plain and mqtt.allow_plaintext is False and not is_loopback(mqtt.url.host):
        secure = "mqtts" if mqtt.url.scheme == "mqtt" else "wss"
        yield Finding(
            ("mqtt", "url"),
            "would send alerts and password unencrypted to another machine",
            f"{secure}://, or mqtt.allow_plaintext: true",
        )
    if mqtt.password is not None and mqtt.username is None:
        yield Finding(
            ("mqtt", "password"),
            "a password without a user name",
            "mqtt.username as well",
            given=(("mqtt", "username"),),
        )
    for one, other in (("cert", "key"), ("key", "cert")):
        if getattr(mqtt, one) is not None and getattr(mqtt, other) is None:
            yield Finding(("mqtt", one), f"given without mqtt.{other}", "both, or neither", given=(("mqtt", other),))
    if plain:
        for key in ("ca", "cert"):
            if getattr(mqtt, key) is not None:
                yield Finding(
                    ("mqtt", key), "has no effect on an unencrypted connection", "mqtts:// or wss:// in mqtt.url"
                )


def _gaps(path: Path, least: float | None, most: float | None, where: str) -> Iterator[Finding]:
    if least is not None and most is not None and least > most:
        yield Finding(path, f"{VALUE} is more than {where}max_gap, {duration(most)}", f"{duration(most)} or less")


def _streams(config: Any) -> Iterator[Finding]:
    yield from _gaps(("sampling", "min_gap"), config.sampling.min_gap, config.sampling.max_gap, "sampling.")
    yield from _unique("streams", "id", config.streams)
    most = config.limits.max_streams
    if most is not None and len(config.streams) > most:
        yield Finding(("limits", "max_streams"), f"{VALUE} is less than the {len(config.streams)} streams listed")
    for index, stream in enumerate(config.streams):
        path: Path = ("streams", index)
        own, shared = stream.sampling, config.sampling
        if own.max_gap is not None or own.min_gap is not None:
            key = "min_gap" if own.min_gap is not None else "max_gap"
            least = own.min_gap if own.min_gap is not None else shared.min_gap
            longest = own.max_gap if own.max_gap is not None else shared.max_gap
            if key == "min_gap":
                yield from _gaps(
                    (*path, "sampling", key), least, longest, "this stream's " if own.max_gap else "sampling."
                )
            elif least is not None and longest is not None and longest < least:
                right = f"{duration(least)} or more, or a smaller min_gap here too"
                yield Finding(
                    (*path, "sampling", key), f"{VALUE} is less than sampling.min_gap, {duration(least)}", right
                )
        if stream.id is not None and stream.id.startswith("~"):
            wrong = f"{VALUE} begins with ~, as what is no stream does in topics ({NODE}, ~rights)"
            yield Finding((*path, "id"), wrong, "another name")
        if _is_baseless(stream):
            yield Finding(
                (*path, "audience"),
                "private streams are not watched by default (Principle 9, privacy by design), and this one has no "
                "recorded legal basis",
                f"streams.{index}.legal_basis: the law or order that allows to watch this one, or audience: broadcast "
                "if anybody may see it",
                given=((*path, "legal_basis"),),
            )


def _origins(config: Any) -> Iterator[Finding]:
    yield from _unique("origins", "name", config.origins)
    for index, origin in enumerate(config.origins):
        if origin.name == RESERVED_ORIGIN:
            yield Finding(("origins", index, "name"), f"{VALUE} is the name of this file's own list", "another name")


def _detectors(config: Any) -> Iterator[Finding]:
    yield from _unique("detectors", "name", config.detectors)
    for index, detector in enumerate(config.detectors):
        path: Path = ("detectors", index)
        if detector.name == DETECTOR:
            yield Finding((*path, "name"), f"{VALUE} is the name of what is built in", "another name")
        if detector.kind == "onnx":
            if detector.model is None:
                yield _needed((*path, "model"), "kind onnx needs it", "model: the folder with manifest and model")
            if detector.lists:
                yield Finding((*path, "lists"), "has no effect on kind onnx", "kind: pdq, or no lists")
        if detector.kind == "pdq":
            if detector.lists == ():
                yield _needed((*path, "lists"), "kind pdq needs it", "lists: one or more hash lists")
            if detector.model is not None:
                yield Finding((*path, "model"), "has no effect on kind pdq", "kind: onnx, or no model")


def _needed(path: Path, why: str, right: str) -> Finding:
    return Finding(path, f"missing, and {why}", right, given=(path,))


def _rules(config: Any) -> Iterator[Finding]:
    yield from _unique("rules", "name", config.rules)
    known = list(dict.fromkeys(detector.name for detector in config.detectors if detector.name is not None))
    names = frozenset((*known, DETECTOR))
    complete = all(detector.name is not None for detector in config.detectors)
    severities: dict[tuple[str, str], tuple[bool, int]] = {}
    for index, rule in enumerate(config.rules):
        path: Path = ("rules", index)
        if rule.detector is not None and rule.detector not in names and complete:
            right = nearest(rule.detector, known) or "the name of an entry in detectors"
            given: tuple[Path, ...] = (("detectors",),)
            yield Finding((*path, "detector"), f"{VALUE} is not the name of a detector", right, given=given)
        yield from _thresholds(path, rule)
        yield from _raises(path, rule)
        if rule.detector is None or rule.label is None or rule.severity is None:
            continue
        test = rule.severity is Severity.TEST
        other, first = severities.setdefault((rule.detector, rule.label), (test, index))
        if other is not test:
            real, kept = ("test", "real") if test else ("real", "test")
            yield Finding(
                (*path, "severity"),
                f"a {real} rule for a label that rules.{first} judges as a {kept} one",
                "test rules have labels of their own, so that a test never hides a finding",
            )


def _raises(path: Path, rule: Any) -> Iterator[Finding]:
    when = rule.raise_
    if rule.severity is None:
        return
    graver = [severity.value for severity in Severity if severity.rank < rule.severity.rank]
    if when.to is None:
        if when.score is not None or when.after is not None:
            to: Path = (*path, "raise", "to")
            yield Finding((*path, "raise"), "says not to what", f"to: {' or '.join(graver) or 'nothing'}", given=(to,))
        return
    if rule.severity is Severity.TEST or when.to.value not in graver:
        right = "no raise" if rule.severity is Severity.TEST or not graver else " or ".join(graver)
        yield Finding((*path, "raise", "to"), f"{VALUE} is not graver than the rule's severity", right)
    elif when.score is None and when.after is None:
        given: tuple[Path, ...] = ((*path, "raise", "score"), (*path, "raise", "after"))
        yield Finding((*path, "raise"), "says not when", "score, after, or both: whichever comes first", given=given)
    elif when.score is not None and rule.open.score is not None and when.score <= rule.open.score:
        right = f"more than {rule.open.score:g}, or the alert would open as the graver one: set severity instead"
        yield Finding((*path, "raise", "score"), f"{VALUE} is not more than open.score", right)


def _evasion(config: Any) -> Iterator[Finding]:
    evasion = config.evasion
    if evasion.severity is Severity.TEST:
        right = "low, high or urgent"
        yield Finding(("evasion", "severity"), f"{VALUE} is for the test card alone", right)
    known = [sign.value for sign in Sign]
    for index, rule in enumerate(config.rules):
        if rule.detector != DETECTOR or rule.label is None:
            continue
        path: Path = ("rules", index)
        if rule.label not in known:
            wrong = f"{VALUE} is no sign of evasion"
            yield Finding((*path, "label"), wrong, f"one of {', '.join(known)}")
        elif evasion.enabled is False:
            wrong = f"speaks of {VALUE}, which evasion.enabled switches off"
            yield Finding((*path, "detector"), wrong, "evasion.enabled: true, or no such rule")
        elif evasion.without is not None and rule.label in evasion.without:
            wrong = f"a rule about {VALUE}, which evasion.without leaves out"
            yield Finding((*path, "label"), wrong, "one or the other")
        if rule.severity is Severity.TEST:
            yield Finding((*path, "severity"), f"{VALUE} is for the test card alone", "low, high or urgent")


def _thresholds(path: Path, rule: Any) -> Iterator[Finding]:
    opened, closed = rule.open, rule.close
    if opened.score is not None and closed.score is not None and closed.score > opened.score:
        yield Finding(
            (*path, "close", "score"),
            f"{VALUE} is more than open.score, {opened.score:g}",
            f"{opened.score:g} or less, or the alert would open and close at once",
        )
    if None not in (opened.hits, opened.spacing, opened.within):
        needed = (opened.hits - 1) * opened.spacing
        if needed > opened.within:
            yield Finding(
                (*path, "open", "within"),
                f"{VALUE} is too short for {opened.hits} hits {duration(opened.spacing)} apart: it could never open",
                f"{duration(needed)} or more",
            )


def _privacy(config: Any) -> Iterator[Finding]:
    if config.privacy.stream_ids == "keyed" and config.privacy.key is None:
        right = "privacy.key, for example ${file:/etc/streamwatch/id.key}"
        given: tuple[Path, ...] = (("privacy", "key"),)
        yield Finding(("privacy", "stream_ids"), "keyed ids need a key", right, given=given)


def _retention(config: Any) -> Iterator[Finding]:
    """Shorter at will; longer than what minimisation allows only on a ground that somebody wrote down."""
    retention = config.state.retention
    if retention.basis is not None:
        return
    for key, most in LONGEST_S.items():
        kept = getattr(retention, key)
        if kept is not None and kept > most:
            yield Finding(
                ("state", "retention", key),
                f"{VALUE} is more than {duration(most)}, which takes a recorded ground",
                f"{duration(most)} or less, or state.retention.basis: the ground",
                given=(("state", "retention", "basis"),),
            )
