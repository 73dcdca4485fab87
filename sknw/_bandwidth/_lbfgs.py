"""One descent in the parameters of a family, and what it is told to keep to."""

import time
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize


class End(NamedTuple):
    """Where a descent ended: the best point that it met.

    Attributes
    ----------
    penalized : float
        What was minimised.
    theta : ndarray
    criterion : float
        The leave-one-out error there, without the penalty.
    losses : list of float
        The same after each iteration.
    why : {"converged", "max_iter", "max_time", "callback"}
        Why it ended.
    """

    penalized: float
    theta: np.ndarray
    criterion: float
    losses: list[float]
    why: str = "converged"


class Limits(NamedTuple):
    """What a descent keeps to.

    Attributes
    ----------
    max_iter : int
    tol : float
        It ends where no component of the gradient is larger.
    deadline : float
        On the clock of `time.monotonic`.
    low, high : float
        Bounds of the logarithms of the bandwidths, relative to those in the middle of the family.
    """

    max_iter: int
    tol: float
    deadline: float
    low: float
    high: float


class _Stopped(Exception):
    """Ends a descent from within; says why."""


def lbfgs(objective, family, theta, scale, shrinkage, limits, tell=None):
    """Descend along the gradient of ``criterion / scale + shrinkage * sum(theta**2)``.

    Parameters
    ----------
    objective : Objective
    family : Diagonal
    theta : ndarray
        Where to start.
    scale, shrinkage : float
    limits : Limits
    tell : callable, default=None
        Called with "iteration" and the best bandwidth so far after each; ends the descent by returning True.

    Returns
    -------
    End
    """
    best, losses = None, []

    def penalized(theta):
        nonlocal best
        if best is not None and time.monotonic() > limits.deadline:
            raise _Stopped("max_time")
        value, gradient = objective(family.bandwidth(theta), family.derivatives, metric=family.metric(theta))
        total = value / scale + shrinkage * theta @ theta
        if best is None or total < best.penalized:
            best = End(total, theta.copy(), value, losses)
        return total, family.slope(theta, gradient) / scale + 2 * shrinkage * theta

    def record(intermediate_result):
        losses.append(best.criterion)
        if tell is not None and tell("iteration", family.bandwidth(best.theta)):
            raise _Stopped("callback")

    bounds = family.bounds(limits.low, limits.high)
    options = {"maxiter": limits.max_iter, "gtol": limits.tol, "ftol": limits.tol**2, "maxfun": 100 * limits.max_iter}
    try:
        result = minimize(
            penalized,
            np.clip(theta, *bounds.T),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            callback=record,
            options=options,
        )
    except _Stopped as stopped:
        return best._replace(why=str(stopped))
    return best._replace(why="max_iter" if result.status == 1 else "converged")
