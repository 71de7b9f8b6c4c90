"""Strangers' tokenizers: what the library would fail at is refused in one line before the library reads the file."""

from __future__ import annotations

import base64
import json
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers.normalizers import Precompiled

from textkit.bundle.places import package_folder
from textkit.errors import TextkitError
from textkit.interop.sentencepiece_model import read_model
from textkit.text.tokenizer_file import read_checked

BPE = {"type": "BPE", "unk_token": None, "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}


A = {"Sequence": {"id": "A", "type_id": 0}}
UNIGRAM = {"type": "Unigram", "unk_id": 0}


WORDLEVEL = {"type": "WordLevel", "unk_token": "a"}


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


def template(single: list[Any], pair: list[Any] | None = None, **tokens: Any) -> dict[str, Any]:
    return {"type": "TemplateProcessing", "single": single, "pair": pair or [A], "special_tokens": tokens}


def splits(*patterns: str) -> dict[str, Any]:
    nodes = [
        {"type": "Split", "pattern": {"Regex": text}, "behavior": "Isolated", "invert": False} for text in patterns
    ]
    return {"type": "Sequence", "pretokenizers": nodes}


def nested(depth: int) -> dict[str, Any]:
    node: dict[str, Any] = {"type": "Lowercase"}
    for _ in range(depth):
        node = normalizers(node)
    return node


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": ""}}, "table of characters is damaged: its size"),
        ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "/////wAAAAA="}}, "is damaged: its size does not fit"),
        ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "é"}}, "table of characters is damaged: "),
        ({"normalizer": normalizers(nested(3), {"type": "Precompiled"})}, "table of characters is None, not text"),
        ({"normalizer": {"precompiled_charsmap": "/////wAAAAA="}}, "of the type None"),
        ({"normalizer": "Precompiled"}, "of the type 'Precompiled'"),
        ({"pre_tokenizer": {"type": "Precompiled"}}, "pre_tokenizer of the type 'Precompiled'"),
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
        ({"post_processor": template([{}] * 10_000)}, "whose single is"),
        ({"post_processor": template([{"SpecialToken": {"id": "Y", "type_id": 0}}])}, "whose single has {'SpecialToken'"),
        ({"post_processor": template([{"Sequence": {"id": "B", "type_id": 0}}])}, "whose single has {'Sequence'"),
        ({"post_processor": template([A | {"SpecialToken": {"id": "X", "type_id": 0}}])}, "whose single has {"),
        ({"normalizer": normalizers(replacement("(?=b)", "x", "Regex"))}, "puts 'x' between characters"),
        ({"normalizer": replacement("", "x")}, "puts 'x' between characters"),
        ({"post_processor": template(["A"])}, "whose single has 'A'"),
        ({"post_processor": template([{"Sequence": {"id": ["A"]}}])}, "whose single has {'Sequence'"),
        ({"post_processor": template([A], pair=[{"SpecialToken": {"id": "Y", "type_id": 0}}])}, "whose pair has {"),
        ({"post_processor": template([A], X={"id": "X", "ids": [], "tokens": []})}, "with the special token {"),
        ({"post_processor": template([A], X={"id": "X", "ids": [0], "tokens": ["a", "b"]})}, "with the special token {"),
        ({"post_processor": template([A], X={"id": "X", "ids": [1 << 40], "tokens": ["a"]})}, "post_processor's id is"),
        ({"pre_tokenizer": splits("[a-z. ]?" * 4 + "[a-z. ]+1", "[a-z. ]?" * 4 + "[a-z. ]+2")}, "together have too many ways"),
        ({"model": UNIGRAM | {"vocab": [["ab" * 300_000, -1.0]]}}, "has a piece of more than 256 characters"),
        ({"model": {"vocab": [["ab" * 300_000, -1.0]]}}, "has a piece of more than 256 characters"),
        ({"model": UNIGRAM | {"vocab": [[f"{at:0250}", 0.0] for at in range(17_000)]}}, "pieces of 4250"),
        ({"model": UNIGRAM | {"vocab": [[f"{at:0250}"[::-1], 0.0] for at in range(16_000)]}}, "whose beginnings are more"),
        ({"model": UNIGRAM | {"vocab": {"a": 0}}}, "a Unigram whose vocabulary is no list"),
        ({"model": {"merges": [], "vocab": {"a": 0}, "continuing_subword_prefix": "é"}}, "byte pairs that continue"),
        ({"model": {"unk_token": "a"}}, "model of the type None"),
        ({"model": {"type": "WordPiece", "max_input_chars_per_word": 1 << 20}}, "not a whole number from 0 to 1000"),
        ({"added_tokens": [{"id": at, "content": "a" * 256} for at in range(4100)]}, "has added_tokens of 1049600 bytes"),
        ({"model": BPE | {"continuing_subword_prefix": "é"}}, "byte pairs that continue with 'é'"),
        ({"model": BPE | {"end_of_word_suffix": "a" * 100_000}}, "model's end_of_word_suffix is"),
        ({"model": BPE | {"unk_token": "a" * 100_000}}, "model's unk_token is"),
        ({"model": BPE | {"dropout": 0.5}}, "drops merges at random"),
        ({"model": BPE | {"type": "Magic"}}, "model of the type 'Magic'"),
        ({"model": None}, "not a tokenizer: no model"),
        ({"added_tokens": [{"id": 3, "content": "a" * 1000}]}, "added token is"),
        ({"added_tokens": [{"id": 3, "content": ""}]}, "added token without text"),
        ({"added_tokens": {"id": 3}}, "added_tokens is no list"),
    ],
)  # fmt: skip
def test_what_a_file_must_not_hold(parts, said):
    assert said in refusal(file(**parts))


