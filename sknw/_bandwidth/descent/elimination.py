"""Features that do not matter: those whose infinite bandwidth costs nothing, or less than the noise."""

import numpy as np

from ..objective import OutOfTime
from .lbfgs import lbfgs
from .shrinkage import mean_and_standard_error, row_errors

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

    def step(family, end):
        for j in np.argsort(_relevance(family, end.theta), kind="stable"):
            rest, theta = family.without(end.theta, j)
            value = objective(rest.bandwidth(theta), metric=rest.metric(theta))[0]
            if value <= limit:
                return rest, end._replace(theta=theta, criterion=value)
        return None

    return _repeat(step, family, end)


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

    def step(family, end):
        nonlocal before
        trials = [family.without(end.theta, j) for j in range(len(family.features))]
        costs = [objective(rest.bandwidth(theta), metric=rest.metric(theta))[0] for rest, theta in trials]
        for j in np.argsort(costs, kind="stable")[:_ATTEMPTS]:
            rest, theta = trials[j]
            again = lbfgs(objective, rest, theta, scale, shrinkage, limits)
            if again.why == "max_time":
                raise OutOfTime
            after = errors(rest, again.theta)
            if is_noise(after - before, _PER_STEP) and is_noise(after - full, _IN_ALL):
                before = after
                return rest, again._replace(losses=end.losses, why=end.why)
        return None

    return _repeat(step, family, end)


def _repeat(step, family, end):
    """Take steps to fewer features as long as there is one, a feature would be left, and there is time."""
    try:
        while len(family.features) > 1 and (smaller := step(family, end)) is not None:
            family, end = smaller
    except OutOfTime:
        end = end._replace(why="max_time")
    return family, end


def _relevance(family, theta):
    """One over the bandwidth of each feature, in units of that in the middle, as far as other features allow."""
    h = family.bandwidth(theta)
    h = h if h.ndim == 1 else h.diagonal()
    return family.h[family.features] / h[family.features]
