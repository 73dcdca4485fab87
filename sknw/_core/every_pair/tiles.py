"""Kernel sums over every pair, in blocks: any kernel, any number of features.

Training rows are processed in tiles that fit into the first-level cache, each with a whole block of queries. For
one query and one tile, three loops run over the same buffers. LLVM vectorizes each of them::

    squared_distances   s_j = sum_k ((z_k - Z_kj) g_k)**2
    lowest              the smallest s_j
    weigh               v_j = w_j k(s_j) / k(offset), and the tile's contribution to denominator and numerators

The engines within the cutoff (`within_reach`) use the same loops. The Gaussian has faster ones in `gaussian`, where
`rtol` allows them.

Notation: z a query, Z the coordinates of the rows, feature by feature, g the inverse bandwidth of each feature, w
weights, Y targets, output by output; n rows, m queries, d features, p outputs. `row` is the training row of a query,
which enters with its leave-one-out weight, or -1.
"""

import functools
import math

import numpy as np

from ..compiled_kernels import (
    as_near,
    is_nearest,
    is_shifted,
    out_of_reach,
    profile_at,
    rescale,
    slope_at,
)
from ..kernels import for_loops
from ..problem import Rows, State, read_only
from ..runtime.jit import jit, jit_entry, jit_inline, jit_sum, not_inlined, overload_jit, wide_vectors
from ..runtime.processor import aligned, tile_width
from ..runtime.threads import run_blocks
from .distances import lowest, squared_distances

# Lengths of the tuples that `Wanted.for_loops` returns for FEATURES and PAIRS. VALUE and SCALE, the most frequent,
# share the empty tuple and therefore one compilation.
_FEATURES, _PAIRS = 2, 3


# Loops instead of array expressions, which take seconds to compile because they include numba's error messages.
@jit
def copy(source, start, target):
    """Copy entries of `source` from `start` on, until `target` is full."""
    for j in range(target.shape[0]):
        target[j] = source[start + j]


@jit
def scale(a, factor):
    """Multiply in place; the factor 0 gives 0, for infinite entries too."""
    for j in range(a.shape[0]):
        a[j] = a[j] * factor if factor != 0.0 else 0.0


@jit_sum
def weigh(kernel, profile, s, offset, w, Y, start, v, sums):
    """Write weights times profile to v, and add the tile to the denominator and first numerator.

    All other numerators are added too.
    """
    not_inlined()
    wide_vectors()
    n = v.shape[0]
    y = Y[0, start : start + n]
    denominator, numerator = 0.0, 0.0
    for j in range(n):
        v_j = w[j] * profile_at(kernel, profile, s[j], offset)
        v[j] = v_j
        denominator += v_j
        numerator += v_j * y[j]
    sums[0] += denominator
    sums[1] += numerator
    add_numerators(v, Y, 1, start, sums)


@jit_sum
def add_numerators(v, Y, first, start, sums):
    """Add the tile's numerators sum_j v_j Y_cj, from the output `first` on."""
    n = v.shape[0]
    for c in range(first, Y.shape[0]):
        y = Y[c, start : start + n]
        numerator = 0.0
        for j in range(n):
            numerator += v[j] * y[j]
        sums[1 + c] += numerator


@jit
def weigh_slope(kernel, s, w, v):
    """Turn weights times profile, in v, into weights times slope."""
    not_inlined()
    for j in range(v.shape[0]):
        v[j] = slope_at(kernel, s[j], w[j], v[j])


@jit_sum
def add_products(v, z_a, g_a, Z_a, z_b, g_b, Z_b, f, Y, start, sums):
    """Add up weights v times two scaled differences t = (z - Z) g, and these times Y.

    The buffer f is overwritten.
    """
    not_inlined()
    n = v.shape[0]
    y = Y[0, start : start + n]
    denominator, numerator = 0.0, 0.0
    for j in range(n):
        t = ((z_a - Z_a[j]) * g_a) * ((z_b - Z_b[j]) * g_b)
        t = v[j] * t if v[j] != 0.0 else 0.0  # 0 times infinity is 0 here
        f[j] = t
        denominator += t
        numerator += t * y[j]
    sums[0] += denominator
    sums[1] += numerator
    add_numerators(f, Y, 1, start, sums)


