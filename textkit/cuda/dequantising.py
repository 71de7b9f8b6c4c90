"""Rewrites products of integers as products of floats, because CUDA has no kernels for integers of a CPU's kind.

What the exporter makes in int8 (exporting/quantize_*.py), and what onnxruntime's own quantiser made of older models, becomes
MatMul and LSTM again. A weight is its integers times their scale, exactly; activations are no longer rounded, so results are
nearer to the full-precision model than the CPU's are. Scales of rows and channels cancel and are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from textkit.cuda.blocks import Integers
from textkit.cuda.model import Model
from textkit.cuda.nodes import Node

_ROWS = (
    1 << 27
)  # the most numbers of a table that are turned into floats: more stay integers, which are looked up as well
_BIASES = (-30.0, 30.0, 30.0, 0.0)  # of the two units that quantize_recurrence.py adds to an LSTM
_INTEGERS = ("int8", "uint8")


def dequantised(model: Model, keep_blocks: bool = False) -> dict[str, Integers]:
    """Makes all products of integers with constant matrices products of floats, in place.

    Returns matrix -> the integers that it was made of, where their scales are those of columns. `keep_blocks`: leaves products
    with blocks of integers (MatMulNBits), for which CUDA has kernels.
    """
    work = _Dequantising(model)
    work.run(keep_blocks)
    model.ordered()
    model.drop_unused()
    return work.integers_of


class _Dequantising:
    def __init__(self, model: Model) -> None:
        self.model = model
        self.makers = model.makers()
        self.users = model.users()
        self.ports = {port.name for port in model.outputs}
        self.matrices: dict[tuple[str, ...], str] = {}
        self.tables: dict[str, str] = {}
        self.integers_of: dict[str, Integers] = {}
        self.turned: list[Node] = []  # Transposes of tables that are multiplied by as well

    def run(self, keep_blocks: bool) -> None:
        kinds: dict[str, Callable[[Node], list[Node] | None]] = {
            "MatMulIntegerToFloat": self.product,
            "DynamicQuantizeMatMul": self.dynamic,
            "MatMulInteger": self.integers,
            "MatMulNBits": self.blocks,
            "DynamicQuantizeLSTM": self.recurrence,
            "Cast": self.look_up,
        }
        if keep_blocks:
            del kinds["MatMulNBits"]
        nodes: list[Node] = []
        for node in self.model.nodes:
            made = kinds[node.operator](node) if node.operator in kinds else None
            nodes += [node] if made is None else made
        self.model.nodes = [*self.turned, *nodes]

    # Products

    def product(self, node: Node) -> list[Node] | None:
        """MatMulIntegerToFloat: steps, matrix, their scales, zero points, bias."""
        steps, matrix, _, scale, _, zero, bias = [*node.takes, "", "", ""][:7]
        quantise = self.makers.get(steps)
        if quantise is None or quantise.operator not in ("QuantizeLinear", "DynamicQuantizeLinear"):
            return None
        given, output, factor = quantise.takes[0], node.makes[0], None
        divide, user = self.makers.get(given), self.only_user(output)
        if divide is not None and divide.operator == "Div" and user is not None and user.operator == "Mul":
            other = next((name for name in user.takes if name != output), "")
            if other == divide.takes[1] and not bias:  # the size of each row, which cancels
                given, output = divide.takes[0], user.makes[0]
                even = self.makers.get(given)
                if even is not None and even.operator == "Mul" and self.model.is_constant(even.takes[1]):
                    channels = self.model.constant(even.takes[1])
                    if channels.ndim == 1 and channels.dtype == np.float32:
                        given, factor = even.takes[0], even.takes[1]
                user.operator, user.takes, user.makes = "Identity", [other], [self.model.unique(output)]
        found = self.matrix(matrix, scale, zero, factor)
        return None if found is None else self.multiplied(given, found, bias, output)

    def dynamic(self, node: Node) -> list[Node] | None:
        """DynamicQuantizeMatMul: activations, matrix, its scale, its zero point, bias."""
        given, matrix, scale, zero, bias = [*node.takes, "", ""][:5]
        found = self.matrix(matrix, scale, zero, None)
        return None if found is None else self.multiplied(given, found, bias, node.makes[0])

    def integers(self, node: Node) -> list[Node] | None:
        """DynamicQuantizeLinear, MatMulInteger, Cast, and Mul with the product of both scales."""
        steps, matrix, _, zero = [*node.takes, "", ""][:4]
        quantise, cast = self.makers.get(steps), self.only_user(node.makes[0])
        if quantise is None or quantise.operator != "DynamicQuantizeLinear" or cast is None or cast.operator != "Cast":
            return None
        scaled = self.only_user(cast.makes[0])
        if scaled is None or scaled.operator != "Mul":
            return None
        both = self.makers.get(next(name for name in scaled.takes if name != cast.makes[0]))
        if both is None or both.operator != "Mul" or quantise.makes[1] not in both.takes:
            return None
        scale = next(name for name in both.takes if name != quantise.makes[1])
        found = self.matrix(matrix, scale, zero, None)
        if found is None:
            return None
        made = self.multiplied(quantise.takes[0], found, "", scaled.makes[0])
        scaled.operator, scaled.takes, scaled.makes = "Identity", [scale], [self.model.unique(scaled.makes[0])]
        return made

    def blocks(self, node: Node) -> list[Node] | None:
        """MatMulNBits of 8 bits: activations, blocks u8[out, block, number], scales, zero points, order, bias."""
        given, blocks, scales, zero, order, bias = [*node.takes, "", "", ""][:6]
        settings = {name: self.model.integers(node, name) for name in ("K", "N", "bits", "block_size")}
        known = self.model.is_constant(blocks) and self.model.is_constant(scales)
        if settings["bits"] != [8] or zero or order or not known:
            return None
        (width,), (count,) = settings["K"], settings["N"]
        key = (blocks, scales)
        if key not in self.matrices:
            steps = self.model.constant(blocks).reshape(count, -1, settings["block_size"][0])
            by = self.model.constant(scales).astype(np.float32).reshape(count, -1, 1)
            whole = (steps.astype(np.float32) - np.float32(128)) * by
            array = np.ascontiguousarray(whole.reshape(count, -1)[:, :width].T)
            self.matrices[key] = self.model.put(self.model.unique(blocks), array)
        return self.multiplied(given, self.matrices[key], bias, node.makes[0])

    def multiplied(self, given: str, matrix: str, bias: str, output: str) -> list[Node]:
        if not bias:
            return [Node("MatMul", [given, matrix], [output])]
        unbiased = self.model.unique(output)
        return [Node("MatMul", [given, matrix], [unbiased]), Node("Add", [unbiased, bias], [output])]

    def matrix(self, name: str, scale: str, zero: str, factor: str | None) -> str | None:
        """The name of a matrix of integers as floats, its rows multiplied by `factor`; None where it is not constant."""
        key = (name, scale, factor or "")
        if key in self.matrices:
            return self.matrices[key]
        steps, by = self.value(name), self.value(scale)
        if steps is None or by is None or steps.dtype.name not in _INTEGERS:
            return None
        array = steps.astype(np.float32)
        if zero:
            middle = self.value(zero)
            if middle is None:
                return None
            array -= middle.astype(np.float32)
        array *= by  # of each column, or of all
        turned = self.makers.get(name)
        if factor is not None:
            array *= self.model.constant(factor)[:, None]
        if (
            factor is None
            and turned is not None
            and turned.operator == "Transpose"
            and self.model.is_constant(turned.takes[0])
        ):
            table = self.table(
                turned.takes[0], np.ascontiguousarray(array.T)
            )  # stored once: rows are looked up in it, too
            self.matrices[key] = self.model.unique(name)
            self.turned.append(Node("Transpose", [table], [self.matrices[key]]).with_integers("perm", [1, 0]))
        else:
            self.matrices[key] = self.model.put(self.model.unique(name), np.ascontiguousarray(array))
        if factor is None and not zero and steps.dtype == np.int8 and by.ndim < 2:
            self.integers_of[self.matrices[key]] = steps, by
        return self.matrices[key]

    # Tables

    def table(self, name: str, array: np.ndarray) -> str:
        """The name of the table of floats that stands for the table `name` of integers."""
        if name not in self.tables:
            self.tables[name] = self.model.put(self.model.unique(name), array)
        return self.tables[name]

    def look_up(self, node: Node) -> list[Node] | None:
        """Cast of rows of integers, and what scales them: arithmetic with rows of other tables and with constants, number by
        number. The same arithmetic on the tables leaves one table of floats."""
        gather = self.makers.get(node.takes[0])
        if gather is None or not self.looks_up(gather) or self.model.integers(node, "to") != [1]:
            return None
        name, ids = gather.takes
        steps = self.model.constant(name)
        if steps.dtype.name not in _INTEGERS or steps.size > _ROWS:
            return None
        table, output = steps.astype(np.float32), node.makes[0]
        chain: list[Node] = []
        while (user := self.only_user(output)) is not None and user.operator in ("Mul", "Sub"):
            other = user.takes[1] if user.takes[0] == output else user.takes[0]
            by = self.value(other)
            rows = self.makers.get(other)
            if by is not None and (by.size == 1 or by.ndim < table.ndim):
                pass
            elif rows is not None and self.looks_up(rows) and rows.takes[1] == ids:
                found = self.value(rows.takes[0])
                if found is None or found.ndim != table.ndim or len(found) != len(table):
                    break
                by = found
            else:
                break
            if user.operator == "Sub" and user.takes[0] != output:
                break
            table = table * by if user.operator == "Mul" else table - by
            output = user.makes[0]
            chain.append(user)
        if not any(user.operator == "Mul" for user in chain):
            return None
        for user in chain:
            user.operator, user.takes, user.makes = "Identity", [ids], [self.model.unique(output)]
        return [Node("Gather", [self.table(name, table), ids], [output])]

    def looks_up(self, node: Node) -> bool:
        plain = node.operator == "Gather" and self.model.integers(node, "axis", [0]) == [0]
        return plain and self.value(node.takes[0]) is not None

    # LSTMs

    def recurrence(self, node: Node) -> list[Node] | None:
        """DynamicQuantizeLSTM: x, matrices, biases, lengths, first state and cell, peepholes, scales and zero points."""
        takes = [*node.takes, *[""] * 12]
        x, lengths, begin, peepholes = takes[0], takes[4], takes[5:7], takes[7]
        inputs, state = self.gates(takes[1], takes[8], takes[9]), self.gates(takes[2], takes[10], takes[11])
        bias = self.value(takes[3]) if takes[3] else None
        if inputs is None or state is None or peepholes or (takes[3] and bias is None):
            return None
        hidden = state.shape[2]
        cuts = [self.cut_of(name, hidden - 2) for name in node.makes if name]
        outputs = list(node.makes)
        if bias is not None and all(cut is not None for cut in cuts) and _is_wider(bias, hidden, inputs):
            narrow = [self.unpadded(name) for name in (x, *begin)]
            if None not in narrow:
                x, *begin = [str(name) for name in narrow]
                inputs, state = (_narrower(part, hidden) for part in (inputs[:, :, :-2], state[:, :, :-2]))
                bias = np.concatenate([_narrower(part, hidden) for part in np.split(bias, 2, axis=1)], 1)
                hidden -= 2
                slices = iter(cuts)
                for at, name in enumerate(outputs):
                    if name and (cut := next(slices)) is not None:
                        outputs[at] = cut.makes[0]
                        cut.operator, cut.takes, cut.makes = "Identity", [lengths or x], [self.model.unique(name)]
        names = [self.model.put(self.model.unique(node.takes[at]), array) for at, array in ((1, inputs), (2, state))]
        biases = self.model.put(self.model.unique(node.takes[3]), bias) if bias is not None else ""
        made = Node("LSTM", [x, *names, biases, lengths, *begin], outputs)
        while made.takes[-1] == "":
            made.takes.pop()
        made.attributes = dict(node.attributes)
        return [made.with_integer("hidden_size", hidden)]

    def gates(self, name: str, scale: str, zero: str) -> np.ndarray | None:
        """Integers [direction, in, gates] as f32[direction, gates, in]."""
        steps, by = self.value(name), self.value(scale)
        middle = self.value(zero) if zero else np.zeros(1, np.int8)
        if steps is None or by is None or middle is None:
            return None
        by, middle = (
            part.astype(np.float32).reshape(len(steps), 1, -1) if part.size > 1 else part for part in (by, middle)
        )
        array = (steps.astype(np.float32) - middle.astype(np.float32)) * by
        return np.ascontiguousarray(array.transpose(0, 2, 1))

    def cut_of(self, name: str, width: int) -> Node | None:
        """The Slice that keeps the first `width` numbers of an LSTM's output, if nothing else takes the output."""
        user = self.only_user(name)
        if user is None or user.operator != "Slice" or len(user.takes) != 4:
            return None
        cut = [self.value(part) for part in user.takes[1:]]
        if any(part is None for part in cut) or [part.tolist() for part in cut if part is not None] != [
            [0],
            [width],
            [-1],
        ]:
            return None
        return user

    def unpadded(self, name: str) -> str | None:
        """What two Pads append a number each to; '' for a first state of zeros; None for anything else."""
        maker = self.makers.get(name)
        if maker is None:
            return "" if not name else None
        if maker.operator == "Expand":
            return ""
        inner = self.makers.get(maker.takes[0]) if maker.operator == "Pad" else None
        return inner.takes[0] if inner is not None and inner.operator == "Pad" else None

    # Questions

    def only_user(self, name: str) -> Node | None:
        """The only node that takes a value; None where there is another, or where the graph returns it."""
        users = self.users.get(name, [])
        alone = len(users) == 1 and name not in self.ports and name not in users[0].within
        return users[0] if alone else None

    def value(self, name: str, depth: int = 0) -> np.ndarray | None:
        """The numbers of a constant, or of what is made of constants by moving their numbers; None for any other value."""
        if self.model.is_constant(name):
            return self.model.constant(name)
        node = self.makers.get(name)
        if node is None or depth > 4 or not node.takes or node.operator not in _MOVES:
            return None
        given = [self.value(each, depth + 1) for each in node.takes]
        if any(each is None for each in given):
            return None
        return _MOVES[node.operator](self.model, node, [each for each in given if each is not None])


