"""The settings as frozen values: the only place where a default, a bound or a unit is decided.

Every value of a file arrives as text (see `tree`) and is typed here. Defaults are written as an operator writes them
and validated like everything else. Sub-models compare by value, so a reload can apply only what differs.
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from streamwatch.config import checks
from streamwatch.config.addresses import (
    AllowedHost,
    ApiUrl,
    Listen,
    MqttUrl,
    Prefix,
    ReadTemplate,
    StreamUrl,
    WatchTemplate,
    WatchUrl,
)
from streamwatch.config.choices import Identify, Names, OriginKind, Protocol, Sandbox, StreamIds
from streamwatch.config.fields import (
    Duration,
    FilePath,
    Label,
    Line,
    LongSecret,
    Name,
    Number,
    Secret,
    Size,
    Switch,
    Whole,
    no,
    written,
)
from streamwatch.domain.alerts import Expect
from streamwatch.domain.decisions import Mode, Severity
from streamwatch.domain.evasion import Sign
from streamwatch.domain.streams import AgeBand, Audience

_DAY = 86400.0
_COOLDOWN_S = 30.0


class Section(BaseModel):
    """A part of the file: frozen, and nothing beside its keys. A key without a value counts as not written."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _written(cls, data: Any) -> Any:
        if isinstance(data, dict):
            known = {field.alias or name for name, field in cls.model_fields.items()}
            return {key: value for key, value in data.items() if value is not None or key not in known}
        if not isinstance(data, cls):
            no("is not a section", "keys below it, indented")
        return data


class Mqtt(Section):
    """The broker."""

    url: MqttUrl = Field(description="Address of the broker: mqtt, mqtts, ws or wss.")
    username: Line | None = Field(None, description="User at the broker.")
    password: Secret | None = Field(None, description="Its password; best as ${file:PATH} or ${NAME}.")
    ca: FilePath | None = Field(None, description="File of certificates to trust instead of the system's (PEM).")
    cert: FilePath | None = Field(None, description="Client certificate (PEM); needs `key`.")
    key: FilePath | None = Field(None, description="Private key of the client certificate (PEM); needs `cert`.")
    allow_plaintext: Switch = Field(
        default=False, description="Whether mqtt or ws, which are not encrypted, may be used to another machine."
    )
    prefix: Prefix = Field("streamwatch/v1", description="Beginning of every topic; the node's name follows.")
    protocol: Protocol = Field(Protocol.AUTO, description="MQTT version; auto tries 5, then 3.1.1.")
    expiry: Duration = written(
        "72h", ge=60, le=400 * _DAY, description="How long the broker keeps an alert nobody fetched (MQTT 5)."
    )
    identify: Identify = Field(
        Identify.TOPIC, description="How the sender of a command is known: by the last level of its topic, or not."
    )


class SamplingOverrides(Section):
    """What a stream may set for itself; what it leaves out comes from the section `sampling`."""

    max_gap: Duration | None = Field(None, ge=0.1, le=3600, description="As sampling.max_gap.")
    min_gap: Duration | None = Field(None, ge=0.04, le=3600, description="As sampling.min_gap.")
    lookback: Duration | None = Field(None, ge=0, le=60, description="As sampling.lookback.")
    novelty: Switch | None = Field(None, description="As sampling.novelty.")
    jitter: Number | None = Field(None, ge=0, le=0.5, description="As sampling.jitter.")
    inner: Number | None = Field(None, ge=0, le=1, description="As sampling.inner.")
    young: Duration | None = Field(None, ge=0, le=3600, description="As sampling.young.")


