"""Few pairs by NumPy: against the compiled loops of all kernels, and what a first fit loads."""

import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from calls import few_sums, kernel_sums
from problems import EPS
from sknw._core import Rows, Wanted, costs, read_only
from sknw._core.dispatch import nearest_squares
from sknw._core.every_pair import engines as engines_module

#: So many rows of each other are few pairs.
FEW_ROWS = 128

DERIVATIVES = [Wanted.VALUE, Wanted.SCALE]


def make_rows(rng, n, d, p):
    w = rng.integers(1, 4, size=n).astype(float)
    return Rows(*map(read_only, (rng.normal(size=(d, n)), rng.normal(size=(p, n)), w, w - 1)))


def by_loops(rows, g, Zq, own, derivatives):
    """The same by the compiled loops of all kernels."""
    with costs.using(few_pairs=0):
        return kernel_sums("gaussian", rows, g, Zq, own, algorithm="dense", rtol=0.0, derivatives=derivatives)


@pytest.mark.thin
@pytest.mark.parametrize("derivatives", DERIVATIVES)
@pytest.mark.parametrize(("n", "d", "p"), [(1, 1, 1), (2, 1, 3), (FEW_ROWS, 1, 1), (100, 3, 2), (FEW_ROWS, 30, 1)])
@pytest.mark.parametrize("h", [1e-3, 0.05, 0.5, 1e3])
def test_sums_are_those_of_loops(rng, n, d, p, h, derivatives):
    rows, g, own = make_rows(rng, n, d, p), np.full(d, 1 / h), np.arange(n)
    found = few_sums(rows, g, rows.Z.T, own, derivatives=derivatives)
    exact = by_loops(rows, g, rows.Z.T, own, derivatives)
    # Squared distances are right to (d/2 + 3) eps on either side, and weights to half of that times s, as far as they
    # count: within 80 of the nearest row. Of derivatives s times weights, s (s - 2) times weights add up.
    far = np.where(np.isinf(exact.offset), 0.0, exact.offset)[:, None]
    error = 2 * ((d / 2 + 3) * (far + 80) + n) * EPS * exact.sums[:, :1] * np.abs(rows.Y).max()
    assert_allclose(found.offset, exact.offset, rtol=2 * (d / 2 + 3) * EPS)
    assert (np.abs(found.sums - exact.sums) <= error).all()
    for q in range(exact.derivatives.shape[1]):
        size = ((far + 80) ** (1 + q)) * (1 + q)
        assert (np.abs(found.derivatives[:, q] - exact.derivatives[:, q]) <= size * error).all()


def test_nobody_is_anywhere(rng):
    """Distances that overflow, and rows of which nothing is left, have no weight and leave no NaN."""
    rows = make_rows(rng, 5, 2, 1)
    Z = rows.Z.copy()
    Z[:, 0] = 1e300
    rows = rows._replace(Z=read_only(Z), w_rest=read_only(np.zeros(5)))
    for derivatives in DERIVATIVES:
        found = few_sums(rows, np.full(2, 1e10), rows.Z.T, np.arange(5), derivatives=derivatives)
        exact = by_loops(rows, np.full(2, 1e10), rows.Z.T, np.arange(5), derivatives)
        assert_array_equal(found.offset[0], np.inf)
        for a, b in zip(found, exact, strict=True):
            assert_allclose(a, b, rtol=1e-12)


def test_the_rest_of_more_rows(rng, monkeypatch):
    """Rows that are far from all others are left to it, if they are few."""
    rows, g, asked, few = make_rows(rng, 700, 1, 1), np.full(1, 30.0), [], engines_module.few_sums
    Z = rows.Z.copy()
    Z[0, 3:6] = [40.0, 60.0, -50.0]
    Z.sort()
    rows, own = rows._replace(Z=read_only(Z), w_rest=read_only(np.zeros(700))), np.arange(700)
    monkeypatch.setattr(
        engines_module, "few_sums", lambda *args, **options: asked.append(args[3]) or few(*args, **options)
    )
    found = kernel_sums("gaussian", rows, g, rows.Z.T, own, algorithm="dense", rtol=1e-10)
    assert {0, 698, 699} <= set(np.concatenate(asked))
    exact = by_loops(rows, g, rows.Z.T, own, Wanted.VALUE)
    assert_allclose(found.sums[:, 1] / found.sums[:, 0], exact.sums[:, 1] / exact.sums[:, 0], rtol=0, atol=1e-10)


@pytest.mark.parametrize(("n", "d"), [(1, 1), (2, 3), (1500, 2), (700, 20)])
def test_nearest(rng, n, d):
    Z = rng.normal(size=(n, d))
    found = nearest_squares(Z, n_threads=2)
    s = np.square(Z[:, None] - Z).sum(axis=2)
    np.fill_diagonal(s, np.inf)
    assert_allclose(found, s.min(axis=1), rtol=2 * (d / 2 + 3) * EPS)


@pytest.mark.slow
def test_a_first_fit_of_few_rows_compiles_nothing():
    code = """
import sys
import numpy as np
from sknw import NadarayaWatsonRegressor
x = np.linspace(0, 5, 100)
for X in (x[:, None], np.column_stack([x, np.sin(9 * x)])):
    model = NadarayaWatsonRegressor().fit(X, np.sin(x))
    assert 0.001 < model.bandwidth_[0] < 1
assert "numba" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
