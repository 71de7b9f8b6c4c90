"""The transformer of encoders: against torch's own layer and MPNet's distances, with padding, exported, learning an order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from textkit.bundle.weights import weights_of
from textkit.exporting import quantize_graph
from textkit.exporting.parity import load
from textkit.serving.padding import SOURCES, whole_groups
from textkit.tasks.embed.exporting.export import trace
from textkit_plugins.encoder.options import EncoderOptions
from textkit_plugins.encoder.transformer import Transformer, attention, relative_buckets

IDS = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 0, 0, 0], [3, 0, 0, 0, 0]])
LENGTHS = (5, 2, 1)
REAL = torch.arange(5) < torch.tensor(LENGTHS)[:, None]
ROWS = 20
VARIANTS = {"plain": {}, "relative": {"relative_buckets": 8, "relative_distance": 6, "activation": "relu"}}


def options(**given) -> EncoderOptions:
    fixed = {
        "text": "bpe", "encoder": "transformer", "dim": 32, "heads": 4, "layers": 2, "feedforward": 48, "positions": 24,
        "dropout": 0.0, "norm_epsilon": 1e-5,
    }  # fmt: skip
    return EncoderOptions(**fixed | given)


def network(**given) -> Transformer:
    """Weights far from those at first, so that every part of the network matters."""
    torch.manual_seed(5)
    made = Transformer(options(**given), ROWS).eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.3)
            elif "norm" in name:
                parameter.normal_(1, 0.2)
            else:
                parameter.normal_(0, 0.4 if parameter.dim() > 1 else 1)
    return made


@pytest.fixture(params=VARIANTS)
def made(request) -> Transformer:
    return network(**VARIANTS[request.param])


class Masked(nn.Module):
    """The module behind the graph `embed`, as families give it."""

    def __init__(self, tokens: nn.Module) -> None:
        super().__init__()
        self.tokens = tokens

    def forward(self, ids, weight):
        return self.tokens(ids, weight > 0)


class Both(nn.Module):
    """As families hold the network, and beside it its operators."""

    def __init__(self, module: Masked) -> None:
        super().__init__()
        self.module = module

    def forward(self, ids, weight):
        return self.module.operators(ids, weight > 0)


# ---- the network


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_layers_are_those_of_torch(activation):
    ours = network(activation=activation)
    config = ours.options
    theirs = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(
            config.dim, config.heads, config.feedforward, 0.0, activation, config.norm_epsilon, batch_first=True
        ),
        config.layers,
        enable_nested_tensor=False,
    ).eval()
    with torch.no_grad():
        for layer, other in zip(ours.layers, theirs.layers, strict=True):
            for part, name in (
                (layer.output, "self_attn.out_proj"), (layer.inner, "linear1"), (layer.outer, "linear2"),
                (layer.attention_norm, "norm1"), (layer.feedforward_norm, "norm2"),
            ):  # fmt: skip
                other.get_submodule(name).load_state_dict(part.state_dict())
            parts = (layer.query, layer.key, layer.value)
            other.self_attn.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
            other.self_attn.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
        embedded = ours.embedding.weight[IDS] + ours.positions.weight[:5]
        first = functional.layer_norm(embedded, (32,), ours.norm.weight, ours.norm.bias, 1e-5)
        wanted = theirs(first, src_key_padding_mask=~REAL)
        found = ours(IDS, REAL)
    assert wanted[REAL].std() > 0.3
    assert torch.allclose(found[REAL], wanted[REAL], atol=1e-5)


def test_padding_changes_nothing(made):
    with torch.no_grad():
        together = made(IDS, REAL)
        for line, length in enumerate(LENGTHS):
            alone = made(IDS[line : line + 1, :length], REAL[line : line + 1, :length])
            assert torch.allclose(alone[0], together[line, :length], atol=1e-5)
            other = IDS.clone()
            other[line, length:] = 9  # what stands at padding is never read
            assert torch.allclose(made(other, REAL)[line, :length], together[line, :length], atol=1e-6)


def test_a_line_of_padding_alone_is_numbers(made):
    with torch.no_grad():
        assert torch.isfinite(made(IDS, torch.zeros_like(REAL))).all()


def test_places_matter(made):
    with torch.no_grad():
        forwards, backwards = (
            made(ids[None], torch.ones(1, 3, dtype=bool)) for ids in (IDS[0, :3], IDS[0, :3].flip(0))
        )
    assert (forwards - backwards.flip(1)).abs().max() > 0.1


def test_distances_fall_into_buckets_as_in_mpnet():
    pytest.importorskip("transformers", reason="it has MPNet's own buckets: pip install '.[test]'")
    from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

    found = relative_buckets(512, 32, 128)
    apart = torch.arange(-511, 512)
    assert torch.equal(found, MPNetEncoder.relative_position_bucket(apart, 32, 128))


def test_buckets_by_hand():
    # 8 buckets, 4 on either side: distances 0 and 1 have their own, distance d has 2 + 2 ln(d/2) / ln(16/2), at most 3
    found = relative_buckets(9, 8, 16).tolist()
    behind = [0, 1, 2, 2, 2, 2, 3, 3, 3]  # at distances 0 to 8: 2 ln(5/2)/ln 8 is .88, 2 ln(6/2)/ln 8 is 1.06
    assert found[8:] == [behind[0], *(4 + bucket for bucket in behind[1:])]
    assert found[:8] == behind[:0:-1]


def test_relative_biases_move_attention():
    """With keys that are all alike, a token attends as its distances' biases say."""
    one = network(layers=1, relative_buckets=8, relative_distance=6, heads=1)
    with torch.no_grad():
        one.relative.weight.zero_()
        one.relative.weight[relative_buckets(24, 8, 6)[23 + 1]] = 50.0  # the next token, and nothing else
        mask = one.mask(torch.ones(1, 4, dtype=bool))
    shares = mask[0, 0].softmax(-1)
    assert shares[:3].argmax(1).tolist() == [1, 2, 3]
    assert shares[:3].max(1).values.min() > 0.999


