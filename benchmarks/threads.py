"""One thread beside all of them: the same bits, in how much less time; and what it costs to hand blocks to threads.

The shortest of several calls counts, and calls with one thread and with all take turns.

    python benchmarks/threads.py
"""

import time

import numpy as np

from sknw import NadarayaWatsonRegressor
from sknw._core import available_threads
from sknw._core.runtime.threads import run_blocks


def seconds(function):
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def compare(name, call, n_threads, repeat=7):
    """Best times of call(1) and call(n_threads), as a line of the table."""
    times = {1: [], n_threads: []}
    for _ in range(repeat):
        results = []
        for n, taken in times.items():
            time_, result = seconds(lambda n=n: call(n))
            taken.append(time_)
            results.append(result)
        if not all(np.array_equal(result, results[0]) for result in results):
            raise AssertionError(f"{name}: threads change the result")
    one, all_ = map(min, times.values())
    print(f"| {name} | {one:.3f} | {all_:.3f} | {one / all_:.2f} | 1.85 |")


def handing_over(n_threads, seconds_per_block=2e-3, repeat=200):
    """Seconds that a call takes beyond one of its blocks, one for each thread, all asleep for the same time."""
    blocks = [(seconds_per_block,)] * n_threads
    alone, together = [], []
    for _ in range(repeat):
        alone.append(seconds(lambda: time.sleep(seconds_per_block))[0])
        together.append(seconds(lambda: run_blocks(time.sleep, blocks, n_threads))[0])
    return np.median(together) - np.median(alone)


def main():
    n_threads = max(2, available_threads())
    rng = np.random.default_rng(0)
    print(f"| every pair | 1 thread, s | {n_threads} threads, s | ratio | asked, of two threads |")
    print("|---|---:|---:|---:|---:|")
    for n, d in ((10_000, 1), (10_000, 10), (20_000, 2)):
        X = rng.normal(size=(n, d))
        y = np.sin(X[:, 0])
        models = {k: NadarayaWatsonRegressor(0.5, algorithm="dense", n_jobs=k).fit(X, y) for k in (1, n_threads)}
        compare(f"predict, n = m = {n}, d = {d}", lambda k, X=X, models=models: models[k].predict(X), n_threads)
    print(
        f"\nHanding {n_threads} blocks to {n_threads} threads takes {1e6 * handing_over(n_threads):.0f} microseconds."
    )


if __name__ == "__main__":
    main()
