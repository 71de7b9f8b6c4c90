"""Whether a device computes: four small graphs, whose right numbers are known, run on it.

A session that loads proves little. onnxruntime opens without cuDNN, and a graph that only copies launches no kernel. So the
probe multiplies (cuBLAS), reduces and runs an LSTM (cuDNN), and multiplies in half precision (the tensor cores), and compares
what comes out.

It takes 10 to 20 ms on a CPU, and 60 on a GPU that computes nothing. A real one takes more: each session makes handles of
cuBLAS and cuDNN. Therefore `textkit doctor` asks this, and a filter that opens a model does not: it only looks whether cuDNN
loads, which takes a tenth of a millisecond once it is loaded.

probe.onnx holds the four graphs side by side; tests/test_probe.py makes the same bytes with the package onnx.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textkit.errors import TextkitError
from textkit.serving.session import Session

if TYPE_CHECKING:
    import numpy as np

GRAPH = Path(__file__).with_name("probe.onnx")
_RELATIVE = 1e-5  # how far a number may be off; the products and the reduction are whole numbers, which are exact


@dataclass(frozen=True)
class Check:
    """One of the graphs: the output that is computed, from what, and what is right."""

    name: str  # as people say it
    output: str
    feeds: Mapping[str, np.ndarray]
    right: np.ndarray


def available_device(device: str) -> str | None:
    """None if a session on `device` (cpu, cuda, cuda:N) really computes; otherwise the reason why not, in one line."""
    import numpy as np

    graph = GRAPH.read_bytes()
    wrong = []
    for check in checks():
        try:
            session = Session(graph, device, threads=1, outputs=[check.output])
        except TextkitError as error:
            return str(error)
        try:
            got = session.run(check.feeds)[check.output]
        except TextkitError as error:
            return f"{check.name}: {error}"
        if got.shape != check.right.shape or not np.allclose(got, check.right, rtol=_RELATIVE, atol=0):
            wrong.append(check.name)
    return f"computes wrong results: {', '.join(wrong)}" if wrong else None


def checks() -> list[Check]:
    """The graphs with what they are given and what is right, worked out by hand.

    With i for the row, j for the column and k for what is summed over:

        product       left[i, k] = 16 i + k, right[k, j] = j         the sum over 16 k: j (256 i + 120)
        reduction     the largest left[i, k] of a row                16 i + 15
        fp16 product  left[i, k] = i, right[k, j] = j                16 i j: below 2048, whole numbers are exact

    The LSTM's gates are constant: input 3/4, output 9/10, forget 1/4, because their weights are 0 and their biases ln 3, ln 9
    and -ln 3. Its two units read one number each and their own last output; the second negates what it reads. The first reads
    ln 3, then 0, and the second 0, then ln 3. Since tanh(ln 3) = 4/5, with c for the cell and h for the output:

        first unit    c1 = 3/4 * 4/5 = 0.6                h1 = 0.9 tanh(0.6) = 0.48334461
                      c2 = c1 / 4 + 3/4 tanh(h1)          h2 = 0.9 tanh(c2) = 0.40642587
        second unit   c1 = 0, h1 = 0                      c2 = 3/4 * -4/5 = -0.6, h2 = -0.48334461
    """
    import numpy as np

    i, k, j = np.arange(8), np.arange(16), np.arange(8)
    left = (16 * i[:, None] + k).astype(np.float32)  # [8, 16]
    right = np.tile(j, (16, 1)).astype(np.float32)  # [16, 8]
    half = {
        "half_left": np.tile(i[:, None], (1, 16)).astype(np.float16),
        "half_right": np.tile(j, (16, 1)).astype(np.float16),
    }
    read = np.log(np.array([[[3, 1]], [[1, 3]]], np.float32))  # [token 2, line 1, number 2]: ln 3, 0; then 0, ln 3
    # [token 2, direction 1, line 1, unit 2]
    out = np.array([0.48334461, 0, 0.40642587, -0.48334461], np.float32).reshape(2, 1, 1, 2)
    return [
        Check("product", "product", {"left": left, "right": right}, j * (256 * i[:, None] + 120)),
        Check("reduction", "reduction", {"left": left}, 16 * i + 15),
        Check("LSTM", "lstm", {"read": read}, out),
        Check("fp16 product", "half_product", half, 16 * i[:, None] * j),
    ]
