"""From sums to averages: prepared data, the coordinates of a bandwidth, and answers where nobody is in reach."""

import math
from typing import NamedTuple

import numpy as np
from scipy import sparse

from ._core import (
    MOST_FEATURES_IN_ORDER,
    PROFILES,
    SMALLEST_MASS,
    Derivatives,
    Rows,
    State,
    in_cache,
    kernel_sums,
    kernel_weights,
    read_only,
    run_blocks,
    spatial_order,
    times_matrix,
)


class Sample(NamedTuple):
    """Training data as every sum needs it: rows of positive weight, neighbours next to each other, numbers near one.

    Scaling is by powers of two and thus exact; y is centred first, so that averages of large numbers that hardly
    differ keep their digits.

    Attributes
    ----------
    given : ndarray of shape (n,), int64
        Which of the rows that were given each one is.
    X : ndarray of shape (n, d)
        Rows of positive weight, one feature after the other in memory.
    Y : ndarray of shape (p, n)
        Targets of these, minus `center`, over `unit`; one output after the other.
    w, w_rest : ndarray of shape (n,)
        Weights over `weight_unit`, and what is left of them when one observation is left out.
    center : ndarray of shape (p,)
        Middle of the range of each output.
    unit, weight_unit : float
        Powers of two.
    """

    given: np.ndarray
    X: np.ndarray
    Y: np.ndarray
    w: np.ndarray
    w_rest: np.ndarray
    center: np.ndarray
    unit: float
    weight_unit: float

    @classmethod
    def of(cls, X, y, w):
        """From data as given: X of shape (n, d), y of shape (n, p), w of shape (n,), not negative, not all zero."""
        given = np.flatnonzero(w > 0)
        if X.shape[1] <= MOST_FEATURES_IN_ORDER:
            order = spatial_order((X if len(given) == len(X) else X[given]).T)
            given = given[order]
        # In place: of very many rows, to write to new memory takes longer than all arithmetic.
        X, Y, w = np.asfortranarray(X[given]), np.array(y[given].T, order="C"), w[given].astype(np.float64)
        center = 0.5 * Y.min(axis=1) + 0.5 * Y.max(axis=1)
        Y -= center[:, None]
        unit, weight_unit = _power_of_two(max(Y.max(), -Y.min())), _power_of_two(w.max())
        Y /= unit
        w_rest = w - 1
        np.maximum(w_rest, 0, out=w_rest)
        w_rest /= weight_unit
        w /= weight_unit
        return cls(given, read_only(X.T).T, *map(read_only, (Y, w, w_rest)), center, unit, weight_unit)

    @property
    def n_observations(self):
        """Sum of the weights, which count observations."""
        return self.weight_unit * self.w.sum()

    def squared(self, value):
        """A squared error in the units of y; `inf` if these are too large for it."""
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(value) * self.unit * self.unit

    @property
    def counts(self):
        """Whether all weights are whole numbers."""
        w = self.weight_unit * self.w
        return bool((w == np.floor(w)).all())

    @property
    def is_constant(self):
        """Whether all targets are the same."""
        return not self.Y.any()


#: Of bandwidths beyond two to this power, either way, squares and products of these might leave the range of numbers.
_LARGEST_EXPONENT = 256


class Metric(NamedTuple):
    """The coordinates that a bandwidth H gives: the scaled distance is the norm of ``(z - z_j) * g``.

    Attributes
    ----------
    features : ndarray
        Features that count, those of finite bandwidth.
    g : ndarray of shape (d',)
        One factor per coordinate.
    G : ndarray of shape (d', d'), or None
        H⁻¹, if H is not diagonal; the coordinates are then ``G @ (x - origin)``.
    origin : ndarray of shape (d',)
    exponents : ndarray of shape (d',), or None
        Powers of two that the coordinates are X times, if X alone would make squares of g overflow or vanish.
    """

    features: np.ndarray
    g: np.ndarray
    G: np.ndarray | None = None
    origin: np.ndarray | None = None
    exponents: np.ndarray | None = None

    @classmethod
    def of(cls, bandwidth, X):
        """From a bandwidth (number, vector or matrix, already validated) and the training rows."""
        d = X.shape[1]
        bandwidth = np.asarray(bandwidth, dtype=np.float64)
        H = bandwidth if bandwidth.ndim == 2 else None
        h = np.broadcast_to(bandwidth, d) if H is None else H.diagonal()
        features = np.flatnonzero(h < np.inf)
        h = h[features]
        if H is not None:
            H = H[np.ix_(features, features)]
            if np.any(H != np.diag(h)):
                span = X[:, features]
                origin = 0.5 * span.min(axis=0) + 0.5 * span.max(axis=0)
                return cls(features, np.ones(len(h)), np.linalg.inv(H), origin)
        # A bandwidth may have been rounded to nothing, if that of the features is in the last digits there are.
        h = np.maximum(h, np.finfo(np.float64).smallest_subnormal)
        mantissas, exponents = np.frexp(h)
        if np.abs(exponents).max(initial=0) > _LARGEST_EXPONENT:
            # Where rows are very many bandwidths apart, room is left for coordinates of queries far away.
            largest = np.frexp(np.abs(X[:, features]).max(axis=0))[1]
            powers = np.minimum(-exponents, 2 * _LARGEST_EXPONENT - largest)
            with np.errstate(over="ignore"):
                g = np.minimum(np.ldexp(1 / mantissas, -exponents - powers), np.finfo(np.float64).max)
            return cls(features, g, exponents=powers)
        return cls(features, 1 / h)

    @property
    def is_plain(self):
        """Whether coordinates are the features themselves, in the units of X."""
        return self.G is None and self.exponents is None

    def coordinates(self, X):
        """Coordinates of some points, of shape (m, d')."""
        Z = X if len(self.features) == X.shape[1] else X[:, self.features]
        if self.exponents is not None:
            with np.errstate(over="ignore"):
                largest = np.finfo(np.float64).max
                return np.clip(np.ldexp(Z, self.exponents), -largest, largest)
        if self.G is None:
            return Z
        out = times_matrix(Z - self.origin, self.G.T)
        if not np.isfinite(out).all():
            raise ValueError("X divided by the bandwidth matrix overflows; use a wider bandwidth or rescale X.")
        return out

    def rows(self, sample):
        """The training rows in these coordinates."""
        return Rows(read_only(self.coordinates(sample.X).T), sample.Y, sample.w, sample.w_rest)


