r"""Squared leave-one-out errors of whole cells of rows, from kernel sums at Chebyshev nodes.

Where the same weight o is left out of each row, the error of a row is a function of its coordinates and its target,

.. math:: m_{-i}(x_i) - y_i = G(x_i)\, (m(x_i) - y_i), \qquad G = \frac{M}{M - o}, \quad m = \frac{N}{M}.

The sum of squares over the rows of a cell follows from the moments A of the weights, of the weighted targets and of
the weighted squares of the targets:

.. math:: \sum_i w_i\, G^2 (m - y_i)^2 \approx \sum_l G_l^2\, (A^{(2)}_l - 2 m_l A^{(1)}_l + m_l^2 A^{(0)}_l).

The approximation is right as far as :math:`G^2`, :math:`G^2 m` and :math:`G^2 m^2` are polynomials in the cell, which
is judged by their last coefficients, and where the denominator is large beside its error bound and beside o.
"""

import numpy as np

from .._core import (
    LEAST_RTOL,
    Wanted,
    one_thread_for_blas,
    run_blocks,
)
from .._core.cells.chebyshev import Nodes, widest
from .._core.cells.chebyshev_grid import N_NODES
from .._core.cells.node_fields import by_cell, last_coefficients, least_of_cell
from .problem import PartialErrors

#: Name of the error engine.
NAME = "nodes"


#: Narrower cells are tried if more than the first share of the rows is uncertain; all rows are, beyond the second.
_ENOUGH_UNCERTAIN, _TOO_UNCERTAIN = 1 / 16, 1 / 2


class Prepared:
    """Chebyshev moments of the rows of a sample, computed once for all bandwidths of the same features.

    Parameters
    ----------
    sample : Sample
    settings : Settings
    once : bool, default=False
        Whether there is a single bandwidth: moments are then computed only where that takes less time than the sums.
    """

    def __init__(self, sample, settings, *, once=False):
        self.sample, self.settings, self.once = sample, settings, once
        loo_weights = sample.w - sample.w_rest
        self._applies = settings.kernel == "gaussian" and settings.algorithm in ("auto", "fast_gauss")
        self._applies &= bool((loo_weights == loo_weights[0]).all())
        self._features, self._nodes = None, None

    def nodes(self, metric, rtol):
        """Return the moments for a bandwidth of this accuracy, or None if they do not apply."""
        if not (self._applies and metric.is_plain and rtol >= LEAST_RTOL):
            return None
        features = tuple(metric.features)
        if features != self._features:
            self._features, self._nodes = features, self._compute(metric, rtol)
        return self._nodes

    def _compute(self, metric, rtol):
        rows, n_threads = metric.rows(self.sample), self.settings.n_threads
        if not self.once:
            return Nodes.of(rows, n_threads=n_threads)
        if len(metric.g) < 2:  # moments take longer than the sums
            return None
        return Nodes.of(rows, widest(len(metric.g), rtol) / metric.g, n_threads)


def is_covered(nodes, metric):
    """Return whether the cells of some moments are narrow enough for a bandwidth: sums then take linear time."""
    return nodes is not None and nodes.levels_for(metric.g, 1.0) is not None


def plan(problem):
    """Return the name of the engine, or None if it does not apply."""
    has_all = problem.queries is None and problem.weights is None
    applies = problem.nodes is not None and has_all and problem.wanted != Wanted.PAIRS
    return NAME if applies and problem.settings.rtol >= LEAST_RTOL and _levels(problem) else None


def _levels(problem):
    """Return the cells to be tried, the widest first; narrower ones than these would certify hardly more."""
    g, levels = problem.metric.g, []
    for width in widest(len(g), problem.settings.rtol) / np.array([1, 2]):
        finer = problem.nodes.levels_for(g, width)
        if finer is None or (levels and np.array_equal(finer, levels[-1])):
            break
        levels.append(finer)
    return levels


