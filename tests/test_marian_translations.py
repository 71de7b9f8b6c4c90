"""An imported MarianMT checkpoint: its translations equal those of transformers token for token, as do its graphs' logits."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from textkit.interop import marian
from textkit.registry import registry

pytest.importorskip("torch", reason="checkpoints are read with torch: pip install 'textkit-onnx[train]'")
pytest.importorskip(
    "transformers", reason="transformers makes the checkpoints and is compared with: pip install '.[test]'"
)
pytest.importorskip("sentencepiece", reason="sentencepiece makes the tokenizers: pip install '.[test]'")
pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses:UserWarning")

from marian_checkpoint import (  # noqa: E402
    ENGLISH,
    HOSTILE,
    Checkpoints,
    changed,
    network,
    sentences,
    their_tokenizer,
)  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return Checkpoints(tmp_path_factory.mktemp("marian"))


class TorchSteps:
    """The plugin's own modules as steps for the search, so that many models can be tested without exporting each."""

    def __init__(self, read) -> None:
        from textkit.tasks.translate.exporting.ports import Modules

        plugin = registry.get(marian.PLUGIN)
        self.modules = Modules(plugin.graphs(network(read), read.rule, plugin.Config(**read.options)))

    def encode(self, source, source_mask):
        import torch

        with torch.no_grad():
            memory, state = self.modules.encode(torch.from_numpy(source), torch.from_numpy(source_mask))
        return memory, state

    draws = ranks = cuts = False

    def keep(self, memory, state, rows):
        import torch

        rows = torch.from_numpy(rows)
        kept = {name: value[rows] for name, value in state.items() if name.startswith(("state.", "cache."))}
        return {name: value[rows] for name, value in memory.items()}, kept

    def step(self, token, parent, k, memory, state, full, draw=None, score=None):
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
    from textkit.searching.decoding import search
    from textkit.searching.options import Search, Target

    rule = read.rule
    encoded = [rule.encode([line]).ids for line in lines]
    lengths = np.array([len(ids) for ids in encoded])
    mask = np.arange(lengths.max()) < lengths[:, None]
    source = np.full(mask.shape, rule.source_pad)
    source[mask] = np.concatenate(encoded)
    options = {name: value for name, value in read.defaults.items() if name != "guard"}
    found = search(
        model, source, mask, Target(rule.start, rule.eos, rule.unk, rule.pad, rule.target_size), Search(**options),
        most=read.shape.positions - 1,
    )  # fmt: skip
    return [[at for at in line[0].ids if at != rule.eos] for line in found]


def generated(folder, model, lines: list[str], **options) -> list[list[int]]:
    """The ids of each line's best translation by transformers."""
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


QUICK = {"beam 4", "greedy", "always cut"}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind in QUICK else pytest.mark.slow) for kind in GENERATIONS]
)
def test_same_translations_as_transformers(checkpoint, kind):
    """Token for token with every search: lines that end, lines that are cut, a <pad> that is likely but forbidden."""
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
    from textkit.cli.options import Messages

    pytest.importorskip("onnx", reason="models are made with onnx: pip install 'textkit-onnx[train]'")
    folder, model = checkpoint(sharp=1.5, init_std=0.3)
    bundle = tmp_path_factory.mktemp("imported") / "en-de"
    sample = bundle.parent / "sample.txt"
    sample.write_text("\n".join(ENGLISH))
    assert (
        run(
            ["import", str(folder), "-o", str(bundle), "--text", str(sample), "--license", "CC0", "--explain"],
            Messages(),
        )
        == 0
    )
    return folder, model, bundle


