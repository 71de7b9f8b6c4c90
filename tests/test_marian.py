"""A MarianMT checkpoint, imported: tokenisation, logits and translations are those of transformers, damage is one line."""

from __future__ import annotations

import json
import os
import random
import shutil

import numpy as np
import pytest

from textkit.errors import TextkitError
from textkit.interop import marian
from textkit.registry import registry
from textkit.text import rule_from_spec

pytest.importorskip("torch", reason="checkpoints are read with torch: pip install 'textkit[train]'")
pytest.importorskip(
    "transformers", reason="transformers makes the checkpoints and is compared with: pip install '.[test]'"
)
pytest.importorskip("sentencepiece", reason="sentencepiece makes the tokenizers: pip install '.[test]'")
pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses:UserWarning")

from marian_checkpoint import ENGLISH, GERMAN, make_checkpoint  # noqa: E402

HOSTILE = (
    "", " ", "  a   b ", "ß", "Straße über ßß ü", "日本語", "🙂🙂 x", "</s> a <pad> b<unk>c", ">>de<< I am", ">>de<<",
    "a>>de<<", ">> a", "ﬁ①Ｗ", "e\u0301\u0323", "＜/s＞", "▁a▁", "\u2028x\u00a0y\tz", "x" * 200,
)  # fmt: skip


