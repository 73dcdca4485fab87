"""
Far from the data
=================

What does the estimator predict where no training point is near?
"""

# %%
# Compact kernels
# ---------------
# The data have a gap from 2 to 3.4, and the queries extend beyond the data on both
# sides. The support of the Epanechnikov kernel ends at its bandwidth, so some queries
# have an empty neighborhood. The parameter ``empty`` determines their prediction: the
# nearest training target (default), the mean of all targets, or NaN. A warning states
# the number of such queries.

import warnings

import matplotlib.pyplot as plt
import numpy as np

from sknw import (
    EmptyNeighborhoodError,
    EmptyNeighborhoodWarning,
    NadarayaWatsonRegressor,
)
from sknw.datasets import make_sine

X, y = make_sine(80, noise=0.3, random_state=0)
keep = (X[:, 0] < 2) | (X[:, 0] > 3.4)
X, y = X[keep], y[keep]
queries = np.linspace(-1.5, 6.5, 801)[:, None]

predictions = {}
for empty in ("nearest", "mean", "nan"):
    model = NadarayaWatsonRegressor(0.4, kernel="epanechnikov", empty=empty).fit(X, y)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", EmptyNeighborhoodWarning)
        predictions[empty] = model.predict(queries)
    print(f"{empty}: {caught[0].message}\n")

# %%
# With ``empty="raise"``, such queries raise an error.

model = NadarayaWatsonRegressor(0.4, kernel="epanechnikov", empty="raise").fit(X, y)
try:
    model.predict(queries)
except EmptyNeighborhoodError as error:
    print(f"EmptyNeighborhoodError: {error}")

# %%
# Gaussian kernel
# ---------------
# The Gaussian is positive everywhere, and its weights are relative to the nearest
# training point. With increasing distance, the prediction converges to the target of
# the last training point.

gaussian = NadarayaWatsonRegressor(0.3).fit(X, y)
predictions["Gaussian"] = gaussian.predict(queries)
print("distance from the last row, prediction, weight of the last row")
for distance in (0.0, 0.5, 2.0, 10.0, 100.0, 1e6):
    query = X[-1:] + distance
    weight = gaussian.attention_weights(query)[0, -1]
    print(f"{distance:>10g} {gaussian.predict(query)[0]:>8.4f} {weight:>8.4f}")
print(f"target of the last row: {y[-1]:.4f}")

# %%
# Comparison
# ----------
# Gray bands mark queries with an empty neighborhood of the Epanechnikov kernel.

void = np.isnan(predictions["nan"])
figure, axes = plt.subplots(
    2, 2, figsize=(10, 6.4), sharex=True, sharey=True, layout="constrained"
)
titles = {
    "nearest": 'empty="nearest" (default)',
    "mean": 'empty="mean"',
    "nan": 'empty="nan"',
    "Gaussian": 'kernel="gaussian"',
}
for ax, (name, title) in zip(axes.flat, titles.items(), strict=True):
    band = {"where": void, "color": "0.92", "lw": 0}
    ax.fill_between(queries[:, 0], 0, 1, transform=ax.get_xaxis_transform(), **band)
    ax.scatter(X[:, 0], y, s=12, color="0.6", label="training data")
    ax.plot(queries[:, 0], predictions[name], color="C3", lw=2, label="prediction")
    ax.set(title=title, xlabel="x", ylabel="y")
    ax.label_outer()
_ = axes[0, 0].legend(loc="lower right")

# %%
# None of the four extrapolates a trend: an average cannot leave the range of the
# targets, and far away it may be a single noisy target. If trends matter outside the
# data, use a linear model, or fit this estimator to its residuals.

plt.show()
