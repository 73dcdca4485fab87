r"""The Gaussian between all rows, each of which is left out in turn: every pair once, for both of its rows.

The rows are divided into panels. Each meets itself and every other one once, and all sums of a panel are added to by
one thread at a time, in an order that depends on the number of rows alone: a tournament, in each round of which every
panel has at most one other to meet. So the number of threads does not change a bit.

Coordinates and weights are those of `_coordinates.py`, relative to s = 0, and so are the same for both rows.
"""

import numpy as np

from ._coordinates import DOUBLE, UNIT, Block, distances_from_products, middle_of_rows, most_for_products
from ._dense import add_moments, squared_distances
from ._jit import bits, half_to_the, jit, jit_entry, jit_sum, not_inlined, number, wide_vectors
from ._processor import aligned
from ._rows import Derivatives
from ._threads import one_thread_for_blas, run_blocks

#: Rows of a panel: enough pairs for a call, and few enough for the sums of both to stay in the caches.
_PANEL = 512


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
def power(s, v, lowest):
    """Write the Gaussian to v; returns the bits of the smallest s, and updates those of the smallest of each column."""
    not_inlined()
    wide_vectors()
    low = bits(np.inf)
    for j in range(s.shape[0]):
        b = bits(s[j])
        low, lowest[j] = min(low, b), min(lowest[j], b)
        v[j] = half_to_the(s[j])
    return low


@jit_sum
def add_both(v, w, Y, start, w_i, i, sums, columns, begin):
    """Add weights v of the pairs of row i and the rows from `start` on to the sums of both, columns from `begin` on."""
    not_inlined()
    wide_vectors()
    n = v.shape[0]
    y, first, second = Y[0, start : start + n], columns[0, begin : begin + n], columns[1, begin : begin + n]
    vy_i, mass, moment = w_i * Y[0, i], 0.0, 0.0
    for j in range(n):
        t = w[j] * v[j]
        mass += t
        moment += t * y[j]
        first[j] += w_i * v[j]
        second[j] += vy_i * v[j]
    sums[0] += mass
    sums[1] += moment
    for c in range(1, Y.shape[0]):
        y, column, vy_i, moment = Y[c, start : start + n], columns[1 + c, begin : begin + n], w_i * Y[c, i], 0.0
        for j in range(n):
            moment += w[j] * v[j] * y[j]
            column[j] += vy_i * v[j]
        sums[1 + c] += moment


@jit_sum
def times(v, s):
    """Multiply weights by squared distances."""
    not_inlined()
    wide_vectors()
    for j in range(v.shape[0]):
        v[j] *= s[j]


@jit
def distances_to_tile(i, A, B, squares_q, squares, products, most, s):
    """Squared distances of row i of a panel to those of another one, by products if these have digits enough."""
    if squares_q[i] <= most:
        distances_from_products(i, squares_q[i], squares, products, s)
    else:
        squared_distances(A[i], B, 0, None, s)


