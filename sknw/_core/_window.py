r"""Only the pairs within reach: any kernel, one to about eight features.

Training rows stand in an order in which every tile of consecutive rows lies close together, and so do groups of tiles
(`_order.py`). Of each tile and each group the bounding box is known; for a block of queries that lie close together,
too, tiles are looked up once, box against box:

    groups within reach of the block -> tiles within reach of the block -> tiles within reach of each query -> `merge`

The last is the dense algorithm's. What is in reach is known beforehand for a kernel that vanishes. For one that never
does it follows from what has been added up: weights fall from the nearest row on, and once a query has the mass M
relative to the squared distance a of its nearest row so far, all rows with

.. math:: s > a + 2 \log\frac{W}{\rho M}, \qquad W = \sum_j w_j

together have no more than the share :math:`\rho` of its mass (the Gaussian; for the exponential kernel likewise in u).
That is why the nearest tiles come first.
"""

import math
from typing import NamedTuple

import numpy as np

from ._dense import _EPS, _GAUSSIAN, _LARGEST, _NEAREST, as_near, is_shifted, merge, restart
from ._jit import EXP2_LOWEST, jit, jit_entry, not_inlined
from ._order import LEAF, spatial_order
from ._profiles import NEAREST, PROFILES
from ._rows import Derivatives, Rows, State, read_only
from ._threads import run_blocks

#: Rows of a tile, queries of a block: leaves of the order.
_TILE = LEAF
_BLOCK = LEAF

#: Tiles of a group: a power of two, which is a box of the order, too.
_GROUP = 64

#: Neighbouring tiles are taken together, up to this many rows.
_WIDEST = 512

#: What a compiled call does before it returns, so that it can be interrupted. The unit is a pair with one feature and
#: one output.
_WORK_PER_CALL = 2**24

#: Queries that are handed to a thread at a time.
_QUERIES_PER_CALL = 2**10

# Further away than this in the exponent, a weight is exactly zero.
_UNDERFLOW = -EXP2_LOWEST * math.log(2)

_LOG_128 = math.log(128.0)

# A plain 0 would be a type of its own, for which functions are compiled once more.
_FRONT = np.int64(0)

_TINY = 1e-300


class Boxes(NamedTuple):
    """Bounding boxes.

    Attributes
    ----------
    low, high : ndarray of shape (d, n_boxes)
        Smallest and largest coordinates.
    """

    low: np.ndarray
    high: np.ndarray

    def groups(self, width):
        """The boxes around every `width` consecutive ones."""
        starts = np.arange(0, self.low.shape[1], width)
        return Boxes(np.minimum.reduceat(self.low, starts, axis=1), np.maximum.reduceat(self.high, starts, axis=1))


@jit
def box_distances(low_q, high_q, boxes, start, g, s):
    """Lower bounds for the squared scaled distances from a box to others, from `start` on, as many as s has room for.

    What `squared_distances` gives for a row is within (d/2 + 3) eps of the exact one, and so is what is formed here of
    the nearest point of its box, which is no further away. Lowered by both, it is never above that of a row.
    """
    not_inlined()
    n, d = s.shape[0], low_q.shape[0]
    for c in range(n):
        s[c] = 0.0
    for k in range(d):
        low_k, high_k = boxes.low[k, start : start + n], boxes.high[k, start : start + n]
        z_low, z_high, g_k = low_q[k], high_q[k], g[k]
        for c in range(n):
            t = max(max(low_k[c] - z_high, z_low - high_k[c]), 0.0) * g_k
            s[c] += t * t
    for c in range(n):
        s[c] = s[c] * (1.0 - (d + 8) * _EPS) - _TINY  # around which squares lose their digits


@jit
def index_of_lowest(s):
    """Where the smallest number stands."""
    not_inlined()
    best = 0
    for c in range(s.shape[0]):
        if s[c] < s[best]:
            best = c
    return best


