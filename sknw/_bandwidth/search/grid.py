"""The grid of bandwidths where a search begins."""

import math

import numpy as np

from ..._core.dispatch import nearest_squares
from ..._core.kernels import KERNELS
from ..._core.order import MOST_FEATURES_IN_ORDER, spatial_order
from ..._criteria.leave_one_out import HALF_OCTAVE
from ..._smoothing.metric import Metric
from ..objective import ENOUGH


def grid(sample, shape, kernel, smooth, n_threads=1):
    """Return values of log c: fine where neighborhoods hold a few rows up to all, coarse on both sides."""
    Z, to_neighbor = _neighbors(Metric.of(shape, sample.X), sample, n_threads)
    n = len(Z)
    # No two rows are further apart than this. The center is that of the data, whatever their axes.
    diameter = 2 * np.sqrt(np.max(np.sum((Z - Z.mean(axis=0)) ** 2, axis=1)))
    # Below the smallest gap all neighborhoods are empty; a softmax is the nearest neighbor where weights are exp(-40).
    compact = not callable(kernel) and math.isfinite(KERNELS[kernel].reach)
    lowest = (0.9 if compact else 1 / 40 if kernel == "exponential" else 0.1) * to_neighbor.min()
    # Where rows enter a window one by one, the error has a kink each time; with few rows these are far apart.
    octave = 2 * HALF_OCTAVE
    if compact or callable(kernel):
        per_octave = 16 if n <= 200 else 8 if n <= 2000 or not smooth else 2 if n <= ENOUGH else 1
    else:
        per_octave = 4 if n <= 1000 else 2 if n <= ENOUGH else 1
    start = max(lowest, 0.25 * np.median(to_neighbor))
    narrow, start, stop, wide = np.log([lowest, start, 2 * diameter, 32 * diameter]).tolist()
    main = start + octave / per_octave * np.arange(1 + math.ceil((stop - start) * per_octave / octave - 1e-9))
    if smooth and n >= 2 * ENOUGH and lies_unevenly(sample):
        # So many neighborhoods, much narrower than the data, leave no corners that `_subdivide` would miss on half of
        # the grid.
        main = main[(main > rule_of_thumb_log(n, 1)) | (np.arange(len(main)) % 2 == 0)]
    # With smaller bandwidths, fewer rows have a neighbor; of many rows, larger steps cover them.
    narrower, step = [start], octave
    rare = math.log(max(np.quantile(to_neighbor[:: 1 + n // _QUICK_PAIRS], 0.01), lowest))
    while narrower[-1] > narrow:
        narrower.append(narrower[-1] - step)
        step = octave if n <= ENOUGH else 2 * octave if narrower[-1] > rare else 2 * step
    return sorted({*narrower, *main.tolist(), wide})


def lies_unevenly(sample):
    """Return whether gaps between rows differ, so that few neighborhoods change at the same bandwidth.

    For many rows of one feature, by a thousand gaps. False on a lattice, and where coordinates are rounded.
    """
    if sample.X.shape[1] > 1:
        return False
    x, i = sample.X[:, 0], np.linspace(0, len(sample.X) - 2, 1000).astype(np.int64)
    gaps = x[i + 1] - x[i]
    # Of random gaps eight in ten differ by more than that from all the others.
    return len(np.unique(np.round(1000 * np.log(gaps[gaps > 0])))) > 700


def rule_of_thumb_log(n, d):
    """Return log c of a rule of thumb, about."""
    return -math.log(n) / (4 + d)


def _neighbors(metric, sample, n_threads):
    """Return the distinct rows, in units of the reference shape, and their distances to the nearest other one."""
    Z = metric.coordinates(sample.X) * metric.g
    if Z.shape[1] == 1:
        z = Z[:, 0] if sample.X.shape[1] == 1 else np.sort(Z[:, 0])  # in ascending order anyway if it is the only one
        if (z[1:] == z[:-1]).any():
            z = z[np.append(True, z[1:] > z[:-1])]
        gaps = np.full(len(z) + 1, np.inf)
        np.subtract(z[1:], z[:-1], out=gaps[1:-1])
        return z[:, None], np.minimum(gaps[1:], gaps[:-1])
    order = np.lexsort(Z.T)
    Z = Z[order]
    Z = Z[np.append(True, (Z[1:] != Z[:-1]).any(axis=1))]
    if Z.shape[1] <= MOST_FEATURES_IN_ORDER:
        Z = Z[spatial_order(Z.T)]
    return Z, np.sqrt(nearest_squares(Z, n_threads))


#: Up to so many rows, visiting every pair is quick.
_QUICK_PAIRS = 5000
