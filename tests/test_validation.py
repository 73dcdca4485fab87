"""Bad input gives a sentence, and never a number."""

import math

import numba
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from sknw import NadarayaWatsonRegressor, loo_error
from sknw.datasets import make_sine

X, y = np.arange(12.0).reshape(6, 2), np.arange(6.0)


def fit(bandwidth="loo", X=X, y=y, w=None, **options):
    return NadarayaWatsonRegressor(bandwidth, **options).fit(X, y, w)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bandwidth": "lo"}, r"'bandwidth' parameter .* must be .* Got 'lo'"),
        ({"bandwidth": None}, r"'bandwidth' parameter .* Got None"),
        ({"bandwidth": "aic"}, r"'bandwidth' parameter .* Got 'aic'"),
        ({"kernel": "gauss"}, r"'kernel' parameter .* Got 'gauss'"),
        ({"empty": "zero"}, r"'empty' parameter .* Got 'zero'"),
        ({"bandwidth_type": "ard"}, r"'bandwidth_type' parameter .* Got 'ard'"),
        ({"bandwidth": 0.0}, r"'bandwidth' parameter .* Got 0.0"),
        ({"bandwidth": -1}, r"'bandwidth' parameter .* Got -1"),
        ({"bandwidth": math.nan}, r"'bandwidth' parameter .* Got nan|must be positive.*nan"),
        ({"bandwidth": -math.inf}, r"'bandwidth' parameter .* Got -inf"),
        ({"shrinkage": -1.0}, r"'shrinkage' parameter .* Got -1.0"),
        ({"shrinkage": "loo"}, r"'shrinkage' parameter .* Got 'loo'"),
        ({"solver": "sgd"}, r"'solver' parameter .* Got 'sgd'"),
        ({"max_time": 0}, r"'max_time' parameter .* Got 0"),
        ({"max_iter": 0}, r"'max_iter' parameter .* Got 0"),
        ({"tol": -1e-3}, r"'tol' parameter .* Got -0.001"),
        ({"n_jobs": 0}, "n_jobs=0 has no meaning"),
        ({"n_jobs": 1.5}, r"'n_jobs' parameter .* Got 1.5"),
        ({"bandwidth": [1.0, 0.0]}, "bandwidth must be positive.*got 0.0"),
        ({"bandwidth": [1.0, -2.0]}, r"bandwidth must be positive.*got -2.0"),
        ({"bandwidth": [1.0, math.nan]}, "bandwidth must be positive.*got nan"),
        ({"bandwidth": [1.0, 2.0, 3.0]}, r"2 features.*shape \(2,\).*got an array of shape \(3,\)"),
        ({"bandwidth": ["a", "b"]}, r"bandwidth must be a number or an array of shape \(2,\)"),
        ({"bandwidth": [[1.0], [1.0, 2.0]]}, r"bandwidth must be a number or an array of shape \(2,\)"),
        ({"bandwidth": [1.0 + 1j, 2.0]}, "bandwidth must be a number"),
        ({"bandwidth": np.eye(2)}, r"'diag'.*got an array of shape \(2, 2\); a matrix needs bandwidth_type='full'"),
        ({"bandwidth": [1.0, 2.0], "bandwidth_type": "spherical"}, r"must be a number; got an array of shape \(2,\)"),
        ({"bandwidth": np.eye(3), "bandwidth_type": "full"}, r"shape \(2, 2\); got an array of shape \(3, 3\)"),
        ({"bandwidth": [[1, 0.5], [0.4, 1]], "bandwidth_type": "full"}, r"symmetric; \(H \+ H.T\) / 2 is"),
        (
            {"bandwidth": [[1, 2.0], [2, 1]], "bandwidth_type": "full"},
            "positive definite; .*smallest.* is -1",
        ),
        ({"bandwidth": [[1, 1.0], [1, 1]], "bandwidth_type": "full"}, "positive definite"),
        ({"bandwidth": [[-1, 0.0], [0, 1]], "bandwidth_type": "full"}, "positive diagonal; got -1"),
        ({"bandwidth": [[1, math.nan], [math.nan, 1]], "bandwidth_type": "full"}, "must not contain NaN"),
        ({"bandwidth": [[1, math.inf], [math.inf, 1]], "bandwidth_type": "full"}, "infinite only on its diagonal"),
        ({"bandwidth": [[math.inf, 0.5], [0.5, 1]], "bandwidth_type": "full"}, "rest of that row and column must be 0"),
        ({"bandwidth": "gradient", "kernel": "tophat"}, "no gradient for kernel='tophat'"),
    ],
)
def test_parameters(options, message):
    with pytest.raises(ValueError, match=message):
        fit(**options)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ({"X": np.where(X == 3, np.nan, X)}, ValueError, "Input X contains NaN"),
        ({"X": np.where(X == 3, np.inf, X)}, ValueError, "Input X contains infinity"),
        ({"y": np.where(y == 3, np.nan, y)}, ValueError, "Input y contains NaN"),
        ({"y": np.where(y == 3, -np.inf, y)}, ValueError, "Input y contains infinity"),
        ({"X": X + 1j}, ValueError, "Complex data not supported"),
        ({"y": y + 1j}, ValueError, "Complex data not supported"),
        ({"X": sparse.csr_array(X)}, TypeError, r"Sparse data was passed.*dense.*toarray\(\)"),
        ({"y": sparse.csr_array(y[:, None])}, TypeError, r"Sparse.*dense.*toarray\(\)"),
        ({"X": np.array([["a", "b"]] * 6, dtype=object)}, ValueError, "could not convert string to float"),
        ({"X": np.array([[{}, 1]] * 6, dtype=object)}, TypeError, "float.*not 'dict'"),
        ({"y": np.array(list("abcdef"), dtype=object)}, ValueError, "could not convert string to float"),
        ({"y": np.array(list("abcdef"))}, ValueError, "could not convert string to float"),
        ({"y": np.array(list("123456"))}, ValueError, "y must hold numbers"),
        ({"y": np.arange(6).astype("M8[D]")}, ValueError, "y must hold numbers|could not convert"),
        ({"X": X[:, 0]}, ValueError, "Expected 2D array, got 1D array"),
        ({"X": X[:0], "y": y[:0]}, ValueError, r"0 sample\(s\)"),
        ({"X": X[:, :0]}, ValueError, r"0 feature\(s\)"),
        ({"y": y[:5]}, ValueError, r"inconsistent numbers of samples: \[6, 5\]"),
        ({"y": None}, ValueError, "requires y to be passed"),
        ({"y": np.zeros((6, 1, 1))}, ValueError, "Found array with dim 3"),
        ({"w": -np.ones(6)}, ValueError, "Negative values in .*sample_weight"),
        ({"w": np.zeros(6)}, ValueError, "(?i)sample weights? .*zero|zero.*weight"),
        ({"w": np.ones(5)}, ValueError, r"sample_weight.shape == \(5,\), expected \(6,\)"),
        ({"w": np.ones((6, 2))}, ValueError, "Sample weights must be 1D"),
        ({"w": np.full(6, np.nan)}, ValueError, "Input sample_weight contains NaN"),
        ({"w": np.full(6, np.inf)}, ValueError, "Input sample_weight contains infinity"),
    ],
)
def test_data(data, error, message):
    with pytest.raises(error, match=message):
        fit(**data)
    if data.get("y", y) is not None:
        given = {"X": X, "y": y, "w": None} | data
        with pytest.raises(error, match=message):
            loo_error(given["X"], given["y"], 1.0, sample_weight=given["w"])


