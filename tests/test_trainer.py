"""The training loop with the toys of training_toys.py: what it does, and that an interruption changes no bit of the result."""

from __future__ import annotations

import json
import os
import random
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from training_toys import Options, Toy, ToyFit, ToyOwn

from textkit.config import resolve
from textkit.corpora.corpus import Corpus
from textkit.errors import TextkitError, TextkitWarning, UsageError
from textkit.plugin import Score, Training
from textkit.training import standing, trainer
from textkit.training.events import Done, EpochDone, Progress, Saved, Scored, Started, Stopped
from textkit.training.logbook import Logbook
from textkit.training.run import Run
from textkit.training.trainer import train


@pytest.fixture
def data(tmp_path):
    """100 lines of five words."""
    draw = random.Random(1)
    path = tmp_path / "data.txt"
    path.write_text("".join(" ".join(draw.choice("abcdefgh") for _ in range(5)) + "\n" for _ in range(100)))
    return path


class Known(Run):
    """A run whose plugin need not be in the registry."""

    known = Toy()

    @property
    def plugin(self):
        return self.known


@pytest.fixture
def make(tmp_path, data, monkeypatch):
    """make(plugin, key=value...) -> a new run on `data`."""

    def make(plugin=None, seed=1, folder="run", **options):
        monkeypatch.setattr(Known, "known", plugin or Toy())
        config, training = resolve(Known.known, None, [f"{key}={value}" for key, value in options.items()])
        return Known.create(tmp_path / folder, Known.known, config, training, seed, [data])

    return make


def finish(run, data, **options):
    return list(train(run, Corpus([data]), threads=1, **options))


def only(kind, events):
    return [event for event in events if isinstance(event, kind)]


class Unscored(Toy):
    """A toy without a dev score: it trains on everything."""

    score = Toy.__mro__[1].score


def weights_of(run):
    return run.weights.read_bytes()


