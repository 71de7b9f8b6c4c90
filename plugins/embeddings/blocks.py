"""Negative sampling for word2vec and fastText on a GPU: updates of many words at once, as products of blocks of the tables.

They take the same steps as the kernels of the CPU do (kernels.py), but all from the point where the block begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from textkit_plugins.embeddings.network import drawn_windows, sent

if TYPE_CHECKING:
    from textkit_plugins.embeddings.network import WordVectors
    from textkit_plugins.embeddings.predicting import Prediction, Windows

BLOCK = 4096  # words per update on the GPU
CROWD = 16.0  # pairs a word's step may count for: rate * CROWD * curvature stays below 1 for vectors of usual length


def descend_blocks(network: WordVectors, batch: Windows, rate: float, options: Prediction) -> dict:
    """Learns from a batch on a GPU (or, to test it, the CPU), BLOCK words at a time.

    All gradients of an update are taken at the same point, so a row with many pairs would overshoot. Its step is therefore
    limited to CROWD times its mean step. What is drawn, and for whom, is as in the kernels of the CPU. Nothing here waits for
    the GPU: `pairs` and `loss` stay there, as f64 scalars.
    """
    device = network.centre.device
    random = torch.Generator(device).manual_seed((batch.seed + batch.offset + batch.first) % 2**63)
    words, line, reach, is_centre = drawn_windows(batch, network.kept, options)
    text = [sent(array, device).long() for array in (words, line, reach)]  # each [n]
    pairs, loss = torch.zeros((), device=device), torch.zeros((), device=device)
    centres = np.flatnonzero(is_centre)
    for at, block in enumerate(sent(centres, device).split(BLOCK) if len(centres) else ()):
        if options.subwords:
            some = centres[at * BLOCK : (at + 1) * BLOCK]
            first, last = max(0, int(some[0]) - options.window), min(len(words), int(some[-1]) + options.window + 1)
            reached = first, last, int(network.row_counts[words[first:last]].sum())
            counted, lost = _bag_block(network, text, block, reached, rate, options, random)
        else:
            counted, lost = _block(network, text, block, rate, options, random)
        pairs += counted
        loss += lost
    return {"pairs": pairs.double(), "loss": loss.double() / pairs.double().clamp(min=1)}


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
def _bag_block(
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
