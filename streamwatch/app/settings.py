"""From a configuration file to what the daemon works by: models checked, labels compared, paths found."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from streamwatch.alerts.policy import LifePolicy
from streamwatch.app.asking import broker_options
from streamwatch.app.draft import model_problems
from streamwatch.app.equipment import Equipped, desk_rules, equip, rule_settings
from streamwatch.app.grants import grant_of
from streamwatch.bus.options import BrokerOptions
from streamwatch.config.choices import Names
from streamwatch.config.loader import Loaded, load
from streamwatch.config.models import Alerts, Config, Detector, Privacy
from streamwatch.config.specs import rule_specs, sid_key, stream_specs
from streamwatch.daemon.setup import Model, Setup, Written
from streamwatch.detectors.shipped import find_folder
from streamwatch.domain.decisions import Kind, RuleSpec, Severity
from streamwatch.domain.errors import ConfigError, ModelError, Problem
from streamwatch.domain.evasion import DETECTOR as EVASION
from streamwatch.domain.streams import Audience
from streamwatch.evasion import rules as evasion
from streamwatch.ledger.retention import Keep
from streamwatch.link.messages import Configure
from streamwatch.telemetry import redact

DECODE_WORKERS = 1
"""Per watcher, of which there is one a core: two decoders in one process would only fight for it."""

_ONLY_AT_START = ("node", "mqtt", "state", "http", "privacy")


@dataclass(frozen=True, slots=True)
class Settings:
    """A configuration that can be run."""

    loaded: Loaded
    setup: Setup
    equipped: Mapping[str, Equipped]
    """Detectors by name, with their folders as they were checked."""
    privacy: Privacy
    """What is in force: on a reload that of the start, since ids must not change while a daemon runs."""

    @property
    def config(self) -> Config:
        """The configuration as written, with defaults."""
        return self.loaded.config

    def ids(self, names: Iterable[str]) -> tuple[str, ...]:
        """Ids of streams, as they are here, by their names in the file."""
        return tuple(map(self.setup.id_of, names))

    @property
    def watchers(self) -> int:
        """Watcher processes to start."""
        return self.config.limits.watchers or len(os.sched_getaffinity(0))

    @property
    def builtin_rules(self) -> int:
        """How many rules hold beside those of the file: those about evasion."""
        return len(self.setup.desk_rules) - len(self.config.rules)

    @property
    def state_folder(self) -> Path:
        """Where the ledger lives."""
        return Path(self.config.state.folder)

    @property
    def broker(self) -> BrokerOptions:
        """How to reach the broker."""
        return broker_options(self.loaded)


def read(path: Path, *, before: Settings | None = None) -> Settings:
    """Read, check and complete a configuration. Raises ConfigError with every problem found.

    `before`: the settings in force, on a reload. A detector whose model has become unusable then keeps its old one,
    and `Setup.kept` says so; at start it is a mistake like any other.
    """
    try:
        loaded = load(path, environ=os.environ)
    except ConfigError as error:
        baseless = before.ids(error.baseless) if before else ()
        raise ConfigError(*error.problems, *model_problems(path), baseless=baseless) from None
    config = loaded.config
    _learn_secrets(config)
    problems = [*_not_yet(loaded), *_state_problems(loaded), *_tls_problems(loaded)]
    equipped: dict[str, Equipped] = {}
    kept: list[str] = []
    for index, detector in enumerate(config.detectors):
        try:
            equipped[detector.name] = _equipped(loaded, detector, f"detectors.{index}")
        except ModelError as error:
            old = before.equipped.get(detector.name) if before else None
            if old is None:
                problems.extend(error.problems)
                continue
            equipped[detector.name] = old
            kept.extend(f"detector {detector.name} keeps its old model: {problem}" for problem in error.problems[:1])
    problems.extend(_label_problems(loaded, equipped))
    builtin = _builtin_rules(config)
    problems.extend(_name_problems(loaded, builtin))
    if problems:
        raise ConfigError(*problems)
    kinds = {name: one.verified.manifest.kind for name, one in equipped.items()}
    rules = (*rule_specs(config, {**kinds, EVASION: Kind.EVASION}), *builtin)
    privacy = before.privacy if before else config.privacy
    streams = stream_specs(config, privacy)
    configure = Configure(
        detectors=tuple(one.settings for one in equipped.values()),
        rules=tuple(rule_settings(rule) for rule in rules),
        max_pixels=config.limits.max_pixels,
        allow_hosts=config.limits.allow_hosts,
        decode_workers=DECODE_WORKERS,
    )
    setup = Setup(
        streams=streams,
        configure=configure,
        grant=grant_of(configure, streams, memory=config.limits.memory),
        desk_rules=desk_rules(rules, equipped),
        policy=_policy(config.alerts),
        kept=tuple(kept),
        sid_key=sid_key(privacy),
        keep=Keep(
            confirmed_s=config.state.retention.alerts,
            dismissed_s=config.state.retention.dismissed,
            unconfirmed_s=config.state.retention.unconfirmed,
            samples_s=config.state.retention.samples,
        ),
        max_ledger=config.state.max_size,
        bases={
            spec.id: stream.legal_basis
            for spec, stream in zip(streams, config.streams, strict=True)
            if stream.audience is Audience.PRIVATE and stream.legal_basis
        },
        names_shown=privacy.names is Names.SHOWN,
        written=Written(
            sha256=loaded.sha256,
            sections=tuple((name, _fingerprint(config, name)) for name in Config.model_fields),
            models=tuple(_model(one) for one in equipped.values()),
        ),
        fixed=(
            *((name, _fingerprint(config, name)) for name in _ONLY_AT_START),
            ("limits.watchers", str(config.limits.watchers)),
        ),
    )
    return Settings(loaded, setup, equipped, privacy)


def _policy(alerts: Alerts) -> LifePolicy:
    escalate = alerts.escalate
    return LifePolicy(
        escalate_s={Severity.URGENT: escalate.urgent, Severity.HIGH: escalate.high, Severity.LOW: escalate.low},
        flood_streams=alerts.flood.streams,
        flood_within_s=alerts.flood.within,
        hold_s=alerts.hold,
        preserve_within_s=alerts.preserve.within,
        preserve_answer=alerts.preserve.answer,
        duty=alerts.duty,
    )


def _learn_secrets(config: Config) -> None:
    """From here on no log line of this process shows them, whoever writes it."""
    if config.mqtt.password is not None:
        redact.learn(config.mqtt.password.get_secret_value())
    for stream in stream_specs(config):
        redact.learn_address(stream.url, stream.id, stream.name)


def _state_problems(loaded: Loaded) -> Iterator[Problem]:
    """Whether the state folder can be one."""
    folder = Path(loaded.config.state.folder).absolute()
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    if not nearest.is_dir():
        yield loaded.problem("state.folder", f"{nearest} is not a folder", "a folder, or a place where one can be made")
    elif not os.access(nearest, os.W_OK | os.X_OK):
        yield loaded.problem(
            "state.folder", f"{nearest} cannot be written by this user", "a folder of the daemon's own"
        )


def _tls_problems(loaded: Loaded) -> Iterator[Problem]:
    """Whether the files that the broker's address needs are there to be read."""
    mqtt = loaded.config.mqtt
    for key, name in (("ca", mqtt.ca), ("cert", mqtt.cert), ("key", mqtt.key)):
        if name is not None and not os.access(loaded.beside(name), os.R_OK):
            where = f"mqtt.{key}"
            yield loaded.problem(where, f"{loaded.beside(name)} is not there, or may not be read", "a PEM file")


