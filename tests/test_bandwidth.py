"""Rules of thumb, the global search, and the descent."""

import math
import re
import warnings

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning

import naive
from sknw import NadarayaWatsonRegressor, loo_error
from sknw._bandwidth import local_minima, spreads
from sknw._bandwidth.objective import Objective
from sknw._core import KERNELS, canonical_factor
from sknw._criteria.penalized import in_units, penalized_fit
from sknw._criteria.problem import Settings
from sknw._smoothing.metric import Metric
from sknw._smoothing.sample import Sample

SMOOTH = [name for name in KERNELS if name != "tophat"]


def spread(X, w=None):
    w = np.ones(len(X)) if w is None else w
    return spreads(Sample.of(X, np.zeros((len(X), 1)), w))


# Spreads and rules ----------------------------------------------------------------------------------------------------


def test_spread(rng):
    X = np.column_stack(
        [rng.normal(size=50), rng.standard_cauchy(size=50), rng.uniform(size=50), np.r_[np.zeros(45), np.ones(5)]]
    )
    w = rng.integers(0, 4, size=50).astype(float)
    for weights in (np.ones(50), w):
        keep = weights > 0
        expected = [naive.spread(x[keep].tolist(), weights[keep].tolist()) for x in X.T]
        # A sum of 50 squares, and its root.
        assert_allclose(spread(X, weights), expected, rtol=1e-14)


