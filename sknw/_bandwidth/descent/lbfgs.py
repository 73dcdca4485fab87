"""One descent in the parameters of a family, and its limits."""

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from ..._core import one_thread_for_blas
from ..objective import OutOfTime


class End(NamedTuple):
    """The best point of a descent.

    Attributes
    ----------
    penalized : float
        The minimized value.
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
    """The limits of a descent.

    Attributes
    ----------
    max_iter : int
    tol : float
        It ends where no component of the gradient is larger.
    low, high : float
        Bounds of the logarithms of the bandwidths, relative to those in the middle of the family.
    below : float
        A descent that is unlikely to end below this value stops.
    known : tuple of End
        End points of earlier descents; a descent that approaches one without improving on it stops.
    """

    max_iter: int
    tol: float
    low: float
    high: float
    below: float = math.inf
    known: tuple[End, ...] = ()


#: Lower bound of the curvature, to predict the end of a descent: along a slope g it falls by g² / (2 curvature).
_CURVATURE = 5e-4


#: Different minima are further apart than this in at least one theta.
_NEAR = 0.1


class _Stopped(Exception):
    """Raised within a descent to end it, with the reason."""


def lbfgs(objective, family, theta, scale, shrinkage, limits, tell=None):
    """Descend along the gradient of ``criterion / scale + shrinkage * sum(theta**2)``; nowhere if that is infinite.

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

    Raises
    ------
    OutOfTime
        If there is no time for a single evaluation.
    """
    if math.isinf(shrinkage):
        theta = np.zeros_like(theta)
        value = objective(family.bandwidth(theta), metric=family.metric(theta))[0]
        return End(value / scale, theta, value, [])
    best, losses, steepest = None, [], math.inf
    low, high = family.bounds(limits.low, limits.high).T
    bounds = np.sort(np.column_stack([family.fold(low), family.fold(high)]))

    def penalized(x):
        nonlocal best, steepest
        theta, derivative = family.unfold(x)
        value, gradient = objective(family.bandwidth(theta), family.derivatives, metric=family.metric(theta))
        total = value / scale + shrinkage * theta @ theta
        if best is None or total < best.penalized:
            best = End(total, theta.copy(), value, losses)
        slope = derivative * (family.slope(theta, gradient) / scale + 2 * shrinkage * theta)
        steepest = np.sum((np.clip(x - slope, *bounds.T) - x) ** 2)  # as far as the bounds allow
        return total, slope

    def record(intermediate_result):
        losses.append(best.criterion)
        if tell is not None and tell("iteration", family.bandwidth(best.theta)):
            raise _Stopped("callback")
        if best.penalized - steepest / (2 * _CURVATURE) > limits.below:
            raise _Stopped("converged")
        for end in limits.known:
            if best.penalized >= end.penalized and np.abs(best.theta - end.theta).max() < _NEAR:
                raise _Stopped("converged")

    # The derivative in the logarithm of a bandwidth is at most twice that in its parameter.
    options = {
        "maxiter": limits.max_iter,
        "gtol": limits.tol / 2,
        "ftol": limits.tol**2,
        "maxfun": 100 * limits.max_iter,
    }
    try:
        with one_thread_for_blas():  # its threads would wake, and spin, for the few numbers of each step
            result = minimize(
                penalized,
                family.fold(np.clip(theta, low, high)),
                jac=True,
                method="L-BFGS-B",
                bounds=bounds,
                callback=record,
                options=options,
            )
    except _Stopped as stopped:
        return best._replace(why=str(stopped))
    except OutOfTime:
        if best is None:
            raise
        return best._replace(why="max_time")
    return best._replace(why="max_iter" if result.status == 1 else "converged")
