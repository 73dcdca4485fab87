"""What goes into the sums, and what comes out: training rows and the state of a sum."""

import enum
import math
from typing import NamedTuple

import numpy as np

#: Below the smallest normal number a mass has lost its digits: nobody is in reach.
SMALLEST_MASS = float(np.finfo(np.float64).tiny)


class Derivatives(enum.IntEnum):
    """With respect to what the sums are differentiated besides."""

    NOTHING = 0
    SCALE = 1  # the logarithm of one factor of all bandwidths
    FEATURES = 2  # the logarithm of each feature's bandwidth
    PAIRS = 3  # each pair a <= b of coordinates: the derivative in the matrix is made of these

    def count(self, d):
        """Number of derivatives with d features."""
        return (0, 1, d, d * (d + 1) // 2)[self]

    @property
    def by_coordinate(self):
        """Whether single coordinates are told apart."""
        return self in (Derivatives.FEATURES, Derivatives.PAIRS)

    def for_loops(self):
        """As the compiled loops take it: a tuple is a type of its own, none and SCALE share one."""
        return (0,) * self if self > Derivatives.SCALE else ()


class Rows(NamedTuple):
    """Training rows as the loops read them: C-contiguous float64 that cannot be written to, or else they are copied.

    Attributes
    ----------
    Z : ndarray of shape (d, n)
        Coordinates, one feature after the other.
    Y : ndarray of shape (p, n)
        Targets, one output after the other, at least one.
    w : ndarray of shape (n,)
        Weights, positive.
    w_rest : ndarray of shape (n,)
        What is left of each row's weight when one observation is left out.
    """

    Z: np.ndarray
    Y: np.ndarray
    w: np.ndarray
    w_rest: np.ndarray


class State(NamedTuple):
    r"""The state of a sum over some rows, for m queries. States over disjoint rows merge into one.

    With :math:`v_j = w_j k(s_j)`, for kernels that never vanish divided by the profile at `shift`:

    Attributes
    ----------
    shift : ndarray of shape (m,)
        Squared scaled distance to the nearest row so far; `inf` if there is none, or if it overflows. 0 where weights
        are as they are: in `_fast_gauss.py`, and in the Gaussian's own loops over every pair.
    sums : ndarray of shape (m, 1 + p)
        The mass :math:`\sum_j v_j`, then the moments :math:`\sum_j v_j y_{jc}`.
    dsums : ndarray of shape (m, q, 1 + p)
        Derivatives of `sums`, at constant shift.
    """

    shift: np.ndarray
    sums: np.ndarray
    dsums: np.ndarray

    @classmethod
    def empty(cls, m, p, q=0):
        """The state of a sum over no rows."""
        return cls(np.full(m, math.inf), np.zeros((m, 1 + p)), np.zeros((m, q, 1 + p)))

    def part(self, queries):
        """The states of a slice of the queries, as views."""
        return State(*(a[queries] for a in self))

    def put(self, queries, states):
        """Put the states of some queries in their places."""
        for whole, part in zip(self, states, strict=True):
            whole[queries] = part


class ErrorsOfMost(NamedTuple):
    """Squared errors of most rows, added up.

    Attributes
    ----------
    weight, error : float
        Sum of the weights, and of weights times squared errors, the mean over outputs.
    slope : ndarray of shape (q,)
        Derivatives of the latter.
    rest : ndarray of int64
        Numbers of the rows that are not in it.
    """

    weight: float
    error: float
    slope: np.ndarray
    rest: np.ndarray


def read_only(a, dtype=np.float64):
    """A view of `a` that cannot be written to; of a C-contiguous copy of that dtype, if it is not one.

    Every array reaches the compiled loops like this, memory-mapped ones included, so that each loop is compiled for one
    set of types only.
    """
    a = np.ascontiguousarray(a, dtype=dtype).view(np.ndarray)
    a.flags.writeable = False
    return a


def are_all(own, n):
    """Whether the queries are all rows, each of which is left out in turn."""
    return len(own) == n and np.array_equal(own, np.arange(n))
