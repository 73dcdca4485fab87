"""Data as users have them: values that are no finite numbers, masks, dates, and arrays of other libraries."""

import datetime
import decimal
import fractions
import math
import types

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from numpy.testing import assert_array_equal

from sknw import NadarayaWatsonClassifier, NadarayaWatsonRegressor, convert_bandwidth, loo_error

X, y = np.arange(4.0)[:, None], np.array([1.0, 2.0, 3.0, 5.0])
HUGE = np.longdouble("1e4000")
has_long_double = pytest.mark.skipif(not np.isfinite(HUGE), reason="long doubles are doubles here")


# No finite numbers ----------------------------------------------------------------------------------------------------

NOT_FINITE = [
    pytest.param(None, "NaN", id="None"),
    pytest.param("nan", "NaN", id="text"),
    pytest.param(math.nan, "NaN", id="nan"),
    pytest.param(math.inf, "infinity", id="inf"),
    pytest.param(decimal.Decimal("Infinity"), "infinity", id="decimal"),
    pytest.param(HUGE, "infinity", id="long double", marks=has_long_double),
]


@pytest.mark.parametrize(("value", "message"), NOT_FINITE)
def test_objects_that_are_no_finite_numbers(value, message):
    targets = np.array([1.0, value, 3.0, 4.0], dtype=object)
    refused = rf"Input (y )?contains {message}|y must hold numbers; could not convert string"
    for given in (targets, targets.tolist(), pd.Series(targets), targets[:, None]):
        with pytest.raises(ValueError, match=refused):
            NadarayaWatsonRegressor(1.0).fit(X, given)
        with pytest.raises(ValueError, match=refused):
            loo_error(X, given, 1.0)
    for given in (targets[:, None], pd.DataFrame({"a": targets})):
        with pytest.raises(ValueError, match=f"Input X contains {message}"):
            NadarayaWatsonRegressor(1.0).fit(given, y)
        with pytest.raises(ValueError, match=f"Input X contains {message}"):
            loo_error(given, y, 1.0)
    with pytest.raises(ValueError, match=f"Input X contains {message}"):
        NadarayaWatsonRegressor(1.0).fit(X, y).predict(targets[:, None])
    with pytest.raises(ValueError, match=f"Input sample_weight contains {message}"):
        NadarayaWatsonRegressor(1.0).fit(X, y, targets)


@has_long_double
def test_long_doubles_beyond_the_range():
    big = np.array([1.0, HUGE, 3.0, 4.0], dtype=np.longdouble)
    with pytest.raises(ValueError, match="Input y contains infinity"):
        NadarayaWatsonRegressor(1.0).fit(X, big)
    with pytest.raises(ValueError, match="Input X contains infinity"):
        NadarayaWatsonRegressor(1.0).fit(big[:, None], y)
    with pytest.raises(ValueError, match="Input sample_weight contains infinity"):
        NadarayaWatsonRegressor(1.0).fit(X, y, big)
    for bandwidth in (HUGE, [HUGE]):
        with pytest.raises(ValueError, match="bandwidth must be"):
            loo_error(X, y, bandwidth)
        with pytest.raises(ValueError, match="bandwidth must be"):
            convert_bandwidth(bandwidth, "np")
    with pytest.raises(ValueError, match="bandwidth must be"):
        NadarayaWatsonRegressor(np.array([HUGE])).fit(X, y)
    ordinary = NadarayaWatsonRegressor(np.longdouble("0.5")).fit(X.astype(np.longdouble), y.astype(np.longdouble))
    assert_array_equal(ordinary.predict(X), NadarayaWatsonRegressor(0.5).fit(X, y).predict(X))


@pytest.mark.parametrize(
    "bandwidth", [["0.5"], ["inf"], [None], [1j], [[1.0], [1.0, 2.0]], fractions.Fraction(10**400)]
)
def test_bandwidths_that_are_no_numbers(bandwidth):
    with pytest.raises(ValueError, match="bandwidth"):
        NadarayaWatsonRegressor(bandwidth).fit(X, y)
    with pytest.raises(ValueError, match="bandwidth"):
        loo_error(X, y, bandwidth)
    with pytest.raises(ValueError, match="bandwidth"):
        convert_bandwidth(bandwidth, "np")


