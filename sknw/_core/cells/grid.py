"""Where points are: cells along each feature, their grid, and lists of the points of each cell.

Cells have edges that are exact numbers, so that a point is in the cell it is said to be in, and there are few of them:
gaps without points that are longer than the sums reach are shortened.
"""

import math
from typing import NamedTuple

import numpy as np

#: Points of a block of work: a few milliseconds.
_POINTS_PER_BLOCK = 2**15


class Cells(NamedTuple):
    """A grid of cells, as the loops read it. Along each feature, cells far from any point are left out.

    Attributes
    ----------
    g : ndarray of shape (d,)
        Factor of each feature: one over its bandwidth.
    sizes : ndarray of shape (d,)
        Width of a cell: a few bits times a power of two, so that all edges are exact.
    lengths : ndarray of shape (d,), int64
        Number of cells along each feature.
    numbers : ndarray, float64
        Left edge of each of them over the width; those of feature k from ``begins[k]`` on.
    begins : ndarray of shape (d,), int64
    """

    g: np.ndarray
    sizes: np.ndarray
    lengths: np.ndarray
    numbers: np.ndarray
    begins: np.ndarray

    @classmethod
    def of(cls, axes, g):
        """The product of some axes."""
        lengths = np.array([axis.length for axis in axes])
        begins = np.cumsum([0, *lengths[:-1]])
        numbers = np.concatenate([axis.numbers for axis in axes])
        return cls(np.asarray(g, dtype=float), np.array([axis.size for axis in axes]), lengths, numbers, begins)


class Axis(NamedTuple):
    """Cells along one feature.

    Attributes
    ----------
    size : float
        Width of a cell.
    occupied : ndarray of float64
        Numbers of the cells that hold points, in ascending order: their left edges over the width.
    places : ndarray of int64
        Where each of these stands, once longer gaps than a reach are shortened to one.
    """

    size: float
    occupied: np.ndarray
    places: np.ndarray

    @classmethod
    def over(cls, columns, size, reach, in_order=False):
        """Cells for the points of some arrays, in ascending order or not; None if their edges cannot be exact."""
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
        """Number of cells that are kept."""
        return int(self.places[-1]) + 1

    @property
    def numbers(self):
        """The numbers of the cells that are kept; in a gap that was shortened, as if it went on from the left."""
        numbers = np.arange(float(self.length))
        numbers += np.repeat(self.occupied - self.places, np.diff(self.places, append=self.length))
        return numbers

    def is_inside(self, z):
        """Whether the cell of each point is kept."""
        with np.errstate(over="ignore"):
            numbers = np.floor(z / self.size)
        inside = np.isfinite(numbers) & (np.abs(numbers) < LARGEST_NUMBER)
        numbers = _numbers(np.where(inside, z, 0.0), self.size)
        after = np.searchsorted(self.occupied, numbers)
        before = np.maximum(after - 1, 0)
        after = np.minimum(after, len(self.occupied) - 1)
        # Of a gap that was shortened, no cell but the occupied ones has a place of its own.
        steps = self.occupied[after] - self.occupied[before]
        whole = (self.places[after] - self.places[before] == steps) & (self.occupied[before] <= numbers)
        is_occupied = (self.occupied[after] == numbers) | (self.occupied[before] == numbers)
        return inside & (is_occupied | (whole & (numbers <= self.occupied[after])))

    def with_margins(self, reach):
        """The same with all cells within a distance of those that hold points; None if their edges cannot be exact."""
        most = math.ceil(reach / self.size) + 1
        numbers = (
            np.unique(self.occupied[:, None] + np.arange(-most, most + 1)) if self.length < _LONGEST_TABLE else None
        )
        if numbers is None or not max(-numbers[0], numbers[-1]) < LARGEST_NUMBER:
            return None
        return Axis.between(self.size, numbers, reach)

    @classmethod
    def between(cls, size, occupied, reach):
        """Cells of some numbers, in ascending order, with gaps that are longer than a distance shortened to it."""
        steps = np.minimum(np.diff(occupied), math.ceil(reach / size) + 1)
        return cls(size, occupied, np.concatenate([[0], np.cumsum(steps).astype(np.int64)]))

    def of(self, z):
        """The place of each point's cell."""
        numbers, first = _numbers(z, self.size), self.occupied[0]
        n_numbers = int(self.occupied[-1] - first) + 1
        if n_numbers > _LONGEST_TABLE:
            before = np.searchsorted(self.occupied, numbers, "right") - 1
            return self.places[before] + (numbers - self.occupied[before]).astype(np.int64)
        occupied = (self.occupied - first).astype(np.int64)
        table = np.arange(n_numbers)
        table += np.repeat(self.places - occupied, np.diff(occupied, append=n_numbers))
        return table[(numbers - first).astype(np.int64)]


#: Numbers of cells have so few bits that the centre of a cell, and whether a point is in it, are exact but for some eps
#: of its width.
LARGEST_NUMBER = 2.0**40


#: So many cells are looked up in a table, more by bisection.
_LONGEST_TABLE = 2**22


def _numbers(z, size):
    """Numbers of the cells of some points, whatever a quotient is rounded to."""
    numbers = np.floor(z / size)
    numbers -= numbers * size > z
    numbers += (numbers + 1) * size <= z
    return numbers


def _unique(numbers):
    """Different numbers in ascending order; without a sort, if that is the order they come in."""
    if is_sorted(numbers):
        return numbers[np.append(True, numbers[1:] != numbers[:-1])]
    return np.unique(numbers)


def is_sorted(z):
    """Whether some points are in ascending order."""
    return bool((z[1:] >= z[:-1]).all())


def _occupied(z, size, in_order):
    """Numbers of the cells that hold points."""
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
    """Whether it is quicker to look for edges among points that are in order than for points among edges."""
    return 16 * n_cells < len(z)


def _edges(z, size, numbers):
    """Where the points of each cell begin in a sorted list, and where those of the last one end."""
    return np.searchsorted(z, np.append(numbers, numbers[-1] + 1) * size)


class Points(NamedTuple):
    """Points in lists, one per cell, as the loops read them.

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
        """The points of an array in the cells of some axes; of one axis they may be in ascending order."""
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
        """Ranges of cells of some thousand points each."""
        marks = np.arange(0, self.starts[-1] + _POINTS_PER_BLOCK, _POINTS_PER_BLOCK)
        ends = np.unique(np.append(np.searchsorted(self.starts, marks), len(self.starts) - 1))
        ends = ends[ends < len(self.starts)]
        return list(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)) if ends[0] == 0 else []


def round_down(x):
    """A number of four bits, so that its multiples are exact."""
    mantissa, exponent = math.frexp(x)
    return math.ldexp(math.floor(16 * mantissa), exponent - 4)
