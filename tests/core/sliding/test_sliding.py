"""Sliding sums against exact arithmetic and the dense engine, at the edges of windows, blocks and segments too."""

import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from calls import kernel_sums, sliding_sums
from problems import EPS
from sknw import NadarayaWatsonRegressor
from sknw._core import KERNELS, Rows, Wanted, read_only
from sknw._core.sliding import sums as sliding_module
from sknw._core.sliding.sums import _calls

NAMES = [name for name in KERNELS if name != "gaussian"]
COMPACT = [name for name in NAMES if name != "exponential"]

DESIGNS = {
    "lognormal": lambda rng: rng.lognormal(0, 2, size=24),
    "cauchy": lambda rng: rng.standard_cauchy(size=24),
    "ties": lambda rng: rng.integers(0, 9, size=24) / 7,
    "offset": lambda rng: 1e8 + rng.normal(size=24),
    "clusters": lambda rng: np.repeat([-1e6, 0, 1e6], 8) + rng.normal(size=24),
    "two": lambda rng: rng.normal(size=2),
    "one": lambda rng: rng.normal(size=1),
}


def make_rows(rng, z, p=1, decades=0):
    """Sorted rows; some have no weight left when one observation is left out."""
    n = len(z)
    w = 10.0 ** rng.uniform(-decades / 2, decades / 2, size=n) if decades else rng.integers(1, 4, size=n) * 1.0
    rest = np.where(rng.random(n) < 0.5, 0, w / 3) if decades else w - 1
    return Rows(*map(read_only, (np.sort(z)[None], rng.normal(size=(p, n)), w, rest)))


def profile(kernel, u, near):
    """The profile and its derivative in log h at an exact distance u, rounded only at the end."""
    if kernel == "exponential":
        k = math.exp(-float(u - near)) if u - near < 800 else 0.0
        return k, float(u) * k
    u = min(u, Fraction(1))  # what is rounded to 1 counts
    if kernel == "cosine":
        quarter = math.pi / 2
        return math.sin(quarter * float(1 - u)), quarter * float(u) * math.sin(quarter * float(u))
    b, a = KERNELS[kernel].powers
    return float((1 - u**b) ** a), float(a * b * u**b * (1 - u**b) ** (a - 1)) if a else 0.0


def condition(kernel):
    """How many times their sum the moments amount to that add up to a profile or its derivative, at the worst."""
    if KERNELS[kernel].powers is None:
        return 2, 4
    b, a = KERNELS[kernel].powers
    return (2**b - 1) ** a, a * b * 2**b * (2**b - 1) ** max(a - 1, 0)


def exact_sums(kernel, x, rows, g, own):
    """Lowest s; sums and derivatives, exactly rounded; and how large errors of them may be, in eps.

    Moments carry some 10 eps each, of which a profile inherits `condition` as many, and the scaled distance 3 eps,
    which a profile passes on with -u k'(u), as the derivative in log h is. That itself is only good to what its moments
    are, which do not vanish where the row is near. The largest distance that matters carries its eps to the
    exponential, which is relative to the nearest row.
    """
    z, v = rows.Z[0], rows.w.copy()
    if own >= 0:
        v[own] = rows.w_rest[own]
    s = np.square((x - z) * g)
    there = np.flatnonzero(v > 0)
    low = min(s[there], default=math.inf)
    u = {j: abs((Fraction(x) - Fraction(z[j])) * Fraction(g)) for j in there}
    near = min(u.values(), default=0)
    inside = [j for j in there if kernel == "exponential" or s[j] <= 1]
    k, d = np.array([profile(kernel, u[j], near) for j in inside]).reshape(-1, 2).T
    values, slopes = condition(kernel)
    y = np.vstack([np.ones(len(z)), rows.Y])[:, inside]
    far = np.array([1 + float(u[j]) for j in inside]) if kernel == "exponential" else 1
    scale = v[inside] * abs(y)
    tolerance = 10 * (scale * (values * k * far + d)).sum(axis=1)
    d_tolerance = 10 * (scale * (slopes * (d + k) * far if kernel == "exponential" else slopes)).sum(axis=1)
    sums, dsums = ([math.fsum(t) for t in v[inside] * y * f] for f in (k, d))
    return low, sums, dsums, tolerance, d_tolerance


