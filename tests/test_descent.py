"""Descent within a family: its parameters, its starts, how far it may go, and which features it drops."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.linalg
import threadpoolctl
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning

import naive
from problems import DIFFERENTIABLE
from sknw import NadarayaWatsonRegressor, loo_error
from sknw._bandwidth import Objective
from sknw._bandwidth.descent.families import Diagonal, Full, _symmetric_factor
from sknw._bandwidth.descent.lbfgs import Limits, lbfgs
from sknw._bandwidth.descent.shrinkage import mean_and_standard_error, most_cautious, ranks, subset
from sknw._core import KERNELS, Wanted
from sknw._criteria.by_rows import squared_errors_of
from sknw._criteria.leave_one_out import leave_one_out
from sknw._criteria.problem import Settings
from sknw._smoothing.metric import Metric
from sknw._smoothing.sample import Sample


def loo(sample, metric, kernel="gaussian", wanted=Wanted.VALUE):
    """Value and gradient of the leave-one-out error."""
    [errors] = leave_one_out(sample, [metric], Settings(kernel), wanted=wanted)
    return errors.mean, errors.gradient


def sample_of(X, y, w=None):
    return Sample.of(X, y.reshape(len(y), -1), np.ones(len(y)) if w is None else w)


def make(rng, n=80, d=3):
    X = rng.uniform(size=(n, d))
    return X, np.sin(6 * X[:, 0]) + X[:, 1] + 0.2 * rng.normal(size=n)


# Families -------------------------------------------------------------------------------------------------------------


@pytest.mark.thin
@pytest.mark.parametrize("family", [Diagonal, Full])
@pytest.mark.parametrize("kernel", DIFFERENTIABLE)
@pytest.mark.parametrize("weights", ["none", "counts", "precisions"])
@pytest.mark.parametrize("p", [1, 2])
def test_slope(rng, family, kernel, weights, p):
    """Against complex steps in theta, through the exponential of a matrix."""
    n, d = 20, 3
    X, y = rng.normal(size=(n, d)), rng.normal(size=(n, p))
    w = {"none": np.ones(n), "counts": rng.integers(1, 4, n).astype(float), "precisions": rng.uniform(0.1, 1, n)}[
        weights
    ]
    h = np.array([0.8, 1.2, 1.0]) * (2.5 if KERNELS[kernel].reach == 1 else 1)
    here = family(sample_of(X, y, w), h)
    theta = 0.4 * rng.normal(size=here.size)
    value, gradient = loo(here.sample, here.metric(theta), kernel, here.derivatives)

    def reference(theta):
        if family is Diagonal:
            G = np.diag(np.exp(-theta) / h)
        else:
            B = np.zeros((d, d), dtype=complex)
            B[np.triu_indices(d)] = theta * np.where(np.eye(d) == 1, 1, np.sqrt(0.5))[np.triu_indices(d)]
            G = scipy.linalg.expm(-(B + np.triu(B, 1).T)) / h
        return naive.loo_error(X.tolist(), y.tolist(), w.tolist(), G.tolist(), kernel)

    unit = here.sample.squared(1.0)
    assert_allclose(unit * value, reference(theta.astype(complex)).real, rtol=1e-10)
    # A step of 1e-20 is lost in no digit of the imaginary part; expm is right to some 1e-14.
    expected = [reference(theta + 1e-20j * e).imag / 1e-20 for e in np.eye(here.size)]
    assert_allclose(unit * here.slope(theta, gradient), expected, rtol=0, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("family", [Diagonal, Full])
def test_fold_and_unfold_are_inverses(rng, family):
    here = family(sample_of(rng.normal(size=(9, 1)), np.zeros(9)), np.ones(1))
    theta = np.linspace(-700, 300, 1001)  # bandwidths from the smallest to the largest of the range of numbers
    x = here.fold(theta)
    # Of a sum of two numbers around 700, half an eps of each is lost.
    back, derivative = here.unfold(x)
    assert_allclose(back, theta, rtol=0, atol=700 * 2e-16 * 4)
    step = 1e-6  # whose square is lost, and eps / step of a number: 1e-7 in all for theta in the middle
    middle = np.abs(theta) < 5
    slope = (here.fold(theta + step) - here.fold(theta - step))[middle] / (2 * step)
    assert_allclose(slope * np.broadcast_to(derivative, theta.shape)[middle], 1, rtol=1e-6)
    if family is Diagonal:
        assert (np.abs(derivative) >= 0.5).all()  # so that half the tolerance there is enough here


@pytest.mark.parametrize("family", [Diagonal, Full])
def test_bandwidth_and_coordinates_of_a_family_are_the_same(rng, family):
    X = rng.normal(size=(30, 4)) * [1, 1e4, 1, 1e-4]
    y = X[:, 0] + X[:, 1] / 1e4
    h = np.array([0.8, 0.7e4, np.inf, 1.2e-4])
    here = family(sample_of(X, y), h)
    theta = 0.5 * rng.normal(size=here.size)
    H = here.bandwidth(theta)
    assert_array_equal(here.bandwidth(np.zeros(here.size)), h if family is Diagonal else np.diag(h))
    values = [loo(here.sample, metric)[0] for metric in (here.metric(theta), Metric.of(H, X))]
    assert_allclose(values[1], values[0], rtol=1e-12)
    # Without a feature: as if the rest of the metric stayed.
    smaller, rest = here.without(theta, 1)
    if family is Full:
        used = [0, 1, 3]
        M = np.linalg.matrix_power(np.linalg.inv(H[np.ix_(used, used)]), 2)[np.ix_([0, 2], [0, 2])]
        other = np.diag(smaller.h)
        other[np.ix_([0, 3], [0, 3])] = scipy.linalg.sqrtm(np.linalg.inv(M)).real
        # The square root of a matrix with entries from 1e-8 to 1 keeps half of the digits.
        assert_allclose(smaller.bandwidth(rest), other, rtol=1e-6)
    else:
        assert_array_equal(smaller.bandwidth(rest), np.where(np.arange(4) == 1, np.inf, H))


def test_matrices_far_out_have_an_inverse(rng):
    X = rng.normal(size=(20, 4))
    here = Full(sample_of(X, X[:, 0]), np.ones(4))
    for theta in (np.full(10, 9.0), np.full(10, -9.0), 20 * rng.normal(size=10)):
        assert np.isfinite(np.linalg.inv(here.bandwidth(theta))).all()
        _, gradient = loo(here.sample, here.metric(theta), wanted=here.derivatives)
        assert np.isfinite(here.slope(theta, gradient)).all()


def test_penalty_is_the_distance_in_the_logarithm(rng):
    """The norm of theta is that of half the logarithms of the eigenvalues of H_loo H^-2 H_loo."""
    X = rng.normal(size=(10, 3))
    h = np.array([0.5, 1.0, 2.0])
    here = Full(sample_of(X, X[:, 0]), h)
    theta = rng.normal(size=6)
    M = np.linalg.matrix_power(np.linalg.inv(here.bandwidth(theta)), 2)
    eigenvalues = np.linalg.eigvalsh(np.diag(h) @ M @ np.diag(h))
    assert_allclose(theta @ theta, np.sum((0.5 * np.log(eigenvalues)) ** 2), rtol=1e-10)
    logs = rng.normal(size=3)
    diagonal = Diagonal(here.sample, h)
    assert_allclose(here.bandwidth(here.around(logs)), np.diag(diagonal.bandwidth(diagonal.around(logs))), atol=1e-14)


@pytest.mark.parametrize("D", [[1, 1, 1], [1, 1e4, 1e-4], [1e8, 1, 1e-8]])
def test_symmetric_factor_keeps_the_digits_of_small_features(rng, D):
    D = np.array(D, dtype=float)
    E = scipy.linalg.expm(0.5 * (lambda B: B + B.T)(rng.normal(size=(3, 3))))
    H = _symmetric_factor(D, E)
    assert_array_equal(H, H.T)
    square = (D[:, None] * E) @ (D[:, None] * E).T
    # Each entry relative to the features that it belongs to.
    assert_allclose((H @ H.T) / np.outer(D, D), square / np.outer(D, D), rtol=0, atol=1e-13 * np.abs(E @ E.T).max())
    assert np.linalg.eigvalsh(H / np.sqrt(np.outer(H.diagonal(), H.diagonal())))[0] > 0


# Starts and ends ------------------------------------------------------------------------------------------------------


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("kernel", DIFFERENTIABLE)
@pytest.mark.parametrize("family", ["diag", "full"])
def test_a_larger_family_is_never_worse(rng, kernel, family):
    X, y = make(rng, n=60)
    loo = NadarayaWatsonRegressor(kernel=kernel).fit(X, y)
    model = NadarayaWatsonRegressor("gradient", bandwidth_type=family, kernel=kernel, shrinkage=0).fit(X, y)
    assert model.best_score_ >= loo.best_score_
    assert_allclose(-model.best_score_, loo_error(X, y, model.bandwidth_, kernel=kernel), rtol=1e-9)
    assert model.loss_curve_[0] == -loo.best_score_
    assert model.shrinkage_ == 0
    if family == "full":
        diag = NadarayaWatsonRegressor("gradient", kernel=kernel, shrinkage=0).fit(X, y)
        # Features that are left out may cost the share tol.
        assert model.best_score_ >= diag.best_score_ * (1 + 2e-5)


def test_descent_from_one_start_would_miss_the_best():
    """Data sets in which the descent from the best of the global search ends above that from other starts."""
    better = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X = rng.uniform(size=(50, 4))
        y = np.sin(15 * X[:, 0]) * X[:, 1] + 0.3 * rng.normal(size=50)
        model = NadarayaWatsonRegressor("gradient", shrinkage=0).fit(X, y)
        h = model.cv_results_["bandwidth"][np.argmin(model.cv_results_["criterion"])]
        if np.isinf(h).any():
            continue
        sample = sample_of(X, y)
        family = Diagonal(sample, h)

        def criterion(theta, family=family):
            return loo(family.sample, family.metric(theta), wanted=family.derivatives)

        bounds = [(-5, 6)] * 4
        ends = [
            scipy.optimize.minimize(criterion, theta, jac=True, method="L-BFGS-B", bounds=bounds).fun
            for theta in [np.zeros(4), *rng.uniform(-1.5, 2.5, size=(8, 4))]
        ]
        # Ends within tol of each other are the same.
        assert -model.best_score_ <= sample.squared(min(ends)) * (1 + 1e-2)
        better += -model.best_score_ < sample.squared(ends[0]) * (1 - 1e-3)
    assert better > 0


def test_two_minima_that_a_subsample_does_not_separate():
    """Where the best of starts that are compared on 250 of 500 rows ends in the higher one."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 3))
    y = np.sin(2 * X).sum(axis=1) + 0.5 * rng.normal(size=500)
    model = NadarayaWatsonRegressor("gradient", shrinkage=0).fit(X, y)
    ends = [
        scipy.optimize.minimize(
            lambda log_h: loo_error(X, y, np.exp(log_h), return_gradient=True), log_h, jac=True, method="L-BFGS-B"
        ).fun
        for log_h in np.log([[0.298, 0.300, 0.320], [0.14, 1.9, 0.64]])
    ]
    assert ends[0] > 1.002 * ends[1]
    assert -model.best_score_ <= ends[1] * (1 + 1e-6)  # both stop where the gradient is 1e-5 of the error


