"""The engines over the pairs within the cutoff: costs, preparation and sums."""

import math

from .. import costs
from ..order import MOST_FEATURES_IN_ORDER
from ..problem import Plan, Prepared


class _WithinReach:
    """Base class: cost proportional to the number of pairs within the cutoff, plus the search."""

    name, exact = "window", True

    def _applies(self, problem):
        raise NotImplementedError

    def plan(self, problem, below=math.inf):
        """Estimate the number of pairs within the cutoff from a subsample of the queries.

        The estimate is skipped if the search alone costs too much compared with `below`.
        """
        setting, (_, m, d, p) = problem.setting, problem.sizes
        if callable(setting.kernel) or not self._applies(problem) or below < costs.now.choosing:
            return None
        look_ups = 2 * costs.now.call + m * self._look_up() * (1 + 0.5 * setting.wanted.count(d))
        if below <= costs.now.worth_looking * look_ups:
            return None
        from .reach import expected_pairs

        pair = self._pair() * costs.of_pair(d, p, setting.wanted)
        Zq = None if problem.queries.kind == "all" else problem.queries.Z
        pairs = expected_pairs(setting.kernel, problem.rows, setting.inv_h, Zq, rtol=setting.rtol)
        return Plan(self, look_ups + pairs * pair, setting)

    def prepare(self, rows, plan):
        """Keep the rows unchanged."""
        return Prepared(plan, rows)

    def is_worth_keeping(self, rows, plan):
        """True: prepared data is small."""
        return True

    def _look_up(self):
        return costs.now.look_up

    def _pair(self):
        return costs.now.pair_in_sorted_rows


class SortedRows(_WithinReach):
    """One feature: the rows within the cutoff of a query are consecutive."""

    def _applies(self, problem):
        return len(problem.setting.inv_h) == 1

    def sums(self, prepared, queries, n_threads):
        """Sums relative to the nearest row."""
        from .sorted_rows import sorted_sums

        return sorted_sums(prepared.plan.setting, prepared.rows, queries, n_threads=n_threads)


class LeaveOneOut(SortedRows):
    """One feature, leave-one-out sums of consecutive rows: vectorized over rows."""

    def _applies(self, problem):
        return super()._applies(problem) and problem.queries.kind in ("all", "run")

    def _look_up(self):
        return costs.now.look_up_of_row

    def sums(self, prepared, queries, n_threads):
        """Sums relative to the nearest row."""
        from .leave_one_out import leave_one_out_sums

        if queries.kind not in ("all", "run"):
            return super().sums(prepared, queries, n_threads)
        first = int(queries.row[0]) if len(queries.row) else 0
        setting, last = prepared.plan.setting, first + len(queries.row)
        return leave_one_out_sums(setting, prepared.rows, first, last, n_threads=n_threads)


class BoundingBoxes(_WithinReach):
    """Several features: tiles of rows within the cutoff, found by their bounding boxes."""

    def _applies(self, problem):
        return 2 <= len(problem.setting.inv_h) <= MOST_FEATURES_IN_ORDER

    def _pair(self):
        return costs.now.pair_in_boxes

    def prepare(self, rows, plan):
        """Compute the bounding boxes of tiles and of groups of tiles."""
        from .boxes import boxes_of

        return Prepared(plan, rows, boxes_of(rows))

    def sums(self, prepared, queries, n_threads):
        """Sums relative to the nearest row."""
        from .boxes import box_sums

        return box_sums(prepared.plan.setting, prepared.rows, prepared.data, queries, n_threads=n_threads)