def sentences(count: int, seed: int = 0) -> list[str]:
    """The lines of the checkpoint's text, and random ones of their words."""
    generator = random.Random(seed)
    words = " ".join(ENGLISH).split()
    made = [" ".join(generator.choice(words) for _ in range(generator.randrange(1, 14))) for _ in range(count)]
    return [*ENGLISH, *made]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """(options) -> folder and transformers' model, each made once."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    made = {}

    def get(**options):
        key = json.dumps(options, sort_keys=True)
        if key not in made:
            folder = tmp_path_factory.mktemp("marian") / "checkpoint"
            made[key] = folder, make_checkpoint(folder, **options)
        return made[key]

    return get


def their_tokenizer(folder):
    from transformers import MarianTokenizer

    return MarianTokenizer.from_pretrained(str(folder))


@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_same_ids_as_marian_tokenizer(checkpoint, own):
    folder, _ = checkpoint(own=own)
    theirs, ours = their_tokenizer(folder), marian.read(folder).rule
    files = ours.files()
    again = rule_from_spec(json.loads(json.dumps(ours.spec())), files.__getitem__)
    assert ("target_vocabulary.json" in files) == own
    generator = random.Random(0)
    pool = "abcdefgh .,ßüéñ日🙂<>/s▁ \t\u00a0\u0301\u0323ﬁ①"
    noise = ["".join(generator.choice(pool) for _ in range(generator.randrange(30))) for _ in range(300)]
    lines = [*ENGLISH, *GERMAN, *HOSTILE, *noise]
    for rule in (ours, again):
        for line in lines:
            assert rule.encode([line]).ids.tolist() == theirs(line)["input_ids"], ascii(line)
            assert rule.encode_target([line]).ids.tolist() == theirs(text_target=line)["input_ids"], ascii(line)
            assert len(rule.source_tokens(line)) == len(theirs(line)["input_ids"])
        for line in GERMAN:
            ids = rule.encode_target([line]).ids.tolist()
            assert rule.decode([ids]) == [theirs.decode(ids, skip_special_tokens=True)]
    generator = np.random.default_rng(0)
    for _ in range(100):  # ids in any order, as a bad model gives them
        ids = generator.integers(0, ours.target_size, 12).tolist()
        assert ours.decode([ids]) == [theirs.decode(ids, skip_special_tokens=True)], ids


def network(read):
    plugin = registry.get(marian.PLUGIN)
    made = plugin.network(plugin.Config(**read.options), read.rule)
    made.load_state_dict(read.state)
    return made.eval()


@pytest.mark.parametrize(
    "options",
    [
        {}, {"own": True}, {"activation_function": "relu", "scale_embedding": False}, {"activation_function": "gelu"},
        {"encoder_layers": 3, "decoder_layers": 1}, {"own": True, "tie_word_embeddings": False},
    ],
    ids=str,
)  # fmt: skip
def test_same_logits(checkpoint, options):
    import torch

    folder, model = checkpoint(**options)
    read = marian.read(folder)
    given = their_tokenizer(folder)(list(ENGLISH), return_tensors="pt", padding=True)
    before = torch.randint(read.rule.target_size, (len(ENGLISH), 11), generator=torch.Generator().manual_seed(0))
    ours = network(read)
    with torch.no_grad():
        wanted = model(**given, decoder_input_ids=before).logits
        found = ours.project(ours.hidden(given.input_ids, given.attention_mask.bool(), before))
    assert wanted.std() > 0.5  # a network whose logits are all alike would prove nothing
    assert (found - wanted).abs().max() < 1e-4


def test_a_pickle_is_read_like_safetensors(checkpoint, tmp_path):
    """pytorch_model.bin with tied tables written out, half precision and a bias of -infinity, as some checkpoints have it."""
    import torch
    from safetensors.torch import load_file

    folder, _ = checkpoint()
    copy = tmp_path / "pickled"
    shutil.copytree(folder, copy)
    tensors = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    table = tensors["model.shared.weight"]
    for name in ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight"):
        tensors[name] = table
    tensors["final_logits_bias"][0, -1] = -np.inf
    wanted = marian.read(folder)
    torch.save({name: tensor.half() for name, tensor in tensors.items()}, copy / "pytorch_model.bin")
    read = marian.read(copy)
    assert set(read.state) == set(wanted.state)
    for name, tensor in read.state.items():
        assert torch.isfinite(tensor).all()
        expected = wanted.state[name].half().float()
        if name == "output_bias":
            assert tensor[-1] == -6e4
            tensor, expected = tensor[:-1], expected[:-1]
        assert torch.equal(tensor, expected)


def test_links_are_followed_as_the_cache_of_hugging_face_has_them(checkpoint, tmp_path):
    folder, _ = checkpoint()
    linked = tmp_path / "snapshot"
    linked.mkdir()
    for file in folder.iterdir():
        (linked / file.name).symlink_to(file)
    assert marian.read(linked).options == marian.read(folder).options


def changed(folder, name: str, **values):
    """Changes a JSON file; a value of None takes the key out."""
    path = folder / name
    entries = json.loads(path.read_text()) | values
    path.write_text(json.dumps({key: value for key, value in entries.items() if value is not None}))


def retensored(folder, change):
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def layer(name: str) -> str:
    return f"model.decoder.layers.1.{name}"


class Evil:
    """A pickle that would run something."""

    def __reduce__(self):
        return os.system, ("touch /tmp/textkit-was-here",)


def pickled(folder, value) -> None:
    import torch

    (folder / "model.safetensors").unlink()
    torch.save(value, folder / "pytorch_model.bin")


DAMAGE = {
    "no folder": (shutil.rmtree, "no such folder"),
    "no config": (lambda f: (f / "config.json").unlink(), "config.json: No such file"),
    "config is no JSON": (lambda f: (f / "config.json").write_text("{"), "config.json: not JSON"),
    "config is a list": (lambda f: (f / "config.json").write_text("[]"), "config.json: not a JSON object"),
    "config nests": (lambda f: (f / "config.json").write_text("[" * 200_000), "config.json: not JSON"),
    "config is a folder": (
        lambda f: ((f / "config.json").unlink(), (f / "config.json").mkdir()), "config.json: not a regular file",
    ),
    "config is a pipe": (
        lambda f: ((f / "config.json").unlink(), os.mkfifo(f / "config.json")), "config.json: not a regular file",
    ),
    "config is huge": (lambda f: os.truncate(f / "config.json", 1 << 27), "more than the"),
    "another model": (
        lambda f: changed(f, "config.json", model_type="bert", architectures=["BertModel"]), "'bert' (BertModel)",
    ),
    "another head": (lambda f: changed(f, "config.json", architectures=["MarianForCausalLM"]), "MarianForCausalLM"),
    "pre-norm": (lambda f: changed(f, "config.json", normalize_before=True), "normalize_before"),
    "heads differ": (lambda f: changed(f, "config.json", decoder_attention_heads=2), "decoder_attention_heads differ"),
    "odd heads": (
        lambda f: changed(f, "config.json", encoder_attention_heads=3, decoder_attention_heads=3), "no multiple",
    ),
    "no layers": (lambda f: changed(f, "config.json", encoder_layers=0), "encoder_layers is 0"),
    "a word for a number": (lambda f: changed(f, "config.json", d_model="16"), "d_model is 16, not a whole number"),
    "a strange activation": (lambda f: changed(f, "config.json", activation_function="mish"), "'mish'"),
    "pad beyond": (lambda f: changed(f, "config.json", pad_token_id=9999), "pad_token_id is 9999"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "has neither model.safetensors nor"),
    "sharded": (
        lambda f: (f / "model.safetensors").rename(f / "model.safetensors.index.json"), "several files are not read",
    ),
    "no safetensors": (lambda f: (f / "model.safetensors").write_bytes(b"\x08" * 64), "its tensors cannot be read"),
    "cut off": (lambda f: os.truncate(f / "model.safetensors", 5000), "its tensors cannot be read"),
    "a pickle that runs": (lambda f: pickled(f, {"x": Evil()}), "its tensors cannot be read"),
    "a pickled list": (lambda f: pickled(f, [1, 2]), "not a table of tensors"),
    "whole numbers": (lambda f: retensored(f, lambda t: t.update(x=t["final_logits_bias"].int())), "not floating point"),
    "missing": (lambda f: retensored(f, lambda t: t.pop(layer("fc1.weight"))), f"lacks {layer('fc1.weight')}"),
    "no table": (lambda f: retensored(f, lambda t: t.pop("model.shared.weight")), "lacks model"),
    "extra": (
        lambda f: retensored(f, lambda t: t.update({layer("fc3.weight"): t["final_logits_bias"] + 1})),
        f"has besides {layer('fc3.weight')}",
    ),
    "too many layers": (
        lambda f: changed(f, "config.json", decoder_layers=1), "and 21 more",
    ),
    "misshapen": (
        lambda f: changed(f, "config.json", encoder_ffn_dim=32, decoder_ffn_dim=32),
        "fc1.weight is [24, 16], config.json makes it [32, 16]",
    ),
    "a table too short": (
        lambda f: retensored(f, lambda t: t.update({"model.shared.weight": t["model.shared.weight"][:-1].clone()})),
        "embed_tokens.weight is [131, 16], config.json makes it [132, 16]",
    ),
    "nan": (lambda f: retensored(f, lambda t: t[layer("fc1.weight")].fill_(np.nan)), "fc1.weight holds NaN"),
    "nan in the bias": (lambda f: retensored(f, lambda t: t["final_logits_bias"].fill_(np.nan)), "final_logits_bias holds NaN"),
    "nan in the table": (lambda f: retensored(f, lambda t: t["model.shared.weight"].fill_(np.nan)), "holds NaN"),
    "untied": (
        lambda f: retensored(f, lambda t: t.update({"lm_head.weight": t["model.shared.weight"] + 1})),
        "lm_head.weight is not the table that config.json ties it to",
    ),
    "learned positions": (
        lambda f: retensored(
            f, lambda t: t.update({"model.encoder.embed_positions.weight": t["model.shared.weight"][:64].clone()})
        ), "holds no sinusoids",
    ),
    "no vocabulary": (lambda f: (f / "vocab.json").unlink(), "vocab.json: No such file"),
    "ids beyond": (lambda f: changed(f, "vocab.json", more=5000), "'more' has the id 5000"),
    "negative ids": (lambda f: changed(f, "vocab.json", more=-1), "'more' has the id -1"),
    "an id twice": (lambda f: changed(f, "vocab.json", more=5), "two pieces have one id"),
    "a word for an id": (lambda f: changed(f, "vocab.json", more="5"), "'more' has the id 5"),
    "another eos": (lambda f: changed(f, "config.json", eos_token_id=7), "</s> has the id 0"),
    "no unk": (lambda f: changed(f, "vocab.json", **{"<unk>": None}), "has no <unk>"),
    "another vocabulary": (
        lambda f: (f / "vocab.json").write_text(json.dumps(
            {"</s>": 0, "<unk>": 1, "<pad>": 131} | {f"w{at}": at for at in range(2, 131)}
        )), "not one model's files",
    ),
    "no spm": (lambda f: (f / "source.spm").unlink(), "source.spm: No such file"),
    "no spm at all": (lambda f: (f / "target.spm").write_text("word 1 2"), "target.spm: not a sound SentencePiece model"),
    "own vocabulary, one table": (
        lambda f: shutil.copy(f / "vocab.json", f / "target_vocab.json"), "config.json has one table for both",
    ),
    "own vocabulary gone": (
        lambda f: changed(f, "tokenizer_config.json", separate_vocabs=True), "there is no target_vocab.json",
    ),
    "beams": (lambda f: changed(f, "generation_config.json", num_beams=0), "num_beams is 0"),
    "bad words": (lambda f: changed(f, "generation_config.json", bad_words_ids=[["x"]]), "bad_words_ids is"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_one_line(checkpoint, tmp_path, kind):
    damage, said = DAMAGE[kind]
    folder = tmp_path / "copy"
    shutil.copytree(checkpoint()[0], folder)
    damage(folder)
    with pytest.raises(TextkitError) as caught:
        marian.read(folder)
    message = str(caught.value)
    assert said in message
    assert message.startswith(str(folder))
    assert "\n" not in message
    assert not os.path.exists("/tmp/textkit-was-here")


def test_what_a_generation_config_says(checkpoint, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(checkpoint()[0], folder)
    read = marian.read(folder)
    shared = {"max_length_factor": 0.0, "no_repeat_ngram_size": 0, "early_stopping": False}
    assert read.defaults == shared | {"beam_size": 4, "length_penalty": 1.0, "max_length": 22, "allow_unk": True}
    assert read.notes == []
    changed(
        folder, "generation_config.json", num_beams=6, length_penalty=0.6, max_length=512, early_stopping="never",
        no_repeat_ngram_size=3, repetition_penalty=1.3, bad_words_ids=[[1], [5, 6]], forced_eos_token_id=None,
    )  # fmt: skip
    read = marian.read(folder)
    wanted = {"beam_size": 6, "length_penalty": 0.6, "max_length": 63, "allow_unk": False, "no_repeat_ngram_size": 3}
    assert read.defaults == shared | wanted
    assert [note.split()[0] for note in read.notes] == [
        "<pad>", "bad_words_ids", "forced_eos_token_id", "early_stopping", "repetition_penalty=1.3",
    ]  # fmt: skip
    # Old checkpoints have it all in config.json.
    (folder / "generation_config.json").unlink()
    changed(folder, "config.json", num_beams=3, max_length=40, forced_eos_token_id=None, bad_words_ids=[[131]])
    read = marian.read(folder)
    assert (read.defaults["beam_size"], read.defaults["max_length"], read.notes) == (3, 38, [])


class TorchSteps:
    """The plugin's own modules as what is searched over: many models without an export each."""

    def __init__(self, read) -> None:
        from textkit.training.translation_ports import Modules

        plugin = registry.get(marian.PLUGIN)
        self.modules = Modules(plugin.graphs(network(read), read.rule, plugin.Config(**read.options)))

    def encode(self, source, source_mask):
        import torch

        with torch.no_grad():
            memory, state = self.modules.encode(torch.from_numpy(source), torch.from_numpy(source_mask))
        return memory, state

    def keep(self, memory, state, rows):
        import torch

        rows = torch.from_numpy(rows)
        kept = {name: value[rows] for name, value in state.items() if name.startswith(("state.", "cache."))}
        return {name: value[rows] for name, value in memory.items()}, kept

    def step(self, token, parent, k, memory, state, full):
        import torch

        state = {name: value for name, value in state.items() if name.startswith(("state.", "cache."))}
        with torch.no_grad():
            stepped = self.modules.step(torch.from_numpy(token), torch.from_numpy(parent), memory, state)
        logprob = stepped.logits.log_softmax(-1)
        best = logprob.topk(k)
        chosen = {"top_id": best.indices.numpy(), "top_logprob": best.values.numpy(), "logprob": logprob.numpy()}
        return chosen | stepped.state


