"""One descent by Adam: mini-batches of rows whose errors count, predicted from all rows."""

import numpy as np

from ..objective import OutOfTime
from .lbfgs import End

# As in scikit-learn's MLPRegressor.
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


_DIVISOR = 5


#: Number of epochs without a lower loss before the learning rate falls, and how often it does.
_PATIENCE = 2


_FALLS = 2


#: Share by which a loss must be lower; that of an epoch is the mean over its batches.
_LEAST = 1e-3


class Adam:
    """Descends as `lbfgs` does, for many rows, where a pass over all pairs is expensive.

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
        walk = _Walk(theta, family.bounds(limits.low, limits.high))
        rate, falls, waited, lowest = self.learning_rate_init, 0, 0, np.inf
        course, losses, why = walk.theta, [], "max_iter"
        try:
            for _ in range(limits.max_iter):
                loss, course = self._epoch(objective, family, walk, scale, shrinkage, rate)
                losses.append(loss)
                if tell is not None and tell("iteration", family.bandwidth(course)):
                    why = "callback"
                    break
                waited = 0 if loss < lowest * (1 - _LEAST) else waited + 1
                lowest = min(lowest, loss)
                if waited >= _PATIENCE:
                    if falls == _FALLS:
                        why = "converged"
                        break
                    rate, falls, waited = rate / _DIVISOR, falls + 1, 0
        except OutOfTime:  # within an epoch
            why, course = "max_time", walk.theta
        with objective.overtime():
            value = objective(family.bandwidth(course), metric=family.metric(course))[0]
        return End(value / scale + shrinkage * course @ course, course, value, losses, why)

    def _epoch(self, objective, family, walk, scale, shrinkage, rate):
        """Go through all rows once; return the mean of the loss and of theta."""
        w = objective.sample.w
        size = min(200 if self.batch_size == "auto" else self.batch_size, len(w))
        batches = np.array_split(self.random_state.permutation(len(w)), -(-len(w) // size))
        loss, course = 0.0, np.zeros_like(walk.theta)
        for queries in batches:
            theta = walk.theta
            value, gradient = objective.batch(family.metric(theta), family.derivatives, queries)
            share = w[queries].sum() / w.sum() * len(batches)  # of the whole, times the number of batches
            walk.step(share * family.slope(theta, gradient) / scale + 2 * shrinkage * theta, rate)
            loss += share * value / len(batches)
            course += walk.theta / len(batches)
        return loss, course


class _Walk:
    """The parameters, within bounds, with the means of slopes and of their squares that set the next step."""

    def __init__(self, theta, bounds):
        self.low, self.high = bounds.T
        self.theta = np.clip(theta, self.low, self.high)
        self.mean, self.square, self.n_steps = np.zeros_like(theta), np.zeros_like(theta), 0

    def step(self, slope, rate):
        self.n_steps += 1
        self.mean += (1 - _BETA_1) * (slope - self.mean)
        self.square += (1 - _BETA_2) * (slope**2 - self.square)
        mean, square = self.mean / (1 - _BETA_1**self.n_steps), self.square / (1 - _BETA_2**self.n_steps)
        self.theta = np.clip(self.theta - rate * mean / (np.sqrt(square) + _EPSILON), self.low, self.high)
