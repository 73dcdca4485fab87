"""From arrays to states: the sums over all training rows, for all queries, by blocks on threads."""

import functools
import math

import numpy as np

from .cells.fast_gauss import LEAST_RTOL, fast_gauss_sums
from .cells.grid import is_sorted
from .cells.islands import LEAST_DISTANCE
from .costs import FEW_ROWS, plan, takes_blocks, takes_matrices, worth_a_second_pass
from .every_pair.few_rows import few_sums
from .kernels import CUSTOM, NEAREST, PROFILES
from .order import spatial_order
from .problem import Derivatives, Rows, State, are_all, read_only
from .runtime.processor import aligned, tile_width
from .runtime.threads import in_cache, run_blocks

#: A block of queries is what one thread does without asking: some milliseconds of work, so that it can be interrupted,
#: and enough queries for a tile of rows to be worth fetching. The unit is a pair with one feature and one output.
_WORK_PER_BLOCK = 2**21


_FEWEST_QUERIES = 64


def kernel_sums(
    kernel,
    rows,
    g,
    Zq,
    own=None,
    *,
    derivatives=Derivatives.NOTHING,
    algorithm="dense",
    rtol=0.0,
    single=False,
    in_order=False,
    n_threads=1,
):
    """Mass and moments of every query, over all training rows.

    Parameters
    ----------
    kernel : str or jitted function
        A key of `PROFILES`, "nearest" for the limit of small bandwidths, or a user's profile.
    rows : Rows
        Training rows.
    g : ndarray of shape (d,)
        Factor of each feature: one over its bandwidth.
    Zq : ndarray of shape (m, d)
        Queries.
    own : ndarray of shape (m,), int64, default=None
        For leave-one-out: which training row each query is, or -1 if none; all but "sliding" rely on its being there.
        Of that row's weight `rows.w_rest` counts.
    derivatives : Derivatives
        Which derivatives to add up besides.
    algorithm : str
        One of `ALGORITHMS`, or "auto". All but "dense" count on rows in `spatial_order`, for speed. "fast_gauss" hands
        what it cannot certify, or find cells for, to "window".
    rtol : float
        What the averages that follow may be wrong by, besides rounding, over the range of the targets, if these are
        centered at the middle of it.
    single : bool
        Whether the Gaussian over every pair may be formed in float32, in which `rtol` > 0 is not kept; without
        derivatives only.
    in_order : bool
        Whether rows of one feature are known to be in ascending order, and need not be looked through.
    n_threads : int
        Threads. The result does not depend on it, to the last bit.

    Returns
    -------
    State
        Where `shift` is `inf`, all squared distances overflow.
    """
    # It may be the only feature of several with a finite bandwidth. The nearest rows are looked for in any way.
    if len(rows.Z) == 1 and (algorithm != "dense" or kernel == "nearest") and not in_order:
        rows, own = _sorted(rows, own)
    runs = _runs_of(own)
    all_rows = runs == [(0, len(rows.w))]
    asked = {"derivatives": derivatives, "algorithm": algorithm, "rtol": rtol}
    chosen = plan(kernel, rows, g, None if all_rows else Zq, **asked)
    rows, g, Zq, how = _read_only(rows), read_only(g), read_only(Zq), {"n_threads": n_threads}
    if chosen.algorithm == "dense":
        return dense_sums(kernel, rows, g, Zq, own, derivatives=derivatives, rtol=rtol, single=single, **how)
    if chosen.algorithm == "sliding":
        from .sliding.sums import sliding_sums

        return sliding_sums(kernel, rows, g, Zq, own, derivatives=derivatives, **how)
    if chosen.islands:
        return _island_sums(kernel, rows, g, Zq, own, chosen.islands, **asked | how)
    from .within_reach.boxes import window_sums

    if chosen.algorithm == "window" and runs and len(g) == 1:
        neighbours = neighbours_of(kernel, rows, g, derivatives=derivatives, rtol=rtol)
        states = [neighbours.sums(first, last, **how) for first, last in runs]
        return states[0] if len(runs) == 1 else State(*map(np.concatenate, zip(*states, strict=True)))
    if chosen.algorithm == "window":
        return window_sums(kernel, rows, g, Zq, own, derivatives=derivatives, rtol=rtol, **how)
    state, error = fast_gauss_sums(rows, g, Zq, own, all_rows, derivatives=derivatives, layout=chosen.layout, **how)
    rest = _uncertain(state.sums[:, 0], error, rtol, n_threads)
    if len(rest):
        own = None if own is None else own[rest]
        state.put(rest, window_sums(kernel, rows, g, Zq[rest], own, derivatives=derivatives, rtol=rtol, **how))
    return state


