"""The spread of the features, and bandwidths that follow from it alone."""

import math

import numpy as np

from .._core import canonical_factor
from ._selection import Selection

#: A spread below this share of the standard deviation says that half of the values are nearly the same, and no more.
_LEAST_IQR = 0.01


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
