"""Weights in fewer bytes: what is stored, what is computed, what is refused."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from textkit.bundle import bundle
from textkit.errors import TextkitError
from textkit.exporting import graph_edits, quantize, quantize_blocks, quantize_graph, quantize_recurrence
from textkit.exporting.parity import Case, load
from textkit.plugin import Graph
from textkit.serving.session import Session
from textkit.tasks.embed.exporting import export as export_embedding
from textkit.tasks.embed.exporting import parity
from textkit.tasks.embed.exporting.graph import table_graph
from textkit.text.words import Words

WORDS = [f"word{number}" for number in range(300)]
RANDOM = np.random.default_rng(7)
LINES = [" ".join(RANDOM.choice(WORDS, RANDOM.integers(1, 15))) for _ in range(200)]


def test_int8_rows_have_their_own_scale():
    stored = quantize.store(np.array([[1.27, -0.635, 0.01], [254, 2, -127], [0, 0, 0]], np.float32), "int8")
    assert stored["table"].tolist() == [[127, -64, 1], [127, 1, -64], [0, 0, 0]]  # halves to even: 63.5 -> 64
    assert stored["scale"] == pytest.approx([0.01, 2, 0])
    back = quantize.rows(stored, np.array([[1, 2]]))
    assert back == pytest.approx(np.array([[[254, 2, -128], [0, 0, 0]]]))


def test_fp16_rounds_to_half():
    stored = quantize.store(np.array([[1 + 2**-11, 65504]], np.float32), "fp16")
    assert stored["table"].dtype == np.float16
    assert stored["table"].tolist() == [[1, 65504]]
    with pytest.raises(TextkitError, match="65504"):
        quantize.store(np.array([[65536]], np.float32), "fp16")


@pytest.mark.parametrize(("precision", "bytes_each", "relative"), [("fp16", 2, 1e-3), ("int8", 1, 2e-2)])
def test_table_graph_computes_with_what_is_stored(precision, bytes_each, relative):
    table = RANDOM.standard_normal((300, 64)).astype(np.float32)
    graph = table_graph(quantize.store(table, precision))
    assert len(graph) < 300 * (64 * bytes_each + 4) + 4000
    case = Case("", np.arange(300)[None], np.ones((1, 300), np.float32))
    tokens = Session(graph, "cpu", 1).run(parity.feeds(case, 0, False))["tokens"][0]
    assert tokens.dtype == np.float32
    assert np.abs(tokens - table).max() <= relative * np.abs(table).max()
    assert np.abs(tokens - table).max() > 0


@pytest.mark.parametrize(("precision", "cosine"), [("fp16", 0.9999), ("int8", 0.999)])
def test_deviation_is_in_the_manifest(tmp_path, precision, cosine):
    table = RANDOM.standard_normal((300, 100)).astype(np.float32)
    folder = export_embedding.export_embedding_table(
        tmp_path / "model", rule=Words(WORDS), table=table, sample=LINES, precision=precision
    )
    manifest = bundle.read(folder).manifest
    figures = manifest.parity["deviation"]
    assert manifest.precision == precision
    assert figures["lines"] == 200
    assert cosine < figures["worst_cosine"] < 1
    assert 0 < figures["max_abs"] < 0.05
    # The same figure computed in another way: the largest difference between the means of the stored rows.
    rule, stored = Words(WORDS), quantize.store(table, precision)
    largest = 0.0
    for line in LINES:
        ids = rule.encode([line]).ids
        largest = max(largest, np.abs(quantize.rows(stored, ids).mean(0) - table[ids].mean(0)).max())
    assert figures["max_abs"] == pytest.approx(largest, rel=1e-3)


def test_a_table_that_int8_would_ruin_is_refused(tmp_path):
    """One huge number in each row makes the scale too coarse for the others, and lines' vectors differ only in the others."""
    table = RANDOM.standard_normal((300, 50)).astype(np.float32)
    table[:, 0] = np.where(np.arange(300) % 2, 1000, -1000)
    lines = [f"word{at} word{at + 1}" for at in range(0, 300, 2)]  # the huge numbers cancel
    with pytest.raises(TextkitError, match=r"--precision int8 .* cosine of .* 0\.98 is the least allowed"):
        export_embedding.export_embedding_table(
            tmp_path / "model", rule=Words(WORDS), table=table, sample=lines, precision="int8"
        )
    assert not list(tmp_path.iterdir())


