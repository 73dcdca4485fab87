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
from .shrinkage import cross_validate, in_folds, part, ranks

#: Starts are compared on about this many rows.
_ROWS_TO_COMPARE = 300


#: By descents of so many iterations, or to such a gradient.
_ITERATIONS_TO_COMPARE, _TOL_TO_COMPARE = 8, 3e-3


#: Up to so many rows a descent is quick enough for a start that some of them spoke against.
_ROWS_TO_DESCEND_AGAIN = 5000


#: Where a pass over all pairs is dear, the global search goes by the errors of about this many rows.
_ROWS_TO_SEARCH = 2000


#: Of starts by shape, one for a feature, there are no more than this.
_MOST_SHAPES = 12


#: Local minima whose logarithms are that close to the best are that one itself.
_APART = 1e-3


#: A start that is within this share of the best goes on to all rows, one beside the best at the most.
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
    """The bandwidths of a family with the smallest leave-one-out error that descents from several starts meet.

    L-BFGS-B in the logarithms of the bandwidths (or nearly, see `Diagonal.fold`), or in the logarithm of a matrix, with
    the exact gradient, on the error divided by its value at the best of the global search, plus
    ``shrinkage * sum(theta**2)`` for the logarithms theta of the ratio to that. Starts are the best of the global
    search, its other minima, and each feature narrow beside wide ones, with few rows also wide beside others; with many
    rows they are compared on some of them, and the most promising of the latter goes on beside the best of these.

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
        `lbfgs`, or an `Adam`, which descends on all rows, while all that is done on some of them is left to L-BFGS.
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
    # Beyond these, windows hold nobody or everyone.
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
    """The global search, by the errors of some rows if there are many; the criterion at its end is that of all."""
    rank = ranks(objective.sample)
    every = (rank.max() + 1) // _ROWS_TO_SEARCH
    if every < 2:
        return search(objective, bandwidth_type)
    queries = np.flatnonzero(rank % every == 0)
    some = objective.estimate(queries)
    start = search(some, bandwidth_type)
    objective.n_evaluations += some.n_evaluations
    h, values, _ = start.searched
    with objective.overtime():  # at the end averages over everyone stand, which no estimate is beside
        criterion, everyone = objective(start.h)[0], objective(h[-1])[0]
    searched = h, np.append(values[:-1], everyone), np.arange(len(h)) < len(h) - 1
    return start._replace(criterion=criterion, searched=searched, worse=None, n_evaluations=objective.n_evaluations)


def _best_of(objective, family, start, shrinkage, limits, solver, tell):
    """The lowest end of descents from several starts; the global search's own if none is lower."""
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
    """The most promising starts, by short descents, on some of the rows if there are many."""
    sample = objective.sample
    rank = ranks(sample)
    every = max(1, math.ceil((rank.max() + 1) / _ROWS_TO_COMPARE))
    some = part(sample, rank % every == 0)
    # Fewer rows ask for wider windows.
    wider = (sample.n_observations / some.n_observations) ** (1 / (len(family.features) + 4))
    here, learn = type(family)(some, wider * family.h), objective.on(some)
    scale, gradient = learn(here.bandwidth(np.zeros(here.size)), here.derivatives)
    narrow = np.argsort(-gradient, kind="stable")[:_MOST_SHAPES]  # those first that gain most by it
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
    # Two minima of all rows may be one of some of them.
    if 1 < every and len(rank) <= _ROWS_TO_DESCEND_AGAIN:
        starts.append(family.around(logs[-len(narrow)]))
    return starts
