"""Counts what a step costs beside the GPU's own time: copies, bytes, launches, the host's milliseconds. Needs no GPU.

`python benchmarks/pretend_gpu.py [--page FILE]`. onnxruntime's CUDA provider loads stand-ins for CUDA's libraries
(tests/pretend_cuda, made with gcc) that allocate and copy in the host's memory and compute nothing: results are rubbish, counts
and the host's time are real. Each case is measured in a process of its own, which finds the stand-ins. With PYTHONPATH set,
another version of textkit is measured.

How busy a GPU would be is found by giving each launch a part of the milliseconds that a step is to take: the device does one
launch after the other, whoever waits waits for it, and the share of the time in which it has something to do is counted.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LINES = 64
STEPS = 20
# What is measured: the model, its beams or samples, and how tokens are chosen.
CASES: dict[str, tuple[str, int, str]] = {
    "en-de, beam 4": ("en-de", 4, "search"),
    "en-de, greedy": ("en-de", 1, "search"),
    "en-lm, 4 samples": ("en-lm", 4, "draw"),
    "en-lm, 4 samples, top-p": ("en-lm", 4, "top-p"),
    "en-lm, 4 samples, top-k 20": ("en-lm", 4, "top-k"),
}
BUSY = {"en-de, beam 4": (1, 2, 3), "en-lm, 4 samples": (1, 2, 3)}  # with so many batches under way
TEXTS, TRIES = 2560, 3
REPLAYED = {
    f"en-lm, 4 samples, {steps} at a time{', as a CUDA graph' * graph}": (steps, graph)
    for steps in (1, 4)
    for graph in (0, 1)
}
COUNTED = ("up", "down", "up_bytes", "down_bytes", "launches")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--page", type=Path, help="write the table as a section of this page")
    parser.add_argument(
        "--step", type=float, default=1.0, metavar="MILLISECONDS", help="how long the GPU computes a step"
    )
    parser.add_argument("--measure", nargs="+", metavar="CASE", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        case, *under_way = given.measure
        if case in REPLAYED:
            found = replayed(*REPLAYED[case])
        else:
            found = busy(case, int(under_way[0]), given.step) if under_way else measured(case)
        print(json.dumps(found))
        return
    sys.path.insert(0, str(ROOT / "tests"))
    from pretend_cuda import pretend

    if why := pretend.missing():
        sys.exit(f"not to be measured: {why}")
    libraries = pretend.build(Path(tempfile.gettempdir()) / "textkit-pretend-cuda")

    def told(*case: str) -> dict[str, Any] | None:
        command = [sys.executable, __file__, "--step", str(given.step), "--measure", *case]
        paths = os.pathsep.join(filter(None, [str(libraries), os.environ.get("LD_LIBRARY_PATH")]))
        done = subprocess.run(
            command, env={**os.environ, "LD_LIBRARY_PATH": paths}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(done.stderr[-500:], file=sys.stderr)
        return None if done.returncode else json.loads(done.stdout.splitlines()[-1])

    rows = [(case, told(case)) for case in CASES]
    loads = [(case, count, told(case, str(count))) for case, counts in BUSY.items() for count in counts]
    replays = [(case, told(case)) for case in REPLAYED]
    text = page_of(rows, loads, replays, given.step)
    print(text)
    if given.page:
        import report

        report.section("pretend-gpu", text, given.page)


def page_of(
    rows: list[tuple[str, dict[str, Any] | None]], loads: list[tuple[str, int, dict[str, Any] | None]],
    replays: list[tuple[str, dict[str, Any] | None]], step: float,
) -> str:  # fmt: skip
    """The section of a page: a row for each case, None for one that failed."""
    import report

    head = [
        "one step",
        "steps at a time",
        "copies up / down",
        "bytes a line up / down",
        "launches",
        "host, ms of processor time",
        "half of the lines leave, MB",
    ]
    table = report.table(
        head, [[case, *(["failed", *[""] * 5] if found is None else _cells(found))] for case, found in rows]
    )
    shares = report.table(
        ["search", "batches under way", "host, ms of processor time a step", "busy, %", "busy by the wall's clock, %"],
        [
            [case, str(count), *(["failed", "", ""] if found is None else _shares(found))]
            for case, count, found in loads
        ],
    )
    return "\n\n".join(
        [
            "## A step of a search on a pretended GPU",
            f"{LINES} lines. onnxruntime's CUDA provider runs with stand-ins that copy and compute nothing: copies, bytes,"
            " launches and the host's time are real, and say what a step costs beside the GPU's own time. Where several steps"
            " are taken at a time, all figures are for one of them.",
            table,
            f"How busy a GPU is that computes {step:g} ms a step: {TEXTS:,} lines in batches of {LINES}, 20 steps each, with"
            " tokenising, searching and detokenising. The clock counts the process's own processor time, as on one core, and"
            " the time in which all its threads wait, so that other processes matter little; the last column is by the wall's."
            f" Each figure is the best of {TRIES}, because others share the machine.",
            shares,
            "onnxruntime's run alone, with all arrays bound, and the same as a CUDA graph, which textkit does not use: one"
            " thread of a session may replay it, and each number of lines must be captured for itself.",
            report.table(
                ["a step of", "launches by the host", "host, ms"],
                [
                    [case, *(["failed", ""] if found is None else [f"{found['launches']:.4g}", f"{found['ms']:.3f}"])]
                    for case, found in replays
                ],
            ),
            f"{report.machine()}. `python benchmarks/pretend_gpu.py`",
        ]
    )


def _shares(found: dict[str, Any]) -> list[str]:
    return [f"{found['host']:.2f}", f"{found['own']:.0f}", f"{found['wall']:.0f}"]


def _cells(found: dict[str, Any]) -> list[str]:
    return [
        f"{found['ahead']:.0f}",
        f"{found['up']:.4g} / {found['down']:.4g}", f"{found['up_bytes']:,.0f} / {found['down_bytes']:,.0f}",
        f"{found['launches']:.0f}", f"{found['ms']:.2f}", f"{found['leave']:.4f}",
    ]  # fmt: skip


def measured(case: str) -> dict[str, float]:
    """Each figure for one step; bytes for one line and step as well."""
    sys.path.insert(0, str(ROOT / "tests"))
    warnings.simplefilter("ignore")
    import numpy as np
    from pretend_cuda.pretend import counts

    model, beams, kind = CASES[case]
    steps = steps_of(model, kind)
    state: Any
    memory, state = steps.encode(np.full((LINES, 12), 5), np.ones((LINES, 12), bool))
    token = np.full((LINES, 1 if kind == "search" else beams), 7)
    parent = np.zeros_like(token)
    own = np.tile(np.arange(beams), (LINES, 1))
    every = []
    for _ in range(STEPS):
        before, begun = counts(), time.process_time()
        state, ahead = one_step(steps, kind, beams, token, parent, memory, state)
        took, after = time.process_time() - begun, counts()
        found = {name: (after[name] - before[name]) / ahead for name in COUNTED}
        found |= {name: found[name] / LINES for name in ("up_bytes", "down_bytes")}
        every.append({**found, "ms": 1000 * took / ahead, "ahead": ahead})
        token, parent = np.full((LINES, beams), 7), own
    result = {name: statistics.median(one[name] for one in every[3:]) for name in every[0]}
    before = counts()
    steps.keep(memory, state, np.arange(0, LINES, 2))
    after = counts()
    leave = sum(after[name] - before[name] for name in ("up_bytes", "down_bytes")) / 1e6
    return {**result, "leave": leave}


def busy(case: str, under_way: int, step: float) -> dict[str, float]:
    """The share of the time in which a GPU that takes `step` ms a step has something to do, by both clocks."""
    sys.path.insert(0, str(ROOT / "tests"))
    warnings.simplefilter("ignore")
    import numpy as np
    from pretend_cuda.pretend import counts

    from textkit.searching.stepping_on_device import DeviceSteps

    rng, taken, before = np.random.default_rng(1), [0], DeviceSteps._chosen
    words = ["the", "dog", "runs", "home", "with", "man", "a", "house", "sees", "and"]
    texts = [f"{' '.join(rng.choice(words, rng.integers(3, 14)))} {number}." for number in range(TEXTS)]

    def chosen(self: DeviceSteps, array: Any, form: Any) -> dict[str, Any]:
        """Tokens that end nothing, in place of rubbish."""
        taken[0] += form.steps
        found = before(self, array, form)
        for name, part in found.items():
            if name.endswith("_id"):
                part[...] = 10 + np.arange(part.shape[-1])
            elif name.endswith("_logprob"):
                part[...] = -1 - 0.1 * np.arange(part.shape[-1])
        return found

    DeviceSteps._chosen = chosen  # type: ignore[method-assign]
    run = searcher(case, under_way, texts)
    library = ctypes.CDLL("libcudart.so.13")
    library.pretend_clock.restype = ctypes.c_long
    run()
    first, taken[0] = counts(), 0
    run()
    launches = (counts()["launches"] - first["launches"]) / taken[0]
    result = {"own": 0.0, "wall": 0.0, "host": 1e9}
    for name, own in (("own", 1), ("wall", 0)) * TRIES:
        library.pretend_works(ctypes.c_long(int(step * 1e6 / launches)), own)
        first, begun = counts(), library.pretend_clock()
        run()
        took = library.pretend_clock() - begun
        result[name] = max(result[name], 100 * (counts()["busy"] - first["busy"]) / took)
    library.pretend_works(0, 0)
    for _ in range(TRIES):
        taken[0], cpu = 0, time.process_time()
        run()
        result["host"] = min(result["host"], 1000 * (time.process_time() - cpu) / taken[0])
    return result


def replayed(steps: int, graph: int) -> dict[str, float]:
    """What the host does for a step of a recurrent model whose arrays all lie on the GPU; `graph`: whether it is captured."""
    sys.path.insert(0, str(ROOT / "tests"))
    import numpy as np
    import onnxruntime
    from pretend_cuda.pretend import counts

    from textkit.bundle import onnxfile
    from textkit.cuda.graphs import for_cuda
    from textkit.cuda.stepping import StepEdit

    onnxruntime.set_default_logger_severity(4)
    data = (ROOT / "exported_models/en-lm/step.onnx").read_bytes()
    states = [port.name for port in onnxfile.inspect(data, "step").outputs if port.name.endswith(".next")]
    pruned = onnxfile.keep_outputs(data, ["drawn_id", "drawn_logprob", *states])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    providers = [("CUDAExecutionProvider", {"enable_cuda_graph": str(graph)}), "CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(
        for_cuda(pruned, "fp16", StepEdit("drawn", 8000, steps=steps)), options, providers=providers
    )
    binding, dtypes = session.io_binding(), {"tensor(float)": np.float32, "tensor(float16)": np.float16}
    sizes = {"line": LINES, "place": 4, "vocab": 8000, "row": 2} | dict.fromkeys(("beam", "from"), 4)
    for ports, bind in (
        (session.get_inputs(), binding.bind_ortvalue_input),
        (session.get_outputs(), binding.bind_ortvalue_output),
    ):
        for port in ports:
            shape = [size if isinstance(size, int) else sizes[size] for size in port.shape]
            bind(port.name, onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, dtypes[port.type], "cuda", 0))
    how = onnxruntime.RunOptions()
    how.add_run_config_entry("gpu_graph_id", str(graph))
    for _ in range(4):
        session.run_with_iobinding(binding, how)
    before, begun = counts(), time.thread_time()
    for _ in range(10 * STEPS):
        session.run_with_iobinding(binding, how)
    took, after = time.thread_time() - begun, counts()
    launches = sum(after[name] - before[name] for name in ("launches", "graphs"))
    count = 10 * STEPS * steps
    return {"ms": 1000 * took / count, "launches": launches / count}


def searcher(case: str, under_way: int, texts: list[str]) -> Any:
    """What searches for all `texts` with so many batches under way, windows side by side as the verb has them."""
    from textkit import Generator, Translator
    from textkit.serving.stream import staged

    size = 8 * LINES
    windows = [texts[at : at + size] for at in range(0, len(texts), size)]
    if CASES[case][0] == "en-de":
        translator = Translator(
            "en-de", device="cuda", workers=under_way, guard=False, max_length=20, batch_lines=LINES, batch_tokens=4096
        )
        translator.load()
        return lambda: list(staged(windows, [translator.translate], 2, 2))
    from textkit.tasks.language.serving import generator as serving

    serving.BATCH_TOKENS = 12 * LINES
    generator = Generator("en-lm", device="cuda", samples=CASES[case][1], max_tokens=20, workers=under_way)
    return lambda: [generator(window) for window in windows]


def steps_of(model: str, kind: str) -> Any:
    from textkit import Generator, Translator

    if model == "en-de":
        return Translator(model, device="cuda", workers=1).steps
    return Generator(model, device="cuda", top_k=20 * (kind == "top-k"), top_p=0.9 if kind == "top-p" else 1.0).steps


def one_step(steps: Any, kind: str, beams: int, token: Any, parent: Any, memory: Any, state: Any) -> tuple[Any, int]:
    """A step, or as many as are taken at a time, as the search of this version asks for it: the state, and how many."""
    import numpy as np

    from textkit.searching.beams import Pick
    from textkit.searching.drawing import Draw

    temperature, bias, share = held_constants(len(steps._bundle.rule) if kind != "search" else 8000)
    choice: Any
    if kind == "search":
        choice = Pick(np.zeros(token.shape), bias, beams, 2)
    else:
        numbers = np.full(token.shape, 0.5, np.float32)
        numbers = np.repeat(numbers[:, :, None], 4, 2) if kind == "top-p" else numbers
        rest = temperature, bias, share if kind == "top-p" else None, 20 * (kind == "top-k")
        choice = Draw(numbers, *rest)
    ahead = steps.ahead(choice)
    if ahead == 1:
        return steps.step(token, parent, 0, memory, state, False, choice), 1
    if kind != "search":
        choice = Draw(np.stack([numbers] * ahead), *rest)
    return steps.steps(ahead, token, parent, memory, state, choice)[1], ahead


@functools.cache
def held_constants(vocab: int) -> tuple[Any, ...]:
    """The same arrays at each step, as a search has them: temperature, bias, share."""
    import numpy as np

    return np.array(1, np.float32), np.zeros(vocab, np.float32), np.array(0.9, np.float32)


if __name__ == "__main__":
    main()
