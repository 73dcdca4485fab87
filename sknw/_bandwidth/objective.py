"""A criterion as a function of the bandwidth."""

import contextlib
import math
import time

import numpy as np

from .._core import Derivatives
from .._criteria.by_nodes import Prepared, is_covered
from .._criteria.by_rows import is_linear
from .._criteria.leave_one_out import leave_one_out, problems_of, solve
from .._criteria.penalized import in_units, penalized_fit
from .._smoothing.metric import Metric
from .selection import brief

#: Where sums over all rows take more than linear time, a rough criterion is the mean over this many rows, each of which
#: is predicted from all others.
ENOUGH = 50_000


#: Accuracy of predictions where bandwidths are compared roughly, and where the criterion is refined.
_ROUGH_RTOL, _FINE_RTOL = 1e-8, 1e-12


def one_of_each(edges):
    """Draw a row from each run of consecutive rows, which are alike and may form a pattern."""
    return edges[:-1] + np.random.default_rng(0).integers(np.diff(edges))


class OutOfTime(Exception):
    """The deadline of an objective has passed."""


class Objective:
    """A criterion of a sample as a function of the bandwidth, which counts and logs its evaluations.

    Parameters
    ----------
    sample : Sample
    settings : Settings
    criterion : {"loo", "gcv", "aicc"}, default="loo"
    log : callable, default=None
        Called with a line of text for each evaluation.
    deadline : float, default=inf
        On the clock of `time.monotonic`; evaluations begun later raise `OutOfTime`.

    Attributes
    ----------
    settings : dict of Settings
        By the digits that are wanted: "given" is `rtol` of the user, "rough" is for the comparison of bandwidths, and
        "fine" for the differences of criteria that are nearly equal.
    queries : ndarray, or None
        Rows by whose errors every evaluation estimates the criterion; None for all rows.
    prepared : Prepared
        Moments of the rows, for all evaluations.
    """

    def __init__(self, sample, settings, *, criterion="loo", log=None, deadline=math.inf):
        self.sample, self.kernel, self.criterion, self.log = sample, settings.kernel, criterion, log
        self.deadline, self.n_evaluations, self.queries = deadline, 0, None
        rtol, n = settings.rtol, len(sample.w)
        rough = min(max(rtol, _ROUGH_RTOL), 1e-6) if rtol else 0.0
        rtols = {"given": rtol, "rough": rough, "fine": min(rtol, _FINE_RTOL)}
        self.settings = {digits: settings._replace(rtol=value) for digits, value in rtols.items()}
        self.has_many_rows = n >= 2 * ENOUGH
        self._subsample = one_of_each(np.linspace(0, n, ENOUGH + 1).astype(np.int64)) if self.has_many_rows else None
        self.prepared = Prepared(sample, settings)

    @property
    def out_of_time(self):
        """Whether the deadline has passed."""
        return time.monotonic() > self.deadline

    @contextlib.contextmanager
    def overtime(self):
        """Ignore the deadline within, for evaluations without which there is no result."""
        deadline, self.deadline = self.deadline, math.inf
        try:
            yield
        finally:
            self.deadline = deadline

    def _check_deadline(self):
        if self.out_of_time:
            raise OutOfTime

    def batch(self, metric, wanted, queries):
        """Compute the leave-one-out error of some rows, with derivatives, without counting it."""
        self._check_deadline()
        settings = self.settings["given"]
        [errors] = leave_one_out(self.sample, [metric], settings, wanted=wanted, queries=queries)
        return errors.mean, errors.gradient

    def __call__(self, h, wanted=Derivatives.NOTHING, *, metric=None):
        """Compute the criterion at a bandwidth, whose coordinates may be given, with derivatives."""
        metrics = None if metric is None else [metric]
        [(_, [result])] = self.evaluate([h], wanted, queries=self.queries, metrics=metrics)
        return result

    def evaluate(self, bandwidths, wanted=Derivatives.NOTHING, *, digits="fine", queries=None, metrics=None):
        """Compute the criterion at some bandwidths.

        Parameters
        ----------
        bandwidths : list of float or ndarray
        wanted : Derivatives, default=Derivatives.NOTHING
        digits : {"fine", "rough", "given"}, default="fine"
        queries : ndarray, default=None
            Rows by whose errors the criterion is estimated; None for all rows.
        metrics : list of Metric, default=None
            Coordinates of the bandwidths, if these are known.

        Yields
        ------
        numbers : list of int
            Bandwidths that were evaluated together.
        results : list of tuples
            Value and gradient of each.

        Raises
        ------
        OutOfTime
            If the deadline has passed before the next evaluation.
        """
        metrics = [Metric.of(h, self.sample.X) for h in bandwidths] if metrics is None else metrics
        if self.criterion == "loo":
            for numbers, errors in self.errors(metrics, wanted, digits=digits, queries=queries):
                results = [(e.mean, e.gradient) for e in errors]
                self._log([bandwidths[i] for i in numbers], results)
                yield numbers, results
            return
        args = self.settings[digits], self.criterion
        for i, metric in enumerate(metrics):
            self._check_deadline()
            self.n_evaluations += 1
            results = [penalized_fit(self.sample, metric, *args, wanted=wanted, queries=queries)]
            self._log([bandwidths[i]], results)
            yield [i], results

    def errors(self, metrics, wanted, *, digits, queries=None, weights=None, each=False):
        """Compute leave-one-out errors; parameters as in `leave_one_out`.

        Yields
        ------
        numbers : list of int
            Bandwidths that were evaluated together.
        errors : list of Errors
        """
        options = {"wanted": wanted, "queries": queries, "weights": weights, "prepared": self.prepared}
        results = solve(problems_of(self.sample, metrics, self.settings[digits], **options), each=each)
        n_left = len(metrics)
        while n_left:
            self._check_deadline()
            numbers, errors = next(results)
            self.n_evaluations += len(numbers)
            n_left -= len(numbers)
            yield numbers, errors

    def roughly(self, bandwidths, wanted):
        """Compute the criterion with six digits or eight.

        Yields
        ------
        numbers : list of int
            Bandwidths that were evaluated together.
        results : list of tuples
            Value and gradient of each, and whether they are estimates by a subsample.
        """
        if self.queries is not None or not self.has_many_rows:
            is_estimate = self.queries is not None
            for numbers, results in self.evaluate(bandwidths, wanted, digits="rough", queries=self.queries):
                yield numbers, [(*result, is_estimate) for result in results]
            return
        for i, h in enumerate(bandwidths):
            queries = None if self._takes_linear_time(Metric.of(h, self.sample.X)) else self._subsample
            [(_, [result])] = self.evaluate([h], wanted, digits="rough", queries=queries)
            yield [i], [(*result, queries is not None)]

    def uses_cells(self, metric):
        """Return whether cells of moments are narrow enough for a bandwidth, which takes linear time."""
        if self.criterion != "loo":
            return False
        return is_covered(self.prepared.nodes(metric, self.settings["rough"].rtol), metric)

    def _takes_linear_time(self, metric):
        return self.uses_cells(metric) or is_linear(self.sample, metric, self.settings["rough"])

    @property
    def n_estimates(self):
        """Number of rows in the subsample of an estimate."""
        return len(self._subsample if self.queries is None else self.queries)

    def _log(self, bandwidths, results):
        for h, (value, *_) in zip(bandwidths, results, strict=True):
            self.log_value(h, value)

    def log_value(self, h, value):
        """Log the criterion at a bandwidth."""
        if self.log is not None:
            name = "leave-one-out error" if self.criterion == "loo" else self.criterion
            self.log(f"{name} {in_units(self.criterion, self.sample, value):.6g} at bandwidth {brief(h)}")

    def estimate(self, queries):
        """Return the same criterion as the mean over some rows only, each of which is predicted from all others."""
        objective = self.on(self.sample)
        objective.log, objective.queries, objective.has_many_rows = self.log, queries, True
        return objective

    def on(self, sample):
        """Return the same criterion of another sample, without a log."""
        return Objective(sample, self.settings["given"], criterion=self.criterion, deadline=self.deadline)
