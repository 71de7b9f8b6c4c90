"""`textkit inspect`: gradients against autograd's and by hand, norms as they were, tables, pictures, what it refuses."""

from __future__ import annotations

import io
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from training_toys import Toy, ToyFit, ToyOwn

from textkit.cli import run as run_command
from textkit.cli.options import Messages
from textkit.drawing import chart, picture
from textkit.errors import TextkitError
from textkit.registry import registry
from textkit.training.inspecting import Gradients, Norms, backwards, gradients, norms
from textkit.training.norms import weight_norms
from textkit.verbs.inspect import gradient_lines, weight_lines
from textkit_plugins.rnn_lm.network import RnnLm
from textkit_plugins.rnn_lm.options import NnlmConfig, RnnLmConfig

TOYS = str(Path(__file__).with_name("training_toys.py"))
WORDS = 9


class Halving(nn.Module):
    """s_t = a s_(t-1) + C(w_t), and the logits are the state: a gradient k steps back has a^k times the norm."""

    def __init__(self, a):
        super().__init__()
        self.a = a
        self.table = nn.Embedding(3, 3)

    def begin(self, lines):
        return (torch.zeros(lines, 3),)

    def hidden(self, token, state):
        found, (mind,) = [], state
        for rows in self.table(token).unbind(1):
            mind = self.a * mind + rows
            found.append(mind)
        return torch.stack(found, 1), (mind,)

    def project(self, hidden):
        return hidden


@pytest.mark.parametrize("a", [0.5, 1.0, 3.0])
def test_a_gradient_vanishes_or_explodes_as_its_jacobian_says(a):
    network = Halving(a)
    nn.init.zeros_(network.table.weight)  # p = 1/3 each: the gradient at lag 0 is (1/3, 1/3, -2/3), its norm sqrt(6)/3
    norm, of_parts = backwards(network, np.array([[0, 1, 2, 0, 1, 2], [1, 1, 1, 1, 1, 1]]))
    assert norm == pytest.approx([math.sqrt(6) / 3 * a**lag for lag in range(5)])
    assert np.isnan(of_parts[0]).all()
    assert of_parts[1:, 0] == pytest.approx(norm[1:])


@pytest.mark.parametrize("a", [1e-3, 1e3])
def test_norms_beyond_what_32_bits_hold(a):
    network = Halving(a)
    nn.init.zeros_(network.table.weight)
    norm, _ = backwards(network, np.zeros((1, 62), np.int64))
    assert norm[60] == pytest.approx(math.sqrt(6) / 3 * a**60, rel=1e-4)
    norm, _ = backwards(Halving(0.0), np.zeros((1, 6), np.int64))
    assert norm[1:].tolist() == [0.0] * 4


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("softmax", ["full", "adaptive"])
def test_gradients_are_those_of_one_backward_pass_line_by_line(cell, softmax):
    torch.manual_seed(3)
    options = {"cell": cell, "dim": 5, "hidden": 6, "streams": 2}
    if softmax == "adaptive":
        options |= {"tie": False, "softmax": "adaptive", "cutoffs": (3, 6)}
    network = RnnLm(RnnLmConfig(**options), WORDS).eval()
    ids = np.random.default_rng(0).integers(0, WORDS, (4, 7))  # lags 0 to 5
    expected = []
    for line in torch.from_numpy(ids):
        state, states = network.begin(1), []
        for token in line[:-1]:
            hidden, state = network.hidden(token.view(1, 1), state)
            states.append(state)
        loss = nn.functional.cross_entropy(network.project(hidden[:, 0]), line[-1:])
        flat = [part for state in states[:-1] for part in state]
        found = torch.autograd.grad(loss, [hidden, *flat])
        sizes = [[part.norm().item() for part in found[1 + at :: len(state)]][::-1] for at in range(len(state))]
        expected.append([[found[0].norm().item(), *np.sqrt(np.square(sizes).sum(0))], *sizes])
    norm, of_parts = backwards(network, ids)
    mean = [np.mean([line[at] for line in expected], 0) for at in range(len(expected[0]))]
    assert norm == pytest.approx(mean[0], rel=1e-4)
    for at, of_part in enumerate(mean[1:]):
        assert of_parts[1:, at] == pytest.approx(of_part, rel=1e-4)


class Run:
    """A stand-in for a run, with a network in memory."""

    def __init__(self, folder, plugin, config=None, records=()):
        self.folder, self.plugin, self.name, self.config = folder, plugin, plugin.name, config
        (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))

    def network(self):
        vocabulary = type("Rule", (), {"eos": 0, "__len__": lambda self: WORDS})()
        return self.plugin.network(self.config, vocabulary).eval()


