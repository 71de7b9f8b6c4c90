"""Rewrites products of integers as products of floats, because CUDA has no kernels for integers of a CPU's kind.

What the exporter makes in int8 (exporting/quantize_*.py), and what onnxruntime's own quantiser made of older models, becomes
MatMul and LSTM again. A weight is its integers times their scale, exactly; activations are no longer rounded, so results are
nearer to the full-precision model than the CPU's are. Scales of rows and channels cancel and are left out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from textkit.cuda.blocks import Integers
from textkit.cuda.model import Model
from textkit.cuda.nodes import INT64, Node
from textkit.cuda.recurrence import Recurrence
from textkit.cuda.surroundings import Surroundings

_MOST = 1 << 27  # numbers of a table that become floats; of a larger one integers are looked up
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
        self.around = Surroundings(model)
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
            "DynamicQuantizeLSTM": Recurrence(self.around),
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
        quantise = self.around.makers.get(steps)
        if quantise is None or quantise.operator not in ("QuantizeLinear", "DynamicQuantizeLinear"):
            return None
        given, output, factor, scaled = quantise.takes[0], node.makes[0], None, None
        divide, user = self.around.makers.get(given), self.around.only_user(output)
        if divide is not None and divide.operator == "Div" and user is not None and user.operator == "Mul":
            other = next((name for name in user.takes if name != output), "")
            if other == divide.takes[1] and not bias:  # the size of each row, which cancels
                given, output, scaled = divide.takes[0], user.makes[0], user
        even = self.around.makers.get(given)
        if even is not None and even.operator == "Mul" and self.model.is_constant(even.takes[1]):
            channels = self.model.constant(even.takes[1])
            if channels.ndim == 1 and channels.dtype == np.float32:
                given, factor = even.takes[0], even.takes[1]
        found = self.matrix(matrix, scale, zero, factor)
        if found is None:
            return None
        if scaled is not None:
            self.model.abandon(scaled)
        return self.multiplied(given, found, bias, output)

    def dynamic(self, node: Node) -> list[Node] | None:
        """DynamicQuantizeMatMul: activations, matrix, its scale, its zero point, bias."""
        given, matrix, scale, zero, bias = [*node.takes, "", ""][:5]
        found = self.matrix(matrix, scale, zero, None)
        return None if found is None else self.multiplied(given, found, bias, node.makes[0])

    def integers(self, node: Node) -> list[Node] | None:
        """DynamicQuantizeLinear, MatMulInteger, Cast, and Mul with the product of both scales."""
        steps, matrix, _, zero = [*node.takes, "", ""][:4]
        quantise, cast = self.around.makers.get(steps), self.around.only_user(node.makes[0])
        if quantise is None or quantise.operator != "DynamicQuantizeLinear" or cast is None or cast.operator != "Cast":
            return None
        scaled = self.around.only_user(cast.makes[0])
        if scaled is None or scaled.operator != "Mul":
            return None
        both = self.around.makers.get(next(name for name in scaled.takes if name != cast.makes[0]))
        if both is None or both.operator != "Mul" or quantise.makes[1] not in both.takes:
            return None
        scale = next(name for name in both.takes if name != quantise.makes[1])
        found = self.matrix(matrix, scale, zero, None)
        if found is None:
            return None
        made = self.multiplied(quantise.takes[0], found, "", scaled.makes[0])
        self.model.abandon(scaled)
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
        steps, by = self.around.value(name), self.around.value(scale)
        if steps is None or by is None or steps.dtype.name not in _INTEGERS:
            return None
        array = steps.astype(np.float32)
        if zero:
            middle = self.around.value(zero)
            if middle is None:
                return None
            array -= middle.astype(np.float32)
        array *= by  # of each column, or of all
        if factor is not None:
            array *= self.model.constant(factor)[:, None]
        table = None if factor is not None else self.turned_table(name)
        if table is None:
            self.matrices[key] = self.model.put(self.model.unique(name), np.ascontiguousarray(array))
        else:
            rows = self.table(table, np.ascontiguousarray(array.T))
            self.matrices[key] = self.model.unique(name)
            self.turned.append(Node("Transpose", [rows], [self.matrices[key]]).with_integers("perm", [1, 0]))
        if factor is None and not zero and steps.dtype == np.int8 and by.ndim < 2:
            self.integers_of[self.matrices[key]] = steps, by
        return self.matrices[key]

    def turned_table(self, name: str) -> str | None:
        """The constant table that a matrix is the transpose of. It is stored once, because rows are looked up in it, too."""
        maker = self.around.makers.get(name)
        turns = maker is not None and maker.operator == "Transpose" and self.model.is_constant(maker.takes[0])
        return maker.takes[0] if maker is not None and turns else None

    # Tables

    def table(self, name: str, array: np.ndarray) -> str:
        """The name of the table of floats that stands for the table `name` of integers."""
        if name not in self.tables:
            self.tables[name] = self.model.put(self.model.unique(name), array)
        return self.tables[name]

    def look_up(self, node: Node) -> list[Node] | None:
        """Cast of rows of integers, and what scales them: arithmetic with rows of other tables and with constants, number by
        number. The same arithmetic on the tables leaves one table of floats."""
        gather = self.around.makers.get(node.takes[0])
        if gather is not None and gather.operator == "GatherND":
            return self.wider(gather, node)
        if gather is None or not self.looks_up(gather) or self.model.integers(node, "to") != [1]:
            return None
        name, ids = gather.takes
        steps = self.model.constant(name)
        if steps.dtype.name not in _INTEGERS or steps.size > _MOST:
            return None
        table, output = steps.astype(np.float32), node.makes[0]
        chain: list[Node] = []
        while (user := self.around.only_user(output)) is not None and user.operator in ("Mul", "Sub"):
            other = user.takes[1] if user.takes[0] == output else user.takes[0]
            by = self.around.value(other)
            rows = self.around.makers.get(other)
            if by is None or (by.size > 1 and by.ndim >= table.ndim):
                same = rows is not None and self.looks_up(rows) and rows.takes[1] == ids
                by = self.around.value(rows.takes[0]) if rows is not None and same else None
                if by is None or by.ndim != table.ndim or len(by) != len(table):
                    break
            if user.operator == "Sub" and user.takes[0] != output:
                break
            table = table * by if user.operator == "Mul" else table - by
            output = user.makes[0]
            chain.append(user)
        if not any(user.operator == "Mul" for user in chain):
            return None
        for user in chain:
            self.model.abandon(user)
        return [Node("Gather", [self.table(name, table), ids], [output])]

    def wider(self, gather: Node, cast: Node) -> list[Node] | None:
        """GatherND, for which CUDA has no kernel where numbers have 16 bits, and a Cast of what it finds to 64 bits."""
        table = self.around.value(gather.takes[0])
        if table is None or table.dtype != np.int16 or self.model.integers(cast, "to") != [INT64]:
            return None
        takes = [self.table(gather.takes[0], table.astype(np.int64)), gather.takes[1]]
        return [Node("GatherND", takes, cast.makes, attributes=dict(gather.attributes))]

    def looks_up(self, node: Node) -> bool:
        plain = node.operator == "Gather" and self.model.integers(node, "axis", [0]) == [0]
        return plain and self.around.value(node.takes[0]) is not None
