"""Time this package beside its peers: the same data, the same numbers, the same run.

Each line of the table is a task. Before it is printed, the results of all who took part are compared; a peer that
computes something else has no time. Peers that are not installed are left out by name.

    python benchmarks/compare.py [--quick] [--full] [--threads N]
"""

import argparse
import warnings
from contextlib import contextmanager

import numpy as np
from joblib import cpu_count
from numpy.testing import assert_allclose
from sklearn.metrics.pairwise import rbf_kernel
from table import best_time, brief, has, progress, ratio, used
from threadpoolctl import threadpool_limits

from sknw import NadarayaWatsonRegressor, loo_error

EPS = np.finfo(np.float64).eps

#: Nobody is asked for a prediction that takes longer, in seconds.
PATIENCE = 30

#: Rows or queries that are enough to have everything compiled, and to see how long one query takes.
FEW = 40

PEERS = {
    "statsmodels": "statsmodels `KernelReg`",
    "rbf_kernel": "scikit-learn `rbf_kernel`",
    "torch": "torch `scaled_dot_product_attention`",
}


def make_data(n, d, seed=0):
    """Rows from a normal distribution, and a target that every feature has a part in."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    return X, np.sin(2 * X).sum(axis=1) + 0.5 * rng.normal(size=n)


# Each function below predicts with the Gaussian of standard deviation h; what can be prepared is prepared by the call,
# and the function that it returns is what the clock runs on.


def predict_sknw(X, y, Xq, h, n_threads):
    model = NadarayaWatsonRegressor(bandwidth=h, n_jobs=n_threads).fit(X, y)
    return lambda: model.predict(Xq)


@contextmanager
def without_warnings():
    """Hide what `KernelReg` has to say about itself."""
    with warnings.catch_warnings():
        # About a random generator that is not used here, and that older versions do not know.
        warnings.simplefilter("ignore", FutureWarning)
        # Of small bandwidths, at which all its weights, or the squares of their sums, underflow, and 0/0 is a NaN.
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


@without_warnings()
def kernel_reg(X, y, bw):
    """Make a `KernelReg`; if `bw` is "cv_ls", the search takes place here."""
    from statsmodels.nonparametric.kernel_regression import KernelReg

    return KernelReg(y, X, var_type="c" * X.shape[1], reg_type="lc", bw=bw)


def predict_statsmodels(X, y, Xq, h, n_threads):
    model = kernel_reg(X, y, [h] * X.shape[1])
    return lambda: model.fit(Xq)[0]


def predict_rbf_kernel(X, y, Xq, h, n_threads):
    def predict():
        K = rbf_kernel(Xq, X, gamma=1 / (2 * h**2))
        return K @ y / K.sum(axis=1)

    return predict


def predict_torch(X, y, Xq, h, n_threads):
    """Attention, with one more feature that carries the part of the squared distance that is the key's own."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    torch.set_num_threads(n_threads)
    q = np.column_stack([Xq / h, np.ones(len(Xq))])
    k = np.column_stack([X / h, -np.sum(X**2, axis=1) / (2 * h**2)])
    # Values as wide as the keys, filled up with zeros, or else torch does not take its fused path.
    v = np.column_stack([y, np.zeros((len(X), X.shape[1]))])
    q, k, v = (torch.from_numpy(a.astype(X.dtype, copy=False))[None, None] for a in (q, k, v))

    def predict():
        with torch.inference_mode():
            return scaled_dot_product_attention(q, k, v, scale=1.0)[0, 0, :, 0].numpy()

    return predict


PREDICT = {
    "sknw": predict_sknw,
    "statsmodels": predict_statsmodels,
    "rbf_kernel": predict_rbf_kernel,
    "torch": predict_torch,
}


def missing():
    """Peers that are not installed."""
    return [peer for peer in ("statsmodels", "torch") if not has(peer)]


def compare_predict(table, n, d, *, n_threads, most):
    """One line: predict as many queries as there are rows."""
    name = f"predict, n = m = {n}, d = {d}"
    X, y = make_data(n, d)
    Xq = make_data(n, d, seed=1)[0]
    h = float(n ** (-1 / (d + 4)))  # Scott's rule; the spread is 1
    seconds, results = {}, {}
    for peer, predict in PREDICT.items():
        if peer in missing():
            continue
        if peer == "statsmodels":
            expected = best_time(predict(X, y, Xq[:FEW], h, n_threads), 2)[0] * n / FEW
            if expected > PATIENCE:
                table.leave_out(name, peer, f"would take about {expected:.0f} s, going by {FEW} of the queries")
                continue
        progress(f"{name}: {peer}")
        if peer == "sknw":  # which algorithm is to be compiled depends on the size
            predict(X, y, Xq, h, n_threads)()
        else:
            predict(X[:FEW], y[:FEW], Xq[:FEW], h, n_threads)()
        seconds[peer], results[peer] = best_time(predict(X, y, Xq, h, n_threads), most)
    # The peers form |x - x_j|² as |x|² - 2 x.x_j + |x_j|², whose rounding error, in units of h², is an error of the
    # exponent and so a relative one of a weight. An average moves by at most twice that times the range of y.
    largest = max(np.sum(X**2, axis=1).max(), np.sum(Xq**2, axis=1).max()) / h**2
    atol = (4 * largest + n) * EPS * np.ptp(y)
    for peer, result in results.items():
        assert_allclose(result, results["sknw"], rtol=0, atol=atol, equal_nan=False, err_msg=peer)
    table.add(name, seconds)


