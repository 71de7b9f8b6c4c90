"""The search against a plain one, written out below for one line at a time, and against numbers computed by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from textkit.errors import UsageError
from textkit.searching.beams import Pick
from textkit.searching.constraints import Constraints
from textkit.searching.decoding import search
from textkit.searching.history import Hypothesis
from textkit.searching.options import EXTRA_LENGTH, Search, Target
from textkit.searching.sampling import _streams

START, EOS, UNK, PAD = 0, 1, 2, 3
SIZE = 12
TARGET = Target(START, EOS, UNK, PAD, SIZE)
PLAIN = Search(allow_unk=True)


def log_softmax(x: np.ndarray) -> np.ndarray:
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


class Kept:
    """Memory and state by name, whose first axis is the line."""

    draws = ranks = cuts = False

    def ahead(self, choice: Any) -> int:
        return 1

    def keep(self, memory: Any, state: Any, rows: np.ndarray) -> tuple[Any, Any]:
        return (
            {name: value[rows] for name, value in memory.items()},
            {name: value[rows] for name, value in state.items() if name.startswith("state.")},
        )


class Toy(Kept):
    """A recurrent decoder of random weights that sees the source's mean; f64, so that no order depends on rounding."""

    def __init__(self, seed: int = 0, size: int = SIZE, dim: int = 5, end: float = 0.0) -> None:
        random = np.random.default_rng(seed)
        self.embedding = random.normal(size=(size, dim))
        self.inner = random.normal(size=(dim, dim))
        self.output = random.normal(size=(dim, size)) * 1.5
        self.bias = np.zeros(size)
        self.bias[EOS] = end
        self.bias[[START, PAD]] = -30  # as in a trained model; UNK is as likely as any other word
        self.taken: list[tuple[int, int, int, bool]] = []  # lines, beams, k, full of each step

    def next(self, hidden: np.ndarray, token: Any, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """hidden [..., dim], token [...], mean [..., dim] -> the hidden state after the token, and the log-probabilities."""
        hidden = np.tanh(hidden @ self.inner + self.embedding[token] + mean)
        return hidden, log_softmax(hidden @ self.output + self.bias)

    def encode(self, source: np.ndarray, source_mask: np.ndarray) -> tuple[Any, Any]:
        weight = source_mask / source_mask.sum(1, keepdims=True)
        mean = (self.embedding[source % len(self.embedding)] * weight[:, :, None]).sum(1)
        return {"memory.mean": mean, "memory.mask": source_mask}, {"state.hidden": np.zeros_like(mean)[:, None]}

    def step(
        self, token: np.ndarray, parent: np.ndarray, k: int, memory: Any, state: Any, full: bool,
        draw: Any = None, score: Any = None,
    ) -> dict[str, Any]:  # fmt: skip
        self.taken.append((*token.shape, k, full))
        hidden = np.take_along_axis(state["state.hidden"], parent[:, :, None], 1)
        hidden, logprob = self.next(hidden, token, memory["memory.mean"][:, None])
        top = np.argsort(-logprob, axis=2, kind="stable")[:, :, :k]
        out = {"top_id": top, "top_logprob": np.take_along_axis(logprob, top, 2), "state.hidden": hidden}
        if draw is not None:
            weight = np.exp((logprob + draw.bias) / draw.temperature).cumsum(2)
            at = (weight < draw.uniform[:, :, None] * weight[:, :, -1:]).sum(2)
            out |= {"drawn_id": at, "drawn_logprob": np.take_along_axis(logprob, at[:, :, None], 2)[:, :, 0]}
        # Attention that shows which step made it: the token fed, plus a thousandth of the place in the source.
        place = np.arange(memory["memory.mask"].shape[1]) / 1000
        return (
            out | {"attention": (token[:, :, None] + place).astype(np.float32)} | ({"logprob": logprob} if full else {})
        )


class Drawing(Toy):
    """A Toy that draws words itself."""

    draws = True


class Ahead(Toy):
    """A Toy that picks the continuations of a line by itself, and takes three steps before anybody looks."""

    ranks = True

    def ahead(self, choice: Pick) -> int:
        return 3 if 2 * choice.beams + 4 <= SIZE else 1

    def step(self, *given: Any) -> dict[str, Any]:
        token, parent, k, memory, state, full, choice, score = given
        self.taken.append((*token.shape, k, full))
        if choice is None or self.ahead(choice) == 1:
            return super().step(token, parent, k, memory, state, full)
        return self.pick(token, parent, memory, state, choice, choice.score)[0]

    def steps(
        self, count: int, token: Any, parent: Any, memory: Any, state: Any, choice: Pick
    ) -> tuple[list[Any], Any]:
        found, score = [], choice.score
        for _ in range(count):
            state, token, parent, score = self.pick(token, parent, memory, state, choice, score)
            found.append(state)
        self.taken.append((*token.shape, -count, False))
        return found, state

    def pick(self, token: Any, parent: Any, memory: Any, state: Any, choice: Pick, score: Any) -> tuple[Any, ...]:
        out = super().step(token, parent, 0, memory, state, True)
        logprob = out["logprob"] + choice.bias  # [line, beam, vocab]
        count = 1 if choice.beams == 1 else 2 * choice.beams
        total = (logprob + score[:, :, None]).reshape(len(token), -1)
        best = np.argsort(-total, axis=1, kind="stable")[:, :count]
        beam, ids = np.divmod(best, SIZE)
        picked = np.take_along_axis(logprob.reshape(len(token), -1), best, 1)
        out |= {"picked_id": ids, "picked_beam": beam, "picked_logprob": picked}
        going = np.argsort(ids == choice.eos, axis=1, kind="stable")[:, : choice.beams]
        return (out, *(np.take_along_axis(part, going, 1) for part in (ids, beam, np.take_along_axis(total, best, 1))))


class Written(Kept):
    """A model whose probabilities are in a table: tokens so far -> next token -> probability."""

    def __init__(self, table: dict[tuple[int, ...], dict[int, float]]) -> None:
        self.table = table

    def encode(self, source: np.ndarray, source_mask: np.ndarray) -> tuple[Any, Any]:
        return {}, {"state.said": np.full((len(source), 1, 0), -1)}

    def step(
        self, token: np.ndarray, parent: np.ndarray, k: int, memory: Any, state: Any, full: bool,
        draw: Any = None, score: Any = None,
    ) -> dict[str, Any]:  # fmt: skip
        said = np.concatenate([np.take_along_axis(state["state.said"], parent[:, :, None], 1), token[:, :, None]], 2)
        logprob = np.full((*token.shape, SIZE), -np.inf)
        for at in np.ndindex(token.shape):
            for id, probability in self.table.get(tuple(said[at][1:].tolist()), {EOS: 1.0}).items():
                logprob[(*at, id)] = math.log(probability)
        top = np.argsort(-logprob, axis=2, kind="stable")[:, :, :k]
        out = {"top_id": top, "top_logprob": np.take_along_axis(logprob, top, 2), "state.said": said}
        return out | {"logprob": logprob}


def sources(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Random lines of 1 to 9 tokens, padded."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, 10, count)
    mask = np.arange(lengths.max()) < lengths[:, None]
    return np.where(mask, random.integers(4, SIZE, mask.shape), PAD), mask


def plain(
    model: Toy, source: list[int], options: Search, most: int, prefix: tuple[int, ...] = ()
) -> list[tuple[list[int], float]]:
    """Textbook beam search of one line; beams are (ids, sum of log-probabilities, hidden). Ids and scores, best first."""
    mean = model.embedding[np.array(source) % len(model.embedding)].mean(0)
    never = {START, PAD} | (set() if options.allow_unk else {UNK})
    limit = most if options.max_length is None else min(options.max_length, most)
    if options.max_length_factor:
        limit = min(limit, int(options.max_length_factor * len(source)) + EXTRA_LENGTH)
    limit = max(limit, min(max(options.min_length, 1), most), min(len(prefix) + 1, most) if prefix else 0)
    beams: list[tuple[list[int], float, np.ndarray]] = [([], 0.0, np.zeros_like(mean))]
    kept: list[tuple[list[int], float]] = []
    for step in range(limit):
        continued = []
        for ids, total, hidden in beams:
            hidden, logprob = model.next(hidden, ids[-1] if ids else START, mean)
            for id in range(len(logprob)):
                if step < len(prefix):
                    if id == prefix[step]:
                        continued.append((ids + [id], total + logprob[id], hidden))
                    continue
                if id in never or (id == EOS and step < options.min_length) or repeats(ids + [id], options):
                    continue
                continued.append((ids + [id], total + logprob[id], hidden))
        continued.sort(key=lambda beam: -beam[1])
        for ids, total, _ in continued[: options.beam_size]:
            if ids[-1] == EOS:
                kept.append((ids, total / len(ids) ** options.length_penalty))
        kept = sorted(kept, key=lambda each: -each[1])[: options.beam_size]
        beams = [beam for beam in continued if beam[0][-1] != EOS][: options.beam_size]
        if not beams:
            break
        if len(kept) == options.beam_size and beams[0][1] / (step + 1) ** options.length_penalty <= kept[-1][1]:
            break
        if step + 1 == limit:
            kept += [(ids, total / (len(ids) + 1) ** options.length_penalty) for ids, total, _ in beams]
    return sorted(kept, key=lambda each: -each[1])[: options.n_best]


def repeats(ids: list[int], options: Search) -> bool:
    """Whether the last n-gram also occurs earlier in `ids`."""
    size = options.no_repeat_ngram_size
    if not size:
        return False
    grams = [tuple(ids[at : at + size]) for at in range(len(ids) - size + 1)]
    return bool(grams) and grams[-1] in grams[:-1]


def compare(found: list[Hypothesis], expected: list[tuple[list[int], float]]) -> None:
    assert [hypothesis.ids for hypothesis in found] == [ids for ids, _ in expected]
    np.testing.assert_allclose([hypothesis.score for hypothesis in found], [score for _, score in expected], rtol=1e-12)


# --- against the plain search -----------------------------------------------------------------------------------------

CASES: dict[str, tuple[Search, float]] = {
    "greedy": (replace(PLAIN, beam_size=1), 0.0),
    "greedy without unk": (Search(beam_size=1), 0.0),
    "beam": (PLAIN, 0.5),
    "beam without unk": (Search(n_best=4), 0.0),
    "n-best": (replace(PLAIN, beam_size=5, n_best=5), 0.0),
    "no penalty": (replace(PLAIN, length_penalty=0.0, n_best=3), 1.0),
    "a penalty on short ones": (replace(PLAIN, length_penalty=1.7, n_best=2), 1.0),
    "a reward of short ones": (replace(PLAIN, length_penalty=-0.5, n_best=2), 1.0),
    "short": (replace(PLAIN, max_length=3, n_best=4), -3.0),
    "by the source": (replace(PLAIN, max_length_factor=0.5), -3.0),
    "long": (replace(PLAIN, min_length=6, n_best=2), 2.0),
    "greedy and long": (replace(PLAIN, min_length=6, beam_size=1), 2.0),
    "no bigram twice": (Search(no_repeat_ngram_size=2, n_best=3), -2.0),
    "no word twice": (Search(no_repeat_ngram_size=1, beam_size=2), -2.0),
    "greedy, no trigram twice": (Search(no_repeat_ngram_size=3, beam_size=1), -4.0),
    "a beam wider than the vocabulary": (Search(beam_size=15, n_best=15), 0.0),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", [Toy, Ahead])
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 4))])
def test_as_the_plain_search(case: str, kind: type[Toy], seed: int) -> None:
    options, end = CASES[case]
    model = kind(seed, end=end)
    source, mask = sources(13, seed)
    found = search(model, source, mask, TARGET, options, most=30)
    assert all(1 <= len(hypotheses) <= options.n_best for hypotheses in found)
    for hypotheses, row, real in zip(found, source, mask, strict=True):
        compare(hypotheses, plain(model, row[real].tolist(), options, 30))
    went_ahead = kind is Ahead and not options.no_repeat_ngram_size and 2 * options.beam_size + 4 <= SIZE
    assert any(k < 0 for _, _, k, _ in model.taken) == went_ahead


