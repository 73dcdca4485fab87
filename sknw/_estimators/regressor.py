"""The estimator: validate, choose, prepare; evaluate, divide, shape."""

from __future__ import annotations

import os
import time
import warnings
from numbers import Integral, Real
from typing import TYPE_CHECKING, overload

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils import check_random_state

from .._bandwidth import Adam, Objective, brief, descend, local_minima, rule_of_thumb, search, spreads
from .._compat import CallbackSupportMixin, Interval, StrOptions, _fit_context, check_is_fitted, validate_data
from .._core import Rows, check_applies, chosen_algorithm
from .._criteria.by_rows import answer_to_empty
from .._criteria.leave_one_out import check_can_leave_out
from .._criteria.penalized import in_units
from .._criteria.problem import Settings
from .._exceptions import EmptyNeighborhoodError, EmptyNeighborhoodWarning, InconsistentVersionWarning
from .._inspection.report import BandwidthReport, effective_neighbors, widths
from .._smoothing.attention import largest, weights
from .._smoothing.averages import average
from .._smoothing.metric import Metric
from .._smoothing.sample import Sample
from .._version import __version__
from .callbacks import Progress
from .validation import (
    ALGORITHM,
    BANDWIDTH,
    EMPTY,
    KERNEL,
    N_JOBS,
    RTOL,
    check_bandwidth,
    check_n_jobs,
    check_profile,
    check_targets,
    check_weights,
    in_family,
)

if TYPE_CHECKING:
    from typing import Literal, Self

    from .._typing import (
        Algorithm,
        ArrayLike,
        BandwidthChoice,
        BandwidthType,
        Empty,
        Floats,
        KernelName,
        Matrix,
        Number,
        Profile,
        RandomState,
        Solver,
        Vector,
    )


#: Weights of this many pairs are held at a time when only the largest are wanted (32 MiB).
_WEIGHTS_AT_A_TIME = 2**22


#: Coordinates are computed with in float64; what float32 ones are good for is for the core to know.
_FLOATS = [np.float64, np.float32]


#: A report counts the neighbours of this many rows at the most.
_ROWS_REPORTED = 1000