def _island_sums(kernel, rows, g, Zq, own, islands, *, derivatives, rtol, **how):
    """Sums over the rows of one island each, and where others may count as well, over all rows within reach."""
    state, island = State.empty(len(Zq), len(rows.Y), derivatives.count(1)), np.searchsorted(islands.borders, Zq[:, 0])
    for k, part in enumerate(islands.parts(rows)):
        mine = np.flatnonzero(island == k)
        x = Zq[mine] - islands.origins[k]
        own_part = None if own is None else np.where(own[mine] >= 0, own[mine] - islands.starts[k], -1)
        state.put(mine, kernel_sums(kernel, part, g, x, own_part, derivatives=derivatives, rtol=rtol, **how))
    with np.errstate(divide="ignore", invalid="ignore"):
        log_mass = np.log(state.sums[:, 0]) - 0.5 * state.shift
    rest = np.flatnonzero(~(log_mass >= math.log(rows.w.sum()) - 0.5 * LEAST_DISTANCE**2 - math.log(rtol)))
    if len(rest):
        from .within_reach.boxes import window_sums

        own, how = None if own is None else own[rest], {"n_threads": how["n_threads"]}
        state.put(rest, window_sums(kernel, rows, g, Zq[rest], own, derivatives=derivatives, rtol=rtol, **how))
    return state


def neighbours_of(kernel, rows, g, **how):
    """The `Neighbours` of rows, which leave each of them out; importing them imports numba."""
    from .within_reach.leave_one_out import Neighbours

    return Neighbours(kernel, rows, g, **how)


def _uncertain(mass, error, rtol, n_threads):
    """Queries whose sums may be too wrong.

    A mass M and moments N that are wrong by e and e |y| at most, |y| <= R / 2, give an average N / M that is wrong by
    R e / (M - e): certainly no more than rtol R, or else the query is summed up once more.
    """
    found = {}

    def look(start, stop):
        M, e = mass[start:stop], error[start:stop]
        found[start] = start + np.flatnonzero(~(rtol * (M - e) >= e))

    run_blocks(look, in_cache(len(mass)), n_threads)
    return np.concatenate([found[start] for start in sorted(found)]) if found else np.zeros(0, dtype=int)


def goes_backward(kernel, rows, g, *, derivatives, algorithm="dense", rtol=0.0, **_):
    """Whether a gradient over all rows takes less time by `pull_back` than by the derivatives of each sum."""
    if not len(g) or not worth_a_second_pass(len(g), derivatives):
        return False
    rows, _ = _sorted(rows, None) if len(g) == 1 else (rows, None)
    return plan(kernel, rows, g, None, derivatives=derivatives, algorithm=algorithm, rtol=rtol).algorithm == "dense"


def chosen_algorithm(
    kernel, rows, g, *, derivatives=Derivatives.NOTHING, algorithm="dense", rtol=0.0, in_order=False, **_
):
    """Name of the algorithm that leaves each row out in turn."""
    if not len(g):
        return "mean"
    if len(g) == 1 and not in_order:
        rows, _ = _sorted(rows, None)
    return plan(kernel, rows, g, None, derivatives=derivatives, algorithm=algorithm, rtol=rtol).algorithm