def test_plain_products_of_bfloat16_are_attention():
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, 5, 8, dtype=torch.bfloat16) for _ in range(3))
    mask = torch.where(torch.arange(5) < torch.tensor([[5], [3]]), 0.0, -6e4)[:, None, None]
    wanted = attention(query.float(), key.float(), value.float(), mask, 0.0)
    found = attention(query.requires_grad_(), key, value, mask, 0.0)
    assert found.dtype == torch.bfloat16
    assert (found.float() - wanted).abs().max() < 0.05


def test_dropout_is_for_training_alone():
    made = network(dropout=0.5)
    with torch.no_grad():
        assert torch.equal(made(IDS, REAL), made(IDS, REAL))
        made.train()
        assert not torch.equal(made(IDS, REAL), made(IDS, REAL))


def test_an_order_is_learnt():
    """Whether 1 comes before 2: a bag of tokens cannot tell."""
    torch.manual_seed(0)
    made = Transformer(options(layers=1, dim=16, heads=2, feedforward=32), ROWS)
    head = nn.Linear(16, 1)
    optimizer = torch.optim.Adam([*made.parameters(), *head.parameters()], 0.01)
    random = np.random.default_rng(0)
    each = torch.arange(64)

    def batch():
        ids = torch.from_numpy(random.integers(3, ROWS, (64, 6)))
        places = torch.from_numpy(np.array([random.permutation(6)[:2] for _ in each]))
        ids[each, places[:, 0]], ids[each, places[:, 1]] = 1, 2
        return ids, (places[:, 0] < places[:, 1]).float()

    for _ in range(80):
        ids, wanted = batch()
        logits = head(made(ids, torch.ones_like(ids, dtype=bool)).mean(1))[:, 0]
        loss = functional.binary_cross_entropy_with_logits(logits, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        ids, wanted = batch()
        right = (head(made(ids, torch.ones_like(ids, dtype=bool)).mean(1))[:, 0] > 0) == (wanted > 0.5)
    assert right.float().mean() > 0.95


def test_every_parameter_learns(made):
    made.train()
    made(IDS, REAL)[REAL].square().mul(torch.arange(32)).sum().backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"heads": 5}, "dim must be a multiple of heads"),
        ({"relative_buckets": 7}, "relative_buckets=7: must be 0, or even and at least 4"),
        ({"relative_buckets": 2}, "relative_buckets=2"),
        ({"relative_buckets": 64, "relative_distance": 16}, "relative_distance=16: must be above a quarter"),
        ({"positions": 0}, "positions=0: must be at least 1"),
    ],
)
def test_wrong_options_are_named(given, said):
    with pytest.raises(ValueError, match=said):
        options(**given)


# ---- the graph


