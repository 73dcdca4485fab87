"""Weighted averages from kernel sums, and predictions for empty neighborhoods."""

import math
from typing import NamedTuple

import numpy as np

from .._core.dispatch import kernel_sums
from .._core.kernels import KERNELS
from .._core.problem import SMALLEST_MASS, State, Wanted, read_only
from .._core.runtime.threads import in_cache, run_blocks
from .sample import power_of_two


class Averages(NamedTuple):
    """Predictions for m queries.

    Attributes
    ----------
    means : ndarray of shape (m, p)
        Weighted averages of the targets, in the units of `Sample.Y`.
    is_empty : ndarray of shape (m,), bool
        Queries with an empty neighborhood, whose prediction follows `empty`.
    state : State
        Kernel sums, including derivatives if they are wanted.
    """

    means: np.ndarray
    is_empty: np.ndarray
    state: State


def average(problem, *, empty="nearest", algorithm="auto", n_threads=1, state=None, prepared=None):
    """Weighted average of the targets for each query.

    Parameters
    ----------
    problem : Problem
    empty : {"nearest", "mean", "nan"}
        Prediction for queries with an empty neighborhood.
    algorithm : str
        As in `kernel_sums`.
    n_threads : int
    state : State, default=None
        Kernel sums of the problem, if they have been computed already.
    prepared : Prepared, default=None
        Prepared rows for the same rows and setting.

    Returns
    -------
    Averages
    """
    m, p = len(problem.queries.Z), len(problem.rows.Y)
    if not len(problem.setting.inv_h):  # every row has the same weight
        state = State.empty(m, p)
        return Averages(global_means(problem, n_threads), np.zeros(m, dtype=bool), state)
    if state is None:
        state = kernel_sums(problem, algorithm, n_threads=n_threads, prepared=prepared)
    kernel, denominator = problem.setting.kernel, state.sums[:, 0]
    check_profile(kernel, denominator)
    is_empty, means = np.empty(m, dtype=bool), np.empty((p, m)).T

    def divide(start, stop):
        part = slice(start, stop)
        np.less(denominator[part], SMALLEST_MASS, out=is_empty[part])
        np.divide(state.sums[part, 1:], np.where(is_empty[part], 1, denominator[part])[:, None], out=means[part])

    run_blocks(divide, in_cache(m), n_threads)
    if is_empty.any():
        _fill(means, is_empty, problem, empty, n_threads)
    return Averages(means, is_empty & can_be_empty(kernel), state)


def can_be_empty(kernel):
    """Whether a kernel can have empty neighborhoods; the support of a user's profile is unknown."""
    return callable(kernel) or math.isfinite(KERNELS[kernel].reach)


#: Number of consecutive rows at equal coordinates up to which a search among neighbors takes no noticeable time.
_TIED = 64


def _fill(means, is_empty, problem, empty, n_threads):
    """Overwrite the predictions of queries whose denominator vanishes.

    For kernels of infinite support the denominator has underflowed. The average then tends to that of the nearest rows.
    """
    if empty != "nearest" and can_be_empty(problem.setting.kernel):
        means[is_empty] = global_means(problem.at(is_empty), n_threads) if empty == "mean" else np.nan
        return
    # In one feature, finding the nearest rows of all training rows takes less time than for a subset.
    z, in_order = problem.queries.Z[:, 0], problem.queries.kind in ("all", "run") and len(problem.setting.inv_h) == 1
    if in_order and (z[_TIED:] > z[:-_TIED]).all():
        means[is_empty] = nearest_means(problem, n_threads)[is_empty]
    else:
        means[is_empty] = nearest_means(problem.at(is_empty), n_threads)


def nearest_means(problem, n_threads=1):
    """Averages over the nearest rows of each query."""
    problem = of_nearest(problem)
    state = kernel_sums(problem, n_threads=n_threads)
    overflows = np.isinf(state.offset)
    if overflows.any():
        state.sums[overflows] = kernel_sums(without_overflow(problem.at(overflows)), n_threads=n_threads).sums
    return state.sums[:, 1:] / state.sums[:, :1]


def of_nearest(problem):
    """The problem in the limit of small bandwidths."""
    return problem._replace(setting=problem.setting._replace(kernel="nearest", wanted=Wanted.VALUE, single=False))


def global_means(problem, n_threads=1):
    """Averages over all rows, with one observation left out for training rows; O(m + n) time."""
    rows, row, m = problem.rows, problem.queries.row, len(problem.queries.Z)
    out, blocks, total = np.empty((len(rows.Y), m)).T, in_cache(len(rows.w)), rows.w.sum()
    numerators = sum((rows.w[start:stop] * rows.Y[:, start:stop]).sum(axis=1) for start, stop in blocks)
    if row is None:
        out[:] = numerators / total
        return out

    def leave_out(start, stop):
        numbers = row[start:stop]
        at = as_slice(numbers)
        v = np.where(numbers >= 0, rows.w[at] - rows.w_rest[at], 0.0)
        # If the remaining weight is at least as large as the removed one, the difference is as accurate as a sum,
        # because abs(y) is bounded. At most one row is heavier than the rest; its average is summed up directly.
        left = total - v
        heavy = np.flatnonzero(v > left)
        left[heavy] = total
        for c, y in enumerate(rows.Y):
            out[start:stop, c] = (numerators[c] - v * y[at]) / left
        for i in heavy:
            w = rows.w.copy()
            w[numbers[i]] = rows.w_rest[numbers[i]]
            out[start + i] = (w * rows.Y).sum(axis=1) / w.sum()

    run_blocks(leave_out, in_cache(m), n_threads)
    return out


def as_slice(numbers):
    """Consecutive increasing numbers as a slice, which selects a view; other numbers unchanged."""
    if len(numbers) and numbers[0] >= 0 and (numbers[1:] - numbers[:-1] == 1).all():
        return slice(numbers[0], numbers[-1] + 1)
    return numbers


def without_overflow(problem):
    """The problem in units in which squared distances do not overflow."""
    rows, queries, inv_h = problem.rows, problem.queries, problem.setting.inv_h
    unit = power_of_two(max(np.abs(rows.Z).max(), np.abs(queries.Z).max()))
    return problem._replace(
        setting=problem.setting._replace(inv_h=inv_h / power_of_two(inv_h.max())),
        rows=rows._replace(Z=read_only(rows.Z / unit)),
        queries=queries._replace(Z=read_only(queries.Z / unit)),
    )


def check_profile(kernel, values):
    """Raise if a user's profile has returned negative or non-finite weights."""
    if callable(kernel) and not (np.isfinite(values).all() and (values >= 0).all()):
        raise ValueError(
            f"The kernel {kernel!r} returned negative or non-finite weights. A profile k(s) must be finite and "
            "non-negative for every squared scaled distance s >= 0."
        )
