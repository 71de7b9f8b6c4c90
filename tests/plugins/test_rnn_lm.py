"""rnn-lm and nnlm: regularisers against their formulas, the adaptive softmax against torch's, the sampled softmax against the
full one, steps against whole passes, graphs, and a text that is learnt."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from textkit import config
from textkit.corpora.corpus import Corpus
from textkit.corpora.language_tokenizing import LanguageTokenizerOptions, learn
from textkit.corpora.text_stream import encoded_text, text_chunks
from textkit.errors import TextkitError
from textkit.families.chunked_loss import cross_entropy
from textkit.families.recurrent import Recurrent
from textkit.plugin import Epoch
from textkit.tasks.language.exporting.export import exported
from textkit.tasks.language.family import dev_loss
from textkit_plugins.rnn_lm.adaptive import AdaptiveSoftmax
from textkit_plugins.rnn_lm.modelling import NnlmPlugin, RnnLmPlugin
from textkit_plugins.rnn_lm.network import RnnLm, weight_dropped
from textkit_plugins.rnn_lm.options import NnlmConfig, RnnLmConfig
from textkit_plugins.rnn_lm.sampled import candidates
from textkit_plugins.rnn_lm.window import Nnlm

CELLS = ("rnn", "gru", "lstm")
WORDS = 11
NOTHING = dict.fromkeys(
    ("dropout_embedding", "dropout_input", "dropout_hidden", "dropout_output", "weight_drop"), 0.0
) | dict.fromkeys(("activation_regularization", "temporal_activation_regularization"), 0.0)
MILD = [f"{key}=0.02" for key in NOTHING]
TOKEN = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10], [3, 3, 3, 3, 3]])
LENGTHS = (5, 2, 1)
LETTERS = "abcdefghijklmnop"


def small(**options) -> RnnLm:
    torch.manual_seed(5)
    options = {"dim": 6, "hidden": 8, "layers": 2, "streams": 3, **NOTHING, **options}
    return RnnLm(RnnLmConfig(**options), WORDS)


def window(**options) -> Nnlm:
    torch.manual_seed(5)
    return Nnlm(NnlmConfig(**{"order": 4, "dim": 6, "hidden": 8, "streams": 3, **options}), WORDS, eos=2)


ALL = {
    **{cell: lambda cell=cell: small(cell=cell) for cell in CELLS},
    "untied": lambda: small(tie=False),
    "three layers": lambda: small(layers=3),
    "adaptive": lambda: small(tie=False, softmax="adaptive", cutoffs=(3, 6)),
    "sampled": lambda: small(softmax="sampled", samples=2),
    "nnlm": window,
    "nnlm direct": lambda: window(direct=True),
    "bigram": lambda: window(order=2),
}


@pytest.fixture(params=ALL)
def network(request) -> nn.Module:
    return ALL[request.param]().eval()


def words_read(network: nn.Module, token: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """Log-probabilities f32[line, token, vocab] by the whole pass that training makes, and the state after it."""
    hidden, state = network.hidden(token, network.begin(len(token)))
    return network.project(hidden).log_softmax(-1), state


# ---- passes


def test_steps_say_what_the_whole_pass_says(network):
    """`hidden`, the score module at once, and the step module word by word, for two beams that read the same words."""
    wanted, last = words_read(network, TOKEN)
    score, step = network.scorer(), network.stepper()
    assert score.state == step.state
    assert [part.shape for part in score.begin(3)] == [part.shape for part in last]
    logits, *after = score(TOKEN, torch.ones_like(TOKEN, dtype=torch.bool), *score.begin(3))
    assert torch.allclose(logits.log_softmax(-1), wanted, atol=1e-5)
    state = [part[:, None].expand(-1, 2, *part.shape[1:]) for part in step.begin(3)]  # [line, beam, ...]
    for at, token in enumerate(TOKEN.unbind(1)):
        logits, *state = step(token[:, None].expand(-1, 2), *state)
        assert torch.allclose(logits.log_softmax(-1), wanted[:, at, None].expand(-1, 2, -1), atol=1e-5)
    for whole, scored, stepped in zip(last, after, state, strict=True):
        assert torch.allclose(scored.float(), whole.float(), atol=1e-5)
        assert torch.allclose(stepped[:, 1].float(), whole.float(), atol=1e-5)


def test_padding_changes_nothing_and_what_follows_goes_on_from_the_last_word(network):
    score = network.scorer()
    mask = torch.arange(5) < torch.tensor(LENGTHS)[:, None]
    logits, *after = score(TOKEN, mask, *score.begin(3))
    for line, length in enumerate(LENGTHS):
        alone, *state = score(TOKEN[line : line + 1, :length], mask[line : line + 1, :length], *score.begin(1))
        assert torch.allclose(logits[line, :length], alone[0], atol=1e-5)
        for together, apart in zip(after, state, strict=True):
            assert torch.allclose(together[line].float(), apart[0].float(), atol=1e-5)
    nothing = torch.zeros_like(mask)
    for before, same in zip(after, score(TOKEN, nothing, *after)[1:], strict=True):
        assert torch.equal(before, same)


def test_two_chunks_are_one_text(network):
    wanted, last = words_read(network, TOKEN)
    first, state = network.hidden(TOKEN[:, :2], network.begin(3))
    second, state = network.hidden(TOKEN[:, 2:], state)
    found = network.project(torch.cat([first, second], 1)).log_softmax(-1)
    assert torch.allclose(found, wanted, atol=1e-5)
    assert all(torch.allclose(a.float(), b.float(), atol=1e-5) for a, b in zip(state, last, strict=True))


def test_the_loss_is_that_of_the_logits(network):
    hidden, _ = network.hidden(TOKEN[:, :-1], network.begin(3))
    flat, target = hidden.flatten(0, 1), TOKEN[:, 1:].flatten()
    wanted = nn.functional.nll_loss(network.project(flat).log_softmax(-1), target)
    assert cross_entropy(network, flat, target).item() == pytest.approx(wanted.item(), rel=1e-5)


def test_every_parameter_learns(network):
    network.train()
    hidden, _ = network.hidden(TOKEN, network.begin(3))
    network.project(hidden).log_softmax(-1)[..., 1].sum().backward()
    assert {name for name, part in network.named_parameters() if part.grad is None or not part.grad.any()} == set()


# ---- the regularisers


@pytest.mark.parametrize("cell", CELLS)
def test_weight_drop_is_the_layer_with_another_matrix(cell):
    """Merity et al. 2018, section 2: M * U replaces U, with the same M at every step; U's gradient goes through M."""
    torch.manual_seed(0)
    layer, x = Recurrent(cell, 3, 4), torch.randn(2, 6, 3)
    state = tuple(torch.randn(2, 4) for _ in range(layer.states))
    torch.manual_seed(7)
    outputs, last = weight_dropped(layer, x, state, 0.5)
    torch.manual_seed(7)
    matrix = nn.functional.dropout(layer.layer.weight_hh_l0.detach(), 0.5)
    other = Recurrent(cell, 3, 4)
    other.load_state_dict(layer.state_dict() | {"layer.weight_hh_l0": matrix})
    wanted, wanted_last = other(x, None, state)
    assert torch.allclose(outputs, wanted, atol=1e-6)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(last, wanted_last, strict=True))
    outputs.sum().backward()
    wanted.sum().backward()
    through = other.layer.weight_hh_l0.grad * (matrix != 0) * 2
    assert torch.allclose(layer.layer.weight_hh_l0.grad, through, atol=1e-5)
    assert 0 < (matrix == 0).float().mean() < 1


