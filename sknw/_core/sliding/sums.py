"""Exact sums in linear time for one feature: kernels of finite support, and the exponential.

The rows within the support radius on one side of a query are a window of the sorted rows, which slides with the query.
Subtracting rows that leave a window would lose digits: a small sum would keep the rounding errors of large terms. So
rows are cut into blocks as wide as a window. Each window is then a suffix of one block and a prefix of the next::

    rows     [ .   . . ..    . [ . .. .   .   . ..  .[ . .
    window              |suffix|prefix |
                        edge           query

Suffixes are summed backwards, prefixes forwards. A sum is represented by its moments: sums of powers of the scaled
distances of rows from a reference, the outermost of the rows. The sum of a profile follows from the moments by the
Taylor series of the profile at the reference. References only move outwards, away from the query, which adds positive
terms to positive ones. For the cosine, sines and cosines replace powers. The exponential kernel has no edge: all rows
on one side are one prefix. Its reference is the innermost row, and the sum decays as that moves.

The other side of the query is processed in the same way, with rows and queries in reverse order.

Notation: u scaled distance from the query to a reference, d from the reference to a row, Z coordinates, g the inverse
bandwidth, y one output, w weights. A sum has two channels, the denominator and the numerator of that output.
"""

import math

import numpy as np

from ..compiled_kernels import is_exponential
from ..kernels import for_loops
from ..problem import State, read_only
from ..runtime.jit import jit, jit_entry, not_inlined
from ..runtime.jit import on_stack as lanes
from ..runtime.threads import run_blocks
from .moments import (
    TOGETHER,
    add,
    add_row,
    clear,
    collect,
    copy,
    count_moments,
    on_stack,
    read_off,
    shift,
    side_by_side,
)

#: Rows of a segment: long sums are added by segments, so that rounding errors do not grow with the number of rows.
_SEGMENT = 1024


#: Minimum number of rows and queries per call: some milliseconds of work, so that Ctrl-C is noticed between calls.
_CALL = 2**16


@jit
def distance(x, Z, g):
    """Scaled distance, by subtraction first as in `every_pair.distances`."""
    return abs((x - Z) * g)


@jit
def reaches(kernel, x, Z, g):
    """Whether a row is within the support radius, decided as in the other engines.

    In sorted rows it changes only once.
    """
    t = (x - Z) * g
    return is_exponential(kernel) or t * t <= 1.0


@jit
def sum_suffixes(kernel, Z, y, w, g, origin, step, start, stop, M):
    """Write the sums from each row in start..stop-1 to the end of the block at `stop`.

    Sum `k - start` is that from row k on, with reference k.
    """
    not_inlined()
    T = on_stack(kernel, 3)  # sums of a segment, of all rows after it, and from row k on
    following = Z[origin + step * (stop - 1)]
    clear(kernel, T, 0)
    clear(kernel, T, 1)
    for k in range(stop - 1, start - 1, -1):
        j = origin + step * k
        if k < stop - 1 and (k + 1) % _SEGMENT == 0:
            following = Z[j + step]
            copy(kernel, T, 2, T, 1)
            clear(kernel, T, 0)
        elif k < stop - 1:
            shift(kernel, distance(Z[j + step], Z[j], g), T, 0)
        T[0, 0] += w[j]
        T[0, 1] += w[j] * y[j]
        copy(kernel, T, 1, T, 2)
        shift(kernel, distance(following, Z[j], g), T, 2)
        add(kernel, T, 0, T, 2)
        copy(kernel, T, 2, M, k - start)


@jit
def write(kernel, collected, here, count, total, output, state):
    """Evaluate the collected sums, and add them to the states of their queries."""
    not_inlined()
    read_off(kernel, collected, here, count, total)
    sums, derivatives = state.sums, state.derivatives
    for c in range(count):
        i = int(here[2, c])
        if output == 0:
            sums[i, 0] += total[0, c]
        sums[i, 1 + output] += total[1, c]
        if derivatives.shape[1] > 0:
            if output == 0:
                derivatives[i, 0, 0] += total[2, c]
            derivatives[i, 0, 1 + output] += total[3, c]


