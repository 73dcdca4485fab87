"""Training data in the form that all kernel sums use."""

import math
from typing import NamedTuple

import numpy as np

from .._core import MOST_FEATURES_IN_ORDER, read_only, spatial_order


class Scale(NamedTuple):
    """What all parts of a data set must agree on: ranges and totals, which merge.

    Attributes
    ----------
    y_low, y_high : ndarray of shape (p,)
        Smallest and largest target of each output.
    low, high : ndarray of shape (d,)
        Smallest and largest value of each feature.
    largest_weight, total_weight : float
    n : int
        Number of rows of positive weight.
    left_out : float or None
        Weight that each row loses when one observation is left out, if it is the same for all rows.
    """

    y_low: np.ndarray
    y_high: np.ndarray
    low: np.ndarray
    high: np.ndarray
    largest_weight: float
    total_weight: float
    n: int
    left_out: float | None

    @classmethod
    def of(cls, X, Y, w):
        """Return the scale of rows of positive weight: X of shape (n, d), Y of shape (p, n), w of shape (n,)."""
        left_out = np.minimum(w, 1.0)
        is_same = (left_out == left_out[0]).all()
        return cls(
            Y.min(axis=1),
            Y.max(axis=1),
            X.min(axis=0),
            X.max(axis=0),
            float(w.max()),
            float(w.sum()),
            len(w),
            float(left_out[0]) if is_same else None,
        )

    def merge(self, other):
        """Return the scale of the rows of both."""
        return Scale(
            np.minimum(self.y_low, other.y_low),
            np.maximum(self.y_high, other.y_high),
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            max(self.largest_weight, other.largest_weight),
            self.total_weight + other.total_weight,
            self.n + other.n,
            self.left_out if self.left_out == other.left_out else None,
        )

    @property
    def center(self):
        """Middle of the range of each output."""
        return 0.5 * self.y_low + 0.5 * self.y_high

    @property
    def unit(self):
        """The power of two above all centered targets."""
        return power_of_two(max((self.y_high - self.center).max(), (self.center - self.y_low).max()))

    @property
    def weight_unit(self):
        """The power of two above all weights."""
        return power_of_two(self.largest_weight)


class Sample(NamedTuple):
    """Training data for kernel sums: rows of positive weight in spatial order, scaled targets.

    Targets are centered first, so that averages of large numbers with small differences keep their digits. All scaling
    is by powers of two and therefore exact.

    Attributes
    ----------
    given : ndarray of shape (n,), int64
        Number of each row in the data passed to `of`.
    X : ndarray of shape (n, d)
        Rows of positive weight, in Fortran order.
    Y : ndarray of shape (p, n)
        Targets minus `center`, divided by `unit`; output by output.
    w : ndarray of shape (n,)
        Weights divided by `weight_unit`.
    w_rest : ndarray of shape (n,)
        Leave-one-out weights, divided by `weight_unit`.
    center : ndarray of shape (p,)
        Middle of the range of each output.
    unit, weight_unit : float
        Powers of two.
    """

    given: np.ndarray
    X: np.ndarray
    Y: np.ndarray
    w: np.ndarray
    w_rest: np.ndarray
    center: np.ndarray
    unit: float
    weight_unit: float

    @classmethod
    def of(cls, X, y, w, scale=None):
        """Return the sample of data as given.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        y : ndarray of shape (n, p)
        w : ndarray of shape (n,)
            Not negative, not all zero.
        scale : Scale, default=None
            Of a data set that these rows are a part of; None for that of the rows.

        Returns
        -------
        Sample
        """
        given = np.flatnonzero(w > 0)
        if X.shape[1] <= MOST_FEATURES_IN_ORDER:
            order = spatial_order((X if len(given) == len(X) else X[given]).T)
            given = given[order]
        # In place: for large n, allocating new memory takes longer than the arithmetic.
        X, Y, w = np.asfortranarray(X[given]), np.array(y[given].T, order="C"), w[given].astype(np.float64)
        scale = Scale.of(X, Y, w) if scale is None else scale
        center, unit, weight_unit = scale.center, scale.unit, scale.weight_unit
        Y -= center[:, None]
        Y /= unit
        w_rest = w - 1
        np.maximum(w_rest, 0, out=w_rest)
        w_rest /= weight_unit
        w /= weight_unit
        return cls(given, read_only(X.T).T, *map(read_only, (Y, w, w_rest)), center, unit, weight_unit)

    @property
    def n_observations(self):
        """Number of observations: the sum of the weights."""
        return self.weight_unit * self.w.sum()

    def squared(self, value):
        """Convert squared errors to the units of y; `inf` on overflow."""
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(value) * self.unit * self.unit

    @property
    def counts(self):
        """Whether all weights are whole numbers."""
        w = self.weight_unit * self.w
        return bool((w == np.floor(w)).all())

    @property
    def is_constant(self):
        """Whether each output has a single value."""
        return not self.Y.any()


def can_leave_out(rows):
    """Whether any weight remains when one observation is left out.

    Parameters
    ----------
    rows : Sample or Rows
    """
    return len(rows.w) > 1 or rows.w_rest[0] > 0


def power_of_two(x):
    """The power of two above x, at most 2**1023; 1 for x = 0."""
    return math.ldexp(1.0, min(math.frexp(x)[1], 1023)) if x > 0 else 1.0
