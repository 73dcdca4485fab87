"""The kernels: one class each, with the formulas as static methods.

A kernel is a profile :math:`k(s)` of the squared scaled distance :math:`s = u^2`. Instances carry no data. Compiled
loops are specialized for the type of the instance and take the formulas from the class, see `compiled_kernels`. The
formulas are plain functions of numbers, and can be called without compilation.

A new kernel requires one class here, and its formula in the reference implementation of the tests.
"""

import math
from typing import NamedTuple

_LOG2_E = math.log2(math.e)

# cos(pi sqrt(s) / 2) as a polynomial in s on [0, 1], and sin(pi u / 2) / u. The first omitted Taylor terms are 1e-19.
_COSINE_SERIES = tuple((-1) ** i * (math.pi / 2) ** (2 * i) / math.factorial(2 * i) for i in range(13))
_SINE_SERIES = tuple((-1) ** i * (math.pi / 2) ** (2 * i + 1) / math.factorial(2 * i + 1) for i in range(13))


class Kernel:
    r"""Base class of kernels: properties used to choose algorithms and to compile loops.

    Attributes
    ----------
    reach : float
        Support radius as a scaled distance u; `inf` for kernels that never vanish.
    differentiable : bool
        Whether the derivative of the leave-one-out error in the bandwidth can be used by a search.
    powers : tuple of two numbers, or None
        (b, a) if :math:`k = (1 - u^b)_+^a`, whose moments are Beta functions.

    Notes
    -----
    Kernels of finite support define `profile(s)` and `slope(s)`, which is :math:`-2 k'(s)`, for s <= 1. The
    others define `exponent(s, offset)`, the base-2 logarithm of :math:`k(s) / k(\mathrm{offset})`, and
    `relative_slope(s)`, which is :math:`-2 k'(s) / k(s)`. Slopes are used only after multiplication by s; at a kink at
    0 they return 0.
    """

    reach, differentiable, powers = math.inf, False, None


class Gaussian(Kernel, NamedTuple("Gaussian", [])):
    r""":math:`e^{-s/2}`."""

    differentiable = True

    @staticmethod
    def exponent(s, offset):
        return (0.5 * _LOG2_E) * (offset - s)

    @staticmethod
    def relative_slope(s):
        return 1.0


class Exponential(Kernel, NamedTuple("Exponential", [])):
    r""":math:`e^{-u}`."""

    differentiable = True

    @staticmethod
    def exponent(s, offset):
        return _LOG2_E * (math.sqrt(offset) - math.sqrt(s))

    @staticmethod
    def relative_slope(s):
        return 1.0 / math.sqrt(s) if s > 0.0 else 0.0


class Epanechnikov(Kernel, NamedTuple("Epanechnikov", [])):
    r""":math:`(1 - s)_+`."""

    reach, differentiable, powers = 1.0, True, (2, 1)

    @staticmethod
    def profile(s):
        return 1.0 - s

    @staticmethod
    def slope(s):
        return 2.0


class Biweight(Kernel, NamedTuple("Biweight", [])):
    r""":math:`(1 - s)_+^2`."""

    reach, differentiable, powers = 1.0, True, (2, 2)

    @staticmethod
    def profile(s):
        return (1.0 - s) * (1.0 - s)

    @staticmethod
    def slope(s):
        return 4.0 * (1.0 - s)


class Triweight(Kernel, NamedTuple("Triweight", [])):
    r""":math:`(1 - s)_+^3`."""

    reach, differentiable, powers = 1.0, True, (2, 3)

    @staticmethod
    def profile(s):
        return (1.0 - s) * (1.0 - s) * (1.0 - s)

    @staticmethod
    def slope(s):
        return 6.0 * ((1.0 - s) * (1.0 - s))


class Tricube(Kernel, NamedTuple("Tricube", [])):
    r""":math:`(1 - u^3)_+^3`."""

    reach, differentiable, powers = 1.0, True, (3, 3)

    @staticmethod
    def profile(s):
        t = 1.0 - s * math.sqrt(s)
        return t * t * t

    @staticmethod
    def slope(s):
        u = math.sqrt(s)
        t = 1.0 - s * u
        return 9.0 * (u * t * t)


class Linear(Kernel, NamedTuple("Linear", [])):
    r""":math:`(1 - u)_+`."""

    reach, differentiable, powers = 1.0, True, (1, 1)

    @staticmethod
    def profile(s):
        return 1.0 - math.sqrt(s)

    @staticmethod
    def slope(s):
        return 1.0 / math.sqrt(s) if s > 0.0 else 0.0