@jit_sum
def add_scaled(v, s, f, Y, start, sums):
    """Add up weights v times s, and these times Y; the buffer f is overwritten."""
    not_inlined()
    n = v.shape[0]
    y = Y[0, start : start + n]
    denominator, numerator = 0.0, 0.0
    for j in range(n):
        t = v[j] * s[j] if v[j] != 0.0 else 0.0
        f[j] = t
        denominator += t
        numerator += t * y[j]
    sums[0] += denominator
    sums[1] += numerator
    add_numerators(f, Y, 1, start, sums)


def add_derivatives(with_respect_to, kernel, z, g, rows, start, s, w, v, f, derivatives):
    """Add the tile's contribution to the derivatives of denominator and numerators.

    On input v holds weights times slopes. The buffer f is overwritten.
    """
    raise NotImplementedError("for compiled code only")


@overload_jit(add_derivatives)
def _add_derivatives(with_respect_to, kernel, z, g, rows, start, s, w, v, f, derivatives):
    """Select the implementation by the type of `with_respect_to`."""

    def scale(with_respect_to, kernel, z, g, rows, start, s, w, v, f, derivatives):
        if derivatives.shape[0] > 0:
            add_scaled(v, s, f, rows.Y, start, derivatives[0])

    def coordinates(with_respect_to, kernel, z, g, rows, start, s, w, v, f, derivatives):
        stop, i = start + v.shape[0], 0
        for a in range(z.shape[0]):
            for b in range(a, a + 1 if len(with_respect_to) == _FEATURES else z.shape[0]):
                Z_a, Z_b = rows.Z[a, start:stop], rows.Z[b, start:stop]
                add_products(v, z[a], g[a], Z_a, z[b], g[b], Z_b, f, rows.Y, start, derivatives[i])
                i += 1

    return coordinates if len(with_respect_to) else scale


@jit_inline  # compiled code cannot return one of two arrays
def weights_of(row, rows, start, stop, s, buffer):
    """Weights of rows start..stop, with that of the query's own row replaced.

    The leave-one-out weight replaces it. If that is zero, the squared distance of the row is set to inf.
    """
    w = rows.w[start:stop]
    if start <= row < stop:  # copied, because all threads read the same weights
        w = buffer[: stop - start]
        copy(rows.w, start, w)
        w[row - start] = rows.w_rest[row]
        if w[row - start] == 0.0:
            s[row - start] = np.inf
    return w


@jit
def restart(i, state):
    """Reset the sums of a query to zero, keeping its offset."""
    scale(state.sums[i], 0.0)
    for k in range(state.derivatives.shape[1]):
        scale(state.derivatives[i, k], 0.0)


@jit_inline  # without inlining, callers take half as long again to compile
def merge(kernel, profile, with_respect_to, z, row, g, rows, start, stop, buffers, i, state):
    """Merge training rows start..stop into the state of query i, whose coordinates are z.

    Parameters as in `add_rows`. `buffers` is float64[:, ::1] of shape (4, at least stop - start).
    """
    width = stop - start
    s, v, f = buffers[0, :width], buffers[1, :width], buffers[2, :width]
    squared_distances(z, rows.Z, start, g, s)
    w = weights_of(row, rows, start, stop, s, buffers[3])
    low = lowest(s)
    if low < state.offset[i]:
        if is_shifted(kernel):
            factor = rescale(kernel, state.offset[i], low)
            scale(state.sums[i], factor)
            for k in range(state.derivatives.shape[1]):
                scale(state.derivatives[i, k], factor)
        state.offset[i] = low
    offset = as_near(kernel, state.offset[i], z, g)
    if low < np.inf and not out_of_reach(kernel, low, offset):
        weigh(kernel, profile, s, offset, w, rows.Y, start, v, state.sums[i])
        if state.derivatives.shape[1] > 0:
            weigh_slope(kernel, s, w, v)
            add_derivatives(with_respect_to, kernel, z, g, rows, start, s, w, v, f, state.derivatives[i])


