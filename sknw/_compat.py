"""Every private or version-dependent import of scikit-learn, and the version that moved it."""

from joblib.parallel import get_active_backend
from sklearn.base import _fit_context  # private; since 1.3
from sklearn.utils import check_X_y
from sklearn.utils._optional_dependencies import check_matplotlib_support  # private; since 1.5
from sklearn.utils._param_validation import Interval, StrOptions, validate_params  # private; since 1.2
from sklearn.utils.validation import (
    _check_sample_weight,  # private; refuses weights that are all zero since 1.9
    check_is_fitted,
    validate_data,  # a method of BaseEstimator before 1.6
)

try:
    from sklearn.callback import CallbackSupportMixin  # experimental; since 1.9
except ImportError:

    class _Context:
        """Stands for the context of callbacks where there are none."""

        def subcontext(self, **_):
            return self

        def call_on_fit_task_begin(self, **_):
            pass

        def call_on_fit_task_end(self, **_):
            return False

    class CallbackSupportMixin:
        """Stands for the mixin of scikit-learn where there is none."""

        def _init_callback_context(self, **_):
            return _Context()


__all__ = [
    "CallbackSupportMixin",
    "Interval",
    "StrOptions",
    "_check_sample_weight",
    "_fit_context",
    "check_X_y",
    "check_is_fitted",
    "check_matplotlib_support",
    "in_joblib_worker",
    "validate_data",
    "validate_params",
]


def in_joblib_worker():
    """Whether this code runs as a task of a joblib pool, whose workers share the processors among them."""
    backend, _ = get_active_backend()
    return (getattr(backend, "nesting_level", None) or 0) > 0
