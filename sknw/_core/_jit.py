"""Every numba option, and the exponential that numba cannot vectorise.

numba translates ``math.exp`` to one scalar call per number; `exp2` below is plain arithmetic, which LLVM turns
into vector instructions wherever it stands in a loop.
"""

import contextlib
import functools

from ._cache import DiskCache, without_collections  # isort: skip  # imports numba, without collections

import numpy as np
from llvmlite.binding import Linkage
from numba import njit, types
from numba.core import cgutils
from numba.core.compiler import Compiler
from numba.extending import intrinsic, overload

#: Fused multiply-adds are the only liberty that is taken everywhere. `error_model="numpy"` makes 0/0 a NaN. Without
#: `_nrt` nothing can be allocated, and no slice counts references to the array that it is of: the counters of arrays
#: that threads share would be fetched and locked some thirty times for each query and tile.
_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}, "_nrt": False}
_OPTIONS_OF_SUMS = _OPTIONS | {"fastmath": {"contract", "reassoc", "nsz"}}


def jit(function):
    """Compile a piece of arithmetic for other compiled functions; Python cannot call it."""
    return njit(**_OPTIONS, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


def jit_sum(function):
    """Compile a leaf that only adds up numbers: additions may be regrouped into vector lanes.

    NaN and infinity keep their meaning, and nothing that relies on the order of operations may stand inside; what it
    calls keeps its own options.
    """
    return njit(**_OPTIONS_OF_SUMS)(function)


def jit_inline(function):
    """Put the text of a function in place of each call, before numba compiles it. Not for plain arithmetic.

    The options are those of its callers then, and `reassoc` there would reach into it.
    """
    return njit(inline="always")(function)


class _SelfContained(Compiler):
    """Compile an entry so that it calls its own copies of the functions that are linked into it.

    A function that is not inlined exists in the library that numba compiled it in and, optimized once more, in each
    entry that calls it. Where these copies have one name, the linker picks the first: another one in the process that
    compiles than in those that load the entry from disk. The copies may differ in the last bit.
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
    """Compile a function that Python calls, when it does, and keep the machine code on disk where that is possible."""
    if function is None:
        return functools.partial(jit_entry, allocates=allocates, cache=cache)
    options = _OPTIONS | {"_nrt": allocates, "pipeline_class": _SelfContained}
    entry = njit(**options, no_cfunc_wrapper=True)(function)
    if cache:
        entry._cache = DiskCache(function)
    entry.compile = without_collections()(entry.compile)
    return entry


def overload_jit(function, *, sums=False):
    """Register what a function is in compiled code: chosen by types, so that only what is called is compiled.

    With `sums` it is compiled as `jit_sum` does it.
    """
    return overload(function, jit_options=_OPTIONS_OF_SUMS if sums else _OPTIONS)


@intrinsic
def not_inlined(typingctx):
    """Keep the function in which this stands a function, so that it is compiled and optimised once."""

    def codegen(context, builder, signature, args):
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.none(), codegen


@intrinsic
def wide_vectors(typingctx):
    """Let the function in which this stands use the widest vectors that the processor has.

    LLVM keeps to 256 bits on processors with 512 that it believes to slow down; loops of arithmetic like ours gain up
    to half as much again there. It is a hint: other processors, and a version of llvmlite whose set of attributes takes
    none that it does not know, do without.
    """

    def codegen(context, builder, signature, args):
        with contextlib.suppress(TypeError, ValueError, AttributeError):
            set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.none(), codegen


def stack_array(context, builder, shape, dtype=types.float64):
    """Code for a two-dimensional array that belongs to the function in which it stands.

    The compiler knows that it overlaps with no other, and keeps small ones in registers as far as it unrolls loops.
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
    """A `stack_array` of a shape that is known when the function is compiled."""

    def codegen(context, builder, signature, args):
        return stack_array(context, builder, (n_lines.literal_value, width.literal_value))

    return types.Array(types.float64, 2, "C")(n_lines, width), codegen


@intrinsic(prefer_literal=True)
def on_stack_like(typingctx, a, n_lines, width):
    """The same with entries of the type of those of an array."""

    def codegen(context, builder, signature, args):
        return stack_array(context, builder, (n_lines.literal_value, width.literal_value), a.dtype)

    return types.Array(a.dtype, 2, "C")(a, n_lines, width), codegen


_WHOLE = {types.float64: types.int64, types.float32: types.int32}


@intrinsic
def bits(typingctx, x):
    """The bits of a float64 as an int64, or of a float32 as an int32."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], context.get_value_type(signature.return_type))

    return _WHOLE[x](x), codegen


@intrinsic
def number(typingctx, bits):
    """The float64 that an int64 has the bits of, or the float32 of an int32."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], context.get_value_type(signature.return_type))

    return {whole: x for x, whole in _WHOLE.items()}[bits](bits), codegen


@intrinsic
def raised(typingctx, p, z):
    """P times the power of two whose exponent stands in the lowest bits of z, both float64 or float32."""

    def codegen(context, builder, signature, args):
        p, z = (builder.bitcast(a, context.get_value_type(_WHOLE[signature.return_type])) for a in args)
        exponent = builder.shl(z, z.type(52 if z.type.width == 64 else 23))
        return builder.bitcast(builder.add(p, exponent), context.get_value_type(signature.return_type))

    return p(p, z), codegen


@intrinsic
def as_in(typingctx, x, a):
    """The number x in the type of the entries of an array."""

    def codegen(context, builder, signature, args):
        return context.cast(builder, args[0], signature.args[0], signature.return_type)

    return a.dtype(x, a), codegen


# Minimax polynomial of 2**r on [-1/2, 1/2], degree 11, highest power first; its own relative error is 3e-18.
_C11, _C10, _C9, _C8, _C7, _C6, _C5, _C4, _C3, _C2, _C1, _C0 = (
    4.4558179083360645e-10,
    7.074194297288521e-09,
    1.0178057087733941e-07,
    1.3215432535912375e-06,
    1.5252733841556773e-05,
    0.00015403530463724353,
    0.001333355814640647,
    0.009618129107587256,
    0.055504108664821625,
    0.24022650695910158,
    0.6931471805599453,
    1.0,
)

# Adding 1.5 * 2**52 rounds to an integer, which then stands in the lowest bits of the sum.
_ROUND = 6755399441055744.0

#: Below this power the result is 0. Products of larger ones with weights and targets are no subnormal numbers, which
#: would take a hundred times as long, and are nothing beside the nearest row's.
EXP2_LOWEST = -960.0


@jit
def exp2(t):
    r"""The power :math:`2^t` for t <= 1000, within 2 units in the last place; exactly 0 for t < -960 and for NaN."""
    return half_to_the(-t) if t >= EXP2_LOWEST else 0.0


def half_to_the(s):
    r"""The power :math:`2^{-s}`, of s or of the largest one whose power is a normal number.

    With n the nearest integer to -s it is :math:`2^n 2^r`. It must not be compiled with `reassoc`, which would fold
    ``(s + _ROUND) - _ROUND`` to ``s``. In float64, s >= -1000, it is right within 2 units in the last place, in
    float32, s >= -100, to 2e-7.
    """
    raise NotImplementedError("for compiled code only")


@overload_jit(half_to_the)
def _half_to_the(s):
    """Choose the precision."""

    def double(s):
        c = s if s < -EXP2_LOWEST else -EXP2_LOWEST
        z = _ROUND - c
        r = (_ROUND - z) - c
        p = _C11
        p = p * r + _C10
        p = p * r + _C9
        p = p * r + _C8
        p = p * r + _C7
        p = p * r + _C6
        p = p * r + _C5
        p = p * r + _C4
        p = p * r + _C3
        p = p * r + _C2
        p = p * r + _C1
        p = p * r + _C0
        return raised(p, z)

    def single(s):
        c = s if s < _SINGLE_MOST else _SINGLE_MOST
        z = _SINGLE_ROUND - c
        r = (_SINGLE_ROUND - z) - c
        p = _S5
        p = p * r + _S4
        p = p * r + _S3
        p = p * r + _S2
        p = p * r + _S1
        p = p * r + _S0
        return raised(p, z)

    return single if s == types.float32 else double


# The same in float32: degree 5, relative error 9e-8, with coefficients that are float32 themselves.
_S5, _S4, _S3, _S2, _S1, _S0 = (
    np.float32(c)
    for c in (
        0.0013269535265862942,
        0.009671291336417198,
        0.0555071085691452,
        0.24022246897220612,
        0.6931470036506653,
        1.0,
    )
)
# Nor is a product with a target subnormal, unless that is below a ten-thousandth.
_SINGLE_ROUND, _SINGLE_MOST = np.float32(1.5 * 2**23), np.float32(110.0)