def test_a_run_without_a_recurrent_state_is_refused(tmp_path):
    with pytest.raises(TextkitError, match="of recurrent language models; nnlm has no recurrent state"):
        gradients(Run(tmp_path, registry.get("nnlm"), NnlmConfig()), 5, 5)
    with pytest.raises(TextkitError, match="of recurrent language models; toy is no language model"):
        gradients(Run(tmp_path, Toy()), 5, 5)


RECORDS = [
    {"event": "progress", "step": 4, "epoch": 0, "loss": 3.5},
    {"event": "epoch", "epoch": 1, "step": 4, "loss": 3.0, "norms": {"a": 3.0, "b": 4.0}},
    {"event": "score", "epoch": 1, "step": 4, "perplexity": 20.0, "loss": 2.9, "best": True},
    {"event": "epoch", "epoch": 2, "step": 8, "loss": 2.0, "norms": {"a": 5.0, "b": 12.0}},
    {"event": "score", "epoch": 2, "step": 8, "perplexity": 25.0, "loss": 3.1, "best": False},
    {"event": "done", "step": 8, "reason": "epochs"},
]


def test_norms_by_hand(tmp_path):
    run = Run(tmp_path, Toy(), records=RECORDS)
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"event": "epo')  # torn off
    assert list(weight_lines({"a run": norms(run)})) == [
        "epoch\tupdate\tloss\tdev perplexity\tdev loss\tall\ta\tb",
        "1\t4\t3\t20\t2.9\t5\t3\t4",
        "2\t8\t2\t25\t3.1\t13\t5\t12",
    ]
    assert norms(run).best == 0


def test_dev_scores_inside_an_epoch_have_norms_too(tmp_path):
    records = [
        {"event": "progress", "step": 2, "epoch": 0, "loss": 3.5},
        {"event": "score", "epoch": 0, "step": 2, "bleu": 1.5, "best": True, "norms": {"a": 3.0}},
        {"event": "score", "epoch": 0, "step": 4, "bleu": 2.5, "best": True, "norms": {"a": 4.0}},
        {"event": "epoch", "epoch": 1, "step": 4, "loss": 3.0},
    ]
    found = norms(Run(tmp_path, Toy(), records=records))
    assert list(weight_lines({"a run": found})) == [
        "epoch\tupdate\tloss\tdev bleu\tall\ta",
        "0\t2\t3.5\t1.5\t3\t3",
        "1\t4\t3\t2.5\t4\t4",
    ]
    assert found.best == 1


def test_what_tells_no_norms_is_refused(tmp_path):
    with pytest.raises(TextkitError, match="tells no norms of weights: no epoch was done, or it was trained by"):
        norms(Run(tmp_path, Toy(), records=RECORDS[-1:]))
    with pytest.raises(TextkitError, match="toy-fit is not trained in epochs"):
        norms(Run(tmp_path, ToyFit()))
    (tmp_path / "metrics.jsonl").unlink()
    with pytest.raises(TextkitError, match="tells no norms of weights"):
        norms(Run(tmp_path, ToyOwn()))