class Network(torch.nn.Module):
    """Every kind of weight: a table, a table used twice, matrices with and without bias, a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(300, 64)
        self.kinds = torch.nn.Embedding(300, 8)
        self.wide = torch.nn.Linear(64, 96)
        self.norm = torch.nn.LayerNorm(96)
        self.narrow = torch.nn.Linear(96, 64, bias=False)

    def forward(self, ids: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        rows = self.embedding(ids) + self.narrow(self.norm(torch.tanh(self.wide(self.embedding(ids)))))
        return torch.cat([rows, self.kinds(ids)], -1)


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(3)
    return Network().eval()


@pytest.fixture(scope="module")
def full(network) -> bytes:
    return export_embedding.export_module(Graph(network), Words(WORDS), LINES, "fp32").graphs["embed"]


@pytest.mark.parametrize(("precision", "kind", "share"), [("fp16", np.float16, 0.55), ("int8", np.int8, 0.35)])
def test_traced_network(network, full, precision, kind, share):
    found = export_embedding.export_module(Graph(network), Words(WORDS), LINES, precision)
    assert len(found.graphs["embed"]) < share * len(full)
    figures = found.parity["deviation"]
    assert 0.99 < figures["worst_cosine"] < 1
    weights = {
        weight.name: numpy_helper.to_array(weight)
        for weight in onnx.load_from_string(found.graphs["embed"]).graph.initializer
    }
    large = [weight for weight in weights.values() if weight.size >= 1024]
    assert len(large) == 4
    assert {weight.dtype for weight in large} == {np.dtype(kind)}
    assert found.parity["max_relative"] < 1e-5  # the full-precision graph passed first


def test_lower_leaves_the_graph_it_was_given():
    rng = np.random.default_rng(0)
    table = numpy_helper.from_array(rng.standard_normal((64, 32)).astype(np.float32), "table")
    gather = onnx.helper.make_node("Gather", ["table", "ids"], ["rows"])
    graph = onnx.helper.make_graph(
        [gather],
        "g",
        [onnx.helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, ["n"])],
        [onnx.helper.make_tensor_value_info("rows", onnx.TensorProto.FLOAT, ["n", 32])],
        [table],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 23)], ir_version=10)
    before = model.SerializeToString()
    for precision, operators in (("fp16", ["Gather", "Cast"]), ("int8", ["Gather", "Cast", "Gather", "Mul"])):
        lowered = quantize_graph.lower(model, precision)
        assert sorted(node.op_type for node in lowered.graph.node) == sorted(operators)
        rows = Session(lowered.SerializeToString(), "cpu", 1).run({"ids": np.array([3, 3, 9])})["rows"]
        assert rows == pytest.approx(numpy_helper.to_array(table)[[3, 3, 9]], abs=0.02)
    assert model.SerializeToString() == before


@pytest.mark.parametrize(
    ("equation", "inputs", "scaled"),
    [
        ("lt,ltw->lw", ["weight", "rows"], True),
        ("ab,abc->ac", ["weight", "rows"], True),
        ("lt,ltw->ltw", ["weight", "rows"], False),
        ("ltw,lt->lw", ["rows", "weight"], False),
    ],
)
def test_the_scales_of_rows_multiply_the_weights_of_their_sum(equation, inputs, scaled):
    make, port = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    table = RANDOM.standard_normal((40, 32)).astype(np.float32) * np.arange(1, 41, dtype=np.float32)[:, None]
    graph = onnx.helper.make_graph(
        [make("Gather", ["table", "ids"], ["rows"]), make("Einsum", inputs, ["y"], equation=equation)],
        "g",
        [port("ids", onnx.TensorProto.INT64, ["line", "token"]), port("weight", 1, ["line", "token"])],
        [port("y", 1, None)],
        [numpy_helper.from_array(table, "table")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 23)], ir_version=10)
    lowered = quantize_graph.lower(model, "int8")
    assert ("Squeeze" in [node.op_type for node in lowered.graph.node]) == scaled
    ids, weight = RANDOM.integers(0, 40, (3, 9)), RANDOM.random((3, 9)).astype(np.float32)
    given = Session(lowered.SerializeToString(), "cpu", 1).run({"ids": ids, "weight": weight})["y"]
    stored = quantize.store(table, "int8")
    rows = stored["table"].astype(np.float32) * stored["scale"][:, None]
    wanted = np.einsum(equation, *[{"rows": rows[ids], "weight": weight}[name] for name in inputs])
    assert given == pytest.approx(wanted, rel=1e-5, abs=1e-4)


def test_a_weight_used_as_table_and_as_matrix_is_stored_once():
    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(300, 64)

        def forward(self, ids: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
            return torch.softmax(self.embedding(ids) @ self.embedding.weight.T, -1) @ self.embedding.weight

    torch.manual_seed(3)
    found = export_embedding.export_module(Graph(Tied().eval()), Words(WORDS), LINES, "fp16")
    halves = [
        weight.name
        for weight in onnx.load_from_string(found.graphs["embed"]).graph.initializer
        if weight.data_type == onnx.TensorProto.FLOAT16
    ]
    assert len(halves) <= 2  # torch's exporter may have folded the transpose into a second copy
    assert found.parity["deviation"]["worst_cosine"] > 0.9999


def test_products_are_right_whatever_way_the_weight_lies():
    """One weight is shared by two Gemms that transpose it and a MatMul that does not; with bias and without."""
    rng = np.random.default_rng(4)
    square = rng.standard_normal((40, 40)).astype(np.float32)
    bias = rng.standard_normal(40).astype(np.float32)
    make = onnx.helper.make_node
    graph = onnx.helper.make_graph(
        [
            make("Gemm", ["given", "square", "bias"], ["first"], transB=1),
            make("Gemm", ["first", "square"], ["second"], transB=1),
            make("MatMul", ["second", "square"], ["third"]),
            make("Gemm", ["third", "square"], ["halved"], alpha=0.5),  # not lowered: alpha is rare
        ],
        "g",
        [onnx.helper.make_tensor_value_info("given", onnx.TensorProto.FLOAT, ["n", 40])],
        [onnx.helper.make_tensor_value_info("halved", onnx.TensorProto.FLOAT, ["n", 40])],
        [numpy_helper.from_array(square, "square"), numpy_helper.from_array(bias, "bias")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 23)], ir_version=10)
    lowered = quantize_graph.lower(model, "int8")
    onnx.checker.check_model(lowered, full_check=True)
    operators = [node.op_type for node in lowered.graph.node]
    assert (operators.count("MatMulIntegerToFloat"), operators.count("Gemm"), operators.count("Add")) == (3, 1, 1)
    given = rng.standard_normal((5, 40)).astype(np.float32)
    expected = ((given @ square.T + bias) @ square.T) @ square @ square * 0.5
    found = Session(lowered.SerializeToString(), "cpu", 1).run({"given": given})["halved"]
    assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()


@pytest.mark.slow
def test_int8_of_attention_with_a_blank_line_in_the_batch():
    """Attention over nothing is NaN; in int8 it would spoil the scale of every other line in the batch."""
    torch.manual_seed(3)
    layer = torch.nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(300, 32)
            self.layers = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

        def forward(self, ids: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
            return self.layers(self.embedding(ids), src_key_padding_mask=weight == 0)

    found = export_embedding.export_module(Graph(Encoder().eval()), Words(WORDS), LINES, "int8")
    session = load(found.graphs["embed"])
    ids, weight = RANDOM.integers(0, 300, (4, 6)), np.ones((4, 6), np.float32)
    full = session.run(parity.feeds(Case("", ids, weight), 0, False))["vector"]
    weight[2] = 0
    blanked = session.run(parity.feeds(Case("", ids, weight), 0, False))["vector"]
    assert not blanked[2].any()
    kept = [0, 1, 3]
    assert np.abs(blanked[kept] - full[kept]).max() < 0.05 * np.abs(full).max()


def lstm(*, directions: int = 1, factor: float = 1, looked_up: bool = True, states: bool = True) -> onnx.ModelProto:
    """An LSTM over words, which outputs its states (the hidden state times `factor`) and a product of what it computes.

    Words are looked up in a table, or come in by a port. `directions`: 1 forwards, -1 backwards, 2 both.
    """
    dim, hidden, port, make, both = 24, 32, onnx.helper.make_tensor_value_info, onnx.helper.make_node, abs(directions)
    float32, state, by = (
        onnx.TensorProto.FLOAT,
        [both, "line", hidden],
        {1: "forward", -1: "reverse", 2: "bidirectional"},
    )
    weights = {
        "w": RANDOM.normal(0, 0.3, (both, 4 * hidden, dim)), "r": RANDOM.normal(0, 0.2, (both, 4 * hidden, hidden)),
        "b": RANDOM.normal(0, 0.1, (both, 8 * hidden)), "out": RANDOM.normal(0, 0.2, (hidden, 64)),
        "bias": RANDOM.normal(0, 1, 64), "factor": np.array(factor), "table": RANDOM.normal(size=(100, dim)),
    }  # fmt: skip
    weights["w"][0, 5] *= 100  # a row that needs a scale of its own
    begin, end = (["h", "c"], ["last", "c.next"]) if states else (["", ""], ["last", "cell"])
    nodes = [
        *([make("Gather", ["table", "ids"], ["x"])] if looked_up else []),
        make(
            "LSTM", ["x", "w", "r", "b", "lengths", *begin], ["y", *end], hidden_size=hidden, direction=by[directions]
        ),
        make("MatMul", ["y", "out"], ["product"]),
        make("Add", ["product", "bias"], ["z"]),
        make("Mul", ["last", "factor"], ["h.next"]) if factor != 1 else make("Identity", ["last"], ["h.next"]),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [
            port("ids", onnx.TensorProto.INT64, ["token", "line"]) if looked_up else port("x", float32, ["token", "line", dim]),
            port("lengths", onnx.TensorProto.INT32, ["line"]),
            *([port("h", float32, state), port("c", float32, state)] if states else []),
        ],
        [
            port("y", float32, ["token", both, "line", hidden]), port("z", float32, ["token", both, "line", 64]),
            port("h.next", float32, state), port(end[1], float32, state),
        ],
        [numpy_helper.from_array(weights[name].astype(np.float32), name) for name in sorted({*weights} & {
            name for node in nodes for name in node.input
        })],
    )  # fmt: skip
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 23)], ir_version=10)


def feeds_of(model: onnx.ModelProto, lengths: list[int]) -> dict[str, np.ndarray]:
    """Words, states between -1 and 1, and cells of any size, for the ports of a graph of `lstm`."""
    lines, state = len(lengths), next(port for port in model.graph.output if port.name == "h.next")
    size = (state.type.tensor_type.shape.dim[0].dim_value, lines, 32)
    feeds = {
        "ids": RANDOM.integers(0, 100, (max(lengths), lines)), "lengths": np.array(lengths, np.int32),
        "x": RANDOM.normal(size=(max(lengths), lines, 24)).astype(np.float32),
        "h": RANDOM.uniform(-1, 1, size).astype(np.float32), "c": RANDOM.normal(size=size).astype(np.float32),
    }  # fmt: skip
    ports = {port.name for port in model.graph.input}
    return {name: array for name, array in feeds.items() if name in ports}


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("states", [True, False])
@pytest.mark.parametrize("directions", [1, -1, 2])
def test_lstm_by_whole_numbers(directions, states):
    """It is near full precision at less than 0.4 of the size, and a line's result does not depend on the batch."""
    model = lstm(directions=directions, states=states)
    lowered = quantize_graph.lower(model, "int8")
    assert (kinds(lowered).count("DynamicQuantizeLSTM"), kinds(lowered).count("LSTM")) == (1, 0)
    assert "ReduceMax" not in kinds(lowered)  # neither words nor states need a scale of their own
    assert kinds(lowered)[-2] == "MatMulIntegerToFloat"  # with the bias
    assert lowered.ByteSize() < 0.4 * model.ByteSize()
    feeds = feeds_of(model, [7, 2, 5])
    full, whole = (Session(part.SerializeToString(), "cpu", 1) for part in (model, lowered))
    wanted, found = full.run(feeds), whole.run(feeds)
    assert wanted.keys() == found.keys()
    for name, array in wanted.items():
        assert array.shape == found[name].shape
        off = np.abs(array - found[name])
        assert 0 < off.mean() < (0.03 if name == "z" else 0.01)
        assert off.max() < (0.5 if name == "z" else 0.2)
    for line, length in enumerate(feeds["lengths"]):  # alone, without padding
        alone = {
            name: array[..., line : line + 1] if array.ndim < 3 else array[:, line : line + 1]
            for name, array in feeds.items()
        }
        alone["ids"] = alone["ids"][:length]
        for name, array in whole.run(alone).items():
            there = found[name][:length] if name in ("y", "z") else found[name]
            assert np.array_equal(array[..., 0, :], there[..., line, :])


