"""Sums over training rows, and nothing else: the core computes sums, the layers above divide and decide.

Nothing here knows a parameter of the estimator, a warning, or scikit-learn, and importing it does not import numba::

    dispatch        which engine forms a sum, by the costs in `costs`
    every_pair/     every pair, any kernel; the Gaussian in fewer operations; gradients by reverse mode; many bandwidths
    within_reach/   only the pairs within the cutoff: sorted rows of one feature, boxes around rows of several
    sliding/        one feature: sums that move along with the query
    cells/          the Gaussian by moments of cells: fast Gauss transform, and sums at Chebyshev nodes
    problem         what goes in, what comes out
    kernels, compiled_kernels, order       the profiles; the order of rows in space
    runtime/        compilation, its cache on disk, threads, the processor
"""

from .costs import LAST_PLACE
from .dispatch import ALGORITHMS, check_applies, choose, kernel_sums, kernel_weights
from .kernels import KERNELS, canonical_factor
from .order import MOST_FEATURES_IN_ORDER, spatial_order
from .problem import LEAST_RTOL, SMALLEST_MASS, Problem, Queries, Rows, Setting, State, Wanted, read_only
from .runtime.blas import one_thread_for_blas
from .runtime.threads import available_threads, in_cache, run_blocks

__all__ = [
    "ALGORITHMS",
    "KERNELS",
    "LAST_PLACE",
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
