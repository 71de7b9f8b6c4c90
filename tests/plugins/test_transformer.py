"""The transformer: attention by hand, positions, masks, causality, steps against the whole pass, graphs, what it learns."""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch.nn import functional as F

from textkit import config
from textkit.corpora.pair_batches import PairBatch
from textkit.corpora.pairs import PairCorpus
from textkit.plugin import Epoch
from textkit.registry import registry
from textkit.tasks.translate.greedy import greedy
from textkit_plugins.transformer.attention import attention, rotate, sinusoids, weights_of
from textkit_plugins.transformer.network import Dropout, Transformer
from textkit_plugins.transformer.translating import TransformerConfig, TransformerPlugin

RECIPES = Path(__file__).parents[2] / "recipes"
PLUGIN = TransformerPlugin()
SMALL = {"encoder_layers": 2, "decoder_layers": 2, "dim": 16, "heads": 2, "feedforward": 24, "dropout": 0.0,
         "max_tokens": 32, "batch_tokens": 64}  # fmt: skip
SHAPES = [
    {},
    {"norm": "post", "tie": "none", "output_bias": True, "activation": "swish", "joint": False},
    {"positions": "rotary", "tie": "decoder", "activation": "gelu", "encoder_layers": 1, "scale_embedding": False},
    {"positions": "learned", "norm": "post", "decoder_layers": 1},
    {"decoder_autoreg": "ssru"},
    {"decoder_autoreg": "ssru", "positions": "rotary", "norm": "post", "decoder_layers": 1},
]
SOURCE = torch.tensor([[4, 5, 6, 7, 3], [8, 3, 0, 0, 0], [9, 10, 3, 0, 0]])
MASK = torch.tensor([[True] * 5, [True, True, False, False, False], [True, True, True, False, False]])
TARGET = torch.tensor([[2, 5, 6, 7], [2, 8, 9, 10], [2, 11, 4, 4]])


def small(**options) -> Transformer:
    torch.manual_seed(5)
    network = Transformer(TransformerConfig(**{**SMALL, **options}), 12, 12)
    for name, parameter in network.named_parameters():  # so that a missing bias or norm would show
        if name.endswith("bias") or "norm" in name:
            torch.nn.init.normal_(parameter, 0.5, 0.5)
    return network.eval()


def test_attention_by_hand():
    """q = (2 ln 3, 0, 0, 0), so q k / sqrt(4) is ln 3 for the first key and 0 for the others."""
    query = torch.tensor([[[[2 * math.log(3), 0, 0, 0]]]])
    key = torch.eye(4)[None, None, :3]
    value = torch.tensor([[[[10.0, 0, 0, 0], [0, 10, 0, 0], [0, 0, 10, 1]]]])
    assert weights_of(query, key, None).flatten().tolist() == pytest.approx([0.6, 0.2, 0.2])
    assert attention(query, key, value, None, 0.0).flatten().tolist() == pytest.approx([6, 2, 2, 0.2])
    mask = torch.tensor([[[[True, True, False]]]])
    assert weights_of(query, key, mask).flatten().tolist() == pytest.approx([0.75, 0.25, 0])
    added = torch.tensor([[[[0.0, 0.0, -math.inf]]]])
    assert attention(query, key, value, added, 0.0).flatten().tolist() == pytest.approx([7.5, 2.5, 0, 0])


def test_bfloat16_on_a_cpu_attends_as_torch_does():
    torch.manual_seed(1)
    query, key, value = (torch.randn(3, 2, 7, 4).requires_grad_() for _ in range(3))
    mask = torch.zeros(3, 1, 1, 7).masked_fill_(torch.arange(7) > 4, -math.inf)
    for part, causal in ((mask, False), (None, True)):
        want = F.scaled_dot_product_attention(query, key, value, part, is_causal=causal)
        got = attention(*(x.bfloat16() for x in (query, key, value)), part, 0.0, causal)
        assert got.dtype == torch.bfloat16
        torch.testing.assert_close(got.float(), want, atol=0.03, rtol=0.03)
        wanted, found = (torch.autograd.grad(x.float().square().sum(), (query, key, value)) for x in (want, got))
        for a, b in zip(found, wanted, strict=True):
            torch.testing.assert_close(a, b, atol=0.1, rtol=0.1)


