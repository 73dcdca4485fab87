"""Gaussian sums over every pair, in as few operations as possible.

Coordinates are those of `coordinates`, and squared distances are computed as in `distances`. Sums have offset 0.
Queries too far from the middle of the rows for these coordinates are not computed, and remain uncertain. So do queries
so far from all rows that sums with offset 0 would underflow.

In float32 the loops have twice as many vector lanes and a polynomial of lower degree. Sums are float64 in either case.
"""

import contextlib
import math

import numpy as np

from ..problem import State, Wanted, read_only
from ..runtime.blas import one_thread_for_blas
from ..runtime.exponential import half_to_the
from ..runtime.jit import jit, jit_entry, jit_sum, not_inlined, on_stack_like, overload_jit, wide_vectors
from ..runtime.processor import aligned, bytes_of_cache, tile_width
from ..runtime.threads import run_blocks
from .coordinates import DOUBLE, FARTHEST, SINGLE, SINGLE_RTOL, UNIT, Frame, middle_of_rows, relative_to_zero
from .distances import Gram, between, distance, takes_products
from .tiles import add_numerators

#: Maximum number of rows per tile: buffers of this size are on the stack.
_MOST_ROWS = 1024


def add_powers(extras, pairs, near, row, rows, start, width, w, Y, sums, derivatives):
    """Add the rows of a tile to the sums of the selected queries.

    Parameters
    ----------
    extras : tuple of zeros
        Length 0: denominator and one numerator only. Length 1: all numerators, and the derivative in the scale if
        `derivatives` has room for it. Length 2: all numerators, and the derivatives in each feature.
    pairs : Differences, Products or Gram
    near : tuple of two floats
        Queries are selected whose squared norm is above the first and at most the second.
    row, rows, sums, derivatives
        As in `add_rows`.
    start, width : int
        First row of the tile, and number of rows.
    w : float64[::1] of shape (at least width,)
        Weights of the rows.
    Y : float64[:, ::1] of shape (p, at least width)
        Weights times targets.
    """
    raise NotImplementedError("for compiled code only")


@overload_jit(add_powers, sums=True)
def _add_powers(extras, pairs, near, row, rows, start, width, w, Y, sums, derivatives):
    """Select the loops.

    A single loop over float32 and float64 numbers would have vectors of half the length.
    """

    def at_once(extras, pairs, near, row, rows, start, width, w, Y, sums, derivatives):
        not_inlined()
        wide_vectors()
        y = Y[0]
        for i in range(sums.shape[0]):
            if near[0] < pairs.squares_q[i] <= near[1]:
                if row is not None:
                    put_weight(rows, rows.w_rest, row[i], start, width, w, Y)
                denominator, numerator = 0.0, 0.0
                for j in range(width):
                    v = half_to_the(distance(pairs, i, j))
                    denominator += v * w[j]
                    numerator += v * y[j]
                sums[i, 0] += denominator
                sums[i, 1] += numerator
                if row is not None:
                    put_weight(rows, rows.w, row[i], start, width, w, Y)

    def in_steps(extras, pairs, near, row, rows, start, width, w, Y, sums, derivatives):
        not_inlined()
        wide_vectors()
        # Stack arrays cannot alias any argument. They are separate, so that the compiler can remove one that is never
        # read.
        on_s, on_v = on_stack_like(pairs.squares, 1, _MOST_ROWS), on_stack_like(pairs.squares, 1, _MOST_ROWS)
        y, s, v = Y[0], on_s[0, :width], on_v[0, :width]
        for i in range(sums.shape[0]):
            if near[0] < pairs.squares_q[i] <= near[1]:
                if row is not None:
                    put_weight(rows, rows.w_rest, row[i], start, width, w, Y)
                for j in range(width):
                    s_j = distance(pairs, i, j)
                    s[j] = s_j
                    v[j] = half_to_the(s_j)
                denominator, numerator = 0.0, 0.0
                for j in range(width):
                    denominator += v[j] * w[j]
                    numerator += v[j] * y[j]
                sums[i, 0] += denominator
                sums[i, 1] += numerator
                add_extras(extras, pairs, i, s, v, w, Y, sums[i], derivatives[i])
                if row is not None:
                    put_weight(rows, rows.w, row[i], start, width, w, Y)

    dtype = pairs.types[pairs.fields.index("squares")].dtype
    return in_steps if len(extras) or dtype.bitwidth == 32 else at_once


