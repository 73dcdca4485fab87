"""What the benchmarks share: a clock, a table of promises, and the names of what took part."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

#: All that has a part in the times, where it is installed.
PACKAGES = (
    *("scikit-nw", "numpy", "scipy", "numba", "scikit-learn"),
    *("statsmodels", "torch", "pykeops", "hbw", "metric-learn", "finufft"),
)


def best_time(function, most, patience=2.0):
    """Shortest time of up to `most` calls, and what the last one returned; one call only, if that takes long.

    What is compiled or loaded on first use must have been used before.
    """
    times = []
    while not times or (sum(times) < patience and len(times) < most):
        start = perf_counter()
        result = function()
        times.append(perf_counter() - start)
    return min(times), result


def best_times(functions, most, patience=2.0):
    """Shortest times of some functions that take turns, up to `most` calls of each: moments are slow for all alike."""
    times = [[] for _ in functions]
    while not times[0] or (sum(map(sum, times)) < patience and len(times[0]) < most):
        for function, mine in zip(functions, times, strict=True):
            mine.append(best_time(function, 1)[0])
    return [min(mine) for mine in times]


def ratio(x):
    """Two significant digits are all that a timing has."""
    return f"{x:.1f}x" if x < 9.95 else f"{float(f'{x:.2g}'):,.0f}x"


def brief(seconds):
    """A time with three digits."""
    unit, name = (1, "s") if seconds >= 1 else (1e-3, "ms")
    return f"{float(f'{seconds / unit:.3g}'):,g} {name}"


def progress(text):
    """Say on the standard error stream what is being timed."""
    print(f"... {text}", file=sys.stderr, flush=True)


def has(peer):
    """Whether a peer is installed."""
    return find_spec(peer) is not None


class Promises:
    """A table with a row for each promise, written as they are timed.

    Parameters
    ----------
    peers : iterable of str
        Those who are not installed are left out by name.
    quick : bool
        Few rows: does everything run?
    n_threads : int
    """

    def __init__(self, peers, quick, n_threads):
        self.quick, self.n_threads = quick, n_threads
        print(used(n_threads))
        for peer in peers:
            if not has(peer):
                print(f"Left out: {peer} is not installed")
        print("\n| task | compared with | sknw | other | ratio | target |")
        print("|---|---|---:|---:|---:|---:|", flush=True)

    def size(self, n, few=300):
        """A number of rows, few of them for a quick look."""
        return min(n, few) if self.quick else n

    def line(self, work, against, ours, theirs=None, asked="", *, share="", rough=False):
        """Write a row.

        Parameters
        ----------
        work, against : str
        ours, theirs : float
            Seconds; None if nobody's.
        asked : str
            The least ratio, or the most.
        share : str, optional
            Instead of the ratio of the two times.
        rough : bool, optional
            Whether the other time is quoted, or extrapolated from less work; it is marked with "~".
        """
        rough = "~" * rough
        other = "—" if theirs is None else rough + brief(theirs)
        share = share or rough + ratio(theirs / ours)
        print(f"| {work} | {against} | {brief(ours)} | {other} | {share} | {asked} |", flush=True)


def used(n_threads):
    """Processor and versions of all that has a part in the times."""
    out = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            out.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return f"Processor: {processor()}, {instruction_set()}; {n_threads} threads\nVersions: {', '.join(out)}"


def processor():
    """Name of the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def instruction_set():
    """The widest vector instructions that the processor says it has."""
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return "unknown"
    return next((name for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags), "SSE2 or others")
