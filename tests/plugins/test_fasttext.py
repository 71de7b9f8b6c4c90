"""fasttext: the step against autograd, the rows of a word, vectors of unseen words, byte-pair pieces."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from word_vector_steps import moved

from textkit.corpora.corpus import Corpus
from textkit.errors import UsageError
from textkit.plugin import Epoch
from textkit.registry import registry
from textkit.text.subwords import NGrams, Pieces
from textkit.text.words import Words
from textkit.training.run import Run
from textkit_plugins.embeddings import blocks
from textkit_plugins.embeddings import network as networks
from textkit_plugins.embeddings.kernels import bag_kernel
from textkit_plugins.embeddings.noise import alias_table
from textkit_plugins.embeddings.predicting import FastTextConfig, Windows


@pytest.mark.parametrize("dim", [7, *(pytest.param(dim, marks=pytest.mark.slow) for dim in (2, 32))])
def test_a_step_is_the_gradient_with_all_of_it_to_each_row(dim: int) -> None:
    # Words 0 (rows 0, 4, 5, 6), 1 (rows 1, 4), 2 (row 2), 3 (row 3: only noise). fastText gives each row of the mean
    # the whole gradient of the hidden layer, not its share.
    offsets = np.array([0, 4, 6, 7, 8])
    rows = np.array([0, 4, 5, 6, 1, 4, 2, 3], np.int32)
    random = np.random.default_rng(1)
    centre = random.normal(size=(7, dim)).astype(np.float32)
    context = random.normal(size=(4, dim)).astype(np.float32)
    c, o = centre.astype(np.float64), context.astype(np.float64)

    def sigmoid(x: float) -> float:
        return 1 / (1 + np.exp(-x))

    for word, targets in ((0, [1]), (1, [0, 2]), (2, [1])):  # a line of three with window 1
        own = rows[offsets[word] : offsets[word + 1]]
        hidden, error = c[own].mean(0), np.zeros(dim)
        for target in targets:
            for label, output in ((1, target), (0, 3), (0, 3)):
                g = 0.1 * (label - sigmoid(hidden @ o[output]))
                error += g * o[output]
                o[output] += g * hidden
        c[own] += error
    pairs, _, _ = bag_kernel(dim)(
        np.array([0, 1, 2, -1], np.int32), 0, 4, 0, centre, context, offsets, rows, np.ones(4, np.float32),
        *alias_table(np.array([0, 0, 0, 1.0])), 1, 2, np.float32(0.1), np.uint64(1), False,
    )  # fmt: skip
    assert pairs == 4
    np.testing.assert_allclose(centre, c, atol=2e-5)  # the sigmoid is off by 5e-5 at most
    np.testing.assert_allclose(context, o, atol=2e-5)


def small_network(**options: object) -> tuple[networks.WordVectors, FastTextConfig]:
    """Words 0..4 with rows of their own and rows 5..8 for subwords, of which word 4 has none; only word 4 is drawn as noise."""
    config = FastTextConfig(dim=8, window=2, negative=2, subsample=0, min_count=1, **options)
    bags = [[0, 5, 6], [1, 6], [2, 7, 8, 5], [3, 8], [4]]
    offsets = np.cumsum([0, *map(len, bags)])
    torch.manual_seed(0)
    network = networks.WordVectors(
        np.array([9, 8, 7, 6, 5]), offsets, np.concatenate(bags).astype(np.int32), config, 0.5
    )
    with torch.no_grad():
        network.context.uniform_(-0.5, 0.5)
    for name, array in zip(("threshold", "alias"), alias_table(np.array([0, 0, 0, 0, 1.0])), strict=True):
        getattr(network, name).copy_(torch.from_numpy(array))
    return network, config


def batch_of(tokens: list[int]) -> Windows:
    text = np.array(tokens, np.int32)
    return Windows(text, 0, len(text), 0, 1, int((text >= 0).sum()))


@pytest.mark.parametrize("model", ["skipgram", "cbow"])
@pytest.mark.parametrize("block", [4096, 2])
def test_the_step_for_gpus_takes_the_same_gradient(model: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # At such a small rate the CPU's steps, one after the other, are the same to first order, and so are blocks of two words.
    monkeypatch.setattr(blocks, "BLOCK", block)
    monkeypatch.setattr(blocks, "CROWD", 1000.0)
    network, config = small_network(model=model)
    batch = batch_of([0, 1, 2, 3, -1, 2, 3, 0, -1, 1, -1])
    (told, by_kernel), (also, by_products) = moved(
        network,
        [
            lambda: networks.descend(network, batch, 1e-4, config, 1),
            lambda: blocks.descend_blocks(network, batch, 1e-4, config),
        ],
    )
    assert told["pairs"] == also["pairs"] > 6
    for cpu, gpu in zip(by_kernel, by_products, strict=True):
        assert float(cpu.abs().max()) > 1e-5
        torch.testing.assert_close(gpu, cpu, atol=3e-7, rtol=1e-2)


def test_noise_that_is_the_target_makes_no_step_on_a_gpu() -> None:
    network, config = small_network()
    batch = batch_of([4, 4, -1])  # the target is the only word that is drawn
    before = network.context.detach().clone()
    centre = network.centre.detach().clone()
    told = blocks.descend_blocks(network, batch, 1.0, config)
    score = float(centre[4] @ before[4])
    assert told["pairs"] == 2
    assert float(told["loss"]) == pytest.approx(np.log1p(np.exp(-score)))
    step = 2 * (1 - 1 / (1 + np.exp(-score)))  # two pairs, each of the one word with itself
    torch.testing.assert_close(network.context.detach()[4], before[4] + step * centre[4])
    torch.testing.assert_close(network.centre.detach()[4], centre[4] + step * before[4])


class Reads(TorchDispatchMode):
    """Notes what would make the host wait for a GPU: a number that is read, or a shape that depends on values."""

    waits = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "equal", "bincount", "is_nonzero")

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, function, types, given=(), named=None):  # type: ignore[no-untyped-def]
        name = function.__name__.partition(".")[0]
        by_mask = name in ("index", "index_put") and any(
            index is not None and index.dtype == torch.bool for index in given[1]
        )
        whole = name == "repeat_interleave" and (named or {}).get("output_size") is None
        if name in self.waits or by_mask or whole:
            self.seen.append(name)
        return function(*given, **(named or {}))


@pytest.mark.parametrize("options", [{}, {"model": "cbow"}, {"loss": "softmax"}])
def test_a_batch_on_a_gpu_is_not_waited_for(options: dict[str, str]) -> None:
    network, config = small_network(**options)
    batch = batch_of([0, 1, 2, 3, -1, 2, 3, 0, -1])
    with Reads() as reads:
        if config.loss == "softmax":
            told = networks.descend_softmax(network, batch, 0.1, config)
        else:
            told = blocks.descend_blocks(network, batch, 0.1, config)
    assert reads.seen == []
    assert isinstance(told["loss"], torch.Tensor)
    with Reads() as reads:
        float(told["loss"])
    assert reads.seen == ["_local_scalar_dense"]  # it would be noticed


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("model", ["skipgram", "cbow"])
def test_on_a_real_gpu_nothing_waits(model: str) -> None:
    network, config = small_network(model=model)
    network.to("cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        told = blocks.descend_blocks(network, batch_of([0, 1, 2, 3, -1, 2, 3, 0, -1]), 0.1, config)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert float(told["loss"]) > 0


@pytest.mark.parametrize("model", ["skipgram", "cbow"])
def test_the_step_for_gpus_learns_as_the_kernels_do(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words in the same sentences become neighbours, and so do unseen words of the same spelling."""
    found = {}
    for name in ("cpu", "gpu"):
        if name == "gpu":
            monkeypatch.setattr(networks, "descend", lambda *given: blocks.descend_blocks(*given[:-1]))
        found[name] = similar(tmp_path / name)
    for kind, value in found["gpu"].items():
        assert value > 0.4 * found["cpu"][kind] > 0.05, (kind, found)