@pytest.mark.parametrize("bandwidth", [fractions.Fraction(1, 2), [fractions.Fraction(1, 2)], np.float16(0.5)])
def test_fractions_are_bandwidths(bandwidth):
    model = NadarayaWatsonRegressor(bandwidth).fit(X, y)
    assert_array_equal(model.bandwidth_, [0.5])
    assert loo_error(X, y, bandwidth) == loo_error(X, y, 0.5)
    assert_array_equal(convert_bandwidth(bandwidth, "ksmooth", kernel="tophat"), np.full(np.shape(bandwidth), 0.25))


# Masks ----------------------------------------------------------------------------------------------------------------


def test_masks_are_refused():
    mask = [False, True, False, False]
    columns = np.ma.array(X, mask=np.array(mask)[:, None])
    values = np.ma.array(y, mask=mask)
    model = NadarayaWatsonRegressor(1.0).fit(X, y)
    calls = {
        "X": [
            lambda: NadarayaWatsonRegressor(1.0).fit(columns, y),
            lambda: NadarayaWatsonRegressor(1.0).fit(list(columns), y),
            lambda: loo_error(columns, y, 1.0),
            lambda: model.predict(columns),
            lambda: model.attention_weights(columns),
        ],
        "y": [
            lambda: NadarayaWatsonRegressor(1.0).fit(X, values),
            lambda: loo_error(X, values, 1.0),
            lambda: NadarayaWatsonClassifier(1.0).fit(X, np.ma.array([0, 1, 0, 1], mask=mask)),
        ],
        "sample_weight": [
            lambda: NadarayaWatsonRegressor(1.0).fit(X, y, values),
            lambda: loo_error(X, y, 1.0, sample_weight=values),
        ],
        "bandwidth": [
            lambda: NadarayaWatsonRegressor(np.ma.array([1.0], mask=[True])).fit(X, y),
            lambda: loo_error(X, y, np.ma.array([1.0], mask=[True])),
            lambda: convert_bandwidth(np.ma.array([1.0], mask=[True]), "np"),
        ],
    }
    for name, functions in calls.items():
        for function in functions:
            with pytest.raises(
                TypeError, match=rf"{name} is a masked array, and its mask.*compress_rows.*{name}\.fill"
            ):
                function()


def test_a_mask_without_masked_values_is_accepted():
    model = NadarayaWatsonRegressor(1.0).fit(np.ma.array(X), np.ma.array(y), np.ma.ones(4))
    assert_array_equal(model.predict(np.ma.array(X)), NadarayaWatsonRegressor(1.0).fit(X, y).predict(X))


# Dates ----------------------------------------------------------------------------------------------------------------

DAYS = np.array(["2020-01-01", "2020-01-02", "2020-01-04", "2020-02-01"], dtype="M8[D]")
SECONDS = DAYS.astype("M8[s]").astype(np.int64).astype(float)[:, None]


def date_columns():
    """The same dates in many types."""
    for unit in ("D", "h", "s", "ms", "us", "ns"):
        yield f"numpy {unit}", DAYS.astype(f"M8[{unit}]")[:, None]
    objects = DAYS.astype(object)
    yield "objects", objects[:, None]
    yield "list", [[value] for value in objects]
    yield "datetimes", [[datetime.datetime(value.year, value.month, value.day)] for value in objects]
    utc = datetime.UTC
    yield "aware", [[datetime.datetime(value.year, value.month, value.day, tzinfo=utc)] for value in objects]
    yield "numpy scalars", [[value] for value in DAYS]
    for unit in ("s", "us", "ns"):
        yield f"pandas {unit}", pd.DataFrame({"t": DAYS.astype(f"M8[{unit}]")})
        zone = pd.DatetimeIndex(DAYS.astype(f"M8[{unit}]")).tz_localize("UTC").tz_convert("Asia/Tokyo")
        yield f"pandas {unit} Tokyo", pd.DataFrame({"t": zone})
    yield "pandas objects", pd.DataFrame({"t": pd.Series(objects, dtype=object)})
    yield "timestamps", [[pd.Timestamp(value)] for value in DAYS]
    yield "polars date", pl.DataFrame({"t": objects.tolist()})
    for unit in ("ms", "us", "ns"):
        naive = pl.Series("t", DAYS.astype("M8[us]")).cast(pl.Datetime(unit))
        yield f"polars {unit}", pl.DataFrame([naive])
        zone = naive.dt.replace_time_zone("UTC").dt.convert_time_zone("America/New_York")
        yield f"polars {unit} New York", pl.DataFrame([zone])


