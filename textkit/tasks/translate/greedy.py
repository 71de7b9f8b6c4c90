"""Greedy search in torch over the modules behind the graphs encode and step. Knows no text and no architecture.

This is for dev scores while a network learns; textkit.searching.decoding is the search when a model is served.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textkit.exporting.ports import is_cache

if TYPE_CHECKING:
    import torch

_COMPACT = 8  # finished lines are removed when they are at least one in this many


def greedy(
    encode: torch.nn.Module,
    step: torch.nn.Module,
    source: torch.Tensor,
    source_mask: torch.Tensor,
    start: int,
    eos: int,
    longest: torch.Tensor,
) -> list[list[int]]:
    """The ids of each line's translation, without `eos`; source i64[line, source].

    The likeliest word follows each word, until `eos` or until there are `longest` i64[line] words.
    """
    import torch

    found: list[list[int]] = [[] for _ in range(len(source))]
    lines = torch.arange(len(source), device=source.device)
    left = longest.to(source.device)
    with torch.no_grad():
        ports = dict(zip(encode.outputs, encode(source, source_mask), strict=True))
        memory = [ports[name] for name in step.memory]  # [line, ...]
        # A state belongs to a beam, [line, beam = 1, ...], a cache to all beams of a line.
        state = [ports[name] if is_cache(name) else ports[name][:, None] for name in step.state]
        token = torch.full((len(source), 1), start, device=source.device)
        going = left > 0
        while bool(going.any()):
            if int((~going).sum()) * _COMPACT >= len(going):
                kept = going.nonzero()[:, 0]
                lines, left, token, going = lines[kept], left[kept], token[kept], going[kept]
                memory, state = [part[kept] for part in memory], [part[kept] for part in state]
            logits, _, *state = step(token, *memory, *state)
            token = logits.argmax(-1)  # [line, 1]
            left = left - 1
            going = going & (token[:, 0] != eos)
            for line, id, more in zip(lines.tolist(), token[:, 0].tolist(), going.tolist(), strict=True):
                if more:
                    found[line].append(id)
            going = going & (left > 0)
    return found
