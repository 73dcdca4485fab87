r"""Every pair, in blocks: any kernel, any number of features.

Training rows are taken in tiles that stay in the processor's cache, and each tile meets a block of queries. For one
query and one tile four short loops run over the same small buffers, each of which LLVM turns into vector instructions:

    squared_distances   s_j = sum_k ((z_k - Z_kj) g_k)**2
    lowest              the smallest of them
    weigh               v_j = w_j k(s_j), relative to the nearest row so far
    add_up              the tile's part of mass and moments

All compiled code of this algorithm stands in this one file, since numba's cache on disk sees only the file that a
function stands in.

Notation: z a query, Z the training rows, one feature after the other, g one factor per feature, w weights, Y targets,
one output after the other; n rows, m queries, d features, p outputs.
"""

import math

import numpy as np

from ._jit import EXP2_LOWEST, exp2, jit, jit_entry, jit_inline, jit_min, jit_sum, not_inlined
from ._rows import SMALLEST_MASS

_LOG2_E = math.log2(math.e)

# The codes of `_profiles.PROFILES`. A kernel travels as a tuple of that length: then each is a type of its own, and
# only its own branches are optimised, which takes a fraction of the time.
_GAUSSIAN, _EXPONENTIAL, _EPANECHNIKOV, _BIWEIGHT, _TRIWEIGHT, _TRICUBE, _LINEAR, _TOPHAT, _COSINE = range(9)
_NEAREST, _CUSTOM = 9, 10

# The values of `_rows.Derivatives`.
_NOTHING, _SCALE, _FEATURES = range(3)

# cos(pi sqrt(s) / 2) as a polynomial in s on [0, 1]: its Taylor series, whose next term is 1e-19.
_COSINE_SERIES = tuple((-1) ** i * (math.pi / 2) ** (2 * i) / math.factorial(2 * i) for i in range(13))
# sin(pi u / 2) / u, likewise.
_SINE_SERIES = tuple((-1) ** i * (math.pi / 2) ** (2 * i + 1) / math.factorial(2 * i + 1) for i in range(13))


@jit
def squared_distances(z, Z, start, g, s):
    """Squared scaled distances of one query to the rows from `start` on, as many as s has room for.

    The one place where s is formed. Coordinates are subtracted first and scaled after, so that no digits are lost far
    from the origin: the relative error of s is below (d/2 + 3) eps.
    """
    not_inlined()
    n = s.shape[0]
    for j in range(n):
        s[j] = 0.0
    for k in range(z.shape[0]):
        z_k, g_k, Z_k = z[k], g[k], Z[k, start : start + n]
        for j in range(n):
            t = (z_k - Z_k[j]) * g_k
            s[j] += t * t


@jit_min
def lowest(s):
    """The smallest of some squared distances; `inf` if there are none."""
    not_inlined()
    low = np.inf
    for j in range(s.shape[0]):
        low = s[j] if s[j] < low else low
    return low


# Loops rather than array expressions, which take seconds to compile: they bring all of numba's error messages along.
@jit
def copy(source, start, target):
    """target = source[start:], as much as target has room for."""
    for j in range(target.shape[0]):
        target[j] = source[start + j]


@jit
def scale(a, factor):
    """a *= factor."""
    for j in range(a.shape[0]):
        a[j] *= factor


