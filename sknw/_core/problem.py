r"""Input and output of kernel sums: rows, queries, settings, and the state of each query.

The state of a query over a set of training rows is

.. math:: M = \sum_j v_j, \qquad N_c = \sum_j v_j\, y_{jc}, \qquad v_j = w_j\, k(s_j) / k(\mathrm{offset}),

the denominator and the numerators of its weighted average. States over disjoint sets of rows can be merged, and so can
their error bounds. An engine computes states by one algorithm. The module `dispatch` chooses an engine, and recomputes
the queries that its error bounds do not certify.
"""

import enum
import math
from typing import Any, NamedTuple, Protocol

import numpy as np

#: A denominator below the smallest normal number has lost digits: the neighborhood counts as empty.
SMALLEST_MASS = float(np.finfo(np.float64).tiny)

#: Smallest `rtol` that an approximation can keep: rounding errors of a denominator are of this relative size.
LEAST_RTOL = 1e-13


class Wanted(enum.IntEnum):
    """Which sums to compute: of the weights k, and of -2 k' times products of differences.

    Differences t are scaled by the bandwidths; s is the sum of their squares.
    """

    VALUE = 0
    SCALE = 1  # also times s: the derivative in the logarithm of a factor common to all bandwidths
    FEATURES = 2  # also times t_a**2: the derivatives in the logarithm of each feature's bandwidth
    PAIRS = 3  # also times t_a t_b for a <= b: the derivative in a bandwidth matrix follows from these

    def count(self, d):
        """Number of derivatives with d features."""
        return (0, 1, d, d * (d + 1) // 2)[self]

    @property
    def by_coordinate(self):
        """Whether there are separate derivatives for each coordinate."""
        return self in (Wanted.FEATURES, Wanted.PAIRS)

    def for_loops(self):
        """Tuple of zeros whose length selects the compiled loops; VALUE and SCALE share one."""
        return (0,) * self if self > Wanted.SCALE else ()


class Rows(NamedTuple):
    """Training rows in the form that the compiled loops read: C-contiguous, read-only, float64.

    Attributes
    ----------
    Z : ndarray of shape (d, n)
        Coordinates, feature by feature.
    Y : ndarray of shape (p, n)
        Targets, output by output; p >= 1.
    w : ndarray of shape (n,)
        Weights, positive.
    w_rest : ndarray of shape (n,)
        Leave-one-out weight of each row: its weight after one observation is removed.
    """

    Z: np.ndarray
    Y: np.ndarray
    w: np.ndarray
    w_rest: np.ndarray

    def read_only(self):
        """The rows as C-contiguous read-only float64 arrays."""
        if not len(self.Y):
            raise ValueError("The training rows have no outputs. At least one is required.")
        return Rows(*map(read_only, self))

    def take(self, numbers):
        """The rows with the given numbers."""
        return Rows(*(read_only(a[..., numbers]) for a in self))


class Queries(NamedTuple):
    """Points at which sums are computed, and the training rows that they are, if any.

    Attributes
    ----------
    Z : ndarray of shape (m, d)
        Coordinates.
    row : ndarray of shape (m,), int64, or None
        Training row of each query, which enters its sums with the weight `Rows.w_rest`; -1 for a new point. None if all
        queries are new points.
    kind : {"new", "all", "run", "some"}
        New points; all training rows in their order; consecutive training rows; any training rows.
    """

    Z: np.ndarray
    row: np.ndarray | None = None
    kind: str = "new"

    @classmethod
    def all(cls, rows):
        """All training rows, in their order."""
        n = len(rows.w)
        return cls(read_only(rows.Z.T), read_only(np.arange(n), np.int64), "all")

    @classmethod
    def of_rows(cls, rows, numbers):
        """The training rows with the given numbers."""
        numbers = np.asarray(numbers, dtype=np.int64)
        if _follow_each_other(numbers):
            kind = "all" if len(numbers) == len(rows.w) else "run"
            return cls(read_only(rows.Z.T[numbers[0] : numbers[-1] + 1]), read_only(numbers, np.int64), kind)
        return cls(read_only(rows.Z.T[numbers]), read_only(numbers, np.int64), "some")

    def take(self, numbers):
        """The queries with the given numbers."""
        if self.row is None:
            return Queries(read_only(self.Z[numbers]))
        row = read_only(self.row[numbers], np.int64)
        return Queries(read_only(self.Z[numbers]), row, "run" if _follow_each_other(row) else "some")

    def rows_for_loops(self):
        """Training row of each query or -1, as an int64 array of shape (m,)."""
        return read_only(np.full(len(self.Z), -1) if self.row is None else self.row, np.int64)


def _follow_each_other(row):
    """Whether row numbers count up by one."""
    return len(row) > 0 and row[0] >= 0 and row[-1] - row[0] == len(row) - 1 and bool((np.diff(row) == 1).all())


class Setting(NamedTuple):
    """Kernel, bandwidths, sums to compute and tolerance: everything but the data.

    Attributes
    ----------
    kernel : str or jitted function
        A key of `KERNELS`, "nearest" for the limit of small bandwidths, or a user's profile.
    inv_h : ndarray of shape (d,)
        Inverse bandwidth of each feature.
    wanted : Wanted
        Sums to compute.
    rtol : float
        Maximum approximation error of an average relative to the range of the targets, for centered targets. Rounding
        errors come on top.
    single : bool
        Whether the Gaussian over every pair may be computed in float32, which does not keep `rtol`. For VALUE only.
    """

    kernel: Any
    inv_h: np.ndarray
    wanted: Wanted = Wanted.VALUE
    rtol: float = 0.0
    single: bool = False


class Problem(NamedTuple):
    """A setting, the training rows to sum over, and the queries.

    Attributes
    ----------
    setting : Setting
    rows : Rows
        In `spatial_order`, and in ascending order if there is a single feature. Engines over every pair accept any
        order; those for several features are only faster with it.
    queries : Queries
    """

    setting: Setting
    rows: Rows
    queries: Queries

    @property
    def sizes(self):
        """Numbers of rows, queries, features and outputs: n, m, d, p."""
        return len(self.rows.w), len(self.queries.Z), len(self.setting.inv_h), len(self.rows.Y)

    def at(self, numbers):
        """The problem for the queries with the given numbers."""
        return self._replace(queries=self.queries.take(numbers))


class State(NamedTuple):
    """Kernel sums of m queries over a set of training rows.

    Attributes
    ----------
    offset : ndarray of shape (m,)
        Squared scaled distance whose profile value the weights are relative to. It is that of the nearest row, or 0
        where the Gaussian is summed without scaling. It is `inf` if there are no rows, or if all squared distances
        overflow. Weights of kernels of finite support are not relative to anything; their offset is the squared
        distance of the nearest row.
    sums : ndarray of shape (m, 1 + p)
        Denominator and numerators.
    derivatives : ndarray of shape (m, q, 1 + p)
        Derivatives of `sums` at constant offset, as selected by `Wanted`.
    error : ndarray of shape (m, 2)
        Bounds of the absolute errors, in units of `sums`: of the denominator, and of each numerator divided by the
        largest absolute target. `inf` for queries that were not computed. Relative errors of single weights, up to
        `rtol`, come on top.
    """

    offset: np.ndarray
    sums: np.ndarray
    derivatives: np.ndarray
    error: np.ndarray

    @classmethod
    def empty(cls, m, p, q=0):
        """The state over no rows."""
        return cls(np.full(m, math.inf), np.zeros((m, 1 + p)), np.zeros((m, q, 1 + p)), np.zeros((m, 2)))

    def part(self, queries):
        """The states of a slice of the queries, as views."""
        return State(*(a[queries] for a in self))

    def put(self, queries, states):
        """Overwrite the states of the queries with the given numbers."""
        for whole, values in zip(self, states, strict=True):
            whole[queries] = values

    def scaled(self, factor):
        """The state after all weights are multiplied by a factor: a number, or one per query."""
        factor = np.broadcast_to(factor, self.offset.shape)
        return State(
            np.where(factor > 0, self.offset, math.inf),
            self.sums * factor[:, None],
            self.derivatives * factor[:, None, None],
            self.error * factor[:, None],
        )

    def merge(self, other, kernel):
        """Merge the states over two disjoint sets of rows.

        Parameters
        ----------
        other : State
        kernel : str or jitted function
            Kernel of both states. For "nearest", only the rows at the smaller offset count; rows at equal offsets are
            added up together.

        Returns
        -------
        State
            Relative to the smaller of both offsets. Error bounds add up. The operation is associative up to rounding,
            and `State.empty` is its neutral element.
        """
        offset = np.minimum(self.offset, other.offset)
        factors = [relative_profile(kernel, state.offset, offset) for state in (self, other)]
        sums, derivatives, error = (
            sum(_times(getattr(state, name), factor) for state, factor in zip((self, other), factors, strict=True))
            for name in ("sums", "derivatives", "error")
        )
        return State(offset, sums, derivatives, error)


def _times(a, factor):
    """Multiply each entry along the first axis by its factor; the factor 0 always gives 0."""
    factor = factor.reshape(-1, *(1,) * (a.ndim - 1))
    return np.where(factor > 0, a, 0.0) * factor


def relative_profile(kernel, old, new):
    """Factor from weights relative to the offset `old` to those relative to the smaller `new`."""
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
    r"""Numbers of the queries whose averages the error bounds do not certify to `rtol`.

    Let R be the range of the targets, with :math:`|y| \le R / 2`. If the denominator M is wrong by at most e, and the
    numerators N by at most :math:`e' |y|`, then the average N / M is wrong by at most :math:`R (e + e') / 2 / (M - e)`.
    """
    M, (e, e_numerators) = state.sums[:, 0], state.error.T
    with np.errstate(invalid="ignore"):
        return np.flatnonzero(~(rtol * (M - e) >= 0.5 * (e + e_numerators)))


class Plan(NamedTuple):
    """How an engine would compute a problem, and what that costs.

    Attributes
    ----------
    engine : Engine
    cost : float
        Estimated nanoseconds on one thread.
    setting : Setting
    layout : object
        Findings about the rows that the engine needs again in `prepare`; None for most engines.
    """

    engine: "Engine"
    cost: float
    setting: Setting
    layout: Any = None


class Prepared(NamedTuple):
    """Training rows as processed by an engine, reusable for any queries.

    Attributes
    ----------
    plan : Plan
    rows : Rows
    data : object
        Data structure that the engine computed from the rows.
    """

    plan: Plan
    rows: Rows
    data: Any = None

    def sums(self, queries, n_threads=1):
        """States of the given queries.

        Parameters
        ----------
        queries : Queries
        n_threads : int
            Number of threads. Results are bitwise independent of it.

        Returns
        -------
        State
            With error bounds; see `uncertain`.
        """
        return self.plan.engine.sums(self, queries, n_threads)


class Engine(Protocol):
    """An algorithm for kernel sums.

    Attributes
    ----------
    name : str
        Name in the parameter `algorithm`. Several engines may share a name.
    exact : bool
        Whether the engine certifies all queries.
    """

    name: str
    exact: bool

    def plan(self, problem, below=math.inf):
        """Plan a problem; None if the engine does not apply, or if it costs more than `below`."""

    def prepare(self, rows, plan):
        """Process the training rows, which depends on the rows and the setting only."""

    def sums(self, prepared, queries, n_threads):
        """States of the given queries, with error bounds."""

    def is_worth_keeping(self, rows, plan):
        """Whether the prepared data is small, and saves time in later calls of any size."""


def read_only(a, dtype=np.float64):
    """A read-only C-contiguous view of an array, or of a converted copy of it.

    All arrays are passed to the compiled loops like this, memory maps included, so that each loop is compiled for one
    set of types only.
    """
    a = np.ascontiguousarray(a, dtype=dtype).view(np.ndarray)
    a.flags.writeable = False
    return a
