"""What it takes to start: the import, and the first fit and predict with and without compiled code on disk.

Each number is the median of three fresh processes.

    python benchmarks/first_use.py
"""

import os
import statistics
import subprocess
import sys
import tempfile

#: Whoever uses a scikit-learn estimator has these imported already.
BEFORE = "import time, sklearn.base, sklearn.utils.validation, scipy.optimize, scipy.sparse"

IMPORT = f"""
{BEFORE}
start = time.perf_counter()
import sknw
print(time.perf_counter() - start)
"""

FIT_AND_PREDICT = f"""
{BEFORE}
from sknw import NadarayaWatsonRegressor
from sknw.datasets import make_sine
X, y = make_sine(100, random_state=0)
start = time.perf_counter()
NadarayaWatsonRegressor().fit(X, y).predict(X)
print(time.perf_counter() - start)
"""


def seconds(code, cache):
    """Run code in a fresh process, with numba's cache in the folder `cache`; what it prints is the time."""
    environment = os.environ | {"NUMBA_CACHE_DIR": cache}
    run = subprocess.run([sys.executable, "-c", code], env=environment, check=True, stdout=subprocess.PIPE)
    return float(run.stdout)


def main():
    cold, warm = [], []
    with tempfile.TemporaryDirectory() as cache:
        seconds(IMPORT, cache)  # has the bytecode written and the files read from disk
        imports = [seconds(IMPORT, cache) for _ in range(3)]
    for _ in range(3):
        with tempfile.TemporaryDirectory() as cache:
            cold.append(seconds(FIT_AND_PREDICT, cache))
            warm.append(seconds(FIT_AND_PREDICT, cache))
    print("| first use | seconds | asked, at most |")
    print("|---|---:|---:|")
    print(f"| import sknw, on top of scikit-learn and SciPy | {statistics.median(imports):.2f} | 0.1 |")
    print(f"| first fit and predict, 100 rows, nothing compiled yet | {statistics.median(cold):.2f} | 1.5 |")
    print(f"| first fit and predict, 100 rows, compiled code on disk | {statistics.median(warm):.2f} | 0.5 |")


if __name__ == "__main__":
    main()
