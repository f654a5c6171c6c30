import contextlib

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from streamwatch.detectors.anatomy import NotOnnx, Port, dissect
from tests.detectors import folders


def test_reads_inputs_and_outputs():
    anatomy = dissect(folders.channel_means().SerializeToString())
    assert anatomy.inputs == (Port("picture", "float32", (None, 3, folders.HEIGHT, folders.WIDTH)),)
    assert anatomy.outputs == (Port("out", "float32", (None, 3)),)
    assert not anatomy.external


def test_inputs_with_a_default_need_no_feeding():
    model = folders.channel_means()
    model.graph.input.append(helper.make_tensor_value_info("weight", TensorProto.FLOAT, [1]))
    model.graph.initializer.append(numpy_helper.from_array(np.ones(1, np.float32), "weight"))
    assert [port.name for port in dissect(model.SerializeToString()).inputs] == ["picture"]


def test_a_shape_may_be_unsaid():
    model = folders.channel_means()
    model.graph.output[0].type.tensor_type.ClearField("shape")
    assert dissect(model.SerializeToString()).outputs[0].shape is None


def external():
    tensor = numpy_helper.from_array(np.ones(1, np.float32), "away")
    tensor.data_location = TensorProto.EXTERNAL
    return tensor


def as_initializer(model):
    model.graph.initializer.append(external())


def as_constant(model):
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=external()))


def as_tensors(model):
    node = helper.make_node("Constant", [], ["c"])
    node.attribute.append(helper.make_attribute("many", [external()]))
    model.graph.node.append(node)


def in_a_branch(model):
    inner = helper.make_graph([], "inner", [], [], [external()])
    model.graph.node.append(helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner))


def in_a_function(model):
    node = helper.make_node("Constant", [], ["c"], value=external())
    opsets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("ours", "f", [], ["c"], [node], opsets))


def as_sparse(model):
    sparse = model.graph.sparse_initializer.add()
    sparse.values.CopyFrom(external())


def by_the_list_alone(model):
    tensor = model.graph.initializer.add()
    tensor.external_data.add().key = "location"


@pytest.mark.parametrize(
    "hide", [as_initializer, as_constant, as_tensors, in_a_branch, in_a_function, as_sparse, by_the_list_alone]
)
def test_numbers_in_other_files_are_found_wherever_they_hide(hide):
    model = folders.channel_means()
    hide(model)
    assert dissect(model.SerializeToString()).external


def test_graphs_nested_too_deep_are_refused():
    graph = helper.make_graph([], "g", [], [])
    for _ in range(12):
        graph = helper.make_graph([helper.make_node("If", ["x"], ["y"], then_branch=graph)], "g", [], [])
    with pytest.raises(NotOnnx, match="deep"):
        dissect(folders.seal(graph).SerializeToString())


@given(st.binary(max_size=300))
@example(b"")
@example(b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
@example(b"\x3a\x00")
def test_any_bytes_are_a_model_or_not_onnx(data):
    with contextlib.suppress(NotOnnx):
        dissect(data)


@given(st.data())
def test_a_damaged_model_is_a_model_or_not_onnx(data):
    model = bytearray(folders.with_external_data().SerializeToString())
    for _ in range(data.draw(st.integers(1, 8))):
        model[data.draw(st.integers(0, len(model) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(NotOnnx):
        dissect(bytes(model[: data.draw(st.integers(0, len(model)))]))
