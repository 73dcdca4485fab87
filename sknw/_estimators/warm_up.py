"""Compilation ahead of the first use."""

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
from .._criteria.by_segments import segment_errors

if TYPE_CHECKING:
    from .._typing import KernelName

#: Enough rows for every algorithm to apply.
_ROWS = 4096


@validate_params(
    {"n_features": [Interval(Integral, 1, None, closed="left")], "kernel": [StrOptions(set(PROFILES))]},
    prefer_skip_nested_validation=True,
)
def warm_up(n_features: int, kernel: KernelName = "gaussian") -> None:
    """Compile all code for data with some number of features, so that later calls need not wait.

    Each algorithm is compiled at its first use, which takes seconds, and the compiled code is cached on disk for later
    processes. Call this function when building a container image, or before a service accepts requests::

        RUN python -c "import sknw; sknw.warm_up(2)"

    See :ref:`the user guide <first_use>` for the location of the cache and how to change it.

    Parameters
    ----------
    n_features : int
        Number of features.
    kernel : str, default="gaussian"
        Name of a kernel. A user's profile is compiled by `fit`, in each process.

    Notes
    -----
    Takes a minute or two for each number of features up to `n_features` if nothing is compiled, and some seconds if
    everything is.

    Examples
    --------
    >>> import sknw
    >>> sknw.warm_up(10, kernel="epanechnikov")
    """
    # Features of infinite bandwidth are ignored, so that sums over fewer features occur.
    for d in {*range(1, min(n_features, MOST_FEATURES_IN_ORDER) + 1), n_features}:
        _compile(d, kernel)


def _compile(d, kernel):
    """Compile all code for sums over d features."""
    X = np.random.default_rng(0).uniform(size=(_ROWS, d))
    if d == 1:
        X.sort(axis=0)
    rows, g, few = Rows(X.T, X.T[:1], np.ones(_ROWS), np.zeros(_ROWS)), np.full(d, 10.0), slice(0, 64)
    every = [Derivatives.SCALE]
    if PROFILES[kernel].differentiable:
        every += [Derivatives.FEATURES, Derivatives.PAIRS] if d > 1 else [Derivatives.FEATURES]
    # "nearest" answers empty neighborhoods and finds the range of the search.
    for name, wanted in ((kernel, every), ("nearest", every[:1])):
        for algorithm in ALGORITHMS:
            try:
                check_applies(algorithm, kernel, d)
            except ValueError:
                continue
            # The near-linear algorithms are used for many queries only.
            some = few if algorithm == "dense" else slice(None)
            for derivatives in wanted:
                how = {"algorithm": algorithm, "rtol": 1e-10, "derivatives": derivatives}
                for own in (None, np.arange(_ROWS)[some]):
                    kernel_sums(name, rows, g, X[some], own, **how)
        kernel_weights(name, rows, g, X[few])
    if d == 1 and PROFILES[kernel].powers:
        segment_errors(kernel, rows, g)
        segment_errors(kernel, rows, g, queries=np.arange(64), weights=np.ones(64))
    times_matrix(X, np.eye(d))
    everyone = np.arange(_ROWS)
    own = everyone[few]
    if kernel == "gaussian":
        _compile_gaussian(X, rows, g)
    kernel_sums_of_scales(kernel, rows, g, X[few], own, places=[0, 1])
    for derivatives in (derivatives for derivatives in every if derivatives.by_coordinate):
        pull_back(kernel, rows, g, X[few], own, np.zeros(64), np.ones((64, 2)), derivatives=derivatives, rtol=1e-10)


def _compile_gaussian(X, rows, g):
    """Compile the loops of the Gaussian, for one output and for several."""
    n, d = X.shape
    everyone, few = np.arange(n), slice(0, 64)
    Nodes.of(rows)
    nearest_squares(X)
    # In many features g gives empty neighborhoods. At the narrow bandwidth inner products lack digits, so that queries
    # are completed by other loops.
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
        for factors in (wide, np.full(d, 100 / np.sqrt(d))):  # with and without inner products
            args = "gaussian", some, factors, X, everyone, np.zeros(n), np.ones((n, 1 + len(some.Y)))
            pull_back(*args, derivatives=Derivatives.FEATURES, rtol=1e-12)