def test_features_that_do_not_matter_do_not_prolong_a_descent():
    """Their bandwidths would grow for ever in the logarithm; next to their bound the criterion is linear instead."""
    rng = np.random.default_rng(100)
    X = rng.uniform(size=(500, 6))
    y = np.sin(6 * X[:, 0]) + 2 * X[:, 1] ** 2 + 0.2 * rng.normal(size=500)
    model = NadarayaWatsonRegressor("gradient", shrinkage=0).fit(X, y)
    assert np.isinf(model.bandwidth_).sum() >= 2
    assert model.n_iter_ <= 20


def test_descent_without_prospect_stops(rng):
    X, y = make(rng, n=100)
    sample = sample_of(X, y)
    objective = Objective(sample, Settings("gaussian"))
    family = Diagonal(sample, np.full(3, 0.3))
    scale = objective(family.h)[0]
    limits = Limits(max_iter=100, tol=1e-8, low=-5.0, high=5.0)
    whole = lbfgs(objective, family, np.zeros(3), scale, 0.1, limits)
    lower, higher = (
        lbfgs(objective, family, np.zeros(3), scale, 0.1, limits._replace(below=share * whole.penalized))
        for share in (1 + 1e-9, 1 - 1e-2)
    )
    assert_array_equal(lower.theta, whole.theta)
    assert len(higher.losses) < len(whole.losses)
    assert higher.penalized <= whole.penalized * (1 + 1e-2)


