"""Tokenizers of strangers: what the library would run into is refused in one line before it has the file."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from small_embedder import TABLE
from small_language import WORDS, write_language
from small_translator import SOURCE, tokenizer, write_translator

from textkit import bundle, pattern
from textkit.errors import TextkitError
from textkit.places import package_folder
from textkit.text import rule_from_spec
from textkit.tokenizer_file import read_checked
from textkit.training.export import export_embedding_table

BPE = {"type": "BPE", "unk_token": None, "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}


def file(**parts: Any) -> bytes:
    return json.dumps({"version": "1.0", "added_tokens": [], "model": BPE} | parts).encode()


def refusal(data: bytes) -> str:
    start = time.perf_counter()
    with pytest.raises(TextkitError) as caught:
        read_checked("tokenizer.json", lambda name: data)
    assert time.perf_counter() - start < 5
    said = str(caught.value)
    assert said.startswith("tokenizer.json: ")
    assert said.isprintable()
    assert len(said) < 400
    return said.removeprefix("tokenizer.json: ")


def taken(data: bytes) -> bool:
    return read_checked("tokenizer.json", lambda name: data) == data


def replacement(text: str, content: str, kind: str = "String") -> dict[str, Any]:
    return {"type": "Replace", "pattern": {kind: text}, "content": content}


def normalizers(*nodes: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "normalizers": list(nodes)}


def nested(depth: int) -> dict[str, Any]:
    node: dict[str, Any] = {"type": "Lowercase"}
    for _ in range(depth):
        node = normalizers(node)
    return node


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": ""}}, "normalizer of the type 'Precompiled'"),
        ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "/////wAAAAA="}}, "of the type 'Precompiled'"),
        ({"normalizer": normalizers(nested(3), {"type": "Precompiled"})}, "of the type 'Precompiled'"),
        ({"normalizer": {"precompiled_charsmap": "/////wAAAAA="}}, "of the type None"),
        ({"normalizer": "Precompiled"}, "of the type 'Precompiled'"),
        ({"normalizer": {"type": ["Precompiled"]}}, "of the type"),
        ({"pre_tokenizer": {"type": "FixedLength", "length": 0}}, "pre_tokenizer of the type 'FixedLength'"),
        ({"pre_tokenizer": {"type": "\x1b[31m" * 100}}, "pre_tokenizer of the type '\\x1b[31m"),
        ({"normalizer": replacement("a", "a" * 100)}, "normalizer's content is 'aaa"),
        ({"normalizer": normalizers(*[replacement("a", "aa")] * 7)}, "makes more than 64 characters of one"),
        ({"normalizer": normalizers(replacement("a", "a" * 9), replacement("", "a" * 9, "Regex"))}, "more than 64 characters"),
        ({"decoder": {"type": "Sequence", "decoders": [replacement("e", "e" * 10)] * 2}}, "more than 64 characters"),
        ({"normalizer": {"type": "Prepend", "prepend": "▁" * 1000}}, "normalizer's prepend is"),
        ({"normalizer": nested(40)}, "more than 32 normalizers"),
        ({"normalizer": nested(400)}, "more than 32 normalizers"),
        ({"normalizer": replacement("(x+x+)+y", "", "Regex")}, "repeats a group, so that it may take for ever"),
        ({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "a*a*b"}}}, "repeats two parts without end"),
        ({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "a" * 5000}}}, "not text of at most 1000 characters"),
        ({"pre_tokenizer": {"type": "Split", "pattern": {"Odd": "a"}}}, "whose pattern is {'Odd': 'a'}"),
        ({"pre_tokenizer": {"type": "Split"}}, "whose pattern is None"),
        ({"pre_tokenizer": {"type": "Metaspace", "replacement": "▁" * 100_000}}, "pre_tokenizer's replacement is"),
        ({"decoder": {"type": "Strip", "content": " ", "start": 1 << 40, "stop": 0}}, "not a whole number from 0 to 65536"),
        ({"decoder": {"type": "Strip", "content": " ", "start": 1, "stop": 1}}, "strips what ends a piece"),
        ({"decoder": {"type": "WordPiece", "prefix": "#" * 1000}}, "decoder's prefix is"),
        ({"post_processor": {"type": "TemplateProcessing", "single": [{}] * 10_000}}, "whose single is"),
        ({"model": BPE | {"continuing_subword_prefix": "é"}}, "byte pairs that continue with 'é'"),
        ({"model": BPE | {"end_of_word_suffix": "a" * 100_000}}, "model's end_of_word_suffix is"),
        ({"model": BPE | {"unk_token": "a" * 100_000}}, "model's unk_token is"),
        ({"model": BPE | {"dropout": 0.5}}, "leaves merges out by chance"),
        ({"model": BPE | {"type": "Magic"}}, "model of the type 'Magic'"),
        ({"model": None}, "not a tokenizer: no model"),
        ({"added_tokens": [{"id": 3, "content": "a" * 1000}]}, "added token is"),
        ({"added_tokens": [{"id": 3, "content": ""}]}, "added token without text"),
        ({"added_tokens": {"id": 3}}, "added_tokens is no list"),
    ],
)  # fmt: skip
def test_what_a_file_must_not_hold(parts, said):
    assert said in refusal(file(**parts))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a tokenizer: "),
        (b"[]", "not a tokenizer: no object"),
        (b"{" * 100_000, "not a tokenizer: "),
        (b'{"model":' * 100_000, "not a tokenizer: "),
        (b"\xff\xfe", "not a tokenizer: "),
        (b'{"model": NaN}', "NaN is no JSON"),
        (b"[" * (1 << 22), "too many values"),
        (b"1," * (1 << 24), "too many values"),
        (b" " * ((1 << 26) + 1), "67108865 bytes; at most 67108864 are read"),
    ],
    ids=["empty", "list", "cut", "deep", "no text", "NaN", "lists", "numbers", "large"],
)
def test_what_is_no_file_at_all(data, said):
    assert said in refusal(data)


HOSTILE = '"normalizer":{"type":"Precompiled","precompiled_charsmap":"/////wAAAAA="}'
MODEL = '"model":{"type":"WordLevel","vocab":{"a":0},"unk_token":"a"}'
ESCAPED, ESCAPED_TYPE = "norm\\u0061lizer", "typ\\u0065"
LEAN = '"model":{"type":"BPE","unk_token":null,"vocab":{"a":0,"b":1},"merges":[]}'


@pytest.mark.parametrize("model", [MODEL, LEAN], ids=["words", "pairs"])
@pytest.mark.parametrize(
    "text",
    [
        f"{{HERE,{HOSTILE}}}",
        f"{{{HOSTILE},HERE}}",
        f'{{"normalizer":null,HERE,{HOSTILE}}}',
        f'{{{HOSTILE},"normalizer":null,HERE}}',
        f"{{HERE , {HOSTILE.replace(':', ' : ', 1)}}}",
        f"{{HERE,{HOSTILE.replace('normalizer', ESCAPED)}}}",
        f"{{HERE,{HOSTILE.replace('type', ESCAPED_TYPE)}}}",
        f'{{"version":"\\"model\\":{{",HERE,{HOSTILE}}}',
        f'{{"vocab":1,HERE,{HOSTILE}}}',
        f'{{"x":{{"model":{{"vocab":{{}}}}}},HERE,{HOSTILE}}}',
    ],
)
def test_no_second_name_hides_behind_the_model(text, model):
    """The library reads every name it meets, the last one counts, and a broken table ends the process on the way."""
    with pytest.raises(TextkitError):
        read_checked("tokenizer.json", lambda name: text.replace("HERE", model).encode())


@pytest.mark.parametrize("path", sorted(package_folder().glob("*/*tokenizer.json")), ids=lambda path: path.parent.name)
def test_shipped_ones_are_taken_without_reading_their_words(path: Path, monkeypatch):
    from textkit import tokenizer_file

    sizes = []
    real = tokenizer_file._loaded
    monkeypatch.setattr(tokenizer_file, "_loaded", lambda data: sizes.append(len(data)) or real(data))
    assert taken(path.read_bytes())
    assert sizes
    assert max(sizes) < 2000  # bytes


@pytest.mark.parametrize(
    "text",
    [
        r"[\s▁]+",
        r"▁?[\p{P}\p{S}&&[^▁]]|▁?[\p{Han}\p{Hiragana}\p{Katakana}]",
        r"▁?<(?=0x[0-9A-F]{2}>|/?s>|pad>)",
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        r" {2,}", r"[^\w\s▁]", r"\d", "", "a|", r"(?i:'s|'t)?x", r"[[:alpha:]]+", *pattern.KNOWN,
    ],
)  # fmt: skip
def test_patterns_that_tokenizers_have(text):
    assert pattern.wrong(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "(x+x+)+y", "(a|a)*b", "(a*)*", "(a?){40}", "a*a*b", r"\s*\s*x", "(a{1,64}){1,64}", "a{0,64}a{0,64}a{0,64}",
        "a?" * 13, "(a|b)" * 13, "a{0,64}+", "a{1000}", r"(a)\1", r"(?<=a+)b", "(?>a)", r"\k<x>", "(?<n>a)", "(?<n>a\\g<n>)",
        "(", ")", "[", "a**", "*", "((((((a))))))", "[[[[[[a]]]]]]", "(?x: a)", "(?#", "\\", "\\p{", "a{2",
    ],
)  # fmt: skip
def test_patterns_that_may_take_for_ever_or_are_none(text):
    assert pattern.wrong(text)


def test_every_pattern_that_is_taken_comes_to_an_end():
    """The slowest kind that is left, on a line of 20,000 spaces."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    found = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    for text in (r"\s+x", r"a?a?a?a?\s+x", *pattern.KNOWN):
        assert pattern.wrong(text) == ""
        found.pre_tokenizer = pre_tokenizers.Split(Regex(text), "isolated")
        start = time.perf_counter()
        found.encode("a" + " " * 20_000)
        assert time.perf_counter() - start < 20


