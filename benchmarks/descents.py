"""Time and outcome of `bandwidth="gradient"` beside those who search one bandwidth per feature without a gradient.

With `shrinkage=0`, so that all minimise the same criterion. statsmodels runs here, on the same data; R's np is quoted:
13.4 s for ``npregbw(regtype="lc", bwmethod="cv.ls", nmulti=1)``, np 0.60.21 with R 4.2.2 on one core of an Intel
Emerald Rapids, on data of the same size.

    python benchmarks/descents.py [--quick] [--without-statsmodels] [--large] [--adam]

``--large`` adds 20,000 rows of ten features, with the memory that they take, and ``--adam`` 20,000 rows of twenty, by
L-BFGS and by mini-batches.
"""

import sys
import tracemalloc
import warnings
from time import perf_counter

import numpy as np

from sknw import NadarayaWatsonRegressor, loo_error

NP_SECONDS = 13.4


def make_data(n, d, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    return X, np.sin(2 * X[:, : min(d, 4)]).sum(axis=1) + 0.5 * rng.normal(size=n)


def ours(X, y, calls=9, **parameters):
    """Shortest time, and the last of the fitted models."""
    times = []
    for _ in range(calls):
        begin = perf_counter()
        model = NadarayaWatsonRegressor("gradient", shrinkage=0, **parameters).fit(X, y)
        times.append(perf_counter() - begin)
    return min(times), model


def describe(n, d, seconds, model):
    report = model.bandwidth_report()
    return (
        f"n = {n}, d = {d}: {seconds:.3g} s, {report.n_iter} iterations, {report.n_evaluations} evaluations, "
        f"leave-one-out error {-model.best_score_:.6g}"
    )


def main(argv):
    warnings.simplefilter("ignore")
    quick = "--quick" in argv
    ours(*make_data(60, 3), calls=1)  # compiles
    for n, d in ((60, 3), (80, 4)) if quick else ((500, 3), (1000, 4)):
        X, y = make_data(n, d)
        seconds, model = ours(X, y)
        print(describe(n, d, seconds, model), flush=True)
        if d == 3 and "--without-statsmodels" not in argv:
            from statsmodels.nonparametric.kernel_regression import KernelReg

            begin = perf_counter()
            peer = KernelReg(y, X, "c" * d, reg_type="lc", bw="cv_ls")
            theirs = perf_counter() - begin
            error = loo_error(X, y, np.abs(peer.bw))
            print(
                f"    statsmodels {theirs:.3g} s, {theirs / seconds:.0f} times as long, error {error:.6g}", flush=True
            )
        if d == 4 and not quick:
            print(f"    np, quoted, {NP_SECONDS} s: {NP_SECONDS / seconds:.0f} times as long", flush=True)
    if "--large" in argv:
        n, d = 20_000, 10
        X, y = make_data(n, d)
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        seconds, model = ours(X, y, calls=1)
        peak = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
        print(describe(n, d, seconds, model), f"\n    {peak / 2**20:.0f} MiB beyond the data", flush=True)
    if "--adam" in argv:
        n, d = 20_000, 20
        X, y = make_data(n, d)
        for solver in ("adam", "lbfgs"):
            seconds, model = ours(X, y, calls=1, solver=solver, random_state=0)
            print(f"{solver}: {describe(n, d, seconds, model)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
