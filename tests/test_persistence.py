"""Models that are saved, copied, and loaded elsewhere."""

import pathlib
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import sknw
from sknw import InconsistentVersionWarning, NadarayaWatsonRegressor
from sknw.datasets import make_sine

EXAMPLE = pathlib.Path(__file__).parents[1] / "docs" / "examples" / "save_and_load.py"


@pytest.fixture(scope="module")
def model():
    X, y = make_sine(200, random_state=0)
    return NadarayaWatsonRegressor().fit(X, y, np.r_[np.zeros(10), np.ones(190)])


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(model, protocol):
    copy = pickle.loads(pickle.dumps(model, protocol=protocol))
    queries = np.linspace(-1, 6, 50)[:, None]
    assert_array_equal(copy.predict(queries), model.predict(queries))
    assert_array_equal(copy.loo_predict(), model.loo_predict())
    assert_array_equal(copy.attention_weights(), model.attention_weights())


def test_pickle_of_an_unfitted_model():
    copy = pickle.loads(pickle.dumps(NadarayaWatsonRegressor("scott", kernel="linear")))
    assert copy.get_params() == NadarayaWatsonRegressor("scott", kernel="linear").get_params()


def test_version_stamp(model, monkeypatch):
    state = pickle.dumps(model)
    monkeypatch.setattr("sknw._estimators.base.__version__", "99.0")
    with pytest.warns(InconsistentVersionWarning, match=rf"saved by sknw {sknw.__version__} .* loaded by sknw 99\.0"):
        pickle.loads(state)
    assert "_sknw_version" not in vars(model)


@pytest.mark.parametrize("mmap_mode", [None, "r"])
def test_joblib(model, mmap_mode, tmp_path):
    joblib.dump(model, tmp_path / "model.joblib")
    copy = joblib.load(tmp_path / "model.joblib", mmap_mode=mmap_mode)
    assert isinstance(copy.X_fit_, np.memmap) == (mmap_mode == "r")
    queries = np.linspace(-1, 6, 50)[:, None]
    assert_array_equal(copy.predict(queries), model.predict(queries))
    assert_array_equal(copy.loo_predict(), model.loo_predict())


def test_fit_on_memory_mapped_data(tmp_path):
    X, y = make_sine(100, random_state=0)
    joblib.dump((X, y), tmp_path / "data.joblib")
    mapped = joblib.load(tmp_path / "data.joblib", mmap_mode="r")
    assert_array_equal(
        NadarayaWatsonRegressor().fit(*mapped).predict(mapped[0]), NadarayaWatsonRegressor().fit(X, y).predict(X)
    )


@pytest.mark.slow
def test_two_processes(tmp_path):
    """The example: one process fits and saves, another loads and predicts."""
    path = tmp_path / "model.joblib"

    def run(*arguments):
        command = [sys.executable, str(EXAMPLE), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout

    run("fit", path)
    assert path.exists()
    loaded = joblib.load(path)
    printed = run("predict", path, 0.5, 2.25, 17)
    assert [float(line) for line in printed.split()] == loaded.predict([[0.5], [2.25], [17.0]]).tolist()
