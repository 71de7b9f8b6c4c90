"""Operations on whole rows of a table as vector instructions: the numba intrinsics that the kernels are made of.

LLVM vectorises a plain loop over a row too. But it guards each loop with checks for overlap and handles the remainder one
float at a time, which costs more than the sum itself for rows of 100 numbers. Here a row is a handful of vectors, known at
compile time, that stay in registers. A vector has 16 floats on any processor; LLVM splits it if the registers are narrower.

`dim` must be a compile-time constant (a literal, or an int that the calling function closes over). Rows are f32, contiguous.

numba's cache of compiled kernels watches the file that a kernel is in, not this one: after a change here, touch kernels.py.
(The tests keep a separate cache for each state of these files.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils, typing
from numba.extending import intrinsic

_LANES = 16
_BLOCK = 8  # vectors of a row held in registers together
_FLOAT = ir.FloatType()
_FAST = ("fast",)
_BYTES = 4


def _pieces(dim: int) -> list[tuple[int, int]]:
    """A row of `dim` floats as (offset, lanes): vectors of 16, and the remainder in powers of two."""
    pieces, at, lanes = [], 0, _LANES
    while at < dim:
        while lanes > dim - at:
            lanes //= 2
        pieces.append((at, lanes))
        at += lanes
    return pieces


def _blocks(dim: int) -> Iterator[list[tuple[int, int]]]:
    pieces = _pieces(dim)
    for start in range(0, len(pieces), _BLOCK):
        yield pieces[start : start + _BLOCK]


def _place(builder: ir.IRBuilder, base: ir.Value, offset: int | ir.Value) -> ir.Value:
    """The address of the float `offset` places after `base`."""
    if isinstance(offset, int):
        offset = ir.Constant(ir.IntType(64), offset)
    return builder.gep(base, [offset])


def _load(builder: ir.IRBuilder, base: ir.Value, offset: int, lanes: int) -> ir.Value:
    place = builder.bitcast(_place(builder, base, offset), ir.VectorType(_FLOAT, lanes).as_pointer())
    return builder.load(place, align=_BYTES)


def _store(builder: ir.IRBuilder, value: ir.Value, base: ir.Value, offset: int) -> None:
    place = builder.bitcast(_place(builder, base, offset), value.type.as_pointer())
    builder.store(value, place, align=_BYTES)


def _splat(builder: ir.IRBuilder, value: ir.Value, lanes: int) -> ir.Value:
    vector = ir.VectorType(_FLOAT, lanes)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(
        one, ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    )


def _sum(builder: ir.IRBuilder, value: ir.Value, lanes: int) -> ir.Value:
    """The sum of a vector's lanes."""
    kind = ir.FunctionType(_FLOAT, [_FLOAT, value.type])
    reduce = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.fadd.v{lanes}f32")
    return builder.call(reduce, [ir.Constant(_FLOAT, 0.0), value], fastmath=_FAST)


def _data(context: Any, builder: ir.IRBuilder, kind: types.Array, value: ir.Value) -> ir.Value:
    return context.make_array(kind)(context, builder, value).data


def _width(context: Any, builder: ir.IRBuilder, kind: types.Array, value: ir.Value) -> ir.Value:
    """The number of floats from one row of a two-dimensional array to the next."""
    array = context.make_array(kind)(context, builder, value)
    return cgutils.unpack_tuple(builder, array.shape, 2)[1]


def _accepts(dim: Any, *arrays: tuple[Any, int]) -> bool:
    return isinstance(dim, types.IntegerLiteral) and all(
        isinstance(array, types.Array) and array.ndim == ndim and array.dtype == types.float32 and array.layout == "C"
        for array, ndim in arrays
    )


@intrinsic(prefer_literal=True)
def copy_row(typingctx, source, target, dim):  # numba's form
    """target[:dim] = source[:dim]; both f32[>= dim]."""
    if not _accepts(dim, (source, 1), (target, 1)):
        return None

    def codegen(context: Any, builder: ir.IRBuilder, signature: typing.Signature, args: list[ir.Value]) -> ir.Value:
        start, end = (_data(context, builder, signature.args[i], args[i]) for i in (0, 1))
        for at, lanes in _pieces(dim.literal_value):
            _store(builder, _load(builder, start, at, lanes), end, at)
        return context.get_dummy_value()

    return types.void(source, target, dim), codegen


@intrinsic(prefer_literal=True)
def dots(typingctx, row, rows, count, out, dim):  # numba's form
    """out[i] = row . rows[i] for i < count; row f32[>= dim], rows f32[>= count, >= dim], out f32[>= count]."""
    if not _accepts(dim, (row, 1), (rows, 2), (out, 1)):
        return None

    def codegen(context: Any, builder: ir.IRBuilder, signature: typing.Signature, args: list[ir.Value]) -> ir.Value:
        one, many, result = (_data(context, builder, signature.args[i], args[i]) for i in (0, 1, 3))
        width = _width(context, builder, signature.args[1], args[1])
        for number, block in enumerate(_blocks(dim.literal_value)):
            held = [_load(builder, one, at, lanes) for at, lanes in block]
            with cgutils.for_range(builder, args[2]) as loop:
                other = _place(builder, many, builder.mul(loop.index, width))
                place = _place(builder, result, loop.index)
                total = None if number == 0 else builder.load(place)
                sums: dict[int, ir.Value] = {}
                for (at, lanes), value in zip(block, held, strict=True):
                    product = builder.fmul(value, _load(builder, other, at, lanes), flags=_FAST)
                    sums[lanes] = builder.fadd(sums[lanes], product, flags=_FAST) if lanes in sums else product
                for lanes, value in sums.items():
                    part = (
                        _sum(builder, value, lanes)
                        if lanes > 1
                        else builder.extract_element(value, ir.Constant(ir.IntType(32), 0))
                    )
                    total = part if total is None else builder.fadd(total, part, flags=_FAST)
                builder.store(total, place)
        return context.get_dummy_value()

    return types.void(row, rows, count, out, dim), codegen


@intrinsic(prefer_literal=True)
def add_rows(typingctx, row, factors, stride, rows, count, dim):  # numba's form
    """row += sum of factors[i * stride] * rows[i] over i < count; row f32[>= dim], rows f32[>= count, >= dim]."""
    if not _accepts(dim, (row, 1), (factors, 1), (rows, 2)):
        return None

    def codegen(context: Any, builder: ir.IRBuilder, signature: typing.Signature, args: list[ir.Value]) -> ir.Value:
        one, scale, many = (_data(context, builder, signature.args[i], args[i]) for i in (0, 1, 3))
        width = _width(context, builder, signature.args[3], args[3])
        for block in _blocks(dim.literal_value):
            sums = [cgutils.alloca_once_value(builder, _load(builder, one, at, lanes)) for at, lanes in block]
            with cgutils.for_range(builder, args[4]) as loop:
                other = _place(builder, many, builder.mul(loop.index, width))
                factor = builder.load(_place(builder, scale, builder.mul(loop.index, args[2])))
                for (at, lanes), place in zip(block, sums, strict=True):
                    product = builder.fmul(
                        _splat(builder, factor, lanes), _load(builder, other, at, lanes), flags=_FAST
                    )
                    builder.store(builder.fadd(builder.load(place), product, flags=_FAST), place)
            for (at, _), place in zip(block, sums, strict=True):
                _store(builder, builder.load(place), one, at)
        return context.get_dummy_value()

    return types.void(row, factors, stride, rows, count, dim), codegen