def test_dropout_keeps_the_mean_and_is_its_own_gradient():
    torch.manual_seed(2)
    dropout = Dropout(0.3)
    x = torch.ones(333, 301, requires_grad=True)
    y = dropout(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    assert float((y.detach() == 0).float().mean()) == pytest.approx(0.3, abs=0.005)
    assert float(y.detach().max()) == pytest.approx(1 / 0.7, abs=1e-4)
    assert not torch.equal(dropout(x), y)
    assert dropout.eval()(x) is x


def test_sinusoids_are_laid_out_as_in_marian():
    table = sinusoids(60, 8)
    assert table.shape == (60, 8)
    rates = [1.0, 0.1, 0.01, 0.001]  # 10000^(-2i/8)
    for position in (0, 1, 7, 59):
        want = [math.sin(position * rate) for rate in rates] + [math.cos(position * rate) for rate in rates]
        assert table[position].tolist() == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("k", [1, 5, 40])
def test_a_shifted_position_is_a_rotation_of_it(k):
    """Section 3.5: PE(p + k) is a linear function of PE(p), the same for every p, and a rotation."""
    dim = 16
    table = sinusoids(100, dim).double()
    angle = k * 10000.0 ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    turn = torch.zeros(dim, dim, dtype=torch.float64)
    for i, a in enumerate(angle.tolist()):
        j = i + dim // 2
        turn[i, i] = turn[j, j] = math.cos(a)  # sin(x + a) = sin x cos a + cos x sin a
        turn[i, j], turn[j, i] = math.sin(a), -math.sin(a)
    torch.testing.assert_close(turn @ turn.T, torch.eye(dim, dtype=torch.float64))
    torch.testing.assert_close(table[: 100 - k] @ turn.T, table[k:], atol=1e-6, rtol=0)
    assert (table[: 100 - k] - table[k:]).abs().max() > 0.1


def test_rotary_scores_depend_on_distance_alone():
    network = small(positions="rotary", tie="decoder")
    query, key = torch.randn(8), torch.randn(8)
    score = [
        float(rotate(query[None], network.table[p : p + 1]) @ rotate(key[None], network.table[p + 3 : p + 4]).T)
        for p in (0, 5, 20)
    ]
    assert score == pytest.approx([score[0]] * 3, abs=1e-5)
    assert score[0] != pytest.approx(float(query @ key), abs=1e-3)


@pytest.mark.parametrize("options", SHAPES)
def test_padding_changes_nothing(options):
    network = small(**options)
    whole = network.project(network.hidden(SOURCE, MASK, TARGET))
    other = torch.where(MASK, SOURCE, 11)
    torch.testing.assert_close(network.project(network.hidden(other, MASK, TARGET)), whole)
    for line, length in enumerate(MASK.sum(1).tolist()):
        part = slice(line, line + 1)
        alone = network.project(network.hidden(SOURCE[part, :length], MASK[part, :length], TARGET[part]))
        torch.testing.assert_close(alone[0], whole[line], atol=1e-5, rtol=1e-5)
    turned = network.project(network.hidden(SOURCE.flip(1), MASK.flip(1), TARGET))
    assert (turned[0] - whole[0]).abs().max() > 1e-4  # the network sees positions


@pytest.mark.parametrize("options", SHAPES)
def test_no_word_sees_those_after_it(options):
    network = small(**options)
    before = network.hidden(SOURCE, MASK, TARGET)
    changed = TARGET.clone()
    changed[:, 2] = 1
    after = network.hidden(SOURCE, MASK, changed)
    torch.testing.assert_close(after[:, :2], before[:, :2])
    assert ((after[:, 2:] - before[:, 2:]).abs().amax(-1) > 1e-4).all()


def begun(encode, step, source, mask, beams):
    """The memory, and the first state, the same for all beams of a line; caches belong to a line, as memory does."""
    ports = dict(zip(encode.outputs, encode(source, mask), strict=True))
    state = {name: ports[name] for name in step.state}
    assert not any(part.any() for part in state.values())
    grows = {name: part.shape[2 if name.startswith("cache.") else 1] for name, part in state.items() if part.dim() > 1}
    assert all(size == (16 if name.startswith("state.ssru") else 0) for name, size in grows.items())
    spread = [
        part if name.startswith("cache.") else part[:, None].expand(-1, beams, *part.shape[1:])
        for name, part in state.items()
    ]
    return [ports[name] for name in step.memory], spread


def chosen(step, state):
    """The state after the two beams of a line change places."""
    return [part if name.startswith("cache.") else part.flip(1) for name, part in zip(step.state, state, strict=True)]


@pytest.mark.parametrize("options", SHAPES)
def test_steps_with_the_cache_are_the_whole_pass(options):
    """Two beams per line read different words; on the way they change places, as in beam search."""
    network = small(**options)
    encode, step = network.encoder().eval(), network.stepper().eval()
    memory, state = begun(encode, step, SOURCE, MASK, beams=2)
    beams = torch.stack([TARGET, (TARGET + 1) % 12], 1)  # [line, beam, target]
    whole = torch.stack([network.project(network.hidden(SOURCE, MASK, beams[:, beam])) for beam in (0, 1)], 1)
    shown = torch.stack([network.explain(SOURCE, MASK, beams[:, beam])["cross"][-1].mean(1) for beam in (0, 1)], 1)
    for at in range(TARGET.shape[1]):
        logits, weights, *state = step(beams[:, :, at], *memory, *state)
        torch.testing.assert_close(logits, whole[:, :, at], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(weights, shown[:, :, at], atol=1e-5, rtol=1e-5)
        state, beams = chosen(step, state), beams.flip(1)
        whole, shown = whole.flip(1), shown.flip(1)


def test_a_source_that_is_all_padding_gives_numbers():
    network = small()
    encode, step = network.encoder().eval(), network.stepper().eval()
    memory, state = begun(encode, step, SOURCE, MASK & False, beams=1)
    found = step(TARGET[:, :1], *memory, *state)
    assert all(torch.isfinite(part.float()).all() for part in found)


def test_explain_gives_every_layer_and_head():
    network = small(encoder_layers=3)
    shown = network.explain(SOURCE, MASK, TARGET)
    assert shown["encoder"].shape == (3, 3, 2, 5, 5)
    assert shown["decoder"].shape == (2, 3, 2, 4, 4)
    assert shown["cross"].shape == (2, 3, 2, 4, 5)
    for weights in shown.values():
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))
    assert (shown["encoder"].permute(1, 4, 0, 2, 3)[~MASK] == 0).all()
    assert (shown["decoder"] * torch.ones(4, 4).triu(1) == 0).all()


