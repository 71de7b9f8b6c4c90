"""The tree of fastText's hierarchical softmax (loss.cc, buildTree; Huffman 1952): rare labels are far from the root.

A label is as likely as all turns from the root to it together. Knows no file and no graph; numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_UNMADE = 10**15  # fastText's count of a node that is not made yet: more than any label has


class Tree(NamedTuple):
    """`labels` leaves, numbered 0..labels-1, then labels-1 inner nodes; the last is the root.

    `parent` i64[node], -1 for the root. `right` bool[node]: whether a node is its parent's right child, to which the sigmoid of
    the parent's score leads; 1 minus that sigmoid leads to the left child.
    """

    labels: int
    parent: np.ndarray
    right: np.ndarray


def huffman(counts: Sequence[int]) -> Tree:
    """The tree of labels that occurred so often, the most frequent first, as fastText builds it. Raises ValueError where there
    is none."""
    labels = len(counts)
    nodes = 2 * labels - 1
    count = [*counts, *[_UNMADE] * (labels - 1)]
    parent, right = np.full(nodes, -1), np.zeros(nodes, bool)
    leaf, node = labels - 1, labels  # the rarest label, and the rarest inner node, that have no parent yet
    for made in range(labels, nodes):
        pair = []
        for _ in range(2):
            if leaf >= 0 and count[leaf] < count[node]:
                pair.append(leaf)
                leaf -= 1
            elif node < made:
                pair.append(node)
                node += 1
            else:
                raise ValueError("no tree of labels has such counts")
        parent[pair] = made
        right[pair[1]] = True
        count[made] = count[pair[0]] + count[pair[1]]
    return Tree(labels, parent, right)


class PathSums(NamedTuple):
    """How the log-probabilities of labels are sums of those of turns, in few steps (pointer jumping, Wyllie 1979).

    Turns have numbers: to the right from each inner node, to the left from each, and the last, which stands for no turn and is
    certain. `steps`: arrays i32[turn]; to each turn the sum of the turn named here is added, which doubles how many turns each
    sum has. `last` i32[label]: the same for the labels alone, after all steps. `leaves` i32[label]: the turn to each label.
    """

    leaves: np.ndarray
    steps: list[np.ndarray]
    last: np.ndarray


def path_sums(tree: Tree) -> PathSums:
    """The steps for a tree of two labels or more."""
    inner = tree.labels - 1
    none = 2 * inner
    root = len(tree.parent) - 1
    number = np.where(tree.right, 0, inner) + tree.parent - tree.labels  # the turn to each node
    number[root] = none
    above = np.empty(none + 1, np.int32)  # the turn before each
    above[number[:root]] = number[tree.parent[:root]]
    above[none] = none
    steps = []
    while (above != none).any():
        steps.append(above)
        above = above[above]
    leaves = number[: tree.labels].astype(np.int32)
    last = steps.pop()[leaves] if steps else np.full(tree.labels, none, np.int32)
    return PathSums(leaves, steps, last)