@pytest.mark.parametrize("kind", [Toy, Ahead])
@pytest.mark.parametrize("beam_size", [1, 2, 4])
def test_prefixes_as_the_plain_search(beam_size: int, kind: type[Toy]) -> None:
    options = Search(beam_size=beam_size, n_best=beam_size, min_length=3)
    source, mask = sources(9)
    prefixes = [(), (5,), (6, 7, 8, 9), (UNK, 4), (), (4, 4, 4), (11,) * 8, (10, 9), ()]
    model = kind(3, end=0.5)
    found = search(model, source, mask, TARGET, options, most=10, prefixes=prefixes)
    for hypotheses, row, real, prefix in zip(found, source, mask, prefixes, strict=True):
        compare(hypotheses, plain(model, row[real].tolist(), options, 10, prefix))
        assert all(tuple(hypothesis.ids[: len(prefix)]) == prefix for hypothesis in hypotheses)


@pytest.mark.parametrize("options", [Search(), Search(beam_size=1), Search(sample=True, n_best=3, seed=4)])
def test_the_batch_does_not_show(options: Search) -> None:
    model = Toy(7, end=1.0)
    source, mask = sources(24, 5)
    keys = np.stack([np.arange(24), np.zeros(24, np.int64)], 1)
    together = search(model, source, mask, TARGET, options, most=40, keys=keys)
    for at in range(24):
        alone = search(model, source[at : at + 1], mask[at : at + 1], TARGET, options, most=40, keys=keys[at : at + 1])[
            0
        ]
        assert [hypothesis.ids for hypothesis in alone] == [hypothesis.ids for hypothesis in together[at]]
        np.testing.assert_allclose([h.score for h in alone], [h.score for h in together[at]], rtol=1e-12)


