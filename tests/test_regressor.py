"""Predictions, leave-one-out and weights of the estimator, against plain Python."""

import contextlib
import math
import subprocess
import sys
import warnings

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning

import naive
from sknw import EmptyNeighborhoodError, EmptyNeighborhoodWarning, NadarayaWatsonRegressor, loo_error
from sknw._core import KERNELS


@contextlib.contextmanager
def warns_of_empty(n_empty, n_queries, answer=""):
    """Expect one warning about empty neighborhoods, with these counts."""
    with pytest.warns(EmptyNeighborhoodWarning, match=answer) as caught:
        yield
    [message] = [warning.message for warning in caught]
    assert (message.n_empty, message.n_queries) == (n_empty, n_queries)


COMPACT = [name for name in KERNELS if name not in naive.INFINITE]
quiet = pytest.mark.filterwarnings("ignore::sknw.EmptyNeighborhoodWarning")


def make(rng, n, d, p=1):
    X, y = rng.normal(size=(n, d)), rng.normal(size=(n, p))
    w = rng.integers(0, 4, size=n).astype(float)
    w[0] = 2.0
    return X, y, w


def assert_matches_naive(got, Xq, X, y, w, g, kernel, empty="nearest"):
    X, y, w, g = (a.tolist() for a in (X, y, w, np.asarray(g)))
    for x, m in zip(Xq.tolist(), np.asarray(got).reshape(len(Xq), -1), strict=True):
        [expected] = naive.predict([x], X, y, w, g, kernel, empty)
        assert_allclose(m, expected, rtol=0, atol=naive.error_bound(x, X, y, w, g, kernel) if kernel else 0)


@pytest.mark.thin
@quiet
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("d", [1, 3])
@pytest.mark.parametrize("h", [0.05, 1.0, 1e3])  # mostly out of reach, ordinary, nearly flat
@pytest.mark.parametrize("empty", ["nearest", "mean", "nan"])
def test_predict_matches_naive(rng, kernel, d, h, empty):
    X, y, w = make(rng, 60, d)
    Xq = rng.normal(size=(25, d))
    model = NadarayaWatsonRegressor(h, kernel=kernel, empty=empty).fit(X, y[:, 0], w)
    assert_matches_naive(model.predict(Xq), Xq, X, y, w, np.full(d, 1 / h), kernel, empty)


@pytest.mark.thin(strength=1)
@quiet
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("h", [0.2, 1.0])
def test_loo_predict_matches_naive(rng, kernel, h):
    X, y, w = make(rng, 40, 2, p=3)
    model = NadarayaWatsonRegressor(h, kernel=kernel).fit(X, y, w)
    got = model.loo_predict()
    assert got.shape == y.shape
    for i in range(40):
        left = naive.without(w.tolist(), i)
        assert_matches_naive(got[i : i + 1], X[i : i + 1], X, y, np.array(left), np.full(2, 1 / h), kernel)


@quiet
@pytest.mark.parametrize("kernel", ["gaussian", "epanechnikov"])
def test_leave_one_out_is_refitting_without_the_row(rng, kernel):
    X, y, _ = make(rng, 30, 2)
    got = NadarayaWatsonRegressor(0.5, kernel=kernel).fit(X, y[:, 0]).loo_predict()
    for i in range(30):
        keep = np.arange(30) != i
        refit = NadarayaWatsonRegressor(0.5, kernel=kernel).fit(X[keep], y[keep, 0])
        bound = naive.error_bound(X[i].tolist(), X[keep].tolist(), y[keep].tolist(), [1.0] * 29, [2.0, 2.0], kernel)
        assert_allclose(got[i], refit.predict(X[i : i + 1])[0], rtol=0, atol=2 * bound)


@quiet
@pytest.mark.parametrize("kernel", KERNELS)
def test_one_bandwidth_per_feature(rng, kernel):
    X, y, w = make(rng, 50, 3)
    h = np.array([0.5, 2.0, 8.0])
    model = NadarayaWatsonRegressor(h, kernel=kernel).fit(X, y, w)
    assert_array_equal(model.bandwidth_, h)
    assert_matches_naive(model.predict(X), X, X, y, w, 1 / h, kernel)


