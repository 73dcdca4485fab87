"""The leave-one-out error by cells, beside that of each row."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sknw import NadarayaWatsonRegressor, loo_error
from sknw._core import Wanted
from sknw._core.cells.chebyshev import Nodes
from sknw._core.cells.chebyshev_grid import N_NODES, NODES
from sknw._core.cells.node_fields import by_cell, last_coefficients
from sknw._criteria import by_nodes as node_errors
from sknw._criteria.by_nodes import Prepared
from sknw._criteria.leave_one_out import engine_of, leave_one_out, problems_of
from sknw._criteria.problem import Settings
from sknw._smoothing.metric import Metric
from sknw._smoothing.sample import Sample

EXACT = Settings("gaussian", algorithm="dense", n_threads=2)


def fast(rtol):
    """Settings for which moments apply."""
    return Settings("gaussian", rtol=rtol, n_threads=2)


class Moments:
    """Moments that are there whatever the settings."""

    def __init__(self, nodes):
        self._nodes = nodes

    def nodes(self, metric, rtol):
        return self._nodes


def loo(sample, metric, settings, nodes=None, wanted=Wanted.VALUE):
    """Value and gradient of the leave-one-out error."""
    prepared = None if nodes is None else Moments(nodes)
    [errors] = leave_one_out(sample, [metric], settings, wanted=wanted, prepared=prepared)
    return errors.mean, errors.gradient


def problem_at(sample, metric, rtol, nodes, wanted=Wanted.VALUE):
    """The problem of all rows."""
    [problem] = problems_of(sample, [metric], fast(rtol), wanted=wanted, prepared=Moments(nodes))
    return problem


@pytest.fixture(autouse=True)
def few_rows(monkeypatch):
    """What is for very many rows, on as many as every pair can be visited of."""
    monkeypatch.setattr("sknw._core.cells.chebyshev._FEWEST_ROWS", 100)


def design(rng, name, n, d):
    return {
        "uniform": lambda: rng.uniform(size=(n, d)),
        "normal": lambda: rng.normal(size=(n, d)),
        "clusters": lambda: np.repeat(rng.uniform(size=(5, d)), n // 5, axis=0) + 0.02 * rng.normal(size=(n, d)),
        "rounded": lambda: np.round(rng.uniform(size=(n, d)), 2),
        "one far out": lambda: np.vstack([rng.uniform(size=(n - 1, d)), np.full((1, d), 4.0)]),
    }[name]()


def make_sample(rng, X, p=1, w=None):
    y = np.sin(7 * X.sum(axis=1))[:, None] * np.arange(1, p + 1) + 0.3 * rng.normal(size=(len(X), p))
    return Sample.of(X, y, np.ones(len(X)) if w is None else w)


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("name", ["uniform", "normal", "clusters", "rounded", "one far out"])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_errors_equal_those_of_all_pairs(rng, d, name):
    """As far as cells tell, and with the rest one by one; with weights and two outputs."""
    n, rtols = 2000, (1e-6, 1e-10, 1e-12)
    sample = make_sample(rng, design(rng, name, n, d), 2, rng.integers(1, 4, size=n).astype(float))
    for share in (0.05, 0.1, 0.2, 0.5, 1.0, 3.0, 30.0):
        metric = Metric.of(share * np.linspace(0.8, 1.2, d), sample.X)
        nodes = Nodes.of(metric.rows(sample), n_threads=2)
        for derivatives in (Wanted.VALUE, Wanted.SCALE, Wanted.FEATURES):
            problems = [problem_at(sample, metric, rtol, nodes, derivatives) for rtol in rtols]
            known = [
                node_errors.plan(problem) is not None and node_errors.errors(problem).weight > 0 for problem in problems
            ]
            if not any(known):
                continue
            exact, exact_slope = loo(sample, metric, EXACT, wanted=derivatives)
            for rtol in (rtol for rtol, is_known in zip(rtols, known, strict=True) if is_known):
                value, slope = loo(sample, metric, fast(rtol), nodes, derivatives)
                # Predictions may be wrong by rtol R, R < 2 in these units, and errors are the root of the criterion in
                # mean; derivatives a hundred times as much. Sums of n terms have some hundred eps.
                atol = 4 * rtol * np.sqrt(exact) + 1e-13 * exact
                assert abs(value - exact) <= atol
                assert (np.abs(slope - exact_slope) <= 100 * atol).all()
    assert all(known)  # with the widest


def test_outliers_of_y_do_not_hide_other_rows(rng):
    """A heavy tail, an outlier of y, and digits that an offset takes: nothing that is added up hides a row."""
    X = rng.uniform(size=(4000, 1))
    sample = make_sample(rng, X)
    for y in (rng.standard_t(1.5, size=4000), np.where(np.arange(4000) == 7, 1e6, X[:, 0]), 1e8 + X[:, 0]):
        sample = Sample.of(X, y[:, None], np.ones(4000))
        for h in (0.02, 0.1, 1.0):
            metric = Metric.of(h, sample.X)
            nodes = Nodes.of(metric.rows(sample))
            value = loo(sample, metric, fast(1e-10), nodes)[0]
            exact = loo(sample, metric, EXACT)[0]
            assert abs(value - exact) <= 4e-10 * np.sqrt(exact) + 1e-13 * exact
            assert exact > 0


def test_hardly_any_noise(rng):
    """Where little is left of the squares, rows are looked at one by one rather than by sums without digits."""
    X = rng.uniform(size=(3000, 1))
    for noise in (1e-3, 1e-6, 0.0):
        sample = Sample.of(X, X + noise * rng.normal(size=X.shape), np.ones(3000))
        metric = Metric.of(0.02, sample.X)
        nodes = Nodes.of(metric.rows(sample))
        for rtol in (1e-6, 1e-12):
            value = loo(sample, metric, fast(rtol), nodes)[0]
            exact = loo(sample, metric, EXACT)[0]
            assert abs(value - exact) <= 4 * rtol * np.sqrt(exact) + 1e-13 * exact


def test_bound_of_the_interpolation_error(rng):
    """All three functions count, each with the moments that it is multiplied by."""
    A, S = rng.uniform(1, 2, size=(3, 4 * N_NODES)), np.ones((2, 4 * N_NODES))
    S[0, :] = 5 + np.abs(np.tile(NODES, 4)) * np.repeat([0, 1, 0, 1], N_NODES)  # kinks of the mass
    S[1, :] = S[0] * (0.1 + np.abs(np.tile(NODES, 4)) * np.repeat([0, 0, 1, 1], N_NODES))  # and of the average
    rest, m = S[0] - 1, S[1] / S[0]
    G = (S[0] / rest) ** 2
    _, wrong = node_errors._value(A, S, [], rest)
    W, _, W_2 = (by_cell(a) for a in A)
    expected = last_coefficients(G) * W_2 + 2 * last_coefficients(G * m) * np.sqrt(W * W_2)
    expected += last_coefficients(G * m * m) * W
    assert_allclose(wrong, expected, rtol=1e-12, atol=1e-14)
    assert (wrong[1:] > 1e-3).all()
    assert wrong[0] < 1e-12


def test_uncertain_cells_do_not_raise_the_tolerance(rng, monkeypatch):
    """What may be wrong is a share of what is known of the criterion for certain."""
    sample, rtol = make_sample(rng, rng.uniform(size=(3000, 1))), 1e-8
    metric = Metric.of(0.1, sample.X)
    nodes = Nodes.of(metric.rows(sample), sizes=np.array([0.1]))
    n_cells, total = int(nodes.grid.counts[0]), sample.w.sum()
    value, wrong = np.full((1, n_cells), 1e-4), np.zeros(n_cells)
    value[0, 2] = wrong[2] = 1e9
    known = 1e-4 * (n_cells - 1)
    weight = by_cell(nodes.moments([0])[0])
    for factor, is_left in ((0.99, False), (1.01, True)):
        wrong[5] = factor * rtol * np.sqrt(total * known) * weight[5] / total
        monkeypatch.setattr(node_errors, "_value", lambda *args: (value, wrong))
        rest = node_errors._errors_at(nodes, metric.g, [0], Wanted.VALUE, rtol).uncertain
        cells = set(((sample.X[rest, 0] - nodes.grid.low[0]) // nodes.grid.sizes[0]).astype(int).tolist())
        assert cells == ({2, 5} if is_left else {2})


def test_tiny_ranges(rng):
    """Cells whose width, in bandwidths, is no number."""
    U = rng.uniform(size=(4096, 2))
    y = np.sin(5 * U[:, 1]) + 0.3 * rng.normal(size=4096)
    for scale, h in ((1e-290, 1e40), (1e-300, 1e10), (1e300, 1e70), (1e-140, 1e100)):
        assert_allclose(loo_error(U * scale, y, h), loo_error(U * scale, y, h, algorithm="dense"), rtol=1e-9)
    assert np.isfinite(NadarayaWatsonRegressor("loo").fit(U * [1e-310, 1.0], y).best_score_)


def test_at_most_two_widths_of_cells_are_tried(rng, monkeypatch):
    """Of which all would be within reach of each other."""
    X, asked, inner = rng.uniform(size=(50_000, 1)), [], node_errors._errors_at
    monkeypatch.setattr(node_errors, "_errors_at", lambda *a: asked.append(a[2]) or inner(*a))
    noise = rng.normal(size=X.shape)
    for y in (X, X + 20 * noise, np.where(np.arange(50_000)[:, None] == 7, 1e6, X + noise)):
        sample = Sample.of(X, y, np.ones(50_000))
        for h, rtol in ((1e-3, 1e-13), (1.0, 1e-13), (1e3, 1e-13), (1.0, 1e-15), (1.0, 0.0)):
            metric = Metric.of(h, sample.X)
            nodes = Nodes.of(metric.rows(sample))
            asked.clear()
            tracemalloc.start()
            problem = problem_at(sample, metric, rtol, nodes, Wanted.SCALE)
            errors = node_errors.errors(problem) if node_errors.plan(problem) else None
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert len(asked) <= (2 if rtol >= 1e-13 else 0)
            assert errors is None or asked
            assert peak < 1000 * 50_000  # bytes: some hundred numbers for each row


def test_cells_beyond_their_bound_are_uncertain(rng, monkeypatch):
    """As soon as the bound exceeds what rtol leaves of the mass, without the row itself."""
    sample, rtol = make_sample(rng, rng.uniform(size=(3000, 1))), 1e-8
    metric = Metric.of(0.1, sample.X)
    nodes = Nodes.of(metric.rows(sample), sizes=np.array([0.1]))
    args, inner = (nodes, metric.g, [0], Wanted.VALUE, rtol), nodes.sums
    assert len(node_errors._errors_at(*args).uncertain) == 0
    for factor, is_left in ((0.99, False), (1.01, True), (np.nan, True)):

        def sums(*args, factor=factor, **options):
            S, dS, error = inner(*args, **options)
            rest = S[0, 3 * N_NODES : 4 * N_NODES].min() - sample.w[0]
            error[3] = factor * rest * rtol / (1 + rtol)
            return S, dS, error

        monkeypatch.setattr(nodes, "sums", sums)
        rest = node_errors._errors_at(*args).uncertain
        expected = np.flatnonzero((sample.X[:, 0] - nodes.grid.low[0]) // nodes.grid.sizes[0] == 3)
        assert_array_equal(rest, expected if is_left else [])


def test_wide_bandwidths_need_no_sums_of_rows(rng, monkeypatch):
    sample = make_sample(rng, rng.uniform(size=(20_000, 2)))
    metric = Metric.of(0.1, sample.X)
    prepared = Prepared(sample, fast(1e-10))
    exact = loo(sample, metric, EXACT)[0]
    assert engine_of(sample, metric, fast(1e-10), prepared) == "nodes"
    monkeypatch.setattr("sknw._criteria.by_rows.errors", None)
    [errors] = leave_one_out(sample, [metric], fast(1e-10), prepared=prepared)
    assert errors.engine == "nodes"
    assert_allclose(errors.mean, exact, rtol=1e-10)


def test_where_moments_apply(rng):
    """The Gaussian along the features, with equal weights left out of the rows, and with a tolerance."""
    X = rng.uniform(size=(3000, 2))
    sample, metric, settings = make_sample(rng, X), Metric.of(0.1, X), fast(1e-10)

    def has_nodes(sample, metric, settings):
        return Prepared(sample, settings).nodes(metric, settings.rtol) is not None

    assert has_nodes(sample, metric, settings)
    assert has_nodes(make_sample(rng, X, w=rng.integers(1, 5, size=3000).astype(float)), metric, settings)
    assert not has_nodes(make_sample(rng, X, w=rng.uniform(size=3000)), metric, settings)
    assert not has_nodes(sample, Metric.of(np.array([[0.2, 0.1], [0.1, 0.2]]), X), settings)
    for other in ({"algorithm": "dense"}, {"algorithm": "window"}, {"rtol": 0.0}, {"kernel": "epanechnikov"}):
        assert not has_nodes(sample, metric, settings._replace(**other))


def test_moments_are_computed_once_for_all_bandwidths_of_the_same_features(rng):
    X = rng.uniform(size=(3000, 2))
    sample, settings = make_sample(rng, X), fast(1e-10)
    prepared = Prepared(sample, settings)
    first = prepared.nodes(Metric.of(0.1, X), 1e-10)
    assert prepared.nodes(Metric.of(np.array([0.3, 0.2]), X), 1e-10) is first
    assert prepared.nodes(Metric.of(np.array([0.3, np.inf]), X), 1e-10) is not first
    assert Prepared(sample, settings, once=True).nodes(Metric.of(np.array([0.3, np.inf]), X), 1e-10) is None


@pytest.mark.parametrize("d", [1, 2, pytest.param(3, marks=pytest.mark.exhaustive)])
def test_choices_ride_on_it(rng, d, monkeypatch):
    """The same bandwidth as that of every pair, and the criterion to 1e-6 of what there is to gain."""
    X = rng.normal(size=(3000, d))
    y = np.sin(3 * X[:, 0]) + 0.3 * rng.normal(size=3000)
    asked, inner = [], node_errors._errors_at
    monkeypatch.setattr(node_errors, "_errors_at", lambda *a: asked.append(a) or inner(*a))
    for bandwidth in ("loo", "gradient"):
        asked.clear()
        fast, exact = (NadarayaWatsonRegressor(bandwidth, algorithm=a).fit(X, y) for a in ("fast_gauss", "dense"))
        assert len(asked) > 5
        assert_allclose(fast.bandwidth_, exact.bandwidth_, rtol=1e-4)
        gain = loo_error(X, y, np.inf) + exact.best_score_
        assert abs(fast.best_score_ - exact.best_score_) <= 1e-6 * gain


@pytest.mark.parametrize("shape", ["number", "vector"])
def test_loo_error_at_once(rng, shape):
    X = rng.uniform(size=(3000, 3))
    y = np.sin(5 * X[:, 0]) + 0.3 * rng.normal(size=3000)
    h = 0.4 if shape == "number" else np.array([0.3, 0.4, 0.5])
    (value, slope), (exact, exact_slope) = (
        loo_error(X, y, h, algorithm=a, return_gradient=True) for a in ("fast_gauss", "dense")
    )
    assert_allclose(value, exact, rtol=1e-11)
    assert_allclose(slope, exact_slope, rtol=0, atol=1e-9 * exact)