def compact(model: dict[str, Any]) -> bytes:
    return json.dumps({"model": model}, separators=(",", ":"), ensure_ascii=False).encode()


def words(count: int) -> dict[str, int]:
    return {f"▁{at}": at for at in range(count)}


SLOW = pytest.mark.slow
MANY = "pieces and merges; at most 1048576 are read"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (lambda: b"", "not a tokenizer: "),
        (lambda: b"[]", "not a tokenizer: not a JSON object"),
        (lambda: b"{" * 100_000, "not a tokenizer: "),
        (lambda: b'{"model":' * 100_000, "not a tokenizer: "),
        (lambda: b"\xff\xfe", "not a tokenizer: "),
        (lambda: b'{"model": NaN}', "NaN is no JSON"),
        (lambda: b"[" * (1 << 22), "too many values"),
        (lambda: b"1," * (1 << 24), "too many values"),
        (lambda: b" " * ((40 << 20) + 1), "41943041 bytes; at most 41943040 are read"),
        pytest.param(lambda: compact({"type": "WordLevel", "vocab": words(1_100_000)}), MANY, marks=SLOW),
        pytest.param(
            lambda: compact({"type": "BPE", "vocab": words(600_000), "merges": [["a", "b"]] * 500_000}), MANY, marks=SLOW
        ),
        pytest.param(lambda: compact({"type": "BPE", "vocab": words(600_000), "merges": ["a b"] * 500_000}), MANY, marks=SLOW),
        pytest.param(lambda: compact({"vocab": words(600_000), "merges": ["a b"] * 500_000}), MANY, marks=SLOW),
        (lambda: compact(UNIGRAM | {"vocab": [["a", 0.0]] * 1_050_000}), MANY),
        (
            lambda: compact(UNIGRAM | {"vocab": [["\\" * 255 + '"' + "a" * 600_000, -1.0]]}),
            "a piece of more than 256 characters",
        ),
        (lambda: compact(UNIGRAM | {"vocab": [['"' * 300, -1.0]]}), "a piece of more than 256 characters"),
        (lambda: compact(UNIGRAM | {"vocab": [[[["a"]]]]}), "lists within lists"),
    ],
    ids=[
        "empty", "list", "cut", "deep", "no text", "NaN", "lists", "numbers", "large", "words", "pairs", "old pairs",
        "no type", "pieces", "escaped piece", "quotes", "nested",
    ],
)  # fmt: skip
def test_what_is_no_file_at_all(data, said):
    """The large ones are made here: made as the module is imported, both workers would hold them to their end."""
    assert said in refusal(data())


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
    """The library reads every name that it meets, and the last one counts; a broken table before it can end the process."""
    with pytest.raises(TextkitError):
        read_checked("tokenizer.json", lambda name: text.replace("HERE", model).encode())