@quiet
@pytest.mark.parametrize("kernel", KERNELS)
def test_bandwidth_matrix(rng, kernel):
    X, y, w = make(rng, 50, 3)
    A = rng.normal(size=(3, 3))
    H = A @ A.T + np.eye(3)
    model = NadarayaWatsonRegressor(H, bandwidth_type="full", kernel=kernel).fit(X, y, w)
    G = np.linalg.inv(H)
    Xq = rng.normal(size=(20, 3))
    expected = np.array(naive.predict(Xq.tolist(), X.tolist(), y.tolist(), w.tolist(), G.tolist(), kernel))
    # Whitened coordinates are rounded: some eps times the condition of H, here below 1e3, over a mass of about 1.
    assert_allclose(model.predict(Xq), expected, rtol=0, atol=1e-11)


def test_infinite_entries_of_a_matrix_leave_features_out(rng):
    X, y, _ = make(rng, 30, 3)
    H = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, np.inf]])
    full = NadarayaWatsonRegressor(H, bandwidth_type="full").fit(X, y)
    without = NadarayaWatsonRegressor(H[:2, :2], bandwidth_type="full").fit(X[:, :2], y)
    assert_array_equal(full.predict(X), without.predict(X[:, :2]))


@pytest.mark.parametrize("bandwidth_type", ["spherical", "diag", "full"])
def test_a_number_means_the_same_in_each_family(rng, bandwidth_type):
    X, y, _ = make(rng, 30, 2)
    model = NadarayaWatsonRegressor(0.7, bandwidth_type=bandwidth_type).fit(X, y)
    expected = {"spherical": 0.7, "diag": [0.7, 0.7], "full": [[0.7, 0], [0, 0.7]]}[bandwidth_type]
    assert_array_equal(model.bandwidth_, expected)
    assert_array_equal(model.predict(X), NadarayaWatsonRegressor(0.7).fit(X, y).predict(X))


# Average pooling ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", KERNELS)
def test_infinite_bandwidth_is_average_pooling(rng, kernel):
    X, y, w = make(rng, 30, 2)
    model = NadarayaWatsonRegressor(np.inf, kernel=kernel).fit(X, y[:, 0], w)
    mean = np.average(y[:, 0], weights=w)
    # One sum of 30 numbers each, in any order.
    assert_allclose(model.predict(rng.normal(size=(5, 2)) * 1e6), mean, rtol=0, atol=1e-14)
    for i, m in enumerate(model.loo_predict()):
        assert_allclose(m, np.average(y[:, 0], weights=naive.without(w, i)), rtol=0, atol=1e-14)
    assert_allclose(model.attention_weights(X[:2]), [w / w.sum()] * 2, rtol=1e-14)


@pytest.mark.parametrize("little", [1e-17, 1e-9])
def test_leave_one_out_mean_does_not_cancel(little):
    """A row with nearly all the weight, where the total minus its share would keep no digit, or but a few."""
    X, y, w = np.arange(3.0)[:, None], np.array([1.0, 2.0, 4.0]), np.array([1.0, little, 2 * little])
    model = NadarayaWatsonRegressor(np.inf).fit(X, y, w)
    assert_allclose(model.loo_predict()[0], 10 / 3, rtol=1e-15)


# Nobody in reach ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", COMPACT)
def test_empty(kernel):
    X, y = np.array([[0.0], [1.0], [1.0], [5.0]]), np.array([1, 2, 4, 8])
    Xq = np.array([[10.0], [0.0], [3.0], [-7.0]])

    def predict(empty):
        return NadarayaWatsonRegressor(0.5, kernel=kernel, empty=empty).fit(X, y, [1, 1, 3, 1]).predict(Xq)

    with warns_of_empty(3, 4, "nearest"):
        # The query at 3 is as far from the rows at 1 as from that at 5: averaged by weight.
        assert_allclose(predict("nearest"), [8, 1, (2 + 3 * 4 + 8) / 5, 1])
    with warns_of_empty(3, 4, "mean"):
        assert_allclose(predict("mean"), [23 / 6, 1, 23 / 6, 23 / 6])
    with warns_of_empty(3, 4, "NaN"):
        assert_allclose(predict("nan"), [np.nan, 1, np.nan, np.nan])
    with pytest.raises(EmptyNeighborhoodError, match=r"3 of 4 queries.*bandwidth_=\[0\.5\].*Increase"):
        predict("raise")