def test_a_training_from_end_to_end(make, data):
    run = make(epochs=2)
    events = finish(run, data)
    started, done = only(Started, events)[0], only(Done, events)[0]
    lines = run.split["lines"]
    assert sum(lines.values()) == 100
    updates = -(-lines["train"] // 4)
    assert (started.step, started.epochs, started.device) == (0, 2, "cpu")
    assert [event.step for event in only(EpochDone, events)] == [updates, 2 * updates]
    assert len(only(Scored, events)) == 2
    assert done.reason == "epochs"
    again = Known.open(run.folder)
    assert again.complete
    assert again.facts == done.facts
    assert again.facts["lines"] == lines["train"]
    assert again.facts["examples"] == 2 * lines["train"]
    assert again.facts["words"] == 10 * lines["train"]
    assert sorted(path.name for path in run.folder.iterdir()) == [
        "dev.txt", "run.json", "sample.txt", "test.txt", "vocabulary", "weights.safetensors",
    ]  # fmt: skip
    data.unlink()  # the run does not need the data
    network = again.network()
    assert not network.training
    assert network.out.weight is network.table.weight
    assert len(again.sample()) == lines["train"]
    assert again.vocabulary.counts.sum() == 5 * lines["train"]
    assert only(Done, train(again, Corpus([data])))[0].reason == "complete"


def test_training_lowers_the_loss(make, data):
    losses = [event.loss for event in only(EpochDone, finish(make(epochs=5, dropout=0), data))]
    assert losses == sorted(losses, reverse=True)


def test_what_torch_keeps_is_bounded_unless_the_user_set_it(make, data, monkeypatch):
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    finish(make(epochs=1), data)
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "64"
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "0"


def test_without_a_dev_score_it_trains_on_everything(make, data):
    run = make(Unscored(), epochs=1)
    events = finish(run, data)
    assert run.split is None
    assert run.facts["lines"] == 100
    assert not only(Scored, events)


def test_with_a_dev_file_it_trains_on_everything(make, data, tmp_path):
    (tmp_path / "dev").write_text("a b c\n")
    run = make(epochs=1)
    events = finish(run, data, dev=Corpus([tmp_path / "dev"]))
    assert run.split is None
    assert run.facts["lines"] == 100
    assert only(Scored, events)[0].score.detail == {"lines": 1}


@pytest.mark.parametrize("plugin", [Unscored(), ToyOwn()])
def test_same_seed_same_bits_other_seed_others(make, data, plugin):
    runs = [make(plugin, seed, folder=name, epochs=1) for seed, name in ((1, "a"), (1, "b"), (2, "c"))]
    for run in runs:
        finish(run, data)
    first, same, other = map(weights_of, runs)
    assert first == same
    assert first != other


def test_the_generators_outside_are_left_alone(make, data):
    torch.manual_seed(3)
    expected = torch.rand(1).item()
    torch.manual_seed(3)
    finish(make(epochs=1), data)
    assert torch.rand(1).item() == expected
    assert not torch.are_deterministic_algorithms_enabled()


RICH = {"accumulate": 3, "clip": 0.5, "l1": 0.001, "l2": 0.01, "schedule": "linear", "warmup": 5, "optimizer": "adamw"}
CASES = [
    (Toy(), RICH),
    (Toy(), {"optimizer": "sgd", "momentum": 0.9, "schedule": "cosine", "eval_steps": 7, "max_steps": 50}),
    (Toy(), {"precision": "bf16", "optimizer": "adagrad"}),
    (Toy(), {"batch_size": 0, "epochs": 9}),
    (Toy(), {"patience": 2, "epochs": 30, "learning_rate": 0.5}),
    (ToyOwn(), {}),
]


@pytest.mark.parametrize(("plugin", "options"), CASES)
def test_interrupted_anywhere_it_ends_with_the_same_bits(make, data, monkeypatch, plugin, options):
    monkeypatch.setattr("textkit.training.standing.FULL_BATCH_PIECE", 16)
    whole = make(plugin, folder="whole", **options)
    events = finish(whole, data)
    batches = 0
    run = make(plugin, **options)
    draw = random.Random(5)
    while not run.complete:
        left = draw.randrange(1, 12)

        def stop():
            nonlocal left
            left -= 1
            return left <= 0

        some = finish(Known.open(run.folder), data, resume=True, stop=stop)
        batches += 1
        random.random(), np.random.random(), torch.rand(1)  # another process would have other random states
        run = Known.open(run.folder)
    assert batches > 3
    assert only(Stopped, some) == []
    assert weights_of(run) == weights_of(whole)
    facts = {key: value for key, value in run.facts.items() if key != "seconds"}
    assert facts == {key: value for key, value in only(Done, events)[0].facts.items() if key != "seconds"}


def test_batches_made_ahead_change_no_bit(make, data, monkeypatch):
    """The training of a GPU, tried on the CPU: resumed, too, when some batches had been made and were not learnt from."""
    from textkit.training import feeding
    from textkit.training.prefetching import ahead

    def to_learn(self, at, done):
        return ahead(self.batches(at.epoch, at.batch), torch.device("cpu"), pinned=False)

    plain = make(folder="plain")
    finish(plain, data)
    monkeypatch.setattr(feeding.Feed, "to_learn", to_learn)
    whole, stopped = make(folder="whole"), make(folder="stopped")
    finish(whole, data)
    finish(stopped, data, stop=iter([False] * 20 + [True]).__next__)
    finish(stopped, data, resume=True)
    assert weights_of(whole) == weights_of(stopped) == weights_of(plain)
    with pytest.raises(TextkitError, match=r"plugin 'toy' failed in loss: .*a mistake"):
        finish(make(folder="loss", fail="loss"), data)
    monkeypatch.setattr(Toy, "batches", broken)
    with pytest.raises(TextkitError, match=r"plugin 'toy' failed in batches: .*a batch that cannot be made"):
        finish(make(folder="batches"), data)


def broken(self, corpus, vocabulary, config, epoch):
    raise ValueError("a batch that cannot be made")
    yield


def test_a_checkpoint_after_every_batch_changes_nothing(make, data):
    plain, often = make(folder="a", **RICH), make(folder="b", checkpoint_seconds=0, **RICH)
    finish(plain, data)
    saved = only(Saved, finish(often, data))
    assert len(saved) > 50
    assert weights_of(plain) == weights_of(often)
    assert not often.checkpoint.exists()


def test_checkpoints_by_steps(make, data):
    run = make(Unscored(), epochs=1, checkpoint_steps=10)
    assert [event.step for event in only(Saved, finish(run, data))] == [10, 20]


def test_checkpoints_by_time(make, data, monkeypatch):
    class Second(Unscored):
        def loss(self, network, batch):
            now[0] += 1
            return super().loss(network, batch)

    now = [0.0]
    for module in (standing, trainer):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    events = finish(make(Second(), epochs=2, checkpoint_seconds=6), data)
    assert [event.step for event in only(Saved, events)] == [6, 12, 18, 24, 30, 36, 42, 48]
    assert only(Done, events)[0].facts["seconds"] == 50


def gradients_of(make, data, folder, plugin=None, **options):
    """The weights after one update of plain descent at rate 1, which subtracts the gradient from them."""
    run = make(
        plugin or Double(),
        folder=folder,
        dropout=0,
        optimizer="sgd",
        learning_rate=1.0,
        epochs=1,
        max_steps=1,
        **options,
    )
    finish(run, data)
    return Known.open(run.folder).network().table.weight.detach()


class Double(Unscored):
    """A toy in float64 that takes lines in file order; lines have unequal lengths."""

    def network(self, config, vocabulary):
        torch.manual_seed(1)
        return super().network(config, vocabulary).double()

    def batches(self, corpus, vocabulary, config, epoch):
        lines = [line[: 1 + 2 * (at % 5)] for at, line in enumerate(corpus.lines())][:20]
        for at, start in enumerate(range(0, 20, epoch.batch_size)):
            encoded = vocabulary.encode(lines[start : start + epoch.batch_size])
            if at >= epoch.start:
                yield torch.tensor(encoded.ids), torch.tensor(encoded.lengths)

    def loss(self, network, batch):
        ids, lengths = batch
        line = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
        sums = torch.zeros(len(lengths), network.table.embedding_dim, dtype=torch.float64)
        means = sums.index_add(0, line, network.table(ids)) / lengths[:, None]
        loss = torch.nn.functional.cross_entropy(network.out(means[line]), ids)
        return loss, {"examples": len(lengths), "words": len(ids), "weight": len(ids)}


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 5, "accumulate": 4},
        {"batch_size": 1, "accumulate": 20},
        {"batch_size": 6, "accumulate": 4},  # 6, 6, 6, 2
        {"batch_size": 7, "accumulate": 9},  # the epoch ends before the group is full
        {"batch_size": 0},  # full-batch descent, piece by piece
    ],
)
def test_accumulated_batches_give_the_gradient_of_the_bigger_batch(make, data, monkeypatch, options):
    monkeypatch.setattr("textkit.training.standing.FULL_BATCH_PIECE", 8)
    whole = gradients_of(make, data, "whole", batch_size=20)
    parts = gradients_of(make, data, "parts", **options)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-15)
    first = gradients_of(make, data, "first", batch_size=5)
    assert not torch.allclose(first, whole, atol=1e-4)


