"""The graphs of `translate`: what is added around a step module, against numbers by hand, and what the exporter refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from translation_toys import LINES, Encode, Explain, Step, rule

from textkit.bundle import bundle, onnxfile
from textkit.errors import TextkitError
from textkit.exporting import export, quantize
from textkit.exporting.exported import TOKEN_LIMIT
from textkit.exporting.fusing import fused
from textkit.exporting.onnx_format import IR_VERSION, OPSET
from textkit.exporting.parity_steps import feeds
from textkit.exporting.step_graph import step_graph
from textkit.plugin import Graph
from textkit.searching.drawing import draw
from textkit.serving.session import Session
from textkit.task_registry import OWN, tasks
from textkit.tasks.translate.exporting import export as export_translation
from textkit.tasks.translate.exporting import parity as parity_translation
from textkit.tasks.translate.exporting.ports import Modules
from textkit.tasks.translate.task import TASK
from textkit_plugins.transformer.network import Transformer
from textkit_plugins.transformer.translating import TransformerConfig


def graphs(rows: int) -> dict[str, Graph]:
    torch.manual_seed(1)
    encode = Encode(rows)
    return {"encode": Graph(encode), "step": Graph(Step(encode, rows))}


@pytest.fixture(scope="module")
def toy() -> export.Exported:
    return export_translation.exported(graphs(12), rule(), LINES, "fp32")


def logits_graph(vocab: int) -> bytes:
    """A step whose body looks up a token's logits in `memory.table` [line, vocab, vocab] (of the first line)."""
    port = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Gather", ["memory.table", "token"], ["logits"]),  # [line, beam, vocab]
        helper.make_node("Cast", ["token"], ["attention"], to=TensorProto.FLOAT),
        helper.make_node("Identity", ["state.x"], ["state.x.next"]),
    ]
    graph = helper.make_graph(
        nodes,
        "body",
        [
            port("token", TensorProto.INT64, ["line", "beam"]),
            port("memory.table", TensorProto.FLOAT, ["words", vocab]),
            port("state.x", TensorProto.FLOAT, ["line", "beam", 2]),
        ],
        [
            port("logits", TensorProto.FLOAT, ["line", "beam", vocab]),
            port("attention", TensorProto.FLOAT, ["line", "beam"]),
            port("state.x.next", TensorProto.FLOAT, ["line", "beam", 2]),
        ],
    )
    body = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return step_graph(body)


def test_best_words_by_hand():
    """p = 1/2, 1/4, 1/8, 1/8, and the reverse: the words in order and their log-probabilities."""
    table = np.log(np.array([[4, 2, 1, 1], [1, 1, 2, 4]], np.float32))
    given = Session(logits_graph(4), "cpu", 1).run(
        {
            **feeds(np.array([[0, 1]]), np.array([[0, 0]]), 2), "memory.table": table,
            "state.x": np.zeros((1, 1, 2), np.float32),
        }
    )  # fmt: skip
    assert given["top_id"].tolist() == [[[0, 1], [3, 2]]]
    assert given["top_logprob"] == pytest.approx(np.log(np.array([[[0.5, 0.25], [0.5, 0.25]]])), abs=1e-6)
    assert given["logprob"][0, 0] == pytest.approx(np.log([0.5, 0.25, 0.125, 0.125]), abs=1e-6)


@pytest.mark.parametrize("vocab", [2, 63, 64, 107, 1000, 1009, 3 * 641])
@pytest.mark.parametrize("k", [1, 2, 50, 10_000])
def test_best_words_of_any_vocabulary(vocab, k):
    """In blocks or padded to blocks, the result is that of sorting all words."""
    k = min(k, vocab)
    logits = np.random.default_rng(vocab).standard_normal((3, vocab)).astype(np.float32)
    given = Session(logits_graph(vocab), "cpu", 1).run(
        {
            **feeds(np.array([[0, 1], [2, 0], [1, 1]]), np.zeros((3, 2), np.int64), k),
            "memory.table": logits, "state.x": np.zeros((3, 1, 2), np.float32),
        }
    )  # fmt: skip
    rows = np.array([[0, 1], [2, 0], [1, 1]])
    chosen = np.take_along_axis(logits[rows], given["top_id"], axis=2)
    assert chosen == pytest.approx(-np.sort(-logits, axis=1)[:, :k][rows], abs=1e-5)  # ties may change places
    assert all(len(set(ids)) == k for ids in given["top_id"].reshape(-1, k).tolist())
    assert np.array_equal(given["top_logprob"], np.take_along_axis(given["logprob"], given["top_id"], axis=2))
    assert np.exp(given["logprob"]).sum(-1) == pytest.approx(1, abs=1e-4)


