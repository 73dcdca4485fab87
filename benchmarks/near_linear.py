"""Time sums over very many rows in few features, beside every pair and beside others.

Each line is a task, on two threads unless said otherwise. Before its time is printed its result is compared: with sums
over every pair for some of the queries, or with the bandwidth that every pair leads to on fewer rows. Times of every
pair at full size are extrapolated from some of the queries, and marked with "~", as is what is quoted.

    python benchmarks/near_linear.py [--quick] [--threads N]

`hbw` (which needs Python >= 3.12), `torch` and `finufft` take part if they are installed, and are named if not. FKSUM
is an R package: on two cores of an Intel Emerald Rapids, FKSUM 0.1.3 in R 4.2.2 took 3.6 to 4.0 s for
``fk_regression(x, y, h = "cv")`` with n = 10**6, with its own kernel, 0.37 s with 10**5. That is quoted, not run, and
on another machine.
"""

import argparse
import resource
import subprocess
import sys
from importlib.util import find_spec
from time import perf_counter

import numpy as np
from numpy.testing import assert_allclose

from sknw import NadarayaWatsonRegressor, loo_error
from sknw._core import Derivatives, Rows, kernel_sums, read_only, spatial_order


def make_data(n, d, seed=0):
    """Rows that lie evenly, and a smooth target."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(n, d)) * (5 if d == 1 else 1)
    return X, np.sin(3 * X.sum(axis=1)) + 0.3 * rng.normal(size=n)


def shortest(function, times=3):
    """Shortest time of some calls, and what the last one returned."""
    took = []
    for _ in range(times):
        start = perf_counter()
        result = function()
        took.append(perf_counter() - start)
    return min(took), result


def show(task, ours, *others):
    """One line of the table: a time, and others as multiples of it."""
    cells = [f"{name} {'~' if rough else ''}{time / ours:.3g}x ({time:.3g} s)" for name, time, rough in others]
    print(f"| {task} | {ours:.3g} s | {'; '.join(cells)} |", flush=True)


def fit_loo(n, kernel, n_threads):
    """Leave-one-out over very many rows; the same search over every pair of fewer rows must agree."""
    few = make_data(min(n, 4000), 1)
    fits = [NadarayaWatsonRegressor(kernel=kernel, algorithm=a).fit(*few).bandwidth_ for a in ("auto", "dense")]
    assert_allclose(*fits, rtol=1e-4)
    X, y = make_data(n, 1)
    ours, model = shortest(lambda: NadarayaWatsonRegressor(kernel=kernel, n_jobs=n_threads).fit(X, y))
    others = []
    if n == 10**6:
        others.append(("FKSUM, quoted", 3.6, True))
    if kernel == "gaussian" and find_spec("hbw"):
        from hbw import nw_bandwidth

        nw_bandwidth(X[:1000, 0], y[:1000])
        theirs, h = shortest(lambda: nw_bandwidth(X[:, 0], y), times=1)
        excess = loo_error(X, y, h) + model.best_score_  # on all rows
        assert excess >= 0
        excess /= loo_error(X, y, np.inf) + model.best_score_
        others.append((f"hbw, default: 5000 rows, h = {h:.4g}, {excess:.1g} of the gain lost", theirs, False))
    show(f'fit, "loo", {kernel}, d = 1, n = {n:,}, h = {model.bandwidth_[0]:.4g}', ours, *others)


def predict(n, h, n_threads):
    """Predictions, compared with every pair at some queries."""
    X, y = make_data(n, 1)
    Xq = make_data(n, 1, seed=1)[0]
    model = NadarayaWatsonRegressor(h, n_jobs=n_threads).fit(X, y)
    dense = NadarayaWatsonRegressor(h, algorithm="dense", n_jobs=n_threads).fit(X, y)
    some = max(1, 2**28 // n)
    dense.predict(Xq[:9])
    ours, means = shortest(lambda: model.predict(Xq))
    slow, exact = shortest(lambda: dense.predict(Xq[:some]))
    assert_allclose(means[:some], exact, rtol=0, atol=1e-10 * np.ptp(y))
    others = [("every pair", slow * n / some, True)]
    if find_spec("torch"):
        from compare import predict_torch

        attend = predict_torch(X, y - y.mean(), Xq[:some], h, n_threads)
        attend()
        slow, peer = shortest(attend)
        assert_allclose(peer + y.mean(), exact, rtol=0, atol=1e-6 * np.ptp(y))
        others.append(("torch", slow * n / some, True))
    show(f"predict, d = 1, n = m = {n:,}, h = {h}", ours, *others)


def loo_finufft(X, y, h, eps, n_threads):
    """Leave-one-out averages by nonuniform Fourier transforms, there and back; mass and moment are one complex sum."""
    import finufft

    d = X.shape[1]
    low, tail = X.min(axis=0), h * np.sqrt(-2 * np.log(eps))
    period = X.max(axis=0) - low + tail  # copies of the rows are out of reach
    points = [np.ascontiguousarray(column) for column in (2 * np.pi * ((X - low) / period) - np.pi).T]
    modes = tuple(int(2 * np.ceil(length * np.sqrt(-2 * np.log(eps)) / (2 * np.pi * h))) for length in period)
    spectrum = 1.0
    for axis, (m, length) in enumerate(zip(modes, period, strict=True)):
        k = 2 * np.pi / length * np.arange(-(m // 2), (m + 1) // 2)
        factor = h * np.sqrt(2 * np.pi) / length * np.exp(-0.5 * (k * h) ** 2)
        spectrum = spectrum * factor.reshape([-1 if a == axis else 1 for a in range(d)])
    there, back = getattr(finufft, f"nufft{d}d1"), getattr(finufft, f"nufft{d}d2")

    def averages():
        options = {"eps": eps, "nthreads": n_threads}
        sums = back(*points, there(*points, 1 + 1j * y, modes, isign=-1, **options) * spectrum, isign=1, **options)
        sums -= 1 + 1j * y
        return sums.imag / sums.real

    return averages


def evaluation(n, d, h, n_threads):
    """One leave-one-out evaluation with the derivatives in all bandwidths, from X and y as they come, sort included.

    Compared with predictions by the fast Gauss transform, and these with every pair at some rows.
    """
    X, y = make_data(n, d)
    bandwidth, options = np.full(d, h), {"rtol": 1e-10, "n_jobs": n_threads, "return_gradient": True}
    ours, (error, _) = shortest(lambda: loo_error(X, y, bandwidth, **options))

    order = spatial_order(X.T)
    X, z = X[order], (y[order] - 0.5 * (y.min() + y.max())) / np.ptp(y)
    rows = Rows(*map(read_only, (X.T, z[None], np.ones(n), np.zeros(n))))
    g, own, options = 1 / bandwidth, np.arange(n), {"n_threads": n_threads}
    state = kernel_sums("gaussian", rows, g, X, own, algorithm="auto", rtol=1e-10, **options)
    means = state.sums[:, 1] / state.sums[:, 0]
    assert_allclose(error, np.mean((means - z) ** 2) * np.ptp(y) ** 2, rtol=1e-9)
    some = own[:: max(1, n * n // 2**29)]
    options["derivatives"] = Derivatives.FEATURES
    kernel_sums("gaussian", rows, g, X[:9], own[:9], **options)
    slow, exact = shortest(lambda: kernel_sums("gaussian", rows, g, X[some], some, **options), times=2)
    assert_allclose(means[some], exact.sums[:, 1] / exact.sums[:, 0], rtol=0, atol=1e-10)
    others = [("every pair", slow * n / len(some), True)]
    if find_spec("finufft"):
        averages = loo_finufft(X, z, h, 1e-10, n_threads)
        theirs, peer = shortest(averages)
        off = np.abs(peer[some] - means[some])
        assert np.median(off) < 1e-8
        others.append((f"finufft, 1e-10, no gradient, off by up to {off.max():.1g}", theirs, False))
    show(f"leave-one-out with gradient, d = {d}, n = {n:,}, h = {h}", ours, *others)


def small(n, d, n_threads):
    """Where every pair is quickest, the choice must not cost much."""
    X, y = make_data(n, d)
    fits = {a: NadarayaWatsonRegressor(0.1, algorithm=a, n_jobs=n_threads).fit(X, y) for a in ("auto", "dense")}
    times = {a: shortest(lambda model=model: model.predict(X), times=200)[0] for a, model in fits.items()}
    show(f"predict, d = {d}, n = m = {n}", times["auto"], ("every pair", times["dense"], False))


GROWTH = """
import sys
sys.path.insert(0, {folder!r})
from time import perf_counter
from near_linear import make_data
from sknw import NadarayaWatsonRegressor
n, d = {n}, {d}
NadarayaWatsonRegressor().fit(*make_data(60_000, d))
X, y = make_data(n, d)
start = perf_counter()
NadarayaWatsonRegressor(n_jobs={n_threads}).fit(X, y)
took = perf_counter() - start
# The kernel hands the peak of the parent process down to `getrusage`, but not to this file.
peak = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(took, int(peak[0]) / 1024)
"""


def growth(n, d, n_threads):
    """Time and peak memory of a fit, in a process of its own, at n and at a tenth of it."""
    found = []
    for rows in (n // 10, n):
        script = GROWTH.format(folder=sys.path[0], n=rows, d=d, n_threads=n_threads)
        output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        found.append([float(value) for value in output.split()])
    (t_few, m_few), (t_many, m_many) = found
    print(
        f'| fit, "loo", d = {d}, n = {n // 10:,} to {n:,} | {t_few:.3g} to {t_many:.3g} s | '
        f"{t_many / t_few:.3g}x the time; peak memory {m_few:.0f} to {m_many:.0f} MiB, interpreter and all |",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a hundredth of the rows: does everything run?")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    n, threads = (10**4 if arguments.quick else 10**6), arguments.threads
    for name in ("hbw", "torch", "finufft"):
        if not find_spec(name):
            print(f"{name} is not installed")
    print("\n| task | sknw | others, as multiples |\n|---|---:|---|")
    fit_loo(n, "gaussian", threads)
    fit_loo(n, "epanechnikov", threads)
    predict(n, 0.02, threads)
    evaluation(n, 1, 0.02, threads)
    evaluation(n, 2, 0.05, threads)
    evaluation(n // 10, 3, 0.1, threads)
    for d in (1, 2):
        growth(n, d, threads)
    for rows in (100, 500):
        for d in (1, 2, 3):
            small(rows, d, threads)
    print(f"\npeak memory of all that: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