def test_lines_that_are_done_leave_the_batch() -> None:
    seed = np.int64(2)  # not an int, so that other_seeds.py leaves it alone: with it lines end at different steps
    model = Toy(seed, end=1.5)
    source, mask = sources(40, seed - 1)
    found = search(model, source, mask, TARGET, replace(PLAIN, length_penalty=0.0), most=60)
    assert [lines for lines, *_ in model.taken] == sorted((lines for lines, *_ in model.taken), reverse=True)
    assert model.taken[0] == (40, 1, 5, False)  # one beam at first, and only as many choices as can matter
    assert {k for *_, k, _ in model.taken} == {5}
    longest = max(len(hypotheses[0].ids) for hypotheses in found)
    assert sum(lines for lines, *_ in model.taken) < 0.9 * 40 * longest


def test_greedy_asks_for_one_choice_until_one_is_barred() -> None:
    model = Toy(np.int64(0))  # not an int, as above: with it <unk> is among the likeliest words
    source, mask = sources(6, np.int64(1))
    search(model, source, mask, TARGET, replace(PLAIN, beam_size=1), most=20)
    assert {k for *_, k, _ in model.taken} == {1}
    model.taken.clear()
    search(model, source, mask, TARGET, Search(beam_size=1), most=20)
    assert {k for *_, k, _ in model.taken} == {1, 4}  # UNK was among the likeliest: START, UNK, PAD and one more


