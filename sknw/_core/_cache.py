"""Compiled code on disk, so that a process need not compile what an earlier one has.

numba has a cache of its own. It does not notice when a function that was inlined from another file changes, raises
where a file is damaged, may mix up entries that two processes write at once, and reads only from folders that it may
write to. Here an entry is a file of its own, whose name is a digest of all that the code depends on, and which begins
with a digest of the rest: what is there and whole is right. Whatever else it is, the function is compiled.
"""

import contextlib
import functools
import gc
import hashlib
import os
import pathlib
import pickle
import sys
import uuid


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

_FOLDER = pathlib.Path(__file__).parent

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
        self._name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"

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
            _remove_outdated(folder)
            return

    def _file(self, signature, target):
        """Name of the file with the code for some types; None where code is not kept."""
        stamp = _stamp()
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


@functools.cache
def _stamp():
    """A digest of all sources of the core; None if they cannot be read, as in an archive."""
    digest = hashlib.sha256()
    try:
        sources = sorted(_FOLDER.glob("*.py"))
        for path in sources:
            digest.update(f"{path.name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    except OSError:
        return None
    return digest.hexdigest()[:16] if sources else None


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


def _remove_outdated(folder):
    """Remove what other sources were compiled to, which nothing would ever read."""
    for path in folder.glob(f"*{_SUFFIX}"):
        if f"-{_stamp()}-" not in path.name:
            with contextlib.suppress(OSError):
                path.unlink()
