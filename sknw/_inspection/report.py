"""Summary of the choice of a bandwidth, as text and as HTML."""

import html
from typing import NamedTuple

import numpy as np

from .._bandwidth import spreads
from .._estimators.inputs import unit_of
from .._smoothing.sample import Sample, can_leave_out

#: Effective numbers of neighbors are computed for at most this many rows.
_ROWS_REPORTED = 1000

#: Pairs whose weights are held at a time (32 MiB).
_WEIGHTS_AT_A_TIME = 2**22


class BandwidthReport(NamedTuple):
    r"""Summary of the bandwidth of a fitted model and of its choice.

    Prints as text, and shows as a table in a notebook.

    Attributes
    ----------
    choice : str
        The parameter `bandwidth`, the family and the kernel.
    criterion : str or None
        Name of the criterion that was minimized; None if the bandwidth was given or follows from a rule of thumb.
    value : float or None
        The criterion at the bandwidth in use.
    global_mean_value : float or None
        The criterion of the global mean, at an infinite bandwidth.
    loo_r2 : float
        One minus the leave-one-out error relative to that of the global mean; NaN for a single observation.
    minima : list of tuples of a float or ndarray and a float
        Local minima of the global search: bandwidth and criterion, in the order of the bandwidths.
    estimates : list of bool
        Which of these were estimated on a subsample; estimates are not comparable with `value`.
    features : list of str
        Names of the features.
    units : list of str
        Unit of each feature that held dates or durations; an empty string for numbers.
    bandwidth : ndarray of shape (n_features,)
        Bandwidth of each feature in the units of X; for a matrix H, one over the root of the diagonal of H⁻².
    in_spreads : ndarray of shape (n_features,)
        The same relative to the spread of the feature; NaN for a constant feature.
    n_neighbors : tuple of three floats
        Effective number of neighbors of the training rows in leave-one-out: minimum, median and maximum of
        :math:`1 / \sum_j a_j^2 / w_j`.
    n_rows : int
        Number of rows for which these were computed.
    n_empty : int
        Number of rows, out of all, whose leave-one-out neighborhood is empty.
    algorithm : str
        Algorithm of the kernel sums of leave-one-out at this bandwidth.
    shrinkage : float or None
        Weight of the penalty of a descent.
    n_iter : int
        Iterations of the descent, or evaluations that refined the search.
    n_evaluations : int
        Number of evaluations of the criterion, on all rows or on a subsample.
    seconds : float or None
        Duration of the choice.
    notes : tuple of str
        Remarks, for example on a choice that was stopped early.
    """

    choice: str
    criterion: str | None
    value: float | None
    global_mean_value: float | None
    loo_r2: float
    minima: list[tuple[float | np.ndarray, float]]
    estimates: list[bool]
    features: list[str]
    units: list[str]
    bandwidth: np.ndarray
    in_spreads: np.ndarray
    n_neighbors: tuple[float, float, float]
    n_rows: int
    n_empty: int
    algorithm: str
    shrinkage: float | None
    n_iter: int
    n_evaluations: int
    seconds: float | None
    notes: tuple[str, ...]

    @property
    def smoothed_out(self):
        """Names of the features that vary, but have an infinite bandwidth."""
        out = np.isinf(self.bandwidth) & ~np.isnan(self.in_spreads)
        return [name for name, is_out in zip(self.features, out, strict=True) if is_out]

    def _lines(self):
        """Yield pairs of a heading and its text."""
        yield "bandwidth", self.choice
        if self.criterion is not None:
            yield self.criterion, f"{self.value:.6g}; global mean: {self.global_mean_value:.6g}"
        yield "leave-one-out R²", f"{self.loo_r2:.4f}"
        for i, ((h, value), is_estimate) in enumerate(zip(self.minima, self.estimates, strict=True)):
            h = np.diagonal(h) if np.ndim(h) == 2 else np.atleast_1d(h)
            text = np.array2string(h, precision=4, threshold=6, separator=", ").replace("\n", "")
            title = "local minima" if self.shrinkage is None else "minima, one factor"
            yield title if i == 0 else "", f"{'about ' if is_estimate else ''}{value:.6g} at {text}"
        low, median, high = self.n_neighbors
        yield "effective neighbors", f"{median:.1f} (median), {low:.1f} to {high:.1f}, of {self.n_rows} rows"
        yield "empty neighborhoods", f"{self.n_empty} rows"
        yield "algorithm", self.algorithm
        if self.smoothed_out:
            yield "smoothed out", ", ".join(self.smoothed_out)
        if self.shrinkage is not None:
            yield "shrinkage", f"{self.shrinkage:g}"
        if self.seconds is not None:
            seconds = f"{self.seconds:.2g}" if self.seconds < 99.5 else f"{self.seconds:.0f}"
            yield "work", f"{self.n_iter} iterations, {self.n_evaluations} evaluations, {seconds} s"
        for i, note in enumerate(self.notes):
            yield "notes" if i == 0 else "", note

    def _table(self):
        """Yield name, bandwidth, bandwidth relative to the spread, and unit of each feature."""
        for name, h, relative, unit in zip(self.features, self.bandwidth, self.in_spreads, self.units, strict=True):
            yield name, f"{h:.4g}", "constant" if np.isnan(relative) else f"{relative:.4g}", unit

    def __str__(self) -> str:
        about = list(self._lines())
        width = max(22, *(len(heading) + 2 for heading, _ in about))
        lines = [f"{heading:{width}}{text}" for heading, text in about]
        width = max(len("feature"), *map(len, self.features)) + 2
        lines += ["", f"{'feature':{width}}{'bandwidth':>12}{'in spreads':>12}"]
        lines += [f"{name:{width}}{h:>12}{relative:>12}  {unit}".rstrip() for name, h, relative, unit in self._table()]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        def row(cells, tag="td"):
            return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        about = "".join(row(line) for line in self._lines())
        head = row(("feature", "bandwidth", "in spreads", "unit" if any(self.units) else ""), "th")
        features = head + "".join(row(line) for line in self._table())
        return f"<table>{about}</table><table>{features}</table>"


