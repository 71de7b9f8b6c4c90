"""seq2seq: attention by hand, steps against the whole pass, padding, schedules and their formulas, graphs, a task learnt."""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from itertools import cycle, product
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from textkit import config
from textkit.corpora.pair_batches import PairBatch
from textkit.corpora.pairs import PairCorpus
from textkit.errors import TextkitError
from textkit.plugin import Epoch
from textkit.tasks.translate.greedy import greedy
from textkit_plugins.seq2seq.attention import Attention, Memory
from textkit_plugins.seq2seq.network import Seq2Seq
from textkit_plugins.seq2seq.options import Seq2SeqConfig, teacher_probability
from textkit_plugins.seq2seq.translating import Seq2SeqPlugin

PLUGIN = Seq2SeqPlugin()
RECIPES = Path(__file__).parents[2] / "recipes"
CELLS = ("rnn", "gru", "lstm")
KINDS = ("none", "uniform", "position", "dot", "general", "additive")
SOURCE = torch.tensor([[4, 5, 6, 7, 3], [8, 3, 0, 0, 0], [9, 10, 3, 0, 0]])
MASK = torch.tensor([[True] * 5, [True, True, False, False, False], [True, True, True, False, False]])
TARGET = torch.tensor([[2, 5, 6, 7], [2, 8, 9, 10], [2, 11, 4, 4]])


def small(**options) -> Seq2Seq:
    torch.manual_seed(5)
    options = {"dim": 6, "hidden": 8, "layers": 2, "dropout": 0.0, "max_tokens": 20, "batch_tokens": 64} | options
    return Seq2Seq(Seq2SeqConfig(**options), 12, 13)


# Two source states s_1 = (1, 0), s_2 = (0, 1), the decoder's state h = (2, 1); the context equals the weights. Scores:
# uniform 1, 1. position: 0, ln 3, from the table. dot 2, 1. general: W swaps the numbers of s: 1, 2.
# additive: v = (1, 1), W = U = identity: tanh 3 + tanh 1 = 1.756649, tanh 2 + tanh 2 = 1.928055.
SCORES = {
    "uniform": (1.0, 1.0),
    "position": (0.0, 1.098612),
    "dot": (2.0, 1.0),
    "general": (1.0, 2.0),
    "additive": (1.756649, 1.928055),
}
WEIGHTS = {  # e^a / (e^a + e^b)
    "uniform": (0.5, 0.5),
    "position": (0.25, 0.75),
    "dot": (0.731059, 0.268941),
    "general": (0.268941, 0.731059),
    "additive": (0.457253, 0.542747),
}


@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("normalize", ["softmax", "none"])
def test_attention_by_hand(kind, normalize):
    options = {"attention": kind, "normalize": normalize, "hidden": 2, "bidirectional": False, "max_tokens": 4}
    attention = Attention(Seq2SeqConfig(**options))
    identity = torch.eye(2)
    with torch.no_grad():
        if kind == "position":
            attention.table[1] = torch.tensor([0.0, math.log(3), 5.0, 5.0])
        elif kind == "general":
            attention.key.weight.copy_(identity.flip(0))
        elif kind == "additive":
            attention.key.weight.copy_(identity)
            attention.query.weight.copy_(identity)
            attention.query.bias.zero_()
            attention.score.weight.fill_(1.0)
        values = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [7.0, 7.0]]])  # the third is padding
        mask = torch.tensor([[True, True, False]])
        memory = Memory(attention.keys(values), values, mask)
        position = torch.tensor([[1]]) if kind == "position" else None
        context, weights = attention(torch.tensor([[[2.0, 1.0]]]), *memory, position)
    expected = (WEIGHTS if normalize == "softmax" else SCORES)[kind]
    assert weights[0, 0].tolist() == pytest.approx([*expected, 0.0], abs=1e-6)
    assert context[0, 0].tolist() == pytest.approx(expected, abs=1e-6)


