"""The network behind word2vec and fastText, and its updates by kernels and by autograd. Together with blocks.py, which has the
updates on a GPU, it is the torch border of these two families.

Two tables (Mikolov et al. 2013, arXiv 1310.4546): `centre` holds the vectors that are exported by default, `context` those
of the words that are predicted.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from textkit_plugins.embeddings.kernels import bag_kernel, skipgram_kernel, windows_of
from textkit_plugins.embeddings.noise import alias_table

if TYPE_CHECKING:
    from textkit_plugins.embeddings.predicting import Prediction, Windows
    from textkit_plugins.embeddings.vocabulary import Vectors


class WordVectors(nn.Module):
    """centre f32[row, dim] and context f32[word, dim]. A word is the mean of its rows: its own and one per subword, if any.

    `offsets` i64[word + 1] and `rows` i32[...]: the rows of word w are rows[offsets[w]:offsets[w + 1]], its own first.
    """

    def __init__(
        self, counts: np.ndarray, offsets: np.ndarray, rows: np.ndarray, options: Prediction, bound: float
    ) -> None:
        super().__init__()
        words, dim = len(counts), options.dim
        # These two stay on the host, which then need not ask a GPU for them.
        self.row_counts = np.diff(offsets)  # i64[word]
        self.kept = keep_probability(counts, options.subsample)  # f32[word]
        table = int(rows.max()) + 1
        self.centre = nn.Parameter(torch.empty(table, dim).uniform_(-bound, bound))
        self.context = nn.Parameter(torch.zeros(words, dim))
        threshold, alias = alias_table(counts.astype(np.float64) ** options.ns_exponent)
        for name, value in {"offsets": offsets, "rows": rows, "threshold": threshold, "alias": alias}.items():
            self.register_buffer(name, torch.from_numpy(value), persistent=False)  # the vocabulary determines them

    def hidden(self, words: Tensor, total: int) -> Tensor:
        """The vectors of words: i64[n] -> f32[n, dim], the mean of each word's rows, of which there are `total`."""
        if total == len(words):
            return functional.embedding(self.rows[self.offsets[words]].long(), self.centre)  # [n, dim]
        rows, _, start = self.rows_of(words, total)
        return functional.embedding_bag(rows, self.centre, start, mode="mean")  # [n, dim]

    def rows_of(self, words: Tensor, total: int) -> tuple[Tensor, Tensor, Tensor]:
        """The `total` rows of words i64[n], one word's after the other's, i64[total]; the place in `words` that each belongs
        to, i64[total]; where the rows of each word begin, i64[n]."""
        first = self.offsets[words]
        count = self.offsets[words + 1] - first
        start = torch.cumsum(count, 0) - count
        owner = torch.repeat_interleave(count, output_size=total)
        inside = torch.arange(total, device=words.device) - start[owner]
        return self.rows[first[owner] + inside].long(), owner, start

    @torch.no_grad()
    def table(self, which: Vectors) -> Tensor:
        """The table to export, f32[row, dim]. Words come first, each composed of its rows; subword rows follow as they are."""
        words = len(self.context)
        every = torch.arange(words, device=self.centre.device).split(100_000)
        totals = [int(part.sum()) for part in np.split(self.row_counts, range(100_000, words, 100_000))]
        composed = torch.cat([self.hidden(*part) for part in zip(every, totals, strict=True)])  # [word, dim]
        if which == "context":
            composed = self.context
        elif which == "sum":
            composed = composed + self.context
        return torch.cat([composed, self.centre[words:]])  # [row, dim]


def keep_probability(counts: np.ndarray, sample: float) -> np.ndarray:
    """The probability that an occurrence stays in the text, min(1, sqrt(t/f) + t/f) as in word2vec.c, f32[word]; t=0: 1."""
    if not sample:
        return np.ones(len(counts), np.float32)
    ratio = sample / (counts / counts.sum())
    return np.minimum(1, np.sqrt(ratio) + ratio).astype(np.float32)


