"""Chebyshev nodes of cells, and regular grids of such cells."""

from typing import NamedTuple

import numpy as np

#: Nodes of a cell along a feature, equal to `chebyshev_loops.DEGREES`.
N_NODES = 16


_DEGREES, _ODD = np.arange(N_NODES), 2 * np.arange(N_NODES) + 1


#: The Chebyshev nodes in [-1, 1].
NODES = np.cos(_ODD * np.pi / (2 * N_NODES))


#: Coefficients of the Lagrange polynomials in Chebyshev polynomials, L_l = sum_k COEFFICIENTS[l, k] T_k. They also turn
#: values at the nodes into coefficients. Multiples of the angle are reduced to one turn exactly.
COEFFICIENTS = np.cos(np.outer(_ODD, _DEGREES) % (4 * N_NODES) * (np.pi / (2 * N_NODES)))


COEFFICIENTS *= np.where(_DEGREES, 2, 1) / N_NODES


def lagrange(x):
    """The Lagrange polynomials at points in [-1, 1], of shape (len(x), N_NODES)."""
    return np.polynomial.chebyshev.chebvander(x, N_NODES - 1) @ COEFFICIENTS.T


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
        mantissa, exponent = np.frexp(extent / counts * (1 + 1 / PARTS))
        sizes = np.ldexp(np.ceil(PARTS * mantissa) / PARTS, exponent)
        first = np.floor(low / (sizes / PARTS))
        if not np.abs(first).max() < _LARGEST_NUMBER:
            return None
        return cls(first * (sizes / PARTS), sizes, np.asarray(counts, dtype=np.int64))

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
        width = ROWS_TOGETHER
        return cls(
            np.ones((3, N_NODES, width)),
            np.empty((width, N_NODES)),
            np.empty((4, width)),
            np.empty((n_channels, *lengths)),
        )


#: Rows per short loop: buffers of this size fit into the first-level cache.
ROWS_TOGETHER = 256


#: Largest range of a feature, and inverse of the smallest, for which the arithmetic does not overflow.
_LONGEST = 1e150


#: Cells begin at multiples of this fraction of their width, which has as many bits itself.
PARTS = 256


#: Largest number of such fractions whose product with their width, plus half a cell, is exact.
_LARGEST_NUMBER = 2.0**43
