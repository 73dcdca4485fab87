"""How far rows count: the cutoff of a query, and how many rows lie within it."""

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

#: Rows of a tile, queries of a block: leaves of the order.
TILE = LEAF


BLOCK = LEAF


#: Tiles of a group: a power of two, which is a box of the order, too.
GROUP = 64


#: What a compiled call does before it returns, so that it can be interrupted. The unit is a pair with one feature and
#: one output.
_WORK_PER_CALL = 2**24


#: Queries that are handed to a thread at a time.
_QUERIES_PER_CALL = 2**10


# Further away than this in the exponent, a weight is exactly zero.
_UNDERFLOW = -EXP2_LOWEST * math.log(2)


_LOG_128 = math.log(128.0)


class Boxes(NamedTuple):
    """Bounding boxes.

    Attributes
    ----------
    low, high : ndarray of shape (d, n_boxes)
        Smallest and largest coordinates.
    """

    low: np.ndarray
    high: np.ndarray

    def groups(self, width):
        """The boxes around every `width` consecutive ones."""
        starts = np.arange(0, self.low.shape[1], width)
        return Boxes(np.minimum.reduceat(self.low, starts, axis=1), np.maximum.reduceat(self.high, starts, axis=1))


@jit
def horizon(kernel, differentiated, log_share, offset, denominator):
    r"""Squared distance beyond which all rows together do not count for a query, at its present offset and denominator.

    `log_share` is :math:`\log(W / \rho)`. With the exponent e, which is s/2 or u, all rows beyond c = e(offset) +
    log_share - log(denominator) have no more than the share rho of the denominator, whatever the denominator will grow to. In derivatives a
    weight has a factor of at most 2e, and falls from there on: beyond e = c + log(4c), below 3c for c >= 3, the
    logarithm makes up for it, and so does a tangent above it, which takes less time.
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
    """The logarithm of the sum of all weights over the share of a query's denominator that may be neglected.

    Of kernels that vanish it is not asked for.
    """
    if kernel == "nearest" or math.isfinite(KERNELS[kernel].reach):
        return 0.0
    with np.errstate(divide="ignore"):
        return float(np.log(rows.w.sum()) - np.log(rtol))


def run_by_budget(add, m, per_pair, n_threads, per_call=_QUERIES_PER_CALL):
    """Call ``add(start, stop, budget)`` for all queries, which returns where to go on if the pairs are more than that.

    `per_pair` is the work of a pair.
    """
    budget = max(1, _WORK_PER_CALL // per_pair)
    blocks = [(start, min(start + per_call, m)) for start in range(0, m, per_call)]

    def work(start, stop):
        start = add(start, stop, budget)
        if start < stop:  # more work than expected: two threads may share what is left
            middle = start + (stop - start) // (2 * BLOCK) * BLOCK
            blocks.extend([(start, middle), (middle, stop)])

    while blocks:
        todo, blocks[:] = blocks[:], []
        run_blocks(work, todo, n_threads)


#: Queries that an estimate is made from.
_SAMPLED = 24


def expected_pairs(kernel, rows, g, Zq, *, rtol):
    """An estimate of how many pairs `window_sums` visits, from a few of the queries.

    Parameters as in `window_sums`; `Zq` may be None if the queries are the rows. O(log n) time in one feature, O(n d)
    in more.
    """
    Zq = rows.Z.T if Zq is None else Zq
    if kernel == "nearest":
        return 2 * TILE * len(Zq)
    return len(Zq) * np.mean(rows_in_reach(kernel, rows, g, Zq, rtol=rtol))


def rows_in_reach(kernel, rows, g, Zq, *, rtol):
    """How many rows a few of the queries have in reach, in more than one feature about; parameters as above."""
    some = Zq[(2 * np.arange(_SAMPLED) + 1) * len(Zq) // (2 * _SAMPLED)] if len(Zq) > _SAMPLED else Zq
    reach = np.ones(len(some))
    if len(g) == 1:
        z, x = rows.Z[0], some[:, 0]

        def count(u):
            """Rows within a scaled distance."""
            with np.errstate(over="ignore"):
                return np.searchsorted(z, x + u / g[0], "right") - np.searchsorted(z, x - u / g[0])
    else:
        tiles = Boxes(rows.Z, rows.Z).groups(TILE)
        nearest = np.zeros((len(some), tiles.low.shape[1]))
        with np.errstate(over="ignore"):
            for x, low, high, g_k in zip(some.T[:, :, None], tiles.low, tiles.high, g, strict=True):
                nearest += (np.maximum(np.maximum(low - x, x - high), 0) * g_k) ** 2

        def count(u):
            """Rows of the tiles within a scaled distance."""
            return TILE * np.count_nonzero(nearest <= u[:, None] ** 2, axis=1)

    if not math.isfinite(KERNELS[kernel].reach):
        with np.errstate(divide="ignore"):
            exponent = np.log(len(rows.w)) - np.log(rtol)
        exponent = np.minimum(exponent - np.log(np.maximum(0.5 * count(reach), 1)), _UNDERFLOW)
        reach = np.sqrt(2 * exponent) if kernel == "gaussian" else exponent
    return count(reach)


def in_order_of_queries(state, order):
    """The state of queries that were processed in an order, in that of the queries."""
    if (order[1:] > order[:-1]).all():
        return state
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return State(*(a[back] for a in state))
