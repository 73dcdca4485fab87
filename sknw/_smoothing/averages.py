"""From sums to averages: prepared data, the coordinates of a bandwidth, and answers where nobody is in reach."""

import math
from typing import NamedTuple

import numpy as np

from .._core import (
    PROFILES,
    SMALLEST_MASS,
    Derivatives,
    State,
    in_cache,
    kernel_sums,
    run_blocks,
)
from .sample import power_of_two


class Averages(NamedTuple):
    """Answers to m queries.

    Attributes
    ----------
    means : ndarray of shape (m, p)
        Weighted averages of the targets, in the sample's units.
    void : ndarray of shape (m,), bool
        Queries with no row in reach, answered as `empty` says.
    state : State
        The sums, with their derivatives if these were asked for.
    """

    means: np.ndarray
    void: np.ndarray
    state: State


def average(kernel, rows, g, Zq, own=None, *, empty="nearest", derivatives=Derivatives.NOTHING, state=None, **how):
    """Weighted averages of the targets for each query.

    Parameters, and how the sums are formed (`algorithm`, `rtol`, `n_threads`), as in `kernel_sums`; `empty` is
    "nearest", "mean" or "nan"; `state` is what `kernel_sums` would give, if somebody has it already.

    Returns
    -------
    Averages
    """
    if not len(g):  # every row has the same weight
        m, p = len(Zq), len(rows.Y)
        state = State(np.broadcast_to(np.inf, m), np.broadcast_to(0.0, (m, 1 + p)), np.empty((m, 0, 1 + p)), np.broadcast_to(0.0, (m, 2)))
        return Averages(_means(None, rows, g, Zq, own, how), np.zeros(len(Zq), dtype=bool), state)
    if state is None:
        state = kernel_sums(kernel, rows, g, Zq, own, derivatives=derivatives, **how)
    mass = state.sums[:, 0]
    check_profile(kernel, mass)
    void, means = np.empty(len(mass), dtype=bool), np.empty((len(rows.Y), len(mass))).T

    def divide(start, stop):
        part = slice(start, stop)
        np.less(mass[part], SMALLEST_MASS, out=void[part])
        np.divide(state.sums[part, 1:], np.where(void[part], 1, mass[part])[:, None], out=means[part])

    run_blocks(divide, in_cache(len(mass)), how.get("n_threads", 1))
    fill_void(_means, means, void, kernel, rows, g, Zq, own, empty, how)
    return Averages(means, void & can_be_empty(kernel), state)


def can_be_empty(kernel):
    """Whether a query may have no row in reach. Of a user's profile nothing is known."""
    return callable(kernel) or math.isfinite(PROFILES[kernel].reach)


#: So many equal rows, all of which are looked at for one beside them, take no noticeable time.
_FEW = 64


def fill_void(compute, out, void, kernel, rows, g, Zq, own, empty, how):
    """Answer the queries that no row is in reach of. A kernel that never vanishes has its limit there."""
    if not void.any():
        return
    # Where it is next to each, in all rows of one feature, one is looked for in less time than said where.
    z, in_order = Zq[:, 0], "in_order" in how and own[-1] - own[0] == len(own) - 1
    if compute is _means and empty == "nearest" and in_order and (z[_FEW:] > z[:-_FEW]).all():
        out[void] = _means("nearest", rows, g, Zq, own, how)[void]
        return
    own = None if own is None else own[void]
    if empty == "nearest" or not can_be_empty(kernel):
        out[void] = compute("nearest", rows, g, Zq[void], own, how)
    else:
        out[void] = compute(None, rows, g, Zq[void], own, how) if empty == "mean" else np.nan


def _means(kernel, rows, g, Zq, own, how):
    """Averages over the nearest rows, or over all (`kernel` None); O(m + n) for the latter."""
    if kernel is not None:
        state = kernel_sums(kernel, rows, g, Zq, own, **how)
        lost = np.isinf(state.shift)
        if lost.any():
            rows, g, Zq = without_overflow(rows, g, Zq[lost])
            again = kernel_sums(kernel, rows, g, Zq, None if own is None else own[lost], **how)
            state.sums[lost] = again.sums
        return state.sums[:, 1:] / state.sums[:, :1]
    out, everyone = np.empty((len(rows.Y), len(Zq))).T, in_cache(len(rows.w))
    mass = rows.w.sum()
    moments = sum((rows.w[start:stop] * rows.Y[:, start:stop]).sum(axis=1) for start, stop in everyone)
    if own is None:
        out[:] = moments / mass
        return out

    def leave_out(start, stop):
        part = own[start:stop]
        mine = as_slice(part)
        v = np.where(part >= 0, rows.w[mine] - rows.w_rest[mine], 0.0)
        # Where no less stays than goes, a difference is as good as a sum, |y| being bounded; at most one is heavier.
        rest = mass - v
        heavy = np.flatnonzero(v > rest)
        rest[heavy] = mass
        for c, y in enumerate(rows.Y):
            out[start:stop, c] = (moments[c] - v * y[mine]) / rest
        for i in heavy:
            w = rows.w.copy()
            w[part[i]] = rows.w_rest[part[i]]
            out[start + i] = (w * rows.Y).sum(axis=1) / w.sum()

    run_blocks(leave_out, in_cache(len(own)), how.get("n_threads", 1))
    return out


def as_slice(numbers):
    """Numbers that count up as a slice, of which an array is a view; others as they are."""
    if len(numbers) and numbers[0] >= 0 and (numbers[1:] - numbers[:-1] == 1).all():
        return slice(numbers[0], numbers[-1] + 1)
    return numbers


def without_overflow(rows, g, Zq):
    """The same rows and queries with distances in another unit, in which none overflows."""
    unit = power_of_two(max(np.abs(rows.Z).max(), np.abs(Zq).max()))
    return rows._replace(Z=rows.Z / unit), g / power_of_two(g.max()), Zq / unit


def check_profile(kernel, values):
    """Raise if a user's profile has given weights that cannot be averaged with."""
    if callable(kernel) and not (np.isfinite(values).all() and (values >= 0).all()):
        raise ValueError(
            f"The kernel {kernel!r} gave weights that are negative or not finite; a profile k(s) must be finite and "
            "non-negative for every squared scaled distance s >= 0."
        )