@pytest.mark.parametrize("kernel", sorted(naive.INFINITE))
@pytest.mark.parametrize(("far", "unit"), [(1e2, 1), (1e5, 1), (1e10, 1), (1e160, 1e150), (1e308, 1e300)])
def test_far_away_the_limit_is_the_nearest_row(kernel, far, unit):
    X, y = unit * np.array([[-1.0], [0.0], [3.0]]), np.array([1, 2, 5])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = NadarayaWatsonRegressor(0.01, kernel=kernel).fit(X, y)
        assert_allclose(model.predict([[far], [-far]]), [5, 1], rtol=1e-12)
        assert_allclose(model.attention_weights([[far]]), [[0, 0, 1]], atol=1e-12)


def test_rows_that_are_equally_far_in_floating_point_are_averaged():
    """1e30 minus 0, 1 or 3 is 1e30: no algorithm can tell these rows apart by their differences."""
    model = NadarayaWatsonRegressor(0.1).fit([[0.0], [1.0], [3.0]], [1.0, 2.0, 6.0])
    assert_allclose(model.predict([[1e30], [-1e30]]), [3, 3], rtol=1e-15)


@pytest.mark.parametrize("h", [1e-320, 1e-200, 1e-30])
def test_bandwidths_at_which_distances_overflow(h):
    X, y = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0], [0.0, 3.0]]), np.array([1.0, 2.0, 4.0, 8.0])
    model = NadarayaWatsonRegressor(h).fit(X, y)
    assert_allclose(model.predict([[0.1, 0.0], [0.9, 0.1], [0.0, 3.0], [0.5, 0.0]]), [1, 2, 6, 1.5])
    assert_allclose(model.attention_weights([[0.0, 2.0]]), [[0, 0, 0.5, 0.5]])
    assert_allclose(model.loo_predict(), [2, 1, 8, 4])


def test_data_whose_differences_overflow():
    X, y = np.array([[-1.5e308], [1.0e308], [1.7e308]]), np.array([1.0, 2.0, 3.0])
    assert_allclose(NadarayaWatsonRegressor(1.0).fit(X, y).predict([[-1.7e308], [1.6e308]]), [1, 3])


def test_scale_of_the_features_counts_when_distances_overflow():
    """The nearest row in the metric of the bandwidth, which the softmax tends to as all bandwidths shrink."""
    X, y = np.array([[1.0, 0.0], [0.0, 1.5]]), np.array([1.0, 2.0])
    model = NadarayaWatsonRegressor([1e-200, 2e-200]).fit(X, y)
    assert_allclose(model.predict([[0.0, 0.0]]), [2.0])


# Attention weights ----------------------------------------------------------------------------------------------------


@pytest.mark.thin
@quiet
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("empty", ["nearest", "mean"])
@pytest.mark.parametrize("h", [0.1, 1.0])
def test_attention_weights(rng, kernel, empty, h):
    X, y, w = make(rng, 40, 2)
    Xq = rng.normal(size=(15, 2))
    model = NadarayaWatsonRegressor(h, kernel=kernel, empty=empty).fit(X, y, w)
    for queries, predictions in ((Xq, model.predict(Xq)), (None, model.loo_predict())):
        a = model.attention_weights(queries)
        assert a.shape == (len(predictions), 40)
        assert (a >= 0).all()
        assert not a[:, w == 0].any()
        assert_allclose(a.sum(axis=1), 1, rtol=1e-14)
        assert_allclose(a @ y, predictions, rtol=0, atol=1e-12)
    own = np.diagonal(model.attention_weights())
    assert_array_equal(own[w <= 1], 0)


