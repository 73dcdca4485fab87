"""Covering arrays, and the tiers of the tests."""

import itertools
import math
import os
import pathlib
import subprocess
import sys

import pytest

from thin import covering

SAMPLE = """
import pytest

@pytest.mark.thin
@pytest.mark.parametrize("a", range(4))
@pytest.mark.parametrize(("b", "c"), [(b, c) for b in "xyz" for c in ([0], [1]) if (b, c) != ("x", [1])])
@pytest.mark.parametrize("d", [True, 1, None])
def test_product(a, b, c, d):
    pass

@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("a", range(4))
@pytest.mark.parametrize("b", range(3))
def test_values(a, b):
    pass

@pytest.mark.thin
def test_without_parameters():
    pass

@pytest.mark.parametrize("a", range(4))
@pytest.mark.parametrize("b", range(3))
def test_full(a, b):
    pass

@pytest.mark.slow
@pytest.mark.parametrize("a", range(2))
def test_slow(a):
    pass

@pytest.mark.parametrize("a", [0, 1, *(pytest.param(a, marks=pytest.mark.exhaustive) for a in range(2, 9))])
def test_exhaustive(a):
    pass
"""


def combinations(cases, strength):
    places = list(itertools.combinations(range(len(cases[0])), strength))
    return {(at, tuple(case[i] for i in at)) for case in cases for at in places}


@pytest.mark.parametrize("sizes", [(3,), (4, 3), (9, 4, 4), (2, 2, 2, 2, 2, 2, 2, 2), (11, 7, 4, 4)])
@pytest.mark.parametrize("strength", [1, 2, 3])
def test_all_combinations_are_covered(sizes, strength):
    cases = list(itertools.product(*map(range, sizes)))
    numbers = covering(cases, strength)
    strength = min(strength, len(sizes))
    assert combinations([cases[i] for i in numbers], strength) == combinations(cases, strength)
    assert numbers == covering(cases, strength) == sorted(set(numbers))
    assert len(numbers) >= math.prod(sorted(sizes)[-strength:])
    if len(sizes) > strength:
        assert len(numbers) <= len(cases) / 2


def test_combinations_that_no_case_has_are_not_asked_for():
    cases = [case for case in itertools.product(range(5), range(4), range(3)) if sum(case) % 7]
    chosen = [cases[i] for i in covering(cases)]
    assert combinations(chosen, 2) == combinations(cases, 2)
    assert len(chosen) < len(cases) / 2


@pytest.fixture
def collect(tmp_path):
    """Return a function that collects the tests of the sample for some options."""
    (tmp_path / "test_sample.py").write_text(SAMPLE)
    command = [sys.executable, "-m", "pytest", "-p", "thin", "-p", "no:cacheprovider", "--strict-markers", "-q"]
    command += ["--collect-only", f"--rootdir={tmp_path}", "-c", os.devnull]
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parent)}

    def names(*options):
        options = options if "::" in options[-1] else (*options, "test_sample.py")
        run = subprocess.run(
            [*command, *options], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        return [line.rpartition("::")[2] for line in run.stdout.splitlines() if "::" in line]

    return names


def test_tiers(collect):
    everything, default, rest = collect("--all"), collect("-s"), collect("--rest")
    of = {name: [test for test in everything if test.startswith(name)] for name in ("test_product", "test_values")}
    assert [*map(len, of.values())] == [4 * 5 * 3, 4 * 3]
    assert len(everything) == 60 + 12 + 1 + 12 + 2 + 9
    # The tiers are disjoint, and nothing is in neither.
    assert len(default) + len(rest) == len(everything)
    assert set(default) | set(rest) == set(everything)
    names = (*of, "test_full", "test_exhaustive")
    of = {name: [test for test in default if test.startswith(name)] for name in names}
    assert 15 <= len(of["test_product"]) <= 25
    assert len(of["test_values"]) == 4
    assert {test[12:-1].split("-")[0] for test in of["test_values"]} == set("012")
    assert {test[12:-1].split("-")[1] for test in of["test_values"]} == set("0123")
    assert len(of["test_full"]) == 12
    assert of["test_exhaustive"] == ["test_exhaustive[0]", "test_exhaustive[1]"]
    assert "test_without_parameters" in default
    assert not any(test.startswith("test_slow") for test in default)
    # What is named runs.
    assert collect("test_sample.py::test_slow") == ["test_slow[0]", "test_slow[1]"]
    assert len(collect("test_sample.py::test_product")) == 60
    assert collect("test_sample.py::test_exhaustive[7]") == ["test_exhaustive[7]"]