@jit_entry(allocates=False)
def add_pairs(A, B, squares_q, squares, products, most, rows, first, start, s, v, low, sums, dsums, lowest, columns):
    """Add the pairs of two panels, or of one, to the sums of both rows of each.

    Parameters
    ----------
    A : float64[:, ::1] of shape (m, d)
        Rows of one panel, centred and scaled.
    B : float64[:, ::1] of shape (d, width)
        Those of the other.
    squares_q, squares : float64[::1]
        Their squares.
    products : float64[:, ::1] of shape (m, width), or (0, 0)
    most : float
        How large the square of a row of the one may be for products to have enough digits; negative without products.
    rows : Rows
    first, start : int
        First row of either panel; the same if these are one.
    s, v : float64[::1] of shape (width,)
        Overwritten.
    low : float64[::1] of shape (m,)
    sums : float64[:, ::1] of shape (m, 1 + p)
    dsums : float64[:, :, ::1] of shape (m, q, 1 + p)
        Updated: smallest squared distance to another row, sums of weights, and of weights times powers of distances.
    lowest : int64[::1] of shape (width,)
        Bits of the same for the other panel.
    columns : float64[:, :, ::1] of shape (1 + q, 1 + p, width)
        Updated: sums of the other panel.
    """
    width = s.shape[0]
    for i in range(A.shape[0]):
        begin = i + 1 if first == start else 0
        distances_to_tile(i, A, B, squares_q, squares, products, most, s)
        far, weights, w = s[begin:], v[begin:], rows.w[start + begin : start + width]
        low[i] = min(low[i], number(power(far, weights, lowest[begin:])))
        row, w_i = first + i, rows.w[first + i]
        add_both(weights, w, rows.Y, start + begin, w_i, row, sums[i], columns[0], begin)
        for q in range(dsums.shape[1]):
            times(weights, far)
            add_both(weights, w, rows.Y, start + begin, w_i, row, dsums[i, q], columns[1 + q], begin)
        if first == start and rows.w_rest[row] > 0.0:
            low[i] = 0.0
            sums[i, 0] += rows.w_rest[row]
            for c in range(rows.Y.shape[0]):
                sums[i, 1 + c] += rows.w_rest[row] * rows.Y[c, row]


def meet(whole, most, work, n_threads):
    """Call ``work(first, start, tile)`` for each pair of panels, once.

    Parameters
    ----------
    whole : Block
        All rows.
    most : float
        How much the squares of two rows may add up to for products to have enough digits; negative for differences.
    work : callable
        `first` and `start` are slices, and `tile` is what compiled loops take: coordinates, squares and products.
    n_threads : int
    """
    n = len(whole.A)
    panels = [slice(start, min(start + _PANEL, n)) for start in range(0, n, _PANEL)]

    def one(i, j):
        first, start = panels[i], panels[j]
        A, B = whole.A[first], np.ascontiguousarray(whole.A[start].T)
        squares_q, squares = whole.squares[first], whole.squares[start]
        products = A @ B if most > 0 else np.empty((0, 0))
        work(first, start, (A, B, squares_q, squares, products, most - squares.max()))

    with one_thread_for_blas():
        for pairs in rounds(len(panels)):
            run_blocks(one, pairs, n_threads)


def add_all_pairs(rows, whole, most, low, sums, dsums, *, n_threads):
    """Add all other rows to the sums of each.

    Parameters
    ----------
    rows : Rows
    whole, most
        As in `meet`.
    low, sums, dsums : ndarray
        As in `add_pairs`, of all rows.

    Notes
    -----
    Takes O(n² (d + p) / 2) time, and the memory of two panels for each thread.
    """

    def add(first, start, tile):
        width = start.stop - start.start
        lowest, columns = np.full(width, np.inf).view(np.int64), np.zeros((1 + dsums.shape[1], sums.shape[1], width))
        args = rows, first.start, start.start, aligned((width,)), aligned((width,))
        add_pairs(*tile, *args, low[first], sums[first], dsums[first], lowest, columns)
        np.minimum(low[start], lowest.view(np.float64), out=low[start])
        sums[start] += columns[0].T
        dsums[start] += columns[1:].transpose(2, 0, 1)

    meet(whole, most, add, n_threads)


@jit_sum
def adjoints_of_pairs(s, left, right, left_i, right_i, u, of_rows, begin):
    """Write the adjoint weights of the pairs of a row to u, both of each pair, and add them up."""
    not_inlined()
    wide_vectors()
    n, total = s.shape[0], 0.0
    w, wy = left[0, begin : begin + n], left[1, begin : begin + n]
    mass, moment = right[0, begin : begin + n], right[1, begin : begin + n]
    for j in range(n):
        u[j] = left_i[0] * mass[j] + left_i[1] * moment[j] + right_i[0] * w[j] + right_i[1] * wy[j]
    for k in range(2, left.shape[0]):
        wy, moment = left[k, begin : begin + n], right[k, begin : begin + n]
        for j in range(n):
            u[j] += left_i[k] * moment[j] + right_i[k] * wy[j]
    for j in range(n):
        u[j] *= half_to_the(s[j])
        of_rows[j] += u[j]
        total += u[j]
    return total


