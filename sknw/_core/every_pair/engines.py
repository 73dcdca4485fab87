"""The engines over every pair: costs and sums."""

import math

from .. import costs
from ..problem import LEAST_RTOL, Plan, Prepared, Wanted
from .few_rows import few_sums


def takes_gaussian_loops(setting, n):
    """Whether the Gaussian loops apply: scaled coordinates, to a relative accuracy of `rtol`.

    The result of a query does not depend on the other queries.
    """
    kernel, _, wanted, rtol, _ = setting
    if wanted == Wanted.PAIRS or kernel != "gaussian" or rtol < LEAST_RTOL:
        return False
    if wanted == Wanted.FEATURES:  # these loops are compiled separately, which few rows are not worth
        return n >= costs.now.fewest_by_feature and not takes_matrices(setting)
    return True


def takes_matrices(setting):
    """Whether squared distances are computed by matrix products.

    With few features, loops are compiled for their number, and squares stay in registers. A feature takes 0.08 ns per
    pair by differences, which are used up to three features. It takes 0.05 ns by inner products, if these are accurate
    enough (see `coordinates`). From 18 features on, the coordinates of a query no longer fit into the registers. A
    matrix product takes 0.03 ns per feature, and 0.2 ns for writing and reading its result. Its rounding error is not
    relative to s. The Gaussian tolerates that; kernels with an edge or a kink do not.
    """
    return setting.kernel == "gaussian" and len(setting.inv_h) > costs.MOST_IN_REGISTERS and setting.rtol >= LEAST_RTOL


class _EveryPair:
    """Base class: linear cost in the number of pairs, no preparation."""

    name, exact = "dense", False

    def prepare(self, rows, plan):
        """Keep the rows unchanged."""
        return Prepared(plan, rows)

    def is_worth_keeping(self, rows, plan):
        """False: nothing is prepared."""
        return False

    def _plan(self, problem, share):
        n, m, d, p = problem.sizes
        cost = costs.now.call + share * n * m * costs.of_pair(d, p, problem.setting.wanted)
        return Plan(self, cost, problem.setting)


class FewRows(_EveryPair):
    """The Gaussian over few pairs, by NumPy, in less time than loading the compiled loops."""

    exact = True

    def plan(self, problem, below=math.inf):
        """Cost 0 for leave-one-out sums over few pairs; None otherwise."""
        n, m, _, _ = problem.sizes
        applies = problem.setting.kernel == "gaussian" and not problem.setting.wanted.by_coordinate
        if not applies or problem.queries.kind == "new" or n * m > costs.now.few_pairs:
            return None
        return Plan(self, 0.0, problem.setting)

    def sums(self, prepared, queries, n_threads):
        """Sums relative to the nearest row."""
        _, inv_h, wanted, _, _ = prepared.plan.setting
        return few_sums(prepared.rows, inv_h, queries.Z, queries.rows_for_loops(), wanted=wanted)


class Tiles(_EveryPair):
    """Any kernel and any accuracy; sums relative to the nearest row."""

    exact = True

    def plan(self, problem, below=math.inf):
        """Always applies."""
        return self._plan(problem, 1.0)

    def sums(self, prepared, queries, n_threads):
        """Sums by tiles of rows that fit into the first-level cache."""
        from .tiles import tile_sums

        kernel, inv_h, wanted, _, _ = prepared.plan.setting
        return tile_sums(kernel, prepared.rows, inv_h, queries, wanted=wanted, n_threads=n_threads)


class Gaussian(_EveryPair):
    """The Gaussian in fewer operations, optionally in float32.

    Queries far from the training rows, or far from their middle, are uncertain.
    """

    def plan(self, problem, below=math.inf):
        """Requires an `rtol` above rounding errors."""
        if not takes_gaussian_loops(problem.setting, len(problem.rows.w)):
            return None
        return self._plan(problem, costs.now.gaussian)

    def sums(self, prepared, queries, n_threads):
        """Sums with offset 0."""
        from .gaussian import gaussian_sums

        by_matrices = takes_matrices(prepared.plan.setting)
        return gaussian_sums(
            prepared.rows, prepared.plan.setting, queries, by_matrices=by_matrices, n_threads=n_threads
        )


class Symmetric(_EveryPair):
    """Leave-one-out sums of the Gaussian, with each pair computed once for both of its rows."""

    def plan(self, problem, below=math.inf):
        """Requires all rows near their middle, so that squared distances are accurate enough."""
        setting, rows = problem.setting, problem.rows
        if problem.queries.kind != "all" or setting.wanted == Wanted.FEATURES or setting.single:
            return None
        if not takes_gaussian_loops(setting, len(rows.w)):
            return None
        plan = self._plan(problem, costs.now.symmetric)
        if not plan.cost < below:
            return None
        from .symmetric import has_digits

        return plan if has_digits(rows, setting, by_matrices=takes_matrices(setting)) else None

    def sums(self, prepared, queries, n_threads):
        """Sums with offset 0 for all rows, by pairs of panels."""
        from .symmetric import symmetric_sums

        by_matrices = takes_matrices(prepared.plan.setting)
        return symmetric_sums(prepared.rows, prepared.plan.setting, by_matrices=by_matrices, n_threads=n_threads)
