"""
Attention pooling, and how to learn its width
=============================================

The textbook *Dive into Deep Learning* introduces attention with a regression of one variable: the prediction at a query
is an average of the training targets (values), weighted by how close each training point (key) is to the query. That is
the Nadaraya-Watson estimator. Its one parameter is the width of the window: the bandwidth h, or w = 1/h.

This example follows the chapter: the same kind of data, average pooling, a Gaussian of width 1, its heat map, batches,
and a width that is learnt by gradient descent. Then it lets the estimator find the width by itself, and answers the
chapter's exercises.
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

from sknw import AttentionDisplay, BandwidthDisplay, NadarayaWatsonRegressor, RegressionDisplay, loo_error
from sknw.datasets import make_sine


def curve(x):
    """Give the curve without noise."""
    return 2 * np.sin(x) + x**0.8


X, y = make_sine(random_state=0)
n = len(y)
X_test = np.arange(0, 5, 0.1)[:, None]


def rmse(model):
    """Root mean squared distance of the predictions from the curve without noise."""
    return np.sqrt(np.mean((model.predict(X_test) - curve(X_test[:, 0])) ** 2))


def report(name, model):
    """Print what a width is worth: on the training rows without themselves, and against the curve without noise."""
    h = float(np.ravel(model.bandwidth_)[0])
    print(f"{name:<28} h = {h:<8.4g} leave-one-out error {loo_error(X, y, h):.4f}   test RMSE {rmse(model):.4f}")
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

scores = -((X_test - X.T) ** 2) / 2
softmax = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
print(f"largest difference from softmax: {np.abs(unit.attention_weights(X_test) - softmax).max():.1g}")

# %%
# Batches
# -------
# The chapter takes a detour to multiply batches of matrices. Here any number of queries is answered by one call, and y
# may have several columns: the weights do not depend on the values, so all outputs share them, and one width.
#
# There is one set of keys for all queries. The chapter gives each query its own keys in one place only: in training,
# where the keys of a training row are all the other rows. That is leave-one-out: ``loo_predict()``, and
# ``attention_weights()`` without queries, whose diagonal is zero.

Y = np.column_stack([y, np.cos(X[:, 0])])
both = NadarayaWatsonRegressor(bandwidth=1.0).fit(X, Y)
print(f"queries {X_test.shape}, values {Y.shape}, predictions {both.predict(X_test).shape}")
own = both.attention_weights()
print(f"each row from the others: weights {own.shape}, largest weight of a row on itself {np.diag(own).max()}")
print(f"difference from loo_predict: {np.abs(own @ Y - both.loo_predict()).max():.1g}")

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
path = []
for epoch in range(1, 6):
    error, slope = loo_error(X, y, 1 / w, return_gradient=True)
    path.append((w, error))
    print(f"epoch {epoch}: w = {w:7.4f}, sum of squares {n * error:.4f}")
    w -= 0.5 * n * (-slope / w)
path.append((w, loo_error(X, y, 1 / w)))
print(f"after 5: w = {w:7.4f}, sum of squares {n * path[-1][1]:.4f}")

descended = report("five steps on the sum", NadarayaWatsonRegressor(bandwidth=1 / w).fit(X, y))

# %%
# The chapter leaves the derivative to autograd. With torch installed, here is that of the first step, both ways.

try:
    import torch
except ImportError:
    print("torch is not installed: the gradient is not compared with autograd here.")
else:
    keys, values = torch.from_numpy(X), torch.from_numpy(y)
    weight = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    logits = (-((weight * (keys - keys.T)) ** 2) / 2).masked_fill(torch.eye(n, dtype=torch.bool), -torch.inf)
    torch.sum((torch.softmax(logits, dim=1) @ values - values) ** 2).backward()
    ours, theirs = -n * loo_error(X, y, 1.0, return_gradient=True)[1], weight.grad.item()
    print(f"derivative in w at w = 1: ours {ours:.10f}, difference from autograd {abs(ours - theirs):.1g}")

# %%
# The loss falls in every epoch, which looks like success, but the first step has jumped over the minimum: from w = 1 to
# w = 16, where the window is narrower than most gaps between the training points. On that side the loss is nearly
# flat, and the other steps crawl back. The curve follows the noise. Half the loss, which is half the learning rate,
# overshoots as well. The gradient of a sum grows with the number of rows, so a learning rate that is right for fifty is
# wrong for five hundred.
#
# With the mean over the rows, the same five steps do not get far enough.

w_mean = 1.0
for _ in range(5):
    w_mean += 0.5 * loo_error(X, y, 1 / w_mean, return_gradient=True)[1] / w_mean
report("five steps on the mean", NadarayaWatsonRegressor(bandwidth=1 / w_mean).fit(X, y))

# %%
# The estimator needs no learning rate. ``bandwidth="gradient"`` descends to the minimum in log h, with steps whose
# lengths are found by a line search, and it starts from the result of ``bandwidth="loo"``, the default: a search over
# all widths, which does not end in a local minimum. For one feature there is only one width, so both find the same. The
# gradient is of use where each of several features gets its own.

searched = report('bandwidth="loo"', NadarayaWatsonRegressor().fit(X, y))
learnt = report('bandwidth="gradient"', NadarayaWatsonRegressor(bandwidth="gradient").fit(X, y))

# %%
# On the left the loss curve of the five steps, as the chapter draws it. On the right the same steps on the criterion:
# what the loss curve hides is that they stand on the other side of the valley.

figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), sharey=True, layout="constrained")
w_path, errors = np.transpose(path)
BandwidthDisplay(criterion=errors).plot(ax=axes[0])
BandwidthDisplay.from_estimator(searched, ax=axes[1])
axes[1].plot(1 / w_path, errors, "s--", color="0.3", markersize=4, linewidth=1, label="five steps, from h = 1")
axes[1].set(xlim=(0.02, 20), ylabel="")
axes[1].legend()
axes[0].set(title="the loss, step by step", ylim=(0.2, 1))
axes[1].set_title("where the steps stand")

# %%
# The four poolings
# -----------------

shown = [
    ("average pooling, h = inf", average),
    ("Gaussian, h = 1", unit),
    (f"five steps of descent on the sum, h = {descended.bandwidth_[0]:.3f}", descended),
    (f"smallest leave-one-out error, h = {learnt.bandwidth_[0]:.3f}", learnt),
]
figure, axes = plt.subplots(2, 2, figsize=(10, 6.6), sharex=True, sharey=True, layout="constrained")
for ax, (title, model) in zip(axes.flat, shown, strict=True):
    styles = {"line_kw": {"linewidth": 2.2}, "scatter_kw": {"label": "training data"}}
    RegressionDisplay.from_estimator(model, X, y, truth=curve, name="prediction", ax=ax, **styles)
    ax.get_legend().remove()
    ax.set_title(title)
    ax.label_outer()
figure.suptitle("Attention pooling of 50 training points with four widths", fontsize=14)
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
save(figure, "attention_pooling_curves.png")

# %%
# What is attended to
# -------------------
# One line per query, one column per training point; each line sums to one. With width 1 a query attends to a quarter of
# the data or more, with the width that was learnt only to its neighbours. Around x = 1.2 the data have a gap, and the
# few points there get large weights. The colours follow the square root, so that small weights can be seen, too.

figure, axes = plt.subplots(1, 2, figsize=(10, 4.6), sharey=True, layout="constrained")
norm = PowerNorm(0.5, vmin=0, vmax=learnt.attention_weights(X_test).max())
for ax, model in zip(axes, (unit, learnt), strict=True):
    im_kw = {"norm": norm, "vmin": None}
    display = AttentionDisplay.from_estimator(model, X_test, ax=ax, colorbar=False, im_kw=im_kw)
    ax.set_title(f"h = {model.bandwidth_[0]:.3g}")
    ax.label_outer()
figure.colorbar(display.im_, ax=axes, label="attention weight", pad=0.02)
figure.suptitle("Attention weights of the queries on the training points", fontsize=14)
save(figure, "attention_pooling_weights.png")

# %%
# Exercise: more data
# -------------------
# *Is the pooling without parameters better with more training points?* Hardly: a window of width 1 stays too wide, so
# its error stays. A width that is chosen from the data gets narrower as they get denser, and its error falls.

print(f"{'points':>6} {'test RMSE, h = 1':>18} {'test RMSE, chosen h':>21} {'chosen h':>10}")
for size in (50, 500, 5000):
    data = make_sine(size, random_state=0)
    fixed, chosen = NadarayaWatsonRegressor(1.0).fit(*data), NadarayaWatsonRegressor().fit(*data)
    print(f"{size:>6} {rmse(fixed):>18.3f} {rmse(chosen):>21.3f} {chosen.bandwidth_[0]:>10.3f}")

X_500, y_500 = make_sine(500, random_state=0)
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
fixed = NadarayaWatsonRegressor(1.0).fit(X_500, y_500)
RegressionDisplay.from_estimator(fixed, X_500, name="h = 1", ax=ax, line_kw={"color": "C0", "linewidth": 2})
chosen = NadarayaWatsonRegressor().fit(X_500, y_500)
name = f"leave-one-out, h = {chosen.bandwidth_[0]:.3f}"
RegressionDisplay.from_estimator(
    chosen, X_500, y_500, truth=curve, name=name, ax=ax, line_kw={"linewidth": 2}, scatter_kw={"s": 6, "zorder": 0}
)
ax.set_title("500 training points")

# %%
# Exercise: what w is worth
# -------------------------
# *What does the value of w mean, and why does a large one make the map of the weights sharper?* A key at the distance
# 1/w gets exp(-1/2), six tenths of the weight of a key at the query; at 3/w it gets a hundredth. A large w leaves few
# keys in the average, which then follows the noise; a small w leaves many, which flatten the curve. One over the sum of
# the squared weights says how many keys an average is worth. Leave-one-out weighs both harms against each other.

print(f"{'w':>7} {'keys per query':>15} {'leave-one-out':>14} {'test RMSE':>10}")
for value in (0.1, 0.5, 1, 2, 1 / learnt.bandwidth_[0], 5, 10, 20, 50):
    model = NadarayaWatsonRegressor(1 / value).fit(X, y)
    keys_per_query = np.mean(1 / np.sum(model.attention_weights(X_test) ** 2, axis=1))
    print(f"{value:>7.2f} {keys_per_query:>15.1f} {loo_error(X, y, 1 / value):>14.4f} {rmse(model):>10.4f}")

widths = np.geomspace(0.1, 100, 200)
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(widths, [loo_error(X, y, 1 / value) for value in widths])
ax.axvline(1 / learnt.bandwidth_[0], color="C3", linestyle=":", label=f"learnt w = {1 / learnt.bandwidth_[0]:.2f}")
ax.plot(w_path[[0, -1]], errors[[0, -1]], "s", color="0.3", label="first and last of the five steps")
ax.set(xscale="log", xlabel="w = 1/h", ylabel="leave-one-out error", title="What w is worth")
ax.legend()

# %%
# Exercise: the learnt w on new data
# ----------------------------------
# A width is a number that can be passed on: ``bandwidth=1/w``. Given to five new draws of the same kind of data, the
# one learnt above does about as well as the one that each draw would choose for itself. In the first draw it does far
# better: there leave-one-out has chosen a window that is much too narrow. Fifty points are few to learn even one number
# from, and the smallest leave-one-out error is no promise.

print(f"{'draw':>4} {'w = 1':>8} {'five steps':>11} {'learnt w':>9} {'own choice':>11} {'own w':>7}   (test RMSE)")
for draw in range(1, 6):
    X_new, y_new = make_sine(random_state=draw)
    line = [rmse(NadarayaWatsonRegressor(h).fit(X_new, y_new)) for h in (1.0, 1 / w, learnt.bandwidth_)]
    chosen = NadarayaWatsonRegressor().fit(X_new, y_new)
    print("{:>4} {:>8.3f} {:>11.3f} {:>9.3f}".format(draw, *line), end=" ")
    print(f"{rmse(chosen):>11.3f} {1 / chosen.bandwidth_[0]:>7.2f}")

# %%
# Exercise: another pooling with parameters
# -----------------------------------------
# *Design one, train it, draw it.* With several features each may get its own width: ``bandwidth="gradient"`` with
# ``bandwidth_type="diag"``, the default. The target is wavy in x0, rises gently in x1, and does not depend on x2. One
# width for all three must be a compromise.

rng = np.random.default_rng(0)
X3, X3_test = rng.uniform(0, 5, size=(400, 3)), rng.uniform(0, 5, size=(2000, 3))
y3 = 2 * np.sin(X3[:, 0]) + X3[:, 1] ** 0.8 + 0.5 * rng.normal(size=len(X3))
y3_test = 2 * np.sin(X3_test[:, 0]) + X3_test[:, 1] ** 0.8

one = NadarayaWatsonRegressor(bandwidth="loo", bandwidth_type="spherical").fit(X3, y3)
each = NadarayaWatsonRegressor(bandwidth="gradient", bandwidth_type="diag").fit(X3, y3)
for name, model in (("one width for all", one), ("one per feature", each)):
    distance = np.sqrt(np.mean((model.predict(X3_test) - y3_test) ** 2))
    print(f"{name:<18} test RMSE {distance:.3f}, bandwidths {np.round(model.bandwidth_, 3)}")

# %%
# The descent gives the gentle feature a wider window than the wavy one, and the idle feature an infinite one: it does
# not count any more. On the right, what one query in the middle attends to, seen in x0 and x2. With one width it is a
# ball; with one per feature a band along x2, narrow where the target is wavy and long where it does not change.
#
# A matrix of widths, which could turn the axes as well, is not trained by the estimator so far.
# :func:`sknw.loo_error` has its gradient.

query = [[2.5, 2.5, 2.5]]
figure, axes = plt.subplots(1, 3, figsize=(12, 4), width_ratios=(1.1, 1, 1), layout="constrained")
BandwidthDisplay.from_estimator(each, kind="descent", ax=axes[0])
axes[0].set_title("loss curve")
for ax, title, model in zip(axes[1:], ("one width", "one per feature"), (one, each), strict=True):
    attention = model.attention_weights(query)[0]
    order = np.argsort(attention)
    points = ax.scatter(X3[order, 0], X3[order, 2], c=attention[order], s=22, cmap="Blues", ec="0.75", lw=0.5)
    ax.plot(2.5, 2.5, "x", color="C3", markersize=10, markeredgewidth=2.5)
    ax.set(title=f"{title}: worth {1 / np.sum(attention**2):.0f} rows", xlabel="x0", ylabel="x2")
    figure.colorbar(points, ax=ax, label="attention weight")

plt.show()
