"""fastText's lines: words, of which those that begin with `__label__` are labels, wherever they stand, as in fastText itself.

Knows no file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from textkit.evaluation.layouts import names_labels

MARK = "__label__"
_SPACE = r" \t\r\v\f\0"  # what separates fastText's words; other white space is part of one
_MARKED = re.compile(rf"(?<![^{_SPACE}]){MARK}([^{_SPACE}]*)[{_SPACE}]*")


def are_marked(lines: Sequence[str]) -> bool:
    """Whether at least half of the lines, the first of a file, have such a word, and the first is no header."""
    if not lines or any(names_labels(lines[0].split(delimiter)) for delimiter in "\t,"):
        return False
    return 2 * sum(MARK in line and _MARKED.search(line) is not None for line in lines) >= len(lines)


def parts(line: str) -> tuple[list[str], str]:
    """The labels of a line without their marks, and the text without its labels and the space around it."""
    return _MARKED.findall(line), _MARKED.sub("", line).strip()
