"""Translator: sentences, long lines, repeated lines, prefixes, alignments and unknown words, on a model of known words."""

from __future__ import annotations

import itertools
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_bundle import write_small
from small_translator import EOS, LIMIT, PAD, SPACE, TARGET, UNK, rule, table, write_translator

import textkit
from textkit.bundle import bundle
from textkit.errors import TextkitError, UsageError
from textkit.searching.history import Hypothesis
from textkit.searching.options import Search
from textkit.sentences.halving import halves
from textkit.sentences.splitting import Part, sentences
from textkit.serving import open_model
from textkit.tasks.translate.serving.translations import Translation
from textkit.tasks.translate.serving.translator import Translator
from textkit.tasks.translate.serving.unknown import shown, word_at
from textkit.text.rule import Encoded
from textkit.text.translation import TranslationText


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_translator(tmp_path_factory.mktemp("models") / "small")


def logprob(word: str, said: str) -> float:
    """The log-probability of `said` for `word` in the model's table, computed independently."""
    source = {"the": f"{SPACE}the", "dog": f"{SPACE}dog", ".": ".", "</s>": "</s>"}[word]
    from small_translator import SOURCE

    row = table()[SOURCE.index(source)].astype(np.float64)
    return float(row[TARGET.index(said)] - np.log(np.exp(row).sum()))


# --- sentences --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("I am tired. I go home.", ["I am tired.", "I go home."]),
        ("OK?  \"Yes!\" she said. 'No.' He left.", ["OK?", '"Yes!" she said.', "'No.'", "He left."]),
        ("Dr. Smith came. He sat.", ["Dr. Smith came.", "He sat."]),
        ("J. K. Rowling wrote it. It is I. You know.", ["J. K. Rowling wrote it.", "It is I.", "You know."]),
        ("The U.S. Army came, e.g. Rangers.", ["The U.S. Army came, e.g. Rangers."]),
        ("Am 3. Oktober ist frei, z.B. Montag. Gut.", ["Am 3. Oktober ist frei, z.B. Montag.", "Gut."]),
        ("It was in 1999. Then it ended.", ["It was in 1999.", "Then it ended."]),
        ("It costs 3.50 dollars. Hello.Good", ["It costs 3.50 dollars.", "Hello.Good"]),
        ("Wait... What? no. really", ["Wait...", "What? no. really"]),
        ("a man . a dog .", ["a man . a dog ."]),
        ("我爱你。你呢？好", ["我爱你。", "你呢？", "好"]),
        ("no mark\nnor here\r\n\nbut lines", ["no mark", "nor here", "but lines"]),
        ("  around  ", ["around"]),
        (" \t ", []),
    ],
)
def test_sentences(line: str, expected: list[str]) -> None:
    parts = sentences(line)
    assert [part.text for part in parts] == expected
    assert "".join(part.text + part.space for part in parts) == line.strip()


@pytest.mark.parametrize(
    ("text", "share", "expected"),
    [
        ("one two, three four five", 0.5, (Part("one two,", " "), Part("three four five"))),
        ("one two three four", 0.5, (Part("one two", " "), Part("three four"))),
        ("aaaa  bbbbbbbbbbbb", 0.5, (Part("aaaa", "  "), Part("bbbbbbbbbbbb"))),
        ("xxxxxxxx", 0.25, (Part("xx"), Part("xxxxxx"))),
        ("ab", 0.5, (Part("a"), Part("b"))),
        ("ae\u0301e\u0301e", 0.3, (Part("ae\u0301"), Part("e\u0301e"))),
    ],
)
def test_halves(text: str, share: float, expected: tuple[Part, Part]) -> None:
    assert halves(text, share) == expected


