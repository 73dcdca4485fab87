"""One feature, each row in turn left out: its neighbours in sorted rows, all rows at a time.

Where a window holds a few rows, what it takes to look at it is more than what it takes to add them up. So a block of
rows meets first its next neighbours, then those after these, and so on, until none is within reach of any::

    rows       z[0]  z[1]  z[2]  z[3] ...
    k = 1      z[1]  z[2]  z[3]  z[4] ...       one vector instruction for eight rows
    k = 2      z[2]  z[3]  z[4]  z[5] ...

What is within reach is known beforehand, as `_window.horizon` has it: the nearest row is next to each.
"""

import numpy as np

from ._dense import profile_at, weigh_bend, weigh_slope
from ._jit import jit, jit_entry, not_inlined, wide_vectors
from ._profiles import NEAREST, PROFILES
from ._rows import Rows, State, read_only
from ._window import horizon, log_of_share, run_by_budget

#: Rows that meet their neighbours together: their sums stay in the first-level cache.
_BLOCK = 512

#: Rows that are handed to a thread at a time.
_ROWS_PER_CALL = 2**13


# Loops that write to more arrays at a time, or read from more, are no longer turned into vector instructions: whether
# these overlap would take too long to find out.
@jit
def add_to(v, Y, other, acc):
    """Add weights to the mass, and times the outputs to the moments; of each row the outputs of that at `other`."""
    not_inlined()
    wide_vectors()
    n = v.shape[0]
    y, mass, moment = Y[0, other : other + n], acc[0, :n], acc[1, :n]
    for i in range(n):
        mass[i] += v[i]
        moment[i] += v[i] * y[i]
    for c in range(1, Y.shape[0]):
        y, moment = Y[c, other : other + n], acc[1 + c, :n]
        for i in range(n):
            moment[i] += v[i] * y[i]


@jit
def weigh_each(kernel, s, low, w, v):
    """Write weights times profile, relative to that at `low`, of one row for each query."""
    not_inlined()
    wide_vectors()
    for i in range(v.shape[0]):
        v[i] = w[i] * profile_at(kernel, None, s[i], low[i])


@jit
def count_within(s, reach):
    """How many squared distances are within reach."""
    not_inlined()
    count = 0
    for i in range(s.shape[0]):
        count += 1 if s[i] <= reach[i] else 0
    return count


@jit
def times(v, s, f):
    """Write weights times squared distances, which may be infinite where the weight is zero."""
    not_inlined()
    wide_vectors()
    for i in range(v.shape[0]):
        f[i] = v[i] * s[i] if v[i] != 0.0 else 0.0


@jit
def add_neighbours(kernel, Z, g, start, other, w, Y, low, reach, buffers, acc):
    """Add to the sums of some rows from `start` on those that are as far behind them as `other` is behind `start`.

    Returns how many of these are within reach. `acc` has the mass and the moments, then those of each derivative.
    """
    not_inlined()
    n, p = low.shape[0], Y.shape[0]
    z, x, w = Z[start : start + n], Z[other : other + n], w[other : other + n]
    s, v, f = buffers[0, :n], buffers[1, :n], buffers[2, :n]
    for i in range(n):
        t = (z[i] - x[i]) * g
        s[i] = t * t
    weigh_each(kernel, s, low, w, v)
    add_to(v, Y, other, acc)
    for k in range(1, acc.shape[0] // (1 + p)):
        if k == 1:
            weigh_slope(kernel, s, w, v)
        else:
            weigh_bend(kernel, s, w, v)
        times(v, s, f)
        add_to(f, Y, other, acc[k * (1 + p) :])
    return count_within(s, reach)


@jit
def look_around(kernel, differentiated, rows, g, log_share, i):
    """Squared distance of a row's nearest one, and how far those go that count for it."""
    Z, low, mass = rows.Z[0], np.inf, 0.0
    if rows.w_rest[i] > 0.0:
        low, mass = 0.0, rows.w_rest[i]
    for j in (i - 1, i + 1):
        if 0 <= j < Z.shape[0]:
            t = (Z[i] - Z[j]) * g
            if t * t < low:
                low, mass = t * t, rows.w[j]
    return low, horizon(kernel, differentiated, log_share, low, mass) if low < np.inf else 0.0


@jit_entry
def leave_out_each(kernel, rows, g, log_share, start, stop, budget, state):
    """Write the states of the rows from `start` on, each of which is left out in turn.

    Parameters
    ----------
    kernel : tuple of as many zeros as the code of the kernel
    rows : Rows
        In ascending order.
    g : float
    log_share, start, stop, budget
        As in `_window.add_rows_within`.
    state : State
        Written, with as many derivatives in the scale as it has room for.

    Returns
    -------
    int
        Where to go on, or stop.
    """
    Z, n, p, q = rows.Z[0], rows.w.shape[0], rows.Y.shape[0], state.dsums.shape[1]
    acc, buffers = np.empty(((1 + p) * (1 + q), _BLOCK)), np.empty((3, _BLOCK))
    low, reach = np.empty(_BLOCK), np.empty(_BLOCK)
    while start < stop and budget > 0:
        end, acc[:] = min(start + _BLOCK, stop), 0.0
        for i in range(start, end):
            state.shift[i], reach[i - start] = look_around(kernel, q > 0, rows, g, log_share, i)
            low[i - start] = state.shift[i] if state.shift[i] < np.inf else 0.0  # where all weights are 0
            acc[0, i - start] = rows.w_rest[i]  # at no distance, where every profile is 1
            for c in range(p):
                acc[1 + c, i - start] = rows.w_rest[i] * rows.Y[c, i]
        k = count = 1
        while count > 0:
            m, a, count = max(min(end, n - k) - start, 0), max(k - start, 0), 0
            if m > 0:
                args = low[:m], reach[:m], buffers, acc
                count += add_neighbours(kernel, Z, g, start, start + k, rows.w, rows.Y, *args)
            if start + a < end:
                b = end - start
                args = low[a:b], reach[a:b], buffers, acc[:, a:]
                count += add_neighbours(kernel, Z, g, start + a, start + a - k, rows.w, rows.Y, *args)
            k += 1
        budget -= 2 * k * (end - start)
        for i in range(start, end):
            for c in range(1 + p):
                state.sums[i, c] = acc[c, i - start]
                for k in range(q):
                    state.dsums[i, k, c] = acc[(1 + k) * (1 + p) + c, i - start]
        start = end
    return start


def neighbour_sums(kernel, rows, g, *, derivatives, rtol=0.0, n_threads=1):
    """`_window.window_sums` in one feature where the queries are all rows, in their order, and each is left out.

    Notes
    -----
    Takes O(n k) time, with k the most rows within reach of one of so many rows that follow each other.
    """
    rows = Rows(*map(read_only, rows))
    (p, n), q = rows.Y.shape, derivatives.count(1)
    compiled = (0,) * (NEAREST if kernel == "nearest" else PROFILES[kernel]).code
    state, log_share = State.empty(n, p, q), log_of_share(rows, rtol)

    def add(start, stop, budget):
        return leave_out_each(compiled, rows, g[0], log_share, start, stop, budget, state)

    run_by_budget(add, n, (1 + p) * (1 + q), n_threads, per_call=_ROWS_PER_CALL)
    return state
