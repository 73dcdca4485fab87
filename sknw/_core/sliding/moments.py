"""Sums of profiles on one side of a query, represented by moments about a reference.

Moments are sums of powers of scaled distances. This module has the operations of `sums` and `segment_loops` that depend
on the kernel. A sum has two channels, the denominator and the numerator of one output. Sums are lines of arrays, in
which moment k of channel c is in column 2 k + c.
"""

import math

from numba import types
from numba.extending import intrinsic

from ..compiled_kernels import exponents, is_cosine, is_exponential
from ..kernels import Cosine, Exponential
from ..runtime.exponential import exp2
from ..runtime.jit import jit, not_inlined, overload_jit, stack_array, wide_vectors

_LOG2_E = math.log2(math.e)


_QUARTER = 0.5 * math.pi


#: Number of sums that are evaluated together.
TOGETHER = 128


# Rows of the buffer W in `expand`: two results, then two temporary polynomials.
_VALUE, _SLOPE, _BASE, _POWER = range(4)


def count_moments(kind):
    """Number of moments of a sum, for a class of kernels."""
    if kind is Exponential:
        return 2
    if kind is Cosine:
        return 4
    b, a = kind.powers
    return a * b + 1


def n_moments(kernel):
    """Number of moments of a sum, as a compile-time constant."""
    raise NotImplementedError("for compiled code only")


@overload_jit(n_moments)
def _n_moments(kernel):
    """Select by the class of the kernel."""
    count = count_moments(kernel.instance_class)
    return lambda kernel: count


def _code_for_room(shape):
    def codegen(context, builder, signature, args):
        return stack_array(context, builder, shape)

    return codegen


@intrinsic(prefer_literal=True)
def on_stack(typingctx, kernel, n_sums):
    """Stack array of `n_sums` sums."""
    shape = n_sums.literal_value, 2 * count_moments(kernel.instance_class)
    return types.Array(types.float64, 2, "C")(kernel, n_sums), _code_for_room(shape)


@intrinsic(prefer_literal=True)
def side_by_side(typingctx, kernel):
    """Stack array of `TOGETHER` sums, one per column, so that operations vectorize over sums."""
    shape = 2 * count_moments(kernel.instance_class), TOGETHER
    return types.Array(types.float64, 2, "C")(kernel), _code_for_room(shape)


@jit
def clear(kernel, M, i):
    """Set sum i to zero."""
    for k in range(2 * n_moments(kernel)):
        M[i, k] = 0.0


@jit
def copy(kernel, M, i, into, j):
    """Copy sum i to sum j of another array."""
    for k in range(2 * n_moments(kernel)):
        into[j, k] = M[i, k]


@jit
def add_row(kernel, d, v, vy, M, i):
    """Add a row of weight v at scaled distance d to sum i."""
    if is_cosine(kernel):
        cosine, sine = math.cos(_QUARTER * d), math.sin(_QUARTER * d)
        M[i, 0] += v * cosine
        M[i, 1] += vy * cosine
        M[i, 2] += v * sine
        M[i, 3] += vy * sine
        M[i, 4] += v * d * cosine
        M[i, 5] += vy * d * cosine
        M[i, 6] += v * d * sine
        M[i, 7] += vy * d * sine
    else:  # d is 0 for the exponential kernel
        for k in range(n_moments(kernel)):
            M[i, 2 * k] += v
            M[i, 2 * k + 1] += vy
            v *= d
            vy *= d


@jit
def shift(kernel, d, M, i):
    """Move the reference of sum i by the scaled distance d."""
    if is_exponential(kernel):
        decay = exp2(-_LOG2_E * d)
        for c in range(2):
            M[i, 2 + c] = (M[i, 2 + c] + d * M[i, c]) * decay if decay > 0.0 else 0.0
            M[i, c] *= decay
    elif is_cosine(kernel):
        cosine, sine = math.cos(_QUARTER * d), math.sin(_QUARTER * d)
        for c in range(2):
            x, y = M[i, c], M[i, 2 + c]
            M[i, c], M[i, 2 + c] = cosine * x - sine * y, cosine * y + sine * x
            x, y = M[i, 4 + c] + d * x, M[i, 6 + c] + d * y
            M[i, 4 + c], M[i, 6 + c] = cosine * x - sine * y, cosine * y + sine * x
    else:  # Pascal's triangle: sum v (d + t)**k from all sums v t**l with l <= k
        top = n_moments(kernel) - 1
        for i_row in range(top):
            for k in range(top - i_row):
                for c in range(2):
                    M[i, 2 * (top - k) + c] += d * M[i, 2 * (top - k - 1) + c]