def test_descent_stops_near_the_end_of_another(rng):
    """Unless it is lower already, on its way to somewhere else."""
    X, y = make(rng, n=60)
    sample = sample_of(X, y)
    objective, family = Objective(sample, Settings("gaussian")), Diagonal(sample, np.full(3, 0.3))
    limits, start = Limits(max_iter=100, tol=1e-8, low=-5.0, high=5.0), np.array([1.0, -1.0, 1.0])
    first, second = (lbfgs(objective, family, theta, 1.0, 0.1, limits) for theta in (np.zeros(3), start))
    assert_allclose(first.theta, second.theta, atol=1e-4)
    again = lbfgs(objective, family, start, 1.0, 0.1, limits._replace(known=(first,)))
    assert len(again.losses) < len(second.losses)
    assert again.why == "converged"
    assert np.abs(again.theta - first.theta).max() < 0.1
    higher = first._replace(penalized=1.2 * first.penalized)
    again = lbfgs(objective, family, start, 1.0, 0.1, limits._replace(known=(higher,)))
    assert again.losses == second.losses


def test_a_descent_wakes_no_threads_of_blas(rng):
    X, y = make(rng, n=60)
    sample = sample_of(X, y)

    class Asking(Objective):
        threads = set()

        def __call__(self, *args, **options):
            info = threadpoolctl.threadpool_info()
            self.threads |= {library["num_threads"] for library in info if library["user_api"] == "blas"}
            return super().__call__(*args, **options)

    objective = Asking(sample, Settings("gaussian"))
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        lbfgs(objective, Diagonal(sample, np.ones(3)), np.zeros(3), 1.0, 0.0, Limits(5, 1e-3, -5.0, 5.0))
    assert objective.threads == {1}


