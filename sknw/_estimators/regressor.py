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
