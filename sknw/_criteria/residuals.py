r"""From kernel sums to squared errors, their slopes and adjoints.

With denominator M, numerators N and predictions :math:`m_c = N_c / M`, the weighted squared error of a row is

.. math:: E = \frac{w}{p} \sum_c (m_c - y_c)^2, \qquad
          E' = \frac{2 w}{p} \sum_c (m_c - y_c) \frac{N_c' - m_c M'}{M}

for any derivative of the sums. The adjoints, its derivatives in the sums themselves, are

.. math:: \frac{\partial E}{\partial N_c} = \frac{2 w}{p} \frac{m_c - y_c}{M}, \qquad
          \frac{\partial E}{\partial M} = -\sum_c m_c \frac{\partial E}{\partial N_c}.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._core import SMALLEST_MASS, in_cache, run_blocks
from .._smoothing.averages import as_slice


class Residuals(NamedTuple):
    """Squared errors of some rows, and their sums.

    Attributes
    ----------
    squares : ndarray of shape (m,)
        Weights times squared errors.
    weight, error : float
        Sums of the weights, and of the squares.
    slope : ndarray of shape (q,)
        Derivatives of the latter, from those of the sums.
    adjoints : ndarray of shape (m, 1 + p), or None
        Derivatives of the latter in the denominator and numerators of each row.
    """

    squares: np.ndarray
    weight: float
    error: float
    slope: np.ndarray
    adjoints: np.ndarray | None


#: A slope is a difference of sums of weights times squared distances. It is exponentially small where the nearest row
#: is far, and rounding adds eps times the squared distance of that row. Beyond this distance no digit is correct.
_FARTHEST_WITH_SLOPE = 1e12


def squared_residuals(rows, numbers, averages, *, weights=None, n_derivatives=0, adjoint=False, n_threads=1):
    """Compute squared errors of predictions for training rows, with their slopes or adjoints.

    Parameters
    ----------
    rows : Rows
    numbers : ndarray of shape (m,)
        Rows that are predicted.
    averages : Averages
        Their predictions and sums.
    weights : ndarray of shape (m,), default=None
        Factors of the squared errors; None for the weights of the rows.
    n_derivatives : int, default=0
        Number of slopes.
    adjoint : bool, default=False
        Compute the adjoints; slopes are 0 if the sums have no derivatives.
    n_threads : int, default=1

    Returns
    -------
    Residuals

    Notes
    -----
    O(m p (1 + q)) time, with q derivatives. Where no row is within reach, derivatives are 0.
    """
    means, _, state = averages
    p, sums = len(rows.Y), {}
    adjoints, squares = np.zeros_like(state.sums) if adjoint else None, np.zeros(len(numbers))

    def add_up(start, stop):
        block = slice(start, stop)
        these = as_slice(numbers[block])
        w = rows.w[these] if weights is None else weights[block]
        denominator, dsums, slope = state.sums[block, 0], state.derivatives[block], np.zeros(n_derivatives)
        no_slope = (denominator < SMALLEST_MASS) | (state.offset[block] > _FARTHEST_WITH_SLOPE)
        if no_slope.any():
            denominator = np.where(no_slope, np.inf, denominator)
            dsums = np.where(no_slope[:, None, None], 0.0, dsums)
        for c, y in enumerate(rows.Y):  # one output at a time: axes of length 1 would take longer
            m = means[block, c]
            residuals = m - y[these]
            factor = w * residuals
            squares[block] += factor * residuals / p
            if not n_derivatives:
                continue
            factor /= denominator
            if adjoint:
                adjoints[block, 1 + c] = 2 / p * factor
                adjoints[block, 0] -= 2 / p * factor * m
            for k in range(dsums.shape[1]):
                change = m * dsums[:, k, 0]
                np.subtract(dsums[:, k, 1 + c], change, out=change)
                slope[k] += 2 / p * np.einsum("i,i", factor, change)
        sums[start] = w.sum(), squares[block].sum(), slope

    run_blocks(add_up, in_cache(len(numbers)), n_threads)
    columns = zip(*(sums[start] for start in sorted(sums)), strict=True)  # in order, whatever that of the threads
    return Residuals(squares, *(sum(column) for column in columns), adjoints)
