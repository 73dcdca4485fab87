"""The engine of sliding sums: costs, preparation and sums."""

import math

from .. import costs
from ..kernels import KERNELS
from ..problem import Plan, Prepared


class Sliding:
    """One feature, built-in kernels except the Gaussian: sums over windows of sorted rows."""

    name, exact = "sliding", False

    def plan(self, problem, below=math.inf):
        """Cost linear in the numbers of rows, queries and moments."""
        kernel, (n, m, d, p), c = problem.setting.kernel, problem.sizes, costs.now
        if d != 1 or callable(kernel) or kernel in ("gaussian", "nearest") or below < c.choosing:
            return None
        k = moments_of(kernel)
        rows = n * (c.sliding_row + p * (c.sliding_row_output + c.sliding_row_moment * k))
        queries = m * (c.sliding_query + p * (c.sliding_query_output + c.sliding_query_moment * k))
        return Plan(self, c.call + rows + queries, problem.setting)

    def prepare(self, rows, plan):
        """Cut the rows into blocks as wide as the support radius."""
        from .sums import blocks_of_rows

        return Prepared(plan, rows, blocks_of_rows(plan.setting, rows))

    def is_worth_keeping(self, rows, plan):
        """False: each call takes time proportional to the number of rows."""
        return False

    def sums(self, prepared, queries, n_threads):
        """Exact sums; queries that differ from their training row are uncertain."""
        from .sums import sliding_sums

        return sliding_sums(prepared.plan.setting, prepared.rows, prepared.data, queries, n_threads=n_threads)


def moments_of(kernel):
    """Number of moments per sum that determines the cost for a kernel."""
    if kernel in ("exponential", "cosine"):
        return {"exponential": 2, "cosine": 6}[kernel]
    b, a = KERNELS[kernel].powers
    return a * b + 1