class Sampling(Section):
    """When to look."""

    max_gap: Duration = written(
        "10s", ge=0.1, le=3600, description="The promise: no live stream goes longer without an examined frame."
    )
    min_gap: Duration = written("500ms", ge=0.04, le=3600, description="The gap aimed at under the highest suspicion.")
    lookback: Duration = written(
        "4s", ge=0, le=60, description="Compressed video kept in memory for an instant second look."
    )
    novelty: Switch = Field(default=True, description="Look earlier when the packets say that the picture changed.")
    jitter: Number = Field(
        0.1, ge=0, le=0.5, description="Share of the gap by which a look may come earlier, drawn anew each time."
    )
    inner: Number = Field(0.05, ge=0, le=1, description="Share of looks taken between key pictures.")
    young: Duration = written(
        "1m", ge=0, le=3600, description="How long a new stream is looked at more often, twice as often at first."
    )


class Stream(Section):
    """One stream by its address."""

    id: Line = Field(description="Name of the stream, in any script; unique.")
    url: StreamUrl = Field(
        description="Where it is read: rtmp, rtmps, http(s) HLS, rtsp, srt; for tests a file (/path, ./path, file:///path)."
    )
    watch_url: WatchUrl | None = Field(None, description="Where a moderator watches it; stands in every alert.")
    weight: Number = Field(
        1.0,
        gt=0,
        le=1000,
        description="Looks relative to other streams: more while there is room, and the last to lose any.",
    )
    sampling: SamplingOverrides = Field(
        default_factory=SamplingOverrides, description="Keys of the section `sampling` that differ for this stream."
    )
    fallback: Switch = Field(default=False, description="Read with FFmpeg's own network code, whatever the scheme.")
    end_after: Duration = written("5m", ge=5, le=_DAY, description="A stream silent for so long has ended.")
    tests: Switch = Field(default=True, description="Whether the test card counts here.")
    audience: Audience = Field(
        Audience.BROADCAST, description="Who sees it: broadcast, or private, which needs `legal_basis`."
    )
    age_band: AgeBand = Field(
        AgeBand.UNKNOWN,
        description="Who is on it, as far as you know: unknown, adult, mixed, minor. Only ever raises the weight.",
    )
    legal_basis: Line | None = Field(None, description="The recorded ground on which a private stream may be watched.")


class Origin(Section):
    """An ingest server that tells which streams are live."""

    name: Name = Field(description="Name of the server; unique; `static` is taken.")
    kind: OriginKind = Field(description="Which server it is.")
    api: ApiUrl = Field(description="Address of its list of streams (http or https).")
    read: ReadTemplate = Field(description="Where a stream is read, with {app} and {name} filled in.")
    include: tuple[Line, ...] = Field(
        (), max_length=1000, description="Patterns of APP/NAME, with * and ?; none means all."
    )
    exclude: tuple[Line, ...] = Field((), max_length=1000, description="Patterns of APP/NAME that are left out.")
    poll: Duration = written("5s", ge=0.5, le=300, description="How often the list is asked for.")
    hook: LongSecret | None = Field(
        None, description="Secret last part of /hooks/NAME/SECRET, where the server may announce streams at once."
    )
    watch_url: WatchTemplate | None = Field(
        None, description="Where a moderator watches a stream, with {app} and {name} filled in."
    )


class Detector(Section):
    """One model or list that scores pictures."""

    name: Name = Field(description="Name of the detector; unique; rules refer to it.")
    kind: Name = Field(description="onnx, pdq, or the name of a plug-in.")
    model: FilePath | None = Field(None, description="Folder of the model; kind onnx needs it.")
    lists: tuple[FilePath, ...] = Field((), max_length=100, description="Hash lists; kind pdq needs them.")
    mode: Mode = Field(Mode.ACTIVE, description="active, or shadow: scored and counted, never an alert.")
    every: Duration = written(
        "0s", ge=0, le=3600, description="Least time between two pictures scored by it; 0s: every look."
    )


class Open(Section):
    """When a rule opens an alert."""

    score: Number = Field(0.8, gt=0, le=1, description="Least score of a hit, between 0 and 1.")
    hits: Whole = Field(2, ge=1, le=100, description="Hits it takes.")
    within: Duration = written("10s", gt=0, le=3600, description="Span of time in which they must arrive.")
    spacing: Duration = written(
        "400ms", ge=0, le=600, description="Least time between two hits that both count: media time, or arrival."
    )


