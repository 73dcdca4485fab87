"""Data as users have them, before scikit-learn's validation: masks, dates, durations and arrays of other libraries.

Dates become seconds since 1970-01-01 00:00 UTC, durations become seconds, whatever their units: NumPy's datetime64 and
timedelta64, Python's and pandas' objects, and columns of data frames. Dates without a time zone are taken as UTC.
Missing dates become NaN, which the validation that follows refuses.
"""

import datetime

import numpy as np
from scipy import sparse

#: Seconds per unit of a date or duration, as a fraction: the units of NumPy but for years and months.
_SECONDS = {
    **{"W": (604800, 1), "D": (86400, 1), "h": (3600, 1), "m": (60, 1), "s": (1, 1)},
    **{"ms": (1, 10**3), "us": (1, 10**6), "ns": (1, 10**9), "ps": (1, 10**12), "fs": (1, 10**15), "as": (1, 10**18)},
}
_NAMES = {"date": "seconds since 1970-01-01 UTC", "duration": "seconds"}


def check_mask(values, name):
    """Raise if an array has masked values: NumPy drops the mask on conversion."""
    is_list = isinstance(values, (list, tuple))
    if any(map(_is_masked, values)) if is_list else _is_masked(values):
        raise TypeError(
            f"{name} is a masked array, and its mask would be ignored. Drop the rows with masked values, "
            f"for example by np.ma.compress_rows, or replace these by {name}.filled(value)."
        )


def _is_masked(values):
    return isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values)


def to_numpy(values, name):
    """Convert an array of torch, CuPy, dask, ... to NumPy; return anything else unchanged."""
    is_foreign = hasattr(values, "__array_namespace__") or hasattr(values, "__dlpack__")
    is_foreign |= type(values).__module__.partition(".")[0] == "dask"
    if isinstance(values, (np.ndarray, np.generic)) or not is_foreign or hasattr(values, "columns"):
        return values
    try:
        return np.asarray(values) if hasattr(values, "__array__") else np.from_dlpack(values)
    except Exception as error:  # each library has its own
        device = getattr(values, "device", None)
        where = "" if device is None else f" on device {device}"
        raise TypeError(
            f"{name} is a {type(values).__module__}.{type(values).__name__}{where}, which cannot be converted to a "
            f"NumPy array ({error}). Copy {name} to the CPU first."
        ) from error


def to_numbers(X):
    """Replace dates and durations in a table by numbers of seconds.

    Parameters
    ----------
    X : array-like or data frame of shape (n, d)

    Returns
    -------
    X : array-like or data frame
        With its column names, if it had any; the same object if it holds neither dates nor durations.
    kinds : dict of int to str
        "date" or "duration", for each column that was replaced.

    Raises
    ------
    TypeError
        If X has masked values, is on another device, or mixes dates with numbers in one column.
    """
    check_mask(X, "X")
    if sparse.issparse(X):
        return X, {}
    X = to_numpy(X, "X")
    if isinstance(X, (list, tuple)):
        X = _array_if_dates(X)
    if isinstance(X, np.ndarray):
        return _array_to_numbers(X) if X.dtype.kind in "mMO" and X.ndim == 2 else (X, {})
    found = {}
    for j, column in enumerate(_columns(X)):
        values = _date_values(column)
        if values is not None and (converted := _to_seconds(values, j)) is not None:
            found[j] = converted
    if found:
        X = _with_columns(X, {j: seconds for j, (seconds, _) in found.items()})
    return X, {j: kind for j, (_, kind) in found.items()}


def unit_of(kind):
    """Return the unit of a column of dates or durations, in words; an empty string for numbers."""
    return _NAMES.get(kind, "")


def to_dates(seconds, kind):
    """Convert seconds to NumPy dates or durations; return numbers unchanged if `kind` is None."""
    if kind is None:
        return seconds
    ticks = np.round(np.asarray(seconds, dtype=np.float64) * 1e6).astype(np.int64)
    return ticks.view("M8[us]" if kind == "date" else "m8[us]")


def _array_if_dates(X):
    """Convert a nested list whose first row has dates to an array of objects."""
    row = X[0] if len(X) else None
    if not isinstance(row, (list, tuple, np.ndarray)) or not any(_kind(value) for value in row):
        return X
    try:
        return np.array(X, dtype=object)
    except ValueError:  # rows of different lengths, which the validation names
        return X


