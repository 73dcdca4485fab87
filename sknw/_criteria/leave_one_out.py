r"""The leave-one-out error: choose an error engine, and complete what it cannot certify.

.. math:: C = \frac{1}{\sum_i w_i} \sum_i w_i \frac{1}{p} \sum_c (m_{-i,c}(x_i) - y_{ic})^2

Three engines compute the sum of squared errors, or part of it::

    by_nodes        the Gaussian, of all rows: whole cells of rows at a time
    by_segments     polynomial kernels of one feature: runs of rows with overlapping windows at a time
    by_rows         every kernel: from the sums of each row, at many bandwidths of a ladder in one pass

An engine has two functions. ``plan(problem)`` returns None where the engine does not apply or takes longer than
`by_rows`. ``errors(problem)`` returns `PartialErrors`: sums over the rows that its bounds certify, and the numbers of
all others, which `by_rows` computes.
"""

from __future__ import annotations

import math

import numpy as np

from .._core import KERNELS, LAST_RUNG, Wanted
from .._smoothing.sample import can_leave_out
from . import by_nodes, by_rows, by_segments
from .problem import ErrorProblem, Errors

#: Up to so many pairs, some milliseconds of work, no further loops are compiled.
_NOT_WORTH_COMPILING = 2**22


#: With fewer rows an evaluation takes less than a millisecond, and a first fit should not wait for the compilation of
#: another loop.
_FEWEST_FOR_LADDER = 256


#: Up to so many rows, a bandwidth in a ladder of the Gaussian takes less time than with any other algorithm.
_QUICK_LADDER = 1000


#: Logarithm of the ratio of two neighboring rungs; bandwidths of a ladder are at most so many rungs apart.
HALF_OCTAVE = 0.5 * math.log(2)


_WIDEST_GAP = 2


def leave_one_out(
    sample,
    metrics,
    settings,
    *,
    wanted=Wanted.VALUE,
    queries=None,
    weights=None,
    prepared=None,
    each=False,
):
    """Compute the summed squared leave-one-out errors for each of some bandwidths.

    Parameters
    ----------
    sample, metrics, settings, wanted, queries, weights, prepared
        As in `problems_of`.
    each : bool, default=False
        Return the squared errors of single rows, too.

    Returns
    -------
    list of Errors
        For each bandwidth, in the sample's units; `mean` is the leave-one-out error.
    """
    options = {"wanted": wanted, "queries": queries, "weights": weights, "prepared": prepared}
    results = {}
    for numbers, errors in solve(problems_of(sample, metrics, settings, **options), each=each):
        results |= zip(numbers, errors, strict=True)
    return [results[i] for i in range(len(metrics))]


def problems_of(sample, metrics, settings, *, wanted=Wanted.VALUE, queries=None, weights=None, prepared=None):
    """Return the problems of some bandwidths.

    Parameters
    ----------
    sample : Sample
    metrics : list of Metric
        Bandwidths.
    settings : Settings
        A row with an empty neighborhood is predicted as `empty` says, by the mean if that is "nan" or "raise": no row
        is left out of the criterion. Its derivatives are 0.
    wanted : Wanted, default=Wanted.VALUE
    queries : ndarray of shape (m,), default=None
        Numbers of the rows whose errors are summed, in ascending order for one feature; None for all rows. All rows
        predict.
    weights : ndarray of shape (m,), default=None
        Factors of the squared errors; None for the weights of the rows.
    prepared : Prepared, default=None
        Moments that are shared by all bandwidths.

    Returns
    -------
    list of ErrorProblem
    """
    is_sorted, problems = sample.X.shape[1] == 1, []
    for metric in metrics:
        has_nodes = prepared is not None and queries is None and wanted != Wanted.PAIRS
        nodes = prepared.nodes(metric, settings.rtol) if has_nodes else None
        args = metric.rows(sample), metric, settings, wanted, queries, weights, is_sorted, nodes
        problems.append(ErrorProblem(*args))
    return problems


def solve(problems, *, each=False):
    """Compute the errors of problems that differ in their bandwidths only.

    Parameters
    ----------
    problems : list of ErrorProblem
        Bandwidths of a ladder are evaluated in one pass where every pair is visited anyway.
    each : bool, default=False
        Compute the squared errors of single rows, too.

    Yields
    ------
    numbers : list of int
        Problems that were solved together.
    errors : list of Errors

    Notes
    -----
    For every pair O(n² (d + p)) time, gradients by reverse mode included; in a few features O(n² q p) more.
    O(n (d + p)) memory.
    """
    single = set(range(len(problems)))
    for numbers, rungs in _ladders(problems):
        single -= set(numbers)
        yield numbers, by_rows.errors_of_ladder([problems[i] for i in numbers], rungs)
    for i in sorted(single):
        yield [i], [_errors(problems[i], each)]


