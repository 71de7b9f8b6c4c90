"""Makes batches of a corpus's lines, in an order that can be repeated, and moves batches to a device. Knows no model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.plugin import Epoch
from textkit.serving.padding import cut

if TYPE_CHECKING:
    import torch

    from textkit.corpora.corpus import Corpus
    from textkit.text.rule import TextRule

WINDOW = 100_000  # lines held in memory to be shuffled


def line_batches(corpus: Corpus, epoch: Epoch, window: int = WINDOW) -> Iterator[list[str]]:
    """The lines of `corpus` with text in them, shuffled, `epoch.batch_size` at a time, from batch `epoch.start` on.

    Lines are shuffled among `window` lines, so that memory stays flat: a corpus no longer than that is shuffled evenly,
    a longer one window by window. The order depends on (epoch.seed, epoch.number) alone; batch_size 0 is one batch of
    everything.
    """
    random = np.random.default_rng([epoch.seed, epoch.number])
    size = epoch.batch_size
    done = 0  # batches
    batch: list[str] = []
    for lines in corpus.chunks(window):
        kept = [line for line in lines if line and not line.isspace()]
        for at in random.permutation(len(kept)):
            batch.append(kept[at])
            if len(batch) == size:
                if done >= epoch.start:
                    yield batch
                batch = []
                done += 1
    if batch and done >= epoch.start:
        yield batch


def padded(rule: TextRule, lines: Sequence[str], longest: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Lines as a network of the task `embed` takes them: ids i64[line, token], weight f32[line, token], both 0 for
    padding.

    The arrays are at least one token wide. Lines of more than `longest` tokens are cut; 0: none is.
    """
    encoded = rule.encode(list(lines))
    if longest and any(rule.around):
        encoded = cut(encoded, longest, rule.around)
    lengths = np.minimum(encoded.lengths, longest) if longest else encoded.lengths
    starts = np.cumsum(encoded.lengths) - encoded.lengths
    ids = np.zeros((len(lines), max(1, int(lengths.max(initial=0)))), np.int64)
    weight = np.zeros(ids.shape, np.float32)
    at = np.arange(ids.shape[1])
    real = at < lengths[:, None]  # [line, token]
    places = (starts[:, None] + at)[real]
    ids[real] = encoded.ids[places]
    weight[real] = 1 if encoded.weight is None else encoded.weight[places]
    return ids, weight


def move(batch: Any, device: torch.device) -> Any:
    """The batch with every tensor in it (in tuples, lists and dicts too) on `device`; anything else stays as it is."""
    if device.type == "cpu":
        return batch
    # The host does not wait for a copy from page-locked memory. The network's work, which stands behind it in the queue, does.
    return each_tensor(batch, lambda tensor: tensor.to(device, non_blocking=True))


def each_tensor(batch: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """The batch with `change` applied to every tensor in it (in tuples, lists and dicts too); anything else stays as it is."""
    import torch

    if isinstance(batch, torch.Tensor):
        return change(batch)
    if isinstance(batch, dict):
        return {key: each_tensor(value, change) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(each_tensor(value, change) for value in batch))
    if isinstance(batch, (tuple, list)):
        return type(batch)(each_tensor(value, change) for value in batch)
    return batch
