"""Grids of cells with exact edges, and lists of the points of each cell.

Because edges are exact numbers, a point is always in the cell that it is assigned to. Long gaps without points
are shortened to the cutoff of the sums, so that there are few cells.
"""

import math
from typing import NamedTuple

import numpy as np

#: Points per block of work: a few milliseconds.
_POINTS_PER_BLOCK = 2**15


class Cells(NamedTuple):
    """A grid of cells as the compiled loops read it; long gaps are shortened.

    Attributes
    ----------
    g : ndarray of shape (d,)
        Inverse bandwidth of each feature.
    sizes : ndarray of shape (d,)
        Width of a cell: a few bits times a power of two, so that all edges are exact.
    lengths : ndarray of shape (d,), int64
        Number of cells along each feature.
    numbers : ndarray, float64
        Left edge of each cell divided by the width; those of feature k from ``begins[k]`` on.
    begins : ndarray of shape (d,), int64
    """

    g: np.ndarray
    sizes: np.ndarray
    lengths: np.ndarray
    numbers: np.ndarray
    begins: np.ndarray

    @classmethod
    def of(cls, axes, inv_h):
        """The product of some axes.

        Parameters
        ----------
        axes : list of d Axis
        inv_h : ndarray of shape (d,)
        """
        lengths = np.array([axis.length for axis in axes])
        begins = np.cumsum([0, *lengths[:-1]])
        numbers = np.concatenate([axis.numbers for axis in axes])
        return cls(np.asarray(inv_h, dtype=float), np.array([axis.size for axis in axes]), lengths, numbers, begins)


class Axis(NamedTuple):
    """Cells along one feature.

    Attributes
    ----------
    size : float
        Width of a cell.
    occupied : ndarray of float64
        Numbers of the cells that contain points, in ascending order: left edges divided by the width.
    places : ndarray of int64
        Index of each of these cells, after long gaps are shortened.
    """

    size: float
    occupied: np.ndarray
    places: np.ndarray

    @classmethod
    def over(cls, columns, size, reach, in_order=False):
        """The cells of points in given arrays; None if their edges would not be exact.

        Parameters
        ----------
        columns : sequence of ndarray
            Coordinates along the feature.
        size : float
            Width of a cell.
        reach : float
            Length to which longer gaps are shortened.
        in_order : bool
            Whether each array is in ascending order.
        """
        ends = np.array([end for z in columns for end in ((z[0], z[-1]) if in_order else (z.min(), z.max()))])
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            ends = np.floor(ends / size)
        if not (0 < size < np.inf and np.abs(ends).max() < LARGEST_NUMBER):
            return None
        occupied = [_occupied(z, size, in_order) for z in columns]
        occupied = occupied[0] if len(columns) == 1 else _unique(np.concatenate(occupied))
        return cls.between(size, occupied, reach)

    @property
    def length(self):
        """Number of cells, after gaps are shortened."""
        return int(self.places[-1]) + 1

    @property
    def numbers(self):
        """Numbers of the cells; in a shortened gap they continue from the left."""
        numbers = np.arange(float(self.length))
        numbers += np.repeat(self.occupied - self.places, np.diff(self.places, append=self.length))
        return numbers

    def is_inside(self, z):
        """Whether each point is in a cell of the axis."""
        with np.errstate(over="ignore"):
            numbers = np.floor(z / self.size)
        inside = np.isfinite(numbers) & (np.abs(numbers) < LARGEST_NUMBER)
        numbers = _numbers(np.where(inside, z, 0.0), self.size)
        after = np.searchsorted(self.occupied, numbers)
        before = np.maximum(after - 1, 0)
        after = np.minimum(after, len(self.occupied) - 1)
        # In a shortened gap, only the occupied cells at its ends have an index.
        steps = self.occupied[after] - self.occupied[before]
        whole = (self.places[after] - self.places[before] == steps) & (self.occupied[before] <= numbers)
        is_occupied = (self.occupied[after] == numbers) | (self.occupied[before] == numbers)
        return inside & (is_occupied | (whole & (numbers <= self.occupied[after])))

    def with_margins(self, reach):
        """The axis with all cells within a distance of occupied ones; None if edges would not be exact."""
        limit = math.ceil(reach / self.size) + 1
        numbers = (
            np.unique(self.occupied[:, None] + np.arange(-limit, limit + 1)) if self.length < _LONGEST_TABLE else None
        )
        if numbers is None or not max(-numbers[0], numbers[-1]) < LARGEST_NUMBER:
            return None
        return Axis.between(self.size, numbers, reach)

    @classmethod
    def between(cls, size, occupied, reach):
        """The axis of cells with given numbers, in ascending order."""
        steps = np.minimum(np.diff(occupied), math.ceil(reach / size) + 1)
        return cls(size, occupied, np.concatenate([[0], np.cumsum(steps).astype(np.int64)]))

    def of(self, z):
        """Index of the cell of each point."""
        numbers, first = _numbers(z, self.size), self.occupied[0]
        n_numbers = int(self.occupied[-1] - first) + 1
        if n_numbers > _LONGEST_TABLE:
            before = np.searchsorted(self.occupied, numbers, "right") - 1
            return self.places[before] + (numbers - self.occupied[before]).astype(np.int64)
        occupied = (self.occupied - first).astype(np.int64)
        table = np.arange(n_numbers)
        table += np.repeat(self.places - occupied, np.diff(occupied, append=n_numbers))
        return table[(numbers - first).astype(np.int64)]