def broken(folder: Path, name: str) -> Path:
    """The model with another tokenizer.json, its size and hash right."""
    import hashlib

    from textkit.manifest import FILE

    data = file(normalizer={"type": "Precompiled", "precompiled_charsmap": "/////wAAAAA="})
    (folder / name).write_bytes(data)
    manifest = json.loads((folder / FILE).read_bytes())
    manifest["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (folder / FILE).write_text(json.dumps(manifest))
    return folder


def test_every_kind_of_model_is_looked_at(tmp_path, capfd):
    """A tokenizer of each rule, and byte pairs of words; nothing of the library's is said."""
    from textkit.subwords import Pieces
    from textkit.text import Normalizer, Pretokenized, Words

    pieces = Words(WORDS[:3], Normalizer(), Pieces(file().decode(), 3))
    whole = Pretokenized(tokenizer(SOURCE[:5], True))
    folders = [
        (write_translator(tmp_path / "t"), "tokenizer.json"),
        (write_translator(tmp_path / "u"), "target_tokenizer.json"),
        (write_language(tmp_path / "l"), "tokenizer.json"),
        (export_embedding_table(tmp_path / "p", rule=pieces, table=TABLE[[0, 1, 2, 3, 4, 0]]), "pieces.json"),
        (export_embedding_table(tmp_path / "w", rule=whole, table=TABLE), "tokenizer.json"),
    ]
    for folder, name in folders:
        bundle.read(folder).verify()
        with pytest.raises(TextkitError, match="of the type 'Precompiled'"):
            bundle.read(broken(folder, name)).verify()
    assert capfd.readouterr() == ("", "")


def test_padding_in_a_file_of_pieces_is_ignored():
    """It would make any word a billion pieces long."""
    from textkit.text import Words

    padding = {
        "strategy": {"Fixed": 10**9}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
        "pad_token": "a",
    }  # fmt: skip
    files = {"words.txt": b"the\n", "pieces.json": file(padding=padding)}
    spec = {
        "kind": "words", "words": "words.txt", "subwords": {"kind": "pieces", "file": "pieces.json", "first": 1},
        "normalizer": {"lowercase": True, "unicode": "NFC", "punctuation": "split"},
    }  # fmt: skip
    rule = rule_from_spec(spec, files.__getitem__)
    assert isinstance(rule, Words)
    assert rule.encode(["ab"]).ids.tolist() == [3]


def test_a_panic_of_the_library_is_one_line():
    """Whatever else it stumbles over: a PanicException is no Exception."""
    from textkit.subwords import guarded, read_tokenizer

    with pytest.raises(TextkitError, match="not a tokenizer"):
        read_tokenizer(file(pre_tokenizer={"type": "Magic"}), "tokenizer.json")

    class PanicException(BaseException):
        pass

    def fail() -> None:
        raise PanicException("index out\nof bounds")

    with pytest.raises(TextkitError, match="^the model's tokenizer failed: index out of bounds$"):
        guarded(fail)
    for kind in (KeyboardInterrupt, SystemExit):
        with pytest.raises(kind):
            guarded(lambda kind=kind: (_ for _ in ()).throw(kind()))
