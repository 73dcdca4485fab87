"""
Attention pooling with a learned width
======================================

The textbook *Dive into Deep Learning* introduces attention by a regression in one
variable. The prediction at a query is a weighted average of the training targets
(values). The weights decrease with the distance between the query and the training
points (keys). This is the Nadaraya-Watson estimator. Its only parameter is the width of
the kernel: the bandwidth h, or w = 1/h.

This example follows the chapter: average pooling, a Gaussian of width 1, heat maps,
batches, and a width learned by gradient descent. It then lets the estimator choose the
width and solves the exercises of the chapter.
"""

# sphinx_gallery_thumbnail_number = 2

# %%
# Data
# ----
# The data are fifty noisy observations of y = 2 sin x + x^0.8. They are sorted by x, so
# that heat maps are easy to read. The queries are 0, 0.1, 0.2, ..., 4.9. The test error
# is the distance of the predictions from the curve without noise.

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import PowerNorm

from sknw import (
    AttentionDisplay,
    BandwidthDisplay,
    NadarayaWatsonRegressor,
    RegressionDisplay,
    loo_error,
)
from sknw.datasets import make_sine


def curve(x):
    """Return the curve without noise."""
    return 2 * np.sin(x) + x**0.8


X, y = make_sine(random_state=0)
n = len(y)
X_test = np.arange(0, 5, 0.1)[:, None]


def rmse(model):
    """Return the root mean squared error against the curve without noise."""
    return np.sqrt(np.mean((model.predict(X_test) - curve(X_test[:, 0])) ** 2))


def report(name, model):
    """Print the width of a model, its leave-one-out error and its test error."""
    h = float(np.ravel(model.bandwidth_)[0])
    error = loo_error(X, y, h)
    print(f"{name:<24} h = {h:<7.4g} leave-one-out error {error:.4f}", end="   ")
    print(f"test RMSE {rmse(model):.4f}")
    return model


def save(figure, name):
    """Save a figure in build/ if this file runs as a script."""
    if "__file__" in globals():
        Path("build").mkdir(exist_ok=True)
        figure.savefig(Path("build", name), dpi=150)


# %%
# Average pooling
# ---------------
# Without attention, all training points have the same weight. This is an infinite
# bandwidth. The prediction is the global mean of y for every query.

average = report(
    "average pooling", NadarayaWatsonRegressor(bandwidth=float("inf")).fit(X, y)
)

# %%
# Attention without parameters
# ----------------------------
# With the Gaussian kernel, the weights are a softmax of -(x - x_j)²/2 over the training
# points. The chapter uses the standard deviation 1, in the units of x. The curve is
# smooth, but too flat.

unit = report("Gaussian of width 1", NadarayaWatsonRegressor(bandwidth=1.0).fit(X, y))

scores = -((X_test - X.T) ** 2) / 2
softmax = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
difference = np.abs(unit.attention_weights(X_test) - softmax).max()
print(f"largest difference from softmax: {difference:.1g}")

# %%
# Batches
# -------
# The chapter multiplies batches of matrices. Here, one call answers any number of
# queries. ``y`` may have several columns: the weights do not depend on the values, so
# all outputs share the weights and the width.
#
# All queries share the same keys. The chapter uses different keys per query only in
# training, where the keys of a training row are all other rows. This is leave-one-out:
# ``loo_predict()``, and ``attention_weights()`` without queries, with a zero diagonal.

Y = np.column_stack([y, np.cos(X[:, 0])])
both = NadarayaWatsonRegressor(bandwidth=1.0).fit(X, Y)
print(f"queries {X_test.shape}, values {Y.shape}")
print(f"predictions {both.predict(X_test).shape}")
own = both.attention_weights()
print(f"leave-one-out weights {own.shape}, diagonal at most {np.diag(own).max()}")
print(f"difference from loo_predict: {np.abs(own @ Y - both.loo_predict()).max():.1g}")