#: Limit of the numbers of cells: they have so few bits that the center of a cell, and whether a point is in it, are
#: exact up to some eps of its width.
LARGEST_NUMBER = 2.0**40


#: Number of cells up to which a lookup table is used; more are found by bisection.
_LONGEST_TABLE = 2**22


def _numbers(z, size):
    """Numbers of the cells of points, corrected for rounding of the quotient."""
    numbers = np.floor(z / size)
    numbers -= numbers * size > z
    numbers += (numbers + 1) * size <= z
    return numbers


def _unique(numbers):
    """Distinct numbers in ascending order; sorted numbers are not sorted again."""
    if is_sorted(numbers):
        return numbers[np.append(True, numbers[1:] != numbers[:-1])]
    return np.unique(numbers)


def is_sorted(z):
    """Whether points are in ascending order."""
    return bool((z[1:] >= z[:-1]).all())


def _occupied(z, size, in_order):
    """Numbers of the cells that contain points."""
    first, last = _numbers(np.array([z[0], z[-1]] if in_order else [z.min(), z.max()]), size)
    if last - first >= _LONGEST_TABLE:
        return _unique(_numbers(z, size))
    numbers = first + np.arange(last - first + 1.0)
    if in_order and _by_edges(z, len(numbers)):
        return numbers[np.diff(_edges(z, size, numbers)) > 0]
    from .grouping import mark

    marks = np.zeros(len(numbers), dtype=bool)
    mark(z, size, first, marks)
    return numbers[marks]


def _by_edges(z, n_cells):
    """Whether searching for edges among sorted points is faster than the converse."""
    return 16 * n_cells < len(z)


def _edges(z, size, numbers):
    """Index of the first point of each cell among sorted points, and the end of the last cell."""
    return np.searchsorted(z, np.append(numbers, numbers[-1] + 1) * size)


class Points(NamedTuple):
    """Points in lists, one per cell, as the compiled loops read them.

    Attributes
    ----------
    Z : ndarray of shape (d, n)
    order, starts : ndarray of int64
        The points of cell c are ``order[starts[c] : starts[c + 1]]``.
    """

    Z: np.ndarray
    order: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, Z, axes, cells, in_order=False):
        """The points of an array in the cells of axes.

        Parameters
        ----------
        Z : ndarray of shape (d, n)
        axes : list of d Axis
        cells : Cells
        in_order : bool
            Whether the points are in ascending order; for one axis.
        """
        from .grouping import group

        n, n_cells = Z.shape[1], int(cells.lengths.prod())
        starts = np.zeros(n_cells + 1, dtype=np.int64)
        if in_order and _by_edges(Z[0], axes[0].length):
            starts[1:] = np.diff(_edges(Z[0], axes[0].size, axes[0].numbers))
            return cls(Z, np.arange(n), np.cumsum(starts))
        cell_of, order = np.zeros(n, dtype=np.int64), np.empty(n, dtype=np.int64)
        for axis, z in zip(axes, Z, strict=True):
            cell_of *= axis.length
            cell_of += axis.of(z)
        group(cell_of, starts, order)
        return cls(Z, order, starts)

    def blocks(self):
        """Ranges of cells with some ten thousand points each."""
        marks = np.arange(0, self.starts[-1] + _POINTS_PER_BLOCK, _POINTS_PER_BLOCK)
        ends = np.unique(np.append(np.searchsorted(self.starts, marks), len(self.starts) - 1))
        ends = ends[ends < len(self.starts)]
        return list(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)) if ends[0] == 0 else []


def round_down(x):
    """Round down to four bits, so that multiples are exact."""
    mantissa, exponent = math.frexp(x)
    return math.ldexp(math.floor(16 * mantissa), exponent - 4)
