"""Slips of the fingers, as people make them who type fast: so that a translator learns to read over them."""

from __future__ import annotations

import random
import re

from textkit.text.preserved.keeping import kept

# Words with a slip: those in small letters, of four and more. A name with a slip would be another name.
_WORD = re.compile(r"(?<!\w)[^\W\d_]{4,}(?!\w)")
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_BESIDE = {
    letter: row[max(0, at - 1) : at] + row[at + 1 : at + 2] for row in _ROWS for at, letter in enumerate(row)
}  # on a keyboard
_OFTEN = 12  # a longer text may have two slips


def mistyped(text: str, chance: random.Random) -> str:
    """`text` with a slip in one of its words, or in two if it is long; without such a word, as it is.

    A slip swaps two letters, leaves one out, doubles one, makes one of two, or hits the key beside it. The first letter of a
    word stays.
    """
    whole = kept(text)  # a slip in a URL or a tag would be kept as well
    words = [
        found
        for found in _WORD.finditer(text)
        if found[0].islower() and not any(begin < found.end() and found.start() < end for begin, end in whole)
    ]
    count = 2 if len(words) > _OFTEN and chance.random() < 0.5 else 1
    for found in sorted(chance.sample(words, min(count, len(words))), key=lambda one: -one.start()):
        text = text[: found.start()] + _slip(found[0], chance) + text[found.end() :]
    return text


def _slip(word: str, chance: random.Random) -> str:
    at = chance.randrange(1, len(word) - 1)
    kind = chance.random()
    doubled = [place for place in range(1, len(word)) if word[place] == word[place - 1]]
    if doubled and kind < 0.4:  # "tomorow"
        at = chance.choice(doubled)
        return word[:at] + word[at + 1 :]
    if kind < 0.6:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind < 0.8:
        return word[:at] + word[at + 1 :]
    if kind < 0.9:
        return word[:at] + word[at] + word[at:]
    beside = _BESIDE.get(word[at], "")
    return word[:at] + chance.choice(beside) + word[at + 1 :] if beside else word
