"""A language model in plain torch, after PyTorch's example word_language_model: `python language_peer.py JOB`; prints JSON.

JOB is JSON with `mode`, `words`, `dim`, `layers`, `threads`, and, by mode,
  train     `ids` (npy, i64), `streams`, `bptt`, `steps`, `dropout`: SGD at 20 with gradients clipped to 0.25, tied tables, the
            state carried, log-probabilities of all words; tokens/s of all updates but the first five
  score     `weights` (npz with Model's state_dict names), `pieces` (npz: previous, ids, weight and fresh of piece 0, 1, ...)
            and `again`: tokens/s of one pass under inference_mode, the best of `again`
  generate  `weights`, `tokens`: tokens/s of a loop that draws one token at a time, batch 1
Knows no textkit.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, words: int, dim: int, layers: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(words, dim)
        self.rnn = nn.LSTM(dim, dim, layers, dropout=dropout)
        self.decoder = nn.Linear(dim, words)
        self.decoder.weight = self.encoder.weight
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)

    def forward(self, ids: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        """ids [token, line] -> log-probabilities [token * line, word]"""
        output, state = self.rnn(self.drop(self.encoder(ids)), state)
        return nn.functional.log_softmax(self.decoder(self.drop(output)).flatten(0, 1), dim=1), state


def train(job: dict[str, Any]) -> dict[str, Any]:
    model = Model(job["words"], job["dim"], job["layers"], job["dropout"])
    ids = torch.from_numpy(np.load(job["ids"]))
    rows = len(ids) // job["streams"]
    text = ids[: rows * job["streams"]].view(job["streams"], -1).t().contiguous()  # [token, stream]
    criterion, state, begun, count = nn.NLLLoss(), None, 0.0, 0
    for step in range(job["steps"]):
        if step == 5:
            begun, count = time.perf_counter(), 0
        at = step * job["bptt"] % (rows - job["bptt"] - 1)
        given, wanted = text[at : at + job["bptt"]], text[at + 1 : at + 1 + job["bptt"]].reshape(-1)
        model.zero_grad()
        state = None if state is None else tuple(part.detach() for part in state)
        output, state = model(given, state)
        criterion(output, wanted).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        for parameter in model.parameters():
            parameter.data.add_(parameter.grad, alpha=-20)
        count += wanted.numel()
    return {"rate": count / (time.perf_counter() - begun)}


def loaded(job: dict[str, Any]) -> Model:
    model = Model(job["words"], job["dim"], job["layers"])
    model.load_state_dict({name: torch.from_numpy(array) for name, array in np.load(job["weights"]).items()})
    return model.eval()


@torch.inference_mode()
def score(job: dict[str, Any]) -> dict[str, Any]:
    model, held = loaded(job), np.load(job["pieces"])
    count = len(held.files) // 4
    pieces = [
        (*(torch.from_numpy(held[f"{name}{at}"]) for name in ("previous", "ids", "weight")), bool(held[f"fresh{at}"]))
        for at in range(count)
    ]

    def work() -> float:
        total, state = 0.0, None
        for previous, ids, weight, fresh in pieces:
            lines = len(ids)
            state = None if fresh or state is None else tuple(part[:, :lines].contiguous() for part in state)
            read = torch.cat([previous[:, None], ids[:, :-1]], 1).t()
            logprob, state = model(read, state)
            of_words = logprob.gather(1, ids.t().reshape(-1, 1)).view(ids.shape[1], lines).t()
            total += float((of_words * weight).sum())
        return total

    tokens = sum(float(weight.sum()) for _, _, weight, _ in pieces)
    total, best = work(), float("inf")
    for _ in range(job["again"]):
        begun = time.perf_counter()
        total = work()
        best = min(best, time.perf_counter() - begun)
    return {"rate": tokens / best, "logprob": total}


@torch.inference_mode()
def generate(job: dict[str, Any]) -> dict[str, Any]:
    model, state, token = loaded(job), None, torch.zeros(1, 1, dtype=torch.long)
    begun = 0.0
    for step in range(job["tokens"] + 10):
        if step == 10:
            begun = time.perf_counter()
        logprob, state = model(token, state)
        token = torch.multinomial(logprob[0].exp(), 1)[None]
    return {"rate": job["tokens"] / (time.perf_counter() - begun)}


def main() -> None:
    job: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    print(json.dumps({"train": train, "score": score, "generate": generate}[job["mode"]](job)))


if __name__ == "__main__":
    main()