def test_weight_drop_is_for_training_alone():
    network = small(weight_drop=0.5)
    assert not torch.equal(words_read(network, TOKEN)[0], words_read(network, TOKEN)[0])
    network.eval()
    plain = small().eval()
    assert torch.equal(words_read(network, TOKEN)[0], words_read(plain, TOKEN)[0])


def test_a_mask_of_locked_dropout_is_the_same_at_all_tokens():
    """Gal and Ghahramani 2016: one mask per line; kept numbers are divided by the share that is kept."""
    x = torch.ones(200, 5, 40)
    dropped = small().dropout(x, 0.25)
    assert torch.equal(dropped, dropped[:, :1].expand_as(x))
    assert dropped.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert not torch.equal(dropped[0], dropped[1])
    each = small(variational=False).dropout(x, 0.25)
    assert not torch.equal(each, each[:, :1].expand_as(x))


def test_embedding_dropout_takes_whole_words_wherever_they_stand():
    network = small(dropout_embedding=0.5)
    token = torch.arange(WORDS).repeat(2, 3)  # [line, token]: each word six times
    ratio = (network.embed(token) / network.embedding(token)).view(2, 3, WORDS, -1)
    assert torch.allclose(ratio, ratio[:1, :1, :, :1].expand_as(ratio), atol=1e-5)
    kept = ratio[0, 0, :, 0]
    assert set(kept.round(decimals=4).tolist()) == {0.0, 2.0}
    assert torch.equal(network.eval().embed(token), network.embedding(token))


