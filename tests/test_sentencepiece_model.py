"""SentencePiece models are read as SentencePiece reads them: the same pieces for hostile text, and one line for damage."""

from __future__ import annotations

import json
import random
import struct

import pytest

from textkit.errors import TextkitError
from textkit.interop.sentencepiece_model import CONTROL, NORMAL, UNKNOWN, USER_DEFINED, read_model
from textkit.text.charmap import CharMap
from textkit.text.rules import rule_from_spec
from textkit.text.sentencepiece import PieceSide, SentencePieceText

ENGLISH = (
    "I am going home.", "A man rides a bike.", "Two dogs play in the snow.", "Where is the station?", "foo or bar?",
    "She reads a book about the sea.", "The children are singing a song; all of it.", "He has never been to Berlin!",
)  # fmt: skip
HOSTILE = (
    "", " ", "   a   b  ", "▁▁", "a▁ ", " ▁a", "\t\r x\x00\x01y", "\ufeffa\u200bb\u2028c\u3000d\u00a0",
    "😀 Zoë 👩\u200d👩\u200d👧 𝕏𝔸", "ﬁ①½²™", "Tie\u0302\u0301ng Vie\u0323\u0302t", "ê\u0323", "\u01c6\u0321x", "각ᅡᆨ",
    "ﾊﾟﾊﾞｶﾞ", "................", "aaaaaaaaaaaaaaaaaaaaaaa", "日本語の長い文", "<s></s><unk><0x41>", "foo foobar", "<x>",
    "x" * 300, "ßßü 🙂🙃", "é", "e\u0301",
)  # fmt: skip
KINDS = {
    "unigram": {"model_type": "unigram"},
    "bpe": {"model_type": "bpe"},
    "bytes": {"model_type": "unigram", "byte_fallback": True},
    "bpe-bytes": {"model_type": "bpe", "byte_fallback": True},
    "identity": {"normalization_rule_name": "identity"},
    "folded": {"normalization_rule_name": "nmt_nfkc_cf"},
    "spaces": {"normalization_rule_name": "identity", "remove_extra_whitespaces": False},
    "bare": {"normalization_rule_name": "identity", "add_dummy_prefix": False},
    "phrases": {"normalization_rule_name": "identity", "split_by_whitespace": False},
    "own": {"normalization_rule_name": "identity", "user_defined_symbols": ["<x>", "foo"]},
}


