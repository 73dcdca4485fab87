"""The Gaussian's own loops: in float64 and float32, by differences and by products, against those of all kernels."""

import math
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from calls import kernel_sums
from problems import EPS, relative_to
from problems import points_and_rows as make_rows
from sknw._core import Rows, Wanted, costs, read_only
from sknw._core.every_pair import gaussian as gaussian_module
from sknw._core.runtime.processor import aligned, bytes_of_cache, tile_width


@pytest.fixture(autouse=True)
def _few_rows_too(monkeypatch):
    with costs.using(few_pairs=0, fewest_by_feature=1):
        yield


def sums(rows, g, Zq, own=None, *, rtol, **options):
    return kernel_sums("gaussian", rows, g, Zq, own, algorithm="dense", rtol=rtol, **options)


def averages(*args, **options):
    state = sums(*args, **options)
    return state.sums[:, 1:] / state.sums[:, :1]


@pytest.mark.thin
@pytest.mark.parametrize("offset", [0.0, 1e8])
@pytest.mark.parametrize(
    ("n", "m", "d"),
    [
        (1, 1, 1),
        (1, 1, 19),
        (1100, 9, 1),
        (1025, 300, 2),
        (300, 40, 3),
        (300, 40, 4),
        (700, 1100, 7),
        (300, 40, 10),
        (300, 40, 11),
        (300, 40, 18),
        (511, 3, 30),
        (513, 300, 19),
        (1200, 257, 100),
    ],
)
@pytest.mark.parametrize("leave_out", [False, True])
def test_sums_are_those_of_differences(rng, n, m, d, offset, leave_out):
    X, rows = make_rows(rng, n, d, 2, offset)
    g = 1 / rng.uniform(1.0, 2.0, size=d) / np.sqrt(d)
    own = rng.integers(n, size=m) if leave_out else None
    Zq = X[own] if leave_out else rng.normal(size=(m, d)) + offset
    exact = sums(rows, g, Zq, own, rtol=0, derivatives=Wanted.SCALE)
    found = relative_to(exact.offset, sums(rows, g, Zq, own, rtol=1e-10, derivatives=Wanted.SCALE))
    # Scaled coordinates are within 5, in each of d features 5 / sqrt(d): squares add up to 50, of which the bound in
    # `_gaussian` makes an error of weights, and both ways sum up 1200 numbers. An offset costs nothing, as differences
    # of coordinates are exact to half an ulp of those before it: both ways see the same ones.
    bound = (d + 6) * EPS / 2 * 50 + 1200 * EPS
    scale = exact.sums[:, :1] * np.abs(rows.Y).max()
    assert (np.abs(found.sums - exact.sums) <= bound * scale).all()
    assert (
        np.abs(found.derivatives[:, 0] - exact.derivatives[:, 0]) <= 60 * bound * scale
    ).all()  # s <= 50, and its own error
    if n > 1:
        assert (found.sums != exact.sums).any()  # or else it has not been used


@pytest.mark.thin
@pytest.mark.parametrize("offset", [0.0, 1e8])
@pytest.mark.parametrize(("n", "m", "d", "p"), [(1, 1, 1, 1), (1100, 9, 1, 1), (1025, 300, 2, 3), (700, 1100, 18, 2)])
@pytest.mark.parametrize("leave_out", [False, True])
def test_derivatives_by_feature_are_those_of_differences(rng, n, m, d, p, offset, leave_out):
    X, rows = make_rows(rng, n, d, p, offset)
    g = 1 / rng.uniform(1.0, 2.0, size=d) / np.sqrt(d)
    own = rng.integers(n, size=m) if leave_out else None
    Zq = X[own] if leave_out else rng.normal(size=(m, d)) + offset
    Zq[-1] += 1e3  # one that is left to the loops of all kernels
    own = None if own is None else np.append(own[:-1], -1)
    exact, found = (sums(rows, g, Zq, own, rtol=rtol, derivatives=Wanted.FEATURES) for rtol in (0, 1e-10))
    found = relative_to(exact.offset, found)
    # As above: the square of one difference is at most 50, too, and wrong by no more than the sum of all.
    bound = ((d + 6) * EPS / 2 * 50 + 1200 * EPS) * exact.sums[:, :1] * np.abs(rows.Y).max()
    assert (np.abs(found.sums - exact.sums) <= bound).all()
    assert (np.abs(found.derivatives - exact.derivatives) <= 60 * bound[:, None])[:-1].all()
    assert_array_equal(found.derivatives[-1], exact.derivatives[-1])
    if n > 1:
        assert (found.derivatives[:-1] != exact.derivatives[:-1]).any()  # or else it has not been used