def check(kernel, rows, g, x, own):
    state = sliding_sums(kernel, rows, [g], x[:, None], own, derivatives=Wanted.SCALE)
    for i in range(len(x)):
        low, sums, dsums, tolerance, d_tolerance = exact_sums(kernel, x[i], rows, g, -1 if own is None else own[i])
        assert state.offset[i] == low
        assert (abs(state.sums[i] - sums) <= EPS * tolerance).all()
        assert (abs(state.derivatives[i, 0] - dsums) <= EPS * d_tolerance).all()
        assert (state.sums[i, 0] > 0) == (sums[0] > 0)
    return state


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("kernel", NAMES)
def test_sums_match_exact_arithmetic(rng, kernel, design):
    z = DESIGNS[design](rng)
    rows = make_rows(rng, z, p=2, decades=12)
    spread = np.ptp(z) or 1.0
    for h in spread * np.array([1e-9, 1e-5, 0.03, 0.2, 0.7, 1.5, 1e9]):
        far = [z.min() - 1.5 * h, z.max() + 0.5 * h, z.max() + 30 * h]
        x = np.r_[rng.choice(z, size=2), rng.uniform(z.min(), z.max(), size=2), far]
        check(kernel, rows, 1 / h, x, None)
        own = rng.permutation(len(z))[:5]
        check(kernel, rows, 1 / h, rows.Z[0, own], own)


@pytest.mark.filterwarnings("ignore::sknw.EmptyNeighborhoodWarning")
@pytest.mark.parametrize("shift", [0.0, 1e8])
@pytest.mark.parametrize("kernel", ["tophat", "epanechnikov", "biweight", "triweight"])
def test_predictions_are_as_accurate_as_is_promised(rng, kernel, shift):
    """To 1e-13 of the range of the targets and 2 units in the last place of the largest, left out or not."""
    n = 90
    designs = {
        "lognormal": rng.lognormal(0, 2, size=n),
        "cauchy": rng.standard_cauchy(n),
        "ties": rng.integers(0, 40, size=n) / 8,
        "offset": 1e8 + rng.normal(size=n),
    }
    y = shift + rng.normal(size=n)
    bound = Fraction(1e-13 * np.ptp(y) + 2 * np.spacing(abs(y).max()))
    b, a = KERNELS[kernel].powers
    for x in designs.values():
        for h in (0.375, 2.0):
            model = NadarayaWatsonRegressor(h, kernel=kernel, algorithm="sliding", rtol=0)
            model.fit(x[:, None], y)
            found, left_out = model.predict(x[:, None]), model.loo_predict()
            seen = 0
            for i in range(0, n, 3):
                u = [abs(Fraction(x[i]) - Fraction(t)) / Fraction(h) for t in x]
                w = [(1 - v**b) ** a if v <= 1 else 0 for v in u]
                for answer, own in ((found[i], w[i]), (left_out[i], 0)):
                    weights = [*w[:i], own, *w[i + 1 :]]
                    if any(weights):  # or else nobody is in reach, and the nearest row answers
                        m = sum(v * Fraction(t) for v, t in zip(weights, y, strict=True)) / sum(weights)
                        assert abs(Fraction(answer) - m) <= bound
                        seen += 1
            assert seen > n // 3


