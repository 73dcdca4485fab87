"""Public annotations: mypy checks this file in `make lint`, and pytest compares the annotations with the results."""

import inspect
import re
import typing
from types import UnionType
from typing import TYPE_CHECKING, Any, assert_type

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils._param_validation import StrOptions

import sknw
from sknw import AttentionDisplay, BandwidthDisplay, NadarayaWatsonRegressor, RegressionDisplay, loo_error
from sknw import _typing as types
from sknw._inspection.report import BandwidthReport

if TYPE_CHECKING:
    Floats = NDArray[np.float64]


def arrays(*values: object) -> bool:
    return all(isinstance(value, np.ndarray) and value.dtype == np.float64 for value in values)


# Calls that must type-check -------------------------------------------------------------------------------------------


def test_make_sine() -> None:
    X, y = sknw.datasets.make_sine(30, noise=0.1, random_state=0)
    assert_type(X, "Floats")
    assert_type(y, "Floats")
    assert arrays(X, y)
    sknw.datasets.make_sine(random_state=np.random.RandomState(0))


def test_estimator() -> None:
    X, y = sknw.datasets.make_sine(random_state=0)
    model = NadarayaWatsonRegressor(0.5, kernel="epanechnikov", n_jobs=1).fit(X, y, sample_weight=np.ones(50))
    assert_type(model, NadarayaWatsonRegressor)
    assert_type(model.predict([[1.0], [4.0]]), "Floats")
    assert_type(model.loo_predict(), "Floats")
    assert_type(model.attention_weights(), "Floats")
    assert_type(model.attention_weights(X), "Floats")
    assert_type(model.attention_weights(X, top_k=2), sparse.csr_array)
    assert arrays(model.predict(X), model.loo_predict(), model.attention_weights(X))
    assert isinstance(model.attention_weights(X, top_k=2), sparse.csr_array)


def test_report() -> None:
    report = NadarayaWatsonRegressor().fit(*sknw.datasets.make_sine(random_state=0)).bandwidth_report()
    assert_type(report, BandwidthReport)
    assert_type(report.loo_r2, float)
    assert_type(report.criterion, str | None)
    assert_type(report.n_neighbors, tuple[float, float, float])
    for name, annotation in typing.get_type_hints(BandwidthReport).items():
        kinds = typing.get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
        kinds = tuple(typing.get_origin(kind) or kind for kind in kinds)
        assert isinstance(getattr(report, name), kinds), name


@pytest.mark.parametrize(
    "bandwidth", ["loo", 1.0, np.inf, [1.0, 2.0], np.array([1.0, 2.0]), [[2.0, 0.0], [0.0, 2.0]], np.eye(2)]
)
def test_every_form_of_bandwidth(bandwidth: Any, rng: np.random.Generator) -> None:
    X = rng.normal(size=(20, 2))
    model = NadarayaWatsonRegressor(bandwidth, bandwidth_type="full").fit(X, X[:, 0])
    assert np.isfinite(model.predict(X)).all()
    if TYPE_CHECKING:
        NadarayaWatsonRegressor("loo")
        NadarayaWatsonRegressor(1)
        NadarayaWatsonRegressor(np.float32(1))
        NadarayaWatsonRegressor([1, 2.5])
        NadarayaWatsonRegressor((1.0, 2.0))
        NadarayaWatsonRegressor(np.array([1, 2]))
        NadarayaWatsonRegressor([[2.0, 0.0], [0.0, 2.0]])
        NadarayaWatsonRegressor(np.eye(2, dtype=np.float32))


def test_data_frames_and_lists() -> None:
    X = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0]})
    model = NadarayaWatsonRegressor(1.0).fit(X, X["a"])
    assert_type(model.predict(X), "Floats")
    assert_type(NadarayaWatsonRegressor(1.0).fit([[0], [1]], [[2, 3], [4, 5]]).predict([[0]]), "Floats")


def test_user_defined_profile() -> None:
    def profile(s: float) -> float:
        return 1 / (1 + s)

    assert NadarayaWatsonRegressor(kernel=profile).kernel is profile


def test_loo_error() -> None:
    X, y = sknw.datasets.make_sine(random_state=0)
    assert_type(loo_error(X, y, 0.5), float)
    assert_type(loo_error(X, y, [0.5], kernel="epanechnikov", return_gradient=False), float)
    assert_type(loo_error(X, y, 0.5, return_gradient=True), tuple[float, Any])
    error, gradient = loo_error(X, y, [0.5], return_gradient=True)
    assert isinstance(error, float)
    assert arrays(gradient)


def test_convert_bandwidth() -> None:
    assert_type(sknw.convert_bandwidth(2, "gamma"), float)
    assert_type(sknw.convert_bandwidth(np.float64(2), "sknw", to="epanechnikov"), float)
    assert_type(sknw.convert_bandwidth([1.0, 2.0], "statsmodels", kernel="gaussian"), "Floats")
    assert isinstance(sknw.convert_bandwidth(2, "gamma"), float)
    assert arrays(sknw.convert_bandwidth([1.0, 2.0], "statsmodels"))


