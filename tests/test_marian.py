"""Reading a MarianMT checkpoint: tokenisation and logits equal those of transformers; damage is one line."""

from __future__ import annotations

import json
import os
import random
import shutil

import numpy as np
import pytest

from textkit.errors import TextkitError
from textkit.interop import marian
from textkit.text.rules import rule_from_spec

pytest.importorskip("torch", reason="checkpoints are read with torch: pip install 'textkit-onnx[train]'")
pytest.importorskip(
    "transformers", reason="transformers makes the checkpoints and is compared with: pip install '.[test]'"
)
pytest.importorskip("sentencepiece", reason="sentencepiece makes the tokenizers: pip install '.[test]'")
pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses:UserWarning")

from marian_checkpoint import (  # noqa: E402
    ENGLISH,
    GERMAN,
    HOSTILE,
    Checkpoints,
    changed,
    network,
    their_tokenizer,
)  # fmt: skip
from pickles import TRACE, evil, pickled  # noqa: E402


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return Checkpoints(tmp_path_factory.mktemp("marian"))


@pytest.mark.parametrize("own", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["shared", "own"])
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
    """A pytorch_model.bin with tied tables written out, half precision and a bias of -infinity, as in some checkpoints."""
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


def retensored(folder, change):
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def layer(name: str) -> str:
    return f"model.decoder.layers.1.{name}"


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
    "a pickle that runs": (evil, "its tensors cannot be read"),
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
    assert not (folder / TRACE).exists()


def test_what_a_generation_config_says(checkpoint, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(checkpoint()[0], folder)
    read = marian.read(folder)
    shared = {"max_length_factor": 0.0, "no_repeat_ngram_size": 0, "early_stopping": False, "guard": False}
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
    # Old checkpoints have all of it in config.json.
    (folder / "generation_config.json").unlink()
    changed(folder, "config.json", num_beams=3, max_length=40, forced_eos_token_id=None, bad_words_ids=[[131]])
    read = marian.read(folder)
    assert (read.defaults["beam_size"], read.defaults["max_length"], read.notes) == (3, 38, [])
