"""Measures textkit on a GPU: `python benchmarks/gpu.py DATA [--peers PYTHON]`. First says which parts can run, or why not.

`textkit embed`: vectors and lines/s of the CPU and of CUDA, for the shipped model and a bigger one. `textkit translate`:
tokens/s in fp16 and fp32 beside CTranslate2 on the same GPU, and whether a GPU translates as the CPU does. This part needs
--translation-peers, because they make the model. word2vec: `textkit train --device cuda` beside gensim on the CPU of the same
machine; without --peers, textkit runs alone. A part is left out if onnxruntime, or torch, finds no GPU; the others are still
measured. DATA holds wikitext2/, tatoeba/, multi30k/ and wordvec/. The section goes to docs/benchmarks.md, or to --page FILE
(for example a copy to take to another machine). The script also runs from a clone that is not installed. `--try-on-cpu` runs
everything with the CPU in place of the GPU and writes nothing.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import statistics
import sys
import tempfile
import time
from collections import Counter
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import clone
import report
from cost import Failed, cost

if TYPE_CHECKING:
    import numpy as np
    from training import Bench

    from textkit.tasks.embed.serving.embedder import Embedder

NEEDED = (
    "click",
    "numpy",
    "onnx",
    "onnxruntime",
    "platformdirs",
    "rich",
    "safetensors",
    "tokenizers",
    "torch",
    "numba",
)
BIG = (100_000, 300)  # words and dimensions of the bigger model
PARTS = ("embed", "translate", "train")
LARGE_BATCH = 65_536  # padded tokens; the default is sized for a CPU's cache


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="folder that holds wikitext2/, tatoeba/, multi30k/ and wordvec/")
    parser.add_argument("--peers", metavar="PYTHON", help="a Python that has gensim; without it, textkit runs alone")
    parser.add_argument("--translation-peers", metavar="PYTHON", help="a Python that has translation_peers.txt")
    parser.add_argument("--rounds", type=int, default=3, help="seeds of word2vec, and repetitions of the others")
    parser.add_argument("--quick", action="store_true", help="use a part of the data and one round; write nothing")
    parser.add_argument("--try-on-cpu", action="store_true", help="use the CPU in place of the GPU; write nothing")
    parser.add_argument("--page", type=Path, default=report.PAGE, help="where the section goes")
    given = parser.parse_args()
    given.device = "cpu" if given.try_on_cpu else "cuda"
    given.rounds = 1 if given.quick else given.rounds
    if not given.data.is_dir():
        parser.error(f"{given.data}: no such folder")
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(f"not to be measured: this Python lacks {', '.join(missing)}")
    clone.reach()
    from textkit.errors import TextkitError

    why_not = dict.fromkeys(PARTS) if given.try_on_cpu else reasons()
    for part, reason in why_not.items():
        print(f"textkit {part}: {'on the GPU' if reason is None else f'not on a GPU: {reason}'}", file=sys.stderr)
    if all(why_not.values()):
        print("No GPU to measure; docs/benchmarks.md is left as it is.")
        return
    parts = [f"## On a GPU\n\n{where()}."]
    failed = False
    with tempfile.TemporaryDirectory(prefix="textkit-bench-") as scratch:
        for part, measure in (("embed", embed), ("translate", translate), ("train", train)):
            reason = why_not[part]
            try:
                text = measure(given, Path(scratch)) if reason is None else f"`textkit {part}`: not measured: {reason}"
            except (Failed, TextkitError) as error:
                text, failed = f"`textkit {part}`: failed: {error}", True
            parts.append(text)
            print(text, flush=True)
    if not given.quick and not given.try_on_cpu:
        report.section("gpu", "\n\n".join(parts), given.page)
    sys.exit(int(failed))


def reasons() -> dict[str, str | None]:
    """Why each part cannot use a GPU; None where it can."""
    import torch

    from textkit.serving.probe import available_device

    torch_sees = torch.cuda.is_available()
    why = "has no CUDA in it" if torch.version.cuda is None else "finds no GPU that it can use"
    serves = available_device("cuda")
    return {"embed": serves, "translate": serves, "train": None if torch_sees else f"torch {torch.__version__} {why}"}


def where() -> str:
    """The machine, its GPU, and the command."""
    import torch

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU for torch"
    machine = report.machine(("numpy", "onnxruntime-gpu", "onnxruntime", "torch"))
    return f"{name}; {machine}.\n`python benchmarks/gpu.py DATA --peers PYTHON`"


def embed(given: argparse.Namespace, scratch: Path) -> str:
    """The section on `textkit embed`."""
    with gzip.open(given.data / "tatoeba" / "train.en-de.tsv.gz", "rt", encoding="utf-8") as rows:
        lines = [row.split("\t")[0] for row in islice(rows, 5_000 if given.quick else None)]
    text = scratch / "lines.txt"
    text.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    models: dict[str, str | Path | None] = {
        "the default model": None,
        "fp32, {:,} x {}".format(*BIG): big_model(lines, scratch / "big"),
    }
    cells, differences = [], []
    for name, model in models.items():
        differences.append([name, *deviations(model, lines, given.device)])
        for device, batch in (("cpu", None), (given.device, None), (given.device, LARGE_BATCH)):
            rates = [measured(model, lines, text, device, batch) for _ in range(given.rounds)]
            middle = [f"{statistics.median(column):,.0f}" for column in zip(*rates, strict=True)]
            cells.append([name, device + (f", --batch-tokens {batch}" if batch else ""), *middle])
    differs = report.table(["largest difference", "mean", "max", "sif", "mean, normalized"], differences)
    rates_of = report.table(
        ["model", "device", "ids to vectors, lines/s", "in process, lines/s", "whole process, lines/s"], cells
    )
    return f"""### textkit embed