@jit
def is_shifted(kernel):
    """Whether the weights of a kernel are relative to that of the nearest row, as in a softmax."""
    return len(kernel) == _GAUSSIAN or len(kernel) == _EXPONENTIAL or len(kernel) == _NEAREST


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
def weigh(kernel, profile, s, shift, w, v):
    """Weight times profile at each s, written to v; relative to the profile at `shift` where a kernel never vanishes.

    A row at squared distance s counts if s <= 1, for every kernel with a reach.
    """
    not_inlined()
    n = s.shape[0]
    if len(kernel) == _GAUSSIAN:
        for j in range(n):
            v[j] = w[j] * exp2((0.5 * _LOG2_E) * (shift - s[j]))
    elif len(kernel) == _EXPONENTIAL:
        u = math.sqrt(shift)
        for j in range(n):
            v[j] = w[j] * exp2(_LOG2_E * (u - math.sqrt(s[j])))
    elif len(kernel) == _EPANECHNIKOV:
        for j in range(n):
            v[j] = w[j] * (1.0 - s[j]) if s[j] <= 1.0 else 0.0
    elif len(kernel) == _BIWEIGHT:
        for j in range(n):
            t = 1.0 - s[j]
            v[j] = w[j] * (t * t) if s[j] <= 1.0 else 0.0
    elif len(kernel) == _TRIWEIGHT:
        for j in range(n):
            t = 1.0 - s[j]
            v[j] = w[j] * (t * t * t) if s[j] <= 1.0 else 0.0
    elif len(kernel) == _TRICUBE:
        for j in range(n):
            t = 1.0 - s[j] * math.sqrt(s[j])
            v[j] = w[j] * (t * t * t) if s[j] <= 1.0 else 0.0
    elif len(kernel) == _LINEAR:
        for j in range(n):
            v[j] = w[j] * (1.0 - math.sqrt(s[j])) if s[j] <= 1.0 else 0.0
    elif len(kernel) == _TOPHAT:
        for j in range(n):
            v[j] = w[j] if s[j] <= 1.0 else 0.0
    elif len(kernel) == _COSINE:
        for j in range(n):
            v[j] = w[j] * _polynomial(_COSINE_SERIES, s[j]) if s[j] <= 1.0 else 0.0
    elif len(kernel) == _NEAREST:
        for j in range(n):
            v[j] = w[j] if s[j] == shift else 0.0
    elif profile is not None:
        for j in range(n):  # a row that is left out is at s = inf, of which a user's function need know nothing
            t = profile(s[j]) if s[j] < np.inf else 0.0
            v[j] = w[j] * t if t >= 0.0 else np.nan  # which no sum can hide


@jit
def weigh_slope(kernel, s, w, v):
    r"""Turn :math:`w k(s)` in v into :math:`-2 w k'(s)`, whose product with s is the derivative in log h.

    Exponential and linear have a kink at s = 0, where the slope is only ever multiplied by 0: it is given as 0 there.
    """
    not_inlined()
    n = s.shape[0]
    # The Gaussian is its own slope.
    if len(kernel) == _EXPONENTIAL:
        for j in range(n):
            v[j] = v[j] / math.sqrt(s[j]) if s[j] > 0.0 else 0.0
    elif len(kernel) == _EPANECHNIKOV:
        for j in range(n):
            v[j] = 2.0 * w[j] if s[j] <= 1.0 else 0.0
    elif len(kernel) == _BIWEIGHT:
        for j in range(n):
            v[j] = 4.0 * w[j] * (1.0 - s[j]) if s[j] <= 1.0 else 0.0
    elif len(kernel) == _TRIWEIGHT:
        for j in range(n):
            t = 1.0 - s[j]
            v[j] = 6.0 * w[j] * (t * t) if s[j] <= 1.0 else 0.0
    elif len(kernel) == _TRICUBE:
        for j in range(n):
            u = math.sqrt(s[j])
            t = 1.0 - s[j] * u
            v[j] = 9.0 * w[j] * (u * t * t) if s[j] <= 1.0 else 0.0
    elif len(kernel) == _LINEAR:
        for j in range(n):
            v[j] = w[j] / math.sqrt(s[j]) if 0.0 < s[j] <= 1.0 else 0.0
    elif len(kernel) == _COSINE:
        for j in range(n):
            v[j] = 0.5 * math.pi * w[j] * _polynomial(_SINE_SERIES, s[j]) if s[j] <= 1.0 else 0.0


@jit_sum
def add_up(v, Y, start, sums):
    """Add the mass and the moments of one tile: sum_j v_j, then sum_j v_j Y_cj for each output c."""
    not_inlined()
    n = v.shape[0]
    mass = 0.0
    for j in range(n):
        mass += v[j]
    sums[0] += mass
    for c in range(Y.shape[0]):
        Y_c = Y[c, start : start + n]
        moment = 0.0
        for j in range(n):
            moment += v[j] * Y_c[j]
        sums[1 + c] += moment


@jit
def multiply(v, z_a, g_a, Z_a, z_b, g_b, Z_b, f):
    """The weights v times two scaled differences t = (z - Z) g, written to f; 0 where the weight is."""
    not_inlined()
    for j in range(v.shape[0]):
        t = ((z_a - Z_a[j]) * g_a) * ((z_b - Z_b[j]) * g_b)
        f[j] = v[j] * t if v[j] != 0.0 else 0.0


