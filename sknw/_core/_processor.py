"""What is known of the processor: how much of the rows its caches hold."""

import functools
import pathlib

#: Of a processor that tells nothing: what most have had for long.
_COMMON = 32 * 1024


@functools.cache
def first_level_cache(root="/sys/devices/system/cpu/cpu0/cache"):
    """Bytes of data that the first-level cache of a core holds."""
    for folder in sorted(pathlib.Path(root).glob("index*")):
        try:
            level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        if level == "1" and kind == "Data" and size.endswith("K") and size[:-1].isdecimal():
            return max(_COMMON // 2, int(size[:-1]) * 1024)
    return _COMMON


def tile_width(numbers, itemsize=8):
    """How many rows to take at a time, so many numbers of each, for the first-level cache to hold them.

    Between 64 and 1024: fewer are not worth a call, and of more nothing is gained. A multiple of the length of vectors.
    """
    return max(64, min(1024, first_level_cache() * 7 // 8 // (numbers * itemsize) // 32 * 32))
