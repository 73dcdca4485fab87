"""
Far from the data
=================

What does an average of the rows in reach say where no row is in reach?
"""

# %%
# Windows that end
# ----------------
# The curve of the textbook example, with a gap from 2 to 3.4, and queries that start before the data and end after
# them. The Epanechnikov kernel ends at its bandwidth: in the gap, and outside, some queries have nobody. The parameter
# ``empty`` says what they get. The default is the nearest row, because that is what every window tends to as it
# narrows. The mean of all is a constant that knows nothing of the place; NaN is for those who check.
#
# None of them comes without a word: a warning counts the queries.

import warnings

import matplotlib.pyplot as plt
import numpy as np

from sknw import EmptyNeighborhoodError, EmptyNeighborhoodWarning, NadarayaWatsonRegressor
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
# The fourth value, "raise", is for programs that must not answer out of reach.

model = NadarayaWatsonRegressor(0.4, kernel="epanechnikov", empty="raise").fit(X, y)
try:
    model.predict(queries)
except EmptyNeighborhoodError as error:
    print(f"EmptyNeighborhoodError: {error}")

# %%
# The Gaussian reaches everywhere, and still has to say something out there: its weights are relative, so that the
# nearest rows win. With more distance the prediction slides from an average of the last rows to the last row alone.

gaussian = NadarayaWatsonRegressor(0.3).fit(X, y)
predictions["Gaussian"] = gaussian.predict(queries)
print("distance from the last row, prediction, weight of the last row")
for distance in (0.0, 0.5, 2.0, 10.0, 100.0, 1e6):
    query = X[-1:] + distance
    print(f"{distance:>10g} {gaussian.predict(query)[0]:>8.4f} {gaussian.attention_weights(query)[0, -1]:>8.4f}")
print(f"the last row itself: {y[-1]:.4f}")

# %%
# What it looks like
# ------------------
# Grey bands hold the queries that no row is in reach of. The Gaussian has none; there the band is where the window of
# the others would be empty.

void = np.isnan(predictions["nan"])
figure, axes = plt.subplots(2, 2, figsize=(10, 6.4), sharex=True, sharey=True, layout="constrained")
titles = {
    "nearest": 'empty="nearest", the default',
    "mean": 'empty="mean"',
    "nan": 'empty="nan"',
    "Gaussian": 'kernel="gaussian"',
}
for ax, (name, title) in zip(axes.flat, titles.items(), strict=True):
    ax.fill_between(queries[:, 0], 0, 1, where=void, color="0.92", transform=ax.get_xaxis_transform(), lw=0)
    ax.scatter(X[:, 0], y, s=12, color="0.6", label="training data")
    ax.plot(queries[:, 0], predictions[name], color="C3", linewidth=2, label="prediction")
    ax.set(title=title, xlabel="x", ylabel="y")
    ax.label_outer()
axes[0, 0].legend(loc="lower right")

# %%
# None of the four continues a trend. An average cannot leave the range of the targets, and out there one row, with its
# noise, may be all that is left of it. Where a trend must be continued, this is the wrong model: use a linear one, or
# fit this one to its residuals.

plt.show()
