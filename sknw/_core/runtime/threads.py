"""Threads: how many, how blocks of work are handed to them, and what keeps other libraries from adding their own."""

import collections
import contextlib
import contextvars
import functools
import math
import os
import pathlib
import queue
import threading

from .blas import is_limited, one_thread_for_blas


def available_threads():
    """Number of threads that this process may use: its processors, or less if a container or the environment says so.

    `OMP_NUM_THREADS` and `NUMBA_NUM_THREADS` count, which joblib sets in its worker processes, and joblib's own
    `LOKY_MAX_CPU_COUNT`.
    """
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        count = os.cpu_count() or 1
    count = min(count, _processors_of_the_container())
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "LOKY_MAX_CPU_COUNT"):
        limit = os.environ.get(name, "").split(",")[0].strip()  # OpenMP takes a list, one number for each level
        if limit.isdecimal() and int(limit) > 0:
            count = min(count, int(limit))
    return count


@functools.cache
def _processors_of_the_container(root="/"):
    """How many processors the control groups of this process leave it the time of, rounded up; `inf` without a limit.

    A container, or a system service, is given a quota of processor time rather than processors. Both versions of
    control groups say so in files, for the process's own group and for those around it; the least counts. Read once.
    """
    root, most = pathlib.Path(root), math.inf
    for line in _lines(root / "proc/self/cgroup"):
        _, _, line = line.partition(":")
        controllers, _, group = line.partition(":")
        mount = root / "sys/fs/cgroup"
        if controllers:
            if "cpu" not in controllers.split(","):
                continue
            mount /= "cpu"
        # Within a container the group's own path may not be there; the container's group is then at the root.
        parts = pathlib.PurePosixPath(group).parts[1:]
        for folder in {mount.joinpath(*parts[:i]) for i in range(len(parts) + 1)}:
            if controllers:
                quota = _lines(folder / "cpu.cfs_quota_us") + _lines(folder / "cpu.cfs_period_us")
            else:
                quota = " ".join(_lines(folder / "cpu.max")).split()
            if len(quota) == 2 and all(number.isdecimal() for number in quota) and int(quota[1]):
                most = min(most, max(1, math.ceil(int(quota[0]) / int(quota[1]))))
    return most


def _lines(path):
    """Lines of a file of the system's; none if it cannot be read."""
    try:
        return path.read_text().split("\n")[:-1] if path.is_file() else []
    except (OSError, ValueError):
        return []


def run_blocks(function, blocks, n_threads):
    """Call `function(*block)` for each block, on up to `n_threads` threads, the calling one included.

    Parameters
    ----------
    function : callable
        Blocks must write to places of their own: then neither the number of threads nor the order of the calls can
        change a result. It may itself call `run_blocks`.
    blocks : sequence of tuples
    n_threads : int

    Raises
    ------
    BaseException
        What the first failing block raised, or Ctrl-C. Blocks that run have ended then, and the others are dropped.

    Notes
    -----
    The threads belong to the process, are started when first needed and wait in between: a call costs some tens of
    microseconds besides the blocks. The calling thread never waits for a block that has not begun, and so any number
    of calls, within each other too, come to an end whatever the other threads do.
    """
    helpers = min(n_threads, len(blocks)) - 1
    if helpers < 1:
        for block in blocks:
            function(*block)
        return
    job = _Job(function, blocks)
    try:
        _pool.ask(job, helpers)
        job.work()
    finally:
        error = job.end()
    if error is not None:
        try:
            raise error
        finally:
            del error  # whose traceback holds this frame: a circle, which would keep the arrays


def in_cache(m):
    """Blocks of so few queries that what simple arithmetic does to them stays in the second-level cache.

    And of so many that threads seldom wait for each other between two steps of it.
    """
    return [(start, min(start + _IN_CACHE, m)) for start in range(0, m, _IN_CACHE)]


_IN_CACHE = 2**16


class _Job:
    """The blocks of one call of `run_blocks`. Whoever works on it takes one after the other."""

    def __init__(self, function, blocks):
        self.function, self.blocks = function, collections.deque(blocks)  # whose ends are safe to take from any thread
        self.error, self.n_helping, self.changed = None, 0, threading.Condition()
        self.limited = is_limited()

    def work(self):
        """Do blocks until there are no more."""
        while True:
            try:
                block = self.blocks.popleft()
            except IndexError:
                return
            self.function(*block)

    def help(self):
        """Do blocks on a thread of the pool."""
        with self.changed:
            if not self.blocks:  # done, and perhaps long ago
                return
            self.n_helping += 1
        try:
            # Some libraries have a limit for each thread.
            with one_thread_for_blas() if self.limited else contextlib.nullcontext():
                self.work()
        except BaseException as error:  # which belongs to the thread that waits for the blocks
            self.error = error
            self.blocks.clear()
        finally:
            with self.changed:
                self.n_helping -= 1
                self.changed.notify_all()

    def end(self):
        """Drop what nobody has begun, wait for what somebody has; returns what went wrong on threads of the pool."""
        with self.changed:
            self.blocks.clear()
            while self.n_helping:
                self.changed.wait()
        # The pool may come across this job later; the arrays need not wait for that.
        error, self.error, self.function = self.error, None, None
        return error


class _Pool:
    """Threads that wait for jobs."""

    def __init__(self):
        self.jobs, self.n_threads, self.lock = queue.SimpleQueue(), 0, threading.Lock()

    def ask(self, job, helpers):
        """Have some threads help with a job, as soon as they are free."""
        if self.n_threads < helpers:
            with self.lock:
                while self.n_threads < helpers and self._start():
                    pass
        for _ in range(min(helpers, self.n_threads)):
            # NumPy's error state, scikit-learn's configuration and the like are those of the caller.
            self.jobs.put((contextvars.copy_context(), job))

    def _start(self):
        thread = threading.Thread(target=self._serve, name=f"sknw-{self.n_threads}", daemon=True)
        try:
            thread.start()
        except (
            RuntimeError
        ):  # no more threads are to be had, or the interpreter is about to end: do with those there are
            return False
        self.n_threads += 1
        return True

    def _serve(self):
        while True:
            context, job = self.jobs.get()
            context.run(job.help)
            del context, job  # which hold on to the caller's arrays


def _begin_anew():
    """In a forked child: its parent's threads are not there, and locks may be held for ever."""
    global _pool
    _pool = _Pool()


_pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
