"""Threads: how many, and how blocks of work are handed to them."""

import os
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

import threadpoolctl


def available_threads():
    """Number of threads that this process may use: its processors, or less if the environment says so.

    `OMP_NUM_THREADS` and `NUMBA_NUM_THREADS` count, which joblib sets in its worker processes.
    """
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        count = os.cpu_count() or 1
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        limit = os.environ.get(name, "")
        if limit.isdecimal() and int(limit) > 0:
            count = min(count, int(limit))
    return count


def run_blocks(function, blocks, n_threads):
    """Call `function(*block)` for each block, on up to `n_threads` threads.

    Blocks must write to places of their own: then neither the number of threads nor the order of the calls can change a
    result. The first exception is raised, after running blocks have ended and waiting ones are dropped; so is Ctrl-C.
    """
    if n_threads == 1 or len(blocks) <= 1:
        for block in blocks:
            function(*block)
        return
    with ThreadPoolExecutor(min(n_threads, len(blocks))) as pool:
        futures = [pool.submit(function, *block) for block in blocks]
        try:
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def one_blas_thread():
    """Context in which matrix products run on the thread that asks for them."""
    return threadpoolctl.threadpool_limits(1, user_api="blas")