@pytest.mark.parametrize("path", sorted(package_folder().glob("*/*tokenizer.json")), ids=lambda path: path.parent.name)
def test_shipped_ones_are_taken_without_reading_their_words(path: Path, monkeypatch):
    from textkit.text import tokenizer_file

    sizes = []
    real = tokenizer_file._loaded
    monkeypatch.setattr(tokenizer_file, "_loaded", lambda data: sizes.append(len(data)) or real(data))
    assert taken(path.read_bytes())
    assert sizes
    assert max(sizes) < 2000  # bytes


@pytest.mark.parametrize(
    "model",
    [
        {"dropout": None, "unk_token": None, "continuing_subword_prefix": "", "vocab": BPE["vocab"], "merges": ["a b"]},
        {"unk_token": "a", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": {"a": 0}},
        {"unk_id": 0, "vocab": [["a", 0.0], ["b", -1.0]]},
        {"unk_token": "a", "vocab": {"a": 0, "b": 1}},
    ],
    ids=["gpt2", "bert", "t5", "words"],
)
def test_files_of_the_library_before_0_9_are_read(model):
    """The models in them have no type."""
    from textkit.text.subwords import read_tokenizer

    assert taken(file(model=model))
    assert read_tokenizer(file(model=model), "tokenizer.json").encode("a").ids == [0]


def table_of(tmp_path: Path, *rules: str) -> bytes:
    """SentencePiece's table of characters for rules such as "61 62\t63": ab becomes c."""
    import io

    sentencepiece = pytest.importorskip("sentencepiece", reason="it makes the tables: pip install '.[test]'")
    (tmp_path / "rules.tsv").write_text("".join(f"{rule}\n" for rule in rules))
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c"] * 9), model_writer=model, vocab_size=9, hard_vocab_limit=False, minloglevel=2,
        normalization_rule_tsv=str(tmp_path / "rules.tsv"),
    )  # fmt: skip
    return read_model(model.getvalue(), "model").charsmap


def precompiled(table: bytes) -> bytes:
    node = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(table).decode()}
    return file(normalizer=node)


def test_tables_of_characters_are_taken_if_the_library_can_follow_them(tmp_path):
    table = table_of(tmp_path, "61 301\t63", "E9\t65", "FB01\t66 69")
    assert taken(precompiled(table))
    assert Precompiled(table).normalize_str("a\u0301éﬁ") == "cefi"
    assert "makes more than 64 characters of one" in refusal(precompiled(table_of(tmp_path, "61\t" + "62 " * 65)))
    units = np.frombuffer(table, "<u4", struct.unpack_from("<I", table)[0] // 4, 4)
    texts = ["a\u0301b", "éa", "ﬁ", "ааб", "".join(map(chr, range(1, 300))), "日本\U0001f600"]
    random, safe = np.random.default_rng(0), 0
    for _ in range(400):
        broken = bytearray(table)
        if random.random() < 0.5:  # a used place
            at = 4 + 4 * int(random.choice(np.flatnonzero(units))) + int(random.integers(4))
            broken[at] = random.integers(256)
        else:  # the values, or their end
            broken[-int(random.integers(1, 20))] = random.integers(256)
        try:
            read_checked("tokenizer.json", lambda name, data=bytes(broken): precompiled(data))
        except TextkitError:
            continue
        safe += 1
        for text in texts:
            Precompiled(bytes(broken)).normalize_str(text)  # would panic, which is no Exception
    assert 20 < safe < 380


@pytest.mark.slow
def test_large_vocabularies_of_usual_models_are_taken():
    """250,000 pieces, as in XLM-R, and 256,000 words with 580,000 merges, as in Gemma."""
    pieces = [[f"▁{at % 999}x{at}", -float(at)] for at in range(250_000)]
    assert taken(compact(UNIGRAM | {"vocab": pieces}))
    assert taken(compact(BPE | {"vocab": words(256_000), "merges": [["▁1", "2"]] * 580_000}))
    assert taken(compact(BPE | {"vocab": words(256_000), "merges": ["▁1 2"] * 580_000}))
