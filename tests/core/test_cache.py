import gc
import os
import pathlib
import sys

import numpy as np
import pytest

from sknw._core import _cache
from sknw._core._jit import jit_entry


def total(x):
    s = 0.0
    for i in range(len(x)):
        s += x[i]
    return s


def was_cached(x=(1.0, 2.0, 4.0), function=total):
    """Call a function that this process knows nothing of; whether its code was on disk."""
    entry = jit_entry(function)
    assert entry(np.array(x)) == 7
    return bool(entry.stats.cache_hits)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two folders for compiled code; the first is where it belongs."""
    folders = [tmp_path / "first", tmp_path / "second"]
    monkeypatch.setattr(_cache, "_folders", lambda: folders)
    monkeypatch.delenv("SKNW_NUMBA_CACHE", raising=False)
    return folders


def files(folder):
    return sorted(folder.iterdir()) if folder.is_dir() else []


def test_compiled_once(folders):
    assert not was_cached()
    assert was_cached()
    [file] = files(folders[0])
    assert file.name.startswith(f"test_cache.total-{_cache._stamp()}-")
    assert not files(folders[1])


def test_a_file_for_each_set_of_types(folders):
    was_cached()
    assert not was_cached(np.array([1, 2, 4], dtype=np.float32))
    assert len(files(folders[0])) == 2
    assert was_cached()
    assert was_cached(np.array([1, 2, 4], dtype=np.float32))


DAMAGES = {
    "empty": lambda content: b"",
    "one byte": lambda content: content[:1],
    "digest only": lambda content: content[:32],
    "half": lambda content: content[: len(content) // 2],
    "last byte missing": lambda content: content[:-1],
    "a bit flipped": lambda content: content[:-100] + bytes([content[-100] ^ 1]) + content[-99:],
    "zeros": lambda content: bytes(len(content)),
    "garbage": lambda content: np.random.default_rng(0).bytes(len(content)),
    "another pickle": lambda content: _sealed(b"\x80\x04N."),
    "no pickle": lambda content: _sealed(b"nothing"),
    "of a class that is gone": lambda content: _sealed(b"\x80\x04csknw\nGone\n."),
}


def _sealed(entry):
    return _cache.hashlib.sha256(entry).digest() + entry


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_are_written_anew(folders, damage):
    was_cached()
    [file] = files(folders[0])
    whole = file.read_bytes()
    file.write_bytes(DAMAGES[damage](whole))
    assert not was_cached()
    assert file.stat().st_size > 0.9 * len(whole)
    assert was_cached()


def test_a_damaged_file_does_not_hide_a_whole_one(folders):
    was_cached()
    [file] = files(folders[0])
    folders[1].mkdir()
    file.rename(folders[1] / file.name)
    file.write_bytes(b"damaged")
    assert was_cached()


def test_read_from_a_folder_that_cannot_be_written_to(folders, monkeypatch):
    was_cached()

    def write(path, content):
        raise PermissionError("read-only")

    monkeypatch.setattr(_cache, "_write", write)
    assert was_cached()


@pytest.mark.parametrize("obstacle", ["file", "folder of that name", "permission"])
def test_written_to_the_first_folder_that_allows(folders, monkeypatch, obstacle):
    if obstacle == "file":
        folders[0].write_text("not a folder")
    elif obstacle == "folder of that name":
        was_cached()
        [file] = files(folders[0])
        file.unlink()
        file.mkdir()
    else:
        replace = os.replace

        def refuse(source, target):
            if folders[0] in pathlib.Path(target).parents:
                raise PermissionError("read-only")
            replace(source, target)

        monkeypatch.setattr(os, "replace", refuse)
    assert not was_cached()
    assert was_cached()
    assert len(files(folders[1])) == 1
    assert [path.suffix for path in files(folders[0])] == ([".sknw"] if obstacle == "folder of that name" else [])


def test_nowhere_to_write(folders):
    for folder in folders:
        folder.write_text("not a folder")
    assert not was_cached()
    assert not was_cached()


def test_an_interrupted_write_leaves_nothing(folders, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            was_cached()
    assert not files(folders[0])
    assert not was_cached()


def test_edited_sources(folders, tmp_path, monkeypatch):
    sources = tmp_path / "core"
    sources.mkdir()
    (sources / "_dense.py").write_text("x = 1")
    monkeypatch.setattr(_cache, "_FOLDER", sources)

    def edit(name, text):
        (sources / name).write_text(text)
        _cache._stamp.cache_clear()

    try:
        edit("_jit.py", "y = 1")
        assert not was_cached()
        assert was_cached()
        for name, text in (("_jit.py", "y = 2"), ("_new.py", ""), ("_dense.py", "x = 1 "), ("_new.py", "z")):
            edit(name, text)
            assert not was_cached()
            assert was_cached()
            assert len(files(folders[0])) == 1  # those of the sources before are removed
        (sources / "_jit.py").rename(sources / "_exp.py")
        _cache._stamp.cache_clear()
        assert not was_cached()
        for path in sources.iterdir():
            path.unlink()
        _cache._stamp.cache_clear()
        assert not was_cached()  # without sources nothing is known of the code
        assert not was_cached()
    finally:
        monkeypatch.undo()
        _cache._stamp.cache_clear()


@pytest.mark.parametrize("what", ["numba", "llvmlite", "interpreter", "processor", "options"])
def test_what_else_the_code_depends_on(folders, monkeypatch, what):
    was_cached()
    if what == "numba":
        monkeypatch.setattr(_cache.numba, "__version__", "0")
    elif what == "llvmlite":
        monkeypatch.setattr(_cache.llvmlite, "__version__", "0")
    elif what == "interpreter":
        monkeypatch.setattr(sys.implementation, "cache_tag", "other-1")
    elif what == "processor":
        from numba.core.codegen import JITCPUCodegen

        monkeypatch.setattr(JITCPUCodegen, "magic_tuple", lambda self: ("triple", "processor", "features"))
    else:
        monkeypatch.setattr(_cache.config, "SLP_VECTORIZE", 1 - _cache.config.SLP_VECTORIZE)
    assert not was_cached()


@pytest.mark.parametrize(("value", "on"), [("0", False), (" 0 ", False), ("1", True), ("", True)])
def test_switch(folders, monkeypatch, value, on):
    monkeypatch.setenv("SKNW_NUMBA_CACHE", value)
    assert not was_cached()
    assert was_cached() == on
    assert len(files(folders[0])) == on


def test_where(monkeypatch, tmp_path):
    monkeypatch.setattr(_cache.config, "CACHE_DIR", "")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    beside, user = _cache._folders()
    assert beside == pathlib.Path(_cache.__file__).parent / "__pycache__"
    assert user.parent == tmp_path
    assert user.name.startswith("sknw_")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert _cache._folders()[1].parent == pathlib.Path.home() / ".cache"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert _cache._folders()[1].parent == pathlib.Path.home() / "Library" / "Caches"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert _cache._folders()[1].parent == tmp_path / "local"

    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(pathlib.Path, "home", nobody)
    assert _cache._folders() == [beside]
    monkeypatch.setattr(_cache.config, "CACHE_DIR", str(tmp_path))
    assert _cache._folders() == [tmp_path / user.name]


@pytest.mark.parametrize("enabled", [True, False])
def test_collections_come_back(enabled):
    was = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with _cache.without_collections():
            assert not gc.isenabled()
            with _cache.without_collections():
                pass
            assert not gc.isenabled()
        assert gc.isenabled() == enabled
        with pytest.raises(ZeroDivisionError), _cache.without_collections():
            _ = 1 / 0
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if was else gc.disable)()
