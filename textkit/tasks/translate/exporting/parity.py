"""Checks that the graphs of `translate` compute what their modules do, over batches of many shapes and steps in a chain.

A bundle is written only where every case agrees. Graphs and modules each go on with their own state, so that the state is
compared too. Knows no plugin, no architecture and no search.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.corpora.batching import padded
from textkit.errors import TextkitError
from textkit.exporting.parity import STRANGE, load
from textkit.exporting.parity_steps import (
    BATCH,
    CHECKED,
    LONGEST,
    MEASURED,
    PARENTS,
    TOLERANCE,
    difference,
    draw_of,
    drawn_apart,
    feeds,
)
from textkit.exporting.ports import is_cache
from textkit.searching.drawing import Draw
from textkit.task import NEXT
from textkit.tasks.translate.exporting.ports import Modules

STEPS = 40  # words of the longest translation that a lower precision is measured on
LEAST_SAME = 0.5  # share of the likeliest words that must be the same in lower precision

if TYPE_CHECKING:
    import torch

    from textkit.text.translation import TranslationText

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """One batch: source i64[line, source], mask bool[line, source]."""

    name: str
    source: np.ndarray
    mask: np.ndarray


class Graphs:
    """The two graphs, run as they are served."""

    def __init__(self, graphs: Mapping[str, bytes]) -> None:
        self._encode, self._step = (load(graphs[name]) for name in ("encode", "step"))
        self._states = [name for name in self._step.inputs if name.startswith(("state.", "cache."))]
        self._memory = [name for name in self._step.inputs if name.startswith("memory.")]

    def encode(self, source: np.ndarray, mask: np.ndarray) -> tuple[Arrays, Arrays]:
        found = self._encode.run({"source": source, "source_mask": mask})
        memory = {name: found[name] for name in self._memory}
        return memory, {name: found[name] if is_cache(name) else found[name][:, None] for name in self._states}

    def step(
        self, token: np.ndarray, parent: np.ndarray, k: int, memory: Arrays, state: Arrays, draw: Draw | None = None
    ) -> tuple[Arrays, Arrays]:
        """The outputs, and the state for the next step."""
        given = self._step.run({**feeds(token, parent, k, draw), **memory, **state})
        return given, {name: given[name + NEXT] for name in self._states}


def cases(rule: TranslationText, sample: Sequence[str], limit: int = 0) -> Iterator[Case]:
    """Batches of many shapes: one token, long, ragged, blank lines, unseen words, and `sample` lines of real text."""
    longest = min(limit or LONGEST, LONGEST)
    random = np.random.default_rng(0)
    for lines, tokens in ((1, 1), (1, 9), (3, 1), (5, 17), (2, longest)):
        tokens = min(tokens, longest)
        source = random.integers(0, len(rule), (lines, tokens))
        yield Case(f"{lines} x {tokens}", source, np.ones(source.shape, bool))
    source = random.integers(0, len(rule), (4, min(11, longest)))
    yield Case("ragged", source, np.arange(source.shape[1]) < np.array([source.shape[1], 1, 4, 2])[:, None])
    yield _text("strange text", rule, STRANGE, longest)
    for start in range(0, min(len(sample), CHECKED), BATCH):
        yield _text("sample", rule, sample[start : min(start + BATCH, CHECKED)], longest)


def _text(name: str, rule: TranslationText, lines: Sequence[str], longest: int) -> Case:
    ids, weight = padded(rule, lines, longest)
    mask = weight > 0
    mask[:, 0] |= ~mask.any(axis=1)  # serving never asks for a line without a token, so it gets one
    return Case(name, np.where(mask, ids, rule.source_pad), mask)


def check(
    graphs: Graphs, modules: Modules, rule: TranslationText, batches: Iterator[Case], limit: int = 0
) -> dict[str, Any]:
    """Compares every output of graphs and modules in every case. Returns figures for the manifest.

    `limit`: the most steps the modules take. Raises TextkitError with the worst figure where they disagree.
    """
    worst, where, lines = 0.0, "", 0
    for case in batches:
        lines += len(case.source)
        for what, apart in _differences(graphs, modules, rule, case, limit):
            if not apart <= worst:
                worst, where = apart, f"{what}, case {case.name!r}"
        if case.name == "ragged":
            _check_padding(graphs, rule, case)
    if not worst <= TOLERANCE:
        raise TextkitError(
            f"the exported graphs differ from the model by {worst:.2g} of the largest number, {TOLERANCE:.0e} is allowed "
            f"({where}): nothing was written"
        )
    return {"max_relative": worst, "tolerance": TOLERANCE, "lines": lines}


def _differences(
    graphs: Graphs, modules: Modules, rule: TranslationText, case: Case, limit: int
) -> Iterator[tuple[str, float]]:
    import torch

    random = np.random.default_rng(len(case.source))
    vocab = rule.target_size
    with torch.no_grad():
        memory, state = graphs.encode(case.source, case.mask)
        wanted_memory, wanted_state = modules.encode(torch.from_numpy(case.source), torch.from_numpy(case.mask))
        for name, tensor in {**wanted_memory, **wanted_state}.items():
            yield f"{name!r} of encode", difference((memory | state)[name], tensor.numpy())
        for at, beams in enumerate(PARENTS[: limit or None]):
            parent = np.tile(np.array(beams), (len(case.source), 1))
            token = random.integers(0, vocab, parent.shape)
            k = min(vocab, (1, 8, 3, 40)[at % 4])
            draw = draw_of(parent.shape, vocab, at)
            given, state = graphs.step(token, parent, k, memory, state, draw)
            wanted = modules.step(torch.from_numpy(token), torch.from_numpy(parent), wanted_memory, wanted_state)
            wanted_state = wanted.state
            logprob = wanted.logits.double().log_softmax(-1).numpy()
            yield f"'logprob' of step {at}", difference(given["logprob"], logprob)
            yield f"'drawn_id' of step {at}", drawn_apart(given, draw)
            yield f"'attention' of step {at}", difference(given["attention"], wanted.attention.numpy())
            for name, tensor in wanted_state.items():
                yield f"{name!r} of step {at}", difference(state[name], tensor.numpy())
            best = -np.sort(-logprob, axis=-1)[..., :k]
            yield f"'top_logprob' of step {at}", difference(given["top_logprob"], best)
            chosen = np.take_along_axis(logprob, given["top_id"] % vocab, axis=-1)
            yield f"'top_id' of step {at}", difference(chosen, best)
            if any(len(set(ids)) < k for ids in given["top_id"].reshape(-1, k).tolist()):
                yield f"'top_id' of step {at} (one word twice)", float("inf")


def _check_padding(graphs: Graphs, rule: TranslationText, case: Case) -> None:
    """Raises TextkitError where a line's first words depend on the padding behind it."""
    token = np.full((len(case.source), 1), rule.start)
    together, _ = graphs.step(token, np.zeros_like(token), 1, *graphs.encode(case.source, case.mask))
    for line, length in enumerate(case.mask.sum(axis=1)):
        part = slice(line, line + 1), slice(0, length)
        alone, _ = graphs.step(
            token[:1], np.zeros_like(token[:1]), 1, *graphs.encode(case.source[part], case.mask[part])
        )
        apart = difference(alone["logprob"], together["logprob"][line : line + 1])
        if not apart <= TOLERANCE:
            raise TextkitError(
                f"what a line is translated to changes by {apart:.2g} of the largest number when the line is padded, "
                f"{TOLERANCE:.0e} is allowed: the network must leave masked tokens out; nothing was written"
            )


