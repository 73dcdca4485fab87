r"""The Gaussian over every pair: what most sums are, in as few operations as there can be.

Coordinates are those of `_coordinates.py`, and distances are formed where they are needed, as in `_distances.py`. Sums
are relative to s = 0. Queries that are too far from the middle for these coordinates, and those so far from all rows
that sums would leave the range of the numbers, are left to `_dense.py` or, if they are few, to `_few.py`.

In float32 the loops have twice as many lanes and fewer terms; sums are float64 all the same.
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
from .tiles import add_moments

#: Rows of a tile at most: what loops keep of each of them is on the stack.
_MOST_ROWS = 1024


def add_powers(besides, pairs, near, own, rows, start, width, w, Y, sums, dsums):
    """Add the rows of a tile to the sums of some queries.

    Parameters
    ----------
    besides : tuple
        What is asked for besides the mass and one moment: nothing if it is empty; with one zero further moments, and
        as many derivatives in the scale as `dsums` has room for, or with two zeros derivatives in each feature.
    pairs : one of the classes of `_distances.py`
    near : tuple of two floats
        Only queries whose square is above the first and not above the second are meant.
    own, rows, sums, dsums
        As in `add_rows`.
    start, width : int
        First row of the tile, and how many there are.
    w, Y : float64[::1] of shape (at least width,), float64[:, ::1] of shape (p, at least width)
        Weights of the rows, and these times targets.
    """
    raise NotImplementedError("for compiled code only")


@overload_jit(add_powers, sums=True)
def _add_powers(besides, pairs, near, own, rows, start, width, w, Y, sums, dsums):
    """Choose the loops: in one with float32 as well as float64, vectors would be half as long."""

    def at_once(besides, pairs, near, own, rows, start, width, w, Y, sums, dsums):
        not_inlined()
        wide_vectors()
        y = Y[0]
        for i in range(sums.shape[0]):
            if near[0] < pairs.squares_q[i] <= near[1]:
                if own is not None:
                    put_weight(rows, rows.w_rest, own[i], start, width, w, Y)
                mass, moment = 0.0, 0.0
                for j in range(width):
                    v = half_to_the(distance(pairs, i, j))
                    mass += v * w[j]
                    moment += v * y[j]
                sums[i, 0] += mass
                sums[i, 1] += moment
                if own is not None:
                    put_weight(rows, rows.w, own[i], start, width, w, Y)

    def in_steps(besides, pairs, near, own, rows, start, width, w, Y, sums, dsums):
        not_inlined()
        wide_vectors()
        # Arrays with which no argument can overlap, each by itself, so that one that nobody reads is left away.
        on_s, on_v = on_stack_like(pairs.squares, 1, _MOST_ROWS), on_stack_like(pairs.squares, 1, _MOST_ROWS)
        y, s, v = Y[0], on_s[0, :width], on_v[0, :width]
        for i in range(sums.shape[0]):
            if near[0] < pairs.squares_q[i] <= near[1]:
                if own is not None:
                    put_weight(rows, rows.w_rest, own[i], start, width, w, Y)
                for j in range(width):
                    s_j = distance(pairs, i, j)
                    s[j] = s_j
                    v[j] = half_to_the(s_j)
                mass, moment = 0.0, 0.0
                for j in range(width):
                    mass += v[j] * w[j]
                    moment += v[j] * y[j]
                sums[i, 0] += mass
                sums[i, 1] += moment
                add_besides(besides, pairs, i, s, v, w, Y, sums[i], dsums[i])
                if own is not None:
                    put_weight(rows, rows.w, own[i], start, width, w, Y)

    dtype = pairs.types[pairs.fields.index("squares")].dtype
    return in_steps if len(besides) or dtype.bitwidth == 32 else at_once


def add_besides(besides, pairs, i, s, v, w, Y, sums, dsums):
    """Add what is asked for besides mass and first moment, of a tile's powers v, which may be overwritten."""
    raise NotImplementedError("for compiled code only")


@overload_jit(add_besides)
def _add_besides(besides, pairs, i, s, v, w, Y, sums, dsums):
    """Choose what is compiled, by the type of `besides`."""

    def scale(besides, pairs, i, s, v, w, Y, sums, dsums):
        add_moments(v, Y, 1, 0, sums)
        for q in range(dsums.shape[0]):
            add_scaled(s, v, w, Y, dsums[q])

    def features(besides, pairs, i, s, v, w, Y, sums, dsums):
        add_moments(v, Y, 1, 0, sums)
        add_squares(pairs.A[i], pairs.B, v, w, Y, dsums)

    return [lambda besides, pairs, i, s, v, w, Y, sums, dsums: None, scale, features][len(besides)]


