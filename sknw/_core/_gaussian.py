r"""The Gaussian over every pair: what most sums are, in as few operations as there can be.

Coordinates are those of `_coordinates.py`. Queries that are too far from the middle for these, and those so far from
all rows that sums would leave the range of the numbers, are left to `_dense.py`.

In float32 the loops have twice as many lanes and fewer terms; sums are float64 all the same.
"""

import contextlib
import math

import numpy as np

from ._coordinates import (
    DOUBLE,
    FARTHEST,
    SINGLE,
    SINGLE_RTOL,
    UNIT,
    Block,
    distances_from_products,
    middle_of_rows,
    most_for_products,
)
from ._dense import add_moments, add_scaled, copy, squared_distances
from ._jit import as_in, bits, half_to_the, jit, jit_entry, jit_sum, not_inlined, number, overload_jit, wide_vectors
from ._pairs import add_all_pairs, are_all
from ._processor import aligned, bytes_of_cache, tile_width
from ._rows import Derivatives, State, read_only
from ._threads import one_thread_for_blas, run_blocks

#: Squared distance of a row that is left out. Its weight is zero, and so must be its product with the distance.
_OUT = 1e30


def add_powers(s, w, Y, start, v, sums):
    """Write the weights of a tile to v and add up mass and moments; returns the smallest s."""
    raise NotImplementedError("for compiled code only")


@overload_jit(add_powers, sums=True)
def _add_powers(s, w, Y, start, v, sums):
    """Choose the loops by precision: one for float64; with float32 in it, that would have half as many lanes."""

    def double(s, w, Y, start, v, sums):
        not_inlined()
        wide_vectors()
        n = v.shape[0]
        y, low = Y[0, start : start + n], bits(np.inf)
        mass, moment = 0.0, 0.0
        for j in range(n):
            low = min(low, bits(s[j]))
            v_j = w[j] * half_to_the(s[j])
            v[j] = v_j
            mass += v_j
            moment += v_j * y[j]
        sums[0] += mass
        sums[1] += moment
        add_moments(v, Y, 1, start, sums)
        return number(low)

    def single(s, w, Y, start, v, sums):
        not_inlined()
        wide_vectors()
        n = v.shape[0]
        y, low = Y[0, start : start + n], bits(as_in(np.inf, s))
        for j in range(n):
            low = min(low, bits(s[j]))
            v[j] = w[j] * half_to_the(s[j])
        mass, moment = 0.0, 0.0
        for j in range(n):
            mass += v[j]
            moment += v[j] * y[j]
        sums[0] += mass
        sums[1] += moment
        add_moments(v, Y, 1, start, sums)
        return number(low)

    return double if s.dtype.bitwidth == 64 else single


@jit_sum
def add_squares(a, B, v, Y, start, dsums):
    """Add up the weights v of a tile times the squared difference of each coordinate, and these times Y."""
    not_inlined()
    wide_vectors()
    n = v.shape[0]
    y = Y[0, start : start + n]
    for k in range(a.shape[0]):
        a_k, b, mass, moment = a[k], B[k, :n], 0.0, 0.0
        for j in range(n):
            t = a_k - b[j]
            t = v[j] * (t * t)
            mass += t
            moment += t * y[j]
        dsums[k, 0] += mass
        dsums[k, 1] += moment
        for c in range(1, Y.shape[0]):
            y_c, moment = Y[c, start : start + n], 0.0
            for j in range(n):
                t = a_k - b[j]
                moment += v[j] * (t * t) * y_c[j]
            dsums[k, 1 + c] += moment


def add_derivatives(with_respect_to, a, B, s, v, f, Y, start, dsums):
    """Add the derivatives of a tile, of weights v: sums of v s and of v s s, as many as asked, or of each square."""
    raise NotImplementedError("for compiled code only")


@overload_jit(add_derivatives)
def _add_derivatives(with_respect_to, a, B, s, v, f, Y, start, dsums):
    """Choose what is compiled, by the type of `with_respect_to`."""

    def scale(with_respect_to, a, B, s, v, f, Y, start, dsums):
        if dsums.shape[0] > 0:
            add_scaled(v, s, f, Y, start, dsums[0])
        if dsums.shape[0] > 1:
            add_scaled(f, s, v, Y, start, dsums[1])

    def features(with_respect_to, a, B, s, v, f, Y, start, dsums):
        add_squares(a, B, v, Y, start, dsums)

    return features if len(with_respect_to) else scale