def steps(network: Seq2Seq, source: torch.Tensor, mask: torch.Tensor, target: torch.Tensor, beams: int = 2):
    """Logits [line, target, vocab] and weights by the modules behind the graphs; all beams read the same words."""
    encode, step = network.encoder().eval(), network.stepper().eval()
    ports = dict(zip(encode.outputs, encode(source, mask), strict=True))
    assert set(encode.outputs) == {*step.memory, *step.state}
    memory = [ports[name] for name in step.memory]
    state = [ports[name][:, None].expand(-1, beams, *ports[name].shape[1:]) for name in step.state]
    found = []
    for token in target.unbind(1):
        logits, weights, *state = step(token[:, None].expand(-1, beams).contiguous(), *memory, *state)
        torch.testing.assert_close(logits[:, 0], logits[:, -1])
        assert weights.shape == (len(source), beams, source.shape[1])
        found.append((logits[:, 0], weights[:, 0]))
    return tuple(torch.stack(part, 1) for part in zip(*found, strict=True))


# In a quick run each cell and each kind of attention once.
QUICK = {*zip(cycle(CELLS), KINDS, cycle([False, True]))}


@pytest.mark.parametrize(
    ("cell", "kind", "feeding"),
    [
        pytest.param(*each, marks=[] if each in QUICK else pytest.mark.slow)
        for each in product(CELLS, KINDS, [False, True])
    ],
)
def test_every_kind_trains_and_steps_as_it_was_trained(cell, kind, feeding):
    network = small(cell=cell, attention=kind, input_feeding=feeding, tie="none")
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    out = TARGET.roll(-1, 1)
    losses = []
    for _ in range(3):
        loss, log = PLUGIN.loss(network.train(), PairBatch(SOURCE, MASK, TARGET, out, torch.ones_like(out).bool()))
        loss.backward()
        assert all(parameter.grad is not None for parameter in network.parameters())
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert log["words"] == 12
    assert losses[2] < losses[0]
    with torch.no_grad():
        parallel = network.eval().project(network.hidden(SOURCE, MASK, TARGET))
        logits, weights = steps(network, SOURCE, MASK, TARGET)
    torch.testing.assert_close(logits, parallel, atol=1e-5, rtol=1e-5)
    assert not weights.masked_select(~MASK[:, None].expand_as(weights)).any()
    if kind == "none":
        assert not weights.any()
    else:
        torch.testing.assert_close(weights.sum(2), torch.ones(3, 4))


@pytest.mark.parametrize(("kind", "normalize"), [*product(KINDS[1:], ["softmax", "none"]), ("none", "softmax")])
def test_padding_changes_nothing(kind, normalize):
    network = small(attention=kind, normalize=normalize).eval()
    with torch.no_grad():
        together = network.hidden(SOURCE, MASK, TARGET)
        noise = SOURCE.masked_fill(~MASK, 11)
        torch.testing.assert_close(network.hidden(noise, MASK, TARGET), together)
        for line, length in enumerate(MASK.sum(1)):
            alone = network.hidden(
                SOURCE[line : line + 1, :length], MASK[line : line + 1, :length], TARGET[line : line + 1]
            )
            torch.testing.assert_close(alone[0], together[line], atol=1e-5, rtol=1e-5)
            early = network.hidden(SOURCE, MASK, TARGET[:, :2])  # a later word changes no earlier one
            torch.testing.assert_close(early, together[:, :2], atol=1e-5, rtol=1e-5)


def test_input_feeding_by_torchs_own_cell():
    """Luong's order, written out independently: word and last readout go into the cell, then attention, then the readout."""
    network = small(layers=1, cell="lstm", attention="general", tie="none").eval()
    reference = nn.LSTMCell(6 + 8, 8)
    layer = network.decoder_layers[0].layer
    reference.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
    with torch.no_grad():
        memory, going = network.encode(SOURCE, MASK)
        (state,), readout, expected = going.layers, torch.zeros(3, 8), []
        for token in TARGET.unbind(1):
            state = reference(torch.cat([network.target_embedding(token), readout], 1), state)
            scores = torch.einsum("lh,hw,lsw->ls", state[0], network.attention.key.weight, memory.values)
            weights = scores.masked_fill(~MASK, -math.inf).softmax(1)
            context = torch.einsum("ls,lsw->lw", weights, memory.values)
            readout = torch.tanh(torch.cat([context, state[0]], 1) @ network.combine.weight.T)
            expected.append(readout)
        torch.testing.assert_close(network.hidden(SOURCE, MASK, TARGET), torch.stack(expected, 1))


