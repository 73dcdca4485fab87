"""Choice of the engine of a problem, and completion of the queries that it does not certify.

==============  =====================================================  ============================================
algorithm       applies to                                             time, with n rows, m queries, d features
==============  =====================================================  ============================================
"dense"         any kernel, any number of features                     O(n m d)
"sliding"       one feature; all kernels but the Gaussian              O((n + m) log (n + m)), exact
"window"        up to eight features; all kernels but a user's         O(pairs within the cutoff); exact for kernels
                                                                       of finite support, else to `rtol`
"fast_gauss"    the Gaussian, one to three features, `rtol` >= 1e-13   O(n + m), to `rtol`
==============  =====================================================  ============================================
"""

import numpy as np

from . import costs
from .cells.engines import FastGauss
from .cells.grid import is_sorted
from .cells.layout import MOST_FEATURES
from .every_pair.engines import FewRows, Gaussian, Symmetric, Tiles
from .every_pair.few_rows import few_sums
from .order import MOST_FEATURES_IN_ORDER, spatial_order
from .problem import Problem, Queries, Rows, Setting, State, Wanted, read_only, uncertain
from .sliding.engines import Sliding
from .within_reach.engines import BoundingBoxes, LeaveOneOut, SortedRows

#: All engines, in the order in which they plan: engines with cheap plans come first.
ENGINES = (
    FewRows(),
    Tiles(),
    Gaussian(),
    Symmetric(),
    Sliding(),
    LeaveOneOut(),
    SortedRows(),
    BoundingBoxes(),
    FastGauss(),
)

#: Values of the parameter `algorithm` besides "auto".
ALGORITHMS = tuple(dict.fromkeys(engine.name for engine in ENGINES))


def check_applies(algorithm, kernel, d):
    """Raise if an algorithm does not support the kernel or the number of features."""
    if algorithm == "sliding" and (d != 1 or callable(kernel) or kernel == "gaussian"):
        raise ValueError(
            "algorithm='sliding' needs a single feature and a built-in kernel other than 'gaussian'; got "
            f"{d} features and kernel={kernel!r}. Use algorithm='auto'."
        )
    if algorithm == "window" and (d > MOST_FEATURES_IN_ORDER or callable(kernel)):
        raise ValueError(
            f"algorithm='window' needs at most {MOST_FEATURES_IN_ORDER} features and a built-in kernel; got {d} "
            f"features and kernel={kernel!r}. Use algorithm='auto'."
        )
    if algorithm == "fast_gauss" and (d > MOST_FEATURES or kernel != "gaussian"):
        raise ValueError(
            f"algorithm='fast_gauss' needs kernel='gaussian' and at most {MOST_FEATURES} features; got "
            f"kernel={kernel!r} and {d} features. Use algorithm='auto'."
        )


def choose(problem, algorithm="auto", engines=ENGINES):
    """The plan of lowest cost.

    Parameters
    ----------
    problem : Problem
        With rows in ascending order if there is a single feature.
    algorithm : str
        Name of the engines to choose from, or "auto" for all engines. If no engine of this name applies, for example
        because no approximation is allowed, all engines are considered.
    engines : sequence of Engine

    Returns
    -------
    Plan

    Notes
    -----
    At most O(n + m) time, which is less than that of the sums.
    """
    best = None
    if problem.setting.kernel == "nearest":  # used for empty neighborhoods, where the user's choice does not apply
        algorithm = "auto"
    for engine in engines:
        if algorithm in ("auto", engine.name):
            plan = engine.plan(problem, float("inf") if best is None else best.cost)
            if plan is not None and (best is None or plan.cost < best.cost):
                best = plan
    return choose(problem, "auto", engines) if best is None else best


def prepare(problem, algorithm="auto"):
    """Prepare the rows of a problem with the engine of lowest cost; see `choose`."""
    plan = choose(problem, algorithm)
    return plan.engine.prepare(problem.rows, plan)