def report_on(estimator, options):
    """Compute the report of a fitted estimator.

    Parameters
    ----------
    estimator : KernelSmoother
    options : Options
        How kernel sums are computed.

    Returns
    -------
    BandwidthReport
    """
    model, choice, d = estimator._model, estimator._choice, estimator.n_features_in_
    loo_r2, neighbors, n_empty, notes = _leave_one_out(model, options)
    h = widths(model.bandwidth, model.metric, d)
    spread = _spreads(estimator)
    with np.errstate(over="ignore"):
        in_spreads = np.divide(h, spread, out=np.full(d, np.nan), where=spread > 0)
    kernel = model.kernel if isinstance(model.kernel, str) else "user's profile"
    report = BandwidthReport(
        choice=f"{choice.name}, {choice.bandwidth_type}, {kernel}",
        criterion=choice.criterion,
        value=None,
        global_mean_value=None,
        loo_r2=loo_r2,
        minima=[],
        estimates=[],
        features=list(getattr(estimator, "feature_names_in_", [f"x{i}" for i in range(d)])),
        units=[unit_of(estimator._kinds.get(j)) for j in range(d)],
        bandwidth=h,
        in_spreads=in_spreads,
        n_neighbors=tuple(float(q) for q in np.quantile(neighbors, [0, 0.5, 1])),
        n_rows=len(neighbors),
        n_empty=n_empty,
        algorithm=estimator.algorithm_,
        shrinkage=choice.attributes.get("shrinkage_"),
        n_iter=choice.attributes["n_iter_"],
        n_evaluations=0,
        seconds=choice.seconds,
        notes=notes,
    )
    if choice.selection is None:
        return report
    results = choice.attributes["cv_results_"]
    low = results["local_minimum"]
    return report._replace(
        value=-choice.attributes["best_score_"],
        global_mean_value=float(results["criterion"][-1]),
        minima=list(zip(results["bandwidth"][low], results["criterion"][low].tolist(), strict=True)),
        estimates=results["estimate"][low].tolist(),
        n_evaluations=choice.selection.n_evaluations,
        notes=(*notes, *choice.selection.notes),
    )


def _leave_one_out(model, options):
    """Return R², effective neighbors, number of empty neighborhoods, and notes of leave-one-out."""
    if not can_leave_out(model.rows):
        return float("nan"), np.array([np.nan]), 0, ("leave-one-out is undefined for a single observation",)
    w = model.rows.w
    errors, is_empty = model.leave_one_out_errors(options)
    of_mean = w @ model.leave_one_out_errors(options, globally=True)[0]
    r2 = float(1 - w @ errors / of_mean) if of_mean > 0 else float("nan")
    return r2, _neighbors_of_some(model, options), int(np.count_nonzero(is_empty)), ()


def _neighbors_of_some(model, options):
    """Return effective numbers of neighbors of rows spread evenly over the training set."""
    n = len(model.rows.w)
    some = np.unique(np.linspace(0, n - 1, min(n, _ROWS_REPORTED)).astype(np.int64))
    step, found = max(1, _WEIGHTS_AT_A_TIME // n), []
    for start in range(0, len(some), step):
        block = some[start : start + step]
        attention = model.leave_one_out_weights(block, options)
        found.append(effective_neighbors(attention, model.rows, block, model.weight_unit))
    return np.concatenate(found)


def _spreads(estimator):
    """Spread of each feature over the training rows."""
    X, model = estimator.X_fit_.astype(np.float64, copy=False), estimator._model
    sample = Sample.of(X, np.zeros((len(X), 1)), model.row_of >= 0)
    return spreads(sample._replace(w=model.rows.w))


def effective_neighbors(attention, rows, which, weight_unit):
    """Return the number of equally weighted observations whose average has the same variance.

    Parameters
    ----------
    attention : ndarray of shape (m, n)
        Normalized leave-one-out weights.
    rows : Rows
    which : ndarray of shape (m,)
        Row of each query.
    weight_unit : float
        Unit of the weights of the rows, which count observations.

    Returns
    -------
    ndarray of shape (m,)
    """
    squares = attention**2 / rows.w
    here, loo_weight = (np.arange(len(which)), which), rows.w_rest[which]
    squares[here] = np.divide(attention[here] ** 2, loo_weight, out=np.zeros(len(which)), where=loo_weight > 0)
    return weight_unit / squares.sum(axis=1)


def widths(bandwidth, metric, d):
    """Return the distance along each feature at which the scaled distance is 1."""
    if np.ndim(bandwidth) < 2:
        return np.array(np.broadcast_to(bandwidth, d), dtype=np.float64)
    h = np.full(d, np.inf)
    h[metric.features] = 1 / (metric.g if metric.G is None else np.hypot.reduce(metric.G, axis=0))
    return h
