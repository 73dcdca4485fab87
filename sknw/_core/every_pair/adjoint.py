r"""Reverse mode: the gradient of a function of the sums, by a second pass over all pairs.

Let U be the adjoint weights of all pairs, :math:`\rho` their sums over rows and :math:`\gamma` their sums over queries.
Let A and B be the centered and scaled coordinates of a block of queries and of the rows. Then

.. math:: \sum_{ij} U_{ij} (a_i - b_j)(a_i - b_j)^\top
          = A^\top \rho A - A^\top U B - B^\top U^\top A + B^\top \gamma B

takes d products per pair, instead of the d (d + 1) / 2 of single derivatives. In many features, the squared distances
of the Gaussian and the product U B are matrix products.
"""

import numpy as np

from ..compiled_kernels import out_of_reach
from ..kernels import for_loops
from ..problem import Wanted, read_only
from ..runtime.blas import one_thread_for_blas
from ..runtime.jit import jit, jit_entry, jit_sum, not_inlined
from ..runtime.processor import aligned
from ..runtime.threads import run_blocks
from .coordinates import Frame, middle, most_for_products
from .distances import distances_from_products, lowest, squared_distances
from .engines import takes_matrices
from .symmetric import gradient_of_all_pairs
from .tiles import add_numerators, weigh, weigh_slope, weights_of


@jit
def fill_slopes(kernel, row, rows, start, stop, offset, buffers, out):
    """Write weights times slopes of rows start..stop, from squared distances in `buffers[0]`.

    `offset` is that of the complete sums, relative to which rows beyond the reach have weight zero.
    """
    not_inlined()
    width = stop - start
    s = buffers[0, :width]
    w = weights_of(row, rows, start, stop, s, buffers[3])
    if offset == np.inf or out_of_reach(kernel, lowest(s), offset):
        for j in range(width):
            out[j] = 0.0
        return
    weigh(kernel, None, s, offset, w, rows.Y[:1], start, out, buffers[2, :2])
    weigh_slope(kernel, s, w, out)


@jit_sum
def times_adjoints(u, Y, start, adjoints, of_rows):
    """Turn weights times slopes u into adjoint weights; add them to `of_rows`.

    Returns their sum.
    """
    not_inlined()
    n, total = u.shape[0], 0.0
    first, y, a = adjoints[0], Y[0, start : start + n], adjoints[1]
    if Y.shape[0] == 1:
        for j in range(n):
            u[j] = u[j] * (first + a * y[j]) if u[j] != 0.0 else 0.0
    else:
        for j in range(n):
            t = first
            for c in range(Y.shape[0]):
                t += adjoints[1 + c] * Y[c, start + j]
            u[j] = u[j] * t if u[j] != 0.0 else 0.0
    for j in range(n):
        of_rows[j] += u[j]
        total += u[j]
    return total


@jit_entry(allocates=False)
def add_adjoints(
    kernel, Zq, row, g, rows, start, B, squares_q, squares, products, limit, offset, adjoints, buffers, of_rows, UB, U
):
    r"""Add up the adjoint weights of a tile of rows.

    They are :math:`-2 w_j k'(s_{ij}) (\bar M_i + \sum_c \bar N_{ic} y_{jc})`.

    Parameters
    ----------
    kernel, Zq, row, g, rows
        As in `tiles.add_rows`.
    start, B, squares_q, squares, products
        First row of the tile, its coordinates, and squared norms and inner products as in `distances.Gram`.
    limit : float
        Largest squared norm of a query for which products are used; negative without products.
    offset : float64[::1] of shape (m,)
        Of the complete sums.
    adjoints : float64[:, ::1] of shape (m, 1 + p)
        Derivatives of the function in the denominator and numerators of each query.
    buffers : float64[:, ::1] of shape (4, at least max(width, 2))
    of_rows : float64[::1] of shape (width,)
        Updated: sums over queries.
    UB : float64[:, ::1] of shape (m, 1 + d)
        Updated: sums over rows. If U is empty, also sums times the coordinates of the rows.
    U : float64[:, ::1] of shape (m, width) or (0, width)
        Overwritten.
    """
    width = B.shape[1]
    s, u = buffers[0, :width], buffers[1, :width]
    for i in range(Zq.shape[0]):
        if squares_q[i] <= limit:
            distances_from_products(i, squares_q[i], squares, products, s)
        else:
            squared_distances(Zq[i], rows.Z, start, g, s)
        out = U[i] if U.shape[0] > 0 else u
        fill_slopes(kernel, row[i], rows, start, start + width, offset[i], buffers, out)
        UB[i, 0] += times_adjoints(out, rows.Y, start, adjoints[i], of_rows)
        if U.shape[0] == 0:
            add_numerators(out, B, 0, 0, UB[i])


