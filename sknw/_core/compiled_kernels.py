"""Formulas of kernels for compiled loops, selected at compile time by the kernel's type."""

import functools
import math

import numpy as np

from .kernels import KERNELS, Cosine, Custom, Exponential, Gaussian, Nearest, polynomial
from .runtime.exponential import EXP2_LOWEST, exp2
from .runtime.jit import jit, overload_jit

LARGEST = np.finfo(np.float64).max

EPS = np.finfo(np.float64).eps


@functools.cache
def _compiled(formula):
    """Compile a formula of a kernel class."""
    assert KERNELS
    return jit(formula)


@overload_jit(polynomial)
def _polynomial(coefficients, x):
    """Compiled `kernels.polynomial`."""
    return polynomial


def _is_of(*kinds):
    """Make an overload that returns whether a kernel is of given classes, as a constant."""

    def choose(kernel):
        value = kernel.instance_class in kinds
        return lambda kernel: value

    return choose


def is_gaussian(kernel):
    """Whether a kernel is the Gaussian."""
    raise NotImplementedError("for compiled code only")


def is_exponential(kernel):
    """Whether a kernel is the exponential."""
    raise NotImplementedError("for compiled code only")


def is_cosine(kernel):
    """Whether a kernel is the cosine."""
    raise NotImplementedError("for compiled code only")


def is_nearest(kernel):
    """Whether a kernel is the nearest-row limit."""
    raise NotImplementedError("for compiled code only")


def is_shifted(kernel):
    """Whether weights are relative to that of the nearest row, as in a softmax."""
    raise NotImplementedError("for compiled code only")


def is_custom(kernel):
    """Whether a kernel is a user's profile."""
    raise NotImplementedError("for compiled code only")


_is_gaussian = overload_jit(is_gaussian)(_is_of(Gaussian))
_is_exponential = overload_jit(is_exponential)(_is_of(Exponential))
_is_cosine = overload_jit(is_cosine)(_is_of(Cosine))
_is_nearest = overload_jit(is_nearest)(_is_of(Nearest))
_is_shifted = overload_jit(is_shifted)(_is_of(Gaussian, Exponential, Nearest))
_is_custom = overload_jit(is_custom)(_is_of(Custom))


@jit
def widen(low, size, d):
    """Largest squared distance at which a row counts as nearest, if the smallest is `low`.

    Distances that are equal in exact arithmetic may differ after rounding, for example .3 - .2 and .2 - .1. The
    coordinate z of a query has an error of eps abs(z) / 2, and that of a row at scaled distance u an error of eps
    (abs(z) + u/g) / 2. The distance is rounded by (d/4 + 2) eps u besides. Let `size` be the sum of abs(z g) over
    features. Two distances may be equal if they differ by less than eps (2 size + (d/2 + 5) u).
    """
    u = math.sqrt(low)
    u += EPS * (2.0 * size + (0.5 * d + 5.0) * u)
    return min(u * u, LARGEST)


@jit
def as_near(kernel, low, z, g):
    """Squared distance up to which a row counts as nearest for "nearest"; else `low`."""
    if not is_nearest(kernel) or low == np.inf:
        return low
    size = 0.0
    for k in range(z.shape[0]):
        size += abs(z[k] * g[k])
    return widen(low, size, z.shape[0])


@jit
def rescale(kernel, old, new):
    """Factor from weights relative to the distance `old` to those relative to the smaller `new`.

    Both are squared distances.
    """
    if old == np.inf or is_nearest(kernel):
        return 0.0
    if is_gaussian(kernel):
        return math.exp(0.5 * (new - old))
    return math.exp(math.sqrt(new) - math.sqrt(old))


def out_of_reach(kernel, low, offset):
    """Whether all weights of a tile are exactly zero, if its nearest row is at `low`."""
    raise NotImplementedError("for compiled code only")


@overload_jit(out_of_reach)
def _out_of_reach(kernel, low, offset):
    """Choose by the kernel."""
    kind = kernel.instance_class
    if kind is Nearest:
        return lambda kernel, low, offset: low > offset
    if kind is Custom:
        return lambda kernel, low, offset: False
    if math.isfinite(kind.reach):
        return lambda kernel, low, offset: low > 1.0
    exponent = _compiled(kind.exponent)
    return lambda kernel, low, offset: exponent(low, offset) < EXP2_LOWEST


def profile_at(kernel, profile, s, offset):
    """The profile at s, relative to that at `offset` for kernels that never vanish.

    For kernels of finite support, a row counts if and only if s <= 1.
    """
    raise NotImplementedError("for compiled code only")


@overload_jit(profile_at)
def _profile_at(kernel, profile, s, offset):
    """Choose by the kernel."""
    kind = kernel.instance_class
    if kind is Nearest:
        return lambda kernel, profile, s, offset: 1.0 if s <= offset else 0.0
    if kind is Custom:
        return _custom_profile
    if math.isfinite(kind.reach):
        inside = _compiled(kind.profile)
        return lambda kernel, profile, s, offset: inside(s) if s <= 1.0 else 0.0
    exponent = _compiled(kind.exponent)
    return lambda kernel, profile, s, offset: exp2(exponent(s, offset))


def _custom_profile(kernel, profile, s, offset):
    # A row with leave-one-out weight 0 is at s = inf, where a user's profile need not be defined.
    value = profile(s) if s < np.inf else 0.0
    return value if value >= 0.0 else np.nan  # a NaN propagates into the sums, where it is detected


def slope_at(kernel, s, w, v):
    """The weighted slope -2 w k'(s), from s and v = w k(s); times s it is a derivative in log h."""
    raise NotImplementedError("for compiled code only")


@overload_jit(slope_at)
def _slope_at(kernel, s, w, v):
    """Choose by the kernel."""
    kind = kernel.instance_class
    if kind in (Nearest, Custom):
        return lambda kernel, s, w, v: 0.0
    if math.isfinite(kind.reach):
        inside = _compiled(kind.slope)
        return lambda kernel, s, w, v: w * inside(s) if s <= 1.0 else 0.0
    relative = _compiled(kind.relative_slope)
    return lambda kernel, s, w, v: v * relative(s)


def exponents(kernel):
    """Exponents (b, a) of a profile (1 - u**b)**a, as compile-time constants."""
    raise NotImplementedError("for compiled code only")


@overload_jit(exponents)
def _exponents(kernel):
    """Choose by the kernel."""
    powers = kernel.instance_class.powers or (0, 0)
    return lambda kernel: powers
