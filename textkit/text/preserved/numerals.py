"""Numbers in text: where they stand, what they are worth, and how another language writes them. Knows no model.

1,234.5 in English is 1.234,5 in German: languages differ in the mark of decimals and in that of thousands. Times (15:30), dates
(24.12.2019, 2019-12-24), versions (1.2.3) and telephone numbers are runs of digits with marks that stay as they are.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

# ISO 639 codes of languages whose decimals follow a comma. Where thousands are marked, a point or a space does it.
_COMMA = (
    "af az be bg bs ca cs da de el eo es et eu fi fr gl hr hu hy id is it ka kk ky lt lv mk mn nb nl nn no pl pt ro "
    "ru sk sl sq sr sv tg tr tt uk uz vi"
)
COMMA = frozenset(_COMMA.split())
_NUMBER = re.compile(
    r"(?<![\w.,:/-])"  # not inside of a word, a code or a longer number
    r"(?P<sign>[-+\u2212](?=\d))?"
    r"(?P<digits>\d+(?:[.,:/'\u2019\u00a0\u202f-]\d+)*)"
    r"(?P<behind>[\w/-]*)"
)
_GROUPED = r"\d{{1,3}}(?:[{mark}]\d{{3}})+"
_SPACES = "\u00a0\u202f'\u2019"


# Times with a point, as German and British papers write them: 8.45 Uhr, 8.45 pm. Nothing else looks like them.
_HOUR = r"(?<![\d.,:])([01]?\d|2[0-4])\.([0-5]\d)"
_TIMES = {
    "de": re.compile(rf"{_HOUR}(?=[ \u00a0]?Uhr\b)"),
    "en": re.compile(rf"{_HOUR}(?=[ \u00a0]?[ap]\.?m\b)", re.IGNORECASE),
}


class Number(NamedTuple):
    """A number of a text: the characters begin:end, and what it is worth: the same text for the same number in any language.

    `plain`: whether it is a count or a measure that another language may write differently, rather than a time, a date or a
    code.
    """

    begin: int
    end: int
    value: str
    plain: bool


def numbers(text: str, language: str) -> Iterator[Number]:
    """The numbers of `text`, which is in `language` (an ISO 639 code; of an unknown one decimals follow a point)."""
    for found in _NUMBER.finditer(text):
        digits = found["digits"]
        behind = found["behind"]
        begin, end = found.start("digits"), found.end("digits")
        plain = _value(digits, language)
        if plain is None or behind[:1] in ("/", "-") and behind[1:2].isdecimal():
            yield Number(begin, end, _ascii(re.sub(r"\D", ":", digits)), False)
        else:
            yield Number(begin, end, plain, not behind or not behind[0].isalnum())


def with_colons(text: str, language: str) -> str:
    """`text`, as long as before, with its times written as most are.

    >>> with_colons("um 8.45 Uhr", "de")
    'um 8:45 Uhr'
    """
    times = _TIMES.get(language)
    return times.sub(r"\1:\2", text) if times else text


def written(value: str, language: str, grouped: bool) -> str:
    """The number `value` (digits, and a point before decimals) as `language` writes it, with thousands marked if `grouped`.

    >>> written("1234.5", "de", True)
    '1.234,5'
    """
    whole, _, decimals = value.partition(".")
    comma = language in COMMA
    if grouped and len(whole) > 3:
        first = len(whole) % 3
        groups = [whole[:first]] * bool(first) + [whole[at : at + 3] for at in range(first, len(whole), 3)]
        whole = ("." if comma else ",").join(groups)
    return whole + (("," if comma else ".") + decimals if decimals else "")


def _value(digits: str, language: str) -> str | None:
    """What a number is worth; None for a time, a date or a code."""
    point, thousands = (",", ".") if language in COMMA else (".", ",")
    ascii_digits = _ascii(digits)
    if ascii_digits.isdecimal():
        return ascii_digits
    whole, mark, decimals = ascii_digits.partition(point)
    if mark and not decimals.isdecimal():
        return None
    if not whole.isdecimal():
        if not re.fullmatch(_GROUPED.format(mark=thousands + _SPACES), whole):
            return None
        whole = re.sub(r"\D", "", whole)
    return f"{whole}.{decimals}" if mark else whole


def _ascii(digits: str) -> str:
    return (
        digits
        if digits.isascii()
        else "".join(
            str(unicodedata.decimal(character)) if character.isdecimal() else character for character in digits
        )
    )
