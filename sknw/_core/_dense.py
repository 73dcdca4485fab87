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

import math

import numpy as np

from ._jit import (
    EXP2_LOWEST,
    as_in,
    bits,
    exp2,
    jit,
    jit_entry,
    jit_inline,
    jit_sum,
    not_inlined,
    number,
    overload_jit,
    wide_vectors,
)
from ._rows import SMALLEST_MASS

_LOG2_E = math.log2(math.e)

_LARGEST = np.finfo(np.float64).max

_EPS = np.finfo(np.float64).eps

# The codes of `_profiles.PROFILES`. A kernel travels as a tuple of that length: then each is a type of its own, and
# only its own branches are optimised, which takes a fraction of the time.
_GAUSSIAN, _EXPONENTIAL, _EPANECHNIKOV, _BIWEIGHT, _TRIWEIGHT, _TRICUBE, _LINEAR, _TOPHAT, _COSINE = range(9)
_NEAREST, _CUSTOM = 9, 10

# Derivatives in features and in pairs of them travel as tuples, too, as long as their values in `_rows.Derivatives`;
# those that most callers ask for, none and the one in the scale, as an empty one: here they share one compilation.
_FEATURES, _PAIRS = 2, 3

# cos(pi sqrt(s) / 2) as a polynomial in s on [0, 1]: its Taylor series, whose next term is 1e-19.
_COSINE_SERIES = tuple((-1) ** i * (math.pi / 2) ** (2 * i) / math.factorial(2 * i) for i in range(13))
# sin(pi u / 2) / u, likewise.
_SINE_SERIES = tuple((-1) ** i * (math.pi / 2) ** (2 * i + 1) / math.factorial(2 * i + 1) for i in range(13))


def factor(g, z, k):
    """Factor of feature k; one where coordinates are scaled already and g is None."""
    raise NotImplementedError("for compiled code only")


@overload_jit(factor)
def _factor(g, z, k):
    """Choose by the type of g."""
    if hasattr(g, "dtype"):
        return lambda g, z, k: g[k]
    return lambda g, z, k: as_in(1.0, z)  # a product with it is left away


@jit
def squared_distances(z, Z, start, g, s):
    """Squared scaled distances of one query to the rows from `start` on, as many as s has room for.

    The one place where s is formed. Coordinates are subtracted first and scaled after, so that no digits are lost far
    from the origin: the relative error of s is below (d/2 + 3) eps. Without g coordinates are scaled already. Features
    are taken one or two at first and then up to four at a time, so that s is seldom fetched and stored.
    """
    not_inlined()
    wide_vectors()
    n, d = s.shape[0], z.shape[0]
    stop = start + n
    if d == 0:  # no feature of several has a finite bandwidth
        for j in range(n):
            s[j] = 0.0
        return
    z0, g0, Z0 = z[0], factor(g, z, 0), Z[0, start:stop]
    k = 2 - d % 2
    if k == 1:
        for j in range(n):
            t = (z0 - Z0[j]) * g0
            s[j] = t * t
    else:
        z1, g1, Z1 = z[1], factor(g, z, 1), Z[1, start:stop]
        for j in range(n):
            t, u = (z0 - Z0[j]) * g0, (z1 - Z1[j]) * g1
            s[j] = t * t + u * u
    if (d - k) % 4 == 2:
        z0, g0, Z0 = z[k], factor(g, z, k), Z[k, start:stop]
        z1, g1, Z1 = z[k + 1], factor(g, z, k + 1), Z[k + 1, start:stop]
        for j in range(n):
            t, u = (z0 - Z0[j]) * g0, (z1 - Z1[j]) * g1
            s[j] += t * t + u * u
        k += 2
    for a in range(k, d, 4):
        z0, g0, Z0 = z[a], factor(g, z, a), Z[a, start:stop]
        z1, g1, Z1 = z[a + 1], factor(g, z, a + 1), Z[a + 1, start:stop]
        z2, g2, Z2 = z[a + 2], factor(g, z, a + 2), Z[a + 2, start:stop]
        z3, g3, Z3 = z[a + 3], factor(g, z, a + 3), Z[a + 3, start:stop]
        for j in range(n):
            t, u = (z0 - Z0[j]) * g0, (z1 - Z1[j]) * g1
            v, w = (z2 - Z2[j]) * g2, (z3 - Z3[j]) * g3
            s[j] += (t * t + u * u) + (v * v + w * w)


