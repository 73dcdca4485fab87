r"""Rule out bandwidths by a subsample.

The leave-one-out error C is a mean over the rows. So is its difference between two bandwidths, which the terms
:math:`d_i = w_i (e_i^2(h) - e_i^2(h_0))` of a subsample estimate, each over the probability of its draw:

.. math:: C(h) - C(h_0) \approx \frac{1}{W} \sum_{i\ \mathrm{drawn}} \frac{d_i}{p_i}, \qquad
          \sigma^2 \approx \frac{1}{W^2} \sum_{i\ \mathrm{drawn}} (1 - p_i) \Big(\frac{d_i}{p_i}\Big)^2

(Horvitz and Thompson, for independent draws). No term is below :math:`-w_i e_i^2(h_0)`, which bounds how much lower
C(h) may be. Half of the subsample of about m rows is drawn in proportion to that bound. A single row in favor of h then
contributes at most :math:`b = 2 C(h_0) / m`, and by Bernstein's inequality the estimate exceeds the truth by more than

.. math:: \sqrt{2 \lambda}\, \sigma + \tfrac{2}{3} \lambda\, b

with a probability of at most :math:`e^{-\lambda}`, if the true variance is known. It is not known where only a few rows
are in favor of h and none of them is drawn. That has a probability of :math:`e^{-\lambda}` if their contribution is
:math:`\lambda\, b`, which is therefore required as a margin besides the deviations.

Far from the minimum a small subsample suffices. One in five rows is evaluated first, with the margin of a fifth as many
rows; the probabilities hold for both stages. The others are evaluated only if they may rule out the bandwidth.

References
----------
D. G. Horvitz and D. J. Thompson, "A generalization of sampling without replacement from a finite universe", Journal of
the American Statistical Association 47 (1952), 663-685.
S. Boucheron, G. Lugosi and P. Massart, "Concentration Inequalities" (2013), Theorem 2.10.
"""

import math
from typing import NamedTuple

import numpy as np

from .._core import MOST_FEATURES_IN_ORDER, Wanted
from .._smoothing.metric import Metric
from .objective import ENOUGH, one_of_each

#: The probability to be misled by chance, and that to miss rows that matter, are at most exp(-20), about 2e-9, each.
_LAMBDA = 20.0


#: Shares of the subsample that are evaluated, one after the other.
_SHARES = 0.2, 1.0


#: One row in so many is drawn, of all rows or of those of an estimate; and the smallest number of rows with a screen.
_ONE_IN, _FEWEST_ROWS = 6, 4000


def subsample_size(n):
    """Return the number of rows in the subsample of n."""
    return min(ENOUGH, n) // _ONE_IN


def least_difference(value, m):
    """Return the margin of m rows: a bandwidth whose error is larger by less than this is never ruled out."""
    return _LAMBDA * (2 * value / m)


def applies_to_grid(objective):
    """Return whether a grid is over all pairs, so that a subsample takes less time than all rows."""
    n, d = objective.sample.X.shape
    if objective.criterion != "loo" or callable(objective.kernel):
        return False
    if objective.queries is not None or objective.has_many_rows:
        return False
    return n >= _FEWEST_ROWS and (objective.settings["rough"].algorithm == "dense" or d > MOST_FEATURES_IN_ORDER)


def applies_at(objective, h):
    """Return whether a subsample takes less time than all of very many rows at a bandwidth."""
    if objective.criterion != "loo" or objective.queries is not None or not objective.has_many_rows:
        return False
    return not objective.uses_cells(Metric.of(h, objective.sample.X))


