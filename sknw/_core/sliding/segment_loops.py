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

from ..problem import SMALLEST_MASS, read_only
from ..runtime.jit import jit, jit_entry, jit_sum
from ..runtime.jit import on_stack as lanes
from .moments import TOGETHER, read_off, side_by_side
from .segment_sums import Windows, has_sides, part_of, sum_segment

#: Maximum length of the fringes of a segment.
FRINGE = 512


#: Maximum bound of the error of a leave-one-out average, relative to the range of the targets, whatever `rtol` is. The
#: bound assumes the worst case of all roundings; observed errors are a hundred times smaller.
_LARGEST_BOUND = 1e-11


#: Below this, rounding errors are no longer relative to the denominator.
_LEAST_MASS = SMALLEST_MASS / np.finfo(np.float64).eps


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
        counts = wrong[c] < _LARGEST_BOUND * denominator and denominator >= _LEAST_MASS
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
