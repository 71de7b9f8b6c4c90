"""Reads how a Hugging Face encoder cuts text: tokenizer.json, what tokenizer_config.json changes in it, the longest line.

Knows no network and no graph.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from textkit.errors import TextkitError
from textkit.interop.checkpoint import Checkpoint, Settings
from textkit.text.rule import TOKENIZER_FILE
from textkit.text.tokenizer import Pretokenized
from textkit.text.tokenizer_file import MAX_BYTES, read_checked

_CONFIG = "tokenizer_config.json"
# What sentence-transformers calls the configuration of its first module; the later ones are of its first versions.
_SENTENCES = tuple(
    f"sentence_{kind}_config.json" for kind in ("bert", "roberta", "distilbert", "xlm-roberta", "camembert", "albert")
)
_CHANGED = {  # type -> its entries that tokenizer_config.json changes, and what they are called there
    "BertNormalizer": {
        "lowercase": "do_lower_case", "strip_accents": "strip_accents", "handle_chinese_chars": "tokenize_chinese_chars",
    },
    "ByteLevel": {"add_prefix_space": "add_prefix_space"},
}  # fmt: skip


def read_rule(checkpoint: Checkpoint, sentences: bool) -> Pretokenized:
    """The rule that makes the ids of transformers' own tokenizer, or with `sentences` those of sentence-transformers, which may
    lower the case first. Raises TextkitError, in one line that names the file, where there is none."""
    path = checkpoint.folder / TOKENIZER_FILE
    if not checkpoint.has(TOKENIZER_FILE):
        raise TextkitError(f"{path}: no such file: transformers' AutoTokenizer writes it with save_pretrained")
    data = checkpoint.read(TOKENIZER_FILE, MAX_BYTES)
    read_checked(str(path), lambda name: data)
    parts = checkpoint.json(TOKENIZER_FILE)
    config = checkpoint.json(_CONFIG) if checkpoint.has(_CONFIG) else {}
    stated = {"normalizer": parts.get("normalizer"), "pre_tokenizer": parts.get("pre_tokenizer")}
    changed = {key: _changed(node, config) for key, node in stated.items()}
    if sentences and Settings(_sentences(checkpoint), str(checkpoint.folder)).flag("do_lower_case", False):
        changed["normalizer"] = _lowered(changed["normalizer"])
    if changed != stated:
        data = json.dumps(parts | changed, ensure_ascii=False, separators=(",", ":")).encode()
        read_checked(str(path), lambda name: data)
    try:
        return Pretokenized(data)
    except TextkitError as error:
        raise TextkitError(f"{checkpoint.folder}/{error}") from None


def without_special(rule: Pretokenized) -> Pretokenized:
    """The rule, but it puts no special tokens around a line."""
    parts = json.loads(rule.files()[TOKENIZER_FILE])
    if parts.get("post_processor") is None:
        return rule
    parts["post_processor"] = None
    return Pretokenized(json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode(), rule.clean)


def longest(checkpoint: Checkpoint, positions: int, sentences: bool) -> int:
    """The most tokens of a line, special tokens included: as sentence-transformers or transformers would cut it, and at most
    `positions`."""
    stated = _sentences(checkpoint).get("max_seq_length") if sentences else None
    name = "the sentence-transformers configuration"
    if stated is None and checkpoint.has(_CONFIG):
        name, stated = _CONFIG, checkpoint.json(_CONFIG).get("model_max_length")
    if stated is None:
        return positions
    if type(stated) not in (int, float) or not stated >= 1:
        raise TextkitError(f"{checkpoint.folder}: {name} has the longest length {str(stated)[:50]}")
    return int(min(stated, positions))  # 1e30 stands for any


def _sentences(checkpoint: Checkpoint) -> dict[str, Any]:
    for name in _SENTENCES:
        if checkpoint.has(name):
            return checkpoint.json(name)
    return {}


def _changed(node: Any, config: Mapping[str, Any]) -> Any:
    """A normalizer or pre-tokenizer as tokenizer_config.json, which has the last word, changes it."""
    if not isinstance(node, dict):
        return node
    entries = _CHANGED.get(str(node.get("type")), {})
    stated = {ours: config[theirs] for ours, theirs in entries.items() if theirs in config}
    changed = {key: value for key, value in stated.items() if node.get(key) != value}
    return node | changed if changed else node


def _lowered(node: Any) -> Any:
    """A normalizer that lowers the case first, unless it does so anyway."""
    parts = [node] if node else []
    if isinstance(node, dict) and isinstance(node.get("normalizers"), list):
        parts = node["normalizers"]
    if any(
        part.get("type") == "Lowercase" or part.get("lowercase") is True for part in parts if isinstance(part, dict)
    ):
        return node
    return {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, *parts]}