def test_spread_ignores_rounding():
    X = np.column_stack([np.full(9, 0.1), 1e8 + np.arange(9) * 1e-8, 1e8 + np.arange(9) * 1e-6, np.zeros(9)])
    assert_array_equal(spread(X) > 0, [False, False, True, False])


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("rule", ["scott", "silverman"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_rules(rng, rule, kernel):
    X, y = rng.normal(size=(40, 3)) * [1, 10, 100], rng.normal(size=40)
    X[:, 2] = 5.0
    w = rng.integers(1, 3, size=40).astype(float)
    n, d = w.sum(), 2
    factor = (n if rule == "scott" else n * (d + 2) / 4) ** (-1 / (d + 4)) * canonical_factor(kernel, d)
    spreads = [naive.spread(x.tolist(), w.tolist()) for x in X.T[:2]]

    def fit(family):
        return NadarayaWatsonRegressor(rule, kernel=kernel, bandwidth_type=family).fit(X, y, w).bandwidth_

    assert_allclose(fit("diag"), factor * np.array([*spreads, np.inf]), rtol=1e-13)
    assert_allclose(fit("full"), np.diag(factor * np.array([*spreads, np.inf])), rtol=1e-13)
    assert_allclose(fit("spherical"), factor * np.sqrt(np.mean(np.square(spreads))), rtol=1e-13)


# Global search --------------------------------------------------------------------------------------------------------


def brute_force(X, y, kernel, shape, **options):
    """The least criterion on a fine grid."""
    return min(loo_error(X, y, c * shape, kernel=kernel, **options) for c in [*np.geomspace(1e-4, 1e3, 2000), np.inf])


CURVES = {
    "sine": lambda x: np.sin(6 * x),
    "fast sine": lambda x: np.sin(30 * x),
    "step": lambda x: (x > 0.5).astype(float),
    "nothing": lambda x: 0 * x,
}


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("curve", CURVES)
def test_no_grid_finds_a_smaller_error(rng, kernel, curve):
    x = rng.uniform(size=50)
    y = CURVES[curve](x) + 0.3 * rng.normal(size=50)
    model = NadarayaWatsonRegressor(kernel=kernel).fit(x[:, None], y)
    best = brute_force(x[:, None], y, kernel, spread(x[:, None]))
    depth = max(loo_error(x[:, None], y, np.inf) - best, 0)
    if kernel == "tophat":  # piecewise constant: the best of a grid of 8 per octave
        grid = model.cv_results_["bandwidth"][:, 0]
        step = np.diff(np.log(grid[(grid > 0.05) & (grid < 1)])).max()
        assert step <= np.log(2) / 8 + 1e-12
        assert -model.best_score_ <= best + 0.1 * depth
    else:
        assert -model.best_score_ <= best + 1e-6 * depth + 1e-14


@pytest.mark.parametrize("family", ["spherical", "diag", "full"])
def test_search_in_several_features(rng, family):
    X = rng.normal(size=(60, 3)) * [1, 3, 0.1]
    y = np.sin(X[:, 0]) + X[:, 1] + 0.1 * rng.normal(size=60)
    model = NadarayaWatsonRegressor(bandwidth_type=family).fit(X, y)
    shape = spread(X) if family != "spherical" else np.sqrt(np.mean(spread(X) ** 2))
    assert -model.best_score_ <= brute_force(X, y, "gaussian", shape) * (1 + 1e-12)
    assert np.shape(model.bandwidth_) == {"spherical": (), "diag": (3,), "full": (3, 3)}[family]
    h = np.diagonal(model.bandwidth_) if family == "full" else np.asarray(model.bandwidth_)
    assert_allclose(h / shape, np.mean(h / shape), rtol=1e-12)


@pytest.mark.parametrize("kernel", KERNELS)
def test_report_of_the_search(rng, kernel):
    x = np.sort(rng.uniform(size=40))
    y = np.sin(6 * x) + 0.3 * rng.normal(size=40)
    model = NadarayaWatsonRegressor(kernel=kernel).fit(x[:, None], y)
    h, criterion = model.cv_results_["bandwidth"], model.cv_results_["criterion"]
    assert h.shape == (len(criterion), 1)
    assert (np.diff(h[:, 0]) > 0).all()
    assert h[-1, 0] == np.inf
    assert model.n_iter_ >= 1
    assert not hasattr(model, "loss_curve_")
    for i in (0, len(h) // 2, -1):
        assert_allclose(criterion[i], loo_error(x[:, None], y, h[i], kernel=kernel), rtol=1e-12)
    # Ties go to the wider minimum, within 1e-12 of the level.
    assert -model.best_score_ <= criterion.min() * (1 + 1e-12)
    assert model.bandwidth_ in h[criterion == -model.best_score_]


def test_no_grid_finds_a_smaller_error_with_a_user_profile():
    """Without slopes, next to the same kernel with them."""

    @numba.njit
    def profile(s):
        return max(1 - s, 0.0)

    for seed, n in ((3, 20), (3, 60), (8, 300)):  # the minimum is at a kink
        rng = np.random.default_rng(seed)
        X = rng.uniform(size=(n, 1))
        y = np.sin(12 * X[:, 0]) + 0.3 * rng.normal(size=n)
        own, known = (NadarayaWatsonRegressor(kernel=kernel).fit(X, y) for kernel in (profile, "epanechnikov"))
        depth = loo_error(X, y, np.inf) + known.best_score_
        assert -own.best_score_ <= -known.best_score_ + 1e-8 * depth


def test_search_by_a_subsample_is_noted(rng, monkeypatch):
    """The guarantee is dropped where every pair would have to be visited too often; here from 200 rows on."""
    X = rng.uniform(size=(200, 4))
    y = np.sin(6 * X[:, 0]) + 0.1 * rng.normal(size=200)
    note = "bandwidths were compared by the errors of 100 of 200 rows: there may be a lower minimum"
    for bandwidth in ("loo", "gradient"):
        assert note not in str(NadarayaWatsonRegressor(bandwidth).fit(X, y).bandwidth_report())
    monkeypatch.setattr("sknw._bandwidth.objective.ENOUGH", 100)
    for bandwidth in ("loo", "gradient"):
        model = NadarayaWatsonRegressor(bandwidth).fit(X, y)
        assert note in str(model.bandwidth_report())
        assert_allclose(-model.best_score_, loo_error(X, y, model.bandwidth_), rtol=1e-9)  # of all rows


@pytest.mark.parametrize("kernel", ["epanechnikov", "linear"])
def test_no_grid_finds_a_smaller_error_where_windows_have_edges(kernel):
    """Data sets in which the minimum stands between two rows that enter a window at an angle."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X = rng.uniform(size=(50, 1 + seed % 2))
        y = np.sin(30 * X[:, 0]) + 0.3 * rng.normal(size=50)
        model = NadarayaWatsonRegressor(kernel=kernel).fit(X, y)
        best = min(loo_error(X, y, c * spread(X), kernel=kernel) for c in np.geomspace(0.02, 5, 400))
        assert -model.best_score_ <= best + 1e-6 * max(loo_error(X, y, np.inf) - best, 0) + 1e-14


@pytest.mark.parametrize("criterion", ["loo", "gcv", "aicc", "gradient"])
def test_two_rows_are_averaged(criterion):
    """Nothing can be learnt from them: all criteria are infinite, or the same."""
    for kernel in KERNELS:
        if criterion != "gradient" or kernel != "tophat":
            assert np.isinf(
                NadarayaWatsonRegressor(criterion, kernel=kernel).fit([[0.0], [1.0]], [0.0, 1.0]).bandwidth_
            )


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("criterion", ["gcv", "aicc"])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("curve", CURVES)
def test_no_grid_finds_a_smaller_penalized_fit(rng, criterion, kernel, curve):
    x = rng.uniform(size=40)
    y = CURVES[curve](x) + 0.3 * rng.normal(size=40)
    model = NadarayaWatsonRegressor(criterion, kernel=kernel).fit(x[:, None], y)
    sample = Sample.of(x[:, None], y[:, None], np.ones(40))

    def value(h):
        found = penalized_fit(sample, Metric.of(h, sample.X), Settings(kernel), criterion)[0]
        return in_units(criterion, sample, found)

    best = min(value(h) for h in np.geomspace(1e-3, 1e2, 600))
    depth = max(value(np.inf) - best, 0)
    assert_allclose(-model.best_score_, value(model.bandwidth_), rtol=1e-12)
    # A tophat's is the best of a grid of 8 per octave.
    assert -model.best_score_ <= best + (0.1 if kernel == "tophat" else 1e-6) * depth + 1e-14


def test_criteria_with_too_few_rows():
    """AICc needs more observations than three; for three rows, the global mean is chosen."""
    X, y = np.arange(3.0)[:, None], np.array([0.0, 1.0, 5.0])
    model = NadarayaWatsonRegressor("aicc").fit(X, y)
    assert_array_equal(model.bandwidth_, np.inf)
    assert model.best_score_ == -np.inf
    one = NadarayaWatsonRegressor("gcv").fit(X[:1], y[:1])
    assert_array_equal(one.bandwidth_, np.inf)
    constant = NadarayaWatsonRegressor("aicc").fit(np.arange(9.0)[:, None], np.ones(9))
    assert_array_equal(constant.bandwidth_, np.inf)
    assert constant.best_score_ == np.inf  # the logarithm of no error at all


def test_criterion_at_the_edge_of_its_domain():
    """Without noise GCV falls towards interpolation; it is searched down to one degree of freedom for two rows."""
    x = np.linspace(0, 1, 40)
    model = NadarayaWatsonRegressor("gcv").fit(x[:, None], np.sin(20 * x))
    trace = model.attention_weights(x[:, None]).trace()
    assert trace == pytest.approx(20, abs=1e-6)


def test_aicc_in_other_units(rng):
    X, y = rng.uniform(size=(40, 1)), rng.normal(size=40)
    y += np.sin(6 * X[:, 0])
    plain, moved = (NadarayaWatsonRegressor("aicc").fit(X, b * y) for b in (1, 1e3))
    assert_allclose(moved.best_score_, plain.best_score_ - 2 * np.log(1e3), rtol=1e-12)
    assert_allclose(moved.cv_results_["criterion"], plain.cv_results_["criterion"] + 2 * np.log(1e3), rtol=1e-10)


def test_attributes_of_an_earlier_fit_do_not_stay(rng):
    X, y = rng.normal(size=(30, 1)), rng.normal(size=30)
    model = NadarayaWatsonRegressor("gradient").fit(X, y)
    assert len(model.loss_curve_) >= 1
    model.set_params(bandwidth=1.0).fit(X, y)
    for name in ("best_score_", "cv_results_", "loss_curve_"):
        assert not hasattr(model, name)
    assert model.n_iter_ == 1


@pytest.mark.parametrize("kernel", [name for name in KERNELS if name not in naive.INFINITE])
def test_plateau_of_empty_windows_goes_to_its_right_end(kernel):
    """Pairs of neighbors with equal targets: without anybody else, the nearest is right every time."""
    x = np.repeat(np.arange(10.0), 2) + np.tile([0, 0.01], 10)
    y = np.repeat([0.0, 1.0] * 5, 2)
    model = NadarayaWatsonRegressor(kernel=kernel).fit(x[:, None], y)
    assert -model.best_score_ <= 1e-28  # the square of rounding
    # Up to 0.99 only the neighbor is within the support. Just above, a third row gets a weight that grows from zero (to
    # be seen in a squared error above 1e-28 of the variance, its weight must exceed 1e-14), or from one for the tophat.
    end = {"tophat": 1e-6, "biweight": 1e-5, "triweight": 1e-3, "tricube": 1e-3}.get(kernel, 1e-6)
    assert 0.99 * (1 - 1e-8) <= model.bandwidth_[0] <= 0.99 * (1 + end)


def test_flat_criterion_gives_the_global_mean():
    model = NadarayaWatsonRegressor().fit([[0.0], [1.0]], [1.0, 2.0])  # each row has one other, at any bandwidth
    assert_array_equal(model.bandwidth_, [np.inf])


def test_duplicated_rows_with_one_target_each():
    """The leave-one-out error is zero for every narrow window; the widest of them wins."""
    x = np.repeat(np.arange(8.0), 3)
    model = NadarayaWatsonRegressor(kernel="epanechnikov").fit(x[:, None], np.cos(x))
    assert -model.best_score_ <= 1e-28
    assert_allclose(model.bandwidth_, [1.0], rtol=1e-6)
    gaussian = NadarayaWatsonRegressor().fit(x[:, None], np.cos(x))
    assert 0.1 < gaussian.bandwidth_[0] < 0.2  # where exp(-1 / 2h**2) is 1e-14
    assert_allclose(gaussian.predict([[3.0]]), np.cos(3.0), rtol=1e-12)


def test_known_failure_negative_bandwidth():
    """The simulation of statsmodels issue 599, column 55, where its cross-validation ends at a negative bandwidth."""
    x = np.linspace(0, 1, 50)
    noise = np.random.RandomState(1122).normal(size=(50, 200))[:, 55]
    X, y = x[:, None], sum(np.sin(k * x) for k in (1, 2, 4, 6, 8, 10)) + noise
    model = NadarayaWatsonRegressor().fit(X, y)
    assert model.bandwidth_[0] > 0
    assert -model.best_score_ <= min(loo_error(X, y, h) for h in np.geomspace(1e-3, 1e3, 400))
    kernel_regression = pytest.importorskip("statsmodels.nonparametric.kernel_regression")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = kernel_regression.KernelReg(y, x, "c", reg_type="lc", bw="cv_ls")
    # Whatever sign it has, the kernel sees its square.
    assert -model.best_score_ <= loo_error(X, y, np.abs(peer.bw)) * (1 + 1e-12)


def test_known_failure_stuck_in_a_local_minimum():
    """sin(30 x) with 60 rows, where a descent from a rule of thumb stays at an error of 0.59."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x = rng.uniform(size=60)
        y = np.sin(30 * x) + 0.1 * rng.normal(size=60)
        model = NadarayaWatsonRegressor().fit(x[:, None], y)
        grid = [loo_error(x[:, None], y, h) for h in np.geomspace(1e-4, 10, 400)]
        assert -model.best_score_ <= min(grid)
        assert -model.best_score_ < 0.3


@pytest.mark.parametrize("bandwidth", ["loo", "gradient"])
def test_known_failure_units(bandwidth):
    """A stopping rule in the units of y, or a start in those of X, where hbw returns its start."""
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(60, 2))
    y = np.sin(30 * X[:, 0]) + 0.1 * rng.normal(size=60)
    plain = NadarayaWatsonRegressor(bandwidth).fit(X, y)
    moved = NadarayaWatsonRegressor(bandwidth).fit(1e4 * X, 1e-3 * y)
    # The same steps, up to rounding, which a descent may amplify.
    assert_allclose(moved.bandwidth_, 1e4 * plain.bandwidth_, rtol=1e-8 if bandwidth == "loo" else 1e-4)
    assert_allclose(moved.best_score_, 1e-6 * plain.best_score_, rtol=1e-6)


@pytest.mark.parametrize("bandwidth", ["loo", "gradient", "aicc"])
def test_known_failure_no_interquartile_range(bandwidth):
    """Most values of a feature are the same: rules by the range between quartiles divide by zero."""
    rng = np.random.default_rng(0)
    X = np.column_stack([np.where(rng.uniform(size=80) < 0.8, 1.0, rng.normal(size=80)), rng.uniform(size=80)])
    y = X[:, 0] + np.sin(6 * X[:, 1]) + 0.1 * rng.normal(size=80)
    model = NadarayaWatsonRegressor(bandwidth).fit(X, y)
    assert (model.bandwidth_ > 0).all()
    assert np.isfinite(model.bandwidth_).all()
    assert model.bandwidth_report().loo_r2 > 0.5


def test_pure_noise_gives_the_global_mean_mostly():
    """The search equals brute force, and on new rows what it finds costs little against the global mean."""
    excess = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, y, x_new, y_new = rng.uniform(size=60), rng.normal(size=60), rng.uniform(size=500), rng.normal(size=500)
        model = NadarayaWatsonRegressor().fit(x[:, None], y)
        if seed < 3:
            assert -model.best_score_ <= brute_force(x[:, None], y, "gaussian", spread(x[:, None])) * (1 + 1e-12)
        error = np.mean((model.predict(x_new[:, None]) - y_new) ** 2)
        excess.append(error / np.mean((y.mean() - y_new) ** 2) - 1)
    # A window of five rows adds a fifth of the variance; most draws take far wider ones.
    assert np.median(excess) < 0.02
    assert np.mean(excess) < 0.1


def test_perfect_line():
    """Without noise the window is narrow, but it holds the neighbors on both sides."""
    x = np.linspace(0, 1, 40)
    for kernel in SMOOTH:
        model = NadarayaWatsonRegressor(kernel=kernel).fit(x[:, None], 3 * x - 1)
        assert 0 < model.bandwidth_[0] < 0.2
        assert -model.best_score_ < 0.001 * np.var(3 * x)


def test_thousand_rows():
    """statsmodels issue 595 reports that a thousand rows never end."""
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(1000, 1))
    y = np.sin(10 * X[:, 0]) + 0.3 * rng.normal(size=1000)
    model = NadarayaWatsonRegressor().fit(X, y)
    assert 0.09 < -model.best_score_ < 0.1
    assert len(model.cv_results_["criterion"]) < 150


# Descent --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [name for name, profile in KERNELS.items() if profile.differentiable])
def test_descent_is_never_worse_than_the_search(rng, kernel):
    X = rng.uniform(size=(80, 3))
    y = np.sin(6 * X[:, 0]) + X[:, 1] + 0.2 * rng.normal(size=80)
    loo, gradient = (
        NadarayaWatsonRegressor(bandwidth, kernel=kernel, shrinkage=0).fit(X, y) for bandwidth in ("loo", "gradient")
    )
    assert gradient.best_score_ >= loo.best_score_
    assert_allclose(-gradient.best_score_, loo_error(X, y, gradient.bandwidth_, kernel=kernel), rtol=1e-13)
    assert gradient.loss_curve_[0] == pytest.approx(-loo.best_score_, rel=1e-13)
    assert gradient.n_iter_ == max(1, len(gradient.loss_curve_) - 1)
    assert_array_equal(gradient.cv_results_["criterion"], loo.cv_results_["criterion"])
    if kernel == "gaussian":
        assert gradient.best_score_ > 0.7 * loo.best_score_
        assert (np.diff(gradient.loss_curve_[1:]) <= 0).all()


def test_descent_ends_where_the_gradient_vanishes(rng):
    X = rng.uniform(size=(100, 3))
    y = np.sin(6 * X[:, 0]) + X[:, 1] ** 2 + X[:, 2] + 0.1 * rng.normal(size=100)
    model = NadarayaWatsonRegressor("gradient", shrinkage=0, tol=1e-8).fit(X, y)
    assert np.isfinite(model.bandwidth_).all()
    error, gradient = loo_error(X, y, model.bandwidth_, return_gradient=True)
    assert np.abs(gradient).max() <= 1e-8 * model.loss_curve_[0]
    for direction in np.vstack([np.eye(3), -np.eye(3)]):
        assert loo_error(X, y, model.bandwidth_ * np.exp(0.01 * direction)) > error


def test_features_that_do_not_matter_are_left_out(rng):
    X = rng.uniform(size=(200, 4))
    y = np.sin(6 * X[:, 0]) + 0.1 * rng.normal(size=200)
    # The last feature has nothing to say about y, and neither has noise that repeats it.
    model = NadarayaWatsonRegressor("gradient", shrinkage=0).fit(X, y)
    free = model.bandwidth_
    assert np.isfinite(free[0])
    for j in np.flatnonzero(np.isinf(free)):
        narrower = free.copy()
        narrower[j] = 10.0
        assert loo_error(X, y, free) <= loo_error(X, y, narrower) * (1 + 1e-6)
    assert np.isinf(free[1:]).any()


def test_spherical_descent_is_the_search(rng):
    X, y = rng.normal(size=(50, 2)), rng.normal(size=50)
    loo, gradient = (
        NadarayaWatsonRegressor(bandwidth, bandwidth_type="spherical").fit(X, y) for bandwidth in ("loo", "gradient")
    )
    assert isinstance(gradient.bandwidth_, float)
    assert gradient.best_score_ >= loo.best_score_
    assert_allclose(gradient.best_score_, loo.best_score_, rtol=1e-10)


def test_shrinkage_pulls_towards_the_search(rng):
    X = rng.uniform(size=(80, 3))
    y = np.sin(6 * X[:, 0]) + X[:, 1] + np.cos(5 * X[:, 2]) + 0.2 * rng.normal(size=80)
    h_loo = NadarayaWatsonRegressor().fit(X, y).bandwidth_
    distance = []
    for shrinkage in (1e-3, 1e-1, 1e1, 1e4):
        model = NadarayaWatsonRegressor("gradient", shrinkage=shrinkage).fit(X, y)
        _, gradient = loo_error(X, y, model.bandwidth_, return_gradient=True)
        away = np.log(model.bandwidth_ / h_loo)
        # The penalised objective has no slope left.
        slope = gradient / model.loss_curve_[0] + 2 * shrinkage * away
        assert np.abs(slope).max() <= 1e-5 + 2e-8 * shrinkage
        distance.append(np.abs(away).max())
    assert (np.diff(distance) < 0).all()
    assert distance[-1] < 1e-3


def test_a_feature_that_may_as_well_be_infinite_is_found_behind_one_that_may_not():
    """The widest one is needed; the next costs less than nothing."""
    wide = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        X = rng.uniform(size=(60, 4))
        y = np.sin(6 * X[:, 0]) + 0.5 * X[:, 3] + 0.3 * rng.normal(size=60)
        model = NadarayaWatsonRegressor("gradient", shrinkage=0).fit(X, y)
        h = model.bandwidth_
        for j in np.flatnonzero(np.isfinite(h)):
            infinite = h.copy()
            infinite[j] = np.inf
            if np.isfinite(infinite).any():
                assert loo_error(X, y, infinite) > -model.best_score_ * (1 + 1e-5)
        wide += np.isinf(h).sum()
    assert wide > 0


def test_nothing_to_learn_stays_infinite(rng):
    X, y = rng.normal(size=(30, 2)), np.r_[np.ones(29), 5.0]
    loo, gradient = (NadarayaWatsonRegressor(bandwidth).fit(X, y) for bandwidth in ("loo", "gradient"))
    assert_array_equal(
        loo.bandwidth_, np.inf
    )  # one outlier among equals: whoever is near it is better off with the mean
    assert_array_equal(gradient.bandwidth_, np.inf)
    constant = NadarayaWatsonRegressor("gradient").fit(X, np.ones(30))
    assert_array_equal(constant.bandwidth_, np.inf)
    assert constant.loss_curve_ == [0.0]


def test_too_few_iterations_warn(rng):
    X = rng.uniform(size=(80, 5))
    y = np.sin(6 * X[:, 0]) + X[:, 1] + 0.2 * rng.normal(size=80)
    with pytest.warns(ConvergenceWarning, match="max_iter=2 iterations"):
        model = NadarayaWatsonRegressor("gradient", shrinkage=0, max_iter=2).fit(X, y)
    assert model.n_iter_ == 2
    assert model.best_score_ >= NadarayaWatsonRegressor().fit(X, y).best_score_


def test_verbose_prints_evaluations(rng, capsys):
    X, y = rng.normal(size=(30, 2)), rng.normal(size=30)
    NadarayaWatsonRegressor("gradient", verbose=1).fit(X, y)
    out = capsys.readouterr().out
    assert re.search(r"leave-one-out error [\d.]+ at bandwidth \[inf, inf\]\n", out)
    assert re.search(r"chosen: leave-one-out error [\d.]+ at bandwidth \[.+, .+\]\n$", out)
    NadarayaWatsonRegressor("gradient").fit(X, y)
    assert capsys.readouterr().out == ""


# Beside statsmodels ---------------------------------------------------------------------------------------------------


# Growth of the product of 21 Italian regions, from R's package np by way of the tests of statsmodels: the first 50
# rows.
ITALY = [
    8.556,
    12.262,
    9.587,
    8.119,
    5.537,
    6.796,
    8.638,
    6.483,
    6.212,
    5.111,
    6.001,
    7.027,
    4.616,
    3.922,
    4.688,
    3.957,
    3.159,
    3.763,
    3.829,
    5.242,
    6.275,
    8.518,
    11.542,
    9.348,
    8.02,
    5.527,
    6.865,
    8.666,
    6.672,
    6.289,
    5.286,
    6.271,
    7.94,
    4.72,
    4.357,
    4.672,
    3.883,
    3.065,
    3.489,
    3.635,
    5.443,
    6.302,
    9.054,
    12.485,
    9.896,
    8.33,
    6.161,
    7.055,
    8.717,
    6.95,
]
ITALY_YEARS = [1951] * 21 + [1952] * 21 + [1953] * 8


def statsmodels_data(columns):
    """The data of statsmodels' own tests of kernel regression."""
    if columns == "Italy":
        return np.array(ITALY_YEARS, dtype=float)[:, None], np.array(ITALY)
    rng = np.random.RandomState(123456)
    for trials in (2, 3):  # two discrete columns, not used here, come first
        rng.binomial(trials, 0.7, size=60)
    c1, c2, c3 = rng.normal(size=60), rng.normal(10, 1, size=60), rng.normal(10, 2, size=60)
    y = 0.3 + 1.2 * c1 + 3.7 * c2 + rng.normal(size=60)
    return np.column_stack([{"c1": c1, "c2": c2, "c3": c3}[name] for name in columns.split()]), y


@pytest.mark.parametrize("columns", ["Italy", "c1", "c1 c2", pytest.param("c1 c2 c3", marks=pytest.mark.exhaustive)])
def test_statsmodels(columns):
    kernel_regression = pytest.importorskip("statsmodels.nonparametric.kernel_regression")
    X, y = statsmodels_data(columns)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = kernel_regression.KernelReg(y, X, "c" * X.shape[1], reg_type="lc", bw="cv_ls")
        fitted = peer.fit(X)[0]
    bandwidth = np.abs(peer.bw)
    given = NadarayaWatsonRegressor(bandwidth).fit(X, y)
    assert_allclose(given.predict(X), fitted, rtol=1e-10)
    chosen = NadarayaWatsonRegressor("loo" if X.shape[1] == 1 else "gradient", shrinkage=0).fit(X, y)
    assert -chosen.best_score_ <= loo_error(X, y, bandwidth) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("criterion", "places"),
    [
        ([3.0, 1.0, 2.0, 0.0, 5.0], [1, 3]),
        ([1.0, 2.0, 3.0], [0]),
        ([3.0, 2.0, 1.0], [2]),
        ([2.0, 1.0, 1.0, 3.0], [2]),
        ([2.0, 1.0 + 2e-10, 1.0 + 3e-10, 1.0, 3.0], [3]),  # rounding is no barrier
        ([2.0, 1.0, 1.0 + 3e-10, 1.0 + 2e-10, 3.0], [1]),
        ([np.inf, 1.0, 1.0 + 1e-8, 1.0, np.inf], [1, 3]),
        ([2.0, 1.0, 1.0 + 1e-10, 1.0 - 1e-11, 1.0 + 1e-10, 1.0, 3.0], [3]),
    ],
)
def test_local_minima(criterion, places):
    assert_array_equal(np.flatnonzero(local_minima(criterion, np.zeros(len(criterion), dtype=bool))), places)


