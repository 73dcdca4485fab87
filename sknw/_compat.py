"""Every private or version-dependent import of scikit-learn, and the version that moved it."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import joblib
from joblib.parallel import get_active_backend
from sklearn.utils import check_X_y
from sklearn.utils._optional_dependencies import check_matplotlib_support  # private; since 1.5
from sklearn.utils._param_validation import (  # private; since 1.2
    Interval,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.validation import (
    _check_sample_weight,  # private; refuses weights that are all zero since 1.9
    check_is_fitted,
    validate_data,  # a method of BaseEstimator before 1.6
)

if TYPE_CHECKING:  # scikit-learn has no annotations: a type checker would lose the signatures of decorated functions
    from collections.abc import Callable
    from typing import Any, Self, TypeVar

    _F = TypeVar("_F", bound=Callable[..., Any])

    def _fit_context(*, prefer_skip_nested_validation: bool) -> Callable[[_F], _F]: ...

    def validate_params(constraints: dict[str, Any], *, prefer_skip_nested_validation: bool) -> Callable[[_F], _F]: ...

else:
    from sklearn.base import _fit_context  # private; since 1.3
    from sklearn.utils._param_validation import validate_params  # private; since 1.2

__all__ = [
    "CallbackSupportMixin",
    "Interval",
    "StrOptions",
    "_check_sample_weight",
    "_fit_context",
    "check_X_y",
    "check_is_fitted",
    "check_matplotlib_support",
    "joblib_n_jobs",
    "validate_data",
    "validate_parameter_constraints",
    "validate_params",
]


def joblib_n_jobs():
    """What `n_jobs=None` means here: 1 within a joblib worker, what `joblib.parallel_config` says, or None."""
    backend, n_jobs = get_active_backend()
    if (getattr(backend, "nesting_level", None) or 0) > 0:
        return 1
    return n_jobs if hasattr(joblib, "parallel_config") else None  # before 1.3, nothing said was 1


class CallbackSupportMixin:
    """Callbacks, where scikit-learn has them: since 1.9, and experimental.

    Stands for the mixin of that name, whose package takes as long to import as ours (it has a progress bar, of rich).
    Any `fit` of scikit-learn imports it.
    """

    if importlib.util.find_spec("sklearn.callback"):

        def set_callbacks(self, *callbacks: Any) -> Self:
            """Set callbacks for the estimator.

            Parameters
            ----------
            *callbacks : callback instances
                They are told of each step of a fit; none removes those that were set before.

            Returns
            -------
            estimator
                The estimator itself.
            """
            from sklearn.callback import CallbackSupportMixin

            return CallbackSupportMixin.set_callbacks(self, *callbacks)

        def _init_callback_context(self, **kwargs):
            from sklearn.callback import CallbackSupportMixin

            return CallbackSupportMixin._init_callback_context(self, **kwargs)

    else:

        def _init_callback_context(self, **_):
            return _NoContext()


class _NoContext:
    """Stands for the context of callbacks where there are none."""

    def subcontext(self, **_):
        return self

    def call_on_fit_task_begin(self, **_):
        pass

    def call_on_fit_task_end(self, **_):
        return False
