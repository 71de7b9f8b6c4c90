"""Turns an `embed` model that is a table of tokens' vectors into the module StaticEmbedding of sentence-transformers.

That is a tokenizer.json and a table: a line's vector is the mean of its tokens' rows, without the special tokens that a
tokenizer puts around a line. encoder.py reads it. What such a module cannot hold is refused, never left out.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.errors import TextkitError
from textkit.interop.encoder_write import CLEANING
from textkit.interop.sentence_folder import Folder, module_files, tensors_file
from textkit.text.normalizer import Normalizer
from textkit.text.rule import TOKENIZER_FILE, TextRule
from textkit.text.scripts import IDEOGRAPHS
from textkit.text.spaces import SPACES, has_spaces
from textkit.text.tokenizer import Pretokenized
from textkit.text.words import Words

if TYPE_CHECKING:
    from textkit.tasks.embed.serving.embedder import Embedder

_PLACE = "0_StaticEmbedding"
_AT_ONCE = 1 << 14  # rows read from the graph at once
_PRIVATE = range(0xF0000, 0xFFFFE)  # characters that mean nothing, for marks
_ROWS = "embedding.weight"
# The library lowers each character alone, but a sigma at the end of a word has a form of its own (Unicode's Final_Sigma). What
# this pattern does not see is a letter before it with a dot or an apostrophe between.
_LAST_SIGMA = r"\BΣ(?![\p{M}\p{Cf}\p{Lm}\p{Sk}'’.:·]*[\p{Lu}\p{Ll}\p{Lt}])"
_SIGMA = "a capital sigma behind a sign or a digit may get the other small form than in textkit"


@dataclasses.dataclass(frozen=True)
class Static:
    """A tokenizer.json, as parsed, and which row of the model's table each of its ids has, i64[id]."""

    record: dict[str, Any]
    rows: np.ndarray


def made(embedder: Embedder, where: str) -> Folder:
    """The folder of a model that is a table. `where`: the model, for messages. Raises TextkitError, in one line, for one whose
    vectors of lines are no means of rows."""
    if embedder.pooling != "mean":
        raise TextkitError(
            f"{where}: pools by {embedder.pooling!r}; a StaticEmbedding takes the mean of all tokens alike, without weights"
        )
    rule = embedder.bundle.rule
    found = _of_rule(rule, where)
    data = json.dumps(found.record, ensure_ascii=False, separators=(",", ":")).encode()
    table = _table(embedder, len(rule))[found.rows]  # [id, dim]
    own = Pretokenized(data)
    files = {
        f"{_PLACE}/{TOKENIZER_FILE}": data,
        f"{_PLACE}/model.safetensors": tensors_file({_ROWS: table}),
        **module_files("StaticEmbedding", _PLACE, table.shape[1], "", None, embedder.normalize),
    }

    def vectors(lines: Sequence[str]) -> np.ndarray:
        encoded = own.encode(lines)
        ends = np.cumsum(encoded.lengths)
        spans = zip((ends - encoded.lengths).tolist(), ends.tolist(), strict=True)
        means = np.array([table[encoded.ids[begin:end]].sum(0) / max(1, end - begin) for begin, end in spans])
        length = np.linalg.norm(means, axis=1, keepdims=True) if embedder.normalize else np.ones((len(means), 1))
        return means / np.maximum(length, 1e-12)

    clean = rule.clean if isinstance(rule, Pretokenized) else isinstance(rule, Words) and rule.normalizer.clean
    kind = f"sentence-transformers folder (StaticEmbedding, {len(table):,} tokens)"
    notes = [CLEANING] if clean else []
    if isinstance(rule, Words) and rule.normalizer.lowercase and any("σ" in word or "ς" in word for word in rule.words):
        notes.append(_SIGMA)
    return Folder(kind, files, vectors, notes)


def _table(embedder: Embedder, rows: int) -> np.ndarray:
    """Every row as the model's graph gives it, f32[id, dim]: a lower precision is what it stands for."""
    table = np.empty((rows, embedder.dim), np.float32)
    plain = {"pool": np.array(0), "normalize": np.array(False)}
    for begin in range(0, rows, _AT_ONCE):
        ids = np.arange(begin, min(begin + _AT_ONCE, rows))[:, None]
        feeds: dict[str, np.ndarray] = {"ids": ids, "weight": np.ones(ids.shape, np.float32), **plain}
        table[begin : begin + len(ids)] = embedder.session.run(feeds, ["tokens"])["tokens"][:, 0]
    return table


