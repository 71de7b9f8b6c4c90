"""The same translation weights in textkit's format and in each peer's, and how fast each translates the same lines with them.

benchmarks/translate.py and benchmarks/gpu.py use this module. Only the search is timed, from source ids to target ids, in one
process per side. Every translation has the same length, so that all sides do the same work. Knows no table and no page.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from measuring.cost import Failed

PEERS = Path(__file__).resolve().parent / "peers"
LENGTH = 18  # target tokens of every translation
COMPUTE = {"int8": "int8", "fp32": "float32", "fp16": "float16"}  # CTranslate2's names
Case = tuple[int, int, str]  # lines at once, beam, precision


class Models:
    """One set of weights as `folder`/PRECISION (textkit's), `folder`/ctranslate2 and so on, and the lines to translate."""

    def __init__(self, folder: Path, peers: str, precisions: tuple[str, ...]) -> None:
        self.folder, self.peers, self.precisions = folder, peers, precisions
        self.names: dict[int, str] = {}  # textkit's ids -> CTranslate2's tokens
        self.about = "d512, 6+6 layers, 32,000 words; random weights, the same on all sides"
        folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def marian(
        cls, data: Path, peers: str, folder: Path, lines: int, precisions: tuple[str, ...] = ("fp32", "int8"),
        optimum: bool = True,
    ) -> Models:  # fmt: skip
        """A Marian-shaped model (d512, 6+6 layers, 32k words) of random numbers, imported and converted."""
        models = cls(folder, peers, precisions)
        sides: dict[str, list[str]] = {"source": [], "target": []}
        with gzip.open(data / "tatoeba/train.en-de.tsv.gz", "rt", encoding="utf-8") as pairs:
            for pair in pairs:
                for side, text in zip(sides, pair.rstrip("\n").split("\t"), strict=False):
                    sides[side].append(text)
        job: dict[str, Any] = {"folder": str(folder / "checkpoint")}
        for side, text in sides.items():
            path = folder / f"{side}.txt"
            path.write_text("".join(f"{line}\n" for line in text), encoding="utf-8")
            job[side] = str(path)
        models.script("marian_shaped.py", job)
        peer = {"checkpoint": job["folder"], "model": str(folder), "optimum": optimum}
        models.script("translate_peer.py", {"peer": "convert", **peer})
        models.textkit("import", job["folder"])
        table = json.loads((folder / "checkpoint" / "vocab.json").read_text())
        models.names = {number: piece for piece, number in table.items()}
        models.write(first_lines(data / "multi30k/train.en.gz", lines))
        return models

    @classmethod
    def trained(cls, run: Path, data: Path, peers: str, folder: Path, lines: int) -> Models:
        """The network of a training run of the plugin transformer, exported by textkit and rebuilt for CTranslate2."""
        from textkit.training.run import Run

        models = cls(folder, peers, ("fp32", "int8"))
        opened = Run.open(run)
        if opened.plugin.name != "transformer":
            raise Failed(f"{run}: a run of {opened.plugin.name}; CTranslate2 has transformers alone")
        network, rule, config = opened.network(), opened.vocabulary, opened.config
        if config.positions != "sinusoidal":
            raise Failed(f"{run}: positions={config.positions}; sinusoidal ones are compared")
        weights = {name: value.numpy() for name, value in network.state_dict().items()}
        tables = {
            "positions": network.table.numpy(), "source": weights["source_embedding.weight"],
            "target": network.target_table.weight.detach().numpy(), "output": network.project_weight.detach().numpy(),
        }  # fmt: skip
        np.savez(folder / "weights.npz", **weights, **{f"table.{name}": table for name, table in tables.items()})
        names = [f"t{number}" for number in range(max(len(rule), rule.target_size))]
        special = {"unk": rule.unk, "eos": rule.eos, "start": rule.start}
        for name, number in special.items():
            names[number] = f"<{name}>"
        keys = ("encoder_layers", "decoder_layers", "heads", "norm", "norm_epsilon", "activation", "scale_embedding")
        job = {key: getattr(config, key) for key in keys}
        job |= {"source_names": names[: len(rule)], "target_names": names[: rule.target_size]}
        job |= {name: names[number] for name, number in special.items()}
        job |= {"weights": str(folder / "weights.npz"), "model": str(folder)}
        models.script("ctranslate2_spec.py", job)
        models.textkit("export-onnx", str(run))
        models.names = dict(enumerate(names))
        count = sum(parameter.numel() for parameter in network.parameters())
        models.about = (
            f"d{config.dim}, {config.encoder_layers}+{config.decoder_layers} layers, {rule.target_size:,} words, "
            f"{count / 1e6:.1f} million parameters"
        )
        models.write(first_lines(data / "multi30k/tok/train.en.gz", lines))
        return models

    def textkit(self, verb: str, source: str) -> None:
        """Writes textkit's folders, one per precision."""
        for precision in self.precisions:
            command = [sys.executable, "-m", "textkit", verb, source, "-o", str(self.folder / precision)]
            subprocess.run([*command, "--precision", precision, "-q"], check=True)

    def write(self, lines: list[str]) -> None:
        """Writes the lines as textkit's ids and as the peers' tokens, and a few of them for measurements line by line."""
        from textkit.bundle import bundle

        encoded = bundle.read(self.folder / self.precisions[0]).rule.encode(lines)
        ids = [part.tolist() for part in np.split(encoded.ids, np.cumsum(encoded.lengths)[:-1])]
        tokens = [[self.names[number] for number in line] for line in ids]
        for name, found in (("ids", ids), ("tokens", tokens)):
            (self.folder / f"{name}.json").write_text(json.dumps(found))
            (self.folder / f"few_{name}.json").write_text(json.dumps(found[:16]))

    def script(self, name: str, job: dict[str, Any]) -> dict[str, Any]:
        """Runs a peer's script with a job; returns what it prints last."""
        return self.run([self.peers, str(PEERS / name)], job)

    def run(self, command: list[str], job: dict[str, Any]) -> dict[str, Any]:
        path = self.folder / "job.json"
        path.write_text(json.dumps(job))
        done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"{' '.join(command)}: {done.stderr[-2000:]}")
        return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {}

    def agreement(self, case: Case) -> float:
        """The share of lines that textkit and CTranslate2 translate alike: 1 or nearly 1 if the weights are the same."""
        ours = [[self.names[number] for number in line] for line in self.rate("textkit", case, 1)["lines"]]
        theirs = self.rate("ctranslate2", case, 1)["lines"]
        return float(np.mean([mine == other for mine, other in zip(ours, theirs, strict=True)]))

    def rate(self, side: str, case: Case, again: int, device: str = "cpu") -> dict[str, Any]:
        """The `rate` in target tokens/s, the number of `tokens`, and the translations `lines`, shortest source first.

        `side`: textkit or a peer. `again`: how many times to run; the best counts. On a CPU, textkit and CTranslate2 run twice:
        two threads share each batch, or each of them has batches of its own; the better counts. A single line is never beside
        another one: it has both threads, or one.
        """
        batch, beam, precision = case
        few = "few_" if batch == 1 else ""
        job: dict[str, Any] = {"batch": batch, "beam": beam, "length": LENGTH, "again": again, "device": device}
        if side == "textkit":
            job |= {"model": str(self.folder / precision), "ids": str(self.folder / f"{few}ids.json")}
        else:
            job |= {"peer": side, "model": str(self.folder / side), "compute": COMPUTE[precision]}
            job["tokens"] = str(self.folder / f"{few}tokens.json")

        def ran(threads: int, beside: int) -> dict[str, Any]:
            given = job | {"threads": threads, "beside": beside}
            if side == "textkit":
                return self.run([sys.executable, str(Path(__file__).resolve())], given)
            return self.script("translate_peer.py", given)

        ways = [(2, 1)] if device != "cpu" or side == "optimum" else [(2, 1), (1, 1 if batch == 1 else 2)]
        return max((ran(*way) for way in ways), key=lambda found: found["rate"])


