"""What a choice of the bandwidth came to, as text and as HTML."""

import html
from typing import NamedTuple

import numpy as np


class BandwidthReport(NamedTuple):
    r"""What is worth knowing about the bandwidth of a fitted model.

    Prints as text, and shows as a table in a notebook.

    Attributes
    ----------
    choice : str
        The parameter `bandwidth`, with family and kernel.
    criterion : str or None
        Name of what was minimised; None if the bandwidth was not chosen by a criterion.
    value : float or None
        The criterion at the bandwidth in use.
    everyone : float or None
        The criterion at an infinite bandwidth, which averages everyone.
    loo_r2 : float
        One minus the leave-one-out error over that of averaging everyone.
    minima : list of tuples of a float or ndarray and a float
        Local minima that the global search met, by width: bandwidth and criterion.
    estimates : list of bool
        Which of them are estimates, from the errors of some rows: not to be compared with `value`.
    features : list of str
        Their names.
    bandwidth : ndarray of shape (n_features,)
        Bandwidth of each feature in the units of X; of a matrix H, one over the root of the diagonal of H⁻².
    in_spreads : ndarray of shape (n_features,)
        The same in units of the spread of the feature; NaN for a constant one.
    n_neighbors : tuple of three floats
        Effective number of neighbours of the training rows, by leave-one-out: smallest, median and largest of
        :math:`1 / \sum_j a_j^2 / w_j`.
    n_rows : int
        Rows that these were computed for.
    n_empty : int
        Of all rows, those that nobody else was in reach of.
    algorithm : str
        How the sums of leave-one-out are formed at this bandwidth.
    shrinkage : float or None
        Weight of the penalty of a descent.
    n_iter : int
        Iterations of the descent, or evaluations that refined the search.
    n_evaluations : int
        How often the criterion was computed, on all rows or some.
    seconds : float or None
        Time that the choice took.
    notes : tuple of str
        What else there is to say.
    """

    choice: str
    criterion: str | None
    value: float | None
    everyone: float | None
    loo_r2: float
    minima: list[tuple[float | np.ndarray, float]]
    estimates: list[bool]
    features: list[str]
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
        """Names of the features that vary, but do not count: those of infinite bandwidth."""
        out = np.isinf(self.bandwidth) & ~np.isnan(self.in_spreads)
        return [name for name, is_out in zip(self.features, out, strict=True) if is_out]

    def _lines(self):
        """Pairs of a heading and what stands beside it."""
        yield "bandwidth", self.choice
        if self.criterion is not None:
            yield self.criterion, f"{self.value:.6g}; averaging everyone: {self.everyone:.6g}"
        yield "leave-one-out R²", f"{self.loo_r2:.4f}"
        for i, ((h, value), is_estimate) in enumerate(zip(self.minima, self.estimates, strict=True)):
            h = np.diagonal(h) if np.ndim(h) == 2 else np.atleast_1d(h)
            text = np.array2string(h, precision=4, threshold=6, separator=", ").replace("\n", "")
            title = "local minima" if self.shrinkage is None else "minima, one factor"
            yield title if i == 0 else "", f"{'about ' if is_estimate else ''}{value:.6g} at {text}"
        low, median, high = self.n_neighbors
        yield "effective neighbours", f"{median:.1f} (median), {low:.1f} to {high:.1f}, seen from {self.n_rows} rows"
        yield "empty windows", f"{self.n_empty} rows have nobody else in reach"
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
        """One line per feature: its name, its bandwidth, and that in units of its spread."""
        for name, h, relative in zip(self.features, self.bandwidth, self.in_spreads, strict=True):
            yield name, f"{h:.4g}", "constant" if np.isnan(relative) else f"{relative:.4g}"

    def __str__(self) -> str:
        lines = [f"{heading:22}{text}" for heading, text in self._lines()]
        width = max(len("feature"), *map(len, self.features)) + 2
        lines += ["", f"{'feature':{width}}{'bandwidth':>12}{'in spreads':>12}"]
        lines += [f"{name:{width}}{h:>12}{relative:>12}" for name, h, relative in self._table()]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        def row(cells, tag="td"):
            return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        about = "".join(row(line) for line in self._lines())
        features = row(("feature", "bandwidth", "in spreads"), "th") + "".join(row(line) for line in self._table())
        return f"<table>{about}</table><table>{features}</table>"


def effective_neighbors(attention, rows, own, weight_unit):
    """How many observations with equal weights would average as well as these, for each query.

    Parameters
    ----------
    attention : ndarray of shape (m, n)
        Normalised weights, by leave-one-out.
    rows : Rows
    own : ndarray of shape (m,)
        Which row each query is.
    weight_unit : float
        Unit of the weights of the rows, which count observations.

    Returns
    -------
    ndarray of shape (m,)
    """
    squares = attention**2 / rows.w
    here = np.arange(len(own)), own
    squares[here] = np.divide(
        attention[here] ** 2, rows.w_rest[own], out=np.zeros(len(own)), where=rows.w_rest[own] > 0
    )
    return weight_unit / squares.sum(axis=1)


def widths(bandwidth, metric, d):
    """Bandwidth of each feature alone: how far along it a row may be at scaled distance 1."""
    if np.ndim(bandwidth) < 2:
        return np.array(np.broadcast_to(bandwidth, d), dtype=np.float64)
    h = np.full(d, np.inf)
    h[metric.features] = 1 / (metric.g if metric.G is None else np.hypot.reduce(metric.G, axis=0))
    return h
