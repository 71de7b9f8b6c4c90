"""Vectors of tokens in their context: networks trained for something else, exported as models of the task `embed`.

Each family's vectors are compared with those that its own network gives in the pass that training makes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

import textkit
from textkit import config
from textkit.bundle import bundle
from textkit.corpora.corpus import corpus_of
from textkit.errors import TextkitError, UsageError
from textkit.exporting.export import export, export_graphs
from textkit.plugin import Encoder, Plugin
from textkit.registry import registry
from textkit.tasks.embed.evaluation.vocabulary import Vocabulary
from textkit.tasks.embed.serving.embedder import Embedder
from textkit.text.byte_level import shown
from textkit.text.one_side import one_side
from textkit.text.rule import TextRule
from textkit.text.rules import rule_from_spec
from textkit.text.translation import TokenizerSide
from textkit.training.run import Run
from textkit.training.trainer import train

TEXT = [
    "river bank",
    "bank money",
    "bank loan",
    "the bank of the river",
    "money in the bank",
    "a loan",
    "the river",
] * 4
PAIRS = [f"{line}\t{line.upper()}" for line in TEXT]
LABELLED = [f"{'water' if 'river' in line else 'money'}\t{line}" for line in TEXT]
LINES = ["river bank", "bank", "the bank of", "unseen money", "bank money"]
TRANSLATOR = ["tokenizer=word", "min_count=1", "dim=8"]
LANGUAGE = ["dim=8", "streams=2", "bptt=4"]
READER = ["text=word", "min_count=1", "dim=6"]
States = Callable[[torch.nn.Module, TextRule, str], torch.Tensor]  # a line -> f32[token, dim]


def of_seq2seq(network: torch.nn.Module, rule: TextRule, line: str) -> torch.Tensor:
    ids = torch.from_numpy(rule.encode([line]).ids)[None]
    states = network.encode(ids, torch.ones_like(ids, dtype=torch.bool))[0].values[0]
    if not rule.reverse:
        return states
    return torch.cat([states[:-1].flip(0), states[-1:]])  # it read the words backwards, and the line's end last


def of_transformer(network: torch.nn.Module, rule: TextRule, line: str) -> torch.Tensor:
    return network.encode(torch.from_numpy(rule.encode([line]).ids)[None], None)[0]


def of_language(network: torch.nn.Module, rule: TextRule, line: str) -> torch.Tensor:
    ids = torch.tensor([[rule.eos, *rule.encode([line]).ids[:-1].tolist()]])
    return network.hidden(ids, network.begin(1))[0][0, 1:]


def of_classifier(network: torch.nn.Module, rule: TextRule, line: str) -> torch.Tensor:
    ids = torch.from_numpy(rule.encode([line]).ids)[None]
    return network.encoder(ids, torch.ones(ids.shape))[2][0]


class Family(NamedTuple):
    plugin: str
    records: list[str]
    options: list[str]
    states: States
    knows: str = "both"  # which neighbours of a word its vector knows: those before, those after, or both


FAMILIES = {
    "seq2seq": Family("seq2seq", PAIRS, [*TRANSLATOR, "hidden=8", "layers=2"], of_seq2seq),
    "seq2seq reversed": Family("seq2seq", PAIRS, [*TRANSLATOR, "hidden=8", "reverse=true"], of_seq2seq),
    "seq2seq forwards": Family(
        "seq2seq", PAIRS, [*TRANSLATOR, "hidden=8", "bidirectional=false", "cell=gru"], of_seq2seq, "before"
    ),
    "seq2seq backwards": Family(
        "seq2seq", PAIRS, [*TRANSLATOR, "hidden=8", "bidirectional=false", "reverse=true"], of_seq2seq, "after"
    ),
    "transformer": Family(
        "transformer", PAIRS, [*TRANSLATOR, "max_tokens=6", "heads=2", "encoder_layers=1", "decoder_layers=1"],
        of_transformer,
    ),
    "rnn-lm": Family("rnn-lm", TEXT, [*LANGUAGE, "layers=1"], of_language, "before"),
    "transformer-lm": Family(
        "transformer-lm", TEXT, [*LANGUAGE, "heads=2", "layers=1", "context=5"], of_language, "before"
    ),
    "nnlm": Family("nnlm", TEXT, [*LANGUAGE, "hidden=8", "order=3"], of_language, "before"),
    "classifier cnn": Family("classifier", LABELLED, [*READER, "encoder=cnn", "pooling=max"], of_classifier),
    "classifier rnn": Family("classifier", LABELLED, [*READER, "encoder=rnn", "hidden=4", "layers=2"], of_classifier),
}  # fmt: skip
# The graphs of the others differ from these in what tests/test_recurrent.py and the like compare for all tasks.
EXPORTED = ("seq2seq reversed", "transformer", "rnn-lm", "transformer-lm", "classifier cnn")
INT8 = ("transformer", "rnn-lm", "classifier cnn")  # one of each kind of layer


class Made(NamedTuple):
    family: Family
    network: torch.nn.Module
    rule: TextRule  # of the training
    encoder: Encoder
    folder: Path


def parts(family: Family, folder: Path) -> tuple[Plugin, object, object, TextRule]:
    """The plugin, its options, those of training, and the rule that it learns from a file in `folder`."""
    plugin = registry.get(family.plugin)
    file = folder / "lines.txt"
    file.write_text("".join(f"{line}\n" for line in family.records))
    options, training = config.resolve(plugin, None, family.options)
    return plugin, options, training, plugin.vocabulary(corpus_of(plugin, [file]), options)


_made: dict[str, Made] = {}


@pytest.fixture(scope="module")
def made(request, tmp_path_factory) -> Made:
    """A family's network as it begins, and what its plugin gives as its encoder."""
    if request.param not in _made:
        family, folder = FAMILIES[request.param], tmp_path_factory.mktemp("family")
        plugin, options, _, rule = parts(family, folder)
        torch.manual_seed(7)
        network = plugin.network(options, rule).eval()
        _made[request.param] = Made(family, network, rule, plugin.encoder(network, rule, options), folder)
    return _made[request.param]


