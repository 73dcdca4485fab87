"""Every pair at the speed of the machine: one row per promise, each beside what it is measured against.

Both sides compute the same numbers, which are compared before the clock runs. Peers that are not installed are left out
by name. Times are the best of several calls in one run.

    python benchmarks/every_pair.py [--quick] [--threads N] [--only ROWS]
"""

import argparse
import io
import warnings
from contextlib import redirect_stdout

import numpy as np
from compare import make_data, predict_torch
from joblib import cpu_count
from numpy.testing import assert_allclose
from scipy.spatial.distance import cdist
from sklearn.metrics.pairwise import rbf_kernel
from table import Promises, best_times, has, progress
from threadpoolctl import threadpool_limits

from sknw import NadarayaWatsonRegressor, loo_error
from sknw._bandwidth.objective import Objective
from sknw._core import Problem, Queries, Setting, Wanted, kernel_sums, read_only
from sknw._core.dispatch import ladder_sums
from sknw._criteria.problem import Settings
from sknw._smoothing.metric import Metric
from sknw._smoothing.sample import Sample

PEERS = ("torch", "pykeops", "metric_learn", "hbw", "statsmodels")

ROWS = []


def row(function):
    """Register a row, or several, of the table."""
    ROWS.append(function)
    return function


#: Seconds that the calls of one function may take together, after which there are no more.
PATIENCE = 10.0


def seconds(*functions, most):
    """Shortest times of functions that take turns; that their results are right has been seen before."""
    return best_times(functions, most, PATIENCE * len(functions))


def dense(X, y, h, n_threads):
    """Our model, by every pair whatever the plan says."""
    return NadarayaWatsonRegressor(h, algorithm="dense", n_jobs=n_threads).fit(X, y)


def check(ours, theirs, X, y, h):
    """Averages agree up to what |x|² - 2 x.y + |y|² loses, as most peers form distances."""
    largest = np.sum(X**2, axis=1).max() / h**2
    assert_allclose(theirs, ours, rtol=0, atol=(8 * largest + len(X)) * np.finfo(X.dtype).eps * np.ptp(y))


@row
def ceiling(report):
    """The share of the multiply-adds that a pair cannot do without, 2 d + 17, at the rate of a large matrix product."""
    a = np.random.default_rng(0).normal(size=(report.size(2048),) * 2)
    for d, asked in ((1, "75 %"), (2, "75 %"), (10, "60 %")):
        n = report.size(10_000)
        X, y = make_data(n, d)
        model = dense(X, y, 0.5, 1)
        K = np.exp(-0.5 * cdist(X[:50], X, "sqeuclidean") / 0.5**2)
        check(model.predict(X)[:50], K @ y / K.sum(axis=1), X, y, 0.5)
        with threadpool_limits(1):
            ours, product = seconds(lambda X=X, model=model: model.predict(X), lambda: a @ a, most=25)
        rate = a.shape[0] ** 3 / product
        share = n * n / ours / (rate / (2 * d + 17))
        work = f"predict, n = m = {n:,}, d = {d}, one thread: {n * n / ours / 1e9:.2f}e9 pairs/s"
        limit = f"ceiling at {rate / 1e9:.1f}e9 multiply-adds/s"
        report.line(work, limit, ours, asked=asked, share=f"{share:.0%} of it")


@row
def attention(report):
    """Predict beside torch's scaled_dot_product_attention with augmented keys."""
    if not has("torch"):
        return
    for n, d, *asked in ((50_000, 10, "1.8x", "1.5x"), (20_000, 100, "2x", "1.8x")):
        n = report.size(n)
        X, y = make_data(n, d)
        h = 0.5 * np.sqrt(d)
        for dtype, least in zip((np.float64, np.float32), asked, strict=True):
            X = X.astype(dtype)
            model = dense(X, y, h, report.n_threads)
            attend = predict_torch(X, y, X, h, report.n_threads)
            check(model.predict(X), attend(), X, y, h)
            ours, theirs = seconds(lambda X=X, model=model: model.predict(X), attend, most=7)
            work = f"predict, n = m = {n:,}, d = {d}, {np.dtype(dtype)}"
            report.line(work, "torch SDPA", ours, theirs, least)