@jit
def horizon(kernel, differentiated, log_share, shift, mass):
    r"""Squared distance beyond which all rows together do not count for a query, at its present shift and mass.

    `log_share` is :math:`\log(W / \rho)`. With the exponent e, which is s/2 or u, all rows beyond c = e(shift) +
    log_share - log(mass) have no more than the share rho of the mass, whatever the mass will grow to. In derivatives a
    weight has a factor of at most 2e, and falls from there on: beyond e = c + log(4c), below 3c for c >= 3, the
    logarithm makes up for it, and so does a tangent above it, which takes less time.
    """
    if len(kernel) == _NEAREST:
        return min(shift, _LARGEST)
    if not is_shifted(kernel):
        return 1.0
    e = 0.5 * shift if len(kernel) == _GAUSSIAN else math.sqrt(shift)
    c = e + log_share - (math.log(mass) if mass != 1.0 else 0.0)
    if differentiated:
        c = max(c, 3.0)
        c += _LOG_128 - 1.0 + c / 32.0
    c = min(c, e + _UNDERFLOW)
    return min(2.0 * c if len(kernel) == _GAUSSIAN else c * c, _LARGEST)


@jit
def enclose(Zq, start, stop, low, high):
    """The bounding box of some queries."""
    for k in range(Zq.shape[1]):
        low[k] = high[k] = Zq[start, k]
        for i in range(start + 1, stop):
            low[k] = min(low[k], Zq[i, k])
            high[k] = max(high[k], Zq[i, k])


@jit
def find_nearest(low_q, high_q, tiles, groups, g, z, s):
    """A tile that is near the middle z of a box, which is written."""
    not_inlined()
    n_tiles, n_groups = tiles.low.shape[1], groups.low.shape[1]
    for k in range(z.shape[0]):
        z[k] = 0.5 * low_q[k] + 0.5 * high_q[k]
    box_distances(z, z, groups, _FRONT, g, s[:n_groups])
    start = index_of_lowest(s[:n_groups]) * _GROUP
    width = min(_GROUP, n_tiles - start)
    box_distances(z, z, tiles, start, g, s[:width])
    return start + index_of_lowest(s[:width])


@jit
def find_within(reach, low_q, high_q, tiles, groups, g, s_groups, s, found):
    """All tiles within a squared distance of a box, in order; returns how many they are."""
    not_inlined()
    n_tiles, n_groups, count = tiles.low.shape[1], groups.low.shape[1], 0
    box_distances(low_q, high_q, groups, _FRONT, g, s_groups)
    for j in range(n_groups):
        if s_groups[j] <= reach:
            start = j * _GROUP
            width = min(_GROUP, n_tiles - start)
            box_distances(low_q, high_q, tiles, start, g, s[:width])
            for c in range(width):
                if s[c] <= reach:
                    found[count] = start + c
                    count += 1
    return count


@jit
def gather(tiles, found, count, near):
    """Copy the boxes of some tiles."""
    for k in range(near.low.shape[0]):
        for c in range(count):
            near.low[k, c], near.high[k, c] = tiles.low[k, found[c]], tiles.high[k, found[c]]