@jit
def add_derivatives(with_respect_to, z, g, rows, start, s, v, f, dsums):
    """Add one tile's part of the derivatives of mass and moments; v holds weights times slopes, f is a buffer."""
    stop = start + v.shape[0]
    if with_respect_to == _SCALE:
        for j in range(v.shape[0]):
            f[j] = v[j] * s[j] if v[j] != 0.0 else 0.0
        add_up(f, rows.Y, start, dsums[0])
        return
    i = 0
    for a in range(z.shape[0]):
        for b in range(a, a + 1 if with_respect_to == _FEATURES else z.shape[0]):
            multiply(v, z[a], g[a], rows.Z[a, start:stop], z[b], g[b], rows.Z[b, start:stop], f)
            add_up(f, rows.Y, start, dsums[i])
            i += 1


@jit_inline  # a function of its own would take its callers half as long again to compile
def merge(kernel, profile, with_respect_to, z, own, g, rows, start, stop, buffers, i, state):
    """Merge the training rows from `start` to `stop` into the state of query i, which is z.

    Parameters as in `add_rows`; `buffers` is float64[:, ::1] of shape (4, at least stop - start).
    """
    width = stop - start
    s, v, f, w = buffers[0, :width], buffers[1, :width], buffers[2, :width], rows.w[start:stop]
    squared_distances(z, rows.Z, start, g, s)
    if start <= own < stop:  # the weights are shared by all threads: what is left of this one goes to a copy
        w = buffers[3, :width]
        copy(rows.w, start, w)
        w[own - start] = rows.w_rest[own]
        if w[own - start] == 0.0:
            s[own - start] = np.inf
    low = lowest(s)
    if low < state.shift[i]:
        if is_shifted(kernel):
            factor = rescale(kernel, state.shift[i], low)
            scale(state.sums[i], factor)
            for k in range(state.dsums.shape[1]):
                scale(state.dsums[i, k], factor)
        state.shift[i] = low
    if low < np.inf and not out_of_reach(kernel, low, state.shift[i]):
        weigh(kernel, profile, s, state.shift[i], w, v)
        add_up(v, rows.Y, start, state.sums[i])
        if with_respect_to != _NOTHING:
            weigh_slope(kernel, s, w, v)
            add_derivatives(with_respect_to, z, g, rows, start, s, v, f, state.dsums[i])


@jit_entry
def add_rows(kernel, profile, with_respect_to, Zq, own, g, rows, tile, state):
    """Merge all training rows into the states of some queries.

    Parameters
    ----------
    kernel : tuple of as many zeros as the code of the kernel
    profile : jitted function of a float64, or None
        The profile, for a kernel that the user brings.
    with_respect_to : int
        Which derivatives to add up, a value of `Derivatives`.
    Zq : float64[:, ::1] of shape (m, d)
        Queries.
    own : int64[::1] of shape (m,)
        The training row that each query is, of whose weight only `rows.w_rest` counts, as leave-one-out has it; or -1.
    g : float64[::1] of shape (d,)
        Factor of each feature.
    rows : Rows
        Training rows.
    tile : int
        How many rows are taken at a time.
    state : State
        Updated.
    """
    n = rows.w.shape[0]
    buffers = np.empty((4, tile))
    for start in range(0, n, tile):
        stop = min(start + tile, n)
        for i in range(Zq.shape[0]):
            merge(kernel, profile, with_respect_to, Zq[i], own[i], g, rows, start, stop, buffers, i, state)


@jit_entry
def fill_weights(kernel, profile, Zq, own, g, rows, out):
    """Write the normalised weights of all rows, for some queries; zeros where no row is in reach.

    Parameters as in `add_rows`; `out` is float64[:, ::1] of shape (m, n) and overwritten.
    """
    n = rows.w.shape[0]
    s, w = np.empty(n), np.empty(n)
    copy(rows.w, 0, w)
    sums = np.empty(1)
    nothing = np.empty((0, n))
    for i in range(Zq.shape[0]):
        squared_distances(Zq[i], rows.Z, 0, g, s)
        if own[i] >= 0:
            w[own[i]] = rows.w_rest[own[i]]
            if w[own[i]] == 0.0:
                s[own[i]] = np.inf
        low = lowest(s)
        if low < np.inf and not out_of_reach(kernel, low, low):
            weigh(kernel, profile, s, low, w, out[i])
            sums[0] = 0.0
            add_up(out[i], nothing, 0, sums)
            for j in range(n):
                out[i, j] = out[i, j] / sums[0] if not sums[0] < SMALLEST_MASS else 0.0
        else:
            for j in range(n):
                out[i, j] = 0.0
        if own[i] >= 0:
            w[own[i]] = rows.w[own[i]]
