"""Vectors of eight outputs in numba kernels.

Numba vectorises no loop over a few outputs whose arrays might overlap, so the operations that the engine spends its time
on are written here as LLVM vector instructions. They hold on every processor (LLVM splits a vector that is wider than the
machine's), and they sum in one fixed order, so that a result does not depend on the machine.
"""

from __future__ import annotations

from typing import Any

import numba.extending
from llvmlite import ir
from numba.core import cgutils, types

LANES = 8

intrinsic: Any = numba.extending.intrinsic  # its own type counts the typing context among the arguments of a call

# No reference counts: a kernel allocates nothing. Division as in C. Threads run kernels at the same time.
KERNEL: dict[str, Any] = {"cache": True, "_nrt": False, "error_model": "numpy", "nogil": True, "no_cfunc_wrapper": True}
# A kernel for other kernels, without the door for Python, which takes as long to compile as the kernel.
INNER: dict[str, Any] = {**KERNEL, "no_cpython_wrapper": True}
# What a kernel calls in its loops: a call that is not inlined hands over every field of every array of its tuples.
INLINED: dict[str, Any] = {**INNER, "forceinline": True}

F32x8 = ir.VectorType(ir.FloatType(), LANES)
F64x8 = ir.VectorType(ir.DoubleType(), LANES)


def _pointer(context: Any, builder: Any, kind: Any, array: Any, offset: Any, vector: Any) -> Any:
    """Where eight numbers of a contiguous array or a register begin, ``offset`` numbers from its start."""
    data = array if isinstance(kind, types.CPointer) else context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())


def _read(context: Any, builder: Any, kind: Any, array: Any, offset: Any) -> Any:
    single = kind.dtype == types.float32
    pointer = _pointer(context, builder, kind, array, offset, F32x8 if single else F64x8)
    return builder.load(pointer, align=4 if single else 8)


def _broadcast(builder: Any, number: Any, kind: Any) -> Any:
    vector = ir.Constant(kind, ir.Undefined)
    vector = builder.insert_element(vector, number, ir.Constant(ir.IntType(32), 0))
    first = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
    return builder.shuffle_vector(vector, vector, first)


def _total(builder: Any, vector: Any) -> Any:
    """The sum of the lanes, halves first: ((0+4)+(2+6)) + ((1+5)+(3+7))."""
    for width in (4, 2, 1):
        mask = ir.VectorType(ir.IntType(32), width)
        low = builder.shuffle_vector(vector, vector, ir.Constant(mask, list(range(width))))
        high = builder.shuffle_vector(vector, vector, ir.Constant(mask, list(range(width, 2 * width))))
        vector = builder.fadd(low, high)
    return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))


@intrinsic
def descend(typing: Any, out: Any, i: Any, rate: Any, j: Any, value: Any, k: Any) -> Any:
    """``out[i:i+8] -= rate[j:j+8] * value[k:k+8]``, all float32."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        left, step, leaf = (_read(context, builder, kinds[n], arguments[n], arguments[n + 1]) for n in (0, 2, 4))
        pointer = _pointer(context, builder, kinds[0], arguments[0], arguments[1], F32x8)
        builder.store(builder.fsub(left, builder.fmul(step, leaf)), pointer, align=4)
        return context.get_dummy_value()

    return types.void(out, types.intp, rate, types.intp, value, types.intp), codegen


@intrinsic
def add(typing: Any, to: Any, i: Any, what: Any, j: Any) -> Any:
    """``to[i:i+8] += what[j:j+8]``, float64 plus float32 or float64."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        old, new = (_read(context, builder, kinds[n], arguments[n], arguments[n + 1]) for n in (0, 2))
        if kinds[2].dtype == types.float32:
            new = builder.fpext(new, F64x8)
        pointer = _pointer(context, builder, kinds[0], arguments[0], arguments[1], F64x8)
        builder.store(builder.fadd(old, new), pointer, align=8)
        return context.get_dummy_value()

    return types.void(to, types.intp, what, types.intp), codegen


@intrinsic
def subtract(typing: Any, to: Any, i: Any, what: Any, j: Any) -> Any:
    """``to[i:i+8] -= what[j:j+8]``, both float64."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        old, new = (_read(context, builder, signature.args[n], arguments[n], arguments[n + 1]) for n in (0, 2))
        pointer = _pointer(context, builder, signature.args[0], arguments[0], arguments[1], F64x8)
        builder.store(builder.fsub(old, new), pointer, align=8)
        return context.get_dummy_value()

    return types.void(to, types.intp, what, types.intp), codegen


@intrinsic
def move(typing: Any, to: Any, i: Any, what: Any, j: Any) -> Any:
    """``to[i:i+8] = what[j:j+8]``, both float32."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        new = _read(context, builder, signature.args[2], arguments[2], arguments[3])
        pointer = _pointer(context, builder, signature.args[0], arguments[0], arguments[1], F32x8)
        builder.store(new, pointer, align=4)
        return context.get_dummy_value()

    return types.void(to, types.intp, what, types.intp), codegen


@intrinsic
def clear(typing: Any, to: Any, i: Any) -> Any:
    """``to[i:i+8] = 0``, float64."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], arguments[0], arguments[1], F64x8)
        builder.store(ir.Constant(F64x8, None), pointer, align=8)
        return context.get_dummy_value()

    return types.void(to, types.intp), codegen


@intrinsic
def register(typing: Any, kind: Any) -> Any:
    """Eight zeros of the calling function's own, float32 or float64, which the compiler keeps in a register."""
    vector = F32x8 if kind.dtype == types.float32 else F64x8

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = cgutils.alloca_once(builder, vector)
        builder.store(ir.Constant(vector, None), place)
        return builder.bitcast(place, context.get_value_type(signature.return_type))

    return types.CPointer(kind.dtype)(kind), codegen


@intrinsic
def gather(typing: Any, lanes: Any, what: Any, j: Any) -> Any:
    """Add ``what[j:j+8]``, float64, to a :func:`register` of float64."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = builder.bitcast(arguments[0], F64x8.as_pointer())
        new = _read(context, builder, signature.args[1], arguments[1], arguments[2])
        builder.store(builder.fadd(builder.load(place), new), place)
        return context.get_dummy_value()

    return types.void(lanes, what, types.intp), codegen


@intrinsic
def contrast(typing: Any, lanes: Any, count: Any, mean: Any, k: Any) -> Any:
    """The squared length of ``lanes - count * mean[k:k+8]``: how far a sum over ``count`` rows is from the expected."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        total = builder.load(builder.bitcast(arguments[0], F64x8.as_pointer()))
        middle = _read(context, builder, signature.args[2], arguments[2], arguments[3])
        off = builder.fsub(total, builder.fmul(_broadcast(builder, arguments[1], F64x8), middle))
        return _total(builder, builder.fmul(off, off))

    return types.float64(lanes, types.float64, mean, types.intp), codegen


@intrinsic
def count_below(typing: Any, edges: Any, i: Any, number: Any) -> Any:
    """How many of the sixteen float32 ``edges[i:i+16]`` are below a number; none if it is NaN."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sixteen = ir.VectorType(ir.FloatType(), 16)
        pointer = _pointer(context, builder, signature.args[0], arguments[0], arguments[1], sixteen)
        below = builder.fcmp_ordered("<", builder.load(pointer, align=4), _broadcast(builder, arguments[2], sixteen))
        return builder.zext(builder.ctpop(builder.bitcast(below, ir.IntType(16))), ir.IntType(64))

    return types.int64(edges, types.intp, types.float32), codegen
