"""Converts a trained transformer to CTranslate2: `python ctranslate2_spec.py JOB`, in the translation peers' environment.

JOB is JSON: `weights`, an npz with the names of torch's state_dict, and with table.source, table.target, table.output (rows
are words) and table.positions; `encoder_layers`, `decoder_layers`, `heads`, `norm` (pre | post), `norm_epsilon`, `activation`,
`scale_embedding`; `source_names` and `target_names`, one name per word, which include the names `unk`, `eos` and `start`;
`model`, a folder, whose ctranslate2/ becomes the model. Knows no textkit.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import Activation, TransformerSpec

ACTIVATIONS = {"relu": Activation.RELU, "gelu": Activation.GELU, "swish": Activation.SWISH}


class Builder:
    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        self.weights = weights

    def linear(self, spec: Any, name: str) -> None:
        spec.weight, spec.bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]

    def norm(self, spec: Any, name: str) -> None:
        spec.gamma, spec.beta = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]

    def stack(self, spec: Any, side: str, table: np.ndarray, pre: bool, cross: bool) -> None:
        spec.position_encodings.encodings = self.weights["table.positions"]
        (spec.embeddings if cross else spec.embeddings[0]).weight = table
        if pre:
            self.norm(spec.layer_norm, f"{side}_norm")
        for number, layer in enumerate(spec.layer):
            name = f"{side}_layers.{number}"
            self.linear(layer.self_attention.linear[0], f"{name}.attention.qkv")
            self.linear(layer.self_attention.linear[1], f"{name}.attention.output")
            self.norm(layer.self_attention.layer_norm, f"{name}.attention_norm")
            if cross:
                self.linear(layer.attention.linear[0], f"{name}.cross.query")
                self.linear(layer.attention.linear[1], f"{name}.cross.memory")
                self.linear(layer.attention.linear[2], f"{name}.cross.output")
                self.norm(layer.attention.layer_norm, f"{name}.cross_norm")
            self.linear(layer.ffn.linear_0, f"{name}.feedforward.inner")
            self.linear(layer.ffn.linear_1, f"{name}.feedforward.outer")
            self.norm(layer.ffn.layer_norm, f"{name}.feedforward_norm")


def main() -> None:
    job: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    weights = dict(np.load(job["weights"]))
    pre = job["norm"] == "pre"
    spec = TransformerSpec.from_config(
        (job["encoder_layers"], job["decoder_layers"]), job["heads"], pre_norm=pre,
        activation=ACTIVATIONS[job["activation"]],
    )  # fmt: skip
    builder = Builder(weights)
    builder.stack(spec.encoder, "encoder", weights["table.source"], pre, cross=False)
    builder.stack(spec.decoder, "decoder", weights["table.target"], pre, cross=True)
    spec.decoder.projection.weight = weights["table.output"]
    if "output_bias" in weights:
        spec.decoder.projection.bias = weights["output_bias"]
    spec.encoder.scale_embeddings = spec.decoder.scale_embeddings = job["scale_embedding"]
    spec.config.unk_token, spec.config.eos_token = job["unk"], job["eos"]
    spec.config.bos_token = spec.config.decoder_start_token = job["start"]
    spec.config.layer_norm_epsilon = job["norm_epsilon"]
    spec.register_source_vocabulary(job["source_names"])
    spec.register_target_vocabulary(job["target_names"])
    spec.validate()
    spec.optimize(quantization=None)
    folder = Path(job["model"]) / "ctranslate2"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    spec.save(str(folder))


if __name__ == "__main__":
    main()
