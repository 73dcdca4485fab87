"""Constraints of parameters and data, and the messages of their violation."""

import math
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.utils import assert_all_finite

from .._compat import Interval, RealInterval, StrOptions, _check_sample_weight, joblib_n_jobs, validate_data
from .._core import ALGORITHMS, KERNELS, available_threads
from .inputs import check_mask, to_numbers, to_numpy

#: Types of X that are kept; all others are converted to float64.
_FLOATS = [np.float64, np.float32]

# Constraints of parameters, in scikit-learn's form. An unbounded interval that is closed on the right includes inf.
BANDWIDTH = [RealInterval(Real, 0, None, closed="right"), "array-like"]
KERNEL = [StrOptions(set(KERNELS)), callable]
EMPTY = [StrOptions({"nearest", "mean", "nan", "raise"})]
ALGORITHM = [StrOptions({"auto", *ALGORITHMS})]
RTOL = [Interval(Real, 0, 1, closed="left")]
N_JOBS = [Integral, None]


def check_n_jobs(n_jobs):
    """Return the number of threads that `n_jobs` stands for."""
    n_jobs = joblib_n_jobs() if n_jobs is None else n_jobs
    if n_jobs == 0:
        raise ValueError("n_jobs=0 has no meaning; use None, -1 for all processors, or a positive number.")
    if n_jobs is None:
        return available_threads()
    return n_jobs if n_jobs > 0 else max(1, available_threads() + 1 + n_jobs)


def check_training_data(estimator, X, y, *, y_numeric=True):
    """Validate X and y with scikit-learn, after dates in X were replaced by seconds.

    Parameters
    ----------
    estimator : BaseEstimator
        Gets `n_features_in_` and, if X has column names, `feature_names_in_`.
    X, y : array-like
    y_numeric : bool
        Whether y is to be converted to numbers, and may have several columns.

    Returns
    -------
    X : ndarray of shape (n, d), float64 or float32
    y : ndarray
    kinds : dict of int to str
        Columns of X that held dates or durations, see `to_numbers`.
    """
    check_mask(y, "y")
    X, kinds = to_numbers(X)
    with np.errstate(invalid="ignore", over="ignore"):  # sums and conversions may overflow, before they are checked
        X, y = validate_data(
            estimator, X, to_numpy(y, "y"), dtype=_FLOATS, order="C", multi_output=y_numeric, y_numeric=y_numeric
        )
    return X, y, kinds


def check_queries(estimator, X, kinds):
    """Validate queries with scikit-learn; `kinds` are those of the training data.

    Returns
    -------
    ndarray of shape (m, d), float64 or float32
    """
    X, found = to_numbers(X)
    with np.errstate(invalid="ignore", over="ignore"):
        X = validate_data(estimator, X, dtype=_FLOATS, order="C", reset=False)
    for j in sorted(found.keys() | kinds.keys()):
        if found.get(j) != kinds.get(j):
            here, there = (f"{kind}s" if kind else "numbers" for kind in (found.get(j), kinds.get(j)))
            raise ValueError(f"Column {j} of X has {here}, but had {there} in fit. Convert it to {there}.")
    return X


def check_targets(y):
    """Return targets as finite float64, of shape (n,) or (n, p)."""
    if sparse.issparse(y):
        raise TypeError("Sparse y was passed, but dense targets are required. Use y.toarray() to convert it.")
    y = np.asarray(y)
    if y.dtype.kind in "mM":
        raise ValueError(f"y must hold numbers; its dtype is {y.dtype}. Convert it to a unit of your choice.")
    if y.dtype.kind not in "biufO":
        raise ValueError(f"y must hold numbers; could not convert string to float: its dtype is {y.dtype}.")
    with np.errstate(over="ignore"):
        y = y.astype(np.float64)
    assert_all_finite(y, input_name="y")
    return y


def check_weights(sample_weight, X):
    """Return weights as float64, one per row of X: finite, none negative, at least one positive."""
    check_mask(sample_weight, "sample_weight")
    sample_weight = to_numpy(sample_weight, "sample_weight")
    kind = getattr(getattr(sample_weight, "dtype", None), "kind", "")
    if kind in ("m", "M"):
        raise TypeError(f"sample_weight must hold numbers; its dtype is {sample_weight.dtype}.")
    with np.errstate(over="ignore"):
        sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not sample_weight.any():
        raise ValueError("All sample weights are zero; at least one row must have a positive weight.")
    return sample_weight