# --- by hand ----------------------------------------------------------------------------------------------------------

# Greedy takes 4 (0.6) and then can do no better than 5, end (0.3): 0.18. The beam finds 6, 7, end: 0.4 * 0.9 = 0.36.
GARDEN = {
    (): {4: 0.6, 6: 0.4},
    (4,): {5: 0.3, 7: 0.25, 8: 0.25, 9: 0.2},
    (6,): {7: 0.9, 8: 0.1},
}
ONE = np.full((1, 2), 5), np.ones((1, 2), bool)


def test_greedy_by_hand() -> None:
    (found,) = search(Written(GARDEN), *ONE, TARGET, replace(PLAIN, beam_size=1))
    assert found[0].ids == [4, 5, EOS]
    assert found[0].logprob == pytest.approx(math.log(0.6 * 0.3))
    assert found[0].score == pytest.approx(math.log(0.6 * 0.3) / 3)


def test_beam_by_hand() -> None:
    (found,) = search(Written(GARDEN), *ONE, TARGET, replace(PLAIN, beam_size=2, n_best=2), logprobs=True)
    assert [hypothesis.ids for hypothesis in found] == [[6, 7, EOS], [4, 5, EOS]]
    assert found[0].score == pytest.approx(math.log(0.36) / 3)
    np.testing.assert_allclose(found[0].logprobs, [math.log(0.4), math.log(0.9), 0.0], atol=1e-6)
    np.testing.assert_allclose(found[1].logprobs, [math.log(0.6), math.log(0.3), 0.0], atol=1e-6)