@pytest.mark.parametrize(
    ("criterion", "estimates", "places"),
    [
        # What is known of all rows stands for estimates beside it, which may be lower or higher.
        ([5.0, 1.0, 1.3, 1.2, 1.4, 0.9, 4.0, 6.0], [1, 1, 0, 0, 0, 1, 1, 0], [3]),
        ([5.0, 2.0, 1.3, 1.2, 1.4, 1.9, 4.0, 6.0], [1, 1, 0, 0, 0, 1, 1, 0], [3]),
        # Other minima are estimates, and the criterion of the global mean is known.
        ([5.0, 1.0, 2.0, 3.0, 1.6, 1.5, 1.7, 4.0, 3.0], [1, 1, 1, 1, 0, 0, 0, 1, 0], [1, 5, 8]),
        ([5.0, 1.0, 2.0, 0.5], [1, 1, 1, 0], [1, 3]),
        ([5.0, 1.0, 2.0, 6.0], [1, 1, 1, 0], [1]),
    ],
)
def test_local_minima_of_estimates(criterion, estimates, places):
    assert_array_equal(np.flatnonzero(local_minima(np.array(criterion), np.array(estimates, dtype=bool))), places)


@pytest.mark.parametrize("kernel", ["gaussian", "exponential", "biweight", "tricube", "tophat"])
def test_search_by_ladders_equals_search_by_single_evaluations(rng, kernel, monkeypatch):
    X = rng.uniform(size=(300, 3))
    y = np.sin(5 * X[:, 0]) + rng.normal(scale=0.3, size=300)
    objective = Objective(Sample.of(X, y[:, None], np.ones(300)), Settings(kernel, algorithm="dense"))
    groups = [numbers for numbers, _ in objective.evaluate([0.5 * 2 ** (-k / 2) for k in range(6)], digits="rough")]
    assert groups == [list(range(6))]
    ladders, single = (NadarayaWatsonRegressor("loo", kernel=kernel, algorithm="dense") for _ in range(2))
    ladders.fit(X, y)
    monkeypatch.setattr("sknw._criteria.leave_one_out._FEWEST_FOR_LADDER", 301)
    single.fit(X, y)
    # The root of the slope is found to 1e-9 in the logarithm from either bracket.
    assert_allclose(ladders.bandwidth_, single.bandwidth_, rtol=4e-9)


