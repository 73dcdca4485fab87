"""Choice of the cells of the fast Gauss transform, and its cost."""

import math
from typing import NamedTuple

import numpy as np

from .. import costs
from ..problem import LEAST_RTOL, read_only
from .grid import Axis, round_down
from .hermite import Accuracy, accuracies, terms_of

#: With more features, cells contain too few rows each.
MOST_FEATURES = 3


class Layout(NamedTuple):
    """Cells of the training rows.

    Attributes
    ----------
    accuracy : Accuracy
    axes : list of d Axis
        Cells from the first row to the last.
    near : ndarray of shape (n,), bool, or None
        Rows in cells. Rows so far from zero that edges would not be exact are set aside. None if all rows are in cells.
    cost : float
        Estimated time, in multiplications with addition.
    """

    accuracy: Accuracy
    axes: list
    near: np.ndarray | None
    cost: float

    @property
    def n_coefficients(self):
        """Number of coefficients of all cells."""
        n_cells = math.prod(axis.length for axis in self.axes)
        return n_cells * len(terms_of(len(self.axes), self.accuracy.n_terms).powers)


def lay_out(rows, setting, m, limit=math.inf):
    """Choose the cells of a problem.

    Parameters
    ----------
    rows : Rows
        In ascending order if there is a single feature.
    setting : Setting
        `rtol` is the relative error of the denominator, and the error of the averages over the range of the targets,
        for evenly distributed rows.
    m : int
        Number of queries, which affects the cost only, not the cells.
    limit : float
        Cost above which the result is None. This is often decided on a subsample of the rows.

    Returns
    -------
    Layout or None
        None if the algorithm does not apply.
    """
    g, rtol, (d, n) = setting.inv_h, setting.rtol, rows.Z.shape
    if not 1 <= d <= MOST_FEATURES or rtol < LEAST_RTOL or not 1 / _LARGEST_FACTOR < min(g) <= max(g) < _LARGEST_FACTOR:
        return None
    near = _near_zero(rows.Z, g)
    if near is not None:
        if np.count_nonzero(near) < n / 2:
            return None
        rows = rows.take(near)
    choices = accuracies(d, rtol, 2 ** math.ceil(math.log2(n)), setting.wanted)
    reach = choices[0].reach
    subsample = slice(None, None, 1 + n // _PROBED)
    for probed in ([read_only(z[subsample]) for z in rows.Z], rows.Z):  # more points never require fewer cells
        probes = [Axis.over((z,), 1 / g_k, reach / g_k, d == 1) for z, g_k in zip(probed, g, strict=True)]
        if None in probes:
            return None
        lengths = [probe.length for probe in probes]
        prices = [_cost(choice, lengths, n, n, len(rows.Y), setting.wanted) for choice in choices]
        best = int(np.argmin(prices))
        cost = _cost(choices[best], lengths, n, m, len(rows.Y), setting.wanted)
        if not cost < limit:
            return None
    sizes = [round_down(choices[best].width / g_k) for g_k in g]
    widths = zip(rows.Z, sizes, reach / g, strict=True)
    axes = [Axis.over((z,), size, width, d == 1) for z, size, width in widths]
    return None if None in axes else Layout(choices[best], axes, near, cost)


def _near_zero(Z, g):
    """Whether points are near enough to zero for cells with exact edges; None if all are."""
    limits = MOST_BANDWIDTHS / g
    ends = np.maximum(np.abs(Z.min(axis=1)), np.abs(Z.max(axis=1)))
    return None if (ends < limits).all() else (np.abs(Z) < limits[:, None]).all(axis=0)


#: Largest distance from zero, in bandwidths, at which cells have exact edges.
MOST_BANDWIDTHS = 2.0**36


#: Size of the subsample that decides whether all rows are processed.
_PROBED = 2**14


#: Inverse bandwidths above this, or below its inverse, could overflow or underflow.
_LARGEST_FACTOR = 1e150


def least_cost(n, m, p):
    """Lower bound of the cost for n rows, m queries and p outputs, in multiplications."""
    return (1 + p) * (n + m) * costs.now.products_of_point


def _cost(accuracy, lengths, n, m, p, wanted):
    """Cost of the sums in multiplications with addition; `inf` if there are too many cells."""
    d, P = len(lengths), accuracy.n_terms
    n_coefficients = math.comb(P + d - 1, d)
    n_cells = math.prod(math.ceil(length / accuracy.width) + 1 for length in lengths)
    if n_cells * n_coefficients > MOST_COEFFICIENTS or n_cells > 1000 + 4 * (n + m):
        return math.inf
    products = n_coefficients * P / d
    offsets = 2 * accuracy.reach / accuracy.width + 3
    q = wanted.count(d)
    return (1 + p) * (
        n * (2 * n_coefficients + costs.now.products_of_point)
        + m * ((1 + q) * n_coefficients + costs.now.products_of_point)
        + d * n_cells * offsets * products
    )


#: Maximum number of coefficients of all cells: two copies take 256 MiB.
MOST_COEFFICIENTS = 2**24
