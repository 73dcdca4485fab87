"""The bandwidths of a family as vectors: their distance, in the logarithm, from one of them."""

import math

import numpy as np

from ..._core import Wanted
from ..._smoothing.metric import Metric

#: Beyond so many times the bandwidth in the middle, the descent uses the square of the inverse, below it the logarithm.
_KNEE = 3


class Diagonal:
    """One bandwidth per feature: theta is the logarithm of their ratios to those in the middle.

    Parameters
    ----------
    sample : Sample
    h : ndarray of shape (d,)
        Bandwidths in the middle; features of infinite bandwidth stay out.

    Attributes
    ----------
    features : ndarray
        Those of finite bandwidth.
    size : int
        Number of parameters.
    derivatives : Wanted
        Which ones `slope` is made of.
    """

    derivatives = Wanted.FEATURES

    def __init__(self, sample, h):
        self.sample, self.h = sample, h
        self.features = np.flatnonzero(np.isfinite(h))
        self.size = len(self.features)

    def bandwidth(self, theta):
        """Return the bandwidths, infinite for features that are out."""
        h = np.full_like(self.h, math.inf)
        h[self.features] = np.minimum(self.h[self.features] * np.exp(theta), np.finfo(np.float64).max)
        return h

    def metric(self, theta):
        """Return the coordinates of these bandwidths."""
        return Metric.of(self.bandwidth(theta), self.sample.X)

    def slope(self, theta, gradient):
        """Return the derivative in theta, from that of the criterion."""
        return gradient

    def fold(self, theta):
        """Return the parameters of a descent, in which wide bandwidths are near infinite ones.

        The criterion is nearly linear in the squared inverse bandwidth of a feature of little relevance. A descent in
        that parameter ends at its bound at once, where the logarithm of the bandwidth would grow for ever.
        """
        return np.logaddexp(0, 2 * (math.log(_KNEE) - theta))

    def unfold(self, x):
        """Return the theta of such parameters, and its derivative in them."""
        share = -np.expm1(-x)  # near one for narrow bandwidths, and near zero for wide ones
        return math.log(_KNEE) - 0.5 * (x + np.log(share)), -0.5 / share

    def around(self, logs):
        """Return the theta whose bandwidths differ from those in the middle by these logarithms."""
        return np.array(np.broadcast_to(logs, len(self.features)), dtype=np.float64)

    def bounds(self, low, high):
        """Return the ranges of theta that keep all logarithms in [low, high]."""
        return np.tile([low, high], (self.size, 1))

    def without(self, theta, j):
        """Return the family without its j-th feature, and theta without it."""
        h = self.h.copy()
        h[self.features[j]] = math.inf
        return type(self)(self.sample, h), np.delete(theta, j)


class Full(Diagonal):
    r"""Matrices: theta is the logarithm B of the matrix, in units of the bandwidths D in the middle.

    .. math:: H^2 = D\, e^{2 B} D

    so that the norm of theta is that of the logarithms of the singular values of :math:`H_0^{-1} H`, and a diagonal B
    means the same as in `Diagonal`. Off-diagonal entries stand once, times the root of two.
    """

    derivatives = Wanted.PAIRS

    def __init__(self, sample, h):
        super().__init__(sample, h)
        d = len(self.features)
        self.upper = np.triu_indices(d)
        self.unit = np.where(self.upper[0] == self.upper[1], 1, math.sqrt(0.5))
        self.size = len(self.unit)
        span = sample.X[:, self.features]
        self.origin = 0.5 * span.min(axis=0) + 0.5 * span.max(axis=0)

    def _logarithm(self, theta):
        B = np.zeros((len(self.features),) * 2)
        B[self.upper] = self.unit * theta
        return B + np.triu(B, 1).T

    def _vector(self, B):
        return B[self.upper] / self.unit

    def _eigen(self, theta):
        beta, V = np.linalg.eigh(self._logarithm(theta))
        # Entries within bounds may add up; a ratio of widths beyond 1e14 has no inverse in floating point.
        return np.clip(beta, -16, 16), V

    def bandwidth(self, theta):
        """Return the symmetric positive definite matrix, infinite on the diagonal for features that are out."""
        beta, V = self._eigen(theta)
        D = self.h[self.features]
        H = np.diag(np.full(len(self.h), math.inf))
        H[np.ix_(self.features, self.features)] = _symmetric_factor(D, V * np.exp(beta) @ V.T)
        return H

    def metric(self, theta):
        """Return coordinates along the axes of B, which are those of any root of the metric up to a rotation."""
        beta, V = self._eigen(theta)
        with np.errstate(over="ignore"):
            G = (V * np.exp(-beta)).T / self.h[self.features]
        return Metric(self.features, np.ones(len(beta)), G, self.origin)

    def slope(self, theta, gradient):
        """Return the derivative in theta: in the axes of B, that of the criterion times sinh(x) / x."""
        beta, V = self._eigen(theta)
        S = np.zeros((len(beta),) * 2)
        S[self.upper] = gradient
        S += np.triu(S, 1).T
        apart = np.subtract.outer(beta, beta)
        S *= np.divide(np.sinh(apart), apart, out=np.ones_like(apart), where=np.abs(apart) > 1e-8)
        return (V @ S @ V.T)[self.upper] / self.unit

    def fold(self, theta):
        return theta

    def unfold(self, x):
        return x, 1.0

    def around(self, logs):
        return self._vector(np.diag(super().around(logs)))

    def bounds(self, low, high):
        both = max(abs(low), abs(high))
        return np.where((self.upper[0] == self.upper[1])[:, None], [low, high], [-both, both])

    def without(self, theta, j):
        beta, V = self._eigen(theta)
        metric = np.delete(np.delete(V * np.exp(-2 * beta) @ V.T, j, axis=0), j, axis=1)
        h = self.h.copy()
        h[self.features[j]] = math.inf
        family = type(self)(self.sample, h)
        squares, V = np.linalg.eigh(metric)
        return family, family._vector(V * (-0.5 * np.log(squares)) @ V.T)


def _symmetric_factor(D, E):
    """The symmetric positive definite H with the same square ``H @ H.T`` as ``D[:, None] * E``.

    Newton's iteration for the orthogonal factor, whose steps keep the digits of small rows beside large ones.
    """
    order, unit = np.argsort(-D), np.frexp(D.max())[1]
    F = (np.ldexp(D, -unit)[:, None] * E)[order]  # whose squares are within the range of numbers
    Q = F.copy()
    for _ in range(100):
        inverse = np.linalg.inv(Q)
        scale = math.sqrt(np.linalg.norm(inverse) / np.linalg.norm(Q))
        Q, last = 0.5 * (scale * Q + inverse.T / scale), Q
        if np.abs(Q - last).max() <= 1e-14 * np.abs(Q).max():
            break
    H = F @ Q.T
    # Of H_ij and H_ji that of the narrower feature has its digits.
    H = np.tril(H) + np.tril(H, -1).T
    back = np.argsort(order)
    return np.ldexp(H[np.ix_(back, back)], unit)
