"""What must not change an answer, and what must change it in a known way."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sknw import NadarayaWatsonRegressor, loo_error
from sknw._core import KERNELS
from sknw._core.every_pair import tiles as tiles_module

pytestmark = [
    pytest.mark.filterwarnings("ignore::sknw.EmptyNeighborhoodWarning"),
    pytest.mark.filterwarnings("ignore:Some sample weights are above 1"),
]

CHOICES = ["loo", "gradient", "aicc", "gcv", "scott", "silverman", 0.8]
# A chosen bandwidth is a root found to 1e-9 in its logarithm ("loo"), or the end of a descent ("gradient"), whose steps
# are the same up to rounding, which a descent may amplify.
CHOSEN = {"loo": 1e-8, "gradient": 1e-4, "aicc": 1e-8, "gcv": 1e-8, "scott": 1e-12, "silverman": 1e-12, 0.8: 1e-12}


def make(rng, n=60, d=2):
    X = rng.normal(size=(n, d))
    return X, np.sin(2 * X[:, 0]) + 0.5 * X[:, -1] + 0.2 * rng.normal(size=n)


def fit(X, y, w=None, bandwidth="loo", **options):
    return NadarayaWatsonRegressor(bandwidth, **options).fit(X, y, w)


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("bandwidth", CHOICES)
@pytest.mark.parametrize(("a", "b"), [(0, 1e-3), (5, -2), (1e4, 1e4), (0, 1e200), (0, 1e-200)])
def test_units_of_y(rng, bandwidth, a, b):
    X, y = make(rng)
    plain, moved = fit(X, y, bandwidth=bandwidth), fit(X, a + b * y, bandwidth=bandwidth)
    # The rounding of a + b y is that much of its range.
    rounding = 1e-15 * (1 + abs(a / b))
    assert_allclose(moved.bandwidth_, plain.bandwidth_, rtol=CHOSEN[bandwidth] + 1e4 * rounding)
    assert_allclose((moved.predict(X) - a) / b, plain.predict(X), rtol=0, atol=10 * CHOSEN[bandwidth] + 1e4 * rounding)


@pytest.mark.parametrize("bandwidth", CHOICES[:6])
@pytest.mark.parametrize(
    ("c", "e"), [([0, 0], [1e4, 1e-4]), ([3, -70], [1, -1]), ([1e3, 0], [2, 1e8]), ([0, 0], [1e200, 1e-200])]
)
def test_units_of_x(rng, bandwidth, c, e):
    X, y = make(rng)
    plain, moved = fit(X, y, bandwidth=bandwidth), fit(X * e + c, y, bandwidth=bandwidth)
    rounding = 1e-15 * (1 + np.abs(np.divide(c, e)).max())
    assert_allclose(moved.bandwidth_, plain.bandwidth_ * np.abs(e), rtol=CHOSEN[bandwidth] + 1e4 * rounding)
    assert_allclose(moved.predict(X * e + c), plain.predict(X), rtol=0, atol=10 * CHOSEN[bandwidth] + 1e4 * rounding)


@pytest.mark.thin
@pytest.mark.parametrize("family", ["spherical", "diag", "full"])
@pytest.mark.parametrize("unit", [1e308, 1e-160, 1e-300, 1e-310])
@pytest.mark.parametrize("kernel", ["gaussian", "exponential"])
def test_units_at_the_end_of_the_range_of_numbers(rng, family, unit, kernel):
    """No answer is lost, and no warning is raised; a subnormal number has less than fifteen digits, though."""
    X, y = rng.uniform(size=(40, 2)), rng.uniform(-1, 1, size=40)
    y[X[:, 0] > 0.5] += 2
    for bandwidth in ("loo", "gradient", "aicc"):
        if (bandwidth, family, unit) == ("gradient", "full", 1e-310):  # 1 / h is beyond the largest number
            continue
        options = {"bandwidth": bandwidth, "bandwidth_type": family, "kernel": kernel, "shrinkage": 0.1}
        plain, moved = fit(X, y, **options), fit(unit * X, 2.5e307 * y, **options)
        digits = 1e-12 if unit == 1e-310 else 1e-15
        assert_allclose(moved.predict(unit * X) / 2.5e307, plain.predict(X), rtol=0, atol=1e-3 + 1e4 * digits)
        assert_allclose(moved.bandwidth_report().loo_r2, plain.bandwidth_report().loo_r2, rtol=1e-4)


@pytest.mark.parametrize("bandwidth", ["loo", "gradient", 0.8])
def test_rotations(rng, bandwidth):
    X, y = make(rng, d=3)
    Q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    plain = fit(X, y, bandwidth=bandwidth, bandwidth_type="spherical")
    turned = fit(X @ Q, y, bandwidth=bandwidth, bandwidth_type="spherical")
    assert_allclose(turned.bandwidth_, plain.bandwidth_, rtol=1e-8)
    assert_allclose(turned.predict(X @ Q), plain.predict(X), rtol=0, atol=1e-7)


@pytest.mark.parametrize("kernel", KERNELS)
def test_scaling_by_powers_of_two_is_exact(rng, kernel):
    X, y = make(rng)
    for a, b in ((4.0, 0.5), (2.0**-300, 2.0**200)):
        plain, moved = (fit(f * X, t * y, bandwidth=0.5 * f, kernel=kernel) for f, t in ((1.0, 1.0), (a, b)))
        Xq = X[:20] + 0.125
        assert_array_equal(moved.predict(a * Xq), b * plain.predict(Xq))
        assert_array_equal(moved.loo_predict(), b * plain.loo_predict())
        assert_array_equal(moved.attention_weights(a * Xq), plain.attention_weights(Xq))


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("bandwidth", CHOICES)
@pytest.mark.parametrize("kernel", ["gaussian", "epanechnikov"])
def test_order_of_rows_and_columns(rng, bandwidth, kernel):
    X, y = make(rng)
    w = rng.integers(1, 4, size=60).astype(float)
    rows, columns = rng.permutation(60), [1, 0]
    plain = fit(X, y, w, bandwidth=bandwidth, kernel=kernel)
    moved = fit(X[rows][:, columns], y[rows], w[rows], bandwidth=bandwidth, kernel=kernel)
    assert_allclose(moved.bandwidth_, plain.bandwidth_[columns], rtol=CHOSEN[bandwidth])
    assert_allclose(moved.predict(X[:, columns]), plain.predict(X), rtol=0, atol=10 * CHOSEN[bandwidth])


@pytest.mark.thin
@pytest.mark.parametrize("bandwidth", [*CHOICES, np.inf])
@pytest.mark.parametrize("kernel", ["gaussian", "exponential", "biweight"])
@pytest.mark.parametrize("empty", ["nearest", "mean"])
def test_weights_are_repeated_rows(rng, bandwidth, kernel, empty):
    if bandwidth == "gradient" and kernel == "biweight":
        kernel = (
            "gaussian"  # where a window becomes empty the error jumps, and a descent that meets a jump may go anywhere
        )
    X, y = make(rng)
    w = rng.integers(0, 4, size=60)
    weighted = fit(X, y, w, bandwidth=bandwidth, kernel=kernel, empty=empty)
    repeated = fit(np.repeat(X, w, axis=0), np.repeat(y, w), bandwidth=bandwidth, kernel=kernel, empty=empty)
    tolerance = CHOSEN.get(bandwidth, 1e-12)
    if bandwidth == "loo":
        # Rows that coincide may put the minimum at the end of a plateau, where the error is 1e-12 above its level:
        # known to 1e-16 / 1e-12 of that rise, which is no steeper than a factor e in 1 % of the bandwidth.
        tolerance = 1e-5
    if bandwidth in ("aicc", "gcv"):
        # Rows that repeat each other are fitted without error by narrow windows: the end of a plateau whose level is
        # the square of rounding, 1e-28 of the variance, and may be twice that.
        tolerance = 1e-2
    assert_allclose(weighted.bandwidth_, repeated.bandwidth_, rtol=tolerance)
    assert_allclose(weighted.predict(X), repeated.predict(X), rtol=0, atol=10 * tolerance)
    # Repeated rows that coincide are alike, so any of them stands for the row.
    first = np.cumsum(w) - w
    there = w > 0
    assert_allclose(weighted.loo_predict()[there], repeated.loo_predict()[first[there]], rtol=0, atol=10 * tolerance)
    if bandwidth in ("loo", "gradient"):
        # A descent ends where the slope is below tol = 1e-5 of the error of "loo", a few times this one, in log h:
        # along a valley as flat as that, errors at places of the same order of magnitude may differ by as much.
        assert_allclose(weighted.best_score_, repeated.best_score_, rtol=1e-9 if bandwidth == "loo" else 3e-5)


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("kernel", [name for name in KERNELS if name != "tophat"])
@pytest.mark.parametrize("empty", ["nearest", "mean"])
def test_the_criterion_of_weights_is_that_of_repeated_rows(rng, kernel, empty):
    X, y = make(rng)
    w = rng.integers(0, 4, size=60)
    for h in ([0.1, 0.3], [1.0, 2.0]):
        options = {"kernel": kernel, "empty": empty, "return_gradient": True}
        weighted = loo_error(X, y, h, sample_weight=w, **options)
        repeated = loo_error(np.repeat(X, w, axis=0), np.repeat(y, w), h, **options)
        # Sums of up to 180 terms, in another order, of residuals within the range of y, 5; the gradient divides by
        # windows that hold little more than nothing.
        assert_allclose(weighted[0], repeated[0], rtol=1e-12)
        assert_allclose(weighted[1], repeated[1], rtol=0, atol=1e-9 * max(1, np.abs(repeated[1]).max()))


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("bandwidth", [*CHOICES, np.inf])
@pytest.mark.parametrize("kernel", ["gaussian", "linear"])
def test_a_row_of_weight_zero_is_not_there(rng, bandwidth, kernel):
    X, y = make(rng)
    w = rng.uniform(0.2, 3, size=60) * (rng.uniform(size=60) < 0.7)
    there = w > 0
    with_zeros = fit(X, y, w, bandwidth=bandwidth, kernel=kernel)
    without = fit(X[there], y[there], w[there], bandwidth=bandwidth, kernel=kernel)
    assert_array_equal(with_zeros.bandwidth_, without.bandwidth_)
    assert_array_equal(with_zeros.predict(X), without.predict(X))
    assert_array_equal(with_zeros.loo_predict()[there], without.loo_predict())
    # Nothing has to be left out for a row that is not there.
    assert_array_equal(with_zeros.loo_predict()[~there], without.predict(X[~there]))
    assert_array_equal(with_zeros.attention_weights()[np.ix_(there, there)], without.attention_weights())
    assert_array_equal(with_zeros.X_fit_, X)


@pytest.mark.parametrize("bandwidth", ["loo", "gradient", 0.8])
def test_scale_of_weights_below_one_does_not_matter(rng, bandwidth):
    X, y = make(rng)
    w = rng.uniform(0.1, 1, size=60)
    plain = fit(X, y, w, bandwidth=bandwidth)
    for scale, exact in ((0.5, True), (0.3, False), (2.0**-200, True), (1e-200, False)):
        scaled = fit(X, y, scale * w, bandwidth=bandwidth)
        tolerance = 0 if exact else CHOSEN[bandwidth]
        assert_allclose(scaled.bandwidth_, plain.bandwidth_, rtol=tolerance)
        assert_allclose(scaled.predict(X), plain.predict(X), rtol=0, atol=10 * tolerance)


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("n", [12, 20, 28, 40])
@pytest.mark.parametrize("scale", [0.1, 0.2, 0.3, 0.6, 0.7])
def test_scale_of_weights_where_a_quartile_is_a_tie(rng, n, scale):
    """Cumulated weights that are rounded must not decide which row a quartile is."""
    X, y = make(rng, n=n)
    plain, scaled = fit(X, y, np.ones(n)), fit(X, y, np.full(n, scale))
    assert_allclose(scaled.bandwidth_, plain.bandwidth_, rtol=1e-8)


@pytest.mark.parametrize("bandwidth", [0.3, [0.2, np.inf], "loo"])
@pytest.mark.parametrize("kernel", ["gaussian", "cosine"])
def test_a_batch_is_predicted_as_row_by_row(rng, bandwidth, kernel):
    X, y = make(rng, n=700)
    model = fit(X[:600], y[:600], bandwidth=bandwidth, kernel=kernel, algorithm="dense")
    together = model.predict(X)
    assert_array_equal([model.predict(x[None])[0] for x in X], together)
    assert_array_equal(np.concatenate([model.predict(part) for part in np.array_split(X, 7)]), together)
    # Another number of queries may mean another algorithm, and each may be off by rtol.
    model.algorithm = "auto"
    assert_allclose(model.predict(X), together, rtol=0, atol=2e-10 * np.ptp(y))


def test_a_batch_in_whitened_coordinates(rng):
    X, y = make(rng, n=80, d=3)
    A = rng.normal(size=(3, 3))
    model = fit(X, y, bandwidth=A @ A.T + np.eye(3), bandwidth_type="full")
    assert_array_equal([model.predict(x[None])[0] for x in X], model.predict(X))


@pytest.mark.parametrize("bandwidth", ["loo", "gradient", 0.3])
def test_threads_do_not_change_a_bit(rng, bandwidth, monkeypatch):
    monkeypatch.setattr(tiles_module, "_WORK_PER_BLOCK", 1)  # blocks of 64 queries
    X, y = make(rng, n=300)
    models = [fit(X, y, bandwidth=bandwidth, n_jobs=n_jobs) for n_jobs in (1, 2, 5)]
    for model in models[1:]:
        assert_array_equal(model.bandwidth_, models[0].bandwidth_)
        assert_array_equal(model.predict(X), models[0].predict(X))
        assert_array_equal(model.attention_weights(X), models[0].attention_weights(X))


@pytest.mark.parametrize("kernel", KERNELS)
def test_predictions_stay_among_the_targets(rng, kernel):
    X, y = make(rng)
    for h in (1e-3, 0.3, 1e3):
        predictions = fit(X, y, bandwidth=h, kernel=kernel).predict(3 * rng.normal(size=(50, 2)))
        assert predictions.min() >= y.min() - 1e-14
        assert predictions.max() <= y.max() + 1e-14


@pytest.mark.parametrize("kernel", KERNELS)
def test_limits_of_the_bandwidth(rng, kernel):
    X, y = make(rng)
    wide = fit(X, y, bandwidth=1e9, kernel=kernel).predict(X)
    # exp(-u) and 1 - u differ from 1 by their first power, the others by its square or less.
    assert_allclose(wide, y.mean(), rtol=0, atol=1e-7)
    narrow = fit(X, y, bandwidth=1e-9, kernel=kernel)
    assert_allclose(narrow.predict(X), y, rtol=0, atol=1e-14)
    nearest = [y[np.argmin(np.where(np.arange(60) == i, np.inf, ((X - x) ** 2).sum(axis=1)))] for i, x in enumerate(X)]
    assert_allclose(narrow.loo_predict(), nearest, rtol=0, atol=1e-14)


def test_criterion_is_quadratic_in_y(rng):
    X, y = make(rng)
    assert_allclose(loo_error(X, 3 * y - 8, 0.5), 9 * loo_error(X, y, 0.5), rtol=1e-12)
    # The mean over outputs, none of which is rescaled.
    both = loo_error(X, np.column_stack([y, 100 * y]), 0.5)
    assert_allclose(both, (1 + 1e4) / 2 * loo_error(X, y, 0.5), rtol=1e-12)
