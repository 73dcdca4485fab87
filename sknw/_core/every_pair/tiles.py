r"""Every pair, in blocks: any kernel, any number of features.

Training rows are taken in tiles that stay in the processor's cache, and each tile meets a block of queries. For one
query and one tile three short loops run over the same small buffers, each of which LLVM turns into vector instructions:

    squared_distances   s_j = sum_k ((z_k - Z_kj) g_k)**2
    lowest              the smallest of them
    weigh               v_j = w_j k(s_j), relative to the nearest row so far, and the tile's part of mass and moments

The same loops serve the pairs within reach (`_window.py`). The Gaussian has shorter ones, where `rtol` allows, in
`_gaussian.py`.

Notation: z a query, Z the training rows, one feature after the other, g one factor per feature, w weights, Y targets,
one output after the other; n rows, m queries, d features, p outputs.
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

# Wanted in features and in pairs of them travel as tuples, too, as long as their values in `_rows.Wanted`;
# those that most callers ask for, none and the one in the scale, as an empty one: here they share one compilation.
_FEATURES, _PAIRS = 2, 3


# Loops rather than array expressions, which take seconds to compile: they bring all of numba's error messages along.
@jit
def copy(source, start, target):
    """target = source[start:], as much as target has room for."""
    for j in range(target.shape[0]):
        target[j] = source[start + j]


@jit
def scale(a, factor):
    """a *= factor; the factor 0 leaves nothing, of an infinite derivative neither."""
    for j in range(a.shape[0]):
        a[j] = a[j] * factor if factor != 0.0 else 0.0


@jit_sum
def weigh(kernel, profile, s, shift, w, Y, start, v, sums):
    """Write weights times profile at each s to v, and add up the tile's mass and first moment."""
    not_inlined()
    wide_vectors()
    n = v.shape[0]
    y = Y[0, start : start + n]
    mass, moment = 0.0, 0.0
    for j in range(n):
        v_j = w[j] * profile_at(kernel, profile, s[j], shift)
        v[j] = v_j
        mass += v_j
        moment += v_j * y[j]
    sums[0] += mass
    sums[1] += moment
    add_moments(v, Y, 1, start, sums)


@jit_sum
def add_moments(v, Y, first, start, sums):
    """Add the tile's moments, from the output `first` on: sum_j v_j Y_cj."""
    n = v.shape[0]
    for c in range(first, Y.shape[0]):
        y = Y[c, start : start + n]
        moment = 0.0
        for j in range(n):
            moment += v[j] * y[j]
        sums[1 + c] += moment


@jit
def weigh_slope(kernel, s, w, v):
    """Turn weights times profile in v into weights times slope."""
    not_inlined()
    for j in range(v.shape[0]):
        v[j] = slope_at(kernel, s[j], w[j], v[j])


@jit_sum
def add_products(v, z_a, g_a, Z_a, z_b, g_b, Z_b, f, Y, start, sums):
    """Add up the weights v times two scaled differences t = (z - Z) g, and these times Y; f is a buffer."""
    not_inlined()
    n = v.shape[0]
    y = Y[0, start : start + n]
    mass, moment = 0.0, 0.0
    for j in range(n):
        t = ((z_a - Z_a[j]) * g_a) * ((z_b - Z_b[j]) * g_b)
        t = v[j] * t if v[j] != 0.0 else 0.0  # where it may be 0 times infinity
        f[j] = t
        mass += t
        moment += t * y[j]
    sums[0] += mass
    sums[1] += moment
    add_moments(f, Y, 1, start, sums)


@jit_sum
def add_scaled(v, s, f, Y, start, sums):
    """Add up the weights v times s, and these times Y; f is a buffer."""
    not_inlined()
    n = v.shape[0]
    y = Y[0, start : start + n]
    mass, moment = 0.0, 0.0
    for j in range(n):
        t = v[j] * s[j] if v[j] != 0.0 else 0.0
        f[j] = t
        mass += t
        moment += t * y[j]
    sums[0] += mass
    sums[1] += moment
    add_moments(f, Y, 1, start, sums)


