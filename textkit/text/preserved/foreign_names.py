"""Names with letters that their text's language lacks, and short codes, which come through a translation as they are: "São
Paulo", "CO2", "Louis XIV".

A model that has seen a letter or a digit in a word a few times spells the word in pieces, and may lose one. Knows no model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from textkit.text.compiled import compiled
from textkit.text.preserved.numerals import Number

# The letters beyond a to z of a language's own words, and of words that it borrows. Of other languages nothing is said.
_OWN = {
    "en": "",
    "de": "äöüßàâçèéêîôñ",
    "nl": "áàäçéèêëíïóôöúûü",
    "fr": "àâäæçèéêëîïñôöœùûüÿ",
    "es": "áéíñóúü",
    "pt": "áàâãçéêíóôõúü",
    "it": "àèéìíîòóùú",
    "sv": "åäöàé",
    "da": "åæøé",
    "nb": "åæøòôéê",
    "fi": "åäöšž",
    "pl": "ąćęłńóśźż",
    "cs": "áčďéěíňóřšťúůýž",
    "tr": "âçğıîöşüû",
}
_BORROWED = frozenset("àâäçéèêëîïôöûü")  # a sentence may begin with a word, such as "Naïve", which is no name
_LATIN = "[\u00df-\u024f\u1e00-\u1eff]"  # beyond a to z; other scripts are kept anyway
_WORD = r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*"


def foreign_names(text: str, language: str) -> Iterator[Number]:
    """The words of `text`, which is in `language` (an ISO 639 code), that begin with a capital and have a letter that the
    language lacks: where each is, as a number that is worth what stands there."""
    own = _OWN.get(language)
    if own is None or text.isascii():
        return
    for at, found in enumerate(compiled(_WORD).finditer(text)):
        word = found[0]
        letters = {*compiled(_LATIN).findall(word.lower())} - {*own}
        if at == 0:
            letters -= _BORROWED
        if letters and word[0].isupper():
            yield Number(*found.span(), word, plain=False)


_SHORT_CODE = r"(?<![^\W_])(?:[A-Za-z]{1,4}\d{1,4}(?:[A-Za-z]\d?)?|[IVX]{2,6})(?![^\W_])"

_IN_CODE = re.compile(r"[\dIVX](?<=[A-Za-z]\d|[IVX][IVX])")  # what every one has; this is found faster


def short_codes(text: str) -> Iterator[Number]:
    """The words of `text` that are letters with digits behind them ("B12", "H2O"), and Roman numbers, as `foreign_names`."""
    if _IN_CODE.search(text):
        for found in compiled(_SHORT_CODE).finditer(text):
            yield Number(*found.span(), found[0], plain=False)
