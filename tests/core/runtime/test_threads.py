import contextlib
import contextvars
import gc
import itertools
import os
import sys
import threading
import time
import weakref

import numpy as np
import pytest

from sknw._core.runtime import blas as _blas
from sknw._core.runtime import threads as _threads
from sknw._core.runtime.blas import one_thread_for_blas
from sknw._core.runtime.threads import available_threads, run_blocks


@pytest.fixture
def pool(monkeypatch):
    """A pool without a thread."""
    pool = _threads._Pool()
    monkeypatch.setattr(_threads, "_pool", pool)
    return pool


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("n_blocks", [0, 1, 2, 7, 500])
def test_each_block_once(pool, n_threads, n_blocks):
    done = []
    run_blocks(lambda i, j: done.append((i, j)), [(i, 2 * i) for i in range(n_blocks)], n_threads)
    assert sorted(done) == [(i, 2 * i) for i in range(n_blocks)]
    assert pool.n_threads == max(0, min(n_threads, n_blocks) - 1)


def meet(n_threads, n_blocks):
    """Blocks that go on only when as many threads as that work at the same time; returns their names."""
    barrier, names = threading.Barrier(n_threads), []

    def work(i):
        if i < n_threads:
            barrier.wait(timeout=30)
        names.append(threading.current_thread().name)

    run_blocks(work, [(i,) for i in range(n_blocks)], n_threads)
    return set(names)


def test_so_many_threads_work_at_once_and_the_caller_is_one(pool):
    names = meet(4, 4)
    assert len(names) == 4
    assert threading.current_thread().name in names


def test_threads_are_kept(pool):
    for _ in range(20):
        meet(3, 3)
    assert pool.n_threads == 2
    assert meet(5, 5) > meet(2, 2)
    assert pool.n_threads == 4


def test_no_more_threads_than_asked_for(pool):
    meet(6, 6)
    running, most, lock = 0, 0, threading.Lock()

    def work(_):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.002)
        with lock:
            running -= 1

    run_blocks(work, [(i,) for i in range(40)], 3)
    assert most == 3


def test_calls_within_blocks(pool):
    """On each thread of the pool, deeper than it has threads."""

    def work(depth, out, i):
        if depth == 0:
            out[i] = 1
            return
        inner = [0] * 3
        run_blocks(work, [(depth - 1, inner, k) for k in range(3)], 3)
        out[i] = sum(inner)

    out = [0] * 4
    run_blocks(work, [(4, out, i) for i in range(4)], 3)
    assert out == [3**4] * 4
    assert pool.n_threads == 2


def test_many_threads_call_at_once(pool):
    out = np.zeros((8, 200))

    def call(row):
        for _ in range(5):
            run_blocks(lambda i: out.__setitem__((row, i), out[row, i] + 1), [(i,) for i in range(200)], 3)

    threads = [threading.Thread(target=call, args=(row,)) for row in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    np.testing.assert_array_equal(out, 5)


@pytest.mark.parametrize("n_threads", [1, 2, 4])
@pytest.mark.parametrize("bad", [0, 3, 99])
def test_an_exception_reaches_the_caller_and_ends_the_work(pool, n_threads, bad):
    done = []

    def work(i):
        if i == bad:
            raise RuntimeError(f"block {i}")
        time.sleep(1e-3)
        done.append(i)

    with pytest.raises(RuntimeError, match=f"block {bad}"):
        run_blocks(work, [(i,) for i in range(100)], n_threads)
    ended = len(done)
    assert ended <= bad + n_threads  # those that ran beside it had begun before
    time.sleep(0.05)
    assert len(done) == ended
    assert len(meet(2, 2)) == 2


def test_an_exception_of_a_helper_alone(pool):
    caller = threading.current_thread()
    met = threading.Event()

    def work(_):
        if threading.current_thread() is caller:
            assert met.wait(timeout=30)
        else:
            met.set()
            raise KeyError("in a helper")

    with pytest.raises(KeyError, match="in a helper"):
        run_blocks(work, [(i,) for i in range(50)], 2)


def test_the_context_of_the_caller_holds_on_all_threads(pool):
    barrier, seen = threading.Barrier(3), []

    def work(_):
        barrier.wait(timeout=30)
        seen.append(np.geterr()["divide"])

    with np.errstate(divide="raise"):
        run_blocks(work, [(i,) for i in range(3)], 3)
    assert seen == ["raise"] * 3


class Array:
    """Something that can be weakly referred to."""


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_kept_after_a_call(pool, fails):
    meet(3, 3)
    array = Array()
    alive, barrier = weakref.ref(array), threading.Barrier(2)

    def work(i, array=array):
        if i < 2:
            barrier.wait(timeout=30)
        if fails:
            raise RuntimeError

    variable = contextvars.ContextVar("variable")
    gc.disable()  # circles would hide behind it
    try:
        token = variable.set(array)
        with contextlib.suppress(RuntimeError):
            run_blocks(work, [(i,) for i in range(10)], 3)
        variable.reset(token)
        del work, array, token
        for _ in range(200):  # a thread of the pool may be about to put the job away
            if alive() is None:
                break
            time.sleep(0.01)
        assert alive() is None
    finally:
        gc.enable()


def test_without_threads(pool, monkeypatch):
    def start(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    done = []
    run_blocks(done.append, [(i,) for i in range(10)], 4)
    assert done == list(range(10))


# How many ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def processors(monkeypatch):
    """Eight of them, and nothing that limits their use."""
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "LOKY_MAX_CPU_COUNT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(_threads, "_processors_of_the_container", lambda: float("inf"))


@pytest.mark.thin(strength=1)
@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "LOKY_MAX_CPU_COUNT"])
@pytest.mark.parametrize(
    ("value", "expected"), [("3", 3), ("12", 8), ("", 8), ("0", 8), ("-1", 8), ("many", 8), ("2,1", 2), (" 5 ", 5)]
)
def test_the_environment_limits_threads(processors, monkeypatch, name, value, expected):
    monkeypatch.setenv(name, value)
    assert available_threads() == expected