def test_tables_are_tied_as_asked():
    names = {tie: dict(small(tie=tie).named_parameters()) for tie in ("none", "decoder", "all")}
    tables = {tie: sorted(name for name in found if found[name].shape == (12, 16)) for tie, found in names.items()}
    assert tables == {
        "none": ["output.weight", "source_embedding.weight", "target_embedding.weight"],
        "decoder": ["source_embedding.weight", "target_embedding.weight"],
        "all": ["source_embedding.weight"],
    }
    network = small(tie="all")
    torch.testing.assert_close(network.project(torch.ones(1, 16)), network.source_embedding.weight.sum(1)[None])


def test_weights_begin_as_the_papers_say():
    torch.manual_seed(1)
    network = Transformer(TransformerConfig(dim=64, heads=4, feedforward=128, max_tokens=64), 500, 500)
    named = {name: parameter.detach() for name, parameter in network.named_parameters()}
    assert float(named["source_embedding.weight"].std()) == pytest.approx(64**-0.5, rel=0.05)
    bounds = {  # Xavier's sqrt(6 / (in + out)); W^Q, W^K, W^V times 1 / sqrt(2)
        "encoder_layers.0.attention.qkv.weight": math.sqrt(3 / 128),
        "decoder_layers.0.cross.memory.weight": math.sqrt(3 / 128),
        "encoder_layers.0.attention.output.weight": math.sqrt(6 / 128),
        "encoder_layers.0.feedforward.inner.weight": math.sqrt(6 / 192),
    }
    for name, bound in bounds.items():
        assert float(named[name].abs().max()) == pytest.approx(bound, rel=0.02), name
    assert all((value == 0).all() for name, value in named.items() if name.endswith("bias"))


def test_it_is_torchs_own_encoder_layer():
    """The same weights in torch.nn.TransformerEncoderLayer give the same numbers, norm before and after."""
    for norm in ("pre", "post"):
        layer = small(norm=norm).encoder_layers[0]
        own = torch.nn.TransformerEncoderLayer(16, 2, 24, 0.0, batch_first=True, norm_first=norm == "pre").eval()
        own.load_state_dict(
            {
                "self_attn.in_proj_weight": layer.attention.qkv.weight, "self_attn.in_proj_bias": layer.attention.qkv.bias,
                **{f"self_attn.out_proj.{k}": v for k, v in layer.attention.output.state_dict().items()},
                **{f"linear1.{k}": v for k, v in layer.feedforward.inner.state_dict().items()},
                **{f"linear2.{k}": v for k, v in layer.feedforward.outer.state_dict().items()},
                **{f"norm1.{k}": v for k, v in layer.attention_norm.state_dict().items()},
                **{f"norm2.{k}": v for k, v in layer.feedforward_norm.state_dict().items()},
            }
        )  # fmt: skip
        x = torch.randn(3, 5, 16)
        want = own(x, src_key_padding_mask=~MASK)
        got = layer.rest(layer(x, MASK[:, None, None, :].expand(-1, 1, 5, -1), None))
        torch.testing.assert_close(got[MASK], want[MASK], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dim": 10, "heads": 4}, "heads"),
        ({"dim": 15, "heads": 5}, "odd"),
        ({"dim": 12, "heads": 4, "positions": "rotary"}, "odd"),
        ({"joint": False}, "tie=decoder"),
        ({"dropout": 1.0}, "dropout"),
        ({"encoder_layers": 0}, "encoder_layers"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"max_tokens": 5000}, "batch_tokens"),
    ],
)
def test_options_that_do_not_fit_are_named(options, said):
    with pytest.raises(ValueError, match=said):
        TransformerConfig(**options)


