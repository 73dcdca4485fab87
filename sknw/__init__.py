"""The Nadaraya-Watson estimator, also known as attention pooling, for scikit-learn.

``from sknw import NadarayaWatsonRegressor`` is all that most people need. The distribution is called scikit-nw.
"""

import pathlib as _pathlib
import typing as _t
import warnings as _warnings

from . import datasets
from ._convert import convert_bandwidth
from ._criterion import loo_error
from ._display import AttentionDisplay, BandwidthDisplay, RegressionDisplay
from ._exceptions import EmptyNeighborhoodError, EmptyNeighborhoodWarning, InconsistentVersionWarning
from ._regressor import NadarayaWatsonRegressor
from ._version import __version__
from ._warm_up import warm_up

__all__ = [
    "AttentionDisplay",
    "BandwidthDisplay",
    "EmptyNeighborhoodError",
    "EmptyNeighborhoodWarning",
    "InconsistentVersionWarning",
    "NadarayaWatsonRegressor",
    "RegressionDisplay",
    "__version__",
    "convert_bandwidth",
    "datasets",
    "loo_error",
    "warm_up",
]

# PyPI has another package of this import name, which builds graphs from image skeletons. pip installs both into one
# folder without a word.
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