def test_what_ends_gives_its_beam_to_the_next_best() -> None:
    # Of two beams one ends, and both continuations that do not end go on. The second search prefers longer hypotheses.
    table = {(): {4: 0.5, 5: 0.5}, (4,): {EOS: 0.6, 7: 0.4}, (5,): {8: 0.45, 9: 0.35, EOS: 0.2}}
    options = replace(PLAIN, beam_size=2, n_best=2, length_penalty=0.0)
    (found,) = search(Written(table), *ONE, TARGET, options)
    assert [hypothesis.ids for hypothesis in found] == [[4, EOS], [5, 8, EOS]]  # 0.3, 0.225
    (found,) = search(Written(table), *ONE, TARGET, replace(options, length_penalty=3.0))
    assert [hypothesis.ids for hypothesis in found] == [[5, 8, EOS], [4, 7, EOS]]  # log 0.225, log 0.2, / 27


def test_done_when_no_beam_is_better_than_the_worst_that_is_kept() -> None:
    # Both hypotheses that end are likelier than what goes on, 0.3 and 0.275 against 0.225: there is no third step.
    table = {(): {4: 0.5, 5: 0.5}, (4,): {EOS: 0.6, 7: 0.4}, (5,): {EOS: 0.55, 8: 0.45}}
    (found,) = search(Written(table), *ONE, TARGET, replace(PLAIN, beam_size=2, n_best=2, length_penalty=3.0))
    assert [hypothesis.ids for hypothesis in found] == [[4, EOS], [5, EOS]]


def test_at_the_limit_hypotheses_are_cut() -> None:
    (found,) = search(Written(GARDEN), *ONE, TARGET, replace(PLAIN, beam_size=2, n_best=2, max_length=2))
    assert [hypothesis.ids for hypothesis in found] == [[6, 7], [4, 5]]
    assert [hypothesis.ended for hypothesis in found] == [False, False]
    assert found[0].score == pytest.approx(math.log(0.36) / 3)  # as if its end followed


def test_limits() -> None:
    lengths = np.array([1, 10, 100])
    assert Search().limits(lengths, 50).tolist() == [50, 50, 50]
    assert Search(max_length=20).limits(lengths, 50).tolist() == [20, 20, 20]
    assert Search(max_length=90).limits(lengths, 50).tolist() == [50, 50, 50]
    assert Search(max_length_factor=1.5).limits(lengths, 100).tolist() == [17, 31, 100]
    assert Search(max_length_factor=1.5, min_length=20).limits(lengths, 100).tolist() == [20, 31, 100]


def test_a_model_that_gives_no_number_ends() -> None:
    class Broken(Written):
        def step(self, token: np.ndarray, *args: Any) -> dict[str, Any]:
            out = super().step(token, *args)
            return out | {"top_logprob": np.full_like(out["top_logprob"], np.nan)}

    for beam_size in (1, 3):
        (found,) = search(Broken(GARDEN), *ONE, TARGET, replace(PLAIN, beam_size=beam_size), most=5)
        assert found[0].ids == []
        assert found[0].score == -math.inf