class NadarayaWatsonRegressor(MultiOutputMixin, CallbackSupportMixin, RegressorMixin, BaseEstimator):
    r"""Nadaraya-Watson kernel regression, also known as attention pooling.

    The bandwidth is the standard deviation of the Gaussian and the support radius of a compact kernel, in the units of
    X.

    A prediction is the average of the training targets, weighted by how close each training point is to the query:

    .. math:: m(x) = \sum_j a_j(x)\, y_j, \qquad a_j(x) = \frac{w_j k(s_j)}{\sum_l w_l k(s_l)}, \qquad
              s_j = \lVert H^{-1} (x - x_j) \rVert^2

    For the Gaussian the weights are :math:`\mathrm{softmax}(-s/2)`: training points are keys, targets are values, and
    the parameter w of the attention literature is 1/h.

    Parameters
    ----------
    bandwidth : float, array-like or {"loo", "gradient", "aicc", "gcv", "scott", "silverman"}, default="loo"
        A bandwidth in (0, inf], one per feature, or a matrix H of shape (n_features, n_features); or how to choose one:

        - "loo": the smallest leave-one-out error over all multiples of the spread of the features, by a global search;
        - "gradient": the smallest leave-one-out error with one bandwidth per feature, or with a matrix if
          `bandwidth_type` is "full", that descents along its gradient meet. They start from the result of "loo" and
          from several other shapes, and are shrunk towards "loo" as `shrinkage` says. Not for the kernel "tophat" and a
          profile of your own;
        - "aicc", "gcv": the same search with the corrected Akaike information criterion, or with generalized
          cross-validation: the error of the fit with each row among its own neighbours, and a penalty for its degrees
          of freedom. GCV is searched where there is at most one of these for two observations, and AICc where it is
          defined, with at least two fewer of these than observations;
        - "scott", "silverman": rules of thumb, the spread of each feature times :math:`n^{-1/(d+4)}` or
          :math:`(n (d+2)/4)^{-1/(d+4)}`, n the number of observations and d that of features that are not constant, and
          times the canonical factor of the kernel. Not for a profile of your own.

        The spread of a feature is its standard deviation, or its interquartile range over 1.349 if that is smaller.
        `inf` is a bandwidth: average pooling for all features, or one feature that does not count. A matrix has the
        units of a standard deviation, not of a variance.
    bandwidth_type : {"spherical", "diag", "full"}, default="diag"
        The family: one number for all features, one per feature, or a symmetric positive definite matrix.
    kernel : str or jitted function, default="gaussian"
        The profile k of the squared scaled distance s, with :math:`u = \sqrt s`: "gaussian" :math:`e^{-s/2}`,
        "exponential" :math:`e^{-u}`, "epanechnikov" :math:`(1-s)_+`, "biweight" :math:`(1-s)_+^2`, "triweight"
        :math:`(1-s)_+^3`, "tricube" :math:`(1-u^3)_+^3`, "linear" :math:`(1-u)_+`, "tophat" :math:`1\{s \le 1\}`,
        "cosine" :math:`\cos(\pi u / 2)_+`; or a function of s compiled by `numba.njit`, finite and non-negative.
    empty : {"nearest", "mean", "nan", "raise"}, default="nearest"
        The answer to a query that no training row is in reach of, for kernels that vanish: the nearest training rows,
        the mean of all, NaN, or an `EmptyNeighborhoodError`. The first three warn, with the number of such queries. The
        Gaussian and the exponential kernel never vanish; far from the data the Gaussian tends to the nearest training
        row, the exponential to an average of those at the edge.
    algorithm : {"auto", "dense", "sliding", "window", "fast_gauss"}, default="auto"
        How sums over the training rows are formed: "dense" visits every pair, in many features by products of matrices;
        "window" the pairs within reach (up to eight features), "sliding" (one feature, all kernels but the Gaussian)
        and "fast_gauss" (the Gaussian, one to three features) take a time in proportion to the number of rows. "auto"
        chooses for each call; a profile of your own is always dense.
    rtol : float, default=1e-10
        What a prediction may be wrong by, besides rounding, in units of the range of the targets: the algorithms
        "window" and "fast_gauss" neglect that much where a kernel never vanishes, and the Gaussian over every pair may
        lose as much. It holds for each query, unless X is float32 both in `fit` and in `predict`: where every pair is
        then visited with the Gaussian, predictions take about half the time and are right to some 1e-6, at worst to
        1e-4 and what float32 distances lose (:ref:`float32`). 0 admits only what is exact to rounding in float64.
    solver : {"lbfgs", "adam"}, default="lbfgs"
        For ``bandwidth="gradient"``: L-BFGS-B on all rows, or Adam with mini-batches of rows whose errors count,
        predicted from all rows. The latter is for many rows in more than three features, where a pass over all pairs is
        dear; its iterations are epochs, and it ends within about 1 % of the minimum.
    shrinkage : float or "cv", default="cv"
        For ``bandwidth="gradient"``: the weight of the squared distance, in the logarithm, of the bandwidths from those
        of "loo", against a leave-one-out error in units of that of "loo". 0 gives the plain minimum, which a few
        hundred rows make look better than it is; `inf` stays with "loo". "cv" chooses from both and what lies between
        by 5-fold cross-validation, and takes 0 where there are at least 200 observations for each parameter.
    drop_irrelevant : bool, default=False
        For ``bandwidth="gradient"``: give an infinite bandwidth to features that do not matter. One at a time is
        dropped, and the others are optimised again, while that raises the leave-one-out error by at most one and a half
        standard errors of the difference, and by at most two of the difference to that with all features. A feature
        that matters little goes, too, the more so with few rows.
    max_iter : int, default=500
        For ``bandwidth="gradient"``: the largest number of iterations.
    max_time : float, default=inf
        For ``bandwidth="gradient"``: seconds after which the choice stops with the best so far, and a warning, wherever
        it is: in the global search, the cross-validation of `shrinkage`, the descents or the elimination of features.
    tol : float, default=1e-5
        For ``bandwidth="gradient"``: the descent ends where no component of the gradient of the leave-one-out error, in
        units of that of "loo", in the logarithm of the bandwidths is larger, or where a step lowers the error by less
        than the square of this share. Without shrinkage, a feature then gets an infinite bandwidth if that raises the
        error by no more than this share.
    learning_rate_init : float, default=0.05
        For ``solver="adam"``: the first step in the logarithm of a bandwidth.
    batch_size : int or "auto", default="auto"
        For ``solver="adam"``: the number of rows in a batch; "auto" takes 200, or all if there are fewer.
    random_state : int, RandomState instance or None, default=None
        For ``solver="adam"``: how the rows are shuffled. An int gives the same result each time.
    n_jobs : int, default=None
        Number of threads. None means all processors that this process may use, but one inside a joblib worker, and what
        :class:`joblib.parallel_config` says where it says something; -1 means all, -2 all but one. Results do not
        depend on it, to the last bit.
    verbose : int, default=0
        Whether to print each leave-one-out error that is computed, and the bandwidth that was chosen.

    Attributes
    ----------
    bandwidth_ : float, ndarray of shape (n_features,) or (n_features, n_features)
        The bandwidth in use, in the units of X and in the form of its family.
    best_score_ : float
        Minus the criterion at `bandwidth_`, that is the leave-one-out error, AICc or GCV; only if that was chosen by
        one of these.
    cv_results_ : dict of ndarrays
        "bandwidth" and "criterion": the bandwidths of the global search, from narrow to wide, and their criterion;
        "estimate" marks those that only the errors of some rows are known of, and "local_minimum" the lowest of their
        neighbours. Not for rules of thumb and a bandwidth that was given.
    loss_curve_ : list of float
        The leave-one-out error at the best of the global search, then after each iteration of the best descent; only
        for "gradient".
    shrinkage_ : float
        The shrinkage in use; only for "gradient".
    algorithm_ : str
        The algorithm that leave-one-out at `bandwidth_` takes; "mean" if all bandwidths are infinite.
    n_iter_ : int
        Iterations of the descent ("gradient"), evaluations that refined the search ("loo", "aicc", "gcv"), else 1.
    X_fit_ : ndarray of shape (n_samples, n_features), float64 or float32
        Training points. The model holds its training data, and so does each copy that is saved of it.
    y_fit_ : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Training targets.
    n_outputs_ : int
        Number of outputs.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, if X had any.

    See Also
    --------
    loo_error : The criterion as a function, with its gradient.
    sklearn.neighbors.KNeighborsRegressor : Averages over a fixed number of neighbours.
    sklearn.neighbors.KernelDensity : The same kernels, for densities.

    Notes
    -----
    With n training rows, m queries, d features and p outputs, `predict` costs O((n + m) (1 + p)) time where "sliding"
    or "fast_gauss" apply, O(m n (d + p)) at the most, and an evaluation of the leave-one-out error the same with m = n,
    of which "loo" needs some dozens; memory is O((n + m) (d + p)).

    Weights count observations, exactly as repeated rows do: leave-one-out takes one observation out of a row. Weights
    that are not counts should be scaled to at most 1; then the whole row is left out, and their common scale does not
    matter, but for the rules of thumb, which count observations.

    References
    ----------
    E. A. Nadaraya, "On estimating regression", Theory of Probability and its Applications 9 (1964), 141-142.
    G. S. Watson, "Smooth regression analysis", Sankhya A 26 (1964), 359-372.

    Examples
    --------
    >>> from sknw import NadarayaWatsonRegressor
    >>> from sknw.datasets import make_sine
    >>> X, y = make_sine(random_state=0)
    >>> model = NadarayaWatsonRegressor().fit(X, y)
    >>> print(model.bandwidth_.round(3))
    [0.295]
    >>> print(model.predict([[1.0], [4.0]]).round(2))
    [2.15 1.66]
    """

    _parameter_constraints = {
        "bandwidth": [*BANDWIDTH, StrOptions({"loo", "gradient", "aicc", "gcv", "scott", "silverman"})],
        "bandwidth_type": [StrOptions({"spherical", "diag", "full"})],
        "kernel": KERNEL,
        "empty": EMPTY,
        "algorithm": ALGORITHM,
        "rtol": RTOL,
        "solver": [StrOptions({"lbfgs", "adam"})],
        "shrinkage": [Interval(Real, 0, None, closed="both"), StrOptions({"cv"})],
        "drop_irrelevant": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "max_time": [Interval(Real, 0, None, closed="right")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "random_state": ["random_state"],
        "n_jobs": N_JOBS,
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        bandwidth: BandwidthChoice | Number | Vector | Matrix = "loo",
        *,
        bandwidth_type: BandwidthType = "diag",
        kernel: KernelName | Profile = "gaussian",
        empty: Empty = "nearest",
        algorithm: Algorithm = "auto",
        rtol: float = 1e-10,
        solver: Solver = "lbfgs",
        shrinkage: float | Literal["cv"] = "cv",
        drop_irrelevant: bool = False,
        max_iter: int = 500,
        max_time: float = float("inf"),
        tol: float = 1e-5,
        learning_rate_init: float = 0.05,
        batch_size: int | Literal["auto"] = "auto",
        random_state: RandomState = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.bandwidth = bandwidth
        self.bandwidth_type = bandwidth_type
        self.kernel = kernel
        self.empty = empty
        self.algorithm = algorithm
        self.rtol = rtol
        self.solver = solver
        self.shrinkage = shrinkage
        self.drop_irrelevant = drop_irrelevant
        self.max_iter = max_iter
        self.max_time = max_time
        self.tol = tol
        self.learning_rate_init = learning_rate_init
        self.batch_size = batch_size
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Choose the bandwidth and keep the training data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training points.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Numbers of observations, or precisions of at most 1. A row of weight 0 is not there.

        Returns
        -------
        NadarayaWatsonRegressor
            The fitted model.

        Raises
        ------
        ValueError
            If the data or a parameter is not what it must be; the message says which, and what to do.
        """
        data = X, y  # callbacks are told of these, with the names of their columns
        with np.errstate(invalid="ignore"):  # which adds up numbers that may overflow both ways
            X, y = validate_data(self, X, y, dtype=_FLOATS, order="C", multi_output=True, y_numeric=True)
        given, X = X, X.astype(np.float64, copy=False)
        y, sample_weight = check_targets(y), check_weights(sample_weight, X)
        check_profile(self.kernel)
        check_applies(self.algorithm, self.kernel, X.shape[1])
        self._how()  # raises for n_jobs=0
        sample = Sample.of(X, y.reshape(len(y), -1), sample_weight)
        row_of = np.full(len(X), -1)
        row_of[sample.given] = np.arange(len(sample.given))

        def prepare(bandwidth):
            """What `predict` and its likes need, of a bandwidth in the form of its family."""
            metric = Metric.of(bandwidth, sample.X)
            return {
                "bandwidth_": bandwidth,
                "_kernel": self.kernel,  # to which the bandwidth belongs, whatever becomes of the parameter
                "X_fit_": given,
                "y_fit_": y,
                "n_outputs_": len(sample.Y),
                "_row_of": row_of,
                "_metric": metric,
                "_rows": metric.rows(sample),
                "_center": sample.center,
                "_unit": sample.unit,
                "_weight_unit": sample.weight_unit,
            }

        progress = Progress(self, *data, sample_weight, prepare)
        with np.errstate(over="ignore"):  # a bandwidth beyond the largest number is infinite
            vars(self).update(prepare(self._choose_bandwidth(sample, progress)))
        self.algorithm_ = chosen_algorithm(
            self.kernel, self._rows, self._metric.g, algorithm=self.algorithm, rtol=self.rtol
        )
        progress.end()
        return self

    def _choose_bandwidth(self, sample, progress):
        """The bandwidth, in the form of its family; sets the attributes that tell how it was found."""
        for name in ("_chosen", "best_score_", "cv_results_", "loss_curve_", "shrinkage_"):  # of an earlier fit
            vars(self).pop(name, None)
        self.n_iter_ = 1
        d = sample.X.shape[1]
        if not isinstance(self.bandwidth, str):
            return check_bandwidth(self.bandwidth, self.bandwidth_type, d)
        if self.bandwidth in ("scott", "silverman"):
            if callable(self.kernel):
                raise ValueError(
                    f"bandwidth={self.bandwidth!r} needs to know the moments of the kernel, which a profile does "
                    "not tell; use bandwidth='loo' or a number."
                )
            rule = rule_of_thumb(sample, self.bandwidth_type, self.kernel, self.bandwidth)
            return in_family(rule.h, self.bandwidth_type, d)
        return self._find_bandwidth(sample, progress)

    def _find_bandwidth(self, sample, progress):
        """The same, by a criterion."""
        d = sample.X.shape[1]
        if sample.w_rest.any() and not sample.counts:
            warnings.warn(
                "Some sample weights are above 1 but not whole numbers. They count observations: leave-one-out keeps "
                "w - 1 of a row of weight w, and so predicts it from itself, which asks for too narrow a bandwidth. If "
                "they are precisions, divide them by their maximum.",
                UserWarning,
                stacklevel=5,
            )
        criterion = "loo" if self.bandwidth == "gradient" else self.bandwidth
        settings = Settings(self.kernel, self.empty, **self._how())
        objective = Objective(sample, settings, criterion=criterion, log=print if self.verbose else None)

        def tell(task, h):
            return progress.task(task, h if np.ndim(h) == 2 else in_family(h, self.bandwidth_type, d))

        begin = time.perf_counter()
        if self.bandwidth == "gradient":
            found = descend(
                objective,
                self.bandwidth_type,
                shrinkage=self.shrinkage,
                drop_irrelevant=self.drop_irrelevant,
                max_iter=self.max_iter,
                tol=self.tol,
                max_time=self.max_time,
                **({"solver": self._adam()} if self.solver == "adam" else {}),
                tell=tell,
            )
            self.loss_curve_ = sample.squared(found.losses).tolist()
            self.shrinkage_ = float(found.shrinkage)
        else:
            found = search(objective, self.bandwidth_type)
            tell("search", found.h)
        self._chosen, self._seconds = found, time.perf_counter() - begin
        self.n_iter_ = found.n_iter
        self.best_score_ = float(-in_units(criterion, sample, found.criterion))
        searched = [in_family(h, self.bandwidth_type, d) for h in found.searched[0]]
        self.cv_results_ = {
            "bandwidth": np.array(searched),
            "criterion": in_units(criterion, sample, found.searched[1]),
            "estimate": found.searched[2],
            "local_minimum": local_minima(*found.searched[1:], found.worse),
        }
        if self.verbose:
            name = "leave-one-out error" if criterion == "loo" else criterion
            print(f"chosen: {name} {-self.best_score_:.6g} at bandwidth {brief(found.h)}")
        return found.h if np.ndim(found.h) == 2 else in_family(found.h, self.bandwidth_type, d)

    def predict(self, X: ArrayLike) -> Floats:
        """Average the training targets around each query.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.

        Returns
        -------
        ndarray of shape (n_queries,) or (n_queries, n_outputs), float64
            Predictions; one-dimensional if y was.

        Warns
        -----
        EmptyNeighborhoodWarning
            If no training row is in reach of some queries.
        """
        return self._predict(self._queries(X))

    def loo_predict(self) -> Floats:
        """Predict each training row from all others.

        Of a row of weight w, one observation is left out and weight w - 1 remains (none if w is less than 1). A row
        that nobody else is in reach of gets what `empty` says, and the mean of all others where that is no answer
        ("nan", "raise"), as in the leave-one-out error.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs), float64

        Raises
        ------
        ValueError
            If there are fewer than two observations.

        Examples
        --------
        >>> from sknw import NadarayaWatsonRegressor
        >>> NadarayaWatsonRegressor(float("inf")).fit([[0.0], [1.0], [2.0]], [3.0, 6.0, 12.0]).loo_predict()
        array([9. , 7.5, 4.5])
        """
        check_is_fitted(self)
        return self._predict(self.X_fit_, self._left_out())

    @overload
    def attention_weights(self, X: ArrayLike | None = ..., *, top_k: None = ...) -> Floats: ...
    @overload
    def attention_weights(self, X: ArrayLike | None = ..., *, top_k: int) -> sparse.csr_array: ...
    def attention_weights(self, X: ArrayLike | None = None, *, top_k: int | None = None) -> Floats | sparse.csr_array:
        """The weights with which the training targets are averaged.

        ``attention_weights(X) @ y_fit_`` is ``predict(X)``, up to rounding.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), default=None
            Queries. None stands for the training rows, each left out of its own weights.
        top_k : int, default=None
            Keep only the largest weights of each query, as many as this; they are not scaled up to sum to 1.

        Returns
        -------
        ndarray of shape (n_queries, n_samples), or scipy.sparse.csr_array if `top_k` is given
            One column for each row given to `fit`, those of weight zero too.

        Raises
        ------
        MemoryError
            If the dense matrix is larger than the memory of this machine.

        Examples
        --------
        >>> from sknw import NadarayaWatsonRegressor
        >>> model = NadarayaWatsonRegressor(1.0).fit([[0.0], [1.0], [4.0]], [3.0, 6.0, 12.0])
        >>> model.attention_weights([[0.0]]).round(3)
        array([[0.622, 0.377, 0.   ]])
        >>> model.attention_weights([[0.0]], top_k=1).toarray().round(3)
        array([[0.622, 0.   , 0.   ]])
        """
        check_is_fitted(self)
        if X is None:
            X, own = self.X_fit_, self._left_out()
        else:
            X, own = self._queries(X), None
        n = len(self.X_fit_)
        if top_k is None:
            size, memory = 8 * len(X) * n, _physical_memory()
            if size > memory:
                raise MemoryError(
                    f"The weights of {len(X)} queries on {n} rows take {size / 2**30:.1f} GiB, and this machine "
                    f"has {memory / 2**30:.1f} GiB; ask for fewer queries, or for the largest weights only with top_k."
                )
            dense, n_empty = self._weights(X, own)
            self._warn_if_empty(n_empty, len(X), self._empty(own), stacklevel=3)
            return dense
        if not (isinstance(top_k, Integral) and top_k >= 1):
            raise ValueError(f"top_k must be a positive integer or None; got {top_k!r}.")
        step = max(1, _WEIGHTS_AT_A_TIME // n)
        parts = []
        n_empty = 0
        for start in range(0, len(X), step):
            part = slice(start, start + step)
            dense, n_void = self._weights(X[part], None if own is None else own[part])
            n_empty += n_void
            parts.append(largest(dense, min(top_k, dense.shape[1])))
        self._warn_if_empty(n_empty, len(X), self._empty(own), stacklevel=3)
        return sparse.vstack(parts, format="csr")

    def _neighbors_of_some(self):
        """Effective numbers of neighbours of some training rows, evenly spread, each of which is left out."""
        kernel, rows, g, n = self._kernel, self._rows, self._metric.g, len(self._rows.w)
        some = np.unique(np.linspace(0, n - 1, min(n, _ROWS_REPORTED)).astype(np.int64))
        how = {"empty": answer_to_empty(self.empty), "n_threads": self._how()["n_threads"]}
        step, found = max(1, _WEIGHTS_AT_A_TIME // n), []
        for start in range(0, len(some), step):
            part = some[start : start + step]
            shares, _ = weights(kernel, rows, g, rows.Z.T[part], part, **how)
            found.append(effective_neighbors(shares, rows, part, self._weight_unit))
        return np.concatenate(found)

    def bandwidth_report(self) -> BandwidthReport:
        """What the choice of the bandwidth came to.

        Returns
        -------
        BandwidthReport
            Prints as text, and shows as a table in a notebook; its attributes have the numbers: the criterion against
            that of averaging everyone, local minima that were met, each feature's bandwidth in its own units and in
            those of its spread, features that are smoothed out, effective numbers of neighbours, empty windows, and
            what the choice cost.

        Raises
        ------
        ValueError
            If there are fewer than two observations.

        Notes
        -----
        Takes as long as `loo_predict`, and weights of at most 1000 rows, evenly spread over the training set.

        Examples
        --------
        >>> from sknw import NadarayaWatsonRegressor
        >>> from sknw.datasets import make_sine
        >>> report = NadarayaWatsonRegressor().fit(*make_sine(random_state=0)).bandwidth_report()
        >>> print(f"{report.loo_r2:.2f} {report.n_neighbors[1]:.1f}")
        0.70 9.7
        """
        check_is_fitted(self)
        check_can_leave_out(self._rows)
        kernel, rows, g = self._kernel, self._rows, self._metric.g
        Z, (n, d) = rows.Z.T, (len(rows.w), self.n_features_in_)
        own, options = np.arange(n), {"empty": answer_to_empty(self.empty), **self._how()}
        means, void, _ = average(kernel, rows, g, Z, own, **options)
        errors = np.mean((means - rows.Y.T) ** 2, axis=1)
        means, _, _ = average(kernel, rows._replace(Z=rows.Z[:0]), g[:0], Z[:, :0], own, **options)
        everyone = rows.w @ np.mean((means - rows.Y.T) ** 2, axis=1)
        neighbors = self._neighbors_of_some()
        h = widths(self.bandwidth_, self._metric, d)
        X = self.X_fit_.astype(np.float64, copy=False)
        sample = Sample.of(X, self.y_fit_.reshape(len(self.y_fit_), -1), self._row_of >= 0)
        spread = spreads(sample._replace(w=rows.w))
        with np.errstate(over="ignore"):
            in_spreads = np.divide(h, spread, out=np.full(d, np.nan), where=spread > 0)
        chosen = getattr(self, "_chosen", None)
        choice = self.bandwidth if isinstance(self.bandwidth, str) else "given"
        kernel = kernel if isinstance(kernel, str) else "own profile"
        report = BandwidthReport(
            choice=f"{choice}, {self.bandwidth_type}, {kernel}",
            criterion=None,
            value=None,
            everyone=None,
            loo_r2=float(1 - rows.w @ errors / everyone) if everyone > 0 else float("nan"),
            minima=[],
            estimates=[],
            features=list(getattr(self, "feature_names_in_", [f"x{i}" for i in range(d)])),
            bandwidth=h,
            in_spreads=in_spreads,
            n_neighbors=tuple(float(q) for q in np.quantile(neighbors, [0, 0.5, 1])),
            n_rows=len(neighbors),
            n_empty=int(np.count_nonzero(void)),
            algorithm=self.algorithm_,
            shrinkage=getattr(self, "shrinkage_", None),
            n_iter=self.n_iter_,
            n_evaluations=0,
            seconds=None,
            notes=(),
        )
        if chosen is None:
            return report
        results = self.cv_results_
        low = results["local_minimum"]
        return report._replace(
            criterion={"aicc": "AICc", "gcv": "GCV"}.get(self.bandwidth, "leave-one-out error"),
            value=-self.best_score_,
            everyone=float(results["criterion"][-1]),
            minima=list(zip(results["bandwidth"][low], results["criterion"][low].tolist(), strict=True)),
            estimates=results["estimate"][low].tolist(),
            n_evaluations=chosen.n_evaluations,
            seconds=self._seconds,
            notes=chosen.notes,
        )

    def _adam(self):
        """The solver of that name."""
        return Adam(self.learning_rate_init, self.batch_size, check_random_state(self.random_state))

    def _queries(self, X):
        """Validated queries, of shape (m, d), float64 or float32."""
        check_is_fitted(self)
        with np.errstate(invalid="ignore"):
            return validate_data(self, X, dtype=_FLOATS, order="C", reset=False)

    def _left_out(self):
        """Which row each training row is, for leave-one-out; -1 for one of weight zero, which is not there anyway."""
        check_can_leave_out(self._rows)
        return self._row_of

    def _empty(self, own):
        """What answers where nobody is in reach, of queries or of rows that are left out."""
        return self.empty if own is None else answer_to_empty(self.empty)

    def _predict(self, X, own=None):
        """Predictions for validated queries."""
        single = own is None and self.rtol > 0 and X.dtype == self.X_fit_.dtype == np.float32
        Zq, empty, how = self._metric.coordinates(X.astype(np.float64, copy=False)), self._empty(own), self._how()
        means, void, _ = average(self._kernel, self._rows, self._metric.g, Zq, own, empty=empty, single=single, **how)
        self._warn_if_empty(np.count_nonzero(void), len(X), empty, stacklevel=4)
        means = self._center + self._unit * means
        return means if self.y_fit_.ndim == 2 else means[:, 0]

    def _weights(self, X, own):
        """Weights on all rows given to `fit`, for validated queries, and how many of these had nobody in reach."""
        Zq = self._metric.coordinates(X.astype(np.float64, copy=False))
        empty, n_threads = self._empty(own), self._how()["n_threads"]
        # The columns, and which of equal weights is the first, follow the rows as they were given.
        there = np.flatnonzero(self._row_of >= 0)
        order = self._row_of[there]
        rows = Rows(*(a[..., order] for a in self._rows))
        if own is not None:
            own = np.where(own >= 0, np.argsort(order)[own], -1)
        out, void = weights(self._kernel, rows, self._metric.g, Zq, own, empty=empty, n_threads=n_threads)
        if len(there) < len(self._row_of):
            complete = np.zeros((len(X), len(self._row_of)))
            complete[:, there] = out
            out = complete
        return out, np.count_nonzero(void)

    def _warn_if_empty(self, n_empty, m, empty, *, stacklevel):
        """Say how many queries had nobody in reach and what they got."""
        if not n_empty:
            return
        found = (
            f"No training row is in reach of {n_empty} of {m} queries with kernel={self._kernel!r} and "
            f"bandwidth_={brief(self.bandwidth_)}"
        )
        cure = "Widen the bandwidth, or use kernel='gaussian', which reaches everywhere."
        if empty == "raise":
            raise EmptyNeighborhoodError(f"{found}. {cure}")
        answer = {"nearest": "the nearest training rows", "mean": "the mean of all", "nan": "NaN"}[empty]
        warnings.warn(f"{found}; they get {answer}. {cure}", EmptyNeighborhoodWarning, stacklevel=stacklevel)

    def _how(self):
        """How sums are to be formed."""
        return {"algorithm": self.algorithm, "rtol": self.rtol, "n_threads": check_n_jobs(self.n_jobs)}

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_rows")

    def __getstate__(self):
        return {**super().__getstate__(), "_sknw_version": __version__}

    def __setstate__(self, state):
        version = state.pop("_sknw_version", "unknown")
        if version != __version__:
            warnings.warn(
                f"This {type(self).__name__} was saved by sknw {version} and is loaded by sknw {__version__}, which "
                "may lead to errors or other results; fit it again, or load it with the version that saved it.",
                InconsistentVersionWarning,
                stacklevel=2,
            )
        super().__setstate__(state)


def _physical_memory():
    """Bytes of memory of this machine; infinite if the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return float("inf")
