"""Leave-one-out sums of the Gaussian: each pair is computed once, for both of its rows.

The rows are divided into panels. Each pair of panels is processed once, and writes to sums of its own. These are added
in an order that depends on the number of rows only, so that results are bitwise independent of the number of threads.

Coordinates are those of `coordinates`. Weights have offset 0, and are therefore the same for both rows of a pair.
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

#: Rows of a panel: enough pairs for a call, and small enough for the data of two panels to stay in the caches.
_PANEL = 512


#: Pairs of panels per thread whose sums are kept before they are added up.
_AT_A_TIME = 8


#: Length of a stack buffer. It is not a multiple of 512, because loads and stores would alias in the address check of
#: the processor.
_LINE = _PANEL + 24


@jit_sum
def add_between(order, pairs, is_one, w_q, Y_q, w, Y, sums_q, sums, others):
    """Add the pairs of two panels, or of one panel, to the sums of both rows of each pair.

    Parameters
    ----------
    order : tuple of zeros
        Its length q is the largest power of the squared distance.
    pairs : Differences, Products or Gram
        Rows of one panel as queries, those of the other panel as rows.
    is_one : bool
        Whether both panels are the same.
    w_q, Y_q : float64[::1] of shape (m,), float64[:, ::1] of shape (p, m)
        Weights of the first panel, and weights times targets.
    w, Y : float64[::1] of shape (width,), float64[:, ::1] of shape (p, width)
        The same for the second panel.
    sums_q : float64[:, :, ::1] of shape (m, 1 + q, 1 + p)
        Updated: for the first panel, sums of weights times each power of the squared distance, from 0 on.
    sums : float64[:, :, ::1] of shape (width, 1 + q, 1 + p)
        Updated: the same for the second panel.
    others : float64[:, :, ::1] of shape (1 + q, p, width), or None
        Buffer for outputs from the second on; None if there is one output.
    """
    not_inlined()
    wide_vectors()
    width, y = w.shape[0], Y[0]
    # Sums, and weights times powers of the distance, of one row. Stack arrays cannot alias any argument.
    denominator, numerator, powers = on_stack(2, _LINE), on_stack(2, _LINE), on_stack(2, _LINE)
    for k in range(1 + len(order)):
        for j in range(width):
            denominator[k, j] = numerator[k, j] = 0.0
    for i in range(len(w_q)):
        w_i, wy_i, begin = w_q[i], Y_q[0, i], i + 1 if is_one else 0
        # Written out for each power instead of a loop: only named sums stay in registers.
        a0, b0, a1, b1 = 0.0, 0.0, 0.0, 0.0
        for j in range(np.uintp(begin), np.uintp(width)):
            s = distance(pairs, i, j)
            v = half_to_the(s)
            a0 += v * w[j]
            b0 += v * y[j]
            denominator[0, j] += w_i * v
            numerator[0, j] += wy_i * v
            powers[0, j] = v
            if len(order) > 0:
                v = v * s
                a1 += v * w[j]
                b1 += v * y[j]
                denominator[1, j] += w_i * v
                numerator[1, j] += wy_i * v
                powers[1, j] = v
        sums_q[i, 0, 0] += a0
        sums_q[i, 0, 1] += b0
        if len(order) > 0:
            sums_q[i, 1, 0] += a1
            sums_q[i, 1, 1] += b1
        if others is not None:
            for c in range(1, len(Y)):
                for k in range(1 + len(order)):
                    v, y_c, column, wy_i, numerator_c = powers[k], Y[c], others[k, c], Y_q[c, i], 0.0
                    for j in range(np.uintp(begin), np.uintp(width)):
                        numerator_c += v[j] * y_c[j]
                        column[j] += wy_i * v[j]
                    sums_q[i, k, 1 + c] += numerator_c
    for j in range(width):
        for k in range(1 + len(order)):
            sums[j, k, 0] += denominator[k, j]
            sums[j, k, 1] += numerator[k, j]
            if others is not None:
                for c in range(1, len(Y)):
                    sums[j, k, 1 + c] += others[k, c, j]


@jit_entry(allocates=False)
def add_pairs(order, pairs, is_one, w_q, Y_q, w, Y, sums_q, sums, others):
    """Entry point of `add_between`."""
    add_between(order, pairs, is_one, w_q, Y_q, w, Y, sums_q, sums, others)


class _Panel(NamedTuple):
    """A panel of rows, as queries and as rows, with weights and weights times targets."""

    rows: slice
    block: Block
    farthest: float  # largest squared norm
    B: np.ndarray
    w: np.ndarray
    Y: np.ndarray

    @classmethod
    def of(cls, whole, rows, chosen):
        """The panel of a slice of all rows."""
        block, w = whole.part(chosen), rows.w[chosen]
        return cls(chosen, block, block.squares.max(), np.ascontiguousarray(block.A.T), w, w * rows.Y[:, chosen])


def meet(frame, whole, work, put, *, rtol, by_matrices, n_threads):
    """Process each pair of panels once.

    Parameters
    ----------
    frame : Frame
    whole : Block
        All rows.
    work : callable
        ``work(one, other, pairs)`` takes two panels, and their pairs as `Differences`, `Products` or `Gram`. It may be
        called on any thread.
    put : callable
        ``put(one, other, result)`` takes the return value of `work`, in the order of the panels.
    rtol, by_matrices, n_threads
        As in `gaussian_sums`.
    """
    n, d = whole.A.shape
    limit = frame.most_for_products(rtol) if by_matrices or takes_products(d) else -1.0
    panels = [_Panel.of(whole, frame.rows, slice(start, min(start + _PANEL, n))) for start in range(0, n, _PANEL)]
    remaining, results = itertools.combinations_with_replacement(range(len(panels)), 2), {}

    def one(i, j):
        panel, other = panels[i], panels[j]
        (A, squares_q), squares = panel.block, other.block.squares
        by_products = panel.farthest + other.farthest <= limit
        if by_products and by_matrices:
            pairs = Gram(squares_q, squares, A @ other.B)
        else:
            pairs = between(A, squares_q, other.B, squares, by_products=by_products)
        results[i, j] = work(panel, other, pairs)

    with one_thread_for_blas():
        while chunk := list(itertools.islice(remaining, _AT_A_TIME * n_threads)):
            run_blocks(one, chunk, n_threads)
            for i, j in chunk:
                put(panels[i], panels[j], results.pop((i, j)))


def frame_of_all(rows, setting):
    """The frame for pairs of rows, and all rows in its coordinates."""
    frame = Frame(rows, middle_of_rows(rows), setting.inv_h * np.sqrt(UNIT))
    return frame, frame.block(rows.Z.T)


def has_digits(rows, setting, *, by_matrices):
    """Whether squared distances between all rows are accurate enough for `rtol`; O(n d) time."""
    frame, whole = frame_of_all(rows, setting)
    if not frame.is_near(whole.squares, setting.rtol).all():
        return False
    return not by_matrices or 2 * whole.squares.max() <= frame.most_for_products(setting.rtol)


def symmetric_sums(rows, setting, *, by_matrices, n_threads=1):
    """Leave-one-out sums of the Gaussian for all rows: VALUE or SCALE.

    Parameters
    ----------
    rows : Rows
        Rows for which `has_digits` is true.
    setting : Setting
    by_matrices : bool
        Whether squared distances are computed by matrix products.
    n_threads : int

    Returns
    -------
    State
        With offset 0. Rows far from all others are not computed.

    Notes
    -----
    O(n² (d + p) / 2) time; memory for O(n (d + p)) numbers and some panels per thread.
    """
    (frame, whole), (p, n), q = frame_of_all(rows, setting), rows.Y.shape, setting.wanted.count(len(setting.inv_h))
    totals = np.zeros((n, 1 + q, 1 + p))

    def add(one, other, pairs):
        result = np.zeros((len(one.w), 1 + q, 1 + p)), np.zeros((len(other.w), 1 + q, 1 + p))
        others = np.zeros((1 + q, p, len(other.w))) if p > 1 else None
        add_pairs((0,) * q, pairs, one is other, one.w, one.Y, other.w, other.Y, *result, others)
        return result

    def put(one, other, result):
        totals[one.rows] += result[0]
        totals[other.rows] += result[1]

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
        Weights of the first panel, and weights times targets.
    right_q : float64[:, ::1] of shape (m, 1 + p)
        Derivatives of the function in the denominator and numerators, for sums with offset 0.
    left, right : float64[:, ::1] of shape (1 + p, width)
        The same for the second panel.
    of_rows : float64[::1] of shape (width,)
        Updated: sums over the first panel.
    UB : float64[:, ::1] of shape (m, 1 + d)
        Updated: sums over the second panel.
    U : float64[:, ::1] of shape (m, width)
        Overwritten.
    """
    not_inlined()
    wide_vectors()
    powers, width = on_stack(1, _LINE), of_rows.shape[0]
    w, wy, denominator, numerator = left[0], left[1], right[0], right[1]
    for i in range(len(left_q)):
        begin, u, total = i + 1 if is_one else 0, U[i], 0.0
        u[:begin] = 0.0
        for j in range(np.uintp(begin), np.uintp(width)):
            powers[0, j] = half_to_the(distance(pairs, i, j))
        left_w, left_y, right_w, right_y = left_q[i, 0], left_q[i, 1], right_q[i, 0], right_q[i, 1]
        for j in range(np.uintp(begin), np.uintp(width)):
            u[j] = left_w * denominator[j] + left_y * numerator[j] + right_w * w[j] + right_y * wy[j]
        for k in range(2, left.shape[0]):
            wy_k, numerator_k, left_y, right_y = left[k], right[k], left_q[i, k], right_q[i, k]
            for j in range(np.uintp(begin), np.uintp(width)):
                u[j] += left_y * numerator_k[j] + right_y * wy_k[j]
        for j in range(np.uintp(begin), np.uintp(width)):
            u[j] *= powers[0, j]
            of_rows[j] += u[j]
            total += u[j]
        UB[i, 0] += total