def test_where_each_dropout_is():
    """Input dropout comes before the first layer, hidden dropout between layers, output dropout after the last layer."""
    for place, calls in (("input", [0]), ("hidden", [1, 2]), ("output", [3])):
        network = small(layers=3, **{f"dropout_{place}": 0.5})
        shares = []
        network.dropout = lambda x, share, shares=shares: shares.append(share) or x
        network.hidden(TOKEN, network.begin(3))
        assert [at for at, share in enumerate(shares) if share] == calls
        assert len(shares) == 4


def test_penalties_by_hand():
    """Merity et al. 2018, section 4.5. Outputs (1, 2), (3, 2), the second number dropped, the first doubled by dropout:
    AR 2 * mean(4, 0, 36, 0) = 20, TAR 3 * mean(4, 0) = 6."""
    network = small(activation_regularization=2.0, temporal_activation_regularization=3.0, dropout_output=0.5)
    network.read = lambda token, state: (torch.tensor([[[1.0, 2.0], [3.0, 2.0]]]), ())
    network.dropout = lambda x, share: x * torch.tensor([2.0, 0.0])
    hidden, _, penalty = network.regularised(TOKEN[:1, :2], ())
    assert hidden.tolist() == [[[2.0, 0.0], [6.0, 0.0]]]
    assert penalty.item() == pytest.approx(26.0)
    network.read = lambda token, state: (torch.tensor([[[1.0, 2.0]]]), ())
    assert network.regularised(TOKEN[:1, :1], ())[2].item() == pytest.approx(4.0)  # a single output has no next one


def test_beginnings_are_those_of_the_paper():
    """Merity et al. 2018, section 5: embeddings within 0.1, other weights within 1 / sqrt(hidden)."""
    network = RnnLm(RnnLmConfig(dim=30, hidden=50), 200)
    assert 0.099 < network.embedding.weight.abs().max() <= 0.1
    for layer, hidden in zip(network.layers, (50, 30), strict=True):
        bound = hidden**-0.5
        assert all(0.9 * bound < part.abs().max() <= bound for part in layer.parameters())
    assert not network.project_bias.any()


def test_tied_tables_are_one_parameter():
    network = small(layers=3)
    assert network.project_weight is network.embedding.weight
    assert [layer.hidden for layer in network.layers] == [8, 8, 6]  # the last one as wide as a word
    assert sum(part.shape == (WORDS, 6) for part in network.parameters()) == 1
    untied = small(tie=False)
    assert untied.project_weight is untied.output.weight
    assert [layer.hidden for layer in untied.layers] == [8, 8]


# ---- the adaptive softmax


@pytest.mark.parametrize(("cutoffs", "div_value"), [((4, 12, 30), 4.0), ((10, 30), 2.0), ((1, 2, 3, 30), 1.0)])
def test_adaptive_softmax_is_that_of_torch(cutoffs, div_value):
    torch.manual_seed(3)
    ours = AdaptiveSoftmax(16, cutoffs, div_value)
    theirs = nn.AdaptiveLogSoftmaxWithLoss(16, 30, list(cutoffs[:-1]), div_value)
    theirs.load_state_dict(ours.state_dict())
    hidden = torch.randn(50, 16, requires_grad=True)
    target = torch.randint(30, (50,))
    assert torch.allclose(ours.log_prob(hidden), theirs.log_prob(hidden), atol=1e-5)
    assert torch.allclose(ours.log_prob(hidden).exp().sum(-1), torch.ones(50), atol=1e-5)
    loss, wanted = ours(hidden, target), theirs(hidden, target).loss
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, hidden, retain_graph=True)
    (reference,) = torch.autograd.grad(wanted, hidden)
    assert torch.allclose(gradient, reference, atol=1e-6)
    assert ours(hidden[:5], torch.zeros(5, dtype=torch.int64)).isfinite()  # no target is in a tail


def test_clusters_by_themselves_and_by_hand():
    options = RnnLmConfig(softmax="adaptive", tie=False)
    assert options.clusters(30_000) == (2000, 10_000, 30_000)
    for words in (3, 4, 5, 20):
        found = options.clusters(words)
        assert found[-1] == words
        assert all(a < b for a, b in pairwise(found))
    with pytest.raises(TextkitError, match="cutoffs: 50 must be below the vocabulary size, 40"):
        RnnLmConfig(softmax="adaptive", tie=False, cutoffs=(10, 50)).clusters(40)


