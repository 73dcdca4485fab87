"""Sums over every pair for a ladder of bandwidths, each smaller by a factor of sqrt(2).

Squared distances are computed once. From one rung to the next they double, so that Gaussian weights are squared. One
exponential therefore serves several rungs: each squaring doubles the relative error and adds half an eps, up to `rtol`.
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


#: Smaller weights are replaced by this one, which is negligible beside the denominator. Neither its square nor its
#: product with a small target is a subnormal number, and these take a hundred times as long.
_SMALLEST = 1e-140


#: Larger squared distances are replaced by this one; multiplied by the smallest weight, it is negligible.
_LARGEST = 1e30


@jit
def fill_profiles(kernel, s, ratio, offset, u):
    """Write the profile at each `ratio` s to u."""
    not_inlined()
    wide_vectors()
    for j in range(u.shape[0]):
        u[j] = profile_at(kernel, None, ratio * s[j], offset)


@jit_sum
def add_profiles(kernel, s, ratio, u, w, Y, start, sums, derivatives):
    """Add the tile to denominator, numerators and, if wanted, derivatives in the scale.

    u holds the profiles at `ratio` s.
    """
    not_inlined()
    n = u.shape[0]
    for c in range(Y.shape[0]):
        y = Y[c, start : start + n]
        denominator, numerator, d_denominator, d_numerator = 0.0, 0.0, 0.0, 0.0
        if derivatives.shape[0] > 0:
            for j in range(n):
                v, s_j = w[j] * u[j], ratio * s[j]
                denominator += v
                numerator += v * y[j]
                v = slope_at(kernel, s_j, w[j], v)
                v = v * s_j if v != 0.0 else 0.0
                d_denominator += v
                d_numerator += v * y[j]
            derivatives[0, 0] += d_denominator if c == 0 else 0.0
            derivatives[0, 1 + c] += d_numerator
        else:
            for j in range(n):
                v = w[j] * u[j]
                denominator += v
                numerator += v * y[j]
        sums[0] += denominator if c == 0 else 0.0
        sums[1 + c] += numerator


@jit_entry(allocates=False)
def add_rows_of_scales(kernel, Zq, row, g, rows, rungs, buffers, state):
    """Merge all training rows into the states of a block of queries, for each rung of a ladder.

    Parameters
    ----------
    kernel, Zq, row, rows
        As in `tiles.add_rows`.
    g : float64[::1] of shape (d,)
        Inverse of the largest bandwidths.
    rungs : int64[::1]
        Rungs, in ascending order. Squared distances at rung k are 2**k times those at the largest bandwidths.
    buffers : float64[:, ::1] of shape (3, tile)
    state : State
        Updated. The first axis of each array is that of the rungs. Without derivatives, or with that in the scale.
    """
    n, tile = rows.w.shape[0], buffers.shape[1]
    for start in range(0, n, tile):
        stop = min(start + tile, n)
        width = stop - start
        s, u = buffers[0, :width], buffers[1, :width]
        for i in range(Zq.shape[0]):
            squared_distances(Zq[i], rows.Z, start, g, s)
            w = weights_of(row[i], rows, start, stop, s, buffers[2])
            low = lowest(s)
            if low == np.inf:
                continue
            nearer = low < state.offset[0, i]
            for k in range(rungs.shape[0]):
                ratio = 2.0 ** rungs[k]
                if low * ratio == np.inf:  # all squared distances overflow, at smaller bandwidths too
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
    """Write the factors of weights in numerators and derivatives.

    They are w y, w (s - low) and w (s - low) y.
    """
    not_inlined()
    for j in range(s.shape[0]):
        t = s[j] - low if s[j] < _LARGEST else _LARGEST
        wy[j] = w[j] * y[j]
        wt[j] = w[j] * t
        wty[j] = wt[j] * y[j]


@jit_sum
def add_series(s, low, rungs, squares, u, w, wy, wt, wty, c, i, sums, derivatives):
    """Add a tile to the sums of output c of query i, for each rung of a ladder.

    Derivatives are sums of weights times s, which are those of s - low plus low times the sums.
    """
    not_inlined()
    wide_vectors()
    n, k, ratio = s.shape[0], 0, _UNIT
    for rung in range(rungs[-1] + 1):
        if rung % (squares + 1) == 0:
            for j in range(n):
                u[j] = half_to_the(ratio * (s[j] - low))
        ratio *= 2.0
        denominator, numerator, d_denominator, d_numerator = 0.0, 0.0, 0.0, 0.0
        if rung < rungs[k]:
            for j in range(n):
                t = u[j] if u[j] > _SMALLEST else _SMALLEST
                u[j] = t * t
            continue
        if derivatives.shape[2] > 0:
            for j in range(n):
                t = u[j] if u[j] > _SMALLEST else _SMALLEST
                denominator += w[j] * t
                numerator += wy[j] * t
                d_denominator += wt[j] * t
                d_numerator += wty[j] * t
                u[j] = t * t
            derivatives[k, i, 0, 0] += d_denominator + low * denominator if c == 0 else 0.0
            derivatives[k, i, 0, 1 + c] += d_numerator + low * numerator
        else:
            for j in range(n):
                t = u[j] if u[j] > _SMALLEST else _SMALLEST
                denominator += w[j] * t
                numerator += wy[j] * t
                u[j] = t * t
        sums[k, i, 0] += denominator if c == 0 else 0.0
        sums[k, i, 1 + c] += numerator
        k += 1


@jit_entry(allocates=False)
def add_gaussian_rows_of_scales(Zq, row, g, rows, rungs, squares, buffers, low, sums, derivatives):
    """`add_rows_of_scales` for the Gaussian, with weights by repeated squaring.

    Parameters
    ----------
    Zq, row, g, rows, rungs
        As in `add_rows_of_scales`.
    squares : int
        Number of successive squarings before a profile is computed anew.
    buffers : float64[:, ::1] of shape (6, tile)
    low : float64[::1] of shape (m,)
        Overwritten: the squared distance of the nearest row, at the largest bandwidths.
    sums, derivatives : float64[:, :, ::1], float64[:, :, :, ::1]
        Of the states. Derivatives are sums of weights times squared distances at the largest bandwidths.
    """
    n, tile = rows.w.shape[0], buffers.shape[1]
    for start in range(0, n, tile):
        stop = min(start + tile, n)
        s = buffers[0, : stop - start]
        for i in range(Zq.shape[0]):
            squared_distances(Zq[i], rows.Z, start, g, s)
            weights_of(row[i], rows, start, stop, s, buffers[2])
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
            copy(weights_of(row[i], rows, start, stop, s, w), 0, w)
            for c in range(rows.Y.shape[0]):
                fill_products(s, low[i], w, rows.Y[c, start:stop], wy, wt, wty)
                add_series(s, low[i], rungs, squares, u, w, wy, wt, wty, c, i, sums, derivatives)


def ladder_sums(problem, rungs, n_threads=1):
    """Sums over every pair for a ladder of bandwidths, in one pass.

    Parameters
    ----------
    problem : Problem
        At the largest bandwidths, for VALUE or SCALE; not with a user's profile. `rtol` is the maximum relative error
        of weights, besides the rounding of squared distances, up to a factor of 2.5: a profile is right to 2 eps, and
        each squaring doubles that and adds half an eps.
    rungs : sequence of int
        Rungs in ascending order, from 0 for the bandwidths of the problem up to `costs.LAST_RUNG`. Bandwidths at rung k
        are divided by sqrt(2)**k.
    n_threads : int

    Returns
    -------
    list of State
        One per rung.

    Notes
    -----
    O(m n (d + p k)) time and O(m p k) memory for k rungs.
    """
    setting, rows, queries = problem.setting, problem.rows, problem.queries
    (compiled, _), Zq, row, inv_h = (
        for_loops(setting.kernel),
        queries.Z,
        queries.rows_for_loops(),
        read_only(setting.inv_h),
    )
    (m, d), (p, n), q, rungs = Zq.shape, rows.Y.shape, setting.wanted.count(len(inv_h)), read_only(rungs, np.int64)
    tile = min(_TILE, tile_width(d + p + 6))
    squares = max(0, math.frexp(setting.rtol / np.finfo(np.float64).eps)[1] - 1)
    by_squares = setting.kernel == "gaussian" and rows.w.min() > _LIGHTEST * rows.w.max()

    def empty(m):
        return State(*(a.reshape(len(rungs), m, *a.shape[1:]) for a in State.empty(len(rungs) * m, p, q)))

    state = empty(m)

    def add(start, stop):
        # Threads write to arrays of their own: hardware prefetching of adjacent lines would cause false sharing.
        block, block_state = slice(start, stop), empty(stop - start)
        if by_squares:
            args = Zq[block], row[block], inv_h, rows, rungs, squares, aligned((6, tile)), block_state.offset[0]
            add_gaussian_rows_of_scales(*args, block_state.sums, block_state.derivatives)
        else:
            add_rows_of_scales(compiled, Zq[block], row[block], inv_h, rows, rungs, aligned((3, tile)), block_state)
        for whole, values in zip(state, block_state, strict=True):
            whole[:, block] = values

    run_blocks(add, blocks_of_queries(m, n * (d + p * len(rungs)) / 2), n_threads)
    if by_squares:
        ratios = 2.0**rungs
        with np.errstate(over="ignore"):
            np.multiply.outer(ratios, state.offset[0], out=state.offset)
            state.derivatives[:] *= ratios[:, None, None, None]
        state.sums[np.isinf(state.offset)] = 0.0
        state.derivatives[state.offset > _FARTHEST] = 0.0  # squared distances without accurate digits
    return [State(*(a[k] for a in state)) for k in range(len(rungs))]


#: Squared distances beyond this are not added up.
_FARTHEST = 1e290

#: Ratio of weights of rows below which a light row would be lost beside `_SMALLEST` times a heavy one.
_LIGHTEST = 1e-100

#: Maximum rows of a tile: it is traversed many times, with several other buffers.
_TILE = 512
