"""Distances from products of matrices against differences, and gradients by reverse mode against forward mode."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sknw._core import PROFILES, Derivatives, Rows, kernel_sums, pull_back, read_only
from sknw._core import _products as products_module

EPS = np.finfo(np.float64).eps
DIFFERENTIABLE = [name for name, profile in PROFILES.items() if profile.differentiable]


def make_rows(rng, n, d, p, offset=0.0):
    w = rng.integers(1, 4, size=n).astype(float)
    X, y = rng.normal(size=(n, d)) + offset, rng.normal(size=(n, p))
    return X, Rows(read_only(X.T), read_only(y.T), read_only(w), read_only(w - 1))


def sums(rows, g, Zq, own=None, *, rtol, **options):
    return kernel_sums("gaussian", rows, g, Zq, own, algorithm="dense", rtol=rtol, **options)


@pytest.mark.parametrize("offset", [0.0, 1e8])
@pytest.mark.parametrize(("n", "m", "d"), [(1, 1, 19), (511, 3, 30), (513, 300, 19), (1200, 257, 100)])
@pytest.mark.parametrize("leave_out", [False, True])
def test_sums_are_those_of_differences(rng, n, m, d, offset, leave_out):
    X, rows = make_rows(rng, n, d, 2, offset)
    g = 1 / rng.uniform(1.0, 2.0, size=d) / np.sqrt(d)
    own = rng.integers(n, size=m) if leave_out else None
    Zq = X[own] if leave_out else rng.normal(size=(m, d)) + offset
    exact = sums(rows, g, Zq, own, rtol=0, derivatives=Derivatives.SCALE)
    found = sums(rows, g, Zq, own, rtol=1e-10, derivatives=Derivatives.SCALE)
    # Scaled coordinates are within 5, in each of d features 5 / sqrt(d): squares add up to 50, of which the bound in
    # `_products` makes an error of weights, and both ways sum up 1200 numbers. An offset costs nothing, as differences
    # of coordinates are exact to half an ulp of those before it: both ways see the same ones.
    bound = (d + 6) * EPS / 2 * 50 + 1200 * EPS
    scale = exact.sums[:, :1] * np.abs(rows.Y).max()
    assert (np.abs(found.sums - exact.sums) <= bound * scale).all()
    assert (np.abs(found.dsums[:, 0] - exact.dsums[:, 0]) <= 60 * bound * scale).all()  # s <= 50, and its own error
    assert_allclose(found.shift, exact.shift, rtol=0, atol=2 * bound)
    if n > 1:
        assert (found.sums != exact.sums).any()  # or else it has not been used


def test_without_enough_digits_differences_are_taken(rng):
    """Narrow bandwidths and far queries: squared distances are the same bits as if no products had been asked for."""
    X, rows = make_rows(rng, 700, 20, 1)
    narrow = np.full(20, 1e4)
    assert_array_equal(sums(rows, narrow, X + 1.0, rtol=1e-10).shift, sums(rows, narrow, X + 1.0, rtol=0).shift)
    Zq, g = X[:40].copy(), np.full(20, 0.3)
    Zq[7] = 1e9  # the middle of the block is far from everybody
    assert_array_equal(sums(rows, g, Zq, rtol=1e-12).shift, sums(rows, g, Zq, rtol=0).shift)
    assert (sums(rows, g, X[1:] + 0.1, rtol=1e-12).shift != sums(rows, g, X[1:] + 0.1, rtol=0).shift).any()
    Zq[7] = 1e200
    assert np.isfinite(sums(rows, g, Zq, rtol=1e-10).sums).all()


def test_the_promise_is_kept_where_products_lose_digits(rng):
    """At each bandwidth down to a millionth of the spread, averages are right to rtol."""
    X, rows = make_rows(rng, 600, 24, 1)
    for h in np.logspace(-6, 1, 15):
        g = np.full(24, 1 / h)
        for rtol in (1e-6, 1e-10, 1e-13):
            exact, found = (sums(rows, g, X + 1e-3 * h, rtol=tolerance).sums for tolerance in (0.0, rtol))
            error = np.abs(found[:, 1] / found[:, 0] - exact[:, 1] / exact[:, 0]).max()
            assert error <= (rtol + 64 * EPS) * np.ptp(rows.Y)


@pytest.mark.parametrize("kernel", DIFFERENTIABLE)
@pytest.mark.parametrize("derivatives", [Derivatives.FEATURES, Derivatives.PAIRS])
@pytest.mark.parametrize(("d", "rtol"), [(1, 0.0), (3, 0.0), (20, 0.0), (20, 1e-10)])
@pytest.mark.parametrize("leave_out", [False, True])
def test_reverse_mode_is_forward_mode(rng, kernel, derivatives, d, rtol, leave_out):
    n, m, p = 530, 270, 2
    X, rows = make_rows(rng, n, d, p, 1e4)
    g, own = np.full(d, 0.6 / np.sqrt(d)), np.arange(m) if leave_out else None
    Zq = X[:m] if leave_out else rng.normal(size=(m, d)) + 1e4
    state = kernel_sums(kernel, rows, g, Zq, own, derivatives=derivatives)
    adjoints = rng.normal(size=(m, 1 + p))
    expected = np.einsum("ic,iqc->q", adjoints, state.dsums)
    found = pull_back(kernel, rows, g, Zq, own, state.shift, adjoints, derivatives=derivatives, rtol=rtol)
    # Both add up n m numbers t_a t_b u, |t| <= 6, by products of a block whose coordinates are below 12: their
    # magnitudes bound the rounding, and n + m of them follow each other in a sum. s is known to the bound above.
    magnitude = np.einsum("ic,iqc->q", np.abs(adjoints), np.abs(state.dsums)).max()
    assert_allclose(found, expected, rtol=0, atol=100 * (n + m) * EPS * magnitude)
    again = pull_back(kernel, rows, g, Zq, own, state.shift, adjoints, derivatives=derivatives, rtol=rtol, n_threads=2)
    assert_array_equal(found, again)


def test_reverse_mode_ignores_what_is_out_of_reach(rng):
    """Coordinates whose squares overflow have no weight, and leave no NaN."""
    X, rows = make_rows(rng, 50, 3, 1)
    far = np.asarray(rows.Z).copy()
    far[:, 7] = 1e200
    rows = rows._replace(Z=read_only(far))
    state = kernel_sums("gaussian", rows, np.ones(3), X[:5], derivatives=Derivatives.PAIRS)
    adjoints = np.ones((5, 2))
    found = pull_back("gaussian", rows, np.ones(3), X[:5], None, state.shift, adjoints, derivatives=Derivatives.PAIRS)
    assert_allclose(found, np.einsum("ic,iqc->q", adjoints, state.dsums), rtol=1e-12)


def test_memory_is_that_of_a_block(rng):
    """No n x m array, nor one of derivatives of each sum: blocks, and what is returned."""
    n, d = 6000, 30
    X, rows = make_rows(rng, n, d, 1)
    g = np.full(d, 0.2)
    block = 8 * products_module._BLOCK * (products_module._TILE + d) + 8 * products_module._TILE * (d + 6)
    for call, result in (
        (lambda: sums(rows, g, X, rtol=1e-10, n_threads=2), 8 * n * 3),
        (
            lambda: pull_back(
                "gaussian", rows, g, X, None, np.zeros(n), np.ones((n, 2)), derivatives=Derivatives.PAIRS, n_threads=2
            ),
            8 * n * 2 + 8 * 24 * d * d,
        ),
    ):
        call()
        tracemalloc.start()
        call()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # Two threads; of an array of (block, tile), of (block, d) or of (d, tile) some four at a time.
        assert peak < result + 2 * 4 * block + 2**19
