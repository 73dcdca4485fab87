r"""The leave-one-out error from sums at nodes, without a look at any of the rows.

Where what is left out of each row has the same weight o, a row's error is a function of its place and of its target,

.. math:: m_{-i}(x_i) - y_i = G(x_i)\, (m(x_i) - y_i), \qquad G = \frac{M}{M - o}, \quad m = \frac{N}{M},

and what the rows of a cell add to the sum of squares follows from their moments A at its nodes, of their weights, their
weighted targets and the squares of these:

.. math:: \sum_i w_i\, G^2 (m - y_i)^2 \approx \sum_l G_l^2\, (A^{(2)}_l - 2 m_l A^{(1)}_l + m_l^2 A^{(0)}_l).

That is right as far as :math:`G^2`, :math:`G^2 m` and :math:`G^2 m^2` are polynomials in the cell, which their last
coefficients tell, and where the mass is large enough beside its error, and beside o, of which it is a difference.
"""

import numpy as np

from ._core import (
    LEAST_RTOL,
    N_NODES,
    ErrorsOfMost,
    Nodes,
    by_cell,
    last_coefficients,
    least_of_cell,
    one_thread_for_blas,
    run_blocks,
    widest,
)

#: The rows of cells that may be too wrong are looked at one by one; if these are more than such a share, all are.
_FEW, _MOST = 1 / 16, 1 / 2


def nodes_of(sample, metric, kernel, *, algorithm="dense", rtol=0.0, n_threads=1, at_once=False, **_):
    """The nodes of the rows of a sample, for all bandwidths of the same features; None where these are no use.

    With `at_once` for this bandwidth only, where its evaluation is to take less time so.
    """
    left_out = sample.w - sample.w_rest
    applies = kernel == "gaussian" and algorithm in ("auto", "fast_gauss") and rtol >= LEAST_RTOL
    if not applies or not metric.is_plain or (left_out != left_out[0]).any():
        return None
    rows = metric.rows(sample)
    if not at_once:
        return Nodes.of(rows, n_threads=n_threads)
    # In one feature moments take longer than the sums do otherwise.
    return Nodes.of(rows, widest(len(metric.g), rtol) / metric.g, n_threads) if len(metric.g) > 1 else None


def errors_of_cells(nodes, g, *, derivatives, rtol):
    """Squared leave-one-out errors of the rows of cells, as far as sums at nodes give these with the digits of `rtol`.

    Parameters
    ----------
    nodes : Nodes
        Of rows of which the same weight is left out.
    g : ndarray of shape (d,)
        One over the bandwidth of each feature.
    derivatives : Derivatives
        All but PAIRS.
    rtol : float
        What each prediction may be wrong by, in units of the targets: one is their range at least.

    Returns
    -------
    ErrorsOfMost or None
        None if cells are too wide for this bandwidth, or do not tell of half of the rows.
    """
    if rtol < LEAST_RTOL:
        return None
    found, before = None, None
    for width in widest(len(g), rtol) / np.array([1, 2]):  # what these leave, narrower ones will hardly mend
        levels = nodes.levels_for(g, width)
        if levels is None or np.array_equal(levels, before):
            break
        finer, before = _errors_at(nodes, g, levels, derivatives, rtol), levels
        found = finer if found is None or len(finer.rest) < len(found.rest) else found
        if len(found.rest) <= _FEW * len(nodes.rows.w):
            break
    return found if found is not None and len(found.rest) <= _MOST * len(nodes.rows.w) else None


def _errors_at(nodes, g, levels, derivatives, rtol):
    """The same with cells of one width."""
    rows, moments = nodes.rows, nodes.moments(levels)
    left_out, q = rows.w[0] - rows.w_rest[0], derivatives.count(len(g))
    sums, dsums, error = nodes.sums(g, levels, derivatives=derivatives, rtol=rtol)
    shape = error.shape
    weight, wrong, value = np.empty(shape), np.empty(shape), np.empty((1 + q, *shape))
    certain = np.empty(shape, dtype=bool)

    def add_up(first, last):
        cells, part = np.s_[first:last], np.s_[:, first * N_NODES : last * N_NODES]
        A, S = moments[part], sums[part]
        weight[cells], rest = by_cell(A[0]), S[0] - left_out
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            value[:, cells], wrong[cells] = _value(A, S, [a[part] for a in dsums], rest)
        certain[cells] = rtol * (least_of_cell(rest) - error[cells]) >= error[cells]

    step = max(1, _NODES_PER_BLOCK // (sums[0].size // len(error)))
    with one_thread_for_blas():
        run_blocks(add_up, [(i, min(i + step, len(error))) for i in range(0, len(error), step)], nodes.n_threads)
    # An error of rtol in each prediction would add up to twice the last of these, or less.
    total = weight.sum()
    known = np.maximum(value[0] - wrong, 0.0)[certain].sum()
    certain &= wrong * total <= rtol * np.sqrt(total * known) * weight
    certain |= weight == 0
    found = np.where(certain & (weight > 0), value, 0.0).reshape(1 + q, -1).sum(axis=1) / len(rows.Y)
    return ErrorsOfMost(weight[certain].sum(), found[0], found[1:], nodes.rows_of(~certain, levels))


#: Nodes of a block of work, whose some twenty numbers each stay in the second-level cache.
_NODES_PER_BLOCK = 2**14


def _value(A, S, dS, rest):
    """Sums of squared errors of cells, with derivatives, and what interpolation may have made of the former."""
    M, W, p, value, wrong = S[0], by_cell(A[0]), len(S) - 1, 0.0, 0.0
    G = M / rest
    square = G * G
    wrong_of_square = last_coefficients(square)
    for c in range(p):
        A_1, A_2, m = A[1 + c], A[1 + p + c], S[1 + c] / M
        # The sum of (m - y)**2, with its derivative in m.
        Q, slope = A_2 - m * (2 * A_1 - m * A[0]), 2 * (m * A[0] - A_1)
        terms = [square * Q]
        for dM, dN in ((a[0], a[1 + c]) for a in dS):
            dG, dm = (1 - G) * dM / rest, (dN - m * dM) / M
            terms.append(G * (2 * dG * Q + G * slope * dm))
        value += np.stack([by_cell(term) for term in terms])
        W_2 = np.maximum(by_cell(A_2), 0.0)
        wrong += wrong_of_square * W_2 + 2 * last_coefficients(square * m) * np.sqrt(W * W_2)
        wrong += last_coefficients(square * m * m) * W
    return value, wrong
