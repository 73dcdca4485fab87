"""Sums at the nodes of cells: interpolation, its bounds, and sums of every pair beside it."""

import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from calls import kernel_sums
from problems import EPS, rows_of
from sknw._core import Wanted
from sknw._core.cells import chebyshev as nodes_module
from sknw._core.cells import chebyshev_loops
from sknw._core.cells.chebyshev import Nodes
from sknw._core.cells.chebyshev_grid import N_NODES, NODES, Grid, lagrange
from sknw._core.cells.node_fields import by_cell, last_coefficients, least_of_cell


def make_rows(rng, X, p=1):
    n = len(X)
    w = rng.integers(1, 4, size=n).astype(float)
    return rows_of(X, rng.uniform(-1, 1, size=(p, n)).T, w)


def places(grid):
    """All nodes, in the order of the fields' entries."""
    axes = [
        low + ((np.arange(count)[:, None] + 0.5 + 0.5 * NODES) * size).ravel()
        for low, size, count in zip(grid.low, grid.sizes, grid.counts, strict=True)
    ]
    return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)


def test_lagrange():
    assert chebyshev_loops.DEGREES == N_NODES
    # Nodes are right to an eps, and slopes of polynomials of degree k below k**2: Markov's inequality.
    assert_allclose(lagrange(NODES), np.eye(N_NODES), atol=N_NODES**2 * EPS)
    x = np.linspace(-1, 1, 10_001)
    largest = np.abs(lagrange(x)).sum(axis=1).max()
    assert 0.99 * nodes_module._LEBESGUE < largest <= nodes_module._LEBESGUE
    for k in range(N_NODES):  # degrees below that are theirs
        assert_allclose(lagrange(x) @ NODES**k, x**k, atol=100 * EPS)


