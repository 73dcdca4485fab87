"""Compiled loops for sums over the windows of a segment; see `segment_loops`."""

from typing import NamedTuple

import numpy as np

from ..compiled_kernels import exponents
from ..runtime.jit import jit, jit_entry, jit_sum, not_inlined, wide_vectors
from .moments import add, add_row, clear, collect_sum, copy, n_moments, on_stack, shift

#: Rows of a run, and runs of a run of the next level.
RUN, RUNS = 128, 8


#: Maximum number of successive roundings of a term, with up to 9 moments. The first number counts those up to a moment
#: (2 for the distance, 3 for each power), and from there to the average. The second counts those on each level of runs:
#: shift of the reference (18), sum with the other runs (8), and sum with earlier ones (14).
ROUNDINGS, ROUNDINGS_OF_LEVEL = 54, 40


_UNIT = 0.5 * np.finfo(np.float64).eps


@jit
def has_sides(kernel):
    """Whether rows below and above are summed separately."""
    return exponents(kernel)[0] % 2 == 1


@jit_sum
def add_rows(kernel, z, y, w, g, b, T):
    """Add rows to a sum about b."""
    not_inlined()
    wide_vectors()
    U = on_stack(kernel, 1)
    clear(kernel, U, 0)
    for j in range(z.shape[0]):
        d, v = (z[j] - b) * g, w[j]
        vy = v * y[j]
        for k in range(n_moments(kernel)):
            U[0, 2 * k] += v
            U[0, 2 * k + 1] += vy
            v *= d
            vy *= d
    add(kernel, U, 0, T, 0)


@jit
def part_of(a, b, c, first, last):
    """The same slice of three arrays."""
    return a[first:last], b[first:last], c[first:last]


@jit
def add_range(kernel, Z, y, w, g, b, first, last, T):
    """Add rows `first` to `last` - 1 to a sum about b."""
    add_rows(kernel, *part_of(Z, y, w, first, last), g, b, T)


