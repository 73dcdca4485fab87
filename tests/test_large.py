"""Many rows: searches that look roughly first, memory, and the same bandwidth as every pair gives."""

import math
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.polynomial import Polynomial
from numpy.testing import assert_allclose

from sknw import NadarayaWatsonRegressor, loo_error
from sknw._bandwidth import objective as selection_module
from sknw._bandwidth import screen as screen_module
from sknw._bandwidth.rules import reference
from sknw._bandwidth.search import curve as curve_module
from sknw._bandwidth.search import grid as grid_module
from sknw._bandwidth.search import refine as refine_module
from sknw._bandwidth.search import search as search_module
from sknw._core.within_reach import leave_one_out as neighbors_module
from sknw._smoothing.sample import Sample


def make_data(rng, n, d):
    X = rng.normal(size=(n, d))
    return X, np.sin(3 * X[:, 0]) + 0.3 * rng.normal(size=n)


@pytest.mark.thin
@pytest.mark.parametrize(
    ("algorithm", "kernel", "d"),
    [
        ("fast_gauss", "gaussian", 1),
        ("fast_gauss", "gaussian", 2),
        ("window", "gaussian", 2),
        ("window", "exponential", 1),
        ("window", "epanechnikov", 2),
        ("sliding", "exponential", 1),
        ("sliding", "triweight", 1),
        ("sliding", "cosine", 1),
        ("sliding", "tophat", 1),
    ],
)
@pytest.mark.parametrize("sampled", [False, True])
def test_same_bandwidth_as_every_pair(rng, algorithm, kernel, d, sampled, monkeypatch):
    """To 1e-4, and the same criterion to 1e-6 of what is gained over the global mean."""
    X, y = make_data(rng, 1200, d)
    if sampled:  # as if there were very many rows
        for module in (grid_module, selection_module, screen_module):
            monkeypatch.setattr(module, "ENOUGH", 400)
    fast = NadarayaWatsonRegressor(kernel=kernel, algorithm=algorithm).fit(X, y)
    monkeypatch.undo()
    exact = NadarayaWatsonRegressor(kernel=kernel, algorithm="dense").fit(X, y)
    gain = loo_error(X, y, math.inf) + exact.best_score_
    # In one feature all rows are looked at, however many they are, in a time in proportion to them.
    linear = d == 1 and algorithm != "window"
    assert ("there may be a lower minimum" in str(fast.bandwidth_report())) == (sampled and not linear)
    if sampled:  # of the others kinks are not all seen; it must not be noticeably worse
        tolerance = 1e-6 if linear or kernel == "gaussian" else 1e-3
        assert exact.best_score_ - fast.best_score_ <= tolerance * gain
    else:
        assert_allclose(fast.bandwidth_, exact.bandwidth_, rtol=1e-4)
        assert_allclose(fast.best_score_, exact.best_score_, rtol=0, atol=1e-6 * gain)
    # Whatever was looked at roughly, the criterion that is reported is that of all rows.
    there = loo_error(X, y, fast.bandwidth_, kernel=kernel)
    assert_allclose(-fast.best_score_, there, rtol=0, atol=1e-9 * gain)


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("criterion", ["aicc", "gcv"])
def test_same_bandwidth_of_penalized_fits_as_every_pair(rng, criterion, d):
    X, y = make_data(rng, 1500, d)
    fast, exact = (NadarayaWatsonRegressor(criterion, algorithm=a).fit(X, y) for a in ("fast_gauss", "dense"))
    assert_allclose(fast.bandwidth_, exact.bandwidth_, rtol=1e-4)
    # Of what there is to gain over the global mean, in the logarithm for AICc.
    gain = exact.cv_results_["criterion"][-1] + exact.best_score_
    assert gain > 0
    assert_allclose(fast.best_score_, exact.best_score_, rtol=0, atol=1e-6 * gain)


def test_a_wave_that_few_rows_do_not_show(rng):
    """2000 periods over 100,000 rows: any 5000 of them look like noise."""
    x = rng.uniform(size=(100_000, 1))
    y = np.sin(2 * np.pi * 2000 * x[:, 0]) + 0.1 * rng.normal(size=100_000)
    model = NadarayaWatsonRegressor().fit(x, y)
    # A period is 5e-4 wide and holds 50 rows: a window must be much narrower than that.
    assert model.bandwidth_[0] < 1e-4
    assert -model.best_score_ < 0.1 * y.var()


