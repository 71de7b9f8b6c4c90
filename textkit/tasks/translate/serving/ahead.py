"""A translator's graphs, loaded on a thread before the translator is there. Light: it knows no text, and imports on the thread.

onnxruntime makes a session without holding Python's lock, so that it takes the other processor while modules are imported and
the vocabulary is read: a tenth of the time from the start of `textkit translate` to its first line.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from textkit.serving.machine import on_cpu
from textkit.serving.spreading import threads_of_each

if TYPE_CHECKING:
    from textkit.bundle.bundle import Bundle
    from textkit.searching.steps import TranslationSteps


class StepsAhead:
    """The graphs of `bundle`, on a CPU. On a GPU nothing is loaded ahead, because what it says belongs to the main thread."""

    def __init__(
        self, bundle: Bundle, device: str, threads: int | None, workers: int | None, attention: bool,
        shortlist: bool, sample: bool,
    ) -> None:  # fmt: skip
        """What they are loaded with is what a Translator takes; `sample`: whether it draws, which other outputs are for."""
        self._made: TranslationSteps | None = None
        self._thread = threading.Thread(target=self._load, name="textkit-graphs")
        self._asked = bundle, "cpu", threads_of_each(threads, workers, device), attention, shortlist
        self._sample = sample
        if on_cpu(device):
            self._thread.start()

    def _load(self) -> None:
        from textkit.searching.options import Search
        from textkit.searching.steps import TranslationSteps

        with suppress(Exception):  # whoever asks for the graphs meets the same error
            made = TranslationSteps(*self._asked)
            if not self._sample:
                made.load(Search())
            self._made = made

    def steps(self) -> TranslationSteps | None:
        """The graphs, once they are there; None where they could not be loaded, or were not."""
        if self._thread.ident is not None:
            self._thread.join()
        return self._made
