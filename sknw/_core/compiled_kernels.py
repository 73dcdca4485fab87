"""Profiles of the kernels, and what else loops compute of a kernel, compiled for the kernel that they are given."""

import math

import numpy as np

from .runtime.exponential import EXP2_LOWEST, exp2
from .runtime.jit import jit

_LOG2_E = math.log2(math.e)


LARGEST = np.finfo(np.float64).max


EPS = np.finfo(np.float64).eps


# The codes of `_profiles.PROFILES`. A kernel travels as a tuple of that length: then each is a type of its own, and
# only its own branches are optimised, which takes a fraction of the time.
GAUSSIAN_CODE, _EXPONENTIAL, _EPANECHNIKOV, _BIWEIGHT, _TRIWEIGHT, _TRICUBE, _LINEAR, _TOPHAT, _COSINE = range(9)


NEAREST_CODE, _CUSTOM = 9, 10


# cos(pi sqrt(s) / 2) as a polynomial in s on [0, 1]: its Taylor series, whose next term is 1e-19.
_COSINE_SERIES = tuple((-1) ** i * (math.pi / 2) ** (2 * i) / math.factorial(2 * i) for i in range(13))


# sin(pi u / 2) / u, likewise.
_SINE_SERIES = tuple((-1) ** i * (math.pi / 2) ** (2 * i + 1) / math.factorial(2 * i + 1) for i in range(13))


@jit
def is_shifted(kernel):
    """Whether the weights of a kernel are relative to that of the nearest row, as in a softmax."""
    return len(kernel) == GAUSSIAN_CODE or len(kernel) == _EXPONENTIAL or len(kernel) == NEAREST_CODE


@jit
def widen(low, size, d):
    """Up to which squared distance rows count as nearest if the nearest one is at `low`.

    In decimals .3 - .2 and .2 - .1 are the same, in floating-point numbers they are not. Coordinates of a query and of
    a row at the distance u are right to eps |z| / 2 and eps (|z| + u/g) / 2, and the distance is rounded by
    (d/4 + 2) eps u: with the sum of |z g| as `size`, two distances that differ by less than
    eps (2 size + (d/2 + 5) u) may be the same.
    """
    u = math.sqrt(low)
    u += EPS * (2.0 * size + (0.5 * d + 5.0) * u)
    return min(u * u, LARGEST)


@jit
def as_near(kernel, low, z, g):
    """What `widen` gives for a query, if the nearest rows are asked for; `low` itself for a kernel."""
    if len(kernel) != NEAREST_CODE or low == np.inf:
        return low
    size = 0.0
    for k in range(z.shape[0]):
        size += abs(z[k] * g[k])
    return widen(low, size, z.shape[0])


@jit
def rescale(kernel, old, new):
    """Factor that turns weights relative to the squared distance `old` into weights relative to the smaller `new`."""
    if old == np.inf or len(kernel) == NEAREST_CODE:
        return 0.0
    if len(kernel) == GAUSSIAN_CODE:
        return math.exp(0.5 * (new - old))
    return math.exp(math.sqrt(new) - math.sqrt(old))


@jit
def out_of_reach(kernel, low, shift):
    """Whether all weights of a tile whose nearest row is at squared distance `low` are exactly zero."""
    if len(kernel) == GAUSSIAN_CODE:
        return 0.5 * _LOG2_E * (shift - low) < EXP2_LOWEST
    if len(kernel) == _EXPONENTIAL:
        return _LOG2_E * (math.sqrt(shift) - math.sqrt(low)) < EXP2_LOWEST
    if len(kernel) == NEAREST_CODE:
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
    if len(kernel) == GAUSSIAN_CODE:
        return exp2((0.5 * _LOG2_E) * (shift - s))
    if len(kernel) == _EXPONENTIAL:
        return exp2(_LOG2_E * (math.sqrt(shift) - math.sqrt(s)))
    if len(kernel) == NEAREST_CODE:
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
    if len(kernel) == GAUSSIAN_CODE:
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