def test_descent_with_many_rows_compares_starts_on_a_subsample(rng):
    X, y = make(rng, n=900)
    model = NadarayaWatsonRegressor("gradient", shrinkage=0, tol=1e-7).fit(X, y)
    assert model.bandwidth_[2] > 3 * model.bandwidth_[0]
    finite = np.isfinite(model.bandwidth_)
    gradient = loo_error(X, y, model.bandwidth_, return_gradient=True)[1]
    assert np.abs(gradient[finite]).max() <= 1e-6 * model.loss_curve_[0]


def test_too_little_time_warns(rng):
    X, y = make(rng)
    match = "stopped after max_time=1e-09 seconds in the global search, with the best so far; raise max_time"
    for family in ("spherical", "diag"):
        with pytest.warns(ConvergenceWarning, match=match):
            model = NadarayaWatsonRegressor("gradient", bandwidth_type=family, max_time=1e-9).fit(X, y)
        assert -model.best_score_ <= loo_error(X, y, np.inf)


PHASES = [
    "in the global search",
    "in the cross-validation of the shrinkage",
    "in the descent",
    "in the elimination of features",
]


@pytest.mark.parametrize(("family", "solver"), [("diag", "lbfgs"), ("full", "lbfgs"), ("diag", "adam")])
def test_time_may_run_out_anywhere(rng, monkeypatch, family, solver):
    """By a clock that counts how often it is looked at, which is before each evaluation."""
    X = rng.uniform(size=(60, 3))
    y = np.sin(9 * X[:, 0]) + 0.1 * rng.normal(size=60)
    clock = itertools.count()
    for module in ("descent.descent", "objective"):
        monkeypatch.setattr(f"sknw._bandwidth.{module}.time", SimpleNamespace(monotonic=lambda: next(clock)))
    options = {"bandwidth_type": family, "solver": solver, "drop_irrelevant": True, "random_state": 0, "max_iter": 30}
    global_mean, loo = loo_error(X, y, np.inf), NadarayaWatsonRegressor().fit(X, y)
    first = next(clock)
    NadarayaWatsonRegressor("gradient", **options).fit(X, y)
    total, phases = next(clock) - first, []
    for seconds in np.linspace(5, total - 5, 14).round():
        with pytest.warns(ConvergenceWarning, match=f"stopped after max_time={seconds:g} seconds") as caught:
            model = NadarayaWatsonRegressor("gradient", max_time=seconds, **options).fit(X, y)
        assert len(caught) == 1
        phases += [phase for phase in PHASES if f"{phase}, with the best so far" in str(caught[0].message)]
        assert f"stopped after max_time={seconds:g} seconds {phases[-1]}" in str(model.bandwidth_report())
        assert_allclose(-model.best_score_, loo_error(X, y, model.bandwidth_), rtol=1e-9)
        # The elimination may raise the error, within its noise.
        worst = -loo.best_score_ if phases[-1] in PHASES[1:3] else global_mean
        assert -model.best_score_ <= worst * (1 + 1e-12)
    assert list(dict.fromkeys(phases)) == PHASES


