"""Time sums over very many rows in few features, beside every pair and beside others.

Each line is a task, on all processors unless said otherwise. Before its time is printed its result is compared: with
sums over every pair for some of the queries, with those of single rows, or with the bandwidth that every pair leads to
on fewer rows; but for how time and memory grow, which are those of the same fits. Times of every pair at full size are
extrapolated from some of the queries, or from fewer rows, and marked with "~", as is what is quoted.

    python benchmarks/near_linear.py [--quick] [--threads N]

`hbw` (which needs Python >= 3.12), `torch` and `finufft` take part if they are installed, and are named if not. FKSUM
is an R package: on two cores of an Intel Emerald Rapids, FKSUM 0.1.3 in R 4.2.2 took 3.6 to 4.0 s for
``fk_regression(x, y, h = "cv")`` with n = 10**6, with its own kernel, 0.37 s with 10**5. That is quoted, not run, and
on another machine.
"""

import argparse
import subprocess
import sys

import numpy as np
from compare import predict_torch
from joblib import cpu_count
from numpy.testing import assert_allclose
from table import Promises, best_time, has
from threadpoolctl import threadpool_limits

from sknw import NadarayaWatsonRegressor, loo_error
from sknw._core import Problem, Queries, Rows, Setting, kernel_sums, read_only, spatial_order