@pytest.mark.parametrize("d", [1, 20])
def test_without_enough_digits_nothing_is_scaled_ahead(rng, d):
    """Narrow bandwidths and far queries: the same bits as if nothing but rounding had been asked for."""
    X, rows = make_rows(rng, 700, d, 1)
    narrow = np.full(d, 1e6)
    for a, b in zip(sums(rows, narrow, X + 1.0, rtol=1e-10), sums(rows, narrow, X + 1.0, rtol=0), strict=True):
        assert_array_equal(a, b)
    Zq, g = X[:40].copy(), np.full(d, 0.3)
    for far in (30 / 0.3, 1e9, 1e200, 1.7e308):  # sums relative to s = 0 would lose it, or it is far from its block
        Zq[7] = far
        found, exact = sums(rows, g, Zq, rtol=1e-12), sums(rows, g, Zq, rtol=0)
        assert_array_equal(found.sums[7], exact.sums[7])
        assert found.offset[7] == exact.offset[7]
        assert (found.sums != exact.sums).any()


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("d", [4, 10, 15, 24])
def test_queries_and_rows_whose_products_lack_digits(rng, d, p):
    """Some queries of a block go by differences, the others by products, and each has its rtol."""
    # Products have digits up to some 700 bandwidths, differences up to 75,000.
    far = 3e4
    X, rows = make_rows(rng, 500, d, p)
    Zq = X[:200] + 0.1
    shifted = slice(50, 60)
    Zq[shifted] += far / math.sqrt(d)
    X[shifted] = Zq[shifted] + 0.3 / math.sqrt(d)  # rows that these are near
    for together in (False, True):  # with such rows, no query has digits enough
        Z = X if together else np.delete(X, np.arange(50, 60), axis=0)
        some = Rows(*map(read_only, (Z.T, rows.Y[:, : len(Z)], rows.w[: len(Z)], rows.w_rest[: len(Z)])))
        near = slice(None) if together else np.delete(np.arange(200), np.arange(50, 60))
        exact, found = (averages(some, np.ones(d), Zq[near], rtol=rtol) for rtol in (0.0, 1e-9))
        assert_allclose(found, exact, rtol=0, atol=(1e-9 + 64 * EPS) * np.ptp(rows.Y))
        exact_out, found_out = (averages(some, np.ones(d), Z, np.arange(len(Z)), rtol=rtol) for rtol in (0.0, 1e-9))
        assert_allclose(found_out, exact_out, rtol=0, atol=(1e-9 + 64 * EPS) * np.ptp(rows.Y))
        alone = np.concatenate([averages(some, np.ones(d), z[None], rtol=1e-9) for z in Zq[near]])
        assert_allclose(found, alone, rtol=0, atol=64 * EPS * np.ptp(rows.Y) if d > 18 else 0)


