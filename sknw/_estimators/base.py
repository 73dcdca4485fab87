"""What all estimators of this package share: parameters, fit, weights, report and persistence."""

from __future__ import annotations

import functools
import os
import warnings
from numbers import Integral, Real
from typing import TYPE_CHECKING, overload

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator

from .._bandwidth import brief
from .._compat import CallbackSupportMixin, Interval, StrOptions, check_is_fitted, validate_parameter_constraints
from .._core.dispatch import check_applies
from .._criteria.leave_one_out import check_can_leave_out, engine_of
from .._criteria.problem import Settings
from .._exceptions import (
    EmptyNeighborhoodError,
    EmptyNeighborhoodWarning,
    InconsistentVersionWarning,
    warn_once_per_line,
)
from .._inspection.report import BandwidthReport, report_on
from .._smoothing.attention import largest
from .._smoothing.sample import Sample
from .._version import __version__
from .callbacks import Progress
from .choice import choose
from .model import Model, Options
from .validation import (
    ALGORITHM,
    BANDWIDTH,
    EMPTY,
    KERNEL,
    N_JOBS,
    RTOL,
    check_n_jobs,
    check_profile,
    check_queries,
    check_training_data,
    check_weights,
)

if TYPE_CHECKING:
    from typing import Literal

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

#: Pairs whose weights are held at a time if only the largest are returned (32 MiB).
_WEIGHTS_AT_A_TIME = 2**22


