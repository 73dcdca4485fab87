"""
Sample weights
==============

Does a weight of 3 mean three observations, or an observation that is three times as
precise?
"""

# %%
# Counts
# ------
# A weight is a number of observations. A row of weight 3 is the same as three equal
# rows: predictions, leave-one-out error and bandwidth are equal. Leave-one-out removes
# one observation of the row, and two remain.

import matplotlib.pyplot as plt
import numpy as np

from sknw import NadarayaWatsonRegressor, RegressionDisplay
from sknw.datasets import make_sine

X, y = make_sine(100, random_state=0)
counts = np.random.default_rng(0).poisson(1.5, size=len(y))
queries = np.linspace(0, 5, 501)[:, None]

counted = NadarayaWatsonRegressor().fit(X, y, sample_weight=counts)
X_long, y_long = np.repeat(X, counts, axis=0), np.repeat(y, counts)
repeated = NadarayaWatsonRegressor().fit(X_long, y_long)
difference = np.abs(counted.predict(queries) - repeated.predict(queries)).max()
print(f"{len(y)} rows with weights, {np.sum(counts == 0)} of them 0")
print(f"{len(y_long)} repeated rows")
print(f"bandwidth: {counted.bandwidth_[0]:.10f} and {repeated.bandwidth_[0]:.10f}")
print(f"error: {-counted.best_score_:.10f} and {-repeated.best_score_:.10f}")
print(f"largest difference of predictions: {difference:.1g}")

# %%
# Counts are right if the observations are independent and happen to agree, as in a
# table of rounded values. They are wrong for copies, as in a bootstrap sample and in
# this example. A row that counts twice predicts itself when one of the two is left out,
# so the bandwidth becomes too small. With weights of at most 1, leave-one-out removes
# the whole row. So divide weights of copies by their maximum.

plain = NadarayaWatsonRegressor().fit(X, y)
scaled = NadarayaWatsonRegressor().fit(X, y, sample_weight=counts / counts.max())
models = {
    "each row once": plain,
    "counts": counted,
    "counts, divided by their maximum": scaled,
}
for name, model in models.items():
    print(f"{name:<33} h = {model.bandwidth_[0]:.4f}")

# %%
# Precisions
# ----------
# Rows that are measured with different errors should be weighted by one over the
# variance. These weights are not counts. Divide them by their maximum: leave-one-out
# then removes whole rows, and the scale does not matter.
#
# In this example, two instruments measure the same curve, with noise 0.2 and 1.5. The
# figures are for fifty samples.


def truth(x):
    """Return the curve without noise."""
    return 2 * np.sin(x) + x**0.8


def two_instruments(random_state):
    """Return points, targets and the standard deviation of the noise of each."""
    rng = np.random.default_rng(random_state)
    X = np.sort(rng.uniform(0, 5, size=(80, 1)), axis=0)
    sigma = np.where(rng.uniform(size=80) < 0.5, 0.2, 1.5)
    return X, truth(X[:, 0]) + sigma * rng.normal(size=80), sigma


def rmse(model):
    """Return the root mean squared error against the true curve."""
    return np.sqrt(np.mean((model.predict(queries) - truth(queries[:, 0])) ** 2))


errors = {"without weights": [], "with precisions": [], "precise rows only": []}
for i in range(50):
    X, y, sigma = two_instruments(i)
    weights = (
        None,
        np.min(sigma) ** 2 / sigma**2,
        (sigma == np.min(sigma)).astype(float),
    )
    for values, weight in zip(errors.values(), weights, strict=True):
        values.append(rmse(NadarayaWatsonRegressor().fit(X, y, sample_weight=weight)))
for name, values in errors.items():
    print(f"{name:<18} RMSE: median {np.median(values):.3f}, worst {max(values):.3f}")

# %%
# Weights reduce the error much. The instruments differ so much that the imprecise rows
# add almost nothing: the precise rows alone are about as good.

X, y, sigma = two_instruments(0)
precision = np.min(sigma) ** 2 / sigma**2
figure, axes = plt.subplots(
    1, 2, figsize=(10, 4.2), sharex=True, sharey=True, layout="constrained"
)
titles = ("without weights", "with precisions")
for ax, title, weight in zip(axes, titles, (None, precision), strict=True):
    model = NadarayaWatsonRegressor().fit(X, y, sample_weight=weight)
    RegressionDisplay.from_estimator(
        model,
        X,
        y,
        truth=truth,
        name=f"h = {model.bandwidth_[0]:.3f}",
        ax=ax,
        scatter_kw={"s": 20 if weight is None else 6 + 30 * weight},
    )
    ax.set_title(title)
    ax.label_outer()

plt.show()
