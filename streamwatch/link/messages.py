"""Everything that daemon and watcher can say to each other.

No field here can hold bytes or an array, every text and list is bounded, and a frame on the link is at most
`MAX_FRAME` bytes: what leaves a watcher is too small and too typed to be a picture. A test walks these types.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from streamwatch.domain.decisions import Kind, Level, Mode, Severity
from streamwatch.domain.media import Aim
from streamwatch.domain.streams import Audience, Reason
from streamwatch.link.words import pixels, rough, thousandths, token, words

MAX_FRAME = 256 * 1024
"""Bytes of one framed message: room for a full configuration downwards; upwards see MAX_REPORT."""
MAX_REPORT = 16 * 1024
"""Bytes of one message from a watcher."""

MAX_SCORES = 100
"""Labels of one detector in one report."""

MAX_RULES = 544
"""The 512 that a configuration may hold, and those that are built in."""

Name = Annotated[str, Field(min_length=1, max_length=128)]
Text = Annotated[str, Field(max_length=300), AfterValidator(words)]
StreamName = Annotated[str, Field(min_length=1, max_length=16_384)]
Session = Annotated[str, Field(pattern=r"^[0-9a-z]{0,16}$")]
Score = Annotated[float, Field(ge=0, le=1)]
MAX_SECONDS = 1e9
"""Thirty years: whoever computes with such a number stays within what dates and floats can hold."""
Seconds = Annotated[float, Field(ge=-MAX_SECONDS, le=MAX_SECONDS, allow_inf_nan=False)]
MediaSeconds = Annotated[
    float,
    Field(allow_inf_nan=False),
    AfterValidator(lambda value: thousandths(min(max(value, -MAX_SECONDS), MAX_SECONDS))),
]
"""As a stream counts its own time, which may be nonsense: brought into bounds at both ends, and so breaks nobody."""
Figure = Annotated[
    float, Field(allow_inf_nan=False), AfterValidator(lambda value: thousandths(min(max(value, 0.0), 1e12)))
]
"""A number for people, as a stream claims it: brought into bounds."""
Moment = Annotated[AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(2100, 1, 1, tzinfo=UTC))]
"""Wall time that can be shown in any zone. From 1970: that is where a machine without a battery starts."""
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
"""A whole number with an end: JSON would carry thousands of digits."""
Epoch = Count
Side = Annotated[Count, AfterValidator(pixels)]
"""Of a picture, as a stream claims it: brought into bounds."""
Codec = Annotated[str, Field(max_length=40), AfterValidator(token)]
ReportedScore = Annotated[Score, AfterValidator(rough)]
ReportedSeconds = Annotated[Seconds, AfterValidator(thousandths)]
Duration = Annotated[Seconds, AfterValidator(rough)]
"""Of work that takes milliseconds, for metrics: tenths of one."""
ReportedMoment = Annotated[Moment, AfterValidator(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000))]
"""What comes from a watcher is as exact as people need it, and no digit more (see `words`)."""


class Message(BaseModel):
    """A value on the link: frozen, and nothing beside its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


# --- from the daemon ---------------------------------------------------------------------------------------------


class DetectorSettings(Message):
    """One detector to load."""

    name: Name
    kind: Name
    folder: Annotated[str, Field(max_length=4096)]
    sha256: Annotated[str, Field(max_length=64)]
    """Of the model file as the daemon checked it; a watcher that finds another one refuses."""
    labels: Annotated[tuple[Name, ...], Field(max_length=1000, exclude=True)] = ()
    """As the daemon read them, and only for the daemon: never sent. What a watcher says of others is a violation."""
    mode: Mode
    every_s: Seconds = 0.0
    """Least time between two pictures scored by it; 0: every look."""


class RuleSettings(Message):
    """One rule to judge."""

    name: Name
    detector: Name
    label: Name
    severity: Severity
    kind: Kind
    open_score: Score
    open_hits: Annotated[int, Field(ge=1, le=100)]
    open_within_s: Seconds
    open_spacing_s: Seconds
    close_score: Score
    close_for_s: Seconds
    cooldown_s: Seconds


