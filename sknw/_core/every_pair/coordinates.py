r"""Centered and scaled coordinates for the Gaussian, and the accuracy of distances in them.

Coordinates are centered at the middle of the rows and scaled, once per block of queries and per tile of rows. The
Gaussian is then :math:`2^{-s}`, and sums are relative to s = 0:

.. math:: s = |a - b|^2, \qquad a = (z_q - c)\, g\, r, \quad b = (z - c)\, g\, r, \quad r^2 = \tfrac12 \log_2 e

From some number of features on, s is computed from inner products, :math:`|a|^2 + |b|^2 - 2\, a \cdot b`; see
`distances`.

Both ways lose digits. Let u be the unit roundoff. Coordinates have relative errors of 2u, and b is at most as large as
a plus their distance. Hence s has an error of :math:`8 u \sqrt s |a|`, besides the rounding of differences. By inner
products, there are three contributions: :math:`d u |a| |b|` from the products, a relative error of d u from the
squares, and three roundings from their sum. Together the error is at most :math:`(2 d + 12)\, u\, (|a|^2 + |b|^2)`,
whatever the order of additions. The relative error of a weight is half of that. Inner products are used where it is at
most `rtol`, differences elsewhere.
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


#: Scaled coordinates are clipped to this value: its square is finite, and kernel weights beyond it underflow to zero.
FARTHEST = 1e15


class _Precision(NamedTuple):
    """Limits of a floating-point type.

    Attributes
    ----------
    dtype : type
    roundoff : float
        Unit roundoff.
    farthest : float
        Squared scaled distance of a query to its nearest row beyond which sums with offset 0 are not used.
    least : float
        Smallest power of two that is computed. Rows that are farther away get this weight too.
    """

    dtype: type
    roundoff: float
    farthest: float
    least: float

    def widest(self, rtol):
        """Largest distance of a query from the middle for which weights are right to `rtol`.

        Squared distances that matter are the smallest one plus the average excess under softmax weights. The excess is
        twice the logarithm of the ratio of the sum of weights to that of the nearest row, below 100 for ratios up to
        1e20.
        """
        return rtol / (4 * self.roundoff * math.sqrt(self.farthest + 100))


DOUBLE = _Precision(np.float64, 2.0**-53, 800.0, 2.0**-960)


SINGLE = _Precision(np.float32, 2.0**-24, 100.0, 2.0**-110)


#: Maximum relative error of a weight in float32, besides the rounding of differences.
SINGLE_RTOL = 1e-4


def most_for_products(d, rtol, roundoff=DOUBLE.roundoff):
    """Largest sum of two squared norms for which inner products give weights right to `rtol`."""
    return rtol / ((d + 6) * roundoff)


def _cut(coordinates):
    """Clip coordinates in place, so that their squares are finite."""
    return np.clip(coordinates, -FARTHEST, FARTHEST, out=coordinates)


def middle(Z):
    """Coordinatewise median of the points Z of shape (n, d)."""
    return np.partition(Z, len(Z) // 2, axis=0)[len(Z) // 2]


def middle_of_rows(rows):
    """Coordinatewise median of five training rows.

    It does not depend on the queries, so that the result of a query does not depend on the others.
    """
    return middle(rows.Z[:, len(rows.w) * np.arange(1, 10, 2) // 10].T)


def relative_to_zero(state, rows, wanted, precision=DOUBLE):
    """Complete a state with offset 0; queries with negligible weights become uncertain."""
    state.offset[:] = 0.0
    # If the nearest rows have negligible weights, all other rows would contribute the smallest power instead of zero.
    smallest = max(1.0, rows.w.sum()) * 2.0 ** (-UNIT * precision.farthest)
    state.error[~(state.sums[:, 0] >= smallest)] = math.inf
    if wanted >= Wanted.SCALE:
        state.derivatives[:] /= UNIT
    return state


class Frame(NamedTuple):
    """Origin and scale of coordinates.

    Attributes
    ----------
    rows : Rows
    origin : ndarray of shape (d,)
    g : ndarray of shape (d,)
        Factor of each feature.
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
        """Yield tiles of rows: start, stop, coordinates of shape (d, stop - start), squared norms.

        The arrays are reused for the next tile.
        """
        (d, n), dtype, before = self.rows.Z.shape, self.precision.dtype, None
        for start in range(0, n, width):
            stop = min(start + width, n)
            if stop - start != before:  # true for the first tile, and possibly for the last
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
        """Whether queries are so near the middle that differences are accurate to `rtol`.

        Parameters
        ----------
        squares : ndarray of shape (m,)
            Squared norms of the queries.
        rtol : float
        """
        return squares <= UNIT * self.precision.widest(rtol) ** 2

    def most_for_products(self, rtol):
        """`most_for_products` in units of these coordinates."""
        return UNIT * most_for_products(len(self.g), rtol, self.precision.roundoff)


class Block(NamedTuple):
    """A block of queries, centered and scaled.

    Attributes
    ----------
    A : ndarray of shape (m, d)
    squares : ndarray of shape (m,)
        Squared norms.
    """

    A: np.ndarray
    squares: np.ndarray

    def part(self, queries):
        """The queries with the given numbers."""
        return Block(*(a[queries] for a in self))

    def products(self, queries, B, room):
        """Inner products of a slice of the queries with a tile, written into the array `room`."""
        A = self.A[queries]
        out = room.ravel()[: len(A) * B.shape[1]].reshape(len(A), B.shape[1])
        with np.errstate(over="ignore", invalid="ignore"):
            return np.matmul(A, B, out=out)


@jit_entry(allocates=False)
def add_times_matrix(Z, G, out):
    """Add the product of matrices of shapes (m, d) and (d, k) to `out`, line by line."""
    d, fours = Z.shape[1], Z.shape[1] // 4 * 4
    for i in range(Z.shape[0]):
        z, line = Z[i], out[i]
        for k in range(0, fours, 4):  # four at a time, so that a line is written less often
            z_0, z_1, z_2, z_3 = z[k], z[k + 1], z[k + 2], z[k + 3]
            for j in range(G.shape[1]):
                line[j] += z_0 * G[k, j] + z_1 * G[k + 1, j] + z_2 * G[k + 2, j] + z_3 * G[k + 3, j]
        for k in range(fours, d):
            for j in range(G.shape[1]):
                line[j] += z[k] * G[k, j]


def times_matrix(Z, G):
    """Product of two matrices in which the rounding of a line does not depend on the others.

    In BLAS libraries, the order of additions may depend on the number of lines.
    """
    Z, G, out = read_only(Z), read_only(G), np.zeros((len(Z), G.shape[1]))
    # Blocks of some hundredths of a second, between which Ctrl-C is noticed.
    step = max(1, _PRODUCTS_PER_BLOCK // max(1, G.size))
    blocks = [(start, start + step) for start in range(0, len(Z), step)]
    run_blocks(lambda start, stop: add_times_matrix(Z[start:stop], G, out[start:stop]), blocks, 1)
    return out


_PRODUCTS_PER_BLOCK = 2**27
