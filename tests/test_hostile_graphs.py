"""Graphs of strangers that claim memory, time or depth: refused in one line before onnxruntime sees them, or bounded."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from small_bundle import embed_model, write_small
from small_translator import write_translator

from textkit import bundle, onnxfile, operators
from textkit.errors import TextkitError
from textkit.places import package_folder
from textkit.serving.session import Session

node = helper.make_node


def numbers(name: str, *values: int) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def scalar(name: str, value: int) -> TensorProto:
    return numpy_helper.from_array(np.array(value, np.int64), name)


def model(*nodes: onnx.NodeProto, constants: tuple[TensorProto, ...] = ()) -> bytes:
    """x f32[n] -> y, by these nodes."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        list(nodes), "g", [value("x", TensorProto.FLOAT, ["n"])], [value("y", TensorProto.FLOAT, None)], list(constants)
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
    made.graph.output[0].type.tensor_type.shape.Clear()
    return made.SerializeToString()


def body(*nodes: onnx.NodeProto, inputs: tuple[str, ...] = (), output: str = "inner") -> onnx.GraphProto:
    value = helper.make_tensor_value_info
    ports = [value(name, TensorProto.FLOAT, None) for name in inputs]
    return helper.make_graph(list(nodes), "body", ports, [value(output, TensorProto.FLOAT, None)])


def refusal(data: bytes) -> str:
    start = time.perf_counter()
    with pytest.raises(TextkitError) as caught:
        onnxfile.inspect(data, "m.onnx")
    assert time.perf_counter() - start < 5
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    return str(caught.value).removeprefix("m.onnx: ")


def with_functions(count: int, calls: int) -> bytes:
    """Functions each of which calls the next `calls` times."""
    made = onnx.load_from_string(model(node("F0", ["x"], ["y"])))
    opsets = [helper.make_opsetid("", 23)]
    for at in range(count):
        inner = [node(f"F{at + 1}" if at + 1 < count else "Neg", ["a"], [f"b{n}"]) for n in range(calls)]
        made.functions.append(helper.make_function("", f"F{at}", ["a"], ["b0"], inner, opsets))
    return made.SerializeToString()


@pytest.mark.parametrize(("count", "calls"), [(3000, 1), (16, 2), (25, 2), (1, 1)])
def test_functions_of_the_file_s_own_are_refused(count, calls):
    """A chain of them ends onnxruntime by a signal, and doubling ones unfold without end."""
    said = refusal(with_functions(count, calls))
    assert said == "has functions of its own; a model's graph is made of operators alone"


LOOP = node("Loop", ["n", "yes"], ["y"], body=body(node("Neg", ["x"], ["inner"])))


@pytest.mark.parametrize(
    "odd",
    [
        LOOP,
        node("Scan", ["x"], ["y"], body=body(node("Neg", ["x"], ["inner"])), num_scan_inputs=1),
        node("SequenceMap", ["x"], ["y"], body=body(node("Neg", ["x"], ["inner"]))),
        node("SequenceConstruct", ["x"], ["y"]),
        node("SplitToSequence", ["x"], ["y"]),
        node("ConcatFromSequence", ["x"], ["y"], axis=0),
        node("Optional", ["x"], ["y"]),
        node("RandomNormal", [], ["y"], shape=[1 << 20]),
        node("RandomUniformLike", ["x"], ["y"]),
        node("Bernoulli", ["x"], ["y"]),
        node("Multinomial", ["x"], ["y"], sample_size=1 << 20),
        node("Resize", ["x", "", "s"], ["y"]),
        node("Upsample", ["x", "s"], ["y"]),
        node("StringConcat", ["x", "x"], ["y"]),
        node("StringSplit", ["x"], ["y", "z"]),
        node("RegexFullMatch", ["x"], ["y"], pattern="(x+x+)+y"),
        node("TfIdfVectorizer", ["x"], ["y"]),
        node("ImageDecoder", ["x"], ["y"]),
        node("HannWindow", ["n"], ["y"]),
        node("Col2Im", ["x", "s", "s"], ["y"]),
        node("MaxUnpool", ["x", "s"], ["y"]),
        node("BeamSearch", ["x"], ["y"], domain="com.microsoft"),
        node("Range", ["n", "n", "n"], ["y"], domain="com.microsoft"),
        node("NoSuchOperator", ["x"], ["y"]),
        node("a" * 9000, ["x"], ["y"]),
        node("\x1b[31m", ["x"], ["y"]),
        node("", ["x"], ["y"]),
    ],
    ids=lambda odd: f"{odd.domain}{odd.op_type[:20]!r}",
)
@pytest.mark.parametrize("inside", [False, True])
def test_operators_that_no_network_needs_are_refused(odd, inside):
    if inside:
        odd = node("If", ["c"], ["y"], then_branch=body(odd, output="y"), else_branch=body(odd, output="y"))
    made = onnx.load_from_string(model(odd))
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    said = refusal(made.SerializeToString())
    assert said.endswith(", which is none of those that a model may have")
    assert said.isprintable()


