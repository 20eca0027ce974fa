"""Ask memory for a row before it is needed: a processor's own prefetching knows no strewn rows."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_LINE = 64
"""Bytes that memory is read in."""
_INT = ir.IntType(64)
_FLAG = ir.IntType(32)
_POINTER = ir.IntType(8).as_pointer()


def _prefetch(to_write: int) -> Any:
    """Within compiled code, `(rows, at)`: have row `at` of a C-contiguous [N, E] array in the cache soon.

    A hint: nothing waits for it, and no number depends on it. `at` must be a row that there is.
    """

    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, given[0])
        stride = cgutils.unpack_tuple(builder, array.strides)[0]
        begin = builder.add(builder.ptrtoint(array.data, _INT), builder.mul(given[1], stride))
        hint = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), [_POINTER, _FLAG, _FLAG, _FLAG]), "llvm.prefetch.p0"
        )
        flags = [ir.Constant(_FLAG, value) for value in (to_write, 3, 1)]  # 3: keep it; 1: data, no instructions
        with cgutils.for_range_slice(builder, begin, builder.add(begin, stride), ir.Constant(_INT, _LINE)) as (line, _):
            builder.call(hint, [builder.inttoptr(line, _POINTER), *flags])
        return context.get_dummy_value()

    def typed(_: Any, rows: Any, at: Any) -> Any:
        return types.void(rows, at), code

    return intrinsic(typed)


to_read = _prefetch(0)
to_write = _prefetch(1)