def _array_to_numbers(X):
    """Replace dates and durations in an array, as `to_numbers`."""
    if X.dtype.kind in "mM":
        seconds, kind = _count_seconds(X)
        return seconds, dict.fromkeys(range(X.shape[1]), kind)
    kinds = {}
    for j in range(X.shape[1]):
        converted = _to_seconds(X[:, j], j)
        if converted is not None:
            X = X.copy() if not kinds else X
            X[:, j], kinds[j] = converted
    return X, kinds


def _columns(X):
    """Return the columns of a data frame of pandas, polars or pyarrow, else an empty list."""
    library = type(X).__module__.partition(".")[0]
    if library == "pandas" and hasattr(X, "iloc") and X.ndim == 2:
        return [X.iloc[:, j] for j in range(X.shape[1])]
    if library == "polars" and hasattr(X, "get_columns"):
        return X.get_columns()
    if library == "pyarrow" and hasattr(X, "column_names"):
        return [X.column(j) for j in range(X.num_columns)]
    return []


def _date_values(column):
    """Return a column of dates, durations or objects as an array; None for other types."""
    kind = str(getattr(column, "dtype", None) or column.type).lower()
    if not kind.startswith(("date", "time", "duration", "object", "period")):
        return None
    if getattr(getattr(column, "dtype", None), "kind", None) == "M" and getattr(column.dtype, "tz", None) is not None:
        column = column.dt.tz_convert(None)
    return np.asarray(column.to_numpy() if hasattr(column, "dtype") else column)


def _with_columns(X, columns):
    """Return a data frame with some columns replaced."""
    library = type(X).__module__.partition(".")[0]
    if library == "pandas":
        X = X.copy(deep=False)
        for j, values in columns.items():
            X.isetitem(j, values)
        return X
    if library == "polars":
        series = X.get_columns()
        return X.with_columns([type(series[j])(series[j].name, values) for j, values in columns.items()])
    for j, values in columns.items():
        X = X.set_column(j, X.column_names[j], [values] if hasattr(X, "combine_chunks") else values)
    return X


def _kind(value):
    """Return whether a scalar is a "date" or a "duration"; None if neither."""
    if isinstance(value, (datetime.timedelta, np.timedelta64)):
        return "duration"
    return "date" if isinstance(value, (datetime.date, np.datetime64)) else None


def _is_missing(value):
    is_nan = isinstance(value, float) and value != value
    return is_nan or value is None or type(value).__name__ in ("NaTType", "NAType")


def _to_seconds(values, j):
    """Return seconds and kind of a column of dates or durations; None if it holds neither."""
    if values.dtype.kind in "mM":
        return _count_seconds(values)
    if values.dtype.kind != "O":
        return None
    missing = np.array([_is_missing(value) for value in values], dtype=bool)
    kinds = {_kind(value) for value in values[~missing]}
    if not kinds - {None}:
        return None
    if len(kinds) > 1:
        names = sorted(f"{kind}s" if kind else "other values" for kind in kinds)
        raise TypeError(f"Column {j} of X mixes {' and '.join(names)}; use one type per column.")
    seconds = np.full(len(values), np.nan)
    seconds[~missing] = [_scalar_seconds(value) for value in values[~missing]]
    return seconds, kinds.pop()


def _scalar_seconds(value):
    """Return the seconds of one date or duration."""
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        value = value.astimezone(datetime.UTC).replace(tzinfo=None)
    for convert in ("to_datetime64", "to_timedelta64"):  # of pandas, with nanoseconds
        if hasattr(value, convert):
            value = getattr(value, convert)()
    if isinstance(value, (datetime.date, datetime.timedelta)):
        value = np.timedelta64(value, "us") if isinstance(value, datetime.timedelta) else np.datetime64(value)
    return float(_count_seconds(np.array([value]))[0][0])


def _count_seconds(values):
    """Return seconds and kind of an array of NumPy dates or durations; NaN for NaT.

    Whole seconds are split off first, so that the result does not depend on the unit.
    """
    unit, step = np.datetime_data(values.dtype)
    kind = "date" if values.dtype.kind == "M" else "duration"
    if unit in ("Y", "M") and kind == "date":
        values, unit, step = values.astype("M8[D]"), "D", 1
    if unit not in _SECONDS:
        raise ValueError(
            f"X has values of dtype {values.dtype}, which are no fixed number of seconds. Convert them to days or "
            "seconds."
        )
    many, parts = _SECONDS[unit]
    ticks = values.astype(np.int64)
    whole, rest = np.divmod(np.abs(ticks), parts)
    seconds = np.sign(ticks) * (whole.astype(np.float64) * step * many + rest * step / parts)
    return np.where(np.isnat(values), np.nan, seconds), kind
