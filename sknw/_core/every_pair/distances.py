"""Squared distances between a block of queries and a tile of rows, inside of loops.

Each class below is one way to compute squared distances, in the coordinates of `coordinates`. Compiled loops are
specialized for the class of their argument::

    s = distance(pairs, i, j)      for each row j of the tile; plain arithmetic, which LLVM vectorizes

For few features, their number is a compile-time constant, and squares stay in registers.
"""

from typing import NamedTuple

import numpy as np

from ..runtime.exponential import bits, number
from ..runtime.jit import as_in, jit, not_inlined, overload_jit, wide_vectors


def factor(g, z, k):
    """Factor of feature k; one if g is None, because coordinates are scaled already."""
    raise NotImplementedError("for compiled code only")


@overload_jit(factor)
def _factor(g, z, k):
    """Select by the type of g."""
    if hasattr(g, "dtype"):
        return lambda g, z, k: g[k]
    return lambda g, z, k: as_in(1.0, z)  # the compiler omits products with it


@jit
def squared_distances(z, Z, start, g, s):
    """Squared scaled distances of a query to the rows from `start` on, until s is full.

    Coordinates are subtracted first and scaled afterwards, so that no digits are lost far from the origin. The relative
    error of s is below (d/2 + 3) eps. If g is None, coordinates are scaled already. Features are processed one or two
    at first, then four at a time, so that s is loaded and stored rarely. No other function computes s for general
    kernels, so ties and edges are the same in all engines.
    """
    not_inlined()
    wide_vectors()
    n, d = s.shape[0], z.shape[0]
    stop = start + n
    if d == 0:  # all bandwidths are infinite
        for j in range(n):
            s[j] = 0.0
        return
    z0, g0, Z0 = z[0], factor(g, z, 0), Z[0, start:stop]
    k = 2 - d % 2
    if k == 1:
        for j in range(n):
            t = (z0 - Z0[j]) * g0
            s[j] = t * t
    else:
        z1, g1, Z1 = z[1], factor(g, z, 1), Z[1, start:stop]
        for j in range(n):
            t, u = (z0 - Z0[j]) * g0, (z1 - Z1[j]) * g1
            s[j] = t * t + u * u
    if (d - k) % 4 == 2:
        z0, g0, Z0 = z[k], factor(g, z, k), Z[k, start:stop]
        z1, g1, Z1 = z[k + 1], factor(g, z, k + 1), Z[k + 1, start:stop]
        for j in range(n):
            t, u = (z0 - Z0[j]) * g0, (z1 - Z1[j]) * g1
            s[j] += t * t + u * u
        k += 2
    for a in range(k, d, 4):
        z0, g0, Z0 = z[a], factor(g, z, a), Z[a, start:stop]
        z1, g1, Z1 = z[a + 1], factor(g, z, a + 1), Z[a + 1, start:stop]
        z2, g2, Z2 = z[a + 2], factor(g, z, a + 2), Z[a + 2, start:stop]
        z3, g3, Z3 = z[a + 3], factor(g, z, a + 3), Z[a + 3, start:stop]
        for j in range(n):
            t, u = (z0 - Z0[j]) * g0, (z1 - Z1[j]) * g1
            v, w = (z2 - Z2[j]) * g2, (z3 - Z3[j]) * g3
            s[j] += (t * t + u * u) + (v * v + w * w)


@jit
def lowest(s):
    """The smallest of the squared distances; `inf` if there are none.

    Bits of positive floating-point numbers have the same order as the numbers. They are compared as integers, because
    that vectorizes.
    """
    not_inlined()
    low = bits(as_in(np.inf, s))
    for j in range(s.shape[0]):
        low = min(low, bits(s[j]))
    return number(low)


class Differences(NamedTuple):
    """Squared distances as sums of squared differences, for few features.

    Attributes
    ----------
    A : ndarray[:, ::1] of shape (m, d), float64 or float32
        Queries, centered and scaled.
    squares_q : ndarray[::1] of shape (m,), same dtype
        Squared norms of the queries.
    B : ndarray[:, ::1] of shape (d, at least width), same dtype
        Rows, centered and scaled.
    squares : ndarray[::1] of shape (at least width,), same dtype
        Squared norms of the rows.
    features : tuple of d zeros
        Makes the number of features a compile-time constant.
    """

    A: np.ndarray
    squares_q: np.ndarray
    B: np.ndarray
    squares: np.ndarray
    features: tuple


class Products(NamedTuple):
    """Squared distances from inner products, for few features.

    Attributes are those of `Differences`, except that A is multiplied by -2.
    """

    A: np.ndarray
    squares_q: np.ndarray
    B: np.ndarray
    squares: np.ndarray
    features: tuple


class Gram(NamedTuple):
    """Squared distances from a matrix of inner products.

    Attributes
    ----------
    squares_q, squares : ndarray[::1], float64 or float32
        Squared norms of the queries and of the rows.
    products : ndarray[:, ::1] of shape (m, width), same dtype
        Inner products.
    """

    squares_q: np.ndarray
    squares: np.ndarray
    products: np.ndarray


def distance(pairs, i, j):
    """Squared distance of query i to row j; by products it may be negative after rounding."""
    raise NotImplementedError("for compiled code only")


@overload_jit(distance)
def _distance(pairs, i, j):
    """Select by the class of `pairs`."""

    def differences(pairs, i, j):
        s = as_in(0.0, pairs.B)
        for k in range(len(pairs.features)):
            t = pairs.A[i, k] - pairs.B[k, j]
            s += t * t
        return s

    def products(pairs, i, j):
        s = pairs.squares_q[i] + pairs.squares[j]
        for k in range(len(pairs.features)):
            s += pairs.A[i, k] * pairs.B[k, j]
        return s

    def gram(pairs, i, j):
        return (pairs.squares_q[i] + pairs.squares[j]) - as_in(2.0, pairs.products) * pairs.products[i, j]

    return {Differences: differences, Products: products, Gram: gram}[pairs.instance_class]


#: Number of features from which inner products are faster than differences.
_BY_PRODUCTS = 4


def takes_products(d):
    """Whether inner products are faster than differences for d features, if accurate enough."""
    return d >= _BY_PRODUCTS


def between(A, squares_q, B, squares, *, by_products):
    """Pairs of queries and a tile of rows, by inner products or by differences.

    Parameters
    ----------
    A, squares_q, B, squares : ndarray
        As in `Differences`.
    by_products : bool
    """
    given = squares_q.astype(A.dtype, copy=False), B, squares, (0,) * len(B)
    return Products(-2 * A, *given) if by_products else Differences(A, *given)


@jit
def distances_from_products(i, square, squares, products, s):
    """Squared distances of query i, whose squared norm is `square`, to the rows of a tile."""
    not_inlined()
    wide_vectors()
    square, twice, zero, product = as_in(square, s), as_in(2.0, s), as_in(0.0, s), products[i]
    for j in range(s.shape[0]):
        t = (square + squares[j]) - twice * product[j]
        s[j] = t if t > zero else zero  # rounding can make it negative
