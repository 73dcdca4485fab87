"""A process that compiles and one that reads the compiled code from disk compute the same bits."""

import os
import subprocess
import sys

import pytest

from sknw._core.kernels import KERNELS

DIGEST = """
import hashlib, sys
import numpy as np
from sknw import NadarayaWatsonRegressor, loo_error
kernel = sys.argv[1]
rng = np.random.default_rng(0)
digest = hashlib.sha256()
for d in (1, 3):
    X, new = rng.normal(size=(700, d)), rng.normal(size=(50, d))
    y = np.sin(X[:, 0]) + rng.normal(size=700)
    for algorithm in ("dense", "window"):
        model = NadarayaWatsonRegressor(0.3, kernel=kernel, algorithm=algorithm, n_jobs=1).fit(X, y)
        for result in (model.predict(new), model.loo_predict(), loo_error(X, y, 0.7, kernel=kernel, n_jobs=1)):
            digest.update(np.asarray(result).tobytes())
from sknw._core.runtime.disk_cache import DiskCache
modules = [vars(module) for name, module in sys.modules.items() if name.startswith("sknw._core.")]
functions = {f for names in modules for f in names.values() if isinstance(getattr(f, "_cache", None), DiskCache)}
print(digest.hexdigest(), sum(sum(f.stats.cache_misses.values()) for f in functions))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kernel", sorted(KERNELS))
def test_same_bits_from_disk(kernel, tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-W", "ignore", "-c", DIGEST, kernel]
    runs = [subprocess.run(command, env=environment, capture_output=True, text=True, check=True) for _ in range(2)]
    (first, compiled), (second, compiled_again) = (run.stdout.split() for run in runs)
    assert int(compiled) > 0
    assert int(compiled_again) == 0
    assert first == second