def make_data(n, d, seed=0):
    """Rows that lie evenly, and a smooth target."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(n, d)) * (5 if d == 1 else 1)
    return X, np.sin(3 * X.sum(axis=1)) + 0.3 * rng.normal(size=n)


def fit_loo(report, n, kernel, asked):
    """Leave-one-out over very many rows; the same search over every pair of fewer rows must agree."""
    few = make_data(min(n, 4000), 1)
    fits = [NadarayaWatsonRegressor(kernel=kernel, algorithm=a).fit(*few).bandwidth_ for a in ("auto", "dense")]
    assert_allclose(*fits, rtol=1e-4)
    X, y = make_data(n, 1)
    model = NadarayaWatsonRegressor(kernel=kernel, n_jobs=report.n_threads).fit(X, y)
    # Sums of each row, by another algorithm for the epanechnikov kernel, have the same error, and higher ones beside.
    errors = [np.mean((model.set_params(bandwidth=h).fit(X, y).loo_predict() - y) ** 2) for h in widths(model)]
    model.set_params(bandwidth="loo").fit(X, y)
    assert_allclose(-model.best_score_, errors[1], rtol=1e-9)
    assert errors[1] < min(errors[0], errors[2])
    ours, _ = best_time(lambda: model.fit(X, y), 7, 9.0)
    work = f'fit, "loo", {kernel}, d = 1, n = {n:,}, h = {model.bandwidth_[0]:.4g}'
    if n == 10**6:
        report.line(work, "FKSUM, quoted", ours, 3.6, asked, rough=True)
    if kernel == "gaussian" and has("hbw"):
        from hbw import nw_bandwidth

        nw_bandwidth(X[:1000, 0], y[:1000])
        theirs, h = best_time(lambda: nw_bandwidth(X[:, 0], y), 1)
        excess = loo_error(X, y, h) + model.best_score_  # on all rows
        assert excess >= 0
        excess /= loo_error(X, y, np.inf) + model.best_score_
        peer = f"hbw, default: 5,000 rows, h = {h:.4g}, {excess:.1g} of the gain lost"
        report.line(work, peer, ours, theirs, "faster")


def widths(model):
    """A bandwidth that was found, and one on either side."""
    return [float(model.bandwidth_[0] * factor) for factor in (0.9, 1.0, 1.1)]


def predict(report, n, h):
    """Predictions, compared with every pair at some queries."""
    X, y = make_data(n, 1)
    Xq = make_data(n, 1, seed=1)[0]
    model = NadarayaWatsonRegressor(h, n_jobs=report.n_threads).fit(X, y)
    dense = NadarayaWatsonRegressor(h, algorithm="dense", n_jobs=report.n_threads).fit(X, y)
    some = max(1, 2**28 // n)
    dense.predict(Xq[:9])
    model.predict(Xq)
    ours, means = best_time(lambda: model.predict(Xq), 5)
    slow, exact = best_time(lambda: dense.predict(Xq[:some]), 3)
    assert_allclose(means[:some], exact, rtol=0, atol=1e-10 * np.ptp(y))
    work = f"predict, d = 1, n = m = {n:,}, h = {h}"
    report.line(work, "every pair", ours, slow * n / some, rough=True)
    if has("torch"):
        attend = predict_torch(X, y - y.mean(), Xq[:some], h, report.n_threads)
        attend()
        slow, peer = best_time(attend, 3)
        assert_allclose(peer + y.mean(), exact, rtol=0, atol=1e-6 * np.ptp(y))
        report.line(work, "torch SDPA", ours, slow * n / some, "10,000x", rough=True)


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


def evaluation(report, n, d, h, asked=""):
    """One leave-one-out evaluation with the derivatives in all bandwidths, from X and y as they come, sort included.

    Compared with predictions by the fast Gauss transform, and these with every pair at some rows.
    """
    X, y = make_data(n, d)
    bandwidth, options = np.full(d, h), {"rtol": 1e-10, "n_jobs": report.n_threads, "return_gradient": True}
    loo_error(X, y, bandwidth, **options)
    ours, (error, _) = best_time(lambda: loo_error(X, y, bandwidth, **options), 5)

    order = spatial_order(X.T)
    X, z = X[order], (y[order] - 0.5 * (y.min() + y.max())) / np.ptp(y)
    rows = Rows(*map(read_only, (X.T, z[None], np.ones(n), np.zeros(n))))
    g, own, options = 1 / bandwidth, np.arange(n), {"n_threads": report.n_threads}
    setting = Setting("gaussian", read_only(g), rtol=1e-10)
    state = kernel_sums(Problem(setting, rows, Queries.all(rows)), **options)
    means = state.sums[:, 1] / state.sums[:, 0]
    assert_allclose(error, np.mean((means - z) ** 2) * np.ptp(y) ** 2, rtol=1e-9)
    some = own[:: max(1, n * n // 2**28)]
    exact = kernel_sums(Problem(setting._replace(rtol=0.0), rows, Queries.of_rows(rows, some)), "dense", **options)
    assert_allclose(means[some], exact.sums[:, 1] / exact.sums[:, 0], rtol=0, atol=1e-10)
    work = f"leave-one-out with gradient, d = {d}, n = {n:,}, h = {h}"
    # The same call of fewer rows, by every pair.
    few = min(n, 20_000)
    dense = {"rtol": 1e-10, "n_jobs": report.n_threads, "return_gradient": True, "algorithm": "dense"}
    part = np.random.default_rng(0).permutation(n)[:few]
    loo_error(X[part[:2000]], z[part[:2000]], bandwidth, **dense)
    slow, _ = best_time(lambda: loo_error(X[part], z[part], bandwidth, **dense), 2)
    report.line(work, f"every pair, {few:,} rows", ours, slow * (n / few) ** 2, asked, rough=True)
    if has("finufft"):
        averages = loo_finufft(X, z, h, 1e-10, report.n_threads)
        averages()
        theirs, peer = best_time(averages, 5)
        off = np.abs(peer[some] - means[some])
        assert np.median(off) < 1e-8
        report.line(work, f"FINUFFT, 1e-10, no gradient, off by up to {off.max():.1g}", ours, theirs)


def small(report, n, d):
    """Where every pair is quickest, the choice must not cost much; the two take turns."""
    X, y = make_data(n, d)
    fits = {a: NadarayaWatsonRegressor(0.1, algorithm=a, n_jobs=report.n_threads).fit(X, y) for a in ("auto", "dense")}
    times = {a: [] for a in fits}
    assert_allclose(fits["auto"].predict(X), fits["dense"].predict(X), rtol=0, atol=1e-10 * np.ptp(y))
    for _ in range(5):
        for a, model in fits.items():
            times[a].append(best_time(lambda model=model: model.predict(X), 50)[0])
    report.line(f"predict, d = {d}, n = m = {n}", "every pair", min(times["auto"]), min(times["dense"]), "> 0.83x")


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


def growth(report, n, d):
    """Time and peak memory of a fit, in a process of its own, at n and at a tenth of it."""
    found = []
    for rows in (n // 10, n):
        script = GROWTH.format(folder=sys.path[0], n=rows, d=d, n_threads=report.n_threads)
        output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        found.append([float(value) for value in output.split()])
    (t_few, m_few), (t_many, m_many) = found
    report.line(
        f'fit, "loo", d = {d}, n = {n:,}',
        f"n = {n // 10:,}",
        t_many,
        t_few,
        "< 12x, < 1 GB",
        share=f"{t_many / t_few:.3g}x the time; peak memory {m_few:.0f} to {m_many:.0f} MiB, interpreter and all",
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a hundredth of the rows: does everything run?")
    parser.add_argument("--threads", type=int, default=cpu_count(), help="default: all processors of this process")
    arguments = parser.parse_args()
    report = Promises(("hbw", "torch", "finufft"), arguments.quick, arguments.threads)
    n = report.size(10**6, 10**4)
    with threadpool_limits(arguments.threads):
        fit_loo(report, n, "gaussian", "6x")
        fit_loo(report, n, "epanechnikov", "7x")
        predict(report, n, 0.02)
        evaluation(report, n, 1, 0.02)
        evaluation(report, n, 2, 0.05, "350x")
        evaluation(report, n // 10, 3, 0.1, "20x")
        for d in (1, 2):
            growth(report, n, d)
        for rows in (100, 500):
            for d in (1, 2, 3):
                small(report, rows, d)


if __name__ == "__main__":
    main()
