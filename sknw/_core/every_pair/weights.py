"""Normalized weights of all training rows for each query."""

import numpy as np

from ..compiled_kernels import as_near, out_of_reach
from ..kernels import for_loops
from ..problem import SMALLEST_MASS, read_only
from ..runtime.jit import jit_entry
from ..runtime.threads import run_blocks
from .distances import lowest, squared_distances
from .tiles import blocks_of_queries, copy, uncached, weigh


@jit_entry(allocates=False)
def fill_weights(kernel, profile, Zq, row, g, rows, buffers, out):
    """Write the normalized weights of all rows; zeros if all weights vanish.

    Parameters as in `tiles.add_rows`, with buffers for all rows and of width two at least. `out` is float64[:, ::1] of
    shape (m, n).
    """
    n = rows.w.shape[0]
    s, w, sums = buffers[0, :n], buffers[1, :n], buffers[2, :2]
    copy(rows.w, 0, w)
    for i in range(Zq.shape[0]):
        squared_distances(Zq[i], rows.Z, 0, g, s)
        if row[i] >= 0:
            w[row[i]] = rows.w_rest[row[i]]
            if w[row[i]] == 0.0:
                s[row[i]] = np.inf
        low = lowest(s)
        if low < np.inf and not out_of_reach(kernel, low, low):
            sums[0] = 0.0
            weigh(kernel, profile, s, as_near(kernel, low, Zq[i], g), w, rows.Y[:1], 0, out[i], sums)
            for j in range(n):
                out[i, j] = out[i, j] / sums[0] if not sums[0] < SMALLEST_MASS else 0.0
        else:
            for j in range(n):
                out[i, j] = 0.0
        if row[i] >= 0:
            w[row[i]] = rows.w[row[i]]


def weights(problem, n_threads=1):
    """Normalized weights of all training rows for each query.

    Parameters
    ----------
    problem : Problem
    n_threads : int

    Returns
    -------
    ndarray of shape (m, n)
        Each line sums to 1, or is 0 for an empty neighborhood.

    Notes
    -----
    O(m n d) time.
    """
    setting, rows, queries = problem.setting, problem.rows.read_only(), problem.queries
    (compiled, profile), inv_h = for_loops(setting.kernel), read_only(setting.inv_h)
    Zq, row, (m, n) = queries.Z, queries.rows_for_loops(), (len(queries.Z), len(rows.w))
    out, fill = np.empty((m, n)), fill_weights
    if profile is not None:
        fill = uncached(fill_weights)

    def work(start, stop):
        block = slice(start, stop)
        fill(compiled, profile, Zq[block], row[block], inv_h, rows, np.empty((3, max(n, 2))), out[block])

    run_blocks(work, blocks_of_queries(m, n * (1 + len(inv_h)) / 2), n_threads)
    return out
