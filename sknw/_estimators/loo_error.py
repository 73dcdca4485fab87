"""The leave-one-out error as a public function."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin

from .._compat import validate_params
from .._core import (
    Wanted,
    check_applies,
)
from .._criteria.by_nodes import Prepared
from .._criteria.leave_one_out import (
    check_can_leave_out,
    check_differentiable,
    leave_one_out,
)
from .._criteria.problem import Settings
from .._smoothing.metric import Metric
from .._smoothing.sample import Sample
from .validation import (
    ALGORITHM,
    BANDWIDTH,
    EMPTY,
    KERNEL,
    N_JOBS,
    RTOL,
    check_bandwidth,
    check_n_jobs,
    check_profile,
    check_targets,
    check_training_data,
    check_weights,
    to_floats,
)

if TYPE_CHECKING:
    from typing import Any, Literal

    from .._typing import Algorithm, ArrayLike, Empty, KernelName, Matrix, Number, Profile, Vector


class _Validated(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Stands for an estimator in the validation of data."""


@overload
def loo_error(
    X: ArrayLike,
    y: ArrayLike,
    bandwidth: Number | Vector | Matrix,
    *,
    kernel: KernelName | Profile = ...,
    empty: Empty = ...,
    sample_weight: ArrayLike | None = ...,
    algorithm: Algorithm = ...,
    rtol: float = ...,
    n_jobs: int | None = ...,
    return_gradient: Literal[False] = ...,
) -> float: ...


@overload
def loo_error(
    X: ArrayLike,
    y: ArrayLike,
    bandwidth: Number | Vector | Matrix,
    *,
    kernel: KernelName | Profile = ...,
    empty: Empty = ...,
    sample_weight: ArrayLike | None = ...,
    algorithm: Algorithm = ...,
    rtol: float = ...,
    n_jobs: int | None = ...,
    return_gradient: Literal[True],
) -> tuple[float, Any]: ...


@validate_params(
    {
        "bandwidth": BANDWIDTH,
        "kernel": KERNEL,
        "empty": EMPTY,
        "algorithm": ALGORITHM,
        "rtol": RTOL,
        "n_jobs": N_JOBS,
        "return_gradient": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def loo_error(
    X: ArrayLike,
    y: ArrayLike,
    bandwidth: Number | Vector | Matrix,
    *,
    kernel: KernelName | Profile = "gaussian",
    empty: Empty = "nearest",
    sample_weight: ArrayLike | None = None,
    algorithm: Algorithm = "auto",
    rtol: float = 1e-12,
    n_jobs: int | None = None,
    return_gradient: bool = False,
) -> float | tuple[float, Any]:
    r"""Compute the leave-one-out error of the Nadaraya-Watson estimator, with its gradient.

    `NadarayaWatsonRegressor` minimizes this criterion by default. Use the function with an optimizer of your own. One
    observation is removed from each row in turn, and the row is predicted from what remains.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Training points.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets.
    bandwidth : float, array-like of shape (n_features,) or of shape (n_features, n_features)
        Bandwidth, in the units of X: the standard deviation of the Gaussian, the support radius of a compact kernel.
        A feature of bandwidth `inf` is ignored. A matrix must be symmetric and positive definite.
    kernel : str or jitted function, default="gaussian"
        As in `NadarayaWatsonRegressor`.
    empty : {"nearest", "mean", "nan", "raise"}, default="nearest"
        As in `NadarayaWatsonRegressor`. A row with an empty neighborhood is predicted by the mean for the last two.
    sample_weight : array-like of shape (n_samples,), default=None
        Number of observations that each row represents.
    algorithm : {"auto", "dense", "sliding", "window", "fast_gauss"}, default="auto"
        Algorithm used to compute the kernel sums, as in `NadarayaWatsonRegressor`.
    rtol : float, default=1e-12
        Maximum approximation error of each prediction, relative to the range of y. Rounding errors come on top. The
        default is smaller than that of `NadarayaWatsonRegressor`, because optimizers use differences of errors. 0
        admits only sums that are exact up to rounding. Sums are float64, whatever the type of X.
    n_jobs : int, default=None
        Threads, as in `NadarayaWatsonRegressor`. The result does not depend on it.
    return_gradient : bool, default=False
        Whether to return the gradient.

    Returns
    -------
    error : float
        Weighted mean over the rows, and mean over the outputs, of the squared errors.
    gradient : float or ndarray of the shape of `bandwidth`
        Only if `return_gradient`. For a number and a vector, the derivative in the logarithm of the bandwidth; for a
        matrix H, the derivative in each entry of its inverse, as if these could be chosen independently.

    Raises
    ------
    ValueError
        If the data or a parameter is invalid, if there are fewer than two observations, if the algorithm does not apply
        to the kernel or the number of features, or if the gradient of a kernel without one ("tophat", a user's profile)
        is requested.

    Notes
    -----
    Over all pairs, the error takes O(n² (d + p)) time for n rows, d features and p outputs, and the gradient up to two
    times more. The other algorithms take less, see the user guide. Memory is O(n (d + p)).

    The gradient of the Gaussian in a matrix is that of Weinberger and Tesauro, "Metric learning for kernel
    regression", AISTATS 2007, with the normalizer that is missing in its printed form.

    Examples
    --------
    >>> from sknw import loo_error
    >>> from sknw.datasets import make_sine
    >>> X, y = make_sine(random_state=0)
    >>> error, gradient = loo_error(X, y, 0.5, return_gradient=True)
    >>> print(f"{error:.4f} {gradient:+.4f}")
    0.2877 +0.0865
    """
    X, y, _ = check_training_data(_Validated(), X, y)
    X, y, sample_weight = X.astype(np.float64, copy=False), check_targets(y), check_weights(sample_weight, X)
    check_profile(kernel)
    check_applies(algorithm, kernel, X.shape[1])
    ndim = np.ndim(to_floats(bandwidth))
    bandwidth = check_bandwidth(bandwidth, "full" if ndim > 1 else "diag", X.shape[1])
    sample = Sample.of(X, y.reshape(len(y), -1), sample_weight)
    check_can_leave_out(sample)
    metric = Metric.of(bandwidth, sample.X)
    settings = Settings(kernel, empty, algorithm, rtol, check_n_jobs(n_jobs))
    wanted = Wanted.VALUE
    if return_gradient:
        check_differentiable(kernel)
        wanted = (Wanted.SCALE, Wanted.FEATURES, Wanted.PAIRS)[ndim]
    prepared = Prepared(sample, settings, once=True)
    [errors] = leave_one_out(sample, [metric], settings, wanted=wanted, prepared=prepared)
    value, gradient = float(sample.squared(errors.mean)), sample.squared(errors.gradient)
    if not return_gradient:
        return value
    if ndim == 0:
        return value, float(gradient[0])
    if ndim == 1:
        out = np.zeros_like(bandwidth)
        out[metric.features] = gradient
        return value, out
    if len(metric.features) < len(bandwidth):
        raise ValueError(
            "The gradient in a matrix is not defined where an entry is inf; leave these features out of X."
        )
    # ds/dG = 2 z (x - x_j)', z = G (x - x_j); `gradient` holds the sums of -2 k' z_a z_b for a <= b.
    S = np.zeros_like(bandwidth)
    S[np.triu_indices(len(S))] = gradient
    S += np.triu(S, 1).T
    return value, -S @ bandwidth
