"""What happens between processes, threads and signals: real ones. Wherever numba's cache is, the answers are right."""

import multiprocessing
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.model_selection import GridSearchCV

import naive
import sknw
from sknw import NadarayaWatsonRegressor
from sknw._core.every_pair import tiles as _tiles

PACKAGE = pathlib.Path(sknw.__file__).parent
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


@pytest.fixture
def many_blocks(monkeypatch):
    """Blocks of 64 queries, so that small data keep threads busy."""
    monkeypatch.setattr(_tiles, "_WORK_PER_BLOCK", 1)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2))
    return X, np.sin(2 * X[:, 0]) + 0.1 * rng.normal(size=400)


def answers(X, y):
    model = NadarayaWatsonRegressor(n_jobs=3).fit(X, y)
    return model.bandwidth_, model.predict(X), model.loo_predict()


def same(one, other):
    """To the precision of a search, 1e-9: another process may have compiled loops that round differently."""
    return all(np.allclose(a, b, rtol=1e-8, atol=1e-8) for a, b in zip(one, other, strict=True))


# Processes that begin with what this one has --------------------------------------------------------------------------


def answer_into(queue, X, y):
    queue.put(answers(X, y))


@needs_fork
def test_fork_after_use(data, many_blocks):
    expected = answers(*data)
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if same(answers(*data), expected) else 1)
            finally:
                os._exit(2)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert same(answers(*data), expected)


@needs_fork
def test_fork_while_threads_work(data, many_blocks):
    """A child inherits neither the threads nor what they are about."""
    X, y = data
    expected = answers(X, y)
    stop, model = threading.Event(), NadarayaWatsonRegressor(0.3, n_jobs=3).fit(X, y)

    def work():
        while not stop.is_set():
            model.predict(X)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        codes = []
        for _ in range(5):
            child = os.fork()
            if child == 0:
                try:
                    os._exit(0 if same(answers(X, y), expected) else 1)
                finally:
                    os._exit(2)
            codes.append(os.waitpid(child, 0)[1])
    finally:
        stop.set()
        thread.join()
    assert codes == [0] * 5


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(data, many_blocks, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this system")
    expected = answers(*data)
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=answer_into, args=(queue, *data))
    child.start()
    got = queue.get(timeout=120)
    child.join(timeout=60)
    assert child.exitcode == 0
    assert same(got, expected)


@pytest.mark.slow
def test_loky(data):
    expected = answers(*data)
    for got in joblib.Parallel(n_jobs=2)(joblib.delayed(answers)(*data) for _ in range(4)):
        assert same(got, expected)


@pytest.mark.slow
def test_grid_search(data):
    X, y = data
    scores = []
    for n_jobs in (1, 2):
        search = GridSearchCV(NadarayaWatsonRegressor(), {"bandwidth": ["loo", 0.2, 0.4]}, cv=3, n_jobs=n_jobs)
        scores.append(search.fit(X, y).cv_results_["mean_test_score"])
    assert_array_equal(scores[0], scores[1])


