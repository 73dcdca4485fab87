"""
Explaining a prediction
=======================

Which training rows determine a prediction?
"""

# %%
# Bandwidths as relevance
# -----------------------
# The diabetes data have 442 patients, ten features and a measure of disease progression
# after one year. With ``bandwidth="gradient"``, each feature gets its own bandwidth.
# Compare it with the spread of the feature: a bandwidth far above the spread, or an
# infinite one, means that the feature is ignored.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from sknw import NadarayaWatsonRegressor

X, y = load_diabetes(return_X_y=True, scaled=False)
names = ["age", "sex", "bmi", "pressure", "cholesterol", "ldl", "hdl", "ratio"]
names += ["log triglycerides", "glucose"]
X, X_test, y, y_test = train_test_split(X, y, random_state=0)

model = NadarayaWatsonRegressor(bandwidth="gradient").fit(X, y)
print(f"R² on {len(y_test)} held-out patients: {model.score(X_test, y_test):.2f}")
print(f"{'feature':<18} {'spread':>8} {'bandwidth':>10}")
for name, spread, h in zip(names, X.std(axis=0), model.bandwidth_, strict=True):
    print(f"{name:<18} {spread:>8.2f} {h:>10.3g}")

# %%
# Weights of one prediction
# -------------------------
# ``attention_weights`` with ``top_k`` returns the largest weights of each query as a
# sparse array. A prediction is the sum of weights times targets, so the weights are the
# computation itself, not a second model that explains the first. The table shows the
# three features with the smallest bandwidths, relative to their spread.

patient = 0
prediction = model.predict(X_test[[patient]])[0]
top = model.attention_weights(X_test[[patient]], top_k=6)
order = np.argsort(-top.data)
rows, weights = top.indices[order], top.data[order]
relevant = np.argsort(model.bandwidth_ / X.std(axis=0))[:3]


def print_row(*cells):
    """Print one row of a table."""
    cells = (cell if isinstance(cell, str) else f"{cell:.4g}" for cell in cells)
    print("".join(f"{cell:>18}" for cell in cells))


print_row("weight", *(names[i] for i in relevant), "target")
print_row("query", *X_test[patient, relevant], prediction)
for row, weight in zip(rows, weights, strict=True):
    print_row(weight, *X[row, relevant], y[row])
print(f"predicted {prediction:.1f}, observed {y_test[patient]:.1f}")

# %%
# Effective number of rows
# ------------------------
# One over the sum of the squared weights is the effective number of rows of a
# prediction. Predictions with few effective rows deserve a closer look.

attention = model.attention_weights(X_test)
effective = 1 / np.sum(attention**2, axis=1)
low, high = effective.min(), effective.max()
print(f"share of the six rows in this prediction: {weights.sum():.0%}")
print(f"effective rows of this prediction: {effective[patient]:.1f}")
print(
    f"effective rows of all: {low:.1f} to {high:.1f}, median {np.median(effective):.1f}"
)

figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
bmi, triglycerides = names.index("bmi"), names.index("log triglycerides")
weight = attention[patient]
x, z, c = np.column_stack([X[:, [bmi, triglycerides]], weight])[np.argsort(weight)].T
points = axes[0].scatter(x, z, c=c, s=24, cmap="Blues", ec="0.75", lw=0.5)
query = X_test[patient, [bmi, triglycerides]]
axes[0].plot(*query, "x", color="C3", ms=10, mew=2.5, label="query")
axes[0].set(xlabel="bmi", ylabel="log triglycerides", title="Weights of one prediction")
axes[0].legend()
figure.colorbar(points, ax=axes[0], label="attention weight")

share = np.cumsum(-np.sort(-attention, axis=1), axis=1)
k = np.arange(1, len(y) + 1)
axes[1].plot(k, share.T, color="0.75", lw=0.7)
axes[1].plot(
    k, np.median(share, axis=0), color="C0", lw=2, label="median of all queries"
)
axes[1].plot(k, share[patient], color="C3", lw=2, label="the query on the left")
axes[1].set(xscale="log", xlabel="number of largest weights, k", ylabel="their share")
axes[1].set_title("Concentration of the weights")
_ = axes[1].legend(loc="lower right")

# %%
# The weights show which patients the model treats as similar. They do not show that
# these patients are similar in what matters; with the R² above, the model is often
# wrong.

plt.show()
