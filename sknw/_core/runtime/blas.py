"""Single-threaded BLAS within blocks of work."""

import functools
import os
import sys
import threading
import weakref
from typing import NamedTuple


class one_thread_for_blas:
    """Context in which the BLAS of NumPy and SciPy uses a single thread.

    Used for matrix products within blocks. Otherwise the threads of the blocks would be multiplied by those of BLAS,
    whose number also affects rounding::

        with one_thread_for_blas():
            run_blocks(...)

    Libraries on OpenMP have a limit per thread, others one per process. The latter is set when the first context is
    entered, and restored when the last one is left. Entering takes some 30 microseconds, and some milliseconds the
    first time, when the libraries are searched for.
    """

    def __enter__(self):
        _limits.enter(self, sys._getframe(1))

    def __exit__(self, *_):
        _limits.leave(self)


class _Held(NamedTuple):
    """An active context: a weak reference to it, and the thread and frame that entered it."""

    context: weakref.ref
    thread: int
    frame: int


class _Limits:
    """Active contexts, and the numbers of threads to restore.

    KeyboardInterrupt may occur at any point, also while a context is entered or left. So previous limits are stored
    before they are changed, and kept until they are restored. A context that will never be left is removed when another
    is entered or left: if it no longer exists, or if the frame that entered it is no longer executed.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.held = []
        self.before = {}  # number of threads by library, and by thread if limits are per thread

    def has(self, thread):
        """Whether a thread is within a context."""
        return any(held.thread == thread for held in self.held)

    def enter(self, context, frame):
        """Limit all libraries to one thread."""
        me = threading.get_ident()
        with self.lock:
            self._forget()
            self.held.append(_Held(weakref.ref(context), me, id(frame)))
            for library in _blas():
                self.before.setdefault((library, me if _is_by_thread(library) else None), library.num_threads)
                library.set_num_threads(1)

    def leave(self, context):
        """Restore the limits of libraries that no active context concerns."""
        with self.lock:
            self.held = [held for held in self.held if held.context() is not context]
            self._forget()
            self._give_back()

    def begin_anew(self):
        """Keep only the contexts of the forking thread in a forked child."""
        self.lock = threading.Lock()
        self._forget()
        self._give_back()

    def _forget(self):
        if self.held:
            frames = sys._current_frames()
            running = {held.thread: _ids(frames.get(held.thread)) for held in self.held}
            frames.clear()  # one of them is this frame: a cycle would keep all arrays alive
            self.held = [held for held in self.held if held.context() and held.frame in running[held.thread]]

    def _give_back(self):
        me = threading.get_ident()
        for (library, thread), n_threads in list(self.before.items()):
            if not (self.held if thread is None else thread != me or self.has(me)):
                library.set_num_threads(n_threads)
                del self.before[library, thread]
            # threadpoolctl would otherwise not let other threads change the limit, and one of them may be the last to
            # leave.
            if hasattr(library, "clear_controlling_thread") and not self.has(me):
                library.clear_controlling_thread()


def _ids(frame):
    """The ids of a frame and of its callers."""
    ids = set()
    while frame is not None:
        ids.add(id(frame))
        frame = frame.f_back
    return ids


def _is_by_thread(library):
    """Whether a library has a limit per thread."""
    return getattr(library, "threading_layer", None) == "openmp"


def _blas():
    """The loaded BLAS libraries, as controllers of threadpoolctl."""
    # Matrix products in compiled code use SciPy's library, which is loaded when the first of them is compiled.
    return _find_blas("scipy.linalg.cython_blas" in sys.modules)


@functools.cache
def _find_blas(with_scipy):
    """Implementation of `_blas`, cached for each value of its argument."""
    from threadpoolctl import ThreadpoolController  # slow to import: it parses shared libraries

    return ThreadpoolController().select(user_api="blas").lib_controllers


_limits = _Limits()


def is_limited():
    """Whether the calling thread is within `one_thread_for_blas`."""
    return _limits.has(threading.get_ident())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_limits.begin_anew)