@quiet
@pytest.mark.parametrize("top_k", [1, 3, 100])
def test_largest_attention_weights(rng, top_k, monkeypatch):
    monkeypatch.setattr("sknw._estimators.base._WEIGHTS_AT_A_TIME", 100)
    X, y, w = make(rng, 40, 2)
    model = NadarayaWatsonRegressor(0.5, kernel="epanechnikov").fit(X, y, w)
    for queries in (rng.normal(size=(15, 2)), None):
        dense = model.attention_weights(queries)
        got = model.attention_weights(queries, top_k=top_k)
        assert got.format == "csr"
        expected = np.zeros_like(dense)
        for line, target in zip(dense, expected, strict=True):
            largest = np.argsort(-line, kind="stable")[:top_k]
            target[largest] = line[largest]
        assert_array_equal(got.toarray(), expected)
        assert (got.data > 0).all()


def test_weights_where_nobody_is_in_reach_and_no_answer_is_wanted():
    model = NadarayaWatsonRegressor(0.5, kernel="linear", empty="nan").fit([[0.0], [1.0]], [1.0, 2.0])
    with warns_of_empty(1, 2):
        assert_array_equal(model.attention_weights([[0.0], [9.0]]), [[1, 0], [np.nan, np.nan]])
    model.set_params(empty="raise")
    with pytest.raises(EmptyNeighborhoodError):
        model.attention_weights([[9.0]])


def test_weights_that_do_not_fit_say_their_size(rng, monkeypatch):
    X = rng.normal(size=(1000, 1))
    model = NadarayaWatsonRegressor(1.0).fit(X, X[:, 0])
    monkeypatch.setattr("sknw._estimators.base._physical_memory", lambda: 2**20)
    with pytest.raises(MemoryError, match=r"1000 queries on 1000 .* 0\.0 GiB.*top_k"):
        model.attention_weights(X)
    assert model.attention_weights(X, top_k=2).nnz == 2000


# A user's own profile -------------------------------------------------------------------------------------------------


@numba.njit
def student(s):
    return 1.0 / (1.0 + s)


@numba.njit
def decaying(s):
    return math.exp(-s / 2)


@numba.njit
def ring(s):
    return max(1.0 - s, 0.0)


def test_a_profile_of_the_user(rng):
    X, y, w = make(rng, 600, 2)
    Xq = rng.normal(size=(9, 2))
    model = NadarayaWatsonRegressor(0.5, kernel=student).fit(X, y[:, 0], w)
    k = 1 / (1 + ((Xq[:, None] - X) ** 2).sum(axis=2) / 0.25)
    assert_allclose(model.predict(Xq), (k * w) @ y[:, 0] / (k @ w), rtol=1e-11)
    own = NadarayaWatsonRegressor(0.5, kernel=ring, empty="mean").fit(X, y, w)
    table = NadarayaWatsonRegressor(0.5, kernel="epanechnikov", empty="mean").fit(X, y, w)
    far = np.vstack([X, [[99.0, 0.0]]])
    with pytest.warns(EmptyNeighborhoodWarning):
        expected = table.predict(far)
    with warns_of_empty(1, 601):
        assert_allclose(own.predict(far), expected, rtol=0, atol=1e-13)


def test_search_with_a_profile_of_the_user(rng):
    x = np.sort(rng.uniform(size=80))
    y = np.sin(6 * x) + 0.2 * rng.normal(size=80)
    own = NadarayaWatsonRegressor(kernel=ring).fit(x[:, None], y)
    table = NadarayaWatsonRegressor(kernel="epanechnikov").fit(x[:, None], y)
    # Without derivatives a minimum between two kinks, within one step of the grid, may be missed: by little.
    assert own.best_score_ >= table.best_score_ * 1.01


# Odd data -------------------------------------------------------------------------------------------------------------


def test_number_types_and_layouts(rng):
    X, y = rng.integers(-50, 50, size=(40, 2)), rng.integers(0, 9, size=40)
    expected = NadarayaWatsonRegressor().fit(X.astype(float), y.astype(float)).predict(X.astype(float) + 0.5)
    assert expected.dtype == np.float64
    read_only = X.astype(float)
    read_only.flags.writeable = False
    wide = np.zeros((40, 4))
    wide[:, ::2] = X
    for variant in (X, np.asfortranarray(X, dtype=float), read_only, wide[:, ::2], X.tolist()):
        for target in (y, y.astype(np.float32), y.tolist()):
            model = NadarayaWatsonRegressor().fit(variant, target)
            assert_array_equal(model.predict(np.asarray(variant) + 0.5), expected)
            assert model.predict(np.asarray(variant)[:3]).dtype == np.float64


