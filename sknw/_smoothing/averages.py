"""From kernel sums to averages, and answers to queries with an empty neighborhood."""

import math
from typing import NamedTuple

import numpy as np

from .._core.dispatch import kernel_sums
from .._core.kernels import KERNELS
from .._core.problem import SMALLEST_MASS, State, Wanted, read_only
from .._core.runtime.threads import in_cache, run_blocks
from .sample import power_of_two


class Averages(NamedTuple):
    """Answers to m queries.

    Attributes
    ----------
    means : ndarray of shape (m, p)
        Weighted averages of the targets, in the sample's units.
    is_empty : ndarray of shape (m,), bool
        Queries with no row within the support, answered as `empty` says.
    state : State
        The sums, with their derivatives if these are wanted.
    """

    means: np.ndarray
    is_empty: np.ndarray
    state: State


def average(problem, *, empty="nearest", algorithm="auto", n_threads=1, state=None, prepared=None):
    """Weighted averages of the targets for each query.

    Parameters
    ----------
    problem : Problem
    empty : {"nearest", "mean", "nan"}
        The answer where no row is within the support.
    algorithm, n_threads
        As in `kernel_sums`.
    state : State, default=None
        The sums, if they are known already.
    prepared : Prepared, default=None
        Of the same rows and setting.

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
    """Whether a query may have no row within the support; that of a user's profile is not known."""
    return callable(kernel) or math.isfinite(KERNELS[kernel].reach)


#: Rows at one place of which all are compared to find one beside them: so many take no noticeable time.
_TIED = 64


def _fill(means, is_empty, problem, empty, n_threads):
    """Answer the queries without a row within the support. A kernel that never vanishes has its limit there."""
    if empty != "nearest" and can_be_empty(problem.setting.kernel):
        means[is_empty] = global_means(problem.at(is_empty), n_threads) if empty == "mean" else np.nan
        return
    # In one feature, the nearest of each of all rows is found in less time than that of some.
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
    """The problem with the limit of small bandwidths for a kernel."""
    return problem._replace(setting=problem.setting._replace(kernel="nearest", wanted=Wanted.VALUE, single=False))


def global_means(problem, n_threads=1):
    """Averages over all rows, of which one observation is left out for training rows; O(m + n) time."""
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
        # Where no less stays than goes, a difference is as good as a sum, |y| being bounded; at most one is heavier.
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
    """Numbers that count up as a slice, of which an array is a view; others as they are."""
    if len(numbers) and numbers[0] >= 0 and (numbers[1:] - numbers[:-1] == 1).all():
        return slice(numbers[0], numbers[-1] + 1)
    return numbers


def without_overflow(problem):
    """The problem with distances in another unit, in which none overflows."""
    rows, queries, inv_h = problem.rows, problem.queries, problem.setting.inv_h
    unit = power_of_two(max(np.abs(rows.Z).max(), np.abs(queries.Z).max()))
    return problem._replace(
        setting=problem.setting._replace(inv_h=inv_h / power_of_two(inv_h.max())),
        rows=rows._replace(Z=read_only(rows.Z / unit)),
        queries=queries._replace(Z=read_only(queries.Z / unit)),
    )


def check_profile(kernel, values):
    """Raise if a user's profile has given weights that cannot be averaged with."""
    if callable(kernel) and not (np.isfinite(values).all() and (values >= 0).all()):
        raise ValueError(
            f"The kernel {kernel!r} gave weights that are negative or not finite; a profile k(s) must be finite and "
            "non-negative for every squared scaled distance s >= 0."
        )
