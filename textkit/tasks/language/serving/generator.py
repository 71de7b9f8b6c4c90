"""Prompts -> what may follow them, with an exported model of the task `language`. Knows no graph, no file and no torch.

A prompt is read at once; then textkit.searching.decoding draws one token at a time, for all prompts of a batch side by side.
What is drawn depends only on the seed, the prompt's number and the sample's number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from textkit.defaults import SEED
from textkit.errors import UsageError
from textkit.searching.decoding import search
from textkit.searching.history import Hypothesis
from textkit.searching.options import Search, Target
from textkit.searching.steps import READ, LanguageSteps
from textkit.serving.budget import Budget
from textkit.serving.machine import cpus
from textkit.serving.opened import OpenModel
from textkit.serving.spreading import UNDER_WAY, Workers
from textkit.serving.stream import batches
from textkit.tasks.language.serving.healing import Healer, Prompt, says_nothing
from textkit.tasks.language.serving.scorer import encode, rule_of
from textkit.tasks.language.serving.watch import Watch, joined
from textkit.tasks.language.task import TASK
from textkit.text.characters import distinct
from textkit.text.language import LanguageText

if TYPE_CHECKING:
    from textkit.bundle.bundle import Bundle

BATCH_TOKENS = 4096  # of prompts read side by side
_MOST = 1 << 20  # tokens that a model without a `context` limit may be asked for


@dataclass(frozen=True)
class Generated:
    """What follows a prompt. `text`: without the prompt, up to the end of the line or a stop string; `whole`: prompt and
    text. `ended`: whether the line's end or a stop string ended it, rather than `max_tokens`. `logprob`: of its `tokens`,
    including the end."""

    text: str
    whole: str
    logprob: float
    tokens: int
    ended: bool


class Generator(OpenModel[list["Generated"]]):
    """list[str] -> list[list[Generated]], `samples` for each prompt. Can be pickled; the graphs load on first use.

    `cut_prompts` counts the prompts so far that were longer than the model remembers and lost their beginnings.
    """

    task = "language"
    loaded = ("_steps", "_healing", "_workers", "_budget")

    def __init__(
        self,
        model: str | Path | Bundle | None = None,
        device: str = "auto",
        threads: int | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = SEED,
        samples: int = 1,
        stop: Sequence[str] = (),
        allow_unk: bool = False,
        workers: int | None = None,
    ) -> None:
        """`model`: a name, a folder or a Bundle; None: the default. `max_tokens`, `temperature` (0: the likeliest token each
        time), `top_k` (0: all), `top_p`: the model's own where they are None. `stop`: strings that end a text; the
        text does not include them. `allow_unk`: whether the unknown word may be drawn. `workers`: how many batches a GPU is
        given at a time (None: 3).

        Raises UsageError for an unknown model or option, TextkitError for a model that is damaged or of another task.
        """
        self.open(model)
        rule_of(self.bundle)
        given = {"max_tokens": max_tokens, "temperature": temperature, "top_k": top_k, "top_p": top_p}
        own = {**TASK.defaults, **self.bundle.manifest.defaults}
        own |= {key: value for key, value in given.items() if value is not None}
        self.context: int | None = self.bundle.manifest.limits.get("context")
        self.max_tokens: int = own.pop("max_tokens")
        most = _MOST if self.context is None else self.context - 1
        if not 1 <= self.max_tokens <= most:
            if max_tokens is not None:
                raise UsageError(f"max_tokens={max_tokens}: must be from 1 to {most:,}, which is what the model takes")
            self.max_tokens = most
        for name, count in (("samples", samples), ("workers", workers)):
            if count is not None and count < 1:
                raise UsageError(f"{name}={count}: must be at least 1")
        if "" in stop:
            raise UsageError("stop='': an empty string is everywhere")
        self.options = Search(
            **own,
            sample=True,
            n_best=samples,
            seed=seed,
            max_length=self.max_tokens,
            length_penalty=0.0,
            allow_unk=allow_unk,
        )
        self.stop = tuple(stop)
        self._healing: Healer | None = None
        self.device, self.threads, self.workers = device, threads or cpus(), workers
        self._workers: Workers | None = None
        self._budget: Budget | None = None
        self.cut_prompts = 0
        self._steps: LanguageSteps | None = None

    def answer(self, lines: Sequence[str], first: int = 0) -> list[list[Generated]]:
        """The samples of each prompt."""
        return self.generate(lines, range(first, first + len(lines)))

    def generate(self, prompts: Sequence[str], numbers: Sequence[int] | None = None) -> list[list[Generated]]:
        """The samples of each prompt. `numbers`: the prompts' numbers, which seed the draws; None: from 0."""
        begun = self._begun(prompts)
        lengths = np.array([len(prompt.ids) for prompt in begun], np.int64)
        healed = np.array([prompt.first is not None for prompt in begun], bool)
        every = np.arange(len(prompts)) if numbers is None else np.array(numbers, np.int64)
        found: list[list[Generated]] = [[] for _ in prompts]

        def run(batch: np.ndarray) -> None:
            keys = np.stack([every[batch], np.zeros(len(batch), np.int64)], 1)
            texts = self._batch([begun[at] for at in batch], [prompts[at] for at in batch], keys, None)
            for at, generated in zip(batch.tolist(), texts, strict=True):
                found[at] = generated

        if self._workers is None:
            self._workers = Workers(self.threads, False, 1 if self.steps.device == "cpu" else self.workers or UNDER_WAY)
        if self._budget is None:  # of lines, of which a GPU may hold fewer
            self._budget = Budget(self.options.lines_at_once(len(self.rule)))
        run_fitting = self._budget.keeping(run, np.ones_like(lengths))
        self._workers.each(run_fitting, self._batches(lengths, healed, self._budget.tokens))
        return found

    def stream(self, prompt: str, tell: Callable[[str], None]) -> Generated:
        """One text for one prompt. `tell` is called with each new part of the text as soon as it is certain."""
        return self._batch(self._begun([prompt]), [prompt], np.zeros((1, 2), np.int64), tell)[0][0]

    @property
    def steps(self) -> LanguageSteps:
        """The loaded graphs. `steps.device` is the device that they actually run on."""
        if self._steps is None:
            steps = LanguageSteps(self.bundle, self.device, self.threads)
            steps.load(self.options)
            self._steps = steps
        return self._steps

    @property
    def rule(self) -> LanguageText:
        return rule_of(self.bundle)

    def _begun(self, prompts: Sequence[str]) -> list[Prompt]:
        """The ids of each prompt up to the point where drawing begins; only the last ids if the model cannot remember all."""
        encoded = encode(self.rule, prompts)
        ids = [line[:-1] for line in np.split(encoded.ids, np.cumsum(encoded.lengths)[:-1])] if len(prompts) else []
        begun = [self._healer.healed(prompt, line) for prompt, line in zip(prompts, ids, strict=True)]
        if self.context is None:
            return begun
        most = self.context - self.max_tokens  # at least 1
        self.cut_prompts += sum(len(line) > most for line in ids)
        # A healed prompt leaves one place unused, because it draws one more token.
        return [
            replace(prompt, ids=prompt.ids[-most:][prompt.first is not None :]) if len(prompt.ids) >= most else prompt
            for prompt in begun
        ]

    @property
    def _healer(self) -> Healer:
        if self._healing is None:
            self._healing = Healer(self.rule, self.options.allow_unk)
        return self._healing

    def _batches(self, lengths: np.ndarray, healed: np.ndarray, size: int) -> list[np.ndarray]:
        """The prompts in batches of similar length, at most `size` in each. Prompts without a token and healed prompts have
        their own batches, and each prompt of more than READ tokens is a batch by itself."""
        short = lengths <= READ
        kinds = np.where(lengths > 0, 1, 0) if not self.steps.counts_padding else lengths
        kinds = 2 * kinds + healed
        found = []
        for kind in distinct(kinds[short]):
            places = np.flatnonzero(short & (kinds == kind))
            for batch in batches(np.maximum(lengths[places], 1), BATCH_TOKENS):
                found += [places[batch[at : at + size]] for at in range(0, len(batch), size)]
        return [*found, *np.flatnonzero(~short)[:, None]]

    def _batch(
        self, begun: Sequence[Prompt], prompts: Sequence[str], keys: np.ndarray, tell: Callable[[str], None] | None
    ) -> list[list[Generated]]:
        rule = self.rule
        ids = [prompt.ids for prompt in begun]
        lengths = np.array([len(prompt) for prompt in ids])
        mask = np.arange(lengths.max()) < lengths[:, None]  # [line, token]
        source = np.zeros(mask.shape, np.int64)
        source[mask] = np.concatenate(ids)
        starts = np.array([prompt[-1] if len(prompt) else rule.eos for prompt in ids])
        watch = None
        if self.stop or tell is not None:
            samples = self.options.n_best
            watch = Watch(rule, self.stop, samples, len(ids), prompts[0], tell, begun, self.max_tokens)
        unk = rule.eos if rule.unk is None else rule.unk
        target = Target(start=rule.eos, eos=rule.eos, unk=unk, pad=rule.eos, size=len(rule))
        options, most, healed = self.options, self.max_tokens, begun[0].first is not None
        if healed:  # the first token may only repeat what was left out of the prompt
            options, most = replace(options, max_length=most + 1), most + 1
        hypotheses = search(
            self.steps, source, mask, target, options,
            most=_MOST if self.context is None else most, keys=keys, starts=starts, watch=watch, logprobs=healed,
            first=[prompt.first for prompt in begun],
        )  # fmt: skip
        if healed:
            hypotheses = [
                [self._shortened(one, prompt) for one in line] for prompt, line in zip(begun, hypotheses, strict=True)
            ]
        texts = iter(rule.decode([hypothesis.ids for line in hypotheses for hypothesis in line]))
        found = [
            [self._generated(text, prompt, hypothesis, next(texts)) for hypothesis in line]
            for text, prompt, line in zip(prompts, begun, hypotheses, strict=True)
        ]
        if watch is not None:
            watch.say(found[0][0].text)
        return found

    def _shortened(self, hypothesis: Hypothesis, begun: Prompt) -> Hypothesis:
        """The hypothesis cut to `max_tokens` new tokens; one that only repeats what the prompt left out is not counted."""
        most = self.max_tokens + says_nothing(self.rule, begun, hypothesis.ids)
        if len(hypothesis.ids) <= most:
            return hypothesis
        logprobs = _of_each(hypothesis)[:most]
        return Hypothesis(hypothesis.ids[:most], hypothesis.score, hypothesis.logprob, False, logprobs)

    def _generated(self, prompt: str, begun: Prompt, hypothesis: Hypothesis, text: str) -> Generated:
        ids, logprob = hypothesis.ids, hypothesis.logprob
        if text.endswith("\ufffd") and self.rule.ends_inside(ids[:-1] if hypothesis.ended else ids):
            text = text[:-1]
        if begun.first is not None:
            text = text[len(begun.left) :]
            old = says_nothing(self.rule, begun, ids)
            ids, logprob = ids[old:], float(np.add.reduce(_of_each(hypothesis)[old:], dtype=np.float64))
        stopped = [place for place in map(text.find, self.stop) if place >= 0] if self.stop else []
        text = text[: min(stopped)] if stopped else text
        ended = hypothesis.ended or bool(stopped)
        whole = prompt + text if begun.first is not None else joined(self.rule, prompt, text)
        return Generated(text, whole, logprob, len(ids), ended)


def _of_each(hypothesis: Hypothesis) -> np.ndarray:
    """The log-probabilities of its tokens, f32[token], which the search keeps for prompts that are healed."""
    assert hypothesis.logprobs is not None
    return hypothesis.logprobs
