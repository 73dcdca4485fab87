"""The grid of bandwidths where a search begins."""

import math

import numpy as np

from ..._core import MOST_FEATURES_IN_ORDER, PROFILES, Rows, kernel_sums, nearest_squares, spatial_order
from ..._smoothing.metric import Metric
from ..objective import ENOUGH


def grid(sample, shape, kernel, smooth, how):
    """Values of log c: fine where windows hold a few rows to all of them, coarse on both sides of that."""
    Z, to_neighbor = _neighbors(Metric.of(shape, sample.X), sample, how)
    n = len(Z)
    # No two rows are further apart than this. The center is that of the data, whatever their axes.
    diameter = 2 * np.sqrt(np.max(np.sum((Z - Z.mean(axis=0)) ** 2, axis=1)))
    # Narrower than the smallest gap a window holds nobody; a softmax has become the nearest neighbor at exp(-40).
    compact = not callable(kernel) and math.isfinite(PROFILES[kernel].reach)
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
        # Windows that are much narrower than the data, and so many, leave no corners that `_subdivide` would not see
        # from every second one.
        main = main[(main > thumb(n, 1)) | (np.arange(len(main)) % 2 == 0)]
    # Narrower than that, fewer and fewer rows see anybody; of many rows, the more of them the steps may cover.
    narrower, step = [start], octave
    rare = math.log(max(np.quantile(to_neighbor[:: 1 + n // _FEW], 0.01), lowest))
    while narrower[-1] > narrow:
        narrower.append(narrower[-1] - step)
        step = octave if n <= ENOUGH else 2 * octave if narrower[-1] > rare else 2 * step
    return sorted({*narrower, *main.tolist(), wide})


def lies_unevenly(sample):
    """Whether hardly any two rows are as far apart as two others: windows have no corners at the same bandwidth then.

    In one feature, of many rows. Not on a lattice, nor where rows are rounded: a thousand gaps tell.
    """
    if sample.X.shape[1] > 1:
        return False
    x, i = sample.X[:, 0], np.linspace(0, len(sample.X) - 2, 1000).astype(np.int64)
    gaps = x[i + 1] - x[i]
    # Of random gaps eight in ten differ by more than that from all the others.
    return len(np.unique(np.round(1000 * np.log(gaps[gaps > 0])))) > 700


def thumb(n, d):
    """Log c of a rule of thumb, about."""
    return -math.log(n) / (4 + d)


def _neighbors(metric, sample, how):
    """The places that hold rows, in units of the reference shape, and how far each is from the nearest other one."""
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
    n, n_threads = len(Z), how.get("n_threads", 1)
    if n <= _FEW:
        return Z, np.sqrt(nearest_squares(Z, n_threads=n_threads))
    rows = Rows(Z.T, np.zeros((1, n)), np.ones(n), np.zeros(n))
    state = kernel_sums("nearest", rows, np.ones(Z.shape[1]), Z, np.arange(n), n_threads=n_threads)
    return Z, np.sqrt(state.shift)


#: Where squared distances double.
HALF_OCTAVE = 0.5 * math.log(2)


#: Where every pair is quickly visited.
_FEW = 5000
