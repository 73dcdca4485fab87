"""The engines that visit every pair: what they cost, and which loops they call."""

import math

from .. import costs
from ..problem import LEAST_RTOL, Plan, Prepared, Wanted
from .few_rows import few_sums


def takes_gaussian_loops(setting, n):
    """Whether the Gaussian's own loops apply: coordinates are scaled before they are subtracted, to `rtol`.

    Each query has the same answer whichever others are computed with it.
    """
    kernel, _, wanted, rtol, _ = setting
    if wanted == Wanted.PAIRS or kernel != "gaussian" or rtol < LEAST_RTOL:
        return False
    if wanted == Wanted.FEATURES:  # compiled by itself either way
        return n >= costs.now.fewest_by_feature and not takes_matrices(setting)
    return True


def takes_matrices(setting):
    """Whether squared distances follow from products of matrices.

    With few features loops are made for their number, and squares stay in registers: of differences, 0.08 ns for each
    feature, up to three, and from there on of inner products, 0.05 ns, if these have digits enough (`distances.py`).
    With 18 features there are more numbers of a query than registers. A product of matrices takes 0.03 ns for each,
    and 0.2 ns for its way to memory and back. The Gaussian alone tolerates a rounding error that is not relative to s:
    other kernels have an edge or a kink.
    """
    return setting.kernel == "gaussian" and len(setting.inv_h) > costs.MOST_IN_REGISTERS and setting.rtol >= LEAST_RTOL


class _EveryPair:
    """Plan and preparation of engines that need no preparation."""

    name, exact = "dense", False

    def prepare(self, rows, plan):
        """Keep the rows as they are."""
        return Prepared(plan, rows)

    def is_worth_keeping(self, rows, plan):
        """There is nothing to keep."""
        return False

    def _plan(self, problem, share):
        n, m, d, p = problem.sizes
        cost = costs.now.call + share * n * m * costs.of_pair(d, p, problem.setting.wanted)
        return Plan(self, cost, problem.setting)


class FewRows(_EveryPair):
    """The Gaussian over few pairs, by NumPy: all of them take less time than compiled loops take to load."""

    exact = True

    def plan(self, problem, below=math.inf):
        """Free of cost where it applies: to training rows that are left out, with few pairs."""
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
    """Any kernel, sums relative to the nearest row."""

    exact = True

    def plan(self, problem, below=math.inf):
        """Always applies."""
        return self._plan(problem, 1.0)

    def sums(self, prepared, queries, n_threads):
        """Sums in tiles of rows that stay in the cache."""
        from .tiles import tile_sums

        kernel, inv_h, wanted, _, _ = prepared.plan.setting
        return tile_sums(kernel, prepared.rows, inv_h, queries, wanted=wanted, n_threads=n_threads)


class Gaussian(_EveryPair):
    """The Gaussian in fewer operations, in float32 too; queries far from the rows or their middle are uncertain."""

    def plan(self, problem, below=math.inf):
        """For a relative accuracy that is not that of rounding."""
        if not takes_gaussian_loops(problem.setting, len(problem.rows.w)):
            return None
        return self._plan(problem, costs.now.gaussian)

    def sums(self, prepared, queries, n_threads):
        """Sums relative to s = 0."""
        from .gaussian import gaussian_sums

        by_matrices = takes_matrices(prepared.plan.setting)
        return gaussian_sums(
            prepared.rows, prepared.plan.setting, queries, by_matrices=by_matrices, n_threads=n_threads
        )


class Symmetric(_EveryPair):
    """The Gaussian between all rows, each of which is left out: every pair once, for both of its rows."""

    def plan(self, problem, below=math.inf):
        """Where all rows are near their middle, so that squared distances have digits enough."""
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
        """Sums relative to s = 0 for all rows, in panels that meet each other once."""
        from .symmetric import symmetric_sums

        by_matrices = takes_matrices(prepared.plan.setting)
        return symmetric_sums(prepared.rows, prepared.plan.setting, by_matrices=by_matrices, n_threads=n_threads)
