"""Leave-one-out errors in one feature in linear time, for polynomial kernels.

Consecutive rows within half a bandwidth form a segment. Their windows overlap: most rows are
common to all windows, the core. The others enter or leave one after the other, the fringes::

    rows       . .[.. . . .:.   .  .. .  . .. :. .. . ]. .
    first             window           |
    last             window                     |
                      left  |      core       |  right
                     fringe |     segment     |  fringe

A window is the core, a suffix of the left fringe and a prefix of the right one, so nothing is ever
subtracted. All three are represented by moments about the middle of the segment, see `moments`. The core is
summed from runs of rows, runs of runs and so on, whose moments are precomputed, and from single rows at its ends.

If only a subset of rows is evaluated, each is a segment of its own, whose window is a core without fringes.

Kernels with a kink at 0 are polynomials of distance, not of its square. For these, rows below and above are
summed separately: the parts of the core on both sides of the segment, and the rows of the segment before and after the
row.

Sums about the middle lose digits if weights are small compared with the terms that they consist of: if all rows in the
window are near its edge, or if there are none. A bound of this error is computed, relative to the denominator. Rows
with too large a bound are uncertain, and are recomputed by another engine.

Notation as in `sums`.
"""

from typing import NamedTuple

import numpy as np

from ..compiled_kernels import exponents
from ..problem import SMALLEST_MASS, read_only
from ..runtime.jit import jit, jit_entry, jit_sum, not_inlined, wide_vectors
from ..runtime.jit import on_stack as lanes
from .moments import (
    TOGETHER,
    add,
    add_row,
    clear,
    collect_sum,
    copy,
    n_moments,
    on_stack,
    read_off,
    shift,
    side_by_side,
)

#: Rows of a run, and runs of a run of the next level.
RUN, RUNS = 128, 8


#: Maximum length of the fringes of a segment.
FRINGE = 512


#: Maximum bound of the error of a leave-one-out average, relative to the range of the targets, whatever `rtol` is. The
#: bound assumes the worst case of all roundings; observed errors are a hundred times smaller.
_WRONG = 1e-11


#: Below this, rounding errors are no longer relative to the denominator.
_LEAST_MASS = SMALLEST_MASS / np.finfo(np.float64).eps


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


@jit
def settle(kernel, windows, left_out, output, begin, last, total, over, into):
    """Evaluate the sums of windows, and add up the squared errors.

    Parameters as in `square` and `add_errors`. `over` is zero if rows above are not summed separately.
    """
    y, w, w_rest = part_of(left_out.Y[output], left_out.w, left_out.w_rest, begin, last)
    count, includes_row = last - begin, 1.0
    read_off(kernel, windows.sums, windows.here, count, total)
    if has_sides(kernel):
        read_off(kernel, windows.above, windows.here_above, count, over)
        includes_row = 0.0
    weight, error, slope = square(total, over, windows.wrong, includes_row, y, w, w_rest, left_out.v[begin:last])
    into[0] += weight
    into[1] += error
    into[2] += slope


@jit
def are_alike(Z, g, lower, upper, first, last):
    """Whether consecutive rows may form a segment: their extent and their fringes are small."""
    is_narrow = (Z[last] - Z[first]) * g <= 0.5
    return is_narrow and max(lower[last] - lower[first], upper[last] - upper[first]) <= FRINGE


@jit
def end_of_segment(Z, g, lower, upper, first, last):
    """The row after the segment that starts at row `first`, at most `last`."""
    if are_alike(Z, g, lower, upper, first, last - 1):
        return last
    low, high = first + 1, last - 1
    while low < high:
        end = (low + high + 1) // 2
        if are_alike(Z, g, lower, upper, first, end - 1):
            low = end
        else:
            high = end - 1
    return low