def _of_rule(rule: TextRule, where: str) -> Static:
    if isinstance(rule, Pretokenized):
        return _of_tokenizer(rule, where)
    if not isinstance(rule, Words):
        raise TextkitError(
            f"{where}: reads lines as hashed n-grams ({rule.kind!r}), which no tokenizer.json of a StaticEmbedding can do"
        )
    if rule.subwords:
        raise TextkitError(
            f"{where}: spells words outside of its table by n-grams or pieces that share the weight of one word, which a "
            f"StaticEmbedding cannot"
        )
    if rule.spaces == "ascii" and any(map(has_spaces, rule.words)):
        raise TextkitError(f"{where}: has words that hold white space, which no tokenizer.json finds in a text")
    return _of_words(rule)


def _of_tokenizer(rule: Pretokenized, where: str) -> Static:
    """The tokenizer without what it puts around a line, which nobody would put there; see `_begun`."""
    record = json.loads(rule.files()[TOKENIZER_FILE])
    record |= {"truncation": None, "padding": None}
    around = rule.encode([""]).ids
    rows = np.arange(len(rule))
    if len(around):
        record, rows = _begun(record, around, len(rule), where)
    return Static(record | {"post_processor": None}, rows)


def _begun(record: dict[str, Any], around: np.ndarray, size: int, where: str) -> tuple[dict[str, Any], np.ndarray]:
    """A tokenizer of BERT's kind that begins every text with words of its own, whose rows are those of the special tokens
    `around` a line: for a mean, it does not matter where they stand. BERT's normaliser leaves such characters out of a text."""
    normalizer = record.get("normalizer") or {}
    cut = (record.get("pre_tokenizer") or {}).get("type")
    model = record["model"]
    bert = (
        normalizer.get("type") == "BertNormalizer"
        and normalizer.get("clean_text") is True
        and cut == "BertPreTokenizer"
    )
    if not bert or "continuing_subword_prefix" not in model or len(around) > 4:
        raise TextkitError(
            f"{where}: its tokenizer puts special tokens around each line, which a StaticEmbedding leaves out (only those of "
            f"a tokenizer like BERT's can be kept)"
        )
    marks = [mark for mark, _ in zip(_marks(model["vocab"]), around, strict=False)]
    vocabulary = model["vocab"] | {mark: size + at for at, mark in enumerate(marks)}
    begins = {"type": "Prepend", "prepend": "".join(f"{mark} " for mark in marks)}
    stripped = {
        "type": "Strip",
        "strip_left": True,
        "strip_right": True,
    }  # so that a blank line stays without any token
    steps = {"type": "Sequence", "normalizers": [normalizer, stripped, begins]}
    changed = record | {"normalizer": steps, "model": model | {"vocab": vocabulary}}
    return changed, np.append(np.arange(size), around)


def _of_words(rule: Words) -> Static:
    """Words as byte pairs without merges, each whole: what is not in the table is then left out, as textkit does; in a plain
    table of words it would be an unknown one. A mark before each keeps a character in it from being a word."""
    mark = next(_marks(rule.words))
    ids = {word: at for at, word in enumerate(rule.words)}
    for word, row in list(ids.items()):  # as Words finds them
        if rule.normalizer.lowercase and not word.isascii():
            ids.setdefault(rule.normalizer.form(word), row)
    rows = np.fromiter(ids.values(), np.int64, len(ids))
    model: dict[str, Any] = {
        "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
        "fuse_unk": False, "byte_fallback": False, "ignore_merges": True,
        "vocab": {mark + word: at for at, word in enumerate(ids)}, "merges": [],
    }  # fmt: skip
    before = {"type": "Metaspace", "replacement": mark, "prepend_scheme": "always", "split": False}
    cuts = [_split(_spaces(rule), "Removed")]
    if rule.normalizer.punctuation == "split":
        cuts.append(_split(rf"[\p{{P}}\p{{S}}]|[{IDEOGRAPHS}]", "Isolated"))
    record: dict[str, Any] = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": _steps(rule.normalizer)},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*cuts, before]},
        "post_processor": None, "decoder": None, "model": model,
    }  # fmt: skip
    return Static(record, rows)


def _steps(normalizer: Normalizer) -> list[dict[str, Any]]:
    """What a Normalizer does, but for cleaning, as a tokenizer.json says it."""
    form = [] if normalizer.unicode == "none" else [{"type": normalizer.unicode}]
    if not normalizer.lowercase:
        return form
    last = {"type": "Replace", "pattern": {"Regex": _LAST_SIGMA}, "content": "ς"}
    return [*form, last, {"type": "Lowercase"}, *form]


def _split(pattern: str, behaviour: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behaviour, "invert": False}


def _spaces(rule: Words) -> str:
    if rule.spaces == "ascii":
        return "[" + "".join(f"\\x{ord(space):02x}" for space in SPACES) + "]+"
    return r"[\s\x1c-\x1f\x85]+"


def _marks(taken: Any) -> Iterator[str]:
    """Characters that are in none of the words `taken`."""
    used = set("".join(taken))
    return (mark for mark in map(chr, _PRIVATE) if mark not in used)
