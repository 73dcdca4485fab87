r"""The Gaussian between all rows, each of which is left out in turn: every pair once, for both of its rows.

The rows are divided into panels. Each meets itself and every other one once, for sums of either side that are nobody
else's, and these are added up in an order that depends on the number of rows alone: the number of threads does not
change a bit.

Coordinates and weights are those of `_coordinates.py`, relative to s = 0, and so are the same for both rows.
"""

import itertools
from typing import NamedTuple

import numpy as np

from ..problem import State, Wanted
from ..runtime.blas import one_thread_for_blas
from ..runtime.exponential import half_to_the
from ..runtime.jit import jit_entry, jit_sum, not_inlined, on_stack, wide_vectors
from ..runtime.processor import aligned
from ..runtime.threads import run_blocks
from .coordinates import DOUBLE, UNIT, Block, Frame, middle_of_rows, relative_to_zero
from .distances import Gram, between, distance, takes_products

#: Rows of a panel: enough pairs for a call, and few enough for what is kept of both to stay in the caches.
_PANEL = 512


#: Pairs of panels of each thread that wait to be added up.
_AT_A_TIME = 8


#: Numbers of a line on the stack: no multiple of 512, by which addresses of loads and stores seem to be the same.
_LINE = _PANEL + 24


@jit_sum
def add_between(order, pairs, is_one, w_q, Y_q, w, Y, sums_q, sums, others):
    """Add the pairs of two panels, or of one, to the sums of both rows of each.

    Parameters
    ----------
    order : tuple
        As many zeros as there are powers of distances, q.
    pairs : one of the classes of `_distances.py`
        The rows of one panel as queries, those of the other as rows.
    is_one : bool
        Whether the panels are the same.
    w_q, Y_q : float64[::1] of shape (m,), float64[:, ::1] of shape (p, m)
        Weights of the one, and these times targets.
    w, Y : float64[::1] of shape (width,), float64[:, ::1] of shape (p, width)
        The same of the other.
    sums_q : float64[:, :, ::1] of shape (m, 1 + q, 1 + p)
        Updated: sums of weights times each power of the distance, from 0 on, of the one.
    sums : float64[:, :, ::1] of shape (width, 1 + q, 1 + p)
        The same of the other.
    others : None, or float64[:, :, ::1] of shape (1 + q, p, width)
        Room for further outputs than one.
    """
    not_inlined()
    wide_vectors()
    width, y = w.shape[0], Y[0]
    # What is added up, and the powers times distances of one row: no argument can overlap with what is on the stack.
    mass, moment, powers = on_stack(2, _LINE), on_stack(2, _LINE), on_stack(2, _LINE)
    for k in range(1 + len(order)):
        for j in range(width):
            mass[k, j] = moment[k, j] = 0.0
    for i in range(len(w_q)):
        w_i, wy_i, begin = w_q[i], Y_q[0, i], i + 1 if is_one else 0
        # One line for each power, not a loop over them: sums that have no names of their own are not kept in registers.
        a0, b0, a1, b1 = 0.0, 0.0, 0.0, 0.0
        for j in range(np.uintp(begin), np.uintp(width)):
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
        sums_q[i, 0, 0] += a0
        sums_q[i, 0, 1] += b0
        if len(order) > 0:
            sums_q[i, 1, 0] += a1
            sums_q[i, 1, 1] += b1
        if others is not None:
            for c in range(1, len(Y)):
                for k in range(1 + len(order)):
                    v, y_c, column, wy_i, moment_c = powers[k], Y[c], others[k, c], Y_q[c, i], 0.0
                    for j in range(np.uintp(begin), np.uintp(width)):
                        moment_c += v[j] * y_c[j]
                        column[j] += wy_i * v[j]
                    sums_q[i, k, 1 + c] += moment_c
    for j in range(width):
        for k in range(1 + len(order)):
            sums[j, k, 0] += mass[k, j]
            sums[j, k, 1] += moment[k, j]
            if others is not None:
                for c in range(1, len(Y)):
                    sums[j, k, 1 + c] += others[k, c, j]