@jit_sum
def square(total, above, wrong, includes_row, y, w, w_rest, v):
    """Squared leave-one-out errors from evaluated sums.

    Parameters
    ----------
    total, above : float64[:, ::1]
        Results of `read_off`, whose sum is used. Line 4 of `total` is set to 1 for rows whose error is certified, else
        to 0; line 5 to their weighted squared errors.
    wrong : float64[::1]
        Error bounds of the denominators.
    includes_row : float
        1 if the sums include the row itself, else 0.
    y, w, w_rest : float64[::1]
    v : float64[::1]
        Weight of each squared error.

    Returns
    -------
    weight, error, slope : float
        Over the certified rows: sums of v and of squared errors, and the derivative of the latter in log h.
    """
    weight = error = slope = 0.0
    for c in range(y.shape[0]):
        left_out = includes_row * w[c] - w_rest[c]
        denominator = total[0, c] + above[0, c] - left_out
        m = (total[1, c] + above[1, c] - left_out * y[c]) / denominator
        residual = v[c] * (m - y[c])
        change = (total[3, c] + above[3, c] - m * (total[2, c] + above[2, c])) / denominator
        counts = wrong[c] < _WRONG * denominator and denominator >= _LEAST_MASS
        e = residual * (m - y[c]) if counts else 0.0
        total[4, c], total[5, c] = 1.0 if counts else 0.0, e
        weight += v[c] if counts else 0.0
        error += e
        slope += 2.0 * residual * change if counts else 0.0
    return weight, error, slope


class LeftOut(NamedTuple):
    """Rows whose leave-one-out errors are computed.

    Attributes
    ----------
    numbers : int64[::1] of shape (m,), or (0,) for all rows
        In ascending order.
    Y : float64[:, ::1] of shape (p, m)
    w, w_rest : float64[::1] of shape (m,)
        As in `Rows`.
    v : float64[::1] of shape (m,)
        Weights of the squared errors.
    """

    numbers: np.ndarray
    Y: np.ndarray
    w: np.ndarray
    w_rest: np.ndarray
    v: np.ndarray

    @classmethod
    def of(cls, rows, numbers=None, v=None):
        """All rows, or the rows with given numbers and error weights."""
        if numbers is None:
            return cls(read_only([], np.int64), rows.Y, rows.w, rows.w_rest, rows.w)
        chosen = rows.Y[:, numbers], rows.w[numbers], rows.w_rest[numbers], v
        return cls(read_only(numbers, np.int64), *map(read_only, chosen))


@jit_entry(allocates=False)
def add_errors(kernel, rows, left_out, output, g, edges, runs, roundings, start, stop, room, squares, certain, into):
    """Add up the squared leave-one-out errors of some rows.

    Parameters
    ----------
    kernel : Kernel
        Instance from `kernels.for_loops`.
    rows : Rows
        In ascending order.
    left_out : LeftOut
        m rows.
    output : int
    g : float
    edges : int32[::1] of shape (2 m,)
        As in `within_reach.bounds.find_edges`.
    runs : float64[:, ::1]
    roundings : float
    start, stop : int
        Range within `left_out`.
    room : float64[:, :, ::1]
        As in `sum_segment`.
    squares : float64[::1] of shape (m,) or (0,)
        If not empty, weighted squared errors are written to it; those of outputs from the second on are added.
    certain : bool[::1] of shape (m,)
        Written: rows whose errors are certified, the same for each output.
    into : float64[::1] of shape (3,)
        Updated: the sums that `square` returns are added.
    """
    m = left_out.w.shape[0]
    Z, lower, upper, numbers = rows.Z[0], edges[:m], edges[m:], left_out.numbers
    total, over = lanes(6, TOGETHER), lanes(4, TOGETHER)
    sums, above, here, here_above = side_by_side(kernel), side_by_side(kernel), lanes(2, TOGETHER), lanes(2, TOGETHER)
    windows = Windows(sums, above, here, here_above, lanes(1, TOGETHER)[0])
    over[:] = 0.0
    for begin in range(start, stop, TOGETHER):
        last, first = min(begin + TOGETHER, stop), begin
        while first < last:
            if numbers.shape[0] > 0:
                end, row = first + 1, numbers[first]
            else:
                end, row = end_of_segment(Z, g, lower, upper, first, last), first
            sides = lower[first:end], upper[first:end]
            sum_segment(kernel, rows, output, g, runs, roundings, row, *sides, room, first - begin, windows)
            first = end
        settle(kernel, windows, left_out, output, begin, last, total, over, into)
        for i in range(begin, last):
            certain[i] = total[4, i - begin] > 0.0
        if squares.shape[0] > 0:
            for i in range(begin, last):
                squares[i] = total[5, i - begin] + (squares[i] if output > 0 else 0.0)