BIG = 1 << 26


@pytest.mark.parametrize(
    ("maker", "constants"),
    [
        (node("ConstantOfShape", ["s"], ["y"]), (numbers("s", 300_000_000),)),
        (node("ConstantOfShape", ["s"], ["y"]), (numbers("s", 1 << 62),)),
        (node("ConstantOfShape", ["s"], ["y"]), (numbers("s", 65536, 65536),)),
        (node("ConstantOfShape", ["s"], ["y"]), (numbers("s", -5),)),
        (node("ConstantOfShape", ["s"], ["y"]), (numbers("s", *[1 << 13] * 6),)),
        (node("Expand", ["x", "s"], ["y"]), (numbers("s", 65536, 65536),)),
        (node("Expand", ["x", "s"], ["y"]), (numbers("s", BIG, 1),)),
        (node("Tile", ["x", "s"], ["y"]), (numbers("s", BIG),)),
        (node("Pad", ["x", "s"], ["y"]), (numbers("s", BIG, BIG),)),
        (node("OneHot", ["x", "s", "v"], ["y"]), (scalar("s", BIG), numbers("v", 0, 1))),
        (node("Range", ["z", "s", "o"], ["y"]), (scalar("z", 0), scalar("s", 1 << 40), scalar("o", 1))),
    ],
    ids=lambda part: part.op_type if isinstance(part, onnx.NodeProto) else "",
)
@pytest.mark.parametrize("how", ["initializer", "int64_data", "Constant", "value_ints", "outer"])
def test_sizes_out_of_constants_are_bounded(maker, constants, how):
    """However the constant is written, and also from the graph around."""
    nodes = [maker]
    if how == "int64_data":
        constants = tuple(
            helper.make_tensor(t.name, t.data_type, t.dims, numpy_helper.to_array(t).ravel()) for t in constants
        )
    elif how == "Constant":
        nodes = [*(node("Constant", [], [t.name], value=t) for t in constants), maker]
        constants = ()
    elif how == "value_ints":
        values = [(t.name, numpy_helper.to_array(t)) for t in constants]
        made = [
            node("Constant", [], [name], **({"value_ints": a.tolist()} if a.ndim else {"value_int": int(a)}))
            for name, a in values
        ]
        nodes, constants = [*made, maker], ()
    elif how == "outer":
        nodes = [node("If", ["c"], ["y"], then_branch=body(maker, output="y"), else_branch=body(maker, output="y"))]
    said = refusal(model(*nodes, constants=constants))
    assert said.startswith(f"{maker.op_type} asks for ")


def test_shapes_that_networks_have_are_taken():
    ordinary = model(
        node("ConstantOfShape", ["s"], ["a"]), node("Expand", ["x", "s"], ["b"]), node("Add", ["a", "b"], ["y"]),
        constants=(numbers("s", 512, 512),),
    )  # fmt: skip
    assert onnxfile.inspect(ordinary, "m").folded


