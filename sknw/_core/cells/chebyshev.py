r"""Gaussian sums at Chebyshev nodes, in one to three features, without visiting the rows.

If windows are much wider than the distances of rows, everything that depends on the position of a query is smooth, and
within a cell of some bandwidths close to a polynomial. A row is then represented by the values of the Lagrange
polynomials of its cell,

.. math:: f(x_j) \approx \sum_l L_l(x_j) f(\xi_l), \qquad \sum_j v_j f(x_j) \approx \sum_l V_l f(\xi_l),
          \qquad V_l = \sum_j v_j L_l(x_j),

with :math:`\xi_l` the Chebyshev nodes of the cell, or products of these in several features. For f the kernel as a
function of the row, sums follow from the moments V. For f a function that is summed over queries, which are the rows
themselves, sums at the nodes are sufficient. Moments take O(n) time once. Moments of cells twice as wide follow from
them. So each bandwidth uses cells of a suitable width, and takes time proportional to their number.

Between cells of a regular grid, the kernel depends on their offset only. It is applied one feature after the other, by
matrix products of all nodes of the cells within the cutoff along a line with the nodes of one cell.

References
----------
W. Fong and E. Darve, "The black-box fast multipole method", J. Comput. Phys. 228 (2009), 8712-8725: interpolation at
Chebyshev nodes instead of expansions of a given kernel.
"""

import math
from typing import NamedTuple

import numpy as np

from ..problem import Rows, Wanted, read_only
from ..runtime.blas import one_thread_for_blas
from ..runtime.threads import run_blocks

_EPS = float(np.finfo(np.float64).eps)


#: Nodes of a cell along a feature, equal to `chebyshev_loops.DEGREES`.
N_NODES = 16


_DEGREES, _ODD = np.arange(N_NODES), 2 * np.arange(N_NODES) + 1


#: The Chebyshev nodes in [-1, 1].
NODES = np.cos(_ODD * np.pi / (2 * N_NODES))


#: Coefficients of the Lagrange polynomials in Chebyshev polynomials, L_l = sum_k COEFFICIENTS[l, k] T_k. They also turn
#: values at the nodes into coefficients. Multiples of the angle are reduced to one turn exactly.
COEFFICIENTS = np.cos(np.outer(_ODD, _DEGREES) % (4 * N_NODES) * (np.pi / (2 * N_NODES)))


COEFFICIENTS *= np.where(_DEGREES, 2, 1) / N_NODES


#: The Lebesgue constant: the largest ratio of values between nodes to those at nodes.
_LEBESGUE = 2 / math.pi * math.log(N_NODES) + 0.97


def lagrange(x):
    """The Lagrange polynomials at points in [-1, 1], of shape (len(x), N_NODES)."""
    return np.polynomial.chebyshev.chebvander(x, N_NODES - 1) @ COEFFICIENTS.T


#: Lagrange polynomials of a wide cell at the nodes of the two cells that are its halves.
_HALVES = np.concatenate([lagrange((NODES - 1) / 2), lagrange((NODES + 1) / 2)])


class Grid(NamedTuple):
    """A regular grid of cells, as the compiled loops read it.

    Attributes
    ----------
    low, sizes : ndarray of shape (d,)
        Left edge of the first cell, and width of a cell. The width is a few bits times a power of two, and `low` is a
        multiple of a fraction of it. So the middle of each cell is exact, and distances from it are accurate to eps of
        a cell.
    counts : ndarray of shape (d,), int64
        Number of cells along each feature.
    """

    low: np.ndarray
    sizes: np.ndarray
    counts: np.ndarray

    @classmethod
    def over(cls, Z, counts):
        """A grid with given numbers of cells for points Z of shape (d, n).

        The grid hardly extends beyond the points. Returns None if the range of a feature is zero, overflows, or is too
        far from the origin for cells of this width.
        """
        low, high = Z.min(axis=1), Z.max(axis=1)
        with np.errstate(over="ignore"):
            extent = high - low
        if not ((extent > 1 / _LONGEST) & (extent < _LONGEST)).all():
            return None
        mantissa, exponent = np.frexp(extent / counts * (1 + 1 / _PARTS))
        sizes = np.ldexp(np.ceil(_PARTS * mantissa) / _PARTS, exponent)
        first = np.floor(low / (sizes / _PARTS))
        if not np.abs(first).max() < _LARGEST_NUMBER:
            return None
        return cls(first * (sizes / _PARTS), sizes, np.asarray(counts, dtype=np.int64))

    def cells_of(self, Z):
        """Number of the cell of each point; those of the last feature vary fastest."""
        cells = np.zeros(Z.shape[1], dtype=np.int64)
        for z, low, size, count in zip(Z, self.low, self.sizes, self.counts, strict=True):
            cells *= count
            cells += np.minimum((z - low) / size, count - 1).astype(np.int64)
        return cells

    def of_three_features(self):
        """The grid with features of one cell each before the others."""
        before = np.ones(3 - len(self.counts))
        low, sizes, counts = (np.concatenate([before, a]) for a in self)
        return Grid(low, sizes, counts.astype(np.int64))

    def coarser(self, levels):
        """The grid with cells wider by powers of two."""
        levels = np.asarray(levels)
        return self._replace(sizes=self.sizes * 2.0**levels, counts=self.counts >> levels)