@pytest.mark.parametrize("far", [1e153, 1e170, 1e-200])
def test_an_outlier_beyond_all_digits_does_not_hide_the_minimum(rng, far):
    """Squared distances to it overflow, or hundreds of octaves lie between the gaps: no slope says so of the others."""
    X = rng.normal(size=(300, 1))
    y = np.sin(3 * X[:, 0]) + 0.1 * rng.normal(size=300)
    X[0], X[1] = 0.0, far
    dense, window = (NadarayaWatsonRegressor(algorithm=a).fit(X, y) for a in ("auto", "window"))
    assert_allclose(dense.bandwidth_, window.bandwidth_, rtol=1e-6)


def test_search_of_many_rows_with_long_tailed_noise(rng):
    """A few errors are nearly all of the criterion; the minimum is that of all rows all the same."""
    X = rng.uniform(size=(100_000, 1))
    y = np.sin(20 * X[:, 0]) + 0.3 * np.exp(1.5 * rng.normal(size=100_000))
    model = NadarayaWatsonRegressor().fit(X, y)
    best = min(loo_error(X, y, h) for h in np.geomspace(1e-4, 1, 33))
    gain = loo_error(X, y, np.inf) - best
    assert -model.best_score_ <= best + 1e-6 * gain


def test_ties_are_looked_for_among_minima(rng):
    """No bandwidth is off by more than 1e-9 where an iterate of the search was nearer to the minimum."""
    for _ in range(40):
        X = rng.uniform(size=(600, 1))
        y = np.sin(6 * X[:, 0]) + 0.3 * rng.normal(size=600)
        log_h = math.log(NadarayaWatsonRegressor().fit(X, y).bandwidth_[0])
        step = 1e-4
        slopes = [loo_error(X, y, math.exp(log_h + s), return_gradient=True)[1] for s in (-step, 0, step)]
        # The distance to the root of the slope, which Newton's step tells.
        assert abs(slopes[1] / ((slopes[2] - slopes[0]) / (2 * step))) < 2e-9
