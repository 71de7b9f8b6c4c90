"""Pairs to train a student on: lines, each with what teachers translate it to.

Sequence-level distillation (Kim and Rush 2016, arXiv 1606.07947): a student learns the teacher's best translations, which are
simpler to learn than people's. Of several hypotheses the one most like the reference is taken (their "interpolation"), or the
one that the others agree with where there is no reference.

    plan.json    what was asked for
    pairs.tsv    source<tab>translation, growing
    done.json    how many lines that is

The folder lies in that of the run. Whatever happens, a later process goes on behind the last lines that are done. Knows no
training.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from textkit.corpora.corpus import describe_file
from textkit.corpora.pairs import TAB
from textkit.durable import naming, replace_file
from textkit.errors import TextkitError, UsageError
from textkit.streams.lines import check_readable, read_blocks
from textkit.tasks.translate.choosing import best
from textkit.tasks.translate.serving.doubts import echoes, loops, short
from textkit.tasks.translate.serving.translations import Translation
from textkit.tasks.translate.serving.translator import Translator

AT_ONCE = 512  # lines between two points to go on from: seconds of work


@dataclass(frozen=True)
class Teaching:
    """What the pairs are made of. `texts`: files of lines, or of source<tab>reference. `references`: whether the pairs of lines
    and references are learnt from, too."""

    teachers: tuple[str, ...]
    texts: tuple[str, ...]
    n_best: int = 1
    beam_size: int | None = None
    references: bool = False


@dataclass(frozen=True)
class Done:
    """How far it is. `lines`: those read, of `total`; `pairs`: those written; `doubtful`: lines left out because no translation
    was beyond doubt; `size`: bytes of pairs.tsv."""

    lines: int = 0
    pairs: int = 0
    doubtful: int = 0
    size: int = 0
    total: int = 0


class Distillation:
    """The pairs in `folder`, which need not exist. Raises TextkitError for a teacher that does not translate, or into another
    language than the others, and for texts that cannot be read."""

    def __init__(self, folder: Path, teaching: Teaching, device: str = "auto", threads: int | None = None) -> None:
        self.folder, self.teaching = folder, teaching
        self.pairs = folder / "pairs.tsv"
        check_readable([Path(text) for text in teaching.texts])
        self.teachers = [
            Translator(name, device, threads, beam_size=teaching.beam_size, n_best=teaching.n_best)
            for name in teaching.teachers
        ]
        languages = {one.rule.target_language for one in self.teachers} - {""}
        if len(languages) > 1:
            raise UsageError(f"--teacher: they translate into different languages: {', '.join(sorted(languages))}")

    def begin(self, recipe: dict[str, Any]) -> None:
        """Makes the folder, and keeps there what was asked for, the `recipe` of the training that follows among it."""
        plan = {"teaching": asdict(self.teaching), "made_of": self._made_of(), "recipe": recipe}
        with naming(self.folder):
            self.folder.mkdir(parents=True)
        replace_file(self.folder / "plan.json", json.dumps(plan, indent=1).encode() + b"\n")

    def unchanged(self) -> None:
        """Raises TextkitError where a teacher or a text is another than at the beginning."""
        now = self._made_of()
        for name, digest in _read(self.folder / "plan.json")["made_of"].items():
            if now.get(name) != digest:
                raise TextkitError(f"{name}: is not what the run began with; give a new -o")

    def _made_of(self) -> dict[str, str]:
        texts = {text: describe_file(Path(text))["sha256"] for text in self.teaching.texts}
        models = {
            name: hashlib.sha256(json.dumps(one.bundle.manifest.files, sort_keys=True).encode()).hexdigest()
            for name, one in zip(self.teaching.teachers, self.teachers, strict=True)
        }
        return texts | models

    @property
    def done(self) -> Done:
        file = self.folder / "done.json"
        return Done(**_read(file)) if file.exists() else Done()

    def run(self) -> Iterator[Done]:
        """Writes the pairs that are still missing, and says how far it is after every few lines. Raises TextkitError where no
        line has a translation."""
        done = self.done
        total = done.total or sum(1 for _ in self._lines())
        if done.lines == total:
            return
        with naming(self.pairs), self.pairs.open("ab") as out:
            out.truncate(done.size)  # what was written behind the last point to go on from is written again
            lines = islice(self._lines(), done.lines, None)
            while chunk := list(islice(lines, AT_ONCE)):
                made, doubtful = self._made(chunk)
                out.write("".join(f"{source}{TAB}{target}\n" for source, target in made).encode())
                out.flush()
                os.fsync(out.fileno())
                doubtful += done.doubtful
                done = Done(done.lines + len(chunk), done.pairs + len(made), doubtful, out.tell(), total)
                replace_file(self.folder / "done.json", json.dumps(asdict(done)).encode())
                yield done
        if not done.pairs:
            raise TextkitError(
                "no line has a translation that is beyond doubt: are these lines of the source language?"
            )

    def _lines(self) -> Iterator[tuple[str, str]]:
        """The lines with text, each with its reference or ""."""
        for text in self.teaching.texts:
            for block in read_blocks(Path(text)):
                for line in block:
                    source, _, rest = line.partition(TAB)
                    if source.strip():
                        yield source, rest.partition(TAB)[0].strip()

    def _made(self, lines: Sequence[tuple[str, str]]) -> tuple[list[tuple[str, str]], int]:
        """The pairs of lines and their references, and for how many lines the teachers have nothing beyond doubt."""
        sources = [source for source, _ in lines]
        candidates: list[list[str]] = [[] for _ in lines]
        for teacher in self.teachers:
            for source, found, translations in zip(sources, candidates, teacher.translate(sources), strict=True):
                found += [text for one in translations if (text := _sound(one, source))]
        made = []
        for (source, reference), found in zip(lines, candidates, strict=True):
            chosen = found[best(found, reference)] if found else ""
            if chosen:
                made.append((source, chosen))
            if self.teaching.references and reference and reference != chosen:
                made.append((source, reference))
        return made, sum(not found for found in candidates)


def _sound(translation: Translation, source: str) -> str:
    """The text of a translation that nothing speaks against, on one line; otherwise ""."""
    text = " ".join(translation.text.split())
    doubtful = not translation.complete or translation.doubts or short(text, source)
    return "" if doubtful or loops(text, source) or echoes(text, source) else text


def opened(folder: Path, device: str = "auto", threads: int | None = None) -> tuple[Distillation, dict[str, Any]]:
    """The pairs in `folder` as they were planned, and the recipe of the training that follows."""
    plan = _read(folder / "plan.json")
    try:
        said: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in plan["teaching"].items()
        }
        return Distillation(folder, Teaching(**said), device, threads), dict(plan["recipe"])
    except (KeyError, TypeError, AttributeError, ValueError):
        raise TextkitError(f"{folder / 'plan.json'}: damaged") from None


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise TextkitError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