def test_full_in_other_units(rng):
    X, y = make(rng, n=50, d=2)
    e = np.array([1e4, 1e-4])
    plain, moved = (
        NadarayaWatsonRegressor("gradient", bandwidth_type="full", shrinkage=0.01).fit(f * X, y) for f in (1, e)
    )
    # The matrix itself depends on the units of its features; its metric, and the predictions, do not.
    assert_allclose(moved.predict(X * e), plain.predict(X), rtol=0, atol=1e-5)
    assert_allclose(moved.best_score_, plain.best_score_, rtol=1e-6)


# Shrinkage ------------------------------------------------------------------------------------------------------------


def test_folds_do_not_depend_on_order_and_keep_repeated_rows_together(rng):
    X, y = rng.integers(0, 4, size=(40, 2)).astype(float), rng.integers(0, 2, size=40).astype(float)
    order = rng.permutation(40)
    plain, moved = ranks(sample_of(X, y)), ranks(sample_of(X[order], y[order]))
    assert_array_equal(moved, plain[order])
    assert_array_equal(ranks(sample_of(X[:, ::-1], np.exp(order))), order)  # targets first
    rows = [tuple(row) for row in np.column_stack([X, y])]
    for i in range(40):
        for j in range(i):
            assert (plain[i] == plain[j]) == (rows[i] == rows[j])
    assert sorted(set(plain.tolist())) == list(range(len(set(rows))))


@pytest.mark.parametrize("empty", ["nearest", "nan"])
def test_held_out_rows_predict_no_others(rng, empty):
    X, y = make(rng, n=30)
    w = rng.uniform(0.5, 1, size=30)
    sample = sample_of(X, y, w)
    held_out = np.arange(30) % 5 == 0
    objective = Objective(subset(sample, ~held_out), Settings("epanechnikov", empty))
    metric = Metric.of(np.full(3, 0.2), sample.X)
    errors = sample.squared(
        squared_errors_of(subset(sample, held_out), objective.sample, metric, objective.settings["given"])
    )
    expected = naive.predict(
        X[held_out].tolist(),
        X[~held_out].tolist(),
        y[~held_out, None].tolist(),
        w[~held_out].tolist(),
        [1 / 0.2] * 3,
        "epanechnikov",
        "nearest" if empty == "nearest" else "mean",
    )
    assert_allclose(errors, (np.ravel(expected) - y[held_out]) ** 2, rtol=1e-10, atol=1e-14)


def test_standard_error(rng):
    """Of independent observations, of which a row of weight w is w."""
    values, w = rng.normal(size=30), rng.integers(1, 4, 30)
    X = np.arange(30.0)[:, None]  # a sample keeps its rows in order of their features
    repeated = np.repeat(values, w)
    found = mean_and_standard_error(values, sample_of(X, X[:, 0], w.astype(float)))
    assert_allclose(found, (repeated.mean(), repeated.std() / np.sqrt(len(repeated))), rtol=1e-12)


