"""The bench's models: real model folders, whose numbers are random but fixed, and which find only the marker.

`net` has the shape of MobileNetV3-small (about 0.06 billion multiplications for 224 x 224) and never fires; `marker`
fires on the bench's magenta scene, by the means of the picture's colours, in the same graph. The cheap model is the
marker alone, for what is measured without an inference. Needs the package `onnx`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from numpy.typing import NDArray

VERSION: Final = "1"
SIDE: Final = 224
CHEAP_SIDE: Final = 32
LABELS: Final = ("net", "marker")
_OPSET, _IR = 17, 8
_SEED: Final = 20
_MARKER_AT, _MARKER_STEEPNESS = 0.14, 60.0
"""Excess of magenta (mean of red and blue, less green; 0 to 1) that scores one half, and how fast it rises."""

_BLOCKS: Final = (
    # kernel, expanded, out, squeeze, hard swish, stride: MobileNetV3-small, Howard et al. 2019, table 2
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)


class _Graph:
    """A graph that grows node by node; multiplications are counted."""

    def __init__(self) -> None:
        from onnx import helper, numpy_helper  # noqa: PLC0415 - an extra: only who builds needs it

        self._helper, self._numpy = helper, numpy_helper
        self._rng = np.random.default_rng(_SEED)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.multiplications = 0

    def node(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        """Add a node; the name of its output."""
        name = out or f"v{len(self.nodes)}"
        self.nodes.append(self._helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, values: Any) -> str:
        """Add a constant."""
        name = f"c{len(self.constants)}"
        self.constants.append(self._numpy.from_array(np.asarray(values), name))
        return name

    def convolution(
        self, what: str, size: int, inside: int, outside: int, *, kernel: int = 1, stride: int = 1, each: bool = False
    ) -> tuple[str, int]:
        """A convolution with bias; `each`: channel by channel. Returns its output and that one's side."""
        per = 1 if each else inside
        weights = self._rng.standard_normal((outside, per, kernel, kernel)) * np.sqrt(2.0 / (per * kernel * kernel))
        bias = self._rng.standard_normal(outside) * 0.05
        made = self.node(
            "Conv",
            what,
            self.constant(weights.astype(np.float32)),
            self.constant(bias.astype(np.float32)),
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[kernel // 2] * 4,
            group=inside if each else 1,
        )
        side = -(-size // stride)
        self.multiplications += side * side * outside * per * kernel * kernel
        return made, side

    def block(self, what: str, size: int, inside: int, spec: tuple[int, int, int, bool, bool, int]) -> tuple[str, int]:
        """An inverted residual of MobileNetV3."""
        kernel, expanded, out, squeeze, swish, stride = spec
        active = "HardSwish" if swish else "Relu"
        flow = what
        if expanded != inside:
            flow = self.node(active, self.convolution(flow, size, inside, expanded)[0])
        flow, side = self.convolution(flow, size, expanded, expanded, kernel=kernel, stride=stride, each=True)
        flow = self.node(active, flow)
        if squeeze:
            narrow = max(expanded // 4 // 8 * 8, 8)
            gate = self.node("GlobalAveragePool", flow)
            gate = self.node("Relu", self.convolution(gate, 1, expanded, narrow)[0])
            gate = self.node("HardSigmoid", self.convolution(gate, 1, narrow, expanded)[0], alpha=1 / 6, beta=0.5)
            flow = self.node("Mul", flow, gate)
        flow, _ = self.convolution(flow, side, expanded, out)
        return (self.node("Add", what, flow) if stride == 1 and inside == out else flow), side

    def marker(self, picture: str) -> str:
        """The score of the marker, 1 x 1, from pixels as `nchw` in 0 to 1."""
        means = self.node("ReduceMean", picture, axes=[2, 3], keepdims=0)
        excess = self.node("MatMul", means, self.constant(np.array([[0.5], [-1.0], [0.5]], np.float32)))
        above = self.node("Sub", excess, self.constant(np.float32(_MARKER_AT)))
        return self.node("Sigmoid", self.node("Mul", above, self.constant(np.float32(_MARKER_STEEPNESS))))

    def model(self, *, side: int, labels: int) -> bytes:
        """The finished model, from `picture` to `scores`."""
        from onnx import TensorProto, checker  # noqa: PLC0415 - as above

        helper = self._helper
        graph = helper.make_graph(
            self.nodes,
            "bench",
            [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, side, side])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, labels])],
            self.constants,
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="streamwatch")
        made.ir_version = _IR
        checker.check_model(made, full_check=True)
        return bytes(made.SerializeToString(deterministic=True))


def _net() -> tuple[bytes, int]:
    """The model with `net` and `marker`, and its multiplications."""
    graph = _Graph()
    flow, side = graph.convolution("picture", SIDE, 3, 16, kernel=3, stride=2)
    flow, channels = graph.node("HardSwish", flow), 16
    for spec in _BLOCKS:
        flow, side = graph.block(flow, side, channels, spec)
        channels = spec[2]
    flow = graph.node("HardSwish", graph.convolution(flow, side, channels, 576)[0])
    flow = graph.node("GlobalAveragePool", flow)
    flow = graph.node("HardSwish", graph.convolution(flow, 1, 576, 1024)[0])
    flow, _ = graph.convolution(flow, 1, 1024, 1000)
    whole = graph.node("ReduceMean", flow, axes=[1, 2, 3], keepdims=0)
    # whatever the random numbers say, it stays under one tenth
    small = graph.node("Mul", graph.node("Sigmoid", whole), graph.constant(np.float32(0.1)))
    net = graph.node("Reshape", small, graph.constant(np.array([1, 1], np.int64)))
    graph.node("Concat", net, graph.marker("picture"), out="scores", axis=1)
    return graph.model(side=SIDE, labels=2), graph.multiplications


def _cheap() -> bytes:
    """The model with the marker alone."""
    graph = _Graph()
    graph.node("Identity", graph.marker("picture"), out="scores")
    return graph.model(side=CHEAP_SIDE, labels=1)


def build(folder: Path, *, cheap: bool = False) -> Path:
    """Write a model folder into `folder`, unless it lies there already; where it is."""
    target = folder / f"bench-{'cheap' if cheap else 'net'}-{VERSION}"
    if (target / "manifest.yaml").is_file():
        return target
    target.mkdir(exist_ok=True)
    data, multiplications = (_cheap(), 0) if cheap else _net()
    labels, side = (LABELS[1:], CHEAP_SIDE) if cheap else (LABELS, SIDE)
    (target / "model.onnx").write_bytes(data)
    (target / "labels.txt").write_text("\n".join(labels) + "\n")
    manifest = {
        "schema": "streamwatch.model/1",
        "name": target.name,
        "version": VERSION,
        "licence": "Apache-2.0",
        "purpose": f"Costs as a small classifier ({multiplications / 1e9:.3f} G multiplications); finds a marker.",
        "kind": "classifier",
        "file": "model.onnx",
        "sha256": hashlib.sha256(data).hexdigest(),
        "labels": "labels.txt",
        "input": {"name": "picture", "width": side, "height": side, "layout": "nchw", "scale": 1 / 255},
        "output": {"name": "scores", "activation": "none"},
    }
    (target / "manifest.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))
    return target


def magenta(picture: NDArray[np.uint8]) -> float:
    """What the marker's score is made of: excess of magenta of an RGB picture, 0 to 1."""
    red, green, blue = picture.reshape(-1, 3).mean(axis=0) / 255
    return float((red + blue) / 2 - green)
