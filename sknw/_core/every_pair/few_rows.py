"""The Gaussian over few pairs, by NumPy: where all of them take less time than it takes to load compiled loops."""

import numpy as np

from ..problem import State, Wanted

#: Pairs of a block, whose arrays stay in the second-level cache.
_PAIRS = 2**15


def few_sums(rows, g, Zq, own, *, wanted):
    """`_sums.dense_sums` for the Gaussian, exact to rounding: without derivatives, or with those in the scale.

    Parameters
    ----------
    rows, g, Zq, own
        As the compiled loops take them.
    wanted : {Wanted.VALUE, Wanted.SCALE}

    Returns
    -------
    State

    Notes
    -----
    Takes O(m n (d + p)) time, some ten times as long as compiled loops, and no memory to speak of besides the result.
    """
    state = State.empty(len(Zq), len(rows.Y), wanted.count(len(g)))
    step = max(1, _PAIRS // len(rows.w))
    for start in range(0, len(Zq), step):
        part = slice(start, start + step)
        _add(rows, g, Zq[part], own[part], wanted, state.part(part))
    return state


def _add(rows, g, Zq, own, wanted, state):
    """Write the state of some queries."""
    s, w, mine = np.zeros((len(Zq), len(rows.w))), np.tile(rows.w, (len(Zq), 1)), np.flatnonzero(own >= 0)
    with np.errstate(over="ignore"):
        for z, Z, factor in zip(Zq.T, rows.Z, g, strict=True):
            t = (z[:, None] - Z) * factor
            s += t * t
    rest = rows.w_rest[own[mine]]
    w[mine, own[mine]] = rest
    s[mine, own[mine]] = np.where(rest > 0, 0.0, np.inf)
    low = s.min(axis=1)
    state.offset[:] = low
    # Without a row at a finite distance there is nothing to add up.
    v = w * np.exp(-0.5 * np.subtract(s, low[:, None], where=np.isfinite(s), out=np.full_like(s, np.inf)))
    _add_up(v, rows.Y, state.sums)
    if wanted == Wanted.SCALE:
        np.multiply(v, s, where=v > 0, out=v)
        _add_up(v, rows.Y, state.derivatives[:, 0])


def _add_up(v, Y, sums):
    """Write the mass and the moments of weights v; products of matrices would depend on how many queries there are."""
    sums[:, 0] = v.sum(axis=1)
    for c, y in enumerate(Y):
        sums[:, 1 + c] = (v * y).sum(axis=1)
