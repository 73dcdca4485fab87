"""Sums over training rows, and nothing else: the core computes sums, the layers above divide and decide.

Nothing here knows a parameter of the estimator, a warning, or scikit-learn, and importing it does not import numba::

    kernel_sums, kernel_weights        _sums.py      all queries, by blocks on threads
        |             |
        |             +-- run_blocks   _threads.py   our own threads
        +-- add_rows, fill_weights     _dense.py     every pair, compiled
                |             |
                |             +-- exp2 _jit.py       numba's options, the exponential
                +-- Rows, State        _rows.py      what goes in, what comes out
                +-- PROFILES           _profiles.py  the kernels
"""

from ._profiles import PROFILES, canonical_factor
from ._rows import SMALLEST_MASS, Derivatives, Rows, State, read_only
from ._sums import kernel_sums, kernel_weights
from ._threads import available_threads

__all__ = [
    "PROFILES",
    "SMALLEST_MASS",
    "Derivatives",
    "Rows",
    "State",
    "available_threads",
    "canonical_factor",
    "kernel_sums",
    "kernel_weights",
    "read_only",
]
