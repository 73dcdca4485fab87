"""Sums over training rows, and nothing else: the core computes sums, the layers above divide and decide.

Nothing here knows a parameter of the estimator, a warning, or scikit-learn, and importing it does not import numba::

    kernel_sums, kernel_weights,  _sums.py        one door for all sums
    pull_back, segment_errors
        |-- plan                  _plan.py        which algorithm
        |-- dense                 _dense.py       every pair, any kernel
        |     |-- Gaussian          _gaussian.py  in fewer operations, by matrix products in many features, in float32;
        |     |                                   of _coordinates.py and _distances.py
        |     |     +-- all rows      _pairs.py   each without itself: every pair once
        |     |-- bandwidths        _scales.py    many at once
        |     |-- few pairs         _few.py       by NumPy, which need not be compiled
        |     +-- gradients         _reverse.py   by reverse mode: matrices, many features
        |-- sliding               _sliding.py     one feature: sums that move with the query, as moments (_moments.py)
        |     +-- errors            _segments.py  of all rows of one feature, each without itself, in one go, by their
        |                                         windows (_edges.py)
        |-- window                _window.py      pairs within reach, by boxes around rows in spatial_order (_order.py)
        |     +-- neighbours        _neighbours.py  of all rows of one feature at a time
        +-- fast Gauss            _fast_gauss.py  series (_series.py) on a grid of cells (_cells.py), by _expansions.py;
                                                  where rows are too far from zero for that, by _islands.py
    Nodes                     _nodes.py       the Gaussian's sums at nodes, where they are enough for all rows of a cell
    all of them on
        run_blocks                _threads.py     our own threads
        exp2, jit                 _jit.py         the exponential, numba's options
        Rows, State               _rows.py        what goes in, what comes out
        tile_width, aligned       _processor.py   how much of it the caches hold, and in what lines
        PROFILES                  _profiles.py    the kernels
"""

from ._fast_gauss import LEAST_RTOL
from ._nodes import N_NODES, Nodes, by_cell, last_coefficients, least_of_cell, widest
from ._order import MOST_FEATURES_IN_ORDER, spatial_order
from ._plan import ALGORITHMS, check_applies, takes_segments
from ._profiles import PROFILES, canonical_factor
from ._rows import SMALLEST_MASS, Derivatives, ErrorsOfMost, Rows, State, read_only
from ._sums import (
    LAST_PLACE,
    chosen_algorithm,
    goes_backward,
    kernel_sums,
    kernel_sums_of_scales,
    kernel_weights,
    nearest_squares,
    neighbours_of,
    pull_back,
    segment_errors,
    takes_linear_time,
    times_matrix,
)
from ._threads import available_threads, in_cache, one_thread_for_blas, run_blocks

__all__ = [
    "ALGORITHMS",
    "LAST_PLACE",
    "LEAST_RTOL",
    "MOST_FEATURES_IN_ORDER",
    "N_NODES",
    "PROFILES",
    "SMALLEST_MASS",
    "Derivatives",
    "ErrorsOfMost",
    "Nodes",
    "Rows",
    "State",
    "available_threads",
    "by_cell",
    "canonical_factor",
    "check_applies",
    "chosen_algorithm",
    "goes_backward",
    "in_cache",
    "kernel_sums",
    "kernel_sums_of_scales",
    "kernel_weights",
    "last_coefficients",
    "least_of_cell",
    "nearest_squares",
    "neighbours_of",
    "one_thread_for_blas",
    "pull_back",
    "read_only",
    "run_blocks",
    "segment_errors",
    "spatial_order",
    "takes_linear_time",
    "takes_segments",
    "times_matrix",
    "widest",
]