def check_explain(graph: bytes, module: torch.nn.Module, rule: TranslationText) -> None:
    """Raises TextkitError where the graph `explain` gives other weights than its module, for ragged lines or for one word."""
    import torch

    session, random = load(graph), np.random.default_rng(0)
    for lines, tokens, words in ((1, 1, 1), (4, 9, 6), (2, 5, 11)):
        source = random.integers(0, len(rule), (lines, tokens))
        mask = np.arange(tokens) < np.maximum(1, tokens - np.arange(lines))[:, None]
        target = random.integers(0, rule.target_size, (lines, words))
        given = session.run({"source": source, "source_mask": mask, "target": target})
        with torch.no_grad():
            wanted = module(*map(torch.from_numpy, (source, mask, target)))
        for (name, got), tensor in zip(given.items(), wanted, strict=True):
            apart = difference(got, tensor.numpy())
            if not apart <= TOLERANCE:
                raise TextkitError(
                    f"the exported graph 'explain' gives {name!r} off by {apart:.2g}: nothing was written"
                )


def deviation(
    full: Graphs, lower: Graphs, rule: TranslationText, sample: Sequence[str], limits: Mapping[str, int]
) -> dict[str, Any]:
    """How far the log-probabilities of graphs of lower precision are from those of full precision, for the likeliest word and
    for all words, and how often the likeliest word is the same.

    Both are fed the words that full precision finds likeliest (teacher forcing), over lines of real text, or over random ids
    where there are none.
    """
    longest, steps = min(limits["tokens"], LONGEST), min(limits["target"], STEPS)
    lines = sorted(sample[:MEASURED], key=len)
    batches = [_text("sample", rule, lines[at : at + BATCH], longest) for at in range(0, len(lines), BATCH)]
    if not batches:
        batches = [case for case in cases(rule, (), longest) if case.name[0].isdigit()]
    of_word, largest, same = [], 0.0, []
    for case in batches:
        runs = [(graphs, *graphs.encode(case.source, case.mask)) for graphs in (full, lower)]
        token = np.full((len(case.source), 1), rule.start)
        going = np.ones(len(token), bool)
        for _ in range(steps):
            logprob = []
            for at, (graphs, memory, state) in enumerate(runs):
                given, state = graphs.step(token, np.zeros_like(token), 1, memory, state)
                runs[at] = graphs, memory, state
                logprob.append(given["logprob"][going, 0].astype(np.float64))  # [line that goes on, vocab]
            if not np.isfinite(logprob[1]).all():
                raise TextkitError("the graphs of lower precision give what is not a number: nothing was written")
            likeliest = logprob[0].argmax(axis=1)
            rows = np.arange(len(likeliest))
            of_word += np.abs(logprob[1] - logprob[0])[rows, likeliest].tolist()
            same += (logprob[1].argmax(axis=1) == likeliest).tolist()
            largest = max(largest, float(np.abs(logprob[1] - logprob[0]).max()))
            token[going, 0] = likeliest
            going[going] = likeliest != rule.eos
            if not going.any():
                break
    return {
        "mean_abs": float(np.mean(of_word)),  # of the likeliest word's log-probability
        "max_abs": largest,  # of any word's
        "same_word": float(np.mean(same)),  # share of steps whose likeliest word is the same
        "words": len(same),
        "lines": sum(len(case.source) for case in batches),
    }


def refuse_deviation(precision: str, figures: Mapping[str, Any]) -> None:
    """Raises TextkitError where the lower precision leaves less than LEAST_SAME of the likeliest words the same."""
    if not figures["same_word"] >= LEAST_SAME:
        raise TextkitError(
            f"--precision {precision} changes the likeliest word in {1 - figures['same_word']:.0%} of the places, more than "
            f"{1 - LEAST_SAME:.0%}: nothing was written"
        )