def test_several_threads_call_at_once(data, many_blocks):
    expected, got = answers(*data), [None] * 6

    def call(i):
        got[i] = answers(*data)

    threads = [threading.Thread(target=call, args=(i,)) for i in range(len(got))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive()
    assert all(same(each, expected) for each in got)


# Processes with a cache of their own ----------------------------------------------------------------------------------

ANSWER = """
import sys
import numpy as np
from sknw import NadarayaWatsonRegressor
x = np.arange(8.0)[:, None]
print(*NadarayaWatsonRegressor(0.9, n_jobs=1).fit(x, x[:, 0] ** 2).predict(x + 0.25).tolist())
from sknw._core.runtime.disk_cache import DiskCache
modules = [vars(module) for name, module in sys.modules.items() if name.startswith("sknw._core.")]
functions = {f for names in modules for f in names.values() if isinstance(getattr(f, "_cache", None), DiskCache)}
stats = [f.stats for f in functions]
print(sum(sum(s.cache_hits.values()) for s in stats), sum(sum(s.cache_misses.values()) for s in stats))
"""


def expected(h=0.9):
    x = np.arange(8.0)[:, None]
    return np.array(naive.predict(x + 0.25, x, x**2, np.ones(8), naive.inverse(h, 1), "gaussian"))[:, 0]


@pytest.fixture
def copy(tmp_path):
    """A copy of the package that nobody has compiled, and an environment in which all caches are in its folder."""
    shutil.copytree(PACKAGE, tmp_path / "site" / "sknw", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def start(copy, code=ANSWER, **environment):
    names = ("NUMBA_CACHE_DIR", "SKNW_NUMBA_CACHE")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    kept |= {"PYTHONPATH": str(copy / "site"), "XDG_CACHE_HOME": str(copy / "user"), "HOME": str(copy / "home")}
    kept |= {"PYTHONDONTWRITEBYTECODE": "1"} | environment
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.Popen(command, cwd=copy, env=kept, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process, h=0.9):
    """Asserts that the answers are right, and tells where the code came from."""
    with process:
        out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    assert err == ""
    predictions, counts = out.splitlines()
    np.testing.assert_allclose(np.array(predictions.split(), dtype=float), expected(h), rtol=1e-13)
    from_disk, compiled = map(int, counts.split())
    assert (from_disk > 0) != (compiled > 0)
    return FROM_DISK if from_disk else COMPILED


FROM_DISK, COMPILED = "from disk", "compiled"


def entries(copy):
    return sorted(copy.rglob("*.sknw"))


@pytest.mark.slow
def test_the_second_process_compiles_nothing(copy):
    assert finish(start(copy)) == COMPILED
    beside = copy / "site" / "sknw" / "_core" / "__pycache__"
    assert {entry.parent for entry in entries(copy)} == {beside}
    assert finish(start(copy)) == FROM_DISK
    # Neither does one that may not write there, nor anywhere else.
    for folder in ("user", "home"):
        (copy / folder).write_text("not a folder")
    beside.chmod(0o555)
    assert finish(start(copy)) == FROM_DISK


@pytest.mark.slow
def test_damaged_files(copy):
    assert finish(start(copy)) == COMPILED
    whole = {entry: entry.read_bytes() for entry in entries(copy)}
    for damage in (lambda content: b"", lambda content: content[:1000]):
        for entry, content in whole.items():
            entry.write_bytes(damage(content))
        assert finish(start(copy)) == COMPILED
    assert finish(start(copy)) == FROM_DISK


@pytest.mark.slow
def test_no_folder_for_bytecode(copy):
    """As in a read-only installation, in which not even root can make a folder."""
    (copy / "site" / "sknw" / "_core" / "__pycache__").write_text("not a folder")
    assert finish(start(copy)) == COMPILED
    assert {entry.parents[1] for entry in entries(copy)} == {copy / "user"}
    assert finish(start(copy)) == FROM_DISK


@pytest.mark.slow
def test_no_folder_at_all(copy):
    for folder in ("site/sknw/_core/__pycache__", "user", "home"):
        (copy / folder).write_text("not a folder")
    assert finish(start(copy)) == COMPILED
    assert not entries(copy)


@pytest.mark.slow
def test_folder_of_numba_and_switch(copy):
    assert finish(start(copy, NUMBA_CACHE_DIR=str(copy / "here"))) == COMPILED
    assert {entry.parents[1] for entry in entries(copy)} == {copy / "here"}
    assert finish(start(copy, NUMBA_CACHE_DIR=str(copy / "here"), SKNW_NUMBA_CACHE="0")) == COMPILED


@pytest.mark.slow
def test_two_processes_compile_at_once(copy):
    processes = [start(copy) for _ in range(2)]
    assert [finish(process) for process in processes] == [COMPILED] * 2
    assert len(entries(copy)) == len({entry.name for entry in entries(copy)}) > 0
    assert not list(copy.rglob("*.sknw.*"))
    assert finish(start(copy)) == FROM_DISK


LINE = "            t = pairs.A[i, k] - pairs.B[k, j]\n"


@pytest.mark.slow
def test_an_edited_helper(copy):
    """In a file of its own, which numba does not look at."""
    assert finish(start(copy)) == COMPILED
    before = entries(copy)
    helper = copy / "site" / "sknw" / "_core" / "every_pair" / "distances.py"
    source = helper.read_text()
    assert source.count(LINE) == 1
    helper.write_text(source.replace(LINE, LINE + "            t *= 2.0\n"))  # half the bandwidth
    assert finish(start(copy), h=0.45) == COMPILED
    assert not set(entries(copy)) & set(before)
    assert finish(start(copy), h=0.45) == FROM_DISK


# Ctrl-C ---------------------------------------------------------------------------------------------------------------

INTERRUPTED = """
import signal, sys, time
import numpy as np
from sknw import NadarayaWatsonRegressor
rng = np.random.default_rng(0)
X, y = rng.normal(size=(60_000, 10)), rng.normal(size=60_000)
model = NadarayaWatsonRegressor(0.5, algorithm="dense", n_jobs=2)
small = model.fit(X[:500], y[:500]).predict(X[:500])
print("ready", flush=True)
try:
    if sys.argv[-1] == "fit":
        NadarayaWatsonRegressor(algorithm="dense", n_jobs=2).fit(X, y)
    else:
        model.fit(X, y).predict(X)
except KeyboardInterrupt:
    print(time.time(), flush=True)
    assert np.array_equal(model.fit(X[:500], y[:500]).predict(X[:500]), small)
    print("usable")
else:
    print("finished before")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
@pytest.mark.parametrize("what", ["fit", "predict"])
@pytest.mark.parametrize("after", [0.3, 1.0])
def test_ctrl_c(what, after):
    """Promptly: a fifth of a second beyond a block, which takes milliseconds; the rest is for a busy machine."""
    command = [sys.executable, "-W", "error", "-c", INTERRUPTED, what]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(after)
        sent = time.time()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert err == ""
    stopped, usable = out.splitlines()
    assert usable == "usable"
    assert float(stopped) - sent < 1.0
    assert process.returncode == 0
