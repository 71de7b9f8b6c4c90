"""Lines with the vectors that a teacher gives them, computed when they are first needed and kept on disk. Light: no torch.

As LEAF (Vujanic et al. 2025) and the distillation of sentence-transformers (Reimers and Gurevych 2020, arXiv 2004.09813) do it,
with no labels. A part of each longer line is a text of its own: short texts are what people search for and compare.
"""

from __future__ import annotations

import atexit
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from textkit.errors import TextkitError
from textkit.plugin import Epoch
from textkit.training.initial import is_checkpoint
from textkit_plugins.encoder.batching import SORTED, cut_by_length
from textkit_plugins.encoder.vectors import lines_of, vectors_of

if TYPE_CHECKING:
    from textkit.corpora.corpus import Corpus
    from textkit.tasks.embed.serving.embedder import Embedder
    from textkit.text.rule import TextRule
    from textkit_plugins.encoder.sentences import SentenceOptions
    from textkit_plugins.encoder.similarity import Batch

_LINES = 10_000  # read at once
_WHOLE = 5  # words: shorter lines are not cut
_SIF = 1e-3  # a in the weight a / (a + p) of a token with probability p
_BATCH = 4096  # tokens that the teacher reads at once: its numbers then stay in the caches
_SCORED = 2000  # dev lines that are compared with the teacher


class Taught:
    """The texts of a corpus, and the teacher's vectors of those that were asked for. `folder` keeps them; None: memory does."""

    def __init__(self, texts: Sequence[str], teacher: Embedder, folder: Path | None) -> None:
        self.texts, self.teacher = texts, teacher
        shape = (len(texts), teacher.dim)
        if folder is None:
            self._vectors, self._known = np.zeros(shape, np.float16), np.zeros(len(texts), bool)
        else:
            self._vectors = _kept(folder / "teacher.f16", np.float16, shape)
            self._known = _kept(folder / "teacher.known", np.bool_, (len(texts),))

    def vectors(self, chosen: np.ndarray) -> np.ndarray:
        """f32[text, dim] of the texts numbered `chosen` i64[text]."""
        missing = chosen[~self._known[chosen]]
        if len(missing):
            self._vectors[missing] = self.teacher([self.texts[at] for at in missing])
            if isinstance(self._vectors, np.memmap):
                self._vectors.flush()  # before it is said that they are there
            self._known[missing] = True
        return self._vectors[chosen].astype(np.float32)


