r"""Every pair once, for a geometric series of bandwidths, each narrower by the root of two than the last.

Squared distances are formed once. Those of the next bandwidth are twice as large, so that a Gaussian's weights are the
squares of the last ones, and one exponential serves for as many bandwidths as their accuracy allows: squaring doubles
a relative error and adds half an eps.
"""

import math

import numpy as np

from ..compiled_kernels import is_shifted, out_of_reach, profile_at, rescale, slope_at
from ..kernels import for_loops
from ..problem import State, read_only
from ..runtime.exponential import half_to_the
from ..runtime.jit import jit, jit_entry, jit_sum, not_inlined, wide_vectors
from ..runtime.processor import aligned, tile_width
from ..runtime.threads import run_blocks
from .distances import lowest, squared_distances
from .tiles import blocks_of_queries, copy, scale, weights_of

#: The Gaussian exp(-s/2) is 2**(-_UNIT s).
_UNIT = 0.5 * np.log2(np.e)


#: Smaller weights are taken for this one, which is nothing beside the mass: neither its square nor its product with a
#: small target is a subnormal number, which takes a hundred times as long.
_SMALLEST = 1e-140


#: Larger distances are taken for this one: with such a weight it is nothing, either.
_LARGEST = 1e30


@jit
def fill_profiles(kernel, s, ratio, shift, u):
    """Write the profile at each `ratio` s to u."""
    not_inlined()
    wide_vectors()
    for j in range(u.shape[0]):
        u[j] = profile_at(kernel, None, ratio * s[j], shift)


@jit_sum
def add_profiles(kernel, s, ratio, u, w, Y, start, sums, dsums):
    """Add the tile's mass and moments, from profiles u at `ratio` s, and their derivatives in the scale, if wanted."""
    not_inlined()
    n = u.shape[0]
    for c in range(Y.shape[0]):
        y = Y[c, start : start + n]
        mass, moment, dmass, dmoment = 0.0, 0.0, 0.0, 0.0
        if dsums.shape[0] > 0:
            for j in range(n):
                v, s_j = w[j] * u[j], ratio * s[j]
                mass += v
                moment += v * y[j]
                v = slope_at(kernel, s_j, w[j], v)
                v = v * s_j if v != 0.0 else 0.0
                dmass += v
                dmoment += v * y[j]
            dsums[0, 0] += dmass if c == 0 else 0.0
            dsums[0, 1 + c] += dmoment
        else:
            for j in range(n):
                v = w[j] * u[j]
                mass += v
                moment += v * y[j]
        sums[0] += mass if c == 0 else 0.0
        sums[1 + c] += moment


@jit_entry(allocates=False)
def add_rows_of_scales(kernel, Zq, own, g, rows, places, buffers, state):
    """`add_rows` for a geometric series of bandwidths, whose squared distances double from one to the next.

    Parameters
    ----------
    kernel, Zq, own, rows
        As in `add_rows`.
    g : float64[::1] of shape (d,)
        Factors of the widest bandwidth.
    places : int64[::1]
        Which bandwidths of the series, in ascending order.
    buffers : float64[:, ::1] of shape (3, tile)
    state : State
        With one axis more, that of the bandwidths, ahead of the others; without derivatives, or with that in the scale.
    """
    n, tile = rows.w.shape[0], buffers.shape[1]
    for start in range(0, n, tile):
        stop = min(start + tile, n)
        width = stop - start
        s, u = buffers[0, :width], buffers[1, :width]
        for i in range(Zq.shape[0]):
            squared_distances(Zq[i], rows.Z, start, g, s)
            w = weights_of(own[i], rows, start, stop, s, buffers[2])
            low = lowest(s)
            if low == np.inf:
                continue
            nearer = low < state.offset[0, i]
            for k in range(places.shape[0]):
                ratio = 2.0 ** places[k]
                if low * ratio == np.inf:  # all of these overflow, and those of narrower bandwidths
                    break
                if nearer:
                    if is_shifted(kernel):
                        factor = rescale(kernel, state.offset[k, i], low * ratio)
                        scale(state.sums[k, i], factor)
                        for a in range(state.derivatives.shape[2]):
                            scale(state.derivatives[k, i, a], factor)
                    state.offset[k, i] = low * ratio
                if not out_of_reach(kernel, low * ratio, state.offset[k, i]):
                    fill_profiles(kernel, s, ratio, state.offset[k, i], u)
                    add_profiles(kernel, s, ratio, u, w, rows.Y, start, state.sums[k, i], state.derivatives[k, i])