def test_most_cautious(rng):
    """The first within one standard error of the best, of the difference in pairs; not of the errors themselves."""
    n = 100
    X = np.arange(float(n))[:, None]
    sample = sample_of(X, X[:, 0])
    rows = 10 * rng.exponential(size=n)
    sign = np.where(np.arange(n) % 2, 1.0, -1.0)  # of mean 0 and standard error 0.1
    best = rows - 1
    worse = [best + sign + rise for rise in (0.11, 0.09, 0.08)]
    assert most_cautious([rows, *worse, best], sample) == 2
    assert most_cautious([rows, best, *worse], sample) == 1
    assert most_cautious([worse[1], rows, best], sample) == 0
    assert most_cautious([rows, rows, rows], sample) == 0
    weighted = sample_of(X, X[:, 0], np.where(np.arange(n) < 50, 1.0, 3.0))  # 200 observations
    assert most_cautious([rows, *worse, best], weighted) == 4


def test_cross_validation_stays_with_the_search_where_there_is_nothing_to_learn():
    stays = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(60, 3))
        y = X.sum(axis=1) + rng.normal(size=60)  # all features alike
        stays += NadarayaWatsonRegressor("gradient").fit(X, y).shrinkage_ >= 0.1
    assert stays >= 4


def test_cross_validation_lets_go_where_a_feature_is_noise(rng):
    X = rng.uniform(size=(100, 4))
    y = np.sin(9 * X[:, 0]) + 0.1 * rng.normal(size=100)
    model = NadarayaWatsonRegressor("gradient").fit(X, y)
    assert model.shrinkage_ <= 0.03
    assert model.bandwidth_[1:].min() > 5 * model.bandwidth_[0]


def test_shrunk_metric_beats_both_ends_on_diabetes():
    """One factor is too little for these rows, and a free matrix far too much."""
    X, y = load_diabetes(return_X_y=True)
    train = np.arange(len(y)) % 3 > 0
    score = {
        shrinkage: NadarayaWatsonRegressor("gradient", bandwidth_type="full", shrinkage=shrinkage)
        .fit(X[train], y[train])
        .score(X[~train], y[~train])
        for shrinkage in (0.01, 0.1, float("inf"))
    }
    assert score[0.1] > max(score[0.01], score[float("inf")])


def test_infinite_shrinkage_is_the_search(rng):
    X, y = make(rng)
    loo, gradient = NadarayaWatsonRegressor().fit(X, y), NadarayaWatsonRegressor("gradient", shrinkage=np.inf).fit(X, y)
    assert_array_equal(gradient.bandwidth_, loo.bandwidth_)
    assert gradient.best_score_ == loo.best_score_
    assert gradient.shrinkage_ == np.inf
    full = NadarayaWatsonRegressor("gradient", bandwidth_type="full", shrinkage=np.inf).fit(X, y)
    assert_allclose(full.bandwidth_, np.diag(loo.bandwidth_), rtol=1e-14)


def test_enough_rows_are_not_shrunk(rng):
    X, y = make(rng, n=450, d=2)
    model = NadarayaWatsonRegressor("gradient").fit(X, y)
    assert model.shrinkage_ == 0
    few = NadarayaWatsonRegressor("gradient").fit(X[:9], y[:9])
    assert few.shrinkage_ == np.inf


# Features that do not matter ------------------------------------------------------------------------------------------


def test_drop_irrelevant():
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(300, 6))
    y = np.sin(6 * X[:, 0]) + 2 * X[:, 1] ** 2 + 0.2 * rng.normal(size=300)
    for shrinkage in (0.0, 0.01, "cv"):
        model = NadarayaWatsonRegressor("gradient", drop_irrelevant=True, shrinkage=shrinkage).fit(X, y)
        assert_array_equal(np.isfinite(model.bandwidth_), [True, True, False, False, False, False])
        assert_allclose(-model.best_score_, loo_error(X, y, model.bandwidth_), rtol=1e-12)
    full = NadarayaWatsonRegressor("gradient", bandwidth_type="full", drop_irrelevant=True, shrinkage=0.1).fit(X, y)
    assert_array_equal(np.isfinite(full.bandwidth_.diagonal()), [True, True, False, False, False, False])
    assert_allclose(-full.best_score_, loo_error(X, y, full.bandwidth_), rtol=1e-10)