def _equipped(loaded: Loaded, detector: Detector, key: str) -> Equipped:
    return equip(
        name=detector.name,
        kind=detector.kind,
        folder=_folder(loaded, detector.model or "", f"{key}.model"),
        mode=detector.mode,
        every_s=detector.every,
        where=loaded.where(f"{key}.kind"),
        key=f"{key}.kind",
    )


def _folder(loaded: Loaded, name: str, key: str) -> Path:
    return find_folder(name, loaded.path.absolute().parent, where=loaded.where(key), key=key)


def _label_problems(loaded: Loaded, equipped: dict[str, Equipped]) -> Iterator[Problem]:
    """Rules must speak of labels that their detector knows."""
    for index, rule in enumerate(loaded.config.rules):
        detector = equipped.get(rule.detector)
        if detector is not None and rule.label not in detector.verified.labels:
            known = ", ".join(detector.verified.labels[:20])
            yield loaded.problem(
                f"rules.{index}.label", f"detector {rule.detector} has no label {rule.label}", f"one of {known}"
            )


def _builtin_rules(config: Config) -> tuple[RuleSpec, ...]:
    """The rules about evasion that hold because the operator wrote no other for their sign."""
    if not config.evasion.enabled:
        return ()
    own = {rule.label for rule in config.rules if rule.detector == EVASION}
    return evasion.builtin(config.evasion.severity, but={*own, *(sign.value for sign in config.evasion.without)})


def _name_problems(loaded: Loaded, builtin: tuple[RuleSpec, ...]) -> Iterator[Problem]:
    """A name leads to one rule only: in alerts, in cool-downs, in what a moderator mutes."""
    taken = {rule.name: rule.label for rule in builtin}
    for index, rule in enumerate(loaded.config.rules):
        if rule.name in taken:
            yield loaded.problem(
                f"rules.{index}.name",
                f"{rule.name} is the built-in rule about {taken[rule.name]}",
                f"another name, or evasion.without: [{taken[rule.name]}]",
            )


def _not_yet(loaded: Loaded) -> Iterator[Problem]:
    """What the public interface names and this version does not do: refused, because silence would read as done."""
    for index, origin in enumerate(loaded.config.origins):
        yield loaded.problem(
            f"origins.{index}",
            f"streams of {origin.kind.value} servers cannot be discovered by this version",
            "name the streams under streams",
        )


def _model(equipped: Equipped) -> Model:
    settings, verified = equipped.settings, equipped.verified
    return Model(settings.name, settings.kind, verified.manifest.version, verified.sha256, settings.mode.value)


def _fingerprint(config: Config, section: str) -> str:
    """Tells whether a section changed, and nothing about it: it may hold secrets."""
    return hashlib.sha256(repr(_revealed(getattr(config, section))).encode()).hexdigest()[:16]


def _revealed(value: object) -> object:
    if hasattr(value, "get_secret_value"):
        return value.get_secret_value()
    fields = getattr(type(value), "model_fields", None)
    return {name: _revealed(getattr(value, name)) for name in fields} if fields else value
