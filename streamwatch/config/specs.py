"""From settings to the values the rest of the program speaks in. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from streamwatch.config.addresses import SID
from streamwatch.config.choices import Names, StreamIds
from streamwatch.config.models import Config, Privacy, Rule, SamplingOverrides, Stream
from streamwatch.domain.decisions import CloseWhen, Kind, OpenWhen, RaiseWhen, RuleSpec, Severity
from streamwatch.domain.streams import AgeBand, SamplingSpec, StreamId, StreamSpec, topic_sid

OFTEN = {AgeBand.UNKNOWN: 1.0, AgeBand.ADULT: 1.0, AgeBand.MIXED: 1.5, AgeBand.MINOR: 2.0}
"""How many times as often a stream is looked at for its age band, where the machine can, and as a weight where it
cannot. Here the band ends: nothing behind this knows it. It is no suspicion: it must not use up what is kept for those.
"""


def sampling_spec(config: Config, own: SamplingOverrides | None = None) -> SamplingSpec:
    """The section `sampling`, with what a stream sets for itself on top."""
    shared = config.sampling.model_dump()
    chosen = shared | (own.model_dump(exclude_none=True) if own else {})
    return SamplingSpec(
        max_gap_s=chosen["max_gap"],
        min_gap_s=chosen["min_gap"],
        lookback_s=chosen["lookback"],
        novelty=chosen["novelty"],
        jitter=chosen["jitter"],
        inner=chosen["inner"],
        young_s=chosen["young"],
    )


def stream_specs(config: Config, privacy: Privacy | None = None) -> tuple[StreamSpec, ...]:
    """The streams that the file lists, in its order.

    Here pseudonyms begin: with keyed ids a stream has no other id behind this, and with hidden names no other name, so
    that neither can reach a topic, a document, a log, the ledger or a watcher. `privacy`: the section that is in force,
    where it is another than the file's.
    """
    privacy = privacy or config.privacy
    return tuple(_stream(config, stream, privacy, sid_key(privacy)) for stream in config.streams)


def sid_key(privacy: Privacy) -> bytes | None:
    """The key of pseudonyms; None where ids are plain."""
    if privacy.stream_ids is not StreamIds.KEYED or privacy.key is None:
        return None
    return privacy.key.get_secret_value().encode()


def _stream(config: Config, stream: Stream, privacy: Privacy, key: bytes | None) -> StreamSpec:
    sid = topic_sid(stream.id, key)
    shown = privacy.names is Names.SHOWN
    stream_id = StreamId(stream.id if key is None else sid)
    link = stream.watch_url or ""
    return StreamSpec(
        id=stream_id,
        url=stream.url,
        sampling=sampling_spec(config, stream.sampling),
        name=stream.id if shown else stream_id,
        watch_url=link.replace(SID, sid) if shown or SID in link else "",
        weight=stream.weight * OFTEN[stream.age_band],
        fallback=stream.fallback,
        end_after_s=stream.end_after,
        tests=stream.tests,
        audience=stream.audience,
    )


def rule_specs(config: Config, kinds: Mapping[str, Kind]) -> tuple[RuleSpec, ...]:
    """The rules in the file's order. `kinds`: by detector name, what its manifest says it finds; KeyError without."""
    return tuple(_rule(rule, kinds) for rule in config.rules)


def _rule(rule: Rule, kinds: Mapping[str, Kind]) -> RuleSpec:
    return RuleSpec(
        name=rule.name,
        detector=rule.detector,
        label=rule.label,
        severity=rule.severity,
        kind=Kind.TEST if rule.severity is Severity.TEST else kinds[rule.detector],
        open=OpenWhen(
            score=rule.open.score,
            hits=rule.open.hits,
            within_s=rule.open.within,
            spacing_s=rule.open.spacing,
        ),
        close=CloseWhen(score=rule.close.score, for_s=rule.close.for_),
        cooldown_s=rule.cooldown_s,
        raise_=RaiseWhen(rule.raise_.to, rule.raise_.score, rule.raise_.after) if rule.raise_.to else None,
    )
