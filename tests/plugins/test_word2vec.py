"""word2vec: its steps against numpy, autograd and hand-computed numbers; what it learns from a text of known structure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from word_vector_steps import moved

from textkit.corpora.corpus import Corpus
from textkit.errors import TextkitError, UsageError
from textkit.plugin import Epoch
from textkit.registry import registry
from textkit.text.words import Words
from textkit.training.run import Run
from textkit_plugins.embeddings import blocks
from textkit_plugins.embeddings import network as networks
from textkit_plugins.embeddings.kernels import bag_kernel, skipgram_kernel
from textkit_plugins.embeddings.noise import alias_table
from textkit_plugins.embeddings.predicting import Windows, Word2VecConfig

KEEP_ALL = np.ones(6, np.float32)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """On tensors this small torch's threads cost more than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tables(words: int = 6, dim: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return tuple(random.normal(size=(words, dim)).astype(np.float32) for _ in range(2))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def only(word: int, words: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """A noise distribution that always draws one word."""
    weights = np.zeros(words)
    weights[word] = 1
    return alias_table(weights)


def whole(tokens: np.ndarray) -> tuple[np.ndarray, int, int, int]:
    """A text in which all words are centres, as a kernel takes it."""
    return tokens, 0, len(tokens), 0


def batch_of(tokens: list[int]) -> Windows:
    return Windows(*whole(np.array(tokens, np.int32)), 1, sum(token >= 0 for token in tokens))


def test_one_pair_by_hand() -> None:
    # Two words a, b in a line, noise always n, rate 0.5, x = centre[b] = (1, 0), context[a] = (0, 0), context[n] = (2, 0):
    # the step of centre word a: g(a) = 0.5 (1 - sigma(0)) = 0.25, g(n) = -0.5 sigma(2) = -0.4403985
    centre = np.array([[0, 0], [1, 0], [0, 0]], np.float32)
    context = np.array([[0, 0], [0, 0], [2, 0]], np.float32)
    tokens = np.array([0, 1, -1], np.int32)
    skipgram_kernel(2)(*whole(tokens), centre, context, KEEP_ALL[:3], *only(2, 3), 1, 1, np.float32(0.5), np.uint64(1))
    # then centre word b, with x = centre[a] = (0, 0): every dot product 0 with b, centre[a] moves by g * context
    # first step: centre[b] = (1 + 0.25*0 - 0.4403985*2, 0) = (0.119203, 0); context[a] = (0.25, 0); context[n] = (1.5596015, 0)
    # second: g(b) = 0.25, g(n) = -0.25; centre[a] = 0.25*(0,0) - 0.25*(1.5596015, 0); context[b], context[n] move by x = 0
    np.testing.assert_allclose(centre, [[-0.3899004, 0], [0.1192030, 0], [0, 0]], atol=2e-6)
    np.testing.assert_allclose(context, [[0.25, 0], [0, 0], [1.5596015, 0]], atol=2e-6)


@pytest.mark.parametrize("dim", [3, 100, *(pytest.param(dim, marks=pytest.mark.slow) for dim in (1, 16))])
@pytest.mark.parametrize("negatives", [2, *(pytest.param(count, marks=pytest.mark.slow) for count in (1, 5))])
def test_a_window_is_the_gradient_of_its_loss(dim: int, negatives: int) -> None:
    # Reach 1 of 1 and a line of two: the first centre word's step is one SGD step on loss(word 0 | word 1, noise 5 thrice).
    # Products stay below 6, where the kernel's logistic function is off by 5e-7; beyond 6 it is off by 5e-5.
    centre, context = (table * np.float32(dim**-0.25) for table in tables(dim=dim))
    expected_centre = torch.tensor(centre, requires_grad=True)
    expected_context = torch.tensor(context, requires_grad=True)
    for target, other in ((0, 1), (1, 0)):
        positive = torch.nn.functional.logsigmoid(expected_centre[other] @ expected_context[target])
        noise = torch.nn.functional.logsigmoid(-(expected_centre[other] @ expected_context[5]))
        (-(positive + negatives * noise)).backward()
        with torch.no_grad():
            for table in (expected_centre, expected_context):
                table -= 0.1 * table.grad
                table.grad = None
    tokens = np.array([0, 1, -1], np.int32)
    pairs, _, _ = skipgram_kernel(dim)(
        *whole(tokens), centre, context, KEEP_ALL, *only(5), 1, negatives, np.float32(0.1), np.uint64(7)
    )
    assert pairs == 2
    np.testing.assert_allclose(centre, expected_centre.detach(), atol=1e-5)
    np.testing.assert_allclose(context, expected_context.detach(), atol=1e-5)