def drawn_of(table: np.ndarray, uniform: list[float], temperature: float = 1.0, barred: tuple[int, ...] = ()) -> Any:
    """The words of a table's first distribution on which the numbers fall, and their log-probabilities."""
    vocab, count = table.shape[1], len(uniform)
    bias = np.zeros(vocab, np.float32)
    bias[list(barred)] = -np.inf
    given = Session(logits_graph(vocab), "cpu", 1, outputs=["drawn_id", "drawn_logprob"]).run(
        {
            "token": np.zeros((1, count), np.int64), "uniform": np.array([uniform], np.float32), "bias": bias,
            "temperature": np.array(temperature, np.float32), "memory.table": table.astype(np.float32),
        }
    )  # fmt: skip
    return given["drawn_id"][0].tolist(), given["drawn_logprob"][0]


def test_words_are_drawn_by_hand():
    table = np.log(np.array([[0.5, 0.25, 0.125, 0.125]]))
    ids, logprob = drawn_of(table, [1e-30, 0.4999, 0.5001, 0.7499, 0.7501, 0.8749, 0.8751, 1.0])
    assert ids == [0, 0, 1, 1, 2, 2, 3, 3]
    assert logprob == pytest.approx(table[0, ids], abs=1e-6)
    # Without the first word 1/4, 1/8, 1/8 are left, that is 1/2, 1/4, 1/4; squared 4 : 1 : 1. Log-probabilities stay.
    ids, logprob = drawn_of(table, [1e-30, 0.499, 0.501, 0.749, 0.751, 1.0], barred=(0,))
    assert ids == [1, 1, 2, 2, 3, 3]
    assert logprob == pytest.approx(table[0, ids], abs=1e-6)
    assert drawn_of(table, [0.66, 0.67, 0.83, 0.84], 0.5, (0,))[0] == [1, 2, 2, 3]
    assert drawn_of(table, [1e-30, 0.5, 1.0], 1e-30)[0] == [0, 0, 0]
    assert drawn_of(table, [1e-30, 1.0], barred=(0, 1, 3))[0] == [2, 2]