class Averages(NamedTuple):
    """Answers to m queries.

    Attributes
    ----------
    means : ndarray of shape (m, p)
        Weighted averages of the targets, in the sample's units.
    void : ndarray of shape (m,), bool
        Queries with no row in reach, answered as `empty` says.
    state : State
        The sums, with their derivatives if these were asked for.
    """

    means: np.ndarray
    void: np.ndarray
    state: State


def average(kernel, rows, g, Zq, own=None, *, empty="nearest", derivatives=Derivatives.NOTHING, state=None, **how):
    """Weighted averages of the targets for each query.

    Parameters, and how the sums are formed (`algorithm`, `rtol`, `n_threads`), as in `kernel_sums`; `empty` is
    "nearest", "mean" or "nan"; `state` is what `kernel_sums` would give, if somebody has it already.

    Returns
    -------
    Averages
    """
    if not len(g):  # every row has the same weight
        m, p = len(Zq), len(rows.Y)
        state = State(np.broadcast_to(np.inf, m), np.broadcast_to(0.0, (m, 1 + p)), np.empty((m, 0, 1 + p)))
        return Averages(_means(None, rows, g, Zq, own, how), np.zeros(len(Zq), dtype=bool), state)
    if state is None:
        state = kernel_sums(kernel, rows, g, Zq, own, derivatives=derivatives, **how)
    mass = state.sums[:, 0]
    _check_profile(kernel, mass)
    void, means = np.empty(len(mass), dtype=bool), np.empty((len(rows.Y), len(mass))).T

    def divide(start, stop):
        part = slice(start, stop)
        np.less(mass[part], SMALLEST_MASS, out=void[part])
        np.divide(state.sums[part, 1:], np.where(void[part], 1, mass[part])[:, None], out=means[part])

    run_blocks(divide, in_cache(len(mass)), how.get("n_threads", 1))
    _fill_void(_means, means, void, kernel, rows, g, Zq, own, empty, how)
    return Averages(means, void & can_be_empty(kernel), state)


def weights(kernel, rows, g, Zq, own=None, *, empty="nearest", n_threads=1):
    """The weights with which `average` takes its averages.

    Parameters as there.

    Returns
    -------
    weights : ndarray of shape (m, n)
        Each line sums to one; NaN where no row is in reach and `empty` is "nan".
    void : ndarray of shape (m,), bool
    """
    if not len(g):
        return _weights(None, rows, g, Zq, own, {"n_threads": n_threads}), np.zeros(len(Zq), dtype=bool)
    out = kernel_weights(kernel, rows, g, Zq, own, n_threads=n_threads)
    _check_profile(kernel, out)
    void = ~out.any(axis=1)
    _fill_void(_weights, out, void, kernel, rows, g, Zq, own, empty, {"n_threads": n_threads})
    return out, void & can_be_empty(kernel)


def largest(dense, k):
    """The k largest entries of each line as a CSR array; of equal ones the first, none that are zero."""
    # A stable sort of all n would cost more than the sums: take what exceeds the k-th largest, then fill up from
    # the left.
    # From the front, which many zeros at the other end do not slow down.
    smallest = -np.partition(-dense, k - 1, axis=1)[:, k - 1, None]
    above, equal = dense > smallest, dense == smallest
    room = k - above.sum(axis=1, keepdims=True)
    keep = above | (equal & (np.cumsum(equal, axis=1) <= room))
    keep |= np.isnan(dense) & (np.arange(dense.shape[1]) < k)  # a query without an answer stays without one
    return sparse.csr_array(np.where(keep, dense, 0.0))


