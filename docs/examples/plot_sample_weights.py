"""
Sample weights
==============

What does a weight of 3 mean: three observations, or one that is three times as good?
"""

# %%
# Counts
# ------
# A weight counts observations. A row of weight 3 is three rows that are alike: the same predictions, the same
# leave-one-out error, and hence the same bandwidth. Leave-one-out takes one observation out of the row, and two stay.

import matplotlib.pyplot as plt
import numpy as np

from sknw import NadarayaWatsonRegressor, RegressionDisplay
from sknw.datasets import make_sine

X, y = make_sine(100, random_state=0)
counts = np.random.default_rng(0).poisson(1.5, size=len(y))
queries = np.linspace(0, 5, 501)[:, None]

counted = NadarayaWatsonRegressor().fit(X, y, sample_weight=counts)
repeated = NadarayaWatsonRegressor().fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
print(f"rows: {len(y)} with weights, {counts.sum()} repeated; {np.sum(counts == 0)} of weight zero")
print(f"bandwidth: {counted.bandwidth_[0]:.10f} and {repeated.bandwidth_[0]:.10f}")
print(f"leave-one-out error: {-counted.best_score_:.10f} and {-repeated.best_score_:.10f}")
print(f"largest difference of predictions: {np.abs(counted.predict(queries) - repeated.predict(queries)).max():.1g}")

# %%
# That is right where the observations are independent and happen to agree, as in a table of coarse values. It is a trap
# where they are copies, as in a bootstrap sample, and as here: a row that counts twice predicts itself when one of the
# two is left out, and the bandwidth gets far too narrow. With weights of at most 1 the whole row is left out. So scale
# the weights of copies.

plain = NadarayaWatsonRegressor().fit(X, y)
scaled = NadarayaWatsonRegressor().fit(X, y, sample_weight=counts / counts.max())
for name, model in (("each row once", plain), ("counts", counted), ("counts, scaled to at most 1", scaled)):
    print(f"{name:<28} h = {model.bandwidth_[0]:.4f}")

# %%
# Precisions
# ----------
# Rows that are measured with different errors should count by one over the variance. Such weights are no counts; scale
# them so that the largest is 1. Then leave-one-out takes out whole rows, and the scale does not matter.
#
# Two instruments measure the same curve, one with a noise of 0.2, the other with 1.5. Over fifty draws:


def truth(x):
    """Give the curve without noise."""
    return 2 * np.sin(x) + x**0.8


def two_instruments(random_state):
    """Points, targets and the standard deviation of the noise of each."""
    rng = np.random.default_rng(random_state)
    X = np.sort(rng.uniform(0, 5, size=(80, 1)), axis=0)
    sigma = np.where(rng.uniform(size=80) < 0.5, 0.2, 1.5)
    return X, truth(X[:, 0]) + sigma * rng.normal(size=80), sigma


def rmse(model):
    """Root mean squared distance from the true curve."""
    return np.sqrt(np.mean((model.predict(queries) - truth(queries[:, 0])) ** 2))


errors = []
for draw in range(50):
    X, y, sigma = two_instruments(draw)
    precision = np.min(sigma) ** 2 / sigma**2
    good = sigma == np.min(sigma)
    errors.append(
        [
            rmse(NadarayaWatsonRegressor().fit(X, y)),
            rmse(NadarayaWatsonRegressor().fit(X, y, sample_weight=precision)),
            rmse(NadarayaWatsonRegressor().fit(X[good], y[good])),
        ]
    )
for name, values in zip(
    ("without weights", "with precisions", "the good rows alone"), np.transpose(errors), strict=True
):
    print(f"{name:<20} RMSE: median {np.median(values):.3f}, worst {np.max(values):.3f}")

# %%
# Weights help much. With instruments that differ this much, rows of the bad one add next to nothing: the good rows
# alone do about as well.

X, y, sigma = two_instruments(0)
precision = np.min(sigma) ** 2 / sigma**2
figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), sharex=True, sharey=True, layout="constrained")
for ax, title, weight in zip(axes, ("without weights", "with precisions"), (None, precision), strict=True):
    model = NadarayaWatsonRegressor().fit(X, y, sample_weight=weight)
    size = 20 if weight is None else 6 + 30 * weight
    name = f"h = {model.bandwidth_[0]:.3f}"
    RegressionDisplay.from_estimator(model, X, y, truth=truth, name=name, ax=ax, scatter_kw={"s": size})
    ax.set_title(title)
    ax.label_outer()

plt.show()
