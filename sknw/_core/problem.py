r"""What goes into kernel sums, and what comes out: training rows, queries, and the state of a sum per query.

The state of a query over some rows is

.. math:: M = \sum_j v_j, \qquad N_c = \sum_j v_j\, y_{jc}, \qquad v_j = w_j\, k(s_j) / k(\mathrm{offset}),

the denominator and the numerators of its average. States over disjoint rows merge into one; so do the bounds of their
errors. An engine computes states in one way; `dispatch` chooses an engine and completes what it cannot certify.
"""

import enum
import math
from typing import Any, NamedTuple, Protocol

import numpy as np

#: Below the smallest normal number a denominator has lost its digits: no row is within the support.
SMALLEST_MASS = float(np.finfo(np.float64).tiny)

#: Rounding alone takes more than this share of a denominator.
LEAST_RTOL = 1e-13


class Wanted(enum.IntEnum):
    """Which sums are wanted: those of the weights k, and of -2 k' times products of scaled differences t."""

    VALUE = 0
    SCALE = 1  # besides, s: the derivative in the logarithm of one factor of all bandwidths
    FEATURES = 2  # besides, t_a**2: the derivatives in the logarithm of each feature's bandwidth
    PAIRS = 3  # besides, t_a t_b for a <= b, of which the derivative in a bandwidth matrix is made

    def count(self, d):
        """Number of derivatives with d features."""
        return (0, 1, d, d * (d + 1) // 2)[self]

    @property
    def by_coordinate(self):
        """Whether coordinates have derivatives of their own."""
        return self in (Wanted.FEATURES, Wanted.PAIRS)

    def for_loops(self):
        """The type that compiled loops are chosen by: a tuple of as many zeros; VALUE and SCALE share one."""
        return (0,) * self if self > Wanted.SCALE else ()


class Rows(NamedTuple):
    """Training rows as the loops read them: C-contiguous read-only float64.

    Attributes
    ----------
    Z : ndarray of shape (d, n)
        Coordinates, one feature after the other.
    Y : ndarray of shape (p, n)
        Targets, one output after the other, at least one.
    w : ndarray of shape (n,)
        Weights, positive.
    w_rest : ndarray of shape (n,)
        Weight that is left of each row when one observation is removed.
    """

    Z: np.ndarray
    Y: np.ndarray
    w: np.ndarray
    w_rest: np.ndarray

    def read_only(self):
        """The same rows in the form that the loops read."""
        if not len(self.Y):
            raise ValueError("Sums are of at least one output, but the training rows have none.")
        return Rows(*map(read_only, self))

    def take(self, numbers):
        """Some of the rows."""
        return Rows(*(read_only(a[..., numbers]) for a in self))


class Queries(NamedTuple):
    """Points at which sums are wanted, and which training rows they are.

    Attributes
    ----------
    Z : ndarray of shape (m, d)
    row : ndarray of shape (m,), int64, or None
        Training row of each query, of whose weight `Rows.w_rest` counts; -1 for a new point. None if all are new.
    kind : {"new", "all", "run", "some"}
        New points; all rows in their order; rows that follow each other; any rows.
    """

    Z: np.ndarray
    row: np.ndarray | None = None
    kind: str = "new"

    @classmethod
    def all(cls, rows):
        """All training rows."""
        n = len(rows.w)
        return cls(read_only(rows.Z.T), read_only(np.arange(n), np.int64), "all")

    @classmethod
    def of_rows(cls, rows, numbers):
        """Training rows of some numbers."""
        numbers = np.asarray(numbers, dtype=np.int64)
        if len(numbers) and numbers[-1] - numbers[0] == len(numbers) - 1 and (np.diff(numbers) == 1).all():
            kind = "all" if len(numbers) == len(rows.w) else "run"
            return cls(read_only(rows.Z.T[numbers[0] : numbers[-1] + 1]), read_only(numbers, np.int64), kind)
        return cls(read_only(rows.Z.T[numbers]), read_only(numbers, np.int64), "some")

    def take(self, numbers):
        """Some of the queries."""
        row = None if self.row is None else read_only(self.row[numbers], np.int64)
        return Queries(read_only(self.Z[numbers]), row, "new" if row is None else "some")

    def rows_for_loops(self):
        """The training row of each query, or -1, as the loops read them."""
        return read_only(np.full(len(self.Z), -1) if self.row is None else self.row, np.int64)


class Setting(NamedTuple):
    """How sums are wanted, whatever the rows and the queries.

    Attributes
    ----------
    kernel : str or jitted function
        A key of `KERNELS`, "nearest" for the limit of small bandwidths, or a user's profile.
    inv_h : ndarray of shape (d,)
        One over the bandwidth of each feature.
    wanted : Wanted
    rtol : float
        Largest error of an average besides rounding, relative to the range of the targets, if these are centered.
    single : bool
        Whether the Gaussian over every pair may be formed in float32, in which `rtol` is not kept; VALUE only.
    """

    kernel: Any
    inv_h: np.ndarray
    wanted: Wanted = Wanted.VALUE
    rtol: float = 0.0
    single: bool = False


class Problem(NamedTuple):
    """Sums over all training rows for some queries.

    Attributes
    ----------
    setting : Setting
    rows : Rows
        In `spatial_order`, which all engines but those over every pair rely on for speed; of one feature in ascending
        order.
    queries : Queries
    """

    setting: Setting
    rows: Rows
    queries: Queries

    @property
    def sizes(self):
        """Numbers of rows, queries, features and outputs."""
        return len(self.rows.w), len(self.queries.Z), len(self.setting.inv_h), len(self.rows.Y)

    def at(self, numbers):
        """The same for some of the queries."""
        return self._replace(queries=self.queries.take(numbers))


class State(NamedTuple):
    r"""Kernel sums over some rows, for m queries.

    Attributes
    ----------
    offset : ndarray of shape (m,)
        Squared scaled distance to whose profile weights are relative: that of the nearest row so far, `inf` if there
        is none, or if it overflows; 0 where the Gaussian is summed as it is. Kernels of finite support are never
        relative; there the offset is the squared distance of the nearest row.
    sums : ndarray of shape (m, 1 + p)
        Denominator and numerators.
    derivatives : ndarray of shape (m, q, 1 + p)
        Wanted of `sums`, at constant offset.
    error : ndarray of shape (m, 2)
        Bounds of the absolute errors of the denominator, and of each numerator over the largest absolute target, in
        units of `sums`; `inf` where an engine did not compute a query. Relative errors of single weights of up to
        `rtol` come on top.
    """

    offset: np.ndarray
    sums: np.ndarray
    derivatives: np.ndarray
    error: np.ndarray

    @classmethod
    def empty(cls, m, p, q=0):
        """The state of a sum over no rows."""
        return cls(np.full(m, math.inf), np.zeros((m, 1 + p)), np.zeros((m, q, 1 + p)), np.zeros((m, 2)))

    def part(self, queries):
        """The states of a slice of the queries, as views."""
        return State(*(a[queries] for a in self))

    def put(self, queries, states):
        """Write the states of some queries to their places."""
        for whole, part in zip(self, states, strict=True):
            whole[queries] = part

    def scaled(self, factor):
        """The state of rows whose weights are larger by a factor, a number or one for each query."""
        factor = np.broadcast_to(factor, self.offset.shape)
        return State(
            np.where(factor > 0, self.offset, math.inf),
            self.sums * factor[:, None],
            self.derivatives * factor[:, None, None],
            self.error * factor[:, None],
        )

    def merge(self, other, kernel):
        """The state over the rows of both, which are disjoint.

        Parameters
        ----------
        other : State
        kernel : str or jitted function
            Of both. For "nearest", rows at the smaller offset count; those at the same offset count together.

        Returns
        -------
        State
            Relative to the smaller of both offsets. Errors add. Associative to rounding; `State.empty` is neutral.
        """
        offset = np.minimum(self.offset, other.offset)
        factors = [relative_profile(kernel, state.offset, offset) for state in (self, other)]
        sums, derivatives, error = (
            sum(_times(getattr(state, name), factor) for state, factor in zip((self, other), factors, strict=True))
            for name in ("sums", "derivatives", "error")
        )
        return State(offset, sums, derivatives, error)


def _times(a, factor):
    """Lines of an array times one factor each; the factor 0 leaves nothing, of `inf` neither."""
    factor = factor.reshape(-1, *(1,) * (a.ndim - 1))
    return np.where(factor > 0, a, 0.0) * factor


def relative_profile(kernel, old, new):
    """Factor that turns weights relative to the offset `old` into weights relative to the smaller `new`."""
    with np.errstate(invalid="ignore", over="ignore"):
        if kernel == "gaussian":
            factor = np.exp(0.5 * (new - old))
        elif kernel == "exponential":
            factor = np.exp(np.sqrt(new) - np.sqrt(old))
        elif kernel == "nearest":
            factor = (old == new).astype(np.float64)
        else:
            return np.ones(len(old))
    return np.where(np.isinf(old), np.where(np.isinf(new), 1.0, 0.0), factor)


def uncertain(state, rtol):
    """Numbers of the queries whose average the error bounds do not certify.

    A denominator M and numerators N that are wrong by e and e' |y| at most, |y| <= R / 2 with R the range of the
    targets, give an average N / M that is wrong by R (e + e') / 2 / (M - e) at most.
    """
    M, (e, e_numerators) = state.sums[:, 0], state.error.T
    with np.errstate(invalid="ignore"):
        return np.flatnonzero(~(rtol * (M - e) >= 0.5 * (e + e_numerators)))


class Plan(NamedTuple):
    """What an engine would do.

    Attributes
    ----------
    engine : Engine
    cost : float
        Estimated nanoseconds on one thread.
    setting : Setting
    layout : object
        What the engine has found out about the rows, if it has to.
    """

    engine: "Engine"
    cost: float
    setting: Setting
    layout: Any = None


class Prepared(NamedTuple):
    """Training rows as an engine uses them: what `fit` keeps, and what each `predict` uses.

    Attributes
    ----------
    plan : Plan
    rows : Rows
    data : object
        What the engine has made of the rows.
    """

    plan: Plan
    rows: Rows
    data: Any = None

    def sums(self, queries, n_threads=1):
        """States of some queries.

        Parameters
        ----------
        queries : Queries
        n_threads : int
            Threads. The result does not depend on it, to the last bit.

        Returns
        -------
        State
            With error bounds; see `uncertain`.
        """
        return self.plan.engine.sums(self, queries, n_threads)


class Engine(Protocol):
    """A way to compute kernel sums.

    Attributes
    ----------
    name : str
        What users call it in `algorithm`; engines may share a name.
    exact : bool
        Whether it never leaves a query uncertain.
    """

    name: str
    exact: bool

    def plan(self, problem, below=math.inf):
        """What it would cost; None if the engine does not apply, or costs more than `below`."""

    def prepare(self, rows, plan):
        """Process the rows, once; depends on them and on the setting, never on the queries."""

    def sums(self, prepared, queries, n_threads):
        """States of some queries, with error bounds."""

    def is_worth_keeping(self, rows, plan):
        """Whether what it prepares is small, and makes later calls quicker, of any number of queries."""


def read_only(a, dtype=np.float64):
    """A view of `a` that cannot be written to; of a C-contiguous copy of that dtype, if it is not one.

    Every array reaches the compiled loops like this, memory-mapped ones included, so that each loop is compiled for one
    set of types only.
    """
    a = np.ascontiguousarray(a, dtype=dtype).view(np.ndarray)
    a.flags.writeable = False
    return a