def first_lines(path: Path, count: int) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as text:
        return [line.rstrip("\n") for line in islice(text, count)]


def textkit_rate(job: dict[str, Any]) -> dict[str, Any]:
    """The same figures as a peer's, by textkit.searching; runs in a separate process."""
    from textkit.bundle import bundle
    from textkit.searching.decoding import search
    from textkit.searching.options import Search, Target
    from textkit.searching.steps import TranslationSteps
    from textkit.serving.spreading import Workers

    found = bundle.read(Path(job["model"]))
    rule = found.rule
    steps = TranslationSteps(found, job["device"], job["threads"])
    target = Target(rule.start, rule.eos, rule.unk, rule.pad, rule.target_size)
    options = Search(
        beam_size=job["beam"], length_penalty=1.0, min_length=job["length"], max_length=job["length"], allow_unk=True
    )
    lines = sorted(json.loads(Path(job["ids"]).read_text()), key=len)

    def work(place: int) -> None:
        batch = batches[place]
        mask = np.arange(max(map(len, batch))) < np.array([len(line) for line in batch])[:, None]
        source = np.full(mask.shape, rule.source_pad)
        source[mask] = [token for line in batch for token in line]
        # A translation that was cut at its length has no end token; any other has it as its last token.
        translated = search(steps, source, mask, target, options)
        made[place] = [list(map(int, best[0].ids[: job["length"]])) for best in translated]

    batches = [lines[at : at + job["batch"]] for at in range(0, len(lines), job["batch"])]
    workers = Workers(job["beside"], False, job["beside"])
    made: dict[int, list[list[int]]] = {}
    work(len(batches) - 1)
    best = float("inf")
    for _ in range(job["again"]):
        begun = time.perf_counter()
        workers.each(work, range(len(batches)))
        best = min(best, time.perf_counter() - begun)
    lines = [line for place in range(len(batches)) for line in made[place]]
    count = sum(map(len, lines))
    return {"rate": count / best, "tokens": count, "lines": lines}


if __name__ == "__main__":
    print(json.dumps(textkit_rate(json.loads(Path(sys.argv[1]).read_text()))))