@jit_entry(allocates=False)
def add_adjoints(A, B, squares_q, squares, products, most, is_one, left_q, left, right_q, right, s, of_rows, UB, U):
    """Write the adjoint weights of the pairs of two panels, or of one, and add them up.

    Parameters
    ----------
    A, B, squares_q, squares, products, most, s
        As in `add_pairs`.
    is_one : bool
        Whether the panels are the same.
    left_q : float64[:, ::1] of shape (m, 1 + p)
        Weights of the rows of the one, and these times targets.
    right_q : float64[:, ::1] of shape (m, 1 + p)
        Derivatives of the function in mass and moments, which are relative to s = 0.
    left, right : float64[:, ::1] of shape (1 + p, width)
        The same of the other.
    of_rows : float64[::1] of shape (width,)
        Updated: sums over rows of the one.
    UB : float64[:, ::1] of shape (m, 1 + d)
        Updated: sums over rows of the other, and those times their coordinates unless these are written to U.
    U : float64[:, ::1] of shape (m, width) or (1, width)
        Overwritten.
    """
    for i in range(A.shape[0]):
        begin, u = i + 1 if is_one else 0, U[min(i, U.shape[0] - 1)]
        distances_to_tile(i, A, B, squares_q, squares, products, most, s)
        u[:begin] = 0.0
        args = s[begin:], left, right, left_q[i], right_q[i], u[begin:], of_rows[begin:], begin
        UB[i, 0] += adjoints_of_pairs(*args)
        if U.shape[0] == 1:
            add_moments(u, B, 0, 0, UB[i])


#: Squares of coordinates of which sums may be formed that are subtracted from each other: 12 digits are left.
_MOST_SQUARE = 1e4


def gradient_of_all_pairs(rows, g, shift, adjoints, *, derivatives, by_products, rtol, n_threads):
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
    whole = Block(rows.Z.T, rows, middle_of_rows(rows), g * np.sqrt(UNIT))
    with np.errstate(over="ignore", invalid="ignore"):
        right = adjoints * np.exp2(UNIT * shift)[:, None]
    is_near = whole.is_near(rtol).all() and whole.squares.max() <= _MOST_SQUARE
    # Where the nearest row is far, or light beside all others, these would count with the least power there is.
    farthest = shift.max()
    lightest = np.min(rows.w, where=rows.w > 0, initial=np.inf)
    is_heavy = rows.w.sum() * DOUBLE.least <= DOUBLE.roundoff * lightest * np.exp2(-UNIT * farthest)
    if not is_near or not farthest < DOUBLE.farthest or not is_heavy or not np.isfinite(right).all():
        return None
    left = np.concatenate([rows.w[None], rows.w * rows.Y]).T.copy()
    # Sums of all adjoint weights of each row, and those of its pairs with rows of later panels times coordinates.
    mass, UB = np.zeros(n), np.zeros((n, 1 + d))

    def add(first, start, tile):
        B, m, width = tile[1], first.stop - first.start, start.stop - start.start
        of_rows, U = np.zeros(width), aligned((m if by_products else 1, width))
        sides = left[first], left[start].T.copy(), right[first], right[start].T.copy()
        add_adjoints(*tile, first == start, *sides, aligned((width,)), of_rows, UB[first], U)
        mass[start] += of_rows
        if by_products:
            UB[first, 1:] += U @ B.T

    meet(whole, UNIT * most_for_products(d, rtol) if by_products else -1.0, add, n_threads)
    A = whole.A
    mass += UB[:, 0]
    with one_thread_for_blas():
        if derivatives == Derivatives.FEATURES:
            return (mass @ (A * A) - 2 * np.einsum("ik,ik->k", A, UB[:, 1:])) / UNIT
        across = A.T @ UB[:, 1:]
        return (((A.T * mass) @ A - across - across.T) / UNIT)[np.triu_indices(d)]
