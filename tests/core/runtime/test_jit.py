import math
import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from sknw._core.runtime.exponential import exp2, half_to_the
from sknw._core.runtime.jit import not_inlined, wide_vectors


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
        np.linspace(-960, 0, 100_001),
        -np.geomspace(1e-300, 960, 100_001),
        np.arange(-960.0, 1),
        np.arange(-959.5, 1),
    ],
    ids=["unit", "range", "geometric", "integers", "halves"],
)
def test_power_of_two(power, t):
    reference = np.exp2(t.astype(np.longdouble))
    # Horner's rule rounds each step; the last ones dominate: below 1 unit in the last place in all, with r in [-1/2,
    # 1/2].
    assert np.max(np.abs(power(t) / reference - 1)) <= np.finfo(np.float64).eps


@pytest.fixture(scope="module")
def single_power():
    from numba import njit

    @njit
    def power(s):
        out = np.empty_like(s)
        for i in range(len(s)):
            out[i] = half_to_the(s[i])
        return out

    return power


def test_power_in_single_precision(single_power):
    """Over the whole range where weights matter: 9e-8 of the polynomial, and of each rounding of Horner's rule 6e-8."""
    for s in (np.linspace(-100, 110, 1_000_001), np.linspace(0, 1, 1_000_001), np.geomspace(1e-30, 110, 1_000_001)):
        s = s.astype(np.float32)
        found = single_power(s)
        assert found.dtype == np.float32
        assert np.max(np.abs(found / np.exp2(-s.astype(np.float64)) - 1)) <= 3e-7
    whole = np.arange(-100, 111).astype(np.float32)
    np.testing.assert_array_equal(single_power(whole), np.exp2(-whole))
    smallest = np.float32(2.0**-110)  # and no subnormal number, zero or NaN beyond
    np.testing.assert_array_equal(single_power(np.array([110.01, 1e30, np.inf, np.nan], np.float32)), smallest)


def test_power_of_a_half_is_bounded_from_below():
    from numba import njit

    power = njit(lambda s: half_to_the(s))
    assert [power(s) for s in (960.5, 1e300, np.inf, np.nan)] == [2.0**-960] * 4
    assert power(-1000.0) == 2.0**1000


def test_no_product_is_subnormal(single_power):
    """Each would take a hundred times as long as another one: far rows are many, where windows are narrow."""
    from numba import njit

    smallest = njit(lambda s: half_to_the(s))(np.inf)
    assert smallest * 1e-18 >= np.finfo(np.float64).tiny
    assert single_power(np.array([np.inf], np.float32))[0] * np.float32(1e-4) >= np.finfo(np.float32).tiny


def test_power_of_integers_is_exact(power):
    n = np.arange(-960, 1)
    np.testing.assert_array_equal(power(n.astype(float)), [math.ldexp(1, int(i)) for i in n])


def test_underflow(power):
    np.testing.assert_array_equal(power(np.array([-960.0000001, -1022, -1e5, -1e300, -np.inf, np.nan])), 0)


def test_wide_vectors_change_no_bit(power):
    from numba import njit

    @njit
    def wide_power(t):
        wide_vectors()
        out = np.empty_like(t)
        for i in range(len(t)):
            out[i] = exp2(t[i])
        return out

    t = -np.geomspace(1e-3, 960, 1003)  # with an end that fills no vector
    np.testing.assert_array_equal(wide_power(t), power(t))


def test_wide_vectors_are_a_hint(power, monkeypatch):
    """Where llvmlite takes no attributes that it does not know, loops are compiled without."""
    from llvmlite import ir
    from numba import njit

    asked = []
    monkeypatch.setattr(
        ir.values.Function, "__init__", _with_attributes(ir.values.Function.__init__, asked), raising=True
    )

    @njit
    def one(t):
        not_inlined()
        wide_vectors()
        return exp2(t)

    assert one(-3.0) == 0.125
    assert asked


def _with_attributes(init, asked):
    """A constructor of functions whose attributes are a list, to which nothing can be added as to a set."""

    class Attributes(list):
        def add(self, name):
            asked.append(name)

        def __str__(self):
            return ""

        def _to_list(self, ret_type):
            return []

        personality = None

    def replaced(self, *args, **kwargs):
        init(self, *args, **kwargs)
        self.attributes = Attributes()

    return replaced


SUMS = """
import sys
import numpy as np
from sknw._core import Problem, Queries, Rows, Setting, Wanted, kernel_sums, read_only
found, rng = [], np.random.default_rng(0)
for d in (1, 5, 20):
    X, w = rng.normal(size=(700, d)), np.ones(700)
    rows = Rows(*map(read_only, (X.T, rng.normal(size=(1, 700)), w, w - 1)))
    setting = Setting("gaussian", read_only(np.full(d, 1 / np.sqrt(d))), Wanted.SCALE, 1e-10)
    for queries in (Queries(read_only(X)), Queries.all(rows)):
        state = kernel_sums(Problem(setting, rows, queries), "dense")
        found += [state.sums / state.sums[:, :1], state.derivatives[:, 0] / state.sums[:, :1]]
np.savez(sys.argv[1], *found)
"""


@pytest.mark.slow
def test_other_processors_have_the_same_results_to_rounding(tmp_path):
    """Without vectors of 512 bits, and without fused multiply-adds."""
    found = []
    for name in ("host", "x86-64-v3", "x86-64"):
        if name != "host" and platform.machine() not in ("x86_64", "AMD64"):
            pytest.skip("names of processors of another kind")
        environment = os.environ | {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": "", "SKNW_NUMBA_CACHE": "0"}
        if name == "host":
            environment = os.environ
        path = tmp_path / f"{name}.npz"
        subprocess.run([sys.executable, "-W", "error", "-c", SUMS, str(path)], env=environment, check=True)
        with np.load(path) as arrays:
            found.append([arrays[key] for key in arrays])
    for other in found[1:]:
        # Distances within 50 by inner products of 20 numbers, and sums of 700 weights of either sign: as in
        # test_gaussian.py, on both sides.
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=2 * 60 * ((20 + 6) * 25 + 700) * np.finfo(float).eps)
    assert any((a != b).any() for a, b in zip(found[0], found[2], strict=True))
