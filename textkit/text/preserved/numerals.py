"""Numbers in text: where they stand, what they are worth, and how another language writes them. Knows no model.

1,234.5 in English is 1.234,5 in German: languages differ in the mark of decimals and in that of thousands. Times (15:30), dates
(24.12.2019, 2019-12-24), versions (1.2.3) and telephone numbers are runs of digits with marks that stay as they are.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from textkit.text.compiled import compiled

# ISO 639 codes of languages whose decimals follow a comma. Where thousands are marked, a point or a space does it.
_COMMA = (
    "af az be bg bs ca cs da de el eo es et eu fi fr gl hr hu hy id is it ka kk ky lt lv mk mn nb nl nn no pl pt ro "
    "ru sk sl sq sr sv tg tr tt uk uz vi"
)
COMMA = frozenset(_COMMA.split())
_NUMBER = (
    r"(?<!\w)(?<!\d[.,:/])"  # not inside of a word or a longer number
    r"(?:(?P<minus>(?i:minus)[ \u00a0])|(?<![\w.,:/)%\u00b0-])(?P<sign>[-\u2212\u2013])(?=[.,]?\d))?"
    r"(?P<digits>(?:(?<![^\s$\u00a3\u20ac(\u2212\u2013-])[.,](?=\d))?\d+(?:[.,:/'\u2019\u00a0\u202f]\d+)*"
    r"(?:(?:-\d+){2,}|[ \u00a0]\d/\d\d?(?![\w/]))?)"
)
_OF_CODE = r"[/:.,]\Z|(?:\D|\A)-\Z"  # before a number: it is a part of something, but for 3-5
_GROUPED = r"\d{{1,3}}(?:[{mark}]\d{{3}})+"
_SPACES = "\u00a0\u202f'\u2019"


# Times with a point, as German and British papers write them: 8.45 Uhr, 8.45 pm, 14.00 bis 15.30 Uhr. Nothing else looks so.
_HOUR = r"(?<![\d.,:])([01]?\d|2[0-4])\.([0-5]\d)"
_HALF = r"[ \u00a0]?[ap](?:\.[ ]?m\b|m\b)"
_TIMES = {
    "de": rf"{_HOUR}(?=(?:\s?(?:-|\u2013|und|oder|bis)\s?(?:[01]?\d|2[0-4])[.:][0-5]\d)?[ \u00a0]?Uhr\b)",
    "en": rf"(?i){_HOUR}(?=(?:\s?(?:-|\u2013|and|or|to|until|till)\s?[01]?\d[.:][0-5]\d)?{_HALF})",
}
# Times of twelve hours, alone or two of them: 8 pm, 8:45 p.m., 3:30-4:15 pm, from 9 to 10 am.
_TWELVE = (
    r"(?i)(?<![\w.,:/$\u00a3\u20ac])(?<![^mM.]-)(?:(?P<from>0?[1-9]|1[0-2])(?:[:.](?P<from_minute>[0-5]\d))?"
    r"(?P<to>[ \u00a0]?[-\u2013][ \u00a0]?|\s(?:and|or|to|until|till)\s))?"
    r"(?P<hour>0?[1-9]|1[0-2])(?:[:.](?P<minute>[0-5]\d))?[ \u00a0]?(?P<half>[ap])(?:\.[ ]?m(?P<stop>\.?)|m)(?![\w'\u2019])"
)
_BEHIND = rf"(?i){_HALF}"
# Times as Germans say them, whose hour is the next one: halb acht, fünf vor halb acht; um viertel acht, um drei viertel acht.
# And as English has them, whose hour is the last one: half past eight; as the British say it, at half eight.
_HOURS = {
    "de": ["eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf"],
    "en": ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"],
}
_SAID = {
    "de": r"(?i)(?<![\w-])(?:(?:(?P<minutes>fünf|zehn|5|10)(?:\s+Minuten)?\s+(?P<side>vor|nach)\s+)?halb"
    r"|(?P<before>(?:um|gegen|ab|ist)\s+)(?P<three>drei\s?)?viertel)"
    rf"\s+(?P<hour>{'|'.join(_HOURS['de'])}|1[0-2]|[1-9])(?![\w-]|[.,:]\d|\s+mit\b)(?:\s+Uhr\b)?",
    "en": rf"(?i)(?<![\w-])(?:half(?:\s+|-)past\s+(?P<past>{'|'.join(_HOURS['en'])}|1[0-2]|[1-9])(?![\w-]|[.,:]\d)"
    r"(?:\s+o['\u2019]clock\b)?|(?P<before>(?:at|by|around|about|from|to|until|till|before|after)\s+)half\s+"
    rf"(?P<hour>{'|'.join(_HOURS['en'])})(?=\s*(?:[.,;:!?)]|\Z)|\s+(?:on|in|to|until|till|today|tonight|tomorrow|this)\b))",
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
    """The numbers of `text`, which is in `language` (an ISO 639 code; of an unknown one decimals follow a point).

    A sign of minus is a part of its number. English times of twelve hours are worth what they are on a clock of 24.
    """
    for found in compiled(_NUMBER).finditer(text):
        begin, (first, end) = found.start(), found.span("digits")
        digits, behind = found["digits"], text[found.end() : found.end() + 2]
        point = "," if language in COMMA else "."
        if digits[0] in ".,":
            if digits[0] == point and digits[1:].isdecimal():
                digits = f"0{digits}"
            else:
                first, digits = first + 1, digits[1:]
                begin = begin if found["minus"] or found["sign"] else first
        minus = "-" if found["minus"] or found["sign"] else ""
        plain = _value(digits, language)
        if language == "en" and (half := compiled(_BEHIND).match(text, end)) and (hour := _on_24(digits, half[0])):
            yield Number(begin, half.end(), hour, False)
        elif plain is None or behind[:1] == "/" and behind[1:2].isdecimal():
            yield Number(begin, end, minus + as_code(digits), False)
        else:
            code = (
                behind[:1].isalnum()
                and digits.isdecimal()
                or compiled(_OF_CODE).search(text[max(0, begin - 2) : begin])
            )
            yield Number(begin, end, minus + plain, not code)


def as_code(digits: str) -> str:
    """What a time, a date or a code is worth: its digits, with colons for the marks between them, but for commas."""
    return _ascii(re.sub(r"[^\d,]", ":", digits))


def _on_24(digits: str, half: str) -> str | None:
    """An hour of the morning (a) or afternoon (p) on a clock of 24; None where it is none."""
    hour, _, minute = digits.replace(".", ":").partition(":")
    if not (
        hour.isdecimal() and len(hour) < 3 and 1 <= int(hour) <= 12 and (not minute or re.fullmatch(r"[0-5]\d", minute))
    ):
        return None
    on_24 = str(int(hour) % 12 + 12 * ("p" in half.lower()))
    return f"{on_24}:{minute}" if minute else on_24


def with_colons(text: str, language: str) -> str:
    """`text`, as long as before, with its times written as most are.

    >>> with_colons("um 8.45 Uhr", "de")
    'um 8:45 Uhr'
    """
    times = _TIMES.get(language)
    return compiled(times).sub(r"\1:\2", text) if times else text


def rewritten(text: str, source: str, target: str) -> str:
    """`text` in the language `source` with its numbers as `target` writes them.

    >>> rewritten("-1,234.5 > 0.50", "en", "de")
    '-1.234,5 > 0,50'
    """
    parts, done = [], 0
    for number in numbers(text, source):
        if number.plain:
            parts += [text[done : number.begin], in_place(text[number.begin : number.end], number, target)]
            done = number.end
    return "".join([*parts, text[done:]])


def in_place(given: str, number: Number, language: str) -> str:
    """A plain number that stands as `given` in a text, as `language` writes it; its sign stays, and marks of thousands."""
    value = number.value.removeprefix("-")
    grouped = any(mark in given for mark in ",.'\u00a0\u202f\u2019") and len(value.split(".")[0]) > 3
    sign = given[: len(given) - len(given.lstrip("-\u2212\u2013minusMINUS \u00a0"))]
    return sign + written(value, language, grouped)


def on_24_hours(text: str) -> str:
    """English `text`, with its times as a clock of 24 hours shows them. A language without "pm" has no other way to say it.

    >>> on_24_hours("from 8.45 to 10 pm, and at 7 a.m.")
    'from 20:45 to 22:00, and at 7:00.'
    """

    def shown(hour: str, minute: str | None, afternoon: bool) -> str:
        return f"{int(hour) % 12 + 12 * afternoon}:{minute or '00'}"

    def replaced(found: re.Match[str]) -> str:
        afternoon = found["half"] in "pP"
        begin = ""
        if found["from"]:  # "10-2 pm" begins in the morning
            later = int(found["from"]) % 12 > int(found["hour"]) % 12
            begin = shown(found["from"], found["from_minute"], afternoon != later) + found["to"]
        ends = found["stop"] and not compiled(r"\w").search(text, found.end())  # "p.m." at the end of a sentence
        return begin + shown(found["hour"], found["minute"], afternoon) + ("." if ends else "")

    return compiled(_TWELVE).sub(replaced, text)


def in_digits(text: str, language: str) -> str:
    """`text` with times that are said with "half" and an hour alone in digits: their hour is not the same in all languages.

    >>> in_digits("von halb acht bis um drei viertel zwölf", "de")
    'von 7:30 Uhr bis um 11:45 Uhr'
    """
    if language not in _SAID:
        return text
    return compiled(_SAID[language]).sub(_german_time if language == "de" else _english_time, text)


def _german_time(found: re.Match[str]) -> str:
    minute = 30 if not found["before"] else 45 if found["three"] else 15
    if found["minutes"]:
        apart = 5 if found["minutes"].lower() in ("5", "fünf") else 10
        minute += apart if found["side"].lower() == "nach" else -apart
    return f"{found['before'] or ''}{_hour(found['hour'], 'de') - 1 or 12}:{minute} Uhr"


def _english_time(found: re.Match[str]) -> str:
    return f"{found['before'] or ''}{_hour(found['past'] or found['hour'], 'en')}:30"


def _hour(said: str, language: str) -> int:
    return int(said) if said.isdecimal() else 1 + _HOURS[language].index(said.lower())


def written(value: str, language: str, grouped: bool) -> str:
    """The number `value` (digits, and a point before decimals) as `language` writes it, with thousands marked if `grouped`.

    >>> written("1234.5", "de", True)
    '1.234,5'
    """
    minus, value = value[: value.startswith("-")], value.removeprefix("-")
    whole, _, decimals = value.partition(".")
    comma = language in COMMA
    if grouped and len(whole) > 3:
        first = len(whole) % 3
        groups = [whole[:first]] * bool(first) + [whole[at : at + 3] for at in range(first, len(whole), 3)]
        whole = ("." if comma else ",").join(groups)
    return minus + whole + (("," if comma else ".") + decimals if decimals else "")


def _value(digits: str, language: str) -> str | None:
    """What a number is worth; None for a time, a date or a code."""
    point, thousands = (",", ".") if language in COMMA else (".", ",")
    ascii_digits = _ascii(digits)
    if ascii_digits.isdecimal():
        return ascii_digits
    if re.fullmatch(r"\d{1,3}(?:['\u2019]\d{3})+(?:\.\d+)?", ascii_digits):  # as in Switzerland
        return re.sub(r"[^\d.]", "", ascii_digits)
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
