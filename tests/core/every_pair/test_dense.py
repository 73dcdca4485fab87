"""The compiled sums against plain Python, at the seams of tiles and blocks too."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import naive
from calls import kernel_sums, kernel_weights
from problems import DIFFERENTIABLE, EPS, make_rows
from sknw._core import KERNELS, Rows, Wanted, costs, read_only
from sknw._core.every_pair import tiles as tiles_module


def naive_sums(kernel, x, X, y, w, g):
    """Mass and moments at one query, relative to the nearest row where the kernel never vanishes."""
    s = [naive.squared_distance(x, z, list(g)) for z in X]
    low = min(s_j for s_j, w_j in zip(s, w, strict=True) if w_j > 0)
    if kernel == "gaussian":
        k = [math.exp((low - s_j) / 2) for s_j in s]
    elif kernel == "exponential":
        k = [math.exp(math.sqrt(low) - math.sqrt(s_j)) for s_j in s]
    elif kernel == "nearest":
        k = [float(s_j == low) for s_j in s]
    else:
        k = [naive.PROFILES[kernel](s_j).real if s_j <= 1 else 0.0 for s_j in s]
    v = [w_j * k_j for w_j, k_j in zip(w, k, strict=True)]
    mass = math.fsum(v)
    return low, [mass] + [math.fsum(v_j * y_j[c] for v_j, y_j in zip(v, y, strict=True)) for c in range(y.shape[1])]


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("kernel", [*KERNELS, "nearest"])
@pytest.mark.parametrize(("n", "d", "p"), [(1, 1, 1), (7, 3, 2), (511, 1, 1), (512, 2, 1), (513, 1, 3), (1200, 30, 2)])
def test_sums_match_plain_python(rng, kernel, n, d, p):
    X, y, w, rows = make_rows(rng, n, d, p)
    g = 1 / rng.uniform(1.5, 3.0, size=d) / math.sqrt(d)
    Xq = rng.normal(size=(9, d))
    Xq[0] = X[0]
    state = kernel_sums(kernel, rows, g, Xq)
    for i, x in enumerate(Xq):
        low, expected = naive_sums(kernel, x, X, y, w, g)
        # s has a relative error of (d/2 + 3) eps, which every profile passes on at most threefold (s k'(s) <= 3 here),
        # sums of 512 numbers in 4 lanes and more add their own.
        tolerance = (3 * (d / 2 + 3) * (1 + low) + 128 + n / 512) * EPS * expected[0] * max(1, np.abs(y).max())
        if kernel != "nearest":
            assert_allclose(state.offset[i], low, rtol=(d / 2 + 3) * EPS)
        assert_allclose(state.sums[i], expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("d", range(1, 13))
def test_distances_read_what_is_theirs(rng, d):
    """Steps of 1, 2 and 4 features, in several tiles; bounds are not checked, so what is beyond them is NaN."""
    n = 1100
    z, g, Z = np.full(d + 4, np.nan), np.full(d + 4, np.nan), np.full((d + 4, n), np.nan)
    z[:d], g[:d], Z[:d] = rng.normal(size=d), rng.uniform(0.5, 2, size=d), rng.normal(size=(d, n))
    rows = Rows(read_only(Z[:d]), np.ones((1, n)), np.ones(n), np.zeros(n))
    assert np.shares_memory(rows.Z, Z)
    s = np.array([naive.squared_distance(z[:d], x, list(g[:d])) for x in Z[:d].T])
    state = kernel_sums("gaussian", rows, g[:d], z[:d].reshape(1, d))
    # The error of s is below (d/2 + 3) eps, and as much that of plain Python; weights as in the test above.
    assert_allclose(state.offset, s.min(), rtol=2 * (d / 2 + 3) * EPS)
    v = np.exp((s.min() - s) / 2)
    assert_allclose(state.sums[0, 0], v.sum(), rtol=0, atol=(d + 6) * EPS * (v * s).sum() + 2 * n * EPS * v.sum())


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("kernel", [*KERNELS, "nearest"])
@pytest.mark.parametrize("n", [2, 513])
def test_own_row_is_left_out(rng, kernel, n):
    X, y, w, rows = make_rows(rng, n, 2, 1)
    g = np.full(2, 0.4)
    own = rng.permutation(n)[:20]
    state = kernel_sums(kernel, rows, g, X[own], own)
    for i, j in enumerate(own):
        low, expected = naive_sums(kernel, X[j], X, y, naive.without(list(w), j), g)
        assert_allclose(state.sums[i], expected, rtol=0, atol=(12 * (1 + low) + 128) * EPS * expected[0] * 5)


def test_own_row_does_not_stay_out(rng):
    """The weights of a tile are restored after each query."""
    X, _, w, rows = make_rows(rng, 40, 1, 1)
    g = np.ones(1)
    queries = np.vstack([X[:20], X[:20]])
    own = np.r_[np.arange(20), np.full(20, -1)]
    with costs.using(few_pairs=0):
        left_out = kernel_sums("gaussian", rows, g, queries, own).sums
    assert_array_equal(left_out[20:], kernel_sums("gaussian", rows, g, X[:20]).sums)
    assert_array_equal(rows.w, w)


@pytest.mark.thin
@pytest.mark.parametrize("kernel", DIFFERENTIABLE)
@pytest.mark.parametrize("derivatives", [Wanted.SCALE, Wanted.FEATURES, Wanted.PAIRS])
@pytest.mark.parametrize("n", [5, 1000])
def test_derivatives_match_central_differences(rng, kernel, derivatives, n):
    d = 3
    X, _, _, rows = make_rows(rng, n, d, 2)
    g = np.array([0.3, 0.5, 0.2])
    Xq = rng.normal(size=(6, d))
    state = kernel_sums(kernel, rows, g, Xq, derivatives=derivatives)
    step = 1e-6

    def moved(direction):
        """Sums with the scaled differences t moved to t + step * direction @ t, at the shift of the unmoved ones."""
        A = np.eye(d) + direction
        Z, Zq = (X * g) @ A.T, (Xq * g) @ A.T
        state_moved = kernel_sums(kernel, rows._replace(Z=read_only(Z.T)), np.ones(d), Zq)
        if kernel == "gaussian":
            return state_moved.sums * np.exp((state.offset - state_moved.offset) / 2)[:, None]
        if kernel == "exponential":
            return state_moved.sums * np.exp(np.sqrt(state.offset) - np.sqrt(state_moved.offset))[:, None]
        return state_moved.sums

    pairs = [(a, b) for a in range(d) for b in range(a, d)]
    if derivatives == Wanted.SCALE:
        directions = [np.eye(d)]
    elif derivatives == Wanted.FEATURES:
        directions = [np.diag(np.eye(d)[a]) for a in range(d)]
    else:  # t_a t_b is half of the change of s under the symmetric direction; for a = b the two halves coincide
        directions = []
        for a, b in pairs:
            direction = np.zeros((d, d))
            direction[a, b] += 0.5
            direction[b, a] += 0.5
            directions.append(direction)
    for q, direction in enumerate(directions):
        # A wider bandwidth makes t smaller, hence the sign.
        difference = (moved(-step * direction) - moved(step * direction)) / (2 * step)
        # A central difference is good to step**2 where the profile is smooth; a window's edge, where one or two rows in
        # n enter with a kink, and the rounding of sums over the step add 1e-9 and 1e-16 / 1e-6 each of the mass.
        scale = np.abs(state.sums).max() + np.abs(state.derivatives).max()
        assert_allclose(state.derivatives[:, q], difference, rtol=0, atol=2e-6 * scale)


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("left_out", [False, True])
def test_weights_match_plain_python(rng, kernel, left_out):
    X, _, w, rows = make_rows(rng, 60, 2, 1)
    g = np.array([0.6, 0.8])
    own = np.arange(60) if left_out else None
    got = kernel_weights(kernel, rows, g, X, own)
    for i, x in enumerate(X):
        left = naive.without(list(w), i) if left_out else list(w)
        expected = [
            a.real if a is not None else 0 for a in naive.weights(list(x), X.tolist(), left, list(g), kernel, "nan")
        ]
        assert_allclose(got[i], expected, rtol=0, atol=200 * EPS)


@pytest.mark.parametrize("kernel", ["gaussian", "linear"])
def test_any_number_of_threads_gives_the_same_bits(rng, kernel, monkeypatch):
    monkeypatch.setattr(tiles_module, "_WORK_PER_BLOCK", 1)  # blocks of 64 queries
    X, _, _, rows = make_rows(rng, 700, 2, 2)
    for own in (None, np.arange(700)):
        one, three = (
            kernel_sums(kernel, rows, np.ones(2), X, own, derivatives=Wanted.FEATURES, n_threads=n) for n in (1, 3)
        )
        for a, b in zip(one, three, strict=True):
            assert_array_equal(a, b)


def test_block_size_changes_rounding_only(rng, monkeypatch):
    X, _, _, rows = make_rows(rng, 700, 2, 1)
    expected = kernel_sums("gaussian", rows, np.ones(2), X).sums
    monkeypatch.setattr(tiles_module, "_WORK_PER_BLOCK", 1)
    assert_array_equal(kernel_sums("gaussian", rows, np.ones(2), X).sums, expected)
    monkeypatch.setattr(tiles_module, "tile_width", lambda *args: 64)
    assert_allclose(
        kernel_sums("gaussian", rows, np.ones(2), X).sums, expected, rtol=0, atol=300 * EPS * expected.max()
    )


def test_far_away_only_the_nearest_counts(rng):
    """Nothing underflows: relative to the nearest row its weight is 1."""
    _, y, w, rows = make_rows(rng, 50, 1, 1)
    j = np.argmax(rows.Z[0])
    for far in (1e3, 1e8, 1e150):
        state = kernel_sums("gaussian", rows, np.full(1, 10.0), np.full((1, 1), far))
        if far < 1e8:
            assert_allclose(state.sums[0], [w[j], w[j] * y[j, 0]], rtol=1e-12)
        assert np.isfinite(state.sums).all()
        assert state.sums[0, 0] >= w.min()


def test_loops_are_compiled_once_whatever_the_arrays_are(rng):
    from sknw._core.every_pair.tiles import add_rows

    X, y, w, rows = make_rows(rng, 40, 2, 1)
    kernel_sums("gaussian", rows, np.ones(2), X)
    compiled = len(add_rows.signatures)
    loose = Rows(np.asfortranarray(X.T), y.T.astype(np.float32), w.copy(), np.maximum(w - 1, 0).astype(int))
    for g in (np.ones(2), np.ones(4)[::2], [1, 1]):
        kernel_sums("gaussian", loose, g, X[:, ::-1], np.arange(40), derivatives=Wanted.SCALE)
    assert len(add_rows.signatures) == compiled


def test_exceptions_in_a_block_reach_the_caller():
    from sknw._core.runtime.threads import run_blocks

    done = []

    def work(i):
        if i == 3:
            raise RuntimeError("block 3")
        done.append(i)

    with pytest.raises(RuntimeError, match="block 3"):
        run_blocks(work, [(i,) for i in range(100)], 2)
    assert len(done) < 100


def test_no_outputs(rng):
    """Compiled loops look at the first output, and nobody would tell them that it is not there."""
    X, _, _, rows = make_rows(rng, 10, 2, 1)
    rows = rows._replace(Y=np.empty((0, 10)))
    for algorithm in ("dense", "window", "fast_gauss"):
        with pytest.raises(ValueError, match="At least one is required"):
            kernel_sums("gaussian", rows, np.ones(2), X, algorithm=algorithm, rtol=1e-10)


def test_one_row(rng):
    X, y, w, rows = make_rows(rng, 1, 2, 1)
    assert_array_equal(kernel_weights("gaussian", rows, np.ones(2), X + 1), 1)
    assert_allclose(kernel_sums("gaussian", rows, np.ones(2), X + 1).sums[0], [w[0], w[0] * y[0, 0]], rtol=1e-15)
