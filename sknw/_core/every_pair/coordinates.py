r"""Coordinates in which the Gaussian is a power of two, and how many digits squared distances have in these.

Coordinates are centred in the middle of the rows and scaled before they are subtracted, once per block of queries and
tile of rows, so that the Gaussian is :math:`2^{-s}`, and sums are relative to s = 0:

.. math:: s = |a - b|^2, \qquad a = (z_q - c)\, g\, r, \quad b = (z - c)\, g\, r, \quad r^2 = \tfrac12 \log_2 e

From some features on s follows from inner products, :math:`|a|^2 + |b|^2 - 2\, a \cdot b`; in `_distances.py`.

The price is digits, in units of the unit roundoff u and of bandwidths. Coordinates are wrong by 2u of themselves, and b
is no larger than a and their distance, so that s is wrong by :math:`8 u \sqrt s |a|` besides the rounding of
differences; by products, inner ones are wrong by :math:`d u |a| |b|`, squares by d u of themselves, and three more
roundings put them together, :math:`(2 d + 12)\, u\, (|a|^2 + |b|^2)` in all, whatever the order of their sums. A weight
is wrong by half of that, relative to itself. Products are taken where that is no more than `rtol`, differences
elsewhere.
"""

import math
from typing import NamedTuple

import numpy as np

from ..problem import Rows, Wanted, read_only
from ..runtime.jit import jit_entry
from ..runtime.processor import aligned
from ..runtime.threads import run_blocks

#: The Gaussian exp(-s/2) is 2**(-UNIT s).
UNIT = 0.5 * math.log2(math.e)


#: Scaled coordinates are cut there: their squares are finite, and so far away no weight is left to multiply them.
FARTHEST = 1e15


class _Precision(NamedTuple):
    """What one type of floating-point numbers can do.

    Attributes
    ----------
    dtype : type
    roundoff : float
    farthest : float
        Least distance of a query to a row, squared, beyond which it is left to sums relative to that.
    least : float
        The least power: rows that are farther have it, too.
    """

    dtype: type
    roundoff: float
    farthest: float
    least: float

    def widest(self, rtol):
        """How far queries may be from the middle: no farther than `rtol` allows.

        Distances that count are the least one, and what softmax weights add to it on average: twice the logarithm of
        the sum of the weights over that of the nearest row, below 100 for up to 20 decades of it.
        """
        return rtol / (4 * self.roundoff * math.sqrt(self.farthest + 100))


DOUBLE = _Precision(np.float64, 2.0**-53, 800.0, 2.0**-960)


SINGLE = _Precision(np.float32, 2.0**-24, 100.0, 2.0**-110)


#: What a weight may be wrong by in float32, relative to itself, besides the rounding of differences.
SINGLE_RTOL = 1e-4


def most_for_products(d, rtol, roundoff=DOUBLE.roundoff):
    """How much two squares may add up to for weights that follow from their inner product to be right to `rtol`."""
    return rtol / ((d + 6) * roundoff)


def _cut(coordinates):
    """Bring coordinates back to where their squares are numbers."""
    return np.clip(coordinates, -FARTHEST, FARTHEST, out=coordinates)