class Close(Section):
    """When a rule closes its alert."""

    score: Number = Field(0.5, ge=0, le=1, description="Every score must stay under this, between 0 and 1.")
    for_: Duration = written("30s", alias="for", ge=0, le=_DAY, description="For so long.")


class Raise(Section):
    """When an open alert of a rule becomes graver."""

    to: Severity | None = Field(None, description="Severity it takes on: high or urgent; without it, never.")
    score: Number | None = Field(None, gt=0, le=1, description="At a score of at least this.")
    after: Duration | None = Field(None, gt=0, le=_DAY, description="Once it has gone on for so long.")


class Rule(Section):
    """What turns scores into an alert."""

    name: Name = Field(description="Name of the rule; unique; stands in every alert.")
    detector: Name = Field(description="Name of the detector whose scores it judges.")
    label: Label = Field(description="Label of that detector, as its manifest spells it.")
    severity: Severity = Field(description="urgent, high, low, or test for the test card.")
    open: Open = Field(default_factory=Open, description="When an alert opens.")
    close: Close = Field(default_factory=Close, description="When it closes.")
    raise_: Raise = Field(default_factory=Raise, alias="raise", description="When it becomes graver while it is open.")
    cooldown: Duration | None = Field(
        None,
        ge=0,
        le=_DAY,
        description="Rest after an alert closed before this rule opens another one; without it 30s, and 0s for urgent.",
    )

    @property
    def cooldown_s(self) -> float:
        """Seconds of `cooldown`, or what holds without it: an urgent finding is never held back unasked."""
        if self.cooldown is not None:
            return self.cooldown
        return 0.0 if self.severity is Severity.URGENT else _COOLDOWN_S


class Escalate(Section):
    """How long an alert may wait for somebody to acknowledge it."""

    urgent: Duration = written("1m", ge=0, le=_DAY, description="Of severity urgent; 0s: for ever.")
    high: Duration = written("10m", ge=0, le=_DAY, description="Of severity high.")
    low: Duration = written("0s", ge=0, le=_DAY, description="Of severity low.")


class FloodBudget(Section):
    """When many alerts become one."""

    streams: Whole = Field(20, ge=0, le=100_000, description="More streams than this that open one rule; 0: never.")
    within: Duration = written("10m", ge=1, le=_DAY, description="Within so long.")


class PreserveAnswer(Section):
    """What whoever records is asked for."""

    within: Duration = written("5m", ge=1, le=_DAY, description="Until when preserve_ack shall come.")
    answer: Expect = Field(Expect.AUTO, description="Whether a missing answer is an alarm: expected, auto, off.")


class Alerts(Section):
    """How alerts reach people who decide."""

    escalate: Escalate = Field(default_factory=Escalate, description="When others are called.")
    duty: Expect = Field(Expect.AUTO, description="Whether it is an alarm that nobody is there: expected, auto, off.")
    flood: FloodBudget = Field(default_factory=FloodBudget, description="When many alerts become one.")
    preserve: PreserveAnswer = Field(default_factory=PreserveAnswer, description="What whoever records is asked for.")
    hold: Duration = written(
        "30m", ge=0, le=_DAY, description="How long directories are asked not to promote the stream; 0s: not at all."
    )


class Evasion(Section):
    """The built-in rules about streams that are not seen, or show nothing to see."""

    enabled: Switch = Field(
        default=True, description="Whether they hold where `rules` has no rule about the same sign."
    )
    severity: Severity = Field(Severity.LOW, description="Of their alerts: low, high or urgent.")
    without: tuple[Sign, ...] = Field((), max_length=len(Sign), description="Signs that never alert.")


