"""Parts of a data set that share a scale have the same coordinates and units."""

import functools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sknw._core import Problem, Queries, Setting, kernel_sums, read_only
from sknw._smoothing.metric import Metric
from sknw._smoothing.sample import Sample, Scale


def make(rng, n, d, weights):
    X, y = 100 * rng.normal(size=(n, d)), 1e3 + rng.normal(size=(n, 2))
    w = {"ones": np.ones(n), "counts": rng.integers(1, 5, size=n) * 1.0, "precisions": rng.uniform(size=n)}[weights]
    return X, y, w


@pytest.mark.parametrize("weights", ["ones", "counts", "precisions"])
def test_scales_merge(rng, weights):
    X, y, w = make(rng, 300, 2, weights)
    whole = Scale.of(X, y.T, w)
    parts = np.array_split(rng.permutation(300), [1, 100, 250])
    merged = functools.reduce(Scale.merge, [Scale.of(X[part], y[part].T, w[part]) for part in parts])
    for name, value in whole._asdict().items():
        if name == "total_weight":  # 300 positive terms
            assert_allclose(merged.total_weight, value, rtol=300 * np.finfo(float).eps)
        else:
            assert_array_equal(getattr(merged, name), value)
    assert (whole.left_out is None) == (weights == "precisions")


@pytest.mark.parametrize("bandwidth", [np.array([30.0, 20.0]), np.array([[30.0, 5.0], [5.0, 20.0]]), 1e100])
def test_states_of_parts_with_one_scale_merge_into_the_whole(rng, bandwidth):
    X, y, w = make(rng, 400, 2, "counts")
    scale = Scale.of(X, y.T, w)
    queries = 120 * rng.normal(size=(50, 2))

    def state_of(rows):
        sample = Sample.of(X[rows], y[rows], w[rows], scale)
        assert_array_equal(sample.center, scale.center)
        metric = Metric.of(bandwidth, sample.X, scale)
        Z = read_only(metric.coordinates(queries))
        return kernel_sums(Problem(Setting("gaussian", metric.g, rtol=0.0), metric.rows(sample), Queries(Z)))

    whole = state_of(np.arange(400))
    parts = np.array_split(rng.permutation(400), 4)
    merged = functools.reduce(lambda a, b: a.merge(b, "gaussian"), map(state_of, parts))
    means, expected = (s.sums[:, 1:] / s.sums[:, :1] for s in (merged, whole))
    # Distances have some eps times the extent in bandwidths, 30, squared; sums of 400 terms, targets within 1.
    assert_allclose(means, expected, rtol=0, atol=(400 + 4 * 900) * np.finfo(float).eps)
