"""Warns of text without spaces between words if words are cut at spaces: each line would be one word, seen once."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

from textkit.errors import TextkitWarning

# Ideographs and kana; Thai, Lao, Burmese, Khmer.
_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_OTHERS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_LINES = 1000  # looked at
_LONG = 8  # letters without a space between them are, as a rule, more than one word of these scripts


def warn_of_unspaced(lines: Sequence[str], advice: str, ideographs: bool = True) -> None:
    """Warns, with `advice`, if most of the first lines have no spaces.

    `ideographs`: whether these count; some tokenizers cut them one by one.
    """
    letter = re.compile(f"[{_OTHERS}{_IDEOGRAPHS if ideographs else ''}]")
    some = [line for line in lines[:_LINES] if line and not line.isspace()]
    long = [line for line in some if len(letter.findall(line[:1000])) >= max(1, _LONG * len(line[:1000].split()))]
    if 2 * len(long) > len(some):
        warnings.warn(
            f"most lines have no spaces, so that each would be about one word: {advice}", TextkitWarning, stacklevel=2
        )