def test_bridge():
    states = {}
    for bridge in ("linear", "copy", "none"):
        network = small(bridge=bridge, cell="gru", layers=1)
        with torch.no_grad():
            _, going = network.encode(SOURCE, MASK)
            _, (last,) = network.encoder_layers[0](network.source_embedding(SOURCE), MASK.sum(1))
        states[bridge] = going.layers[0][0]
        if bridge == "linear":
            torch.testing.assert_close(states[bridge], torch.tanh(network.bridge[0](last)))
        elif bridge == "copy":
            assert torch.equal(states[bridge], last)
    assert not states["none"].any()


def test_teacher_probabilities_are_those_of_the_formulas():
    def at(batches: int, **options) -> float:
        return teacher_probability(Seq2SeqConfig(**options), batches)

    assert [at(i, teacher_k=0.75) for i in (0, 999)] == [0.75, 0.75]
    linear = {"teacher": "linear", "teacher_slope": 0.01, "teacher_least": 0.25}
    assert [at(i, **linear) for i in (0, 10, 50, 75, 80, 10**6)] == pytest.approx([1.0, 0.9, 0.5, 0.25, 0.25, 0.25])
    exponential = {"teacher": "exponential", "teacher_k": 0.5}
    assert [at(i, **exponential) for i in (0, 1, 3)] == [1.0, 0.5, 0.125]
    sigmoid = {"teacher": "inverse-sigmoid", "teacher_k": 10.0}
    # 10 / (10 + 1), 10 / (10 + e), 10 / (10 + e^10 = 22026.47); one half where e^(i/k) = k: i = 10 ln 10 = 23.03
    assert [at(i, **sigmoid) for i in (0, 10, 100, 10**6)] == pytest.approx(
        [0.909091, 0.786270, 0.000454, 0.0], abs=1e-6
    )
    assert at(23, **sigmoid) > 0.5 > at(24, **sigmoid)


def test_without_a_teacher_the_decoder_reads_its_own_words():
    network = small(teacher_k=0.0, attention="additive")
    network.train()
    with torch.no_grad():
        trained = network.project(network.hidden(SOURCE, MASK, TARGET))
        own = torch.cat([TARGET[:, :1], trained.argmax(2)[:, :-1]], 1)
        assert not torch.equal(own, TARGET)
        network.eval()
        torch.testing.assert_close(network.project(network.hidden(SOURCE, MASK, own)), trained)
        taught = network.project(network.hidden(SOURCE, MASK, TARGET))  # eval mode: always reads the reference
    assert not torch.allclose(taught, trained)
    assert network.state_dict()["batches"] == 1  # a checkpoint continues the schedule
    assert "batches" not in small().state_dict()


@pytest.mark.parametrize("feeding", [False, True])
def test_half_a_teacher(feeding):
    """Words of the reference are read about as often as the schedule says, and what is read determines the result."""
    network = small(teacher_k=0.5, input_feeding=feeding, teacher="constant").train()
    target = torch.randint(4, 13, (64, 12))
    source, mask = SOURCE[:1].expand(64, -1), MASK[:1].expand(64, -1)
    torch.manual_seed(1)
    with torch.no_grad():
        first = network.hidden(source, mask, target)
        second = network.hidden(source, mask, target)
        reference = network.eval().hidden(source, mask, target)
    assert torch.allclose(first[:, 0], reference[:, 0], atol=1e-5)  # the start is always given
    same = torch.isclose(first[:, 1], reference[:, 1], atol=1e-5).all(1).float().mean()
    assert 0.3 < same < 0.75
    assert not torch.allclose(first, second)


def pairs_of(tmp_path: Path, lines: list[str]) -> PairCorpus:
    file = tmp_path / "pairs.tsv"
    file.write_text("\n".join(lines) + "\n")
    return PairCorpus([file])


