"""Compiling ahead of the first use."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np

from .._compat import Interval, StrOptions, validate_params
from .._core import (
    ALGORITHMS,
    MOST_FEATURES_IN_ORDER,
    PROFILES,
    Derivatives,
    Nodes,
    Rows,
    check_applies,
    kernel_sums,
    kernel_sums_of_scales,
    kernel_weights,
    nearest_squares,
    pull_back,
    times_matrix,
)

if TYPE_CHECKING:
    from .._typing import KernelName
from .._criteria import by_segments
from .._criteria.problem import ErrorProblem, Settings
from .._smoothing.metric import Metric

#: As many rows as give every algorithm something to do.
_ROWS = 4096


@validate_params(
    {"n_features": [Interval(Integral, 1, None, closed="left")], "kernel": [StrOptions(set(PROFILES))]},
    prefer_skip_nested_validation=True,
)
def warm_up(n_features: int, kernel: KernelName = "gaussian") -> None:
    """Compile what data with some number of features may need, so that no later call has to wait for it.

    Each algorithm is compiled when it is first needed, which takes seconds, and the compiled code is kept on disk for
    the processes that follow. When an image of a container is made, or before a service takes requests, this does it
    for all algorithms that apply::

        RUN python -c "import sknw; sknw.warm_up(2)"

    Where the code is kept, and how it can be kept elsewhere, says :ref:`the user guide <first_use>`.

    Parameters
    ----------
    n_features : int
        Number of features.
    kernel : str, default="gaussian"
        Name of a kernel. A profile of one's own is compiled in each process, by `fit`.

    Notes
    -----
    Takes a minute or two for each number of features up to that where nothing is compiled yet, and some seconds where
    everything is.

    Examples
    --------
    >>> import sknw
    >>> sknw.warm_up(10, kernel="epanechnikov")
    """
    # A feature whose bandwidth is infinite is not there.
    for d in {*range(1, min(n_features, MOST_FEATURES_IN_ORDER) + 1), n_features}:
        _compile(d, kernel)


def _compile(d, kernel):
    """Compile what sums over d features may need."""
    X = np.random.default_rng(0).uniform(size=(_ROWS, d))
    if d == 1:
        X.sort(axis=0)
    rows, g, few = Rows(X.T, X.T[:1], np.ones(_ROWS), np.zeros(_ROWS)), np.full(d, 10.0), slice(0, 64)
    every = [Derivatives.SCALE]
    if PROFILES[kernel].differentiable:
        every += [Derivatives.FEATURES, Derivatives.PAIRS] if d > 1 else [Derivatives.FEATURES]
    # "nearest" is asked wherever nobody is in reach, and for where to look for bandwidths.
    for name, wanted in ((kernel, every), ("nearest", every[:1])):
        for algorithm in ALGORITHMS:
            try:
                check_applies(algorithm, kernel, d)
            except ValueError:
                continue
            # All rows as queries: the near-linear algorithms are for many.
            some = few if algorithm == "dense" else slice(None)
            for derivatives in wanted:
                how = {"algorithm": algorithm, "rtol": 1e-10, "derivatives": derivatives}
                for own in (None, np.arange(_ROWS)[some]):
                    kernel_sums(name, rows, g, X[some], own, **how)
        kernel_weights(name, rows, g, X[few])
    if d == 1 and PROFILES[kernel].powers:
        problem = ErrorProblem(rows, Metric(np.arange(1), g), Settings(kernel))
        by_segments.errors(problem)
        by_segments.errors(problem.at(np.arange(64)))
    times_matrix(X, np.eye(d))
    everyone = np.arange(_ROWS)
    own = everyone[few]
    if kernel == "gaussian":
        _compile_gaussian(X, rows, g)
    kernel_sums_of_scales(kernel, rows, g, X[few], own, places=[0, 1])
    for derivatives in (derivatives for derivatives in every if derivatives.by_coordinate):
        pull_back(kernel, rows, g, X[few], own, np.zeros(64), np.ones((64, 2)), derivatives=derivatives, rtol=1e-10)


def _compile_gaussian(X, rows, g):
    """Compile the Gaussian's own loops, for one output and for several."""
    n, d = X.shape
    everyone, few = np.arange(n), slice(0, 64)
    Nodes.of(rows)
    nearest_squares(X)
    # In many features nobody would be near with g. Inner products have not digits enough at the narrow bandwidth, where
    # queries are left to others, too.
    wide, narrow = g / d, np.full(d, 2e3)
    scale = (Derivatives.NOTHING, Derivatives.SCALE)
    for some in (rows, rows._replace(Y=np.repeat(rows.Y, 2, axis=0))):
        for factors in (wide, narrow):
            for own in (None, everyone[few], everyone):
                Zq = X[few] if own is None else X[own]
                for derivatives in (*scale, Derivatives.FEATURES):
                    kernel_sums("gaussian", some, factors, Zq, own, derivatives=derivatives, rtol=1e-10)
        for factors in (wide, g, narrow / 100):
            kernel_sums("gaussian", some, factors, X[few], rtol=1e-10, single=True)
        for factors in (wide, np.full(d, 100 / np.sqrt(d))):  # by inner products and not
            args = "gaussian", some, factors, X, everyone, np.zeros(n), np.ones((n, 1 + len(some.Y)))
            pull_back(*args, derivatives=Derivatives.FEATURES, rtol=1e-12)
