"""Squared leave-one-out errors of one feature, from sums over segments of rows with overlapping windows."""

import numpy as np

from .._core import takes_segments
from .._core.kernels import PROFILES
from .._core.problem import Rows, read_only
from .._core.runtime.threads import run_blocks
from .problem import PartialErrors

#: Name of the error engine.
NAME = "segments"


#: Rows that one call takes: some tenths of a millisecond of work.
_CALL = 2**14


def plan(problem):
    """Return the name of the engine, or None if it does not apply or takes longer than sums of each row."""
    if not problem.is_sorted:
        return None
    settings, rows = problem.settings, problem.rows
    Zq = None if problem.queries is None else rows.Z.T[problem.queries]
    options = {"derivatives": problem.wanted, "algorithm": settings.algorithm, "rtol": settings.rtol}
    return NAME if takes_segments(settings.kernel, rows, problem.metric.g, Zq, **options) else None


def errors(problem, squares=None):
    """Compute the squared errors of rows of one feature, as far as the bounds of their sums certify these.

    Parameters
    ----------
    problem : ErrorProblem
        Of fewer than 2^31 sorted rows, and a kernel that has `powers`.
    squares : ndarray of shape (m,), default=None
        Overwritten with weights times squared errors; 0 for uncertain queries.

    Returns
    -------
    PartialErrors

    Notes
    -----
    Takes O(n p) time, for some rows O(log n) more for each, and 10 n bytes of memory or 9 m and n/10.
    """
    from .._core.sliding.moments import n_moments
    from .._core.sliding.segment_loops import (
        FRINGE,
        RUN,
        RUNS,
        LeftOut,
        add_errors,
        sum_runs,
    )

    rows, g, queries = Rows(*map(read_only, problem.rows)), float(problem.metric.g[0]), problem.queries
    compiled, n_threads = (0,) * PROFILES[problem.settings.kernel].code, problem.settings.n_threads
    weights = rows.w[queries] if problem.weights is None and queries is not None else problem.weights
    left_out = LeftOut.of(rows, queries, weights)
    (p, m), n, n_sums = left_out.Y.shape, len(rows.w), 2 * n_moments.py_func(compiled)
    certain, calls = np.empty(m, dtype=bool), _calls(m, _CALL)

    edges = _edges(rows, g, queries, left_out, calls, n_threads)
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
    return PartialErrors(weight, error, np.full(problem.n_derivatives, slope), np.flatnonzero(~certain))


def _edges(rows, g, queries, left_out, calls, n_threads):
    """Return the first row in the neighborhood of each query, then the row after the last one."""
    from .._core.within_reach.bounds import find_edges, find_edges_of_some

    edges = np.empty(2 * left_out.Y.shape[1], dtype=np.int32)

    def look_up(start, stop):
        if queries is None:
            find_edges(rows.Z[0], g, start, stop, edges)
        else:
            find_edges_of_some(rows.Z[0], g, left_out.numbers, start, stop, edges)

    run_blocks(look_up, calls, n_threads)
    edges.flags.writeable = False
    return edges


def roundings_in_core(n):
    """Return how many roundings a term of a core undergoes, among single rows or in runs of all levels."""
    from .._core.sliding.segment_loops import ROUNDINGS_OF_LEVEL, RUN

    return float(max(2 * RUN, RUN + ROUNDINGS_OF_LEVEL * len(_sizes(n))))


def _sizes(n):
    """Return the number of rows of a run, for each level that has runs."""
    from .._core.sliding.segment_loops import RUN, RUNS

    sizes = []
    while RUN * RUNS ** len(sizes) <= n:
        sizes.append(RUN * RUNS ** len(sizes))
    return sizes


def _calls(stop, step):
    """Split a range into blocks."""
    return [(start, min(start + step, stop)) for start in range(0, stop, step)]
