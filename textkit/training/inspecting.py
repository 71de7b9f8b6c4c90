"""What a training did inside: gradients over time, and the norms of weights over epochs. Knows no terminal and no picture.

Gradients are computed anew, from a run's network and its text; norms were logged during the training (metrics.jsonl).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.errors import TextkitError
from textkit.training.preparing import parts
from textkit.training.run import Run

if TYPE_CHECKING:
    import torch

_TOKENS = 1_000_000  # of a text, at most: chunks are taken from them
_LINES = 10_000  # read at once


@dataclass(frozen=True)
class Gradients:
    """The norm of the loss's gradient with respect to the state `lag` tokens earlier, as a mean over `chunks` of text.

    `norm` f64[lag]: of the whole state; at lag 0, of the last layer's output, from which the loss is computed. `parts`: the
    same for each part of the state (hidden0, cell0 and so on), f64[lag]; NaN at lag 0.
    """

    norm: np.ndarray
    parts: Mapping[str, np.ndarray]
    chunks: int


def gradients(run: Run, lags: int, chunks: int) -> Gradients:
    """The gradients of a language model with a recurrent state, at lags 0 to `lags`; TextkitError for any other run.

    A chunk is lags + 1 tokens of the dev text (of the training text, if there is none), read from the initial state. The
    loss is -log p of the token after the chunk, in nats. There is no dropout.
    """
    network = _recurrent(run)
    ids = _text(run)
    room = len(ids) - (lags + 2)
    if room < 0:
        raise TextkitError(f"{run.folder}: its text has {len(ids)} tokens; --lags {lags} needs {lags + 2}")
    starts = np.unique(np.linspace(0, room, chunks).astype(np.int64))
    taken = ids[starts[:, None] + np.arange(lags + 2)].astype(np.int64)  # [chunk, token]
    names = [name.removeprefix("state.") for name in network.scorer().state]
    norm, of_parts = backwards(network, taken)
    return Gradients(norm, dict(zip(names, of_parts.T, strict=True)), len(taken))


def backwards(network: torch.nn.Module, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """i64[line, token] -> the mean norms over lines f64[lag], and those of the state's parts f64[lag, part].

    Goes back one step at a time and scales each line's gradient to length one after each step. The norms of the whole state
    are therefore right even beyond the range of 32-bit floats.
    """
    import torch

    from textkit.families.chunked_loss import cross_entropy

    network.requires_grad_(False)
    token = torch.from_numpy(ids)
    read = token.shape[1] - 1
    states = [network.begin(len(token))]  # after 0, 1, ... tokens, [line, ...]
    with torch.no_grad():
        for at in range(read - 1):
            states.append(network.hidden(token[:, at : at + 1], states[-1])[1])
    hidden, _ = network.hidden(token[:, read - 1 : read], leaves := _leaves(states[-1]))
    last = hidden[:, 0].detach().requires_grad_()  # [line, dim]
    loss = cross_entropy(network, last, token[:, -1]) * len(token)
    gradient = torch.autograd.grad(loss, last)
    logs = torch.zeros(len(token), dtype=torch.float64)  # [line]: log of the norm so far
    found = []  # for each lag, norms f64[line, 1 + part]
    came: Sequence[torch.Tensor] = (hidden[:, 0],)
    for lag in range(read):
        size, of_parts = _sizes(gradient)
        found.append(torch.cat([size[:, None], of_parts], 1) * logs.exp()[:, None])
        logs += size.log()
        gradient = [_times(part, 1 / size.where(size > 0, 1.0)) for part in gradient]
        if lag == read - 1:
            break
        if lag:
            leaves = _leaves(states[read - 1 - lag])
            came = network.hidden(token[:, read - 1 - lag : read - lag], leaves)[1]
        given = torch.autograd.grad(came, leaves, gradient, allow_unused=True, materialize_grads=True)
        gradient = list(given)
    norm = torch.stack([norms[:, 0].mean() for norms in found]).numpy()
    blank = torch.full((found[1].shape[1] - 1,), torch.nan, dtype=torch.float64)
    return norm, torch.stack([blank, *[norms[:, 1:].mean(0) for norms in found[1:]]]).numpy()


def _leaves(state: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    return [part.detach().requires_grad_() for part in state]


def _sizes(parts: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """The norm of each line over all parts, f64[line], and of each of its parts, f64[line, part]."""
    import torch

    of_parts = torch.stack([part.double().flatten(1).norm(dim=1) for part in parts], 1)
    return of_parts.norm(dim=1), of_parts


def _times(part: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """[line, ...] times f64[line]."""
    return (part.double() * factor.view(-1, *[1] * (part.dim() - 1))).to(part.dtype)


def _recurrent(run: Run) -> torch.nn.Module:
    kind = f"{run.folder}: gradients over time are shown of recurrent language models; {run.name}"
    if run.plugin.task != "language":
        raise TextkitError(f"{kind} is no language model")
    network = run.network()
    state = network.begin(1)
    if not state or not all(part.is_floating_point() for part in state):
        raise TextkitError(f"{kind} has no recurrent state")
    return network


def _text(run: Run) -> np.ndarray:
    """The beginning of the dev text, or of the training text if there is none, i32[token]."""
    learnt, dev, _ = parts(run, run.corpus, run.dev_corpus)
    found, tokens = [np.zeros(0, np.int32)], 0
    for lines in (dev or learnt).chunks(_LINES):
        found.append(run.vocabulary.encode(lines).ids.astype(np.int32))
        tokens += len(found[-1])
        if tokens >= _TOKENS:
            break
    return np.concatenate(found)


@dataclass(frozen=True)
class Norms:
    """What was logged: one row for each epoch, or for each dev score if an epoch has several; NaN for what was not logged.

    `epoch`: how many are done. `loss`: of training. `score`: the dev score, called `name` ('' if there is none).
    `dev_loss`: the loss logged beside it. `best`: the row of the best score. `norm` f64[row, parameter].
    """

    epoch: np.ndarray
    update: np.ndarray
    loss: np.ndarray
    name: str
    score: np.ndarray
    dev_loss: np.ndarray
    best: int | None
    parameters: tuple[str, ...]
    norm: np.ndarray

    @property
    def whole(self) -> np.ndarray:
        """The norm of all weights together, f64[row]."""
        return np.sqrt((self.norm**2).sum(1))


def norms(run: Run) -> Norms:
    """The norms of weights in metrics.jsonl; TextkitError if it has none."""
    rows: dict[int, dict[str, Any]] = {}
    last_loss, name, best = None, "", None
    for record in _records(run):
        event = record.get("event")
        if event == "progress":
            last_loss = record.get("loss")
        if event not in ("epoch", "score"):
            continue
        row = rows.setdefault(record["step"], {"epoch": record["epoch"], "loss": last_loss})
        row["epoch"] = record["epoch"]
        row["norms"] = record.get("norms") or row.get("norms")
        if event == "epoch":
            row["loss"] = record["loss"]
        else:
            name = next(key for key in record if key not in ("event", "epoch", "step"))
            row |= {"score": record[name], "dev_loss": record.get("loss") if name != "loss" else None}
            best = record["step"] if record["best"] else best
    kept = {step: row for step, row in sorted(rows.items()) if row["norms"]}
    if not kept:
        raise TextkitError(f"{run.folder}: metrics.jsonl tells no norms of weights: {_why(run)}")
    parameters = tuple(next(iter(kept.values()))["norms"])

    def column(key: str) -> np.ndarray:
        return np.array([np.nan if row.get(key) is None else row[key] for row in kept.values()], float)

    return Norms(
        column("epoch").astype(int), np.array(list(kept)), column("loss"), name, column("score"),
        column("dev_loss"), list(kept).index(best) if best in kept else None, parameters,
        np.array([[row["norms"].get(key, np.nan) for key in parameters] for row in kept.values()]),
    )  # fmt: skip


def _records(run: Run) -> Iterator[dict[str, Any]]:
    """The records of metrics.jsonl that have an event, an epoch and a step, except for a line that was cut off."""
    path = run.folder / "metrics.jsonl"
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise TextkitError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    for line in text.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and {"event", "step", "epoch"} <= record.keys():
            yield record


def _why(run: Run) -> str:
    if run.plugin.fit is not None:
        return f"{run.name} is not trained in epochs"
    return "no epoch was done, or it was trained by a textkit that did not log them"