class Configure(Message):
    """The first message to a watcher, and again when detectors or rules change."""

    type: Literal["configure"] = "configure"
    detectors: Annotated[tuple[DetectorSettings, ...], Field(max_length=64)]
    rules: Annotated[tuple[RuleSettings, ...], Field(max_length=MAX_RULES)]
    max_pixels: Annotated[int, Field(ge=1, le=2**63 - 1)]
    allow_hosts: Annotated[tuple[Annotated[str, Field(max_length=300)], ...], Field(max_length=1000)]
    decode_workers: Annotated[int, Field(ge=1, le=64)]


class StandingState(Message):
    """Where one rule stands on the stream being assigned."""

    rule: Name
    open: bool
    cooldown_until: Seconds | None = None


class Assign(Message):
    """Watch this stream from now on, or go on watching it with changed settings."""

    type: Literal["assign"] = "assign"
    epoch: Epoch
    """Number of this assignment; reports repeat it, so that late words of an earlier one are told apart."""
    stream: StreamName
    name: StreamName
    url: Annotated[str, Field(min_length=1, max_length=16_384)]
    origin: Name
    weight: Seconds
    max_gap_s: Seconds
    min_gap_s: Seconds
    lookback_s: Seconds
    novelty: bool
    jitter: Seconds
    inner: Seconds
    young_s: Seconds = 0.0
    fallback: bool
    end_after_s: Seconds | None
    tests: bool
    audience: Audience
    fast: bool
    session: Session = ""
    """Of a stream that is live already as far as the daemon knows: it goes on under that name. Empty: it is not."""
    standing: Annotated[tuple[StandingState, ...], Field(max_length=MAX_RULES)] = ()


class Restand(Message):
    """Where rules of a stream already assigned stand now: after a verdict, or an alert that opened or closed."""

    type: Literal["restand"] = "restand"
    stream: StreamName
    standing: Annotated[tuple[StandingState, ...], Field(max_length=MAX_RULES)]


class Release(Message):
    """Stop watching this stream."""

    type: Literal["release"] = "release"
    stream: StreamName


class Demand(Message):
    """Look harder at a stream for a while: a person or another system asks for it."""

    type: Literal["demand"] = "demand"
    stream: StreamName
    suspicion: Score
    for_s: Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)] = 0.0
    """It stands for so long, in the place of any that stood before; 0: at once, and fading like suspicion does."""


class Inspect(Message):
    """Open an address, say what is there (`Found`), and go on: the work of `probe`."""

    type: Literal["inspect"] = "inspect"
    url: Annotated[str, Field(min_length=1, max_length=16_384)]
    seconds: Seconds


class Stop(Message):
    """End orderly: close readers, then exit."""

    type: Literal["stop"] = "stop"


# --- from a watcher ----------------------------------------------------------------------------------------------


class Layer(Message):
    """One layer of the sandbox."""

    name: Name
    in_force: bool
    detail: Text = ""


class LoadedDetector(Message):
    """A detector that is loaded and has scored a blank picture."""

    name: Name
    version: Text
    sha256: Annotated[str, Field(max_length=64)]
    labels: Annotated[tuple[Name, ...], Field(max_length=1000)]


class Ready(Message):
    """Configured and warm: streams can be assigned."""

    type: Literal["ready"] = "ready"
    pid: Count
    sandbox: Annotated[tuple[Layer, ...], Field(max_length=32)]
    detectors: Annotated[tuple[LoadedDetector, ...], Field(max_length=64)]


class Failed(Message):
    """This watcher cannot do what was asked and says why; the daemon decides what follows."""

    type: Literal["failed"] = "failed"
    what: Literal["sandbox", "detectors", "bug"]
    detail: Text


