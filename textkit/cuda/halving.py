"""Makes a graph of floats compute in half precision (fp16) where that is sound, and in single precision (fp32) elsewhere.

Products, attention, recurrent layers and what lies between them (sums, activations, moves) are computed in fp16, and weights
are stored so: a GPU's tensor cores then do the work, and half the bytes are read. Softmax, logarithms, reductions, sums of
probabilities and choices are computed in fp32. Norms take and give fp16; their means and variances are fp32 in onnxruntime.
Memory, state and cache travel from graph to graph in fp16; other ports keep their types. This is the mixed precision of
Micikevicius et al. (2018, arXiv 1710.03740), without the training.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from textkit.cuda.model import Model
from textkit.cuda.nodes import BOOL, FLOAT, HALF, INT64, Node, Value, rename
from textkit.errors import TextkitError

MOST = 65504.0  # the largest number in half precision
TRAVELS = ("memory.", "state.", "cache.")  # ports that another graph's ports lead to

# Operators whose floats are all fp16, whatever they come from.
_PRODUCT_NAMES = "MatMul Gemm Attention MultiHeadAttention LSTM RNN GRU Conv MatMulNBits FusedMatMul"
# Operators that are computed in fp16 if all that they take is there in fp16; and those of which only the first input counts.
_FOLLOW_ALL = "Add Mul Sub Max Min Concat BiasGelu SkipLayerNormalization"
_FOLLOW_FIRST = """
Relu Gelu Tanh Sigmoid Erf Neg Abs Identity Transpose Reshape Flatten Slice Split Squeeze Unsqueeze Expand Tile GatherND
GatherElements LayerNormalization RMSNormalization SimplifiedLayerNormalization FastGelu QuickGelu LeakyRelu Swish Dropout
RotaryEmbedding Div
"""
_PRODUCTS = frozenset(_PRODUCT_NAMES.split())
_FOLLOW = dict.fromkeys(_FOLLOW_ALL.split(), 0) | dict.fromkeys(_FOLLOW_FIRST.split(), 1)  # 0: all inputs count
_MOVES = frozenset(("Transpose", "Reshape", "Slice", "Squeeze", "Unsqueeze"))
_BOOL_NAMES = "Equal Greater GreaterOrEqual Less LessOrEqual Not And Or Xor IsNaN IsInf"
_BOOLS = frozenset(_BOOL_NAMES.split())
_WHOLE = frozenset(("Shape", "Size", "ArgMax", "ArgMin", "NonZero"))


def halved(model: Model) -> None:
    """Makes a graph without integer products compute in fp16, in place.

    Raises TextkitError where a weight is larger than fp16 holds.
    """
    _Halving(model).run()
    model.ordered()
    model.drop_unused()


class _Halving:
    def __init__(self, model: Model) -> None:
        self.model = model
        self.kinds: dict[str, int] = {port.name: port.kind for port in model.inputs}
        self.half: dict[str, str] = {}  # value in fp32 -> its twin in fp16
        self.whole: set[str] = set()  # values in fp32 that a node makes, an input or a constant is
        self.renamed: dict[str, str] = {}  # port whose name is the half's -> its twin in fp32
        self.nodes: list[Node] = []

    def run(self) -> None:
        for port in self.model.inputs:
            if port.kind == FLOAT and port.name.startswith(TRAVELS):
                port.kind = HALF
                self.half[port.name] = port.name
            elif port.kind == FLOAT:
                self.whole.add(port.name)
        for node in self.model.nodes:
            self.place(node)
        for port in self.model.outputs:
            self.give(port)
        self.model.nodes = self.nodes

    def place(self, node: Node) -> None:
        floats = [name for name in node.takes if name and self.kind(name) == FLOAT]
        if node.operator == "Cast" and self.casts_up(node):
            return
        if node.operator in _PRODUCTS or (floats and self.is_half(node)):
            self.compute_half(node)
        elif node.operator == "Gather" and floats and self.follows(node.takes[0]):
            self.compute_half(node, 1)
        else:
            self.compute_whole(node)

    # Which precision

    def is_half(self, node: Node) -> bool:
        """Whether an operator that computes in either precision does so in fp16."""
        if node.operator == "Where":
            return self.all_half(node.takes[1:])
        if node.operator == "Pad":
            return self.all_half(node.takes[:1])
        if node.operator not in _FOLLOW:
            return False
        if node.operator == "Div" and not self.model.is_constant(node.takes[1]):
            return False  # a quotient of sums may be large where its parts are small
        count = _FOLLOW[node.operator] or len(node.takes)
        return self.all_half(node.takes[:count]) or self.moves_constant(node)

    def all_half(self, names: Sequence[str]) -> bool:
        """Whether all computed values among these are there in fp16, and there is one."""
        given = [name for name in names if name and not self.model.is_constant(name)]
        return bool(given) and all(name in self.half for name in given)

    def moves_constant(self, node: Node) -> bool:
        """Whether a node turns, cuts or shapes a constant matrix."""
        name = node.takes[0]
        return node.operator in _MOVES and self.model.is_constant(name) and self.model.constant(name).ndim > 1

    def follows(self, name: str) -> bool:
        """Whether rows are there in fp16; a constant table becomes fp16."""
        return name in self.half or (self.model.is_constant(name) and self.model.constant(name).ndim > 1)

    def casts_up(self, node: Node) -> bool:
        """Takes note of a Cast of fp16 to fp32, which is left out until somebody needs its result."""
        if self.kind(node.takes[0]) != HALF or self.model.integers(node, "to") != [FLOAT]:
            return False
        self.half[node.makes[0]] = node.takes[0]
        self.kinds[node.makes[0]] = FLOAT
        return True

    def kind(self, name: str) -> int:
        """The type of a value's numbers as the model had it; 0 where it is not known."""
        if name not in self.kinds:
            self.kinds[name] = self.model.kind_of(name) if self.model.is_constant(name) else 0
        return self.kinds[name]

    # Nodes

    def compute_half(self, node: Node, count: int = 0) -> None:
        """Lets a node compute in fp16. `count`: how many of its inputs are floats at most; 0: all may be."""
        before = node.takes
        most = count or len(before)
        floats = [at < most and bool(name) and self.kind(name) == FLOAT for at, name in enumerate(before)]
        node.takes = [self.in_half(name) if half else name for name, half in zip(before, floats, strict=True)]
        for at, name in enumerate(node.makes):
            if not name:
                continue
            self.kinds[name] = self.made(node, at, before)
            if self.kinds[name] == FLOAT:
                node.makes[at] = self.half[name] = self.model.unique(name)
        if node.operator == "Attention" and not node.domain and "softmax_precision" not in node.attributes:
            node.with_integer("softmax_precision", FLOAT)
        self.nodes.append(node)

    def compute_whole(self, node: Node) -> None:
        """Leaves a node as it is; floats that are there in fp16 alone are cast for it."""
        for name in node.within:  # an inner graph takes names, so they stay
            if name in self.half:
                self.in_whole(name, rename=False)
        before = node.takes
        node.takes = [self.in_whole(name) if name in self.half else name for name in node.takes]
        for at, name in enumerate(node.makes):
            self.kinds[name] = self.made(node, at, before)
            self.whole.add(name)
        self.nodes.append(node)

    def made(self, node: Node, at: int, takes: Sequence[str]) -> int:
        """The type of the numbers that an output had in the model."""
        operator = node.operator
        if operator == "Cast":
            return self.model.integers(node, "to")[0]
        if operator == "If":
            return FLOAT
        if operator in ("ConstantOfShape", "Constant"):
            return 0  # unknown
        if operator in _WHOLE or (operator == "TopK" and at == 1):
            return INT64
        if operator in _BOOLS:
            return BOOL
        if operator == "Where":
            return self.kind(takes[1])
        if operator == "OneHot":
            return self.kind(takes[2])
        return self.kind(takes[0]) if takes and takes[0] else 0

    def in_half(self, name: str) -> str:
        """The name of a value's twin in fp16."""
        if name not in self.half:
            made = self.model.unique(name)
            if self.model.is_constant(name):
                self.model.put(made, self.stored(name))
            else:
                self.nodes.append(Node("Cast", [name], [made]).with_integer("to", HALF))
            self.half[name] = made
        return self.half[name]

    def in_whole(self, name: str, rename: bool = True) -> str:
        """The name of a value in fp32."""
        if name in self.whole or (self.model.is_constant(name) and self.model.kind_of(name) == FLOAT):
            return name
        if name in self.renamed:
            return self.renamed[name]
        made = name
        if self.half[name] == name:  # a port, whose name is the half's
            if not rename:
                raise TextkitError("a branch of an If takes a state, which cannot be fp16")
            made = self.renamed[name] = self.model.unique(name)
        else:
            self.whole.add(name)
        self.nodes.append(Node("Cast", [self.half[name]], [made]).with_integer("to", FLOAT))
        return made

    def stored(self, name: str) -> np.ndarray:
        """A constant in fp16. What masks (the lowest float) becomes the lowest half, and -inf stays."""
        array = self.model.constant(name)
        if array.size == 1 or array.ndim == 0:
            return np.where(np.isfinite(array), np.clip(array, -MOST, MOST), array).astype(np.float16)
        largest = float(max(array.max(initial=0), -array.min(initial=0)))
        if np.isfinite(largest) and largest > MOST:
            raise TextkitError(f"fp16 holds numbers up to {MOST:.0f}, this model has {largest:.3g}")
        return array.astype(np.float16)

    def give(self, port: Value) -> None:
        """Makes an output of the graph: fp16 for what travels, otherwise as it was."""
        name = port.name
        if port.kind != FLOAT:
            return
        if name.startswith(TRAVELS):
            port.kind = HALF
            given = self.in_half(name)
            if self.half[name] == name:
                return  # an input that is returned
            if name in self.whole:
                rename(self.nodes, name, self.model.unique(name))
                if given == name:
                    return
            self.nodes.append(Node("Identity", [self.half[name]], [name]))
        elif name in self.half and name not in self.whole:
            self.in_whole(name)