def searched(model, read, lines: list[str]) -> list[list[int]]:
    """The ids of each line's best translation, without its end."""
    from textkit.serving.decoding import Search, Target, search

    rule = read.rule
    encoded = [rule.encode([line]).ids for line in lines]
    lengths = np.array([len(ids) for ids in encoded])
    mask = np.arange(lengths.max()) < lengths[:, None]
    source = np.full(mask.shape, rule.source_pad)
    source[mask] = np.concatenate(encoded)
    found = search(
        model, source, mask, Target(rule.start, rule.eos, rule.unk, rule.pad, rule.target_size), Search(**read.defaults),
        most=read.shape.positions - 1,
    )  # fmt: skip
    return [[at for at in line[0].ids if at != rule.eos] for line in found]


def generated(folder, model, lines: list[str], **options) -> list[list[int]]:
    """The same of transformers."""
    import torch

    with torch.no_grad():
        found = model.generate(**their_tokenizer(folder)(lines, return_tensors="pt", padding=True), **options)
    ended = ([*line, 0] for line in found[:, 1:].tolist())
    return [line[: line.index(0)] for line in ended]


GENERATIONS = {
    "beam 4": ({}, {}),
    "greedy": ({"num_beams": 1}, {}),
    "separate sides": ({}, {"own": True, "ending": 2.0}),
    "short favoured": ({"num_beams": 6, "length_penalty": 0.0}, {"ending": 1.0}),
    "between": ({"num_beams": 3, "length_penalty": 0.6}, {"own": True, "ending": 2.0}),
    "long favoured": ({"length_penalty": 1.6, "max_length": 60}, {"ending": 3.0}),
    "negative": ({"length_penalty": -0.5}, {"seed": 3}),
    "always cut": ({"num_beams": 8, "max_length": 7}, {"ending": 0.0}),
    "the longest": ({"max_length": 64}, {"ending": 0.0}),
    "relu": ({}, {"activation_function": "relu", "scale_embedding": False, "ending": 2.0}),
    "early": ({"early_stopping": True, "num_beams": 5}, {"ending": 1.0}),
    "no repetition": ({"no_repeat_ngram_size": 2}, {"ending": 1.0}),
    "made to add up": ({"renormalize_logits": True}, {"ending": 1.5, "pad_bias": 5.0}),
    "not made to": ({}, {"ending": 1.5, "pad_bias": 5.0}),
    "other bad words": ({"renormalize_logits": True, "bad_words_ids": "with others", "max_new_tokens": 15}, {}),
    "no unknown": ({"bad_words_ids": "with <unk>"}, {"seed": 5}),
}


