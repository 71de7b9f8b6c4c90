"""The tree of hierarchical softmax: sums along paths in few steps, and Huffman's own property."""

from __future__ import annotations

import heapq

import numpy as np
import pytest

from textkit.interop.fasttext.tree import huffman, path_sums


@pytest.mark.parametrize("labels", [2, 3, 8, 65])
@pytest.mark.parametrize("shape", ["equal", "chain", "drawn"])
def test_sums_along_a_tree_are_those_of_its_paths(labels: int, shape: str) -> None:
    random = np.random.default_rng(labels)
    counts = {
        "equal": [5] * labels, "chain": [1 << (labels - at) // 2 for at in range(labels)],
        "drawn": sorted(random.integers(0, 1000, labels).tolist(), reverse=True),
    }[shape]  # fmt: skip
    tree = huffman(counts)
    found = path_sums(tree)
    each = random.normal(size=2 * (labels - 1) + 1)  # the turns right, the turns left, and none
    each[-1] = 0
    sums = each.copy()
    for step in found.steps:
        sums = sums + sums[step]
    sums = sums[found.leaves] + sums[found.last]
    for label in range(labels):
        node, wanted = label, 0.0
        while tree.parent[node] >= 0:
            wanted += each[tree.parent[node] - labels + (0 if tree.right[node] else labels - 1)]
            node = int(tree.parent[node])
        assert sums[label] == pytest.approx(wanted, abs=1e-9)
    assert len(found.steps) <= 7


@pytest.mark.parametrize("labels", [1, 2, 3, 17, 200])
def test_no_tree_is_shorter(labels: int) -> None:
    counts = sorted(np.random.default_rng(labels).integers(1, 10_000, labels).tolist(), reverse=True)
    tree = huffman(counts)
    length = 0
    for label, count in enumerate(counts):
        node = label
        while tree.parent[node] >= 0:
            node, length = int(tree.parent[node]), length + count
    heap, wanted = list(counts), 0
    heapq.heapify(heap)
    while len(heap) > 1:
        both = heapq.heappop(heap) + heapq.heappop(heap)
        wanted += both
        heapq.heappush(heap, both)
    assert length == wanted
    assert tree.right.sum() == labels - 1


def test_counts_that_are_too_large_make_no_tree() -> None:
    with pytest.raises(ValueError, match="no tree of labels has such counts"):
        huffman([10**15, 10**15, 1])
    assert huffman([0, 0, 0, 0]).parent.tolist() == [6, 5, 4, 4, 5, 6, -1]  # a chain, as in fastText