def add_extras(extras, pairs, i, s, v, w, Y, sums, derivatives):
    """Add everything but the denominator and first numerator, from a tile's powers v.

    The powers may be overwritten.
    """
    raise NotImplementedError("for compiled code only")


@overload_jit(add_extras)
def _add_extras(extras, pairs, i, s, v, w, Y, sums, derivatives):
    """Select the implementation by the type of `extras`."""

    def scale(extras, pairs, i, s, v, w, Y, sums, derivatives):
        add_numerators(v, Y, 1, 0, sums)
        for q in range(derivatives.shape[0]):
            add_scaled(s, v, w, Y, derivatives[q])

    def features(extras, pairs, i, s, v, w, Y, sums, derivatives):
        add_numerators(v, Y, 1, 0, sums)
        add_squares(pairs.A[i], pairs.B, v, w, Y, derivatives)

    return [lambda extras, pairs, i, s, v, w, Y, sums, derivatives: None, scale, features][len(extras)]


@jit_sum
def add_scaled(s, v, w, Y, sums):
    """Multiply the powers v of a tile by s, and add them up."""
    not_inlined()
    wide_vectors()
    y, denominator, numerator = Y[0], 0.0, 0.0
    for j in range(v.shape[0]):
        v[j] = v[j] * s[j]
    for j in range(v.shape[0]):
        denominator += v[j] * w[j]
        numerator += v[j] * y[j]
    sums[0] += denominator
    sums[1] += numerator
    add_numerators(v, Y, 1, 0, sums)


@jit_sum
def add_squares(a, B, v, w, Y, derivatives):
    """Add up the powers v of a tile times the squared difference of each coordinate."""
    not_inlined()
    wide_vectors()
    for k in range(a.shape[0]):
        a_k, b, y, denominator, numerator = a[k], B[k], Y[0], 0.0, 0.0
        for j in range(v.shape[0]):
            t = a_k - b[j]
            t = v[j] * (t * t)
            denominator += t * w[j]
            numerator += t * y[j]
        derivatives[k, 0] += denominator
        derivatives[k, 1] += numerator
        for c in range(1, Y.shape[0]):
            y, numerator = Y[c], 0.0
            for j in range(v.shape[0]):
                t = a_k - b[j]
                numerator += v[j] * (t * t) * y[j]
            derivatives[k, 1 + c] += numerator


@jit
def fill_weights(rows, start, width, w, Y):
    """Write the weights of a tile's rows, and the weights times targets."""
    for j in range(width):
        w[j] = rows.w[start + j]
    for c in range(Y.shape[0]):
        for j in range(width):
            Y[c, j] = rows.w[start + j] * rows.Y[c, start + j]


@jit
def put_weight(rows, weights, row, start, width, w, Y):
    """Replace the weight of a row, if it is in the tile, by its entry in `weights`."""
    j = row - start
    if 0 <= j < width:
        w[j] = weights[row]
        for c in range(Y.shape[0]):
            Y[c, j] = weights[row] * rows.Y[c, row]


