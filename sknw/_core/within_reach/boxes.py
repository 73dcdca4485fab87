r"""Only the pairs within reach: any kernel, one to about eight features.

Training rows stand in an order in which every tile of consecutive rows lies close together, and so do groups of tiles
(`_order.py`). Of each tile and each group the bounding box is known; for a block of queries that lie close together,
too, tiles are looked up once, box against box:

    groups within reach of the block -> tiles within reach of the block -> tiles within reach of each query -> `merge`

The last is the dense algorithm's. What is in reach is known beforehand for a kernel that vanishes. For one that never
does it follows from what has been added up: weights fall from the nearest row on, and once a query has the denominator M
relative to the squared distance a of its nearest row so far, all rows with

.. math:: s > a + 2 \log\frac{W}{\rho M}, \qquad W = \sum_j w_j

together have no more than the share :math:`\rho` of its denominator (the Gaussian; for the exponential kernel likewise in u).
That is why the nearest tiles come first.
"""

import math

import numpy as np

from ..compiled_kernels import EPS, as_near, is_nearest, is_shifted
from ..every_pair.tiles import for_loops, merge, restart
from ..kernels import KERNELS
from ..order import spatial_order
from ..problem import State, read_only
from ..runtime.jit import jit, jit_entry, not_inlined
from .reach import (
    BLOCK,
    GROUP,
    TILE,
    Boxes,
    horizon,
    in_order_of_queries,
    log_of_share,
    run_by_budget,
)
from .sorted_rows import WIDEST

# A plain 0 would be a type of its row, for which functions are compiled once more.
_FRONT = np.int64(0)

_TINY = 1e-300


@jit
def box_distances(low_q, high_q, boxes, start, g, s):
    """Lower bounds for the squared scaled distances from a box to others, from `start` on, as many as s has room for.

    What `squared_distances` gives for a row is within (d/2 + 3) eps of the exact one, and so is what is formed here of
    the nearest point of its box, which is no further away. Lowered by both, it is never above that of a row.
    """
    not_inlined()
    n, d = s.shape[0], low_q.shape[0]
    for c in range(n):
        s[c] = 0.0
    for k in range(d):
        low_k, high_k = boxes.low[k, start : start + n], boxes.high[k, start : start + n]
        z_low, z_high, g_k = low_q[k], high_q[k], g[k]
        for c in range(n):
            t = max(max(low_k[c] - z_high, z_low - high_k[c]), 0.0) * g_k
            s[c] += t * t
    for c in range(n):
        s[c] = s[c] * (1.0 - (d + 8) * EPS) - _TINY  # around which squares lose their digits


@jit
def index_of_lowest(s):
    """Where the smallest number stands."""
    not_inlined()
    best = 0
    for c in range(s.shape[0]):
        if s[c] < s[best]:
            best = c
    return best


@jit
def enclose(Zq, start, stop, low, high):
    """The bounding box of some queries."""
    for k in range(Zq.shape[1]):
        low[k] = high[k] = Zq[start, k]
        for i in range(start + 1, stop):
            low[k] = min(low[k], Zq[i, k])
            high[k] = max(high[k], Zq[i, k])


@jit
def find_nearest(low_q, high_q, tiles, groups, g, z, s):
    """A tile that is near the middle z of a box, which is written."""
    not_inlined()
    n_tiles, n_groups = tiles.low.shape[1], groups.low.shape[1]
    for k in range(z.shape[0]):
        z[k] = 0.5 * low_q[k] + 0.5 * high_q[k]
    box_distances(z, z, groups, _FRONT, g, s[:n_groups])
    start = index_of_lowest(s[:n_groups]) * GROUP
    width = min(GROUP, n_tiles - start)
    box_distances(z, z, tiles, start, g, s[:width])
    return start + index_of_lowest(s[:width])


@jit
def find_within(reach, low_q, high_q, tiles, groups, g, s_groups, s, found):
    """All tiles within a squared distance of a box, in order; returns how many they are."""
    not_inlined()
    n_tiles, n_groups, count = tiles.low.shape[1], groups.low.shape[1], 0
    box_distances(low_q, high_q, groups, _FRONT, g, s_groups)
    for j in range(n_groups):
        if s_groups[j] <= reach:
            start = j * GROUP
            width = min(GROUP, n_tiles - start)
            box_distances(low_q, high_q, tiles, start, g, s[:width])
            for c in range(width):
                if s[c] <= reach:
                    found[count] = start + c
                    count += 1
    return count


@jit
def gather(tiles, found, count, near):
    """Copy the boxes of some tiles."""
    for k in range(near.low.shape[0]):
        for c in range(count):
            near.low[k, c], near.high[k, c] = tiles.low[k, found[c]], tiles.high[k, found[c]]