def engine_of(sample, metric, settings, prepared=None):
    """Return "nodes", "segments" or the name of the algorithm that computes the sums of each row."""
    [problem] = problems_of(sample, [metric], settings, prepared=prepared)
    return by_nodes.plan(problem) or by_segments.plan(problem) or by_rows.plan(problem)


def _errors(problem, each):
    """Compute the errors at one bandwidth."""
    squares = np.zeros(problem.size) if each else None
    if not each and by_nodes.plan(problem):
        name, known = by_nodes.NAME, by_nodes.errors(problem)
    elif by_segments.plan(problem):
        name, known = by_segments.NAME, by_segments.errors(problem, squares)
    else:
        known = by_rows.errors(problem, squares)
        return Errors(known.weight, known.error, known.slope, squares)
    weight, error, slope, uncertain = known
    if len(uncertain):
        if len(uncertain) == problem.size:
            name = by_rows.NAME
        elif problem.is_sorted and len(uncertain) * len(problem.rows.w) <= _NOT_WORTH_COMPILING:
            # Narrow bandwidths need its loops anyway.
            problem = problem._replace(settings=problem.settings._replace(algorithm="window"))
        values = None if squares is None else np.empty(len(uncertain))
        others = by_rows.errors(problem.at(uncertain), values)
        weight, error, slope = weight + others.weight, error + others.error, slope + others.slope
        if squares is not None:
            squares[uncertain] = values
    return Errors(weight, error, slope, squares, name)


def _ladders(problems):
    """Yield numbers and rungs of the problems that are to be solved in one pass, those of a ladder at a time."""
    if len(problems) < 2 or not _may_be_ladder(problems[0]):
        return
    widest_first = sorted(
        range(len(problems)), key=lambda i: problems[i].metric.g[0] if problems[i].metric.g.size else 0
    )
    visit_pairs = []
    for i in widest_first:
        problem = problems[i]
        if not len(problem.metric.g) or by_nodes.is_covered(problem.nodes, problem.metric):
            continue
        if not _visits_every_pair(problem):
            if visit_pairs:  # nor do narrower ones
                break
            continue
        visit_pairs.append(i)
    while visit_pairs:
        numbers, rungs = _ladder(problems, visit_pairs)
        if len(numbers) > 1:
            yield numbers, rungs
        visit_pairs = [i for i in visit_pairs if i not in numbers]


def _may_be_ladder(problem):
    """Return whether a ladder may take less time than one bandwidth after the other."""
    is_known = not callable(problem.settings.kernel)
    return is_known and problem.wanted <= Wanted.SCALE and len(problem.rows.w) >= _FEWEST_FOR_LADDER


def _visits_every_pair(problem):
    settings = problem.settings
    if settings.kernel == "gaussian" and len(problem.rows.w) <= _QUICK_LADDER and settings.algorithm == "auto":
        return True
    return by_rows.plan(problem) == "dense"


def _ladder(problems, numbers):
    """Return the problems on a ladder with the first one, and their rungs."""
    first, *others = numbers
    ladder, rungs = [first], [0]
    top = problems[first].metric
    for i in others:
        metric = problems[i].metric
        if not (metric.is_plain and top.is_plain and np.array_equal(metric.features, top.features)):
            continue
        steps = np.log(metric.g / top.g) / HALF_OCTAVE
        rung = round(steps[0])
        if np.abs(steps - rung).max() < 1e-9 and 0 < rung - rungs[-1] <= _WIDEST_GAP and rung <= LAST_RUNG:
            ladder.append(i)
            rungs.append(rung)
    return ladder, rungs


def check_differentiable(kernel):
    """Raise an error if the leave-one-out error has no useful derivative with this kernel."""
    if callable(kernel) or not KERNELS[kernel].differentiable:
        raise ValueError(
            f"The leave-one-out error has no gradient for kernel={kernel!r}: that of 'tophat' is zero wherever it "
            "exists, and that of a user's profile is not known. Use bandwidth='loo', or another kernel."
        )


def check_can_leave_out(rows):
    """Raise an error if no observation remains of a `Sample` or `Rows` when one is left out."""
    if not can_leave_out(rows):
        raise ValueError("Leave-one-out needs at least two observations, but there is only one of positive weight.")