def test_no_lines() -> None:
    assert search(Toy(), np.zeros((0, 3), np.int64), np.zeros((0, 3), bool), TARGET, PLAIN) == []


# --- what a hypothesis carries ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [Search(n_best=4), Search(beam_size=1), Search(sample=True, n_best=3), Search(n_best=3, max_length=4)]
)
@pytest.mark.parametrize("prefixes", [None, [(5, 6)] * 11])
def test_log_probabilities_and_attention_of_each_token(options: Search, prefixes: Any) -> None:
    model = Toy(4, end=0.5)
    source, mask = sources(11)
    found = search(model, source, mask, TARGET, options, most=25, prefixes=prefixes, logprobs=True, attention=True)
    for hypotheses, row, real in zip(found, source, mask, strict=True):
        mean = model.embedding[row[real] % SIZE].mean(0)
        for hypothesis in hypotheses:
            hidden, expected = np.zeros_like(mean), []
            fed = [START, *hypothesis.ids[:-1]]
            for before, id in zip(fed, hypothesis.ids, strict=True):
                hidden, logprob = model.next(hidden, before, mean)
                expected.append(logprob[id])
            assert hypothesis.logprobs is not None
            assert hypothesis.attention is not None
            np.testing.assert_allclose(hypothesis.logprobs, expected, atol=1e-5)
            np.testing.assert_allclose(hypothesis.logprob, sum(expected), rtol=1e-9)
            length = len(hypothesis.ids) + (not hypothesis.ended)
            np.testing.assert_allclose(hypothesis.score, sum(expected) / length**options.length_penalty)
            assert hypothesis.ended == (hypothesis.ids[-1] == EOS)
            # A token's attention is that of the step that chose it, which was fed the token before it.
            assert hypothesis.attention.shape == (len(fed), source.shape[1])
            np.testing.assert_allclose(hypothesis.attention[:, 0], fed)


# --- sampling ---------------------------------------------------------------------------------------------------------

COIN = {(): {4: 0.5, 5: 0.3, 6: 0.15, 7: 0.05}}


def drawn(options: Search, count: int = 4000) -> dict[int, float]:
    """How often each first token was drawn: `count` lines with one sample each."""
    source = np.full((count, 1), 5)
    found = search(Written(COIN), source, np.ones_like(source, bool), TARGET, options)
    ids = [hypotheses[0].ids[0] for hypotheses in found]
    return {id: ids.count(id) / count for id in sorted(set(ids))}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (Search(sample=True), {4: 0.5, 5: 0.3, 6: 0.15, 7: 0.05}),
        (Search(sample=True, top_k=2), {4: 0.625, 5: 0.375}),
        (Search(sample=True, top_p=0.79), {4: 0.625, 5: 0.375}),  # the first two reach it
        (Search(sample=True, top_p=0.81), {4: 0.5 / 0.95, 5: 0.3 / 0.95, 6: 0.15 / 0.95}),
        (Search(sample=True, top_k=3, top_p=0.83), {4: 0.625, 5: 0.375}),  # 0.8 / 0.95 = 0.842 of what top-k leaves
        (Search(sample=True, temperature=0.5), {4: 0.25 / 0.365, 5: 0.09 / 0.365, 6: 0.0225 / 0.365, 7: 0.0025 / 0.365}),
        (Search(sample=True, temperature=0.0), {4: 1.0}),
        (Search(sample=True, top_k=1), {4: 1.0}),
        (Search(sample=True, top_p=1e-9), {4: 1.0}),
    ],
)  # fmt: skip
def test_how_often_a_token_is_drawn(options: Search, expected: dict[int, float]) -> None:
    found = drawn(options)
    assert found.keys() == expected.keys()
    for id, share in expected.items():
        # Four standard deviations of a share in 4,000 draws.
        assert found[id] == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 4000) + 1e-9)


