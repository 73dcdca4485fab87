"""Cost model of the engines: all fitted constants, in one table.

Engines estimate nanoseconds on one thread from these constants; only ratios matter. ``python benchmarks/plan.py --fit``
writes them from measured times. A test requires that no choice takes twice as long as the best one.
"""

import contextlib
import dataclasses

from .problem import Wanted


@dataclasses.dataclass(frozen=True)
class Costs:
    """Fitted constants, in nanoseconds on one thread unless stated otherwise."""

    # Fixed cost of a call, and of a call of the fast Gauss transform.
    call: float = 1e4
    call_of_cells: float = 2e6
    # Engines over every pair: a pair, each feature in registers, matrix products, each feature of these, each output.
    pair: float = 0.7
    feature: float = 0.1
    features_by_matrices: float = 0.9
    feature_by_matrices: float = 0.045
    output: float = 0.12
    # Each derivative of a pair, and each output of it; the second pass of reverse mode, and each feature in that.
    derivative: float = 0.12
    derivative_of_output: float = 0.14
    reverse: float = 0.5
    reverse_feature: float = 0.05
    # Cost of the Gaussian loops, and of those that visit each pair once, as a fraction of the general ones.
    gaussian: float = 0.65
    symmetric: float = 0.64
    # Searching the rows within the cutoff of a query, and of a training row among sorted rows. A pair within the
    # cutoff, as a multiple of one over every pair.
    look_up: float = 320.0
    look_up_of_row: float = 60.0
    pair_in_sorted_rows: float = 2.0
    pair_in_boxes: float = 1.2
    # Sliding sums: a row, each output of it, each moment of that; the same for a query.
    sliding_row: float = 10.0
    sliding_row_output: float = 3.0
    sliding_row_moment: float = 6.0
    sliding_query: float = 15.0
    sliding_query_output: float = 8.0
    sliding_query_moment: float = 25.0
    # Fast Gauss transform: a multiplication with addition, and finding the cell of a point, in such multiplications.
    product: float = 0.25
    products_of_point: float = 40.0
    # Segments: each moment of a row; a segment that is shorter than its window, divided by its number of rows; each
    # moment of the window of a single row.
    segment_moment: float = 9.0
    segment: float = 500.0
    window_of_row: float = 400.0
    # Number of Chebyshev nodes that cost as much as a row does otherwise, with one, two and three features.
    nodes_of_row: tuple = (1, 2, 24)
    # Number of pairs up to which NumPy takes less time than loading the compiled loops.
    few_pairs: int = 128**2
    # Number of rows from which the Gaussian loops are used for derivatives by feature.
    fewest_by_feature: int = 128
    # Cost below which no other engine is considered: planning takes as long.
    choosing: float = 2e5
    # Engines that search for pairs or cells are considered only if the best plan costs this many times the search.
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


#: Number of features up to which loops are compiled for that number and keep squares in registers. With more features,
#: squared distances are matrix products, where these are accurate enough.
MOST_IN_REGISTERS = 18


def worth_a_second_pass(d, wanted):
    """Whether reverse mode is faster for a gradient than derivatives of each sum."""
    return wanted == Wanted.PAIRS or (wanted == Wanted.FEATURES and d > MOST_IN_REGISTERS)


def of_pair(d, p, wanted):
    """Nanoseconds per pair of the general loops over every pair."""
    by_registers = d <= MOST_IN_REGISTERS
    features = now.feature * d if by_registers else now.features_by_matrices + now.feature_by_matrices * d
    value = now.pair + features + now.output * p
    if worth_a_second_pass(d, wanted):
        return 2 * value + now.reverse + now.reverse_feature * d
    return value + wanted.count(d) * (now.derivative + now.derivative_of_output * p)


#: Highest rung of a ladder. Beyond it, the smallest weight that squaring keeps is no longer negligible once it is
#: multiplied by squared distances.
LAST_RUNG = 300