@pytest.mark.parametrize("bandwidth", [0.7, [0.5, 1.0], [[1.0, 0.3], [0.3, 0.5]], "loo"])
def test_float32(rng, bandwidth):
    """In `fit` and in `predict` it halves the time and costs digits; either alone, and rtol=0, change nothing."""
    X, y = rng.normal(size=(600, 2)).astype(np.float32), rng.normal(size=600)
    Xq = (X + rng.normal(scale=0.1, size=(600, 2))).astype(np.float32)
    options = {
        "bandwidth": bandwidth,
        "algorithm": "dense",
        "bandwidth_type": "full" if np.ndim(bandwidth) == 2 else "diag",
    }
    double, single = (NadarayaWatsonRegressor(**options).fit(x, y) for x in (X.astype(float), X))
    exact, found = double.predict(Xq.astype(float)), single.predict(Xq)
    assert exact.dtype == found.dtype == np.float64
    # The guide's bound, with d = 2 and s < 100 + 2 log 600; what is seen is a hundredth of that.
    error = np.abs(found - exact).max() / np.ptp(y)
    assert 1e-12 < error < (3.5 * 2**-23 * (100 + 2 * np.log(600)) + 1e-4) / 20
    assert_array_equal(double.bandwidth_, single.bandwidth_)
    assert_array_equal(single.loo_predict(), double.loo_predict())
    assert_array_equal(single.predict(Xq.astype(float)), exact)
    assert_array_equal(double.predict(Xq), exact)
    assert_array_equal(single.attention_weights(Xq[:5]), double.attention_weights(Xq[:5].astype(float)))
    assert single.X_fit_.dtype == np.float32
    zero, also = (NadarayaWatsonRegressor(**options, rtol=0).fit(x, y).predict(x + 0) for x in (X.astype(float), X))
    assert_array_equal(zero, also)


def test_shape_of_predictions_follows_y(rng):
    X, y = rng.normal(size=(20, 2)), rng.normal(size=(20, 3))
    assert NadarayaWatsonRegressor(1.0).fit(X, y).predict(X[:4]).shape == (4, 3)
    assert NadarayaWatsonRegressor(1.0).fit(X, y[:, :1]).predict(X[:4]).shape == (4, 1)
    assert NadarayaWatsonRegressor(1.0).fit(X, y[:, 0]).predict(X[:4]).shape == (4,)


def test_several_outputs_are_predicted_as_each_alone(rng):
    X, y = rng.normal(size=(50, 2)), rng.normal(size=(50, 3)) * [1, 1e5, 1e-5]
    together = NadarayaWatsonRegressor(0.5).fit(X, y).predict(X)
    for c in range(3):
        alone = NadarayaWatsonRegressor(0.5).fit(X, y[:, c]).predict(X)
        assert_allclose(together[:, c], alone, rtol=0, atol=1e-14 * np.abs(y[:, c]).max())


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("bandwidth", ["loo", "gradient", "scott", "silverman", 2.0, np.inf])
@pytest.mark.parametrize("kernel", ["gaussian", "epanechnikov", "exponential"])
def test_one_row(bandwidth, kernel):
    model = NadarayaWatsonRegressor(bandwidth, kernel=kernel, empty="mean").fit([[3.0, 4.0]], [7.0])
    assert_array_equal(model.predict([[3.0, 4.0], [3.0, 5.0]]), [7.0, 7.0])
    with pytest.raises(ValueError, match="at least two observations"):
        model.loo_predict()
    with pytest.raises(ValueError, match="at least two observations"):
        model.attention_weights()
    if isinstance(bandwidth, str):
        assert_array_equal(model.bandwidth_, [np.inf, np.inf])