# %%
# Learning the width
# ------------------
# The training error cannot determine the width: each row would predict itself, so the
# narrowest kernel would win. The leave-one-out error predicts each row from all others.
#
# The chapter takes five steps of gradient descent on w with learning rate 0.5. Its loss
# is the sum of squares over the rows in some editions, and half of it in others. Here
# it is the sum, n times :func:`sknw.loo_error`. This function returns the derivative in
# log h; the derivative in w = 1/h is -1/w times that.

w = 1.0
path = []
for epoch in range(1, 6):
    error, slope = loo_error(X, y, 1 / w, return_gradient=True)
    path.append((w, error))
    print(f"epoch {epoch}: w = {w:7.4f}, sum of squares {n * error:.4f}")
    w -= 0.5 * n * (-slope / w)
path.append((w, loo_error(X, y, 1 / w)))
print(f"after 5: w = {w:7.4f}, sum of squares {n * path[-1][1]:.4f}")

descended = report("five steps on the sum", NadarayaWatsonRegressor(1 / w).fit(X, y))

# %%
# The chapter leaves the derivative to automatic differentiation. If torch is installed,
# this cell compares both for the first step.

try:
    import torch
except ImportError:
    print("torch is not installed: no comparison with automatic differentiation.")
else:
    keys, values = torch.from_numpy(X), torch.from_numpy(y)
    weight = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    logits = -((weight * (keys - keys.T)) ** 2) / 2
    logits = logits.masked_fill(torch.eye(n, dtype=torch.bool), -torch.inf)
    torch.sum((torch.softmax(logits, dim=1) @ values - values) ** 2).backward()
    ours = -n * loo_error(X, y, 1.0, return_gradient=True)[1]
    difference = abs(ours - weight.grad.item())
    print(f"derivative at w = 1: {ours:.10f}, difference {difference:.1g}")

# %%
# The loss decreases in every epoch. But the first step jumps over the minimum, from
# w = 1 to w = 16, where the kernel is narrower than most gaps between training points.
# The loss is nearly flat there, so the other steps move little. The curve follows the
# noise. Half the loss, or half the learning rate, overshoots as well. The gradient of a
# sum grows with the number of rows, so a learning rate for fifty rows is wrong for five
# hundred.
#
# With the mean over the rows, five steps do not get far enough:

w_mean = 1.0
for _ in range(5):
    slope = loo_error(X, y, 1 / w_mean, return_gradient=True)[1]
    w_mean += 0.5 * slope / w_mean
_ = report("five steps on the mean", NadarayaWatsonRegressor(1 / w_mean).fit(X, y))

# %%
# The estimator needs no learning rate. The default, ``bandwidth="loo"``, searches all
# widths and does not end in a local minimum. ``bandwidth="gradient"`` continues from
# there with L-BFGS in log h. With one feature, both find the same width. The gradient
# is useful if each of several features gets its own width.

searched = report('bandwidth="loo"', NadarayaWatsonRegressor().fit(X, y))
learned = report('bandwidth="gradient"', NadarayaWatsonRegressor("gradient").fit(X, y))

# %%
# Left: the loss of the five steps, as in the chapter. Right: the same steps on the
# criterion. They are on the other side of the minimum, which the loss curve hides.

figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True, layout="constrained")
w_path, errors = np.transpose(path)
BandwidthDisplay(criterion=errors).plot(ax=axes[0])
BandwidthDisplay.from_estimator(searched, ax=axes[1])
steps = {"color": "0.3", "markersize": 4, "linewidth": 1, "label": "five steps"}
axes[1].plot(1 / w_path, errors, "s--", **steps)
axes[1].set(xlim=(0.02, 20), ylabel="", title="Steps on the criterion")
axes[1].legend()
_ = axes[0].set(title="Loss of each step", ylim=(0.2, 1))

# %%
# Four widths
# -----------

shown = [
    ("average pooling, h = inf", average),
    ("Gaussian, h = 1", unit),
    (f"five steps of descent, h = {descended.bandwidth_[0]:.3f}", descended),
    (f"smallest leave-one-out error, h = {learned.bandwidth_[0]:.3f}", learned),
]
figure, axes = plt.subplots(
    2, 2, figsize=(10, 6.6), sharex=True, sharey=True, layout="constrained"
)
for ax, (title, model) in zip(axes.flat, shown, strict=True):
    RegressionDisplay.from_estimator(
        model,
        X,
        y,
        truth=curve,
        name="prediction",
        ax=ax,
        line_kw={"linewidth": 2.2},
        scatter_kw={"label": "training data"},
    )
    ax.get_legend().remove()
    ax.set_title(title)
    ax.label_outer()
