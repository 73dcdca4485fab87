"""The weights with which averages are taken."""

import numpy as np
from scipy import sparse

from .._core.dispatch import kernel_weights
from .averages import can_be_empty, check_profile, of_nearest, without_overflow


def weights(problem, *, empty="nearest", n_threads=1):
    """The weights with which `average` takes its averages.

    Parameters
    ----------
    problem : Problem
    empty : {"nearest", "mean", "nan"}
        The answer where no row is within the support.
    n_threads : int

    Returns
    -------
    weights : ndarray of shape (m, n)
        Each line sums to one; NaN where no row is within the support and `empty` is "nan".
    is_empty : ndarray of shape (m,), bool
    """
    if not len(problem.setting.inv_h):
        return _equal_weights(problem, n_threads), np.zeros(len(problem.queries.Z), dtype=bool)
    kernel, out = problem.setting.kernel, kernel_weights(problem, n_threads)
    check_profile(kernel, out)
    is_empty = ~out.any(axis=1)
    if is_empty.any():
        there = problem.at(is_empty)
        if empty == "nearest" or not can_be_empty(kernel):
            out[is_empty] = _nearest_weights(there, n_threads)
        else:
            out[is_empty] = _equal_weights(there, n_threads) if empty == "mean" else np.nan
    return out, is_empty & can_be_empty(kernel)


def _nearest_weights(problem, n_threads):
    """Weights for averages over the nearest rows."""
    problem = of_nearest(problem)
    out = kernel_weights(problem, n_threads)
    overflows = ~out.any(axis=1)
    if overflows.any():
        out[overflows] = kernel_weights(without_overflow(problem.at(overflows)), n_threads)
    return out


def _equal_weights(problem, n_threads):
    """Weights for averages over all rows: without coordinates there are no distances."""
    setting, rows, queries = problem
    without = setting._replace(kernel="tophat", inv_h=setting.inv_h[:0])
    return kernel_weights(
        problem._replace(
            setting=without, rows=rows._replace(Z=rows.Z[:0]), queries=queries._replace(Z=queries.Z[:, :0])
        ),
        n_threads,
    )


def largest(dense, k):
    """The k largest entries of each line as a CSR array; of equal ones the first, none that are zero."""
    # A stable sort of all n would cost more than the sums: take what exceeds the k-th largest, then fill up from
    # the left.
    # From the front, which many zeros at the other end do not slow down.
    smallest = -np.partition(-dense, k - 1, axis=1)[:, k - 1, None]
    above, equal = dense > smallest, dense == smallest
    room = k - above.sum(axis=1, keepdims=True)
    keep = above | (equal & (np.cumsum(equal, axis=1) <= room))
    keep |= np.isnan(dense) & (np.arange(dense.shape[1]) < k)  # a query without an answer stays without one
    return sparse.csr_array(np.where(keep, dense, 0.0))