def random_text(generator: random.Random) -> str:
    pools = (
        "abcdefghij ,.-!?", "äöüßéèçñ«»„“", "  \t\u00a0\u3000\u200b\u2028\r\x01\x7f", "日本語ｶﾞﾊﾟ한글\u1100\u1161\u11a8",
        "e\u0301a\u0308\u0323\u0302ệ\u01c6", "🙂👩\u200d\ufe0f\U0001d54f①ﬁ²", "▁<>/s", "....", " the and he is ",
    )  # fmt: skip
    return "".join(generator.choice(generator.choice(pools)) for _ in range(generator.randrange(40)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """kind -> path of a SentencePiece model."""
    pytest.importorskip(
        "sentencepiece", reason="sentencepiece makes the models that are read here: pip install '.[test]'"
    )
    from marian_checkpoint import train_spm

    folder = tmp_path_factory.mktemp("spm")

    def path(kind: str):
        file = folder / f"{kind}.model"
        if not file.exists():
            train_spm(ENGLISH, file, 360 if "bytes" in kind else 80, **KINDS[kind])
        return file

    return path


def rule_of(model, vocabulary=None) -> SentencePieceText:
    segmenter = model.segmenter("m")
    vocabulary = vocabulary or {piece: at for at, piece in enumerate(model.pieces)}
    size = max(vocabulary.values()) + 1
    return SentencePieceText(
        segmenter, segmenter, vocabulary, start=1, eos=2, pad=1, unk=0, source_eos=2, source_pad=1, source_unk=0,
        source_size=size, target_size=size, specials=("<never>",), silent=("<s>", "</s>"),
    )  # fmt: skip


QUICK = ("unigram", "bpe-bytes", "identity", "own")


@pytest.mark.parametrize(
    "kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
def test_same_ids_and_text_as_sentencepiece(trained, kind):
    import sentencepiece

    path = trained(kind)
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(path))
    model = read_model(path.read_bytes(), "m")
    assert model.pieces == [theirs.id_to_piece(at) for at in range(len(theirs))]
    assert model.scores == [theirs.get_score(at) for at in range(len(theirs))]
    ours = rule_of(model)
    again = rule_from_spec(json.loads(json.dumps(ours.spec())), ours.files().__getitem__)
    generator = random.Random(0)
    lines = [*ENGLISH, *HOSTILE, *(random_text(generator) for _ in range(300))]
    for line in lines:
        wanted = theirs.encode(line)
        assert ours.encode([line]).ids.tolist() == [*wanted, 2], ascii(line)
        assert ours.source_tokens(line) == [*theirs.encode(line, out_type=str), "</s>"], ascii(line)
        if 0 not in wanted:  # each reader chooses what unknown text reads as
            assert ours.decode([wanted]) == [theirs.decode(wanted).strip()], ascii(line)
    whole = ours.encode(lines)
    assert whole.ids.tolist() == [at for line in lines for at in [*theirs.encode(line), 2]]
    assert whole.lengths.tolist() == [len(theirs.encode(line)) + 1 for line in lines]
    assert again.encode(lines).ids.tolist() == whole.ids.tolist()


def test_the_library_s_own_normaliser_would_lose_an_accent(trained):
    """The reason for charmap.py: the library loses the second accent of a decomposed letter, and SentencePiece keeps it."""
    import sentencepiece
    from tokenizers.normalizers import Precompiled

    path = trained("unigram")
    model = read_model(path.read_bytes(), "m")
    theirs = sentencepiece.SentencePieceNormalizer(
        model_file=str(path), add_dummy_prefix=False, escape_whitespaces=False, remove_extra_whitespaces=False
    )
    line = "Vie\u0323\u0302t"
    assert CharMap.of(model.charsmap)(line) == theirs.normalize(line) == "Việt"
    assert Precompiled(model.charsmap).normalize_str(line) == "Viẹt"


@pytest.mark.slow
def test_every_character_is_replaced_as_sentencepiece_does(trained):
    import sentencepiece

    path = trained("folded")
    theirs = sentencepiece.SentencePieceNormalizer(
        model_file=str(path), add_dummy_prefix=False, escape_whitespaces=False, remove_extra_whitespaces=False
    )
    ours = CharMap.of(read_model(path.read_bytes(), "m").charsmap)
    codes = [code for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000]
    lines = ["x" + "x".join(map(chr, codes[at : at + 500])) for at in range(0, len(codes), 500)]
    assert all(ours(line) == theirs.normalize(line) for line in lines)


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number: int, value: bytes | int | float) -> bytes:
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3) + varint(value)


def piece(text: str, score: float = -1.0, kind: int = NORMAL) -> bytes:
    return field(1, field(1, text.encode()) + field(2, score) + field(3, kind))


UNK = piece("<unk>", 0.0, UNKNOWN)


def test_a_model_by_hand():
    model = read_model(UNK + piece("<s>", 0.0, CONTROL) + piece("▁a", -1.5) + piece("b", -2.0), "m")
    assert model.pieces == ["<unk>", "<s>", "▁a", "b"]
    assert model.scores == [0.0, 0.0, -1.5, -2.0]
    assert model.types == [UNKNOWN, CONTROL, NORMAL, NORMAL]
    assert (model.model_type, model.charsmap, model.add_dummy_prefix) == ("unigram", b"", True)
    # "<s>" is a control piece: as text it is a stretch of three characters that have no piece.
    assert rule_of(model).source_tokens("ab<s> b") == ["▁a", "b", "<s>▁", "b", "▁a"]  # the last is eos, id 2
    assert rule_of(model).encode(["ab<s> b"]).ids.tolist() == [2, 3, 0, 3, 2]


