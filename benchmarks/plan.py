"""Is the algorithm that is chosen the fastest one? Times of all that apply, on a grid of problems.

There are five tasks: the sums of all rows, with derivatives, their leave-one-out error, and the squared errors of two
thousand of them, for both of which some kernels have "segments" as one more algorithm; and predictions for a thousand
queries, and for a hundred thousand.

Engines price themselves by `sknw/_core/costs.py` in nanoseconds of one thread, so that is what is measured: processor
time, which other processes on the same machine hardly change. A line for each problem: what was chosen, the times, and
how much slower the choice is than the best. The last line is the worst of these. Two milliseconds are forgiven, as
planning takes some time itself.

    python benchmarks/plan.py [--only TASK] [--write] [--patience SECONDS]
    python benchmarks/plan.py --fit [--stride N]

With ``--write`` the times become the table that `tests/core/test_plan.py` judges the model by, those of one task if
only that was asked for: to be done again when an algorithm has become faster. It takes half an hour, for errors a
minute. With ``--fit`` the costs are fitted to that table, one after the other, and written to `costs.py`.
"""

import argparse
import csv
import dataclasses
import functools
import itertools
import math
import re
from pathlib import Path
from time import process_time

import numpy as np

from sknw._core import (
    ALGORITHMS,
    Problem,
    Queries,
    Rows,
    Setting,
    Wanted,
    check_applies,
    costs,
    kernel_sums,
    read_only,
    spatial_order,
)
from sknw._core import choose as choose_engine
from sknw._core.within_reach.reach import expected_pairs
from sknw._criteria import by_segments
from sknw._criteria.by_rows import sums_of
from sknw._criteria.leave_one_out import leave_one_out, problems_of
from sknw._criteria.problem import Settings
from sknw._smoothing.metric import Metric
from sknw._smoothing.sample import Sample

FORGIVEN = 2e-3

TABLE = Path(__file__).parents[1] / "tests" / "core" / "plan_times.csv"

ROWS, BANDWIDTHS = (500, 5000, 50_000, 200_000), (1e-4, 1e-3, 0.01, 0.1, 1.0)

POLYNOMIALS = ("tophat", "linear", "epanechnikov", "tricube")

#: Task, kernel, features, rows, bandwidth in standard deviations.
GRID = [
    *itertools.product(
        ("sums",), ("gaussian", "exponential", "epanechnikov", "tricube"), (1, 2, 3, 5), ROWS, BANDWIDTHS
    ),
    *itertools.product(("errors",), POLYNOMIALS, (1,), ROWS, (1e-5, *BANDWIDTHS)),
    *itertools.product(("some errors",), POLYNOMIALS, (1,), (20_000, 200_000), (1e-5, *BANDWIDTHS)),
    *itertools.product(
        ("few queries", "many queries"), ("gaussian", "exponential", "epanechnikov"), (1, 2, 3), ROWS[1::2], BANDWIDTHS
    ),
]

#: How many queries there are, besides the rows.
QUERIES = {"few queries": 1000, "many queries": 100_000}

TASKS = ("sums", "errors", "some errors", *QUERIES)

#: What may be chosen.
WAYS = (*ALGORITHMS, "segments")

OPTIONS = {"derivatives": Wanted.SCALE, "rtol": 1e-10}


def options(task):
    """What is wanted of sums."""
    return OPTIONS | {"derivatives": Wanted.VALUE} if task in QUERIES else OPTIONS


