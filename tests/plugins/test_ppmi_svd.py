"""ppmi-svd: counts, PMI and options by hand, its SVD against numpy, and a text of known structure end to end."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from textkit import config
from textkit.corpora.corpus import Corpus
from textkit.errors import TextkitError, UsageError
from textkit.registry import registry
from textkit.training.run import Run
from textkit.training.trainer import train
from textkit_plugins.embeddings import cooccurrence, ppmi, truncated_svd
from textkit_plugins.embeddings.cooccurrence import Counts
from textkit_plugins.embeddings.counting import PpmiSvd


def dense(counts: Counts) -> np.ndarray:
    size = len(counts.starts) - 1
    columns, values = counts.block(0, size)
    return scipy.sparse.csr_matrix((values, columns, counts.starts), (size, size)).toarray()


def counted(matrix: np.ndarray, folder: Path) -> Counts:
    sparse = scipy.sparse.csr_matrix(matrix.astype(np.float32))
    sparse.indices.astype(np.int32).tofile(folder / "columns")
    sparse.data.tofile(folder / "values")
    return Counts(sparse.indptr.astype(np.int64), folder / "columns", folder / "values")


def by_brute_force(ids: list[int], size: int, weight: np.ndarray) -> np.ndarray:
    table = np.zeros((size, size))
    lines = [list(line) for is_end, line in itertools.groupby(ids, lambda id: id < 0) if not is_end]
    for line in lines:
        for a, b in itertools.permutations(range(len(line)), 2):
            if abs(a - b) <= len(weight):
                table[line[a], line[b]] += weight[abs(a - b) - 1]
    return table


# Counting


def test_counts_by_hand(tmp_path: Path) -> None:
    # lines "a b c a" and "c b", window 2: a-b 2 (at distance 1 and 2), a-c 2, a-a none (distance 3), b-c 1 + 1
    counts = cooccurrence.count(np.array([0, 1, 2, 0, -1, 2, 1, -1], np.int32), 3, np.ones(2), tmp_path / "counts", 1)
    assert dense(counts).tolist() == [[0, 2, 2], [2, 0, 2], [2, 2, 0]]
    # harmonic: a-b 1 + 1/2, a-c 1/2 + 1, b-c 1 + 1; window 3 adds a-a at distance 3, once in each direction
    weight = cooccurrence.weights(2, "harmonic")
    counts = cooccurrence.count(np.array([0, 1, 2, 0, -1, 2, 1, -1], np.int32), 3, weight, tmp_path / "counts", 1)
    assert dense(counts).tolist() == [[0, 1.5, 1.5], [1.5, 0, 2], [1.5, 2, 0]]
    weight = cooccurrence.weights(4, "dynamic")
    counts = cooccurrence.count(np.array([0, 1, 2, 0, -1, 2, 1, -1], np.int32), 3, weight, tmp_path / "counts", 1)
    assert dense(counts).tolist() == [[1, 1.75, 1.75], [1.75, 0, 2], [1.75, 2, 0]]


def test_weights_by_hand() -> None:
    assert cooccurrence.weights(3, "uniform").tolist() == [1, 1, 1]
    assert cooccurrence.weights(4, "dynamic").tolist() == [1, 0.75, 0.5, 0.25]
    assert cooccurrence.weights(4, "harmonic").tolist() == [1, 0.5, 1 / 3, 0.25]


@pytest.mark.parametrize("window", [1, 3, 10])
@pytest.mark.parametrize("line", [1, 2, 5, 1000])
@pytest.mark.parametrize("megabyte", [1 << 20, 700])
def test_counts_of_random_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int, line: int, megabyte: int
) -> None:
    # With a "megabyte" of 700 bytes the text is cut, even inside lines, into shards of 4 to 29 tokens; these are summed.
    monkeypatch.setattr(cooccurrence, "_MB", megabyte)
    random = np.random.default_rng(line)
    ids = random.integers(0, 12, 400).astype(np.int32)
    ids[random.random(400) < 1 / line] = -1
    weight = cooccurrence.weights(window, "harmonic")
    counts = cooccurrence.count(ids, 13, weight, tmp_path / "counts", 1)
    np.testing.assert_allclose(dense(counts), by_brute_force(ids.tolist(), 13, weight), rtol=1e-6)
    pairs = set(zip(counts.rows(0, 13).tolist(), counts.block(0, 13)[0].tolist(), strict=True))
    assert len(pairs) == counts.pairs, "a pair is there twice"
    assert len(list((tmp_path / "counts").iterdir())) == 2


def test_row_blocks_hold_so_many_pairs_or_one_row() -> None:
    starts = np.array([0, 3, 3, 10, 11, 12])
    assert list(cooccurrence.row_blocks(starts, 4)) == [(0, 2), (2, 3), (3, 5)]
    assert list(cooccurrence.row_blocks(starts, 1)) == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
    assert list(cooccurrence.row_blocks(starts, 12)) == [(0, 5)]


# PPMI

COUNTS = np.array([[0, 2, 1], [2, 0, 1], [1, 1, 0]])  # neighbours: a 3, b 3, c 2, in all 8


def test_ppmi_by_hand(tmp_path: Path) -> None:
    found = ppmi.ppmi(counted(COUNTS, tmp_path), ppmi.Association(cds=1), tmp_path, 1).toarray()
    ab, ac = 0.5753641, 0.2876821  # log(2 * 8 / (3 * 3)), log(1 * 8 / (3 * 2))
    np.testing.assert_allclose(found, [[0, ab, ac], [ab, 0, ac], [ac, ac, 0]], atol=1e-6)


def test_context_smoothing_by_hand(tmp_path: Path) -> None:
    # 3^.75 = 2.2795071, 2^.75 = 1.6817928, together 2 * 2.2795071 + 1.6817928 = 6.2408070
    found = ppmi.ppmi(counted(COUNTS, tmp_path), ppmi.Association(), tmp_path, 1).toarray()
    ab = 0.6016852  # log(2 * 6.2408070 / (3 * 2.2795071))
    ac = 0.2126368  # log(1 * 6.2408070 / (3 * 1.6817928)): a rare context is worth less than above
    ca = 0.3140031  # log(1 * 6.2408070 / (2 * 2.2795071))
    np.testing.assert_allclose(found, [[0, ab, ac], [ab, 0, ac], [ca, ca, 0]], atol=1e-6)


def test_shift_by_hand(tmp_path: Path) -> None:
    # log 1.3 = 0.2623643 is subtracted: a-c falls below zero and is dropped
    found = ppmi.ppmi(counted(COUNTS, tmp_path), ppmi.Association(neg=1.3), tmp_path, 1)
    assert found.nnz == 4
    expected = [[0, 0.3393209, 0], [0.3393209, 0, 0], [0.0516388, 0.0516388, 0]]
    np.testing.assert_allclose(found.toarray(), expected, atol=1e-6)


def test_subsampling_by_hand(tmp_path: Path) -> None:
    # shares .9, .09, .01 of the text, t = .09: sqrt(.09 / .9) = .3162278; of the other words all are kept
    keep = ppmi.kept_share(np.array([90, 9, 1]), 0.09)
    np.testing.assert_allclose(keep, [0.3162278, 1, 1], atol=1e-7)
    assert ppmi.kept_share(np.array([90, 9, 1]), 0.0) is None
    # half of each word is kept: a-b counts 2/4, a-c and b-c 1/2; neighbours: a 1, b 1, c 1, in all 3
    found = ppmi.ppmi(
        counted(COUNTS, tmp_path), ppmi.Association(cds=1, keep=np.array([0.5, 0.5, 1])), tmp_path, 1
    ).toarray()
    all_alike = 0.4054651  # log(1/2 * 3 / (1 * 1))
    np.testing.assert_allclose(found, all_alike * (1 - np.eye(3)), atol=1e-6)


def test_ppmi_does_not_depend_on_blocks_and_skips_lonely_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = np.random.default_rng(0).poisson(0.7, (40, 40))
    table = table + table.T
    table[7] = table[:, 7] = 0
    whole = ppmi.ppmi(counted(table, tmp_path), ppmi.Association(), tmp_path, 1).toarray()
    monkeypatch.setattr(ppmi, "_MB", 800)  # ten pairs per block
    np.testing.assert_array_equal(ppmi.ppmi(counted(table, tmp_path), ppmi.Association(), tmp_path, 1).toarray(), whole)
    near = table.sum(1)
    context = near**0.75 / (near**0.75).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.log(table / table.sum() / (near[:, None] / table.sum() * context))
    np.testing.assert_allclose(whole, np.nan_to_num(expected, nan=0, neginf=0).clip(0), atol=1e-5)
    assert not whole[7].any()
    assert whole.any()


# SVD


@pytest.mark.parametrize(
    ("size", "dim"), [(60, 20), (900, 20), (900, 1), pytest.param(1200, 300, marks=pytest.mark.slow)]
)
def test_svd_is_numpys(size: int, dim: int) -> None:
    # A flat spectrum, as PPMI has: 1,200 words at 300 dimensions take several restarts.
    random = np.random.default_rng(size)
    matrix = scipy.sparse.random(size, size, 0.02, "csr", np.float32, random)
    left, singular, right = truncated_svd.truncated_svd(matrix, dim, seed=1)
    assert (left.shape, singular.shape, right.shape) == ((size, dim), (dim,), (size, dim))
    expected_left, expected, expected_right = np.linalg.svd(matrix.toarray().astype(np.float64))
    np.testing.assert_allclose(singular, expected[:dim], rtol=1e-5)
    for found, true in ((left, expected_left), (right, expected_right.T)):
        np.testing.assert_allclose(found.T @ found, np.eye(dim), atol=1e-4)
        inside = np.linalg.norm(true[:, : max(1, dim - 5)].T @ found, axis=1)
        # Not the last true vectors: their singular values are almost equal to those just beyond `dim`.
        np.testing.assert_allclose(inside, 1, atol=1e-4)
    np.testing.assert_allclose(matrix @ right, left * singular, atol=2e-3 * singular[0])


@pytest.mark.parametrize(("rank", "dim"), [(3, 10), (1, 100), (60, 60)])
def test_svd_of_a_matrix_of_small_rank(rank: int, dim: int) -> None:
    random = np.random.default_rng(5)
    factors = random.normal(size=(2, 800, rank))
    factors[:, 100:] = 0  # the image of the matrix has 100 coordinates
    matrix = scipy.sparse.csr_matrix((factors[0] @ factors[1].T).astype(np.float32))
    left, singular, right = truncated_svd.truncated_svd(matrix, dim, seed=1)
    np.testing.assert_allclose((left * singular) @ right.T, matrix.toarray(), atol=1e-3)
    np.testing.assert_allclose(left.T @ left, np.eye(dim), atol=1e-5)
    np.testing.assert_allclose(singular[rank:], 0, atol=1e-3)
    weighed = ppmi.weigh(left, singular, eig=0.0)
    np.testing.assert_allclose(np.linalg.norm(weighed, axis=0), np.arange(dim) < rank, atol=1e-5)


def test_svd_repeats() -> None:
    matrix = scipy.sparse.random(700, 700, 0.02, "csr", np.float32, np.random.default_rng(0))
    first, again, other = (truncated_svd.truncated_svd(matrix, 8, seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(np.abs((first * other).sum(0)), 1, atol=1e-4)  # another seed: the same except for signs


def test_eigenvalue_weight_by_hand() -> None:
    vectors = np.array([[0.6, 0.8], [0.8, -0.6]], np.float32)
    singular = np.array([9.0, 4.0], np.float32)
    np.testing.assert_allclose(ppmi.weigh(vectors, singular, 0.0), vectors)
    np.testing.assert_allclose(ppmi.weigh(vectors, singular, 0.5), [[1.8, 1.6], [2.4, -1.2]], rtol=1e-6)
    np.testing.assert_allclose(ppmi.weigh(vectors, singular, 1.0), [[5.4, 3.2], [7.2, -2.4]], rtol=1e-6)


# End to end


def planted(folder: Path, groups: int = 12, lines: int = 3000) -> Path:
    """Each line is `left member right` of one group; the two members of a group never meet, but keep the same company."""
    random = np.random.default_rng(3)
    path = folder / "planted.txt"
    with path.open("w") as file:
        for _ in range(lines):
            group, member, left, right = random.integers((groups, 2, 4, 4))
            file.write(f"l{group}x{left} m{group}x{member} r{group}x{right}\n")
    return path


def trained(folder: Path, data: Path, *assignments: str, seed: int = 1) -> Run:
    plugin = registry.get("ppmi-svd")
    options, training = config.resolve(plugin, None, assignments)
    run = Run.create(folder, plugin, options, training, seed, [data])
    assert list(train(run, Corpus([data]), threads=1))
    return run


def vectors(run: Run) -> dict[str, np.ndarray]:
    module = run.plugin.graphs(run.network(), run.vocabulary, run.config)["embed"].module
    return dict(zip(run.vocabulary.words, module.weight.detach().numpy(), strict=True))


@pytest.mark.parametrize(
    "options", [[], ["vectors=context"], ["vectors=sum", "subsample=0.01"], ["eig=0", "weighting=dynamic"]]
)
def test_words_of_the_same_company_are_nearest(tmp_path: Path, options: list[str]) -> None:
    table = vectors(trained(tmp_path / "run", planted(tmp_path), "dim=24", *options))
    names = list(table)
    unit = np.stack([table[name] / np.linalg.norm(table[name]) for name in names])
    for group in range(12):
        word = names.index(f"m{group}x0")
        cosine = unit @ unit[word]
        cosine[word] = -1
        assert names[np.argmax(cosine)] == f"m{group}x1"


def test_vectors_are_u_times_the_root_of_s(tmp_path: Path) -> None:
    data = tmp_path / "text.txt"
    data.write_text("a b\na b\na c\nb c\n")  # the pairs of COUNTS
    found = vectors(trained(tmp_path / "run", data, "dim=2", "min_count=1", "window=1"))
    left, singular, right = np.linalg.svd(
        [[0, 0.6016852, 0.2126368], [0.6016852, 0, 0.2126368], [0.3140031, 0.3140031, 0]]
    )
    expected = left[:, :2] * np.sqrt(singular[:2])
    rows = np.stack([found[word] for word in "abc"])
    np.testing.assert_allclose(rows @ rows.T, expected @ expected.T, atol=1e-5)
    both = vectors(trained(tmp_path / "sum", data, "dim=2", "min_count=1", "window=1", "vectors=sum"))
    context = right[:2].T * np.sqrt(singular[:2])
    expected = sum(table / np.linalg.norm(table, axis=1, keepdims=True) for table in (expected, context))
    rows = np.stack([both[word] for word in "abc"])
    np.testing.assert_allclose(rows @ rows.T, expected @ expected.T, atol=1e-5)


def test_the_probability_of_a_word_is_its_share_of_the_text(tmp_path: Path) -> None:
    data = tmp_path / "text.txt"
    data.write_text("a b\na b\na c\nb c\n")
    run = trained(tmp_path / "run", data, "dim=2", "min_count=1")
    probability = run.plugin.graphs(run.network(), run.vocabulary, run.config)["embed"].constants["probability"]
    np.testing.assert_allclose(probability, [3 / 8, 3 / 8, 2 / 8])
    assert probability.dtype == np.float32


@pytest.mark.parametrize(
    ("text", "options", "why"),
    [
        (
            "a b c\n" * 5,
            ["dim=4"],
            "too small: 3 of its 3 distinct words occur min_count=5 times, at least 4 are needed",
        ),
        ("a\nb\n" * 9, ["dim=2"], "too small: no line of it has two words of the vocabulary"),
        ("a b\n" * 9, ["dim=2", "neg=50"], r"no two words are near each other more often than by chance.*neg=50"),
    ],
)
def test_a_corpus_too_small(tmp_path: Path, text: str, options: list[str], why: str) -> None:
    data = tmp_path / "text.txt"
    data.write_text(text)
    with pytest.raises(TextkitError, match=why):
        trained(tmp_path / "run", data, *options)


@pytest.mark.parametrize(
    "wrong",
    [
        "window=0",
        "dim=0",
        "cds=-1",
        "eig=-0.5",
        "neg=0.5",
        "subsample=-1",
        "weighting=square",
        "vectors=both",
        "memory_mb=0",
    ],
)
def test_options_out_of_range(wrong: str) -> None:
    with pytest.raises(UsageError, match=f"{wrong}.*: (must be at least|{wrong.split('=')[0]} takes one of)"):
        config.resolve(PpmiSvd(), None, [wrong])


def test_the_paper_s_defaults() -> None:
    options, _ = config.resolve(PpmiSvd())
    assert (options.window, options.cds, options.eig, options.neg, options.subsample) == (2, 0.75, 0.5, 1, 0)
