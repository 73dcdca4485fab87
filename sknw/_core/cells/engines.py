"""The engine of the fast Gauss transform: costs, preparation and sums."""

import math

from .. import costs
from ..problem import LEAST_RTOL, Plan, Prepared
from .fast_gauss import MOST_FEATURES, Expansions, fast_gauss_sums, lay_out, least_cost

#: Number of coefficients that is always worth keeping: 8 MiB.
_FEW_NUMBERS = 2**20


class FastGauss:
    """The Gaussian in one to three features, by polynomials of cells.

    Queries outside of the cells are uncertain.
    """

    name, exact = "fast_gauss", False

    def plan(self, problem, below=math.inf):
        """Lay out cells, unless even the cheapest sums would cost more than `below`.

        The layout is part of the plan, because finding it takes a good part of the time of the sums.
        """
        setting, (n, m, d, p), c = problem.setting, problem.sizes, costs.now
        if setting.kernel != "gaussian" or d > MOST_FEATURES or setting.rtol < LEAST_RTOL or below < c.choosing:
            return None
        if not c.call_of_cells + c.product * least_cost(n, m, p) < below:
            return None
        layout = lay_out(problem.rows, setting, m, (below - c.call_of_cells) / c.product)
        return None if layout is None else Plan(self, c.call_of_cells + c.product * layout.cost, setting, layout)

    def prepare(self, rows, plan):
        """Keep the cells; their polynomials are computed at the first call."""
        return Prepared(plan, rows, Expansions(rows, plan.setting, plan.layout))

    def is_worth_keeping(self, rows, plan):
        """Whether the polynomials take less memory than the rows, or little."""
        return plan.layout.n_coefficients * (1 + len(rows.Y)) <= max(_FEW_NUMBERS, rows.Z.size + rows.Y.size)

    def sums(self, prepared, queries, n_threads):
        """Sums with offset 0."""
        return fast_gauss_sums(prepared.data, queries, n_threads=n_threads)