def test_one_row_of_several_observations():
    model = NadarayaWatsonRegressor().fit([[3.0]], [7.0], [2.0])
    assert_array_equal(model.loo_predict(), [7.0])
    assert model.best_score_ == 0


@pytest.mark.parametrize("bandwidth", ["loo", "gradient", "scott"])
def test_constant_columns_do_not_count(rng, bandwidth):
    X, y = rng.normal(size=(40, 1)), rng.normal(size=40)
    wide = np.hstack([np.full((40, 1), 0.1), X, np.full((40, 1), 1e8)])
    narrow, model = (NadarayaWatsonRegressor(bandwidth).fit(A, y) for A in (X, wide))
    # Rows stand in another order, in which they are added up: some eps in a spread, and in sums.
    assert_allclose(model.bandwidth_, [np.inf, narrow.bandwidth_[0], np.inf], rtol=1e-13)
    assert_allclose(model.predict(wide), narrow.predict(X), rtol=0, atol=1e-12 * np.ptp(y))


@pytest.mark.parametrize("bandwidth_type", ["spherical", "diag", "full"])
@pytest.mark.parametrize("bandwidth", ["loo", "scott"])
def test_all_rows_at_one_place(bandwidth, bandwidth_type):
    X, y = np.full((6, 2), 0.3), np.arange(6.0)
    model = NadarayaWatsonRegressor(bandwidth, bandwidth_type=bandwidth_type).fit(X, y)
    assert np.isinf(np.diagonal(np.atleast_2d(model.bandwidth_))).all()
    assert_allclose(model.predict([[0.3, 0.3], [9.0, 9.0]]), 2.5)


@pytest.mark.parametrize("kernel", KERNELS)
def test_constant_y_is_predicted_exactly(rng, kernel):
    X = rng.normal(size=(30, 2))
    model = NadarayaWatsonRegressor(kernel=kernel).fit(X, np.full(30, 0.1))
    assert_array_equal(model.predict(X + 0.1), 0.1)
    assert_array_equal(model.bandwidth_, np.inf)
    given = NadarayaWatsonRegressor(3.0, kernel=kernel).fit(X, np.full(30, 0.1))
    assert_array_equal(given.predict(X + 0.1), 0.1)


def test_offsets_cost_no_digits(rng):
    """Numbers that are still exact after a shift by 1e8 give the same predictions, up to the rounding of y."""
    X, y = rng.integers(-1000, 1000, size=(60, 2)) / 1024, rng.integers(-1000, 1000, size=60) / 1024
    Xq = rng.integers(-1000, 1000, size=(30, 2)) / 1024
    here = NadarayaWatsonRegressor([0.25, 0.5]).fit(X, y).predict(Xq)
    there = NadarayaWatsonRegressor([0.25, 0.5]).fit(X + 1e8, y + 1e8).predict(Xq + 1e8)
    assert_allclose(there - 1e8, here, rtol=0, atol=2 * np.spacing(1e8))


def test_repeated_rows(rng):
    X = rng.integers(0, 3, size=(50, 1)).astype(float)
    y = rng.normal(size=50)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = NadarayaWatsonRegressor(1e-3, kernel="tophat").fit(X, y)
        for value in range(3):
            assert_allclose(model.predict([[value]]), [y[X[:, 0] == value].mean()], rtol=1e-13)


def test_quartiles_that_coincide(rng):
    """More than half of the values are the same: the standard deviation is the spread."""
    x = np.where(np.arange(60) < 40, 0.0, rng.normal(size=60))
    y = x**2 + 0.1 * rng.normal(size=60)
    for bandwidth in ("scott", "loo", "gradient"):
        model = NadarayaWatsonRegressor(bandwidth).fit(x[:, None], y)
        assert 0 < model.bandwidth_[0] < np.inf


def test_a_row_at_the_end_of_the_window_counts(rng):
    """A window is closed: h times the rounded 1/h rounds to 1 at most."""
    for h in [*range(1, 100), *rng.lognormal(sigma=20, size=100)]:
        model = NadarayaWatsonRegressor(float(h), kernel="tophat", empty="mean").fit([[0.0], [-2.0 * h]], [1.0, 3.0])
        assert_array_equal(model.predict([[h]]), [1.0])
        with pytest.warns(EmptyNeighborhoodWarning):
            assert_array_equal(model.predict([[h * (1 + 4e-16)]]), [2.0])


