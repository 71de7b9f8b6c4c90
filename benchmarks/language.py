"""Measures language models beside plain torch: `python benchmarks/language.py DATA [--rounds 3] [--no-report]`.

Training: tokens/s of `textkit train rnn-lm`, two layers of 200, tied, beside PyTorch's example word_language_model, rewritten
plainly (peers/language_peer.py) with the same network and batch; then with a sampled and an adaptive softmax. Serving:
`score` beside nn.LSTM under inference_mode, fed with the same pieces that textkit makes of the lines, and `generate` beside a
loop of steps. Serving is measured at two sizes; both sides share the weights, which are random because speed does not depend
on them. Memory: `textkit score` over many lines. DATA holds wikitext2/. Each side runs in its own process, in turn, on two
threads.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from measuring import report, trained
from measuring.cost import Failed, cost

PEER = Path(__file__).resolve().parent / "peers" / "language_peer.py"
THREADS = 2
NETWORK = {"dim": 200, "hidden": 200, "layers": 2, "tie": "true"}
PLAIN = {
    "variational": "false", "weight_drop": 0, "dropout_embedding": 0, "dropout_input": 0.2, "dropout_hidden": 0.2,
    "dropout_output": 0.2, "activation_regularization": 0, "temporal_activation_regularization": 0,
    "optimizer": "sgd", "learning_rate": 20, "clip": 0.25, "streams": 20, "bptt": 35, "random_bptt": "false", "min_count": 1,
}  # fmt: skip
SOFTMAXES = {
    "full": ("textkit, full softmax", {}),
    "sampled": ("textkit, sampled softmax", {"softmax": "sampled"}),
    "adaptive": ("textkit, adaptive softmax, untied", {"softmax": "adaptive", "tie": "false"}),
}  # fmt: skip
SIZES = (200, 650)
MANY_LINES = 10_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="folder that holds wikitext2/")
    parser.add_argument("--peers", help="ignored: the peer is torch, which this Python has")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=150, help="updates per training")
    parser.add_argument("--lines", type=int, default=600, help="lines to score")
    parser.add_argument("--only", choices=["speed", "memory"], help="without it, both, as one section each")
    parser.add_argument("--no-report", action="store_true", help="print, and leave docs/benchmarks.md alone")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(given, Path(name))
        if given.only != "memory":
            how = f"--only speed --rounds {given.rounds} --steps {given.steps} --lines {given.lines}"
            parts = ["## Language models", bench.training(), *(bench.serving(dim) for dim in SIZES)]
            write(given, "language", parts, how)
        if given.only != "speed":
            write(given, "language-memory", ["## Language models: memory", bench.memory()], "--only memory")


def write(given: argparse.Namespace, section: str, parts: list[str], how: str) -> None:
    text = "\n\n".join([*parts, f"{report.machine()}. `python benchmarks/language.py DATA {how}`"])
    print(text)
    if not given.no_report:
        report.section(section, text)


class Bench:
    """The text, as files and as ids, and every measurement."""

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        from textkit.corpora.corpus import Corpus
        from textkit.registry import registry

        self.given, self.folder = given, folder
        self.text, self.lines = folder / "train.txt", folder / "lines.txt"
        with gzip.open(given.data / "wikitext2" / "train.txt.gz", "rt", encoding="utf-8") as lines:
            self.text.write_text(lines.read(), encoding="utf-8")
        some = [line for line in self.text.read_text(encoding="utf-8").split("\n") if line.strip()][: given.lines]
        self.lines.write_text("".join(f"{line}\n" for line in some), encoding="utf-8")
        plugin = registry.get("rnn-lm")
        self.rule = plugin.vocabulary(Corpus([self.text]), plugin.Config(min_count=1))
        np.save(folder / "ids.npy", self.rule.encode(self.text.read_text(encoding="utf-8").split("\n")[:-1]).ids)

    def peer(self, mode: str, dim: int, **job: Any) -> dict[str, Any]:
        job |= {"mode": mode, "words": len(self.rule), "dim": dim, "layers": 2, "threads": THREADS}
        path = self.folder / "job.json"
        path.write_text(json.dumps(job))
        done = subprocess.run([sys.executable, str(PEER), str(path)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"{PEER.name}: {done.stderr[-2000:]}")
        return self.told(f"torch {mode} {dim}", json.loads(done.stdout.splitlines()[-1]))

    def told(self, who: str, found: dict[str, Any]) -> dict[str, Any]:
        print(f"{who}: {found['rate']:,.0f} tokens/s", file=sys.stderr, flush=True)
        return found

    def training(self) -> str:
        """The section on training."""
        rates: dict[str, list[float]] = {name: [] for name in ("torch", *SOFTMAXES)}
        for _ in range(self.given.rounds):
            job = {"ids": str(self.folder / "ids.npy"), "streams": 20, "bptt": 35, "dropout": 0.2}
            rates["torch"].append(self.peer("train", 200, steps=self.given.steps, **job)["rate"])
            for name, (_, more) in SOFTMAXES.items():
                rates[name].append(self.train(name, more))
        rows = []
        for name, (label, _) in SOFTMAXES.items():
            ratios = [ours / theirs for ours, theirs in zip(rates[name], rates["torch"], strict=True)]
            rows.append([label, f"{statistics.median(rates[name]):,.0f}", spread(ratios)])
        return f"""### Training

