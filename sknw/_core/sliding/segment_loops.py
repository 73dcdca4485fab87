r"""One feature, each row in turn left out: kernels that are polynomials of the distance, in linear time.

Rows that follow each other within half a bandwidth, a segment, have windows that are much alike: most of their rows
are common to all, the core, and the others enter or leave one after the other, the fringes::

    rows       . .[.. . . .:.   .  .. .  . .. :. .. . ]. .
    first             window           |
    last             window                     |
                      left  |      core       |  right
                     fringe |     segment     |  fringe

So a window is the core, a suffix of the left fringe and a prefix of the right one, and its sum is had without taking
anything back. All three are held as their moments about the middle of the segment, as in `_moments.py`. The core is
summed up from runs of so many rows, runs of runs and so on, whose moments are known, and from single rows at its ends.

Of some rows, which are far from each other, each is a segment of its own: its window is a core without fringes.

Where a kernel has a kink at 0, being a polynomial of the distance and not of its square, rows below and rows above are
summed up apart: of the core what is on either side of the segment, of the segment what is before and after the row.

Sums about the middle lose digits where weights are small beside the terms that they are made of: where all rows in
reach are near the edge, or none is. How many is known, in comparison with the number of rows in reach, and what has
too few is summed up once more in another way.

Notation as in `_sliding.py`.
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

#: Rows of a run, and runs of the next larger one.
RUN, RUNS = 128, 8


#: The longest fringes of a segment.
FRINGE = 512


#: What a leave-one-out average may be wrong by, over the range of the targets and whatever `rtol` is, as far as a bound
#: can tell that takes all roundings to be the worst they can be. What is found is a hundred times less.
_WRONG = 1e-11


#: Below this, rounding is not relative to a mass any more.
_LEAST_MASS = SMALLEST_MASS / np.finfo(np.float64).eps


#: How many roundings a term goes through at most, one after the other, with up to 9 moments: on its way to a moment (2
#: for the distance, 3 for each power) and from there to the average; and on each level of runs, where it is moved (18),
#: meets the others of its run (8) and those that are summed up before (14).
ROUNDINGS, ROUNDINGS_OF_LEVEL = 54, 40

_UNIT = 0.5 * np.finfo(np.float64).eps


@jit
def has_sides(kernel):
    """Whether rows below and rows above are summed up apart."""
    return exponents(kernel)[0] % 2 == 1


@jit_sum
def add_rows(kernel, z, y, w, g, b, T):
    """Add some rows to a sum about b."""
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
    """The same part of three arrays."""
    return a[first:last], b[first:last], c[first:last]


@jit
def add_range(kernel, Z, y, w, g, b, first, last, T):
    """Add rows `first` to `last` - 1 to a sum about b."""
    add_rows(kernel, *part_of(Z, y, w, first, last), g, b, T)


@jit
def middle(Z, size, r):
    """What the moments of run r are about, on the level of runs of so many rows."""
    return Z[r * size + size // 2]


@jit
def add_runs(kernel, Z, g, b, runs, size, start, first, last, T):
    """Add some runs to a sum about b; returns how far from there their rows are at most, by way of what runs are about.

    Parameters
    ----------
    runs : float64[:, ::1]
        Of each run, its moments and how far its rows are from its middle at most, by way of those of smaller runs.
    size, start : int
        Rows of a run, and line of the first such run.
    first, last : int
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
    """Add some rows to a sum about b, as many of them as can be in runs; returns the same as `add_runs`."""
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
    """Write the moments of some runs.

    Parameters
    ----------
    kernel : tuple of as many zeros as the code of the kernel
    rows : Rows
    output : int
    g : float
    size : int
        Rows of a run.
    below, start : int
        Lines of the first of the runs that these are made of, and of the first of these.
    first, last : int
        The runs.
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
    """Write the sums of T and of all these rows, then of those but the first, and so on."""
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
    """Write the sums of none of these rows, of the first, of that and the next one, and so on."""
    not_inlined()
    U = on_stack(kernel, 1)
    clear(kernel, U, 0)
    copy(kernel, U, 0, M, 0)
    for j in range(z.shape[0]):
        add_row(kernel, (z[j] - b) * g, w[j], w[j] * y[j], U, 0)
        copy(kernel, U, 0, M, j + 1)


@jit
def mirror(kernel, M, i):
    """Turn round the signs of all distances in sum i."""
    for k in range(1, n_moments(kernel), 2):
        M[i, 2 * k] = -M[i, 2 * k]
        M[i, 2 * k + 1] = -M[i, 2 * k + 1]


@jit
def sum_windows(kernel, Z, y, w, g, b, runs, ends, is_mirrored, suffixes, prefixes):
    """Write what windows are made of: a suffix of some rows with all of the next ones, and a prefix of those after.

    Parameters
    ----------
    ends : tuple of four int
        Where the first of the three begin, and where each ends.
    is_mirrored : bool
        Whether the signs of all distances are turned round.
    suffixes, prefixes : float64[:, ::1]
        Written: sums about b.

    Returns
    -------
    float
        As of `add_core`.
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
    """Sums that are read off together, one column for each row; some kernels have the rows above it apart.

    Attributes
    ----------
    sums, above : float64[:, ::1]
        Moments, from two places.
    here, here_above : float64[:, ::1] of two lines
        Where the rows are, as `read_off` wants it.
    wrong : float64[::1]
        Bounds of what masses are wrong by.
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
        How many of them a term goes through in a core that runs are in.
    start : int
        The first row.
    lower, upper : int32[::1]
        Where the window of each begins and ends.
    room : float64[:, :, ::1] of shape (4, 1 + `FRINGE`, 2 * `n_moments`)
        Overwritten.
    first : int
        Column of the first row.
    windows : Windows
    """
    args = kernel, rows.Z[0], rows.Y[output], rows.w, g
    Z, n = rows.Z[0], lower.shape[0]
    end = start + n
    # The fringes, between which there is the core. Two kinds of numbers would have functions compiled twice.
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
    # Terms are no larger than that, for weights of one.
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
    """Read off the sums of some windows and add the squared errors up; parameters as of `square` and its callers.

    The sums of rows above are to be 0 throughout if these are not apart.
    """
    y, w, w_rest = part_of(left_out.Y[output], left_out.w, left_out.w_rest, begin, last)
    count, has_own = last - begin, 1.0
    read_off(kernel, windows.sums, windows.here, count, total)
    if has_sides(kernel):
        read_off(kernel, windows.above, windows.here_above, count, over)
        has_own = 0.0
    weight, error, slope = square(total, over, windows.wrong, has_own, y, w, w_rest, left_out.v[begin:last])
    into[0] += weight
    into[1] += error
    into[2] += slope


