"""Every pair of rows once, for both: against sums of single rows, and what is promised of threads and memory."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from calls import kernel_sums, make_problem, pull_back
from problems import EPS, relative_to
from sknw._core import Rows, Wanted, costs, read_only
from sknw._core.dispatch import choose
from sknw._core.every_pair import symmetric as pairs_module
from sknw._core.every_pair.symmetric import gradient_of_all_pairs
from sknw._core.problem import Setting

#: Rows of a panel in these tests: several panels take little time.
PANEL = 64


@pytest.fixture(autouse=True)
def _few_rows_too(monkeypatch):
    monkeypatch.setattr(pairs_module, "_PANEL", PANEL)
    with costs.using(few_pairs=0, fewest_by_feature=1):
        yield


def make_rows(rng, n, d, p, offset=0.0):
    w = rng.integers(1, 4, size=n).astype(float)
    w[5:8] = 1.0  # of which nothing stays
    return Rows(*map(read_only, (rng.normal(size=(d, n)) + offset, rng.normal(size=(p, n)), w, w - 1)))


def sums(rows, g, *, rtol, queries=None, **options):
    """Of all rows, or some, each without itself."""
    own = np.arange(len(rows.w)) if queries is None else queries
    return kernel_sums("gaussian", rows, g, rows.Z.T[own], own, algorithm="dense", rtol=rtol, **options)


@pytest.mark.thin
@pytest.mark.parametrize("offset", [0.0, 1e8])
@pytest.mark.parametrize("p", [1, 3])
@pytest.mark.parametrize("d", [1, 2, 10, 30])
@pytest.mark.parametrize("n", [1, 2, PANEL - 1, PANEL, PANEL + 1, 4 * PANEL + 5, 7 * PANEL])
def test_sums_are_those_of_single_rows(rng, n, d, p, offset):
    rows, g = make_rows(rng, n, d, p, offset), 1 / rng.uniform(1.0, 2.0, size=d) / np.sqrt(d)
    exact = sums(rows, g, rtol=0, derivatives=Wanted.SCALE)
    found = relative_to(exact.offset, sums(rows, g, rtol=1e-10, derivatives=Wanted.SCALE))
    # As in test_gaussian.py: squares add up to 50, and both ways sum up n numbers.
    bound = (d + 6) * EPS / 2 * 50 + n * EPS
    scale = exact.sums[:, :1] * np.abs(rows.Y).max()
    assert (np.abs(found.sums - exact.sums) <= bound * scale).all()
    assert (np.abs(found.derivatives[:, 0] - exact.derivatives[:, 0]) <= 60 * bound * scale).all()
    assert n < PANEL or (found.sums != exact.sums).any()  # or else it has not been used


def test_all_rows_go_by_pairs(rng):
    """Some of them do not, nor does what is to be exact."""
    rows, g, own = make_rows(rng, 3 * PANEL, 2, 1), np.ones(2), np.arange(3 * PANEL)
    for queries, rtol, expected in (
        (own, 1e-10, True),
        (own[:-1], 1e-10, False),
        (own[::-1], 1e-10, False),
        (own, 0.0, False),
    ):
        problem = make_problem("gaussian", rows, g, rows.Z.T[queries], queries, rtol=rtol)
        assert (type(choose(problem, "dense").engine).__name__ == "Symmetric") == expected


@pytest.mark.parametrize("d", [1, 30])
def test_rows_that_are_far_away_are_left_to_others(rng, d):
    """One that no other row's weight reaches, and one that is too far from the middle for differences of the rest."""
    n = 5 * PANEL
    for far in (60.0, 1e12, 1e200):
        rows, g = make_rows(rng, n, d, 1), np.full(d, 1.0)
        Z = rows.Z.copy()
        Z[:, 7] = far
        rows = rows._replace(Z=read_only(Z))
        exact, found = (sums(rows, g, rtol=rtol, derivatives=Wanted.SCALE) for rtol in (0, 1e-10))
        assert_array_equal(found.offset[7], exact.offset[7])
        found = relative_to(exact.offset, found)
        bound = (d + 6) * EPS / 2 * 100 + n * EPS
        scale = np.maximum(exact.sums[:, :1], 1.0) * np.abs(rows.Y).max()
        assert (np.abs(found.sums - exact.sums) <= bound * scale).all()


@pytest.mark.parametrize("d", [1, 30])
def test_any_number_of_threads_gives_the_same_bits(rng, d):
    rows, g = make_rows(rng, 9 * PANEL + 3, d, 2), np.full(d, 1 / np.sqrt(d))
    adjoints = rng.normal(size=(len(rows.w), 3))
    options = {"derivatives": Wanted.PAIRS, "rtol": 1e-10}
    found = []
    for n_threads in (1, 2, 5):
        state = sums(rows, g, rtol=1e-10, derivatives=Wanted.SCALE, n_threads=n_threads)
        own = np.arange(len(rows.w))
        gradient = pull_back("gaussian", rows, g, rows.Z.T, own, state.offset, adjoints, **options, n_threads=n_threads)
        found.append([*state, gradient])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert_array_equal(a, b)


