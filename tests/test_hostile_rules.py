"""Strangers' tokenizers once they are loaded: what the library says, pads or fails at becomes one line of textkit's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_embedder import TABLE
from small_language import WORDS, write_language
from small_translator import SOURCE, tokenizer, write_translator
from test_hostile_tokenizers import BPE, WORDLEVEL, A, file, normalizers, template

from textkit.bundle import bundle
from textkit.errors import TextkitError
from textkit.tasks.embed.exporting.export import export_embedding_table
from textkit.text.charmap import CharMap
from textkit.text.rules import rule_from_spec
from textkit.text.sentencepiece import SentencePieceText


def broken(folder: Path, name: str) -> Path:
    """The model with a bad tokenizer.json whose size and hash are right."""
    import hashlib

    from textkit.bundle.manifest import FILE

    data = file(normalizer={"type": "Precompiled", "precompiled_charsmap": "/////wAAAAA="})
    (folder / name).write_bytes(data)
    manifest = json.loads((folder / FILE).read_bytes())
    manifest["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (folder / FILE).write_text(json.dumps(manifest))
    return folder


def test_every_kind_of_model_is_looked_at(tmp_path, capfd):
    """The tokenizer of each rule is checked, and the byte pairs of words; the library itself prints nothing."""
    from textkit.text.normalizer import Normalizer
    from textkit.text.subwords import Pieces
    from textkit.text.tokenizer import Pretokenized
    from textkit.text.words import Words

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
        with pytest.raises(TextkitError, match="table of characters is damaged"):
            bundle.read(broken(folder, name)).verify()
    assert capfd.readouterr() == ("", "")


EMPTY = normalizers({"type": "NFD"}, *[{"type": "Prepend", "prepend": ""}, {"type": "StripAccents"}] * 2)
PADDING = {
    "strategy": {"Fixed": 10**9}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
    "pad_token": "a",
}  # fmt: skip
CUT = {"max_length": 1, "stride": 1, "strategy": "LongestFirst", "direction": "Right"}


def pieced(content: bytes) -> SentencePieceText:
    """MarianMT's rule with the given tokenizer."""
    side = {
        "tokenizer": "tokenizer.json", "characters": "characters.json", "vocabulary": "vocabulary.json", "prefix": False,
        "squeeze": True, "spelled": False,
    }  # fmt: skip
    numbers = dict.fromkeys(("start", "pad", "unk", "source_pad", "source_unk"), 0) | dict.fromkeys(
        ("eos", "source_eos"), 1
    )
    spec = {"kind": "sentencepiece", "source": side, "target": side, "specials": ["</s>"], "silent": []}
    files = {
        "tokenizer.json": content, "characters.json": CharMap({}, "", "", b"").to_json(),
        "vocabulary.json": b'{"<pad>":0,"</s>":1,"a":2}',
    }  # fmt: skip
    return rule_from_spec(spec | numbers | {"source_size": 3, "target_size": 3}, files.__getitem__)


@pytest.mark.parametrize(
    "parts",
    [
        {"padding": PADDING}, {"truncation": CUT}, {"model": WORDLEVEL | {"vocab": {" ": 0, "a": 7, "▁": 8}}},
        {"model": WORDLEVEL | {"unk_token": " ", "vocab": {" ": 0, "a": 1}}},
    ],
    ids=["padding", "truncation", "gaps", "plain"],
)  # fmt: skip
def test_pieces_of_a_strangers_tokenizer_are_looked_up(parts):
    assert pieced(file(**parts)).encode(["a"]).ids.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"model": WORDLEVEL | {"vocab": {"a": 4294967295}}}, "has the id 4294967295"),
        ({"model": {"type": "Unigram", "unk_id": 9, "vocab": [["a", 0.0]]}}, "not a tokenizer: "),
        ({"normalizer": EMPTY}, "not a tokenizer: "),
    ],
)
def test_a_tokenizer_that_is_made_late_is_made_to_verify(tmp_path, monkeypatch, capfd, parts, said):
    """Some rules create a tokenizer only when it is needed. Without this `models` would show such a model as sound."""
    found = bundle.read(write_language(tmp_path / "m"))
    monkeypatch.setattr("textkit.text.rules.rule_from_spec", lambda spec, read: pieced(file(**parts)))
    with pytest.raises(TextkitError, match=f"^{tmp_path / 'm'}: tokenizer.json: {said}"):
        found.verify()
    assert capfd.readouterr() == ("", "")


