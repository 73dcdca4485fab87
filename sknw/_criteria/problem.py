"""What the leave-one-out error is computed from, and what the error engines return."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .._core import Rows, Wanted
from .._core.cells.chebyshev import Nodes
from .._smoothing.metric import Metric


class Settings(NamedTuple):
    """How kernel sums are computed, and what predicts a query with an empty neighborhood.

    Attributes
    ----------
    kernel : str or jitted function
    empty : {"nearest", "mean", "nan", "raise"}
        Leave-one-out predicts by the mean of all other rows for the last two.
    algorithm : str
        As in `kernel_sums`.
    rtol : float
        Maximum approximation error of a prediction, relative to the range of the targets.
    n_threads : int
    """

    kernel: str | Callable
    empty: str = "nearest"
    algorithm: str = "auto"
    rtol: float = 0.0
    n_threads: int = 1


class ErrorProblem(NamedTuple):
    """Squared leave-one-out errors that are wanted at one bandwidth.

    Attributes
    ----------
    rows : Rows
        Training rows, in the coordinates of `metric`.
    metric : Metric
    settings : Settings
    wanted : Wanted
        Derivatives of the sum of squared errors.
    queries : ndarray of shape (m,), or None
        Numbers of the rows whose errors are wanted, in ascending order for sorted rows; None for all rows. All rows
        predict.
    weights : ndarray of shape (m,), or None
        Factors of the squared errors; None for the weights of the rows.
    is_sorted : bool
        Whether the rows have one feature and are in ascending order.
    nodes : Nodes, or None
        Chebyshev moments of all rows.
    """

    rows: Rows
    metric: Metric
    settings: Settings
    wanted: Wanted = Wanted.VALUE
    queries: np.ndarray | None = None
    weights: np.ndarray | None = None
    is_sorted: bool = False
    nodes: Nodes | None = None

    @property
    def size(self):
        """Number of errors."""
        return len(self.rows.w) if self.queries is None else len(self.queries)

    @property
    def n_derivatives(self):
        """Number of derivatives."""
        return self.wanted.count(len(self.metric.g))

    def at(self, numbers):
        """The problem for some of the queries, by their positions in `queries`."""
        if len(numbers) == self.size:
            return self
        return self._replace(
            queries=numbers if self.queries is None else self.queries[numbers],
            weights=None if self.weights is None else self.weights[numbers],
        )


class PartialErrors(NamedTuple):
    """Sums over the queries whose errors are certified, and the numbers of all others.

    Attributes
    ----------
    weight, error : float
        Sum of the weights, and of weights times squared errors, the mean over outputs.
    slope : ndarray of shape (q,)
        Derivatives of the latter.
    uncertain : ndarray of int64
        Positions in `queries`.
    """

    weight: float
    error: float
    slope: np.ndarray
    uncertain: np.ndarray


class Errors(NamedTuple):
    """Squared leave-one-out errors at one bandwidth.

    Attributes
    ----------
    weight, error : float
        Sum of the weights, and of weights times squared errors, the mean over outputs.
    slope : ndarray of shape (q,)
        Derivatives of the latter.
    squares : ndarray of shape (m,), or None
        Weights times squared errors of single rows.
    engine : {"nodes", "segments", "rows", "ladder"}
        The error engine that computed them; "rows" may have completed those of the first two.
    """

    weight: float
    error: float
    slope: np.ndarray
    squares: np.ndarray | None = None
    engine: str = "rows"

    @property
    def mean(self):
        """Weighted mean of the squared errors."""
        return self.error / self.weight

    @property
    def gradient(self):
        """Derivatives of the mean."""
        return self.slope / self.weight
