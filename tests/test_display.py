"""Displays: what they hold, what they draw, and that drawing again needs no computing."""

import inspect

import matplotlib
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknw import (
    AttentionDisplay,
    BandwidthDisplay,
    NadarayaWatsonClassifier,
    NadarayaWatsonRegressor,
    RegressionDisplay,
)
from sknw.datasets import make_sine

matplotlib.use("Agg")
import matplotlib.pyplot as plt

DISPLAYS = [AttentionDisplay, BandwidthDisplay, RegressionDisplay]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def model():
    return NadarayaWatsonRegressor().fit(*make_sine(random_state=0))


@pytest.fixture
def table(rng):
    return pd.DataFrame(rng.normal(size=(40, 2)), columns=["age", "size"])


@pytest.mark.parametrize("display", DISPLAYS)
def test_conventions(display):
    parameters = inspect.signature(display).parameters
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters.values())
    names = {name: object() for name in parameters}
    drawn = display(**names)
    assert vars(drawn) == names  # stored as they are, and nothing drawn
    assert "ax" in inspect.signature(display.plot).parameters


@pytest.mark.parametrize("display", DISPLAYS)
def test_drawing_on_given_axes_and_again(model, display):
    X, y = make_sine(random_state=0)
    figure, ax = plt.subplots()
    args = {AttentionDisplay: (X,), BandwidthDisplay: (), RegressionDisplay: (X, y)}[display]
    drawn = display.from_estimator(model, *args, ax=ax)
    assert drawn.ax_ is ax
    assert drawn.figure_ is figure
    again = drawn.plot()
    assert again is drawn
    assert drawn.ax_ is not ax


def test_heat_map(table):
    model = NadarayaWatsonRegressor(0.5).fit(table, table["age"])
    for sort_by, column in (("size", 1), (0, 0), (-1, 1)):
        display = AttentionDisplay.from_estimator(model, table[:9], sort_by=sort_by)
        assert display.feature_name == table.columns[column]
        lines, columns = np.argsort(table.to_numpy()[:9, column]), np.argsort(table.to_numpy()[:, column])
        assert_array_equal(display.attention, model.attention_weights(table[:9])[np.ix_(lines, columns)])
        assert_array_equal(display.im_.get_array(), display.attention)
        assert display.ax_.get_xlabel() == f"training row, by {table.columns[column]}"
        assert display.ax_.get_ylabel() == f"query, by {table.columns[column]}"
        assert display.colorbar_ is not None
    left_out = AttentionDisplay.from_estimator(model, colorbar=False, im_kw={"cmap": "Reds"})
    assert not np.diagonal(left_out.attention).any()
    assert left_out.colorbar_ is None
    assert left_out.im_.get_cmap().name == "Reds"
    unsorted = AttentionDisplay.from_estimator(model, table, sort_by=None)
    assert_array_equal(unsorted.attention, model.attention_weights(table))
    with pytest.raises(ValueError, match="no feature 'weight'; the features are"):
        AttentionDisplay.from_estimator(model, table, sort_by="weight")
    with pytest.raises(ValueError, match="no feature number 2; there are 2"):
        AttentionDisplay.from_estimator(model, table, sort_by=2)


def test_curve_of_the_search(rng):
    x = rng.uniform(size=60)
    y = np.sin(30 * x) + 0.3 * rng.normal(size=60)
    model = NadarayaWatsonRegressor().fit(x[:, None], y)
    display = BandwidthDisplay.from_estimator(model)
    assert display.chosen == model.bandwidth_[0]
    [marked] = display.chosen_.get_xdata()
    assert marked == model.bandwidth_[0]
    assert display.ax_.get_xscale() == "log"
    assert display.infinite_.get_ydata()[0] == model.cv_results_["criterion"][-1]
    assert_array_equal(display.line_.get_ydata(), model.cv_results_["criterion"][:-1])


def test_minima_of_a_search_are_marked():
    """All but the chosen one, and the global mean, which has a line of its own."""
    rng = np.random.default_rng(7)
    x = rng.uniform(size=50)
    model = NadarayaWatsonRegressor().fit(x[:, None], np.sin(30 * x) + 0.3 * rng.normal(size=50))
    display = BandwidthDisplay.from_estimator(model)
    h, low = model.cv_results_["bandwidth"][:, 0], model.cv_results_["local_minimum"]
    others = h[low & np.isfinite(h) & (np.abs(np.log(h / model.bandwidth_[0])) > 1e-3)]
    assert len(others) >= 2
    assert_array_equal(display.minima_.get_xdata(), others)


