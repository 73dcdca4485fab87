"""Fields of values at Chebyshev nodes: matrix products along an axis, and summaries by cell."""

import math

import numpy as np

from ..runtime.blas import one_thread_for_blas
from ..runtime.threads import run_blocks
from .chebyshev_grid import COEFFICIENTS, N_NODES, NODES


def offsets_up_to(limit):
    """Offsets of the cells within the cutoff of a cell."""
    return np.arange(-limit, limit + 1)


def gaussians(width, offsets, n_functions):
    """The kernel between nodes of cells, and its derivative in log h, as a table for `along`."""
    positions = (offsets[:, None, None] + 0.5 * NODES[:, None]) * width
    s = (0.5 * width * NODES - positions) ** 2
    k = np.exp(-0.5 * s)
    return np.stack([k, s * k][:n_functions], axis=2)


def of_whole_lines(table, n):
    """The table for lines of n cells that are treated as a single cell."""
    offsets = np.arange(n)[:, None] - np.arange(n) + n - 1
    _, n_sources, n_functions, n_targets = table.shape
    return table[offsets].transpose(0, 2, 3, 1, 4).reshape(1, n * n_sources, n_functions, n * n_targets)


def _lines(field, axis):
    """The field with the nodes of each cell along an axis as the last axis."""
    shape = field.shape
    lines = field.reshape(*shape[:axis], -1, N_NODES, *shape[axis + 1 :])
    return lines if axis == field.ndim - 1 else np.moveaxis(lines, axis + 1, -1)


def by_cell(field):
    """Sums over the nodes of each cell."""
    for axis in range(field.ndim):
        field = _lines(field, axis) @ _ONES
    return field


_ONES = np.ones(N_NODES)


def least_of_cell(field):
    """The smallest value at a node of each cell."""
    for axis in range(field.ndim):
        field = _lines(field, axis).min(axis=-1)
    return field


def last_coefficients(field):
    """Sum over features of the largest of the last two Chebyshev coefficients of each cell.

    The maximum is over all lines along a feature. For smooth functions, coefficients decrease fast, and the sum of all
    later ones is smaller.
    """
    total = 0.0
    for axis in range(field.ndim):
        last = _lines(field, axis) @ _LAST
        largest = np.maximum(np.abs(last[..., 0]), np.abs(last[..., 1]))
        for other in range(field.ndim):
            if other != axis:
                largest = _lines(largest, other).max(axis=-1)
        total = total + largest
    return total


_LAST = np.ascontiguousarray(COEFFICIENTS[:, -2:])


def to_nodes(field):
    """Turn moments in Chebyshev polynomials into moments in Lagrange polynomials, in place."""
    for axis in range(field.ndim):
        lines = _lines(field, axis)
        lines[:] = lines @ COEFFICIENTS.T


def along(field, axis, table, n_threads):
    """Apply a banded matrix that depends on offsets of cells only to all lines along an axis.

    Parameters
    ----------
    field : ndarray
    axis : int
    table : ndarray of shape (2 * limit + 1, n_sources, n_functions, n_targets)
        By the offset of the source's cell from that of the target, from -limit to limit.
    n_threads : int

    Returns
    -------
    list of ndarray
        One field for each function.
    """
    n_offsets, n_sources, n_functions, n_targets = table.shape
    limit = n_offsets // 2
    lines = np.moveaxis(field, axis, -1)
    shape, n = lines.shape[:-1], lines.shape[-1] // n_sources
    padded = np.zeros((math.prod(shape), (n + 2 * limit) * n_sources))
    padded[:, limit * n_sources : (limit + n) * n_sources] = lines.reshape(len(padded), -1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, n_offsets * n_sources, axis=1)[:, ::n_sources]
    table = table.reshape(n_offsets * n_sources, n_functions * n_targets)
    out = np.empty((n_functions, len(padded), n, n_targets))

    def multiply(line, stop, first, last):
        product = windows[line:stop, first:last].reshape(-1, len(table)) @ table
        product = product.reshape(stop - line, last - first, n_functions, n_targets)
        out[:, line:stop, first:last] = np.moveaxis(product, 2, 0)

    width = min(n, _WINDOWS)
    height = max(1, _WINDOWS // width)
    blocks = [
        (line, min(line + height, len(padded)), first, min(first + width, n))
        for line in range(0, len(padded), height)
        for first in range(0, n, width)
    ]
    with one_thread_for_blas():
        run_blocks(multiply, blocks, n_threads)
    return [np.moveaxis(product.reshape(*shape, -1), -1, axis) for product in out]


#: Windows per matrix product: these, and the matrix, fit into the second-level cache.
_WINDOWS = 512
