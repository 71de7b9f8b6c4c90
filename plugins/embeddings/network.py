"""The network behind word2vec and fastText and its updates: the torch border of these two families.

It has more than 300 lines because the steps for a GPU are the same ones as those of the kernels, written once more as products.

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
        for name, value in {
            "offsets": offsets,
            "rows": rows,
            "keep": self.kept,
            "threshold": threshold,
            "alias": alias,
        }.items():
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
    noise = [network.keep.numpy(), network.threshold.numpy(), network.alias.numpy()]
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
        _sent(array, device) for array in (*given, np.bincount(given[1], minlength=len(given[2]))[:, None])
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
    words, line, reach, is_centre = _windows_of(batch, keep, options)
    words = words.astype(np.int64)
    reach = np.where(is_centre, reach, 0)
    centres, others = [], []
    for distance in range(1, options.window + 1):
        left = np.flatnonzero(
            line[distance:] == line[:-distance]
        )  # positions whose neighbour at +distance is in the line
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


def _windows_of(
    batch: Windows, keep: np.ndarray, options: Prediction
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    text = batch.tokens, batch.first, batch.last, batch.offset
    return windows_of(*text, keep, options.window, np.uint64(batch.seed))


def descend_blocks(network: WordVectors, batch: Windows, rate: float, options: Prediction) -> dict:
    """Negative sampling on a GPU (or, to test it, the CPU): updates of BLOCK words as batched products.

    All gradients of an update are taken at the same point, so a row with many pairs would overshoot. Its step is therefore
    limited to CROWD times its mean step. What is drawn, and for whom, is as in the kernels of the CPU. Nothing here waits for
    the GPU: `pairs` and `loss` stay there, as f64 scalars.
    """
    device = network.centre.device
    random = torch.Generator(device).manual_seed((batch.seed + batch.offset + batch.first) % 2**63)
    words, line, reach, is_centre = _windows_of(batch, network.kept, options)
    text = [_sent(array, device).long() for array in (words, line, reach)]  # each [n]
    pairs, loss = torch.zeros((), device=device), torch.zeros((), device=device)
    centres = np.flatnonzero(is_centre)
    for at, block in enumerate(_sent(centres, device).split(BLOCK) if len(centres) else ()):
        if options.subwords:
            some = centres[at * BLOCK : (at + 1) * BLOCK]
            first, last = max(0, int(some[0]) - options.window), min(len(words), int(some[-1]) + options.window + 1)
            reached = first, last, int(network.row_counts[words[first:last]].sum())
            counted, lost = bag_block(network, text, block, reached, rate, options, random)
        else:
            counted, lost = _block(network, text, block, rate, options, random)
        pairs += counted
        loss += lost
    return {"pairs": pairs.double(), "loss": loss.double() / pairs.double().clamp(min=1)}


def _sent(array: np.ndarray, device: torch.device) -> Tensor:
    """The array on the device; the host does not wait until it is there."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


BLOCK = 4096  # words per update on the GPU
CROWD = 16.0  # pairs a word's step may count for: rate * CROWD * curvature stays below 1 for vectors of usual length


