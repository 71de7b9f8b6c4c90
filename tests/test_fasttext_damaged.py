"""Damaged fastText classifiers: truncated files, sizes and counts that do not fit, no numbers. Each gives one line."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from test_fasttext_classifier import HS, OVA, Served, classifier, labelled, supervised
from test_fasttext_files import quantised
from test_interop import fasttext, file

from textkit.errors import TextkitError
from textkit.interop.fasttext.classifier import make_bundle
from textkit.interop.foreign import read_as
from textkit.interop.table import Room


def refusal(folder: Path, content: bytes) -> str:
    path = file(folder, content)
    with pytest.raises(TextkitError) as caught:
        read_as(None, path, Room("fp32"))
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(path, "FILE")


def test_damaged_classifiers_are_one_line(tmp_path: Path) -> None:
    two = labelled("x", "y")
    good = supervised(two, np.eye(2))
    assert classifier(tmp_path, good).labels == ["x", "y"]
    for cut in range(64, len(good)):  # a shorter file does not even say that it is supervised
        assert refusal(tmp_path, good[:cut]).startswith(("FILE: ends inside", "FILE: promises")), cut
    assert refusal(tmp_path, good[:-1]) == "FILE: promises 2 rows of 2 numbers, which is more than the file holds"
    for output in (np.ones((3, 2)), np.ones((1, 2)), np.ones((2, 3))):
        said = refusal(tmp_path, supervised(two, output))
        rows, columns = output.shape
        assert said == f"FILE: an output matrix of {rows} rows of {columns} does not fit 2 labels and dim=2: damaged"
    assert refusal(tmp_path, supervised([], np.ones((0, 2)))) == "FILE: has no labels: damaged"
    assert "unknown loss 5" in refusal(tmp_path, supervised(two, np.eye(2), loss=5))
    assert "unknown loss 0" in refusal(tmp_path, supervised(two, np.eye(2), loss=0))
    twice = [(b"__label__x", 3), (b"__label__x", 2)]
    assert refusal(tmp_path, supervised(twice, np.eye(2))) == "FILE: two of its labels are the same text: damaged"
    nan = np.array([[1, 2], [np.nan, 1]])
    assert refusal(tmp_path, supervised(two, nan)) == "FILE: row 1 of its output matrix holds NaN or infinity"
    assert "holds what is no word" in refusal(tmp_path, good.replace(b"__label__y\0\x08", b"__label__\n\0\x08"))
    kinds = good.replace(b"__label__y\0" + struct.pack("<qb", 8, 1), b"__label__y\0" + struct.pack("<qb", 8, 0))
    assert "holds what is no word" in refusal(tmp_path, kinds)
    wide = supervised(
        two, np.eye(2), buckets=1 << 25, grams=(2, 3), pruned={1: 0}, rows=quantised(np.ones((4, 2)), None), dim=3
    )
    assert "n-grams in 33,554,432 buckets; at most 16,777,216 are read" in refusal(tmp_path, wide)


def test_what_no_manifest_may_state_is_not_read(tmp_path: Path) -> None:
    """Otherwise all is read and proven, and then the manifest is refused."""
    two, rows = labelled("x", "y"), np.ones((5, 2))
    for given, said in (
        ({"grams": (2, 65)}, "n-grams of up to 65 characters; at most 64 are read"),
        ({"word_ngrams": 1001}, "n-grams of up to 1,001 words; at most 1,000 are read"),
    ):
        assert refusal(tmp_path, supervised(two, np.eye(2), rows=rows, buckets=2, **given)) == f"FILE: {said}"
    for given in ({"grams": (70, 0)}, {"grams": (2, 64)}, {"word_ngrams": 1000}):
        read = classifier(tmp_path, supervised(two, np.eye(2), rows=rows, buckets=2, **given))
        make_bundle(read, tmp_path / "m", source="x", overwrite=True)
    wide = fasttext([(b"a", 5)], np.ones((1, 1 << 17)), 0)
    assert read_as(None, file(tmp_path, wide), Room("fp32")).table.shape == (1, 1 << 17)


def test_counts_that_make_no_tree_are_one_line(tmp_path: Path) -> None:
    three = [(b"__label__x", 1 << 60), (b"__label__y", 1 << 59), (b"__label__z", 1)]
    said = refusal(tmp_path, supervised(three, np.ones((3, 2)), HS))
    assert said == "FILE: no tree of labels has such counts: damaged"
    # Other losses need no tree. Counts out of order make another tree, in fastText too.
    assert len(classifier(tmp_path, supervised(three, np.ones((3, 2)), OVA)).labels) == 3
    mixed = supervised([(b"__label__x", 0), (b"__label__y", 7), (b"__label__z", 0)], np.ones((3, 2)), HS)
    np.testing.assert_allclose(Served(tmp_path, mixed).probabilities(["a"]).sum(), 1, atol=1e-6)


def test_damaged_quantised_classifiers_are_one_line(tmp_path: Path) -> None:
    two = labelled("x", "y")
    rows, output = quantised(np.ones((3, 2)), np.ones(3)), quantised(np.ones((2, 2)), None)
    good = supervised(two, output, rows=rows, dim=3)
    assert classifier(tmp_path, good).labels == ["x", "y"]
    begin = len(good) - len(output)
    for cut in [*range(begin, begin + 60), *range(begin + 60, len(good), 151)]:
        assert refusal(tmp_path, good[:cut]).startswith(("FILE: ends inside", "FILE: promises")), cut
    three = supervised(two, quantised(np.ones((3, 2)), None), rows=rows, dim=3)
    assert refusal(tmp_path, three) == "FILE: an output matrix of 3 rows of 3 does not fit 2 labels and dim=3: damaged"
    # A quantised output beside an input that is not is no model of fastText's.
    mixed = refusal(tmp_path, supervised(two, output, rows=np.ones((3, 3)), dim=3))
    assert mixed == "FILE: an output matrix of 512 rows of 768 does not fit 2 labels and dim=3: damaged"


def test_numbers_that_overflow_are_refused(tmp_path: Path) -> None:
    content = supervised(labelled("x", "y"), np.full((2, 2), 3e38), rows=np.full((3, 2), 3e38))
    with pytest.raises(TextkitError, match="differs from the model by inf"):
        make_bundle(classifier(tmp_path, content), tmp_path / "m", source="x")
    assert not (tmp_path / "m").exists()


def test_rows_that_overflow_are_refused_when_they_are_read(tmp_path: Path) -> None:
    two = labelled("x", "y")
    dense = supervised(two, np.eye(2), rows=np.full((4, 2), 3e38), buckets=1, grams=(1, 2))
    assert refusal(tmp_path, dense) == "FILE: the rows of a word and its n-grams add up to no finite number: damaged"
    rows = quantised(np.ones((3, 2)), np.ones(3))
    wide = rows[:-4] + struct.pack("<f", 3e38)  # the last of the norms
    assert refusal(tmp_path, supervised(two, np.ones((2, 3)), rows=wide, dim=3)) == (
        "FILE: its centroids times its norms are no finite numbers: damaged"
    )
