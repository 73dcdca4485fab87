"""Choosing a bandwidth: rules of thumb, a global search of one factor, and descent along the gradient.

Plain functions that return a `Selection`. All of them start from a reference shape, the spread of each feature (or
their root mean square), and speak of the factor c that it is multiplied by::

    descend                 _descent.py      within a family, along the gradient, from several starts
       |
       +-- eliminate        _elimination.py  features that do not matter
       +-- cross_validate   _shrinkage.py    how far a descent may go
       |      |
       |      +-- lbfgs     _lbfgs.py        one descent
       +-- Adam             _adam.py         one descent by mini-batches
       +-- Diagonal, Full   _families.py     bandwidths as vectors without constraints
       |
    search                  _search.py       one factor, among all
       |
       +-- Screen           _screen.py       which ones are certainly worse, of very many rows
       |
    rule_of_thumb           _rules.py        spreads, and what follows from them alone
       |
    Selection, Objective    _selection.py    a criterion as a function of the bandwidth, and what comes of it
"""

from .descent.adam import Adam
from .descent.descent import descend
from .objective import Objective
from .rules import rule_of_thumb, spreads
from .search.search import search
from .selection import Selection, brief, local_minima

__all__ = ["Adam", "Objective", "Selection", "brief", "descend", "local_minima", "rule_of_thumb", "search", "spreads"]