@functools.lru_cache(maxsize=4)
def make_rows(n, d):
    """The same rows whenever and wherever."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    X = X[spatial_order(X.T)]
    return X, Rows(*map(read_only, (X.T, rng.uniform(-1, 1, size=(1, n)), np.ones(n), np.zeros(n))))


@functools.lru_cache(maxsize=4)
def make_queries(task, d):
    """Queries from the distribution of the rows; None if these are the queries."""
    if task not in QUERIES:
        return None
    Zq = np.random.default_rng(1).normal(size=(QUERIES[task], d))
    return Zq[spatial_order(Zq.T)]


def some_of(n):
    """Numbers of some rows."""
    return np.arange(0, n, n // 2000)


def choose(task, kernel, d, n, h):
    """What is chosen for a problem."""
    if "errors" in task:
        settings = Settings(kernel, algorithm="auto", rtol=OPTIONS["rtol"])
        sample = Sample.of(make_rows(n, d)[0], make_rows(n, d)[1].Y.T, np.ones(n))
        queries = some_of(n) if task == "some errors" else None
        [problem] = problems_of(
            sample, [Metric.of(h, sample.X)], settings, wanted=OPTIONS["derivatives"], queries=queries
        )
        return by_segments.plan(problem) or choose_engine(sums_of(problem, queries)).engine.name
    return choose_engine(make_problem(task, kernel, d, n, h)).engine.name


def make_problem(task, kernel, d, n, h, few=None):
    """Sums of a task, for all queries or the first few."""
    (_, rows), wanted = make_rows(n, d), options(task)
    if task in QUERIES:
        queries = Queries(read_only(make_queries(task, d)[:few]))
    else:
        queries = Queries.of_rows(rows, np.arange(n)[:few])
    setting = Setting(kernel, read_only(np.full(d, 1 / h)), wanted["derivatives"], wanted["rtol"])
    return Problem(setting, rows, queries)


def solver(way, task, kernel, d, n, h):
    """A function that solves a problem in some way, for all rows or the first few."""
    (X, rows), own = make_rows(n, d), np.arange(n)
    if task == "sums" or task in QUERIES:
        return lambda few=None: kernel_sums(make_problem(task, kernel, d, n, h, few), way)
    # What slides is not summed up by segments if it is to be exact.
    rtol = 0.0 if way == "sliding" else OPTIONS["rtol"]
    settings = Settings(kernel, algorithm="sliding" if way == "segments" else way, rtol=rtol)
    sample = Sample.of(X, rows.Y.T, rows.w)
    args, wanted = (sample, [Metric.of(h, sample.X)], settings), OPTIONS["derivatives"]
    if task == "some errors":
        return lambda few=n: leave_one_out(*args, wanted=wanted, queries=some_of(n)[:few], each=True)
    return lambda few=None: leave_one_out(*args, wanted=wanted, queries=own[:few] if few else None)


def seconds(expected, kernel, rows, g, Zq):
    """About how long it will take; of windows that were asked for nobody has counted the pairs."""
    if expected.engine.name == "window":
        return 2e-9 * expected_pairs(kernel, rows, g, Zq, rtol=OPTIONS["rtol"])
    return 1e-9 * expected.cost


def measure(problem, patience):
    """Seconds that each way takes, of those that apply and are expected to take no longer than that."""
    (task, kernel, d, n, h), times = problem, {}
    rows, g, Zq = make_rows(n, d)[1], np.full(d, 1 / h), make_queries(task, d)
    for way in WAYS if "errors" in task else ALGORITHMS:
        algorithm = "sliding" if way == "segments" else way
        try:
            check_applies(algorithm, kernel, d)
        except ValueError:
            continue
        expected = choose_engine(make_problem(*problem), algorithm)
        if expected.engine.name != algorithm or seconds(expected, kernel, rows, g, Zq) > patience:
            continue
        solve = solver(way, *problem)
        solve(50)
        took = []
        while len(took) < 2 or (len(took) < 20 and sum(took) < 0.2):  # the first may have to wait for a compiler
            start = process_time()
            solve()
            took.append(process_time() - start)
        times[way] = min(took)
    return times


def slowdown(chosen, times):
    """How much slower the choice is than the best; infinite if it was expected to be too slow to be tried."""
    return (times.get(chosen, math.inf) + FORGIVEN) / (min(times.values()) + FORGIVEN)


def read():
    """The problems of the table, each with its times."""
    with TABLE.open() as file:
        for line in csv.DictReader(file):
            problem = line["task"], line["kernel"], int(line["d"]), int(line["n"]), float(line["h"])
            yield problem, {way: float(line[way]) for way in WAYS if line[way]}


def score(table):
    """Mean squared logarithm of how much slower the choices are than the best ways."""
    logs = [math.log(min(slowdown(choose(*problem), times), 1e3)) for problem, times in table]
    return sum(log**2 for log in logs) / len(logs)


def fit(table, factor=1.25):
    """Change one cost after the other as long as the choices become better; returns the costs.

    Parameters
    ----------
    table : list of tuples
        Problems with their times.
    factor : float
        By which a cost is multiplied or divided at a time.
    """
    best, changes = score(table), {}
    print(f"score {best:.5f}", flush=True)
    for name, value in dataclasses.asdict(costs.now).items():
        if not isinstance(value, float) or name in ("choosing", "worth_looking"):
            continue
        for step in (factor, 1 / factor):
            while True:
                trial = {**changes, name: float(f"{changes.get(name, value) * step:.3g}")}
                with costs.using(**trial):
                    found = score(table)
                if not found < best * (1 - 1e-6):
                    break
                best, changes = found, trial
                print(f"score {best:.5f} with {name}={trial[name]:g}", flush=True)
    return changes


def write_costs(changes):
    """Write changed costs into the table of the package."""
    path = Path(costs.__file__)
    text = path.read_text()
    for name, value in changes.items():
        text, count = re.subn(rf"^    {name}: float = .*$", f"    {name}: float = {value!r}", text, flags=re.MULTILINE)
        assert count == 1, f"{name} is not a line of {path.name}"
    path.write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--patience", type=float, default=3.0, help="no call that is expected to take longer")
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.name}")
    parser.add_argument("--only", choices=TASKS, help="one task only")
    parser.add_argument("--fit", action="store_true", help="fit sknw/_core/costs.py to the table")
    parser.add_argument("--stride", type=int, default=1, help="with --fit: use every so many problems")
    arguments = parser.parse_args()
    if arguments.fit:
        write_costs(fit(list(read())[:: arguments.stride]))
        return
    tasks = [arguments.only] if arguments.only else TASKS
    worst, found = 1.0, []
    for problem in [problem for problem in GRID if problem[0] in tasks]:
        times = measure(problem, arguments.patience)
        if not times:
            continue
        chosen = choose(*problem)
        worst = max(worst, slowdown(chosen, times))
        found.append((problem, times))
        listed = ", ".join(f"{way} {1e3 * time:.3g} ms" for way, time in times.items())
        print(*problem, f"{chosen}, {slowdown(chosen, times):.2f}x; {listed}", flush=True)
    if arguments.write:
        found += [(problem, times) for problem, times in read() if problem[0] not in tasks]
        found.sort(key=lambda line: GRID.index(line[0]))
        lines = [[*problem, *(f"{times[way]:.3g}" if way in times else "" for way in WAYS)] for problem, times in found]
        with TABLE.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([["task", "kernel", "d", "n", "h", *WAYS], *lines])
    print(f"the choice is never slower than {worst:.2f} times the best")


if __name__ == "__main__":
    main()
