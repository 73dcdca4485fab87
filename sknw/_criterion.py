"""The criteria that choose bandwidths, the leave-one-out error first of all, and their derivatives."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, overload

import numpy as np

from ._compat import check_X_y, validate_params
from ._core import (
    PROFILES,
    SMALLEST_MASS,
    Derivatives,
    check_applies,
    chosen_algorithm,
    goes_backward,
    in_cache,
    kernel_sums_of_scales,
    neighbours_of,
    pull_back,
    run_blocks,
    segment_errors,
    takes_segments,
)
from ._node_errors import errors_of_cells, nodes_of
from ._pooling import Metric, Sample, as_slice, average, can_leave_out
from ._validation import (
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
    check_weights,
)

if TYPE_CHECKING:
    from typing import Any, Literal

    from ._typing import Algorithm, ArrayLike, Empty, KernelName, Matrix, Number, Profile, Vector


def left_out(empty):
    """What answers for a row that nobody but itself is in reach of: leave-one-out always has an answer."""
    return "nearest" if empty == "nearest" else "mean"


#: Derivatives of this many sums are held at a time (128 MiB).
_SUMS_AT_A_TIME = 2**24

#: Rows whose sums, and all that is done to these, stay in the second-level cache.
_ROWS_AT_A_TIME = 2**16

#: Pairs for which no other loops are compiled: some milliseconds of work.
_NOT_WORTH_COMPILING = 2**22


def leave_one_out(
    sample,
    metric,
    kernel,
    *,
    empty,
    derivatives=Derivatives.NOTHING,
    queries=None,
    nodes=None,
    squares=None,
    **how,
):
    r"""Mean squared leave-one-out error, in the sample's units, with derivatives.

    .. math:: C = \frac{1}{\sum_i w_i} \sum_i w_i \frac{1}{p} \sum_c (m_{-i,c}(x_i) - y_{ic})^2

    With :math:`m = N / M`, a derivative is :math:`m' = (N' - m M') / M`; where no row is in reach, `empty` decides, and
    the derivatives are 0.

    Parameters
    ----------
    sample : Sample
    metric : Metric
    kernel : str or jitted function
    empty : str
        A row whose window is empty without it counts with the answer that `empty` gives, or with the mean where `empty`
        gives none: it is never left out of the criterion.
    derivatives : Derivatives
        Which ones.
    queries : ndarray, default=None
        Numbers of the rows whose errors count; None for all. All rows predict.
    nodes : Nodes, default=None
        Of all rows, by which the errors of most may be had at once.
    squares : ndarray of shape (n,), default=None
        The terms of all rows are written to it: weights times squared errors. Not with nodes, which do not tell them.
    **how
        How the sums are formed: `algorithm`, `rtol` and `n_threads` of `kernel_sums`.

    Returns
    -------
    value : float
    gradient : ndarray of shape (q,)

    Notes
    -----
    With the dense algorithm O(n² (d + p)) time, with derivatives too where they are had by reverse mode; in a few
    features O(n² q p) more. O(n (d + p)) memory.
    """
    how |= {"derivatives": derivatives, "in_order": sample.X.shape[1] == 1}
    weight, error, slope, rows = 0.0, 0.0, np.zeros(derivatives.count(len(metric.g))), metric.rows(sample)
    if queries is None:
        found = _errors_of_most(rows, metric.g, kernel, nodes, squares, **how)
        if found is not None:
            weight, error, slope, queries = found
            if how["in_order"] and len(queries) * len(sample.w) <= _NOT_WORTH_COMPILING:
                how["algorithm"] = "window"  # which narrow bandwidths need anyway
    if queries is None or len(queries):
        parts = _errors_by_part(rows, metric.g, kernel, queries, empty=empty, **how)
        for part in parts:
            weight, error, slope = weight + part.weight, error + part.error, slope + part.slope
        if squares is not None:
            squares[... if queries is None else queries] = np.concatenate([part.squares for part in parts])
    return error / weight, slope / weight


def _errors_of_most(rows, g, kernel, nodes, squares, queries=None, *, weights=None, derivatives, in_order, **how):
    """Squared errors of most rows, which is less than those of each of them; None where there is no such way."""
    if nodes is not None and derivatives != Derivatives.PAIRS:
        return errors_of_cells(nodes, g, derivatives=derivatives, rtol=how["rtol"])
    n_threads = how.pop("n_threads", 1)
    Zq = None if queries is None else rows.Z.T[queries]
    if in_order and takes_segments(kernel, rows, g, Zq, derivatives=derivatives, **how):
        some = {"queries": queries, "weights": weights}
        return segment_errors(kernel, rows, g, derivatives=derivatives, squares=squares, n_threads=n_threads, **some)
    return None


def squared_errors(sample, metric, kernel, queries, weights, *, empty, derivatives, **how):
    """The terms of `leave_one_out`, of some rows with weights of their own instead of those that the sample has.

    Parameters as there, `queries`, in ascending order, and `weights` of shape (m,).

    Returns
    -------
    squares : ndarray of shape (m,)
        Weights times squared errors.
    slope : ndarray of shape (q,)
        Derivatives of their sum.
    """
    how |= {"derivatives": derivatives, "in_order": sample.X.shape[1] == 1}
    rows, squares, slope = metric.rows(sample), np.zeros(len(queries)), np.zeros(derivatives.count(len(metric.g)))
    found = _errors_of_most(rows, metric.g, kernel, None, squares, queries, weights=weights, **how)
    rest = np.arange(len(queries))
    if found is not None:
        slope, rest = found.slope, found.rest
    if len(rest):
        parts = _errors_by_part(rows, metric.g, kernel, queries[rest], weights[rest], empty=empty, **how)
        squares[rest] = np.concatenate([part.squares for part in parts])
        slope = slope + sum(part.slope for part in parts)
    return squares, slope


def _errors_by_part(rows, g, kernel, queries, weights=None, *, empty, derivatives, n_threads=1, **how):
    """Squared errors of the rows, all or some, by parts whose sums fit into memory, or into the cache."""
    p, q = len(rows.Y), derivatives.count(len(g))
    backward = goes_backward(kernel, rows, g, derivatives=derivatives, **how)
    forward = {"derivatives": Derivatives.NOTHING, "algorithm": "dense"} if backward else {"derivatives": derivatives}
    step = max(64, _SUMS_AT_A_TIME // ((1 if backward else 1 + q) * (1 + p)))
    neighbours, at_a_time = None, 1
    all_in_order = how["in_order"] and queries is None
    if all_in_order and chosen_algorithm(kernel, rows, g, derivatives=derivatives, **how) == "window":
        neighbours = neighbours_of(kernel, rows, g, derivatives=derivatives, rtol=how.get("rtol", 0.0))
        step, at_a_time, n_threads = _ROWS_AT_A_TIME, n_threads, 1  # each row is summed up by itself
    own, found = np.arange(len(rows.w)) if queries is None else queries, {}

    def add_up(start, stop):
        part, options = own[start:stop], how | {"n_threads": n_threads}
        Z = rows.Z.T[as_slice(part)]
        state = neighbours.sums(start, min(stop, len(own))) if neighbours else None
        averages = average(kernel, rows, g, Z, part, empty=left_out(empty), state=state, **options | forward)
        w = None if weights is None else weights[start:stop]
        errors = _errors(rows, part, averages, derivatives, n_threads, weights=w, backward=backward)
        if backward:
            exact = {"rtol": how.get("rtol", 0.0), "n_threads": n_threads}
            args = Z, part, averages.state.shift, errors.adjoints
            slope = pull_back(kernel, rows, g, *args, derivatives=derivatives, **exact)
            errors = errors._replace(slope=errors.slope + slope, adjoints=None)
        found[start] = errors

    run_blocks(add_up, [(start, start + step) for start in range(0, len(own), step)], at_a_time)
    return [found[start] for start in sorted(found)]


def leave_one_out_of_scales(sample, metric, kernel, places, *, empty, derivatives, rtol=0.0, n_threads=1):
    """`leave_one_out` of bandwidths from a series, each narrower by the root of two, in one pass over all pairs.

    Parameters as there, `metric` that of the widest bandwidth; `places` as in `kernel_sums_of_scales`; `derivatives` is
    NOTHING or SCALE.

    Returns
    -------
    list of tuples
        Value and gradient of each.
    """
    how = {"empty": empty, "derivatives": derivatives, "rtol": rtol, "n_threads": n_threads}
    found = _errors_of_scales(sample, metric, kernel, places, np.arange(len(sample.w)), None, **how)
    return [(errors.error / errors.weight, errors.slope / errors.weight) for errors in found]


def squared_errors_of_scales(
    sample, metric, kernel, places, queries, weights, *, empty, derivatives, rtol=0.0, n_threads=1, **_
):
    """`squared_errors` of the bandwidths of `leave_one_out_of_scales`, over all pairs: a list of squares and slopes."""
    how = {"empty": empty, "derivatives": derivatives, "rtol": rtol, "n_threads": n_threads}
    found = _errors_of_scales(sample, metric, kernel, places, queries, weights, **how)
    return [(errors.squares, errors.slope) for errors in found]


def _errors_of_scales(sample, metric, kernel, places, queries, weights, *, empty, **how):
    """Yield the `_Errors` of some rows for each bandwidth of a series."""
    rows = metric.rows(sample)
    Z = rows.Z.T[as_slice(queries)]
    states = kernel_sums_of_scales(kernel, rows, metric.g, Z, queries, places=places, **how)
    for k, state in zip(places, states, strict=True):
        args = kernel, rows, metric.g * 2 ** (k / 2), Z, queries
        averages = average(*args, empty=left_out(empty), state=state, algorithm="auto", **how)
        yield _errors(rows, queries, averages, how["derivatives"], how["n_threads"], weights=weights)


class _Errors(NamedTuple):
    """Squared errors of some rows, and what they add up to.

    Attributes
    ----------
    squares : ndarray of shape (m,)
        Weights times squared errors.
    weight, error : float
        Sums of the weights, and of the squares.
    slope : ndarray of shape (q,)
        Derivatives of the latter, from those of the sums.
    adjoints : ndarray of shape (m, 1 + p), or None
        Its derivatives in the mass and the moments of each row, if it is to go backward.
    """

    squares: np.ndarray
    weight: float
    error: float
    slope: np.ndarray
    adjoints: np.ndarray


#: Derivatives are sums of weights times squared distances. Their share in a slope is a difference of such sums, which
#: is exponentially small where the nearest row is far, and to which rounding adds eps times its squared distance.
_NO_DIGITS = 1e12


def _errors(rows, own, averages, derivatives, n_threads, *, weights=None, backward=False):
    """Squared errors of the averages for some rows, with derivatives as far as the sums have them, or `backward`."""
    means, _, state = averages
    p, q, found = len(rows.Y), derivatives.count(len(rows.Z)), {}
    adjoints, squares = np.zeros_like(state.sums) if backward else None, np.zeros(len(own))

    def add_up(start, stop):
        part = slice(start, stop)
        mine = as_slice(own[part])
        w = rows.w[mine] if weights is None else weights[part]
        mass, dsums, slope = state.sums[part, 0], state.dsums[part], np.zeros(q)
        # Where no row is in reach, derivatives are 0; and so far out that nothing but rounding is left of them.
        lost = (mass < SMALLEST_MASS) | (state.shift[part] > _NO_DIGITS)
        if lost.any():
            mass, dsums = np.where(lost, np.inf, mass), np.where(lost[:, None, None], 0.0, dsums)
        for c, y in enumerate(rows.Y):  # one number for each row at a time: axes of length 1 would take longer
            m = means[part, c]
            residuals = m - y[mine]
            adjoint = w * residuals
            squares[part] += adjoint * residuals / p
            if not q:
                continue
            adjoint /= mass
            if backward:
                adjoints[part, 1 + c] = 2 / p * adjoint
                adjoints[part, 0] -= 2 / p * adjoint * m
            for k in range(dsums.shape[1]):
                change = m * dsums[:, k, 0]
                np.subtract(dsums[:, k, 1 + c], change, out=change)
                slope[k] += 2 / p * np.einsum("i,i", adjoint, change)
        found[start] = w.sum(), squares[part].sum(), slope

    run_blocks(add_up, in_cache(len(own)), n_threads)
    sums = [found[start] for start in sorted(found)]  # in this order, whatever that of the threads
    return _Errors(squares, *(sum(column) for column in zip(*sums, strict=True)), adjoints)


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
    step = max(64, _SUMS_AT_A_TIME // ((1 + q) * (1 + p)))
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


def check_differentiable(kernel):
    """Raise if the leave-one-out error has no derivative that is of use with this kernel."""
    if callable(kernel) or not PROFILES[kernel].differentiable:
        raise ValueError(
            f"The leave-one-out error has no gradient for kernel={kernel!r}: that of 'tophat' is zero wherever it "
            "exists, and that of a user's profile is not known. Use bandwidth='loo', or another kernel."
        )


def check_can_leave_out(rows):
    """Raise if nothing is left when one observation is left out of a `Sample` or `Rows`."""
    if not can_leave_out(rows):
        raise ValueError("Leave-one-out needs at least two observations, but there is only one of positive weight.")


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
    r"""Leave-one-out error of the Nadaraya-Watson estimator, with its gradient.

    The criterion that `NadarayaWatsonRegressor` minimises, as a plain function, for those who bring their own
    optimiser. One observation is taken out of each row in turn, and the row is predicted from all the others.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Training points.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets.
    bandwidth : float, array-like of shape (n_features,) or of shape (n_features, n_features)
        Bandwidth, in the units of X: the standard deviation of the Gaussian, the support radius of a compact kernel.
        `inf` leaves a feature out. A matrix must be symmetric and positive definite.
    kernel : str or jitted function, default="gaussian"
        As in `NadarayaWatsonRegressor`.
    empty : {"nearest", "mean", "nan", "raise"}, default="nearest"
        As in `NadarayaWatsonRegressor`; a row with nobody in reach counts with the mean for the last two.
    sample_weight : array-like of shape (n_samples,), default=None
        Numbers of observations.
    algorithm : {"auto", "dense", "sliding", "window", "fast_gauss"}, default="auto"
        How the sums are formed, as in `NadarayaWatsonRegressor`.
    rtol : float, default=1e-12
        What each prediction may be wrong by, besides rounding, in units of the range of the targets: fewer digits than
        that are enough for an average, but not for the difference of two criteria. 0 admits only what is exact to
        rounding. All is float64, whatever the type of X.
    n_jobs : int, default=None
        Threads, as in `NadarayaWatsonRegressor`. The result does not depend on it.
    return_gradient : bool, default=False
        Return the gradient, too.

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
        For bad input; if fewer than two observations are given; if the algorithm does not apply to the kernel or the
        number of features; and if a gradient is asked for of a kernel that has none ("tophat", a user's profile).

    Notes
    -----
    Where every pair is visited, O(n² (d + p)) time for n rows, d features and p outputs, with the gradient up to thrice
    as much, in a matrix too. The other algorithms take less, see the user guide. O(n (d + p)) memory.

    For the Gaussian the gradient in a matrix is that of Weinberger and Tesauro, "Metric learning for kernel
    regression", AISTATS 2007, with the normaliser that is missing in its printed form.

    Examples
    --------
    >>> from sknw import loo_error
    >>> from sknw.datasets import make_sine
    >>> X, y = make_sine(random_state=0)
    >>> error, gradient = loo_error(X, y, 0.5, return_gradient=True)
    >>> print(f"{error:.4f} {gradient:+.4f}")
    0.2877 +0.0865
    """
    X, y = check_X_y(X, y, dtype=np.float64, order="C", multi_output=True, y_numeric=True)
    y, sample_weight = check_targets(y), check_weights(sample_weight, X)
    check_profile(kernel)
    check_applies(algorithm, kernel, X.shape[1])
    ndim = np.ndim(bandwidth)
    bandwidth = check_bandwidth(bandwidth, "full" if ndim > 1 else "diag", X.shape[1])
    sample = Sample.of(X, y.reshape(len(y), -1), sample_weight)
    check_can_leave_out(sample)
    metric = Metric.of(bandwidth, sample.X)
    options = {"empty": empty, "algorithm": algorithm, "rtol": rtol, "n_threads": check_n_jobs(n_jobs)}
    if not return_gradient or ndim < 2:
        options["nodes"] = nodes_of(sample, metric, kernel, at_once=True, **options)
    if not return_gradient:
        return float(sample.squared(leave_one_out(sample, metric, kernel, **options)[0]))
    check_differentiable(kernel)
    derivatives = (Derivatives.SCALE, Derivatives.FEATURES, Derivatives.PAIRS)[ndim]
    value, gradient = leave_one_out(sample, metric, kernel, derivatives=derivatives, **options)
    value, gradient = float(sample.squared(value)), sample.squared(gradient)
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
