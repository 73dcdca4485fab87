"""Class probabilities, labels and the Brier score of the classifier, against plain Python."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris
from sklearn.metrics import brier_score_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_param_validation, estimator_checks_generator

import naive
from sknw import EmptyNeighborhoodError, EmptyNeighborhoodWarning, NadarayaWatsonClassifier, NadarayaWatsonRegressor
from sknw._core import KERNELS

quiet = pytest.mark.filterwarnings("ignore::sknw.EmptyNeighborhoodWarning")
NAMES = np.array(["a", "b", "c", "d"])


def make(rng, n=50, d=2, n_classes=3):
    X = rng.normal(size=(n, d))
    y = NAMES[rng.integers(0, n_classes, size=n)]
    y[:n_classes] = NAMES[:n_classes]
    w = rng.integers(0, 4, size=n).astype(float)
    w[:n_classes] = 2.0
    return X, y, w


# In the default tier, the second estimator passes one check in five.
CHECKS = [
    pytest.param(
        estimator,
        check,
        id=f"{estimator}-{i}-{getattr(check, 'func', check).__name__}",
        marks=pytest.mark.exhaustive if k and i % 5 else (),
    )
    for k, instance in enumerate((NadarayaWatsonClassifier(), NadarayaWatsonClassifier(3.0, kernel="epanechnikov")))
    for i, (estimator, check) in enumerate(estimator_checks_generator(instance))
]


@pytest.mark.parametrize(("estimator", "check"), CHECKS)
def test_estimator(estimator, check):
    check(estimator)


def test_parameters_are_validated():
    check_param_validation("NadarayaWatsonClassifier", NadarayaWatsonClassifier())


@pytest.mark.thin
@quiet
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("n_classes", [1, 2, 3])
@pytest.mark.parametrize("empty", ["nearest", "mean", "nan"])
def test_probabilities_match_naive(rng, kernel, n_classes, empty):
    X, y, w = make(rng, n_classes=n_classes)
    Xq = rng.normal(size=(20, 2)) * 2
    model = NadarayaWatsonClassifier(0.6, kernel=kernel, empty=empty).fit(X, y, w)
    got = model.predict_proba(Xq)
    assert_array_equal(model.classes_, NAMES[:n_classes])
    args = X.tolist(), y.tolist(), w.tolist(), [1 / 0.6] * 2, kernel
    targets = naive.one_hot(y.tolist(), NAMES[:n_classes].tolist())
    for x, p in zip(Xq.tolist(), got, strict=True):
        [expected] = naive.predict_proba([x], *args, empty)
        bound = naive.error_bound(x, X.tolist(), targets, w.tolist(), [1 / 0.6] * 2, kernel)
        # The sum of the probabilities is one up to as many errors; dividing by it moves each by no more than these.
        assert_allclose(p, expected, rtol=0, atol=(1 + n_classes) * bound)


@quiet
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("kernel", ["gaussian", "epanechnikov"])
def test_leave_one_out_matches_naive(rng, n_classes, kernel):
    X, y, w = make(rng, n_classes=n_classes)
    model = NadarayaWatsonClassifier(0.6, kernel=kernel).fit(X, y, w)
    got = model.loo_predict_proba()
    targets = naive.one_hot(y.tolist(), NAMES[:n_classes].tolist())
    for i in range(len(X)):
        left, x, g = naive.without(w.tolist(), i), X[i].tolist(), [1 / 0.6] * 2
        [expected] = naive.predict([x], X.tolist(), targets, left, g, kernel)
        bound = naive.error_bound(x, X.tolist(), targets, left, g, kernel)
        assert_allclose(got[i], expected, rtol=0, atol=(1 + n_classes) * bound)
    assert_array_equal(model.loo_predict(), model.classes_[got.argmax(axis=1)])


@pytest.mark.parametrize("n_classes", [2, 3, 4])
def test_best_score_is_the_brier_score_over_the_number_of_classes(rng, n_classes):
    X, y, w = make(rng, n_classes=n_classes)
    y = np.where(X[:, 0] > 0.3, y, "a")
    w[y == "a"] += 1
    model = NadarayaWatsonClassifier().fit(X, y, w)
    # A mean of n terms of at most 1, each from probabilities that are right to some 1e-12.
    expected = naive.loo_brier(X.tolist(), y.tolist(), w.tolist(), (1 / model.bandwidth_).tolist(), "gaussian")
    assert_allclose(-model.best_score_, expected, rtol=1e-9)
    probabilities = model.loo_predict_proba()
    squares = (probabilities - (y[:, None] == model.classes_)) ** 2
    assert_allclose(-model.best_score_, np.average(squares.mean(axis=1), weights=w), rtol=1e-9)
    if len(model.classes_) == 2:
        score = brier_score_loss(y, probabilities[:, 1], sample_weight=w, pos_label="b")
        assert_allclose(-model.best_score_, score, rtol=1e-9)


@pytest.mark.parametrize("bandwidth", ["loo", "gradient", "aicc", "gcv", "scott"])
def test_bandwidth_is_that_of_the_regression_of_one_hot_targets(rng, bandwidth):
    X, y, _ = make(rng, n=60)
    y = np.where(X[:, 0] > 0.3, y, "a")
    model = NadarayaWatsonClassifier(bandwidth).fit(X, y)
    regression = NadarayaWatsonRegressor(bandwidth).fit(X, (y[:, None] == model.classes_).astype(float))
    assert_array_equal(model.bandwidth_, regression.bandwidth_)
    assert_array_equal(model.predict_proba(X).argmax(axis=1), regression.predict(X).argmax(axis=1))


def test_two_classes_are_one_regression(rng):
    X, y, _ = make(rng, n_classes=2)
    model = NadarayaWatsonClassifier(0.5).fit(X, y)
    p = NadarayaWatsonRegressor(0.5).fit(X, (y == "b").astype(float)).predict(X)
    assert_array_equal(model.predict_proba(X), np.column_stack([1 - p, p]))


def test_probabilities_sum_to_one(rng):
    X, y, w = make(rng, n=200, n_classes=4)
    p = NadarayaWatsonClassifier(0.2).fit(X, y, w).predict_proba(rng.normal(size=(300, 2)) * 9)
    assert (p >= 0).all()
    assert (p <= 1).all()
    assert_allclose(p.sum(axis=1), 1, rtol=4 * 2**-52)


@pytest.mark.parametrize("labels", [["b", "a"], [7, 3], [True, False], ["b", "a", "c"], [3.0, 2.0, 1.0]])
@pytest.mark.parametrize("rtol", [0.0, 1e-10])
def test_ties_are_decided_by_the_order_of_the_classes(labels, rtol):
    """One point of each class at distances that are equal, but not their squares and sums in floating point."""
    y = np.array(labels)
    angles = 0.1 + 2 * np.pi * np.arange(len(y)) / len(y)
    X = np.column_stack([np.cos(angles), np.sin(angles)])
    model = NadarayaWatsonClassifier(0.3, rtol=rtol).fit(X, y)
    assert_allclose(model.predict_proba([[0.0, 0.0]]), 1 / len(y), rtol=1e-12)
    assert_array_equal(model.predict([[0.0, 0.0]]), [min(labels)])
    assert_array_equal(model.predict(X), y)


def test_weights_equal_repetition(rng):
    X, y, w = make(rng)
    weighted = NadarayaWatsonClassifier().fit(X, y, w)
    counts = w.astype(int)
    repeated = NadarayaWatsonClassifier().fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    assert_allclose(weighted.bandwidth_, repeated.bandwidth_, rtol=1e-7)
    assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-7)


def test_a_class_of_weight_zero_is_no_class(rng):
    X, y, w = make(rng)
    w[y == "b"] = 0
    model = NadarayaWatsonClassifier(0.5).fit(X, y, w)
    assert_array_equal(model.classes_, ["a", "c"])
    kept = w > 0
    assert_array_equal(
        model.predict_proba(X), NadarayaWatsonClassifier(0.5).fit(X[kept], y[kept], w[kept]).predict_proba(X)
    )


def test_attention_weights_give_the_probabilities(rng):
    X, y, w = make(rng)
    model = NadarayaWatsonClassifier(0.5).fit(X, y, w)
    one_hot = (y[:, None] == model.classes_).astype(float)
    for queries, expected in ((X + 0.1, model.predict_proba(X + 0.1)), (None, model.loo_predict_proba())):
        assert_allclose(model.attention_weights(queries) @ one_hot, expected, atol=1e-12)
        assert_allclose(model.attention_weights(queries, top_k=len(X)) @ one_hot, expected, atol=1e-12)


def test_empty_neighborhoods():
    X, y = [[0.0], [1.0], [2.0]], ["a", "b", "b"]

    def model(empty):
        return NadarayaWatsonClassifier(0.5, kernel="epanechnikov", empty=empty).fit(X, y)

    far = [[9.0], [0.0]]
    with pytest.warns(EmptyNeighborhoodWarning, match="nearest"):
        assert_array_equal(model("nearest").predict(far), ["b", "a"])
    with pytest.warns(EmptyNeighborhoodWarning, match="mean"):
        assert_allclose(model("mean").predict_proba(far), [[1 / 3, 2 / 3], [1, 0]])
    with pytest.warns(EmptyNeighborhoodWarning, match="NaN"):
        assert_array_equal(model("nan").predict_proba(far), [[np.nan, np.nan], [1, 0]])
    with pytest.warns(EmptyNeighborhoodWarning), pytest.raises(EmptyNeighborhoodError, match="gives no class for 1 q"):
        model("nan").predict(far)
    with pytest.raises(EmptyNeighborhoodError, match="1 of 2"):
        model("raise").predict(far)


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        ([0.5, 1.5, 2.5], ValueError, "Unknown label type"),
        (["a", None, "b"], ValueError, "contains None"),
        ([0.0, np.nan, 1.0], ValueError, "Input y contains NaN"),
        ([0.0, np.inf, 1.0], ValueError, "Input y contains infinity"),
        ([[0, 1], [1, 0], [1, 1]], ValueError, "y should be a 1d array"),
        (np.ma.masked_equal([0, 1, 2], 2), TypeError, "y is a masked array"),
    ],
)
def test_labels_that_are_none(y, error, message):
    with pytest.raises(error, match=message):
        NadarayaWatsonClassifier(1.0).fit([[0.0], [1.0], [2.0]], y)


@pytest.mark.parametrize(
    "labels", [np.array([True, False]), np.array([5, -2]), pd.Series(["x", "y"], dtype="category")]
)
def test_types_of_labels(rng, labels):
    X, y = rng.normal(size=(20, 2)), np.resize(np.asarray(labels), 20)
    X[:, 0] += 9 * (y == y[0])
    model = NadarayaWatsonClassifier().fit(X, y)
    assert model.classes_.dtype == y.dtype
    assert model.predict(X).dtype == y.dtype
    assert model.score(X, y) == 1


def test_the_model_owns_its_labels(rng):
    X, y, _ = make(rng)
    model = NadarayaWatsonClassifier(0.5).fit(X, y)
    expected = y.copy()
    y[:] = "z"
    assert_array_equal(model.y_fit_, expected)


def test_with_scikit_learn():
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), NadarayaWatsonClassifier())
    assert cross_val_score(pipeline, X, y).mean() > 0.9
    assert cross_val_score(pipeline, X, y, scoring="neg_log_loss").mean() > -0.3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EmptyNeighborhoodWarning)
        search = GridSearchCV(pipeline, {"nadarayawatsonclassifier__kernel": ["gaussian", "biweight"]}).fit(X, y)
    assert search.best_score_ > 0.9
    copy = pickle.loads(pickle.dumps(search.best_estimator_))
    assert_array_equal(copy.predict_proba(X), search.predict_proba(X))


def test_report_names_the_brier_score(rng):
    X, y, _ = make(rng)
    report = NadarayaWatsonClassifier().fit(X, y).bandwidth_report()
    assert report.criterion == "leave-one-out Brier score"
    assert "leave-one-out Brier score" in str(report)
    assert_allclose(report.loo_r2, 1 - report.value / report.global_mean_value, rtol=1e-9)