@jit
def fill_products(s, low, w, y, wy, wt, wty):
    """Write what weights are multiplied by in a moment and in both derivatives: w y, w (s - low) and w (s - low) y."""
    not_inlined()
    for j in range(s.shape[0]):
        t = s[j] - low if s[j] < _LARGEST else _LARGEST
        wy[j] = w[j] * y[j]
        wt[j] = w[j] * t
        wty[j] = wt[j] * y[j]


@jit_sum
def add_series(s, low, places, squares, u, w, wy, wt, wty, c, i, sums, dsums):
    """Add up mass and moment of output c for query i and each place of a series, with derivatives if wanted.

    Wanted are sums of s times weights: those of s - low, and low times the others.
    """
    not_inlined()
    wide_vectors()
    n, k, ratio = s.shape[0], 0, _UNIT
    for place in range(places[-1] + 1):
        if place % (squares + 1) == 0:
            for j in range(n):
                u[j] = half_to_the(ratio * (s[j] - low))
        ratio *= 2.0
        mass, moment, dmass, dmoment = 0.0, 0.0, 0.0, 0.0
        if place < places[k]:
            for j in range(n):
                t = u[j] if u[j] > _SMALLEST else _SMALLEST
                u[j] = t * t
            continue
        if dsums.shape[2] > 0:
            for j in range(n):
                t = u[j] if u[j] > _SMALLEST else _SMALLEST
                mass += w[j] * t
                moment += wy[j] * t
                dmass += wt[j] * t
                dmoment += wty[j] * t
                u[j] = t * t
            dsums[k, i, 0, 0] += dmass + low * mass if c == 0 else 0.0
            dsums[k, i, 0, 1 + c] += dmoment + low * moment
        else:
            for j in range(n):
                t = u[j] if u[j] > _SMALLEST else _SMALLEST
                mass += w[j] * t
                moment += wy[j] * t
                u[j] = t * t
        sums[k, i, 0] += mass if c == 0 else 0.0
        sums[k, i, 1 + c] += moment
        k += 1


@jit_entry(allocates=False)
def add_gaussian_rows_of_scales(Zq, own, g, rows, places, squares, buffers, low, sums, dsums):
    """`add_rows_of_scales` for the Gaussian.

    Parameters
    ----------
    Zq, own, g, rows, places
        As there.
    squares : int
        How often a profile may be the square of the last one, before one is formed anew.
    buffers : float64[:, ::1] of shape (6, tile)
    low : float64[::1] of shape (m,)
        Overwritten: the squared distance to the nearest row, at the widest bandwidth.
    sums, dsums : ndarray
        Of the states, as there; derivatives are sums of weights times the squared distances of the widest bandwidth.
    """
    n, tile = rows.w.shape[0], buffers.shape[1]
    for start in range(0, n, tile):
        stop = min(start + tile, n)
        s = buffers[0, : stop - start]
        for i in range(Zq.shape[0]):
            squared_distances(Zq[i], rows.Z, start, g, s)
            weights_of(own[i], rows, start, stop, s, buffers[2])
            low[i] = min(low[i], lowest(s))
    for start in range(0, n, tile):
        stop = min(start + tile, n)
        width = stop - start
        s, u, w = buffers[0, :width], buffers[1, :width], buffers[2, :width]
        wy, wt, wty = buffers[3, :width], buffers[4, :width], buffers[5, :width]
        for i in range(Zq.shape[0]):
            if low[i] == np.inf:
                continue
            squared_distances(Zq[i], rows.Z, start, g, s)
            copy(weights_of(own[i], rows, start, stop, s, w), 0, w)
            for c in range(rows.Y.shape[0]):
                fill_products(s, low[i], w, rows.Y[c, start:stop], wy, wt, wty)
                add_series(s, low[i], places, squares, u, w, wy, wt, wty, c, i, sums, dsums)