@jit_entry(allocates=False)
def add_rows(extras, pairs, row, rows, origin, g, w, Y, sums, derivatives):
    """Add all rows to the sums of a block of queries.

    Parameters
    ----------
    extras : tuple of zeros
        As in `add_powers`.
    pairs : Differences or Products
        With the queries, and buffers for a tile of rows.
    row : int64[::1] of shape (m,), or None
        Training row of each query, which enters with its leave-one-out weight, or -1. None if all queries are new
        points.
    rows : Rows
    origin, g : float64[::1] of shape (d,)
        Middle, and factor of each feature.
    w : float64[::1] of shape (tile,)
        Overwritten: the weights of a tile.
    Y : float64[:, ::1] of shape (p, tile)
        Overwritten: the weights times targets.
    sums : float64[:, ::1] of shape (m, 1 + p)
        Updated.
    derivatives : float64[:, :, ::1] of shape (m, q, 1 + p)
        Updated.
    """
    n, tile = rows.w.shape[0], w.shape[0]
    for start in range(0, n, tile):
        width = tile if tile < n - start else n - start  # `min` would add to the time of compilation
        pairs.squares[:width] = 0.0
        for k in range(len(g)):
            Z, b = rows.Z[k, start : start + width], pairs.B[k]
            for j in range(width):
                t = (Z[j] - origin[k]) * g[k]
                t = t if t < FARTHEST else FARTHEST
                t = t if t > -FARTHEST else -FARTHEST
                b[j] = t
                pairs.squares[j] += t * t
        fill_weights(rows, start, width, w, Y)
        add_powers(extras, pairs, (-1.0, np.inf), row, rows, start, width, w, Y, sums, derivatives)


@jit_entry(allocates=False)
def add_rows_by_matrices(extras, pairs, limit, row, rows, start, w, Y, sums, derivatives):
    """Add the rows of one tile to the sums of a block of queries, from a matrix of products.

    Parameters
    ----------
    extras, row, rows, w, Y, sums, derivatives
        As in `add_rows`.
    pairs : Gram
    limit : float
        Queries with larger squared norms are skipped, because their products are not accurate enough.
    start : int
        First row of the tile.
    """
    width = w.shape[0]
    fill_weights(rows, start, width, w, Y)
    add_powers(extras, pairs, (-1.0, limit), row, rows, start, width, w, Y, sums, derivatives)


#: Rows of a tile for matrix products.
_TILE = _MOST_ROWS


#: Maximum number of queries per block, for loops over single pairs and for matrix products. A tile is prepared once per
#: block.
_MOST_QUERIES, _MOST_BY_MATRICES = 1024, 4096


#: Minimum number of pairs per block, if there are enough queries; fewer are not worth a call.
_FEWEST_PAIRS = 2**18


#: Maximum number of multiplications per block: a tenth of a second, so that Ctrl-C is noticed between blocks.
_WORK_PER_BLOCK, _WORK_OF_MATRICES = 2**28, 2**32


def gaussian_sums(rows, setting, queries, *, by_matrices, n_threads=1):
    """Gaussian sums over every pair: VALUE, SCALE or FEATURES.

    Parameters
    ----------
    rows : Rows
    setting : Setting
        `rtol` is the maximum relative error of each weight, besides the rounding of differences. With `single`, and
        without derivatives, distances and weights are float32, with the corresponding accuracy.
    queries : Queries
    by_matrices : bool
        Whether squared distances are computed by matrix products.
    n_threads : int

    Returns
    -------
    State
        With offset 0. Queries far from all rows, or too far from their middle for `rtol`, are not computed.

    Notes
    -----
    O(m n (d + p)) time. Besides the result, each thread needs the memory of one block and one tile.
    """
    _, inv_h, wanted, rtol, single = setting
    single = single and wanted == Wanted.VALUE
    precision, state = SINGLE if single else DOUBLE, State.empty(len(queries.Z), len(rows.Y), wanted.count(len(inv_h)))
    frame = Frame(rows, middle_of_rows(rows), inv_h * math.sqrt(UNIT), precision)
    options = {"rtol": SINGLE_RTOL if single else rtol, "by_matrices": by_matrices, "n_threads": n_threads}
    row = None if queries.row is None or not (queries.row >= 0).any() else queries.row
    if len(queries.Z):
        _add_by_blocks(frame, queries.Z, row, wanted, state.sums, state.derivatives, **options)
    return relative_to_zero(state, rows, wanted, precision)