def test_a_model_draws_as_often() -> None:
    """As in the test above, but the model draws by the search's numbers: the first place whose sum reaches the number."""
    model = Drawing(0)
    model.inner[:], model.embedding[:] = 0, 0  # one distribution for all steps
    with np.errstate(divide="ignore"):
        model.bias = np.log([0, 0.05, 0.25, 0, 0.4, 0.2, 0.1] + [0] * 5)
    count = 4000
    found = search(model, np.full((count, 1), 4), np.ones((count, 1), bool), TARGET, Search(sample=True, max_length=1))
    share = np.bincount([(line[0].ids or [EOS])[0] for line in found], minlength=SIZE) / count
    expected = np.array([0, 0.05, 0, 0, 0.4, 0.2, 0.1] + [0] * 5) / 0.75  # the unknown word is left out
    assert np.abs(share - expected).max() < 4 * math.sqrt(0.25 / count)


def test_samples_differ_by_seed_line_part_and_number_and_repeat() -> None:
    model = Toy(1, end=-1.0)
    source, mask = (np.repeat(part, 2, 0) for part in ONE)

    def ids(seed: int = 0, keys: Any = ((0, 0), (1, 0))) -> list[list[list[int]]]:
        options = Search(sample=True, n_best=2, seed=seed)
        found = search(model, source, mask, TARGET, options, most=20, keys=np.array(keys))
        return [[hypothesis.ids for hypothesis in hypotheses] for hypotheses in found]

    first = ids()
    assert first == ids()
    assert len({str(each) for each in [*first[0], *first[1]]}) == 4
    assert ids(keys=((1, 0), (0, 0))) == first[::-1]
    assert ids(keys=((0, 1), (1, 1)))[0] != first[0]
    assert ids(seed=1)[0] != first[0]


def test_sampling_bars_what_may_not_come() -> None:
    for options in (
        Search(sample=True, n_best=4),
        Search(sample=True, n_best=4, top_k=3),
        Search(sample=True, top_p=0.9),
    ):
        options = replace(options, min_length=5, no_repeat_ngram_size=2, max_length=9)
        for hypotheses in search(Toy(2, end=3.0), *sources(8), TARGET, options):
            for hypothesis in hypotheses:
                assert not {START, UNK, PAD} & set(hypothesis.ids)
                assert 5 <= len(hypothesis.ids) - hypothesis.ended <= 9
                grams = list(zip(hypothesis.ids, hypothesis.ids[1:], strict=False))
                assert len(grams) == len(set(grams))


def test_the_graph_chooses_where_top_k_is_small() -> None:
    model = Toy()
    search(model, *sources(3), TARGET, Search(sample=True, top_k=4), most=9)
    assert {step[2:] for step in model.taken} == {(7, False)}  # 4, and the three that are barred
    model.taken.clear()
    search(model, *sources(3), TARGET, Search(sample=True), most=9)
    assert {step[2:] for step in model.taken} == {(0, True)}  # no choices by the graph


@pytest.mark.parametrize(
    "options",
    [
        Search(sample=True, n_best=3, seed=2),
        Search(sample=True, temperature=0.7, max_length_factor=0.5),  # lines leave at different lengths
        Search(sample=True, n_best=2, temperature=1.4, min_length=6, max_length=30, length_penalty=0.5),
        Search(sample=True, n_best=2, max_length=1),
        Search(sample=True, n_best=2, top_p=0.9),
        Search(sample=True, n_best=2, top_k=3, no_repeat_ngram_size=2),
    ],
)
@pytest.mark.parametrize("watched", [False, True])
def test_samples_are_the_same_whoever_draws(options: Search, watched: bool) -> None:
    def run(model: Toy) -> tuple[list[list[Hypothesis]], list[Any]]:
        seen: list[Any] = []

        def watch(step: int, rows: np.ndarray, token: np.ndarray, going: np.ndarray) -> np.ndarray:
            seen.extend((step, rows.tolist(), token[going].tolist()))
            return going & (token == 7)

        each = watch if watched else None
        return search(model, *sources(30), TARGET, options, most=60, watch=each, logprobs=True), seen

    by_model, by_us = Drawing(6, end=0.2), Toy(6, end=0.2)
    found, seen = run(by_model)
    wanted, as_seen = run(by_us)
    assert seen == as_seen
    assert any(full for *_, full in by_us.taken) == (options.top_k == 0)
    # A graph draws only from the whole vocabulary; then nothing else of its distribution is asked for.
    plainly = options.top_k == 0 and options.top_p == 1
    assert all((k, full) == (0, False) for _, _, k, full in by_model.taken) == plainly
    for got, want in zip(found, wanted, strict=True):
        for one, other in zip(got, want, strict=True):
            assert (one.ids, one.ended) == (other.ids, other.ended)
            np.testing.assert_allclose([one.score, one.logprob], [other.score, other.logprob], rtol=1e-9)
            np.testing.assert_allclose(one.logprobs, other.logprobs, atol=1e-6)


