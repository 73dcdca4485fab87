"""GCV and AICc: the error of the fit, times a penalty for its degrees of freedom."""

from __future__ import annotations

import numpy as np

from .._core import SMALLEST_MASS, Wanted
from .by_rows import fits
from .residuals import squared_residuals


def penalized_fit(sample, metric, settings, criterion, *, wanted=Wanted.VALUE, queries=None):
    r"""Mean squared error of the fit, times a penalty for its effective degrees of freedom.

    Each row predicts itself, too. With t the trace of the smoother matrix S, :math:`S_{ii} = w_i k(0) / M_i`, and n the
    sum of the weights,

    .. math:: \mathrm{GCV} = \frac{\sigma^2}{(1 - t/n)^2}, \qquad
              e^{\mathrm{AICc}} = \sigma^2 \exp \frac{n + t}{n - t - 2}

    The second has the minimizer of AICc and the units of the first. Neither is of use near interpolation, t = n: GCV is
    defined as infinite where t > n/2, and AICc where t >= n - 2.

    Parameters
    ----------
    sample : Sample
    metric : Metric
    settings : Settings
    criterion : {"gcv", "aicc"}
    wanted : Wanted
    queries : ndarray, default=None
        Numbers of the rows by whose fits the criterion is estimated; None for all rows.

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
    rows, q = metric.rows(sample), wanted.count(len(metric.g))
    at_zero = settings.kernel(0.0) if callable(settings.kernel) else 1.0
    error, trace, derror, dtrace, total = 0.0, 0.0, np.zeros(q), np.zeros(q), 0.0
    for numbers, averages in fits(sample, metric, settings, wanted, queries):
        options = {"n_derivatives": q, "n_threads": settings.n_threads}
        residuals = squared_residuals(rows, numbers, averages, **options)
        total, error, derror = total + residuals.weight, error + residuals.error, derror + residuals.slope
        w, state = rows.w[numbers], averages.state
        if not len(metric.g):  # all weights are equal
            trace += np.sum(w) / rows.w.sum()
            continue
        denominator = np.maximum(state.sums[:, 0], SMALLEST_MASS)  # the offset is 0: no row is nearer than itself
        trace += np.sum(w * at_zero / denominator)
        dtrace -= np.einsum("i,iq->q", w * at_zero / denominator**2, state.derivatives[:, :, 0])
    n, share = sample.n_observations, rows.w.sum() / total
    error, derror, trace, dtrace = error / total, derror / total, trace * share, dtrace * share
    return _penalize(criterion, n, error, derror, trace, dtrace)


def _penalize(criterion, n, error, derror, trace, dtrace):
    """Return error times penalty, with derivatives."""
    # Where half of the rows repeat the other half, narrow windows have t = n/2 but for rounding.
    if trace > n / 2 * (1 + 1e-12) if criterion == "gcv" else trace >= n - 2:
        return np.inf, np.full(len(derror), np.nan)
    if criterion == "gcv":
        free = 1 - trace / n
        return error / free**2, derror / free**2 + 2 / n * error / free**3 * dtrace
    free = n - trace - 2
    with np.errstate(over="ignore", invalid="ignore"):
        penalty = np.exp((n + trace) / free)
        return error * penalty, penalty * (derror + error * (2 * n - 2) / free**2 * dtrace)


def in_units(criterion, sample, value):
    """Convert values of a criterion to the units of y; those of AICc to logarithms."""
    if criterion != "aicc":
        return sample.squared(value)
    with np.errstate(divide="ignore"):
        return np.log(value) + 2 * np.log(sample.unit)
