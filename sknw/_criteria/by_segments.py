"""Squared leave-one-out errors of one feature, from sums over segments of rows with overlapping windows."""

import numpy as np

from .._core.kernels import PROFILES
from .._core.problem import Derivatives, ErrorsOfMost, Rows, read_only
from .._core.runtime.threads import run_blocks

#: Rows that one call takes: some tenths of a millisecond of work.
_CALL = 2**14


def segment_errors(
    kernel, rows, g, *, derivatives=Derivatives.NOTHING, queries=None, weights=None, squares=None, n_threads=1
):
    """Squared leave-one-out errors of rows of one feature, all or some, of which their sums can be certain.

    Parameters
    ----------
    kernel, rows, g, n_threads
        As in `kernel_sums`; of fewer than 2^31 rows, in ascending order, and a kernel that has `powers`.
    derivatives : {Derivatives.NOTHING, Derivatives.SCALE, Derivatives.FEATURES, Derivatives.PAIRS}
        All but the first are the same in one feature.
    queries, weights : ndarray of shape (m,), default=None
        Numbers of rows, in ascending order, and what their errors count instead of their weights; None for all.
    squares : ndarray of shape (n,) or (m,), default=None
        The errors of single rows, times what they count, are written to it; 0 for those that are not certain.

    Returns
    -------
    ErrorsOfMost
        `rest` are places in `queries`.

    Notes
    -----
    Takes O(n p) time, for some rows O(log n) more for each, and 10 n bytes of memory or 9 m and n/10.
    """
    from .._core.sliding.moments import count_moments
    from .._core.sliding.segment_loops import (
        FRINGE,
        RUN,
        RUNS,
        LeftOut,
        add_errors,
        sum_runs,
    )
    from .._core.within_reach.bounds import find_edges, find_edges_of_some

    rows, compiled, g = Rows(*map(read_only, rows)), PROFILES[kernel], float(g[0])
    left_out = LeftOut.of(rows, queries, weights)
    (p, m), n, n_sums = left_out.Y.shape, len(rows.w), 2 * count_moments(type(compiled))
    edges, certain, calls = np.empty(2 * m, dtype=np.int32), np.empty(m, dtype=bool), _calls(m, _CALL)

    def look_up(start, stop):
        if queries is None:
            find_edges(rows.Z[0], g, start, stop, edges)
        else:
            find_edges_of_some(rows.Z[0], g, left_out.numbers, start, stop, edges)

    run_blocks(look_up, calls, n_threads)
    edges.flags.writeable = False
    squares, sums = np.empty(0) if squares is None else squares, np.zeros((len(calls), 3))
    sizes = _sizes(n)
    for output in range(p):
        runs, start, below = np.empty((sum(n // size for size in sizes), n_sums + 1)), 0, 0
        for size in sizes:

            def write_runs(first, last, size=size, below=below, start=start, output=output, runs=runs):
                sum_runs(compiled, rows, output, g, size, below, start, first, last, runs)

            run_blocks(write_runs, _calls(n // size, max(1, _CALL // (RUN if size == RUN else RUNS))), n_threads)
            start, below = start + n // size, start

        def add(start, stop, output=output, runs=runs):
            args = compiled, rows, left_out, output, g, edges, runs, roundings_in_core(n), start, stop
            add_errors(*args, np.empty((4, 1 + FRINGE, n_sums)), squares, certain, sums[start // _CALL])

        run_blocks(add, calls, n_threads)
    weight, error, slope = sums.sum(axis=0) / p
    squares /= p
    return ErrorsOfMost(weight, error, np.full(derivatives.count(1), slope), np.flatnonzero(~certain))


def roundings_in_core(n):
    """How many roundings a term of a core goes through: among single rows at both ends, or in runs on all levels."""
    from .._core.sliding.segment_loops import ROUNDINGS_OF_LEVEL, RUN

    return float(max(2 * RUN, RUN + ROUNDINGS_OF_LEVEL * len(_sizes(n))))


def _sizes(n):
    """Rows of the runs of each level, as long as there are any."""
    from .._core.sliding.segment_loops import RUN, RUNS

    sizes = []
    while RUN * RUNS ** len(sizes) <= n:
        sizes.append(RUN * RUNS ** len(sizes))
    return sizes


def _calls(stop, step):
    """Parts of a range."""
    return [(start, min(start + step, stop)) for start in range(0, stop, step)]