def test_a_prefix_is_not_drawn_by_the_model() -> None:
    model, options = Drawing(3, end=0.5), Search(sample=True, n_best=2, max_length=9)
    found = search(model, *sources(4), TARGET, options, prefixes=[(4,), (), (5, 6), ()])
    wanted = search(Toy(3, end=0.5), *sources(4), TARGET, options, prefixes=[(4,), (), (5, 6), ()])
    assert [[one.ids for one in line] for line in found] == [[one.ids for one in line] for line in wanted]
    assert [one.ids[:2] for one in found[2]] == [[5, 6], [5, 6]]


# --- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Search(beam_size=0), "beam_size=0"),
        (lambda: Search(temperature=-1.0), "temperature=-1.0"),
        (lambda: Search(temperature=math.nan), "temperature=nan"),
        (lambda: Search(top_p=0.0), "top_p=0.0"),
        (lambda: Search(top_p=1.5), "top_p=1.5"),
        (lambda: Search(n_best=5), "n_best=5: is more than beam_size=4"),
        (lambda: Search(max_length=0), "max_length=0"),
        (lambda: Search(min_length=4, max_length=3), "min_length=4: is more than max_length=3"),
        (lambda: Search(length_penalty=math.inf), "length_penalty=inf"),
    ],
)
def test_options_that_make_no_sense(make: Callable[[], Search], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


def test_more_samples_than_beams_are_fine() -> None:
    assert Search(sample=True, n_best=9).beams == 9


def test_a_prefix_longer_than_the_model_takes_is_cut_there() -> None:
    constraints = Constraints(TARGET, PLAIN, np.array([3, 3]), [[4] * 9, []], most=5)
    assert constraints.limits.tolist() == [5, 3]
    assert constraints.longest_prefix == 5


@pytest.mark.parametrize("seed", [1, 2**63 - 1])
def test_random_numbers_are_those_of_a_generator_of_their_own(seed: int) -> None:
    """Philox by its key, the seed and the line, and its counter, the part and the sample: a text never changes."""
    keys = np.array([[0, 0], [5, 2], [2**40, 7]])
    found = _streams(seed, keys, 2, 67)
    for at, (line, part) in enumerate(keys.tolist()):
        for sample in range(2):
            key, counter = np.array([seed, line], np.uint64), np.array([0, 0, part, sample], np.uint64)
            alone = np.random.Generator(np.random.Philox(key=key, counter=counter)).random(67)
            np.testing.assert_array_equal(found[at, sample], alone)


def test_one_distribution_a_line_is_asked_for_where_the_first_token_is_chosen_among_some() -> None:
    model, among = Drawing(6, end=0.2), [np.array([5, 7]), None, np.array([9])]
    found = search(model, *sources(3), TARGET, Search(sample=True, n_best=4, seed=3), most=6, first=among)
    assert model.taken[0] == (3, 1, 0, True)
    assert {one.ids[0] for one in found[0]} <= {5, 7}
    assert {one.ids[0] for one in found[2]} == {9}
    assert all(beams == 4 for _, beams, *_ in model.taken[1:])