def test_noise_that_is_the_target_makes_no_step() -> None:
    centre, context = tables()
    before = context.copy()
    tokens = np.array([2, 3, -1], np.int32)
    own = alias_table(np.array([0, 0, 1.0, 0, 0, 0]))
    x = centre[3].copy()
    skipgram_kernel(5)(*whole(tokens), centre, context, KEEP_ALL, *own, 1, 4, np.float32(0.1), np.uint64(1))
    step = 0.1 * (1 - sigmoid(x @ before[2])) * x
    # As target, word 2 takes only its positive step; as noise of target 3 it takes four more, with x = centre[2].
    after_first = before[2] + step
    y = tables()[0][2]
    expected = after_first - 4 * 0.1 * sigmoid(y @ after_first) * y
    np.testing.assert_allclose(context[2], expected, atol=1e-5)


def test_lines_are_windows_of_their_own() -> None:
    centre, context = tables()
    before = centre.copy()
    tokens = np.array([0, -1, 1, -1, -1, 2], np.int32)
    pairs, _, _ = skipgram_kernel(5)(
        *whole(tokens), centre, context, KEEP_ALL, *only(5), 3, 2, np.float32(0.1), np.uint64(1)
    )
    assert pairs == 0
    np.testing.assert_array_equal(centre, before)


def test_subsampling_leaves_out_what_it_should() -> None:
    # word2vec.c: an occurrence stays with probability sqrt(t/f) + t/f; f = 0.5, t = 0.02: 0.2 + 0.04
    counts = np.array([500, 499, 1])
    keep = networks.keep_probability(counts, 0.02)
    assert keep[0] == pytest.approx(0.24)
    assert keep[2] == 1
    np.testing.assert_array_equal(networks.keep_probability(counts, 0), [1, 1, 1])
    centre, context = tables(words=3)
    tokens = np.zeros(200_000, np.int32)
    pairs, _, _ = skipgram_kernel(5)(
        *whole(tokens), centre, context, keep, *only(2, 3), 1, 1, np.float32(0), np.uint64(3)
    )
    # 48,000 words stay, in sentences of 1,000: two pairs per word, minus two per sentence
    assert pairs == pytest.approx(2 * 48_000 * 0.999, rel=0.02)


def test_reach_is_drawn_evenly() -> None:
    centre, context = tables()
    tokens = np.arange(100_000, dtype=np.int32) % 5
    pairs, _, _ = skipgram_kernel(5)(
        *whole(tokens), centre, context, KEEP_ALL, *only(5), 5, 1, np.float32(0), np.uint64(3)
    )
    assert pairs / 100_000 == pytest.approx(6, rel=0.02)  # the mean of 2, 4, 6, 8, 10


def test_noise_follows_its_distribution() -> None:
    weights = np.array([8.0, 1, 4, 2, 1, 0])
    threshold, alias = alias_table(weights)
    slots = np.arange(6)
    probability = np.zeros(6)
    np.add.at(probability, slots, threshold / 6)
    np.add.at(probability, alias, (1 - threshold) / 6)
    np.testing.assert_allclose(probability, weights / 16, atol=1e-7)


def test_cbow_gives_each_word_the_whole_gradient_of_the_mean() -> None:
    centre, context = tables()
    c, o = torch.tensor(centre), torch.tensor(context, requires_grad=True)
    # window 1 in a line of three: word 1 is predicted from the mean of 0 and 2; words 0 and 2 from word 1
    for target, bag in ((0, [1]), (1, [0, 2]), (2, [1])):
        hidden = c[bag].mean(0).requires_grad_()
        sign = torch.nn.functional.logsigmoid
        (-(sign(hidden @ o[target]) + sign(-(hidden @ o[5])))).backward()
        with torch.no_grad():
            c[bag] -= 0.1 * hidden.grad  # word2vec.c adds neu1e to each, undivided
            o -= 0.1 * o.grad
            o.grad = None
    own = np.arange(7)
    tokens = np.array([0, 1, 2, -1], np.int32)
    bag_kernel(5)(*whole(tokens), centre, context, own, own[:-1].astype(np.int32), KEEP_ALL, *only(5), 1, 1, np.float32(0.1),
        np.uint64(1), True,
    )  # fmt: skip
    np.testing.assert_allclose(centre, c, atol=1e-5)
    np.testing.assert_allclose(context, o.detach(), atol=1e-5)


