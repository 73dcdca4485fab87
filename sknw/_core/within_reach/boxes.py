"""Sums over the pairs within the cutoff in several features, found by bounding boxes.

In spatial order (`order`), every tile of consecutive rows is compact, and so is every group of tiles. Their bounding
boxes are computed once. Queries are processed in compact blocks. Tiles are searched top down, box against box::

    groups within the cutoff of the block -> tiles within that of the block -> tiles within that of each query ->
    `merge`

For kernels of finite support the cutoff is known in advance. For the others it depends on the sums so far (`reach`), so
the nearest tiles are visited first.
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
    cutoff,
    in_order_of_queries,
    log_of_share,
    run_by_budget,
)
from .sorted_rows import WIDEST

# A literal 0 has a type of its own, for which functions would be compiled once more.
_FRONT = np.int64(0)

_TINY = 1e-300


@jit
def box_distances(low_q, high_q, boxes, start, g, s):
    """Lower bounds of squared distances from a box to those from `start` on, until s is full.

    The squared distance that `squared_distances` computes for a row is within (d/2 + 3) eps of the exact one. So is the
    one computed here for the nearest point of its box, which is at most as far away. Reduced by both errors, the bound
    never exceeds the squared distance of a row.
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
        s[c] = s[c] * (1.0 - (d + 8) * EPS) - _TINY  # squares of about this size lose digits


@jit
def index_of_lowest(s):
    """Index of the smallest number."""
    not_inlined()
    lowest = 0
    for c in range(s.shape[0]):
        if s[c] < s[lowest]:
            lowest = c
    return lowest


@jit
def enclose(Zq, start, stop, low, high):
    """Write the bounding box of queries start..stop."""
    for k in range(Zq.shape[1]):
        low[k] = high[k] = Zq[start, k]
        for i in range(start + 1, stop):
            low[k] = min(low[k], Zq[i, k])
            high[k] = max(high[k], Zq[i, k])


@jit
def find_nearest(low_q, high_q, tiles, groups, g, z, s):
    """A tile near the middle of a box; the middle is written to z."""
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
def find_within(reach, low_q, high_q, tiles, groups, g, s_groups, s, tile_numbers):
    """Write the tiles within a squared distance of a box, in order; return their number."""
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
                    tile_numbers[count] = start + c
                    count += 1
    return count


@jit
def gather(tiles, tile_numbers, count, near):
    """Copy the bounding boxes of the tiles with the given numbers."""
    for k in range(near.low.shape[0]):
        for c in range(count):
            near.low[k, c], near.high[k, c] = tiles.low[k, tile_numbers[c]], tiles.high[k, tile_numbers[c]]


