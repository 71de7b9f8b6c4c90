"""The walk through an ONNX file: what it finds, what it refuses, and that no bytes make it crash or take long."""

import contextlib
import random
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from small_bundle import embed_model

from textkit.bundle import onnxfile
from textkit.errors import TextkitError
from textkit.serving.session import Session
from textkit.task import Port


def refusal(model: onnx.ModelProto | bytes) -> str:
    data = model if isinstance(model, bytes) else model.SerializeToString()
    with pytest.raises(TextkitError) as caught:
        onnxfile.inspect(data, "m.onnx")
    assert str(caught.value).startswith("m.onnx: ")
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix("m.onnx: ")


def external(tensor: TensorProto) -> None:
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../weights.bin"


def model_of(*nodes: onnx.NodeProto, domains=("",), functions=()) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
    )
    versions = [helper.make_opsetid(domain, 1 if domain else 23) for domain in domains]
    return helper.make_model(graph, opset_imports=versions, ir_version=10, functions=functions)


def body(*nodes: onnx.NodeProto, initializer=()) -> onnx.GraphProto:
    output = helper.make_tensor_value_info("inner", TensorProto.FLOAT, ["n"])
    return helper.make_graph(list(nodes), "body", [], [output], list(initializer))


def nested(graph: onnx.GraphProto, depth: int) -> onnx.GraphProto:
    for _ in range(depth):
        graph = body(helper.make_node("If", ["x"], ["inner"], then_branch=graph))
    return graph


def test_ports_and_versions():
    header = onnxfile.inspect(embed_model().SerializeToString(), "m.onnx")
    assert (header.ir, header.opsets) == (10, {"": 23})
    assert header.inputs == (
        Port("ids", "int64", ("line", "token")),
        Port("weight", "float32", ("line", "token")),
        Port("pool", "int64", ()),
        Port("normalize", "bool", ()),
    )
    assert header.outputs == (Port("vector", "float32", ("line", 2)), Port("tokens", "float32", ("line", "token", 2)))


def test_domains_that_are_read():
    model = model_of(
        helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft"),
        helper.make_node("Neg", ["x"], ["z"], domain="ai.onnx"),
        domains=("", "com.microsoft"),
    )
    assert onnxfile.inspect(model.SerializeToString(), "m").opsets == {"": 23, "com.microsoft": 1}


@pytest.mark.parametrize("place", ["initializer", "attribute", "subgraph", "sparse", "function", "function's default"])
def test_external_data_wherever_it_hides(place):
    tensor = numpy_helper.from_array(np.ones(3, np.float32), "w")
    external(tensor)
    constant = helper.make_node("Constant", [], ["y"], value=numpy_helper.from_array(np.ones(3, np.float32)))
    constant.attribute[0].t.CopyFrom(tensor)
    model = model_of(helper.make_node("Neg", ["x"], ["y"]))
    if place == "initializer":
        model.graph.initializer.append(tensor)
    elif place == "attribute":
        model.graph.node.append(constant)
    elif place == "subgraph":
        graph = nested(body(initializer=[tensor]), 3)
        model.graph.node.append(helper.make_node("If", ["x"], ["z"], then_branch=graph))
    elif place == "sparse":
        model.graph.sparse_initializer.add().values.CopyFrom(tensor)
    elif place == "function":
        model.functions.append(helper.make_function("", "F", ["a"], ["y"], [constant], [helper.make_opsetid("", 23)]))
    else:
        function = helper.make_function("", "F", ["a"], ["y"], [], [helper.make_opsetid("", 23)])
        function.attribute_proto.append(constant.attribute[0])
        model.functions.append(function)
    assert refusal(model) == "keeps its weights outside the file (external data)"


def test_external_data_needs_only_one_of_its_two_marks():
    for mark in ("data_location", "external_data"):
        model = embed_model()
        external(model.graph.initializer[0])
        model.graph.initializer[0].ClearField(mark)
        assert refusal(model) == "keeps its weights outside the file (external data)"