def descend(network: WordVectors, batch: Windows, rate: float, options: Prediction, threads: int) -> dict:
    """One update on the CPU from a batch of windows; changes the tables in place.

    The windows are divided among threads that write without locks. Returns `pairs` and `loss`, the mean per pair with its
    negatives, which is missing if no pair was measured.
    """
    tables = [network.centre.detach().numpy(), network.context.detach().numpy()]
    noise = [network.kept, network.threshold.numpy(), network.alias.numpy()]
    steps = [options.window, options.negative, np.float32(rate), np.uint64(batch.seed)]

    def work(first: int, last: int) -> tuple[int, float, int]:
        text = batch.tokens, first, last, batch.offset
        if options.model == "skipgram" and not options.subwords:
            return skipgram_kernel(options.dim)(*text, *tables, *noise, *steps)
        bags = [network.offsets.numpy(), network.rows.numpy()]
        return bag_kernel(options.dim)(*text, *tables, *bags, *noise, *steps, options.model == "cbow")

    shares = threads if threads > 1 and batch.last - batch.first >= 100 * threads else 1
    cuts = np.linspace(batch.first, batch.last, shares + 1).astype(int).tolist()
    if shares == 1:
        results = [work(*cuts)]
    else:
        with ThreadPoolExecutor(shares) as pool:
            results = list(pool.map(work, cuts[:-1], cuts[1:]))
    pairs, loss, measured = (sum(column) for column in zip(*results, strict=True))
    return {"pairs": pairs} | ({"loss": loss / measured} if measured else {})


def descend_softmax(network: WordVectors, batch: Windows, rate: float, options: Prediction) -> dict:
    """One update with the full softmax over the vocabulary (Mikolov et al. 2013, eq. 2), by autograd, on any device.

    The update is a step of plain SGD on the sum of the pairs' losses. Returns `loss` (their mean) and `pairs`.
    """
    device = network.centre.device
    given = examples_of(batch, network.kept, options)
    if not len(given[2]):
        return {"pairs": 0}
    total = int(network.row_counts[given[0]].sum())
    bags, owner, targets, width = (
        sent(array, device) for array in (*given, np.bincount(given[1], minlength=len(given[2]))[:, None])
    )
    words = network.hidden(bags, total)  # [n, dim]
    hidden = words.new_zeros(len(targets), words.shape[1]).index_add(0, owner, words) / width  # [pair, dim]
    loss = functional.cross_entropy(hidden @ network.context.T, targets, reduction="sum")
    loss.backward()
    with torch.no_grad():
        for table in (network.centre, network.context):
            table.sub_(table.grad, alpha=rate)
            table.grad = None
    return {"pairs": len(targets), "loss": loss.detach().double() / len(targets)}


def examples_of(batch: Windows, keep: np.ndarray, options: Prediction) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windows as (bags i64[n], owner i64[n], targets i64[pair]): word bags[i] helps to predict targets[owner[i]].

    Skip-gram: the centre word predicts each word within a random reach of 1..window. CBOW: those words predict the centre.
    """
    words, line, reach, is_centre = drawn_windows(batch, keep, options)
    words = words.astype(np.int64)
    reach = np.where(is_centre, reach, 0)
    centres, others = [], []
    for distance in range(1, options.window + 1):
        left = np.flatnonzero(line[distance:] == line[:-distance])  # whose neighbour at +distance is in the line
        right = left + distance
        for centre, other in ((left, right), (right, left)):
            near = reach[centre] >= distance
            centres.append(centre[near])
            others.append(other[near])
    centre, other = np.concatenate(centres), np.concatenate(others)
    order = np.lexsort((other, centre))
    centre, other = centre[order], other[order]
    if options.model == "skipgram":
        return words[centre], np.arange(len(centre)), words[other]
    distinct, owner = np.unique(centre, return_inverse=True)
    return words[other], owner, words[distinct]


def drawn_windows(
    batch: Windows, keep: np.ndarray, options: Prediction
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The words that stay in the text i32[n], the line of each, its reach, and whether it is the centre of a window here."""
    text = batch.tokens, batch.first, batch.last, batch.offset
    return windows_of(*text, keep, options.window, np.uint64(batch.seed))


def sent(array: np.ndarray, device: torch.device) -> Tensor:
    """The array on the device; the host does not wait until it is there."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor
