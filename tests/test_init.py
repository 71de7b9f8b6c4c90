"""A training that begins with a run, an exported model, or word vectors; blocks that stay frozen; a few examples."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from textkit import config
from textkit.bundle import bundle
from textkit.bundle.weights import weights_of
from textkit.errors import TextkitError, TextkitWarning, UsageError
from textkit.exporting.export import export
from textkit.plugin import Training
from textkit.registry import registry
from textkit.tasks.classify.task import QUANTILES
from textkit.training.events import Scored
from textkit.training.initial import options_of, source_of
from textkit.training.recipe import Recipe, begin, plan
from textkit.training.run import Run
from textkit.training.trainer import train
from textkit_plugins.encoder.classifying import ClassifierPlugin
from textkit_plugins.encoder.few import FewShotPlugin
from textkit_plugins.encoder.solving import Solved

LINES = [
    "warm\tthe sun is hot",
    "warm\ta hot noon",
    "wet\tthe rain is grey",
    "wet\tgrey rain",
    "cold\tthe snow is white",
    "cold\twhite snow",
]
CNN = [
    "text=word",
    "encoder=cnn",
    "dim=40",
    "filters=40",
    "widths=2,3",
    "units=40",
    "min_count=1",
    "epochs=1",
    "vocab_size=300",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("init")
    (made / "lines.tsv").write_text("".join(f"{line}\n" for line in LINES * 20))
    (made / "other.tsv").write_text(
        "".join(f"{'yes' if 'hot' in line else 'no'}\t{line.partition(chr(9))[2]}\n" for line in LINES * 20)
    )
    return made


def begun(
    folder: Path,
    name: str,
    data: str,
    *assignments: str,
    init: object = None,
    plugin: str = "classifier",
    dev: str | None = None,
) -> Run:
    judged = [] if dev is None else [folder / dev]
    recipe = Recipe(plugin, [folder / data], judged, None, assignments, 1, (), None if init is None else str(init))
    return begin(folder / name, recipe)


def trained(folder: Path, *given, **more) -> Run:
    run = begun(folder, *given, **more)
    list(train(run, run.corpus, threads=1))
    return run


def planned(folder: Path, *assignments: str, init: object, plugin: str = "classifier") -> Training:
    return plan(
        folder / "new", Recipe(plugin, [folder / "lines.tsv"], [], None, assignments, 1, (), str(init))
    ).training


def test_a_transformer_that_knows_something_learns_at_a_low_rate(folder, first):
    fine = planned(folder, init="en-sentences")
    assert (fine.learning_rate, fine.warmup, fine.epochs) == (3e-4, 100, 10)
    assert fine.schedule == ClassifierPlugin.training.schedule
    assert planned(folder, "learning_rate=1e-3", init="en-sentences").learning_rate == 1e-3
    assert planned(folder, init=first.folder) == ClassifierPlugin.training  # a CNN
    assert planned(folder, init="en-sentences", plugin="few-shot").learning_rate == FewShotPlugin.training.learning_rate


@pytest.fixture(scope="module")
def first(folder) -> Run:
    return trained(folder, "first", "lines.tsv", *CNN)


@pytest.fixture(scope="module", params=[pytest.param("fp32", marks=pytest.mark.slow), "int8"])
def model(request, folder, first) -> Path:
    return export(first, folder / request.param, request.param)


def initial(run: Run) -> dict[str, torch.Tensor]:
    from textkit.training.checkpoint import load_tensors

    return load_tensors(run.initial)[0]


def test_all_weights_of_a_graph_have_their_names_back(first, model):
    found = weights_of(bundle.read(model).graph("classify"))
    precise = bundle.read(model).manifest.precision == "fp32"
    state = first.network().state_dict()
    served = {
        name.removeprefix("encoder."): value for name, value in state.items() if name.startswith("encoder.tokens")
    }
    served |= {f"network.{name}": value for name, value in state.items() if name.startswith("heads.0.steps")}
    assert served
    for name, value in served.items():
        largest = float(value.abs().max())
        assert np.abs(found[name] - value.numpy()).max() <= (0 if precise else largest / 100), name


def test_a_run_begins_with_the_encoder_of_a_run(folder, first):
    run = trained(folder, "of run", "other.tsv", "epochs=1", init=first.folder)
    assert run.config.encoder == "cnn"  # as in the run
    assert run.config.dim == 40
    assert run.vocabulary.learnt["labels"] == ["no", "yes"]
    assert run.vocabulary.files() == first.vocabulary.files()
    begun = initial(run)
    state = first.network().state_dict()
    assert set(begun) == {name for name in state if name.startswith("encoder.")}  # the head is new
    assert all(torch.equal(begun[name], state[name]) for name in begun)
    assert run.facts["begun"]["tensors"] == len(begun)


def test_a_run_begins_with_an_exported_model(folder, first, model):
    run = trained(folder, f"of {model.name}", "other.tsv", "epochs=1", init=model)
    assert run.config.filters == 40
    state = first.network().state_dict()
    for name, value in initial(run).items():
        assert torch.allclose(value, state[name], atol=0.02 * float(state[name].abs().max())), name
    assert json.loads((run.folder / "run.json").read_text())["init"] == str(model)


@pytest.mark.parametrize(("frozen", "same"), [(1, ["embedding"]), (-1, ["embedding", "layers"]), (0, [])])
def test_blocks_stay_as_they_began(folder, first, frozen, same):
    run = trained(folder, f"frozen {frozen}", "other.tsv", "epochs=2", f"frozen={frozen}", init=first.folder)
    before, after = initial(run), run.network().state_dict()
    for name in before:
        stays = any(part in name for part in same)
        assert torch.equal(before[name], after[name]) == stays, name


def test_blocks_thaw_from_above():
    options = config.resolve(registry.get("classifier"), None, ["frozen=-1", "thaw=2", "text=word", "encoder=cnn"])[0]
    assert [options.still_frozen(3, epoch) for epoch in range(8)] == [3, 3, 2, 2, 1, 1, 0, 0]
    options = config.resolve(registry.get("classifier"), None, ["frozen=2"])[0]
    assert [options.still_frozen(3, epoch) for epoch in (0, 9)] == [2, 2]
    assert options.still_frozen(1, 0) == 1


@pytest.mark.parametrize("text", ["word", "hashed"])
def test_a_run_begins_with_word_vectors(folder, text):
    (folder / "words.vec").write_text("3 2\nhot 1 2\nrain 3 4\nnowhere 5 6\n")
    run = trained(
        folder, f"of words {text}", "lines.tsv", f"text={text}", "encoder=bag", "dim=2", "min_count=1", "epochs=1",
        init=folder / "words.vec",
    )  # fmt: skip
    table = initial(run)["encoder.tokens.embedding.weight"]
    rule = run.vocabulary
    for word, vector in (("hot", [1, 2]), ("rain", [3, 4])):
        row = rule.encode([word]).ids[0]  # the word itself comes first
        assert table[row].tolist() == vector
    assert [5, 6] not in table.tolist()


def test_what_nothing_can_begin_with_is_refused(folder, first, monkeypatch):
    monkeypatch.setenv("TEXTKIT_MODEL_EMBED", "nowhere")
    with pytest.raises(
        Exception,
        match=r"its encoder.tokens.embedding.weight is \[\d+, 40\], with these options it would be \[\d+, 41\]",
    ):
        trained(folder, "wide", "other.tsv", "dim=41", init=first.folder)
    with pytest.raises(UsageError, match="rnn-lm cannot begin with another model"):
        trained(folder, "strange", "other.tsv", init=first.folder, plugin="rnn-lm")
    with pytest.raises(UsageError, match="TEXTKIT_MODEL_EMBED=nowhere: unknown model"):
        trained(folder, "few", "other.tsv", plugin="few-shot")
    assert not (folder / "few").exists()  # said before anything is read
    with pytest.raises(TextkitError, match="^--init .*nothing: no such model folder"):
        source_of(str(folder / "nothing"))
    with pytest.raises(UsageError, match="^TEACHER nothing: unknown model"):
        source_of("nothing", "TEACHER")


def test_a_few_examples_are_enough_over_an_encoder_that_knows(folder):
    whole = trained(folder, "knows", "lines.tsv", *CNN[:-2], "epochs=15", "vocab_size=300")
    (folder / "few.tsv").write_text("".join(f"{line}\n" for line in LINES * 2))
    run = trained(folder, "from few", "few.tsv", init=whole.folder, plugin="few-shot")
    assert run.facts["cross_validation"]["accuracy"] == 1
    before, after = whole.network().state_dict(), run.network().state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("encoder."))
    graph = run.plugin.graphs(run.network(), run.vocabulary, run.config)["classify"]
    ids = run.vocabulary.encode(["a hot sun"]).ids[None]
    logits, _ = graph.module.eval()(torch.from_numpy(ids), torch.ones(ids.shape))
    head = graph.facts["heads"][0]
    assert head["labels"][int(logits.argmax())] == "warm"
    assert head["calibration_error"]["after"] < 0.1
    assert len(head["typical"]) == QUANTILES
    with pytest.raises(
        UsageError, match="lacks 4 of the encoder's weights, such as encoder.*, and few-shot learns none"
    ):
        trained(folder, "few anew", "few.tsv", "pooling=attention", init=whole.folder, plugin="few-shot")


def test_the_default_encoder_lacks_nothing():
    source, plugin = source_of("en-sentences"), registry.get("few-shot")
    source.rule.learnt = {"labels": ["a", "b"], "counts": [1, 1]}
    options = options_of(plugin, source)
    network = plugin.network(options, source.rule)
    taken = plugin.begin(network, options, source.rule, source)  # which would raise
    assert "encoder.tokens.embedding.weight" in taken
    assert not network.state_dict()["encoder.tokens.layers.0.value.bias"].any()


def test_weights_that_the_source_lacks_are_told(folder, small):
    with pytest.warns(TextkitWarning) as told:
        run = trained(
            folder, "attending", "other.tsv", "pooling=attention", "epochs=1", init=small.folder, dev="other.tsv"
        )
    left = [name for name in run.network().state_dict() if name.startswith("encoder.pooling.")]
    said = f"lacks {len(left)} of the encoder's weights, such as {left[0]}; what it lacks begins with random numbers"
    assert [str(one.message) for one in told] == [f"--init {small.folder}: {said}"]
    assert len(left) == 4


def test_a_run_of_before_that_knows_no_familiarity(small):
    network = small.network()
    state = {name: part for name, part in network.state_dict().items() if not name.endswith("typical")}
    assert network.state_dict().keys() - state.keys() == {"heads.0.typical"}
    before = network.heads[0].typical.clone()
    network.load_state_dict(state)  # raises if anything is missing
    assert torch.equal(network.heads[0].typical.nan_to_num(), before.nan_to_num())


SMALL = ["text=word", "min_count=1", "vocab_size=300", "encoder=transformer", "dim=16", "heads=2", "feedforward=32"]


@pytest.fixture(scope="module")
def small(folder) -> Run:
    return trained(folder, "small", "lines.tsv", *SMALL, "epochs=2")


def scored(folder: Path, *given, **more) -> tuple[Run, list[Scored]]:
    """A run, and the dev scores that its training took."""
    run = begun(folder, *given, **more)
    events = train(run, run.corpus, run.dev_corpus, threads=1)
    return run, [event for event in events if isinstance(event, Scored)]


def test_a_transformer_begins_with_the_head_that_few_shot_finds(folder, small):
    given = ("other.tsv", "wide=2")
    run, taken = scored(folder, "probed", *given, "epochs=1", init=small.folder, dev="other.tsv")
    few = trained(folder, "few", *given, "normalization=none", init=small.folder, plugin="few-shot")
    kept, found = initial(run), few.network().state_dict()
    assert {name.split(".")[0] for name in kept} == {"encoder", "heads", "wide"}
    assert run.facts["begun"]["prepared"] == sum(not name.startswith("encoder.") for name in kept)
    assert (taken[0].epoch, taken[0].step, taken[0].score.value) == (0, 0, 1)
    for name in ("heads.0.steps.1.weight", "heads.0.steps.1.bias", "wide.table.weight"):
        assert torch.allclose(kept[name], found[name], atol=1e-3 * float(found[name].abs().max())), name


def test_what_a_training_begins_with_may_remain_the_best(folder, small):
    given = ("epochs=2", "warmup=0", "learning_rate=30")
    run, taken = scored(folder, "worse", "other.tsv", *given, init=small.folder, dev="other.tsv")
    assert [event.best for event in taken] == [True, False, False]
    assert run.facts["best_step"] == 0
    best, kept = run.network().state_dict(), initial(run)
    assert all(torch.equal(best[name], kept[name]) for name in kept if name.endswith(("weight", "bias")))


def test_a_head_on_layers_that_know_nothing_is_not_solved(folder, small):
    for given in ("probe=0", "probe=119", "units=8", "normalization=batch"):
        run, taken = scored(folder, given, "other.tsv", "epochs=1", given, init=small.folder, dev="other.tsv")
        assert not any(name.startswith("heads.") for name in initial(run))
        assert taken[0].step > 0
    with pytest.raises(UsageError, match="probe: has no effect on classifier with units=8"):
        planned(folder, "probe=500", "units=8", init=small.folder)


def test_each_head_of_several_is_solved(folder, small):
    for name in ("lines", "other"):
        (folder / f"head {name}.tsv").write_text((folder / f"{name}.tsv").read_text())
    data = [folder / "head lines.tsv", folder / "head other.tsv"]
    recipe = Recipe("multitask", data, [], None, ["epochs=1", "units=0", "wide=1"], 1, (), str(small.folder))
    run = begin(folder / "both", recipe)
    taken = [event for event in train(run, run.corpus, threads=1) if isinstance(event, Scored)]
    assert taken[0].step == 0
    assert taken[0].score.detail == {"head lines accuracy": 1, "head other accuracy": 1}


def test_logistic_regression_is_where_its_slope_is_zero():
    random = np.random.default_rng(1)
    vectors, wanted, count = random.normal(size=(40, 3)), random.integers(0, 3, 40), random.random(40)
    solved = Solved(vectors, wanted, count, False, 3)
    found = solved.solve(0.01)
    logits = vectors @ found[:, :-1].T + found[:, -1]
    given = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    slope = ((given - np.eye(3)[wanted]) * (count / count.sum())[:, None]).T @ vectors + 0.01 * found[:, :-1]
    assert np.abs(slope).max() < 1e-3
    several = Solved(vectors, (random.random((40, 2)) < 0.5).astype(np.float32), count, True, 2)
    strength, _, logits = several.chosen((1.0, 1e-3), 1)
    assert strength in (1.0, 1e-3)
    assert logits.shape == (40, 2)


def test_a_solution_does_not_wait_for_the_import_of_a_compiler():
    code = (
        "import sys, numpy as np; from textkit_plugins.encoder.solving import Solved;"
        "found = Solved(np.eye(4), np.arange(4) % 2, np.ones(4), False, 2).solve(0.1);"
        "print(found.shape, 'torch' in sys.modules, 'torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.split("\n")[0] == "(2, 5) True False"