DATES = [pytest.param(values, id=name) for name, values in date_columns()]


@pytest.mark.thin
@pytest.mark.filterwarnings("ignore:X (does not have|has) .*feature names")
@pytest.mark.parametrize("given", DATES)
def test_dates_are_seconds_whatever_their_type(given):
    expected = NadarayaWatsonRegressor(90_000.0).fit(SECONDS, y)
    model = NadarayaWatsonRegressor(90_000.0).fit(given, y)
    assert_array_equal(model.X_fit_, SECONDS)
    assert_array_equal(model.loo_predict(), expected.loo_predict())
    assert loo_error(given, y, 90_000.0) == loo_error(SECONDS, y, 90_000.0)
    for _, queries in date_columns():
        assert_array_equal(model.predict(queries), expected.predict(SECONDS))
    assert_array_equal(model.attention_weights(given), expected.attention_weights(SECONDS))


@pytest.mark.parametrize("unit", ["W", "D", "h", "m", "s", "ms", "us", "ns"])
def test_durations_are_seconds(unit):
    weeks = np.array([0, 1, 3, 8]).astype("m8[W]").astype(f"m8[{unit}]")
    expected = 604800.0 * np.array([[0], [1], [3], [8]])
    for given in (weeks[:, None], pd.DataFrame({"t": weeks.astype("m8[us]")}), [[value] for value in weeks]):
        model = NadarayaWatsonRegressor(1e6).fit(given, y)
        assert_array_equal(model.X_fit_, expected)
    objects = [[datetime.timedelta(weeks=int(k))] for k in (0, 1, 3, 8)]
    polars = pl.DataFrame({"t": [value for [value] in objects]})
    for given in (objects, [[pd.Timedelta(value)] for [value] in objects], polars):
        assert_array_equal(NadarayaWatsonRegressor(1e6).fit(given, y).X_fit_, expected)


def test_fractions_of_a_second_do_not_depend_on_the_unit():
    times = np.array(["1969-12-31T23:59:59.9", "2020-01-01T00:00:00.123456", "2262-01-01T01:01:01.000001"], "M8[us]")
    fine = NadarayaWatsonRegressor(1.0).fit(times.astype("M8[ns]")[:, None], y[:3]).X_fit_
    assert_array_equal(NadarayaWatsonRegressor(1.0).fit(times[:, None], y[:3]).X_fit_, fine)
    assert fine[0, 0] == -0.1
    assert fine[1, 0] == 1577836800.123456


def test_mixed_frames_keep_their_numbers():
    numbers = np.array([0.25, 3.0, -1.0, 7.5])
    expected = np.column_stack([numbers, SECONDS[:, 0], numbers * 2])
    frame = pd.DataFrame({"a": numbers, "t": DAYS.astype("M8[us]"), "b": numbers * 2})
    rows = [[a, t, b] for a, t, b in zip(numbers, DAYS.astype(object), numbers * 2, strict=True)]
    for given in (frame, pl.DataFrame(frame.to_dict("list")), rows, np.array(rows, dtype=object)):
        model = NadarayaWatsonRegressor([1.0, 1e5, 2.0]).fit(given, y)
        assert_array_equal(model.X_fit_, expected)
        if hasattr(given, "columns"):
            assert_array_equal(model.feature_names_in_, ["a", "t", "b"])
    assert frame["t"].dtype == "M8[us]"  # the frame of the caller is unchanged


