"""Squared leave-one-out errors from the kernel sums of each row: exact, and the only engine that knows `empty`."""

from __future__ import annotations

import numpy as np

from .._core import (
    Derivatives,
    chosen_algorithm,
    goes_backward,
    kernel_sums_of_scales,
    neighbours_of,
    pull_back,
    run_blocks,
    takes_linear_time,
)
from .._smoothing.averages import as_slice, average
from .problem import Errors, PartialErrors
from .residuals import squared_residuals

#: Name of the error engine.
NAME = "rows"


#: Derivatives of this many sums are held at a time (128 MiB).
SUMS_AT_A_TIME = 2**24


#: Rows whose sums, and everything that is computed from them, stay in the second-level cache.
_ROWS_AT_A_TIME = 2**16


def answer_to_empty(empty):
    """Return what predicts a row without others in its neighborhood: leave-one-out always has an answer."""
    return "nearest" if empty == "nearest" else "mean"


def plan(problem):
    """Return the name of the algorithm for the sums of all rows."""
    settings = problem.settings
    return chosen_algorithm(
        settings.kernel,
        problem.rows,
        problem.metric.g,
        derivatives=problem.wanted,
        algorithm=settings.algorithm,
        rtol=settings.rtol,
        in_order=problem.is_sorted,
    )


def is_linear(sample, metric, settings):
    """Return whether the sums of all rows take linear time, however many rows a neighborhood holds."""
    options = {"algorithm": settings.algorithm, "rtol": settings.rtol}
    return takes_linear_time(settings.kernel, metric.rows(sample), metric.g, **options)