def test_unknown_text_is_looked_up_in_the_model_s_own_vocabulary():
    model = read_model(UNK + piece("▁a", -1.0) + piece("b", -1.0), "m")
    rule = rule_of(model, {"<unk>": 0, "<pad>": 1, "</s>": 2, "b": 3, "▁a": 4, "ß": 5})
    assert rule.encode(["abßb", "aßß", "c"]).ids.tolist() == [4, 3, 5, 3, 2, 4, 0, 2, 0, 2]


def test_special_tokens_and_a_language_s_code_are_taken_out_first():
    model = read_model(UNK + piece("▁a", -1.0) + piece("▁", -2.0) + piece("b", -3.0), "m")
    vocabulary = {"<unk>": 0, "<pad>": 1, "</s>": 2, "▁a": 3, "▁": 4, "b": 5, ">>de<<": 6}
    side = PieceSide(model.segmenter("m"), vocabulary, 0, ("</s>", "<pad>"), ())
    ids, lengths = side.encode([">>de<< a", ">>xx<<a", "a>>de<<", "a</s>b", ">> a", "<pad>>>de<<a", ">><<"])
    assert np_split(ids, lengths) == [[6, 3], [0, 3], [3, 6], [3, 2, 4, 5], [4, 0, 3], [1, 6, 3], [0]]


def np_split(ids, lengths) -> list[list[int]]:
    flat, found = ids.tolist(), []
    for length in lengths.tolist():
        found.append(flat[:length])
        flat = flat[length:]
    return found


