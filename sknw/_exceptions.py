"""Warnings and errors that users may filter or catch."""


class EmptyNeighborhoodWarning(UserWarning):
    """No training row was within reach of some queries, which were answered as `empty` says.

    Given once per call, with the number of such queries.

    Examples
    --------
    >>> import warnings
    >>> from sknw import EmptyNeighborhoodWarning, NadarayaWatsonRegressor
    >>> model = NadarayaWatsonRegressor(1.0, kernel="epanechnikov").fit([[0.0], [1.0]], [2.0, 3.0])
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", EmptyNeighborhoodWarning)
    ...     model.predict([[10.0]])
    array([3.])
    """


class EmptyNeighborhoodError(ValueError):
    """No training row was within reach of some queries, and `empty="raise"` asks for an error.

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
    """A model was loaded that another version of this package had saved.

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