def can_leave_out(rows):
    """Whether something is left of a `Sample` or `Rows` when one observation is left out."""
    return len(rows.w) > 1 or rows.w_rest[0] > 0


def can_be_empty(kernel):
    """Whether a query may have no row in reach. Of a user's profile nothing is known."""
    return callable(kernel) or math.isfinite(PROFILES[kernel].reach)


#: So many equal rows, all of which are looked at for one beside them, take no noticeable time.
_FEW = 64


def _fill_void(compute, out, void, kernel, rows, g, Zq, own, empty, how):
    """Answer the queries that no row is in reach of. A kernel that never vanishes has its limit there."""
    if not void.any():
        return
    # Where it is next to each, in all rows of one feature, one is looked for in less time than said where.
    z, in_order = Zq[:, 0], "in_order" in how and own[-1] - own[0] == len(own) - 1
    if compute is _means and empty == "nearest" and in_order and (z[_FEW:] > z[:-_FEW]).all():
        out[void] = _means("nearest", rows, g, Zq, own, how)[void]
        return
    own = None if own is None else own[void]
    if empty == "nearest" or not can_be_empty(kernel):
        out[void] = compute("nearest", rows, g, Zq[void], own, how)
    else:
        out[void] = compute(None, rows, g, Zq[void], own, how) if empty == "mean" else np.nan


def _means(kernel, rows, g, Zq, own, how):
    """Averages over the nearest rows, or over all (`kernel` None); O(m + n) for the latter."""
    if kernel is not None:
        state = kernel_sums(kernel, rows, g, Zq, own, **how)
        lost = np.isinf(state.shift)
        if lost.any():
            rows, g, Zq = _without_overflow(rows, g, Zq[lost])
            again = kernel_sums(kernel, rows, g, Zq, None if own is None else own[lost], **how)
            state.sums[lost] = again.sums
        return state.sums[:, 1:] / state.sums[:, :1]
    out, everyone = np.empty((len(rows.Y), len(Zq))).T, in_cache(len(rows.w))
    mass = rows.w.sum()
    moments = sum((rows.w[start:stop] * rows.Y[:, start:stop]).sum(axis=1) for start, stop in everyone)
    if own is None:
        out[:] = moments / mass
        return out

    def leave_out(start, stop):
        part = own[start:stop]
        mine = as_slice(part)
        v = np.where(part >= 0, rows.w[mine] - rows.w_rest[mine], 0.0)
        # Where no less stays than goes, a difference is as good as a sum, |y| being bounded; at most one is heavier.
        rest = mass - v
        heavy = np.flatnonzero(v > rest)
        rest[heavy] = mass
        for c, y in enumerate(rows.Y):
            out[start:stop, c] = (moments[c] - v * y[mine]) / rest
        for i in heavy:
            w = rows.w.copy()
            w[part[i]] = rows.w_rest[part[i]]
            out[start + i] = (w * rows.Y).sum(axis=1) / w.sum()

    run_blocks(leave_out, in_cache(len(own)), how.get("n_threads", 1))
    return out


def as_slice(numbers):
    """Numbers that count up as a slice, of which an array is a view; others as they are."""
    if len(numbers) and numbers[0] >= 0 and (numbers[1:] - numbers[:-1] == 1).all():
        return slice(numbers[0], numbers[-1] + 1)
    return numbers


def _weights(kernel, rows, g, Zq, own, how):
    """Weights for averages over the nearest rows, or over all (`kernel` None)."""
    if kernel is None:  # no coordinates, hence no distances
        rows, g, Zq, kernel = rows._replace(Z=rows.Z[:0]), g[:0], Zq[:, :0], "tophat"
    out = kernel_weights(kernel, rows, g, Zq, own, **how)
    lost = ~out.any(axis=1)
    if lost.any():
        rows, g, Zq = _without_overflow(rows, g, Zq[lost])
        out[lost] = kernel_weights(kernel, rows, g, Zq, None if own is None else own[lost], **how)
    return out


def _without_overflow(rows, g, Zq):
    """The same rows and queries with distances in another unit, in which none overflows."""
    unit = _power_of_two(max(np.abs(rows.Z).max(), np.abs(Zq).max()))
    return rows._replace(Z=rows.Z / unit), g / _power_of_two(g.max()), Zq / unit


def _check_profile(kernel, values):
    """Raise if a user's profile has given weights that cannot be averaged with."""
    if callable(kernel) and not (np.isfinite(values).all() and (values >= 0).all()):
        raise ValueError(
            f"The kernel {kernel!r} gave weights that are negative or not finite; a profile k(s) must be finite and "
            "non-negative for every squared scaled distance s >= 0."
        )


def _power_of_two(x):
    """The power of two above x, or the largest one there is; 1 for x = 0."""
    return math.ldexp(1.0, min(math.frexp(x)[1], 1023)) if x > 0 else 1.0
