r"""The cutoff of a query, and estimates of the number of rows within it.

The cutoff is a squared scaled distance beyond which all rows together may be neglected. For kernels of finite support
it is 1. For the others, weights decrease from the nearest row on. Let a be the squared distance of the nearest row so
far, M the denominator relative to it, W the sum of all w_j, and :math:`\rho` the tolerated share. For the Gaussian, all
rows with

.. math:: s > a + 2 \log\frac{W}{\rho M}

together contribute at most the share :math:`\rho` of the denominator. For the exponential kernel the same holds with u
in place of s/2.
"""

import math
from typing import NamedTuple

import numpy as np

from ..compiled_kernels import LARGEST, is_gaussian, is_nearest, is_shifted
from ..kernels import KERNELS
from ..order import LEAF
from ..problem import State
from ..runtime.exponential import EXP2_LOWEST
from ..runtime.jit import jit
from ..runtime.threads import run_blocks

#: Rows of a tile, and queries of a block: leaves of the spatial order.
TILE = LEAF


BLOCK = LEAF


#: Tiles of a group: a power of two, so that a group is a box of the spatial order.
GROUP = 64


#: Maximum work of a compiled call, so that Ctrl-C is noticed. The unit is a pair with one feature and one output.
_WORK_PER_CALL = 2**24


#: Queries passed to a thread at a time.
_QUERIES_PER_CALL = 2**10


# Beyond this difference of exponents a weight is exactly zero.
_UNDERFLOW = -EXP2_LOWEST * math.log(2)


_LOG_128 = math.log(128.0)


class Boxes(NamedTuple):
    """Bounding boxes of groups of points.

    Attributes
    ----------
    low, high : ndarray of shape (d, n_boxes)
        Smallest and largest coordinates.
    """

    low: np.ndarray
    high: np.ndarray

    def groups(self, width):
        """The bounding boxes of every `width` consecutive boxes."""
        starts = np.arange(0, self.low.shape[1], width)
        return Boxes(np.minimum.reduceat(self.low, starts, axis=1), np.maximum.reduceat(self.high, starts, axis=1))


@jit
def cutoff(kernel, differentiated, log_share, offset, denominator):
    r"""Squared cutoff of a query, at the present offset and denominator.

    `log_share` is :math:`\log(W / \rho)`. Let e be s/2 for the Gaussian and u for the exponential kernel. All rows
    beyond c = e(offset) + log_share - log(denominator) contribute at most the share rho of the denominator, which can
    only grow. In derivatives, a weight has an additional factor of at most 2e, and the product decreases from there on.
    This is compensated beyond e = c + log(4c), which is below 3c for c >= 3. A tangent above the logarithm is used
    instead, because it is faster.
    """
    if is_nearest(kernel):
        return min(offset, LARGEST)
    if not is_shifted(kernel):
        return 1.0
    e = 0.5 * offset if is_gaussian(kernel) else math.sqrt(offset)
    c = e + log_share - (math.log(denominator) if denominator != 1.0 else 0.0)
    if differentiated:
        c = max(c, 3.0)
        c += _LOG_128 - 1.0 + c / 32.0
    c = min(c, e + _UNDERFLOW)
    return min(2.0 * c if is_gaussian(kernel) else c * c, LARGEST)


def log_of_share(kernel, rows, rtol):
    """Logarithm of the sum of all weights over the share of a denominator that may be neglected.

    It is 0, and not used, for kernels of finite support.
    """
    if kernel == "nearest" or math.isfinite(KERNELS[kernel].reach):
        return 0.0
    with np.errstate(divide="ignore"):
        return float(np.log(rows.w.sum()) - np.log(rtol))


def run_by_budget(add, m, per_pair, n_threads, per_call=_QUERIES_PER_CALL):
    """Process queries in calls of limited work, on several threads.

    Parameters
    ----------
    add : callable
        ``add(start, stop, budget)`` processes queries from `start` on, until it has visited about `budget` pairs. It
        returns the first query that it has not processed.
    m : int
        Number of queries.
    per_pair : int
        Work per pair.
    n_threads : int
    per_call : int
        Queries per call.
    """
    budget = max(1, _WORK_PER_CALL // per_pair)
    blocks = [(start, min(start + per_call, m)) for start in range(0, m, per_call)]

    def work(start, stop):
        start = add(start, stop, budget)
        if start < stop:  # more work than expected: split the remaining queries, so that two threads can share them
            middle = start + (stop - start) // (2 * BLOCK) * BLOCK
            blocks.extend([(start, middle), (middle, stop)])

    while blocks:
        todo, blocks[:] = blocks[:], []
        run_blocks(work, todo, n_threads)


#: Number of queries of the subsample for estimates.
_SAMPLED = 24


def expected_pairs(kernel, rows, inv_h, Zq, *, rtol):
    """Estimate the number of pairs within the cutoff, from a subsample of the queries.

    Parameters
    ----------
    kernel : str
    rows : Rows
    inv_h : ndarray of shape (d,)
    Zq : ndarray of shape (m, d), or None
        Queries; None for the rows themselves.
    rtol : float

    Returns
    -------
    float

    Notes
    -----
    O(log n) time in one feature, O(n d) in several.
    """
    Zq = rows.Z.T if Zq is None else Zq
    if kernel == "nearest":
        return 2 * TILE * len(Zq)
    return len(Zq) * np.mean(rows_in_reach(kernel, rows, inv_h, Zq, rtol=rtol))


def rows_in_reach(kernel, rows, inv_h, Zq, *, rtol):
    """Number of rows within the cutoff of each query of a subsample; an estimate if d > 1.

    Parameters as in `expected_pairs`.

    Returns
    -------
    ndarray
    """
    sample = Zq[(2 * np.arange(_SAMPLED) + 1) * len(Zq) // (2 * _SAMPLED)] if len(Zq) > _SAMPLED else Zq
    reach = np.ones(len(sample))
    if len(inv_h) == 1:
        z, x = rows.Z[0], sample[:, 0]

        def count(u):
            """Number of rows within a scaled distance."""
            with np.errstate(over="ignore"):
                return np.searchsorted(z, x + u / inv_h[0], "right") - np.searchsorted(z, x - u / inv_h[0])
    else:
        tiles = Boxes(rows.Z, rows.Z).groups(TILE)
        nearest = np.zeros((len(sample), tiles.low.shape[1]))
        with np.errstate(over="ignore"):
            for x, low, high, factor in zip(sample.T[:, :, None], tiles.low, tiles.high, inv_h, strict=True):
                nearest += (np.maximum(np.maximum(low - x, x - high), 0) * factor) ** 2

        def count(u):
            """Number of rows of the tiles within a scaled distance."""
            return TILE * np.count_nonzero(nearest <= u[:, None] ** 2, axis=1)

    if not math.isfinite(KERNELS[kernel].reach):
        with np.errstate(divide="ignore"):
            exponent = np.log(len(rows.w)) - np.log(rtol)
        exponent = np.minimum(exponent - np.log(np.maximum(0.5 * count(reach), 1)), _UNDERFLOW)
        reach = np.sqrt(2 * exponent) if kernel == "gaussian" else exponent
    return count(reach)


def in_order_of_queries(state, order):
    """Undo a reordering of the queries in their state.

    Parameters
    ----------
    state : State
        Of the queries with numbers `order`.
    order : ndarray of shape (m,), int64
    """
    if (order[1:] > order[:-1]).all():
        return state
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return State(*(a[back] for a in state))
