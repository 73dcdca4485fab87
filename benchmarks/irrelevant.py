"""How often `drop_irrelevant=True` drops what does not matter, and keeps what does, on simulated data.

y = sin 6x1 + 2 x2**2 + 0.2 x3 + noise of standard deviation 0.2, ten uniform features, of which seven do not matter;
the third matters little. Each draw counts as a whole: all irrelevant features dropped, all relevant ones kept.

    python benchmarks/irrelevant.py [--draws N] [--rows N ...]
"""

import argparse
import sys
import warnings
from time import perf_counter

import numpy as np

from sknw import NadarayaWatsonRegressor

D = 10


def draw(n, seed, weak):
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(n, D))
    y = np.sin(6 * X[:, 0]) + 2 * X[:, 1] ** 2 + weak * X[:, 2] + 0.2 * rng.normal(size=n)
    relevant = np.arange(D) < (3 if weak else 2)
    return X, y, relevant


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--rows", type=int, nargs="*", default=[30, 100, 1000])
    parser.add_argument("--weak", type=float, nargs="*", default=[0.0, 0.2])
    parser.add_argument("--shrinkage", default="0")
    options = parser.parse_args(argv)
    shrinkage = "cv" if options.shrinkage == "cv" else float(options.shrinkage)
    warnings.simplefilter("ignore")
    for n in options.rows:
        for weak in options.weak:
            kept = {False: [], True: []}
            score = {False: [], True: []}
            begin = perf_counter()
            for seed in range(options.draws):
                X, y, relevant = draw(n, seed, weak)
                Xt, yt, _ = draw(1000, 10_000 + seed, weak)
                for drop in (False, True):
                    model = NadarayaWatsonRegressor("gradient", shrinkage=shrinkage, drop_irrelevant=drop).fit(X, y)
                    kept[drop].append(np.isfinite(model.bandwidth_))
                    score[drop].append(model.score(Xt, yt))
            for drop in (False, True):
                K = np.array(kept[drop])
                print(
                    f"n = {n:5}, third feature {weak}: drop_irrelevant={drop!s:5} "
                    f"all irrelevant out {100 * np.mean(~K[:, ~relevant].any(axis=1)):5.1f} %, "
                    f"all relevant kept {100 * np.mean(K[:, relevant].all(axis=1)):5.1f} %, "
                    f"R2 on new rows {np.mean(score[drop]):.3f}",
                    flush=True,
                )
            print(f"{'':34}{perf_counter() - begin:.0f} s for {options.draws} draws of both", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
