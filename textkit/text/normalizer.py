"""Normalises a line before it is cut into words: case, Unicode form, punctuation. numpy only; knows no ids."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache, partial
from string import punctuation
from typing import Any, Literal

from textkit.errors import quoted
from textkit.text.characters import Kinds, others
from textkit.text.cleaning import cleaned, may_need_cleaning
from textkit.text.scripts import FIRST_IDEOGRAPH, IDEOGRAPHS

_SHORT = 4096  # characters
_FORMS: Mapping[str, Literal["NFC", "NFKC", "NFD", "NFKD"]] = {
    "NFC": "NFC",
    "NFKC": "NFKC",
    "NFD": "NFD",
    "NFKD": "NFKD",
}


@cache
def _ideographs() -> re.Pattern[str]:
    """Compiled when the first is met, which takes 5 ms."""
    return re.compile(f"([{IDEOGRAPHS}])")


@dataclass(frozen=True)
class Normalizer:
    """What is done to a line before it is cut into words. The same in training and in serving."""

    lowercase: bool = True
    unicode: str = "NFC"  # NFC | NFKC | NFD | NFKD | none
    punctuation: str = "split"  # split: each mark is a word, as in BERT | keep: words are what spaces separate
    clean: bool = False  # first remove invisible characters, and spell out ligatures and full-width forms

    def __post_init__(self) -> None:
        if self.unicode not in (*_FORMS, "none"):
            raise ValueError(f"unicode={str(self.unicode)[:80]}: one of NFC, NFKC, NFD, NFKD, none")
        if self.punctuation not in ("split", "keep"):
            raise ValueError(f"punctuation={str(self.punctuation)[:80]}: split or keep")
        if type(self.clean) is not bool:
            raise ValueError(f"clean={str(self.clean)[:80]}: true or false")

    def __call__(self, text: str) -> str:
        """`text` (any number of lines, `\n` between them) with words separated by white space; lines stay lines."""
        text = self.folded(text)
        if self.punctuation == "split":
            # One str.replace per distinct mark runs at memory speed; a regular expression costs 100 ns per match, and
            # a set of the characters 12 ns per character.
            for character in punctuation:
                if character in text:
                    text = text.replace(character, f" {character} ")
            beyond = others(text)
            for character in beyond:
                if is_mark(character):
                    text = text.replace(character, f" {character} ")
            if beyond and ord(beyond[-1]) >= FIRST_IDEOGRAPH:
                text = _ideographs().sub(r" \1 ", text)
        return text

    def folded(self, text: str) -> str:
        """`text` (any number of lines) cleaned, in its Unicode form and case; nothing is split off. Lines stay lines."""
        if self.clean:
            text = cleaned(text, apart=self.punctuation == "split")
        text = self.form(text)
        if self.lowercase:
            # Some letters have a composed form only in lower case (h with a line below) and would have two spellings.
            text = self.form(text.lower())
        return text

    def fold(self, character: str) -> str | None:
        """What `folded` makes of a character wherever it stands, if that is one character; None if it depends on those beside
        it, as with marks, or is more than one."""
        if not character.isascii():
            becomes = character.lower() if self.lowercase else character
            settled = self.unicode == "none" or all(
                _settledness(_FORMS[self.unicode], each) == _SETTLED for each in {character, becomes[:1]}
            )
            if len(becomes) != 1 or not settled or (self.lowercase and character == _FINAL):
                return None
        elif not character.isprintable() and character not in "\t\n":
            return None
        if self.clean and not character.isascii() and may_need_cleaning(character):
            return None
        return character.lower() if self.lowercase else character

    def is_word(self, character: str) -> bool:
        """Whether a character is always a word by itself."""
        if self.punctuation != "split":
            return False
        beyond = character >= chr(FIRST_IDEOGRAPH)
        return is_mark(character) or (beyond and _ideographs().match(character) is not None)

    def form(self, text: str) -> str:
        """`text` in the chosen Unicode form."""
        if self.unicode == "none" or text.isascii():
            return text
        form = _FORMS[self.unicode]
        if len(text) <= _SHORT:
            return unicodedata.normalize(form, text)
        # A single mark that is not composed would have the whole of a long text recomposed, at 100 ns per character.
        unsettled = _settled(form).lines_of(text, _UNSETTLED)
        if not unsettled:
            return text
        lines = text.split("\n")
        for at in unsettled:
            lines[at] = unicodedata.normalize(form, lines[at])
        return "\n".join(lines)

    def words(self, lines: Sequence[str]) -> list[list[str]]:
        """Each line's words."""
        text = "\n".join(line.replace("\n", " ") if "\n" in line else line for line in lines)
        return [line.split() for line in self(text).split("\n")] if lines else []

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Normalizer:
        """The inverse of `spec`. Raises TypeError or ValueError for any other description."""
        for key in set(spec) - {field.name for field in fields(cls)}:
            raise ValueError(f"a normalizer has no {quoted(key)}")
        return cls(**spec)

    def spec(self) -> dict[str, Any]:
        spec = {"lowercase": self.lowercase, "unicode": self.unicode, "punctuation": self.punctuation}
        return spec | ({"clean": True} if self.clean else {})  # left out if false, as in manifests older than `clean`


def is_mark(character: str) -> bool:
    """Whether a character is punctuation or a symbol."""
    if character.isascii():
        return character in punctuation
    return unicodedata.category(character)[0] in "PS" and not character.isalnum()


_FINAL = "\u03a3"  # sigma, whose small letter is another at the end of a word
_SETTLED, _UNSETTLED = 1, 2
_JAMO = ((0x1100, 0x11FF), (0xA960, 0xA97F), (0xD7B0, 0xD7FF))  # letters that make up Korean syllables
_SETTLED_PLANES = ((0x0000, 0xFFFF), (0x1F000, 0x1FBFF), (0x20000, 0x323AF))  # the rest is rare and still growing


@cache
def _settled(form: Literal["NFC", "NFKC", "NFD", "NFKD"]) -> Kinds:
    return Kinds(partial(_settledness, form))


def _settledness(form: Literal["NFC", "NFKC", "NFD", "NFKD"], character: str) -> int:
    """_SETTLED: a text of only such characters is in that form already. Marks that join a letter are not among them."""
    point = ord(character)
    settled = (
        unicodedata.category(character)[0] not in "M"
        and unicodedata.category(character) != "Cn"
        and not unicodedata.combining(character)
        and unicodedata.is_normalized(form, character)
        and any(first <= point <= last for first, last in _SETTLED_PLANES)
        and not any(first <= point <= last for first, last in _JAMO)
    )
    return _SETTLED if settled else _UNSETTLED
