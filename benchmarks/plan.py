"""Is the algorithm that is chosen the fastest one? Times of all that apply, on a grid of problems.

A line for each problem: what was chosen, the times, and how much slower the choice is than the best. The last line is
the worst of these. Two thousand microseconds are forgiven, for planning itself is not free.

    python benchmarks/plan.py [--threads N] [--patience SECONDS]
"""

import argparse
import itertools
from time import perf_counter

import numpy as np

from sknw._core import ALGORITHMS, Derivatives, Rows, check_applies, kernel_sums, read_only, spatial_order
from sknw._core._plan import plan

FORGIVEN = 2e-3


def make_rows(n, d):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    X = X[spatial_order(X.T)]
    return X, Rows(*map(read_only, (X.T, rng.uniform(-1, 1, size=(1, n)), np.ones(n), np.zeros(n))))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--patience", type=float, default=3.0, help="no call that is expected to take longer")
    arguments = parser.parse_args()
    worst = 1.0
    grid = itertools.product(
        ("gaussian", "exponential", "epanechnikov", "tricube"),
        (1, 2, 3, 5),
        (500, 5000, 50_000, 300_000),
        (1e-4, 1e-3, 0.01, 0.1, 1.0),
        (Derivatives.NOTHING, Derivatives.SCALE),
    )
    for kernel, d, n, h, derivatives in grid:
        X, rows = make_rows(n, d)
        g, own = np.full(d, 1 / h), np.arange(n)
        options = {"derivatives": derivatives, "rtol": 1e-10}
        times = {}
        chosen = plan(kernel, rows, g, None, algorithm="auto", **options).algorithm
        for algorithm in ALGORITHMS:
            try:
                check_applies(algorithm, kernel, d)
            except ValueError:
                continue
            expected = plan(kernel, rows, g, None, algorithm=algorithm, **options)
            if expected.algorithm != algorithm or expected.cost > 1e9 * arguments.threads * arguments.patience:
                continue
            how = options | {"algorithm": algorithm, "n_threads": arguments.threads}
            kernel_sums(kernel, rows, g, X[:50], own[:50], **how)
            took = []
            while len(took) < 3 and sum(took) < 0.3:
                start = perf_counter()
                kernel_sums(kernel, rows, g, X, own, **how)
                took.append(perf_counter() - start)
            times[algorithm] = min(took)
        if chosen not in times:
            continue
        ratio = (times[chosen] + FORGIVEN) / (min(times.values()) + FORGIVEN)
        worst = max(worst, ratio)
        listed = ", ".join(f"{name} {1e3 * time:.3g} ms" for name, time in times.items())
        print(f"{kernel} d={d} n={n} h={h} {derivatives.name}: {chosen}, {ratio:.2f}x; {listed}", flush=True)
    print(f"the choice is never slower than {worst:.2f} times the best")


if __name__ == "__main__":
    main()
