"""Progress as scikit-learn's callbacks see it."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknw import NadarayaWatsonRegressor

callback = pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")


class Recorder:
    """Keeps what it is told; stops after some iterations."""

    def __init__(self, most=None):
        self.most, self.begun, self.ended = most, [], []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None):
        self.begun.append((context.task_name, X, y, metadata))

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.ended.append((context.task_name, fitted_estimator))
        return self.most is not None and len(self.ended) > self.most


@pytest.fixture
def data(rng):
    X = rng.uniform(size=(60, 3))
    return X, np.sin(6 * X[:, 0]) + X[:, 1] + 0.2 * rng.normal(size=60)


def test_tasks_of_a_descent(data):
    X, y = data
    w = np.r_[0.0, np.ones(59)]
    recorder = Recorder()
    model = NadarayaWatsonRegressor("gradient", shrinkage=0).set_callbacks(recorder).fit(X, y, w)
    names = [name for name, _ in recorder.ended]
    assert names[0] == "search"
    assert set(names[1:-1]) == {"iteration"}
    assert names[-1] == "fit"
    assert len(names) - 2 >= model.n_iter_
    assert [name for name, *_ in recorder.begun] == ["fit", *names[:-1]]
    for _, X_told, y_told, metadata in recorder.begun:
        assert X_told.shape == X.shape
        assert y_told is not None
        assert metadata["sample_weight"] is not None
    # Each task has an estimator that works, with the bandwidth of that moment.
    errors = [((fitted.loo_predict() - y)[1:] ** 2).mean() for _, fitted in recorder.ended[:-1]]
    assert_allclose(errors[0], model.loss_curve_[0], rtol=1e-10)
    assert_allclose(min(errors), min(model.loss_curve_), rtol=1e-10)
    assert fitted_is_apart(recorder, model)


def fitted_is_apart(recorder, model):
    return all(fitted is not model for _, fitted in recorder.ended)


@pytest.mark.parametrize(("bandwidth", "tasks"), [("loo", ["search", "fit"]), ("scott", ["fit"]), (0.3, ["fit"])])
def test_tasks_of_other_choices(data, bandwidth, tasks):
    recorder = Recorder()
    NadarayaWatsonRegressor(bandwidth).set_callbacks(recorder).fit(*data)
    assert [name for name, _ in recorder.ended] == tasks


@pytest.mark.parametrize("most", [0, 3])
@pytest.mark.parametrize("family", ["diag", "full"])
def test_a_callback_may_stop_a_descent(data, most, family):
    model = NadarayaWatsonRegressor("gradient", bandwidth_type=family, shrinkage=0).set_callbacks(Recorder(most))
    model.fit(*data)
    assert model.n_iter_ <= max(1, most)
    assert model.best_score_ >= NadarayaWatsonRegressor().fit(*data).best_score_
    assert np.isfinite(model.predict(data[0])).all()


def test_scoring_monitor(data):
    monitor = callback.ScoringMonitor(scoring="r2")
    model = NadarayaWatsonRegressor("gradient", shrinkage=0).set_callbacks(monitor).fit(*data)
    scores = [line["r2"] for line in monitor.get_logs().data]
    assert len(scores) >= 1 + model.n_iter_
    assert all(0 < score < 1 for score in scores)
    assert_allclose(pickle.loads(pickle.dumps(model)).predict(data[0]), model.predict(data[0]))


def test_names_of_features_reach_a_callback(data, recwarn):
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(data[0], columns=[f"column {i}" for i in range(data[0].shape[1])])
    monitor = callback.ScoringMonitor(scoring="r2")
    NadarayaWatsonRegressor("gradient", shrinkage=0).set_callbacks(monitor).fit(X, data[1])
    assert len(monitor.get_logs().data) > 1
    assert not [str(warning.message) for warning in recwarn if "feature names" in str(warning.message)]


def test_inside_others(data):
    pytest.importorskip("rich")
    X, y = data
    make = NadarayaWatsonRegressor("gradient", shrinkage=0)
    search = GridSearchCV(make, {"kernel": ["gaussian", "biweight"]}, cv=2)
    search.set_callbacks(callback.ProgressBar(max_propagation_depth=2), callback.ScoringMonitor(scoring="r2"))
    pipeline = make_pipeline(StandardScaler(), clone(make))
    pipeline.set_callbacks(callback.ProgressBar(), callback.ScoringMonitor(scoring="r2"))
    for estimator in (search, pipeline, clone(make).set_callbacks(callback.ProgressBar())):
        estimator.fit(X, y)
        assert estimator.score(X, y) > 0.5


def test_without_callbacks_in_scikit_learn():
    """As before version 1.9."""
    code = (
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *args: None if name == 'sklearn.callback' else find(name, *args)\n"
        "import numpy as np; from sknw import NadarayaWatsonRegressor\n"
        "x = np.linspace(0, 1, 30)\n"
        "X = np.column_stack([x, x[::-1] ** 2])\n"
        "model = NadarayaWatsonRegressor('gradient', verbose=1, shrinkage=0).fit(X, np.sin(6 * x))\n"
        "print(hasattr(model, 'set_callbacks'), model.score(X, np.sin(6 * x)) > 0.9)"
    )
    out = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True).stdout
    assert "leave-one-out error" in out
    assert out.endswith("False True\n")
