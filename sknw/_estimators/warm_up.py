"""Compilation ahead of the first use."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np

from .._compat import Interval, StrOptions, validate_params
from .._core.cells.chebyshev import Nodes
from .._core.dispatch import (
    ALGORITHMS,
    check_applies,
    gradient,
    kernel_sums,
    kernel_weights,
    ladder_sums,
    nearest_squares,
    times_matrix,
)
from .._core.kernels import KERNELS
from .._core.order import MOST_FEATURES_IN_ORDER
from .._core.problem import Problem, Queries, Rows, Setting, Wanted, read_only
from .._criteria import by_segments
from .._criteria.problem import ErrorProblem, Settings
from .._smoothing.metric import Metric

if TYPE_CHECKING:
    from .._typing import KernelName

#: Enough rows for every algorithm to apply.
_ROWS = 4096


@validate_params(
    {"n_features": [Interval(Integral, 1, None, closed="left")], "kernel": [StrOptions(set(KERNELS))]},
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
    from .._core.every_pair.tiles import tile_sums  # imports numba

    X = np.random.default_rng(0).uniform(size=(_ROWS, d))
    if d == 1:
        X.sort(axis=0)
    rows = Rows(*map(read_only, (X.T, X.T[:1], np.ones(_ROWS), np.zeros(_ROWS))))
    inv_h = read_only(np.full(d, 10.0))
    every = [Wanted.SCALE]
    if KERNELS[kernel].differentiable:
        every += [Wanted.FEATURES, Wanted.PAIRS] if d > 1 else [Wanted.FEATURES]
    # "nearest" answers empty neighborhoods.
    for name, kinds in ((kernel, every), ("nearest", [Wanted.VALUE])):
        for algorithm in ALGORITHMS:
            try:
                check_applies(algorithm, kernel, d)
            except ValueError:
                continue
            # The near-linear algorithms are used for many queries only.
            numbers = np.arange(64 if algorithm == "dense" else _ROWS)
            for wanted in kinds:
                for queries in (Queries(rows.Z.T[numbers]), Queries.of_rows(rows, numbers)):
                    kernel_sums(_problem(name, rows, inv_h, queries, wanted), algorithm)
        kernel_weights(_problem(name, rows, inv_h, Queries(rows.Z.T[:64])))
    # Of a few empty neighborhoods each pair is visited, whatever the algorithm.
    for queries in (Queries(rows.Z.T[:64]), Queries.of_rows(rows, np.arange(64))):
        tile_sums("nearest", rows, inv_h, queries, wanted=Wanted.VALUE)
    if d == 1 and KERNELS[kernel].powers:
        problem = ErrorProblem(rows, Metric(np.arange(1), inv_h), Settings(kernel))
        by_segments.errors(problem)
        by_segments.errors(problem.at(np.arange(64)))
    times_matrix(rows.Z.T, np.eye(d))
    some = Queries.of_rows(rows, np.arange(64))
    if kernel == "gaussian":
        _compile_gaussian(rows, inv_h)
    ladder_sums(_problem(kernel, rows, inv_h, some, rtol=0.0), [0, 1])
    for wanted in (wanted for wanted in every if wanted.by_coordinate):
        gradient(_problem(kernel, rows, inv_h, some, wanted), np.zeros(64), np.ones((64, 2)))


def _problem(kernel, rows, inv_h, queries, wanted=Wanted.VALUE, *, rtol=1e-10, single=False):
    return Problem(Setting(kernel, inv_h, wanted, rtol, single), rows, queries)


def _compile_gaussian(rows, inv_h):
    """Compile the loops of the Gaussian, for one output and for several."""
    d, n = rows.Z.shape
    Nodes.of(rows)
    nearest_squares(rows.Z.T)
    # In many features inv_h gives empty neighborhoods. At the narrow bandwidth inner products lack digits, so that
    # queries are completed by other loops.
    wide, narrow = inv_h / d, np.full(d, 2e3)
    new, some, every = Queries(rows.Z.T[:64]), Queries.of_rows(rows, np.arange(64)), Queries.all(rows)
    for each in (rows, rows._replace(Y=read_only(np.repeat(rows.Y, 2, axis=0)))):
        for factors in (wide, narrow):
            for queries in (new, some, every):
                for wanted in (Wanted.VALUE, Wanted.SCALE, Wanted.FEATURES):
                    kernel_sums(_problem("gaussian", each, factors, queries, wanted), "dense")
        for factors in (wide, inv_h, narrow / 100):
            kernel_sums(_problem("gaussian", each, factors, new, single=True), "dense")
        for factors in (wide, np.full(d, 100 / np.sqrt(d))):  # with and without inner products
            problem = _problem("gaussian", each, factors, every, Wanted.FEATURES, rtol=1e-12)
            gradient(problem, np.zeros(n), np.ones((n, 1 + len(each.Y))))