def test_other_minima_are_marked():
    h, criterion = np.array([1.0, 2, 4, 8, 16, 32, np.inf]), np.array([5.0, 3, 4, 1, 2, 1.5, 3])
    low = np.array([False, True, False, True, False, True, False])
    display = BandwidthDisplay(criterion=criterion, bandwidth=h, chosen=8.0, local_minimum=low).plot()
    assert_array_equal(display.minima_.get_xdata(), [2, 32])
    assert_array_equal(display.chosen_.get_xdata(), [8])
    assert BandwidthDisplay(criterion=criterion, bandwidth=h, chosen=8.0).plot().minima_ is None
    nothing = BandwidthDisplay(criterion=criterion, bandwidth=h, chosen=np.inf).plot()
    assert nothing.chosen_ is None
    assert "global mean (chosen)" in nothing.infinite_.get_label()


@pytest.mark.parametrize("family", ["spherical", "diag", "full"])
def test_curve_of_each_family(table, family):
    model = NadarayaWatsonRegressor(bandwidth_type=family).fit(table, np.sin(2 * table["age"]))
    display = BandwidthDisplay.from_estimator(model, feature="size")
    h = np.asarray(model.bandwidth_)
    assert display.chosen == {"spherical": h, "diag": h.flat[-1], "full": h.flat[-1]}[family]
    assert display.ax_.get_xlabel() == ("bandwidth" if family == "spherical" else "bandwidth of size")


def test_curve_of_the_descent(table):
    model = NadarayaWatsonRegressor("gradient").fit(table, np.sin(2 * table["age"]))
    display = BandwidthDisplay.from_estimator(model, kind="descent")
    assert_array_equal(display.line_.get_ydata(), model.loss_curve_)
    assert display.ax_.get_xlabel() == "iteration"
    assert BandwidthDisplay.from_estimator(model).chosen is None
    with pytest.raises(ValueError, match="fitted with bandwidth='gradient'"):
        BandwidthDisplay.from_estimator(NadarayaWatsonRegressor().fit(table, table["age"]), kind="descent")
    with pytest.raises(ValueError, match="fitted with bandwidth='loo', 'gradient', 'aicc' or 'gcv'"):
        BandwidthDisplay.from_estimator(NadarayaWatsonRegressor(1.0).fit(table, table["age"]))
    with pytest.raises(ValueError, match="kind must be 'search', 'descent' or 'features'; got 'loss'"):
        BandwidthDisplay.from_estimator(model, kind="loss")


def test_curve_over_the_data(model):
    X, y = make_sine(random_state=0)
    display = RegressionDisplay.from_estimator(
        model, X, y, truth=np.sin, n_grid=50, name="fit", line_kw={"color": "C5"}
    )
    assert_array_equal(display.line_[0].get_xdata(), np.linspace(X.min(), X.max(), 50))
    assert_array_equal(display.line_[0].get_ydata(), model.predict(display.grid[:, None]))
    assert_array_equal(display.scatter_[0].get_offsets(), np.column_stack([X[:, 0], y]))
    assert_array_equal(display.truth_[0].get_ydata(), np.sin(display.grid))
    assert display.line_[0].get_color() == "C5"
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == ["truth", "fit"]
    assert RegressionDisplay.from_estimator(model, X).scatter_ is None


def test_curves_of_several_outputs_and_data_frames(rng):
    X = pd.DataFrame({"age": rng.uniform(size=30)})
    y = np.column_stack([X["age"], np.cos(3 * X["age"])])
    display = RegressionDisplay.from_estimator(NadarayaWatsonRegressor().fit(X, y), X, y)
    assert len(display.line_) == len(display.scatter_) == 2
    with pytest.raises(ValueError, match=r"expected X of shape \(n_samples, 1\), got \(30, 2\)"):
        RegressionDisplay.from_estimator(NadarayaWatsonRegressor(1.0).fit(y, X["age"]), y)


def test_relevance_of_features(rng):
    X = pd.DataFrame(rng.uniform(size=(80, 3)), columns=["a", "b", "c"])
    y = np.sin(6 * X["a"]) + 0.1 * rng.normal(size=80)
    model = NadarayaWatsonRegressor("gradient", drop_irrelevant=True).fit(X, y)
    display = BandwidthDisplay.from_estimator(model, kind="features")
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["a", "b", "c"]
    widths = [bar.get_width() for bar in display.bars_]
    assert widths == display.relevance.tolist()
    assert widths[0] > 1
    assert (np.array(widths) == 0).tolist() == np.isinf(model.bandwidth_).tolist()
    assert display.line_ is None
    red = display.plot(bar_kw={"color": "red"})
    assert red.bars_[0].get_facecolor() == (1, 0, 0, 1)


