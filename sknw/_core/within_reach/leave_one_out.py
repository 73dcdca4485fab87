"""Leave-one-out sums of consecutive rows in one feature, vectorized over the rows.

If few rows are within the cutoff, finding them takes longer than summing them up. So all rows of a block are paired
with their next neighbors at once, then with those after these, and so on, until no pair is within the cutoff::

    rows       z[0]  z[1]  z[2]  z[3] ...
    k = 1      z[1]  z[2]  z[3]  z[4] ...       one vector instruction for eight rows
    k = 2      z[2]  z[3]  z[4]  z[5] ...

The cutoff of each row, see `reach.cutoff`, is known in advance, because the nearest row is next to it.
"""

import math

import numpy as np

from ..compiled_kernels import is_nearest, profile_at, slope_at, widen
from ..kernels import for_loops
from ..problem import State
from ..runtime.jit import jit, jit_entry, jit_inline, on_stack, wide_vectors
from .reach import cutoff, log_of_share, run_by_budget

#: Rows of a block: their sums stay in the first-level cache.
_BLOCK = 128

#: Rows passed to a thread at a time.
_ROWS_PER_CALL = 2**13


@jit_inline
def meet(kernel, n_derivatives, z, x, g, w, y, low, reach, v, first, sums):
    """Add one other row to the sums of each row; return the number of pairs within the cutoff.

    Parameters
    ----------
    n_derivatives : int
    z, x : float64[::1] of shape (n,)
        Coordinates of the rows, and of the other rows.
    g : float
    w, y : float64[::1] of shape (n,)
        Weights of the other rows, and one output.
    low, reach : float64[::1] of shape (n,)
        Squared distances of the nearest rows, and squared cutoffs.
    v : float64[::1] of shape (n,)
        Overwritten.
    first : int
        First column in `sums`.
    sums : float64[:, ::1]
        Updated: denominator and numerator of each row, then those of the derivative, in columns from `first` on. It is
        on the stack, like `v`, because checking so many arrays for overlap would take too long.
    """
    last, count = first + z.shape[0], 0
    denominator, numerator = sums[0, first:last], sums[1, first:last]
    for i in range(z.shape[0]):
        t = (z[i] - x[i]) * g
        s = t * t
        v_i = w[i] * profile_at(kernel, None, s, low[i])
        v[i] = v_i
        denominator[i] += v_i
        numerator[i] += v_i * y[i]
        count += 1 if s <= reach[i] else 0
    if n_derivatives > 0:
        denominator, numerator = sums[2, first:last], sums[3, first:last]
        for i in range(z.shape[0]):
            t = (z[i] - x[i]) * g
            s = t * t
            v_i = slope_at(kernel, s, w[i], v[i])
            f = v_i * s if v_i != 0.0 else 0.0  # s may be infinite
            denominator[i] += f
            numerator[i] += f * y[i]
    return count


@jit
def look_around(kernel, differentiated, rows, g, log_share, i, known):
    """Squared distance of the row nearest to row i, and the squared cutoff of row i.

    `known` holds the weight of the nearest row in the last call, and `log_share` minus its logarithm. It is reused,
    because the logarithm would dominate the time.
    """
    Z, low, weight = rows.Z[0], np.inf, 0.0
    if rows.w_rest[i] > 0.0:
        low, weight = 0.0, rows.w_rest[i]
    for j in (i - 1, i + 1):
        if 0 <= j < Z.shape[0]:
            t = (Z[i] - Z[j]) * g
            if t * t < low:
                low, weight = t * t, rows.w[j]
    if low == np.inf:
        return low, 0.0
    if weight != known[0]:
        known[0], known[1] = weight, log_share - math.log(weight)
    offset = widen(low, abs(Z[i] * g), 1) if is_nearest(kernel) else low
    return low, cutoff(kernel, differentiated, known[1], offset, 1.0)