def similar(folder: Path) -> dict[str, float]:
    """How much nearer two verbs are to each other than a verb and a noun, by their words and by unseen forms of them."""
    from textkit.training.trainer import train

    folder.mkdir()
    plugin = registry.get("fasttext")
    config = FastTextConfig(dim=16, min_count=1, subsample=0, bucket=2000)
    training = dataclasses.replace(plugin.training, epochs=5, batch_size=2000)
    run = Run.create(folder / "run", plugin, config, training, 1, [corpus_of(folder / "text")])
    list(train(run, Corpus([folder / "text"]), device="cpu", threads=1))
    table = plugin.graphs(run.network(), run.vocabulary, config)["embed"].module.weight.detach().numpy()

    def vector(word: str) -> np.ndarray:
        encoded = run.vocabulary.encode([word])
        total = (table[encoded.ids] * (1 if encoded.weight is None else encoded.weight[:, None])).sum(0)
        return total / np.linalg.norm(total)

    seen = vector("walking") @ vector("talking") - vector("walking") @ vector("tables")
    unseen = vector("jumpings") @ vector("painting") - vector("jumpings") @ vector("chairtop")
    return {"seen": float(seen), "unseen": float(unseen)}


def corpus_of(path: Path) -> Path:
    random = np.random.default_rng(5)
    stems = ["walk", "talk", "jump", "paint"], ["table", "chair", "window", "carpet"]
    endings = ["ing", "ed", "s"], ["s", "less", "top"]
    with path.open("w") as out:
        for _ in range(3000):
            kind = random.integers(2)
            chosen = zip(random.choice(stems[kind], 6), random.choice(endings[kind], 6), strict=True)
            # One combination of each kind is held out, so that it is unseen
            words = [stem + end for stem, end in chosen if (stem, end) not in (("jump", "ing"), ("window", "less"))]
            out.write(" ".join(words) + "\n")
    return path


