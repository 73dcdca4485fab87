"""Conversion of bandwidths from other software and other kernels."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import TYPE_CHECKING, overload

import numpy as np

from ._compat import Interval, RealInterval, StrOptions, validate_params
from ._core import KERNELS, canonical_factor
from ._core.kernels import radial_moment
from ._estimators.inputs import check_mask
from ._estimators.validation import to_floats

if TYPE_CHECKING:
    from ._typing import Floats, KernelName, Number, Software, Vector

#: Quartiles of the normal distribution of variance 1, up to the sign.
_QUARTILE = 0.6744897501960817


def _standard_deviation(kernel):
    """Return the standard deviation of a kernel in one feature at bandwidth 1."""
    return math.exp(0.5 * (radial_moment(kernel, 2) - radial_moment(kernel, 0)))


# Per source and kernel, the bandwidth in this package for the value 1 in the source, or a function of the value where
# it is inversely related to the bandwidth.
_SAME = dict.fromkeys(KERNELS, 1.0)
_FACTORS = {
    "sknw": _SAME,
    "KernelDensity": _SAME,
    "statsmodels": {"gaussian": 1.0, "tricube": 1.0},
    "np": {"gaussian": 1.0, "epanechnikov": math.sqrt(5), "tophat": 1.0},
    "ksmooth": {"gaussian": 0.25 / _QUARTILE, "tophat": 0.5},
    "KernSmooth": {"gaussian": 1.0},
    "KDEpy": {name: 1 / _standard_deviation(name) for name in KERNELS},
}
_INVERSE = {
    "gamma": {"gaussian": lambda gamma: 1 / np.sqrt(2 * gamma), "exponential": lambda gamma: 1 / gamma},
    "attention": {"gaussian": lambda w: 1 / w, "exponential": lambda w: 1 / w},
}


@overload
def convert_bandwidth(
    bandwidth: Number,
    source: Software,
    *,
    kernel: KernelName = ...,
    to: KernelName | None = ...,
    n_features: int | None = ...,
) -> float: ...
@overload
def convert_bandwidth(
    bandwidth: Vector,
    source: Software,
    *,
    kernel: KernelName = ...,
    to: KernelName | None = ...,
    n_features: int | None = ...,
) -> Floats: ...
@validate_params(
    {
        "bandwidth": [RealInterval(Real, 0, None, closed="both"), "array-like"],
        "source": [StrOptions(set(_FACTORS) | set(_INVERSE))],
        "kernel": [StrOptions(set(KERNELS))],
        "to": [StrOptions(set(KERNELS)), None],
        "n_features": [Interval(Integral, 1, None, closed="left"), None],
    },
    prefer_skip_nested_validation=True,
)
def convert_bandwidth(
    bandwidth: Number | Vector,
    source: Software,
    *,
    kernel: KernelName = "gaussian",
    to: KernelName | None = None,
    n_features: int | None = None,
) -> float | Floats:
    r"""Convert a bandwidth of other software or of another kernel to that of this package.

    Parameters
    ----------
    bandwidth : float or array-like of shape (n_features,)
        Value in the source, or one per feature.
    source : {"statsmodels", "np", "ksmooth", "KernSmooth", "KDEpy", "KernelDensity", "gamma", "attention", "sknw"}
        Software or convention of the value:

        - "statsmodels": `bw` of ``KernelReg``; "gaussian" and "tricube";
        - "np": `bws` of R's package np, for kernels of order 2; "gaussian", "epanechnikov" (whose support there is
          :math:`\sqrt 5` bandwidths) and "tophat" ("uniform");
        - "ksmooth": R's ``stats::ksmooth``, "gaussian" ("normal", quartiles at a quarter of the bandwidth) and "tophat"
          ("box", of that width);
        - "KernSmooth": R's package of that name, "gaussian";
        - "KDEpy": the standard deviation of each kernel;
        - "KernelDensity": scikit-learn's, the same convention as here;
        - "gamma": scikit-learn's ``rbf_kernel``, :math:`e^{-\gamma r^2}`, and for "exponential" its
          ``laplacian_kernel``, :math:`e^{-\gamma r}`;
        - "attention": the parameter w of :math:`\mathrm{softmax}(-(w r)^2 / 2)`, and for "exponential" of
          :math:`\mathrm{softmax}(-w r)`;
        - "sknw": this package, to go from one kernel to another.
    kernel : str, default="gaussian"
        Kernel in the source, by its name in this package.
    to : str, default=None
        Kernel of the result. If it differs from `kernel`, the ratio of canonical bandwidths preserves the amount of
        smoothing. None keeps `kernel`.
    n_features : int, default=None
        Number of features of the data. None means the number of bandwidths.

    Returns
    -------
    float or ndarray of shape (n_features,)
        Bandwidth in the convention of this package.

    Raises
    ------
    ValueError
        If the source lacks the kernel, or if its kernel for several features is a product that is no function of the
        distance, as that of the Gaussian is.

    References
    ----------
    J. S. Marron and D. Nolan, "Canonical kernels for density estimation", Statistics & Probability Letters 7 (1988),
    195-199.

    Examples
    --------
    >>> from sknw import convert_bandwidth
    >>> convert_bandwidth(2.0, "gamma")
    0.5
    >>> print(f"{convert_bandwidth(1.0, 'ksmooth'):.4f}")
    0.3707
    >>> print(f"{convert_bandwidth(0.3, 'sknw', to='epanechnikov'):.4f}")
    0.6641
    """
    check_mask(bandwidth, "bandwidth")
    value = to_floats(bandwidth)
    if value is None or value.ndim > 1 or value.size == 0 or not (value >= 0).all():
        raise ValueError(f"bandwidth must be a number or one per feature, none of them negative; got {bandwidth!r}.")
    d = n_features if n_features is not None else value.size
    if value.ndim == 1 and len(value) != d:
        raise ValueError(f"bandwidth has {len(value)} entries, but n_features={d}.")
    kernels = _FACTORS.get(source) or _INVERSE[source]
    if kernel not in kernels:
        raise ValueError(f"source={source!r} has no kernel={kernel!r}; it has {sorted(kernels)}.")
    if d > 1 and kernel != "gaussian" and source not in ("sknw", "KernelDensity", "attention"):
        raise ValueError(
            f"For {d} features the kernel {kernel!r} of {source!r} is not a function of one distance, unlike in this "
            "package, and no bandwidth makes the two equal. Convert a bandwidth of the Gaussian, or of one feature."
        )
    with np.errstate(divide="ignore"):
        value = value * kernels[kernel] if source in _FACTORS else kernels[kernel](value)
    if to is not None:
        value = value * (canonical_factor(to, d) / canonical_factor(kernel, d))
    return float(value) if np.ndim(value) == 0 else value