def test_full_batch_descent_makes_one_update_an_epoch(make, data):
    run = make(Unscored(), batch_size=0, epochs=3, schedule="linear")
    events = finish(run, data)
    assert run.facts["steps"] == 3
    assert only(Started, events)[0].steps == 3


def test_single_example_descent(make, data):
    run = make(Unscored(), batch_size=1, epochs=1)
    finish(run, data)
    assert run.facts["steps"] == 100


class Square(Unscored):
    """The loss w . g for a fixed g, so that the gradient is known: every number of the table has the gradient 3."""

    def loss(self, network, batch):
        return 3 * network.table.weight.sum(), {"examples": 1}


def lost(make, data, **options):
    """How much each number of a table of 8 words and 4 dimensions fell from 0.5 in one update at rate 1."""

    class Constant(Square):
        def network(self, config, vocabulary):
            network = super().network(config, vocabulary)
            torch.nn.init.constant_(network.table.weight, 0.5)
            return network

    return 0.5 - gradients_of(make, data, "lost", Constant(), **options)


def test_clipping_by_global_norm(make, data):
    # 32 numbers of gradient 3: norm 3 sqrt(32); clipped to 2 each is 2 / sqrt(32) = 0.353553
    assert lost(make, data, clip=2).numpy() == pytest.approx(2 / 32**0.5, rel=1e-5)


