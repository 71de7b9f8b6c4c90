"""What a folder of sentence-transformers (Reimers and Gurevych 2019) is made of, when one is written: modules.json, and the
files of the modules behind the first. Knows no encoder, no text and no graph; sentence_modules.py reads such folders.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from textkit.errors import TextkitError, pip_install

POOLINGS = {"mean": "mean_tokens", "max": "max_tokens", "cls": "cls_token"}  # ours -> theirs, behind `pooling_mode_`
_UNUSED = ("mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
_MODULE = "sentence_transformers.models."  # the place that versions from 2 on know
ACTIVATIONS = {  # ours -> theirs
    "none": "torch.nn.modules.linear.Identity", "tanh": "torch.nn.modules.activation.Tanh",
    "relu": "torch.nn.modules.activation.ReLU", "gelu": "torch.nn.modules.activation.GELU",
}  # fmt: skip


@dataclass(frozen=True)
class Folder:
    """A folder to be written. `files`: their contents by path; `vectors`: lines -> f32[line, dim], as whoever opens the folder
    computes them; `notes`: what they do in another way than textkit, one line each."""

    kind: str
    files: Mapping[str, bytes]
    vectors: Callable[[Sequence[str]], np.ndarray]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Dense:
    """A linear layer behind the pooling: weight f32[out, in], bias f32[out]."""

    weight: np.ndarray
    bias: np.ndarray
    activation: str  # a key of ACTIVATIONS

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """f32[line, in] -> f32[line, out]"""
        found = vectors @ self.weight.T + self.bias
        if self.activation == "tanh":
            return np.tanh(found)
        if self.activation == "relu":
            return np.maximum(found, 0)
        if self.activation == "gelu":
            erf = np.vectorize(math.erf, otypes=[np.float32])
            gelu: np.ndarray = found * (1 + erf(found / np.sqrt(2))) / 2
            return gelu
        return found


def module_files(
    first: str, place: str, dim: int, pooling: str, dense: Dense | None, normalize: bool
) -> dict[str, bytes]:
    """modules.json and the files of the modules behind the first, which is of the kind `first` and lies in `place`.

    `dim`: the numbers of a token's vector. `pooling`: a key of POOLINGS; "" where the first module pools.
    """
    kinds = [
        first,
        *(["Pooling"] if pooling else []),
        *(["Dense"] if dense else []),
        *(["Normalize"] if normalize else []),
    ]
    places = [place, *(f"{at}_{kind}" for at, kind in enumerate(kinds) if at)]
    files = {
        "modules.json": json_file(
            [
                {"idx": at, "name": str(at), "path": path, "type": _MODULE + kind}
                for at, (kind, path) in enumerate(zip(kinds, places, strict=True))
            ]
        ),
        "config_sentence_transformers.json": json_file(
            {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"}
        ),
    }
    for kind, path in zip(kinds[1:], places[1:], strict=True):
        if kind == "Pooling":
            modes = {f"pooling_mode_{mode}": mode == POOLINGS[pooling] for mode in (*POOLINGS.values(), *_UNUSED)}
            files[f"{path}/config.json"] = json_file(
                {"word_embedding_dimension": dim} | modes | {"include_prompt": True}
            )
        if kind == "Dense":
            assert dense is not None
            made, given = dense.weight.shape
            files[f"{path}/config.json"] = json_file(
                {
                    "in_features": given,
                    "out_features": made,
                    "bias": True,
                    "activation_function": ACTIVATIONS[dense.activation],
                }
            )
            files[f"{path}/model.safetensors"] = tensors_file(
                {"linear.weight": dense.weight, "linear.bias": dense.bias}
            )
    return files


def json_file(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode()


def tensors_file(tensors: Mapping[str, np.ndarray]) -> bytes:
    """A file of tensors, f32, as transformers reads it."""
    try:
        from safetensors.numpy import save
    except ImportError as error:
        raise TextkitError(f"writing tensors needs the package {error.name}: {pip_install('train')}") from None
    made: bytes = save(
        {name: np.ascontiguousarray(array, np.float32) for name, array in tensors.items()}, {"format": "pt"}
    )
    return made
