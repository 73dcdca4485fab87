"""Compare the bits of results before and after a change of the code.

Some hundred problems cover all kernels, algorithms and criteria through the public functions. ::

    python benchmarks/bits.py --save before.npz       # on the old code
    python benchmarks/bits.py --against before.npz    # on the new code, same machine

The second call lists each result whose bits differ, with the largest difference relative to the largest value, and
exits with 1 if there is one. Bits are comparable on one machine with one set of libraries only, so none are stored
in the repository.
"""

import argparse
import hashlib
import itertools
import sys
import warnings

import numpy as np

from sknw import NadarayaWatsonRegressor, loo_error

KERNELS = ["gaussian", "exponential", "epanechnikov", "biweight", "triweight", "tricube", "linear", "tophat", "cosine"]


def make_data(n, d, p=1, seed=0, weights=False):
    """Rows with a smooth target; weights are counts, some of them zero."""
    rng = np.random.default_rng([n, d, p, seed])
    X = rng.uniform(size=(n, d))
    y = np.sin(6 * X[:, :1] + np.arange(p)) + 0.3 * rng.normal(size=(n, p))
    return X, y if p > 1 else y[:, 0], rng.integers(0, 4, size=n).astype(float) if weights else None


def applies(algorithm, kernel, d):
    """Whether an algorithm forms sums of a kernel in d features."""
    if algorithm == "sliding":
        return d == 1 and kernel != "gaussian"
    if algorithm == "fast_gauss":
        return d <= 3 and kernel == "gaussian"
    return algorithm != "window" or d <= 8


def sums():
    """Yield problems of given bandwidths: predictions, leave-one-out, weights, the criterion with its gradient."""
    algorithms = ("dense", "sliding", "window", "fast_gauss", "auto")
    for algorithm, kernel, d in itertools.product(algorithms, KERNELS, (1, 2, 5)):
        if applies(algorithm, kernel, d) and not (algorithm == "auto" and d == 5):
            for weights in (False, True) if d < 5 else (True,):
                yield f"{algorithm} {kernel} d={d} weights={weights}", (1500, d, 1, weights, algorithm, kernel, 1e-10)
    for d, p, rtol in ((1, 2, 1e-10), (2, 3, 0.0), (4, 2, 1e-10), (25, 1, 1e-10), (25, 2, 0.0), (12, 1, 1e-10)):
        for kernel in ("gaussian", "epanechnikov"):
            yield f"auto {kernel} d={d} p={p} rtol={rtol}", (700, d, p, False, "auto", kernel, rtol)
    yield "auto gaussian many rows", (20_000, 1, 1, False, "auto", "gaussian", 1e-10)
    yield "auto epanechnikov many rows", (20_000, 1, 1, True, "auto", "epanechnikov", 1e-10)
    yield "auto gaussian many rows d=2", (20_000, 2, 1, False, "auto", "gaussian", 1e-10)


def solve(n, d, p, weights, algorithm, kernel, rtol):
    """Results of one problem of `sums`."""
    X, y, w = make_data(n, d, p, weights=weights)
    h = np.linspace(1.0, 1.3, d) * 0.15 * max(1, d) ** 0.5
    model = NadarayaWatsonRegressor(h, kernel=kernel, algorithm=algorithm, rtol=rtol).fit(X, y, w)
    queries = np.random.default_rng(1).uniform(-0.5, 1.5, size=(200, d))
    yield model.predict(queries)
    yield model.predict(X)
    yield model.loo_predict()
    if n <= 2000:
        yield model.attention_weights(queries[:20])
    known = {"kernel": kernel, "sample_weight": w, "algorithm": algorithm, "rtol": min(rtol, 1e-12)}
    if kernel == "tophat":
        yield loo_error(X, y, h, **known)
        return
    for bandwidth in (0.2 * d**0.5, h, np.diag(h)):
        if np.ndim(bandwidth) < 2 or (algorithm == "auto" and d > 1):
            yield from loo_error(X, y, bandwidth, return_gradient=True, **known)


def choices():
    """Yield problems of bandwidths that are chosen."""
    for kernel, d in itertools.product(KERNELS, (1, 2)):
        yield f"loo {kernel} d={d}", (300, d, {"kernel": kernel})
    for rule in ("aicc", "gcv", "scott"):
        for kernel in ("gaussian", "epanechnikov"):
            yield f"{rule} {kernel}", (300, 2, {"bandwidth": rule, "kernel": kernel})
    for family, shrinkage in itertools.product(("diag", "full"), ("cv", 0.0)):
        known = {"bandwidth": "gradient", "bandwidth_type": family, "shrinkage": shrinkage}
        yield f"gradient {family} {shrinkage}", (200, 3, known)
    yield "gradient epanechnikov", (200, 3, {"bandwidth": "gradient", "kernel": "epanechnikov"})
    yield "gradient adam", (3000, 4, {"bandwidth": "gradient", "solver": "adam", "random_state": 0, "max_iter": 3})
    yield "gradient drop", (200, 4, {"bandwidth": "gradient", "drop_irrelevant": True})
    for kernel, n, d in (("gaussian", 5000, 9), ("epanechnikov", 3000, 2), ("gaussian", 10_000, 2)):
        yield f"loo {kernel} n={n} d={d}", (n, d, {"kernel": kernel})
    for kernel in ("gaussian", "epanechnikov"):
        yield f"loo {kernel} n=120000", (120_000, 1, {"kernel": kernel})


def choose(n, d, known):
    """Results of one problem of `choices`."""
    X, y, _ = make_data(n, d)
    model = NadarayaWatsonRegressor(**known).fit(X, y)
    yield model.bandwidth_
    yield getattr(model, "best_score_", 0.0)
    yield model.predict(X[:50] + 0.01)


def results(only):
    """Yield the name and the value of each result."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for problems, compute in ((sums(), solve), (choices(), choose)):
            for name, problem in problems:
                if only in name:
                    for i, value in enumerate(compute(*problem)):
                        yield f"{name} #{i}", np.asarray(value, dtype=np.float64)


def main():
    """Save results, or compare them with saved ones."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--save", help="file to write")
    parser.add_argument("--against", help="file of another run")
    parser.add_argument("--only", default="", help="problems whose names contain this")
    args = parser.parse_args()
    found = dict(results(args.only))
    if args.save:
        np.savez(args.save, **found)
    print(f"{len(found)} results, {hashlib.sha256(b''.join(a.tobytes() for a in found.values())).hexdigest()[:16]}")
    if not args.against:
        return 0
    n_different = 0
    with np.load(args.against) as before:
        for name, value in found.items():
            if name not in before or before[name].tobytes() != value.tobytes():
                n_different += 1
                old = before.get(name, np.nan)
                with np.errstate(invalid="ignore"):
                    change = np.nanmax(np.abs(value - old), initial=0) / (np.nanmax(np.abs(old), initial=0) or 1)
                print(f"differs: {name}, by {change:.1e} of the largest value")
    print(f"{n_different} differ")
    return int(n_different > 0)


if __name__ == "__main__":
    sys.exit(main())
