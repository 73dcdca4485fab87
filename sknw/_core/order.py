"""An order of points in which neighbours in space are neighbours in memory."""

import numpy as np

#: With more features, all points are about equally far from each other.
MOST_FEATURES_IN_ORDER = 8


#: Points of a leaf, which are not sorted any further.
LEAF = 64


def spatial_order(Z, g=None):
    """Order in which consecutive points lie close together, at every scale.

    The order of the leaves of a k-d tree. From the front, every `LEAF` * 2**k points are a box of the tree: all points
    of a box are halved, as evenly as that allows, by the feature in which they extend the furthest.

    Parameters
    ----------
    Z : ndarray of shape (d, n)
        Coordinates, one feature after the other.
    g : ndarray of shape (d,), default=None
        Factor of each feature, by which extents are compared; one over the interquartile range by default.

    Returns
    -------
    ndarray of shape (n,), int64
        A permutation. In one feature that of a stable sort.

    Notes
    -----
    O(n d log n) time, O(n d) memory.
    """
    d, n = Z.shape
    if d == 1:
        order = np.argsort(Z[0])  # in less time than a stable sort, whose result it is unless there are ties
        z = Z[0][order]
        return order if (z[1:] > z[:-1]).all() else np.argsort(Z[0], kind="stable")
    g = _steepness(Z) if g is None else g
    order, Z = np.arange(n), Z.copy()
    size = LEAF
    while size < n:
        size *= 2
    while size > LEAF:
        whole = n - n % size
        _halve(order[:whole].reshape(-1, size), Z[:, :whole].reshape(d, -1, size), g, size // 2)
        if n - whole > size // 2:
            _halve(order[None, whole:], Z[:, None, whole:], g, size // 2)
        size //= 2
    return order


def _halve(order, Z, g, half):
    """Put the `half` lowest points of each segment first, in place.

    order is of shape (segments, size), Z of shape (d, segments, size).
    """
    with np.errstate(over="ignore"):
        extent = (Z.max(axis=2) - Z.min(axis=2)) * g[:, None]
    feature = extent.argmax(axis=0)
    lowest_first = np.argpartition(Z[feature, np.arange(len(order))], half, axis=1)
    for a in (order, *Z):
        a[:] = np.take_along_axis(a, lowest_first, axis=1)


def _steepness(Z):
    """One over the interquartile range of each feature; over its range, or 1, where the former is zero."""
    n = Z.shape[1]
    low, high = np.partition(Z, (n // 4, 3 * n // 4), axis=1)[:, [n // 4, 3 * n // 4]].T
    with np.errstate(over="ignore"):
        spread, extent = high - low, Z.max(axis=1) - Z.min(axis=1)
        spread = np.where(spread > 0, spread, extent)
        return np.minimum(1 / np.where(spread > 0, spread, 1.0), np.finfo(np.float64).max)