def test_an_lstm_of_the_fewest_inputs_is_of_whole_numbers_as_well():
    """No bias, no lengths, no states: inputs omitted at the end are not even blank."""
    model = lstm(states=False)
    (node,) = (node for node in model.graph.node if node.op_type == "LSTM")
    del node.input[3:]
    del model.graph.input[1]  # lengths
    lowered = quantize_graph.lower(model, "int8")
    assert kinds(lowered).count("DynamicQuantizeLSTM") == 1
    feeds = {"ids": RANDOM.integers(0, 100, (5, 2))}
    full, found = (Session(part.SerializeToString(), "cpu", 1).run(feeds) for part in (model, lowered))
    assert 0 < np.abs(full["y"] - found["y"]).max() < 0.2


def test_words_read_at_once_or_in_two_pieces_leave_the_same_state():
    """The only difference is in what an LSTM passes to itself, and its scale is the same at every step."""
    model = lstm()
    session = Session(quantize_graph.lower(model, "int8").SerializeToString(), "cpu", 1)
    feeds = feeds_of(model, [400])
    at_once = session.run(feeds)
    first = session.run(feeds | {"ids": feeds["ids"][:130], "lengths": np.array([130], np.int32)})
    rest = {"ids": feeds["ids"][130:], "lengths": np.array([270], np.int32), "h": first["h.next"], "c": first["c.next"]}
    then = session.run(rest)
    assert np.array_equal(np.concatenate([first["z"], then["z"]]), at_once["z"])
    assert np.array_equal(then["c.next"], at_once["c.next"])


