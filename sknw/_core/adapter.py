"""The functions of the core with arrays as arguments."""

import numpy as np

from . import dispatch
from .dispatch import choose
from .problem import Problem, Queries, Setting, Wanted, are_all, read_only


def _problem(kernel, rows, g, Zq, own, derivatives=Wanted.VALUE, rtol=0.0, single=False):
    rows = rows.read_only()
    if own is None:
        queries = Queries(read_only(Zq))
    elif are_all(own, len(rows.w)):
        queries = Queries(read_only(Zq), read_only(own, np.int64), "all")
    else:
        own = read_only(own, np.int64)
        run = len(own) and own[0] >= 0 and own[-1] - own[0] == len(own) - 1 and (np.diff(own) == 1).all()
        queries = Queries(read_only(Zq), own, "run" if run else "some")
    return Problem(Setting(kernel, read_only(g), derivatives, rtol, single), rows, queries)


def kernel_sums(
    kernel,
    rows,
    g,
    Zq,
    own=None,
    *,
    derivatives=Wanted.VALUE,
    algorithm="dense",
    rtol=0.0,
    single=False,
    in_order=False,
    n_threads=1,
):
    problem = _problem(kernel, rows, g, Zq, own, derivatives, rtol, single)
    return dispatch.kernel_sums(problem, algorithm, n_threads=n_threads)


def kernel_sums_of_scales(kernel, rows, g, Zq, own=None, *, places, derivatives=Wanted.VALUE, rtol=0.0, n_threads=1):
    from .every_pair.ladder import ladder_sums

    return ladder_sums(_problem(kernel, rows, g, Zq, own, derivatives, rtol), places, n_threads)


def kernel_weights(kernel, rows, g, Zq, own=None, *, n_threads=1):
    from .every_pair.weights import weights

    return weights(_problem(kernel, rows, g, Zq, own), n_threads)


def pull_back(kernel, rows, g, Zq, own, shift, adjoints, *, derivatives, rtol=0.0, n_threads=1):
    from .every_pair.adjoint import gradient

    return gradient(_problem(kernel, rows, g, Zq, own, derivatives, rtol), shift, adjoints, n_threads)


def nearest_squares(Z, *, n_threads=1):
    from . import costs
    from .every_pair.few_rows import few_sums

    if len(Z) ** 2 <= costs.now.few_pairs:
        n, d = Z.shape
        problem = _problem("gaussian", type_of_rows(Z), np.ones(d), Z, np.arange(n))
        return few_sums(problem.rows, problem.setting.inv_h, Z, np.arange(n), wanted=Wanted.VALUE).offset
    from .every_pair.tiles import nearest_squares

    return nearest_squares(Z, n_threads=n_threads)


def type_of_rows(Z):
    from .problem import Rows

    n = len(Z)
    return Rows(*map(read_only, (Z.T, np.zeros((1, n)), np.ones(n), np.zeros(n))))


def times_matrix(Z, G):
    from .every_pair.coordinates import times_matrix

    return times_matrix(Z, G)


def _all(kernel, rows, g, derivatives, rtol):
    problem, _ = dispatch.in_ascending_order(
        _problem(kernel, rows, g, rows.Z.T, np.arange(len(rows.w)), derivatives, rtol)
    )
    return problem


def plan(kernel, rows, g, Zq, *, derivatives=Wanted.VALUE, algorithm="auto", rtol=0.0):
    own = np.arange(len(rows.w)) if Zq is None else None
    return choose(_problem(kernel, rows, g, rows.Z.T if Zq is None else Zq, own, derivatives, rtol), algorithm)


def goes_backward(kernel, rows, g, *, derivatives, algorithm="dense", rtol=0.0, **_):
    """Whether a gradient over all rows takes less time by `pull_back` than by the derivatives of each sum."""
    from .costs import worth_a_second_pass

    if not len(g) or not worth_a_second_pass(len(g), derivatives):
        return False
    return choose(_all(kernel, rows, g, derivatives, rtol), algorithm).engine.name == "dense"


def chosen_algorithm(kernel, rows, g, *, derivatives=Wanted.VALUE, algorithm="dense", rtol=0.0, in_order=False, **_):
    """Name of the algorithm that leaves each row out in turn."""
    if not len(g):
        return "mean"
    return choose(_all(kernel, rows, g, derivatives, rtol), algorithm).engine.name


def takes_linear_time(kernel, rows, g, *, algorithm, rtol):
    """Whether leaving each row out in turn takes a time in proportion to the rows, however many a window holds."""
    import math

    from .problem import LEAST_RTOL

    if not len(g):
        return True
    if callable(kernel) or algorithm in ("dense", "window"):
        return False
    if len(g) == 1:  # what is not summed up by cells or sliding, has windows of so few rows that this takes less time
        return kernel != "gaussian" or rtol >= LEAST_RTOL
    layout = choose(_all(kernel, rows, g, Wanted.VALUE, rtol), algorithm).layout if kernel == "gaussian" else None
    return layout is not None and math.prod(axis.length for axis in layout.axes) <= len(rows.w) / _PER_CELL


#: Cells of fewer rows than that take more time, and memory, than in proportion to the rows.
_PER_CELL = 32


class Neighbours:
    def __init__(self, kernel, rows, g, *, derivatives, rtol=0.0):
        self.args = Setting(kernel, read_only(g), derivatives, rtol), rows.read_only()

    def sums(self, first, last, n_threads=1):
        from .within_reach.leave_one_out import leave_one_out_sums

        return leave_one_out_sums(*self.args, first, last, n_threads=n_threads)


def neighbours_of(kernel, rows, g, **how):
    return Neighbours(kernel, rows, g, **how)


def takes_segments(kernel, rows, g, Zq=None, *, derivatives=Wanted.VALUE, algorithm="dense", rtol=0.0):
    """Whether the squared leave-one-out errors of all rows, or some at Zq, are to be added up by segments.

    In one feature, of rows in ascending order. With `rtol` 0 they are made of the exact sums of each row.
    """
    from . import costs
    from .kernels import PROFILES
    from .sliding.engines import moments_of

    n, p, c = len(rows.w), len(rows.Y), costs.now
    if len(g) != 1 or rtol <= 0 or algorithm not in ("auto", "sliding"):
        return False
    if callable(kernel) or PROFILES[kernel].powers is None or n >= 2**31:
        return False
    if algorithm == "sliding":
        return True
    if n * n <= 2**18:
        return False
    from .within_reach.reach import rows_in_reach

    k = moments_of(kernel)
    if Zq is None:
        # The shorter segments are, the more of them there are, and the fewer rows can be certain.
        per_segment = c.segment * (1 / rows_in_reach(kernel, rows, g, rows.Z.T, rtol=rtol)).mean()
        sides = 1 + PROFILES[kernel].powers[0] % 2
        cost = c.call + n * (c.sliding_row + p * (c.segment_moment * sides * k + per_segment))
    else:
        cost = 2 * c.call + p * k * (n + c.window_of_row * len(Zq))
    return cost < plan(kernel, rows, g, Zq, derivatives=derivatives, rtol=rtol).cost
