"""The n best translations of a segment, which differ as texts. Knows no graph: it is given the search.

Two hypotheses may read the same, because a text can be cut into tokens in several ways. Where too few texts are left, a wider
search finds more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from textkit.searching.options import Search
from textkit.tasks.translate.serving.segments import Segment
from textkit.tasks.translate.serving.translations import Translation, each_text

_WIDENED = 2  # how often a search is repeated, each time twice as wide

Searching = Callable[[list[Segment], Search], list[list[Translation]]]


def n_best(segments: list[Segment], options: Search, vocabulary: int, search: Searching) -> list[list[Translation]]:
    """The `options.n_best` translations of each segment, best first; each text occurs once, with its best score.

    `vocabulary`: the number of target ids, on which the lines of a search depend.
    """
    most = options.n_best
    found = [each_text(line) for line in search(segments, options)]
    for _ in range(_WIDENED):
        few = [at for at, line in enumerate(found) if len(line) < most]
        options = replace(options, beam_size=2 * options.beam_size)
        size = options.lines_at_once(vocabulary)
        for part in (few[at : at + size] for at in range(0, len(few), size)):
            for at, more in zip(part, search([segments[at] for at in part], options), strict=True):
                best = found[at][0]  # which must stay what it would be with n_best=1
                others = [*found[at][1:], *(one for one in more if one.score <= best.score)]
                found[at] = each_text([best, *sorted(others, key=lambda one: -one.score)])
    return [line[:most] for line in found]
