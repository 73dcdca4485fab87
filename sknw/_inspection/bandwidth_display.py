"""Curves of the choice of a bandwidth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._estimators.inputs import unit_of
from .display import Display, find_feature, unwrap

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal, Self

    from matplotlib.axes import Axes
    from numpy.typing import NDArray
    from sklearn.base import BaseEstimator

    from .._typing import Floats

#: Ratio of the largest to the smallest value of a criterion from which its axis is logarithmic.
_DECADES = 100

#: Differences below this share of the minimum are drawn as one on a logarithmic axis.
_LEAST_EXCESS = 1e-3


class BandwidthDisplay(Display):
    """Criterion by bandwidth or by iteration of a descent, or relevance of each feature.

    Use `BandwidthDisplay.from_estimator` to create one.

    Parameters
    ----------
    criterion : ndarray of shape (n_points,), default=None
        Leave-one-out errors, or another criterion.
    bandwidth : ndarray of shape (n_points,), default=None
        Bandwidths in ascending order, the last of which may be `inf`; None if `criterion` is per iteration.
    chosen : float, default=None
        The chosen bandwidth.
    name : str, default="bandwidth"
        Label of the axis of bandwidths.
    relevance : ndarray of shape (n_features,), default=None
        Spread of each feature divided by its bandwidth. If given, the relevance alone is drawn.
    feature_names : list of str, default=None
        Names of the features.
    criterion_name : str, default="leave-one-out error"
        Label of the axis of the criterion.
    local_minimum : ndarray of bool, default=None
        Which of the bandwidths are local minima. Those that were not chosen are marked.

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
    NadarayaWatsonRegressor : Its `cv_results_` and `loss_curve_` are drawn.

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
        """Draw how a fitted estimator chose its bandwidth.

        Parameters
        ----------
        estimator : NadarayaWatsonRegressor or NadarayaWatsonClassifier
            Fitted, for "search" and "descent" with a bandwidth chosen in that way; also a pipeline that ends with one,
            or a search for its parameters.
        kind : {"search", "descent", "features"}, default="search"
            The global search of one factor, the iterations of the descent that followed, or the relevance of each
            feature: its spread divided by its bandwidth, 0 for an infinite bandwidth.
        feature : int or str, default=0
            Feature whose bandwidth is drawn, if there is one per feature. All are the same multiple of their spreads.
        **plot_options : dict
            Passed to `plot`.

        Returns
        -------
        BandwidthDisplay

        Raises
        ------
        ValueError
            If the estimator was not fitted in the way that `kind` requires.
        """
        estimator, _ = unwrap(estimator)
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
            display = cls(criterion=np.asarray(estimator.loss_curve_), criterion_name=estimator._choice.criterion)
            return display.plot(**plot_options)
        feature, name = find_feature(estimator, feature)
        results = estimator.cv_results_
        h, d = results["bandwidth"], estimator.n_features_in_
        several = h.ndim > 1 and h.shape[1] > 1
        if h.ndim > 1:
            h = h[:, feature] if h.ndim == 2 else h[:, feature, feature]
        chosen = None
        if not hasattr(estimator, "loss_curve_"):  # a descent ends beside this curve
            bandwidth = np.asarray(estimator.bandwidth_)
            chosen = float(np.broadcast_to(bandwidth if bandwidth.ndim < 2 else bandwidth.diagonal(), d)[feature])
        unit = unit_of(estimator._kinds.get(feature)).partition(" since")[0]
        display = cls(
            criterion=results["criterion"],
            bandwidth=h,
            chosen=chosen,
            name=(f"bandwidth of {name}" if several else "bandwidth") + (f" ({unit})" if unit else ""),
            criterion_name=estimator._choice.criterion,
            local_minimum=results["local_minimum"],
        )
        return display.plot(**plot_options)

    def plot(
        self, *, ax: Axes | None = None, line_kw: dict[str, Any] | None = None, bar_kw: dict[str, Any] | None = None
    ) -> Self:
        """Draw the curve, with marks at the chosen bandwidth and other local minima, or the bars.

        If the largest criterion is at least 100 times the smallest, the axis shows the criterion minus its minimum on a
        logarithmic scale.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Axes to draw on; None makes new ones.
        line_kw : dict, default=None
            Passed to `matplotlib.axes.Axes.plot` for the curve; overrides the defaults.
        bar_kw : dict, default=None
            Passed to `matplotlib.axes.Axes.barh` for the bars; overrides the defaults.

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
        values = self._heights(ax)
        if self.bandwidth is None:
            (self.line_,) = ax.plot(values, **{"marker": ".", **options})
            ax.set(xlabel="iteration")
            ax.xaxis.get_major_locator().set_params(integer=True)
            return self
        finite = np.isfinite(self.bandwidth)
        h, criterion = self.bandwidth[finite], values[finite]
        (self.line_,) = ax.plot(h, criterion, **options)
        ax.set(xscale="log", xlabel=self.name)
        if not finite.all():
            chosen = " (chosen)" if self.chosen is not None and np.isinf(self.chosen) else ""
            label = f"infinite: global mean{chosen}"
            self.infinite_ = ax.axhline(values[~finite][-1], color="0.6", linestyle=":", label=label)
        low = np.flatnonzero([] if self.local_minimum is None else self.local_minimum[finite])
        if self.chosen is not None and np.isfinite(self.chosen) and len(h):
            i = np.argmin(np.abs(h - self.chosen))
            # The refined point lies in a bracket of grid points, all of which belong to the same minimum.
            low = low[np.abs(np.log(h[low] / h[i])) > 0.05] if h[i] > 0 else low
            (self.chosen_,) = ax.plot(h[i], criterion[i], "o", color="C3", label=f"chosen: {h[i]:.4g}")
        if len(low):
            (self.minima_,) = ax.plot(h[low], criterion[low], "o", mfc="none", color="C0", label="other local minima")
        ax.legend()
        return self

    def _heights(self, ax):
        """Return the criterion, or its excess over the minimum for a logarithmic axis."""
        values = np.asarray(self.criterion, dtype=np.float64)
        finite = values[np.isfinite(values)]
        if not len(finite) or finite.min() < 0 or finite.max() < _DECADES * finite.min() or not finite.max() > 0:
            ax.set(ylabel=self.criterion_name)
            return values
        lowest = finite.min()
        excess = values - lowest
        # The minimum itself, whose logarithm is -inf, and differences that do not matter are drawn at the bottom.
        excess = np.maximum(excess, max(0.5 * excess[excess > 0].min(), _LEAST_EXCESS * lowest))
        ax.set(ylabel=f"{self.criterion_name}, minus its minimum {lowest:.4g}", yscale="log")
        return excess
