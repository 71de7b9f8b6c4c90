"""What comes before the loop: the device, determinism, the split, the vocabulary with the sample. Knows no loop."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit import neighbours
from textkit.corpora.corpus import SHARES, Corpus
from textkit.durable import naming
from textkit.errors import TextkitError, TextkitWarning, UsageError
from textkit.guard import blaming, checked
from textkit.plugin import Plugin, Source, Training
from textkit.text.rule import TextRule
from textkit.training.effects import has_score
from textkit.training.events import Event, Stage
from textkit.training.run import SAMPLE_LINES, Run

if TYPE_CHECKING:
    import torch

SPLIT_RULE = "a line's share is splitmix64(number from 0, through all files, xor splitmix64(seed)) % 100"

# torch's libraries read these when they are first used. oneDNN caches the code that it makes for every new shape, up to a
# thousand of them. Batches of lines keep having new shapes: the process grew by a gigabyte in 80 updates of a small
# transformer, and most of that code was never used again. With tensors on huge pages an update takes 5 to 12 % less time.
_OF_TORCH = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64", "THP_MEM_ALLOC_ENABLE": "1"}


# How often a thread of torch's OpenMP looks for work before it sleeps (neighbours.py says why). On a machine of one's own,
# 20,000 are as fast as libgomp's 300,000; beside a busy process they are three times as fast, and 1,000 six times.
_LOOKS, _LOOKS_IN_A_CROWD = "20000", "1000"


def set_variables(threads: int) -> None:
    """Sets the variables that spare memory and time, before torch is imported; a user's own setting stays."""
    for name, value in _OF_TORCH.items():
        os.environ.setdefault(name, value)
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _LOOKS_IN_A_CROWD if neighbours.crowded(threads) else _LOOKS)


def choose_device(asked: str, plugin: Plugin, training: Training) -> torch.device:
    """The device for `auto`, `cpu`, `cuda` or `cuda:N`.

    A plugin with an update or a fit of its own works on the CPU, unless its attribute `devices` names `cuda` too.
    UsageError where the device is not available, or cannot do what was asked.
    """
    import torch

    able = plugin.devices or (("cpu", "cuda") if plugin.update is None and plugin.fit is None else ("cpu",))
    here = torch.cuda.is_available()
    if asked.startswith("cuda"):
        if "cuda" not in able:
            raise UsageError(f"--device {asked}: {plugin.name} trains on the CPU")
        if not here:
            why = "has no CUDA in it" if torch.version.cuda is None else "finds no GPU that it can use"
            raise UsageError(f"--device {asked}: this torch ({torch.__version__}) {why}; textkit doctor tells more")
        device = torch.device(asked)
        if (device.index or 0) >= torch.cuda.device_count():
            raise UsageError(f"--device {asked}: there are {torch.cuda.device_count()} GPUs, counted from 0")
    else:
        device = torch.device("cuda" if asked == "auto" and here and "cuda" in able else "cpu")
    if training.precision in ("tf32", "fp16") and device.type == "cpu":
        raise UsageError(f"precision={training.precision}: needs a GPU; on the CPU mixed precision is precision=bf16")
    return device


@contextmanager
def repeatable(device: torch.device, threads: int, seed: int, rank: int = 0) -> Iterator[None]:
    """Seeds all generators, sets torch's threads and, on the CPU, has torch choose deterministic kernels; undone afterwards.

    `rank`: of the process in its team, so that each draws its own numbers.
    """
    import torch

    from textkit.training.checkpoint import random_state_kept

    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory
    if rank:
        seed = int(np.random.SeedSequence([seed, rank]).generate_state(1, np.uint64)[0] >> 1)
    with random_state_kept():
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        try:
            if device.type == "cpu":
                _choose_deterministic(True, warn_only=True)
                # Filling costs time, and nothing here reads uninitialised memory.
                torch.utils.deterministic.fill_uninitialized_memory = False
            yield
        finally:
            torch.utils.deterministic.fill_uninitialized_memory = fill
            _choose_deterministic(before[1], warn_only=warn_only)
            torch.set_num_threads(before[0])


@contextmanager
def products(device: torch.device, precision: str) -> Iterator[None]:
    """Has a GPU round the factors of f32 products to 10 bits (`tf32`), or not (any other precision); undone afterwards.

    torch by itself rounds them in cuDNN's layers, and nowhere else.
    """
    if device.type != "cuda":
        yield
        return
    from torch import backends

    places: list[Any] = [backends.cuda.matmul, backends.cudnn.rnn, backends.cudnn.conv]
    name: str = "fp32_precision"
    value: str | bool = "tf32" if precision == "tf32" else "ieee"
    if not hasattr(backends.cuda.matmul, name):  # torch 2.8
        places = [backends.cuda.matmul, backends.cudnn]
        name, value = "allow_tf32", precision == "tf32"
    before = [getattr(place, name) for place in places]
    for place in places:
        setattr(place, name, value)
    try:
        yield
    finally:
        for place, old in zip(places, before, strict=True):
            setattr(place, name, old)


