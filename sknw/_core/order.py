"""Spatial order of points: points that are close in memory are close in space."""

import numpy as np

#: With more features, distances between points concentrate and a spatial order is of little use.
MOST_FEATURES_IN_ORDER = 8


#: Points of a leaf of the tree; leaves are not sorted any further.
LEAF = 64


def spatial_order(Z, inv_h=None):
    """Spatial order of points, in which consecutive points are close at every scale.

    It is the order of the leaves of a k-d tree. From the start, every block of `LEAF` * 2**k points is a box of the
    tree. A box is split in half, as evenly as that allows, along the feature of largest extent.

    Parameters
    ----------
    Z : ndarray of shape (d, n)
        Coordinates, feature by feature.
    inv_h : ndarray of shape (d,), default=None
        Factors of the features, by which extents are compared; one over the interquartile range by default.

    Returns
    -------
    ndarray of shape (n,), int64
        A permutation. For one feature, that of a stable sort.

    Notes
    -----
    O(n d log n) time, O(n d) memory.
    """
    d, n = Z.shape
    if d == 1:
        order = np.argsort(Z[0])  # faster than a stable sort, with the same result unless there are ties
        z = Z[0][order]
        return order if (z[1:] > z[:-1]).all() else np.argsort(Z[0], kind="stable")
    inv_h = _steepness(Z) if inv_h is None else inv_h
    order, Z = np.arange(n), Z.copy()
    size = LEAF
    while size < n:
        size *= 2
    while size > LEAF:
        whole = n - n % size
        _halve(order[:whole].reshape(-1, size), Z[:, :whole].reshape(d, -1, size), inv_h, size // 2)
        if n - whole > size // 2:
            _halve(order[None, whole:], Z[:, None, whole:], inv_h, size // 2)
        size //= 2
    return order


def _halve(order, Z, inv_h, half):
    """Partition each segment in place so that its `half` lowest points come first.

    Parameters
    ----------
    order : ndarray of shape (segments, size)
    Z : ndarray of shape (d, segments, size)
    inv_h : ndarray of shape (d,)
    half : int
    """
    with np.errstate(over="ignore"):
        extent = (Z.max(axis=2) - Z.min(axis=2)) * inv_h[:, None]
    feature = extent.argmax(axis=0)
    lowest_first = np.argpartition(Z[feature, np.arange(len(order))], half, axis=1)
    for a in (order, *Z):
        a[:] = np.take_along_axis(a, lowest_first, axis=1)


def _steepness(Z):
    """One over each feature's interquartile range; over its range, or 1, if that is zero."""
    n = Z.shape[1]
    low, high = np.partition(Z, (n // 4, 3 * n // 4), axis=1)[:, [n // 4, 3 * n // 4]].T
    with np.errstate(over="ignore"):
        spread, extent = high - low, Z.max(axis=1) - Z.min(axis=1)
        spread = np.where(spread > 0, spread, extent)
        return np.minimum(1 / np.where(spread > 0, spread, 1.0), np.finfo(np.float64).max)