def compare_bandwidth(table, bandwidth, n, d, *, n_threads, most):
    """One line: find the bandwidth by the leave-one-out error."""
    name = f'fit, bandwidth="{bandwidth}", n = {n}, d = {d}'
    X, y = make_data(n, d)
    model = NadarayaWatsonRegressor(bandwidth, shrinkage=0, n_jobs=n_threads)
    seconds = {}
    progress(f"{name}: sknw")
    model.fit(X, y)  # which algorithms are to be compiled depends on the size
    seconds["sknw"], _ = best_time(lambda: model.fit(X, y), most)
    if "statsmodels" not in missing():
        progress(f"{name}: statsmodels")
        seconds["statsmodels"], peer = best_time(lambda: kernel_reg(X, y, "cv_ls"), most)
        # Nothing keeps its search from negative bandwidths, which mean the same to it.
        ours, theirs = loo_error(X, y, model.bandwidth_), loo_error(X, y, np.abs(peer.bw))
        # Both minimise the same criterion. Averages of n terms, summed in different orders, differ by n EPS of their
        # range, which is more of a residual as that is smaller.
        with without_warnings():
            same = np.ravel(peer.cv_loo(peer.bw, peer.est["lc"]))[0]
        assert_allclose(theirs, same, rtol=3 * n * EPS * np.ptp(y) / np.sqrt(theirs))
        # Of one factor ours is the lowest minimum, to rounding; theirs is some minimum, to 1e-4 in the bandwidth. With
        # one for each feature both descend, and either may end in the lower minimum: the footnote tells.
        if bandwidth == "loo":
            assert ours <= theirs * (1 + 1e-9), f"{name}: {ours!r} at {model.bandwidth_}, but {theirs!r} at {peer.bw}"
        verdict = ", which is another minimum and lower" if theirs < ours * (1 - 1e-6) else ""
        table.remark(name, f"leave-one-out error {ours:.8g}, that of statsmodels {theirs:.8g}{verdict}")
    table.add(name, seconds)


class Table:
    """Lines of times with ratios, and footnotes, in markdown."""

    def __init__(self, peers):
        self.peers, self.lines, self.notes = peers, [], {}

    def leave_out(self, name, peer, why):
        """Give the reason why a peer has no time in a line that is to come."""
        self.notes[name, peer] = why

    def remark(self, name, text):
        """Footnote to the name of a line."""
        self.notes[name, None] = text

    def add(self, name, seconds):
        """Write a line with the seconds of each who took part."""
        self.lines.append((name, seconds))

    def __str__(self):
        numbers = {key: f"[^{i}]" for i, key in enumerate(self.notes, 1)}
        out = [
            "| task | sknw | " + " | ".join(PEERS[peer] for peer in self.peers) + " |",
            "|---|" + "---:|" * (1 + len(self.peers)),
        ]
        for name, seconds in self.lines:
            cells = [name + numbers.get((name, None), ""), brief(seconds["sknw"])]
            for peer in self.peers:
                if peer in seconds:
                    cells.append(f"{ratio(seconds[peer] / seconds['sknw'])} ({brief(seconds[peer])})")
                else:
                    cells.append("—" + numbers.get((name, peer), ""))
            out.append("| " + " | ".join(cells) + " |")
        notes = [f"{numbers[key]}: {'' if key[1] is None else key[1] + ' '}{text}" for key, text in self.notes.items()]
        return "\n".join(out + [""] * bool(notes) + notes)


def main():
    parser = argparse.ArgumentParser(description="Time this package beside its peers, as ratios in a markdown table.")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, a few seconds; the times mean nothing")
    parser.add_argument("--full", action="store_true", help='500 rows, not 200, for "gradient"; takes longer')
    parser.add_argument("--threads", type=int, default=cpu_count(), help="default: all processors of this process")
    args = parser.parse_args()

    print(used(args.threads))
    for peer in missing():
        print(f"Left out: {PEERS[peer]} is not installed")
    print(flush=True)

    table = Table([peer for peer in PEERS if peer not in missing()])
    small, large = (40, 60) if args.quick else (2_000, 10_000)
    searched = (40, 60) if args.quick else (500, 1_000)
    described = 40 if args.quick else 500 if args.full else 200
    common = {"n_threads": args.threads, "most": 1 if args.quick else 7}
    with threadpool_limits(args.threads):
        compare_predict(table, small, 1, **common)
        for d in (2, 10):
            compare_predict(table, large, d, **common)
        for n in searched:
            compare_bandwidth(table, "loo", n, 1, **common)
        compare_bandwidth(table, "gradient", described, 3, **common)
    print(table)
    print(f"\nTimes of the peers as multiples of ours, in brackets as they are; best of up to {common['most']} calls.")
    if "statsmodels" in table.peers:
        print("`KernelReg` uses one thread, and computes marginal effects, too; there is no way to predict without.")


if __name__ == "__main__":
    main()
