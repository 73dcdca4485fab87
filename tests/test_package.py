"""The package as a whole: what imports what, what it costs, and what is shipped."""

import ast
import inspect
import os
import pathlib
import shutil
import subprocess
import sys
import tracemalloc
import warnings
import zipfile

import numpy as np
import pandas as pd
import pytest

import sknw
from sknw import NadarayaWatsonClassifier, NadarayaWatsonRegressor
from sknw._core import KERNELS

ROOT = pathlib.Path(sknw.__file__).parent
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))

# A package, or a module on the top level, imports those that are listed before it, and nothing of those after it.
ORDER = [
    "_version", "_exceptions", "_typing", "_compat",
    "_core", "_smoothing", "_criteria", "_bandwidth", "_estimators.inputs", "_estimators.validation",
    "datasets", "_convert", "_inspection", "_estimators", "",
]  # fmt: skip

# Within the core, likewise.
CORE = [
    "runtime", "problem", "kernels", "order", "compiled_kernels",
    "costs", "every_pair", "within_reach", "sliding", "cells", "dispatch", "",
]  # fmt: skip


def module_name(path):
    return path.removesuffix(".py").removesuffix("__init__").strip("/").replace("/", ".")


def imports(module):
    """Modules of the package, and names of others, that a module imports."""
    ours, others = set(), set()
    base = ["sknw", *pathlib.PurePosixPath(module).parent.parts]
    for node in ast.walk(ast.parse((ROOT / module).read_text())):
        if isinstance(node, ast.Import):
            others |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            others.add(node.module.split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            place = [*base[: len(base) - node.level + 1], *((node.module or "").split(".") if node.module else [])]
            for alias in node.names:
                target = ROOT.joinpath(*place[1:])
                is_module = (target / alias.name).is_dir() or (target / f"{alias.name}.py").exists()
                ours.add(".".join([*place[1:], *([alias.name] if is_module else [])]))
    return ours, others


def rank(name, order):
    """Place of a module in an order of packages: that of the longest prefix."""
    return order.index(max((p for p in order if name == p or name.startswith(f"{p}.") or not p), key=len))


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module):
    name = module_name(module)
    for other in imports(module)[0]:
        assert rank(other, ORDER) <= rank(name, ORDER), f"{name} imports {other}"
        if name.startswith("_core") and other.startswith("_core"):
            ranks = [rank(n.removeprefix("_core").removeprefix("."), CORE) for n in (other, name)]
            assert ranks[0] <= ranks[1], f"{name} imports {other}"


def test_there_are_no_circles():
    graph = {module_name(module): imports(module)[0] for module in MODULES}
    done, path = set(), []

    def visit(name):
        assert name not in path, f"{' -> '.join(path[path.index(name) :])} -> {name}"
        if name in done or name not in graph:
            return
        path.append(name)
        for other in sorted(graph[name]):
            visit(other)
        done.add(path.pop())

    for name in graph:
        visit(name)


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith("_core/")])
def test_core_knows_nothing_of_scikit_learn(module):
    assert imports(module)[1] <= {"numpy", "numba", "llvmlite", "threadpoolctl"} | sys.stdlib_module_names


@pytest.mark.parametrize("module", [module for module in MODULES if module != "_compat.py"])
def test_private_parts_of_scikit_learn_come_through_one_door(module):
    for node in ast.walk(ast.parse((ROOT / module).read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sklearn"):
            parts = [*node.module.split("."), *(alias.name for alias in node.names)]
            assert not any(part.startswith("_") for part in parts)


def run(code, *options, **kwargs):
    command = [sys.executable, "-W", "error", *options, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, **kwargs).stdout


def test_importing_does_not_import_numba_or_matplotlib():
    assert run("import sys, sknw; print(sorted({'numba', 'matplotlib', 'sknw._typing'} & set(sys.modules)))") == "[]\n"


def test_public_names_are_documented():
    for name in sknw.__all__:
        value = getattr(sknw, name)
        if callable(value):
            assert ">>> " in value.__doc__, f"{name} has no example"
    assert ">>> " in sknw.datasets.make_sine.__doc__


def test_numpydoc():
    from numpydoc.validate import validate

    # No extended summary, see also, examples or notes are asked of everybody.
    ignored = {"ES01", "EX01", "SA01", "SA04", "GL01", "GL02", "GL03", "GL08", "RT01", "RT02", "RT03", "RT05"}
    ignored |= {"PR01", "PR02", "PR07", "SS05", "SS06"}
    names = [
        "NadarayaWatsonRegressor",
        "NadarayaWatsonClassifier",
        "convert_bandwidth",
        "loo_error",
        "warm_up",
        "datasets.make_sine",
    ]
    names += [
        f"NadarayaWatsonRegressor.{m}"
        for m in ("fit", "predict", "loo_predict", "attention_weights", "bandwidth_report")
    ]
    names += [
        f"NadarayaWatsonClassifier.{m}" for m in ("fit", "predict", "predict_proba", "loo_predict", "loo_predict_proba")
    ]
    for display in ("AttentionDisplay", "BandwidthDisplay", "RegressionDisplay"):
        names += [display, f"{display}.from_estimator", f"{display}.plot"]
    for name in names:
        errors = [(code, text) for code, text in validate(f"sknw.{name}")["errors"] if code not in ignored]
        assert not errors, name


@pytest.mark.parametrize("estimator", [NadarayaWatsonRegressor, NadarayaWatsonClassifier])
def test_parameters_and_attributes_are_documented(rng, estimator):
    from numpydoc.docscrape import ClassDoc

    doc = ClassDoc(estimator)
    assert [p.name for p in doc["Parameters"]] == list(inspect.signature(estimator).parameters)
    X = pd.DataFrame(rng.normal(size=(20, 2)), columns=["a", "b"])
    model = estimator("gradient").fit(X, X["a"] > 0)
    fitted = {name for name in vars(model) if name.endswith("_") and not name.startswith("_")}
    assert fitted == {p.name for p in doc["Attributes"]}
    for name in KERNELS:
        assert f'"{name}"' in estimator.__doc__


# The other package of this name ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_other_sknw_in_the_same_folder(tmp_path):
    shutil.copytree(ROOT, tmp_path / "sknw", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "sknw" / "sknw.py").write_text("def build_sknw(): pass\n")
    code = (
        "import warnings\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    import sknw\n"
        "print(sknw.__file__, caught[0].message)"
    )
    out = run(code, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)})
    assert out.startswith(str(tmp_path))
    assert "Two packages are installed under the name sknw" in out