@pytest.mark.parametrize("kind", GENERATIONS)
def test_same_translations_as_transformers(checkpoint, kind):
    """Token for token, whatever the search: lines that end, lines that are cut, <pad> likely and forbidden."""
    generation, options = GENERATIONS[kind]
    if "bad_words_ids" in generation:
        pad = checkpoint(**options)[1].config.pad_token_id
        others = range(20, 60) if generation["bad_words_ids"] == "with others" else ()
        generation = generation | {"bad_words_ids": [[pad], [1], *([at] for at in others)]}
    folder, model = checkpoint(generation=generation, **options)
    read = marian.read(folder)
    assert read.notes == []
    lines = sentences(40)
    wanted = generated(folder, model, lines)
    assert searched(TorchSteps(read), read, lines) == wanted
    assert len({len(line) for line in wanted}) > 1 or "cut" in kind or "longest" in kind
    assert len(set(map(tuple, wanted))) > 20  # they depend on the source


@pytest.fixture(scope="module")
def imported(checkpoint, tmp_path_factory):
    """The folder of a checkpoint, transformers' model, and the folder of the bundle that `textkit import` made of it."""
    from textkit.cli import run
    from textkit.cli.options import Talk

    pytest.importorskip("onnx", reason="models are made with onnx: pip install 'textkit[train]'")
    folder, model = checkpoint(sharp=1.5, init_std=0.3)
    bundle = tmp_path_factory.mktemp("imported") / "en-de"
    sample = bundle.parent / "sample.txt"
    sample.write_text("\n".join(ENGLISH))
    assert run(["import", str(folder), "-o", str(bundle), "--sample", str(sample), "--licence", "CC0"], Talk()) == 0
    return folder, model, bundle


