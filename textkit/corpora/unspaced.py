"""Warns of text without spaces between words if words are cut at spaces: each line would be one word, seen once."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

from textkit.errors import TextkitWarning
from textkit.text.scripts import IDEOGRAPHS, UNSPACED

_LINES = 1000  # looked at
_LONG = 8  # letters without a space between them are, as a rule, more than one word of these scripts


def warn_of_unspaced(lines: Sequence[str], advice: str, ideographs: bool = True) -> None:
    """Warns, with `advice`, if most of the first lines have no spaces.

    `ideographs`: whether these count; some tokenizers cut them one by one.
    """
    letter = re.compile(f"[{UNSPACED}{IDEOGRAPHS if ideographs else ''}]")
    some = [line for line in lines[:_LINES] if line and not line.isspace()]
    long = [line for line in some if len(letter.findall(line[:1000])) >= max(1, _LONG * len(line[:1000].split()))]
    if 2 * len(long) > len(some):
        warnings.warn(
            f"most lines have no spaces, so that each would be about one word: {advice}", TextkitWarning, stacklevel=2
        )