def test_reversed_source(tmp_path):
    corpus = pairs_of(tmp_path, ["a b c\tx y z", "c b\tz y"] * 2)
    options = {"tokenizer": "word", "joint": False, "vocab_size": 300, "min_count": 1}
    straight = PLUGIN.vocabulary(corpus, Seq2SeqConfig(**options))
    turned = PLUGIN.vocabulary(corpus, Seq2SeqConfig(**options, reverse=True))
    *words, eos = straight.encode(["a b c"]).ids.tolist()
    assert turned.encode(["a b c"]).ids.tolist() == [*words[::-1], eos]
    assert turned.encode_target(["x y z"]).ids.tolist() == straight.encode_target(["x y z"]).ids.tolist()


@pytest.mark.parametrize(
    "options",
    [
        {"attention": "general"},
        {"attention": "additive", "cell": "gru", "input_feeding": False},
    ],
)
@pytest.mark.slow
def test_learns_to_turn_words_round(tmp_path, options):
    random = np.random.default_rng(0)
    words = [list(random.choice(list("abcdefgh"), random.integers(2, 6))) for _ in range(50)]
    corpus = pairs_of(tmp_path, [f"{' '.join(line)}\t{' '.join(line[::-1])}" for line in words])
    settings = Seq2SeqConfig(
        tokenizer="word", min_count=1, vocab_size=100, dim=24, hidden=32, dropout=0.0, label_smoothing=0.0,
        tie="all", max_tokens=16, batch_tokens=128, **options,
    )  # fmt: skip
    vocabulary = PLUGIN.vocabulary(corpus, settings)
    torch.manual_seed(0)
    network = PLUGIN.network(settings, vocabulary)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for number in range(80):
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 - number / 80)  # to 0, or rounding would decide the last loss
        for batch in PLUGIN.batches(corpus, vocabulary, settings, Epoch(number, 1)):
            loss, _ = PLUGIN.loss(network, batch)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
    score = PLUGIN.score(network.eval(), corpus, vocabulary, settings)
    assert score.detail["loss"] < 0.2
    assert score.value == pytest.approx(100.0)
    source, mask = batch.source, batch.source_mask
    encode, step = network.encoder().eval(), network.stepper().eval()
    longest = torch.full((len(source),), 10)
    found = greedy(encode, step, source, mask, vocabulary.start, vocabulary.eos, longest)
    assert found == [row[keep][:-1].tolist() for row, keep in zip(batch.target_out, batch.target_mask, strict=True)]


@pytest.mark.parametrize(("cell", "kind", "feeding"), [("lstm", "general", True), ("gru", "additive", False)])
def test_autocast(cell, kind, feeding):
    network = small(cell=cell, attention=kind, input_feeding=feeding, tie="decoder")
    batch = PairBatch(SOURCE, MASK, TARGET, TARGET.roll(-1, 1), torch.ones_like(TARGET).bool())
    exact, _ = PLUGIN.loss(network, batch)
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = PLUGIN.loss(network, batch)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float(exact.detach()), rel=0.02)
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_initial_weights():
    uniform = small(initial="uniform", forget_bias=0.0)
    values = torch.cat([parameter.detach().flatten() for parameter in uniform.parameters()])
    assert 0.079 < values.abs().max() <= 0.08
    assert float(values.std()) == pytest.approx(0.08 / math.sqrt(3), rel=0.05)
    network = small(cell="lstm")
    for layer in (*network.encoder_layers, *network.decoder_layers):
        for name, value in layer.named_parameters():
            gates = value.detach().split(layer.hidden)
            if "_hh_" in name and "weight" in name:
                for gate in gates:
                    torch.testing.assert_close(gate @ gate.T, torch.eye(layer.hidden))
            elif "bias_ih" in name:
                assert [float(gate.unique()) for gate in gates] == [0.0, 1.0, 0.0, 0.0]  # input, forget, cell, output


def test_tied_tables():
    shared = small(tie="decoder")
    assert shared.project_weight is shared.target_embedding.weight
    assert shared.readout == 6