def best_guess(objective, bandwidths):
    """Return the number of the bandwidth with the smallest estimate by a small subsample."""
    n = len(objective.sample.w)
    rows = one_of_each(np.linspace(0, n, subsample_size(n) // 4 + 1).astype(np.int64))
    guesses = {}
    for numbers, results in objective.evaluate(bandwidths, digits="rough", queries=rows):
        guesses |= zip(numbers, (value for value, _ in results), strict=True)
    return min(sorted(guesses), key=guesses.get)


class _Draw(NamedTuple):
    """A subsample.

    Attributes
    ----------
    rows : ndarray of shape (m,), int64
        Numbers of the rows.
    weights : ndarray of shape (m,)
        Weights over the probabilities of their draw.
    complements : ndarray of shape (m,)
        One minus these probabilities.
    squares : ndarray of shape (m,)
        Weights times squared errors at the bandwidth that others are compared with.
    margin : float
        What rows that were not drawn may contribute.
    """

    rows: np.ndarray
    weights: np.ndarray
    complements: np.ndarray
    squares: np.ndarray
    margin: float


class Screen:
    """Compares other bandwidths with one by a subsample.

    Parameters
    ----------
    objective : Objective
    h : float or ndarray
        The bandwidth that others are compared with.
    n_rows : int, default=None
        Size of the subsample, about.
    wanted : Wanted, default=Wanted.VALUE

    Attributes
    ----------
    value, gradient : float, ndarray of shape (q,)
        The leave-one-out error at that bandwidth, with derivatives.
    """

    def __init__(self, objective, h, n_rows=None, wanted=Wanted.VALUE):
        sample, n = objective.sample, len(objective.sample.w)
        self.objective, self.digits = objective, "rough" if objective.has_many_rows else "fine"
        [(_, [errors])] = objective.errors([Metric.of(h, sample.X)], wanted, digits=self.digits, each=True)
        self.value, self.gradient, squares = errors.mean, errors.gradient, errors.squares
        self._weight, total = sample.w.sum(), squares.sum()
        n_rows = subsample_size(n) if n_rows is None else n_rows
        shares = squares / total if total > 0 else np.zeros(n)
        shares += 1 / n
        lots = np.random.default_rng(0).uniform(size=n)
        lots /= shares
        self.draws = []
        for share in _SHARES:
            m = share * n_rows
            rows = np.flatnonzero(lots < 0.5 * m)
            p = np.minimum(1.0, 0.5 * m * shares[rows])
            args = rows, sample.w[rows] / p, 1 - p, squares[rows] / p, least_difference(self.value, m)
            self.draws.append(_Draw(*args))

    @property
    def margin(self):
        """The margin of the whole subsample."""
        return self.draws[-1].margin

    def difference(self, draw, squares):
        """Estimate how much larger the error of another bandwidth is, and the standard deviation of the estimate.

        `squares` are the squared errors of the rows of `draw`, times their weights there.
        """
        terms = squares - draw.squares
        deviation = math.sqrt(np.einsum("i,i,i", draw.complements, terms, terms))
        return terms.sum() / self._weight, deviation / self._weight

    def rule_out(self, bandwidths, wanted):
        """Find the bandwidths whose error is certainly larger.

        Returns
        -------
        list of (float, ndarray) or None
            For each bandwidth an estimate of its error, with derivatives; None if it is not ruled out.
        """
        metrics = [Metric.of(h, self.objective.sample.X) for h in bandwidths]
        results, undecided = [None] * len(metrics), list(range(len(metrics)))
        for draw in self.draws:
            options = {"digits": self.digits, "queries": draw.rows, "weights": draw.weights, "each": True}
            candidates, undecided = undecided, []
            for numbers, errors in self.objective.errors([metrics[i] for i in candidates], wanted, **options):
                for i, error in zip((candidates[j] for j in numbers), errors, strict=True):
                    difference, deviation = self.difference(draw, error.squares)
                    if difference > math.sqrt(2 * _LAMBDA) * deviation + draw.margin:
                        results[i] = self.value + difference, error.slope / self._weight
                        self.objective.log_value(bandwidths[i], results[i][0])
                    # Where the expected difference is smaller, all rows would hardly rule it out.
                    elif difference >= math.sqrt(2 * _LAMBDA * self.margin / draw.margin) * deviation + self.margin:
                        undecided.append(i)
            undecided.sort()
        return results
