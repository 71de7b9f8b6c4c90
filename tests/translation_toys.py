"""Small rules and step modules for the tests of translation's export."""

from __future__ import annotations

import json
from collections.abc import Sequence

import torch

from textkit.text.translation import TranslationText

WORDS = ["a", "man", "rides", "bike", "red", "the", "dog", "runs"]
PAD, UNK, START, EOS = range(4)
LINES = ["a man rides the bike", "the dog runs", "red red bike", "dog", "a man runs the dog rides a bike red man"]


def word_level(words: Sequence[str], unknown: str = "<unk>") -> bytes:
    """A tokenizer.json of words between spaces; ids are in the order of the words."""
    content = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": {word: at for at, word in enumerate(words)}, "unk_token": unknown},
    }  # fmt: skip
    return json.dumps(content).encode()


def rule(size: int = 12) -> TranslationText:
    """Words of both languages after four special tokens; up to `size` there are rows without a word."""
    words = ["<pad>", "<unk>", "<s>", "</s>", *WORDS]
    return TranslationText(
        word_level(words), start=START, eos=EOS, pad=PAD, unk=UNK, source_size=size, target_size=size
    )


class Encode(torch.nn.Module):
    """memory.rows [line, source, dim]; a state that counts, a sum of the source, and, for caches, an empty one."""

    outputs = ("memory.rows", "memory.mask", "state.sum", "state.history", "cache.words")

    def __init__(self, ids: int, dim: int = 8) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(ids, dim)

    def forward(self, source: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        rows = self.table(source) * mask[:, :, None]  # [line, source, dim]
        nothing = mask[:, :0]  # [line, 0]
        return rows, mask.clone(), rows.sum(1), nothing.long(), nothing.float()


class Step(torch.nn.Module):
    """`state.sum` adds up the words, `state.history` lists them for each beam, `cache.words` lists all words of all beams."""

    memory = ("memory.rows", "memory.mask")
    state = ("state.sum", "state.history", "cache.words")

    def __init__(self, encode: Encode, ids: int) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(ids, encode.table.embedding_dim)
        self.output = torch.nn.Linear(encode.table.embedding_dim, ids)

    def forward(self, token: torch.Tensor, rows: torch.Tensor, mask: torch.Tensor, sums: torch.Tensor,
                history: torch.Tensor, words: torch.Tensor) -> tuple[torch.Tensor, ...]:  # fmt: skip
        sums = torch.tanh(sums + self.table(token))  # [line, beam, dim]
        scores = (sums @ rows.transpose(1, 2)).masked_fill(~mask[:, None], -1e9)  # [line, beam, source]
        attention = scores.softmax(-1)
        mixed = sums + attention @ rows + 1e-3 * words.sum(1)[:, None, None]  # [line, beam, dim]
        history = torch.cat([history, token[:, :, None]], 2)  # [line, beam, past + 1]
        words = torch.cat([words, token.float()], 1)  # [line, pool + beam]
        return self.output(mixed), attention, sums, history, words


class Explain(torch.nn.Module):
    """Two layers of one head: weights that fall with the distance between words, and the squares of those."""

    def forward(self, source: torch.Tensor, mask: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, ...]:
        def weights(query: torch.Tensor, key: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
            scores = -(query[:, :, None] - key[:, None]).abs().float().masked_fill(~shown, 1e9)
            return torch.stack([scores.softmax(-1), (2 * scores).softmax(-1)], 1)[
                :, :, None
            ]  # [line, layer, head, ...]

        causal = torch.ones(target.shape[1], target.shape[1], dtype=torch.bool).tril()[None]
        return (
            weights(source, source, mask[:, None]),
            weights(target, target, causal),
            weights(target, source, mask[:, None]),
        )