def feeds(ids: torch.Tensor, real: torch.Tensor) -> dict[str, np.ndarray]:
    return {"ids": ids.numpy(), "weight": real.float().numpy()}


@pytest.mark.slow
@pytest.mark.parametrize("made", ["plain", pytest.param("relative", marks=pytest.mark.slow)], indirect=True)
def test_the_graph_computes_what_the_network_does(made):
    model = trace(Masked(made.exportable()), ROWS)
    session = load(model.SerializeToString())
    assert session.attends
    assert session.most_tokens == 512
    generator = torch.Generator().manual_seed(1)
    for lines, tokens in ((1, 1), (2, 24), (5, 9)):
        ids = torch.randint(ROWS, (lines, tokens), generator=generator)
        real = torch.arange(tokens) < torch.randint(1, tokens + 1, (lines, 1), generator=generator)
        with torch.no_grad():
            wanted = made(ids, real)[real]
        found = session.run(feeds(ids, real))["rows"][real.numpy()]
        assert np.abs(found - wanted.numpy()).max() < 2e-5
    blank = session.run(feeds(IDS, torch.zeros_like(REAL)))["rows"]
    assert np.isfinite(blank).all()


@pytest.mark.parametrize("made", ["plain", pytest.param("relative", marks=pytest.mark.slow)], indirect=True)
def test_the_graph_has_few_operators(made):
    """One Attention a layer that splits its heads itself, one Gelu, and no matrix that is turned when it runs."""
    graph = trace(Masked(made.exportable()), ROWS).graph
    count = {
        kind: sum(node.op_type == kind for node in graph.node)
        for kind in ("Attention", "Gelu", "BiasGelu", "MatMul", "Split")
    }
    gelu = made.options.activation == "gelu"
    assert count == {"Attention": 2, "Gelu": 2 * gelu, "BiasGelu": 0, "MatMul": 12, "Split": 0}
    heads = {a.name: a.i for node in graph.node if node.op_type == "Attention" for a in node.attribute}
    assert heads["q_num_heads"] == heads["kv_num_heads"] == 4
    assert sum(node.op_type == "Transpose" for node in graph.node) == bool(made.options.relative_buckets)


@pytest.mark.parametrize("precision", [pytest.param("fp32", marks=pytest.mark.slow), "int8"])
def test_a_line_is_alike_alone_and_among_longer_ones(precision):
    """Padded as in serving, to whole groups: to the last bit, since rounding to integers can make a bit a whole step."""
    made = network(dim=64, heads=2, feedforward=128, positions=512)
    model = trace(Masked(made.exportable()), ROWS)
    if precision == "int8":
        model = quantize_graph.lower(model, "int8")
        assert any(node.op_type == "MatMulIntegerToFloat" for node in model.graph.node)
    session = load(model.SerializeToString())
    lengths = torch.tensor([3, 8, 9, 17, 40, 50, 63, 70, 100, 130, 200, 260])
    random = torch.randint(ROWS, (len(lengths), 264), generator=torch.Generator().manual_seed(2))
    real = torch.arange(264) < lengths[:, None]
    together = session.run(feeds(random * real, real))["rows"]
    for line, length in enumerate(lengths.tolist()):
        wide = whole_groups(length, 512, SOURCES)
        alone = session.run(feeds((random * real)[line : line + 1, :wide], real[line : line + 1, :wide]))["rows"]
        assert np.array_equal(alone[0, :length], together[line, :length]), length


@pytest.mark.slow
def test_a_training_can_begin_with_the_weights_of_a_graph(made):
    """All have their names back, but for the biases that a graph does without; the network is the same."""
    module = Masked(made)
    module.operators = made.exportable()
    weights = weights_of(trace(Both(module), ROWS).SerializeToString())
    again = Transformer(made.options, ROWS).eval()
    found = {
        name.removeprefix("module.operators.").removeprefix("module.tokens."): array for name, array in weights.items()
    }
    # A turned matrix is what products are made with; the matrix itself is there, too.
    found = {name: array for name, array in found.items() if not name.endswith(".turned")}
    missing = again.state_dict().keys() - found.keys()
    assert {name.split(".", 2)[2] for name in missing} == {"key.bias", "value.bias"}
    again.load_state_dict({**again.state_dict(), **{name: torch.tensor(array) for name, array in found.items()}})
    with torch.no_grad():
        assert (again(IDS, REAL) - made(IDS, REAL))[REAL].abs().max() < 1e-5