@pytest.mark.parametrize("place", ["node", "subgraph", "function", "function's node", "function's opsets", "opsets"])
def test_unknown_domain_wherever_it_hides(place):
    stranger = helper.make_node("Run", ["x"], ["y"], domain="evil.example")
    model = model_of(helper.make_node("Neg", ["x"], ["y"]))
    plain = [helper.make_opsetid("", 23)]
    if place == "node":
        model.graph.node.append(stranger)
    elif place == "subgraph":
        model.graph.node.append(helper.make_node("If", ["x"], ["z"], then_branch=nested(body(stranger), 2)))
    elif place == "function":
        model.functions.append(helper.make_function("evil.example", "F", ["a"], ["b"], [], plain))
    elif place == "function's node":
        model.functions.append(helper.make_function("", "F", ["a"], ["b"], [stranger], plain))
    elif place == "function's opsets":
        opsets = [helper.make_opsetid("evil.example", 1)]
        model.functions.append(helper.make_function("", "F", ["a"], ["b"], [], opsets))
    else:
        model.opset_import.append(helper.make_opsetid("evil.example", 1))
    assert refusal(model) == "uses operators of the unknown domain 'evil.example'"


def test_other_doors_out_of_the_file():
    assert "EPContext" in refusal(model_of(helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft")))
    model = embed_model()
    model.training_info.add().initialization.CopyFrom(body())
    assert refusal(model) == "carries a training graph (training_info)"


@pytest.mark.parametrize(
    ("opset", "ir", "line"),
    [
        (27, 10, "needs opset 27 of ai.onnx; up to 26 is read"),
        (0, 10, "needs opset 0 of ai.onnx; up to 26 is read"),
        (23, 14, "has IR version 14; versions 3 to 13 are read"),
        (23, 2, "has IR version 2; versions 3 to 13 are read"),
    ],
)
def test_versions_that_are_not_read(opset, ir, line):
    assert refusal(embed_model(opset=opset, ir=ir)) == line


def test_newest_versions_are_what_the_installed_onnxruntime_reads():
    import onnxruntime

    data = embed_model(opset=26, ir=13).SerializeToString()
    assert onnxfile.inspect(data, "m").opsets == {"": 26}
    if tuple(map(int, onnxruntime.__version__.split(".")[:2])) >= (1, 31):
        onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])


def test_depth_is_bounded():
    ok = model_of(helper.make_node("If", ["x"], ["y"], then_branch=nested(body(), onnxfile.MAX_DEPTH - 1)))
    onnxfile.inspect(ok.SerializeToString(), "m")
    deep = model_of(helper.make_node("If", ["x"], ["y"], then_branch=nested(body(), onnxfile.MAX_DEPTH)))
    assert refusal(deep) == "nests graphs more than 16 deep"
    # Far deeper than protobuf's or Python's own stack can go, so it is written by hand.
    data = b""
    for _ in range(5000):
        data = wrapped(1, wrapped(5, wrapped(6, data)))  # node, attribute, graph
    assert refusal(wrapped(7, data) + wrapped(8, b"\x10\x17")) == "nests graphs more than 16 deep"


def wrapped(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def test_number_of_fields_is_bounded():
    """A bomb of empty shapes, two bytes each, as many as a few megabytes hold; fewer nodes are allowed."""
    start = time.perf_counter()
    assert refusal(wrapped(7, wrapped(13, b"") * 3_000_000)) == "has more than 1000000 fields"
    assert refusal(wrapped(7, wrapped(1, b"") * 3_000_000)) == f"has more than {onnxfile.MAX_NODES} nodes"
    assert time.perf_counter() - start < 10  # seconds; about one where nothing else runs


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", "not an ONNX model"),
        (b"not a model at all", "damaged"),
        (b"\x80" * 20, "damaged: a number is too long"),
        (b"\x3a", "damaged or cut off: it ends in the middle of a field"),
        (b"\x3a\x05\x00", "damaged or cut off: a field ends outside its message"),
        (b"\x3a\xff\xff\xff\xff\x7f", "damaged or cut off: a field ends outside its message"),
        (b"\x3b", "damaged: not a protobuf of a model"),  # a group
        (b"\x02\x00", "damaged: not a protobuf of a model"),  # field 0
        (b"\x38\x01", "damaged: not a protobuf of a model"),  # the graph as a number
        (b"\x0d\x01", "damaged or cut off: a field ends outside its message"),  # fixed32, cut off
        (b"\x08\x0a" + b"\x3a\x00" * 2 + b"\x42\x02\x10\x17", "not an ONNX model"),  # two graphs: protobuf merges them
        (wrapped(7, wrapped(1, wrapped(7, b"\xff\xfe"))), "damaged: a name is not UTF-8"),
        (wrapped(7, wrapped(1, wrapped(7, b"a" * 10_001))), "has a name of more than 10,000 bytes"),
    ],
)
def test_bytes_that_are_no_model(data, line):
    assert refusal(data).startswith(line)


