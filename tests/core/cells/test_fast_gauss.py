"""The fast Gauss transform: its series, its bounds, and sums of every pair beside it."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from calls import fast_gauss_sums, kernel_sums, lay_out
from problems import EPS, rows_of
from sknw._core import Wanted, read_only, spatial_order
from sknw._core.cells import fast_gauss as fast_gauss
from sknw._core.cells import grid as cells
from sknw._core.cells import hermite as series_module
from sknw._core.runtime import threads as threads


def make_rows(rng, X, p=1, weights=False):
    """Rows in spatial order, with their coordinates; targets within [-1, 1]."""
    X = X[spatial_order(X.T)]
    n = len(X)
    w = rng.integers(1, 4, size=n).astype(float) if weights else np.ones(n)
    return X, rows_of(X, rng.uniform(-1, 1, size=(p, n)).T, w)


def unshifted(state):
    """Mass, moments and derivatives relative to a weight of 1 at distance 0."""
    factor = np.exp(-0.5 * state.offset)
    return state.sums * factor[:, None], state.derivatives * factor[:, None, None]


def test_hermite_functions():
    z = np.linspace(-5, 5, 41)
    h = series_module.hermite_functions(z, 30)
    for n in range(30):
        exact = np.polynomial.hermite.Hermite.basis(n)(z) * np.exp(-z * z)
        # Cramer's inequality gives their size; the recurrence loses some eps of that a step.
        assert_allclose(h[n], exact, rtol=0, atol=20 * n * EPS * math.sqrt(2.0**n * math.factorial(n)) + 1e-300)


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("width", [0.1, 0.5, 1.5])
@pytest.mark.parametrize("n_terms", [1, 4, 9, 16])
def test_remainders_are_bounds(rng, width, n_terms):
    """What Taylor's polynomial of one variable leaves, for points anywhere in two cells."""
    offsets = np.arange(-8, 9)
    r = 0.5 * width / math.sqrt(2)
    bound = series_module.remainders(width, offsets, n_terms + 1)[n_terms]
    h = series_module.hermite_functions
    largest = np.zeros(len(offsets))
    for t in np.append(rng.uniform(-r, r, size=10), [r, -r]):
        for tau in np.append(rng.uniform(-r, r, size=10), [r, -r]):
            here = offsets * (width / math.sqrt(2)) + tau
            series = sum(t**a / math.factorial(a) * f for a, f in enumerate(h(here, n_terms)))
            largest = np.maximum(largest, np.abs(np.exp(-((here - t) ** 2)) - series))
    assert (largest <= 1.02 * bound + 8 * EPS).all()  # 33 samples of a function miss less than 2 % of its peak
    assert (bound <= 300 * largest + 1e-14).all()  # nor is the bound far off


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("width", [0.1, 0.5, 1.5])
@pytest.mark.parametrize("n_terms", [3, 4, 9, 16])
def test_a_second_derivative_loses_what_is_said(rng, width, n_terms):
    """Of a polynomial of n_terms, whose remainder is bounded: P (P - 1) / r**2 times as much, and no less than that."""
    offsets = np.arange(-8, 9)
    r, h = 0.5 * width / math.sqrt(2), series_module.hermite_functions
    value = series_module.remainders(width, offsets, n_terms + 1)[n_terms]
    loss = series_module._SLACK * series_module.loss_of(1, width, n_terms, 0.0, Wanted.SCALE)
    largest = np.zeros(len(offsets))
    for t in np.append(rng.uniform(-r, r, size=10), [r, -r]):
        for tau in np.append(rng.uniform(-r, r, size=10), [r, -r]):
            here = offsets * (width / math.sqrt(2)) - t
            part = sum((-tau) ** a / math.factorial(a) * f for a, f in enumerate(h(here, n_terms)[2:]))
            largest = np.maximum(largest, np.abs(h(here + tau, 3)[2] - part))
    # Half of it counts, beside the value itself.
    assert (0.5 * largest + value <= 1.02 * loss * value + 30 * EPS).all()
    if loss > series_module._SLACK:
        assert (0.5 * largest > 0.01 * loss * value).any()