@jit
def are_alike(Z, g, lower, upper, first, last):
    """Whether the rows from one to another are a segment, with fringes that are no longer than there is room for."""
    is_narrow = (Z[last] - Z[first]) * g <= 0.5
    return is_narrow and max(lower[last] - lower[first], upper[last] - upper[first]) <= FRINGE


@jit
def end_of_segment(Z, g, lower, upper, first, last):
    """The first row before `last` that is not in the segment of row `first`, or that."""
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
def square(total, above, wrong, has_own, y, w, w_rest, v):
    """Squared leave-one-out errors from sums that have been read off.

    Parameters
    ----------
    total, above : float64[:, ::1]
        As in `read_off`, to be added up. Line 4 of the former is set to 1 for rows of which the prediction is certain,
        or else 0; line 5 to their share v of squared errors.
    wrong : float64[::1]
        Bounds of what masses are wrong by.
    has_own : float
        1 if they have the row itself in them, else 0.
    y, w, w_rest : float64[::1]
    v : float64[::1]
        What each error counts: the weight w, or another one.

    Returns
    -------
    weight, error, slope : float
        Of the rows of which it is certain: the sums of v and of line 5, and the derivative of the latter in log h.
    """
    weight = error = slope = 0.0
    for c in range(y.shape[0]):
        left_out = has_own * w[c] - w_rest[c]
        mass = total[0, c] + above[0, c] - left_out
        m = (total[1, c] + above[1, c] - left_out * y[c]) / mass
        residual = v[c] * (m - y[c])
        change = (total[3, c] + above[3, c] - m * (total[2, c] + above[2, c])) / mass
        counts = wrong[c] < _WRONG * mass and mass >= _LEAST_MASS
        e = residual * (m - y[c]) if counts else 0.0
        total[4, c], total[5, c] = 1.0 if counts else 0.0, e
        weight += v[c] if counts else 0.0
        error += e
        slope += 2.0 * residual * change if counts else 0.0
    return weight, error, slope


class LeftOut(NamedTuple):
    """Rows each of which is left out in turn.

    Attributes
    ----------
    numbers : int64[::1] of shape (m,), or (0,) for all rows
        In ascending order.
    Y : float64[:, ::1] of shape (p, m)
    w, w_rest : float64[::1] of shape (m,)
        As in `Rows`.
    v : float64[::1] of shape (m,)
        What their errors count: their weights, or others.
    """

    numbers: np.ndarray
    Y: np.ndarray
    w: np.ndarray
    w_rest: np.ndarray
    v: np.ndarray

    @classmethod
    def of(cls, rows, numbers=None, v=None):
        """All rows, or some with weights of their own."""
        if numbers is None:
            return cls(read_only([], np.int64), rows.Y, rows.w, rows.w_rest, rows.w)
        some = rows.Y[:, numbers], rows.w[numbers], rows.w_rest[numbers], v
        return cls(read_only(numbers, np.int64), *map(read_only, some))


@jit_entry(allocates=False)
def add_errors(kernel, rows, left_out, output, g, edges, runs, roundings, start, stop, room, squares, certain, into):
    """Add up the squared errors of some rows, each of which is left out in turn.

    Parameters
    ----------
    kernel : tuple of as many zeros as the code of the kernel
    rows : Rows
        In ascending order.
    left_out : LeftOut
        m of them.
    output : int
    g : float
    edges : int32[::1] of shape (2 m,)
    runs : float64[:, ::1]
    roundings : float
    start, stop : int
        Which of those that are left out.
    room : float64[:, :, ::1]
        As in `sum_segment`.
    squares : float64[::1] of shape (m,) or (0,)
        What they count times squared errors is written to it, or added from the second output on, if there is room.
    certain : bool[::1] of shape (m,)
        Written: of which rows predictions are certain, the same for each output: that depends on the mass.
    into : float64[::1] of shape (3,)
        What they count, error and slope are added to it.
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