every = pytest.mark.parametrize("made", FAMILIES, indirect=True)
LONG = ("seq2seq reversed", "transformer", "rnn-lm")  # torch traces them for seconds, and others show the same
exported = pytest.mark.parametrize(
    "made", [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in EXPORTED], indirect=True
)


def states(made: Made, line: str) -> np.ndarray:
    """What the encoder's module gives for a line alone, f32[token, dim]."""
    ids = torch.from_numpy(made.encoder.rule.encode([line]).ids)[None]
    with torch.no_grad():
        return made.encoder.graph.module.eval()(ids, torch.ones(ids.shape))[0].numpy()


def of(made: Made, word: str, line: str) -> np.ndarray:
    names = [token.lstrip("▁") for token, _, _ in made.encoder.rule.tokens(line)]
    return states(made, line)[names.index(word)]


def apart(left: np.ndarray, right: np.ndarray) -> float:
    return float(np.abs(left - right).max() / np.abs(left).max())


# ---- the modules


@every
def test_states_are_those_of_the_network(made):
    for line in LINES:
        with torch.no_grad():
            wanted = made.family.states(made.network, made.rule, line).numpy()
        found = states(made, line)
        assert found.shape == wanted.shape
        assert apart(wanted, found) < 1e-5, line


@every
def test_a_word_has_another_vector_in_another_context(made):
    """As far as the network has read when it has read the word."""
    first, second = of(made, "bank", "river bank"), of(made, "bank", "money bank")
    assert (apart(first, second) > 1e-3) == (made.family.knows in ("before", "both"))
    first, second = of(made, "bank", "bank money"), of(made, "bank", "bank loan")
    assert (apart(first, second) > 1e-3) == (made.family.knows in ("after", "both"))


@every
def test_the_rule_is_whole_in_its_files(made):
    """A bundle's reader accepts the tokenizer.json that is made of the training's, and finds the same ids."""
    rule = made.encoder.rule
    again = rule_from_spec(json.loads(json.dumps(rule.spec())), rule.files().__getitem__)
    lines = [*LINES, "", " ", "the\u00adriver \u200b", "\U0001f600 река"]
    assert again.encode(lines).ids.tolist() == rule.encode(lines).ids.tolist()
    for line in lines:
        assert len(rule.tokens(line)) == rule.encode([line]).lengths[0]


@every
def test_the_texts_of_records(made):
    read = made.encoder.texts
    corpus = corpus_of(registry.get(made.family.plugin), [made.folder / "lines.txt"])
    records = list(corpus.lines())
    assert (records if read is None else list(read(records))) == TEXT


# ---- the models


_models: dict[str, Path] = {}


def model(made: Made, precision: str = "fp32") -> Path:
    name = f"{made.folder}/{precision}"
    if name not in _models:
        given = made.encoder
        sample = [line for line in TEXT if line != "the river"]
        _models[name] = export_graphs(
            Path(name), task="embed", rule=given.rule, graphs={"embed": given.graph}, sample=sample,
            defaults=given.defaults, precision=precision, plugin={"name": made.family.plugin, "version": "1"},
        )  # fmt: skip
    return _models[name]


