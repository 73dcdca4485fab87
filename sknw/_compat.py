"""Private or version-dependent imports of scikit-learn, each with the version that changed it."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import joblib
from joblib.parallel import get_active_backend
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
    "RealInterval",
    "StrOptions",
    "_check_sample_weight",
    "_fit_context",
    "check_is_fitted",
    "check_matplotlib_support",
    "joblib_n_jobs",
    "validate_data",
    "validate_parameter_constraints",
    "validate_params",
]


class RealInterval(Interval):
    """An interval of real numbers of any type: scikit-learn's fails for fractions."""

    def __contains__(self, value):
        try:
            return super().__contains__(float(value))
        except OverflowError:  # integers and fractions beyond 1e308
            return False


def joblib_n_jobs():
    """Return the number of jobs that `n_jobs=None` means: 1 in a joblib worker, that of `parallel_config`, or None."""
    backend, n_jobs = get_active_backend()
    if (getattr(backend, "nesting_level", None) or 0) > 0:
        return 1
    return n_jobs if hasattr(joblib, "parallel_config") else None  # before 1.3, nothing said was 1


class CallbackSupportMixin:
    """Support of callbacks if scikit-learn has them: since 1.9, and experimental.

    Stands for scikit-learn's mixin of that name, whose import takes as long as that of this package.
    """

    if importlib.util.find_spec("sklearn.callback"):

        def set_callbacks(self, *callbacks: Any) -> Self:
            """Set callbacks for the estimator.

            Parameters
            ----------
            *callbacks : callback instances
                Called at each step of a fit. They replace callbacks that were set before.

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
    """Stands for the context of callbacks if scikit-learn has none."""

    def subcontext(self, **_):
        return self

    def call_on_fit_task_begin(self, **_):
        pass

    def call_on_fit_task_end(self, **_):
        return False
