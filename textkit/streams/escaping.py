"""Writes a record as one line of text that it can be read back from, and reads it back. Knows no format."""

from __future__ import annotations

import re

_MARKS = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r"})
_MARKS_AND_TABS = _MARKS | str.maketrans({"\t": "\\t"})


def escaped(text: str, tabs: bool = False) -> str:
    """`text` as one line that `unescaped` reads back.

    A line feed becomes \\n, a carriage return \\r, and with `tabs` a tab becomes \\t. In a text that has one of them, or
    something that could be taken for such an escape, each backslash is doubled. Any tool that replaces \\\\, \\n, \\r (and \\t)
    from left to right undoes it as well.
    """
    if text.isprintable() and "\\" not in text:
        return text
    unsafe = r"[\n\r\t]|\\[nrt\\]" if tabs else r"[\n\r]|\\[nr\\]"
    return text.translate(_MARKS_AND_TABS if tabs else _MARKS) if re.search(unsafe, text) else text


def unescaped(line: str, tabs: bool = False) -> str:
    """The text that was `escaped`."""
    found = {"n": "\n", "r": "\r", "\\": "\\", "t": "\t"}
    return re.sub(r"\\([nrt\\])" if tabs else r"\\([nr\\])", lambda match: found[match[1]], line)


class Escaping:
    """Does what `escaped` does for a text that comes in parts.

    A backslash stays single until there is something to escape; `unescaped` reads it as one backslash.
    """

    def __init__(self) -> None:
        self._held = ""  # a backslash at the end, until it is known what follows
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
