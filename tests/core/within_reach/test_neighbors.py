"""Each row left out in turn, in one feature: what `test_window.py` does not do with `Neighbors`."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from calls import kernel_sums, make_problem, neighbor_sums, window_sums
from sknw._core import KERNELS, Rows, Wanted, read_only
from sknw._core.dispatch import choose
from sknw._core.within_reach import leave_one_out as neighbors_module
from sknw._core.within_reach import reach as reach_module


def sums_of_all(kernel, rows, g, n_threads=1, **options):
    return neighbor_sums(kernel, rows, g, 0, len(rows.w), n_threads=n_threads, **options)


def make_rows(z, y, w):
    order = np.argsort(z, kind="stable")
    return Rows(read_only(z[order][None]), read_only(y[order].T), read_only(w[order]), read_only(np.maximum(w - 1, 0)))


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("kernel", [*KERNELS, "nearest"])
@pytest.mark.parametrize("n", [1, 2, 511, 512, 513, 1300])
def test_ties_clusters_and_lone_rows(rng, kernel, n):
    """Distances from none to such that their squares overflow; blocks that end before, at and after the last row."""
    z = np.concatenate([np.round(rng.normal(size=n), 1), 1e-9 * rng.normal(size=n), 10.0 ** rng.uniform(1, 300, n)])
    z, y = rng.permutation(z)[:n], rng.normal(size=(n, 2))
    for w in (np.ones(n), rng.integers(1, 4, size=n).astype(float), rng.uniform(0.5, 1.5, size=n)):
        rows, own, g = make_rows(z, y, w), np.arange(n), np.array([1 / 0.05])
        derivatives = Wanted.VALUE if kernel == "nearest" else Wanted.SCALE
        exact = kernel_sums(kernel, rows, g, rows.Z.T, own, derivatives=derivatives)
        found = sums_of_all(kernel, rows, g, derivatives=derivatives)
        assert_array_equal(found.offset, exact.offset)
        # Of n terms, added one after the other or in lanes; the profiles are the same functions.
        mass, rounding = exact.sums[:, 0], (1300 + 148) * np.finfo(float).eps * np.abs(y).max()
        assert (np.abs(found.sums - exact.sums) <= rounding * mass[:, None] + 1e-300).all()
        if kernel == "nearest":
            continue
        near = exact.offset < 1e12  # beyond that, derivatives have no digits
        # The sizes of the terms: of kernels with a reach, at most 27 times the weights in it; with u or s instead of e,
        # those of the others are v e.
        if np.isfinite(KERNELS[kernel].reach):
            size = 27 * kernel_sums("tophat", rows, g, rows.Z.T, own).sums[:, 0]
        else:
            size = np.where(near, exact.derivatives[:, 0, 0], 0) + mass
        error = np.abs(found.derivatives[near, 0] - exact.derivatives[near, 0])
        assert (error <= rounding * size[near, None] + 1e-300).all()


def test_weights_over_many_decades_keep_their_promise(rng):
    """What is neglected is a share of the mass that a row sees, be that ever so light."""
    n = 2000
    rows = make_rows(rng.normal(size=n), rng.normal(size=(n, 1)), 10.0 ** rng.uniform(-12, 0, size=n))
    rows = rows._replace(w_rest=read_only(np.zeros(n)))
    for rtol in (1e-3, 1e-10):
        found = sums_of_all("gaussian", rows, np.array([100.0]), derivatives=Wanted.SCALE, rtol=rtol)
        exact = kernel_sums("gaussian", rows, np.array([100.0]), rows.Z.T, np.arange(n), derivatives=Wanted.SCALE)
        mass = exact.sums[:, :1]
        slack = rtol + 4000 * np.finfo(float).eps
        assert (np.abs(found.sums - exact.sums) <= slack * mass * np.abs(rows.Y).max()).all()
        slope = exact.derivatives[:, 0, :1] + mass
        assert (np.abs(found.derivatives - exact.derivatives)[:, 0] <= slack * slope * np.abs(rows.Y).max()).all()
        assert (found.sums != exact.sums).any() or rtol < 1e-3  # some has been neglected


def test_no_more_neighbors_are_visited_than_the_row_with_most_of_a_block_has(rng, monkeypatch):
    n, counted = 20_000, []
    rows = make_rows(rng.uniform(size=n), rng.normal(size=(n, 1)), np.ones(n))
    g, within = np.array([2000.0]), np.zeros(n, np.int64)
    window_sums("epanechnikov", rows, g, rows.Z.T, np.arange(n), visited=within)

    def leave_out_each(*args):
        counted.append(args)
        return inner(*args)

    # With a budget of so many pairs, one call takes one block more than that is enough for.
    inner, block = neighbors_module.leave_out_each, neighbors_module._BLOCK
    monkeypatch.setattr(neighbors_module, "leave_out_each", leave_out_each)
    monkeypatch.setattr(reach_module, "_WORK_PER_CALL", 2 * (4 * block * (within.max() + 2) - 1))
    sums_of_all("epanechnikov", rows, g, derivatives=Wanted.VALUE)
    assert len(counted) <= n / (2 * block) + neighbors_module._ROWS_PER_CALL / block


def test_a_call_ends_when_it_has_done_its_share(rng, monkeypatch):
    """And goes on where it was, with the same bits for any number of threads."""
    rows = make_rows(rng.normal(size=9000), rng.normal(size=(9000, 1)), np.ones(9000))
    calls, inner = [], neighbors_module.leave_out_each
    monkeypatch.setattr(neighbors_module, "leave_out_each", lambda *args: calls.append(args) or inner(*args))
    g, options = np.array([30.0]), {"derivatives": Wanted.SCALE, "rtol": 1e-10}
    one = sums_of_all("gaussian", rows, g, **options)
    few = len(calls)
    monkeypatch.setattr(reach_module, "_WORK_PER_CALL", 1)
    calls.clear()
    two, three = (sums_of_all("gaussian", rows, g, n_threads=n_threads, **options) for n_threads in (1, 3))
    assert len(calls) > 6 * few
    for a, b, c in zip(one, two, three, strict=True):
        assert_array_equal(b, c)
        assert_allclose(a, b, rtol=1e-9, atol=1e-9)  # other rows share a block, and what all of these neglect


def test_it_is_taken_where_windows_hold_few_rows(rng):
    """By leave-one-out of all rows, and only by that."""
    n = 30_000
    rows = make_rows(rng.uniform(size=n), rng.normal(size=(n, 1)), np.ones(n))
    for kernel in ("gaussian", "epanechnikov", "nearest"):
        for row, is_all in ((np.arange(n), True), (np.arange(n)[::3], False)):
            problem = make_problem(kernel, rows, np.array([1e5]), rows.Z.T[row], row, rtol=1e-10)
            assert (type(choose(problem).engine).__name__ == "LeaveOneOut") == is_all
        args, options = (kernel, rows, np.array([1e5])), {"algorithm": "auto", "rtol": 1e-10}
        found = kernel_sums(*args, rows.Z.T, np.arange(n), **options)
        some = kernel_sums(*args, rows.Z.T[::3], np.arange(n)[::3], **options)
        assert_allclose(found.sums[::3], some.sums, rtol=1e-9, atol=1e-13)


def test_a_heavy_row_counts_for_light_ones_from_afar(rng):
    """Which have none but light ones nearby: what may be neglected is a share of their mass."""
    z, w = 0.5 * np.arange(1100.0), np.full(1100, 1e-12)
    w[600] = 1.0
    rows = make_rows(z, rng.normal(size=(1100, 1)), w)._replace(w_rest=read_only(np.zeros(1100)))
    found = sums_of_all("gaussian", rows, np.ones(1), derivatives=Wanted.VALUE, rtol=1e-3).sums
    exact = kernel_sums("gaussian", rows, np.ones(1), rows.Z.T, np.arange(1100)).sums
    assert exact[588, 0] > 1e3 * exact[500, 0]  # six bandwidths from it
    assert (np.abs(found - exact) <= 1.01e-3 * exact[:, :1] * np.abs(rows.Y).max()).all()
