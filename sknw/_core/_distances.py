"""Squared distances between a block of queries and a tile of rows: one after the other, where loops need them.

Each of the classes is one way to form them, in the coordinates of `_coordinates.py`, and compiled loops are made for
the one that they are given:

    s = distance(pairs, i, j)      for each row j of the tile; plain arithmetic, to be done in vectors

With few features their number is known when loops are compiled, and squares stay in registers.
"""

from typing import NamedTuple

import numpy as np

from ._jit import as_in, jit, not_inlined, overload_jit, wide_vectors


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
