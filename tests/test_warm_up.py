import subprocess
import sys

import pytest

import sknw

NOTHING_LEFT = """
import sys, warnings
import numpy as np, sknw
from sknw._core.runtime.disk_cache import DiskCache
d, kernel = int(sys.argv[1]), sys.argv[2]
sknw.warm_up(d, kernel=kernel)
compiled = []
DiskCache.load_overload, load = lambda *args: compiled.append(args[0]._name) or load(*args), DiskCache.load_overload
X = np.random.default_rng(0).normal(size=(300, d))
warnings.simplefilter("ignore")
for algorithm in ("auto", "dense", "window"):
    model = sknw.NadarayaWatsonRegressor(kernel=kernel, algorithm=algorithm).fit(X, X[:, 0])
    model.predict(X), model.predict(X[:3] + 100), model.loo_predict(), model.attention_weights(X)
    model.set_params(bandwidth="gradient", shrinkage=0, max_iter=2).fit(X, X[:, 0])
sknw.NadarayaWatsonRegressor("gradient", bandwidth_type="full", shrinkage=0, max_iter=2, kernel=kernel).fit(X, X[:, 0])
for y in (X[:, 0], X[:, [0, 0]]):
    for h in (0.02, 0.5, 5.0):
        model = sknw.NadarayaWatsonRegressor(h, kernel=kernel, algorithm="dense").fit(X.astype(np.float32), y)
        model.predict(X), model.predict(X.astype(np.float32)), model.loo_predict()
X = np.random.default_rng(1).normal(size=(5000, d))
sknw.NadarayaWatsonRegressor(kernel=kernel).fit(X, X[:, 0])
print(compiled)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("d", "kernel"), [(1, "epanechnikov"), (4, "gaussian")])
def test_nothing_is_left_to_compile(d, kernel):
    command = [sys.executable, "-W", "error", "-c", NOTHING_LEFT, str(d), kernel]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("arguments", [(0,), (1.5,), (1, "gauss"), (1, lambda s: s)])
def test_arguments(arguments):
    with pytest.raises(ValueError, match=r"The '(n_features|kernel)' parameter of warm_up must be"):
        sknw.warm_up(*arguments)