def test_every_truncation_is_refused():
    """Cut anywhere, a model lacks its opsets (its last field) or ends in the middle of a field."""
    data = embed_model().SerializeToString()
    for size in range(len(data)):
        assert refusal(data[:size])


def test_damage_never_surprises():
    """With any byte flipped, the file is accepted or refused in one line; there is no other exception."""
    data = embed_model().SerializeToString()
    rng = random.Random(7)
    refused = 0
    for _ in range(3000):
        changed = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            changed[rng.randrange(len(data))] = rng.randrange(256)
        try:
            onnxfile.inspect(bytes(changed), "m.onnx")
        except TextkitError:
            refused += 1
    assert 1000 < refused < 3000


def test_a_port_that_is_no_tensor_is_refused():
    model = embed_model()
    model.graph.input[0].CopyFrom(helper.make_tensor_sequence_value_info("ids", TensorProto.INT64, None))
    assert refusal(model) == "port 'ids' is no tensor of a known type"


def test_a_large_table_is_stepped_over():
    """12 MB of word vectors take under 10 ms and are not copied."""
    data = embed_model(np.ones((12_000, 256), np.float32)).SerializeToString()
    assert len(data) > 12e6
    best = min(timed(data) for _ in range(5))
    assert best < 0.010
    tracemalloc.start()
    onnxfile.inspect(data, "m")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000  # bytes


def timed(data: bytes) -> float:
    start = time.perf_counter()
    onnxfile.inspect(data, "m")
    return time.perf_counter() - start


def test_too_large_is_refused_by_size_alone(monkeypatch):
    monkeypatch.setattr(onnxfile, "MAX_BYTES", 10)
    assert refusal(b"x" * 11) == "11 bytes, more than the 10 of a single ONNX file"


def test_imports_nothing_heavy():
    heavy = "{'onnx', 'numpy', 'onnxruntime', 'google.protobuf'}"
    code = f"import sys, textkit.bundle.onnxfile; print({heavy} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def branching() -> onnx.ModelProto:
    """x -> a -> y; a -> b -> z, which alone needs the weight; an If -> w, where only a branch uses b."""
    port = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Neg", ["x"], ["a"]),
        helper.make_node("Exp", ["a"], ["y"]),
        helper.make_node("Abs", ["a"], ["b"]),
        helper.make_node("Add", ["b", "weight"], ["z"]),
        helper.make_node("Constant", [], ["yes"], value_int=1),
        helper.make_node("Cast", ["yes"], ["condition"], to=TensorProto.BOOL),
        helper.make_node(
            "If",
            ["condition"],
            ["w"],
            then_branch=body(helper.make_node("Sqrt", ["b"], ["inner"])),
            else_branch=body(helper.make_node("Neg", ["x"], ["inner"])),
        ),
    ]
    outputs = [port(name, TensorProto.FLOAT, ["n"]) for name in ("y", "z", "w")]
    weights = [numpy_helper.from_array(np.ones(1, np.float32), "weight")]
    graph = helper.make_graph(nodes, "g", [port("x", TensorProto.FLOAT, ["n"])], outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)