# ---- the sampled softmax


def test_candidates_by_hand():
    torch.manual_seed(1)
    target = torch.tensor([7, 0, 4, 7, 1, 9])
    words, weight, place = candidates(target, 10, frequent=3, samples=2)
    assert words[:6].tolist() == [0, 1, 2, 4, 7, 9]  # the frequent words, and the targets that are not frequent
    assert set(words[6:].tolist()) <= {3, 5, 6, 8}
    assert len(set(words.tolist())) == len(words) == 8
    assert weight.tolist() == pytest.approx([0.0] * 6 + [math.log(4 / 2)] * 2)
    assert words[place].tolist() == target.tolist()
    words, weight, _ = candidates(target, 10, frequent=3, samples=50)  # more samples than words: all, unweighted
    assert sorted(words.tolist()) == list(range(10))
    assert weight.tolist() == [0.0] * 10
    words, _, place = candidates(target, 10, frequent=10, samples=2)
    assert words.tolist() == list(range(10))
    assert place.tolist() == target.tolist()


def test_the_mean_sum_over_samples_is_that_over_all_words():
    torch.manual_seed(2)
    logits, target = torch.randn(20).double() * 2, torch.tensor([3, 11])
    found = []
    for _ in range(4000):
        words, weight, _ = candidates(target, 20, frequent=5, samples=4)
        found.append((logits[words] + weight).exp().sum())
    spread = torch.stack(found).std() / math.sqrt(len(found))
    assert spread > 0
    assert abs(torch.stack(found).mean() - logits.exp().sum()) < 4 * spread


def test_a_sample_is_for_training_alone():
    network = small(softmax="sampled", frequent=2, samples=3)
    nn.init.normal_(network.project_bias)
    hidden, target = torch.randn(4, 6) * 5, torch.tensor([1, 5, 9, 9])
    full = small()
    full.load_state_dict(network.state_dict())
    exact = full.cross_entropy(hidden, target)
    assert network.eval().cross_entropy(hidden, target).item() == exact.item()
    torch.manual_seed(1)
    losses = {round(network.train().cross_entropy(hidden, target).item(), 6) for _ in range(20)}
    assert len(losses) > 5
    enough = small(softmax="sampled", frequent=2, samples=WORDS).train()
    enough.load_state_dict(full.state_dict())
    loss = enough.cross_entropy(hidden, target)
    assert loss.item() == pytest.approx(exact.item(), rel=1e-5)
    names = ("embedding.weight", "project_bias")
    got = torch.autograd.grad(loss, [enough.get_parameter(name) for name in names])
    wanted = torch.autograd.grad(exact, [full.get_parameter(name) for name in names])
    for mine, theirs in zip(got, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-5)


def test_how_many_words_are_frequent():
    assert RnnLmConfig(softmax="sampled").always(33_278) == 4159
    assert RnnLmConfig(softmax="sampled").always(5) == 1
    assert RnnLmConfig(softmax="sampled", frequent=100).always(40) == 40


# ---- the window


def test_nnlm_is_equation_1():
    """y = b + W x + U tanh(d + H x); x is the rows of the last n - 1 words, newest first; ends of lines precede the text."""
    network = window(direct=True)
    nn.init.normal_(network.project_bias)
    found = network.project(network.hidden(torch.tensor([[5, 7]]), network.begin(1))[0])
    table = network.embedding.weight
    for at, words in enumerate(([5, 2, 2], [7, 5, 2])):  # eos is 2
        x = torch.cat([table[word] for word in words])
        inner = torch.tanh(network.inner.bias + network.inner.weight @ x)
        wanted = network.project_bias + network.project_weight[:, 8:] @ x + network.project_weight[:, :8] @ inner
        assert torch.allclose(found[0, at], wanted, atol=1e-5)


def test_nnlm_forgets_what_is_further_away():
    network = window(order=3).eval()
    one, other = (
        words_read(network, torch.tensor([[1, 2, 3, 4]]))[0],
        words_read(network, torch.tensor([[9, 9, 3, 4]]))[0],
    )
    assert torch.equal(one[:, -1], other[:, -1])
    assert not torch.equal(one[:, -2], other[:, -2])


# ---- options, graphs, learning