@jit_entry(allocates=False)
def add_side(kernel, rows, output, g, origin, step, length, x, below, above, first, last, M, state):
    """Add one output of the rows on one side of the queries.

    Parameters
    ----------
    kernel : Kernel
        Instance from `kernels.for_loops`.
    rows : Rows
        In ascending order.
    output : int
        Output to add. The denominator is added with the first.
    g : float64[::1] of shape (1,)
        Inverse bandwidth.
    origin, step, length : int
        Range of rows: `length` rows from `origin` on, upwards (`step` 1) or downwards (-1). They start with a block,
        the one before that of the first query's nearest row.
    x : float64[::1] of shape (m,)
        Queries, in ascending order.
    below, above : int64[::1] of shape (m,)
        Number of rows below each query, and the first row above.
    first, last : int
        Range of queries, in steps of `step`.
    M : float64[:, ::1] of shape (rows of the longest block, 2 * `n_moments`)
        Overwritten.
    state : State
        Updated, except for `offset`.
    """
    Z, y, w, g = rows.Z[0], rows.Y[output], rows.w, g[0]
    # Sums of the prefix: over the rows in its last segment, over those before, over all.
    T = on_stack(kernel, 3)
    # Collected sums. For each, the distance of its reference from the query, that of the nearest row, and the query.
    collected, here, total, count = side_by_side(kernel), lanes(3, TOGETHER), lanes(4, TOGETHER), 0
    reference = before = 0.0
    # From here on, rows are counted from `origin`. The prefix consists of rows start..j-1 in the block start..end-1.
    # The window of a query is a..j-1. Suffixes have been summed for rows summed..ready-1.
    a = j = start = end = summed = ready = 0
    for i in range(first, last, step):
        stop = below[i] - origin if step > 0 else origin + 1 - above[i]
        while j < stop:
            z, v = Z[origin + step * j], w[origin + step * j]
            if j == end:
                start, end = j, j + 1
                while end < length and reaches(kernel, Z[origin + step * end], z, g):
                    end += 1
                reference = before = z
                clear(kernel, T, 0)
                clear(kernel, T, 1)
            elif (j - start) % _SEGMENT == 0:
                shift(kernel, distance(reference, before, g), T, 1)
                add(kernel, T, 0, T, 1)
                before = reference
                clear(kernel, T, 0)
            if is_exponential(kernel):
                shift(kernel, distance(z, reference, g), T, 0)
                reference = z
            add_row(kernel, distance(z, reference, g), v, v * y[origin + step * j], T, 0)
            j += 1
        # Rows that leave the window, four at a time, because a branch for each cannot be predicted.
        gone = 0 if is_exponential(kernel) else 4
        while gone == 4 and a < stop:
            gone = 0
            for k in range(4):
                gone += 0 if reaches(kernel, x[i], Z[origin + step * min(a + k, stop - 1)], g) else 1
            a = min(a + gone, stop)
        if a < stop and state.offset[i] < np.inf:
            if a != start and a >= ready:
                summed, ready = a, start if a < start else end
                sum_suffixes(kernel, Z, y, w, g, origin, step, a, ready, M)
            if a <= start:
                copy(kernel, T, 1, T, 2)
                if is_exponential(kernel):
                    shift(kernel, distance(reference, before, g), T, 2)
                add(kernel, T, 0, T, 2)
                collect(kernel, T, 2, collected, count)
                here[0, count], here[2, count] = distance(x[i], reference, g), i
                here[1, count] = math.sqrt(state.offset[i]) if is_exponential(kernel) else 0.0
                count += 1
            if a != start:
                collect(kernel, M, a - summed, collected, count)
                here[0, count], here[1, count], here[2, count] = distance(x[i], Z[origin + step * a], g), 0.0, i
                count += 1
        if count > TOGETHER - 2 or i + step == last:
            write(kernel, collected, here, count, total, output, state)
            count = 0


@jit_entry
def find_neighbors(rows, x, row, g, first, last, below, above, state):
    """Locate queries among the rows, and start their states with their own rows.

    Parameters
    ----------
    rows, x, below, above, state
        As in `add_side`. `below` and `above` are written. The offset in `state` is that of the nearest row.
    row : int64[::1] of shape (m,)
        Training row of each query, or -1. It is ignored if its coordinate differs from the query.
    g : float
    first, last : int

    Returns
    -------
    bool
        Whether these queries, and the one before, are in ascending order, with `below` and `above` too.
    """
    Z, n, is_sorted = rows.Z[0], rows.w.shape[0], True
    before_x, before_low, before_high = -np.inf, 0, 0
    for i in range(max(first - 1, 0), last):
        if row[i] >= 0 and Z[row[i]] == x[i]:
            low, high = row[i], row[i] + 1
        else:
            low = high = np.searchsorted(Z, x[i])
        if i >= first:
            s = np.inf
            if low < high and rows.w_rest[low] > 0.0:
                s = 0.0
                state.sums[i, 0] = rows.w_rest[low]
                for c in range(rows.Y.shape[0]):
                    state.sums[i, 1 + c] = rows.w_rest[low] * rows.Y[c, low]
            if low > 0:
                t = (x[i] - Z[low - 1]) * g
                s = min(s, t * t)
            if high < n:
                t = (x[i] - Z[high]) * g
                s = min(s, t * t)
            below[i], above[i], state.offset[i] = low, high, s
            is_sorted = is_sorted and x[i] >= before_x and low >= before_low and high >= before_high
        before_x, before_low, before_high = x[i], low, high
    return is_sorted


