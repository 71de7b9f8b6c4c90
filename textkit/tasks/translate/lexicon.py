"""Which target tokens a source token may become: a lexicon learnt from the word alignments of pairs, for a shortlist.

IBM model 1 (Brown et al. 1993) over the ids of pieces; the end of the source is the empty word. A line's candidates are those
of its tokens, the tokens themselves where both sides have the same ids (names are copied), and what any line may need: the
most frequent tokens, single characters, sentinels and the end. Shortlists: Schwenk 2007; Jean et al. 2015. numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from textkit.text.preserved.sentinels import SENTINEL
from textkit.text.rule import Encoded
from textkit.text.translation import SPACE, TranslationText

_LINKS = 10_000_000  # pairs of a source and a target token that are looked at: seconds, and 500 MB
_LONGEST = 1_000_000  # of these in one pair; in a longer one, perhaps a document, a token may have become any other
_ROUNDS = 5  # of expectation maximisation, after which alignments hardly change
_LEAST = 0.1  # times that a source token became a target token; less is chance


@dataclass(frozen=True)
class Lexicon:
    """`table` i32[source id, place]: the likeliest target ids of each source id, the likeliest first; -1 where there are fewer.
    `always` i64[n]: the target ids that any line may have."""

    table: np.ndarray
    always: np.ndarray
    size: int  # target ids

    def allowed(self, source: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """source i64[line, source], mask bool[line, source] -> bool[line, vocab], as the graph `shortlist` gives it."""
        found = np.zeros((len(source), self.size), bool)
        found[:, self.always] = True
        for line, (ids, real) in enumerate(zip(source, mask, strict=True)):
            candidates = self.table[ids[real]]
            found[line, candidates[candidates >= 0]] = True
        return found


def learnt(rule: TranslationText, sources: Encoded, targets: Encoded, most: int, frequent: int) -> Lexicon:
    """The lexicon of pairs of lines: for each source id at most `most` target ids, and `frequent` ids for every line."""
    size = rule.target_size
    source, target, expected = translations(sources, targets, size)
    counts = np.bincount(targets.ids, minlength=size)
    always = np.union1d(np.argsort(-counts, kind="stable")[:frequent][: np.count_nonzero(counts)], special(rule))
    rare = np.ones(size, bool)
    rare[always] = False
    kept = rare[target] & (expected >= _LEAST)  # those of every line need no place in the table
    source, target, expected = source[kept], target[kept], expected[kept]
    order = np.lexsort((target, -expected, source))
    source, target = source[order], target[order]
    place = np.arange(len(source)) - np.searchsorted(source, source)
    itself = int(rule.shared)  # the first place is the token's own, which is copied
    table = np.full((len(rule), itself + most), -1, np.int32)
    if itself:
        same = np.arange(min(len(rule), size))
        table[same, 0] = np.where(rare[same], same, -1)
    few = place < most
    table[source[few], itself + place[few]] = target[few]
    widest = int(np.flatnonzero((table >= 0).any(axis=0)).max(initial=0)) + 1
    return Lexicon(np.ascontiguousarray(table[:, :widest]), always.astype(np.int64), size)


def special(rule: TranslationText) -> np.ndarray:
    """The target ids that no alignment is needed for: the end, unknown words, sentinels, and pieces of one character."""
    found = {rule.eos, rule.unk}
    for id in range(rule.target_size):
        piece = rule.target_token(id)
        if piece is not None and (len(piece.removeprefix(SPACE)) <= 1 or SENTINEL.search(piece)):
            found.add(id)
    return np.array(sorted(found - ({rule.start, rule.pad} - {rule.eos})), np.int64)


def translations(sources: Encoded, targets: Encoded, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source id, target id and how often the one became the other, by IBM model 1, for all that occur in a pair together.

    `size`: the number of target ids. Of many pairs every n-th is looked at; one of more than _LONGEST links never is.
    """
    links = sources.lengths * targets.lengths
    links[links > _LONGEST] = 0
    step = max(1, -(-int(links.sum()) // _LINKS))
    lines = np.flatnonzero(links)[::step]
    links = links[lines]
    begin_source, begin_target = (np.cumsum(side.lengths)[lines] - side.lengths[lines] for side in (sources, targets))
    line = np.repeat(np.arange(len(lines)), links)
    within = np.arange(len(line)) - np.repeat(np.cumsum(links) - links, links)
    width = targets.lengths[lines][line]
    word = (begin_target[line] + within % width).astype(np.int32)  # of the whole text
    code = sources.ids[begin_source[line] + within // width] * size + targets.ids[word]
    del line, within, width
    codes, link = np.unique(code, return_inverse=True)
    del code
    link = link.astype(np.int32)
    source = codes // size
    probability = np.ones(len(codes))
    for _ in range(_ROUNDS):
        share = probability[link]
        share /= np.bincount(word, share)[word]  # each target token comes from the source tokens of its line
        expected = np.bincount(link, share, len(codes))
        probability = expected / np.bincount(source, expected)[source]
    return source, codes % size, expected * step
