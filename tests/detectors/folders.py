"""Model folders for tests: tiny models made on the spot, whose scores can be said beforehand."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from onnx import ModelProto, TensorProto, helper, numpy_helper

WIDTH, HEIGHT = 6, 4
LABELS = ("first", "second", "third")


def channel_means(
    *, layout: str = "nchw", dtype: int = TensorProto.FLOAT, after: Sequence[str] = (), shape: list[Any] | None = None
) -> ModelProto:
    """A model that answers with the mean of each channel it is fed; `after` names operations on them."""
    size = [3, HEIGHT, WIDTH] if layout == "nchw" else [HEIGHT, WIDTH, 3]
    axes = [2, 3] if layout == "nchw" else [1, 2]
    nodes = [
        helper.make_node("Cast", ["picture"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["values"], ["0"], axes=axes, keepdims=0),
        *(helper.make_node(operation, [f"{n}"], [f"{n + 1}"]) for n, operation in enumerate(after)),
        helper.make_node("Identity", [f"{len(after)}"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "means",
        [helper.make_tensor_value_info("picture", dtype, ["n", *size])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, shape or ["n", 3])],
    )
    return seal(graph)


def seal(graph: Any) -> ModelProto:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


def with_external_data() -> ModelProto:
    """A model whose one constant lies in another file."""
    model = channel_means()
    tensor = numpy_helper.from_array(np.ones(4, np.float32), "elsewhere")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    model.graph.initializer.append(tensor)
    return model


def manifest(data: bytes, **changes: Any) -> dict[str, Any]:
    """A manifest for `channel_means`; a change to a part is merged into it, None takes a key away."""
    base: dict[str, Any] = {
        "schema": "streamwatch.model/1",
        "name": "means",
        "version": "0.1.0",
        "licence": "Apache-2.0",
        "purpose": "tests",
        "kind": "classifier",
        "file": "model.onnx",
        "sha256": hashlib.sha256(data).hexdigest(),
        "labels": "labels.txt",
        "input": {"name": "picture", "width": WIDTH, "height": HEIGHT, "layout": "nchw", "scale": 1 / 255},
        "output": {"name": "out", "activation": "none"},
    }
    for key, value in changes.items():
        if value is None:
            del base[key]
        else:
            base[key] = base[key] | value if isinstance(value, dict) and key in base else value
    return base


def write(
    folder: Path, model: ModelProto | bytes | None = None, *, labels: tuple[str, ...] = LABELS, **changes: Any
) -> Path:
    """Write a model folder and return it."""
    if model is None:
        model = channel_means()
    data = model if isinstance(model, bytes) else model.SerializeToString()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(data)
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest(data, **changes), sort_keys=False))
    return folder