@pytest.mark.thin
@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("rtol", [1e-3, 1e-6, 1e-10, 1e-12])
@pytest.mark.parametrize("own", ["none", "all", "some"])
def test_error_is_within_its_bound(rng, d, rtol, own):
    """For every query, in the tails and in gaps too; and most are as good as asked for."""
    n = 1500
    X, rows = make_rows(rng, rng.normal(size=(n, d)), p=2, weights=True)
    g = 1 / rng.uniform(0.3, 0.6, size=d) / (1 if d < 3 else 2)
    if own == "none":
        mine, Zq = None, np.vstack([rng.normal(size=(300, d)), rng.normal(size=(30, d)) * (5 if d < 3 else 2)])
    else:
        mine = np.arange(n) if own == "all" else rng.permutation(n)[:400]
        Zq = X[mine]
        if own == "some":
            mine[::3] = -1  # queries that happen to be where a row is
    layout = lay_out(rows, g, Zq, rtol=rtol)
    state, error = fast_gauss_sums(rows, g, Zq, mine, own == "all", layout=layout)
    exact, _ = unshifted(kernel_sums("gaussian", rows, g, Zq, mine))
    # The exact sums are good to some hundred eps of their terms.
    assert (np.abs(state.sums[:, 0] - exact[:, 0]) <= error + 300 * EPS * exact[:, 0]).all()
    assert (np.abs(state.sums[:, 1:] - exact[:, 1:]) <= error[:, None] + 300 * EPS * exact[:, :1]).all()
    certified = rtol * (exact[:, 0] - error) >= error
    assert certified[: len(Zq) - 30 if own == "none" else None].mean() > 0.75  # tails of three features hold few rows


def exact_derivatives(rows, g, Zq, mine, derivatives):
    """By the definition: k = exp(-s/2), s the sum of squares u_a**2, each in proportion to h_a**-2."""
    v = np.repeat(rows.w[None], len(Zq), axis=0)
    i = np.flatnonzero(mine >= 0)
    v[i, mine[i]] = rows.w_rest[mine[i]]
    u = (Zq[:, None] - rows.Z.T) * g
    s, d = np.sum(u**2, axis=2), len(g)
    factors = {
        Wanted.SCALE: [s],
        Wanted.FEATURES: [u[..., a] ** 2 for a in range(d)],
        Wanted.PAIRS: [u[..., a] * u[..., b] for a in range(d) for b in range(a, d)],
    }[derivatives]
    v *= np.exp(-0.5 * s)
    Y = np.vstack([np.ones(len(rows.w)), rows.Y]).T
    return v.sum(axis=1), np.stack([(v * f) @ Y for f in factors], axis=1)


@pytest.mark.thin
@pytest.mark.parametrize("rtol", [1e-4, 1e-8, 1e-12])
@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("derivatives", list(Wanted)[1:])
def test_derivatives_are_within_their_bound(rng, d, derivatives, rtol):
    """For every query, in the tails too: a hundred times the bound of the mass for each order, and rounding."""
    _, rows = make_rows(rng, rng.normal(size=(900, d)), p=2, weights=True)
    g = 1 / rng.uniform(0.3, 0.6, size=d) / (1 if d < 3 else 2)
    Zq = np.vstack([rows.Z.T[::3], rng.normal(size=(30, d)) * (5 if d < 3 else 2)])
    mine = np.append(np.arange(900)[::3], np.full(30, -1))
    layout = lay_out(rows, g, Zq, derivatives=derivatives, rtol=rtol)
    state, error = fast_gauss_sums(rows, g, Zq, mine, False, derivatives=derivatives, layout=layout)
    mass, exact = exact_derivatives(rows, g, Zq, mine, derivatives)
    # Coefficients have errors of some eps of the sums of absolute values, of which the n-th derivative of a polynomial
    # of degree P - 1 within r makes (P / r)**n as much, d times for the scale.
    P, r = layout.accuracy.n_terms, 0.5 * layout.accuracy.width / math.sqrt(2)
    bound = 100.0 * error[:, None] + 32 * EPS * d * (P / r) ** 2 * mass.max()
    assert (np.abs(state.derivatives - exact) <= bound[:, :, None]).all()
    assert np.abs(exact).max() > 0.1 * mass.max()
    # Nor is the bound of no use: where most rows are, it is what was asked for.
    assert np.mean(error[:300] <= rtol * mass[:300]) > 0.7


@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_coordinates_far_from_the_origin(rng, offset):
    """Cells have exact edges: no digits are lost but those that the data have not."""
    x = np.sort(rng.integers(0, 2**20, size=2000)) / 2**20  # exact, with the offset too
    _, there = make_rows(rng, x[:, None])
    here = there._replace(Z=read_only(there.Z + offset))
    g, own = np.full(1, 50.0), np.arange(2000)
    states = []
    for rows in (there, here):
        layout = lay_out(rows, g, None, rtol=1e-12)
        states.append(fast_gauss_sums(rows, g, rows.Z.T, own, True, layout=layout)[0])
    assert_allclose(states[1].sums, states[0].sums, rtol=0, atol=1e-12 * states[0].sums[:, 0].max())


