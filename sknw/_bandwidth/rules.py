"""The spread of the features, and bandwidths that follow from it alone."""

import math

import numpy as np

from .._core import canonical_factor
from .selection import Selection

#: An interquartile range below this share of the standard deviation only says that half of the values nearly agree.
_LEAST_IQR = 0.01


def spreads(sample):
    """Return the spread of each feature: weighted standard deviation, or IQR / 1.349 if smaller.

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
    np.square(deviations, out=deviations)
    std = np.sqrt(share @ deviations)
    iqr = np.array([_between_quartiles(z, w) for z in Z.T]) / 1.349
    spread = np.where((iqr > _LEAST_IQR * std) & (iqr < std), iqr, std)
    return unit * np.where(std > 8 * np.finfo(np.float64).eps, spread, 0)


def _between_quartiles(z, w):
    """Return the range between weighted quartiles, by the inverse distribution function.

    It is the mean of the ranges of z and of -z, since either is biased to one side.
    """
    if (z[1:] < z[:-1]).any():
        order = np.argsort(z, kind="stable")
        z, w = z[order], w[order]
    below = np.cumsum(w)
    # Sums of n weights are exact to n eps, by which a share may be missed.
    rounding = len(w) * np.finfo(np.float64).eps
    quarters = np.array([0.25, 0.75]) * below[-1]
    low, high = z[np.searchsorted(below, quarters * (1 - rounding))]
    mirrored_low, mirrored_high = z[np.searchsorted(below, quarters * (1 + rounding), "right")]
    return 0.5 * ((high - low) + (mirrored_high - mirrored_low))


def reference(sample, bandwidth_type):
    """Return the reference shape: a number (spherical), or one per feature, `inf` for constant ones."""
    spread = spreads(sample)
    varies = spread > 0
    if not varies.any():
        return math.inf if bandwidth_type == "spherical" else np.full(len(spread), math.inf)
    if bandwidth_type == "spherical":
        largest = spread.max()
        return float(largest * np.sqrt(np.mean((spread[varies] / largest) ** 2)))
    return np.where(varies, spread, math.inf)


def rule_of_thumb(sample, bandwidth_type, kernel, rule):
    """Return the bandwidth of Scott's or Silverman's rule.

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
