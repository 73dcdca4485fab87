"""
Reading the bandwidth curve
===========================

Which bandwidth does the estimator choose, and when should you distrust the choice?
"""

# %%
# Two minima
# ----------
# The data are temperatures, one every three hours for thirty days: a slow change over
# the month, a daily cycle and noise. Averages over hours show the cycle; averages over
# days show the month. ``bandwidth="loo"`` computes the leave-one-out error for all
# bandwidths, from empty neighborhoods to the global mean, and refines each promising
# minimum.

import matplotlib.pyplot as plt
import numpy as np

from sknw import (
    BandwidthDisplay,
    NadarayaWatsonRegressor,
    RegressionDisplay,
    loo_error,
)
from sknw.datasets import make_sine

rng = np.random.default_rng(0)
days = np.arange(0, 30, 1 / 8)[:, None]
month = 12 + 6 * np.sin(2 * np.pi * days[:, 0] / 30)
cycle = 3 * np.sin(2 * np.pi * days[:, 0])
temperature = month + cycle + 2.5 * rng.normal(size=len(days))

models = {
    name: NadarayaWatsonRegressor(bandwidth=name).fit(days, temperature)
    for name in ("loo", "gradient", "scott", "silverman")
}
for name, model in models.items():
    h = model.bandwidth_[0]
    error = loo_error(days, temperature, h)
    print(f"{name:<10} h = {h:6.3f} days, leave-one-out error {error:6.2f}")

# %%
# The rules of thumb, "scott" and "silverman", use the spread of x and the number of
# rows, but not y. They are fast. Here they smooth the daily cycle away, and part of the
# month.
#
# With one feature, "gradient" finds the same bandwidth as "loo". A descent from a rule
# of thumb alone would end in the wide minimum.

figure, ax = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
display = BandwidthDisplay.from_estimator(models["loo"], ax=ax)
for name, color in (("scott", "C1"), ("silverman", "C2")):
    h = models[name].bandwidth_[0]
    ax.axvline(h, color=color, linestyle="--", label=name)
ax.set(xlim=(0.01, 100), xlabel="bandwidth in days", title="Two minima")
_ = ax.legend(loc="upper left")

# %%
# The second minimum answers another question: it shows the change over the month. To
# use it, set the bandwidth by hand.

h_wide = float(display.minima_.get_xdata()[-1])
wide = NadarayaWatsonRegressor(h_wide).fit(days, temperature)

figure, axes = plt.subplots(
    2, 1, figsize=(9, 5.6), sharex=True, sharey=True, layout="constrained"
)
titles = ("Lowest minimum", "Wide minimum")
for ax, title, model in zip(axes, titles, (models["loo"], wide), strict=True):
    name = f"h = {model.bandwidth_[0]:.2f} days"
    RegressionDisplay.from_estimator(
        model, days, temperature, name=name, ax=ax, scatter_kw={"s": 7}
    )
    ax.set(title=title, xlabel="day", ylabel="temperature")
    ax.legend(loc="upper right")
    ax.label_outer()

# %%
# Flat minima
# -----------
# The leave-one-out error is a mean over n rows and has a standard error. In this sample
# of fifty rows, it is nearly flat from 0.02 to 0.2. A few rows that happen to agree
# determine the minimum, and the prediction follows the noise. The bandwidth 0.2 is much
# better. Its leave-one-out error is higher by little more than the standard error of
# the difference.

X, y = make_sine(random_state=1)


def truth(x):
    """Return the curve without noise."""
    return 2 * np.sin(x) + x**0.8


model = NadarayaWatsonRegressor().fit(X, y)
grid = np.linspace(0, 5, 501)
print(f"{'h':>6} {'leave-one-out error':>20} {'RMSE to the true curve':>23}")
for h in (model.bandwidth_[0], 0.05, 0.1, 0.15, 0.2, 0.3, 0.5):
    predicted = NadarayaWatsonRegressor(h).fit(X, y).predict(grid[:, None])
    rmse = np.sqrt(np.mean((predicted - truth(grid)) ** 2))
    print(f"{h:>6.3f} {loo_error(X, y, h):>20.4f} {rmse:>23.4f}")

by_hand = NadarayaWatsonRegressor(0.2).fit(X, y)
difference = (by_hand.loo_predict() - y) ** 2 - (model.loo_predict() - y) ** 2
standard_error = np.std(difference) / np.sqrt(len(y))
print(f"difference {np.mean(difference):+.3f}, standard error {standard_error:.3f}")

figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
BandwidthDisplay.from_estimator(model, ax=axes[0])
axes[0].set(xlim=(1e-3, 30), ylim=(0.15, 0.6), title="A flat minimum")
axes[0].axvline(0.2, color="0.3", linestyle="--", label="by hand: 0.2")
axes[0].legend(handles=axes[0].lines[2:], loc="upper left")
RegressionDisplay.from_estimator(
    model,
    X,
    name=f"h = {model.bandwidth_[0]:.3f}",
    ax=axes[1],
    line_kw={"alpha": 0.8},
)
RegressionDisplay.from_estimator(
    by_hand, X, y, truth=truth, name="h = 0.2", ax=axes[1], line_kw={"color": "C0"}
)
_ = axes[1].set_title("Chosen and wider bandwidth")

# %%
# If the minimum is flat, take its wide end if you expect a smooth curve, collect more
# rows, or use a bandwidth chosen on similar data. Distrust the choice also if
# neighboring rows share their noise, as in time series: leave-one-out then fits the
# noise.

plt.show()
