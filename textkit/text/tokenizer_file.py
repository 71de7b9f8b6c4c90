"""Checks a stranger's tokenizer.json before the library tokenizers loads it. Knows no ids and no rule.

The library does what such a file says, even if it says to chain replacements that each double a line, to use broken tables
that end the process, or to match patterns that never come to an end. So only known node types are accepted, with numbers
and texts within bounds: those that textkit writes and imports, and those of other makers' usual tokenizers.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from textkit.errors import TextkitError, quoted, told
from textkit.text import pattern
from textkit.text.charmap import safe_growth
from textkit.text.tokenizer_model import MOST_ENTRIES, Wrong, check, counted, few, require, text, whole

MAX_BYTES = 40 << 20
_MOST_VALUES = 3 * MOST_ENTRIES  # commas: about one for each value
_MOST_HOLDERS = 9 * MOST_ENTRIES // 8  # lists and objects; a merge is one, and so is an added token
_MOST_NODES = 32  # normalizers, decoders and so on, all together
_LONGEST = 16  # characters that replace or precede others
_MOST_GROWTH = 64  # characters that all replacements together may make of one
_OPENING = re.compile(rb":\s*[\[{]")  # the start of a list or an object that has a name
_LONGEST_NAME = 256  # characters of an added or a special token
_LONGEST_TABLE = 4 << 20  # characters of a table of characters; SentencePiece's usual one has 320,012
_MOST_ADDED = 1 << 20  # bytes of all added tokens: the library turns each into 80


def read_checked(name: str, read: Callable[[str], bytes]) -> bytes:
    """The bytes of a tokenizer.json that may be loaded; `read` gives the bytes of a file. Raises TextkitError, whose line
    begins with `name`, for any other."""
    data = read(name)
    try:
        _File().check(*_parts(data))
    except Wrong as wrong:
        raise TextkitError(f"{name}: {wrong}") from None
    return data


def _parts(data: bytes) -> tuple[dict[str, Any], bytes | None]:
    """The parsed file, and None; or the file without its vocabulary and merges, and those as raw bytes, if that is safe.

    Without them, loading takes a third of the time. It is safe if the model comes last and, from its vocabulary on, only the
    vocabulary and the merges are lists or objects. Then no second entry of a name hides there that the library would read.
    """
    require(len(data) <= MAX_BYTES, f"{len(data)} bytes; at most {MAX_BYTES} are read")
    values = data.count(b",")
    many = values > _MOST_VALUES or data.count(b"[") + data.count(b"{") > _MOST_HOLDERS
    require(not many, "not a tokenizer: too many values")
    at = data.find(b'"model":{')
    vocabulary = data.find(b'"vocab":', at)
    if 0 <= at < vocabulary and _nothing_hides(rest := data[vocabulary:]):
        with contextlib.suppress(Wrong):  # it is not laid out as it looked
            parts = _loaded(data[:vocabulary].rstrip(b" \t\r\n,") + b"}}")
            if "type" in (parts.get("model") or ()):  # otherwise the vocabulary tells the type
                return parts, rest
    if values > MOST_ENTRIES:
        few(counted(data)[1])
    return _loaded(data), None


def _nothing_hides(rest: bytes) -> bool:
    """Whether JSON that begins with a vocabulary surely holds nothing else but merges."""
    if b"\\u" in rest or _OF_MODELS.search(rest):
        return False
    names = [rest[max(0, found.start() - 12) : found.start()] for found in _OPENING.finditer(rest)]
    return len(names) <= 2 and all(name.endswith((b'"vocab"', b'"merges"')) for name in names)


def _loaded(data: bytes) -> dict[str, Any]:
    try:
        parts = json.loads(data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else " ".join(str(error).split())[:200]
        raise Wrong(f"not a tokenizer: {reason}") from None
    require(isinstance(parts, dict), "not a tokenizer: not a JSON object")
    return parts


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):  # the library reads both values
        raise ValueError("a name occurs twice in one object")
    return values


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


class _File:
    """One pass over a parsed file."""

    def __init__(self) -> None:
        self.nodes = 0
        self.growth = 1
        self.cost = 0  # of all patterns

    def check(self, parts: Mapping[str, Any], rest: bytes | None) -> None:
        for key, kinds in (
            ("normalizer", _NORMALIZERS), ("pre_tokenizer", _PRE_TOKENIZERS), ("post_processor", _POST_PROCESSORS),
            ("decoder", _DECODERS),
        ):  # fmt: skip
            self.growth = 1
            if parts.get(key) is not None:
                self.node(parts[key], key, kinds)
        self.added(parts.get("added_tokens"))
        check(parts.get("model"), rest)

    def kind(self, node: Any, where: str, kinds: Iterable[str]) -> str:
        """The type of a node, one of `kinds`."""
        kind = node.get("type") if isinstance(node, dict) else node
        if not isinstance(kind, str) or not isinstance(node, dict) or kind not in kinds:
            raise Wrong(f"has a {where} of the type {quoted(kind)}, which a model may not have")
        return kind

    def node(self, node: Any, where: str, kinds: Mapping[str, Callable[[_File, Any, str], None] | None]) -> None:
        self.nodes += 1
        require(
            self.nodes <= _MOST_NODES, f"has more than {_MOST_NODES} normalizers, pre_tokenizers, decoders and so on"
        )
        kind = self.kind(node, where, kinds)
        if kind == "Sequence":
            inner = node.get(_SEQUENCES[where])
            require(isinstance(inner, list), f"has a Sequence without {_SEQUENCES[where]}")
            for each in inner:
                self.node(each, where, kinds)
        elif (look := kinds[kind]) is not None:
            look(self, node, where)

    def added(self, tokens: Any) -> None:
        require(tokens is None or isinstance(tokens, list), "added_tokens is no list")
        require(len(tokens or ()) <= 1 << 16, "has more than 65536 added_tokens")
        size = 0
        for token in tokens or ():
            require(isinstance(token, dict), "has an added token that is no object")
            require(token.get("content"), "has an added token without text")
            text(token["content"], "added token", _LONGEST_NAME)
            size += len(token["content"].encode("utf-8", "surrogatepass"))
        require(size <= _MOST_ADDED, f"has added_tokens of {size} bytes; at most {_MOST_ADDED} are read")

    def grow(self, count: int) -> None:
        """Counts a replacement that may make `count` characters of one."""
        self.growth *= max(1, count)
        require(self.growth <= _MOST_GROWTH, f"makes more than {_MOST_GROWTH} characters of one")

    def pattern(self, given: Any, where: str) -> bool:
        """Checks a pattern; returns whether it may match the empty text, and so between any two characters."""
        require(isinstance(given, dict) and len(given) == 1, f"has a {where} whose pattern is {quoted(given)}")
        ((kind, content),) = given.items()
        require(kind in ("Regex", "String"), f"has a {where} whose pattern is {quoted(given)}")
        text(content, f"{where}'s pattern", pattern.LONGEST, needed=True)
        if kind == "Regex":
            found = pattern.judged(content)
            require(not found.wrong, f"has a {where} whose pattern {quoted(content)} {found.wrong}")
            self.cost += found.cost
            require(self.cost <= pattern.MOST_COST, "has patterns that together have too many ways to match")
            return found.thin
        return not content

    def replace(self, node: Any, where: str) -> None:
        between = self.pattern(node.get("pattern"), where)
        text(node.get("content"), f"{where}'s content", _LONGEST, needed=True)
        self.grow(len(node["content"]) + between)
        # The library miscounts characters that it inserts where none was, and panics at some later text.
        require(
            where != "normalizer" or not between or not node["content"],
            f"has a {where} that puts {quoted(node['content'])} between characters",
        )

    def precompiled(self, node: Any, where: str) -> None:
        table = node.get("precompiled_charsmap")
        text(table, f"{where}'s table of characters", _LONGEST_TABLE, needed=True)
        try:
            self.grow(safe_growth(base64.b64decode(table, validate=True)))
        except ValueError as error:
            raise Wrong(f"has a {where} whose table of characters is damaged: {told(error)}") from None

    def split(self, node: Any, where: str) -> None:
        self.pattern(node.get("pattern"), where)

    def prepend(self, node: Any, where: str) -> None:
        text(node.get("prepend"), f"{where}'s prepend", _LONGEST, needed=True)

    def short(self, node: Any, where: str) -> None:
        """Checks that the node's texts are short, and its numbers small."""
        for key, value in node.items():
            if isinstance(value, str):
                text(value, f"{where}'s {key}", 64)
            elif isinstance(value, (list, dict)):
                raise Wrong(f"has a {where} whose {quoted(key)} is {quoted(value)}")
            elif value is not None:
                whole(value, f"{where}'s {quoted(key)}", 0, 1 << 16)

    def strip(self, node: Any, where: str) -> None:
        self.short(node, where)
        require(
            not node.get("stop"), f"has a {where} that strips what ends a piece"
        )  # the library fails at pieces shorter than that

    def pair(self, node: Any, where: str) -> None:
        for key in ("sep", "cls"):
            value = node.get(key)
            good = isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)
            require(good and len(value[0]) <= _LONGEST_NAME, f"has a {where} whose {key} is {quoted(value)}")

    def template(self, node: Any, where: str) -> None:
        """Checks that what it names exists: the library looks for it only when it cuts a line, and then panics."""
        tokens = node.get("special_tokens")
        require(
            isinstance(tokens, dict) and len(tokens) <= 64, f"has a {where} whose special_tokens are {quoted(tokens)}"
        )
        for token in tokens.values():
            lists: list[Any] = [token.get(key) for key in ("ids", "tokens")] if isinstance(token, dict) else [None]
            good = all(isinstance(each, list) and 0 < len(each) <= 16 for each in lists)
            require(good and len(lists[0]) == len(lists[1]), f"has a {where} with the special token {quoted(token)}")
            for number, name in zip(*lists, strict=True):
                whole(number, f"{where}'s id", 0, 1 << 24)
                text(name, f"{where}'s token", _LONGEST_NAME, needed=True)
        for key, sequences in (("single", ("A",)), ("pair", ("A", "B"))):
            value = node.get(key)
            require(isinstance(value, list) and len(value) <= 64, f"has a {where} whose {key} is {quoted(value)}")
            for part in value:
                ((kind, named),) = part.items() if isinstance(part, dict) and len(part) == 1 else (("", {}),)
                known = {"SpecialToken": tokens, "Sequence": sequences}.get(kind, ())
                found = named.get("id") if isinstance(named, dict) else None
                require(isinstance(found, str) and found in known, f"has a {where} whose {key} has {quoted(part)}")
                whole(named.get("type_id"), f"{where}'s type_id", 0, 1 << 16)