@pytest.mark.parametrize(
    ("queries", "error", "message"),
    [
        (X[:, :1], ValueError, "X has 1 features, but NadarayaWatsonRegressor is expecting 2 features"),
        (np.full((1, 2), np.nan), ValueError, "Input X contains NaN"),
        (np.full((1, 2), np.inf), ValueError, "Input X contains infinity"),
        (sparse.csr_array(X), TypeError, "Sparse data was passed"),
        (X[:0], ValueError, r"0 sample\(s\)"),
        (X[0], ValueError, "Expected 2D array, got 1D array"),
    ],
)
def test_queries(queries, error, message):
    model = fit(1.0)
    for method in (model.predict, model.attention_weights):
        with pytest.raises(error, match=message):
            method(queries)


@pytest.mark.parametrize("top_k", [0, -1, 1.5, "all"])
def test_top_k(top_k):
    with pytest.raises(ValueError, match="top_k must be a positive integer or None; got"):
        fit(1.0).attention_weights(X, top_k=top_k)


def test_not_fitted():
    model = NadarayaWatsonRegressor()
    for call in (lambda: model.predict(X), model.loo_predict, model.attention_weights, lambda: model.score(X, y)):
        with pytest.raises(ValueError, match="is not fitted yet"):
            call()


def test_overflow_of_whitened_coordinates():
    H = np.array([[1.0, 0.5], [0.5, 1.0]]) * 1e-10
    model = fit(H, bandwidth_type="full")
    with pytest.raises(ValueError, match=r"overflows\. Use a larger bandwidth"):
        model.predict([[1e305, -1e305]])


