"""Compiled loops that group points by cell, and vector operations of the loops over cells."""

import math

from ..runtime.jit import jit, jit_entry, not_inlined


@jit_entry
def mark(z, size, first, occupied):
    """Mark the cells along one feature that contain points, counted from `first`."""
    for j in range(z.shape[0]):
        number = math.floor(z[j] / size)  # corrected for rounding of the quotient below
        if number * size > z[j]:
            number -= 1
        elif (number + 1) * size <= z[j]:
            number += 1
        occupied[int(number - first)] = True


@jit_entry
def group(cell_of, starts, order):
    """Sort points by cell, stably.

    Parameters
    ----------
    cell_of : int64[::1] of shape (n,)
        Cell of each point.
    starts : int64[::1] of shape (n_cells + 1,)
        Zeros on input. Overwritten by the position of the first point of each cell.
    order : int64[::1] of shape (n,)
        Overwritten by the numbers of the points, cell by cell.
    """
    before, is_sorted = 0, True
    for j in range(cell_of.shape[0]):
        c = cell_of[j]
        starts[c + 1] += 1
        is_sorted = is_sorted and before <= c
        before = c
    for c in range(starts.shape[0] - 1):
        starts[c + 1] += starts[c]
    if is_sorted:
        for j in range(order.shape[0]):
            order[j] = j
        return
    for j in range(cell_of.shape[0]):
        c = cell_of[j]
        order[starts[c]] = j
        starts[c] += 1
    for c in range(starts.shape[0] - 1, 0, -1):
        starts[c] = starts[c - 1]
    starts[0] = 0


@jit
def times(a, b, out):
    """Write the product a * b to `out`."""
    for j in range(a.shape[0]):
        out[j] = a[j] * b[j]


@jit_entry
def fill(values, order, starts, first, last, out):
    """Assign the value of its cell to each point, for cells from `first` to before `last`."""
    for c in range(first, last):
        for j in range(starts[c], starts[c + 1]):
            out[order[j]] = values[c]


@jit
def add_products(factors, rows, source, start, target):
    """Add sum_a factors_a source[rows_a, start + j] to target_j, four terms at a time."""
    not_inlined()
    n = target.shape[0]
    stop = start + n
    a = 0
    while a + 4 <= rows.shape[0]:
        f_0, f_1, f_2, f_3 = factors[a], factors[a + 1], factors[a + 2], factors[a + 3]
        s_0, s_1 = source[rows[a], start:stop], source[rows[a + 1], start:stop]
        s_2, s_3 = source[rows[a + 2], start:stop], source[rows[a + 3], start:stop]
        for j in range(n):
            target[j] += (f_0 * s_0[j] + f_1 * s_1[j]) + (f_2 * s_2[j] + f_3 * s_3[j])
        a += 4
    while a < rows.shape[0]:
        f_0, s_0 = factors[a], source[rows[a], start:stop]
        for j in range(n):
            target[j] += f_0 * s_0[j]
        a += 1