def trained(tmp_path: Path, **options: object) -> tuple[Words, np.ndarray, torch.nn.Module]:
    plugin, data = registry.get("fasttext"), corpus_of(tmp_path / "text")
    config = FastTextConfig(dim=16, subsample=0, **options)
    run = Run.create(tmp_path / "run", plugin, config, plugin.training, 1, [data])
    corpus = Corpus([data])
    run.save_vocabulary(plugin.vocabulary(corpus, config))
    network = run.new_network()
    for number in range(3):
        for batch in plugin.batches(corpus, run.vocabulary, config, Epoch(number, 1, 0, 20_000, run.scratch)):
            log = plugin.update(network, batch, 0.05, config, 1)
            assert np.isfinite(log["loss"])
    return run.vocabulary, plugin.graphs(network, run.vocabulary, config)["embed"].module.weight.numpy(), network


def vector(vocabulary: Words, table: np.ndarray, word: str) -> np.ndarray:
    encoded = vocabulary.encode([word])
    weight = np.ones(len(encoded.ids)) if encoded.weight is None else encoded.weight
    return weight @ table[encoded.ids]


@pytest.mark.parametrize("options", [{}, {"model": "cbow"}, {"kind": "pieces", "pieces": 60}, {"bucket": 500}], ids=str)
def test_unseen_words_lie_among_their_kind(tmp_path: Path, options: dict) -> None:
    vocabulary, table, _ = trained(tmp_path, **options)
    assert len(vocabulary) == len(table)

    def cosine(a: str, b: str) -> float:
        x, y = vector(vocabulary, table, a), vector(vocabulary, table, b)
        return float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))

    for unseen, kind, other in (("jumping", "walking", "tables"), ("windowless", "chairs", "talked")):
        assert unseen not in vocabulary
        assert cosine(unseen, kind) > cosine(unseen, other) + 0.2


def test_a_word_is_the_mean_of_its_row_and_its_ngrams(tmp_path: Path) -> None:
    vocabulary, table, network = trained(tmp_path)
    assert isinstance(vocabulary.subwords, NGrams)
    word = vocabulary.id("walking")
    spelled, _ = vocabulary.subwords.rows(["walking"])
    # <walking> has 9 characters: 7 trigrams, then 6, 5 and 4 longer n-grams; each was trained on, so it has a row
    assert len(spelled) == 22
    raw = network.centre.detach().numpy()
    np.testing.assert_allclose(table[word], raw[[word, *spelled]].mean(0), atol=1e-6)
    np.testing.assert_array_equal(table[spelled], raw[spelled])
    assert vector(vocabulary, table, "walking") == pytest.approx(table[word])


def test_only_buckets_that_occur_have_rows(tmp_path: Path) -> None:
    vocabulary, _, _ = trained(tmp_path)
    every = NGrams(3, 6, 2_000_000, 0)
    distinct = np.unique(every.rows(vocabulary.words)[0])
    np.testing.assert_array_equal(vocabulary.subwords.kept, distinct)
    assert len(vocabulary.encode(["xqzxqz"]).ids) == 0  # none of its n-grams was ever seen


def test_pieces_are_spelled_by_the_tokenizer_in_the_vocabulary(tmp_path: Path) -> None:
    vocabulary, table, _ = trained(tmp_path, kind="pieces", pieces=60)
    assert isinstance(vocabulary.subwords, Pieces)
    assert len(vocabulary.subwords) == 60
    tokens = vocabulary.subwords.tokenizer.encode("jumping").tokens
    assert "".join(tokens) == "jumping"
    assert 1 < len(tokens) < 7
    ids = [vocabulary.subwords.tokenizer.token_to_id(token) + len(vocabulary.words) for token in tokens]
    np.testing.assert_allclose(vector(vocabulary, table, "jumping"), table[ids].mean(0), atol=1e-6)


@pytest.mark.parametrize(
    "option", ["minn=0", "minn=5 maxn=4", "bucket=0", "bucket=3000000000", "kind=letters", "pieces=1"]
)
def test_wrong_options_are_refused(option: str) -> None:
    from textkit import config

    with pytest.raises(UsageError, match=option.split("=")[0]):
        config.resolve(registry.get("fasttext"), None, option.split())