def kernel_sums(problem, algorithm="auto", *, n_threads=1, prepared=None):
    """Kernel sums over all training rows, certified to `rtol`.

    Parameters
    ----------
    problem : Problem
    algorithm : str
        As in `choose`.
    n_threads : int
        Number of threads. Results are bitwise independent of it.
    prepared : Prepared, default=None
        Prepared rows for the same rows and setting. If given, nothing is planned.

    Returns
    -------
    State
        Queries that the engine does not certify are recomputed by an exact one. `offset` is `inf` where all squared
        distances overflow.
    """
    _, m, d, p = problem.sizes
    if m == 0:
        return State.empty(0, p, problem.setting.wanted.count(d))
    if prepared is None:
        problem, position = in_ascending_order(problem)
        if position is not None:
            return _in_given_order(kernel_sums(problem, algorithm, n_threads=n_threads), problem, position)
        prepared = prepare(problem, algorithm)
    engine = prepared.plan.engine
    state = prepared.sums(problem.queries, n_threads)
    if engine.exact:
        return state
    numbers = uncertain(state, problem.setting.rtol)
    if len(numbers):
        again = problem.at(numbers)._replace(rows=prepared.rows)
        state.put(numbers, _complete(again, engine.name, n_threads))
    return state


def _complete(problem, name, n_threads):
    """Sums of uncertain queries from an exact engine, of the same name if there is one."""
    if problem.setting.single:  # in float64 first
        double = problem._replace(setting=problem.setting._replace(single=False))
        return kernel_sums(double, name, n_threads=n_threads)
    exact = [engine for engine in ENGINES if engine.exact]
    plan = choose(problem, name if any(engine.name == name for engine in exact) else "auto", exact)
    return plan.engine.prepare(problem.rows, plan).sums(problem.queries, n_threads)


def in_ascending_order(problem):
    """Sort the rows if there is a single feature, possibly the only one of finite bandwidth.

    Returns
    -------
    problem : Problem
        With rows in ascending order.
    position : ndarray of shape (n,), or None
        Position of each original row in ascending order. None if the rows were not reordered.
    """
    rows, queries = problem.rows, problem.queries
    if len(problem.setting.inv_h) != 1 or is_sorted(np.asarray(rows.Z[0])):
        return problem, None
    order = spatial_order(rows.Z)
    position = np.empty_like(order)
    position[order] = np.arange(len(order))
    rows = rows.take(order)
    if queries.kind == "all":
        return problem._replace(rows=rows, queries=Queries.all(rows)), position
    if queries.row is not None:
        row = np.where(queries.row >= 0, position[queries.row], -1)
        queries = queries._replace(row=read_only(row, np.int64), kind="some")
    return problem._replace(rows=rows, queries=queries), position


def _in_given_order(state, problem, position):
    """Undo the sorting of `in_ascending_order` for the states of all rows."""
    return State(*(a[position] for a in state)) if problem.queries.kind == "all" else state


def kernel_weights(problem, n_threads=1):
    """Normalized weights of all training rows for each query; see `every_pair.weights`."""
    from .every_pair.weights import weights

    return weights(problem, n_threads)


def ladder_sums(problem, rungs, n_threads=1):
    """Sums over every pair for a ladder of bandwidths; see `every_pair.ladder`."""
    from .every_pair.ladder import ladder_sums

    return ladder_sums(problem, rungs, n_threads)


def gradient(problem, offset, adjoints, n_threads=1):
    """Gradient of a function of sums over every pair, by reverse mode; see `every_pair.adjoint`."""
    from .every_pair.adjoint import gradient

    return gradient(problem, offset, adjoints, n_threads)


def nearest_squares(Z, n_threads=1):
    """Squared distance of each point to the nearest other point.

    Parameters
    ----------
    Z : ndarray of shape (n, d)

    Returns
    -------
    ndarray of shape (n,)

    Notes
    -----
    O(n² d) time up to some thousand points, and that of a neighbor search beyond.
    """
    n, d = Z.shape
    rows = Rows(*map(read_only, (Z.T, np.zeros((1, n)), np.ones(n), np.zeros(n))))
    problem = Problem(Setting("nearest", np.ones(d)), rows, Queries.all(rows))
    if n * n <= costs.now.few_pairs:
        return few_sums(rows, problem.setting.inv_h, problem.queries.Z, problem.queries.row, wanted=Wanted.VALUE).offset
    if n > _QUICK_PAIRS:
        return kernel_sums(problem, n_threads=n_threads).offset
    from .every_pair.tiles import nearest_squares

    return nearest_squares(problem.queries.Z, n_threads=n_threads)


#: Number of points up to which visiting every pair is faster than a neighbor search.
_QUICK_PAIRS = 5000


def times_matrix(Z, G):
    """Product of two matrices with reproducible rounding; see `every_pair.coordinates`."""
    from .every_pair.coordinates import times_matrix

    return times_matrix(Z, G)