class Beat(Message):
    """Once a second: the watcher lives. Counters grow from its start."""

    type: Literal["beat"] = "beat"
    busy_s: ReportedSeconds
    """Age of the look that has been in progress longest, without the seconds in which it waited for a processor."""
    stuck_s: ReportedSeconds = 0.0
    """The same of one call of a decoder; one that hangs or spins shows here."""
    rss_bytes: Count
    cpu: dict[Literal["receive", "decode", "scale", "infer", "inner"], ReportedSeconds]
    """Processor seconds by what they were spent on; `receive` is all that is none of the others, `inner` the decoding
    for looks inside groups of pictures."""
    load: ReportedSeconds = 0.0
    """What the promises ask of the workers, as a share of what they can do; over 1 they cannot be kept."""
    thrift: ReportedScore = 0.0
    """How much of what nobody was promised is left out: 0 none, 1 all."""
    suspicion_stretch: ReportedSeconds = 1.0
    """Looks at suspicious streams are so many times farther apart than they should be."""
    floor_stretch: ReportedSeconds = 1.0
    """The same for all others, of weight 1."""
    stuck_readers: Count = 0
    """Threads of readers that were let go and do not end: each holds a connection."""
    looks_dropped: Count
    """Looks that were due and not taken because the workers were busy."""
    packets_dropped: Count
    received: dict[Literal["rtmp", "hls", "rtsp", "srt", "file"], Count]
    """Bytes per transport."""


class StreamLevel(Message):
    """How a stream stands; sent on every change and repeated every few seconds. Idempotent."""

    type: Literal["stream"] = "stream"
    epoch: Epoch
    stream: StreamName
    session: Session
    """Empty before the first media packet."""
    live: bool
    """Media has arrived and the stream has not ended."""
    ended: bool
    reason: Reason | None
    """What stands in the way of looking, None when nothing does."""
    detail: Text = ""
    """The same for people: redacted, printable."""
    width: Side = 0
    height: Side = 0
    codec: Codec = ""
    gap_aim_s: ReportedSeconds | None = None


class ScoreLine(Message):
    """One detector's scores of one frame."""

    detector: Name
    values: Annotated[tuple[tuple[Name, ReportedScore], ...], Field(max_length=MAX_SCORES)]
    infer_s: Duration


class Sampled(Message):
    """A frame was scored."""

    type: Literal["sampled"] = "sampled"
    epoch: Epoch
    stream: StreamName
    session: Session
    at: ReportedMoment
    arrival: ReportedSeconds
    media_s: MediaSeconds
    gap_s: ReportedSeconds | None
    key: bool
    corrupt: bool
    blind: bool = False
    """There is nothing to see in it: it was examined, and its stream is no better known than before."""
    look: Aim = Aim.KEY
    """How it came to be looked at."""
    decode_s: Duration
    scores: Annotated[tuple[ScoreLine, ...], Field(max_length=64)]


class HitSeen(Message):
    """One frame that counted."""

    at: ReportedMoment
    arrival: ReportedSeconds
    media_s: MediaSeconds
    score: ReportedScore
    look: Aim | None = Aim.KEY


class RuleLevel(Message):
    """Where one rule stands on one stream; sent on change and repeated while not calm. Idempotent."""

    type: Literal["rule"] = "rule"
    epoch: Epoch
    stream: StreamName
    session: Session
    rule: Name
    level: Level
    suspicion: ReportedScore
    score: ReportedScore
    hits: Annotated[tuple[HitSeen, ...], Field(max_length=100)] = ()
    first_seen: HitSeen | None = None
    last_seen: HitSeen | None = None


class Found(Message):
    """The answer to `Inspect`."""

    type: Literal["found"] = "found"
    transport: Name
    codec: Codec
    width: Side
    height: Side
    fps: Figure | None
    key_interval_s: MediaSeconds | None
    key_bytes: Count
    bitrate: Figure
    decode_key_s: Duration | None
    renditions: Annotated[tuple[tuple[Side, Side], ...], Field(max_length=100)]
    reason: Reason | None
    detail: Text = ""


ToWatcher = Annotated[
    Configure | Assign | Restand | Release | Demand | Inspect | Stop,
    Field(discriminator="type"),
]
FromWatcher = Annotated[
    Ready | Failed | Beat | StreamLevel | Sampled | RuleLevel | Found,
    Field(discriminator="type"),
]

TO_WATCHER: TypeAdapter[ToWatcher] = TypeAdapter(ToWatcher)
FROM_WATCHER: TypeAdapter[FromWatcher] = TypeAdapter(FromWatcher)