@jit
def add_tile(with_respect_to, a, B, own, rows, start, s, w, v, f, sums, dsums):
    """Add the rows of a tile, of weights w, to the sums of one query; returns the smallest s; v and f are buffers."""
    mine = own - start
    if 0 <= mine < s.shape[0]:
        w[mine] = rows.w_rest[own]
        if rows.w_rest[own] == 0.0:
            s[mine] = _OUT
    low = add_powers(s, w, rows.Y, start, v, sums)
    add_derivatives(with_respect_to, a, B, s, v, f, rows.Y, start, dsums)
    if 0 <= mine < s.shape[0]:
        w[mine] = rows.w[own]
    return low


@jit_entry(allocates=False)
def add_rows(with_respect_to, A, own, rows, origin, g, B, buffers, low, sums, dsums):
    """Add all rows to the sums of some queries.

    Parameters
    ----------
    with_respect_to : tuple
        Two zeros for derivatives in each feature, empty for as many in the scale as `dsums` has room for.
    A : ndarray[:, ::1] of shape (m, d), float64 or float32
        Queries, centred and scaled.
    own : int64[::1] of shape (m,)
        Row that each of them is, or -1.
    rows : Rows
    origin, g : float64[::1] of shape (d,)
        Middle of the queries, and factor of each feature.
    B : ndarray[:, ::1] of shape (d, tile), as A
        Room for a tile of rows.
    buffers : ndarray[:, ::1] of shape (4, tile), as A
    low : float64[::1] of shape (m,)
    sums : float64[:, ::1] of shape (m, 1 + p)
    dsums : float64[:, :, ::1] of shape (m, q, 1 + p)
        Updated, like `low` and `sums`.
    """
    n, tile = rows.w.shape[0], B.shape[1]
    for start in range(0, n, tile):
        width = min(tile, n - start)
        for k in range(A.shape[1]):
            Z, b = rows.Z[k, start : start + width], B[k, :width]
            for j in range(width):
                b[j] = min(max((Z[j] - origin[k]) * g[k], -FARTHEST), FARTHEST)
        s, w, v, f = buffers[0, :width], buffers[1, :width], buffers[2, :width], buffers[3, :width]
        copy(rows.w, start, w)
        for i in range(A.shape[0]):
            squared_distances(A[i], B, 0, None, s)
            args = A[i], B, own[i], rows, start, s, w, v, f, sums[i], dsums[i]
            low[i] = min(low[i], add_tile(with_respect_to, *args))


@jit_entry(allocates=False)
def add_rows_by_products(A, own, rows, start, B, squares_q, squares, products, most, buffers, low, sums, dsums):
    """Add the rows of one tile to the sums of some queries.

    Parameters
    ----------
    A, own, rows, low, sums, dsums
        As in `add_rows`.
    start : int
        First row of the tile.
    B : ndarray[:, ::1] of shape (d, width), as A
        Its rows, centred and scaled.
    squares_q, squares : ndarray[::1]
        Squares of queries (float64) and rows (as A).
    products : ndarray[:, ::1] of shape (m, width), as A
        Inner products.
    most : float
        How large the square of a query may be for its products to have enough digits.
    buffers : ndarray[:, ::1] of shape (4, width), as A
    """
    s, w, v, f = buffers[0], buffers[1], buffers[2], buffers[3]
    copy(rows.w, start, w)
    for i in range(A.shape[0]):
        if squares_q[i] <= most:
            distances_from_products(i, squares_q[i], squares, products, s)
        else:
            squared_distances(A[i], B, 0, None, s)
        low[i] = min(low[i], add_tile((), A[i], B, own[i], rows, start, s, w, v, f, sums[i], dsums[i]))


#: Rows of a tile of products.
_TILE = 1024

#: Queries of a block, by differences and by products, for which a tile is prepared once.
_MOST_QUERIES, _MOST_BY_PRODUCTS = 1024, 4096

_FEWEST_PAIRS = 2**18

#: Multiplications of one block, by differences and by products: a tenth of a second, so that it can be interrupted.
_WORK_PER_BLOCK, _WORK_OF_PRODUCTS = 2**28, 2**32


