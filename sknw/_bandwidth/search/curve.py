"""The criterion as a function of the logarithm of one factor, which remembers its points."""

import bisect
import math
from typing import NamedTuple

import numpy as np

from ..._core import KERNELS, Wanted
from ..screen import Screen, applies_at, applies_to_grid, best_guess, least_difference, subsample_size
from .grid import rule_of_thumb_log

#: With fewer rows intervals are halved as if the error of a Gaussian were not smooth.
_FEWEST_ANALYTIC = 512


class Point(NamedTuple):
    """One evaluation of the criterion: log c, its value, and its slope in log c (NaN where there is none)."""

    t: float
    value: float
    slope: float
    rough: bool = False
    estimate: bool = False  # by a subsample
    worse: bool = False  # ruled out by a subsample


class Curve:
    """The criterion as a function of log c, which remembers its points; those above the ceiling apart."""

    def __init__(self, objective, shape, smooth, ceiling):
        self.objective, self.shape, self.smooth, self.ceiling = objective, shape, smooth, ceiling
        self.points, self.outside, self.n_grid = {}, [], 0
        # Sums of compact kernels are exact to rounding, whatever the tolerance.
        self.exact = not callable(objective.kernel) and math.isfinite(KERNELS[objective.kernel].reach)
        self.n_features = np.isfinite(np.broadcast_to(shape, objective.sample.X.shape[1])).sum()
        # The Gaussian's error has all derivatives. With few rows, saving evaluations does not pay.
        self.analytic = objective.kernel == "gaussian" and objective.criterion == "loo"
        self.analytic &= len(objective.sample.w) >= _FEWEST_ANALYTIC
        self.wanted = Wanted.SCALE if smooth else Wanted.VALUE
        self.notes, self._screen = (), None

    @property
    def sampled(self):
        """Whether a point that may be the minimum is an estimate by a subsample."""
        return any(point.estimate and not point.worse for point in self.points.values())

    def __call__(self, t, *, rough=False):
        if t in self.points and (rough or not self.points[t].rough):
            return self.points[t]
        h = math.exp(t) * self.shape
        if not rough:
            return self._keep(t, *self.objective(h, self.wanted))
        if self._may_be_ruled_out(t, h):
            [result] = self._screen.rule_out([h], self.wanted)
            if result is not None:
                return self._keep(t, *result, rough=True, estimate=True, worse=True)
        [(_, [(value, gradient, estimate)])] = self.objective.roughly([h], self.wanted)
        return self._keep(t, value, gradient, rough=estimate or not self.exact, estimate=estimate)

    def _may_be_ruled_out(self, t, h):
        """Return whether a subsample of very many rows is likely to rule out a bandwidth; prepares the screen."""
        known = [point for point in self.points.values() if not point.estimate]
        if not known or not applies_at(self.objective, h):
            return False
        lowest, ordered = min(known, key=lambda point: point.value), sorted(self.points)
        i = bisect.bisect(ordered, t)
        beside = [self.points[other] for other in ordered[max(i - 1, 0) : i + 1]]
        # It is unlikely next to the lowest point, and between two that were not ruled out.
        if lowest in beside or (len(beside) > 1 and not any(point.worse for point in beside)):
            return False
        # So it is beside a point that exceeds the lowest one by hardly more than the margin.
        margin = least_difference(lowest.value, subsample_size(len(self.objective.sample.w)))
        if any(4 * (point.value - lowest.value) < margin for point in beside if not point.worse):
            return False
        # A bandwidth that is worse than another point is worse than the lowest one, if by a larger margin.
        if self._screen is None or self._screen.value - lowest.value > margin / 2:
            self._screen = Screen(self.objective, math.exp(lowest.t) * self.shape)
        return True

    def on_grid(self, grid):
        """Evaluate the criterion roughly on a grid."""
        if self.objective.has_many_rows:
            # From a rule of thumb outward: the minimum may be near, and rules out others.
            start = rule_of_thumb_log(len(self.objective.sample.w), self.n_features)
            for t in sorted(grid, key=lambda t: (t < start, abs(t - start))):
                self(t, rough=True)
            return
        if applies_to_grid(self.objective):
            self._rule_out(grid)
        ts = sorted((t for t in grid if t not in self.points), reverse=True)
        for numbers, results in self.objective.roughly([math.exp(t) * self.shape for t in ts], self.wanted):
            rough = len(numbers) > 1 or not self.exact
            for i, (value, gradient, estimate) in zip(numbers, results, strict=True):
                self._keep(ts[i], value, gradient, rough=rough or estimate, estimate=estimate)

    def _rule_out(self, grid):
        """Keep the points that a subsample rules out beside one that is about the best of a grid."""
        guessed = grid[::2]
        best = guessed[best_guess(self.objective, [math.exp(t) * self.shape for t in guessed])]
        screen = Screen(self.objective, math.exp(best) * self.shape, wanted=self.wanted)
        self.objective.log_value(math.exp(best) * self.shape, screen.value)
        self._keep(best, screen.value, screen.gradient, rough=True)
        ts = sorted((t for t in grid if t != best), reverse=True)
        results = screen.rule_out([math.exp(t) * self.shape for t in ts], self.wanted)
        for t, result in zip(ts, results, strict=True):
            if result is not None:
                self._keep(t, *result, rough=True, estimate=True, worse=True)

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


def missed(points, k):
    """Return by how much the cubic through the k-th points before and after each point misses its value."""
    return [
        abs(cubic(a, c, (b.t - a.t) / (c.t - a.t)) - b.value)
        for a, b, c in zip(points, points[k:], points[2 * k :], strict=False)
    ]


SHARES = np.linspace(0, 1, 33)


def triples(points):
    """Return each point with those before and after it."""
    return zip(points, points[1:], points[2:], strict=False)


def cubic(a, b, x):
    """Return the cubic through two points with their slopes, at the share x between them; a line without slopes."""
    if math.isnan(a.slope):
        return a.value + x * (b.value - a.value)
    return (
        a.value * (1 + 2 * x) * (1 - x) ** 2
        + b.value * x**2 * (3 - 2 * x)
        + (b.t - a.t) * (a.slope * x * (1 - x) ** 2 - b.slope * x**2 * (1 - x))
    )


def lowest_of_cubic(a, b):
    """Return the least value of that cubic between the points."""
    return np.min(cubic(a, b, SHARES))
