"""Names clusters by the words that set them apart: class-based TF-IDF (Grootendorst 2022). Knows no vectors and no output.

All texts of a cluster are one document. A word weighs its share of the cluster's words, times log(1 + A / f), where f counts it
in all clusters and A is the mean number of words of a cluster. Words that are hardly more frequent in the cluster than
elsewhere ("the") name nothing, however frequent they are, nor do the stop words of scikit-learn, which are English.
"""

from __future__ import annotations

import math
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

from textkit.text.scripts import IDEOGRAPHS, UNSPACED

WORDS = 3  # words of a name
_LIFT = 2.0  # how much more frequent a word is in its cluster than in all clusters together
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_RUN = re.compile(f"[{IDEOGRAPHS}{UNSPACED}]+")
_FEW = 2  # texts of a cluster that have a word before it can name the cluster
_TRIED = 40  # of the heaviest words of a cluster


def names(texts: Sequence[str], clusters: Sequence[int], count: int) -> list[str]:
    """The name of each of `count` clusters. `clusters`: that of each text; a negative one is none."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    counts: list[Counter[str]] = [Counter() for _ in range(count)]
    having: list[Counter[str]] = [Counter() for _ in range(count)]  # texts that have a word
    for text, cluster in zip(texts, clusters, strict=True):
        if cluster >= 0:
            found = [word for word, _ in terms(text)]
            counts[cluster].update(found)
            having[cluster].update(set(found))
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    sums = [sum(each.values()) for each in counts]
    mean, whole = sum(sums) / max(count, 1), sum(sums)
    chosen = []
    for cluster, each in enumerate(counts):
        share = sums[cluster] / whole if whole else 1.0
        lift = min(_LIFT, 1 + (1 / share - 1) / 2) if share else _LIFT  # of a large cluster no word can have much
        weights = {
            word: weight(times, sums[cluster], total[word], mean)
            for word, times in each.items()
            if word not in ENGLISH_STOP_WORDS
            and times * whole >= lift * total[word] * sums[cluster]
            and having[cluster][word] >= _FEW
        }
        chosen.append(_different(sorted(weights, key=lambda word: (-weights[word], word))[:_TRIED]))
    forms = _forms(texts, clusters, chosen)
    return [
        ", ".join(forms[cluster].get(word, word) for word in words) or f"cluster {cluster + 1}"
        for cluster, words in enumerate(chosen)
    ]


def weight(times: int, words: int, total: int, mean: float) -> float:
    """The class-based TF-IDF of a word that occurs `times` among the `words` of a cluster and `total` times in all clusters,
    which have `mean` words on average."""
    return times / words * math.log(1 + mean / total)


def terms(text: str) -> Iterator[tuple[str, str]]:
    """The words of a text that can name something, and how they are written there; of text without spaces pairs of
    characters."""
    for match in _WORD.finditer(unicodedata.normalize("NFKC", text) if not text.isascii() else text):
        word = match[0]
        if run := (None if word.isascii() else _RUN.search(word)):
            letters = run[0]
            yield from ((letters[at : at + 2],) * 2 for at in range(max(1, len(letters) - 1)))
        elif len(word) > 1 and not word.isdecimal():
            yield word.casefold(), word


def _different(words: Sequence[str]) -> list[str]:
    """The first WORDS of some words, without other forms of one that is there (exchange, exchanging)."""
    found: list[str] = []
    for word in words:
        if not any(_alike(word, other) for other in found):
            found.append(word)
        if len(found) == WORDS:
            break
    return found


def _alike(one: str, other: str) -> bool:
    """Whether two words differ only at their ends."""
    return len(os.path.commonprefix((one, other))) >= max(4, min(len(one), len(other)) - 2)


def _forms(texts: Sequence[str], clusters: Sequence[int], chosen: Sequence[Sequence[str]]) -> list[dict[str, str]]:
    """How the chosen words of each cluster are written most often there (NASA, Paris)."""
    written: list[dict[str, Counter[str]]] = [{word: Counter() for word in words} for words in chosen]
    for text, cluster in zip(texts, clusters, strict=True):
        if cluster >= 0 and written[cluster]:
            for word, form in terms(text):
                if word in written[cluster]:
                    written[cluster][word][form] += 1
    return [
        {word: max(forms, key=lambda f: (forms[f], f)) for word, forms in each.items() if forms} for each in written
    ]
