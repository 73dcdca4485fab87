"""Sums over the pairs within reach, against plain Python and against the sums over all pairs."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import naive
from calls import kernel_sums, neighbor_sums, window_sums
from problems import COMPACT, EPS, INFINITE, rows_of
from sknw._core import KERNELS, Wanted, costs
from sknw._core.order import spatial_order
from sknw._core.within_reach import reach as reach_module


def make_rows(X, y, w=None):
    """X, y, w and `Rows`, in spatial order."""
    X, y = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
    y, w = y.reshape(len(X), -1), np.ones(len(X)) if w is None else np.asarray(w, dtype=float)
    order = spatial_order(X.T)
    X, y, w = X[order], y[order], w[order]
    return X, y, w, rows_of(X, y, w)


def random_rows(rng, n, d, p=1, weights=True):
    w = rng.integers(1, 4, size=n) if weights else None
    return make_rows(rng.normal(size=(n, d)), rng.normal(size=(n, p)), w)


def assert_as_dense(kernel, rows, g, Zq, own=None, *, derivatives=Wanted.VALUE, rtol=0.0):
    """The state, as that over all pairs: up to rounding, and the share of the mass that may be neglected.

    Both engines form the same squared distances and weights. Sums of n terms in lanes and tiles are off by at most
    (148 + n / 64) eps of the sum of their sizes; where they are moved to a nearer row, some twenty times at the most,
    by another 40 eps each in either engine, for beyond an exponent of 37 nothing is left of them. A term of a
    derivative is bounded by that in the scale, since |t_a t_b| <= s.

    Where the queries are all rows, of one feature, so is the state that `Neighbors` gives: there, each term comes
    after the other, which may cost an eps each.
    """
    got = window_sums(kernel, rows, g, Zq, own, derivatives=derivatives, rtol=rtol)
    _assert_as_dense(got, 0, kernel, rows, g, Zq, own, derivatives, rtol)
    if len(g) == 1 and own is not None and len(own) == len(rows.w) and (own == np.arange(len(own))).all():
        other = neighbor_sums(kernel, rows, g, 0, len(own), derivatives=derivatives, rtol=rtol)
        _assert_as_dense(other, len(own), kernel, rows, g, Zq, own, derivatives, rtol)
    return got


def _assert_as_dense(got, n_terms, kernel, rows, g, Zq, own, derivatives, rtol):
    with costs.using(few_pairs=0):  # the same loops for squared distances
        expected = kernel_sums(kernel, rows, g, Zq, own, derivatives=derivatives)
    reached = expected.offset <= 1 if kernel in COMPACT and len(g) > 1 else np.isfinite(expected.offset)
    assert_array_equal(got.offset, np.where(reached, expected.offset, math.inf))
    mass, size = expected.sums[:, 0], max(1, np.abs(rows.Y).max())
    share = rtol if kernel in INFINITE else 0.0
    rounding = (148 + n_terms + len(rows.w) / 64 + 2000 * (kernel in INFINITE)) * EPS
    assert (np.abs(got.sums - expected.sums) <= ((share + rounding) * mass * size)[:, None]).all()
    if derivatives:
        slope = kernel_sums(kernel, rows, g, Zq, own, derivatives=Wanted.SCALE).derivatives[:, 0, 0]
        tolerance = (share * mass + rounding * (slope + mass)) * size
        assert (np.abs(got.derivatives - expected.derivatives) <= tolerance[:, None, None]).all()
    there = mass > 0
    error = np.abs(got.sums[there, 1:] / got.sums[there, :1] - expected.sums[there, 1:] / mass[there, None])
    assert (error <= share * np.ptp(rows.Y, axis=1) + 4 * rounding * size).all()


@pytest.mark.thin
@pytest.mark.parametrize("kernel", [*KERNELS, "nearest"])
@pytest.mark.parametrize("d", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("left_out", [False, True])
def test_sums_are_those_over_all_pairs(rng, kernel, d, left_out):
    n, reach = 700, 0.1 if kernel in INFINITE else 0.3
    for p, weights, derivatives in [
        (1, False, Wanted.VALUE),
        (2, True, Wanted.SCALE),
        (1, True, Wanted.FEATURES),
        (2, False, Wanted.PAIRS),
    ]:
        if kernel == "nearest" and derivatives:
            continue
        X, _, _, rows = random_rows(rng, n, d, p, weights)
        g = 1 / rng.uniform(reach, 2 * reach, size=d) / math.sqrt(d)
        queries, own = (X, np.arange(n)) if left_out else (rng.normal(size=(150, d)) * 1.5, None)
        got = assert_as_dense(kernel, rows, g, queries, own, derivatives=derivatives)
        assert got.derivatives.shape == (len(queries), derivatives.count(d), 1 + p)


@pytest.mark.thin
@pytest.mark.parametrize("kernel", INFINITE)
@pytest.mark.parametrize("rtol", [1e-12, 1e-10, 1e-3])
@pytest.mark.parametrize("derivatives", Wanted)
@pytest.mark.parametrize("d", [1, 3])
def test_neglected_weights_keep_their_promise(rng, kernel, rtol, derivatives, d):
    X, _, _, rows = random_rows(rng, 1500, d, 2)
    for reach in (0.02, 0.3):
        g = np.full(d, 1 / reach)
        assert_as_dense(kernel, rows, g, X, np.arange(1500), derivatives=derivatives, rtol=rtol)
        assert_as_dense(kernel, rows, g, rng.normal(size=(100, d)) * 2, derivatives=derivatives, rtol=rtol)


@pytest.mark.thin
@pytest.mark.parametrize("kernel", INFINITE)
@pytest.mark.parametrize("derivatives", [Wanted.VALUE, Wanted.SCALE])
@pytest.mark.parametrize("weight", [1.0, 1e4])
@pytest.mark.parametrize("rtol", [1e-3, 1e-10])
def test_what_is_neglected_is_as_much_as_may_be(kernel, derivatives, weight, rtol):
    """A heavy crowd far away counts while its share is above rtol, and not once it is certainly below."""
    near, crowd = 64, 640
    c = math.log((near + crowd * weight) / (rtol * near))  # exponent at which the share of the crowd is rtol, nearly
    inside = c - math.log(2)
    outside = c + math.log(2)
    if derivatives:  # weights times twice the exponent
        for _ in range(50):
            inside = c - math.log(2) + math.log(2 * inside)
        outside += math.log(4 * c)
    for e, met in ((inside, near + crowd), (outside, near)):
        u = math.sqrt(2 * e) if kernel == "gaussian" else e
        X, y = np.repeat([0, u], [near, crowd])[:, None], np.repeat([0, 1], [near, crowd])
        # A second feature, or else rows are looked up one by one, from the nearest.
        _, _, _, rows = make_rows(np.hstack([X, 0 * X]), y, np.repeat([1, weight], [near, crowd]))
        query, visited = np.zeros((1, 2)), np.zeros(1, dtype=np.int64)
        assert_as_dense(kernel, rows, np.ones(2), query, derivatives=derivatives, rtol=rtol)
        window_sums(kernel, rows, np.ones(2), query, derivatives=derivatives, rtol=rtol, visited=visited)
        assert visited[0] == met


def assert_as_naive(kernel, X, y, w, rows, g, queries, own=None, rtol=0.0):
    """Averages as in plain Python; where no row is in reach, the sums are zero."""
    state = window_sums(kernel, rows, g, queries, own, rtol=rtol)
    for i, x in enumerate(queries.tolist()):
        left = list(w) if own is None else naive.without(list(w), own[i])
        expected = naive.predict([x], X.tolist(), y.tolist(), left, list(g), kernel, "nan")[0]
        if math.isnan(expected[0]):
            assert not state.sums[i].any()
            assert state.offset[i] > 1
            continue
        bound = naive.error_bound(x, X.tolist(), y.tolist(), left, list(g), kernel) + rtol * np.ptp(y, axis=0).max()
        assert_allclose(state.sums[i, 1:] / state.sums[i, 0], expected, rtol=0, atol=bound)


@pytest.mark.parametrize("kernel", ["gaussian", "exponential", "epanechnikov", "tophat"])
@pytest.mark.parametrize("rtol", [0.0, 1e-10])
def test_hard_data(rng, kernel, rtol):
    n = 330
    cases = {
        "clusters a million bandwidths apart": (rng.normal(size=(n, 2)) + 1e6 * rng.integers(0, 3, size=(n, 1)), 1.0),
        "one row far away": (np.vstack([rng.normal(size=(n - 1, 2)), [[1e6, -1e6]]]), 0.3),
        "all rows equal": (np.full((n, 3), 0.3), 0.1),
        "ties": (rng.integers(0, 3, size=(n, 2)), 1.0),
        "a bandwidth far below the range": (rng.uniform(size=(n, 1)), 1e-9),
        "a bandwidth far above the range": (rng.uniform(size=(n, 2)), 1e9),
        "heavy tails": (rng.standard_cauchy(size=(n, 2)), 0.3),
    }
    for X, h in cases.values():
        y, w = rng.normal(size=(n, 2)), rng.integers(1, 3, size=n)
        X, y, w, rows = make_rows(X, y, w)
        g = np.full(X.shape[1], 1 / h)
        some = np.sort(rng.choice(n, 10, replace=False))
        some[-1] = n - 1
        away = np.vstack([X[some] + h * rng.normal(size=(10, X.shape[1])), X[some[:2]] + 1e4 * h])
        assert_as_naive(kernel, X, y, w, rows, g, away, rtol=rtol)
        assert_as_naive(kernel, X, y, w, rows, g, X[some], some, rtol=rtol)
        assert_as_naive(kernel, X, y, np.ones(n), rows._replace(w=np.ones(n), w_rest=np.zeros(n)), g, X[some], some)


@pytest.mark.parametrize("kernel", ["gaussian", "exponential", "triweight"])
@pytest.mark.parametrize("rtol", [0.0, 1e-10])
def test_weights_and_targets_over_many_decades(rng, kernel, rtol):
    n = 400
    w, y = 10 ** rng.uniform(-12, 0, size=n), rng.choice([-1, 1], size=n) * 10 ** rng.uniform(-6, 6, size=n)
    X, y, w, rows = make_rows(rng.uniform(size=(n, 2)), y, w)
    assert_as_naive(kernel, X, y, w, rows, np.full(2, 8.0), rng.uniform(size=(15, 2)), rtol=rtol)
    assert_as_naive(kernel, X, y, w, rows, np.full(2, 8.0), X[::40], np.arange(0, n, 40), rtol=rtol)


@pytest.mark.parametrize("kernel", ["gaussian", "epanechnikov", "nearest"])
def test_ten_thousand_ties(rng, kernel):
    """Their number is beyond the widest tile."""
    X = np.vstack([np.zeros((10_000, 2)), rng.normal(size=(500, 2))])
    _, _, _, rows = make_rows(X, rng.normal(size=len(X)))
    queries = np.vstack([np.zeros((1, 2)), rng.normal(size=(20, 2))])
    assert_as_dense(kernel, rows, np.full(2, 3.0), queries)
    own = np.arange(0, len(X), 1000)
    assert_as_dense(kernel, rows, np.full(2, 3.0), rows.Z.T[own], own)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_rows_at_the_edge_are_within_reach(d):
    """Integers over a power of two: every s is exact, and many are exactly 1."""
    side = (2100, 48, 13)[d - 1]
    X = np.stack(np.meshgrid(*[np.arange(side)] * d), axis=-1).reshape(-1, d)
    X, _, _, rows = make_rows(X, np.arange(len(X)) % 7)
    for reach in (1, 2, 4):
        g = np.full(d, 1 / reach)
        got, expected = window_sums("tophat", rows, g, X), kernel_sums("tophat", rows, g, X)
        assert_array_equal(got.sums, expected.sums)  # sums of integers have no rounding


def test_rounding_at_the_edge_agrees(rng):
    """The bandwidth is the distance of a query to some row, but for rounding: the row counts if it does in `weigh`."""
    for d in (1, 2, 3, 8):
        X, _, _, rows = random_rows(rng, 2000, d, weights=False)
        rows = rows._replace(Y=np.ones((1, 2000)))
        queries = rng.normal(size=(40, d))
        for x in queries:
            g = np.full(d, 1 / math.sqrt(np.sum((x - X[rng.integers(2000)]) ** 2)))
            assert_array_equal(
                window_sums("tophat", rows, g, x[None]).sums, kernel_sums("tophat", rows, g, x[None]).sums
            )


@pytest.mark.parametrize("kernel", ["gaussian", "exponential", "linear", "nearest"])
def test_distances_that_overflow(rng, kernel):
    X, _, _, rows = random_rows(rng, 200, 2)
    queries = np.vstack([np.full((3, 2), 1e200), X[:3], -np.full((2, 2), 1e300)])
    got = assert_as_dense(kernel, rows, np.ones(2), queries)
    assert np.isinf(got.offset[[0, 1, 2, 6, 7]]).all()
    assert not got.sums[[0, 1, 2, 6, 7]].any()
    assert_as_dense(kernel, rows, np.full(2, 1e200), X, np.arange(200))


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("kernel", ["gaussian", "epanechnikov", "nearest"])
@pytest.mark.parametrize("n", [1, 2, 64, 65, 4096, 4097, 9000])
def test_at_the_seams_of_tiles_and_groups(rng, kernel, n):
    for d in (1, 2):
        X, _, _, rows = random_rows(rng, n, d)
        g = np.full(d, max(1.0, (n / 30) ** (1 / d)))
        some = np.unique(np.r_[0, n - 1, rng.integers(0, n, size=130)])
        assert_as_dense(kernel, rows, g, X[some], rtol=1e-10)
        assert_as_dense(kernel, rows, g, X[some], some, rtol=1e-10)
        assert_as_dense(kernel, rows, g, rng.normal(size=(70, d)), rtol=1e-10)


def test_queries_in_any_order(rng):
    X, _, _, rows = random_rows(rng, 1000, 2)
    own = rng.permutation(1000)[:300]
    own[::7] = -1
    assert_as_dense("gaussian", rows, np.full(2, 5.0), X[own], own)
    state = window_sums("gaussian", rows, np.full(2, 5.0), np.empty((0, 2)), n_threads=2)
    assert state.sums.shape == (0, 2)


@pytest.mark.parametrize("kernel", ["gaussian", "epanechnikov"])
def test_any_number_of_threads_and_any_interruption_gives_the_same_bits(rng, kernel, monkeypatch):
    X, _, _, rows = random_rows(rng, 3000, 2, 2)
    queries = rng.normal(size=(1000, 2))

    def sums(n_threads):
        return [
            window_sums(
                kernel, rows, np.full(2, 4.0), Zq, own, derivatives=Wanted.PAIRS, rtol=1e-6, n_threads=n_threads
            )
            for Zq, own in ((queries, None), (X, np.arange(3000)))
        ]

    expected = sums(1)
    for work, width in ((2**24, 2**10), (1, 2**10), (5000, 512), (1, 64)):
        monkeypatch.setattr(reach_module, "_WORK_PER_CALL", work)
        monkeypatch.setattr(reach_module, "_QUERIES_PER_CALL", width)
        for n_threads in (1, 2, 5):
            for got, wanted in zip(sums(n_threads), expected, strict=True):
                for a, b in zip(got, wanted, strict=True):
                    assert_array_equal(a, b)


def pairs(kernel, rows, g, Zq, own=None, rtol=1e-10):
    """Rows met and sums, per query."""
    visited = np.zeros(len(Zq), dtype=np.int64)
    state = window_sums(kernel, rows, g, Zq, own, rtol=rtol, visited=visited)
    return visited, state


@pytest.mark.parametrize(("d", "factor"), [(1, 3), (2, 4), (3, 7)])
def test_few_rows_out_of_reach_are_met(rng, d, factor):
    """With 100 rows in reach and tiles of 64; a window of side 1 meets boxes of side b within (1 + 2b)**d or so."""
    for n in (8000, 32_000):
        X = rng.uniform(size=(n, d))
        X, _, _, rows = make_rows(X, np.zeros(n))
        volume = math.pi ** (d / 2) / math.gamma(d / 2 + 1)
        g = np.full(d, (n * volume / 100) ** (1 / d))
        for queries, own in ((X, np.arange(n)), (rng.uniform(size=(2000, d)), None)):
            visited, state = pairs("tophat", rows, g, queries, own)
            assert (visited >= state.sums[:, 0]).all()
            assert visited.mean() <= factor * state.sums[:, 0].mean()


@pytest.mark.parametrize("kernel", ["gaussian", "exponential", "epanechnikov", "nearest"])
def test_rows_met_do_not_grow_with_their_number(rng, kernel):
    """At a constant number of neighbors, but for the logarithm of the sum of weights."""
    means, neighbors = [], 0.2 if kernel == "exponential" else 3
    for n in (10_000, 40_000):
        X, _, _, rows = make_rows(rng.uniform(size=(n, 2)), np.zeros(n))
        visited, _ = pairs(kernel, rows, np.full(2, math.sqrt(n / neighbors)), X[: n // 4], np.arange(n // 4))
        means.append(visited.mean())
    assert means[1] < 1.25 * means[0] < 0.2 * 10_000


@pytest.mark.parametrize("kernel", ["gaussian", "exponential", "epanechnikov", "tophat", "nearest"])
def test_one_feature_with_queries_in_any_order(rng, kernel):
    """Some of them rows that are left out, some not, and rows that are left out elsewhere than they are."""
    X, _, _, rows = random_rows(rng, 500, 1)
    own = rng.permutation(500)
    own[::3] = -1
    queries = X[rng.permutation(500)]
    for mine in (own, np.full(500, -1)):
        for g in (np.full(1, 3.0), np.full(1, 300.0)):
            got, expected = window_sums(kernel, rows, g, queries, mine), kernel_sums(kernel, rows, g, queries, mine)
            assert_array_equal(got.offset, expected.offset)
            # As in `assert_as_dense`, with derivatives left out.
            tolerance = (148 + 500 / 64 + 2000 * (kernel in INFINITE)) * EPS * expected.sums[:, :1]
            assert (np.abs(got.sums - expected.sums) <= tolerance * np.abs(rows.Y).max()).all()


@pytest.mark.parametrize("reach", [0.02, 0.3])
def test_one_feature_visits_no_more_than_it_must(rng, reach):
    """Exactly the rows within reach of a window; and of the Gaussian not many more than the share asks for."""
    X, _, _, rows = random_rows(rng, 4000, 1, weights=False)
    g, own = np.full(1, 1 / reach), np.arange(4000)
    inside = (np.abs(X - X.T) <= reach * (1 + 4 * EPS)).sum(axis=1)
    visited = np.zeros(4000, dtype=np.int64)
    window_sums("epanechnikov", rows, g, X, own, visited=visited)
    assert (visited <= inside).all()
    assert visited.sum() >= 0.99 * inside.sum()
    visited[:] = 0
    window_sums("gaussian", rows, g, X, own, rtol=1e-6, visited=visited)
    beside = np.abs(X - X.T)
    nearest = np.sort(beside, axis=1)[:, 1:2]
    cut = np.sqrt(nearest**2 + 2 * reach**2 * math.log(4000 / 1e-6))
    assert (visited <= (beside <= cut * (1 + 1e-12)).sum(axis=1)).all()