def ladder_sums(problem, rungs, n_threads=1):
    r"""Sums over every pair at bandwidths in geometric progression, in one pass.

    Squared distances are formed once. Those of the next bandwidth, narrower by the root of two, are twice as large, so
    that a Gaussian's weights are the squares of the last ones: one exponential serves for as many bandwidths as `rtol`
    allows.

    Parameters
    ----------
    problem : Problem
        At the widest bandwidth; wanted are VALUE or SCALE; not a user's profile. `rtol` is what weights may be wrong
        by, relative to themselves and besides rounding of distances, up to a factor of 2.5: a profile is right to
        2 eps, and each square doubles that and adds half an eps.
    rungs : sequence of int
        Which bandwidths of the ladder, in ascending order, up to `LAST_RUNG`; the widest is 0.
    n_threads : int

    Returns
    -------
    list of State

    Notes
    -----
    Takes O(m n (d + p k)) time, and O(m p k) memory, with k bandwidths.
    """
    setting, rows, queries = problem.setting, problem.rows, problem.queries
    (compiled, _), Zq, own, g = for_loops(setting.kernel), queries.Z, queries.rows_for_loops(), read_only(setting.inv_h)
    (m, d), (p, n), q, rungs = Zq.shape, rows.Y.shape, setting.wanted.count(len(g)), read_only(rungs, np.int64)
    tile = min(_TILE, tile_width(d + p + 6))
    squares = max(0, math.frexp(setting.rtol / np.finfo(np.float64).eps)[1] - 1)
    by_squares = setting.kernel == "gaussian" and rows.w.min() > _LIGHTEST * rows.w.max()

    def empty(m):
        return State(*(a.reshape(len(rungs), m, *a.shape[1:]) for a in State.empty(len(rungs) * m, p, q)))

    state = empty(m)

    def add(start, stop):
        # By itself: a processor that fetches what comes next, of many lines at once, would take it from another one.
        part, mine = slice(start, stop), empty(stop - start)
        if by_squares:
            args = Zq[part], own[part], g, rows, rungs, squares, aligned((6, tile)), mine.offset[0]
            add_gaussian_rows_of_scales(*args, mine.sums, mine.derivatives)
        else:
            add_rows_of_scales(compiled, Zq[part], own[part], g, rows, rungs, aligned((3, tile)), mine)
        for whole, some in zip(state, mine, strict=True):
            whole[:, part] = some

    run_blocks(add, blocks_of_queries(m, n * (d + p * len(rungs)) / 2), n_threads)
    if by_squares:
        ratios = 2.0**rungs
        with np.errstate(over="ignore"):
            np.multiply.outer(ratios, state.offset[0], out=state.offset)
            state.derivatives[:] *= ratios[:, None, None, None]
        state.sums[np.isinf(state.offset)] = 0.0
        state.derivatives[state.offset > _FARTHEST] = 0.0  # sums that overflow, of distances that have no digits left
    return [State(*(a[k] for a in state)) for k in range(len(rungs))]


#: Squared distances beyond that are not added up.
_FARTHEST = 1e290

#: Next to heavier rows, lighter ones are lost in the least weight that squares may have.
_LIGHTEST = 1e-100

#: Rows of a tile that is gone through again and again, with much beside it.
_TILE = 512
