r"""Gaussian sums in O(n + m), in one to three features: the fast Gauss transform.

Let :math:`\tau` and t be the distances of a query and a row from the centers of their cells, and :math:`\Delta` the
distance of the centers, all divided by :math:`\sqrt2 h`. The Gaussian is a power series in both,

.. math:: e^{-(\Delta + \tau - t)^2} = \sum_{\alpha, \beta} \frac{t^\alpha}{\alpha!} \frac{(-\tau)^\beta}{\beta!}
          h_{\alpha + \beta}(\Delta), \qquad h_n(z) = (-1)^n \frac{d^n}{dz^n} e^{-z^2},

and a product of such series in several features. There are three steps, the second of which does not depend on n::

    add_moments   for each cell of rows, the moments sum_j v_j t_j**alpha, for v = w and v = w y
    translate     one feature at a time, turns them into the polynomials in tau of all cells nearby
    evaluate      the polynomial of its cell at each query, and its derivatives

Terms of total degree below P are kept. The Gaussian solves a heat equation, so the derivatives
of the sums in the logarithms of the bandwidths follow from derivatives of the same polynomials:

.. math:: \frac{\partial k}{\partial \log h_a} = k + \frac12 \frac{\partial^2 k}{\partial \tau_a^2}.

The error of each cell is bounded from the weights around it; see `hermite.accuracies` and `hermite.loss_of`.

References
----------
L. Greengard and J. Strain, "The fast Gauss transform", SIAM J. Sci. Stat. Comput. 12 (1991), 79-94: the expansions.
"""

import functools
import math
from typing import NamedTuple

import numpy as np

from ..problem import State, read_only
from ..runtime.threads import in_cache, run_blocks
from .grid import Cells, Points, is_sorted
from .hermite import (
    absolute_terms,
    hermite_functions,
    lines_of,
    loss_of,
    polynomials,
    remainders,
    stages,
    terms_of,
)
from .layout import MOST_BANDWIDTHS, MOST_COEFFICIENTS

_EPS = float(np.finfo(np.float64).eps)


#: Rounding of a sum of products, in units of eps times the sum of their absolute values. It covers moments (some
#: thousand numbers in 4 lanes each), the coefficients of a translation, and Horner's rule. Errors in tests are a tenth
#: of it.
_ROUNDING = 32


class Table(NamedTuple):
    """Polynomials of the cells, whose values are the sums.

    Attributes
    ----------
    axes : list of d Axis
    series : list of ndarray of shape (n_coefficients, n_cells)
        For the weights, then for the weights times each output.
    bounds : ndarray of shape (n_cells,)
        Error bounds of the denominators.
    """

    axes: list
    series: list
    bounds: np.ndarray


class Expansions:
    """The rows of a layout as polynomials, computed at the first call that uses them.

    Parameters
    ----------
    rows : Rows
        All rows.
    setting : Setting
    layout : Layout
    """

    def __init__(self, rows, setting, layout):
        self.rows = rows if layout.near is None else rows.take(layout.near)
        self.setting, self.layout, self._tables = setting, layout, {}

    def table(self, axes, n_threads):
        """The polynomials of the cells of axes: those of the layout, or those with margins.

        Notes
        -----
        O(n P**d / d!) time, plus O(P**(d + 1) / d!) per cell and cell within the cutoff along one feature.
        """
        is_inner = axes is self.layout.axes
        if is_inner not in self._tables:
            self._tables[is_inner] = self._compute(axes, n_threads)
        return self._tables[is_inner]

    @functools.cached_property
    def with_margins(self):
        """Axes extended by the cutoff; None if these are too many cells."""
        reach = self.layout.accuracy.reach / self.setting.inv_h
        axes = [axis.with_margins(r) for axis, r in zip(self.layout.axes, reach, strict=True)]
        if None in axes:
            return None
        inner, outer = (math.prod(axis.length for axis in each) for each in (self.layout.axes, axes))
        n_coefficients = len(terms_of(len(axes), self.layout.accuracy.n_terms).powers)
        return axes if outer <= _MOST_MARGINS * inner and outer * n_coefficients <= MOST_COEFFICIENTS else None

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
        """The axes to evaluate points in, and which of the points are in cells.

        Parameters
        ----------
        Z : ndarray of shape (d, m)

        Returns
        -------
        axes : list of d Axis
        inside : ndarray of shape (m,), bool
        """
        inside = _inside(self.layout.axes, Z)
        if inside.all() or self.with_margins is None:
            return self.layout.axes, inside
        return self.with_margins, _inside(self.with_margins, Z)

    def is_beyond_reach(self, Z):
        """Whether all rows that are set aside are beyond the cutoff of each point."""
        limits = (MOST_BANDWIDTHS - 2 * self.layout.accuracy.reach) / self.setting.inv_h
        return (np.abs(Z) < limits[:, None]).all(axis=0)


#: Maximum ratio of the numbers of cells with and without margins.
_MOST_MARGINS = 4


def _inside(axes, Z):
    """Whether each point is in a cell."""
    return np.logical_and.reduce([axis.is_inside(z) for axis, z in zip(axes, Z, strict=True)])


