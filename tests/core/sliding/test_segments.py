"""Squared leave-one-out errors by segments, against the dense engine, single rows and all; and the edges of windows."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from calls import kernel_sums, takes_segments
from sknw._core import KERNELS, Rows, Wanted, read_only
from sknw._core.within_reach.bounds import find_edges, find_edges_of_some
from sknw._criteria import by_segments
from sknw._criteria.problem import ErrorProblem, Settings
from sknw._smoothing.metric import Metric

NAMES = [name for name, profile in KERNELS.items() if profile.powers]

#: What a prediction may be wrong by, the targets being within -1 and 1: the promise, and what is found on the average,
#: a hundredth of the bound for the worst of all roundings that it is made from.
PROMISE, USUAL = 2e-11, 1e-13


def clusters(rng, n):
    """Windows of a few rows up to most of them, and gaps that are wider than all."""
    return np.concatenate([rng.normal(size=n - n // 2), 1e6 + 1e-3 * rng.normal(size=n // 2)])


DESIGNS = {
    "uniform": lambda rng, n: rng.uniform(size=n),
    "cauchy": lambda rng, n: rng.standard_cauchy(size=n),
    "lognormal": lambda rng, n: rng.lognormal(0, 3, size=n),
    "clusters": clusters,
    "ties": lambda rng, n: rng.integers(0, 40, size=n) / 39,
    "equal": lambda rng, n: np.full(n, 0.3),
    "offset": lambda rng, n: 1e8 + rng.uniform(size=n),
    "far apart": lambda rng, n: 10.0 ** rng.uniform(-300, 300, size=n),
}


def make_rows(rng, z, weights="one", p=1):
    n = len(z)
    w = {
        "one": lambda: np.ones(n),
        "counts": lambda: rng.integers(1, 4, size=n).astype(float),
        "mixed": lambda: rng.uniform(0.2, 2, size=n),
        "decades": lambda: 10.0 ** rng.uniform(-6, 0, size=n),
        "next to nothing": lambda: np.where(rng.random(n) < 0.5, 1.0, 10.0 ** rng.uniform(-320, -290, size=n)),
    }[weights]()
    return Rows(*map(read_only, (np.sort(z)[None], rng.uniform(-1, 1, size=(p, n)), w, np.maximum(w - 1, 0))))


def dense_errors(kernel, rows, g):
    """Squared errors of single rows, their derivatives in log h, and masses, by the sums of each row."""
    own = np.arange(len(rows.w))
    state = kernel_sums(kernel, rows, g, rows.Z.T, own, derivatives=Wanted.SCALE)
    mass = state.sums[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        m = state.sums[:, 1:] / mass[:, None]
        slope = (state.derivatives[:, 0, 1:] - m * state.derivatives[:, 0, :1]) / mass[:, None]
    residuals = m - rows.Y.T
    return (residuals**2).mean(axis=1), (2 * residuals * slope).mean(axis=1), mass


def make_problem(kernel, rows, g, *, wanted=Wanted.VALUE, queries=None, weights=None, n_threads=1):
    """The problem of sorted rows."""
    settings = Settings(kernel, n_threads=n_threads)
    return ErrorProblem(rows, Metric(np.arange(1), g), settings, wanted, queries, weights, is_sorted=True)


def segment_errors(kernel, rows, g, **options):
    """Errors of sorted rows."""
    return by_segments.errors(make_problem(kernel, rows, g, **options))


def check(kernel, rows, g, n_threads=1, some=None, v=None):
    """All that is certain is right; returns the numbers of the rows that are not, and masses."""
    m = len(rows.w if some is None else some)
    squares, options = np.empty(m), {"wanted": Wanted.SCALE, "n_threads": n_threads}
    found = by_segments.errors(make_problem(kernel, rows, g, queries=some, weights=v, **options), squares)
    expected, slopes, mass = dense_errors(kernel, rows, g)
    if some is not None:
        expected, slopes, mass = expected[some], slopes[some], mass[some]
    certain = np.ones(m, dtype=bool)
    certain[found.uncertain] = False
    assert not squares[found.uncertain].any()
    w, n = (rows.w if some is None else v)[certain], len(rows.w)
    wrong = np.abs(squares[certain] - w * expected[certain])
    # That of the square is twice the error, at most 2, times what the prediction is wrong by.
    assert (wrong <= 4 * PROMISE * w + np.finfo(float).tiny).all()
    assert wrong.sum() <= 4 * USUAL * w.sum()
    assert_allclose(found.weight, w.sum(), rtol=n * 2.3e-16)
    # Sums of rounded terms, up to n of them, and the mean of what these are wrong by.
    assert_allclose(found.error, w @ expected[certain], rtol=n * 2.3e-16, atol=4 * USUAL * w.sum())
    if kernel != "tophat":
        # Derivatives of weights are 2 a u^2 times what they are of a lower degree: 6 times the terms for the triweight,
        # and twice as many products.
        scale = np.abs(w * slopes[certain]).sum() + w.sum()
        assert_allclose(found.slope, [w @ slopes[certain]], rtol=0, atol=100 * USUAL * scale)
    return found.uncertain, mass


@pytest.mark.thin
@pytest.mark.parametrize("kernel", NAMES)
@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("weights", ["one", "counts", "mixed", "decades", "next to nothing"])
def test_certified_errors_are_right(rng, kernel, design, weights):
    """Windows of a few rows, of some runs, and of all rows."""
    z = DESIGNS[design](rng, 1500)
    rows = make_rows(rng, z, weights, p=2)
    for h in np.quantile(np.abs(z - rng.permutation(z)), [0.002, 0.02, 0.3, 0.99]) * 1.0000001:
        if h > 0:
            rest, mass = check(kernel, rows, np.array([1 / h]))
            # What has no row in reach but itself is never certain, nor is it left out for nothing.
            assert not np.setdiff1d(np.flatnonzero(mass == 0), rest).size
            if design == "uniform" and weights == "one" and h > 0.1:
                assert len(rest) == 0


@pytest.mark.thin
@pytest.mark.parametrize("kernel", NAMES)
@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("weights", ["one", "mixed", "decades"])
def test_some_rows(rng, kernel, design, weights):
    """Each with a window of its own, that need not be like its neighbor's, and with another weight for its error."""
    rows = make_rows(rng, DESIGNS[design](rng, 3000), weights, p=2)
    z = rows.Z[0]
    for m in (1, 5, 400):
        some = np.sort(rng.choice(len(z), m, replace=False))
        for h in np.quantile(np.abs(z - rng.permutation(z)), [0.002, 0.3, 0.99]) * 1.0000001:
            if h > 0:
                rest, mass = check(kernel, rows, np.array([1 / h]), some=some, v=rng.uniform(0.1, 9, size=m))
                assert not np.setdiff1d(np.flatnonzero(mass == 0), rest).size
                if design == "uniform" and weights == "one" and h > 0.1:
                    assert len(rest) == 0


