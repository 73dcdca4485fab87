"""The choice of a bandwidth: as given, by a rule of thumb, or by a criterion."""

from __future__ import annotations

import math
import time
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from .._bandwidth import Adam, Objective, Selection, brief, descend, local_minima, rule_of_thumb, search
from .._criteria.leave_one_out import engine_of
from .._criteria.penalized import in_units
from .._criteria.problem import Settings
from .._exceptions import warn
from .._smoothing.metric import Metric
from .validation import check_bandwidth, in_family


class Choice(NamedTuple):
    """A bandwidth and how it was chosen.

    Attributes
    ----------
    bandwidth : float or ndarray
        In the form of its family.
    name : str
        The parameter `bandwidth` of that fit, or "given".
    bandwidth_type : str
    error_name : str
        Name of the leave-one-out error.
    selection : Selection or None
        None unless a criterion was minimized.
    attributes : dict
        Public attributes of the estimator that describe the choice.
    seconds : float or None
    """

    bandwidth: float | np.ndarray
    name: str
    bandwidth_type: str
    error_name: str
    selection: Selection | None
    attributes: dict
    seconds: float | None = None

    @property
    def criterion(self):
        """Name of the criterion that was minimized; None if there was none."""
        if self.selection is None:
            return None
        return {"aicc": "AICc", "gcv": "GCV"}.get(self.name, self.error_name)


def choose(estimator, sample, options, progress):
    """Choose the bandwidth that the parameters of an estimator ask for.

    Parameters
    ----------
    estimator : KernelSmoother
    sample : Sample
    options : dict
        `empty`, `algorithm`, `rtol` and `n_threads`.
    progress : Progress

    Returns
    -------
    Choice
    """
    bandwidth, family, d = estimator.bandwidth, estimator.bandwidth_type, sample.X.shape[1]
    error_name = estimator._error_name
    if not isinstance(bandwidth, str):
        return Choice(check_bandwidth(bandwidth, family, d), "given", family, error_name, None, {"n_iter_": 1})
    if bandwidth in ("scott", "silverman"):
        h = in_family(_by_rule(estimator, sample), family, d)
        return Choice(h, bandwidth, family, error_name, None, {"n_iter_": 1})
    _check_that_weights_count(sample)
    begin, criterion = time.perf_counter(), "loo" if bandwidth == "gradient" else bandwidth
    log = print if estimator.verbose else None
    objective = Objective(sample, Settings(estimator.kernel, **options), criterion=criterion, log=log)

    def tell(task, h):
        return progress.task(task, h if np.ndim(h) == 2 else in_family(h, family, d))

    if bandwidth == "gradient":
        found = descend(objective, family, tell=tell, **_limits(estimator))
    else:
        found = _search(objective, family, estimator.max_time)
        tell("search", found.h)
    attributes = _attributes(found, criterion, sample, family, is_descent=bandwidth == "gradient")
    if criterion == "loo":
        metric = Metric.of(found.h, sample.X)
        attributes["algorithm_"] = engine_of(sample, metric, objective.settings["fine"], objective.prepared)
    if estimator.verbose:
        name = error_name if criterion == "loo" else criterion
        print(f"chosen: {name} {-attributes['best_score_']:.6g} at bandwidth {brief(found.h)}")
    h = found.h if np.ndim(found.h) == 2 else in_family(found.h, family, d)
    return Choice(h, bandwidth, family, error_name, found, attributes, time.perf_counter() - begin)


def _by_rule(estimator, sample):
    """The bandwidth of Scott's or Silverman's rule."""
    if callable(estimator.kernel):
        raise ValueError(
            f"bandwidth={estimator.bandwidth!r} requires the moments of the kernel, which are unknown for a user's "
            "profile. Use bandwidth='loo' or a number."
        )
    return rule_of_thumb(sample, estimator.bandwidth_type, estimator.kernel, estimator.bandwidth).h


def _search(objective, family, max_time):
    """The global search, until `max_time` seconds have passed."""
    objective.deadline = time.monotonic() + max_time
    found = search(objective, family)
    if math.isfinite(max_time) and objective.out_of_time:
        note = f"stopped after max_time={max_time:g} seconds in the global search"
        warn(f"The choice of the bandwidth {note}, with the best so far; raise max_time.", ConvergenceWarning)
        found = found._replace(notes=(*found.notes, note))
    return found


def _limits(estimator):
    """Options of `descend`."""
    names = ("shrinkage", "drop_irrelevant", "max_iter", "tol", "max_time")
    options = {name: getattr(estimator, name) for name in names}
    if estimator.solver == "adam":
        random_state = check_random_state(estimator.random_state)
        options["solver"] = Adam(estimator.learning_rate_init, estimator.batch_size, random_state)
    return options


def _attributes(found, criterion, sample, family, *, is_descent):
    """Public attributes that describe a `Selection`, in the units of y."""
    d = sample.X.shape[1]
    bandwidths, values, estimates = found.searched
    attributes = {
        "n_iter_": found.n_iter,
        "best_score_": float(-in_units(criterion, sample, found.criterion)),
        "cv_results_": {
            "bandwidth": np.array([in_family(h, family, d) for h in bandwidths]),
            "criterion": in_units(criterion, sample, values),
            "estimate": estimates,
            "local_minimum": local_minima(values, estimates, found.worse),
        },
    }
    if is_descent:
        attributes |= {
            "loss_curve_": sample.squared(found.losses).tolist(),
            "shrinkage_": float(found.shrinkage),
        }
    return attributes


def _check_that_weights_count(sample):
    """Warn of weights above 1 that are no whole numbers, and thus no numbers of observations."""
    if sample.w_rest.any() and not sample.counts:
        warn(
            "Some sample weights are above 1 but not whole numbers. Weights count observations: leave-one-out keeps "
            "w - 1 of a row of weight w, so that the row predicts itself and the bandwidth becomes too narrow. If the "
            "weights are precisions, divide them by their maximum.",
            UserWarning,
        )
