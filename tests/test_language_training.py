"""What language models share in training: chunks by hand, the state between them, perplexity, resuming."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from textkit.config import resolve
from textkit.corpora.corpus import Corpus
from textkit.corpora.text_stream import count_chunks, encoded_text, side_by_side, text_chunks
from textkit.errors import TextkitError, UsageError
from textkit.families.carried import Carried
from textkit.plugin import Epoch, Training
from textkit.tasks.language.family import LanguageOptions, LanguagePlugin, dev_loss
from textkit.training.events import EpochDone, Scored, Stopped
from textkit.training.run import Run
from textkit.training.trainer import train

LETTERS = "abcdefgh"


@dataclass(frozen=True)
class FadingOptions(LanguageOptions):
    dropout: float = 0.0


class Fading(LanguagePlugin):
    """s_t = s_(t-1) / 2 + C(w_t): words read earlier fade, and the next word is a softmax over s_t."""

    name = "fading"
    summary = "a toy"
    Config = FadingOptions
    training = Training(epochs=3, learning_rate=0.05)

    def network(self, config, vocabulary):
        return Network(len(vocabulary), config.streams, config.dropout)


class Network(nn.Module):
    def __init__(self, words, streams, dropout=0.0):
        super().__init__()
        self.table = nn.Embedding(words, 4)
        self.output = nn.Linear(4, words)
        self.dropout = nn.Dropout(dropout)
        self.carried = Carried(self.begin(streams))

    @property
    def project_weight(self):
        return self.output.weight

    @property
    def project_bias(self):
        return self.output.bias

    def begin(self, lines):
        return (torch.zeros(lines, 4),)

    def hidden(self, token, state):
        (mind,), found = state, []
        for rows in self.dropout(self.table(token)).unbind(1):
            mind = mind / 2 + rows
            found.append(mind)
        return torch.stack(found, 1), (mind,)


class Given(nn.Module):
    """A table gives log p of the next word for each word before."""

    def __init__(self, table):
        super().__init__()
        self.table = nn.Parameter(torch.tensor(table).log())

    def begin(self, lines):
        return ()

    def hidden(self, token, state):
        return self.table[token], ()

    def project(self, hidden):
        return hidden


def epoch(number=0, start=0, seed=3):
    return Epoch(number, seed, start)


def chunks(ids, start=0, number=0, streams=2, bptt=3, random_bptt=False):
    return list(text_chunks(np.asarray(ids, np.int32), epoch(number, start), streams, bptt, random_bptt))


def corpus_of(tmp_path, text):
    (tmp_path / "text.txt").write_text(text)
    return Corpus([tmp_path / "text.txt"])


def rule_of(corpus, **options):
    return Fading().vocabulary(corpus, FadingOptions(**{"min_count": 1, **options}))


def test_chunks_by_hand(monkeypatch):
    """Eleven tokens, read as a ring from token 4 on, in two streams of five, each with the token before it."""
    monkeypatch.setattr(np.random, "default_rng", lambda seed: SimpleNamespace(integers=lambda high: 4))
    first, second = chunks(np.arange(11))
    assert first.ids.tolist() == [[3, 4, 5, 6], [8, 9, 10, 0]]
    assert second.ids.tolist() == [[6, 7, 8], [0, 1, 2]]
    assert (first.fresh, second.fresh) == (True, False)
    assert (first.share, first.examples, first.words, second.words) == (1.0, 2, 6, 4)


def test_every_word_is_guessed_once_an_epoch_after_the_one_before():
    ids = np.arange(60)
    for random_bptt in (False, True):
        pairs = [
            pair
            for chunk in chunks(ids, streams=4, bptt=7, random_bptt=random_bptt)
            for row in chunk.ids.tolist()
            for pair in zip(row, row[1:], strict=False)
        ]
        assert sorted(after for _, after in pairs) == list(range(60))
        assert all(after == (before + 1) % 60 for before, after in pairs)


def test_an_epoch_begins_elsewhere_and_comes_again_from_anywhere():
    ids = np.arange(1000)
    for random_bptt in (False, True):
        whole = chunks(ids, random_bptt=random_bptt, bptt=20)
        assert len(whole) == count_chunks(ids, epoch(), 2, 20, random_bptt)
        for start in (1, 5, len(whole)):
            rest = chunks(ids, start, random_bptt=random_bptt, bptt=20)
            assert len(rest) == len(whole) - start
            assert all(torch.equal(a.ids, b.ids) and a[1:] == b[1:] for a, b in zip(rest, whole[start:], strict=True))
        other = chunks(ids, number=1, random_bptt=random_bptt, bptt=20)
        assert not torch.equal(whole[0].ids[0, :5], other[0].ids[0, :5])


def test_random_lengths_are_those_of_the_paper():
    """Merity et al. 2018, section 5: N(bptt, 5), and for one chunk in twenty N(bptt / 2, 5)."""
    made = chunks(np.zeros(2_000_000), streams=1, bptt=70, random_bptt=True)[:-1]
    lengths = np.array([chunk.words for chunk in made])
    assert [chunk.share for chunk in made] == [length / 70 for length in lengths]
    assert np.mean(lengths < 52) == pytest.approx(0.05, abs=0.005)
    assert lengths[lengths > 52].mean() == pytest.approx(69.5, abs=0.2)  # drawn numbers are rounded down
    assert lengths[lengths > 52].std() == pytest.approx(5, abs=0.2)
    assert lengths.min() >= 5
    assert lengths.max() <= 90
    assert min(chunk.words for chunk in chunks(np.zeros(400), streams=1, bptt=2, random_bptt=True)[:-1]) == 2


def test_a_text_side_by_side_is_read_once():
    ids = np.arange(10, 17)
    (first, real_first), (second, real_second) = side_by_side(ids, 3, 9, 2)
    assert first.tolist() == [[9, 10, 11], [12, 13, 14], [15, 16, 16]]
    assert real_first.tolist() == [[True, True], [True, True], [True, False]]
    assert second[:2].tolist() == [[11, 12], [14, 15]]
    assert real_second.tolist() == [[True], [True], [False]]
    ((only, real),) = side_by_side(ids[:2], 5, 9, 4)
    assert only.tolist() == [[9, 10], [10, 11]]
    assert real.all()


def test_text_is_one_row_of_ids_in_a_file(tmp_path):
    corpus = corpus_of(tmp_path, "b a\n\na\n")
    rule = rule_of(corpus)
    (tmp_path / "scratch").mkdir()
    run = SimpleNamespace(scratch=tmp_path / "scratch", facts={})
    found = encoded_text(corpus, rule, run.scratch)
    assert isinstance(found, np.memmap)
    assert [rule.token(int(row)) for row in found] == ["b", "a", "<eos>", "<eos>", "a", "<eos>"]
    (tmp_path / "text.txt").write_text("other\n")
    assert np.array_equal(encoded_text(corpus, rule, run.scratch), found)  # encoded only once
    assert len(encoded_text(corpus, rule, None)) == 2


@pytest.mark.parametrize("random_bptt", [False, True])
def test_state_goes_from_chunk_to_chunk_as_in_one_long_run(random_bptt):
    ids = np.random.default_rng(0).integers(0, 9, 241)
    torch.manual_seed(1)
    network, plugin = Network(9, 3), Fading()
    made = chunks(ids, streams=3, bptt=7, random_bptt=random_bptt)
    total = 0.0
    for chunk in made:
        loss, log = plugin.loss(network, chunk)
        total += loss.item() * chunk.words
        assert log["words"] == log["weight"] == chunk.words
        assert log["perplexity"].item() == pytest.approx(math.exp(loss.item()), rel=1e-5)
    text = torch.cat([made[0].ids, *(chunk.ids[:, 1:] for chunk in made[1:])], 1)  # [stream, token + 1]
    hidden, (last,) = network.hidden(text[:, :-1], network.begin(3))
    wanted = nn.functional.cross_entropy(network.output(hidden).flatten(0, 1), text[:, 1:].flatten(), reduction="sum")
    assert total == pytest.approx(wanted.item(), rel=1e-5)
    assert torch.allclose(network.carried.state0, last, atol=1e-5)
    assert not network.carried.state0.requires_grad
    again, _ = plugin.loss(network, made[0])  # fresh: the carried state is forgotten
    assert again.item() == pytest.approx(plugin.loss(network, made[0])[0].item(), abs=0)
    assert not torch.equal(network.carried.state0, last)


def test_a_short_chunk_has_a_smaller_gradient_and_the_same_loss():
    network, plugin = Network(9, 2), Fading()
    (chunk,) = chunks(np.arange(8), bptt=4)
    plain, _ = plugin.loss(network, chunk)
    plain.backward()
    gradient = network.table.weight.grad.clone()
    network.zero_grad()
    scaled, _ = plugin.loss(network, chunk._replace(share=0.25))
    scaled.backward()
    assert scaled.item() == pytest.approx(plain.item(), rel=1e-6)
    assert torch.allclose(network.table.weight.grad, gradient / 4, atol=1e-7)


def test_penalties_are_learnt_from_and_not_counted_as_perplexity():
    class Bound(Network):
        def regularised(self, token, state):
            return *self.hidden(token, state), self.table.weight.pow(2).sum()

    torch.manual_seed(0)
    network, plugin = Bound(9, 2), Fading()
    (chunk,) = chunks(np.arange(8), bptt=4)
    loss, log = plugin.loss(network, chunk)
    assert loss.item() - log["perplexity"].log().item() == pytest.approx(
        network.table.weight.pow(2).sum().item(), rel=1e-4
    )


# A language of two words and the end of a line; a row for each word before: <eos>, <unk>, a, b.
TABLE = [[0.5, 0.0001, 0.25, 0.2499], [0.25] * 4, [0.125, 0.0001, 0.25, 0.6249], [0.5, 0.0001, 0.4, 0.0999]]


@pytest.mark.parametrize("streams", [1, 2, 3, 50])
@pytest.mark.parametrize("bptt", [1, 2, 70])
def test_perplexity_by_hand(tmp_path, streams, bptt):
    """a b <eos> <eos> a <eos>: p = 1/4 * 0.6249 * 1/2 * 1/2 * 1/4 * 1/8."""
    dev = corpus_of(tmp_path, "a b\n \na\n")
    rule = rule_of(corpus_of(tmp_path, "a b\n \na\n"))
    assert [rule.token(row) for row in range(4)] == ["<eos>", "<unk>", "a", "b"]
    network = Given(TABLE)
    options = LanguageOptions(score_streams=streams, bptt=bptt)
    score = Fading().score(network, dev, rule, options)
    product = 0.25 * 0.6249 * 0.5 * 0.5 * 0.25 * 0.125
    assert score.value == pytest.approx(product ** (-1 / 6), rel=1e-5)
    assert (score.name, score.higher_is_better) == ("perplexity", False)
    assert score.detail == {"loss": pytest.approx(math.log(score.value), rel=1e-6)}
    assert dev_loss(network, dev, rule, options)[1] == 6


def test_perplexity_of_a_word_where_tokens_are_bytes(tmp_path):
    """ab c<eos>, <eos>: six tokens of p = 1/257 each, in two words and two ends of lines."""
    dev = corpus_of(tmp_path, "ab c\n\n")
    rule = rule_of(dev, vocab="byte")
    score = Fading().score(Given([[1 / 257] * 257] * 257), dev, rule, LanguageOptions())
    assert score.value == pytest.approx(257, rel=1e-4)
    assert score.detail["word_perplexity"] == pytest.approx(257 ** (6 / 4), rel=1e-4)


def test_dev_score_reads_a_text_with_its_state(tmp_path):
    dev = corpus_of(tmp_path, "".join(f"{a} {b}\n" for a in LETTERS for b in LETTERS))
    rule = rule_of(dev)
    network = Network(len(rule), 4).eval()
    held = network.carried.state0 + 1
    network.carried.state0 = held
    total, count = dev_loss(network, dev, rule, LanguageOptions(score_streams=1, bptt=5))
    ids = torch.tensor(np.concatenate([[0], rule.encode(list(dev.lines())).ids]))[None]  # [1, token + 1]
    hidden, _ = network.hidden(ids[:, :-1], network.begin(1))
    wanted = nn.functional.cross_entropy(network.output(hidden)[0], ids[0, 1:], reduction="sum")
    assert (total, count) == (pytest.approx(wanted.item(), rel=1e-5), 192)
    assert torch.equal(network.carried.state0, held)  # the state that training carries is untouched


class Known(Run):
    """A run whose plugin need not be in the registry."""

    plugin = Fading()


@pytest.fixture
def make(tmp_path):
    draw = random.Random(1)
    file = tmp_path / "data.txt"
    file.write_text(
        "".join(" ".join(draw.choice(LETTERS) for _ in range(draw.randrange(9))) + "\n" for _ in range(200))
    )

    def make(folder="run", **options):
        given = {"streams": 3, "bptt": 8, "min_count": 1, "dropout": 0.3, **options}
        config, training = resolve(Known.plugin, None, [f"{key}={value}" for key, value in given.items()])
        return Known.create(tmp_path / folder, Known.plugin, config, training, 1, [file])

    return make


def finish(run, **options):
    return list(train(run, run.corpus, device="cpu", threads=1, **options))


@pytest.mark.parametrize(
    "options", [{}, {"random_bptt": False, "accumulate": 3, "schedule": "linear"}, {"optimizer": "sgd", "ema": 0.9}]
)
def test_interrupted_anywhere_it_ends_with_the_same_bits(make, options):
    whole = make("whole", **options)
    finish(whole)
    run, stops, draw = make(**options), 0, random.Random(5)
    while not run.complete:
        left = draw.randrange(1, 14)

        def stop():
            nonlocal left
            left -= 1
            return left <= 0

        stops += any(isinstance(event, Stopped) for event in finish(Known.open(run.folder), resume=True, stop=stop))
        random.random(), np.random.random(), torch.rand(1)  # another process would have other random states
        run = Known.open(run.folder)
    assert stops > 3
    assert run.weights.read_bytes() == whole.weights.read_bytes()
    assert run.facts["dev_score"] == whole.facts["dev_score"]


def test_what_was_read_before_an_interruption_is_still_in_mind(make):
    """If the state had no effect, the test above would prove nothing about it."""
    run, forgetful = make(dropout=0), make("forgetful", dropout=0)
    finish(run)
    asked = iter([False] * 3)
    finish(forgetful, stop=lambda: next(asked, True))
    read, Carried.read = Carried.read, lambda self, fresh: read(self, True)
    try:
        finish(Known.open(forgetful.folder), resume=True)
    finally:
        Carried.read = read
    assert run.weights.read_bytes() != forgetful.weights.read_bytes()


def test_training_lowers_the_perplexity(make):
    events = finish(make(epochs=6, dropout=0))
    losses = [event.loss for event in events if isinstance(event, EpochDone)]
    scores = [event.score.value for event in events if isinstance(event, Scored)]
    assert losses[-1] < losses[0] - 0.1
    assert scores[-1] < scores[0]


def test_a_text_with_fewer_tokens_than_streams_is_an_error(make, tmp_path):
    with pytest.raises(TextkitError, match=r"data\.txt: the corpus is too small: \d+ tokens for streams=5000"):
        finish(make(streams=5000))


def test_several_processes_are_refused(make):
    run = make()
    run.facts["processes"] = 2
    run.save_vocabulary(rule_of(run.corpus))
    with pytest.raises(UsageError, match="one process trains it"):
        next(Fading().batches(run.corpus, run.vocabulary, run.config, run.epoch(0, 0, 3)))


def test_options_out_of_range_are_refused():
    for key in ("streams", "bptt", "score_streams"):
        with pytest.raises(ValueError, match=f"{key}=0"):
            LanguageOptions(**{key: 0})