@jit_sum
def add_scaled(s, v, w, Y, sums):
    """Multiply the powers v of a tile by s, and add them up."""
    not_inlined()
    wide_vectors()
    y, mass, moment = Y[0], 0.0, 0.0
    for j in range(v.shape[0]):
        v[j] = v[j] * s[j]
    for j in range(v.shape[0]):
        mass += v[j] * w[j]
        moment += v[j] * y[j]
    sums[0] += mass
    sums[1] += moment
    add_moments(v, Y, 1, 0, sums)


@jit_sum
def add_squares(a, B, v, w, Y, dsums):
    """Add up the powers v of a tile times the squared difference of each coordinate."""
    not_inlined()
    wide_vectors()
    for k in range(a.shape[0]):
        a_k, b, y, mass, moment = a[k], B[k], Y[0], 0.0, 0.0
        for j in range(v.shape[0]):
            t = a_k - b[j]
            t = v[j] * (t * t)
            mass += t * w[j]
            moment += t * y[j]
        dsums[k, 0] += mass
        dsums[k, 1] += moment
        for c in range(1, Y.shape[0]):
            y, moment = Y[c], 0.0
            for j in range(v.shape[0]):
                t = a_k - b[j]
                moment += v[j] * (t * t) * y[j]
            dsums[k, 1 + c] += moment


@jit
def fill_weights(rows, start, width, w, Y):
    """Write the weights of a tile's rows, and these times targets."""
    for j in range(width):
        w[j] = rows.w[start + j]
    for c in range(Y.shape[0]):
        for j in range(width):
            Y[c, j] = rows.w[start + j] * rows.Y[c, start + j]


@jit
def put_weight(rows, weights, row, start, width, w, Y):
    """Give a row, if it is there, one of some weights, at its place in a tile."""
    j = row - start
    if 0 <= j < width:
        w[j] = weights[row]
        for c in range(Y.shape[0]):
            Y[c, j] = weights[row] * rows.Y[c, row]


@jit_entry(allocates=False)
def add_rows(besides, pairs, own, rows, origin, g, w, Y, sums, dsums):
    """Add all rows to the sums of some queries.

    Parameters
    ----------
    besides : tuple
        As in `add_powers`.
    pairs : Differences or Products
        With the queries, and room for a tile of rows.
    own : int64[::1] of shape (m,), or None
        Row that each query is, of whose weight only what is left counts, or -1; None if none is one.
    rows : Rows
    origin, g : float64[::1] of shape (d,)
        Middle, and factor of each feature.
    w, Y : float64[::1] of shape (tile,), float64[:, ::1] of shape (p, tile)
        Room for the weights of a tile, and these times targets.
    sums : float64[:, ::1] of shape (m, 1 + p)
    dsums : float64[:, :, ::1] of shape (m, q, 1 + p)
        Updated, like `sums`.
    """
    n, tile = rows.w.shape[0], w.shape[0]
    for start in range(0, n, tile):
        width = tile if tile < n - start else n - start  # functions like `min` are to be compiled, too
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
        add_powers(besides, pairs, (-1.0, np.inf), own, rows, start, width, w, Y, sums, dsums)


@jit_entry(allocates=False)
def add_rows_by_matrices(besides, pairs, most, own, rows, start, w, Y, sums, dsums):
    """Add the rows of one tile to the sums of some queries.

    Parameters
    ----------
    besides, own, rows, w, Y, sums, dsums
        As in `add_rows`.
    pairs : Gram
    most : float
        Queries of larger squares are left out: their products have not digits enough.
    start : int
        First row of the tile.
    """
    width = w.shape[0]
    fill_weights(rows, start, width, w, Y)
    add_powers(besides, pairs, (-1.0, most), own, rows, start, width, w, Y, sums, dsums)


#: Rows of a tile of products of matrices.
_TILE = _MOST_ROWS


#: Queries of a block, each pair by itself and by matrices, for which a tile is prepared once.
_MOST_QUERIES, _MOST_BY_MATRICES = 1024, 4096


#: Pairs of a block, if there are queries enough: fewer are not worth a call.
_FEWEST_PAIRS = 2**18


#: Multiplications of one block, likewise: a tenth of a second, so that it can be interrupted.
_WORK_PER_BLOCK, _WORK_OF_MATRICES = 2**28, 2**32


