"""One promise for all algorithms: averages within `rtol` of the range of the targets, wherever the query is."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from calls import dense_sums, kernel_sums, kernel_weights, neighbor_sums, plan, window_sums
from problems import DESIGNS, EPS, averages, huge, make_problem
from sknw._core import (
    ALGORITHMS,
    KERNELS,
    Rows,
    Wanted,
    check_applies,
    read_only,
    spatial_order,
)
from sknw._core.dispatch import times_matrix


def cases():
    for algorithm in ALGORITHMS:
        for d in (1, 2, 3, 5):
            for kernel in ("gaussian", "exponential", "epanechnikov", "triweight", "tricube", "linear", "tophat"):
                if algorithm == "dense" and kernel != "gaussian":  # whatever `rtol` is, rounding alone
                    continue
                try:
                    check_applies(algorithm, kernel, d)
                except ValueError:
                    continue
                yield algorithm, d, kernel


@pytest.mark.thin
@pytest.mark.parametrize(("algorithm", "d", "kernel"), list(cases()))
@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.__name__)
def test_promise(rng, algorithm, d, kernel, design):
    """Against every pair, with one row left out and without."""
    for weights, targets in (("one", "plain"), ("decades", "decades")):
        X, rows, g = make_problem(rng, design, 700, d, weights, targets)
        far = np.concatenate([X[:30] + 3 / g, X[:30] - 40 / g, X.mean(axis=0)[None]])
        some = rng.permutation(len(X))[:200]
        for Zq, own in ((X, np.arange(len(X))), (far, None), (X[some], np.where(some % 3, some, -1))):
            exact_state = kernel_sums(kernel, rows, g, Zq, own)
            exact = averages(exact_state)
            for rtol in (0.0, 1e-3, 1e-12):
                state = kernel_sums(kernel, rows, g, Zq, own, algorithm=algorithm, rtol=rtol)
                # Rounding of s, times what a profile makes of it, and that of sums, on both sides: see
                # `naive.error_bound`. A weight near the edge of a window is small, and so may be the mass.
                s_min = np.where(np.isfinite(exact_state.offset), exact_state.offset, 0)
                rounding = 50 * (d / 2 + 3) * EPS * (4 + s_min) + 300 * EPS
                if kernel not in ("gaussian", "exponential"):
                    with np.errstate(divide="ignore"):
                        total = kernel_sums("tophat", rows, g, Zq, own).sums[:, 0]
                        rounding = rounding * np.maximum(1, total / np.maximum(exact_state.sums[:, 0], 1e-300))
                error = np.abs(averages(state) - exact)
                assert (np.isnan(averages(state)) == np.isnan(exact))[rounding < 1e-3].all()
                there = ~np.isnan(exact) & ~np.isnan(error)
                assert (error <= rtol * np.isin(kernel, ("gaussian", "exponential")) + rounding)[there].all()


@pytest.mark.parametrize(
    ("algorithm", "kernel"), [("fast_gauss", "gaussian"), ("auto", "gaussian"), ("sliding", "linear")]
)
def test_a_hundred_thousand_ties(rng, algorithm, kernel):
    """Rows at four places, one of them with nearly all: as four rows that weigh as much."""
    n = 100_000
    x, y = (
        np.sort(np.where(rng.uniform(size=n) < 1e-3, rng.integers(1, 4, size=n), 0.0)),
        rng.uniform(-0.5, 0.5, size=n),
    )
    rows = Rows(read_only(x[None]), read_only(y[None]), np.ones(n), np.zeros(n))
    places, where, counts = np.unique(x, return_inverse=True, return_counts=True)
    means = np.bincount(where, y) / counts
    few = Rows(read_only(places[None]), read_only(means[None]), counts.astype(float), np.zeros(len(places)))
    Zq = np.linspace(-4, 7, 101)[:, None]
    for h in (1e-3, 0.3, 1.3, 50.0):
        g, rtol = np.full(1, 1 / h), 1e-12
        found = averages(kernel_sums(kernel, rows, g, Zq, algorithm=algorithm, rtol=rtol))
        exact = averages(kernel_sums(kernel, few, g, Zq))
        # Sums of n numbers, in parts of a thousand and of a hundred of these at the most; far away that of distances.
        low = np.abs(Zq[:, 0, None] - places).min(axis=1) / h
        np.testing.assert_array_equal(np.isnan(found), np.isnan(exact))
        assert (np.abs(found - exact) <= rtol + (1200 + 4 * low**2) * EPS)[~np.isnan(exact)].all()


@pytest.mark.parametrize("algorithm", ["auto", *ALGORITHMS])
@pytest.mark.parametrize("d", [1, 2])
def test_any_number_of_threads_gives_the_same_bits(rng, algorithm, d):
    kernel = "gaussian" if algorithm == "fast_gauss" else "epanechnikov"
    if algorithm == "sliding" and d > 1:
        return
    X, rows, g = make_problem(rng, huge, 5000, d)
    g = np.full(d, 20.0)
    options = {"derivatives": Wanted.FEATURES, "algorithm": algorithm, "rtol": 1e-8}
    one, two = (kernel_sums(kernel, rows, g, X, np.arange(len(X)), n_threads=n, **options) for n in (1, 2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("algorithm", ["auto", *ALGORITHMS])
def test_no_queries_have_no_sums(rng, algorithm):
    _, rows, g = make_problem(rng, huge, 600, 1)
    kernel = "gaussian" if algorithm == "fast_gauss" else "epanechnikov"
    for own in (None, np.empty(0, dtype=np.int64)):
        options = {"algorithm": algorithm, "rtol": 1e-10, "n_threads": 2, "derivatives": Wanted.SCALE}
        state = kernel_sums(kernel, rows, g, np.empty((0, 1)), own, **options)
        assert (state.offset.shape, state.sums.shape, state.derivatives.shape) == ((0,), (0, 2), (0, 1, 2))


def test_rows_of_one_feature_need_not_be_sorted(rng):
    """Of several features only one may have a finite bandwidth."""
    X, rows, _ = make_problem(rng, huge, 900, 2)
    one = rows._replace(Z=rows.Z[1:])
    g, own = np.full(1, 30.0), rng.permutation(900)
    for kernel, algorithm in (("gaussian", "window"), ("gaussian", "fast_gauss"), ("biweight", "sliding")):
        exact = kernel_sums(kernel, one, g, X[own, 1:], own)
        state = kernel_sums(kernel, one, g, X[own, 1:], own, algorithm=algorithm, rtol=1e-10)
        assert np.abs(averages(state) - averages(exact)).max() < 1e-9


@pytest.mark.parametrize("name", ["sliding", "window", "fast_gauss"])
def test_an_algorithm_that_does_not_apply_says_so(name):
    with pytest.raises(ValueError, match=f"algorithm='{name}' needs .* Use algorithm='auto'"):
        check_applies(name, "gaussian" if name == "sliding" else "cosine", 9)
    check_applies("dense", "gaussian", 9)
    check_applies("auto", "gaussian", 9)


@pytest.mark.parametrize(
    ("kernel", "n", "d", "h", "expected"),
    [
        ("gaussian", 200, 1, 0.1, "dense"),
        ("gaussian", 200_000, 1, 0.05, "fast_gauss"),
        ("gaussian", 200_000, 1, 1e-7, "window"),
        ("gaussian", 200_000, 2, 0.05, "fast_gauss"),
        ("gaussian", 100_000, 3, 0.1, "fast_gauss"),
        ("gaussian", 50_000, 5, 0.001, "window"),
        ("gaussian", 50_000, 5, 10.0, "dense"),
        ("epanechnikov", 200_000, 1, 0.1, "sliding"),
        ("exponential", 200_000, 1, 0.1, "sliding"),
        ("epanechnikov", 200_000, 2, 0.01, "window"),
        ("epanechnikov", 20_000, 2, 10.0, "dense"),
        ("gaussian", 20_000, 30, 1.0, "dense"),
    ],
)
def test_choice(rng, kernel, n, d, h, expected):
    """Where one algorithm is several times faster than the others, it is chosen."""
    X = rng.uniform(size=(n, d))
    if d <= 8:
        X = X[spatial_order(X.T)]
    rows = Rows(read_only(X.T), np.zeros((1, n)), np.ones(n), np.zeros(n))
    assert plan(kernel, rows, np.full(d, 1 / h), rtol=1e-10).engine.name == expected
    asked = plan(kernel, rows, np.full(d, 1 / h), None, algorithm="dense", rtol=1e-10)
    assert asked.engine.name == "dense"


def test_every_kernel_has_an_answer_from_each_algorithm(rng):
    """No algorithm is asked for a kernel that it does not know."""
    X, rows, _ = make_problem(rng, huge, 600, 1)
    g, own = np.full(1, 10.0), np.arange(600)
    for kernel, profile in KERNELS.items():
        derivatives = Wanted.SCALE if profile.differentiable else Wanted.VALUE
        exact = kernel_sums(kernel, rows, g, X, own, derivatives=derivatives)
        for algorithm in ALGORITHMS[1:]:
            try:
                check_applies(algorithm, kernel, 1)
            except ValueError:
                continue
            options = {"algorithm": algorithm, "rtol": 1e-12, "derivatives": derivatives}
            state = kernel_sums(kernel, rows, g, X, own, **options)
            assert np.abs(averages(state) - averages(exact)).max() < 1e-11
            if profile.differentiable:
                slope, expected = (
                    (s.derivatives[:, 0, 1] - averages(s) * s.derivatives[:, 0, 0]) / s.sums[:, 0]
                    for s in (state, exact)
                )
                # (P / r)**2 / 2 < 2000 times the error of the average, see test_fast_gauss.
                assert np.abs(slope - expected).max() < 2000 * 1e-12


def neighbors_sums(kernel, rows, g, Zq, own):
    return neighbor_sums(kernel, rows, g, 0, len(own))


@pytest.mark.thin
@pytest.mark.parametrize("offset", [0, 1000])
@pytest.mark.parametrize(("sums", "d"), [*itertools.product((dense_sums, window_sums), (1, 2, 3)), (neighbors_sums, 1)])
def test_nearest_rows_are_those_that_are_equally_near_in_decimals(rng, sums, d, offset):
    """Tenths as floating-point numbers differ in the last bit from what they stand for; whole numbers do not."""
    n, places = 600, (1500, 32, 8)[d - 1]  # rows are more than a tile
    whole = rng.integers(places, size=(n, d))
    whole = whole[spatial_order(whole.T.astype(float))]
    queries = rng.integers(-5, places + 5, size=(200, d))
    Y, w = rng.normal(size=(2, n)), rng.uniform(1, 2, size=n)
    rows = Rows(*map(read_only, ((whole.T + offset) / 10, Y, w, np.zeros(n))))
    g = np.full(d, 10.0) * 2.0 ** -np.arange(d)
    for Zq, own in ((queries, None), (whole, np.arange(n))):
        if own is None and sums is neighbors_sums:
            continue
        state = sums("nearest", rows, g, (Zq + offset) / 10, own)
        squares = (((Zq[:, None] - whole) * 2 ** np.arange(d)[::-1]) ** 2).sum(axis=-1).astype(float)
        if own is not None:
            squares[own, own] = np.inf
        nearest = squares == squares.min(axis=1, keepdims=True)
        assert (nearest.sum(axis=1) > 1).mean() > 0.1
        v = w * nearest
        exact = (v @ Y.T) / v.sum(axis=1)[:, None]
        found = state.sums[:, 1:] / state.sums[:, :1]
        np.testing.assert_allclose(found, exact, rtol=0, atol=n * EPS * np.abs(Y).max())
        weights = kernel_weights("nearest", rows, g, (Zq + offset) / 10, own)
        np.testing.assert_array_equal(weights > 0, nearest)


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("spread", [600, 40])
def test_nearest_rows_do_not_depend_on_which_rows_come_first(rng, d, spread):
    """Rows some units in the last place apart: of three, the first and the second may be as near, but not the third."""
    Z = 1e15 + rng.integers(spread, size=(d, 3000)) / 8
    Z = Z[:, spatial_order(Z)]
    Y, w = rng.normal(size=(1, 3000)), np.ones(3000)
    rows = Rows(*map(read_only, (Z, Y, w, np.zeros(3000))))
    g, Zq = np.ones(d), 1e15 + (rng.integers(spread, size=(300, d)) + 0.5) / 8
    whole = dense_sums("nearest", rows, g, Zq)
    low = np.square(Zq[:, :, None] - Z).sum(axis=1).min(axis=1)
    for state in (whole, window_sums("nearest", rows, g, Zq)):
        np.testing.assert_array_equal(state.offset, low)
        np.testing.assert_array_equal(state.sums[:, 0], whole.sums[:, 0])
        np.testing.assert_allclose(state.sums[:, 1], whole.sums[:, 1], rtol=0, atol=3000 * EPS * np.abs(Y).max())
    for part in (slice(0, 1), slice(7, 150)):
        np.testing.assert_array_equal(window_sums("nearest", rows, g, Zq[part]).sums[:, 0], whole.sums[part, 0])
    weights = kernel_weights("nearest", rows, g, Zq)
    np.testing.assert_array_equal((weights > 0).sum(axis=1), whole.sums[:, 0])


def test_rows_that_whole_numbers_tell_apart():
    """Large ones, whose last places are a fourth: rows at 2 and at 4 are not as near."""
    rows = Rows(*map(read_only, ([[1.7e15 - 4, 1.7e15 + 2]], [[1.0, 0.0]], np.ones(2), np.zeros(2))))
    for sums in (dense_sums, window_sums):
        assert sums("nearest", rows, np.ones(1), np.full((1, 1), 1.7e15)).sums.tolist() == [[1.0, 0.0]]


def test_lines_of_a_product_do_not_depend_on_each_other(rng):
    """The same bits for a point alone as among others; a library's product would not promise it."""
    Z, G = rng.normal(size=(70, 13)), rng.normal(size=(13, 5))
    found = times_matrix(Z, G)
    assert_allclose(found, Z @ G, rtol=0, atol=14 * np.finfo(float).eps * np.abs(Z).max() * np.abs(G).max() * 13)
    for i in (0, 3, 69):
        assert_array_equal(times_matrix(Z[i : i + 1], G)[0], found[i])
    assert_array_equal(times_matrix(np.asfortranarray(Z)[5:40], G), found[5:40])
