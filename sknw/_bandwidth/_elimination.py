"""Features that do not matter: those whose infinite bandwidth costs nothing, or less than the noise."""

import numpy as np

from ._lbfgs import lbfgs
from ._shrinkage import mean_and_standard_error, row_errors

#: A smaller model may be worse than the full one by so many standard errors of the difference.
_IN_ALL = 2

#: And by so many than the one before. A parameter that fits noise alone lowers the mean squared error by z² σ²/n, z
#: standard normal, and the standard error of that is 2|z| σ²/n: |z|/2 of these are what |z| is elsewhere, so that these
#: are three of the usual ones.
_PER_STEP = 1.5

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

    The noise is that of a difference of two models, row by row: a smaller model stays if its error is within one and a
    half standard errors of that of the model before, and within two of that of the full one, so that many small steps
    do not add up.

    Returns
    -------
    family : Diagonal
    end : End
    """
    sample = objective.sample

    def errors(family, theta):
        return row_errors(objective, family.metric(theta), sample, np.arange(len(sample.w)))

    def is_noise(rise, standard_errors):
        mean, noise = mean_and_standard_error(rise, sample)
        return mean <= standard_errors * noise

    full = before = errors(family, end.theta)
    dropped = True
    while dropped and len(family.features) > 1:
        dropped = False
        trials = [family.without(end.theta, j) for j in range(len(family.features))]
        costs = [objective(rest.bandwidth(theta), metric=rest.metric(theta))[0] for rest, theta in trials]
        for j in np.argsort(costs, kind="stable")[:_ATTEMPTS]:
            rest, theta = trials[j]
            again = lbfgs(objective, rest, theta, scale, shrinkage, limits)
            after = errors(rest, again.theta)
            if is_noise(after - before, _PER_STEP) and is_noise(after - full, _IN_ALL):
                family, end, before, dropped = rest, again._replace(losses=end.losses, why=end.why), after, True
                break
    return family, end


def _relevance(family, theta):
    """One over the bandwidth of each feature, in units of that in the middle, as far as other features allow."""
    h = family.bandwidth(theta)
    h = h if h.ndim == 1 else h.diagonal()
    return family.h[family.features] / h[family.features]