@pytest.mark.parametrize(
    "unit",
    [".", "a. ", " ", ". ", '."', "。", "\n ", ") ", "x", "Ab cd. ", "a,", "😀", "😀 ", ":) ", "! 😀 ", "؟", "α; "],
)
def test_a_hundred_thousand_characters_take_no_time(unit: str) -> None:
    line = "x" + unit * (100_000 // len(unit)) + "x"
    begun = time.perf_counter()
    parts = sentences(line)
    halves(line)
    assert time.perf_counter() - begun < 5  # a hundredth of a second; squared it would be minutes
    assert "".join(part.text + part.space for part in parts) == line


# --- lines ------------------------------------------------------------------------------------------------------------


def test_lines(model: Path) -> None:
    lines = ["The dog sees a cat.", "", "the dog", " \t ", "A man runs home!"]
    assert Translator(model)(lines) == ["der Hund sieht ein Katze.", "", "der Hund", "", "ein Mann läuft heim!"]
    assert Translator(model)([]) == []
    with pytest.raises(TypeError, match="one str"):
        Translator(model)("The dog.")


def test_sentences_are_joined_with_their_spaces(model: Path) -> None:
    line = "  The dog runs.\t The man sees!  A cat.\nThe dog "
    translator = Translator(model)
    assert translator([line]) == ["der Hund läuft.\t der Mann sieht!  ein Katze.\nder Hund"]
    assert translator.long_lines == 0
    # Read as one sentence: all white space becomes a space, by the tokenizer's rule.
    assert Translator(model, sentences=False)(["The dog. The cat."]) == ["der Hund. der Katze."]


def test_a_long_line_is_split_and_nothing_is_lost(model: Path) -> None:
    words = "the dog sees a cat, " * 30 + "a man"
    translator = Translator(model)
    assert translator([words, "the dog"]) == ["der Hund sieht ein Katze, " * 30 + "ein Mann", "der Hund"]
    assert translator.long_lines == 1
    assert translator.incomplete == 0


def test_a_long_line_without_a_space(model: Path) -> None:
    translator = Translator(model, allow_unk=True)
    line = "." * 100_000
    assert translator([line])[0].replace(" ", "").replace("<unk>", "") == line  # each part begins with a space
    assert translator.long_lines == 1


def test_a_line_of_accents_alone_is_halved_like_any_other() -> None:
    first, second = halves("\u0301" * 100_000)
    assert (len(first.text), len(second.text)) == (50_000, 50_000)  # not 1 off the end, 100,000 times over


def test_cut(model: Path) -> None:
    translator = Translator(model, long="cut")
    assert translator(["the dog " * 20, "the man"]) == [("der Hund " * 20)[: len("der Hund " * 5 + "der")], "der Mann"]
    assert translator.long_lines == 1
    reverse = write_translator(model.parent / "reverse-cut", reverse=True)
    # The beginning is kept here too; it comes out in reversed order, because this model reverses.
    assert Translator(reverse, long="cut")(["a cat " + "the dog " * 20])[0].endswith("Katze ein")


@pytest.mark.parametrize(
    ("beams", "vocabulary", "lines"),
    [(4, 8000, 2097), (4, 58_101, 288), (50, 8000, 104), (200, 8000, 6), (1024, 58_101, 1)],
)
def test_wide_beams_and_large_vocabularies_take_fewer_lines_at_once(beams: int, vocabulary: int, lines: int) -> None:
    assert Search(beam_size=beams).lines_at_once(vocabulary) == lines
    assert Search(n_best=beams, sample=True).lines_at_once(vocabulary) == lines


def test_wide_beams_are_given_batches_that_small(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    translator = Translator(model, beam_size=300)  # 2 lines at once
    sizes = []
    monkeypatch.setattr(
        translator, "_batch", lambda some, _: sizes.append(len(some)) or [[Translation("")]] * len(some)
    )
    translator(["the dog", "the man", "the cat", "a man", "a dog"])
    assert sorted(sizes) == [1, 2, 2]


@pytest.mark.parametrize(
    ("lines", "workers", "sizes"),
    [(40, 1, [40]), (40, 2, [20, 20]), (40, 4, [4, 12, 12, 12]), (12, 2, [12]), (13, 2, [1, 12])],
)
def test_each_worker_has_a_batch(
    model: Path, monkeypatch: pytest.MonkeyPatch, lines: int, workers: int, sizes: list[int]
) -> None:
    """Unless batches would have fewer than 64 tokens: a line here has five, its end included."""
    translator = Translator(model, workers=workers)
    given = []
    monkeypatch.setattr(
        translator, "_batch", lambda some, _: given.append(len(some)) or [[Translation("")]] * len(some)
    )
    words = ["the", "a", "dog", "cat", "man", "sees", "runs"]
    translator([f"{' '.join(several)} home" for several in itertools.islice(itertools.product(words, repeat=3), lines)])
    assert sorted(given) == sizes


def test_at_the_limit_of_length_it_is_told(model: Path) -> None:
    translator = Translator(model, max_length=3)
    assert translator(["the dog sees a cat", "the dog", ""]) == ["der Hund sieht", "der Hund", ""]
    assert translator.incomplete == 1
    translator = Translator(model, min_length=8, max_length=8, beam_size=1)
    assert len(translator.translate(["the dog"])[0][0].text.split()) == 8


def test_a_translation_that_is_cut_inside_a_character_ends_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    translator = textkit.load("en-de")
    begun = [translator.rule.target.tokenizer.token_to_id(piece) for piece in ("\u2581Katze", "<0xE4>", "<0xB8>")]
    whole = [*begun, translator.rule.target.tokenizer.token_to_id("<0x96>")]
    assert None not in whole
    for ids, wanted in ((begun, "Katze"), (begun[:2], "Katze"), (whole, "Katze\u4e16")):
        found = [[Hypothesis(ids, 0.0, 0.0, ended=False)]]
        monkeypatch.setattr("textkit.tasks.translate.serving.translator.search", lambda *_, found=found, **__: found)
        assert translator(["cat"]) == [wanted]


def test_a_repeated_line_is_translated_once(model: Path) -> None:
    translator = Translator(model)
    seen: list[int] = []
    step = translator.steps.encode
    translator.steps.encode = lambda source, mask: (seen.append(len(source)), step(source, mask))[1]  # type: ignore[method-assign]
    assert translator(["the dog. The cat.", "The cat.", "the dog."] * 5) == [
        "der Hund. der Katze.", "der Katze.", "der Hund.",
    ] * 5  # fmt: skip
    assert seen == [2]


@pytest.mark.parametrize(
    "options", [{}, {"beam_size": 1}, {"sample": True, "n_best": 2}, {"workers": 3}, {"batch_lines": 2}]
)
def test_batches_do_not_show(model: Path, options: dict[str, Any]) -> None:
    random = np.random.default_rng(0)
    words = np.array(["the", "a", "dog", "cat", "man", "sees", "runs", "home"])
    lines = [" ".join(random.choice(words, random.integers(1, 11))) for _ in range(60)]
    together = Translator(model, **options).translate(lines)
    one_by_one = Translator(model, batch_tokens=1, **options | {"workers": 1}).translate(lines)
    assert [[one.text for one in found] for found in together] == [[one.text for one in found] for found in one_by_one]
    np.testing.assert_allclose(
        [one.score for found in together for one in found],
        [one.score for found in one_by_one for one in found],
        rtol=1e-5,
    )


def test_samples_depend_on_the_line_alone(model: Path) -> None:
    translator = Translator(model, sample=True, seed=3, temperature=2.0)
    lines = ["the dog sees a cat, a man runs home."] * 6
    found = [one[0].text for one in translator.translate(lines)]
    assert len(set(found)) > 1  # not translated once for all
    assert [one[0].text for one in translator.translate(lines[4:], first=4)] == found[4:]
    assert [one[0].text for one in Translator(model, sample=True, seed=4, temperature=2.0).translate(lines)] != found


# --- more than text ---------------------------------------------------------------------------------------------------


def test_scores(model: Path) -> None:
    (found,) = Translator(model, n_best=2, word_scores=True, length_penalty=0.5).translate(["the dog."])
    each = [logprob("the", f"{SPACE}der"), logprob("dog", f"{SPACE}Hund"), logprob(".", "."), logprob("</s>", "</s>")]
    assert found[0].text == "der Hund."
    assert found[0].word_scores == pytest.approx(each, abs=1e-5)
    assert found[0].logprob == pytest.approx(sum(each), abs=1e-5)
    assert found[0].score == pytest.approx(sum(each) / 2, abs=1e-5)  # four tokens with the end
    assert found[1].logprob == pytest.approx(sum(each) - 1, abs=1e-5)  # the second best is one logit worse
    assert found[0].tokens == (f"{SPACE}der", f"{SPACE}Hund", ".")


def test_n_best_of_several_sentences(model: Path) -> None:
    translator = Translator(model, n_best=2, word_scores=True)
    both, first, second = translator.translate(["The dog. A cat!", "The dog.", "A cat!"])
    for joined, one, other in zip(both, first, second, strict=True):
        assert joined.text == f"{one.text} {other.text}"
        assert joined.logprob == pytest.approx(one.logprob + other.logprob)
        assert joined.score == pytest.approx(joined.logprob / 8)
        assert joined.word_scores == one.word_scores + other.word_scores


@pytest.mark.parametrize("reverse", [False, True])
def test_alignment(model: Path, reverse: bool) -> None:
    folder = write_translator(model.parent / "reverse", reverse=True, overwrite=True) if reverse else model
    (found,) = Translator(folder, alignment=True).translate(["The dog, a cat. A man."])
    source = ("the", "dog", ",", "a", "cat", ".", "a", "man", ".")
    assert [token.removeprefix(SPACE) for token in found[0].source_tokens] == list(source)
    if reverse:  # in each sentence word number n from the end is said nth
        assert found[0].alignment == tuple((5 - j, j) for j in range(5, -1, -1)) + tuple(
            (8 - j, 6 + j) for j in (2, 1, 0)
        )
    else:
        assert found[0].alignment == tuple((i, i) for i in range(9))


@pytest.mark.parametrize("piece", ["<unk>", "▁<unk>"])  # of tokenizers by pieces, and by words
def test_unknown_words_have_one_space_before_them(piece: str) -> None:
    class Rule:
        unk = 1

        @staticmethod
        def target_token(id: int) -> str:
            return ["", piece, "▁the"][id]

    assert shown(Rule(), [1, 1, 2, 1]) == ["▁<unk>", "▁<unk>", "▁the", "▁<unk>"]


def test_unknown_words(model: Path) -> None:
    line = ["The zebra sees a Yak-bull, man."]
    assert Translator(model, allow_unk=True)(line) == ["der <unk> sieht ein <unk> <unk> <unk>, Mann."]
    assert Translator(model, replace_unk=True)(line) == ["der zebra sieht ein Yak-bull, Mann."]
    assert "<unk>" not in Translator(model)(line)[0]


def test_a_word_of_several_pieces() -> None:
    pieces = [f"{SPACE}the", f"{SPACE}ze", "br", "a", ".", f"{SPACE}No"]
    assert [word_at(pieces, at) for at in range(6)] == [f"{SPACE}the", *[f"{SPACE}zebra"] * 3, ".", f"{SPACE}No"]


def test_prefixes(model: Path) -> None:
    translator = Translator(model)
    lines = ["The dog runs. The cat.", "The dog runs. The cat.", ""]
    assert [one[0].text for one in translator.translate(lines, prefixes=["die Köter", "", "Hund"])] == [
        "die Köter läuft. der Katze.", "der Hund läuft. der Katze.", "",
    ]  # fmt: skip
    with pytest.raises(UsageError, match="1 prefixes for 3 lines"):
        translator.translate(lines, prefixes=["x"])


def test_lines_that_are_nothing_but_their_end(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def encode(self: Any, lines: Any) -> Encoded:  # as a tokenizer that drops control characters gives it
        return Encoded(np.full(len(lines), EOS), np.ones(len(lines), np.int64))

    monkeypatch.setattr(TranslationText, "encode", encode)
    assert Translator(model)(["\u200b", "x"]) == ["", ""]


# --- entry points, and what is refused --------------------------------------------------------------------------------


def test_the_doors(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for opened in (
        textkit.load(str(model)),
        open_model(model, "translate", beam_size=1),
        open_model(bundle.read(model)),
        pickle.loads(pickle.dumps(Translator(model, n_best=2))),
    ):
        assert opened(["The dog."]) == ["der Hund."]
    monkeypatch.setenv("TEXTKIT_MODEL_TRANSLATE", str(model))
    assert Translator()(["The dog."]) == ["der Hund."]


def test_the_models_own_options(tmp_path: Path) -> None:
    own = {"beam_size": 3, "length_penalty": 0, "max_length_factor": 0.5, "no_repeat_ngram_size": 2, "sentences": False}
    translator = Translator(write_translator(tmp_path / "m", defaults=own))
    options = translator.options
    assert (options.beam_size, options.length_penalty, options.max_length_factor) == (3, 0, 0.5)
    assert (options.no_repeat_ngram_size, translator.sentences, translator.most) == (2, False, LIMIT - 1)
    assert Translator(translator.bundle, beam_size=1, sentences=True).options.beam_size == 1
    with pytest.raises(TextkitError, match="'defaults' has beam_size='9'"):
        Translator(write_translator(tmp_path / "bad", defaults={"beam_size": "9"}))


def test_what_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown option 'beam'; did you mean 'beam_size'"):
        open_model(model, beam=3)
    with pytest.raises(UsageError, match="unknown long 'clip'"):
        Translator(model, long="clip")
    with pytest.raises(UsageError, match="batch_tokens=0"):
        Translator(model, batch_tokens=0)
    with pytest.raises(UsageError, match="n_best=5: is more than beam_size=2"):
        Translator(model, n_best=5)
    with pytest.raises(TextkitError, match="a model for 'embed', not for 'translate'"):
        Translator(write_small(tmp_path / "pets"))


def test_special_words_are_never_said(model: Path) -> None:
    translator = Translator(model, beam_size=20, n_best=20)
    ids = [rule().encode_target([one.text]).ids for one in translator.translate(["the dog"])[0]]
    assert not {PAD, UNK} & set(np.concatenate(ids).tolist())


def test_serving_imports_no_torch_and_no_onnx(model: Path) -> None:
    script = (
        "import sys; import textkit\n"
        f"assert textkit.load({str(model)!r})(['the cat']) == ['der Katze']\n"
        "print(sorted({'torch', 'onnx', 'onnxscript', 'transformers', 'scipy', 'numba', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_translation_is_plain() -> None:
    assert Translation("x").complete
    assert hash(Translation("x")) == hash(Translation("x"))


def test_an_n_best_list_holds_each_text_once(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def of(*texts: str, best: float = -1.0) -> list[Translation]:
        return [Translation(text, best - at) for at, text in enumerate(texts)]

    wide: list[int] = []

    def searched(self: Translator, segments: list[Any], options: Search) -> list[list[Translation]]:
        wide.append(options.beam_size)
        narrow = of("A", "A", "B", "B") if segments[0].text == "The dog." else of("A", "B", "C", "D")
        return [narrow if options.beam_size == 4 else of("Z", "A", "D", "B", "E", best=-0.5) for _ in segments]

    monkeypatch.setattr(Translator, "_searched", searched)
    found = Translator(model, n_best=3, beam_size=4).translate(["The dog."])[0]
    assert [one.text for one in found] == [
        "A",
        "D",
        "B",
    ]  # Z scores better than A, but a search for one translation would give A, so Z is left out
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert wide == [4, 8]
    assert [one.text for one in Translator(model, n_best=3, beam_size=4).translate(["The cat."])[0]] == ["A", "B", "C"]
    assert wide == [4, 8, 4]


def test_n_best_of_a_real_model_are_different_texts_and_the_first_is_the_best() -> None:
    lines = ["I am tired.", "He is a teacher.", "What are you doing?", "Call me Ishmael, etc."]
    for n in (2, 5):
        lists = Translator(n_best=n, beam_size=5).translate(lines)
        assert [len({one.text for one in found}) for found in lists] == [n] * len(lines)
        assert [found[0].text for found in lists] == Translator(beam_size=5)(lines)