def test_sums_of_an_lstm_fit_in_16_bits():
    """The worst case: every weight and every number is as large as it can be. Without VNNI pairs are added in 16 bits."""
    model = lstm()
    for weight in model.graph.initializer:
        if weight.name in ("w", "r", "table"):
            array = numpy_helper.to_array(weight)
            weight.CopyFrom(
                numpy_helper.from_array(np.full_like(array, 0.01 if weight.name != "table" else 1), weight.name)
            )
    feeds = feeds_of(model, [3, 3]) | {"h": np.ones((1, 2, 32), np.float32)}
    full, low = (Session(part.SerializeToString(), "cpu", 1) for part in (model, quantize_graph.lower(model, "int8")))
    assert np.abs(full.run(feeds)["y"] - low.run(feeds)["y"]).max() < 0.01


@pytest.mark.parametrize("strange", [{"factor": 2}, {"looked_up": False}])
def test_an_lstm_of_numbers_of_any_size_stays_in_full_precision(strange):
    """In int8 its scale would depend on the batch."""
    model = lstm(**strange)
    lowered = quantize_graph.lower(model, "int8")
    assert kinds(lowered).count("LSTM") == 1
    feeds = feeds_of(model, [3, 1])
    full, found = (Session(part.SerializeToString(), "cpu", 1).run(feeds) for part in (model, lowered))
    assert np.abs(full["c.next"] - found["c.next"]).max() < 0.05  # the table of words may be in int8
    assert "LSTM" in kinds(quantize_graph.lower(lstm(), "fp16"))


