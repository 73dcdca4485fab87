"""What displays share: axes to draw on, and the estimator inside pipelines and searches.

Displays follow scikit-learn's conventions: data in `__init__`, computation in `from_estimator`, drawing in `plot`. The
methods that draw import matplotlib.
"""

import numpy as np
from sklearn.pipeline import Pipeline

from .._compat import check_is_fitted, check_matplotlib_support
from .._estimators.inputs import to_numbers


class Display:
    """Axes to draw on, shared by all displays."""

    def _axes(self, ax):
        """Return the axes given, or new ones; they are kept as `ax_` and `figure_`."""
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots(layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        return ax


def column_of(X, feature):
    """Return one column of an array or data frame, dates in seconds."""
    return np.asarray(to_numbers(X)[0], dtype=np.float64)[:, feature]


def unwrap(estimator):
    """Return the last estimator of a search or pipeline, and the transformation of its input."""
    check_is_fitted(estimator)
    estimator = getattr(estimator, "best_estimator_", estimator)
    if not isinstance(estimator, Pipeline):
        return estimator, lambda X: X
    last, transform = unwrap(estimator[-1])
    steps = estimator[:-1]
    return last, (lambda X: transform(steps.transform(X))) if len(steps) else transform


def find_feature(estimator, feature):
    """Return the number and the name of a feature given by either."""
    names = list(getattr(estimator, "feature_names_in_", [f"x{i}" for i in range(estimator.n_features_in_)]))
    if isinstance(feature, str):
        if feature not in names:
            raise ValueError(f"There is no feature {feature!r}; the features are {names}.")
        return names.index(feature), feature
    if not -len(names) <= feature < len(names):
        raise ValueError(f"There is no feature number {feature}; there are {len(names)} features.")
    return int(feature) % len(names), names[feature]
