"""Translators that begin with others: with a run or an exported model, for the same languages or in the other direction."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from textkit.errors import TextkitError, UsageError
from textkit.exporting.export import export
from textkit.training.checkpoint import load_tensors
from textkit.training.initial import source_of
from textkit.training.recipe import Recipe, begin, plan
from textkit.training.run import Run
from textkit.training.trainer import train

WORDS = {"the": "der", "dog": "Hund", "man": "Mann", "sees": "sieht", "and": "und", "runs": "rennt", "old": "alte"}
SIZES = {
    "transformer": ["dim=16", "heads=2", "feedforward=32", "encoder_layers=1", "decoder_layers=1", "dropout=0"],
    "seq2seq": ["dim=16", "hidden=16", "layers=1", "dropout=0"],
}
TEXT = ["vocab_size=300", "score=loss", "source_language=en", "target_language=de"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("translators")
    english = [f"the {a} {b} and the {c} runs" for a in ("old", "dog") for b in ("man", "sees") for c in ("dog", "man")]
    pairs = [f"{line}\t{' '.join(WORDS[word] for word in line.split())}\n" for line in english]
    (made / "pairs.tsv").write_text("".join(pairs * 8))
    (made / "swapped.tsv").write_text("".join("\t".join(pair.strip().split("\t")[::-1]) + "\n" for pair in pairs * 8))
    return made


def recipe(folder: Path, plugin: str, data: str, *assignments: str, init: object = None) -> Recipe:
    return Recipe(
        plugin, [folder / data], [folder / data], None, assignments, 1, (), None if init is None else str(init)
    )


def trained(folder: Path, name: str, *given: str, init: object = None) -> Run:
    run = begin(folder / name, recipe(folder, *given, init=init))
    list(train(run, run.corpus, threads=1))
    return run


@pytest.fixture(scope="module", params=sorted(SIZES))
def first(request, folder) -> Run:
    return trained(folder, request.param, request.param, "pairs.tsv", *SIZES[request.param], *TEXT, "epochs=2")


def initial(run: Run) -> dict[str, torch.Tensor]:
    return load_tensors(run.initial)[0]


def test_a_run_begins_with_a_run_in_the_other_direction(folder, first):
    languages = ("source_language=de", "target_language=en")
    run = trained(
        folder, f"{first.name} turned", first.name, "swapped.tsv", "epochs=1", "score=loss", *languages,
        init=first.folder,
    )  # fmt: skip
    assert run.config.dim == 16
    assert (run.vocabulary.source_language, run.vocabulary.target_language) == ("de", "en")
    assert (first.vocabulary.source_language, first.vocabulary.target_language) == ("en", "de")
    assert run.vocabulary.files() == first.vocabulary.files()
    state, begun = first.network().state_dict(), initial(run)
    assert set(begun) == set(state)
    assert all(torch.equal(begun[name], state[name]) for name in begun)
    assert run.facts["begun"]["new_parameters"] == 0


@pytest.mark.parametrize("precision", ["fp32", pytest.param("int8", marks=pytest.mark.slow)])
def test_a_run_begins_with_an_exported_model(folder, first, precision):
    model = export(first, folder / f"{first.name}-{precision}", precision)
    if first.name == "seq2seq":
        with pytest.raises(TextkitError, match="begin with the run that it was exported from"):
            trained(folder, f"of {precision}", first.name, "pairs.tsv", init=model)
        return
    run = trained(folder, f"{first.name} of {precision}", first.name, "pairs.tsv", "epochs=1", "score=loss", init=model)
    state = first.network().state_dict()
    for name, value in initial(run).items():
        largest = float(state[name].abs().max())
        assert torch.allclose(value, state[name], rtol=0, atol=0 if precision == "fp32" else largest / 50), name
    assert run.config.source_language == "en"


def test_it_learns_at_a_low_rate(folder, first):
    asked = recipe(folder, first.name, "pairs.tsv", init=first.folder)
    fine = plan(folder / "new", asked).training
    assert (fine.learning_rate, fine.warmup, fine.epochs) == (3e-4, 100, 5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["vocab_size=200"], "its vocabulary has vocab_size=300, not 200"),
        (["lowercase=true"], "its vocabulary has lowercase=false, not true"),
        (["dim=32"], "with these options it would be"),
        (["layers=2"], "has no"),
    ],
)
def test_what_does_not_fit_is_said(folder, first, options, said):
    if options == ["layers=2"] and first.name == "transformer":
        options = ["output_bias=true"]
    with pytest.raises(TextkitError, match=said):
        trained(folder, f"{first.name} {options[0]}", first.name, "pairs.tsv", *options, init=first.folder)


@pytest.mark.parametrize("more", ["encoder_layers=3", "decoder_layers=2"])
def test_more_layers_first_change_nothing_and_then_learn(folder, first, more):
    if first.name != "transformer":
        pytest.skip("other families have no such layers")
    run = trained(
        folder, f"grown {more}", "transformer", "pairs.tsv", more, "epochs=1", "score=loss", init=first.folder
    )  # fmt: skip
    small = first.network().eval()
    grown = run.plugin.network(run.config, run.vocabulary).eval()
    run.plugin.begin(grown, run.config, run.vocabulary, source_of(str(first.folder)))
    ids = torch.tensor([[5, 9, 7, 3], [8, 4, 3, 0]])
    with torch.no_grad():
        told = [network.hidden(ids, ids != 0, ids) for network in (small, grown)]
    assert torch.equal(*told)
    new = {name for name in grown.state_dict() if name not in small.state_dict()}
    assert {name.split(".")[0] for name in new} == {more.split("=")[0]}
    assert new.isdisjoint(initial(run))
    learnt = run.network().state_dict()
    last = [name for name in new if name.endswith(("output.weight", "outer.weight"))]
    assert last
    assert all(learnt[name].abs().max() > 0 for name in last)
    assert run.facts["begun"]["new_parameters"] == sum(learnt[name].numel() for name in new)


def test_a_recurrent_decoder_does_not_grow(folder):
    options = [*SIZES["transformer"], *TEXT, "decoder_autoreg=ssru", "epochs=1"]
    run = trained(folder, "ssru", "transformer", "pairs.tsv", *options)
    with pytest.raises(TextkitError, match=r"has no decoder_layers.1"):
        trained(folder, "ssru grown", "transformer", "pairs.tsv", "decoder_layers=2", init=run.folder)


def test_a_recurrent_decoder_takes_the_place_of_self_attention(folder, first):
    """The unit begins at random, and all else with the model's weights; a layer that the model lacks is an error."""
    if first.name != "transformer":
        pytest.skip("other families have no such layers")
    options = ["decoder_autoreg=ssru", "encoder_layers=2"]
    run = trained(folder, "ssru in place", "transformer", "pairs.tsv", *options, "epochs=1", init=first.folder)
    fresh = run.plugin.network(run.config, run.vocabulary).state_dict()
    network = run.plugin.network(run.config, run.vocabulary)
    begun = set(run.plugin.begin(network, run.config, run.vocabulary, source_of(str(first.folder))))
    unit = {f"decoder_layers.0.attention.{name}" for name in ("fused.weight", "forget_bias")}
    assert fresh.keys() - begun == unit | {name for name in fresh if name.startswith("encoder_layers.1.")}
    known = first.network().state_dict()
    assert all(torch.equal(network.state_dict()[name], known[name]) for name in begun)
    assert network.decoder_layers[0].attention.fused.weight.abs().max() > 0
    with pytest.raises(TextkitError, match=r"has no decoder_layers.1"):
        trained(folder, "ssru two", "transformer", "pairs.tsv", options[0], "decoder_layers=2", init=first.folder)


def test_other_models_are_no_translators(folder, first, tmp_path):
    (tmp_path / "words.vec").write_text("the 1 2\ndog 3 4\n")
    for init in (tmp_path / "words.vec", "en-words", "languages"):
        with pytest.raises(UsageError, match=r"is no model that translates|cannot begin with it"):
            trained(folder, f"{first.name} of {Path(init).stem}", first.name, "pairs.tsv", init=init)
