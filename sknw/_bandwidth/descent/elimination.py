"""Irrelevant features: those whose infinite bandwidth costs nothing, or less than the noise."""

import numpy as np

from ..._criteria.by_rows import squared_errors_of
from ..objective import OutOfTime
from .lbfgs import lbfgs
from .shrinkage import mean_and_standard_error

#: Standard errors of the difference by which a smaller model may be worse than the full one.
_IN_ALL = 2


#: The same beside the model before. A parameter that fits only noise lowers the mean squared error by z² σ²/n, with z
#: standard normal, and the standard error of that is 2|z| σ²/n. So |z|/2 of these correspond to |z| elsewhere, and this
#: number to three usual standard errors.
_PER_STEP = 1.5


#: Number of features, those whose absence costs least, that are tried before the elimination ends.
_ATTEMPTS = 2


def widen(objective, family, end, tol):
    """Give an infinite bandwidth to each feature that costs nothing, the widest first, never the last.

    Returns
    -------
    family : Diagonal
    end : End
    """
    limit = end.criterion * (1 + tol)

    def step(family, end):
        for j in np.argsort(_relevance(family, end.theta), kind="stable"):
            smaller, theta = family.without(end.theta, j)
            value = objective(smaller.bandwidth(theta), metric=smaller.metric(theta))[0]
            if value <= limit:
                return smaller, end._replace(theta=theta, criterion=value)
        return None

    return _repeat(step, family, end)


def eliminate(objective, family, end, scale, shrinkage, limits):
    """Drop features one at a time, the others optimized again, while the error rises by less than its noise.

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
        settings, numbers = objective.settings["given"], np.arange(len(sample.w))
        return squared_errors_of(sample, sample, family.metric(theta), settings, numbers)

    def is_noise(rise, standard_errors):
        mean, noise = mean_and_standard_error(rise, sample)
        return mean <= standard_errors * noise

    full = before = errors(family, end.theta)

    def step(family, end):
        nonlocal before
        trials = [family.without(end.theta, j) for j in range(len(family.features))]
        costs = [objective(smaller.bandwidth(theta), metric=smaller.metric(theta))[0] for smaller, theta in trials]
        for j in np.argsort(costs, kind="stable")[:_ATTEMPTS]:
            smaller, theta = trials[j]
            again = lbfgs(objective, smaller, theta, scale, shrinkage, limits)
            if again.why == "max_time":
                raise OutOfTime
            after = errors(smaller, again.theta)
            if is_noise(after - before, _PER_STEP) and is_noise(after - full, _IN_ALL):
                before = after
                return smaller, again._replace(losses=end.losses, why=end.why)
        return None

    return _repeat(step, family, end)


def _repeat(step, family, end):
    """Take steps to fewer features while one exists, a feature remains, and there is time."""
    try:
        while len(family.features) > 1 and (result := step(family, end)) is not None:
            family, end = result
    except OutOfTime:
        end = end._replace(why="max_time")
    return family, end


def _relevance(family, theta):
    """Return the inverse bandwidth of each feature, in units of that in the middle of the family."""
    h = family.bandwidth(theta)
    h = h if h.ndim == 1 else h.diagonal()
    return family.h[family.features] / h[family.features]