def test_the_recipe_is_what_was_published():
    plugin = registry.get("transformer")
    options, training = config.resolve(plugin, RECIPES / "multi30k-transformer.toml")
    assert (options.encoder_layers, options.decoder_layers, options.dim, options.feedforward, options.heads) == (
        4, 4, 128, 256, 4,
    )  # fmt: skip
    assert (training.learning_rate, training.warmup, training.max_steps, options.dropout) == (0.005, 2000, 8000, 0.3)
    assert training.betas == (0.9, 0.98)
    network = Transformer(options, 10_000, 10_000)
    assert 2.5e6 < sum(parameter.numel() for parameter in network.parameters()) < 2.8e6


def test_label_smoothing_is_part_of_the_loss_and_not_of_the_perplexity():
    out = TARGET.roll(-1, 1)
    target_mask = torch.tensor([[True] * 4, [True, True, False, False], [True, True, True, False]])
    batch = PairBatch(SOURCE, MASK, TARGET, out, target_mask)
    network = small(label_smoothing=0.2)
    loss, log = PLUGIN.loss(network, batch)
    logits = network.project(network.hidden(SOURCE, MASK, TARGET))[target_mask].detach()
    torch.testing.assert_close(loss.detach(), F.cross_entropy(logits, out[target_mask], label_smoothing=0.2))
    assert float(log["perplexity"]) == pytest.approx(float(F.cross_entropy(logits, out[target_mask]).exp()), rel=1e-5)
    assert (log["weight"], log["words"], log["examples"]) == (9, 9, 3)


@pytest.mark.slow  # the examination compares the graphs too
@pytest.mark.parametrize(
    "options",
    [
        {},
        *({"positions": kind, "tie": "decoder"} for kind in ("rotary", "learned")),
    ],
)
def test_the_graphs_are_the_modules(options):
    """Traced at one shape, run at others: an empty cache, one line, one token, more beams than lines."""
    network = small(**options, encoder_layers=1, decoder_layers=1)
    encode, step = network.encoder().eval(), network.stepper().eval()
    free = torch.export.Dim.DYNAMIC
    axes = {"memory.mask": (0, 1), "state.own": (0, 1, 2)}  # of any other port: line, and source or past
    ports = dict(zip(encode.outputs, encode(SOURCE, MASK), strict=True))
    names = [*step.memory, *step.state]
    memory = [ports[name] for name in step.memory]
    shapes = tuple(dict.fromkeys(axes.get(name, (0, 2)), free) for name in names)
    graphs = [
        traced(encode, (SOURCE, MASK), ({0: free, 1: free},) * 2),
        traced(step, (TARGET, *memory, *caches(step, 3, 4, 6)), ({0: free, 1: free}, shapes)),
    ]
    random = np.random.default_rng(3)
    for lines, source, beams, past in ((1, 1, 1, 0), (2, 9, 3, 0), (5, 4, 1, 7), (1, 12, 6, 1)):
        mask = torch.from_numpy(np.arange(source) < random.integers(1, source + 1, (lines, 1)))
        ids = torch.from_numpy(random.integers(12, size=(lines, source)))
        encoded = same(graphs[0], encode, (ids, mask))
        assert len(encoded) == len(encode.outputs)
        memory = encoded[: len(step.memory)]
        tokens = torch.from_numpy(random.integers(12, size=(lines, beams)))
        same(graphs[1], step, (tokens, *memory, *caches(step, lines, beams, past)))


def caches(step, lines, beams, past) -> list[torch.Tensor]:
    """A state after `past` steps in which every beam continued itself."""
    own = torch.eye(beams, dtype=torch.bool).repeat(1, past).expand(lines, -1, -1).clone()
    return [own if name == "state.own" else torch.randn(lines, 2, beams * past, 8) for name in step.state]


