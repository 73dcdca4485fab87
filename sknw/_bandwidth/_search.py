"""The global search of one factor of the reference shape."""

import bisect
import itertools
import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from .._core import (
    LAST_PLACE,
    MOST_FEATURES_IN_ORDER,
    PROFILES,
    Derivatives,
    Rows,
    kernel_sums,
    nearest_squares,
    spatial_order,
)
from .._pooling import Metric, can_leave_out
from ._rules import reference
from ._selection import ENOUGH, OutOfTime, Selection

#: Criteria that agree to this relative precision are a tie, which goes to the widest bandwidth.
_TIE = 1e-12


#: Of very many rows, the logarithm of the bandwidth is found to this precision; for kernels that end somewhere to that,
#: or as far as it matters: until the error cannot fall by more than this share of what there is to gain. For the slope
#: of an error with many small kinks has many roots beside each other.
_NEAR, _NEAR_KINKS, _NO_GAIN = 1e-5, 1e-4, 1e-9

#: With fewer rows intervals are halved as if the error of a Gaussian were not smooth.
_FEWEST_ANALYTIC = 512

#: What there is to gain is told by a cubic through both ends of an interval no longer than that.
_NARROW = 0.01


class _Point(NamedTuple):
    """One evaluation of the criterion: log c, its value, and its derivatives in log c (NaN where there are none)."""

    t: float
    value: float
    slope: float
    rough: bool = False
    estimate: bool = False  # from some of the rows
    worse: bool = False  # than another one, certainly, as an estimate tells


