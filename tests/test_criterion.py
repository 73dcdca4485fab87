"""The leave-one-out error and its gradient, against plain Python and complex steps."""

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose

import naive
from problems import DIFFERENTIABLE
from sknw import NadarayaWatsonRegressor, loo_error
from sknw._core import KERNELS, Wanted
from sknw._criteria.leave_one_out import engine_of, leave_one_out
from sknw._criteria.penalized import penalized_fit
from sknw._criteria.problem import Settings
from sknw._smoothing.metric import Metric
from sknw._smoothing.sample import Sample


def make(rng, n=25, d=2, p=1, weights="counts"):
    X, y = rng.normal(size=(n, d)), rng.normal(size=(n, p))
    w = {
        "none": np.ones(n),
        "counts": rng.integers(0, 4, size=n).astype(float),
        "precisions": rng.uniform(0.01, 1, size=n),
        "mixed": rng.uniform(0.5, 3, size=n),
    }[weights]
    w[0] = 1.0
    return X, y, w


@pytest.mark.thin
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("weights", ["none", "counts", "precisions", "mixed"])
@pytest.mark.parametrize("empty", ["nearest", "mean", "nan", "raise"])
def test_value(rng, kernel, weights, empty):
    X, y, w = make(rng, p=2, weights=weights)
    for h in (0.3, 1.0):  # about a third of the windows are empty at 0.3
        got = loo_error(X, y, h, kernel=kernel, empty=empty, sample_weight=w)
        expected = naive.loo_error(X.tolist(), y.tolist(), w.tolist(), [1 / h] * 2, kernel, empty).real
        # A prediction is within 1e-13 of the range of y where windows hold a row well inside; the error is quadratic in
        # it.
        assert_allclose(got, expected, rtol=1e-11)


@pytest.mark.thin
@pytest.mark.parametrize(
    ("algorithm", "kernel", "d"),
    [
        ("fast_gauss", "gaussian", 1),
        ("fast_gauss", "gaussian", 2),
        ("window", "gaussian", 2),
        ("window", "biweight", 3),
        ("sliding", "exponential", 1),
        ("sliding", "tricube", 1),
        ("auto", "gaussian", 2),
        ("auto", "epanechnikov", 1),
    ],
)
@pytest.mark.parametrize("shape", ["number", "vector", "matrix"])
def test_every_algorithm(rng, algorithm, kernel, d, shape):
    X, rtol = rng.uniform(size=(1500, d)), 1e-11
    y = 0.7 * np.sin(6 * X[:, 0]) + rng.uniform(-0.3, 0.3, size=1500)
    bandwidth = {"number": 0.2, "vector": np.linspace(0.15, 0.25, d), "matrix": 0.2 * np.eye(d)}[shape]
    if shape == "matrix" and d > 1:
        bandwidth[0, 1] = bandwidth[1, 0] = 0.05
    options = {"kernel": kernel, "return_gradient": True}
    value, gradient = loo_error(X, y, bandwidth, algorithm=algorithm, rtol=rtol, **options)
    sample = Sample.of(X, y[:, None], np.ones(1500))
    engine = engine_of(sample, Metric.of(bandwidth, sample.X), Settings(kernel, algorithm=algorithm, rtol=rtol))
    assert algorithm == "auto" or engine == ("segments" if kernel == "tricube" else algorithm)
    exact, slope = loo_error(X, y, bandwidth, algorithm="dense", **options)
    # The error of a row is below R = 2, and its prediction is off by rtol R, and some rounding; the square by twice
    # the product.
    assert_allclose(value, exact, rtol=0, atol=2 * 2 * 2 * rtol + 1e-12)
    # Derivatives of the sums have up to 2000 times the error of the sums (see `test_fast_gauss.py`), which is a share
    # of the largest mass: in a corner of the unit cube the mass is 2**-d of that.
    largest = np.abs(bandwidth).max() if shape != "matrix" else 1 / np.linalg.eigvalsh(bandwidth).min()
    assert_allclose(gradient, slope, rtol=0, atol=8 * 2000 * 2**d * max(1, largest) * rtol)
    assert np.abs(slope).max() > 1e-3