def _add_by_blocks(frame, Zq, row, wanted, sums, derivatives, *, rtol, by_matrices, n_threads):
    """Add all rows to the sums of queries near the middle, block by block."""
    (m, d), (p, n) = Zq.shape, frame.rows.Y.shape
    by_feature, limit = wanted == Wanted.FEATURES, -1.0
    extras = (0, 0) if by_feature else (0,) if p > 1 or derivatives.shape[1] else ()
    if by_matrices or (takes_products(d) and not by_feature):
        limit = frame.most_for_products(rtol)
    if not by_matrices and limit > 0:
        limit -= max(squares.max() for *_, squares in frame.tiles(_MOST_ROWS))

    def add(first, last):
        block = frame.block(Zq[first:last])
        near = frame.is_near(block.squares, rtol)
        accurate = near & (block.squares <= limit) & (not by_matrices)
        for chosen in (accurate, near & ~accurate):
            if not chosen.any():
                continue
            chosen_block, numbers = (
                block.part(chosen),
                slice(first, last) if chosen.all() else first + np.flatnonzero(chosen),
            )
            row_of_chosen = None if row is None else read_only(row[numbers], np.int64)
            args = frame, chosen_block, extras, row_of_chosen, sums[numbers], derivatives[numbers]
            if by_matrices:
                _add_by_matrices(*args, limit)
            else:
                _add_by_tiles(*args, by_products=chosen is accurate)
            sums[numbers], derivatives[numbers] = args[-2:]

    # Enough blocks for several threads, each with enough pairs to be worth a call.
    if by_matrices:
        step = min(_MOST_BY_MATRICES, m // 8, _WORK_OF_MATRICES // (n * d))
    else:
        step = min(_MOST_QUERIES, max(m // 8, _FEWEST_PAIRS // n), _WORK_PER_BLOCK // (n * max(d, 1)))
    step = math.ceil(m / math.ceil(m / max(32, step)))  # blocks of equal size
    with one_thread_for_blas() if by_matrices else contextlib.nullcontext():
        run_blocks(add, [(first, min(first + step, m)) for first in range(0, m, step)], n_threads)


def _add_by_tiles(frame, block, extras, row, sums, derivatives, *, by_products):
    """Add all rows to the sums of a block of queries, with distances computed one by one."""
    (p, n), d, dtype = frame.rows.Y.shape, len(frame.g), frame.precision.dtype
    share = np.dtype(dtype).itemsize / 8  # relative to the size of a float64
    tile = min(_MOST_ROWS, tile_width(math.ceil((d + 3) * share) + 1 + p), n)
    pairs = between(*block, aligned((d, tile), dtype), aligned((tile,), dtype), by_products=by_products)
    args = aligned((tile,)), aligned((p, tile)), sums, derivatives
    add_rows(extras, pairs, row, frame.rows, frame.origin, frame.g, *args)


def _add_by_matrices(frame, block, extras, row, sums, derivatives, limit):
    """Add all rows to the sums of a block of queries, by matrix products if accurate enough."""
    (p, n), dtype = frame.rows.Y.shape, frame.precision.dtype
    tile, squares_q = min(_TILE, n), block.squares.astype(dtype, copy=False)
    at_a_time = bytes_of_cache(2) // (tile * np.dtype(dtype).itemsize)
    room = aligned((min(at_a_time, len(block.A)), tile), dtype)
    for start, stop, B, squares in frame.tiles(tile):
        w, Y = aligned((stop - start,)), aligned((p, stop - start))
        for begin in range(0, len(block.A), at_a_time):
            chosen = slice(begin, begin + at_a_time)
            pairs = Gram(squares_q[chosen], squares, block.products(chosen, B, room))
            args = None if row is None else row[chosen], frame.rows, start, w, Y, sums[chosen], derivatives[chosen]
            add_rows_by_matrices(extras, pairs, limit - float(squares.max()), *args)