CUDA beside the CPU, {len(lines):,} English lines of Tatoeba; wanted: 1e-4 at most.

{differs}

Medians of {given.rounds} rounds. Text becomes ids on the CPU: "ids to vectors" leaves that out.

{rates_of}"""


def deviations(model: str | Path | None, lines: list[str], device: str) -> list[str]:
    """The largest absolute difference between the CPU's vectors and the device's, for each kind of pooling."""
    import numpy as np

    from textkit.tasks.embed.serving.embedder import Embedder

    found = []
    for pooling, normalize in (("mean", False), ("max", False), ("sif", False), ("mean", True)):
        here, there = (
            on(Embedder(model, where_to, pooling=pooling, normalize=normalize))(lines) for where_to in ("cpu", device)
        )
        largest = float(np.abs(here - there).max())
        found.append(f"{largest:.1e}" if largest <= 1e-4 else f"**{largest:.1e}, too much**")
    return found


def on(embedder: Embedder) -> Embedder:
    """The embedder, after its device is printed. It runs where it was told to: Session raises if it cannot get the GPU."""
    print(f"{embedder.bundle.folder.name}: on {embedder.session.device}", file=sys.stderr)
    return embedder


def measured(
    model: str | Path | None, lines: list[str], text: Path, device: str, batch: int | None
) -> tuple[float, ...]:
    """Lines/s of the graph and its padding, of text to vectors in process, and of `textkit embed` as a whole process."""

    from textkit.tasks.embed.serving.embedder import BATCH_TOKENS, Embedder

    embedder = Embedder(model, device, batch_tokens=batch or BATCH_TOKENS)
    encoded = embedder.encode(lines)
    embedder(lines[:2000])  # loads the graph and wakes the GPU
    embedder.vectors(encoded)
    seconds = []
    for work in (lambda: embedder.vectors(encoded), lambda: embedder(lines)):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    out = text.with_name("vectors.npy")
    command = [sys.executable, "-m", "textkit", "embed", text, "-o", out, "--device", device]
    command += [] if model is None else ["-m", model]
    command += [] if batch is None else ["--batch-tokens", str(batch)]
    seconds.append(cost(command).seconds)
    out.unlink()
    return tuple(len(lines) / one for one in seconds)


def big_model(lines: list[str], folder: Path) -> Path:
    """A bundle of random vectors for the words of the lines and, up to BIG's number of words, made-up ones."""
    import numpy as np

    from textkit.tasks.embed.exporting.export import export_embedding_table
    from textkit.text.normalizer import Normalizer
    from textkit.text.words import Words

    count, dim = BIG
    seen = Counter(chain.from_iterable(Normalizer().words(lines)))
    words = [word for word, _ in seen.most_common(count)]
    words += [f"made-up-{number}" for number in range(count - len(words))]
    counts = np.array([seen.get(word, 1) for word in words], np.float64)
    table: np.ndarray = np.random.default_rng(1).standard_normal((count, dim), np.float32)
    probability = (counts / counts.sum()).astype(np.float32)
    return export_embedding_table(folder, rule=Words(words), table=table, probability=probability, sample=lines[:1000])