@pytest.mark.parametrize("n_equal", [0, 3, 3000])
def test_empty_windows_beside_equal_rows(rng, n_equal, monkeypatch):
    """Those have each other at any bandwidth: that they are many must not be paid for by each of them."""
    x = np.concatenate([np.zeros(n_equal), 1.0 + rng.permutation(5000 - n_equal)])[:, None]
    y, visited, inner = rng.normal(size=5000), [], neighbors_module.leave_one_out_sums

    def count(setting, rows, first, last, **options):
        visited.append((setting.kernel, last - first))
        return inner(setting, rows, first, last, **options)

    monkeypatch.setattr(neighbors_module, "leave_one_out_sums", count)
    fast = loo_error(x, y, 0.5, kernel="epanechnikov")
    nearest = [m for kernel, m in visited if kernel == "nearest"]
    assert nearest == ([5000 - n_equal] if n_equal > 500 else [5000])
    assert_allclose(fast, loo_error(x, y, 0.5, kernel="epanechnikov", algorithm="dense"), rtol=1e-10)


def test_memory_grows_with_the_rows_only(rng):
    n = 80_000
    X, y = make_data(rng, n, 2)
    model = NadarayaWatsonRegressor(0.1).fit(X, y)
    model.loo_predict()  # compiled
    tracemalloc.start()
    model.fit(X, y).loo_predict()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert model.algorithm_ == "fast_gauss"
    # Some hundred numbers per row, for two features, coefficients and all; one line of all pairs has n.
    assert peak < 1000 * n


def test_one_row_far_out_costs_cells_no_more(rng):
    """Gaps between cells are shortened, and cells are not listed where nobody is."""
    X, y = make_data(rng, 30_000, 1)
    X[7] = 1e9
    model = NadarayaWatsonRegressor(0.1).fit(X, y)
    assert model.algorithm_ == "fast_gauss"
    exact = NadarayaWatsonRegressor(0.1, algorithm="dense").fit(X, y)
    assert_allclose(model.predict(X[:50]), exact.predict(X[:50]), rtol=0, atol=1e-10 * np.ptp(y))


def test_numbers_of_any_size(rng):
    """Where cells, or distances, overflow."""
    x, y = rng.uniform(size=(700, 1)), rng.normal(size=700)
    queries = x.copy()
    queries[0] = 1.7e308
    for h, scale in ((0.1, 1.0), (1e308, 1.0), (1e-300, 1e10)):
        models = [NadarayaWatsonRegressor(h, algorithm=a).fit(scale * x, y) for a in ("auto", "dense")]
        assert_allclose(*(model.predict(queries) for model in models), rtol=0, atol=1e-10 * np.ptp(y))
        assert_allclose(*(model.loo_predict() for model in models), rtol=0, atol=1e-10 * np.ptp(y))


def test_rows_of_weight_zero_are_predicted_by_windows(rng):
    x, y = rng.permutation(300).astype(float)[:, None], rng.normal(size=300)
    w = (np.arange(300) % 3 > 0).astype(float)
    for kernel in ("gaussian", "epanechnikov"):
        models = [NadarayaWatsonRegressor(4.5, kernel=kernel, algorithm=a).fit(x, y, w) for a in ("window", "dense")]
        assert_allclose(*(model.loo_predict() for model in models), rtol=0, atol=1e-10 * np.ptp(y))


@pytest.mark.parametrize("d", [3, 6, 12])
@pytest.mark.parametrize("kernel", ["gaussian", "tophat"])
def test_grid_is_fine_where_windows_hold_some_rows(rng, d, kernel, monkeypatch):
    """In more features, too, where the nearest row is not near."""
    monkeypatch.setattr(grid_module, "ENOUGH", 400)
    sample = Sample.of(*make_data(rng, 900, d)[:1], rng.normal(size=(900, 1)), np.ones(900))
    shape = reference(sample, "diag")
    grid = grid_module.grid(sample, shape, kernel, kernel == "gaussian")
    main = [t for t in grid if math.log(0.3) < t < math.log(4)]
    assert max(np.diff(main)) <= math.log(2) + 1e-9
    assert len(main) >= 3


@pytest.mark.parametrize("d", [1, 2])
def test_grid_of_very_many_rows(rng, d, monkeypatch):
    """In one feature windows that are much narrower than the data are two octaves apart, wider ones always one."""
    monkeypatch.setattr(grid_module, "ENOUGH", 1000)
    n = 2500
    sample = Sample.of(*make_data(rng, n, d)[:1], rng.normal(size=(n, 1)), np.ones(n))
    shape, middle = reference(sample, "diag"), -math.log(n) / (4 + d)
    grid = grid_module.grid(sample, shape, "epanechnikov", True)
    wide = np.diff([t for t in grid[:-1] if t > middle])  # the last is apart
    narrow = np.diff([t for t in grid if middle - 4 < t < middle])
    assert len(wide) > 2
    assert_allclose(wide, math.log(2), rtol=1e-9)
    assert len(narrow) > 1
    assert_allclose(narrow, math.log(4 if d == 1 else 2), rtol=1e-9)
    if d == 1:  # that of a kernel whose criterion has steps is left as it is
        steps = np.diff(grid_module.grid(sample, shape, "tophat", False))
        assert_allclose(steps[(steps < 0.5)], math.log(2) / 8, rtol=1e-9)


