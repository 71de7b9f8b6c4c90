"""Records which operators onnxruntime places on CUDA, and which on the CPU: `python tests/pretend_cuda/record.py MODEL...`.

Needs LD_LIBRARY_PATH to be what pretend.build made. Each graph of each MODEL (a folder) is loaded as it is, and as a GPU would
get it in each precision. The record, tests/data/cuda_operators.json, serves tests on machines without the stand-ins. Fused
operators that onnxruntime makes itself are recorded as well.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import onnxruntime

from textkit.bundle import onnxfile
from textkit.cuda.graphs import SHAPES, for_cuda
from textkit.cuda.model import Model
from textkit.defaults import PRECISIONS

RECORD = Path(__file__).parent.parent / "data" / "cuda_operators.json"


def placement(graph: bytes) -> tuple[Counter[str], Counter[str]]:
    """The operators of a graph that run on CUDA, and those that run on the CPU, with how many there are of each."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(graph, options, providers=providers, enable_fallback=0)
    assert session.get_providers()[0] == providers[0], "the CUDA provider did not load"
    found: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for part in session.get_provider_graph_assignment_info():
        for node in part.get_nodes():
            found[part.ep_name == providers[0]][f"{node.domain}.{node.op_type}".lstrip(".")] += 1
    return found[True], found[False]


def main(models: list[str]) -> None:
    onnxruntime.set_default_logger_severity(4)
    version = ".".join(onnxruntime.__version__.split(".")[:2])
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    known = record.setdefault(version, {"cuda": [], "cpu": []})
    on = {place: set(known[place]) for place in known}
    for file in sorted(file for model in models for file in Path(model).glob("*.onnx")):
        data = file.read_bytes()
        onnxfile.inspect(data, str(file))
        for precision in ("", *PRECISIONS):
            graph = for_cuda(data, precision) if precision else data
            cuda, cpu = placement(graph)
            left = {name: count for name, count in cpu.items() if name.rpartition(".")[2] not in SHAPES}
            on["cuda"] |= set(cuda)
            if precision:
                print(file, precision, dict(left) or "whole")
            on["cpu"] |= set(left)
            if not left:  # what onnxruntime fuses or folds has no name of its own any more
                on["cuda"] |= {f"{node.domain}.{node.operator}".lstrip(".") for node in Model(graph).nodes}
    record[version] = {place: sorted(names) for place, names in on.items()}
    RECORD.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
