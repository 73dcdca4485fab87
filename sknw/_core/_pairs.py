r"""The Gaussian between all rows, each of which is left out in turn: every pair once, for both of its rows.

The rows are divided into panels. Each meets itself and every other one once, and all sums of a panel are added to by
one thread at a time, in an order that depends on the number of rows alone: a tournament, in each round of which every
panel has at most one other to meet. So the number of threads does not change a bit.

Coordinates and weights are those of `_coordinates.py`, relative to s = 0, and so are the same for both rows.
"""

from typing import NamedTuple

import numpy as np

from ._coordinates import DOUBLE, UNIT, Block, Frame, middle_of_rows
from ._distances import Gram, between, distance, look, takes_products
from ._jit import half_to_the, jit_entry, jit_sum, not_inlined, on_stack, wide_vectors
from ._processor import aligned
from ._rows import Derivatives
from ._threads import one_thread_for_blas, run_blocks

#: Rows of a panel: enough pairs for a call, and few enough for what is kept of both to stay in the caches.
_PANEL = _MOST_ROWS = 512


def are_all(own, n):
    """Whether the queries are all rows, each of which is left out in turn."""
    return len(own) == n and np.array_equal(own, np.arange(n))


def rounds(k):
    """All pairs (i, j), i <= j, of k panels, by rounds in each of which none occurs twice.

    By the circle method: one stays, the others move on by a place.
    """
    yield [(i, i) for i in range(k)]
    places = list(range(k + k % 2))
    for _ in places[1:]:
        pairs = [tuple(sorted(pair)) for pair in zip(places, reversed(places), strict=True)][: len(places) // 2]
        yield [(i, j) for i, j in pairs if j < k]
        places = [places[0], places[-1], *places[1:-1]]


@jit_sum
def add_between(order, pairs, is_one, w_q, Y_q, w, Y, sums, dsums, columns):
    """Add the pairs of two panels, or of one, to the sums of both rows of each.

    Parameters
    ----------
    order : tuple
        As many zeros as there are powers of distances.
    pairs : one of the classes of `_distances.py`
        The rows of one panel as queries, those of the other as rows.
    is_one : bool
        Whether the panels are the same.
    w_q, Y_q : float64[::1] of shape (m,), float64[:, ::1] of shape (p, m)
        Weights of the one, and these times targets.
    w, Y : float64[::1] of shape (width,), float64[:, ::1] of shape (p, width)
        The same of the other.
    sums : float64[:, ::1] of shape (m, 1 + p)
    dsums : float64[:, :, ::1] of shape (m, q, 1 + p)
        Updated: sums of weights, and of weights times powers of distances, of the one.
    columns : float64[:, :, ::1] of shape (1 + q, 1 + p, width)
        Updated: sums of the other.
    """
    not_inlined()
    wide_vectors()
    width, y = w.shape[0], Y[0]
    # What is added up, and the powers times distances of one row: no argument can overlap with what is on the stack.
    mass, moment, powers = on_stack(3, _MOST_ROWS), on_stack(3, _MOST_ROWS), on_stack(3, _MOST_ROWS)
    for k in range(1 + len(order)):
        for j in range(width):
            mass[k, j] = moment[k, j] = 0.0
    for i in range(len(w_q)):
        look(pairs, i)
        w_i, wy_i, begin = w_q[i], Y_q[0, i], i + 1 if is_one else 0
        a0, b0, a1, b1, a2, b2 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for j in range(begin, width):
            s = distance(pairs, i, j)
            v = half_to_the(s)
            a0 += v * w[j]
            b0 += v * y[j]
            mass[0, j] += w_i * v
            moment[0, j] += wy_i * v
            powers[0, j] = v
            if len(order) > 0:
                v = v * s
                a1 += v * w[j]
                b1 += v * y[j]
                mass[1, j] += w_i * v
                moment[1, j] += wy_i * v
                powers[1, j] = v
            if len(order) > 1:
                v = v * s
                a2 += v * w[j]
                b2 += v * y[j]
                mass[2, j] += w_i * v
                moment[2, j] += wy_i * v
                powers[2, j] = v
        sums[i, 0] += a0
        sums[i, 1] += b0
        if len(order) > 0:
            dsums[i, 0, 0] += a1
            dsums[i, 0, 1] += b1
        if len(order) > 1:
            dsums[i, 1, 0] += a2
            dsums[i, 1, 1] += b2
        for c in range(1, len(Y)):
            for k in range(1 + len(order)):
                v, y_c, column, more = powers[k], Y[c], columns[k, 1 + c], 0.0
                for j in range(begin, width):
                    more += v[j] * y_c[j]
                    column[j] += Y_q[c, i] * v[j]
                if k == 0:
                    sums[i, 1 + c] += more
                else:
                    dsums[i, k - 1, 1 + c] += more
    for k in range(1 + len(order)):
        for j in range(width):
            columns[k, 0, j] += mass[k, j]
            columns[k, 1, j] += moment[k, j]


@jit_entry(allocates=False)
def add_pairs(order, pairs, is_one, w_q, Y_q, w, Y, sums, dsums, columns):
    """`add_between`, for Python."""
    add_between(order, pairs, is_one, w_q, Y_q, w, Y, sums, dsums, columns)


class _Panel(NamedTuple):
    """Some rows as the loops take them: as queries and as rows, with weights, and these times targets."""

    rows: slice
    block: Block
    B: np.ndarray
    w: np.ndarray
    Y: np.ndarray

    @classmethod
    def of(cls, whole, rows, part):
        """Of a slice of all rows."""
        block, w = whole.part(part), rows.w[part]
        return cls(part, block, np.ascontiguousarray(block.A.T), w, w * rows.Y[:, part])


def meet(frame, whole, work, *, rtol, by_matrices, n_threads):
    """Call ``work(one, other, pairs)`` for each pair of panels, once.

    Parameters
    ----------
    frame : Frame
    whole : Block
        All rows.
    work : callable
        Takes two panels, and their pairs as one of the classes of `_distances.py`.
    rtol, by_matrices, n_threads
        As in `gaussian_sums`.
    """
    n, d = whole.A.shape
    most = frame.most_for_products(rtol) if by_matrices or takes_products(d) else -1.0
    panels = [_Panel.of(whole, frame.rows, slice(start, min(start + _PANEL, n))) for start in range(0, n, _PANEL)]

    def one(i, j):
        panel, other = panels[i], panels[j]
        (A, squares_q), squares = panel.block, other.block.squares
        by_products = squares_q.max() + squares.max() <= most
        if by_products and by_matrices:
            pairs = Gram(squares_q, squares, A @ other.B)
        else:
            pairs = between(A, squares_q, other.B, squares, by_products=by_products)
        work(panel, other, pairs)

    with one_thread_for_blas():
        for some in rounds(len(panels)):
            run_blocks(one, some, n_threads)


def add_all_pairs(frame, sums, dsums, **how):
    """Add all other rows to the sums of each, unless one is too far from the middle.

    Parameters
    ----------
    frame : Frame
    sums, dsums : ndarray
        As in `add_between`, of all rows.
    **how
        As in `meet`.

    Returns
    -------
    bool
        Whether it has been done.

    Notes
    -----
    Takes O(n² (d + p) / 2) time, and besides O(n (d + p)) numbers the memory of two panels for each thread.
    """
    rows, order = frame.rows, (0,) * dsums.shape[1]
    whole = frame.block(rows.Z.T)
    if not frame.is_near(whole.squares, how["rtol"]).all():
        return False

    def add(one, other, pairs):
        columns, part = np.zeros((1 + len(order), sums.shape[1], len(other.w))), one.rows
        add_pairs(order, pairs, one is other, one.w, one.Y, other.w, other.Y, sums[part], dsums[part], columns)
        sums[other.rows] += columns[0].T
        dsums[other.rows] += columns[1:].transpose(2, 0, 1)

    meet(frame, whole, add, **how)
    sums[:, 0] += rows.w_rest
    sums[:, 1:] += (rows.w_rest * rows.Y).T
    return True


@jit_sum
def add_adjoints_between(pairs, is_one, left_q, left, right_q, right, of_rows, UB, U):
    """Write the adjoint weights of the pairs of two panels, or of one, and add them up.

    Parameters
    ----------
    pairs, is_one
        As in `add_between`.
    left_q : float64[:, ::1] of shape (m, 1 + p)
        Weights of the rows of the one, and these times targets.
    right_q : float64[:, ::1] of shape (m, 1 + p)
        Derivatives of the function in mass and moments, which are relative to s = 0.
    left, right : float64[:, ::1] of shape (1 + p, width)
        The same of the other.
    of_rows : float64[::1] of shape (width,)
        Updated: sums over rows of the one.
    UB : float64[:, ::1] of shape (m, 1 + d)
        Updated: sums over rows of the other.
    U : float64[:, ::1] of shape (m, width)
        Overwritten.
    """
    not_inlined()
    wide_vectors()
    powers, width = on_stack(1, _MOST_ROWS), of_rows.shape[0]
    w, wy, mass, moment = left[0], left[1], right[0], right[1]
    for i in range(len(left_q)):
        look(pairs, i)
        begin, u, total = i + 1 if is_one else 0, U[i], 0.0
        u[:begin] = 0.0
        for j in range(begin, width):
            powers[0, j] = half_to_the(distance(pairs, i, j))
        left_w, left_y, right_w, right_y = left_q[i, 0], left_q[i, 1], right_q[i, 0], right_q[i, 1]
        for j in range(begin, width):
            u[j] = left_w * mass[j] + left_y * moment[j] + right_w * w[j] + right_y * wy[j]
        for k in range(2, left.shape[0]):
            wy_k, moment_k, left_y, right_y = left[k], right[k], left_q[i, k], right_q[i, k]
            for j in range(begin, width):
                u[j] += left_y * moment_k[j] + right_y * wy_k[j]
        for j in range(begin, width):
            u[j] *= powers[0, j]
            of_rows[j] += u[j]
            total += u[j]
        UB[i, 0] += total


@jit_entry(allocates=False)
def add_adjoints(pairs, is_one, left_q, left, right_q, right, of_rows, UB, U):
    """`add_adjoints_between`, for Python."""
    add_adjoints_between(pairs, is_one, left_q, left, right_q, right, of_rows, UB, U)


#: Squares of coordinates of which sums may be formed that are subtracted from each other: 12 digits are left.
_MOST_SQUARE = 1e4


def gradient_of_all_pairs(rows, g, shift, adjoints, *, derivatives, by_matrices, rtol, n_threads):
    """`_reverse.gradient` where every row is a query and left out.

    Returns
    -------
    ndarray of shape (q,), or None
        None if distances do not have the digits that are asked for, or weights are too far from 1.

    Notes
    -----
    Takes O(n² (d + p) / 2) time, and O(n d) memory. By sums of products: rounding is relative to the extent of the
    rows, in units of the bandwidth, squared.
    """
    d, n = rows.Z.shape
    frame = Frame(rows, middle_of_rows(rows), g * np.sqrt(UNIT))
    whole = frame.block(rows.Z.T)
    with np.errstate(over="ignore", invalid="ignore"):
        right = adjoints * np.exp2(UNIT * shift)[:, None]
    is_near = frame.is_near(whole.squares, rtol).all() and whole.squares.max() <= _MOST_SQUARE
    # Where the nearest row is far, or light beside all others, these would count with the least power there is.
    farthest = shift.max()
    lightest = np.min(rows.w, where=rows.w > 0, initial=np.inf)
    is_heavy = rows.w.sum() * DOUBLE.least <= DOUBLE.roundoff * lightest * np.exp2(-UNIT * farthest)
    if not is_near or not farthest < DOUBLE.farthest or not is_heavy or not np.isfinite(right).all():
        return None
    left = np.concatenate([rows.w[None], rows.w * rows.Y]).T.copy()
    # Sums of all adjoint weights of each row, and those of its pairs with rows of later panels times coordinates.
    mass, UB = np.zeros(n), np.zeros((n, 1 + d))

    def add(one, other, pairs):
        of_rows, U = np.zeros(len(other.w)), aligned((len(one.w), len(other.w)))
        first, start = one.rows, other.rows
        sides = left[first], left[start].T.copy(), right[first], right[start].T.copy()
        add_adjoints(pairs, one is other, *sides, of_rows, UB[first], U)
        mass[start] += of_rows
        UB[first, 1:] += U @ other.B.T

    meet(frame, whole, add, rtol=rtol, by_matrices=by_matrices, n_threads=n_threads)
    A = whole.A
    mass += UB[:, 0]
    with one_thread_for_blas():
        if derivatives == Derivatives.FEATURES:
            return (mass @ (A * A) - 2 * np.einsum("ik,ik->k", A, UB[:, 1:])) / UNIT
        across = A.T @ UB[:, 1:]
        return (((A.T * mass) @ A - across - across.T) / UNIT)[np.triu_indices(d)]