def test_the_largest_weights_of_a_query_without_an_answer():
    model = NadarayaWatsonRegressor(0.5, kernel="linear", empty="nan").fit([[0.0], [1.0], [2.0]], [1.0, 2.0, 3.0])
    with warns_of_empty(1, 2):
        a = model.attention_weights([[0.0], [9.0]], top_k=2)
    assert_array_equal(a.toarray(), [[1, 0, 0], [np.nan, np.nan, 0]])
    assert_array_equal(np.isnan(a @ model.y_fit_), [False, True])


@pytest.mark.parametrize("empty", ["nearest", "mean", "nan", "raise"])
def test_leave_one_out_always_has_an_answer(rng, empty):
    """The one that the criterion counts with."""
    X, y, w = make(rng, 40, 2)
    model = NadarayaWatsonRegressor(0.2, kernel="epanechnikov", empty=empty).fit(X, y[:, 0], w)
    with pytest.warns(EmptyNeighborhoodWarning, match="the nearest" if empty == "nearest" else "the mean"):
        left_out = model.loo_predict()
    error = loo_error(X, y, 0.2, kernel="epanechnikov", empty=empty, sample_weight=w)
    assert_allclose(np.average((left_out - y[:, 0]) ** 2, weights=w), error, rtol=1e-12)
    with pytest.warns(EmptyNeighborhoodWarning):
        assert_allclose(model.attention_weights() @ y[:, 0], left_out, rtol=0, atol=1e-13)


def test_weights_that_are_nearly_nothing_count_as_nothing(rng):
    """Below the smallest normal number a mass has no digits left to average with."""
    model = NadarayaWatsonRegressor(1.0, kernel=decaying, empty="mean").fit([[0.0], [0.01]], [0.0, 1.0])
    for query in (38.0, 38.5, 39.0):
        a = model.attention_weights([[37.5]])
        assert_allclose(a.sum(), 1, rtol=1e-14)
        with pytest.warns(EmptyNeighborhoodWarning):
            assert_allclose(model.predict([[query]]), 0.5)
        with pytest.warns(EmptyNeighborhoodWarning):
            assert_allclose(model.attention_weights([[query]]), [[0.5, 0.5]])
    edge = NadarayaWatsonRegressor(1.0, kernel="biweight").fit([[0.0], [2.0]], [1.0, 2.0], [1e-295, 1])
    near = 1 - 1e-14
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EmptyNeighborhoodWarning)
        assert np.isfinite(edge.attention_weights([[near]])).all()
        assert_allclose(edge.predict([[near]]), [1.0])


def test_warnings_point_to_the_line_of_the_user():
    model = NadarayaWatsonRegressor(0.5, kernel="linear").fit([[0.0], [1.0]], [1.0, 2.0])
    calls = [
        lambda: model.predict([[9.0]]),
        model.loo_predict,
        lambda: model.attention_weights([[9.0]]),
        lambda: model.attention_weights([[9.0]], top_k=1),
    ]
    for call in calls:
        with pytest.warns(EmptyNeighborhoodWarning) as caught:
            call()
        assert caught[0].filename == __file__
    X = np.random.default_rng(0).uniform(size=(80, 5))
    with pytest.warns(ConvergenceWarning) as caught:
        NadarayaWatsonRegressor("gradient", max_iter=1).fit(X, np.sin(6 * X[:, 0]) + X[:, 1])
    assert caught[0].filename == __file__


def test_the_fitted_kernel_stays_with_its_bandwidth():
    model = NadarayaWatsonRegressor(1.0).fit([[0.0], [1.0]], [1.0, 2.0])
    before = model.predict([[0.3]])
    assert_array_equal(model.set_params(kernel="tophat", bandwidth=9.0).predict([[0.3]]), before)


