"""The criteria that choose bandwidths, the leave-one-out error first of all, and their derivatives."""

from __future__ import annotations

import numpy as np

from .._core import (
    PROFILES,
    Derivatives,
    chosen_algorithm,
    goes_backward,
    kernel_sums_of_scales,
    neighbours_of,
    pull_back,
    run_blocks,
    takes_segments,
)
from .._smoothing.averages import as_slice, average
from .._smoothing.sample import can_leave_out
from .by_nodes import errors_of_cells
from .by_segments import segment_errors
from .residuals import squared_residuals


def left_out(empty):
    """What answers for a row that nobody but itself is in reach of: leave-one-out always has an answer."""
    return "nearest" if empty == "nearest" else "mean"


#: Derivatives of this many sums are held at a time (128 MiB).
SUMS_AT_A_TIME = 2**24


#: Rows whose sums, and all that is done to these, stay in the second-level cache.
_ROWS_AT_A_TIME = 2**16


#: Pairs for which no other loops are compiled: some milliseconds of work.
_NOT_WORTH_COMPILING = 2**22


def leave_one_out(
    sample,
    metric,
    kernel,
    *,
    empty,
    derivatives=Derivatives.NOTHING,
    queries=None,
    nodes=None,
    squares=None,
    **how,
):
    r"""Mean squared leave-one-out error, in the sample's units, with derivatives.

    .. math:: C = \frac{1}{\sum_i w_i} \sum_i w_i \frac{1}{p} \sum_c (m_{-i,c}(x_i) - y_{ic})^2

    With :math:`m = N / M`, a derivative is :math:`m' = (N' - m M') / M`; where no row is in reach, `empty` decides, and
    the derivatives are 0.

    Parameters
    ----------
    sample : Sample
    metric : Metric
    kernel : str or jitted function
    empty : str
        A row whose window is empty without it counts with the answer that `empty` gives, or with the mean where `empty`
        gives none: it is never left out of the criterion.
    derivatives : Derivatives
        Which ones.
    queries : ndarray, default=None
        Numbers of the rows whose errors count; None for all. All rows predict.
    nodes : Nodes, default=None
        Of all rows, by which the errors of most may be had at once.
    squares : ndarray of shape (n,), default=None
        The terms of all rows are written to it: weights times squared errors. Not with nodes, which do not tell them.
    **how
        How the sums are formed: `algorithm`, `rtol` and `n_threads` of `kernel_sums`.

    Returns
    -------
    value : float
    gradient : ndarray of shape (q,)

    Notes
    -----
    With the dense algorithm O(n² (d + p)) time, with derivatives too where they are had by reverse mode; in a few
    features O(n² q p) more. O(n (d + p)) memory.
    """
    how |= {"derivatives": derivatives, "in_order": sample.X.shape[1] == 1}
    weight, error, slope, rows = 0.0, 0.0, np.zeros(derivatives.count(len(metric.g))), metric.rows(sample)
    if queries is None:
        found = _errors_of_most(rows, metric.g, kernel, nodes, squares, **how)
        if found is not None:
            weight, error, slope, queries = found
            if how["in_order"] and len(queries) * len(sample.w) <= _NOT_WORTH_COMPILING:
                how["algorithm"] = "window"  # which narrow bandwidths need anyway
    if queries is None or len(queries):
        parts = _errors_by_part(rows, metric.g, kernel, queries, empty=empty, **how)
        for part in parts:
            weight, error, slope = weight + part.weight, error + part.error, slope + part.slope
        if squares is not None:
            squares[... if queries is None else queries] = np.concatenate([part.squares for part in parts])
    return error / weight, slope / weight


def _errors_of_most(rows, g, kernel, nodes, squares, queries=None, *, weights=None, derivatives, in_order, **how):
    """Squared errors of most rows, which is less than those of each of them; None where there is no such way."""
    if nodes is not None and derivatives != Derivatives.PAIRS:
        return errors_of_cells(nodes, g, derivatives=derivatives, rtol=how["rtol"])
    n_threads = how.pop("n_threads", 1)
    Zq = None if queries is None else rows.Z.T[queries]
    if in_order and takes_segments(kernel, rows, g, Zq, derivatives=derivatives, **how):
        some = {"queries": queries, "weights": weights}
        return segment_errors(kernel, rows, g, derivatives=derivatives, squares=squares, n_threads=n_threads, **some)
    return None


def squared_errors(sample, metric, kernel, queries, weights, *, empty, derivatives, **how):
    """The terms of `leave_one_out`, of some rows with weights of their own instead of those that the sample has.

    Parameters as there, `queries`, in ascending order, and `weights` of shape (m,).

    Returns
    -------
    squares : ndarray of shape (m,)
        Weights times squared errors.
    slope : ndarray of shape (q,)
        Derivatives of their sum.
    """
    how |= {"derivatives": derivatives, "in_order": sample.X.shape[1] == 1}
    rows, squares, slope = metric.rows(sample), np.zeros(len(queries)), np.zeros(derivatives.count(len(metric.g)))
    found = _errors_of_most(rows, metric.g, kernel, None, squares, queries, weights=weights, **how)
    rest = np.arange(len(queries))
    if found is not None:
        slope, rest = found.slope, found.rest
    if len(rest):
        parts = _errors_by_part(rows, metric.g, kernel, queries[rest], weights[rest], empty=empty, **how)
        squares[rest] = np.concatenate([part.squares for part in parts])
        slope = slope + sum(part.slope for part in parts)
    return squares, slope


