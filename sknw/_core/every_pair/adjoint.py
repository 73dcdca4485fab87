r"""Reverse mode: the gradient of a function of the sums in all coordinates, by one more pass over all pairs.

With the adjoint weights U of all pairs, their sums :math:`\rho` over rows and :math:`\gamma` over queries, and a and b
the centred and scaled coordinates of a block of queries and of the rows,

.. math:: \sum_{ij} U_{ij} (a_i - b_j)(a_i - b_j)^\top
          = A^\top \rho A - A^\top U B - B^\top U^\top A + B^\top \gamma B

which takes d products for each pair instead of the d (d + 1) / 2 of single derivatives. In many features the Gaussian's
distances, and U B, are products of matrices.
"""

import numpy as np

from ..compiled_kernels import (
    out_of_reach,
)
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
from .tiles import (
    add_moments,
    weigh,
    weigh_slope,
    weights_of,
)


@jit
def fill_slopes(kernel, own, rows, start, stop, shift, buffers, out):
    """Write weights times slopes of the rows from `start` to `stop`, whose squared distances the first buffer holds.

    `shift` is that of the complete sums; what is out of reach then has weight zero.
    """
    not_inlined()
    width = stop - start
    s = buffers[0, :width]
    w = weights_of(own, rows, start, stop, s, buffers[3])
    if shift == np.inf or out_of_reach(kernel, lowest(s), shift):
        for j in range(width):
            out[j] = 0.0
        return
    weigh(kernel, None, s, shift, w, rows.Y[:1], start, out, buffers[2, :2])
    weigh_slope(kernel, s, w, out)


@jit_sum
def times_adjoints(u, Y, start, adjoints, of_rows):
    """Turn weights times slopes in u into adjoint weights, add these to `of_rows`, and return their sum."""
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
    kernel, Zq, own, g, rows, start, B, squares_q, squares, products, most, shift, adjoints, buffers, of_rows, UB, U
):
    r"""Add up the adjoint weights :math:`-2 w_j k'(s_{ij}) (\bar M_i + \sum_c \bar N_{ic} y_{jc})` of a tile of rows.

    Parameters
    ----------
    kernel, Zq, own, g, rows
        As in `_dense.add_rows`.
    start, B, squares_q, squares, products, most
        As in `_gaussian.add_rows_by_matrices`; without products, `most` is negative.
    shift : float64[::1] of shape (m,)
        Of the complete sums.
    adjoints : float64[:, ::1] of shape (m, 1 + p)
        Wanted of the function in the mass and the moments of each query.
    buffers : float64[:, ::1] of shape (4, width), or two if that is less
    of_rows : float64[::1] of shape (width,)
        Updated: sums over queries.
    UB : float64[:, ::1] of shape (m, 1 + d)
        Updated: sums over rows, and those times the coordinates of the rows unless they are written to U.
    U : float64[:, ::1] of shape (m, width) or (0, width)
        Overwritten.
    """
    width = B.shape[1]
    s, u = buffers[0, :width], buffers[1, :width]
    for i in range(Zq.shape[0]):
        if squares_q[i] <= most:
            distances_from_products(i, squares_q[i], squares, products, s)
        else:
            squared_distances(Zq[i], rows.Z, start, g, s)
        out = U[i] if U.shape[0] > 0 else u
        fill_slopes(kernel, own[i], rows, start, start + width, shift[i], buffers, out)
        UB[i, 0] += times_adjoints(out, rows.Y, start, adjoints[i], of_rows)
        if U.shape[0] == 0:
            add_moments(out, B, 0, 0, UB[i])


#: Queries of a block and rows of a tile: what is of each pair fills the second-level cache.
_QUERIES, _TILE = 512, 512


#: Multiplications of one block, after which it can be interrupted: a tenth of a second.
_WORK_PER_BLOCK = 2**31