def small_network(**options: object) -> tuple[networks.WordVectors, Word2VecConfig]:
    config = Word2VecConfig(dim=8, window=2, negative=3, subsample=0, **options)
    counts = np.array([40, 30, 20, 10, 5, 5])
    torch.manual_seed(0)
    network = networks.WordVectors(counts, np.arange(7), np.arange(6, dtype=np.int32), config, bound=0.5)
    with torch.no_grad():
        network.context.uniform_(-0.5, 0.5)
    return network, config


@pytest.mark.parametrize("model", ["skipgram", "cbow"])
def test_softmax_is_cross_entropy_over_the_vocabulary(model: str) -> None:
    network, config = small_network(loss="softmax", model=model)
    config = dataclasses.replace(config, window=1)
    centre, context = network.centre.detach().clone().numpy(), network.context.detach().clone().numpy()
    log = networks.descend_softmax(network, batch_of([0, 1, 2, -1]), 0.1, config)
    pairs = [([0], 1), ([1], 0), ([1], 2), ([2], 1)] if model == "skipgram" else [([1], 0), ([0, 2], 1), ([1], 2)]
    loss, centre_step, context_step = 0.0, np.zeros_like(centre), np.zeros_like(context)
    for bag, target in pairs:
        hidden = centre[bag].mean(0)
        scores = np.exp(context @ hidden)
        probability = scores / scores.sum()
        loss -= np.log(probability[target])
        error = probability - np.eye(6)[target]
        context_step -= 0.1 * np.outer(error, hidden)
        centre_step[bag] -= 0.1 * (error @ context) / len(bag)
    assert log["pairs"] == len(pairs)
    assert log["loss"] == pytest.approx(loss / len(pairs), rel=1e-5)
    np.testing.assert_allclose(network.centre.detach(), centre + centre_step, atol=1e-6)
    np.testing.assert_allclose(network.context.detach(), context + context_step, atol=1e-6)


@pytest.mark.parametrize("model", ["skipgram", "cbow"])
def test_the_step_for_gpus_takes_the_same_gradient(model: str) -> None:
    # Two lines of three words; the noise is always word 5. The tensor step takes all gradients at the start. At such a
    # small rate the CPU's sequential steps are the same to first order.
    network, config = small_network(model=model)
    config = dataclasses.replace(config, window=1, negative=2)
    threshold, alias = only(5)
    for name, array in (("threshold", threshold), ("alias", alias)):
        getattr(network, name).copy_(torch.from_numpy(array))
    batch = batch_of([0, 1, 2, -1, 2, 3, 4, -1])
    (told, by_kernel), (also, by_products) = moved(
        network,
        [
            lambda: networks.descend(network, batch, 1e-3, config, 1),
            lambda: blocks.descend_blocks(network, batch, 1e-3, config),
        ],
    )
    assert told["pairs"] == also["pairs"] == (8 if model == "skipgram" else 6)
    for cpu, gpu in zip(by_kernel, by_products, strict=True):
        assert float(cpu.abs().max()) > 1e-4
        torch.testing.assert_close(gpu, cpu, atol=2e-6, rtol=1e-2)


def test_a_crowded_word_counts_as_sixteen_pairs_on_a_gpu() -> None:
    network, config = small_network()
    config = dataclasses.replace(config, window=1, negative=1)
    for name, array in zip(("threshold", "alias"), only(5), strict=True):
        getattr(network, name).copy_(torch.from_numpy(array))
    start = network.centre.detach().clone()
    few, many = ([0, 1, -1] * 8, [0, 1, -1] * 800)
    moved = []
    for tokens in (few, many):
        with torch.no_grad():
            network.centre.copy_(start)
        blocks.descend_blocks(network, batch_of(tokens), 1e-3, config)
        moved.append(float((network.centre.detach() - start)[0].norm()))
    assert moved[1] == pytest.approx(2 * moved[0], rel=0.05)  # 16 pairs' worth against 8, not 800


PLANTED = [("cat", "dog", "pet"), ("car", "road", "wheel"), ("sun", "moon", "sky"), ("tea", "cup", "milk")]