def errors(problem):
    """Compute the sum of squared errors over the rows of cells, as far as the bounds certify these.

    Parameters
    ----------
    problem : ErrorProblem
        Of all rows, with `nodes`; derivatives are not PAIRS.

    Returns
    -------
    PartialErrors
        All rows are uncertain where cells certify less than half of them.

    Notes
    -----
    Takes a time proportional to the number of cells. Squared errors of single rows are not available.
    """
    nodes, rtol, best = problem.nodes, problem.settings.rtol, None
    n = len(nodes.rows.w)
    for levels in _levels(problem):
        finer = _errors_at(nodes, problem.metric.g, levels, problem.wanted, rtol)
        best = finer if best is None or len(finer.uncertain) < len(best.uncertain) else best
        if len(best.uncertain) <= _ENOUGH_UNCERTAIN * n:
            break
    if best is None or len(best.uncertain) > _TOO_UNCERTAIN * n:
        return PartialErrors(0.0, 0.0, np.zeros(problem.n_derivatives), np.arange(n))
    return best


def _errors_at(nodes, g, levels, wanted, rtol):
    """Compute the errors of cells of one width."""
    rows, moments = nodes.rows, nodes.moments(levels)
    left_out, q = rows.w[0] - rows.w_rest[0], wanted.count(len(g))
    sums, dsums, error = nodes.sums(g, levels, derivatives=wanted, rtol=rtol)
    shape = error.shape
    weight, wrong, value = np.empty(shape), np.empty(shape), np.empty((1 + q, *shape))
    certain = np.empty(shape, dtype=bool)

    def add_up(first, last):
        cells, columns = np.s_[first:last], np.s_[:, first * N_NODES : last * N_NODES]
        A, S = moments[columns], sums[columns]
        weight[cells], loo_denominator = by_cell(A[0]), S[0] - left_out
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            value[:, cells], wrong[cells] = _value(A, S, [a[columns] for a in dsums], loo_denominator)
        certain[cells] = rtol * (least_of_cell(loo_denominator) - error[cells]) >= error[cells]

    step = max(1, _NODES_PER_BLOCK // (sums[0].size // len(error)))
    with one_thread_for_blas():
        run_blocks(add_up, [(i, min(i + step, len(error))) for i in range(0, len(error), step)], nodes.n_threads)
    # The sum of squares may be wrong by as much as an error of rtol in each prediction would make it.
    total = weight.sum()
    known = np.maximum(value[0] - wrong, 0.0)[certain].sum()
    certain &= wrong * total <= rtol * np.sqrt(total * known) * weight
    certain |= weight == 0
    totals = np.where(certain & (weight > 0), value, 0.0).reshape(1 + q, -1).sum(axis=1) / len(rows.Y)
    return PartialErrors(weight[certain].sum(), totals[0], totals[1:], nodes.rows_of(~certain, levels))


#: Nodes of a block of work: about twenty numbers for each stay in the second-level cache.
_NODES_PER_BLOCK = 2**14


def _value(A, S, dS, loo_denominator):
    """Compute sums of squared errors of cells, with derivatives, and bounds of the interpolation error of the sums."""
    M, W, p, value, wrong = S[0], by_cell(A[0]), len(S) - 1, 0.0, 0.0
    G = M / loo_denominator
    square = G * G
    wrong_of_square = last_coefficients(square)
    for c in range(p):
        A_1, A_2, m = A[1 + c], A[1 + p + c], S[1 + c] / M
        # The sum of (m - y)**2, with its derivative in m.
        Q, slope = A_2 - m * (2 * A_1 - m * A[0]), 2 * (m * A[0] - A_1)
        terms = [square * Q]
        for dM, dN in ((a[0], a[1 + c]) for a in dS):
            dG, dm = (1 - G) * dM / loo_denominator, (dN - m * dM) / M
            terms.append(G * (2 * dG * Q + G * slope * dm))
        value += np.stack([by_cell(term) for term in terms])
        W_2 = np.maximum(by_cell(A_2), 0.0)
        wrong += wrong_of_square * W_2 + 2 * last_coefficients(square * m) * np.sqrt(W * W_2)
        wrong += last_coefficients(square * m * m) * W
    return value, wrong