def gradient(problem, offset, adjoints, n_threads=1):
    r"""Derivative of a function of the sums, over every pair.

    .. math:: \sum_i \Big( \bar M_i\, M_i' + \sum_c \bar N_{ic}\, N_{ic}' \Big)

    which sums with derivatives would give as ``np.einsum("ic,iqc->q", adjoints, state.derivatives)``, without their
    m q (1 + p) numbers: reverse-mode differentiation, for which every pair is visited once more.

    Parameters
    ----------
    problem : Problem
        With wanted FEATURES or PAIRS; not a user's profile.
    offset : ndarray of shape (m,)
        Of the state of the same problem without derivatives.
    adjoints : ndarray of shape (m, 1 + p)
        Wanted of the function in the denominator and the numerators of each query.
    n_threads : int

    Returns
    -------
    ndarray of shape (q,)

    Notes
    -----
    Takes O(m n (d + p)) time, for PAIRS too, and O(q) memory besides a block and a tile for each thread; of the
    Gaussian, where all rows are left out, half of that time and O(n d) memory. By sums of products: rounding is
    relative to the extent of a block of queries, or of all rows, in units of the bandwidth, squared.
    """
    setting, rows, queries = problem.setting, problem.rows, problem.queries
    by_matrices, offset, adjoints = takes_matrices(setting), read_only(offset), read_only(adjoints)
    if setting.kernel == "gaussian" and queries.kind == "all" and setting.rtol > 0:
        found = gradient_of_all_pairs(rows, setting, offset, adjoints, by_matrices=by_matrices, n_threads=n_threads)
        if found is not None:
            return found
    return _by_blocks(setting, rows, queries, offset, adjoints, by_matrices=by_matrices, n_threads=n_threads)


def _by_blocks(setting, rows, queries, offset, adjoints, *, by_matrices, n_threads):
    """The same for any queries, a block of these at a time."""
    (kernel, _), Zq, own, g = for_loops(setting.kernel), queries.Z, queries.rows_for_loops(), read_only(setting.inv_h)
    (m, d), n, wanted, rtol = Zq.shape, len(rows.w), setting.wanted, setting.rtol
    most = most_for_products(d, rtol) if by_matrices else -np.inf
    step = max(32, min(_QUERIES, _WORK_PER_BLOCK // (n * d)))
    blocks = [(first, min(first + step, m)) for first in range(0, m, step)]
    out, upper, parts = np.zeros(wanted.count(d)), np.triu_indices(d), {}

    def add(first, last):
        part = slice(first, last)
        frame = Frame(rows, middle(Zq[part]), g)
        block, UB, total = frame.block(Zq[part]), np.zeros((last - first, 1 + d)), 0.0
        room = aligned((last - first if by_matrices else 0, min(_TILE, n)))
        for start, stop, B, squares in frame.tiles(_TILE):
            width = stop - start
            products = block.products(slice(len(room)), B, room)
            of_rows, buffers = np.zeros(width), aligned((4, max(width, 2)))
            U = aligned((last - first if by_matrices else 0, width))
            tile = start, B, block.squares, squares, products, most - squares.max()
            add_adjoints(
                kernel, Zq[part], own[part], g, rows, *tile, offset[part], adjoints[part], buffers, of_rows, UB, U
            )
            if by_matrices:
                UB[:, 1:] += U @ B.T
            total += (B * of_rows) @ B.T if wanted == Wanted.PAIRS else (B * B) @ of_rows
        A, of_queries = block.A, UB[:, 0]
        if wanted == Wanted.PAIRS:
            across = A.T @ UB[:, 1:]
            parts[first] = (total + (A.T * of_queries) @ A - across - across.T)[upper]
        else:
            parts[first] = total + of_queries @ (A * A) - 2 * np.einsum("ik,ik->k", A, UB[:, 1:])

    with one_thread_for_blas():
        for begin in range(0, len(blocks), 2 * n_threads):  # what is kept of each is as large as the result
            run_blocks(add, blocks[begin : begin + 2 * n_threads], n_threads)
            for first in sorted(parts):  # in this order, whatever that of the threads
                out += parts.pop(first)
    return out