def planted(path: Path, lines: int = 1500) -> Path:
    random = np.random.default_rng(5)
    with path.open("w") as out:
        for _ in range(lines):
            group = PLANTED[random.integers(len(PLANTED))]
            out.write(" ".join(random.choice(group, 6)) + "\n")
    return path


def trained(folder: Path, data: Path, threads: int = 1, **options: object) -> tuple[Words, np.ndarray]:
    """Trains in a plain loop, without the engine; gives the vocabulary and the exported table."""
    plugin = registry.get("word2vec")
    config = Word2VecConfig(dim=16, subsample=0, min_count=1, **options)
    run = Run.create(folder, plugin, config, plugin.training, 1, [data])
    corpus = Corpus([data])
    vocabulary = plugin.vocabulary(corpus, config)
    run.save_vocabulary(vocabulary)
    network = run.new_network()
    for number in range(3):
        for batch in plugin.batches(corpus, vocabulary, config, Epoch(number, 1, 0, 20_000, run.scratch)):
            plugin.update(network, batch, 0.05, config, threads)
    return vocabulary, network.table(config.vectors).numpy()


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"model": "cbow"}, marks=pytest.mark.slow),
        {"vectors": "sum"},
        pytest.param({"loss": "softmax", "softmax_words": 8}, marks=pytest.mark.slow),
        pytest.param({"loss": "softmax", "softmax_words": 8, "model": "cbow"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_words_of_one_kind_end_up_together(tmp_path: Path, options: dict) -> None:
    vocabulary, table = trained(tmp_path / "run", planted(tmp_path / "text"), **options)
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    for group in PLANTED:
        for word in group:
            cosines = unit @ unit[vocabulary.id(word)]
            near = {vocabulary.words[i] for i in np.argsort(-cosines)[:3]}
            assert near == set(group)


@pytest.mark.parametrize("plugin", ["word2vec", "fasttext"])
def test_lines_of_one_word_are_too_small_a_corpus(tmp_path: Path, plugin: str) -> None:
    data = tmp_path / "text"
    data.write_text("a\nb\n" * 9)
    with pytest.raises(TextkitError, match="text: the corpus is too small: no line of it has two words"):
        start(tmp_path / "run", data, plugin)
    data.write_text("a\nb\n" * 9 + "b a\n")
    assert start(tmp_path / "run2", data, plugin) > 0


def start(folder: Path, data: Path, name: str) -> int:
    """The number of updates per epoch."""
    plugin = registry.get(name)
    config = plugin.Config(dim=2, min_count=1)
    run = Run.create(folder, plugin, config, plugin.training, 1, [data])
    corpus = Corpus([data])
    return plugin.steps(corpus, plugin.vocabulary(corpus, config), config, Epoch(0, 1, 0, 20_000, run.scratch))


def test_one_thread_repeats_to_the_bit_and_two_learn_as_well(tmp_path: Path) -> None:
    data = planted(tmp_path / "text", 500)
    first = trained(tmp_path / "a", data)[1]
    np.testing.assert_array_equal(first, trained(tmp_path / "b", data)[1])
    two = trained(tmp_path / "c", data, threads=2)[1]
    assert np.isfinite(two).all()
    assert np.abs(two).max() == pytest.approx(np.abs(first).max(), rel=0.5)


def test_an_epoch_begins_where_it_is_told_to(tmp_path: Path) -> None:
    plugin, data = registry.get("word2vec"), planted(tmp_path / "text", 2000)
    config = Word2VecConfig(min_count=1)
    run = Run.create(tmp_path / "run", plugin, config, plugin.training, 1, [data])
    corpus = Corpus([data])
    vocabulary = plugin.vocabulary(corpus, config)
    every = list(plugin.batches(corpus, vocabulary, config, Epoch(1, 1, 0, 1000, run.scratch)))
    rest = list(plugin.batches(corpus, vocabulary, config, Epoch(1, 1, 5, 1000, run.scratch)))
    assert len(every) == plugin.steps(corpus, vocabulary, config, Epoch(0, 1, 0, 1000, run.scratch)) == 12
    assert sum(batch.words for batch in every) == 12_000
    assert len(rest) == 7
    for left, right in zip(every[5:], rest, strict=True):
        assert left.seed == right.seed
        np.testing.assert_array_equal(left.tokens, right.tokens)
    other = next(plugin.batches(corpus, vocabulary, config, Epoch(2, 1, 5, 1000, run.scratch)))
    assert other.seed != rest[0].seed


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("model=skip", "skipgram, cbow"),
        ("loss=hinge", "negative, softmax"),
        ("vectors=both", "centre, context, sum"),
        ("dim=0", "at least 1"),
        ("subsample=-1", "at least 0"),
        ("windo=3", "'window'"),
    ],
)
def test_wrong_options_are_named(option: str, said: str) -> None:
    from textkit import config

    with pytest.raises(UsageError, match=said):
        config.resolve(registry.get("word2vec"), None, [option])