def test_what_lies_between_minus_one_and_one():
    assert quantize_recurrence.below_one(lstm().graph) == {"y", "last", "h", "h.next"}
    assert quantize_recurrence.below_one(lstm(factor=2).graph) == {"y"}


def test_the_largest_number_of_what_is_looked_up():
    make = onnx.helper.make_node
    tables = {"steps": np.array([[-127, 3]], np.int8), "scale": np.array([[0.5], [-2]], np.float32)}
    nodes = [
        make("Gather", ["steps", "ids"], ["steps.ids"]), make("Cast", ["steps.ids"], ["whole"], to=1),
        make("Gather", ["scale", "ids"], ["scale.ids"]), make("Mul", ["whole", "scale.ids"], ["x"]),
        make("Concat", ["x", "y"], ["both"], axis=0), make("Concat", ["x", "unknown"], ["either"], axis=0),
        make("Exp", ["x"], ["exp"]), make("Transpose", ["both"], ["turned"]),
    ]  # fmt: skip
    weights = [numpy_helper.from_array(array, name) for name, array in tables.items()]
    graph = onnx.helper.make_graph(nodes, "g", [], [], weights)
    found = {
        name: quantize_recurrence.largest(graph, name, {"y"}) for name in ("x", "y", "turned", "either", "exp", "z")
    }
    assert found == {"x": 254, "y": 1, "turned": 254, "either": None, "exp": None, "z": None}