@jit_entry(allocates=False)
def add_pairs(order, pairs, is_one, w_q, Y_q, w, Y, sums_q, sums, others):
    """`add_between`, for Python."""
    add_between(order, pairs, is_one, w_q, Y_q, w, Y, sums_q, sums, others)


class _Panel(NamedTuple):
    """Some rows as the loops take them: as queries and as rows, with weights, and these times targets."""

    rows: slice
    block: Block
    farthest: float  # square of a row
    B: np.ndarray
    w: np.ndarray
    Y: np.ndarray

    @classmethod
    def of(cls, whole, rows, part):
        """Of a slice of all rows."""
        block, w = whole.part(part), rows.w[part]
        return cls(part, block, block.squares.max(), np.ascontiguousarray(block.A.T), w, w * rows.Y[:, part])


def meet(frame, whole, work, put, *, rtol, by_matrices, n_threads):
    """Let each pair of panels meet, once.

    Parameters
    ----------
    frame : Frame
    whole : Block
        All rows.
    work : callable
        ``work(one, other, pairs)`` takes two panels, and their pairs as one of the classes of `_distances.py`. It may
        be called by any thread.
    put : callable
        ``put(one, other, found)`` takes what it has returned, in the order of the panels.
    rtol, by_matrices, n_threads
        As in `gaussian_sums`.
    """
    n, d = whole.A.shape
    most = frame.most_for_products(rtol) if by_matrices or takes_products(d) else -1.0
    panels = [_Panel.of(whole, frame.rows, slice(start, min(start + _PANEL, n))) for start in range(0, n, _PANEL)]
    left, found = itertools.combinations_with_replacement(range(len(panels)), 2), {}

    def one(i, j):
        panel, other = panels[i], panels[j]
        (A, squares_q), squares = panel.block, other.block.squares
        by_products = panel.farthest + other.farthest <= most
        if by_products and by_matrices:
            pairs = Gram(squares_q, squares, A @ other.B)
        else:
            pairs = between(A, squares_q, other.B, squares, by_products=by_products)
        found[i, j] = work(panel, other, pairs)

    with one_thread_for_blas():
        while some := list(itertools.islice(left, _AT_A_TIME * n_threads)):
            run_blocks(one, some, n_threads)
            for i, j in some:
                put(panels[i], panels[j], found.pop((i, j)))


def frame_of_all(rows, setting):
    """Coordinates for pairs of rows, and all rows in these."""
    frame = Frame(rows, middle_of_rows(rows), setting.inv_h * np.sqrt(UNIT))
    return frame, frame.block(rows.Z.T)


def has_digits(rows, setting, *, by_matrices):
    """Whether squared distances between all rows have digits enough for `rtol`; O(n d) time."""
    frame, whole = frame_of_all(rows, setting)
    if not frame.is_near(whole.squares, setting.rtol).all():
        return False
    return not by_matrices or 2 * whole.squares.max() <= frame.most_for_products(setting.rtol)


