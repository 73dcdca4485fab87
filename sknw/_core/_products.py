r"""Every pair, by products of matrices: distances in many features, and gradients in all coordinates at once.

.. math:: s = |a|^2 + |b|^2 - 2\, a \cdot b, \qquad a = (z_q - c)\, g, \quad b = (z - c)\, g

with c the middle of a block of queries. The products of a block with a tile of rows are one matrix product, which takes
a fraction of the time of as many differences; what follows is the same as in `_dense.py`.

The price is digits. With the unit roundoff u, coordinates are wrong by 2u of themselves, which moves s by
:math:`8 u (|a|^2 + |b|^2)` at the most; inner products by :math:`d u |a| |b|` and squares by d u of
themselves, whatever the order of their sums; three more roundings put them together. So, to first order,

.. math:: |\delta s| \le (2 d + 12)\, u\, (|a|^2 + |b|^2)

and each weight of the Gaussian is wrong by half of that, relative to itself. Where that may be more than `rtol`, for
a query or a tile far from the middle, or at narrow bandwidths, differences are taken as ever.
"""

import numpy as np

from ._dense import fill_slopes, merge_distances, squared_distances
from ._jit import jit, jit_entry, not_inlined
from ._rows import Derivatives, State
from ._threads import one_thread_for_blas, run_blocks

#: Queries of a block and rows of a tile: their products fill the second-level cache.
_BLOCK, _TILE = 256, 512

#: Multiplications of one block, after which it can be interrupted: tenths of a second.
_WORK_PER_BLOCK = 2**33

_UNIT_ROUNDOFF = 2.0**-53

#: Beyond this scaled coordinates are cut: their squares are finite, and so far away no weight is left to multiply them.
_FARTHEST = 1e150


@jit
def distances(z, i, g, rows, start, products, squares_q, squares, most, s):
    """Squared distances of query i, which is z, to the rows from `start` on: from products, or else as differences."""
    not_inlined()
    if not squares_q[i] <= most:
        squared_distances(z, rows.Z, start, g, s)
        return
    product, square = products[i], squares_q[i]
    for j in range(s.shape[0]):
        t = (square + squares[j]) - 2.0 * product[j]
        s[j] = t if t > 0.0 else 0.0  # rounding can make it negative


@jit_entry(allocates=False)
def add_rows_by_products(
    kernel, with_respect_to, Zq, own, g, rows, start, stop, products, squares_q, squares, most, buffers, state
):
    """Merge the training rows from `start` to `stop` into the states of some queries.

    Parameters
    ----------
    kernel, with_respect_to, Zq, own, g, rows, buffers, state
        As in `_dense.add_rows`.
    start, stop : int
    products : float64[:, ::1] of shape (m, stop - start)
        Inner products of queries and rows, in centred and scaled coordinates.
    squares_q : float64[::1] of shape (m,)
        Squares of the queries.
    squares : float64[::1] of shape (stop - start,)
        Squares of the rows.
    most : float
        How large the square of a query may be for its products to have enough digits.
    """
    for i in range(Zq.shape[0]):
        s = buffers[0, : stop - start]
        distances(Zq[i], i, g, rows, start, products, squares_q, squares, most, s)
        merge_distances(kernel, None, with_respect_to, Zq[i], own[i], g, rows, start, stop, buffers, i, state)


@jit_entry(allocates=False)
def fill_adjoints(
    kernel, Zq, own, g, rows, start, stop, products, squares_q, squares, most, shift, adjoints, buffers, out
):
    r"""Write :math:`-2 w_j k'(s_{ij}) (\bar M_i + \sum_c \bar N_{ic} y_{jc})` for the rows from `start` to `stop`.

    Parameters as in `add_rows_by_products`; `shift` is that of the complete sums, `adjoints` of shape (m, 1 + p) holds
    the derivatives in mass and moments, `out` is float64[:, ::1] of shape (m, stop - start).
    """
    width = stop - start
    for i in range(Zq.shape[0]):
        distances(Zq[i], i, g, rows, start, products, squares_q, squares, most, buffers[0, :width])
        fill_slopes(kernel, own[i], rows, start, stop, shift[i], buffers, out[i])
        f = buffers[2, :width]
        for j in range(width):
            f[j] = adjoints[i, 0]
        for c in range(rows.Y.shape[0]):
            y, a = rows.Y[c, start:stop], adjoints[i, 1 + c]
            for j in range(width):
                f[j] += a * y[j]
        for j in range(width):
            out[i, j] = out[i, j] * f[j] if out[i, j] != 0.0 else 0.0