@jit_entry(allocates=False)
def add_rows(kernel, profile, with_respect_to, Zq, row, g, rows, buffers, state):
    """Merge all training rows into the states of a block of queries.

    Parameters
    ----------
    kernel : Kernel
        Instance from `kernels.for_loops`.
    profile : jitted function of a float64, or None
        A user's profile, for `Custom` kernels.
    with_respect_to : tuple of zeros
        Of `Wanted.for_loops`: selects derivatives, of which `state` determines the number.
    Zq : float64[:, ::1] of shape (m, d)
        Queries.
    row : int64[::1] of shape (m,)
        Training row of each query, which enters with its weight in `rows.w_rest`, or -1.
    g : float64[::1] of shape (d,)
        Inverse bandwidths.
    rows : Rows
        Training rows.
    buffers : float64[:, ::1] of shape (4, tile)
        Overwritten. Their width is the number of rows per tile.
    state : State
        Updated.
    """
    n, tile = rows.w.shape[0], buffers.shape[1]
    # Ties with the nearest row can be identified only once its distance is known, so "nearest" takes two passes.
    for again in range(2 if is_nearest(kernel) else 1):
        for i in range(Zq.shape[0] if again else 0):
            restart(i, state)
        for start in range(0, n, tile):
            stop = min(start + tile, n)
            for i in range(Zq.shape[0]):
                merge(kernel, profile, with_respect_to, Zq[i], row[i], g, rows, start, stop, buffers, i, state)


@jit_entry(allocates=False)
def find_nearest(Zq, row, g, rows, s, low):
    """Write the squared distance of each query to the nearest row other than its own.

    The buffer s holds one tile.
    """
    n, tile = rows.w.shape[0], s.shape[0]
    for start in range(0, n, tile):
        width = min(tile, n - start)
        for i in range(Zq.shape[0]):
            squared_distances(Zq[i], rows.Z, start, g, s[:width])
            if start <= row[i] < start + width:
                s[row[i] - start] = np.inf
            low[i] = min(low[i], lowest(s[:width]))


def tile_sums(kernel, rows, inv_h, queries, *, wanted, n_threads=1):
    """Sums over every pair, relative to the nearest row.

    Parameters
    ----------
    kernel : str or jitted function
    rows : Rows
    inv_h : ndarray of shape (d,)
    queries : Queries
    wanted : Wanted
    n_threads : int

    Returns
    -------
    State

    Notes
    -----
    O(m n (d + p)) time, times q with q derivatives. Besides the result, each thread needs the memory of one block of
    queries and one tile of rows.
    """
    Zq, row, inv_h = queries.Z, queries.rows_for_loops(), read_only(inv_h)
    (m, d), (p, n), q = Zq.shape, rows.Y.shape, wanted.count(len(inv_h))
    compiled, profile = for_loops(kernel)
    state, tile, add = State.empty(m, p, q), tile_width(d + p + 3), add_rows
    if profile is not None:
        add = uncached(add_rows)

    def work(start, stop):
        block, buffers = slice(start, stop), aligned((4, tile))
        add(compiled, profile, wanted.for_loops(), Zq[block], row[block], inv_h, rows, buffers, state.part(block))

    run_blocks(work, blocks_of_queries(m, n * (d + p) * (1 + q) / 2), n_threads)
    return state


def nearest_squares(Z, *, n_threads=1):
    """Squared distances of points, of shape (n, d), to the nearest other one; O(n² d) time."""
    Z, (n, d) = read_only(Z), Z.shape
    rows = Rows(*map(read_only, (Z.T, np.zeros((1, n)), np.ones(n), np.zeros(n))))
    row, g, low, tile = read_only(np.arange(n), np.int64), read_only(np.ones(d)), np.full(n, np.inf), tile_width(d + 1)

    def find(start, stop):
        block = slice(start, stop)
        find_nearest(Z[block], row[block], g, rows, aligned((tile,)), low[block])

    run_blocks(find, blocks_of_queries(n, n * d), n_threads)
    return low


@functools.cache
def uncached(entry):
    """The compiled function without its disk cache.

    Specializations for a user's function would fill the disk, because they cannot be found again.
    """
    return jit_entry(entry.py_func, cache=False)


#: Work per block: a few milliseconds, so that Ctrl-C is noticed between blocks. A block has enough queries to pay for
#: loading a tile of rows. The unit is a pair with one feature and one output.
_WORK_PER_BLOCK = 2**21
_FEWEST_QUERIES = 64


def blocks_of_queries(m, work):
    """Ranges of queries of equal size and limited work; they depend on the sizes only."""
    step = max(_FEWEST_QUERIES, int(_WORK_PER_BLOCK // max(work, 1)))
    step = max(1, math.ceil(m / max(1, math.ceil(m / step))))
    return [(start, min(start + step, m)) for start in range(0, m, step)]
