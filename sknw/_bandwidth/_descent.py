"""Descent along the gradient of the leave-one-out error."""

import math
import warnings

import numpy as np
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning

from .._core import Derivatives
from .._criterion import check_differentiable
from ._search import search
from ._selection import Objective, Selection


def descend(sample, bandwidth_type, kernel, empty, *, shrinkage, max_iter, tol, n_threads=1, log=None):
    """The bandwidths of a family with the smallest leave-one-out error near the best of the global search.

    L-BFGS-B in the logarithms, from the best factor of the reference shape, with the exact gradient, on the error
    divided by its value there plus ``shrinkage * sum(log(h / h_loo)**2)``. After that, each feature whose bandwidth may
    as well be infinite gets that.

    Parameters as in `search`, the others as in `NadarayaWatsonRegressor`.

    Returns
    -------
    Selection
    """
    check_differentiable(kernel)
    start = search(sample, bandwidth_type, kernel, empty, n_threads=n_threads, log=log)
    finite = np.isfinite(start.h)
    if not np.any(finite) or not start.criterion > 0:
        return start._replace(losses=[start.criterion])
    objective = Objective(sample, kernel, empty, n_threads, log)
    single = np.ndim(start.h) == 0
    h_loo = np.atleast_1d(np.asarray(start.h, dtype=np.float64))
    theta_loo = np.log(h_loo[np.atleast_1d(finite)])
    seen = {}

    def widths(theta):
        h = h_loo.copy()
        h[np.atleast_1d(finite)] = np.exp(theta)
        return h[0] if single else h

    def penalized(theta):
        value, gradient = objective(widths(theta), Derivatives.SCALE if single else Derivatives.FEATURES)
        seen[theta.tobytes()] = value
        away = theta - theta_loo
        return (
            value / start.criterion + shrinkage * np.sum(away**2),
            gradient / start.criterion + 2 * shrinkage * away,
        )

    losses = [start.criterion]

    def record(intermediate_result):
        losses.append(seen.get(intermediate_result.x.tobytes(), math.nan))

    # Beyond these, windows hold nobody or everyone.
    factors = start.searched[0].reshape(len(start.searched[0]), -1)[:, np.atleast_1d(finite)]
    bounds = np.log(np.column_stack([factors[0], 64 * factors[-2]]))
    result = minimize(
        penalized,
        theta_loo,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        callback=record,
        options={"maxiter": max_iter, "gtol": tol, "ftol": tol**2, "maxfun": 100 * max_iter},
    )
    if result.status == 1:
        warnings.warn(
            f"The descent of the bandwidth stopped after max_iter={max_iter} iterations with the best so far; "
            "raise max_iter, or raise tol.",
            ConvergenceWarning,
            stacklevel=5,
        )
    h, criterion = widths(result.x), seen.get(result.x.tobytes())
    if criterion is None:
        criterion = objective(h)[0]
    if shrinkage == 0 and criterion > start.criterion:
        h, criterion = start.h, start.criterion
    if not single and shrinkage == 0:  # the pull of a penalty is to finite bandwidths
        h, criterion = _widen(objective, h, criterion, start.h, tol)
    return Selection(h, criterion, start.searched, losses, max(1, result.nit))


def _widen(objective, h, criterion, shape, tol):
    """Give an infinite bandwidth to each feature that it costs nothing, the widest first, but never to the last."""
    limit = criterion * (1 + tol)
    widened = True
    while widened:
        widened = False
        finite = np.flatnonzero(np.isfinite(h))
        for j in finite[np.argsort(-h[finite] / shape[finite], kind="stable")]:
            trial = h.copy()
            trial[j] = math.inf
            if np.isinf(trial).all():
                continue
            value = objective(trial)[0]
            if value <= limit:
                h, criterion, widened = trial, value, True
    return h, criterion
