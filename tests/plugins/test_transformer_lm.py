"""The decoder-only transformer: read at once, in chunks, padded, token by token; positions; what its options refuse."""

from __future__ import annotations

import pytest
import torch

from textkit.config import resolve
from textkit.registry import registry
from textkit_plugins.transformer.decoder import TransformerLm
from textkit_plugins.transformer.language import TransformerLmConfig

SMALL = {"dim": 16, "heads": 2, "feedforward": 24, "layers": 2, "context": 32, "bptt": 16, "dropout": 0.0}
KINDS = [
    {},
    {"positions": "rotary", "norm": "post", "activation": "gelu"},
    {"positions": "learned", "tie": False, "output_bias": True, "scale_embedding": False},
]


@pytest.fixture(params=KINDS, ids=["sinusoidal", "rotary", "learned"])
def network(request: pytest.FixtureRequest) -> TransformerLm:
    torch.manual_seed(4)
    made = TransformerLm(TransformerLmConfig(**SMALL | request.param), 11).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made


def words(*shape: int) -> torch.Tensor:
    return torch.randint(11, shape, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_chunks_with_a_cache_are_the_whole_pass(network):
    token = words(2, 13)
    wanted = network.project(network.hidden(token)[0])
    module, found = network.scorer(), []
    state = module.begin(2)
    for part in token.split([6, 1, 4, 2], 1):
        logits, *state = module(part, torch.ones_like(part, dtype=torch.bool), *state)
        found.append(logits)
    assert torch.allclose(torch.cat(found, 1), wanted, atol=1e-5)


@torch.no_grad()
def test_no_token_sees_a_later_one(network):
    token = words(1, 9)
    changed = token.clone()
    changed[0, 5] = (changed[0, 5] + 1) % 11
    before, after = network.hidden(token)[0], network.hidden(changed)[0]
    assert torch.equal(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5:], after[:, 5:])


@torch.no_grad()
def test_padding_is_seen_by_nobody_afterwards(network):
    """A line of three tokens beside one of seven; then both are continued."""
    token, more = words(2, 7), words(2, 4)
    mask = torch.arange(7) < torch.tensor([[7], [3]])
    module = network.scorer()
    _, *state = module(token, mask, *module.begin(2))
    logits, *_ = module(more, torch.ones_like(more, dtype=torch.bool), *state)
    alone = network.project(network.hidden(torch.cat([token[1:, :3], more[1:]], 1))[0])[:, 3:]
    assert torch.allclose(logits[1:], alone, atol=1e-5)


@torch.no_grad()
def test_steps_of_beams_that_change_their_parents(network):
    """Three beams of one prompt; the second step continues the first beam twice."""
    prompt, module, step = words(1, 5), network.scorer(), network.stepper()
    _, *state = module(prompt, torch.ones_like(prompt, dtype=torch.bool), *module.begin(1))
    caches, own = state[:-1], state[-1][:, None].expand(-1, 3, -1)
    first, second = torch.tensor([[1, 2, 3]]), torch.tensor([[4, 5, 6]])
    _, *state = step(first, *caches, own)
    caches, own = state[:-1], state[-1][:, torch.tensor([0, 0, 2])]
    logits, *_ = step(second, *caches, own)
    for beam, (before, last) in enumerate([(1, 4), (1, 5), (3, 6)]):
        whole = torch.cat([prompt, torch.tensor([[before, last]])], 1)
        assert torch.allclose(logits[0, beam], network.project(network.hidden(whole)[0])[0, -1], atol=1e-5)


def test_tied_tables_are_one_parameter():
    tied, apart = (TransformerLm(TransformerLmConfig(**SMALL, tie=tie), 11) for tie in (True, False))
    assert tied.project_weight is tied.embedding.weight
    assert apart.project_weight is not apart.embedding.weight
    assert sum(p.numel() for p in apart.parameters()) - sum(p.numel() for p in tied.parameters()) == 11 * 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bptt": 33}, "beyond context=32"),
        ({"bptt": 17, "random_bptt": True}, "chunks of up to 34 tokens"),
        ({"context": 1, "bptt": 1}, "context=1"),
        ({"layers": 0}, "layers=0"),
        ({"heads": 3}, "heads=3"),
        ({"dim": 10, "heads": 2, "positions": "rotary"}, "odd"),
    ],
)
def test_what_its_options_refuse(options, message):
    with pytest.raises(ValueError, match=message):
        TransformerLmConfig(**SMALL | options)


def test_it_is_found_by_its_name():
    plugin = registry.get("transformer-lm")
    config, training = resolve(plugin, None, ["layers=1"])
    assert (plugin.task, config.layers, training.optimizer) == ("language", 1, "adamw")
