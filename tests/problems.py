"""Training rows that several test files use: random ones, and designs that are hard for an algorithm."""

import math

import numpy as np

from sknw._core import KERNELS, SMALLEST_MASS, Rows, State, read_only, spatial_order

EPS = np.finfo(np.float64).eps

#: Kernels with a finite reach, those without, and those with a derivative in the bandwidth.
COMPACT = [name for name, profile in KERNELS.items() if math.isfinite(profile.reach)]
INFINITE = [name for name in KERNELS if name not in COMPACT]
DIFFERENTIABLE = [name for name, profile in KERNELS.items() if profile.differentiable]


def rows_of(X, y, w):
    """Return training rows whose weights are numbers of observations; y has shape (n, p)."""
    return Rows(*map(read_only, (X.T, y.T, w, np.maximum(w - 1, 0))))


def make_rows(rng, n, d, p=1, weights=True, offset=0.0):
    """Return X, y of shape (n, p), w and the rows of normal points and targets; a row is up to three observations."""
    w = rng.integers(1, 4, size=n).astype(float) if weights else np.ones(n)
    X, y = rng.normal(size=(n, d)) + offset, rng.normal(size=(n, p))
    return X, y, w, rows_of(X, y, w)


def points_and_rows(rng, n, d, p=1, offset=0.0):
    """Return X and the rows of `make_rows`."""
    X, _, _, rows = make_rows(rng, n, d, p, offset=offset)
    return X, rows


def relative_to(shift, state):
    """Return a state of the Gaussian relative to other offsets: one rounding of these, halved, and three more."""
    factor = np.exp(0.5 * np.subtract(shift, state.offset, where=shift != state.offset, out=np.zeros(len(shift))))
    return State(shift, state.sums * factor[:, None], state.derivatives * factor[:, None, None], state.error)


def averages(state):
    """Return the averages of the first output, NaN where no row is within reach."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(state.sums[:, 0] >= SMALLEST_MASS, state.sums[:, 1] / state.sums[:, 0], np.nan)


def clusters(rng, n, d):
    """A million bandwidths apart."""
    return rng.normal(size=(n, d)) + 1e6 * rng.integers(3, size=(n, 1)), 1.0


def outlier(rng, n, d):
    X = rng.normal(size=(n, d))
    X[0] = 1e6
    return X, 0.3


def equal(rng, n, d):
    return np.full((n, d), math.pi), 1.0


def ties(rng, n, d):
    return rng.integers(4, size=(n, d)).astype(float), 0.7


def tiny(rng, n, d):
    """A bandwidth of 1e-9 of the range."""
    return rng.uniform(size=(n, d)), 1e-9


def huge(rng, n, d):
    return rng.uniform(size=(n, d)), 1e9


def shifted(rng, n, d):
    return 1e8 + rng.integers(2**20, size=(n, d)) / 2**20, 0.05 if d < 3 else 0.5


def fine(rng, n, d):
    """Near the resolution of the numbers: cells cannot have exact edges."""
    u = 2.0**-26
    return 1e8 + rng.integers(3000, size=(n, d)) * u, 9.3 * u / 1.5407


def below_zero(rng, n, d):
    """A coordinate that is rounded into the next cell."""
    X = rng.uniform(size=(n, d))
    X[0] = -5e-324
    return X, 100.0


def far_out(rng, n, d):
    X = rng.uniform(size=(n, d))
    X[:3] = 1e300
    return X, 0.1


def cauchy(rng, n, d):
    return rng.standard_cauchy(size=(n, d)), 0.3


#: Functions of a random generator, n and d that return X and a bandwidth.
DESIGNS = [clusters, outlier, equal, ties, tiny, huge, shifted, fine, below_zero, far_out, cauchy]


def make_problem(rng, design, n, d, weights="one", targets="plain"):
    """Return X, rows in spatial order and inverse bandwidths of a design; weights or targets over twelve decades."""
    X, h = design(rng, n, d)
    X = X[spatial_order(X.T)]
    y = rng.normal(size=n) if targets == "plain" else rng.choice([-1, 1], size=n) * 10.0 ** rng.uniform(-12, 0, size=n)
    y = (y - 0.5 * (y.min() + y.max())) / np.ptp(y)  # within a range of 1, as the package hands it down
    w = np.ones(n) if weights == "one" else 10.0 ** rng.uniform(-12, 0, size=n)
    rows = Rows(read_only(X.T), read_only(y[None]), read_only(w), read_only(np.zeros(n)))
    return X, rows, np.full(d, 1 / h)
