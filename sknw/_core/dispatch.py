"""Which engine forms a sum, and who completes what it cannot certify.

==============  =====================================================  ============================================
algorithm       applies to                                             time, with n rows, m queries, d features
==============  =====================================================  ============================================
"dense"         any kernel, any number of features                     O(n m d)
"sliding"       one feature; all kernels but the Gaussian              O((n + m) log (n + m)), exact
"window"        up to eight features; all kernels but a user's         O(pairs within the cutoff); exact where the
                                                                       kernel ends, to `rtol` where it never vanishes
"fast_gauss"    the Gaussian, one to three features, `rtol` >= 1e-13   O(n + m), to `rtol`
==============  =====================================================  ============================================
"""

import numpy as np

from . import costs
from .cells.engines import FastGauss
from .cells.fast_gauss import MOST_FEATURES
from .cells.grid import is_sorted
from .every_pair.engines import FewRows, Gaussian, Symmetric, Tiles
from .every_pair.few_rows import few_sums
from .order import MOST_FEATURES_IN_ORDER, spatial_order
from .problem import Problem, Queries, Rows, Setting, State, Wanted, read_only, uncertain
from .sliding.engines import Sliding
from .within_reach.engines import BoundingBoxes, LeaveOneOut, SortedRows

#: All engines, in the order in which they are asked for a plan: those that plan in no time come first.
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

#: What users can ask for.
ALGORITHMS = tuple(dict.fromkeys(engine.name for engine in ENGINES))


def check_applies(algorithm, kernel, d):
    """Raise if an algorithm that a user has chosen cannot form sums with a kernel in d features."""
    if algorithm == "sliding" and (d != 1 or callable(kernel) or kernel == "gaussian"):
        raise ValueError(
            "algorithm='sliding' needs a single feature and a kernel other than 'gaussian' or a profile of your own; "
            f"got {d} features and kernel={kernel!r}. Use algorithm='auto'."
        )
    if algorithm == "window" and (d > MOST_FEATURES_IN_ORDER or callable(kernel)):
        raise ValueError(
            f"algorithm='window' needs at most {MOST_FEATURES_IN_ORDER} features and a kernel of the package; got {d} "
            f"features and kernel={kernel!r}. Use algorithm='auto'."
        )
    if algorithm == "fast_gauss" and (d > MOST_FEATURES or kernel != "gaussian"):
        raise ValueError(
            f"algorithm='fast_gauss' needs kernel='gaussian' and at most {MOST_FEATURES} features; got "
            f"kernel={kernel!r} and {d} features. Use algorithm='auto'."
        )


def choose(problem, algorithm="auto", engines=ENGINES):
    """The plan of least cost.

    Parameters
    ----------
    problem : Problem
        Rows of one feature in ascending order.
    algorithm : str
        Name of the engines to choose among, or "auto" for all. Where none of that name applies, as for the nearest
        rows and where no approximation is allowed, all are asked.
    engines : sequence of Engine

    Returns
    -------
    Plan

    Notes
    -----
    At most O(n + m) time, and less than the sums themselves.
    """
    best = None
    if problem.setting.kernel == "nearest":  # a question of the package's own, whatever the user's choice for others
        algorithm = "auto"
    for engine in engines:
        if algorithm in ("auto", engine.name):
            plan = engine.plan(problem, float("inf") if best is None else best.cost)
            if plan is not None and (best is None or plan.cost < best.cost):
                best = plan
    return choose(problem, "auto", engines) if best is None else best


def prepare(problem, algorithm="auto"):
    """Training rows as the chosen engine uses them, for this and other queries; rows in ascending order."""
    plan = choose(problem, algorithm)
    return plan.engine.prepare(problem.rows, plan)


def kernel_sums(problem, algorithm="auto", *, n_threads=1, prepared=None):
    """Sums over all training rows, for each query, in one way and, where that certifies no result, in another.

    Parameters
    ----------
    problem : Problem
    algorithm : str
        See `choose`.
    n_threads : int
        Threads. The result does not depend on it, to the last bit.
    prepared : Prepared, default=None
        Of the same rows and setting; used without planning again.

    Returns
    -------
    State
        All queries are certified. Where `offset` is `inf`, all squared distances overflow.
    """
    if prepared is None:
        problem, order = in_ascending_order(problem)
        if order is not None:
            return _in_given_order(kernel_sums(problem, algorithm, n_threads=n_threads), problem, order)
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
    """Sums of queries that an engine did not certify; by engines of its name, if there is one."""
    if problem.setting.single:  # in float64 first
        double = problem._replace(setting=problem.setting._replace(single=False))
        return kernel_sums(double, name, n_threads=n_threads)
    exact = [engine for engine in ENGINES if engine.exact]
    plan = choose(problem, name if any(engine.name == name for engine in exact) else "auto", exact)
    return plan.engine.prepare(problem.rows, plan).sums(problem.queries, n_threads)


def in_ascending_order(problem):
    """The problem with rows of one feature in ascending order, and that order; None if they are, or have more features.

    It may be the only feature of several with a finite bandwidth.
    """
    rows, queries = problem.rows, problem.queries
    if len(problem.setting.inv_h) != 1 or is_sorted(np.asarray(rows.Z[0])):
        return problem, None
    order = spatial_order(rows.Z)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    rows = rows.take(order)
    if queries.kind == "all":
        return problem._replace(rows=rows, queries=Queries.all(rows)), place
    if queries.row is not None:
        row = np.where(queries.row >= 0, place[queries.row], -1)
        queries = queries._replace(row=read_only(row, np.int64), kind="some")
    return problem._replace(rows=rows, queries=queries), place


def _in_given_order(state, problem, place):
    """The state of all rows in ascending order, in the order in which they were given."""
    return State(*(a[place] for a in state)) if problem.queries.kind == "all" else state


def kernel_weights(problem, n_threads=1):
    """Normalized weights of every training row, for each query; see `every_pair.weights`."""
    from .every_pair.weights import weights

    return weights(problem, n_threads)


def ladder_sums(problem, rungs, n_threads=1):
    """Sums over every pair at bandwidths in geometric progression; see `every_pair.ladder`."""
    from .every_pair.ladder import ladder_sums

    return ladder_sums(problem, rungs, n_threads)


def gradient(problem, offset, adjoints, n_threads=1):
    """Gradient of a function of sums over every pair by reverse mode; see `every_pair.adjoint`."""
    from .every_pair.adjoint import gradient

    return gradient(problem, offset, adjoints, n_threads)


def nearest_squares(Z, n_threads=1):
    """Squared distances of points, of shape (n, d), to the nearest other one.

    Notes
    -----
    O(n² d) time for few points, else that of looking for neighbors.
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


#: Up to so many points every pair is visited in less time than neighbors are found.
_QUICK_PAIRS = 5000


def times_matrix(Z, G):
    """The product of two matrices, each line of which is rounded in the same way; see `every_pair.coordinates`."""
    from .every_pair.coordinates import times_matrix

    return times_matrix(Z, G)