def search(objective, bandwidth_type):
    """The factor of the reference shape with the smallest criterion, among all.

    The criterion is computed, with its derivative, on a grid of log c that reaches from windows that hold nobody to
    averages over everyone, and on a finer one wherever it might fall below the best so far. Every interval in which the
    derivative turns from falling to rising holds a minimum; the promising ones are refined to its root. Of ties the
    widest bandwidth wins, on a plateau its right end, `inf` included. Past the deadline of the objective, it is the
    best so far.

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
        everyone = objective(infinite)[0]
    if sample.is_constant or np.isinf(shape).all() or np.isinf(everyone):
        return Selection(infinite, everyone, _alone(infinite, everyone))

    smooth = not callable(kernel) and PROFILES[kernel].differentiable
    # Penalties have a pole, the slopes of which tell nothing about the minimum.
    curve = _Curve(objective, shape, smooth, math.inf if objective.criterion == "loo" else 10 * everyone)
    try:
        _explore(curve, everyone)
    except OutOfTime:
        curve.notes += ("the search was cut short: there may be a lower minimum",)
    with objective.overtime():
        if curve.points and all(point.rough for point in curve.points.values()):
            curve(curve.lowest().t)
        best = _widest_of_best(curve, everyone)
    ordered = curve.ordered()
    factors = np.array([math.exp(point.t) for point in ordered] + [math.inf])
    searched = factors if np.ndim(shape) == 0 else factors[:, None]
    values = np.array([point.value for point in ordered] + [everyone])
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
    """What was searched where there is nothing to choose from."""
    return np.array([bandwidth]), np.array([value]), np.array([False])


def _explore(curve, everyone):
    """Meet the minimum."""
    objective, kernel = curve.objective, curve.objective.kernel
    curve.on_grid(_grid(objective.sample, curve.shape, kernel, curve.smooth, objective.options))
    if objective.criterion != "loo":
        _find_edge(curve)
    if not curve.points:  # a penalty that is infinite everywhere but at the end
        return
    if curve.smooth:
        _extend(curve, everyone)
        _bisect_contradictions(curve)
    curve.n_grid = len(curve.points)
    if curve.sampled:
        rows = f"{objective.n_estimates} of {len(objective.sample.w)} rows"
        curve.notes = (f"bandwidths were compared by the errors of {rows}: there may be a lower minimum",)
    elif curve.smooth or callable(kernel):
        _subdivide(curve, everyone)
    _refine(curve, kernel, everyone)


class _Curve:
    """The criterion as a function of log c, which remembers its points; those where it is out of the question apart."""

    def __init__(self, objective, shape, smooth, ceiling):
        self.objective, self.shape, self.smooth, self.ceiling = objective, shape, smooth, ceiling
        self.points, self.outside, self.n_grid = {}, [], 0
        # Sums of kernels that end somewhere have all digits but for rounding, however few are asked for.
        self.exact = not callable(objective.kernel) and math.isfinite(PROFILES[objective.kernel].reach)
        self.n_features = np.isfinite(np.broadcast_to(shape, objective.sample.X.shape[1])).sum()
        # The Gaussian's error has all derivatives. An evaluation of few rows costs too little to save any.
        self.analytic = objective.kernel == "gaussian" and objective.criterion == "loo"
        self.analytic &= len(objective.sample.w) >= _FEWEST_ANALYTIC
        self.notes, self._screen = (), None

    @property
    def sampled(self):
        """Whether some of its points are estimates that may be the minimum."""
        return any(point.estimate and not point.worse for point in self.points.values())

    def __call__(self, t, *, rough=False):
        if t in self.points and (rough or not self.points[t].rough):
            return self.points[t]
        derivatives = Derivatives.SCALE if self.smooth else Derivatives.NOTHING
        h = math.exp(t) * self.shape
        if rough:
            found = self._certainly_worse(t, h, derivatives)
            if found is not None:
                return self._keep(t, *found, rough=True, estimate=True, worse=True)
            *found, estimate = self.objective.roughly(h, derivatives)
            return self._keep(t, *found, rough=estimate or not self.exact, estimate=estimate)
        return self._keep(t, *self.objective(h, derivatives))

    def _certainly_worse(self, t, h, derivatives):
        """An estimate of the criterion far from the minimum, if some of very many rows tell that it is that."""
        if not self.objective.may_be_screened(h):
            return None
        known = [point for point in self.points.values() if not point.estimate]
        if not known:
            return None
        lowest, ordered = min(known, key=lambda point: point.value), sorted(self.points)
        i = bisect.bisect(ordered, t)
        beside = [self.points[other] for other in ordered[max(i - 1, 0) : i + 1]]
        # Next to the lowest, and between two that needed all rows, some will not do.
        if lowest in beside or (len(beside) > 1 and not any(point.worse for point in beside)):
            return None
        # Nor beside one that is so little worse that this one will hardly be by as much as they ask for.
        margin = self.objective.margin(lowest.value)
        if any(4 * (point.value - lowest.value) < margin for point in beside if not point.worse):
            return None
        # What is worse than another point is worse than the lowest, if not by as much.
        if self._screen is None or self._screen.value - lowest.value > margin / 2:
            self._screen = self.objective.screen(math.exp(lowest.t) * self.shape)
        return self.objective.certainly_worse(self._screen, h, derivatives)

    def on_grid(self, grid):
        """Roughly on all of a grid, those that are half an octave apart in one pass."""
        if self.objective.has_many_rows:
            # From a rule of thumb outward: the minimum may be near, and tells what need not be looked at any more.
            start = _thumb(len(self.objective.sample.w), self.n_features)
            for t in sorted(grid, key=lambda t: (t < start, abs(t - start))):
                self(t, rough=True)
            return
        derivatives = Derivatives.SCALE if self.smooth else Derivatives.NOTHING
        if self.objective.scales_may_be_screened():
            self._rule_out(grid, derivatives)
        left = [t for t in grid if t not in self.points]
        while left:
            series, places = _series(left)
            found = self.objective.of_scales(math.exp(series[0]) * self.shape, places, derivatives)
            for t, (value, gradient) in zip(series, found, strict=False):
                self._keep(t, value, gradient, rough=True)
                left.remove(t)
            if not found:
                left.remove(series[0])
                self(series[0], rough=True)

    def _rule_out(self, grid, derivatives):
        """Keep what some of the rows tell to be certainly worse than a point that is about the best of a grid."""
        guesses = {}
        for series, h, places in self._in_series(grid[::2]):
            if len(series) > 1:
                guesses |= zip(series, self.objective.guess_of_scales(h, places), strict=True)
        if not guesses:
            return
        best = min(guesses, key=guesses.get)
        screen = self.objective.screen(math.exp(best) * self.shape, derivatives)
        self._keep(best, screen.value, screen.gradient, rough=True)
        for series, h, places in self._in_series(t for t in grid if t != best):
            found = self.objective.compare_scales(screen, h, places, derivatives)
            for t, (value, gradient, is_worse) in zip(series, found, strict=True):
                if is_worse:
                    self._keep(t, value, gradient, rough=True, estimate=True, worse=True)

    def _in_series(self, ts):
        """Yield bandwidths by series: values of log c, the widest bandwidth, and the places of all."""
        left = set(ts)
        while left:
            series, places = _series(left)
            yield series, math.exp(series[0]) * self.shape, places
            left.difference_update(series)

    def _keep(self, t, value, gradient, *, rough=False, estimate=False, worse=False):
        point = _Point(t, value, gradient[0] if self.smooth else math.nan, rough, estimate, worse)
        if value < self.ceiling:
            self.points[t] = point
        else:
            self.points.pop(t, None)
            self.outside.append(t)
        return point

    def ordered(self):
        return sorted(self.points.values())

    def lowest(self):
        return min(self.points.values(), key=lambda point: point.value)


def _series(ts):
    """The widest of some bandwidths and those of its series; steps of an octave may stand amid those of half an octave.

    Returns
    -------
    ts : list of float
    places : list of int
        By how many halves of an octave each is narrower.
    """
    first, *rest = sorted(ts, reverse=True)
    series, places = [first], [0]
    for t in rest:
        steps = round((first - t) / _HALF_OCTAVE)
        if abs(first - t - steps * _HALF_OCTAVE) < 1e-9 and steps - places[-1] <= 2 and steps <= LAST_PLACE:
            series.append(t)
            places.append(steps)
    return series, places


def _grid(sample, shape, kernel, smooth, how):
    """Values of log c: fine where windows hold a few rows to all of them, coarse on both sides of that."""
    Z, to_neighbor = _neighbors(Metric.of(shape, sample.X), sample, how)
    n = len(Z)
    # No two rows are further apart than this. The center is that of the data, whatever their axes.
    diameter = 2 * np.sqrt(np.max(np.sum((Z - Z.mean(axis=0)) ** 2, axis=1)))
    # Narrower than the smallest gap a window holds nobody; a softmax has become the nearest neighbor at exp(-40).
    compact = not callable(kernel) and math.isfinite(PROFILES[kernel].reach)
    lowest = (0.9 if compact else 1 / 40 if kernel == "exponential" else 0.1) * to_neighbor.min()
    # Where rows enter a window one by one, the error has a kink each time; with few rows these are far apart.
    octave = 2 * _HALF_OCTAVE
    if compact or callable(kernel):
        per_octave = 16 if n <= 200 else 8 if n <= 2000 or not smooth else 2 if n <= ENOUGH else 1
    else:
        per_octave = 4 if n <= 1000 else 2 if n <= ENOUGH else 1
    start = max(lowest, 0.25 * np.median(to_neighbor))
    narrow, start, stop, wide = np.log([lowest, start, 2 * diameter, 32 * diameter]).tolist()
    main = start + octave / per_octave * np.arange(1 + math.ceil((stop - start) * per_octave / octave - 1e-9))
    if smooth and n >= 2 * ENOUGH and lies_unevenly(sample):
        # Windows that are much narrower than the data, and so many, leave no corners that `_subdivide` would not see
        # from every second one.
        main = main[(main > _thumb(n, 1)) | (np.arange(len(main)) % 2 == 0)]
    # Narrower than that, fewer and fewer rows see anybody; of many rows, the more of them the steps may cover.
    narrower, step = [start], octave
    rare = math.log(max(np.quantile(to_neighbor[:: 1 + n // _FEW], 0.01), lowest))
    while narrower[-1] > narrow:
        narrower.append(narrower[-1] - step)
        step = octave if n <= ENOUGH else 2 * octave if narrower[-1] > rare else 2 * step
    return sorted({*narrower, *main.tolist(), wide})


def lies_unevenly(sample):
    """Whether hardly any two rows are as far apart as two others: windows have no corners at the same bandwidth then.

    In one feature, of many rows. Not on a lattice, nor where rows are rounded: a thousand gaps tell.
    """
    if sample.X.shape[1] > 1:
        return False
    x, i = sample.X[:, 0], np.linspace(0, len(sample.X) - 2, 1000).astype(np.int64)
    gaps = x[i + 1] - x[i]
    # Of random gaps eight in ten differ by more than that from all the others.
    return len(np.unique(np.round(1000 * np.log(gaps[gaps > 0])))) > 700


def _thumb(n, d):
    """Log c of a rule of thumb, about."""
    return -math.log(n) / (4 + d)


def _neighbors(metric, sample, how):
    """The places that hold rows, in units of the reference shape, and how far each is from the nearest other one."""
    Z = metric.coordinates(sample.X) * metric.g
    if Z.shape[1] == 1:
        z = Z[:, 0] if sample.X.shape[1] == 1 else np.sort(Z[:, 0])  # in ascending order anyway if it is the only one
        if (z[1:] == z[:-1]).any():
            z = z[np.append(True, z[1:] > z[:-1])]
        gaps = np.full(len(z) + 1, np.inf)
        np.subtract(z[1:], z[:-1], out=gaps[1:-1])
        return z[:, None], np.minimum(gaps[1:], gaps[:-1])
    order = np.lexsort(Z.T)
    Z = Z[order]
    Z = Z[np.append(True, (Z[1:] != Z[:-1]).any(axis=1))]
    if Z.shape[1] <= MOST_FEATURES_IN_ORDER:
        Z = Z[spatial_order(Z.T)]
    n, n_threads = len(Z), how.get("n_threads", 1)
    if n <= _FEW:
        return Z, np.sqrt(nearest_squares(Z, n_threads=n_threads))
    rows = Rows(Z.T, np.zeros((1, n)), np.ones(n), np.zeros(n))
    state = kernel_sums("nearest", rows, np.ones(Z.shape[1]), Z, np.arange(n), n_threads=n_threads)
    return Z, np.sqrt(state.shift)


#: Where squared distances double.
_HALF_OCTAVE = 0.5 * math.log(2)

#: Where every pair is quickly visited.
_FEW = 5000


def _find_edge(curve):
    """Halve the way to where the criterion becomes infinite, until it falls from there or has its minimum there."""
    if not curve.outside or not curve.points:
        return
    low, first = max(curve.outside), min(curve.points)
    while first - low > 1e-9 and not curve(first, rough=True).slope < 0:
        middle = 0.5 * (low + first)
        low, first = (low, middle) if curve(middle, rough=True).value < curve.ceiling else (middle, first)


def _extend(curve, everyone):
    """Go on at both ends as long as the error falls there, at the wide end only while it is below that of averaging."""
    for outward, end in ((-1, min), (1, max)):
        for _ in range(12):
            last = curve.points[end(curve.points)]
            if outward * last.slope > -_TIE * last.value or (outward > 0 and last.value >= everyone * (1 - _TIE)):
                break
            curve(last.t + outward * math.log(4), rough=True)


def _bisect_contradictions(curve, depth=4):
    """Halve the intervals whose ends contradict each other: it falls at both, yet ends higher; or the reverse."""
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


def _subdivide(curve, everyone, most=400):
    """Halve the intervals that may hold less than the best so far, as far as a cubic through their ends can tell.

    How far it may be wrong is first seen from how far that over two intervals misses the point between them, then from
    how far it misses the middle of each interval, times what `_shares_left` is left of that in half the length.
    """
    ordered = curve.ordered()
    shares = _shares_left(curve, ordered)
    misses = [0.0, *(share * miss for share, miss in zip(shares[1:-1], _missed(ordered, 1), strict=True)), 0.0]
    intervals = [
        (*pair, max(misses[i : i + 2]), min(0.5, max(shares[i : i + 2])))
        for i, pair in enumerate(itertools.pairwise(ordered))
    ]
    best = min(point.value for point in ordered)
    while intervals:
        tolerance = 1e-8 * abs(everyone - best) + _TIE * best
        halves = []
        for a, b, miss, share in intervals:
            if miss <= tolerance or _lowest_of_cubic(a, b) - miss >= best or most == 0:
                continue
            most -= 1
            middle = curve(0.5 * (a.t + b.t), rough=True)
            miss = share * abs(_cubic(a, b, 0.5) - middle.value)
            best = min(best, middle.value)
            halves += [(a, middle, miss, share), (middle, b, miss, share)]
        intervals = halves


def _missed(points, k):
    """How far the cubic through the points k places before and after one misses it, but for the first and last k."""
    return [
        abs(_cubic(a, c, (b.t - a.t) / (c.t - a.t)) - b.value)
        for a, b, c in zip(points, points[k:], points[2 * k :], strict=False)
    ]


def _shares_left(curve, points):
    """At each point the share of what a cubic misses that is left of it in an interval of half the length, at most.

    Where kernels enter or leave a window at an angle it is a half, for which 1 is taken at first. The Gaussian's curve
    has all derivatives, and it is in proportion to the fourth power of the length: a sixteenth, for which an eighth is
    taken. So is that of other kernels if their angles are very many and small: how much is left from four intervals to
    two tells whether they are.
    """
    shares = np.full(len(points), 0.125 if curve.analytic else 1.0)
    has_corners = curve.objective.has_many_rows and not curve.analytic
    if has_corners and len(points) > 4 and lies_unevenly(curve.objective.sample):
        two, four = np.array(_missed(points, 1))[1:-1], np.array(_missed(points, 2))
        shares[2:-2] = np.clip(np.divide(two, four, out=np.ones_like(two), where=four > two), 0.125, 1.0)
    return shares


def _refine(curve, kernel, everyone, most=8):
    """Find the minima in the most promising intervals."""
    ordered = curve.ordered()
    lowest = min(ordered, key=lambda point: point.value)
    spread = max(point.value for point in ordered) - lowest.value
    if curve.smooth:
        brackets = [(a, b) for a, b in itertools.pairwise(ordered) if a.slope < 0 < b.slope]
        promise = [_lowest_of_cubic(a, b) for a, b in brackets]
    elif callable(kernel):
        brackets = [(a, c) for a, b, c in _triples(ordered) if b.value < a.value and b.value <= c.value]
        promise = [min(point.value for point in ordered if a.t <= point.t <= c.t) for a, c in brackets]
    else:  # piecewise constant: the best of the grid
        brackets = promise = []
    many = curve.objective.has_many_rows
    precision, share = (_NEAR_KINKS, _NO_GAIN) if many and curve.exact else (_NEAR if many else 1e-9, 0.0)
    for i in np.argsort(promise)[:most]:
        if promise[i] > min(*promise, lowest.value) + 0.05 * spread:
            break
        a, b = brackets[i]
        if curve.smooth:
            start = a.t + (b.t - a.t) * _SHARES[_cubic(a, b, _SHARES).argmin()]
        if curve.smooth:
            a, b = _bracket(curve, a, b, start) if a.rough or b.rough else (a, b)
            if a.slope < 0 < b.slope:
                _find_root(curve, a, b, precision, share * (everyone - min(a.value, b.value)))
        else:
            minimize_scalar(lambda t: curve(t).value, bounds=(a.t, b.t), method="bounded", options={"xatol": 1e-9})
    # The lowest of the grid may be at an end, or at a kink. Estimates from a part of the rows are not compared with
    # the criterion of all.
    if curve.sampled:
        if not any(a.t <= lowest.t <= b.t for a, b in brackets):
            curve(lowest.t)
    else:
        while (lowest := curve.lowest()).rough:
            curve(lowest.t)


def _find_root(curve, a, b, precision, no_gain):
    """Find the root of the slope between two points, or where the criterion would not fall by as much as that there.

    What it would fall by is not told by a slope alone, for that is small on a shoulder, too.
    """
    low, high = a, b

    def slope(t):
        nonlocal low, high
        point = curve(t)
        low, high = (max(low, point), high) if point.slope < 0 else (low, min(high, point))
        return 0.0 if is_low_enough() else point.slope

    def is_low_enough():
        gain = min(low.value, high.value) - _lowest_of_cubic(low, high)
        return gain < no_gain and high.t - low.t <= _NARROW

    if no_gain > 0:  # a cubic is nearer than a secant; at such a distance both ends of what is left are soon near
        shares = np.linspace(0, 1, 1025)
        for _ in range(6):
            if is_low_enough():
                return
            length = high.t - low.t
            least = min(0.9 * _NARROW / length, 0.5)
            slope(low.t + length * min(max(shares[_cubic(low, high, shares).argmin()], least), 1 - least))
    brentq(slope, low.t, high.t, xtol=precision)


def _bracket(curve, a, b, t):
    """Two points with slopes of opposite sign around a minimum that is roughly at t, between two others."""
    start = curve(t)
    outward = -math.copysign(1.0, start.slope)
    # Beyond the root that a secant predicts, of which that of the rough slopes is the first.
    curvature, longest = (b.slope - a.slope) / (b.t - a.t), 1.0
    while True:
        step = abs(start.slope) / curvature if curvature > 0 else math.inf
        end = curve(start.t + outward * min(max(1.5 * step, 1e-3), longest))
        if end.slope * outward >= 0 or longest > 100:
            return sorted((start, end))
        curvature = (end.slope - start.slope) / (end.t - start.t)
        start, longest = end, 4 * longest


_SHARES = np.linspace(0, 1, 33)


def _triples(points):
    """Each point between its neighbours."""
    return zip(points, points[1:], points[2:], strict=False)


def _cubic(a, b, x):
    """The cubic with the values and slopes of two points, at the share x of the way between them; a line without."""
    if math.isnan(a.slope):
        return a.value + x * (b.value - a.value)
    return (
        a.value * (1 + 2 * x) * (1 - x) ** 2
        + b.value * x**2 * (3 - 2 * x)
        + (b.t - a.t) * (a.slope * x * (1 - x) ** 2 - b.slope * x**2 * (1 - x))
    )


def _lowest_of_cubic(a, b):
    """The least value of that cubic between the points."""
    return np.min(_cubic(a, b, _SHARES))


def _widest_of_best(curve, everyone):
    """The best point; of tied minima the widest, and the right end of a plateau."""
    ordered = [point for point in curve.ordered() if not point.rough]
    ordered.append(_Point(math.inf, everyone, 0.0))
    level = min(point.value for point in ordered)
    # The last is the square of rounding, should the error be zero; with its own row among the neighbours of each, that
    # is reached slowly, where digits are few.
    level += _TIE * level + (1e-28 if curve.objective.criterion == "loo" else 1e-20) * everyone
    last = max(i for i, point in enumerate(ordered) if point.value <= level)
    if math.isinf(ordered[last].t):
        return ordered[last]
    first = last
    while first > 0 and ordered[first - 1].value <= level:
        first -= 1
    # Points this close are iterates of one minimum. The slope says more precisely than the value which is nearest.
    near = [point for point in ordered[first : last + 1] if point.t >= ordered[last].t - _PLATEAU]
    best = min(reversed(near), key=lambda point: abs(point.slope) if curve.smooth else point.value)
    is_level = ordered[first].t < ordered[last].t - _PLATEAU
    if not is_level and _rises(best, [point for point in ordered if math.isfinite(point.t)], 10 * _TIE * level):
        return best
    high = curve(best.t + _PLATEAU)
    if high.value < (1 - _TIE) * best.value:  # a minimum that is known roughly
        return high
    if high.value > level:
        if not is_level:
            return best
        low = ordered[last]
    else:
        low, beyond = high, [point for point in ordered if high.t < point.t < math.inf]
        high = beyond[0] if beyond else curve(low.t + 5.0)
    while high.t - low.t > 1e-9:
        middle = curve(0.5 * (low.t + high.t))
        low, high = (middle, high) if middle.value <= level else (low, middle)
    return low


#: A criterion that is level over this range of log c is a plateau, not a minimum.
_PLATEAU = 1e-4


def _rises(point, ordered, rise):
    """Whether slope or curvature tell that the criterion rises within `_PLATEAU` of a point."""
    bends = [
        (other.slope - point.slope) / (other.t - point.t)
        for other in ordered
        if 0 < abs(other.t - point.t) <= _NARROW and not math.isnan(other.slope)
    ]
    by_curvature = min(bends, default=0.0) * _PLATEAU**2 / 2
    return max(point.slope * _PLATEAU, by_curvature) > rise
