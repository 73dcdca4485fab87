"""Compiled loops for moments of rows in Chebyshev polynomials."""

from ..runtime.jit import jit, jit_entry
from .grouping import add_products, times

#: Number of Chebyshev polynomials, and of nodes of a cell, along a feature.
DEGREES = 16


@jit
def chebyshev(x, T):
    """Write the Chebyshev polynomials at each point, one line per degree."""
    for j in range(x.shape[0]):
        T[0, j], T[1, j] = 1.0, x[j]
    for k in range(2, T.shape[0]):
        before, last, out = T[k - 2], T[k - 1], T[k]
        for j in range(x.shape[0]):
            out[j] = 2.0 * x[j] * last[j] - before[j]


@jit_entry
def add_chebyshev_moments(Z, V, order, starts, grid, first, last, each, buffers, out):
    """Write sums of products of Chebyshev polynomials over the rows of a range of cells.

    Parameters
    ----------
    Z : float64[:, ::1] of shape (d, n)
    V : float64[:, ::1] of shape (n_channels, n)
        Quantities to sum up.
    order, starts : int64[::1]
        Rows of each cell.
    grid : chebyshev.Grid
        Of three features; those before the last d have one cell.
    first, last : int
        Cells from `first` to before `last`.
    each : int64[::1]
        The numbers 0, 1, ... up to the width of the buffers.
    buffers : chebyshev.Buffers
        Overwritten; polynomials of features before the last d are 1.
    out : float64[:, :, :, ::1] of shape (n_channels, N_0, N_1, N_2)
        The entries of the given cells are overwritten. Along each of the last d axes, the `DEGREES` degrees of a cell
        are consecutive, cell by cell. Axes before these have length 1.
    """
    d, (T, by_row, u, sums) = Z.shape[0], buffers
    x, n_0, n_1 = u[3], sums.shape[1], sums.shape[2]
    for c in range(first, last):
        place_2, rest = c % grid.counts[2], c // grid.counts[2]
        place_1, place_0 = rest % grid.counts[1], rest // grid.counts[1]
        for channel in range(V.shape[0]):
            for a in range(n_0):
                for b in range(n_1):
                    for i in range(DEGREES):
                        sums[channel, a, b, i] = 0.0
        for start in range(starts[c], starts[c + 1], each.shape[0]):
            n = min(each.shape[0], starts[c + 1] - start)
            for k in range(3 - d, 3):
                place = place_0 if k == 0 else place_1 if k == 1 else place_2
                middle = grid.low[k] + (place + 0.5) * grid.sizes[k]
                for j in range(n):
                    x[j] = (Z[k - 3 + d, order[start + j]] - middle) * (2.0 / grid.sizes[k])
                chebyshev(x[:n], T[k])
            for j in range(n):
                for i in range(DEGREES):
                    by_row[j, i] = T[2, i, j]
            for channel in range(V.shape[0]):
                for j in range(n):
                    u[0, j] = V[channel, order[start + j]]
                for a in range(n_0):
                    times(u[0, :n], T[0, a], u[1, :n])
                    for b in range(n_1):
                        times(u[1, :n], T[1, b], u[2, :n])
                        add_products(u[2, :n], each[:n], by_row, 0, sums[channel, a, b])
        for channel in range(V.shape[0]):
            for a in range(n_0):
                for b in range(n_1):
                    into = out[channel, place_0 * n_0 + a, place_1 * n_1 + b]
                    for i in range(DEGREES):
                        into[place_2 * DEGREES + i] = sums[channel, a, b, i]
