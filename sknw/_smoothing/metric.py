"""Coordinates in which scaled distances of a bandwidth are Euclidean distances."""

from typing import NamedTuple

import numpy as np

from .._core import Rows, read_only
from .._core.dispatch import times_matrix

#: Largest binary exponent of bandwidths: beyond it, squares of inverse bandwidths or their products might overflow or
#: vanish.
_LARGEST_EXPONENT = 256


class Metric(NamedTuple):
    """Coordinates of a bandwidth H.

    The scaled distance of two points is the norm of ``(z - z_j) * g`` in these coordinates.

    Attributes
    ----------
    features : ndarray
        Numbers of the features with a finite bandwidth.
    g : ndarray of shape (d',)
        Inverse bandwidth of each coordinate.
    G : ndarray of shape (d', d'), or None
        H⁻¹, if H is not diagonal. The coordinates are then ``G @ (x - origin)``.
    origin : ndarray of shape (d',), or None
        Middle of the training rows, if H is not diagonal.
    exponents : ndarray of shape (d',), or None
        Binary exponents by which X is scaled, if squares of `g` would overflow or vanish otherwise.
    """

    features: np.ndarray
    g: np.ndarray
    G: np.ndarray | None = None
    origin: np.ndarray | None = None
    exponents: np.ndarray | None = None

    @classmethod
    def of(cls, bandwidth, X, scale=None):
        """Return the coordinates of a bandwidth.

        Parameters
        ----------
        bandwidth : float, ndarray of shape (d,) or of shape (d, d)
            Already validated.
        X : ndarray of shape (n, d)
            Training rows.
        scale : Scale, default=None
            Of a data set that the rows are a part of; None for the ranges of the rows.

        Returns
        -------
        Metric
        """
        d = X.shape[1]
        bandwidth = np.asarray(bandwidth, dtype=np.float64)
        H = bandwidth if bandwidth.ndim == 2 else None
        h = np.broadcast_to(bandwidth, d) if H is None else H.diagonal()
        features = np.flatnonzero(h < np.inf)
        h = h[features]
        if H is not None:
            H = H[np.ix_(features, features)]
            if np.any(H != np.diag(h)):
                low, high = _ranges(X, scale, features)
                origin = 0.5 * low + 0.5 * high
                return cls(features, np.ones(len(h)), np.linalg.inv(H), origin)
        # A bandwidth may have been rounded to zero, if the features vary by subnormal numbers only.
        h = np.maximum(h, np.finfo(np.float64).smallest_subnormal)
        mantissas, exponents = np.frexp(h)
        if np.abs(exponents).max(initial=0) > _LARGEST_EXPONENT:
            # Where rows are very many bandwidths apart, room is left for coordinates of queries far away.
            largest = np.frexp(np.abs(_ranges(X, scale, features)).max(axis=0))[1]
            powers = np.minimum(-exponents, 2 * _LARGEST_EXPONENT - largest)
            with np.errstate(over="ignore"):
                g = np.minimum(np.ldexp(1 / mantissas, -exponents - powers), np.finfo(np.float64).max)
            return cls(features, g, exponents=powers)
        return cls(features, 1 / h)

    @property
    def is_plain(self):
        """Whether coordinates are the features in the units of X."""
        return self.G is None and self.exponents is None

    def coordinates(self, X):
        """Coordinates of points of shape (m, d), as an array of shape (m, d')."""
        Z = X if len(self.features) == X.shape[1] else X[:, self.features]
        if self.exponents is not None:
            with np.errstate(over="ignore"):
                largest = np.finfo(np.float64).max
                return np.clip(np.ldexp(Z, self.exponents), -largest, largest)
        if self.G is None:
            return Z
        out = times_matrix(Z - self.origin, self.G.T)
        if not np.isfinite(out).all():
            raise ValueError("X divided by the bandwidth matrix overflows. Use a larger bandwidth or rescale X.")
        return out

    def rows(self, sample):
        """The training rows of a sample in these coordinates."""
        return Rows(read_only(self.coordinates(sample.X).T), sample.Y, sample.w, sample.w_rest)


def _ranges(X, scale, features):
    """Return smallest and largest value of some features."""
    if scale is not None:
        return scale.low[features], scale.high[features]
    return X[:, features].min(axis=0), X[:, features].max(axis=0)
