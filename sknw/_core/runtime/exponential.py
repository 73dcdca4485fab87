"""Powers of two as plain arithmetic, which LLVM vectorizes within loops.

In contrast, numba compiles ``math.exp`` to one scalar call per number.
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
    """The float64 with the bits of an int64, or the float32 with the bits of an int32."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], context.get_value_type(signature.return_type))

    return {whole: x for x, whole in _WHOLE.items()}[bits](bits), codegen


@intrinsic
def raised(typingctx, p, z):
    """The product of p and 2**k, where k is in the lowest bits of z; float64 or float32."""

    def codegen(context, builder, signature, args):
        p, z = (builder.bitcast(a, context.get_value_type(_WHOLE[signature.return_type])) for a in args)
        exponent = builder.shl(z, z.type(52 if z.type.width == 64 else 23))
        return builder.bitcast(builder.add(p, exponent), context.get_value_type(signature.return_type))

    return p(p, z), codegen


# Minimax polynomial of 2**r on [-1/2, 1/2], of degree 11, highest power first. Its relative error is 3e-18.
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


# Adding 1.5 * 2**52 rounds to an integer, which is then in the lowest bits of the sum.
_ROUND = 6755399441055744.0


#: Below this exponent, the result is 0: such weights are negligible beside that of the nearest row. Products of larger
#: ones with weights and targets are not subnormal, and these would take a hundred times as long.
EXP2_LOWEST = -960.0


@jit
def exp2(t):
    """The power 2**t for t <= 1000, right to 2 units in the last place.

    It is exactly 0 for t < -960 and for NaN.
    """
    return half_to_the(-t) if t >= EXP2_LOWEST else 0.0


def half_to_the(s):
    """The power :math:`2^{-s}`; for large s, the smallest power that is computed.

    With n the integer nearest to -s, it is :math:`2^n 2^r`. It must not be compiled with `reassoc`, which would
    simplify ``(s + _ROUND) - _ROUND`` to ``s``. The error is at most 2 units in the last place in float64, for s >=
    -1000, and 2e-7 in float32, for s >= -100.
    """
    raise NotImplementedError("for compiled code only")


@overload_jit(half_to_the)
def _half_to_the(s):
    """Select the precision."""

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


# Polynomial for float32, of degree 5 with float32 coefficients. Its relative error is 9e-8.
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


# Products with targets above 1e-4 are not subnormal either.
_SINGLE_ROUND, _SINGLE_MOST = np.float32(1.5 * 2**23), np.float32(110.0)