@jit
def middle(Z, size, r):
    """Reference of the moments of run r, at the level of runs of `size` rows."""
    return Z[r * size + size // 2]


@jit
def add_runs(kernel, Z, g, b, runs, size, start, first, last, T):
    """Add runs to a sum about b; return the largest distance of their rows from b.

    The distance is an upper bound, by way of the references of the runs.

    Parameters
    ----------
    runs : float64[:, ::1]
        For each run, its moments and a bound of the distance of its rows from its reference.
    size, start : int
        Rows of a run, and line of the first run of this size.
    first, last : int
        Range of runs.
    """
    not_inlined()
    U, farthest = on_stack(kernel, 1), 0.0
    for r in range(first, last):
        d = (middle(Z, size, r) - b) * g
        copy(kernel, runs, start + r, U, 0)
        shift(kernel, d, U, 0)
        add(kernel, U, 0, T, 0)
        farthest = max(farthest, abs(d) + runs[start + r, 2 * n_moments(kernel)])
    return farthest


@jit
def add_core(kernel, Z, y, w, g, b, runs, first, last, T):
    """Add rows to a sum about b, by runs where possible; return the distance as in `add_runs`."""
    a, e, size, start, farthest = -(-first // RUN), last // RUN, RUN, 0, 0.0
    if a >= e:
        add_range(kernel, Z, y, w, g, b, first, last, T)
        return farthest
    add_range(kernel, Z, y, w, g, b, first, a * RUN, T)
    add_range(kernel, Z, y, w, g, b, e * RUN, last, T)
    while True:
        up, down = -(-a // RUNS), e // RUNS
        if up >= down:
            return max(farthest, add_runs(kernel, Z, g, b, runs, size, start, a, e, T))
        farthest = max(farthest, add_runs(kernel, Z, g, b, runs, size, start, a, up * RUNS, T))
        farthest = max(farthest, add_runs(kernel, Z, g, b, runs, size, start, down * RUNS, e, T))
        start += Z.shape[0] // size
        a, e, size = up, down, size * RUNS


@jit_entry(allocates=False)
def sum_runs(kernel, rows, output, g, size, below, start, first, last, runs):
    """Write the moments of runs of one level.

    Parameters
    ----------
    kernel : Kernel
        Instance from `kernels.for_loops`.
    rows : Rows
    output : int
    g : float
    size : int
        Rows of a run.
    below, start : int
        First lines of the runs of the level below, and of this level.
    first, last : int
        Range of runs.
    runs : float64[:, ::1]
        As in `add_runs`.
    """
    Z, y, w, T, end = rows.Z[0], rows.Y[output], rows.w, on_stack(kernel, 1), 2 * n_moments(kernel)
    for r in range(first, last):
        b = middle(Z, size, r)
        clear(kernel, T, 0)
        if size == RUN:
            add_range(kernel, Z, y, w, g, b, r * size, (r + 1) * size, T)
            farthest = max(b - Z[r * size], Z[(r + 1) * size - 1] - b) * g
        else:
            farthest = add_runs(kernel, Z, g, b, runs, size // RUNS, below, r * RUNS, (r + 1) * RUNS, T)
        copy(kernel, T, 0, runs, start + r)
        runs[start + r, end] = farthest


@jit
def sum_left_fringe(kernel, z, y, w, g, b, T, M):
    """Write the sums of T and of all rows, then of all but the first, and so on."""
    not_inlined()
    U, n = on_stack(kernel, 1), z.shape[0]
    copy(kernel, T, 0, U, 0)
    copy(kernel, U, 0, M, n)
    for k in range(n):
        j = np.uint64(n - 1 - k)
        add_row(kernel, (z[j] - b) * g, w[j], w[j] * y[j], U, 0)
        copy(kernel, U, 0, M, j)


@jit
def sum_right_fringe(kernel, z, y, w, g, b, M):
    """Write the sums of no rows, of the first row, of the first two, and so on."""
    not_inlined()
    U = on_stack(kernel, 1)
    clear(kernel, U, 0)
    copy(kernel, U, 0, M, 0)
    for j in range(z.shape[0]):
        add_row(kernel, (z[j] - b) * g, w[j], w[j] * y[j], U, 0)
        copy(kernel, U, 0, M, j + 1)


@jit
def mirror(kernel, M, i):
    """Change the signs of all distances in sum i."""
    for k in range(1, n_moments(kernel), 2):
        M[i, 2 * k] = -M[i, 2 * k]
        M[i, 2 * k + 1] = -M[i, 2 * k + 1]


@jit
def sum_windows(kernel, Z, y, w, g, b, runs, ends, is_mirrored, suffixes, prefixes):
    """Write the parts of windows: suffixes of a left fringe with the core, and prefixes.

    Parameters
    ----------
    ends : tuple of four int
        First row of the left fringe, of the core and of the right fringe, and the row after it.
    is_mirrored : bool
        Whether the signs of all distances are changed.
    suffixes, prefixes : float64[:, ::1]
        Written: sums about b.

    Returns
    -------
    float
        As in `add_core`.
    """
    not_inlined()
    T = on_stack(kernel, 1)
    clear(kernel, T, 0)
    farthest = add_core(kernel, Z, y, w, g, b, runs, ends[1], ends[2], T)
    if is_mirrored:
        mirror(kernel, T, 0)
        g = -g
    sum_left_fringe(kernel, *part_of(Z, y, w, ends[0], ends[1]), g, b, T, suffixes)
    sum_right_fringe(kernel, *part_of(Z, y, w, ends[2], ends[3]), g, b, prefixes)
    return farthest


class Windows(NamedTuple):
    """Sums of windows that are evaluated together, one column per row.

    Attributes
    ----------
    sums, above : float64[:, ::1]
        Moments of all rows of a window, or of those below and above separately.
    here, here_above : float64[:, ::1] of two lines
        Positions of the rows, as in `moments.read_off`.
    wrong : float64[::1]
        Error bounds of the denominators.
    """

    sums: np.ndarray
    above: np.ndarray
    here: np.ndarray
    here_above: np.ndarray
    wrong: np.ndarray


@jit
def sum_segment(kernel, rows, output, g, runs, roundings, start, lower, upper, room, first, windows):
    """Write the sums of the windows of a segment.

    Parameters
    ----------
    roundings : float
        Number of roundings of a term in a core with runs.
    start : int
        First row of the segment.
    lower, upper : int32[::1]
        First row of each window, and the row after its last.
    room : float64[:, :, ::1] of shape (4, 1 + `FRINGE`, 2 * `n_moments`)
        Overwritten.
    first : int
        Column of the first row.
    windows : Windows
        Written.
    """
    args = kernel, rows.Z[0], rows.Y[output], rows.w, g
    Z, n = rows.Z[0], lower.shape[0]
    end = start + n
    # Ends of the fringes, between which the core is. All are int64, or functions would be compiled twice.
    left_start, left_end = np.int64(lower[0]), np.int64(lower[n - 1])
    right_start, right_end = np.int64(upper[0]), np.int64(upper[n - 1])
    extent = 0.5 * (Z[end - 1] - Z[start])
    b = Z[start] + extent
    if has_sides(kernel):
        farthest = sum_windows(*args, b, runs, (left_start, left_end, start, end), False, room[0], room[1])
        other = sum_windows(*args, b, runs, (start, end, right_start, right_end), True, room[2], room[3])
        farthest = max(farthest, other)
    else:
        ends = left_start, left_end, right_start, right_end
        farthest = sum_windows(*args, b, runs, ends, False, room[0], room[3])
    # Bound of the absolute value of terms, for weights of one.
    extent *= g
    size, terms = extent + max(farthest, 1.0 + extent), 1.0
    for _ in range(exponents(kernel)[1]):
        terms *= 1.0 + size ** exponents(kernel)[0]
    in_core = roundings if farthest > 0.0 else float(right_start - left_end)
    in_fringe = max(left_end - left_start, right_end - right_start, n)
    bound = terms * _UNIT * (ROUNDINGS + in_core + in_fringe)
    for i in range(n):
        k, before, after = np.uint64(first + i), np.uint64(lower[i] - left_start), np.uint64(upper[i] - right_start)
        windows.here[0, k] = (Z[np.uint64(start + i)] - b) * g
        if has_sides(kernel):
            collect_sum(kernel, room[0], before, room[1], np.uint64(i), windows.sums, k)
            collect_sum(kernel, room[2], np.uint64(i + 1), room[3], after, windows.above, k)
            windows.here_above[0, k] = -windows.here[0, k]
            windows.wrong[k] = bound * (windows.sums[0, k] + windows.above[0, k])
        else:
            collect_sum(kernel, room[0], before, room[3], after, windows.sums, k)
            windows.wrong[k] = bound * windows.sums[0, k]