@pytest.mark.parametrize("width", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_remainder_is_a_bound(width, order):
    """Of the kernel, and 20 times as much of each further derivative in the logarithm of the bandwidth."""
    x, r = np.linspace(-1, 1, 201), 0.5 * width
    k = [lambda s: np.exp(-s / 2), lambda s: s * np.exp(-s / 2), lambda s: (s - 2) * s * np.exp(-s / 2)][order]
    shares = []
    for u in np.linspace(-9, 9, 181):  # from the query to the middle of the cell
        missed = np.abs(lagrange(x) @ k((u + r * NODES) ** 2) - k((u + r * x) ** 2)).max()
        nearest = max(abs(u) - r, 0.0)
        bound = 20**order * nodes_module._remainder(r) * math.exp(-(nearest**2) / 4)
        # Values of up to 2.4, some eps wrong each, and 16 of them with the Lebesgue constant.
        assert missed <= bound + 2.4 * 30 * EPS
        shares.append(missed / bound)
    assert width < 2 or max(shares) > (0.3, 0.1, 0.02)[order]


@pytest.mark.parametrize("d", [1, 2, 3])
def test_moments_know_sums_of_polynomials(rng, d):
    """Of degrees below that of the nodes, exactly; in wider cells, too. A cell may hold nobody."""
    X = rng.normal(size=(500, d)) + 1e5  # digits of the range are what counts
    rows = make_rows(rng, X, p=2)
    nodes = Nodes(rows, Grid.over(rows.Z, [8] * len(rows.Z)))
    assert nodes.grid.counts.prod() <= 64 or (by_cell(nodes.moments([0] * d)[0]) == 0).any()
    for levels in ([0] * d, [1] * d, [3] + [0] * (d - 1), [3] * d):
        grid = nodes.grid.coarser(np.array(levels))
        moments = nodes.moments(levels)
        degrees = rng.integers(0, N_NODES, size=d)
        # Within each cell, powers of the distance from its middle, in half widths.
        cell = np.floor(np.minimum((X - grid.low) / grid.sizes, grid.counts - 1))
        inside = 2 * ((X - grid.low) / grid.sizes - cell) - 1
        f = np.prod(inside**degrees, axis=1)
        at_nodes = 1.0
        for k, degree in enumerate(degrees):
            line = np.tile(NODES**degree, int(grid.counts[k]))
            at_nodes = at_nodes * line.reshape([-1 if axis == k else 1 for axis in range(d)])
        channels = [rows.w, *(rows.w * rows.Y), *(rows.w * rows.Y**2)]
        # Places are right to an eps of a cell here, to 1e5 eps where the test forms them; powers to 15 times that.
        atol = 15 * d * 1e5 * EPS * 8 / 6 * 2 * rows.w.sum()
        for v, m in zip(channels, moments, strict=True):
            assert abs(np.sum(v * f) - np.sum(m * at_nodes)) <= atol
    assert np.abs(np.sum(channels[1] * f)) > 1e3 * atol


@pytest.mark.thin
@pytest.mark.parametrize("rtol", [1e-4, 1e-8, 1e-12])
@pytest.mark.parametrize(("d", "count"), [(1, 64), (2, 16), (3, 4)])
@pytest.mark.parametrize("derivatives", [d for d in Wanted if d != Wanted.PAIRS])
def test_sums_are_within_their_bound(rng, d, count, rtol, derivatives):
    """At each node, where hardly any row is, too."""
    rows = make_rows(rng, rng.normal(size=(700, d)), p=2)
    nodes = Nodes(rows, Grid.over(rows.Z, [count] * d), n_threads=2)
    g = 1 / (nodes.grid.sizes * rng.uniform(1.0, 1.9, size=d))
    levels = nodes.levels_for(g, 2.0 if rtol > 1e-10 else 1.0)
    assert levels is not None
    sums, dsums, error = nodes.sums(g, levels, derivatives=derivatives, rtol=rtol)
    state = kernel_sums("gaussian", rows, g, places(nodes.grid.coarser(levels)), derivatives=derivatives)
    factor = np.exp(-0.5 * state.offset)
    exact, dexact = state.sums * factor[:, None], state.derivatives * factor[:, None, None]
    shape = sums.shape[1:]
    bound = error
    for axis in range(d):
        bound = np.repeat(bound, N_NODES, axis=axis)
    # The exact sums are good to some hundred eps of their terms.
    missed = np.abs(sums - exact.T.reshape(-1, *shape))
    assert (missed <= bound + 300 * EPS * exact[:, 0].reshape(shape)).all()
    # Nor is the bound of no use: where most rows are, it is what was asked for.
    mass = exact[:, 0].reshape(shape)
    assert (bound <= rtol * mass)[mass > 1e-2 * mass.max()].all()
    assert len(dsums) == derivatives.count(d)
    for k, a in enumerate(dsums):
        missed = np.abs(a - dexact[:, k].T.reshape(-1, *shape))
        # Terms of up to 8 times the mass nearby, of which rounding is a share.
        assert (missed <= 20 * bound + 8 * 300 * EPS * exact[:, 0].max()).all()
        assert np.abs(a).max() > 0.1 * exact[:, 0].max()


@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_bound_is_that_of_rows_at_the_worst_place(rng, d):
    """Where all rows of a cell are at the place that interpolation misses most, errors add up."""
    ends = np.vstack([np.zeros(d), np.full(d, 4.0)])
    shares = []
    for place in np.linspace(0.02, 0.98, 25):
        X = np.vstack([ends, np.full((500, d), 2.0 + place)])
        rows = make_rows(rng, X)
        nodes = Nodes(rows, Grid.over(rows.Z, [4] * d))
        g = 2 / nodes.grid.sizes  # cells of two bandwidths
        sums, _, error = nodes.sums(g, [0] * d, rtol=1e-12)
        inside = tuple(slice(2 * N_NODES, 3 * N_NODES) for _ in range(d))
        exact = kernel_sums("gaussian", rows, g, places(nodes.grid))
        exact = (exact.sums[:, 0] * np.exp(-0.5 * exact.offset)).reshape(sums.shape[1:])[inside]
        missed = np.abs(sums[0][inside] - exact)
        bound = error[(2,) * d]
        assert (missed <= bound + 300 * EPS * exact).all()
        shares.append(missed.max() / bound)
    assert max(shares) > 0.1 / 3 ** (d - 1)


def test_bits_do_not_depend_on_threads(rng):
    for d, count in ((1, 128), (2, 16)):
        rows = make_rows(rng, rng.uniform(size=(40_000, d)))
        grid = Grid.over(rows.Z, [count] * d)
        found = []
        for n_threads in (1, 3):
            nodes = Nodes(rows, grid, n_threads)
            g = 1 / nodes.grid.sizes
            sums, dsums, error = nodes.sums(g, [0] * d, derivatives=Wanted.SCALE, rtol=1e-10)
            found.append((nodes.moments([1] * d), sums, *dsums, error))
        for a, b in zip(*found, strict=True):
            assert_array_equal(a, b)


def test_by_cell():
    field = np.arange(2.0 * 3 * N_NODES**2).reshape(2 * N_NODES, 3 * N_NODES)
    blocks = [[field[i : i + N_NODES, j : j + N_NODES] for j in (0, 16, 32)] for i in (0, 16)]
    assert_allclose(by_cell(field), [[block.sum() for block in line] for line in blocks], rtol=1e-14)
    assert_array_equal(least_of_cell(field), [[block.min() for block in line] for line in blocks])


@pytest.mark.parametrize("d", [1, 2, 3])
def test_last_coefficients_see_what_is_no_polynomial(d):
    """In whatever feature: a step, a kink, and the first degree that nodes do not have."""
    smooth = sum(np.meshgrid(*[NODES] * d, indexing="ij")) ** 9
    assert (last_coefficients(smooth) < 1e-10).all()
    for f in (lambda x: (x > 0.1) * 1.0, np.abs, lambda x: np.cos((N_NODES - 1) * np.arccos(x))):
        for axis in range(d):
            rough = smooth + f(NODES).reshape([-1 if k == axis else 1 for k in range(d)])
            assert (last_coefficients(rough) > 1e-3).all()


def test_where_nodes_are_no_use(rng):
    """Few rows, features without a range or with one that overflows, and many features."""
    X = rng.uniform(size=(20_000, 2))
    assert Nodes.of(make_rows(rng, X)) is not None
    assert Nodes.of(make_rows(rng, X[:100])) is None
    assert Nodes.of(make_rows(rng, np.column_stack([X, X]))) is None
    assert Nodes.of(make_rows(rng, X * [1, 0])) is None
    assert Nodes.of(make_rows(rng, (2 * X - 1) * [1, np.finfo(float).max])) is None
    assert Nodes.of(make_rows(rng, X), np.array([1e-5, 1e-5])) is None
    assert Nodes.of(make_rows(rng, X + 1e12), np.array([1e-2, 1e-2])) is None
    assert Nodes.of(make_rows(rng, X), np.array([0.3, np.inf])).grid.counts.tolist() == [4, 1]


@pytest.mark.parametrize("offset", [0.0, -3.7, 1e8])
def test_cells_have_exact_middles(rng, offset):
    Z = rng.uniform(size=(2, 1000)) * [[1.0], [0.1]] + offset
    for counts in ([10, 3], [32, 16], [1, 1]):
        grid = Grid.over(Z, np.array(counts))
        for z, low, size, count in zip(Z, grid.low, grid.sizes, counts, strict=True):
            middles = [Fraction(low) + Fraction(2 * i + 1, 2) * Fraction(size) for i in range(count)]
            assert middles == [low + (i + 0.5) * size for i in range(count)]
            assert z.min() - 0.01 * size < low <= z.min()
            assert z.max() < low + count * size < z.max() + 0.02 * count * size


def test_levels_for(rng):
    nodes = Nodes.of(make_rows(rng, rng.uniform(size=(50_000, 1))))
    size = nodes.grid.sizes[0]
    assert nodes.grid.counts[0] == 3072
    assert nodes.levels_for(np.array([1 / size]), 2.0) == [1]
    assert nodes.levels_for(np.array([1 / size]), 1.0) == [0]
    assert nodes.levels_for(np.array([1.01 / size]), 1.0) is None
    assert nodes.levels_for(np.array([1e-300]), 1.0) == [10]


def test_memory_of_wider_cells(rng):
    """However many shapes of cells are asked for."""
    rows = make_rows(rng, rng.uniform(size=(3000, 3)))
    nodes = Nodes(rows, Grid.over(rows.Z, [4] * 3))
    first = nodes.moments((0, 0, 0))
    for levels in np.ndindex(3, 3, 3):
        again = nodes.moments(levels)
        assert sum(a.size for a in nodes._wider.values()) < 1.6 * first.size
        assert_allclose(again[0].sum(), rows.w.sum(), rtol=1e-13)
    assert nodes.moments((0, 0, 0)) is first


@pytest.mark.parametrize("levels", [(0, 0), (2, 1), (3, 3)])
def test_rows_of_cells(rng, levels):
    rows = make_rows(rng, rng.uniform(size=(3000, 2)))
    nodes = Nodes(rows, Grid.over(rows.Z, [8] * len(rows.Z)))
    grid = nodes.grid.coarser(np.array(levels))
    mask = rng.uniform(size=grid.counts) < 0.4
    place = np.minimum((rows.Z.T - grid.low) // grid.sizes, grid.counts - 1).astype(int)
    assert_array_equal(nodes.rows_of(mask, levels), np.flatnonzero(mask[tuple(place.T)]))
