"""Normalized weights of the training rows, as an attention matrix."""

import numpy as np
from scipy import sparse

from .._core.dispatch import kernel_weights
from .averages import can_be_empty, check_profile, of_nearest, without_overflow


def weights(problem, *, empty="nearest", n_threads=1):
    """Normalized weights of all training rows for each query: those of `average`.

    Parameters
    ----------
    problem : Problem
    empty : {"nearest", "mean", "nan"}
        Result for queries with an empty neighborhood: weights of the nearest rows, equal weights, or NaN.
    n_threads : int

    Returns
    -------
    weights : ndarray of shape (m, n)
        Each line sums to one. NaN for empty neighborhoods if `empty` is "nan".
    is_empty : ndarray of shape (m,), bool
        Queries with an empty neighborhood.

    Notes
    -----
    O(m n d) time.
    """
    if not len(problem.setting.inv_h):
        return _equal_weights(problem, n_threads), np.zeros(len(problem.queries.Z), dtype=bool)
    kernel, out = problem.setting.kernel, kernel_weights(problem, n_threads)
    check_profile(kernel, out)
    is_empty = ~out.any(axis=1)
    if is_empty.any():
        affected = problem.at(is_empty)
        if empty == "nearest" or not can_be_empty(kernel):
            out[is_empty] = _nearest_weights(affected, n_threads)
        else:
            out[is_empty] = _equal_weights(affected, n_threads) if empty == "mean" else np.nan
    return out, is_empty & can_be_empty(kernel)


def _nearest_weights(problem, n_threads):
    """Equal weights of the nearest rows."""
    problem = of_nearest(problem)
    out = kernel_weights(problem, n_threads)
    overflows = ~out.any(axis=1)
    if overflows.any():
        out[overflows] = kernel_weights(without_overflow(problem.at(overflows)), n_threads)
    return out


def _equal_weights(problem, n_threads):
    """Equal weights of all rows, computed by the tophat kernel setting_of_tophat features."""
    setting, rows, queries = problem
    setting_of_tophat = setting._replace(kernel="tophat", inv_h=setting.inv_h[:0])
    return kernel_weights(
        problem._replace(
            setting=setting_of_tophat, rows=rows._replace(Z=rows.Z[:0]), queries=queries._replace(Z=queries.Z[:, :0])
        ),
        n_threads,
    )


def largest(dense, k):
    """The k largest entries of each line, as a CSR array.

    Of equal entries, the first ones are kept. Zeros are not stored.

    Parameters
    ----------
    dense : ndarray of shape (m, n)
    k : int

    Returns
    -------
    scipy.sparse.csr_array of shape (m, n)
    """
    # A stable sort of n entries would take longer than the kernel sums. Keep the entries above the k-th largest, then
    # fill up with entries equal to it, from the left. The array is partitioned in descending order, because many zeros
    # at the other end do not slow that down.
    smallest = -np.partition(-dense, k - 1, axis=1)[:, k - 1, None]
    above, equal = dense > smallest, dense == smallest
    room = k - above.sum(axis=1, keepdims=True)
    keep = above | (equal & (np.cumsum(equal, axis=1) <= room))
    keep |= np.isnan(dense) & (np.arange(dense.shape[1]) < k)  # lines that are NaN stay NaN
    return sparse.csr_array(np.where(keep, dense, 0.0))