def _kept(path: Path, dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    there = path.exists() and path.stat().st_size == size
    return np.memmap(path, dtype, "r+" if there else "w+", shape=shape)


@lru_cache(2)
def teacher_of(name: str) -> Embedder:
    """The model `name`, giving vectors of length 1. A checkpoint's folder is imported first, while the process lives."""
    from textkit.tasks.embed.serving.embedder import Embedder

    if is_checkpoint(Path(name)):
        folder = tempfile.mkdtemp(prefix="textkit-teacher-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        # In a process of its own: the export's sessions would keep much of the memory that this one may use.
        command = [sys.executable, "-P", "-m", "textkit", "import", name, "-o", f"{folder}/teacher", "-q"]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise TextkitError(done.stderr.strip().removeprefix("textkit: "))
        name = f"{folder}/teacher"
    return Embedder(name, normalize=True, batch_tokens=_BATCH)


def begin_axes(network: Any, rule: TextRule, config: SentenceOptions) -> Sequence[str]:
    """Sets the axes onto which the teacher's vectors are projected: the main ones of what it gives each token alone."""
    import torch

    if not config.projected:
        return []
    vectors = _of_tokens(config.teacher, tuple(rule.vocabulary()[0]))
    if vectors.shape[1] != config.projected:
        raise TextkitError(f"projected={config.projected}: the teacher's vectors have {vectors.shape[1]} numbers")
    with torch.no_grad():
        network.axes.copy_(torch.from_numpy(axes_of(vectors, config.size)))
    return ["axes"]


def begin_static(network: Any, rule: TextRule, config: SentenceOptions) -> Sequence[str]:
    """Begins a bag with what the teacher gives each token alone, and with the weights of SIF (Arora et al. 2017), as Model2Vec
    (Tulkens and van Dongen 2024) does."""
    import torch

    names, ids = rule.vocabulary()
    vectors = _of_tokens(config.teacher, tuple(names))
    state = network.state_dict()
    begun = {"encoder.tokens.embedding.weight": vectors @ state["axes"].numpy() if config.projected else vectors}
    if "tokens" in rule.learnt:
        counts = np.array(rule.learnt["tokens"], np.float64)[ids]
        begun["encoder.pooling.importance.weight"] = (_SIF / (_SIF + counts / max(1, counts.sum())))[:, None]
    with torch.no_grad():
        for name, value in begun.items():
            if name in state:
                state[name][torch.from_numpy(ids)] = torch.from_numpy(value).to(state[name].dtype)
    return [name for name in begun if name in state]


@lru_cache(1)
def _of_tokens(teacher: str, names: tuple[str, ...]) -> np.ndarray:
    """What the teacher gives each token alone, without the marks that tokenizers put before it."""
    texts = [name.removeprefix("##").replace("▁", " ").replace("Ġ", " ").strip() or name for name in names]
    return np.asarray(teacher_of(teacher)(texts), np.float32)


def axes_of(vectors: np.ndarray, size: int) -> np.ndarray:
    """The `size` directions f32[dim, size] in which vectors f32[n, dim] are longest, which keeps their angles best."""
    if size >= vectors.shape[1]:
        return np.eye(vectors.shape[1], dtype=np.float32)
    _, directions = np.linalg.eigh(vectors.T.astype(np.float64) @ vectors)
    return np.ascontiguousarray(directions[:, ::-1][:, :size], np.float32)


def texts_of(corpus: Corpus, seed: int, parts: bool = True) -> list[str]:
    """The lines of `corpus` with text, and a part of each that has more than a few words, the same for the same seed."""
    random = np.random.default_rng([seed, 2])
    found = []
    for lines in corpus.chunks(_LINES):
        for line in lines:
            words = line.split()
            if not words:
                continue
            found.append(line)
            if parts and len(words) > _WHOLE:
                length = int(random.integers(1, min(len(words), 12)))
                begin = int(random.integers(0, len(words) - length + 1))
                found.append(" ".join(words[begin : begin + length]))
    return list(dict.fromkeys(found))


def taught_batches(corpus: Corpus, rule: TextRule, config: SentenceOptions, epoch: Epoch) -> Iterator[Batch | None]:
    """The batches of an epoch, each of texts of about the same length; None for those that other processes learn from."""
    import torch

    from textkit_plugins.encoder.similarity import Batch as Made

    if epoch.seed not in _read.setdefault(corpus, {}):
        _read[corpus] = {epoch.seed: texts_of(corpus, epoch.seed)}
    taught = Taught(_read[corpus][epoch.seed], teacher_of(config.teacher), epoch.scratch)
    random = np.random.default_rng([epoch.seed, epoch.number])
    order = random.permutation(len(taught.texts))
    size = epoch.batch_size or len(order)
    done = 0
    for begin in range(0, len(order), size * SORTED):
        group = order[begin : begin + size * SORTED]
        cuts = [np.array(cut) for cut in cut_by_length(group.tolist(), size, lambda number: len(taught.texts[number]))]
        shuffled = random.permutation(len(cuts))
        numbered = [(number, cuts[at]) for number, at in enumerate(shuffled, done) if number >= epoch.start]
        done += len(cuts)
        mine = [cut for number, cut in numbered if epoch.owns(number)]
        if mine:
            # Many at once: the teacher sorts them by length.
            taught.vectors(group if epoch.turn is None else np.concatenate(mine))
        for number, cut in numbered:
            if not epoch.owns(number):
                yield None
                continue
            lines = lines_of([taught.texts[text] for text in cut], rule, config)
            wanted = torch.from_numpy(taught.vectors(cut))
            yield Made((lines,), wanted, len(cut), int((lines.weight > 0).sum()), epoch.number)


def cosine_with_teacher(network: Any, dev: Corpus, rule: TextRule, config: SentenceOptions) -> float:
    """The mean cosine of the network's vectors with the teacher's, over the first dev lines."""
    texts, wanted = _dev(config.teacher, dev)
    if config.projected:
        wanted = wanted @ network.axes.cpu().numpy()
        wanted /= np.maximum(np.linalg.norm(wanted, axis=1, keepdims=True), 1e-12)
    return float((vectors_of(network, texts, rule, config) * wanted).sum(1).mean())


# What stays the same during a training, which has the same corpora from its beginning to its end.
_read: WeakKeyDictionary[Corpus, dict[int, list[str]]] = WeakKeyDictionary()
_dev_vectors: WeakKeyDictionary[Corpus, dict[str, tuple[list[str], np.ndarray]]] = WeakKeyDictionary()


def _dev(teacher: str, dev: Corpus) -> tuple[list[str], np.ndarray]:
    """The dev lines and the teacher's vectors."""
    if teacher not in _dev_vectors.setdefault(dev, {}):
        texts = texts_of(dev, 0)[:_SCORED]
        if not texts:
            raise TextkitError("the dev data has no line with text")
        _dev_vectors[dev] = {teacher: (texts, np.asarray(teacher_of(teacher)(texts)))}
    return _dev_vectors[dev][teacher]