def test_weights_that_look_like_precisions_warn(rng):
    X, y, _ = make(rng, 40, 1)
    w = rng.uniform(0.5, 1.5, size=40)
    for bandwidth in ("loo", "gradient"):
        with pytest.warns(UserWarning, match=r"above 1 but not whole numbers.*divide them by their maximum") as caught:
            NadarayaWatsonRegressor(bandwidth).fit(X, y, w)
        assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        NadarayaWatsonRegressor().fit(X, y, w / w.max())
        NadarayaWatsonRegressor().fit(X, y, np.ceil(w))
        NadarayaWatsonRegressor(1.0).fit(X, y, w)


def test_far_away_the_exponential_kernel_keeps_its_ratios():
    """Differences of distances stay finite, unlike those of their squares."""
    X, y = np.array([[0.0], [1.0], [2.0]]), np.array([3.0, 5.0, 4.0])
    a = np.exp(X[:, 0] - 2)
    model = NadarayaWatsonRegressor(1.0, kernel="exponential").fit(X, y)
    assert_allclose(model.predict([[1e3], [2.0**20]]), a @ y / a.sum(), rtol=1e-12)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("empty", "zero"),
        ("algorithm", "fast"),
        ("algorithm", "sliding"),
        ("rtol", -1.0),
        ("n_jobs", 0),
        ("n_jobs", "2"),
    ],
)
def test_parameters_set_after_fit_are_validated(parameter, value):
    model = NadarayaWatsonRegressor(1.0).fit([[0.0], [1.0]], [1.0, 2.0]).set_params(**{parameter: value})
    for call in (lambda: model.predict([[0.5]]), model.loo_predict, model.attention_weights, model.bandwidth_report):
        with pytest.raises(ValueError, match=parameter):
            call()


@pytest.mark.parametrize("bandwidth", ["loo", "aicc", "gcv"])
def test_the_global_search_stops_in_time(rng, bandwidth):
    X, y = rng.uniform(size=(300, 2)), rng.normal(size=300)
    with pytest.warns(
        ConvergenceWarning, match=r"max_time=1e-09 seconds in the global search.*raise max_time"
    ) as caught:
        model = NadarayaWatsonRegressor(bandwidth, max_time=1e-9).fit(X, y)
    assert caught[0].filename == __file__
    assert np.isfinite(model.predict(X)).all()
    assert "max_time" in str(model.bandwidth_report())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        NadarayaWatsonRegressor(bandwidth, max_time=3600.0).fit(X, y)


FLOOD = """
import numpy as np
from sklearn.inspection import partial_dependence
from sklearn.model_selection import GridSearchCV
from sknw import NadarayaWatsonRegressor
X = np.random.default_rng(0).uniform(size=(60, 2))
model = NadarayaWatsonRegressor(0.05, kernel="epanechnikov").fit(X, X[:, 0])
partial_dependence(model, X, [0], kind="average")
GridSearchCV(model, {"bandwidth": [0.02, 0.05, 0.1]}).fit(X, X[:, 0])
for shift in (0.1, 0.2, 0.3):
    model.predict(X + shift)
"""


def test_warnings_do_not_flood():
    """One for each line of code that calls `predict`: two of scikit-learn's, and one of this script."""
    lines = subprocess.run(
        [sys.executable, "-c", FLOOD], capture_output=True, text=True, check=True
    ).stderr.splitlines()
    assert 1 <= sum("EmptyNeighborhoodWarning" in line for line in lines) <= 3
    always = subprocess.run([sys.executable, "-W", "always", "-c", FLOOD], capture_output=True, text=True, check=True)
    assert always.stderr.count("EmptyNeighborhoodWarning") > 20


@pytest.mark.parametrize("action", ["always", "error", "ignore"])
def test_filters_decide_on_warnings(action):
    model = NadarayaWatsonRegressor(0.5, kernel="linear").fit([[0.0], [1.0]], [1.0, 2.0])
    for _ in range(2):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter(action, EmptyNeighborhoodWarning)
            if action == "error":
                with pytest.raises(EmptyNeighborhoodWarning):
                    model.predict([[9.0]])
            else:
                model.predict([[9.0]])
        assert len(caught) == (action == "always")
