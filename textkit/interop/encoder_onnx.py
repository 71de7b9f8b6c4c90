"""Builds the ONNX graph that optimum, fastembed and others read of an encoder like BERT, with onnx.helper and without torch.

input_ids, attention_mask, token_type_ids (of BERT) i64[batch, sequence] -> last_hidden_state f32[batch, sequence, dim], in
plain operators of opset 17, so that old runtimes read it too. Knows no text, no pooling and no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from textkit.errors import TextkitError
from textkit.exporting.onnx_format import LARGEST

if TYPE_CHECKING:
    from textkit.interop.encoder_network import Shape

_OPSET, _IR = 17, 8  # onnxruntime 1.13 and newer read them
_MASKED = float(np.finfo(np.float32).min)  # added to the scores of padding, as transformers does
_CONSTANTS = {
    "zero": np.array([0]), "one": np.array([1]), "one_two": np.array([1, 2]), "unit": np.array(1, np.float32),
    "masked": np.array(_MASKED, np.float32),
}  # fmt: skip


def encoder_graph(state: Mapping[str, np.ndarray], shape: Shape, buckets: np.ndarray | None = None) -> bytes:
    """The graph of the encoder whose parameters `state` holds, under the names of the plugins' transformer.

    `buckets` i64[2 * positions - 1]: of each distance key - query, for a network that has `relative.weight`. Token types are an
    input where `shape.types` says how many there are; all have a vector of zeros. Raises TextkitError over 2 GB.
    """
    if sum(array.nbytes for array in state.values()) > LARGEST:
        raise TextkitError("the encoder takes more than the 2 GB that an ONNX file holds")
    graph = _Graph(state, shape)
    graph.embed()
    graph.mask(buckets)
    x = "embedded"
    for at in range(shape.layers):
        x = graph.layer(at, x)
    return graph.serialised(x)


class _Graph:
    """Nodes and constants, layer by layer."""

    def __init__(self, state: Mapping[str, np.ndarray], shape: Shape) -> None:
        self.state, self.shape = state, shape
        self.nodes: list[Any] = []
        width = shape.dim // shape.heads
        self.constants: dict[str, np.ndarray] = {
            **_CONSTANTS, "heads": np.array([0, 0, shape.heads, width]), "joined": np.array([0, 0, shape.dim]),
            "root_of_width": np.array(width**0.5, np.float32),
        }  # fmt: skip

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def weight(self, name: str, turned: bool = False) -> str:
        """The name of a parameter, which becomes a constant; `turned`: as [in, out]."""
        array = self.state[name]
        self.constants[name] = np.ascontiguousarray(array.T if turned else array, np.float32)
        return name

    def linear(self, name: str, x: str, output: str) -> str:
        product = self.node("MatMul", [x, self.weight(f"{name}.weight", turned=True)], f"{output}.product")
        return self.node("Add", [product, self.weight(f"{name}.bias")], output)

    def norm(self, name: str, x: str, output: str) -> str:
        inputs = [x, self.weight(f"{name}.weight"), self.weight(f"{name}.bias")]
        return self.node("LayerNormalization", inputs, output, axis=-1, epsilon=self.shape.epsilon)

    def embed(self) -> None:
        """Makes `embedded`, what the first layer reads, and `length`, the number of tokens i64[1]."""
        self.node("Gather", [self.weight("embedding.weight"), "input_ids"], "words")  # [batch, sequence, dim]
        self.node("Shape", ["input_ids"], "size")
        self.node("Gather", ["size", "one"], "length")
        self.node("Slice", [self.weight("positions.weight"), "zero", "length", "zero"], "places")  # [sequence, dim]
        x = self.node("Add", ["words", "places"], "placed")
        if self.shape.types:
            self.constants["types"] = np.zeros((self.shape.types, self.shape.dim), np.float32)
            self.node("Gather", ["types", "token_type_ids"], "typed")
            x = self.node("Add", ["placed", "typed"], "summed")
        self.norm("norm", x, "embedded")

    def mask(self, buckets: np.ndarray | None) -> None:
        """Makes `bias`, what is added to the scores of attention: f32[batch, 1 or head, 1 or sequence, sequence]."""
        from onnx import TensorProto

        self.node("Cast", ["attention_mask"], "real", to=TensorProto.FLOAT)
        self.node("Sub", ["unit", "real"], "padding")
        self.node("Mul", ["padding", "masked"], "hidden")
        last = "bias" if buckets is None else "hiding"
        self.node("Unsqueeze", ["hidden", "one_two"], last)  # [batch, 1, 1, sequence]
        if buckets is None:
            return
        self.constants |= {"buckets": buckets, "nearest": np.array(len(buckets) // 2)}
        self.constants |= {"from": np.array(0), "step": np.array(1)}
        self.node("Squeeze", ["length", "zero"], "count")
        self.node("Range", ["from", "count", "step"], "at")  # [sequence]
        self.node("Unsqueeze", ["at", "zero"], "keys")
        self.node("Unsqueeze", ["at", "one"], "queries")
        self.node("Sub", ["keys", "queries"], "apart")  # [query, key]
        self.node("Add", ["apart", "nearest"], "distance")
        self.node("Gather", ["buckets", "distance"], "bucket")
        self.node("Gather", [self.weight("relative.weight"), "bucket"], "relative")  # [query, key, head]
        self.node("Transpose", ["relative"], "by_head", perm=[2, 0, 1])
        self.node("Unsqueeze", ["by_head", "zero"], "nearness")  # [1, head, query, key]
        self.node("Add", ["hiding", "nearness"], "bias")

    def layer(self, at: int, x: str) -> str:
        """Self-attention, then a feed-forward network; what each gives is added to its input, and the sum normalised."""
        name = f"layers.{at}"
        for part, order in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3])):
            given = self.linear(f"{name}.{part}", x, f"{name}.{part}.all")
            self.node("Reshape", [given, "heads"], f"{name}.{part}.split")  # [batch, sequence, head, width]
            self.node("Transpose", [f"{name}.{part}.split"], f"{name}.{part}.by_head", perm=order)
        products = self.node("MatMul", [f"{name}.query.by_head", f"{name}.key.by_head"], f"{name}.products")
        scaled = self.node("Div", [products, "root_of_width"], f"{name}.scores")
        biased = self.node("Add", [scaled, "bias"], f"{name}.biased")
        shares = self.node("Softmax", [biased], f"{name}.shares", axis=-1)
        mixed = self.node("MatMul", [shares, f"{name}.value.by_head"], f"{name}.mixed")
        self.node("Transpose", [mixed], f"{name}.apart", perm=[0, 2, 1, 3])
        joined = self.node("Reshape", [f"{name}.apart", "joined"], f"{name}.joined")
        attended = self.linear(f"{name}.output", joined, f"{name}.attended")
        summed = self.node("Add", [attended, x], f"{name}.with_input")
        x = self.norm(f"{name}.attention_norm", summed, f"{name}.normalised")
        inner = self.activated(self.linear(f"{name}.inner", x, f"{name}.inner.all"), name)
        outer = self.linear(f"{name}.outer", inner, f"{name}.outer.all")
        summed = self.node("Add", [outer, x], f"{name}.with_attended")
        output = "last_hidden_state" if at == self.shape.layers - 1 else f"{name}.given"
        return self.norm(f"{name}.feedforward_norm", summed, output)

    def activated(self, x: str, name: str) -> str:
        if self.shape.activation == "relu":
            return self.node("Relu", [x], f"{name}.activated")
        self.constants |= {"half": np.array(0.5, np.float32), "root_of_two": np.array(2**0.5, np.float32)}
        ratio = self.node("Div", [x, "root_of_two"], f"{name}.ratio")
        error = self.node("Erf", [ratio], f"{name}.erf")
        share = self.node("Add", [error, "unit"], f"{name}.share")
        product = self.node("Mul", [x, share], f"{name}.doubled")
        return self.node("Mul", [product, "half"], f"{name}.activated")

    def serialised(self, output: str) -> bytes:
        from onnx import TensorProto, helper, numpy_helper

        axes = ["batch_size", "sequence_length"]
        inputs = ["input_ids", "attention_mask", *(["token_type_ids"] if self.shape.types else [])]
        graph = helper.make_graph(
            self.nodes,
            "encoder",
            [helper.make_tensor_value_info(name, TensorProto.INT64, axes) for name in inputs],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, [*axes, self.shape.dim])],
            [numpy_helper.from_array(array, name) for name, array in self.constants.items()],
        )
        opsets = [helper.make_opsetid("", _OPSET)]
        made: bytes = helper.make_model(
            graph, opset_imports=opsets, ir_version=_IR, producer_name="textkit"
        ).SerializeToString()
        return made
