r"""The kernels: one class each, with its formulas as members.

A kernel is a profile :math:`k(s)` of the squared scaled distance :math:`s = u^2`. An instance of a class has no data:
compiled loops are made for its type, and take the formulas that they need from the class. The formulas are plain
functions of one number, and can be called without compiling anything.

A new kernel is one class here, and its formula in the tests' reference.
"""

import math
from typing import NamedTuple

_LOG2_E = math.log2(math.e)

# cos(pi sqrt(s) / 2) as a polynomial in s on [0, 1], and sin(pi u / 2) / u: Taylor series, whose next terms are 1e-19.
_COSINE_SERIES = tuple((-1) ** i * (math.pi / 2) ** (2 * i) / math.factorial(2 * i) for i in range(13))
_SINE_SERIES = tuple((-1) ** i * (math.pi / 2) ** (2 * i + 1) / math.factorial(2 * i + 1) for i in range(13))


class Kernel:
    r"""What the package knows about a kernel.

    Attributes
    ----------
    reach : float
        Largest scaled distance u at which a training row counts; `inf` for kernels that never vanish.
    differentiable : bool
        Whether the leave-one-out error has a useful derivative with respect to the bandwidth.
    powers : tuple of two numbers, or None
        (b, a) if :math:`k = (1 - u^b)_+^a`, whose moments are Beta functions.

    Notes
    -----
    A kernel of finite support has the members `profile(s)` and `slope(s)`, :math:`-2 k'(s)`, for s <= 1. One that never
    vanishes has `exponent(s, offset)`, the logarithm to base 2 of :math:`k(s) / k(\mathrm{offset})`, and
    `relative_slope(s)`, :math:`-2 k'(s) / k(s)`. Slopes are only ever multiplied by s, and given as 0 at a kink at 0.
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
    """Not a kernel but the limit of every one as the bandwidth goes to 0: only the nearest rows count."""


class Custom(Kernel, NamedTuple("Custom", [])):
    """A profile that the user brings, as a jitted function. Where it vanishes is not known."""


def polynomial(coefficients, x):
    """A polynomial, lowest power first, by Horner's rule."""
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
    """A kernel, by its name or as a user's profile, as the compiled loops take it, and the user's profile or None."""
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
        The exponent p >= 0.
    squared : bool, default=False
        Integrate the square of the profile.

    Returns
    -------
    float
    """
    times = 2 if squared else 1
    if name == "gaussian":  # the substitution t = times * u**2 / 2 gives a Gamma function
        half = (power + 1) / 2
        return math.lgamma(half) - math.log(2) + half * math.log(2 / times)
    if name == "exponential":
        return math.lgamma(power + 1) - (power + 1) * math.log(times)
    if name == "cosine":  # cos(x)**2 = (1 + cos(2 x)) / 2; term by term, of which 40 are more than enough

        def integral(frequency):
            terms = ((-1) ** i * frequency ** (2 * i) / math.factorial(2 * i) / (power + 2 * i + 1) for i in range(40))
            return math.fsum(terms)

        return math.log(0.5 / (power + 1) + 0.5 * integral(math.pi) if squared else integral(0.5 * math.pi))
    b, a = KERNELS[name].powers
    x, z = (power + 1) / b, times * a + 1  # v = u**b gives the Beta function B(x, z) / b
    return math.lgamma(x) + math.lgamma(z) - math.lgamma(x + z) - math.log(b)


def canonical_factor(name, d):
    r"""Bandwidth at which a kernel smooths as much as the Gaussian of bandwidth 1 does.

    With the kernel scaled to integrate to one over :math:`R^d`, R the integral of its square and :math:`\mu_2` its
    variance along one axis, the canonical bandwidth is :math:`\delta = (R / \mu_2^2)^{1/(d+4)}`; this is the ratio of
    the kernel's to the Gaussian's.

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
    195-199: d = 1. The same balance of squared bias and variance gives the form for d features.
    """

    def log_canonical(name):
        # The surface of the unit sphere stands once in the mass, once in R's integral and once in mu_2's; what does
        # not depend on the kernel cancels in the ratio.
        mass = radial_moment(name, d - 1)
        log_roughness = radial_moment(name, d - 1, squared=True) - 2 * mass
        log_variance = radial_moment(name, d + 1) - mass
        return (log_roughness - 2 * log_variance) / (d + 4)

    return math.exp(log_canonical(name) - log_canonical("gaussian"))
