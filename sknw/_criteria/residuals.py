"""From sums to squared errors and their derivatives."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._core import (
    SMALLEST_MASS,
    in_cache,
    run_blocks,
)
from .._smoothing.averages import as_slice


class _Errors(NamedTuple):
    """Squared errors of some rows, and what they add up to.

    Attributes
    ----------
    squares : ndarray of shape (m,)
        Weights times squared errors.
    weight, error : float
        Sums of the weights, and of the squares.
    slope : ndarray of shape (q,)
        Derivatives of the latter, from those of the sums.
    adjoints : ndarray of shape (m, 1 + p), or None
        Its derivatives in the mass and the moments of each row, if it is to go backward.
    """

    squares: np.ndarray
    weight: float
    error: float
    slope: np.ndarray
    adjoints: np.ndarray


#: Derivatives are sums of weights times squared distances. Their share in a slope is a difference of such sums, which
#: is exponentially small where the nearest row is far, and to which rounding adds eps times its squared distance.
_NO_DIGITS = 1e12


def squared_residuals(rows, own, averages, derivatives, n_threads, *, weights=None, backward=False):
    """Squared errors of the averages for some rows, with derivatives as far as the sums have them, or `backward`."""
    means, _, state = averages
    p, q, found = len(rows.Y), derivatives.count(len(rows.Z)), {}
    adjoints, squares = np.zeros_like(state.sums) if backward else None, np.zeros(len(own))

    def add_up(start, stop):
        part = slice(start, stop)
        mine = as_slice(own[part])
        w = rows.w[mine] if weights is None else weights[part]
        mass, dsums, slope = state.sums[part, 0], state.dsums[part], np.zeros(q)
        # Where no row is in reach, derivatives are 0; and so far out that nothing but rounding is left of them.
        lost = (mass < SMALLEST_MASS) | (state.shift[part] > _NO_DIGITS)
        if lost.any():
            mass, dsums = np.where(lost, np.inf, mass), np.where(lost[:, None, None], 0.0, dsums)
        for c, y in enumerate(rows.Y):  # one number for each row at a time: axes of length 1 would take longer
            m = means[part, c]
            residuals = m - y[mine]
            adjoint = w * residuals
            squares[part] += adjoint * residuals / p
            if not q:
                continue
            adjoint /= mass
            if backward:
                adjoints[part, 1 + c] = 2 / p * adjoint
                adjoints[part, 0] -= 2 / p * adjoint * m
            for k in range(dsums.shape[1]):
                change = m * dsums[:, k, 0]
                np.subtract(dsums[:, k, 1 + c], change, out=change)
                slope[k] += 2 / p * np.einsum("i,i", adjoint, change)
        found[start] = w.sum(), squares[part].sum(), slope

    run_blocks(add_up, in_cache(len(own)), n_threads)
    sums = [found[start] for start in sorted(found)]  # in this order, whatever that of the threads
    return _Errors(squares, *(sum(column) for column in zip(*sums, strict=True)), adjoints)