class KernelSmoother(CallbackSupportMixin, BaseEstimator):
    """Base of estimators that average training targets with kernel weights.

    A subclass defines `fit`, which calls `_fit`, and methods that turn the averages of `_average` and `_leave_one_out`
    into predictions. It may override `_encode` for targets that are no numbers.
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

    # Fitting ----------------------------------------------------------------------------------------------------------

    #: Whether y holds numbers, and may have several columns.
    _y_numeric = True

    #: Name of the leave-one-out error in reports and displays.
    _error_name = "leave-one-out error"

    def _encode(self, y, sample_weight):
        """Turn validated targets into numbers.

        Returns
        -------
        y_fit : ndarray
            The targets to keep as `y_fit_`.
        Y : ndarray of shape (n, p)
            The numbers that are averaged.
        attributes : dict
            Further attributes of the fitted estimator.
        """
        raise NotImplementedError

    def _fit(self, X, y, sample_weight):
        """Validate the data, choose the bandwidth, and keep what predictions need."""
        data = X, y  # for callbacks, with the names of the columns
        given, y, kinds = check_training_data(self, X, y, y_numeric=self._y_numeric)
        X, sample_weight = given.astype(np.float64, copy=False), check_weights(sample_weight, given)
        y_fit, Y, attributes = self._encode(y, sample_weight)
        check_profile(self.kernel)
        check_applies(self.algorithm, self.kernel, X.shape[1])
        options = Options(self.empty, self.algorithm, self.rtol, check_n_jobs(self.n_jobs))
        sample = Sample.of(X, Y, sample_weight)
        row_of = np.full(len(X), -1)
        row_of[sample.given] = np.arange(len(sample.given))

        @functools.cache
        def kept():
            """The training points as the model keeps them: not the caller's array, which may change."""
            return given if _is_read_only_file(given) else given.copy()

        def fitted(bandwidth):
            """Attributes of the estimator with a bandwidth in the form of its family."""
            model = Model.of(sample, bandwidth, self.kernel, row_of)
            settings = Settings(self.kernel, **options._asdict())
            algorithm = engine_of(sample, model.metric, settings)
            # The copy comes last, when the temporary arrays of all other steps are gone.
            known = {"bandwidth_": bandwidth, "algorithm_": algorithm, "_model": model, "_kinds": kinds}
            return known | {"X_fit_": kept(), "y_fit_": y_fit} | attributes

        progress = Progress(self, *data, sample_weight, fitted)
        for name in ("best_score_", "cv_results_", "loss_curve_", "shrinkage_"):  # of an earlier fit
            vars(self).pop(name, None)
        with np.errstate(over="ignore"):  # a bandwidth beyond the largest number is infinite
            self._choice = choose(self, sample, options._asdict(), progress)
            vars(self).update(fitted(self._choice.bandwidth) | self._choice.attributes)
        progress.end()
        return self

    def __sklearn_is_fitted__(self):
        return hasattr(self, "_model")

    # Averages ---------------------------------------------------------------------------------------------------------

    def _average(self, X):
        """Average the targets around each query: (m, p), in units of the encoded targets."""
        X, options = self._queries(X), self._options()
        single = self.rtol > 0 and X.dtype == self.X_fit_.dtype == np.float32
        answers = self._model.average(X, options, single=single)
        self._warn_if_empty(answers.is_empty, options.empty)
        return answers.means

    def _leave_one_out(self):
        """Average the targets around each training row, without one observation of that row: (n, p)."""
        check_is_fitted(self)
        check_can_leave_out(self._model.rows)
        options = self._options()
        answers = self._model.leave_one_out(self.X_fit_, options)
        self._warn_if_empty(answers.is_empty, options.leaving_out.empty)
        return answers.means

    def _queries(self, X):
        """Return validated queries of shape (m, d), float64 or float32."""
        check_is_fitted(self)
        return check_queries(self, X, self._kinds)

    def _options(self):
        """Return the options of kernel sums, which `set_params` may have changed since `fit`."""
        names = ("empty", "algorithm", "rtol", "n_jobs")
        values = {name: getattr(self, name) for name in names}
        constraints = {name: self._parameter_constraints[name] for name in names}
        validate_parameter_constraints(constraints, values, caller_name=type(self).__name__)
        check_applies(self.algorithm, self._model.kernel, self.n_features_in_)
        return Options(self.empty, self.algorithm, self.rtol, check_n_jobs(self.n_jobs))

    def _warn_if_empty(self, is_empty, empty):
        """Warn of queries with an empty neighborhood, or raise if `empty` says so."""
        n_empty, m = np.count_nonzero(is_empty), len(is_empty)
        if not n_empty:
            return
        cure = "Increase the bandwidth, or use kernel='gaussian', whose support is unbounded."
        if empty == "raise":
            raise EmptyNeighborhoodError(
                f"No training point lies within the support of kernel={self._model.kernel!r} for {n_empty} of {m} "
                f"queries, with bandwidth_={brief(self.bandwidth_)}. {cure}"
            )
        warn_once_per_line(EmptyNeighborhoodWarning.about(empty, n_empty, m), EmptyNeighborhoodWarning)

    # Inspection -------------------------------------------------------------------------------------------------------

    @overload
    def attention_weights(self, X: ArrayLike | None = ..., *, top_k: None = ...) -> Floats: ...
    @overload
    def attention_weights(self, X: ArrayLike | None = ..., *, top_k: int) -> sparse.csr_array: ...
    def attention_weights(self, X: ArrayLike | None = None, *, top_k: int | None = None) -> Floats | sparse.csr_array:
        """Return the weights with which the training targets are averaged.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features), default=None
            Queries. None stands for the training rows, each of which is left out of its own neighborhood.
        top_k : int, default=None
            Number of weights to keep per query, the largest ones. They are not rescaled to sum to 1.

        Returns
        -------
        ndarray of shape (n_queries, n_samples), or scipy.sparse.csr_array if `top_k` is given
            One column per row given to `fit`, including rows of weight zero.

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
        options, given = self._options(), None
        if X is None:
            check_can_leave_out(self._model.rows)
            X, given, empty = self.X_fit_, np.arange(len(self.X_fit_)), options.leaving_out.empty
        else:
            X, empty = self._queries(X), self.empty
        if top_k is None:
            _check_memory(len(X), len(self.X_fit_))
            dense, is_empty = self._model.weights(X, options, given=given)
            self._warn_if_empty(is_empty, empty)
            return dense
        if not (isinstance(top_k, Integral) and top_k >= 1):
            raise ValueError(f"top_k must be a positive integer or None; got {top_k!r}.")
        blocks, is_empty = [], np.zeros(len(X), dtype=bool)
        step = max(1, _WEIGHTS_AT_A_TIME // len(self.X_fit_))
        for start in range(0, len(X), step):
            block = slice(start, start + step)
            dense, is_empty[block] = self._model.weights(
                X[block], options, given=None if given is None else given[block]
            )
            blocks.append(largest(dense, min(top_k, dense.shape[1])))
        self._warn_if_empty(is_empty, empty)
        return sparse.vstack(blocks, format="csr")

    def bandwidth_report(self) -> BandwidthReport:
        """Summarize the choice of the bandwidth.

        Returns
        -------
        BandwidthReport
            Prints as text, and shows as a table in a notebook. Its attributes hold the numbers: the criterion and its
            value for the global mean, local minima, the bandwidth of each feature in its own units and relative to the
            spread of the feature, effective numbers of neighbors, empty neighborhoods, and the work of the choice.

        Notes
        -----
        Takes as long as leave-one-out predictions of all rows, and the weights of at most 1000 rows, evenly spread over
        the training set. With a single observation, leave-one-out is undefined and its numbers are NaN.

        Examples
        --------
        >>> from sknw import NadarayaWatsonRegressor
        >>> from sknw.datasets import make_sine
        >>> report = NadarayaWatsonRegressor().fit(*make_sine(random_state=0)).bandwidth_report()
        >>> print(f"{report.loo_r2:.2f} {report.n_neighbors[1]:.1f}")
        0.70 9.7
        """
        check_is_fitted(self)
        return report_on(self, self._options())

    # Persistence ------------------------------------------------------------------------------------------------------

    def __getstate__(self):
        return {**super().__getstate__(), "_sknw_version": __version__}

    def __setstate__(self, state):
        version = state.pop("_sknw_version", "unknown")
        if version != __version__:
            warnings.warn(
                f"This {type(self).__name__} was saved by sknw {version} and is loaded by sknw {__version__}, which "
                "may lead to errors or different results. Fit it again, or load it with the version that saved it.",
                InconsistentVersionWarning,
                stacklevel=2,
            )
        super().__setstate__(state)


def _is_read_only_file(a):
    """Whether an array is a view of a memory map that was opened for reading only."""
    while a is not None:
        if isinstance(a, np.memmap) and a.mode == "r":
            return True
        a = getattr(a, "base", None)
    return False


def _check_memory(m, n):
    """Raise if the weights of m queries on n rows do not fit into memory."""
    size, memory = 8 * m * n, _physical_memory()
    if size > memory:
        raise MemoryError(
            f"The weights of {m} queries on {n} rows take {size / 2**30:.1f} GiB, and this machine has "
            f"{memory / 2**30:.1f} GiB. Pass fewer queries, or keep only the largest weights with top_k."
        )


def _physical_memory():
    """Return the bytes of memory of this machine; infinity if the system does not provide them."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return float("inf")
