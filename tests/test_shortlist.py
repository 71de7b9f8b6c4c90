"""Shortlists: alignments by hand, the graphs in every precision, translations with one and without, and the verb."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from small_translator import WORDS, rule, write_translator

from textkit.bundle import bundle
from textkit.errors import TextkitError
from textkit.exporting.export import export_graphs
from textkit.exporting.parity import load
from textkit.registry import registry
from textkit.searching.shortlist import shortlisted
from textkit.tasks.translate import lexicon
from textkit.tasks.translate.exporting import parity
from textkit.tasks.translate.exporting import shortlist as exporting
from textkit.tasks.translate.lexicon import Lexicon, learnt
from textkit.tasks.translate.serving.translator import Translator
from textkit.text.rule import Encoded

RULE = rule()
PLAIN = {"device": "cpu", "threads": 1, "sentences": False, "guard": False}
LINES = [
    "the dog sees a cat.",
    "a man runs home!",
    "the cat",
    "the man sees the dog, a cat.",
    "runs",
    "home home home.",
]


def encoded(lines: list[list[int]]) -> Encoded:
    return Encoded(
        np.concatenate([np.array(line, np.int64) for line in lines]), np.array([len(line) for line in lines])
    )


def test_the_house_is_das_haus():
    """The textbook's three pairs (Koehn 2010): the, house, book, a -> das, Haus, Buch, ein; numbers as a plain loop gives."""
    sources, targets = [[0, 1], [0, 2], [3, 2]], [[0, 1], [0, 2], [3, 2]]
    chance: dict[tuple[int, int], float] = defaultdict(lambda: 1.0)
    for _ in range(5):
        count: dict[tuple[int, int], float] = defaultdict(float)
        for source, target in zip(sources, targets, strict=True):
            for t in target:
                whole = sum(chance[s, t] for s in source)
                for s in source:
                    count[s, t] += chance[s, t] / whole
        total: dict[int, float] = defaultdict(float)
        for (s, _), number in count.items():
            total[s] += number
        chance = defaultdict(float, {key: number / total[key[0]] for key, number in count.items()})
    source, target, expected = lexicon.translations(encoded(sources), encoded(targets), 4)
    assert dict(zip(zip(source.tolist(), target.tolist(), strict=True), expected, strict=True)) == pytest.approx(count)
    assert count[0, 0] > 1.5 > 0.3 > count[0, 2]


def test_of_many_pairs_some_are_looked_at(monkeypatch):
    monkeypatch.setattr(lexicon, "_LINKS", 100)
    pairs = encoded([[0, 1]] * 100 + [[]] * 3 + [[2]])
    _, _, expected = lexicon.translations(pairs, pairs, 3)
    assert 0.9 * 200 < expected.sum() < 1.1 * 206


def test_a_pair_of_documents_is_left_out():
    """All pairs of its tokens would not fit into memory."""
    pairs = encoded([[0, 1], [1] * 300_000, [0, 1]])
    without = encoded([[0, 1], [0, 1]])
    for given, right in zip(
        lexicon.translations(pairs, pairs, 2), lexicon.translations(without, without, 2), strict=True
    ):
        np.testing.assert_array_equal(given, right)
    assert lexicon.translations(encoded([[1] * 300_000]), encoded([[1] * 300_000]), 2)[0].size == 0


@pytest.fixture(scope="module")
def own() -> Lexicon:
    targets = [" ".join(WORDS.get(word, (word,))[0] for word in line.replace(".", " .").split()) for line in LINES]
    return learnt(RULE, RULE.encode(LINES * 3), RULE.encode_target(targets * 3), 3, 2)


def test_a_line_may_have_what_its_words_became(own):
    def words(line: str) -> set[str]:
        ids = RULE.encode([line]).ids
        allowed = own.allowed(ids[None], np.ones((1, len(ids)), bool))[0]
        return {RULE.target_token(id) for id in np.flatnonzero(allowed)}

    assert {"</s>", "<unk>", ".", "!", ","} <= words("cat")
    assert not {"<s>", "<pad>"} & words("cat")
    assert "▁Katze" in words("a cat")
    assert "▁läuft" not in words("cat")
    assert "▁Mieze" not in words("the dog sees a cat.")


def test_a_graph_says_it_too(own):
    graph = load(exporting.shortlist_graph(own))
    random = np.random.default_rng(1)
    for lines, tokens in ((1, 1), (4, 9), (2, 3)):
        source = random.integers(0, len(RULE), (lines, tokens))
        mask = np.arange(tokens) < random.integers(1, tokens + 1, (lines, 1))
        given = graph.run({"source": source, "source_mask": mask})["allowed"]
        np.testing.assert_array_equal(given, own.allowed(source, mask))


