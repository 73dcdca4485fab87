"""Features that do not matter: those whose infinite bandwidth costs nothing, or less than the noise."""

import math

import numpy as np

from ._lbfgs import lbfgs
from ._shrinkage import row_errors

#: A smaller model may be worse than the full one by so many standard errors of the difference.
_STANDARD_ERRORS = 2

#: Of the features whose absence costs least, so many are tried before the elimination ends.
_ATTEMPTS = 2


def widen(objective, family, end, tol):
    """Give an infinite bandwidth to each feature that it costs nothing, the widest first, but never to the last.

    Returns
    -------
    family : Diagonal
    end : End
    """
    limit = end.criterion * (1 + tol)
    widened = True
    while widened:
        widened = False
        for j in np.argsort(_relevance(family, end.theta), kind="stable"):
            if len(family.features) == 1:
                break
            smaller, theta = family.without(end.theta, j)
            value = objective(smaller.bandwidth(theta), metric=smaller.metric(theta))[0]
            if value <= limit:
                family, end, widened = smaller, end._replace(theta=theta, criterion=value), True
                break
    return family, end


def eliminate(objective, family, end, scale, shrinkage, limits):
    """Drop features one at a time, the rest optimised again, while the error rises by less than its noise.

    The noise is that of the difference to the full model, row by row: a smaller model stays if its error is within two
    standard errors of that of the full one, so that many small steps do not add up.

    Returns
    -------
    family : Diagonal
    end : End
    """
    sample = objective.sample
    share, n = sample.w / sample.w.sum(), sample.n_observations

    def errors(family, theta):
        return row_errors(objective, family.metric(theta), sample, np.arange(len(share)))

    def is_noise(rise):
        mean = share @ rise
        return mean <= _STANDARD_ERRORS * math.sqrt(share @ (rise - mean) ** 2 / n)

    full = errors(family, end.theta)
    dropped = True
    while dropped and len(family.features) > 1:
        dropped = False
        trials = [family.without(end.theta, j) for j in range(len(family.features))]
        costs = [objective(rest.bandwidth(theta), metric=rest.metric(theta))[0] for rest, theta in trials]
        for j in np.argsort(costs, kind="stable")[:_ATTEMPTS]:
            rest, theta = trials[j]
            again = lbfgs(objective, rest, theta, scale, shrinkage, limits)
            if is_noise(errors(rest, again.theta) - full):
                family, end, dropped = rest, again._replace(losses=end.losses, why=end.why), True
                break
    return family, end


def _relevance(family, theta):
    """One over the bandwidth of each feature, in units of that in the middle, as far as other features allow."""
    h = family.bandwidth(theta)
    h = h if h.ndim == 1 else h.diagonal()
    return family.h[family.features] / h[family.features]
