r"""The kernels, in one table: a name, a code for the compiled loops, and what theory needs to know of each.

A kernel is a profile :math:`k(s)` of the squared scaled distance :math:`s = u^2`. The formulas themselves stand in
`_dense.py`, in `profile_at` and `slope_at` (its derivative), under the code given here: a new kernel is one row of this
table and one branch in each of the two.
"""

import math
from typing import NamedTuple


class Profile(NamedTuple):
    """What the package knows about a kernel.

    Attributes
    ----------
    code : int
        How the compiled loops call it.
    reach : float
        Largest scaled distance u at which a training row counts; `inf` for kernels that never vanish.
    differentiable : bool
        Whether the leave-one-out error has a useful derivative with respect to the bandwidth.
    powers : tuple of two floats, or None
        (b, a) if :math:`k = (1 - u^b)_+^a`, whose moments are Beta functions.
    """

    code: int
    reach: float
    differentiable: bool
    powers: tuple[float, float] | None = None


PROFILES = {
    "gaussian": Profile(0, math.inf, True),
    "exponential": Profile(1, math.inf, True),
    "epanechnikov": Profile(2, 1.0, True, (2, 1)),
    "biweight": Profile(3, 1.0, True, (2, 2)),
    "triweight": Profile(4, 1.0, True, (2, 3)),
    "tricube": Profile(5, 1.0, True, (3, 3)),
    "linear": Profile(6, 1.0, True, (1, 1)),
    "tophat": Profile(7, 1.0, False, (2, 0)),
    "cosine": Profile(8, 1.0, True),
}

#: Not a kernel but the limit of every one as the bandwidth goes to 0: only the nearest rows count.
NEAREST = Profile(9, math.inf, False)

#: A profile that the user brings, as a jitted function. Where it vanishes is not known.
CUSTOM = Profile(10, math.inf, False)


def radial_moment(name, power, *, squared=False):
    r"""Logarithm of :math:`\int_0^\infty u^p\, k(u)\, du`, or of the same with :math:`k^2`.

    Parameters
    ----------
    name : str
        Kernel, a key of `PROFILES`.
    power : float
        The exponent p >= 0.
    squared : bool, default=False
        Integrate the square of the profile.

    Returns
    -------
    float
    """
    profile = PROFILES[name]
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
    b, a = profile.powers
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
        Kernel, a key of `PROFILES`.
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