@pytest.mark.slow
@exported
def test_served_vectors_are_the_states(made):
    embed = Embedder(model(made), device="cpu", threads=1)
    for line, tokens in zip(LINES, embed.tokens(LINES), strict=True):
        assert [token for token, _ in tokens] == [token for token, _, _ in made.encoder.rule.tokens(line)]
        assert apart(states(made, line), np.stack([vector for _, vector in tokens])) < 1e-4, line
    assert embed(["", " \t"]).tolist() == np.zeros((2, embed.dim)).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("made", INT8, indirect=True)
def test_int8(made):
    lower = model(made, "int8")
    assert bundle.read(lower).manifest.parity["deviation"]["worst_cosine"] > 0.98
    embed = Embedder(lower, device="cpu", threads=1)
    for line, tokens in zip(LINES, embed.tokens(LINES), strict=True):
        found = np.stack([vector for _, vector in tokens])
        assert apart(states(made, line), found) < 0.1, line
        assert np.array_equal(found, np.stack([vector for _, vector in embed.tokens([line])[0]]))  # in any batch


@exported
def test_a_line_longer_than_the_network_takes(made):
    """It is read in parts: no token of it is lost, and the first part's words are as they would be alone."""
    limit = bundle.read(model(made)).manifest.limits["tokens"]
    wanted = {"transformer": 6, "transformer-lm": 4}.get(made.family.plugin)
    assert wanted is None or limit == wanted  # a language model reads the end of the line before as well
    line = " ".join(["the bank of the river money loan"] * 3)
    (tokens,) = Embedder(model(made), device="cpu", threads=1).tokens([line])
    assert len(tokens) == len(made.encoder.rule.tokens(line)) > 20
    assert all(np.isfinite(vector).all() and vector.any() for _, vector in tokens)


# ---- runs, on the command line


@pytest.fixture(scope="module")
def learnt(tmp_path_factory) -> Path:
    """A run of nnlm that learnt for a moment. Its plugin's network has no `embedder`: `hidden` is exported."""
    folder, family = tmp_path_factory.mktemp("learnt"), FAMILIES["nnlm"]
    plugin = registry.get(family.plugin)
    (folder / "lines.txt").write_text("".join(f"{line}\n" for line in family.records))
    options, training = config.resolve(plugin, None, [*family.options, "epochs=1", "max_steps=2"])
    corpus = corpus_of(plugin, [folder / "lines.txt"])
    run = Run.create(folder / "run", plugin, options, training, 5, corpus.paths, command=["textkit", "train", "x"])
    list(train(run, corpus, device="cpu", threads=1))
    return folder / "run"


def test_from_a_run_to_vectors_in_a_pipe(learnt, tmp_path, call):
    model = tmp_path / "m"
    assert call("export-onnx", learnt, "--as", "embed", "-o", model, "--license", "CC0-1.0") == (0, "", "")
    given = "river bank\n\nmoney bank\n"
    code, out, said = call(
        "embed", "-m", model, "--tokens", "--format", "jsonl", "--device", "cpu", "--threads", 1, stdin=given
    )
    assert (code, said) == (0, "")
    river, blank, money = [json.loads(line)["tokens"] for line in out.splitlines()]
    assert [[token["token"] for token in tokens] for tokens in (river, blank, money)] == [
        ["river", "bank"], [], ["money", "bank"],
    ]  # fmt: skip
    assert apart(*(np.array(tokens[1]["embedding"]) for tokens in (river, money))) > 1e-3
    run = Run.open(learnt)
    with torch.no_grad():
        wanted = of_language(run.network(), run.vocabulary, "river bank").numpy()
    assert apart(wanted, np.array([token["embedding"] for token in river])) < 1e-4
    manifest = bundle.read(model, "embed").manifest
    assert manifest.plugin["name"] == "nnlm"
    assert manifest.text["kind"] == "tokenizer"
    assert manifest.defaults == {"pooling": "mean", "normalize": False}
    assert run.facts["dev_score"]
    assert manifest.scores == []  # a perplexity is no score of this model
    assert manifest.made["trained_for"] == "language"
    assert manifest.made["command"] == "textkit train x"
    assert manifest.made["export"].startswith("textkit export-onnx ")
    assert manifest.data[0]["file"] == "lines.txt"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--as", "embed", "--explain"], "--explain: a model of the task embed has no graph that explains it"),
        (["--as", "classify"], "'classify' is not 'embed'"),
    ],
)
def test_mistakes_get_one_line(learnt, tmp_path, call, words, message):
    code, out, said = call("export-onnx", learnt, "-o", tmp_path / "m", *words)
    assert (code, out) == (2, "")
    assert message in said
    assert said.startswith("textkit: ")
    assert said.count("\n") == 1
    assert not (tmp_path / "m").exists()