def middle(Z):
    """A place amid some points: of each coordinate one that is neither high nor low among them."""
    return np.partition(Z, len(Z) // 2, axis=0)[len(Z) // 2]


def middle_of_rows(rows):
    """The same of some rows of all; not of the queries: each has the same answer whichever others are asked with it."""
    return middle(rows.Z[:, len(rows.w) * np.arange(1, 10, 2) // 10].T)


def relative_to_zero(state, rows, wanted, precision=DOUBLE):
    """Complete a state of sums relative to s = 0, in these coordinates; where hardly a weight is left, uncomputed."""
    state.offset[:] = 0.0
    # Where the nearest rows weigh next to nothing, others would count that have the least power instead of none.
    least = max(1.0, rows.w.sum()) * 2.0 ** (-UNIT * precision.farthest)
    state.error[~(state.sums[:, 0] >= least)] = math.inf
    if wanted >= Wanted.SCALE:
        state.derivatives[:] /= UNIT
    return state


class Frame(NamedTuple):
    """Where coordinates are counted from, and in what units.

    Attributes
    ----------
    rows : Rows
    origin, g : ndarray of shape (d,)
        Middle, and factor of each feature.
    precision : _Precision
    """

    rows: Rows
    origin: np.ndarray
    g: np.ndarray
    precision: _Precision = DOUBLE

    def block(self, Zq):
        """A block of queries in these coordinates."""
        A = _cut(self._scale(np.ascontiguousarray(Zq), self.origin, self.g))
        return Block(A.astype(self.precision.dtype, copy=False), np.einsum("ik,ik->i", A, A))

    @staticmethod
    def _scale(Z, origin, g, out=None):
        with np.errstate(over="ignore", invalid="ignore"):
            out = np.subtract(Z, origin, out=out)
            return np.multiply(out, g, out=out)

    def tiles(self, width):
        """Yield each tile: start, stop, coordinates of shape (d, stop - start), their squares.

        The arrays of a tile are used again for the next one.
        """
        (d, n), dtype, before = self.rows.Z.shape, self.precision.dtype, None
        for start in range(0, n, width):
            stop = min(start + width, n)
            if stop - start != before:  # at the first tile, and perhaps at the last
                before = stop - start
                wide = aligned((d, before))
                B = aligned((d, before), dtype) if dtype != np.float64 else wide
            self._scale(self.rows.Z[:, start:stop], self.origin[:, None], self.g[:, None], wide)
            with np.errstate(over="ignore", invalid="ignore"):
                squares = np.einsum("kj,kj->j", wide, wide)
            if not squares.max() <= FARTHEST**2:
                squares = np.einsum("kj,kj->j", _cut(wide), wide)
            squares = squares.astype(dtype, copy=False)
            if B is not wide:
                B[:] = wide
            yield start, stop, B, squares

    def is_near(self, squares, rtol):
        """Which queries, of these squares, are so near the middle that differences have digits enough."""
        return squares <= UNIT * self.precision.widest(rtol) ** 2

    def most_for_products(self, rtol):
        """`most_for_products` in these coordinates."""
        return UNIT * most_for_products(len(self.g), rtol, self.precision.roundoff)


class Block(NamedTuple):
    """A block of queries, centred and scaled.

    Attributes
    ----------
    A : ndarray of shape (m, d)
    squares : ndarray of shape (m,)
        Their squared distances to the middle.
    """

    A: np.ndarray
    squares: np.ndarray

    def part(self, queries):
        """Some of the queries."""
        return Block(*(a[queries] for a in self))

    def products(self, queries, B, room):
        """Inner products of a slice of the queries with a tile, in the memory of the array `room`."""
        A = self.A[queries]
        out = room.ravel()[: len(A) * B.shape[1]].reshape(len(A), B.shape[1])
        with np.errstate(over="ignore", invalid="ignore"):
            return np.matmul(A, B, out=out)


@jit_entry(allocates=False)
def add_times_matrix(Z, G, out):
    """Add the product of two matrices, of shapes (m, d) and (d, k), to `out`, line by line."""
    d, fours = Z.shape[1], Z.shape[1] // 4 * 4
    for i in range(Z.shape[0]):
        z, line = Z[i], out[i]
        for k in range(0, fours, 4):  # that many at once, for a line to be written less often
            z_0, z_1, z_2, z_3 = z[k], z[k + 1], z[k + 2], z[k + 3]
            for j in range(G.shape[1]):
                line[j] += z_0 * G[k, j] + z_1 * G[k + 1, j] + z_2 * G[k + 2, j] + z_3 * G[k + 3, j]
        for k in range(fours, d):
            for j in range(G.shape[1]):
                line[j] += z[k] * G[k, j]


def times_matrix(Z, G):
    """The product of two matrices, each line of which is rounded in the same way whatever the others are.

    A library's products are not: their order of additions may depend on the number of lines.
    """
    Z, G, out = read_only(Z), read_only(G), np.zeros((len(Z), G.shape[1]))
    # In blocks of some hundredths of a second, between which it can be interrupted.
    step = max(1, _PRODUCTS_PER_BLOCK // max(1, G.size))
    blocks = [(start, start + step) for start in range(0, len(Z), step)]
    run_blocks(lambda start, stop: add_times_matrix(Z[start:stop], G, out[start:stop]), blocks, 1)
    return out


_PRODUCTS_PER_BLOCK = 2**27
