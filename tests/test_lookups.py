"""Rows looked up by the host instead of a graph: the same results, and graphs that are left alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from textkit.bundle import onnxfile
from textkit.bundle.lookups import without_lookups
from textkit.serving.session import Session

RANDOM = np.random.default_rng(5)
STEPS = RANDOM.integers(-127, 128, (50, 6)).astype(np.int8)
SCALE = RANDOM.random((50, 1)).astype(np.float32)
FEEDS = {
    "ids": np.array([[4, 9, 9, 0], [49, 1, 0, 0]]),
    "weight": np.array([[0.25, 0.25, 0.5, 0], [0.5, 0.5, 0, 0]], np.float32),
}
LOOKUPS = [
    helper.make_node("Gather", ["steps", "ids"], ["steps.ids"]),
    helper.make_node("Gather", ["scale", "ids"], ["scale.ids"], axis=0),
]
REST = [
    helper.make_node("Cast", ["steps.ids"], ["whole"], to=TensorProto.FLOAT),
    helper.make_node("Mul", ["whole", "scale.ids"], ["rows"]),
    helper.make_node("Einsum", ["weight", "rows"], ["y"], equation="lt,ltw->lw"),
]


def model(nodes: Sequence[Any] = (*LOOKUPS, *REST), **weights: np.ndarray) -> onnx.ModelProto:
    port = helper.make_tensor_value_info
    tables = {"steps": STEPS, "scale": SCALE} | weights
    graph = helper.make_graph(
        list(nodes), "g",
        [port("ids", TensorProto.INT64, ["line", "token"]), port("weight", TensorProto.FLOAT, ["line", "token"])],
        [port("y", TensorProto.FLOAT, ["line", "dim"])],
        [numpy_helper.from_array(array, name) for name, array in tables.items()],
        value_info=[port("steps.ids", TensorProto.INT8, ["line", "token", 6])],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)


def test_rows_looked_up_by_the_host_give_the_same_bytes():
    data = model().SerializeToString()
    found = without_lookups(data, "ids")
    assert found is not None
    light, tables = found
    assert {name: table.tolist() for name, table in tables.items()} == {
        "steps.ids": STEPS.tolist(), "scale.ids": SCALE.tolist(),
    }  # fmt: skip
    ports = onnxfile.inspect(light, "light").inputs
    assert [(port.name, port.dtype, port.axes) for port in ports] == [
        ("weight", "float32", ("line", "token")),
        ("steps.ids", "int8", ("line", "token", 6)),
        ("scale.ids", "float32", ("line", "token", 1)),
    ]
    onnx.checker.check_model(onnx.load_from_string(light))
    assert not onnx.load_from_string(light).graph.initializer
    rows = {name: table.take(FEEDS["ids"], axis=0) for name, table in tables.items()}
    given = Session(light, "cpu", 1).run({**FEEDS, **rows})["y"]
    assert given.tolist() == Session(data, "cpu", 1).run(FEEDS)["y"].tolist()
    assert given == pytest.approx(np.einsum("lt,ltw->lw", FEEDS["weight"], (STEPS * SCALE)[FEEDS["ids"]]), rel=1e-5)


def test_a_table_lies_at_any_place_of_the_file():
    for name in ("g", "gg", "ggg", "gggg"):
        changed = model(scale=SCALE)
        changed.producer_name = name
        found = without_lookups(changed.SerializeToString(), "ids")
        assert found is not None
        assert found[1]["scale.ids"].flags.aligned
        assert found[1]["scale.ids"].tolist() == SCALE.tolist()


def test_a_table_that_is_of_use_elsewhere_stays():
    nodes = [
        *LOOKUPS,
        *REST[:-1],
        helper.make_node("ReduceSum", ["scale"], ["sum"]),
        helper.make_node("Mul", ["rows", "sum"], ["y"]),
    ]
    data = model(nodes).SerializeToString()
    found = without_lookups(data, "ids")
    assert found is not None
    assert [weight.name for weight in onnx.load_from_string(found[0]).graph.initializer] == ["scale"]
    rows = {name: table.take(FEEDS["ids"], axis=0) for name, table in found[1].items()}
    assert (
        Session(found[0], "cpu", 1).run({**FEEDS, **rows})["y"].tolist()
        == Session(data, "cpu", 1).run(FEEDS)["y"].tolist()
    )


@pytest.mark.parametrize(
    ("nodes", "weights"),
    [
        (REST, {}),  # no look-up
        ([helper.make_node("Gather", ["scale", "ids"], ["y"])], {}),  # rows that are the output
        ([helper.make_node("Gather", ["steps", "ids"], ["y"], axis=1)], {}),
        ([*LOOKUPS, *REST[:-1], helper.make_node("Cast", ["ids"], ["y"], to=1)], {}),  # ids of use elsewhere
        ([*LOOKUPS, *REST], {"steps": STEPS.astype(np.int64)}),  # numbers of another type
        ([*LOOKUPS, *REST], {"scale": SCALE[:, 0]}),  # no table
        ([*LOOKUPS, *REST, *[helper.make_node("Abs", ["y"], [f"y{at}"]) for at in range(60)]], {}),  # many nodes
    ],
)  # fmt: skip
def test_other_graphs_are_left_alone(nodes, weights):
    assert without_lookups(model(nodes, **weights).SerializeToString(), "ids") is None


def test_ids_inside_a_branch_are_left_alone():
    body = helper.make_graph(
        [helper.make_node("Gather", ["scale", "ids"], ["inner"])],
        "b",
        [],
        [helper.make_tensor_value_info("inner", 1, None)],
    )
    choice = helper.make_node("If", ["yes"], ["y"], then_branch=body, else_branch=body)
    data = model([*LOOKUPS, *REST[:-1], choice], yes=np.array(True)).SerializeToString()
    assert without_lookups(data, "ids") is None


def test_ids_that_are_an_output_as_well_stay_an_input():
    shown = model()
    shown.graph.output.append(helper.make_tensor_value_info("ids", TensorProto.INT64, ["line", "token"]))
    assert without_lookups(shown.SerializeToString(), "ids") is None


def test_a_node_with_an_attribute_twice_is_left_alone():
    twice = model()
    [first] = twice.graph.node[1].attribute
    twice.graph.node[1].attribute.append(first)
    assert without_lookups(twice.SerializeToString(), "ids") is None


def test_what_is_no_table_in_the_file_is_left_alone():
    listed = model()
    listed.graph.initializer[1].CopyFrom(helper.make_tensor("scale", TensorProto.FLOAT, [50, 1], SCALE[:, 0].tolist()))
    assert without_lookups(listed.SerializeToString(), "ids") is None  # its numbers are fields
    short = model()
    short.graph.initializer[0].raw_data = short.graph.initializer[0].raw_data[:-1]
    assert without_lookups(short.SerializeToString(), "ids") is None
    assert without_lookups(b"no model", "ids") is None
