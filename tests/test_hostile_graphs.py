"""Strangers' graphs that claim memory, time or depth: refused in one line before onnxruntime sees them, or bounded."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from small_bundle import embed_model, write_small
from small_translator import write_translator
from test_onnxfile import wrapped

from textkit.bundle import bundle, onnxfile, operators
from textkit.bundle.places import package_folder
from textkit.errors import TextkitError
from textkit.serving.session import Session

node = helper.make_node
MS = "com.microsoft"


def numbers(name: str, *values: int) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def scalar(name: str, value: int) -> TensorProto:
    return numpy_helper.from_array(np.array(value, np.int64), name)


def model(*nodes: onnx.NodeProto, constants: tuple[TensorProto, ...] = ()) -> bytes:
    """A model x f32[n] -> y made of these nodes."""
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
    """A model with `count` functions, each of which calls the next one `calls` times."""
    made = onnx.load_from_string(model(node("F0", ["x"], ["y"])))
    opsets = [helper.make_opsetid("", 23)]
    for at in range(count):
        inner = [node(f"F{at + 1}" if at + 1 < count else "Neg", ["a"], [f"b{n}"]) for n in range(calls)]
        made.functions.append(helper.make_function("", f"F{at}", ["a"], ["b0"], inner, opsets))
    return made.SerializeToString()


@pytest.mark.parametrize(("count", "calls"), [(3000, 1), (16, 2), (25, 2), (1, 1)])
def test_functions_of_the_file_s_own_are_refused(count, calls):
    """A long chain of functions makes onnxruntime crash with a signal, and functions that double unfold without end."""
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
    assert said.endswith(", which a model may not have")
    assert said.isprintable()


BIG = 1 << 27


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
    """However the constant is written, and also if it belongs to the surrounding graph."""
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
    for tensor in packed:  # two numbers per byte; half-precision numbers stored as integers
        onnxfile.inspect(model(node("Neg", ["x"], ["y"]), constants=(tensor,)), "m")


def test_sparse_tensors_and_texts_are_refused():
    """A sparse tensor of one number becomes a tensor of any size when it is loaded."""
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
    """onnxruntime takes many seconds to load 20,000 nodes in a row; nodes of inner graphs count as well."""
    onnxfile.inspect(chain(onnxfile.MAX_NODES), "m")
    assert refusal(chain(20_000)) == f"has more than {onnxfile.MAX_NODES} nodes"
    many = [node("Neg", ["x"], [f"a{at}"]) for at in range(onnxfile.MAX_NODES // 2)]
    both = node("If", ["c"], ["y"], then_branch=body(*many, output="a0"), else_branch=body(*many, output="a0"))
    assert refusal(model(both)) == f"has more than {onnxfile.MAX_NODES} nodes"


def doubling(times: int, start: str) -> list[onnx.NodeProto]:
    """A tensor concatenated with itself, again and again; the last is `d{times}`."""
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


def floats(name: str, *shape: int) -> TensorProto:
    return numpy_helper.from_array(np.ones(shape, np.float32), name)


def summed(*nodes: onnx.NodeProto, constants: tuple[TensorProto, ...]) -> bytes:
    """A model that adds x and the sum of `big`, which the nodes make from constants."""
    return model(*nodes, node("ReduceSum", ["big"], ["s"]), node("Add", ["x", "s"], ["y"]), constants=constants)


WIDE = 1 << 12
YES = numpy_helper.from_array(np.array(True), "yes")


@pytest.mark.parametrize(
    "data",
    [
        summed(node("Range", ["a", "b", "c"], ["big"]), constants=(scalar("a", -(1 << 26)), scalar("b", 0), scalar("c", 1))),
        summed(node("Pad", ["v", "p"], ["big"]), constants=(floats("v", 1, 1, 1), numbers("p", *[500] * 6))),
        summed(node("Pad", ["v"], ["big"], pads=[500] * 6), constants=(floats("v", 1, 1, 1),)),
        summed(
            node("If", ["yes"], ["d0"], then_branch=body(node("Identity", ["v"], ["inner"])), else_branch=body()),
            *doubling(17, "d0"), node("Neg", ["d17"], ["big"]),
            constants=(YES, floats("v", 2000)),
        ),
        summed(
            node("ConvTranspose", ["v", "w"], ["big"], strides=[2 * WIDE] * 2),
            constants=(floats("v", 1, 1, 2, 2), floats("w", 1, 1, 1, 1)),
        ),
        summed(
            node("Conv", ["v", "w"], ["big"], pads=[WIDE] * 4), constants=(floats("v", 1, 1, 1, 1), floats("w", 1, 1, 1, 1))
        ),
        summed(node("MaxPool", ["v"], ["big"], kernel_shape=[3, 3], pads=[WIDE] * 4), constants=(floats("v", 1, 1, 1, 1),)),
        summed(
            node("Neg", ["n"], ["i"]), node("ConstantOfShape", ["i"], ["a"]), node("Gather", ["a", "z"], ["big"]),
            constants=(numbers("n", -(1 << 27)), scalar("z", 0)),
        ),
        summed(
            node("Cast", ["n"], ["a"], to=TensorProto.UINT32), node("Cast", ["a"], ["b"], to=TensorProto.INT64),
            node("ConstantOfShape", ["b"], ["big"]), constants=(numbers("n", -1),),
        ),
    ],
    ids=["Range", "Pad", "old Pad", "If", "ConvTranspose", "Conv", "pool", "computed size", "cast size"],
)  # fmt: skip
def test_sizes_that_are_not_seen_are_not_computed_while_a_graph_is_loaded(data):
    assert not onnxfile.inspect(data, "m").folded


OF_A_SHAPE = (node("Reshape", ["x", "n"], ["a"]), node("Shape", ["a"], ["b"]))


@pytest.mark.parametrize(
    "nodes",
    [
        (*OF_A_SHAPE, node("ConstantOfShape", ["b"], ["big"])),
        (*OF_A_SHAPE, node("Mul", ["b", "b"], ["c"]), node("Expand", ["v", "c"], ["big"])),
        (*OF_A_SHAPE, node("ReduceProd", ["b"], ["c"], keepdims=0), node("Range", ["z", "c", "o"], ["big"])),
    ],
    ids=["ConstantOfShape", "Expand", "Range"],
)
def test_what_is_made_of_a_shape_that_can_be_told_is_bounded_by_onnxruntime(tmp_path, nodes):
    """Only onnxruntime's shape inference knows whether it can infer the shape."""
    total = (node("Cast", ["big"], ["f"], to=1), node("ReduceSum", ["f"], ["s"]), node("Add", ["x", "s"], ["y"]))
    constants = (numbers("n", 1 << 26), floats("v", 1), scalar("z", 0), scalar("o", 1))
    (tmp_path / "m.onnx").write_bytes(model(*nodes, *total, constants=constants))
    code = """if True:
        import resource, sys
        from pathlib import Path
        from textkit.serving.probe import GRAPH
        from textkit.serving.session import Session
        Session(GRAPH.read_bytes(), "cpu", 1)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        Session(Path(sys.argv[1]).read_bytes(), "cpu", 1)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    words = [sys.executable, "-c", code, str(tmp_path / "m.onnx")]
    grown = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert int(grown) < 100_000  # kB; 260,000 and more without the bound
    many = [node("ConstantOfShape", ["b"], [f"m{at}"]) for at in range(200)]
    assert not onnxfile.inspect(model(*OF_A_SHAPE, *many, constants=constants), "m").folded


def test_shapes_that_only_travel_are_known():
    """Shapes as exporters write them are assembled from numbers and from parts of other shapes."""
    data = model(
        node("Unsqueeze", ["n", "z"], ["a"]), node("Concat", ["a", "a"], ["b"], axis=0), node("ConstantOfShape", ["b"], ["c"]),
        node("Shape", ["x"], ["s"]), node("Gather", ["s", "z"], ["d"]), node("Concat", ["d", "a"], ["e"], axis=0),
        node("Mul", ["e", "e"], ["f"]), node("Equal", ["f", "e"], ["g"]), node("Where", ["g", "e", "f"], ["h"]),
        node("Expand", ["v", "h"], ["y"]),
        constants=(scalar("n", 512), numbers("z", 0), floats("v", 1)),
    )  # fmt: skip
    assert onnxfile.inspect(data, "m").folded


def test_a_constant_that_is_there_twice_is_refused():
    """protobuf keeps one of the two, and readers differ in which one."""
    attribute = node("Constant", [], ["y"], value=numbers("", 1)).attribute[0].SerializeToString()
    twice = wrapped(1, wrapped(2, b"y") + wrapped(4, b"Constant") + wrapped(5, attribute * 2))
    assert refusal(wrapped(7, twice) + wrapped(8, b"\x10\x17")) == "damaged: an attribute has two values"
    other = node("Constant", [], ["y"], value=numbers("", 1), value_int=3)
    assert refusal(model(other)) == "has a constant of two values"
    assert refusal(model(node("Constant", [], ["a"], value_int=3), constants=(numbers("a", 1),))) == (
        "has two constants of one name"
    )
    forms = numbers("a", 1)
    forms.int64_data.append(2)
    assert refusal(model(node("Neg", ["x"], ["y"]), constants=(forms,))) == "damaged: a tensor has its numbers twice"


@pytest.mark.parametrize("axes", [65, 20_000])
def test_tensors_of_many_axes_take_no_time(axes):
    tensor = numpy_helper.from_array(np.ones(1, np.int8), "w")
    tensor.ClearField("dims")
    tensor.dims.extend([(1 << 63) - 1] * axes)
    start = time.perf_counter()
    assert refusal(model(node("Neg", ["x"], ["y"]), constants=(tensor,))) == "damaged: a tensor of more than 64 axes"
    long = node("Constant", [], ["s"], value_ints=[1 << 62] * axes)
    onnxfile.inspect(model(long, node("ConstantOfShape", ["s"], ["y"])), "m")
    few = node("Constant", [], ["s"], value_ints=[1 << 62] * 64)
    assert "asks for more than 2^64 numbers" in refusal(model(few, node("ConstantOfShape", ["s"], ["y"])))
    assert time.perf_counter() - start < 0.5


def test_a_graph_keeps_its_mark_when_outputs_are_taken_out():
    kept = onnxfile.keep_outputs(onnxfile.Unfolded(embed_model().SerializeToString()), ["vector"])
    assert isinstance(kept, onnxfile.Unfolded)
    assert type(onnxfile.keep_outputs(embed_model().SerializeToString(), ["vector"])) is bytes


@pytest.mark.parametrize(
    "path", sorted(package_folder().glob("*/*.onnx")), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_every_shipped_graph_passes_and_is_folded(path: Path):
    """Graphs of other families and precisions are checked when they are exported: `writing.write` looks through each."""
    header = onnxfile.inspect(path.read_bytes(), path.name)
    assert header.folded


def test_more_rows_than_the_tables_have_are_refused(tmp_path):
    from textkit.text.subwords import NGrams
    from textkit.text.words import Words

    rule = Words(["cat", "dog", "fish"], subwords=NGrams(3, 6, 1_000_000, 3))
    with pytest.raises(TextkitError, match=r"embed\.onnx: has \d+ rows, but manifest\.json has 1000003 words"):
        write_small(tmp_path / "m", rule=rule)


@pytest.mark.parametrize("write", [write_small, write_translator])
def test_small_models_by_hand_pass(tmp_path, write: Callable[[Path], Path]):
    small = bundle.read(write(tmp_path / "m"))
    small.verify()
    assert all(onnxfile.inspect(small.graph(name), name).folded for name in small.manifest.graphs)


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (node("Min", ["x", ""], ["y"]), "Min lacks an input"),
        (node("Concat", ["", "x"], ["y"], axis=0), "Concat lacks an input"),
        (node("GatherND", ["x", "x"], ["y"], batch_dims=-1), "GatherND has batch_dims that no tensor has"),
        (node("OneHot", ["x", "x", "x"], ["y"]), "OneHot lacks its two constants, off and on"),
        (node("OneHot", ["x", "x", "none"], ["y"], axis=-1), "OneHot lacks its two constants, off and on"),
        (node("OneHot", ["x", "x", "two"], ["y"], axis=1 << 40), f"OneHot has an attribute beyond {1 << 20}"),
        (node("AveragePool", ["x"], ["y"], kernel_shape=[1 << 62]), f"AveragePool has an attribute beyond {1 << 20}"),
        (node("Conv", ["x", "x"], ["y"], pads=[-(1 << 62)] * 2), f"Conv has an attribute beyond {1 << 20}"),
        (node("Min", ["x", ""], ["y"], domain="ai.onnx"), "Min lacks an input"),
        (node("Einsum", ["x", ""], ["y"], domain="ai.onnx", equation="i,i->i"), "Einsum lacks an input"),
        (node("LayerNormalization", ["x", "x", ""], ["y"]), "LayerNormalization lacks an input"),
        (node("Conv", ["x", "", "x"], ["y"]), "Conv lacks an input"),
        (node("Attention", ["x", "x", ""], ["y"], domain=MS, num_heads=1), "Attention lacks an input"),
        (node("Attention", ["x", "x"], ["y"], domain=MS, num_heads=1), "Attention lacks an input"),
        (node("QLinearConcat", ["x", "x", "x", "", "x"], ["y"], domain=MS, axis=0), "QLinearConcat lacks an input"),
        (node("ConvTranspose", ["x", "x"], ["y"], group=0), "ConvTranspose has a group of less than one"),
        (node("Attention", ["x"] * 3, ["y"], q_num_heads=2, kv_num_heads=0), "Attention has a kv_num_heads of less than one"),
        (node("Attention", ["x"] * 3, ["y"], q_num_heads=-1), "Attention has a q_num_heads of less than one"),
        (node("LSTM", ["x"] * 3, ["y"], hidden_size=0), "LSTM has a hidden_size of less than one"),
        (node("Div", ["x", "minus"], ["y"]), "Div has a constant divisor of -1; Neg does the same"),
        (node("Mod", ["x", "many"], ["y"]), "Mod has a constant divisor of -1; Neg does the same"),
        (node("Mod", ["x", "short"], ["y"]), "Mod has a constant divisor of -1; Neg does the same"),
        (node("Mod", ["x", "typed"], ["y"]), "Mod has a constant divisor of -1; Neg does the same"),
    ],
)  # fmt: skip
def test_what_ends_onnxruntime_by_a_signal_is_refused(odd, said):
    """A fuzzer found these: onnxruntime indexes with or divides by such values without checking."""
    constants = (
        numbers("none"), numbers("two", 0, 1), scalar("minus", -1), numbers("many", *[3] * 100, -1),
        numpy_helper.from_array(np.array([2, -1], np.int32), "short"),
        helper.make_tensor("typed", TensorProto.INT32, [70], [2] * 69 + [-1]),
    )  # fmt: skip
    made = onnx.load_from_string(model(odd, constants=constants))
    made.opset_import.append(helper.make_opsetid(MS, 1))
    assert refusal(made.SerializeToString()) == said


def test_a_divisor_of_minus_one_is_seen_behind_what_only_reshapes_it():
    nodes = node("Identity", ["c"], ["d"]), node("Unsqueeze", ["d", "c"], ["e"]), node("Div", ["x", "e"], ["y"])
    assert "divisor of -1" in refusal(model(*nodes, constants=(numbers("c", -1),)))


def test_an_attribute_of_no_number_is_nought():
    """Some writers leave out a 0."""
    odd = node("ConvTranspose", ["x", "x"], ["y"], group=3)
    odd.attribute[0].ClearField("i")
    assert refusal(model(odd)) == "ConvTranspose has a group of less than one"


@pytest.mark.parametrize(
    "usual",
    [
        node("Clip", ["x", "", "x"], ["y"]),
        node("Slice", ["x", "i", "i", "", "i"], ["y"]),
        node("ReduceSum", ["x", ""], ["y"]),
        node("LSTM", ["x", "x", "x", "", "", "x"], ["y"], hidden_size=2),
        node("MatMulNBits", ["x", "x", "x", "", "", "x"], ["y"], domain=MS, K=32, N=4, bits=4, block_size=32),
        node("MultiHeadAttention", ["x", "", "", "", "x"], ["y"], domain=MS, num_heads=2),
        node("SkipLayerNormalization", ["x", "x", "x", "", "x"], ["y"], domain=MS),
        node("EmbedLayerNormalization", ["i", "", "x", "x", "", "x", "x"], ["y"], domain=MS),
        node("RotaryEmbedding", ["x", "i", "x", "x"], ["y"], domain=MS, num_heads=0),
        node("Slice", ["x"], ["y"], starts=[0], ends=[(1 << 63) - 1]),
        node("Div", ["x", "i"], ["y"]),
        node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], strides=[1, 1], pads=[0, 0, 0, 0]),
    ],
    ids=lambda usual: usual.op_type,
)
def test_what_exporters_write_passes(usual):
    made = onnx.load_from_string(model(usual, constants=(numbers("i", 1, 2, (1 << 63) - 1, -2),)))
    made.opset_import.append(helper.make_opsetid(MS, 1))
    assert onnxfile.inspect(made.SerializeToString(), "m").opsets[MS] == 1


def test_the_list_of_operators_is_of_operators_that_there_are():
    """No name is mistyped: onnx knows all of its own operators (those of onnxruntime are not looked up)."""
    known = {schema.name for schema in onnx.defs.get_all_schemas_with_history() if schema.domain == ""}
    others = {b"SimplifiedLayerNormalization"}  # onnxruntime's own operator in onnx's domain
    assert {name.decode() for name in operators.ALLOWED[""] - others} <= known
    for domain, blanks in operators.BLANKS.items():
        assert operators.ALLOWED[domain] >= blanks.keys()
    assert operators.ALLOWED[""] | operators.ALLOWED[MS] >= operators.UNBOUNDED
    assert {name.encode() for name in operators.SIZED and map(bytes.decode, operators.SIZED)} <= operators.ALLOWED[""]
    assert operators.ALLOWED[""] >= operators._NO_LARGER
