r"""Gaussian sums in one to three features in O(n + m): the fast Gauss transform on a uniform grid of cells.

With :math:`\tau` and t the distances of a query and a row from the centres of their cells, over :math:`\sqrt2 h`, and
:math:`\Delta` that between the centres, the Gaussian is a power series in both,

.. math:: e^{-(\Delta + \tau - t)^2} = \sum_{\alpha, \beta} \frac{t^\alpha}{\alpha!} \frac{(-\tau)^\beta}{\beta!}
          h_{\alpha + \beta}(\Delta), \qquad h_n(z) = (-1)^n \frac{d^n}{dz^n} e^{-z^2},

and a product of such series with more features. Three steps follow, the second of which does not know n:

    add_moments   per cell of rows the moments sum_j v_j t_j**alpha, for v = w and v = w y
    translate     one feature at a time, turns them into the polynomials in tau of all cells nearby
    evaluate      the polynomial of its cell at each query, and its derivatives

Of all series the terms of total degree below P are kept. The Gaussian solves a heat equation, so that the derivatives
of the sums in the logarithms of the bandwidths are derivatives of the same polynomials:

.. math:: \frac{\partial k}{\partial \log h_a} = k + \frac12 \frac{\partial^2 k}{\partial \tau_a^2}.

What is left out is bounded per cell, from the weights around it; see `_series.Accuracy` and `_series.loss_of`.

References
----------
L. Greengard and J. Strain, "The fast Gauss transform", SIAM J. Sci. Stat. Comput. 12 (1991), 79-94: the expansions.
"""

import functools
import math
from typing import NamedTuple

import numpy as np

from .. import costs
from ..problem import LEAST_RTOL, State, read_only
from ..runtime.threads import in_cache, run_blocks
from .grid import Axis, Cells, Points, is_sorted, round_down
from .hermite import (
    Accuracy,
    absolute_terms,
    accuracies,
    hermite_functions,
    lines_of,
    loss_of,
    polynomials,
    remainders,
    stages,
    terms_of,
)

#: Cells of more features hold too few rows each.
MOST_FEATURES = 3


_EPS = float(np.finfo(np.float64).eps)


#: Rounding of a sum of products, in units of eps times the sum of their absolute values: of moments (some thousand
#: numbers in 4 lanes each), of the coefficients of a translation, of Horner's rule. What tests see is a tenth of it.
_ROUNDING = 32


class Layout(NamedTuple):
    """Cells of some rows.

    Attributes
    ----------
    accuracy : Accuracy
    axes : list of d Axis
        Cells from the first row to the last.
    near : ndarray of shape (n,), bool, or None
        Rows that are in cells; those so far from zero that cells have no exact edges there are set aside. None if all
        are in cells.
    cost : float
        Estimated time, in units of a multiplication with addition.
    """

    accuracy: Accuracy
    axes: list
    near: np.ndarray | None
    cost: float

    @property
    def n_coefficients(self):
        """Number of coefficients of all cells."""
        n_cells = math.prod(axis.length for axis in self.axes)
        return n_cells * len(terms_of(len(self.axes), self.accuracy.n_terms).powers)