def test_affinity_and_container_limit_threads(processors, monkeypatch):
    assert available_threads() == 8
    monkeypatch.setattr(_threads, "_processors_of_the_container", lambda: 3)
    assert available_threads() == 3
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5, 7})
    assert available_threads() == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_threads() == 1


V2, V1 = "0::/", "12:pids:/\n4:cpu,cpuacct:/"


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("", {}, float("inf")),
        (V2, {}, float("inf")),
        (V2, {"cpu.max": "max 100000"}, float("inf")),
        (V2, {"cpu.max": "150000 100000"}, 2),
        (V2, {"cpu.max": "1000 100000"}, 1),
        (V2, {"cpu.max": "nonsense"}, float("inf")),
        (V2, {"cpu.max": "100 0"}, float("inf")),
        (f"{V2}a/b", {"cpu.max": "max 100000", "a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3),
        (f"{V2}a/b", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "200000 100000"}, 2),
        (f"{V2}not/there", {"cpu.max": "400000 100000"}, 4),
        (V1, {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, float("inf")),
        (V1, {"cpu/cpu.cfs_quota_us": "250000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        (f"{V1}docker/x", {"cpu/docker/x/cpu.cfs_quota_us": "500", "cpu/docker/x/cpu.cfs_period_us": "100"}, 5),
        ("3:cpuset:/", {"cpu/cpu.cfs_quota_us": "100", "cpu/cpu.cfs_period_us": "100"}, float("inf")),
    ],
)
def test_quota_of_a_container(tmp_path, groups, files, expected):
    """As the kernel's documentation of control groups, version 1 and 2, lays the files out."""
    files = {f"sys/fs/cgroup/{name}": text for name, text in files.items()} | {"proc/self/cgroup": groups}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    assert _threads._processors_of_the_container.__wrapped__(str(tmp_path)) == expected


def test_quota_where_there_are_no_control_groups(tmp_path):
    assert _threads._processors_of_the_container.__wrapped__(str(tmp_path)) == float("inf")


# Linear algebra ------------------------------------------------------------------------------------------------------


def blas_threads():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    return {lib["filepath"]: lib["num_threads"] for lib in threadpoolctl.threadpool_info() if lib["user_api"] == "blas"}


@pytest.fixture
def two_for_blas():
    """Libraries of linear algebra that use two threads each."""
    threadpoolctl = pytest.importorskip("threadpoolctl")
    import scipy.linalg.cython_blas  # noqa: F401

    with threadpoolctl.threadpool_limits(limits=2, user_api="blas"):
        before = blas_threads()
        assert set(before.values()) == {2}
        yield before


def test_one_thread_for_blas(two_for_blas):
    with one_thread_for_blas():
        assert set(blas_threads().values()) == {1}
        with one_thread_for_blas():
            assert set(blas_threads().values()) == {1}
        assert set(blas_threads().values()) == {1}
    assert blas_threads() == two_for_blas


def test_blas_has_its_threads_again_after_an_exception(two_for_blas):
    with pytest.raises(ZeroDivisionError), one_thread_for_blas():
        _ = 1 / 0
    assert blas_threads() == two_for_blas


@pytest.mark.parametrize("first_leaves_first", [False, True])
def test_contexts_of_several_threads_overlap(two_for_blas, first_leaves_first):
    enter, leave = threading.Event(), threading.Event()

    def other():
        with one_thread_for_blas():
            enter.set()
            assert leave.wait(timeout=30)
            with one_thread_for_blas():
                pass
            inside.append(set(blas_threads().values()))

    inside, thread = [], threading.Thread(target=other)
    with one_thread_for_blas():
        thread.start()
        assert enter.wait(timeout=30)
        assert set(blas_threads().values()) == {1}
        if not first_leaves_first:
            leave.set()
            thread.join()
        assert set(blas_threads().values()) == {1}
    leave.set()
    thread.join()
    assert inside == [{1}]  # whoever has left
    assert blas_threads() == two_for_blas


def test_contexts_that_nobody_leaves(two_for_blas):
    """As when Ctrl-C comes between entering and what follows, or amid leaving."""

    kept = []

    def interrupted():
        one_thread_for_blas().__enter__()

    def with_a_traceback():
        context = one_thread_for_blas()
        context.__enter__()
        kept.append(sys._getframe())  # as that of the exception has it

    def on_another_thread():
        thread = threading.Thread(target=with_a_traceback)
        thread.start()
        thread.join()

    for lose in (interrupted, with_a_traceback, on_another_thread):
        lose()
        assert set(blas_threads().values()) == {1}
        with one_thread_for_blas():
            assert _blas._limits.has(threading.get_ident())
            assert set(blas_threads().values()) == {1}
        assert blas_threads() == two_for_blas
        assert not _blas._limits.has(threading.get_ident())


@pytest.mark.parametrize("how_often", range(6))
def test_interrupted_amid_the_libraries(two_for_blas, monkeypatch, how_often):
    calls = itertools.count()

    class Library:
        def __init__(self, library):
            self.library = library

        @property
        def num_threads(self):
            if next(calls) == how_often:
                raise KeyboardInterrupt
            return self.library.num_threads

        def set_num_threads(self, n):
            if next(calls) == how_often:
                raise KeyboardInterrupt
            self.library.set_num_threads(n)

    libraries = [Library(library) for library in _blas._blas()]
    monkeypatch.setattr(_blas, "_blas", lambda: libraries)

    def enter_and_leave():
        for _ in range(6):
            with one_thread_for_blas():
                pass

    with pytest.raises(KeyboardInterrupt):
        enter_and_leave()
    with one_thread_for_blas():
        assert set(blas_threads().values()) == {1}
    assert blas_threads() == two_for_blas


def test_libraries_with_a_limit_for_each_thread(monkeypatch):
    """Whoever leaves gives back its own, whether or not others are within."""
    threads, enter, leave = {}, threading.Event(), threading.Event()

    class Library:
        threading_layer = "openmp"

        @property
        def num_threads(self):
            return threads.get(threading.current_thread(), 2)

        def set_num_threads(self, n):
            threads[threading.current_thread()] = n

    libraries = [Library()]
    monkeypatch.setattr(_blas, "_blas", lambda: libraries)

    def other():
        with one_thread_for_blas():
            enter.set()
            assert leave.wait(timeout=30)

    thread, me = threading.Thread(target=other), threading.current_thread()
    with one_thread_for_blas():
        thread.start()
        assert enter.wait(timeout=30)
        assert threads == {me: 1, thread: 1}
    assert threads == {me: 2, thread: 1}
    leave.set()
    thread.join()
    assert threads == {me: 2, thread: 2}


def test_one_thread_for_blas_within_blocks(pool, two_for_blas, monkeypatch):
    barrier, seen, limited, libraries = threading.Barrier(3), [], [], _blas._blas

    def spy():
        limited.append(threading.current_thread().name)
        return libraries()

    monkeypatch.setattr(_blas, "_blas", spy)  # libraries on OpenMP have a limit for each thread

    def work(_):
        barrier.wait(timeout=30)
        seen.append(set(blas_threads().values()))
        barrier.wait(timeout=30)

    with one_thread_for_blas():
        run_blocks(work, [(i,) for i in range(3)], 3)
    assert seen == [{1}] * 3
    assert sorted(limited) == sorted([threading.current_thread().name, "sknw-0", "sknw-1"])
    run_blocks(lambda _: None, [(i,) for i in range(3)], 3)
    assert len(limited) == 3
    assert blas_threads() == two_for_blas


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_begins_anew(two_for_blas):
    meet(3, 3)
    child = os.fork()
    if child == 0:  # no assertion may leave this block, or pytest runs twice
        try:
            right = _threads._pool.n_threads == 0 and len(meet(3, 3)) == 3
            with one_thread_for_blas():
                right = right and set(blas_threads().values()) == {1}
            os._exit(0 if right and blas_threads() == two_for_blas else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert len(meet(3, 3)) == 3
