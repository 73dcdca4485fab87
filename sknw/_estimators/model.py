"""Training data, kernel and bandwidth as predictions need them: the only caller of the smoothing layer for queries."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._core.dispatch import choose, in_ascending_order
from .._core.problem import Problem, Queries, Rows, Setting, Wanted, read_only
from .._criteria.by_rows import answer_to_empty
from .._smoothing import attention, averages
from .._smoothing.metric import Metric


class Options(NamedTuple):
    """How kernel sums are computed, and the answer in an empty neighborhood.

    Attributes
    ----------
    empty : {"nearest", "mean", "nan"}
    algorithm : str
    rtol : float
    n_threads : int
    """

    empty: str
    algorithm: str
    rtol: float
    n_threads: int

    @property
    def leaving_out(self):
        """The same options for leave-one-out, where `empty` always has an answer."""
        return self._replace(empty=answer_to_empty(self.empty))


class Answers(NamedTuple):
    """Averages of the targets for m queries.

    Attributes
    ----------
    means : ndarray of shape (m, p)
        In units of y.
    is_empty : ndarray of shape (m,), bool
        Queries with an empty neighborhood, answered as `empty` says.
    """

    means: np.ndarray
    is_empty: np.ndarray


class Model(NamedTuple):
    """A kernel, a bandwidth and training rows, ready for queries.

    Attributes
    ----------
    kernel : str or jitted function
    bandwidth : float or ndarray
        In the form of its family.
    metric : Metric
    rows : Rows
        Training rows of positive weight, in spatial order, with scaled targets.
    row_of : ndarray of shape (n,), int64
        Position in `rows` of each row given to `fit`; -1 for rows of weight zero.
    center : ndarray of shape (p,)
        Targets are `center + unit * rows.Y`.
    unit, weight_unit : float
        Units of the scaled targets and of the weights.
    kept : Kept
        What predictions have prepared.
    """

    kernel: object
    bandwidth: float | np.ndarray
    metric: Metric
    rows: Rows
    row_of: np.ndarray
    center: np.ndarray
    unit: float
    weight_unit: float
    kept: Kept

    @classmethod
    def of(cls, sample, bandwidth, kernel, row_of):
        """Prepare a `Sample` for a kernel and a bandwidth that is in the form of its family."""
        metric = Metric.of(bandwidth, sample.X)
        with np.errstate(over="ignore"):
            rows = metric.rows(sample)
        # One feature of several may be the only one of finite bandwidth.
        problem = Problem(Setting(kernel, metric.g), rows, Queries.all(rows))
        problem, place = in_ascending_order(problem)
        if place is not None:
            row_of = np.where(row_of >= 0, place[row_of], -1)
        units = sample.center, sample.unit, sample.weight_unit
        return cls(kernel, bandwidth, metric, problem.rows, row_of, *units, Kept())

    @property
    def positive(self):
        """Numbers of the given rows of positive weight, ascending."""
        return np.flatnonzero(self.row_of >= 0)

    def average(self, X, options, *, single=False):
        """Average the targets around queries X of shape (m, d); `single` admits float32 arithmetic."""
        return self._answers(self._average(Queries(self._coordinates(X)), options, single=single))

    def leave_one_out(self, X, options):
        """Average the targets around each given row X, without one observation of that row.

        Parameters
        ----------
        X : ndarray of shape (n, d)
            All rows given to `fit`, in their order.
        options : Options

        Returns
        -------
        Answers
            In the order of X. A row of weight zero is an ordinary query.
        """
        answers = self._answers(self._leave_each_out(options.leaving_out))
        positive = self.positive
        if len(positive) == len(self.row_of):
            return Answers(*(a[self.row_of] for a in answers))
        absent = self.row_of < 0
        queries = self.average(X[absent], options.leaving_out)
        out = Answers(np.empty((len(X), len(self.center))), np.empty(len(X), dtype=bool))
        for whole, there, query in zip(out, answers, queries, strict=True):
            whole[positive], whole[absent] = there[self.row_of[positive]], query
        return out

    def leave_one_out_errors(self, options, *, globally=False):
        """Return squared leave-one-out errors of `rows` in scaled units, and which have no neighbors.

        With `globally`, those of the global mean, the average at an infinite bandwidth.
        """
        model = self._with_infinite_bandwidth() if globally else self
        means, is_empty, _ = model._leave_each_out(options.leaving_out)
        return np.mean((means - self.rows.Y.T) ** 2, axis=1), is_empty

    def weights(self, X, options, *, given=None):
        """Weights of all given rows around queries.

        Parameters
        ----------
        X : ndarray of shape (m, d)
        options : Options
        given : ndarray of shape (m,), default=None
            Which of the rows given to `fit` each query is, for leave-one-out.

        Returns
        -------
        weights : ndarray of shape (m, n)
        is_empty : ndarray of shape (m,), bool
        """
        # The columns, and which of equal weights is the first, follow the rows as they were given.
        positive = self.positive
        rows = Rows(*(a[..., self.row_of[positive]] for a in self.rows))
        Z = self._coordinates(X)
        if given is None:
            out, is_empty = self._weights(rows, Queries(Z), options)
        else:
            options = options.leaving_out
            there = self.row_of[given] >= 0
            own = np.searchsorted(positive, given[there])
            if there.all():
                out, is_empty = self._weights(rows, Queries.of_rows(rows, own), options)
            else:
                out, is_empty = np.empty((len(X), len(positive))), np.empty(len(X), dtype=bool)
                out[there], is_empty[there] = self._weights(rows, Queries.of_rows(rows, own), options)
                out[~there], is_empty[~there] = self._weights(rows, Queries(read_only(Z[~there])), options)
        if len(positive) < len(self.row_of):
            complete = np.zeros((len(X), len(self.row_of)))
            complete[:, positive] = out
            out = complete
        return out, is_empty

    def leave_one_out_weights(self, which, options):
        """Leave-one-out weights of the rows numbered `which` in spatial order, on `rows`."""
        return self._weights(self.rows, Queries.of_rows(self.rows, which), options.leaving_out)[0]

    def _coordinates(self, X):
        return read_only(self.metric.coordinates(X.astype(np.float64, copy=False)))

    def _answers(self, averages_):
        return Answers(self.center + self.unit * averages_.means, averages_.is_empty)

    def _with_infinite_bandwidth(self):
        rows, metric = self.rows._replace(Z=self.rows.Z[:0]), self.metric._replace(g=self.metric.g[:0])
        return self._replace(rows=rows, metric=metric, kept=Kept())

    def _leave_each_out(self, options):
        """Averages for all rows in spatial order, each without one observation of itself."""
        return self._average(Queries.all(self.rows), options)

    def _problem(self, rows, queries, options, single=False):
        return Problem(Setting(self.kernel, self.metric.g, Wanted.VALUE, options.rtol, single), rows, queries)

    def _average(self, queries, options, *, single=False):
        problem = self._problem(self.rows, queries, options, single)
        prepared = self.kept.prepared(problem, options.algorithm)
        empty, algorithm, _, n_threads = options
        known = {"empty": empty, "algorithm": algorithm, "n_threads": n_threads}
        return averages.average(problem, **known, prepared=prepared)

    def _weights(self, rows, queries, options):
        problem = self._problem(rows, queries, options)
        return attention.weights(problem, empty=options.empty, n_threads=options.n_threads)


class Kept:
    """What the last large call has prepared, for the next one; it is not saved with the model."""

    def __init__(self):
        self._prepared, self._key, self._most = None, None, -1

    def __reduce__(self):
        return Kept, ()

    def prepared(self, problem, algorithm):
        """Prepared rows for a problem, or None if these are prepared as quickly.

        Parameters
        ----------
        problem : Problem
            Always with the same rows.
        algorithm : str

        Notes
        -----
        An engine that was chosen for many queries serves fewer ones, too: it takes hardly any time before the first.
        """
        key, m = (algorithm, problem.setting.rtol), len(problem.queries.Z)
        if not len(problem.setting.inv_h) or problem.queries.kind != "new":
            return None
        if key != self._key or m > self._most:
            plan = choose(problem, algorithm)
            prepared = None
            if plan.engine.is_worth_keeping(problem.rows, plan):
                prepared = plan.engine.prepare(problem.rows, plan)
            self._prepared, self._key, self._most = prepared, key, m
        return self._prepared
