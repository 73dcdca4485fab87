"""Normalized weights of every row, for each query."""

import numpy as np

from ..compiled_kernels import (
    as_near,
    out_of_reach,
)
from ..problem import SMALLEST_MASS, read_only
from ..runtime.jit import jit_entry
from ..runtime.threads import run_blocks
from .distances import lowest, squared_distances
from .tiles import blocks_of_queries, copy, for_loops, uncached, weigh


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


def weights(problem, n_threads=1):
    """Normalized weights of every training row, for each query.

    Returns
    -------
    ndarray of shape (m, n)
        Each line sums to 1, or is 0 throughout if no row is within the support.
    """
    setting, rows, queries = problem.setting, problem.rows.read_only(), problem.queries
    (compiled, profile), g = for_loops(setting.kernel), read_only(setting.inv_h)
    Zq, own, (m, n) = queries.Z, queries.rows_for_loops(), (len(queries.Z), len(rows.w))
    out, fill = np.empty((m, n)), fill_weights
    if profile is not None:
        fill = uncached(fill_weights)

    def work(start, stop):
        part = slice(start, stop)
        fill(compiled, profile, Zq[part], own[part], g, rows, np.empty((3, max(n, 2))), out[part])

    run_blocks(work, blocks_of_queries(m, n * (1 + len(g)) / 2), n_threads)
    return out