def test_a_table_that_a_gemm_takes_transposed_is_stored_once():
    """Rows are looked up and also multiplied with all rows: linear(table[ids], table) + bias."""
    table, port = RANDOM.normal(size=(100, 32)).astype(np.float32), onnx.helper.make_tensor_value_info
    bias = RANDOM.normal(size=100).astype(np.float32)
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Gather", ["table", "ids"], ["rows"]),
            onnx.helper.make_node("Gemm", ["rows", "table", "bias"], ["scores"], transB=1),
        ],
        "g",
        [port("ids", onnx.TensorProto.INT64, ["id"])],
        [port("scores", onnx.TensorProto.FLOAT, ["id", 100])],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(bias, "bias")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 23)], ir_version=10)
    lowered = quantize_graph.lower(model, "int8")
    large = [weight.data_type for weight in lowered.graph.initializer if np.prod(weight.dims) >= 3200]
    assert large == [onnx.TensorProto.INT8]
    ids = np.array([3, 99, 0])
    got = Session(lowered.SerializeToString(), "cpu", 1).run({"ids": ids})["scores"]
    wanted = table[ids] @ table.T + bias
    assert 0 < np.abs(got - wanted).max() < 0.02 * np.abs(wanted).max()


def test_blocks_have_their_own_scale():
    rows = np.zeros((2, quantize_blocks.BLOCK + 2), np.float32)
    rows[0, :2], rows[0, -2:] = [1.27, -0.635], [254, -2]
    blocks, scale = quantize_blocks.store_blocks(rows)
    assert blocks.shape == (2, 2, quantize_blocks.BLOCK)
    assert scale.tolist() == [pytest.approx([0.01, 2]), [0, 0]]
    assert blocks[0, 0, :3].tolist() == [255, 64, 128]  # 0 is 128; halves round to even: -63.5 -> -64
    assert blocks[0, 1, :3].tolist() == [255, 127, 128]
    assert (blocks[1] == 128).all()


