"""Descent along the gradient of the leave-one-out error, within a family of bandwidths."""

import math
import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ..._criteria.leave_one_out import check_differentiable
from ..objective import OutOfTime
from ..search.search import search
from ..selection import local_minima
from .elimination import eliminate, widen
from .families import Diagonal, Full
from .lbfgs import End, Limits, lbfgs
from .shrinkage import cross_validate, in_folds, ranks, subset

#: Starts are compared on about this many rows.
_ROWS_TO_COMPARE = 300


#: Iterations, and tolerance of the gradient, of the descents that compare starts.
_ITERATIONS_TO_COMPARE, _TOL_TO_COMPARE = 8, 3e-3


#: Up to so many rows a descent on all rows is quick, also from a start that a subsample ranks lower.
_ROWS_TO_DESCEND_AGAIN = 5000


#: Where a pass over all pairs is expensive, the global search uses the errors of about this many rows.
_ROWS_TO_SEARCH = 2000


#: Maximum number of starts by shape, one for a feature.
_MAX_SHAPES = 12


#: Local minima whose logarithms are this close to the best one are the same.
_APART = 1e-3


#: A start within this share of the best one is also used on all rows, at most one.
_NEARLY_AS_GOOD = 0.02


def descend(
    objective,
    bandwidth_type,
    *,
    shrinkage,
    drop_irrelevant=False,
    max_iter,
    tol,
    max_time=math.inf,
    solver=lbfgs,
    tell=None,
):
    """Minimize the leave-one-out error within a family, by descents from several starts.

    L-BFGS-B in the logarithms of the bandwidths (or nearly, see `Diagonal.fold`), or in the logarithm of a matrix, with
    the exact gradient, on the error divided by its value at the best of the global search, plus
    ``shrinkage * sum(theta**2)`` for the logarithms theta of the ratio to that. Starts are the best of the global
    search, its other minima, and shapes in which one feature is narrow beside wide ones, with few rows also wide beside
    narrow ones. With many rows starts are compared on a subsample, and the best shape is used besides the best start.

    Parameters
    ----------
    objective : Objective
    bandwidth_type : str
    shrinkage : float or "cv"
    drop_irrelevant : bool
    max_iter : int
    tol : float
    max_time : float
        In seconds; the global search is cut short by it, too.
    solver : callable
        `lbfgs`, or an `Adam` for the descents on all rows; those on a subsample use L-BFGS.
    tell : callable, default=None
        Called with "search" and its bandwidth, then with "iteration" and the best bandwidth so far after each iteration
        on all rows; ends the descents by returning True.

    Returns
    -------
    Selection
    """
    check_differentiable(objective.kernel)
    objective.deadline = time.monotonic() + max_time
    start = (search if solver is lbfgs else _search_by_some)(objective, bandwidth_type)
    stop = tell is not None and tell("search", start.h)
    stay = start._replace(losses=[start.criterion], n_iter=1, shrinkage=math.inf)
    if objective.out_of_time:
        return stay._replace(notes=(*start.notes, _cut_short("max_time", max_time, "in the global search")))
    if bandwidth_type == "spherical" or np.isfinite(start.h).sum() <= 1 or not start.criterion > 0:
        return stay._replace(notes=(*start.notes, "one factor is all there is to choose"))
    if stop:
        return stay._replace(notes=(*start.notes, "a callback asked to stop after the global search"))
    family = (Full if bandwidth_type == "full" else Diagonal)(objective.sample, start.h)
    factors = start.searched[0][:, family.features[0]] / start.h[family.features[0]]
    # Beyond these, neighborhoods are empty or hold all rows.
    limits = Limits(max_iter, tol, *np.log([max(factors[0], np.finfo(np.float64).tiny), min(64 * factors[-2], 1e99)]))

    notes, phase = start.notes, "in the descent"
    if shrinkage == "cv":
        try:
            shrinkage, note = cross_validate(objective, family, in_folds(limits))
        except OutOfTime:
            note = _cut_short("max_time", max_time, "in the cross-validation of the shrinkage")
            return stay._replace(n_evaluations=objective.n_evaluations, notes=(*notes, note))
        notes += (note,)
    end = _best_of(objective, family, start, shrinkage, limits, solver, tell)
    if shrinkage == 0 and end.why != "max_time":  # the pull of a penalty is to finite bandwidths
        family, end = widen(objective, family, end, tol)
    if drop_irrelevant and end.why not in ("callback", "max_time") and len(family.features) > 1:
        phase = "in the elimination of features"
        family, end = eliminate(objective, family, end, start.criterion, shrinkage, limits)
    if end.why in ("max_iter", "max_time"):
        notes += (_cut_short(end.why, max_iter if end.why == "max_iter" else max_time, phase),)
    if end.why == "callback":
        notes += ("a callback asked to stop",)
    return start._replace(
        h=family.bandwidth(end.theta),
        criterion=end.criterion,
        losses=[start.criterion, *end.losses],
        n_iter=max(1, len(end.losses)),
        n_evaluations=objective.n_evaluations,
        shrinkage=shrinkage,
        notes=notes,
    )


