"""What a choice is made by, a criterion, and what comes of it."""

from typing import NamedTuple

import numpy as np

from .._core import Derivatives
from .._criterion import in_units, leave_one_out, penalized_fit
from .._pooling import Metric


class Selection(NamedTuple):
    """A chosen bandwidth and how it was found.

    Attributes
    ----------
    h : float or ndarray of shape (d,)
        Bandwidth, one number or one per feature.
    criterion : float or None
        The criterion there, in the sample's units; None if nobody computed it.
    searched : tuple of two ndarrays, or None
        Bandwidths of the global search, by width, and their criterion.
    losses : list of float, or None
        Criterion per iteration of a descent.
    n_iter : int
        Iterations of a descent, or evaluations that refined the search; at least 1.
    """

    h: float | np.ndarray
    criterion: float | None = None
    searched: tuple[np.ndarray, np.ndarray] | None = None
    losses: list[float] | None = None
    n_iter: int = 1


def brief(bandwidth):
    """A bandwidth in a few characters."""
    return np.array2string(np.asarray(bandwidth), precision=4, threshold=6, separator=", ").replace("\n", "")


class Objective:
    """A criterion of a sample as a function of the bandwidth, which tells its log of each evaluation."""

    def __init__(self, sample, kernel, empty, n_threads, log, criterion="loo"):
        self.sample, self.kernel, self.log, self.criterion = sample, kernel, log, criterion
        self.options = {"empty": empty, "n_threads": n_threads}

    def __call__(self, h, derivatives=Derivatives.NOTHING):
        args = self.sample, Metric.of(h, self.sample.X), self.kernel
        if self.criterion == "loo":
            value, gradient = leave_one_out(*args, derivatives=derivatives, **self.options)
        else:
            value, gradient = penalized_fit(*args, self.criterion, derivatives=derivatives, **self.options)
        if self.log is not None:
            name = "leave-one-out error" if self.criterion == "loo" else self.criterion
            self.log(f"{name} {in_units(self.criterion, self.sample, value):.6g} at bandwidth {brief(h)}")
        return value, gradient
