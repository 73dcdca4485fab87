"""Squared leave-one-out errors from the kernel sums of each row: exact, and the only engine that knows `empty`."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .._core.costs import worth_a_second_pass
from .._core.dispatch import choose, gradient, in_ascending_order, ladder_sums
from .._core.problem import LEAST_RTOL, Prepared, Problem, Queries, Setting, Wanted, read_only
from .._core.runtime.threads import run_blocks
from .._core.within_reach.engines import LeaveOneOut
from .._smoothing.averages import average
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


def sums_of(problem, numbers=None, wanted=None):
    """Return the kernel sums of some rows, of all by default, that the errors are made of."""
    settings, rows = problem.settings, problem.rows
    setting = Setting(settings.kernel, problem.metric.g, problem.wanted if wanted is None else wanted, settings.rtol)
    return Problem(setting, rows, Queries.all(rows) if numbers is None else Queries.of_rows(rows, numbers))


def plan(problem):
    """Return the name of the algorithm for the sums of all rows; "mean" if no feature has a finite bandwidth."""
    if not len(problem.metric.g):
        return "mean"
    return choose(in_ascending_order(sums_of(problem))[0], problem.settings.algorithm).engine.name


def takes_linear_time(problem):
    """Return whether all errors take a time in proportion to the rows, however many are within the support."""
    settings, g = problem.settings, problem.metric.g
    if not len(g):
        return True
    if callable(settings.kernel) or settings.algorithm in ("dense", "window"):
        return False
    if len(g) == 1:  # sums that neither slide nor use cells have windows of few rows
        return settings.kernel != "gaussian" or settings.rtol >= LEAST_RTOL
    if settings.kernel != "gaussian":
        return False
    layout = choose(sums_of(problem, wanted=Wanted.VALUE), settings.algorithm).layout
    return layout is not None and math.prod(axis.length for axis in layout.axes) <= len(problem.rows.w) / _ROWS_PER_CELL


#: Cells of fewer rows than that take more time, and memory, than in proportion to the rows.
_ROWS_PER_CELL = 32


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
    rows, q = problem.rows, problem.n_derivatives
    way = _way(problem)
    numbers = np.arange(len(rows.w)) if problem.queries is None else problem.queries
    residuals = {}

    def add_up(start, stop):
        block = numbers[start:stop]
        weights = None if problem.weights is None else problem.weights[start:stop]
        residuals[start] = _residuals(problem, block, weights, way)
        if squares is not None:
            squares[start:stop] = residuals[start].squares

    run_blocks(add_up, [(start, start + way.step) for start in range(0, len(numbers), way.step)], way.n_blocks)
    return _total([residuals[start] for start in sorted(residuals)], q)


class _Way(NamedTuple):
    """How the sums of an `ErrorProblem` are computed.

    Attributes
    ----------
    prepared : Prepared, or None
        Rows for all blocks; None where each block prepares them.
    algorithm : str
    is_adjoint : bool
        Whether gradients come from a second pass over all pairs, which takes less time than derivatives of each sum.
    step : int
        Rows of a block, whose sums fit into memory, or into the cache.
    n_threads, n_blocks : int
        Threads in a block, and blocks on threads.
    """

    prepared: Prepared | None
    algorithm: str
    is_adjoint: bool
    step: int
    n_threads: int
    n_blocks: int


def _way(problem):
    """Choose an engine once for all blocks."""
    settings, g, q, rows = problem.settings, problem.metric.g, problem.n_derivatives, problem.rows
    n_queries, n_threads = problem.size, settings.n_threads
    if not len(g):
        return _Way(None, settings.algorithm, False, max(64, SUMS_AT_A_TIME // (1 + len(rows.Y))), n_threads, 1)
    whole = sums_of(problem, problem.queries)
    is_sorted = problem.is_sorted or in_ascending_order(whole)[1] is None
    is_adjoint = worth_a_second_pass(len(g), problem.wanted) and plan(problem) == "dense"
    wanted, algorithm = (Wanted.VALUE, "dense") if is_adjoint else (problem.wanted, settings.algorithm)
    step = max(64, SUMS_AT_A_TIME // ((1 if is_adjoint else 1 + q) * (1 + len(rows.Y))))
    if not is_sorted:
        return _Way(None, algorithm, is_adjoint, step, n_threads, 1)
    whole = whole._replace(setting=whole.setting._replace(wanted=wanted))
    chosen, n_blocks = choose(whole, algorithm), 1
    if problem.queries is None and isinstance(chosen.engine, LeaveOneOut):
        step, n_threads, n_blocks = _ROWS_AT_A_TIME, 1, n_threads  # blocks on threads, instead of threads in a block
    elif step < n_queries:
        chosen = choose(whole.at(np.arange(step)), algorithm)
    return _Way(chosen.engine.prepare(rows.read_only(), chosen), algorithm, is_adjoint, step, n_threads, n_blocks)


def _residuals(problem, numbers, weights, way):
    """Compute the residuals of some rows, with slopes by either way."""
    wanted = Wanted.VALUE if way.is_adjoint else problem.wanted
    whole = len(numbers) == len(problem.rows.w) and problem.queries is None
    sums = sums_of(problem, None if whole else numbers, wanted)
    known = {"algorithm": way.algorithm, "n_threads": way.n_threads, "prepared": way.prepared}
    averages = average(sums, empty=answer_to_empty(problem.settings.empty), **known)
    options = {"n_derivatives": problem.n_derivatives, "adjoint": way.is_adjoint, "n_threads": way.n_threads}
    residuals = squared_residuals(problem.rows, numbers, averages, weights=weights, **options)
    if not way.is_adjoint:
        return residuals
    sums = sums._replace(setting=sums.setting._replace(wanted=problem.wanted))
    slope = gradient(sums, averages.state.offset, residuals.adjoints, way.n_threads)
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
    rows, settings = first.rows.read_only(), first.settings
    numbers = np.arange(len(rows.w)) if first.queries is None else first.queries
    sums = sums_of(first, first.queries)
    sums = sums._replace(setting=sums.setting._replace(rtol=min(settings.rtol, _RTOL_OF_LADDER)), rows=rows)
    results = []
    for rung, state in zip(rungs, ladder_sums(sums, rungs, settings.n_threads), strict=True):
        setting = sums.setting._replace(inv_h=first.metric.g * 2 ** (rung / 2))
        known = {"empty": answer_to_empty(settings.empty), "n_threads": settings.n_threads, "state": state}
        averages = average(sums._replace(setting=setting), **known)
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
    setting = Setting(settings.kernel, metric.g, wanted, settings.rtol)
    known = {"empty": settings.empty, "algorithm": settings.algorithm, "n_threads": settings.n_threads}
    for start in range(0, len(numbers), step):
        block = numbers[start : start + step]
        Z = rows.Z.T if len(block) == n else rows.Z.T[block]
        yield block, average(Problem(setting, rows, Queries(read_only(Z))), **known)


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
    setting, rows = Setting(settings.kernel, metric.g, Wanted.VALUE, settings.rtol), metric.rows(sample)
    queries = Queries(read_only(metric.coordinates(test.X))) if numbers is None else Queries.of_rows(rows, numbers)
    empty, algorithm, n_threads = answer_to_empty(settings.empty), settings.algorithm, settings.n_threads
    means = average(Problem(setting, rows, queries), empty=empty, algorithm=algorithm, n_threads=n_threads).means
    return np.mean((means - test.Y.T) ** 2, axis=1)
