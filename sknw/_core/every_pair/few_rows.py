"""Gaussian sums over few pairs by NumPy, which takes less time than loading compiled loops."""

import numpy as np

from ..problem import State, Wanted

#: Pairs per block: its arrays fit into the second-level cache.
_PAIRS = 2**15


def few_sums(rows, inv_h, Zq, row, *, wanted):
    """Gaussian sums over every pair, exact up to rounding.

    Parameters
    ----------
    rows : Rows
    inv_h : ndarray of shape (d,)
    Zq : ndarray of shape (m, d)
        Queries.
    row : ndarray of shape (m,)
        Training row of each query, or -1.
    wanted : {Wanted.VALUE, Wanted.SCALE}

    Returns
    -------
    State
        Relative to the nearest row.

    Notes
    -----
    O(m n (d + p)) time, about ten times that of the compiled loops. Memory besides the result is negligible.
    """
    state = State.empty(len(Zq), len(rows.Y), wanted.count(len(inv_h)))
    step = max(1, _PAIRS // len(rows.w))
    for start in range(0, len(Zq), step):
        block = slice(start, start + step)
        _add(rows, inv_h, Zq[block], row[block], wanted, state.part(block))
    return state


def _add(rows, inv_h, Zq, row, wanted, state):
    """Write the states of a block of queries."""
    s, w, queries = np.zeros((len(Zq), len(rows.w))), np.tile(rows.w, (len(Zq), 1)), np.flatnonzero(row >= 0)
    with np.errstate(over="ignore"):
        for z, Z, factor in zip(Zq.T, rows.Z, inv_h, strict=True):
            t = (z[:, None] - Z) * factor
            s += t * t
    left_out_weight = rows.w_rest[row[queries]]
    w[queries, row[queries]] = left_out_weight
    s[queries, row[queries]] = np.where(left_out_weight > 0, 0.0, np.inf)
    low = s.min(axis=1)
    state.offset[:] = low
    # If no row is at a finite distance, all weights are zero.
    v = w * np.exp(-0.5 * np.subtract(s, low[:, None], where=np.isfinite(s), out=np.full_like(s, np.inf)))
    _add_up(v, rows.Y, state.sums)
    if wanted == Wanted.SCALE:
        np.multiply(v, s, where=v > 0, out=v)
        _add_up(v, rows.Y, state.derivatives[:, 0])


def _add_up(v, Y, sums):
    """Write the denominators and numerators of weights v.

    A matrix product would be faster, but its rounding may depend on the number of queries.
    """
    sums[:, 0] = v.sum(axis=1)
    for c, y in enumerate(Y):
        sums[:, 1 + c] = (v * y).sum(axis=1)
