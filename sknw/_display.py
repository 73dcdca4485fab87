"""Pictures, after scikit-learn's conventions: data in `__init__`, computing in `from_estimator`, drawing in `plot`.

matplotlib is imported by the methods that draw, and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._compat import check_is_fitted, check_matplotlib_support

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Literal, Self

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from numpy.typing import NDArray
    from sklearn.base import BaseEstimator

    from ._typing import ArrayLike, Floats


class _Display:
    """What all displays share: axes to draw on."""

    def _axes(self, ax):
        """The axes given, or new ones; kept as `ax_` and `figure_`."""
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        return ax


class AttentionDisplay(_Display):
    """Heat map of the weights with which training rows answer queries.

    It is recommended to use `AttentionDisplay.from_estimator` to create one.

    Parameters
    ----------
    attention : ndarray of shape (n_queries, n_samples)
        Weights, one line per query.
    query_values : ndarray of shape (n_queries,), default=None
        What the queries are sorted by, for the labels of the axis.
    key_values : ndarray of shape (n_samples,), default=None
        What the training rows are sorted by.
    feature_name : str, default=None
        Name of that.

    Attributes
    ----------
    im_ : matplotlib.image.AxesImage
        The heat map.
    colorbar_ : matplotlib.colorbar.Colorbar or None
        Its colour bar.
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
        estimator : NadarayaWatsonRegressor
            Fitted.
        X : array-like of shape (n_queries, n_features), default=None
            Queries. None stands for the training rows, each left out of its own weights.
        sort_by : int, str or None, default=0
            Feature by which queries and training rows are sorted: its number, or its name if the estimator was fitted
            on named features. None keeps their order.
        **plot_options : dict
            Passed to `plot`.

        Returns
        -------
        AttentionDisplay
        """
        check_is_fitted(estimator)
        attention = estimator.attention_weights(X)
        if sort_by is None:
            return cls(attention=attention).plot(**plot_options)
        feature, name = _feature(estimator, sort_by)
        keys = estimator.X_fit_[:, feature]
        queries = keys if X is None else _column(X, feature)
        lines, columns = np.argsort(queries, kind="stable"), np.argsort(keys, kind="stable")
        display = cls(
            attention=attention[np.ix_(lines, columns)],
            query_values=queries[lines],
            key_values=keys[columns],
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
        """Draw the heat map.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; None makes new ones.
        cmap : str or matplotlib.colors.Colormap, default="viridis"
            Colour map.
        colorbar : bool, default=True
            Whether to draw a colour bar.
        im_kw : dict, default=None
            Passed to `matplotlib.axes.Axes.imshow`; wins over what is set here.

        Returns
        -------
        AttentionDisplay
            Itself.
        """
        ax = self._axes(ax)
        options = {"cmap": cmap, "aspect": "auto", "interpolation": "nearest"} | (im_kw or {})
        if "norm" not in options:  # which brings limits of its own
            options.setdefault("vmin", 0)
        self.im_ = ax.imshow(self.attention, **options)
        self.colorbar_ = self.figure_.colorbar(self.im_, ax=ax, label="attention weight") if colorbar else None
        by = "" if self.feature_name is None else f", by {self.feature_name}"
        ax.set(xlabel=f"training row{by}", ylabel=f"query{by}")
        for axis, values in ((ax.xaxis, self.key_values), (ax.yaxis, self.query_values)):
            if values is not None:
                places = np.unique(np.linspace(0, len(values) - 1, 6).round().astype(int))
                axis.set_ticks(places, [f"{values[i]:.3g}" for i in places])
        return self


class BandwidthDisplay(_Display):
    """Leave-one-out error against the bandwidth, or per iteration of a descent; or the relevance of each feature.

    It is recommended to use `BandwidthDisplay.from_estimator` to create one.

    Parameters
    ----------
    criterion : ndarray of shape (n_points,), default=None
        Leave-one-out errors, or another criterion.
    bandwidth : ndarray of shape (n_points,), default=None
        Bandwidths, ascending, the last of which may be `inf`; None if `criterion` is per iteration.
    chosen : float, default=None
        The bandwidth that was chosen.
    name : str, default="bandwidth"
        Label of the axis of bandwidths.
    relevance : ndarray of shape (n_features,), default=None
        Spread of each feature over its bandwidth; if given, this is drawn and nothing else.
    feature_names : list of str, default=None
        Names of the features.
    criterion_name : str, default="leave-one-out error"
        Label of the axis of the criterion.
    local_minimum : ndarray of bool, default=None
        Which of the bandwidths are local minima; those that are not chosen are marked.

    Attributes
    ----------
    line_ : matplotlib.lines.Line2D or None
        The curve.
    bars_ : matplotlib.container.BarContainer or None
        One bar per feature.
    minima_ : matplotlib.lines.Line2D or None
        Marks of other local minima.
    chosen_ : matplotlib.lines.Line2D or None
        Mark of the chosen bandwidth.
    infinite_ : matplotlib.lines.Line2D or None
        Level of an infinite bandwidth.
    ax_ : matplotlib.axes.Axes
        Axes of the curve.
    figure_ : matplotlib.figure.Figure
        Its figure.

    See Also
    --------
    NadarayaWatsonRegressor : Its `cv_results_` and `loss_curve_` are what is drawn.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> from sknw import BandwidthDisplay, NadarayaWatsonRegressor
    >>> from sknw.datasets import make_sine
    >>> model = NadarayaWatsonRegressor().fit(*make_sine(random_state=0))
    >>> display = BandwidthDisplay.from_estimator(model)
    >>> print(f"{display.chosen:.3f}")
    0.295
    """

    def __init__(
        self,
        *,
        criterion: Floats | None = None,
        bandwidth: Floats | None = None,
        chosen: float | None = None,
        name: str = "bandwidth",
        relevance: Floats | None = None,
        feature_names: Sequence[str] | None = None,
        criterion_name: str = "leave-one-out error",
        local_minimum: NDArray[np.bool_] | None = None,
    ) -> None:
        self.criterion = criterion
        self.bandwidth = bandwidth
        self.chosen = chosen
        self.name = name
        self.relevance = relevance
        self.feature_names = feature_names
        self.criterion_name = criterion_name
        self.local_minimum = local_minimum

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        *,
        kind: Literal["search", "descent", "features"] = "search",
        feature: int | str = 0,
        **plot_options: Any,
    ) -> Self:
        """Take the course of the choice from a fitted estimator and draw it.

        Parameters
        ----------
        estimator : NadarayaWatsonRegressor
            Fitted; for "search" and "descent" with a bandwidth that was chosen in that way.
        kind : {"search", "descent", "features"}, default="search"
            The global search of one factor, the iterations of the descent that followed, or the relevance of each
            feature, its spread over its bandwidth: 0 for one that is smoothed out.
        feature : int or str, default=0
            With one bandwidth per feature, whose bandwidth is drawn: all are the same multiple of their spread.
        **plot_options : dict
            Passed to `plot`.

        Returns
        -------
        BandwidthDisplay

        Raises
        ------
        ValueError
            If the estimator was not fitted in the way that `kind` asks for.
        """
        check_is_fitted(estimator)
        wanted = {
            "search": ("cv_results_", "'loo', 'gradient', 'aicc' or 'gcv'"),
            "descent": ("loss_curve_", "'gradient'"),
        }
        if kind == "features":
            report = estimator.bandwidth_report()
            relevance = np.nan_to_num(1 / report.in_spreads)
            return cls(relevance=relevance, feature_names=report.features).plot(**plot_options)
        if kind not in wanted:
            raise ValueError(f"kind must be 'search', 'descent' or 'features'; got {kind!r}.")
        attribute, bandwidths = wanted[kind]
        if not hasattr(estimator, attribute):
            raise ValueError(f"kind={kind!r} needs an estimator fitted with bandwidth={bandwidths}.")
        if kind == "descent":
            return cls(criterion=np.asarray(estimator.loss_curve_)).plot(**plot_options)
        feature, name = _feature(estimator, feature)
        results = estimator.cv_results_
        h = results["bandwidth"]
        several = h.ndim > 1 and h.shape[1] > 1
        if h.ndim > 1:
            h = h[:, feature] if h.ndim == 2 else h[:, feature, feature]
        # The last of equal ones is the widest; a descent ends somewhere else and has no place on this curve.
        chosen = None
        if not hasattr(estimator, "loss_curve_"):
            chosen = h[np.flatnonzero(results["criterion"] == -estimator.best_score_)[-1]]
        display = cls(
            criterion=results["criterion"],
            bandwidth=h,
            chosen=chosen,
            name=f"bandwidth of {name}" if several else "bandwidth",
            criterion_name={"aicc": "AICc", "gcv": "GCV"}.get(estimator.bandwidth, "leave-one-out error"),
            local_minimum=results["local_minimum"],
        )
        return display.plot(**plot_options)

    def plot(
        self, *, ax: Axes | None = None, line_kw: dict[str, Any] | None = None, bar_kw: dict[str, Any] | None = None
    ) -> Self:
        """Draw the curve, with the chosen bandwidth and the other local minima marked, or the bars.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; None makes new ones.
        line_kw : dict, default=None
            Passed to `matplotlib.axes.Axes.plot` for the curve; wins over what is set here.
        bar_kw : dict, default=None
            Passed to `matplotlib.axes.Axes.barh` for the bars; wins over what is set here.

        Returns
        -------
        BandwidthDisplay
            Itself.
        """
        ax = self._axes(ax)
        self.line_ = self.bars_ = self.minima_ = self.chosen_ = self.infinite_ = None
        if self.relevance is not None:
            names = self.feature_names or [f"x{i}" for i in range(len(self.relevance))]
            self.bars_ = ax.barh(names, self.relevance, **{"color": "C0"} | (bar_kw or {}))
            ax.invert_yaxis()  # the first on top
            ax.set(xlabel="relevance: spread over bandwidth")
            return self
        options = {"color": "C0"} | (line_kw or {})
        ax.set(ylabel=self.criterion_name)
        if self.bandwidth is None:
            (self.line_,) = ax.plot(self.criterion, **{"marker": ".", **options})
            ax.set(xlabel="iteration")
            ax.xaxis.get_major_locator().set_params(integer=True)
            return self
        finite = np.isfinite(self.bandwidth)
        h, criterion = self.bandwidth[finite], self.criterion[finite]
        (self.line_,) = ax.plot(h, criterion, **options)
        ax.set(xscale="log", xlabel=self.name)
        if not finite.all():
            level = self.criterion[~finite][-1]
            chosen = " (chosen)" if self.chosen is not None and np.isinf(self.chosen) else ""
            self.infinite_ = ax.axhline(level, color="0.6", linestyle=":", label=f"infinite: average of all{chosen}")
        low = np.flatnonzero([] if self.local_minimum is None else self.local_minimum[finite])
        if self.chosen is not None and np.isfinite(self.chosen):
            i = np.argmin(np.abs(h - self.chosen))
            # The refined point stands within a bracket of grid points, all of which belong to the same minimum.
            low = low[np.abs(np.log(h[low] / h[i])) > 0.05] if h[i] > 0 else low
            (self.chosen_,) = ax.plot(h[i], criterion[i], "o", color="C3", label=f"chosen: {h[i]:.4g}")
        if len(low):
            (self.minima_,) = ax.plot(h[low], criterion[low], "o", mfc="none", color="C0", label="other local minima")
        ax.legend()
        return self


class RegressionDisplay(_Display):
    """Fitted curve over its data, for one feature.

    It is recommended to use `RegressionDisplay.from_estimator` to create one.

    Parameters
    ----------
    grid : ndarray of shape (n_grid,)
        Queries.
    prediction : ndarray of shape (n_grid,) or (n_grid, n_outputs)
        Predictions there.
    x : ndarray of shape (n_samples,), default=None
        Data to draw.
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs), default=None
        Their targets.
    truth : ndarray of the shape of `prediction`, default=None
        The true curve on the grid, if it is known.
    name : str, default=None
        Name of the curve in the legend.

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
    ) -> None:
        self.grid = grid
        self.prediction = prediction
        self.x = x
        self.y = y
        self.truth = truth
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        truth: Callable[[Floats], ArrayLike] | None = None,
        n_grid: int = 400,
        name: str | None = None,
        **plot_options: Any,
    ) -> Self:
        """Predict over the range of some data and draw the curve over them.

        Parameters
        ----------
        estimator : estimator
            Any fitted regressor of one feature.
        X : array-like of shape (n_samples, 1)
            Data; the curve reaches from the smallest to the largest value.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Targets; None draws the curve alone.
        truth : callable, default=None
            The true curve: a function of an array of shape (n_grid,).
        n_grid : int, default=400
            Number of queries.
        name : str, default=None
            Name of the curve in the legend; None takes that of the class.
        **plot_options : dict
            Passed to `plot`.

        Returns
        -------
        RegressionDisplay

        Raises
        ------
        ValueError
            If X has more than one feature.
        """
        check_is_fitted(estimator)
        x = np.asarray(X, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != 1:
            raise ValueError(f"RegressionDisplay draws one feature: expected X of shape (n_samples, 1), got {x.shape}.")
        grid = np.linspace(x.min(), x.max(), n_grid)
        queries = grid[:, None]
        if hasattr(X, "columns"):
            queries = type(X)(queries, columns=X.columns) if hasattr(X, "iloc") else type(X)(queries, schema=X.columns)
        display = cls(
            grid=grid,
            prediction=estimator.predict(queries),
            x=None if y is None else x[:, 0],
            y=None if y is None else np.asarray(y),
            truth=None if truth is None else np.asarray(truth(grid)),
            name=type(estimator).__name__ if name is None else name,
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
            Passed to `matplotlib.axes.Axes.plot` for the fitted curve; wins over what is set here.
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
        ax.set(xlabel="x", ylabel="y")
        ax.legend()
        return self


def _columns(values):
    """The columns of values of shape (n,) or (n, p)."""
    return values.reshape(len(values), -1).T


def _column(X, feature):
    """One column of an array or data frame."""
    return np.asarray(X, dtype=np.float64)[:, feature]


def _feature(estimator, feature):
    """Number and name of a feature given by either."""
    names = list(getattr(estimator, "feature_names_in_", [f"x{i}" for i in range(estimator.n_features_in_)]))
    if isinstance(feature, str):
        if feature not in names:
            raise ValueError(f"There is no feature {feature!r}; the features are {names}.")
        return names.index(feature), feature
    if not -len(names) <= feature < len(names):
        raise ValueError(f"There is no feature number {feature}; there are {len(names)} features.")
    return int(feature) % len(names), names[feature]
