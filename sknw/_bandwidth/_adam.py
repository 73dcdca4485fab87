"""One descent by Adam: mini-batches of rows whose errors count, predicted from all rows."""

import time

import numpy as np

from ._lbfgs import End

# As in scikit-learn's MLPRegressor.
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8
_DIVISOR = 5

#: How many epochs may pass without a lower loss before the learning rate falls, and how often it does.
_PATIENCE = 2
_FALLS = 2

#: A loss is lower if it is so by this share; that of an epoch is the mean over its batches.
_LEAST = 1e-3


class Adam:
    """Descends as `lbfgs` does, for many rows, where a pass over all pairs is dear.

    The gradient of a batch is that of the whole criterion on average, since every row predicts. The learning rate falls
    when the loss of an epoch no longer does; the end is the mean of the last epoch.

    Parameters
    ----------
    learning_rate_init : float
        Step in the logarithm of a bandwidth.
    batch_size : int or "auto"
        "auto" stands for 200, or all rows if there are fewer.
    random_state : RandomState
        Shuffles the rows.

    References
    ----------
    D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    """

    def __init__(self, learning_rate_init, batch_size, random_state):
        self.learning_rate_init, self.batch_size, self.random_state = learning_rate_init, batch_size, random_state

    def __call__(self, objective, family, theta, scale, shrinkage, limits, tell=None):
        """Descend; parameters and result as of `lbfgs`, where iterations are epochs."""
        w = objective.sample.w
        n = len(w)
        size = min(200 if self.batch_size == "auto" else self.batch_size, n)
        low, high = family.bounds(limits.low, limits.high).T
        theta = np.clip(theta, low, high)
        mean, square, step = np.zeros_like(theta), np.zeros_like(theta), 0
        rate, falls, waited, lowest = self.learning_rate_init, 0, 0, np.inf
        losses, why = [], "max_iter"
        for _ in range(limits.max_iter):
            order = self.random_state.permutation(n)
            total, course = 0.0, np.zeros_like(theta)
            batches = np.array_split(order, -(-n // size))
            for queries in batches:
                value, gradient = objective.batch(family.metric(theta), family.derivatives, queries)
                share = w[queries].sum() / w.sum() * len(batches)  # of the whole, times the number of batches
                slope = share * family.slope(theta, gradient) / scale + 2 * shrinkage * theta
                step += 1
                mean += (1 - _BETA_1) * (slope - mean)
                square += (1 - _BETA_2) * (slope**2 - square)
                move = mean / (1 - _BETA_1**step) / (np.sqrt(square / (1 - _BETA_2**step)) + _EPSILON)
                theta = np.clip(theta - rate * move, low, high)
                total += share * value / len(batches)
                course += theta / len(batches)
                if time.monotonic() > limits.deadline:
                    break
            losses.append(total)
            if time.monotonic() > limits.deadline:
                why = "max_time"
                break
            if tell is not None and tell("iteration", family.bandwidth(course)):
                why = "callback"
                break
            waited = 0 if total < lowest * (1 - _LEAST) else waited + 1
            lowest = min(lowest, total)
            if waited >= _PATIENCE:
                if falls == _FALLS:
                    why = "converged"
                    break
                rate, falls, waited = rate / _DIVISOR, falls + 1, 0
        if why == "max_time":  # within an epoch
            course = theta
        value = objective(family.bandwidth(course), metric=family.metric(course))[0]
        return End(value / scale + shrinkage * course @ course, course, value, losses, why)
