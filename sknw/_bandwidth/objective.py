"""What a choice is made by, a criterion, and what comes of it."""

import contextlib
import math
import time

import numpy as np

from .._core import MOST_FEATURES_IN_ORDER, Derivatives, chosen_algorithm, takes_linear_time
from .._criteria.by_nodes import nodes_of
from .._criteria.leave_one_out import leave_one_out, leave_one_out_of_scales, squared_errors_of_scales
from .._criteria.penalized import in_units, penalized_fit
from .._smoothing.metric import Metric
from .screen import Screen, least_difference
from .selection import brief

#: Where sums over all rows take more than a time in proportion to them, a rough criterion is the mean over that many of
#: these, each predicted from all others.
ENOUGH = 50_000


#: What share of these a screen asks, or of the rows if they are fewer; and from how many rows on that is worth it.
_SCREENED, _FEWEST_SCREENED = 6, 4000


#: What predictions may be wrong by, besides, where bandwidths are compared roughly.
_ROUGH = 1e-8


#: With fewer rows an evaluation takes less than a millisecond, and a first fit should not wait for one more loop to be
#: compiled.
_WORTH_A_SERIES = 256


#: With no more rows than that, a bandwidth of a Gaussian's series takes less time than by any algorithm on its own.
_QUICK_SERIES = 1000


def _one_of_each(edges):
    """A row drawn from each run of rows that follow each other: neighbours are alike, and may be in a pattern."""
    return edges[:-1] + np.random.default_rng(0).integers(np.diff(edges))


class OutOfTime(Exception):
    """The deadline of an objective has passed."""


