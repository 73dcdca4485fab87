"""Where windows of rows begin and end: one feature, rows in ascending order.

Notation as in `_sliding.py`.
"""

import numpy as np

from ..runtime.jit import jit, jit_entry


@jit
def beyond(Z, g, i):
    """The first row after row i that is not within its reach."""
    low, high = i + 1, Z.shape[0]
    while low < high:
        j = (low + high) // 2
        if (Z[j] - Z[i]) * g <= 1.0:
            low = j + 1
        else:
            high = j
    return low


@jit
def first_within(Z, g, i):
    """The first row that is within reach of row i."""
    low, high = np.int64(0), i
    while low < high:
        j = (low + high) // 2
        if (Z[i] - Z[j]) * g <= 1.0:
            high = j
        else:
            low = j + 1
    return low


@jit
def advance(Z, g, i, j, edges):
    """Row j enters the window of row i, or that is complete; the row and the window to look at next.

    Without a branch: which of the two it is nobody can foresee.
    """
    n = Z.shape[0]
    enters = int(j < n) & int((Z[np.uint64(min(j, n - 1))] - Z[np.uint64(i)]) * g <= 1.0)
    edges[np.uint64(n + i + enters * (j - n - i))] = j + enters * (i - j)
    return i + 1 - enters, j + enters


@jit_entry(allocates=False)
def find_edges(Z, g, first, last, edges):
    """Look up the windows of some rows.

    Window i opens before window j does if and only if row j enters it before row i leaves that, so that both edges are
    found by one merge of the rows with themselves, of which there are four side by side: each waits for its own data.

    Parameters
    ----------
    Z : float64[::1] of shape (n,)
        In ascending order.
    g : float
    first, last : int
        The rows.
    edges : int32[::1] of shape (2 n,)
        Written: the first row of the window of row i in place i, and the one after its last in place n + i; for those
        rows i that these rows are the first to see, and for these rows.
    """
    i_0, quarter = first, (last - first) // 4
    i_1, i_2, i_3 = first + quarter, first + 2 * quarter, first + 3 * quarter
    end_0, end_1, end_2 = i_1, i_2, i_3
    j_0 = beyond(Z, g, first - 1) if first > 0 else 0
    j_1, j_2, j_3, j_4 = (
        beyond(Z, g, i_1 - 1) if i_1 > 0 else 0,
        beyond(Z, g, i_2 - 1) if i_2 > 0 else 0,
        beyond(Z, g, i_3 - 1) if i_3 > 0 else 0,
        beyond(Z, g, last - 1),
    )
    for _ in range(quarter + min(j_1 - j_0, j_2 - j_1, j_3 - j_2, j_4 - j_3)):
        i_0, j_0 = advance(Z, g, i_0, j_0, edges)
        i_1, j_1 = advance(Z, g, i_1, j_1, edges)
        i_2, j_2 = advance(Z, g, i_2, j_2, edges)
        i_3, j_3 = advance(Z, g, i_3, j_3, edges)
    for i, j, end in ((i_0, j_0, end_0), (i_1, j_1, end_1), (i_2, j_2, end_2), (i_3, j_3, last)):
        while i < end:
            i, j = advance(Z, g, i, j, edges)


@jit_entry(allocates=False)
def find_edges_of_some(Z, g, numbers, start, stop, edges):
    """Look up the windows of rows of some numbers, far from each other; other parameters as in `find_edges`."""
    m = numbers.shape[0]
    for k in range(start, stop):
        edges[k], edges[m + k] = first_within(Z, g, numbers[k]), beyond(Z, g, numbers[k])