def test_no_clipping_below_the_norm(make, data):
    assert lost(make, data, clip=17).numpy() == pytest.approx(3)  # 3 sqrt(32) = 16.97


def test_penalties_by_hand(make, data):
    # 3 + 0.25 * sign(0.5) + 0.5 * 0.5
    assert lost(make, data, l1=0.25, l2=0.5).numpy() == pytest.approx(3.5)


def test_penalties_are_clipped_with_the_rest(make, data):
    assert lost(make, data, l1=0.25, l2=0.5, clip=2).numpy() == pytest.approx(2 / 32**0.5, rel=1e-5)


class Scripted(Toy):
    """A toy with given dev scores."""

    scores = (3.0, 5.0, 4.0, 4.5, 6.0, 1.0)

    def score(self, network, dev, vocabulary, config):
        self.taken.append(network.table.weight.detach().clone())
        self.held_out.append(dev.held_out)
        return Score("points", self.scores[(len(self.taken) - 1) % len(self.scores)], higher_is_better=True)


def scripted(make, data, scores=None, **options):
    plugin = Scripted()
    plugin.taken, plugin.held_out = [], []
    plugin.scores = scores or Scripted.scores
    run = make(plugin, **options)
    return plugin, run, finish(run, data)


def test_early_stopping_keeps_the_best(make, data):
    plugin, run, events = scripted(make, data, epochs=10, patience=2)
    assert [event.best for event in only(Scored, events)] == [True, True, False, False]
    assert only(Done, events)[0].reason == "patience"
    assert run.facts["epochs"] == 4
    assert run.facts["dev_score"] == {"name": "points", "value": 5.0}
    assert torch.equal(Known.open(run.folder).network().table.weight, plugin.taken[1])
    assert torch.equal(plugin.taken[4], plugin.taken[1])  # the test lines, scored at the end with the best weights
    assert plugin.held_out == [False] * 4 + [True]
    assert run.facts["test_score"] == {"name": "points", "value": 6.0}


def test_without_patience_it_goes_to_the_end_and_keeps_the_best_all_the_same(make, data):
    plugin, run, events = scripted(make, data, epochs=6)
    assert only(Done, events)[0].reason == "epochs"
    assert torch.equal(Known.open(run.folder).network().table.weight, plugin.taken[4])


def test_a_score_that_is_no_number_is_never_the_best(make, data):
    nan = float("nan")
    _, run, events = scripted(make, data, scores=(nan, 2.0, nan, nan, nan), epochs=10, patience=2)
    assert [event.best for event in only(Scored, events)] == [False, True, False, False]


def test_only_scores_that_are_no_numbers_keep_the_last_weights(make, data):
    plugin, run, _ = scripted(make, data, scores=(float("nan"),), epochs=2)
    assert torch.equal(Known.open(run.folder).network().table.weight, plugin.taken[1])


def test_scores_by_steps_and_once_more_at_the_end(make, data):
    _, run, events = scripted(make, data, eval_steps=7, max_steps=16, epochs=9)
    assert [event.step for event in only(Scored, events)] == [7, 14, 16]
    assert only(Done, events)[0].reason == "max_steps"


def test_scoring_does_not_disturb_the_training(make, data):
    class Drawing(Toy):
        def score(self, network, dev, vocabulary, config):
            assert not network.training
            assert not torch.is_grad_enabled()
            torch.rand(3)
            scores.append(len(scores))
            return Score("points", scores[-1], higher_is_better=True)

    scores = []
    plain = make(Unscored(), folder="a")
    finish(plain, data)
    drawn = make(Drawing(), folder="b", eval_steps=1)
    finish(drawn, data, dev=Corpus([data]))
    assert len(scores) == 75
    assert weights_of(plain) == weights_of(drawn)


