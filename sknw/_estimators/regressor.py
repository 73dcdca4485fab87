"""Regression: predictions are weighted averages of the targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sklearn.base import MultiOutputMixin, RegressorMixin

from .._compat import _fit_context
from .base import KernelSmoother
from .validation import check_targets

if TYPE_CHECKING:
    from typing import Self

    from .._typing import ArrayLike, Floats


class NadarayaWatsonRegressor(MultiOutputMixin, RegressorMixin, KernelSmoother):
    r"""Nadaraya-Watson kernel regression, also known as attention pooling.

    The bandwidth is the standard deviation of the Gaussian and the support radius of a compact kernel, in the units of
    X.

    A prediction is the average of the training targets, weighted by the proximity of each training point to the query:

    .. math:: m(x) = \sum_j a_j(x)\, y_j, \qquad a_j(x) = \frac{w_j k(s_j)}{\sum_l w_l k(s_l)}, \qquad
              s_j = \lVert H^{-1} (x - x_j) \rVert^2

    For the Gaussian the weights are :math:`\mathrm{softmax}(-s/2)`: training points are keys, targets are values, and
    the parameter w of the attention literature is 1/h.

    Parameters
    ----------
    bandwidth : float, array-like or {"loo", "gradient", "aicc", "gcv", "scott", "silverman"}, default="loo"
        Bandwidth in (0, inf], one per feature, a matrix H of shape (n_features, n_features), or a method to choose it:

        - "loo": minimizes the leave-one-out error over all multiples of the spreads of the features, by a global
          search;
        - "gradient": minimizes the leave-one-out error over one bandwidth per feature, or over a matrix if
          `bandwidth_type` is "full", by gradient descents that start from the result of "loo" and from several other
          shapes. `shrinkage` pulls the result towards that of "loo". Not for the kernel "tophat" and a user's profile;
        - "aicc", "gcv": the global search with the corrected Akaike information criterion or with generalized
          cross-validation. Both are the error of the fit, in which each row is its own neighbor, times a penalty for
          the degrees of freedom. GCV is searched up to one degree of freedom per two observations, and AICc where the
          degrees of freedom are fewer than the observations minus two;
        - "scott", "silverman": rules of thumb, the spread of each feature times :math:`n^{-1/(d+4)}` or
          :math:`(n (d+2)/4)^{-1/(d+4)}`, with n observations and d features that are not constant, times the canonical
          factor of the kernel. Not for a user's profile.

        The spread of a feature is its standard deviation, or its interquartile range over 1.349 if that is smaller. An
        infinite bandwidth is valid: it gives the global mean if all features have it, and ignores a single feature. A
        matrix has the units of a standard deviation, not of a variance.
    bandwidth_type : {"spherical", "diag", "full"}, default="diag"
        Family of bandwidths: one number for all features, one per feature, or a symmetric positive definite matrix.
    kernel : str or jitted function, default="gaussian"
        Profile k of the squared scaled distance s, with :math:`u = \sqrt s`: "gaussian" :math:`e^{-s/2}`, "exponential"
        :math:`e^{-u}`, "epanechnikov" :math:`(1-s)_+`, "biweight" :math:`(1-s)_+^2`, "triweight" :math:`(1-s)_+^3`,
        "tricube" :math:`(1-u^3)_+^3`, "linear" :math:`(1-u)_+`, "tophat" :math:`1\{s \le 1\}`, "cosine"
        :math:`\cos(\pi u / 2)_+`; or a finite, non-negative function of s compiled by `numba.njit`.
    empty : {"nearest", "mean", "nan", "raise"}, default="nearest"
        Answer to a query without a training point within the support of a compact kernel: the nearest training
        points, the mean of all targets, NaN, or an `EmptyNeighborhoodError`. The
        first three issue an `EmptyNeighborhoodWarning`. The Gaussian and the exponential kernel have unbounded support.
    algorithm : {"auto", "dense", "sliding", "window", "fast_gauss"}, default="auto"
        Algorithm used to compute the kernel sums: "dense" visits all pairs; "window" the pairs within the support or
        cutoff (up to eight features); "sliding" (one feature, all kernels but the Gaussian) and "fast_gauss" (the
        Gaussian, one to three features) take time in proportion to the number of rows. "auto" chooses per call. A
        user's profile always uses "dense".
    rtol : float, default=1e-10
        Maximum approximation error of a prediction, relative to the range of y. Rounding errors come on top.
        It holds for every query, unless X is float32 both in `fit` and in the query: the Gaussian over all pairs then
        takes about half the time, with errors of some 1e-6 and at most 1e-4 plus those of float32 distances
        (:ref:`float32`). 0 admits only sums that are exact up to float64 rounding.
    solver : {"lbfgs", "adam"}, default="lbfgs"
        Optimizer of ``bandwidth="gradient"``: L-BFGS-B on all rows, or Adam on mini-batches of queries, each predicted
        from all rows. "adam" suits many rows in more than three features; its iterations are epochs, and it ends within
        about 1 % of the minimum.
    shrinkage : float or "cv", default="cv"
        Weight of the penalty of ``bandwidth="gradient"``: the squared distance of the logarithmic bandwidths from those
        of "loo", added to the leave-one-out error relative to that of "loo". 0 gives the plain minimum, which overfits
        with a few hundred rows; `inf` keeps the result of "loo". "cv" chooses among 0, `inf` and values between by
        5-fold cross-validation, and uses 0 if there are at least 200 observations per parameter.
    drop_irrelevant : bool, default=False
        Whether ``bandwidth="gradient"`` gives infinite bandwidths to irrelevant features. Features are dropped one at a
        time, and the others are optimized again, while the leave-one-out error rises by at most one and a half standard
        errors of the difference, and by at most two standard errors of the difference to the error with all features.
        With few rows, features of little relevance are dropped, too.
    max_iter : int, default=500
        Maximum number of iterations of ``bandwidth="gradient"``.
    max_time : float, default=inf
        Seconds after which a choice by a criterion stops with the best bandwidth so far and a `ConvergenceWarning`.
    tol : float, default=1e-5
        Tolerance of ``bandwidth="gradient"``: a descent ends if no component of the gradient of the relative
        leave-one-out error, in the logarithms of the bandwidths, exceeds it, or if a step lowers the relative error by
        less than its square. Without shrinkage, a feature gets an infinite bandwidth if that raises the relative error
        by at most `tol`.
    learning_rate_init : float, default=0.05
        Initial step of ``solver="adam"`` in the logarithm of a bandwidth.
    batch_size : int or "auto", default="auto"
        Rows per mini-batch of ``solver="adam"``; "auto" means 200, or all rows if there are fewer.
    random_state : int, RandomState instance or None, default=None
        Random numbers that shuffle the rows for ``solver="adam"``. Pass an int for reproducible results.
    n_jobs : int, default=None
        Number of threads. None means all processors available to this process, one thread inside a joblib worker, or
        the number set by :class:`joblib.parallel_config`; -1 means all processors, -2 all but one. Results are
        bit-identical for any number of threads.
    verbose : int, default=0
        Whether to print each evaluation of the criterion and the chosen bandwidth.

    Attributes
    ----------
    bandwidth_ : float, ndarray of shape (n_features,) or (n_features, n_features)
        Bandwidth in use, in the form of its family and in the units of X; in seconds for dates and durations.
    best_score_ : float
        Minus the criterion at `bandwidth_`: leave-one-out error, AICc or GCV. Only if the bandwidth was chosen by a
        criterion.
    cv_results_ : dict of ndarrays
        Results of the global search, in ascending order of the bandwidths: "bandwidth", "criterion", "estimate"
        (whether the criterion was estimated on a subsample) and "local_minimum". Only if the bandwidth was chosen by a
        criterion.
    loss_curve_ : list of float
        Leave-one-out error of the best bandwidth of the global search, then after each iteration of the best descent.
        Only for "gradient".
    shrinkage_ : float
        Shrinkage in use. Only for "gradient".
    algorithm_ : {"dense", "sliding", "window", "fast_gauss", "nodes", "segments", "mean"}
        What computes the leave-one-out error at `bandwidth_`. The first four compute the sums of each row, see the
        parameter `algorithm`. "nodes" (the Gaussian, one to three features) and "segments" (polynomial kernels, one
        feature) compute the errors of groups of rows. "mean": all bandwidths are infinite.
    n_iter_ : int
        Iterations of the descent ("gradient"), evaluations that refined the search ("loo", "aicc", "gcv"), else 1.
    X_fit_ : ndarray of shape (n_samples, n_features), float64 or float32
        Copy of the training points; a view if X is a `numpy.memmap` opened with mode "r". Saved models contain it.
    y_fit_ : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Training targets.
    n_outputs_ : int
        Number of outputs.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, if X has column names.

    See Also
    --------
    NadarayaWatsonClassifier : Class probabilities with the same weights.
    loo_error : The leave-one-out error as a function, with its gradient.
    sklearn.neighbors.KNeighborsRegressor : Averages over a fixed number of neighbors.
    sklearn.neighbors.KernelDensity : Density estimates with the same kernels.

    Notes
    -----
    With n training rows, m queries, d features and p outputs, `predict` takes O((n + m) (1 + p)) time if "sliding" or
    "fast_gauss" apply, and at most O(m n (d + p)). An evaluation of the leave-one-out error takes the time of m = n
    queries; "loo" needs some dozens. Memory is O((n + m) (d + p)).

    Weights count observations, exactly as repeated rows do: leave-one-out removes one observation of a row. Scale
    weights that are no counts to at most 1. Leave-one-out then removes the whole row, and the common scale of the
    weights matters only for the rules of thumb, AICc and GCV, which count observations.

    Dates in X become seconds since 1970-01-01 UTC and durations become seconds, whatever their units; dates without a
    time zone are taken as UTC.

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

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Choose the bandwidth and store the training data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training points. Dates and durations are converted to seconds.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Number of observations that each row represents, or precisions of at most 1. Rows of weight 0 are ignored.

        Returns
        -------
        NadarayaWatsonRegressor
            The fitted model.

        Raises
        ------
        ValueError
            If the data or a parameter is invalid.
        """
        return self._fit(X, y, sample_weight)

    def _encode(self, y, sample_weight):
        y = check_targets(y)
        Y = y.reshape(len(y), -1)
        return y, Y, {"n_outputs_": Y.shape[1]}

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
            If some queries have no training point within the support of the kernel.
        """
        return self._like_y(self._average(X))

    def loo_predict(self) -> Floats:
        """Predict each training row from all other rows.

        One observation is left out: a row of weight w keeps the weight w - 1, or none if w is less than 1. A row whose
        neighborhood is then empty is predicted as `empty` says. For "nan" and "raise" it is predicted by the mean of
        the other rows, as in the leave-one-out error.

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
        return self._like_y(self._leave_one_out())

    def _like_y(self, means):
        return means if self.y_fit_.ndim == 2 else means[:, 0]
