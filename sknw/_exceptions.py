"""Warnings and errors that users may filter or catch."""

import os
import sys
import warnings

#: Files whose frames lie between a user's call and a warning: this package, and decorators of scikit-learn.
_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_DECORATORS = (os.path.join("sklearn", "base.py"), os.path.join("sklearn", "utils", "_param_validation.py"))


def warn(message, category):
    """Warn, and point to the line outside this package that called it."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None:
        name = frame.f_code.co_filename
        if not (name.startswith(_PACKAGE) or name.endswith(_DECORATORS)):
            break
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


_ANSWERS = {
    "nearest": "the nearest training points",
    "mean": "the mean of all training targets",
    "nan": "NaN",
}


class EmptyNeighborhoodWarning(UserWarning):
    """Some queries have no training point within the support of the kernel and are answered as `empty` says.

    The text depends on `empty` alone, so that Python's filters show it once per line of code.

    Attributes
    ----------
    n_empty : int
        Number of such queries in the call.
    n_queries : int
        Number of all queries in the call.

    Examples
    --------
    >>> import warnings
    >>> from sknw import EmptyNeighborhoodWarning, NadarayaWatsonRegressor
    >>> model = NadarayaWatsonRegressor(1.0, kernel="epanechnikov").fit([[0.0], [1.0]], [2.0, 3.0])
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", EmptyNeighborhoodWarning)
    ...     model.predict([[0.5], [10.0]])
    array([2.5, 3. ])
    >>> print(caught[0].message.n_empty, "of", caught[0].message.n_queries)
    1 of 2
    """

    n_empty = n_queries = 0

    @classmethod
    def about(cls, empty: str, n_empty: int, n_queries: int) -> "EmptyNeighborhoodWarning":
        """Make the warning of one call, in which `empty` gave the answers."""
        warning = cls(
            "Some queries have no training point within the support of the kernel; with this bandwidth they are "
            f"answered by {_ANSWERS[empty]}. Increase the bandwidth, or use kernel='gaussian', whose support is "
            "unbounded. The warning has the attributes n_empty and n_queries."
        )
        warning.n_empty, warning.n_queries = int(n_empty), int(n_queries)
        return warning


class EmptyNeighborhoodError(ValueError):
    """Some queries have no training point within the support of the kernel, and `empty` is "raise".

    Examples
    --------
    >>> from sknw import EmptyNeighborhoodError, NadarayaWatsonRegressor
    >>> model = NadarayaWatsonRegressor(1.0, kernel="epanechnikov", empty="raise").fit([[0.0], [1.0]], [2.0, 3.0])
    >>> try:
    ...     model.predict([[10.0]])
    ... except EmptyNeighborhoodError:
    ...     print("too far away")
    too far away
    """


class InconsistentVersionWarning(UserWarning):
    """A model was saved by another version of this package than the one that loads it.

    Examples
    --------
    >>> import pickle, warnings
    >>> from sknw import InconsistentVersionWarning, NadarayaWatsonRegressor
    >>> state = NadarayaWatsonRegressor().__getstate__() | {"_sknw_version": "0.0"}
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     NadarayaWatsonRegressor().__setstate__(state)
    >>> caught[0].category is InconsistentVersionWarning
    True
    """