@jit_entry
def cut(kernel, Z, g, step, starts):
    """Write where blocks start, counted upwards or downwards; return their number."""
    origin = 0 if step > 0 else Z.shape[1] - 1
    start = count = 0
    for k in range(Z.shape[1]):
        if k == 0 or not reaches(kernel, Z[0, origin + step * k], Z[0, origin + step * start], g[0]):
            start = starts[count] = k
            count += 1
    return count


def blocks_of_rows(setting, rows):
    """Starts of the blocks of rows that windows consist of, counted upwards and downwards.

    Parameters
    ----------
    setting : Setting
    rows : Rows

    Returns
    -------
    tuple of two ndarrays
        Each ends with the number of rows.

    Notes
    -----
    O(n) time.
    """
    compiled, n = for_loops(setting.kernel)[0], len(rows.w)
    blocks = []
    for step in (1, -1):
        starts = np.empty(n + 1, dtype=np.int64)
        n_blocks = cut(compiled, rows.Z, read_only(setting.inv_h), step, starts)
        starts[n_blocks] = n
        blocks.append(starts[: n_blocks + 1].copy())
    return tuple(blocks)


def sliding_sums(setting, rows, blocks, queries, *, n_threads=1):
    """Exact sums over all training rows, in one feature.

    Parameters
    ----------
    setting : Setting
        For a kernel of finite support, or the exponential. In one feature, all kinds of derivatives are the same.
    rows : Rows
        In ascending order.
    blocks : tuple of two ndarrays
        From `blocks_of_rows`.
    queries : Queries
        If in ascending order, they are not copied.
    n_threads : int

    Returns
    -------
    State
        Queries that differ from their training row are not computed. Derivatives of the tophat are meaningless.

    Notes
    -----
    O((n + m) p) time for sorted queries. O(n + m p) memory besides the result: for each row in the longest block, twice
    as many numbers as there are moments. These are 1 (tophat), 2 (linear, exponential), 3, 5, 7 (epanechnikov,
    biweight, triweight), 4 (cosine) or 10 (tricube).
    """
    kernel, inv_h, wanted, _, _ = setting
    compiled, inv_h, row, x = for_loops(kernel)[0], read_only(inv_h), queries.rows_for_loops(), queries.Z[:, 0]
    (p, n), m = rows.Y.shape, len(x)
    below, above, state = np.empty(m, np.int64), np.empty(m, np.int64), State.empty(m, p, wanted.count(1))
    is_sorted = np.empty(-(-m // _CALL), dtype=bool)

    def look_up(start, stop):
        is_sorted[start // _CALL] = find_neighbors(rows, x, row, inv_h[0], start, stop, below, above, state)

    run_blocks(look_up, [(start, min(start + _CALL, m)) for start in range(0, m, _CALL)], n_threads)
    if not is_sorted.all():
        order = np.lexsort((above, below, x))
        state = sliding_sums(setting, rows, blocks, queries.take(order), n_threads=n_threads)
        back = np.argsort(order)
        return State(*(a[back] for a in state))
    for step, starts, stop in ((1, blocks[0], below), (-1, blocks[1], n - above[::-1])):
        longest = int(np.diff(starts).max())

        def add(start, length, first, last, output, step=step, longest=longest):
            first, last = (first, last) if step > 0 else (m - 1 - first, m - 1 - last)
            origin = start if step > 0 else n - 1 - start
            M = np.empty((longest, 2 * count_moments(type(compiled))))
            args = rows, output, inv_h, origin, step, length, x, below, above, first, last
            add_side(compiled, *args, M, state)

        calls = _calls(starts, stop)
        if calls:
            run_blocks(add, [(*call, output) for output in range(p) for call in calls], n_threads)
    state.error[(row >= 0) & (below == above)] = math.inf
    return state


def _calls(starts, stop):
    """Split blocks of rows, and the queries next to them, into calls that are independent.

    Each call also needs the block before. A call has at least four times as many rows as the longest block. If several
    calls share the same rows, each has at least as many queries as rows. The total time then remains linear.

    Parameters
    ----------
    starts : ndarray of shape (n_blocks + 1,)
        First row of each block, and the number of rows.
    stop : ndarray of shape (m,)
        Number of rows before each query, in ascending order.

    Returns
    -------
    list of tuples (start, length, first, last)
        Ranges of rows and of queries.
    """
    size = max(_CALL, 4 * int(np.diff(starts).max()))
    cuts = np.append(np.unique(np.searchsorted(starts, np.arange(0, starts[-1], size))), len(starts) - 1)
    queries = np.searchsorted(stop, starts[cuts], side="right")
    calls = []
    for i in range(len(cuts) - 1):
        start = int(starts[max(cuts[i] - 1, 0)])
        length = int(starts[cuts[i + 1]]) - start
        step = max(_CALL, length)
        for first in range(queries[i], queries[i + 1], step):
            calls.append((start, length, first, min(first + step, int(queries[i + 1]))))
    return calls