@jit_entry
def add_rows_within(
    kernel, with_respect_to, Zq, own, g, rows, tiles, groups, log_share, start, stop, budget, state, visited
):
    """Merge the training rows within reach into the states of the queries from `start` on.

    Parameters
    ----------
    kernel, with_respect_to, Zq, own, g, rows
        As in `add_rows`; rows and queries in spatial order.
    tiles, groups : Boxes
        Of each `_TILE` rows, and of each `_GROUP` tiles.
    log_share : float
        The logarithm of the sum of all weights over the share of a query's mass that may be neglected.
    start, stop : int
        Which queries; start is a multiple of `_BLOCK`.
    budget : int
        How many rows may be visited, beyond which no other block of queries is begun.
    state : State
        Updated.
    visited : int64[::1] of shape (m,)
        How many rows each query visits is added.

    Returns
    -------
    int
        Where to go on, or stop.
    """
    (d, n), n_tiles = rows.Z.shape, tiles.low.shape[1]
    buffers, low, high, z = np.empty((4, _WIDEST)), np.empty(d), np.empty(d), np.empty(d)
    s, s_groups, found = np.empty(n_tiles), np.empty(groups.low.shape[1]), np.empty(n_tiles, np.int64)
    differentiated = state.dsums.shape[1] > 0
    near = Boxes(np.empty((d, n_tiles)), np.empty((d, n_tiles)))
    while start < stop and budget > 0:
        end = min(start + _BLOCK, stop)
        first = -1  # tile that all queries have met
        # Where reach depends on what has been added up, one tile goes ahead, then all within reach follow; once
        # more where it takes the nearest row to know which count.
        for ahead in range(1 if is_shifted(kernel) else 0, -2 if len(kernel) == _NEAREST else -1, -1):
            if ahead < 0:
                first = -1
                for i in range(start, end):
                    restart(i, state)
            enclose(Zq, start, end, low, high)
            if ahead > 0:
                found[0], count = find_nearest(low, high, tiles, groups, g, z, s), 1
            else:
                reach = 0.0
                for i in range(start, end):
                    shift = as_near(kernel, state.shift[i], Zq[i], g)
                    reach = max(reach, horizon(kernel, differentiated, log_share, shift, state.sums[i, 0]))
                count = find_within(reach, low, high, tiles, groups, g, s_groups, s, found)
            gather(tiles, found, count, near)
            for i in range(start, end):
                enclose(Zq, i, i + 1, low, high)
                box_distances(low, high, near, _FRONT, g, s[:count])
                shift = as_near(kernel, state.shift[i], Zq[i], g)
                reach = horizon(kernel, differentiated, log_share, shift, state.sums[i, 0])
                # From the nearest tile on, all round.
                c, left = index_of_lowest(s[:count]), count
                while left > 0:
                    run = 0  # of neighbouring tiles within reach, which are as good as one wide tile
                    while (
                        run < min(left, count - c, _WIDEST // _TILE)
                        and found[c + run] == found[c] + run
                        and found[c + run] != first
                        and s[c + run] <= reach
                    ):
                        run += 1
                    if run > 0:
                        begin = found[c] * _TILE
                        behind = min(begin + run * _TILE, n)
                        merge(kernel, None, with_respect_to, Zq[i], own[i], g, rows, begin, behind, buffers, i, state)
                        visited[i] += behind - begin
                        budget -= behind - begin
                        shift = as_near(kernel, state.shift[i], Zq[i], g)
                        reach = horizon(kernel, differentiated, log_share, shift, state.sums[i, 0])
                    left -= max(run, 1)
                    c = (c + max(run, 1)) % count
            first = found[0]
        start = end
    return start


@jit
def count_within(Z, first, step, x, g, reach):
    """How many rows are within a squared distance, from one on, to one side of a query, in sorted rows."""
    n = Z.shape[0]
    most = n - first if step > 0 else first + 1
    # Ever larger strides, then halves.
    low, high = 0, 1
    while high <= most:
        t = (x - Z[first + step * (high - 1)]) * g
        if t * t > reach:
            break
        low = high
        high *= 2
    high = min(high, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        t = (x - Z[first + step * (middle - 1)]) * g
        if t * t <= reach:
            low = middle
        else:
            high = middle
    return low


@jit
def first_not_below(Z, first, x):
    """The first of sorted rows that is not below a query, looked for from one on that is not behind it."""
    # Ever larger strides, then halves.
    n, step = Z.shape[0], 1
    while first + step <= n and Z[first + step - 1] < x:
        first += step
        step *= 2
    while step > 0:
        if first + step <= n and Z[first + step - 1] < x:
            first += step
        step //= 2
    return first


@jit
def nearest_counting(w_rest, own, place, step):
    """The row next to a place, on one side, that counts for a query; outside of the rows if there is none."""
    if place == own and w_rest[own] == 0.0:
        return place + step
    return place


@jit_entry
def add_rows_between(kernel, with_respect_to, Zq, own, g, rows, log_share, start, stop, budget, state, visited):
    """`add_rows_within` for one feature, whose rows are sorted: those within reach follow each other.

    Parameters and result as there; queries are sorted, too.
    """
    Z, n = rows.Z[0], rows.w.shape[0]
    buffers = np.empty((4, _WIDEST))
    differentiated = state.dsums.shape[1] > 0
    right = 0  # of the queries, which are sorted, too
    while start < stop and budget > 0:
        for i in range(start, min(start + _BLOCK, stop)):
            x = Zq[i, 0]
            right = first_not_below(Z, right, x)
            low, mass = np.inf, 0.0
            for row in (
                nearest_counting(rows.w_rest, own[i], right - 1, -1),
                nearest_counting(rows.w_rest, own[i], right, 1),
            ):
                if 0 <= row < n:
                    t = (x - Z[row]) * g[0]
                    if t * t < low:
                        low, mass = t * t, rows.w_rest[row] if row == own[i] else rows.w[row]
            state.shift[i] = low
            shift = as_near(kernel, low, Zq[i], g)
            reach = horizon(kernel, differentiated, log_share, shift, mass) if low < np.inf else 0.0
            begin = right - count_within(Z, right - 1, -1, x, g[0], reach)
            end = right + count_within(Z, right, 1, x, g[0], reach)
            visited[i] += end - begin
            budget -= end - begin
            while begin < end:
                middle = min(begin + _WIDEST, end)
                merge(kernel, None, with_respect_to, Zq[i], own[i], g, rows, begin, middle, buffers, i, state)
                begin = middle
        start = min(start + _BLOCK, stop)
    return start


def window_sums(kernel, rows, g, Zq, own=None, *, derivatives=Derivatives.NOTHING, rtol=0.0, n_threads=1, visited=None):
    r"""Mass and moments of every query, over the training rows within reach.

    Parameters
    ----------
    kernel : str
        A key of `PROFILES`, or "nearest". A user's profile has no known reach: see `kernel_sums`.
    rows : Rows
        Training rows, in the order that `spatial_order` gives.
    g, Zq, own, derivatives, n_threads
        As in `kernel_sums`.
    rtol : float
        For kernels that never vanish: the share of a query's mass that may be neglected; at most 1. The neglected part
        of the mass, of the moments over max(abs(y)), and of their derivatives over the same are at most this times the
        mass; an average over the rows is off by at most rtol times the range of y. With 0, only weights are
        neglected that are zero in floating point.
    visited : ndarray of shape (m,), int64, default=None
        If given, how many training rows each query has met is added to it.

    Returns
    -------
    State
        As `kernel_sums` gives it, up to the order of additions. For a kernel that vanishes, in more than one feature,
        `shift` is `inf` if no row is within reach: nobody has looked further; "nearest" does.

    Notes
    -----
    Besides the pairs within reach, O((n + m) d) time and memory, O(m d log m) to order queries that are no rows, and
    the search: each 64 queries look at all n / 64**2 groups, and each query at the tiles within reach of its block.
    """
    Zq, g, rows = read_only(Zq), read_only(g), Rows(*map(read_only, rows))
    (m, d), (p, _), q = Zq.shape, rows.Y.shape, derivatives.count(len(g))
    order = spatial_order(Zq.T, g) if own is None or d == 1 else np.argsort(own, kind="stable")
    Zq, own = read_only(Zq[order]), read_only(np.full(m, -1) if own is None else np.asarray(own)[order], np.int64)
    boxes = []
    if d > 1:
        tiles = Boxes(rows.Z, rows.Z).groups(_TILE)
        boxes = [tiles, tiles.groups(_GROUP)]
    log_share = log_of_share(kernel, rows, rtol)
    compiled = (0,) * (NEAREST if kernel == "nearest" else PROFILES[kernel]).code
    state, counts = State.empty(m, p, q), np.zeros(m, np.int64)

    def add(start, stop, budget):
        args = compiled, derivatives.for_loops(), Zq, own, g, rows
        rest = log_share, start, stop, budget, state, counts
        return add_rows_between(*args, *rest) if d == 1 else add_rows_within(*args, *boxes, *rest)

    run_by_budget(add, m, (d + p) * (1 + q), n_threads)
    if visited is not None:
        visited[order] += counts
    if d > 1 and kernel != "nearest" and math.isfinite(PROFILES[kernel].reach):
        state.shift[state.shift > 1] = math.inf
    if (order[1:] > order[:-1]).all():
        return state
    back = np.empty_like(order)
    back[order] = np.arange(m)
    return State(*(a[back] for a in state))


def log_of_share(kernel, rows, rtol):
    """The logarithm of the sum of all weights over the share of a query's mass that may be neglected.

    Of kernels that vanish it is not asked for.
    """
    if kernel == "nearest" or math.isfinite(PROFILES[kernel].reach):
        return 0.0
    with np.errstate(divide="ignore"):
        return float(np.log(rows.w.sum()) - np.log(rtol))


def run_by_budget(add, m, per_pair, n_threads, per_call=_QUERIES_PER_CALL):
    """Call ``add(start, stop, budget)`` for all queries, which returns where to go on if the pairs are more than that.

    `per_pair` is the work of a pair.
    """
    budget = max(1, _WORK_PER_CALL // per_pair)
    blocks = [(start, min(start + per_call, m)) for start in range(0, m, per_call)]

    def work(start, stop):
        start = add(start, stop, budget)
        if start < stop:  # more work than expected: two threads may share what is left
            middle = start + (stop - start) // (2 * _BLOCK) * _BLOCK
            blocks.extend([(start, middle), (middle, stop)])

    while blocks:
        todo, blocks[:] = blocks[:], []
        run_blocks(work, todo, n_threads)


#: Queries that an estimate is made from.
_SAMPLED = 24


def expected_pairs(kernel, rows, g, Zq, *, rtol):
    """An estimate of how many pairs `window_sums` visits, from a few of the queries.

    Parameters as in `window_sums`; `Zq` may be None if the queries are the rows. O(log n) time in one feature, O(n d)
    in more.
    """
    Zq = rows.Z.T if Zq is None else Zq
    if kernel == "nearest":
        return 2 * _TILE * len(Zq)
    return len(Zq) * np.mean(rows_in_reach(kernel, rows, g, Zq, rtol=rtol))


def rows_in_reach(kernel, rows, g, Zq, *, rtol):
    """How many rows a few of the queries have in reach, in more than one feature about; parameters as above."""
    some = Zq[(2 * np.arange(_SAMPLED) + 1) * len(Zq) // (2 * _SAMPLED)] if len(Zq) > _SAMPLED else Zq
    reach = np.ones(len(some))
    if len(g) == 1:
        z, x = rows.Z[0], some[:, 0]

        def count(u):
            """Rows within a scaled distance."""
            with np.errstate(over="ignore"):
                return np.searchsorted(z, x + u / g[0], "right") - np.searchsorted(z, x - u / g[0])
    else:
        tiles = Boxes(rows.Z, rows.Z).groups(_TILE)
        nearest = np.zeros((len(some), tiles.low.shape[1]))
        with np.errstate(over="ignore"):
            for x, low, high, g_k in zip(some.T[:, :, None], tiles.low, tiles.high, g, strict=True):
                nearest += (np.maximum(np.maximum(low - x, x - high), 0) * g_k) ** 2

        def count(u):
            """Rows of the tiles within a scaled distance."""
            return _TILE * np.count_nonzero(nearest <= u[:, None] ** 2, axis=1)

    if not math.isfinite(PROFILES[kernel].reach):
        with np.errstate(divide="ignore"):
            exponent = np.log(len(rows.w)) - np.log(rtol)
        exponent = np.minimum(exponent - np.log(np.maximum(0.5 * count(reach), 1)), _UNDERFLOW)
        reach = np.sqrt(2 * exponent) if kernel == "gaussian" else exponent
    return count(reach)