@pytest.mark.parametrize("kinks", [False, True])
def test_share_of_the_interpolation_error_in_halves(kinks):
    """A smooth curve leaves little of it in half the length; one with corners a half, of which more is taken."""

    def curve(t):
        return (abs(t - 0.2), np.sign(t - 0.2)) if kinks else (np.exp(t), np.exp(t))

    points = [curve_module.Point(t, *curve(t)) for t in np.arange(-3.5, 3.6, 0.7)]
    rng = np.random.default_rng(0)
    options = {"has_many_rows": True, "sample": SimpleNamespace(X=np.sort(rng.uniform(size=(5000, 1)), axis=0))}
    shares = search_module._shares_left(SimpleNamespace(analytic=False, objective=SimpleNamespace(**options)), points)
    assert_allclose(shares[[0, 1, -2, -1]], 1.0)
    if kinks:
        assert max(shares[4:7]) > 0.5
    else:
        assert max(shares[2:-2]) == 0.125
    for other in ({"has_many_rows": False}, {"sample": SimpleNamespace(X=np.arange(5000.0)[:, None])}):
        objective = SimpleNamespace(**options | other)
        assert (search_module._shares_left(SimpleNamespace(analytic=False, objective=objective), points) == 1.0).all()


def test_rows_that_lie_unevenly(rng):
    n = 20_000
    lattice, even = np.arange(float(n)), rng.uniform(size=n)
    for x in (even, rng.standard_cauchy(n), np.exp(5 * rng.normal(size=n)), np.where(even < 0.5, even, even * 1e-6)):
        assert grid_module.lies_unevenly(Sample.of(x[:, None], x[:, None], np.ones(n)))
    for x in (lattice, lattice + 0.03 * even, np.round(even, 4), np.where(even < 0.5, lattice, n * (1 + even))):
        assert not grid_module.lies_unevenly(Sample.of(x[:, None], x[:, None], np.ones(n)))


@pytest.mark.parametrize(("kernel", "criterion"), [("gaussian", "gcv"), ("gaussian", "aicc"), ("exponential", "loo")])
def test_kernels_without_an_edge_are_searched_to_five_digits(rng, kernel, criterion, monkeypatch):
    """Of very many rows, too: their errors have no kinks that would be in the way."""
    X, y = make_data(rng, 4000, 1)
    few = NadarayaWatsonRegressor(criterion, kernel=kernel).fit(X, y)
    monkeypatch.setattr(grid_module, "ENOUGH", 1500)
    monkeypatch.setattr(selection_module, "ENOUGH", 1500)
    many = NadarayaWatsonRegressor(criterion, kernel=kernel).fit(X, y)
    assert_allclose(many.bandwidth_, few.bandwidth_, rtol=2e-5)


def test_a_pattern_on_a_lattice():
    """Windows reach two more rows at every whole bandwidth: the error has corners there, and minima between them."""
    n = 100_000
    i = np.arange(n)
    pattern = np.array([-1.52, -0.364, -0.314, 0.419, 0.861, 1.125, -1.598])
    y = 0.1 * pattern[i % 7] + np.sin(2 * np.pi * i / 765) + 0.165 * np.random.default_rng(0).normal(size=n)
    X = i[:, None].astype(float)
    model = NadarayaWatsonRegressor(kernel="epanechnikov").fit(X, y)
    others = [loo_error(X, y, h, kernel="epanechnikov") for h in np.arange(30.0, 70.0)]
    gain = loo_error(X, y, math.inf) - min(others)
    assert -model.best_score_ <= min(others) + 1e-6 * gain


