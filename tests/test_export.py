"""The `embed` graph against hand-computed numbers, and what the exporter refuses."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from textkit.bundle import bundle, onnxfile
from textkit.corpora import batching
from textkit.errors import TextkitError, UsageError
from textkit.exporting import quantize, tracing
from textkit.exporting.onnx_format import IR_VERSION, OPSET
from textkit.exporting.parity import Case, cases, load
from textkit.plugin import Graph
from textkit.serving.session import Session
from textkit.task import Port
from textkit.tasks.embed.exporting import export as export_embedding
from textkit.tasks.embed.exporting import parity
from textkit.tasks.embed.exporting.graph import graft, table_graph
from textkit.text.subwords import NGrams
from textkit.text.words import Words

MEAN, MAX, SIF = 0, 1, 2
WORDS = ["the", "cat", "sat", "mat"]
TABLE = np.array([[1, 0], [3, 4], [-5, 2], [0, -8]], np.float32)
LINES = ["the cat sat", "mat", "the the mat cat", "sat on the mat", "", "cat"]


def run(graph: bytes, ids: list, weight: list, pool: int = MEAN, normalize: bool = False) -> dict[str, np.ndarray]:
    case = Case("", np.array(ids, np.int64), np.array(weight, np.float32))
    return Session(graph, "cpu", 1).run(parity.feeds(case, pool, normalize))


@pytest.fixture(scope="module")
def plain() -> bytes:
    return table_graph({"table": TABLE})


def test_mean_of_weighted_rows(plain):
    found = run(plain, [[0, 1, 0], [2, 0, 0], [1, 2, 0]], [[1, 1, 0], [1, 0, 0], [0.5, 0.25, 0.25]])
    # (1,0)+(3,4) over 2; the row itself; 0.5*(3,4) + 0.25*(-5,2) + 0.25*(1,0)
    assert found["vector"].tolist() == [[2, 2], [-5, 2], [0.5, 2.5]]
    assert found["tokens"][0].tolist() == [[1, 0], [3, 4], [1, 0]]


def test_weights_need_not_sum_to_one(plain):
    assert run(plain, [[1, 2]], [[3, 1]])["vector"].tolist() == [[1, 3.5]]  # (9-5, 12+2) / 4


def test_max_leaves_padding_out(plain):
    found = run(plain, [[2, 3, 1], [2, 2, 2]], [[1, 1, 0], [0.25, 0.25, 0.5]], MAX)
    assert found["vector"].tolist() == [[0, 2], [-5, 2]]


def test_normalize_gives_unit_length_and_leaves_zero_alone(plain):
    found = run(plain, [[1], [0]], [[1], [0]], MEAN, True)["vector"]
    assert found.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 0]]


@pytest.mark.parametrize("pool", [MEAN, MAX, SIF])
@pytest.mark.parametrize("normalize", [False, True])
def test_line_without_weight_is_the_zero_vector(plain, pool, normalize):
    assert run(plain, [[3, 2]], [[0, 0]], pool, normalize)["vector"].tolist() == [[0, 0]]


def test_rows_that_cancel_give_zero_not_nan():
    graph = table_graph({"table": np.array([[1, 2], [-1, -2]], np.float32)})
    assert run(graph, [[0, 1]], [[1, 1]], MEAN, True)["vector"].tolist() == [[0, 0]]


def test_sif_weights_and_component():
    probability = np.array([0.001, 0.003, 0, 0], np.float32)  # a = 0.001: weights 1/2, 1/4, 1, 1
    graph = table_graph({"table": TABLE}, probability)
    found = run(graph, [[0, 1], [1, 0]], [[1, 1], [1, 0]], SIF)["vector"]
    # (0.5*(1,0) + 0.25*(3,4)) / 0.75 = (1.25, 1) / 0.75; a single word is itself
    assert found == pytest.approx(np.array([[5 / 3, 4 / 3], [3, 4]]), rel=1e-6)
    along = table_graph({"table": TABLE}, probability, np.array([0.6, 0.8], np.float32))
    # (3,4) lies on the component; (-5,2) minus (-3+1.6)*(0.6,0.8)
    found = run(along, [[1], [2]], [[1], [1]], SIF)["vector"]
    assert found == pytest.approx(np.array([[0, 0], [-4.16, 3.12]]), abs=1e-6)
    assert run(along, [[1]], [[1]], MEAN)["vector"].tolist() == [[3, 4]]  # only SIF removes the component


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (0, 0)])
@pytest.mark.parametrize("pool", [MEAN, MAX, SIF])
def test_empty_axes(plain, shape, pool):
    found = run(plain, np.zeros(shape), np.zeros(shape), pool, True)
    assert found["vector"].shape == (shape[0], 2)
    assert found["tokens"].shape == (*shape, 2)
    assert not found["vector"].any()


def test_component_is_what_lines_share():
    table = np.array([[10, 1], [10, -1], [10, 0.5]], np.float32)
    rule = Words(["a", "b", "c"])
    found = parity.first_component(export_embedding._lookup(table), rule, ["a", "b", "c", "a b"], None)
    assert abs(found[0]) == pytest.approx(1, abs=1e-3)
    assert np.linalg.norm(found) == pytest.approx(1)
    assert parity.first_component(export_embedding._lookup(table), rule, [], None) is None


def test_graph_is_what_onnxruntime_reads(plain):
    model = onnx.load_from_string(plain)
    onnx.checker.check_model(model, full_check=True)
    header = onnxfile.inspect(plain, "embed.onnx")
    assert (header.ir, header.opsets) == (IR_VERSION, {"": OPSET}) == (10, {"": 23})
    assert [port.name for port in header.inputs] == ["ids", "weight", "pool", "normalize"]
    assert [port.axes for port in header.outputs] == [("line", 2), ("line", "token", 2)]
    assert table_graph({"table": TABLE}) == plain  # the same bytes each time


def test_table_becomes_a_bundle(tmp_path):
    rule = Words(WORDS)
    probability = np.array([0.5, 0.3, 0.1, 0.1], np.float32)
    folder = export_embedding.export_embedding_table(
        tmp_path / "model", rule=rule, table=TABLE, probability=probability, sample=LINES, licence="CC0-1.0",
        plugin={"name": "test", "version": "1"}, defaults={"normalize": True}, data=[{"file": "x"}], made={"seed": 3},
    )  # fmt: skip
    read = bundle.read(folder, "embed")
    read.verify()
    manifest = read.manifest
    assert (manifest.name, manifest.dim, manifest.precision, manifest.licence) == ("model", 2, "fp32", "CC0-1.0")
    assert manifest.defaults == {"pooling": "mean", "normalize": True}
    assert manifest.parity["against"] == "numpy"
    assert 0 <= manifest.parity["max_relative"] < 1e-6
    ids, weight = batching.padded(read.rule, ["the cat", " "])
    assert run(read.graph("embed"), ids, weight)["vector"].tolist() == [[2, 2], [0, 0]]


def test_existing_folder_is_kept_unless_overwritten(tmp_path):
    def write(table, **more):
        return export_embedding.export_embedding_table(tmp_path / "m", rule=Words(WORDS), table=table, **more)

    write(TABLE)
    with pytest.raises(TextkitError, match="holds a model already"):
        write(TABLE * 2)
    write(TABLE * 2, overwrite=True)
    assert run(bundle.read(tmp_path / "m").graph("embed"), [[1]], [[1]])["vector"].tolist() == [[6, 8]]
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize(
    ("table", "more", "message"),
    [
        (TABLE[:3], {}, r"shape \(3, 2\) does not fit a vocabulary of 4 ids"),
        (np.where(TABLE == 4, np.nan, TABLE), {}, "vector of id 1 holds NaN"),
        (TABLE, {"probability": np.ones(3, np.float32)}, r"probabilities of shape \(3,\)"),
        (TABLE, {"probability": np.full(4, 2, np.float32)}, "not all between 0 and 1"),
        (np.broadcast_to(np.float32(1), (4, 200_000_000)), {}, r"3\.2 GB, an ONNX file holds 2 GB.*--max-vocab"),
        (TABLE * 1e5, {"precision": "fp16"}, r"up to 65504, this model has 8e\+05"),
    ],
)
def test_unsound_table_is_refused(tmp_path, table, more, message):
    with pytest.raises(TextkitError, match=message):
        export_embedding.export_embedding_table(tmp_path / "model", rule=Words(WORDS), table=table, **more)
    assert not list(tmp_path.iterdir())


def test_unknown_precision_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="--precision int4: unknown; did you mean 'int8'"):
        export_embedding.export_embedding_table(tmp_path / "model", rule=Words(WORDS), table=TABLE, precision="int4")


def test_parity_check_sees_every_kind_of_difference(plain):
    """A correct graph passes; one wrong number, in the rows or in SIF's constants, does not."""
    rule, rows = Words(WORDS), export_embedding._lookup(TABLE)
    batches = list(cases(rule, LINES))
    assert {case.ids.shape for case in batches} >= {(1, 1), (2, 512), (5, 17)}
    assert parity.check(load(plain), rows, batches, None, None)["max_relative"] < 1e-6
    wrong = TABLE.copy()
    wrong[2, 1] += 1e-3
    for graph, probability, component in (
        (table_graph({"table": wrong}), None, None),
        (plain, np.full(4, 0.01, np.float32) * np.arange(4, dtype=np.float32), None),
        (plain, None, np.array([1, 0], np.float32)),
        (table_graph({"table": np.where(TABLE == 4, np.nan, TABLE)}), None, None),
    ):
        with pytest.raises(TextkitError, match="differs from the model by .* nothing was written"):
            parity.check(load(graph), rows, batches, probability, component)