@pytest.mark.parametrize("d", [1, 3, 24])
def test_the_promise_is_kept_where_coordinates_lose_digits(rng, d):
    """At each bandwidth down to a millionth of the spread, averages are right to rtol."""
    X, rows = make_rows(rng, 600, d, 1)
    for h in np.logspace(-6, 1, 15):
        g = np.full(d, 1 / h)
        for rtol in (1e-6, 1e-10, 1e-13):
            exact, found = (sums(rows, g, X + 1e-3 * h, rtol=tolerance).sums for tolerance in (0.0, rtol))
            error = np.abs(found[:, 1] / found[:, 0] - exact[:, 1] / exact[:, 0]).max()
            assert error <= (rtol + 64 * EPS) * np.ptp(rows.Y)


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("d", [1, 3, 10, 18, 19, 100])
def test_single_precision(rng, d, p):
    """At bandwidths from a tenth of the spread to ten times it, the stated error holds, and is not that of float64."""
    n, unit = 900, np.finfo(np.float32).eps
    X, rows = make_rows(rng, n, d, p)
    X = X.astype(np.float32).astype(np.float64)
    rows, own = rows._replace(Z=read_only(X.T)), np.arange(n)
    for h in (0.1, 0.5, 2.0, 10.0):
        g = np.full(d, 1 / (h * math.sqrt(d)))
        for args in ((rows, g, X + 0.01 * h), (rows, g, X, own)):
            exact = sums(*args, rtol=0)
            found = sums(*args, rtol=1e-10, single=True)
            # Distances that count are the least one and twice the logarithm of the rows on average.
            s = exact.offset.max(initial=0, where=exact.offset < 100) + 2 * math.log(n)
            bound = (d / 4 + 3) * unit * s + gaussian_module.SINGLE_RTOL + 4e-7
            error = np.abs(found.sums[:, 1:] / found.sums[:, :1] - exact.sums[:, 1:] / exact.sums[:, :1]).max()
            assert error <= bound * np.ptp(rows.Y)
            assert error <= 2e-5 * np.ptp(rows.Y)  # a bound is a bound: what is seen is a few float32
            if h >= 0.5:
                assert error > 10 * EPS


def test_derivatives_are_not_single(rng):
    """The least power there is, times squares of distances, would be more than nothing."""
    X, rows = make_rows(rng, 200, 2, 1)
    for derivatives in (Wanted.SCALE, Wanted.FEATURES):
        options = {"rtol": 1e-10, "derivatives": derivatives}
        for a, b in zip(*(sums(rows, np.ones(2), X + 0.1, single=s, **options) for s in (True, False)), strict=True):
            assert_array_equal(a, b)


def test_single_precision_leaves_what_it_cannot_do_to_double(rng):
    X, rows = make_rows(rng, 500, 2, 1)
    g, Zq = np.ones(2), X[:50].copy()
    Zq[3] = [20.0, 5.0]  # nobody within ten bandwidths
    Zq[4] = [np.float32(3e38), -3e38]
    found, exact = (averages(rows, g, Zq, rtol=1e-10, single=single) for single in (True, False))
    assert_allclose(found[3:5], exact[3:5], rtol=0, atol=1e-12)  # in a block of their own
    assert np.abs(found[5:] - exact[5:]).max() > 1e-9
    assert_array_equal(*(averages(rows, 1e4 * g, X + 1e-5, rtol=1e-10, single=single) for single in (True, False)))


@pytest.mark.parametrize(("lightest", "single"), [(1e-24, False), (1e-200, False), (1e-12, True)])
def test_light_rows_keep_their_digits(rng, lightest, single):
    """A query whose neighbors weigh next to nothing has their average, whatever far and heavy rows there are."""
    X, rows = make_rows(rng, 400, 1, 1)
    X = X.astype(np.float32).astype(np.float64)
    rows = rows._replace(Z=read_only(X.T), w=read_only(np.where(X[:, 0] > 0, lightest, 1.0)), w_rest=np.zeros(400))
    Zq = np.concatenate([np.linspace(0.5, 30, 50), rng.uniform(0.1, 0.5, size=50)])[:, None].astype(np.float32)
    found = averages(rows, np.full(1, 20.0), Zq.astype(np.float64), rtol=1e-12, single=single)
    exact = averages(rows, np.full(1, 20.0), Zq.astype(np.float64), rtol=0.0)
    assert_allclose(found, exact, rtol=0, atol=(2e-5 if single else 1e-12) * np.ptp(rows.Y))