@pytest.mark.parametrize("kernel", COMPACT)
def test_edge_of_the_window_keeps_its_digits(rng, kernel):
    """A window of rows at u = 1 - 1e-6 has a small mass, which is relatively as good as any.

    Coordinates are multiples of a power of two: distances are exact.
    """
    z = np.round(rng.uniform(0, 1e-6, size=20) * 2**40) / 2**40
    z = np.sort(np.r_[z, -10 - z, 10 + z])
    rows = make_rows(rng, z)
    mass = sliding_sums(kernel, rows, [1.0], [[1.0]]).sums[0, 0]
    expected = math.fsum(
        w * profile(kernel, 1 - Fraction(t), 0)[0] for w, t in zip(rows.w, rows.Z[0], strict=True) if 0 <= t < 1
    )
    assert_allclose(mass, expected, rtol=10 * condition(kernel)[0] * EPS)
    mass = sliding_sums(kernel, rows, [1.0], [[-1.0 + 2**-20]]).sums[0, 0]
    expected = math.fsum(
        w * profile(kernel, 1 + Fraction(t) - Fraction(1, 2**20), 0)[0]
        for w, t in zip(rows.w, rows.Z[0], strict=True)
        if 0 <= t <= 2**-20
    )
    assert_allclose(mass, expected, rtol=10 * condition(kernel)[0] * EPS)


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("h", [0.1, 0.3, 0.7, 1.1, 2.3])
@pytest.mark.parametrize("offset", [0, 1 / 3, 1e8])
def test_reach_is_that_of_the_dense_engine(h, offset):
    """On a lattice many rows are at s = 1, or a rounding error beside it: those of s <= 1 count, and no others."""
    rows = Rows(*map(read_only, (offset + np.arange(60)[None] * 0.1, np.ones((1, 60)), np.ones(60), np.zeros(60))))
    z, g = rows.Z[0], 1 / h
    expected = (np.square((z[:, None] - z) * g) <= 1).sum(axis=1)
    assert_array_equal(sliding_sums("tophat", rows, [g], rows.Z.T).sums[:, 0], expected)
    assert_array_equal(sliding_sums("tophat", rows, [g], rows.Z.T, np.arange(60)).sums[:, 0], expected - 1)


@pytest.mark.parametrize("beside", [0.5, 1.0, 2.0])
def test_row_at_the_very_edge(beside):
    edges = [np.nextafter(beside, 0), beside, np.nextafter(beside, 9)]
    z = np.sort([*(-np.array(edges)), *edges])
    rows = Rows(*map(read_only, (z[None], z[None], np.ones(6), np.zeros(6))))
    assert sliding_sums("tophat", rows, [1 / beside], [[0.0]]).sums[0, 0] == 4
    assert sliding_sums("linear", rows, [1 / beside], [[0.0]]).sums[0, 0] == EPS


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("derivatives", Wanted)
@pytest.mark.parametrize("kernel", NAMES)
def test_sums_match_the_dense_engine(rng, kernel, derivatives):
    """Many blocks, and blocks of many segments; queries in any order, ties among them, own rows anywhere."""
    n = 3000
    z = np.where(rng.random(n) < 0.5, rng.normal(size=n), rng.integers(-9, 9, size=n) / 8)
    rows = make_rows(rng, z, p=2)
    own = np.r_[rng.permutation(n)[:600], np.full(100, -1)]
    x = np.r_[rows.Z[0, own[:600]], rng.choice(z, 50), rng.normal(size=50)]
    x[:5] += 0.01  # their own rows are elsewhere
    order = rng.permutation(700)
    own, x = own[order], x[order, None]
    for h in (1e-3, 0.03, 0.4, 3, 100):
        state = sliding_sums(kernel, rows, [1 / h], x, own, derivatives=derivatives)
        expected = kernel_sums(kernel, rows, [1 / h], x, own, derivatives=derivatives)
        assert_array_equal(state.offset, expected.offset)
        # Both sum up up to 3000 rows of weight up to 3 and targets up to 4, each with errors of some 10 eps, which the
        # derivative inherits as the moments' condition has it; the dense engine's exponential has those of s.
        scale = 4 * 10 * EPS * expected.sums[:, :1] if kernel == "exponential" else 4 * 10 * EPS * 3 * n
        worst, d_worst = condition(kernel)
        assert (abs(state.sums - expected.sums) <= scale * worst * (4 if kernel == "exponential" else 1)).all()
        assert state.derivatives.shape == expected.derivatives.shape
        if derivatives and KERNELS[kernel].differentiable:
            scale = scale * (1 + np.abs(x).max() / h) ** 2 if kernel == "exponential" else scale
            assert (abs(state.derivatives[:, 0] - expected.derivatives[:, 0]) <= scale * d_worst).all()


