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

Where a kernel has a kink at 0, being a polynomial of the distance and not of its square, rows below and rows above are
summed up apart: of the core what is on either side of the segment, of the segment what is before and after the row.

Sums about the middle lose digits where weights are small beside the terms that they are made of: where all rows in
reach are near the edge, or none is. How many is known, in comparison with the number of rows in reach, and what has
too few is summed up once more in another way.

Notation as in `_sliding.py`.
"""

import numpy as np

from ._jit import jit, jit_entry, jit_sum, not_inlined, wide_vectors
from ._jit import on_stack as lanes
from ._moments import (
    _A,
    _B,
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
from ._profiles import PROFILES
from ._rows import SMALLEST_MASS, Derivatives, ErrorsOfMost, Rows, read_only
from ._threads import run_blocks

#: Rows of a run, and runs of the next larger one.
_RUN, _RUNS = 128, 8

#: The longest fringes of a segment.
_FRINGE = 512

#: Rows that one call takes: some tenths of a millisecond of work.
_CALL = 2**14

#: What a leave-one-out average may be wrong by, over the range of the targets and whatever `rtol` is, as far as a bound
#: can tell that takes all roundings to be the worst they can be. What is found is a hundred times less.
_WRONG = 1e-11

#: Below this, rounding is not relative to a mass any more.
_LEAST_MASS = SMALLEST_MASS / np.finfo(np.float64).eps

#: How many roundings a term goes through at most, one after the other, with up to 9 moments: on its way to a moment (2
#: for the distance, 3 for each power) and from there to the average; and on each level of runs, where it is moved (18),
#: meets the others of its run (8) and those that are summed up before (14).
_ROUNDINGS, _ROUNDINGS_OF_LEVEL = 54, 40

_LINEAR, _TRICUBE = PROFILES["linear"].code, PROFILES["tricube"].code

_UNIT = 0.5 * np.finfo(np.float64).eps


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
    a, e, size, start, farthest = -(-first // _RUN), last // _RUN, _RUN, 0, 0.0
    if a >= e:
        add_range(kernel, Z, y, w, g, b, first, last, T)
        return farthest
    add_range(kernel, Z, y, w, g, b, first, a * _RUN, T)
    add_range(kernel, Z, y, w, g, b, e * _RUN, last, T)
    while True:
        up, down = -(-a // _RUNS), e // _RUNS
        if up >= down:
            return max(farthest, add_runs(kernel, Z, g, b, runs, size, start, a, e, T))
        farthest = max(farthest, add_runs(kernel, Z, g, b, runs, size, start, a, up * _RUNS, T))
        farthest = max(farthest, add_runs(kernel, Z, g, b, runs, size, start, down * _RUNS, e, T))
        start += Z.shape[0] // size
        a, e, size = up, down, size * _RUNS


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
        if size == _RUN:
            add_range(kernel, Z, y, w, g, b, r * size, (r + 1) * size, T)
            farthest = max(b - Z[r * size], Z[(r + 1) * size - 1] - b) * g
        else:
            farthest = add_runs(kernel, Z, g, b, runs, size // _RUNS, below, r * _RUNS, (r + 1) * _RUNS, T)
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
def are_alike(Z, g, lower, upper, first, last):
    """Whether the rows from one to another are a segment, with fringes that are no longer than there is room for."""
    is_narrow = (Z[last] - Z[first]) * g <= 0.5
    return is_narrow and max(lower[last] - lower[first], upper[last] - upper[first]) <= _FRINGE


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
def square(total, above, wrong, has_own, y, w, w_rest):
    """Squared leave-one-out errors from sums that have been read off.

    Parameters
    ----------
    total, above : float64[:, ::1]
        As in `read_off`, to be added up. Line 4 of the former is set to 1 for rows of which the prediction is certain,
        or else 0; line 5 to their weights times squared errors.
    wrong : float64[::1]
        Bounds of what masses are wrong by.
    has_own : float
        1 if they have the row itself in them, else 0.
    y, w, w_rest : float64[::1]

    Returns
    -------
    weight, error, slope : float
        Of the rows of which it is certain: their weight, the sum of line 5, and its derivative in log h.
    """
    weight = error = slope = 0.0
    for c in range(y.shape[0]):
        left_out = has_own * w[c] - w_rest[c]
        mass = total[0, c] + above[0, c] - left_out
        m = (total[1, c] + above[1, c] - left_out * y[c]) / mass
        residual = w[c] * (m - y[c])
        change = (total[3, c] + above[3, c] - m * (total[2, c] + above[2, c])) / mass
        counts = wrong[c] < _WRONG * mass and mass >= _LEAST_MASS
        e = residual * (m - y[c]) if counts else 0.0
        total[4, c], total[5, c] = 1.0 if counts else 0.0, e
        weight += w[c] if counts else 0.0
        error += e
        slope += 2.0 * residual * change if counts else 0.0
    return weight, error, slope


@jit_entry(allocates=False)
def add_errors(kernel, rows, output, g, edges, runs, roundings, start, stop, room, squares, certain, into):
    """Add up the squared errors of some rows, each of which is left out in turn.

    Parameters
    ----------
    kernel : tuple of as many zeros as the code of the kernel
    rows : Rows
        In ascending order.
    output : int
    g : float
    edges : int32[::1] of shape (2 n,)
    runs : float64[:, ::1]
    roundings : float
        How many of them a term goes through in a core that runs are in.
    start, stop : int
        The rows.
    room : float64[:, :, ::1] of shape (4, 1 + `_FRINGE`, 2 * `n_moments`)
        Overwritten.
    squares : float64[::1] of shape (n,) or (0,)
        Weights times squared errors are written to it, or added from the second output on, if there is room.
    certain : bool[::1] of shape (n,)
        Written: of which rows predictions are certain, the same for each output: that depends on the mass.
    into : float64[::1] of shape (3,)
        Weight, error and slope are added to it.
    """
    Z, y, w, w_rest, T = rows.Z[0], rows.Y[output], rows.w, rows.w_rest, on_stack(kernel, 1)
    lower, upper, begin = edges[: Z.shape[0]], edges[Z.shape[0] :], start
    left, before, after, right = room[0], room[1], room[2], room[3]
    collected, here, total, has_own = side_by_side(kernel), lanes(2, TOGETHER), lanes(6, TOGETHER), 1.0
    above, mirrored, over, wrong = side_by_side(kernel), lanes(2, TOGETHER), lanes(4, TOGETHER), lanes(1, TOGETHER)[0]
    for k in range(4):
        for c in range(TOGETHER):
            over[k, c] = 0.0
    while start < stop:
        end = end_of_segment(Z, g, lower, upper, start, min(begin + TOGETHER, stop))
        low, high = lower[start:end], upper[start:end]
        # The fringes, between which there is the core. Two kinds of numbers would have functions compiled twice.
        left_start, left_end = np.int64(low[0]), np.int64(low[-1])
        right_start, right_end = np.int64(high[0]), np.int64(high[-1])
        extent = 0.5 * (Z[end - 1] - Z[start])
        center = Z[start] + extent
        clear(kernel, T, 0)
        if len(kernel) == _LINEAR or len(kernel) == _TRICUBE:
            farthest = add_core(kernel, Z, y, w, g, center, runs, left_end, start, T)
            sum_left_fringe(kernel, *part_of(Z, y, w, left_start, left_end), g, center, T, left)
            sum_right_fringe(kernel, *part_of(Z, y, w, start, end), g, center, before)
            clear(kernel, T, 0)
            farthest = max(farthest, add_core(kernel, Z, y, w, g, center, runs, end, right_start, T))
            mirror(kernel, T, 0)
            sum_left_fringe(kernel, *part_of(Z, y, w, start, end), -g, center, T, after)
            sum_right_fringe(kernel, *part_of(Z, y, w, right_start, right_end), -g, center, right)
        else:
            farthest = add_core(kernel, Z, y, w, g, center, runs, left_end, right_start, T)
            sum_left_fringe(kernel, *part_of(Z, y, w, left_start, left_end), g, center, T, left)
            sum_right_fringe(kernel, *part_of(Z, y, w, right_start, right_end), g, center, right)
        # Terms are no larger than that, for weights of one.
        extent *= g
        size, terms = extent + max(farthest, 1.0 + extent), 1.0
        for _ in range(_A[len(kernel)]):
            terms *= 1.0 + size ** _B[len(kernel)]
        in_core = roundings if farthest > 0.0 else float(right_start - left_end)
        in_fringe = max(left_end - left_start, right_end - right_start, end - start)
        bound = terms * _UNIT * (_ROUNDINGS + in_core + in_fringe)
        first = start - begin
        for i in range(end - start):
            k = np.uint64(first + i)
            here[0, k] = (Z[np.uint64(start + i)] - center) * g
            if len(kernel) == _LINEAR or len(kernel) == _TRICUBE:
                collect_sum(kernel, left, np.uint64(low[i] - left_start), before, np.uint64(i), collected, k)
                collect_sum(kernel, right, np.uint64(high[i] - right_start), after, np.uint64(i + 1), above, k)
                mirrored[0, k], wrong[k] = -here[0, k], bound * (collected[0, k] + above[0, k])
            else:
                collect_sum(
                    kernel, left, np.uint64(low[i] - left_start), right, np.uint64(high[i] - right_start), collected, k
                )
                wrong[k] = bound * collected[0, k]
        start = end
        if end == begin + TOGETHER or end == stop:
            read_off(kernel, collected, here, end - begin, total)
            if len(kernel) == _LINEAR or len(kernel) == _TRICUBE:
                read_off(kernel, above, mirrored, end - begin, over)
                has_own = 0.0
            weight, error, slope = square(total, over, wrong, has_own, *part_of(y, w, w_rest, begin, end))
            into[0] += weight
            into[1] += error
            into[2] += slope
            for i in range(begin, end):
                certain[i] = total[4, i - begin] > 0.0
            if squares.shape[0] > 0:
                for i in range(begin, end):
                    squares[i] = total[5, i - begin] + (squares[i] if output > 0 else 0.0)
            begin = end


def squared_errors(kernel, rows, g, *, derivatives=Derivatives.NOTHING, squares=None, n_threads=1):
    """Squared leave-one-out errors of all rows of one feature of which their sums can be certain.

    Parameters
    ----------
    kernel, rows, g, n_threads
        As in `kernel_sums`; of fewer than 2^31 rows, in ascending order, and a kernel that has `powers`.
    derivatives : {Derivatives.NOTHING, Derivatives.SCALE, Derivatives.FEATURES, Derivatives.PAIRS}
        All but the first are the same in one feature.
    squares : ndarray of shape (n,), default=None
        The errors of single rows, times their weights, are written to it; 0 for those that are not certain.

    Returns
    -------
    ErrorsOfMost

    Notes
    -----
    Takes O(n p) time, and 10 n bytes of memory.
    """
    rows, compiled, g = Rows(*map(read_only, rows)), (0,) * PROFILES[kernel].code, float(g[0])
    (p, n), n_sums = rows.Y.shape, 2 * n_moments.py_func(compiled)
    edges, certain, calls = np.empty(2 * n, dtype=np.int32), np.empty(n, dtype=bool), _calls(n, _CALL)
    run_blocks(lambda start, stop: find_edges(rows.Z[0], g, start, stop, edges), calls, n_threads)
    edges.flags.writeable = False
    squares, sums = np.empty(0) if squares is None else squares, np.zeros((len(calls), 3))
    sizes = _sizes(n)
    for output in range(p):
        runs, start, below = np.empty((sum(n // size for size in sizes), n_sums + 1)), 0, 0
        for size in sizes:

            def write_runs(first, last, size=size, below=below, start=start, output=output, runs=runs):
                sum_runs(compiled, rows, output, g, size, below, start, first, last, runs)

            run_blocks(write_runs, _calls(n // size, max(1, _CALL // (_RUN if size == _RUN else _RUNS))), n_threads)
            start, below = start + n // size, start

        def add(start, stop, output=output, runs=runs):
            args = compiled, rows, output, g, edges, runs, roundings_in_core(n), start, stop
            add_errors(*args, np.empty((4, 1 + _FRINGE, n_sums)), squares, certain, sums[start // _CALL])

        run_blocks(add, calls, n_threads)
    weight, error, slope = sums.sum(axis=0) / p
    squares /= p
    return ErrorsOfMost(weight, error, np.full(derivatives.count(1), slope), np.flatnonzero(~certain))


def roundings_in_core(n):
    """How many roundings a term of a core goes through: among single rows at both ends, or in runs on all levels."""
    return float(max(2 * _RUN, _RUN + _ROUNDINGS_OF_LEVEL * len(_sizes(n))))


def _sizes(n):
    """Rows of the runs of each level, as long as there are any."""
    sizes = []
    while _RUN * _RUNS ** len(sizes) <= n:
        sizes.append(_RUN * _RUNS ** len(sizes))
    return sizes


def _calls(stop, step):
    """Parts of a range."""
    return [(start, min(start + step, stop)) for start in range(0, stop, step)]
