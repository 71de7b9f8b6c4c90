"""Names with letters that their text's language lacks, which come through a translation as they are: "in São Paulo".

A model that has seen a letter a few times spells the names with it in pieces, and may lose one. Knows no model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

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
_LATIN = re.compile("[\u00df-\u024f\u1e00-\u1eff]")  # beyond a to z; other scripts are kept anyway
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")


def foreign_names(text: str, language: str) -> Iterator[Number]:
    """The words of `text`, which is in `language` (an ISO 639 code), that begin with a capital and have a letter that the
    language lacks: where each is, as a number that is worth what stands there."""
    own = _OWN.get(language)
    if own is None or text.isascii():
        return
    for at, found in enumerate(_WORD.finditer(text)):
        word = found[0]
        letters = {*_LATIN.findall(word.lower())} - {*own}
        if at == 0:
            letters -= _BORROWED
        if letters and word[0].isupper():
            yield Number(*found.span(), word, plain=False)
