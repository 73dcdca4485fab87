"""Choosing a bandwidth: rules of thumb, a global search of one factor, and descent along the gradient.

Functions that return a `Selection`. All of them start from a reference shape, the spread of each feature (or their root
mean square), and multiply it by a factor c::

    descent/descent         descents within a family, along the gradient, from several starts
        elimination         irrelevant features
        shrinkage           cross-validation of the penalty
        lbfgs, adam         one descent; by mini-batches
        families            bandwidths as vectors without constraints
    search/search           the global search of one factor
        grid                where it begins
        curve               the criterion as a function of log c
        refine              minima, ties and plateaus
    screen                  bandwidths that a subsample rules out
    objective               a criterion as a function of the bandwidth
    rules                   spreads, and rules of thumb
    selection               the result
"""

from .descent.adam import Adam
from .descent.descent import descend
from .objective import Objective
from .rules import rule_of_thumb, spreads
from .search.search import search
from .selection import Selection, brief, local_minima

__all__ = ["Adam", "Objective", "Selection", "brief", "descend", "local_minima", "rule_of_thumb", "search", "spreads"]
