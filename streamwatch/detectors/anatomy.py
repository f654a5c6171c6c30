"""Just enough of the ONNX format to know what a model wants and answers, without an engine that would load it.

A model is a protocol-buffers message. This reads the few fields that matter and steps over all others, so that a
process without onnxruntime can say that labels do not fit, and so that a model that would make the engine open other
files is refused before any engine sees it. The bytes are not trusted: depth is bounded and every length is checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

MAX_DEPTH = 32
"""Nested graphs, in messages. Real models stay under ten."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_VARINT_BITS = 63

# Field numbers of onnx.proto; the paths along which a tensor that points to another file can hide.
_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 13, 14
_SPARSE = {1: "tensor", 2: "tensor"}
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": _SPARSE,
    "tensor": {},
}
_ELEMENTS = {1: "float32", 2: "uint8", 10: "float16"}


class NotOnnx(ValueError):
    """The bytes are no ONNX model."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the graph."""

    name: str
    dtype: str
    """numpy's name, or `type N` for element types we never feed."""
    shape: tuple[int | None, ...] | None
    """None for a dimension that may vary, and altogether where the model does not say."""


@dataclass(frozen=True, slots=True)
class Anatomy:
    """What a model file says of itself."""

    inputs: tuple[Port, ...]
    """What must be fed: inputs with a default value are left out."""
    outputs: tuple[Port, ...]
    external: bool
    """Some of its numbers lie in other files."""


def dissect(model: bytes) -> Anatomy:
    """Read a model's own description. Raises NotOnnx."""
    message = memoryview(model)
    graph = next((value for number, value in _fields(message) if number == 7 and isinstance(value, memoryview)), None)  # noqa: PLR2004  # ModelProto.graph
    if graph is None:
        raise NotOnnx("no graph in it")
    inputs, outputs, defaults = [], [], set()
    for number, value in _fields(graph):
        if not isinstance(value, memoryview):
            continue
        if number == 11:  # noqa: PLR2004  # GraphProto.input
            inputs.append(_port(value))
        elif number == 12:  # noqa: PLR2004  # GraphProto.output
            outputs.append(_port(value))
        elif number == 5:  # noqa: PLR2004  # GraphProto.initializer
            defaults.add(_text(value, 8))
    external = _external(message, "model", MAX_DEPTH)
    return Anatomy(tuple(port for port in inputs if port.name not in defaults), tuple(outputs), external)


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield (field number, value) of one message: numbers as int, everything with a length as a view."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == _BYTES:
            length, at = _varint(message, at)
        elif wire in {_FIXED64, _FIXED32}:
            length = 8 if wire == _FIXED64 else 4
        else:
            raise NotOnnx("not a protocol-buffers message")
        if at + length > len(message):
            raise NotOnnx("it ends in the middle of a field")
        yield number, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, _VARINT_BITS + 1, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004  # the top bit says that more follows
            return value, at
    raise NotOnnx("it ends in the middle of a number")


def _external(message: memoryview, kind: str, depth: int) -> bool:
    if depth == 0:
        raise NotOnnx(f"graphs nested more than {MAX_DEPTH} messages deep")
    children = _CHILDREN[kind]
    for number, value in _fields(message):
        if kind == "tensor" and (number == _TENSOR_EXTERNAL_DATA or (number == _TENSOR_DATA_LOCATION and value != 0)):
            return True
        child = children.get(number)
        if child is not None and isinstance(value, memoryview) and _external(value, child, depth - 1):
            return True
    return False


def _sub(message: memoryview, number: int) -> memoryview:
    """Return the last message in field `number`, empty where there is none."""
    found = memoryview(b"")
    for field, value in _fields(message):
        if field == number and isinstance(value, memoryview):
            found = value
    return found


def _text(message: memoryview, number: int) -> str:
    return bytes(_sub(message, number)).decode("utf-8", "replace")


def _port(value: memoryview) -> Port:
    """ValueInfoProto: name 1, type 2; TypeProto: tensor_type 1; its elem_type 1 and shape 2; dim 1; dim_value 1."""
    tensor = _sub(_sub(value, 2), 1)
    element = next((number for field, number in _fields(tensor) if field == 1 and isinstance(number, int)), 0)
    shapes = [view for field, view in _fields(tensor) if field == 2 and isinstance(view, memoryview)]  # noqa: PLR2004
    shape = None
    if shapes:
        dims = [view for field, view in _fields(shapes[-1]) if field == 1 and isinstance(view, memoryview)]
        shape = tuple(_dimension(dim) for dim in dims)
    return Port(_text(value, 1), _ELEMENTS.get(element, f"type {element}"), shape)


def _dimension(dim: memoryview) -> int | None:
    return next((value for field, value in _fields(dim) if field == 1 and isinstance(value, int)), None)
