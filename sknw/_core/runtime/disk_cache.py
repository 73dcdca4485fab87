"""Disk cache of compiled code, shared by processes.

numba has its own cache. That cache does not notice changes of functions inlined from other files, raises
if a file is damaged, may mix up entries written by two processes at once, and reads only from folders that it may
write to. Here each entry is one file. Its name contains a digest of everything that the code depends on, and its
content starts with a digest of the rest, so that incomplete files are recognized. In all other cases the function is
compiled.

The sources of an entry are found by name: the definition of the function, the definitions of all names in
it, and so on (`sources`). An edit of a function that compiled functions do not call recompiles nothing.
"""

import contextlib
import gc
import hashlib
import os
import pathlib
import pickle
import sys
import uuid

from .sources import digest_of


@contextlib.contextmanager
def without_collections():
    """Disable garbage collection, which is slow while numba creates millions of objects."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


with without_collections():
    import llvmlite
    import numba
    from numba.core import config, serialize
    from numba.core.caching import NullCache
    from numba.core.compiler import CompileResult


_FOLDER = pathlib.Path(__file__).parents[1]


#: 0 keeps compiled code off the disk.
_SWITCH = "SKNW_NUMBA_CACHE"


class DiskCache(NullCache):
    """Disk cache of one function, with a file per signature; replaces numba's own cache.

    Parameters
    ----------
    function : function
        Function of a module of the core.
    """

    def __init__(self, function):
        self._name = f"{function.__module__.removeprefix('sknw._core.')}.{function.__qualname__}"
        self._source = pathlib.Path(function.__code__.co_filename), function.__name__

    @property
    def cache_path(self):
        """The first folder, which entries are written to if possible."""
        return str(next(iter(_folders()), ""))

    def load_overload(self, signature, target):
        """The code for a signature, or None if there is no valid entry."""
        target.refresh()
        name = self._file(signature, target)
        for folder in _folders() if name else ():
            try:
                content = (folder / name).read_bytes()
                check, entry = content[:32], content[32:]
                if check == hashlib.sha256(entry).digest():
                    return CompileResult._rebuild(target, *pickle.loads(entry))
            except Exception:  # treat any damaged entry as missing
                continue
        return None

    def save_overload(self, signature, compiled):
        """Write the code for a signature to the first writable folder."""
        name = self._file(signature, compiled.target_context)
        if not name or compiled.library.has_dynamic_globals:
            return
        entry = serialize.dumps(compiled._reduce())
        for folder in _folders():
            try:
                _write(folder / name, hashlib.sha256(entry).digest() + entry)
            except OSError:  # read-only, full, or not a folder
                continue
            _remove_outdated(folder / name)
            return

    def _file(self, signature, target):
        """Name of the file with the code for a signature; None if code is not cached."""
        stamp = digest_of(*self._source)
        if stamp is None or os.environ.get(_SWITCH, "").strip() == "0":
            return None
        everything = (
            *(
                stamp,
                self._name,
                repr(signature),
                target.codegen().magic_tuple(),
            ),  # the last one identifies the processor
            *(numba.__version__, llvmlite.__version__, sys.implementation.cache_tag, getattr(sys, "abiflags", "")),
            *(repr(getattr(config, name, None)) for name in ("OPT", "BOUNDSCHECK", "LOOP_VECTORIZE", "SLP_VECTORIZE")),
        )
        digest = hashlib.sha256(repr(everything).encode()).hexdigest()
        return f"{self._name}-{stamp}-{digest[:32]}{_SUFFIX}"


_SUFFIX = ".sknw"


def _folders():
    """Folders of entries: numba's setting, else beside the sources, else the user's cache."""
    # Each installation has a folder of its own, so that it may remove outdated entries.
    name = f"sknw_{hashlib.sha256(os.fsencode(_FOLDER)).hexdigest()[:16]}"
    if config.CACHE_DIR:
        return [pathlib.Path(config.CACHE_DIR) / name]
    folders = [_FOLDER / "__pycache__"]
    with contextlib.suppress(RuntimeError):  # there is no home folder
        folders.append(_user_folder() / name)
    return folders


def _user_folder():
    """The user's cache folder."""
    if sys.platform == "win32":
        return pathlib.Path(os.environ.get("LOCALAPPDATA") or pathlib.Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return pathlib.Path.home() / "Library" / "Caches"
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")


def _write(path, content):
    """Write a file atomically, also if several processes write it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{uuid.uuid4().hex[:16]}")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    except BaseException:  # including KeyboardInterrupt
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise


def _remove_outdated(path):
    """Remove entries of the same function that were compiled from other sources."""
    function, stamp = path.name.split("-")[:2]
    for other in path.parent.glob(f"{function}-*{_SUFFIX}"):
        if other.name.split("-")[1] != stamp:
            with contextlib.suppress(OSError):
                other.unlink()
