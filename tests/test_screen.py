"""What some of the rows tell about all: estimates of differences, and bandwidths that are certainly worse."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import brentq

from sknw import NadarayaWatsonRegressor, loo_error
from sknw._bandwidth import objective as selection_module
from sknw._bandwidth import screen as screen_module
from sknw._bandwidth.screen import Screen
from sknw._bandwidth.search import curve as curve_module
from sknw._bandwidth.search import grid as grid_module
from sknw._core import Wanted
from sknw._criteria.leave_one_out import leave_one_out
from sknw._criteria.problem import Settings
from sknw._smoothing.metric import Metric
from sknw._smoothing.sample import Sample

WIDTHS = np.geomspace(1e-4, 3, 25)


def make_screen(X, y, kernel, h, n_rows, w=None):
    sample = Sample.of(X, y[:, None], np.ones(len(y)) if w is None else w)
    objective = selection_module.Objective(sample, Settings(kernel, rtol=1e-10))
    return sample, Screen(objective, h, n_rows)


def compare(sample, kernel, screen, h, wanted=Wanted.VALUE, draw=-1):
    """Difference, deviation and slope, by the whole subsample of a screen or its first share."""
    draw, settings = screen.draws[draw], Settings(kernel, rtol=1e-10)
    options = {"wanted": wanted, "queries": draw.rows, "weights": draw.weights, "each": True}
    [errors] = leave_one_out(sample, [Metric.of(h, sample.X)], settings, **options)
    return *screen.difference(draw, errors.squares), errors.slope / sample.w.sum()


def loo(sample, kernel, h, wanted=Wanted.VALUE):
    """The leave-one-out error with its slope."""
    [errors] = leave_one_out(sample, [Metric.of(h, sample.X)], Settings(kernel, rtol=1e-10), wanted=wanted)
    return errors.mean, errors.gradient


def is_ruled_out(screen, h):
    return screen.rule_out([h], Wanted.VALUE) != [None]


def wave(rng, n):
    x = rng.uniform(size=n)
    return x, np.sin(12 * x) + 0.3 * rng.normal(size=n)


def heavy_tails(rng, n):
    x = rng.uniform(size=n)
    return x, np.sin(12 * x) + 0.1 * rng.standard_cauchy(size=n)


def spike(rng, n):
    """Much of the error is in a hundredth of the range."""
    x, y = wave(rng, n)
    return x, np.where(x < 0.01, 20 * np.sin(3000 * x), y)


def pairs(rng, n):
    """Windows that hold nothing but the other row of a pair predict best."""
    x, y = np.repeat(rng.uniform(size=n // 2), 2), np.repeat(rng.normal(size=n // 2), 2)
    return x, y + 0.1 * rng.normal(size=n)


@pytest.mark.parametrize("kernel", ["gaussian", "epanechnikov"])
def test_whole_sample_gives_the_exact_error(rng, kernel):
    """Where every row is drawn, estimates are the error itself."""
    x, y = wave(rng, 400)
    w = rng.integers(1, 4, size=400).astype(float)
    sample, screen = make_screen(x[:, None], y, kernel, np.array([0.05]), 10**6, w)
    for h in WIDTHS:
        value, slope = loo(sample, kernel, np.array([h]), Wanted.SCALE)
        difference, deviation, found = compare(sample, kernel, screen, np.array([h]), Wanted.SCALE)
        assert deviation == 0
        assert_allclose(screen.value + difference, value, rtol=1e-9)
        assert_allclose(found, slope, rtol=1e-9, atol=1e-9 * value)


def test_size_of_the_subsample(rng):
    """Of which half in proportion to their errors; a share of them for each stage, of the same lots."""
    x, y = wave(rng, 20_000)
    sample, screen = make_screen(x[:, None], y, "epanechnikov", np.array([0.05]), 1000)
    for share, draw in zip(screen_module._SHARES, screen.draws, strict=True):
        assert abs(len(draw.rows) - 1000 * share) < 5 * math.sqrt(1000 * share)
        # The sum of weights over chances estimates that of all, with as many rows.
        assert_allclose(draw.weights.sum(), sample.w.sum(), rtol=5 * math.sqrt(2 / (1000 * share)))
    assert set(screen.draws[0].rows) <= set(screen.draws[-1].rows)


def test_deviations_equal_standard_errors(rng):
    """Over many data sets, differences between estimates and truth have a variance of one such deviation squared."""
    scores = []
    for _ in range(60):
        x, y = wave(rng, 1500)
        sample, screen = make_screen(x[:, None], y, "epanechnikov", np.array([0.05]), 300)
        for h in (0.002, 0.02, 0.3):
            difference, deviation, _ = compare(sample, "epanechnikov", screen, np.array([h]))
            truth = loo(sample, "epanechnikov", np.array([h]))[0] - screen.value
            scores.append((difference - truth) / deviation)
    # 180 scores, of which three belong to each data set: deviations of mean and variance are below these, times four.
    assert abs(np.mean(scores)) < 4 / math.sqrt(60)
    assert abs(np.mean(np.square(scores)) - 1) < 4 * math.sqrt(2 / 60)


@pytest.mark.thin
@pytest.mark.parametrize("logarithm", [20.0, 2.0])
@pytest.mark.parametrize("design", [wave, heavy_tails, spike, pairs])
@pytest.mark.parametrize("kernel", ["gaussian", "epanechnikov"])
def test_failure_probability(rng, kernel, design, logarithm, monkeypatch):
    monkeypatch.setattr(screen_module, "_LAMBDA", logarithm)
    called = better = wrong = 0
    for _ in range(3):
        x, y = design(rng, 3000)
        for h0 in (0.003, 0.03, 0.3):
            sample, screen = make_screen(x[:, None], y, kernel, np.array([h0]), 1000)
            for h in WIDTHS:
                is_called = is_ruled_out(screen, np.array([h]))
                is_better = loo(sample, kernel, np.array([h]))[0] <= screen.value
                called, better, wrong = called + is_called, better + is_better, wrong + (is_called and is_better)
    assert wrong <= math.exp(-logarithm) * better
    # Or else the test could not fail; where few rows have most of the error, little is certain.
    assert called > 20 or design is pairs or (design is heavy_tails and logarithm > 2)


def test_equal_error_on_the_other_side_of_the_minimum(rng, monkeypatch):
    """Too wide instead of too narrow, with a slightly smaller error: the rows that are drawn may have a larger one."""
    monkeypatch.setattr(screen_module, "_LAMBDA", 4.0)
    called = larger = 0
    for _ in range(40):
        x, y = wave(rng, 3000)
        sample, screen = make_screen(x[:, None], y, "epanechnikov", np.array([0.004]), 1000)

        def excess(h, sample=sample, screen=screen):
            return loo(sample, "epanechnikov", np.array([h]))[0] - screen.value * (1 - 1e-6)

        h = np.array([brentq(excess, 0.05, 1.0) - 1e-9])
        called += is_ruled_out(screen, h)
        larger += compare(sample, "epanechnikov", screen, h)[0] > screen.margin
    assert called <= 4  # 0.7 on average at the most, with a deviation of 0.9
    assert larger > 4  # or else the deviations would not matter


def test_rows_with_large_errors_are_drawn(rng):
    """One row in a thousand has nearly all of the error, which a narrow window would take away."""
    x, y = wave(rng, 5000)
    x[:5], y[:5] = 0.5 + 1e-9 * np.arange(5), 1000.0
    sample, screen = make_screen(x[:, None], y, "epanechnikov", np.array([0.05]), 100)
    assert np.isin(np.flatnonzero(sample.Y[0] > 0.5 * sample.Y[0].max()), screen.draws[-1].rows).all()
    assert loo(sample, "epanechnikov", np.array([1e-6]))[0] < screen.value
    assert not is_ruled_out(screen, np.array([1e-6]))


@pytest.mark.parametrize("kernel", ["gaussian", "epanechnikov", "linear", "exponential"])
def test_search_uses_all_rows_near_the_minimum_only(rng, kernel, monkeypatch):
    """Far from it, estimates tell; the bandwidth is that of a search which looks at all rows everywhere."""
    x, y = wave(rng, 6000)
    X = x[:, None]
    monkeypatch.setattr(grid_module, "ENOUGH", 3000)
    monkeypatch.setattr(selection_module, "ENOUGH", 3000)
    monkeypatch.setattr(screen_module, "ENOUGH", 3000)
    model = NadarayaWatsonRegressor(kernel=kernel).fit(X, y)
    estimate, criterion = model.cv_results_["estimate"], model.cv_results_["criterion"]
    assert 3 < estimate.sum() < len(estimate) - 5
    assert criterion[estimate].min() > -model.best_score_
    assert "there may be a lower minimum" not in str(model.bandwidth_report())
    assert not (model.cv_results_["local_minimum"] & estimate).any()
    assert not model.cv_results_["local_minimum"][-1]  # the global mean, beside an estimate that may be higher
    monkeypatch.setattr(curve_module.Curve, "_may_be_ruled_out", lambda *args: False)
    everywhere = NadarayaWatsonRegressor(kernel=kernel).fit(X, y)
    assert not everywhere.cv_results_["estimate"].any()
    gain = loo_error(X, y, math.inf) + everywhere.best_score_
    assert_allclose(model.best_score_, everywhere.best_score_, rtol=0, atol=1e-9 * gain)
    assert_allclose(model.bandwidth_, everywhere.bandwidth_, rtol=1e-4)


def test_no_screen_beside_bandwidths_within_the_margin(rng, monkeypatch):
    """They could not be certain: most of the times that they are asked, they are."""
    X, y = rng.uniform(size=(60_000, 1)), rng.normal(size=60_000)
    y += np.sin(6 * X[:, 0])
    monkeypatch.setattr(grid_module, "ENOUGH", 15_000)
    monkeypatch.setattr(selection_module, "ENOUGH", 15_000)
    monkeypatch.setattr(screen_module, "ENOUGH", 15_000)
    certain, rule_out = [], Screen.rule_out

    def count(self, bandwidths, wanted):
        results = rule_out(self, bandwidths, wanted)
        certain.extend(result is not None for result in results)
        return results

    monkeypatch.setattr(Screen, "rule_out", count)
    model = NadarayaWatsonRegressor(kernel="epanechnikov").fit(X, y)
    assert sum(certain) > 10
    assert certain.count(False) <= 2
    monkeypatch.setattr(curve_module, "least_difference", lambda value, m: 0.0)
    certain.clear()
    other = NadarayaWatsonRegressor(kernel="epanechnikov").fit(X, y)
    assert certain.count(False) > 2
    gain = loo_error(X, y, math.inf) + other.best_score_
    assert_allclose(model.best_score_, other.best_score_, rtol=0, atol=1e-8 * gain)


@pytest.mark.parametrize("kernel", ["gaussian", "epanechnikov", "linear"])
@pytest.mark.parametrize("d", [1, 2])
def test_ladders_are_screened_as_single_bandwidths_are(rng, kernel, d, monkeypatch):
    x, y = wave(rng, 900)
    X = np.column_stack([x, rng.uniform(size=(900, d - 1))])
    # All draws hold the whole subsample, so that each bandwidth is compared once.
    monkeypatch.setattr(screen_module, "_SHARES", (1.0,))
    sample, screen = make_screen(X, y, kernel, np.full(d, 0.05), 300)
    ladder = [np.full(d, 1.5) * 2 ** (-k / 2) for k in (0, 1, 2, 4, 6, 7, 9)]
    results = screen.rule_out(ladder, Wanted.SCALE)
    for h, result in zip(ladder, results, strict=True):
        difference, deviation, expected = compare(sample, kernel, screen, h, Wanted.SCALE)
        assert (result is not None) == (difference > screen.margin + math.sqrt(2 * screen_module._LAMBDA) * deviation)
        if result is not None:
            assert_allclose(result[0], screen.value + difference, rtol=1e-8)
            assert_allclose(result[1], expected, rtol=1e-7, atol=1e-8 * result[0])
    assert None in results
    assert results != [None] * len(ladder)


@pytest.mark.parametrize(("algorithm", "d"), [("dense", 1), ("dense", 2), ("auto", 9)])
@pytest.mark.parametrize("kernel", ["gaussian", "epanechnikov"])
def test_search_over_all_pairs_rules_out_by_a_subsample(rng, kernel, algorithm, d, monkeypatch):
    """Much of the grid is told by some rows to be worse; the bandwidth is that of a search by all rows everywhere."""
    x, y = wave(rng, 3000)
    X = x[:, None] + 0.02 * rng.normal(size=(3000, d))
    monkeypatch.setattr(screen_module, "_FEWEST_ROWS", 3000)
    model = NadarayaWatsonRegressor(kernel=kernel, algorithm=algorithm).fit(X, y)
    estimate, criterion = model.cv_results_["estimate"], model.cv_results_["criterion"]
    assert estimate.sum() > 10
    assert criterion[estimate].min() > -model.best_score_
    assert not (model.cv_results_["local_minimum"] & estimate).any()
    assert "there may be a lower minimum" not in str(model.bandwidth_report())
    monkeypatch.setattr(curve_module, "applies_to_grid", lambda objective: False)
    everywhere = NadarayaWatsonRegressor(kernel=kernel, algorithm=algorithm).fit(X, y)
    assert not everywhere.cv_results_["estimate"].any()
    assert_allclose(model.bandwidth_, everywhere.bandwidth_, rtol=1e-7)
    assert_allclose(model.best_score_, everywhere.best_score_, rtol=1e-11)


def test_small_samples_windows_and_penalties_have_no_screen(rng):
    x, y = wave(rng, 5000)
    asked = []
    for n, criterion, algorithm in ((3999, "loo", "dense"), (5000, "gcv", "dense"), (5000, "loo", "auto")):
        sample = Sample.of(x[:n, None], y[:n, None], np.ones(n))
        settings = Settings("gaussian", algorithm=algorithm, rtol=1e-10)
        objective = selection_module.Objective(sample, settings, criterion=criterion)
        asked.append(screen_module.applies_to_grid(objective))
    assert asked == [False] * 3
    settings = Settings("gaussian", algorithm="dense", rtol=1e-10)
    assert screen_module.applies_to_grid(selection_module.Objective(sample, settings))
