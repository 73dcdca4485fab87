"""One feature: the rows within the cutoff of a query follow each other in sorted rows."""

import numpy as np

from ..compiled_kernels import as_near
from ..every_pair.tiles import for_loops, merge
from ..order import spatial_order
from ..problem import State, read_only
from ..runtime.jit import jit, jit_entry
from .reach import BLOCK, horizon, in_order_of_queries, log_of_share, run_by_budget

#: Neighbouring tiles are taken together, up to this many rows.
WIDEST = 512


@jit
def count_within(Z, first, step, x, g, reach):
    """How many rows are within a squared distance, from one on, to one side of a query, in sorted rows."""
    n = Z.shape[0]
    most = n - first if step > 0 else first + 1
    # Ever larger strides, then halves.
    low, high = 0, 1
    while high <= most:
        t = (x - Z[first + step * (high - 1)]) * g
        if t * t > reach:
            break
        low = high
        high *= 2
    high = min(high, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        t = (x - Z[first + step * (middle - 1)]) * g
        if t * t <= reach:
            low = middle
        else:
            high = middle
    return low


@jit
def first_not_below(Z, first, x):
    """The first of sorted rows that is not below a query, looked for from one on that is not behind it."""
    # Ever larger strides, then halves.
    n, step = Z.shape[0], 1
    while first + step <= n and Z[first + step - 1] < x:
        first += step
        step *= 2
    while step > 0:
        if first + step <= n and Z[first + step - 1] < x:
            first += step
        step //= 2
    return first


@jit
def nearest_counting(w_rest, row, place, step):
    """The row next to a place, on one side, that counts for a query; outside of the rows if there is none."""
    if place == row and w_rest[row] == 0.0:
        return place + step
    return place


@jit_entry
def add_rows_between(kernel, with_respect_to, Zq, row, g, rows, log_share, start, stop, budget, state, visited):
    """`add_rows_within` for one feature, whose rows are sorted: those within reach follow each other.

    Parameters and result as there; queries are sorted, too.
    """
    Z, n = rows.Z[0], rows.w.shape[0]
    buffers = np.empty((4, WIDEST))
    differentiated = state.derivatives.shape[1] > 0
    right = 0  # of the queries, which are sorted, too
    while start < stop and budget > 0:
        for i in range(start, min(start + BLOCK, stop)):
            x = Zq[i, 0]
            right = first_not_below(Z, right, x)
            low, denominator = np.inf, 0.0
            for row in (
                nearest_counting(rows.w_rest, row[i], right - 1, -1),
                nearest_counting(rows.w_rest, row[i], right, 1),
            ):
                if 0 <= row < n:
                    t = (x - Z[row]) * g[0]
                    if t * t < low:
                        low, denominator = t * t, rows.w_rest[row] if row == row[i] else rows.w[row]
            state.offset[i] = low
            offset = as_near(kernel, low, Zq[i], g)
            reach = horizon(kernel, differentiated, log_share, offset, denominator) if low < np.inf else 0.0
            begin = right - count_within(Z, right - 1, -1, x, g[0], reach)
            end = right + count_within(Z, right, 1, x, g[0], reach)
            visited[i] += end - begin
            budget -= end - begin
            while begin < end:
                middle = min(begin + WIDEST, end)
                merge(kernel, None, with_respect_to, Zq[i], row[i], g, rows, begin, middle, buffers, i, state)
                begin = middle
        start = min(start + BLOCK, stop)
    return start


def sorted_sums(setting, rows, queries, *, n_threads=1, visited=None):
    """Sums over the training rows within the cutoff, in one feature.

    Parameters and result as of `boxes.box_sums`; rows are in ascending order.

    Notes
    -----
    Besides the pairs within the cutoff, O(m log m) time to order the queries.
    """
    kernel, g, wanted, rtol, _ = setting
    g, q, m = read_only(g), wanted.count(1), len(queries.Z)
    order = spatial_order(queries.Z.T)
    Zq, row = read_only(queries.Z[order]), read_only(queries.rows_for_loops()[order], np.int64)
    state, counts = State.empty(m, len(rows.Y), q), np.zeros(m, np.int64)
    compiled, log_share = for_loops(kernel)[0], log_of_share(kernel, rows, rtol)

    def add(start, stop, budget):
        args = compiled, wanted.for_loops(), Zq, row, g, rows
        return add_rows_between(*args, log_share, start, stop, budget, state, counts)

    run_by_budget(add, m, (1 + len(rows.Y)) * (1 + q), n_threads)
    if visited is not None:
        visited[order] += counts
    return in_order_of_queries(state, order)