def test_the_exported_graphs_give_the_same_logits(imported):
    import torch

    from textkit import bundle
    from textkit.serving.steps import Steps

    folder, model, made = imported
    tokenizer = their_tokenizer(folder)
    given = tokenizer(list(ENGLISH), return_tensors="pt", padding=True)
    target = torch.randint(131, (len(ENGLISH), 7), generator=torch.Generator().manual_seed(0))
    target[:, 0] = 131
    with torch.no_grad():
        logits = model(**given, decoder_input_ids=target).logits.numpy()
    logits -= logits.max(-1, keepdims=True)
    wanted = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    steps = Steps(bundle.read(made, "translate"), "cpu", 1)
    memory, state = steps.encode(given.input_ids.numpy(), given.attention_mask.bool().numpy())
    for at in range(target.shape[1]):
        token = target[:, at : at + 1].numpy()
        state = steps.step(token, np.zeros_like(token), 1, memory, state, full=True)
        assert np.abs(state["logprob"][:, 0] - wanted[:, at]).max() < 1e-4


@pytest.mark.parametrize("beams", [1, 4])
def test_the_imported_model_translates_as_transformers(imported, beams):
    from textkit.serving.translator import Translator

    folder, model, made = imported
    lines = [line for line in [*sentences(40), *HOSTILE] if line.strip()]
    theirs = their_tokenizer(folder)
    found = dict(zip(lines, generated(folder, model, lines, num_beams=beams), strict=True))
    # transformers leaves <unk> out of a text, textkit shows it.
    lines = [line for line in lines if 1 not in found[line]]
    wanted = [theirs.decode(found[line], skip_special_tokens=True) for line in lines]
    translator = Translator(made, "cpu", 1, beam_size=beams, sentences=False)
    assert translator.options.length_penalty == 1.0
    assert translator.options.max_length == 22
    assert translator.options.allow_unk
    assert translator([line.strip() for line in lines]) == wanted
    assert len(set(wanted)) > 15


