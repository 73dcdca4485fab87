"""What engines cost: every fitted constant, in one table.

Engines estimate nanoseconds of one thread from these; only ratios matter. `python benchmarks/plan.py --fit` writes the
numbers from the measured times beside it, and a test requires that no choice takes twice as long as the best.
"""

import contextlib
import dataclasses

from .problem import Wanted


@dataclasses.dataclass(frozen=True)
class Costs:
    """Costs in nanoseconds of one thread, if not stated otherwise."""

    # A call before its first pair, and one of cells.
    call: float = 1e4
    call_of_cells: float = 2e6
    # A pair over every pair: itself, each feature in registers, all features by a matrix product, each output.
    pair: float = 0.7
    feature: float = 0.1
    features_by_matrices: float = 0.9
    feature_by_matrices: float = 0.045
    output: float = 0.12
    # Each derivative of a pair, and each output of it; the second pass of reverse mode, and each feature in it.
    derivative: float = 0.12
    derivative_of_output: float = 0.14
    reverse: float = 0.5
    reverse_feature: float = 0.05
    # Share of that of the loops of the Gaussian alone, and of those that visit each pair once.
    gaussian: float = 0.65
    symmetric: float = 0.64
    # A query that looks up what is within its cutoff; the same of a row in sorted rows; a pair within, as a multiple.
    look_up: float = 320.0
    look_up_of_row: float = 60.0
    pair_in_sorted_rows: float = 2.0
    pair_in_boxes: float = 1.2
    # Sliding sums: a row, each output of it, each moment of that; the same of a query.
    sliding_row: float = 10.0
    sliding_row_output: float = 3.0
    sliding_row_moment: float = 6.0
    sliding_query: float = 15.0
    sliding_query_output: float = 8.0
    sliding_query_moment: float = 25.0
    # A multiplication with addition of cells, and how many of these it takes to find the cell of a point.
    product: float = 0.25
    products_of_point: float = 40.0
    # Segments: each moment of a row; a segment that is shorter than its window, over how many rows it has; each moment
    # of the window of a single row.
    segment_moment: float = 9.0
    segment: float = 500.0
    window_of_row: float = 400.0
    # Nodes of cells that take as long as a row does otherwise, with one, two and three features.
    nodes_of_row: tuple = (1, 2, 24)
    # Pairs, in number, that NumPy visits in less time than compiled loops take to load.
    few_pairs: int = 128**2
    # Rows, in number, from which derivatives by feature have loops of their own.
    fewest_by_feature: int = 128
    # Below this cost no other engine is considered: choosing takes as long.
    choosing: float = 2e5
    # Engines that look for pairs within cutoffs or for cells are considered if others cost this many times as much.
    worth_looking: float = 2.0


now = Costs()


@contextlib.contextmanager
def using(**changes):
    """Change some costs within a context; for tests."""
    global now
    before, now = now, dataclasses.replace(now, **changes)
    try:
        yield now
    finally:
        now = before


#: From this many features on, squared distances are products of matrices where these have the digits that are wanted.
#: Below, loops are made for the number of features, and squares stay in registers.
MOST_IN_REGISTERS = 18


def worth_a_second_pass(d, wanted):
    """Whether a gradient over every pair takes less time by a second pass than by derivatives of each sum."""
    return wanted == Wanted.PAIRS or (wanted == Wanted.FEATURES and d > MOST_IN_REGISTERS)


def of_pair(d, p, wanted):
    """Nanoseconds of a pair over every pair, of any kernel."""
    by_registers = d <= MOST_IN_REGISTERS
    features = now.feature * d if by_registers else now.features_by_matrices + now.feature_by_matrices * d
    value = now.pair + features + now.output * p
    if worth_a_second_pass(d, wanted):
        return 2 * value + now.reverse + now.reverse_feature * d
    return value + wanted.count(d) * (now.derivative + now.derivative_of_output * p)


#: Beyond this rung of a ladder, the least weight that squares may have is no longer nothing, times squared distances.
LAST_PLACE = 300