@pytest.mark.parametrize("d", [1, 2])
def test_gaps_take_no_cells(rng, d):
    """Clusters a million bandwidths apart: memory is that of the clusters."""
    parts = [rng.normal(size=(300, d)) + 1e6 * i for i in range(3)]
    X, rows = make_rows(rng, np.vstack(parts))
    g, own = np.ones(d), np.arange(len(X))
    layout = lay_out(rows, g, None, rtol=1e-10)
    assert layout is not None
    n_cells = math.prod(axis.length for axis in layout.axes)
    one = lay_out(make_rows(rng, parts[0])[1], g, None, rtol=1e-10)
    # Along each feature three clusters and two gaps of a reach, about twice as long as a cluster.
    assert (
        n_cells
        <= 10**d * math.prod(axis.length for axis in one.axes) * (one.accuracy.width / layout.accuracy.width) ** d
    )
    state, error = fast_gauss_sums(rows, g, X, own, True, layout=layout)
    exact, _ = unshifted(kernel_sums("gaussian", rows, g, X, own))
    assert (np.abs(state.sums[:, 0] - exact[:, 0]) <= error + 300 * EPS * exact[:, 0]).all()


def test_all_rows_in_one_cell(rng):
    X, rows = make_rows(rng, np.full((10_000, 2), 3.7))
    own = np.arange(len(X))
    state, error = fast_gauss_sums(rows, np.ones(2), X, own, True, layout=lay_out(rows, np.ones(2), None, rtol=1e-10))
    assert_allclose(state.sums[:, 0], len(X) - 1, rtol=1e-12)
    assert (error <= 1e-10 * len(X)).all()


def test_a_hundred_thousand_ties(rng):
    """At four places, for which the sums are known."""
    n, h = 100_000, 0.5
    x = np.sort(rng.integers(4, size=n)).astype(float)
    _, rows = make_rows(rng, x[:, None])
    own, counts = np.arange(n), np.bincount(x.astype(int))
    layout = lay_out(rows, np.full(1, 1 / h), None, rtol=1e-12)
    state, error = fast_gauss_sums(rows, np.full(1, 1 / h), rows.Z.T, own, True, layout=layout)
    k = np.exp(-0.5 * ((np.arange(4)[:, None] - np.arange(4)) / h) ** 2)
    exact = (k @ counts)[x.astype(int)] - 1
    assert (np.abs(state.sums[:, 0] - exact) <= error + 8 * EPS * exact).all()
    assert (error <= 1e-12 * exact).all()


@pytest.mark.parametrize("d", [1, 2, 3])
def test_any_number_of_threads_gives_the_same_bits(rng, d, monkeypatch):
    monkeypatch.setattr(cells, "_POINTS_PER_BLOCK", 100)
    monkeypatch.setattr(fast_gauss, "_FEWEST_CELLS", 3)
    monkeypatch.setattr(fast_gauss, "_WORK_PER_BLOCK", 1)
    monkeypatch.setattr(threads, "_IN_CACHE", 64)
    X, rows = make_rows(rng, rng.uniform(size=(1500, d)), p=2)
    g, own = np.full(d, 8.0), np.arange(len(X))
    layout = lay_out(rows, g, None, derivatives=Wanted.FEATURES, rtol=1e-8)
    one, three = (
        fast_gauss_sums(rows, g, X, own, True, derivatives=Wanted.FEATURES, layout=layout, n_threads=n) for n in (1, 3)
    )
    assert_array_equal(one[0].sums, three[0].sums)
    assert_array_equal(one[0].derivatives, three[0].derivatives)
    assert_array_equal(one[1], three[1])


def test_not_a_case_for_cells(rng):
    _X, rows = make_rows(rng, rng.uniform(size=(50, 2)))
    assert lay_out(rows, np.full(2, 1e12), None, rtol=1e-10) is None  # a cell per row and ever so many between them
    assert lay_out(rows, np.ones(2), None, rtol=1e-15) is None  # more than rounding allows
    assert lay_out(rows, np.ones(2), None, rtol=0.0) is None
    _, rows = make_rows(rng, rng.uniform(size=(50, 4)))
    assert lay_out(rows, np.ones(4), None, rtol=1e-10) is None
