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

import numpy as np

from ..problem import Rows, Wanted, read_only
from ..runtime.blas import one_thread_for_blas
from ..runtime.threads import run_blocks
from .chebyshev_grid import N_NODES, NODES, PARTS, ROWS_TOGETHER, Buffers, Grid, lagrange
from .node_fields import along, by_cell, gaussians, of_whole_lines, offsets_up_to, to_nodes

_EPS = float(np.finfo(np.float64).eps)


#: The Lebesgue constant: the largest ratio of values between nodes to those at nodes.
_LEBESGUE = 2 / math.pi * math.log(N_NODES) + 0.97


#: Lagrange polynomials of a wide cell at the nodes of the two cells that are its halves.
_HALVES = np.concatenate([lagrange((NODES - 1) / 2), lagrange((NODES + 1) / 2)])


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
                counts = np.ceil(np.maximum(np.ptp(rows.Z, axis=1) / sizes * (1 + 4 / PARTS), 1))
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

        each, of_three = np.arange(ROWS_TOGETHER), grid.of_three_features()

        def add(first, last):
            buffers = Buffers.of(d, len(V))
            add_chebyshev_moments(rows.Z, V, order, starts, of_three, first, last, each, buffers, moments)

        marks = np.searchsorted(starts, np.arange(0, n + _ROWS_PER_BLOCK, _ROWS_PER_BLOCK))
        ends = np.unique(np.append(np.minimum(marks, n_cells), n_cells))
        run_blocks(add, list(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)), self.n_threads)
        moments = moments.reshape(len(V), *lengths[3 - d :])
        with one_thread_for_blas():
            run_blocks(to_nodes, [(channel,) for channel in moments], self.n_threads)
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
            offsets = offsets_up_to(math.ceil(min(reach / max(width, _EPS**8), count - 1)))
            table = gaussians(width, offsets, 1 + order)
            if len(offsets) == 2 * count - 1 and count <= _SHORT:  # all cells are within the cutoff of each other
                table = of_whole_lines(table, count)
            by_feature = derivatives == Wanted.FEATURES
            results = [
                along(field, k + 1, table[:, :, : 1 if by_feature and j else 1 + order - j], self.n_threads)
                for j, field in enumerate(fields)
            ]
            if by_feature:
                fields = [*(result[0] for result in results), results[0][1]]
            else:  # Leibniz's rule
                fields = [sum(results[j][i - j] for j in range(min(1 + i, len(results)))) for i in range(1 + order)]
            distances = np.maximum(np.abs(offsets) - 1, 0) * width
            near = np.exp(-0.25 * distances**2)[:, None, None, None]
            cells = along(cells, k, near, self.n_threads)[0]
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
