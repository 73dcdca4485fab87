"""Number of threads, and their use for blocks of work."""

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
    """Number of threads that this process may use.

    It is the number of available processors, or less if limited by a container or by an environment variable:
    `OMP_NUM_THREADS` and `NUMBA_NUM_THREADS`, which joblib sets in its workers, or `LOKY_MAX_CPU_COUNT` of joblib.
    """
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not available on this system
        count = os.cpu_count() or 1
    count = min(count, _processors_of_the_container())
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "LOKY_MAX_CPU_COUNT"):
        limit = os.environ.get(name, "").split(",")[0].strip()  # OpenMP allows a list, one number per level of nesting
        if limit.isdecimal() and int(limit) > 0:
            count = min(count, int(limit))
    return count


@functools.cache
def _processors_of_the_container(root="/"):
    """Limit of processors by control groups, rounded up; `inf` without a limit.

    A container or a system service has a quota of processor time. Files of both versions of control groups contain the
    quotas of the process's group and of the groups around it. The smallest one counts. The result is cached.
    """
    root, limit = pathlib.Path(root), math.inf
    for line in _lines(root / "proc/self/cgroup"):
        _, _, line = line.partition(":")
        controllers, _, group = line.partition(":")
        mount = root / "sys/fs/cgroup"
        if controllers:
            if "cpu" not in controllers.split(","):
                continue
            mount /= "cpu"
        # Within a container, the path of the group may not exist. The group of the container is then at the root.
        parts = pathlib.PurePosixPath(group).parts[1:]
        for folder in {mount.joinpath(*parts[:i]) for i in range(len(parts) + 1)}:
            if controllers:
                quota = _lines(folder / "cpu.cfs_quota_us") + _lines(folder / "cpu.cfs_period_us")
            else:
                quota = " ".join(_lines(folder / "cpu.max")).split()
            if len(quota) == 2 and all(number.isdecimal() for number in quota) and int(quota[1]):
                limit = min(limit, max(1, math.ceil(int(quota[0]) / int(quota[1]))))
    return limit


def _lines(path):
    """Lines of a system file; none if it cannot be read."""
    try:
        return path.read_text().split("\n")[:-1] if path.is_file() else []
    except (OSError, ValueError):
        return []


def run_blocks(function, blocks, n_threads):
    """Call ``function(*block)`` for each block, on up to `n_threads` threads.

    The calling thread is one of them.

    Parameters
    ----------
    function : callable
        Each block must write to memory of its own. Results then depend neither on the number of threads nor on the
        order of calls. The function may call `run_blocks` itself.
    blocks : sequence of tuples
    n_threads : int

    Raises
    ------
    BaseException
        The exception of the first failing block, or KeyboardInterrupt. Running blocks have ended by then, and the
        others are dropped.

    Notes
    -----
    Threads belong to the process, start when first needed, and wait between calls. A call takes some tens of
    microseconds besides the blocks. The calling thread never waits for a block that has not begun. So any number
    of calls, nested ones too, terminate whatever the other threads do.
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
            del error  # its traceback refers to this frame: a cycle would keep the arrays alive


def in_cache(m):
    """Blocks of queries for simple arithmetic on arrays.

    They fit into the second-level cache, and are large enough that threads rarely wait for each other.
    """
    return [(start, min(start + _IN_CACHE, m)) for start in range(0, m, _IN_CACHE)]


_IN_CACHE = 2**16


class _Job:
    """The blocks of one call of `run_blocks`, taken one by one by several threads."""

    def __init__(self, function, blocks):
        self.function, self.blocks = (
            function,
            collections.deque(blocks),
        )  # popping from an end of a deque is thread-safe
        self.error, self.n_helping, self.changed = None, 0, threading.Condition()
        self.limited = is_limited()

    def work(self):
        """Process blocks until none are left."""
        while True:
            try:
                block = self.blocks.popleft()
            except IndexError:
                return
            self.function(*block)

    def help(self):
        """Process blocks on a thread of the pool."""
        with self.changed:
            if not self.blocks:  # already finished
                return
            self.n_helping += 1
        try:
            # Some BLAS libraries have a limit per thread.
            with one_thread_for_blas() if self.limited else contextlib.nullcontext():
                self.work()
        except BaseException as error:  # raised again by the calling thread
            self.error = error
            self.blocks.clear()
        finally:
            with self.changed:
                self.n_helping -= 1
                self.changed.notify_all()

    def end(self):
        """Drop blocks that have not begun, wait for the others, and return an exception of the pool."""
        with self.changed:
            self.blocks.clear()
            while self.n_helping:
                self.changed.wait()
        # The pool may take this job from its queue later. Release the arrays now.
        error, self.error, self.function = self.error, None, None
        return error


class _Pool:
    """Threads that wait for jobs."""

    def __init__(self):
        self.jobs, self.n_threads, self.lock = queue.SimpleQueue(), 0, threading.Lock()

    def ask(self, job, helpers):
        """Let some threads help with a job as soon as they are free."""
        if self.n_threads < helpers:
            with self.lock:
                while self.n_threads < helpers and self._start():
                    pass
        for _ in range(min(helpers, self.n_threads)):
            # Context variables of the caller apply, such as NumPy's error state and scikit-learn's configuration.
            self.jobs.put((contextvars.copy_context(), job))

    def _start(self):
        thread = threading.Thread(target=self._serve, name=f"sknw-{self.n_threads}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads can be started; continue with the existing ones
            return False
        self.n_threads += 1
        return True

    def _serve(self):
        while True:
            context, job = self.jobs.get()
            context.run(job.help)
            del context, job  # they refer to the caller's arrays


def _begin_anew():
    """Replace the pool in a forked child, where its threads do not exist and locks may be held."""
    global _pool
    _pool = _Pool()


_pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
