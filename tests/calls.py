"""The core with arrays as arguments: one call for one sum."""

import numpy as np

from sknw._core import costs, dispatch
from sknw._core.cells.fast_gauss import Expansions
from sknw._core.cells.fast_gauss import fast_gauss_sums as sums_of_expansions
from sknw._core.cells.layout import lay_out as layout_of_setting
from sknw._core.problem import Problem, Queries, Rows, Setting, Wanted, read_only
from sknw._criteria import by_segments
from sknw._criteria.problem import ErrorProblem, Settings
from sknw._smoothing.metric import Metric


def make_problem(kernel, rows, inv_h, Z, row=None, *, wanted=Wanted.VALUE, rtol=0.0, single=False):
    """A problem whose queries are rows as `row` says; -1 for a new point, None if all are new."""
    rows, Z, n = rows.read_only(), read_only(Z), len(rows.w)
    if row is None:
        queries = Queries(Z)
    else:
        row, kind = read_only(row, np.int64), "some"
        if len(row) and row[0] >= 0 and (np.diff(row) == 1).all():
            kind = "all" if len(row) == n else "run"
        queries = Queries(Z, row, kind)
    return Problem(Setting(kernel, read_only(inv_h), wanted, rtol, single), rows, queries)


def kernel_sums(
    kernel,
    rows,
    inv_h,
    Z,
    row=None,
    *,
    derivatives=Wanted.VALUE,
    algorithm="dense",
    rtol=0.0,
    single=False,
    n_threads=1,
):
    """`dispatch.kernel_sums`."""
    problem = make_problem(kernel, rows, inv_h, Z, row, wanted=derivatives, rtol=rtol, single=single)
    return dispatch.kernel_sums(problem, algorithm, n_threads=n_threads)


def plan(kernel, rows, inv_h, Z=None, *, derivatives=Wanted.VALUE, algorithm="auto", rtol=0.0):
    """What `dispatch.choose` chooses; the queries are all rows if Z is None."""
    row = np.arange(len(rows.w)) if Z is None else None
    Z = rows.Z.T if Z is None else Z
    return dispatch.choose(make_problem(kernel, rows, inv_h, Z, row, wanted=derivatives, rtol=rtol), algorithm)


def engine_sums(engine, kernel, rows, inv_h, Z, row=None, *, derivatives=Wanted.VALUE, rtol=0.0, n_threads=1):
    """Sums by one of `dispatch.ENGINES`, by the name of its class; with error bounds, and not completed."""
    [engine] = [each for each in dispatch.ENGINES if type(each).__name__ == engine]
    problem = make_problem(kernel, rows, inv_h, Z, row, wanted=derivatives, rtol=rtol)
    with costs.using(choosing=0.0):
        chosen = engine.plan(problem)
    return engine.prepare(problem.rows, chosen).sums(problem.queries, n_threads)


def dense_sums(kernel, rows, inv_h, Z, row=None, **options):
    """`kernel_sums` over every pair."""
    return kernel_sums(kernel, rows, inv_h, Z, row, algorithm="dense", **options)


def window_sums(kernel, rows, inv_h, Z, row=None, *, derivatives=Wanted.VALUE, rtol=0.0, n_threads=1, visited=None):
    """Sums over the pairs within the cutoff, by sorted rows or boxes."""
    from sknw._core.within_reach.boxes import box_sums, boxes_of
    from sknw._core.within_reach.sorted_rows import sorted_sums

    problem, known = make_problem(kernel, rows, inv_h, Z, row, wanted=derivatives, rtol=rtol), {"visited": visited}
    args = (
        (problem.setting, problem.rows) if len(inv_h) == 1 else (problem.setting, problem.rows, boxes_of(problem.rows))
    )
    return (sorted_sums if len(inv_h) == 1 else box_sums)(*args, problem.queries, n_threads=n_threads, **known)


def neighbor_sums(kernel, rows, inv_h, first, last, *, derivatives=Wanted.VALUE, rtol=0.0, n_threads=1):
    """Sums of rows of one feature that are left out."""
    from sknw._core.within_reach.leave_one_out import leave_one_out_sums

    setting = Setting(kernel, read_only(inv_h), derivatives, rtol)
    return leave_one_out_sums(setting, rows.read_only(), first, last, n_threads=n_threads)


def sliding_sums(kernel, rows, inv_h, Z, row=None, *, derivatives=Wanted.VALUE, n_threads=1):
    """`engine_sums` of "Sliding", completed."""
    options = {"derivatives": derivatives, "algorithm": "sliding", "n_threads": n_threads}
    return kernel_sums(kernel, rows, inv_h, Z, row, **options)


def lay_out(rows, inv_h, Z, *, derivatives=Wanted.VALUE, rtol, most=np.inf):
    """Cells for some queries, or for all rows if Z is None."""
    setting = Setting("gaussian", read_only(inv_h), derivatives, rtol)
    return layout_of_setting(rows.read_only(), setting, len(rows.w) if Z is None else len(Z), most)


def fast_gauss_sums(rows, inv_h, Z, row, all_rows, *, derivatives=Wanted.VALUE, layout, rtol=1e-10, n_threads=1):
    """Sums in the cells of a layout, and the bounds of their errors."""
    problem = make_problem("gaussian", rows, inv_h, Z, row, wanted=derivatives, rtol=rtol)
    expansions = Expansions(problem.rows, problem.setting, layout)
    state = sums_of_expansions(expansions, problem.queries, n_threads=n_threads)
    return state, state.error[:, 0]


def kernel_sums_of_scales(kernel, rows, inv_h, Z, row=None, *, places, derivatives=Wanted.VALUE, rtol=0.0, n_threads=1):
    """`ladder_sums`."""
    from sknw._core.every_pair.ladder import ladder_sums

    return ladder_sums(make_problem(kernel, rows, inv_h, Z, row, wanted=derivatives, rtol=rtol), places, n_threads)


def kernel_weights(kernel, rows, inv_h, Z, row=None, *, n_threads=1):
    """`weights`."""
    from sknw._core.every_pair.weights import weights

    return weights(make_problem(kernel, rows, inv_h, Z, row), n_threads)


def pull_back(kernel, rows, inv_h, Z, row, offset, adjoints, *, derivatives, rtol=0.0, n_threads=1):
    """`adjoint.gradient`."""
    from sknw._core.every_pair.adjoint import gradient

    problem = make_problem(kernel, rows, inv_h, Z, row, wanted=derivatives, rtol=rtol)
    return gradient(problem, offset, adjoints, n_threads)


def few_sums(rows, inv_h, Z, row, *, derivatives=Wanted.VALUE):
    """The Gaussian by NumPy."""
    from sknw._core.every_pair.few_rows import few_sums

    return few_sums(rows, inv_h, Z, row, wanted=derivatives)


def takes_segments(kernel, rows, inv_h, queries=None, *, algorithm="auto", rtol=0.0, derivatives=Wanted.VALUE):
    """Whether squared errors are computed by segments."""
    settings = Settings(kernel, algorithm=algorithm, rtol=rtol)
    metric = Metric(np.arange(1), read_only(inv_h))
    return by_segments.plan(ErrorProblem(rows, metric, settings, derivatives, queries, None, True)) is not None


__all__ = ["Rows", "dense_sums", "engine_sums", "kernel_sums", "make_problem", "plan", "window_sums"]