def traced(module, arguments, shapes) -> onnxruntime.InferenceSession:
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module, arguments, dynamo=True, opset_version=23, dynamic_shapes=shapes, external_data=False, verbose=False
        )
    return onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])


def same(session, module, arguments) -> list[torch.Tensor]:
    with torch.no_grad():
        wanted = module(*arguments)
    names = [port.name for port in session.get_inputs()]
    found = session.run(None, {n: part.numpy() for n, part in zip(names, arguments, strict=True)})
    for a, b in zip(found, wanted, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b.numpy(), atol=1e-5, rtol=1e-5)
    return list(wanted)


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """Thirty pairs of lines whose target is the source reversed, and a network that has learnt them by heart.

    The learning rate falls to zero, because otherwise the loss would jump and its last value would depend on a processor's
    rounding. Six seeds end between 0.013 and 0.03, and the tests below ask for 0.2.
    """
    random = np.random.default_rng(1)
    words = ["ab", "cd", "ef", "gh", "ij", "kl", "mn", "op"]
    lines = [random.choice(words, random.integers(2, 7)).tolist() for _ in range(30)]
    file = tmp_path_factory.mktemp("pairs") / "pairs.tsv"
    file.write_text("".join(f"{' '.join(line)}\t{' '.join(line[::-1])}\n" for line in lines))
    options = TransformerConfig(**{
        **SMALL, "dim": 32, "feedforward": 64, "batch_tokens": 200, "tokenizer": "word", "min_count": 1,
        "label_smoothing": 0.0,
    })  # fmt: skip
    corpus = PairCorpus([file])
    rule = PLUGIN.vocabulary(corpus, options)
    torch.manual_seed(1)
    network = PLUGIN.network(options, rule).train()
    optimizer = torch.optim.Adam(network.parameters(), 6e-3)
    losses, epochs = [], 80
    for number in range(epochs):
        optimizer.param_groups[0]["lr"] = 6e-3 * (1 - number / epochs)
        for batch in PLUGIN.batches(corpus, rule, options, Epoch(number, 1)):
            loss, _ = PLUGIN.loss(network, batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses.append(float(loss.detach()))
    return network.eval(), corpus, rule, options, losses


def test_thirty_pairs_are_learnt_by_heart(copied):
    *_, losses = copied
    assert losses[0] > 1.5
    assert losses[-1] < 0.2


def test_the_dev_score_is_the_bleu_of_translations(copied):
    network, corpus, rule, options, _ = copied
    score = PLUGIN.score(network, corpus, rule, options)
    assert (score.name, score.higher_is_better) == ("bleu", True)
    assert score.value > 95
    assert score.detail["loss"] < 0.2
    assert score.detail["perplexity"] == pytest.approx(math.exp(score.detail["loss"]))
    source, translation, reference = score.examples[0].split(" ||| ")
    assert translation == reference == " ".join(source.split()[::-1])
    assert len(score.examples) == 3


def test_early_stopping_may_watch_the_loss(copied):
    network, corpus, rule, options, _ = copied
    score = PLUGIN.score(network, corpus, rule, TransformerConfig(**{**config.as_dict(options), "score": "loss"}))
    assert (score.name, score.higher_is_better) == ("loss", False)
    assert 0 <= score.value < 0.2
    assert len(score.examples) == 3


def test_greedy_steps_are_the_likeliest_words_of_the_whole_pass(copied):
    network, _, rule, _, _ = copied
    encoded = rule.encode(["ab cd ef", "kl kl"])
    source = torch.tensor([encoded.ids[:4].tolist(), [*encoded.ids[4:].tolist(), rule.source_pad]])
    mask = torch.tensor([[True] * 4, [True, True, True, False]])
    found = greedy(network.encoder(), network.stepper(), source, mask, rule.start, rule.eos, torch.tensor([20, 20]))
    assert all(0 < len(ids) < 20 for ids in found)
    for line, ids in enumerate(found):
        before = torch.tensor([[rule.start, *ids]])
        logits = network.project(network.hidden(source[line : line + 1], mask[line : line + 1], before))
        assert logits[0].argmax(-1).tolist() == [*ids, rule.eos]


def test_the_graph_explain_has_lines_first():
    network = small(encoder_layers=3)
    shown = network.explain(SOURCE, MASK, TARGET)
    for name, weights in zip(("encoder", "decoder", "cross"), network.explainer()(SOURCE, MASK, TARGET), strict=True):
        torch.testing.assert_close(weights, shown[name].transpose(0, 1))