@pytest.mark.parametrize("kernel", NAMES)
def test_edges_of_some_windows(rng, kernel):
    """At both ends of the rows, and where runs begin and end."""
    n = 2100
    rows = make_rows(rng, rng.uniform(size=n))
    some = np.array([0, 1, 127, 128, 129, 255, 256, 1023, 1024, 1025, 2047, 2048, n - 2, n - 1])
    for h in (1e-3, 0.03, 0.2, 0.6, 3.0):
        check(kernel, rows, np.array([1 / h]), some=some, v=np.ones(len(some)), n_threads=2)


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("kernel", NAMES)
@pytest.mark.parametrize("n", [1, 2, 3, 127, 128, 129, 1023, 1024, 1025])
def test_any_number_of_rows(rng, kernel, n):
    rows = make_rows(rng, rng.uniform(size=n))
    for h in (0.5 / n, 0.1, 3.0):
        check(kernel, rows, np.array([1 / h]))


@pytest.mark.parametrize("kernel", NAMES)
def test_runs_of_runs(rng, kernel):
    """Cores that hold runs of the three lowest levels; targets that jump show a row that counts twice or not at all."""
    n = 20_000
    z = np.sort(np.concatenate([rng.uniform(size=n // 2), 0.5 + 0.01 * rng.standard_cauchy(size=n // 2)]))
    y = np.where(np.arange(n) % 1000 < 2, 1.0, -0.01)
    rows = Rows(*map(read_only, (z[None], y[None], np.ones(n), np.zeros(n))))
    for h in (0.003, 0.05, 0.7):
        check(kernel, rows, np.array([1 / h]), n_threads=2)


def test_cancellation_is_not_certified(rng):
    """A lone row whose window holds many others near its edges: weights of 1e-9 are made of terms of 1."""
    others = np.concatenate([-1 + 1e-9 * rng.uniform(size=400), 1 - 1e-9 * rng.uniform(size=400)])
    rows = make_rows(rng, np.append(others, 0.0))
    lone = 400
    assert rows.Z[0, lone] == 0
    for kernel in set(NAMES) - {"tophat"}:
        rest, mass = check(kernel, rows, np.array([1.0]))
        assert 0 < mass[lone] < 1e-5
        assert lone in rest
    rest, _ = check("tophat", rows, np.array([1.0]))  # whose weights are all 1
    assert len(rest) == 0


@pytest.mark.parametrize("kernel", NAMES)
def test_subnormal_denominators_are_not_certified(rng, kernel):
    """Products of such weights are rounded to multiples of the smallest number, whatever they are."""
    z = np.append(rng.uniform(size=400), 5 + rng.uniform(size=400))
    rows = make_rows(rng, z)
    rows = rows._replace(w=read_only(np.repeat([1.0, 1e-313], 400)))
    assert_array_equal(segment_errors(kernel, rows, np.array([2.0])).uncertain, np.arange(400, 800))


@pytest.mark.parametrize("kernel", ["epanechnikov", "biweight"])
@pytest.mark.parametrize(
    ("below", "above", "farthest"),
    [
        (50, 50, 0),  # single rows, of which it is known that they are within reach
        (60, 67, 3),  # one run, about a row above, from which those below are moved
        (64 + 512, 447, 3),  # a run of runs, about a row below; the fifth is about the lone one
        (63 + 512, 448, 5),  # the fifth, which has both, is about one above: down and up, and down again
    ],
)
def test_the_bound(rng, kernel, below, above, farthest):
    """How near the edge others may be for a lone row to be certain: as near as the bound of its sums has it."""
    n, degree = below + above + 1, {"epanechnikov": 1, "biweight": 2}[kernel]
    y = read_only(rng.uniform(-1, 1, size=(1, n)))
    few, many = 1e-9, 0.9  # 1 - u^2
    while many / few > 1.001:
        rest = np.sqrt(few * many)
        u = np.sqrt(1 - rest)
        z = read_only(np.concatenate([np.full(below, -u), [0.0], np.full(above, u)])[None])
        found = segment_errors(kernel, Rows(z, y, read_only(np.ones(n)), read_only(np.zeros(n))), np.array([1.0]))
        few, many = (few, rest) if below not in found.uncertain else (rest, many)
    # n terms of at most (1 + distance^2)^degree, each rounded so many times, over a mass of (n - 1) (1 - u^2)^degree.
    terms, roundings = (1 + max(1, farthest * u) ** 2) ** degree, 54 + 1 + (256 if farthest else n)
    assert_allclose((n - 1) * many**degree * 1e-11, n * terms * roundings * 2**-53, rtol=0.01)


@pytest.mark.thin
@pytest.mark.parametrize(("kernel", "a", "b"), [("linear", 1, 1), ("tricube", 3, 3)])
@pytest.mark.parametrize("n_lone", [1, 60])
@pytest.mark.parametrize("is_below", [True, False])
def test_the_bound_of_sides(rng, kernel, a, b, n_lone, is_below):
    """The same where rows below and above are summed up apart, and one of the two has a run.

    That has a row next to the lone ones, which is further from what the run is about, and as light as these.
    """
    n, light = 256, 1e-9
    y = read_only(rng.uniform(-1, 1, size=(1, n)))
    few, many = 1e-9, 0.9  # 1 - u^b
    while many / few > 1.001:
        rest = np.sqrt(few * many)
        u = (1 - rest) ** (1 / b)
        run, others = np.append(1e-9, np.full(127, u)), np.full(128 - n_lone, -u)
        z = np.sort(np.concatenate([run, np.zeros(n_lone), others]) * (-1 if is_below else 1))
        w = np.where(np.abs(z) < 0.1, light, 1.0)
        rows = Rows(*map(read_only, (z[None], y, w, np.zeros(n))))
        found = segment_errors(kernel, rows, np.array([1.0]))
        few, many = (few, rest) if not np.isin(np.flatnonzero(z == 0), found.uncertain).any() else (rest, many)
    terms, roundings, heavy = (1 + (2 * u) ** b) ** a, 54 + n_lone + 256, w[w == 1].sum()
    assert_allclose(heavy * many**a * 1e-11, heavy * terms * roundings * 2**-53, rtol=0.01)


def test_roundings():
    """A term is one of 128 at each end of a core, or of a run, which is moved and added up on each level."""
    assert by_segments.roundings_in_core(100) == 256
    assert by_segments.roundings_in_core(10**6) == 128 + 5 * (18 + 8 + 14)  # runs of 128, 1024, ... 524,288 rows


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 7, 50, 1000])
def test_edges_of_windows(rng, step):
    for z in (rng.uniform(size=50), rng.integers(0, 9, size=50) / 8, np.zeros(50), 10.0 ** rng.uniform(-9, 9, size=50)):
        for n in (1, 2, 5, 50):
            x = np.sort(z[:n])
            for h in (1e-12, 0.1, 0.125, 0.5, 3.0, 1e12):
                edges = np.full(2 * n, -1, dtype=np.int32)
                for start in rng.permutation(np.arange(0, n, step)):
                    find_edges(read_only(x), 1 / h, start, min(start + step, n), edges)
                reached = np.abs(x[:, None] - x) * (1 / h) <= 1
                assert_array_equal(edges[:n], reached.argmax(axis=1))
                assert_array_equal(edges[n:], n - reached[:, ::-1].argmax(axis=1))
                some = np.arange(0, n, step)
                of_some = np.full(2 * len(some), -1, dtype=np.int32)
                find_edges_of_some(read_only(x), 1 / h, read_only(some, np.int64), 0, len(some), of_some)
                assert_array_equal(of_some, np.append(edges[some], edges[n + some]))


def test_any_number_of_threads_gives_the_same_bits(rng):
    rows = make_rows(rng, rng.standard_cauchy(size=70_000), "mixed", p=2)
    for kernel in NAMES:
        one, two, three = (segment_errors(kernel, rows, np.array([20.0]), n_threads=k) for k in (1, 2, 3))
        for other in (two, three):
            assert (one.weight, one.error) == (other.weight, other.error)
            assert_array_equal(one.uncertain, other.uncertain)


def test_memory(rng):
    """Two edges of 4 bytes and a flag for each row, moments of runs, and room for fringes."""
    n = 500_000
    rows = make_rows(rng, rng.uniform(size=n))
    args = "triweight", rows, np.array([10.0])
    segment_errors(*args)
    tracemalloc.start()
    segment_errors(*args)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    runs, fringes = n / 128 * 8 / 7 * 15 * 8, 2 * 513 * 14 * 8
    assert peak < 1.2 * (9 * n + runs + fringes) + 2**16


def test_memory_for_some_rows(rng):
    """Nothing for each of the others but moments of runs."""
    n, m = 500_000, 1000
    rows = make_rows(rng, rng.uniform(size=n))
    args, some = ("triweight", rows, np.array([10.0])), {"queries": np.arange(0, n, n // m), "weights": np.ones(m)}
    segment_errors(*args, **some)
    tracemalloc.start()
    segment_errors(*args, **some)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    runs, fringes, left_out = n / 128 * 8 / 7 * 15 * 8, 2 * 513 * 14 * 8, m * (9 + 5 * 8)
    assert peak < 1.2 * (left_out + runs + fringes) + 2**16


def test_where_segments_are_taken(rng):
    rows = make_rows(rng, rng.uniform(size=20_000))
    options = {"algorithm": "auto", "rtol": 1e-10}
    narrow, wide = np.array([1e5]), np.array([50.0])
    few, many = np.arange(0, 20_000, 100), np.arange(0, 20_000, 2)
    assert takes_segments("epanechnikov", rows, wide / 10, few, **options)  # whatever a window holds
    assert not takes_segments("epanechnikov", rows, narrow, few, **options)
    assert not takes_segments("epanechnikov", rows, wide, many, **options)  # which slide
    skewed = rows._replace(Z=np.exp(60 * rng.normal(size=(1, 20_000))))
    skewed.Z.sort()
    assert not takes_segments(
        "epanechnikov", skewed, 1 / np.quantile(skewed.Z, [0.1]), **options
    )  # a few hold very many
    assert takes_segments("epanechnikov", rows, wide, **options)
    assert not takes_segments(
        "epanechnikov", rows, narrow, **options
    )  # windows of no row: these are looked at one by one
    assert takes_segments("epanechnikov", rows, narrow, algorithm="sliding", rtol=1e-10)
    assert not takes_segments("epanechnikov", rows, wide, algorithm="dense", rtol=1e-10)
    assert not takes_segments("epanechnikov", rows, wide, algorithm="window", rtol=1e-10)
    assert not takes_segments("epanechnikov", rows, wide, algorithm="auto", rtol=0.0)  # exact sums are asked for
    for kernel in set(KERNELS) - set(NAMES):
        assert not takes_segments(kernel, rows, wide, **options)
    assert not takes_segments(
        "epanechnikov", rows._replace(Z=np.repeat(rows.Z, 2, axis=0)), np.repeat(wide, 2), **options
    )