# What else a model may hold, as names. A word of the vocabulary may be spelled like one, but its value is a number.
_OF_MODELS = re.compile(
    rb'"(?:dropout|unk_id|max_input_chars_per_word)"|"(?:type|unk_token|continuing_subword_prefix|end_of_word_suffix)"\s*:\s*[^\d\s]'
)
_SEQUENCES = {
    "normalizer": "normalizers", "pre_tokenizer": "pretokenizers", "post_processor": "processors", "decoder": "decoders",
}  # fmt: skip
_NORMALIZERS = {
    "Sequence": None, "Replace": _File.replace, "Prepend": _File.prepend, "Precompiled": _File.precompiled,
    **dict.fromkeys(
        ("NFC", "NFD", "NFKC", "NFKD", "Nmt", "Lowercase", "Strip", "StripAccents", "BertNormalizer", "ByteLevel"), _File.short
    ),
}  # fmt: skip
_PRE_TOKENIZERS = {
    "Sequence": None, "Split": _File.split,
    **dict.fromkeys(
        (
            "BertPreTokenizer", "ByteLevel", "CharDelimiterSplit", "Digits", "Metaspace", "Punctuation", "UnicodeScripts",
            "Whitespace", "WhitespaceSplit",
        ),
        _File.short,
    ),
}  # fmt: skip
_POST_PROCESSORS = {
    "Sequence": None, "TemplateProcessing": _File.template, "BertProcessing": _File.pair, "RobertaProcessing": _File.pair,
    "ByteLevel": _File.short,
}  # fmt: skip
_DECODERS = {
    "Sequence": None, "Replace": _File.replace, "Strip": _File.strip,
    **dict.fromkeys(("BPEDecoder", "ByteFallback", "ByteLevel", "Fuse", "Metaspace", "WordPiece"), _File.short),
}  # fmt: skip