@pytest.mark.parametrize(("s", "weight", "far", "single"), [(95.0, 1e-12, 25.0, True), (700.0, 1e-200, 1e3, False)])
@pytest.mark.parametrize("d", [1, 20])
def test_a_light_row_is_not_drowned_by_heavy_ones_out_of_reach(s, weight, far, single, d):
    """Of which each has the least power there is, instead of none."""
    X = np.full((2000, d), far / math.sqrt(d))
    X[0] = math.sqrt(s / d)
    y, w = np.full((1, 2000), -0.5), np.ones(2000)
    y[0, 0], w[0] = 0.5, weight
    rows = Rows(read_only(X.T), read_only(y), read_only(w), np.zeros(2000))
    assert averages(rows, np.ones(d), np.zeros((1, d)), rtol=1e-10, single=single)[0, 0] == 0.5


@pytest.mark.parametrize("d", [2, 30])
def test_threads_and_tiles(rng, d, monkeypatch):
    """The same bits for any number of threads, the same numbers for any block and tile."""
    X, rows = make_rows(rng, 1300, d, 2)
    own, options = np.arange(1300), {"rtol": 1e-12, "derivatives": Wanted.SCALE}
    one, three = (sums(rows, np.full(d, 0.5), X, own, n_threads=k, **options) for k in (1, 3))
    for a, b in zip(one, three, strict=True):
        assert_array_equal(a, b)
    monkeypatch.setattr(gaussian_module, "tile_width", lambda *args: 64)
    monkeypatch.setattr(gaussian_module, "_TILE", 100)
    monkeypatch.setattr(gaussian_module, "_WORK_PER_BLOCK", 1)
    monkeypatch.setattr(gaussian_module, "_WORK_OF_MATRICES", 1)
    other = sums(rows, np.full(d, 0.5), X, own, **options)
    for a, b in zip(one, other, strict=True):
        assert_allclose(a, b, rtol=0, atol=1e-12 * np.abs(a).max())


@pytest.mark.parametrize(("d", "single"), [(2, False), (30, False), (30, True)])
def test_memory_is_that_of_a_block(rng, d, single):
    """No n x n array: blocks, and what is returned."""
    n = 6000
    X, rows = make_rows(rng, n, d, 1)
    options = {"rtol": 1e-10, "single": single, "n_threads": 2}
    sums(rows, np.full(d, 0.2), X, **options)
    tracemalloc.start()
    sums(rows, np.full(d, 0.2), X, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    queries, tile = (512, 512) if d > 18 else (1024, 0)
    block = 8 * queries * (tile + d) + 8 * max(tile, 1024) * (d + 6)
    # Two threads; of each array of a block some four at a time. Shift, sums, rest, own and what makes them relative.
    assert peak < 8 * n * 8 + 2 * 4 * block + 2**19


def test_cache_of_the_processor(tmp_path):
    caches = [("1", "Data", "48K"), ("1", "Instruction", "16K"), ("2", "Unified", "2048K"), ("3", "Unified", "8192K")]
    for i, values in enumerate(caches):
        folder = tmp_path / f"index{i}"
        folder.mkdir()
        for name, text in zip(("level", "type", "size"), values, strict=True):
            (folder / name).write_text(f"{text}\n")
    assert [bytes_of_cache(level, str(tmp_path)) for level in (1, 2)] == [48 * 1024, 2048 * 1024]
    assert [bytes_of_cache(level, str(tmp_path / "nowhere")) for level in (1, 2)] == [32 * 1024, 1024 * 1024]
    for numbers in (1, 5, 14, 100, 10_000):
        assert 64 <= tile_width(numbers) <= 1024
        assert tile_width(numbers) == 64 or tile_width(numbers) * numbers * 8 <= bytes_of_cache(1)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_buffers_start_with_a_line_of_the_cache(dtype):
    kept = [aligned(shape, dtype) for shape in [(4, 64), (3, 5, 7), (0, 64), (1,)] for _ in range(5)]
    for a in kept:
        assert a.ctypes.data % 64 == 0 or a.size == 0
        assert a.flags.c_contiguous
        assert a.flags.writeable
        assert a.dtype == dtype
    for k, a in enumerate(kept):
        a[:] = k
    assert all((a == k).all() for k, a in enumerate(kept))