def test_what_nearly_cancels_is_measured_beside_what_it_is_made_of():
    """All rows have nearly one direction: of vectors of length 1, SIF's component leaves 0.002, in f32."""
    random = np.random.default_rng(0)
    table = np.repeat(random.normal(size=(1, 64)), 300, axis=0) + 2e-3 * random.normal(size=(300, 64))
    table, rule = table.astype(np.float32), Words([f"w{i}" for i in range(299)])
    rows, lines = (
        export_embedding._lookup(table),
        [" ".join(f"w{i}" for i in random.integers(0, 299, 20)) for _ in range(64)],
    )
    component = parity.first_component(rows, rule, lines, None)
    graph = table_graph({"table": table}, None, component)
    batches = list(cases(rule, lines))
    assert parity.check(load(graph), rows, batches, None, component)["max_relative"] < 1e-6


class Encoder(torch.nn.Module):
    """Two layers of torch's own transformer encoder."""

    def __init__(self, ids: int, dim: int = 32) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(ids, dim)
        layer = torch.nn.TransformerEncoderLayer(dim, 4, 2 * dim, batch_first=True)
        self.layers = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, ids: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return self.layers(self.embedding(ids), src_key_padding_mask=weight == 0)


class Recentred(torch.nn.Module):
    """Broken: takes the mean over padding too."""

    def __init__(self, ids: int) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(ids, 8)

    def forward(self, ids: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        rows = self.embedding(ids)
        return rows - rows.mean(1, keepdim=True)


class First(torch.nn.Module):
    """Its own vector of a line is its first token's, times two and one more."""

    pools = True

    def __init__(self, table: np.ndarray) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding.from_pretrained(torch.from_numpy(table))

    def forward(self, ids: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rows = self.embedding(ids)
        return rows, 2 * rows[:, 0] + 1


class Narrow(First):
    """Broken: its vectors of lines have one number, those of tokens two."""

    def forward(self, ids: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rows, own = super().forward(ids, weight)
        return rows, own[:, :1]


class Frozen(Recentred):
    """Broken: takes only lines of seven tokens."""

    def forward(self, ids: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return self.embedding(ids) + torch.arange(7)[:, None]


@pytest.mark.parametrize("precision", [pytest.param("fp32", marks=pytest.mark.slow), "int8"])
def test_a_model_s_own_vector_is_the_fourth_pooling(precision):
    found = export_embedding.export_module(Graph(First(TABLE)), Words(WORDS), LINES, precision)
    assert found.facts == {"dim": 2, "pools": True}
    graph, ids, weight = found.graphs["embed"], [[1, 2, 0], [2, 0, 0], [3, 3, 3]], [[1, 1, 0], [1, 0, 0], [0, 0, 0]]
    close = {"abs": 1e-6 if precision == "fp32" else 0.1}
    own = run(graph, ids, weight, 3)["vector"]
    assert own.tolist() == [pytest.approx([7, 9], **close), pytest.approx([-9, 5], **close), [0, 0]]  # 2 (3, 4) + 1
    unit = run(graph, ids, weight, 3, True)["vector"]
    assert unit[0].tolist() == pytest.approx([7 / math.sqrt(130), 9 / math.sqrt(130)], **close)
    assert not unit[2].any()
    assert run(graph, ids, weight, MEAN)["vector"][0].tolist() == pytest.approx([-1, 3], **close)
    assert run(graph, ids, weight, MAX)["vector"][0].tolist() == pytest.approx([3, 4], **close)
    onnx.checker.check_model(onnx.load_from_string(graph), full_check=True)


def test_a_model_whose_own_vectors_are_no_vectors_is_refused():
    with pytest.raises(TextkitError, match=r"pools, and gives .* not \[line, token, dim\] and \[line, dim\]"):
        export_embedding.export_module(Graph(Narrow(TABLE)), Words(WORDS), LINES, "fp32")


def test_parity_notices_another_vector_of_the_model_s_own():
    module = First(TABLE)
    graph = export_embedding.export_module(Graph(module), Words(WORDS), LINES, "fp32").graphs["embed"]
    batches, reference = list(cases(Words(WORDS), LINES)), export_embedding.Reference(module)
    parity.check(load(graph), reference.rows, batches, None, parity.first_component(reference.rows, Words(WORDS), LINES, None),
                 reference.own)  # fmt: skip
    with pytest.raises(TextkitError, match=r"differs from the model by .* \(model, case"):
        parity.check(load(graph), reference.rows, batches, None,
                     parity.first_component(reference.rows, Words(WORDS), LINES, None),
                     lambda ids, weight: reference.own(ids, weight) + np.float32(0.01))  # fmt: skip


def test_models_from_before_there_were_own_vectors_are_read(tmp_path):
    folder = export_embedding.export_embedding_table(tmp_path / "m", rule=Words(WORDS), table=TABLE)
    assert b"pools" not in (folder / "manifest.json").read_bytes()
    assert bundle.read(folder, "embed").manifest.facts == {"dim": 2, "pools": False}


@pytest.fixture(scope="module")
def rule() -> Words:
    return Words(WORDS, subwords=NGrams(3, 4, 50, len(WORDS)))


def test_network_is_traced_and_pooled(rule, capfd):
    torch.manual_seed(1)
    network = Encoder(len(rule)).eval()
    found = export_embedding.export_module(Graph(network), rule, LINES, "fp32")
    assert capfd.readouterr().out == ""
    assert found.facts == {"dim": 32}
    assert found.parity["against"] == "torch"
    assert found.parity["max_relative"] < 1e-5
    header = onnxfile.inspect(found.graphs["embed"], "embed.onnx")
    assert [port.axes for port in header.inputs] == [("line", "token"), ("line", "token"), (), ()]
    assert header.opsets[""] == OPSET
    assert str(Path(__file__).parent).encode() not in found.graphs["embed"]  # torch writes stack traces into its graphs
    assert b"site-packages" not in found.graphs["embed"]
    ids, weight = batching.padded(rule, ["the cat", "zzz the sat on the mat"])
    with torch.no_grad():
        alone = network(torch.from_numpy(ids[:1, :2]), torch.ones(1, 2))[0].numpy()
    given = run(found.graphs["embed"], ids, weight)
    assert given["vector"][0] == pytest.approx(alone.mean(axis=0), abs=1e-5)
    assert not given["tokens"][0, 2:].any()  # padding is zeros whatever attention computes for it


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Recentred, "changes by .* when the line is padded"),
        (Frozen, "torch cannot export the graph 'embed'"),
        (lambda ids: torch.nn.Embedding(ids + 1, 8), "does not fit a vocabulary"),
    ],
)
def test_broken_modules_are_refused(rule, broken, message):
    torch.manual_seed(1)
    with pytest.raises(TextkitError, match=message):
        export_embedding.export_module(Graph(broken(len(rule))), rule, LINES, "fp32")


def test_frozen_axis_is_seen_in_the_graph():
    """The second line of defence: torch.export has been known to freeze an axis silently."""
    table = torch.nn.Parameter(torch.zeros(3, 4))

    class Rows(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = table

        def forward(self, ids: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
            return self.table[ids]

    ports = [Port("ids", "int64", ("line", "token")), Port("weight", "float32", ("line", "token"))]
    rows = [Port("rows", "float32", ("line", "token", 4))]
    examples = [torch.zeros(3, 7, dtype=torch.int64), torch.ones(3, 7)]
    model = tracing.trace(Rows(), list(zip(ports, examples, strict=True)), rows, "embed")
    tracing.refuse_surprises(model, ports, rows)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 7
    with pytest.raises(TextkitError, match="froze an axis of 'ids'"):
        tracing.refuse_surprises(model, ports, rows)


def test_longest_line_of_a_network_is_kept_to(rule):
    """Test cases are no longer than the limit that a plugin states, here the size of a table of positions."""

    class Positions(Recentred):
        def __init__(self, ids: int) -> None:
            super().__init__(ids)
            self.positions = torch.nn.Embedding(20, 8)

        def forward(self, ids: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
            return self.embedding(ids) + self.positions(torch.arange(ids.shape[1]))

    lines = ["the cat " * 40]
    found = export_embedding.export_module(Graph(Positions(len(rule)), limit=20), rule, lines, "fp32")
    assert math.isfinite(found.parity["max_relative"])


def test_only_tables_skip_the_exporter():
    assert export_embedding.table_of(torch.nn.Embedding(3, 2)).shape == (3, 2)
    assert (
        export_embedding.table_of(torch.nn.Embedding(3, 2, max_norm=1.0)) is None
    )  # it does not look up its rows as they are
    assert export_embedding.table_of(Recentred(3)) is None
    assert set(quantize.PRECISIONS) == {"fp32", "fp16", "int8"}


def test_the_shape_behind_a_norm_is_written_down_and_no_other():
    """If onnxruntime does not know the shape, it takes twice as long to load a transformer."""

    class Normed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.place = torch.nn.Embedding(30, 16), torch.nn.Parameter(torch.randn(64, 16))
            self.first, self.second = torch.nn.LayerNorm(16), torch.nn.LayerNorm(16)

        def forward(self, ids, weight):
            rows = self.first(self.table(ids) + self.place[: ids.shape[1]])
            return self.second(rows + rows.tanh()) * (weight > 0)[:, :, None]

    body = export_embedding.trace(Normed().eval(), 30)
    shapes = [
        [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in body.graph.value_info
    ]
    norms = [node.output[0] for node in body.graph.node if node.op_type == "LayerNormalization"]
    assert [value.name for value in body.graph.value_info] == norms
    assert shapes == [["line", "token", 16]] * 2
    whole = onnx.load_from_string(graft(body))
    assert {value.name for value in whole.graph.value_info} <= {
        name for node in whole.graph.node for name in node.output
    }
    assert len(whole.graph.value_info) == 2
