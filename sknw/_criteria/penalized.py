"""GCV and AICc: the error of the fit, times a penalty for its degrees of freedom."""

from __future__ import annotations

import numpy as np

from .._core import (
    SMALLEST_MASS,
    Derivatives,
)
from .._smoothing.averages import average
from .leave_one_out import (
    SUMS_AT_A_TIME,
)


def _parts(rows, queries, step):
    """Coordinates and numbers of all rows, or of some, so many at a time."""
    n = len(rows.w)
    own = np.arange(n) if queries is None else queries
    for start in range(0, len(own), step):
        part = own[start : start + step]
        yield rows.Z.T if len(part) == n else rows.Z.T[part], part


def penalized_fit(sample, metric, kernel, criterion, *, derivatives=Derivatives.NOTHING, queries=None, **options):
    r"""Mean squared error of the fit, each row among its own neighbours, times a penalty for what that flatters.

    With t the trace of the matrix S that turns targets into fits, :math:`S_{ii} = w_i k(0) / M_i`, and n the sum of the
    weights,

    .. math:: \mathrm{GCV} = \frac{\sigma^2}{(1 - t/n)^2}, \qquad
              e^{\mathrm{AICc}} = \sigma^2 \exp \frac{n + t}{n - t - 2}

    the second of which has the minimum of AICc, and the units of the first. Interpolation, at t = n, makes nothing of
    both: GCV is infinite where t > n/2, and AICc where t >= n - 2.

    Parameters
    ----------
    sample : Sample
    metric : Metric
    kernel : str or jitted function
    criterion : {"gcv", "aicc"}
    derivatives : Derivatives
        Which ones.
    queries : ndarray, default=None
        Numbers of the rows whose fits count, an estimate; None for all.
    **options : dict
        Passed to `average`.

    Returns
    -------
    value : float
        In the sample's units.
    gradient : ndarray of shape (q,)
        NaN where the value is infinite.

    References
    ----------
    P. Craven and G. Wahba, "Smoothing noisy data with spline functions", Numerische Mathematik 31 (1979), 377-403.
    C. M. Hurvich, J. S. Simonoff and C.-L. Tsai, "Smoothing parameter selection in nonparametric regression using an
    improved Akaike information criterion", JRSS B 60 (1998), 271-293.
    """
    rows = metric.rows(sample)
    p, q = len(rows.Y), derivatives.count(len(metric.g))
    at_zero = kernel(0.0) if callable(kernel) else 1.0
    error, trace, derror, dtrace, total = 0.0, 0.0, np.zeros(q), np.zeros(q), 0.0
    step = max(64, SUMS_AT_A_TIME // ((1 + q) * (1 + p)))
    for Z, part in _parts(rows, queries, step):
        means, _, state = average(kernel, rows, metric.g, Z, derivatives=derivatives, **options)
        w, residuals = rows.w[part], means - rows.Y.T[part]
        total += w.sum()
        error += np.sum(w * np.mean(residuals**2, axis=1))
        if not len(metric.g):  # everyone counts the same
            trace += np.sum(w) / rows.w.sum()
            continue
        mass = np.maximum(state.sums[:, 0], SMALLEST_MASS)  # relative to itself: nobody is nearer to a row
        trace += np.sum(w * at_zero / mass)
        if q:
            dmass, dmoments = state.dsums[:, :, 0], state.dsums[:, :, 1:]
            dmeans = (dmoments - means[:, None, :] * dmass[:, :, None]) / mass[:, None, None]
            derror += 2 / p * np.einsum("i,ic,iqc->q", w, residuals, dmeans)
            dtrace -= np.einsum("i,iq->q", w * at_zero / mass**2, dmass)
    n, share = sample.n_observations, rows.w.sum() / total
    error, derror, trace, dtrace = error / total, derror / total, trace * share, dtrace * share
    # Where half of the rows repeat the other half, narrow windows have t = n/2 but for rounding.
    if trace > n / 2 * (1 + 1e-12) if criterion == "gcv" else trace >= n - 2:
        return np.inf, np.full(q, np.nan)
    if criterion == "gcv":
        rest = 1 - trace / n
        return error / rest**2, derror / rest**2 + 2 / n * error / rest**3 * dtrace
    rest = n - trace - 2
    with np.errstate(over="ignore", invalid="ignore"):
        penalty = np.exp((n + trace) / rest)
        return error * penalty, penalty * (derror + error * (2 * n - 2) / rest**2 * dtrace)


def in_units(criterion, sample, value):
    """A criterion, or an array of it, in the units of y; AICc as the logarithm that it is."""
    if criterion != "aicc":
        return sample.squared(value)
    with np.errstate(divide="ignore"):
        return np.log(value) + 2 * np.log(sample.unit)
