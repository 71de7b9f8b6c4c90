"""The last layer as a solution: logistic regression on what the layers below make of lines, and on n-grams. Light: no torch at
the top.

`few-shot` is nothing else. A classifier that begins with another model begins with it, too: a layer of random numbers would
send its errors into the layers that know something already (LP-FT: Kumar et al. 2022, arXiv 2202.10054).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from textkit.tasks.classify.corpus import Labelled
from textkit_plugins.encoder.batching import batch_of, wanted_of
from textkit_plugins.encoder.calibrating import calibrate
from textkit_plugins.encoder.ngrams import Tfidf
from textkit_plugins.encoder.solving import Solved

if TYPE_CHECKING:
    from textkit.text.rule import TextRule
    from textkit_plugins.encoder.classification import Batch, Classifier
    from textkit_plugins.encoder.classifying import ClassifierOptions
    from textkit_plugins.encoder.few import FewShotOptions

_ENCODED = 64  # lines encoded at once: what a layer makes of more of them leaves the processor's cache
# Of the penalty, the weakest first: where labels are right it is the best, and one stronger one shows it.
_STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
# The length of a line's n-grams beside its vector of length 1. Few lines say little about words: with eight of each label,
# n-grams of length 1 took away 2 points of accuracy, and those of length 1/2 brought 1.
_FEW, _LENGTH_OF_FEW = 3000, 0.5
_OF_A_NAME = 2.0  # how much a label's name counts, beside the mean of the lines; 1 did about as well


class _Read(NamedTuple):
    """What is known of lines: `vectors` f32[line, width], the rows and weights of n-grams, batch by batch (Wide.occurrences),
    and the numbers i64[line] of the lines that the batches had."""

    vectors: np.ndarray
    ngrams: list[tuple[np.ndarray, np.ndarray]]
    order: np.ndarray


def probed(
    network: Classifier,
    at: int,
    lines: Sequence[Labelled],
    rule: TextRule,
    labels: Sequence[str],
    config: ClassifierOptions | FewShotOptions,
    several: bool,
    seed: int,
    strength: float = 0.0,
    names: bool = True,
) -> Generator[Mapping[str, Any], None, Mapping[str, Any]]:
    """Puts the solution for `lines` into the head numbered `at`. `names`: that of a label is an example of it, where there
    are few lines and the nearest name says much of their labels.

    Yields how many `examples` and `words` have been encoded, and returns the `folds` that chose the penalty's `strength` (0:
    it is chosen), the `accuracy` on lines that these have not seen, and whether `names` were used.
    """
    numbers = {label: number for number, label in enumerate(labels)}
    read = yield from _read(network, at, lines, rule, numbers, config, several)
    wanted = wanted_of(lines, numbers, several)
    # The penalty is meant for vectors of length 1; where the head does not scale them, the solution is scaled.
    length = 1.0 if config.normalization == "length" else float(np.linalg.norm(read.vectors, axis=1).mean()) or 1.0
    of_ngrams = _LENGTH_OF_FEW if len(lines) < _FEW else 1.0
    count, more = [line.weight for line in lines], 0
    if names and not several and len(lines) < _FEW:
        weight = _OF_A_NAME * sum(count) / max(1, len(count))
        named = [Labelled(label.replace("_", " "), (label,), weight) for label in labels]
        of_names = yield from _read(network, at, named, rule, numbers, config, several)
        if _say_much(of_names.vectors, read.vectors, wanted):
            order = np.concatenate([read.order, len(lines) + of_names.order])
            read = _Read(np.concatenate([read.vectors, of_names.vectors]), read.ngrams + of_names.ngrams, order)
            wanted = np.concatenate([wanted, np.arange(len(labels))])
            count, more = count + [line.weight for line in named], len(named)
    weigh = np.array(count, np.float64)
    if not several:
        weigh *= network.heads[at].class_weight.numpy()[wanted]
    square = None if network.wide is None else network.wide.square.numpy()
    features = None if square is None else Tfidf(read.ngrams, square, of_ngrams, read.order)
    solved = Solved(read.vectors / np.float32(length), wanted, weigh, several, len(labels), features, more)
    with one_thread():
        strength, judged, logits = solved.chosen((strength,) if strength else _STRENGTHS, seed)
        found = solved.solve(strength)
    width = read.vectors.shape[1]
    found[:, :width] /= length
    found[:, width:-1] *= of_ngrams
    wanted = wanted[judged]
    set_solution(network, at, found, logits, wanted)
    right = logits.argmax(1) == wanted if not several else ((logits > 0) == (wanted > 0.5)).all(1)
    return {"folds": solved.folds, "strength": strength, "accuracy": float(right.mean()), "names": bool(more)}


def _read(
    network: Classifier,
    at: int,
    lines: Sequence[Labelled],
    rule: TextRule,
    numbers: Mapping[str, int],
    config: ClassifierOptions | FewShotOptions,
    several: bool,
) -> Generator[Mapping[str, Any], None, _Read]:
    # By length, as in other trainings: three quarters of batches of any lines are padding.
    order = np.argsort([len(line.text) for line in lines], kind="stable")
    vectors, ngrams, words = np.zeros((len(lines), network.heads[at].steps[-1].in_features), np.float32), [], 0
    for begin in range(0, len(lines), _ENCODED):
        some = order[begin : begin + _ENCODED]
        batch = batch_of([lines[number] for number in some], rule, numbers, config, several)
        vectors[some] = encoded(network, at, batch)
        if network.wide is not None:
            ngrams.append(network.wide.occurrences(batch.ids, batch.weight))
        words += int((batch.weight > 0).sum())
        yield {"examples": begin + len(some), "words": words}
    return _Read(vectors, ngrams, order)


def _say_much(names: np.ndarray, vectors: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether the nearest of the `names` f32[label, width] is right about lines much more often than chance: by at least a
    third of what there is to gain. Such names are words for what lines are about; others are codes, or too general."""
    lengths = np.linalg.norm(names, axis=1, keepdims=True)
    right = ((vectors @ (names / np.maximum(lengths, 1e-12)).T).argmax(1) == wanted).mean()
    chance = 1 / len(names)
    return bool(right >= chance + (1 - chance) / 3)


@contextmanager
def one_thread() -> Iterator[None]:
    """Computes in one thread: a step of a search has too little work for two, which would wait for each other."""
    import torch
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    with threadpool_limits(1, user_api="blas"):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def encoded(network: Classifier, at: int, batch: Batch) -> np.ndarray:
    """What the last layer of the head numbered `at` reads of each line, f32[line, width]."""
    import torch

    network.eval()
    with torch.no_grad():
        vector = network.encoder(batch.ids, batch.weight)[0]
        for step in network.heads[at].steps[:-1]:
            vector = step(vector)
    found: np.ndarray = vector.numpy()
    return found


def set_solution(network: Classifier, at: int, found: np.ndarray, logits: np.ndarray, wanted: np.ndarray) -> None:
    """Puts the solution `found` into the head numbered `at`. `logits`: those of lines by a fold that has not seen them, for
    the calibration; `wanted`: what is right about these lines."""
    import torch

    head = network.heads[at]
    last = head.steps[-1]
    if head.binary:
        found = found[1:] - found[:1]
    width = last.in_features
    with torch.no_grad():
        last.weight.copy_(torch.from_numpy(found[:, :width]))
        last.bias.copy_(torch.from_numpy(found[:, -1]))
        if network.wide is not None:
            network.wide.set_weights(found[:, width:-1].T, sum(network.sizes[:at]))
        calibrate(head, logits, wanted)
