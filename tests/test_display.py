"""Displays: what they hold, what they draw, and that drawing again needs no computing."""

import inspect

import matplotlib
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from sknw import AttentionDisplay, BandwidthDisplay, NadarayaWatsonRegressor, RegressionDisplay
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
    """All but the chosen one, and averages over everyone, which have a line of their own."""
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
    assert "average of all (chosen)" in nothing.infinite_.get_label()


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
