"""Data to try things on."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import check_random_state

from ._compat import Interval, validate_params

if TYPE_CHECKING:
    from ._typing import Floats, RandomState


@validate_params(
    {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "noise": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_sine(n_samples: int = 50, *, noise: float = 0.5, random_state: RandomState = None) -> tuple[Floats, Floats]:
    r"""One feature and a wavy target, the data of the textbook chapter on attention pooling.

    .. math:: y = 2 \sin x + x^{0.8} + \varepsilon, \qquad \varepsilon \sim N(0, \mathrm{noise}^2)

    with x uniform on [0, 5] and sorted.

    Parameters
    ----------
    n_samples : int, default=50
        Number of rows.
    noise : float, default=0.5
        Standard deviation of the noise.
    random_state : int, RandomState instance or None, default=None
        Source of the random numbers.

    Returns
    -------
    X : ndarray of shape (n_samples, 1)
        Sorted.
    y : ndarray of shape (n_samples,)

    References
    ----------
    A. Zhang, Z. C. Lipton, M. Li and A. J. Smola, "Dive into Deep Learning", chapter on attention pooling.

    Examples
    --------
    >>> from sknw.datasets import make_sine
    >>> X, y = make_sine(random_state=0)
    >>> X.shape, y.shape
    ((50, 1), (50,))
    """
    random_state = check_random_state(random_state)
    x = np.sort(5 * random_state.uniform(size=n_samples))
    y = 2 * np.sin(x) + x**0.8 + noise * random_state.normal(size=n_samples)
    return x[:, None], y