def epoch_of(folder: Path, plugin: str, size: int, rate: float = 0.05, threads: int = 1, **options: object) -> tuple:
    """Trains one epoch at one rate in batches of `size` words: the pairs, the loss per pair, the network."""
    family = registry.get(plugin)
    config = family.Config(dim=16, min_count=1, **options)
    data = folder / "text"
    if not data.exists():
        planted(data, 60)
    run = Run.create(folder / f"run{len(list(folder.iterdir()))}", family, config, family.training, 1, [data])
    corpus = Corpus([data])
    run.save_vocabulary(family.vocabulary(corpus, config))
    network = run.new_network()
    pairs, loss = 0, 0.0
    for batch in family.batches(corpus, run.vocabulary, config, Epoch(0, 1, 0, size, run.scratch)):
        log = family.update(network, batch, rate, config, threads)
        pairs += log["weight"]
        loss += log.get("loss", 0.0) * log["weight"]
    return pairs, loss / pairs, network


@pytest.mark.parametrize(
    ("plugin", "options"),
    [
        ("word2vec", {"subsample": 0}),
        ("word2vec", {"subsample": 0.05, "model": "cbow"}),
        ("fasttext", {"subsample": 0.05}),
    ],
    ids=str,
)
def test_how_a_text_is_cut_into_batches_changes_no_bit_of_what_is_learnt(
    tmp_path: Path, plugin: str, options: dict
) -> None:
    """Each window is an example of its own: even in a batch of one it has its whole context and the same random draws."""
    pairs, _, network = epoch_of(tmp_path, plugin, 0, **options)
    assert pairs > 200
    for size in (1, 7, 100):
        other, _, learnt = epoch_of(tmp_path, plugin, size, **options)
        assert other == pairs
        assert torch.equal(learnt.centre, network.centre)
        assert torch.equal(learnt.context, network.context)


def test_threads_cut_no_window(tmp_path: Path) -> None:
    assert epoch_of(tmp_path, "word2vec", 0, threads=3)[0] == epoch_of(tmp_path, "word2vec", 1)[0]


@pytest.mark.parametrize("model", ["skipgram", "cbow"])
def test_softmax_and_the_step_for_gpus_have_the_windows_of_the_kernels(tmp_path: Path, model: str) -> None:
    wanted = epoch_of(tmp_path, "word2vec", 0, subsample=0.05, model=model)[0]
    found = [
        epoch_of(tmp_path, "word2vec", 0, subsample=0.05, model=model, loss="softmax", softmax_words=n)[0]
        for n in (1, 9)
    ]
    assert found == [wanted] * 2
    descend, networks.descend = networks.descend, lambda *given: blocks.descend_blocks(*given[:-1])
    block, blocks.BLOCK = blocks.BLOCK, 50
    try:
        assert [epoch_of(tmp_path, "word2vec", n, subsample=0.05, model=model)[0] for n in (0, 13)] == [wanted] * 2
    finally:
        networks.descend, blocks.BLOCK = descend, block


@pytest.mark.parametrize("plugin", ["word2vec", "fasttext"])
def test_single_example_descent_learns(tmp_path: Path, plugin: str) -> None:
    from textkit.training.events import EpochDone
    from textkit.training.trainer import train

    family, data = registry.get(plugin), planted(tmp_path / "text", 150)
    config = family.Config(dim=16, subsample=0, min_count=1)
    ends = []
    for size in (1, 500):
        training = dataclasses.replace(family.training, batch_size=size, epochs=3, learning_rate=0.1)
        run = Run.create(tmp_path / f"run{size}", family, config, training, 1, [data])
        events = list(train(run, Corpus([data]), device="cpu", threads=1))
        losses = [event.loss for event in events if isinstance(event, EpochDone)]
        assert losses[-1] < 0.5 * 6 * np.log(2)  # half of the loss of zero vectors
        assert losses[-1] < losses[0]
        ends.append(losses[-1])
    assert ends[0] == pytest.approx(ends[1], rel=0.1)
