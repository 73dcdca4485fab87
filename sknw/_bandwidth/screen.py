r"""Bandwidths that are certainly worse than another, as some of the rows tell.

The leave-one-out error C is a mean over the rows. So is its difference between two bandwidths, which the terms
:math:`d_i = w_i (e_i^2(h) - e_i^2(h_0))` of some rows estimate, each over the chance with which it was drawn:

.. math:: C(h) - C(h_0) \approx \frac{1}{W} \sum_{i\ \mathrm{drawn}} \frac{d_i}{p_i}, \qquad
          \sigma^2 \approx \frac{1}{W^2} \sum_{i\ \mathrm{drawn}} (1 - p_i) \Big(\frac{d_i}{p_i}\Big)^2

(Horvitz and Thompson; the variance is that of independent draws, as they tell it). How much lower C(h) may be is known
beforehand, since no term is below :math:`-w_i e_i^2(h_0)`. Half of the rows are drawn in proportion to that,
about m in all: then none that speaks for h takes more than :math:`b = 2 C(h_0) / m` away, and Bernstein's inequality
would have the estimate be above the truth by more than

.. math:: \sqrt{2 \lambda}\, \sigma + \tfrac{2}{3} \lambda\, b

with a probability of :math:`e^{-\lambda}` at the most, were the true variance known. It is not, if the rows that speak
for h are few and none of them is drawn. They are missed with a probability of :math:`e^{-\lambda}` if they amount to
:math:`\lambda\, b`, which is therefore the margin that is asked for besides the deviations.

Far from the minimum a few rows are enough: one in five of those that are drawn is asked first, with the margin of a
fifth as many, and what is said of chances holds for either. All are asked only if they may be certain.

References
----------
D. G. Horvitz and D. J. Thompson, "A generalization of sampling without replacement from a finite universe", Journal of
the American Statistical Association 47 (1952), 663-685.
S. Boucheron, G. Lugosi and P. Massart, "Concentration Inequalities" (2013), Theorem 2.10.
"""

import math
from typing import NamedTuple

import numpy as np

from .._core import Derivatives
from .._criteria.leave_one_out import leave_one_out, squared_errors, squared_errors_of_scales

#: To be misled by chance, and to miss what matters, are to have a probability of exp(-20), 2e-9, each.
_LAMBDA = 20.0


#: Shares of the rows that are asked one after the other.
_SHARES = 0.2, 1.0


def least_difference(value, m):
    """What is asked for besides the deviations: a bandwidth that is worse by less than that may not be so."""
    return _LAMBDA * (2 * value / m)


class _Draw(NamedTuple):
    """Some rows.

    Attributes
    ----------
    rows : ndarray of shape (m,), int64
        Their numbers.
    weights : ndarray of shape (m,)
        Weights over the chances with which they were drawn.
    rest : ndarray of shape (m,)
        The chances with which they were not.
    squares : ndarray of shape (m,)
        Weights times squared errors at the bandwidth that others are compared with.
    margin : float
        What rows that were not drawn may speak for.
    """

    rows: np.ndarray
    weights: np.ndarray
    rest: np.ndarray
    squares: np.ndarray
    margin: float


class Screen:
    """What other bandwidths are compared with.

    Parameters
    ----------
    sample : Sample
    kernel : str or jitted function
    how : dict
        Passed to the criterion: `empty`, and how sums are formed.
    metric : Metric
        A bandwidth.
    n_rows : int
        How many rows to draw, about.
    derivatives : Derivatives, default=Derivatives.NOTHING

    Attributes
    ----------
    value, gradient : float, ndarray of shape (q,)
        The leave-one-out error there, with derivatives.
    """

    def __init__(self, sample, kernel, how, metric, n_rows, derivatives=Derivatives.NOTHING):
        self._args, self._how = (sample, kernel), how
        n = len(sample.w)
        squares = np.empty(n)
        found = leave_one_out(sample, metric, kernel, squares=squares, derivatives=derivatives, **how)
        self.value, self.gradient = found
        self._weight, total = sample.w.sum(), squares.sum()
        shares = squares / total if total > 0 else np.zeros(n)
        shares += 1 / n
        lots = np.random.default_rng(0).uniform(size=n)
        lots /= shares
        self.draws = []
        for share in _SHARES:
            m = share * n_rows
            rows = np.flatnonzero(lots < 0.5 * m)
            chances = np.minimum(1.0, 0.5 * m * shares[rows])
            args = rows, sample.w[rows] / chances, 1 - chances, squares[rows] / chances, least_difference(self.value, m)
            self.draws.append(_Draw(*args))

    def compare(self, draw, squares):
        """How much larger the error of another bandwidth is, and the standard deviation of that.

        Both are estimates, by the squared errors of the rows of `draw`, times their weights there.
        """
        terms = squares - draw.squares
        deviation = math.sqrt(np.einsum("i,i,i", draw.rest, terms, terms))
        return terms.sum() / self._weight, deviation / self._weight

    def certainly_worse(self, metric, derivatives):
        """The error of a bandwidth, about, with derivatives, if it is certainly worse; None if it may not be."""
        sample, kernel = self._args
        for draw in self.draws:
            args = sample, metric, kernel, draw.rows, draw.weights
            squares, slope = squared_errors(*args, derivatives=derivatives, **self._how)
            difference, deviation = self.compare(draw, squares)
            if difference > math.sqrt(2 * _LAMBDA) * deviation + draw.margin:
                return self.value + difference, slope / self._weight
            # So small a difference all of them will hardly be certain of.
            last = self.draws[-1].margin
            if difference < math.sqrt(2 * _LAMBDA * last / draw.margin) * deviation + last:
                return None
        return None

    def compare_scales(self, metric, places, derivatives):
        """The same of the bandwidths of a series, by all rows that were drawn.

        Returns
        -------
        list of tuples
            Of each its error, about, with derivatives, and whether it is certainly worse.
        """
        (sample, kernel), draw, found = self._args, self.draws[-1], []
        args = sample, metric, kernel, places, draw.rows, draw.weights
        for squares, slope in squared_errors_of_scales(*args, derivatives=derivatives, **self._how):
            difference, deviation = self.compare(draw, squares)
            is_worse = difference > math.sqrt(2 * _LAMBDA) * deviation + draw.margin
            found.append((self.value + difference, slope / self._weight, is_worse))
        return found
