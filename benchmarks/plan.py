"""Is the algorithm that is chosen the fastest one? Times of all that apply, on a grid of problems.

The model in `_plan.py` estimates the time of one thread, so that is what is measured: processor time, which others on
the same machine hardly change. A line for each problem: what was chosen, the times, and how much slower the choice is
than the best. The last line is the worst of these. Two milliseconds are forgiven, for planning itself is not free.

    python benchmarks/plan.py [--write] [--patience SECONDS]

With ``--write`` the times become the table that `tests/core/test_plan.py` judges the model by: to be done again when an
algorithm has become faster. It takes some minutes.
"""

import argparse
import csv
import functools
import itertools
import math
from pathlib import Path
from time import process_time

import numpy as np

from sknw._core import ALGORITHMS, Derivatives, Rows, check_applies, kernel_sums, read_only, spatial_order
from sknw._core._plan import plan

FORGIVEN = 2e-3

TABLE = Path(__file__).parents[1] / "tests" / "core" / "plan_times.csv"

#: Kernel, features, rows, bandwidth in standard deviations.
GRID = itertools.product(
    ("gaussian", "exponential", "epanechnikov", "tricube"),
    (1, 2, 3, 5),
    (500, 5000, 50_000, 200_000),
    (1e-4, 1e-3, 0.01, 0.1, 1.0),
)

OPTIONS = {"derivatives": Derivatives.SCALE, "rtol": 1e-10}


@functools.lru_cache(maxsize=4)
def make_rows(n, d):
    """The same rows whenever and wherever."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    X = X[spatial_order(X.T)]
    return X, Rows(*map(read_only, (X.T, rng.uniform(-1, 1, size=(1, n)), np.ones(n), np.zeros(n))))


def choose(kernel, d, n, h, algorithm="auto"):
    """What is planned for a problem."""
    return plan(kernel, make_rows(n, d)[1], np.full(d, 1 / h), None, algorithm=algorithm, **OPTIONS)


def measure(kernel, d, n, h, patience):
    """Seconds that each algorithm takes, of those that apply and are expected to take no longer than that."""
    (X, rows), g, own, times = make_rows(n, d), np.full(d, 1 / h), np.arange(n), {}
    for algorithm in ALGORITHMS:
        try:
            check_applies(algorithm, kernel, d)
        except ValueError:
            continue
        expected = choose(kernel, d, n, h, algorithm)
        if expected.algorithm != algorithm or expected.cost > 1e9 * patience:
            continue
        how = {**OPTIONS, "algorithm": algorithm}
        kernel_sums(kernel, rows, g, X[:50], own[:50], **how)
        took = []
        while len(took) < 20 and sum(took) < 0.2:
            start = process_time()
            kernel_sums(kernel, rows, g, X, own, **how)
            took.append(process_time() - start)
        times[algorithm] = min(took)
    return times


def slowdown(chosen, times):
    """How much slower the choice is than the best; infinite if it was expected to be too slow to be tried."""
    return (times.get(chosen, math.inf) + FORGIVEN) / (min(times.values()) + FORGIVEN)


def read():
    """The problems of the table, each with its times."""
    with TABLE.open() as file:
        for line in csv.DictReader(file):
            problem = line["kernel"], int(line["d"]), int(line["n"]), float(line["h"])
            yield problem, {name: float(line[name]) for name in ALGORITHMS if line[name]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--patience", type=float, default=3.0, help="no call that is expected to take longer")
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.name}")
    arguments = parser.parse_args()
    worst, lines = 1.0, []
    for problem in GRID:
        times = measure(*problem, arguments.patience)
        if not times:
            continue
        chosen = choose(*problem).algorithm
        worst = max(worst, slowdown(chosen, times))
        lines.append([*problem, *(f"{times[name]:.3g}" if name in times else "" for name in ALGORITHMS)])
        listed = ", ".join(f"{name} {1e3 * time:.3g} ms" for name, time in times.items())
        print(*problem, f"{chosen}, {slowdown(chosen, times):.2f}x; {listed}", flush=True)
    if arguments.write:
        with TABLE.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([["kernel", "d", "n", "h", *ALGORITHMS], *lines])
    print(f"the choice is never slower than {worst:.2f} times the best")


if __name__ == "__main__":
    main()