def translate(given: argparse.Namespace, scratch: Path) -> str:
    """The section on `textkit translate`."""
    from translate import compared
    from translating import LENGTH, Models

    if not given.translation_peers:
        return "`textkit translate`: not measured: --translation-peers is not given."
    # CTranslate2 has no float16 on a CPU.
    precisions = ("fp32",) if given.device == "cpu" else ("fp32", "fp16")
    lines = 32 if given.quick else 512
    models = Models.marian(
        given.data, given.translation_peers, scratch / "marian", lines, precisions=precisions, optimum=False
    )
    cases = {
        f"{precision}, {batch} lines, {'greedy' if beam == 1 else f'beam {beam}'}": (batch, beam, precision)
        for precision in reversed(precisions)
        for batch in (32, 128)
        for beam in (4, 1)
    }
    rows = compared(models, cases, ("ctranslate2",), given.rounds, given.device)
    here = models.rate("textkit", (32, 4, "fp32"), 1)["lines"]
    alike = []
    for precision in precisions:
        there = models.rate("textkit", (32, 4, precision), 1, given.device)["lines"]
        share = sum(one == other for one, other in zip(here, there, strict=True)) / len(here)
        alike.append(f"{precision} {share:.1%}")
    return f"""### textkit translate

A Marian-shaped model ({models.about}), {lines} lines of Multi30k, {LENGTH} tokens of translation each; target tokens/s of
the search, loading not counted; {given.rounds} rounds in turn, median of the rounds' ratios (range).

{report.table(["", "textkit", "CTranslate2", "times as fast"], rows)}

Lines translated as the CPU does in fp32 (32 lines, beam 4): {", ".join(alike)}."""


def train(given: argparse.Namespace, scratch: Path) -> str:
    """The section on word2vec."""
    import training
    from comparison import RATIOS, described, processes, seed_table, speeds
    from trained import Corpus, Trained, median

    corpus = Corpus.write(given.data / "wikitext2" / "train.txt.gz", scratch / "corpus.txt", 4 if given.quick else 1)
    bench: Bench = training.Bench(given.data, given.peers, corpus, scratch, given.quick)
    bench.warm("word2vec")
    settings: dict[str, Any] = {**training.WORD2VEC, "epochs": bench.epochs(5)}
    theirs: dict[str, list[Trained]] = {mode: [] for mode in training.MODES if given.peers}
    ours: list[Trained] = []
    for seed in range(1, given.rounds + 1):
        for mode, found in theirs.items():
            job = {**settings, "mode": mode, "threads": bench.threads, "seed": seed}
            found.append(bench.peer("word2vec_gensim.py", job))
        ours.append(bench.textkit("word2vec", settings, seed=seed, device=given.device))
    on_devices = ", ".join(sorted({one.detail["device"] for one in ours}))
    head = f"""### word2vec training

`textkit train word2vec --device {given.device}` (it ran on {on_devices}); skip-gram, {described(settings)};
{training.text_of(bench)}. words/s of the training loop alone, its first batch left out."""
    if not theirs:
        mine = [[f"{one.rate:,.0f}", f"{one.seconds:.1f}", f"{one.rho:.3f}"] for one in ours]
        return head + "\n\n" + report.table(["words/s", "process, s", "WordSim-353, Spearman"], mine)
    fastest = max(theirs, key=lambda mode: median([one.rate for one in theirs[mode]]))
    gensim = theirs[fastest]
    versions = ", ".join(f"{name} {number}" for name, number in gensim[0].detail["versions"].items())
    row = [*speeds(gensim, ours), *processes(gensim, ours)]
    columns = [
        f"gensim, {bench.threads} threads, words/s",
        "textkit words/s",
        *RATIOS,
        "gensim process, s",
        "textkit process, s",
    ]
    return f"""{head} Wanted: 20 times gensim ({versions}), which reads from a {fastest}.

{report.table(columns, [row])}

{seed_table("gensim", list(zip(gensim, ours, strict=True)))}"""


if __name__ == "__main__":
    main()