@pytest.mark.slow
def test_the_exported_graphs_give_the_same_logits(imported):
    import torch

    from textkit.bundle import bundle
    from textkit.searching.steps import TranslationSteps

    folder, model, made = imported
    tokenizer = their_tokenizer(folder)
    given = tokenizer(list(ENGLISH), return_tensors="pt", padding=True)
    target = torch.randint(131, (len(ENGLISH), 7), generator=torch.Generator().manual_seed(0))
    target[:, 0] = 131
    with torch.no_grad():
        logits = model(**given, decoder_input_ids=target).logits.numpy()
    logits -= logits.max(-1, keepdims=True)
    wanted = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    steps = TranslationSteps(bundle.read(made, "translate"), "cpu", 1)
    memory, state = steps.encode(given.input_ids.numpy(), given.attention_mask.bool().numpy())
    for at in range(target.shape[1]):
        token = target[:, at : at + 1].numpy()
        state = steps.step(token, np.zeros_like(token), 1, memory, state, full=True)
        assert np.abs(state["logprob"][:, 0] - wanted[:, at]).max() < 1e-4


@pytest.mark.slow
def test_the_explain_graph_gives_the_same_attention(imported):
    import torch

    from textkit.bundle import bundle
    from textkit.serving.session import Session

    folder, model, made = imported
    given = their_tokenizer(folder)(list(ENGLISH), return_tensors="pt", padding=True)
    target = torch.randint(131, (len(ENGLISH), 7), generator=torch.Generator().manual_seed(0))
    model.set_attn_implementation("eager")
    with torch.no_grad():
        wanted = model(**given, decoder_input_ids=target, output_attentions=True)
    mask = given.attention_mask.bool().numpy()
    found = Session(bundle.read(made, "translate").graph("explain"), "cpu", 1).run(
        {"source": given.input_ids.numpy(), "source_mask": mask, "target": target.numpy()}
    )
    assert found["encoder"].shape[1:3] == (2, 4)  # layers, heads
    for kind in ("encoder", "decoder", "cross"):
        weights = torch.stack(wanted[f"{kind}_attentions"], 1).numpy()  # [line, layer, head, query, key]
        real = mask[:, None, None, :, None] if kind == "encoder" else np.ones((1, 1, 1, 1, 1), bool)
        assert weights.std() > 0.05
        assert np.abs(np.where(real, found[kind] - weights, 0)).max() < 1e-5, kind


@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.slow
def test_the_imported_model_translates_as_transformers(imported, beams):
    from textkit.tasks.translate.serving.translator import Translator

    folder, model, made = imported
    lines = [line for line in [*sentences(40), *HOSTILE] if line.strip()]
    theirs = their_tokenizer(folder)
    found = dict(zip(lines, generated(folder, model, lines, num_beams=beams), strict=True))
    # transformers leaves <unk> out of a text; textkit shows it.
    lines = [line for line in lines if 1 not in found[line]]
    wanted = [theirs.decode(found[line], skip_special_tokens=True) for line in lines]
    translator = Translator(made, "cpu", 1, beam_size=beams, sentences=False)
    assert translator.options.length_penalty == 1.0
    assert translator.options.max_length == 22
    assert translator.options.allow_unk
    assert translator([line.strip() for line in lines]) == wanted
    assert len(set(wanted)) > 15


@pytest.mark.slow
def test_the_manifest_says_where_the_model_is_from(imported):
    from textkit.bundle import bundle

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
    from textkit.cli.options import Messages

    folder = tmp_path / "copy"
    shutil.copytree(checkpoint()[0], folder)
    changed(folder, "config.json", model_type="t5")
    assert run(["import", str(folder), "-o", str(tmp_path / "out")], Messages()) == 1
    assert capsys.readouterr().err == (
        f"textkit: {folder}/config.json: a checkpoint of 't5' (MarianMTModel); BERT, DistilBERT, MiniLM, RoBERTa, "
        "XLM-R and MPNet are read, and MarianMT for translation\n"
    )
    assert run(["import", str(folder), "-o", str(tmp_path / "out"), "--max-vocab", "5"], Messages()) == 2
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("2 1\na 1\nb 2\n")
    assert run(["import", str(vectors), "-o", str(tmp_path / "out"), "--explain"], Messages()) == 2
    assert not (tmp_path / "out").exists()