def test_the_manifest_says_where_the_model_is_from(imported):
    from textkit import bundle

    folder, _, made = imported
    read = bundle.read(made, "translate")
    read.verify()
    manifest = read.manifest
    assert manifest.licence == "CC0"
    assert manifest.data == [{"file": "checkpoint", "format": "MarianMT checkpoint"}]
    assert manifest.made["imported"] == "MarianMT checkpoint"
    assert manifest.made["command"].startswith("textkit import ")
    assert manifest.limits == {"tokens": 64, "target": 64}
    assert manifest.defaults["beam_size"] == 4


def test_import_of_a_folder_refuses_in_one_line(checkpoint, tmp_path, capsys):
    from textkit.cli import run
    from textkit.cli.options import Talk

    folder = tmp_path / "copy"
    shutil.copytree(checkpoint()[0], folder)
    changed(folder, "config.json", model_type="t5")
    assert run(["import", str(folder), "-o", str(tmp_path / "out")], Talk()) == 1
    assert capsys.readouterr().err == (
        f"textkit: {folder}/config.json: a checkpoint of 't5' (MarianMTModel); MarianMT's ('marian') are read\n"
    )
    assert run(["import", str(folder), "-o", str(tmp_path / "out"), "--max-vocab", "5"], Talk()) == 2
    assert not (tmp_path / "out").exists()
