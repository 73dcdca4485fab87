r"""Which algorithm forms a sum: one function, to be read as a table.

==============  =====================================================  ============================================
algorithm       applies to                                             time, with n rows, m queries, d features
==============  =====================================================  ============================================
"dense"         any kernel, any number of features                     O(n m d)
"sliding"       one feature; all kernels but the Gaussian              O((n + m) log (n + m)), exact
"window"        up to eight features; all kernels but a user's         O(pairs within reach); exact where the kernel
                                                                       ends, to `rtol` where it never vanishes
"fast_gauss"    the Gaussian, one to three features, `rtol` >= 1e-13   O(n + m), to `rtol`
==============  =====================================================  ============================================

Costs are estimated in nanoseconds of one thread; the constants were fitted to measurements, and only their ratios
matter.
"""

import math
from typing import NamedTuple

from . import _fast_gauss
from ._islands import Islands
from ._order import MOST_FEATURES_IN_ORDER
from ._profiles import PROFILES
from ._rows import Derivatives

ALGORITHMS = ("dense", "sliding", "window", "fast_gauss")

# In nanoseconds: what a call costs before the first pair, a query that looks up its boxes, a row that looks at its
# neighbours, and a product of a series.
_START, _START_CELLS, _PER_QUERY, _PER_ROW, _PRODUCT = 1e4, 2e6, 320.0, 60.0, 0.25

#: Of a row whose segment is shorter than its window, over how many rows that holds; of one of some rows that are far
#: from each other, for each moment.
_PER_SEGMENT, _PER_WINDOW = 500.0, 400.0

#: Above this, squared distances are formed from products of matrices, if these have the digits that are asked for.
_FEW_FEATURES = 18

#: What pairs of the Gaussian's own loops cost beside others.
_BLOCKS = 0.65

#: How much longer than the looking up of windows alone all pairs take for these to be counted.
_WORTH_COUNTING = 2

#: So few rows are left out in turn in less time, all of them, than it takes to load compiled loops.
FEW_ROWS = 128

#: With fewer rows than that it is not worth what a call takes.
_FEWEST_BY_FEATURE = 128

#: Fewer pairs than these take less time than choosing.
_FEW_PAIRS = 2**18


class Plan(NamedTuple):
    """A choice of algorithm.

    Attributes
    ----------
    algorithm : str
    cost : float
        Estimated nanoseconds on one thread.
    layout : _fast_gauss.Layout or None
        The cells of "fast_gauss".
    islands : Islands or None
        What it is to be done one by one for.
    """

    algorithm: str
    cost: float
    layout: object = None
    islands: object = None


def check_applies(algorithm, kernel, d):
    """Raise if an algorithm that was asked for cannot form sums with a kernel in d features."""
    if algorithm == "sliding" and (d != 1 or callable(kernel) or kernel == "gaussian"):
        raise ValueError(
            "algorithm='sliding' needs a single feature and a kernel other than 'gaussian' or a profile of your own; "
            f"got {d} features and kernel={kernel!r}. Use algorithm='auto'."
        )
    if algorithm == "window" and (d > MOST_FEATURES_IN_ORDER or callable(kernel)):
        raise ValueError(
            f"algorithm='window' needs at most {MOST_FEATURES_IN_ORDER} features and a kernel of the package; got {d} "
            f"features and kernel={kernel!r}. Use algorithm='auto'."
        )
    if algorithm == "fast_gauss" and (d > _fast_gauss.MOST_FEATURES or kernel != "gaussian"):
        raise ValueError(
            f"algorithm='fast_gauss' needs kernel='gaussian' and at most {_fast_gauss.MOST_FEATURES} features; got "
            f"kernel={kernel!r} and {d} features. Use algorithm='auto'."
        )