def test_criterion_by_its_name(rng):
    x = rng.uniform(size=40)
    display = BandwidthDisplay.from_estimator(NadarayaWatsonRegressor("aicc").fit(x[:, None], np.sin(6 * x)))
    assert display.ax_.get_ylabel() == "AICc"


def test_small_weights_of_many_rows_are_visible():
    X, y = make_sine(400, random_state=0)
    display = AttentionDisplay.from_estimator(NadarayaWatsonRegressor().fit(X, y), X)
    largest = display.attention.max()
    # A hundredth of the largest weight has a tenth of the range of colors.
    np.testing.assert_allclose(display.im_.norm([0, largest / 100, largest]), [0, 0.1, 1], rtol=1e-12)
    assert len(display.ax_.get_xticks()) <= 6
    unsorted = AttentionDisplay.from_estimator(NadarayaWatsonRegressor().fit(X, y), X, sort_by=None)
    inside = [tick for tick in unsorted.ax_.get_xticks() if 0 <= tick < 400]
    assert 2 <= len(inside) <= 6
    linear = AttentionDisplay.from_estimator(NadarayaWatsonRegressor().fit(X, y), X, im_kw={"vmin": 0, "vmax": 1})
    np.testing.assert_allclose(linear.im_.norm([0, 0.25, 1]), [0, 0.25, 1])


def test_the_grid_follows_the_bandwidth():
    X = np.linspace(0, 1, 50)[:, None]
    for h, n in ((1.0, 400), (1 / 1000, 8001), (np.inf, 400)):
        model = NadarayaWatsonRegressor(h).fit(X, X[:, 0])
        grid = RegressionDisplay.from_estimator(model, X).grid
        assert len(grid) == n
        assert np.diff(grid).max() <= h / 8 * (1 + 1e-9)
    scaled = make_pipeline(StandardScaler(), NadarayaWatsonRegressor(0.01)).fit(1e6 * X, X[:, 0])
    grid = RegressionDisplay.from_estimator(scaled, 1e6 * X).grid
    assert np.diff(grid).max() <= 0.01 * 1e6 * X.std() / 8 * (1 + 1e-9)
    assert len(RegressionDisplay.from_estimator(NadarayaWatsonRegressor(1e-9).fit(X, X[:, 0]), X).grid) <= 100_001


def test_axes_are_labeled_by_names(rng):
    X, y = pd.DataFrame({"age": rng.uniform(size=30)}), pd.Series(rng.normal(size=30), name="height")
    for estimator in (NadarayaWatsonRegressor(0.1), make_pipeline(StandardScaler(), NadarayaWatsonRegressor(0.1))):
        _, ax = plt.subplots()
        display = RegressionDisplay.from_estimator(estimator.fit(X, y), X, y, ax=ax)
        assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("age", "height")
        assert display.ax_ is ax
        assert display.name == "NadarayaWatsonRegressor"
    unnamed = RegressionDisplay.from_estimator(NadarayaWatsonRegressor(0.1).fit(X.to_numpy(), y), X.to_numpy())
    assert (unnamed.ax_.get_xlabel(), unnamed.ax_.get_ylabel()) == ("x", "y")


def test_pipelines_and_searches(table):
    y = np.sin(2 * table["age"])
    inner = NadarayaWatsonRegressor().fit(StandardScaler().fit_transform(table), y)
    scaled = make_pipeline(StandardScaler(), NadarayaWatsonRegressor())
    search = GridSearchCV(scaled, {"nadarayawatsonregressor__bandwidth_type": ["diag"]})
    for estimator in (scaled.fit(table, y), search.fit(table, y)):
        for kind in ("search", "features"):
            display = BandwidthDisplay.from_estimator(estimator, kind=kind)
            expected = BandwidthDisplay.from_estimator(inner, kind=kind)
            assert_array_equal(display.criterion, expected.criterion)
            assert_array_equal(display.relevance, expected.relevance)
        heat = AttentionDisplay.from_estimator(estimator, table[:5], sort_by=None)
        scaler = StandardScaler().fit(table)
        assert_array_equal(heat.attention, inner.attention_weights(scaler.transform(table[:5])))


