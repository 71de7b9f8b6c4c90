"""The parts of benchmarks/pretend_gpu.py: `python pretend_gpu_parts.py JOB`. Prints the figures of one as JSON.

JOB is JSON: `part` (step, busy, replayed) and what its function takes. It runs where the stand-ins for CUDA's libraries are
found, and with the folder tests/ among Python's paths.
"""

from __future__ import annotations

import ctypes
import functools
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pretend_cuda.pretend import counts

from textkit.searching.beams import Pick
from textkit.searching.drawing import Draw

ROOT = Path(__file__).resolve().parent.parent
STEPS = 20
COUNTED = ("up", "down", "up_bytes", "down_bytes", "launches")


def step(model: str, beams: int, kind: str, lines: int) -> dict[str, float]:
    """Each figure for one step; bytes for one line and step as well."""
    steps = steps_of(model, kind)
    state: Any
    memory, state = steps.encode(np.full((lines, 12), 5), np.ones((lines, 12), bool))
    token = np.full((lines, 1 if kind == "search" else beams), 7)
    parent = np.zeros_like(token)
    own = np.tile(np.arange(beams), (lines, 1))
    every = []
    for _ in range(STEPS):
        before, begun = counts(), time.process_time()
        state, ahead = one_step(steps, kind, beams, token, parent, memory, state)
        took, after = time.process_time() - begun, counts()
        found = {name: (after[name] - before[name]) / ahead for name in COUNTED}
        found |= {name: found[name] / lines for name in ("up_bytes", "down_bytes")}
        every.append({**found, "ms": 1000 * took / ahead, "ahead": ahead})
        token, parent = np.full((lines, beams), 7), own
    result = {name: statistics.median(one[name] for one in every[3:]) for name in every[0]}
    before = counts()
    steps.keep(memory, state, np.arange(0, lines, 2))
    after = counts()
    leave = sum(after[name] - before[name] for name in ("up_bytes", "down_bytes")) / 1e6
    return {**result, "leave": leave}


def steps_of(model: str, kind: str) -> Any:
    from textkit import Generator, Translator

    if model == "en-de":
        return Translator(model, device="cuda", workers=1).steps
    return Generator(model, device="cuda", top_k=20 * (kind == "top-k"), top_p=0.9 if kind == "top-p" else 1.0).steps


def one_step(steps: Any, kind: str, beams: int, token: Any, parent: Any, memory: Any, state: Any) -> tuple[Any, int]:
    """A step, or as many as are taken at a time, as the search of this version asks for it: the state, and how many."""
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
    return np.array(1, np.float32), np.zeros(vocab, np.float32), np.array(0.9, np.float32)


def busy(
    model: str, beams: int, under_way: int, milliseconds: float, lines: int, texts: int, tries: int
) -> dict[str, float]:
    """The share of the time in which a GPU that takes so many `milliseconds` a step has something to do, by both clocks."""
    from textkit.searching.stepping_on_device import DeviceSteps

    rng, taken, before = np.random.default_rng(1), [0], DeviceSteps._chosen
    words = ["the", "dog", "runs", "home", "with", "man", "a", "house", "sees", "and"]
    written = [f"{' '.join(rng.choice(words, rng.integers(3, 14)))} {number}." for number in range(texts)]

    def chosen(self: DeviceSteps, arrays: Any, form: Any, *more: Any) -> dict[str, Any]:
        """Tokens that end nothing, in place of rubbish."""
        taken[0] += form.steps
        found = before(self, arrays, form, *more)
        for name, part in found.items():
            if name.endswith("_id"):
                part[...] = 10 + np.arange(part.shape[-1])
            elif name.endswith("_logprob"):
                part[...] = -1 - 0.1 * np.arange(part.shape[-1])
        return found

    DeviceSteps._chosen = chosen  # type: ignore[method-assign]
    run = searcher(model, beams, under_way, written, lines)
    library = ctypes.CDLL("libcudart.so.13")
    library.pretend_clock.restype = ctypes.c_long
    run()
    first, taken[0] = counts(), 0
    run()
    launches = (counts()["launches"] - first["launches"]) / taken[0]
    result = {"own": 0.0, "wall": 0.0, "host": 1e9}
    for name, own in (("own", 1), ("wall", 0)) * tries:
        library.pretend_works(ctypes.c_long(int(milliseconds * 1e6 / launches)), own)
        first, begun = counts(), library.pretend_clock()
        run()
        took = library.pretend_clock() - begun
        result[name] = max(result[name], 100 * (counts()["busy"] - first["busy"]) / took)
    library.pretend_works(0, 0)
    for _ in range(tries):
        taken[0], cpu = 0, time.process_time()
        run()
        result["host"] = min(result["host"], 1000 * (time.process_time() - cpu) / taken[0])
    return result


def searcher(model: str, beams: int, under_way: int, texts: list[str], lines: int) -> Callable[[], Any]:
    """What searches for all `texts` with so many batches under way, windows side by side as the verb has them."""
    from textkit import Generator, Translator
    from textkit.serving.stream import staged

    size = 8 * lines
    windows = [texts[at : at + size] for at in range(0, len(texts), size)]
    if model == "en-de":
        translator = Translator(
            model, device="cuda", beam_size=beams, workers=under_way, guard=False, max_length=20,
            batch_lines=lines, batch_tokens=4096,
        )  # fmt: skip
        translator.load()
        return lambda: list(staged(windows, [translator.translate], 2, 2))
    from textkit.tasks.language.serving import generator as serving

    serving.BATCH_TOKENS = 12 * lines
    generator = Generator(model, device="cuda", samples=beams, max_tokens=20, workers=under_way)
    return lambda: [generator(window) for window in windows]


def replayed(steps: int, graph: int, lines: int) -> dict[str, float]:
    """What the host does for a step of a recurrent model whose arrays all lie on the GPU; `graph`: whether it is captured."""
    import onnxruntime

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
    sizes = {"line": lines, "place": 4, "vocab": 8000, "row": 2} | dict.fromkeys(("beam", "from"), 4)
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


PARTS: dict[str, Callable[..., dict[str, float]]] = {"step": step, "busy": busy, "replayed": replayed}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    job = json.loads(sys.argv[1])
    print(json.dumps(PARTS[job.pop("part")](**job)))