def test_displays() -> None:
    pytest.importorskip("matplotlib").use("Agg")
    X, y = sknw.datasets.make_sine(random_state=0)
    model = NadarayaWatsonRegressor().fit(X, y)
    attention = AttentionDisplay.from_estimator(model, X, sort_by=None, cmap="magma")
    assert_type(attention, AttentionDisplay)
    assert_type(attention.plot(colorbar=False), AttentionDisplay)
    assert_type(BandwidthDisplay.from_estimator(model, kind="search"), BandwidthDisplay)
    assert_type(RegressionDisplay.from_estimator(model, X, y, truth=np.sin), RegressionDisplay)


# Calls that must not type-check: mypy reports a comment that suppresses no error --------------------------------------

if TYPE_CHECKING:
    NadarayaWatsonRegressor("lo")  # type: ignore[arg-type]
    NadarayaWatsonRegressor(1.0, "full")  # type: ignore[call-arg]
    NadarayaWatsonRegressor(kernel="normal")  # type: ignore[arg-type]
    NadarayaWatsonRegressor(empty="zero")  # type: ignore[arg-type]
    NadarayaWatsonRegressor(shrinkage="loo")  # type: ignore[arg-type]
    NadarayaWatsonRegressor(width=1.0)  # type: ignore[call-arg]
    NadarayaWatsonRegressor().fit([[1.0]])  # type: ignore[call-arg]
    NadarayaWatsonRegressor().predict(None)  # type: ignore[arg-type]
    NadarayaWatsonRegressor().attention_weights(top_k=0.5)  # type: ignore[call-overload]
    _ = NadarayaWatsonRegressor().bandwidth_report().loo_r3  # type: ignore[attr-defined]
    loo_error([[1.0]], [1.0], "loo")  # type: ignore[arg-type]
    loo_error([[1.0]], [1.0], 1.0, "gaussian")  # type: ignore[call-overload]
    sknw.convert_bandwidth(1.0, "statsmodel")  # type: ignore[call-overload]
    sknw.warm_up("gaussian")  # type: ignore[arg-type]
    sknw.datasets.make_sine(noise="none")  # type: ignore[arg-type]
    RegressionDisplay.from_estimator(None)  # type: ignore[call-arg]
    BandwidthDisplay.from_estimator(None, kind="gradient")  # type: ignore[arg-type]
    _ = sknw.NadarayaWatsonRegresor  # type: ignore[attr-defined]


# The annotations themselves -------------------------------------------------------------------------------------------


def public_functions() -> list[tuple[str, Any]]:
    """Functions of the public face, with the methods that its classes define."""
    found = [("make_sine", sknw.datasets.make_sine)]
    for name in sknw.__all__:
        value = getattr(sknw, name)
        if inspect.isclass(value):
            methods = inspect.getmembers(value, lambda member: inspect.isfunction(member) or inspect.ismethod(member))
            found += [
                (f"{name}.{method}", function)
                for method, function in methods
                if (method == "__init__" or not method.startswith("_")) and function.__module__.startswith("sknw")
            ]
        elif inspect.isfunction(value):
            found.append((name, value))
    return found


@pytest.mark.parametrize(("name", "function"), [pytest.param(*item, id=item[0]) for item in public_functions()])
def test_public_signatures_are_annotated(name: str, function: Any) -> None:
    signature = inspect.signature(function)
    missing = [p.name for p in signature.parameters.values() if p.annotation is p.empty and p.name != "self"]
    assert not missing
    assert name.endswith("__init__") or signature.return_annotation is not signature.empty


@pytest.mark.parametrize(
    ("parameter", "annotation"),
    [
        ("algorithm", types.Algorithm),
        ("bandwidth", types.BandwidthChoice),
        ("bandwidth_type", types.BandwidthType),
        ("empty", types.Empty),
        ("kernel", types.KernelName),
        ("solver", types.Solver),
    ],
)
def test_choices_equal_those_of_validation(parameter: str, annotation: Any) -> None:
    constraints = NadarayaWatsonRegressor._parameter_constraints[parameter]
    [options] = [constraint.options for constraint in constraints if isinstance(constraint, StrOptions)]
    assert set(typing.get_args(annotation)) == options


def test_sources_equal_those_of_validation() -> None:
    for source in typing.get_args(types.Software):
        sknw.convert_bandwidth(1.0, source)
    with pytest.raises(ValueError, match="source") as caught:
        sknw.convert_bandwidth(1.0, "other")  # type: ignore[call-overload]
    named = re.search(r"among {(.*)}", str(caught.value))
    assert named
    assert set(re.findall(r"'(\w+)'", named[1])) == set(typing.get_args(types.Software))