def test_drop_irrelevant_where_nothing_may_move(rng):
    """Other features keep the bandwidth of the search, each of which is judged by the error without it."""
    X, y = make(rng, d=4)
    loo = NadarayaWatsonRegressor().fit(X, y)
    options = {"shrinkage": np.inf, "drop_irrelevant": True}
    for family in ("diag", "full"):
        h = NadarayaWatsonRegressor("gradient", bandwidth_type=family, **options).fit(X, y).bandwidth_
        h = h if family == "diag" else h.diagonal()
        stays = np.isfinite(h)
        assert 0 < stays.sum() < 4
        assert_allclose(h[stays], loo.bandwidth_[stays], rtol=1e-14)


def test_drop_irrelevant_never_drops_the_last(rng):
    X = rng.normal(size=(40, 3))
    model = NadarayaWatsonRegressor("gradient", drop_irrelevant=True, shrinkage=0).fit(
        X, X[:, 0] + 3 * rng.normal(size=40)
    )
    if np.isfinite(NadarayaWatsonRegressor().fit(X, model.y_fit_).bandwidth_).any():
        assert np.isfinite(model.bandwidth_).sum() >= 1


def test_drop_irrelevant_stays_within_the_noise_of_the_full_model(rng):
    X, y = make(rng, n=150, d=5)
    options = {"shrinkage": 0.001, "tol": 1e-6}
    full, less = (
        NadarayaWatsonRegressor("gradient", drop_irrelevant=drop, **options).fit(X, y) for drop in (False, True)
    )
    rise = (less.loo_predict() - y) ** 2 - (full.loo_predict() - y) ** 2
    assert np.isinf(less.bandwidth_).sum() > np.isinf(full.bandwidth_).sum()
    assert rise.mean() <= 2 * rise.std() / np.sqrt(150) + 1e-12


def significance(larger, smaller, y):
    """Rise of the leave-one-out error in standard errors."""
    rise = (smaller.loo_predict() - y) ** 2 - (larger.loo_predict() - y) ** 2
    return rise.mean() / (rise.std() / np.sqrt(len(y)))