@row
def arrays(report):
    """Predict beside what holds all distances in memory, and beside KeOps, which does not."""
    for d, asked in ((2, "8x"), (10, "6x"), (100, "3x")):
        n = report.size(8_000)
        X, y = make_data(n, d)
        h = 0.5 * np.sqrt(d)
        model = dense(X, y, h, report.n_threads)
        mine = model.predict(X)

        def by_cdist(X=X, y=y, h=h):
            K = np.exp(cdist(X, X, "sqeuclidean") / (-2 * h * h))
            return K @ y / K.sum(axis=1)

        def by_rbf(X=X, y=y, h=h):
            K = rbf_kernel(X, X, gamma=1 / (2 * h * h))
            return K @ y / K.sum(axis=1)

        rivals = {"cdist + exp": by_cdist, "rbf_kernel": by_rbf}
        if has("pykeops"):
            rivals["KeOps, processor"] = keops(X, y, h)
        for call in rivals.values():
            check(mine, call(), X, y, h)
        ours, *all_theirs = seconds(lambda X=X, model=model: model.predict(X), *rivals.values(), most=7)
        for name, theirs in zip(rivals, all_theirs, strict=True):
            report.line(f"predict, n = m = {n:,}, d = {d}", name, ours, theirs, "8x" if "KeOps" in name else asked)


def keops(X, y, h):
    """A prediction by KeOps; all of its compilation is left out of the time."""
    with redirect_stdout(io.StringIO()):
        from pykeops.numpy import LazyTensor

    z = np.ascontiguousarray(X / (np.sqrt(2) * h))
    x_i, x_j = LazyTensor(z[:, None, :]), LazyTensor(z[None, :, :])
    v_j = LazyTensor(np.column_stack([y, np.ones(len(y))])[None, :, :])

    def predict():
        sums = ((-((x_i - x_j) ** 2).sum(-1)).exp() * v_j).sum(axis=1)
        return sums[:, 0] / sums[:, 1]

    return predict


@row
def minimiser(report):
    """The leave-one-out bandwidth in one feature, our global search over all pairs included."""
    fewest = 2_000  # which take statsmodels long enough
    expected = {}
    for n in (fewest, 10_000):
        n = report.size(n)
        rng = np.random.default_rng(0)
        x = rng.uniform(0, 5, size=n)
        y = np.sin(3 * x) + 0.3 * rng.normal(size=n)
        rivals = {name: search(x, y) for name, search in DESCENTS.items() if has(name)}
        for algorithm in ("dense", "auto"):
            model = NadarayaWatsonRegressor(algorithm=algorithm, n_jobs=report.n_threads)
            model.fit(x[:, None], y)
            (ours,) = seconds(lambda model=model, x=x, y=y: model.fit(x[:, None], y), most=15)
            work = f'"loo", algorithm="{algorithm}", n = {n:,}, d = 1'
            for name, (call, most, asked) in rivals.items():
                rough = name == "statsmodels" and n > fewest
                if rough:  # each of its steps is a pass over all pairs
                    theirs = expected[name, algorithm] * (n / fewest) ** 2
                else:
                    h = call()
                    # A descent may stop a little beside the minimum, or in another one, but nowhere below the lowest.
                    assert -model.best_score_ <= loo_error(x[:, None], y, abs(h)) * (1 + 1e-9)
                    (theirs,) = seconds(call, most=most)
                    expected[name, algorithm] = theirs
                report.line(work, f"{name}, one descent", ours, theirs, asked, rough=rough)


def search_hbw(x, y):
    """A descent of hbw on all rows."""
    from hbw import nw_bandwidth

    return lambda: nw_bandwidth(x, y, max_n=None), 2, "25x"