def add_derivatives(with_respect_to, kernel, z, g, rows, start, s, w, v, f, dsums):
    """Add one tile's part of the derivatives of mass and moments; v holds weights times slopes, f is a buffer."""
    raise NotImplementedError("for compiled code only")


@overload_jit(add_derivatives)
def _add_derivatives(with_respect_to, kernel, z, g, rows, start, s, w, v, f, dsums):
    """Choose what is compiled, by the type of `with_respect_to`."""

    def scale(with_respect_to, kernel, z, g, rows, start, s, w, v, f, dsums):
        if dsums.shape[0] > 0:
            add_scaled(v, s, f, rows.Y, start, dsums[0])

    def coordinates(with_respect_to, kernel, z, g, rows, start, s, w, v, f, dsums):
        stop, i = start + v.shape[0], 0
        for a in range(z.shape[0]):
            for b in range(a, a + 1 if len(with_respect_to) == _FEATURES else z.shape[0]):
                Z_a, Z_b = rows.Z[a, start:stop], rows.Z[b, start:stop]
                add_products(v, z[a], g[a], Z_a, z[b], g[b], Z_b, f, rows.Y, start, dsums[i])
                i += 1

    return coordinates if len(with_respect_to) else scale


@jit_inline  # compiled code cannot return one of two arrays
def weights_of(own, rows, start, stop, s, buffer):
    """Weights of the rows from `start` to `stop`; of a query's own what is left, out of reach if that is nothing."""
    w = rows.w[start:stop]
    if start <= own < stop:  # the weights are shared by all threads
        w = buffer[: stop - start]
        copy(rows.w, start, w)
        w[own - start] = rows.w_rest[own]
        if w[own - start] == 0.0:
            s[own - start] = np.inf
    return w


@jit
def restart(i, state):
    """Take back what has been added up for a query, but for the squared distance of its nearest row."""
    scale(state.sums[i], 0.0)
    for k in range(state.derivatives.shape[1]):
        scale(state.derivatives[i, k], 0.0)


@jit_inline  # a function of its own would take its callers half as long again to compile
def merge(kernel, profile, with_respect_to, z, own, g, rows, start, stop, buffers, i, state):
    """Merge the training rows from `start` to `stop` into the state of query i, which is z.

    Parameters as in `add_rows`; `buffers` is float64[:, ::1] of shape (4, at least stop - start).
    """
    width = stop - start
    s, v, f = buffers[0, :width], buffers[1, :width], buffers[2, :width]
    squared_distances(z, rows.Z, start, g, s)
    w = weights_of(own, rows, start, stop, s, buffers[3])
    low = lowest(s)
    if low < state.offset[i]:
        if is_shifted(kernel):
            factor = rescale(kernel, state.offset[i], low)
            scale(state.sums[i], factor)
            for k in range(state.derivatives.shape[1]):
                scale(state.derivatives[i, k], factor)
        state.offset[i] = low
    shift = as_near(kernel, state.offset[i], z, g)
    if low < np.inf and not out_of_reach(kernel, low, shift):
        weigh(kernel, profile, s, shift, w, rows.Y, start, v, state.sums[i])
        if state.derivatives.shape[1] > 0:
            weigh_slope(kernel, s, w, v)
            add_derivatives(with_respect_to, kernel, z, g, rows, start, s, w, v, f, state.derivatives[i])


