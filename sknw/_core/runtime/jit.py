"""Options of numba, and intrinsics for compiled loops."""

import contextlib
import functools

from llvmlite.binding import Linkage
from numba import njit, types
from numba.core import cgutils
from numba.core.compiler import Compiler
from numba.extending import intrinsic, overload

from .disk_cache import DiskCache, without_collections

#: Fused multiply-adds are the only relaxation of floating-point arithmetic that is allowed everywhere.
#: `error_model="numpy"` makes 0/0 a NaN. Without `_nrt` nothing can be allocated, and slices do not count references to
#: their array. These counters are shared by threads, and would be locked some thirty times for each query and tile.
_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}, "_nrt": False}


_OPTIONS_OF_SUMS = _OPTIONS | {"fastmath": {"contract", "reassoc", "nsz"}}


def jit(function):
    """Compile a function for other compiled functions; Python cannot call it."""
    return njit(**_OPTIONS, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


def jit_sum(function):
    """Compile a leaf function that adds up numbers, with additions regrouped into vector lanes.

    NaN and infinity keep their meaning. The function must not contain anything that depends on the order of operations.
    Functions that it calls keep their own options.
    """
    return njit(**_OPTIONS_OF_SUMS)(function)


def jit_inline(function):
    """Insert the source of a function at each call, before numba compiles it.

    It is compiled with the options of its callers. Not for plain arithmetic, which `reassoc` might change there.
    """
    return njit(inline="always")(function)


class _SelfContained(Compiler):
    """Compile an entry so that it calls its own copies of the functions that are linked into it.

    A function that is not inlined exists in the library in which numba compiled it, and, optimized again, in each entry
    that calls it. If all copies have the same name, the linker uses the first one. That is a different one in the
    process that compiles than in those that load the entry from disk, and copies may differ in the last bit.
    """

    def compile_extra(self, function):
        """Compile the bytecode of a function."""
        library = self.state.targetctx.codegen().create_library(function.__qualname__)
        library.enable_object_caching()
        optimize = library._optimize_final_module

        def optimize_and_make_local():
            optimize()
            for linked in library._final_module.functions:
                if linked.linkage == Linkage.linkonce_odr:
                    linked.linkage = Linkage.internal

        library._optimize_final_module = optimize_and_make_local
        self.state.library = library
        return super().compile_extra(function)


def jit_entry(function=None, *, allocates=True, cache=True):
    """Compile a function that Python calls, at its first call, and cache it on disk if possible.

    Parameters
    ----------
    function : function
    allocates : bool
        Whether it allocates arrays.
    cache : bool
        Whether to use the disk cache.
    """
    if function is None:
        return functools.partial(jit_entry, allocates=allocates, cache=cache)
    options = _OPTIONS | {"_nrt": allocates, "pipeline_class": _SelfContained}
    entry = njit(**options, no_cfunc_wrapper=True)(function)
    if cache:
        entry._cache = DiskCache(function)
    entry.compile = without_collections()(entry.compile)
    return entry


def overload_jit(function, *, sums=False):
    """Register the implementation of a function in compiled code, selected by argument types.

    With `sums`, it is compiled like `jit_sum`.
    """
    return overload(function, jit_options=_OPTIONS_OF_SUMS if sums else _OPTIONS)


@intrinsic
def not_inlined(typingctx):
    """Prevent inlining of the enclosing function, so that it is compiled and optimized once."""

    def codegen(context, builder, signature, args):
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.none(), codegen


@intrinsic
def wide_vectors(typingctx):
    """Let the enclosing function use the widest vectors of the processor.

    LLVM limits vectors to 256 bits on processors whose frequency it expects to drop with 512 bits. Loops of plain
    arithmetic are up to 1.5 times as fast with 512 bits. The attribute is only a hint, and is skipped on other
    processors and with versions of llvmlite that reject unknown attributes.
    """

    def codegen(context, builder, signature, args):
        with contextlib.suppress(TypeError, ValueError, AttributeError):
            set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.none(), codegen


def stack_array(context, builder, shape, dtype=types.float64):
    """Generate code for a two-dimensional array on the stack of the enclosing function.

    LLVM can prove that it does not alias other arrays, and keeps small ones in registers when it unrolls loops.
    """
    out = context.make_array(types.Array(dtype, 2, "C"))(context, builder)
    data = cgutils.alloca_once(builder, context.get_value_type(dtype), size=shape[0] * shape[1])
    itemsize = context.get_constant(types.intp, dtype.bitwidth // 8)
    lengths = [context.get_constant(types.intp, n) for n in shape]
    strides = [context.get_constant(types.intp, dtype.bitwidth // 8 * shape[1]), itemsize]
    context.populate_array(out, data=data, shape=lengths, strides=strides, itemsize=itemsize, meminfo=None)
    return out._getvalue()


@intrinsic(prefer_literal=True)
def on_stack(typingctx, n_lines, width):
    """A `stack_array` of float64, whose shape is known at compile time."""

    def codegen(context, builder, signature, args):
        return stack_array(context, builder, (n_lines.literal_value, width.literal_value))

    return types.Array(types.float64, 2, "C")(n_lines, width), codegen


@intrinsic(prefer_literal=True)
def on_stack_like(typingctx, a, n_lines, width):
    """A `stack_array` with the dtype of another array."""

    def codegen(context, builder, signature, args):
        return stack_array(context, builder, (n_lines.literal_value, width.literal_value), a.dtype)

    return types.Array(a.dtype, 2, "C")(a, n_lines, width), codegen


@intrinsic
def as_in(typingctx, x, a):
    """The number x in the dtype of the array a."""

    def codegen(context, builder, signature, args):
        return context.cast(builder, args[0], signature.args[0], signature.return_type)

    return a.dtype(x, a), codegen