def _errors_by_part(rows, g, kernel, queries, weights=None, *, empty, derivatives, n_threads=1, **how):
    """Squared errors of the rows, all or some, by parts whose sums fit into memory, or into the cache."""
    p, q = len(rows.Y), derivatives.count(len(g))
    backward = goes_backward(kernel, rows, g, derivatives=derivatives, **how)
    forward = {"derivatives": Derivatives.NOTHING, "algorithm": "dense"} if backward else {"derivatives": derivatives}
    step = max(64, SUMS_AT_A_TIME // ((1 if backward else 1 + q) * (1 + p)))
    neighbours, at_a_time = None, 1
    all_in_order = how["in_order"] and queries is None
    if all_in_order and chosen_algorithm(kernel, rows, g, derivatives=derivatives, **how) == "window":
        neighbours = neighbours_of(kernel, rows, g, derivatives=derivatives, rtol=how.get("rtol", 0.0))
        step, at_a_time, n_threads = _ROWS_AT_A_TIME, n_threads, 1  # each row is summed up by itself
    own, found = np.arange(len(rows.w)) if queries is None else queries, {}

    def add_up(start, stop):
        part, options = own[start:stop], how | {"n_threads": n_threads}
        Z = rows.Z.T[as_slice(part)]
        state = neighbours.sums(start, min(stop, len(own))) if neighbours else None
        averages = average(kernel, rows, g, Z, part, empty=left_out(empty), state=state, **options | forward)
        w = None if weights is None else weights[start:stop]
        errors = squared_residuals(rows, part, averages, derivatives, n_threads, weights=w, backward=backward)
        if backward:
            exact = {"rtol": how.get("rtol", 0.0), "n_threads": n_threads}
            args = Z, part, averages.state.shift, errors.adjoints
            slope = pull_back(kernel, rows, g, *args, derivatives=derivatives, **exact)
            errors = errors._replace(slope=errors.slope + slope, adjoints=None)
        found[start] = errors

    run_blocks(add_up, [(start, start + step) for start in range(0, len(own), step)], at_a_time)
    return [found[start] for start in sorted(found)]


def leave_one_out_of_scales(sample, metric, kernel, places, *, empty, derivatives, rtol=0.0, n_threads=1):
    """`leave_one_out` of bandwidths from a series, each narrower by the root of two, in one pass over all pairs.

    Parameters as there, `metric` that of the widest bandwidth; `places` as in `kernel_sums_of_scales`; `derivatives` is
    NOTHING or SCALE.

    Returns
    -------
    list of tuples
        Value and gradient of each.
    """
    how = {"empty": empty, "derivatives": derivatives, "rtol": rtol, "n_threads": n_threads}
    found = _errors_of_scales(sample, metric, kernel, places, np.arange(len(sample.w)), None, **how)
    return [(errors.error / errors.weight, errors.slope / errors.weight) for errors in found]


def squared_errors_of_scales(
    sample, metric, kernel, places, queries, weights, *, empty, derivatives, rtol=0.0, n_threads=1, **_
):
    """`squared_errors` of the bandwidths of `leave_one_out_of_scales`, over all pairs: a list of squares and slopes."""
    how = {"empty": empty, "derivatives": derivatives, "rtol": rtol, "n_threads": n_threads}
    found = _errors_of_scales(sample, metric, kernel, places, queries, weights, **how)
    return [(errors.squares, errors.slope) for errors in found]


def _errors_of_scales(sample, metric, kernel, places, queries, weights, *, empty, **how):
    """Yield the `_Errors` of some rows for each bandwidth of a series."""
    rows = metric.rows(sample)
    Z = rows.Z.T[as_slice(queries)]
    states = kernel_sums_of_scales(kernel, rows, metric.g, Z, queries, places=places, **how)
    for k, state in zip(places, states, strict=True):
        args = kernel, rows, metric.g * 2 ** (k / 2), Z, queries
        averages = average(*args, empty=left_out(empty), state=state, algorithm="auto", **how)
        yield squared_residuals(rows, queries, averages, how["derivatives"], how["n_threads"], weights=weights)


def check_differentiable(kernel):
    """Raise if the leave-one-out error has no derivative that is of use with this kernel."""
    if callable(kernel) or not PROFILES[kernel].differentiable:
        raise ValueError(
            f"The leave-one-out error has no gradient for kernel={kernel!r}: that of 'tophat' is zero wherever it "
            "exists, and that of a user's profile is not known. Use bandwidth='loo', or another kernel."
        )


def check_can_leave_out(rows):
    """Raise if nothing is left when one observation is left out of a `Sample` or `Rows`."""
    if not can_leave_out(rows):
        raise ValueError("Leave-one-out needs at least two observations, but there is only one of positive weight.")