def test_the_learning_rate_follows_the_schedule(make, data):
    class Watched(ToyOwn):
        def update(self, network, batch, learning_rate, config, threads):
            seen.append(learning_rate)
            return super().update(network, batch, learning_rate, config, threads)

    seen = []
    finish(make(Watched(), epochs=2, warmup=3, batch_size=10, learning_rate=1), data)
    # 20 updates: n / 3, then 1 - (n - 3) / 18
    assert seen == pytest.approx([1 / 3, 2 / 3, 1] + [1 - (n - 3) / 18 for n in range(4, 21)])


def test_a_plugin_can_say_how_many_batches_there_are(make, data):
    class Told(ToyOwn):
        def steps(self, corpus, vocabulary, config, epoch):
            return 40

    events = finish(make(Told(), epochs=2), data)
    assert only(Started, events)[0].steps == 80
    assert only(Started, finish(make(ToyOwn(), folder="b", epochs=2), data))[0].steps == 50


def test_progress_reports_means_and_counts(make, data):
    class Counted(ToyOwn):
        def update(self, network, batch, learning_rate, config, threads):
            seen.append(len(seen) + 1)
            return {"loss": float(seen[-1]), "examples": 2, "words": 3, "pairs": float(seen[-1])}

    seen = []
    (progress,) = only(Progress, finish(make(Counted(), epochs=1, batch_size=25), data))
    assert (progress.loss, progress.examples, progress.words, progress.step) == (2.5, 8, 12, 4)
    assert progress.detail == {"pairs": 2.5}


def test_fit(make, data):
    run = make(ToyFit())
    events = finish(run, data)
    assert run.facts["words"] == 500
    assert not (run.folder / "scratch").exists()
    table = Known.open(run.folder).network().table.weight
    assert table[:, 0].tolist() == run.vocabulary.counts.tolist()
    assert only(Done, events)[0].reason == "fit"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_loss_that_is_no_number_ends_it_and_the_last_checkpoint_stays(make, data, value):
    class Diverging(Unscored):
        def loss(self, network, batch):
            loss, log = super().loss(network, batch)
            calls.append(0)
            return (loss * value if len(calls) == 13 else loss), log

    calls = []
    run = make(Diverging(), checkpoint_steps=5, learning_rate=0.125)
    expected = r"the loss of update 13 is -?(nan|inf) \(learning_rate=0\.125\); the checkpoint of update 10 is kept"
    with pytest.raises(TextkitError, match=expected):
        finish(run, data)
    assert run.checkpoint.exists()
    calls = [0] * 20
    assert only(Started, finish(run, data, resume=True))[0].step == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [({}, "update 75 .*no checkpoint was"), ({"checkpoint_steps": 5}, "update 15 .*the checkpoint of update 10 is")],
)
def test_weights_that_are_no_numbers_are_never_kept(make, data, options, message):
    class Exploding(ToyOwn):
        def update(self, network, batch, learning_rate, config, threads):
            calls.append(0)
            if len(calls) == 13:
                network.table.weight.detach().numpy()[0, 0] = np.nan
            return {"examples": 1}

    calls = []
    run = make(Exploding(), **options)
    with pytest.raises(TextkitError, match=rf"table\.weight is not finite after {message}"):
        finish(run, data)
    assert not run.weights.exists()


def test_a_mask_of_minus_infinity_is_no_divergence(make, data):
    class Masked(Unscored):
        def network(self, config, vocabulary):
            network = super().network(config, vocabulary)
            network.register_buffer("mask", torch.tensor([0.0, float("-inf")]))
            return network

    run = make(Masked(), epochs=1)
    finish(run, data)
    assert run.complete


