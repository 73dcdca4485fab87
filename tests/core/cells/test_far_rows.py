"""Rows so far from zero, beside bandwidths, that cells have no exact edges there: they are set aside."""

import math

import numpy as np
import pytest

from calls import kernel_sums, make_problem, plan
from sknw._core import Rows, Wanted, costs, read_only, spatial_order
from sknw._core.problem import uncertain

#: What happens to some thousands of rows in the unit cube, for a bandwidth of 1/10.
FAR = {
    "outlier": lambda X: np.vstack([X, np.full_like(X[:1], 1e15)]),
    "outlier in one feature": lambda X: np.vstack([X, np.where(np.arange(X.shape[1]) == 0, 1e12, X[:1])]),
    "largest numbers": lambda X: np.vstack([np.full_like(X[:1], -1e13), X, np.full_like(X[:1], 1e300)]),
    "sentinels": lambda X: np.vstack([X, np.full_like(X[: len(X) // 4], 1e20)]),
    "beside the edge": lambda X: np.vstack([X, 2.0**36 / 10 + X[:20] - 0.5]),
}


def make(rng, design, d, n=3000):
    X = FAR[design](rng.uniform(size=(n, d)))
    X = X[spatial_order(X.T)]
    Y = rng.uniform(-1, 1, size=(2, len(X)))
    return Rows(*map(read_only, (X.T, Y, np.ones(len(X)), np.zeros(len(X))))), np.full(d, 10.0)


@pytest.mark.thin
@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("design", FAR)
@pytest.mark.parametrize("rtol", [1e-6, 1e-12])
def test_promise(rng, design, d, rtol):
    """Rows left out in turn, some of them, and queries near all of them and between are right to `rtol`."""
    rows, g = make(rng, design, d)
    X = rows.Z.T
    between = 0.5 * X[rng.permutation(len(X))[:50]] + 0.5 * X[rng.permutation(len(X))[:50]]
    queries = np.vstack([X[rng.permutation(len(X))[:200]] + 0.01, between, 1.5 * X[-5:], np.full((1, d), 2.0**36 / 10)])
    some = np.sort(rng.choice(len(X), 300, replace=False))
    for derivatives in (Wanted.VALUE, Wanted.SCALE):
        for Z, row in ((X, np.arange(len(X))), (X[some], some), (queries, None)):
            args = "gaussian", rows, g, Z, row
            found = kernel_sums(*args, algorithm="fast_gauss", rtol=rtol, derivatives=derivatives)
            exact = kernel_sums(*args, derivatives=derivatives)
            answered = exact.sums[:, 0] > 0
            means, expected = (s.sums[answered, 1:] / s.sums[answered, :1] for s in (found, exact))
            # Sums of up to 4000 terms are rounded in another order, and those of cells lose 500 eps besides.
            assert np.abs(means - expected).max() <= 2 * rtol + 4500 * 2.3e-16
            assert np.isfinite(means).all()


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("far", [1e12, 1e300])
def test_one_outlying_row_does_not_cost_quadratic_time(rng, d, far):
    """The plan is that of the rows without it, and all queries but a few are certain."""
    n = 40_000
    X = rng.uniform(size=(n, d))
    X[7] = far
    X = X[spatial_order(X.T)]
    rows = Rows(*map(read_only, (X.T, rng.uniform(-1, 1, size=(1, n)), np.ones(n), np.zeros(n))))
    g = np.full(d, (30.0, 20.0, 8.0)[d - 1])
    chosen = plan("gaussian", rows, g, rtol=1e-10)
    assert chosen.engine.name == "fast_gauss"
    near = rows.take(np.abs(rows.Z).max(axis=0) < 2)
    assert chosen.cost <= 1.01 * plan("gaussian", near, g, rtol=1e-10).cost
    problem = make_problem("gaussian", rows, g, X, np.arange(n), rtol=1e-10)
    state = chosen.engine.prepare(problem.rows, chosen).sums(problem.queries)
    assert 1 <= len(uncertain(state, 1e-10)) <= n / 100
    assert math.isinf(state.error[np.flatnonzero(X[:, 0] > 2)[0], 0])


def test_rows_that_are_mostly_far_are_no_case_for_cells(rng):
    X = 1e15 + np.sort(rng.integers(1000, size=(5000, 1)), axis=0)
    rows = Rows(*map(read_only, (X.T, rng.uniform(size=(1, 5000)), np.ones(5000), np.zeros(5000))))
    with costs.using(choosing=0.0):
        assert plan("gaussian", rows, np.full(1, 10.0), algorithm="fast_gauss", rtol=1e-10).engine.name != "fast_gauss"