@jit_entry(allocates=False)
def add_rows(kernel, profile, with_respect_to, Zq, own, g, rows, buffers, state):
    """Merge all training rows into the states of some queries.

    Parameters
    ----------
    kernel : tuple of as many zeros as the code of the kernel
    profile : jitted function of a float64, or None
        The profile, for a kernel that the user brings.
    with_respect_to : tuple of as many zeros as the value of `Wanted`, if that is more than that of the scale
        Which derivatives to add up, as many as `state` has room for.
    Zq : float64[:, ::1] of shape (m, d)
        Queries.
    own : int64[::1] of shape (m,)
        The training row that each query is, of whose weight only `rows.w_rest` counts, as leave-one-out has it; or -1.
    g : float64[::1] of shape (d,)
        Factor of each feature.
    rows : Rows
        Training rows.
    buffers : float64[:, ::1] of shape (4, tile)
        Room for what is formed of a tile, as many rows as are taken at a time.
    state : State
        Updated.
    """
    n, tile = rows.w.shape[0], buffers.shape[1]
    # Which rows are as near as the nearest one is known once that is.
    for again in range(2 if is_nearest(kernel) else 1):
        for i in range(Zq.shape[0] if again else 0):
            restart(i, state)
        for start in range(0, n, tile):
            stop = min(start + tile, n)
            for i in range(Zq.shape[0]):
                merge(kernel, profile, with_respect_to, Zq[i], own[i], g, rows, start, stop, buffers, i, state)


@jit_entry(allocates=False)
def find_nearest(Zq, own, g, rows, s, low):
    """Write the squared distance of each query to the nearest row other than its own; s has room for a tile."""
    n, tile = rows.w.shape[0], s.shape[0]
    for start in range(0, n, tile):
        width = min(tile, n - start)
        for i in range(Zq.shape[0]):
            squared_distances(Zq[i], rows.Z, start, g, s[:width])
            if start <= own[i] < start + width:
                s[own[i] - start] = np.inf
            low[i] = min(low[i], lowest(s[:width]))


def tile_sums(kernel, rows, g, queries, *, wanted, n_threads=1):
    """Sums over every pair.

    Takes O(m n (d + p)) time, with q derivatives q times more. Besides the result, memory is that of a block of queries
    and a tile of rows for each thread.
    """
    Zq, own, g = queries.Z, queries.rows_for_loops(), read_only(g)
    (m, d), (p, n), q = Zq.shape, rows.Y.shape, wanted.count(len(g))
    compiled, profile = for_loops(kernel)
    state, tile, add = State.empty(m, p, q), tile_width(d + p + 3), add_rows
    if profile is not None:
        add = uncached(add_rows)

    def work(start, stop):
        part, buffers = slice(start, stop), aligned((4, tile))
        add(compiled, profile, wanted.for_loops(), Zq[part], own[part], g, rows, buffers, state.part(part))

    run_blocks(work, blocks_of_queries(m, n * (d + p) * (1 + q) / 2), n_threads)
    return state


def nearest_squares(Z, *, n_threads=1):
    """Squared distances of few points, of shape (n, d), to the nearest other one; O(n² d) time."""
    Z, (n, d) = read_only(Z), Z.shape
    rows = Rows(*map(read_only, (Z.T, np.zeros((1, n)), np.ones(n), np.zeros(n))))
    own, g, low, tile = read_only(np.arange(n), np.int64), read_only(np.ones(d)), np.full(n, np.inf), tile_width(d + 1)

    def find(start, stop):
        part = slice(start, stop)
        find_nearest(Z[part], own[part], g, rows, aligned((tile,)), low[part])

    run_blocks(find, blocks_of_queries(n, n * d), n_threads)
    return low


@functools.cache
def uncached(entry):
    """The same compiled function without its disk cache, which a function passed as an argument would only fill up."""
    return jit_entry(entry.py_func, cache=False)


#: A block of queries takes one thread some milliseconds, so that Ctrl-C is noticed between blocks, and has queries
#: enough for a tile of rows to be worth fetching. The unit of work is a pair with one feature and one output.
_WORK_PER_BLOCK = 2**21
_FEWEST_QUERIES = 64


def blocks_of_queries(m, work):
    """Ranges of queries of one length, each of which takes some work; they depend on nothing but the sizes."""
    step = max(_FEWEST_QUERIES, int(_WORK_PER_BLOCK // max(work, 1)))
    step = max(1, math.ceil(m / max(1, math.ceil(m / step))))
    return [(start, min(start + step, m)) for start in range(0, m, step)]
