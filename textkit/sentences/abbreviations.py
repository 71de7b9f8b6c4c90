"""The words whose full stop ends no sentence, by language, for splitting.py; and a guess of a line's language.

An entry in lower case also matches in upper case. One that begins with a capital does not match in lower case ("Sen. Smith",
but "She is a sen."). The classes:

- `never`: no sentence ends with it: e.g., vs., Inc.
- `title`: a name follows: Mr., Dr.
- `initial`: the name of a letter that is a word as well: it is an initial beside another one.
- `number`: a number follows; otherwise it is a word like any other: No. 5, p. 3, but also "No. I am tired."
- `month`: a number stands before or after it: Jan. 5.
- `unless`: a sentence ends only if the next word certainly begins one: "Main St. She lives there."
- `last`: it stands at the end of a list, and a sentence ends if a capital follows: etc.

Knows nothing of cutting a line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache

from textkit.sentences.abbreviation_lists import LISTS
from textkit.sentences.abbreviation_lists_more import MORE

CLASSES = ("never", "title", "initial", "number", "month", "unless", "last")


@dataclass(frozen=True)
class Language:
    """What cutting needs to know of a language.

    `classes`: abbreviation, without its last stop -> class. `starters`: words in lower case that begin a sentence rather than
    continue one. `ordinals`: "3." may mean the third; it does after the words in `before` ("am 3. Oktober"), and before those
    in `third`. `nouns`: words that a letter may follow: "grade A.", "Plan B.".
    """

    classes: dict[str, str]
    starters: frozenset[str]
    ordinals: bool = False
    nouns: frozenset[str] = frozenset()
    before: frozenset[str] = frozenset()
    third: frozenset[str] = frozenset()

    def kind(self, word: str) -> str | None:
        """The class of an abbreviation, None for any other word."""
        return self.classes.get(word) or (self.classes.get(word.lower()) if len(word) > 1 else None)


_SAME = {
    "nb": "no",
    "nn": "no",
    "bs": "hr",
    "be": "ru",
    "bg": "ru",
    "sr": "ru",
    "gl": "es",
    "ca": "es",
    "at": "de",
    "lb": "de",
    "af": "nl",
}
# The languages in which "3." may mean the third.
_ORDINALS = frozenset(re.split(" ", "de lb da no nb nn is fi et lv cs sk pl sl hr bs hu tr"))


@cache
def language(code: str) -> Language:
    """The language of an ISO 639 code ("de", "de-AT"). One without data here has what many languages share."""
    short = _short(code)
    data = (LISTS | MORE).get(_SAME.get(short, short), {})
    classes: dict[str, str] = {}
    for source in (LISTS[""], data):
        for kind in CLASSES:
            classes |= dict.fromkeys(source.get(kind, "").split(), kind)
    sets = {name: frozenset(data.get(name, "").split()) for name in ("nouns", "before", "third")}
    starters = frozenset((data or LISTS["en"]).get("starters", "").split())
    return Language(classes, starters, short in _ORDINALS, **sets)


@lru_cache(256)
def _short(code: str) -> str:
    return _THREE.get(code.lower(), re.split("[-_]", code.lower())[0])


_THREE = {
    "eng": "en", "deu": "de", "ger": "de", "fra": "fr", "fre": "fr", "spa": "es", "ita": "it", "por": "pt", "nld": "nl",
    "dut": "nl", "rus": "ru", "ukr": "uk", "pol": "pl", "ces": "cs", "dan": "da", "swe": "sv", "nor": "no", "fin": "fi",
    "hun": "hu", "tur": "tr", "ron": "ro", "rum": "ro", "slk": "sk", "hrv": "hr", "nob": "no",
    "nno": "no", "jpn": "ja", "zho": "zh", "ell": "el",
}  # fmt: skip

_WORD = re.compile(r"[^\W\d_]+")
_FREQUENT = {
    "en": "the of and to is was it he she that you in i are were have has his her with this they we not do my at be for",
    "de": "der die das und ist nicht ein eine ich er sie wir zu den dem am im mit auf für von war sich es hat wie des kommen",
    "fr": "le la les des et est un une il elle je nous vous pas ne que qui dans pour sur avec du au ce cette né où à être été",
    "es": "el los las y es un una que no en se por con del al está aquí vive su muy qué cómo señor yo hola lo",
    "it": "il lo gli e è un una che non di per con del della sono ha ho questo questa qui sì",
    "pt": "o os as e é um uma que não de do da em para com está são ele ela você",
    "nl": "de het een en is niet ik hij zij van dat op te met voor zijn was",
}


def guessed(line: str) -> str:
    """The language of a line, guessed from its letters and its frequent words; "en" if they say nothing."""
    if re.search("[\u0400-\u04ff]", line):
        return "ru"
    words = _WORD.findall(line[:2000].lower())
    best, most = "en", 0
    for code, frequent in _frequent().items():
        count = sum(word in frequent for word in words)
        count += sum(character in "äöüß„" for character in line[:2000]) if code == "de" else 0
        count += 2 * sum(character in "¿¡ñ" for character in line[:2000]) if code == "es" else 0
        if count > most:
            best, most = code, count
    return best


# More of them, which a guess between all languages does without.
_ALSO = {
    "en": "can could will would there what when who how if but about from as on an had been did does me him them us than or"
    " yes please very just only",
    "de": "dass noch nur aber auch wenn mir mich dich dir uns ihr ihm ihn mein meine dein deine bin bist sind haben habe wird"
    " werden kann können bei nach aus über sehr kein keine bitte heute hier schon immer oder um zum zur vom beim doch mehr du"
    " wo wer diese dieser dieses sein seine einen einem einer hast hatte wurde",
}
_SHARED = frozenset(
    re.split(" ", "in was am die war hat so an will man bin dies bei mein um")
)  # both English and German


_GERMAN_LETTERS = frozenset("äöüß")


def frequent(line: str, code: str) -> int | None:
    """How many words of a line are frequent ones of the language `code`, and not of English and German alike; an umlaut or ß
    counts as a word of German, once. None for a language without a list of frequent words."""
    short = _short(code)
    if short not in _FREQUENT:
        return None
    text = line[:2000].lower()
    letters = short == "de" and not _GERMAN_LETTERS.isdisjoint(text)
    return letters + sum(map(_frequent_alone(short).__contains__, _WORD.findall(text)))


def within(text: str, code: str) -> str:
    """`text` as it goes on within a sentence of the language `code`: its first word with a small letter, if that is one that
    often begins a sentence, and is not written with a capital anyway. As it is in a language without data here."""
    found = _WORD.match(text)
    word = found[0] if found else ""
    known = _short(code) in LISTS | MORE and word.lower() in language(code).starters
    return text[:1].lower() + text[1:] if known and word[1:].islower() and word not in _CAPITAL else text


_CAPITAL = frozenset(("Sie", "Ihr", "Ihm", "Ihn"))  # German; they may be addresses


@cache
def _frequent_alone(code: str) -> frozenset[str]:
    return (_frequent()[code] | frozenset(_ALSO.get(code, "").split())) - _SHARED


@cache
def _frequent() -> dict[str, frozenset[str]]:
    return {code: frozenset(words.split()) for code, words in _FREQUENT.items()}