@jit
def lowest(s):
    """The smallest of some squared distances; `inf` if there are none.

    As whole numbers, since the bits of positive numbers are in their order: vectors of these are compared, numbers one
    by one.
    """
    not_inlined()
    low = bits(as_in(np.inf, s))
    for j in range(s.shape[0]):
        low = min(low, bits(s[j]))
    return number(low)


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


@jit
def is_shifted(kernel):
    """Whether the weights of a kernel are relative to that of the nearest row, as in a softmax."""
    return len(kernel) == _GAUSSIAN or len(kernel) == _EXPONENTIAL or len(kernel) == _NEAREST


@jit
def widen(low, size, d):
    """Up to which squared distance rows count as nearest if the nearest one is at `low`.

    In decimals .3 - .2 and .2 - .1 are the same, in floating-point numbers they are not. Coordinates of a query and of
    a row at the distance u are right to eps |z| / 2 and eps (|z| + u/g) / 2, and the distance is rounded by
    (d/4 + 2) eps u: with the sum of |z g| as `size`, two distances that differ by less than
    eps (2 size + (d/2 + 5) u) may be the same.
    """
    u = math.sqrt(low)
    u += _EPS * (2.0 * size + (0.5 * d + 5.0) * u)
    return min(u * u, _LARGEST)


@jit
def as_near(kernel, low, z, g):
    """What `widen` gives for a query, if the nearest rows are asked for; `low` itself for a kernel."""
    if len(kernel) != _NEAREST or low == np.inf:
        return low
    size = 0.0
    for k in range(z.shape[0]):
        size += abs(z[k] * g[k])
    return widen(low, size, z.shape[0])


@jit
def rescale(kernel, old, new):
    """Factor that turns weights relative to the squared distance `old` into weights relative to the smaller `new`."""
    if old == np.inf or len(kernel) == _NEAREST:
        return 0.0
    if len(kernel) == _GAUSSIAN:
        return math.exp(0.5 * (new - old))
    return math.exp(math.sqrt(new) - math.sqrt(old))


@jit
def out_of_reach(kernel, low, shift):
    """Whether all weights of a tile whose nearest row is at squared distance `low` are exactly zero."""
    if len(kernel) == _GAUSSIAN:
        return 0.5 * _LOG2_E * (shift - low) < EXP2_LOWEST
    if len(kernel) == _EXPONENTIAL:
        return _LOG2_E * (math.sqrt(shift) - math.sqrt(low)) < EXP2_LOWEST
    if len(kernel) == _NEAREST:
        return low > shift
    return len(kernel) != _CUSTOM and low > 1.0


@jit
def _polynomial(coefficients, x):
    """A polynomial, lowest power first, by Horner's rule."""
    value = 0.0
    for i in range(len(coefficients)):
        value = value * x + coefficients[len(coefficients) - 1 - i]
    return value


@jit
def profile_at(kernel, profile, s, shift):
    """The profile at s; relative to that at `shift` where a kernel never vanishes.

    A row at squared distance s counts if s <= 1, for every kernel with a reach.
    """
    if len(kernel) == _GAUSSIAN:
        return exp2((0.5 * _LOG2_E) * (shift - s))
    if len(kernel) == _EXPONENTIAL:
        return exp2(_LOG2_E * (math.sqrt(shift) - math.sqrt(s)))
    if len(kernel) == _NEAREST:
        return 1.0 if s <= shift else 0.0
    if profile is not None:  # a row that is left out is at s = inf, of which a user's function need know nothing
        value = profile(s) if s < np.inf else 0.0
        return value if value >= 0.0 else np.nan  # which no sum can hide
    t = 1.0
    if len(kernel) == _EPANECHNIKOV:
        t = 1.0 - s
    elif len(kernel) == _BIWEIGHT:
        t = (1.0 - s) * (1.0 - s)
    elif len(kernel) == _TRIWEIGHT:
        t = (1.0 - s) * (1.0 - s) * (1.0 - s)
    elif len(kernel) == _TRICUBE:
        t = 1.0 - s * math.sqrt(s)
        t = t * t * t
    elif len(kernel) == _LINEAR:
        t = 1.0 - math.sqrt(s)
    elif len(kernel) == _COSINE:
        t = _polynomial(_COSINE_SERIES, s)
    return t if s <= 1.0 else 0.0