def gaussian_sums(rows, g, Zq, own, *, derivatives, rtol, by_products, single=False, n_threads):
    """`_sums.dense_sums` for the Gaussian: without derivatives, with those in the scale, or in each feature.

    Parameters
    ----------
    rows, g, Zq, own
        As the compiled loops take them.
    derivatives : {Derivatives.NOTHING, Derivatives.SCALE, Derivatives.CURVATURE, Derivatives.FEATURES}
    rtol : float
        What each weight may be wrong by, relative to itself, besides rounding of differences.
    by_products : bool
    single : bool
        Whether distances and weights are float32, and `rtol` that of these.
    n_threads : int

    Returns
    -------
    state : State
    rest : ndarray of int
        Queries that are not in it.

    Notes
    -----
    Takes O(m n (d + p)) time and, besides the result, m d numbers and the memory of a block and a tile for each thread.
    Where all rows are left out in turn, each pair is visited once, unless a row is so far from the middle, for `rtol`,
    that it is in `rest`: then all the others are queries like any.
    """
    (m, d), (p, n) = Zq.shape, rows.Y.shape
    precision, state = SINGLE if single else DOUBLE, State.empty(m, p, derivatives.count(d))
    with_respect_to = derivatives.for_loops() if derivatives == Derivatives.FEATURES else ()
    scaled, rtol = g * math.sqrt(UNIT), SINGLE_RTOL if single else rtol
    origin = middle_of_rows(rows)
    whole = Block(Zq, rows, origin, scaled, precision.dtype)
    near = whole.is_near(rtol, precision)
    if not near.all():
        near, asked = np.flatnonzero(near), {"derivatives": derivatives, "rtol": rtol, "by_products": by_products}
        if len(near):
            part, rest = gaussian_sums(
                rows, g, Zq[near], read_only(own[near], np.int64), single=single, n_threads=n_threads, **asked
            )
            state.put(near, part)
            near = np.delete(near, rest)
        return state, np.setdiff1d(np.arange(m), near)
    most = UNIT * most_for_products(d, rtol, precision.roundoff) if by_products else -1.0
    if are_all(own, n) and not single and derivatives != Derivatives.FEATURES:
        add_all_pairs(rows, whole, most, *state, n_threads=n_threads)
    else:
        _add_by_blocks(rows, whole, own, with_respect_to, most, *state, n_threads=n_threads)
    low, sums, dsums = state
    low /= UNIT
    # Where the nearest rows weigh next to nothing, others would count that have the least power instead of none.
    rest = ~((low < precision.farthest) & (rows.w.sum() * precision.least <= precision.roundoff * sums[:, 0]))
    relative = np.exp2(UNIT * np.where(rest, 0.0, low))  # to the nearest row
    sums *= relative[:, None]
    if derivatives >= Derivatives.SCALE:
        dsums *= (relative / UNIT)[:, None, None]
    if derivatives == Derivatives.CURVATURE:  # the second derivative is that of v s, v s (s - 2)
        dsums[:, 1] /= UNIT
        dsums[:, 1] -= 2 * dsums[:, 0]
    return state, np.flatnonzero(rest)


def _add_by_blocks(rows, whole, own, with_respect_to, most, low, sums, dsums, *, n_threads):
    """Add all rows to the sums of all queries, a block of these at a time; by products where `most` is positive."""
    (m, d), n, dtype, by_products = whole.A.shape, len(rows.w), whole.dtype, most > 0
    tile = min(_TILE, n) if by_products else tile_width(d + 4, np.dtype(dtype).itemsize)

    def add(first, last):
        part, room = slice(first, last), aligned((4, tile), dtype)
        if not by_products:
            mine = low[part], sums[part], dsums[part]
            args = own[part], rows, whole.origin, whole.g, aligned((d, tile), dtype), room, *mine
            add_rows(with_respect_to, whole.A[part], *args)
            return
        at_a_time = bytes_of_cache(2) // room[0].nbytes
        products = aligned((min(at_a_time, last - first), tile), dtype)
        for start, stop, B, squares in whole.tiles(tile):
            room = room if stop - start == room.shape[1] else aligned((4, stop - start), dtype)
            most_of_tile = most - float(squares.max())
            for begin in range(first, last, at_a_time):
                some = slice(begin, min(begin + at_a_time, last))
                args = B, whole.squares[some], squares, whole.products(some, B, products), most_of_tile, room
                add_rows_by_products(whole.A[some], own[some], rows, start, *args, low[some], sums[some], dsums[some])

    # Enough blocks for several threads, of so many pairs that they are worth a call.
    if by_products:
        step = min(_MOST_BY_PRODUCTS, m // 8, _WORK_OF_PRODUCTS // (n * d))
    else:
        step = min(_MOST_QUERIES, max(m // 8, _FEWEST_PAIRS // n), _WORK_PER_BLOCK // (n * max(d, 1)))
    step = math.ceil(m / math.ceil(m / max(32, step)))  # of equal size
    with one_thread_for_blas() if by_products else contextlib.nullcontext():
        run_blocks(add, [(first, min(first + step, m)) for first in range(0, m, step)], n_threads)