# Profiles of the user -------------------------------------------------------------------------------------------------


@numba.njit
def negative(s):
    return 1.0 - s


@numba.njit
def not_finite(s):
    return 1.0 / s


@numba.njit(error_model="numpy")
def infinite(s):
    return 1.0 / s


@numba.njit
def nan_far_away(s):
    return math.exp(-s) if s < 1e5 else math.nan


@numba.njit
def two_arguments(s, a):
    return s + a


@numba.njit
def text(s):
    return "a"


@numba.njit
def zero(s):
    return 0.0 * s


@numba.njit
def negative_at_two(s):
    return -1.0 if 1.9 < s < 2.1 else 1.0 / (1.0 + s)


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (lambda s: 1.0, "is not compiled.*numba.njit"),
        (math.exp, "is not compiled"),
        (negative, "gave -.*non-negative"),
        (not_finite, "for every s >= 0; calling it raised ZeroDivisionError"),
        (infinite, "gave inf at s=0"),
        (nan_far_away, "gave nan at s=1"),
        (two_arguments, "function k.s. of one float.*raised TypeError"),
        (text, "function k.s. of one float.*raised ValueError"),
        (zero, "gave 0.0 at s=0.*positive at 0"),
    ],
)
def test_profiles(kernel, message):
    with pytest.raises(ValueError, match=message):
        fit(1.0, kernel=kernel)
    with pytest.raises(ValueError, match=message):
        loo_error(X, y, 1.0, kernel=kernel)


def test_profile_whose_negative_values_are_outweighed():
    """The weights sum to something positive, and are wrong all the same."""
    X, y = [[0.0], [2.0**0.5], [0.1], [0.2]], [0.0, 100.0, 0.0, 0.0]
    model = fit(1.0, X=X, y=y, kernel=negative_at_two)
    for call in (model.predict, model.attention_weights):
        with pytest.raises(ValueError, match="negative or non-finite"):
            call([[0.0]])
    with pytest.raises(ValueError, match="negative or non-finite"):
        loo_error(X, y, 1.0, kernel=negative_at_two)


def test_profile_that_is_bad_only_where_the_data_are():
    model = fit(1.0, X=[[0.0], [2.0**0.5]], y=[1.0, 2.0], kernel=negative_at_two)
    with pytest.raises(ValueError, match="negative or non-finite"):
        model.attention_weights([[0.0]])
    with pytest.raises(ValueError, match="negative or non-finite"):
        fit(1.0, X=[[2.0**0.5]], y=[1.0], kernel=negative_at_two).predict([[0.0]])


def test_rules_need_the_moments_of_the_kernel():
    with pytest.raises(ValueError, match=r"bandwidth='scott'.*moments"):
        fit("scott", kernel=numba.njit(lambda s: 1 / (1 + s)))


# The other parts of the public face -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bandwidth": -1.0}, "'bandwidth' parameter of loo_error"),
        ({"bandwidth": [1.0, -1.0]}, "must be positive"),
        ({"bandwidth": np.zeros((2, 2, 2))}, r"got an array of shape \(2, 2, 2\)"),
        ({"bandwidth": "loo"}, "'bandwidth' parameter of loo_error"),
        ({"bandwidth": 1.0, "kernel": "gauss"}, "'kernel' parameter of loo_error"),
        ({"bandwidth": 1.0, "empty": "zero"}, "'empty' parameter of loo_error"),
    ],
)
def test_loo_error(options, message):
    with pytest.raises(ValueError, match=message):
        loo_error(X, y, **options)


@pytest.mark.parametrize(("options", "name"), [({"n_samples": 0}, "n_samples"), ({"noise": -1.0}, "noise")])
def test_make_sine(options, name):
    with pytest.raises(ValueError, match=name):
        make_sine(**options)


def test_matrices_of_features_in_other_units_are_positive_definite():
    H = np.diag([1e-10, 1e10])
    assert_array_equal(fit(H, bandwidth_type="full").bandwidth_, H)
    rng = np.random.default_rng(0)
    wild = rng.normal(size=(30, 2)) * [1e-9, 1e9]
    found = fit(X=wild, y=rng.normal(size=30), bandwidth_type="full").bandwidth_
    assert_array_equal(fit(found, X=wild, y=rng.normal(size=30), bandwidth_type="full").bandwidth_, found)
