"""Types of public parameters. Only annotations use them: `import sknw` does not import this module."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Algorithm",
    "ArrayLike",
    "BandwidthChoice",
    "BandwidthType",
    "Empty",
    "Floats",
    "KernelName",
    "Matrix",
    "Number",
    "Profile",
    "RandomState",
    "Software",
    "Solver",
    "Vector",
]

Floats: TypeAlias = NDArray[np.float64]

# ArrayLike admits any str, so a misspelled choice would pass for an array.
Number: TypeAlias = float | np.floating[Any] | np.integer[Any]
Vector: TypeAlias = Sequence[Number] | NDArray[np.floating[Any] | np.integer[Any]]
Matrix: TypeAlias = Sequence[Sequence[Number]]

Algorithm: TypeAlias = Literal["auto", "dense", "sliding", "window", "fast_gauss"]
BandwidthChoice: TypeAlias = Literal["loo", "gradient", "aicc", "gcv", "scott", "silverman"]
BandwidthType: TypeAlias = Literal["spherical", "diag", "full"]
Empty: TypeAlias = Literal["nearest", "mean", "nan", "raise"]
KernelName: TypeAlias = Literal[
    "gaussian", "exponential", "epanechnikov", "biweight", "triweight", "tricube", "linear", "tophat", "cosine"
]
Profile: TypeAlias = Callable[[float], float]
RandomState: TypeAlias = int | np.random.RandomState | None
Software: TypeAlias = Literal[
    "statsmodels", "np", "ksmooth", "KernSmooth", "KDEpy", "KernelDensity", "gamma", "attention", "sknw"
]
Solver: TypeAlias = Literal["lbfgs", "adam"]