@pytest.mark.parametrize(
    ("assignment", "reason"),
    [
        ("bidirectional=true", "cannot say which word comes next"),
        ("softmax=adaptive", "set tie=false"),
        ("layers=0", "layers=0: must be at least 1"),
        ("weight_drop=1", "below 1"),
        ("dropout_input=-0.1", "at least 0"),
        ("activation_regularization=-1", "at least 0"),
        ("cutoffs=5,3", "ascending"),
        ("div_value=0.5", "at least 1"),
        ("bptt=0", "bptt=0"),
    ],
)
def test_options_that_make_no_model_are_refused(assignment, reason):
    with pytest.raises(TextkitError, match=reason):
        config.resolve(RnnLmPlugin(), None, [assignment])


@pytest.mark.parametrize(("assignment", "reason"), [("order=1", "order=1"), ("hidden=0", "hidden=0")])
def test_options_of_nnlm_that_make_no_model_are_refused(assignment, reason):
    with pytest.raises(TextkitError, match=reason):
        config.resolve(NnlmPlugin(), None, [assignment])


@pytest.fixture
def text(tmp_path) -> Corpus:
    """A language of four lines: except for the first of a line, each word is determined by the word before."""
    draw = random.Random(0)
    file = tmp_path / "text.txt"
    file.write_text(
        "".join(" ".join(LETTERS[at : at + 4]) + "\n" for at in (draw.randrange(0, 16, 4) for _ in range(120)))
    )
    return Corpus([file])


@pytest.mark.slow
def test_graphs_of_an_adaptive_softmax_are_served(text):
    """The export compares the graphs with the modules; this test checks that the ports and their axes are as promised."""
    plugin = RnnLmPlugin()
    rule = learn(text, LanguageTokenizerOptions())
    assignments = ["dim=8", "hidden=8", "cell=gru", "tie=false", "softmax=adaptive", "cutoffs=4,6"]
    options, _ = config.resolve(plugin, None, assignments)
    torch.manual_seed(0)
    network = plugin.network(options, rule)
    found = exported(plugin.graphs(network, rule, options), rule, ["a b c d", "d"], "fp32")
    session = onnxruntime.InferenceSession(found.graphs["score"], providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_inputs()]
    assert names == ["previous", "ids", "weight", "state.hidden0", "state.hidden1"]
    assert [port.name for port in session.get_outputs()] == ["logprob", "state.hidden0.next", "state.hidden1.next"]
    begin = {name: part.numpy() for name, part in zip(network.state, network.begin(1), strict=True)}
    ids = np.array([[3, 4, 0]])
    given = {"previous": np.array([rule.eos]), "ids": ids, "weight": np.ones((1, 3), np.float32), **begin}
    (logprob, *_) = session.run(None, given)
    wanted, _ = words_read(network.eval(), torch.tensor([[rule.eos, 3, 4]]))
    assert np.allclose(logprob[0], wanted[0, torch.arange(3), torch.tensor(ids[0])].detach(), atol=1e-5)


@pytest.mark.parametrize(
    ("plugin", "assignments"),
    [
        (RnnLmPlugin(), ["dim=16", "hidden=16", "layers=1", *MILD]),
        pytest.param(
            RnnLmPlugin(),
            [
                "dim=16",
                "hidden=16",
                "cell=gru",
                "tie=false",
                "softmax=adaptive",
                "cutoffs=6",
                "div_value=2",
                *MILD,
            ],
            marks=pytest.mark.slow,
        ),
        pytest.param(NnlmPlugin(), ["dim=16", "hidden=16", "order=3"], marks=pytest.mark.slow),
    ],
)
def test_a_text_is_learnt(plugin, assignments, text):
    """Each line has one of four first letters, which decides the rest: at best ln 4 per five tokens, e^(ln 4 / 5) = 1.32."""
    options, _ = config.resolve(plugin, None, ["streams=4", "bptt=10", "min_count=1", *assignments])
    rule = plugin.vocabulary(text, options)
    torch.manual_seed(0)
    network = plugin.network(options, rule)
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    ids, losses = encoded_text(text, rule, None), []
    for number in range(20):
        for chunk in text_chunks(ids, Epoch(number, 0), 4, 10, True):
            loss, log = plugin.loss(network, chunk)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses.append(log["perplexity"].item())
    total, count = dev_loss(network.eval(), text, rule, options)
    assert losses[-1] < losses[0]
    assert 1.25 < math.exp(total / count) < 1.45