def lay_out(rows, setting, m, most=math.inf):
    """Choose cells for some sums; None if these rows are not a case for cells.

    Parameters
    ----------
    rows : Rows
        Of one feature in ascending order.
    setting : Setting
        `rtol` is the relative error of the denominator, and the error of the averages over the range of the targets,
        where rows lie evenly.
    m : int
        Number of queries: cells do not depend on it, only their cost.
    most : float
        Cost beyond which cells are of no interest. That they cost more is often seen from a few of the rows.

    Returns
    -------
    Layout or None
    """
    g, rtol, (d, n) = setting.inv_h, setting.rtol, rows.Z.shape
    if not 1 <= d <= MOST_FEATURES or rtol < LEAST_RTOL or not 1 / _LARGEST_FACTOR < min(g) <= max(g) < _LARGEST_FACTOR:
        return None
    near = _near_zero(rows.Z, g)
    if near is not None:
        if np.count_nonzero(near) < n / 2:
            return None
        rows = rows.take(near)
    choices = accuracies(d, rtol, 2 ** math.ceil(math.log2(n)), setting.wanted)
    reach = choices[0].reach
    some = slice(None, None, 1 + n // _PROBED)
    for probed in ([read_only(z[some]) for z in rows.Z], rows.Z):  # more points never need fewer cells
        probes = [Axis.over((z,), 1 / g_k, reach / g_k, d == 1) for z, g_k in zip(probed, g, strict=True)]
        if None in probes:
            return None
        lengths = [probe.length for probe in probes]
        prices = [_cost(choice, lengths, n, n, len(rows.Y), setting.wanted) for choice in choices]
        best = int(np.argmin(prices))
        cost = _cost(choices[best], lengths, n, m, len(rows.Y), setting.wanted)
        if not cost < most:
            return None
    sizes = [round_down(choices[best].width / g_k) for g_k in g]
    widths = zip(rows.Z, sizes, reach / g, strict=True)
    axes = [Axis.over((z,), size, width, d == 1) for z, size, width in widths]
    return None if None in axes else Layout(choices[best], axes, near, cost)


def _near_zero(Z, g):
    """Which points are so near zero, in bandwidths, that cells can be counted from there; None if all are."""
    limits = _MOST_BANDWIDTHS / g
    ends = np.maximum(np.abs(Z.min(axis=1)), np.abs(Z.max(axis=1)))
    return None if (ends < limits).all() else (np.abs(Z) < limits[:, None]).all(axis=0)


#: From zero, cells can be counted up to so many bandwidths.
_MOST_BANDWIDTHS = 2.0**36

#: So many rows are looked at before all are.
_PROBED = 2**14

#: Factors of features beyond that, and one over it, leave no room for the arithmetic of cells.
_LARGEST_FACTOR = 1e150


def least_cost(n, m, p):
    """Multiplications with addition that any sums take, for n rows, m queries and p outputs."""
    return (1 + p) * (n + m) * costs.now.products_of_point


def _cost(accuracy, lengths, n, m, p, wanted):
    """Multiplications with addition that the sums take; `inf` if the cells do not fit."""
    d, P = len(lengths), accuracy.n_terms
    n_coefficients = math.comb(P + d - 1, d)
    n_cells = math.prod(math.ceil(length / accuracy.width) + 1 for length in lengths)
    if n_cells * n_coefficients > _MOST_NUMBERS or n_cells > 1000 + 4 * (n + m):
        return math.inf
    products = n_coefficients * P / d
    offsets = 2 * accuracy.reach / accuracy.width + 3
    q = wanted.count(d)
    return (1 + p) * (
        n * (2 * n_coefficients + costs.now.products_of_point)
        + m * ((1 + q) * n_coefficients + costs.now.products_of_point)
        + d * n_cells * offsets * products
    )


#: Coefficients of all cells, twice, are at most that many: 256 MiB.
_MOST_NUMBERS = 2**24


class Table(NamedTuple):
    """Polynomials of the cells, of which sums are the values.

    Attributes
    ----------
    axes : list of d Axis
    series : list of ndarray of shape (n_coefficients, n_cells)
        Of the weights, then of the weighted targets.
    bounds : ndarray of shape (n_cells,)
        Error of the denominator.
    """

    axes: list
    series: list
    bounds: np.ndarray


class Expansions:
    """The rows of a layout as polynomials, which are computed at the first call that needs them.

    Parameters
    ----------
    rows : Rows
        All of them.
    setting : Setting
    layout : Layout
    """

    def __init__(self, rows, setting, layout):
        self.rows = rows if layout.near is None else rows.take(layout.near)
        self.setting, self.layout, self._tables = setting, layout, {}

    def table(self, axes, n_threads):
        """The polynomials of the cells of some axes, those of the layout or these with margins.

        Notes
        -----
        O(n P**d / d!) time, plus O(P**(d + 1) / d!) per cell and cell within reach along one feature.
        """
        is_inner = axes is self.layout.axes
        if is_inner not in self._tables:
            self._tables[is_inner] = self._compute(axes, n_threads)
        return self._tables[is_inner]

    @functools.cached_property
    def with_margins(self):
        """Axes that reach as far beyond the rows as their weights do; None where these are too many cells."""
        reach = self.layout.accuracy.reach / self.setting.inv_h
        axes = [axis.with_margins(r) for axis, r in zip(self.layout.axes, reach, strict=True)]
        if None in axes:
            return None
        inner, outer = (math.prod(axis.length for axis in each) for each in (self.layout.axes, axes))
        n_coefficients = len(terms_of(len(axes), self.layout.accuracy.n_terms).powers)
        return axes if outer <= _MOST_MARGINS * inner and outer * n_coefficients <= _MOST_NUMBERS else None

    def _compute(self, axes, n_threads):
        from .fast_gauss_loops import add_moments

        rows, accuracy, d = self.rows, self.layout.accuracy, len(axes)
        cells, terms = Cells.of(axes, self.setting.inv_h), terms_of(len(axes), accuracy.n_terms)
        points = Points.of(rows.Z, axes, cells, in_order=d == 1)
        table = Table(axes, [], None)
        for c in range(1 + len(rows.Y)):
            v = rows.w if c == 0 else read_only(rows.w * rows.Y[c - 1])
            series = np.empty((len(terms.powers), len(points.starts) - 1))

            def gather(first, last, v=v, moments=series):
                add_moments(rows.Z, v, cells, points.order, points.starts, terms.runs, first, last, moments)

            run_blocks(gather, points.blocks(), n_threads)
            if c == 0:
                translations, bounds = _translations(accuracy, cells, series[:1], self.setting.wanted, n_threads)
                table = table._replace(bounds=bounds)
            for translation in translations:
                series = translation.of(series, n_threads)
            table.series.append(series)
        return table

    def axes_for(self, Z):
        """The axes to evaluate some points in, and which of these are in cells.

        Parameters
        ----------
        Z : ndarray of shape (d, m)
        """
        inside = _inside(self.layout.axes, Z)
        if inside.all() or self.with_margins is None:
            return self.layout.axes, inside
        return self.with_margins, _inside(self.with_margins, Z)

    def is_beyond_reach(self, Z):
        """Whether no row that is set aside counts for a point."""
        limits = (_MOST_BANDWIDTHS - 2 * self.layout.accuracy.reach) / self.setting.inv_h
        return (np.abs(Z) < limits[:, None]).all(axis=0)


#: With margins, cells are at most that many times as many.
_MOST_MARGINS = 4


def _inside(axes, Z):
    """Which points are in a cell that is kept."""
    return np.logical_and.reduce([axis.is_inside(z) for axis, z in zip(axes, Z, strict=True)])


def fast_gauss_sums(expansions, queries, *, n_threads=1):
    """Gaussian sums of the queries that are in cells.

    Parameters
    ----------
    expansions : Expansions
    queries : Queries
    n_threads : int

    Returns
    -------
    State
        Relative to s = 0. With `error` the bounds of what series and cutoffs leave out; but for rounding, a hundred
        times as much is a bound for derivatives. Queries outside of all cells are not computed.

    Notes
    -----
    O(m P**d / d!) time, besides what `Expansions.table` takes once.
    """
    rows, layout, wanted = expansions.rows, expansions.layout, expansions.setting.wanted
    m, p, q = len(queries.Z), len(rows.Y), wanted.count(len(layout.axes))
    Z, chosen = read_only(queries.Z.T), None
    if queries.kind == "all":
        axes, inside = layout.axes, np.ones(m, dtype=bool)
    else:
        axes, inside = expansions.axes_for(Z)
    if layout.near is not None:
        inside &= expansions.is_beyond_reach(Z)
    if not inside.all():
        chosen = inside
    out, error = _evaluate(expansions, axes, Z if chosen is None else read_only(Z[:, chosen]), n_threads)
    if queries.row is not None:
        _leave_out(expansions, queries, chosen, out, n_threads)
    here = State(np.zeros(len(error)), out[:, 0].T, out[:, 1:].transpose(2, 1, 0), np.stack([error, error], axis=1))
    if chosen is None:
        return here
    state = State.empty(m, p, q)
    state.offset[:], state.error[:] = 0.0, math.inf
    state.put(chosen, here)
    return state


def _evaluate(expansions, axes, Z, n_threads):
    """Sums and derivatives at some points, of shape (1 + p, 1 + q, m), and the bound of the error of each."""
    from .fast_gauss_loops import evaluate
    from .grouping import fill

    setting, accuracy, m = expansions.setting, expansions.layout.accuracy, Z.shape[1]
    table, cells = expansions.table(axes, n_threads), Cells.of(axes, setting.inv_h)
    points = Points.of(Z, axes, cells, in_order=len(axes) == 1 and is_sorted(Z[0]))
    terms = terms_of(len(axes), accuracy.n_terms)
    entries, factors = polynomials(len(axes), accuracy.n_terms, setting.wanted)
    out, error = np.empty((len(table.series), 1 + setting.wanted.count(len(axes)), m)), np.empty(m)
    for series, values in zip(table.series, out, strict=True):

        def spread(first, last, series=series, values=values):
            lists = points.order, points.starts
            evaluate(points.Z, cells, *lists, terms.runs, entries, factors, first, last, series, values)

        run_blocks(spread, points.blocks(), n_threads)

    def bound(first, last):
        fill(table.bounds, points.order, points.starts, first, last, error)

    run_blocks(bound, points.blocks(), n_threads)
    return out, error


def _leave_out(expansions, queries, chosen, out, n_threads):
    """Take what is left out of each training row from its own sums; `chosen` are the queries that were computed."""
    rows, near = expansions.rows, expansions.layout.near
    row = queries.row if chosen is None else queries.row[chosen]
    are_all = queries.kind == "all" and chosen is None
    if near is not None:  # a row that is set aside is not computed
        row = np.where(row >= 0, np.cumsum(near)[row] - 1, -1)

    def leave_out(start, stop):
        part = slice(start, stop)
        mine = part if are_all else np.maximum(row[part], 0)
        v = rows.w[mine] - rows.w_rest[mine]
        if not are_all:
            v[row[part] < 0] = 0
        out[0, 0, part] -= v
        out[1:, 0, part] -= v * rows.Y[:, mine]

    run_blocks(leave_out, in_cache(len(row)), n_threads)


def _translations(accuracy, cells, weights, wanted, n_threads):
    """The translations along each feature, and a bound of the error of the mass of each cell."""
    lengths = cells.lengths.tolist()
    d = len(lengths)
    absolute, remainder, found = weights, weights, []
    for k, width in enumerate((cells.sizes * cells.g).tolist()):
        most = math.ceil(accuracy.reach / width)
        offsets = np.arange(-most, most + 1)
        filled = np.concatenate([[0], np.cumsum(absolute[0] > 0)])
        place = lengths[k], filled
        lines = lines_of(d, accuracy.n_terms, 3 - d + k)
        found.append(_Translation(_factors(width, offsets, accuracy.n_terms), *lines, *place))
        absolute = _Translation(absolute_terms(width, offsets)[:, None, None], *_ONE, *place).of(absolute, n_threads)
        table = remainders(width, offsets, accuracy.n_terms + 1)
        remainder = _remainder_step(table, remainder, last=k == d - 1, place=place).of(remainder, n_threads)
    left_out = stages(d) * remainder[0] + weights.sum() * math.exp(-0.5 * accuracy.reach**2)
    width = float(min(cells.sizes * cells.g))
    loss = loss_of(d, width, accuracy.n_terms, accuracy.reach, wanted)
    return found, loss * left_out + _ROUNDING * _EPS * absolute[0]


def _factors(width, offsets, n_terms):
    """Coefficients of a translation along one feature: by offset, exponent of the target and of the source."""
    h = hermite_functions(offsets * (width / math.sqrt(2)), 2 * n_terms - 1)
    i = np.arange(n_terms)
    factorial = np.array([math.factorial(a) for a in range(n_terms)], dtype=float)
    sign = np.where(i % 2, -1.0, 1.0)
    factors = h[i[:, None] + i] * (sign / factorial)[:, None, None] / factorial[:, None]
    return np.ascontiguousarray(np.moveaxis(factors, 2, 0))


class _Translation(NamedTuple):
    """Series around other cells, along one axis.

    It is the first axis of the list of cells, and becomes the last: neighbours along it are far apart in the list, so
    that a loop may run over many cells that all do the same.

    Attributes
    ----------
    factors, targets, sources, begin, filled
        As in `_expansions.translate`.
    length : int
        Number of cells along the axis.
    """

    factors: np.ndarray
    targets: np.ndarray
    sources: np.ndarray
    begin: np.ndarray
    length: int
    filled: np.ndarray

    def of(self, source, n_threads):
        """The translated series."""
        from .fast_gauss_loops import translate

        n_cells = source.shape[1]
        target = np.empty((len(self.targets), n_cells))
        stride, arrays = n_cells // self.length, (self.factors, self.targets, self.sources, self.begin)
        step = max(_FEWEST_CELLS, _WORK_PER_BLOCK // (len(self.sources) * self.factors[:, 0].size))
        run_blocks(
            lambda first, last: translate(*arrays, stride, self.filled, source, first, last, target),
            [(first, min(first + step, n_cells)) for first in range(0, n_cells, step)],
            n_threads,
        )
        if stride == 1:
            return target
        return np.ascontiguousarray(target.reshape(-1, self.length, stride).swapaxes(1, 2)).reshape(-1, n_cells)


#: One coefficient, and the one it comes from.
_ONE = np.array([0]), np.array([0]), np.array([[0, 1], [0, 1]])


def _remainder_step(table, source, *, last, place):
    """One factor of the sum over all exponents of degree P of the products of remainders."""
    P = len(table) - 1
    degrees = np.arange(P if last else 0, P + 1)
    rest = degrees[:, None] - np.arange(len(source))
    factors = np.moveaxis(np.where((rest >= 0)[:, :, None], table[np.maximum(rest, 0)], 0.0), 2, 0)
    line = np.arange(len(degrees)), np.arange(len(source)), np.array([[0, len(degrees)], [0, len(source)]])
    return _Translation(np.ascontiguousarray(factors), *line, *place)


#: Products that one thread does without asking, and cells that one call takes at least.
_WORK_PER_BLOCK = 2**24


_FEWEST_CELLS = 128
