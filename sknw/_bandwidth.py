"""Choosing a bandwidth: rules of thumb, a global search of one factor, and descent along the gradient.

Plain functions that return a `Selection`. All of them start from a reference shape, the spread of each feature (or
their root mean square), and speak of the factor c that it is multiplied by.
"""

import itertools
import math
import warnings
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq, minimize, minimize_scalar
from sklearn.exceptions import ConvergenceWarning

from ._core import MOST_FEATURES_IN_ORDER, PROFILES, Derivatives, Rows, canonical_factor, kernel_sums, spatial_order
from ._criterion import check_differentiable, leave_one_out
from ._pooling import Metric, can_leave_out

#: A spread below this share of the standard deviation says that half of the values are nearly the same, and no more.
_LEAST_IQR = 0.01

#: Criteria that agree to this relative precision are a tie, which goes to the widest bandwidth.
_TIE = 1e-12


class Selection(NamedTuple):
    """A chosen bandwidth and how it was found.

    Attributes
    ----------
    h : float or ndarray of shape (d,)
        Bandwidth, one number or one per feature.
    criterion : float or None
        The leave-one-out error there, in the sample's units; None if nobody computed it.
    searched : tuple of two ndarrays, or None
        Bandwidths of the global search, by width, and their criterion.
    losses : list of float, or None
        Criterion per iteration of a descent.
    n_iter : int
        Iterations of a descent, or evaluations that refined the search; at least 1.
    """

    h: float | np.ndarray
    criterion: float | None = None
    searched: tuple[np.ndarray, np.ndarray] | None = None
    losses: list[float] | None = None
    n_iter: int = 1


def spreads(sample):
    """Spread of each feature: its weighted standard deviation, or its interquartile range over 1.349 if smaller.

    Returns
    -------
    ndarray of shape (d,)
        0 for a constant feature, one that varies by rounding only.
    """
    X, w = sample.X, sample.w
    scale = np.abs(X).max(axis=0)
    unit = np.where(scale > 0, scale, 1)
    Z = X / unit
    share = w / w.sum()
    center = 0.5 * Z.min(axis=0) + 0.5 * Z.max(axis=0)
    deviations = Z - center
    deviations -= share @ deviations
    std = np.sqrt(share @ deviations**2)
    # The mean of the range between the quartiles of Z and of -Z: an inverted distribution function leans to one side.
    iqr = 0.5 * (_between_quartiles(Z, w) + _between_quartiles(-Z, w)) / 1.349
    spread = np.where((iqr > _LEAST_IQR * std) & (iqr < std), iqr, std)
    return unit * np.where(std > 8 * np.finfo(np.float64).eps, spread, 0)


def _between_quartiles(Z, w):
    """Range between the weighted quartiles of each column, by the inverse of the distribution function."""
    order = np.argsort(Z, axis=0, kind="stable")
    below = np.cumsum(w[order], axis=0)
    # Sums of n weights are exact to n eps: a share that is met but for that is met.
    total = below[-1] * (1 - len(w) * np.finfo(np.float64).eps)
    low, high = ((below < q * total).sum(axis=0) for q in (0.25, 0.75))
    values = np.take_along_axis(Z, order, axis=0)
    columns = np.arange(Z.shape[1])
    return values[high, columns] - values[low, columns]


def reference(sample, bandwidth_type):
    """The shape that a search multiplies by one factor: a number (spherical) or one per feature, `inf` if constant."""
    spread = spreads(sample)
    varies = spread > 0
    if not varies.any():
        return math.inf if bandwidth_type == "spherical" else np.full(len(spread), math.inf)
    if bandwidth_type == "spherical":
        largest = spread.max()
        return float(largest * np.sqrt(np.mean((spread[varies] / largest) ** 2)))
    return np.where(varies, spread, math.inf)


