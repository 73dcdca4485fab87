"""
Attention pooling, and how to learn its width
=============================================

The textbook *Dive into Deep Learning* introduces attention with a regression of one variable: the prediction at a query
is an average of the training targets (values), weighted by how close each training point (key) is to the query. That is
the Nadaraya-Watson estimator. Its one parameter is the width of the window: the bandwidth h, or w = 1/h.

This example follows the chapter: the same kind of data, average pooling, a Gaussian of width 1, its heat map, and a
width that is learnt by gradient descent. Then it lets the estimator find the width by itself.
"""

# %%
# The data
# --------
# Fifty noisy observations of y = 2 sin x + x^0.8, sorted so that a heat map of the weights is easy to read. The queries
# are 0, 0.1, 0.2, ..., 4.9, and what counts is the distance of the predictions from the curve without noise.

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import PowerNorm

from sknw import NadarayaWatsonRegressor, loo_error
from sknw.datasets import make_sine

X, y = make_sine(random_state=0)
n = len(y)
X_test = np.arange(0, 5, 0.1)[:, None]
truth = 2 * np.sin(X_test[:, 0]) + X_test[:, 0] ** 0.8


def report(name, model):
    """Print what a width is worth: on the training rows without themselves, and against the curve without noise."""
    h = float(np.ravel(model.bandwidth_)[0])
    rmse = np.sqrt(np.mean((model.predict(X_test) - truth) ** 2))
    print(f"{name:<28} h = {h:<8.4g} leave-one-out error {loo_error(X, y, h):.4f}   test RMSE {rmse:.4f}")
    return model


def save(figure, name):
    """Keep a picture in build/ when this file runs as a script; a gallery or a notebook shows it by itself."""
    if "__file__" in globals():
        Path("build").mkdir(exist_ok=True)
        figure.savefig(Path("build", name), dpi=150)


# %%
# Average pooling
# ---------------
# Without attention every training point has the same weight. That is an infinite bandwidth: the prediction is the mean
# of y, whatever the query.

average = report("average pooling", NadarayaWatsonRegressor(bandwidth=float("inf")).fit(X, y))

# %%
# Attention without parameters
# ----------------------------
# With the Gaussian, the weights are a softmax of -(x - x_j)²/2 over the training points. Its standard deviation is 1,
# in the units of x, only because nobody has asked what it should be. The curve is smooth, and too flat.

unit = report("Gaussian of width 1", NadarayaWatsonRegressor(bandwidth=1.0).fit(X, y))

# %%
# Learning the width
# ------------------
# The width cannot be learnt from how well the training rows are predicted: the narrowest window would win, as each row
# would predict itself. So each row is predicted from all the others, which is the leave-one-out error.
#
# The chapter takes five steps of gradient descent on w with learning rate 0.5. Its loss is the sum of the squares over
# the rows in some editions, half of it in others; here it is the sum, n times :func:`sknw.loo_error`. That function
# gives the derivative in log h, hence that in w = 1/h is -1/w times it.

w = 1.0
for epoch in range(1, 6):
    error, slope = loo_error(X, y, 1 / w, return_gradient=True)
    print(f"epoch {epoch}: w = {w:7.4f}, sum of squares {n * error:.4f}")
    w -= 0.5 * n * (-slope / w)
print(f"after 5: w = {w:7.4f}, sum of squares {n * loo_error(X, y, 1 / w):.4f}")

descended = report("five steps on the sum", NadarayaWatsonRegressor(bandwidth=1 / w).fit(X, y))

# %%
# The loss falls in every epoch, which looks like success, but the first step has jumped over the minimum: from w = 1 to
# w = 16, where the window is narrower than most gaps between the training points. On that side the loss is nearly
# flat, and the other steps crawl back. The curve follows the noise. Half the loss, which is half the learning rate,
# overshoots as well. The gradient of a sum grows with the number of rows, so a learning rate that is right for fifty is
# wrong for five hundred.
#
# With the mean over the rows, the same five steps do not get far enough.

w = 1.0
for _ in range(5):
    w += 0.5 * loo_error(X, y, 1 / w, return_gradient=True)[1] / w
report("five steps on the mean", NadarayaWatsonRegressor(bandwidth=1 / w).fit(X, y))

# %%
# The estimator needs no learning rate. ``bandwidth="gradient"`` descends to the minimum in log h, with steps whose
# lengths are found by a line search, and it starts from the result of ``bandwidth="loo"``, the default: a search over
# all widths, which does not end in a local minimum. For one feature there is only one width, so both find the same. The
# gradient is of use where each of several features gets its own.

report('bandwidth="loo"', NadarayaWatsonRegressor().fit(X, y))
learnt = report('bandwidth="gradient"', NadarayaWatsonRegressor(bandwidth="gradient").fit(X, y))

# %%
# The four poolings
# -----------------

shown = [
    ("average pooling, h = inf", average),
    ("Gaussian, h = 1", unit),
    (f"five steps of descent on the sum, h = {descended.bandwidth_[0]:.3f}", descended),
    (f"smallest leave-one-out error, h = {learnt.bandwidth_[0]:.3f}", learnt),
]
x = np.linspace(0, 5, 501)
figure, axes = plt.subplots(2, 2, figsize=(10, 6.6), sharex=True, sharey=True, layout="constrained")
for ax, (title, model) in zip(axes.flat, shown, strict=True):
    ax.plot(X[:, 0], y, "o", color="0.6", markersize=4.5, label="training data")
    ax.plot(x, 2 * np.sin(x) + x**0.8, color="black", linestyle="--", linewidth=1.2, label="curve without noise")
    ax.plot(x, model.predict(x[:, None]), color="tab:red", linewidth=2.2, label="prediction")
    ax.set_title(title)
    ax.set_xlim(0, 5)
    ax.spines[["top", "right"]].set_visible(False)
for ax in axes[-1]:
    ax.set_xlabel("x")
for ax in axes[:, 0]:
    ax.set_ylabel("y")
figure.suptitle("Attention pooling of 50 training points with four widths", fontsize=14)
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
save(figure, "attention_pooling_curves.png")

# %%
# What is attended to
# -------------------
# One line per query, one column per training point; each line sums to one. With width 1 a query attends to a quarter of
# the data or more, with the width that was learnt only to its neighbours. Around x = 1.2 the data have a gap, and the
# few points there get large weights. The colours follow the square root, so that small weights can be seen, too.

weights = [model.attention_weights(X_test) for model in (unit, learnt)]
norm = PowerNorm(0.5, vmin=0, vmax=np.max(weights))
figure, axes = plt.subplots(1, 2, figsize=(10, 4.6), sharey=True, layout="constrained")
for ax, a in zip(axes, weights, strict=True):
    # A query stands in the middle of its line.
    image = ax.imshow(a, norm=norm, cmap="Reds", origin="lower", aspect="auto", extent=(0.5, n + 0.5, -0.05, 4.95))
    ax.set_xlabel("training point, by x")
axes[0].set_title("Gaussian, h = 1")
axes[1].set_title(f"learnt width, h = {learnt.bandwidth_[0]:.3f}")
axes[0].set_ylabel("query x")
figure.colorbar(image, ax=axes, label="attention weight", pad=0.02)
figure.suptitle("Attention weights of the queries on the training points", fontsize=14)
save(figure, "attention_pooling_weights.png")