# A trie in which the node for "a" is its own child: root -> place 0x161, whose children lie at 0x161 ^ 0x61 = 0x100.
CIRCLE = struct.pack("<I", 4 * 512) + struct.pack(
    "<512I", *({0: 0x100 << 10, 0x161: 0x61 << 10 | 0x61}.get(at, 0) for at in range(512))
)
DAMAGED = {
    "empty": (b"", "it has no pieces"),
    "text": (b"word 0.1 0.2\n", "not a sound SentencePiece model"),
    "cut off": ((UNK + piece("abc"))[:-2], "cut off"),
    "no unknown": (piece("a"), "0 pieces stand for unknown text"),
    "twice": (UNK + piece("a") + piece("a"), "a piece occurs twice"),
    "nameless": (UNK + field(1, field(2, -1.0)), "a piece of 0 bytes"),
    "endless": (UNK + piece("a" * 5000), "a piece of 5000 bytes"),
    "nan": (UNK + piece("a", float("nan")), "a score is NaN"),
    "a type": (UNK + piece("a", kind=9), "unknown type 9"),
    "not UTF-8": (UNK + field(1, field(1, b"\xff\xfe")), "not UTF-8"),
    "wrong wire": (UNK + field(1, 7), "damaged: not a protobuf of a model"),
    "group": (UNK + b"\x0b", "damaged: not a protobuf of a model"),
    "long number": (UNK + b"\x08" + b"\xff" * 12, "a number is too long"),
    "a kind": (UNK + piece("a") + field(2, field(3, 77)), "model type 77"),
    "word": (UNK + piece("a") + field(2, field(3, 3)), "of type 'word'"),
    "suffix": (UNK + piece("a") + field(2, field(24, 1)), "marks spaces otherwise"),
    "unescaped": (UNK + piece("a") + field(3, field(5, 0)), "marks spaces otherwise"),
    "no text": (UNK, "no piece that text could become"),
    "own in bpe": (UNK + piece("a") + piece("b", kind=USER_DEFINED) + field(2, field(3, 2)), "a user's own"),
    "short map": (UNK + piece("a") + field(3, field(2, b"\1")), "table of characters"),
    "map's size": (UNK + piece("a") + field(3, field(2, struct.pack("<I", 400) + b"x" * 20)), "table of characters"),
    "map in circles": (UNK + piece("a") + field(3, field(2, CIRCLE)), "goes in circles"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGED)
def test_damage_is_one_line(kind):
    data, said = DAMAGED[kind]
    with pytest.raises(TextkitError) as caught:
        read_model(data, "dir/source.spm").segmenter("dir/source.spm")
    message = str(caught.value)
    assert message.startswith("dir/source.spm: ")
    assert said in message
    assert "\n" not in message


def test_any_damaged_byte_is_read_or_refused(trained):
    data = bytearray(trained("identity").read_bytes())
    generator = random.Random(0)
    said = []
    for _ in range(400):
        at = generator.randrange(len(data))
        was, data[at] = data[at], generator.randrange(256)
        try:
            read_model(bytes(data), "m").segmenter("m")
        except TextkitError as error:
            said.append(str(error))
        data[at] = was
    assert 0 < len(said) < 400  # any byte is fine in a score, but not in a length or a tag
    assert all(line.startswith("m: ") and "\n" not in line for line in said)


HALF = {"table": "", "single": {}, "first": "", "following": ""}


@pytest.mark.parametrize(
    "entries",
    [[], {}, HALF | {"single": {"ab": "c"}}, HALF | {"single": {"a": 1}}, HALF | {"first": "a", "following": "b"},
     HALF | {"table": "!", "first": "a", "following": "b"}, HALF | {"table": "AAAA", "first": "a", "following": "b"}],
)  # fmt: skip
def test_a_damaged_table_of_characters_is_refused(entries):
    with pytest.raises(ValueError):  # noqa: PT011 - what its reader turns into a line
        CharMap.from_json(json.dumps(entries).encode())


def test_a_table_that_points_outside_of_itself_is_an_error_of_the_model():
    """The damage is in the values of a bundle file's long keys, which are read only when a line needs one."""
    first, second = (
        0x100 ^ 0xCC,
        0x200 ^ 0x81,
    )  # of the bytes of U+0301; a place's children lie at the place's own number XOR its offset
    trie = {
        0: 0x100 << 10, first: (first ^ 0x200) << 10 | 0xCC, second: (second ^ 0x300) << 10 | 0x181,
        0x300: 1 << 31 | 999,
    }  # fmt: skip
    table = struct.pack("<I", 4 * 1024) + struct.pack("<1024I", *(trie.get(at, 0) for at in range(1024))) + b"x\0"
    charmap = CharMap({}, "e", "\u0301", table)
    assert charmap("e") == "e"
    with pytest.raises(TextkitError, match="points outside of itself"):
        charmap("e\u0301")


def test_a_manifest_s_description_is_checked():
    rule = rule_of(read_model(UNK + piece("▁a") + piece("</s>x") + piece("b"), "m"))
    files, spec = rule.files(), rule.spec()
    assert set(files) == {"tokenizer.json", "characters.json", "vocabulary.json"}  # both sides have the same
    target = spec["target"]
    for change, reason in (
        ({"eos": 99}, "beyond the 4 and 4 rows"), ({"eos": -1}, "eos is -1"), ({"eos": True}, "eos is True"),
        ({"specials": []}, "no specials"), ({"specials": [1]}, r"specials is \[1\]"), ({"silent": None}, "silent is None"),
        ({"target_size": 1}, "beyond the 4 and 1"), ({"source": {}}, "prefix"),
        ({"target": target | {"prefix": 1}}, "target is {"),
        ({"target": target | {"tokenizer": "characters.json"}}, "characters.json: not a tokenizer"),
    ):  # fmt: skip
        with pytest.raises(TextkitError, match=reason):
            rule_from_spec(spec | change, files.__getitem__).encode_target(["a"])
    for damaged, reason in ((b'{"a": "b"}', "not a table"), (b"[" * 200_000, "nested too deep"), (b"\xff", "utf-8")):
        for name in ("vocabulary.json", "characters.json"):
            with pytest.raises(TextkitError, match=f"is not described rightly: .*{reason}"):
                rule_from_spec(spec, (files | {name: damaged}).__getitem__)