def test_an_empty_vocabulary_of_pieces_is_one_line():
    rule = pieced(file(model=WORDLEVEL | {"vocab": {}}))
    rule.make_ready()
    with pytest.raises(TextkitError, match="^the model's tokenizer failed: "):
        rule.encode(["a"])


@pytest.mark.parametrize(
    "post",
    [
        template([{"SpecialToken": {"id": "X", "type_id": 0}}, A], X={"id": "X", "ids": [3], "tokens": ["a"]}),
        {"type": "BertProcessing", "sep": ["a", 9], "cls": ["b", 1]},
        {"type": "RobertaProcessing", "sep": ["a", 0], "cls": ["b", 9], "trim_offsets": True, "add_prefix_space": True},
    ],
)
def test_ids_around_a_line_are_those_of_the_tokenizer(post):
    """Other ids would be rows that no table has."""
    from textkit.text.tokenizer import Pretokenized

    with pytest.raises(TextkitError, match="around lines, and has only 3$"):
        Pretokenized(file(post_processor=post))


@pytest.mark.parametrize(
    "parts",
    [
        {"post_processor": template([{"SpecialToken": {"id": "Y", "type_id": 0}}, A])},
        {"post_processor": template([{"Sequence": {"id": "B", "type_id": 0}}])},
        {"normalizer": EMPTY},
    ],
)
def test_a_tokenizer_that_panics_over_any_line_is_not_read(parts, capfd):
    from textkit.text.subwords import read_tokenizer

    with pytest.raises(TextkitError, match=r"^tokenizer\.json: not a tokenizer: "):
        read_tokenizer(file(**parts), "tokenizer.json").encode("a")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "parts",
    [
        {"merges": [["a", "x" * 100_000]]},
        {"merges": [["a", "\x1b[31m\u202e" * 20]]},
        {"unk_token": "\x1b[31m", "byte_fallback": True},
    ],
)
def test_what_the_library_says_of_a_file_is_cut(parts):
    from textkit.text.tokenizer import Pretokenized

    with pytest.raises(TextkitError) as caught:
        Pretokenized(file(model=BPE | parts)).encode(["xyz"])
    assert len(str(caught.value)) < 130
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["x" * 100_000, "\x1b[31m", "comment"])
def test_a_normalizer_with_other_fields_is_refused_in_short(name):
    normalizer = {"lowercase": True, "unicode": "NFC", "punctuation": "split", name: 1}
    spec = {"kind": "words", "words": "words.txt", "subwords": None, "normalizer": normalizer}
    with pytest.raises(TextkitError, match="a normalizer has no '") as caught:
        rule_from_spec(spec, lambda name: b"the\n")
    assert len(str(caught.value)) < 160
    assert str(caught.value).isprintable()


def test_padding_in_a_file_of_pieces_is_ignored():
    """Padding would make any word a billion pieces long."""
    from textkit.text.words import Words

    files = {"words.txt": b"the\n", "pieces.json": file(padding=PADDING)}
    spec = {
        "kind": "words", "words": "words.txt", "subwords": {"kind": "pieces", "file": "pieces.json", "first": 1},
        "normalizer": {"lowercase": True, "unicode": "NFC", "punctuation": "split"},
    }  # fmt: skip
    rule = rule_from_spec(spec, files.__getitem__)
    assert isinstance(rule, Words)
    assert rule.encode(["ab"]).ids.tolist() == [3]


def test_a_panic_of_the_library_is_one_line():
    """Whatever makes the library panic: a PanicException is no Exception."""
    from textkit.text.subwords import guarded, read_tokenizer

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