@pytest.mark.parametrize("vocab", [1, 2, 255, 256, 257, 1009, 33_278])
def test_words_of_any_vocabulary_are_drawn(vocab):
    """The same words as textkit draws from the distribution itself, or words beside them where sums in f32 are off."""
    random = np.random.default_rng(vocab)
    table = random.normal(0, 3, (1, vocab))
    uniform = random.random(50).astype(np.float32)
    barred = tuple(random.choice(vocab, vocab // 4, replace=False).tolist())
    ids, _ = drawn_of(table, uniform.tolist(), 1.3, barred)
    left = table.astype(np.float32)
    left[0, list(barred)] = -np.inf
    wanted = draw(left[:, None], uniform[None].astype(np.float64), 1.3)[0]
    assert not set(ids) & set(barred)
    assert np.mean(ids == wanted) >= 0.9
    assert abs(np.array(ids) - wanted).max() <= 3


def test_what_may_not_come_is_not_drawn_though_all_else_is_unlikely():
    """The barred word has nearly all of the weight, and stands before, after or between the others."""
    for barred in (0, 300, 999):
        table = np.full((1, 1000), -90.0)  # e^-90 is too small for f32
        table[0, barred] = 0
        ids, _ = drawn_of(table, np.linspace(0.001, 1, 50).tolist(), 0.5, (barred,))
        assert barred not in ids
        assert len(set(ids)) > 40


def test_state_follows_the_parent():
    state = np.arange(12, dtype=np.float32).reshape(2, 3, 2)  # [line, from, 2]
    given = Session(logits_graph(2), "cpu", 1).run(
        {
            **feeds(np.zeros((2, 4), np.int64), np.array([[2, 0, 0, 1], [1, 1, 2, 0]]), 1),
            "memory.table": np.zeros((2, 2), np.float32), "state.x": state,
        }
    )  # fmt: skip
    assert given["state.x.next"].tolist() == [
        [[4, 5], [0, 1], [0, 1], [2, 3]],
        [[8, 9], [8, 9], [10, 11], [6, 7]],
    ]


def test_ports_of_the_exported_graphs(toy):
    encode, step = (onnxfile.inspect(toy.graphs[name], name) for name in ("encode", "step"))
    assert (encode.ir, encode.opsets) == (IR_VERSION, {"": OPSET})
    assert [(port.name, port.axes) for port in encode.inputs] == [
        ("source", ("line", "source")), ("source_mask", ("line", "source")),
    ]  # fmt: skip
    assert {port.name: (port.dtype, port.axes) for port in encode.outputs} == {
        "memory.rows": ("float32", ("line", "source", 8)), "memory.mask": ("bool", ("line", "source")),
        "state.sum": ("float32", ("line", 8)), "state.history": ("int64", ("line", 0)),
        "cache.words": ("float32", ("line", 0)),
    }  # fmt: skip
    assert {port.name: port.axes for port in step.inputs} == {
        "token": ("line", "beam"), "parent": ("line", "beam"), "k": (),
        "uniform": ("line", "beam"), "temperature": (), "bias": ("vocab",),
        "memory.rows": ("line", "source", 8), "memory.mask": ("line", "source"),
        "state.sum": ("line", "from", 8), "state.history": ("line", "from", "past"), "cache.words": ("line", "past4"),
    }  # fmt: skip
    assert {port.name: port.axes for port in step.outputs} == {
        "top_id": ("line", "beam", "k"), "top_logprob": ("line", "beam", "k"), "logprob": ("line", "beam", 12),
        "drawn_id": ("line", "beam"), "drawn_logprob": ("line", "beam"),
        "attention": ("line", "beam", "source"), "state.sum.next": ("line", "beam", 8),
        "state.history.next": ("line", "beam", "next"), "cache.words.next": ("line", "next6"),
    }  # fmt: skip
    for graph in toy.graphs.values():
        onnx.checker.check_model(onnx.load_from_string(graph))


def test_histories_follow_beams_and_caches_stay(toy):
    """Three steps: one beam becomes two, the two cross, and the second is continued twice."""
    model = parity_translation.Graphs(toy.graphs)
    memory, state = model.encode(np.array([[5, 6, 3]]), np.ones((1, 3), bool))
    for token, parent in (([[4, 5]], [[0, 0]]), ([[6, 7]], [[1, 0]]), ([[8, 9]], [[1, 1]])):
        _, state = model.step(np.array(token), np.array(parent), 2, memory, state)
    assert state["state.history"].tolist() == [[[4, 7, 8], [4, 7, 9]]]
    assert state["cache.words"].tolist() == [[4, 5, 6, 7, 8, 9]]


def test_parity_is_in_the_figures(toy):
    assert toy.parity["against"] == "torch"
    assert 0 <= toy.parity["max_relative"] < 1e-5
    assert toy.limits == {"tokens": TOKEN_LIMIT, "target": TOKEN_LIMIT}


def test_parity_sees_a_wrong_number_anywhere(toy):
    """Each weight of each graph is changed a little, one at a time, and the parity check sees it every time."""
    modules = Modules(graphs(12))
    changed = 0
    for name, graph in toy.graphs.items():
        for at, weight in enumerate(onnx.load_from_string(graph).graph.initializer):
            array = onnx.numpy_helper.to_array(weight)
            if array.dtype != np.float32 or array.size < 8:
                continue
            model = onnx.load_from_string(graph)
            wrong = array.copy()
            wrong[..., 3] += 0.01
            model.graph.initializer[at].CopyFrom(onnx.numpy_helper.from_array(wrong, weight.name))
            graphs_ = parity_translation.Graphs(toy.graphs | {name: model.SerializeToString()})
            with pytest.raises(TextkitError, match="differ from the model by .* nothing was written"):
                parity_translation.check(graphs_, modules, rule(), parity_translation.cases(rule(), LINES))
            changed += 1
    assert changed >= 3


def test_parity_sees_states_of_the_wrong_parent(toy):
    model = onnx.load_from_string(toy.graphs["step"])
    (unsqueeze,) = (node for node in model.graph.node if node.output[0] == "parent_index")
    model.graph.node.insert(0, helper.make_node("Mul", ["parent", "zero_parent"], ["no_parent"]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.int64(0), "zero_parent"))
    next(node for node in model.graph.node if node.output[0] == "parent_index").input[0] = "no_parent"
    broken = parity_translation.Graphs(toy.graphs | {"step": model.SerializeToString()})
    with pytest.raises(TextkitError, match="differ from the model"):
        parity_translation.check(broken, Modules(graphs(12)), rule(), parity_translation.cases(rule(), LINES))


class Leaky(Encode):
    """Broken: counts padding as words."""

    def forward(self, source: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        rows, _, _, *rest = super().forward(source, torch.ones_like(mask))
        return rows, torch.ones_like(mask), rows.sum(1), *rest


class Forgetful(Step):
    """Broken: gives only one beam's state."""

    def forward(self, *given: torch.Tensor) -> tuple[torch.Tensor, ...]:
        logits, attention, sums, *rest = super().forward(*given)
        return logits, attention, sums[:, :1], *rest


class Unnamed(Step):
    state = ("state.sum", "state.history", "memory.words")


class Other(Step):
    state = ("state.sum", "state.history", "cache.other")


@pytest.mark.parametrize(
    ("encode", "step", "message"),
    [
        pytest.param(Leaky, Step, "changes by .* when the line is padded", marks=pytest.mark.slow),
        (Encode, Forgetful, r"gives 'state.sum' \(3, 1, 8\) for \(3, 4\) tokens"),
        (Encode, Unnamed, "neither memory.*, state.* nor cache.*"),
        (Encode, Other, "not the same"),
        (Encode, lambda encode, ids: torch.nn.Linear(2, 2), "has no 'memory' that names its ports"),
        (Encode, lambda encode, ids: Step(encode, 5), "fails: IndexError: index out of range"),
    ],
)
def test_broken_modules_are_refused(encode, step, message):
    torch.manual_seed(1)
    encoder = encode(12)
    with pytest.raises(TextkitError, match=message):
        export_translation.exported({"encode": Graph(encoder), "step": Graph(step(encoder, 12))}, rule(), LINES, "fp32")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A bundle of the toy with all three graphs; tests must not change it."""
    return export.export_graphs(
        tmp_path_factory.mktemp("export") / "toy", task="translate", rule=rule(), sample=LINES,
        graphs=graphs(12) | {"explain": Graph(Explain())}, defaults={"beam_size": 2}, licence="CC0-1.0",
    )  # fmt: skip


def test_bundle_without_a_training_run(model):
    read = bundle.read(model, "translate")
    read.verify()
    assert read.manifest.defaults == {**TASK.defaults, "beam_size": 2}
    assert read.manifest.limits == {"tokens": TOKEN_LIMIT, "target": TOKEN_LIMIT}
    assert read.rule.target_size == 12
    assert read.manifest.parity["lines"] > 20


def without(ports: list[dict[str, Any]], name: str) -> None:
    ports[:] = [port for port in ports if port["name"] != name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ports: ports["step"]["inputs"].pop(), "is not what 'step' takes"),
        (
            lambda ports: without(ports["step"]["inputs"], "uniform"),
            "graph 'step' has temperature, bias, drawn_id, drawn_logprob and lacks uniform",
        ),
        (
            lambda ports: without(ports["step"]["outputs"], "drawn_id"),
            "graph 'step' has uniform, temperature, bias, drawn_logprob and lacks drawn_id",
        ),
        (lambda ports: ports["step"]["outputs"].pop(), "gives not each state"),
        (lambda ports: ports["encode"]["outputs"][2].update(dtype="float64"), "is not what 'step' takes"),
        (lambda ports: ports["step"]["outputs"][-1].update(name="cache.words"), "gives not each state"),
        (lambda ports: ports.pop("step"), "the graph 'step' of the task 'translate' is missing"),
        (lambda ports: ports.update(other=ports["step"]), "has no graph 'other'"),
    ],
)
def test_manifest_whose_graphs_do_not_fit_together(tmp_path, model, change, message):
    folder = shutil.copytree(model, tmp_path / "model")
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest["graphs"])
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(TextkitError, match=message):
        bundle.read(folder)


@pytest.mark.parametrize(
    ("defaults", "wrong"),
    [
        ({"beam_size": 4, "length_penalty": 0.6, "max_length_factor": 2}, ""),
        ({"beam_size": 0}, "beam_size=0"),
        ({"beam_size": True}, "beam_size=True"),
        ({"beam_size": 2.0}, "beam_size=2.0"),
        ({"length_penalty": float("nan")}, "length_penalty=nan"),
        ({"pooling": "mean"}, "pooling='mean'"),
        ({"beam": None}, "beam=None"),
        ({"sentences": True, "allow_unk": 1}, "allow_unk=1"),
        ({"allow_unk": None}, "allow_unk=None"),
        ({"early_stopping": True, "max_length": None}, "max_length=None"),
    ],
)
def test_defaults_of_a_plugin(defaults, wrong):
    assert TASK.wrong_default(defaults) == wrong


@pytest.mark.parametrize("name", OWN)
def test_what_a_model_serves_with_is_what_it_may_state(name):
    task = tasks.get(name)
    assert task.wrong_default(task.defaults) == ""
    assert task.defaults.keys() <= task.settings.keys()
    assert task.settings.keys() - task.defaults.keys() <= {"max_length", "threshold", "long"}  # they have no default


def test_explain_is_a_third_graph(model):
    read = bundle.read(model, "translate")
    assert list(read.manifest.graphs) == ["encode", "step", "explain"]
    given = Session(read.graph("explain"), "cpu", 1).run(
        {"source": np.array([[4, 6, 3]]), "source_mask": np.ones((1, 3), bool), "target": np.array([[4, 5]])}
    )
    assert {name: array.shape for name, array in given.items()} == {
        "encoder": (1, 2, 1, 3, 3), "decoder": (1, 2, 1, 2, 2), "cross": (1, 2, 1, 2, 3),
    }  # fmt: skip
    assert given["decoder"][0, 0, 0] == pytest.approx(
        np.array([[1, 0], [np.exp(-1) / (1 + np.exp(-1)), 1 / (1 + np.exp(-1))]])
    )


def test_explain_of_the_wrong_shape_is_refused():
    class Swapped(Explain):
        def forward(self, *given: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return tuple(weights.transpose(0, 1) for weights in super().forward(*given))

    with pytest.raises(TextkitError, match="graph 'explain' gives 'encoder'"):
        export_translation.exported(graphs(12) | {"explain": Graph(Swapped())}, rule(), LINES, "fp32")


TIED = 300  # words of the tied transformer


LIMITS = {"tokens": 64, "target": 64}


@pytest.fixture(scope="module")
def tied() -> dict[str, export_translation.Exported]:
    """A transformer with one table for both look-ups and the final product: traced once, in all precisions."""
    torch.manual_seed(2)
    config = TransformerConfig(encoder_layers=1, decoder_layers=2, dim=32, heads=4, feedforward=64, max_tokens=64)
    network = Transformer(config, TIED, TIED).eval()
    modules = Modules({"encode": Graph(network.encoder()), "step": Graph(network.stepper())})
    bodies = export_translation.traced(modules, {}, rule(TIED))
    return {
        precision: export_translation.proven(modules, bodies, rule(TIED), LINES, LIMITS, precision)
        for precision in quantize.PRECISIONS
    }


@pytest.mark.slow
def test_tied_table_is_stored_once(tied):
    """In every precision. In int8 the same table is looked up by row and, transposed, multiplied with as it is."""
    for precision, kind, bytes_each in (("fp32", np.float32, 4), ("int8", np.int8, 1), ("fp16", np.float16, 2)):
        graph = onnx.load_from_string(tied[precision].graphs["step"]).graph
        weights = {weight.name: onnx.numpy_helper.to_array(weight) for weight in graph.initializer}
        (table,) = (name for name, array in weights.items() if array.size == TIED * 32)
        assert weights[table].dtype == kind
        assert weights[table].nbytes == TIED * 32 * bytes_each
        users = sorted(node.op_type for node in graph.node if table in node.input)
        assert users == (["Cast"] if precision == "fp16" else ["Gather", "Transpose"])
        if precision == "int8":
            (turned,) = (node.output[0] for node in graph.node if node.op_type == "Transpose" and table in node.input)
            assert [node.op_type for node in graph.node if turned in node.input] == ["MatMulIntegerToFloat"]
            assert not any(node.op_type == "MatMul" and node.input[1] in weights for node in graph.node)
    assert len(tied["int8"].graphs["step"]) < 0.5 * len(tied["fp32"].graphs["step"])


@pytest.mark.slow
def test_lower_precision_is_measured_along_full_precisions_words(tied):
    assert "deviation" not in tied["fp32"].parity
    int8, fp16 = (tied[precision].parity["deviation"] for precision in ("int8", "fp16"))
    assert 0 < fp16["max_abs"] < 0.02
    assert 0 < int8["mean_abs"] < int8["max_abs"] < 1
    assert fp16["mean_abs"] < int8["mean_abs"]
    assert int8["same_word"] <= fp16["same_word"] <= 1
    assert int8["lines"] == len(LINES)
    assert int8["words"] >= len(LINES)


def test_deviation_by_hand():
    """Three lines, two steps: the lowered graphs' log-probabilities differ by the amounts written here."""

    class Fixed:
        def __init__(self, logprob: list) -> None:
            self.logprob, self.at = np.array(logprob), 0

        def encode(self, source: np.ndarray, mask: np.ndarray) -> tuple[dict, dict]:
            return {}, {}

        def step(self, token: np.ndarray, *_) -> tuple[dict, dict]:
            self.at += 1
            return {"logprob": np.tile(self.logprob[self.at - 1], (len(token), 1, 1))}, {}

    end = [-9, -9, -9, -0.5, -1.5]  # the word 3 ends a line
    found = parity_translation.deviation(
        Fixed([[-1, -2, -3, -4, -5], end]), Fixed([[-1.25, -1, -3, -4, -5], end]), rule(), LINES[:3], LIMITS
    )
    assert found == {"mean_abs": 0.125, "max_abs": 1.0, "same_word": 0.5, "words": 6, "lines": 3}
    with pytest.raises(TextkitError, match="--precision int8 changes the likeliest word in 60% of the places"):
        parity_translation.refuse_deviation("int8", found | {"same_word": 0.4})


@pytest.mark.slow
def test_keys_and_values_are_joined_inside_attention(tied):
    """The largest arrays pass through no Concat and no reordering; only the bits that say which beam owns what do."""
    graph = onnx.load_from_string(tied["fp32"].graphs["step"]).graph
    caches = {port.name for port in graph.input if port.name.startswith("cache.")}
    assert len(caches) == 4
    assert {node.op_type for node in graph.node if caches & set(node.input)} == {"Attention"}
    assert {node.input[0] for node in graph.node if node.op_type == "GatherND"} == {
        "state.own", "choice/rows", "draw/blocks",
    }  # fmt: skip


def test_attention_divides_its_heads_itself(tied):
    """This saves seven nodes for each Attention that can; the numbers are the same."""
    whole = tied["fp32"].graphs["encode"]
    few = fused(whole)
    before, after = (
        [node.op_type for node in onnx.load_from_string(data).graph.node] for data in (whole, few)
    )  # fmt: skip
    assert before.count("Attention") == after.count("Attention") == 1
    assert len(after) <= len(before) - 7
    feeds = {
        "source": np.array([[5, 6, 7], [8, 9, 0]]),
        "source_mask": np.array([[True, True, True], [True, True, False]]),
    }
    wanted, found = (Session(data, "cpu", 1).run(feeds) for data in (whole, few))
    assert wanted.keys() == found.keys()
    for name, array in wanted.items():
        assert np.array_equal(array, found[name]), name


def test_outputs_nobody_asks_for_take_their_nodes_along(tied):
    step = tied["fp32"].graphs["step"]
    outputs = [port.name for port in onnxfile.inspect(step, "step").outputs]
    few = onnxfile.keep_outputs(
        step, [name for name in outputs if name not in ("attention", "logprob", "drawn_id", "drawn_logprob")]
    )
    kinds, whole = ([node.op_type for node in onnx.load_from_string(data).graph.node] for data in (few, step))
    assert "Softmax" in whole  # for the attention output; the network's own softmaxes are inside Attention nodes
    assert "Softmax" not in kinds
    assert len(kinds) < len(whole)