def times_matrix(Z, G):
    """The product of two matrices, each line of which is rounded in the same way whatever the others are.

    A library's products are not: their order of additions may depend on the number of lines.
    """
    from .every_pair.coordinates import add_times_matrix

    Z, G, out = read_only(Z), read_only(G), np.zeros((len(Z), G.shape[1]))
    # In blocks of some hundredths of a second, between which it can be interrupted.
    step = max(1, _PRODUCTS_PER_BLOCK // max(1, G.size))
    blocks = [(start, start + step) for start in range(0, len(Z), step)]
    run_blocks(lambda start, stop: add_times_matrix(Z[start:stop], G, out[start:stop]), blocks, 1)
    return out


_PRODUCTS_PER_BLOCK = 2**27


def takes_linear_time(kernel, rows, g, *, algorithm, rtol):
    """Whether leaving each row out in turn takes a time in proportion to the rows, however many a window holds."""
    if not len(g):
        return True
    if callable(kernel) or algorithm in ("dense", "window"):
        return False
    if len(g) == 1:  # what is not summed up by cells or sliding, has windows of so few rows that this takes less time
        return kernel != "gaussian" or rtol >= LEAST_RTOL
    layout = plan(kernel, rows, g, None, algorithm=algorithm, rtol=rtol).layout if kernel == "gaussian" else None
    return layout is not None and math.prod(axis.length for axis in layout.axes) <= len(rows.w) / _PER_CELL


#: Cells of fewer rows than that take more time, and memory, than in proportion to the rows.
_PER_CELL = 32


def _runs_of(own):
    """The first row of each run of rows that follow each other, and the one after its last; none if these are many."""
    if own is None or not len(own) or own[0] < 0:
        return []
    if own[-1] - own[0] == len(own) - 1 and all((part[1:] - part[:-1] == 1).all() for part in _parts(own)):
        return [(int(own[0]), int(own[-1]) + 1)]
    ends = np.flatnonzero(own[1:] != own[:-1] + 1) + 1
    if len(ends) > _MOST_RUNS or own.min() < 0:
        return []
    return [(int(run[0]), int(run[-1]) + 1) for run in np.split(own, ends)]


#: Runs of rows that are summed up one after the other.
_MOST_RUNS = 64


def _parts(own):
    """Overlapping parts that stay in the cache."""
    return (own[start : start + 2**14] for start in range(0, len(own), 2**14 - 1))


def _sorted(rows, own):
    """Rows of one feature in ascending order, and the places of the queries' own rows there."""
    if is_sorted(np.asarray(rows.Z[0])):
        return rows, own
    order = spatial_order(rows.Z)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    rows = Rows(*(read_only(a[..., order]) for a in rows))
    return rows, None if own is None else np.where(own >= 0, place[own], -1)


def dense_sums(kernel, rows, g, Zq, own=None, *, derivatives=Derivatives.NOTHING, rtol=0.0, single=False, n_threads=1):
    """`kernel_sums` over every pair.

    Notes
    -----
    Exact to rounding; of the Gaussian with `rtol` > 0, to `rtol`.

    Takes O(m n (d + p)) time, of the Gaussian half of that where each row is left out in turn; with derivatives q times
    more, q their number. Besides the result, memory is that of a block of queries and a tile of rows for each thread,
    and O(n (d + p)) where each row is left out in turn.
    """
    Zq, g, own, rows = read_only(Zq), read_only(g), _own(own, len(Zq)), _read_only(rows)
    (m, d), (p, n), single = Zq.shape, rows.Y.shape, single and derivatives == Derivatives.NOTHING
    # Where each row is there once, every pair serves for both of its rows, in their own order. Not for some rows only:
    # these have the same answers whichever others are asked with them.
    there = own >= 0
    all_once = kernel == "gaussian" and not derivatives.by_coordinate and are_all(np.sort(own[there]), n)
    if all_once and not are_all(own, n):
        how = {"derivatives": derivatives, "rtol": rtol, "single": single, "n_threads": n_threads}
        every, state = (
            dense_sums(kernel, rows, g, rows.Z.T, np.arange(n), **how),
            State.empty(m, p, derivatives.count(d)),
        )
        state.put(there, State(*(a[own[there]] for a in every)))
        state.put(~there, dense_sums(kernel, rows, g, Zq[~there], **how))
        return state
    if all_once and n <= FEW_ROWS:
        return few_sums(rows, g, Zq, own, derivatives=derivatives)
    if m and takes_blocks(kernel, n, d, derivatives, rtol):
        from .every_pair.gaussian import gaussian_sums

        how = {"derivatives": derivatives, "rtol": rtol, "n_threads": n_threads}
        by_matrices = takes_matrices(kernel, d, rtol)
        state, rest = gaussian_sums(rows, g, Zq, own, by_matrices=by_matrices, single=single, **how)
        if len(rest) and all_once and len(rest) * n <= FEW_ROWS**2:
            state.put(rest, few_sums(rows, g, Zq[rest], own[rest], derivatives=derivatives))
        elif len(rest):
            how["rtol"] = rtol if single else 0.0
            state.put(rest, dense_sums(kernel, rows, g, Zq[rest], own[rest], **how))
        return state
    from .every_pair.tiles import add_rows

    compiled, profile = _for_loops(kernel)
    state, with_respect_to = State.empty(m, p, derivatives.count(d)), derivatives.for_loops()
    tile = tile_width(d + p + 3)
    if profile is not None:
        add_rows = _uncached(add_rows)

    def add(start, stop):
        part = slice(start, stop)
        add_rows(compiled, profile, with_respect_to, Zq[part], own[part], g, rows, aligned((4, tile)), state.part(part))

    run_blocks(add, _blocks(m, n * (d + p) * (1 + derivatives.count(d)) / 2), n_threads)
    return state


def nearest_squares(Z, *, n_threads=1):
    """Squared distances of few points, of shape (n, d), to the nearest other one; O(n² d) time."""
    Z, (n, d) = read_only(Z), Z.shape
    rows, own, g = Rows(*map(read_only, (Z.T, np.zeros((1, n)), np.ones(n), np.zeros(n)))), np.arange(n), np.ones(d)
    if n <= FEW_ROWS:
        return few_sums(rows, g, Z, own, derivatives=Derivatives.NOTHING).shift
    from .every_pair.tiles import find_nearest

    own, g, low, tile = read_only(own, np.int64), read_only(g), np.full(n, np.inf), tile_width(d + 1)

    def find(start, stop):
        part = slice(start, stop)
        find_nearest(Z[part], own[part], g, rows, aligned((tile,)), low[part])

    run_blocks(find, _blocks(n, n * d), n_threads)
    return low


def kernel_sums_of_scales(
    kernel, rows, g, Zq, own=None, *, places, derivatives=Derivatives.NOTHING, rtol=0.0, n_threads=1
):
    r"""`dense_sums` of bandwidths from a geometric series in one pass, each narrower by the root of two than the last.

    Squared distances are formed once. Those of the next bandwidth are twice as large, so that a Gaussian's weights are
    the squares of the last ones: one exponential serves for as many bandwidths as `rtol` allows.

    Parameters
    ----------
    kernel, rows, g, Zq, own, n_threads
        As in `kernel_sums`, g of the widest bandwidth; not a user's profile.
    places : sequence of int
        Which bandwidths of the series, in ascending order, up to `LAST_PLACE`; the widest is 0.
    derivatives : {Derivatives.NOTHING, Derivatives.SCALE}
    rtol : float
        What weights may be wrong by, relative to themselves and besides rounding of distances, up to a factor of 2.5: a
        profile is right to 2 eps, and each square doubles that and adds half an eps.

    Returns
    -------
    list of State

    Notes
    -----
    Takes O(m n (d + p k)) time, and O(m p k) memory, with k bandwidths.
    """
    compiled, _ = _for_loops(kernel)
    Zq, g, own, rows = read_only(Zq), read_only(g), _own(own, len(Zq)), _read_only(rows)
    (m, d), (p, n), q, places = Zq.shape, rows.Y.shape, derivatives.count(len(g)), read_only(places, np.int64)
    tile = min(_SERIES_TILE, tile_width(d + p + 6))
    squares = max(0, math.frexp(rtol / np.finfo(np.float64).eps)[1] - 1)
    by_squares = kernel == "gaussian" and rows.w.min() > _LIGHTEST * rows.w.max()

    def empty(m):
        return State(*(a.reshape(len(places), m, *a.shape[1:]) for a in State.empty(len(places) * m, p, q)))

    state = empty(m)

    def add(start, stop):
        from .every_pair.ladder import add_gaussian_rows_of_scales, add_rows_of_scales

        # By itself: a processor that fetches what comes next, of many lines at once, would take it from another one.
        part, mine = slice(start, stop), empty(stop - start)
        if by_squares:
            args = Zq[part], own[part], g, rows, places, squares, aligned((6, tile)), mine.shift[0]
            add_gaussian_rows_of_scales(*args, mine.sums, mine.dsums)
        else:
            add_rows_of_scales(compiled, Zq[part], own[part], g, rows, places, aligned((3, tile)), mine)
        for whole, some in zip(state, mine, strict=True):
            whole[:, part] = some

    run_blocks(add, _blocks(m, n * (d + p * len(places)) / 2), n_threads)
    if by_squares:
        ratios = 2.0**places
        with np.errstate(over="ignore"):
            np.multiply.outer(ratios, state.shift[0], out=state.shift)
            state.dsums[:] *= ratios[:, None, None, None]
        state.sums[np.isinf(state.shift)] = 0.0
        state.dsums[state.shift > _FARTHEST] = 0.0  # sums that overflow, of distances that have no digits left
    return [State(*(a[k] for a in state)) for k in range(len(places))]


#: Beyond this place in a series, the least weight that squares may have is no longer nothing, times squared distances.
LAST_PLACE = 300


#: Squared distances beyond that are not added up.
_FARTHEST = 1e290


#: Next to heavier rows, lighter ones are lost in the least weight that squares may have.
_LIGHTEST = 1e-100


#: Rows of a tile that is gone through again and again, with much beside it.
_SERIES_TILE = 512


def pull_back(kernel, rows, g, Zq, own, shift, adjoints, *, derivatives, rtol=0.0, n_threads=1):
    r"""Derivative of a function of the sums, over every pair.

    .. math:: \sum_i \Big( \bar M_i\, M_i' + \sum_c \bar N_{ic}\, N_{ic}' \Big)

    which `kernel_sums` would give as ``np.einsum("ic,iqc->q", adjoints, state.dsums)``, without its m q (1 + p)
    numbers: reverse-mode differentiation, for which every pair is visited once more.

    Parameters
    ----------
    kernel, rows, g, Zq, own, rtol, n_threads
        As in `kernel_sums`; not a user's profile.
    shift : ndarray of shape (m,)
        Of the state that `kernel_sums` gave.
    adjoints : ndarray of shape (m, 1 + p)
        Derivatives of the function in the mass and the moments of each query.
    derivatives : {Derivatives.FEATURES, Derivatives.PAIRS}

    Returns
    -------
    ndarray of shape (q,)

    Notes
    -----
    Takes O(m n (d + p)) time, for PAIRS too, and O(q) memory besides a block and a tile for each thread; of the
    Gaussian, where each row is left out in turn, half of that time and O(n d) memory. By sums of products: rounding is
    relative to the extent of a block of queries, or of all rows, in units of the bandwidth, squared.
    """
    from .every_pair.adjoint import gradient

    compiled, _ = _for_loops(kernel)
    Zq, g, own, rows = read_only(Zq), read_only(g), _own(own, len(Zq)), _read_only(rows)
    how = {"by_matrices": takes_matrices(kernel, len(g), rtol), "rtol": rtol, "n_threads": n_threads}
    args = rows, g, Zq, own, read_only(shift), read_only(adjoints)
    return gradient(compiled, *args, derivatives=derivatives, **how)


def kernel_weights(kernel, rows, g, Zq, own=None, *, n_threads=1):
    """Normalised weights of every training row, for each query.

    Parameters as in `kernel_sums`.

    Returns
    -------
    ndarray of shape (m, n)
        Each line sums to 1, or is 0 throughout if no row is in reach.
    """
    from .every_pair.weights import fill_weights

    compiled, profile = _for_loops(kernel)
    Zq, g, own, rows = read_only(Zq), read_only(g), _own(own, len(Zq)), _read_only(rows)
    m, n = len(Zq), len(rows.w)
    out = np.empty((m, n))
    if profile is not None:
        fill_weights = _uncached(fill_weights)

    def fill(start, stop):
        part = slice(start, stop)
        fill_weights(compiled, profile, Zq[part], own[part], g, rows, np.empty((3, max(n, 2))), out[part])

    run_blocks(fill, _blocks(m, n * (1 + len(g)) / 2), n_threads)
    return out


def _read_only(rows):
    """Rows as the compiled loops read them, which look at the first output without asking whether there is one."""
    if not len(rows.Y):
        raise ValueError("Sums are of at least one output, but the training rows have none.")
    return Rows(*map(read_only, rows))


def _own(own, m):
    """Row numbers as the compiled loops read them."""
    return read_only(np.full(m, -1) if own is None else own, np.int64)


def _for_loops(kernel):
    """A kernel as the compiled loops take it, a tuple as long as its code, and the user's profile or None."""
    if callable(kernel):
        return (0,) * CUSTOM.code, kernel
    return (0,) * (NEAREST if kernel == "nearest" else PROFILES[kernel]).code, None


@functools.cache
def _uncached(entry):
    """The same compiled function without its disk cache, which a function passed as an argument would only fill up."""
    from .runtime.jit import jit_entry

    return jit_entry(entry.py_func, cache=False)


def _blocks(m, work):
    """Ranges of queries of one length, each of which takes some work; they depend on nothing but the sizes."""
    step = max(_FEWEST_QUERIES, int(_WORK_PER_BLOCK // max(work, 1)))
    step = max(1, math.ceil(m / max(1, math.ceil(m / step))))
    return [(start, min(start + step, m)) for start in range(0, m, step)]