def errors(problem, squares=None):
    """Compute the squared errors of all queries from their sums.

    Parameters
    ----------
    problem : ErrorProblem
    squares : ndarray of shape (m,), default=None
        Overwritten with weights times squared errors.

    Returns
    -------
    PartialErrors
        No query is uncertain.

    Notes
    -----
    With every pair O(m n (d + p)) time, gradients by reverse mode included; in a few features O(m n q p) more.
    O(n (d + p)) memory.
    """
    rows, settings, q = problem.rows, problem.settings, problem.n_derivatives
    is_adjoint = _has_adjoint(problem)
    step = max(64, SUMS_AT_A_TIME // ((1 if is_adjoint else 1 + q) * (1 + len(rows.Y))))
    neighbors, n_threads, n_blocks = None, settings.n_threads, 1
    if problem.is_sorted and problem.queries is None and plan(problem) == "window":
        options = {"derivatives": problem.wanted, "rtol": settings.rtol}
        neighbors = neighbours_of(settings.kernel, rows, problem.metric.g, **options)
        step, n_threads, n_blocks = _ROWS_AT_A_TIME, 1, n_threads  # blocks on threads, instead of threads in a block
    numbers = np.arange(len(rows.w)) if problem.queries is None else problem.queries
    residuals = {}

    def add_up(start, stop):
        block = numbers[start:stop]
        state = neighbors.sums(start, min(stop, len(numbers))) if neighbors else None
        weights = None if problem.weights is None else problem.weights[start:stop]
        args = problem, block, weights, state, is_adjoint, n_threads
        residuals[start] = _residuals(*args)
        if squares is not None:
            squares[start:stop] = residuals[start].squares

    run_blocks(add_up, [(start, start + step) for start in range(0, len(numbers), step)], n_blocks)
    return _total([residuals[start] for start in sorted(residuals)], q)


def _has_adjoint(problem):
    """Return whether a second pass over all pairs takes less time than the derivatives of each sum."""
    settings = problem.settings
    options = {"derivatives": problem.wanted, "algorithm": settings.algorithm, "rtol": settings.rtol}
    return goes_backward(settings.kernel, problem.rows, problem.metric.g, **options)


def _residuals(problem, numbers, weights, state, is_adjoint, n_threads):
    """Compute the residuals of some rows, with slopes by either way."""
    rows, g, settings, wanted = problem.rows, problem.metric.g, problem.settings, problem.wanted
    Z = rows.Z.T[as_slice(numbers)]
    averages = average(
        settings.kernel,
        rows,
        g,
        Z,
        numbers,
        empty=answer_to_empty(settings.empty),
        state=state,
        derivatives=Derivatives.NOTHING if is_adjoint else wanted,
        algorithm="dense" if is_adjoint else settings.algorithm,
        rtol=settings.rtol,
        in_order=problem.is_sorted,
        n_threads=n_threads,
    )
    options = {"n_derivatives": problem.n_derivatives, "adjoint": is_adjoint, "n_threads": n_threads}
    residuals = squared_residuals(rows, numbers, averages, weights=weights, **options)
    if not is_adjoint:
        return residuals
    args = Z, numbers, averages.state.shift, residuals.adjoints
    slope = pull_back(settings.kernel, rows, g, *args, derivatives=wanted, rtol=settings.rtol, n_threads=n_threads)
    return residuals._replace(slope=residuals.slope + slope, adjoints=None)


def _total(residuals, n_derivatives):
    """Add up the residuals of blocks."""
    weight, error, slope = 0.0, 0.0, np.zeros(n_derivatives)
    for block in residuals:
        weight, error, slope = weight + block.weight, error + block.error, slope + block.slope
    return PartialErrors(weight, error, slope, np.zeros(0, dtype=np.int64))


def errors_of_ladder(problems, rungs):
    """Compute the squared errors of all queries at bandwidths of a ladder, in one pass over all pairs.

    Parameters
    ----------
    problems : list of ErrorProblem
        By bandwidth, the widest first; derivatives are NOTHING or SCALE.
    rungs : list of int
        Each bandwidth is the first one times ``2**(-rung / 2)``.

    Returns
    -------
    list of Errors
    """
    first = problems[0]
    rows, settings, wanted = first.rows, first.settings, first.wanted
    numbers = np.arange(len(rows.w)) if first.queries is None else first.queries
    Z = rows.Z.T[as_slice(numbers)]
    how = {"derivatives": wanted, "rtol": min(settings.rtol, _RTOL_OF_LADDER), "n_threads": settings.n_threads}
    states = kernel_sums_of_scales(settings.kernel, rows, first.metric.g, Z, numbers, places=rungs, **how)
    results = []
    for rung, state in zip(rungs, states, strict=True):
        args = settings.kernel, rows, first.metric.g * 2 ** (rung / 2), Z, numbers
        averages = average(*args, empty=answer_to_empty(settings.empty), state=state, algorithm="auto", **how)
        options = {"n_derivatives": first.n_derivatives, "n_threads": settings.n_threads}
        residuals = squared_residuals(rows, numbers, averages, weights=first.weights, **options)
        results.append(Errors(residuals.weight, residuals.error, residuals.slope, residuals.squares, "ladder"))
    return results


#: More digits than are asked for take hardly any time in a ladder.
_RTOL_OF_LADDER = 1e-12


def fits(sample, metric, settings, wanted, queries=None):
    """Yield row numbers and averages of the fit, in which each row predicts itself, for blocks of rows."""
    rows, n, q = metric.rows(sample), len(sample.w), wanted.count(len(metric.g))
    numbers = np.arange(n) if queries is None else queries
    step = max(64, SUMS_AT_A_TIME // ((1 + q) * (1 + len(rows.Y))))
    options = settings._asdict() | {"derivatives": wanted}
    kernel = options.pop("kernel")
    for start in range(0, len(numbers), step):
        block = numbers[start : start + step]
        Z = rows.Z.T if len(block) == n else rows.Z.T[block]
        yield block, average(kernel, rows, metric.g, Z, **options)


def squared_errors_of(test, sample, metric, settings, numbers=None):
    """Compute the mean over outputs of the squared error of each row of a data set.

    Parameters
    ----------
    test : Sample
        Rows that are predicted.
    sample : Sample
        Rows that predict, in the same units.
    metric : Metric
    settings : Settings
    numbers : ndarray of shape (m,), default=None
        For leave-one-out: which row of `sample` each row of `test` is.

    Returns
    -------
    ndarray of shape (m,)
    """
    options = settings._replace(empty=answer_to_empty(settings.empty))._asdict()
    kernel = options.pop("kernel")
    args = kernel, metric.rows(sample), metric.g, metric.coordinates(test.X), numbers
    return np.mean((average(*args, **options).means - test.Y.T) ** 2, axis=1)
