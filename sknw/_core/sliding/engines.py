"""The engine of sliding sums: what it costs, and which loops it calls."""

import math

from .. import costs
from ..kernels import KERNELS
from ..problem import Plan, Prepared


class Sliding:
    """One feature, every kernel but the Gaussian: sums that move along with the query."""

    name, exact = "sliding", False

    def plan(self, problem, below=math.inf):
        """In proportion to rows, queries and moments."""
        kernel, (n, m, d, p), c = problem.setting.kernel, problem.sizes, costs.now
        if d != 1 or callable(kernel) or kernel in ("gaussian", "nearest") or below < c.choosing:
            return None
        k = moments_of(kernel)
        rows = n * (c.sliding_row + p * (c.sliding_row_output + c.sliding_row_moment * k))
        queries = m * (c.sliding_query + p * (c.sliding_query_output + c.sliding_query_moment * k))
        return Plan(self, c.call + rows + queries, problem.setting)

    def prepare(self, rows, plan):
        """Cut the rows into blocks as wide as the support."""
        from .sums import blocks_of_rows

        return Prepared(plan, rows, blocks_of_rows(plan.setting, rows))

    def is_worth_keeping(self, rows, plan):
        """Each call takes a time in proportion to the rows."""
        return False

    def sums(self, prepared, queries, n_threads):
        """Exact sums; of training rows only at their places."""
        from .sums import sliding_sums

        return sliding_sums(prepared.plan.setting, prepared.rows, prepared.data, queries, n_threads=n_threads)


def moments_of(kernel):
    """Number of moments of a sum, or as many as take the same time."""
    if kernel in ("exponential", "cosine"):
        return {"exponential": 2, "cosine": 6}[kernel]
    b, a = KERNELS[kernel].powers
    return a * b + 1