figure.suptitle("Attention pooling of 50 training points", fontsize=14)
handles, labels = axes[0, 0].get_legend_handles_labels()
figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
save(figure, "attention_pooling_curves.png")

# %%
# Attention weights
# -----------------
# Each row of the heat map is a query, each column a training point. The weights of a
# row sum to one. With width 1, a query attends to a quarter of the data or more; with
# the learned width, only to its neighbors. The data have a gap around x = 1.2, and the
# few points there have large weights. Colors follow the square root of the weight, so
# that small weights are visible.

figure, axes = plt.subplots(1, 2, figsize=(10, 4.6), sharey=True, layout="constrained")
norm = PowerNorm(0.5, vmin=0, vmax=learned.attention_weights(X_test).max())
for ax, model in zip(axes, (unit, learned), strict=True):
    display = AttentionDisplay.from_estimator(
        model, X_test, ax=ax, colorbar=False, im_kw={"norm": norm, "vmin": None}
    )
    ax.set_title(f"h = {model.bandwidth_[0]:.3g}")
    ax.label_outer()
figure.colorbar(display.im_, ax=axes, label="attention weight", pad=0.02)
figure.suptitle("Attention weights of the training points", fontsize=14)
save(figure, "attention_pooling_weights.png")

# %%
# Exercise: more data
# -------------------
# *Is pooling without parameters better with more training points?* Hardly. A kernel of
# width 1 remains too wide, so the error remains. A chosen width decreases as the data
# become denser, and so does its error.

header = ("test RMSE, h = 1", "test RMSE, chosen h", "chosen h")
print("points " + "".join(f"{title:>21}" for title in header))
for size in (50, 500, 5000):
    data = make_sine(size, random_state=0)
    fixed = NadarayaWatsonRegressor(1.0).fit(*data)
    chosen = NadarayaWatsonRegressor().fit(*data)
    values = rmse(fixed), rmse(chosen), chosen.bandwidth_[0]
    print(f"{size:>6} " + "".join(f"{value:>21.3f}" for value in values))

X_500, y_500 = make_sine(500, random_state=0)
fixed = NadarayaWatsonRegressor(1.0).fit(X_500, y_500)
chosen = NadarayaWatsonRegressor().fit(X_500, y_500)
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
RegressionDisplay.from_estimator(
    fixed, X_500, name="h = 1", ax=ax, line_kw={"color": "C0", "linewidth": 2}
)
RegressionDisplay.from_estimator(
    chosen,
    X_500,
    y_500,
    truth=curve,
    name=f"leave-one-out, h = {chosen.bandwidth_[0]:.3f}",
    ax=ax,
    line_kw={"linewidth": 2},
    scatter_kw={"s": 6, "zorder": 0},
)
_ = ax.set_title("500 training points")

# %%
# Exercise: the meaning of w
# --------------------------
# *What is the meaning of w, and why does a large w sharpen the heat map?* A key at the
# distance 1/w gets exp(-1/2), six tenths of the weight of a key at the query. At 3/w it
# gets a hundredth. A large w leaves few keys in the average, which then follows the
# noise. A small w leaves many keys, which flatten the curve. One over the sum of the
# squared weights is the effective number of keys. Leave-one-out balances both errors.

print(f"{'w':>7} {'effective keys':>15} {'leave-one-out':>14} {'test RMSE':>10}")
for value in (0.1, 0.5, 1, 2, 1 / learned.bandwidth_[0], 5, 10, 20, 50):
    model = NadarayaWatsonRegressor(1 / value).fit(X, y)
    keys = np.mean(1 / np.sum(model.attention_weights(X_test) ** 2, axis=1))
    loo = loo_error(X, y, 1 / value)
    print(f"{value:>7.2f} {keys:>15.1f} {loo:>14.4f} {rmse(model):>10.4f}")

