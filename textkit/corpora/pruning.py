"""Leaves tokens out of a tokenizer.json that a text seldom or never needs. Knows no model and no network.

A word whose token is gone is spelled by shorter ones, so single characters stay as long as there is room. Ids are dealt out
anew, in the old order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from textkit.errors import TextkitError, UsageError
from textkit.text.tokenizer import Pretokenized

_CONTINUED = "##"  # before the pieces of WordPiece that do not begin a word
_SPACE = "▁"


def pruned(rule: Pretokenized, texts: Iterable[Sequence[str]], size: int) -> tuple[Pretokenized, np.ndarray]:
    """The rule with at most `size` tokens, those that the texts have most, and the old id of each new one, i64[token].

    UsageError if `size` is too small for what must stay: special tokens, and for byte pairs the 256 bytes.
    """
    counts = np.zeros(len(rule), np.int64)
    for lines in texts:
        counts += np.bincount(rule.encode(lines).ids, minlength=len(rule))
    record = json.loads(rule.files()["tokenizer.json"])
    model = record["model"]
    kind = type(rule.tokenizer.model).__name__  # old files do not say it
    if kind not in ("WordPiece", "WordLevel", "BPE", "Unigram"):
        raise TextkitError(f"a tokenizer of the type {kind!r} cannot be made smaller")
    ids = _ids(model, kind) | {token["content"]: token["id"] for token in record.get("added_tokens") or []}
    must = _must_stay(record, model, kind, ids)
    if size < len(must):
        raise UsageError(f"vocab_size={size}: too small: {len(must)} tokens of the tokenizer must stay")
    kept = _chosen(model, kind, ids, counts, must, size)
    old = np.array(sorted(ids[token] for token in kept), np.int64)
    new = {int(before): after for after, before in enumerate(old)}
    _renumber(record, model, kind, ids, new)
    return Pretokenized(json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode(), rule.clean), old


def _ids(model: dict[str, Any], kind: str) -> dict[str, int]:
    if kind == "Unigram":
        return {piece: at for at, (piece, _) in enumerate(model["vocab"])}
    return dict(model["vocab"])


def _must_stay(record: dict[str, Any], model: dict[str, Any], kind: str, ids: dict[str, int]) -> set[str]:
    """Special tokens, the unknown one, and the bytes that everything else is spelled with."""
    must = {token["content"] for token in record.get("added_tokens") or []}
    if model.get("unk_token") in ids:
        must.add(model["unk_token"])
    if kind == "Unigram" and model.get("unk_id") is not None:
        must.add(model["vocab"][model["unk_id"]][0])
    if kind == "BPE" or model.get("byte_fallback"):
        must |= {token for token in ids if len(token) == 1 and kind == "BPE" and ord(token) < 0x180}
        must |= {token for token in ids if len(token) == 6 and token.startswith("<0x") and token.endswith(">")}
    return must & ids.keys()


def _chosen(
    model: dict[str, Any], kind: str, ids: dict[str, int], counts: np.ndarray, must: set[str], size: int
) -> set[str]:
    """The tokens that stay: characters that occur, then whatever occurs most, with what it is merged from."""
    parents: dict[str, tuple[str, str]] = {}
    for merge in model.get("merges") or ():
        one, other = merge.split(" ", 1) if isinstance(merge, str) else merge
        parents.setdefault(one + other, (one, other))
    kept = set(must)
    rank = sorted(ids, key=lambda token: (-int(counts[ids[token]]), ids[token]))
    # A character may occur only inside of tokens that are used now: it must not be lost where such a token goes.
    occur = {character for token in rank if counts[ids[token]] for character in token.removeprefix(_CONTINUED)}
    characters = {token for token in ids if token.removeprefix(_CONTINUED).removeprefix(_SPACE) in occur}
    for token in [token for token in rank if token in characters] + [token for token in rank if counts[ids[token]]]:
        needed = _with_parents(token, parents, kept, kind)
        if needed <= ids.keys() and len(kept) + len(needed) <= size:
            kept |= needed
    return kept


def _with_parents(token: str, parents: dict[str, tuple[str, str]], kept: set[str], kind: str) -> set[str]:
    """The token, and all that it is merged from, without what is kept already."""
    needed, waiting = set(), [token]
    while waiting:
        one = waiting.pop()
        if one in kept or one in needed:
            continue
        needed.add(one)
        if kind == "BPE":
            waiting += parents.get(one, ())
    return needed


def _renumber(
    record: dict[str, Any], model: dict[str, Any], kind: str, ids: dict[str, int], new: dict[int, int]
) -> None:
    """Writes the new ids wherever the file has ids, and leaves out what is gone."""
    if kind == "Unigram":
        unknown = model.get("unk_id")
        model["vocab"] = [entry for at, entry in enumerate(model["vocab"]) if at in new]
        if unknown is not None:
            model["unk_id"] = new[unknown]
    else:
        model["vocab"] = {token: new[at] for token, at in model["vocab"].items() if at in new}
    if "merges" in model:
        there = {token for token, at in ids.items() if at in new}
        model["merges"] = [
            merge
            for merge in model["merges"]
            if {*(pair := merge.split(" ", 1) if isinstance(merge, str) else merge), "".join(pair)} <= there
        ]
    for token in record.get("added_tokens") or ():
        token["id"] = new[token["id"]]
    _renumber_templates(record.get("post_processor"), new)
    record["padding"] = record["truncation"] = None


def _renumber_templates(processor: Any, new: dict[int, int]) -> None:
    if not isinstance(processor, dict):
        return
    for inner in processor.get("processors") or ():
        _renumber_templates(inner, new)
    for side in ("sep", "cls"):  # of BertProcessing and RobertaProcessing: [text, id]
        if isinstance(processor.get(side), list):
            processor[side][1] = new[processor[side][1]]
    special = processor.get("special_tokens")
    if isinstance(special, dict):
        for token in special.values():
            token["ids"] = [new[at] for at in token["ids"]]