@pytest.mark.parametrize(
    ("names", "nodes"),
    [
        (["y"], ["Neg", "Exp"]),
        (["z"], ["Neg", "Abs", "Add"]),
        (["w"], ["Neg", "Abs", "Constant", "Cast", "If"]),  # b is used only inside the branch
        (["w", "y"], ["Neg", "Exp", "Abs", "Constant", "Cast", "If"]),
        (["y", "z", "w"], ["Neg", "Exp", "Abs", "Add", "Constant", "Cast", "If"]),
    ],
)
def test_outputs_are_kept_with_the_nodes_they_need(names, nodes):
    """The bytes equal those of onnx for the model without the other outputs and nodes; onnxruntime computes the same."""
    model = branching()
    kept = onnxfile.keep_outputs(model.SerializeToString(), names)
    expected = branching()
    for node in [node for node in expected.graph.node if node.op_type not in nodes]:
        expected.graph.node.remove(node)
    for port in [port for port in expected.graph.output if port.name not in names]:
        expected.graph.output.remove(port)
    assert kept == expected.SerializeToString()
    x = np.array([-4, 0.25], np.float32)
    whole = {"y": np.exp(-x), "w": np.sqrt(np.abs(x))}
    for name in set(names) & set(whole):
        session = Session(model.SerializeToString(), "cpu", 1, outputs=names)
        assert session.outputs == [port.name for port in expected.graph.output]
        assert session.run({"x": x})[name] == pytest.approx(whole[name])


def test_inputs_that_nothing_kept_needs_are_dropped():
    """An input that no node ever took stays: whoever feeds it need not know which outputs are kept."""
    model = branching()
    port = helper.make_tensor_value_info
    model.graph.node.append(helper.make_node("Mul", ["b", "factor"], ["scaled"]))
    model.graph.input.extend([port(name, TensorProto.FLOAT, ["n"]) for name in ("factor", "spare")])
    model.graph.output.append(port("scaled", TensorProto.FLOAT, ["n"]))
    data, x = model.SerializeToString(), np.array([-4, 0.25], np.float32)
    given = {"x": x, "factor": np.float32([2, 2]), "spare": x}
    for names, inputs in ((["scaled", "y"], ["x", "factor", "spare"]), (["y"], ["x", "spare"])):
        session = Session(data, "cpu", 1, outputs=names)
        assert session.inputs == inputs
        assert session.run(given)["y"] == pytest.approx(np.exp(-x))


def test_all_outputs_kept_leave_every_byte():
    data = branching().SerializeToString()
    assert onnxfile.keep_outputs(data, ["w", "z", "y"]) == data
    large = embed_model(np.ones((2000, 256), np.float32)).SerializeToString()
    assert onnxfile.keep_outputs(large, ["vector", "tokens"]) == large


def test_an_output_that_is_not_there_is_refused():
    with pytest.raises(TextkitError, match=r"^m.onnx: has no output 'logits'$"):
        onnxfile.keep_outputs(branching().SerializeToString(), ["y", "logits"], "m.onnx")


def test_damage_never_surprises_the_pruning():
    data = branching().SerializeToString()
    for size in range(len(data)):
        with contextlib.suppress(TextkitError):
            onnxfile.keep_outputs(data[:size], ["y"])
    rng = random.Random(11)
    refused = 0
    for _ in range(3000):
        changed = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            changed[rng.randrange(len(data))] = rng.randrange(256)
        try:
            onnxfile.keep_outputs(bytes(changed), ["y"])
        except TextkitError:
            refused += 1
    assert 300 < refused < 3000


def test_graphs_nested_too_deep_are_refused_by_the_pruning():
    deep = nested(body(helper.make_node("Neg", ["x"], ["inner"])), onnxfile.MAX_DEPTH + 1)
    data = model_of(helper.make_node("If", ["x"], ["y"], then_branch=deep)).SerializeToString()
    with pytest.raises(TextkitError, match="nests graphs more than 16 deep"):
        onnxfile.keep_outputs(data, ["y"])