def test_clusters_far_apart_do_not_underflow():
    """Relative to the nearest row: neither its weight nor that of its neighbors vanishes."""
    z = np.array([0, 1, 2, 1e6, 1e6 + 1, 1e7])
    rows = Rows(*map(read_only, (z[None], np.arange(6.0)[None], np.ones(6), np.zeros(6))))
    state = sliding_sums("exponential", rows, [1.0], [[-1e12], [5e5 + 1], [5e5 + 1.5], [1e300]])
    e = math.exp(-1)
    left, middle = [1 + e + e**2, e + 2 * e**2], np.array([1 + e + e**2, 2 + e])  # as seen from its left, its right
    right = np.array([1 + e, 3 + 4 * e])
    assert_allclose(state.sums[0], left, rtol=4 * EPS)
    assert_allclose(state.sums[1], middle + right, rtol=4 * EPS)
    assert_allclose(state.sums[2], middle * e + right, rtol=4 * EPS)
    assert_array_equal(state.offset[3], np.inf)
    assert_array_equal(state.sums[3], 0)


@pytest.mark.parametrize("kernel", NAMES)
def test_targets_over_twelve_decades(rng, kernel):
    """A moment is good relative to the targets within reach, whatever those beside it are."""
    z = np.sort(rng.uniform(size=60))
    y = np.where(z > 0.5, 1e12, 1.0) * rng.normal(size=60)
    rows = make_rows(rng, z)._replace(Y=read_only(y[None]))
    own = np.arange(60)
    check(kernel, rows, 20.0, z, own)
    if kernel != "exponential":
        assert abs(sliding_sums(kernel, rows, [20.0], z[:, None], own).sums[z < 0.45, 1]).max() < 100


@pytest.mark.parametrize("kernel", NAMES)
def test_infinite_bandwidth_takes_all_alike(rng, kernel):
    rows = make_rows(rng, rng.normal(size=50))
    state = sliding_sums(kernel, rows, [0.0], rows.Z.T, derivatives=Wanted.SCALE)
    assert_array_equal(state.sums[:, 0], rows.w.sum())
    assert_array_equal(state.offset, 0)
    assert_array_equal(state.derivatives, 0)


@pytest.mark.parametrize("kernel", NAMES)
def test_nobody_within_reach(rng, kernel):
    rows = make_rows(rng, np.arange(20.0))._replace(w_rest=read_only(np.zeros(20)))
    state = sliding_sums(kernel, rows, [100.0], rows.Z.T, np.arange(20))
    assert_array_equal(state.offset, 1e4)
    assert (state.sums[:, 0] == 0).all() == (kernel != "exponential")
    assert sliding_sums(kernel, rows, [1.0], np.empty((0, 1)), n_threads=2).sums.shape == (0, 2)
    alone = Rows(*(read_only(a[..., :1]) for a in rows))
    state = sliding_sums(kernel, alone, [1.0], [[0.0]], [0])
    assert_array_equal(state.offset, np.inf)
    assert_array_equal(state.sums, 0)


def test_queries_out_of_order_between_two_parts(rng, monkeypatch):
    """Each part that is looked up at a time may be in ascending order, and all of them together not."""
    monkeypatch.setattr(sliding_module, "_CALL", 8)
    rows, g = make_rows(rng, rng.normal(size=50)), np.ones(1)
    x = np.sort(rng.normal(size=16))
    Zq = np.r_[x[8:], x[:8]][:, None]
    there, here = (kernel_sums("biweight", rows, g, Zq, algorithm=a) for a in ("dense", "sliding"))
    assert_allclose(here.sums, there.sums, rtol=1e-13)


def test_ties_in_any_order(rng):
    """A row that is left out is one of those it is tied with, not all of them."""
    rows = make_rows(rng, np.repeat([0.0, 0.5, 3.0], 10), decades=2)
    own = rng.permutation(30)
    state = sliding_sums("linear", rows, [1.0], rows.Z.T[own], own)
    for i, j in enumerate(own):
        _, sums, _, tolerance, _ = exact_sums("linear", rows.Z[0, j], rows, 1.0, j)
        assert (abs(state.sums[i] - sums) <= EPS * tolerance).all()