def _transposed(model: Model, node: Node, given: Sequence[np.ndarray]) -> np.ndarray:
    return given[0].transpose(model.integers(node, "perm") or None)


def _reshaped(model: Model, node: Node, given: Sequence[np.ndarray]) -> np.ndarray:
    shape = [given[0].shape[at] if size == 0 else size for at, size in enumerate(given[1].tolist())]
    return given[0].reshape(shape)


def _unsqueezed(model: Model, node: Node, given: Sequence[np.ndarray]) -> np.ndarray:
    return np.expand_dims(given[0], tuple(given[1].tolist()))


_MOVES: dict[str, Callable[[Model, Node, Sequence[np.ndarray]], np.ndarray]] = {
    "Transpose": _transposed,
    "Reshape": _reshaped,
    "Unsqueeze": _unsqueezed,
    "Identity": lambda model, node, given: given[0],
}


def _is_wider(bias: np.ndarray, hidden: int, inputs: np.ndarray) -> bool:
    """Whether an LSTM has the two units and the two inputs that quantize_recurrence.py adds."""
    added = bias[:, : 4 * hidden].reshape(-1, 4, hidden)[:, :, -2:]
    constant = np.array_equal(np.abs(added), np.broadcast_to(np.abs(_BIASES)[:, None], added.shape))
    return constant and not inputs[:, :, -2:].any()


def _narrower(gates: np.ndarray, hidden: int) -> np.ndarray:
    """[direction, 4 * hidden, ...] without the last two units of each gate."""
    kept = gates.reshape(len(gates), 4, hidden, *gates.shape[2:])[:, :, :-2]
    return np.ascontiguousarray(kept.reshape(len(gates), -1, *gates.shape[2:]))