def _choose_deterministic(mode: bool, warn_only: bool) -> None:
    """torch.use_deterministic_algorithms without its import of torch's compiler, which takes 2 s and is not used here."""
    import torch

    choose = getattr(torch._C, "_set_deterministic_algorithms", torch.use_deterministic_algorithms)
    choose(mode, warn_only=warn_only)


def tell_changes(run: Run, threads: int, processes: int) -> None:
    """Warns if a run goes on with another number of threads or processes than it began with."""
    before = run.facts.get("threads", threads)
    if before != threads:
        text = f"begun with --threads {before}: the last bits may differ with {threads}"
        warnings.warn(TextkitWarning(text), stacklevel=3)
    before = run.facts.get("processes", processes)
    if before != processes and run.training.batch_size:
        was, now = (f"{number * run.training.accumulate} batches" for number in (before, processes))
        text = f"begun with processes: {before}, now {processes}: an update was of {was}, is of {now}"
        warnings.warn(TextkitWarning(text), stacklevel=3)


def split(run: Run, corpus: Corpus, dev: Corpus | None) -> Iterator[Event]:
    """Splits the training data 70/20/10 if the plugin has a dev score and no dev file is given; records how."""
    if dev is not None or run.split is not None or not has_score(run.plugin):
        return
    yield Stage("splitting the data 70/20/10")
    with naming(run.folder / "dev.txt"):
        counts = corpus.split(run.seed, run.folder / "dev.txt", run.folder / "test.txt")
    for part, count in counts.items():
        if not count:
            raise TextkitError(
                f"{corpus.paths[0]}: the corpus is too small: none of its {sum(counts.values())} lines fell to {part}"
                " in the split 70/20/10; give --dev FILE to train on all of it"
            )
    run.split = {"seed": run.seed, "rule": SPLIT_RULE, "shares": SHARES, "lines": counts}
    run.save()


def parts(run: Run, corpus: Corpus, dev: Corpus | None) -> tuple[Corpus, Corpus | None, Corpus | None]:
    """The data to train on, to score on while training, and to score on at the end."""
    if run.split is None:
        return corpus, dev, None
    train, test = corpus.with_part("train", run.split["seed"]), corpus.with_paths([run.folder / "test.txt"])
    test.held_out = True
    return train, corpus.with_paths([run.folder / "dev.txt"]), test


def learn_vocabulary(run: Run, corpus: Corpus) -> Iterator[Event]:
    """Has the plugin make its vocabulary, and saves a sample of the lines that it reads for that."""
    if run.has_vocabulary:
        return
    begins = "learning the vocabulary" if run.init is None else f"the model to begin with, {Path(run.init).name}"
    yield Stage(f"reading the data and {begins}")
    sampled = corpus.sampled(SAMPLE_LINES, run.seed)
    source = None
    if run.init is not None:
        from textkit.training.initial import source_of

        source = run.source or source_of(run.init)
    method = "vocabulary" if source is None else "adopt"
    with blaming(run.plugin, method):
        given = (sampled, run.config)
        learnt = run.plugin.vocabulary(*given) if source is None else run.plugin.adopt(*given, source)
        rule = checked(run.plugin, method, learnt, TextRule)
    if sampled.sample is None:  # the plugin stopped early, or did not read at all
        for _ in sampled.blocks():
            pass
    run.save_sample(sampled.sample or [])
    run.facts["lines"] = sampled.total
    if source is not None:
        run.facts["begun"] = _begin(run, rule, source, corpus)
    run.save()
    run.save_vocabulary(rule)


def _begin(run: Run, rule: TextRule, source: Source, corpus: Corpus) -> dict[str, Any]:
    """Keeps the weights that the run takes from `source`, and those that it learns beside them; returns what to record."""
    import torch

    from textkit.training.checkpoint import save_tensors

    with blaming(run.plugin, "begin"), torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.seed)
        network = run.plugin.network(run.config, rule)
        names = set(run.plugin.begin(network, run.config, rule, source))
    if not names:
        raise TextkitError(f"--init {source.name}: none of its weights fits {run.plugin.name} with these options")
    with blaming(run.plugin, "prepare"), torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.seed)
        prepared = set(run.plugin.prepare(network, corpus, rule, run.config, run.seed))
    names |= prepared
    state = network.state_dict()
    save_tensors(run.initial, {name: state[name] for name in sorted(names)}, {"kind": "initial"})
    new = sum(parameter.numel() for name, parameter in network.named_parameters() if name not in names)
    found = {"with": os.path.basename(os.path.normpath(source.name)), "tensors": len(names), "new_parameters": new}
    return {**found, "prepared": len(prepared)} if prepared else found