def check_profile(kernel):
    """Raise unless a user's profile is jitted, finite, non-negative, and positive at 0."""
    if not callable(kernel):
        return
    from numba.core.registry import CPUDispatcher

    if not isinstance(kernel, CPUDispatcher):
        raise ValueError(
            f"kernel={kernel!r} is not compiled; decorate the profile k(s), a function of the squared scaled distance, "
            "with numba.njit."
        )
    s = np.concatenate([[0.0], np.geomspace(1e-12, 1e12, 97)])
    try:
        k = np.array([kernel(value) for value in s], dtype=np.float64)
    except Exception as error:  # whatever a user's function may do
        raise ValueError(
            f"kernel={kernel!r} must be a function k(s) of one float that returns a float for every s >= 0; calling it "
            f"raised {type(error).__name__}: {error}."
        ) from error
    bad = ~(np.isfinite(k) & (k >= 0))
    bad[0] |= k[0] == 0
    if bad.any():
        raise ValueError(
            f"The profile {kernel!r} gave {k[bad][0]} at s={s[bad][0]:g}; it must be finite and non-negative for every "
            "squared scaled distance s >= 0, and positive at 0."
        )


def check_bandwidth(bandwidth, bandwidth_type, d):
    """Return a bandwidth given by the user in the form of its family.

    Parameters
    ----------
    bandwidth : float or array-like
    bandwidth_type : {"spherical", "diag", "full"}
    d : int
        Number of features.

    Returns
    -------
    float, ndarray of shape (d,) or ndarray of shape (d, d)
    """
    shapes = {
        "spherical": "a number",
        "diag": f"a number or an array of shape ({d},), one per feature",
        "full": f"a number, an array of shape ({d},) or a symmetric matrix of shape ({d}, {d})",
    }
    check_mask(bandwidth, "bandwidth")
    h = to_floats(bandwidth)
    if h is None:
        raise ValueError(f"bandwidth must be {shapes[bandwidth_type]}; got {bandwidth!r}.")
    allowed = {"spherical": ((),), "diag": ((), (d,)), "full": ((), (d,), (d, d))}[bandwidth_type]
    if h.shape not in allowed:
        instead = "; a matrix needs bandwidth_type='full'" if h.shape == (d, d) else ""
        raise ValueError(
            f"With bandwidth_type={bandwidth_type!r} and {d} features, bandwidth must be {shapes[bandwidth_type]}; "
            f"got an array of shape {h.shape}{instead}."
        )
    if h.ndim == 2:
        return _check_matrix(h)
    if not (h > 0).all():
        raise ValueError(f"bandwidth must be positive, and may be inf; got {h[~(h > 0)].flat[0]}.")
    return in_family(h, bandwidth_type, d)


def to_floats(values):
    """Convert real numbers of any type to float64; return None if that is impossible."""
    try:
        a = np.asarray(values)
        if a.dtype.kind == "O" and not all(isinstance(value, Real) for value in a.flat):
            return None
        if a.dtype.kind not in "iufO":
            return None
        with np.errstate(over="ignore"):
            converted = a.astype(np.float64)
    except (ValueError, OverflowError):  # nested sequences of different lengths; integers and fractions beyond 1e308
        return None
    if a.dtype.kind == "f" and (np.isinf(converted) & np.isfinite(a)).any():
        return None
    return converted


def in_family(h, bandwidth_type, d):
    """Return a number or vector of bandwidths in the form of its family."""
    if bandwidth_type == "spherical":
        return float(h)
    h = np.array(np.broadcast_to(h, d), dtype=np.float64)
    return h if bandwidth_type == "diag" else np.diag(h)


def _check_matrix(H):
    """Check that a bandwidth matrix is symmetric positive definite; make it exactly symmetric."""
    h = H.diagonal()
    if not (h > 0).all():
        raise ValueError(f"A bandwidth matrix must have a positive diagonal; got {h[~(h > 0)][0]}.")
    finite = h < math.inf
    if not np.isfinite(H[np.ix_(finite, finite)]).all():
        raise ValueError("A bandwidth matrix may be infinite only on its diagonal, and must not contain NaN.")
    if (
        (H[~finite][:, finite] != 0).any()
        or (H[finite][:, ~finite] != 0).any()
        or _off_diagonal(H[~finite][:, ~finite]).any()
    ):
        raise ValueError(
            "Where a bandwidth matrix is infinite on its diagonal, the rest of that row and column must be 0."
        )
    core = H[np.ix_(finite, finite)]
    if core.size:
        unit = np.sqrt(core.diagonal())
        scaled = core / unit / unit[:, None]  # features in other units are neither less symmetric nor less definite
        # Products of rounded factors differ from their transpose by some eps of the largest entry.
        if np.abs(scaled - scaled.T).max() > 100 * np.finfo(np.float64).eps * max(1, np.abs(scaled).max()):
            raise ValueError("A bandwidth matrix must be symmetric; (H + H.T) / 2 is.")
        eigenvalues = np.linalg.eigvalsh(scaled)
        if eigenvalues[0] <= len(core) * np.finfo(np.float64).eps * eigenvalues[-1]:
            raise ValueError(
                "A bandwidth matrix must be positive definite; with a diagonal of ones its smallest eigenvalue is "
                f"{eigenvalues[0]:g}, its largest {eigenvalues[-1]:g}."
            )
        H = H.copy()
        H[np.ix_(finite, finite)] = 0.5 * (core + core.T)
    return H


def _off_diagonal(A):
    """Return A with zeros on its diagonal."""
    A = A.copy()
    np.fill_diagonal(A, 0)
    return A
