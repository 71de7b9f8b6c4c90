"""The parts of benchmarks/gpu.py: `python gpu_parts.py PART JOB`. Prints a JSON line for each figure as soon as it is there.

JOB is JSON: `data`, `device`, `small` (a part of the data, one round), `peers` and `translation_peers` (Pythons), `scratch` (a
folder that all parts share). All texts are lines of different lengths, in the order of their file, because finished lines that
leave a batch early are part of the work. Rates are those of Python's classes in one process, the model loaded and warm. The
best of the rounds counts, since a shared machine only ever slows a round down. A part may be killed at any moment.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gpu_job import Job, peer, settings, textkit_
from measuring import clone

RECIPES = Path(__file__).resolve().parent.parent / "recipes"


def probe(job: Job) -> None:
    from textkit.serving.probe import available_device

    job.head("Does it compute", "`textkit doctor`'s probe, twice: the first time opens CUDA.", "device", "found", "ms")
    for _ in range(2):
        begun = time.perf_counter()
        problem = available_device(job.device)
        job.row(job.device, problem or "ok", 1000 * (time.perf_counter() - begun))
    if problem:
        sys.exit(problem)


def parity(job: Job) -> None:
    """The shipped models' answers on the device beside the CPU's."""
    import numpy as np

    import textkit

    lines = job.english(2000)
    job.head("Parity with the CPU", f"{len(lines):,} ragged lines; wanted: 1e-4 in fp32.", "model", "figure", "found")
    for name in ("en-words", "en-sentences"):
        here, there = (np.asarray(textkit.Embedder(name, device)(lines)) for device in ("cpu", job.device))
        job.row(name, "largest difference of a vector's number", f"{np.abs(here - there).max():.1e}")
    here, there = (textkit.Classifier("languages", device)(lines) for device in ("cpu", job.device))
    same = np.mean([one.label == other.label for one, other in zip(here, there, strict=True)])
    job.row("languages", "lines with the same label", f"{same:.2%}")
    few = lines[: len(lines) // 4]
    here, there = (
        [found.logprob for found in textkit.LanguageModel("en-lm", device)(few)] for device in ("cpu", job.device)
    )
    job.row("en-lm", "largest difference of a line's log-probability", f"{np.abs(np.subtract(here, there)).max():.1e}")
    here, there = (list(textkit.Translator("en-de", device)(few)) for device in ("cpu", job.device))
    same = np.mean([one == other for one, other in zip(here, there, strict=True)])
    job.row("en-de", "lines translated alike", f"{same:.2%}")


def embed(job: Job) -> None:
    import textkit

    lines = job.english(50_000)
    job.head("Static vectors", f"`textkit embed`, {len(lines):,} ragged lines.", "model", "device", "lines/s")
    for name in ("en-words", "en-sentences"):
        for device in job.devices():
            embedder = textkit.Embedder(name, device)
            job.row(name, device, job.rate(embedder, lines))


def encoder(job: Job) -> None:
    """A transformer of MiniLM's shape with random weights, in textkit, in torch, and in sentence-transformers."""
    import textkit

    lines = job.english(20_000)
    dim, layers, heads = (48, 2, 4) if job.small else (384, 6, 12)
    shape = {"encoder": "transformer", "dim": dim, "layers": layers, "heads": heads, "feedforward": 4 * dim}
    run, model = job.scratch / "encoder-run", job.scratch / "encoder"
    pairs = job.scratch / "pairs.tsv"
    with gzip.open(job.data / "tatoeba/train.en-de.tsv.gz", "rt", encoding="utf-8") as text:
        pairs.write_text("".join("\t".join(pair.rstrip("\n").split("\t")[:2]) + "\n" for pair in islice(text, 2000)))
    options = settings(text="bpe", **shape, max_steps=1, epochs=1)
    textkit_("train", "sentence-encoder", pairs, "-o", run, "--device", "cpu", *options)
    textkit_("export-onnx", run, "-o", model)
    what = f"d{dim}, {layers} layers, random weights, the same on all sides"
    job.head("An encoder", f"{what}; {len(lines):,} ragged lines.", "", "device", "lines/s")
    for device in job.devices():
        some = lines if device == job.device else lines[: len(lines) // 10]
        embedder = textkit.Embedder(model, device)
        job.row("textkit", device, job.rate(embedder, some))
    in_torch(job, run, lines)
    folder = job.scratch / "sentence-transformers"
    try:
        textkit_("convert", model, folder, "--format", "sentence-transformers")
    except subprocess.CalledProcessError as error:
        job.remark(f"sentence-transformers: left out: {error.stderr.strip().splitlines()[-1:]}")
        return
    (job.scratch / "lines.json").write_text(json.dumps(lines))
    peer(job, job.peers, "sentence-transformers", SENTENCE_TRANSFORMERS, folder, job.scratch / "lines.json")


def in_torch(job: Job, folder: Path, lines: list[str]) -> None:
    """The same network in torch, whose attention is scaled_dot_product_attention; lines sorted by length, tokenised before."""
    import torch

    from textkit.corpora.batching import padded
    from textkit.training.run import Run

    run = Run.open(folder)
    network = run.network().eval().to(job.device)
    order = sorted(lines, key=len)
    parts = [order[at : at + 256] for at in range(0, len(order), 256)]
    batches = [tuple(map(torch.from_numpy, padded(run.vocabulary, part, 256))) for part in parts]
    half = torch.bfloat16 if job.device == "cpu" else torch.float16

    def work(some: list[Any]) -> list[Any]:
        with torch.inference_mode(), torch.autocast(job.device, half):
            found = [
                network(SimpleNamespace(ids=ids.to(job.device), weight=weight.to(job.device))) for ids, weight in some
            ]
        return [found[-1].float().cpu()]  # the GPU's work is done when the last is here

    rate = job.rate(work, batches) / len(batches) * len(lines)
    job.row("torch, autocast, sdpa, tokenised before", job.device, rate)


def translate(job: Job) -> None:
    import textkit

    lines = job.english(8000)
    text = f"`en-de`, {len(lines):,} ragged lines; translations end where the model ends them."
    job.head("Translation, the shipped model", text, "beam", "device", "lines/s")
    for device in job.devices():
        some = lines if device == job.device else lines[: max(20, len(lines) // 16)]
        for beam in (1, 4):
            translator = textkit.Translator("en-de", device, beam_size=beam)
            rate = job.rate(translator, some)
            job.row(beam, device, rate)


def score(job: Job) -> None:
    import textkit

    lines = job.english(20_000)
    job.head("Language model, scores", f"`en-lm`, {len(lines):,} ragged lines.", "device", "lines/s")
    for device in job.devices():
        some = lines if device == job.device else lines[: max(20, len(lines) // 10)]
        model = textkit.LanguageModel("en-lm", device)
        job.row(device, job.rate(model, some))


def generate(job: Job) -> None:
    import textkit

    starts = [" ".join(line.split()[:3]) for line in job.english(1000, 8)]
    text = f"`en-lm`, {len(starts):,} prompts, at most 40 tokens."
    job.head("Language model, samples", text, "samples", "device", "samples/s")
    for device in job.devices():
        for samples in (1, 8):
            some = starts if device == job.device else starts[: max(4, len(starts) // 10)]
            generator = textkit.Generator("en-lm", device, max_tokens=40, samples=samples)
            rate = job.rate(generator, some, samples)
            job.row(samples, device, rate)


def train(job: Job) -> None:
    """Words/s of the recipes' training loops, without their first updates."""
    text = "Words/s of the loop after its first third; dev scores not counted."
    job.head("Training", text, "recipe", "precision", "device", "words/s")
    precisions = ("fp32", "bf16") if job.device == "cpu" else ("bf16", "tf32", "fp32")
    pairs = ["multi30k/tok/train.en.gz", "multi30k/tok/train.de.gz"]
    for name, plugin, files, steps in (
        ("multi30k-transformer", "transformer", pairs, 400),
        ("wikitext2-lstm-200", "rnn-lm", ["wikitext2/train.txt.gz"], 300),
        ("word2vec", "word2vec", ["wikitext2/train.txt.gz"], 300),
        ("fasttext", "fasttext", ["wikitext2/train.txt.gz"], 100),
    ):
        own = plugin in ("word2vec", "fasttext")
        for precision in ("fp32",) if own else precisions:
            run = job.scratch / f"{name}-{precision}"
            given = {"max_steps": 6 if job.small else steps, "log_seconds": 0, "epochs": 100}
            given |= {} if own else {"eval_steps": 1_000_000, "precision": precision}
            config = [] if own else ["--config", RECIPES / f"{name}.toml"]
            dev = [] if own else ["--dev", dev_of(job, plugin)]
            sources = [job.data / file for file in files]
            words = [*sources, *dev, "-o", run, "--device", job.device, *config, *settings(**given)]
            try:
                textkit_("train", plugin, *words)
            except subprocess.CalledProcessError as error:
                job.remark(f"{name}, {precision}: failed: {' '.join(error.stderr.strip().splitlines()[-1:])}")
                continue
            rate = words_a_second(run)
            if rate is None:
                job.remark(f"{name}, {precision}: over too soon to be timed")
            else:
                job.row(name, precision, job.device, rate)


def dev_of(job: Job, plugin: str) -> Path:
    """A small dev file: none of the training's time is to go into scores."""
    path = job.scratch / f"dev-{plugin}.txt"
    files = ["multi30k/tok/val.en", "multi30k/tok/val.de"] if plugin == "transformer" else ["wikitext2/valid.txt"]
    sides = [(job.data / file).read_text(encoding="utf-8").splitlines()[:20] for file in files]
    path.write_text("".join("\t".join(row) + "\n" for row in zip(*sides, strict=True)), encoding="utf-8")
    return path


def words_a_second(run: Path) -> float | None:
    """Between the first third of the updates and the last; None if no more than one was shown there."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    shown = [record for record in records if record["event"] == "progress"]
    last = shown[-1]
    first = next(record for record in shown if record["step"] >= last["step"] / 3)
    return None if first is last else (last["words"] - first["words"]) / (last["seconds"] - first["seconds"])


def ctranslate2(job: Job) -> None:
    """A Marian-shaped model with random weights, beside CTranslate2 with the same weights."""
    from translating import LENGTH, Models

    half = job.device != "cpu"  # CTranslate2 has no float16 on a CPU
    lines = 16 if job.small else 512
    title = "Translation, beside CTranslate2"
    columns = "lines, beam, precision", "textkit", "CTranslate2", "times as fast"
    job.head(title, "", *columns)
    precisions = ("fp16", "fp32") if half else ("fp32",)
    models = Models.marian(job.data, job.translation_peers, job.scratch / "marian", lines, precisions, optimum=False)
    text = f"""A Marian-shaped model ({models.about}); sources of different lengths, {LENGTH} tokens of translation each, target
tokens/s. Every line ends at the same step, which spares both sides the leaving of lines."""
    job.head(title, text, *columns)
    for precision in precisions:
        for batch, beam in ((128, 4), (128, 1), (32, 4)):
            ours, theirs = (
                models.rate(side, (batch, beam, precision), job.rounds, job.device)["rate"]
                for side in ("textkit", "ctranslate2")
            )
            job.row(f"{batch}, {beam}, {precision}", float(ours), float(theirs), f"**{ours / theirs:.2f}**")


SENTENCE_TRANSFORMERS = """
import json, sys, time
from sentence_transformers import SentenceTransformer
model, lines, device = sys.argv[1], json.load(open(sys.argv[2])), sys.argv[3]
model = SentenceTransformer(model, device=device)
if device != "cpu":
    model = model.half()
model.encode(lines[:500], batch_size=256)
begun = time.perf_counter()
model.encode(lines, batch_size=256)
print(len(lines) / (time.perf_counter() - begun))
"""


PARTS = (probe, parity, embed, encoder, translate, score, generate, train, ctranslate2)
NAMED = {part.__name__: part for part in PARTS}


def main(words: Sequence[str]) -> None:
    clone.reach()
    NAMED[words[0]](Job(json.loads(words[1])))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(error.cmd[1:6])}: {' '.join((error.stderr or '').strip().splitlines()[-1:])}")
