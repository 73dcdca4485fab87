"""The exponential as plain arithmetic, which LLVM turns into vector instructions wherever it is in a loop.

numba translates ``math.exp`` to one scalar call per number.
"""

import numpy as np
from numba import types
from numba.extending import intrinsic

from .jit import jit, overload_jit

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