def test_words_of_a_batch_and_of_its_lines():
    allowed = np.zeros((2, 200), bool)
    allowed[0, [3, 5, 150]] = allowed[1, [0, 5]] = True
    found = shortlisted(allowed)
    # Filled up to a number for which onnxruntime adds up in one order.
    assert found.words.tolist() == [*range(127), 150]
    assert found.allowed.shape == (2, 64)
    assert (found.allowed[0, :4].tolist(), found.allowed[1, :3].tolist()) == ([3, 5, 127, 0], [0, 5, 0])
    assert np.isneginf(found.outside).sum(1).tolist() == [61, 62]
    assert shortlisted(np.ones((1, 65), bool)).allowed.shape == (1, 128)


FAMILIES = {
    "transformer": ("transformer", {"dim": 16, "heads": 2, "feedforward": 32, "encoder_layers": 1, "decoder_layers": 1,
                                    "tie": "none", "output_bias": True}),
    "ssru": ("transformer", {"dim": 16, "heads": 2, "feedforward": 32, "encoder_layers": 1, "decoder_layers": 1,
                             "tie": "decoder", "joint": False, "decoder_autoreg": "ssru"}),
    "seq2seq": ("seq2seq", {"dim": 12, "hidden": 16, "layers": 1}),
}  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """(family, precision) -> the folder of a random network; each is made once."""
    made: dict[tuple[str, str], Path] = {}

    def make(family: str, precision: str) -> Path:
        if (family, precision) not in made:
            name, options = FAMILIES[family]
            plugin = registry.get(name)
            config = plugin.Config(**options, dropout=0.0, max_tokens=24)
            torch.manual_seed(3)
            network = plugin.network(config, RULE).eval()
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter.mul_(1.8)
            made[family, precision] = export_graphs(
                tmp_path_factory.mktemp("models") / f"{family}-{precision}", task="translate", rule=RULE,
                graphs={key: graph for key, graph in plugin.graphs(network, RULE, config).items() if key != "explain"},
                sample=LINES, precision=precision,
            )  # fmt: skip
        return made[family, precision]

    return make


CASES = [("transformer", "fp32"), ("ssru", "int8"), ("seq2seq", "fp32"),
         *(pytest.param(family, precision, marks=pytest.mark.slow) for family, precision in
           [("transformer", "int8"), ("ssru", "fp16"), ("ssru", "fp32"), ("seq2seq", "int8")])]  # fmt: skip


def shortened(folder: Path, where: Path, lists: Lexicon) -> Path:
    found = bundle.read(folder)
    graphs = {name: found.graph(name) for name in found.manifest.graphs}
    step, short = exporting.with_shortlist(graphs["step"]), exporting.shortlist_graph(lists)
    cases = parity.cases(RULE, LINES, 24)
    assert exporting.check(step, short, parity.Graphs(graphs), cases, RULE.start) < 1e-4
    from textkit.bundle import writing

    kept = {key: getattr(found.manifest, key) for key in
            ("task", "plugin", "limits", "defaults", "facts", "data", "licence", "parity", "precision", "made")}  # fmt: skip
    return writing.write(
        where, name="short", rule=RULE, graphs={**graphs, "step": step, "shortlist": short}, scores=[], **kept
    )


@pytest.mark.parametrize(("family", "precision"), CASES)
def test_translations_with_a_list_of_all_words_are_those_without(models, own, tmp_path, family, precision):
    every = Lexicon(own.table, np.arange(RULE.target_size), RULE.target_size)
    folder = shortened(models(family, precision), tmp_path / "model", every)
    for options in ({"beam_size": 1}, {"beam_size": 4, "n_best": 3}, {"no_repeat_ngram_size": 1}, {"min_length": 5}):
        short, whole = (Translator(folder, shortlist=on, **options, **PLAIN) for on in (True, False))
        assert short.steps._short
        assert not whole.steps._short
        for one, other in zip(short.translate(LINES), whole.translate(LINES), strict=True):
            assert [found.text for found in one] == [found.text for found in other]
            assert [found.score for found in one] == pytest.approx([found.score for found in other], abs=1e-5)
    begun = [
        Translator(folder, shortlist=on, **PLAIN).translate(LINES, prefixes=["der Hund"] * 6) for on in (True, False)
    ]
    assert [line[0].text for line in begun[0]] == [line[0].text for line in begun[1]]


