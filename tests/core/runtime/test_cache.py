import gc
import os
import pathlib
import shutil
import sys

import numpy as np
import pytest

from sknw._core.runtime import disk_cache as _cache
from sknw._core.runtime.jit import jit_entry
from sknw._core.runtime.sources import _read, digest_of


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
    assert file.name.startswith(f"{__name__}.total-{digest_of(pathlib.Path(__file__), 'total')}-")
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


@pytest.fixture
def sources(tmp_path):
    """A package of which one function is compiled, and a way to edit a file of it."""
    package = tmp_path / "package"
    texts = {
        "__init__.py": "from .inner.loops import SIZE",
        "driver.py": "from .inner.loops import total\n\ndef drive(x):\n    return total(x)\n",
        "inner/__init__.py": "",
        "inner/loops.py": (
            "from ..helpers import add, overload_jit\nfrom .. import SIZE as N\nSIZE = 1\nOTHER = 2\n\n"
            "def total(x):\n    from ..late import scale\n    return scale(add(0, x)) + N\n\n"
            "def unused(x):\n    return OTHER\n"
        ),
        "helpers.py": (
            "def overload_jit(f):\n    return lambda g: g\n\ndef add(x, y):\n    raise NotImplementedError\n\n"
            "@overload_jit(add)\ndef _add(x, y):\n    return lambda x, y: x + one(y)\n\ndef one(y):\n    return y\n"
        ),
        "late.py": "def scale(x):\n    return 2 * x\n",
    }

    def edit(name, old="", new=""):
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = texts[name]
        assert old in text
        path.write_text(text.replace(old, new) if old else text)
        digest_of.cache_clear()
        _read.cache_clear()
        return digest_of(package / "inner" / "loops.py", "total")

    for name in texts:
        edit(name)
    yield edit
    digest_of.cache_clear()
    _read.cache_clear()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("inner/loops.py", "add(0, x)", "add(1, x)"),
        ("inner/loops.py", "SIZE = 1", "SIZE = 3"),  # by way of the package that exports it
        ("helpers.py", "x + one", "x - one"),  # an overload
        ("helpers.py", "return y", "return -y"),  # what it calls
        ("helpers.py", "lambda g: g", "lambda g: None"),  # a decorator
        ("late.py", "2 * x", "3 * x"),  # imported within a function
    ],
)
def test_code_depends_on_all_that_it_inlines(sources, name, old, new):
    before = sources(name)
    assert before is not None
    assert sources(name, old, new) != before
    assert sources(name) == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("driver.py", "return total(x)", "return 1"),
        ("inner/loops.py", "return OTHER", "return 5"),
        ("inner/loops.py", "OTHER = 2", "OTHER = 4"),
    ],
)
def test_code_does_not_depend_on_drivers(sources, name, old, new):
    before = sources(name)
    assert sources(name, old, new) == before


def test_sources_that_cannot_be_read(tmp_path):
    assert digest_of(tmp_path / "none.py", "f") is None
    (tmp_path / "some.py").write_text("x = 1")
    assert digest_of(tmp_path / "some.py", "f") is None


def test_entries_of_other_sources_are_removed(folders, monkeypatch):
    for digest in ("a" * 16, "b" * 16):
        monkeypatch.setattr(_cache, "digest_of", lambda *_, digest=digest: digest)
        assert not was_cached()
        assert was_cached()
        assert len(files(folders[0])) == 1
    monkeypatch.setattr(_cache, "digest_of", lambda *_: None)  # without sources nothing is known of the code
    assert not was_cached()
    assert not was_cached()


LOOPS = pathlib.Path(_cache.__file__).parents[1]


@pytest.mark.parametrize(
    ("entry", "inlined", "driver"),
    [
        ("every_pair.tiles.add_rows", "every_pair.distances.squared_distances", "dispatch.kernel_sums"),
        ("within_reach.boxes.add_rows_within", "within_reach.reach.cutoff", "within_reach.boxes.window_sums"),
        ("sliding.sums.add_side", "sliding.moments.expand", "sliding.sums.sliding_sums"),
        ("cells.fast_gauss_loops.translate", "cells.grouping.add_products", "cells.fast_gauss.fast_gauss_sums"),
    ],
)
def test_edits_of_the_package(tmp_path, entry, inlined, driver):
    """An edit of a driver recompiles nothing, one of a loop what inlines it."""
    core = tmp_path / "sknw" / "_core"
    shutil.copytree(LOOPS, core, ignore=shutil.ignore_patterns("__pycache__"))

    def path(name):
        return core.joinpath(*name.split(".")[:-1]).with_suffix(".py")

    def digest():
        digest_of.cache_clear()
        _read.cache_clear()
        return digest_of(path(entry), entry.rpartition(".")[2])

    def edit(name):
        text = path(name).read_text()
        start = f"def {name.rpartition('.')[2]}("
        assert start in text
        path(name).write_text(text.replace(start, f"def {name.rpartition('.')[2]}(_, "))

    before = digest()
    assert before is not None
    edit(driver)
    assert digest() == before
    edit(inlined)
    assert digest() != before


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
    assert beside == pathlib.Path(_cache.__file__).parents[1] / "__pycache__"
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