widths = np.geomspace(0.1, 100, 200)
w_learned = 1 / learned.bandwidth_[0]
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(widths, [loo_error(X, y, 1 / value) for value in widths])
ax.axvline(w_learned, color="C3", linestyle=":", label=f"learned w = {w_learned:.2f}")
ends = w_path[[0, -1]], errors[[0, -1]]
ax.plot(*ends, "s", color="0.3", label="first and last of the five steps")
ax.set(xscale="log", xlabel="w = 1/h", ylabel="leave-one-out error")
_ = ax.legend()

# %%
# Exercise: the learned w on new data
# -----------------------------------
# A width can be passed on: ``bandwidth=1/w``. On five new samples, the width learned
# above is about as good as the width chosen on each sample. On the first sample it is
# far better, because leave-one-out chooses too narrow a kernel there. Fifty points are
# few, even for a single parameter.

header = ("w = 1", "five steps", "learned w", "own choice", "own w")
print("sample " + "".join(f"{title:>12}" for title in header) + "   (test RMSE)")
for draw in range(1, 6):
    data = make_sine(random_state=draw)
    chosen = NadarayaWatsonRegressor().fit(*data)
    models = [
        NadarayaWatsonRegressor(h).fit(*data) for h in (1.0, 1 / w, learned.bandwidth_)
    ]
    values = [rmse(model) for model in (*models, chosen)]
    print(f"{draw:>6} " + "".join(f"{value:>12.3f}" for value in values), end="")
    print(f"{1 / chosen.bandwidth_[0]:>12.2f}")

# %%
# Exercise: another attention pooling
# -----------------------------------
# *Design another parametric attention pooling and train it.* With several features,
# each may get its own width: ``bandwidth="gradient"``. Here the target is wavy in x0,
# rises gently in x1 and does not depend on x2. A single width is a compromise.

rng = np.random.default_rng(0)
X3, X3_test = rng.uniform(0, 5, size=(400, 3)), rng.uniform(0, 5, size=(2000, 3))


def surface(X):
    """Return the target without noise."""
    return 2 * np.sin(X[:, 0]) + X[:, 1] ** 0.8


y3 = surface(X3) + 0.5 * rng.normal(size=len(X3))
one = NadarayaWatsonRegressor("loo", bandwidth_type="spherical").fit(X3, y3)
each = NadarayaWatsonRegressor("gradient").fit(X3, y3)
for name, model in (("one width", one), ("one per feature", each)):
    test = np.sqrt(np.mean((model.predict(X3_test) - surface(X3_test)) ** 2))
    print(f"{name:<16} test RMSE {test:.3f}, h = {np.round(model.bandwidth_, 3)}")

# %%
# The gentle feature gets a wider kernel than the wavy one. The irrelevant feature gets
# an infinite bandwidth, which removes it. The panels on the right show the weights for
# one query, in the plane of x0 and x2. With a single width, the neighborhood is a ball.
# With one width per feature, it is a band along x2.
#
# With ``bandwidth_type="full"``, ``bandwidth="gradient"`` learns a matrix of widths,
# which also adapts to directions.

query = [[2.5, 2.5, 2.5]]
figure, axes = plt.subplots(
    1, 3, figsize=(12, 4), width_ratios=(1.1, 1, 1), layout="constrained"
)
BandwidthDisplay.from_estimator(each, kind="descent", ax=axes[0])
axes[0].set_title("Loss curve")
titles = ("one width", "one per feature")
for ax, title, model in zip(axes[1:], titles, (one, each), strict=True):
    attention = model.attention_weights(query)[0]
    order = np.argsort(attention)
    x0, _, x2 = X3[order].T
    points = ax.scatter(x0, x2, c=attention[order], cmap="Blues", ec="0.75", lw=0.5)
    ax.plot(2.5, 2.5, "x", color="C3", markersize=10, markeredgewidth=2.5)
    effective = 1 / np.sum(attention**2)
    ax.set(title=f"{title}: {effective:.0f} effective rows", xlabel="x0", ylabel="x2")
    figure.colorbar(points, ax=ax, label="attention weight")

plt.show()