@pytest.mark.parametrize("missing", ["numpy", "pandas", "zone", "polars", "objects", "duration"])
def test_missing_dates_are_nan(missing):
    values = DAYS.astype("M8[us]").copy()
    values[2] = "NaT"
    given = {
        "numpy": values[:, None],
        "pandas": pd.DataFrame({"t": values}),
        "zone": pd.DataFrame({"t": pd.DatetimeIndex(values).tz_localize("Europe/Berlin")}),
        "polars": pl.DataFrame({"t": [None if np.isnat(value) else value.item() for value in values]}),
        "objects": np.array([[pd.NaT if np.isnat(value) else value.item()] for value in values], dtype=object),
        "duration": (values - values[0])[:, None],
    }[missing]
    with pytest.raises(ValueError, match="Input X contains NaN"):
        NadarayaWatsonRegressor(1.0).fit(given, y)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        loo_error(given, y, 1.0)


def test_dates_and_numbers_are_told_apart():
    model = NadarayaWatsonRegressor(1e5).fit(DAYS[:, None], y)
    with pytest.raises(ValueError, match="Column 0 of X has numbers, but had dates in fit"):
        model.predict(SECONDS)
    with pytest.raises(ValueError, match="Column 0 of X has durations, but had dates in fit"):
        model.predict((DAYS - DAYS[0])[:, None])
    with pytest.raises(ValueError, match="Column 0 of X has dates, but had numbers in fit"):
        NadarayaWatsonRegressor(1e5).fit(SECONDS, y).predict(DAYS[:, None])
    with pytest.raises(TypeError, match="Column 0 of X mixes dates and other values"):
        NadarayaWatsonRegressor(1e5).fit([[value] for value in [*DAYS[:3].astype(object), 3.0]], y)
    with pytest.raises(ValueError, match=r"dtype timedelta64\[M\].*fixed number of seconds"):
        NadarayaWatsonRegressor(1e5).fit(np.arange(4).astype("m8[M]")[:, None], y)
    with pytest.raises(ValueError, match=r"y must hold numbers; its dtype is datetime64"):
        NadarayaWatsonRegressor(1e5).fit(X, DAYS)
    with pytest.raises(TypeError, match=r"sample_weight must hold numbers; its dtype is timedelta64"):
        NadarayaWatsonRegressor(1e5).fit(X, y, DAYS - DAYS[0])


def test_dates_of_pyarrow():
    pa = pytest.importorskip("pyarrow")
    numbers = [0.5, 1.0, 2.0, 4.0]
    ticks = pa.array(DAYS.astype("M8[us]"))
    for kind in (pa.timestamp("us"), pa.timestamp("ns", "Asia/Tokyo"), pa.date32()):
        dates = ticks.cast(kind)
        table = pa.table({"t": dates, "n": numbers})
        frame = pd.DataFrame({"t": pd.Series(pd.arrays.ArrowExtensionArray(dates)), "n": numbers})
        for given in (table, pa.concat_tables([table[:1], table[1:]]), frame):
            model = NadarayaWatsonRegressor([1e5, 1.0]).fit(given, y)
            assert_array_equal(model.X_fit_, np.column_stack([SECONDS[:, 0], numbers]))
            assert_array_equal(model.feature_names_in_, ["t", "n"])
            assert_array_equal(model.predict(given), model.predict(table))
        missing = pa.table({"t": pa.array([None, *dates.to_pylist()[1:]], type=kind), "n": numbers})
        with pytest.raises(ValueError, match="Input X contains NaN"):
            NadarayaWatsonRegressor(1.0).fit(missing, y)
    spans = pa.table({"t": pa.array((DAYS - DAYS[0]).astype("m8[s]"))})
    assert_array_equal(NadarayaWatsonRegressor(1e5).fit(spans, y).X_fit_, SECONDS - SECONDS[0])