@torch.no_grad()
def _block(
    network: WordVectors, text: list[Tensor], block: Tensor, rate: float, options: Prediction, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """One update from the windows around the positions `block` i64[n]: the number of pairs and their summed loss, scalars.

    A word has one row. The pairs of a window share their negatives.
    """
    centre, context = network.centre, network.context
    words = text[0][block]  # [n]
    at, inside = _windows(text, block, options.window)  # [n, 2w], [n, 2w]
    noise = _noise(network, (len(words), options.negative), random)  # [n, K]
    inputs, outputs = text[0][at], torch.cat([words[:, None], noise], 1)  # [n, 2w], [n, 1 + K]
    x, y = centre[inputs], context[outputs]  # [n, 2w, dim], [n, 1 + K, dim]
    present = inside  # [n, h]: h is 2w (each word of the window by itself) or 1 (their mean)
    if options.model == "cbow":
        width = inside.sum(1)[:, None, None]  # [n, 1, 1]
        x = (x * inside[:, :, None]).sum(1, keepdim=True) / width.clamp(min=1)  # [n, 1, dim]
        present = inside.any(1, keepdim=True)
    score = x @ y.transpose(1, 2)  # [n, h, 1 + K]
    label = torch.zeros_like(score)
    label[:, :, 0] = 1
    own = outputs == words[:, None]  # [n, 1 + K]: noise that equals the target makes no step
    own[:, 0] = False
    g = (label - torch.sigmoid(score)) * (present[:, :, None] & ~own[:, None])  # [n, h, 1 + K]
    loss = (functional.softplus(torch.where(label > 0, -score, score)) * present[:, :, None]).sum()
    forward = ((g @ y) * inside[:, :, None]).flatten(0, 1)  # [n * 2w, dim]; CBOW: the mean's, whole, for each word
    backward = (g.transpose(1, 2) @ x).flatten(0, 1)  # [n * (1 + K), dim]
    used = present.sum(1, keepdim=True).expand(outputs.shape)
    _step(centre, inputs.flatten(), forward, inside.flatten(), rate)
    _step(context, outputs.flatten(), backward, used.flatten(), rate)
    return present.sum(), loss


@torch.no_grad()
def bag_block(
    network: WordVectors,
    text: list[Tensor],
    block: Tensor,
    reached: tuple[int, int, int],
    rate: float,
    options: Prediction,
    random: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """As `_block`, where a word is the mean of several rows. `reached`: first and last + 1 of the positions in windows of the
    block, and how many rows their words have together.

    The mean of the centre word's rows predicts the words of the window (CBOW: the mean of the window's rows predicts the centre
    word), each against negatives of its own. Each row gets the whole gradient of the mean.
    """
    first, last, total = reached
    centre, context = network.centre, network.context
    words = text[0][first:last]  # [s]
    rows, owner, _ = network.rows_of(words, total)  # [m], [m]
    count = network.offsets[words + 1] - network.offsets[words]  # [s]
    sums = centre.new_zeros(len(words), centre.shape[1]).index_add_(0, owner, centre[rows])  # [s, dim]
    at, inside = _windows(text, block, options.window)  # [n, 2w], [n, 2w]
    near, own = (at - first).clamp(0, len(words) - 1), block - first  # [n, 2w], [n]
    if options.model == "cbow":
        width = (count[near] * inside).sum(1, keepdim=True)  # [n, 1]
        x = (sums[near] * inside[:, :, None]).sum(1) / width.clamp(min=1)  # [n, dim]
        targets, real = words[own][:, None], inside.any(1, keepdim=True)  # [n, t]: t is 1
    else:
        x = sums[own] / count[own][:, None]  # [n, dim]
        targets, real = words[near], inside  # [n, t]: t is 2w
    noise = _noise(network, (*targets.shape, options.negative), random)  # [n, t, K]
    outputs = torch.cat([targets[:, :, None], noise], 2)  # [n, t, 1 + K]
    used = real[:, :, None].repeat(1, 1, outputs.shape[2])  # [n, t, 1 + K]
    used[:, :, 1:] &= noise != targets[:, :, None]  # noise that equals the target makes no step
    y = context[outputs]  # [n, t, 1 + K, dim]
    score = (y @ x[:, None, :, None])[..., 0]  # [n, t, 1 + K]
    label = torch.zeros_like(score)
    label[:, :, 0] = 1
    g = (label - torch.sigmoid(score)) * used  # [n, t, 1 + K]
    loss = (functional.softplus(torch.where(label > 0, -score, score)) * used).sum()
    error = (g.flatten(1)[:, None] @ y.flatten(1, 2))[:, 0]  # [n, dim]
    step, weight = torch.zeros_like(sums), sums.new_zeros(len(words))  # [s, dim], [s]
    if options.model == "cbow":
        step.index_add_(0, near.flatten(), (error[:, None] * inside[:, :, None]).flatten(0, 1))
        weight.index_add_(0, near.flatten(), inside.flatten().to(weight.dtype))
    else:
        step.index_add_(0, own, error)
        weight.index_add_(0, own, real.sum(1).to(weight.dtype))
    _step(centre, rows, step[owner], weight[owner], rate)
    backward = (g[..., None] * x[:, None, None]).flatten(0, 2)  # [n * t * (1 + K), dim]
    _step(context, outputs.flatten(), backward, real[:, :, None].expand(outputs.shape).flatten(), rate)
    return real.sum(), loss


def _noise(network: WordVectors, shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    """Words drawn by the alias table, i64 of this shape."""
    slot = torch.randint(0, len(network.alias), shape, generator=random, device=network.alias.device)
    luck = torch.rand(shape, generator=random, device=slot.device)
    return torch.where(luck < network.threshold[slot], slot, network.alias[slot].long())


def _windows(text: list[Tensor], block: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """The positions around each of `block`, i64[n, 2w], and which of them its window holds, bool[n, 2w]."""
    words, line, reach = text
    distance = torch.arange(2 * window, device=block.device) - window  # made there: a copy would be waited for
    distance = distance + (distance >= 0)  # [2w]: -window..-1, 1..window
    at = block[:, None] + distance  # [n, 2w]
    inside = (at >= 0) & (at < len(words)) & (distance.abs() <= reach[block][:, None])
    at = at.clamp(0, len(words) - 1)
    return at, inside & (line[at] == line[block][:, None])


def _step(table: Tensor, ids: Tensor, step: Tensor, weight: Tensor, rate: float) -> None:
    """table[ids] += rate * step. A row whose `weight` adds up to more than CROWD takes CROWD times its mean step instead."""
    crowd = torch.zeros(len(table), device=table.device).index_add_(0, ids, weight.to(table.dtype))
    scale = rate / (crowd / CROWD).clamp(min=1)  # [row]
    table.index_add_(0, ids, step * scale[ids][:, None])
