"""Many bandwidths in one pass, against one by one."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from calls import kernel_sums, kernel_sums_of_scales
from problems import DIFFERENTIABLE, EPS, make_rows
from sknw._core import KERNELS, Wanted, read_only
from sknw._core.every_pair import tiles as tiles_module


@pytest.mark.thin
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("n", "d", "p"), [(1, 2, 1), (255, 1, 2), (256, 3, 1), (513, 2, 2)])
@pytest.mark.parametrize("leave_out", [False, True])
def test_series_of_scales_is_that_of_single_ones(rng, kernel, n, d, p, leave_out):
    X, y, w, rows = make_rows(rng, n, d, p)
    own = np.r_[np.arange(n), -1] if leave_out else None
    queries, g, n_scales = np.vstack([X, np.full(d, 1e3)]), rng.uniform(0.2, 0.4, size=d), 9
    derivatives = Wanted.SCALE if KERNELS[kernel].differentiable else Wanted.VALUE
    plain = kernel_sums_of_scales(kernel, rows, g, queries, own, places=range(n_scales))
    found = kernel_sums_of_scales(kernel, rows, g, queries, own, places=range(n_scales), derivatives=derivatives)
    for k, state in enumerate(found):
        one = kernel_sums(kernel, rows, g * 2 ** (k / 2), queries, own, derivatives=derivatives)
        # Both ways s has a relative error of (d/2 + 3) eps, and the factor one of 2 eps, twice that in its square.
        of_s = (d + 10) * EPS
        assert_allclose(state.offset, one.offset, rtol=of_s)
        # |s k'(s)| <= 1.5 where a kernel ends. Relative to the nearest row, at s_0, a Gaussian's weight changes by
        # v (s + s_0) / 2 <= s_0 + 1 of that, and v s by at most 3 (1 + s_0)**2. Sums of n numbers have n eps more.
        endless = KERNELS[kernel].reach == math.inf
        low = np.where(np.isfinite(one.offset) & endless, one.offset, 0.0)
        scale = w.sum() * max(1, np.abs(y).max())
        atol = (3 * (1 + low) * of_s + (2 * n + 5) * EPS) * scale
        assert (np.abs(state.sums - one.sums) <= atol[:, None]).all()
        assert (np.abs(plain[k].sums - state.sums) <= (2 * n * EPS) * scale).all()
        atol = (3 * (1 + low) * of_s + (2 * n + 5) * EPS) * (1 + low) * scale
        assert (np.abs(state.derivatives - one.derivatives) <= atol[:, None, None]).all()
        if KERNELS[kernel].reach < math.inf:  # the same neighborhoods are empty
            assert_array_equal(state.sums[:, 0] == 0, one.sums[:, 0] == 0)


@pytest.mark.parametrize("rtol", [0.0, 4 * EPS, 1e-14, 1e-12, 1e-9, 1e-6])
def test_series_of_scales_is_right_to_rtol(rng, rtol):
    """Distances are the same, so that nothing but squares of weights makes a difference."""
    _, _, _, rows = make_rows(rng, 3, 1, 1, weights=False)
    queries, asked = rng.normal(size=(500, 1)), {"places": range(40)}
    exact = kernel_sums_of_scales("gaussian", rows, np.array([1e-3]), queries, **asked)
    found = kernel_sums_of_scales("gaussian", rows, np.array([1e-3]), queries, rtol=rtol, **asked)
    # A power is right to 2 eps and a square adds half of one, so after k squares it is wrong by 2.5 2**k eps, and
    # 2**k eps <= rtol; the power itself has 2 eps, and its argument t, |t| v <= 1, two roundings: alike on both sides.
    for a, b in zip(exact, found, strict=True):
        assert_array_equal(a.offset, b.offset)
        assert np.abs(a.sums[:, 0] - b.sums[:, 0]).max() <= 3 * (2.5 * rtol + 5 * EPS)
    differ = [(a.sums != b.sums).any() for a, b in zip(exact, found, strict=True)]
    assert any(differ) == (rtol > 0)
    squares = int(math.log2(rtol / EPS)) if rtol else 0
    assert not any(differ[:: squares + 1])  # formed anew


def test_series_of_scales_leaves_no_nan_where_distances_overflow(rng):
    X, _, _, rows = make_rows(rng, 300, 1, 1)
    Z = X.T.copy()
    Z[0, 7], Z[0, 280] = 1e200, 1e154  # the second one's squares overflow from the second bandwidth on
    rows = rows._replace(Z=read_only(Z))
    for kernel in DIFFERENTIABLE:
        for rtol in (0.0, 1e-6):
            asked = {"places": range(4), "derivatives": Wanted.SCALE, "rtol": rtol}
            for k, state in enumerate(kernel_sums_of_scales(kernel, rows, np.ones(1), Z.T, np.arange(300), **asked)):
                g = np.full(1, 2 ** (k / 2))
                one = kernel_sums(kernel, rows, g, Z.T, np.arange(300), derivatives=Wanted.SCALE)
                assert_array_equal(np.isinf(state.offset), np.isinf(one.offset))
                assert np.isfinite(state.sums).all()
                # From 1e154 all others are 1e308 away, and so large are their sums' derivatives.
                assert np.isfinite(state.derivatives[one.offset < 1e300]).all()
                assert_array_equal(state.sums[np.isinf(one.offset)], 0.0)


def test_series_of_scales_on_any_number_of_threads(rng, monkeypatch):
    monkeypatch.setattr(tiles_module, "_WORK_PER_BLOCK", 1)
    X, _, _, rows = make_rows(rng, 300, 2, 2)
    asked = {"places": range(5), "derivatives": Wanted.SCALE, "rtol": 1e-6}
    one, three = (
        kernel_sums_of_scales("gaussian", rows, np.ones(2), X, np.arange(300), n_threads=n, **asked) for n in (1, 3)
    )
    for a, b in zip(one, three, strict=True):
        for x, z in zip(a, b, strict=True):
            assert_array_equal(x, z)
    monkeypatch.undo()
    for a, b in zip(one, kernel_sums_of_scales("gaussian", rows, np.ones(2), X, np.arange(300), **asked), strict=True):
        assert_array_equal(a.sums, b.sums)


@pytest.mark.parametrize("kernel", ["gaussian", "biweight"])
def test_some_places_of_a_series(rng, kernel):
    X, _, _, rows = make_rows(rng, 700, 2, 2)
    args, places = (kernel, rows, np.full(2, 0.1), X, np.arange(700)), [0, 1, 4, 9, 10, 30]
    options = {"derivatives": Wanted.SCALE, "rtol": 1e-12}
    every = kernel_sums_of_scales(*args, places=range(31), **options)
    for k, state in zip(places, kernel_sums_of_scales(*args, places=places, **options), strict=True):
        for a, b in zip(state, every[k], strict=True):
            assert_array_equal(a, b)


def test_light_rows_keep_their_digits_in_a_series(rng):
    X, _, _, rows = make_rows(rng, 300, 1, 1)
    rows = rows._replace(w=read_only(np.where(X[:, 0] > 0, 1e-150, 1.0)))
    states = kernel_sums_of_scales("gaussian", rows, np.ones(1), X, places=range(12), rtol=1e-12)
    for k, state in enumerate(states):
        one = kernel_sums("gaussian", rows, np.full(1, 2 ** (k / 2)), X)
        found, exact = (a.sums[:, 1] / a.sums[:, 0] for a in (state, one))
        assert_allclose(found, exact, rtol=0, atol=1e-11 * np.ptp(rows.Y))