def gaussian_sums(rows, setting, queries, *, by_matrices, n_threads=1):
    """Gaussian sums over every pair: without derivatives, with those in the scale, or in each feature.

    Parameters
    ----------
    rows : Rows
    setting : Setting
        `rtol` is what each weight may be wrong by, relative to itself, besides rounding of differences. With `single`
        and without derivatives, distances and weights are float32, with the accuracy of these.
    queries : Queries
    by_matrices : bool
        Whether distances follow from products of matrices.
    n_threads : int

    Returns
    -------
    State
        Relative to s = 0. Queries that are far from the rows, or from their middle for `rtol`, are not computed.

    Notes
    -----
    Takes O(m n (d + p)) time and, besides the result, the memory of a block and a tile for each thread.
    """
    _, g, wanted, rtol, single = setting
    single = single and wanted == Wanted.VALUE
    precision, state = SINGLE if single else DOUBLE, State.empty(len(queries.Z), len(rows.Y), wanted.count(len(g)))
    frame = Frame(rows, middle_of_rows(rows), g * math.sqrt(UNIT), precision)
    how = {"rtol": SINGLE_RTOL if single else rtol, "by_matrices": by_matrices, "n_threads": n_threads}
    own = None if queries.row is None or not (queries.row >= 0).any() else queries.row
    if len(queries.Z):
        _add_by_blocks(frame, queries.Z, own, wanted, state.sums, state.derivatives, **how)
    return relative_to_zero(state, rows, wanted, precision)


def _add_by_blocks(frame, Zq, own, wanted, sums, dsums, *, rtol, by_matrices, n_threads):
    """Add all rows to the sums of the queries that are near the middle, a block of these at a time."""
    (m, d), (p, n) = Zq.shape, frame.rows.Y.shape
    by_feature, most = wanted == Wanted.FEATURES, -1.0
    besides = (0, 0) if by_feature else (0,) if p > 1 or dsums.shape[1] else ()
    if by_matrices or (takes_products(d) and not by_feature):
        most = frame.most_for_products(rtol)
    if not by_matrices and most > 0:
        most -= max(squares.max() for *_, squares in frame.tiles(_MOST_ROWS))

    def add(first, last):
        block = frame.block(Zq[first:last])
        near = frame.is_near(block.squares, rtol)
        few = near & (block.squares <= most) & (not by_matrices)
        for chosen in (few, near & ~few):
            if not chosen.any():
                continue
            part, mine = block.part(chosen), slice(first, last) if chosen.all() else first + np.flatnonzero(chosen)
            rows_of = None if own is None else read_only(own[mine], np.int64)
            args = frame, part, besides, rows_of, sums[mine], dsums[mine]
            if by_matrices:
                _add_by_matrices(*args, most)
            else:
                _add_by_tiles(*args, by_products=chosen is few)
            sums[mine], dsums[mine] = args[-2:]

    # Enough blocks for several threads, of so many pairs that they are worth a call.
    if by_matrices:
        step = min(_MOST_BY_MATRICES, m // 8, _WORK_OF_MATRICES // (n * d))
    else:
        step = min(_MOST_QUERIES, max(m // 8, _FEWEST_PAIRS // n), _WORK_PER_BLOCK // (n * max(d, 1)))
    step = math.ceil(m / math.ceil(m / max(32, step)))  # of equal size
    with one_thread_for_blas() if by_matrices else contextlib.nullcontext():
        run_blocks(add, [(first, min(first + step, m)) for first in range(0, m, step)], n_threads)


def _add_by_tiles(frame, block, besides, own, sums, dsums, *, by_products):
    """Add all rows to the sums of a block of queries, each distance by itself."""
    (p, n), d, dtype = frame.rows.Y.shape, len(frame.g), frame.precision.dtype
    ours = np.dtype(dtype).itemsize / 8  # of what is float64
    tile = min(_MOST_ROWS, tile_width(math.ceil((d + 3) * ours) + 1 + p), n)
    pairs = between(*block, aligned((d, tile), dtype), aligned((tile,), dtype), by_products=by_products)
    args = aligned((tile,)), aligned((p, tile)), sums, dsums
    add_rows(besides, pairs, own, frame.rows, frame.origin, frame.g, *args)


def _add_by_matrices(frame, block, besides, own, sums, dsums, most):
    """Add all rows to the sums of a block of queries, by products of matrices where these have digits enough."""
    (p, n), dtype = frame.rows.Y.shape, frame.precision.dtype
    tile, squares_q = min(_TILE, n), block.squares.astype(dtype, copy=False)
    at_a_time = bytes_of_cache(2) // (tile * np.dtype(dtype).itemsize)
    room = aligned((min(at_a_time, len(block.A)), tile), dtype)
    for start, stop, B, squares in frame.tiles(tile):
        w, Y = aligned((stop - start,)), aligned((p, stop - start))
        for begin in range(0, len(block.A), at_a_time):
            some = slice(begin, begin + at_a_time)
            pairs = Gram(squares_q[some], squares, block.products(some, B, room))
            args = None if own is None else own[some], frame.rows, start, w, Y, sums[some], dsums[some]
            add_rows_by_matrices(besides, pairs, most - float(squares.max()), *args)
