"""The Nadaraya-Watson estimator, also known as attention pooling, for scikit-learn.

Start with `NadarayaWatsonRegressor` or `NadarayaWatsonClassifier`. The distribution is called scikit-nw.
"""

import pathlib as _pathlib
import typing as _t
import warnings as _warnings

from . import datasets
from ._convert import convert_bandwidth
from ._estimators.classifier import NadarayaWatsonClassifier
from ._estimators.loo_error import loo_error
from ._estimators.regressor import NadarayaWatsonRegressor
from ._estimators.warm_up import warm_up
from ._exceptions import EmptyNeighborhoodError, EmptyNeighborhoodWarning, InconsistentVersionWarning
from ._inspection.attention_display import AttentionDisplay
from ._inspection.bandwidth_display import BandwidthDisplay
from ._inspection.regression_display import RegressionDisplay
from ._version import __version__

__all__ = [
    "AttentionDisplay",
    "BandwidthDisplay",
    "EmptyNeighborhoodError",
    "EmptyNeighborhoodWarning",
    "InconsistentVersionWarning",
    "NadarayaWatsonClassifier",
    "NadarayaWatsonRegressor",
    "RegressionDisplay",
    "__version__",
    "convert_bandwidth",
    "datasets",
    "loo_error",
    "warm_up",
]

# PyPI has another package with this import name, which builds graphs from image skeletons. pip installs both into one
# folder without a warning.
_OTHER = {"build_graph", "build_sknw", "draw_graph", "mark", "parse_struc"}

if (_pathlib.Path(__file__).parent / "sknw.py").exists():
    _warnings.warn(
        "Two packages are installed under the name sknw: this one (scikit-nw, kernel regression) and PyPI's 'sknw' "
        "(graphs from skeletons), which it hides. Run 'pip uninstall sknw scikit-nw' and install the one you want; "
        "keep the other in an environment of its own.",
        stacklevel=2,
    )


if not _t.TYPE_CHECKING:  # type checkers would accept any name

    def __getattr__(name):
        if name in _OTHER:
            raise AttributeError(
                f"sknw.{name} belongs to PyPI's package 'sknw' (graphs from skeletons); this is scikit-nw (kernel "
                "regression), which has the same import name. Install 'sknw' in an environment without scikit-nw."
            )
        raise AttributeError(f"module 'sknw' has no attribute {name!r}")
