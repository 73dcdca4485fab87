"""Rows of one feature far from zero, or far apart, beside bandwidths: the Gaussian's cells, island by island."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sknw._core import Derivatives, Rows, kernel_sums, read_only
from sknw._core.cells.islands import Islands
from sknw._core.costs import plan
from sknw._core.within_reach import boxes as window_module

#: Some thousands of rows, for a bandwidth of 1/10.
FAR = {
    "outlier": lambda x: np.append(x, 1e15),
    "two outliers": lambda x: np.concatenate([[-1e13], x, [1e300]]),
    "sentinels": lambda x: np.concatenate([x, np.full(len(x) // 2, 1e20)]),
    "below zero": lambda x: np.concatenate([x, -1e14 + np.round(x * 64) / 64]),
    "both sides of a power of two": lambda x: np.concatenate([-1e10 + np.round(x * 2**19) / 2**19, x - 4.2e9]),
    "offset": lambda x: 2.0**40 + np.round(x * 1024) / 1024,
    "archipelago": lambda x: np.concatenate([2.0**40 + 50 * k + np.round(x * 1024) / 1024 for k in range(4)]),
    "lone rows": lambda x: np.concatenate([x, 2.0**39 + 1e3 * np.arange(30)]),
}


def make(rng, design, n=3000):
    z = np.sort(FAR[design](rng.uniform(size=n)))
    rows = Rows(*map(read_only, (z[None], rng.uniform(-1, 1, size=(2, len(z))), np.ones(len(z)), np.zeros(len(z)))))
    return rows, np.array([10.0])


@pytest.mark.parametrize("design", FAR)
def test_coordinates_from_origins_are_exact(rng, design):
    rows, g = make(rng, design, 300)
    z, islands = rows.Z[0], Islands.of(rows.Z[0], g[0])
    parts = list(islands.parts(rows))
    assert sum(part.Z.shape[1] for part in parts) == len(z)
    back = np.concatenate([part.Z[0] for part in parts])
    origin = np.repeat(islands.origins, [part.Z.shape[1] for part in parts])
    assert all(Fraction(x) + Fraction(o) == Fraction(y) for x, o, y in zip(back, origin, z, strict=True))
    assert np.abs(back).max() <= 2**36 / g[0]
    assert_array_equal(np.concatenate([part.Y for part in parts], axis=1), rows.Y)
    starts = islands.starts[1:]
    assert ((z[starts] - z[starts - 1]) * g[0] > 80).all()
    assert (z[starts - 1] < islands.borders).all()
    assert (islands.borders < z[starts]).all()
    assert all(Islands.of(part.Z[0], g[0]) is None for part in parts)


def test_where_there_are_no_islands(rng):
    x = np.sort(rng.uniform(size=100))
    assert Islands.of(x, 10.0) is None  # near zero
    assert Islands.of(1e13 * x, 1e-3) is None  # in bandwidths
    assert Islands.of(2.0**40 + 1e11 * np.arange(100), 10.0) is None  # ever so many


@pytest.mark.thin
@pytest.mark.parametrize("design", FAR)
@pytest.mark.parametrize("derivatives", [Derivatives.NOTHING, Derivatives.SCALE])
@pytest.mark.parametrize("rtol", [1e-6, 1e-12])
def test_promise(rng, design, derivatives, rtol):
    """Rows left out in turn, and queries on islands and between them, are right to `rtol`; few go by windows."""
    rows, g = make(rng, design)
    z = rows.Z[0]
    how = {"derivatives": derivatives, "rtol": rtol}
    chosen = plan("gaussian", rows, g, None, algorithm="auto", **how)
    assert (chosen.islands is None) == (design == "both sides of a power of two")  # where cells can just be counted
    between = np.concatenate([z[:-1] + u * np.diff(z) for u in (0.1, 0.5)])
    queries = np.concatenate([rng.choice(z, 200), rng.choice(between, 400), z[-5:] * 1.5, z[:3] - 1e5, [0.0, 1e16]])
    some, few = np.sort(rng.choice(len(z), 300, replace=False)), np.full(len(queries), -1)
    for x, own in ((z, np.arange(len(z))), (z[some], some), (queries, few)):
        found = kernel_sums("gaussian", rows, g, x[:, None], own, algorithm="fast_gauss", **how)
        exact = kernel_sums("gaussian", rows, g, x[:, None], own, derivatives=derivatives)
        answered = exact.sums[:, 0] > 0
        means, expected = (s.sums[answered, 1:] / s.sums[answered, :1] for s in (found, exact))
        # Sums of up to 6000 terms are rounded in another order, and those of cells lose 500 eps besides.
        assert np.abs(means - expected).max() <= 2 * rtol + 6500 * 2.3e-16
        near = exact.shift < 1e4
        if derivatives.count(1) and near.any():
            # Relative to the largest mass: derivatives are wrong by up to 100 and 100^2 times as much as that.
            scale = np.exp(0.5 * (exact.shift[near] - found.shift[near]))
            wrong = np.abs(found.dsums[near, :, 0] * scale[:, None] - exact.dsums[near, :, 0]) / scale[:, None]
            assert (wrong <= np.array([1e2, 1e4]) * (rtol + 1e-12) * exact.sums[:, 0].max()).all()


def test_time_is_not_that_of_windows(rng, monkeypatch):
    """Half of the rows are one place, where each window would hold all of them."""
    rows, g = make(rng, "sentinels", 20_000)
    asked = []
    inner = window_module.window_sums
    monkeypatch.setattr(window_module, "window_sums", lambda *a, **k: (asked.append(len(a[3])), inner(*a, **k))[1])
    for own in (np.arange(len(rows.w)), None):
        kernel_sums("gaussian", rows, g, rows.Z.T, own, algorithm="auto", rtol=1e-10)
    assert sum(asked) < 100


def test_rows_near_the_edge_of_sight_are_summed_up_over_all_islands(rng):
    """A row that is alone on its island has its nearest one on another."""
    z = np.sort(np.concatenate([2.0**40 + np.arange(1000) / 1024, 2.0**40 + np.array([100.0, 200.0])]))
    y = np.where(z > 2.0**40 + 50, 1.0, np.linspace(-1, 0, len(z)))
    rows = Rows(*map(read_only, (z[None], y[None], np.ones(len(z)), np.zeros(len(z)))))
    how = {"algorithm": "fast_gauss", "rtol": 1e-10}
    args = "gaussian", rows, np.array([10.0]), z[:, None], np.arange(len(z))
    means, expected = (s.sums[:, 1] / s.sums[:, 0] for s in (kernel_sums(*args, **how), kernel_sums(*args)))
    # 990 bandwidths away, the next row is a hundredth of one further: that has some 6e-5 of the weight.
    assert 0 < abs(expected[1000] - y[999]) < 1e-6
    assert_allclose(means, expected, rtol=0, atol=1e-10 + 1000 * 2.3e-16)
    assert means[1001] == 1.0


def test_what_is_hardly_nearer_than_another_island(rng):
    """Of two rows some 80 bandwidths away, the one on another island has 5e-9 of the weight of the nearer one."""
    first = 2.0**40
    last = np.floor(first + 2**36 / 10)  # as far as cells are counted from there
    z = np.concatenate([first + np.arange(1000) / 64, [last - 1022 / 128, last, last + 1025 / 128]])
    y = np.append(np.ones(1002), -1.0)
    rows = Rows(*map(read_only, (z[None], y[None], np.ones(len(z)), np.zeros(len(z)))))
    assert_array_equal(Islands.of(z, 10.0).starts, [0, 1002])
    args = "gaussian", rows, np.array([10.0]), z[1001:1002, None], np.array([1001])
    (found,), (exact,) = (kernel_sums(*args, **how).sums for how in ({"algorithm": "fast_gauss", "rtol": 1e-10}, {}))
    assert_allclose(1 - exact[1] / exact[0], 2 * np.exp(-0.5 * (80.078125**2 - 79.84375**2)), rtol=1e-6)
    assert_allclose(found[1] / found[0], exact[1] / exact[0], rtol=1e-10)
