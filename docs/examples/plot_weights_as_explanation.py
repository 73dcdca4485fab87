"""
Weights as an explanation
=========================

Which rows made this prediction?
"""

# %%
# A model that shows its sources
# ------------------------------
# The diabetes data again: ten features of 442 patients, and a measure of how the disease went on after a year.
# ``bandwidth="gradient"`` gives each feature its own bandwidth. Read beside the spread of the feature, it tells what
# counts as alike.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from sknw import NadarayaWatsonRegressor

X, y = load_diabetes(return_X_y=True, scaled=False)
names = ["age", "sex", "bmi", "pressure", "cholesterol", "ldl", "hdl", "ratio", "log triglycerides", "glucose"]
X, X_test, y, y_test = train_test_split(X, y, random_state=0)

model = NadarayaWatsonRegressor(bandwidth="gradient").fit(X, y)
print(f"R² on {len(y_test)} patients held back: {model.score(X_test, y_test):.2f}")
print(f"{'feature':<18} {'spread':>8} {'bandwidth':>10}")
for name, spread, h in zip(names, X.std(axis=0), model.bandwidth_, strict=True):
    print(f"{name:<18} {spread:>8.2f} {h:>10.3g}")

# %%
# A bandwidth far above the spread, or an infinite one, says that the feature does not count. One below the spread says
# that a row must be close in it to have a say.
#
# One prediction
# --------------
# ``attention_weights`` with ``top_k`` keeps the largest weights of each query, as a sparse array. A prediction is the
# sum of weight times target over all rows: the weights are the computation itself, not a second model that explains the
# first.

patient = 0
prediction = model.predict(X_test[[patient]])[0]
top = model.attention_weights(X_test[[patient]], top_k=6)
order = np.argsort(-top.data)
rows, weights = top.indices[order], top.data[order]
counts = np.flatnonzero(model.bandwidth_ < 2 * X.std(axis=0))

print("".join(f"{title:>19}" for title in ["weight", *[names[i] for i in counts], "target"]))
print(f"{'the query':>19}" + "".join(f"{value:>19.4g}" for value in X_test[patient, counts]) + f"{prediction:>19.1f}")
for row, weight in zip(rows, weights, strict=True):
    print(f"{weight:>19.3f}" + "".join(f"{value:>19.4g}" for value in X[row, counts]) + f"{y[row]:>19.1f}")
print(f"predicted {prediction:.1f}, observed {y_test[patient]:.1f}")

# %%
# How many rows it takes differs from query to query. One over the sum of the squared weights says how many rows a
# prediction is worth. Some hang on a handful: these are the ones to look at before they are used.

everything = model.attention_weights(X_test)
worth = 1 / np.sum(everything**2, axis=1)
print(f"the six rows carry {weights.sum():.0%} of this prediction, which is worth {worth[patient]:.1f} rows")
print(f"over all held back: worth {worth.min():.1f} to {worth.max():.1f} rows, median {np.median(worth):.1f}")

figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
bmi, triglycerides = names.index("bmi"), names.index("log triglycerides")
weight = everything[patient]
by_weight = np.argsort(weight)
points = axes[0].scatter(
    X[by_weight, bmi], X[by_weight, triglycerides], c=weight[by_weight], s=24, cmap="Blues", ec="0.75", lw=0.5
)
axes[0].plot(X_test[patient, bmi], X_test[patient, triglycerides], "x", color="C3", ms=10, mew=2.5, label="the query")
axes[0].set(xlabel="bmi", ylabel="log triglycerides", title="Rows, by their weight in one prediction")
axes[0].legend()
figure.colorbar(points, ax=axes[0], label="attention weight")

share = np.cumsum(-np.sort(-everything, axis=1), axis=1)
k = np.arange(1, len(y) + 1)
axes[1].plot(k, share.T, color="0.75", linewidth=0.7)
axes[1].plot(k, np.median(share, axis=0), color="C0", linewidth=2, label="median of all queries")
axes[1].plot(k, share[patient], color="C3", linewidth=2, label="the query on the left")
axes[1].set(xscale="log", xlabel="number of largest weights", ylabel="share of the weight", title="How many it takes")
axes[1].legend(loc="lower right")

# %%
# What this does not say: that these patients are alike in what matters. It says that the model took them to be alike,
# and with an R² like the one above it is often wrong.

plt.show()
