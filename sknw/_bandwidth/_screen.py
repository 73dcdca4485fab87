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

References
----------
D. G. Horvitz and D. J. Thompson, "A generalization of sampling without replacement from a finite universe", Journal of
the American Statistical Association 47 (1952), 663-685.
S. Boucheron, G. Lugosi and P. Massart, "Concentration Inequalities" (2013), Theorem 2.10.
"""

import math

import numpy as np

from .._core import Derivatives
from .._criterion import squared_errors

#: To be misled by chance, and to miss what matters, are to have a probability of exp(-20), 2e-9, each.
_LAMBDA = 20.0


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
    value : float
        The leave-one-out error there.
    n_rows : int
        How many rows to draw, about.
    """

    def __init__(self, sample, kernel, how, metric, value, n_rows):
        self.value, self._args, self._how = value, (sample, kernel), how
        squares, _ = self._squared_errors(metric, Derivatives.NOTHING)
        total, n = squares.sum(), len(squares)
        shares = squares / total if total > 0 else np.zeros(n)
        chances = np.minimum(1.0, 0.5 * n_rows * (shares + 1 / n))
        drawn = np.flatnonzero(np.random.default_rng(0).uniform(size=n) < chances)
        chances = chances[drawn]
        self._drawn, self._rest = (drawn, sample.w[drawn] / chances), 1 - chances
        self._squares, self._weight = squares[drawn] / chances, sample.w.sum()
        self._margin = _LAMBDA * (2 * value / n_rows)

    def _squared_errors(self, metric, derivatives, *drawn):
        sample, kernel = self._args
        return squared_errors(sample, metric, kernel, *drawn, derivatives=derivatives, **self._how)

    def compare(self, metric, derivatives):
        """How much larger the error of another bandwidth is, its standard deviation, and the derivatives of the error.

        All three are estimates.
        """
        squares, slope = self._squared_errors(metric, derivatives, *self._drawn)
        terms = squares - self._squares
        deviation = math.sqrt(np.einsum("i,i,i", self._rest, terms, terms))
        return terms.sum() / self._weight, deviation / self._weight, slope / self._weight

    def certainly_worse(self, metric, derivatives):
        """The error of a bandwidth, about, with derivatives, if it is certainly worse; None if it may not be."""
        difference, deviation, slope = self.compare(metric, derivatives)
        if difference > math.sqrt(2 * _LAMBDA) * deviation + self._margin:
            return self.value + difference, slope
        return None
