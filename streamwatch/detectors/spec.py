"""The manifest of a model folder: what a model is, what it wants, what it answers and how that was measured.

The format is general: nothing here knows the test card. Values are checked when a manifest is read (`manifest.py`).
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from streamwatch.domain.decisions import Kind

MAX_SIDE = 1024
"""Pixels. A classifier wants a few hundred; more than this is a mistake or an attack on memory."""

Text = Annotated[str, Field(min_length=1, max_length=4000)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")]
"""A plain name: a file of a model lies in the model's folder and nowhere else."""
Side = Annotated[int, Field(ge=1, le=MAX_SIDE, strict=True)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Score = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, strict=True)]
Triple = tuple[Number, Number, Number]


class Part(BaseModel):
    """A part of a manifest: frozen, and nothing beside its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class InputSpec(Part):
    """The picture a model wants. What it is fed is `(pixel * scale - mean) / std`, channel by channel."""

    name: Text
    width: Side
    height: Side
    layout: Literal["nchw", "nhwc"]
    colour: Literal["rgb", "bgr"] = "rgb"
    dtype: Literal["float32", "uint8"] = "float32"
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)
    """`mean` and `std` are in units of scaled pixels and in the order of `colour`."""
    resize: Literal["squash"] = "squash"
    """The whole picture by area averaging; its aspect ratio is not kept."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if min(self.std) <= 0:
            raise ValueError("std must be greater than 0 for every channel")
        plain = (self.scale, *self.mean, *self.std) == (1, 0, 0, 0, 1, 1, 1)
        if self.dtype == "uint8" and not plain:
            raise ValueError("a uint8 input takes pixels as they are: no scale, mean or std")
        return self


class OutputSpec(Part):
    """The model's answer: one number a label, in the order of the labels' file."""

    name: Text
    activation: Literal["none", "sigmoid", "softmax"] = "none"
    """What turns the numbers into scores between 0 and 1; `none`: they are scores already."""


class ThresholdSpec(Part):
    """At which scores a rule on this label should open and close."""

    open: Score
    close: Score
    basis: Text
    """Why these: the target, and where it was measured."""


class EvaluationSpec(Part):
    """One measurement of the model, by whom and on what."""

    set: Text
    evaluator: Text
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    label: Name
    positives: Count
    """Frames that show what the label means."""
    negatives: Count
    """Frames that do not."""
    min_positive: Score | None = None
    max_negative: Score | None = None
    threshold: Score
    missed: Count
    """Positives under `threshold`."""
    false_alarms: Count
    """Negatives at or over `threshold`."""
    false_alarm_rate_below: Score | None = None
    """95 % bound (no false alarm: 3 / negatives), which holds for frames drawn like these and for no others."""
    statement: Text


class SeedPicture(Part):
    """A picture anybody can make: `cells x cells` plain blocks coloured by SHA-256(seed ‖ counter).

    The counter is 32 bits, big-endian, from 0; the digests one after the other are the colours, RGB, row by row.
    """

    seed: Annotated[str, Field(min_length=1, max_length=200)]
    cells: Annotated[int, Field(ge=1, le=64, strict=True)]


class FlatPicture(Part):
    """A picture of one grey level."""

    level: Annotated[int, Field(ge=0, le=255, strict=True)]


class GoldenSpec(Part):
    """A picture and the score it must get on every machine: notices a runtime or a processor that computes wrongly."""

    picture: SeedPicture | FlatPicture
    label: Name
    score: Score
    tolerance: Annotated[float, Field(gt=0, le=0.2)]


class Manifest(Part):
    """`manifest.yaml` of a model folder."""

    schema_: Annotated[Literal["streamwatch.model/1"], Field(alias="schema")]
    name: Name
    version: Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}$")]
    licence: Text
    purpose: Text
    kind: Kind
    """What alerts on this model's labels report; `test` never mixes with the others."""
    file: FileName
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    labels: FileName
    input: InputSpec
    output: OutputSpec
    thresholds: Annotated[dict[Name, ThresholdSpec], Field(max_length=1000)] = {}
    evaluation: Annotated[tuple[EvaluationSpec, ...], Field(max_length=100)] = ()
    limits: Annotated[tuple[Text, ...], Field(max_length=100)] = ()
    """What the model is known not to do."""
    golden: Annotated[tuple[GoldenSpec, ...], Field(max_length=32)] = ()
    contact: Text | None = None
    expires: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = None
    """The day (UTC) by which its makers want it replaced. Said, not enforced: an old detector is better than none."""