def plan(kernel, rows, g, Zq, *, derivatives=Derivatives.NOTHING, algorithm="auto", rtol=0.0):
    """Choose how to form some sums.

    Parameters
    ----------
    kernel, rows, g, derivatives
        As in `kernel_sums`; rows of one feature in ascending order.
    Zq : ndarray of shape (m, d), or None
        None if the queries are the rows.
    algorithm : str
        One of `ALGORITHMS`, or "auto" for the one with the least estimated time.
    rtol : float

    Returns
    -------
    Plan

    Notes
    -----
    O(n + m) time, and less than the sums themselves.
    """
    (d, n), p = rows.Z.shape, len(rows.Y)
    m = n if Zq is None else len(Zq)
    blocks = _BLOCKS if takes_blocks(kernel, n, d, derivatives, rtol) else 1.0
    dense = Plan("dense", _START + n * m * blocks * _pair(d, p, derivatives))
    if kernel == "nearest":  # a question of the package's own, whatever the algorithm for the user's
        algorithm = "auto"
    if algorithm == "dense" or callable(kernel) or m == 0 or (n * m <= _FEW_PAIRS and algorithm == "auto"):
        return dense
    if algorithm == "window":  # whatever it costs
        return Plan("window", math.inf)
    candidates = [dense]
    slides = d == 1 and kernel not in ("gaussian", "nearest")
    if algorithm in ("auto", "sliding") and slides:
        k = _moments(kernel)
        candidates.append(Plan("sliding", _START + n * (10 + p * (3 + 6 * k)) + m * (15 + p * (8 + 25 * k))))
    # Neighbours of all rows need not be looked up.
    per_query, per_pair = _PER_ROW if d == 1 and Zq is None else _PER_QUERY, 2.0 if d == 1 else 1.2
    look_ups = 2 * _START + m * per_query * (1 + 0.5 * derivatives.count(d))
    # Where windows cannot save much, pairs are not counted: that takes some time, too.
    promising = algorithm != "auto" or dense.cost > _WORTH_COUNTING * look_ups
    if algorithm in ("auto", "fast_gauss") and d <= MOST_FEATURES_IN_ORDER and promising:
        from ._window import expected_pairs

        pairs = expected_pairs(kernel, rows, g, Zq, rtol=rtol)
        candidates.append(Plan("window", look_ups + pairs * per_pair * _pair(d, p, derivatives)))
    # To look for cells takes some of the time that they take at least.
    least = _START_CELLS + _PRODUCT * _fast_gauss.least_cost(n, m, p)
    promising = algorithm == "fast_gauss" or min(candidate.cost for candidate in candidates) > least
    if algorithm in ("auto", "fast_gauss") and kernel == "gaussian" and promising:
        rest = min(candidate.cost for candidate in candidates) - _START_CELLS if algorithm == "auto" else math.inf
        layout = _fast_gauss.lay_out(rows, g, Zq, derivatives=derivatives, rtol=rtol, most=rest / _PRODUCT)
        if layout is not None:
            candidates.append(Plan("fast_gauss", _START_CELLS + _PRODUCT * layout.cost, layout))
        far = layout is None and d == 1 and rtol >= _fast_gauss.LEAST_RTOL
        islands = Islands.of(rows.Z[0], g[0]) if far else None
        if islands:
            how = {"derivatives": derivatives, "algorithm": algorithm, "rtol": rtol}
            cost = sum(plan(kernel, part, g, None, **how).cost for part in islands.parts(rows))
            candidates.append(Plan("fast_gauss", cost * m / n, islands=islands))
    if algorithm != "auto":
        asked = [candidate for candidate in candidates if candidate.algorithm == algorithm]
        return asked[0] if asked else candidates[-1]
    return min(candidates, key=lambda candidate: candidate.cost)


def takes_segments(kernel, rows, g, Zq=None, *, derivatives=Derivatives.NOTHING, algorithm="dense", rtol=0.0):
    """Whether the squared leave-one-out errors of all rows, or some at Zq, are to be added up by segments.

    In one feature, of rows in ascending order. With `rtol` 0 they are made of the exact sums of each row.
    """
    n, p = len(rows.w), len(rows.Y)
    if len(g) != 1 or rtol <= 0 or algorithm not in ("auto", "sliding"):
        return False
    if callable(kernel) or PROFILES[kernel].powers is None or n >= 2**31:
        return False
    if algorithm == "sliding":
        return True
    if n * n <= _FEW_PAIRS:
        return False
    from ._window import rows_in_reach

    k = _moments(kernel)
    if Zq is None:
        # The shorter segments are, the more of them there are, and the fewer rows can be certain.
        per_segment = _PER_SEGMENT * (1 / rows_in_reach(kernel, rows, g, rows.Z.T, rtol=rtol)).mean()
        sides = 1 + PROFILES[kernel].powers[0] % 2
        cost = _START + n * (10 + p * (9 * sides * k + per_segment))
    else:
        cost = 2 * _START + p * k * (n + _PER_WINDOW * len(Zq))
    return cost < plan(kernel, rows, g, Zq, derivatives=derivatives, rtol=rtol).cost


def _moments(kernel):
    """How many sums a sliding one is made of."""
    if kernel in ("exponential", "cosine"):
        return {"exponential": 2, "cosine": 6}[kernel]  # as many as take that time
    b, a = PROFILES[kernel].powers
    return a * b + 1


def takes_blocks(kernel, n, d, derivatives, rtol):
    """Whether "dense" scales coordinates, not each difference, for a relative accuracy of `rtol`.

    Each query has the same answer whichever others are asked with it. Only where all rows are left out in turn, sums
    are added up in another order.
    """
    if derivatives == Derivatives.PAIRS or kernel != "gaussian" or rtol < _fast_gauss.LEAST_RTOL:
        return False
    if derivatives == Derivatives.FEATURES:  # compiled by itself either way
        return n >= _FEWEST_BY_FEATURE and not takes_matrices(kernel, d, rtol)
    return True


def takes_matrices(kernel, d, rtol):
    """Whether "dense" forms squared distances from products of matrices, of a relative accuracy of `rtol`.

    With few features loops are made for their number, and squares stay in registers: of differences, 0.08 ns for each
    feature, up to three, and from there on of inner products, 0.05 ns, if these have digits enough (`_distances.py`).
    With 18 features there are more numbers of a query than registers. A product of matrices takes 0.03 ns for each,
    and 0.2 ns for its way to memory and back. The Gaussian alone bears a rounding error that is not relative to s:
    others have an edge or a kink.
    """
    return kernel == "gaussian" and d > _FEW_FEATURES and rtol >= _fast_gauss.LEAST_RTOL


def worth_a_second_pass(d, derivatives):
    """Whether "dense" has a gradient from a second pass over all pairs, rather than from derivatives of each sum.

    A pass costs as much as the sums. The first has 0.3 ns for each derivative, one per feature or one per pair of them.
    """
    return derivatives == Derivatives.PAIRS or (derivatives == Derivatives.FEATURES and d > _FEW_FEATURES)


def _pair(d, p, derivatives):
    """Nanoseconds per pair."""
    features = 0.1 * d if d <= _FEW_FEATURES else 0.9 + 0.045 * d
    value = 0.7 + features + 0.12 * p
    if worth_a_second_pass(d, derivatives):
        return 2 * value + 0.5 + 0.05 * d
    return value + derivatives.count(d) * (0.12 + 0.14 * p)