#: Queries of a block and rows of a tile: the arrays over pairs fill the second-level cache.
_QUERIES, _TILE = 512, 512


#: Multiplications per block: a tenth of a second, so that Ctrl-C is noticed between blocks.
_WORK_PER_BLOCK = 2**31


def gradient(problem, offset, adjoints, n_threads=1):
    r"""Gradient of a function of sums over every pair, by reverse-mode differentiation.

    .. math:: \sum_i \Big( \bar M_i\, M_i' + \sum_c \bar N_{ic}\, N_{ic}' \Big)

    The result is that of ``np.einsum("ic,iqc->q", adjoints, state.derivatives)``, but the m q (1 + p) derivatives are
    never stored. Every pair is visited once more instead.

    Parameters
    ----------
    problem : Problem
        For FEATURES or PAIRS; not with a user's profile.
    offset : ndarray of shape (m,)
        Of the state of the same problem for VALUE.
    adjoints : ndarray of shape (m, 1 + p)
        Derivatives of the function in the denominator and numerators of each query.
    n_threads : int

    Returns
    -------
    ndarray of shape (q,)

    Notes
    -----
    O(m n (d + p)) time, for PAIRS too. O(q) memory, besides a block and a tile for each thread. Leave-one-out sums of
    the Gaussian over all rows take half that time and O(n d) memory. Rounding errors of the sums of products are
    proportional to the squared extent, in bandwidths, of a block of queries or of all rows.
    """
    setting, rows, queries = problem.setting, problem.rows, problem.queries
    by_matrices, offset, adjoints = takes_matrices(setting), read_only(offset), read_only(adjoints)
    if setting.kernel == "gaussian" and queries.kind == "all" and setting.rtol > 0:
        result = gradient_of_all_pairs(rows, setting, offset, adjoints, by_matrices=by_matrices, n_threads=n_threads)
        if result is not None:
            return result
    return _by_blocks(setting, rows, queries, offset, adjoints, by_matrices=by_matrices, n_threads=n_threads)


def _by_blocks(setting, rows, queries, offset, adjoints, *, by_matrices, n_threads):
    """The gradient for any kernel and any queries, a block of queries at a time."""
    (kernel, _), Zq, row, inv_h = (
        for_loops(setting.kernel),
        queries.Z,
        queries.rows_for_loops(),
        read_only(setting.inv_h),
    )
    (m, d), n, wanted, rtol = Zq.shape, len(rows.w), setting.wanted, setting.rtol
    limit = most_for_products(d, rtol) if by_matrices else -np.inf
    step = max(32, min(_QUERIES, _WORK_PER_BLOCK // (n * d)))
    blocks = [(first, min(first + step, m)) for first in range(0, m, step)]
    out, upper, results = np.zeros(wanted.count(d)), np.triu_indices(d), {}

    def add(first, last):
        block_of_queries = slice(first, last)
        frame = Frame(rows, middle(Zq[block_of_queries]), inv_h)
        block, UB, total = frame.block(Zq[block_of_queries]), np.zeros((last - first, 1 + d)), 0.0
        room = aligned((last - first if by_matrices else 0, min(_TILE, n)))
        for start, stop, B, squares in frame.tiles(_TILE):
            width = stop - start
            products = block.products(slice(len(room)), B, room)
            of_rows, buffers = np.zeros(width), aligned((4, max(width, 2)))
            U = aligned((last - first if by_matrices else 0, width))
            tile = start, B, block.squares, squares, products, limit - squares.max()
            add_adjoints(
                kernel,
                Zq[block_of_queries],
                row[block_of_queries],
                inv_h,
                rows,
                *tile,
                offset[block_of_queries],
                adjoints[block_of_queries],
                buffers,
                of_rows,
                UB,
                U,
            )
            if by_matrices:
                UB[:, 1:] += U @ B.T
            total += (B * of_rows) @ B.T if wanted == Wanted.PAIRS else (B * B) @ of_rows
        A, of_queries = block.A, UB[:, 0]
        if wanted == Wanted.PAIRS:
            across = A.T @ UB[:, 1:]
            results[first] = (total + (A.T * of_queries) @ A - across - across.T)[upper]
        else:
            results[first] = total + of_queries @ (A * A) - 2 * np.einsum("ik,ik->k", A, UB[:, 1:])

    with one_thread_for_blas():
        for begin in range(0, len(blocks), 2 * n_threads):  # each block keeps as much as the result
            run_blocks(add, blocks[begin : begin + 2 * n_threads], n_threads)
            for first in sorted(results):  # in order of the blocks, so that results do not depend on the threads
                out += results.pop(first)
    return out