class Tophat(Kernel, NamedTuple("Tophat", [])):
    r""":math:`1\{s \le 1\}`."""

    reach, differentiable, powers = 1.0, False, (2, 0)

    @staticmethod
    def profile(s):
        return 1.0

    @staticmethod
    def slope(s):
        return 0.0


class Cosine(Kernel, NamedTuple("Cosine", [])):
    r""":math:`\cos(\pi u / 2)_+`."""

    reach, differentiable, powers = 1.0, True, None

    @staticmethod
    def profile(s):
        return polynomial(_COSINE_SERIES, s)

    @staticmethod
    def slope(s):
        return 0.5 * math.pi * polynomial(_SINE_SERIES, s)


class Nearest(Kernel, NamedTuple("Nearest", [])):
    """The limit of every kernel as the bandwidth goes to 0: equal weights for the nearest rows."""


class Custom(Kernel, NamedTuple("Custom", [])):
    """A user's profile, given as a jitted function. Its support is not known."""


def polynomial(coefficients, x):
    """Evaluate a polynomial, given by coefficients from the lowest power on, by Horner's rule."""
    value = 0.0
    for i in range(len(coefficients)):
        value = value * x + coefficients[len(coefficients) - 1 - i]
    return value


#: The kernels by name.
KERNELS = {
    "gaussian": Gaussian(),
    "exponential": Exponential(),
    "epanechnikov": Epanechnikov(),
    "biweight": Biweight(),
    "triweight": Triweight(),
    "tricube": Tricube(),
    "linear": Linear(),
    "tophat": Tophat(),
    "cosine": Cosine(),
}


def for_loops(kernel):
    """Arguments of the compiled loops for a kernel: an instance, and a user's profile or None.

    Parameters
    ----------
    kernel : str or jitted function
        A key of `KERNELS`, "nearest", or a user's profile.
    """
    if callable(kernel):
        return Custom(), kernel
    return (Nearest() if kernel == "nearest" else KERNELS[kernel]), None


def radial_moment(name, power, *, squared=False):
    r"""Logarithm of :math:`\int_0^\infty u^p\, k(u)\, du`, or of the same with :math:`k^2`.

    Parameters
    ----------
    name : str
        Kernel, a key of `KERNELS`.
    power : float
        The order p >= 0.
    squared : bool, default=False
        Integrate the square of the profile.

    Returns
    -------
    float
    """
    order = 2 if squared else 1
    if name == "gaussian":  # the substitution t = order * u**2 / 2 gives a Gamma function
        half = (power + 1) / 2
        return math.lgamma(half) - math.log(2) + half * math.log(2 / order)
    if name == "exponential":
        return math.lgamma(power + 1) - (power + 1) * math.log(order)
    if name == "cosine":  # cos(x)**2 = (1 + cos(2 x)) / 2, integrated term by term; 40 terms are more than enough

        def integral(frequency):
            terms = ((-1) ** i * frequency ** (2 * i) / math.factorial(2 * i) / (power + 2 * i + 1) for i in range(40))
            return math.fsum(terms)

        return math.log(0.5 / (power + 1) + 0.5 * integral(math.pi) if squared else integral(0.5 * math.pi))
    b, a = KERNELS[name].powers
    x, z = (power + 1) / b, order * a + 1  # substituting v = u**b gives the Beta function B(x, z) / b
    return math.lgamma(x) + math.lgamma(z) - math.lgamma(x + z) - math.log(b)


def canonical_factor(name, d):
    r"""Bandwidth at which a kernel smooths as much as the Gaussian with bandwidth 1.

    Let the kernel integrate to one over :math:`R^d`, R be the integral of its square, and :math:`\mu_2` its variance
    along one axis. Its canonical bandwidth is :math:`\delta = (R / \mu_2^2)^{1/(d+4)}`. The factor is the canonical
    bandwidth of the kernel divided by that of the Gaussian.

    Parameters
    ----------
    name : str
        Kernel, a key of `KERNELS`.
    d : int
        Number of features.

    Returns
    -------
    float

    References
    ----------
    J. S. Marron and D. Nolan, "Canonical kernels for density estimation", Statistics & Probability Letters 7 (1988),
    195-199, for d = 1. The same balance of squared bias and variance gives the form for d features.
    """

    def log_canonical(name):
        # The surface area of the unit sphere and other factors common to all kernels cancel in the ratio.
        mass = radial_moment(name, d - 1)
        log_roughness = radial_moment(name, d - 1, squared=True) - 2 * mass
        log_variance = radial_moment(name, d + 1) - mass
        return (log_roughness - 2 * log_variance) / (d + 4)

    return math.exp(log_canonical(name) - log_canonical("gaussian"))
