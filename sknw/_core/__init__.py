"""Kernel sums over training rows.

The layers above divide the sums and choose bandwidths. The core does not import scikit-learn, and does not depend on
the parameters of estimators. Importing it does not import numba::

    problem         the input and output of kernel sums: `Problem`, `State`, `Plan`, `Engine`
    dispatch        chooses the engine of a problem, by the costs in `costs`
    every_pair/     every pair: any kernel; faster loops for the Gaussian; reverse mode; bandwidth ladders
    within_reach/   pairs within the cutoff only: sorted rows in one feature, bounding boxes in several
    sliding/        one feature: sums over sliding windows of sorted rows
    cells/          the Gaussian by moments of cells: fast Gauss transform, and sums at Chebyshev nodes
    kernels         the kernels, as Python formulas; `compiled_kernels` has them for the compiled loops
    order           spatial order of training rows
    runtime/        compilation, its disk cache, threads, BLAS, cache sizes of the processor
"""

from .costs import LAST_RUNG
from .dispatch import ALGORITHMS, check_applies, choose, kernel_sums, kernel_weights
from .kernels import KERNELS, canonical_factor
from .order import MOST_FEATURES_IN_ORDER, spatial_order
from .problem import LEAST_RTOL, SMALLEST_MASS, Problem, Queries, Rows, Setting, State, Wanted, read_only
from .runtime.blas import one_thread_for_blas
from .runtime.threads import available_threads, in_cache, run_blocks

__all__ = [
    "ALGORITHMS",
    "KERNELS",
    "LAST_RUNG",
    "LEAST_RTOL",
    "MOST_FEATURES_IN_ORDER",
    "SMALLEST_MASS",
    "Problem",
    "Queries",
    "Rows",
    "Setting",
    "State",
    "Wanted",
    "available_threads",
    "canonical_factor",
    "check_applies",
    "choose",
    "in_cache",
    "kernel_sums",
    "kernel_weights",
    "one_thread_for_blas",
    "read_only",
    "run_blocks",
    "spatial_order",
]
