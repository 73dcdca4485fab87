"""Heat map of attention weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._estimators.inputs import to_dates
from .display import Display, column_of, find_feature, unwrap

if TYPE_CHECKING:
    from typing import Any, Self

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from numpy.typing import NDArray
    from sklearn.base import BaseEstimator

    from .._typing import ArrayLike, Floats

#: Exponent of the color scale of weights: lightness follows the square root, so that small weights remain visible.
_GAMMA = 0.5

#: Ticks of an axis, at most.
_MOST_TICKS = 6


class AttentionDisplay(Display):
    """Heat map of attention weights: one line per query, one column per training row.

    Use `AttentionDisplay.from_estimator` to create one.

    Parameters
    ----------
    attention : ndarray of shape (n_queries, n_samples)
        Weights, one line per query.
    query_values : ndarray of shape (n_queries,), default=None
        Values of the feature by which the queries are sorted, for the tick labels.
    key_values : ndarray of shape (n_samples,), default=None
        Values of the feature by which the training rows are sorted.
    feature_name : str, default=None
        Name of that feature.

    Attributes
    ----------
    im_ : matplotlib.image.AxesImage
        The heat map.
    colorbar_ : matplotlib.colorbar.Colorbar or None
        Its color bar.
    ax_ : matplotlib.axes.Axes
        Axes of the heat map.
    figure_ : matplotlib.figure.Figure
        Its figure.

    See Also
    --------
    NadarayaWatsonRegressor.attention_weights : The weights as numbers.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from sknw import AttentionDisplay, NadarayaWatsonRegressor
    >>> from sknw.datasets import make_sine
    >>> X, y = make_sine(random_state=0)
    >>> display = AttentionDisplay.from_estimator(NadarayaWatsonRegressor().fit(X, y), X)
    >>> display.attention.shape
    (50, 50)
    """

    def __init__(
        self,
        *,
        attention: Floats,
        query_values: NDArray[Any] | None = None,
        key_values: NDArray[Any] | None = None,
        feature_name: str | None = None,
    ) -> None:
        self.attention = attention
        self.query_values = query_values
        self.key_values = key_values
        self.feature_name = feature_name

    @classmethod
    def from_estimator(
        cls, estimator: BaseEstimator, X: ArrayLike | None = None, *, sort_by: int | str | None = 0, **plot_options: Any
    ) -> Self:
        """Compute the weights of a fitted estimator and draw them.

        Parameters
        ----------
        estimator : NadarayaWatsonRegressor or NadarayaWatsonClassifier
            Fitted; also a pipeline that ends with one, or a search for its parameters.
        X : array-like of shape (n_queries, n_features), default=None
            Queries. None stands for the training rows, each of which is left out of its own neighborhood.
        sort_by : int, str or None, default=0
            Feature by which queries and training rows are sorted: its number, or its name if the features of the
            estimator, or of the last step of a pipeline, have names. None keeps their order.
        **plot_options : dict
            Passed to `plot`.

        Returns
        -------
        AttentionDisplay
        """
        smoother, transform = unwrap(estimator)
        X = None if X is None else transform(X)
        attention = smoother.attention_weights(X)
        if sort_by is None:
            return cls(attention=attention).plot(**plot_options)
        feature, name = find_feature(smoother, sort_by)
        keys = smoother.X_fit_[:, feature]
        queries = keys if X is None else column_of(X, feature)
        lines, columns = np.argsort(queries, kind="stable"), np.argsort(keys, kind="stable")
        kind = smoother._kinds.get(feature)
        display = cls(
            attention=attention[np.ix_(lines, columns)],
            query_values=to_dates(queries[lines], kind),
            key_values=to_dates(keys[columns], kind),
            feature_name=name,
        )
        return display.plot(**plot_options)

    def plot(
        self,
        *,
        ax: Axes | None = None,
        cmap: str | Colormap = "viridis",
        colorbar: bool = True,
        im_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the heat map; lightness follows the square root of the weights.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; None makes new ones.
        cmap : str or matplotlib.colors.Colormap, default="viridis"
            Color map.
        colorbar : bool, default=True
            Whether to draw a color bar.
        im_kw : dict, default=None
            Passed to `matplotlib.axes.Axes.imshow`; overrides the defaults. With `vmin` or `vmax`, the color scale is
            linear.

        Returns
        -------
        AttentionDisplay
            Itself.
        """
        ax = self._axes(ax)
        from matplotlib.colors import PowerNorm
        from matplotlib.ticker import MaxNLocator

        options = {"cmap": cmap, "aspect": "auto"} | (im_kw or {})
        if not {"norm", "vmin", "vmax"} & options.keys():
            options["norm"] = PowerNorm(_GAMMA, vmin=0)
        self.im_ = ax.imshow(self.attention, **options)
        self.colorbar_ = self.figure_.colorbar(self.im_, ax=ax, label="attention weight") if colorbar else None
        by = "" if self.feature_name is None else f", by {self.feature_name}"
        ax.set(xlabel=f"training row{by}", ylabel=f"query{by}")
        for axis, values in ((ax.xaxis, self.key_values), (ax.yaxis, self.query_values)):
            if values is None:
                axis.set_major_locator(MaxNLocator(_MOST_TICKS - 1, integer=True))
            else:
                places = np.unique(np.linspace(0, len(values) - 1, _MOST_TICKS).round().astype(int))
                axis.set_ticks(places, _labels(values[places]))
        return self


def _labels(values):
    """Return tick labels of numbers, dates or durations."""
    if values.dtype.kind == "M":
        return [str(value.astype("M8[s]")).removesuffix("T00:00:00") for value in values]
    if values.dtype.kind == "m":
        return [f"{value / np.timedelta64(1, 's'):.3g} s" for value in values]
    return [f"{value:.3g}" for value in values]
