"""Lines that are too long: cut or split by hand, with what a rule puts around each line."""

from __future__ import annotations

import numpy as np
import pytest

from textkit.corpora.batching import padded
from textkit.serving.padding import cut, left, shared_parts
from textkit.text.rule import Encoded
from textkit.text.tokenizer import Pretokenized

# Three lines, each with 90 before it and 98, 99 behind it.
IDS = np.array([90, 1, 2, 3, 4, 5, 98, 99, 90, 6, 98, 99, 90, 98, 99])
LENGTHS = np.array([8, 4, 3])
AROUND = (1, 2)


def test_a_cut_line_keeps_its_end():
    found = cut(Encoded(IDS, LENGTHS), 5, AROUND)
    assert found.ids.tolist() == [90, 1, 2, 98, 99, 90, 6, 98, 99, 90, 98, 99]
    assert found.lengths.tolist() == [5, 4, 3]
    weight = np.arange(15, dtype=np.float32)
    assert cut(Encoded(IDS, LENGTHS, weight), 5, AROUND).weight.tolist() == [0, 1, 2, 6, 7, *range(8, 15)]


def test_nothing_is_cut_where_everything_fits():
    encoded = Encoded(IDS, LENGTHS)
    assert cut(encoded, 8, AROUND) is encoded


@pytest.mark.parametrize(("limit", "wanted"), [(3, [90, 1, 2]), (2, [90, 1]), (1, [90])])
def test_a_limit_without_room_for_a_token_of_the_line(limit, wanted):
    assert cut(Encoded(IDS[:8], LENGTHS[:1]), limit, AROUND).ids.tolist() == wanted


def test_the_tokens_of_a_cut_line_have_new_places():
    words = [(f"w{at}", at, at + 1) for at in range(8)]
    assert [word for word, _, _ in left(words, 5, AROUND)] == ["w0", "w1", "w2", "w6", "w7"]
    assert [(first, last) for _, first, last in left(words, 5, AROUND)] == [(at, at + 1) for at in range(5)]
    assert left(words, 9, AROUND) == words
    assert left([("a", 0, 3), ("b", 3, 6)], 5, (0, 0)) == [
        ("a", 0, 3)
    ]  # words of several ids, and nothing around a line


def test_each_part_of_a_split_line_has_what_a_line_has_around_it():
    encoded, starts, lengths, shares = shared_parts(Encoded(IDS, LENGTHS), 0, 8, 5, AROUND)
    parts = [encoded.ids[start : start + length].tolist() for start, length in zip(starts, lengths, strict=True)]
    assert parts == [[90, 1, 2, 98, 99], [90, 3, 4, 98, 99], [90, 5, 98, 99]]
    assert shares.tolist() == [2, 2, 1]


def test_parts_of_words_keep_their_weights():
    weight = np.array([1, 0.5, 0.5, 1], np.float32)
    given = Encoded(np.array([7, 8, 9, 4]), np.array([4]), weight, np.array([1, 2, 1]))
    encoded, starts, lengths, shares = shared_parts(given, 0, 4, 2, (0, 0))
    assert encoded is given
    assert (starts.tolist(), lengths.tolist(), shares.tolist()) == ([0, 1, 3], [1, 2, 1], [1, 1, 1])


def tokenizer(single: str) -> Pretokenized:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    made = Tokenizer(models.WordLevel({"<s>": 0, "</s>": 1, "a": 2, "b": 3, "<unk>": 4}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if single:
        made.post_processor = processors.TemplateProcessing(single=single, special_tokens=[("<s>", 0), ("</s>", 1)])
    return Pretokenized(made.to_str().encode())


@pytest.mark.parametrize(
    ("single", "around"),
    [
        ("", (0, 0)),
        ("<s> $A", (1, 0)),
        ("$A </s>", (0, 1)),
        ("<s> $A </s>", (1, 1)),
        ("<s> <s> $A </s> </s> <s>", (2, 3)),
    ],
)
def test_a_tokenizer_knows_what_it_puts_around_a_line(single, around):
    assert tokenizer(single).around == around


def test_a_line_is_cut_alike_for_training():
    rule = tokenizer("<s> $A </s>")
    ids, weight = padded(rule, ["a b a b a", "b"], 4)
    assert ids.tolist() == [[0, 2, 3, 1], [0, 3, 1, 0]]
    assert weight.tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
