"""The criterion as a function of the logarithm of one factor, which remembers its points."""

import bisect
import math
from typing import NamedTuple

import numpy as np

from ..._core import (
    LAST_PLACE,
    PROFILES,
    Derivatives,
)
from .grid import HALF_OCTAVE, thumb

#: With fewer rows intervals are halved as if the error of a Gaussian were not smooth.
_FEWEST_ANALYTIC = 512


class Point(NamedTuple):
    """One evaluation of the criterion: log c, its value, and its derivatives in log c (NaN where there are none)."""

    t: float
    value: float
    slope: float
    rough: bool = False
    estimate: bool = False  # from some of the rows
    worse: bool = False  # than another one, certainly, as an estimate tells


class Curve:
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
            start = thumb(len(self.objective.sample.w), self.n_features)
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
        point = Point(t, value, gradient[0] if self.smooth else math.nan, rough, estimate, worse)
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
        steps = round((first - t) / HALF_OCTAVE)
        if abs(first - t - steps * HALF_OCTAVE) < 1e-9 and steps - places[-1] <= 2 and steps <= LAST_PLACE:
            series.append(t)
            places.append(steps)
    return series, places


def missed(points, k):
    """How far the cubic through the points k places before and after one misses it, but for the first and last k."""
    return [
        abs(cubic(a, c, (b.t - a.t) / (c.t - a.t)) - b.value)
        for a, b, c in zip(points, points[k:], points[2 * k :], strict=False)
    ]


SHARES = np.linspace(0, 1, 33)


def triples(points):
    """Each point between its neighbours."""
    return zip(points, points[1:], points[2:], strict=False)


def cubic(a, b, x):
    """The cubic with the values and slopes of two points, at the share x of the way between them; a line without."""
    if math.isnan(a.slope):
        return a.value + x * (b.value - a.value)
    return (
        a.value * (1 + 2 * x) * (1 - x) ** 2
        + b.value * x**2 * (3 - 2 * x)
        + (b.t - a.t) * (a.slope * x * (1 - x) ** 2 - b.slope * x**2 * (1 - x))
    )


def lowest_of_cubic(a, b):
    """The least value of that cubic between the points."""
    return np.min(cubic(a, b, SHARES))
