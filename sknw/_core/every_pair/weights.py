"""Normalized weights of every row, for each query."""

import numpy as np

from ..compiled_kernels import (
    as_near,
    out_of_reach,
)
from ..problem import SMALLEST_MASS
from ..runtime.jit import jit_entry
from .distances import lowest, squared_distances
from .tiles import copy, weigh


@jit_entry(allocates=False)
def fill_weights(kernel, profile, Zq, own, g, rows, buffers, out):
    """Write the normalised weights of all rows, for some queries; zeros where no row is in reach.

    Parameters as in `add_rows`, with buffers for all rows, two at least; `out` is float64[:, ::1] of shape (m, n) and
    overwritten.
    """
    n = rows.w.shape[0]
    s, w, sums = buffers[0, :n], buffers[1, :n], buffers[2, :2]
    copy(rows.w, 0, w)
    for i in range(Zq.shape[0]):
        squared_distances(Zq[i], rows.Z, 0, g, s)
        if own[i] >= 0:
            w[own[i]] = rows.w_rest[own[i]]
            if w[own[i]] == 0.0:
                s[own[i]] = np.inf
        low = lowest(s)
        if low < np.inf and not out_of_reach(kernel, low, low):
            sums[0] = 0.0
            weigh(kernel, profile, s, as_near(kernel, low, Zq[i], g), w, rows.Y[:1], 0, out[i], sums)
            for j in range(n):
                out[i, j] = out[i, j] / sums[0] if not sums[0] < SMALLEST_MASS else 0.0
        else:
            for j in range(n):
                out[i, j] = 0.0
        if own[i] >= 0:
            w[own[i]] = rows.w[own[i]]
