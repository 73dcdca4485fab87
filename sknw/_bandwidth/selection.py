"""The result of a choice of the bandwidth."""

from typing import NamedTuple

import numpy as np


class Selection(NamedTuple):
    """A chosen bandwidth, with the course of the choice.

    Attributes
    ----------
    h : float, ndarray of shape (d,) or ndarray of shape (d, d)
        Bandwidth: one number, one per feature, or a matrix.
    criterion : float or None
        The criterion there, in the sample's units; None if it was not computed.
    searched : tuple of three ndarrays, or None
        Bandwidths of the global search, the narrowest first, their criterion, and whether that is an estimate.
    worse : ndarray of bool, or None
        Which of these were ruled out by a subsample.
    losses : list of float, or None
        Criterion of the global search, then per iteration of a descent.
    n_iter : int
        Iterations of a descent, or evaluations that refined the search; at least 1.
    n_evaluations : int
        Number of evaluations of the criterion, by all rows or a subsample.
    shrinkage : float or None
        The weight of the penalty in a descent, infinite for none but the global search.
    notes : tuple of str
        Remarks for the report.
    """

    h: float | np.ndarray
    criterion: float | None = None
    searched: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
    worse: np.ndarray | None = None
    losses: list[float] | None = None
    n_iter: int = 1
    n_evaluations: int = 0
    shrinkage: float | None = None
    notes: tuple[str, ...] = ()


def brief(bandwidth):
    """Return a bandwidth in a few characters."""
    return np.array2string(np.asarray(bandwidth), precision=4, threshold=6, separator=", ").replace("\n", "")


def local_minima(criterion, estimates, worse=None):
    """Find the local minima of a criterion, by bandwidth: the last of equal values, and the ends as well.

    Between two minima the criterion rises by more than its error, 1e-9 of its range. Estimates are compared with each
    other, and an estimate beside an exact value is no minimum. Bandwidths that were ruled out are ignored.
    """
    criterion = np.asarray(criterion, dtype=np.float64)
    if worse is not None and worse.any():
        low = np.zeros(len(criterion), dtype=bool)
        low[~worse] = local_minima(criterion[~worse], estimates[~worse])
        return low
    if not estimates.any():
        return _lowest_of_neighbors(criterion)
    low = np.zeros(len(criterion), dtype=bool)
    for these in (~estimates, estimates):
        these = np.append(these[:-1], True)  # the last is the global mean, which is compared with both
        low[these] = _lowest_of_neighbors(criterion[these])
    exact, beside = ~estimates[:-1], np.zeros_like(low)
    beside[1:-1] |= exact[:-1]
    beside[:-2] |= exact[1:]
    return low & ~(estimates & beside)


def _lowest_of_neighbors(criterion):
    walls = np.concatenate([[np.inf], criterion, [np.inf]])
    low = (criterion < walls[2:]) & (criterion <= walls[:-2])
    finite = criterion[np.isfinite(criterion)]
    tolerance = 1e-9 * np.ptp(finite) if len(finite) else 0.0
    last = None
    for i in np.flatnonzero(low):
        if last is not None:
            barrier = criterion[last : i + 1].max() - max(criterion[last], criterion[i])
            if barrier <= tolerance:
                higher = last if criterion[last] >= criterion[i] else i
                low[higher] = False
                last = last + i - higher
                continue
        last = i
    return low
