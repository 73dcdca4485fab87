import math

import pytest
from scipy.integrate import quad

import naive
from sknw._core import KERNELS, canonical_factor
from sknw._core.kernels import radial_moment


def profile(name, u):
    return naive.PROFILES[name](u * u).real


@pytest.mark.thin
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("power", [0, 1, 4, 30])
@pytest.mark.parametrize("squared", [False, True])
def test_radial_moment(name, power, squared):
    end = 1 if math.isfinite(KERNELS[name].reach) else 200
    times = 2 if squared else 1
    expected = quad(lambda u: u**power * profile(name, u) ** times, 0, end, epsabs=0, epsrel=1e-12, limit=500)[0]
    # Both are good to some 1e-12: quad by its own estimate, the Gamma functions by a few ulp of logarithms below 200.
    assert math.exp(radial_moment(name, power, squared=squared)) == pytest.approx(expected, rel=1e-10)


# Marron and Nolan (1988), table 1: canonical bandwidths (R / mu_2**2)**(1/5) of kernels with support [-1, 1].
TABLE = {
    "gaussian": (1 / (4 * math.pi)) ** 0.1,
    "tophat": (9 / 2) ** 0.2,
    "epanechnikov": 15**0.2,
    "biweight": 35**0.2,
    "triweight": (9450 / 143) ** 0.2,
}


@pytest.mark.parametrize("name", TABLE)
def test_canonical_factor_of_one_feature(name):
    assert canonical_factor(name, 1) == pytest.approx(TABLE[name] / TABLE["gaussian"], rel=1e-12)


@pytest.mark.parametrize("name", [name for name, profile in KERNELS.items() if math.isfinite(profile.reach)])
def test_canonical_factor_in_many_dimensions(name):
    # delta -> R**(1/d). The Gaussian has R = (4 pi)**(-d/2), a compact kernel 1/V up to powers of d, where the unit
    # ball has V ~ (2 pi e / d)**(d/2): the ratio tends to sqrt(2 d / e), with corrections of log(d)/d.
    d = 10_000
    assert canonical_factor(name, d) == pytest.approx(math.sqrt(2 * d / math.e), rel=20 * math.log(d) / d)


def test_every_kernel_has_a_reference():
    assert set(KERNELS) == set(naive.PROFILES)


@pytest.mark.parametrize("name", KERNELS)
def test_formulas_equal_the_reference_without_compiling(name):
    """And their slopes are derivatives, by complex steps."""
    kernel = KERNELS[name]
    for s in (0.0, 1e-3, 0.3, 0.99):
        value, step = naive.PROFILES[name](s).real, 1e-30
        slope = -2 * naive.PROFILES[name](complex(s, step)).imag / step if s else 0.0
        if math.isfinite(kernel.reach):
            # The series of the cosine has 13 terms of at most 1.3, each rounded twice.
            assert kernel.profile(s) == pytest.approx(value, rel=1e-14, abs=26 * 1.3 * 1.2e-16)
            if s:
                assert kernel.slope(s) == pytest.approx(slope, rel=1e-12)
        else:
            assert 2 ** kernel.exponent(s, 0.0) == pytest.approx(value, rel=1e-14)
            if s:
                assert kernel.relative_slope(s) * value == pytest.approx(slope, rel=1e-12)
