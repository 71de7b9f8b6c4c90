"""What is doubtful about a translation: it repeats itself, it is too short, or a number of the source is not in it.

Cheap enough to look at each translation. Knows no graph; guarding.py says what is done about it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import count

from textkit.sentences.abbreviations import frequent
from textkit.text.compiled import compiled
from textkit.text.preserved.foreign_names import foreign_names, short_codes
from textkit.text.preserved.numerals import Number, as_code, numbers

LOOP, SHORT, NUMBERS, COPIED, LANGUAGE = "loop", "short", "numbers", "copied", "language"
_LONGEST = 8  # words that are repeated together, at most
_WORD = re.compile(r"\w+(?:['\u2019-]\w+)*")  # a mark behind a word does not make it another one
_DIGIT = re.compile(r"\d")
_STUTTER = re.compile(r"(\S{1,8}?)\1{5,}")
_BARE = re.compile(r"[\w'\u2019-]+")
_AND = frozenset(("und", "oder", "and", "or"))  # "redete und redete und redete", "nach und nach und nach"
# "Zeit zu Zeit zu", "a friend of a friend of"
_LINKS = frozenset(("zu", "um", "für", "auf", "in", "to", "by", "for", "after", "of"))
_DOUBLED = frozenset(  # words that may meet themselves: "was mich mich fragen lässt", "I know that that is so"
    (
        "nicht", "mich", "dich", "sich", "euch", "ihnen", "haben", "hatte", "hatten", "sein", "sind", "waren", "wird", "werden",
        "worden", "that", "this", "these", "those", "what",
    )
)  # fmt: skip
_LONG = re.compile(r"[^\W\d_]{4}")
_WORDS = 8  # a source of fewer words may have a translation of any length
_LEAST = 0.35  # a translation has at least this share of the source's characters
_SPELLED = 13  # a smaller number may be spelled as a word
_MEASURE = r"[$\u00a3\u20ac\u00a5] ?\d|\d ?[$\u00a3\u20ac\u00a5%\u00b0]"  # no number to spell
_HALF = r"(?i)\b(?:half(?: past)?|halb)\s+\Z"  # "half past 3" is "halb 4"


def loops(target: str, source: str) -> bool:
    """Whether `target` repeats some words or characters at once more often than `source` repeats any: words three times, or
    twice if they are four and more; characters six times. Repeated digits and marks are none. Unknown words all differ."""
    if "<unk>" in target:
        numbered = count()
        target = re.sub("<unk>", lambda _: f"<{next(numbered)}>", target)
    words = _words(target)
    if len({*words}) < len(words):  # otherwise nothing is repeated, and the source need not be looked at
        asked = _words(source)
        times = _repeats(words, 2 if _few(asked) else 3)
        if times > 1 and times > _repeats(asked, 2):
            return True
    stutters = _stutters(target)
    return stutters > 0 and stutters > _stutters(source)


def echoes(target: str, source: str) -> bool:
    """Whether `target` says one to three words twice at once, as `without_echoes` would leave none."""
    return without_echoes(target, source) != target


def without_echoes(target: str, source: str) -> str:
    """`target` without the second copy of one to three words that stand there twice at once, with nothing but spaces between.

    >>> without_echoes("Er kommt am Freitag am Freitag.", "He is coming on Friday.")
    'Er kommt am Freitag.'

    In German and English such words are rare; a small model writes dozens of times as many. They stay where the source says
    something twice itself, or where they are short or of a kind that grammar may bring together ("in der in der Dämmerung").
    """
    words = target.split(" ")
    echo = _first_echo(words)
    if echo is None or _repeats(_words(source), 2) > 1:
        return target
    while echo:
        at, size = echo
        begin = at + (size > 1)  # a capital before and a mark behind stay
        del words[begin : begin + size]
        echo = _first_echo(words)
    return " ".join(words)


def _first_echo(words: Sequence[str]) -> tuple[int, int] | None:
    """Where some words begin that are said twice at once, and how many they are. A mark may follow the second copy alone."""
    small = [word.lower() for word in words]
    for size in (3, 2, 1):
        same = words if size == 1 else small  # "wenn Fliegen fliegen" has one word of each
        for at in [at for at in range(len(same) - 2 * size + 1) if same[at + size].startswith(same[at])]:
            once, again = [*same[at : at + size]], [*same[at + size : at + 2 * size]]
            end = _BARE.match(again[-1])
            again[-1] = end[0] if end else ""
            if once == again and all(map(_BARE.fullmatch, once)) and _says_something(once):
                return at, size
    return None


def _says_something(words: Sequence[str]) -> bool:
    if not any(map(_LONG.search, words)):
        return False
    if len(words) == 1:
        return words[0] not in _DOUBLED
    return words[-1] not in _LINKS and not _AND & {words[0], words[-1]}


def brief(source: str) -> bool:
    """Whether `source` has one word or two: its translation has no reason to say a word twice."""
    return _few(_words(source))


def _few(words: Sequence[str]) -> bool:
    return len(words) <= 2


def _words(text: str) -> list[str]:
    return [*map(str.casefold, _WORD.findall(text))]


def _repeats(words: Sequence[str], least: int) -> int:
    """How often some words with a letter in them occur at once; 1 if none do `least` times (four and more: twice)."""
    most = 1
    if len(set(words)) == len(words):
        return most
    for size in range(1, _LONGEST + 1):
        run = 0  # words that are equal to those `size` before
        for at in range(size, len(words)):
            run = run + 1 if words[at] == words[at - size] else 0
            times = run // size + 1
            if times > most and times >= (2 if size >= 4 else least) and _lettered(words[at - size + 1 : at + 1]):
                most = times
    return most


def _stutters(text: str) -> int:
    """How many characters are taken up by some that occur six times at once, and are letters at least in part."""
    # Of six times the same, five are characters that a word has already; to count these is quick, and few words have so many.
    words = (word for word in text.split() if len(word) - len({*word}) >= 5)
    return max((len(one[0]) for word in words for one in _STUTTER.finditer(word) if _lettered(one[0])), default=0)


def _lettered(tokens: Sequence[str]) -> bool:
    return any(character.isalpha() for token in tokens for character in token)


def short(target: str, source: str) -> bool:
    """Whether half of `source` or more must be missing in `target`."""
    return len(source.split()) >= _WORDS and len(target) < _LEAST * len(source)


def copied(target: str, source: str) -> bool:
    """Whether `target` is `source`, and holds several words: one alone may be a name."""
    return target == source and sum(word.isalpha() and word.islower() for word in source.split()) > 1


def in_target_language(source: str, source_language: str, target_language: str) -> bool:
    """Whether `source` seems to be in the language of the translation already, by its frequent words: two of that language or
    more, and three times as many as of its own. Says nothing where either language is not stated, or has no list of words."""
    theirs = frequent(source, target_language)
    if theirs is None or theirs < 2:
        return False
    own = frequent(source, source_language)
    return own is not None and theirs >= 3 * own


def lost_numbers(target: str, source: str, target_language: str, source_language: str) -> list[Number]:
    """The numbers of `source` that `target` lacks, by what they are worth. A small whole number may be spelled as a word, but
    not where `target` has another number instead."""
    if not _DIGIT.search(source):
        return []
    theirs = [(one.value, target[one.begin : one.end]) for one in _numbers(target, target_language)]
    found: list[Number] = []
    small: list[Number] = []
    for number in _numbers(source, source_language):
        given = source[number.begin : number.end]
        wanted = {number.value, *_also(number, given)}
        there = next((one for one in theirs if one[0] in wanted), None)
        if there is None and not number.plain:  # what the source's language does not write so may be left so
            there = next((one for one in theirs if as_code(one[1]) == as_code(given)), None)
        if there is not None:
            theirs.remove(there)
        elif _small(number.value) and not compiled(_MEASURE).search(source[max(0, number.begin - 2) : number.end + 2]):
            small += [] if compiled(_HALF).search(source, max(0, number.begin - 16), number.begin) else [number]
        else:
            found.append(number)
    return sorted([*found, *small]) if len(theirs) > len(found) else found


def doubled_numbers(target: str, source: str, target_language: str, source_language: str) -> list[Number]:
    """The numbers of `source` that `target` has more often; none that a word may stand for."""
    if not _DIGIT.search(source):
        return []
    own = _numbers(source, source_language)
    there = Counter(number.value for number in _numbers(target, target_language))
    here = Counter(number.value for number in own)
    return [number for number in own if there[number.value] > here[number.value] and not _small(number.value)]


@lru_cache(256)
def _numbers(text: str, language: str) -> tuple[Number, ...]:
    """The numbers of a text: of the same one what is lost is asked, and what is there too often."""
    return tuple(numbers(text, language))


def _small(value: str) -> bool:
    """Whether a number may be spelled as a word."""
    return value.isdecimal() and len(value) < 3 and int(value) < _SPELLED


def _also(number: Number, given: str) -> list[str]:
    """What a number may be worth as well: 20:00 is 20 o'clock, and "5 minus 3" has a 3."""
    value = number.value
    hour = [value.removesuffix(":00") if value.endswith(":00") else f"{value}:00"]
    return [*hour, value[1:]] if given[:1].isalpha() else hour


def lost_names(target: str, source: str, source_language: str) -> list[Number]:
    """What `target` lacks of the names of `source` with letters that its language lacks, and of its short codes."""
    names = [*foreign_names(source, source_language), *short_codes(source)]
    if not names:
        return []
    there = target.casefold()
    return sorted({name for name in names if not _is_in(name.value.casefold(), there)})


def _is_in(name: str, text: str) -> bool:
    """Whether `text` has a name, perhaps with an ending; a code with digits has none."""
    if name not in text or name.isalpha():
        return name in text
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


def broken(target: str, source: str) -> bool:
    """Whether `target` has a character that its bytes do not make up."""
    return "\ufffd" in target and "\ufffd" not in source
