"""One thread for the linear algebra of other libraries, as long as it is called within blocks of work."""

import functools
import os
import sys
import threading
import weakref
from typing import NamedTuple


class one_thread_for_blas:
    """A context in which the linear algebra of NumPy and SciPy starts no threads of its own.

    For products of matrices within blocks, whose threads would otherwise be multiplied by those of BLAS, and change the
    last digits::

        with one_thread_for_blas():
            run_blocks(...)

    Libraries on OpenMP have a limit for each thread. Others have one for the process: whoever enters first sets it, and
    the last one to leave takes it back. Takes some 30 microseconds, and some milliseconds the first time, when the
    libraries are looked for.
    """

    def __enter__(self):
        _limits.enter(self, sys._getframe(1))

    def __exit__(self, *_):
        _limits.leave(self)


class _Held(NamedTuple):
    """A context that somebody is within: a weak reference to it, and by whom it was entered."""

    context: weakref.ref
    thread: int
    frame: int


class _Limits:
    """Who wants BLAS to have one thread.

    Ctrl-C may come anywhere, between entering and leaving and within either. So what libraries had is known before it
    is changed and until it is given back, and a context that nobody will leave, as it is not there any more or the
    frame that entered it is not being executed, is forgotten by the next who enters or leaves.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.held = []
        self.before = {}  # threads of each library, and of each thread if it has a limit of its own

    def has(self, thread):
        """Whether a thread is within."""
        return any(held.thread == thread for held in self.held)

    def enter(self, context, frame):
        """Limit all libraries."""
        me = threading.get_ident()
        with self.lock:
            self._forget()
            self.held.append(_Held(weakref.ref(context), me, id(frame)))
            for library in _blas():
                self.before.setdefault((library, me if _is_by_thread(library) else None), library.num_threads)
                library.set_num_threads(1)

    def leave(self, context):
        """Give libraries the threads that they had, if nobody is within any more whom that would concern."""
        with self.lock:
            self.held = [held for held in self.held if held.context() is not context]
            self._forget()
            self._give_back()

    def begin_anew(self):
        """In a forked child: threads of its parent are not within, but the one that forked may be."""
        self.lock = threading.Lock()
        self._forget()
        self._give_back()

    def _forget(self):
        if self.held:
            frames = sys._current_frames()
            running = {held.thread: _ids(frames.get(held.thread)) for held in self.held}
            frames.clear()  # of which this is one: a circle, which would keep the arrays of all
            self.held = [held for held in self.held if held.context() and held.frame in running[held.thread]]

    def _give_back(self):
        me = threading.get_ident()
        for (library, thread), n_threads in list(self.before.items()):
            if not (self.held if thread is None else thread != me or self.has(me)):
                library.set_num_threads(n_threads)
                del self.before[library, thread]
            # Or else threadpoolctl would not let other threads change it, one of which may be the last to leave.
            if hasattr(library, "clear_controlling_thread") and not self.has(me):
                library.clear_controlling_thread()


def _ids(frame):
    """Of a frame and of all that it was called from."""
    found = set()
    while frame is not None:
        found.add(id(frame))
        frame = frame.f_back
    return found


def _is_by_thread(library):
    """Whether a library has a limit for each thread."""
    return getattr(library, "threading_layer", None) == "openmp"


def _blas():
    """The linear algebra libraries that are loaded, as controllers of threadpoolctl."""
    # Compiled products come from SciPy's library, which is loaded when the first of them is compiled.
    return _find_blas("scipy.linalg.cython_blas" in sys.modules)


@functools.cache
def _find_blas(with_scipy):
    """`_blas`; the argument tells when there may be one more."""
    from threadpoolctl import ThreadpoolController  # parses shared libraries

    return ThreadpoolController().select(user_api="blas").lib_controllers


_limits = _Limits()


def is_limited():
    """Whether the calling thread is within `one_thread_for_blas`."""
    return _limits.has(threading.get_ident())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_limits.begin_anew)
