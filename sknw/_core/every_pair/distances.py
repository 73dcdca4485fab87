"""Squared distances between a block of queries and a tile of rows: one after the other, where loops need them.

Each of the classes is one way to form them, in the coordinates of `_coordinates.py`, and compiled loops are made for
the one that they are given:

    s = distance(pairs, i, j)      for each row j of the tile; plain arithmetic, to be done in vectors

With few features their number is known when loops are compiled, and squares stay in registers.
"""

from typing import NamedTuple

import numpy as np

from ..runtime.exponential import bits, number
from ..runtime.jit import as_in, jit, not_inlined, overload_jit, wide_vectors


def factor(g, z, k):
    """Factor of feature k; one where coordinates are scaled already and g is None."""
    raise NotImplementedError("for compiled code only")


@overload_jit(factor)
def _factor(g, z, k):
    """Choose by the type of g."""
    if hasattr(g, "dtype"):
        return lambda g, z, k: g[k]
    return lambda g, z, k: as_in(1.0, z)  # a product with it is left away


@jit
def squared_distances(z, Z, start, g, s):
    """Squared scaled distances of one query to the rows from `start` on, as many as s has room for.

    The one place where s is formed. Coordinates are subtracted first and scaled after, so that no digits are lost far
    from the origin: the relative error of s is below (d/2 + 3) eps. Without g coordinates are scaled already. Features
    are taken one or two at first and then up to four at a time, so that s is seldom fetched and stored.
    """
    not_inlined()
    wide_vectors()
    n, d = s.shape[0], z.shape[0]
    stop = start + n
    if d == 0:  # no feature of several has a finite bandwidth
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
    """The smallest of some squared distances; `inf` if there are none.

    As whole numbers, since the bits of positive numbers are in their order: vectors of these are compared, numbers one
    by one.
    """
    not_inlined()
    low = bits(as_in(np.inf, s))
    for j in range(s.shape[0]):
        low = min(low, bits(s[j]))
    return number(low)


class Differences(NamedTuple):
    """Squares of differences of each coordinate, of few features.

    Attributes
    ----------
    A : ndarray[:, ::1] of shape (m, d), float64 or float32
        Queries, centred and scaled.
    squares_q : ndarray[::1] of shape (m,), as A
        Their squared distances to the middle.
    B : ndarray[:, ::1] of shape (d, at least width), as A
        Rows.
    squares : ndarray[::1] of shape (at least width,), as A
    features : tuple of d zeros
        A type of its own for each number of features.
    """

    A: np.ndarray
    squares_q: np.ndarray
    B: np.ndarray
    squares: np.ndarray
    features: tuple


class Products(NamedTuple):
    """Squares less twice the inner product, of few features; attributes as of `Differences`, but A times -2."""

    A: np.ndarray
    squares_q: np.ndarray
    B: np.ndarray
    squares: np.ndarray
    features: tuple


class Gram(NamedTuple):
    """Squares less twice the inner product, of which there is a matrix.

    Attributes
    ----------
    squares_q, squares : ndarray[::1], float64 or float32
    products : ndarray[:, ::1] of shape (m, width), the same
    """

    squares_q: np.ndarray
    squares: np.ndarray
    products: np.ndarray


def distance(pairs, i, j):
    """Squared distance of query i to row j of the tile; rounding can make one that follows from products negative."""
    raise NotImplementedError("for compiled code only")


@overload_jit(distance)
def _distance(pairs, i, j):
    """Choose by the way."""

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


#: From how many features on inner products take less time than differences.
_BY_PRODUCTS = 4


def takes_products(d):
    """Whether few features are worth inner products, if these have digits enough."""
    return d >= _BY_PRODUCTS


def between(A, squares_q, B, squares, *, by_products):
    """Pairs of some queries and a tile of rows, by few products or by differences."""
    given = squares_q.astype(A.dtype, copy=False), B, squares, (0,) * len(B)
    return Products(-2 * A, *given) if by_products else Differences(A, *given)


@jit
def distances_from_products(i, square, squares, products, s):
    """Squared distances of query i, whose square is given, to the rows of a tile."""
    not_inlined()
    wide_vectors()
    square, twice, zero, product = as_in(square, s), as_in(2.0, s), as_in(0.0, s), products[i]
    for j in range(s.shape[0]):
        t = (square + squares[j]) - twice * product[j]
        s[j] = t if t > zero else zero  # rounding can make it negative
