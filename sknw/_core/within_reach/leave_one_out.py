"""One feature, each row in turn left out: its neighbours in sorted rows, all rows at a time.

Where a window holds a few rows, what it takes to look at it is more than what it takes to add them up. So a block of
rows meets first its next neighbours, then those after these, and so on, until none is within reach of any::

    rows       z[0]  z[1]  z[2]  z[3] ...
    k = 1      z[1]  z[2]  z[3]  z[4] ...       one vector instruction for eight rows
    k = 2      z[2]  z[3]  z[4]  z[5] ...

What is within reach is known beforehand, as `_window.horizon` has it: the nearest row is next to each.
"""

import math

import numpy as np

from ..compiled_kernels import is_nearest, profile_at, slope_at, widen
from ..kernels import for_loops
from ..problem import State
from ..runtime.jit import jit, jit_entry, jit_inline, on_stack, wide_vectors
from .reach import horizon, log_of_share, run_by_budget

#: Rows that meet their neighbours together: their sums stay in the first-level cache.
_BLOCK = 128

#: Rows that are handed to a thread at a time.
_ROWS_PER_CALL = 2**13


@jit_inline
def meet(kernel, n_derivatives, z, x, g, w, y, low, reach, v, first, sums):
    """Add to the sums of some rows one other row each; returns how many of these are within reach.

    Parameters
    ----------
    n_derivatives : int
    z, x : float64[::1] of shape (n,)
        Places of the rows, and of the others.
    w, y : float64[::1] of shape (n,)
        Weights of the others, and one output.
    low, reach : float64[::1] of shape (n,)
        Squared distances of the nearest rows, and how far others count.
    v : float64[::1] of shape (n,)
        Overwritten.
    first : int
    sums : float64[:, ::1]
        Mass and numerator of each row, and those of each derivative, in columns from `first` on. On the stack, as `v`
        is: whether so many arrays overlap would take too long to find out.
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
            f = v_i * s if v_i != 0.0 else 0.0  # where s may be infinite
            denominator[i] += f
            numerator[i] += f * y[i]
    return count


@jit
def look_around(kernel, differentiated, rows, g, log_share, i, known):
    """Squared distance of a row's nearest one, and how far those go that count for it.

    `known` has, of the last row, the denominator of the nearest one and what is left of `log_share`: a logarithm takes longer
    than all else.
    """
    Z, low, denominator = rows.Z[0], np.inf, 0.0
    if rows.w_rest[i] > 0.0:
        low, denominator = 0.0, rows.w_rest[i]
    for j in (i - 1, i + 1):
        if 0 <= j < Z.shape[0]:
            t = (Z[i] - Z[j]) * g
            if t * t < low:
                low, denominator = t * t, rows.w[j]
    if low == np.inf:
        return low, 0.0
    if denominator != known[0]:
        known[0], known[1] = denominator, log_share - math.log(denominator)
    offset = widen(low, abs(Z[i] * g), 1) if is_nearest(kernel) else low
    return low, horizon(kernel, differentiated, known[1], offset, 1.0)


@jit_entry(allocates=False)
def leave_out_each(kernel, rows, g, log_share, first, start, stop, budget, state):
    """Write the states of the rows from `start` on, each of which is left out in turn.

    Parameters
    ----------
    kernel : tuple of as many zeros as the code of the kernel
    rows : Rows
        In ascending order.
    g : float
    first : int
        Row that the first state is of.
    log_share, start, stop, budget
        As in `_window.add_rows_within`.
    state : State
        Written, with as many derivatives in the scale as it has room for.

    Returns
    -------
    int
        Where to go on, or stop.
    """
    wide_vectors()
    Z, n, p, q = rows.Z[0], rows.w.shape[0], rows.Y.shape[0], state.derivatives.shape[1]
    here, sums = on_stack(4, _BLOCK), on_stack(4, _BLOCK)
    low, reach, v, known = here[0], here[1], here[2], here[3]
    known[0] = 0.0  # the denominator of no row
    while start < stop and budget > 0:
        end = min(start + _BLOCK, stop)
        for i in range(start, end):
            state.offset[i - first], reach[i - start] = look_around(kernel, q > 0, rows, g, log_share, i, known)
            low[i - start] = state.offset[i - first] if state.offset[i - first] < np.inf else 0.0  # all weights are 0
            if is_nearest(kernel):
                low[i - start] = reach[i - start]  # up to which rows are as near
        for c in range(p):
            for k in range(2, 2 + 2 * q):
                for i in range(end - start):
                    sums[k, i] = 0.0
            for i in range(start, end):  # what is left of them is at no distance, where every profile is 1
                sums[0, i - start] = rows.w_rest[i]
                sums[1, i - start] = rows.w_rest[i] * rows.Y[c, i]
            k = count = 1
            while count > 0:
                count = 0
                for side in range(2):  # rows a to b - 1 meet those that are k after them, or before
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
    """Sums of the rows from `first` to before `last`, each of which is left out, over the rows within the cutoff.

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

    Notes
    -----
    Takes O((last - first) k) time, with k the most rows within the cutoff of one of so many that follow each other.
    """
    kernel, g, wanted, rtol, _ = setting
    p, q, m = len(rows.Y), wanted.count(1), last - first
    state, compiled, log_share = State.empty(m, p, q), for_loops(kernel)[0], log_of_share(kernel, rows, rtol)

    def add(start, stop, budget):
        args = compiled, rows, float(g[0]), log_share, first, first + start, first + stop
        return leave_out_each(*args, budget, state) - first

    run_by_budget(add, m, 2 * p * (1 + q), n_threads, per_call=_ROWS_PER_CALL)
    return state