@pytest.mark.parametrize("kernel", ["tophat", "epanechnikov", "triweight", "linear"])
def test_weights_that_are_next_to_nothing(kernel):
    """A lone row of such a weight has no mass without itself, nor a sum that says how wrong it is."""
    x = np.append(np.linspace(0, 1, 2000), 5.0)
    for w in (np.append(np.ones(2000), 1e-312), np.exp(-0.5 * ((x - 0.5) / 0.118) ** 2)):
        options = {"kernel": kernel, "sample_weight": w, "return_gradient": kernel != "tophat"}
        found, exact = (
            loo_error(x[:, None], np.sin(6 * x), 0.1, algorithm=name, **options) for name in ("auto", "dense")
        )
        assert_allclose(found, exact, rtol=1e-10)


def test_an_algorithm_that_does_not_apply(rng):
    X, y, _ = make(rng)
    with pytest.raises(ValueError, match="algorithm='sliding' needs a single feature"):
        loo_error(X, y, 1.0, algorithm="sliding")


@pytest.mark.thin
@pytest.mark.parametrize("kernel", DIFFERENTIABLE)
@pytest.mark.parametrize("weights", ["none", "counts", "mixed"])
@pytest.mark.parametrize("p", [1, 3])
def test_gradient_in_the_logarithms(rng, kernel, weights, p):
    X, y, w = make(rng, d=3, p=p, weights=weights)
    X[1] = X[2]  # a pair at distance 0, where some profiles have a kink
    h = np.array([0.8, 1.5, 2.5])
    value, gradient = loo_error(X, y, h, kernel=kernel, sample_weight=w, return_gradient=True)
    lists = X.tolist(), y.tolist(), w.tolist()
    if kernel in ("exponential", "linear"):  # the square root has no derivative at 0: keep away from it
        X[1] = X[2] + 1e-3
        lists = X.tolist(), y.tolist(), w.tolist()
        value, gradient = loo_error(X, y, h, kernel=kernel, sample_weight=w, return_gradient=True)
    assert_allclose(value, naive.loo_error(*lists, (1 / h).tolist(), kernel).real, rtol=1e-11)
    expected = np.array(naive.loo_gradient(*lists, h.tolist(), kernel))
    assert_allclose(gradient, expected, rtol=0, atol=1e-10 * np.abs(expected).max())
    # One number for all features is the sum of them.
    total = loo_error(X, y, 1.3, kernel=kernel, sample_weight=w, return_gradient=True)[1]
    each = loo_error(X, y, [1.3] * 3, kernel=kernel, sample_weight=w, return_gradient=True)[1]
    assert isinstance(total, float)
    assert_allclose(total, each.sum(), rtol=0, atol=1e-12 * np.abs(each).max())


@pytest.mark.parametrize("kernel", ["exponential", "linear"])
def test_gradient_where_rows_coincide(rng, kernel):
    """At a kink, central differences in log h: the distance stays 0, so the error is smooth there."""
    X, y, w = make(rng, d=2)
    X[1] = X[2]
    h = np.array([1.0, 1.5])
    gradient = loo_error(X, y, h, kernel=kernel, sample_weight=w, return_gradient=True)[1]
    for k in range(2):
        step = np.exp(1e-6 * np.eye(2)[k])
        difference = loo_error(X, y, h * step, kernel=kernel, sample_weight=w)
        difference -= loo_error(X, y, h / step, kernel=kernel, sample_weight=w)
        # A central difference over 2e-6 of numbers of size 1 is good to 1e-16 / 1e-6.
        assert_allclose(gradient[k], difference / 2e-6, rtol=0, atol=1e-8)


