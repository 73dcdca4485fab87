"""One feature: the rows within the cutoff of a query are consecutive in sorted rows."""

import numpy as np

from ..compiled_kernels import as_near
from ..every_pair.tiles import for_loops, merge
from ..order import spatial_order
from ..problem import State, read_only
from ..runtime.jit import jit, jit_entry
from .reach import BLOCK, cutoff, in_order_of_queries, log_of_share, run_by_budget

#: Maximum number of rows that are merged at a time.
WIDEST = 512


@jit
def count_within(Z, first, step, x, g, reach):
    """Number of consecutive rows within a squared distance of x, from `first` on.

    Rows are sorted, and `step` is 1 or -1.
    """
    n = Z.shape[0]
    limit = n - first if step > 0 else first + 1
    # Exponential search, then bisection.
    low, high = 0, 1
    while high <= limit:
        t = (x - Z[first + step * (high - 1)]) * g
        if t * t > reach:
            break
        low = high
        high *= 2
    high = min(high, limit + 1)
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
    """The first row at or above x, from `first` on, which is not beyond it."""
    # Exponential search, then bisection.
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
def nearest_counting(w_rest, row, position, step):
    """`position`, or the next one if it is the query's own row and has no weight left."""
    if position == row and w_rest[row] == 0.0:
        return position + step
    return position


@jit_entry
def add_rows_between(kernel, with_respect_to, Zq, row, g, rows, log_share, start, stop, budget, state, visited):
    """`boxes.add_rows_within` for one feature: rows and queries in ascending order."""
    Z, n = rows.Z[0], rows.w.shape[0]
    buffers = np.empty((4, WIDEST))
    differentiated = state.derivatives.shape[1] > 0
    right = 0  # position of the query among the rows
    while start < stop and budget > 0:
        for i in range(start, min(start + BLOCK, stop)):
            x = Zq[i, 0]
            right = first_not_below(Z, right, x)
            low, denominator = np.inf, 0.0
            for j in (
                nearest_counting(rows.w_rest, row[i], right - 1, -1),
                nearest_counting(rows.w_rest, row[i], right, 1),
            ):
                if 0 <= j < n:
                    t = (x - Z[j]) * g[0]
                    if t * t < low:
                        low, denominator = t * t, rows.w_rest[j] if j == row[i] else rows.w[j]
            state.offset[i] = low
            offset = as_near(kernel, low, Zq[i], g)
            reach = cutoff(kernel, differentiated, log_share, offset, denominator) if low < np.inf else 0.0
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

    Parameters and result as in `boxes.box_sums`, with rows in ascending order.

    Notes
    -----
    Besides the pairs within the cutoff, O(m log m) time to sort the queries.
    """
    kernel, inv_h, wanted, rtol, _ = setting
    inv_h, q, m = read_only(inv_h), wanted.count(1), len(queries.Z)
    order = spatial_order(queries.Z.T)
    Zq, row = read_only(queries.Z[order]), read_only(queries.rows_for_loops()[order], np.int64)
    state, counts = State.empty(m, len(rows.Y), q), np.zeros(m, np.int64)
    compiled, log_share = for_loops(kernel)[0], log_of_share(kernel, rows, rtol)

    def add(start, stop, budget):
        args = compiled, wanted.for_loops(), Zq, row, inv_h, rows
        return add_rows_between(*args, log_share, start, stop, budget, state, counts)

    run_by_budget(add, m, (1 + len(rows.Y)) * (1 + q), n_threads)
    if visited is not None:
        visited[order] += counts
    return in_order_of_queries(state, order)
