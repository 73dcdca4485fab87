"""One feature, rows further from zero than cells can be counted to: islands, each counted from its own first row.

An outlier of 1e15 between data of the order of one, or times in nanoseconds since 1970 and a bandwidth of one: cells
have numbers then that are not exact. But rows that are ever so far from zero have differences that are, and between
rows that are ever so far apart there are gaps that no kernel sees across.
"""

from typing import NamedTuple

import numpy as np

from ..problem import Rows, read_only

#: From zero, or from the first row of an island, up to so many bandwidths cells can be counted.
_FARTHEST = 2.0**36


#: Gaps of so many bandwidths part islands: twice as many as any query is from all islands but its own, at least.
_GAP = 80.0


LEAST_DISTANCE = 0.5 * _GAP


#: With more islands than that few rows are in each, and windows do as well.
_MOST = 64


class Islands(NamedTuple):
    """Rows in ascending order, in parts.

    Attributes
    ----------
    starts : ndarray of int64
        The first row of each.
    origins : ndarray of float64
        What their coordinates are to be counted from: differences with it are exact.
    borders : ndarray of float64
        Between each of them and the next one.
    """

    starts: np.ndarray
    origins: np.ndarray
    borders: np.ndarray

    @classmethod
    def of(cls, z, g):
        """The islands of some coordinates, for bandwidths of 1/g; None if they need none, or too many."""
        farthest = _FARTHEST / g
        if max(abs(z[0]), abs(z[-1])) < farthest:
            return None
        with np.errstate(over="ignore"):
            shores = np.concatenate([[0], np.flatnonzero((z[1:] - z[:-1]) * g > _GAP) + 1, [len(z)]])
            starts, origins, start = [], [], 0
            while start < len(z):
                near = _last(shores, np.searchsorted(z, farthest))
                if z[start] > -farthest and near > start:
                    origin, end = 0.0, near
                else:  # numbers of one sign, none more than twice another, have exact differences
                    origin = z[start]
                    last = min(origin + farthest, 2 * origin if origin > 0 else 0.5 * origin)
                    end = _last(shores, np.searchsorted(z, last, "right"))
                if end <= start or len(starts) == _MOST:
                    return None
                starts.append(start)
                origins.append(origin)
                start = end
        inner = np.array(starts[1:], dtype=np.int64)
        return cls(np.array(starts), np.array(origins), 0.5 * z[inner - 1] + 0.5 * z[inner])

    def parts(self, rows):
        """The rows of each, counted from its origin."""
        ends = [*self.starts[1:], rows.Z.shape[1]]
        for start, end, origin in zip(self.starts, ends, self.origins, strict=True):
            Z, Y, w, w_rest = (a[..., start:end] for a in rows)
            yield Rows(*map(read_only, (Z - origin, Y, w, w_rest)))


def _last(shores, stop):
    """The last of some numbers, in ascending order and 0 the first, that is not above another."""
    return shores[np.searchsorted(shores, stop, "right") - 1]