@jit_entry(allocates=False)
def add_adjoints(pairs, is_one, left_q, left, right_q, right, of_rows, UB, U):
    """Entry point of `add_adjoints_between`."""
    add_adjoints_between(pairs, is_one, left_q, left, right_q, right, of_rows, UB, U)


#: Largest squared norm for which sums of products may be subtracted from each other; 12 digits are left.
_MOST_SQUARE = 1e4


def gradient_of_all_pairs(rows, setting, offset, adjoints, *, by_matrices, n_threads=1):
    """`adjoint.gradient` for the Gaussian, if the queries are all rows, each left out.

    Returns
    -------
    ndarray of shape (q,), or None
        None if squared distances are not accurate enough, or if weights with offset 0 might underflow.

    Notes
    -----
    O(n² (d + p) / 2) time, and O(n d) memory. Rounding errors of the sums of products are proportional to the squared
    extent of the rows in bandwidths.
    """
    (d, n), (frame, whole) = rows.Z.shape, frame_of_all(rows, setting)
    with np.errstate(over="ignore", invalid="ignore"):
        right = adjoints * np.exp2(UNIT * offset)[:, None]
    is_near = has_digits(rows, setting, by_matrices=by_matrices) and whole.squares.max() <= _MOST_SQUARE
    # If the nearest row is far, or much lighter than the others, the smallest power of the others would not be
    # negligible.
    farthest = offset.max()
    lightest = np.min(rows.w, where=rows.w > 0, initial=np.inf)
    is_heavy = rows.w.sum() * DOUBLE.least <= DOUBLE.roundoff * lightest * np.exp2(-UNIT * farthest)
    if not is_near or not farthest < DOUBLE.farthest or not is_heavy or not np.isfinite(right).all():
        return None
    left = np.concatenate([rows.w[None], rows.w * rows.Y]).T.copy()
    # Sums of all adjoint weights of each row. Then sums over pairs with later panels, of adjoint weights and of these
    # times coordinates.
    rho, UB = np.zeros(n), np.zeros((n, 1 + d))

    def add(one, other, pairs):
        of_rows, sums, U = np.zeros(len(other.w)), np.zeros((len(one.w), 1 + d)), aligned((len(one.w), len(other.w)))
        first, start = one.rows, other.rows
        sides = left[first], left[start].T.copy(), right[first], right[start].T.copy()
        add_adjoints(pairs, one is other, *sides, of_rows, sums, U)
        sums[:, 1:] += U @ other.B.T
        return of_rows, sums

    def put(one, other, result):
        rho[other.rows] += result[0]
        UB[one.rows] += result[1]

    meet(frame, whole, add, put, rtol=setting.rtol, by_matrices=by_matrices, n_threads=n_threads)
    A = whole.A
    rho += UB[:, 0]
    with one_thread_for_blas():
        if setting.wanted == Wanted.FEATURES:
            return (rho @ (A * A) - 2 * np.einsum("ik,ik->k", A, UB[:, 1:])) / UNIT
        across = A.T @ UB[:, 1:]
        return (((A.T * rho) @ A - across - across.T) / UNIT)[np.triu_indices(d)]
