"""Ranges of sorted rows within the support radius of each training row, in one feature.

Z are the coordinates of the rows, in ascending order, and g is the inverse bandwidth.
"""

import numpy as np

from ..runtime.jit import jit, jit_entry


@jit
def beyond(Z, g, i):
    """The first row after row i that is not within its support radius."""
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
    """The first row within the support radius of row i."""
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
    """Take one step of the merge in `find_edges`, for window i and row j.

    If row j is in the window of row i, row i is the first one in the window of row j. Otherwise row j is the first one
    after the window of row i. The step has no branch, because its outcome cannot be predicted.

    Returns
    -------
    i, j : int
        Window and row of the next step.
    """
    n = Z.shape[0]
    enters = int(j < n) & int((Z[np.uint64(min(j, n - 1))] - Z[np.uint64(i)]) * g <= 1.0)
    edges[np.uint64(n + i + enters * (j - n - i))] = j + enters * (i - j)
    return i + 1 - enters, j + enters


@jit_entry(allocates=False)
def find_edges(Z, g, first, last, edges):
    """Find the first and last row within the support radius of some rows.

    Rows enter windows, and leave them, in ascending order. So both ends of all windows are found by one merge of the
    rows with themselves. Four parts are merged side by side, because each step depends on data of the last one.

    Parameters
    ----------
    Z : float64[::1] of shape (n,)
        In ascending order.
    g : float
    first, last : int
        Range of the rows.
    edges : int32[::1] of shape (2 n,)
        Updated: entry i is the first row of the window of row i, and entry n + i the row after its last. The latter are
        written for the given rows; the former for the rows that first enter a window of the given rows.
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
    """Find the first and last row within the support radius of rows with given numbers.

    Rows are searched one by one, because they are far from each other. Parameters are those of `find_edges`, but
    `edges` has two entries for each of `numbers`.
    """
    m = numbers.shape[0]
    for k in range(start, stop):
        edges[k], edges[m + k] = first_within(Z, g, numbers[k]), beyond(Z, g, numbers[k])