def test_another_task_from_python(learnt, tmp_path):
    with pytest.raises(UsageError, match="^task=translate: nnlm makes models of the task language;"):
        textkit.export(learnt, tmp_path / "m", task="translate")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "--as embed: nnlm has no encoder whose states could be vectors of tokens"),
        (7, "plugin 'nnlm': encoder must give an Encoder or None; it gives int"),
        (KeyError("x"), "plugin 'nnlm' failed in encoder: KeyError: 'x'"),
        (Encoder(None, None, None, {"pooling": "best"}), "plugin 'nnlm' is broken: the defaults of its encoder have"),
        (Encoder(None, None, lambda records: 1 / 0), "plugin 'nnlm' failed in encoder: ZeroDivisionError"),
    ],
)
def test_a_family_without_a_sound_encoder(learnt, tmp_path, monkeypatch, given, message):
    def encoder(*arguments: object) -> object:
        if isinstance(given, Exception):
            raise given
        return given

    monkeypatch.setattr(registry.get("nnlm"), "encoder", encoder)
    with pytest.raises(TextkitError) as caught:
        export(Run.open(learnt), tmp_path / "m", task="embed")
    assert str(caught.value).startswith(message)
    assert not (tmp_path / "m").exists()


def test_no_family_has_an_encoder_unless_it_says_so():
    assert Plugin.encoder(registry.get("word2vec"), None, None, None) is None
    network = torch.nn.Linear(1, 1)  # a stranger's translator, without `embedder`
    assert registry.get("seq2seq").encoder(network, None, None) is None


# ---- one side of a rule


def test_a_side_that_no_tokenizer_cuts_is_refused():
    class Foreign:
        json = b"{}"

    with pytest.raises(TextkitError, match="no tokenizer.json gives the ids of this model"):
        one_side(Foreign(), False, 3)


def test_an_end_without_a_name_is_refused():
    model = {"type": "WordLevel", "vocab": {"<unk>": 0, "a": 1}, "unk_token": "<unk>"}
    side = TokenizerSide(json.dumps({"version": "1.0", "model": model}).encode(), "tokenizer.json")
    with pytest.raises(TextkitError, match="no token for the id 9"):
        one_side(side, False, 9)
    assert one_side(side, False, 1).encode(["<unk>"]).ids.tolist() == [0, 1]
    assert one_side(side, False).encode(["a"]).ids.tolist() == [1]


# ---- how tokens are named


def test_pieces_of_bytes_are_named_as_text(tmp_path):
    """A byte-level tokenizer spells what is not ASCII with characters that nobody can read."""
    plugin = registry.get("nnlm")
    (tmp_path / "lines.txt").write_text("река и река\n" * 4)
    options, _ = config.resolve(plugin, None, ["vocab=bpe", "vocab_size=400", *LANGUAGE])
    rule = plugin.vocabulary(corpus_of(plugin, [tmp_path / "lines.txt"]), options)
    alone = one_side(rule.side, rule.clean)
    found = [token for token, _, _ in alone.tokens("река и é")]
    assert found[:2] == ["река", "▁и"]
    assert "".join(found) == "река▁и▁<0xC3><0xA9>"
    names, ids = alone.vocabulary()
    assert ids[names.index("река")] == alone.encode(["река"]).ids[0]
    assert [shown(piece) for piece in ("Ġbank", "<s>", "▁x", "ÐºÐ°", "Ð")] == ["▁bank", "<s>", "▁x", "ка", "<0xD0>"]


def test_tokens_of_a_bag_are_its_features(tmp_path):
    """Hashed words and n-grams, whose vectors are the rows of a table, the same in any context."""
    plugin, options, _, rule = parts(
        Family("classifier", LABELLED, ["dim=3", "maxn=3", "bucket=64"], of_classifier), tmp_path
    )
    network = plugin.network(options, rule).eval()
    given = plugin.encoder(network, rule, options)
    folder = export_graphs(tmp_path / "m", task="embed", rule=given.rule, graphs={"embed": given.graph}, sample=TEXT)
    embed = Embedder(folder, device="cpu", threads=1)
    ((river, money), lines) = embed.tokens(["river bank", "bank money"]), embed(["river bank"])
    assert [token for token, _ in river[:3]] == ["river", "bank", "river bank"]
    assert np.array_equal(dict(river)["bank"], dict(money)["bank"])
    table = network.encoder.tokens.embedding.weight.detach().numpy()
    assert np.array_equal(np.stack([vector for _, vector in river]), table[rule.encode(["river bank"]).ids])
    assert np.allclose(lines[0], np.mean([vector for _, vector in river], 0), atol=1e-6)
    with pytest.raises(TextkitError, match="has no list of words among which others could be looked for"):
        Vocabulary.load(str(folder))