@jit
def add(kernel, M, i, into, j):
    """Add sum i to sum j of another array, about the same reference."""
    for k in range(2 * n_moments(kernel)):
        into[j, k] += M[i, k]


@jit
def collect(kernel, M, i, into, c):
    """Copy sum i to column c of an array of side-by-side sums."""
    for k in range(2 * n_moments(kernel)):
        into[k, c] = M[i, k]


@jit
def collect_sum(kernel, M, i, other, j, into, c):
    """Copy the total of two sums about the same reference to column c of side-by-side sums."""
    for k in range(2 * n_moments(kernel)):
        into[k, c] = M[i, k] + other[j, k]


@jit
def multiply(kernel, W, a, b, product):
    """Write the product of the polynomials in rows a and b of W, which may replace a.

    The degree of the second is at most that of the base.
    """
    for i in range(n_moments(kernel)):
        k = n_moments(kernel) - 1 - i
        total = 0.0
        for j in range(min(k, exponents(kernel)[0]) + 1):
            total += W[a, k - j] * W[b, j]
        W[product, k] = total


@jit
def expand(kernel, u, near, W):
    """Write the factors of the moments in the sum of profiles, and in its derivative in log h.

    The reference is at scaled distance u from the query. The exponential kernel is relative to its value at distance
    `near`.
    """
    if is_exponential(kernel):
        decay = exp2(_LOG2_E * (near - u))
        W[_VALUE, 0], W[_VALUE, 1] = decay, 0.0
        W[_SLOPE, 0], W[_SLOPE, 1] = u * decay if decay > 0.0 else 0.0, decay
    elif is_cosine(kernel):
        cosine, sine = math.sin(_QUARTER * (1.0 - u)), math.sin(_QUARTER * u)  # accurate near the edge
        W[_VALUE, 0], W[_VALUE, 1], W[_VALUE, 2], W[_VALUE, 3] = cosine, sine, 0.0, 0.0
        W[_SLOPE, 0], W[_SLOPE, 1] = _QUARTER * u * sine, -_QUARTER * u * cosine
        W[_SLOPE, 2], W[_SLOPE, 3] = -_QUARTER * sine, _QUARTER * cosine
    else:
        a, b = exponents(kernel)[1], exponents(kernel)[0]
        for k in range(n_moments(kernel)):
            W[_VALUE, k] = W[_SLOPE, k] = 0.0
        if a == 0:
            W[_VALUE, 0] = 1.0
            return
        # A row is at distance u - d. power = (u - d)**b, and base = 1 - power, whose first term 1 - u**b is had as a
        # product, which keeps its digits towards the edge.
        for k in range(b + 1):
            W[_POWER, k] = 0.0
        W[_POWER, 0] = 1.0
        edge = 0.0
        for _ in range(b):
            edge = 1.0 + u * edge
            for k in range(b):
                W[_POWER, b - k] = u * W[_POWER, b - k] - W[_POWER, b - k - 1]
            W[_POWER, 0] *= u
        for k in range(b + 1):
            W[_BASE, k] = -W[_POWER, k]
        W[_BASE, 0] = (1.0 - u) * edge
        # The profile base**a, and its derivative a b power base**(a - 1).
        for k in range(b + 1):
            W[_VALUE, k], W[_SLOPE, k] = W[_BASE, k], W[_POWER, k]
        for i in range(a - 1):
            if i == a - 2:
                multiply(kernel, W, _VALUE, _POWER, _SLOPE)
            multiply(kernel, W, _VALUE, _BASE, _VALUE)
        for k in range(n_moments(kernel)):
            W[_SLOPE, k] *= a * b


@jit
def read_off(kernel, collected, here, count, total):
    """Evaluate side-by-side sums: denominators, numerators, and their derivatives in log h.

    Parameters
    ----------
    kernel : Kernel
    collected : float64[:, ::1]
        Sums, one per column.
    here : float64[:, ::1]
        First line: scaled distance of each reference from the query. Second line: that of the nearest row, to which the
        exponential kernel is relative.
    count : int
        Number of sums.
    total : float64[:, ::1]
        Written: four lines.
    """
    not_inlined()
    wide_vectors()
    for c in range(count):
        W = on_stack(kernel, 4)
        expand(kernel, here[0, c], here[1, c], W)
        denominator = numerator = d_denominator = d_numerator = 0.0
        for k in range(n_moments(kernel)):
            denominator += W[_VALUE, k] * collected[2 * k, c]
            numerator += W[_VALUE, k] * collected[2 * k + 1, c]
            d_denominator += W[_SLOPE, k] * collected[2 * k, c]
            d_numerator += W[_SLOPE, k] * collected[2 * k + 1, c]
        total[0, c], total[1, c], total[2, c], total[3, c] = denominator, numerator, d_denominator, d_numerator
