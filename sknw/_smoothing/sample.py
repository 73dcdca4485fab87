"""Training data in the form that all kernel sums use."""

import math
from typing import NamedTuple

import numpy as np

from .._core import MOST_FEATURES_IN_ORDER, read_only, spatial_order


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
    def of(cls, X, y, w):
        """The sample of training data.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        y : ndarray of shape (n, p)
        w : ndarray of shape (n,)
            Weights, non-negative and not all zero.
        """
        given = np.flatnonzero(w > 0)
        if X.shape[1] <= MOST_FEATURES_IN_ORDER:
            order = spatial_order((X if len(given) == len(X) else X[given]).T)
            given = given[order]
        # In place: for large n, allocating new memory takes longer than the arithmetic.
        X, Y, w = np.asfortranarray(X[given]), np.array(y[given].T, order="C"), w[given].astype(np.float64)
        center = 0.5 * Y.min(axis=1) + 0.5 * Y.max(axis=1)
        Y -= center[:, None]
        unit, weight_unit = power_of_two(max(Y.max(), -Y.min())), power_of_two(w.max())
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
