"""Tiers of the tests, and products of parameters that are run in part by default: a plugin of pytest.

A test with several ``parametrize`` decorators runs for the product of their values. Marked as thin, the default tier
runs a covering array of that product: a part of it in which each pair of values of two parameters occurs. Most faults
that depend on parameters depend on one or two of them. The names of tests, and thus their random numbers, are those of
the product.

    @pytest.mark.thin                 # every pair of values
    @pytest.mark.thin(strength=1)     # every value
    @pytest.mark.exhaustive           # not in the default tier: further instances, seeds and repetitions
    @pytest.mark.slow                 # not in the default tier: processes, wheels, scripts, pages

``pytest`` runs the default tier, ``pytest --all`` every test, and ``pytest --rest`` what the default tier leaves out.
A test that is named with ``::`` on the command line runs with all its parameters.
"""

import itertools

import pytest

MARKERS = (
    "thin(strength=2): by default, run a covering array of the product of the parameters",
    "exhaustive: further instances, seeds and repetitions, not in the default tier",
    "slow: processes, wheels, scripts and pages, not in the default tier",
)


def pytest_addoption(parser):
    group = parser.getgroup("tiers of the tests")
    group.addoption("--all", action="store_true", help="run all tests, with the full products of their parameters")
    group.addoption("--rest", action="store_true", help="run the tests that the default tier leaves out")


def pytest_configure(config):
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    if config.getoption("all"):
        return
    default = default_tier(items)
    if config.getoption("rest"):
        kept = [item for item in items if item not in default]
    else:
        kept = [item for item in items if item in default or is_named(item.nodeid, config.args)]
    config.hook.pytest_deselected(items=list(set(items) - set(kept)))
    items[:] = kept


def covering(cases, strength=2):
    """Return numbers of cases in which all combinations of so many values occur that occur in any case.

    Greedy: the next case is the first of those with the most new combinations, so that the result depends on nothing
    but the cases. Parameters need not form a full product.

    Parameters
    ----------
    cases : list of tuples of hashable values
        One value for each parameter.
    strength : int
        The number of parameters whose values are combined.
    """
    strength = min(strength, len(cases[0]))
    columns = list(itertools.combinations(range(len(cases[0])), strength))
    combinations = [{(places, tuple(case[i] for i in places)) for places in columns} for case in cases]
    chosen, bound = [], [len(new) for new in combinations]
    missing = set().union(*combinations)
    while missing:
        best, most = None, 0
        for number, new in enumerate(combinations):
            if bound[number] > most:  # numbers of new combinations only decrease
                bound[number] = len(new & missing)
                if bound[number] > most:
                    best, most = number, bound[number]
        chosen.append(best)
        missing -= combinations[best]
    return sorted(chosen)


def _value(item, name):
    """Return the value of a parameter, or where it is not hashable, the identity of the value."""
    value = item.callspec.params[name]
    try:
        hash(value)
    except TypeError:
        return id(value)
    return type(value), value


def _left_out(item):
    """Return whether a mark excludes a test from the default tier."""
    return any(item.get_closest_marker(name) for name in ("exhaustive", "slow"))


def default_tier(items):
    """Return the set of tests that belong to the default tier."""
    chosen, groups = set(), {}
    for item in items:
        if _left_out(item):
            continue
        if item.get_closest_marker("thin") and hasattr(item, "callspec"):
            groups.setdefault(item.nodeid.partition("[")[0], []).append(item)
        else:
            chosen.add(item)
    for group in groups.values():
        names = sorted(group[0].callspec.params)
        strength = group[0].get_closest_marker("thin").kwargs.get("strength", 2)
        cases = [tuple(_value(item, name) for name in names) for item in group]
        chosen.update(group[number] for number in covering(cases, strength))
    return chosen


def is_named(nodeid, arguments):
    """Return whether arguments of the command line name a test, or its function, rather than its file."""
    return any("::" in name and (nodeid == name or nodeid.startswith(f"{name}[")) for name in arguments)
