"""Greedy search over small modules whose likeliest words are known: ends, limits, finished lines, separate states."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from textkit.tasks.translate.greedy import greedy

START, EOS = 1, 2


class Copy(nn.Module):
    """Encodes: the memory is the source, and the state is the place in it."""

    outputs = ("memory.source", "state.at")

    def forward(self, source, mask):
        return source, torch.zeros(len(source), dtype=torch.long)


class Next(nn.Module):
    """Steps: the likeliest word is the source's word at the place. `asked` notes the size of each batch."""

    memory = ("memory.source",)
    state = ("state.at",)

    def __init__(self):
        super().__init__()
        self.asked = []

    def forward(self, token, source, at):
        self.asked.append(len(token))
        wanted = source.gather(1, at.clamp(max=source.shape[1] - 1))  # [line, beam = 1]
        self.last = token
        return F.one_hot(wanted, 30).float(), torch.zeros(*token.shape, source.shape[1]), at + 1


def search(lines, longest=50):
    width = max(map(len, lines))
    source = torch.tensor([line + [0] * (width - len(line)) for line in lines])
    step = Next()
    found = greedy(Copy(), step, source, source > 0, START, EOS, torch.full((len(lines),), longest))
    return found, step


def test_each_line_ends_at_its_own_eos():
    lines = [[5, 6, 7, EOS], [9, EOS], [EOS], [8, 8, EOS]]
    found, _ = search(lines)
    assert found == [[5, 6, 7], [9], [], [8, 8]]


def test_finished_lines_are_no_longer_computed():
    lines = [[5] * 10 + [EOS], *[[7, EOS]] * 15]
    found, step = search(lines)
    assert found == [[5] * 10, *[[7]] * 15]
    assert step.asked == [16, 16] + [1] * 9


def test_a_line_that_never_ends_is_cut():
    found, step = search([[5, 6], [7, EOS]], longest=4)
    assert found == [[5, 6, 6, 6], [7]]
    assert len(step.asked) == 4


def test_limits_are_a_line_each_and_may_be_nothing():
    source = torch.full((3, 1), 5)
    found = greedy(Copy(), Next(), source, source > 0, START, EOS, torch.tensor([3, 0, 1]))
    assert found == [[5, 5, 5], [], [5]]
