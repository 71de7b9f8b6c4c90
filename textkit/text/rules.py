"""Finds the rule by which text becomes ids. A manifest describes one of a closed set, so that serving needs no plugin.

Each rule is a module, which is imported when a manifest names it. Knows no file system, no graph and no model.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from textkit.errors import TextkitError, quoted, told

if TYPE_CHECKING:
    from textkit.text.rule import TextRule

KINDS: Mapping[str, str] = {  # what a manifest calls a rule -> the module that reads it
    "words": "textkit.text.words",  # a table of words; with subwords: hashed character n-grams, or byte-pair pieces
    "tokenizer": "textkit.text.tokenizer",  # a Hugging Face tokenizer.json
    "hashed": "textkit.text.hashed",  # words and n-grams, hashed
    "fasttext": "textkit.text.fasttext",  # what a fastText classifier looks at
    "translation": "textkit.text.translation",  # the two sides of a translation
    "sentencepiece": "textkit.text.sentencepiece",  # MarianMT's two sides
    "language": "textkit.text.language",  # lines, and the id that ends each
}


def rule_from_spec(spec: Mapping[str, Any], read: Callable[[str], bytes]) -> TextRule:
    """The rule that a manifest describes; `read` gives the bytes of a file beside it. Raises TextkitError for any other."""
    try:
        if spec["kind"] in KINDS:
            return importlib.import_module(KINDS[spec["kind"]]).from_spec(spec, read)
    except (KeyError, TypeError, ValueError) as error:
        raise TextkitError(f"how text becomes ids is not described rightly: {told(error)}") from error
    raise TextkitError(f"how text becomes ids: unknown kind {quoted(spec['kind'])}")