@pytest.mark.parametrize("name", ["build_sknw", "mark"])
def test_names_of_the_other_sknw(name):
    with pytest.raises(AttributeError, match=r"belongs to PyPI's package 'sknw'.*scikit-nw"):
        getattr(sknw, name)
    with pytest.raises(AttributeError, match="has no attribute 'other'"):
        _ = sknw.other


# Memory ---------------------------------------------------------------------------------------------------------------


def peak(function):
    """Bytes that are allocated at most while a function runs, beyond what was before; numpy reports to the tracer."""
    function()  # compiled code is not the data's
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        function()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def test_tracer_sees_numpy():
    assert peak(lambda: np.ones(10**6)) >= 8 * 10**6


@pytest.mark.parametrize("kernel", ["gaussian", pytest.param("epanechnikov", marks=pytest.mark.exhaustive)])
def test_memory_of_predict(kernel):
    rng = np.random.default_rng(0)
    n = 50_000
    X, y, Xq = rng.normal(size=(n, 10)), rng.normal(size=n), rng.normal(size=(n, 10))
    # Windows that hold few rows are quick to sum; memory does not depend on it.
    model = NadarayaWatsonRegressor(0.5, kernel=kernel).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.predict(Xq[:100])
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        model.predict(Xq)
        used = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
    # The matrix of all pairs would take 20 GB. Queries and rows in the coordinates of the bandwidth, sums and
    # predictions are a few arrays of m or n times d numbers: 4 MB each.
    assert used < 40e6


@pytest.mark.parametrize("bandwidth", [0.5, np.eye(10) + 0.1])
def test_the_copy_of_the_training_points_raises_no_peak(bandwidth, tmp_path):
    """Temporary arrays of `fit` are gone before the copy is made; a read-only memory map is not copied."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(50_000, 10)), rng.normal(size=50_000)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")

    def fit(X):
        return NadarayaWatsonRegressor(bandwidth, bandwidth_type="full" if np.ndim(bandwidth) else "diag").fit(X, y)

    assert peak(lambda: fit(X)) < peak(lambda: fit(mapped)) + 0.1 * X.nbytes


def test_memory_of_the_criterion_and_its_gradient():
    rng = np.random.default_rng(0)
    n, d = 3000, 10
    X, y = rng.normal(size=(n, d)), rng.normal(size=n)
    # n**2 numbers would take 72 MB.
    assert peak(lambda: sknw.loo_error(X, y, np.full(d, 2.0), return_gradient=True)) < 10e6


def test_memory_of_the_largest_weights():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(10_000, 2))
    model = NadarayaWatsonRegressor(0.1).fit(X, X[:, 0])
    # All weights would take 800 MB; 2**22 of them, 34 MB, with half a dozen masks and copies, are held at a time.
    assert peak(lambda: model.attention_weights(X, top_k=3)) < 250e6


# Distributions --------------------------------------------------------------------------------------------------------


def test_version_is_the_same_everywhere():
    source = pathlib.Path(__file__).parents[1]
    version, _, development = sknw.__version__.partition(".dev")
    assert f"\n## {version} (" in (source / "CHANGELOG.md").read_text()
    # The citation names the latest release.
    assert development or f"\nversion: {version}\n" in (source / "CITATION.cff").read_text()


@pytest.mark.slow
def test_wheel_alone_fits_and_predicts(tmp_path):
    pytest.importorskip("pip")
    source = pathlib.Path(__file__).parents[1]
    for name in ("pyproject.toml", "setup.cfg", "README.md", "LICENSE"):  # a build leaves files in its source
        shutil.copy(source / name, tmp_path)
    shutil.copytree(source / "sknw", tmp_path / "sknw", ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(tmp_path)], check=True)
    [wheel] = tmp_path.glob("scikit_nw-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if name.endswith(".py")} == {f"sknw/{module}" for module in MODULES}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "sknw/py.typed" in names
    subprocess.run([*pip, "install", "--no-deps", "--target", str(tmp_path / "site"), str(wheel)], check=True)
    code = (
        "import sys; sys.path.insert(0, 'site'); import sknw; print(sknw.__file__)\n"
        "print(sknw.NadarayaWatsonRegressor().fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0]).predict([[1.0]]))"
    )
    file, prediction = run(code, "-P", cwd=tmp_path).splitlines()
    assert pathlib.Path(tmp_path, file).is_relative_to(tmp_path / "site")
    assert prediction == "[1.]"