@pytest.mark.parametrize("kernel", ["tophat", "epanechnikov", "exponential"])
def test_rounding_does_not_grow_with_the_number_of_rows(kernel):
    """Of a running sum it does: that of 2**17 times 0.1 is wrong by 1e-12."""
    n = 2**17
    rows = Rows(*map(read_only, (np.arange(n)[None] / n, np.ones((1, n)), np.full(n, 0.1), np.zeros(n))))
    for h in (0.3, 2):
        x = np.array([[0.0], [0.9], [1.0]])
        mass = sliding_sums(kernel, rows, [1 / h], x).sums[:, 0]
        for i in range(3):
            u = abs(x[i] - rows.Z[0]).astype(np.longdouble) / np.longdouble(h)
            k = {"tophat": u <= 1, "epanechnikov": np.maximum(1 - u * u, 0), "exponential": np.exp(u.min() - u)}[kernel]
            # Up to 1024 rows in a segment and 128 segments: about 60 eps, if all roundings go the same way for a while.
            assert_allclose(mass[i], float((k * np.longdouble(0.1)).sum()), rtol=100 * EPS)


@pytest.mark.parametrize("kernel", ["biweight", "cosine", "exponential"])
def test_any_number_of_threads_gives_the_same_bits(rng, kernel, monkeypatch):
    rows = make_rows(rng, rng.normal(size=3000), p=2)
    own, args = np.arange(3000), (kernel, rows, [30.0], rows.Z.T)
    whole = sliding_sums(*args, own, derivatives=Wanted.SCALE)
    monkeypatch.setattr(sliding_module, "_CALL", 1)  # many calls
    one, three = (sliding_sums(*args, own, derivatives=Wanted.SCALE, n_threads=n) for n in (1, 3))
    for a, b, c in zip(one, three, whole, strict=True):
        assert_array_equal(a, b)
        assert_allclose(a, c, rtol=0, atol=2000 * EPS * np.abs(c).max())


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("m", [0, 1, 500, 20_000])
@pytest.mark.parametrize("n_blocks", [1, 2, 30, 1000])
def test_work_is_linear(rng, monkeypatch, n_blocks, m):
    """Each query is in one call, next to the blocks it needs, and all calls together look at few rows twice."""
    monkeypatch.setattr(sliding_module, "_CALL", 16)
    n = 1000
    starts = np.r_[0, np.sort(rng.choice(np.arange(1, n), n_blocks - 1, replace=False)), n]
    stop = np.sort(rng.integers(0, n + 1, size=m))
    calls = _calls(starts, stop)
    queries = [i for _, _, first, last in calls for i in range(first, last)]
    assert queries == np.flatnonzero(stop > 0).tolist()
    for start, length, first, last in calls:
        assert start in starts
        blocks = np.searchsorted(starts, stop[first:last] - 1, side="right") - 1
        assert start <= starts[np.maximum(blocks - 1, 0)].min()
        assert stop[last - 1] <= start + length
    assert sum(length for _, length, _, _ in calls) <= 1.5 * n + m


def test_loops_are_compiled_once_for_each_kernel(rng):
    rows = make_rows(rng, rng.normal(size=40))
    loose = Rows(rows.Z, rows.Y.astype(np.float32), rows.w.copy(), rows.w_rest.astype(int))
    sliding_sums("linear", rows, np.ones(1), rows.Z.T)
    sliding_sums("linear", rows, np.ones(1), rows.Z.T, np.arange(40))
    sliding_sums("linear", loose, [1], rows.Z.T[::-1], np.arange(40)[::-1], derivatives=Wanted.PAIRS)
    for loop in (sliding_module.add_side, sliding_module.cut):
        kernels = [signature[0] for signature in loop.signatures]
        assert len(set(kernels)) == len(kernels)
