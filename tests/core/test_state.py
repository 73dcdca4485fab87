"""States over parts of the rows merge into the state over all of them."""

import functools
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from calls import make_problem
from sknw._core import costs
from sknw._core.dispatch import ENGINES, kernel_sums
from sknw._core.kernels import KERNELS
from sknw._core.order import spatial_order
from sknw._core.problem import Rows, State, Wanted, read_only, uncertain

EPS = np.finfo(np.float64).eps
NAMES = [*KERNELS, "nearest"]


def make(rng, n, d):
    X = rng.uniform(size=(n, d))
    X = X[spatial_order(X.T)]
    Y, w = rng.uniform(-1, 1, size=(2, n)), rng.integers(1, 4, size=n).astype(float)
    return Rows(*map(read_only, (X.T, Y, w, w - 1)))


def far_and_near(rng, rows, d):
    """Queries among the rows, beside them, and so far away that windows are empty or weights underflow."""
    return np.vstack([rng.uniform(size=(40, d)), rng.uniform(-0.3, 1.3, size=(20, d)), np.full((1, d), 40.0)])


def parts(rng, rows, k):
    """The rows in k parts that overlap in space, one of which is far from the others, and a part of one row."""
    part = rng.integers(k, size=len(rows.w))
    part[-len(rows.w) // 5 :] = k
    part[0] = k + 1
    return [rows.take(np.flatnonzero(part == i)) for i in range(k + 2)]


def engines(kernel, d, wanted, rtol):
    """Engines that apply to new queries."""
    rows = make(np.random.default_rng(0), 50, d)
    problem = make_problem(kernel, rows, np.full(d, 6.0), rows.Z.T, wanted=wanted, rtol=rtol)
    with costs.using(choosing=0.0):
        return [engine for engine in ENGINES if engine.plan(problem) is not None]


CASES = [
    (kernel, d, engine)
    for kernel in NAMES
    for d in (1, 2)
    for engine in sorted({type(e).__name__ for e in engines(kernel, d, Wanted.VALUE, 1e-10)})
]


@pytest.mark.thin
@pytest.mark.parametrize(("kernel", "d", "name"), CASES)
def test_parts_merge_into_the_whole(rng, kernel, d, name):
    """For all kernels and engines: far queries, empty neighborhoods, nearest rows; in any order of merging."""
    n = 600
    rows = make(rng, n, d)
    Z, inv_h = far_and_near(rng, rows, d), np.full(d, 9.0)
    [engine] = [e for e in ENGINES if type(e).__name__ == name]

    def state_of(part):
        problem = make_problem(kernel, part, inv_h, Z, rtol=1e-10)
        with costs.using(choosing=0.0, fewest_by_feature=1):
            plan = engine.plan(problem)
        if plan is None:  # a part may be no case for cells; its state is as good
            return kernel_sums(problem, "dense")
        state = plan.engine.prepare(problem.rows, plan).sums(problem.queries)
        numbers = np.flatnonzero(np.isinf(state.error[:, 0]))
        if len(numbers):
            state.put(numbers, kernel_sums(problem.at(numbers), "window"))
        return state

    expected = kernel_sums(make_problem(kernel, rows, inv_h, Z), "dense")
    states = [state_of(part) for part in parts(rng, rows, 3)]
    forward = functools.reduce(lambda a, b: a.merge(b, kernel), states)
    backward = functools.reduce(lambda a, b: b.merge(a, kernel), states[::-1])
    for merged in (forward, backward):
        with np.errstate(invalid="ignore", divide="ignore"):
            means, exact = (s.sums[:, 1:] / s.sums[:, :1] for s in (merged, expected))
        empty = expected.sums[:, 0] < 1e-300
        if kernel in ("gaussian", "exponential", "nearest"):
            assert not empty.any()
        # What engines neglect is 1e-10 of a denominator, of each part and so of the whole, over |y| <= 1; the rest is
        # rounding of n terms, and of exponents up to 40 * 9 squared.
        assert np.abs(means - exact)[~empty].max() <= 4e-10 + (n + 2e5) * EPS
        assert (merged.sums[empty] == 0).all()
    certain = np.setdiff1d(np.arange(len(Z)), uncertain(forward, 1e-9))
    assert len(certain) >= 40


@pytest.mark.parametrize("kernel", NAMES)
def test_the_empty_state_is_neutral(rng, kernel):
    rows = make(rng, 100, 1)
    Z = far_and_near(rng, rows, 1)
    wanted = Wanted.SCALE if kernel != "nearest" else Wanted.VALUE
    state = kernel_sums(make_problem(kernel, rows, np.full(1, 9.0), Z, wanted=wanted), "dense")
    state.error[:] = rng.uniform(size=state.error.shape)
    empty = State.empty(len(Z), 2, wanted.count(1))
    for merged in (state.merge(empty, kernel), empty.merge(state, kernel)):
        # An offset that is infinite beside weights that are not zero does not occur.
        for a, b in zip(merged, state, strict=True):
            assert_array_equal(a, b)
    for a, b in zip(empty.merge(empty, kernel), empty, strict=True):
        assert_array_equal(a, b)


def test_errors_add(rng):
    rows = make(rng, 200, 1)
    Z = rng.uniform(size=(30, 1))
    states = [kernel_sums(make_problem("epanechnikov", part, np.full(1, 4.0), Z)) for part in parts(rng, rows, 2)]
    for state in states:
        state.error[:] = rng.uniform(size=state.error.shape)
    merged = functools.reduce(lambda a, b: a.merge(b, "epanechnikov"), states)
    assert_allclose(merged.error, sum(state.error for state in states), rtol=1e-15)
    gaussians = [state._replace(offset=np.full(30, offset)) for state, offset in zip(states, (0.0, 2.0, 4.0, 6.0))]  # noqa: B905
    merged = functools.reduce(lambda a, b: a.merge(b, "gaussian"), gaussians)
    exact = sum(state.error * math.exp(-0.5 * offset) for state, offset in zip(gaussians, (0.0, 2.0, 4.0, 6.0)))  # noqa: B905
    assert_allclose(merged.error, exact, rtol=1e-14)


def test_merging_is_associative(rng):
    rows = make(rng, 300, 2)
    Z = far_and_near(rng, rows, 2)
    for kernel in ("gaussian", "exponential", "biweight", "nearest"):
        a, b, c = (kernel_sums(make_problem(kernel, part, np.full(2, 5.0), Z), "dense") for part in parts(rng, rows, 1))
        left, right = a.merge(b, kernel).merge(c, kernel), a.merge(b.merge(c, kernel), kernel)
        assert_array_equal(left.offset, right.offset)
        # Three terms, each times two exponentials of exponents up to 700, which lose as many eps.
        assert_allclose(left.sums, right.sums, rtol=3000 * EPS, atol=1e-14 * np.abs(right.sums).max())


def test_scaled_states(rng):
    """Rows whose weights are twice as large; and none, which are not there."""
    rows = make(rng, 100, 1)
    Z = rng.uniform(size=(20, 1))
    for kernel in ("gaussian", "linear"):
        one, two = (
            kernel_sums(make_problem(kernel, rows._replace(w=read_only(f * rows.w)), np.ones(1), Z), "dense")
            for f in (1.0, 2.0)
        )
        for a, b in zip(one.scaled(2.0), two, strict=True):
            assert_array_equal(a, b)
        nothing = one.scaled(0.0)
        for a, b in zip(nothing, State.empty(20, 2), strict=True):
            assert_array_equal(a, b)