def test_too_small_a_corpus(make, data):
    class Nothing(Unscored):
        def batches(self, corpus, vocabulary, config, epoch):
            return iter(())

    with pytest.raises(TextkitError, match=r"data\.txt: the corpus is too small: toy made no batch"):
        finish(make(Nothing()), data)
    data.write_text("a b\n")
    with pytest.raises(TextkitError, match=r"too small: none of its 1 lines fell to .*; give --dev FILE"):
        finish(make(folder="b"), data)


def test_a_plugin_that_fails_is_named(make, data):
    with pytest.raises(TextkitError, match=r"plugin 'toy' failed in loss: ValueError: a mistake of its author"):
        finish(make(fail="loss"), data)

    class Wrong(Unscored):
        def loss(self, network, batch):
            return 1.0

    with pytest.raises(TextkitError, match=r"plugin 'toy': loss must give a pair.*it gives float"):
        finish(make(Wrong(), folder="b"), data)

    class Broken(Unscored):
        def batches(self, corpus, vocabulary, config, epoch):
            yield from ()
            raise KeyError("x")

    with pytest.raises(TextkitError, match=r"plugin 'toy' failed in batches: KeyError"):
        finish(make(Broken(), folder="c"), data)


@pytest.mark.parametrize(
    ("family", "method", "given", "said"),
    [
        (Toy, "vocabulary", ["a"], "vocabulary must give a TextRule; it gives list"),
        (Toy, "network", "net", "network must give a Module; it gives str"),
        (Toy, "batches", None, "failed in batches: TypeError"),
        (Toy, "score", 0.5, "score must give a Score or None; it gives float"),
        (Toy, "unit", None, "unit must give a str; it gives NoneType"),
        (Toy, "steps", "ten", "steps must give an int or an integer; it gives str"),
        (ToyOwn, "update", 0.5, "update must give a Mapping; it gives float"),
        (ToyFit, "fit", [0.5], "fit, with each yield, must give a Mapping; it gives float"),
        (ToyFit, "fit", None, "failed in fit: TypeError"),
    ],
)
def test_a_plugin_that_gives_the_wrong_thing_is_named(make, data, family, method, given, said):
    wrong = type("Wrong", (family,), {method: lambda self, *args: given})
    with pytest.raises(TextkitError, match=f"plugin '{family.name}':? {re.escape(said)}"):
        finish(make(wrong()), data)


def test_options_without_effect_are_refused(make, data):
    for plugin, key, value in ((ToyOwn(), "clip", 1), (ToyFit(), "max_steps", 3), (Unscored(), "patience", 2)):
        with pytest.raises(UsageError, match=f"{key}: has no effect on {plugin.name}"):
            finish(make(plugin, folder=f"{plugin.name}-{key}", **{key: value}), data)


@pytest.mark.parametrize("precision", ["fp16", "tf32"])
def test_what_needs_a_gpu(make, data, precision):
    with pytest.raises(UsageError, match=f"precision={precision}: needs a GPU"):
        finish(make(precision=precision), data, device="cpu")


def test_factors_are_rounded_only_where_that_is_asked_for():
    from textkit.training.preparing import products

    places = [torch.backends.cuda.matmul, torch.backends.cudnn.rnn, torch.backends.cudnn.conv]
    before = [place.fp32_precision for place in places]
    for precision, wanted in (("fp32", "ieee"), ("bf16", "ieee"), ("fp16", "ieee"), ("tf32", "tf32")):
        with products(torch.device("cuda"), precision):
            assert [place.fp32_precision for place in places] == [wanted] * 3
        assert [place.fp32_precision for place in places] == before
        with products(torch.device("cpu"), precision):
            assert [place.fp32_precision for place in places] == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_that_cannot_be_had_is_an_error(make, data):
    with pytest.raises(UsageError, match="--device cuda: this torch"):
        finish(make(), data, device="cuda")