def test_a_tensor_claims_no_more_than_its_bytes_hold():
    for dims in ([1 << 62], [1 << 31, 1 << 31], [-1], [-1, -1], [5]):
        tensor = numpy_helper.from_array(np.ones(1, np.int8), "w")
        tensor.ClearField("dims")
        tensor.dims.extend(dims)
        assert "claims" in refusal(model(node("Cast", ["w"], ["y"], to=1), constants=(tensor,)))
        inside = node("Constant", [], ["y"], value=tensor)
        assert "claims" in refusal(model(inside))
    for array in (np.ones(7, np.float16), np.ones((2, 3), np.float64), np.array(3), np.zeros((0, 5), np.float32)):
        onnxfile.inspect(model(node("Neg", ["x"], ["y"]), constants=(numpy_helper.from_array(array, "w"),)), "m")
    packed = [helper.make_tensor("w", TensorProto.INT4, [5], [1, 2, 3, 4, 5]), helper.make_tensor("w", 10, [2], [1, 2])]
    for tensor in packed:  # two numbers a byte; halves as whole numbers
        onnxfile.inspect(model(node("Neg", ["x"], ["y"]), constants=(tensor,)), "m")


def test_sparse_tensors_and_texts_are_refused():
    """A sparse tensor of one number becomes one of any size when it is loaded."""
    made = onnx.load_from_string(model(node("Neg", ["x"], ["y"])))
    sparse = made.graph.sparse_initializer.add()
    sparse.values.CopyFrom(numpy_helper.from_array(np.ones(1, np.float32), "w"))
    sparse.indices.CopyFrom(numpy_helper.from_array(np.zeros(1, np.int64), "i"))
    sparse.dims.append(1 << 40)
    assert refusal(made.SerializeToString()) == "has sparse tensors, which claim any size"
    constant = node("Constant", [], ["y"], sparse_value=sparse)
    assert refusal(model(constant)) == "has sparse tensors, which claim any size"
    text = numpy_helper.from_array(np.array(["a"], object), "t")
    assert refusal(model(node("Neg", ["x"], ["y"]), constants=(text,))) == "has a tensor of text"


def chain(count: int) -> bytes:
    return model(
        *(node("Neg", [f"v{at}" if at else "x"], [f"v{at + 1}" if at + 1 < count else "y"]) for at in range(count))
    )


