"""Lines -> translations, with an exported model of the task `translate`. Knows no architecture, no file format, no torch.

A line is cut into sentences, each at most as long as the model takes. Each sentence is translated by itself, in batches of
similar length; a text that occurs twice is translated once. The translations are joined with the white space and the smileys
that stood between the sentences.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from textkit.defaults import SEED
from textkit.errors import TextkitError, UsageError
from textkit.searching.decoding import search
from textkit.searching.options import Search, Target
from textkit.searching.steps import TranslationSteps
from textkit.sentences.splitting import own_abbreviations
from textkit.serving import Long
from textkit.serving.budget import Budget
from textkit.serving.machine import cpus
from textkit.serving.opened import OpenModel
from textkit.serving.padding import SOURCES, whole_groups
from textkit.serving.spreading import Workers, searches, threads_of_each
from textkit.serving.stream import batches
from textkit.tasks.translate.serving.ahead import StepsAhead
from textkit.tasks.translate.serving.asking import between, check, keeper_of, settled
from textkit.tasks.translate.serving.assembling import Asked, of_line, translation
from textkit.tasks.translate.serving.confidence import confidence_of
from textkit.tasks.translate.serving.guarding import Guard
from textkit.tasks.translate.serving.n_best import n_best
from textkit.tasks.translate.serving.segments import Segment, SegmentMaker
from textkit.tasks.translate.serving.translations import Translation
from textkit.text.cleaning import visible_lines
from textkit.text.translation import TranslationText

if TYPE_CHECKING:
    from textkit.bundle.bundle import Bundle

_SHARED = threading.Lock()  # two windows may be translated at a time
BATCH_TOKENS = 2048  # source tokens, including padding
LEAST_TOKENS = 64  # of a batch that is made small so that each worker has one


class Translator(OpenModel[str]):
    """list[str] -> list[str]; a whitespace-only line gives "". Can be pickled; the graphs load on first use.

    `long_lines` counts the lines so far that held a sentence of more tokens than the model takes (`limits.tokens` of its
    manifest), `incomplete` those whose translation was cut at the longest length, and `doubtful` those with a doubt.

    `model`: a name, a folder or a Bundle; None: the one that translates from the language `source` into the language `to`
    (codes; None: whatever it is), or else the default. The options of the search are those of options.Search; None: the
    model's own. `replace_unk`: an unknown word becomes the source word it attends to. `sentences`: whether each sentence of
    a line is translated by itself; `clauses`: one of more words than that is cut where clauses end (0: none is).
    `abbreviations`: words that end no sentence, besides those of the source language.
    `long`: what to do with a sentence that is too long: `split` or `cut`. `batch_tokens`: the largest batch in source
    tokens, including padding (None: 2,048; on a GPU what is found by trying); `batch_lines`: the largest batch in lines.
    `workers`: how many batches are translated at a time (None: one a thread, 4 at most; on a GPU 3); they share the `threads`.
    `keep`: patterns of what stays as it is, besides URLs, tags, emoji and the like; `glossary`: term -> its translation.
    `guard`: whether a translation that repeats itself or lacks a number is searched again in another way, and what stays
    doubtful is said (`Translation.doubts`). `truecase`: whether a line in capitals is read as if it had small letters, and its
    translation gets capitals. `shortlist`: whether the model's shortlist is used. `ahead`: the graphs, which load on a thread
    meanwhile.

    Raises UsageError for an unknown model or option, TextkitError for a model that is damaged or of another task.
    """

    task = "translate"
    loaded = ("_steps", "_workers", "_budget", "_ahead")
    _steps: TranslationSteps | None = None
    _workers: Workers | None = None
    _budget: Budget | None = None

    def __init__(
        self,
        model: str | Path | Bundle | None = None,
        device: str = "auto",
        threads: int | None = None,
        beam_size: int | None = None,
        n_best: int = 1,
        length_penalty: float | None = None,
        min_length: int | None = None,
        max_length: int | None = None,
        max_length_factor: float | None = None,
        no_repeat_ngram_size: int | None = None,
        allow_unk: bool | None = None,
        replace_unk: bool = False,
        sample: bool = False,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = SEED,
        word_scores: bool = False,
        alignment: bool = False,
        sentences: bool | None = None,
        clauses: int | None = None,
        abbreviations: Sequence[str] = (),
        long: Long = "split",
        batch_tokens: int | None = None,
        batch_lines: int | None = None,
        workers: int | None = None,
        keep: Sequence[re.Pattern[str]] = (),
        glossary: Mapping[str, str] | None = None,
        guard: bool | None = None,
        truecase: bool | None = None,
        to: str | None = None,
        source: str | None = None,
        shortlist: bool | None = None,
        ahead: StepsAhead | None = None,
    ) -> None:
        self.open(between(model, to, source))
        manifest = self.bundle.manifest
        given = {
            "beam_size": beam_size, "length_penalty": length_penalty, "min_length": min_length, "max_length": max_length,
            "max_length_factor": max_length_factor, "allow_unk": allow_unk or replace_unk or None,
            "no_repeat_ngram_size": no_repeat_ngram_size,
            "sentences": sentences, "clauses": clauses, "guard": guard, "truecase": truecase, "shortlist": shortlist,
        }  # fmt: skip
        drawn = {"sample": sample, "temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
        self.options, own = settled(manifest, given, n_best=n_best, **drawn)
        self.sentences, self.guard, self.truecase, self.clauses, self.shortlist = own
        check(long, batch_tokens=batch_tokens, batch_lines=batch_lines, workers=workers)
        self.keeper = keeper_of(manifest, keep, glossary)
        self.confidence = confidence_of(manifest.facts)
        self.most = max(1, int(manifest.limits.get("target", self.limit)) - 1)  # the end token takes one place
        self.abbreviations = own_abbreviations(abbreviations)
        self.replace_unk, self.word_scores, self.alignment = replace_unk, word_scores, alignment
        self.workers = searches(workers, threads, device)
        self.device, self.threads, self.long = device, threads or cpus(), long
        self.batch_tokens, self.batch_lines = batch_tokens, batch_lines
        self.long_lines = self.incomplete = self.doubtful = 0
        self._ahead = ahead

    def answer(self, lines: Sequence[str], first: int = 0) -> list[str]:
        """The best translation of each line."""
        return [translations[0].text for translations in self.translate(lines, first)]

    @property
    def steps(self) -> TranslationSteps:
        """The loaded graphs. `steps.device` is the device that they actually run on."""
        if self._steps is None:
            ahead, self._ahead = self._ahead, None
            threads = threads_of_each(self.threads, self.workers, self.device)
            attention = self.alignment or self.replace_unk
            short = self.shortlist and not self.options.sample
            steps = ahead and ahead.steps() or TranslationSteps(self.bundle, self.device, threads, attention, short)
            steps.load(self.options)
            self._steps = steps
        return self._steps

    @property
    def budget(self) -> Budget:
        """How many tokens a batch may have."""
        if self._budget is None:
            grows = self.batch_tokens is None and self.steps.device != "cpu"
            self._budget = Budget(self.batch_tokens or BATCH_TOKENS, grows=grows)
        return self._budget

    @property
    def _maker(self) -> SegmentMaker:
        once = not self.options.sample
        cuts = self.long == "cut"
        return SegmentMaker(self.rule, self.limit, cuts, self.sentences, once, self.clauses, self.abbreviations)

    @property
    def rule(self) -> TranslationText:
        """How text becomes ids, and ids text. Raises TextkitError if the model states only the former."""
        rule = self.bundle.rule
        if not isinstance(rule, TranslationText):
            raise TextkitError(f"{self.bundle.folder}: says how text becomes ids, not how ids become text")
        return rule

    @property
    def limit(self) -> int:
        """The most tokens of a text that the model takes, its end included."""
        return int(self.bundle.manifest.limits["tokens"])

    @property
    def target(self) -> Target:
        """What a search must know about the target ids."""
        rule = self.rule
        return Target(rule.start, rule.eos, rule.unk, rule.pad, rule.target_size)

    def load(self) -> None:
        """Reads everything now rather than on first use. Raises TextkitError."""
        self.rule  # noqa: B018 - read and kept
        self.budget  # noqa: B018 - and with it the steps

    def translate(
        self, lines: Sequence[str], first: int = 0, prefixes: Sequence[str] | None = None
    ) -> list[list[Translation]]:
        """The `n_best` translations of each line, best first (samples: in the order drawn); a blank line has only "".

        `first`: the number of the first line, which random numbers depend on. `prefixes`: how the translation of each
        line begins; "" for no prefix. A line with a prefix is not cut into sentences.
        """
        if isinstance(lines, str):
            raise TypeError("lines is one str: give a list of them")
        if prefixes is not None and len(prefixes) != len(lines):
            raise UsageError(f"{len(prefixes)} prefixes for {len(lines)} lines")
        begins = [""] * len(lines) if prefixes is None else [prefix.strip() for prefix in prefixes]
        seen = visible_lines(lines) if self.rule.clean else lines  # nothing unseen is kept as it is
        texts, kept, loud = self.keeper.all_hidden(seen, self.rule, self.truecase)
        segments, parts, too_long = self._maker.make(texts, begins, first)
        found = self._run(segments, self.options)
        if self.guard and not self.options.sample:
            Guard(self.rule, replace(self.options, n_best=1), self._run)(segments, found)
        translations = []
        language = self.rule.target_language
        for line, spans, shouting in zip(parts, kept, loud, strict=True):
            made = of_line(line, segments, found, spans, shouting, self.options, language)
            translations.append(made if line else [self._untouched("")])
        with _SHARED:
            self.long_lines += too_long
            self.doubtful += sum(bool(line[0].doubts) for line in translations)
            self.incomplete += sum(not line[0].complete for line in translations)
        return translations

    def _untouched(self, text: str) -> Translation:
        """What has nothing to translate in it."""
        return Translation(text, confidence=None if self.confidence is None else 1.0)

    def _run(self, segments: list[Segment], options: Search) -> list[list[Translation]]:
        """The translations of each segment, in batches; of one that needs no model, what is known."""
        found = [[] if segment.real else [self._untouched(segment.known or "")] for segment in segments]
        real = np.flatnonzero([not done for done in found])
        if not len(real):
            return found

        def run(batch: np.ndarray) -> None:
            for at, line in zip(batch.tolist(), self._batch([segments[at] for at in batch], options), strict=True):
                found[at] = line

        lengths = np.array([len(segment.ids) for segment in segments])
        run_fitting = self.budget.keeping(run, lengths)  # loads the steps before workers need them
        work = [real[batch] for batch in self._batches(lengths[real])]
        with _SHARED:
            if self._workers is None:
                self._workers = Workers(self.threads, False, self.workers)
        # For several workers the longest first, so that none is left to run alone at the end.
        self._workers.each(run_fitting, work if self.workers == 1 else work[::-1])
        return found

    def _batches(self, lengths: np.ndarray) -> Iterator[np.ndarray]:
        """Batches of segments of these lengths, the longest last; on CPUs one for each worker, if there is enough to do."""
        most = min(self.batch_lines or sys.maxsize, self.options.lines_at_once(self.rule.target_size))
        tokens = self.budget.tokens
        if self.steps.device == "cpu":
            tokens = min(tokens, max(LEAST_TOKENS, -(-int(lengths.sum()) // self.workers)))
        for batch in batches(lengths, tokens):
            for start in range(0, len(batch), most):
                yield batch[start : start + most]

    def _batch(self, segments: list[Segment], options: Search) -> list[list[Translation]]:
        """The translations of each segment; without samples each text occurs once, with its best score."""
        if options.n_best == 1 or options.sample:
            return self._searched(segments, options)
        return n_best(segments, options, self.rule.target_size, self._searched)

    def _searched(self, segments: list[Segment], options: Search) -> list[list[Translation]]:
        rule = self.rule
        lengths = np.array([len(segment.ids) for segment in segments])
        width = whole_groups(int(lengths.max()), self.limit, SOURCES)
        mask = np.arange(width) < lengths[:, None]  # [line, source]
        source = np.full(mask.shape, rule.source_pad)
        source[mask] = np.concatenate([segment.ids for segment in segments])
        hypotheses = search(
            self.steps, source, mask, self.target, options,
            most=self.most, prefixes=[segment.prefix for segment in segments],
            keys=np.array([segment.key for segment in segments]),
            logprobs=self.word_scores, attention=self.alignment or self.replace_unk,
            spare=options.beam_size if options.n_best > 1 and not options.sample else 0,
        )  # fmt: skip
        texts = iter(rule.decode([hypothesis.ids for line in hypotheses for hypothesis in line]))
        asked = Asked(self.replace_unk, self.word_scores, self.alignment, self.confidence)
        return [
            [translation(rule, segment, hypothesis, next(texts), asked) for hypothesis in line]
            for segment, line in zip(segments, hypotheses, strict=True)
        ]