@pytest.mark.parametrize("width", [64, 72])  # whole blocks, and a part of one
def test_by_row_no_result_depends_on_what_is_beside_it(width):
    """Every layout of a weight: a table that is also multiplied with, Gemms that transpose and have a bias, a MatMul, and a
    MatMul whose bias is added after it, as for products of more than two axes."""
    make, random = onnx.helper.make_node, np.random.default_rng(width)
    sizes = {"table": (300, width), "wide": (128, width), "bias": (128,), "narrow": (128, width), "many": (300,)}
    weights = {name: random.standard_normal(size).astype(np.float32) / 8 for name, size in sizes.items()}
    graph = onnx.helper.make_graph(
        [
            make("Gather", ["table", "ids"], ["rows"]),
            make("Gemm", ["rows", "wide", "bias"], ["inner"], transB=1),
            make("Tanh", ["inner"], ["bent"]),
            make("MatMul", ["bent", "narrow"], ["outer"]),
            make("Transpose", ["table"], ["turned"], perm=[1, 0]),
            make("MatMul", ["outer", "turned"], ["products"]),
            make("Add", ["products", "many"], ["logits"]),
        ],
        "g",
        [onnx.helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, ["n"])],
        [onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["n", 300])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 23)], ir_version=10)

    def computed(model: onnx.ModelProto, ids: list[int]) -> np.ndarray:
        return Session(model.SerializeToString(), "cpu", 1).run({"ids": np.array(ids)})["logits"]

    ids = [7, 7, 299, 0, 31, 8, 100, 201, 55]
    full, rows, batch = (computed(each, ids) for each in (model, lowered(model, True), lowered(model, False)))
    for found in (rows, batch):
        assert np.abs(found - full).max() < 0.03 * np.abs(full).max()
    alone = np.stack([computed(lowered(model, True), [id])[0] for id in ids])
    assert np.array_equal(alone, rows)
    assert np.array_equal(np.stack([computed(lowered(model, False), [id])[0] for id in ids]), batch)
    assert [node for node in lowered(model, True).graph.node if node.op_type in ("Add", "Gemm", "MatMul")] == []
    large = [weight for weight in lowered(model, True).graph.initializer if np.prod(weight.dims) >= 1024]
    whole = [weight for weight in large if weight.data_type == onnx.TensorProto.UINT8]
    assert len(whole) == 3
    assert sum(len(weight.raw_data) for weight in large) < 1.4 * (300 + 128 + 128) * width


def lowered(model: onnx.ModelProto, by_row: bool) -> onnx.ModelProto:
    return quantize_graph.lower(model, "int8", by_row)


def wide(width: int, turned: bool, again: bool = False) -> onnx.ModelProto:
    """x [..., 3] times a constant matrix, then plus a bias of 0, 1, 2, ...; `again`: the product itself is used as well."""
    random = np.random.default_rng(0)
    matrix = random.integers(-4, 5, (width, 3) if turned else (3, width)).astype(np.float32)
    node, port = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes = [node("Transpose", ["matrix"], ["m"], perm=[1, 0])] if turned else []
    nodes += [node("MatMul", ["x", "m" if turned else "matrix"], ["xm"]), node("Add", ["bias", "xm"], ["y"])]
    nodes += [node("Neg", ["xm"], ["z"])] * again
    weights = [numpy_helper.from_array(matrix, "matrix"), numpy_helper.from_array(np.arange(width, dtype="f4"), "bias")]
    outputs = [port(name, onnx.TensorProto.FLOAT, ["a", "b", width]) for name in ("y", "z")[: 1 + again]]
    graph = onnx.helper.make_graph(nodes, "g", [port("x", onnx.TensorProto.FLOAT, ["a", "b", 3])], outputs, weights)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 23)], ir_version=10)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 5, 3), (2, 0, 3)])
def test_the_bias_of_a_wide_product_becomes_a_row_of_its_matrix(turned, shape):
    model = wide(5000, turned)
    x = np.random.default_rng(1).integers(-9, 10, shape).astype(np.float32)  # whole numbers: no rounding
    wanted = Session(model.SerializeToString(), "cpu", 1).run({"x": x})["y"]
    assert graph_edits.take_biases_in(model.graph) == 1
    onnx.checker.check_model(model)
    assert not {"Add", "Gemm"} & {node.op_type for node in model.graph.node}
    assert np.array_equal(Session(model.SerializeToString(), "cpu", 1).run({"x": x})["y"], wanted)
    half = quantize_graph.lower(
        model, "fp16"
    )  # fp16 holds every whole number up to 2,048, and beyond that every second or fourth
    assert Session(half.SerializeToString(), "cpu", 1).run({"x": x})["y"] == pytest.approx(wanted, abs=2)


@pytest.mark.parametrize(("width", "again"), [(100, False), (5000, True)])
def test_a_bias_stays_where_it_gains_nothing_or_the_product_is_used_without_it(width, again):
    model = wide(width, False, again)
    before = model.SerializeToString()
    assert graph_edits.take_biases_in(model.graph) == 0
    assert model.SerializeToString() == before
