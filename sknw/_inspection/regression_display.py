"""Fitted curve of one feature."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import is_classifier

from .._estimators.inputs import to_dates, to_numbers
from .display import Display, column_of, unwrap
from .report import widths

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self

    from matplotlib.axes import Axes
    from numpy.typing import NDArray
    from sklearn.base import BaseEstimator

    from .._typing import ArrayLike, Floats

#: Points of a curve: at least so many, so many per bandwidth, and at most so many.
_FEWEST_POINTS, _POINTS_PER_BANDWIDTH, _MOST_POINTS = 400, 8, 100_000


class RegressionDisplay(Display):
    """Fitted curve over its data, for one feature.

    Use `RegressionDisplay.from_estimator` to create one.

    Parameters
    ----------
    grid : ndarray of shape (n_grid,)
        Queries.
    prediction : ndarray of shape (n_grid,) or (n_grid, n_outputs)
        Predictions of the queries.
    x : ndarray of shape (n_samples,), default=None
        Feature of the data to draw.
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs), default=None
        Targets of the data to draw.
    truth : ndarray of the shape of `prediction`, default=None
        The true curve on the grid, if it is known.
    name : str, default=None
        Name of the curve in the legend.
    feature_name : str, default="x"
        Label of the horizontal axis.
    target_name : str, default="y"
        Label of the vertical axis.

    Attributes
    ----------
    line_ : list of matplotlib.lines.Line2D
        The curve, one per output.
    scatter_ : list of matplotlib.collections.PathCollection or None
        The data, one per output.
    truth_ : list of matplotlib.lines.Line2D or None
        The true curve.
    ax_ : matplotlib.axes.Axes
        Axes of the curve.
    figure_ : matplotlib.figure.Figure
        Its figure.

    See Also
    --------
    sklearn.inspection.PartialDependenceDisplay : For several features.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from sknw import NadarayaWatsonRegressor, RegressionDisplay
    >>> from sknw.datasets import make_sine
    >>> X, y = make_sine(random_state=0)
    >>> display = RegressionDisplay.from_estimator(NadarayaWatsonRegressor().fit(X, y), X, y)
    >>> display.prediction.shape
    (400,)
    """

    def __init__(
        self,
        *,
        grid: Floats,
        prediction: NDArray[Any],
        x: NDArray[Any] | None = None,
        y: NDArray[Any] | None = None,
        truth: NDArray[Any] | None = None,
        name: str | None = None,
        feature_name: str = "x",
        target_name: str = "y",
    ) -> None:
        self.grid = grid
        self.prediction = prediction
        self.x = x
        self.y = y
        self.truth = truth
        self.name = name
        self.feature_name = feature_name
        self.target_name = target_name

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        truth: Callable[[Floats], ArrayLike] | None = None,
        n_grid: int | None = None,
        name: str | None = None,
        **plot_options: Any,
    ) -> Self:
        """Predict over the range of some data and draw the curve over them.

        Parameters
        ----------
        estimator : estimator
            Any fitted regressor of one feature.
        X : array-like of shape (n_samples, 1)
            Data. The curve extends from the smallest to the largest value.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Targets. None draws the curve alone.
        truth : callable, default=None
            The true curve: a function of an array of shape (n_grid,).
        n_grid : int, default=None
            Number of queries. None means at least 400 and 8 per bandwidth, at most 100,000.
        name : str, default=None
            Name of the curve in the legend. None means the name of the class.
        **plot_options : dict
            Passed to `plot`.

        Returns
        -------
        RegressionDisplay

        Raises
        ------
        ValueError
            If X has more than one feature, or if the estimator is a classifier.
        """
        last, transform = unwrap(estimator)
        if is_classifier(last):
            raise ValueError(f"RegressionDisplay draws regressors; got a {type(last).__name__}.")
        numbers, kinds = to_numbers(X)
        x, kind = np.asarray(numbers, dtype=np.float64), kinds.get(0)
        if x.ndim != 2 or x.shape[1] != 1:
            raise ValueError(f"RegressionDisplay draws one feature: expected X of shape (n_samples, 1), got {x.shape}.")
        ends = _like(X, to_dates([x.min(), x.max()], kind))
        grid = np.linspace(x.min(), x.max(), _n_points(last, transform(ends)) if n_grid is None else n_grid)
        if kind == "date":
            grid, x = to_dates(grid, kind), to_dates(x, kind)
        label = _names(estimator, X)[0] or "x"
        display = cls(
            grid=grid,
            prediction=estimator.predict(_like(X, to_dates(grid, kind) if kind == "duration" else grid)),
            x=None if y is None else x[:, 0],
            y=None if y is None else np.asarray(y),
            truth=None if truth is None else np.asarray(truth(grid)),
            name=type(last).__name__ if name is None else name,
            feature_name=f"{label} (seconds)" if kind == "duration" else label,
            target_name=str(getattr(y, "name", None) or "y"),
        )
        return display.plot(**plot_options)

    def plot(
        self,
        *,
        ax: Axes | None = None,
        line_kw: dict[str, Any] | None = None,
        scatter_kw: dict[str, Any] | None = None,
        truth_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw data, true curve and fitted curve.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; None makes new ones.
        line_kw : dict, default=None
            Passed to `matplotlib.axes.Axes.plot` for the fitted curve; overrides the defaults.
        scatter_kw : dict, default=None
            Passed to `matplotlib.axes.Axes.scatter` for the data.
        truth_kw : dict, default=None
            Passed to `matplotlib.axes.Axes.plot` for the true curve.

        Returns
        -------
        RegressionDisplay
            Itself.
        """
        ax = self._axes(ax)
        self.line_, self.scatter_, self.truth_ = [], None, None
        if self.y is not None:
            self.scatter_ = []
            for i, column in enumerate(_columns(self.y)):
                options = {"s": 14, "color": "0.6" if self.y.ndim == 1 else f"C{i}", "alpha": 0.7} | (scatter_kw or {})
                self.scatter_.append(ax.scatter(self.x, column, **options))
        if self.truth is not None:
            options = {"color": "0.2", "linestyle": "--", "label": "truth"} | (truth_kw or {})
            self.truth_ = [ax.plot(self.grid, column, **options)[0] for column in _columns(self.truth)]
        for i, column in enumerate(_columns(self.prediction)):
            label = self.name if self.prediction.ndim == 1 else f"{self.name}, output {i}"
            options = {"color": "C3" if self.prediction.ndim == 1 else f"C{i}", "label": label} | (line_kw or {})
            self.line_.append(ax.plot(self.grid, column, **options)[0])
        ax.set(xlabel=self.feature_name, ylabel=self.target_name)
        if np.asarray(self.grid).dtype.kind == "M":
            from matplotlib.dates import AutoDateLocator

            ax.xaxis.set_major_locator(AutoDateLocator(maxticks=6))
        ax.legend()
        return self


def _columns(values):
    """Return the columns of values of shape (n,) or (n, p)."""
    return values.reshape(len(values), -1).T


def _like(X, values):
    """Return values as a table of one column, of the type of X if that has column names."""
    values = np.asarray(values)
    return type(X)({X.columns[0]: values}) if hasattr(X, "columns") else values[:, None]


def _names(estimator, X):
    """Return the names of the features of X; None for features without names."""
    if hasattr(X, "columns"):
        return [str(name) for name in X.columns]
    return list(getattr(estimator, "feature_names_in_", [None] * np.shape(X)[1]))


def _n_points(smoother, ends):
    """Return the number of points of a curve between two queries of the last step."""
    if not hasattr(smoother, "_model"):
        return _FEWEST_POINTS
    low, high = column_of(ends, slice(None))
    h = widths(smoother.bandwidth_, smoother._model.metric, smoother.n_features_in_)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        per_bandwidth = np.nanmax(np.abs(high - low) / h, initial=0)
    return int(np.clip(math.ceil(min(_POINTS_PER_BANDWIDTH * per_bandwidth, _MOST_POINTS)) + 1, _FEWEST_POINTS, None))