@pytest.mark.parametrize("seed", [2, 7, 8])
def test_drop_irrelevant_keeps_significant_features(seed):
    """A feature whose absence costs more than one and a half standard errors, less than two."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(200, 4))
    y = np.sin(6 * X[:, 0]) + 0.25 * X[:, 1] + 0.2 * rng.normal(size=200)
    options = {"shrinkage": 0, "tol": 1e-6}
    chosen = NadarayaWatsonRegressor("gradient", drop_irrelevant=True, **options).fit(X, y)
    two, one = (NadarayaWatsonRegressor("gradient", **options).fit(X[:, :d], y) for d in (2, 1))
    cost = significance(two, one, y)
    assert cost < 2
    assert_array_equal(np.isfinite(chosen.bandwidth_), [True, cost > 1.5, False, False])


def test_drop_irrelevant_does_not_add_up(monkeypatch):
    """Five features that matter a little: each step alone may be noise, and all of them are not."""
    rng = np.random.default_rng(1)
    X = rng.uniform(size=(200, 6))
    y = np.sin(6 * X[:, 0]) + 0.25 * X[:, 1:].sum(axis=1) + 0.2 * rng.normal(size=200)
    options = {"shrinkage": 0, "tol": 1e-4}
    full, less = (
        NadarayaWatsonRegressor("gradient", drop_irrelevant=drop, **options).fit(X, y) for drop in (False, True)
    )
    assert significance(full, less, y) <= 2
    monkeypatch.setattr("sknw._bandwidth.descent.elimination._IN_ALL", np.inf)
    least = NadarayaWatsonRegressor("gradient", drop_irrelevant=True, **options).fit(X, y)
    assert significance(full, least, y) > 2


# Mini-batches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [Diagonal, Full])
def test_batches_add_up_to_the_whole(rng, family):
    X, y = make(rng, n=50)
    w = rng.uniform(0.2, 3, size=50)
    here = family(sample_of(X, y, w), np.array([0.2, 0.3, 0.5]))
    objective = Objective(here.sample, Settings("gaussian"))
    metric = here.metric(0.1 * rng.normal(size=here.size))
    whole = objective(None, here.derivatives, metric=metric)
    parts = np.array_split(rng.permutation(50), 7)
    batches = [objective.batch(metric, here.derivatives, queries) for queries in parts]
    shares = [w[queries].sum() / w.sum() for queries in parts]
    for i in range(2):
        total = sum(share * batch[i] for share, batch in zip(shares, batches, strict=True))
        assert_allclose(total, whole[i], rtol=0, atol=1e-13 * np.abs(whole[i]).max())


@pytest.mark.parametrize("family", ["diag", "full"])
@pytest.mark.parametrize("shrinkage", [0.0, 0.01])
def test_adam_ends_where_lbfgs_does(rng, family, shrinkage):
    X, y = make(rng, n=400)
    w = rng.uniform(0.5, 1, size=400)
    options = {"bandwidth_type": family, "shrinkage": shrinkage}
    lbfgs = NadarayaWatsonRegressor("gradient", **options).fit(X, y, w)
    adam, again = (
        NadarayaWatsonRegressor("gradient", solver="adam", batch_size=50, random_state=0, **options).fit(X, y, w)
        for _ in range(2)
    )
    h_loo = NadarayaWatsonRegressor().fit(X, y, w)

    def penalized(model):
        h = model.bandwidth_ if family == "diag" else None
        away = np.log(h / h_loo.bandwidth_) if shrinkage and h is not None else 0.0
        return -model.best_score_ / -h_loo.best_score_ + shrinkage * np.sum(away**2)

    assert penalized(adam) <= 1.01 * penalized(lbfgs)
    assert_array_equal(adam.bandwidth_, again.bandwidth_)
    assert adam.n_iter_ == len(adam.loss_curve_) - 1
    assert_allclose(-adam.best_score_, loo_error(X, y, adam.bandwidth_, sample_weight=w), rtol=1e-9)


def test_adam_weighs_error_and_penalty_as_lbfgs_does(rng):
    """A strong penalty decides how far a bandwidth moves: the size of the gradient, not only its direction, counts."""
    X, y = make(rng, n=200)
    w = rng.uniform(0.1, 1, size=200)
    options = {"shrinkage": 0.3, "random_state": 0, "batch_size": 40}
    lbfgs, adam = (
        NadarayaWatsonRegressor("gradient", solver=solver, **options).fit(X, y, w) for solver in ("lbfgs", "adam")
    )
    h_loo = NadarayaWatsonRegressor().fit(X, y, w).bandwidth_
    assert np.abs(np.log(lbfgs.bandwidth_ / h_loo)).max() > 0.1
    assert_allclose(np.log(adam.bandwidth_ / h_loo), np.log(lbfgs.bandwidth_ / h_loo), rtol=0, atol=0.03)


def test_adam_is_never_worse_than_the_search(rng):
    X, y = make(rng, n=60)
    model = NadarayaWatsonRegressor("gradient", solver="adam", learning_rate_init=30.0, shrinkage=0, random_state=0)
    assert model.fit(X, y).best_score_ >= NadarayaWatsonRegressor().fit(X, y).best_score_


def test_adam_searches_by_a_subsample(rng):
    """Where a pass over all pairs is dear; all that is told of the end is true of all rows."""
    X, y = make(rng, n=4200)
    adam = NadarayaWatsonRegressor("gradient", solver="adam", max_iter=3, random_state=0)
    with pytest.warns(ConvergenceWarning):
        adam.fit(X, y)
    loo = NadarayaWatsonRegressor().fit(X, y)
    # An error over 2000 rows has a standard error of some 3 %; where its minimum is, that changes less to first order.
    found = adam.cv_results_["bandwidth"][np.argmin(adam.cv_results_["criterion"])]
    assert_allclose(loo_error(X, y, found), -loo.best_score_, rtol=1e-3)
    assert_allclose(adam.loss_curve_[0], loo_error(X, y, found), rtol=1e-9)
    assert_allclose(-adam.best_score_, loo_error(X, y, adam.bandwidth_), rtol=1e-9)
    assert "bandwidths were compared by the errors of 2100 of 4200 rows" in str(adam.bandwidth_report())
    assert adam.bandwidth_report().n_evaluations > 20


def test_adam_stops_after_epochs(rng):
    X, y = make(rng, n=100)
    with pytest.warns(ConvergenceWarning, match="max_iter=2 iterations"):
        model = NadarayaWatsonRegressor("gradient", solver="adam", max_iter=2, shrinkage=0, random_state=0).fit(X, y)
    assert model.n_iter_ == 2
