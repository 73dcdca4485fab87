"""Compiled code on disk, so that a process need not compile what an earlier one has.

numba has a cache of its own. It does not notice when a function that was inlined from another file changes, raises
where a file is damaged, may mix up entries that two processes write at once, and reads only from folders that it may
write to. Here each entry is one file. Its name contains a digest of everything that the code depends on, and its
content begins with a digest of the rest, so that a complete file is a valid one. In all other cases the function is
compiled.

The sources that an entry depends on are found by name: the definition of the function, the definitions of all names in
it, and so on (`sources.py`). An edit of a function that no compiled function calls recompiles nothing.
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
    """No garbage collections within: numba makes millions of objects, and each would go through all there are."""
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
    """The compiled code of one function, a file for each set of types, in place of numba's own `FunctionCache`.

    Parameters
    ----------
    function : function
        Of a module of the core.
    """

    def __init__(self, function):
        self._name = f"{function.__module__.removeprefix('sknw._core.')}.{function.__qualname__}"
        self._source = pathlib.Path(function.__code__.co_filename), function.__name__

    @property
    def cache_path(self):
        """The first of the folders, where entries are written to if it allows."""
        return str(next(iter(_folders()), ""))

    def load_overload(self, signature, target):
        """The code for some types, or None if there is none that is whole."""
        target.refresh()
        name = self._file(signature, target)
        for folder in _folders() if name else ():
            try:
                content = (folder / name).read_bytes()
                check, entry = content[:32], content[32:]
                if check == hashlib.sha256(entry).digest():
                    return CompileResult._rebuild(target, *pickle.loads(entry))
            except Exception:  # as if it were not there, whatever is wrong with it
                continue
        return None

    def save_overload(self, signature, compiled):
        """Write the code for some types to the first folder that can be written to."""
        name = self._file(signature, compiled.target_context)
        if not name or compiled.library.has_dynamic_globals:
            return
        entry = serialize.dumps(compiled._reduce())
        for folder in _folders():
            try:
                _write(folder / name, hashlib.sha256(entry).digest() + entry)
            except OSError:  # read-only, full, or not even a folder
                continue
            _remove_outdated(folder / name)
            return

    def _file(self, signature, target):
        """Name of the file with the code for some types; None where code is not kept."""
        stamp = digest_of(*self._source)
        if stamp is None or os.environ.get(_SWITCH, "").strip() == "0":
            return None
        everything = (
            *(stamp, self._name, repr(signature), target.codegen().magic_tuple()),  # the last is the processor
            *(numba.__version__, llvmlite.__version__, sys.implementation.cache_tag, getattr(sys, "abiflags", "")),
            *(repr(getattr(config, name, None)) for name in ("OPT", "BOUNDSCHECK", "LOOP_VECTORIZE", "SLP_VECTORIZE")),
        )
        digest = hashlib.sha256(repr(everything).encode()).hexdigest()
        return f"{self._name}-{stamp}-{digest[:32]}{_SUFFIX}"


_SUFFIX = ".sknw"


def _folders():
    """Where entries may be: what numba is told, else beside the sources, as bytecode is, else in the user's cache."""
    # Installations have folders of their own, so that each may remove what it has no use for.
    own = f"sknw_{hashlib.sha256(os.fsencode(_FOLDER)).hexdigest()[:16]}"
    if config.CACHE_DIR:
        return [pathlib.Path(config.CACHE_DIR) / own]
    folders = [_FOLDER / "__pycache__"]
    with contextlib.suppress(RuntimeError):  # nobody's home
        folders.append(_user_folder() / own)
    return folders


def _user_folder():
    """The folder for what can be made again."""
    if sys.platform == "win32":
        return pathlib.Path(os.environ.get("LOCALAPPDATA") or pathlib.Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return pathlib.Path.home() / "Library" / "Caches"
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")


def _write(path, content):
    """Write a file that is there as a whole or not at all, whoever else does so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{uuid.uuid4().hex[:16]}")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    except BaseException:  # Ctrl-C too
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise


def _remove_outdated(path):
    """Remove entries of the same function that were compiled from other sources: no process would read them."""
    function, stamp = path.name.split("-")[:2]
    for other in path.parent.glob(f"{function}-*{_SUFFIX}"):
        if other.name.split("-")[1] != stamp:
            with contextlib.suppress(OSError):
                other.unlink()
