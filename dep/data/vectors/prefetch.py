"""Prefetches rows of an array into the processor's cache; the hardware does not foresee scattered rows."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_LINE = 64
"""Bytes in a cache line."""
_INT = ir.IntType(64)
_FLAG = ir.IntType(32)
_POINTER = ir.IntType(8).as_pointer()


def _prefetch(to_write: int) -> Any:
    """Make a function `(rows, at)` for compiled code that prefetches row `at` of a C-contiguous [N, E] array.

    Prefetching changes the speed and no number. `at` must be a valid row.

    Args:
        to_write: 1 if the row will be written, 0 if it will be read.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        stride = cgutils.unpack_tuple(builder, array.strides)[0]
        begin = builder.add(builder.ptrtoint(array.data, _INT), builder.mul(arguments[1], stride))
        hint = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), [_POINTER, _FLAG, _FLAG, _FLAG]), "llvm.prefetch.p0"
        )
        flags = [ir.Constant(_FLAG, value) for value in (to_write, 3, 1)]  # 3: keep it cached; 1: data, no code
        with cgutils.for_range_slice(builder, begin, builder.add(begin, stride), ir.Constant(_INT, _LINE)) as (line, _):
            builder.call(hint, [builder.inttoptr(line, _POINTER), *flags])
        return context.get_dummy_value()

    def typed(_: Any, rows: Any, at: Any) -> Any:
        return types.void(rows, at), code

    return intrinsic(typed)


to_read = _prefetch(0)
to_write = _prefetch(1)