@jit_entry
def add_rows_within(
    kernel, with_respect_to, Zq, row, g, rows, tiles, groups, log_share, start, stop, budget, state, visited
):
    """Merge the training rows within the cutoff into the states of queries from `start` on.

    Parameters
    ----------
    kernel, with_respect_to, Zq, row, g, rows
        As in `tiles.add_rows`, with rows and queries in spatial order.
    tiles, groups : Boxes
        Of each `TILE` rows, and of each `GROUP` tiles.
    log_share : float
        As in `reach.cutoff`.
    start, stop : int
        Range of queries; `start` is a multiple of `BLOCK`.
    budget : int
        Number of pairs beyond which no other block of queries is begun.
    state : State
        Updated.
    visited : int64[::1] of shape (m,)
        Updated: the number of rows that each query visits is added.

    Returns
    -------
    int
        The first query that was not processed, or `stop`.
    """
    (d, n), n_tiles = rows.Z.shape, tiles.low.shape[1]
    buffers, low, high, z = np.empty((4, WIDEST)), np.empty(d), np.empty(d), np.empty(d)
    s, s_groups, tile_numbers = np.empty(n_tiles), np.empty(groups.low.shape[1]), np.empty(n_tiles, np.int64)
    differentiated = state.derivatives.shape[1] > 0
    near = Boxes(np.empty((d, n_tiles)), np.empty((d, n_tiles)))
    while start < stop and budget > 0:
        end = min(start + BLOCK, stop)
        first = -1  # tile that all queries have visited
        # If the cutoff depends on the sums so far, one tile is visited first, then all within the cutoff. "nearest"
        # takes another pass, because ties can be identified only once the nearest row is known.
        for ahead in range(1 if is_shifted(kernel) else 0, -2 if is_nearest(kernel) else -1, -1):
            if ahead < 0:
                first = -1
                for i in range(start, end):
                    restart(i, state)
            enclose(Zq, start, end, low, high)
            if ahead > 0:
                tile_numbers[0], count = find_nearest(low, high, tiles, groups, g, z, s), 1
            else:
                reach = 0.0
                for i in range(start, end):
                    offset = as_near(kernel, state.offset[i], Zq[i], g)
                    reach = max(reach, cutoff(kernel, differentiated, log_share, offset, state.sums[i, 0]))
                count = find_within(reach, low, high, tiles, groups, g, s_groups, s, tile_numbers)
            gather(tiles, tile_numbers, count, near)
            for i in range(start, end):
                enclose(Zq, i, i + 1, low, high)
                box_distances(low, high, near, _FRONT, g, s[:count])
                offset = as_near(kernel, state.offset[i], Zq[i], g)
                reach = cutoff(kernel, differentiated, log_share, offset, state.sums[i, 0])
                # From the nearest tile on, cyclically.
                c, remaining = index_of_lowest(s[:count]), count
                while remaining > 0:
                    width = 0  # consecutive tiles within the cutoff are merged as one wide tile
                    while (
                        width < min(remaining, count - c, WIDEST // TILE)
                        and tile_numbers[c + width] == tile_numbers[c] + width
                        and tile_numbers[c + width] != first
                        and s[c + width] <= reach
                    ):
                        width += 1
                    if width > 0:
                        begin = tile_numbers[c] * TILE
                        after = min(begin + width * TILE, n)
                        merge(kernel, None, with_respect_to, Zq[i], row[i], g, rows, begin, after, buffers, i, state)
                        visited[i] += after - begin
                        budget -= after - begin
                        offset = as_near(kernel, state.offset[i], Zq[i], g)
                        reach = cutoff(kernel, differentiated, log_share, offset, state.sums[i, 0])
                    remaining -= max(width, 1)
                    c = (c + max(width, 1)) % count
            first = tile_numbers[0]
        start = end
    return start


def box_sums(setting, rows, boxes, queries, *, n_threads=1, visited=None):
    """Sums over the training rows within the cutoff, in several features.

    Parameters
    ----------
    setting : Setting
        Not for a user's profile, whose support is not known. For kernels that never vanish, `rtol` is the share of a
        query's denominator that may be neglected. The neglected parts of the denominator, of the numerators divided by
        max(abs(y)), and of their derivatives are at most this times the denominator. With 0, only weights that are zero
        in floating point are neglected.
    rows : Rows
        In `spatial_order`.
    boxes : tuple of Boxes
        From `boxes_of`.
    queries : Queries
    n_threads : int
    visited : ndarray of shape (m,), int64, default=None
        If given, the number of training rows that each query visits is added.

    Returns
    -------
    State
        For kernels of finite support, `offset` is `inf` for empty neighborhoods.

    Notes
    -----
    Time is that of the pairs within the cutoff, plus the search: each block of 64 queries visits all n / 64**2 groups,
    and each query the tiles within the cutoff of its block. Besides, O((n + m) d) time and memory, and O(m d log m)
    time to order new queries.
    """
    kernel, inv_h, wanted, rtol, _ = setting
    inv_h, q, m = read_only(inv_h), wanted.count(len(inv_h)), len(queries.Z)
    order = spatial_order(queries.Z.T, inv_h) if queries.row is None else np.argsort(queries.row, kind="stable")
    Zq, row = read_only(queries.Z[order]), read_only(queries.rows_for_loops()[order], np.int64)
    state, counts = State.empty(m, len(rows.Y), q), np.zeros(m, np.int64)
    compiled, log_share = for_loops(kernel)[0], log_of_share(kernel, rows, rtol)

    def add(start, stop, budget):
        args = compiled, wanted.for_loops(), Zq, row, inv_h, rows, *boxes
        return add_rows_within(*args, log_share, start, stop, budget, state, counts)

    run_by_budget(add, m, (len(inv_h) + len(rows.Y)) * (1 + q), n_threads)
    if visited is not None:
        visited[order] += counts
    if kernel != "nearest" and math.isfinite(KERNELS[kernel].reach):
        state.offset[state.offset > 1] = math.inf
    return in_order_of_queries(state, order)


def boxes_of(rows):
    """Bounding boxes of tiles of rows, and of groups of tiles; O(n d) time."""
    tiles = Boxes(rows.Z, rows.Z).groups(TILE)
    return tiles, tiles.groups(GROUP)
