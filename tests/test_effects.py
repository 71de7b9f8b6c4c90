"""Options that would have no effect are refused by name if somebody sets them; old names lead to today's names."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from textkit import config
from textkit.errors import TextkitWarning, UsageError
from textkit.plugin import Training
from textkit.registry import registry
from textkit.training.effects import _CONDITION, check_said, without_effect
from textkit.training.recipe import options

FAMILIES = ["word2vec", "fasttext", "ppmi-svd", "glove", "rnn-lm", "nnlm", "transformer-lm", "seq2seq", "transformer"]
RECIPES = Path(__file__).parents[1] / "recipes"


def check(family: str, *assignments: str, file: Path | None = None) -> None:
    plugin = registry.get(family)
    own, training = config.resolve(plugin, file, assignments)
    check_said(plugin, config.said(plugin, file, assignments), own, training)


REFUSED = [
    ("rnn-lm", "batch_size=8", "on rnn-lm, where streams and bptt decide"),
    ("nnlm", "batch_size=32", "streams and bptt decide"),  # the default, but somebody has set it
    ("transformer-lm", "batch_size=1", "streams and bptt decide"),
    ("transformer", "batch_size=64", "batch_tokens decides"),
    ("seq2seq", "batch_size=64", "batch_tokens decides"),
    ("transformer", "momentum=0.9", "with optimizer=adam; it has one with optimizer=sgd|nt-asgd"),
    ("rnn-lm", "optimizer=sgd weight_decay=0.1", "with optimizer=sgd; it has one with optimizer=adamw"),
    ("transformer", "weight_decay=0.1", "optimizer=adam;"),
    ("seq2seq", "optimizer=sgd betas=0.9,0.98", "optimizer=sgd"),
    ("seq2seq", "optimizer=sgd epsilon=1e-6", "optimizer=sgd"),
    ("rnn-lm", "nonmono=3", "optimizer=nt-asgd"),
    ("rnn-lm", "min_learning_rate=1e-5", "schedule=constant, cooldown=0"),
    ("rnn-lm", "samples=100", "with softmax=full; it has one with softmax=sampled"),
    ("rnn-lm", "frequent=100", "softmax=full"),
    ("rnn-lm", "cutoffs=10,20", "softmax=full"),
    ("rnn-lm", "softmax=sampled div_value=2", "softmax=sampled"),
    ("rnn-lm", "layers=1 hidden=300", "tie=true, layers=1"),
    ("rnn-lm", "layers=1 dropout_hidden=0.1", "layers=1"),
    ("rnn-lm", "vocab=bpe min_count=3", "vocab=bpe"),
    ("transformer-lm", "vocab=byte vocab_size=300", "vocab=byte"),
    ("seq2seq", "attention=none attention_dim=64", "with attention=none; it has one with attention=additive"),
    ("seq2seq", "attention_dim=64", "attention=general"),
    ("seq2seq", "attention=none normalize=none", "attention=none"),
    ("seq2seq", "initial_range=0.1", "initial=orthogonal"),
    ("seq2seq", "cell=gru forget_bias=1", "cell=gru"),
    ("seq2seq", "teacher_slope=0.1", "teacher=constant"),
    ("seq2seq", "teacher_least=0.5", "teacher=constant"),
    ("glove", "alpha=0 x_max=10", "with alpha=0; it has one with alpha!=0"),
    ("transformer", "rdrop_epoch=3", "rdrop=0"),
    ("transformer", "score=loss score_lines=10", "score=loss"),
    ("transformer", "score=loss bleu_tokenize=char", "score=loss"),
    ("transformer", "min_count=3", "tokenizer=bpe"),
    ("transformer", "tokenizer=word spell_bytes=true", "tokenizer=word"),
    ("word2vec", "loss=softmax window=2 negative=5", "loss=softmax"),
    ("word2vec", "loss=softmax ns_exponent=1", "loss=softmax"),
    ("word2vec", "softmax_words=8", "loss=negative"),
    ("word2vec", "loss=softmax batch_size=100", "loss=softmax"),
    ("word2vec", "momentum=0.9", "not trained by the gradient"),
    ("word2vec", "patience=2", "has no dev score"),
    ("fasttext", "kind=pieces minn=2", "kind=pieces"),
    ("fasttext", "kind=pieces bucket=100", "kind=pieces"),
    ("fasttext", "pieces=100", "kind=ngrams"),
    ("ppmi-svd", "epochs=3", "not trained batch by batch"),
    ("ppmi-svd", "learning_rate=3", "not trained batch by batch"),
    ("glove", "window=1 weighting=harmonic", "window=1"),
    ("glove", "optimizer=sgd", "not trained by the gradient"),
    ("classifier", "several=true coarse=bavarian=german", "several=false"),
]


@pytest.mark.parametrize(("family", "said", "why"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_has_no_effect_is_refused_by_name(family: str, said: str, why: str) -> None:
    *_, last = said.split()
    with pytest.raises(UsageError) as caught:
        check(family, *said.split())
    message = str(caught.value)
    assert message.startswith(f"{last.split('=')[0]}: has no effect on {family}")
    assert why in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("family", "said"),
    [
        ("rnn-lm", "batch_size=0"),  # full-batch descent
        ("transformer", "momentum=0 weight_decay=0 batch_size=0"),  # they say "none of it"
        ("rnn-lm", "optimizer=sgd momentum=0.9"),
        ("transformer", "optimizer=adamw weight_decay=0.1"),
        ("rnn-lm", "warmup=10"),  # a constant rate may have a warm-up too
        ("rnn-lm", "cooldown=10 min_learning_rate=1e-5"),
        ("rnn-lm", "softmax=sampled samples=100 frequent=10"),
        ("rnn-lm", "softmax=adaptive tie=false cutoffs=10 div_value=2"),
        ("rnn-lm", "layers=1 hidden=64 dim=64"),  # of one layer, a hidden size that equals dim
        ("rnn-lm", "layers=1 tie=false hidden=300"),
        ("seq2seq", "attention=additive attention_dim=64"),
        ("word2vec", "loss=softmax softmax_words=8"),
        ("fasttext", "kind=pieces pieces=100"),
    ],
)
def test_what_has_an_effect_is_not(family: str, said: str) -> None:
    check(family, *said.split())


@pytest.mark.parametrize("family", FAMILIES)
def test_every_condition_is_of_options_that_there_are(family: str) -> None:
    plugin = registry.get(family)
    known = {field.name for part in (plugin.Config, Training) for field in dataclasses.fields(part)}
    needs = config.declared(plugin.Config, "needs") | config.declared(Training, "needs")
    assert set(needs) <= known
    for need in needs.values():
        assert all(_CONDITION.fullmatch(part.strip())[1] in known for part in need.split(" or "))
    assert set(without_effect(plugin)) <= known
    renamed = config.declared(plugin.Config, "renamed")
    assert not set(renamed) & known
    assert set(renamed.values()) <= known


@pytest.mark.parametrize("file", sorted(RECIPES.glob("*.toml")), ids=lambda file: file.stem)
def test_recipes_hold_nothing_without_effect(file: Path) -> None:
    from test_recipes import FAMILIES as OF

    teacher = ("objective=teacher", "teacher=x", "encoder=transformer", "text=bpe")  # what `textkit distill` sets
    check(OF[file.stem], *(teacher if file.stem == "en_sentences" else ()), file=file)


def test_options_without_effect_beside_the_defaults_are_marked() -> None:
    marked = {option.name: option.needs for group in options(registry.get("rnn-lm")).values() for option in group}
    assert "batch_size" not in marked
    assert marked["samples"] == "softmax=sampled"
    assert marked["momentum"] == "optimizer=sgd|nt-asgd"
    assert marked["betas"] == marked["layers"] == ""


@pytest.mark.parametrize(
    ("family", "old", "new"),
    [
        ("rnn-lm", "embedding=32", "dim"),
        ("nnlm", "embedding=32", "dim"),
        ("seq2seq", "embedding=32", "dim"),
        ("transformer", "embedding=32", "dim"),
        ("transformer-lm", "embedding=32", "dim"),
        ("word2vec", "sample=0", "subsample"),
        ("fasttext", "sample=0", "subsample"),
        ("ppmi-svd", "t=0.5", "subsample"),
        ("glove", "max_vocab=50", "vocab_size"),
    ],
)
def test_a_name_of_old_is_answered_by_the_one_of_today(tmp_path: Path, family: str, old: str, new: str) -> None:
    plugin, (key, _, value) = registry.get(family), old.partition("=")
    file = tmp_path / "options.toml"
    file.write_text(f"{key} = {value}\n")
    for given, where in (((None, [old]), f"--set {old}"), ((file,), str(file))):
        with pytest.warns(TextkitWarning, match=rf"{where}: {key} is now {new}$"):
            own, _ = config.resolve(plugin, *given)
        assert getattr(own, new) == float(value)
        config.said(plugin, *given)  # a warning is not repeated: it would be an error here
    stored = {key: float(value) if "." in value else int(value)}
    assert getattr(config.from_dict(plugin.Config, stored), new) == float(value)  # as in a run of an older textkit


def test_an_option_there_is_none_of_is_answered_by_the_nearest_or_by_where_all_stand():
    plugin = registry.get("fasttext")
    with pytest.raises(UsageError, match=r"^--set windw=3: unknown option 'windw'; did you mean 'window'\?$"):
        config.resolve(plugin, None, ["windw=3"])
    with pytest.raises(
        UsageError, match="^--set x=1: unknown option 'x'; 'textkit train fasttext --show-options' lists"
    ):
        config.resolve(plugin, None, ["x=1"])