class _Block:
    """A block of queries in centred and scaled coordinates, and the tiles of rows that it meets.

    Parameters
    ----------
    Zq : ndarray of shape (m, d)
    rows : Rows
    g : ndarray of shape (d,)
    most : float
        How much the squares of a query and a row may add up to for their inner product to have enough digits; negative
        if no products are wanted.
    """

    def __init__(self, Zq, rows, g, most):
        self.rows, self.g, self.most = rows, g, most
        self.origin = 0.5 * Zq.min(axis=0) + 0.5 * Zq.max(axis=0)
        self.A = self._scale(np.ascontiguousarray(Zq), self.origin, g, np.empty(Zq.shape))
        self.squares = np.einsum("ik,ik->i", self.A, self.A)

    @staticmethod
    def _scale(Z, origin, g, out):
        with np.errstate(over="ignore"):
            np.subtract(Z, origin, out=out)
            np.multiply(out, g, out=out)
        return np.clip(out, -_FARTHEST, _FARTHEST, out=out)

    def tiles(self):
        """Yield each tile: start, stop, coordinates (d, width), and the last arguments of `distances`."""
        n, (m, d) = len(self.rows.w), self.A.shape
        width = 0
        for start in range(0, n, _TILE):
            stop = min(start + _TILE, n)
            if stop - start != width:  # at the first tile, and perhaps at the last
                width = stop - start
                B, products = np.empty((d, width)), np.empty((m, width if self.most > 0 else 0))
            self._scale(self.rows.Z[:, start:stop], self.origin[:, None], self.g[:, None], B)
            squares = np.einsum("kj,kj->j", B, B)
            if self.most > 0:
                np.matmul(self.A, B, out=products)
            yield start, stop, B, (products, self.squares, squares, self.most - squares.max())


def _most(d, rtol):
    """How much two squares may add up to for weights that follow from their inner product to be right to `rtol`."""
    return rtol / ((d + 6) * _UNIT_ROUNDOFF)


def _blocks(m, n, d):
    """Ranges of queries, which depend on nothing but the sizes."""
    step = max(32, min(_BLOCK, _WORK_PER_BLOCK // (n * d)))
    return [(first, min(first + step, m)) for first in range(0, m, step)]


def product_sums(kernel, rows, g, Zq, own, *, derivatives, rtol, n_threads):
    """`_sums.dense_sums` by matrix products: for the Gaussian, without derivatives or with that in the scale.

    Parameters
    ----------
    kernel : tuple
    rows, g, Zq, own
        As the compiled loops take them, like `kernel`.
    derivatives : {Derivatives.NOTHING, Derivatives.SCALE}
    rtol : float
        What each weight may be wrong by, relative to itself, besides rounding.
    n_threads : int

    Returns
    -------
    State

    Notes
    -----
    Takes O(m n (d + p)) time and, besides the result, the memory of a block and a tile for each thread.
    """
    (m, d), (p, n) = Zq.shape, rows.Y.shape
    state = State.empty(m, p, derivatives.count(d))

    def add(first, last):
        part = slice(first, last)
        block, buffers = _Block(Zq[part], rows, g, _most(d, rtol)), np.empty((4, _TILE))
        for start, stop, _, tile in block.tiles():
            args = Zq[part], own[part], g, rows, start, stop, *tile, buffers, state.part(part)
            add_rows_by_products(kernel, derivatives.for_loops(), *args)

    with one_thread_for_blas:
        run_blocks(add, _blocks(m, n, d), n_threads)
    return state


def product_gradient(kernel, rows, g, Zq, own, shift, adjoints, *, derivatives, by_products, rtol, n_threads):
    r"""`_sums.pull_back` by matrix products.

    With the adjoint weights U of all pairs, their sums :math:`\rho` over rows and :math:`\gamma` over queries,

    .. math:: \sum_{ij} U_{ij} (a_i - b_j)(a_i - b_j)^\top
              = A^\top \rho A - A^\top U B - B^\top U^\top A + B^\top \gamma B

    Parameters as there, as the compiled loops take them; `by_products` says whether distances are formed so, too.

    Returns
    -------
    ndarray of shape (q,)
    """
    (m, d), n = Zq.shape, len(rows.w)
    most = _most(d, rtol) if by_products else -1.0
    blocks = _blocks(m, n, d)
    parts = np.zeros((len(blocks), derivatives.count(d)))
    upper = np.triu_indices(d)

    def add(b, first, last):
        part = slice(first, last)
        block, buffers = _Block(Zq[part], rows, g, most), np.empty((4, _TILE))
        A, U = block.A, np.empty((len(block.A), min(n, _TILE)))
        UB, of_queries, total = np.zeros_like(A), np.zeros(len(A)), 0.0
        for start, stop, B, tile in block.tiles():
            U = U if stop - start == U.shape[1] else np.empty((len(A), stop - start))
            args = Zq[part], own[part], g, rows, start, stop, *tile, shift[part], adjoints[part], buffers, U
            fill_adjoints(kernel, *args)
            UB += U @ B.T
            of_queries += U.sum(axis=1)
            of_rows = U.sum(axis=0)
            total += (B * of_rows) @ B.T if derivatives == Derivatives.PAIRS else (B * B) @ of_rows
        if derivatives == Derivatives.PAIRS:
            across = A.T @ UB
            parts[b] = (total + (A.T * of_queries) @ A - across - across.T)[upper]
        else:
            parts[b] = total + of_queries @ (A * A) - 2 * np.einsum("ik,ik->k", A, UB)

    with one_thread_for_blas:
        run_blocks(add, [(b, *block) for b, block in enumerate(blocks)], n_threads)
    return parts.sum(axis=0)
