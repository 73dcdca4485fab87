"""The model of costs, judged by times that were measured: `benchmarks/plan.py --write` made the table."""

import collections
import importlib.util
import pathlib

import pytest

PATH = pathlib.Path(__file__).parents[2] / "benchmarks" / "plan.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("benchmarks_plan", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_choice_is_never_twice_as_slow_as_the_best(benchmark):
    table = list(benchmark.read())
    counts = {"sums": 300, "errors": 96, "some errors": 48, "few queries": 90, "many queries": 83}
    assert collections.Counter(task for (task, *_), _ in table) == counts
    slow = {
        problem: (chosen, times)
        for problem, times in table
        if benchmark.slowdown(chosen := benchmark.choose(*problem), times) > 2
    }
    assert slow == {}


@pytest.mark.parametrize("forgotten", ["sliding", "window", "fast_gauss", "segments"])
def test_the_table_tells_a_bad_choice_from_a_good_one(benchmark, forgotten):
    """Without one of these, the best of the others is more than twice as slow somewhere."""
    slowest = 1.0
    for _, times in benchmark.read():
        others = {name: time for name, time in times.items() if name != forgotten}
        if others:
            slowest = max(slowest, benchmark.slowdown(min(others, key=others.get), times))
    assert slowest > 2