def test_own_updates_stay_on_the_cpu_unless_they_say_otherwise(make, data):
    with pytest.raises(UsageError, match="--device cuda: toy-own trains on the CPU"):
        finish(make(ToyOwn()), data, device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16", "fp16"])
def test_on_a_gpu(make, data, precision):
    run = make(precision=precision, epochs=3, accumulate=2, clip=1, schedule="linear", dropout=0)
    finish(run, data, device="cuda", stop=iter([False] * 20 + [True]).__next__)
    events = finish(Known.open(run.folder), data, device="cuda", resume=True)
    losses = [event.score.value for event in only(Scored, events)]
    assert only(Started, events)[0].step > 0
    assert losses == sorted(losses, reverse=True)


def test_mixed_precision_computes_in_bf16(make, data):
    class Watched(Unscored):
        def loss(self, network, batch):
            seen.append(network.out(network.table(batch[0])).dtype)
            return super().loss(network, batch)

    seen = []
    run = make(Watched(), precision="bf16", epochs=1)
    finish(run, data)
    assert set(seen) == {torch.bfloat16}
    assert run.network().table.weight.dtype == torch.float32


def test_an_interrupted_run_is_not_begun_anew_by_mistake(make, data):
    run = make(epochs=1)
    finish(run, data, stop=lambda: True)
    with pytest.raises(UsageError, match="--resume"):
        finish(run, data)


def test_a_run_is_trained_by_one_process_at_a_time(make, data):
    run = make(epochs=1)
    with run.locked(), pytest.raises(TextkitError, match="another process is training this run"):
        finish(run, data)
    finish(run, data)


def test_other_threads_are_worth_a_warning(make, data):
    run = make(epochs=1)
    finish(run, data, stop=lambda: True)
    with pytest.warns(TextkitWarning, match="begun with --threads 1"):
        events = list(train(run, Corpus([data]), threads=2, resume=True))
    assert isinstance(events[-1], Done)


def test_an_interrupted_run_gives_the_network_of_its_checkpoint(make, data):
    run = make(Unscored())
    with pytest.raises(TextkitError, match="no vocabulary yet"):
        run.network()
    finish(run, data, stop=lambda: True)
    assert run.network().table.weight.shape == (8, 4)
    run.checkpoint.unlink()
    with pytest.raises(TextkitError, match="has no weights yet"):
        run.network()


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no run.json"), ("{", "cannot be read"), ("[]", "not written by"), ('{"schema": 1}', "it has no")],
)
def test_a_folder_that_is_no_run(tmp_path, content, message):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(TextkitError, match=message):
        Run.open(tmp_path)
    with pytest.raises(TextkitError, match="no such training run"):
        Run.open(tmp_path / "none")


def test_metrics_have_no_line_twice_after_an_interruption(make, data):
    run = make(Unscored(), epochs=2, log_seconds=0, checkpoint_steps=10)

    def drive(until):
        book = Logbook(run)
        for event in train(run, Corpus([data]), threads=1, resume=True):
            book.write(event)
            if isinstance(event, EpochDone) and event.epoch == until:
                break  # as if killed: the last checkpoint is of update 20 or 40
        book.close()

    drive(1)
    with (run.folder / "metrics.jsonl").open("a") as stream:
        stream.write('{"event": "progress", "st')  # torn off
    drive(9)
    records = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if record["event"] == "epoch"] == [25, 50]
    steps = [record["step"] for record in records]
    assert steps == sorted(steps)
    assert records[-1] == {"event": "done", "step": 50, "reason": "epochs"}


def test_tensorboard_is_an_extra(make, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorboard", None)
    with pytest.raises(TextkitError, match=r"pip install 'textkit-onnx\[tensorboard\]'"):
        Logbook(make(), tensorboard=True)


def test_options_of_the_toy_are_what_these_tests_take_them_for():
    assert Toy.training == replace(Training(), epochs=3, batch_size=4, learning_rate=0.05)
    assert Options() == Options(4, 0.25, "", 0.0)
    assert Path(__file__).with_name("training_toys.py").exists()


def test_a_fit_that_gives_what_is_no_number_is_told(make, data):
    class Broken(ToyFit):
        def fit(self, network, corpus, vocabulary, config, run):
            torch.nn.init.constant_(network.table.weight, float("nan"))
            yield {"loss": 0.5}

    with pytest.raises(TextkitError, match=r"table\.weight is not finite after update 1"):
        finish(make(Broken()), data)
