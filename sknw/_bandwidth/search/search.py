"""The global search of one factor of the reference shape."""

import itertools
import math

import numpy as np

from ..._core import (
    KERNELS,
)
from ..._smoothing.sample import can_leave_out
from ..objective import OutOfTime
from ..rules import reference
from ..selection import Selection
from .curve import Curve, cubic, lowest_of_cubic, missed
from .grid import grid, lies_unevenly
from .refine import TIE, refine, widest_of_best


def search(objective, bandwidth_type):
    """Find the factor of the reference shape with the smallest criterion.

    The criterion and its derivative are computed on a grid of log c, from empty neighborhoods to the global mean, and
    on a finer grid wherever the criterion might fall below the best value so far. Every interval in which the
    derivative changes from negative to positive holds a minimum; the promising ones are refined to its root. The widest
    bandwidth wins a tie, and the right end of a plateau, `inf` included. After the deadline of the objective the result
    is the best bandwidth so far.

    Parameters
    ----------
    objective : Objective
    bandwidth_type : str

    Returns
    -------
    Selection
    """
    sample, kernel = objective.sample, objective.kernel
    shape = reference(sample, bandwidth_type)
    infinite = shape * math.inf
    if not can_leave_out(sample):  # there is no criterion, but only one answer either
        return Selection(infinite, math.nan, _alone(infinite, math.nan))
    with objective.overtime():
        of_mean = objective(infinite)[0]
    if sample.is_constant or np.isinf(shape).all() or np.isinf(of_mean):
        return Selection(infinite, of_mean, _alone(infinite, of_mean))

    smooth = not callable(kernel) and KERNELS[kernel].differentiable
    # Penalties have a pole, beside which slopes say nothing about the minimum.
    curve = Curve(objective, shape, smooth, math.inf if objective.criterion == "loo" else 10 * of_mean)
    try:
        _explore(curve, of_mean)
    except OutOfTime:
        curve.notes += ("the search was cut short: there may be a lower minimum",)
    with objective.overtime():
        if curve.points and all(point.rough for point in curve.points.values()):
            curve(curve.lowest().t)
        best = widest_of_best(curve, of_mean)
    ordered = curve.ordered()
    factors = np.array([math.exp(point.t) for point in ordered] + [math.inf])
    searched = factors if np.ndim(shape) == 0 else factors[:, None]
    values = np.array([point.value for point in ordered] + [of_mean])
    estimates = np.array([point.estimate for point in ordered] + [False])
    worse = np.array([point.worse for point in ordered] + [False])
    return Selection(
        math.exp(best.t) * shape,
        best.value,
        (searched * shape, values, estimates),
        worse,
        n_iter=max(1, len(curve.points) - curve.n_grid),
        n_evaluations=objective.n_evaluations,
        notes=curve.notes,
    )


def _alone(bandwidth, value):
    """Return the searched bandwidths where there is a single one."""
    return np.array([bandwidth]), np.array([value]), np.array([False])


def _explore(curve, of_mean):
    """Evaluate the criterion on a grid and refine its minima."""
    objective, kernel = curve.objective, curve.objective.kernel
    n_threads = objective.settings["given"].n_threads
    curve.on_grid(grid(objective.sample, curve.shape, kernel, curve.smooth, n_threads))
    if objective.criterion != "loo":
        _find_edge(curve)
    if not curve.points:  # a penalty that is infinite everywhere but at the end
        return
    if curve.smooth:
        _extend(curve, of_mean)
        _bisect_contradictions(curve)
    curve.n_grid = len(curve.points)
    if curve.sampled:
        rows = f"{objective.n_estimates} of {len(objective.sample.w)} rows"
        curve.notes = (f"bandwidths were compared by the errors of {rows}: there may be a lower minimum",)
    elif curve.smooth or callable(kernel):
        _subdivide(curve, of_mean)
    refine(curve, kernel, of_mean)


def _find_edge(curve):
    """Bisect to where the criterion becomes infinite, until it falls from there or has its minimum there."""
    if not curve.outside or not curve.points:
        return
    low, first = max(curve.outside), min(curve.points)
    while first - low > 1e-9 and not curve(first, rough=True).slope < 0:
        middle = 0.5 * (low + first)
        low, first = (low, middle) if curve(middle, rough=True).value < curve.ceiling else (middle, first)


def _extend(curve, of_mean):
    """Extend both ends while the error falls, the wide end only while it is below that of the global mean."""
    for outward, end in ((-1, min), (1, max)):
        for _ in range(12):
            last = curve.points[end(curve.points)]
            if outward * last.slope > -TIE * last.value or (outward > 0 and last.value >= of_mean * (1 - TIE)):
                break
            curve(last.t + outward * math.log(4), rough=True)


def _bisect_contradictions(curve, depth=4):
    """Halve the intervals whose slopes contradict their values: falling at both ends, yet higher at the right."""
    for _ in range(depth):
        ordered = curve.ordered()
        halves = [
            0.5 * (a.t + b.t)
            for a, b in itertools.pairwise(ordered)
            if (max(a.slope, b.slope) < 0 and b.value > a.value) or (min(a.slope, b.slope) > 0 and b.value < a.value)
        ]
        if not halves:
            return
        for t in halves:
            curve(t, rough=True)


def _subdivide(curve, of_mean, n_left=400):
    """Halve the intervals in which a cubic through their ends may fall below the best value.

    The error of the cubic is estimated first by how much the cubic over two intervals misses the point between them,
    then by how much it misses the middle of each interval, times the share that `_shares_left` returns for half the
    length.
    """
    ordered = curve.ordered()
    shares = _shares_left(curve, ordered)
    misses = [0.0, *(share * miss for share, miss in zip(shares[1:-1], missed(ordered, 1), strict=True)), 0.0]
    intervals = [
        (*pair, max(misses[i : i + 2]), min(0.5, max(shares[i : i + 2])))
        for i, pair in enumerate(itertools.pairwise(ordered))
    ]
    best = min(point.value for point in ordered)
    while intervals:
        tolerance = 1e-8 * abs(of_mean - best) + TIE * best
        halves = []
        for a, b, miss, share in intervals:
            if miss <= tolerance or lowest_of_cubic(a, b) - miss >= best or n_left == 0:
                continue
            n_left -= 1
            middle = curve(0.5 * (a.t + b.t), rough=True)
            miss = share * abs(cubic(a, b, 0.5) - middle.value)
            best = min(best, middle.value)
            halves += [(a, middle, miss, share), (middle, b, miss, share)]
        intervals = halves


def _shares_left(curve, points):
    """Return bounds of the share of a cubic's error that remains in intervals of half the length, for each point.

    Where rows enter or leave a neighborhood, the criterion has corners and the share is a half, for which 1 is taken at
    first. The Gaussian's criterion has all derivatives: the error is proportional to the fourth power of the length,
    and the share is a sixteenth, for which an eighth is taken. So it is for other kernels if the corners are very many
    and small, which is judged by the share that remains from four intervals to two.
    """
    shares = np.full(len(points), 0.125 if curve.analytic else 1.0)
    has_corners = curve.objective.has_many_rows and not curve.analytic
    if has_corners and len(points) > 4 and lies_unevenly(curve.objective.sample):
        two, four = np.array(missed(points, 1))[1:-1], np.array(missed(points, 2))
        shares[2:-2] = np.clip(np.divide(two, four, out=np.ones_like(two), where=four > two), 0.125, 1.0)
    return shares