class Objective:
    """A criterion of a sample as a function of the bandwidth, which counts its evaluations and tells its log of each.

    Parameters
    ----------
    sample : Sample
    kernel : str or jitted function
    options : dict
        Passed to the criterion: `empty`, and how sums are formed (`algorithm`, `rtol`, `n_threads` of `kernel_sums`).
    criterion : {"loo", "gcv", "aicc"}
    log : callable, default=None
        Called with a line of text for each evaluation.
    deadline : float
        On the clock of `time.monotonic`; evaluations begun later raise `OutOfTime`.
    """

    def __init__(self, sample, kernel, options, *, criterion="loo", log=None, deadline=math.inf):
        self.sample, self.kernel, self.options, self.criterion, self.log = sample, kernel, options, criterion, log
        self.deadline = deadline
        self.n_evaluations = 0
        # Differences between criteria count, so the last steps are taken with more digits than an average needs.
        rtol = options.get("rtol", 0.0)
        n = len(sample.w)
        self.has_many_rows = n >= 2 * ENOUGH
        self.queries = None  # of all evaluations; None for all rows
        self._some = _one_of_each(np.linspace(0, n, ENOUGH + 1).astype(np.int64)) if self.has_many_rows else None
        self.rough = {"algorithm": "auto", **options, "rtol": min(max(rtol, _ROUGH), 1e-6) if rtol else 0.0}
        self.fine = {**options, "rtol": min(rtol, 1e-12)}
        self._nodes = None, None  # of which features, and what they are

    @property
    def out_of_time(self):
        """Whether the deadline has passed."""
        return time.monotonic() > self.deadline

    @contextlib.contextmanager
    def overtime(self):
        """Within, the deadline does not hold: for the last evaluations, without which there is no result."""
        deadline, self.deadline = self.deadline, math.inf
        try:
            yield
        finally:
            self.deadline = deadline

    def _begin(self, n_evaluations=1):
        if self.out_of_time:
            raise OutOfTime
        self.n_evaluations += n_evaluations

    def batch(self, metric, derivatives, queries):
        """The leave-one-out error of some rows, predicted from all, with derivatives."""
        if self.out_of_time:
            raise OutOfTime
        options = self.options | {"derivatives": derivatives, "queries": queries}
        return leave_one_out(self.sample, metric, self.kernel, **options)

    def __call__(self, h, derivatives=Derivatives.NOTHING, *, metric=None):
        """The criterion at a bandwidth, of which the coordinates may be known, with derivatives."""
        metric = Metric.of(h, self.sample.X) if metric is None else metric
        return self._evaluate(h, metric, {"derivatives": derivatives, "queries": self.queries, **self.fine})

    def roughly(self, h, derivatives):
        """The criterion with six digits or eight, with derivatives, and whether it is an estimate from some rows."""
        metric, queries = Metric.of(h, self.sample.X), self.queries
        if queries is None and self.has_many_rows and not self._takes_linear_time(metric):
            queries = self._some
        found = self._evaluate(h, metric, {"derivatives": derivatives, "queries": queries, **self.rough})
        return *found, queries is not None

    def screen(self, h, derivatives=Derivatives.NOTHING):
        """The criterion at a bandwidth, and what tells other ones that are certainly worse."""
        self._begin()
        how = self.rough if self.has_many_rows else self.fine
        screen = Screen(self.sample, self.kernel, how, Metric.of(h, self.sample.X), self._n_screened, derivatives)
        if derivatives:
            self._tell(h, screen.value)
        return screen

    @property
    def _n_screened(self):
        """How many rows a screen asks."""
        return min(ENOUGH, len(self.sample.w)) // _SCREENED

    def margin(self, value):
        """By how much bandwidths must be worse at least, for a screen at one with that value to be certain of it."""
        return least_difference(value, self._n_screened)

    def certainly_worse(self, screen, h, derivatives):
        """The criterion, about, and its derivatives, if it is worse than that of a screen; None if it may not be."""
        self._begin()
        found = screen.certainly_worse(Metric.of(h, self.sample.X), derivatives)
        if found is not None:
            self._tell(h, found[0])
        return found

    def guess_of_scales(self, h, places):
        """A guess of the criterion at the bandwidths of `of_scales`, by a few rows."""
        self._begin(len(places))
        rows = _one_of_each(np.linspace(0, len(self.sample.w), self._n_screened // 4 + 1).astype(np.int64))
        args = self.sample, Metric.of(h, self.sample.X), self.kernel, places, rows, self.sample.w[rows]
        found = squared_errors_of_scales(*args, derivatives=Derivatives.NOTHING, **self.rough)
        return [squares.sum() for squares, _ in found]

    def compare_scales(self, screen, h, places, derivatives):
        """The criterion at bandwidths of `of_scales`, about, with derivatives, and whether it is certainly worse."""
        self._begin(len(places))
        found = screen.compare_scales(Metric.of(h, self.sample.X), places, derivatives)
        for k, (value, _, is_worse) in zip(places, found, strict=True):
            if is_worse:
                self._tell(h * 2 ** (-k / 2), value)
        return found

    def scales_may_be_screened(self):
        """Whether a series of bandwidths is over all pairs anyway, and some of the rows take less time than all."""
        n, d = self.sample.X.shape
        if self.criterion != "loo" or callable(self.kernel) or self.queries is not None or self.has_many_rows:
            return False
        return n >= _FEWEST_SCREENED and (self.rough["algorithm"] == "dense" or d > MOST_FEATURES_IN_ORDER)

    def may_be_screened(self, h):
        """Whether some of the rows take less time than all of them."""
        if self.criterion != "loo" or self.queries is not None or not self.has_many_rows:
            return False
        return not self._goes_by_cells(Metric.of(h, self.sample.X))

    def _goes_by_cells(self, metric):
        nodes = self._nodes_of(metric)
        return nodes is not None and nodes.levels_for(metric.g, 1.0) is not None

    def _takes_linear_time(self, metric):
        how = {name: self.rough[name] for name in ("algorithm", "rtol")}
        if self._goes_by_cells(metric):
            return True
        return takes_linear_time(self.kernel, metric.rows(self.sample), metric.g, **how)

    def _nodes_of(self, metric):
        """Moments of the rows for bandwidths of any width, prepared once."""
        if self.criterion != "loo" or not metric.is_plain:
            return None
        features = tuple(metric.features)
        if features != self._nodes[0]:
            self._nodes = features, nodes_of(self.sample, metric, self.kernel, **self.rough)
        return self._nodes[1]

    @property
    def n_estimates(self):
        """Of how many rows an estimate is the mean."""
        return len(self._some if self.queries is None else self.queries)

    def _evaluate(self, h, metric, options):
        self._begin()
        args = self.sample, metric, self.kernel
        if self.criterion == "loo":
            nodes = self._nodes_of(metric) if options["queries"] is None else None
            value, gradient = leave_one_out(*args, nodes=nodes, **options)
        else:
            value, gradient = penalized_fit(*args, self.criterion, **options)
        self._tell(h, value)
        return value, gradient

    def of_scales(self, h, places, derivatives):
        """Estimates of the criterion at h and narrower bandwidths, as far as one pass goes.

        Parameters
        ----------
        h : float or ndarray
        places : sequence of int
            Which bandwidths, in ascending order: by how many halves of an octave they are narrower.
        derivatives : {Derivatives.NOTHING, Derivatives.SCALE}

        Returns
        -------
        list of tuples
            Value and gradient of each; none of those that another way than over all pairs is quicker for.
        """
        n, metric = len(self.sample.w), Metric.of(h, self.sample.X)
        if self.criterion != "loo" or callable(self.kernel) or not len(metric.g):
            return []
        if self.queries is not None or self.has_many_rows or n < _WORTH_A_SERIES:
            return []
        how = {name: self.rough[name] for name in ("algorithm", "rtol")}
        if self._goes_by_cells(metric):
            return []
        if self.kernel != "gaussian" or n > _QUICK_SERIES or how["algorithm"] != "auto":
            rows = metric.rows(self.sample)
            for count, k in enumerate(places):
                if chosen_algorithm(self.kernel, rows, metric.g * 2 ** (k / 2), **how) != "dense":
                    places = places[:count]
                    break
        if len(places) < 2:
            return []
        self._begin(len(places))
        options = {name: self.options[name] for name in ("empty", "n_threads") if name in self.options}
        options["rtol"] = self.fine["rtol"]  # at hardly any cost
        found = leave_one_out_of_scales(self.sample, metric, self.kernel, places, derivatives=derivatives, **options)
        for k, (value, _) in zip(places, found, strict=True):
            self._tell(h * 2 ** (-k / 2), value)
        return found

    def _tell(self, h, value):
        if self.log is not None:
            name = "leave-one-out error" if self.criterion == "loo" else self.criterion
            self.log(f"{name} {in_units(self.criterion, self.sample, value):.6g} at bandwidth {brief(h)}")

    def estimate(self, queries):
        """The same criterion as the mean over some of the rows only, each predicted from all others."""
        options = {"criterion": self.criterion, "log": self.log, "deadline": self.deadline}
        some = Objective(self.sample, self.kernel, self.options, **options)
        some.queries, some.has_many_rows = queries, True
        return some

    def on(self, sample):
        """The same criterion of other rows, of which the log is not told."""
        return Objective(sample, self.kernel, self.options, criterion=self.criterion, deadline=self.deadline)