@jit_entry
def add_rows_within(
    kernel, with_respect_to, Zq, row, g, rows, tiles, groups, log_share, start, stop, budget, state, visited
):
    """Merge the training rows within reach into the states of the queries from `start` on.

    Parameters
    ----------
    kernel, with_respect_to, Zq, row, g, rows
        As in `add_rows`; rows and queries in spatial order.
    tiles, groups : Boxes
        Of each `TILE` rows, and of each `GROUP` tiles.
    log_share : float
        The logarithm of the sum of all weights over the share of a query's denominator that may be neglected.
    start, stop : int
        Which queries; start is a multiple of `BLOCK`.
    budget : int
        How many rows may be visited, beyond which no other block of queries is begun.
    state : State
        Updated.
    visited : int64[::1] of shape (m,)
        How many rows each query visits is added.

    Returns
    -------
    int
        Where to go on, or stop.
    """
    (d, n), n_tiles = rows.Z.shape, tiles.low.shape[1]
    buffers, low, high, z = np.empty((4, WIDEST)), np.empty(d), np.empty(d), np.empty(d)
    s, s_groups, found = np.empty(n_tiles), np.empty(groups.low.shape[1]), np.empty(n_tiles, np.int64)
    differentiated = state.derivatives.shape[1] > 0
    near = Boxes(np.empty((d, n_tiles)), np.empty((d, n_tiles)))
    while start < stop and budget > 0:
        end = min(start + BLOCK, stop)
        first = -1  # tile that all queries have met
        # Where reach depends on what has been added up, one tile goes ahead, then all within reach follow; once
        # more where it takes the nearest row to know which count.
        for ahead in range(1 if is_shifted(kernel) else 0, -2 if is_nearest(kernel) else -1, -1):
            if ahead < 0:
                first = -1
                for i in range(start, end):
                    restart(i, state)
            enclose(Zq, start, end, low, high)
            if ahead > 0:
                found[0], count = find_nearest(low, high, tiles, groups, g, z, s), 1
            else:
                reach = 0.0
                for i in range(start, end):
                    offset = as_near(kernel, state.offset[i], Zq[i], g)
                    reach = max(reach, horizon(kernel, differentiated, log_share, offset, state.sums[i, 0]))
                count = find_within(reach, low, high, tiles, groups, g, s_groups, s, found)
            gather(tiles, found, count, near)
            for i in range(start, end):
                enclose(Zq, i, i + 1, low, high)
                box_distances(low, high, near, _FRONT, g, s[:count])
                offset = as_near(kernel, state.offset[i], Zq[i], g)
                reach = horizon(kernel, differentiated, log_share, offset, state.sums[i, 0])
                # From the nearest tile on, all round.
                c, left = index_of_lowest(s[:count]), count
                while left > 0:
                    run = 0  # of neighbouring tiles within reach, which are as good as one wide tile
                    while (
                        run < min(left, count - c, WIDEST // TILE)
                        and found[c + run] == found[c] + run
                        and found[c + run] != first
                        and s[c + run] <= reach
                    ):
                        run += 1
                    if run > 0:
                        begin = found[c] * TILE
                        behind = min(begin + run * TILE, n)
                        merge(kernel, None, with_respect_to, Zq[i], row[i], g, rows, begin, behind, buffers, i, state)
                        visited[i] += behind - begin
                        budget -= behind - begin
                        offset = as_near(kernel, state.offset[i], Zq[i], g)
                        reach = horizon(kernel, differentiated, log_share, offset, state.sums[i, 0])
                    left -= max(run, 1)
                    c = (c + max(run, 1)) % count
            first = found[0]
        start = end
    return start


def box_sums(setting, rows, boxes, queries, *, n_threads=1, visited=None):
    r"""Sums over the training rows within the cutoff, in several features.

    Parameters
    ----------
    setting : Setting
        Not of a user's profile, whose support is not known. For kernels that never vanish, `rtol` is the share of a
        query's denominator that may be neglected: the neglected part of the denominator, of the numerators over
        max(abs(y)), and of their derivatives over the same are at most this times the denominator. With 0, only weights
        are neglected that are zero in floating point.
    rows : Rows
        In the order that `spatial_order` gives.
    boxes : tuple of Boxes
        Of `boxes_of`.
    queries : Queries
    n_threads : int
    visited : ndarray of shape (m,), int64, default=None
        If given, how many training rows each query visits is added to it.

    Returns
    -------
    State
        For a kernel of finite support, `offset` is `inf` if no row is within it; for "nearest" it never is.

    Notes
    -----
    Besides the pairs within the cutoff, O((n + m) d) time and memory, O(m d log m) to order queries that are no rows,
    and the search: each 64 queries look at all n / 64**2 groups, and each query at the tiles within reach of its block.
    """
    kernel, g, wanted, rtol, _ = setting
    g, q, m = read_only(g), wanted.count(len(g)), len(queries.Z)
    order = spatial_order(queries.Z.T, g) if queries.row is None else np.argsort(queries.row, kind="stable")
    Zq, row = read_only(queries.Z[order]), read_only(queries.rows_for_loops()[order], np.int64)
    state, counts = State.empty(m, len(rows.Y), q), np.zeros(m, np.int64)
    compiled, log_share = for_loops(kernel)[0], log_of_share(kernel, rows, rtol)

    def add(start, stop, budget):
        args = compiled, wanted.for_loops(), Zq, row, g, rows, *boxes
        return add_rows_within(*args, log_share, start, stop, budget, state, counts)

    run_by_budget(add, m, (len(g) + len(rows.Y)) * (1 + q), n_threads)
    if visited is not None:
        visited[order] += counts
    if kernel != "nearest" and math.isfinite(KERNELS[kernel].reach):
        state.offset[state.offset > 1] = math.inf
    return in_order_of_queries(state, order)


def boxes_of(rows):
    """Boxes around the tiles of rows, and around groups of tiles; O(n d) time."""
    tiles = Boxes(rows.Z, rows.Z).groups(TILE)
    return tiles, tiles.groups(GROUP)