def rule_of_thumb(sample, bandwidth_type, kernel, rule):
    """Scott's or Silverman's bandwidth.

    References
    ----------
    D. W. Scott, "Multivariate Density Estimation", Wiley (1992), sec. 6.5.
    B. W. Silverman, "Density Estimation for Statistics and Data Analysis", Chapman & Hall (1986), sec. 4.3.
    """
    d = max(1, np.count_nonzero(spreads(sample)))
    n = sample.n_observations
    if rule == "silverman":
        n *= (d + 2) / 4
    return Selection(reference(sample, bandwidth_type) * n ** (-1 / (d + 4)) * canonical_factor(kernel, d))


def brief(bandwidth):
    """A bandwidth in a few characters."""
    return np.array2string(np.asarray(bandwidth), precision=4, threshold=6, separator=", ").replace("\n", "")


#: A rough criterion is the mean over about that many of the rows, each predicted from all others.
_ENOUGH = 50_000


class _Objective:
    """The leave-one-out error of a sample as a function of the bandwidth, which tells its log of each evaluation."""

    def __init__(self, sample, kernel, empty, how, log):
        self.sample, self.kernel, self.log = sample, kernel, log
        self.options = {"empty": empty, **how}
        # Differences between criteria count, so the last steps are taken with more digits than an average needs.
        rtol = how.get("rtol", 0.0)
        self.rough = {"rtol": min(rtol, 1e-6), "every": max(1, len(sample.w) // _ENOUGH)}
        self.fine = {"rtol": min(rtol, 1e-12)}

    def __call__(self, h, derivatives=Derivatives.NOTHING, *, rough=False):
        metric = Metric.of(h, self.sample.X)
        options = {**self.options, "derivatives": derivatives, **(self.rough if rough else self.fine)}
        value, gradient = leave_one_out(self.sample, metric, self.kernel, **options)
        if self.log is not None:
            self.log(f"leave-one-out error {self.sample.squared(value):.6g} at bandwidth {brief(h)}")
        return value, gradient


class _Point(NamedTuple):
    """One evaluation of the criterion: log c, its value, and its derivative in log c (NaN if there is none)."""

    t: float
    value: float
    slope: float
    rough: bool = False


def search(sample, bandwidth_type, kernel, empty, *, log=None, **how):
    """The factor of the reference shape with the smallest leave-one-out error, among all.

    The error is computed, with its derivative, on a grid of log c that reaches from windows that hold nobody to
    averages over everyone. Every interval in which the derivative turns from falling to rising holds a minimum; the
    promising ones are refined to its root. Of ties the widest bandwidth wins, on a plateau its right end, `inf`
    included.

    Parameters
    ----------
    sample : Sample
    bandwidth_type : str
    kernel : str or jitted function
    empty : str
    log : callable, default=None
        Called with a line of text for each evaluation.
    **how
        How the sums are formed: `algorithm`, `rtol` and `n_threads` of `kernel_sums`.

    Returns
    -------
    Selection
    """
    shape = reference(sample, bandwidth_type)
    infinite = shape * math.inf
    if not can_leave_out(sample):  # there is no criterion, but only one answer either
        return Selection(infinite, math.nan, (np.array([infinite]), np.array([math.nan])))
    objective = _Objective(sample, kernel, empty, how, log)
    everyone = objective(infinite)[0]
    if sample.is_constant or np.isinf(shape).all():
        return Selection(infinite, everyone, (np.array([infinite]), np.array([everyone])))

    smooth = not callable(kernel) and PROFILES[kernel].differentiable
    points = {}

    def evaluate(t, *, rough=False):
        if t not in points or (points[t].rough and not rough):
            derivatives = Derivatives.SCALE if smooth else Derivatives.NOTHING
            value, gradient = objective(math.exp(t) * shape, derivatives, rough=rough)
            points[t] = _Point(t, value, gradient[0] if smooth else math.nan, rough)
        return points[t]

    for t in _grid(sample, shape, kernel, smooth, how):
        evaluate(t, rough=True)
    if smooth:
        _extend(points, evaluate, everyone)
        _bisect_contradictions(points, evaluate)
    n_grid = len(points)
    _refine(points, evaluate, smooth, kernel)
    best = _widest_of_best(points, evaluate, everyone)
    ordered = sorted(points.values())
    factors = np.array([math.exp(point.t) for point in ordered] + [math.inf])
    searched = factors if np.ndim(shape) == 0 else factors[:, None]
    return Selection(
        math.exp(best.t) * shape,
        best.value,
        (searched * shape, np.array([point.value for point in ordered] + [everyone])),
        n_iter=max(1, len(points) - n_grid),
    )


def _grid(sample, shape, kernel, smooth, how):
    """Values of log c: fine where windows hold a few rows to all of them, coarse on both sides of that."""
    Z, to_neighbor = _neighbors(Metric.of(shape, sample.X), sample, kernel, how)
    n = len(Z)
    # No two rows are further apart than this. The center is that of the data, whatever their axes.
    diameter = 2 * np.sqrt(np.max(np.sum((Z - Z.mean(axis=0)) ** 2, axis=1)))
    # Narrower than the smallest gap a window holds nobody; a softmax has become the nearest neighbor at exp(-40).
    compact = not callable(kernel) and math.isfinite(PROFILES[kernel].reach)
    lowest = (0.9 if compact else 1 / 40 if kernel == "exponential" else 0.1) * to_neighbor.min()
    # Where rows enter a window one by one, the error has a kink each time; with few rows these are far apart.
    octave = math.log(2)
    if compact or callable(kernel):
        per_octave = 16 if n <= 200 else 8 if n <= 2000 or not smooth else 2
    else:
        per_octave = 4 if n <= 200 else 3 if n <= 1000 else 2 if n <= _ENOUGH else 1
    start = max(lowest, (0.25 if n <= _ENOUGH else 16) * np.median(to_neighbor))
    narrow, start, stop, wide = np.log([lowest, start, 2 * diameter, 32 * diameter]).tolist()
    main = np.linspace(start, stop, 1 + math.ceil((stop - start) * per_octave / octave - 1e-9))
    # Narrower than that, fewer and fewer rows see anybody; of many rows, the more of them the steps may cover.
    narrower, step = [start], octave if n <= _ENOUGH else 2 * octave
    while narrower[-1] - step > narrow:
        narrower.append(narrower[-1] - step)
        step *= 1 if n <= _ENOUGH else 2
    return sorted({narrow, *narrower, *main.tolist(), wide})


def _neighbors(metric, sample, kernel, how):
    """The places that hold rows, in units of the reference shape, and how far each is from the nearest other one."""
    Z = metric.coordinates(sample.X) * metric.g
    if Z.shape[1] == 1:
        Z = np.unique(Z)
        gaps = np.diff(Z)
        return Z[:, None], np.minimum(np.append(np.inf, gaps), np.append(gaps, np.inf))
    order = np.lexsort(Z.T)
    Z = Z[order]
    Z = Z[np.append(True, (Z[1:] != Z[:-1]).any(axis=1))]
    if Z.shape[1] <= MOST_FEATURES_IN_ORDER:
        Z = Z[spatial_order(Z.T)]
    n = len(Z)
    rows = Rows(Z.T, np.empty((0, n)), np.ones(n), np.zeros(n))
    if n <= _FEW:  # the sums of any kernel know the nearest row; those of this one are compiled anyway
        how = {**how, "algorithm": "dense"}
    else:
        kernel = "nearest"
    state = kernel_sums(kernel, rows, np.ones(Z.shape[1]), Z, np.arange(n), **how)
    return Z, np.sqrt(state.shift)


#: Where every pair is quickly visited.
_FEW = 5000


def _extend(points, evaluate, everyone):
    """Go on at both ends as long as the error falls there, at the wide end only while it is below that of averaging."""
    for outward, end in ((-1, min), (1, max)):
        for _ in range(12):
            last = points[end(points)]
            if outward * last.slope > -_TIE * last.value or (outward > 0 and last.value >= everyone * (1 - _TIE)):
                break
            evaluate(last.t + outward * math.log(4))


def _bisect_contradictions(points, evaluate, depth=4):
    """Halve the intervals whose ends contradict each other: it falls at both, yet ends higher; or the reverse."""
    for _ in range(depth):
        ordered = sorted(points.values())
        halves = [
            0.5 * (a.t + b.t)
            for a, b in itertools.pairwise(ordered)
            if (max(a.slope, b.slope) < 0 and b.value > a.value) or (min(a.slope, b.slope) > 0 and b.value < a.value)
        ]
        if not halves:
            return
        for t in halves:
            evaluate(t)


def _refine(points, evaluate, smooth, kernel, most=8):
    """Find the minima in the most promising intervals."""
    ordered = sorted(points.values())
    spread = max(point.value for point in ordered) - min(point.value for point in ordered)
    if smooth:
        brackets = [(a, b) for a, b in itertools.pairwise(ordered) if a.slope < 0 < b.slope]
        promise = [_cubic(a, b).min() for a, b in brackets]
    elif callable(kernel):
        triples = zip(ordered, ordered[1:], ordered[2:], strict=False)
        brackets = [(a, c) for a, b, c in triples if b.value < a.value and b.value <= c.value]
        promise = [min(point.value for point in ordered if a.t <= point.t <= c.t) for a, c in brackets]
    else:  # piecewise constant: the best of the grid
        brackets = promise = []
    order = np.argsort(promise)[:most]
    lowest = min(ordered, key=lambda point: point.value)
    if not any(a.t <= lowest.t <= b.t for a, b in brackets):  # at an end, or among steps
        evaluate(lowest.t)
    for i in order:
        if promise[i] > min(promise[order[0]], lowest.value) + 0.05 * spread:
            break
        a, b = brackets[i]
        if smooth:
            a, b = _bracket(evaluate, a, b) if a.rough else (a, b)
            evaluate(brentq(lambda t: evaluate(t).slope, a.t, b.t, xtol=1e-9))
        else:
            minimize_scalar(lambda t: evaluate(t).value, bounds=(a.t, b.t), method="bounded", options={"xatol": 1e-9})


def _bracket(evaluate, a, b, step=0.05):
    """Two points with slopes of opposite sign around a minimum that is roughly known to be between two others."""
    start = evaluate(a.t + (b.t - a.t) * _SHARES[_cubic(a, b).argmin()])
    outward = -math.copysign(1.0, start.slope)
    while True:
        end = evaluate(start.t + outward * step)
        if end.slope * outward >= 0 or step > 100:
            return sorted((start, end))
        start, step = end, 4 * step


_SHARES = np.linspace(0, 1, 33)


def _cubic(a, b):
    """The cubic with the values and slopes of two points, between them."""
    x = _SHARES
    width = b.t - a.t
    return (
        a.value * (1 + 2 * x) * (1 - x) ** 2
        + b.value * x**2 * (3 - 2 * x)
        + width * (a.slope * x * (1 - x) ** 2 - b.slope * x**2 * (1 - x))
    )


def _widest_of_best(points, evaluate, everyone):
    """The best point; of ties the widest, and the right end of a plateau."""
    ordered = sorted(point for point in points.values() if not point.rough)
    ordered.append(_Point(math.inf, everyone, 0.0))
    level = min(point.value for point in ordered)
    level += _TIE * level + 1e-28 * everyone  # the last is the square of rounding, should the error be zero
    i = max(i for i, point in enumerate(ordered) if point.value <= level)
    if math.isinf(ordered[i].t):
        return ordered[i]
    # At a minimum that is not a plateau, this step costs the curvature times 5e-9.
    low = evaluate(ordered[i].t + 1e-4)
    if low.value > level:
        return ordered[i]
    high = ordered[i + 1] if math.isfinite(ordered[i + 1].t) else evaluate(low.t + 5.0)
    while high.t - low.t > 1e-9:
        middle = evaluate(0.5 * (low.t + high.t))
        low, high = (middle, high) if middle.value <= level else (low, middle)
    return low


def descend(sample, bandwidth_type, kernel, empty, *, shrinkage, max_iter, tol, log=None, **how):
    """The bandwidths of a family with the smallest leave-one-out error near the best of the global search.

    L-BFGS-B in the logarithms, from the best factor of the reference shape, with the exact gradient, on the error
    divided by its value there plus ``shrinkage * sum(log(h / h_loo)**2)``. After that, each feature whose bandwidth may
    as well be infinite gets that.

    Parameters as in `search`, the others as in `NadarayaWatsonRegressor`.

    Returns
    -------
    Selection
    """
    check_differentiable(kernel)
    start = search(sample, bandwidth_type, kernel, empty, log=log, **how)
    finite = np.isfinite(start.h)
    if not np.any(finite) or not start.criterion > 0:
        return start._replace(losses=[start.criterion])
    objective = _Objective(sample, kernel, empty, how, log)
    single = np.ndim(start.h) == 0
    h_loo = np.atleast_1d(np.asarray(start.h, dtype=np.float64))
    theta_loo = np.log(h_loo[np.atleast_1d(finite)])
    seen = {}

    def widths(theta):
        h = h_loo.copy()
        h[np.atleast_1d(finite)] = np.exp(theta)
        return h[0] if single else h

    def penalized(theta):
        value, gradient = objective(widths(theta), Derivatives.SCALE if single else Derivatives.FEATURES)
        seen[theta.tobytes()] = value
        away = theta - theta_loo
        return (
            value / start.criterion + shrinkage * np.sum(away**2),
            gradient / start.criterion + 2 * shrinkage * away,
        )

    losses = [start.criterion]

    def record(intermediate_result):
        losses.append(seen.get(intermediate_result.x.tobytes(), math.nan))

    # Beyond these, windows hold nobody or everyone.
    factors = start.searched[0].reshape(len(start.searched[0]), -1)[:, np.atleast_1d(finite)]
    bounds = np.log(np.column_stack([factors[0], 64 * factors[-2]]))
    result = minimize(
        penalized,
        theta_loo,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        callback=record,
        options={"maxiter": max_iter, "gtol": tol, "ftol": tol**2, "maxfun": 100 * max_iter},
    )
    if result.status == 1:
        warnings.warn(
            f"The descent of the bandwidth stopped after max_iter={max_iter} iterations with the best so far; "
            "raise max_iter, or raise tol.",
            ConvergenceWarning,
            stacklevel=5,
        )
    h, criterion = widths(result.x), seen.get(result.x.tobytes())
    if criterion is None:
        criterion = objective(h)[0]
    if shrinkage == 0 and criterion > start.criterion:
        h, criterion = start.h, start.criterion
    if not single and shrinkage == 0:  # the pull of a penalty is to finite bandwidths
        h, criterion = _widen(objective, h, criterion, start.h, tol)
    return Selection(h, criterion, start.searched, losses, max(1, result.nit))


def _widen(objective, h, criterion, shape, tol):
    """Give an infinite bandwidth to each feature that it costs nothing, the widest first, but never to the last."""
    limit = criterion * (1 + tol)
    widened = True
    while widened:
        widened = False
        finite = np.flatnonzero(np.isfinite(h))
        for j in finite[np.argsort(-h[finite] / shape[finite], kind="stable")]:
            trial = h.copy()
            trial[j] = math.inf
            if np.isinf(trial).all():
                continue
            value = objective(trial)[0]
            if value <= limit:
                h, criterion, widened = trial, value, True
    return h, criterion
