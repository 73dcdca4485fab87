import math

import numpy as np
import pytest

from sknw._core._jit import exp2


@pytest.fixture(scope="module")
def power():
    from numba import njit

    @njit
    def power(t):
        out = np.empty_like(t)
        for i in range(len(t)):
            out[i] = exp2(t[i])
        return out

    return power


@pytest.mark.parametrize(
    "t",
    [
        np.linspace(-1, 0, 100_001),
        np.linspace(-1021, 0, 100_001),
        -np.geomspace(1e-300, 1021, 100_001),
        np.arange(-1021.0, 1),
        np.arange(-1020.5, 1),
    ],
    ids=["unit", "range", "geometric", "integers", "halves"],
)
def test_power_of_two(power, t):
    reference = np.exp2(t.astype(np.longdouble))
    # Horner's rule rounds each step; the last ones dominate: below 1 unit in the last place in all, with r in [-1/2,
    # 1/2].
    assert np.max(np.abs(power(t) / reference - 1)) <= np.finfo(np.float64).eps


def test_power_of_integers_is_exact(power):
    n = np.arange(-1021, 1)
    np.testing.assert_array_equal(power(n.astype(float)), [math.ldexp(1, int(i)) for i in n])


def test_underflow(power):
    np.testing.assert_array_equal(power(np.array([-1021.0000001, -1022, -1e5, -1e300, -np.inf, np.nan])), 0)
