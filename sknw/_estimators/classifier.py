"""Classification: class probabilities are weighted averages of one-hot targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from .._compat import _fit_context
from .._exceptions import EmptyNeighborhoodError
from .base import KernelSmoother

if TYPE_CHECKING:
    from typing import Any, Self

    from numpy.typing import NDArray

    from .._typing import ArrayLike, Floats

#: Rounding of a probability, besides `rtol`: sums of many terms of at most 1.
_ROUNDING = 1e-13


class NadarayaWatsonClassifier(ClassifierMixin, KernelSmoother):
    r"""Kernel classification with Nadaraya-Watson estimates of the class probabilities.

    The bandwidth is the standard deviation of the Gaussian and the support radius of a compact kernel, in the units of
    X.

    The probability of a class is the total weight of its training points:

    .. math:: p_c(x) = \sum_j a_j(x)\, 1\{y_j = c\}, \qquad a_j(x) = \frac{w_j k(s_j)}{\sum_l w_l k(s_l)}, \qquad
              s_j = \lVert H^{-1} (x - x_j) \rVert^2

    The bandwidth is chosen by the Brier score: "leave-one-out error" below is the mean over rows and classes of
    :math:`(p_c(x_i) - 1\{y_i = c\})^2`, where :math:`p_c(x_i)` is computed without observation i.

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
        Answer to a query without a training point within the support of a compact kernel: the classes of the
        nearest training points, the class frequencies, NaN (`predict` then raises), or an `EmptyNeighborhoodError`. The
        first three issue an `EmptyNeighborhoodWarning`. The Gaussian and the exponential kernel have unbounded support.
    algorithm : {"auto", "dense", "sliding", "window", "fast_gauss"}, default="auto"
        Algorithm used to compute the kernel sums: "dense" visits all pairs; "window" the pairs within the support or
        cutoff (up to eight features); "sliding" (one feature, all kernels but the Gaussian) and "fast_gauss" (the
        Gaussian, one to three features) take time in proportion to the number of rows. "auto" chooses per call. A
        user's profile always uses "dense".
    rtol : float, default=1e-10
        Maximum approximation error of a probability; rounding errors come on top. It holds for every query, unless X is
        float32 both in `fit` and in the query: the Gaussian over all pairs then takes about half the time, with errors
        of some 1e-6 and at most 1e-4 plus those of float32 distances (:ref:`float32`). 0 admits only sums that are
        exact up to float64 rounding.
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
        criterion. The leave-one-out error is the Brier score divided by the number of classes. For two classes it is
        :func:`sklearn.metrics.brier_score_loss` of the leave-one-out probabilities; for more it is the multiclass
        score, a sum over classes, divided by their number.
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
    y_fit_ : ndarray of shape (n_samples,)
        Training labels.
    classes_ : ndarray of shape (n_classes,)
        Sorted labels of the rows of positive weight.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, if X has column names.

    See Also
    --------
    NadarayaWatsonRegressor : Averages of numbers with the same weights.
    sklearn.neighbors.KNeighborsClassifier : Class frequencies among a fixed number of neighbors.

    Notes
    -----
    Time and memory are those of `NadarayaWatsonRegressor` with one output for two classes, and one output per class for
    more.

    Weights count observations, exactly as repeated rows do: leave-one-out removes one observation of a row. Scale
    weights that are no counts to at most 1.

    Dates in X become seconds since 1970-01-01 UTC and durations become seconds, whatever their units; dates without a
    time zone are taken as UTC.

    References
    ----------
    G. W. Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78 (1950), 1-3.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sknw import NadarayaWatsonClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = NadarayaWatsonClassifier().fit(X[:, 2:], y)
    >>> print(model.predict([[1.5, 0.2], [4.9, 1.6]]))
    [0 1]
    >>> print(model.predict_proba([[4.9, 1.6]]).round(2))
    [[0.   0.77 0.23]]
    """

    _y_numeric = False
    _error_name = "leave-one-out Brier score"

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Choose the bandwidth and store the training data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training points. Dates and durations are converted to seconds.
        y : array-like of shape (n_samples,)
            Labels: strings, integers or booleans.
        sample_weight : array-like of shape (n_samples,), default=None
            Number of observations that each row represents, or precisions of at most 1. Rows of weight 0 are ignored.

        Returns
        -------
        NadarayaWatsonClassifier
            The fitted model.

        Raises
        ------
        ValueError
            If the data or a parameter is invalid.
        """
        return self._fit(X, y, sample_weight)

    def _encode(self, y, sample_weight):
        if y.dtype.kind == "O" and any(label is None for label in y):
            raise ValueError("Input y contains None, which is no label. Drop these rows, or give them a label.")
        check_classification_targets(y)
        y = np.array(y)
        classes = np.unique(y[sample_weight > 0])
        # Of two classes one output is enough: the other is its complement.
        Y = y[:, None] == (classes[1:] if len(classes) == 2 else classes)
        return y, Y.astype(np.float64), {"classes_": classes}

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Estimate the probability of each class for each query.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.

        Returns
        -------
        ndarray of shape (n_queries, n_classes), float64
            Probabilities in the order of `classes_`.

        Warns
        -----
        EmptyNeighborhoodWarning
            If some queries have no training point within the support of the kernel.
        """
        return self._probabilities(self._average(X))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict the most probable class of each query.

        Probabilities that differ by less than their accuracy, `rtol` and rounding, are tied. Of tied classes, the first
        of `classes_` is predicted.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            Queries.

        Returns
        -------
        ndarray of shape (n_queries,)
            Labels.

        Raises
        ------
        EmptyNeighborhoodError
            If some queries have no training point within the support of the kernel, and `empty` is "raise" or "nan".

        Warns
        -----
        EmptyNeighborhoodWarning
            The same for other values of `empty`.
        """
        return self._most_probable(self.predict_proba(X))

    def loo_predict_proba(self) -> Floats:
        """Estimate the class probabilities of each training row from all other rows.

        One observation is left out: a row of weight w keeps the weight w - 1, or none if w is less than 1. A row whose
        neighborhood is then empty is answered as `empty` says; for "nan" and "raise" by the class frequencies.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), float64
            Probabilities in the order of `classes_`.

        Raises
        ------
        ValueError
            If there are fewer than two observations.

        Examples
        --------
        >>> from sknw import NadarayaWatsonClassifier
        >>> NadarayaWatsonClassifier(float("inf")).fit([[0.0], [1.0], [2.0]], ["a", "b", "b"]).loo_predict_proba()
        array([[0. , 1. ],
               [0.5, 0.5],
               [0.5, 0.5]])
        """
        return self._probabilities(self._leave_one_out())

    def loo_predict(self) -> NDArray[Any]:
        """Predict the most probable class of each training row from all other rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels; of tied classes the first of `classes_`, as in `predict`.

        Raises
        ------
        ValueError
            If there are fewer than two observations.

        Examples
        --------
        >>> from sknw import NadarayaWatsonClassifier
        >>> NadarayaWatsonClassifier(float("inf")).fit([[0.0], [1.0], [2.0]], ["a", "b", "b"]).loo_predict()
        array(['b', 'a', 'a'], dtype='<U1')
        """
        return self._most_probable(self.loo_predict_proba())

    def _probabilities(self, means):
        """Turn averages into probabilities: in [0, 1], with the sum 1 up to rounding."""
        means = np.clip(means, 0, 1)  # approximation errors may lead outside
        if len(self.classes_) == 2:
            return np.hstack([1 - means, means])
        return means / means.sum(axis=1, keepdims=True)

    def _most_probable(self, probabilities):
        undefined = np.isnan(probabilities).any(axis=1)
        if undefined.any():
            raise EmptyNeighborhoodError(
                f"empty='nan' gives no class for {np.count_nonzero(undefined)} queries with an empty neighborhood. Use "
                "predict_proba, which returns NaN, or another value of empty."
            )
        tie = 2 * (self.rtol + _ROUNDING)
        return self.classes_[np.argmax(probabilities >= probabilities.max(axis=1, keepdims=True) - tie, axis=1)]