def test_a_criterion_over_decades_has_a_logarithmic_axis():
    h, criterion = np.array([1.0, 2, 4, 8, np.inf]), np.array([3.0, 0.11, 0.1, 0.2, 20.0])
    display = BandwidthDisplay(criterion=criterion, bandwidth=h, chosen=4.0).plot()
    assert display.ax_.get_yscale() == "log"
    assert display.ax_.get_ylabel() == "leave-one-out error, minus its minimum 0.1"
    np.testing.assert_allclose(display.line_.get_ydata(), [2.9, 0.01, 0.005, 0.1], rtol=1e-9)
    np.testing.assert_allclose(display.infinite_.get_ydata()[0], 19.9)
    assert display.chosen_.get_ydata()[0] == display.line_.get_ydata()[2]
    for values in (criterion + 1, criterion - 0.5, np.zeros(5), np.full(5, np.nan)):
        flat = BandwidthDisplay(criterion=values, bandwidth=h).plot()
        assert flat.ax_.get_yscale() == "linear"
        assert_array_equal(flat.line_.get_ydata(), values[:-1])


@pytest.mark.parametrize("bandwidth", ["loo", "gradient", "aicc"])
def test_displays_of_a_single_observation(bandwidth):
    model = NadarayaWatsonRegressor(bandwidth).fit([[1.0]], [2.0])
    assert BandwidthDisplay.from_estimator(model).ax_.get_xlabel() == "bandwidth"
    assert_array_equal(BandwidthDisplay.from_estimator(model, kind="features").relevance, [0])
    assert_array_equal(AttentionDisplay.from_estimator(model, [[3.0]]).attention, [[1]])
    assert (RegressionDisplay.from_estimator(model, [[1.0]], [2.0]).prediction == 2).all()
    with pytest.raises(ValueError, match="at least two observations"):
        AttentionDisplay.from_estimator(model)


@pytest.mark.parametrize("value", [np.array([1.0, 2.0]), "no such", None])
def test_displays_and_reports_show_the_fit_after_set_params(table, value):
    model = NadarayaWatsonRegressor().fit(table, np.sin(2 * table["age"]))
    report, curve = model.bandwidth_report(), BandwidthDisplay.from_estimator(model)
    model.set_params(bandwidth=value, bandwidth_type=value, kernel=value, shrinkage=value)
    assert str(model.bandwidth_report()) == str(report)
    again = BandwidthDisplay.from_estimator(model)
    assert (again.criterion_name, again.chosen) == (curve.criterion_name, curve.chosen)


def test_dates_on_axes():
    days = np.datetime64("2020-01-01") + np.arange(40)
    frame, y = pd.DataFrame({"when": days.astype("M8[us]")}), np.sin(np.arange(40) / 5)
    model = NadarayaWatsonRegressor().fit(frame, y)
    curve = RegressionDisplay.from_estimator(model, frame, y)
    assert curve.grid.dtype == "M8[us]"
    assert (curve.grid[0], curve.grid[-1]) == (days[0], days[-1])
    np.testing.assert_allclose(curve.prediction[[0, -1]], model.predict(frame.iloc[[0, -1]]), rtol=1e-12)
    heat = AttentionDisplay.from_estimator(model)
    assert [label.get_text() for label in heat.ax_.get_xticklabels()][:1] == ["2020-01-01"]
    assert BandwidthDisplay.from_estimator(model).ax_.get_xlabel() == "bandwidth (seconds)"
    spans = pd.DataFrame({"age": days - days[0]})
    lengths = RegressionDisplay.from_estimator(NadarayaWatsonRegressor(1e5).fit(spans, y), spans, y)
    assert lengths.ax_.get_xlabel() == "age (seconds)"
    assert lengths.grid[-1] == 39 * 86400


def test_displays_of_a_classifier():
    X, y = load_iris(return_X_y=True)
    model = NadarayaWatsonClassifier().fit(X[:, 2:], y)
    assert BandwidthDisplay.from_estimator(model).ax_.get_ylabel().startswith("leave-one-out Brier score")
    assert_array_equal(AttentionDisplay.from_estimator(model, X[:3, 2:]).attention.shape, (3, 150))
    with pytest.raises(ValueError, match="draws regressors; got a NadarayaWatsonClassifier"):
        RegressionDisplay.from_estimator(model, X[:, 2:3])