def search_statsmodels(x, y):
    """A descent of statsmodels, from a rule of thumb."""
    from statsmodels.nonparametric.kernel_regression import KernelReg

    def search():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return KernelReg(y, x, var_type="c", reg_type="lc", bw="cv_ls").bw[0]

    return search, 1, "100x"


DESCENTS = {"hbw": search_hbw, "statsmodels": search_statsmodels}


@row
def series(report):
    """Sixteen bandwidths in steps of the root of two, in one pass beside one by one."""
    n = report.size(20_000)
    X, y = make_data(n, 2)
    sample = Sample.of(X, y[:, None], np.ones(n))
    metric = Metric.of(np.full(2, 8.0), sample.X)
    rows = metric.rows(sample)
    queries, n_threads = Queries(rows.Z.T), report.n_threads

    def at(k):
        return Problem(Setting("gaussian", read_only(metric.g * 2 ** (k / 2)), rtol=1e-10), rows, queries)

    def at_once():
        return ladder_sums(at(0), range(16), n_threads)

    def one_by_one():
        return [kernel_sums(at(k), "dense", n_threads=n_threads) for k in range(16)]

    for one, other in zip(at_once(), one_by_one(), strict=True):
        assert_allclose(one.sums[:, 1] / one.sums[:, 0], other.sums[:, 1] / other.sums[:, 0], rtol=0, atol=1e-10)
    work = f"16 bandwidths, n = {n:,}, d = 2"
    report.line(work, "16 evaluations", *seconds(at_once, one_by_one, most=5), "3.2x")


@row
def metric_learning(report):
    """Value and gradient in a matrix, beside the arithmetic of metric-learn's MLKR, whose transformation may be any."""
    if not has("metric_learn"):
        return
    from metric_learn import MLKR

    for n, d, asked in ((4_000, 10, "15x"), (4_000, 100, "6x")):
        n = report.size(n)
        X, y = make_data(n, d)
        A = np.eye(d) / np.sqrt(d)
        sample = Sample.of(X, y[:, None], np.ones(n))
        H = np.linalg.inv(np.sqrt(2) * A + 1e-3)  # exp(-|A x|²), and not quite the identity
        H = 0.5 * (H + H.T)
        metric = Metric.of(H, sample.X)
        objective = Objective(sample, Settings("gaussian", "nearest", "dense", 1e-10, report.n_threads))
        peer = MLKR()
        peer.n_iter_ = 0
        root = np.linalg.inv(H) / np.sqrt(2)

        def evaluate(objective=objective, metric=metric, H=H):
            return objective(H, Wanted.PAIRS, metric=metric)

        def loss(peer=peer, root=root, X=X, y=y):
            return peer._loss(root.ravel(), X, y)

        other, slope = loss()
        assert_allclose(other / n, float(sample.squared(evaluate()[0])), rtol=1e-9)
        # The same gradient, in the inverse of H and not in its multiple that MLKR has.
        _, gradient = loo_error(X, y, H, algorithm="dense", n_jobs=report.n_threads, return_gradient=True)
        slope = slope.reshape(d, d) / (np.sqrt(2) * n)
        assert_allclose(slope, gradient, rtol=0, atol=1e-9 * np.abs(gradient).max())
        ours, theirs = seconds(evaluate, loss, most=7)
        report.line(f"MLKR value and gradient, n = {n:,}, d = {d}", "metric-learn 0.7", ours, theirs, asked)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="tiny sizes, a few seconds; the times mean nothing")
    parser.add_argument("--threads", type=int, default=cpu_count(), help="default: all processors of this process")
    parser.add_argument("--only", default="", help="rows whose function has this in its name")
    args = parser.parse_args()
    report = Promises(PEERS, args.quick, args.threads)
    with threadpool_limits(args.threads):
        for function in ROWS:
            if args.only in function.__name__:
                progress(function.__name__)
                function(report)


if __name__ == "__main__":
    main()