@pytest.mark.parametrize("kernel", DIFFERENTIABLE)
def test_gradient_in_a_matrix(rng, kernel):
    X, y, w = make(rng, d=3, p=2, weights="mixed")
    A = rng.normal(size=(3, 3))
    H = 0.4 * (A @ A.T) + 1.2 * np.eye(3)
    value, gradient = loo_error(X, y, H, kernel=kernel, sample_weight=w, return_gradient=True)
    lists = X.tolist(), y.tolist(), w.tolist(), np.linalg.inv(H).tolist(), kernel
    assert_allclose(value, naive.loo_error(*lists).real, rtol=1e-10)
    expected = np.array(naive.loo_gradient_inverse(*lists))
    assert_allclose(gradient, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_gradient_in_a_diagonal_matrix_is_that_in_the_vector(rng):
    X, y, w = make(rng, d=3)
    h = np.array([0.7, 1.1, 2.0])
    vector = loo_error(X, y, h, sample_weight=w, return_gradient=True)[1]
    matrix = loo_error(X, y, np.diag(h), sample_weight=w, return_gradient=True)[1]
    # d log h = -h dG
    assert_allclose(np.diagonal(matrix), -h * vector, rtol=1e-12)


def test_gradient_is_zero_where_the_bandwidth_is_infinite(rng):
    X, y, w = make(rng, d=3)
    gradient = loo_error(X, y, [0.7, np.inf, 1.0], sample_weight=w, return_gradient=True)[1]
    assert gradient[1] == 0
    assert_allclose(
        gradient[[0, 2]], loo_error(X[:, [0, 2]], y, [0.7, 1.0], sample_weight=w, return_gradient=True)[1], rtol=1e-14
    )
    assert loo_error(X, y, np.inf, return_gradient=True)[1] == 0
    with pytest.raises(ValueError, match="not defined where an entry is inf"):
        loo_error(X, y, np.diag([1, 1, np.inf]), return_gradient=True)


def test_gradient_does_not_depend_on_how_many_rows_are_held(rng, monkeypatch):
    X, y, w = make(rng, n=300, d=3)
    expected = loo_error(X, y, [0.7, 1.0, 1.0], sample_weight=w, return_gradient=True)
    monkeypatch.setattr("sknw._criteria.by_rows.SUMS_AT_A_TIME", 1)
    got = loo_error(X, y, [0.7, 1.0, 1.0], sample_weight=w, return_gradient=True)
    assert_allclose(got[0], expected[0], rtol=1e-14)
    assert_allclose(got[1], expected[1], rtol=1e-12)


@numba.njit
def profile(s):
    return 1 / (1 + s)


@pytest.mark.parametrize("kernel", ["tophat", profile])
def test_no_gradient(kernel):
    X, y = np.arange(4.0)[:, None], np.arange(4.0)
    assert loo_error(X, y, 1.5, kernel=kernel) > 0
    with pytest.raises(ValueError, match=r"no gradient for kernel.*bandwidth='loo'"):
        loo_error(X, y, 1.5, kernel=kernel, return_gradient=True)
    with pytest.raises(ValueError, match=r"no gradient for kernel.*bandwidth='loo'"):
        NadarayaWatsonRegressor("gradient", kernel=kernel).fit(X, y)


def test_one_observation_has_no_criterion():
    with pytest.raises(ValueError, match="at least two observations"):
        loo_error([[1.0]], [2.0], 1.0)
    assert loo_error([[1.0]], [2.0], 1.0, sample_weight=[2]) == 0


def test_criterion_is_that_of_the_predictions(rng):
    X, y, w = make(rng, n=60, p=2)
    model = NadarayaWatsonRegressor().fit(X, y, w)
    expected = np.average(((model.loo_predict() - y) ** 2).mean(axis=1), weights=w)
    assert_allclose(-model.best_score_, expected, rtol=1e-13)
    assert_allclose(loo_error(X, y, model.bandwidth_, sample_weight=w), expected, rtol=1e-13)


# The fit with its own rows -------------------------------------------------------------------------------------------


def penalized(X, y, h, w, kernel, criterion, derivatives=Wanted.VALUE):
    """Value and gradient in the units of y."""
    sample = Sample.of(X, y, w)
    value, gradient = penalized_fit(sample, Metric.of(h, sample.X), Settings(kernel), criterion, wanted=derivatives)
    return sample.squared(value), sample.squared(gradient)


@pytest.mark.thin
@pytest.mark.parametrize("criterion", ["gcv", "aicc"])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("weights", ["none", "counts", "mixed"])
@pytest.mark.parametrize("p", [1, 3])
def test_penalized_fit(rng, criterion, kernel, weights, p):
    X, y, w = make(rng, d=3, p=p, weights=weights)
    X[2] = X[1] + (1e-3 if kernel in ("exponential", "linear") else 0)  # their square root has no derivative at 0
    there = w > 0
    lists = X[there].tolist(), y[there].tolist(), w[there].tolist()
    h = np.array([0.9, 1.5, 2.5]) * (2 if KERNELS[kernel].reach == 1 else 1)
    derivatives = Wanted.FEATURES if kernel in DIFFERENTIABLE else Wanted.VALUE
    value, gradient = penalized(X, y, h, w, kernel, criterion, derivatives)
    # Here every window holds its own row, so masses are at least the weight of that; AICc multiplies what is lost by
    # its exponent, of size n / (n - t - 2).
    assert_allclose(value, complex(naive.penalized_fit(*lists, (1 / h).tolist(), kernel, criterion)).real, rtol=1e-11)
    assert np.isfinite(value)
    if kernel in DIFFERENTIABLE:
        expected = np.array(naive.penalized_gradient(*lists, h.tolist(), kernel, criterion))
        assert_allclose(gradient, expected, rtol=0, atol=1e-9 * np.abs(expected).max())
        scale = penalized(X, y, h, w, kernel, criterion, Wanted.SCALE)[1]
        assert_allclose(scale, [gradient.sum()], rtol=0, atol=1e-12 * np.abs(gradient).max())


@pytest.mark.parametrize("criterion", ["gcv", "aicc"])
def test_penalized_fit_at_both_ends(rng, criterion):
    X, y, w = make(rng, weights="none")
    assert penalized(X, y, 1e-3, w, "gaussian", criterion)[0] == np.inf
    # Everyone counts the same: one degree of freedom.
    n, variance = w.sum(), np.var(y)
    penalty = (1 - 1 / n) ** -2 if criterion == "gcv" else np.exp((n + 1) / (n - 3))
    assert_allclose(penalized(X, y, np.inf, w, "gaussian", criterion)[0], variance * penalty, rtol=1e-12)
    assert_allclose(penalized(X, y, 1e6, w, "gaussian", criterion)[0], variance * penalty, rtol=1e-9)


@pytest.mark.parametrize("criterion", ["gcv", "aicc"])
def test_penalized_fit_with_a_profile_that_is_not_one_at_zero(rng, criterion):
    X, y, w = make(rng, weights="mixed")
    gaussian = numba.njit(lambda s: 3 * np.exp(-s / 2))
    expected = penalized(X, y, 0.9, w, "gaussian", criterion)[0]
    assert_allclose(penalized(X, y, 0.9, w, gaussian, criterion)[0], expected, rtol=1e-13)


@pytest.mark.parametrize("criterion", ["gcv", "aicc"])
def test_penalized_fit_does_not_depend_on_how_many_rows_are_held(rng, criterion, monkeypatch):
    X, y, w = make(rng, n=300, d=3)
    expected = penalized(X, y, [0.7, 1.0, 1.0], w, "gaussian", criterion, Wanted.FEATURES)
    monkeypatch.setattr("sknw._criteria.by_rows.SUMS_AT_A_TIME", 1)
    got = penalized(X, y, [0.7, 1.0, 1.0], w, "gaussian", criterion, Wanted.FEATURES)
    assert_allclose(got[0], expected[0], rtol=1e-14)
    assert_allclose(got[1], expected[1], rtol=1e-12)


@pytest.mark.thin
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("weights", ["none", "mixed"])
@pytest.mark.parametrize("empty", ["nearest", "mean"])
def test_ladder_equals_single_bandwidths(rng, kernel, weights, empty, monkeypatch):
    monkeypatch.setattr("sknw._criteria.leave_one_out._FEWEST_FOR_LADDER", 1)
    X, y, w = make(rng, n=60, p=2, weights=weights)
    sample = Sample.of(X, y, w)
    derivatives = Wanted.SCALE if kernel in DIFFERENTIABLE else Wanted.VALUE
    settings, numbers = Settings(kernel, empty), rng.permutation(8)
    metrics = [Metric.of(2.0 * 2 ** (-k / 2), sample.X) for k in numbers]
    ladder = leave_one_out(sample, metrics, settings, wanted=derivatives)
    assert {errors.engine for errors in ladder} == {"ladder"}
    for metric, errors in zip(metrics, ladder, strict=True):
        [single] = leave_one_out(sample, [metric], settings, wanted=derivatives)
        assert single.engine == "rows"
        one, slope, value, gradient = single.mean, single.gradient, errors.mean, errors.gradient
        # As in `test_value`; a derivative is a sum of such differences, each up to the range of y times s, s <= 100.
        assert_allclose(value, one, rtol=1e-11)
        assert_allclose(gradient, slope, rtol=0, atol=1e-9 * one)


def test_one_finite_bandwidth_of_several(rng):
    """Whatever the algorithm, empty windows look for the nearest row among rows that are not sorted by that feature."""
    X = rng.uniform(size=(2000, 2))
    y, h = X[:, 1], np.array([np.inf, 1e-9])
    alone = loo_error(X[:, 1:], y, 1e-9, kernel="epanechnikov")
    for algorithm in ("auto", "window", "dense"):
        assert_allclose(loo_error(X, y, h, kernel="epanechnikov", algorithm=algorithm), alone, rtol=1e-10)


@pytest.mark.thin
@pytest.mark.parametrize("algorithm", ["auto", "dense"])
@pytest.mark.parametrize("kernel", ["epanechnikov", "linear", "tophat"])
@pytest.mark.parametrize("d", [1, 2])
def test_tenths_have_the_error_of_whole_numbers(rng, kernel, d, algorithm):
    """Most windows hold nobody; equally near rows of tenths would be told apart by their last bits."""
    whole = rng.integers(40 ** (3 - d), size=(300, d)).astype(float)
    y = rng.normal(size=300)
    of_tenths = loo_error(whole / 10, y, 0.095, kernel=kernel, algorithm=algorithm)
    assert_allclose(of_tenths, loo_error(whole, y, 0.95, kernel=kernel, algorithm=algorithm), rtol=1e-12)


@pytest.mark.parametrize("kernel", ["epanechnikov", "tricube", "gaussian"])
@pytest.mark.parametrize("subset", [False, True])
def test_squared_errors_of_single_rows(rng, kernel, subset):
    """By any engine, of all rows or some with other weights; lone rows are completed by their own sums."""
    x, n = np.concatenate([rng.uniform(size=1990), 5 + np.arange(10.0)]), 2000
    y = np.sin(6 * x) + 0.3 * rng.normal(size=n)
    sample = Sample.of(x[:, None], y[:, None], np.ones(n))
    queries = np.arange(0, n, 7) if subset else None
    weights = rng.uniform(0.5, 2, size=len(queries)) if subset else None
    options = {"wanted": Wanted.SCALE, "queries": queries, "weights": weights, "each": True}
    metrics = [Metric.of(h, sample.X) for h in (0.02, 0.1)]
    fast = leave_one_out(sample, metrics, Settings(kernel, algorithm="auto", rtol=1e-10), **options)
    exact = leave_one_out(sample, metrics, Settings(kernel, algorithm="dense"), **options)
    if kernel != "gaussian" and not subset:
        assert fast[-1].engine == "segments"
    for errors, expected in zip(fast, exact, strict=True):
        # Predictions are within 1e-10 of the range of the targets, below 2, and so are errors, below 2, twice.
        assert_allclose(errors.squares, expected.squares, rtol=0, atol=2 * 2 * 2 * 2e-10)
        assert_allclose(errors.error, errors.squares.sum(), rtol=1e-13)
        assert_allclose(errors.weight, sample.w.sum() if weights is None else weights.sum(), rtol=1e-13)
        assert_allclose(errors.mean, expected.mean, rtol=1e-9)
        # As in `test_every_algorithm`: derivatives of sums have up to 2000 times the error of the sums.
        assert_allclose(errors.gradient, expected.gradient, rtol=0, atol=8 * 2000 * 2 * 2e-10)