def test_the_number_of_nodes_is_bounded():
    """20,000 in a row take onnxruntime many seconds to load; those within graphs count as well."""
    onnxfile.inspect(chain(onnxfile.MAX_NODES), "m")
    assert refusal(chain(20_000)) == f"has more than {onnxfile.MAX_NODES} nodes"
    many = [node("Neg", ["x"], [f"a{at}"]) for at in range(onnxfile.MAX_NODES // 2)]
    both = node("If", ["c"], ["y"], then_branch=body(*many, output="a0"), else_branch=body(*many, output="a0"))
    assert refusal(model(both)) == f"has more than {onnxfile.MAX_NODES} nodes"


def doubling(times: int, start: str) -> list[onnx.NodeProto]:
    """A tensor joined with itself, again and again; the last is `d{times}`."""
    return [node("Concat", [f"d{at}" if at else start] * 2, [f"d{at + 1}"], axis=0) for at in range(times)]


@pytest.mark.parametrize(
    "grow",
    [
        lambda: [*doubling(40, "c"), node("ReduceSum", ["d40"], ["s"], keepdims=1), node("Add", ["s", "x"], ["y"])],
        lambda: [
            node("Reshape", ["c", "column"], ["a"]), node("Reshape", ["c", "row"], ["b"]), node("MatMul", ["a", "b"], ["m"]),
            node("Reshape", ["m", "flat"], ["e"]), node("Add", ["e", "x"], ["y"]),
        ],
    ],
    ids=["joined with itself", "times itself"],
)  # fmt: skip
def test_constants_that_grow_are_not_computed_while_a_graph_is_loaded(grow):
    constants = (
        numpy_helper.from_array(np.ones(20_000, np.float32), "c"),
        numbers("column", -1, 1), numbers("row", 1, -1), numbers("flat", -1),
    )  # fmt: skip
    data = model(*grow(), constants=constants)
    assert not onnxfile.inspect(data, "m").folded
    start = time.perf_counter()
    session = Session(onnxfile.Unfolded(data), "cpu", 1)
    assert time.perf_counter() - start < 5
    assert session.inputs == ["x"]


def test_a_graph_keeps_its_mark_when_outputs_are_taken_out():
    kept = onnxfile.keep_outputs(onnxfile.Unfolded(embed_model().SerializeToString()), ["vector"])
    assert isinstance(kept, onnxfile.Unfolded)
    assert type(onnxfile.keep_outputs(embed_model().SerializeToString(), ["vector"])) is bytes


@pytest.mark.parametrize(
    "path", sorted(package_folder().glob("*/*.onnx")), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_every_shipped_graph_passes_and_is_folded(path: Path):
    """Those of every other family and precision pass where they are exported: `bundle.write` looks through each."""
    header = onnxfile.inspect(path.read_bytes(), path.name)
    assert header.folded


def test_more_rows_than_the_tables_have_are_refused(tmp_path):
    from textkit.text import NGrams, Words

    rule = Words(["cat", "dog", "fish"], subwords=NGrams(3, 6, 1_000_000, 3))
    with pytest.raises(
        TextkitError, match=r"embed\.onnx: has no 1000003 rows, which manifest\.json says that words have"
    ):
        write_small(tmp_path / "m", rule=rule)


@pytest.mark.parametrize("write", [write_small, write_translator])
def test_small_models_by_hand_pass(tmp_path, write: Callable[[Path], Path]):
    bundle.read(write(tmp_path / "m")).verify()


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (node("Min", ["x", ""], ["y"]), "Min lacks an input"),
        (node("Concat", ["", "x"], ["y"], axis=0), "Concat lacks an input"),
        (node("GatherND", ["x", "x"], ["y"], batch_dims=-1), "GatherND has batch_dims that no tensor has"),
        (node("OneHot", ["x", "x", "x"], ["y"]), "OneHot has no two constants for off and on"),
        (node("OneHot", ["x", "x", "none"], ["y"], axis=-1), "OneHot has no two constants for off and on"),
        (node("OneHot", ["x", "x", "two"], ["y"], axis=1 << 40), f"OneHot has an attribute beyond {1 << 20}"),
        (node("AveragePool", ["x"], ["y"], kernel_shape=[1 << 62]), f"AveragePool has an attribute beyond {1 << 20}"),
        (node("Conv", ["x", "x"], ["y"], pads=[-(1 << 62)] * 2), f"Conv has an attribute beyond {1 << 20}"),
    ],
)
def test_what_ends_onnxruntime_by_a_signal_is_refused(odd, said):
    """Found by a fuzzer: it indexes by these without looking."""
    constants = (numbers("none"), numbers("two", 0, 1))
    assert refusal(model(odd, constants=constants)) == said


def test_the_list_of_operators_is_of_operators_that_there_are():
    """No name is mistyped: onnx knows each of its own, and onnxruntime the others."""
    known = {schema.name for schema in onnx.defs.get_all_schemas_with_history() if schema.domain == ""}
    others = {b"SimplifiedLayerNormalization"}  # onnxruntime's own, in onnx's name
    assert {name.decode() for name in operators.ALLOWED[""] - others} <= known
    assert {name.encode() for name in operators.SIZED and map(bytes.decode, operators.SIZED)} <= operators.ALLOWED[""]
    assert operators.ALLOWED[""] >= operators._NO_LARGER