@jit_entry(allocates=False)
def leave_out_each(kernel, rows, g, log_share, first, start, stop, budget, state):
    """Write the leave-one-out states of consecutive rows.

    Parameters
    ----------
    kernel : Kernel
        Instance from `kernels.for_loops`.
    rows : Rows
        In ascending order.
    g : float
        Inverse bandwidth.
    log_share : float
        As in `reach.cutoff`.
    first : int
        Row of the first state.
    start, stop : int
        Range of rows to process.
    budget : int
        Number of pairs beyond which no other block of rows is begun.
    state : State
        Written, with a derivative in the scale if it has room for it.

    Returns
    -------
    int
        The first row that was not processed, or `stop`.
    """
    wide_vectors()
    Z, n, p, q = rows.Z[0], rows.w.shape[0], rows.Y.shape[0], state.derivatives.shape[1]
    buffers, sums = on_stack(4, _BLOCK), on_stack(4, _BLOCK)
    low, reach, v, known = buffers[0], buffers[1], buffers[2], buffers[3]
    known[0] = 0.0  # no row has this weight
    while start < stop and budget > 0:
        end = min(start + _BLOCK, stop)
        for i in range(start, end):
            state.offset[i - first], reach[i - start] = look_around(kernel, q > 0, rows, g, log_share, i, known)
            low[i - start] = state.offset[i - first] if state.offset[i - first] < np.inf else 0.0  # all weights are 0
            if is_nearest(kernel):
                low[i - start] = reach[i - start]  # rows up to this distance count as nearest
        for c in range(p):
            for k in range(2, 2 + 2 * q):
                for i in range(end - start):
                    sums[k, i] = 0.0
            for i in range(start, end):  # the row itself, at distance 0, where each profile is 1
                sums[0, i - start] = rows.w_rest[i]
                sums[1, i - start] = rows.w_rest[i] * rows.Y[c, i]
            k = count = 1
            while count > 0:
                count = 0
                for side in range(2):  # rows a to b - 1 are paired with those k rows after, or before, them
                    step = k if side == 0 else -k
                    a, b = max(start, -step), min(end, n - step)
                    if a < b:
                        i, j, m = a - start, b - start, a + step
                        z, x, w, y = Z[a:b], Z[m : b + step], rows.w[m : b + step], rows.Y[c, m : b + step]
                        count += meet(kernel, q, z, x, g, w, y, low[i:j], reach[i:j], v[i:j], i, sums)
                k += 1
            budget -= 2 * k * (end - start)
            for i in range(start, end):
                if c == 0:
                    state.sums[i - first, 0] = sums[0, i - start]
                state.sums[i - first, 1 + c] = sums[1, i - start]
                for k in range(q):
                    if c == 0:
                        state.derivatives[i - first, k, 0] = sums[2 + 2 * k, i - start]
                    state.derivatives[i - first, k, 1 + c] = sums[3 + 2 * k, i - start]
        start = end
    return start


def leave_one_out_sums(setting, rows, first, last, *, n_threads=1):
    """Leave-one-out sums of the rows from `first` to before `last`, within the cutoff.

    Parameters
    ----------
    setting : Setting
        As in `boxes.box_sums`.
    rows : Rows
        In ascending order.
    first, last : int
    n_threads : int

    Returns
    -------
    State
        Relative to the nearest row.

    Notes
    -----
    O((last - first) k) time, where k is the largest number of rows within a cutoff among the rows of a block.
    """
    kernel, inv_h, wanted, rtol, _ = setting
    p, q, m = len(rows.Y), wanted.count(1), last - first
    state, compiled, log_share = State.empty(m, p, q), for_loops(kernel)[0], log_of_share(kernel, rows, rtol)

    def add(start, stop, budget):
        args = compiled, rows, float(inv_h[0]), log_share, first, first + start, first + stop
        return leave_out_each(*args, budget, state) - first

    run_by_budget(add, m, 2 * p * (1 + q), n_threads, per_call=_ROWS_PER_CALL)
    return state