@pytest.mark.parametrize(("family", "precision"), CASES)
def test_only_listed_words_are_said_and_a_line_does_not_depend_on_its_batch(models, own, tmp_path, family, precision):
    folder = shortened(models(family, precision), tmp_path / "model", own)
    for beams in (1, 3):
        translator = Translator(folder, beam_size=beams, word_scores=True, **PLAIN)
        together = translator.translate(LINES)
        assert [translator.translate([line])[0] for line in LINES] == together  # to the last bit of every score
        assert translator.translate(LINES[::-1]) == together[::-1]
        for line, (best, *_) in zip(LINES, together, strict=True):
            ids = RULE.encode([line]).ids
            allowed = own.allowed(ids[None], np.ones((1, len(ids)), bool))[0]
            assert {RULE.target_token(id) for id in np.flatnonzero(allowed)} >= set(best.tokens)
    drawn = [Translator(folder, sample=True, shortlist=on, seed=3, **PLAIN)(LINES) for on in (True, False)]
    assert drawn[0] == drawn[1]  # samples are drawn from all words


def test_a_list_that_is_off_is_not_written(models, own):
    found = bundle.read(models("transformer", "fp32"))
    graphs = {name: found.graph(name) for name in found.manifest.graphs}
    step = exporting.with_shortlist(graphs["step"])
    with pytest.raises(TextkitError, match="has a shortlist already"):
        exporting.with_shortlist(step)
    import onnx
    from onnx import numpy_helper

    model = onnx.load_from_string(step)
    gather = next(node for node in model.graph.node if node.output[0] == "shared.weight.next")
    source = next(node for node in model.graph.node if node.op_type == "Gather" and "shortlist" in node.input)
    weight = next(part for part in model.graph.initializer if part.name in (gather.input[0], source.input[0]))
    turned = numpy_helper.from_array(numpy_helper.to_array(weight)[::-1].copy(), "turned")
    model.graph.initializer.append(turned)
    source.input[0] = "turned"
    lists = exporting.shortlist_graph(own)
    with pytest.raises(TextkitError, match="nothing was written"):
        exporting.check(
            model.SerializeToString(), lists, parity.Graphs(graphs), parity.cases(RULE, LINES, 24), RULE.start
        )


def test_the_verb(models, tmp_path, call):
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("".join(f"{line}\tder Hund sieht .\n" for line in LINES))
    model = models("transformer", "fp32")
    code, out, err = call("shortlist", "-m", model, pairs, "-o", tmp_path / "new", "--frequent", 1, "-v")
    assert (code, out) == (0, ""), err
    assert "aligning 6 pairs" in err
    assert "warning: 6 of 1,000 pairs or more" in err
    assert re.search(r"chooses among \d+ of [\d,]+ tokens for a line", err)
    manifest = bundle.read(tmp_path / "new").verify() or bundle.read(tmp_path / "new").manifest
    assert manifest.made["shortlist"]["pairs"] == 6
    assert manifest.parity["shortlist"] < 1e-4
    said = Translator(tmp_path / "new", **PLAIN)(["the dog"])[0]
    for option in ((), ("--no-shortlist",)):  # the graphs that were loaded ahead are those that were asked for
        asked = Translator(tmp_path / "new", **PLAIN, shortlist=not option)(["the dog"])
        shown = call("translate", "-m", tmp_path / "new", "--no-sentences", "--no-guard", *option, stdin="the dog\n")
        assert shown[:2] == (0, f"{asked[0]}\n")
    assert not re.sub(r"der|Hund|sieht|[.!, ]", "", said)
    assert call("shortlist", "-m", model, pairs, "-o", tmp_path / "new")[0] == 1  # it is not replaced
    code, _, err = call("shortlist", pairs, "-o", tmp_path / "x")
    assert (code, "-m is missing" in err) == (2, True)
    code, _, err = call("shortlist", "-m", write_translator(tmp_path / "hand"), pairs, "-o", tmp_path / "x")
    assert (code, "a shortlist needs a product" in err) == (1, True), err
    assert not (tmp_path / "x").exists()


def test_a_graph_that_allows_nothing_is_said_to_be_damaged(models, own, tmp_path, monkeypatch):
    folder = shortened(models("transformer", "fp32"), tmp_path / "model", own)
    translator = Translator(folder, **PLAIN)
    monkeypatch.setattr(
        translator.steps._shortlisting._lists, "run", lambda feeds: {"allowed": np.zeros((1, 20), bool)}
    )
    with pytest.raises(TextkitError, match="allows a line no word"):
        translator(["the dog"])
