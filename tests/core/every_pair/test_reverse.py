"""Gradients by reverse mode against those by forward mode."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from calls import kernel_sums, pull_back
from problems import DIFFERENTIABLE, EPS
from problems import points_and_rows as make_rows
from sknw._core import Wanted, read_only
from sknw._core.every_pair import adjoint as reverse_module


@pytest.mark.thin
@pytest.mark.parametrize("kernel", DIFFERENTIABLE)
@pytest.mark.parametrize("derivatives", [Wanted.FEATURES, Wanted.PAIRS])
@pytest.mark.parametrize(("d", "rtol", "n"), [(1, 0.0, 530), (3, 0.0, 513), (20, 0.0, 530), (20, 1e-10, 513)])
@pytest.mark.parametrize("leave_out", [False, True])
def test_reverse_mode_is_forward_mode(rng, kernel, derivatives, d, rtol, n, leave_out):
    m, p = 270, 2  # of 513 rows the last tile has one
    X, rows = make_rows(rng, n, d, p, 1e4)
    g, own = np.full(d, 0.6 / np.sqrt(d)), np.arange(m) if leave_out else None
    Zq = X[:m] if leave_out else rng.normal(size=(m, d)) + 1e4
    state = kernel_sums(kernel, rows, g, Zq, own, derivatives=derivatives)
    adjoints = rng.normal(size=(m, 1 + p))
    expected = np.einsum("ic,iqc->q", adjoints, state.derivatives)
    found = pull_back(kernel, rows, g, Zq, own, state.offset, adjoints, derivatives=derivatives, rtol=rtol)
    # Both add up n m numbers t_a t_b u, |t| <= 6, by products of a block whose coordinates are below 12: their
    # magnitudes bound the rounding, and n + m of them follow each other in a sum. s is known to the bound above.
    magnitude = np.einsum("ic,iqc->q", np.abs(adjoints), np.abs(state.derivatives)).max()
    assert_allclose(found, expected, rtol=0, atol=100 * (n + m) * EPS * magnitude)
    again = pull_back(kernel, rows, g, Zq, own, state.offset, adjoints, derivatives=derivatives, rtol=rtol, n_threads=2)
    assert_array_equal(found, again)


def test_reverse_mode_ignores_what_is_out_of_reach(rng):
    """Coordinates whose squares overflow have no weight, and leave no NaN."""
    X, rows = make_rows(rng, 50, 3, 1)
    far = np.asarray(rows.Z).copy()
    far[:, 7] = 1e200
    rows = rows._replace(Z=read_only(far))
    state = kernel_sums("gaussian", rows, np.ones(3), X[:5], derivatives=Wanted.PAIRS)
    adjoints = np.ones((5, 2))
    found = pull_back("gaussian", rows, np.ones(3), X[:5], None, state.offset, adjoints, derivatives=Wanted.PAIRS)
    assert_allclose(found, np.einsum("ic,iqc->q", adjoints, state.derivatives), rtol=1e-12)


def test_memory_is_that_of_a_block(rng, monkeypatch):
    """No n x n array, nor one of derivatives of each sum: blocks, and what is returned."""
    n, d = 6000, 200
    X, rows = make_rows(rng, n, d, 1)
    args = "gaussian", rows, np.full(d, 0.2), X, None, np.zeros(n), np.ones((n, 2))
    options = {"derivatives": Wanted.PAIRS, "rtol": 1e-10, "n_threads": 2}
    monkeypatch.setattr(reverse_module, "_WORK_PER_BLOCK", 2**25)  # as of more rows: many blocks
    pull_back(*args, **options)
    tracemalloc.start()
    pull_back(*args, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    queries, tile = reverse_module._QUERIES, reverse_module._TILE
    block = 8 * queries * (tile + d) + 8 * tile * (d + 6)
    # Of four blocks, whatever their number, a result and what it is made of; of each query a number; and for two
    # threads of each array of (block, tile), of (block, d) or of (d, tile) some four at a time.
    assert peak < 8 * (4 + 2 * 4) * d * d + 8 * n + 2 * 4 * block + 2**19
