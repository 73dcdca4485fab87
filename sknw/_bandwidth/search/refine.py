"""From a grid to the minimum: brackets, roots of the slope, ties and plateaus."""

import itertools
import math

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from .curve import SHARES, Point, cubic, lowest_of_cubic, triples

#: Criteria that agree to this relative precision are a tie, which goes to the widest bandwidth.
TIE = 1e-12


#: With very many rows, precision of the logarithm of the bandwidth, and that for compact kernels. The slope of an error
#: with many small kinks has many neighboring roots: for compact kernels the search also ends when the error cannot fall
#: by more than the third number, a share of the gain over the global mean.
_NEAR, _NEAR_KINKS, _NO_GAIN = 1e-5, 1e-4, 1e-9


#: A cubic through both ends predicts the minimum of an interval up to this length.
_NARROW = 0.01


def refine(curve, kernel, of_mean, n_brackets=8):
    """Find the minima in the intervals whose predicted minima are the lowest."""
    ordered = curve.ordered()
    lowest = min(ordered, key=lambda point: point.value)
    spread = max(point.value for point in ordered) - lowest.value
    if curve.smooth:
        brackets = [(a, b) for a, b in itertools.pairwise(ordered) if a.slope < 0 < b.slope]
        promise = [lowest_of_cubic(a, b) for a, b in brackets]
    elif callable(kernel):
        brackets = [(a, c) for a, b, c in triples(ordered) if b.value < a.value and b.value <= c.value]
        promise = [min(point.value for point in ordered if a.t <= point.t <= c.t) for a, c in brackets]
    else:  # piecewise constant: the best of the grid
        brackets = promise = []
    many = curve.objective.has_many_rows
    precision, share = (_NEAR_KINKS, _NO_GAIN) if many and curve.exact else (_NEAR if many else 1e-9, 0.0)
    for i in np.argsort(promise)[:n_brackets]:
        if promise[i] > min(*promise, lowest.value) + 0.05 * spread:
            break
        a, b = brackets[i]
        if curve.smooth:
            start = a.t + (b.t - a.t) * SHARES[cubic(a, b, SHARES).argmin()]
        if curve.smooth:
            a, b = _bracket(curve, a, b, start) if a.rough or b.rough else (a, b)
            if a.slope < 0 < b.slope:
                _find_root(curve, a, b, precision, share * (of_mean - min(a.value, b.value)))
        else:
            minimize_scalar(lambda t: curve(t).value, bounds=(a.t, b.t), method="bounded", options={"xatol": 1e-9})
    # The lowest point of the grid may be at an end, or at a kink. Estimates by a subsample are not compared with the
    # criterion of all rows.
    if curve.sampled:
        if not any(a.t <= lowest.t <= b.t for a, b in brackets):
            curve(lowest.t)
    else:
        while (lowest := curve.lowest()).rough:
            curve(lowest.t)


def _find_root(curve, a, b, precision, no_gain):
    """Find the root of the slope between two points, or a point from which the criterion falls by less than `no_gain`.

    A small slope alone does not show that, since it is small on a shoulder, too.
    """
    low, high = a, b

    def slope(t):
        nonlocal low, high
        point = curve(t)
        low, high = (max(low, point), high) if point.slope < 0 else (low, min(high, point))
        return 0.0 if is_low_enough() else point.slope

    def is_low_enough():
        gain = min(low.value, high.value) - lowest_of_cubic(low, high)
        return gain < no_gain and high.t - low.t <= _NARROW

    if no_gain > 0:  # a cubic is nearer than a secant; at such a distance both ends of what is left are soon near
        shares = np.linspace(0, 1, 1025)
        for _ in range(6):
            if is_low_enough():
                return
            length = high.t - low.t
            least = min(0.9 * _NARROW / length, 0.5)
            slope(low.t + length * min(max(shares[cubic(low, high, shares).argmin()], least), 1 - least))
    brentq(slope, low.t, high.t, xtol=precision)


def _bracket(curve, a, b, t):
    """Return two points with slopes of opposite sign around a minimum that is about at t, between two others."""
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


def widest_of_best(curve, of_mean):
    """Return the best point: of tied minima the widest, and the right end of a plateau."""
    ordered = [point for point in curve.ordered() if not point.rough]
    ordered.append(Point(math.inf, of_mean, 0.0))
    level = min(point.value for point in ordered)
    # The last number is the square of rounding, for an error of zero. A fit, in which each row predicts itself,
    # approaches zero slowly, where few digits are left.
    level += TIE * level + (1e-28 if curve.objective.criterion == "loo" else 1e-20) * of_mean
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
    if not is_level and _rises(best, [point for point in ordered if math.isfinite(point.t)], 10 * TIE * level):
        return best
    high = curve(best.t + _PLATEAU)
    if high.value < (1 - TIE) * best.value:  # a minimum that is known roughly
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
    """Return whether slope or curvature show that the criterion rises within `_PLATEAU` of a point."""
    bends = [
        (other.slope - point.slope) / (other.t - point.t)
        for other in ordered
        if 0 < abs(other.t - point.t) <= _NARROW and not math.isnan(other.slope)
    ]
    by_curvature = min(bends, default=0.0) * _PLATEAU**2 / 2
    return max(point.slope * _PLATEAU, by_curvature) > rise
