"""The engine of the fast Gauss transform: what it costs, what it prepares, and which loops it calls."""

import math

from .. import costs
from ..problem import LEAST_RTOL, Plan, Prepared
from .fast_gauss import MOST_FEATURES, Expansions, fast_gauss_sums, lay_out, least_cost

#: So many numbers are kept, however few rows there are: 8 MiB.
_FEW_NUMBERS = 2**20


class FastGauss:
    """The Gaussian in one to three features, by polynomials of cells; queries outside of these are uncertain."""

    name, exact = "fast_gauss", False

    def plan(self, problem, below=math.inf):
        """To look for cells takes some of the time that they take at least."""
        setting, (n, m, d, p), c = problem.setting, problem.sizes, costs.now
        if setting.kernel != "gaussian" or d > MOST_FEATURES or setting.rtol < LEAST_RTOL or below < c.choosing:
            return None
        if not c.call_of_cells + c.product * least_cost(n, m, p) < below:
            return None
        layout = lay_out(problem.rows, setting, m, (below - c.call_of_cells) / c.product)
        return None if layout is None else Plan(self, c.call_of_cells + c.product * layout.cost, setting, layout)

    def prepare(self, rows, plan):
        """Keep the cells; polynomials are computed at the first call."""
        return Prepared(plan, rows, Expansions(rows, plan.setting, plan.layout))

    def is_worth_keeping(self, rows, plan):
        """Where polynomials are fewer numbers than the rows, or few."""
        return plan.layout.n_coefficients * (1 + len(rows.Y)) <= max(_FEW_NUMBERS, rows.Z.size + rows.Y.size)

    def sums(self, prepared, queries, n_threads):
        """Sums relative to s = 0."""
        return fast_gauss_sums(prepared.data, queries, n_threads=n_threads)