def symmetric_sums(rows, setting, *, by_matrices, n_threads=1):
    """Gaussian sums of all rows, each of which is left out: without derivatives, or with that in the scale.

    Parameters
    ----------
    rows : Rows
        For which `has_digits` is true.
    setting : Setting
    by_matrices : bool
        Whether distances follow from products of matrices.
    n_threads : int

    Returns
    -------
    State
        Relative to s = 0. Rows that are far from all others are not computed.

    Notes
    -----
    Takes O(n² (d + p) / 2) time, and besides O(n (d + p)) numbers the memory of some panels for each thread.
    """
    (frame, whole), (p, n), q = frame_of_all(rows, setting), rows.Y.shape, setting.wanted.count(len(setting.inv_h))
    totals = np.zeros((n, 1 + q, 1 + p))

    def add(one, other, pairs):
        found = np.zeros((len(one.w), 1 + q, 1 + p)), np.zeros((len(other.w), 1 + q, 1 + p))
        others = np.zeros((1 + q, p, len(other.w))) if p > 1 else None
        add_pairs((0,) * q, pairs, one is other, one.w, one.Y, other.w, other.Y, *found, others)
        return found

    def put(one, other, found):
        totals[one.rows] += found[0]
        totals[other.rows] += found[1]

    meet(frame, whole, add, put, rtol=setting.rtol, by_matrices=by_matrices, n_threads=n_threads)
    totals[:, 0, 0] += rows.w_rest
    totals[:, 0, 1:] += (rows.w_rest * rows.Y).T
    state = State(
        np.zeros(n), np.ascontiguousarray(totals[:, 0]), np.ascontiguousarray(totals[:, 1:]), np.zeros((n, 2))
    )
    return relative_to_zero(state, rows, setting.wanted)


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
        Wanted of the function in mass and moments, which are relative to s = 0.
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
    powers, width = on_stack(1, _LINE), of_rows.shape[0]
    w, wy, mass, moment = left[0], left[1], right[0], right[1]
    for i in range(len(left_q)):
        begin, u, total = i + 1 if is_one else 0, U[i], 0.0
        u[:begin] = 0.0
        for j in range(np.uintp(begin), np.uintp(width)):
            powers[0, j] = half_to_the(distance(pairs, i, j))
        left_w, left_y, right_w, right_y = left_q[i, 0], left_q[i, 1], right_q[i, 0], right_q[i, 1]
        for j in range(np.uintp(begin), np.uintp(width)):
            u[j] = left_w * mass[j] + left_y * moment[j] + right_w * w[j] + right_y * wy[j]
        for k in range(2, left.shape[0]):
            wy_k, moment_k, left_y, right_y = left[k], right[k], left_q[i, k], right_q[i, k]
            for j in range(np.uintp(begin), np.uintp(width)):
                u[j] += left_y * moment_k[j] + right_y * wy_k[j]
        for j in range(np.uintp(begin), np.uintp(width)):
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


def gradient_of_all_pairs(rows, setting, offset, adjoints, *, by_matrices, n_threads=1):
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
    (d, n), (frame, whole) = rows.Z.shape, frame_of_all(rows, setting)
    with np.errstate(over="ignore", invalid="ignore"):
        right = adjoints * np.exp2(UNIT * offset)[:, None]
    is_near = has_digits(rows, setting, by_matrices=by_matrices) and whole.squares.max() <= _MOST_SQUARE
    # Where the nearest row is far, or light beside all others, these would count with the least power there is.
    farthest = offset.max()
    lightest = np.min(rows.w, where=rows.w > 0, initial=np.inf)
    is_heavy = rows.w.sum() * DOUBLE.least <= DOUBLE.roundoff * lightest * np.exp2(-UNIT * farthest)
    if not is_near or not farthest < DOUBLE.farthest or not is_heavy or not np.isfinite(right).all():
        return None
    left = np.concatenate([rows.w[None], rows.w * rows.Y]).T.copy()
    # Sums of all adjoint weights of each row, and those of its pairs with rows of later panels times coordinates.
    mass, UB = np.zeros(n), np.zeros((n, 1 + d))

    def add(one, other, pairs):
        of_rows, part, U = np.zeros(len(other.w)), np.zeros((len(one.w), 1 + d)), aligned((len(one.w), len(other.w)))
        first, start = one.rows, other.rows
        sides = left[first], left[start].T.copy(), right[first], right[start].T.copy()
        add_adjoints(pairs, one is other, *sides, of_rows, part, U)
        part[:, 1:] += U @ other.B.T
        return of_rows, part

    def put(one, other, found):
        mass[other.rows] += found[0]
        UB[one.rows] += found[1]

    meet(frame, whole, add, put, rtol=setting.rtol, by_matrices=by_matrices, n_threads=n_threads)
    A = whole.A
    mass += UB[:, 0]
    with one_thread_for_blas():
        if setting.wanted == Wanted.FEATURES:
            return (mass @ (A * A) - 2 * np.einsum("ik,ik->k", A, UB[:, 1:])) / UNIT
        across = A.T @ UB[:, 1:]
        return (((A.T * mass) @ A - across - across.T) / UNIT)[np.triu_indices(d)]
