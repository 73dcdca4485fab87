"""The report on a bandwidth, and conversions."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics.pairwise import laplacian_kernel, rbf_kernel

from sknw import NadarayaWatsonRegressor, convert_bandwidth, loo_error
from sknw._core import KERNELS, canonical_factor


@pytest.fixture
def data(rng):
    X = rng.uniform(size=(70, 3)) * [1, 100, 1]
    X[:, 2] = 5.0
    return X, np.sin(6 * X[:, 0]) + X[:, 1] / 50 + 0.2 * rng.normal(size=70)


def test_numbers_of_a_report(data):
    X, y = data
    w = np.r_[0.0, np.full(69, 2.0)]
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    model = NadarayaWatsonRegressor().fit(frame, y, w)
    report = model.bandwidth_report()
    error, global_mean = (loo_error(X, y, h, sample_weight=w) for h in (model.bandwidth_, np.inf))
    assert_allclose([report.value, report.global_mean_value], [error, global_mean], rtol=1e-12)
    assert_allclose(report.loo_r2, 1 - error / global_mean, rtol=1e-10)
    assert report.features == ["a", "b", "c"]
    assert_array_equal(report.bandwidth, model.bandwidth_)
    assert_allclose(report.in_spreads[:2], model.bandwidth_[:2] / X[1:, :2].std(axis=0), rtol=1e-9)
    assert np.isnan(report.in_spreads[2])
    assert report.smoothed_out == []
    assert (report.n_rows, report.n_empty) == (69, 0)
    results = model.cv_results_
    assert len(report.minima) == results["local_minimum"].sum() >= 1
    assert min(value for _, value in report.minima) == results["criterion"].min()
    assert report.n_evaluations >= len(results["criterion"])
    assert report.seconds > 0
    for seconds, text in ((0.0123, "0.012 s"), (99.4, "99 s"), (99.6, "100 s"), (3725.0, "3725 s")):
        assert f"evaluations, {text}" in str(report._replace(seconds=seconds))
    assert report.criterion == "leave-one-out error"


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_estimates_are_not_told_as_minima_of_all_rows(monkeypatch, solver):
    """A search that goes by some rows meets errors below the smallest one of all rows."""
    rng = np.random.default_rng(2)
    X = rng.uniform(size=(300, 2))
    y = np.sin(30 * X[:, 0]) + 0.1 * rng.normal(size=300)
    monkeypatch.setattr("sknw._bandwidth.objective.ENOUGH", 100)
    monkeypatch.setattr("sknw._bandwidth.descent.descent._ROWS_TO_SEARCH", 100)
    model = NadarayaWatsonRegressor("gradient", shrinkage=np.inf, solver=solver).fit(X, y)
    report, results = model.bandwidth_report(), model.cv_results_
    if solver == "lbfgs":  # on other rows than with "adam"
        assert results["criterion"].min() < report.value
    for i, ((h, value), is_estimate) in enumerate(zip(report.minima, report.estimates, strict=True)):
        assert ("about " in str(report).split("minima, one factor")[1].split("\n")[i]) == is_estimate
        if not is_estimate:
            assert_allclose(value, loo_error(X, y, h), rtol=1e-9)
            assert value >= report.value * (1 - 1e-12)
    assert any(report.estimates)


def test_effective_neighbors_count_observations(rng):
    """As many as there are rows if all weigh the same; and the same for weights and for repeated rows."""
    X, y = rng.normal(size=(30, 2)), rng.normal(size=30)
    assert_allclose(NadarayaWatsonRegressor(np.inf).fit(X, y).bandwidth_report().n_neighbors, 29, rtol=1e-12)
    w = rng.integers(1, 4, size=30)
    weighted = NadarayaWatsonRegressor(0.7).fit(X, y, w).bandwidth_report()
    repeated = NadarayaWatsonRegressor(0.7).fit(np.repeat(X, w, axis=0), np.repeat(y, w)).bandwidth_report()
    assert_allclose(
        [weighted.n_neighbors[0], weighted.n_neighbors[2]],
        [repeated.n_neighbors[0], repeated.n_neighbors[2]],
        rtol=1e-10,
    )
    assert_allclose(weighted.loo_r2, repeated.loo_r2, rtol=1e-10)
    nearest = NadarayaWatsonRegressor(1e-6).fit(X, y).bandwidth_report()
    assert_allclose(nearest.n_neighbors, 1, rtol=1e-12)


def test_effective_neighbors_do_not_depend_on_how_many_weights_are_held(rng, monkeypatch):
    X, y = rng.normal(size=(50, 2)), rng.normal(size=50)
    model = NadarayaWatsonRegressor(0.7).fit(X, y)
    expected = model.bandwidth_report().n_neighbors
    monkeypatch.setattr("sknw._inspection.report._WEIGHTS_AT_A_TIME", 1)
    assert model.bandwidth_report().n_neighbors == expected


def test_empty_windows_are_counted(rng):
    X = np.r_[rng.uniform(size=20), 10.0, 20.0][:, None]
    model = NadarayaWatsonRegressor(0.5, kernel="biweight").fit(X, X[:, 0])
    assert model.bandwidth_report().n_empty == 2


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("family", ["spherical", "diag", "full"])
@pytest.mark.parametrize("bandwidth", ["loo", "gradient", "aicc", "gcv", "scott", 0.4])
def test_every_choice_has_a_report(data, family, bandwidth):
    X, y = data
    model = NadarayaWatsonRegressor(bandwidth, bandwidth_type=family).fit(X, y)
    report = model.bandwidth_report()
    text, table = str(report), report._repr_html_()
    assert repr(report) == text
    for part in (str(bandwidth) if isinstance(bandwidth, str) else "given", family, "x1", "effective neighbors"):
        assert part in text
        assert part in table
    assert table.count("<tr>") == table.count("</tr>") >= 8
    assert ("shrinkage" in text) == (bandwidth == "gradient")


def test_features_that_are_smoothed_out(rng):
    X = rng.uniform(size=(200, 3))
    y = np.sin(6 * X[:, 0]) + 0.1 * rng.normal(size=200)
    for family in ("diag", "full"):
        model = NadarayaWatsonRegressor("gradient", bandwidth_type=family, shrinkage=0.01, drop_irrelevant=True).fit(
            X, y
        )
        report = model.bandwidth_report()
        assert report.smoothed_out == ["x1", "x2"]
        assert "smoothed out" in str(report)


def test_bandwidth_of_a_matrix_along_each_feature(rng):
    X, y = rng.normal(size=(30, 2)), rng.normal(size=30)
    H = np.array([[2.0, 1.0], [1.0, 3.0]])
    report = NadarayaWatsonRegressor(H, bandwidth_type="full").fit(X, y).bandwidth_report()
    M = np.linalg.inv(H @ H)
    assert_allclose(report.bandwidth, 1 / np.sqrt(M.diagonal()), rtol=1e-12)


def test_names_are_escaped(rng):
    X = pd.DataFrame(rng.normal(size=(20, 1)), columns=["<b>"])
    assert "&lt;b&gt;" in NadarayaWatsonRegressor().fit(X, X["<b>"]).bandwidth_report()._repr_html_()


@pytest.mark.parametrize("bandwidth", ["loo", "gradient", "aicc", "scott", 1.0])
def test_report_of_a_single_observation(bandwidth):
    report = NadarayaWatsonRegressor(bandwidth).fit([[1.0]], [2.0]).bandwidth_report()
    assert np.isnan([report.loo_r2, *report.n_neighbors]).all()
    assert "undefined for a single observation" in str(report)
    assert "undefined for a single observation" in report._repr_html_()


# Conversions ----------------------------------------------------------------------------------------------------------


def smooth(X, y, h, kernel="gaussian"):
    return NadarayaWatsonRegressor(h, kernel=kernel).fit(X, y).predict(X)


def test_gamma_and_attention(rng):
    X, y = rng.normal(size=(40, 1)), rng.normal(size=40)
    for kernel, matrix in (("gaussian", rbf_kernel), ("exponential", laplacian_kernel)):
        K = matrix(X, gamma=1.7)
        h = convert_bandwidth(1.7, "gamma", kernel=kernel)
        assert_allclose(smooth(X, y, h, kernel), K @ y / K.sum(axis=1), rtol=1e-12)
    a = np.exp(-((1.7 * (X - X.T)) ** 2) / 2)
    assert_allclose(smooth(X, y, convert_bandwidth(1.7, "attention")), a @ y / a.sum(axis=1), rtol=1e-12)
    assert convert_bandwidth(0, "gamma") == np.inf


def test_statsmodels_bandwidth(rng):
    kernel_regression = pytest.importorskip("statsmodels.nonparametric.kernel_regression")
    X, y = rng.normal(size=(40, 2)), rng.normal(size=40)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = kernel_regression.KernelReg(y, X, "cc", reg_type="lc", bw=[0.6, 0.9]).fit(X)[0]
    assert_allclose(smooth(X, y, convert_bandwidth([0.6, 0.9], "statsmodels")), theirs, rtol=1e-10)


@pytest.mark.parametrize("kernel", KERNELS)
def test_standard_deviation_as_in_kdepy(kernel):
    """The variance of the kernel in one feature, by a sum over a fine grid, is the square of the number given."""
    h = convert_bandwidth(2.0, "KDEpy", kernel=kernel)
    x = np.linspace(-40, 40, 400_001) * (1 if KERNELS[kernel].reach == 1 else 2)
    k = NadarayaWatsonRegressor(h, kernel=kernel).fit([[0.0], [1e9]], [1.0, 0.0])._model.kernel
    profile = {
        "gaussian": lambda u: np.exp(-(u**2) / 2),
        "exponential": lambda u: np.exp(-u),
        "epanechnikov": lambda u: np.clip(1 - u**2, 0, None),
        "biweight": lambda u: np.clip(1 - u**2, 0, None) ** 2,
        "triweight": lambda u: np.clip(1 - u**2, 0, None) ** 3,
        "tricube": lambda u: np.clip(1 - u**3, 0, None) ** 3,
        "linear": lambda u: np.clip(1 - u, 0, None),
        "tophat": lambda u: (u <= 1) * 1.0,
        "cosine": lambda u: np.where(u <= 1, np.cos(np.pi * u / 2), 0),
    }[k](np.abs(x) / h)
    # A Riemann sum with steps of 2e-4 of a function with jumps is right to the share of a step.
    assert_allclose(np.sqrt(np.sum(profile * x**2) / profile.sum()), 2.0, rtol=1e-4)


def test_kernels_of_r():
    assert convert_bandwidth(0.3, "np") == 0.3
    assert_allclose(convert_bandwidth(0.3, "np", kernel="epanechnikov"), 0.3 * np.sqrt(5))
    # ksmooth: quartiles of the normal at a quarter of the bandwidth.
    h = convert_bandwidth(1.0, "ksmooth")
    x = np.random.default_rng(0).normal(scale=h, size=400_000)
    assert_allclose(np.quantile(x, [0.25, 0.75]), [-0.25, 0.25], atol=3e-3)
    assert convert_bandwidth(1.0, "ksmooth", kernel="tophat") == 0.5
    assert convert_bandwidth(1.0, "KernSmooth") == 1.0


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("d", [1, 3])
def test_between_kernels(kernel, d):
    there = convert_bandwidth(0.7, "sknw", to=kernel, n_features=d)
    assert_allclose(there, 0.7 * canonical_factor(kernel, d), rtol=1e-14)
    assert_allclose(convert_bandwidth(there, "sknw", kernel=kernel, to="gaussian", n_features=d), 0.7, rtol=1e-14)
    both = convert_bandwidth([0.7, 1.4], "KernelDensity", to=kernel)
    assert_allclose(both, np.array([0.7, 1.4]) * canonical_factor(kernel, 2), rtol=1e-14)


def test_conversions_that_there_are_not():
    with pytest.raises(ValueError, match="source='ksmooth' has no kernel='linear'; it has"):
        convert_bandwidth(1.0, "ksmooth", kernel="linear")
    with pytest.raises(
        ValueError, match="For 2 features the kernel 'epanechnikov' of 'np' is not a function of one dist"
    ):
        convert_bandwidth([1.0, 2.0], "np", kernel="epanechnikov")
    with pytest.raises(ValueError, match="none of them negative; got"):
        convert_bandwidth([1.0, -2.0], "np")
    with pytest.raises(ValueError, match="3 entries, but n_features=2"):
        convert_bandwidth([1.0, 2.0, 3.0], "np", n_features=2)
    with pytest.raises(ValueError, match="'source' parameter of convert_bandwidth must be"):
        convert_bandwidth(1.0, "elsewhere")
