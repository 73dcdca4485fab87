"""Cache sizes of the processor, tile widths, and aligned arrays."""

import functools
import math
import pathlib

import numpy as np

#: Bytes by cache level, if the system provides no information: common sizes.
_COMMON = {1: 32 * 1024, 2: 1024 * 1024}


@functools.cache
def bytes_of_cache(level, root="/sys/devices/system/cpu/cpu0/cache"):
    """Size in bytes of the first-level or second-level data cache of a core."""
    for folder in sorted(pathlib.Path(root).glob("index*")):
        try:
            found_level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        if found_level == str(level) and kind != "Instruction" and size.endswith("K") and size[:-1].isdecimal():
            return max(_COMMON[level] // 2, int(size[:-1]) * 1024)
    return _COMMON[level]


def tile_width(numbers, itemsize=8):
    """Number of rows of a tile that fits into the first-level cache.

    It is a multiple of the vector length between 64 and 1024. Smaller tiles are not worth a call, and larger ones are
    no faster.

    Parameters
    ----------
    numbers : int
        Numbers per row.
    itemsize : int
        Bytes per number.
    """
    return max(64, min(1024, bytes_of_cache(1) * 7 // 8 // (numbers * itemsize) // 32 * 32))


#: Bytes of a cache line, which is also the length of the longest vectors.
_LINE = 64


def aligned(shape, dtype=np.float64):
    """An empty C-contiguous array that starts at a cache line.

    Loops over data in the first-level cache take up to a third longer if vectors straddle two cache lines.
    """
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    room = np.empty(n_bytes + _LINE, dtype=np.uint8)
    start = -room.ctypes.data % _LINE
    return room[start : start + n_bytes].view(dtype).reshape(shape)
