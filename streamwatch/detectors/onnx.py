"""Classifiers that run in onnxruntime: the one file that imports it.

One session a detector, shared by all decode workers; each call runs in its caller's thread and in no other, since a
look is small and the machine's cores are already taken by other looks.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from streamwatch.detectors.base import DetectorInfo
from streamwatch.detectors.folder import Model, Verified, read_model
from streamwatch.detectors.golden import draw
from streamwatch.detectors.manifest import MANIFEST, Place
from streamwatch.detectors.spec import InputSpec
from streamwatch.domain.errors import ModelError, Problem, ScoreFailed
from streamwatch.domain.media import Scores
from streamwatch.sandbox.memory import Shroud

if os.environ.get("ORT_DISABLE_TELEMETRY") != "1":
    # It writes files into the home folder and reports model names to its makers; only the environment stops that,
    # and only before the import.
    raise RuntimeError("ORT_DISABLE_TELEMETRY=1 must be in the environment before onnxruntime is imported")

import onnxruntime as ort  # type: ignore[import-untyped]

_log = structlog.get_logger(__name__)

_SLACK = 1e-4
"""How far from 0..1 rounding may carry a score; anything beyond is no score."""
_ERRORS_ONLY = 3


class OnnxClassifier:
    """A detector of image labels from a model folder. Thread-safe; `score` may run in several threads at a time."""

    def __init__(self, *, name: str, folder: Path, sha256: str = "") -> None:
        """Load, check and warm up the model.

        Args:
            name: what the operator calls it.
            folder: the model folder.
            sha256: the hash that the daemon found, if it did; another file is refused.

        Raises:
            ModelError: the folder is not what its manifest says, or the model does not score as it promises.

        """
        model = read_model(folder, sha256=sha256)
        spec = model.verified.manifest.input
        self._info = DetectorInfo(
            name=name,
            version=model.verified.manifest.version,
            sha256=model.verified.sha256,
            labels=model.verified.labels,
            width=spec.width,
            height=spec.height,
        )
        self._shape = (spec.height, spec.width, 3)
        self._output = model.verified.manifest.output
        self._feed = _Feed(spec)
        self._session: ort.InferenceSession | None = _session(model.data, model.verified)
        self._check(model)
        _log.info("detector loaded", detector=name, version=self._info.version, sha256=self._info.sha256)

    @property
    def info(self) -> DetectorInfo:
        """Name, version, hash, labels and input size; constant."""
        return self._info

    def score(self, picture: NDArray[np.uint8]) -> Scores:
        """Score one picture, `height x width x 3` uint8 RGB.

        Raises:
            ScoreFailed: the picture has another shape, the engine failed, or a score is not a number from 0 to 1
                (never clamped: a broken model must not read as safe).

        """
        session = self._session
        if session is None:
            raise ScoreFailed(f"detector {self._info.name} is closed")
        if picture.shape != self._shape or picture.dtype != np.uint8:
            raise ScoreFailed(f"a picture of {picture.shape} {picture.dtype} where {self._shape} uint8 is wanted")
        try:
            (raw,) = session.run([self._output.name], {self._feed.name: self._feed(picture)})
        except Exception as error:  # the engine's errors have no common root but Exception
            raise ScoreFailed(f"detector {self._info.name}: the engine failed: {type(error).__name__}") from error
        finally:
            self._feed.forget()
        return Scores(self._info.name, tuple(zip(self._info.labels, self._scores(raw), strict=True)))

    def close(self) -> None:
        """Give the session back; calls already running finish. Idempotent."""
        self._session = None

    def _scores(self, raw: Any) -> list[float]:
        values = np.asarray(raw, np.float64).reshape(-1)
        if values.size != len(self._info.labels):
            raise ScoreFailed(f"{values.size} values for {len(self._info.labels)} labels")
        if not np.isfinite(values).all():
            raise ScoreFailed(f"detector {self._info.name} answered with what is no number")
        match self._output.activation:
            case "sigmoid":
                values = 0.5 * (1.0 + np.tanh(0.5 * values))  # the same function, without overflow
            case "softmax":
                values = np.exp(values - values.max())
                values /= values.sum()
            case "none":
                pass
        if values.min() < -_SLACK or values.max() > 1 + _SLACK:
            raise ScoreFailed(f"detector {self._info.name} answered with a score outside 0 to 1")
        return [min(1.0, max(0.0, value)) for value in values.tolist()]

    def _check(self, model: Model) -> None:
        """Score a blank picture, so that the first look pays for no set-up, and the manifest's golden ones."""
        manifest = model.verified.manifest
        path = model.verified.folder / MANIFEST
        try:
            self.score(np.zeros(self._shape, np.uint8))
            problems = []
            for i, golden in enumerate(manifest.golden):
                picture = draw(golden.picture, self._info.width, self._info.height)
                found = self.score(picture).get(golden.label)
                if found is None or abs(found - golden.score) > golden.tolerance:
                    right = f"{golden.score} ± {golden.tolerance}; not this model, or this machine computes wrongly"
                    problems.append(Place(path, model.lines, f"golden.{i}").problem(f"scores {found}", right))
        except ScoreFailed as error:
            raise ModelError(
                Place(path, model.lines, "output").problem(f"the model gives no scores: {error}")
            ) from error
        if problems:
            raise ModelError(*problems)


def _session(data: bytes, verified: Verified) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # the arena keeps a run's scratch memory for the next one; its size is bounded by workers x one run
    options.enable_cpu_mem_arena = True
    options.enable_profiling = False
    options.log_severity_level = _ERRORS_ONLY
    try:
        # bytes, not a path: what runs is what was hashed
        return ort.InferenceSession(data, sess_options=options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the engine's errors have no common root but Exception
        where = str(verified.folder / verified.manifest.file)
        raise ModelError(Problem(where, "", f"onnxruntime cannot load it: {_first_line(error)}")) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


class _Feed:
    """Turns a picture into what the model is fed, in a buffer that each thread keeps and uses again."""

    def __init__(self, spec: InputSpec) -> None:
        self.name = spec.name
        self._dtype = np.dtype(spec.dtype)
        self._planes = spec.layout == "nchw"
        size = (3, spec.height, spec.width) if self._planes else (spec.height, spec.width, 3)
        self._shape = (1, *size)
        self._order = (0, 1, 2) if spec.colour == "rgb" else (2, 1, 0)
        # (pixel * scale - mean) / std, as one multiplication and one addition
        self._scale = [np.float32(spec.scale / std) for std in spec.std]
        self._bias = [np.float32(-mean / std) for mean, std in zip(spec.mean, spec.std, strict=True)]
        self._local = threading.local()

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[Any]:
        buffer: NDArray[Any] | None = getattr(self._local, "buffer", None)
        if buffer is None:
            buffer = self._local.buffer = np.empty(self._shape, self._dtype)
            Shroud().cover(buffer.ctypes.data, buffer.nbytes)
        for channel, source in enumerate(self._order):
            plane = buffer[0, channel] if self._planes else buffer[0, :, :, channel]
            if self._dtype == np.uint8:
                plane[...] = picture[:, :, source]
            else:
                np.multiply(picture[:, :, source], self._scale[channel], out=plane)
                np.add(plane, self._bias[channel], out=plane)
        return buffer

    def forget(self) -> None:
        """Overwrite what this thread fed last."""
        buffer: NDArray[Any] | None = getattr(self._local, "buffer", None)
        if buffer is not None:
            buffer.fill(0)
