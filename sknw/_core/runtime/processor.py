"""What is known of the processor: how much of the rows its caches hold, and in lines of what length."""

import functools
import math
import pathlib

import numpy as np

#: By level, of a processor that tells nothing: what most have had for long.
_COMMON = {1: 32 * 1024, 2: 1024 * 1024}


@functools.cache
def bytes_of_cache(level, root="/sys/devices/system/cpu/cpu0/cache"):
    """How much data the first-level cache of a core holds, or the second-level one."""
    for folder in sorted(pathlib.Path(root).glob("index*")):
        try:
            which, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        if which == str(level) and kind != "Instruction" and size.endswith("K") and size[:-1].isdecimal():
            return max(_COMMON[level] // 2, int(size[:-1]) * 1024)
    return _COMMON[level]


def tile_width(numbers, itemsize=8):
    """How many rows to take at a time, so many numbers of each, for the first-level cache to hold them.

    Between 64 and 1024: fewer are not worth a call, and of more nothing is gained. A multiple of the length of vectors.
    """
    return max(64, min(1024, bytes_of_cache(1) * 7 // 8 // (numbers * itemsize) // 32 * 32))


#: Bytes of a line of the caches, and of the longest vectors.
_LINE = 64


def aligned(shape, dtype=np.float64):
    """An empty C-contiguous array that starts with a line of the caches.

    Loops that fetch vectors from the first-level cache take up to a third more time if each of these is in two lines.
    """
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    room = np.empty(n_bytes + _LINE, dtype=np.uint8)
    start = -room.ctypes.data % _LINE
    return room[start : start + n_bytes].view(dtype).reshape(shape)