def test_grid_covers_a_minority_that_is_much_denser(rng, monkeypatch):
    """No steps of more than two octaves as long as one row in a hundred sees anybody: a minimum may be there."""
    monkeypatch.setattr(grid_module, "ENOUGH", 1000)
    x = np.concatenate([rng.uniform(size=2800), 2 + 2.0**-30 * rng.uniform(size=200)])
    sample = Sample.of(x[:, None], rng.normal(size=(3000, 1)), np.ones(3000))
    for kernel in ("gaussian", "biweight"):
        grid = grid_module.grid(sample, np.ones(1), kernel, True)
        # The nearest of 200 others is about so near.
        narrow = [t for t in grid[:-1] if math.log(2.0**-30 / 200 / 4) < t]
        assert narrow[0] < math.log(2.0**-30 / 200)
        assert max(np.diff(narrow)) <= 2 * math.log(2) + 1e-9
        steps = np.diff(grid[: grid.index(narrow[0])])
        assert len(steps) == 0 or max(steps) > 2 * math.log(2) - 1e-9


def test_algorithm_is_reported_and_can_be_asked_for(rng):
    X, y = make_data(rng, 40_000, 1)
    assert NadarayaWatsonRegressor(0.1).fit(X, y).algorithm_ == "fast_gauss"
    assert NadarayaWatsonRegressor(0.1, kernel="linear").fit(X, y).algorithm_ == "segments"
    assert NadarayaWatsonRegressor(0.1, kernel="cosine").fit(X, y).algorithm_ == "sliding"
    assert NadarayaWatsonRegressor().fit(X, y).algorithm_ == "nodes"
    assert NadarayaWatsonRegressor(0.1, rtol=0).fit(X, y).algorithm_ in ("window", "dense")
    assert NadarayaWatsonRegressor(0.1, algorithm="dense").fit(X, y).algorithm_ == "dense"
    assert NadarayaWatsonRegressor(math.inf).fit(X, y).algorithm_ == "mean"
    with pytest.raises(ValueError, match="algorithm='sliding' needs a single feature"):
        NadarayaWatsonRegressor(0.1, algorithm="sliding").fit(X, y)
    with pytest.raises(ValueError, match="'rtol' parameter"):
        NadarayaWatsonRegressor(0.1, rtol=-1.0).fit(X, y)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_full_matrix_is_whitened_first(rng, d):
    X, y = make_data(rng, 3000, d)
    A = rng.normal(size=(d, d))
    H = 0.1 * (A @ A.T + np.eye(d))
    models = [NadarayaWatsonRegressor(H, bandwidth_type="full", algorithm=a).fit(X, y) for a in ("fast_gauss", "dense")]
    Xq = rng.normal(size=(500, d))
    fast, exact = (model.predict(Xq) for model in models)
    # Rounding of coordinates is in proportion to the condition number of H, below 1e3 here.
    assert_allclose(fast, exact, rtol=0, atol=2e-10 * np.ptp(y))


class Fake:
    """A criterion on the logarithm of the bandwidth whose slope is known, which remembers its points."""

    def __init__(self, criterion):
        self.criterion, self.points = criterion, {}

    def __call__(self, t):
        return self.points.setdefault(t, curve_module.Point(t, *self.criterion(t)))


def test_a_shoulder_is_no_minimum(rng):
    """Where the slope nearly vanishes, what is left to gain may be beyond."""
    losses, evaluations = [], []
    for _ in range(500):
        lowest, shoulder = rng.uniform(0.05, 0.65, size=2)
        slope = Polynomial([-lowest, 1]) * (Polynomial([-shoulder, 1]) ** 2 + 10.0 ** rng.uniform(-14, -1))
        criterion = slope.integ()
        curve = Fake(lambda t, c=criterion, s=slope, t_0=lowest: (1 + c(t) - c(t_0), s(t)))
        a, b = curve(0.0), curve(math.log(2))
        gain = max(a.value, b.value) - 1
        refine_module._find_root(curve, a, b, 1e-4, 1e-9 * gain)
        losses.append((min(point.value for point in curve.points.values()) - 1) / gain)
        evaluations.append(len(curve.points))
    # What a cubic through both ends of a hundredth cannot tell, of terms of the sixth power of log 2 and below.
    assert max(losses) < 1e-6
    assert np.mean(evaluations) < 10


def test_kinks_are_not_refined():
    """A parabola whose slope jumps up and down, by as much as it changes in a thousandth: three points or four."""
    curve = Fake(lambda t: (1 + (t - 0.3) ** 2, 2 * (t - 0.3) + 2e-3 * math.sin(1e5 * t)))
    a, b = curve(0.2), curve(0.45)
    refine_module._find_root(curve, a, b, 1e-4, 1e-5)
    assert len(curve.points) <= 4
    assert min(point.value for point in curve.points.values()) < 1 + 1e-5
    thorough = Fake(curve.criterion)
    refine_module._find_root(thorough, a, b, 1e-4, 0.0)
    assert len(thorough.points) > 6