def fast_gauss_sums(expansions, queries, *, n_threads=1):
    """Gaussian sums of the queries in cells.

    Parameters
    ----------
    expansions : Expansions
    queries : Queries
    n_threads : int

    Returns
    -------
    State
        With offset 0. `error` bounds what truncation and the cutoff neglect, and rounding. Except for rounding, a
        hundred times as much is a bound for derivatives. Queries outside of all cells are not computed.

    Notes
    -----
    O(m P**d / d!) time, plus that of `Expansions.table` at the first call.
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
    computed = State(np.zeros(len(error)), out[:, 0].T, out[:, 1:].transpose(2, 1, 0), np.stack([error, error], axis=1))
    if chosen is None:
        return computed
    state = State.empty(m, p, q)
    state.offset[:], state.error[:] = 0.0, math.inf
    state.put(chosen, computed)
    return state


def _evaluate(expansions, axes, Z, n_threads):
    """Sums and derivatives at points, and their error bounds.

    Returns
    -------
    out : ndarray of shape (1 + p, 1 + q, m)
    error : ndarray of shape (m,)
    """
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
    """Subtract the removed weight of each training row from its own sums.

    `chosen` is the mask of the queries that were computed, or None if all were.
    """
    rows, near = expansions.rows, expansions.layout.near
    row = queries.row if chosen is None else queries.row[chosen]
    are_all = queries.kind == "all" and chosen is None
    if near is not None:  # rows that are set aside have not been computed
        row = np.where(row >= 0, np.cumsum(near)[row] - 1, -1)

    def leave_out(start, stop):
        block = slice(start, stop)
        numbers = block if are_all else np.maximum(row[block], 0)
        v = rows.w[numbers] - rows.w_rest[numbers]
        if not are_all:
            v[row[block] < 0] = 0
        out[0, 0, block] -= v
        out[1:, 0, block] -= v * rows.Y[:, numbers]

    run_blocks(leave_out, in_cache(len(row)), n_threads)


def _translations(accuracy, cells, weights, wanted, n_threads):
    """The translations along each feature, and an error bound of the denominator of each cell."""
    lengths = cells.lengths.tolist()
    d = len(lengths)
    absolute, remainder, translations = weights, weights, []
    for k, width in enumerate((cells.sizes * cells.g).tolist()):
        limit = math.ceil(accuracy.reach / width)
        offsets = np.arange(-limit, limit + 1)
        filled = np.concatenate([[0], np.cumsum(absolute[0] > 0)])
        position = lengths[k], filled
        lines = lines_of(d, accuracy.n_terms, 3 - d + k)
        translations.append(_Translation(_factors(width, offsets, accuracy.n_terms), *lines, *position))
        absolute = _Translation(absolute_terms(width, offsets)[:, None, None], *_ONE, *position).of(absolute, n_threads)
        table = remainders(width, offsets, accuracy.n_terms + 1)
        remainder = _remainder_step(table, remainder, last=k == d - 1, position=position).of(remainder, n_threads)
    left_out = stages(d) * remainder[0] + weights.sum() * math.exp(-0.5 * accuracy.reach**2)
    width = float(min(cells.sizes * cells.g))
    loss = loss_of(d, width, accuracy.n_terms, accuracy.reach, wanted)
    return translations, loss * left_out + _ROUNDING * _EPS * absolute[0]


def _factors(width, offsets, n_terms):
    """Coefficients of a translation by offset, exponent of the target and of the source."""
    h = hermite_functions(offsets * (width / math.sqrt(2)), 2 * n_terms - 1)
    i = np.arange(n_terms)
    factorial = np.array([math.factorial(a) for a in range(n_terms)], dtype=float)
    sign = np.where(i % 2, -1.0, 1.0)
    factors = h[i[:, None] + i] * (sign / factorial)[:, None, None] / factorial[:, None]
    return np.ascontiguousarray(np.moveaxis(factors, 2, 0))


class _Translation(NamedTuple):
    """Translation of series to other cells along one axis.

    The axis is the first one of the list of cells, and becomes the last. Neighbors along it are far apart in the list,
    so that a loop can run over many cells with the same operations.

    Attributes
    ----------
    factors, targets, sources, begin, filled
        As in `fast_gauss_loops.translate`.
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


#: A single coefficient as both source and target.
_ONE = np.array([0]), np.array([0]), np.array([[0, 1], [0, 1]])


def _remainder_step(table, source, *, last, position):
    """One factor of the sum, over all exponents of total degree P, of products of remainders."""
    P = len(table) - 1
    degrees = np.arange(P if last else 0, P + 1)
    complement = degrees[:, None] - np.arange(len(source))
    factors = np.moveaxis(np.where((complement >= 0)[:, :, None], table[np.maximum(complement, 0)], 0.0), 2, 0)
    line = np.arange(len(degrees)), np.arange(len(source)), np.array([[0, len(degrees)], [0, len(source)]])
    return _Translation(np.ascontiguousarray(factors), *line, *position)


#: Products per block of work, so that Ctrl-C is noticed between blocks, and minimum number of cells per call.
_WORK_PER_BLOCK = 2**24


_FEWEST_CELLS = 128