def test_tied_weights_count_once():
    layer, table = nn.Linear(2, 2, bias=False), nn.Embedding(2, 2)
    layer.weight = table.weight
    with torch.no_grad():
        table.weight.copy_(torch.tensor([[1.0, 2.0], [2.0, 4.0]]))
    assert weight_norms(nn.ModuleDict({"table": table, "layer": layer})) == {"table.weight": 5.0}
    assert weight_norms(nn.Module()) == {}


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A recurrent language model, and a toy that scores inside epochs, trained from the command line."""
    folder = tmp_path_factory.mktemp("runs")
    draw = random.Random(1)
    lines = [" ".join(draw.choice("abcdefgh") for _ in range(5)) for _ in range(100)]
    (folder / "text.txt").write_text("\n".join(lines) + "\n")
    (folder / "dev.txt").write_text("\n".join(lines[:30]) + "\n")
    patch = pytest.MonkeyPatch()
    patch.setattr(registry, "_files", [])
    patch.setattr(registry, "_entries", None)
    patch.setattr(registry, "_instances", {})
    small = ["--set", "epochs=2", "-q", "--threads", "1", "--device", "cpu", "--plugin", TOYS]
    text = [str(folder / "text.txt")]
    sizes = [f"--set={key}" for key in ("hidden=6", "dim=5", "bptt=10", "streams=3", "min_count=1")]
    for cell in ("rnn", "lstm"):
        words = ["train", "rnn-lm", *text, "--dev", str(folder / "dev.txt"), "-o", str(folder / cell)]
        assert run_command([*words, f"--set=cell={cell}", *sizes, *small], Messages()) == 0
    assert (
        run_command(["train", "toy", *text, "-o", str(folder / "toy"), "--set=eval_steps=7", *small], Messages()) == 0
    )
    assert run_command(["train", "toy-own", *text, "-o", str(folder / "own"), *small], Messages()) == 0
    yield folder
    patch.undo()


@pytest.fixture
def textkit(runs, capfd, monkeypatch):
    """textkit(word...) -> exit code, stdout, stderr; runs in this process, in the folder of the runs."""
    monkeypatch.chdir(runs)

    def textkit(*words):
        capfd.readouterr()
        code = run_command(list(map(str, words)), Messages())
        return code, *capfd.readouterr()

    return textkit


def table(out):
    return [line.split("\t") for line in out.splitlines()]


def test_gradients_of_runs(textkit):
    code, out, said = textkit("inspect", "lstm", "gradients", "--lags", 4, "--chunks", 6)
    assert (code, said) == (0, "")
    head, *rows = table(out)
    assert head == ["lag", "norm", "hidden0", "cell0", "hidden1", "cell1"]
    assert [row[0] for row in rows] == ["0", "1", "2", "3", "4"]
    assert rows[0][2:] == [""] * 4
    whole, *some = map(float, rows[3][1:])
    assert 0 < max(some) < whole < sum(some)
    one = [row[1] for row in rows]
    head, *rows = table(textkit("inspect", "rnn", "lstm", "gradients", "--lags", 4, "--chunks", 6)[1])
    assert head == ["lag", "rnn", "lstm"]
    assert [row[2] for row in rows] == one


def test_weights_of_runs(textkit, runs):
    from textkit.training.run import Run

    code, out, _ = textkit("inspect", "lstm", "weights")
    assert code == 0
    head, *rows = table(out)
    assert head[:6] == ["epoch", "update", "loss", "dev perplexity", "dev loss", "all"]
    assert [row[0] for row in rows] == ["1", "2"]
    run = Run.open(runs / "lstm")
    assert head[6:] == [name for name, _ in run.network().named_parameters()]
    dev = [float(row[3]) for row in rows]
    best = rows[dev.index(min(dev))]
    assert list(map(float, best[6:])) == pytest.approx(list(weight_norms(run.network()).values()), rel=1e-5)
    _, out, _ = textkit("inspect", "toy", "own", "weights", "--plugin", TOYS)
    first, second = out.split("\n\n")
    toy, own = table(first), table(second)
    assert (toy[0], own[0]) == (["# toy"], ["# own"])
    assert toy[1][:5] == ["epoch", "update", "loss", "dev loss", "all"]
    assert [int(row[1]) % 7 for row in toy[2:4]] == [0, 0]
    assert own[1] == ["epoch", "update", "loss", "all", "table.weight", "out.bias"]
    assert len(own) == 4


@pytest.mark.parametrize("what", ["gradients", "weights"])
@pytest.mark.slow
def test_a_picture_beside_the_table(textkit, runs, what):
    alone = textkit("inspect", "rnn", "lstm", what)[1]
    code, out, said = textkit("inspect", "rnn", "lstm", what, "-o", f"{what}.png")
    assert (code, out, said) == (0, alone, "")
    first = (runs / f"{what}.png").read_bytes()
    assert first.startswith(b"\x89PNG")
    textkit("inspect", "rnn", "lstm", what, "-o", f"{what}.png")
    assert (runs / f"{what}.png").read_bytes() == first


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        (["own", "gradients", "--plugin", TOYS], "own: gradients over time are shown of recurrent language models", 1),
        (["rnn", "gradients", "--lags", "500"], "rnn: its text has 180 tokens; --lags 500 needs 502", 1),
        (["nowhere", "weights"], "nowhere: no such training run", 1),
        (["rnn", "rnn", "weights"], "rnn: is given twice", 2),
        (["rnn", "weights", "--lags", "3"], "--lags: is for gradients", 2),
        (["rnn", "weights", "-o", "x.txt"], "-o x.txt: ends with none of .png, .svg, .pdf", 2),
        (["rnn", "losses"], "'losses' is not one of 'gradients', 'weights'", 2),
    ],
)
def test_refused_in_one_line(textkit, words, message, code):
    found, out, said = textkit("inspect", *words)
    assert (found, out) == (code, "")
    assert message in said
    assert said.count("\n") == 1


# --- the picture ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_the_picture_of_gradients_shows():
    curve = 0.5 ** np.arange(4)
    runs = {"$a$": Gradients(curve, {"hidden0": curve}, 7), "b": Gradients(curve * 2, {"hidden0": curve}, 7)}
    figure = chart.gradients(runs)
    left, right = figure.axes
    assert (left.get_title(), right.get_title()) == ("$a$", "b")
    assert left.get_yscale() == "log"
    assert {line.get_label(): line.get_ydata().tolist() for line in right.lines} == {
        "the other runs": curve.tolist(),
        "whole state": (curve * 2).tolist(),
    }
    assert "mean of 7 chunks" in figure._supxlabel.get_text()
    assert list(gradient_lines({"b": runs["b"]}))[1] == "0\t2\t1"
    many = {str(at): Gradients(curve, {"h": curve, "c": curve}, 7) for at in range(5)}
    assert sum(axes.get_visible() for axes in chart.gradients(many).axes) == 5
    picture.save(io.BytesIO(), "x.svg", "", lambda: chart.gradients(many))


def test_many_parameters_are_drawn_in_groups():
    names = [f"encoder.{layer}.{part}" for layer in range(3) for part in "abcd"]
    found = chart.grouped(names, np.full((2, 12), 2.0))
    assert {name: norm.tolist() for name, norm in found.items()} == {f"encoder.{at}": [4.0, 4.0] for at in range(3)}
    assert list(chart.grouped(["x", "y"], np.ones((1, 2)))) == ["x", "y"]
    wide = chart.grouped([str(at) for at in range(10)], np.arange(10.0)[None])
    assert len(wide) == 8
    assert wide["others"] == pytest.approx([math.sqrt(0 + 1 + 4)])


def test_a_run_without_a_score_and_of_one_epoch_is_drawn():
    nothing = np.array([np.nan])
    found = Norms(np.array([1]), np.array([9]), np.array([2.0]), "", nothing, nothing, None, ("w",), np.ones((1, 1)))
    above, below = chart.weights({"a": found}).axes
    assert [line.get_label() for line in above.lines] == ["all weights"]
    assert below.get_xlabel() == "epochs done"
    assert list(weight_lines({"a": found})) == ["epoch\tupdate\tloss\tall\tw", "1\t9\t2\t1\t1"]
    assert list(weight_lines({"a\tb": found, "a\nb": found}))[::4] == ["# a\tb", "# a\\nb"]
    both = {name: Gradients(np.array([1.0]), {}, 1) for name in ("a\tb", "a b")}
    assert next(gradient_lines(both)) == "lag\ta\\tb\ta b"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("embedding.weight", "embedding"),
        ("project_bias", "output bias"),
        ("layers.0.layer.weight_ih_l0", "layer 1 input matrix"),
        ("layers.1.layer.bias_hh_l0", "layer 2 recurrent bias"),
        ("layers.0.layer", "layer 1"),
        ("encoder_layers.1", "encoder layer 2"),
        ("encoder_layers.0.layer.weight_hh_l0_reverse", "encoder layer 1 backwards recurrent matrix"),
        ("decoder.layers.3.attention.qkv.weight", "decoder layer 4 attention queries, keys, values matrix"),
        ("layers.0.feedforward_norm.weight", "layer 1 feedforward norm scale"),
        ("attention.key.weight", "attention key matrix"),
        ("context", "context vectors"),
        ("others", "others"),
        ("0", "1"),
        ("table_l1", "table"),
    ],
)
def test_weights_are_drawn_under_names_that_people_know(path, name):
    assert chart.name_of(path) == name
    assert list(chart.spoken({path: np.ones(1)})) == [name]


def test_two_parameters_of_one_name_keep_their_paths():
    assert list(chart.spoken({"a.b": np.ones(1), "a_b": np.ones(1), "c": np.ones(1)})) == ["a.b", "a_b", "c"]


@pytest.mark.parametrize("rows", [1, 3, 40])
def test_curves_are_told_apart_without_colours(rows):
    """Each curve has its own line style and marker, and shows a marker however few points it has."""
    some = np.arange(rows, dtype=float)
    names = tuple(f"layers.{at}.attention.output.weight" for at in range(8))
    found = Norms(some.astype(int), some.astype(int), some, "bleu", some, some, 0, names, np.ones((rows, 8)))
    above, below, right = chart.weights({"a": found}).axes
    assert [line.get_label() for line in above.lines[:8]] == [
        f"layer {at} attention output matrix" for at in range(1, 9)
    ]
    looks = {(line.get_linestyle(), line.get_marker()) for line in above.lines}
    assert len(looks) == len(above.lines) == 10  # eight layers, all weights, and the place of the best score
    assert {line.get_marker() for line in (*below.lines, *right.lines)} >= {"o", "s", "^"}
    for line in above.lines[:8]:
        start, every = line.get_markevery()
        assert start < rows
        assert -(-rows // every) <= 12
