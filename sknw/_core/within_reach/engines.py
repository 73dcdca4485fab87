"""The engines that visit the pairs within the cutoff: what they cost, and which loops they call."""

import math

from .. import costs
from ..order import MOST_FEATURES_IN_ORDER
from ..problem import Plan, Prepared


class _WithinReach:
    """Plan of engines whose cost is that of the pairs within the cutoff, and of finding these."""

    name, exact = "window", True

    def _applies(self, problem):
        raise NotImplementedError

    def plan(self, problem, below=math.inf):
        """The pairs within the cutoff are estimated from some of the queries, unless these can hardly be fewer."""
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
        """Keep the rows as they are."""
        return Prepared(plan, rows)

    def is_worth_keeping(self, rows, plan):
        """Boxes are few numbers."""
        return True

    def _look_up(self):
        return costs.now.look_up

    def _pair(self):
        return costs.now.pair_in_sorted_rows


class SortedRows(_WithinReach):
    """One feature: the rows within the cutoff of a query follow each other."""

    def _applies(self, problem):
        return len(problem.setting.inv_h) == 1

    def sums(self, prepared, queries, n_threads):
        """Sums relative to the nearest row."""
        from .sorted_rows import sorted_sums

        return sorted_sums(prepared.plan.setting, prepared.rows, queries, n_threads=n_threads)


class LeaveOneOut(SortedRows):
    """One feature, rows that follow each other: each meets its neighbors in vectors of several rows."""

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
    """Several features: tiles of rows within the cutoff, by their bounding boxes."""

    def _applies(self, problem):
        return 2 <= len(problem.setting.inv_h) <= MOST_FEATURES_IN_ORDER

    def _pair(self):
        return costs.now.pair_in_boxes

    def prepare(self, rows, plan):
        """Form the bounding boxes."""
        from .boxes import boxes_of

        return Prepared(plan, rows, boxes_of(rows))

    def sums(self, prepared, queries, n_threads):
        """Sums relative to the nearest row."""
        from .boxes import box_sums

        return box_sums(prepared.plan.setting, prepared.rows, prepared.data, queries, n_threads=n_threads)