class Buffers(NamedTuple):
    """Buffers of one thread for the loops over the rows of a cell."""

    T: np.ndarray
    by_row: np.ndarray
    u: np.ndarray
    sums: np.ndarray

    @classmethod
    def of(cls, d, n_channels):
        """Buffers for given numbers of features and channels."""
        lengths = [1 if k < 3 - d else N_NODES for k in range(3)]
        width = _ROWS_TOGETHER
        return cls(
            np.ones((3, N_NODES, width)),
            np.empty((width, N_NODES)),
            np.empty((4, width)),
            np.empty((n_channels, *lengths)),
        )


#: Rows per short loop: buffers of this size fit into the first-level cache.
_ROWS_TOGETHER = 256


#: Largest range of a feature, and inverse of the smallest, for which the arithmetic does not overflow.
_LONGEST = 1e150


#: Cells begin at multiples of this fraction of their width, which has as many bits itself.
_PARTS = 256


#: Largest number of such fractions whose product with their width, plus half a cell, is exact.
_LARGEST_NUMBER = 2.0**43


class Nodes:
    """Moments of the rows at the nodes of a grid of cells, and of coarser grids.

    Parameters
    ----------
    rows : Rows
        Of one to three features.
    grid : Grid
        With even numbers of cells if there are to be coarser ones.
    n_threads : int

    Attributes
    ----------
    rows, grid, n_threads

    Notes
    -----
    O(n p N_NODES**d) time; N_NODES**d (1 + 2 p) numbers for each cell, and about as many again for wider cells.
    """

    def __init__(self, rows, grid, n_threads=1):
        self.rows, self.grid, self.n_threads = Rows(*map(read_only, rows)), grid, n_threads
        self._cells = grid.cells_of(rows.Z)
        self._narrowest, self._wider = self._moments(), {}

    @classmethod
    def of(cls, rows, sizes=None, n_threads=1):
        """The nodes of a grid whose cells are no wider than `sizes`, or as narrow as is worthwhile.

        Parameters
        ----------
        rows : Rows
        sizes : ndarray of shape (d,), default=None
            Maximum widths. By default, the narrowest cells for which the sums take no longer than with the rows
            themselves.
        n_threads : int

        Returns
        -------
        Nodes or None
            None if the sums would take longer, if there are few rows, or if a feature has no range.
        """
        (d, n), (p, _) = rows.Z.shape, rows.Y.shape
        if not 1 <= d <= len(_NODES_PER_ROW) or n < _FEWEST_ROWS:
            return None
        limit = min(n * _NODES_PER_ROW[d - 1], _MOST_NUMBERS // (1 + 2 * p)) / N_NODES**d
        if sizes is None:
            count = max(2, math.floor(limit ** (1 / d) * (1 + 1e-9)))
            # The largest of the numbers 2, 3, 4, 6, 8, 12, ..., which can be halved repeatedly.
            counts = np.full(d, max(c << (count // c).bit_length() - 1 for c in (2, 3) if c <= count))
        else:
            with np.errstate(over="ignore", divide="ignore"):
                counts = np.ceil(np.maximum(np.ptp(rows.Z, axis=1) / sizes * (1 + 4 / _PARTS), 1))
        grid = Grid.over(rows.Z, counts) if np.log(counts).sum() <= math.log(limit) + 1e-9 else None
        return None if grid is None else cls(rows, grid, n_threads)

    def _moments(self):
        from .chebyshev_loops import add_chebyshev_moments
        from .grouping import group

        rows, grid = self.rows, self.grid
        d, n = rows.Z.shape
        n_cells = int(grid.counts.prod())
        starts, order = np.zeros(n_cells + 1, dtype=np.int64), np.empty(n, dtype=np.int64)
        group(self._cells, starts, order)
        V = np.concatenate([rows.w[None], rows.w * rows.Y, rows.w * rows.Y**2])
        lengths = [1] * (3 - d) + (N_NODES * grid.counts).tolist()
        moments = np.empty((len(V), *lengths))

        each, of_three = np.arange(_ROWS_TOGETHER), grid.of_three_features()

        def add(first, last):
            buffers = Buffers.of(d, len(V))
            add_chebyshev_moments(rows.Z, V, order, starts, of_three, first, last, each, buffers, moments)

        marks = np.searchsorted(starts, np.arange(0, n + _ROWS_PER_BLOCK, _ROWS_PER_BLOCK))
        ends = np.unique(np.append(np.minimum(marks, n_cells), n_cells))
        run_blocks(add, list(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)), self.n_threads)
        moments = moments.reshape(len(V), *lengths[3 - d :])
        with one_thread_for_blas():
            run_blocks(_to_nodes, [(channel,) for channel in moments], self.n_threads)
        return moments

    def moments(self, levels):
        """Moments of cells wider by powers of two.

        Parameters
        ----------
        levels : sequence of d int
            Exponents.

        Returns
        -------
        ndarray of shape (1 + 2 p, N_1, ..., N_d)
            Of the weights, of the weights times targets, then of the weights times squared targets. Along each feature,
            the nodes of a cell are consecutive.
        """
        levels = tuple(levels)
        if not any(levels):
            return self._narrowest
        if levels not in self._wider:
            axis = max(range(len(levels)), key=lambda k: levels[k])
            narrow = self.moments((*levels[:axis], levels[axis] - 1, *levels[axis + 1 :]))
            shape = list(narrow.shape)
            shape[axis + 1] //= 2
            halves = np.moveaxis(narrow, axis + 1, -1).reshape(-1, 2 * N_NODES)
            others = [length for k, length in enumerate(shape) if k != axis + 1]
            with one_thread_for_blas():
                wide = (halves @ _HALVES).reshape(*others, shape[axis + 1])
            if sum(moments.size for moments in self._wider.values()) >= self._narrowest.size:
                self._wider.clear()
            self._wider[levels] = np.ascontiguousarray(np.moveaxis(wide, -1, axis + 1))
        return self._wider[levels]

    def rows_of(self, cells, levels):
        """Numbers of the rows in cells of a grid that is coarser by `levels`.

        Parameters
        ----------
        cells : ndarray of shape (n_1, ..., n_d), bool
            Mask of the cells.
        levels : sequence of d int
        """
        if not cells.any():
            return np.zeros(0, dtype=np.int64)
        for axis, level in enumerate(levels):
            cells = np.repeat(cells, 2**level, axis=axis)
        return np.flatnonzero(cells.ravel()[self._cells])

    def levels_for(self, inv_h, width):
        """Exponents of the widest cells of at most `width` bandwidths; None if all are wider.

        Parameters
        ----------
        inv_h : ndarray of shape (d,)
        width : float
        """
        with np.errstate(over="ignore", divide="ignore"):
            levels = np.floor(np.log2(width / (self.grid.sizes * inv_h)))
        if not (levels >= 0).all():
            return None
        halves = self.grid.counts & -self.grid.counts  # the power of two among its factors
        return np.minimum(levels, np.log2(halves)).astype(np.int64)

    def sums(self, inv_h, levels, *, derivatives=Wanted.VALUE, rtol):
        r"""Denominator and numerators at the nodes of all cells.

        Parameters
        ----------
        inv_h : ndarray of shape (d,)
            Inverse bandwidths.
        levels : ndarray of shape (d,)
            Exponents of the widths of cells, see `moments`.
        derivatives : Wanted
            All but PAIRS.
        rtol : float
            Rows beyond the cutoff may contribute at most a thousandth of it.

        Returns
        -------
        sums : ndarray of shape (1 + p, N_1, ..., N_d)
            With offset 0, and including the query's own row.
        dsums : list of ndarray
            Their derivatives.
        error : ndarray of shape (n_1, ..., n_d)
            Error bound of the denominator for each cell; times the largest absolute target, that of a numerator. Except
            for rounding, 20 times as much is a bound for their derivatives.

        Notes
        -----
        Between the nodes of a row's cell, the kernel is interpolated by polynomials of degree K - 1. The error follows
        from the K-th derivative, which is bounded by Cramer's inequality, with r half the width of the cell in
        bandwidths:

        .. math:: \frac{r^K}{2^{K - 1} K!} \max_u \Big| \frac{d^K}{du^K} e^{-u^2/2} \Big|
                  \le \frac{1.09\, r^K}{2^{K - 1} \sqrt{K!}} e^{-u^2/4}.

        The derivative s k is k + k'', of order K + 2, which has the factor sqrt((K + 2) (K + 1)) + 1.
        """
        grid, (p, n), order = self.grid.coarser(levels), self.rows.Y.shape, _ORDERS[derivatives]
        moments = self.moments(levels)
        reach = math.sqrt(2 * math.log(1e3 * n / rtol))
        fields, cells, remainder = [moments[: 1 + p]], by_cell(moments[0]), 0.0
        for k, (width, count) in enumerate(zip((grid.sizes * inv_h).tolist(), grid.counts.tolist(), strict=True)):
            offsets = _offsets(math.ceil(min(reach / max(width, _EPS**8), count - 1)))
            table = _gaussians(width, offsets, 1 + order)
            if len(offsets) == 2 * count - 1 and count <= _SHORT:  # all cells are within the cutoff of each other
                table = _of_whole_lines(table, count)
            by_feature = derivatives == Wanted.FEATURES
            results = [
                _along(field, k + 1, table[:, :, : 1 if by_feature and j else 1 + order - j], self.n_threads)
                for j, field in enumerate(fields)
            ]
            if by_feature:
                fields = [*(result[0] for result in results), results[0][1]]
            else:  # Leibniz's rule
                fields = [sum(results[j][i - j] for j in range(min(1 + i, len(results)))) for i in range(1 + order)]
            distances = np.maximum(np.abs(offsets) - 1, 0) * width
            near = np.exp(-0.25 * distances**2)[:, None, None, None]
            cells = _along(cells, k, near, self.n_threads)[0]
            remainder += _remainder(0.5 * width) * _LEBESGUE**k
        rounding = _ROUNDING * _EPS * _LEBESGUE ** len(inv_h)
        return fields[0], fields[1:], (remainder + rounding) * cells + self.rows.w.sum() * math.exp(-0.5 * reach**2)


#: Order of derivatives in the logarithm of each feature's bandwidth.
_ORDERS = {Wanted.VALUE: 0, Wanted.SCALE: 1, Wanted.FEATURES: 1}


def widest(d, rtol):
    """Width of cells, in bandwidths, whose error bound is half of `rtol` for evenly spread rows.

    The bound is then 2**(d/2) times the denominator, and as much again at the edges of the data for each feature.
    """
    features = sum(_LEBESGUE**k for k in range(d)) * 2 ** (1.5 * d)
    return min(2.0, 2 * (0.5 * rtol / (features * _remainder(1.0))) ** (1 / N_NODES))


def _remainder(r):
    """Error of interpolating a Gaussian in a cell of half-width r."""
    return 1.09 * r**N_NODES / (2 ** (N_NODES - 1) * math.sqrt(math.factorial(N_NODES)))


#: Rounding of a sum of products, in units of eps times the sum of absolute values. It covers rows in a cell, halves of
#: cells, and nodes within the cutoff. Errors in tests are a tenth of it.
_ROUNDING = 8


#: With fewer rows, an evaluation takes a few milliseconds with any algorithm.
_FEWEST_ROWS = 2**10


#: Number of nodes that take as long as a row does with another algorithm, for one, two and three features.
_NODES_PER_ROW = (1, 2, 24)


#: Maximum number of moments of the narrowest cells: 64 MiB.
_MOST_NUMBERS = 2**23


#: Rows passed to a thread at a time: a few milliseconds.
_ROWS_PER_BLOCK = 2**14


#: Number of cells of a line up to which one full matrix is faster than a banded one; narrower cells have fewer within
#: the cutoff of each other.
_SHORT = 32


def _offsets(limit):
    """Offsets of the cells within the cutoff of a cell."""
    return np.arange(-limit, limit + 1)


def _gaussians(width, offsets, n_functions):
    """The kernel between nodes of cells, and its derivative in log h, as a table for `_along`."""
    positions = (offsets[:, None, None] + 0.5 * NODES[:, None]) * width
    s = (0.5 * width * NODES - positions) ** 2
    k = np.exp(-0.5 * s)
    return np.stack([k, s * k][:n_functions], axis=2)


def _of_whole_lines(table, n):
    """The table for lines of n cells that are treated as a single cell."""
    offsets = np.arange(n)[:, None] - np.arange(n) + n - 1
    _, n_sources, n_functions, n_targets = table.shape
    return table[offsets].transpose(0, 2, 3, 1, 4).reshape(1, n * n_sources, n_functions, n * n_targets)


def _lines(field, axis):
    """The field with the nodes of each cell along an axis as the last axis."""
    shape = field.shape
    lines = field.reshape(*shape[:axis], -1, N_NODES, *shape[axis + 1 :])
    return lines if axis == field.ndim - 1 else np.moveaxis(lines, axis + 1, -1)


def by_cell(field):
    """Sums over the nodes of each cell."""
    for axis in range(field.ndim):
        field = _lines(field, axis) @ _ONES
    return field


_ONES = np.ones(N_NODES)


def least_of_cell(field):
    """The smallest value at a node of each cell."""
    for axis in range(field.ndim):
        field = _lines(field, axis).min(axis=-1)
    return field


def last_coefficients(field):
    """Sum over features of the largest of the last two Chebyshev coefficients of each cell.

    The maximum is over all lines along a feature. For smooth functions, coefficients decrease fast, and the sum of all
    later ones is smaller.
    """
    total = 0.0
    for axis in range(field.ndim):
        last = _lines(field, axis) @ _LAST
        largest = np.maximum(np.abs(last[..., 0]), np.abs(last[..., 1]))
        for other in range(field.ndim):
            if other != axis:
                largest = _lines(largest, other).max(axis=-1)
        total = total + largest
    return total


_LAST = np.ascontiguousarray(COEFFICIENTS[:, -2:])


def _to_nodes(field):
    """Turn moments in Chebyshev polynomials into moments in Lagrange polynomials, in place."""
    for axis in range(field.ndim):
        lines = _lines(field, axis)
        lines[:] = lines @ COEFFICIENTS.T


def _along(field, axis, table, n_threads):
    """Apply a banded matrix that depends on offsets of cells only to all lines along an axis.

    Parameters
    ----------
    field : ndarray
    axis : int
    table : ndarray of shape (2 * limit + 1, n_sources, n_functions, n_targets)
        By the offset of the source's cell from that of the target, from -limit to limit.
    n_threads : int

    Returns
    -------
    list of ndarray
        One field for each function.
    """
    n_offsets, n_sources, n_functions, n_targets = table.shape
    limit = n_offsets // 2
    lines = np.moveaxis(field, axis, -1)
    shape, n = lines.shape[:-1], lines.shape[-1] // n_sources
    padded = np.zeros((math.prod(shape), (n + 2 * limit) * n_sources))
    padded[:, limit * n_sources : (limit + n) * n_sources] = lines.reshape(len(padded), -1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, n_offsets * n_sources, axis=1)[:, ::n_sources]
    table = table.reshape(n_offsets * n_sources, n_functions * n_targets)
    out = np.empty((n_functions, len(padded), n, n_targets))

    def multiply(line, stop, first, last):
        product = windows[line:stop, first:last].reshape(-1, len(table)) @ table
        product = product.reshape(stop - line, last - first, n_functions, n_targets)
        out[:, line:stop, first:last] = np.moveaxis(product, 2, 0)

    width = min(n, _WINDOWS)
    height = max(1, _WINDOWS // width)
    blocks = [
        (line, min(line + height, len(padded)), first, min(first + width, n))
        for line in range(0, len(padded), height)
        for first in range(0, n, width)
    ]
    with one_thread_for_blas():
        run_blocks(multiply, blocks, n_threads)
    return [np.moveaxis(product.reshape(*shape, -1), -1, axis) for product in out]


#: Windows per matrix product: these, and the matrix, fit into the second-level cache.
_WINDOWS = 512
