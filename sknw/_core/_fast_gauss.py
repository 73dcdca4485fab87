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

import math
from typing import NamedTuple

import numpy as np

from ._cells import Axis, Cells, Points, is_sorted, round_down
from ._rows import Derivatives, State, read_only
from ._series import (
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
from ._threads import in_cache, run_blocks

#: Cells of more features hold too few rows each.
MOST_FEATURES = 3

_EPS = float(np.finfo(np.float64).eps)

#: Rounding of a sum of products, in units of eps times the sum of their absolute values: of moments (some thousand
#: numbers in 4 lanes each), of the coefficients of a translation, of Horner's rule. What tests see is a tenth of it.
_ROUNDING = 32


class Layout(NamedTuple):
    """How some sums are to be formed, and what it costs.

    Attributes
    ----------
    accuracy : Accuracy
    axes : list of d Axis
    cost : float
        Estimated time, in units of a multiplication with addition.
    """

    accuracy: Accuracy
    axes: list
    cost: float


def lay_out(rows, g, Zq, *, derivatives=Derivatives.NOTHING, rtol, most=math.inf):
    """Choose cells for some sums; None if these rows are not a case for cells.

    Parameters
    ----------
    rows : Rows
        Of one feature in ascending order.
    g : ndarray of shape (d,)
    Zq : ndarray of shape (m, d), or None
        None if the queries are the rows.
    derivatives : Derivatives
    rtol : float
        Relative error of the mass, and error of the averages over the range of the targets, where rows lie evenly.
    most : float
        Cost beyond which cells are of no interest. That they cost more is often seen from a few of the rows.

    Returns
    -------
    Layout or None
    """
    d, n = rows.Z.shape
    m = n if Zq is None else len(Zq)
    if not 1 <= d <= MOST_FEATURES or rtol < LEAST_RTOL:
        return None
    choices = accuracies(d, rtol, 2 ** math.ceil(math.log2(n)), derivatives)
    columns = [(z,) if Zq is None else (z, read_only(Zq[:, k])) for k, z in enumerate(rows.Z)]
    reach = choices[0].reach
    if not 1 / _LARGEST_FACTOR < min(g) <= max(g) < _LARGEST_FACTOR:
        return None
    some = slice(None, None, 1 + n // _PROBED)
    in_order = d == 1 and (Zq is None or is_sorted(columns[0][1]))
    for probed in ([(read_only(z[some]),) for z in rows.Z], columns):  # more points never need fewer cells
        probes = [Axis.over(column, 1 / g_k, reach / g_k, in_order) for column, g_k in zip(probed, g, strict=True)]
        if None in probes:
            return None
        lengths = [probe.length for probe in probes]
        costs = [_cost(choice, lengths, n, m, len(rows.Y), derivatives) for choice in choices]
        best = int(np.argmin(costs))
        if not costs[best] < most:
            return None
    sizes = [round_down(choices[best].width / g_k) for g_k in g]
    widths = zip(columns, sizes, reach / g, strict=True)
    axes = [Axis.over(column, size, width, in_order) for column, size, width in widths]
    return None if None in axes else Layout(choices[best], axes, costs[best])


#: So many rows are looked at before all are.
_PROBED = 2**14

#: Factors of features beyond that, and one over it, leave no room for the arithmetic of cells.
_LARGEST_FACTOR = 1e150

#: Rounding alone takes more than that of a mass.
LEAST_RTOL = 1e-13


def least_cost(n, m, p):
    """Multiplications with addition that any sums take, for n rows, m queries and p outputs."""
    return (1 + p) * (n + m) * _PER_POINT


#: Products that it takes to find the cell of a point, and to come and go.
_PER_POINT = 40


def _cost(accuracy, lengths, n, m, p, derivatives):
    """Multiplications with addition that the sums take; `inf` if the cells do not fit."""
    d, P = len(lengths), accuracy.n_terms
    n_coefficients = math.comb(P + d - 1, d)
    n_cells = math.prod(math.ceil(length / accuracy.width) + 1 for length in lengths)
    if n_cells * n_coefficients > _MOST_NUMBERS or n_cells > 1000 + 4 * (n + m):
        return math.inf
    products = n_coefficients * P / d
    offsets = 2 * accuracy.reach / accuracy.width + 3
    q = derivatives.count(d)
    return (1 + p) * (
        n * (2 * n_coefficients + _PER_POINT)
        + m * ((1 + q) * n_coefficients + _PER_POINT)
        + d * n_cells * offsets * products
    )


#: Coefficients of all cells, twice, are at most that many: 256 MiB.
_MOST_NUMBERS = 2**24


def fast_gauss_sums(rows, g, Zq, own, all_rows, *, derivatives=Derivatives.NOTHING, layout, n_threads=1):
    """Gaussian mass and moments of every query, and how wrong they may be.

    Parameters
    ----------
    rows, g, Zq, own, derivatives, n_threads
        As in `kernel_sums`.
    all_rows : bool
        Whether the queries are all rows, in their order.
    layout : Layout
        From `lay_out`, which was told how accurate the sums are to be.

    Returns
    -------
    state : State
        With a shift of 0.
    error : ndarray of shape (m,)
        Bound of the error of the mass; times the largest target, of that of a moment. But for rounding, a hundred times
        as much is a bound for their derivatives.

    Notes
    -----
    O((n + m) P**d / d!) time, plus O(P**(d + 1) / d!) per cell and cell within reach along one feature.
    """
    from ._expansions import add_moments, evaluate, fill

    accuracy, axes, _ = layout
    m, p = len(Zq), len(rows.Y)
    terms = terms_of(len(g), accuracy.n_terms)
    cells = Cells.of(axes, g)
    points = Points.of(rows.Z, axes, cells, in_order=len(g) == 1)
    queries = points
    if not all_rows:
        coordinates = read_only(Zq.T)
        queries = Points.of(coordinates, axes, cells, in_order=len(g) == 1 and is_sorted(coordinates[0]))
    entries, factors = polynomials(len(g), accuracy.n_terms, derivatives)
    out = np.empty((1 + p, 1 + derivatives.count(len(g)), m))
    error = np.empty(m)
    for c in range(1 + p):
        v = rows.w if c == 0 else read_only(rows.w * rows.Y[c - 1])
        series = np.empty((len(terms.powers), len(points.starts) - 1))

        def gather(first, last, v=v, moments=series):
            add_moments(rows.Z, v, cells, points.order, points.starts, terms.runs, first, last, moments)

        run_blocks(gather, points.blocks(), n_threads)
        if c == 0:
            translations, bounds = _translations(accuracy, cells, series[:1], derivatives, n_threads)
        for translation in translations:
            series = translation.of(series, n_threads)

        def spread(first, last, series=series, out=out[c]):
            lists = queries.order, queries.starts
            evaluate(queries.Z, cells, *lists, terms.runs, entries, factors, first, last, series, out)

        run_blocks(spread, queries.blocks(), n_threads)

    def bound(first, last):
        fill(bounds, queries.order, queries.starts, first, last, error)

    run_blocks(bound, queries.blocks(), n_threads)

    def leave_out(start, stop):
        part = slice(start, stop)
        mine = part if all_rows else np.maximum(own[part], 0)
        v = rows.w[mine] - rows.w_rest[mine]
        if not all_rows:
            v[own[part] < 0] = 0
        out[0, 0, part] -= v
        out[1:, 0, part] -= v * rows.Y[:, mine]

    if own is not None:
        run_blocks(leave_out, in_cache(m), n_threads)
    return State(np.zeros(m), out[:, 0].T, out[:, 1:].transpose(2, 1, 0)), error


def _translations(accuracy, cells, weights, derivatives, n_threads):
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
    loss = loss_of(d, width, accuracy.n_terms, accuracy.reach, derivatives)
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
        from ._expansions import translate

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