@pytest.mark.thin
@pytest.mark.parametrize("derivatives", [Wanted.FEATURES, Wanted.PAIRS])
@pytest.mark.parametrize("p", [1, 3])
@pytest.mark.parametrize("d", [1, 2, 10, 30])
@pytest.mark.parametrize("n", [2, PANEL, 4 * PANEL + 5])
def test_gradients_are_those_of_single_rows(rng, n, d, p, derivatives):
    rows, g = make_rows(rng, n, d, p), 1 / rng.uniform(1.0, 2.0, size=d) / np.sqrt(d)
    own, adjoints = np.arange(n), rng.uniform(0.5, 1, size=(n, 1 + p))
    state = sums(rows, g, rtol=0)
    options = {"derivatives": derivatives, "n_threads": 2}
    found = gradient_of_all_pairs(
        rows,
        Setting("gaussian", read_only(g), derivatives, 1e-10),
        state.offset,
        adjoints,
        by_matrices=d > 18,
        n_threads=2,
    )
    turned = own[::-1]  # not all rows in their order: these are summed up one by one
    args = rows.Z.T[turned], turned, state.offset[turned], adjoints[turned]
    exact = pull_back("gaussian", rows, g, *args, rtol=0.0, **options)
    # Terms are products of weights relative to the nearest row, adjoints, targets and squares: each is wrong by as much
    # as weights and squares are, and n² of them by their rounding.
    weights = state.sums[:, 0] * np.abs(adjoints).sum(axis=1) * max(1.0, np.abs(rows.Y).max())
    bound = (2 * (d + 6) * EPS / 2 * 50 + n * EPS) * 50 * weights.sum()
    assert (np.abs(found - exact) <= bound).all()
    assert np.abs(exact).max() > 1e6 * bound  # or else this would say nothing


def test_gradients_that_lack_digits_are_left_to_single_rows(rng):
    rows, adjoints = make_rows(rng, 3 * PANEL, 2, 1), rng.normal(size=(3 * PANEL, 2))

    def gradient(rows, g, offset, adjoints, rtol):
        setting = Setting("gaussian", g, Wanted.PAIRS, rtol)
        return gradient_of_all_pairs(rows, setting, offset, adjoints, by_matrices=False)

    own = np.arange(len(rows.w))
    for g, rtol, is_found in ((1.0, 1e-10, True), (1e6, 1e-10, False), (1.0, 0.0, False)):
        g = read_only(np.full(2, g))
        shift = sums(rows, g, rtol=0).offset
        assert (gradient(rows, g, shift, adjoints, rtol) is not None) == is_found
    # Two halves so far from each other that squares of coordinates are large beside those of differences.
    apart = rows._replace(Z=read_only(rows.Z + 250.0 * (own % 2)))
    g = read_only(np.ones(2))
    shift = sums(apart, g, rtol=0).offset
    assert gradient(apart, g, shift, adjoints, 1e-6) is None
    # A row that the absolute weights of others do not reach; and derivatives that overflow with them.
    Z = rows.Z.copy()
    Z[:, 5] = 27.5
    far = rows._replace(Z=read_only(Z))
    shift = sums(far, g, rtol=0).offset
    assert 800 < shift.max() * pairs_module.UNIT < 1000
    assert gradient(far, g, shift, adjoints, 1e-10) is None
    args = "gaussian", far, g, far.Z.T, own, shift, adjoints
    found, exact = (pull_back(*args, derivatives=Wanted.PAIRS, rtol=rtol) for rtol in (1e-10, 0.0))
    assert_array_equal(found, exact)
    Z[:, 5] = 20.0
    near = rows._replace(Z=read_only(Z))
    shift = sums(near, g, rtol=0).offset
    assert gradient(near, g, shift, adjoints, 1e-10) is not None
    huge = np.full_like(adjoints, 1e300)
    assert gradient(near, g, shift, huge, 1e-10) is None


@pytest.mark.parametrize(("far", "lightest"), [(33, 1.0), (33, 1e-12), (33, 1e-40), (33, 1e-60), (27, 1e-130)])
def test_gradients_of_light_rows(rng, far, lightest):
    """Where nobody is near but light rows, heavy ones must not count with the least power that there is."""
    n = 600
    X, w = 0.3 * rng.normal(size=(n, 2)), np.ones(n)
    X[:3], w[1:3] = [[60, 0], [60 + far, 0], [60.5 + far, 0]], lightest
    rows = Rows(*map(read_only, (X.T, rng.normal(size=(1, n)), w, np.zeros(n))))
    own, g = np.arange(n), np.ones(2)
    state = kernel_sums("gaussian", rows, g, X, own, algorithm="dense", rtol=0.0)
    mass, y = state.sums[:, 0], rows.Y[0]
    m = state.sums[:, 1] / mass
    adjoint = 2 * w * (m - y) / mass
    args = "gaussian", rows, g, X, own, state.offset, np.stack([-adjoint * m, adjoint], axis=1)
    found, exact = (pull_back(*args, derivatives=Wanted.PAIRS, rtol=rtol) for rtol in (1e-10, 0.0))
    # A derivative of each average is right to 100 rtol, and their share in the sum is no larger than the largest.
    assert_allclose(found, exact, rtol=0, atol=1e-8 * np.abs(exact).max())


def test_memory(rng, monkeypatch):
    """Some panels for each thread, whatever the number of pairs."""
    monkeypatch.setattr(pairs_module, "_PANEL", 256)
    n, d = 6000, 30
    rows, g = make_rows(rng, n, d, 1), np.full(d, 1 / np.sqrt(d))
    adjoints, own = rng.normal(size=(n, 2)), np.arange(n)
    for _ in range(2):
        tracemalloc.start()
        state = sums(rows, g, rtol=1e-10, n_threads=2)
        pull_back("gaussian", rows, g, rows.Z.T, own, state.offset, adjoints, derivatives=Wanted.PAIRS, rtol=1e-10)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # Coordinates twice more as queries and rows, and once or twice in what follows; some numbers of each row; of each
    # thread products and adjoint weights, and the sums of eight pairs of panels.
    of_thread = 2 * 256**2 + 4 * 256 * d + 8 * 256 * (2 + d)
    assert peak < 8 * (4 * n * d + 12 * n + 2 * of_thread) + 2**18 < 8 * n * n / 10
