"""Chinese, Japanese and Thai have no spaces between words; training by words warns of that."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from textkit.corpora.unspaced import warn_of_unspaced
from textkit.errors import TextkitWarning

CHINESE = ["我今天早上去了学校，然后回家。", "他昨天在北京买了一本新书。"] * 5
THAI = ["ฉันไปโรงเรียนทุกวันตอนเช้า"] * 4


@pytest.mark.parametrize(
    ("lines", "ideographs", "told"),
    [
        (CHINESE, True, True),
        (CHINESE, False, False),  # the rule cuts them one by one
        (THAI, False, True),
        (["今日は とても いい 天気 です ね"] * 4, True, False),  # spaces are there
        (["hello", "world", "pneumonoultramicroscopicsilicovolcanoconiosis"], True, False),
        (["I like 寿司 very much", "你好"], True, False),
        ([], True, False),
        (["", " "], True, False),
        ([*CHINESE[:3], *["plain English text"] * 4], True, False),
    ],
)
def test_who_is_told(lines: list[str], ideographs: bool, told: bool) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warn_of_unspaced(lines, "do this", ideographs)
    assert [(one.category, "do this" in str(one.message)) for one in said] == [(TextkitWarning, True)] * told


def test_training_hints_at_pieces(tmp_path: Path, call: Callable[..., tuple[int, str, str]]) -> None:
    (tmp_path / "zh.txt").write_text("\n".join(CHINESE), encoding="utf-8")
    settings = ("epochs=1", "hidden=4", "dim=4", "layers=1", "streams=1", "min_count=1")
    tiny = [part for setting in settings for part in ("--set", setting)]
    text = tmp_path / "zh.txt"
    with pytest.warns(TextkitWarning, match="--set vocab=bpe"):
        code, _, error = call("train", "rnn-lm", text, "-o", tmp_path / "run", *tiny, "--dev", text)
    assert code == 0, error
