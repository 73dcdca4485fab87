"""The compiled loops run as plain Python, where an index beyond an array raises, and come to the same sums."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import uncompiled
from numpy.testing import assert_array_equal

import sknw

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Return the sums of all small problems, formed without a compiler."""
    file = tmp_path_factory.mktemp("plain") / "sums.npz"
    path = str(pathlib.Path(sknw.__file__).parents[1])
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": path}
    subprocess.run([sys.executable, uncompiled.__file__, str(file)], env=environment, check=True)
    return np.load(file)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_sums_are_those_of_compiled_loops(plain, d):
    states = uncompiled.sums_of_small_problems(d)
    assert {name.split(", ")[0] for name in states} >= {"dense", "window"}
    for name, compiled in states.items():
        offset, sums, derivatives, _ = (plain[f"{d}, {name}, {field}"] for field in compiled._fields)
        # Rounding of both is bounded elsewhere, and what is neglected is the same: a wrong index is off by far more.
        tolerance = 1e-9
        mass = compiled.sums[:, :1] + np.finfo(float).tiny
        assert_array_equal(np.isfinite(offset), np.isfinite(compiled.offset), err_msg=name)
        finite = np.isfinite(offset)
        assert (np.abs(offset[finite] - compiled.offset[finite]) <= 1e-12 * (1 + offset[finite])).all(), name
        assert (np.abs(sums - compiled.sums) <= tolerance * mass).all(), name
        # Derivatives are weights times up to twice the squared distance, 40 at most where a weight is left.
        assert (np.abs(derivatives - compiled.derivatives) <= 100 * tolerance * mass[:, None]).all(), name
