"""The weights with which averages are taken."""

import numpy as np
from scipy import sparse

from .._core import kernel_weights
from .averages import can_be_empty, check_profile, fill_void, without_overflow


def weights(kernel, rows, g, Zq, own=None, *, empty="nearest", n_threads=1):
    """The weights with which `average` takes its averages.

    Parameters as there.

    Returns
    -------
    weights : ndarray of shape (m, n)
        Each line sums to one; NaN where no row is in reach and `empty` is "nan".
    void : ndarray of shape (m,), bool
    """
    if not len(g):
        return _weights(None, rows, g, Zq, own, {"n_threads": n_threads}), np.zeros(len(Zq), dtype=bool)
    out = kernel_weights(kernel, rows, g, Zq, own, n_threads=n_threads)
    check_profile(kernel, out)
    void = ~out.any(axis=1)
    fill_void(_weights, out, void, kernel, rows, g, Zq, own, empty, {"n_threads": n_threads})
    return out, void & can_be_empty(kernel)


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


def _weights(kernel, rows, g, Zq, own, how):
    """Weights for averages over the nearest rows, or over all (`kernel` None)."""
    if kernel is None:  # no coordinates, hence no distances
        rows, g, Zq, kernel = rows._replace(Z=rows.Z[:0]), g[:0], Zq[:, :0], "tophat"
    out = kernel_weights(kernel, rows, g, Zq, own, **how)
    lost = ~out.any(axis=1)
    if lost.any():
        rows, g, Zq = without_overflow(rows, g, Zq[lost])
        out[lost] = kernel_weights(kernel, rows, g, Zq, None if own is None else own[lost], **how)
    return out
