"""Squared leave-one-out errors of one feature, from sums over segments of rows with overlapping windows."""

import numpy as np

from .._core import costs
from .._core.dispatch import choose
from .._core.kernels import KERNELS
from .._core.problem import Rows, read_only
from .._core.runtime.threads import run_blocks
from .._core.sliding.engines import moments_of
from .by_rows import sums_of
from .problem import PartialErrors

#: Name of the error engine.
NAME = "segments"


#: Rows that one call takes: some tenths of a millisecond of work.
_CALL = 2**14


def plan(problem):
    """Return the name of the engine, or None if it does not apply or takes longer than sums of each row."""
    if not problem.is_sorted:
        return None
    (kernel, _, algorithm, rtol, _), rows, c = problem.settings, problem.rows, costs.now
    n, p = len(rows.w), len(rows.Y)
    if rtol <= 0 or algorithm not in ("auto", "sliding") or callable(kernel) or n >= 2**31:
        return None
    if len(problem.metric.g) != 1 or KERNELS[kernel].powers is None:
        return None
    if algorithm == "sliding":
        return NAME
    other = choose(sums_of(problem, problem.queries)).cost
    if other < c.choosing:
        return None
    k = moments_of(kernel)
    if problem.queries is None:
        from .._core.within_reach.reach import rows_in_reach

        # The shorter segments are, the more of them there are, and the fewer rows are certain.
        in_reach = rows_in_reach(kernel, rows, problem.metric.g, rows.Z.T, rtol=rtol)
        sides = 1 + KERNELS[kernel].powers[0] % 2
        per_row = c.sliding_row + p * (c.segment_moment * sides * k + c.segment * (1 / in_reach).mean())
        cost = c.call + n * per_row
    else:
        cost = 2 * c.call + p * k * (n + c.window_of_row * len(problem.queries))
    return NAME if cost < other else None


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
    from .._core.sliding.moments import count_moments
    from .._core.sliding.segment_loops import FRINGE, LeftOut, add_errors
    from .._core.sliding.segment_sums import RUN, RUNS, sum_runs
    from .._core.within_reach.bounds import find_edges, find_edges_of_some

    rows, g, queries = Rows(*map(read_only, problem.rows)), float(problem.metric.g[0]), problem.queries
    compiled, n_threads = KERNELS[problem.settings.kernel], problem.settings.n_threads
    weights = rows.w[queries] if problem.weights is None and queries is not None else problem.weights
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
    return PartialErrors(weight, error, np.full(problem.n_derivatives, slope), np.flatnonzero(~certain))


def roundings_in_core(n):
    """Return how many roundings a term of a core undergoes, among single rows or in runs of all levels."""
    from .._core.sliding.segment_sums import ROUNDINGS_OF_LEVEL, RUN

    return float(max(2 * RUN, RUN + ROUNDINGS_OF_LEVEL * len(_sizes(n))))


def _sizes(n):
    """Return the number of rows of a run, for each level that has runs."""
    from .._core.sliding.segment_sums import RUN, RUNS

    sizes = []
    while RUN * RUNS ** len(sizes) <= n:
        sizes.append(RUN * RUNS ** len(sizes))
    return sizes


def _calls(stop, step):
    """Split a range into blocks."""
    return [(start, min(start + step, stop)) for start in range(0, stop, step)]