An LSTM of two layers of 200, tied, {len(self.rule):,} words, 20 streams of 35 tokens, fp32, {self.given.steps} updates.
PyTorch's example word_language_model makes {statistics.median(rates["torch"]):,.0f} tokens/s. Wanted: no slower, and 3
times as fast with an adaptive softmax.

{report.table(["", "tokens/s", "times as fast"], rows)}"""

    def train(self, name: str, more: dict[str, Any]) -> float:
        """Tokens/s of the training loop without its first five updates."""
        run = self.folder / f"run-{name}"
        subprocess.run(["rm", "-rf", str(run)], check=True)
        settings = {**NETWORK, **PLAIN, **more, "max_steps": self.given.steps, "log_seconds": 0, "eval_steps": 10**9}
        options = [f"--set={key}={value}" for key, value in settings.items()]
        command = [
            sys.executable,
            "-m",
            "textkit",
            "train",
            "rnn-lm",
            self.text,
            "--dev",
            self.lines,
            "-o",
            run,
            *options,
        ]
        cost([*command, "-q", "--threads", str(THREADS)], trained.limited(THREADS))
        events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        steps = [event for event in events if event["event"] == "progress"]
        first = next(event for event in steps if event["step"] >= 5)
        rate = (steps[-1]["words"] - first["words"]) / (steps[-1]["seconds"] - first["seconds"])
        return self.told(f"textkit train, {name}", {"rate": rate})["rate"]

    def serving(self, dim: int) -> str:
        """The section on serving a model of one size."""
        folder = self.folder / str(dim)
        self.export(folder, dim)
        pieces = [sys.executable, str(Path(__file__).resolve())]
        rates: dict[str, list[float]] = {}
        shared = {"weights": str(folder / "weights.npz")}
        for _ in range(self.given.rounds):
            found = {
                "score, torch": self.peer("score", dim, pieces=str(folder / "pieces.npz"), again=2, **shared)["rate"],
                "generate, torch": self.peer("generate", dim, tokens=300, **shared)["rate"],
            }
            for precision in ("fp32", "int8"):
                job = {"model": str(folder / precision), "lines": str(self.lines), "pieces": str(folder / "pieces.npz")}
                (folder / "job.json").write_text(json.dumps(job))
                done = subprocess.run(
                    [*pieces, "--job", str(folder / "job.json")], capture_output=True, text=True, check=False
                )
                if done.returncode:
                    raise Failed(f"textkit: {done.stderr[-2000:]}")
                for verb, rate in json.loads(done.stdout.splitlines()[-1]).items():
                    found[f"{verb}, {precision}"] = rate
                    self.told(f"textkit {verb} {dim} {precision}", {"rate": rate})
            for name, rate in found.items():
                rates.setdefault(name, []).append(rate)
        rows = []
        for verb, wanted in (("score", {"fp32": "1.5", "int8": "3"}), ("generate", {"fp32": "5", "int8": "5"})):
            for precision, bar in wanted.items():
                theirs, ours = rates[f"{verb}, torch"], rates[f"{verb}, {precision}"]
                ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
                medians = (f"{statistics.median(side):,.0f}" for side in (ours, theirs))
                rows.append([f"{verb}, {precision}", *medians, spread(ratios), bar])
        return f"""### Serving, two layers of {dim}

{self.given.lines} lines of WikiText-2, {len(self.rule):,} words; tokens/s. `score`: ids to log-probabilities, beside nn.LSTM
under inference_mode fed with the same pieces; `generate`: one text, a token at a time, beside a loop of torch. Each token
reads the matrix of all words, in fp32 {4e-6 * len(self.rule) * dim:.0f} MB.