class Limits(Section):
    """What a watcher may use and where it may connect."""

    watchers: Whole | None = Field(None, ge=1, le=256, description="Watcher processes; without it one per core.")
    memory: Size = written("1GiB", ge=2**28, le=2**40, description="Memory of one watcher; over it, it is replaced.")
    max_pixels: Whole = Field(
        9_437_184, ge=1024, le=2**27, description="Largest picture that is decoded, width times height."
    )
    max_streams: Whole = Field(1000, ge=1, le=100_000, description="Streams watched at once, found ones included.")
    allow_hosts: tuple[AllowedHost, ...] = Field(
        (), max_length=1000, description="Further hosts, HOST:PORT or networks that streams may lead to."
    )


class Retention(Section):
    """How long records are kept. Metadata only: there is never a picture to keep."""

    alerts: Duration = written(
        "365d", ge=0, le=3660 * _DAY, description="Closed alerts that a person confirmed or escalated."
    )
    unconfirmed: Duration = written("72h", ge=0, le=3660 * _DAY, description="Closed alerts that nobody confirmed.")
    dismissed: Duration = written("72h", ge=0, le=3660 * _DAY, description="Closed alerts that a person dismissed.")
    samples: Duration = written(
        "0s", ge=0, le=3660 * _DAY, description="Scores of single frames, for `replay`; 0s: not kept."
    )
    audit: Duration = written("730d", ge=0, le=3660 * _DAY, description="Commands, verdicts and changes of settings.")
    basis: Line | None = Field(None, description="The recorded ground on which anything is kept longer than that.")


class State(Section):
    """What outlives a restart."""

    folder: FilePath = Field("./state", description="Folder of the ledger; relative to the working directory.")
    max_size: Size = written(
        "1GiB", ge=2**24, le=2**42, description="Alerts kept, in bytes; over it, the least severe and oldest go."
    )
    retention: Retention = Field(default_factory=Retention, description="How long each kind of record is kept.")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        return {"folder": data} if isinstance(data, str) else data


class Http(Section):
    """Metrics, health and hooks."""

    listen: Listen = written("127.0.0.1:9464", description="HOST:PORT of /metrics, /healthz, /readyz and /hooks.")


class Privacy(Section):
    """What is shown of a stream, and how a watcher is confined."""

    stream_ids: StreamIds = Field(StreamIds.PLAIN, description="Ids in topics: plain, or keyed, which needs `key`.")
    key: LongSecret | None = Field(None, description="Key of the keyed ids, 16 bytes or more.")
    names: Names = Field(Names.SHOWN, description="Whether messages carry a stream's name.")
    sandbox: Sandbox = Field(
        Sandbox.REQUIRED,
        description="required: no start without; preferred: as much as the kernel can; off: none.",
    )


class Config(Section):
    """A whole configuration."""

    node: Name = Field(description="Name of this daemon; in every topic.")
    mqtt: Mqtt = Field(description="The broker.")
    streams: tuple[Stream, ...] = Field((), max_length=20_000, description="Streams known by their address.")
    origins: tuple[Origin, ...] = Field((), max_length=100, description="Servers that tell which streams are live.")
    sampling: Sampling = Field(default_factory=Sampling, description="When to look.")
    detectors: tuple[Detector, ...] = Field((), max_length=64, description="What scores the pictures.")
    rules: tuple[Rule, ...] = Field((), max_length=512, description="What turns scores into alerts.")
    alerts: Alerts = Field(default_factory=Alerts, description="How alerts reach people who decide.")
    evasion: Evasion = Field(default_factory=Evasion, description="Streams that are not seen, or show nothing.")
    limits: Limits = Field(default_factory=Limits, description="What may be used, and where streams may lead.")
    state: State = Field(default_factory=State, description="What outlives a restart; also just the folder.")
    http: Http = Field(default_factory=Http, description="Metrics, health and hooks.")
    privacy: Privacy = Field(default_factory=Privacy, description="Names, ids and the sandbox.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        # The loader reports all of these with their lines; here they guard a Config that is built in code.
        for finding in checks.findings(self):
            no(checks.summary(finding), finding.right)
        return self