def test_one_table_for_two_vocabularies():
    class Sides:
        target_size = 13

        def __len__(self):
            return 12

    with pytest.raises(TextkitError, match="12 and 13 words"):
        PLUGIN.network(Seq2SeqConfig(tie="all"), Sides())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 7}, "odd"),
        ({"attention": "dot", "encoder_hidden": 8}, "attention=dot: the encoder's states have 16 numbers"),
        ({"bridge": "copy", "encoder_hidden": 3, "hidden": 8}, "bridge=copy"),
        ({"tie": "all", "joint": False}, "joint"),
        ({"layers": 0}, "layers=0"),
        ({"dropout": 1.0}, "dropout"),
        ({"teacher_k": 1.5}, "teacher_k=1.5: 0 to 1"),
        ({"teacher": "exponential"}, "below 1"),
        ({"teacher": "inverse-sigmoid", "teacher_k": 0.5}, "at least 1"),
        ({"teacher_least": -0.1}, "teacher_least"),
    ],
)
def test_options_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        Seq2SeqConfig(**options)


def test_sutskever_has_the_papers_parameters():
    """384M in all, 64M of them recurrent, 32M in the encoder (section 3.4), with 160,000 source and 80,000 target words."""
    settings, training = config.resolve(PLUGIN, RECIPES / "sutskever.toml")
    with torch.device("meta"):
        network = Seq2Seq(settings, 160_000, 80_000)
    assert settings.reverse
    assert training.optimizer == "sgd"
    size = {name: value.numel() for name, value in network.named_parameters() if "bias" not in name}
    assert sum(size.values()) == 384_000_000
    assert sum(count for name, count in size.items() if ".layer." in name) == 64_000_000
    assert sum(count for name, count in size.items() if name.startswith("encoder_layers")) == 32_000_000


def test_recipe_of_multi30k():
    settings, training = config.resolve(PLUGIN, RECIPES / "multi30k-seq2seq.toml")
    assert settings.score == "loss"  # on the dev pairs; then BLEU's tokenizer has no effect and is not set
    assert training.ema > 0


def session(module: nn.Module, arguments: tuple, free: tuple) -> onnxruntime.InferenceSession:
    file = io.BytesIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # torch's exporter warns about its own internals
        torch.onnx.export(
            module, arguments, dynamo=True, opset_version=23, dynamic_shapes=free, external_data=False, verbose=False
        ).save(file)
    return onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])


@pytest.mark.slow  # the examination compares the graphs of one kind
@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        ("lstm", "general"),
        ("rnn", "position"),
        ("gru", "additive"),
        ("lstm", "none"),
        ("gru", "uniform"),
        ("rnn", "dot"),
    ],
)
def test_graphs_are_the_modules_in_onnxruntime(cell, kind):
    network = small(cell=cell, attention=kind).eval()
    encode, step = network.encoder().eval(), network.stepper().eval()
    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}

    def given(lengths: list[int], beams: int) -> tuple[tuple, tuple]:
        mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        lines = torch.randint(12, mask.shape), mask
        with torch.no_grad():
            ports = dict(zip(encode.outputs, encode(*lines), strict=True))
        state = [ports[name][:, None].expand(-1, beams, *ports[name].shape[1:]).contiguous() for name in step.state]
        return lines, (torch.randint(13, (len(lengths), beams)), *(ports[name] for name in step.memory), *state)

    def compare(run: onnxruntime.InferenceSession, module: nn.Module, arguments: tuple) -> None:
        with torch.no_grad():
            expected = module(*arguments)
        names = [port.name for port in run.get_inputs()]
        found = run.run(None, {name: value.numpy() for name, value in zip(names, arguments, strict=True)})
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), atol=2e-6)

    lines, stepped = given([7, 4, 2], 4)
    encoder = session(encode, lines, (axes, axes))
    stepper = session(step, stepped, (axes, (axes,) * (len(stepped) - 1)))
    for lengths, beams in (([1], 1), ([3, 9, 1, 5], 5), ([12, 12], 2)):
        lines, stepped = given(lengths, beams)
        compare(encoder, encode, lines)
        compare(stepper, step, stepped)
