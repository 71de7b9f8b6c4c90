"""The ids that a network reads of a line, as a rule of its own: that of a translator's source, or of a language model's text.

Knows no network and no file.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from textkit.errors import TextkitError
from textkit.text.tokenizer import Pretokenized
from textkit.text.translation import TokenizerSide

if TYPE_CHECKING:
    from textkit.text.translation import Side


def one_side(side: Side, clean: bool, last: int | None = None) -> Pretokenized:
    """The tokenizer of `side` alone, which puts the id `last` behind each line; None: nothing is put there.

    Raises TextkitError where no tokenizer.json gives the side's ids.
    """
    if not isinstance(side, TokenizerSide):
        raise TextkitError("no tokenizer.json gives the ids of this model: its vectors of tokens cannot be served")
    parts = json.loads(side.json)
    parts["post_processor"] = None if last is None else _behind(side, last)
    return Pretokenized(json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode(), clean)


def _behind(side: TokenizerSide, last: int) -> dict[str, object]:
    """The post-processor of a tokenizer.json that puts an id behind each line."""
    name = side.piece(last)
    if name is None:
        raise TextkitError(f"the tokenizer has no token for the id {last}, which ends a line")
    end = {"SpecialToken": {"id": name, "type_id": 0}}
    lines = [{"Sequence": {"id": sequence, "type_id": 0}} for sequence in "AB"]
    return {
        "type": "TemplateProcessing",
        "single": [lines[0], end],
        "pair": [lines[0], end, lines[1], end],
        "special_tokens": {name: {"id": name, "ids": [last], "tokens": [name]}},
    }
