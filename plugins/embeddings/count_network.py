"""The network of glove and its update: a kernel on the CPU, torch on a GPU. Knows no text and no counting."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textkit_plugins.embeddings.vocabulary import Vectors

_SLICE = 4096  # pairs whose steps the GPU adds up before it applies them; with many more, frequent words overshoot
_THREADED = 8192  # pairs below which a second thread does not pay


class GloveVectors(torch.nn.Module):
    """Pennington et al. 2014: a vector and a bias for each word as centre (w, b) and as context (w~, b~).

    The sums of squares are AdaGrad's (Duchi et al. 2011). They begin at 1, as in the authors' glove.c, and are part of the
    state, so that a checkpoint is complete.
    """

    def __init__(self, words: int, dim: int) -> None:
        super().__init__()
        for name in ("centre", "context"):
            vectors = (torch.rand(words, dim) - 0.5) / dim  # [word, dim]
            setattr(self, name, torch.nn.Parameter(vectors))
            setattr(self, f"{name}_bias", torch.nn.Parameter(torch.zeros(words)))
            self.register_buffer(f"{name}_squares", torch.ones(words, dim))
            self.register_buffer(f"{name}_bias_squares", torch.ones(words))

    def vectors(self, which: Vectors) -> torch.Tensor:
        """The vectors to export, [word, dim]: `centre`, `context`, or their `sum` (the paper's choice)."""
        tables = {"centre": self.centre, "context": self.context, "sum": self.centre + self.context}
        return tables[which].detach()


def kernel_step(
    network: GloveVectors, batch: Mapping[str, torch.Tensor], options: tuple[float, float, float, float], threads: int
) -> float:
    """One pass over the pairs of `batch` on the CPU, in place; returns the sum of their losses.

    With one thread the result is reproducible to the last bit. Several threads take one slice of the pairs each and write to
    the same tables without locks (Recht et al. 2011, Hogwild), as the authors' do.
    """
    import numpy as np

    from textkit_plugins.embeddings.count_kernels import glove_step

    pairs = [batch[key].numpy() for key in ("row", "column", "log")]
    arrays = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    centre, context = ((arrays[name], arrays[f"{name}_bias"]) for name in ("centre", "context"))
    squares = tuple(arrays[f"{name}_squares"] for name in ("centre", "context", "centre_bias", "context_bias"))
    settings = np.array(options, np.float32)
    if threads == 1 or len(pairs[0]) < _THREADED:
        return glove_step(*pairs, centre, context, squares, settings)
    cuts = [len(pairs[0]) * number // threads for number in range(threads + 1)]

    def work(first: int, last: int) -> float:
        return glove_step(*(array[first:last] for array in pairs), centre, context, squares, settings)

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(work, cuts[:-1], cuts[1:]))


@torch.no_grad()
def tensor_step(
    network: GloveVectors, batch: Mapping[str, torch.Tensor], options: tuple[float, float, float, float]
) -> torch.Tensor:
    """As `kernel_step`, on the device of the network: the steps of a few thousand pairs at a time are added up.

    A slice's squares are added before the division, not after it as in the kernel, because all pairs of a slice move together.
    """
    eta, log_x_max, alpha, clip = options
    rows, columns, logs = batch["row"].long(), batch["column"].long(), batch["log"]  # [pair] each
    slices = max(1, round(len(rows) / _SLICE))
    loss = torch.zeros((), device=logs.device)
    for start in range(slices):  # strided: the pairs are sorted, and a slice should be a fair sample of them
        i, j, log = rows[start::slices], columns[start::slices], logs[start::slices]
        w, c = network.centre[i], network.context[j]  # [pair, dim]
        difference = (w * c).sum(1) + network.centre_bias[i] + network.context_bias[j] - log  # [pair]
        weighted = (alpha * (log - log_x_max)).clamp(max=0).exp() * difference  # [pair]
        loss += 0.5 * (weighted * difference).sum()
        for name, index, gradient in (
            ("centre", i, weighted[:, None] * c),
            ("context", j, weighted[:, None] * w),
            ("centre_bias", i, weighted),
            ("context_bias", j, weighted),
        ):
            step = gradient.clamp(-clip, clip) * eta  # [pair, dim] or [pair]
            squares = getattr(network, f"{name}_squares").index_add_(0, index, step * step)
            getattr(network, name).data.index_add_(0, index, step / squares[index].sqrt(), alpha=-1)
    return loss