@jit
def slope_at(kernel, s, w, v):
    r"""From s and :math:`v = w k(s)` follows :math:`-2 w k'(s)`, whose product with s is the derivative in log h.

    Exponential and linear have a kink at s = 0, where the slope is only ever multiplied by 0: it is given as 0 there.
    """
    if len(kernel) == _EXPONENTIAL:
        return v / math.sqrt(s) if s > 0.0 else 0.0
    t = 0.0
    if len(kernel) == _GAUSSIAN:
        return v
    if len(kernel) == _EPANECHNIKOV:
        t = 2.0
    elif len(kernel) == _BIWEIGHT:
        t = 4.0 * (1.0 - s)
    elif len(kernel) == _TRIWEIGHT:
        t = 6.0 * ((1.0 - s) * (1.0 - s))
    elif len(kernel) == _TRICUBE:
        u = math.sqrt(s)
        t = 1.0 - s * u
        t = 9.0 * (u * t * t)
    elif len(kernel) == _LINEAR:
        t = 1.0 / math.sqrt(s) if s > 0.0 else 0.0
    elif len(kernel) == _COSINE:
        t = 0.5 * math.pi * _polynomial(_SINE_SERIES, s)
    return w * t if s <= 1.0 else 0.0


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
    for k in range(state.dsums.shape[1]):
        scale(state.dsums[i, k], 0.0)


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
    if low < state.shift[i]:
        if is_shifted(kernel):
            factor = rescale(kernel, state.shift[i], low)
            scale(state.sums[i], factor)
            for k in range(state.dsums.shape[1]):
                scale(state.dsums[i, k], factor)
        state.shift[i] = low
    shift = as_near(kernel, state.shift[i], z, g)
    if low < np.inf and not out_of_reach(kernel, low, shift):
        weigh(kernel, profile, s, shift, w, rows.Y, start, v, state.sums[i])
        if state.dsums.shape[1] > 0:
            weigh_slope(kernel, s, w, v)
            add_derivatives(with_respect_to, kernel, z, g, rows, start, s, w, v, f, state.dsums[i])


@jit_entry(allocates=False)
def add_rows(kernel, profile, with_respect_to, Zq, own, g, rows, buffers, state):
    """Merge all training rows into the states of some queries.

    Parameters
    ----------
    kernel : tuple of as many zeros as the code of the kernel
    profile : jitted function of a float64, or None
        The profile, for a kernel that the user brings.
    with_respect_to : tuple of as many zeros as the value of `Derivatives`, if that is more than that of the scale
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
    for again in range(2 if len(kernel) == _NEAREST else 1):
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


@jit_entry(allocates=False)
def fill_weights(kernel, profile, Zq, own, g, rows, buffers, out):
    """Write the normalised weights of all rows, for some queries; zeros where no row is in reach.

    Parameters as in `add_rows`, with buffers for all rows, two at least; `out` is float64[:, ::1] of shape (m, n) and
    overwritten.
    """
    n = rows.w.shape[0]
    s, w, sums = buffers[0, :n], buffers[1, :n], buffers[2, :2]
    copy(rows.w, 0, w)
    for i in range(Zq.shape[0]):
        squared_distances(Zq[i], rows.Z, 0, g, s)
        if own[i] >= 0:
            w[own[i]] = rows.w_rest[own[i]]
            if w[own[i]] == 0.0:
                s[own[i]] = np.inf
        low = lowest(s)
        if low < np.inf and not out_of_reach(kernel, low, low):
            sums[0] = 0.0
            weigh(kernel, profile, s, as_near(kernel, low, Zq[i], g), w, rows.Y[:1], 0, out[i], sums)
            for j in range(n):
                out[i, j] = out[i, j] / sums[0] if not sums[0] < SMALLEST_MASS else 0.0
        else:
            for j in range(n):
                out[i, j] = 0.0
        if own[i] >= 0:
            w[own[i]] = rows.w[own[i]]