def _cut_short(limit, value, phase):
    """Warn that a limit has ended the choice; returns a note for the report."""
    or_tol = "" if "search" in phase else " or tol"
    after = f"stopped after {limit}={value:g} {'seconds' if limit == 'max_time' else 'iterations'} {phase}"
    warnings.warn(
        f"The choice of the bandwidth {after}, with the best so far; raise {limit}{or_tol}.",
        ConvergenceWarning,
        stacklevel=7,
    )
    return after


def _search_by_some(objective, bandwidth_type):
    """Search by the errors of a subsample if there are many rows; the final criterion is that of all rows."""
    rank = ranks(objective.sample)
    every = (rank.max() + 1) // _ROWS_TO_SEARCH
    if every < 2:
        return search(objective, bandwidth_type)
    queries = np.flatnonzero(rank % every == 0)
    estimate = objective.estimate(queries)
    start = search(estimate, bandwidth_type)
    objective.n_evaluations += estimate.n_evaluations
    h, values, _ = start.searched
    with objective.overtime():  # the last bandwidth is the global mean, whose criterion is exact
        criterion, of_mean = objective(start.h)[0], objective(h[-1])[0]
    searched = h, np.append(values[:-1], of_mean), np.arange(len(h)) < len(h) - 1
    return start._replace(criterion=criterion, searched=searched, worse=None, n_evaluations=objective.n_evaluations)


def _best_of(objective, family, start, shrinkage, limits, solver, tell):
    """Return the lowest end of descents from several starts, or the global search if none is lower."""
    ends = [End(1.0, np.zeros(family.size), start.criterion, [])]
    if math.isinf(shrinkage):
        return ends[0]
    try:
        if isinstance(family, Full):  # a diagonal matrix is a start that is cheap to find
            diagonal = _best_of(objective, Diagonal(objective.sample, family.h), start, shrinkage, limits, solver, None)
            ends.append(diagonal._replace(theta=family.around(diagonal.theta), losses=[diagonal.criterion]))
            starts = [end.theta for end in ends]
        else:
            starts = _compare(objective, family, start, shrinkage, limits)
        for theta in starts:
            limits = limits._replace(below=min(end.penalized for end in ends), known=tuple(ends[1:]))
            ends.append(solver(objective, family, theta, start.criterion, shrinkage, limits, tell))
            if ends[-1].why == "callback":
                break
    except OutOfTime:
        ends[0] = ends[0]._replace(why="max_time")
    best = min(ends, key=lambda end: end.penalized)
    cut_short = [end.why for end in ends if end.why in ("max_time", "callback")]
    return best._replace(why=cut_short[0]) if cut_short else best


def _compare(objective, family, start, shrinkage, limits):
    """Return the best starts, by short descents, on a subsample if there are many rows."""
    sample = objective.sample
    rank = ranks(sample)
    every = max(1, math.ceil((rank.max() + 1) / _ROWS_TO_COMPARE))
    small = subset(sample, rank % every == 0)
    # Fewer rows require wider bandwidths.
    wider = (sample.n_observations / small.n_observations) ** (1 / (len(family.features) + 4))
    here, learn = type(family)(small, wider * family.h), objective.on(small)
    scale, gradient = learn(here.bandwidth(np.zeros(here.size)), here.derivatives)
    narrow = np.argsort(-gradient, kind="stable")[:_MAX_SHAPES]  # those first that gain most by it
    factors = start.searched[0][:, family.features[0]] / start.h[family.features[0]]
    low = local_minima(*start.searched[1:]) & np.isfinite(factors) & (np.abs(np.log(factors)) > _APART)
    shapes = np.eye(len(family.features))[narrow]
    logs = [0.0, *np.log(factors[low]), *(2 * shapes if every == 1 else []), *(1 - 2 * shapes)]
    if not scale > 0:
        return [np.zeros(family.size)]
    short = limits._replace(max_iter=_ITERATIONS_TO_COMPARE, tol=_TOL_TO_COMPARE) if every > 1 else in_folds(limits)
    ends = []
    for log in logs:
        ends.append(lbfgs(learn, here, here.around(log), scale, shrinkage, short._replace(known=tuple(ends))))
    objective.n_evaluations += learn.n_evaluations
    ends.sort(key=lambda end: end.penalized)
    best = ends[0]
    others = [
        end
        for end in ends[1:]
        if end.penalized <= best.penalized + _NEARLY_AS_GOOD and np.abs(end.theta - best.theta).max() > 0.5
    ]
    starts = [end.theta for end in [best, *others[:1]]]
    # Two minima of all rows may be a single one of the subsample.
    if 1 < every and len(rank) <= _ROWS_TO_DESCEND_AGAIN:
        starts.append(family.around(logs[-len(narrow)]))
    return starts
