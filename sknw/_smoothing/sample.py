"""Training data as every sum needs them."""

import math
from typing import NamedTuple

import numpy as np

from .._core import (
    MOST_FEATURES_IN_ORDER,
    read_only,
    spatial_order,
)


class Sample(NamedTuple):
    """Training data as every sum needs it: rows of positive weight, neighbours next to each other, numbers near one.

    Scaling is by powers of two and thus exact; y is centred first, so that averages of large numbers that hardly
    differ keep their digits.

    Attributes
    ----------
    given : ndarray of shape (n,), int64
        Which of the rows that were given each one is.
    X : ndarray of shape (n, d)
        Rows of positive weight, one feature after the other in memory.
    Y : ndarray of shape (p, n)
        Targets of these, minus `center`, over `unit`; one output after the other.
    w, w_rest : ndarray of shape (n,)
        Weights over `weight_unit`, and what is left of them when one observation is left out.
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
        """From data as given: X of shape (n, d), y of shape (n, p), w of shape (n,), not negative, not all zero."""
        given = np.flatnonzero(w > 0)
        if X.shape[1] <= MOST_FEATURES_IN_ORDER:
            order = spatial_order((X if len(given) == len(X) else X[given]).T)
            given = given[order]
        # In place: of very many rows, to write to new memory takes longer than all arithmetic.
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
        """Sum of the weights, which count observations."""
        return self.weight_unit * self.w.sum()

    def squared(self, value):
        """A squared error in the units of y; `inf` if these are too large for it."""
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(value) * self.unit * self.unit

    @property
    def counts(self):
        """Whether all weights are whole numbers."""
        w = self.weight_unit * self.w
        return bool((w == np.floor(w)).all())

    @property
    def is_constant(self):
        """Whether all targets are the same."""
        return not self.Y.any()


def can_leave_out(rows):
    """Whether something is left of a `Sample` or `Rows` when one observation is left out."""
    return len(rows.w) > 1 or rows.w_rest[0] > 0


def power_of_two(x):
    """The power of two above x, or the largest one there is; 1 for x = 0."""
    return math.ldexp(1.0, min(math.frexp(x)[1], 1023)) if x > 0 else 1.0