{report.table(["", "textkit", "torch", "times as fast", "wanted"], rows)}"""

    def export(self, folder: Path, dim: int) -> None:
        """Writes a network of random numbers in both formats, and the pieces that textkit makes of the lines."""
        import torch

        from textkit.exporting.export import export_graphs
        from textkit.registry import registry

        plugin = registry.get("rnn-lm")
        config = plugin.Config(dim=dim, hidden=dim, layers=2)
        torch.manual_seed(1)
        network = plugin.network(config, self.rule).eval()
        folder.mkdir()
        weights = {"encoder.weight": network.embedding.weight, "decoder.weight": network.embedding.weight}
        weights["decoder.bias"] = network.project_bias
        for at, layer in enumerate(network.layers):
            for name, value in layer.layer.named_parameters():
                weights[f"rnn.{name.replace('_l0', f'_l{at}')}"] = value
        np.savez(folder / "weights.npz", **{name: value.detach().numpy() for name, value in weights.items()})
        sample = self.lines.read_text(encoding="utf-8").split("\n")[:64]
        for precision in ("fp32", "int8"):
            graphs = plugin.graphs(network, self.rule, config)
            export_graphs(
                folder / precision, task="language", rule=self.rule, graphs=graphs, sample=sample, precision=precision
            )
        (folder / "job.json").write_text(
            json.dumps({"model": str(folder / "fp32"), "lines": str(self.lines), "write": str(folder / "pieces.npz")})
        )
        subprocess.run([sys.executable, str(Path(__file__).resolve()), "--job", str(folder / "job.json")], check=True)

    def memory(self) -> str:
        """The section on memory for a tenth of the lines and for all.

        The network is so small that handling lines is most of the work.
        """
        from textkit.corpora.corpus import Corpus
        from textkit.exporting.export import export_graphs
        from textkit.registry import registry

        plugin, model = registry.get("rnn-lm"), self.folder / "small"
        some = self.lines.read_text(encoding="utf-8").split("\n")[:-1]
        short = [" ".join(line.split()[:8]) for line in some[:200]]
        config = plugin.Config(dim=32, hidden=32, layers=1, min_count=100)
        rule = plugin.vocabulary(Corpus([self.text]), config)
        graphs = plugin.graphs(plugin.network(config, rule).eval(), rule, config)
        export_graphs(model, task="language", rule=rule, graphs=graphs, sample=some[:64], precision="int8")
        peaks, seconds = [], 0.0
        for count in (MANY_LINES // 10, MANY_LINES):
            path = self.folder / "many.txt"
            with path.open("w", encoding="utf-8") as out:
                for at in range(0, count, len(short)):
                    out.write("".join(f"{line}\n" for line in short[: count - at]))
            command = [sys.executable, "-m", "textkit", "score", "-m", model, path, "-o", self.folder / "scores.txt"]
            spent = cost(command)
            peaks.append(spent.peak_mb)
            seconds = spent.seconds
        return (
            f"`textkit score` over {MANY_LINES:,} lines of eight words, by a layer of 32 and {len(rule):,} words: "
            f"at most {peaks[1]:.0f} MB resident ({peaks[0]:.0f} MB for a tenth of them), "
            f"{MANY_LINES / seconds:,.0f} lines/s."
        )


def spread(ratios: list[float]) -> str:
    return f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f}-{max(ratios):.2f})"


def textkit_rates(job: dict[str, Any]) -> dict[str, float] | None:
    """Tokens/s of score and generate; with `write` in the job, writes the pieces of the lines there instead."""
    from textkit.tasks.language.serving.generator import Generator
    from textkit.tasks.language.serving.scorer import LanguageModel

    model = LanguageModel(job["model"], "cpu", THREADS)
    encoded = model.encode(Path(job["lines"]).read_text(encoding="utf-8").split("\n")[:-1])
    if "write" in job:
        held: dict[str, Any] = {}
        run = model.run

        def kept(previous: Any, ids: Any, weight: Any, state: Any) -> Any:
            at = len(held) // 4
            fresh = not any(value.any() for value in state.values())
            held.update({f"previous{at}": previous, f"ids{at}": ids, f"weight{at}": weight, f"fresh{at}": fresh})
            return run(previous, ids, weight, state)

        model.run = kept  # type: ignore[method-assign]
        model.score(encoded)
        np.savez(job["write"], **held)
        return None
    model.score(encoded)
    best = float("inf")
    for _ in range(2):
        begun = time.perf_counter()
        model.score(encoded)
        best = min(best, time.perf_counter() - begun)
    generator = Generator(job["model"], "cpu", THREADS, max_tokens=300, seed=1)
    generator([""])
    begun = time.perf_counter()
    tokens = sum(one.tokens for at in range(8) for one in generator.generate([""], [at])[0])
    return {"score": len(encoded.ids) / best, "generate": tokens / (time.perf_counter() - begun)}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--job"]:
        found = textkit_rates(json.loads(Path(sys.argv[2]).read_text()))
        if found is not None:
            print(json.dumps(found))
    else:
        main()
