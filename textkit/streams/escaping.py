"""A record as one line of text that says what it was, and back. Knows no format."""

from __future__ import annotations

import re

_MARKS = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r"})
_MARKS_AND_TABS = _MARKS | str.maketrans({"\t": "\\t"})


def escaped(text: str, tabs: bool = False) -> str:
    """`text` as one line that says what it was: a line feed is \\n, a carriage return \\r, with `tabs` a tab \\t, and wherever
    there is one of them, or what could be taken for one, each backslash is two. `unescaped` undoes it, and so does replacing
    \\\\, \\n, \\r (and \\t) from left to right with anything that does."""
    if text.isprintable() and "\\" not in text:
        return text
    unsafe = r"[\n\r\t]|\\[nrt\\]" if tabs else r"[\n\r]|\\[nr\\]"
    return text.translate(_MARKS_AND_TABS if tabs else _MARKS) if re.search(unsafe, text) else text


def unescaped(line: str, tabs: bool = False) -> str:
    """What was `escaped`."""
    found = {"n": "\n", "r": "\r", "\\": "\\", "t": "\t"}
    return re.sub(r"\\([nrt\\])" if tabs else r"\\([nr\\])", lambda match: found[match[1]], line)


class Escaping:
    """As `escaped`, for a text that comes in parts. Before there is anything to escape a backslash stays one, which
    `unescaped` reads as one."""

    def __init__(self) -> None:
        self._held = ""  # a backslash at the end, till it is known what follows
        self._begun = False

    def __call__(self, part: str, last: bool = False) -> str:
        text, self._held = self._held + part, ""
        if text.endswith("\\") and not last:
            text, self._held = text[:-1], "\\"
        if not self._begun:
            unsafe = re.search(r"[\n\r]|\\[nr\\\n\r]", text + self._held)
            if unsafe is None:
                return text
            self._begun = True
            return text[: unsafe.start()] + text[unsafe.start() :].translate(_MARKS)
        return text.translate(_MARKS)