def test_the_report_states_the_unit():
    frame = pd.DataFrame({"when": DAYS.astype("M8[us]"), "size": [0.1, 0.5, 0.2, 0.9]})
    report = NadarayaWatsonRegressor([1e5, 1.0]).fit(frame, y).bandwidth_report()
    assert report.units == ["seconds since 1970-01-01 UTC", ""]
    assert "seconds since 1970-01-01 UTC" in str(report)
    assert "seconds since 1970-01-01 UTC" in report._repr_html_()


# Other libraries ------------------------------------------------------------------------------------------------------


class Tensor:
    """Mimics an array of another library on a device."""

    def __init__(self, values, device="cpu"):
        self.values, self.device, self.shape, self.dtype = values, device, values.shape, values.dtype

    def __array_namespace__(self, api_version=None):
        return types.SimpleNamespace()

    def __array__(self, dtype=None, copy=None):
        if self.device != "cpu":
            raise TypeError(f"can't convert {self.device} device type tensor to numpy")
        return np.asarray(self.values, dtype=dtype)


@pytest.mark.parametrize("dispatch", [False, True])
def test_arrays_of_other_libraries(dispatch):
    expected = NadarayaWatsonRegressor(1.0).fit(X, y, y).predict(X)
    with sklearn.config_context(array_api_dispatch=dispatch):
        model = NadarayaWatsonRegressor(1.0).fit(Tensor(X), Tensor(y), Tensor(y))
        assert_array_equal(model.predict(Tensor(X)), expected)
        assert loo_error(Tensor(X), Tensor(y), 1.0) == loo_error(X, y, 1.0)
        for args, name in (((Tensor(X, "cuda"), y), "X"), ((X, Tensor(y, "cuda")), "y")):
            with pytest.raises(TypeError, match=rf"{name} is a test_inputs\.Tensor on device cuda.*Copy {name} to"):
                NadarayaWatsonRegressor(1.0).fit(*args)
        with pytest.raises(TypeError, match=r"sample_weight is a .* on device cuda"):
            NadarayaWatsonRegressor(1.0).fit(X, y, Tensor(y, "cuda"))
        with pytest.raises(TypeError, match=r"X is a .* on device cuda"):
            model.predict(Tensor(X, "cuda"))


# Ownership ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_model_owns_its_data(rng, dtype):
    given, targets, w = rng.normal(size=(30, 2)).astype(dtype), rng.normal(size=30), rng.integers(0, 3, size=30) * 1.0
    bandwidth = np.array([0.5, 0.7])
    model = NadarayaWatsonRegressor(bandwidth).fit(given, targets, w)
    queries = given.astype(float) + 0.1
    results = [model.predict(queries), model.loo_predict(), model.attention_weights(), model.X_fit_.copy()]
    text = str(model.bandwidth_report())
    for a in (given, targets, w, bandwidth):
        a[:] = 9
    again = [model.predict(queries), model.loo_predict(), model.attention_weights(), model.X_fit_]
    for before, after in zip(results, again, strict=True):
        assert_array_equal(before, after)
    assert str(model.bandwidth_report()) == text


def test_a_read_only_memory_map_is_not_copied(tmp_path, rng):
    np.save(tmp_path / "X.npy", rng.normal(size=(30, 2)))
    mapped = {mode: np.load(tmp_path / "X.npy", mmap_mode=mode) for mode in ("r", "r+", "c")}
    for mode, given in mapped.items():
        model = NadarayaWatsonRegressor(1.0).fit(given, np.arange(30.0))
        assert np.shares_memory(model.X_fit_, given) == (mode == "r")


def test_loo_error_checks_feature_names_as_the_estimator_does():
    frame = pd.DataFrame(np.column_stack([X, X]), columns=["a", 1])
    for call in (lambda: loo_error(frame, y, 1.0), lambda: NadarayaWatsonRegressor(1.0).fit(frame, y)):
        with pytest.raises(TypeError, match="Feature names are only supported if all input features have string names"):
            call()
