"""Warnings and errors that users may filter or catch."""

import os
import sys
import warnings

#: Files whose frames lie between a user's call and a warning: this package, and decorators of scikit-learn.
_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_DECORATORS = (os.path.join("sklearn", "base.py"), os.path.join("sklearn", "utils", "_param_validation.py"))


#: Text and line of the warnings that were shown by `warn_once_per_line`.
_shown: set[tuple[str, str, int]] = set()


def warn(message, category):
    """Warn, and point to the line outside this package that called it."""
    warnings.warn(message, category, stacklevel=_caller()[0] - 1)


def warn_once_per_line(message, category):
    """Warn as `warn`, but only once for each line of code where the filters are Python's default.

    Python promises this of all warnings, but forgets what it has shown whenever any code changes the filters for a
    while, as the validation of scikit-learn does in each call.
    """
    level, frame = _caller()
    line = str(message), frame.f_code.co_filename, frame.f_lineno
    action = _action(line[0], category, frame.f_globals.get("__name__", ""), frame.f_lineno)
    if action in ("default", "module", "once"):
        if line in _shown:
            return
        _shown.add(line)
    warnings.warn(message, category, stacklevel=level - 1)


def _caller():
    """Return the stack level, seen from here, and the frame of the first caller outside this package."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None:
        name = frame.f_code.co_filename
        if not (name.startswith(_PACKAGE) or name.endswith(_DECORATORS)):
            break
        level, frame = level + 1, frame.f_back
    return level, frame


def _action(text, category, module, lineno):
    """Return what the filters in force do with a warning."""

    def matches(pattern, value):
        return pattern is None or (pattern == value if isinstance(pattern, str) else pattern.match(value))

    for action, message, kind, where, line in warnings.filters:
        if matches(message, text) and issubclass(category, kind) and matches(where, module) and line in (0, lineno):
            return action
    return warnings.defaultaction


_ANSWERS = {
    "nearest": "the nearest training points",
    "mean": "the mean of all training targets",
    "nan": "NaN",
}


class EmptyNeighborhoodWarning(UserWarning):
    """Some queries have no training point within the support of the kernel and are answered as `empty` says.

    It is shown once per line of code, unless a filter says otherwise; its text depends on `empty` alone.

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
